# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""Subproblems: parts of a packing problem that are small enough for a solver.

Without items left, it is the whole problem, if that is small. With some, it is the bins that these could use, with what
is in these and could be elsewhere, and so on; if that is too much, ever fewer of these bins.
"""

from __future__ import annotations

import typing as t
from collections import Counter, defaultdict
from dataclasses import dataclass

from ansible_collections.vfio.migration.plugins.plugin_utils._packing.assignment import (
    Assignment,
    placed_items,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.packings import (
    Bin,
    Demands,
    PackingProblem,
    State,
)

# CP-SAT solves what is smaller, or nearly so, and makes little of what is bigger.
MAX_ITEMS = 150
# Of a subproblem that is cut out; each finds its place better the fewer they are.
_MAX_UNPLACED = 30


@dataclass(frozen=True, slots=True)
class Subproblem:
    """Some bins, and the items that are in them or have no place.

    ``closed``: no other item could be in these bins, nor these items in others.
    """

    bins: list[int]
    items: list[int]
    closed: bool


class Subproblems:
    """The subproblems of an assignment, in which the items ``unplaced`` have no place."""

    def __init__(
        self, problem: PackingProblem, assignment: Assignment, unplaced: t.Sequence[int]
    ) -> None:
        self._problem = problem
        self._items = problem.items
        self._bins = problem.bins
        self._assignment = assignment
        self._unplaced = unplaced
        self._taken: dict[State, set[int]] = {}
        self._demands = {demand for item in problem.items for demand in item.demands}
        self._with_state: dict[State, list[int]] = defaultdict(list)
        for number, each in enumerate(problem.bins):
            self._with_state[each.state].append(number)

    def independent(self) -> list[list[int]]:
        """Return the items without a place in groups that share no bins, however far; one empty group if all have one."""
        groups: list[list[int]] = []
        group_of: dict[Demands, list[int]] = {}
        for item in self._unplaced:
            demands = self._items[item].demands
            if demands not in group_of:
                groups.append([])
                states = self._closure([item])
                group_of |= dict.fromkeys(self._unplaced_demands_for(states), groups[-1])
                group_of[demands] = groups[-1]
            group_of[demands].append(item)
        return groups or [[]]

    def candidates(self) -> t.Iterator[Subproblem]:
        """Yield the subproblem of all items without a place, then smaller and smaller ones."""
        states = self._closure(self._unplaced or placed_items(self._assignment))
        bins = sorted(number for state in states for number in self._with_state[state])
        items = self._items_of(bins, self._unplaced)
        if 0 < len(items) <= MAX_ITEMS:
            yield Subproblem(self._without_surplus(bins, items), items, closed=True)
        if self._unplaced:
            yield from self._cuts(self._unplaced[:_MAX_UNPLACED])

    def _unplaced_demands_for(self, states: t.Collection[State]) -> set[Demands]:
        multisets = {self._items[item].demands for item in self._unplaced}
        return {each for each in multisets if any(self._takes(state, each) for state in states)}

    def _closure(self, wanted: t.Iterable[int]) -> set[State]:
        """Return the initial states of bins that items could use, and that others in these bins could, and so on."""
        multisets = {self._items[item].demands for item in wanted}
        states: set[State] = set()
        while multisets:
            reached = {
                state
                for state in self._with_state.keys() - states
                if any(self._takes(state, demands) for demands in multisets)
            }
            states |= reached
            multisets = self._unplaced_demands_for(reached) | {
                self._items[item].demands
                for state in reached
                for number in self._with_state[state]
                for item, _packing in self._assignment.get(number, ())
            }
        return states

    def _without_surplus(self, bins: list[int], items: list[int]) -> list[int]:
        """Return the bins without those of which there are more equal ones than items."""
        homes = {self._items[item].home for item in items}
        equal: Counter[Bin] = Counter()
        useful = []
        for number in sorted(bins, key=lambda each: each not in self._assignment):
            each = self._bins[number]
            equal[each] += number not in homes
            if number in homes or equal[each] <= len(items):
                useful.append(number)
        return sorted(useful)

    def _cuts(self, unplaced: t.Sequence[int]) -> t.Iterator[Subproblem]:
        """Yield subproblems of fewer and fewer bins, those with the most free slots."""
        multisets = {self._items[item].demands for item in unplaced}
        bins = [
            number
            for number, each in enumerate(self._bins)
            if any(self._takes(each.state, demands) for demands in multisets)
        ]
        bins.sort(key=lambda number: (-self._free_slots(number), number))
        count = min(len(bins), MAX_ITEMS)
        while count:
            chosen = sorted(bins[:count])
            items = self._items_of(chosen, unplaced)
            if len(items) <= MAX_ITEMS:
                yield Subproblem(chosen, items, closed=False)
            count = count * 3 // 4

    def _items_of(self, bins: list[int], unplaced: t.Iterable[int]) -> list[int]:
        contents = (item for number in bins for item, _p in self._assignment.get(number, ()))
        return sorted([*contents, *unplaced])

    def _free_slots(self, number: int) -> int:
        contents = self._assignment.get(number)
        state = contents[-1][1].after if contents else self._bins[number].state
        return sum(map(self._problem.resources.free_slots, state))

    def _takes(self, state: State, demands: Demands) -> bool:
        """Return whether each demand alone finds a resource; one that takes it in later does so at once."""
        taken = self._taken.get(state)
        if taken is None:
            transitions = self._problem.resources.transitions
            taken = self._taken[state] = {
                demand
                for demand in self._demands
                if any(transitions(resource, demand) for resource in set(state))
            }
        return taken.issuperset(demands)
