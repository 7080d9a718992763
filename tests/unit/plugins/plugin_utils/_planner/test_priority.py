# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which guests come first where not all have a place."""

from __future__ import annotations

import copy
import itertools
import random
import typing as t

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.vfio.migration.plugins.filter.migration_plan import migration_plan
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import read_fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.planner import make_plan
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import (
    Conditions,
    Request,
    requested,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify import violations
from ansible_collections.vfio.migration.tests.unit.exact_plans import ExactPlans
from ansible_collections.vfio.migration.tests.unit.fleets import (
    UUIDS,
    device,
    gvt,
    host,
    parent,
    vf,
)
from hypothesis import given
from hypothesis import strategies as st

# A parent that has room for one device of a large type or two of a small one, of which it makes one at a time.
ROOM = {"i915-GVTg_V5_8": 4, "i915-GVTg_V5_4": 4}


def large(number: int, vm: str):
    return device(UUIDS[number], gvt("8", "4"), vm=vm, pid=number)


def small(number: int, vm: str | None = None):
    return device(UUIDS[number], gvt("4", "2"), vm=vm, pid=number)


def planned(fleet, **options):
    plan = migration_plan(fleet, drain=["a"], keep_type=True, **options)
    conditions = Conditions.parse({"drain": ["a"], "keep_type": True, **options})
    assert violations(plan, fleet, conditions) == []
    return plan


def placed(plan):
    return sorted(each["vm"] for each in plan["placements"])


def codes(plan):
    return {each["vm"]: [reason["code"] for reason in each["reasons"]] for each in plan["unplaced"]}


@pytest.mark.parametrize("policy", ["pack", "spread"])
def test_one_guest_that_comes_first_is_worth_two(policy):
    guests = [large(1, "vm-1"), small(2, "vm-2"), small(3, "vm-3")]
    fleet = {"a": host(guests), "b": host([], [parent(available=ROOM)])}
    assert placed(planned(fleet, policy=policy)) == ["vm-2", "vm-3"]
    plan = planned(fleet, policy=policy, priority={"vm-1": 1})
    assert placed(plan) == ["vm-1"]
    assert {name: each[0] for name, each in codes(plan).items()} == {
        "vm-2": "lower_priority",
        "vm-3": "lower_priority",
    }
    assert (plan["status"], plan["cost"], plan["bound"]) == ("unproven", None, None)
    # What comes after both is no reason to leave them behind.
    assert placed(planned(fleet, policy=policy, priority={"vm-2": 2, "vm-1": 1})) == [
        "vm-2",
        "vm-3",
    ]


def test_what_comes_later_has_the_places_that_are_left():
    guests = [large(1, "vm-1"), small(2, "vm-2"), small(3, "vm-3"), small(4)]
    fleet = {
        "a": host(guests),
        "b": host([], [parent(available=ROOM)]),
        "c": host([small(5)], []),
    }
    plan = planned(fleet, priority={"vm-1": 2, "vm-3": 1})
    assert placed(plan) == ["vm-1", "vm-3"]
    assert codes(plan).keys() == {"vm-2", None}


@pytest.mark.parametrize("where", [{"reuse": True}, {"apart": [["vm-1", "vm-9"]]}])
def test_where_moves_wait_for_each_other_one_that_comes_first_is_worth_two(where):
    guests = [large(1, "vm-1"), small(2, "vm-2"), small(3, "vm-3")]
    fleet = {"a": host(guests), "b": host([], [parent(available=ROOM)])}
    plan = planned(fleet, priority={"vm-1": 1}, **where)
    assert placed(plan) == ["vm-1"]
    why = ["lower_priority", "shortage", "capacity_taken"]
    assert codes(plan) == {"vm-2": why, "vm-3": why}


@pytest.mark.parametrize(
    "where",
    [
        {"apart": [["vm-1", "vm-2"]]},
        {"apart": [["nobody", "no-one"]]},
        {"apart": [["vm-1", "vm-2"]], "failure_domains": {"rack": ["b"], "row": ["c"]}},
        {"drain": None, "sources": [f"vm-{n}" for n in range(1, 6)], "reuse": True},
    ],
)
@pytest.mark.parametrize("first", [1, 3, 5])
def test_where_moves_wait_for_each_other_no_place_is_left_that_one_that_comes_later_may_have(
    where, first
):
    fleet = {
        "a": host([vf(n, f"vm-{n}") for n in range(1, 6)]),
        "b": host([vf(8), vf(9)]),
        "c": host([vf(8), vf(9)]),
    }
    plan = migration_plan(fleet, **{"drain": ["a"], "priority": {f"vm-{first}": 1}, **where})
    assert len(plan["placements"]) == 4
    assert f"vm-{first}" in placed(plan)
    assert plan["status"] == "infeasible"


def contested(chance: random.Random):
    """Draw a tiny fleet with too few places for guests of several ranks, which are to be apart or take what others leave."""
    reuse = chance.random() < 0.5
    kinds = chance.choice(("v", "vw"))
    numbers = itertools.count(1)
    facts = {}
    for name in "abc":
        devices = []
        for _guest in range(chance.randint(1, 2) if reuse else 4 * (name == "a")):
            number = next(numbers)
            for _device in range(chance.choice((1, 1, 1, 2))):
                devices.append(vf(len(devices), f"vm-{number}", chance.choice(kinds), pid=number))
        for _free in range(chance.randint(0, 1) if reuse else 2 * (name != "a")):
            devices.append(vf(len(devices), kind=chance.choice(kinds)))
        facts[name] = host(devices)
    held = [f"vm-{number}" for number in range(1, next(numbers))]
    apart = [chance.sample(held, 2)] if not reuse or len(held) > 4 else []
    asked: dict[str, t.Any] = {"sources": held, "reuse": True} if reuse else {"drain": ["a"]}
    asked["priority"] = {name: chance.randint(1, 3) for name in held if chance.random() < 0.7}
    conditions = Conditions.parse({**asked, "apart": apart})
    fleet = read_fleet(facts)
    guests = requested(fleet, asked.get("drain"), asked.get("sources"))
    targets = [name for name in fleet.hosts if name not in asked.get("drain", ())]
    return facts, Request(guests, targets, conditions)


@pytest.mark.parametrize(
    "seeds", [range(begin, begin + 40) for begin in range(0, 160, 40)], ids=str
)
def test_where_moves_wait_for_each_other_as_few_as_can_be_are_left_of_each_rank(seeds):
    for seed in seeds:
        facts, request = contested(random.Random(seed))
        fleet = read_fleet(facts)
        guests = request.guests
        plan = make_plan(fleet, request)
        assert violations(plan, facts, request.conditions) == [], f"fleet {seed}"
        ranks = sorted({request.conditions.rank_of(each) for each in guests}, reverse=True)

        def left(moving, guests=guests, ranks=ranks, conditions=request.conditions):
            return [
                sum(
                    len(guest.devices)
                    for number, guest in enumerate(guests)
                    if number not in moving and conditions.rank_of(guest) == rank
                )
                for rank in ranks
            ]

        names = {each["vm"] for each in plan["placements"]}
        moving = frozenset(n for n, guest in enumerate(guests) if guest.name in names)
        every = {frozenset(chosen) for chosen in ExactPlans(fleet, request).every()}
        assert left(moving) == min(map(left, every)), f"fleet {seed}"
        assert not any(moving < others for others in every), f"fleet {seed}"


@pytest.mark.parametrize("where", [{}, {"reuse": True}, {"apart": [["top", "other"]]}])
def test_who_can_go_nowhere_keeps_nobody_else(where):
    fleet = {"a": host([vf(0, "top", kind="w"), vf(1, "low")]), "b": host([vf(8)])}
    plan = migration_plan(fleet, drain=["a"], priority={"top": 1}, **where)
    assert placed(plan) == ["low"]
    # What is proven of all plans is proven of this one.
    assert plan["status"] == "infeasible"
    assert codes(plan) == {"top": ["attribute", "attribute"]}


def test_what_a_guest_with_a_lower_number_leaves_is_a_place_for_the_first():
    fleet = {
        "a": host([vf(0, "top")]),
        "b": host([vf(8, "low"), vf(9, "mid", kind="w")]),
        "c": host([vf(16)]),
    }
    plan = migration_plan(
        fleet,
        sources=["top", "mid", "low"],
        reuse=True,
        avoid=[{"host": "c", "guest": "top", "problem": "x"}],
        priority={"top": 2, "mid": 1},
    )
    assert placed(plan) == ["low", "top"]


def test_a_free_device_that_is_to_be_moved_itself_is_no_place_for_the_first():
    fleet = {"a": host([vf(0)]), "b": host([vf(8, "top")]), "c": host([vf(16)])}
    free = {"host": "a", "id": fleet["a"]["devices"][0]["id"]}
    plan = migration_plan(fleet, sources=[free, "top"], targets=["a", "c"])
    assert [(each["vm"], each["target"]["host"]) for each in plan["placements"]] == [("top", "c")]
    assert codes(plan)[None][0] == "lower_priority"


def test_only_who_had_a_place_gives_way_and_is_told_once():
    guests = [small(1, "p3"), small(2, "q3"), small(3, "r2"), small(4, "s2")]
    fleet = {
        "a": host([*guests, vf(10, "w", kind="w"), vf(11, "t1"), vf(12, "z0")]),
        "b": host([small(6), vf(20)]),
    }
    levels = {"p3": 3, "q3": 3, "r2": 2, "s2": 1, "t1": 1}
    plan = migration_plan(fleet, drain=["a"], priority=levels)
    assert placed(plan) == ["p3", "t1"]
    told = codes(plan)
    assert all(each.count("lower_priority") <= 1 for each in told.values())
    assert "lower_priority" not in told["w"]


def test_an_earlier_plan_does_not_keep_the_place_of_who_comes_first():
    fleet = {"a": host([small(1, "vm-1"), small(2, "vm-2")]), "b": host([small(5)])}
    earlier = planned(fleet, priority={"vm-2": 1})
    assert placed(earlier) == ["vm-2"]
    assert placed(planned(fleet, earlier=earlier, priority={"vm-1": 1})) == ["vm-1"]
    assert placed(planned(fleet, earlier=earlier, priority={"vm-2": 1})) == ["vm-2"]


def test_a_uuid_names_one_of_two_guests_of_a_name():
    guests = [small(number, "vm") for number in (1, 2)]
    for each in guests:
        each["in_use"]["uuid"] = each["id"]
    fleet = {"a": host(guests), "b": host([small(5)])}
    for each in UUIDS[1:3]:
        plan = migration_plan(fleet, drain=["a"], priority={each: 1})
        assert [move["source"]["id"] for move in plan["placements"]] == [each]


@given(st.lists(st.integers(0, 3), min_size=1, max_size=6), st.integers(0, 6))
def test_of_guests_alike_those_with_the_highest_numbers_move(priorities, places):
    guests = [small(number, f"vm-{number}") for number in range(len(priorities))]
    fleet = {"a": host(guests), "b": host([], [parent(available={"i915-GVTg_V5_4": 2 * places})])}
    given = {f"vm-{number}": each for number, each in enumerate(priorities)}
    plan = planned(fleet, priority=given)
    moved = sorted((given[each] for each in placed(plan)), reverse=True)
    assert moved == sorted(priorities, reverse=True)[:places]


def test_the_verifier_sees_who_was_passed_over():
    fleet = {"a": host([small(1, "vm-1"), small(2, "vm-2")]), "b": host([small(5)])}
    plan = planned(fleet, priority={"vm-1": 1})
    assert placed(plan) == ["vm-1"]
    forged = copy.deepcopy(plan)
    forged["conditions"]["priority"] = {"vm-2": 1}
    found = violations(forged, fleet, Conditions(drain=["a"], keep_type=True, priority={"vm-2": 1}))
    assert any(each.startswith("guests move in the order of priority") for each in found)


@pytest.mark.parametrize(
    "wrong",
    [["vm-1"], "vm-1", {"vm-1": "much"}, {"vm-1": -1}, {f"vm-{each}": each for each in range(17)}],
)
def test_what_is_no_priority_is_an_error(wrong):
    fleet = {"a": host([small(1, "vm-1")]), "b": host()}
    with pytest.raises(AnsibleFilterError, match="priority"):
        migration_plan(fleet, drain=["a"], priority=wrong)
