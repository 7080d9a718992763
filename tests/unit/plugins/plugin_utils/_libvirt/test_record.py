# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Records of guests that were to move, and the way back."""

from __future__ import annotations

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.move import MoveReport
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.record import (
    as_lines,
    not_in,
    read_records,
    record,
    requests_back,
)
from ansible_collections.vfio.migration.tests.unit.fleets import UUIDS

FIRST, LAST = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"


def one(vm, source="a", target="b", run=FIRST, moved=True, uuid=None, said=(), **numbers):
    """Return the record of a guest whose migration was tried."""
    placement = {
        "source": {"host": source, "kind": "mdev", "id": UUIDS[1]},
        "target": {"host": target, "kind": "mdev", "id": UUIDS[2]},
    }
    migration = {
        "vm": vm,
        "host": source,
        "uuid": uuid,
        "persistent": True,
        "target": target,
        "placements": [placement],
    }
    return record(run, migration, MoveReport("moved", numbers=numbers), moved, said)


def test_a_guest_has_moved_by_the_kernels_word():
    assert one("vm-1")["outcome"] == "moved"
    assert one("vm-1", moved=False)["outcome"] == "stayed"


def test_of_a_guest_and_a_run_the_last_record_counts():
    first = [one("vm-1"), one("vm-2"), one("vm-1", "c")]
    last = one("vm-1", moved=False, said=["it holds neither"])
    assert read_records(as_lines([*first, last]))[0] == [last, *first[1:]]
    assert read_records([*first, one("vm-1", run=LAST)])[0][:3] == first


def test_what_is_written_already_is_not_written_again():
    written = as_lines([one("vm-1"), one("vm-2")])
    assert not_in(written, [one("vm-1"), one("vm-2")]) == []
    corrected = one("vm-1", moved=False)
    assert not_in(written, [corrected, one("vm-2")]) == [corrected]


@pytest.mark.parametrize("time", [1e15, 2**52])
def test_a_time_that_no_calendar_has_is_none(time):
    assert one("vm-1", began=time)["begin"] is None


def test_what_is_written_can_be_read_again():
    records = [one("vm\n1", uuid=UUIDS[5], began=0.0, bytes=7), one("vm-2")]
    assert as_lines(records).count("\n") == 2
    assert read_records(as_lines(records)) == (records, [])


def test_a_record_reversed_is_a_request_for_each_host_that_guests_came_from():
    records = [
        one("vm-3", uuid=UUIDS[5]),
        one("vm-1"),
        one("vm-2", source="c"),
        one("vm-4", moved=False),
    ]
    assert requests_back(records) == [
        {"migrate_libvirt_guests": sorted([UUIDS[5], "vm-1"]), "migrate_libvirt_targets": ["a"]},
        {"migrate_libvirt_guests": ["vm-2"], "migrate_libvirt_targets": ["c"]},
    ]


def test_the_last_run_is_reversed_unless_another_is_asked_for():
    records = [one("vm-1"), one("vm-2"), one("vm-2", "b", "c", run=LAST)]
    (back,) = requests_back(records)
    assert back == {"migrate_libvirt_guests": ["vm-2"], "migrate_libvirt_targets": ["b"]}
    # The other one has moved on since.
    (back,) = requests_back(records, FIRST)
    assert back["migrate_libvirt_guests"] == ["vm-1"]


def test_the_way_back_and_the_way_back_of_that_are_the_way_there():
    there = one("vm-1", "a", "b")
    (back,) = requests_back([there])
    returned = one("vm-1", there["target"], back["migrate_libvirt_targets"][0], run=LAST)
    (again,) = requests_back([there, returned])
    assert again["migrate_libvirt_targets"] == [there["target"]]


def test_nothing_has_no_way_back():
    assert requests_back([]) == []
    assert requests_back(read_records("\n")[0]) == []


@pytest.mark.parametrize(
    "given",
    [None, 7, "[]", "7", [7], [{"format": 2}], [{**one("vm-1"), "source": None}]]
    + [[{**one("vm-1"), "vm_uuid": 7}]],
)
def test_what_is_no_record_is_refused(given):
    with pytest.raises(FleetError, match="record"):
        read_records(given)


@pytest.mark.parametrize(
    "damage", ["{", '{"format": 1, "run": "2026', "[" * 100_000, '{"format": ' + "9" * 5_000 + "}"]
)
def test_a_line_that_is_damaged_costs_itself_alone(damage):
    records = [one("vm-1"), one("vm-2")]
    first, second = as_lines(records).splitlines()
    read, lost = read_records("\n".join([first, damage, second]))
    assert read == records
    assert lost == ["line 2 of the record is left out, as it is no JSON"]


@pytest.mark.parametrize("name", ["run", "vm", "source", "target", "outcome", "vm_uuid"])
def test_a_line_that_lacks_what_tells_who_goes_back_is_none(name):
    line = {"format": 1, "run": FIRST, "vm": "vm-1", "vm_uuid": None, "source": "a", "target": "b"}
    line["outcome"] = "moved"
    assert read_records([line]) == ([line], [])
    del line[name]
    with pytest.raises(FleetError, match=f"a line of the record has .* as '{name}'"):
        read_records([line])
