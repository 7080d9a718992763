# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The steps of the playbook maintain on the control node, with what hosts would answer."""

from __future__ import annotations

import json
import os
import random
import typing as t
from collections import Counter

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin import maintaining
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.maintaining import (
    BACK,
    GATHERED,
    LOOKED,
    back,
    begin,
    end,
    look,
    plan_next,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.plan_options import plan_for
from ansible_collections.vfio.migration.tests.unit.fleets import (
    UUIDS,
    device,
    gvt,
    host,
    parent,
    vf,
)

Facts = dict[str, t.Any]


@pytest.fixture
def facts() -> Facts:
    return {
        "a": host([vf(0, "vm-1", pid=1)], [parent()]),
        "b": host([vf(0, "vm-2", pid=1)], [parent()]),
        "c": host([vf(0)], [parent()]),
    }


@pytest.fixture
def options(tmp_path) -> dict[str, t.Any]:
    (tmp_path / "upgrade/tasks").mkdir(parents=True)
    return {
        "hosts": ["a", "b", "c"],
        "drain": ["a", "b"],
        "role": str(tmp_path / "upgrade"),
        "at_once": 1,
        "keep_order": False,
        "use_returned": True,
        "partial": False,
        "persistent": False,
        "timeout": 5,
        "dest": str(tmp_path),
        "limited": False,
    }


def answers(facts: Facts, *names: str, **failed: str) -> dict[str, t.Any]:
    """Return the variables of hosts that have answered the tasks of these names; some have ``failed``."""
    found: dict[str, t.Any] = {}
    for name, each in facts.items():
        answer: dict[str, t.Any] = {"ansible_facts": {"vfio_migration": each}}
        if name in failed:
            answer = {"failed": True, "msg": failed[name]}
        # A filter reads the facts where every later task of the host finds them.
        found[name] = {"vfio_migration": each, **dict.fromkeys(names, answer)}
    return found


def moved(facts: Facts, source: str, target: str) -> Facts:
    """Return the facts once the guest of a host has moved."""
    guest = facts[source]["devices"][0]["in_use"]
    after = dict(facts)
    for name, holder in ((source, None), (target, guest)):
        first, *rest = facts[name]["devices"]
        after[name] = {**facts[name], "devices": [{**first, "in_use": holder}, *rest]}
    return after


def written(run: t.Any) -> t.Any:
    with open(run["progress"]) as file:
        return json.load(file)


def first_step(options: t.Any, facts: Facts) -> t.Any:
    return plan_next(begin(options, {}, False), answers(facts, GATHERED))


def test_hosts_are_emptied_worked_on_and_back_one_after_another(options, facts):
    run = first_step(options, facts)
    assert (run["now"]["hosts"], run["now"]["drain"], run["now"]["targets"]) == (
        ["a"],
        ["a"],
        ["c"],
    )
    assert len(run["sentences"]) == 3
    facts = moved(facts, "a", "c")
    run = look(run, answers(facts, LOOKED))
    assert [*written(run)["working"]] == ["a"]
    assert run["wanted"] == {"a": ["0000:00:02.0"]}
    run = back(run, answers(facts, BACK))
    assert (written(run)["done"], written(run)["working"]) == (["a"], {})
    run = plan_next(run, answers(facts, GATHERED))
    # It was last taken from a host that has come back: now that is where its guest goes.
    assert (run["now"]["hosts"], run["now"]["targets"]) == (["b"], ["a", "c"])
    facts = moved(facts, "b", "a")
    run = back(look(run, answers(facts, LOOKED)), answers(facts, BACK))
    checked = plan_next(begin(options, {}, True), answers(facts, GATHERED))
    assert checked["sentences"] == ["a, b: all are done"]
    # Check mode leaves the record.
    assert written(run)["done"] == ["a", "b"]
    run = plan_next(run, answers(facts, GATHERED))
    assert run["sentences"] == ["a, b: all are done"]
    assert (run["asked"], run["now"]["hosts"]) == ([], [])
    assert "failure" not in end(run, {})
    with pytest.raises(FileNotFoundError):
        written(run)


def onto(run: t.Any, facts: Facts, **options: t.Any) -> dict[str, str]:
    """Return to which host each guest goes by the plan that the migration of the next step makes."""
    return {vm: host_ for vm, (host_, _type) in onto_what(run, facts, **options).items()}


def onto_what(run: t.Any, facts: Facts, **options: t.Any) -> dict[str, tuple[str, str]]:
    """Return to which host each guest goes by that plan, and to which type of device there."""
    now = run["now"]
    asked = {name: now[name] for name in ("drain", "targets", "avoid", "keep_type", "capacity")}
    plan = plan_for(facts, keep_kind=True, max_age=0, **asked | options)
    assert not plan["unplaced"]
    targets = [(each["vm"], each["target"]) for each in plan["placements"]]
    return {vm: (target["host"], target["type"]) for vm, target in targets}


def crowded(chance: random.Random) -> Facts:
    """Return hosts of which not all guests of the first one have places on the last one, the only one that is not drained."""
    guests = chance.randint(2, 4)
    lasting = chance.randint(1, guests - 1)
    return {
        "a": host([vf(n, f"vm-{n}", pid=n + 1) for n in range(guests)], [parent()]),
        "b": host([vf(n) for n in range(guests)], [parent()]),
        "c": host([vf(n) for n in range(lasting)], [parent()]),
    }


@pytest.mark.parametrize("preferred", [[], ["b"], ["c"]])
@pytest.mark.parametrize("policy", ["pack", "spread"])
@pytest.mark.parametrize("seed", range(5))
def test_no_more_guests_move_again_than_was_planned(options, seed, policy, preferred):
    facts = crowded(random.Random(seed))
    conditions = {"policy": policy, "prefer": preferred}
    run = first_step(options | {"keep_order": True} | conditions, facts)
    lasting = len(facts["c"]["devices"])
    planned = len(facts["a"]["devices"]) - lasting
    assert f"{planned} of its guests move" in " ".join(run["sentences"])
    there = Counter(onto(run, facts, **conditions).values())
    assert there == {"b": planned, "c": lasting}


def test_where_none_moves_again_only_the_operator_says_who_goes_not_where(options, facts):
    elsewhere = {"host": "c", "guest": "vm-2", "problem": "the operator says so"}
    run = first_step(options | {"avoid": [elsewhere]}, facts)
    assert run["now"]["avoid"] == [elsewhere]


def test_a_guest_that_moves_again_keeps_the_type_of_its_device_on_the_way(options):
    room = parent(available={"i915-GVTg_V5_4": 4})
    guests = [device(UUIDS[n], gvt(), f"vm-{n}", n + 1) for n in range(2)]
    facts = {
        "a": host(guests, [room]),
        # Of its type one would be made, and one of another is there.
        "b": host([device(UUIDS[3], gvt("2", "1"))], [room]),
        "c": host([device(UUIDS[2], gvt())]),
    }
    run = first_step(options | {"keep_order": True}, facts)
    kept = "i915-GVTg_V5_4"
    assert sorted(onto_what(run, facts).values()) == [("b", kept), ("c", kept)]


@pytest.mark.parametrize("keep_type", [None, False, True])
def test_where_none_moves_again_the_operator_says_whether_devices_keep_their_types(
    options, facts, keep_type
):
    run = first_step(options | {"keep_type": keep_type}, facts)
    assert run["now"]["keep_type"] is bool(keep_type)


def test_where_the_step_needs_another_type_devices_need_not_keep_theirs(options):
    guests = [device(UUIDS[n], gvt(), f"vm-{n}", n + 1) for n in range(2)]
    facts = {
        "a": host(guests),
        "b": host([device(UUIDS[3], gvt())]),
        "c": host([device(UUIDS[2], gvt("2", "1"))]),
    }
    run = first_step(options | {"keep_order": True}, facts)
    assert (run["now"]["keep_type"], {*onto(run, facts).values()}) == (False, {"b", "c"})


@pytest.mark.parametrize("lasting", [1, 2, 3])
@pytest.mark.parametrize("known", [[], UUIDS[4:5], UUIDS[4:6]])
def test_guests_that_share_a_name_or_have_none_have_their_places_all_the_same(
    options, lasting, known
):
    twice = [{**vf(n), "in_use": {"pid": n + 1, "name": "vm"}} for n in range(2)]
    for each, uuid in zip(twice, known, strict=False):
        each["in_use"]["uuid"] = uuid
    unknown = {**vf(2), "in_use": {"pid": 7, "name": None}}
    facts = {
        "a": host([*twice, unknown, vf(3, "vm-3", pid=9)]),
        "b": host([vf(n) for n in range(4)]),
        "c": host([vf(n) for n in range(lasting)]),
    }
    run = first_step(options | {"keep_order": True}, facts)
    # Either of those that share one may go wherever one of them does.
    assert {each["guest"] for each in run["now"]["avoid"]} <= {"vm", "vm-3", *known}
    assert [*onto(run, facts)]


def test_nothing_begins_on_a_host_of_which_somebody_holds_a_device(options, facts):
    run = first_step(options, facts)
    with pytest.raises(FleetError, match=r"a is not empty, and nothing was begun on it: .*vm-1"):
        look(run, answers(facts, LOOKED))
    assert written(run)["working"] == {}


def test_a_host_is_not_back_before_all_that_it_needs_is(options, facts):
    options["persistent"] = True
    run = first_step(options, facts)
    facts = moved(facts, "a", "c")
    run = look(run, answers(facts, LOOKED))
    facts["a"] = {**facts["a"], "devices": []}
    with pytest.raises(FleetError, match=r"a has come back without 0000:81:00.0"):
        back(run, answers(facts, BACK))
    with pytest.raises(
        FleetError, match=r"gathered: it is down\. Run the same command again to resume$"
    ):
        back(run, answers(facts, BACK, a="it is down"))
    with pytest.raises(FleetError, match="the tasks on a have failed"):
        back(run, answers(facts))
    assert written(run)["done"] == []


CAPACITY = {
    "hosts": {"a": {"memory": 0}, "b": {"memory": 0}, "c": {"memory": 4}},
    "guests": {"vm-1": {"memory": 4}, "vm-2": {"memory": 4}},
}


def test_what_is_free_follows_the_guests_that_have_moved(options, facts):
    options |= {"capacity": CAPACITY, "spare": {"memory": 0}, "prefer": ["c"]}
    run = first_step(options, facts)
    assert (run["now"]["hosts"], run["now"]["capacity"]) == (["a"], CAPACITY)
    assert written(run)["stated"]["guests"] == {"a": ["vm-1"], "b": ["vm-2"], "c": []}
    facts = moved(facts, "a", "c")
    run = back(look(run, answers(facts, LOOKED)), answers(facts, BACK))
    run = plan_next(run, answers(facts, GATHERED))
    # By what was stated a has nothing.
    assert run["now"]["hosts"] == ["b"]
    free = {name: each["memory"] for name, each in run["now"]["capacity"]["hosts"].items()}
    assert free == {"a": 4, "b": 0, "c": 0}


def test_a_run_that_takes_up_another_one_goes_on_from_its_numbers(options, facts):
    options |= {"capacity": CAPACITY}
    run = first_step(options, facts)
    facts = moved(facts, "a", "c")
    back(look(run, answers(facts, LOOKED)), answers(facts, BACK))
    run = first_step(options, facts)
    assert run["now"]["hosts"] == ["b"]
    assert run["now"]["capacity"]["hosts"]["a"] == {"memory": 4}
    assert written(run)["stated"]["guests"]["a"] == ["vm-1"]
    # Other numbers are those of now.
    other = {**CAPACITY, "hosts": {"a": {"memory": 5}, "b": {"memory": 0}, "c": {"memory": 0}}}
    run = first_step(options | {"capacity": other}, facts)
    assert run["now"]["capacity"] == other
    assert written(run)["stated"] == {
        "capacity": other,
        "guests": {"a": [], "b": ["vm-2"], "c": ["vm-1"]},
    }
    run = first_step(options | {"capacity": None}, facts)
    assert (run["now"]["capacity"], written(run)["stated"]) == ({}, None)


def test_nothing_begins_where_a_guest_takes_more_than_any_host_has_free(options, facts):
    options |= {"capacity": {**CAPACITY, "hosts": {}}}
    with pytest.raises(
        FleetError, match="a cannot be drained: 1 device of its guests has no place"
    ):
        first_step(options, facts)
    with pytest.raises(FleetError, match="capacity has the key"):
        begin(options | {"capacity": {"host": {}}}, {}, False)


def test_what_blocks_it_is_said_and_put_down_until_it_goes_on(options, facts):
    wanted = {
        "hosts": {"a": {"memory": 0}, "b": {"memory": 0}, "c": {"memory": 2}},
        "guests": {"vm-1": {"memory": 3}},
    }
    options["drain"] = ["a"]
    facts["b"] = host([vf(0)])
    with pytest.raises(FleetError) as error:
        first_step(options | {"capacity": wanted}, facts)
    path = f"{options['dest']}/blocked.json"
    sentence, _dot, rest = str(error.value).partition(". Nothing was begun on ")
    assert sentence.startswith("a cannot be drained: 1 device of its guests has no place elsewhere")
    assert rest == (
        "a. No place for vm-1 (0000:81:00.0): b has 0 of its memory left, and 3 is needed; c has 2 of its memory left, and 3 is needed."
        f" All have a place with 1 more free memory on c; less is not enough there. All reasons are in {path}"
    )
    with open(path) as file:
        blocked = json.load(file)["blocked"]
    assert blocked["addition"]["amounts"] == [{"host": "c", "resource": "memory", "amount": 1}]
    assert [each["vm"] for each in blocked["unplaced"]] == ["vm-1"]
    # What was said to do does, and then nothing is blocked any more.
    wanted["hosts"]["c"]["memory"] += 1
    run = first_step(options | {"capacity": wanted}, facts)
    assert run["now"]["hosts"] == ["a"]
    assert not os.path.exists(path)


def test_what_would_do_is_said_of_the_fleet_as_the_steps_before_leave_it(options, facts):
    memory = {
        "hosts": {"a": {"memory": 0}, "b": {"memory": 0}, "c": {"memory": 2}},
        "guests": {"vm-1": {"memory": 3}},
    }
    with pytest.raises(FleetError, match="Once b has been") as error:
        first_step(options | {"capacity": memory}, facts)
    assert "drained as planned, all have a place with 3 more free memory on b" in str(error.value)
    assert "fewer" not in str(error.value) and "less is" not in str(error.value)
    facts |= {name: host([vf(0, f"vm-{name}", "w", pid=1)]) for name in "bc"}
    with pytest.raises(
        FleetError, match=r"If it is drained first, all have a place with 1 more free w "
    ):
        first_step(options | {"drain": ["b", "c"], "targets": ["a", "b", "c"]}, facts)


def test_what_blocks_it_is_said_where_the_file_cannot_be_written(options, facts, monkeypatch):
    def full(path: str, plan: t.Any) -> None:
        raise AnsibleActionFail(f"cannot write {path}: no space left on device")

    monkeypatch.setattr(maintaining, "write_steps", full)
    memory = {"hosts": {name: {"memory": 1} for name in facts}, "guests": {"vm-1": {"memory": 3}}}
    with pytest.raises(FleetError) as error:
        first_step(options | {"capacity": memory}, facts)
    for words in ("No place for vm-1", "Nothing was begun on", "no space left on device"):
        assert words in str(error.value)


def test_what_blocks_it_is_said_in_check_mode_and_nothing_is_written(options, facts):
    options |= {"apart": [["vm-1", "vm-2"], ["vm-1", "vm-3"]], "drain": ["a"]}
    facts["c"] = host([vf(0, "vm-3", pid=1), vf(1)])
    with pytest.raises(FleetError) as error:
        plan_next(begin(options, {}, True), answers(facts, GATHERED))
    assert str(error.value).endswith(
        "on a further host (no other host may receive it); fewer are not enough"
    )
    assert " (0000:81:00.0): c: it is to be apart from vm-3 on c, which stays there" in str(
        error.value
    )
    assert not os.path.exists(f"{options['dest']}/blocked.json")


def test_what_was_broken_off_is_taken_up(options, facts):
    run = first_step(options, facts)
    facts = moved(facts, "a", "c")
    look(run, answers(facts, LOOKED))
    again = plan_next(begin(options, {}, False), answers(facts, GATHERED, a="it restarts"))
    # It is not asked for its guests: they have gone, and it may be restarting.
    assert (again["now"]["hosts"], again["now"]["drain"]) == (["a"], [])
    again = back(look(again, answers(facts, LOOKED)), answers(facts, BACK))
    assert again["done"] == ["a"]
    with pytest.raises(FleetError, match="records unfinished maintenance of a, b"):
        begin({**options, "drain": ["c"]}, {}, False)


def test_an_upgrade_that_leaves_a_guest_without_a_place_stops_the_rest(options, facts):
    run = first_step(options, facts)
    facts = moved(facts, "a", "c")
    run = back(look(run, answers(facts, LOOKED)), answers(facts, BACK))
    newer = vf(0, kind="w")
    facts["a"] = host([newer], [parent()])
    with pytest.raises(FleetError, match=r"b cannot be drained: .*; done are a. Nothing was begun"):
        plan_next(run, answers(facts, GATHERED))


def test_with_partial_those_hosts_are_emptied_that_can_be(options, facts):
    facts["b"] = host([vf(0, "vm-2", "w", pid=1)])
    with pytest.raises(FleetError, match="b cannot be drained"):
        first_step(options, facts)
    run = first_step({**options, "partial": True}, facts)
    assert run["now"]["hosts"] == ["a"]


def test_hosts_that_have_come_back_receive_nothing_if_so_asked(options, facts):
    options["use_returned"] = False
    facts["c"] = host([vf(0), vf(1)])
    run = first_step(options, facts)
    facts = moved(facts, "a", "c")
    run = back(look(run, answers(facts, LOOKED)), answers(facts, BACK))
    run = plan_next(run, answers(facts, GATHERED))
    assert run["now"]["targets"] == ["c"]


def test_in_check_mode_all_steps_are_shown_and_nothing_is_written(options, facts):
    run = plan_next(begin(options, {}, True), answers(facts, GATHERED))
    assert len(run["sentences"]) == 3
    assert (run["asked"], run["now"]["hosts"]) == ([], [])
    with pytest.raises(FileNotFoundError):
        written(run)
    ended = end(run, {})
    assert "failure" not in ended
    # The steps are shown once.
    assert ended["sentences"] == ["check mode: nothing was changed"]


def test_what_is_left_after_the_last_step_of_a_run_is_told(options, facts):
    run = first_step(options, facts)
    assert end(run, {})["failure"].startswith("a, b: not done yet")


@pytest.mark.parametrize("none", ["", ",", []])
def test_where_the_hosts_to_be_emptied_are_none_nothing_is_emptied(options, facts, none):
    run = first_step({**options, "drain": none}, facts)
    assert (run["asked"], run["now"]["hosts"]) == ([], [])
    assert run["sentences"] == ["maintain_drain has no host: nothing is drained"]
    assert "failure" not in end(run, {})


def test_where_they_are_not_given_every_host_is_emptied(options):
    assert begin({**options, "drain": None}, {}, False)["emptied"] == ["a", "b", "c"]


def test_maintenance_that_is_not_done_stays_so_where_the_hosts_to_be_emptied_are_none(
    options, facts
):
    run = first_step(options, facts)
    with pytest.raises(FleetError, match="records unfinished maintenance of a, b"):
        begin({**options, "drain": ""}, {}, False)
    assert written(run)["emptied"] == ["a", "b"]


@pytest.mark.parametrize("use_returned", [True, False])
@pytest.mark.parametrize("none", ["", ",", []])
def test_where_the_targets_are_none_nobody_may_receive(options, facts, none, use_returned):
    options |= {"targets": none, "use_returned": use_returned}
    with pytest.raises(FleetError, match="a cannot be drained"):
        first_step(options, facts)
    # A host that has nobody is emptied, and nobody is let in meanwhile.
    facts["a"] = host([vf(0)], [parent()])
    run = first_step({**options, "drain": ["a"]}, facts)
    assert (run["now"]["hosts"], run["now"]["targets"]) == (["a"], [])


def test_targets_are_read_as_other_lists_are(options, facts):
    run = first_step({**options, "drain": "a", "targets": "b, c"}, facts)
    assert run["now"]["targets"] == ["b", "c"]


def test_hosts_that_do_not_answer_are_not_emptied(options, facts):
    run = begin(options, {}, False)
    with pytest.raises(
        FleetError, match="cannot drain b: its facts could not be gathered: it is down"
    ):
        plan_next(run, answers(facts, GATHERED, b="it is down"))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"role": None}, "give maintain_role or maintain_tasks"),
        ({"tasks": "none.yml"}, "maintain_tasks: there is no file"),
        ({"role": "upgrad"}, "maintain_role: there is no role upgrad; looked in .*/roles"),
        ({"drain": ["x"]}, "drain has 'x', which is none of the hosts"),
        ({"at_once": 0}, "at_once is 0"),
        ({"limited": True}, "the run is limited"),
    ],
)
def test_what_cannot_be_asked_is_an_error(options, changed, message):
    with pytest.raises(FleetError, match=message):
        begin({**options, **changed}, {}, False)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no JSON", "is not a progress file of vfio.migration.maintain"),
        ("", "is not a progress file of vfio.migration.maintain: it is empty"),
        ('{"format": 2}', "has format 2; expected 1"),
        ('{"format": 1}', "the key 'process' is expected"),
        ("[]", "has format None"),
    ],
)
def test_a_file_that_is_none_is_an_error_that_names_it(options, tmp_path, text, message):
    (tmp_path / "maintenance.json").write_text(text)
    with pytest.raises(FleetError, match=message) as error:
        begin(options, {}, False)
    assert str(tmp_path) in str(error.value)
