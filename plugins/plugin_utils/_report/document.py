# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The report: what can go where in a fleet, and the conclusion of a plan for it, as one document. Pure.

``contract.Report`` is its shape. HTML, Markdown and JSON are made of this document alone.
"""

from __future__ import annotations

import typing as t
from collections import Counter, defaultdict
from dataclasses import dataclass

from ansible_collections.vfio.migration.plugins.plugin_utils import contract
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import (
    Fleet,
    Host,
    obstacle,
    why_unknown,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._report.class_section import (
    ClassSection,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._report.conclusion import (
    advice,
    fleet_conclusion,
    plan_conclusion,
    with_unknown,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._report.hardware_names import (
    HardwareNames,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._report.host_groups import (
    HostGroup,
    card,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._report.reachability import (
    Reachability,
)

SCHEMA = 1
# Up to so many devices have an entry of their own.
MAX_DEVICES = 2000
MAX_NAMES = 10


def make_report(
    fleet: Fleet,
    direction: str,
    title: str,
    made: str,
    plan: t.Any = None,
    changed: t.Sequence[str] = (),
    models: t.Mapping[str, str] | None = None,
) -> contract.Report:
    """Return the report on ``fleet``, ``made`` at that time, and on a ``plan`` for it, if there is one.

    ``changed`` are the hosts whose facts are no longer those that the plan relied on, ``models`` the names of PCI ids. Raise
    ``FleetError`` where ``plan`` is no plan.
    """
    reachability = Reachability(fleet, direction)
    classes = ClassSection(reachability, direction, len(fleet.hosts))
    names = HardwareNames(fleet, models or {})
    planned = None
    if plan is not None:
        # Ansible compiles in each run what is imported: what is about plans is imported where there is one.
        from ansible_collections.vfio.migration.plugins.plugin_utils._report.plan_section import (
            plan_section,
        )

        planned = plan_section(plan, changed, fleet, names)
    hosts = [_host(host, reachability, classes.numbers) for host in fleet.hosts.values()]
    totals = _totals(fleet, hosts)
    listed = totals["devices"] <= MAX_DEVICES
    return {
        "schema": SCHEMA,
        "title": title,
        "made": made,
        "direction": direction,
        "verdict": with_unknown(
            plan_conclusion(planned) if planned else fleet_conclusion(totals, fleet, classes),
            totals,
        ),
        "advice": advice(totals),
        "totals": totals,
        "facts": _facts_age(fleet),
        "plan": planned,
        "host_groups": [_host_group(group, names) for group in reachability.groups],
        "matrix": reachability.matrix(),
        "classes": classes.entries,
        "uncompared": reachability.pairs["uncompared"],
        "excluded": count_findings(_excluded(fleet)),
        "hosts": hosts,
        "devices": _devices(fleet, reachability, classes.numbers) if listed else [],
        "devices_not_shown": 0 if listed else totals["devices"],
        "versions": _models(fleet, names),
        "unknown": count_findings(
            Finding(why_unknown(fleet, name), host=name) for name in fleet.unknown
        ),
        "problems": count_findings(
            Finding(each["problem"] or "", host=each["host"], path=each["path"])
            for each in fleet.problems
            if each["host"] in fleet.hosts
        ),
    }


# --- findings --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is true of a host, or of what is at ``path`` there: the id of a device, a file, a place in the facts."""

    text: str
    host: str
    path: str | None = None


def count_findings(findings: t.Iterable[Finding]) -> list[contract.CountedFinding]:
    """Return findings with the same text as one, those that were found most often first."""
    same: dict[str, list[Finding]] = defaultdict(list)
    for each in findings:
        same[each.text].append(each)
    counted: list[contract.CountedFinding] = []
    for text, found in same.items():
        hosts = list(dict.fromkeys(each.host for each in found))
        counted.append(
            {
                "text": text,
                "count": len(found),
                "hosts": len(hosts),
                "names": hosts[:MAX_NAMES],
                "paths": [each.path for each in found if each.path][:MAX_NAMES],
            }
        )
    return sorted(counted, key=lambda each: -each["count"])


def _excluded(fleet: Fleet) -> t.Iterator[Finding]:
    """Yield why devices can neither migrate nor receive a migration."""
    for host in fleet.hosts.values():
        for _kind, device_id, each in host.excluded:
            yield Finding(obstacle(each) or "", host=host.name, path=device_id)


# --- hosts and devices -----------------------------------------------------------------------------------------------


def _totals(fleet: Fleet, hosts: list[contract.ReportedHost]) -> contract.Totals:
    return {
        "hosts": len(fleet.hosts),
        "unknown": len(fleet.unknown),
        "devices": sum(each["devices"] for each in hosts),
        "in_use": sum(each["in_use"] for each in hosts),
        "holder_unknown": sum(map(_holders_unknown, fleet.hosts.values())),
        "excluded": sum(each["excluded"] for each in hosts),
        "reachable": sum(each["reachable"] for each in hosts),
        "problems": sum(each["host"] in fleet.hosts for each in fleet.problems),
    }


def _holders_unknown(host: Host) -> int:
    holders = [each["in_use"] for each in host.facts["devices"]]
    return sum(each is not None and each["pid"] is None for each in holders)


def _facts_age(fleet: Fleet) -> contract.FactsAge:
    gathered = [host.facts.get("gathered") for host in fleet.hosts.values()]
    times = [each["time"] for each in gathered if isinstance(each, t.Mapping) and each.get("time")]
    return {"oldest": min(times, default=None), "newest": max(times, default=None)}


def _host_group(group: HostGroup, names: HardwareNames) -> contract.HostGroup:
    return {
        "name": group.hosts[0].name,
        "hosts": len(group.hosts),
        "mixed": group.mixed,
        "devices": sum(sum(host.classes.values()) for host in group.hosts),
        "hardware": [_named(each, names) for each in group.hardware[:MAX_NAMES]],
        "versions": group.versions[:MAX_NAMES],
    }


def _named(hardware: str, names: HardwareNames) -> str:
    """Return what a host has, by a driver or API and a PCI id, by name where there is one."""
    driver, _blank, pci_id = hardware.rpartition(" ")
    name = names.model(pci_id)
    if not name:
        return hardware
    return f"{name} ({driver})" if pci_id in name else f"{name} ({driver} {pci_id})"


def _host(
    host: Host, reachability: Reachability, numbers: t.Mapping[str, int]
) -> contract.ReportedHost:
    devices: Counter[int] = Counter()
    free_devices: Counter[int] = Counter()
    for name, free, count in reachability.usable(host):
        devices[numbers[name]] += count
        free_devices[numbers[name]] += count if free else 0
    return {
        "name": host.name,
        "host_group": reachability.group_of[host.name],
        "devices": sum(host.classes.values()),
        "in_use": sum(count for each, count in host.classes.items() if not each.free),
        "excluded": len(host.excluded),
        "reachable": reachability.leaving(host),
        "classes": [[number, devices[number], free_devices[number]] for number in sorted(devices)],
    }


def _devices(
    fleet: Fleet, reachability: Reachability, numbers: t.Mapping[str, int]
) -> list[contract.ReportedDevice]:
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
        for name in [reachability.class_of(device)]
    ]


# --- versions --------------------------------------------------------------------------------------------------------


def _models(fleet: Fleet, names: HardwareNames) -> list[contract.Model]:
    """Return what devices are of, each with its versions, the drivers of its parents, and how many there are."""
    models: dict[tuple[str, str], dict[str, Counter[str]]] = defaultdict(
        lambda: defaultdict(Counter)
    )
    drivers: dict[str, set[str]] = defaultdict(set)
    for host in fleet.hosts.values():
        for parent in host.equipment:
            if parent.pci_id and parent.driver:
                drivers[parent.pci_id].add(parent.driver)
        for each, count in host.classes.items():
            if each.descriptor is not None:
                models[card(each.descriptor)][each.descriptor.version][host.name] += count
    return [
        {
            "device_api": api,
            "model": model,
            "name": names.model(model),
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
        for (api, model), found in sorted(models.items())
    ]


def _numbers(version: str) -> list[tuple[int, str]]:
    """Return what versions are sorted by."""
    return [(int(part) if part.isdecimal() else -1, part) for part in version.split(".")]
