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
from dataclasses import dataclass, replace

from ansible_collections.vfio.migration.plugins.plugin_utils._packing.assignment import (
    Assignment,
    allows,
    placed_items,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.best_fit import (
    Fit,
    Progress,
    best_fit_decreasing,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.effort import Effort
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.objective import (
    Cost,
    cost_of,
    lower_bound,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.packings import (
    CREATED,
    Bin,
    Packing,
    PackingProblem,
    Packings,
    cost_in,
)

# Most plans need neither, and Ansible compiles in each run what is imported: what few searches need is imported where these do.
if t.TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.vfio.migration.plugins.plugin_utils._packing.bottleneck import (
        Shortage,
    )
    from ansible_collections.vfio.migration.plugins.plugin_utils._packing.refutation import (
        Refutation,
    )

# Returns refutations, given items that have no place, until these leave so many devices out.
FindRefutations = t.Callable[[t.Sequence[int], int], "t.Sequence[Refutation]"]

# More items are more than branch and bound gets anywhere with.
MAX_EXACT_ITEMS = 200


@dataclass(frozen=True, slots=True)
class Budget:
    """The most effort: rounds of local search, steps of branch and bound, and whether the optional ``solver`` may try, too.

    ``effort`` multiplies both, and what local search may look at in all, while something has no place. ``shared`` is what
    several searches may look at together, beside which none has an effort of its own.
    """

    rounds: int = 20_000
    steps: int = 50_000
    solver: bool = True
    shared: Effort | None = None
    effort: int = 1

    def times(self, effort: int) -> Budget:
        """Return so many times this budget."""
        return replace(self, effort=self.effort * effort)


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The best assignment found. ``unplaced`` are the items that have no place in it, and alone would have one.

    ``optimal`` is whether no other assignment is better. No assignment that leaves none of these items out costs less
    than ``bound``. ``shortage`` and ``refutations`` are why some items must have no place, where that was looked for and found.
    ``rounds`` and ``steps`` are the effort that was spent.
    """

    assignment: Assignment
    unplaced: tuple[int, ...]
    optimal: bool
    bound: Cost
    shortage: Shortage | None = None
    refutations: t.Sequence[Refutation] = ()
    rounds: int = 0
    steps: int = 0


def no_refutations(left: t.Sequence[int], devices: int) -> t.Sequence[Refutation]:
    """Return no refutations."""
    return ()


def no_progress(stage: str, placed: int) -> None:
    """Report no progress."""


def search(
    problem: PackingProblem,
    packings: Packings,
    budget: Budget,
    find_shortage: t.Callable[[], Shortage | None],
    progress: Progress = no_progress,
    find_refutations: FindRefutations = no_refutations,
) -> SearchResult:
    """Return the best assignment found.

    ``find_shortage`` is called only if items are left without a place after best fit, and then ``find_refutations`` for these and
    their devices: local search ends once no more devices are without one than either says.
    """
    if len(problem.items) == 1 and len(problem.items[0].demands) <= 1:
        return _place_alone(problem, packings, find_shortage, progress)
    fit = Fit(problem, packings)
    first = best_fit_decreasing(problem, packings, fit, progress)
    assignment, rounds, steps = first.assignment, 0, 0
    shortage, least = None, 0
    refuted: t.Sequence[Refutation] = ()
    devices = sum([len(problem.items[item].demands) for item in first.order])
    if first.unplaced:
        from ansible_collections.vfio.migration.plugins.plugin_utils._packing.local_search import (
            local_search,
        )

        shortage = find_shortage()
        if shortage is not None:
            # It is of all devices, and those of items that no bin takes are left out as well.
            nowhere = sum([len(each.demands) for each in problem.items]) - devices
            least = max(0, shortage.missing - nowhere)
        left = sum([len(problem.items[item].demands) for item in first.unplaced])
        if least < left:
            refuted = find_refutations(first.unplaced, left)
            least = max(least, sum([each.left_out for each in refuted]))
        improved = local_search(
            problem,
            packings,
            fit,
            assignment,
            first.unplaced,
            budget.rounds * budget.effort,
            least,
            progress,
            budget.shared,
            budget.effort,
        )
        assignment, rounds = improved.assignment, improved.rounds
    cost = _cost(problem, assignment, devices)
    bound = lower_bound(problem, packings, cost)
    # Nothing is better that leaves no more devices out than must be, and costs nothing else.
    optimal = cost == bound or (least > 0 and cost == Cost(least))
    if not optimal and len(first.order) <= MAX_EXACT_ITEMS and not packings.exhausted:
        from ansible_collections.vfio.migration.plugins.plugin_utils._packing.branch_and_bound import (
            branch_and_bound,
        )

        # More effort is for a place, not for a cheaper one.
        most = budget.steps * (budget.effort if cost.unplaced else 1)
        exact = branch_and_bound(
            problem, packings.takers, first.order, assignment, most, budget.shared
        )
        assignment, optimal, steps = exact.assignment, exact.complete, exact.steps
        cost = _cost(problem, assignment, devices)
        bound = lower_bound(problem, packings, cost)
    placed = placed_items(assignment)
    unplaced = tuple(sorted(set(first.order) - placed))
    optimal = optimal and not packings.unsure
    return SearchResult(assignment, unplaced, optimal, bound, shortage, refuted, rounds, steps)


def _cost(problem: PackingProblem, assignment: Assignment, devices: int) -> Cost:
    return cost_of(assignment, devices, problem.spread, problem.bins, problem.domain_loads)


def _place_alone(
    problem: PackingProblem,
    packings: Packings,
    find_shortage: t.Callable[[], Shortage | None],
    progress: Progress,
) -> SearchResult:
    """Return where the only item of a problem, of one device, costs the least; of such bins the one of best fit."""
    item = problem.items[0]
    takers = {each for demand in item.demands for each in packings.takers[demand]}
    # Of equal bins the first one.
    bins = {
        there: number
        for number, there in reversed([*enumerate(problem.bins)])
        if allows(item, number, there.limits, there.anti_affinity, there.refuses)
        and not takers.isdisjoint(there.state)
    }
    progress("placing", len(bins) and 1)
    if not bins:
        shortage = find_shortage() if takers else None
        return SearchResult({}, (0,) if takers else (), True, Cost(), shortage)
    places = [
        (packing, there)
        for there in bins
        if (packing := packings.best(there.state, item.demands)) is not None
    ]
    ranks = [_rank(problem, *place) for place in places]
    places = [place for place, rank in zip(places, ranks, strict=True) if rank == min(ranks)]
    if len(places) > 1:
        fit = Fit(problem, packings)
        places.sort(
            key=lambda each: (
                fit.slack(packings.type_numbers[each[1].state], each[0].after),
                packings.free_slots(each[1].state),
                each[1].state,
            )
        )
    packing, there = places[0]
    assignment = {bins[there]: [(0, packing)]}
    cost = _cost(problem, assignment, 1)
    return SearchResult(assignment, (), True, cost)


def _rank(problem: PackingProblem, packing: Packing, there: Bin) -> tuple[int, ...]:
    """Return what a place costs, the gravest number first; loads are 0 where they do not matter."""
    cost = cost_in(there, packing)
    in_domains = problem.domain_loads
    of_domain = 0
    if in_domains is not None:
        of_domain = max([in_domains.get(each, 0) for each in there.domains], default=0)
    return cost // CREATED, of_domain, there.load, cost % CREATED
