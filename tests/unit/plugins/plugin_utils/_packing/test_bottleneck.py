# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Shortages, beside a count of what every plan places at most."""

from __future__ import annotations

import itertools
from collections import Counter

from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import read_fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.bottleneck import (
    Shortage,
    find_shortage,
    reachable,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.packings import (
    Bin,
    Item,
    PackingProblem,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.search import Budget
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.planner import make_plan
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import (
    Request,
    requested,
)
from ansible_collections.vfio.migration.tests.bench.planted import planted
from ansible_collections.vfio.migration.tests.unit.resources import (
    SIZES,
    UNITS,
    Parent,
    Pool,
    Resources,
    best_rating,
    problems,
)
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st


def shortage_of(problem: PackingProblem) -> Shortage | None:
    demands = Counter(itertools.chain.from_iterable(item.demands for item in problem.items))
    resources = Counter(itertools.chain.from_iterable(each.state for each in problem.bins))
    return find_shortage(problem.resources, demands, resources)


@given(problems(bins=2))
def test_no_plan_places_more_than_a_shortage_says(problem):
    shortage = shortage_of(problem)
    least_left = best_rating(problem)[0]
    if shortage is None:
        event("none")
        return
    event("missing" if shortage.missing < least_left else "exact")
    assert 0 < shortage.missing <= least_left
    demands = Counter(itertools.chain.from_iterable(item.demands for item in problem.items))
    assert shortage.need == sum(demands[each] for each in shortage.demands)
    resources = Counter(itertools.chain.from_iterable(each.state for each in problem.bins))
    assert shortage.reachable == reachable(problem.resources, shortage.demands, resources)


@st.composite
def full_hosts(draw) -> PackingProblem:
    """Draw hosts, and devices that fill them to the last."""
    resources = Resources()
    items, bins = [], []
    for _host in range(draw(st.integers(1, 6))):
        family = draw(st.sampled_from([0, 1]))
        size, count = draw(st.sampled_from(SIZES)), draw(st.integers(1, 3))
        state = [Parent(family, None, 0, 0), Pool(family, count, 0)]
        bins.append(Bin(tuple(sorted(map(resources.number, state)))))
        demands = [resources.demands.index((family, size))] * (UNITS // size)
        demands += [resources.demands.index((family, None))] * count
        items += [Item((demand,)) for demand in demands]
    return PackingProblem(resources, items, bins, False)


@given(full_hosts())
def test_there_is_no_shortage_where_everything_has_a_place(problem):
    assert shortage_of(problem) is None


@given(full_hosts(), st.data())
def test_one_device_too_many_of_those_that_only_full_places_take_is_found(problem, data):
    # Of the biggest size there are as many places as parents, however the others are placed; of family 1's pools
    # also those of family 0 are a place.
    resources, items, bins = problem.resources, problem.items, problem.bins
    family = data.draw(st.sampled_from([0, 1]))
    sort = data.draw(st.sampled_from([None, UNITS]))
    wanted = resources.demands.index((family, sort))
    initial = Counter(itertools.chain.from_iterable(each.state for each in bins))
    places = reachable(resources, [wanted], initial)
    others = [item for item in items if resources.demands[item.demands[0]][1] != sort]
    short = PackingProblem(resources, others + [Item((wanted,))] * (places + 1), bins, False)
    shortage = shortage_of(short)
    assert shortage is not None
    if sort is None or not any(resources.demands[i.demands[0]][0] == family for i in others):
        assert (shortage.demands, shortage.missing) == ((wanted,), 1)
    assert shortage.missing >= 1


def test_small_devices_do_not_hide_that_big_ones_are_too_many():
    resources = Resources()
    parent = resources.number(Parent(1, None, 0, 0))
    small, big = (resources.demands.index((1, size)) for size in (1, UNITS))
    found = find_shortage(resources, {small: 1, big: 3}, {parent: 2})
    assert found is not None
    assert (found.demands, found.need, found.reachable) == ((big,), 3, 2)


@given(st.integers(10, 60), st.integers(0, 1 << 32))
@settings(max_examples=20)
def test_a_place_too_few_in_a_fleet_is_proven_to_the_device(guests, seed):
    facts, drained = planted(guests, 0.9, short=True, seed=seed)
    fleet = read_fleet(facts)
    functions = [device for device in fleet.devices() if device.type == "vf0" and device.in_use]
    assume(functions)
    targets = sorted(fleet.hosts.keys() - drained)
    plan = make_plan(fleet, Request(requested(fleet, drained, None), targets), Budget(20, 0))
    assert plan["status"] == "infeasible"
    assert plan["bound"]["unplaced"] >= 1
    if plan["shortage"] is None:
        # All that is left fits nowhere, even by itself.
        assert plan["bound"]["unplaced"] == plan["cost"]["unplaced"]
        return
    event("shortage")
    assert (plan["shortage"]["need"], plan["shortage"]["reachable"]) == (
        len(functions),
        len(functions) - 1,
    )
    assert plan["shortage"]["devices"] == [device.label for device in functions]
