# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""A plan as Proxmox VE needs it. Pure.

The formats are those of Proxmox VE: the mapping of PCI devices in ``/etc/pve/mapping/pci.cfg``, as "Resource Mapping" of its
Administration Guide and the API's ``/cluster/mapping/pci`` describe it; the option ``hostpci[n]`` of ``qm.conf(5)``; the command
``qm migrate`` of ``qm(1)``.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._executors.functions import (
    Function,
    Functions,
    vgpu_type_of,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._executors.guests import (
    Holding,
    MovingGuest,
    Naming,
    label,
    moving_guests,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.network import given_to
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import (
    Placement,
    Plan,
    ProxmoxMapping,
    ProxmoxMigration,
    ProxmoxMigrations,
)

# Numbers of virtual machines, and how many devices one has.
# From 100 on, with no zeros before.
_VMID = re.compile(r"[1-9][0-9]{2,8}\Z")
_MOST_DEVICES = 16
# Proxmox VE names an mdev by the place in the virtual machine and the machine's number.
_MDEV = re.compile(r"([0-9]{8})-0000-0000-0000-([0-9]{12})\Z")
# A type as ``hostpci`` has it.
_TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*\Z")
_NODE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\Z")
_ABOUT_MAPPINGS = (
    "a virtual machine names its mappings under hostpci from its start on: one that runs with another configuration migrates"
    " by the mappings that it has, and Proxmox VE takes the first free device of those"
)


def naming_of(guests: t.Any, nodes: t.Any, held: t.Iterable[Holding] = ()) -> Naming:
    """Return what Proxmox VE calls guests and hosts: by numbers, and by the first part of a host's name. Raise ``FleetError``."""
    return Naming("Proxmox VE", guests, nodes, _vmid_of, lambda host: host.partition(".")[0], held)


def _vmid_of(holding: Holding) -> str | None:
    """Return the number that the mdev of a virtual machine has in its UUID."""
    found = _MDEV.match(holding["source"]["id"])
    return str(int(found[2])) if found else None


def proxmox_migrations(
    plan: Plan, functions: Functions, naming: Naming, with_conntrack_state: bool = False
) -> ProxmoxMigrations:
    """Return what Proxmox VE needs to carry out ``plan``; raise ``FleetError``."""
    guests, warnings = moving_guests(plan, naming)
    migrations, mappings = [], []
    for guest in guests:
        why = _why_not(guest)
        if why:
            warnings.append(why)
            continue
        places = _places(guest)
        devices = [
            _Device(guest, *each, functions) for each in zip(places, guest.devices, strict=True)
        ]
        for each in devices:
            warnings.extend(each.warnings())
        mappings += [each.mapping() for each in devices]
        migrations.append(_migration(guest, devices, with_conntrack_state))
    return ProxmoxMigrations(
        migrations=migrations,
        mappings=mappings,
        pci_cfg="\n".join(map(_section, mappings)),
        warnings=([_ABOUT_MAPPINGS] if migrations else []) + warnings,
    )


def _why_not(guest: MovingGuest) -> str | None:
    """Return why Proxmox VE cannot move a guest, ``None`` where it can."""
    what = f"{guest.id} on {guest.source_host} is not moved"
    if not _VMID.match(guest.id):
        return (
            f"{what}: a virtual machine of Proxmox VE is called by its number; say it with 'guests'"
        )
    for node in (guest.source_node, guest.target_node):
        if not _NODE.match(node):
            return f"{what}: {node} is not the name of a node of Proxmox VE; say with 'nodes' what it calls that host"
    if len(guest.devices) > _MOST_DEVICES:
        return (
            f"{what}: it has {len(guest.devices)} devices, and Proxmox VE gives it {_MOST_DEVICES}"
        )
    for each in guest.devices:
        target = each["target"]
        if target["kind"] == "vdpa":
            return f"{what}: {label(target)}: Proxmox VE gives no vDPA device to a virtual machine"
        if target["kind"] == "mdev" and not _TYPE.match(target["type"] or ""):
            return f"{what}: {label(target)} has the type {target['type']!r}, which Proxmox VE does not name"
    return None


def _places(guest: MovingGuest) -> list[int]:
    """Return the place of each device in the configuration: what the UUID of an mdev states, else the first that is free."""
    stated = [_MDEV.match(each["source"]["id"]) for each in guest.devices]
    found = {int(each[1]) for each in stated if each} & {*range(_MOST_DEVICES)}
    free = iter([each for each in range(_MOST_DEVICES) if each not in found])
    return [int(each[1]) if each and int(each[1]) in found else next(free) for each in stated]


class _Device:
    """A device of a virtual machine, and its place in the configuration."""

    def __init__(
        self, guest: MovingGuest, place: int, placement: Placement, functions: Functions
    ) -> None:
        self._guest = guest
        self._placement = placement
        self._id = f"vfio-{guest.id}-{place}"
        self.place = f"hostpci{place}"
        source, target = self._placement["source"], self._placement["target"]
        self._is_mdev = target["kind"] == "mdev"
        of_mdev = functions.parent_of(source["host"], source["id"]), target["parent"]
        at_source, at_target = of_mdev if self._is_mdev else (source["id"], target["id"])
        self._source = functions.at(source["host"], at_source)
        self._target = functions.at(target["host"], at_target)
        given = vgpu_type_of(self._target, target["attributes"])
        of_function = f"nvidia-{given}" if given else None
        self._type = target["type"] if self._is_mdev else of_function

    def mapping(self) -> ProxmoxMapping:
        """Return the mapping of this device alone: so it is the plan's that is taken on either node."""
        ends = ((self._guest.source_node, self._source), (self._guest.target_node, self._target))
        entries = [_entry(node, function) for node, function in ends if function is not None]
        is_mdev = self._type is not None
        command = ["pvesh", "create", "/cluster/mapping/pci", "--id", self._id]
        for each in entries:
            command += ["--map", each]
        command += ["--live-migration-capable", "1", *(["--mdev", "1"] if is_mdev else [])]
        return ProxmoxMapping(id=self._id, mdev=is_mdev, map=entries, command=command)

    def hostpci(self) -> str:
        """Return the value of ``hostpci[n]``."""
        return f"mapping={self._id}" + (f",mdev={self._type}" if self._type else "")

    def warnings(self) -> list[str]:
        """Return what cannot be said of this device."""
        target = self._placement["target"]
        source = self._placement["source"]
        found = [
            *self._incomplete(source["host"], self._guest.source_node, self._source),
            *self._incomplete(target["host"], self._guest.target_node, self._target),
        ]
        if self._is_mdev:
            found.append(
                f"{label(target)}: Proxmox VE makes the mdev itself, with a UUID of its own: do not prepare the plan's"
            )
        lost = [
            each
            for each in given_to(self._placement["target"])
            if not (self._type and each.startswith("nvidia/current_vgpu_type="))
        ]
        if lost:
            found.append(
                f"{label(target)}: a mapping has no attributes, and the plan has {', '.join(lost)}; Proxmox VE does not write them"
            )
        return found

    def _incomplete(self, host: str, node: str, function: Function | None) -> list[str]:
        """Return what the mapping lacks for a node, which Proxmox VE compares with what is there."""
        unknown = _unknown(function)
        if not unknown:
            return []
        return [
            (
                f"the mapping {self._id} lacks {' and '.join(unknown)} for {node}, which the facts of {host} do not show; add what"
                f" pvesh get /nodes/{node}/hardware/pci shows"
            )
        ]


def _unknown(function: Function | None) -> list[str]:
    """Return the properties of a device's entry that the facts do not state, although Proxmox VE compares them."""
    if function is None:
        return ["path", "id", "iommugroup", "subsystem-id"]
    known = {
        "id": function.vendor,
        "iommugroup": function.iommu_group,
        "subsystem-id": function.subsystem,
    }
    return [name for name, value in known.items() if value is None]


def _entry(node: str, function: Function) -> str:
    """Return what a mapping has for a node."""
    parts = {
        "id": f"{function.vendor}:{function.product}" if function.vendor else None,
        "iommugroup": function.iommu_group,
        "node": node,
        "path": function.address,
        "subsystem-id": f"{function.subsystem[:4]}:{function.subsystem[4:]}"
        if function.subsystem
        else None,
    }
    return ",".join(f"{name}={value}" for name, value in parts.items() if value is not None)


def _section(mapping: ProxmoxMapping) -> str:
    """Return a mapping as the file has it."""
    lines = ["live-migration-capable 1", *(f"map {each}" for each in mapping["map"])]
    lines += ["mdev 1"] if mapping["mdev"] else []
    return "\n".join((mapping["id"], *(f"\t{each}" for each in lines), ""))


def _migration(
    guest: MovingGuest, devices: t.Iterable[_Device], with_conntrack_state: bool
) -> ProxmoxMigration:
    command = ["qm", "migrate", guest.id, guest.target_node, "--online", "1"]
    return ProxmoxMigration(
        vmid=int(guest.id),
        source=guest.source_node,
        target=guest.target_node,
        wave=guest.wave,
        hostpci={each.place: each.hostpci() for each in devices},
        command=[*command, *(["--with-conntrack-state", "1"] if with_conntrack_state else [])],
    )
