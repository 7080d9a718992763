# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an earlier run has sent, by its record and what libvirt of both hosts says."""

from __future__ import annotations

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.guests import (
    LibvirtHost,
    RunningGuest,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.outcome import Whereabouts
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.record import as_lines
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.record import (
    begun as begun_line,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.earlier_moves import (
    has_arrived,
    whereabouts,
)
from ansible_collections.vfio.migration.tests.unit.fleets import UUIDS, device
from ansible_collections.vfio.migration.tests.unit.libvirt_runs import (
    answer,
    begun,
    found_in,
    two_hosts,
)

UNREAD = "unread"


def again(tmp_path, outcome, here, there, **options):
    """Return the guests found by a run that is repeated: vm-17 was sent from a to b, and libvirt on each may run it.

    Where ``here`` is ``None`` libvirt on a is silent, where it is ``UNREAD``, it does not say more than that it runs it.
    """
    path = tmp_path / "record.jsonl"
    options = {**options, "record": str(path)}
    migration = {
        "vm": "vm-17",
        "host": "a",
        "uuid": UUIDS[5],
        "persistent": True,
        "target": "b",
        "placements": [],
    }
    line = begun_line("2026-01-01T00:00:00Z", begun(**options)["request"], migration)
    path.write_text(as_lines([{**line, "outcome": outcome}]))
    hostvars = two_hosts()
    if here is UNREAD:
        problem = {"guest": "vm-17", "problem": "its domain cannot be read: there is no answer"}
        others = [{"name": "vm-17", "uuid": UUIDS[5]}]
        told = {"guests": [], "others": others, "problems": [problem]}
        hostvars["a"]["migrate_libvirt_answer"] |= told
    if not here:
        hostvars["a"] = answer()
    if here is None:
        hostvars["a"]["migrate_libvirt_answer"] = {"unreachable": True}
    runs = [(UUIDS[5], "vm-17")] if there else []
    hostvars["b"] = answer(device(UUIDS[2], vm="vm-17"), running=runs)
    return found_in(begun(**options), hostvars)


@pytest.mark.parametrize("here", [True, UNREAD])
@pytest.mark.parametrize("asked", [{"drain": "a"}, {"guests": "vm-17"}])
def test_a_guest_that_is_still_on_its_way_is_not_sent_again(tmp_path, asked, here):
    run = again(tmp_path, "begun", here, True, **asked)
    assert run["arrived"] == []
    (found,) = run["found"]
    assert found["host"] == "a"
    assert "it is on its way to b since the run of 2026" in found["reason"]


def test_a_guest_that_has_arrived_counts_as_done_and_one_of_which_that_is_not_known_stays(tmp_path):
    asked = {"guests": "vm-17"}
    for outcome, here in (("begun", False), ("moved", False), ("moved", None)):
        run = again(tmp_path, outcome, here, True, **asked)
        assert ([each["vm"] for each in run["arrived"]], run["found"]) == (["vm-17"], [])
    run = again(tmp_path, "begun", None, True, **asked)
    (found,) = run["found"]
    assert (found["host"], run["arrived"]) == ("b", [])
    assert "it is unknown whether it has left a whole" in found["reason"]


SENT = {"source": "a", "target": "b", "vm": "vm-17", "vm_uuid": UUIDS[5]}


@pytest.mark.parametrize(
    ("here", "there", "outcome", "where"),
    [
        (True, False, "begun", Whereabouts.SOURCE),
        (False, True, "begun", Whereabouts.TARGET),
        (True, True, "begun", Whereabouts.UNKNOWN),
        (False, False, "begun", Whereabouts.NOWHERE),
        (None, False, "moved", Whereabouts.UNKNOWN),
        (None, True, "begun", Whereabouts.UNKNOWN),
        (None, True, "moved", Whereabouts.TARGET),
        (True, None, "begun", Whereabouts.UNKNOWN),
        (False, None, "moved", Whereabouts.UNKNOWN),
    ],
)
def test_where_a_guest_is_both_hosts_have_to_say(here, there, outcome, where):
    guest = {"vm-17": RunningGuest(UUIDS[5])}
    libvirt = {
        host: LibvirtHost(error="silent")
        if runs is None
        else LibvirtHost(running=guest if runs else {})
        for host, runs in (("a", here), ("b", there))
    }
    sent = {**SENT, "outcome": outcome}
    assert whereabouts(libvirt, sent) is where
    assert has_arrived(libvirt, sent) == (where is Whereabouts.TARGET)
