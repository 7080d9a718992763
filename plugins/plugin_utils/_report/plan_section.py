# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""The report's part on a plan: what moves where and when, and what stays behind and why. Pure."""

from __future__ import annotations

import typing as t
from collections import Counter, defaultdict

from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError

# So many moves, and so many devices left behind, are told one by one.
MAX_MOVES = 2000
MAX_LEFT = 500
# So many hosts of which it is told what stands in the way there, and so many reasons of each.
MAX_HOSTS = 20
MAX_REASONS = 3
MAX_CAUSES = 5

_MEANINGS = {
    "optimal": "Everything has a place, and it is proven that no plan is better.",
    "feasible": "Everything has a place. There may be a better plan.",
    "infeasible": "Not everything can have a place, and that is proven.",
    "unproven": "Not everything has a place. It is not proven that there is none.",
}

_Plan = t.Mapping[str, t.Any]
_Told = dict[str, t.Any]
Cause = t.Callable[[_Plan], _Told]


def plan_part(plan: t.Any, changed: t.Sequence[str], cause: Cause) -> _Told:
    """What the report says of ``plan``; ``changed`` are the hosts whose facts are not those it relied on any more.

    ``cause`` says in short why a device has no place, as ``{reason, example, more}``. Raises ``FleetError`` where
    ``plan`` is none.
    """
    try:
        return _plan_part(plan, cause) | {"changed_since": list(changed)}
    except (LookupError, TypeError, AttributeError) as error:
        raise FleetError(
            f"'plan' is no plan of vfio.migration.migration_plan: {error!r} is wrong in it"
        ) from error


def _plan_part(plan: _Plan, cause: Cause) -> _Told:
    placements, unplaced = plan["placements"], plan["unplaced"]
    warnings = Counter(each for placement in placements for each in placement["warnings"])
    numbers = {warning: number for number, warning in enumerate(warnings)}
    return {
        "status": plan["status"],
        "meaning": _MEANINGS[plan["status"]],
        **{key: plan[key] for key in ("solver", "direction", "policy", "conditions")},
        "devices": len(placements) + len(unplaced),
        "placed": len(placements),
        "created": sum(each["target"]["create"] for each in placements),
        "unplaced": len(unplaced),
        "sources": sorted({each["source"]["host"] for each in (*placements, *unplaced)}),
        "targets": _received(placements),
        "waves": _waves(placements),
        "warnings": [{"warning": each, "moves": count} for each, count in warnings.items()],
        "moves": [_move(each, numbers) for each in _in_order(placements)[:MAX_MOVES]],
        "moves_not_shown": max(0, len(placements) - MAX_MOVES),
        "left": _left(unplaced[:MAX_LEFT], cause),
        "left_not_shown": max(0, len(unplaced) - MAX_LEFT),
        "causes": _causes(unplaced, cause),
        "shortage": plan["shortage"]
        and {key: plan["shortage"][key] for key in ("need", "reachable")},
        "changes": [
            {"vm": each["vm"], **_device(each["source"]), "reason": each["reason"]}
            for each in plan["changes"]
        ],
    }


def _in_order(placements: t.Iterable[_Plan]) -> list[_Plan]:
    return sorted(placements, key=lambda each: int(each["wave"]))


def _received(placements: t.Iterable[_Plan]) -> list[_Told]:
    received = Counter(each["target"]["host"] for each in placements)
    created = Counter(each["target"]["host"] for each in placements if each["target"]["create"])
    return [
        {"host": host, "devices": count, "created": created[host]}
        for host, count in sorted(received.items())
    ]


def _waves(placements: t.Iterable[_Plan]) -> list[_Told]:
    """Each wave with the number of its ``devices``, ``guests``, ``sources`` and ``targets``."""
    waves: dict[int, list[_Plan]] = defaultdict(list)
    for each in placements:
        waves[each["wave"]].append(each)
    return [
        {
            "wave": number,
            "devices": len(members),
            "guests": len({(e["source"]["host"], e["vm"]) for e in members if e["vm"]}),
            "sources": len({each["source"]["host"] for each in members}),
            "targets": len({each["target"]["host"] for each in members}),
        }
        for number, members in sorted(waves.items())
    ]


def _move(placement: _Plan, warnings: t.Mapping[str, int]) -> _Told:
    target = placement["target"]
    return {
        "wave": placement["wave"],
        "vm": placement["vm"],
        **_device(placement["source"]),
        "to": {
            **_device(target),
            **{key: target[key] for key in ("parent", "type", "create")},
            "attributes": ", ".join(f"{e['name']}={e['value']}" for e in target["attributes"]),
        },
        "certainty": placement["certainty"],
        "warnings": [warnings[each] for each in placement["warnings"]],
    }


def _device(named: _Plan) -> _Told:
    return {key: named[key] for key in ("host", "kind", "id")}


def _left(unplaced: t.Iterable[_Plan], cause: Cause) -> list[_Told]:
    """Devices that are left behind for the same reasons together."""
    together: dict[tuple[t.Any, ...], list[_Told]] = {}
    for each in unplaced:
        reasons = tuple((e["host"], e["reason"], e.get("alike", 0)) for e in each["reasons"])
        told = {"vm": each["vm"], **_device(each["source"])}
        together.setdefault((cause(each)["reason"], reasons), []).append(told)
    return [
        {
            "devices": devices,
            "cause": reason,
            "reasons": by_host[:MAX_HOSTS],
            "reasons_not_shown": max(0, len(by_host) - MAX_HOSTS),
        }
        for (reason, reasons), devices in together.items()
        for by_host in [_by_host(reasons)]
    ]


def _by_host(reasons: t.Iterable[tuple[str | None, str, int]]) -> list[_Told]:
    """The first few reasons of each host; ``alike`` is the number of further hosts of which they are true."""
    hosts: dict[str | None, _Told] = {}
    for host, reason, alike in reasons:
        hosts.setdefault(host, {"host": host, "alike": alike, "all": []})["all"].append(reason)
    return [
        {key: each[key] for key in ("host", "alike")} | first_few(each["all"])
        for each in hosts.values()
    ]


def first_few(reasons: t.Sequence[str]) -> _Told:
    return {"reasons": [*reasons[:MAX_REASONS]], "not_shown": max(0, len(reasons) - MAX_REASONS)}


def _causes(unplaced: t.Iterable[_Plan], cause: Cause) -> list[_Told]:
    """Why devices are left behind, what is true of most of them first, as ``{devices, reason, example, more}``."""
    causes: dict[str, _Told] = {}
    for each in unplaced:
        found = cause(each)
        told = causes.setdefault(found["reason"], {"devices": 0} | found)
        told["devices"] += 1
        told["more"] |= found["more"]
    return sorted(causes.values(), key=lambda each: (-each["devices"], each["reason"]))[:MAX_CAUSES]
