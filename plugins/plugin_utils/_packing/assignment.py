# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Bins, what a plan has put into each of them, and what that leaves. Pure."""

from __future__ import annotations

import bisect
import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._packing.packings import (
    Bin,
    Demands,
    Item,
    Packing,
    Packings,
    State,
)

Assignment = dict[int, list[tuple[int, Packing]]]


class Filling:
    """The items in each bin, in the order of their placement, and what is left of it."""

    def __init__(self, items: t.Sequence[Item], bins: t.Sequence[Bin]) -> None:
        self.items = items
        self.bins = bins
        self.held: list[list[tuple[int, Packing]]] = [[] for each in bins]
        self.state = [each.state for each in bins]
        self.load = [0] * len(bins)
        self.groups = [each.anti_affinity for each in bins]

    def put(self, number: int, item: int, way: Packing) -> None:
        self.held[number].append((item, way))
        self.state[number] = way.after
        self.load[number] += len(way.steps)
        if groups := self.items[item].anti_affinity:
            self.groups[number] |= groups

    def empty(self, number: int) -> list[tuple[int, Packing]]:
        """Takes everything out of a bin again."""
        taken, self.held[number] = self.held[number], []
        self.state[number] = self.bins[number].state
        self.load[number] = 0
        self.groups[number] = self.bins[number].anti_affinity
        return taken

    def left(self, number: int) -> int | None:
        """How many more devices a bin may take in; ``None`` where there is no limit."""
        limit = self.bins[number].limit
        return None if limit is None else limit - self.load[number]

    def plan(self) -> Assignment:
        return {number: list(held) for number, held in enumerate(self.held) if held}


def allows(item: Item, number: int | None, left: int | None, groups: frozenset[int]) -> bool:
    """Whether ``item`` may be in a bin that may take in so many devices more and has members of these groups."""
    return (
        (left is None or left >= len(item.demands))
        and (item.home is None or item.home != number)
        and item.anti_affinity.isdisjoint(groups)
    )


class Key(t.NamedTuple):
    """What makes one bin better for an item than another: its load where that matters, its room, state and kind."""

    load: int
    room: int
    state: State
    kind: int


# What else an item may tell bins by: their number if they are the home of some item, how many devices they may still
# take in, and their groups.
_Mark = tuple[int | None, int | None, frozenset[int]]


class Index:
    """The bins of a filling by what they have left; with ``spread`` those with the fewest devices are first.

    Bins with the same key are together, and of these those that no item can tell from each other.
    """

    def __init__(self, filling: Filling, ways: Packings, spread: bool) -> None:
        self._filling = filling
        self._ways = ways
        self._spread = spread
        kinds = {state: number for number, state in enumerate(ways.bin_types)}
        self._kind = [kinds[each.state] for each in filling.bins]
        self._homes = {item.home for item in filling.items}
        self._together: dict[Key, dict[_Mark, list[int]]] = {}
        self._sorted: list[list[Key]] = [[] for kind in kinds]
        for number in reversed(range(len(filling.bins))):
            self._file(number)

    def put(self, number: int, item: int, way: Packing) -> None:
        self._unfile(number)
        self._filling.put(number, item, way)
        self._file(number)

    def take(self, key: Key, item: int, way: Packing) -> Key | None:
        """Puts ``item`` into a bin with this key, and returns the key that it has then; ``None`` where none may take it."""
        together = self._together.get(key, {})
        wanted = self._filling.items[item]
        for mark, numbers in together.items():
            if allows(wanted, *mark):
                number = numbers[-1]
                self._remove(key, mark, number)
                self._filling.put(number, item, way)
                return self._file(number)
        return None

    def refill(self, number: int, held: list[tuple[int, Packing]]) -> None:
        """Has these items in a bin instead of those that it has."""
        self._unfile(number)
        self._filling.empty(number)
        for item, way in held:
            self._filling.put(number, item, way)
        self._file(number)

    def key(self, number: int) -> Key:
        state = self._filling.state[number]
        load = self._filling.load[number] if self._spread else 0
        return Key(load, self._ways.free_slots(state), state, self._kind[number])

    def keys(self, kind: int, shape: Demands) -> list[Key]:
        """The keys of the bins of one kind that may have room for ``shape``, the fullest first, or the least loaded."""
        room = len(shape)
        ordered = self._sorted[kind]
        if self._spread:
            return [key for key in ordered if key.room >= room]
        return ordered[bisect.bisect_left(ordered, (0, room)) :]

    def bins(self, key: Key, item: Item) -> t.Iterator[int]:
        """Bins with this key that may take ``item``: one of all those between which there is no difference."""
        for mark, numbers in self._together.get(key, {}).items():
            if allows(item, *mark):
                yield numbers[-1]

    def _mark(self, number: int) -> _Mark:
        home = number if number in self._homes else None
        return home, self._filling.left(number), self._filling.groups[number]

    def _file(self, number: int) -> Key:
        key = self.key(number)
        together = self._together.get(key)
        if together is None:
            together = self._together[key] = {}
            bisect.insort(self._sorted[key.kind], key)
        together.setdefault(self._mark(number), []).append(number)
        return key

    def _unfile(self, number: int) -> None:
        self._remove(self.key(number), self._mark(number), number)

    def _remove(self, key: Key, mark: _Mark, number: int) -> None:
        together = self._together[key]
        numbers = together[mark]
        # The last one is taken most often.
        if numbers[-1] == number:
            numbers.pop()
        else:
            numbers.remove(number)
        if not numbers:
            del together[mark]
        if not together:
            del self._together[key]
            ordered = self._sorted[key.kind]
            del ordered[bisect.bisect_left(ordered, key)]
