# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The search, beside one that tries every plan."""

from __future__ import annotations

import dataclasses
import itertools
import random
from collections import Counter

from ansible_collections.vfio.migration.plugins.plugin_utils._packing import (
    branch_and_bound,
    local_search,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._packing import search as searching
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.assignment import load
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.best_fit import (
    Fit,
    best_fit_decreasing,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.bottleneck import (
    Shortage,
    find_shortage,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.effort import Effort
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.packings import (
    CREATED,
    OPENED,
    Bin,
    Item,
    PackingProblem,
    Packings,
    cost_in,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.refutation import (
    refutations,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.search import (
    Budget,
    FindRefutations,
    SearchResult,
    no_refutations,
)
from ansible_collections.vfio.migration.tests.unit.resources import (
    SIZES,
    UNITS,
    Chain,
    Parent,
    Pool,
    Resources,
    best_rating,
    highest_in_domains,
    problems,
)
from hypothesis import event, given
from hypothesis import strategies as st


def search(
    problem: PackingProblem, budget: Budget | None = None, shortage: Shortage | None = None
) -> SearchResult:
    return searching.search(problem, Packings(problem), budget or Budget(), lambda: shortage)


def rating(problem: PackingProblem, found: SearchResult) -> tuple[int, ...]:
    bins = found.assignment.values()
    cost = sum(
        cost_in(problem.bins[number], packing)
        for number, contents in found.assignment.items()
        for _item, packing in contents
    )
    unplaced = sum(len(item.demands) for item in problem.items) - sum(map(load, bins))
    highest = max(map(load, bins), default=0) if problem.spread else 0
    arrived = [load(found.assignment.get(n, ())) for n in range(len(problem.bins))]
    in_domains = highest_in_domains(problem, arrived)
    return (unplaced, cost // CREATED, in_domains, highest, cost % CREATED)


def check_replay(problem: PackingProblem, found: SearchResult) -> None:
    """Take in one device after the other, as the assignment has it."""
    resources, items = problem.resources, problem.items
    placed = Counter(item for each in found.assignment.values() for item, _packing in each)
    assert all(count == 1 for count in placed.values())
    for number, contents in found.assignment.items():
        there = problem.bins[number]
        state = list(there.state)
        groups = list(there.anti_affinity)
        for other, more in found.assignment.items():
            if other != number and problem.bins[other].domains & there.domains:
                groups += {group for item, _packing in more for group in items[item].anti_affinity}
        for item, packing in contents:
            assert items[item].home != number
            assert not items[item].refused & there.refuses
            groups += items[item].anti_affinity
            nodes, cost = set(), 0
            for demand, (resource, transition) in zip(
                items[item].demands, packing.steps, strict=True
            ):
                assert transition in resources.transitions(resource, demand)
                state.remove(resource)
                state += [] if transition.successor is None else [transition.successor]
                nodes.add(resources.numa_node(resource))
                cost += transition.cost
            assert (tuple(sorted(state)), cost) == (packing.after, packing.cost)
            assert len(nodes) == 1
        own = {group for item, _packing in contents for group in items[item].anti_affinity}
        assert all(groups.count(group) == 1 for group in own)
        if there.limits:
            assert load(contents) <= there.limits[0]
            assert sum(items[item].weights[1] for item, _packing in contents) <= there.limits[1]


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
def test_what_is_optimal_is_the_best_of_all_assignments(problem, rounds):
    found = search(problem, Budget(rounds=rounds))
    best = best_rating(problem)
    event(f"optimal: {found.optimal}")
    if found.optimal:
        assert rating(problem, found) == best
    else:
        assert rating(problem, found) >= best


@given(problems(), st.sampled_from([0, 20_000]))
def test_a_shortage_ends_the_search_only_where_no_assignment_is_better(problem, steps):
    demands = Counter(itertools.chain.from_iterable(each.demands for each in problem.items))
    there = Counter(itertools.chain.from_iterable(each.state for each in problem.bins))
    shortage = find_shortage(problem.resources, demands, there)
    found = search(problem, Budget(steps=steps), shortage)
    taken = Packings(problem).takers
    nowhere = any(not taken[each] for each in demands)
    event(f"optimal: {found.optimal}, beside what nothing takes: {nowhere}")
    if found.optimal:
        assert rating(problem, found) == best_rating(problem)


@given(problems(items=5, bins=4), st.sampled_from([0, 20_000]))
def test_refutations_end_the_search_only_where_no_assignment_is_better(problem, steps):
    found = searching.search(
        problem,
        Packings(problem),
        Budget(steps=steps),
        lambda: None,
        find_refutations=lambda left, devices: refutations(problem, left, devices),
    )
    event(f"optimal: {found.optimal}, refutations: {len(found.refutations)}")
    if found.optimal:
        assert rating(problem, found) == best_rating(problem)


def test_no_round_is_spent_on_what_is_refuted():
    """Of each group there are three items to be apart, and two bins."""
    resources = Resources()
    demand = resources.demands.index((1, None))
    bins = [Bin((resources.number(Pool(1, 20, 0)),)) for _bin in range(2)]
    items = [
        Item((demand,), anti_affinity=frozenset([group]))
        for group in range(10)
        for _item in range(3)
    ]
    problem = PackingProblem(resources, items, bins)

    def found_with(find: FindRefutations) -> SearchResult:
        return searching.search(
            problem, Packings(problem), Budget(), lambda: None, find_refutations=find
        )

    without = found_with(no_refutations)
    found = found_with(lambda left, devices: refutations(problem, left, devices))
    assert (len(found.unplaced), found.rounds, found.steps, found.optimal) == (10, 0, 0, True)
    assert len(without.unplaced) == 10 and without.rounds > 0


@given(problems(items=1, bins=6, devices=1))
def test_one_device_goes_where_best_fit_places_it(problem):
    packings = Packings(problem)
    first = best_fit_decreasing(
        problem, packings, Fit(problem, packings), lambda stage, placed: None
    )
    found = search(problem)
    assert (found.assignment, list(found.unplaced)) == (first.assignment, first.unplaced)
    assert found.optimal


@given(problems(items=4, bins=3))
def test_nothing_that_places_every_item_costs_less_than_the_bound(problem):
    found = search(problem, Budget(0, 0))
    unplaced, created, in_domain, highest, others = best_rating(problem)
    event(f"all placed: {not unplaced}")
    if not unplaced:
        bound = found.bound
        grave = bound.not_preferred * CREATED // OPENED + bound.created
        opened = bound.opened * OPENED + bound.other_type
        least = (grave, bound.domain_load, bound.load, opened)
        assert least <= (created, in_domain, highest, others)


@given(problems(items=8, bins=5))
def test_repair_and_the_exact_search_never_make_a_plan_worse(problem):
    first, repaired, exact = (
        rating(problem, search(problem, budget))
        for budget in (Budget(0, 0), Budget(200, 0), Budget(200, 20_000))
    )
    assert repaired[0] <= first[0]
    assert exact <= repaired


def planted(chance: random.Random, hosts: int, empty: int) -> PackingProblem:
    """Draw full hosts cut into items, and some hosts more."""
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
    return PackingProblem(resources, items, bins, False)


def test_repair_finds_a_place_for_every_item_where_there_is_little_room_to_spare():
    problem = planted(random.Random(3), 60, 1)
    left = [rating(problem, search(problem, Budget(n, 0)))[0] for n in (0, 500)]
    assert left[0] > left[1] == 0


def test_with_more_effort_repair_finds_more_places():
    problem = planted(random.Random(3), 60, 1)
    little = Budget(20, 0)
    left = [rating(problem, search(problem, each))[0] for each in (little, little.times(20))]
    assert left[0] > left[1]


def test_repair_moves_items_between_bins_that_are_all_different():
    """Each kind of device may become the next one, too, so that one item's place is had where others move along."""
    chance = random.Random(1)
    resources = Chain(4)
    items, bins = [], []
    while len(items) < 200:
        places: list[int] = []
        while len(places) < 8:
            size = min(chance.randint(1, 4), 8 - len(places))
            of_item = [chance.randrange(4) for _device in range(size)]
            places += of_item
            items.append(Item(tuple(sorted(chance.choice([k, max(0, k - 1)]) for k in of_item))))
        bins.append(Bin(tuple(sorted(resources.pool(k, places.count(k)) for k in {*places}))))
    problem = PackingProblem(resources, items, bins, False)
    assert search(problem, Budget(0, 0)).unplaced
    assert not search(problem, Budget(steps=0)).unplaced


def test_repair_ends_where_no_more_can_be_placed():
    resources = Resources()
    bins = [Bin((resources.number(Pool(0, 2, 0)),))] * 2
    items = [Item((0,))] * 5
    problem = PackingProblem(resources, items, bins, False)
    assert search(problem, Budget(1000, 0), shortage=Shortage((0,), 5, 4)).rounds == 0
    assert search(problem, Budget(300, 0)).rounds == 300


def crowded(times: int) -> PackingProblem:
    """Return one full host's items so many times: most have no place, and any of them might be those that have."""
    problem = planted(random.Random(5), 1, 0)
    return dataclasses.replace(problem, items=[*problem.items] * times)


def test_what_nothing_takes_counts_as_looked_at(monkeypatch):
    """The exact search ends after so many nodes of its tree, however many of them have no place to look at."""
    nodes = 0
    enter = branch_and_bound._Tree._enter

    def counted(tree: branch_and_bound._Tree, highest: int) -> None:
        nonlocal nodes
        nodes += 1
        enter(tree, highest)

    monkeypatch.setattr(branch_and_bound._Tree, "_enter", counted)
    found = search(crowded(20), Budget(0, 2_000))
    assert not found.optimal
    # A node in which an item is placed nowhere has no packing of its own.
    assert nodes <= 2 * found.steps + 1


def test_rounds_count_where_searches_share_an_effort():
    problem = crowded(20)
    rounds = []
    for effort in (1_000, 1_000_000):
        shared = Effort(effort)
        packings = Packings(problem, effort=shared)
        budget = Budget(500, 0, shared=shared)
        rounds.append(searching.search(problem, packings, budget, lambda: None).rounds)
    assert 0 < rounds[0] < rounds[1] == 500


def test_repair_of_few_bins_ends_soon():
    assert search(crowded(20), Budget(20_000, 0)).rounds == 1_000


def test_repair_ends_where_so_many_places_were_worked_out(monkeypatch):
    """Rounds in which every state is a new one cost much more than others."""
    problem = crowded(20)
    monkeypatch.setattr(local_search, "_MOST_NEW", 3)
    assert 0 < search(problem, Budget(20_000, 0)).rounds < 1_000


def test_what_is_worked_out_counts_where_searches_share_an_effort(monkeypatch):
    left = []
    for much in (0, 1_000):
        monkeypatch.setattr(local_search, "_KNOWN_PER_NEW", much)
        problem, shared = crowded(20), Effort(10_000_000)
        packings = Packings(problem, effort=shared)
        searching.search(problem, packings, Budget(100, 0, shared=shared), lambda: None)
        left.append(shared._left)
    assert left[0] - left[1] >= 1_000
