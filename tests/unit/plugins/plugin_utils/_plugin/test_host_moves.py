# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""All guests that leave a host, each when it is its turn."""

from __future__ import annotations

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.move import MoveReport
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.guest_move import GuestMove
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.host_moves import HostMoves
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.move_turns import (
    Route,
    TurnLimits,
    Turns,
)
from ansible_collections.vfio.migration.tests.unit.domains import domain_of, hostdev
from ansible_collections.vfio.migration.tests.unit.fleets import UUIDS

XML = domain_of(hostdev("mdev", UUIDS[1]))
READ = {"definitions": {"active": XML, "persistent": XML}}
PLAN = {
    "placements": [
        {
            "vm": "vm-17",
            "source": {"host": "a", "kind": "mdev", "id": UUIDS[1]},
            "target": {"host": "b", "kind": "mdev", "id": UUIDS[2]},
        }
    ]
}


class Move:
    """A guest that ends as it is told, after so many looks."""

    def __init__(self, log, name, outcome="moved", looks=1):
        self.log, self.name, self.outcome, self.looks = log, name, outcome, looks

    def begin(self, stopped):
        self.log.append(f"{self.name} begins")
        return self.ended()

    def look(self, longest):
        self.looks -= 1
        return self.ended()

    def ended(self):
        if self.looks:
            return None
        self.log.append(f"{self.name} ends")
        gone = self.outcome == "gone"
        return MoveReport("failed", looked=True) if gone else MoveReport(self.outcome)


@pytest.fixture
def run(tmp_path):
    log: list[str] = []

    def run_(*moves, goes_on=lambda: True, **limits):
        guests = {number: Move(log, f"vm-{number}", *each) for number, each in enumerate(moves)}
        given = TurnLimits(**{"total": 9, "source": 9, "target": 9, **limits})
        there = Turns(str(tmp_path), [Route("a", "b")] * len(moves), given)
        told, begun = {}, []
        reports = HostMoves(
            "a", guests, there, goes_on, begun.append, told.__setitem__, sleep=log.append
        ).run()
        assert [f"vm-{number} begins" for number in begun] == [
            each for each in log if "begins" in str(each)
        ]
        # Of each that was begun it is told how it ended.
        assert told == {number: each for number, each in reports.items() if each.tried}
        return {number: each.outcome for number, each in reports.items()}, log, reports

    return run_


def test_one_after_the_other_by_default(run):
    outcomes, log, _reports = run(("moved", 2), ("failed", 1), ("moved", 0), source=1)
    assert outcomes == {0: "moved", 1: "failed", 2: "moved"}
    assert log == [f"vm-{number} {what}" for number in range(3) for what in ("begins", "ends")]


def test_several_at_a_time_where_that_is_allowed(run):
    outcomes, log, _reports = run(("moved", 2), ("moved", 1), ("moved", 1), source=2)
    assert outcomes == dict.fromkeys(range(3), "moved")
    assert log[:3] == ["vm-0 begins", "vm-1 begins", "vm-1 ends"]


def test_after_too_many_failures_the_others_are_not_begun_and_say_why(run):
    outcomes, log, reports = run(("failed", 1), ("moved", 1), source=1, failures=1)
    assert outcomes == {0: "failed", 1: "refused"}
    assert log == ["vm-0 begins", "vm-0 ends"]
    assert "max_failures is 1" in reports[1].errors[0]


def test_when_its_time_has_passed_while_its_host_was_asked_about_it_a_guest_is_not_begun(
    tmp_path, monkeypatch
):
    clock, asked = [1000.0], []
    monkeypatch.setattr("time.time", lambda: clock[0])

    def ask(options):
        asked.append(options["step"])
        clock[0] += 45
        return READ

    given = {"uuid": UUIDS[5], "plan": PLAN, "destination": "qemu+ssh://root@b/system"}
    moves = {
        number: GuestMove({**given, "number": number}, "a", ask, asked.append, lambda: True)
        for number in range(2)
    }
    limits = TurnLimits(total=9, source=9, target=9, failures=1, not_after=1030.0)
    turns = Turns(str(tmp_path), [Route("a", "b")] * 2, limits)
    told: dict[int, MoveReport] = {}
    reports = HostMoves(
        "a", moves, turns, lambda: True, lambda number: None, told.__setitem__, lambda seconds: None
    ).run()
    assert asked == ["read"]
    words = "it was not begun: migrate_libvirt_not_after has passed"
    assert [(each.outcome, each.errors) for each in reports.values()] == [("refused", [words])] * 2
    assert [*told] == [0]


def test_when_the_run_of_ansible_has_ended_none_begins(run):
    outcomes, log, reports = run(("moved", 1), goes_on=lambda: False)
    assert (outcomes, log) == ({0: "refused"}, [])
    assert reports[0].errors == ["the run of Ansible has ended"]


def test_one_that_is_lost_keeps_its_place_as_it_may_still_migrate(run):
    outcomes, log, reports = run(("lost", 1), ("moved", 1), target=1)
    assert outcomes == {0: "lost", 1: "refused"}
    assert "vm-1 begins" not in log
    assert "migrate_libvirt_parallel_target" in reports[1].errors[0]


def test_a_call_that_failed_without_its_guest_on_the_source_keeps_its_place_as_well(run):
    outcomes, _log, _reports = run(("gone", 1), ("moved", 1), target=1)
    assert outcomes == {0: "failed", 1: "refused"}


def test_others_go_on_where_there_is_a_place_beside_one_that_is_lost(run):
    outcomes, log, _reports = run(("lost", 1), ("moved", 2), ("moved", 1), target=2)
    assert outcomes == {0: "lost", 1: "moved", 2: "moved"}
    assert log.index("vm-1 ends") < log.index("vm-2 begins")
