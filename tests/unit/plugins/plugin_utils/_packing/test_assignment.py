# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Assignments in the making, beside what the groups and domains of their items say."""

from __future__ import annotations

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.assignment import (
    BinIndex,
    PartialAssignment,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.packings import (
    Bin,
    Item,
    PackingProblem,
    Packings,
)
from ansible_collections.vfio.migration.tests.unit.resources import Pool, Resources
from hypothesis import given
from hypothesis import strategies as st

FUNCTIONS = 4
few_numbers = st.frozensets(st.integers(0, 2), max_size=2)


@st.composite
def changed(draw: st.DrawFn) -> PartialAssignment:
    """Draw bins and items, put some of these into some of those, empty some again."""
    resources = Resources()
    state = (resources.number(Pool(0, FUNCTIONS, 0)),)
    bins = draw(
        st.lists(
            st.builds(Bin, st.just(state), anti_affinity=few_numbers, domains=few_numbers),
            min_size=1,
            max_size=4,
        )
    )
    items = draw(st.lists(st.builds(Item, st.just((0,)), anti_affinity=few_numbers), min_size=1))
    problem = PackingProblem(resources, items, bins)
    packings = Packings(problem)
    partial = PartialAssignment(problem)
    for item in range(len(items)):
        number = draw(st.integers(0, len(bins) - 1))
        packing = packings.best(partial.state[number], items[item].demands)
        if packing is not None:
            partial.put(number, item, packing)
        if draw(st.booleans()):
            partial.empty(draw(st.integers(0, len(bins) - 1)))
    return partial


@given(changed(), few_numbers)
def test_an_item_may_be_where_no_member_of_its_groups_is(
    partial: PartialAssignment, groups: frozenset[int]
) -> None:
    for number, there in enumerate(partial.bins):
        near = [
            other
            for other, each in enumerate(partial.bins)
            if other == number or each.domains & there.domains
        ]
        members = [partial.items[item] for n in near for item, _packing in partial.contents[n]]
        taken = there.anti_affinity.union(*(member.anti_affinity for member in members))
        assert partial.allows(Item((0,), anti_affinity=groups), number) == taken.isdisjoint(groups)


def racks_of_groups(racks: int) -> list[int]:
    """Place items of groups of two in two bins a rack, which they fill, one after the other; return the rack of each."""
    resources = Resources()
    state = (resources.number(Pool(0, FUNCTIONS, 0)),)
    bins = [Bin(state, domains=frozenset([number // 2])) for number in range(2 * racks)]
    numbers = range(len(bins) * FUNCTIONS)
    items = [Item((0,), anti_affinity=frozenset([number // 2])) for number in numbers]
    problem = PackingProblem(resources, items, bins)
    packings, partial = Packings(problem), PartialAssignment(problem)
    index = BinIndex(partial, packings, spread=False)
    for number in numbers:
        for key in index.keys(0, items[number].demands):
            packing = packings.best(key.state, items[number].demands)
            if packing is not None and index.place(key, number, packing) is not None:
                break
    rack_of = {
        item: number // 2
        for number, contents in partial.assignment().items()
        for item, _packing in contents
    }
    return [rack_of[number] for number in numbers]


@pytest.mark.parametrize("racks", [2, 3, 4, 7])
def test_groups_fill_racks_evenly_so_that_the_last_ones_find_a_place_too(racks: int) -> None:
    found = racks_of_groups(racks)
    assert all(one != other for one, other in zip(found[::2], found[1::2], strict=True))
