# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What plans cost at least, beside what the best of all plans costs."""

from __future__ import annotations

from ansible_collections.vfio.migration.plugins.plugin_utils._packing.objective import (
    Cost,
    cost_of,
    lower_bound,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.packings import (
    CREATED,
    OPENED,
    Bin,
    Item,
    PackingProblem,
    Packings,
    tiers,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.search import Budget, search
from ansible_collections.vfio.migration.tests.unit.resources import (
    UNITS,
    Parent,
    Resources,
    best_rating,
    problems,
)
from hypothesis import event, given


def costs(problem: PackingProblem) -> tuple[Cost, Cost, Cost]:
    """Return what the search's first plan costs, what plans cost at least, and what the best one costs."""
    packings = Packings(problem)
    found = search(problem, packings, Budget(50, 0), lambda: None)
    devices = sum(len(item.demands) for item in problem.items)
    cost = cost_of(found.assignment, devices, problem.spread, problem.bins, problem.domain_loads)
    bound = lower_bound(problem, packings, cost)
    left, grave, in_domain, load, others = best_rating(problem)
    not_preferred, new = divmod(grave, CREATED // OPENED)
    _new, opened, other = tiers(others)
    return cost, bound, Cost(left, 0, not_preferred, new, in_domain, load, opened, other)


@given(problems())
def test_a_better_plan_is_better_by_no_more_than_the_bound_says(problem):
    cost, bound, best = costs(problem)
    if cost.unplaced:
        event("something is left")
        return
    event("proven" if cost == bound else "better" if best < cost else "as good")
    differing = next((n for n in range(len(cost)) if cost[n] != best[n]), None)
    if differing is not None:
        assert bound[differing] <= best[differing] < cost[differing]


@given(problems())
def test_what_costs_as_little_as_it_must_is_the_best_of_all_plans(problem):
    cost, bound, best = costs(problem)
    if not cost.unplaced and cost == bound:
        assert cost == best


def test_parents_that_are_opened_are_counted_by_what_each_can_hold():
    resources = Resources()
    fresh = resources.number(Parent(1, None, 0, 0))
    opened = resources.number(Parent(1, None, 1, 0))
    half = resources.demands.index((1, UNITS // 2))
    items = [Item((half,))] * 6
    bins = [Bin((fresh,))] * 3 + [Bin((opened,))]
    cost, bound, _best = costs(PackingProblem(resources, items, bins, False))
    assert bound.opened == cost.opened == 3


@given(problems())
def test_what_no_bin_takes_has_no_place_in_any_plan(problem):
    packings = Packings(problem)
    hopeless = [item for item in problem.items if not packings.bin_types_for(item.demands)]
    if hopeless and not packings.unsure:
        assert best_rating(problem)[0] >= sum(len(item.demands) for item in hopeless)
