# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Refutations, beside a search that tries every plan, and followed step by step as a person would."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._packing.assignment import EmptyBins
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.packings import (
    Bin,
    Item,
    PackingProblem,
    Packings,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.refutation import (
    MOST_STEPS,
    ItemPlace,
    Refutation,
    by_likeness,
    refutations,
)
from ansible_collections.vfio.migration.tests.unit.resources import (
    Pool,
    Resources,
    best_rating,
    ends,
    problems,
)
from hypothesis import event, given


def without_limits(problem: PackingProblem) -> PackingProblem:
    return dataclasses.replace(
        problem,
        items=[dataclasses.replace(each, weights=()) for each in problem.items],
        bins=[dataclasses.replace(each, limits=()) for each in problem.bins],
    )


def left_out(problem: PackingProblem, items: t.Iterable[int]) -> int:
    """Return how many devices of these items the best of all plans leaves out."""
    part = [problem.items[each] for each in sorted(items)]
    return best_rating(dataclasses.replace(problem, items=part))[0]


def with_bins(problem: PackingProblem) -> list[int]:
    """Return the items that some bin takes in while it is empty."""
    empty = EmptyBins(problem.bins, Packings(problem))
    return [number for number, item in enumerate(problem.items) if empty.take_in(item)]


def all_in(problem: PackingProblem, number: int, items: t.Iterable[int]) -> bool:
    """Return whether a bin takes in these items together."""
    states = {tuple(problem.bins[number].state)}
    for item in items:
        demands = problem.items[item].demands
        states = {
            after for state in states for after, _cost in ends(problem.resources, state, demands)
        }
    return bool(states)


def alone_in(problem: PackingProblem, number: int, item: Item) -> bool:
    there = problem.bins[number]
    return (
        item.home != number
        and not item.anti_affinity & there.anti_affinity
        and not item.refused & there.refuses
        and bool(ends(problem.resources, tuple(there.state), item.demands))
    )


def follow(problem: PackingProblem, found: Refutation, step: int, there: dict[int, int]) -> None:
    """Check a step, and those that follow, where earlier items are in the bins ``there``."""
    item, cases = found.steps[step]
    assert item in found.items
    assert item not in there
    listed = sorted(number for place, _then in cases for number in place.bins)
    assert listed == [
        number
        for number in range(len(problem.bins))
        if alone_in(problem, number, problem.items[item])
    ]
    for place, then in cases:
        if then is not None:
            assert not place.conflicts
            follow(problem, found, then, {**there, item: place.bins[0]})
        elif place.apart_from is not None:
            other = problem.bins[there[place.apart_from]]
            assert problem.items[item].anti_affinity & problem.items[place.apart_from].anti_affinity
            assert all(
                there[place.apart_from] == number or other.domains & problem.bins[number].domains
                for number in place.bins
            )
        else:
            (number,) = place.bins
            assert {there[each] for each in place.beside} == {number}
            assert not all_in(problem, number, [*place.beside, item])
            for each in place.beside:
                assert all_in(problem, number, [item, *({*place.beside} - {each})])


@given(problems(items=5, bins=4))
def test_a_refutation_is_true_and_can_be_followed(problem):
    plain = without_limits(problem)
    for each in refutations(problem, range(len(problem.items)), 9):
        event(f"{len(each.steps)} steps")
        assert left_out(plain, each.items) >= each.left_out > 0
        follow(problem, each, 0, {})


@given(problems(items=5, bins=4))
def test_there_is_one_where_not_all_that_have_a_bin_have_a_place(problem):
    plain, items = without_limits(problem), with_bins(problem)
    found = refutations(problem, range(len(problem.items)), 1)
    assert bool(found) == bool(items and left_out(plain, items))


@given(problems(items=5, bins=4))
def test_without_any_one_of_its_items_the_others_have_a_place(problem):
    plain = without_limits(problem)
    for each in refutations(problem, range(len(problem.items)), 9):
        for item in each.items:
            rest = {*each.items} - {item}
            assert not rest or not left_out(plain, rest)


def test_refutations_have_no_item_in_common():
    """Two bins, each with too little for two of its own kind of items."""
    resources = Resources()
    first, second = (resources.demands.index((family, None)) for family in (1, 0))
    bins = [
        Bin((resources.number(Pool(1, 3, 0)),)),
        Bin((resources.number(Pool(0, 3, 0)),), refuses=frozenset([0])),
    ]
    items = [Item((first, first), refused=frozenset([0])) for _item in range(2)]
    items += [Item((second, second)) for _item in range(2)]
    found = refutations(PackingProblem(resources, items, bins), range(4), 4)
    assert {(each.items, each.left_out) for each in found} == {((0, 1), 2), ((2, 3), 2)}


def test_equal_bins_are_looked_at_once():
    """One item more than there are bins, each with what one and a half of them need."""
    resources = Resources()
    demand = resources.demands.index((1, None))
    bins = [Bin((resources.number(Pool(1, 3, 0)),)) for _bin in range(20)]
    items = [Item((demand, demand)) for _item in range(21)]
    (found,) = refutations(PackingProblem(resources, items, bins), [20], 1)
    assert found.items == tuple(range(21))
    assert len(found.steps) == 21
    assert found.steps[0].cases == ((ItemPlace(tuple(range(20))), 1),)


def test_a_conflict_is_found_among_many_items_that_have_none():
    """Three of a thousand items are to be apart, and only two of 400 bins take any of them in."""
    resources = Resources()
    demand, other = (resources.demands.index((family, None)) for family in (1, 0))
    bins = [Bin((resources.number(Pool(1, 3, 0)),)) for _bin in range(2)]
    bins += [Bin((resources.number(Pool(0, 3, 0)),), refuses=frozenset([1])) for _bin in range(400)]
    together = [
        Item((demand,), anti_affinity=frozenset([7]), refused=frozenset([1])) for _item in range(3)
    ]
    items = [*(Item((other,)) for _item in range(1000)), *together]
    (found,) = refutations(PackingProblem(resources, items, bins), [1002], 1)
    assert found.items == (1000, 1001, 1002)
    assert len(found.steps) <= MOST_STEPS


def test_what_takes_too_many_steps_is_not_refuted():
    """Bins for two and a half items each, and one item too many: no person follows all cases."""
    resources = Resources()
    demand = resources.demands.index((1, None))
    bins = [
        Bin((resources.number(Pool(1, 3, 0)), resources.number(Pool(1, 2, 0))))
        for _b in "abcdefghi"
    ]
    items = [Item((demand, demand)) for _item in range(19)]
    assert refutations(PackingProblem(resources, items, bins), [18], 1) == []


def test_those_that_differ_only_in_items_are_alike():
    resources = Resources()
    demand = resources.demands.index((1, None))
    bins = [Bin((resources.number(Pool(1, 9, 0)),)) for _bin in range(2)]
    groups = [frozenset([number]) for number in range(3)]
    items = [Item((demand,), anti_affinity=group) for group in groups for _item in range(3)]
    found = refutations(PackingProblem(resources, items, bins), [2, 5, 8], 3)
    assert sorted(each.items for each in found) == [(0, 1, 2), (3, 4, 5), (6, 7, 8)]
    (alike,) = by_likeness(found, 9)
    assert alike == found
    assert by_likeness(found, 0) == []
