# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""The packing problem in pure numbers, and the packings of one item into one bin.

The problem is a vector bin packing with bins of several types. A guest is an *item*: the multiset of its devices'
demands. A host is a *bin*: the multiset of its resources, which are parents and groups of equal free devices, each in
some state. Taking in one device leads a resource from one state to another, by a *transition*. A *packing* is one way
to place an item in a bin: a transition for each of its demands.

Two things keep the number of packings small. Bins in equal states share their packings, however many hosts they are.
And a bin falls into the connected components of the graph of its resources and the demands that they take in: what its
parents make does not depend on how many virtual functions beside them are free.
"""

from __future__ import annotations

import bisect
import functools
import itertools
import math
import operator
import typing as t
from collections import defaultdict
from dataclasses import dataclass

from ansible_collections.vfio.migration.plugins.plugin_utils._packing.effort import Effort

# What a bin has: the numbers of its resources, sorted.
State = tuple[int, ...]
# What an item needs: the numbers of its devices' demands, the scarcest first.
Demands = tuple[int, ...]

# A transition's cost holds three numbers, the gravest in the highest bits. No plan has 2^32 devices.
_TIER = 32
CREATED, OPENED, OTHER_TYPE = (1 << _TIER * power for power in (2, 1, 0))
# What a device costs in a bin that is not preferred, beside what its transition does.
_NOT_PREFERRED = 1 << _TIER * 3

# The beam's width: states kept after each demand of an item, and where that finds none or all are wanted.
_WIDTH = 24
FULL_WIDTH = 2_000
# So many equally cheap and tidy ones are compared for the last place.
_TIES = 64
# More than all weights together, and fit for a solver with 64 bits.
UNLIMITED = 1 << 60
# So many transitions are looked at, all items and states of a problem together, before the beam narrows to one state: what
# takes longer is no problem that a fleet has, but may be one that a host makes up.
EFFORT = 1_000_000
# So many resources that take a demand in by no transition are looked at in the time of one that does.
_LOOKS = 4
# So many resources are copied into another state in that time.
_COPIES = 16


class Transition(t.NamedTuple):
    """One device taken in by a resource.

    ``successor`` is the resource's state after it, ``None`` where nothing of it remains. ``offer`` is the caller's own:
    what the device becomes there.
    """

    successor: int | None
    cost: int
    offer: t.Any


class Resources(t.Protocol):
    """What the search asks about resources, which are numbers to it."""

    def transitions(self, resource: int, demand: int) -> t.Sequence[Transition]:
        """Return every way in which ``resource`` can take in one device with ``demand``, the cheapest first."""

    def free_slots(self, resource: int) -> int:
        """Return how many devices ``resource`` can take in at most."""

    def residual(self, resource: int) -> float:
        """Return how much ``resource`` has left: of a parent the share, of a group the number of free devices."""

    def resource_kind(self, resource: int) -> int:
        """Return the number that all states of ``resource`` have in common."""

    def numa_node(self, resource: int) -> int | None:
        """Return the NUMA node of ``resource`` if all devices of an item must be on one, else ``None``."""

    def exclusive_place(self, resource: int) -> t.Hashable:
        """Return where ``resource`` is if no two devices of an item may be there, else ``None``."""


class Packing(t.NamedTuple):
    """One way to place an item in a bin.

    ``after`` is the bin's state with the item in it. ``steps`` has for each demand, in the item's order, the resource
    that takes it in and the transition.
    """

    after: State
    cost: int
    steps: tuple[tuple[int, Transition], ...]


@dataclass(frozen=True, slots=True)
class Item:
    """One guest.

    ``home`` is the bin it must leave, if that is one. Items with an ``anti_affinity`` group in common must be in
    different bins, and in bins that have no domain in common. ``weights`` are what it takes of each limit of a bin; none
    where bins have no limits. ``refused`` are numbers by which some bins refuse it.
    """

    demands: Demands
    home: int | None = None
    anti_affinity: frozenset[int] = frozenset()
    weights: tuple[int, ...] = ()
    refused: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Bin:
    """One host.

    ``limits`` are what the weights of the items in it may add up to, ``UNLIMITED`` where anything. ``anti_affinity`` are
    the groups of which a member is there, or in a domain of its, and stays. ``load`` is how many devices are there and stay,
    where devices are to be spread, else 0. It takes no item that is ``refused`` by a number in ``refuses``. ``domains`` are
    the failure domains that it is in, where items are to be apart or devices to be spread over these; without one it is its own.
    Where others are to be preferred, it is not ``preferred``.
    """

    state: State
    limits: tuple[int, ...] = ()
    anti_affinity: frozenset[int] = frozenset()
    load: int = 0
    refuses: frozenset[int] = frozenset()
    domains: frozenset[int] = frozenset()
    preferred: bool = True


@dataclass(frozen=True, slots=True)
class PackingProblem:
    """Items to place in bins. ``spread`` prefers the bins with the fewest devices, else the fullest are preferred.

    With ``domain_loads`` the failure domains with the fewest devices come before that: they are how many devices are in each
    and stay. Every bin has a domain then.
    """

    resources: Resources
    items: t.Sequence[Item]
    bins: t.Sequence[Bin]
    spread: bool = False
    domain_loads: t.Mapping[int, int] | None = None


def cost_in(there: Bin, packing: Packing) -> int:
    """Return what a packing costs in a bin: as its transitions do, and more than these where that is not preferred."""
    return packing.cost + (0 if there.preferred else _NOT_PREFERRED * len(packing.steps))


def tiers(cost: int) -> tuple[int, int, int]:
    """Return how many devices are created, open a parent, and are of another type."""
    return cost // CREATED, cost % CREATED // OPENED, cost % OPENED


# For each demand the resources that take it in.
Takers = t.Mapping[int, t.AbstractSet[int]]
# The resources of a bin by component; of one NUMA node, where that matters.
_Node = dict[int | None, State]


class _Split(t.NamedTuple):
    """An item's demands by the component that takes them in, ``None`` where nothing does.

    ``order`` has for each demand its place among the parts, one after the other.
    """

    parts: dict[int | None, Demands]
    order: tuple[int, ...]


class _PartPackings(t.NamedTuple):
    """The packings of a part of the demands into one component of a bin, the cheapest first.

    ``least`` is what they cost at least, leaving out opened parents.
    """

    packings: t.Sequence[Packing]
    least: int


class _Ranked(t.NamedTuple):
    """A packing with what it is ranked by: its cost, and how much less is free in one piece than elsewhere."""

    cost: int
    untidiness: int
    packing: Packing


# A transition, what it costs, and by how much it makes a state less tidy.
_Step = tuple[int, int, Transition]
_by_step = operator.itemgetter(0, 1)
# A step after a packing, with the cost and the untidiness of both: the packing, the resource, and its transition.
_Way = tuple[int, int, Packing, int, Transition]
_Value = t.TypeVar("_Value")


class _Remembered(dict[int, _Value]):
    """What a function returns for each resource, asked once: whole states are looked up in it without a call."""

    def __init__(self, function: t.Callable[[int], _Value]) -> None:
        super().__init__()
        self._function = function

    def __missing__(self, resource: int) -> _Value:
        found = self[resource] = self._function(resource)
        return found

    def of(self, state: t.Iterable[int]) -> t.Iterator[_Value]:
        """Return the values of all resources of a state."""
        return map(self.__getitem__, state)


def _by_rank(ranked: _Ranked) -> tuple[int, int, State]:
    return ranked.cost, ranked.untidiness, ranked.packing.after


class _Steps(t.NamedTuple):
    """The steps by which a resource takes in a demand, and the cost and the untidiness of the first, after all others where there is none."""

    first: tuple[float, float]
    all: list[_Step]


def _steps_of(
    resources: Resources, squares: _Remembered[int], demand: int, resource: int
) -> _Steps:
    found = resources.transitions(resource, demand)
    if not found:
        return _NO_STEPS
    square = squares[resource]
    steps = [
        (each.cost, square - (0 if each.successor is None else squares[each.successor]), each)
        for each in found
    ]
    return _Steps(min(map(_by_step, steps)), steps)


_NO_STEPS = _Steps((math.inf, math.inf), [])


class Packings:
    """The packings of the problem's items into states of its bins, each worked out once.

    ``bin_types`` are the different states of empty bins, and ``type_numbers`` their places there. ``takers`` has for
    each demand the resources of these that take it in, which others of the same problem may know. ``width`` is the beam's:
    an item that has more packings has not all of them here. ``incomplete`` says whether that was so anywhere, ``unsure``
    whether none was found where there may be one. What is looked at is taken from the ``effort``, which others may share.
    """

    def __init__(
        self,
        problem: PackingProblem,
        width: int = _WIDTH,
        effort: Effort | None = None,
        takers: Takers | None = None,
    ) -> None:
        self._resources = problem.resources
        self._width = width
        self.incomplete = False
        self.unsure = False
        self.bin_types = list(dict.fromkeys([each.state for each in problem.bins]))
        self.type_numbers = {state: number for number, state in enumerate(self.bin_types)}
        self._initial = sorted(set(itertools.chain.from_iterable(self.bin_types)))
        demands = sorted(set(itertools.chain.from_iterable(i.demands for i in problem.items)))
        transitions = problem.resources.transitions
        self.takers: Takers = takers or {
            demand: {each for each in self._initial if transitions(each, demand)}
            for demand in demands
        }
        self._types_with = {
            demand: {
                number
                for state, number in self.type_numbers.items()
                if not taking.isdisjoint(state)
            }
            for demand, taking in self.takers.items()
        }
        self._bin_types_for: dict[Demands, list[int]] = {}
        self._nodes: dict[State, list[_Node]] = {}
        self._splits: dict[Demands, _Split] = {}
        self._parts: dict[tuple[State, Demands], _PartPackings] = {}
        self._best: dict[tuple[State, Demands], Packing | None] = {}
        self._all: dict[tuple[State, Demands], list[Packing]] = {}
        self._free_slots: dict[State, int] = {}
        self._residuals: dict[State, dict[int, float]] = {}
        slots = _Remembered(problem.resources.free_slots)
        self._slots = slots
        self._squares = _Remembered[int](lambda resource: slots[resource] ** 2)
        self._steps: dict[int, _Remembered[_Steps]] = {}
        self._remainders: dict[int, tuple[int, float]] = {}
        self._effort = effort or Effort(EFFORT)
        places = map(problem.resources.exclusive_place, self._initial)
        self._has_exclusive_places = any(each is not None for each in places)

    def best(self, state: State, demands: Demands) -> Packing | None:
        """Return the cheapest packing, and of these the tidiest; ``None`` where there is none."""
        key = (state, demands)
        try:
            return self._best[key]
        except KeyError:
            if len(demands) == 1:
                found, _more = self._beam_search(state, demands, 1)
                best = next(iter(found), None)
            else:
                split = self._split(demands)
                found = [
                    self._joined(state, node, split, [part.packings[0] for part in parts])
                    for node, parts in self._nodes_for(state, split)
                ]
                best = min(found, key=self._rank, default=None)
            self._best[key] = best
            return best

    def all(self, state: State, demands: Demands) -> list[Packing]:
        """Return the packings with different states after them, the cheapest and tidiest first."""
        key = (state, demands)
        packings = self._all.get(key)
        if packings is None:
            found: dict[State, Packing] = {}
            for packing in self._combinations(state, self._split(demands)):
                known = found.get(packing.after)
                if known is None or packing.cost < known.cost:
                    found[packing.after] = packing
            packings = self._all[key] = sorted(found.values(), key=self._rank)
        return packings

    def bin_types_for(self, demands: Demands) -> list[int]:
        """Return the numbers of the bin types that can take ``demands`` while empty; none for no demands."""
        found = self._bin_types_for.get(demands)
        if found is None:
            with_takers = self.types_with_takers(demands)
            found = sorted(set.intersection(*with_takers)) if with_takers else []
            if len(demands) > 1:
                split = self._split(demands)
                found = [
                    number
                    for number in found
                    if next(self._nodes_for(self.bin_types[number], split), None)
                ]
            self._bin_types_for[demands] = found
        return found

    def types_with_takers(self, demands: Demands) -> list[set[int]]:
        """Return for each different one of ``demands`` the numbers of the bin types that take it in while empty, the fewest first.

        Those that take in all together are in each of these. That is found without a look at any bin type.
        """
        return sorted([self._types_with[demand] for demand in set(demands)], key=len)

    def least(self, demands: Demands) -> int:
        """Return what ``demands`` cost at least, alone in an empty bin; 0 where none takes them.

        Opened parents are left out: one that is open already costs nothing more.
        """
        split = self._split(demands)
        return min(
            (
                sum([part.least for part in parts])
                for number in self.bin_types_for(demands)
                for _node, parts in self._nodes_for(self.bin_types[number], split)
            ),
            default=0,
        )

    def spend(self, count: int) -> None:
        """Count what a search has looked at beside packings."""
        self._effort.spend(count)

    def free_slots(self, state: State) -> int:
        """Return how many devices a bin can take in at most."""
        found = self._free_slots.get(state)
        if found is None:
            found = self._free_slots[state] = sum(self._slots.of(state))
        return found

    def residuals(self, state: State) -> dict[int, float]:
        """Return how much a bin has left of each kind of resource."""
        found = self._residuals.get(state)
        if found is None:
            found = self._residuals[state] = {}
            for resource in state:
                kind, residual = self._remainders.get(resource) or self._remainder(resource)
                found[kind] = found.get(kind, 0) + residual
        return found

    def _remainder(self, resource: int) -> tuple[int, float]:
        """Return the kind of ``resource``, and how much it has left."""
        found = self._resources.resource_kind(resource), self._resources.residual(resource)
        self._remainders[resource] = found
        return found

    # --- connected components ---

    @functools.cached_property
    def _components(self) -> dict[int, int]:
        """The component of each kind of resource: the least kind connected to it by demands that both take in.

        A resource takes in no demand later that it does not take in at once, so this is true of all states.
        """
        kinds = {each: self._resources.resource_kind(each) for each in self._initial}
        components = {kind: kind for kind in kinds.values()}
        for takers in self.takers.values():
            connected = {components[kinds[resource]] for resource in takers}
            for kind, component in components.items():
                if component in connected:
                    components[kind] = min(connected)
        if self._has_exclusive_places:
            self._connect_places(kinds, components)
        return components

    def _connect_places(self, kinds: t.Mapping[int, int], components: dict[int, int]) -> None:
        """Connect those kinds of resources that are in one place where no two devices of an item may be."""
        in_place: dict[t.Hashable, set[int]] = defaultdict(set)
        for resource, kind in kinds.items():
            place = self._resources.exclusive_place(resource)
            if place is not None:
                in_place[place].add(kind)
        for together in in_place.values():
            connected = {components[kind] for kind in together}
            for kind, component in components.items():
                if component in connected:
                    components[kind] = min(connected)

    def component(self, resource: int) -> int:
        """Return the connected component that ``resource`` is in."""
        return self._components[self._resources.resource_kind(resource)]

    def _split(self, demands: Demands) -> _Split:
        split = self._splits.get(demands)
        if split is None:
            places: dict[int | None, list[int]] = defaultdict(list)
            for place, demand in enumerate(demands):
                takers = self.takers[demand]
                places[self.component(min(takers)) if takers else None].append(place)
            order = list(itertools.chain.from_iterable(places.values()))
            split = self._splits[demands] = _Split(
                {each: tuple([demands[place] for place in at]) for each, at in places.items()},
                tuple(sorted(range(len(demands)), key=order.__getitem__)),
            )
        return split

    def _nodes_of(self, state: State) -> list[_Node]:
        nodes = self._nodes.get(state)
        if nodes is None:
            found: dict[int | None, dict[int, list[int]]] = {}
            for resource in state:
                node = found.setdefault(self._resources.numa_node(resource), {})
                node.setdefault(self.component(resource), []).append(resource)
            nodes = self._nodes[state] = [
                {component: tuple(each) for component, each in found[node].items()}
                for node in sorted(found, key=str)
            ]
        return nodes

    def _nodes_for(
        self, state: State, split: _Split
    ) -> t.Iterator[tuple[_Node, list[_PartPackings]]]:
        """Yield the NUMA nodes that take in all demands, each with the packings of every part."""
        for node in self._nodes_of(state):
            parts = []
            for component, demands in split.parts.items():
                part = self._part(node.get(component, ()), demands)
                if not part.packings:
                    break
                parts.append(part)
            else:
                if parts:
                    yield node, parts

    def _combinations(self, state: State, split: _Split) -> t.Iterator[Packing]:
        """Yield one packing for each combination of packings of the parts."""
        for node, parts in self._nodes_for(state, split):
            combinations = itertools.product(*[part.packings for part in parts])
            for chosen in itertools.islice(combinations, FULL_WIDTH):
                self._effort.spend(1 + len(state) // _COPIES)
                yield self._joined(state, node, split, chosen)
            self.incomplete = self.incomplete or next(combinations, None) is not None

    def _joined(
        self, state: State, node: _Node, split: _Split, chosen: t.Iterable[Packing]
    ) -> Packing:
        """Return the packing of all demands that is made of one for each part, on one NUMA node."""
        after: list[int] = []
        for other in self._nodes_of(state):
            for component, untouched in other.items():
                if other is not node or component not in split.parts:
                    after += untouched
        steps: list[tuple[int, Transition]] = []
        cost = 0
        for packing in chosen:
            after += packing.after
            steps += packing.steps
            cost += packing.cost
        after.sort()
        return Packing(tuple(after), cost, tuple([steps[place] for place in split.order]))

    # --- one component ---

    def _part(self, state: State, demands: Demands) -> _PartPackings:
        key = (state, demands)
        part = self._parts.get(key)
        if part is None:
            packings = self._search(state, demands)
            least = min([each.cost - tiers(each.cost)[1] * OPENED for each in packings], default=0)
            part = self._parts[key] = _PartPackings(packings, least)
        return part

    @property
    def worked_out(self) -> int:
        """How many places of an item in a state were worked out, whether or not there is one; what was is known from then on."""
        return len(self._best)

    @property
    def exhausted(self) -> bool:
        """Whether so much was looked at that no more than the first packing found is of each item from now on."""
        return self._effort.used_up

    def _search(self, state: State, demands: Demands) -> list[Packing]:
        if self.free_slots(state) < len(demands):
            return []
        found, cut = self._beam_search(state, demands, 1 if self.exhausted else self._width)
        if cut and not found and not self.exhausted:
            found, cut = self._beam_search(state, demands, FULL_WIDTH)
        self.unsure = self.unsure or (cut and not found)
        self.incomplete = self.incomplete or cut
        return found

    def _beam_search(
        self, state: State, demands: Demands, width: int
    ) -> tuple[list[Packing], bool]:
        """Return packings with different states after them, the first by rank first, and whether some were cut off."""
        beam = [_Ranked(0, -sum(self._squares.of(state)), Packing(state, 0, ()))]
        cut = False
        for demand in demands:
            beam, more = self._extend(beam, demand, 1 if self.exhausted else width)
            cut = cut or more
        beam.sort(key=_by_rank)
        return [each.packing for each in beam], cut

    def _extend(
        self, beam: t.Sequence[_Ranked], demand: int, width: int
    ) -> tuple[list[_Ranked], bool]:
        """Return the first packings by rank that take in one more demand, and whether there are more.

        Of those with the same state after them the cheapest is there. Whole states are only made of the first.
        """
        if width == 1 and len(beam) == 1:
            found, looked_at = self._first_ways(beam[0], demand)
        else:
            found = sorted(self._ways(beam, demand), key=_by_step)
            looked_at = len(found)
        more = len(found) < looked_at
        following: dict[State, _Ranked] = {}
        last = None
        for cost, untidiness, before, resource, transition in found:
            if len(following) >= width and (
                (cost, untidiness) != last or len(following) == width + _TIES
            ):
                more = True
                break
            last = cost, untidiness
            left = list(before.after)
            del left[bisect.bisect_left(left, resource)]
            if transition.successor is not None:
                bisect.insort(left, transition.successor)
            after = tuple(left)
            if after not in following:
                steps = (*before.steps, (resource, transition))
                following[after] = _Ranked(cost, untidiness, Packing(after, cost, steps))
        if beam:
            size = len(beam[0].packing.after)
            made = len(following) * size // _COPIES
            self._effort.spend(looked_at + len(beam) * size // _LOOKS + made)
        kept = [*following.values()]
        if len(kept) > width:
            return sorted(kept, key=_by_rank)[:width], True
        return kept, more

    def _steps_for(self, demand: int) -> _Remembered[_Steps]:
        if demand not in self._steps:
            steps_of = functools.partial(_steps_of, self._resources, self._squares, demand)
            self._steps[demand] = _Remembered(steps_of)
        return self._steps[demand]

    def _open(self, packing: Packing) -> t.Collection[int]:
        """Return the different resources that may take in one more device of the item, in order."""
        there = dict.fromkeys(packing.after)
        used = self._exclusive_places(packing) if self._has_exclusive_places else ()
        if not used:
            return there
        return [each for each in there if self._resources.exclusive_place(each) not in used]

    def _ways(self, beam: t.Iterable[_Ranked], demand: int) -> list[_Way]:
        """Return the ways to take in one more demand."""
        steps = self._steps_for(demand)
        ways: list[_Way] = []
        for spent, untidiness, before in beam:
            ways += [
                (spent + cost, untidiness + more, before, resource, transition)
                for resource in self._open(before)
                for cost, more, transition in steps[resource].all
            ]
        return ways

    def _first_ways(self, ranked: _Ranked, demand: int) -> tuple[list[_Way], int]:
        """Return the first ways by rank to take in one more demand, and how many there are in all."""
        spent, untidiness, before = ranked
        resources = self._open(before)
        steps = [*self._steps_for(demand).of(resources)]
        first = min([each.first for each in steps], default=_NO_STEPS.first)
        ways = [
            (spent + cost, untidiness + more, before, resource, transition)
            for resource, own in zip(resources, steps, strict=True)
            if own.first == first
            for cost, more, transition in own.all
            if (cost, more) == first
        ]
        return ways, sum([len(each.all) for each in steps])

    def _exclusive_places(self, packing: Packing) -> set[t.Hashable]:
        """Return where no further device of the item may be."""
        places = {self._resources.exclusive_place(resource) for resource, _step in packing.steps}
        return places - {None}

    def _rank(self, packing: Packing) -> tuple[t.Any, ...]:
        """Order packings by cost, then by tidiness: free slots in one piece are of more use than in many."""
        return packing.cost, -sum(self._squares.of(packing.after)), packing.after
