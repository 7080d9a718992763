# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Pairs: which classes of devices may migrate to which, over a whole fleet. Pure.

Devices with equal descriptors are one class. Classes are compared, devices only counted: a fleet of many devices
has few classes.
"""

from __future__ import annotations

import typing as t
from collections import Counter, defaultdict

from ansible_collections.vfio.migration.plugins.plugin_utils._candidates import Candidates
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet import Device, Fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._sentences import nearest

MISSES = 3


def compatible_pairs(
    fleet: Fleet,
    direction: str,
    sources: t.Collection[str] | None = None,
    targets: t.Collection[str] | None = None,
    expand: bool = False,
) -> dict[str, t.Any]:
    """The class table, the compatible pairs of classes, and what each class is nearest to.

    ``sources`` and ``targets`` are names of hosts (default: all of the fleet). A pair is of devices on two
    different hosts. See the documentation of the filter for the shape.
    """
    movable = [device for device in fleet.devices() if obstacle(device) is None]
    from_devices = _by_class(movable, sources)
    to_devices = _by_class(movable, targets)
    candidates = Candidates(fleet, direction)
    pairs = []
    misses: dict[str, list[dict[str, t.Any]]] = {}
    for source, source_devices in from_devices.items():
        near: list[dict[str, t.Any]] = []
        for target, target_devices in to_devices.items():
            count = _pairs_between_hosts(source_devices, target_devices)
            existing = candidates.existing(source_devices[0], target_devices[0])
            if not count or existing is None:
                continue
            if existing.compatible:
                pairs.append(
                    {"source": source, "target": target}
                    | _compact(existing.verdict)
                    | {
                        "sources": len(source_devices),
                        "targets": len(target_devices),
                        "free_targets": sum(device.in_use is None for device in target_devices),
                        "pairs": count,
                    }
                )
            else:
                reasons = nearest(existing.reasons)
                near.append({"target": target, "devices": len(target_devices), "reasons": reasons})
        near.sort(key=lambda miss: (len(miss["reasons"]), -miss["devices"], miss["target"]))
        if near:
            misses[source] = near[:MISSES]
    result = {
        "direction": direction,
        "classes": _class_table(from_devices | to_devices),
        "pairs": pairs,
        "misses": misses,
        "creatable": {
            source: creatable
            for source, devices in from_devices.items()
            if (creatable := _creatable(fleet, candidates, devices, targets))
        },
        "excluded": [
            device.label | {"reason": reason}
            for device in fleet.devices()
            if (reason := obstacle(device)) is not None
        ],
        "unknown": fleet.unknown,
        "problems": fleet.problems,
    }
    if expand:
        result["devices"] = [
            {"source": source.label, "target": target.label} | _compact(pair)
            for pair in pairs
            for source in from_devices[pair["source"]]
            for target in to_devices[pair["target"]]
            if source.host != target.host
        ]
    return result


def obstacle(device: Device) -> str | None:
    """Why ``device`` can neither migrate nor receive a migration whatever the other side is; ``None`` where it can."""
    if device.descriptor is None:
        return "it has no usable descriptor; see the problems of its host"
    if device.supported is False:
        evidence = f" ({device.evidence})" if device.evidence else ""
        return f"its driver does not support migration{evidence}"
    return None


def _by_class(
    devices: t.Iterable[Device], hosts: t.Collection[str] | None
) -> dict[str, list[Device]]:
    classes: dict[str, list[Device]] = defaultdict(list)
    for device in devices:
        if device.descriptor is not None and (hosts is None or device.host in hosts):
            classes[device.descriptor.digest].append(device)
    return dict(sorted(classes.items()))


def _pairs_between_hosts(sources: list[Device], targets: list[Device]) -> int:
    on_host = Counter(target.host for target in targets)
    return sum(len(targets) - on_host[source.host] for source in sources)


def _class_table(classes: dict[str, list[Device]]) -> dict[str, t.Any]:
    table = {}
    for digest, devices in sorted(classes.items()):
        descriptor = devices[0].descriptor
        if descriptor is not None:
            table[digest] = {
                "origin": descriptor.origin,
                "self": descriptor.self_attributes,
                "compatible": descriptor.compatible,
                "hosts": dict(Counter(device.host for device in devices)),
            }
    return table


def _compact(verdict: dict[str, t.Any]) -> dict[str, t.Any]:
    kept = ("set", "bindings", "certainty", "direction_conflict", "warnings")
    return {key: verdict[key] for key in kept}


def _creatable(
    fleet: Fleet,
    candidates: Candidates,
    sources: list[Device],
    targets: t.Collection[str] | None,
) -> list[dict[str, t.Any]]:
    """The mdevs that hosts could make for a class: one entry for each way, with the instances left per host."""
    source_hosts = {device.host for device in sources}
    ways: dict[tuple[t.Any, ...], dict[str, t.Any]] = {}
    for host in fleet.hosts.values():
        if (targets is not None and host.name not in targets) or source_hosts == {host.name}:
            continue
        for parent in host.parents:
            for mdev_type in parent.types:
                made = candidates.creatable(sources[0], parent, mdev_type)
                if made is None or not made.compatible or not mdev_type.available_instances:
                    continue
                way = ways.setdefault(
                    (mdev_type.id, made.attributes, made.set),
                    {
                        "type": mdev_type.id,
                        "attributes": [{"name": n, "value": v} for n, v in made.attributes],
                        "set": made.set,
                        "bindings": made.bindings,
                        "certainty": "provisional",
                        "warnings": made.warnings,
                        "hosts": {},
                    },
                )
                # Types of one parent share its room: the parents of a host add up, its types do not.
                room = mdev_type.available_instances // made.instances
                if room:
                    way["hosts"][host.name] = way["hosts"].get(host.name, 0) + room
    return [way for key, way in sorted(ways.items(), key=lambda item: item[0][0]) if way["hosts"]]
