# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Records of guests that were to move, and the way back."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.move import MoveReport
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.record import (
    as_lines,
    at_the_end,
    begun,
    interrupted,
    last_run,
    not_in,
    read_records,
    record,
    request_back_key,
    request_key,
    requests_back,
    sent_before,
    taken_up,
)
from ansible_collections.vfio.migration.tests.unit.fleets import UUIDS

MIGRATION = {
    "vm": "vm-7",
    "host": "a",
    "uuid": None,
    "persistent": True,
    "target": "b",
    "placements": [],
}
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


def going(vm, run, source="a", target="b", request=None, **changes):
    return {**one(vm, source, target, run), "request": request or NAMED, "ended": True, **changes}


def returning(back, run, moved, **outcome):
    """Return the records of a run with a request that takes guests back, of whom those in ``moved`` get there, from ``b``."""
    guests, (target,) = back["migrate_libvirt_guests"], back["migrate_libvirt_targets"]
    lines = [
        going(
            *(vm, run, "b", target, request_back_key(back)),
            **({} if vm in moved else {"outcome": "stayed", **outcome}),
        )
        for vm in guests
    ]
    return at_the_end(lines, complete=[*moved] == guests)


@pytest.mark.parametrize("outcome", ["stayed", "not_tried", "interrupted", "begun"])
def test_a_way_back_that_has_left_guests_behind_goes_on_as_the_same_request(outcome):
    there = at_the_end([going("vm-1", FIRST), going("vm-2", FIRST)], complete=True)
    (back,) = requests_back(there)
    half = returning(back, LAST, ["vm-1"], outcome=outcome)
    assert requests_back([*there, *half]) == [back]
    # So it does when it has failed again, and has only taken up who was back.
    again = returning(back, KILLED, ["vm-1"], outcome=outcome)
    assert requests_back([*there, *half, *again]) == [back]
    # When all are back, that is a run like any other.
    whole = returning(back, KILLED, ["vm-1", "vm-2"])
    (away,) = requests_back([*there, *half, *whole])
    assert away == {"migrate_libvirt_guests": ["vm-1", "vm-2"], "migrate_libvirt_targets": ["b"]}
    # Who wants the half of it reversed says so.
    (away,) = requests_back([*there, *half], LAST)
    assert away == {"migrate_libvirt_guests": ["vm-1"], "migrate_libvirt_targets": ["b"]}


@pytest.mark.parametrize("of_c", [None, [], ["vm-2"], ["vm-2", "vm-3"]])
def test_a_way_back_to_several_hosts_goes_on_until_all_are_back(of_c):
    there = at_the_end(
        [going("vm-1", FIRST), going("vm-2", FIRST, "c"), going("vm-3", FIRST, "c")], complete=True
    )
    to_a, to_c = requests_back(there)
    records = [*there, *returning(to_a, LAST, ["vm-1"])]
    if of_c is not None:
        records += returning(to_c, KILLED, of_c)
    if of_c != ["vm-2", "vm-3"]:
        assert requests_back(records) == [to_c]
    else:
        (away,) = requests_back(records)
        assert away["migrate_libvirt_guests"] == ["vm-2", "vm-3"]


def test_a_way_back_of_a_run_that_was_given_goes_on_too():
    first = [going("vm-1", FIRST), going("vm-2", FIRST), going("vm-3", FIRST, outcome="stayed")]
    second = at_the_end([going("vm-3", LAST)], complete=True)
    (back,) = requests_back([*first, *second], FIRST)
    half = returning(back, KILLED, ["vm-1"])
    assert requests_back([*first, *second, *half]) == [back]


def test_a_way_back_goes_on_for_all_runs_of_the_drain_and_no_earlier_one():
    earlier = at_the_end([going("vm-0", "2025-01-01T00:00:00Z")], complete=True)
    first = [going("vm-1", FIRST), going("vm-2", FIRST, outcome="stayed")]
    second = at_the_end([going("vm-2", LAST)], complete=True)
    (back,) = requests_back([*earlier, *first, *second])
    half = returning(back, KILLED, ["vm-1"])
    (goes_on,) = requests_back([*earlier, *first, *second, *half])
    assert goes_on["migrate_libvirt_guests"] == ["vm-1", "vm-2"]
    # Whoever has been sent elsewhere meanwhile does not go back.
    (only,) = requests_back([*first, *second, going("vm-1", KILLED, "b", "c", "another")], LAST)
    assert only["migrate_libvirt_guests"] == ["vm-2"]


def test_a_run_that_leaves_guests_behind_and_is_no_way_back_is_reversed():
    there = at_the_end([going("vm-1", FIRST), going("vm-2", FIRST)], complete=True)
    on = [going("vm-1", LAST, "b", "c", "on"), going("vm-2", LAST, "b", "a", "on")]
    assert [each["migrate_libvirt_targets"] for each in requests_back([*there, *on])] == [["b"]]


def test_the_drain_of_the_host_that_guests_have_come_to_is_reversed():
    """As in maintenance of two hosts: who has come from the first one goes back there with others, and some of them stay."""
    there = at_the_end([going("vm-1", FIRST), going("vm-2", FIRST)], complete=True)
    drained = [
        going("vm-1", LAST, "b", "a", "drain b"),
        *(going(vm, LAST, "b", "a", "drain b", outcome="stayed") for vm in ("vm-2", "vm-3")),
    ]
    (away,) = requests_back([*there, *drained])
    assert away == {"migrate_libvirt_guests": ["vm-1"], "migrate_libvirt_targets": ["b"]}


def test_nothing_has_no_way_back():
    assert requests_back([]) == []
    assert requests_back(read_records("\n")[0]) == []


@pytest.mark.parametrize(
    "given",
    [None, 7, "[]", "7", [7], [{"format": 2}], [{**one("vm-1"), "source": None}]]
    + [[{**one("vm-1"), "vm_uuid": 7}], [{**one("vm-1"), "request": []}]],
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
    assert lost == ["line 2 of the record is left out, as it is not JSON"]


@pytest.mark.parametrize("name", ["run", "vm", "source", "target", "outcome", "vm_uuid"])
def test_a_line_that_lacks_what_tells_who_goes_back_is_none(name):
    line = {"format": 1, "run": FIRST, "vm": "vm-1", "vm_uuid": None, "source": "a", "target": "b"}
    line["outcome"] = "moved"
    assert read_records([line]) == ([line], [])
    del line[name]
    with pytest.raises(FleetError, match=f"a line of the record has .* as '{name}'"):
        read_records([line])


NAMED = request_key({"guests": ["vm-1", "vm-2"], "targets": None})
KILLED, RESUMED = "2026-01-03T00:00:00Z", "2026-01-04T00:00:00Z"


def asked(vm, run=KILLED, target="b", **changes):
    return {**one(vm, run=run, target=target), "request": NAMED, **changes}


def test_a_request_is_the_same_whatever_the_order_of_its_lists_and_another_one_with_other_targets():
    assert request_key({"targets": None, "guests": ["vm-2", "vm-1"]}) == NAMED
    others = [["vm-1"], "vm-1,vm-2", ["vm-1", "vm-2", "vm-2"]]
    assert NAMED not in [request_key({"guests": each, "targets": None}) for each in others]
    assert request_key({"guests": ["vm-1", "vm-2"], "targets": ["b"]}) != NAMED
    devices = [{"host": "a", "id": "x"}, {"host": "b", "id": "y"}]
    assert request_key({"devices": devices}) == request_key({"devices": devices[::-1]})


def test_whom_a_killed_run_has_sent_the_next_one_knows_and_no_other_request():
    begun_ = begun(KILLED, NAMED, MIGRATION)
    lines = [one("vm-9", run=KILLED), asked("vm-1"), begun_]
    assert sent_before(lines, NAMED, only_broken_off=True) == [asked("vm-1"), begun_]
    assert sent_before(lines, "another", only_broken_off=True) == []


def test_of_runs_one_after_the_other_that_were_killed_where_a_guest_was_sent_last_counts():
    lines = [asked("vm-1"), asked("vm-2"), asked("vm-1", RESUMED, "c")]
    found = sent_before(lines, NAMED, only_broken_off=True)
    assert {each["vm"]: each["target"] for each in found} == {"vm-1": "c", "vm-2": "b"}


def test_a_request_of_which_all_have_moved_is_done_and_may_be_made_again():
    lines = at_the_end([asked("vm-1"), asked("vm-2")], complete=True)
    assert sent_before(lines, NAMED, only_broken_off=False) == []
    assert sent_before([*lines, asked("vm-1", RESUMED)], NAMED, only_broken_off=False) == [
        asked("vm-1", RESUMED)
    ]


def test_a_run_that_has_left_guests_behind_has_ended_and_is_taken_up_where_guests_were_named():
    lines = at_the_end([asked("vm-1")], complete=False)
    assert sent_before(lines, NAMED, only_broken_off=True) == []
    assert sent_before(lines, NAMED, only_broken_off=False) == lines


@pytest.mark.parametrize("outcome", ["begun", "interrupted"])
def test_who_was_on_its_way_when_a_drain_ended_is_taken_up_and_nobody_else(outcome):
    lines = at_the_end([asked("vm-1", outcome=outcome), asked("vm-2")], complete=False)
    assert sent_before(lines, NAMED, only_broken_off=True) == lines[:1]
    # The next run has ended without it, too.
    lines += at_the_end([asked("vm-2", RESUMED)], complete=False)
    assert sent_before(lines, NAMED, only_broken_off=True) == lines[:1]
    lines += at_the_end([asked("vm-1", "2026-01-05T00:00:00Z")], complete=True)
    assert sent_before(lines, NAMED, only_broken_off=True) == []


def test_who_may_be_migrating_has_neither_moved_nor_stayed():
    found = record(
        FIRST, MIGRATION, MoveReport("lost"), False, ["no answer"], may_be_migrating=True
    )
    assert (found["outcome"], found["errors"]) == ("interrupted", ["no answer"])


def test_who_was_never_begun_was_not_sent():
    assert sent_before([asked("vm-1", outcome="not_tried")], NAMED, only_broken_off=True) == []


def test_records_that_do_not_say_what_was_asked_for_are_of_no_request():
    old = {
        key: value
        for key, value in one("vm-1").items()
        if key not in ("request", "ended", "complete")
    }
    assert sent_before(read_records([old])[0], NAMED, only_broken_off=False) == []
    with pytest.raises(FleetError, match="neither true nor false as 'ended'"):
        read_records([{**old, "ended": "no"}])


def test_a_run_that_takes_one_up_can_be_reversed_as_a_whole():
    first = asked("vm-1", begin="2026-01-03T00:00:01Z")
    came = interrupted(KILLED, NAMED, MIGRATION)
    lines = [first, came, *(taken_up(RESUMED, NAMED, each) for each in (first, came))]
    (back,) = requests_back([*lines, asked("vm-3", RESUMED)])
    assert back["migrate_libvirt_guests"] == ["vm-1", "vm-3", "vm-7"]
    watched, unseen = lines[2:]
    assert (watched["begin"], watched["errors"]) == (first["begin"], [])
    assert "while no run watched" in unseen["errors"][0]


def test_a_drain_of_several_runs_is_reversed_as_a_whole_and_no_earlier_one_of_the_host():
    done = [asked("vm-0", FIRST, ended=True, complete=True)]
    first = asked("vm-1", KILLED, ended=True)
    last = asked("vm-2", RESUMED, ended=True)
    (back,) = requests_back([*done, first, last])
    assert back["migrate_libvirt_guests"] == ["vm-1", "vm-2"]
    # A later run in which nobody has moved changes nothing.
    nobody: t.Any = {**asked("vm-3", "2027-01-01T00:00:00Z"), "outcome": "stayed"}
    assert requests_back([*done, first, last, nobody]) == [back]
    (only,) = requests_back([*done, first, last], RESUMED)
    assert only["migrate_libvirt_guests"] == ["vm-2"]


def test_a_guest_that_the_next_run_did_not_begin_is_where_the_one_before_has_sent_it():
    sent = begun(KILLED, NAMED, MIGRATION)
    refused: t.Any = {**sent, "run": RESUMED, "outcome": "not_tried"}
    assert sent_before([sent, refused], NAMED, only_broken_off=False) == [sent]


def test_of_whom_nobody_has_seen_the_end_is_counted_by_themselves():
    lines = [asked("vm-1"), begun(KILLED, NAMED, MIGRATION)]
    assert last_run(lines) == {
        "run": KILLED,
        "moved": 1,
        "stayed": 0,
        "not_tried": 0,
        "unknown": 1,
    }
