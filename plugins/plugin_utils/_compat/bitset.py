# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Bitsets: sets of numbers from 0 as integers with one bit for each member, and arithmetic on all members at once. Pure.

A *counter* has a number for every member, bit-sliced: a list of bitsets, of which the first has the members whose number
has bit 0, the second those with bit 1, and so on (vertical counters).
"""

from __future__ import annotations

import functools
import itertools
import operator
import typing as t

Counter = list[int]


def bitset(numbers: t.Iterable[int], count: int) -> int:
    """Return the set of these numbers, each of which is below ``count``."""
    bits = bytearray(count // 8 + 1)
    for number in numbers:
        bits[number >> 3] |= 1 << (number & 7)
    return int.from_bytes(bits, "little")


def members(bits: int) -> t.Iterator[int]:
    """Yield the members of a set in ascending order."""
    while bits:
        lowest = bits & -bits
        yield lowest.bit_length() - 1
        bits ^= lowest


def union(sets: t.Iterable[int]) -> int:
    """Return what is in any of the sets."""
    return functools.reduce(operator.or_, sets, 0)


def chosen(one: int, other: int, numbers: int) -> int:
    """Return a set that has of these ``numbers`` what is in ``other``, and of all else what is in ``one``."""
    return (one & ~numbers) | (other & numbers)


class Weights:
    """The weight of every number from 0, to be added up for the members of a set: bit by bit, not one by one."""

    def __init__(self, weights: t.Sequence[int]) -> None:
        self._planes = [
            bitset((n for n, weight in enumerate(weights) if weight >> bit & 1), len(weights))
            for bit in range(max(weights, default=0).bit_length())
        ]

    def total(self, bits: int) -> int:
        """Return the weight of all members of a set together."""
        return sum((bits & plane).bit_count() << bit for bit, plane in enumerate(self._planes))


def count(sets: t.Iterable[int]) -> Counter:
    """Return in how many of the sets each member is."""
    counter: Counter = []
    for carry in sets:
        for bit, plane in enumerate(counter):
            counter[bit], carry = plane ^ carry, plane & carry
            if not carry:
                break
        if carry:
            counter.append(carry)
    return counter


def added(one: Counter, other: Counter) -> Counter:
    """Return the sums of two counters, by the ripple-carry adder."""
    sums, carry = [], 0
    for x, y in itertools.zip_longest(one, other, fillvalue=0):
        sums.append(x ^ y ^ carry)
        carry = (x & y) | (carry & (x ^ y))
    return [*sums, carry] if carry else sums


def minimum(one: Counter, other: Counter) -> Counter:
    """Return the smaller numbers of two counters."""
    pairs = [*itertools.zip_longest(one, other, fillvalue=0)]
    smaller = 0
    for x, y in pairs:
        smaller = (y & ~x) | (smaller & ~(x ^ y))
    return [(x & smaller) | (y & ~smaller) for x, y in pairs]


def at_most(counter: Counter, limit: int, everything: int) -> int:
    """Return the members of ``everything`` whose number in a counter is no larger than ``limit``."""
    if limit >> len(counter):
        return everything
    found = everything
    for bit, plane in enumerate(counter):
        found = found | (everything & ~plane) if limit >> bit & 1 else found & ~plane
    return found
