# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Rebalancing: a few guests move, so that loads are more even, or fewer cards are in use. Pure.

A plan takes only places that are free now. What the measure is at least after so few moves is told beside what it is.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._compat.wording import counted, listed
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import Fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import uncollected
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.cards_in_use import CardsInUse
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.even_loads import EvenLoads
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.movable import (
    Measure,
    Movable,
    Moves,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.plan_document import (
    combined,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.planner import (
    make_plan,
    no_progress,
    stated_plan,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import (
    Conditions,
    Request,
    as_asked,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.solution import Progress
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify import objections
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify_rebalance import (
    rebalance_objections,
)
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import (
    HostLoad,
    RebalancePlan,
)

SCHEMA = 1
MEASURES: dict[str, t.Callable[[Movable], Measure]] = {"even": EvenLoads, "cards": CardsInUse}


@uncollected()
def rebalance_plan(
    fleet: Fleet,
    max_moves: int,
    conditions: Conditions,
    hosts: t.Collection[str] | None = None,
    measure: str = "even",
    progress: Progress = no_progress,
) -> RebalancePlan:
    """Return a verified plan that moves ``max_moves`` guests at most, and makes the ``measure`` less; raise ``FleetError``.

    ``fleet`` is all that there is; ``hosts`` are those that were asked for by name.
    """
    # Nobody misses what nobody holds, and what is free now is all that there is to take.
    conditions = dataclasses.replace(conditions, drain=None, free_devices="none", reuse=False)
    movable = Movable(fleet, max_moves, conditions)
    found = _document(movable, measure, hosts, progress)
    facts = {name: each.facts for name, each in fleet.hosts.items()}
    broken = objections(found["plan"], facts, conditions, fleet.unknown)
    sentences = [each.sentence for each in broken] or rebalance_objections(
        found, facts, fleet.unknown
    )
    if sentences:
        raise FleetError(f"the verifier objects to the plan: {sentences[0]}")
    return found


def _document(
    movable: Movable, name: str, hosts: t.Collection[str] | None, progress: Progress
) -> RebalancePlan:
    """Return the whole document, not verified yet."""
    measure = MEASURES[name](movable)
    moves = measure.search(progress)
    fleet, conditions = movable.fleet, movable.conditions
    sources = [{"host": each.host, "id": each.devices[0].id} for each in moves.guests]
    request = Request(
        moves.guests,
        movable.targets,
        conditions,
        asked=as_asked(conditions, sources, hosts),
    )
    nothing = make_plan(fleet, dataclasses.replace(request, guests=[]), movable.budget)
    plan = combined(fleet, nothing, moves.plans)
    facts = {name: each.facts for name, each in fleet.hosts.items()}
    bound = moves.after if moves.best else measure.bound()
    found: RebalancePlan = {
        "schema": SCHEMA,
        "measure": name,
        # A host without facts may have room, too.
        "status": "optimal" if moves.after == bound and not fleet.unknown else "feasible",
        "before": measure.before(),
        "after": moves.after,
        "bound": bound,
        "moves": len(moves.guests),
        "max_moves": movable.max_moves,
        "loads": _loads(movable, moves),
        "sentences": [],
        "plan": stated_plan(plan, request, [], facts),
    }
    found["sentences"] = _sentences(found, fleet.unknown)
    return found


def _loads(movable: Movable, moves: Moves) -> list[HostLoad]:
    after = movable.loads.copy()
    for plan in moves.plans:
        for each in plan["placements"]:
            after[each["source"]["host"]] -= 1
            after[each["target"]["host"]] += 1
    return [
        {"host": name, "before": before, "after": after[name]}
        for name, before in movable.loads.items()
    ]


# For each measure what a move does, and what a plan of the least would be.
_WORDS = {
    "even": ("makes loads more even", "is more even"),
    "cards": ("empties a card", "empties more cards"),
}


def _sentences(found: RebalancePlan, unknown: t.Sequence[str]) -> list[str]:
    """Return what the plan comes to; hosts that are ``unknown`` may have room that it does not take."""
    moves, most = found["moves"], found["max_moves"]
    does, better_is = _WORDS[found["measure"]]
    better = (
        f"no plan of {counted(most, 'move')} or fewer {better_is}"
        if found["status"] == "optimal"
        else f"that no other plan {better_is} is not proven"
    )
    without = [f"there are no usable facts of {listed(unknown)}"] if unknown else []
    if not moves:
        if not most:
            return ["nothing may move, as max_moves is 0", *without]
        return [f"nothing moves: no move was found that {does}; {better}", *without]
    return [
        f"{counted(moves, 'guest')} {'moves' if moves == 1 else 'move'}; {better}",
        _comes_to(found),
        *without,
    ]


def _comes_to(found: RebalancePlan) -> str:
    if found["measure"] == "cards":
        in_use = f"{counted(found['before'], 'card')} {'was' if found['before'] == 1 else 'were'}"
        return f"{in_use} in use, and {found['after']:,} {'is' if found['after'] == 1 else 'are'} after that"
    before = [each["before"] for each in found["loads"]]
    after = [each["after"] for each in found["loads"]]
    return f"loads were {min(before):,} to {max(before):,} devices on a host, and are {min(after):,} to {max(after):,} after that"
