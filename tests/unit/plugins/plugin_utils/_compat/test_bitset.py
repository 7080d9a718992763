# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Arithmetic on all members of a bitset at once is what it is on each."""

from __future__ import annotations

from ansible_collections.vfio.migration.plugins.plugin_utils._compat import bitset
from hypothesis import given
from hypothesis import strategies as st

SETS = st.sets(st.integers(0, 40))


def as_bits(numbers: set[int]) -> int:
    return bitset.bitset(numbers, 41)


def numbers_of(counter: bitset.Counter) -> list[int]:
    return [sum((plane >> n & 1) << bit for bit, plane in enumerate(counter)) for n in range(41)]


@given(st.sets(st.integers(0, 300)))
def test_a_set_has_the_members_it_is_made_of(numbers):
    assert [*bitset.members(bitset.bitset(numbers, 301))] == sorted(numbers)


@given(st.lists(SETS))
def test_a_union_has_what_is_in_any_set(sets):
    assert {*bitset.members(bitset.union(map(as_bits, sets)))} == {n for each in sets for n in each}


@given(st.lists(st.integers(0, 1000), min_size=41, max_size=41), SETS)
def test_weights_add_up(weights, numbers):
    assert bitset.Weights(weights).total(as_bits(numbers)) == sum(weights[n] for n in numbers)


@given(st.lists(SETS, max_size=20), st.lists(SETS, max_size=20), st.integers(0, 40))
def test_counters_count_add_and_compare(one, other, limit):
    left, right = (bitset.count(map(as_bits, sets)) for sets in (one, other))
    counted = [[sum(n in each for each in sets) for n in range(41)] for sets in (one, other)]
    assert [numbers_of(left), numbers_of(right)] == counted
    pairs = [*zip(*counted, strict=True)]
    assert numbers_of(bitset.added(left, right)) == [sum(pair) for pair in pairs]
    assert numbers_of(bitset.minimum(left, right)) == [min(pair) for pair in pairs]
    found = bitset.at_most(left, limit, as_bits({*range(41)}))
    assert [*bitset.members(found)] == [n for n in range(41) if counted[0][n] <= limit]
