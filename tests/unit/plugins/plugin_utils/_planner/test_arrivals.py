# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A limit holds across runs: what hosts have received by the moves of an earlier plan counts."""

from __future__ import annotations

import copy
import random
import typing as t
from collections import Counter

import pytest
from ansible_collections.vfio.migration.plugins.filter.migration_plan import migration_plan
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import read_fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import Conditions
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.shown_plan import recomputed
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify import violations
from ansible_collections.vfio.migration.tests.unit.fleets import (
    UUIDS,
    device,
    gvt,
    host,
    parent,
    vf,
)
from hypothesis import event, given
from hypothesis import strategies as st

Facts = dict[str, t.Any]


def find(facts: Facts, label: t.Any) -> dict[str, t.Any]:
    devices = facts[label["host"]]["devices"]
    return next(each for each in devices if each["id"] == label["id"])


def carried_out(facts: Facts, plan: t.Any, guests: t.Collection[str]) -> Facts:
    """Return the facts once these guests have moved as ``plan`` says, and the targets of all are made."""
    after = copy.deepcopy(facts)
    for each in plan["placements"]:
        source, target = find(facts, each["source"]), each["target"]
        there = after[target["host"]]
        if target["create"]:
            there["descriptors"] |= facts[each["source"]["host"]]["descriptors"]
            own = {"id": target["id"], "parent": target["parent"], "in_use": None}
            there["devices"].append({**source, **own})
            for made_under in there["parents"]:
                for offered in made_under["types"] if made_under["id"] == target["parent"] else ():
                    offered["available_instances"] -= 4
        if each["vm"] in guests:
            find(after, target)["in_use"] = source["in_use"]
            find(after, each["source"])["in_use"] = None
    return after


def received(before: Facts, now: Facts) -> Counter[str]:
    """Return how many devices guests hold on each host that they did not hold before."""
    return Counter(
        name
        for name, each in now.items()
        for one in each["devices"]
        if one["in_use"] is not None
        if one["id"] not in {had["id"] for had in before[name]["devices"] if had["in_use"]}
    )


def fleet(chance: random.Random) -> Facts:
    """Return a host to be emptied, and others with functions and parents."""
    devices = []
    for number in range(chance.randint(1, 4)):
        devices += [
            vf(2 * number + each, f"vm-{number}", chance.choice("vw"), pid=50 + number)
            for each in range(chance.choice((1, 1, 2)))
        ]
    devices += [
        device(UUIDS[n], gvt("8", "4"), f"vm-{9 - n}", 90 + n) for n in range(chance.randint(0, 3))
    ]
    facts = {"a": host(devices)}
    for name in "bcd"[: chance.randint(1, 3)]:
        there = [vf(n, None, chance.choice("vw")) for n in range(chance.randint(0, 5))]
        under = parent(available={"i915-GVTg_V5_8": 4 * chance.randint(0, 3)})
        facts[name] = host(there, [under])
    return facts


@given(seed=st.integers(0, 10_000), data=st.data())
def test_the_same_request_afterwards_gives_no_further_moves_and_the_limit_holds_in_total(
    seed, data
):
    chance = random.Random(seed)
    facts = fleet(chance)
    limit: t.Any = chance.choice([1, 2, 3, {"b": chance.randint(0, 2)}])
    asked = Conditions(drain=["a"], limit=limit)
    first = plan = migration_plan(facts, drain=["a"], limit=limit)
    now, rest = facts, {each["vm"] for each in first["placements"]}
    goes = {each["source"]["id"]: each["target"] for each in first["placements"]}
    event(f"{len(rest)} move, {bool(first['unplaced'])}")
    while rest:
        gone = set(data.draw(st.lists(st.sampled_from(sorted(rest)), min_size=1, unique=True)))
        now, rest = carried_out(now, plan, gone), rest - gone
        # The conditions are those of the earlier plan.
        plan = migration_plan(now, drain=["a"], earlier=data.draw(st.sampled_from([plan, first])))
        assert violations(plan, now, asked) == []
        assert {each["vm"] for each in plan["placements"]} == rest
        for each in plan["placements"]:
            assert (each["target"]["host"], each["target"]["id"]) == (
                goes[each["source"]["id"]]["host"],
                goes[each["source"]["id"]]["id"],
            )
    came = received(facts, now)
    assert Counter(each["host"] for each in plan.get("received", ())) == came
    for name, count in came.items():
        assert count <= (limit if isinstance(limit, int) else limit.get(name, count))
    assert {each["source"]["id"] for each in plan["unplaced"]} == {
        each["source"]["id"] for each in first["unplaced"]
    }


def half_done(**conditions: t.Any) -> tuple[Facts, t.Any]:
    """Return the facts once a drain with a limit of 1 is carried out, and its plan: one of three guests has moved."""
    facts = {
        "a": host([vf(number, f"vm-{number}", pid=number + 1) for number in range(3)]),
        "b": host([vf(number) for number in range(4)]),
    }
    plan = migration_plan(facts, drain=["a"], limit=1, **conditions)
    assert [each["vm"] for each in plan["placements"]] == ["vm-0"]
    return carried_out(facts, plan, {"vm-0"}), plan


def test_a_plan_says_what_hosts_have_received_and_the_one_after_counts_it_too():
    facts, first = half_done()
    plan = migration_plan(facts, drain=["a"], limit=1, earlier=first)
    assert plan["received"] == [
        {
            "host": "b",
            "kind": "pci",
            "id": "0000:81:00.0",
            "vm": "vm-0",
            "source": {"host": "a", "kind": "pci", "id": "0000:81:00.0"},
        }
    ]
    assert (plan["status"], plan["placements"]) == ("unproven", [])
    assert plan["assumptions"] == ["the limit that was asked for keeps b from receiving more"]
    assert {each["reasons"][0]["code"] for each in plan["unplaced"]} == {"limit"}
    last = migration_plan(facts, drain=["a"], earlier=plan)
    assert (last["placements"], last["received"]) == ([], plan["received"])
    shown = recomputed(last, read_fleet(facts), Conditions(limit=1))
    assert (shown["placements"], shown["received"]) == ([], plan["received"])
    assert shown["unplaced"] == last["unplaced"]


def test_with_a_higher_limit_as_many_more_move_as_it_allows():
    facts, first = half_done()
    plan = migration_plan(facts, drain=["a"], limit=2, earlier=first)
    assert [each["vm"] for each in plan["placements"]] == ["vm-1"]


def test_without_an_earlier_plan_nothing_is_known_of_what_was_received():
    facts, _first = half_done()
    plan = migration_plan(facts, drain=["a"], limit=1)
    assert [each["vm"] for each in plan["placements"]] == ["vm-1"]
    assert "received" not in plan


def test_what_has_left_another_host_was_another_request():
    facts, first = half_done()
    facts["c"] = host([vf(0, "other", pid=7)])
    plan = migration_plan(facts, drain=["c"], earlier=first)
    assert [each["vm"] for each in plan["placements"]] == ["other"]
    both = migration_plan(facts, drain=["a", "c"], earlier=first)
    assert (both["placements"], len(both["received"])) == ([], 1)


def test_what_is_named_by_guests_counts_whichever_host_they_have_left():
    facts, first = half_done()
    plan = migration_plan(facts, sources=["vm-1", "vm-2"], targets=["b"], limit=1, earlier=first)
    assert (plan["placements"], len(plan["received"])) == ([], 1)


def goes_back(facts: Facts) -> None:
    facts["b"]["devices"][0]["in_use"] = None


def is_another(facts: Facts) -> None:
    facts["b"]["devices"][0]["in_use"] = {"pid": 9, "name": "another"}


def is_on_both(facts: Facts) -> None:
    facts["a"]["devices"][0]["in_use"] = facts["b"]["devices"][0]["in_use"]


@pytest.mark.parametrize("change", [goes_back, is_another, is_on_both])
def test_what_the_facts_do_not_show_is_not_counted_and_the_verifier_does_not_believe_it(change):
    facts, first = half_done()
    plan = migration_plan(facts, drain=["a"], earlier=first)
    asked = Conditions(drain=["a"], limit=1)
    assert violations(plan, facts, asked) == []
    change(facts)
    assert any(
        each.startswith("what was received is held there")
        for each in violations(plan, facts, asked)
    )
    assert "received" not in migration_plan(facts, drain=["a"], earlier=first)


def test_the_verifier_counts_what_was_received():
    facts, first = half_done()
    plan = migration_plan(facts, drain=["a"], limit=2, earlier=first)
    assert violations(plan, facts, Conditions(drain=["a"], limit=2)) == []
    plan["conditions"]["limit"] = 1
    assert violations(plan, facts, Conditions(drain=["a"], limit=1)) == [
        "hosts receive no more than their limit: b receives 1 devices beside 1 by earlier plans, and 1 at most"
    ]
    plan["received"] *= 2
    assert (
        "what was received is held there"
        in violations(plan, facts, Conditions(drain=["a"], limit=2))[-1]
    )


def test_what_moved_guests_take_is_taken_off_the_capacity_of_the_earlier_plan():
    capacity = {
        "hosts": {"b": {"memory": 5}},
        "guests": {f"vm-{number}": {"memory": 2} for number in range(3)},
    }
    facts, first = half_done(capacity=capacity)
    plan = migration_plan(facts, drain=["a"], limit=3, earlier=first)
    assert [each["vm"] for each in plan["placements"]] == ["vm-1"]
    assert plan["conditions"]["capacity"]["hosts"] == {"b": {"memory": 3}}
    # What is given anew is as of now.
    plan = migration_plan(facts, drain=["a"], limit=3, earlier=first, capacity=capacity)
    assert [each["vm"] for each in plan["placements"]] == ["vm-1", "vm-2"]
