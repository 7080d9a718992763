# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""Refutations: few items that cannot all have a place, by a distinction of cases that a person can follow.

Each step takes the item with the fewest bins left, as R. M. Haralick and G. L. Elliott do ("Increasing tree search efficiency
for constraint satisfaction problems", 1980), and goes through all of its bins. A step whose item is in nothing's way is left
out, with the other cases it has: P. Prosser's conflict-directed backjumping ("Hybrid algorithms for the constraint satisfaction
problem", 1993). Of the items that are left, those are dropped one by one without which the others cannot have a place either,
as J. W. Chinneck and E. W. Dravnieks filter constraints ("Locating minimal infeasible constraint sets in linear programs", 1991).
Limits of bins are not looked at: what is refuted without them is with them, too.
"""

from __future__ import annotations

import functools
import math
import typing as t
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from ansible_collections.vfio.migration.plugins.plugin_utils._packing.assignment import (
    EmptyBins,
    allows,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.packings import (
    FULL_WIDTH,
    Item,
    PackingProblem,
    Packings,
    State,
)

# A person does not follow more steps.
MOST_STEPS = 60
# Of more items together few conflicts are found.
_MOST_ITEMS = 200
# So many sets of items with the same types of bins are looked at.
_MOST_SETS = 20
# So many steps are looked at for one refutation, and so many times an item is tried in equal bins, in all: few before a search,
# which may find a place for everything, and more after it.
_MOST_VISITS = 2_000
FIRST_TRIES = 5_000
MOST_TRIES = 20_000
# So many more for the members of each group, which are soon tried, and for so many groups at most.
_TRIES_OF_GROUP = 400
_MOST_GROUPS = 5_000
# An item is looked at, and not tried, in so little time.
_LOOKS = 16
# So many states of a bin are looked at: there are more where devices can be taken in many ways.
_MOST_STATES = 200


class ItemPlace(t.NamedTuple):
    """Equal ``bins`` that take in an item while they are empty, and what is in its way there after earlier steps, if anything.

    Beside the items ``beside`` there is no place for it, no one of which could be left out; or it must be apart from the item
    ``apart_from``, which is there or in a domain that it has in common.
    """

    bins: tuple[int, ...]
    beside: tuple[int, ...] = ()
    apart_from: int | None = None

    @property
    def conflicts(self) -> tuple[int, ...]:
        """The items in the way."""
        return self.beside if self.apart_from is None else (self.apart_from,)


class RefutationStep(t.NamedTuple):
    """All places of ``item``, each with the number of the step that follows; ``None`` where something is in the way."""

    item: int
    cases: tuple[tuple[ItemPlace, int | None], ...]


@dataclass(frozen=True, slots=True)
class Refutation:
    """The proof that not all of ``items`` have a place: the first of the ``steps``, and those that follow from it.

    So many devices are ``left_out`` at least, as one of the items is.
    """

    items: tuple[int, ...]
    steps: tuple[RefutationStep, ...]
    left_out: int

    def likeness(self) -> t.Hashable:
        """Return what is equal for refutations that differ only in their items: the steps with items by their places in ``items``."""
        places = {item: place for place, item in enumerate(self.items)}
        return self.left_out, tuple(
            [
                (places[step.item], tuple([_at(places, *case) for case in step.cases]))
                for step in self.steps
            ]
        )


def _at(places: t.Mapping[int, int], place: ItemPlace, then: int | None) -> t.Hashable:
    beside = tuple([places[item] for item in place.beside])
    apart_from = None if place.apart_from is None else places[place.apart_from]
    return place.bins, beside, apart_from, then


def by_likeness(refutations: t.Iterable[Refutation], most: int) -> list[list[Refutation]]:
    """Return the refutations that are alike, of no more than so many kinds."""
    found: dict[t.Hashable, list[Refutation]] = defaultdict(list)
    for each in refutations:
        found[each.likeness()].append(each)
    return [*found.values()][:most]


def refutations(
    problem: PackingProblem, left: t.Collection[int], devices: int, tries: int = MOST_TRIES
) -> list[Refutation]:
    """Return refutations that have no item in common, until these leave so many ``devices`` out or no more are found.

    ``left`` are items that have no place in the best assignment known. Those that no bin takes in are not looked at.
    """
    refuter = _Refuter(problem, Packings(problem, FULL_WIDTH), tries)
    found: list[Refutation] = []
    used: set[int] = set()
    left_out = 0
    for among in refuter.may_conflict(left):
        while left_out < devices:
            refutation = refuter.refute(among - used)
            if refutation is None:
                break
            found.append(refutation)
            used |= {*refutation.items}
            left_out += refutation.left_out
        if left_out >= devices:
            break
    return found


@dataclass(slots=True)
class _Node:
    """A step and those that follow: ``conflicts`` are the items that are in another one's way in any of them."""

    item: int
    cases: list[tuple[_Option, _Node | None]] = field(default_factory=list)
    conflicts: set[int] = field(default_factory=set)

    def add(self, option: _Option, then: _Node | None) -> None:
        """Add a case."""
        self.cases.append((option, then))
        self.conflicts.update(option.place.conflicts)
        if then is not None:
            self.conflicts |= then.conflicts

    def items(self) -> set[int]:
        """Return the items of all steps."""
        return {self.item}.union(*(then.items() for _option, then in self.cases if then))

    def key(self) -> tuple[t.Any, ...]:
        """Return what is equal for equal trees."""
        return self.item, tuple([(option, then and then.key()) for option, then in self.cases])


def _numbered(node: _Node) -> tuple[RefutationStep, ...]:
    """Return the steps of a tree, of equal ones the first, with the numbers of those that follow."""
    steps: list[RefutationStep | None] = []
    numbers: dict[t.Hashable, int] = {}

    def number_of(node: _Node) -> int:
        key = node.key()
        if key not in numbers:
            number = numbers[key] = len(steps)
            steps.append(None)
            cases = [
                (option.whole(), None if then is None else number_of(then))
                for option, then in node.cases
            ]
            steps[number] = RefutationStep(node.item, tuple(cases))
        return numbers[key]

    number_of(node)
    return tuple([each for each in steps if each is not None])


class _Option(t.NamedTuple):
    """A bin for an item, and what is in its way there: ``place`` has it alone, also where other ``equal`` bins are as good.

    Those in which something is ``used`` are not.
    """

    place: ItemPlace
    equal: tuple[int, ...] = ()
    used: tuple[int, ...] = ()

    def whole(self) -> ItemPlace:
        """Return the place with all bins that are as good."""
        if not self.equal:
            return self.place
        used = {*self.used}
        return self.place._replace(bins=tuple([each for each in self.equal if each not in used]))


class _EqualBins(t.NamedTuple):
    """Bins that are equal for all items that are looked at while nothing is in them, and the items that each ``takes`` then."""

    bins: tuple[int, ...]
    members: frozenset[int]
    takes: frozenset[int]


class _Refuter:
    """Looks for refutations; all share the same number of ``tries``."""

    def __init__(self, problem: PackingProblem, packings: Packings, tries: int) -> None:
        self._items = problem.items
        self._bins = problem.bins
        self._packings = packings
        self._empty = EmptyBins(problem.bins, packings)
        self._tries = tries
        self._visits = 0
        self._equal: list[_EqualBins] = []
        self._contents: dict[int, list[int]] = defaultdict(list)
        self._bin_of: dict[int, int] = {}
        self._states: dict[tuple[State, tuple[int, ...]], frozenset[State]] = {}

    def may_conflict(self, left: t.Iterable[int]) -> t.Iterator[set[int]]:
        """Yield sets of items that may not all have a place: one that is ``left``, and what may be in its way.

        First those from which it must be apart, then those that have no other types of bins than it has, then all.
        """
        distinct = [
            each
            for each in dict.fromkeys([self._items[number] for number in left])
            if self._empty.take_in(each)
        ]
        if not distinct:
            return
        for groups in [*dict.fromkeys([each.anti_affinity for each in distinct])][:_MOST_GROUPS]:
            if groups:
                self._tries += _TRIES_OF_GROUP
                yield self._with_bins({e: None for group in groups for e in self._of_group[group]})
        types_for = self._packings.bin_types_for
        types = {frozenset(types_for(each.demands)) for each in distinct}
        for there in sorted(types, key=lambda each: (len(each), sorted(each)))[:_MOST_SETS]:
            if self._tries > 0:
                yield self._with_bins(
                    [each for each in self._numbers if there.issuperset(types_for(each.demands))]
                )
        yield self._with_bins(self._numbers)

    def refute(self, among: t.AbstractSet[int]) -> Refutation | None:
        """Return a refutation of few of the items ``among`` these, ``None`` where none is found."""
        node = self._tree(among) if 0 < len(among) <= _MOST_ITEMS else None
        if node is None:
            return None
        for item in sorted(node.items()):
            core = node.items()
            if item in core:
                node = self._tree(core - {item}) or node
        steps = _numbered(node)
        if len(steps) > MOST_STEPS:
            return None
        items = tuple(sorted(node.items()))
        left_out = min(len(self._items[each].demands) for each in items)
        return Refutation(items, steps, left_out)

    def _tree(self, items: t.AbstractSet[int]) -> _Node | None:
        self._equal = self._equal_bins(items)
        self._contents.clear()
        self._bin_of.clear()
        self._visits = 0
        try:
            return self._step(sorted(items))
        except _TooLong:
            return None

    def _step(self, items: t.Sequence[int]) -> _Node | None:
        """Return the tree of the next step for ``items``, ``None`` where all of them have a place."""
        if not items:
            return None
        self._visits += 1
        packings = self._packings
        unknown = packings.exhausted or packings.incomplete or packings.unsure
        if unknown or self._visits > _MOST_VISITS:
            raise _TooLong
        item, options = self._with_fewest_options(items)
        node = _Node(item)
        rest = [each for each in items if each != item]
        for option in options:
            then = None
            if not option.place.conflicts:
                self._put(item, option.place.bins[0])
                then = self._step(rest)
                self._take_out(item)
                if then is None:
                    return None
                if item not in then.conflicts:
                    return then
            node.add(option, then)
        return node

    def _with_fewest_options(self, items: t.Sequence[int]) -> tuple[int, list[_Option]]:
        """Return the item with the fewest bins left, the first of several, and its options."""
        fewest, found = math.inf, (items[0], list[_Option]())
        for item in items:
            options = [*self._options(item)]
            left = sum(not option.place.conflicts for option in options)
            if left < fewest:
                fewest, found = left, (item, options)
            if not left:
                break
        return found

    def _options(self, item: int) -> t.Iterator[_Option]:
        """Yield the bins for ``item``; of equal ones in which nothing is, the first."""
        for equal in self._equal:
            if item not in equal.takes:
                continue
            self._tries -= 1
            if self._tries < 0:
                raise _TooLong
            used = tuple(sorted([each for each in self._contents if each in equal.members]))
            # One more than are used has the first that is not.
            for first in [each for each in equal.bins[: len(used) + 1] if each not in used][:1]:
                yield _Option(
                    ItemPlace((first,), (), self._apart_from(item, first)), equal.bins, used
                )
            for number in used:
                apart_from = self._apart_from(item, number)
                beside = self._beside(item, number) if apart_from is None else ()
                yield _Option(ItemPlace((number,), beside, apart_from))

    def _apart_from(self, item: int, number: int) -> int | None:
        """Return the first item from which ``item`` must be apart, and is not in this bin; ``None`` where there is none."""
        groups = self._items[item].anti_affinity
        domains = self._bins[number].domains
        for other, there in self._bin_of.items() if groups else ():
            is_near = there == number or not domains.isdisjoint(self._bins[there].domains)
            if is_near and not groups.isdisjoint(self._items[other].anti_affinity):
                return other
        return None

    def _beside(self, item: int, number: int) -> tuple[int, ...]:
        """Return items of a bin beside which ``item`` has no place there, as few as need be; none where it has one."""
        contents = self._contents[number]
        if self._take_in(number, [*contents, item]):
            return ()
        for other in tuple(contents):
            without = [each for each in contents if each != other]
            if not self._take_in(number, [*without, item]):
                contents = without
        return tuple(sorted(contents))

    def _take_in(self, number: int, items: t.Sequence[int]) -> bool:
        """Return whether an empty bin takes in all of ``items``, in some way."""
        return bool(self._states_with(self._bins[number].state, tuple(sorted(items))))

    def _states_with(self, state: State, items: tuple[int, ...]) -> frozenset[State]:
        """Return all states that an empty bin in ``state`` may be in with ``items`` in it."""
        if not items:
            return frozenset([state])
        key = (state, items)
        if key not in self._states:
            demands = self._items[items[-1]].demands
            found = frozenset(
                packing.after
                for each in self._states_with(state, items[:-1])
                for packing in self._packings.all(each, demands)
            )
            if len(found) > _MOST_STATES:
                raise _TooLong
            self._states[key] = found
        return self._states[key]

    def _put(self, item: int, number: int) -> None:
        self._contents[number].append(item)
        self._bin_of[item] = number

    def _take_out(self, item: int) -> None:
        number = self._bin_of.pop(item)
        self._contents[number].remove(item)
        if not self._contents[number]:
            del self._contents[number]

    # --- bins that take in items while they are empty ---

    def _equal_bins(self, items: t.AbstractSet[int]) -> list[_EqualBins]:
        """Return the bins that take in any of ``items``, equal ones together."""
        self._tries -= len(self._alike) * len(items) // _LOOKS
        homes = frozenset(h for item in items if (h := self._items[item].home) is not None)
        found = []
        for bins, members in self._alike:
            # A bin that one of the items must leave is not like the others.
            apart = sorted(homes & members)
            parts: list[tuple[tuple[int, ...], frozenset[int]]]
            parts = [((number,), frozenset([number])) for number in apart]
            rest = tuple([number for number in bins if number not in homes]) if apart else bins
            parts.append((rest, members.difference(apart)))
            for part, numbers in parts:
                takes = frozenset(item for item in items if part and self._is_taken(item, part[0]))
                if takes:
                    found.append(_EqualBins(part, numbers, takes))
        return found

    @functools.cached_property
    def _alike(self) -> list[tuple[tuple[int, ...], frozenset[int]]]:
        """The bins that take in any item, equal ones together. A domain that one bin alone is in makes no difference."""
        bins_in = Counter(domain for each in self._bins for domain in each.domains)
        shared = frozenset(domain for domain, count in bins_in.items() if count > 1)
        types = {
            number
            for demands in {item.demands for item in self._items}
            for number in self._packings.bin_types_for(demands)
        }
        found: dict[t.Hashable, list[int]] = defaultdict(list)
        for number, each in enumerate(self._bins):
            of_type = self._packings.type_numbers[each.state]
            if of_type in types:
                key = (of_type, each.anti_affinity, each.refuses, each.domains & shared)
                found[key].append(number)
        return [(tuple(numbers), frozenset(numbers)) for numbers in found.values()]

    def _is_taken(self, item: int, number: int) -> bool:
        """Return whether a bin takes in ``item`` while it is empty."""
        there, wanted = self._bins[number], self._items[item]
        types = self._packings.bin_types_for(wanted.demands)
        return self._packings.type_numbers[there.state] in types and allows(
            wanted, number, (), there.anti_affinity, there.refuses
        )

    def _with_bins(self, items: t.Collection[Item]) -> set[int]:
        """Return the numbers of those of ``items`` that have a bin which takes them in."""
        self._tries -= len(items) // _LOOKS
        return {
            number for item in items if self._empty.take_in(item) for number in self._numbers[item]
        }

    @functools.cached_property
    def _of_group(self) -> dict[int, list[Item]]:
        """The different items of each group that must be apart."""
        found: dict[int, list[Item]] = defaultdict(list)
        for item in self._numbers:
            for group in item.anti_affinity:
                found[group].append(item)
        return found

    @functools.cached_property
    def _numbers(self) -> dict[Item, list[int]]:
        """The numbers of equal items."""
        found: dict[Item, list[int]] = defaultdict(list)
        for number, item in enumerate(self._items):
            found[item].append(number)
        return found


class _TooLong(Exception):
    """A refutation has more steps than a person follows, or takes too long to find."""
