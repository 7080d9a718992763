# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""A plan as OpenStack Nova needs it. Pure.

The formats are those of Nova's documents: the options ``[devices] enabled_mdev_types``, ``[mdev_TYPE] device_addresses`` and
``mdev_class``, ``[pci] device_spec`` and ``alias`` of "Compute service configuration options"; the keys ``live_migratable``
and ``managed`` of the specifications "Enable VFIO devices with kernel variant drivers" and "Migrate VFIO devices using
kernel variant drivers" (2025.1); resource classes of "Attaching virtual GPU devices to guests" and "Attaching physical
PCI devices to guests" (PCI in Placement). The command is that of "server migrate" of the OpenStack client.
"""

from __future__ import annotations

import json
import re
import typing as t
from collections import defaultdict

from ansible_collections.vfio.migration.plugins.plugin_utils._executors.functions import (
    Function,
    Functions,
    vgpu_type_of,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._executors.guests import (
    NAME,
    Holding,
    MovingGuest,
    Naming,
    label,
    moving_guests,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.network import given_to
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import (
    NovaMigration,
    NovaMigrations,
    Placement,
    Plan,
)

# From this version of the API on a host can be named for a live migration, and the scheduler checks it.
_API_VERSION = "2.30"
_CHOOSES = (
    "Nova chooses the devices on the host itself: it is given the host, and the kind of device by its configuration, but not"
    " which device the plan has there"
)


def naming_of(guests: t.Any, nodes: t.Any, held: t.Iterable[Holding] = ()) -> Naming:
    """Return what Nova calls guests and hosts; a server has its UUID as the one of its domain. Raise ``FleetError``."""
    return Naming("Nova", guests, nodes, lambda holding: holding.get("vm_uuid"), held=held)


def nova_migrations(plan: Plan, functions: Functions, naming: Naming) -> NovaMigrations:
    """Return what Nova needs to carry out ``plan``; raise ``FleetError``."""
    found, warnings = moving_guests(plan, naming)
    guests = []
    types: dict[tuple[str, str], str] = {}
    for guest in found:
        without = [device for device in guest.devices if _has_no_type(device)]
        warnings += [
            f"{label(device['source'])} is not moved: {label(device['target'])} has a type that is none"
            for device in without
        ]
        if without:
            continue
        taken = _second_types(guest, functions, types)
        warnings += taken
        if not taken:
            guests.append(guest)
            types.update(_types_of(guest, functions))
    hosts: dict[str, _ComputeHost] = defaultdict(_ComputeHost)
    for guest in guests:
        for each in guest.devices:
            warnings.extend(_add(hosts, guest, each, functions))
    aliases = sorted({line for host in hosts.values() for line in host.aliases})
    return NovaMigrations(
        migrations=[_migration(each) for each in guests],
        nova_conf={node: host.text() for node, host in sorted(hosts.items())},
        aliases=_section("pci", aliases),
        warnings=([_CHOOSES] if guests else []) + warnings,
    )


class _ComputeHost:
    """What a host's ``nova.conf`` is to have."""

    def __init__(self) -> None:
        self.types: dict[str, set[str]] = {}
        self.specs: set[str] = set()
        self.aliases: set[str] = set()

    def text(self) -> str:
        """Return the sections; with a single type Nova takes every parent, and the class ``VGPU``."""
        names = sorted(self.types)
        parts = [_section("devices", [f"enabled_mdev_types = {', '.join(names)}"] if names else [])]
        for name in names if len(names) > 1 else ():
            addresses = f"device_addresses = {','.join(sorted(self.types[name]))}"
            parts.append(_section(f"mdev_{name}", [addresses, f"mdev_class = {_class(name)}"]))
        parts.append(_section("pci", [*sorted(self.specs), *sorted(self.aliases)]))
        return "\n".join(part for part in parts if part)


def _add(
    hosts: t.Mapping[str, _ComputeHost],
    guest: MovingGuest,
    placement: Placement,
    functions: Functions,
) -> list[str]:
    """Add what both hosts of a device need for it; return what cannot be said of it."""
    source, target = placement["source"], placement["target"]
    if target["kind"] == "vdpa":
        return [
            (
                f"{label(target)}: Nova has vDPA devices as ports of Neutron alone, and no alias names one; give the server a"
                " port with the VNIC type vdpa"
            )
        ]
    if target["kind"] == "mdev":
        parents = _parents_of(guest, placement, functions)
        return [*_add_type(hosts, placement, parents), *_unwritten(placement)]
    warnings = _unwritten(placement)
    for node, host, address in (
        (guest.source_node, source["host"], source["id"]),
        (guest.target_node, target["host"], target["id"]),
    ):
        function = functions.at(host, address)
        if function is not None:
            warnings += _add_function(hosts[node], host, function, placement)
    return warnings


def _has_no_type(placement: Placement) -> bool:
    """Return whether the type of an mdev would be more than a name in a file of Nova's."""
    target = placement["target"]
    return target["kind"] == "mdev" and not NAME.match(target["type"] or "")


def _parents_of(
    guest: MovingGuest, placement: Placement, functions: Functions
) -> tuple[tuple[str, str | None], ...]:
    """Return the nodes that an mdev leaves and comes to, each with its parent there, ``None`` where the facts do not have it."""
    source, target = placement["source"], placement["target"]
    parent = functions.parent_of(source["host"], source["id"])
    return (guest.source_node, parent), (guest.target_node, target["parent"])


def _types_of(guest: MovingGuest, functions: Functions) -> dict[tuple[str, str], str]:
    """Return the types of a guest's mdevs by node and parent."""
    return {
        (node, parent): str(each["target"]["type"])
        for each in guest.devices
        if each["target"]["kind"] == "mdev"
        for node, parent in _parents_of(guest, each, functions)
        if parent is not None
    }


def _second_types(
    guest: MovingGuest, functions: Functions, types: t.Mapping[tuple[str, str], str]
) -> list[str]:
    """Return why a guest does not move: its mdevs would bring a second type to a parent that has one by ``types``, or by the guest itself."""
    known = {**_types_of(guest, functions), **types}
    return [
        (
            f"{label(each['source'])} is not moved: {parent} on {node} has the type {known[node, parent]} for another device, and Nova"
            f" takes one type for each parent, not {each['target']['type']} as well; plan with another target for it"
        )
        for each in guest.devices
        if each["target"]["kind"] == "mdev"
        for node, parent in _parents_of(guest, each, functions)
        if parent is not None and known[node, parent] != each["target"]["type"]
    ]


def _add_type(
    hosts: t.Mapping[str, _ComputeHost],
    placement: Placement,
    parents: t.Iterable[tuple[str, str | None]],
) -> list[str]:
    name = str(placement["target"]["type"])
    warnings = []
    for node, parent in parents:
        hosts[node].types.setdefault(name, set())
        if parent is None:
            warnings.append(
                f"{label(placement['source'])}: its parent is not known without the facts of {placement['source']['host']}"
            )
        elif NAME.match(parent.replace(":", "-")):
            hosts[node].types[name].add(parent)
    return warnings


def _add_function(
    entry: _ComputeHost, host: str, function: Function, placement: Placement
) -> list[str]:
    """Add a function to the devices that Nova hands out, and an alias for its kind; return what is not known of it."""
    # A variant driver of VFIO is bound already, and must stay: so libvirt does not manage it.
    spec = {"address": function.address, "managed": "no", "live_migratable": "yes"}
    if function.vendor is None or function.product is None:
        entry.specs.add(_option("device_spec", spec))
        return [
            (
                f"pci {function.address} on {host}: vendor and product are not known without the host's facts, so no alias asks"
                " for it"
            )
        ]
    ids = {"vendor_id": function.vendor, "product_id": function.product}
    type_ = vgpu_type_of(function, placement["target"]["attributes"])
    kind = f"{function.vendor}_{function.product}" + (f"_{type_}" if type_ else "")
    resource_class = {"resource_class": _class(f"vfio_{kind}")}
    entry.specs.add(_option("device_spec", {**spec, **ids, **resource_class}))
    # All of one name have to be of one type.
    name = f"vfio-{kind.replace('_', '-')}" + ("" if function.virtual else "-pci")
    alias = {"name": name, "live_migratable": "yes"}
    device_type = {"device_type": "type-VF" if function.virtual else "type-PCI"}
    entry.aliases.add(_option("alias", {**alias, **ids, **device_type, **resource_class}))
    return []


def _unwritten(placement: Placement) -> list[str]:
    lost = given_to(placement["target"])
    if not lost:
        return []
    return [
        (
            f"{label(placement['target'])}: Nova writes no attributes, and the plan has {', '.join(lost)};"
            " make the device before, with the playbook prepare: Nova uses an existing, free mdev"
        )
    ]


def _migration(guest: MovingGuest) -> NovaMigration:
    command = ["openstack", "--os-compute-api-version", _API_VERSION, "server", "migrate"]
    return NovaMigration(
        server=guest.id,
        host=guest.target_node,
        wave=guest.wave,
        command=[*command, "--live-migration", "--host", guest.target_node, "--wait", guest.id],
    )


def _class(name: str) -> str:
    """Return the custom resource class of ``name``, normalised as Nova does it."""
    return "CUSTOM_" + re.sub(r"[^A-Z0-9_]+", "_", name.upper())


def _option(name: str, value: t.Mapping[str, str]) -> str:
    """Return a line for an option that takes JSON, and that may be there several times."""
    return f"{name} = {json.dumps(value, sort_keys=True)}"


def _section(name: str, lines: t.Sequence[str]) -> str:
    return "\n".join((f"[{name}]", *lines, "")) if lines else ""
