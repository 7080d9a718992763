# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""What a solver adds to what the search found, where one is installed: better plans for small problems, and proofs.

A small problem, or a small piece of a big one, becomes a linear programme in integers. Items that need the same are
of one kind, and a number of each kind goes to each part of a bin. What resources take in is a flow: each starts in the
state that it has, and every device that it takes in leads to the next one. No device is tied to a resource: as many of
each demand must flow in a part as the items in it have. That will do, because a resource that takes in some devices
takes them in in any order, at the same cost.

The programme goes to OR-Tools in a process of its own, as numbers only. What comes back counts if it keeps the
programme's constraints; whatever else happens there, the plan stays as it was.
"""

from __future__ import annotations

import importlib.util
import itertools
import json
import operator
import subprocess
import sys
import typing as t
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ansible_collections.vfio.migration.plugins.plugin_utils._packing.assignment import Assignment
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.packings import (
    Bin,
    Demands,
    Item,
    Packing,
    Resources,
    State,
    Transition,
    tiers,
)

# CP-SAT solves what is smaller, or nearly so, and makes little of what is bigger.
MAX_ITEMS = 150
_MAX_VARIABLES = 5_000
# Pieces of one plan that have nothing to do with each other, each solved in a process of its own.
_MAX_PIECES = 4
# Of a piece that is cut out; each finds its place better the fewer they are.
_MAX_LEFT = 30
# In units of CP-SAT's deterministic time, which are seconds at most on a fast machine.
EFFORT = 4.0
# Seconds after which a process is given up that should long have ended.
_TIMEOUT = 120

_Terms = list[tuple[int, int]]
# Items of one kind differ in nothing: their shape, their home if it is among the bins, their groups.
_Kind = tuple[Demands, int | None, frozenset[int]]
# A bin's resources on one NUMA node, or all of them where that does not matter: the bin and the node.
_Part = tuple[int, int | None]
# A resource in this state takes in a device with this demand and comes to that state; ``None``: nothing is left of it.
_Step = tuple[int, int, int | None]


@dataclass(frozen=True, slots=True)
class Improved:
    """A plan no worse than the one it was made from; ``most``: none places more devices, ``best``: none is better."""

    bins: Assignment
    most: bool
    best: bool


def improve(
    resources: Resources,
    items: t.Sequence[Item],
    bins: t.Sequence[Bin],
    held: Assignment,
    left: t.Sequence[int],
    spread: bool = False,
    effort: float = EFFORT,
) -> Improved | None:
    """Improves the plan ``held``, in which the items ``left`` have no place; ``None``: nothing was found out.

    With items left, the bins that they could use are looked at, with what is in these and could be elsewhere, and so
    on; if that is too big, some of it. With none left, all bins and items are, if they are few.
    """
    if not sys.executable or importlib.util.find_spec("ortools") is None:
        return None
    groups = _Pieces(resources, items, bins, held, left).groups()[:_MAX_PIECES]
    found = []
    for group in groups:
        model = _model(resources, items, bins, held, group, spread)
        improved = model and _improve(model, held, effort / len(groups))
        if improved:
            held = improved.bins
            found.append(improved)
    if not found:
        return None
    complete = len(found) == len(groups) and sum(map(len, groups)) == len(left)
    return Improved(
        bins=held,
        most=complete and all(each.most for each in found),
        best=complete and all(each.best for each in found),
    )


def _improve(model: _Model, held: Assignment, effort: float) -> Improved | None:
    answer = _solve(model.programme, effort)
    if answer is None:
        return None
    values, proven = answer
    programme = model.programme
    improved = held
    if programme.rating(values) < programme.rating(programme.start):
        improved = dict(sorted((model.others | model.plan(values)).items()))
    most = model.piece.closed and proven > 0
    best = most and proven == len(programme.objectives) and not model.others
    if improved is held and not best and not (most and model.left):
        return None
    return Improved(improved, most, best)


def _load(held: t.Sequence[tuple[int, Packing]]) -> int:
    return sum(len(way.steps) for item, way in held)


# --- the piece to be solved ---


@dataclass(frozen=True, slots=True)
class _Piece:
    """Bins, and the items that are in them or left; ``closed``: no other item could be there, nor they elsewhere."""

    bins: list[int]
    items: list[int]
    closed: bool


class _Pieces:
    """The piece to be solved, and smaller and smaller ones of it, for when it is too big."""

    def __init__(
        self,
        resources: Resources,
        items: t.Sequence[Item],
        bins: t.Sequence[Bin],
        held: Assignment,
        left: t.Sequence[int],
    ) -> None:
        self._resources = resources
        self._items = items
        self._bins = bins
        self._held = held
        self._left = left
        self._taken: dict[State, set[int]] = {}
        self._demands = {demand for item in items for demand in item.demands}
        self._members: dict[State, list[int]] = defaultdict(list)
        for number, each in enumerate(bins):
            self._members[each.state].append(number)

    def __iter__(self) -> t.Iterator[_Piece]:
        placed = [item for held in self._held.values() for item, way in held]
        states = self._closure(self._left or placed)
        bins = sorted(number for state in states for number in self._members[state])
        items = self._items_of(bins, self._left)
        if 0 < len(items) <= MAX_ITEMS:
            yield _Piece(self._useful(bins, items), items, closed=True)
        if self._left:
            yield from self._cuts()

    def groups(self) -> list[list[int]]:
        """The items left, those together that have to do with each other; one group of none if none are left."""
        groups: list[list[int]] = []
        group_of: dict[Demands, list[int]] = {}
        for item in self._left:
            shape = self._items[item].demands
            if shape not in group_of:
                groups.append([])
                states = self._closure([item])
                group_of |= dict.fromkeys(self._left_shapes_for(states), groups[-1])
                group_of[shape] = groups[-1]
            group_of[shape].append(item)
        return groups or [[]]

    def _left_shapes_for(self, states: t.Collection[State]) -> set[Demands]:
        shapes = {self._items[item].demands for item in self._left}
        return {each for each in shapes if any(self._takes(state, each) for state in states)}

    def _closure(self, wanted: t.Iterable[int]) -> set[State]:
        """The states of the bins that items could use, and those that others that could be in these could, and so on."""
        shapes = {self._items[item].demands for item in wanted}
        states: set[State] = set()
        while shapes:
            reached = {
                state
                for state in self._members.keys() - states
                if any(self._takes(state, shape) for shape in shapes)
            }
            states |= reached
            shapes = self._left_shapes_for(reached) | {
                self._items[item].demands
                for state in reached
                for number in self._members[state]
                for item, way in self._held.get(number, ())
            }
        return states

    def _useful(self, bins: list[int], items: list[int]) -> list[int]:
        """The bins without those of which there are more equal ones than items."""
        homes = {self._items[item].home for item in items}
        equal: Counter[Bin] = Counter()
        useful = []
        for number in sorted(bins, key=lambda each: each not in self._held):
            each = self._bins[number]
            equal[each] += number not in homes
            if number in homes or equal[each] <= len(items):
                useful.append(number)
        return sorted(useful)

    def _cuts(self) -> t.Iterator[_Piece]:
        left = self._left[:_MAX_LEFT]
        shapes = {self._items[item].demands for item in left}
        bins = [
            number
            for number, each in enumerate(self._bins)
            if any(self._takes(each.state, shape) for shape in shapes)
        ]
        bins.sort(key=lambda number: (-self._room(number), number))
        count = min(len(bins), MAX_ITEMS)
        while count:
            chosen = sorted(bins[:count])
            items = self._items_of(chosen, left)
            if len(items) <= MAX_ITEMS:
                yield _Piece(chosen, items, closed=False)
            count = count * 3 // 4

    def _items_of(self, bins: list[int], left: t.Iterable[int]) -> list[int]:
        held = (item for number in bins for item, way in self._held.get(number, ()))
        return sorted([*held, *left])

    def _room(self, number: int) -> int:
        held = self._held.get(number)
        state = held[-1][1].after if held else self._bins[number].state
        return sum(map(self._resources.free_slots, state))

    def _takes(self, state: State, shape: Demands) -> bool:
        """Whether each demand alone finds a resource; one that takes it in later does so at once."""
        taken = self._taken.get(state)
        if taken is None:
            taken = self._taken[state] = {
                demand
                for demand in self._demands
                if any(self._resources.transitions(resource, demand) for resource in set(state))
            }
        return taken.issuperset(shape)


def _model(
    resources: Resources,
    items: t.Sequence[Item],
    bins: t.Sequence[Bin],
    held: Assignment,
    left: t.Sequence[int],
    spread: bool,
) -> _Model | None:
    """The model of the first piece that is small enough."""
    for piece in _Pieces(resources, items, bins, held, left):
        try:
            return _Model(resources, items, bins, held, piece, bool(left), spread)
        except _TooBig:
            continue
    return None


# --- the programme ---


class _TooBig(Exception):
    """A programme would have too many variables."""


@dataclass(slots=True)
class _Programme:
    """Variables from 0 to ``most``; sums of them, by a factor each, that are bounded, or minimal one after the other.

    The values ``start`` keep the constraints.
    """

    most: list[int] = field(default_factory=list)
    start: list[int] = field(default_factory=list)
    constraints: list[tuple[int, int, _Terms]] = field(default_factory=list)
    objectives: list[_Terms] = field(default_factory=list)

    def variable(self, most: int) -> int:
        if len(self.most) == _MAX_VARIABLES:
            raise _TooBig
        self.most.append(most)
        self.start.append(0)
        return len(self.most) - 1

    def rating(self, values: list[int]) -> list[int]:
        return [_total(terms, values) for terms in self.objectives]

    def is_kept_by(self, values: list[int]) -> bool:
        return (
            len(values) == len(self.most)
            and all(0 <= value <= most for value, most in zip(values, self.most, strict=True))
            and all(
                least <= _total(terms, values) <= most for least, most, terms in self.constraints
            )
        )


def _total(terms: _Terms, values: list[int]) -> int:
    return sum(factor * values[variable] for variable, factor in terms)


class _Model:
    """The programme of a piece, and its way back to a plan. ``others`` is what the plan has in other bins."""

    def __init__(
        self,
        resources: Resources,
        items: t.Sequence[Item],
        bins: t.Sequence[Bin],
        held: Assignment,
        piece: _Piece,
        left: bool,
        spread: bool,
    ) -> None:
        self._resources = resources
        self._items = items
        self._bins = bins
        self.piece = piece
        self.left = left
        within = set(piece.bins)
        self._held = {number: each for number, each in held.items() if number in within}
        self.others = {number: each for number, each in held.items() if number not in within}
        self.programme = _Programme()
        self._kinds: dict[_Kind, list[int]] = defaultdict(list)
        for item in piece.items:
            each = items[item]
            home = each.home if each.home in within else None
            self._kinds[(each.demands, home, each.anti_affinity)].append(item)
        self._demands = {demand for kind in self._kinds for demand in kind[0]}
        self._devices = sum(len(items[item].demands) for item in piece.items)
        self._parts: dict[_Part, State] = {}
        # How many items of a kind are in a part, and how many of its resources take a step.
        self._counts: dict[_Part, dict[_Kind, int]] = {}
        self._flows: dict[_Part, dict[_Step, int]] = {}
        self._costs: dict[_Step, int] = {}
        self._loads: dict[int, _Terms] = {}
        for number in piece.bins:
            self._add_bin(number)
        self._add_kinds()
        self._add_order()
        self._add_objectives(spread)
        self._set_start()

    def _add_bin(self, number: int) -> None:
        placed = []
        for node, state in self._nodes_of(number):
            self._parts[(number, node)] = state
            placed += self._add_part((number, node), state)
        self._loads[number] = [(count, len(kind[0])) for kind, count in placed]
        limit = self._bins[number].limit
        if limit is not None:
            self.programme.constraints.append((0, limit, self._loads[number]))
        for group in {group for kind, count in placed for group in kind[2]}:
            terms = [(count, 1) for kind, count in placed if group in kind[2]]
            self.programme.constraints.append((0, 1, terms))

    def _nodes_of(self, number: int) -> t.Iterator[tuple[int | None, State]]:
        nodes: dict[int | None, list[int]] = defaultdict(list)
        for resource in self._bins[number].state:
            nodes[self._resources.numa_node(resource)].append(resource)
        for node, state in nodes.items():
            yield node, tuple(state)

    def _add_part(self, part: _Part, state: State) -> list[tuple[_Kind, int]]:
        """The kinds that may be in a part, each with the variable that counts its items there."""
        number = part[0]
        taken = {
            demand
            for demand in self._demands
            if any(self._resources.transitions(resource, demand) for resource in set(state))
        }
        placed = [
            (kind, self.programme.variable(self._most(kind, state)))
            for kind in self._kinds
            if taken.issuperset(kind[0])
            and kind[1] != number
            and not kind[2] & self._bins[number].anti_affinity
        ]
        self._counts[part] = dict(placed)
        self._add_flow(part, state, {demand for kind, count in placed for demand in kind[0]})
        return placed

    def _most(self, kind: _Kind, state: State) -> int:
        """How many items of a kind a part has room for at most."""
        room = min(
            sum(
                self._resources.free_slots(each)
                for each in state
                if self._resources.transitions(each, demand)
            )
            // devices
            for demand, devices in Counter(kind[0]).items()
        )
        return min(len(self._kinds[kind]), room, 1 if kind[2] else room)

    def _add_flow(self, part: _Part, state: State, demands: set[int]) -> None:
        flows = self._flows[part] = {
            step: self.programme.variable(most) for step, most in self._steps(state, demands)
        }
        arriving: dict[int, _Terms] = defaultdict(list)
        balance: dict[int, _Terms] = defaultdict(list)
        for (resource, demand, becomes), flow in flows.items():
            arriving[demand].append((flow, 1))
            balance[resource].append((flow, -1))
            if becomes is not None:
                balance[becomes].append((flow, 1))
        for kind, count in self._counts[part].items():
            for demand, devices in Counter(kind[0]).items():
                arriving[demand].append((count, -devices))
        self.programme.constraints += [(0, 0, terms) for terms in arriving.values()]
        there = Counter(state)
        self.programme.constraints += [
            (-there[resource], len(state) - there[resource], terms)
            for resource, terms in balance.items()
        ]

    def _steps(self, state: State, demands: set[int]) -> list[tuple[_Step, int]]:
        """The steps that resources can take from a state on, and how many may; notes what each costs."""
        takers: Counter[_Step] = Counter()
        for resource, count in Counter(state).items():
            for step in self._steps_from(resource, demands):
                takers[step] += count
        return sorted(takers.items(), key=lambda each: (each[0][:2], each[0][2] is None, each[0]))

    def _steps_from(self, first: int, demands: set[int]) -> set[_Step]:
        steps: set[_Step] = set()
        reached = {first}
        ahead = [first]
        while ahead:
            resource = ahead.pop()
            for demand in demands:
                for move in self._resources.transitions(resource, demand):
                    step = (resource, demand, move.successor)
                    steps.add(step)
                    self._costs[step] = min(move.cost, self._costs.get(step, move.cost))
                    if move.successor is not None and move.successor not in reached:
                        reached.add(move.successor)
                        ahead.append(move.successor)
        return steps

    def _add_kinds(self) -> None:
        """No more items of a kind are placed than there are."""
        placed: dict[_Kind, _Terms] = defaultdict(list)
        for counts in self._counts.values():
            for kind, count in counts.items():
                placed[kind].append((count, 1))
        self.programme.constraints += [
            (0, len(self._kinds[kind]), terms) for kind, terms in placed.items()
        ]

    def _add_order(self) -> None:
        """Of equal bins none has more devices than the one before it; those that have more now are first."""
        homes = {home for shape, home, groups in self._kinds}
        equal: dict[Bin, list[int]] = defaultdict(list)
        for number in self.piece.bins:
            if number not in homes:
                equal[self._bins[number]].append(number)
        for numbers in equal.values():
            numbers.sort(key=lambda number: (-_load(self._held.get(number, ())), number))
            for one, other in itertools.pairwise(numbers):
                less = [(count, -devices) for count, devices in self._loads[other]]
                self.programme.constraints.append((0, self._devices, self._loads[one] + less))

    def _add_objectives(self, spread: bool) -> None:
        """The search's tiers of cost, after the number of devices placed."""
        by_tier: list[_Terms] = [[], [], []]
        for flows in self._flows.values():
            for step, flow in flows.items():
                for terms, part in zip(by_tier, tiers(self._costs[step]), strict=True):
                    if part:
                        terms.append((flow, part))
        placed = [(count, -devices) for terms in self._loads.values() for count, devices in terms]
        highest = self._add_highest_load() if spread else []
        new, opened, other = by_tier
        self.programme.objectives = [
            placed,
            *(terms for terms in (new, highest, opened, other) if terms),
        ]

    def _add_highest_load(self) -> _Terms:
        """By how many devices the highest load of a bin exceeds that of the others."""
        highest = max(map(_load, self.others.values()), default=0)
        excess = self.programme.variable(self._devices)
        load = max(map(_load, self._held.values()), default=0)
        self.programme.start[excess] = max(0, load - highest)
        for terms in self._loads.values():
            self.programme.constraints.append((-self._devices, highest, [*terms, (excess, -1)]))
        return [(excess, 1)]

    def _set_start(self) -> None:
        """The plan as it is."""
        start = self.programme.start
        kinds = {item: kind for kind, members in self._kinds.items() for item in members}
        for number, each in self._held.items():
            for item, way in each:
                part = (number, self._resources.numa_node(way.steps[0][0]))
                start[self._counts[part][kinds[item]]] += 1
                for demand, (resource, move) in zip(kinds[item][0], way.steps, strict=True):
                    start[self._flows[part][(resource, demand, move.successor)]] += 1

    # --- back to a plan ---

    def plan(self, values: list[int]) -> Assignment:
        """The plan that values which keep the constraints stand for."""
        members = {kind: iter(items) for kind, items in self._kinds.items()}
        held: Assignment = defaultdict(list)
        state: dict[int, State] = {}
        for part, counts in self._counts.items():
            number = part[0]
            items = [
                item
                for kind, count in counts.items()
                for item in itertools.islice(members[kind], values[count])
            ]
            for item, steps in zip(items, self._deal(part, items, values), strict=True):
                left = list(state.get(number, self._bins[number].state))
                for resource, move in steps:
                    left.remove(resource)
                    if move.successor is not None:
                        left.append(move.successor)
                state[number] = tuple(sorted(left))
                cost = sum(move.cost for resource, move in steps)
                held[number].append((item, Packing(state[number], cost, steps)))
        return held

    def _deal(
        self, part: _Part, items: list[int], values: list[int]
    ) -> list[tuple[tuple[int, Transition], ...]]:
        """For each of the items in a part what takes in its devices."""
        takers = [(resource, Counter(demands)) for resource, demands in self._paths(part, values)]
        dealt: list[list[int]] = [[] for taker in takers]
        order = []
        for item in items:
            for demand in self._items[item].demands:
                number = next(n for n, (resource, wanted) in enumerate(takers) if wanted[demand])
                takers[number][1][demand] -= 1
                dealt[number].append(demand)
                order.append(number)
        steps = [
            iter(self._cheapest(resource, demands))
            for (resource, wanted), demands in zip(takers, dealt, strict=True)
        ]
        taken = iter([next(steps[number]) for number in order])
        return [tuple(itertools.islice(taken, len(self._items[item].demands))) for item in items]

    def _paths(self, part: _Part, values: list[int]) -> t.Iterator[tuple[int, list[int]]]:
        """The resources of a part, each with the demands that it takes in."""
        onward: dict[int, list[_Step]] = defaultdict(list)
        for step, flow in self._flows[part].items():
            onward[step[0]] += [step] * values[flow]
        for resource in self._parts[part]:
            demands = []
            state: int | None = resource
            while state is not None and onward[state]:
                _before, demand, state = onward[state].pop()
                demands.append(demand)
            yield resource, demands

    def _cheapest(self, resource: int, demands: list[int]) -> tuple[tuple[int, Transition], ...]:
        """The steps in which a resource takes in devices, in this order."""
        layer: dict[int | None, tuple[int, tuple[tuple[int, Transition], ...]]] = {
            resource: (0, ())
        }
        for demand in demands:
            following: dict[int | None, tuple[int, tuple[tuple[int, Transition], ...]]] = {}
            for state, (cost, steps) in layer.items():
                if state is None:
                    continue
                for move in self._resources.transitions(state, demand):
                    known = following.get(move.successor)
                    if known is None or cost + move.cost < known[0]:
                        following[move.successor] = (cost + move.cost, (*steps, (state, move)))
            layer = following
        return min(layer.values(), key=operator.itemgetter(0))[1]


def _solve(programme: _Programme, effort: float) -> tuple[list[int], int] | None:
    """Values that keep the constraints, and how many objectives, from the first, they have at their best."""
    script = Path(__file__).with_name("cp_sat_worker.py")
    try:
        done = subprocess.run(
            [sys.executable, "-P", str(script)],
            input=json.dumps(asdict(programme) | {"effort": effort}),
            capture_output=True,
            check=True,
            text=True,
            timeout=_TIMEOUT,
        )
        answer = json.loads(done.stdout)
        values, proven = answer["values"], answer["proven"]
    except (OSError, subprocess.SubprocessError, ValueError, TypeError, KeyError):
        return None
    return (values, proven) if programme.is_kept_by(values) else None
