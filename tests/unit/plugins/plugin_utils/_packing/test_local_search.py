# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The search, beside one that tries every plan."""

from __future__ import annotations

import random
from collections import Counter

from ansible_collections.vfio.migration.plugins.plugin_utils._packing.local_search import (
    Budget,
    Found,
    Search,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.packings import (
    CREATED,
    Bin,
    Item,
)
from ansible_collections.vfio.migration.tests.unit.resources import (
    SIZES,
    UNITS,
    Parent,
    Pool,
    Problem,
    Resources,
    best_rating,
    problems,
)
from hypothesis import event, given
from hypothesis import strategies as st


def search(problem: Problem, budget: Budget | None = None, hopeless: int = 0) -> Found:
    resources, items, bins, spread = problem
    return Search(resources, items, bins, spread, budget or Budget()).run(lambda: hopeless)


def rating(problem: Problem, found: Found) -> tuple[int, ...]:
    held = [way for each in found.bins.values() for item, way in each]
    cost = sum(way.cost for way in held)
    loads = [sum(len(way.steps) for item, way in each) for each in found.bins.values()]
    left = sum(len(item.demands) for item in problem.items) - sum(loads)
    load = max(loads, default=0) if problem.spread else 0
    return (left, cost // CREATED, load, cost % CREATED)


def check_replay(problem: Problem, found: Found) -> None:
    """Take in one device after the other, as the plan has it."""
    resources, items, bins, _spread = problem
    placed = Counter(item for held in found.bins.values() for item, way in held)
    assert all(count == 1 for count in placed.values())
    for number, held in found.bins.items():
        state = list(bins[number].state)
        groups = list(bins[number].anti_affinity)
        for item, way in held:
            assert items[item].home != number
            groups += items[item].anti_affinity
            nodes, cost = set(), 0
            for demand, (resource, move) in zip(items[item].demands, way.steps, strict=True):
                assert move in resources.transitions(resource, demand)
                state.remove(resource)
                state += [] if move.successor is None else [move.successor]
                nodes.add(resources.numa_node(resource))
                cost += move.cost
            assert (tuple(sorted(state)), cost) == (way.after, way.cost)
            assert len(nodes) == 1
        assert len(groups) == len(set(groups))
        limit = bins[number].limit
        assert limit is None or sum(len(way.steps) for item, way in held) <= limit


@given(problems(items=8, bins=5), st.sampled_from([Budget(0, 0), Budget(50, 0), Budget()]))
def test_every_placement_fits_when_it_is_carried_out(problem, budget):
    check_replay(problem, search(problem, budget))


@given(problems(items=8, bins=5))
def test_the_same_input_gives_the_same_plan(problem):
    first = search(problem)
    state = random.getstate()
    random.seed(len(problem.items))
    assert search(problem) == first
    random.setstate(state)


@given(problems(), st.sampled_from([0, 20_000]))
def test_a_complete_search_finds_the_best_of_all_plans(problem, rounds):
    found = search(problem, Budget(rounds=rounds))
    best = best_rating(problem)
    event(f"complete: {found.complete}")
    if found.complete:
        assert rating(problem, found) == best
    else:
        assert rating(problem, found) >= best


@given(problems(items=8, bins=5))
def test_repair_and_the_exact_search_never_make_a_plan_worse(problem):
    first, repaired, exact = (
        rating(problem, search(problem, budget))
        for budget in (Budget(0, 0), Budget(200, 0), Budget(200, 20_000))
    )
    assert repaired[0] <= first[0]
    assert exact <= repaired


def planted(chance: random.Random, hosts: int, empty: int) -> Problem:
    """Full hosts cut into items, and some hosts more."""
    resources = Resources()
    items, bins = [], []
    for number in range(hosts + empty):
        family = chance.randrange(2)
        pool = 3
        state = [Parent(family, None, 0, 0)] * 2 + [Pool(family, pool, 0)]
        bins.append(Bin(tuple(sorted(map(resources.number, state)))))
        if number < hosts:
            size = chance.choice(SIZES)
            demands = [resources.demands.index((family, size))] * (2 * UNITS // size)
            demands += [resources.demands.index((family, None))] * pool
            while demands:
                count = chance.randint(1, 4)
                items.append(Item(tuple(sorted(demands[-count:]))))
                del demands[-count:]
    chance.shuffle(items)
    return Problem(resources, items, bins, False)


def test_repair_finds_a_place_for_every_item_where_there_is_little_room_to_spare():
    problem = planted(random.Random(3), 60, 1)
    left = [rating(problem, search(problem, Budget(n, 0)))[0] for n in (0, 500)]
    assert left[0] > left[1] == 0


def test_repair_ends_where_no_more_can_be_placed():
    resources = Resources()
    bins = [Bin((resources.number(Pool(0, 2, 0)),))] * 2
    items = [Item((0,))] * 5
    problem = Problem(resources, items, bins, False)
    assert search(problem, Budget(1000, 0), hopeless=1).rounds == 0
    assert search(problem, Budget(300, 0)).rounds == 300
