# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an earlier run has sent, by its record and what libvirt of both hosts says."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.guests import (
    LibvirtHost,
    RunningGuest,
    read_host,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.outcome import Whereabouts
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.record import as_lines
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.record import (
    begun as begun_line,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.earlier_moves import (
    arrived_unwatched,
    has_arrived,
    whereabouts,
)
from ansible_collections.vfio.migration.tests.unit.fleets import UUIDS, device
from ansible_collections.vfio.migration.tests.unit.libvirt_answers import (
    guest_info,
    libvirt_info,
)
from ansible_collections.vfio.migration.tests.unit.libvirt_runs import (
    answer,
    begun,
    found_in,
    two_hosts,
)

UNREAD = "unread"


def again(tmp_path, outcome, here, there, there_is=None, **options):
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
    hostvars["b"]["migrate_libvirt_answer"] |= there_is or {}
    return found_in(begun(**options), hostvars)


@pytest.mark.parametrize("here", [True, UNREAD])
@pytest.mark.parametrize("asked", [{"drain": "a"}, {"guests": "vm-17"}])
def test_a_guest_that_is_still_on_its_way_is_not_sent_again(tmp_path, asked, here):
    run = again(tmp_path, "begun", here, True, **asked)
    assert run["arrived"] == []
    (found,) = run["found"]
    assert found["host"] == "a"
    assert "its migration to b is running since the run of 2026" in found["reason"]


def test_a_guest_that_has_arrived_counts_as_done_and_one_of_which_that_is_not_known_stays(tmp_path):
    asked = {"guests": "vm-17"}
    for outcome, here in (("begun", False), ("moved", False), ("moved", None)):
        run = again(tmp_path, outcome, here, True, **asked)
        assert ([each["vm"] for each in run["arrived"]], run["found"]) == (["vm-17"], [])
    run = again(tmp_path, "begun", None, True, **asked)
    (found,) = run["found"]
    assert (found["host"], run["arrived"]) == ("b", [])
    assert "it is unknown whether it has completely left a" in found["reason"]


HALF = {"paused": [{"name": "vm-17", "uuid": UUIDS[5], "reason": "migration"}]}


@pytest.mark.parametrize("asked", [{"drain": "a"}, {"guests": "vm-17"}])
def test_a_half_that_a_crashed_source_has_left_has_not_arrived_and_is_told(tmp_path, asked):
    run = again(tmp_path, "begun", False, True, there_is=HALF, **asked)
    assert run["arrived"] == []
    (found,) = run["found"]
    assert (found["vm"], found["host"]) == ("vm-17", "b")
    assert (
        f"remove that half with virsh destroy {UUIDS[5]}, start the guest on a" in found["reason"]
    )


def test_a_half_is_not_written_down_as_a_guest_that_came_when_nobody_watched(tmp_path):
    def came(vm):
        source, target = ({"host": host, "kind": "mdev", "id": UUIDS[1]} for host in "ab")
        return {"vm": vm, "source": source, "target": target, "state": "moved", "reason": None}

    run = again(tmp_path, "begun", False, True, there_is=HALF, drain="a")
    run |= {"migrations": {"going": []}, "states": [came("vm-17"), came("vm-18")]}
    found = arrived_unwatched(run, {"placements": []})
    # Of the other one no run with this request knows.
    assert [each["vm"] for each in found] == ["vm-18"]


def test_a_half_that_may_be_one_has_not_arrived_either(tmp_path):
    run = again(tmp_path, "begun", False, True, there_is={"paused": None}, guests="vm-17")
    assert run["arrived"] == []
    (found,) = run["found"]
    assert "libvirt there does not say who is paused; fix that on b" in found["reason"]
    # Whom its host has seen arrive may be paused since.
    run = again(tmp_path, "moved", False, True, there_is=HALF, guests="vm-17")
    assert [each["vm"] for each in run["arrived"]] == ["vm-17"]


@pytest.mark.parametrize(
    ("reason", "where"),
    [
        ("user", Whereabouts.TARGET),
        # It has run there until then.
        *((each, Whereabouts.TARGET) for each in ("ioerror", "watchdog", "crashed")),
        *((each, Whereabouts.HALF) for each in ("migration", "starting up", "unknown")),
        *((each, Whereabouts.HALF) for each in ("postcopy", "postcopy failed", "new", None)),
    ],
)
def test_a_paused_guest_is_on_its_target_where_only_a_whole_one_is_paused_so(reason, where):
    paused = [{"name": "vm-17", "uuid": UUIDS[5], "reason": reason}]
    there = libvirt_info(guest_info("vm-17", UUIDS[5]), paused=paused)
    libvirt = {"a": LibvirtHost(), "b": read_host(there)}
    sent: t.Any = {**SENT, "outcome": "begun"}
    assert whereabouts(libvirt, sent) is where
    both = {**libvirt, "a": read_host(libvirt_info(guest_info("vm-17", UUIDS[5])))}
    assert whereabouts(both, sent) is Whereabouts.UNKNOWN


SENT = {"source": "a", "target": "b", "vm": "vm-17", "vm_uuid": UUIDS[5]}


@pytest.mark.parametrize(
    ("here", "there", "outcome", "where"),
    [
        (True, False, "begun", Whereabouts.SOURCE),
        (False, True, "begun", Whereabouts.TARGET),
        (True, True, "begun", Whereabouts.UNKNOWN),
        (False, False, "begun", Whereabouts.NOWHERE),
        (None, False, "moved", Whereabouts.UNKNOWN),
        (None, True, "begun", Whereabouts.TARGET_AT_LEAST),
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
