# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rebalancing: the few moves that even the loads of hosts, beside all that there could be."""

from __future__ import annotations

import itertools
import json
import random
import typing as t
from collections import Counter

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import read_fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._planner import even_loads
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.rebalance import (
    rebalance_plan,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import Conditions
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify import violations
from ansible_collections.vfio.migration.tests.unit.drawn_fleets import drawn, of_a_search
from ansible_collections.vfio.migration.tests.unit.fleets import (
    UUIDS,
    device,
    host,
    parent,
    vf,
)
from hypothesis import event, given
from hypothesis import strategies as st

Facts = dict[str, t.Any]
NOTHING = Conditions()


def planned(facts: Facts, max_moves: int, conditions: Conditions = NOTHING) -> t.Any:
    return rebalance_plan(read_fleet(facts), max_moves, conditions)


def loads(found: t.Any) -> dict[str, int]:
    return {each["host"]: each["after"] for each in found["loads"]}


def moved(found: t.Any) -> set[tuple[str, str]]:
    return {(each["source"]["host"], each["vm"]) for each in found["plan"]["placements"]}


# --- beside all that there could be ---


class Drawn(t.NamedTuple):
    """A tiny fleet of functions: the kinds that each host has free, and each guest's host and kinds."""

    facts: Facts
    free: dict[str, Counter[str]]
    guests: list[tuple[str, tuple[str, ...]]]


def tiny(chance: random.Random) -> Drawn:
    free: dict[str, Counter[str]] = {}
    guests: list[tuple[str, tuple[str, ...]]] = []
    facts = {}
    for name in "abc"[: chance.randint(2, 3)]:
        devices: list[t.Any] = []
        for _guest in range(chance.randint(0, 2)):
            held = tuple(chance.choice("vvw") for _device in range(chance.choice((1, 1, 1, 2, 3))))
            for kind in held:
                pid = len(guests) + 1
                devices.append(vf(len(devices), f"vm-{pid}", kind, pid=pid))
            guests.append((name, held))
        free[name] = Counter(chance.choice("vvw") for _free in range(chance.randint(0, 4)))
        devices += [
            vf(len(devices) + number, kind=kind)
            for number, kind in enumerate(free[name].elements())
        ]
        facts[name] = host(devices)
    return Drawn(facts, free, guests)


def memory(chance: random.Random, fleet: Drawn) -> dict[str, t.Any]:
    """Draw what guests take of memory, what hosts have free of it, and what is to be spare."""
    return {
        "capacity": {
            "hosts": {name: {"memory": chance.randint(0, 6)} for name in fleet.facts},
            "guests": {
                f"vm-{number + 1}": {"memory": chance.randint(0, 4)}
                for number in range(len(fleet.guests))
                if chance.random() < 0.8
            },
        },
        "spare": {"memory": chance.choice((0, 0, 1))},
    }


def fits_in_memory(fleet: Drawn, places: t.Sequence[str], conditions: Conditions) -> bool:
    if not conditions.capacity:
        return True
    free, needs = conditions.capacity["hosts"], conditions.capacity["guests"]
    taken = Counter[str]()
    for number, (place, (source, _held)) in enumerate(zip(places, fleet.guests, strict=True)):
        if place != source:
            taken[place] += needs.get(f"vm-{number + 1}", {}).get("memory", 0)
    spare = conditions.spare["memory"]
    return all(n <= free[name]["memory"] - spare for name, n in taken.items() if n)


def best(fleet: Drawn, max_moves: int, limit: int | None, conditions: Conditions = NOTHING) -> int:
    """Return the least sum of squares of all ways to move so many guests."""
    names = sorted(fleet.facts)
    least = None
    for places in itertools.product(names, repeat=len(fleet.guests)):
        arriving: dict[str, Counter[str]] = {name: Counter() for name in names}
        after = Counter[str]()
        moves = 0
        for place, (source, held) in zip(places, fleet.guests, strict=True):
            after[place] += len(held)
            if place != source:
                moves += 1
                arriving[place].update(held)
        fits = all(
            arriving[name] <= fleet.free[name]
            and (limit is None or arriving[name].total() <= limit)
            for name in names
        )
        if moves <= max_moves and fits and fits_in_memory(fleet, places, conditions):
            squares = sum(count**2 for count in after.values())
            least = squares if least is None else min(least, squares)
    assert least is not None
    return least


@given(st.integers(0, 100_000), st.integers(0, 3), st.sampled_from([None, None, 1, 2]))
def test_no_way_to_move_so_few_guests_is_better_than_what_is_called_optimal(seed, most, limit):
    chance = random.Random(seed)
    fleet = tiny(chance)
    heavy = memory(chance, fleet) if chance.random() < 0.5 else {}
    conditions = Conditions(limit=limit, **heavy)
    least = best(fleet, most, limit, conditions)
    exact = planned(fleet.facts, most, conditions)
    assert (exact["status"], exact["after"]) == ("optimal", least)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(even_loads, "WAYS", 0)
        found = planned(fleet.facts, most, conditions)
    event(f"{found['status']}, {'best' if found['after'] == least else 'not best'}")
    assert found["bound"] <= least <= found["after"] <= found["before"]
    assert found["moves"] <= most
    assert violations(found["plan"], fleet.facts, conditions) == []


@given(st.integers(0, 100_000), st.integers(0, 3), st.sampled_from([0, 1, 5]))
def test_plans_that_may_make_few_others_are_still_right(seed, most, plans):
    fleet = tiny(random.Random(seed))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(even_loads, "PLANS", plans)
        found = planned(fleet.facts, most)
    least = best(fleet, most, None)
    assert found["bound"] <= least <= found["after"] <= found["before"]
    assert found["status"] == "feasible" or found["after"] == least


@given(st.integers(0, 100_000), st.integers(0, 3))
def test_whatever_the_fleet_a_plan_is_sound_and_makes_it_no_less_even(seed, most):
    facts, request = drawn(random.Random(seed))
    asked = of_a_search(request.conditions)
    found = planned(facts, most, asked)
    assert violations(found["plan"], facts, asked) == []
    assert not found["plan"]["unplaced"]
    assert found["moves"] <= most
    before, after = (
        sum(each[name] ** 2 for each in found["loads"]) for name in ("before", "after")
    )
    assert (found["before"], found["after"]) == (before, after)
    assert after < before if found["moves"] else after == before


# --- one by one ---


def fleet_of(full: int, free: int) -> Facts:
    """Return a host with so many guests, and one with so many free devices."""
    return {
        "a": host([vf(number, f"vm-{number}") for number in range(full)]),
        "b": host([vf(number) for number in range(free)]),
    }


def test_no_more_guests_move_than_may():
    assert loads(planned(fleet_of(4, 4), 1)) == {"a": 3, "b": 1}
    assert loads(planned(fleet_of(4, 4), 9)) == {"a": 2, "b": 2}
    assert planned(fleet_of(4, 4), 0)["sentences"] == ["nothing may move, as max_moves is 0"]


def test_large_fleets_are_evened_and_that_is_proven_by_the_bound():
    facts = {
        "a": host([vf(number, f"vm-{number}") for number in range(30)]),
        **{f"b{number}": host([vf(each) for each in range(8)]) for number in range(5)},
    }
    found = planned(facts, 25)
    assert set(loads(found).values()) == {5}
    assert (found["status"], found["moves"], found["after"]) == ("optimal", 25, found["bound"])


def test_even_loads_stay_as_they_are():
    facts = fleet_of(1, 1)
    found = planned(facts, 5)
    assert (found["moves"], found["plan"]["placements"], found["status"]) == (0, [], "optimal")
    assert found["sentences"] == [
        "nothing moves: no move was found that makes loads more even; no plan of 5 moves or fewer is more even"
    ]


def test_a_guest_moves_with_all_of_its_devices():
    facts = fleet_of(4, 3)
    for each in facts["a"]["devices"]:
        each["in_use"] = {"pid": 1 + each["id"].endswith("3"), "name": "vm"}
    # Three devices of one guest, and one of another: either lets as much stay as goes.
    found = planned(facts, 1)
    assert sorted(loads(found).values()) == [1, 3]


def test_what_cannot_move_stays_and_others_do():
    facts = fleet_of(4, 4)
    for each in facts["a"]["devices"][:3]:
        each["migration"]["supported"] = False
    found = planned(facts, 3)
    assert (moved(found), found["status"], found["bound"]) == ({("a", "vm-3")}, "optimal", 10)


def test_guests_go_where_there_is_what_they_take_beside_devices():
    guests = {f"vm-{number}": {"memory": 4} for number in range(4)}
    capacity = {"hosts": {"b": {"memory": 9}}, "guests": guests}
    found = planned(fleet_of(4, 4), 4, Conditions(capacity=capacity))
    assert (loads(found), found["status"]) == ({"a": 2, "b": 2}, "optimal")
    kept = planned(fleet_of(4, 4), 4, Conditions(capacity=capacity, spare={"memory": 2}))
    assert (loads(kept), kept["status"]) == ({"a": 3, "b": 1}, "optimal")
    assert kept["plan"]["conditions"]["capacity"] == capacity
    damaged = json.loads(json.dumps(found["plan"]))
    spare = Conditions(capacity=capacity, spare={"memory": 2})
    assert any("is to be spare" in each for each in violations(damaged, {**fleet_of(4, 4)}, spare))
    # One that takes nothing goes where nothing is said to be free.
    others = {"hosts": {}, "guests": {name: guests[name] for name in ("vm-0", "vm-1", "vm-2")}}
    assert moved(planned(fleet_of(4, 4), 4, Conditions(capacity=others))) == {("a", "vm-3")}


def test_groups_stay_apart():
    conditions = Conditions(apart=[["vm-0", "vm-1", "vm-2", "vm-3"]])
    found = planned(fleet_of(4, 4), 3, conditions)
    assert loads(found) == {"a": 3, "b": 1}
    assert found["plan"]["conditions"]["apart"] == [["vm-0", "vm-1", "vm-2", "vm-3"]]


def test_groups_stay_apart_in_failure_domains_too():
    facts = {**fleet_of(4, 4), "c": host([vf(number) for number in range(4)])}
    conditions = Conditions(
        apart=[["vm-0", "vm-1", "vm-2", "vm-3"]], failure_domains={"rack": ["b", "c"]}
    )
    assert planned(facts, 3, conditions)["moves"] == 1


def test_nothing_is_proven_beside_a_host_without_facts():
    crowded = host([vf(1, "vm-1", pid=11), vf(2, "vm-2", pid=12)])
    facts = {"a": crowded, "b": host([vf(3)]), "c": None}
    for found in (planned({**facts, "b": None}, 2), planned(facts, 2)):
        assert found["status"] == "feasible"
        assert "that no other plan is more even is not proven" in found["sentences"][0]
        assert found["sentences"][-1].startswith("there are no usable facts of ")
    assert planned({"a": crowded, "b": facts["b"]}, 2)["status"] == "optimal"


def test_only_targets_receive_and_the_plan_says_so():
    facts = {**fleet_of(4, 4), "c": host([vf(number) for number in range(4)])}
    found = planned(facts, 4, Conditions(targets=["c"]))
    assert loads(found) == {"a": 2, "b": 0, "c": 2}
    assert found["plan"]["targets"] == ["c"]
    with pytest.raises(FleetError, match="targets has 'x', and there is no host"):
        planned(facts, 4, Conditions(targets=["x"]))


def test_devices_are_made_where_there_is_room():
    facts = {
        "a": host(
            [device(UUIDS[number], vm=f"vm-{number}", pid=number + 1) for number in range(4)]
        ),
        "b": host(parents=[parent()]),
    }
    found = planned(facts, 4)
    assert loads(found) == {"a": 2, "b": 2}
    assert len(found["plan"]["hosts"]["b"]["devices"]) == 2


def test_the_plan_tells_what_it_was_asked_for():
    found = rebalance_plan(read_fleet(fleet_of(2, 1)), 1, NOTHING, ["b", "a"])
    source = found["plan"]["placements"][0]["source"]
    assert found["plan"]["request"] == {
        "free_devices": "none",
        "hosts": ["a", "b"],
        "sources": [{"host": "a", "id": source["id"]}],
    }
