# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""Depth-first branch and bound: improve on an assignment of few items, or prove that nothing does.

The method is of A. H. Land and A. G. Doig, "An automatic method of solving discrete programming problems", 1960. Each
level of the tree places one item, in every bin and packing or nowhere; of equal bins one is looked at. A branch is cut
off where what it costs so far, and the rest at least, is no less than the best assignment known.
"""

from __future__ import annotations

import itertools
import typing as t
from dataclasses import dataclass

from ansible_collections.vfio.migration.plugins.plugin_utils._packing.assignment import (
    Assignment,
    BinIndex,
    PartialAssignment,
    highest_domain_load,
    highest_load,
    load,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.effort import Effort
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.packings import (
    CREATED,
    FULL_WIDTH,
    Item,
    Packing,
    PackingProblem,
    Packings,
    Takers,
    cost_in,
)

# The highest loads of a domain and of a bin so far, each 0 where it does not matter.
_Highest = tuple[int, int]
# Devices without a place; those in bins that are not preferred, and created ones; the highest loads; and the other tiers of the
# cost: the least is the best.
_Rating = tuple[int, int, _Highest, int]


@dataclass(frozen=True, slots=True)
class BranchAndBound:
    """The best assignment found; ``complete``: no other one is better. ``steps`` counts the nodes and the packings looked at."""

    assignment: Assignment
    complete: bool
    steps: int


def branch_and_bound(
    problem: PackingProblem,
    takers: Takers,
    order: t.Sequence[int],
    known: Assignment,
    steps: int,
    effort: Effort | None = None,
) -> BranchAndBound:
    """Search for a better assignment than ``known`` of the items in ``order``, for at most so many ``steps``.

    ``takers`` are those of the problem's packings.
    """
    packings = Packings(problem, FULL_WIDTH, effort, takers)
    tree = _Tree(problem, packings, order, known, steps)
    tree.search()
    complete = tree.steps < steps and not (tree.packings.incomplete or tree.packings.exhausted)
    return BranchAndBound(tree.best, complete, tree.steps)


class _Tree:
    """The search tree: the branch that is being looked at, and the best assignment so far."""

    def __init__(
        self,
        problem: PackingProblem,
        packings: Packings,
        order: t.Sequence[int],
        known: Assignment,
        most_steps: int,
    ) -> None:
        self.packings = packings
        self.best = known
        self.steps = 0
        self._most_steps = most_steps
        self._items = [problem.items[item] for item in order]
        self._order = order
        self._spread = problem.spread
        self._partial = PartialAssignment(problem)
        self._index = BinIndex(self._partial, self.packings, problem.spread)
        self._domain_loads = problem.domain_loads
        self._branch: list[t.Iterator[_Highest]] = []
        self._unplaced = 0
        self._cost = 0
        self._best_rating = self._rating_of(known)
        # For each depth what the items from there on cost at least, each alone in a bin. An item that opens a parent pays
        # for it once, so that tier is left out.
        alone = [self.packings.least(item.demands) for item in reversed(self._items)]
        self._least_from = list(itertools.accumulate(alone, initial=0))[::-1]

    def _rating_of(self, assignment: Assignment) -> _Rating:
        bins = self._partial.bins
        cost = sum([cost_in(bins[n], p) for n, held in assignment.items() for _item, p in held])
        loads = [load(contents) for contents in assignment.values()]
        unplaced = sum([len(item.demands) for item in self._items]) - sum(loads)
        highest = highest_load(assignment, bins) if self._spread else 0
        in_domains = self._domain_loads
        of_domain = 0 if in_domains is None else highest_domain_load(assignment, bins, in_domains)
        return unplaced, cost // CREATED, (of_domain, highest), cost % CREATED

    def search(self) -> None:
        """Look at every branch that is not cut off, until the steps are used up."""
        self._enter((0, 0))
        # No recursion: calls deep in Python's stack can be slow.
        while self._branch and self.steps < self._most_steps and not self.packings.exhausted:
            highest = next(self._branch[-1], None)
            if highest is None:
                self._branch.pop()
            else:
                self._enter(highest)

    def _enter(self, highest: _Highest) -> None:
        """Look at a node of the tree."""
        depth = len(self._branch)
        cost = self._cost + self._least_from[depth]
        rating = (self._unplaced, cost // CREATED, highest, cost % CREATED)
        # Items left without a place cost nothing else: the bound holds only for assignments that leave no more.
        hopeless = self._unplaced >= self._best_rating[0] and rating >= self._best_rating
        if self.steps >= self._most_steps or hopeless:
            return
        if depth == len(self._order):
            self._best_rating = rating
            self.best = self._partial.assignment()
        else:
            self._branch.append(self._place(depth, highest))

    def _place(self, depth: int, highest: _Highest) -> t.Iterator[_Highest]:
        """Place the item at this depth in one way after the other, nowhere last; yield the highest loads each time."""
        number, item = self._order[depth], self._items[depth]
        for bin_number, packing in self._places(item):
            before = self._partial.contents[bin_number][:]
            self._index.put(bin_number, number, packing)
            # Each state is gone through as a whole.
            self.packings.spend(len(self._partial.state[bin_number]))
            cost = cost_in(self._partial.bins[bin_number], packing)
            self._cost += cost
            yield self._with_loads_of(bin_number, highest) if self._spread else highest
            self._cost -= cost
            self._index.refill(bin_number, before)
        self._unplaced += len(item.demands)
        yield highest
        self._unplaced -= len(item.demands)

    def _with_loads_of(self, bin_number: int, highest: _Highest) -> _Highest:
        partial, (of_domain, of_bin) = self._partial, highest
        in_domains = partial.domain_load(partial.bins[bin_number].domains)
        return max(of_domain, in_domains), max(of_bin, partial.load[bin_number])

    def _places(self, item: Item) -> list[tuple[int, Packing]]:
        """Return every bin and packing for an item, the best first."""
        # A node costs something where nothing takes the item, too.
        self.steps += 1
        self.packings.spend(1)
        places: list[tuple[t.Any, int, Packing]] = []
        for bin_type in self.packings.bin_types_for(item.demands):
            for key in self._index.keys(bin_type, item.demands):
                packings = self.packings.all(key.state, item.demands)
                loads = (self._index.domain_load(key), key.load)
                for number in self._index.bins(key, item) if packings else ():
                    self.steps += len(packings)
                    for each in packings:
                        rank = (each.cost // CREATED, loads, each.cost, key.free_slots)
                        places.append(((key.not_preferred, *rank, each.after), number, each))
        return [(number, packing) for _rank, number, packing in sorted(places)]
