# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""A plan that was handed over, as it is shown: what goes where, and of the rest only what the facts say. Pure.

Of the file are: what was asked, and on which occasion (``_TAKEN``); of each move its source, the host, parent, type and id of
its target, and its wave; and which devices an earlier plan had elsewhere. All else that is shown is computed, or is not there.
"""

from __future__ import annotations

import dataclasses
import typing as t
from collections import Counter, defaultdict

from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import Device, Fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.plan_document import (
    without_proof,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.planner import make_plan
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.previous_plan import (
    left_by_moves,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.reason import (
    Reason,
    unplaced_of,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import (
    Conditions,
    Guest,
    Request,
    guests_of,
    staying,
)
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import (
    Attribute,
    Change,
    DeviceLabel,
    HostTasks,
    Placement,
    Plan,
    PlanBody,
    StayingDevice,
    Target,
    Unplaced,
    UnplacedReason,
)

_Key = tuple[str, str]
_PLANNED_AGAIN = "the plan says so; the facts do not show why"
# What was asked, and on which occasion: the facts do not show it.
_TAKEN = (
    *("schema", "time", "collection", "requested_by"),
    *("request", "conditions", "direction", "policy", "targets", "avoid", "received", "relied_on"),
)
# What the verifier finds wrong wherever it is not what the facts make it.
_VERIFIED = ("vm", "vm_uuid", "set", "bindings", "certainty", "warnings", "wave", "turn")
_OF_TARGET = ("host", "kind", "id", "parent", "type", "create")


def recomputed(plan: Plan, fleet: Fleet, conditions: Conditions) -> Plan:
    """Return a ``plan`` that the verifier has nothing against, with all that it says of itself computed from the facts.

    That something is proven is shown where the planner, asked the same, proves it of the same plan: of the hosts that took part
    those may receive that were asked to, and none that was to be drained.
    """
    placements = sorted(
        map(_verified, plan["placements"]),
        key=lambda each: (each["source"]["host"], each["vm"] or "", each["source"]["id"]),
    )
    stay = _staying(plan, fleet, conditions)
    devices = _asked_for(plan, fleet, {(each["host"], each["id"]) for each in stay})
    asked = plan["request"]
    receiving = set(fleet.hosts if conditions.targets is None else conditions.targets)
    receiving &= set(asked.get("hosts", fleet.hosts))
    receiving -= set(asked.get("drain", ()))
    targets = [name for name in fleet.hosts if name in receiving]
    received = plan.get("received", [])
    request = Request(guests_of(devices), targets, conditions, staying=stay, received=received)
    planned = make_plan(fleet, request)
    if _moves(planned["placements"]) != _moves(placements):
        planned = _with_reasons(placements, planned, fleet, request)
    labels = {each.key: each for each in devices}
    again = dict.fromkeys(key for each in plan["changes"] if (key := _key(each)) in labels)
    return t.cast(
        Plan, {**_taken(plan), **planned, "changes": [_change(labels[key]) for key in again]}
    )


def out_of_date(plan: Plan, fleet: Fleet, changed: t.Sequence[str], conditions: Conditions) -> Plan:
    """Return a ``plan`` whose facts have ``changed`` on these hosts, without what only those show.

    Raise ``FleetError`` where it has a device twice: no verifier has seen it.
    """
    _check_each_once(plan)
    holders = {each.key: each.in_use.name for each in fleet.devices() if each.in_use}
    reason = (
        f"the facts of {', '.join(changed)} have changed; plan again to see why it has no place"
    )
    placements: list[Placement] = [
        {
            "vm": holders.get(_key(each)),
            "source": _label(each["source"]),
            "target": _given_nothing(each["target"]),
            "wave": each["wave"],
            "set": None,
            "bindings": {},
            "certainty": "provisional",
            "warnings": [],
        }
        for each in plan["placements"]
    ]
    unplaced: list[Unplaced] = [
        {
            "vm": holders.get(_key(each)),
            "source": _label(each["source"]),
            "reasons": [Reason("facts_changed", reason).on(None)],
        }
        for each in plan["unplaced"]
    ]
    shown: t.Any = {
        **_taken(plan),
        "solver": plan["solver"],
        "status": "unproven" if unplaced else "feasible",
        "cost": None,
        "bound": None,
        "shortage": None,
        "placements": placements,
        "unplaced": unplaced,
        "hosts": _tasks(plan, fleet),
        "map": {},
        "changes": [],
        "unknown": fleet.unknown,
    }
    if stay := _staying(plan, fleet, conditions):
        shown["staying"] = stay
    return t.cast(Plan, shown)


def _taken(plan: Plan) -> dict[str, t.Any]:
    return {name: value for name, value in plan.items() if name in _TAKEN}


def _verified(placement: Placement) -> Placement:
    """Return a placement without what no placement has."""
    target: t.Any = placement["target"]
    found: t.Any = {name: each for name, each in placement.items() if name in _VERIFIED}
    given = {name: target[name] for name in ("attributes", "network") if name in target}
    found["source"] = _label(placement["source"])
    found["target"] = {name: target[name] for name in _OF_TARGET} | given
    return t.cast(Placement, found)


def _given_nothing(target: Target) -> Target:
    """Return a target without what it is to be given, which only the facts show."""
    known: t.Any = target
    return t.cast(Target, {**{name: known[name] for name in _OF_TARGET}, "attributes": []})


def _tasks(plan: Plan, fleet: Fleet) -> dict[str, HostTasks]:
    """Return what hosts are to do, as far as the moves show; a device is given what its source has by the facts, and nothing else."""
    sources = {each.key: each for each in fleet.devices()}
    found: dict[str, HostTasks] = {}
    for each in plan["placements"]:
        source, target = sources.get(_key(each)), each["target"]
        task: t.Any
        tasks: t.Any = found.setdefault(
            target["host"], {"devices": [], "pci_devices": [], "vdpa_devices": []}
        )
        given = [] if source is None else _had_by(source, target)
        if target["kind"] == "pci":
            task = {"address": target["id"], "attributes": given}
            network = {} if source is None else _settings_had_by(source, target)
            tasks["pci_devices"].append(task | ({"network": network} if network else {}))
        elif target["kind"] == "vdpa":
            values = {one["name"]: one["value"] for one in given}
            task = {"name": target["id"], "mgmtdev": target["parent"]}
            tasks["vdpa_devices"].append(task | values)
        elif target["type"] is not None:
            task = {"uuid": target["id"], "parent": target["parent"], "type": target["type"]}
            tasks["devices"].append(task | {"attributes": given})
    return found


def _had_by(source: Device, target: Target) -> list[Attribute]:
    return [
        {"name": each["name"], "value": each["value"]}
        for each in target["attributes"]
        if (each["name"], each["value"]) in source.attributes
    ]


def _settings_had_by(source: Device, target: Target) -> dict[str, t.Any]:
    settings: t.Any = target.get("network", {})
    return {name: had for name, had in source.network or () if settings.get(name) == had}


def _check_each_once(plan: Plan) -> None:
    """Raise ``FleetError`` where a device is to move twice, or is moved and left behind, or two become the same one."""
    moving, left = map(_key, plan["placements"]), map(_key, plan["unplaced"])
    ends = {
        "is planned": [*moving, *left],
        "is the target of": [
            (each["target"]["host"], each["target"]["id"]) for each in plan["placements"]
        ],
    }
    for what, keys in ends.items():
        for (host, name), count in Counter(keys).items():
            if count > 1:
                times = f"{count} times" if what == "is planned" else f"{count} moves"
                raise FleetError(f"the plan does not hold: {name} on {host} {what} {times}")


def _staying(plan: Plan, fleet: Fleet, conditions: Conditions) -> list[StayingDevice]:
    """Return what stays on the hosts that the plan was to empty, by the facts of those that took part, and why."""
    asked = plan["request"]
    part = asked.get("hosts", fleet.hosts)
    there = dataclasses.replace(
        fleet, hosts={name: host for name, host in fleet.hosts.items() if name in part}
    )
    emptied = dataclasses.replace(
        conditions, drain=asked.get("drain"), free_devices=asked["free_devices"]
    )
    moving = {_key(each) for each in plan["placements"]}
    moved = left_by_moves({**plan, "placements": []}, fleet)
    return [
        each for each in staying(there, emptied, moved) if (each["host"], each["id"]) not in moving
    ]


def _asked_for(plan: Plan, fleet: Fleet, stay: t.Container[_Key]) -> list[Device]:
    """Return the devices that were to move by the request, except for those that ``stay``, and those that do move.

    Where the request names none of them, as a made-up one may, those in the plan count.
    """
    asked, keys = plan["request"], {_key(each) for each in plan["placements"]}
    if "drain" in asked:
        wanted = set(asked["drain"])
        devices = fleet.devices()
        return [e for e in devices if e.key in keys or (e.host in wanted and e.key not in stay)]
    if "sources" in asked:
        keys |= _named(asked["sources"], fleet, keys)
    else:
        keys |= {_key(each) for each in plan["unplaced"]}
    return [each for each in fleet.devices() if each.key in keys]


def _named(sources: t.Iterable[t.Any], fleet: Fleet, moving: t.AbstractSet[_Key]) -> set[_Key]:
    """Return the devices of the guests that these ``sources`` name; of several of one name those that are ``moving``, if any is."""
    by_name: dict[t.Any, list[Guest]] = defaultdict(list)
    for guest in guests_of(fleet.devices()):
        for name in {guest.name, guest.uuid, *(device.key for device in guest.devices)}:
            by_name[name].append(guest)
    found: set[_Key] = set()
    for each in sources:
        guests = by_name.get(each if isinstance(each, str) else (each["host"], each["id"]), [])
        groups = [{device.key for device in guest.devices} for guest in guests]
        meant = [group for group in groups if not moving.isdisjoint(group)]
        found.update(*(meant or groups))
    return found


def _label(named: DeviceLabel) -> DeviceLabel:
    return {"host": named["host"], "kind": named["kind"], "id": named["id"]}


def _key(entry: Placement | Unplaced | Change) -> _Key:
    return entry["source"]["host"], entry["source"]["id"]


def _moves(placements: t.Iterable[Placement]) -> t.Any:
    """Return what goes where, in which order."""
    return [(each["source"], each["target"], each["wave"]) for each in placements]


def _with_reasons(
    placements: t.Sequence[Placement], planned: PlanBody, fleet: Fleet, request: Request
) -> PlanBody:
    """Return a plan with these ``placements``, and what the planner says of it that has made other ones, ``planned``.

    What it proves of every plan holds for this one as well, where that leaves no more behind. That it is the best one of
    those that leave nothing behind is proven of no other.
    """
    moving = {_key(each) for each in placements}
    rest = [each for each in request.guests if each.devices[0].key not in moving]
    kept = dataclasses.replace(request, kept=placements, staying=())
    beside = make_plan(fleet, dataclasses.replace(kept, guests=rest))
    alone = make_plan(fleet, dataclasses.replace(kept, guests=[]))
    reasons = {_key(each): each["reasons"] for each in beside["unplaced"]}
    places = {_key(each): each["target"]["host"] for each in beside["placements"]}
    unplaced: list[Unplaced] = [
        unplaced_of(guest, device, reasons.get(device.key) or [_left_out(guest, places)])
        for guest in rest
        for device in guest.devices
    ]
    is_proven = bool(rest) and len(unplaced) == len(planned["unplaced"])
    return {
        **(planned if is_proven else without_proof(planned)),
        "status": planned["status"] if is_proven else "unproven" if rest else "feasible",
        "cost": None,
        "bound": None,
        "placements": [*placements],
        "unplaced": unplaced,
        "hosts": alone["hosts"],
        "map": alone["map"],
    }


def _left_out(guest: Guest, places: t.Mapping[_Key, str]) -> UnplacedReason:
    words = "the plan leaves it behind, though there is a place for it"
    return Reason("left_out", words).on(places.get(guest.devices[0].key))


def _change(device: Device) -> Change:
    vm = device.in_use.name if device.in_use else None
    return {"vm": vm, "source": device.label, "reason": _PLANNED_AGAIN}
