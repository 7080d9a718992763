# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""Assignments of items to bins, complete or in the making."""

from __future__ import annotations

import bisect
import operator
import typing as t
from collections import Counter, defaultdict

from ansible_collections.vfio.migration.plugins.plugin_utils._packing.packings import (
    Bin,
    Demands,
    Item,
    Packing,
    PackingProblem,
    Packings,
    State,
)

# The items in a bin and how each is packed, in the order of their placement: every packing starts from what the one
# before it leaves.
Contents = t.Sequence[tuple[int, Packing]]
# The contents of each bin that is not empty.
Assignment = t.Mapping[int, Contents]


def load(contents: Contents) -> int:
    """Return how many devices are in a bin."""
    return sum([len(packing.steps) for _item, packing in contents])


def highest_load(assignment: Assignment, bins: t.Sequence[Bin]) -> int:
    """Return how many devices there are in the fullest of the bins that take in any; without ``bins`` nothing is there."""
    loads = {number: load(contents) for number, contents in assignment.items() if contents}
    there = {number: bins[number].load if bins else 0 for number in loads}
    return max([there[number] + loads[number] for number in loads], default=0)


def highest_domain_load(
    assignment: Assignment, bins: t.Sequence[Bin], domain_loads: t.Mapping[int, int]
) -> int:
    """Return how many devices there are in the fullest of the domains that take in any."""
    arrived: Counter[int] = Counter()
    for number, contents in assignment.items():
        for domain in bins[number].domains if contents else ():
            arrived[domain] += load(contents)
    return max([domain_loads.get(each, 0) + count for each, count in arrived.items()], default=0)


def placed_items(assignment: Assignment) -> set[int]:
    """Return the items that have a place."""
    return {item for contents in assignment.values() for item, _packing in contents}


def less(limits: tuple[int, ...], weights: tuple[int, ...]) -> tuple[int, ...]:
    """Return what is left of ``limits`` beside an item with these weights."""
    return tuple(map(operator.sub, limits, weights)) if limits else limits


def more(limits: tuple[int, ...], weights: tuple[int, ...]) -> tuple[int, ...]:
    """Return what is left of ``limits`` once an item with these weights has gone."""
    return tuple(map(operator.add, limits, weights)) if limits else limits


def allows(
    item: Item,
    number: int | None,
    limits: tuple[int, ...],
    anti_affinity: frozenset[int],
    refuses: frozenset[int],
) -> bool:
    """Return whether ``item`` may be in bin ``number``, which ``refuses`` some, apart from what fits there.

    The weights of what the bin takes in may still be ``limits``, and its domains have members of the groups ``anti_affinity``.
    """
    return (
        (not limits or all(map(operator.ge, limits, item.weights)))
        and (item.home is None or item.home != number)
        and item.anti_affinity.isdisjoint(anti_affinity)
        and item.refused.isdisjoint(refuses)
    )


class EmptyBins:
    """The bins of a problem while nothing is in them: of those of one type that allow the same, no more than two are looked at."""

    def __init__(self, bins: t.Sequence[Bin], packings: Packings) -> None:
        self._packings = packings
        # Where one is the home of an item, the other one is not.
        self._alike: dict[int, dict[tuple[frozenset[int], frozenset[int]], list[int]]]
        self._alike = defaultdict(dict)
        for number, there in enumerate(bins):
            of_type = self._alike[packings.type_numbers[there.state]]
            numbers = of_type.setdefault((there.anti_affinity, there.refuses), [])
            if len(numbers) < 2:
                numbers.append(number)
        self._known: dict[Item, bool] = {}

    def take_in(self, item: Item) -> bool:
        """Return whether any bin takes in ``item``, whatever the limits are."""
        known = self._known.get(item)
        if known is None:
            known = self._known[item] = any(
                allows(item, number, (), *restrictions)
                for bin_type in self._packings.bin_types_for(item.demands)
                for restrictions, numbers in self._alike[bin_type].items()
                for number in numbers
            )
        return known


class Neighbours:
    """Which bins have a domain in common."""

    def __init__(self, bins: t.Sequence[Bin]) -> None:
        self._bins = bins
        self._bins_in: dict[int, list[int]] = defaultdict(list)
        for number, each in enumerate(bins):
            for domain in each.domains:
                self._bins_in[domain].append(number)
        self._found: dict[frozenset[int], tuple[int, ...]] = {}

    def of(self, number: int) -> tuple[int, ...]:
        """Return the bins that have a domain in common with this one, itself included."""
        return self.in_domains(self._bins[number].domains) or (number,)

    def in_domains(self, domains: frozenset[int]) -> tuple[int, ...]:
        """Return the bins that are in one of these ``domains``."""
        if domains not in self._found:
            numbers = {number for each in domains for number in self._bins_in.get(each, ())}
            self._found[domains] = tuple(sorted(numbers))
        return self._found[domains]


class PartialAssignment:
    """What is in each bin so far, and what that leaves of it; every list is by the number of the bin."""

    def __init__(self, problem: PackingProblem, assignment: Assignment | None = None) -> None:
        self.items = problem.items
        self.bins = problem.bins
        self.contents: list[list[tuple[int, Packing]]] = [[] for _bin in problem.bins]
        self.state = [each.state for each in problem.bins]
        self.load = [each.load for each in problem.bins]
        self.is_by_domain = problem.domain_loads is not None
        self._domain_loads = Counter(problem.domain_loads or {})
        # The groups of which a member was in a bin or its domains before, or is in a bin that has no domain.
        one: dict[frozenset[int], frozenset[int]] = {}
        self.anti_affinity = [
            one.setdefault(each.anti_affinity, each.anti_affinity) for each in problem.bins
        ]
        # The groups with members in a domain, and how many each has there.
        self._members: dict[int, Counter[int]] = defaultdict(Counter)
        # How much the weights of what each may still take in add up to.
        self.limits = [each.limits for each in problem.bins]
        for number, contents in (assignment or {}).items():
            for item, packing in contents:
                self.put(number, item, packing)

    def put(self, number: int, item: int, packing: Packing) -> None:
        """Place an item in a bin."""
        self.contents[number].append((item, packing))
        self.state[number] = packing.after
        self.load[number] += len(packing.steps)
        self._add_to_domains(number, len(packing.steps))
        self.limits[number] = less(self.limits[number], self.items[item].weights)
        if groups := self.items[item].anti_affinity:
            domains = self.bins[number].domains
            for domain in domains:
                self._members[domain].update(groups)
            if not domains:
                self.anti_affinity[number] |= groups

    def allows(self, item: Item, number: int) -> bool:
        """Return whether ``item`` may be in bin ``number`` beside what is there and in its domains, apart from what fits there."""
        there = self.bins[number]
        return allows(
            item, number, self.limits[number], self.anti_affinity[number], there.refuses
        ) and not self.meets(item, there.domains)

    def meets(self, item: Item, domains: t.Iterable[int]) -> bool:
        """Return whether a member of a group of ``item`` is in one of these domains."""
        groups = item.anti_affinity
        return bool(groups) and any(
            not self._members[domain].keys().isdisjoint(groups) for domain in domains
        )

    def _add_to_domains(self, number: int, devices: int) -> None:
        for domain in self.bins[number].domains if self.is_by_domain else ():
            self._domain_loads[domain] += devices

    def domain_load(self, domains: t.Iterable[int]) -> int:
        """Return how many devices there are in the fullest of these domains, 0 where that does not matter."""
        if not self.is_by_domain:
            return 0
        return max([self._domain_loads[each] for each in domains], default=0)

    def empty(self, number: int) -> list[tuple[int, Packing]]:
        """Take everything out of a bin, and return it."""
        taken, self.contents[number] = self.contents[number], []
        self.state[number] = self.bins[number].state
        self._add_to_domains(number, self.bins[number].load - self.load[number])
        self.load[number] = self.bins[number].load
        self.limits[number] = self.bins[number].limits
        self.anti_affinity[number] = self.bins[number].anti_affinity
        for domain in self.bins[number].domains:
            members = self._members[domain]
            for item, _packing in taken:
                for group in self.items[item].anti_affinity:
                    members[group] -= 1
                    if not members[group]:
                        del members[group]
        return taken

    def refill(self, number: int, contents: Contents) -> None:
        """Replace the contents of a bin."""
        self.empty(number)
        for item, packing in contents:
            self.put(number, item, packing)

    def assignment(self) -> dict[int, list[tuple[int, Packing]]]:
        """Return a copy of what is where."""
        return {number: list(contents) for number, contents in enumerate(self.contents) if contents}


class BinKey(t.NamedTuple):
    """What makes one bin better for an item than another. ``load`` is 0 and ``domains`` are none where these do not matter.

    How much there is in its domains changes with other bins, and is asked for.
    """

    not_preferred: bool
    load: int
    free_slots: int
    state: State
    bin_type: int
    domains: tuple[int, ...]


# What else distinguishes bins with the same key: the number if the bin is the home of an item, what the weights of what it
# may still take in add up to, its groups, what it refuses; and its domains.
_Restrictions = tuple[
    tuple[int | None, tuple[int, ...], frozenset[int], frozenset[int]], frozenset[int]
]


def _last(numbers: dict[int, None]) -> int:
    return next(reversed(numbers))


class BinIndex:
    """The bins of a partial assignment by key, and of equal keys by restrictions: so equal bins are looked at once.

    While there is an index, the assignment is changed through it alone.
    """

    def __init__(self, partial: PartialAssignment, packings: Packings, spread: bool) -> None:
        self._partial = partial
        self._packings = packings
        self._spread = spread
        self._homes = {item.home for item in partial.items}
        self._types = [packings.type_numbers[each.state] for each in partial.bins]
        self._domains: list[tuple[int, ...]] = [
            tuple(sorted(each.domains)) if partial.is_by_domain else () for each in partial.bins
        ]
        # The bins are in order, the last one being the one that was changed last.
        self._bins: dict[BinKey, dict[_Restrictions, dict[int, None]]] = {}
        self._keys: list[list[BinKey]] = [[] for _type in packings.bin_types]
        # What each bin is in the index under.
        self._labelled = [self._labels(number) for number in range(len(partial.bins))]
        for number in reversed(range(len(partial.bins))):
            self._add(number, *self._labelled[number])

    def keys(self, bin_type: int, demands: Demands) -> list[BinKey]:
        """Return the keys of bins of one type with free slots for ``demands``: the fullest first, or the least loaded."""
        slots = len(demands)
        ordered = self._keys[bin_type]
        if self._spread:
            return [key for key in ordered if key.free_slots >= slots]
        others = bisect.bisect_left(ordered, (True,))
        first = ordered[bisect.bisect_left(ordered, (False, 0, slots)) : others]
        return first + ordered[bisect.bisect_left(ordered, (True, 0, slots)) :]

    def domain_load(self, key: BinKey) -> int:
        """Return how many devices there are in the fullest domain of bins with this key, 0 where that does not matter."""
        return self._partial.domain_load(key.domains)

    def bins(self, key: BinKey, item: Item) -> t.Iterator[int]:
        """Yield a bin with this key for each set of restrictions that allows ``item``."""
        for _labels, numbers in self._allowing(key, item):
            yield _last(numbers)

    def place(self, key: BinKey, item: int, packing: Packing) -> BinKey | None:
        """Place an item in the first bin with this key, and return the key it has then; ``None`` if no bin may take it."""
        wanted = self._partial.items[item]
        found = next(self._allowing(key, wanted), None)
        if found is None:
            return None
        labels, numbers = found
        if labels[1] and wanted.anti_affinity:
            # What comes next goes to other domains first: more groups find a place where all fill up evenly.
            equal = self._bins[key]
            equal[labels] = equal.pop(labels)
        return self.put(_last(numbers), item, packing)

    def _allowing(
        self, key: BinKey, item: Item
    ) -> t.Iterator[tuple[_Restrictions, dict[int, None]]]:
        """Yield the bins with this key that allow ``item``, those with the same restrictions together."""
        for labels, numbers in self._bins.get(key, {}).items():
            restrictions, domains = labels
            if allows(item, *restrictions) and not self._partial.meets(item, domains):
                yield labels, numbers

    def put(self, number: int, item: int, packing: Packing) -> BinKey:
        """Place an item in this bin, and return the key it has then."""
        self._remove(number, *self._labelled[number])
        self._partial.put(number, item, packing)
        return self._add_again(number)

    def refill(self, number: int, contents: Contents) -> None:
        """Replace the contents of a bin."""
        self._remove(number, *self._labelled[number])
        self._partial.refill(number, contents)
        self._add_again(number)

    def _add_again(self, number: int) -> BinKey:
        self._labelled[number] = self._labels(number)
        return self._add(number, *self._labelled[number])

    def _labels(self, number: int) -> tuple[BinKey, _Restrictions]:
        """Return a bin's key and restrictions as they are now."""
        partial = self._partial
        state = partial.state[number]
        key = BinKey(
            not partial.bins[number].preferred,
            partial.load[number] if self._spread else 0,
            self._packings.free_slots(state),
            state,
            self._types[number],
            self._domains[number],
        )
        home = number if number in self._homes else None
        there = partial.bins[number]
        restrictions = (home, partial.limits[number], partial.anti_affinity[number], there.refuses)
        return key, (restrictions, there.domains)

    def _add(self, number: int, key: BinKey, restrictions: _Restrictions) -> BinKey:
        equal = self._bins.get(key)
        if equal is None:
            equal = self._bins[key] = {}
            bisect.insort(self._keys[key.bin_type], key)
        equal.setdefault(restrictions, {})[number] = None
        return key

    def _remove(self, number: int, key: BinKey, restrictions: _Restrictions) -> None:
        equal = self._bins[key]
        numbers = equal[restrictions]
        del numbers[number]
        if not numbers:
            del equal[restrictions]
        if not equal:
            del self._bins[key]
            ordered = self._keys[key.bin_type]
            del ordered[bisect.bisect_left(ordered, key)]
