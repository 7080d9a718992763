# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Joins: which of many subjects match a list of patterns, and how far the others are from it. Pure.

A set of subjects is an ``int`` with one bit for each. Patterns are expanded to sets without variables; every term of
such a set ("pci_id is 80865963") is looked up in an index and gives the set of subjects for which it holds. What all
terms hold for matches; what all but one hold for is kept away by that attribute alone. So one list is compared with
all subjects at once, in a few operations on large integers. The result is what comparing it with one subject after
the other would give.
"""

from __future__ import annotations

import itertools
import operator
import typing as t
from collections import defaultdict

from ansible_collections.vfio.migration.plugins.module_utils._descriptor import (
    attributes as attributes_module,
)
from ansible_collections.vfio.migration.plugins.module_utils._descriptor import pattern
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.wording import nearest

_Patterns = t.Sequence[pattern.Pattern | pattern.InvalidPattern]
# Sets of subjects are kept for terms up to this many bits; larger indexes are looked up again.
_KEPT_BITS = 2**31


def members(subjects: int) -> t.Iterator[int]:
    """The numbers of the subjects in a set, in ascending order."""
    while subjects:
        lowest = subjects & -subjects
        yield lowest.bit_length() - 1
        subjects ^= lowest


def of(numbers: t.Iterable[int], count: int) -> int:
    """The set of the subjects with these numbers, of ``count`` there are."""
    bits = bytearray(count // 8 + 1)
    for number in numbers:
        bits[number >> 3] |= 1 << (number & 7)
    return int.from_bytes(bits, "little")


class Subjects:
    """The ``self`` of many devices, by number, and an index of them; ``are_targets`` says which side they are on."""

    def __init__(self, subjects: t.Sequence[t.Mapping[str, str]], are_targets: bool) -> None:
        self.subjects = subjects
        self.all = (1 << len(subjects)) - 1
        self._are_targets = are_targets
        self._values: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        for number, attributes in enumerate(subjects):
            for name, value in attributes.items():
                self._values[name][attributes_module.comparable(name, value)].append(number)
        self._integers: dict[str, dict[int, list[int]]] = {}
        self._terms: dict[pattern.Term, tuple[int, int]] = {}

    def holding(self, term: pattern.Term) -> tuple[int, int]:
        """How many subjects ``term`` holds for, and which."""
        found = self._terms.get(term)
        if found is None:
            subjects = self._holding(*term)
            found = subjects.bit_count(), subjects
            if len(self._terms) * len(self.subjects) < _KEPT_BITS:
                self._terms[term] = found
        return found

    def _holding(self, name: str, comparison: str, wanted: str | int | None) -> int:
        values = self._values.get(name, {})
        if comparison == pattern.VERSION:
            return self._set(
                number
                for version, numbers in values.items()
                if pattern.version_failure(str(wanted), version, self._are_targets) is None
                for number in numbers
            )
        if isinstance(wanted, int):
            return self._set(self._by_integer(name).get(wanted, ()))
        found = self._set(values.get(wanted, ()) if wanted is not None else ())
        if wanted == "":
            found |= self.all & ~self._set(n for numbers in values.values() for n in numbers)
        return found

    def _by_integer(self, name: str) -> dict[int, list[int]]:
        if name not in self._integers:
            integers = self._integers[name] = defaultdict(list)
            for value, numbers in self._values.get(name, {}).items():
                integer = pattern.read_integer(value)
                if integer is not None:
                    integers[integer].extend(numbers)
        return self._integers[name]

    def _set(self, numbers: t.Iterable[int]) -> int:
        return of(numbers, len(self.subjects))


class Listing:
    """What one list of patterns has of all ``subjects``.

    ``matched`` are those that match a pattern; ``but_for`` has, by attribute, those that would if this attribute had
    another value. A void pattern is farther from everything than any other.
    """

    def __init__(self, patterns: _Patterns, subjects: Subjects) -> None:
        self._all = subjects.all
        self._levels: list[int] = []
        self._near = 0
        self.matched = 0
        self.but_for: dict[str, int] = defaultdict(int)
        self._terms: list[list[int]] = []
        parsed = [each for each in patterns if isinstance(each, pattern.Pattern)]
        if not all(each.bounded for each in parsed):
            self._match_each(patterns, subjects)
        elif parsed:
            for terms in itertools.chain.from_iterable(each.alternatives() for each in parsed):
                self._match(terms, subjects)
            self._finish()
        else:
            self._levels = [0, self._all]

    def within(self, failures: int) -> int:
        """The subjects that match a pattern, or would but for at most so many of its attributes."""
        while len(self._levels) <= failures and self._levels[-1] != self._all:
            self._levels.append(self._at_most(len(self._levels)))
        return self._levels[min(failures, len(self._levels) - 1)]

    def _match(self, terms: t.Iterable[pattern.Term], subjects: Subjects) -> None:
        # The smallest first: operations on what has become empty cost nothing.
        held = sorted((*subjects.holding(term), term[2] is not None, term[0]) for term in terms)
        self._terms.append([each for count, each, possible, name in held])
        before = [*itertools.accumulate(self._terms[-1], operator.and_, initial=self._all)]
        self.matched |= before.pop()
        after = self._all
        for earlier, (_count, each, possible, name) in zip(
            reversed(before), reversed(held), strict=True
        ):
            alone = earlier & after & ~each
            self._near |= alone
            if alone and possible:
                self.but_for[name] |= alone
            after &= each

    def _finish(self) -> None:
        self._levels = [self.matched, self.matched | self._near]
        self.but_for = {
            name: others
            for name, alone in self.but_for.items()
            if (others := alone & ~self.matched)
        }

    def _at_most(self, failures: int) -> int:
        found = 0
        for terms in self._terms:
            # What failed in at most so many of the terms seen so far, for every number up to that of failures.
            levels = [self._all] * (failures + 1)
            for held in terms:
                for allowed in range(failures, 0, -1):
                    levels[allowed] = (levels[allowed] & held) | levels[allowed - 1]
                levels[0] &= held
            found |= levels[failures]
        return found

    def _match_each(self, patterns: _Patterns, subjects: Subjects) -> None:
        """One subject after the other: where there are too many sets without variables."""
        numbers: dict[int, list[int]] = defaultdict(list)
        alone: dict[str, list[int]] = defaultdict(list)
        for number, subject in enumerate(subjects.subjects):
            if pattern.first_match(patterns, subject) is not None:
                numbers[0].append(number)
                continue
            reasons = nearest(pattern.mismatch(patterns, subject))
            numbers[len(reasons)].append(number)
            if len(reasons) == 1 and reasons[0]["rule"] != "void_set":
                alone[reasons[0]["attribute"]].append(number)
        count = len(subjects.subjects)
        self.but_for = {name: of(each, count) for name, each in alone.items()}
        for failures in range(max(numbers, default=0) + 1):
            earlier = self._levels[-1] if self._levels else 0
            self._levels.append(earlier | of(numbers[failures], count))
        self.matched = self._levels[0]
