# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The report's section on a plan: what moves where and when, and what stays behind and why. Pure."""

from __future__ import annotations

import typing as t
from collections import Counter, defaultdict

from ansible_collections.vfio.migration.plugins.plugin_utils import contract
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import Fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.network import given_to
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.turns import turns_in_words
from ansible_collections.vfio.migration.plugins.plugin_utils._report.capacity import capacity_left
from ansible_collections.vfio.migration.plugins.plugin_utils._report.causes import (
    Cause,
    causes_in,
    count_causes,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._report.guest_rows import (
    Movers,
    guest_rows,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._report.hardware_names import (
    HardwareNames,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._report.wording import first_reasons
from ansible_collections.vfio.migration.plugins.plugin_utils._report.writes import host_writes

# So many moves, and so many devices that are left behind, have an entry of their own.
MAX_MOVES = 20_000
MAX_LEFT_BEHIND = 500
# Of so many hosts the section has what stands in the way there.
MAX_HOSTS = 20

_MEANINGS = {
    "optimal": "Everything has a place, and it is proven that no plan is better.",
    "feasible": "Everything has a place. There may be a better plan.",
    "infeasible": "Not everything can have a place, and that is proven.",
    "unproven": "Some devices are blocked. Whether another plan could place them all is unproven.",
}
_PROOFS = {
    "no_place": "some have no place even if no other guest moves",
    "shortage": "there are fewer places than devices that need them",
    "cases": "some guests cannot all have a place, whichever goes where",
    "search": "all other plans were looked at",
}


def plan_section(
    plan: t.Any, changed: t.Sequence[str], fleet: Fleet, names: HardwareNames
) -> contract.PlanSection:
    """Return the report's section on ``plan``.

    ``changed`` are the hosts whose facts are no longer those that the plan relied on. Raise ``FleetError`` where ``plan``
    is no plan.
    """
    try:
        return _section(plan, changed, fleet, names)
    except (LookupError, TypeError, AttributeError) as error:
        raise FleetError(
            f"'plan' is not a plan of vfio.migration.migration_plan: {error!r} is wrong in it"
        ) from error


def _meaning(plan: contract.Plan) -> str:
    """Return what a plan's status says, and what proves it."""
    proofs = " and ".join([_PROOFS[each] for each in plan.get("proof", ())])
    meaning = _MEANINGS[plan["status"]]
    return f"{meaning.removesuffix('.')}: {proofs}." if proofs else meaning


def _section(
    plan: contract.Plan, changed: t.Sequence[str], fleet: Fleet, names: HardwareNames
) -> contract.PlanSection:
    placements, unplaced, shortage = plan["placements"], plan["unplaced"], plan["shortage"]
    movers = Movers(plan, fleet, names)
    causes = causes_in(unplaced, movers.what, movers.guest)
    warnings = Counter(each for placement in placements for each in placement["warnings"])
    numbers = {warning: number for number, warning in enumerate(warnings)}
    section: contract.PlanSection = {
        "request": _request(plan["request"]),
        "status": plan["status"],
        "meaning": _meaning(plan),
        "solver": plan["solver"],
        "direction": plan["direction"],
        "policy": plan["policy"],
        "conditions": plan["conditions"],
        "guests": guest_rows(plan, movers, causes, numbers),
        "writes": host_writes(plan, fleet, names),
        "capacity": capacity_left(plan, fleet, names),
        "devices": len(placements) + len(unplaced),
        "placed": len(placements),
        "created": sum(each["target"]["create"] for each in placements),
        "unplaced": len(unplaced),
        "sources": sorted(
            {each["source"]["host"] for each in placements}
            | {each["source"]["host"] for each in unplaced}
        ),
        "targets": _receiving_hosts(placements),
        "waves": _waves(placements, movers),
        "warnings": [{"warning": each, "moves": count} for each, count in warnings.items()],
        "moves": [_move(each, numbers) for each in _in_order(placements)[:MAX_MOVES]],
        "moves_not_shown": max(0, len(placements) - MAX_MOVES),
        "left_behind": _left_behind(unplaced[:MAX_LEFT_BEHIND], causes),
        "left_behind_not_shown": max(0, len(unplaced) - MAX_LEFT_BEHIND),
        "causes": count_causes(
            (cause, 1, movers.guest(each["source"]) if movers.in_use(each["source"]) else None)
            for each, cause in zip(unplaced, causes, strict=True)
        ),
        "shortage": shortage and {"need": shortage["need"], "reachable": shortage["reachable"]},
        "changes": [
            {"vm": each["vm"], **_label(each["source"]), "reason": each["reason"]}
            for each in plan["changes"]
        ],
        "changed_since": list(changed),
    }
    if "time" in plan:
        section["time"] = plan["time"]
    if "collection" in plan:
        section["collection"] = plan["collection"]
    if "requested_by" in plan:
        section["requested_by"] = plan["requested_by"]
    if plan.get("assumptions"):
        section["assumptions"] = [*plan["assumptions"]]
    if turns := turns_in_words(plan):
        section["turns"] = turns
    if plan.get("cases"):
        section["cases"] = [*plan["cases"]]
    if plan.get("staying"):
        section["staying"] = _staying(plan["staying"])
    return section


def _request(found: contract.PlanRequest) -> contract.PlanRequest:
    """Return a request with the keys of one; a file that was handed over may have others."""
    known = contract.PlanRequest.__annotations__
    request: t.Any = {name: value for name, value in found.items() if name in known}
    if "sources" in request:
        request["sources"] = [
            each if isinstance(each, str) else {"host": each["host"], "id": each["id"]}
            for each in request["sources"]
        ]
    return t.cast("contract.PlanRequest", request)


def _staying(devices: t.Iterable[contract.StayingDevice]) -> list[contract.StayingGroup]:
    """Return how many devices of each host stay as they are for one reason."""
    alike = Counter((each["host"], each["reason"]) for each in devices)
    return [
        {"host": host, "reason": reason, "devices": count}
        for (host, reason), count in sorted(alike.items())
    ]


def _in_order(placements: t.Iterable[contract.Placement]) -> list[contract.Placement]:
    return sorted(placements, key=lambda each: int(each["wave"]))


def _receiving_hosts(
    placements: t.Iterable[contract.Placement],
) -> list[contract.ReceivingHost]:
    received = Counter(each["target"]["host"] for each in placements)
    created = Counter(each["target"]["host"] for each in placements if each["target"]["create"])
    return [
        {"host": host, "devices": count, "created": created[host]}
        for host, count in sorted(received.items())
    ]


def _waves(placements: t.Iterable[contract.Placement], movers: Movers) -> list[contract.Wave]:
    waves: dict[int, list[contract.Placement]] = defaultdict(list)
    for each in placements:
        waves[each["wave"]].append(each)
    return [
        {
            "wave": number,
            "devices": len(members),
            "guests": len(
                {
                    movers.guest(e["source"])
                    for e in members
                    if e["vm"] is not None or movers.in_use(e["source"])
                }
            ),
            "sources": len({each["source"]["host"] for each in members}),
            "targets": len({each["target"]["host"] for each in members}),
        }
        for number, members in sorted(waves.items())
    ]


def _move(placement: contract.Placement, warnings: t.Mapping[str, int]) -> contract.Move:
    target = placement["target"]
    return {
        "wave": placement["wave"],
        "vm": placement["vm"],
        **_label(placement["source"]),
        "to": {
            **_label(target),
            "parent": target["parent"],
            "type": target["type"],
            "create": target["create"],
            "attributes": ", ".join(given_to(target)),
        },
        "certainty": placement["certainty"],
        "warnings": [warnings[each] for each in placement["warnings"]],
    }


def _label(named: contract.DeviceLabel) -> contract.DeviceLabel:
    return {"host": named["host"], "kind": named["kind"], "id": named["id"]}


def _left_behind(
    unplaced: t.Iterable[contract.Unplaced], causes: t.Iterable[Cause]
) -> list[contract.LeftBehind]:
    """Return devices that are left behind, those with the same cause and reasons as one entry."""
    alike: dict[tuple[t.Any, ...], list[contract.GuestDevice]] = defaultdict(list)
    for each, cause in zip(unplaced, causes, strict=False):
        reasons = tuple((e["host"], e["reason"], e.get("alike", 0)) for e in each["reasons"])
        alike[cause.reason, reasons].append({"vm": each["vm"], **_label(each["source"])})
    return [
        {
            "devices": devices,
            "cause": cause,
            "reasons": by_host[:MAX_HOSTS],
            "reasons_not_shown": max(0, len(by_host) - MAX_HOSTS),
        }
        for (cause, reasons), devices in alike.items()
        for by_host in [_by_host(reasons)]
    ]


def _by_host(reasons: t.Iterable[tuple[str | None, str, int]]) -> list[contract.HostReasons]:
    """Return the first reasons of each host, given host, reason, and the number of further hosts of which it is true."""
    hosts: dict[str | None, tuple[int, list[str]]] = {}
    for host, reason, alike in reasons:
        hosts.setdefault(host, (alike, []))[1].append(reason)
    return [
        {"host": host, "alike": alike, **first_reasons(found)}
        for host, (alike, found) in hosts.items()
    ]
