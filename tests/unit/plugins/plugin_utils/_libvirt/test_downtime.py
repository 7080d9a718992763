# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether the state of a guest's devices can be sent while the guest may stand still."""

from __future__ import annotations

import re

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import read_fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.downtime import too_long
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.guests import Guest
from ansible_collections.vfio.migration.tests.unit.fleets import UUIDS, device, host, parent

TYPE = "i915-GVTg_V5_4"


def notes(bandwidth, longest, framebuffer=4096, count=1, vm="vm-1") -> list[str]:
    made = parent(available={TYPE: 1})
    if framebuffer:
        made["types"][0]["framebuffer"] = framebuffer
    held = [device(UUIDS[number], vm="vm-1", pid=7) for number in range(count)]
    fleet = read_fleet({"a": host([*held, device(UUIDS[9], vm="other", pid=8)], [made])})
    guest = Guest(
        vm=vm,
        host="a",
        uuid=None,
        persistent=False,
        device=None,
        kinds=["mdev"],
        memory=0,
        reason=None,
    )
    return [*too_long(fleet, [guest], bandwidth, longest)]


@pytest.mark.parametrize(
    ("bandwidth", "longest", "count", "needed"),
    [
        (1024, 4000, 1, None),
        (1024, 3999, 1, 4000),
        (1000, 4095, 1, 4096),
        (1000, 4096, 1, None),
        (1024, 4000, 2, 8000),
        # No fraction of a millisecond is lost.
        (3000, 1365, 1, 1366),
    ],
)
def test_a_guest_is_named_whose_frame_buffers_take_longer_than_it_may_stand_still(
    bandwidth, longest, count, needed
):
    found = notes(bandwidth, longest, count=count)
    assert len(found) == (needed is not None)
    for each in found:
        assert re.match(rf"vm-1 may stand still for {needed} ms, and is allowed {longest}: ", each)
        assert f"migrate_libvirt_downtime_max is {needed} or more" in each
        assert f"{4096 * count} MiB of frame buffer" in each


def test_where_the_network_or_the_frame_buffer_is_not_known_nothing_is_said():
    assert notes(None, 1) == []
    assert notes(1, 1, framebuffer=None) == []
    assert notes(1, 1, vm="vm-2") == []
