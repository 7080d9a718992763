# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""The report: what an operator is told of a fleet, and of a plan for it, as one document. Pure.

HTML, Markdown and JSON are made of this document alone. See the documentation of the action for its shape.
"""

from __future__ import annotations

import typing as t
from collections import Counter, defaultdict

from ansible_collections.vfio.migration.plugins.plugin_utils._compat.verdict import verdict
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.wording import sentence
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.descriptor import Descriptor
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import (
    Fleet,
    Host,
    obstacle,
    why_unknown,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._report.plan_section import (
    MAX_CAUSES,
    first_few,
    plan_part,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._report.reachability import (
    Group,
    Reachability,
    card,
)

SCHEMA = 1
# Devices are told one by one where there are no more than these.
MAX_DEVICES = 2000
MAX_TARGETS = 5
MAX_NAMES = 10

_Told = dict[str, t.Any]


def make_report(
    fleet: Fleet,
    direction: str,
    title: str,
    made: str,
    plan: t.Any = None,
    changed: t.Sequence[str] = (),
) -> _Told:
    """The document on ``fleet``, ``made`` at that time, and on a ``plan`` for it, if there is one.

    ``changed`` are the hosts whose facts are not those that the plan relied on. Raises ``FleetError``.
    """
    reach = Reachability(fleet, direction)
    classes = _Classes(fleet, reach, direction)
    planned = None if plan is None else plan_part(plan, changed, _Causes(fleet, reach, classes))
    hosts = [_host(host, reach, classes.numbers) for host in fleet.hosts.values()]
    totals = _totals(fleet, hosts)
    listed = totals["devices"] <= MAX_DEVICES
    return {
        "schema": SCHEMA,
        "title": title,
        "made": made,
        "direction": direction,
        "verdict": _of_plan(planned) if planned else _of_fleet(totals, _stuck(fleet, classes)),
        "totals": totals,
        "plan": planned,
        "groups": [_group(group) for group in reach.groups],
        "matrix": reach.matrix(),
        "classes": classes.told,
        "uncompared": reach.pairs["uncompared"],
        "excluded": _excluded(fleet),
        "hosts": hosts,
        "devices": _devices(fleet, reach, classes.numbers) if listed else [],
        "devices_not_shown": 0 if listed else totals["devices"],
        "versions": _versions(fleet),
        "unknown": _together(
            {"reason": why_unknown(fleet, name), "host": name} for name in fleet.unknown
        ),
        "problems": _together(
            {"problem": each["problem"] or "", "host": each["host"], "path": each["path"]}
            for each in fleet.problems
            if each["host"] in fleet.hosts
        ),
    }


# --- the verdict on top ----------------------------------------------------------------------------------------------


def _of_plan(plan: _Told) -> _Told:
    count, placed, left = plan["devices"], plan["placed"], plan["unplaced"]
    whence = _joined(plan["sources"])
    if not count:
        return {"level": "nothing", "sentence": "There is nothing to move.", "because": []}
    if not left:
        every = f"All {count:,} devices" if count > 1 else "The only device"
        told = f"{every} can leave {whence}."
    elif not placed:
        none = f"None of the {count:,} devices" if count > 1 else "The only device"
        told = f"{none} can{'' if count > 1 else 'not'} leave {whence}."
    else:
        told = f"{placed:,} of {count:,} devices can leave {whence}; {left:,} cannot."
    return {"level": _level(placed, left), "sentence": told, "because": plan["causes"]}


class _Causes:
    """Says in short why a plan left a device behind."""

    def __init__(self, fleet: Fleet, reach: Reachability, classes: _Classes) -> None:
        self._fleet = fleet
        self._reach = reach
        self._classes = classes

    def __call__(self, unplaced: t.Mapping[str, t.Any]) -> _Told:
        source, reasons = unplaced["source"], unplaced["reasons"]
        # What is true of all hosts, or of the device itself, comes first in a plan.
        if reasons[0]["host"] in (None, source["host"]):
            return {"reason": reasons[0]["reason"], "example": None, "more": False}
        name = self._class_of(source)
        if name and self._reach.stays(name, source["host"]):
            return self._classes.cause(name) | {"more": True}
        # What the plan says of a host that has something for the device is nearest to the point.
        could = [each for each in reasons if name and self._reach.could_go(name, each["host"])]
        return {
            "reason": (could or reasons)[0]["reason"],
            "example": None,
            "more": len(reasons) > 1 or bool(reasons[0].get("alike")),
        }

    def _class_of(self, source: t.Mapping[str, t.Any]) -> str | None:
        host = self._fleet.hosts.get(source["host"])
        found = (each for each in (host.devices if host else ()) if each.id == source["id"])
        device = next(found, None)
        return None if device is None else self._reach.class_of(device)


def _of_fleet(totals: _Told, because: list[_Told]) -> _Told:
    count, reachable = totals["devices"], totals["reachable"]
    if not count:
        told = "There is no VFIO device on these hosts."
        return {"level": "nothing", "sentence": told, "because": []}
    told = f"{reachable:,} of {count:,} devices could go to another host now, each by itself"
    told += f"; {count - reachable:,} could not." if reachable < count else "."
    return {"level": _level(reachable, count - reachable), "sentence": told, "because": because}


def _level(yes: int, no: int) -> str:
    return ("some" if yes else "none") if no else "all"


def _joined(names: list[str], most: int = 3) -> str:
    """Up to three names in words, of more only how many."""
    if len(names) > most:
        return f"{len(names):,} hosts"
    return " and ".join([", ".join(names[:-1]), names[-1]]) if names[1:] else "".join(names)


def _stuck(fleet: Fleet, classes: _Classes) -> list[_Told]:
    """Why devices can go nowhere, what is true of most of them first."""
    causes: dict[str, _Told] = {}
    for host in fleet.hosts.values():
        for _kind, _id, each in host.excluded:
            reason = obstacle(each) or ""
            causes.setdefault(reason, {"devices": 0, "reason": reason, "example": None})
            causes[reason]["devices"] += 1
    for told in sorted(classes.told, key=lambda told: -int(told["staying"])):
        if told["staying"]:
            cause = classes.cause(told["name"])
            causes.setdefault(cause["reason"], {"devices": 0} | cause)
            causes[cause["reason"]]["devices"] += told["staying"]
    ordered = sorted(causes.values(), key=lambda each: (-each["devices"], each["reason"]))
    return [each | {"more": False} for each in ordered[:MAX_CAUSES]]


# --- hosts -----------------------------------------------------------------------------------------------------------


def _totals(fleet: Fleet, hosts: list[_Told]) -> _Told:
    counts = {
        key: sum(host[key] for host in hosts)
        for key in ("devices", "in_use", "excluded", "reachable")
    }
    return {
        "hosts": len(fleet.hosts),
        "unknown": len(fleet.unknown),
        **counts,
        "problems": sum(each["host"] in fleet.hosts for each in fleet.problems),
    }


def _group(group: Group) -> _Told:
    return {
        "name": group.hosts[0].name,
        "hosts": len(group.hosts),
        "mixed": group.mixed,
        "devices": sum(sum(host.classes.values()) for host in group.hosts),
        "hardware": group.hardware[:MAX_NAMES],
        "versions": group.versions[:MAX_NAMES],
    }


def _host(host: Host, reach: Reachability, numbers: t.Mapping[str, int]) -> _Told:
    counted: dict[int, list[int]] = defaultdict(lambda: [0, 0])
    for name, free, count in reach.usable(host):
        counted[numbers[name]][0] += count
        counted[numbers[name]][1] += count if free else 0
    return {
        "name": host.name,
        "group": reach.group_of[host.name],
        "devices": sum(host.classes.values()),
        "in_use": sum(count for each, count in host.classes.items() if not each.free),
        "excluded": len(host.excluded),
        "reachable": reach.leaving(host),
        "classes": [[number, *counts] for number, counts in sorted(counted.items())],
    }


def _devices(fleet: Fleet, reach: Reachability, numbers: t.Mapping[str, int]) -> list[_Told]:
    return [
        {
            "host": device.host,
            "kind": device.kind,
            "id": device.id,
            "type": device.type,
            "parent": device.parent,
            "class": None if name is None else numbers[name],
            "vm": device.in_use.name if device.in_use else None,
            "in_use": device.in_use is not None,
            "obstacle": obstacle(device),
        }
        for device in fleet.devices()
        for name in [reach.class_of(device)]
    ]


def _excluded(fleet: Fleet) -> list[_Told]:
    """The devices that cannot migrate at all, those with the same reason together."""
    return _together(
        {"reason": obstacle(each) or "", "host": host.name, "path": device_id}
        for host in fleet.hosts.values()
        for kind, device_id, each in host.excluded
    )


def _together(entries: t.Iterable[_Told]) -> list[_Told]:
    """Entries that say the same of several hosts as one: how often, on how many ``hosts``, the first ``names``.

    An entry is ``host``, perhaps the ``path`` there, and what it says.
    """
    found: dict[tuple[str, str], tuple[dict[str, None], list[str]]] = {}
    for entry in entries:
        (key,) = entry.keys() - {"host", "path"}
        names, paths = found.setdefault((key, entry[key]), ({}, []))
        names[entry["host"]] = None
        paths.append(entry.get("path") or "")
    told = [
        {
            key: text,
            "count": len(paths),
            "hosts": len(names),
            "names": list(names)[:MAX_NAMES],
            "paths": [path for path in paths if path][:MAX_NAMES],
        }
        for (key, text), (names, paths) in found.items()
    ]
    return sorted(told, key=lambda each: -each["count"])


# --- versions --------------------------------------------------------------------------------------------------------


def _versions(fleet: Fleet) -> list[_Told]:
    """What devices are of, and in which versions; ``mixed`` where not all are of one major and minor version."""
    cards: dict[tuple[str, str], dict[str, Counter[str]]] = defaultdict(
        lambda: defaultdict(Counter)
    )
    drivers: dict[str, set[str]] = defaultdict(set)
    for host in fleet.hosts.values():
        for parent in host.equipment:
            if parent.pci_id and parent.driver:
                drivers[parent.pci_id].add(parent.driver)
        for each, count in host.classes.items():
            if each.descriptor is not None:
                hosts = cards[card(each.descriptor)][each.descriptor.version]
                hosts[host.name] += count
    return [
        {
            "device_api": api,
            "model": model,
            "drivers": sorted(drivers.get(model, ())),
            "mixed": len({tuple(version.split(".")[:2]) for version in found}) > 1,
            "versions": [
                {
                    "version": version,
                    "hosts": len(hosts),
                    "devices": hosts.total(),
                    "names": list(hosts)[:MAX_NAMES],
                }
                for version, hosts in sorted(found.items(), key=lambda each: _numbers(each[0]))
            ],
        }
        for (api, model), found in sorted(cards.items())
    ]


def _numbers(version: str) -> list[tuple[int, str]]:
    return [(int(part) if part.isdecimal() else -1, part) for part in version.split(".")]


# --- classes ---------------------------------------------------------------------------------------------------------


class _Classes:
    """What the report says of the classes of devices that can migrate; they are known by their ``numbers``."""

    def __init__(self, fleet: Fleet, reach: Reachability, direction: str) -> None:
        self._reach = reach
        self._direction = direction
        self._table: dict[str, _Told] = reach.pairs["classes"]
        self.numbers = {name: number for number, name in enumerate(reach.classes)}
        self._alone = len(fleet.hosts) == 1
        obstacles = reach.obstacles()
        self.told = [self._class(name, obstacles.get(name, [])) for name in reach.classes]

    def cause(self, name: str) -> _Told:
        """Why devices of the class stay, and the nearest example: ``{reason, example}``."""
        told = self.told[self.numbers[name]]
        near = [] if told["targets"] else told["misses"]
        reason = self._why(told["targets"], self._reach.pairs["misses"].get(name, []))
        return {"reason": reason, "example": "; ".join(near[0]["reasons"]) if near else None}

    def _way(self, way: _Told) -> _Told:
        hosts, room = self._reach.room(way)
        told = {key: way[key] for key in ("type", "attributes", "set", "bindings", "warnings")}
        return {**told, "hosts": hosts, "room": room}

    def _class(self, name: str, obstacles: list[_Told]) -> _Told:
        reach, entry = self._reach, self._table[name]
        targets = sorted(reach.targets[name], key=lambda each: -each["free_targets"])
        makes = reach.makes.get(name, [])
        misses = [self._miss(name, each) for each in reach.pairs["misses"].get(name, ())]
        staying = reach.staying(name)
        return {
            "name": name,
            "origin": entry["origin"],
            "self": entry["self"],
            "compatible": entry["compatible"],
            "hosts": len(reach.on[name]),
            "devices": reach.on[name].total(),
            "free": reach.free[name].total(),
            "staying": staying,
            "why": self._why(targets, reach.pairs["misses"].get(name, [])) if staying else None,
            "targets": [self._target(each) for each in targets[:MAX_TARGETS]],
            "targets_not_shown": max(0, len(targets) - MAX_TARGETS),
            "creatable": [self._way(way) for way in makes],
            "reach": reach.ways(name),
            "obstacles": [
                {"group": each["group"]} | first_few(each["reasons"]) for each in obstacles
            ],
            "misses": misses,
            "barriers": [
                {"attribute": attribute, **counts}
                for attribute, counts in reach.pairs["barriers"].get(name, {}).items()
            ],
        }

    def _target(self, pair: _Told) -> _Told:
        kept = ("set", "bindings", "certainty", "direction_conflict", "warnings")
        return {
            "class": self.numbers[pair["target"]],
            "devices": pair["targets"],
            "free": pair["free_targets"],
            **{key: pair[key] for key in kept},
        }

    def _why(self, targets: list[_Told], misses: list[_Told]) -> str:
        """What keeps devices of a class where they are, in a sentence."""
        if targets:
            return "no compatible device on another host is free, and none has room for a new one"
        if misses:
            attributes = {each["attribute"] or "" for each in misses[0]["reasons"]}
            differ = ", ".join(sorted(attributes - {""}))
            return "no device on another host is compatible" + (
                f"; what comes nearest differs in {differ}" if differ else ""
            )
        if self._alone:
            return "there is no other host"
        return "no other host has a usable device or room"

    def _miss(self, name: str, miss: _Told) -> _Told:
        """A class that comes near to being compatible, and what would have to change, in sentences."""
        by_source = self._is_by_source(name, miss["target"])
        subject = miss["target"] if by_source else name
        where = f"{self._table[subject]['self']['type']} on {_hosts(self._reach.on[subject])}"
        host = _hosts(self._reach.on[miss["target"]])
        return {
            "class": self.numbers[miss["target"]],
            "devices": miss["devices"],
            "reasons": [sentence(each, where, host, by_source) for each in miss["reasons"]],
        }

    def _is_by_source(self, source: str, target: str) -> bool:
        """Whether it is the source's list that keeps the two apart."""
        if self._direction != "both":
            return self._direction != "target_accepts"
        one, other = (self._descriptor(name) for name in (source, target))
        return not verdict(one, other)["compatible"]

    def _descriptor(self, name: str) -> Descriptor:
        entry = self._table[name]
        return Descriptor(entry["self"], entry["compatible"], entry["origin"], name)


def _hosts(hosts: t.Collection[str]) -> str:
    first = next(iter(hosts))
    others = len(hosts) - 1
    return f"{first} and {_counted(others, 'other host')}" if others else first


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
