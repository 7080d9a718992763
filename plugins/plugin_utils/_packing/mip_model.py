# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""A mixed-integer programme (MIP) of a small packing problem, for a solver: better assignments, and proofs.

The model is an arc-flow one, as of J. M. Valério de Carvalho, "Exact solution of bin-packing problems using column
generation and branch-and-bound", 1999. Items that need the same are of one type, and a number of each type goes to each
part of a bin. A resource flows from the state that it has along one arc for each device that it takes in. No device is
tied to a resource: as many of each demand must flow in a part as its items have. That will do, as a resource that takes
in some devices takes them in in any order, at the same cost.

The solver is OR-Tools' CP-SAT, where it is installed. It runs in a process of its own, which is given numbers only.
What comes back counts if it keeps the programme's constraints. Whatever else happens there, the assignment stays as
it was.
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

from ansible_collections.vfio.migration.plugins.plugin_utils._packing.assignment import (
    Assignment,
    Contents,
    load,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.objective import Cost
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.packings import (
    UNLIMITED,
    Bin,
    Demands,
    Packing,
    PackingProblem,
    State,
    Transition,
    tiers,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.subproblem import (
    Subproblem,
    Subproblems,
)

_MAX_VARIABLES = 5_000
# Independent subproblems of one assignment, each solved in a process of its own.
_MAX_SUBPROBLEMS = 4
# In units of CP-SAT's deterministic time, one of which takes one to three seconds of CPU: the effort for what may be
# gained in each number of the cost, if that may become 0. Only the search knows what is remade.
_EFFORTS = {"unplaced": 4.0, "created": 4.0, "load": 8.0, "opened": 4.0, "other_type": 1.0}
# What most programmes that are solved at all take.
_LEAST_EFFORT = 0.5
# Bigger programmes are seldom solved: the effort shrinks as they grow.
_SOLVED_VARIABLES = 1_000
# Seconds after which a process is given up that should long have ended.
_TIMEOUT = 120

# A sum of variables, by a factor each.
_Terms = list[tuple[int, int]]
# What items of one type have in common: demands, home if that is among the bins, anti-affinity groups, weights, and by
# which numbers bins refuse them.
_ItemType = tuple[Demands, int | None, frozenset[int], tuple[int, ...], frozenset[int]]
# The resources of a bin, or those on one NUMA node where that matters: the bin and the node.
_BinPart = tuple[int, int | None]
# A resource in this state takes in a device with this demand and has that state then; ``None``: nothing remains.
_Arc = tuple[int, int, int | None]
# The transitions of an item, as a packing has them.
_Steps = tuple[tuple[int, Transition], ...]


@dataclass(frozen=True, slots=True)
class Improvement:
    """An assignment no worse than the one it was made from.

    ``most``: none places more devices. ``best``: none is better.
    """

    assignment: Assignment
    most: bool
    best: bool


def effort_for(cost: Cost, bound: Cost) -> float:
    """Return the effort that the gain is worth which ``bound`` leaves possible; 0 if it leaves none.

    The gravest number in which something may be gained counts, and which share of it. Of assignments that place more
    items the bound says nothing else.
    """
    for name, effort in _EFFORTS.items():
        most: int = getattr(cost, name)
        least: int = getattr(bound, name)
        if most > least:
            return max(_LEAST_EFFORT, effort * (most - least) / most)
        if most and name == "unplaced":
            break
    return 0.0


def improve(
    problem: PackingProblem, assignment: Assignment, unplaced: t.Sequence[int], effort: float
) -> Improvement | None:
    """Return a better assignment or a proof, ``None`` if neither was found.

    The items ``unplaced`` have no place in ``assignment``, and alone would have one.
    """
    if not effort or not sys.executable or importlib.util.find_spec("ortools") is None:
        return None
    there = {resource for each in problem.bins for resource in each.state}
    if any(problem.resources.exclusive_place(each) is not None for each in there):
        # The model does not know which devices of an item must not be in one place.
        return None
    if any(each.load for each in problem.bins):
        # Nor does it know that a bin counts by what it has only if it takes in more.
        return None
    if any(each.domains or not each.preferred for each in problem.bins):
        # Nor which bins are not to have items of one group together, and which are preferred.
        return None
    groups = Subproblems(problem, assignment, unplaced).independent()[:_MAX_SUBPROBLEMS]
    found = []
    for group in groups:
        model = _model_of(problem, assignment, group)
        improvement = model and _solve_model(model, assignment, effort / len(groups))
        if improvement:
            assignment = improvement.assignment
            found.append(improvement)
    if not found:
        return None
    complete = len(found) == len(groups) and sum(map(len, groups)) == len(unplaced)
    return Improvement(
        assignment=assignment,
        most=complete and all(each.most for each in found),
        best=complete and all(each.best for each in found),
    )


def _model_of(
    problem: PackingProblem, assignment: Assignment, unplaced: t.Sequence[int]
) -> _Model | None:
    """Return the model of the first subproblem that is small enough."""
    for subproblem in Subproblems(problem, assignment, unplaced).candidates():
        try:
            return _Model(problem, assignment, subproblem, bool(unplaced))
        except _TooBig:
            continue
    return None


def _solve_model(model: _Model, assignment: Assignment, effort: float) -> Improvement | None:
    answer = _solve(model.programme, effort * min(1.0, _SOLVED_VARIABLES / model.size))
    if answer is None:
        return None
    values, proven = answer
    programme = model.programme
    better = programme.rating(values) < programme.rating(programme.start)
    most = model.subproblem.closed and proven > 0
    best = most and proven == len(programme.objectives) and not model.others
    if not better and not best and not (most and model.has_unplaced):
        return None
    if better:
        assignment = dict(sorted((model.others | model.assignment(values)).items()))
    return Improvement(assignment, most, best)


# --- the programme ---


class _TooBig(Exception):
    """A programme would have too many variables."""


@dataclass(slots=True)
class _Programme:
    """A linear programme in integers.

    Variables are from 0 to ``most``. Constraints are a least and a most value of a sum. Objectives are sums to minimise,
    one after the other. The values ``start`` keep the constraints.
    """

    most: list[int] = field(default_factory=list)
    start: list[int] = field(default_factory=list)
    constraints: list[tuple[int, int, _Terms]] = field(default_factory=list)
    objectives: list[_Terms] = field(default_factory=list)

    def variable(self, most: int) -> int:
        """Add a variable, and return its number. Raise ``_TooBig`` if there are too many."""
        if len(self.most) == _MAX_VARIABLES:
            raise _TooBig
        self.most.append(most)
        self.start.append(0)
        return len(self.most) - 1

    def rating(self, values: list[int]) -> list[int]:
        """Return the objectives' values."""
        return [_total(terms, values) for terms in self.objectives]

    def is_kept_by(self, values: list[int]) -> bool:
        """Return whether ``values`` are in their variables' ranges and keep every constraint."""
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
    """The programme of a subproblem, and its way back to an assignment.

    ``others`` are the contents of the bins that are not in the subproblem.
    """

    def __init__(
        self,
        problem: PackingProblem,
        assignment: Assignment,
        subproblem: Subproblem,
        has_unplaced: bool,
    ) -> None:
        self.subproblem = subproblem
        self.has_unplaced = has_unplaced
        self.programme = _Programme()
        self._resources = problem.resources
        self._items = problem.items
        self._bins = problem.bins
        within = set(subproblem.bins)
        self._before = {number: each for number, each in assignment.items() if number in within}
        self.others = {number: each for number, each in assignment.items() if number not in within}
        self._members: dict[_ItemType, list[int]] = defaultdict(list)
        for number in subproblem.items:
            item = problem.items[number]
            home = item.home if item.home in within else None
            needs = (item.demands, home, item.anti_affinity, item.weights, item.refused)
            self._members[needs].append(number)
        self._demands = {demand for demands, *_others in self._members for demand in demands}
        self._devices = sum(len(problem.items[item].demands) for item in subproblem.items)
        self._states: dict[_BinPart, State] = {}
        # The variables: how many items of a type are in a part, and how many of its resources take an arc.
        self._counts: dict[_BinPart, dict[_ItemType, int]] = {}
        self._flows: dict[_BinPart, dict[_Arc, int]] = {}
        self._costs: dict[_Arc, int] = {}
        self._loads: dict[int, _Terms] = {}
        for number in subproblem.bins:
            self._add_bin(number)
        self._add_items()
        self._break_symmetry()
        self._add_objectives(problem.spread)
        self._set_start()

    def _add_bin(self, number: int) -> None:
        counts = []
        for node, state in self._nodes_of(number):
            self._states[(number, node)] = state
            counts += self._add_part((number, node), state)
        self._loads[number] = [(count, len(item_type[0])) for item_type, count in counts]
        for place, limit in enumerate(self._bins[number].limits):
            if limit != UNLIMITED:
                weighed = [(count, item_type[3][place]) for item_type, count in counts]
                self.programme.constraints.append((0, limit, weighed))
        for group in {group for item_type, _count in counts for group in item_type[2]}:
            terms = [(count, 1) for item_type, count in counts if group in item_type[2]]
            self.programme.constraints.append((0, 1, terms))

    def _nodes_of(self, number: int) -> t.Iterator[tuple[int | None, State]]:
        nodes: dict[int | None, list[int]] = defaultdict(list)
        for resource in self._bins[number].state:
            nodes[self._resources.numa_node(resource)].append(resource)
        for node, state in nodes.items():
            yield node, tuple(state)

    def _add_part(self, part: _BinPart, state: State) -> list[tuple[_ItemType, int]]:
        """Return the types of items that may be in a part, each with the variable that counts them there."""
        number = part[0]
        taken = {
            demand
            for demand in self._demands
            if any(self._resources.transitions(resource, demand) for resource in set(state))
        }
        counts = {}
        for item_type in self._members:
            demands, home, groups, _weights, refused = item_type
            there = self._bins[number]
            allowed = (
                home != number and not groups & there.anti_affinity and not refused & there.refuses
            )
            if allowed and taken.issuperset(demands):
                counts[item_type] = self.programme.variable(self._most(item_type, state))
        self._counts[part] = counts
        self._add_flow(part, state, {demand for item_type in counts for demand in item_type[0]})
        return list(counts.items())

    def _most(self, item_type: _ItemType, state: State) -> int:
        """Return how many items of a type a part has free slots for at most."""
        demands, _home, groups, _weights, _refused = item_type
        fitting = min(
            sum(
                self._resources.free_slots(each)
                for each in state
                if self._resources.transitions(each, demand)
            )
            // devices
            for demand, devices in Counter(demands).items()
        )
        return min(len(self._members[item_type]), fitting, 1 if groups else fitting)

    def _add_flow(self, part: _BinPart, state: State, demands: set[int]) -> None:
        """Add the flow of a part's resources: what leaves a state came there, and every device has an arc."""
        flows = self._flows[part] = {
            arc: self.programme.variable(most) for arc, most in self._arcs(state, demands)
        }
        arriving: dict[int, _Terms] = defaultdict(list)
        balance: dict[int, _Terms] = defaultdict(list)
        for (resource, demand, successor), flow in flows.items():
            arriving[demand].append((flow, 1))
            balance[resource].append((flow, -1))
            if successor is not None:
                balance[successor].append((flow, 1))
        for item_type, count in self._counts[part].items():
            for demand, devices in Counter(item_type[0]).items():
                arriving[demand].append((count, -devices))
        self.programme.constraints += [(0, 0, terms) for terms in arriving.values()]
        there = Counter(state)
        self.programme.constraints += [
            (-there[resource], len(state) - there[resource], terms)
            for resource, terms in balance.items()
        ]

    def _arcs(self, state: State, demands: set[int]) -> list[tuple[_Arc, int]]:
        """Return the arcs that resources can take from a state on, and how many of them may; notes what each costs."""
        takers: Counter[_Arc] = Counter()
        for resource, count in Counter(state).items():
            for arc in self._arcs_from(resource, demands):
                takers[arc] += count
        return sorted(takers.items(), key=lambda each: (each[0][:2], each[0][2] is None, each[0]))

    def _arcs_from(self, first: int, demands: set[int]) -> set[_Arc]:
        arcs: set[_Arc] = set()
        reached = {first}
        ahead = [first]
        while ahead:
            resource = ahead.pop()
            for demand in demands:
                for transition in self._resources.transitions(resource, demand):
                    successor = transition.successor
                    arc = (resource, demand, successor)
                    arcs.add(arc)
                    self._costs[arc] = min(transition.cost, self._costs.get(arc, transition.cost))
                    if successor is not None and successor not in reached:
                        reached.add(successor)
                        ahead.append(successor)
        return arcs

    def _add_items(self) -> None:
        """No more items of a type are placed than there are."""
        placed: dict[_ItemType, _Terms] = defaultdict(list)
        for counts in self._counts.values():
            for item_type, count in counts.items():
                placed[item_type].append((count, 1))
        self.programme.constraints += [
            (0, len(self._members[item_type]), terms) for item_type, terms in placed.items()
        ]

    def _break_symmetry(self) -> None:
        """Of equal bins none has more devices than the one before it; those that have more now are first."""
        homes = {home for _demands, home, *_others in self._members}
        equal: dict[Bin, list[int]] = defaultdict(list)
        for number in self.subproblem.bins:
            if number not in homes:
                equal[self._bins[number]].append(number)
        for numbers in equal.values():
            numbers.sort(key=lambda number: (-load(self._before.get(number, ())), number))
            for one, other in itertools.pairwise(numbers):
                less = [(count, -devices) for count, devices in self._loads[other]]
                self.programme.constraints.append((0, self._devices, self._loads[one] + less))

    def _add_objectives(self, spread: bool) -> None:
        """Add the number of devices placed, then the tiers of the cost."""
        by_tier: list[_Terms] = [[], [], []]
        for flows in self._flows.values():
            for arc, flow in flows.items():
                for terms, part in zip(by_tier, tiers(self._costs[arc]), strict=True):
                    if part:
                        terms.append((flow, part))
        placed = [(count, -devices) for terms in self._loads.values() for count, devices in terms]
        highest = self._add_highest_load() if spread else []
        created, opened, other_type = by_tier
        self.programme.objectives = [
            placed,
            *(terms for terms in (created, highest, opened, other_type) if terms),
        ]

    def _add_highest_load(self) -> _Terms:
        """Return by how many devices the highest load of a bin exceeds that of the others."""
        highest = max(map(load, self.others.values()), default=0)
        excess = self.programme.variable(self._devices)
        here = max(map(load, self._before.values()), default=0)
        self.programme.start[excess] = max(0, here - highest)
        for terms in self._loads.values():
            self.programme.constraints.append((-self._devices, highest, [*terms, (excess, -1)]))
        return [(excess, 1)]

    def _set_start(self) -> None:
        """Start from the assignment as it is."""
        start = self.programme.start
        types = {item: item_type for item_type, items in self._members.items() for item in items}
        for number, contents in self._before.items():
            for item, packing in contents:
                part = (number, self._resources.numa_node(packing.steps[0][0]))
                start[self._counts[part][types[item]]] += 1
                for demand, (resource, transition) in zip(
                    types[item][0], packing.steps, strict=True
                ):
                    arc = (resource, demand, transition.successor)
                    start[self._flows[part][arc]] += 1

    @property
    def size(self) -> int:
        """How many variables the programme has."""
        return max(1, len(self.programme.most))

    # --- back to an assignment ---

    def assignment(self, values: list[int]) -> dict[int, Contents]:
        """Return the assignment that values which keep the constraints stand for."""
        members = {item_type: iter(items) for item_type, items in self._members.items()}
        assignment: dict[int, list[tuple[int, Packing]]] = defaultdict(list)
        states: dict[int, State] = {}
        for part, counts in self._counts.items():
            number = part[0]
            items = [
                item
                for item_type, count in counts.items()
                for item in itertools.islice(members[item_type], values[count])
            ]
            for item, steps in zip(items, self._deal(part, items, values), strict=True):
                left = list(states.get(number, self._bins[number].state))
                for resource, transition in steps:
                    left.remove(resource)
                    if transition.successor is not None:
                        left.append(transition.successor)
                states[number] = tuple(sorted(left))
                cost = sum(transition.cost for _resource, transition in steps)
                assignment[number].append((item, Packing(states[number], cost, steps)))
        return dict(assignment)

    def _deal(self, part: _BinPart, items: list[int], values: list[int]) -> list[_Steps]:
        """Return for each of the items in a part what takes in its devices."""
        takers = [(resource, Counter(demands)) for resource, demands in self._paths(part, values)]
        dealt: list[list[int]] = [[] for _taker in takers]
        order = []
        for item in items:
            for demand in self._items[item].demands:
                number = next(n for n, (_resource, wanted) in enumerate(takers) if wanted[demand])
                takers[number][1][demand] -= 1
                dealt[number].append(demand)
                order.append(number)
        steps = [
            iter(self._cheapest(resource, demands))
            for (resource, _wanted), demands in zip(takers, dealt, strict=True)
        ]
        taken = iter([next(steps[number]) for number in order])
        return [tuple(itertools.islice(taken, len(self._items[item].demands))) for item in items]

    def _paths(self, part: _BinPart, values: list[int]) -> t.Iterator[tuple[int, list[int]]]:
        """Yield the resources of a part, each with the demands that it takes in."""
        onward: dict[int, list[_Arc]] = defaultdict(list)
        for arc, flow in self._flows[part].items():
            onward[arc[0]] += [arc] * values[flow]
        for resource in self._states[part]:
            demands = []
            state: int | None = resource
            while state is not None and onward[state]:
                _before, demand, state = onward[state].pop()
                demands.append(demand)
            yield resource, demands

    def _cheapest(self, resource: int, demands: list[int]) -> _Steps:
        """Return the cheapest transitions by which a resource takes in devices in this order."""
        layer: dict[int | None, tuple[int, _Steps]] = {resource: (0, ())}
        for demand in demands:
            following: dict[int | None, tuple[int, _Steps]] = {}
            for state, (cost, steps) in layer.items():
                if state is None:
                    continue
                for each in self._resources.transitions(state, demand):
                    known = following.get(each.successor)
                    if known is None or cost + each.cost < known[0]:
                        following[each.successor] = (cost + each.cost, (*steps, (state, each)))
            layer = following
        return min(layer.values(), key=operator.itemgetter(0))[1]


def _solve(programme: _Programme, effort: float) -> tuple[list[int], int] | None:
    """Return values that keep the constraints, and how many objectives, from the first, they have at their best."""
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
