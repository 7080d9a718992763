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

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.drivers import (
    driver_profile,
)
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


class _There(t.NamedTuple):
    """What is on a target host: devices by id, and the drivers of devices and parents by kind and id."""

    devices: t.Mapping[str, Device]
    drivers: t.Mapping[tuple[str, str], str | None]

    def settings(
        self, device: str, parent: str | None, kind: str, attributes: t.Iterable[contract.Attribute]
    ) -> t.Iterator[contract.Write]:
        """Yield what is written of the ``attributes``, as ``needed_writes`` of the modules has it."""
        profile = driver_profile(kind, self.drivers.get((kind, parent or device)))
        current = dict(self.devices[device].attributes) if device in self.devices else {}
        # Of a name that repeats the last value counts.
        wanted = {each["name"]: each["value"] for each in attributes}
        different = {
            name
            for name, value in wanted.items()
            if name not in current or not profile.is_same(name, current[name], value)
        }
        if profile.idle is not None and profile.idle[0] in different:
            # Once a function has its type, the rest is written whichever way it was spelt.
            different |= {name for name, value in wanted.items() if current.get(name) != value}
        for each in attributes:
            if each["name"] in different:
                yield {
                    "device": device,
                    "action": "set",
                    "what": None,
                    "where": parent,
                    "attribute": each["name"],
                    "before": current.get(each["name"]),
                    "after": each["value"],
                }


def host_writes(
    plan: contract.Plan, fleet: Fleet, names: HardwareNames
) -> list[contract.HostWrites]:
    """Return what is written on each target host of ``plan`` where anything is."""
    found = []
    for host, tasks in sorted(plan["hosts"].items()):
        there = _there(fleet, host)
        writes = [
            *(write for each in tasks["devices"] for write in _mdev(each, there, names)),
            *(write for each in tasks["pci_devices"] for write in _pci(each, there, host, names)),
            *(write for each in tasks["vdpa_devices"] for write in _vdpa(each, there)),
        ]
        if writes:
            found.append(contract.HostWrites(host=host, writes=writes))
    return found


def _there(fleet: Fleet, name: str) -> _There:
    host = fleet.hosts.get(name)
    if host is None:
        return _There({}, {})
    drivers = {(each.kind, each.id): each.driver for each in host.equipment}
    for each in host.devices:
        if each.descriptor is not None and each.kind != "mdev":
            drivers[each.kind, each.id] = each.descriptor.self_attributes.get("driver")
    return _There({each.id: each for each in host.devices}, drivers)


def _mdev(
    task: contract.MdevTask, there: _There, names: HardwareNames
) -> t.Iterator[contract.Write]:
    if task["uuid"] not in there.devices:
        yield {
            "device": task["uuid"],
            "action": "create",
            "what": names.type(task["type"]),
            "where": task["parent"],
            "attribute": None,
            "before": None,
            "after": None,
        }
    yield from there.settings(task["uuid"], task["parent"], "mdev", task["attributes"])


def _pci(
    task: contract.PciTask, there: _There, host: str, names: HardwareNames
) -> t.Iterator[contract.Write]:
    for write in there.settings(task["address"], None, "pci", task["attributes"]):
        name = names.value(host, write["attribute"] or "", write["after"] or "")
        yield {**write, "what": name} if name else write
    yield from _network(task, there.devices.get(task["address"]))


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


def _vdpa(task: contract.VdpaTask, there: _There) -> t.Iterator[contract.Write]:
    if task["name"] in there.devices:
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
