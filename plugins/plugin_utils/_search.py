# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The search for a plan: which item goes to which bin. Pure, and about numbers only.

A guest is an *item*, the multiset of its devices' demands; a host is a *bin*, the multiset of what it has: parents
and groups of equal free devices, each in some state. Equal bins are one: what fits into a state is worked out once,
however many hosts are in it, so that the work grows with states and shapes, and not with hosts times guests.

First every item goes where it fits tightest, the awkward ones first. Then, for what found no place, a few bins at a
time are emptied and filled anew. Where there are few items, a depth-first search improves on that or proves that
nothing can. All room for searching is counted in steps, never in seconds: the same input gives the same plan.
"""

from __future__ import annotations

import bisect
import itertools
import random
import typing as t
from collections import Counter, defaultdict
from dataclasses import dataclass

# What a host has, as the numbers of its elements, sorted.
State = tuple[int, ...]
# What a guest needs, as the numbers of its devices' demands, those hard to meet first.
Shape = tuple[int, ...]

# Costs are added in tiers, the gravest first: made again, new, opened, of another type. No plan has so many devices.
_TIER = 32
AGAIN, NEW, OPENED, OTHER = (1 << _TIER * power for power in (3, 2, 1, 0))

# States kept on the way to a placement of one item in one bin, and where that finds none or all are wanted.
_WIDTH = 24
_FULL_WIDTH = 2_000
# Fitting states looked at before the best of them is taken.
_LOOK = 12
# Deeper searches than this are left at what repair has made of them.
MAX_EXACT_ITEMS = 200
# Rounds of repair beyond this many for each item find nothing more.
_ROUNDS_FOR_EACH = 100
_SEED = 20200819


class Move(t.NamedTuple):
    """One device taken in by an element: the element it becomes (``None``: nothing is left of it), and what it costs."""

    becomes: int | None
    cost: int
    offer: t.Any


class Elements(t.Protocol):
    """What the search has to know of elements."""

    def moves(self, element: int, demand: int) -> t.Sequence[Move]:
        """Every way in which ``element`` can take in a device with ``demand``."""

    def room(self, element: int) -> int:
        """How many devices ``element`` can take in at most."""

    def left(self, element: int) -> float:
        """How much ``element`` has left: a parent as a part of it, a group of free devices as their number."""

    def sort(self, element: int) -> int:
        """What ``element`` is a state of: elements of one sort do the same for a guest."""

    def locality(self, element: int) -> int | None:
        """The NUMA node of ``element`` where all devices of a guest must be on one, else ``None``."""


class Way(t.NamedTuple):
    """One way to place an item in a bin: the state after it, its cost, and for each demand the element and its move."""

    after: State
    cost: int
    steps: tuple[tuple[int, Move], ...]


@dataclass(frozen=True, slots=True)
class Item:
    """``home`` is the bin it must leave; items with a group in common must be in different bins."""

    shape: Shape
    home: int | None = None
    groups: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Bin:
    """``limit`` is how many devices it may take in; ``groups`` those of which it has a member that stays."""

    state: State
    limit: int | None = None
    groups: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Budget:
    """How long to search: rounds of repair, and ways that the exact search looks at."""

    rounds: int = 20_000
    steps: int = 50_000


@dataclass(slots=True)
class Found:
    """For each bin the items in it, in the order of their placement; ``complete``: every other plan is no better."""

    bins: dict[int, list[tuple[int, Way]]]
    rounds: int
    steps: int = 0
    complete: bool = False


_BUDGET = Budget()
_Place = tuple[tuple[t.Any, ...], int, Way]


class Ways:
    """The ways in which shapes fit into states, each worked out once; those with more than ``width`` not completely.

    ``incomplete`` says whether there were such, ``unsure`` whether a way may be there where none was found.
    """

    def __init__(self, elements: Elements, width: int = _WIDTH) -> None:
        self._elements = elements
        self._width = width
        self.incomplete = False
        self.unsure = False
        self._all: dict[tuple[State, Shape], list[Way]] = {}
        self._room: dict[State, int] = {}
        self._left_by_sort: dict[State, dict[int, float]] = {}

    def all(self, state: State, shape: Shape) -> list[Way]:
        """The ways to place ``shape`` in ``state`` with different states after them, the cheapest and tidiest first."""
        key = (state, shape)
        ways = self._all.get(key)
        if ways is None:
            ways = self._all[key] = self._work_out(state, shape)
        return ways

    def room(self, state: State) -> int:
        room = self._room.get(state)
        if room is None:
            room = self._room[state] = sum(map(self._elements.room, state))
        return room

    def left_by_sort(self, state: State) -> dict[int, float]:
        """How much each sort of a bin's elements has left."""
        rooms = self._left_by_sort.get(state)
        if rooms is None:
            rooms = self._left_by_sort[state] = {}
            for element in state:
                sort = self._elements.sort(element)
                rooms[sort] = rooms.get(sort, 0) + self._elements.left(element)
        return rooms

    def _work_out(self, state: State, shape: Shape) -> list[Way]:
        if self.room(state) < len(shape):
            return []
        found, cut = self._search(state, shape, self._width)
        if cut and not found:
            found, cut = self._search(state, shape, _FULL_WIDTH)
            self.unsure = self.unsure or (cut and not found)
        self.incomplete = self.incomplete or cut
        return sorted(found.values(), key=self._order)

    def _search(self, state: State, shape: Shape, width: int) -> tuple[dict[State, Way], bool]:
        """The ways by the state after them, and whether some were left out."""
        found: dict[State, Way] = {}
        cut = False
        for part, rest in self._parts(state):
            ways, cut_here = self._place(part, shape, width)
            cut = cut or cut_here
            for way in ways:
                after = tuple(sorted(way.after + rest)) if rest else way.after
                if after not in found or way.cost < found[after].cost:
                    found[after] = Way(after, way.cost, way.steps)
        return found, cut

    def _parts(self, state: State) -> t.Iterator[tuple[State, State]]:
        """The parts of a bin in one of which an item must be placed as a whole, each with the rest of the bin."""
        nodes = set(map(self._elements.locality, state))
        if len(nodes) == 1:
            yield state, ()
            return
        for node in sorted(nodes, key=str):
            part = tuple(each for each in state if self._elements.locality(each) == node)
            rest = tuple(each for each in state if self._elements.locality(each) != node)
            yield part, rest

    def _place(self, state: State, shape: Shape, width: int) -> tuple[t.Iterable[Way], bool]:
        layer = {state: Way(state, 0, ())}
        cut = False
        for demand in shape:
            following: dict[State, Way] = {}
            for way in layer.values():
                self._extend(way, demand, following)
            if len(following) > width:
                cut = True
                kept = sorted(following.values(), key=self._order)[:width]
                following = {way.after: way for way in kept}
            layer = following
        return layer.values(), cut

    def _extend(self, way: Way, demand: int, following: dict[State, Way]) -> None:
        state = way.after
        last = None
        for index, element in enumerate(state):
            if element == last:
                continue
            last = element
            for move in self._elements.moves(element, demand):
                left = list(state)
                del left[index]
                if move.becomes is not None:
                    bisect.insort(left, move.becomes)
                after = tuple(left)
                cost = way.cost + move.cost
                known = following.get(after)
                if known is None or cost < known.cost:
                    following[after] = Way(after, cost, (*way.steps, (element, move)))

    def _order(self, way: Way) -> tuple[t.Any, ...]:
        # Room that is left in one piece is of more use than in many.
        return way.cost, -sum(self._elements.room(each) ** 2 for each in way.after), way.after


class _Hosts:
    """The bins in their present states, those in one state together."""

    def __init__(self, ways: Ways, bins: t.Sequence[Bin], spread: bool) -> None:
        self.ways = ways
        self.bins = bins
        self._spread = spread
        self.state = [each.state for each in bins]
        self.load = [0] * len(bins)
        self.items: list[list[tuple[int, Way]]] = [[] for each in bins]
        self.kind: list[int] = []
        kinds: dict[State, int] = {}
        for each in bins:
            self.kind.append(kinds.setdefault(each.state, len(kinds)))
        self.kinds = list(kinds)
        self._together: dict[tuple[t.Any, ...], list[int]] = defaultdict(list)
        self._sorted: list[list[tuple[t.Any, ...]]] = [[] for each in kinds]
        for number in range(len(bins) - 1, -1, -1):
            self._file(number)

    def key(self, number: int) -> tuple[t.Any, ...]:
        state, load, limit = self.state[number], self.load[number], self.bins[number].limit
        return (
            load if self._spread else 0,
            self.ways.room(state),
            state,
            -1 if limit is None else limit - load,
            self.kind[number],
        )

    def _file(self, number: int) -> None:
        key = self.key(number)
        together = self._together[key]
        if not together:
            bisect.insort(self._sorted[key[-1]], key)
        together.append(number)

    def _unfile(self, number: int) -> None:
        key = self.key(number)
        together = self._together[key]
        # The last one is taken most often.
        if together[-1] == number:
            together.pop()
        else:
            together.remove(number)
        if not together:
            del self._together[key]
            ordered = self._sorted[key[-1]]
            del ordered[bisect.bisect_left(ordered, key)]

    def keys(self, kind: int, room: int) -> t.Iterator[tuple[t.Any, ...]]:
        """The states of the bins of one kind that have room for so many devices, the fullest first, or the least loaded."""
        ordered = self._sorted[kind]
        first = 0 if self._spread else bisect.bisect_left(ordered, (0, room))
        for index in range(first, len(ordered)):
            key = ordered[index]
            if key[1] >= room and (key[3] == -1 or key[3] >= room):
                yield key

    def one_of(self, key: tuple[t.Any, ...], item: Item, items: t.Sequence[Item]) -> int | None:
        """A bin in this state that may take ``item``."""
        for number in reversed(self._together[key]):
            if self.allowed(number, item, items):
                return number
        return None

    def any_but(self, key: tuple[t.Any, ...], others: t.Container[int]) -> t.Iterator[int]:
        """A bin in this state that is none of ``others``, if there is one."""
        found = (number for number in reversed(self._together[key]) if number not in others)
        yield from itertools.islice(found, 1)

    def groups_in(self, number: int, items: t.Sequence[Item]) -> frozenset[int]:
        """The groups of which a bin has a member."""
        return self.bins[number].groups.union(
            *(items[other].groups for other, way in self.items[number])
        )

    def allowed(self, number: int, item: Item, items: t.Sequence[Item]) -> bool:
        """Whether ``item`` may be in a bin, as far as that does not depend on its elements."""
        limit = self.bins[number].limit
        if number == item.home or (
            limit is not None and limit - self.load[number] < len(item.shape)
        ):
            return False
        return not item.groups or not item.groups & self.groups_in(number, items)

    def put(self, number: int, item: int, way: Way) -> None:
        self._unfile(number)
        self.items[number].append((item, way))
        self.state[number] = way.after
        self.load[number] += len(way.steps)
        self._file(number)

    def empty(self, number: int) -> list[tuple[int, Way]]:
        """Takes everything out of a bin again."""
        self._unfile(number)
        taken, self.items[number] = self.items[number], []
        self.state[number] = self.bins[number].state
        self.load[number] = 0
        self._file(number)
        return taken


class Search:
    """Searches the best places for ``items`` in ``bins``.

    ``spread`` prefers the bins with the fewest devices, else the fullest are preferred. ``progress`` is told from time
    to time what is done and how many items have a place.
    """

    def __init__(
        self,
        elements: Elements,
        items: t.Sequence[Item],
        bins: t.Sequence[Bin],
        spread: bool = False,
        budget: Budget = _BUDGET,
        progress: t.Callable[[str, int], None] | None = None,
    ) -> None:
        self._elements = elements
        self._ways = Ways(elements)
        self._items = items
        self._bins = bins
        self._spread = spread
        self._budget = budget
        self._progress = progress or (lambda stage, placed: None)
        self._hosts = _Hosts(self._ways, bins, spread)
        self._reach = self._reachable(elements)
        self._kinds_for: dict[Shape, list[int]] = {}
        self._sizes: dict[Shape, float] = {}
        self._shares = self._mean_shares()
        self._slacks: dict[tuple[int, State], tuple[float, float]] = {}
        self._left: list[int] = []
        self._rounds = 0

    def run(self, count_hopeless: t.Callable[[], int]) -> Found:
        """The best plan found. ``count_hopeless`` is asked, if need be, how many devices certainly find no place."""
        placeable = [n for n, item in enumerate(self._items) if self.kinds_for(item.shape)]
        order = sorted(placeable, key=self._difficulty)
        for item in order:
            if not self._place(item, self._places(item)):
                self._left.append(item)
        self._progress("placed", len(order) - len(self._left))
        if self._left:
            self._repair(count_hopeless())
        bins = {number: list(held) for number, held in enumerate(self._hosts.items) if held}
        found = Found(bins, self._rounds)
        if len(order) <= MAX_EXACT_ITEMS:
            exact = _Exact(
                Ways(self._elements, _FULL_WIDTH), self._items, self._bins, self._spread, order
            )
            found.bins = exact.run(bins, self._budget.steps) or bins
            found.complete, found.steps = exact.complete, exact.steps
        return found

    def kinds_for(self, shape: Shape) -> list[int]:
        """The kinds of bins that can take ``shape`` while nothing is in them; of none that has no demands."""
        kinds = self._kinds_for.get(shape)
        if kinds is None:
            kinds = self._kinds_for[shape] = [
                number
                for number, state in enumerate(self._hosts.kinds)
                if shape and self._reach[number].issuperset(shape) and self._ways.all(state, shape)
            ]
        return kinds

    def _reachable(self, elements: Elements) -> list[set[int]]:
        """For each kind of bins the demands that one of its elements can take in."""
        demands = {demand for item in self._items for demand in item.shape}
        taken_by = {
            element: {demand for demand in demands if elements.moves(element, demand)}
            for element in {element for state in self._hosts.kinds for element in state}
        }
        return [set().union(*(taken_by[each] for each in state)) for state in self._hosts.kinds]

    def is_hopeless(self) -> bool:
        """Whether an item certainly fits into no bin, whatever else is in it."""
        return not self._ways.unsure and any(not self.kinds_for(item.shape) for item in self._items)

    def is_cheapest(self, found: Found) -> bool:
        """Whether a plan that places every item is known to be the best: it costs no more than its items do alone."""
        held = [way for each in found.bins.values() for item, way in each]
        alone = sum(
            count
            * min(
                _without_opened(way.cost)
                for kind in self.kinds_for(shape)
                for way in self._ways.all(self._hosts.kinds[kind], shape)
            )
            for shape, count in Counter(item.shape for item in self._items).items()
        )
        if self._ways.incomplete or sum(way.cost for way in held) != alone:
            return False
        if not self._spread:
            return True
        devices = sum(len(way.steps) for way in held)
        load = max(sum(len(way.steps) for item, way in each) for each in found.bins.values())
        return load == max(-(-devices // len(self._bins)), *(len(way.steps) for way in held))

    # --- what fits best ---

    def _mean_shares(self) -> dict[int, float]:
        """How much room of each sort an item takes on average, of those that might take some."""
        taken: dict[int, float] = defaultdict(float)
        items: Counter[int] = Counter()
        for shape, count in Counter(item.shape for item in self._items).items():
            states = [self._hosts.kinds[kind] for kind in self.kinds_for(shape)]
            if not states:
                continue
            state = max(states, key=lambda state: len(self._ways.left_by_sort(state)))
            after = self._ways.left_by_sort(self._ways.all(state, shape)[0].after)
            for sort, room in self._ways.left_by_sort(state).items():
                taken[sort] += (room - after.get(sort, 0)) * count
                items[sort] += count
        return {sort: amount / items[sort] for sort, amount in taken.items() if amount}

    def _slack(self, kind: int, state: State) -> tuple[float, float]:
        """What a state has room for, in average items: how uneven over its sorts, and how much.

        Room of one sort is worth nothing where that of another sort is used up.
        """
        slack = self._slacks.get((kind, state))
        if slack is None:
            rooms = self._ways.left_by_sort(state)
            sorts = self._ways.left_by_sort(self._hosts.kinds[kind])
            left = [
                rooms.get(each, 0) / self._shares[each] for each in sorts if each in self._shares
            ]
            uneven = sum(left) - len(left) * min(left) if left else 0.0
            slack = self._slacks[(kind, state)] = round(uneven, 1), sum(left)
        return slack

    def _difficulty(self, item: int) -> tuple[t.Any, ...]:
        """The order of placement: what has few places first, then what is big."""
        shape = self._items[item].shape
        return len(self.kinds_for(shape)), -self._size(shape), shape, item

    def _size(self, shape: Shape) -> float:
        """The share of a bin's room that ``shape`` takes, where it takes the least."""
        size = self._sizes.get(shape)
        if size is None:
            size = 1.0
            for kind in self.kinds_for(shape):
                state = self._hosts.kinds[kind]
                after = self._ways.all(state, shape)[0].after
                size = min(size, 1 - self._ways.room(after) / self._ways.room(state))
            self._sizes[shape] = size
        return size

    def _places(self, item: int) -> t.Iterator[_Place]:
        wanted = self._items[item]
        for kind in self.kinds_for(wanted.shape):
            looked = 0
            for key in self._hosts.keys(kind, len(wanted.shape)):
                ways = self._ways.all(key[2], wanted.shape)
                number = self._hosts.one_of(key, wanted, self._items) if ways else None
                if number is None:
                    continue
                way = ways[0]
                slack = self._slack(kind, way.after)
                yield (way.cost // NEW, key[0], way.cost, slack, key[1], number), number, way
                looked += 1
                if looked == _LOOK:
                    break

    def _place(self, item: int, places: t.Iterable[_Place]) -> bool:
        best = min(places, key=lambda place: place[0], default=None)
        if best is None:
            return False
        self._hosts.put(best[1], item, best[2])
        return True

    # --- repair ---

    def _repair(self, least_left: int) -> None:
        """Empties a few bins at a time and fills them anew, as long as that may place more of what is left."""
        chance = random.Random(_SEED)
        members = defaultdict(list)
        for number, kind in enumerate(self._hosts.kind):
            members[kind].append(number)
        most = min(self._budget.rounds, _ROUNDS_FOR_EACH * len(self._items))
        while self._rounds < most and self._devices(self._left) > least_left:
            self._rounds += 1
            if self._rounds % 1000 == 0:
                self._progress("repaired", sum(map(len, self._hosts.items)))
            self._refill(chance, members)

    def _refill(self, chance: random.Random, members: dict[int, list[int]]) -> None:
        wanted = self._left[chance.randrange(len(self._left))]
        kinds = self.kinds_for(self._items[wanted].shape)
        pool = members[kinds[chance.randrange(len(kinds))]]
        chosen = sorted({pool[chance.randrange(len(pool))] for each in range(chance.randint(2, 6))})
        before = {number: self._hosts.empty(number) for number in chosen}
        items = [wanted] + [item for held in before.values() for item, way in held]
        order = {
            item: self._size(self._items[item].shape) * (1 + chance.random()) for item in items
        }
        left = [
            item
            for item in sorted(items, key=lambda item: -order[item])
            if not self._place(item, self._places_among(item, chosen, chance))
        ]
        if self._devices(left) > len(self._items[wanted].shape):
            for number, held in before.items():
                self._hosts.empty(number)
                for item, way in held:
                    self._hosts.put(number, item, way)
            return
        self._left.remove(wanted)
        self._left.extend(left)

    def _places_among(
        self, item: int, chosen: list[int], chance: random.Random
    ) -> t.Iterator[_Place]:
        wanted = self._items[item]
        for number in chosen:
            if self._hosts.allowed(number, wanted, self._items):
                ways = self._ways.all(self._hosts.state[number], wanted.shape)
                if ways:
                    uneven, much = self._slack(self._hosts.kind[number], ways[0].after)
                    yield (uneven + much * chance.random(), number), number, ways[0]

    def _devices(self, items: t.Iterable[int]) -> int:
        return sum(len(self._items[item].shape) for item in items)


class _Exact:
    """Depth first over items, states and ways: every plan is looked at, or known to be no better than one that was."""

    def __init__(
        self,
        ways: Ways,
        items: t.Sequence[Item],
        bins: t.Sequence[Bin],
        spread: bool,
        order: list[int],
    ) -> None:
        self._ways = ways
        self._items = items
        self._spread = spread
        self._order = order
        self._hosts = _Hosts(ways, bins, spread)
        self._devices = sum(len(items[item].shape) for item in order)
        homes = (items[item].home for item in order)
        self._homes = {home for home in homes if home is not None}
        self._marked = self._homes | {number for number, each in enumerate(bins) if each.groups}
        self._grouped = any(items[item].groups for item in order)
        self._used: list[int] = []
        self._left = 0
        self._cost = 0
        self._best: tuple[int, ...] = ()
        self._better: dict[int, list[tuple[int, Way]]] | None = None
        self._bounds: list[int] = []
        self._most = 0
        self.steps = 0
        self.complete = False

    def run(
        self, known: dict[int, list[tuple[int, Way]]], steps: int
    ) -> dict[int, list[tuple[int, Way]]] | None:
        """A better plan than ``known``, ``None`` where none was found."""
        self._most = steps
        self._best = self._rating_of(known)
        self._bounds = self._lower_bounds()
        self._descend(0)
        self.complete = self.steps < steps and not self._ways.incomplete
        return self._better

    def _rating(self, more: int = 0) -> tuple[int, ...]:
        load = max(self._hosts.load, default=0) if self._spread else 0
        cost = self._cost + more
        return (self._left, cost // NEW, load, cost % NEW)

    def _rating_of(self, plan: dict[int, list[tuple[int, Way]]]) -> tuple[int, ...]:
        cost = sum(way.cost for held in plan.values() for item, way in held)
        loads = [sum(len(way.steps) for item, way in held) for held in plan.values()]
        left = self._devices - sum(loads)
        load = max(loads, default=0) if self._spread else 0
        return (left, cost // NEW, load, cost % NEW)

    def _lower_bounds(self) -> list[int]:
        """For each depth the least that the items from there on cost, each by itself in a bin of its own.

        An opened parent costs once, whoever opens it, so that tier is left out.
        """
        bounds = [0]
        for item in reversed(self._order):
            shape = self._items[item].shape
            costs = [
                _without_opened(way.cost)
                for state in self._hosts.kinds
                for way in self._ways.all(state, shape)
            ]
            bounds.append(bounds[-1] + min(costs, default=0))
        return bounds[::-1]

    def _descend(self, depth: int) -> None:
        if self.steps >= self._most or self._hopeless(depth):
            return
        if depth == len(self._order):
            self._best = self._rating()
            self._better = {n: list(held) for n, held in enumerate(self._hosts.items) if held}
            return
        item = self._order[depth]
        for number, way in self._places(item):
            before = self._hosts.items[number][:]
            self._hosts.put(number, item, way)
            self._used.append(number)
            self._cost += way.cost
            self._descend(depth + 1)
            self._cost -= way.cost
            self._used.pop()
            self._take_back(number, before)
            if self.steps >= self._most:
                return
        self._left += len(self._items[item].shape)
        self._descend(depth + 1)
        self._left -= len(self._items[item].shape)

    def _hopeless(self, depth: int) -> bool:
        # What is left behind costs nothing in the other tiers: the bound holds only for plans that leave no more.
        if self._left < self._best[0]:
            return False
        return self._rating(self._bounds[depth]) >= self._best

    def _places(self, item: int) -> list[tuple[int, Way]]:
        wanted = self._items[item]
        places: list[tuple[t.Any, int, Way]] = []
        special = self._special()
        alike = dict(zip(reversed(special.values()), reversed(special), strict=True))
        for kind in range(len(self._hosts.kinds)):
            for key in self._hosts.keys(kind, len(wanted.shape)):
                for number in self._hosts.any_but(key, special):
                    places += self._places_in(number, wanted)
        for number in alike.values():
            places += self._places_in(number, wanted)
        return [(number, way) for rank, number, way in sorted(places)]

    def _places_in(self, number: int, wanted: Item) -> t.Iterator[tuple[t.Any, int, Way]]:
        if self._hosts.allowed(number, wanted, self._items):
            key = self._hosts.key(number)
            for way in self._ways.all(key[2], wanted.shape):
                self.steps += 1
                yield (way.cost // NEW, key[0], way.cost, key[1], way.after), number, way

    def _special(self) -> dict[int, tuple[t.Any, ...]]:
        """The bins that items can tell from others in the same state, and what they can tell them by."""
        special = {}
        for number in sorted(self._marked.union(self._used if self._grouped else ())):
            home = number if number in self._homes else None
            groups = self._hosts.groups_in(number, self._items)
            if home is not None or groups:
                special[number] = (self._hosts.key(number), home, groups)
        return special

    def _take_back(self, number: int, before: list[tuple[int, Way]]) -> None:
        self._hosts.empty(number)
        for item, way in before:
            self._hosts.put(number, item, way)


def _without_opened(cost: int) -> int:
    return cost - (cost // OPENED % (1 << _TIER)) * OPENED
