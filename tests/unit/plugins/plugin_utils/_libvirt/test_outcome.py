# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an operator is told in the end."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.move import MoveReport
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.outcome import (
    Attempt,
    Whereabouts,
    result,
)
from ansible_collections.vfio.migration.tests.unit.domains import UUID

NOTHING = {"chosen": [], "left": [], "targets": [], "avoid": [], "notes": []}


def migration(vm: str, host: str = "a", target: str = "b"):
    one = {"vm": vm, "host": host, "target": target, "placements": []}
    return one | {"uuid": UUID, "persistent": True}


_ids = itertools.count()


def state(vm: str, how: str, reason: str | None = None, host: str = "a", id_: str | None = None):
    """Return how far a device has come, another one each time where ``id_`` does not name one."""
    source = {"host": host, "kind": "mdev", "id": id_ or str(next(_ids))}
    return {"vm": vm, "source": source, "target": {}, "state": how, "reason": reason}


def told(*going: dict, attempts=(), ended=(), waiting=(), unplaced=(), checks=None, **others):
    checks = checks or NOTHING
    migrations = {"going": [*going], "waiting": [*waiting], "ended": [*ended]}
    return result(checks, migrations, unplaced, attempts, **others)


def came(vm, states, said=(), now=None):
    """Return the attempt of a guest that has moved by its host's word, or that is ``now`` somewhere."""
    report = MoveReport("moved" if now is None else "failed")
    return Attempt(vm, "a", [*said], states, report=report, now=now)


def test_nothing_to_do_is_said():
    assert told() == {"stay": [], "sentences": ["there is no guest to move"], "failure": None}


def test_a_guest_of_a_later_wave_stays_until_the_playbook_is_run_again():
    attempt = came("vm-1", [state("vm-1", "moved")])
    found = told(migration("vm-1"), attempts=[attempt], waiting=[migration("vm-2", "c")])
    assert [(each["vm"], each["host"]) for each in found["stay"]] == [("vm-2", "c")]
    assert found["sentences"][0] == "vm-1 has moved from a to b"
    told_first, told_why = found["sentences"][1:]
    assert told_first == "vm-2 stays on c:"
    assert "run the same command again" in told_why
    assert found["failure"] == (
        "these guests move after those that have moved now: vm-2; run the same command again"
    )


@pytest.mark.parametrize("left", ["prepared", "unclear", "planned"])
def test_a_guest_has_moved_though_an_earlier_plan_made_another_target_for_it(left):
    states = [state("vm-1", left, id_="1"), state("vm-1", "moved", id_="1"), state("vm-1", "done")]
    assert came("vm-1", states).moved
    assert not came("vm-1", states[:1]).moved


@pytest.mark.parametrize("states", [["moved"], ["done"], ["moved", "done"]])
def test_a_guest_that_libvirt_has_on_its_target_and_that_holds_its_devices_there_has_moved(states):
    """Whatever went wrong with the call that has sent it."""
    own = [state("vm-1", each) for each in states]
    others = [state("vm-2", "planned"), state("vm-1", "planned", host="c")]
    attempt = came("vm-1", own + others, ["virsh: error"], Whereabouts.TARGET)
    found = told(migration("vm-1"), attempts=[attempt])
    assert found["sentences"] == ["vm-1 has moved from a to b"]
    assert found["stay"] == []
    assert found["failure"] is None


@pytest.mark.parametrize("outcome", ["failed", "aborted", "lost", "stuck", "refused"])
@pytest.mark.parametrize("now", [None, *Whereabouts])
def test_that_a_guest_holds_its_devices_on_its_target_proves_nothing_by_itself(outcome, now):
    """The half that a crashed source has left there holds them as well."""
    attempt = lost([state("vm-1", "moved")], outcome=outcome, now=now)
    assert attempt.moved == (now in (Whereabouts.TARGET, Whereabouts.TARGET_AT_LEAST))
    # Who is on its target, and holds its devices elsewhere, has not moved with them.
    assert not lost([state("vm-1", "prepared")], outcome=outcome, now=now).moved


@pytest.mark.parametrize(("outcome", "on_its_way"), [("failed", False), ("lost", True)])
def test_of_a_half_on_the_target_it_is_told_what_to_do(outcome, on_its_way):
    attempt = lost([state("vm-1", "moved")], outcome=outcome, now=Whereabouts.HALF)
    (stays,) = told(migration("vm-1"), attempts=[attempt])["stay"]
    assert stays["target"] == ("b" if on_its_way else None)
    assert stays["said"][0] == (
        "a does not run it any more, and on b it is paused and not known to be complete;"
        f" if virsh domstate --reason {UUID} there goes on to say migration or starting up,"
        f" remove that half with virsh destroy {UUID}, start the guest on a, and run this again"
    )


def test_a_guest_with_devices_that_has_ended_stays_though_nobody_holds_these():
    attempt = lost([state("vm-1", "unclear", "vm-1 holds neither")], now=Whereabouts.NOWHERE)
    (stays,) = told(migration("vm-1"), attempts=[attempt])["stay"]
    assert (stays["said"][0], stays["target"]) == ("it does not run any more", None)


@pytest.mark.parametrize(
    ("said", "states", "why"),
    [
        (["virsh: error: x"], [state("vm-1", "prepared")], ["virsh: error: x"]),
        (
            [],
            [state("vm-1", "unclear", "b: no facts"), state("vm-1", "unclear", "b: no facts")],
            ["b: no facts"],
        ),
        (
            ["virsh: error: x"],
            [state("vm-1", "unclear", "b: no facts"), state("vm-1", "moved")],
            ["virsh: error: x", "b: no facts"],
        ),
        (
            [],
            [state("vm-1", each) for each in ("migrating", "prepared", "moved", "migrating")],
            ["its devices are migrating and prepared"],
        ),
        ([], [state("vm-2", "moved")], ["its devices are not known to have moved"]),
    ],
)
def test_a_guest_that_has_not_moved_stays_with_the_reason(said, states, why):
    found = told(migration("vm-1"), attempts=[Attempt("vm-1", "a", said, states)])
    assert found["stay"] == [
        {"vm": "vm-1", "host": "a", "said": why, "target": None, "waits": False}
    ]
    assert found["sentences"] == ["vm-1 stays on a:", *(f"  {line}" for line in why)]
    assert found["failure"] == (
        "these guests have not moved, for the reasons shown before: vm-1;"
        " fix that and run this again for them"
    )


def test_a_guest_whose_host_went_away_stays():
    found = told(migration("vm-1"))
    (stays,) = found["stay"]
    assert (stays["said"], stays["target"]) == (["a does not answer any more"], None)


def test_in_check_mode_guests_would_move():
    found = told(migration("vm-1"), only_checked=True)
    assert found["sentences"] == ["vm-1 would move from a to b"]
    assert found["failure"] is None


def test_a_guest_that_ended_before_it_was_prepared_is_told():
    attempt = came("vm-2", [state("vm-2", "done")])
    ended = [{"vm": None, "source": {"host": "a", "id": 1}, "target": {"host": "b"}}]
    assert told(migration("vm-2"), attempts=[attempt], ended=ended)["stay"] == [
        {
            "vm": "the guest that had 1",
            "host": "a",
            "said": ["it does not run any more"],
            "target": None,
            "waits": False,
        }
    ]


def test_all_that_stay_are_told_with_the_checks_reasons_first():
    def unplaced(vm: str | None, number: int, *reasons: tuple):
        told_of = [{"host": host, "reason": reason} for host, reason in reasons]
        return {"vm": vm, "source": {"host": "a", "id": str(number)}, "reasons": told_of}

    left = {"vm": "vm-0", "host": None, "reason": "start the guest"}
    found = told(
        checks=NOTHING | {"left": [left], "notes": ["c is excluded: x"]},
        unplaced=[
            unplaced("vm-2", 2, ("b", "no room"), (None, "too many")),
            unplaced("vm-1", 1, ("b", "it is old\nvery old")),
            unplaced("vm-2", 3, ("b", "no room")),
            unplaced(None, 4),
        ],
    )
    assert found["sentences"] == [
        "vm-0 stays:",
        "  start the guest",
        "the guest that had 4 stays on a:",
        "  it does not run any more",
        "vm-1 stays on a:",
        "  1: b: it is old",
        "  very old",
        "vm-2 stays on a:",
        "  2: b: no room",
        "  2: too many",
        "  3: b: no room",
        "c is excluded: x",
    ]
    assert "vm-0, the guest that had 4, vm-1, vm-2;" in found["failure"]


def test_what_is_not_as_before_is_a_failure_although_the_guest_has_moved():
    attempt = Attempt(
        *("vm-1", "a", ["it does not start with its new host"], [state("vm-1", "moved")]),
        log="qemu: 0000:01:10.0: failed to set device state",
        report=MoveReport("moved"),
    )
    found = told(migration("vm-1"), attempts=[attempt], problems=["c: no room"])
    assert found["sentences"] == ["vm-1 has moved from a to b"]
    assert found["failure"] == (
        "vm-1 has moved, but QEMU on b says: qemu: 0000:01:10.0: failed to set device state;"
        " vm-1 has moved, but it does not start with its new host; c: no room"
    )


def test_what_went_wrong_before_the_guest_was_there_after_all_is_none_of_its_problems():
    moved = [state("vm-1", "moved")]
    attempt = came("vm-1", moved, ["libvirt: timed out"], Whereabouts.TARGET)
    assert told(migration("vm-1"), attempts=[attempt])["failure"] is None


def test_a_guest_without_devices_has_moved_where_libvirt_says_so():
    for outcome, moved in (("moved", True), ("failed", False)):
        attempt = Attempt("plain", "a", [], [], report=MoveReport(outcome), devices=False)
        assert attempt.moved == moved
    assert not Attempt("plain", "a", [], [], devices=False).moved


# --- whose end nobody has seen ---


def lost(states=(), devices=True, outcome="lost", **known):
    report = MoveReport(outcome, errors=["a does not answer any more"])
    said = [*report.errors]
    return Attempt("vm-1", "a", said, states, report=report, devices=devices, **known)


# The last one: its new host, which would have to say that it has come, is silent.
@pytest.mark.parametrize("outcome", ["lost", "stuck", "moved"])
@pytest.mark.parametrize(
    ("states", "at_work", "on_its_way"),
    [
        (["migrating"], False, True),
        (["unclear"], False, True),
        ([], False, True),
        # What sends it is at work, and its new host has not come to it yet.
        (["prepared"], True, True),
        (["prepared"], False, False),
        (["moved", "unclear"], False, True),
    ],
)
def test_a_guest_whose_end_nobody_has_seen_is_on_its_way_unless_the_kernels_know_better(
    outcome, states, at_work, on_its_way
):
    attempt = lost([state("vm-1", each) for each in states], at_work=at_work, outcome=outcome)
    assert attempt.may_be_migrating == on_its_way
    found = told(migration("vm-1"), attempts=[attempt])
    assert ("vm-1 may be on its way from a to b:" in found["sentences"]) == on_its_way
    assert (
        "the outcome of the migration of these guests is unknown" in (found["failure"] or "")
    ) == on_its_way
    assert ("vm-1 stays on a:" in found["sentences"]) == (not on_its_way and not attempt.moved)


@pytest.mark.parametrize("outcome", ["lost", "stuck"])
@pytest.mark.parametrize("now", [None, Whereabouts.UNKNOWN, Whereabouts.HALF])
def test_who_holds_its_devices_on_its_target_may_be_on_its_way_until_libvirt_has_it_there(
    outcome, now
):
    states = [state("vm-1", "moved")]
    assert lost(states, outcome=outcome, now=now).may_be_migrating
    assert not lost(states, outcome=outcome, now=Whereabouts.TARGET).may_be_migrating
    assert not lost(states, outcome="moved", now=now).may_be_migrating


@pytest.mark.parametrize("outcome", ["failed", "aborted", "refused"])
def test_a_guest_whose_host_has_seen_the_end_is_not_on_its_way(outcome):
    assert not lost([state("vm-1", "unclear")], at_work=True, outcome=outcome).may_be_migrating


@pytest.mark.parametrize("outcome", ["failed", "aborted"])
@pytest.mark.parametrize(
    ("state_there", "known"),
    [
        ("running (unpaused)", True),
        ("paused (user)", True),
        ("shut off (shutdown)", True),
        ("shut off (crashed)", True),
        ("unknown", False),
        (None, False),
        # Libvirt there was about to let the target go on with it, or has.
        ("paused (migration)", False),
        ("shut off (migrated)", False),
    ],
)
def test_the_end_of_a_call_that_failed_is_known_where_the_guest_is_seen_on_its_source(
    outcome, state_there, known
):
    """Libvirt there may have restarted meanwhile: the guest is gone, or it does not say."""
    report = MoveReport(outcome, state=state_there, looked=True)
    assert report.end_is_known == known
    # A guest that is off there may be on its target all the same.
    assert report.was_seen_after == (known and not state_there.startswith("shut off"))
    on_its_way = [state("vm-1", "migrating")]
    attempt = Attempt("vm-1", "a", [], on_its_way, report=report)
    assert attempt.may_be_migrating == (not known)
    back = dataclasses.replace(attempt, states=[state("vm-1", "prepared")])
    assert not back.may_be_migrating
    # It failed before libvirt was asked to send anything, and nobody has looked where it is.
    assert MoveReport(outcome).end_is_known
    assert not MoveReport(outcome).was_seen_after


@pytest.mark.parametrize(
    ("now", "at_work", "moved", "on_its_way"),
    [
        (Whereabouts.SOURCE, False, False, False),
        # What sends it has not come to its new host yet.
        (Whereabouts.SOURCE, True, False, True),
        # It has ended.
        (Whereabouts.NOWHERE, False, False, False),
        (Whereabouts.NOWHERE, True, False, True),
        (Whereabouts.TARGET, False, True, False),
        (Whereabouts.TARGET, True, True, False),
        (Whereabouts.UNKNOWN, False, False, True),
        (Whereabouts.HALF, False, False, True),
        (None, False, False, True),
    ],
)
def test_of_a_guest_without_devices_libvirt_of_both_hosts_says_where_it_is(
    now, at_work, moved, on_its_way
):
    attempt = lost(devices=False, now=now, at_work=at_work)
    assert (attempt.moved, attempt.may_be_migrating) == (moved, on_its_way)
