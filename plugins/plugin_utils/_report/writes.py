# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What carrying out a plan writes on each target host, in the order in which the modules there write it.

What a device has already is not written: the modules leave it as it is, as in ``prepare --check --diff``.
"""

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.network_settings import (
    ip_value,
    needed_changes,
)
from ansible_collections.vfio.migration.plugins.plugin_utils import contract
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import Device, Fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._report.hardware_names import (
    HardwareNames,
)

_VDPA_OPTIONS = ("mac", "mtu", "max_vqp", "device_features")


def host_writes(
    plan: contract.Plan, fleet: Fleet, names: HardwareNames
) -> list[contract.HostWrites]:
    """Return what is written on each target host of ``plan`` where anything is."""
    found = []
    for host, tasks in sorted(plan["hosts"].items()):
        there = _devices(fleet, host)
        writes = [
            *(write for each in tasks["devices"] for write in _mdev(each, there, names)),
            *(write for each in tasks["pci_devices"] for write in _pci(each, there, host, names)),
            *(write for each in tasks["vdpa_devices"] for write in _vdpa(each, there)),
        ]
        if writes:
            found.append(contract.HostWrites(host=host, writes=writes))
    return found


def _devices(fleet: Fleet, host: str) -> dict[str, Device]:
    """Return the devices that are on ``host``."""
    devices = fleet.hosts[host].devices if host in fleet.hosts else ()
    return {each.id: each for each in devices}


def _mdev(
    task: contract.MdevTask, there: t.Mapping[str, Device], names: HardwareNames
) -> t.Iterator[contract.Write]:
    if task["uuid"] not in there:
        yield {
            "device": task["uuid"],
            "action": "create",
            "what": names.type(task["type"]),
            "where": task["parent"],
            "attribute": None,
            "before": None,
            "after": None,
        }
    yield from _settings(task["uuid"], task["parent"], task["attributes"], there)


def _pci(
    task: contract.PciTask,
    there: t.Mapping[str, Device],
    host: str,
    names: HardwareNames,
) -> t.Iterator[contract.Write]:
    for write in _settings(task["address"], None, task["attributes"], there):
        name = names.value(host, write["attribute"] or "", write["after"] or "")
        yield {**write, "what": name} if name else write
    yield from _network(task, there.get(task["address"]))


def _network(task: contract.PciTask, device: Device | None) -> t.Iterator[contract.Write]:
    """Yield what is set of a function through its card, each request's settings in their order."""
    wanted: dict[str, t.Any] = {**task.get("network", {})}
    current = dict(device.network or ()) if device is not None else {}
    for request in needed_changes(
        current, {name: wanted[name] for name in wanted if name in current}
    ):
        for name in request:
            if request[name] != current[name]:
                yield {
                    "device": task["address"],
                    "action": "set",
                    "what": None,
                    "where": None,
                    "attribute": name,
                    "before": ip_value(current[name]),
                    "after": ip_value(request[name]),
                }


def _settings(
    device: str,
    parent: str | None,
    attributes: t.Iterable[contract.Attribute],
    there: t.Mapping[str, Device],
) -> t.Iterator[contract.Write]:
    current = dict(there[device].attributes) if device in there else {}
    for each in attributes:
        # One that may be given several times adds to what is there.
        before = current.get(each["name"])
        if before != each["value"]:
            yield {
                "device": device,
                "action": "set",
                "what": None,
                "where": parent,
                "attribute": each["name"],
                "before": before,
                "after": each["value"],
            }
        current[each["name"]] = each["value"]


def _vdpa(task: contract.VdpaTask, there: t.Collection[str]) -> t.Iterator[contract.Write]:
    if task["name"] in there:
        return
    given = {name: task.get(name) for name in _VDPA_OPTIONS if task.get(name)}
    settings = ", ".join(
        f"{name}={','.join(map(str, value)) if isinstance(value, list) else value}"
        for name, value in given.items()
    )
    yield {
        "device": task["name"],
        "action": "create",
        "what": "vDPA device",
        "where": task["mgmtdev"],
        "attribute": None,
        "before": None,
        "after": settings or None,
    }
