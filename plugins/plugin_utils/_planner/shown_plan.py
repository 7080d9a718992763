# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""A plan that was handed over, as it is shown: what goes where, and of the rest only what the facts say. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import Fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.plan_document import (
    without_proof,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.planner import make_plan
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.preparation import (
    given_nothing,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.reason import Reason
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import (
    Conditions,
    Guest,
    Request,
    guests_of,
)
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import (
    Change,
    Placement,
    Plan,
    PlanBody,
    Target,
    Unplaced,
    UnplacedReason,
)

_Key = tuple[str, str]
_PLANNED_ANEW = "the plan says so; why cannot be told from the facts"


def recomputed(plan: Plan, fleet: Fleet, conditions: Conditions) -> Plan:
    """Return a ``plan`` that the verifier has nothing against, with all that it says of itself computed from the facts.

    That something is proven is shown where the planner, asked the same, proves it of the same plan: of the hosts that took part
    those may receive that were asked to, and none that was to be drained.
    """
    keys = {_key(each) for each in plan["placements"]} | {_key(each) for each in plan["unplaced"]}
    devices = [each for each in fleet.devices() if each.key in keys]
    asked = plan["request"]
    receiving = set(fleet.hosts if conditions.targets is None else conditions.targets)
    receiving &= set(asked.get("hosts", fleet.hosts))
    receiving -= set(asked.get("drain", ()))
    targets = [name for name in fleet.hosts if name in receiving]
    request = Request(guests_of(devices), targets, conditions)
    anew = make_plan(fleet, request)
    if _moves(anew) != _moves(plan):
        anew = _with_reasons(plan, anew, fleet, request)
    return {
        **plan,
        **anew,
        "changes": [_change(each) for each in plan["changes"] if _key(each) in keys],
    }


def out_of_date(plan: Plan, fleet: Fleet, changed: t.Sequence[str]) -> Plan:
    """Return a ``plan`` whose facts have ``changed`` on these hosts, without what could only be told from those."""
    holders = {each.key: each.in_use.name for each in fleet.devices() if each.in_use}
    reason = f"the facts of {', '.join(changed)} have changed; plan anew to see why it has no place"
    placements: list[Placement] = [
        {
            **each,
            "vm": holders.get(_key(each)),
            "target": t.cast(Target, given_nothing(each["target"])),
            "certainty": "provisional",
            "warnings": [],
        }
        for each in plan["placements"]
    ]
    unplaced: list[Unplaced] = [
        {
            "vm": holders.get(_key(each)),
            "source": each["source"],
            "reasons": [Reason("facts_changed", reason).on(None)],
        }
        for each in plan["unplaced"]
    ]
    return {
        **t.cast(Plan, without_proof(plan)),
        "status": "unproven" if unplaced else "feasible",
        "placements": placements,
        "unplaced": unplaced,
        "changes": [],
        "unknown": fleet.unknown,
    }


def _key(entry: Placement | Unplaced | Change) -> _Key:
    return entry["source"]["host"], entry["source"]["id"]


def _moves(plan: PlanBody | Plan) -> t.Any:
    """Return what goes where, in which order, and what stays."""
    moves = [(each["source"], each["target"], each["wave"]) for each in plan["placements"]]
    return moves, [each["source"] for each in plan["unplaced"]]


def _with_reasons(plan: Plan, anew: PlanBody, fleet: Fleet, request: Request) -> PlanBody:
    """Return the moves of ``plan``, and what the planner says of them that has made other ones, ``anew``."""
    staying = {_key(each) for each in plan["unplaced"]}
    rest = [each for each in request.guests if each.devices[0].key in staying]
    beside = make_plan(
        fleet,
        Request(rest, request.targets, request.conditions, kept=plan["placements"]),
    )
    reasons = {_key(each): each["reasons"] for each in beside["unplaced"]}
    places = {_key(each): each["target"]["host"] for each in beside["placements"]}
    is_proven = plan["status"] == anew["status"] and plan["cost"] in (None, anew["cost"])
    return {
        **(anew if is_proven else without_proof(anew)),
        "status": plan["status"] if is_proven else "unproven" if staying else "feasible",
        "cost": plan["cost"],
        "placements": plan["placements"],
        "unplaced": [
            {
                "vm": guest.name,
                "source": device.label,
                "reasons": reasons.get(device.key) or [_left_out(guest, places)],
            }
            for guest in rest
            for device in guest.devices
        ],
        "hosts": plan["hosts"],
        "map": plan["map"],
    }


def _left_out(guest: Guest, places: t.Mapping[_Key, str]) -> UnplacedReason:
    words = "the plan leaves it behind, though there is a place for it"
    return Reason("left_out", words).on(places.get(guest.devices[0].key))


def _change(change: Change) -> Change:
    return {"vm": change["vm"], "source": change["source"], "reason": _PLANNED_ANEW}
