# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The order of moves that wait for each other: what one leaves, another one gets, and a group never meets on the way."""

from __future__ import annotations

import itertools
import typing as t
from collections import Counter, defaultdict

import pytest
from ansible_collections.vfio.migration.plugins.filter.migration_plan import migration_plan
from ansible_collections.vfio.migration.tests.unit.fleets import host, vf
from hypothesis import event, given, settings
from hypothesis import strategies as st

Facts = dict[str, t.Any]


def rebalanced(facts: Facts, **asked: t.Any) -> t.Any:
    """Return the plan that moves every guest of the fleet to another host."""
    names = sorted(
        device["in_use"]["name"]
        for each in facts.values()
        for device in each["devices"]
        if device["in_use"]
    )
    return migration_plan(facts, sources=names, reuse=True, **asked)


def carry_out(facts: Facts, plan: t.Any, groups: t.Sequence[t.Sequence[str]] = ()) -> None:
    """Make the moves wave by wave, and require that each target is free by then, and that no group ever meets."""
    holders = {
        (name, device["id"]): device["in_use"] and device["in_use"]["name"]
        for name, each in facts.items()
        for device in each["devices"]
    }
    by_wave = defaultdict(list)
    for each in plan["placements"]:
        by_wave[each["wave"]].append(each)
    assert sorted(by_wave) == list(range(1, len(by_wave) + 1))
    for _wave, moves in sorted(by_wave.items()):
        for each in moves:
            target = each["target"]["host"], each["target"]["id"]
            assert holders.get(target) is None, each
            holders[target] = each["vm"]
        # Until the wave is over, a guest may be on either host.
        there = {(name, vm) for (name, _id), vm in holders.items() if vm}
        arriving = {(each["target"]["host"], each["vm"]) for each in moves}
        for group in groups:
            met = Counter(name for name, vm in there if vm in group)
            assert all(met[name] == 1 for name, vm in arriving if vm in group)
        for each in moves:
            holders[each["source"]["host"], each["source"]["id"]] = None


def full_hosts(*sizes: int, kinds: str = "v") -> Facts:
    """Return hosts without a free function, with so many guests each, whose functions are of these kinds in turn."""
    names, turn = itertools.count(), itertools.cycle(kinds)
    return {
        f"h{number}": host([vf(n, f"vm-{next(names)}", next(turn)) for n in range(size)])
        for number, size in enumerate(sizes)
    }


def add_free(facts: Facts, name: str, kind: str = "v") -> None:
    others = facts.get(name, host([]))
    extra = host([vf(len(others["devices"]), kind=kind)])
    facts[name] = {
        **others,
        "devices": [*others["devices"], *extra["devices"]],
        "descriptors": {**others["descriptors"], **extra["descriptors"]},
    }


def test_a_guest_waits_for_the_one_whose_device_it_gets():
    facts = full_hosts(1, 1)
    add_free(facts, "h2")
    plan = rebalanced(facts)
    carry_out(facts, plan)
    assert [each["wave"] for each in plan["placements"]] in ([1, 2], [2, 1])


@pytest.mark.parametrize("where", ["h0", "h1", "h2"])
@pytest.mark.parametrize("size", [1, 2, 5])
def test_one_hole_lets_a_circle_turn_wherever_it_is(size, where):
    facts = full_hosts(size, size)
    add_free(facts, where)
    plan = rebalanced(facts)
    assert (plan["status"], plan["unplaced"]) == ("optimal", [])
    carry_out(facts, plan)


@given(st.lists(st.integers(1, 6), min_size=2, max_size=20), st.integers(0, 19))
def test_one_hole_is_of_use_to_every_guest_with_one_device_like_it(sizes, where):
    facts, hole = full_hosts(*sizes), where % len(sizes)
    add_free(facts, f"h{hole}")
    plan = rebalanced(facts)
    # Nobody stays on its own host.
    elsewhere = [sum(sizes) + (number != hole) - size for number, size in enumerate(sizes)]
    if all(size <= places for size, places in zip(sizes, elsewhere, strict=True)):
        event("all have a place")
        assert (plan["status"], plan["unplaced"]) == ("optimal", [])
    carry_out(facts, plan)


def test_one_hole_opens_one_circle_after_the_other():
    """Each kind is a circle of its own; the functions of either kind would do for the first one alone."""
    facts = full_hosts(4, 4, kinds="vw")
    add_free(facts, "h2", "v")
    add_free(facts, "h2", "w")
    plan = rebalanced(facts)
    assert plan["unplaced"] == []
    carry_out(facts, plan)


def test_without_a_hole_nobody_moves_and_the_circle_is_told():
    plan = rebalanced(full_hosts(1, 1))
    assert plan["placements"] == []
    reasons = [each["reason"] for left in plan["unplaced"] for each in left["reasons"]]
    assert any("vm-0 waits for vm-1 waits for vm-0" in each for each in reasons)


def test_a_hole_that_is_of_no_use_opens_nothing():
    facts = full_hosts(2, 2)
    add_free(facts, "h0", "w")
    plan = rebalanced(facts)
    assert (plan["status"], plan["placements"]) == ("unproven", [])


def test_a_guest_whose_device_is_wanted_may_stay_for_want_of_a_place():
    facts = full_hosts(1)
    facts["h1"] = host([vf(0, "vm-9", "w")])
    add_free(facts, "h1")
    plan = rebalanced(facts)
    assert [each["vm"] for each in plan["placements"]] == ["vm-0"]
    assert [each["vm"] for each in plan["unplaced"]] == ["vm-9"]


@st.composite
def fleets(draw) -> Facts:
    """Draw hosts that are nearly full, with functions of two kinds."""
    names = itertools.count()
    kinds = st.sampled_from("vvw")
    return {
        f"h{number}": host(
            [
                vf(n, f"vm-{next(names)}" if draw(st.integers(0, 4)) else None, draw(kinds))
                for n in range(draw(st.integers(1, 4)))
            ]
        )
        for number in range(draw(st.integers(2, 4)))
    }


@given(fleets(), st.booleans())
def test_the_order_always_works(facts, in_groups):
    names = [d["in_use"]["name"] for each in facts.values() for d in each["devices"] if d["in_use"]]
    groups = [names[n::3] for n in range(3)] if in_groups else []
    plan = rebalanced(facts, apart=groups) if names else {"placements": [], "unplaced": []}
    event(f"{min(len(plan['unplaced']), 3)} left")
    carry_out(facts, plan, groups)


# --- apart ---


def test_guests_of_a_group_that_would_meet_on_the_way_do_not_change_places():
    facts = {"h1": host([vf(0, "vm-a"), vf(1)]), "h2": host([vf(0, "vm-b"), vf(1)])}
    plan = migration_plan(facts, sources=["vm-a", "vm-b"], apart=[["vm-a", "vm-b"]])
    assert plan["placements"] == []
    reasons = [each["reason"] for left in plan["unplaced"] for each in left["reasons"]]
    assert any("vm-a waits for vm-b waits for vm-a" in each for each in reasons)


def test_guests_of_a_group_follow_each_other_in_waves():
    facts = {
        "h1": host([vf(0, "vm-a"), vf(1)]),
        "h2": host([vf(0, "vm-b"), vf(1)]),
        "h3": host([vf(0)]),
    }
    groups = [["vm-a", "vm-b"]]
    plan = migration_plan(facts, sources=["vm-a", "vm-b"], apart=groups)
    assert plan["unplaced"] == []
    carry_out(facts, plan, groups)


@settings(max_examples=30)
@given(st.integers(2, 6), st.integers(1, 3))
def test_a_ring_of_groups_turns_with_one_free_host(count, size):
    """Each host has a member of each group and room for one more guest at a time."""
    groups = [[f"vm-{group}-{number}" for number in range(count)] for group in range(size)]
    facts = {
        f"h{number}": host([vf(group, groups[group][number]) for group in range(size)])
        for number in range(count)
    }
    facts["spare"] = host([vf(group) for group in range(size)])
    plan = rebalanced(facts, apart=groups)
    assert plan["unplaced"] == []
    carry_out(facts, plan, groups)


@given(st.lists(st.integers(1, 3), min_size=1, max_size=4), st.integers(0, 3), st.integers(0, 3))
def test_guests_with_several_devices_wait_until_there_is_one_for_each(sizes, more, free):
    """Where fewer are free than one of them needs, nobody waits without end."""
    number, here = 0, []
    for guest, size in enumerate(sizes):
        for _device in range(size):
            each = vf(number, f"vm-{guest}")
            each["in_use"]["pid"] = 100 + guest
            here.append(each)
            number += 1
    there = [vf(each, f"there-{each}") for each in range(more)]
    for pid, each in enumerate(there, start=200):
        each["in_use"]["pid"] = pid
    there += [vf(each) for each in range(more, more + free)]
    facts = {"a": host(here), "b": host(there)}
    plan = rebalanced(facts)
    carry_out(facts, plan)
    assert len(plan["placements"]) + len(plan["unplaced"]) == len(here) + more
