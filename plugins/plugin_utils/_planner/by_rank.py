# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Ranks: which guests are left behind where moves wait for each other and not all have a place. Pure.

As little as possible of a higher rank is left behind, before anything of a lower one has a place. What places are left then,
those of lower ranks have. That is sure of no guest that could move after all others; of which guests it is best that they move,
only tiny problems are searched through.
"""

from __future__ import annotations

import itertools
import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._packing.search import Budget
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.problem import Problem
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.solution import (
    Progress,
    Ranks,
    Solution,
    left_by_rank,
    solve_in_order,
    solve_in_turn,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.waves import MoveOrder

# Of so few guests, sets that may have places together are tried, so many at most.
_MOST_GUESTS = 10
_MOST_SETS = 64

_Found = tuple[Solution, MoveOrder]


def solve_by_rank(
    problem: Problem, ranks: Ranks, for_all: _Found, budget: Budget, progress: Progress
) -> _Found:
    """Return a solution that leaves less of the first ranks behind than the solution ``for_all`` does, or that."""
    search = _Search(problem, ranks, for_all, budget, progress)
    search.try_first_ranks()
    search.try_later_ranks()
    search.try_in_turn()
    if len(problem.items) <= _MOST_GUESTS:
        search.try_sets()
    return search.best


class _Search:
    """The best solution found so far."""

    def __init__(
        self,
        problem: Problem,
        ranks: Ranks,
        for_all: _Found,
        budget: Budget,
        progress: Progress,
    ) -> None:
        self._problem, self._ranks = problem, ranks
        self._budget, self._progress = budget, progress
        self.best = for_all

    def _left(self, found: _Found) -> list[int]:
        return left_by_rank(self._problem, found[0], self._ranks)

    def _try(self, going: t.Iterable[int]) -> _Found:
        """Find places for the guests that are ``going``, and then for all others; keep what is better than all before."""
        found = solve_in_order(
            self._problem, self._budget, self._progress, self._ranks, frozenset(going)
        )
        self._keep_best([found])
        return found

    def _keep_best(self, found: t.Iterable[_Found]) -> None:
        self.best = min([self.best, *found], key=lambda each: (self._left(each), each[0].cost))

    def try_first_ranks(self) -> None:
        """Try as many of the first ranks together as have places, and one more."""
        for count in range(1, len(self._ranks)):
            found = self._try(itertools.chain.from_iterable(self._ranks[:count]))
            if any(self._left(found)[:count]):
                break

    def try_later_ranks(self) -> None:
        """Try each rank together with what has a place."""
        for number in range(1, len(self._ranks)):
            if self._left(self.best)[number]:
                placed = {each.guest for each in self.best[0].placed}
                higher = placed.intersection(*[itertools.chain.from_iterable(self._ranks[:number])])
                self._try(higher.union(self._ranks[number]))

    def try_in_turn(self) -> None:
        """Try few guests in turn, in many orders."""
        self._keep_best(solve_in_turn(self._problem, self.best[0], self._ranks))

    def try_sets(self) -> None:
        """Try sets of guests of which less of the first ranks would be left behind, the best ones first."""
        items, guests = self._problem.items, self._problem.request.guests
        may_go = [number for number, item in enumerate(items) if item.demands]
        sets = [
            (
                [
                    sum(len(guests[guest].devices) for guest in of_rank if guest not in going)
                    for of_rank in self._ranks
                ],
                going,
            )
            for size in range(1, len(may_go) + 1)
            for going in itertools.combinations(may_go, size)
        ]
        least = self.best[0].least.unplaced
        tried = 0
        for left, going in sorted(sets):
            if left >= self._left(self.best) or tried >= _MOST_SETS:
                break
            if sum(left) >= least:
                tried += 1
                self._try(going)
