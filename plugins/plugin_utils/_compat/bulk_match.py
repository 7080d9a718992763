# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Bulk matching: which of many subjects match a list of patterns, and how far the others are from it. Pure.

A set of subjects is a bitset. Every term of a pattern ("pci_id is 80865963") is looked up in an index and gives the
subjects for which it holds. All terms of a set and all its components must hold, so their bitsets are ANDed; one choice
of a component and one pattern of a list are enough, so theirs are ORed. Thus one list is compared with all subjects at
once, in a few operations on large integers, and components are never multiplied. The result is what comparing the list
with one subject after the other would give.
"""

from __future__ import annotations

import bisect
import copy
import functools
import itertools
import operator
import typing as t
from collections import defaultdict

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.attributes import (
    comparable,
    parse_version,
)
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.drivers import is_unknown
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.order import Order
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.pattern import (
    Component,
    Pattern,
    written_out,
)
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.template import (
    VERSION,
    InvalidPattern,
    Wanted,
    read_integer,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._compat import bitset as bits

# Conditions are kept up to this many bits; in a larger index they are looked up again.
_KEPT_BITS = 2**31


class Condition(t.NamedTuple):
    """Something that must hold of a subject: the set of those of which it does, and how many they are.

    ``but_for`` has, by attribute, those of which it would if this attribute had another value, and under ``None`` those
    that one attribute keeps away whatever its value. Some of those of which it holds may be among them.
    """

    size: int
    holds: int
    but_for: dict[str | None, int]


class Subjects:
    """The ``self`` of many devices, by number, and an index of them; ``are_targets`` says which side they are on."""

    def __init__(self, subjects: t.Sequence[t.Mapping[str, str]], are_targets: bool) -> None:
        self.count = len(subjects)
        self.all = (1 << self.count) - 1
        self._values: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        for number, attributes in enumerate(subjects):
            for name, value in attributes.items():
                self._values[name][comparable(name, value)].append(number)
        self._integers: dict[str, dict[int, list[int]]] = {}
        # A minor serves if it is not smaller where the subjects are targets, not larger where they are sources.
        self._sign = -1 if are_targets else 1
        self._versions = self._by_version()
        self._are_targets = are_targets
        self._conditions: dict[tuple[str, Wanted | Order | None, bool], Condition] = {}
        self._nothing: dict[str | None, Condition] = {None: Condition(0, 0, {None: self.all})}

    def condition(
        self, name: str, wanted: Wanted | Order | None, or_unknown: bool = False
    ) -> Condition:
        """Return the condition that an attribute compares with ``wanted``; ``None`` is what no value compares with.

        With ``or_unknown`` it holds as well of a subject without the attribute.
        """
        key = (name, wanted, or_unknown)
        found = self._conditions.get(key)
        if found is not None:
            return found
        holds = 0 if wanted is None else self._holding(name, wanted)
        if or_unknown:
            holds |= self._without(name)
        if not holds:
            # One object for all of them, so that equal choices are recognized by identity.
            only = None if wanted is None else name
            return self._nothing.setdefault(only, Condition(0, 0, {only: self.all}))
        found = Condition(holds.bit_count(), holds, {name: self.all & ~holds})
        if len(self._conditions) * self.count < _KEPT_BITS:
            self._conditions[key] = found
        return found

    def _holding(self, name: str, wanted: Wanted | Order) -> int:
        if isinstance(wanted, Order):
            return self._set(
                number
                for value, numbers in self._values.get(name, {}).items()
                if wanted.allows(value, self._are_targets)
                for number in numbers
            )
        if isinstance(wanted, int):
            return self._set(self._by_integer(name).get(wanted, ()))
        if isinstance(wanted, tuple):
            major, minor = wanted
            minors, serving = self._versions.get(major, ([], []))
            serve = bisect.bisect_right(minors, self._sign * minor)
            return serving[serve - 1] if serve else 0
        found = self._set(self._values.get(name, {}).get(wanted, ()))
        return found | self._without(name) if wanted == "" else found

    def _without(self, name: str) -> int:
        """Return the subjects that have no attribute of this name, or whose driver states no version."""
        values = self._values.get(name, {})
        known = (numbers for value, numbers in values.items() if not is_unknown(name, value))
        return self.all & ~self._set(n for numbers in known for n in numbers)

    def _by_integer(self, name: str) -> dict[int, list[int]]:
        if name not in self._integers:
            integers = self._integers[name] = defaultdict(list)
            for value, numbers in self._values.get(name, {}).items():
                integer = read_integer(value)
                if integer is not None:
                    integers[integer].extend(numbers)
        return self._integers[name]

    def _by_version(self) -> dict[int, tuple[list[int], list[int]]]:
        """Return by major the minors, those that serve most first, and those subjects that serve what each does."""
        found: dict[int, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
        for version, numbers in self._values.get(VERSION, {}).items():
            parsed = parse_version(version)
            if parsed is not None:
                found[parsed[0]][self._sign * parsed[1]].extend(numbers)
        return {
            major: (
                sorted(minors),
                [
                    *itertools.accumulate(
                        (self._set(minors[minor]) for minor in sorted(minors)), operator.or_
                    )
                ],
            )
            for major, minors in found.items()
        }

    def _set(self, numbers: t.Iterable[int]) -> int:
        return bits.bitset(numbers, self.count)


class _Set:
    """One pattern's terms as conditions: those that must all hold, and of each component the choices."""

    def __init__(self, pattern: Pattern, subjects: Subjects) -> None:
        self._all = subjects.all
        self._plain = [
            subjects.condition(
                name,
                parse_version(text) if name == VERSION else text,
                name in pattern.may_be_unknown,
            )
            for name, text in pattern.plain
            if not (name in pattern.may_be_unknown and is_unknown(name, text))
        ]
        self._plain += [
            subjects.condition(name, order, name in pattern.may_be_unknown)
            for name, order in pattern.ordered
        ]
        self._components = [_choices(each, subjects) for each in pattern.components]

    def condition(self) -> Condition:
        """Return the condition that a subject matches the pattern."""
        components = [
            _any([_every(choice, self._all) for choice in choices]) for choices in self._components
        ]
        return _every([*self._plain, *components], self._all)

    def distance(self) -> bits.Counter:
        """Return how many attributes keep each subject away under the best choice."""
        distance = self._missing(self._plain)
        for first, *others in self._components:
            least = self._missing(first)
            for choice in others:
                least = bits.minimum(least, self._missing(choice))
            distance = bits.added(distance, least)
        return distance

    def _missing(self, conditions: t.Iterable[Condition]) -> bits.Counter:
        return bits.count([self._all & ~each.holds for each in conditions])


class Listing:
    """What one list of patterns has of all ``subjects``.

    ``matched`` are those that match a pattern; ``but_for`` has, by attribute, those that would if this attribute had
    another value. A void pattern is farther from everything than any other.
    """

    def __init__(self, patterns: t.Iterable[Pattern | InvalidPattern], subjects: Subjects) -> None:
        self._all = subjects.all
        self._sets = [_Set(each, subjects) for each in patterns if isinstance(each, Pattern)]
        self._distance: bits.Counter | None = None
        self._others: tuple[int, Listing] | None = None
        found = _any([each.condition() for each in self._sets])
        self.matched = found.holds
        self._near = self._all if not self._sets else bits.union(found.but_for.values())
        self.but_for = {
            name: others
            for name, alone in found.but_for.items()
            if name is not None and (others := alone & ~self.matched)
        }

    def with_others(self, subjects: int, other: Listing) -> Listing:
        """Return this listing with what ``other`` has of these ``subjects`` in place of its own."""
        found = copy.copy(self)
        found.matched = bits.chosen(self.matched, other.matched, subjects)
        found._near = bits.chosen(self._near, other._near, subjects)
        names = self.but_for.keys() | other.but_for.keys()
        but_for = {
            name: bits.chosen(self.but_for.get(name, 0), other.but_for.get(name, 0), subjects)
            for name in names
        }
        found.but_for = {name: others for name, others in but_for.items() if others}
        found._distance, found._others = None, (subjects, other)
        return found

    def within(self, failures: int) -> int:
        """Return the subjects that match a pattern in all but at most so many of its attributes."""
        if failures < 2:
            return self.matched | self._near if failures else self.matched
        return bits.at_most(self.distance(), failures, self._all)

    def distance(self) -> bits.Counter:
        """Return how many attributes of the nearest pattern keep each subject away."""
        if self._distance is None:
            first, *others = [each.distance() for each in self._sets] or [[self._all]]
            self._distance = functools.reduce(bits.minimum, others, first)
            if self._others is not None:
                subjects, other = self._others
                planes = itertools.zip_longest(self._distance, other.distance(), fillvalue=0)
                self._distance = [bits.chosen(*each, subjects) for each in planes]
        return self._distance


def _choices(component: Component, subjects: Subjects) -> list[list[Condition]]:
    """Return the conditions of each choice of a component, of equal ones only one."""
    choices: list[list[Condition]] = [[] for _choice in range(component.choices)]
    for template, table in zip(component.templates, written_out(component)[1], strict=True):
        for wanted, numbers in table.items():
            condition = subjects.condition(template.attribute, wanted)
            for number in numbers:
                choices[number].append(condition)
    return [*{tuple(map(id, choice)): choice for choice in choices}.values()]


def _every(conditions: t.Iterable[Condition], everything: int) -> Condition:
    """Return the condition that all of them hold."""
    # The smallest first: operations on what has become empty cost nothing.
    conditions = sorted(conditions, key=operator.itemgetter(0))
    if len(conditions) == 1:
        return conditions[0]
    before = [
        *itertools.accumulate((c.holds for c in conditions), operator.and_, initial=everything)
    ]
    holds = before.pop()
    after = everything
    but_for: dict[str | None, int] = defaultdict(int)
    for earlier, condition in zip(reversed(before), reversed(conditions), strict=True):
        others = earlier & after
        for name, alone in condition.but_for.items() if others else ():
            kept = others & alone
            if kept:
                but_for[name] |= kept
        after &= condition.holds
    return Condition(holds.bit_count(), holds, but_for)


def _any(conditions: t.Iterable[Condition]) -> Condition:
    """Return the condition that one of them holds."""
    holds = 0
    but_for: dict[str | None, int] = defaultdict(int)
    for condition in conditions:
        holds |= condition.holds
        for name, alone in condition.but_for.items():
            but_for[name] |= alone
    return Condition(holds.bit_count(), holds, but_for)
