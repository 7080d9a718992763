# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""The search for the best assignment: best fit first, then only what may still make it better.

Where best fit leaves items without a place, a local search finds places for them. Where the cost is above its lower
bound and the items are few, branch and bound improves on it, or proves that nothing does. Effort is counted in rounds
and steps, never in seconds: the same input gives the same assignment.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.vfio.migration.plugins.plugin_utils._packing.assignment import (
    Assignment,
    placed_items,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.best_fit import (
    Fit,
    Progress,
    best_fit_decreasing,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.bottleneck import Shortage
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.branch_and_bound import (
    branch_and_bound,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.local_search import (
    local_search,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.objective import (
    cost_of,
    lower_bound,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.packings import (
    PackingProblem,
    Packings,
)

# More items are more than branch and bound gets anywhere with.
MAX_EXACT_ITEMS = 200


@dataclass(frozen=True, slots=True)
class Budget:
    """The most effort: rounds of local search, and steps of branch and bound."""

    rounds: int = 20_000
    steps: int = 50_000


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The best assignment found. ``unplaced`` are the items that have no place in it, and alone would have one.

    ``optimal`` is whether no other assignment is better. ``shortage`` is why some items must have no place, where that
    was looked for and found. ``rounds`` and ``steps`` are the effort that was spent.
    """

    assignment: Assignment
    unplaced: tuple[int, ...]
    optimal: bool
    shortage: Shortage | None = None
    rounds: int = 0
    steps: int = 0


def no_progress(stage: str, placed: int) -> None:
    """Tell nobody."""


def search(
    problem: PackingProblem,
    packings: Packings,
    budget: Budget,
    find_shortage: t.Callable[[], Shortage | None],
    progress: Progress = no_progress,
) -> SearchResult:
    """Return the best assignment found.

    ``find_shortage`` is called only if items are left without a place after best fit: local search ends once no more
    devices are without one than it says.
    """
    fit = Fit(problem, packings)
    first = best_fit_decreasing(problem, packings, fit, progress)
    assignment, rounds, steps = first.assignment, 0, 0
    shortage = None
    if first.unplaced:
        shortage = find_shortage()
        improved = local_search(
            problem,
            packings,
            fit,
            assignment,
            first.unplaced,
            budget.rounds,
            shortage.missing if shortage else 0,
            progress,
        )
        assignment, rounds = improved.assignment, improved.rounds
    optimal = False
    if len(first.order) <= MAX_EXACT_ITEMS:
        optimal = _costs_the_least(problem, packings, first.order, assignment)
        if not optimal:
            exact = branch_and_bound(problem, first.order, assignment, budget.steps)
            assignment, optimal, steps = exact.assignment, exact.complete, exact.steps
    placed = placed_items(assignment)
    unplaced = tuple(sorted(set(first.order) - placed))
    optimal = optimal and not packings.unsure
    return SearchResult(assignment, unplaced, optimal, shortage, rounds, steps)


def _costs_the_least(
    problem: PackingProblem, packings: Packings, order: list[int], assignment: Assignment
) -> bool:
    """Return whether an assignment places all the items that some bin takes, at no more than the lower bound."""
    devices = sum([len(problem.items[item].demands) for item in order])
    cost = cost_of(assignment, devices, problem.spread)
    return not cost.unplaced and cost == lower_bound(problem, packings, cost)
