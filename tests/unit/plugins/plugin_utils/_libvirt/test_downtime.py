# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether the state of a guest's devices can be sent while the guest may stand still."""

from __future__ import annotations

import re

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import read_fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.downtime import (
    bandwidth_of,
    downtime_notes,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.guests import Guest
from ansible_collections.vfio.migration.tests.unit.fleets import UUIDS, device, host, parent

TYPE = "i915-GVTg_V5_4"


def notes(bandwidth, longest, framebuffer=4096, count=1, vm="vm-1", told=None) -> list[str]:
    """Return what is said of guest ``vm`` with UUID 3 beside the devices of guest vm-1, which tells the UUID ``told`` if any."""
    made = parent(available={TYPE: 1})
    if framebuffer:
        made["types"][0]["framebuffer"] = framebuffer
    held = [device(UUIDS[number], vm="vm-1", pid=7) for number in range(count)]
    for each in held if told is not None else ():
        each["in_use"]["uuid"] = told
    fleet = read_fleet({"a": host([*held, device(UUIDS[9], vm="other", pid=8)], [made])})
    guest = Guest(
        vm=vm,
        host="a",
        uuid=UUIDS[3],
        persistent=False,
        device=None,
        kinds=["mdev"],
        memory=0,
        reason=None,
    )
    return [*downtime_notes(fleet, [guest], bandwidth, longest)]


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
        assert re.match(
            rf"vm-1 may need a downtime of {needed} ms, and is allowed {longest}: ", each
        )
        assert f"migrate_libvirt_downtime_max is {needed} or more" in each
        assert f"{4096 * count} MiB of frame buffer" in each


def test_where_the_frame_buffer_is_not_known_nothing_is_said():
    for bandwidth in (None, 1):
        assert notes(bandwidth, 1, framebuffer=None) == []
        assert notes(bandwidth, 1, vm="vm-2") == []


def test_where_the_network_is_not_known_it_is_said_for_whom_nothing_can_be():
    (note,) = notes(None, 2000, count=2)
    assert note.startswith(
        "it is unknown whether the state of their devices can be sent within the downtime of 2000 ms"
    )
    assert "vm-1 (8192 MiB of frame buffer); state what the network carries" in note
    assert "migrate_libvirt_bandwidth" in note


def test_devices_are_those_of_the_guest_with_its_uuid_whatever_others_are_called():
    assert len(notes(1, 1, told=UUIDS[3])) == 1
    assert len(notes(1, 1, told=UUIDS[3], vm="renamed")) == 1
    assert notes(1, 1, told=UUIDS[4]) == []


@pytest.mark.parametrize(
    ("stated", "options", "found"),
    [
        (None, [], None),
        (None, ["--bandwidth", "0"], None),
        (None, ["--bandwidth", "100"], 100),
        (None, ["--unsafe", "--bandwidth=100"], 100),
        (1100, ["--bandwidth=100"], 100),
        (1100, ["--bandwidth=2000"], 1100),
        (1100, ["--bandwidth=0"], 1100),
    ],
)
def test_no_more_is_sent_than_the_network_carries_and_the_options_allow(stated, options, found):
    assert bandwidth_of(stated, options) == found
