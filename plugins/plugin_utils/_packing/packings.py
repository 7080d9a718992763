# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What fits into what, and how: the terms of the search. Pure, and about numbers only.

A guest is an *item*, the multiset of its devices' demands; a host is a *bin*, the multiset of what it has: parents
and groups of equal free devices, each in some state. Equal bins are one: what fits into a state is worked out once,
however many hosts are in it. Nor are a bin's resources looked at together that no guest uses for the same purpose:
what its parents make of some demands does not depend on how many virtual functions beside them are free.
"""

from __future__ import annotations

import bisect
import itertools
import typing as t
from collections import defaultdict
from dataclasses import dataclass

# What a host has, as the numbers of its resources, sorted.
State = tuple[int, ...]
# What a guest needs, as the numbers of its devices' demands, those hard to meet first.
Demands = tuple[int, ...]

# Costs are added in tiers, the gravest first: new, opened, of another type. No plan has so many devices.
_TIER = 32
CREATED, OPENED, OTHER_TYPE = (1 << _TIER * power for power in (2, 1, 0))

# States kept on the way to a placement of one item in one bin, and where that finds none or all are wanted.
_WIDTH = 24
FULL_WIDTH = 2_000


class Transition(t.NamedTuple):
    """One device taken in by a resource: the resource it becomes (``None``: nothing is left of it), and what it costs."""

    successor: int | None
    cost: int
    offer: t.Any


class Resources(t.Protocol):
    """What the search has to know of resources."""

    def transitions(self, resource: int, demand: int) -> t.Sequence[Transition]:
        """Every way in which ``resource`` can take in a device with ``demand``."""

    def free_slots(self, resource: int) -> int:
        """How many devices ``resource`` can take in at most."""

    def residual(self, resource: int) -> float:
        """How much ``resource`` has left: a parent as a part of it, a group of free devices as their number."""

    def resource_kind(self, resource: int) -> int:
        """What ``resource`` is a state of: resources of one sort do the same for a guest."""

    def numa_node(self, resource: int) -> int | None:
        """The NUMA node of ``resource`` where all devices of a guest must be on one, else ``None``."""


class Packing(t.NamedTuple):
    """One way to place an item in a bin: the state after it, its cost, and for each demand the resource and its move."""

    after: State
    cost: int
    steps: tuple[tuple[int, Transition], ...]


@dataclass(frozen=True, slots=True)
class Item:
    """``home`` is the bin it must leave; items with a group in common must be in different bins."""

    demands: Demands
    home: int | None = None
    anti_affinity: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Bin:
    """``limit`` is how many devices it may take in; ``anti_affinity`` those of which it has a member that stays."""

    state: State
    limit: int | None = None
    anti_affinity: frozenset[int] = frozenset()


def tiers(cost: int) -> tuple[int, int, int]:
    """How many devices are new, open a parent, and are of another type."""
    return cost // CREATED, cost % CREATED // OPENED, cost % OPENED


def _but_opened(cost: int) -> int:
    return cost - tiers(cost)[1] * OPENED


# A bin's resources on one NUMA node, or all of them where that does not matter, by component.
_Node = dict[int | None, State]


class _Split(t.NamedTuple):
    """A shape by the component of the resources that take its demands in, ``None`` where there are none.

    ``order`` has for each demand its place in the parts one after the other.
    """

    parts: dict[int | None, Demands]
    order: tuple[int, ...]


class Packings:
    """The ways in which the items' shapes fit into states of the bins; those with more than ``width`` not completely.

    ``kinds`` are the states of the bins while nothing is in them, and ``takers`` for each demand the resources of these
    that take it in. ``incomplete`` says whether ways were left out, ``unsure`` whether a way may be there where none
    was found.
    """

    def __init__(
        self,
        resources: Resources,
        items: t.Iterable[Item],
        bins: t.Iterable[Bin],
        width: int = _WIDTH,
    ) -> None:
        self._resources = resources
        self._width = width
        self.incomplete = False
        self.unsure = False
        self.bin_types = list(dict.fromkeys(each.state for each in bins))
        demands = sorted({demand for item in items for demand in item.demands})
        initial = sorted({resource for state in self.bin_types for resource in state})
        self.takers = {
            demand: {resource for resource in initial if resources.transitions(resource, demand)}
            for demand in demands
        }
        self._kinds_with = {
            demand: {n for n, state in enumerate(self.bin_types) if not takers.isdisjoint(state)}
            for demand, takers in self.takers.items()
        }
        self._components = self._find_components(initial)
        self._kinds_for: dict[Demands, list[int]] = {}
        self._nodes: dict[State, list[_Node]] = {}
        self._splits: dict[Demands, _Split] = {}
        self._in_part: dict[tuple[State, Demands], list[Packing]] = {}
        self._least: dict[int, int] = {}
        self._best: dict[tuple[State, Demands], Packing | None] = {}
        self._all: dict[tuple[State, Demands], list[Packing]] = {}
        self._room: dict[State, int] = {}
        self._left_by_sort: dict[State, dict[int, float]] = {}

    def best(self, state: State, shape: Demands) -> Packing | None:
        """The cheapest way to place ``shape`` in ``state``, and of these the tidiest; ``None`` where there is none."""
        key = (state, shape)
        try:
            return self._best[key]
        except KeyError:
            split = self._split(shape)
            found = [
                _joined([ways[0] for ways in choices], self._rest(state, node, split), split.order)
                for node in self._nodes_of(state)
                if (choices := self._choices(node, split))
            ]
            best = self._best[key] = min(found, key=self._order) if found else None
            return best

    def all(self, state: State, shape: Demands) -> list[Packing]:
        """The ways to place ``shape`` in ``state`` with different states after them, the cheapest and tidiest first."""
        key = (state, shape)
        ways = self._all.get(key)
        if ways is None:
            found: dict[State, Packing] = {}
            for way in self._combined(state, shape):
                if way.after not in found or way.cost < found[way.after].cost:
                    found[way.after] = way
            ways = self._all[key] = sorted(found.values(), key=self._order)
        return ways

    def bin_types_for(self, shape: Demands) -> list[int]:
        """The kinds of bins that can take ``shape`` while nothing is in them; of none that has no demands."""
        kinds = self._kinds_for.get(shape)
        if kinds is None:
            takers = [self._kinds_with[demand] for demand in set(shape)]
            kinds = self._kinds_for[shape] = [
                kind
                for kind in sorted(set.intersection(*takers) if takers else ())
                if self._takes(self.bin_types[kind], shape)
            ]
        return kinds

    def least(self, shape: Demands) -> int:
        """What ``shape`` costs at least, by itself in a bin; nothing where none takes it.

        Parents opened are left out: one that is open already costs nothing more.
        """
        split = self._split(shape)
        found = [
            sum([self._least_of(ways) for ways in choices])
            for kind in self.bin_types_for(shape)
            for node in self._nodes_of(self.bin_types[kind])
            if (choices := self._choices(node, split))
        ]
        return min(found, default=0)

    def free_slots(self, state: State) -> int:
        room = self._room.get(state)
        if room is None:
            room = self._room[state] = sum(map(self._resources.free_slots, state))
        return room

    def residual_by_kind(self, state: State) -> dict[int, float]:
        """How much each sort of a bin's resources has left."""
        rooms = self._left_by_sort.get(state)
        if rooms is None:
            rooms = self._left_by_sort[state] = {}
            for resource in state:
                sort = self._resources.resource_kind(resource)
                rooms[sort] = rooms.get(sort, 0) + self._resources.residual(resource)
        return rooms

    # --- what has nothing to do with each other ---

    def _find_components(self, initial: list[int]) -> dict[int, int]:
        """For each sort of resources the least sort that it is connected with by demands that both take in.

        What a resource does not take in now it never does, so that this is true of all states.
        """
        components = {sort: sort for sort in map(self._resources.resource_kind, initial)}
        for takers in self.takers.values():
            connected = {components[self._resources.resource_kind(each)] for each in takers}
            for sort, component in components.items():
                if component in connected:
                    components[sort] = min(connected)
        return components

    def component(self, resource: int) -> int:
        """The component that ``resource`` is in."""
        return self._components[self._resources.resource_kind(resource)]

    def _split(self, shape: Demands) -> _Split:
        split = self._splits.get(shape)
        if split is None:
            places: dict[int | None, list[int]] = defaultdict(list)
            for place, demand in enumerate(shape):
                takers = self.takers[demand]
                places[self.component(min(takers)) if takers else None].append(place)
            order = [place for at in places.values() for place in at]
            split = self._splits[shape] = _Split(
                {each: tuple([shape[place] for place in at]) for each, at in places.items()},
                tuple(sorted(range(len(shape)), key=order.__getitem__)),
            )
        return split

    def _nodes_of(self, state: State) -> list[_Node]:
        nodes = self._nodes.get(state)
        if nodes is None:
            found: dict[t.Any, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
            for resource in state:
                node = self._resources.numa_node(resource)
                found[node][self.component(resource)].append(resource)
            nodes = self._nodes[state] = [
                {component: tuple(each) for component, each in found[node].items()}
                for node in sorted(found, key=str)
            ]
        return nodes

    def _combined(self, state: State, shape: Demands) -> t.Iterator[Packing]:
        """The ways for the parts of ``shape`` put together; all on one NUMA node."""
        split = self._split(shape)
        for node in self._nodes_of(state):
            rest = self._rest(state, node, split)
            choices = self._choices(node, split)
            combinations = itertools.product(*choices) if choices else iter(())
            for ways in itertools.islice(combinations, FULL_WIDTH):
                yield _joined(ways, rest, split.order)
            self.incomplete = self.incomplete or next(combinations, None) is not None

    def _rest(self, state: State, node: _Node, split: _Split) -> list[int]:
        """The resources of a bin that have nothing to do with a shape that is placed on one of its nodes."""
        return [
            resource
            for other in self._nodes_of(state)
            for component, each in other.items()
            if other is not node or component not in split.parts
            for resource in each
        ]

    def _takes(self, state: State, shape: Demands) -> bool:
        split = self._split(shape)
        return any(self._choices(node, split) for node in self._nodes_of(state))

    def _choices(self, node: _Node, split: _Split) -> list[list[Packing]]:
        """For each part of a shape the ways to place it; empty where there is none for one of them."""
        choices = []
        for component, shape in split.parts.items():
            ways = self._ways_in_part(node.get(component, ()), shape)
            if not ways:
                return []
            choices.append(ways)
        return choices

    # --- one part ---

    def _ways_in_part(self, state: State, shape: Demands) -> list[Packing]:
        key = (state, shape)
        ways = self._in_part.get(key)
        if ways is None:
            ways = self._in_part[key] = self._work_out(state, shape)
        return ways

    def _least_of(self, ways: list[Packing]) -> int:
        # The ways of each part of a shape are one list, for as long as these are.
        least = self._least.get(id(ways))
        if least is None:
            least = self._least[id(ways)] = min([_but_opened(way.cost) for way in ways])
        return least

    def _work_out(self, state: State, shape: Demands) -> list[Packing]:
        if self.free_slots(state) < len(shape):
            return []
        found, cut = self._place(state, shape, self._width)
        if cut and not found:
            found, cut = self._place(state, shape, FULL_WIDTH)
            self.unsure = self.unsure or (cut and not found)
        self.incomplete = self.incomplete or cut
        return sorted(found, key=self._order) if len(found) > 1 else list(found)

    def _place(
        self, state: State, shape: Demands, width: int
    ) -> tuple[t.Collection[Packing], bool]:
        """The ways with different states after them, and whether some were left out."""
        layer = {state: Packing(state, 0, ())}
        cut = False
        for demand in shape:
            following: dict[State, Packing] = {}
            for way in layer.values():
                self._extend(way, demand, following)
            if len(following) > width:
                cut = True
                kept = sorted(following.values(), key=self._order)[:width]
                following = {way.after: way for way in kept}
            layer = following
        return layer.values(), cut

    def _extend(self, way: Packing, demand: int, following: dict[State, Packing]) -> None:
        state = way.after
        last = None
        for index, resource in enumerate(state):
            if resource == last:
                continue
            last = resource
            for move in self._resources.transitions(resource, demand):
                left = list(state)
                del left[index]
                if move.successor is not None:
                    bisect.insort(left, move.successor)
                after = tuple(left)
                cost = way.cost + move.cost
                known = following.get(after)
                if known is None or cost < known.cost:
                    following[after] = Packing(after, cost, (*way.steps, (resource, move)))

    def _order(self, way: Packing) -> tuple[t.Any, ...]:
        # Room that is left in one piece is of more use than in many.
        return (
            way.cost,
            -sum(self._resources.free_slots(each) ** 2 for each in way.after),
            way.after,
        )


def _joined(ways: t.Iterable[Packing], rest: t.Iterable[int], order: t.Sequence[int]) -> Packing:
    """One way for a whole shape, made of a way for each of its parts, and of what these leave as it is."""
    after = [*rest]
    steps: list[tuple[int, Transition]] = []
    cost = 0
    for way in ways:
        after += way.after
        steps += way.steps
        cost += way.cost
    after.sort()
    return Packing(tuple(after), cost, tuple([steps[place] for place in order]))
