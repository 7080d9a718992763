# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Plans: a request becomes a plan that is verified. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import Fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import uncollected
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.search import Budget
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.admissible import (
    NO_EXCLUSIONS,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.plan_document import document
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.previous_plan import (
    Facts,
    digests,
    keep_pins,
    still_holding,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.problem import (
    pose,
    pose_afresh,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import Request
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.solution import (
    Progress,
    prove,
    solve,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify import violations
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.waves import (
    AT_ONCE,
    order_moves,
)
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import Plan, PlanBody


def no_progress(words: str) -> None:
    """Tell nobody."""


_BUDGET = Budget()
_SIDES: tuple[t.Literal["source", "target"], ...] = ("source", "target")


@uncollected()
def make_plan(
    fleet: Fleet,
    request: Request,
    budget: Budget = _BUDGET,
    progress: Progress = no_progress,
) -> PlanBody:
    """Return the plan of the public contract, not verified yet.

    ``progress`` is told from time to time, in words, how far it is.
    """
    problem = pose(fleet, request)
    solution = solve(problem, budget, progress)
    order = AT_ONCE
    if request.conditions.reuse or request.conditions.apart:
        order = order_moves(problem, solution.placed)
    while order.exclusions != NO_EXCLUSIONS:
        # Each round fewer devices are taken for ones that will be free, and fewer guests for gone, so this ends.
        problem = pose_afresh(problem, order.exclusions)
        solution = solve(problem, budget, progress)
        order = order_moves(problem, solution.placed, order.cycles)
    return document(problem, solution, prove(problem, solution), order)


def make_verified_plan(
    fleet: Fleet, facts: Facts, request: Request, earlier: t.Any, progress: Progress
) -> Plan:
    """Return a plan for ``request``, checked against the ``facts`` of the fleet; raise ``FleetError``.

    What still holds of the plan ``earlier`` stays, unless less is left behind without it.
    """
    previous = still_holding(earlier, request, facts) if earlier is not None else None
    changes = previous.changes if previous else []
    plan = make_plan(fleet, previous.request if previous else request, progress=progress)
    if previous and previous.request.kept and plan["unplaced"]:
        pinned = plan
        plan = keep_pins(
            pinned,
            lambda: make_plan(fleet, request, progress=progress),
            rank=lambda plan: len(plan["unplaced"]),
            learn=_with_proof_of,
        )
        if plan["cost"] is not None:
            # A plan that keeps nothing: what stays was in the way of the rest.
            changes, previous = previous.given_up, None
    progress("verifying the plan")
    broken = violations(plan, facts, request.conditions)
    if broken and previous and previous.request.kept:
        raise FleetError(f"the earlier plan does not hold: {'; '.join(broken)}")
    if broken:
        raise RuntimeError(
            f"the plan breaks its own rules, please report this: {'; '.join(broken)}"
        )
    hosts = {each[side]["host"] for each in plan["placements"] for side in _SIDES}
    stated = request.conditions.lasting()
    conditions: t.Any = {name: stated[name] for name in stated if name not in plan}
    return {
        **plan,
        "changes": changes,
        "conditions": conditions,
        "relied_on": digests(hosts, facts),
    }


def _with_proof_of(plan: PlanBody, other: PlanBody) -> PlanBody:
    """Return ``plan`` with what ``other`` proves of every plan."""
    return plan | {"status": other["status"], "shortage": other["shortage"]}
