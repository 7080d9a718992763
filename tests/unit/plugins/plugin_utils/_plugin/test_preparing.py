# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the playbook ``prepare`` decides between its plays, for hosts that answer as they like."""

from __future__ import annotations

import json
import os
import typing as t
from copy import deepcopy
from pathlib import Path

import pytest
from ansible.utils.display import Display
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin import preparing
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.clock import now
from ansible_collections.vfio.migration.tests.unit.fleets import UUIDS, device, host, parent
from ansible_collections.vfio.migration.tests.unit.libvirt_answers import host_info, libvirt_info

KINDS = ("devices", "pci_devices", "vdpa_devices")
SKIPPED = {"changed": False, "skipped": True}
# Each device takes two.
SMALL = {"i915-GVTg_V5_4": 4}
FIRST, SECOND = "0000:00:02.0", "0000:00:03.0"


class Hosts(dict[str, dict[str, t.Any]]):
    """``hostvars`` of hosts: a with guests, b and c with two parents that have room for two devices each."""

    def __init__(self, guests: int = 2) -> None:
        super().__init__()
        devices = [device(UUIDS[n], vm=f"vm-{n}", pid=n) for n in range(1, guests + 1)]
        self.answer("a", host(devices, [parent(available={})]))
        for name in "bc":
            self.answer(name, host([], [parent(each, available=SMALL) for each in (FIRST, SECOND)]))

    def answer(self, name: str, facts: t.Any) -> None:
        found = {"ansible_facts": {"vfio_migration": facts}}
        self[name] = {**found, "prepare_gathered": found}

    def results(self, name: str, mdev: t.Any) -> None:
        self[name].update(zip(preparing.MADE.values(), (mdev, SKIPPED, SKIPPED)))

    def make(self, run: t.Any, but: t.Mapping[str, t.Any] | None = None) -> None:
        """Have the hosts make what they are to make; those in ``but`` answer that."""
        for name, tasks in run["tasks"].items():
            made = [{"uuid": each["uuid"], "action": "created"} for each in tasks["devices"]]
            self.results(name, (but or {}).get(name, {"changed": True, "devices": made}))


def refusal(uuid: str, errno: str = "EIO", step: str = "create") -> dict[str, t.Any]:
    return {"failed": True, "msg": f"{uuid}: {errno}", "device": uuid, "step": step, "errno": errno}


@pytest.fixture
def begin(tmp_path):
    def begin(fleet: Hosts, check_mode: bool = False, **options: t.Any) -> t.Any:
        given = {
            "hosts": [*fleet],
            "dest": str(tmp_path / "plan.json"),
            "attempts": 3,
            "timeout": 10,
        }
        return preparing.begin({**given, "drain": "a", **options}, fleet, check_mode)

    return begin


def places(run: t.Any) -> dict[str, tuple[str, str]]:
    found = {each["vm"]: each["target"] for each in run["plan"]["placements"]}
    return {vm: (target["host"], target["parent"]) for vm, target in found.items()}


def written(run: t.Any) -> list[tuple[str, str]]:
    with open(run["progress"], encoding="utf-8") as file:
        found = json.load(file)["placements"]
    return sorted((each["target"]["host"], each["target"]["id"]) for each in found)


def test_what_is_to_be_made_is_written_down_before_it_is_made(begin):
    hosts = Hosts()
    run = preparing.plan_next(begin(hosts), hosts)
    assert run["participants"] == ["b"]
    assert written(run) == [("b", UUIDS[1]), ("b", UUIDS[2])]
    with open(run["dest"], encoding="utf-8") as file:
        assert json.load(file) == run["plan"]
    hosts.make(run)
    run = preparing.end(preparing.plan_next(run, hosts), hosts)
    assert (run["failure"], run["undo"], run["left"]) == (None, {}, {})
    assert written(run) == [("b", UUIDS[1]), ("b", UUIDS[2])]
    assert run["progress"] in run["sentences"][-1]


def test_where_it_is_written_down_is_told_before_anything_is_made(begin):
    hosts = Hosts()
    run = preparing.plan_next(begin(hosts), hosts)
    assert run["dest"] in run["place"]
    assert run["progress"] in run["place"]
    assert f"vfio.migration.cleanup -e cleanup_from={run['dest']}" in run["place"]


def test_a_file_that_another_run_works_with_stops_this_one_before_anything_is_made(
    begin, monkeypatch
):
    hosts = Hosts()
    first, second = begin(hosts), begin(hosts)
    with monkeypatch.context() as patch:
        # As for a task of another run, which goes on.
        patch.setattr(os, "getppid", os.getpid)
        preparing.plan_next(first, hosts)
    for step in (lambda: preparing.plan_next(second, hosts), lambda: begin(hosts)):
        with pytest.raises(
            FleetError, match=f"{first['progress']} is in use: process {os.getpid()}"
        ):
            step()
    begin(hosts, check_mode=True)


def test_what_a_later_guest_takes_over_is_verified_and_told_with_its_wave(begin):
    hosts = Hosts(1)
    del hosts["c"]
    hosts.answer("b", host([device(UUIDS[5], vm="vm-b", pid=50)], [parent(available={})]))
    hosts.answer("c", host([], [parent(available={"i915-GVTg_V5_4": 2})]))
    moved = [{"host": "a", "id": UUIDS[1]}, {"host": "b", "id": UUIDS[5]}]
    asked = {"drain": None, "sources": moved, "targets": ["b", "c"]}
    run = preparing.plan_next(begin(hosts, **asked), hosts)
    assert run["failure"] is not None
    run = preparing.plan_next(begin(hosts, **asked, reuse=True), hosts)
    waves = {each["vm"]: each["wave"] for each in run["plan"]["placements"]}
    assert waves == {"vm-1": 2, "vm-b": 1}
    hosts.make(run)
    run = preparing.end(preparing.plan_next(run, hosts), hosts)
    assert (run["failure"], run["undo"]) == (None, {})
    told = [each for each in run["sentences"] if " -> " in each]
    assert [each.rpartition(", ")[2] for each in told] == ["in wave 2", "in wave 1"]
    # What was there is not what was made for it.
    assert written(run) == [("c", UUIDS[5])]


def test_a_guest_that_no_facts_have_is_told_of(begin, monkeypatch):
    told = []
    monkeypatch.setattr(Display, "warning", lambda _self, message: told.append(message))
    hosts = Hosts()
    run = preparing.plan_next(begin(hosts, apart=[["vm-1", "vm-l"]]), hosts)
    assert run["plan"]["placements"]
    assert told == ["apart has 'vm-l', and no guest in the facts has this name or UUID"]


def test_check_mode_writes_nothing(begin, tmp_path):
    hosts = Hosts()
    run = preparing.plan_next(begin(hosts, check_mode=True), hosts)
    hosts.make(run)
    run = preparing.end(preparing.plan_next(run, hosts), hosts)
    assert run["failure"] is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"drain": "a,z"},
            "prepare_drain has 'z', which is none of the hosts of prepare_hosts: a, b, c",
        ),
        (
            {"drain": "a*"},
            "has 'a\\*', which is none of the hosts .*; prepare_drain takes names of hosts, no groups or patterns$",
        ),
        ({"targets": "b,z"}, "targets has 'z'"),
        ({"hosts": []}, "no host of the inventory matches prepare_hosts"),
        ({"drain": None}, "nothing is named to move: set prepare_drain"),
        (
            {"guests": "vm-1"},
            "set hosts with prepare_drain .*, or guests with prepare_guests .*, not both",
        ),
        ({"drain": None, "lost": "a", "sources": ["vm-1"]}, "set hosts with prepare_drain"),
        ({"attempts": 0}, "attempts is 0; expected a number, 1 or more"),
        ({"attempts": 9}, "attempts is 9; expected 5 at most"),
        ({"earlier": "/nowhere/plan.json"}, "there is no file /nowhere/plan.json"),
    ],
)
def test_what_is_wrong_is_said_before_any_host_is_asked(begin, options, words):
    with pytest.raises(FleetError, match=words):
        begin(Hosts(), **options)


def test_a_text_with_commas_is_a_list(begin):
    run = begin(Hosts(), drain="a, b")
    assert run["options"]["drain"] == ["a", "b"]


def test_a_guest_that_nobody_has_stops_it(begin):
    hosts = Hosts()
    run = begin(hosts, drain=None, sources=["vm-1", "vm-9"])
    with pytest.raises(FleetError, match="'vm-9'"):
        preparing.plan_next(run, hosts)


def test_only_hosts_that_answered_in_this_run_count_and_others_are_named(begin):
    hosts = Hosts()
    hosts["b"]["prepare_gathered"] = {"unreachable": True, "msg": "no route"}
    run = preparing.plan_next(begin(hosts), hosts)
    assert {where for where, _parent in places(run).values()} == {"c"}
    hosts.make(run)
    run = preparing.end(preparing.plan_next(run, hosts), hosts)
    assert "b is excluded: it did not answer: no route" in run["sentences"]


@pytest.mark.parametrize("targets", [None, ["b", "c"], ["c"]])
def test_no_plan_proves_that_a_host_which_did_not_answer_has_no_room(begin, targets):
    hosts = Hosts(3)
    hosts["b"]["prepare_gathered"] = {"unreachable": True, "msg": "no route"}
    there = hosts["c"]["prepare_gathered"]["ansible_facts"]["vfio_migration"]["parents"]
    for each in [mdev_type for parents in there for mdev_type in parents["types"]]:
        each["available_instances"] = 0
    run = preparing.plan_next(begin(hosts, targets=targets, partial=True), hosts)
    plan = run["plan"]
    if targets == ["c"]:
        assert (plan["status"], plan.get("assumptions")) == ("infeasible", None)
        return
    assert plan["status"] == "unproven"
    assert plan["unknown"] == ["b"]
    (assumed,) = plan["assumptions"]
    assert assumed == "there are no usable facts of b, where there may be a place"


def test_a_host_to_be_emptied_must_answer(begin):
    hosts = Hosts()
    hosts["a"]["prepare_gathered"] = {"unreachable": True, "msg": "no route"}
    with pytest.raises(FleetError, match=r"cannot drain a: .* no route"):
        preparing.plan_next(begin(hosts), hosts)


def test_what_a_lost_host_had_is_made_elsewhere_by_its_last_facts(begin):
    hosts = Hosts()
    hosts["a"]["prepare_gathered"] = {"unreachable": True, "msg": "no route"}
    run = preparing.plan_next(begin(hosts, drain=None, lost="a"), hosts)
    assert {vm: where for vm, (where, _parent) in places(run).items()}.keys() == {"vm-1", "vm-2"}
    assert run["plan"]["request"]["lost"] == {"a": "2026-11-26T17:20:00Z"}
    assert run["plan"]["request"]["drain"] == ["a"]
    first = run["participants"][0]
    hosts.make(run, {first: refusal(UUIDS[1])})
    # The next plan is for the same.
    run = preparing.plan_next(run, hosts)
    assert run["plan"]["request"]["lost"] == {"a": "2026-11-26T17:20:00Z"}
    hosts.make(run)
    run = preparing.end(preparing.plan_next(run, hosts), hosts)
    assert run["failure"] is None
    assert "a is lost: what it had is known as of 2026-11-26T17:20:00Z" in run["sentences"]
    assert not any("is excluded" in each for each in run["sentences"])


@pytest.mark.parametrize(
    ("facts", "answer", "words"),
    [
        (True, {}, "it is not known that a is lost"),
        (True, {"failed": True, "msg": "no Python"}, "it is not known that a is lost"),
        (False, {"unreachable": True, "msg": "no route"}, "cannot drain a: no facts are known"),
    ],
)
def test_no_guess_is_made_of_a_lost_host(begin, facts, answer, words):
    hosts = Hosts()
    if answer:
        hosts["a"]["prepare_gathered"] = answer
    if not facts:
        del hosts["a"]["ansible_facts"]
    with pytest.raises(FleetError, match=words):
        preparing.plan_next(begin(hosts, drain=None, lost=["a"]), hosts)


@pytest.fixture
def cached(begin):
    """Begin with facts that were gathered before this run."""

    def cached(hosts: Hosts, **options: t.Any) -> t.Any:
        for each in hosts.values():
            each.pop("prepare_gathered", None)
        return begin(hosts, gather=False, **{"max_age": 0, **options})

    return cached


def test_before_anything_is_made_by_a_plan_from_old_facts_its_hosts_are_asked(cached, tmp_path):
    hosts = Hosts()
    run = cached(hosts)
    assert run["asked_hosts"] == []
    run = preparing.plan_next(run, hosts)
    assert run["participants"] == ["a", "b"]
    assert all(not any(run["tasks"][each][kind] for kind in KINDS) for each in "ab")
    assert list(tmp_path.iterdir()) == []
    # The others are not asked in any pass.
    for name in "ab":
        hosts.answer(name, hosts[name]["ansible_facts"]["vfio_migration"])
    planned = places(run)
    run = preparing.plan_next(run, hosts)
    assert (places(run), run["participants"]) == (planned, ["b"])
    assert written(run) == [("b", UUIDS[1]), ("b", UUIDS[2])]
    hosts.make(run)
    run = preparing.end(preparing.plan_next(run, hosts), hosts)
    assert run["failure"] is None
    assert not any("no host was asked" in each for each in run["sentences"])


def test_what_does_not_hold_of_old_facts_is_planned_anew_on_hosts_that_are_asked_then(cached):
    hosts = Hosts()
    run = preparing.plan_next(cached(hosts), hosts)
    # One guest has gone, another has come, and there is no room for it any more where it was.
    devices = [device(UUIDS[n], vm=f"vm-{n}", pid=n) for n in (2, 3)]
    hosts.answer("a", host(devices, [parent(available={})]))
    hosts.answer("b", host([], [parent(FIRST, available={})]))
    run = preparing.plan_next(run, hosts)
    assert run["participants"] == ["c"]
    assert not run["written"]
    hosts.answer("c", hosts["c"]["ansible_facts"]["vfio_migration"])
    run = preparing.plan_next(run, hosts)
    assert {vm: where for vm, (where, _parent) in places(run).items()} == {"vm-2": "c", "vm-3": "c"}
    hosts.make(run)
    assert preparing.plan_next(run, hosts)["failure"] is None


def test_a_guest_that_is_gone_since_facts_were_gathered_is_named(cached):
    hosts = Hosts()
    run = preparing.plan_next(cached(hosts), hosts)
    # One guest has gone, and then all.
    for guests in ([2], []):
        some = deepcopy(run)
        devices = [device(UUIDS[n], vm=f"vm-{n}", pid=n) for n in guests]
        hosts.answer("a", host(devices, [parent(available={})]))
        hosts.answer("b", hosts["b"]["ansible_facts"]["vfio_migration"])
        some = preparing.plan_next(some, hosts)
        if guests:
            hosts.make(some)
            some = preparing.plan_next(some, hosts)
        ended = preparing.end(some, hosts)
        assert ended["failure"] is None
        assert [each.split()[0] for each in ended["sentences"] if "is left out" in each] == [
            f"vm-{n}" for n in (1, 2) if n not in guests
        ]
    assert "there is nothing to move" in ended["sentences"]
    assert (
        "vm-1 held devices of a by facts gathered earlier, and holds none there now: it is left out of the plan"
        in ended["sentences"]
    )


@pytest.mark.parametrize("answer", [{"unreachable": True, "msg": "no route"}, {}])
def test_of_a_host_that_does_not_answer_old_facts_are_no_ground(cached, answer):
    hosts = Hosts()
    run = preparing.plan_next(cached(hosts), hosts)
    hosts.answer("a", hosts["a"]["ansible_facts"]["vfio_migration"])
    hosts["b"]["prepare_gathered"] = answer
    run = preparing.plan_next(run, hosts)
    assert run["participants"] == ["c"]
    hosts = Hosts()
    run = preparing.plan_next(cached(hosts), hosts)
    hosts["a"]["prepare_gathered"] = answer
    with pytest.raises(FleetError, match="cannot drain a: it did not answer"):
        preparing.plan_next(run, hosts)


def test_a_fleet_that_is_another_each_time_is_given_up(cached):
    hosts = Hosts()
    for name in "defg":
        hosts.answer(name, hosts["b"]["ansible_facts"]["vfio_migration"])
    run = preparing.plan_next(cached(hosts, attempts=5), hosts)
    while run["participants"]:
        for name in run["participants"]:
            facts = hosts["a"]["ansible_facts"]["vfio_migration"] if name == "a" else host()
            hosts.answer(name, facts)
        run = preparing.plan_next(run, hosts)
    assert run["attempt"] == preparing.MOST_ATTEMPTS
    assert "gather the facts of all hosts again" in preparing.end(run, hosts)["failure"]


def test_who_has_answered_in_this_run_for_this_plan_is_not_asked_again(begin):
    hosts = Hosts()
    assert begin(hosts)["stale"] == ["a", "b", "c"]
    run = begin(hosts, answered=True)
    assert run["stale"] == []
    assert preparing.plan_next(run, hosts)["participants"] == ["b"]


def test_answers_of_an_earlier_playbook_are_forgotten_before_hosts_are_asked(cached):
    hosts = Hosts()
    run = cached(hosts)
    hosts["b"]["prepare_gathered"] = hosts["c"]["prepare_gathered"] = {"changed": False}
    assert preparing.plan_next(run, hosts)["stale"] == ["b"]


def test_in_check_mode_nobody_is_asked_and_the_age_of_the_facts_is_told(cached, tmp_path):
    hosts = Hosts()
    run = preparing.plan_next(cached(hosts, check_mode=True), hosts)
    assert (run["participants"], run["failure"]) == ([], None)
    run = preparing.end(run, hosts)
    assert set(places(run)) == {"vm-1", "vm-2"}
    assert any("no host was asked" in each for each in run["sentences"])
    assert list(tmp_path.iterdir()) == []


def as_of(hosts: Hosts, name: str, time: str) -> dict[str, t.Any]:
    facts = hosts[name]["ansible_facts"]["vfio_migration"]
    return {**facts, "gathered": {"time": time, "boot": None}}


def test_old_facts_are_believed_up_to_an_age_and_those_of_this_run_whatever_the_clock(cached):
    hosts = Hosts()
    long_ago = "2001-01-01T00:00:00Z"
    for name, time in (("a", long_ago), ("b", long_ago), ("c", now())):
        hosts.answer(name, as_of(hosts, name, time))
    with pytest.raises(FleetError, match=r"cannot drain a: the facts are .* old, and 1 h"):
        preparing.plan_next(cached(hosts, max_age=None), hosts)
    hosts.answer("a", as_of(hosts, "a", now()))
    run = preparing.plan_next(cached(hosts, max_age=None), hosts)
    assert run["participants"] == ["a", "c"]
    assert run["plan"]["unknown"] == ["b"]
    for name in "ac":
        hosts.answer(name, as_of(hosts, name, long_ago))
    run = preparing.plan_next(run, hosts)
    assert (run["participants"], run["written"]) == (["c"], True)


def test_a_parent_that_fails_is_avoided(begin):
    hosts = Hosts(1)
    run = preparing.plan_next(begin(hosts), hosts)
    first = places(run)["vm-1"]
    hosts.make(run, {first[0]: refusal(UUIDS[1])})
    run = preparing.plan_next(run, hosts)
    assert places(run)["vm-1"] not in (first, None)
    hosts.make(run)
    assert preparing.plan_next(run, hosts)["failure"] is None


def test_when_the_attempts_are_used_up_all_is_undone_on_every_host(begin):
    hosts = Hosts(4)
    run = preparing.plan_next(begin(hosts, attempts=1, limit=2), hosts)
    assert run["participants"] == ["b", "c"]
    hosts.make(run, {"c": refusal(UUIDS[3])})
    run = preparing.plan_next(run, hosts)
    assert run["participants"] == []
    assert "1 plan failed" in run["failure"]
    assert run["undo_hosts"] == ["b"]
    made = [each["uuid"] for each in run["undo"]["b"]["devices"]]
    assert len(made) == 2
    hosts["b"].update(cleanup_result={"changed": True}, cleanup_gathered=facts_of())
    ended = preparing.end(run, hosts)
    assert "Nothing that was made is left" in ended["failure"]
    assert written(ended) == []


def test_the_last_word_comes_though_it_can_no_longer_be_written_down(begin):
    hosts = Hosts(4)
    run = preparing.plan_next(begin(hosts, attempts=1, limit=2), hosts)
    hosts.make(run, {"c": refusal(UUIDS[3])})
    run = preparing.plan_next(run, hosts)
    hosts["b"].update(cleanup_result={"changed": True}, cleanup_gathered=facts_of())
    progress = Path(run["progress"])
    progress.unlink()
    progress.mkdir()
    ended = preparing.end(run, hosts)
    assert "Nothing that was made is left" in ended["failure"]
    assert f"{progress} still names what has been removed" in ended["failure"]


def facts_of(*uuids: str) -> dict[str, t.Any]:
    facts = host([device(each) for each in uuids])
    return {"ansible_facts": {"vfio_migration": facts}}


@pytest.mark.parametrize(
    ("result", "seen", "words"),
    [
        ({"failed": True, "msg": "EBUSY"}, True, "EBUSY"),
        # It says that it has removed them, and still has them.
        ({"changed": True}, True, ""),
        ({"unreachable": True, "msg": "no route"}, False, "no route"),
    ],
)
def test_the_last_word_lists_what_is_left_where_and_how_to_remove_it(begin, result, seen, words):
    hosts = Hosts(4)
    run = preparing.plan_next(begin(hosts, attempts=1, limit=2), hosts)
    hosts.make(run, {"c": refusal(UUIDS[3])})
    run = preparing.plan_next(run, hosts)
    made = [each["uuid"] for each in run["undo"]["b"]["devices"]]
    answer = facts_of(made[0]) if seen else result
    hosts["b"].update(cleanup_result=result, cleanup_gathered=answer)
    ended = preparing.end(run, hosts)
    assert f"b still has {made[0]}" in ended["failure"]
    assert words in ended["failure"]
    assert f"vfio.migration.cleanup -e cleanup_from={run['dest']}" in ended["failure"]
    assert ("b", made[0]) in written(ended)
    assert (("b", made[1]) in written(ended)) is not seen


def test_a_host_that_is_lost_may_have_made_all(begin):
    hosts = Hosts(1)
    run = preparing.plan_next(begin(hosts), hosts)
    (where,) = run["participants"]
    hosts.make(run, {where: {"unreachable": True, "msg": "gone"}})
    hosts[where]["prepare_gathered"] = {"unreachable": True, "msg": "gone"}
    run = preparing.plan_next(run, hosts)
    # The other host gets it, and what may be on the first one is to be removed.
    assert run["participants"] != [where]
    hosts.make(run)
    run = preparing.plan_next(run, hosts)
    assert [each["uuid"] for each in run["undo"][where]["devices"]] == [UUIDS[1]]


def test_a_host_that_has_made_all_and_is_silent_then_receives_nothing(begin):
    hosts = Hosts(1)
    run = preparing.plan_next(begin(hosts), hosts)
    (where,) = run["participants"]
    hosts.make(run)
    hosts[where]["prepare_gathered"] = {"failed": True, "msg": "its answer is no facts"}
    run = preparing.plan_next(run, hosts)
    assert run["participants"] != [where]
    assert run["failed_now"][0]["problem"] == (
        "its facts could not be gathered: its answer is no facts"
    )
    hosts.make(run)
    run = preparing.plan_next(run, hosts)
    assert [each["target"]["host"] for each in run["plan"]["placements"]] != [where]
    assert [each["uuid"] for each in run["undo"][where]["devices"]] == [UUIDS[1]]


# --- one device that no target takes ---------------------------------------------------------------------------------


def settle(run: t.Any, hosts: Hosts, refused: str) -> t.Any:
    """Go on until nothing more is to be made, on hosts that all refuse one device."""
    plans = 0
    while run.get("participants"):
        but = {
            name: refusal(refused)
            for name, tasks in run["tasks"].items()
            if refused in [each["uuid"] for each in tasks["devices"]]
        }
        hosts.make(run, but)
        run = preparing.plan_next(run, hosts)
        plans += 1
    return run | {"plans": plans}


def test_a_device_that_fails_alike_on_two_targets_is_given_up_and_the_rest_moves(begin):
    hosts = Hosts(4)
    run = settle(preparing.plan_next(begin(hosts, partial=True), hosts), hosts, UUIDS[2])
    assert run["failure"] is None
    assert sorted(places(run)) == ["vm-1", "vm-3", "vm-4"]
    (left,) = run["plan"]["unplaced"]
    assert left["vm"] == "vm-2"
    assert "failed in the same way on" in left["reasons"][0]["reason"]
    # No parent is to blame: with two of them, each for two devices, there is no more room than is needed.
    assert run["plans"] == 3


def test_a_device_that_is_given_up_costs_no_attempt(begin):
    hosts = Hosts(4)
    run = preparing.plan_next(begin(hosts, partial=True), hosts)
    for _plan in range(preparing.MOST_ATTEMPTS):
        but = {}
        for name, tasks in run["tasks"].items():
            wanted = [each["uuid"] for each in tasks["devices"]]
            bad = [uuid for uuid in (UUIDS[2], UUIDS[3]) if uuid in wanted]
            if bad:
                but[name] = refusal(bad[0])
        hosts.make(run, but)
        run = preparing.plan_next(run, hosts)
    assert run["failure"] is None
    assert sorted(places(run)) == ["vm-1", "vm-4"]


def test_what_was_made_is_undone_though_nothing_more_can_be_written(begin, tmp_path):
    hosts = Hosts(4)
    run = preparing.plan_next(begin(hosts, limit=2), hosts)
    hosts.make(run, {"c": refusal(UUIDS[3])})
    (tmp_path / "plan.json").unlink()
    (tmp_path / "plan.json").mkdir()
    run = preparing.plan_next(run, hosts)
    assert "cannot write" in run["failure"]
    assert run["undo_hosts"] == ["b"]


def test_no_innocent_parent_is_avoided_for_it(begin):
    hosts = Hosts(4)
    del hosts["c"]
    run = settle(preparing.plan_next(begin(hosts, partial=True), hosts), hosts, UUIDS[2])
    assert run["failure"] is None
    assert sorted(places(run)) == ["vm-1", "vm-3", "vm-4"]


def test_a_parent_that_fails_for_two_devices_is_avoided_all_the_same(begin):
    hosts = Hosts(2)
    del hosts["c"]
    hosts.answer("b", host([], [parent(FIRST, available=SMALL)]))
    run = preparing.plan_next(begin(hosts, partial=True), hosts)
    for uuid in (UUIDS[1], UUIDS[2]):
        assert run["participants"] == ["b"]
        hosts.make(run, {"b": refusal(uuid)})
        run = preparing.plan_next(run, hosts)
    assert places(run) == {}
    assert run["participants"] == []


def test_all_the_devices_of_a_guest_are_given_up_together(begin):
    hosts = Hosts(4)
    both = [device(UUIDS[n], vm="vm-1", pid=1) for n in (1, 2)]
    hosts.answer("a", host([*both, device(UUIDS[3], vm="vm-3", pid=3)], [parent(available={})]))
    run = settle(preparing.plan_next(begin(hosts, partial=True), hosts), hosts, UUIDS[2])
    assert sorted(places(run)) == ["vm-3"]
    assert {each["vm"] for each in run["plan"]["unplaced"]} == {"vm-1"}


def test_failures_in_two_ways_speak_against_the_parents(begin):
    hosts = Hosts(1)
    run = preparing.plan_next(begin(hosts, partial=True), hosts)
    seen = []
    for errno in ("EIO", "ENOSPC"):
        seen.append(places(run)["vm-1"])
        hosts.make(run, {run["participants"][0]: refusal(UUIDS[1], errno)})
        run = preparing.plan_next(run, hosts)
    assert places(run)["vm-1"] not in seen


def test_without_partial_all_attempts_are_used(begin):
    hosts = Hosts(2)
    run = settle(preparing.plan_next(begin(hosts), hosts), hosts, UUIDS[2])
    assert "3 plans failed" in run["failure"]


@pytest.mark.parametrize(
    "answer",
    [
        {"devices": 7},
        {"devices": [7, {"uuid": ["x"], "action": "created"}, {"action": "created"}]},
        {"failed": True, "msg": {"a": 1}, "device": ["x"], "step": 7, "errno": {}},
        {"failed": True, "left": [{"device": {}}], "step": "create"},
        {"changed": True, "devices": [{"uuid": UUIDS[9], "action": "created"}]},
    ],
)
def test_whatever_a_host_answers_only_its_own_part_is_lost(begin, answer):
    hosts = Hosts(4)
    run = preparing.plan_next(begin(hosts, limit=2), hosts)
    hosts.make(run, {"c": answer})
    run = preparing.plan_next(run, hosts)
    assert [each["uuid"] for each in run["made"]["b"]["devices"]]
    assert UUIDS[9] not in json.dumps(run["made"])


def test_a_plan_that_is_refused_is_in_a_file_and_told_in_short(begin, tmp_path):
    hosts = Hosts(guests=6)
    # There is room for four.
    hosts.answer("c", host())
    run = preparing.plan_next(begin(hosts), hosts)
    path = tmp_path / "plan.refused.json"
    assert f"The plan with all reasons is in {path}." in run["failure"]
    refused = json.loads(path.read_text(encoding="utf-8"))
    assert refused == run["plan"]
    assert refused["unplaced"]
    # What an earlier run has written down stays what cleanup goes by.
    assert not (tmp_path / "plan.json").exists()


def test_in_check_mode_a_plan_that_is_refused_is_in_no_file(begin, tmp_path):
    hosts = Hosts(guests=6)
    hosts.answer("c", host())
    run = preparing.plan_next(begin(hosts, check_mode=True), hosts)
    assert "The playbook vfio.migration.report shows them all." in run["failure"]
    assert [*tmp_path.iterdir()] == []


# --- memory ---

MEMORY = "KiB of memory"


def earlier_with(begin, hosts: Hosts, free: t.Mapping[str, int], **options: t.Any) -> t.Any:
    """Return a plan for vm-1, which takes 10 KiB, when hosts had this much free."""
    capacity = {
        "hosts": {name: {MEMORY: kib} for name, kib in free.items()},
        "guests": {"vm-1": {MEMORY: 10, "cpus": 1}},
    }
    for amounts in capacity["hosts"].values():
        amounts["cpus"] = 9
    return preparing.plan_next(begin(hosts, capacity=capacity, **options), hosts)["plan"]


def memory(kib: int) -> dict[str, t.Any]:
    return {"free": kib, "default_huge_page": 2048, "huge_pages": []}


@pytest.mark.parametrize(
    ("then", "now", "there"),
    [
        ({"b": 10, "c": 0}, {"b": 10, "c": 10}, "b"),
        # It fits no more where it was to go.
        ({"b": 10, "c": 0}, {"b": 9, "c": 10}, "c"),
        ({"b": 0, "c": 10}, {"b": 10, "c": 0}, "b"),
        ({"b": 10, "c": 10}, {"b": 9, "c": 9}, None),
        # Whoever does not say what is free receives nobody.
        ({"b": 10, "c": 10}, {"c": 10}, "c"),
        # Nobody says it, so nobody knows.
        ({"b": 10, "c": 0}, {}, "b"),
    ],
)
def test_of_a_plan_that_counts_on_memory_what_is_free_now_counts(begin, then, now, there):
    hosts = Hosts(guests=1)
    earlier = earlier_with(begin, hosts, then)
    run = begin(hosts, drain=None, earlier=earlier, partial=True)
    assert run["memory_hosts"] == ["a", "b", "c"]
    for name, kib in now.items():
        hosts[name]["prepare_memory"] = libvirt_info(host=host_info(memory=memory(kib)))
    run = preparing.plan_next(run, hosts)
    placed = run["plan"]["placements"]
    assert [each["target"]["host"] for each in placed] == ([] if there is None else [there])
    # What was stated of anything else holds.
    assert run["plan"]["conditions"]["capacity"]["guests"]["vm-1"]["cpus"] == 1


def test_libvirt_is_asked_for_memory_only_where_a_plan_counts_on_it_and_may_be_asked(begin):
    hosts = Hosts(guests=1)
    plain = preparing.plan_next(begin(hosts), hosts)["plan"]
    assert begin(hosts, drain=None, earlier=plain)["memory_hosts"] == []
    earlier = earlier_with(begin, hosts, {"b": 10, "c": 10}, spare={MEMORY: 0})
    assert begin(hosts, drain=None, earlier=earlier, capacity={})["memory_hosts"] == []
    run = begin(hosts, drain=None, earlier=earlier, gather=False, max_age=10**9)
    assert run["memory_hosts"] == []
    conditions = preparing.plan_next(run, hosts)["plan"]["conditions"]
    assert MEMORY not in str(conditions["capacity"]) + str(conditions["spare"])
