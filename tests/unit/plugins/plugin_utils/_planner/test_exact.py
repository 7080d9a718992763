# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plans for random fleets, all conditions included, beside exact ones: no status, cost or bound is ever wrong.

The environment variable ``PLANS`` is how many fleets a run draws.
"""

from __future__ import annotations

import os
import random
import typing as t
from collections import Counter

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import read_fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.planner import make_plan
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import (
    Request,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify import violations
from ansible_collections.vfio.migration.tests.unit import exact_plans
from ansible_collections.vfio.migration.tests.unit.drawn_fleets import drawn
from ansible_collections.vfio.migration.tests.unit.exact_plans import ExactPlans

PLANS = int(os.environ.get("PLANS", "2000"))
NUMBERS = ("unplaced", "not_preferred", "created", "domain_load", "load", "opened", "other_type")


def in_order(numbers: t.Mapping[str, int]) -> tuple[int, ...]:
    assert not numbers["remade"]
    return tuple(numbers[name] for name in NUMBERS if name in numbers)


def wrong(facts: dict[str, t.Any], request: Request, least: tuple[int, ...]) -> str | None:
    """Return what is wrong in the plan for a request, of which no plan costs less than ``least``; else its rank."""
    plan = make_plan(read_fleet(facts), request)
    assert violations(plan, facts, request.conditions) == []
    status = plan["status"]
    if plan["cost"] is None:
        # Free devices give way to guests, which is no number of the cost.
        left = len(plan["unplaced"])
        assert left >= least[0], "the exact plan is none"
        assert status != "infeasible" or least[0], "infeasible, and everything has a place"
        return "more is left than need be" if left > least[0] else None
    cost = in_order(plan["cost"])
    assert cost >= least, "the exact plan is none"
    if plan["bound"] is not None:
        bound = in_order(plan["bound"])
        assert status != "optimal" or bound == cost
        # Numbers count in their order: the first one that differs decides.
        for known, best, ours in zip(bound, least, cost):
            assert known <= best, f"{status}: bound {bound}, and {least} is to be had"
            if best != ours:
                break
    assert status != "optimal" or cost == least, f"optimal {cost}, and {least} is to be had"
    assert status != "infeasible" or least[0], "infeasible, and everything has a place"
    assert status in ("optimal", "feasible") or cost[0], status
    if cost[0] > least[0]:
        return "more is left than need be"
    return "dearer than need be" if cost > least else None


@pytest.mark.skipif(not exact_plans.POSSIBLE, reason="OR-Tools is not installed")
def test_no_status_cost_or_bound_is_wrong():
    found = Counter()
    for seed in range(PLANS):
        facts, request = drawn(random.Random(seed))
        exact = ExactPlans(read_fleet(facts), request)
        try:
            found[wrong(facts, request, exact.least())] += 1
        except AssertionError as error:
            raise AssertionError(f"fleet {seed}: {error}") from error
    assert found["more is left than need be"] <= PLANS // 200, found
    assert found["dearer than need be"] <= PLANS // 50, found


@pytest.mark.parametrize("seed", range(30))
def test_small_ones_are_as_good_as_the_best_of_all_that_there_are(seed):
    facts, request = drawn(random.Random(10_000 + seed))
    exact = ExactPlans(read_fleet(facts), request)
    if sum(map(len, exact.places)) > 40:
        pytest.skip("too many places to try every combination")
    least = exact.least_by_trying()
    assert wrong(facts, request, least) in (None, "dearer than need be")
