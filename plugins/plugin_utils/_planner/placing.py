# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Placements as the contract has them: of a source that becomes a device that is there, or one to be made. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.drivers import (
    driver_profile,
)
from ansible_collections.vfio.migration.plugins.plugin_utils import contract
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.candidates import (
    Creatable,
    Existing,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.descriptor import Descriptor
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import (
    Device,
    Parent,
    ParentFacts,
    open_in_guest,
    open_support,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.cards import (
    why_capacity_unknown,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.network import carried
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import Guest

# A target, and how it was found compatible.
Found = tuple[contract.Target, contract.Match]


def onto(existing: Existing, device: Device) -> Found:
    """Return a ``device`` that is there as a target; ``existing`` is what it is, or one that is equal to it."""
    target: contract.Target = {
        "host": device.host,
        "kind": device.kind,
        "id": device.id,
        "parent": device.parent,
        "type": device.type,
        "attributes": _named(existing.attributes),
        "create": False,
    }
    return target, t.cast(contract.Match, existing.verdict)


def newly_made(
    made: Creatable, host: str, parent: Parent | ParentFacts, type_id: str, new_id: str
) -> Found:
    """Return a device that is to be made under ``parent`` of ``host`` as a target."""
    target: contract.Target = {
        "host": host,
        "kind": parent.kind,
        "id": new_id,
        "parent": parent.id,
        "type": type_id,
        "attributes": _named(made.attributes),
        "create": True,
    }
    return target, {
        "set": made.set,
        "bindings": made.bindings,
        "certainty": "provisional",
        "warnings": [*made.warnings, *(why_capacity_unknown(parent) if parent.card else ())],
    }


def _named(attributes: t.Sequence[tuple[str, str]]) -> list[contract.Attribute]:
    # Most targets are given none.
    return [{"name": name, "value": value} for name, value in attributes] if attributes else []


def placement_of(
    guest: Guest, source: Device, found: Found, wave: int, there: Device | None = None
) -> contract.Placement:
    """Return where one device of a guest goes; ``there`` is the target, where that is a device that is there."""
    target, match = found
    warnings = [
        *match["warnings"],
        *open_support("the source", source.descriptor, source.supported),
    ]
    to_set: t.Sequence[str] = ()
    if there is not None:
        network, to_set = carried(source, there)
        if network:
            target = t.cast(contract.Target, {**target, "network": network})
        warnings += open_support("the target", there.descriptor, there.supported)
    warnings += open_in_guest(source, guest.devices, there, target["host"])
    if source.descriptor is not None and source.descriptor.derived:
        # A descriptor of the driver's own says all that there is to say.
        warnings += _of_driver(source, source.descriptor, target)
    warnings += to_set
    placement: contract.Placement = {
        "vm": guest.name,
        "source": source.label,
        "target": target,
        "set": match["set"],
        "bindings": match["bindings"],
        "certainty": match["certainty"],
        "warnings": warnings,
        "wave": wave,
    }
    if source.in_use is not None and source.in_use.uuid is not None:
        placement["vm_uuid"] = source.in_use.uuid
    return placement


def _of_driver(source: Device, descriptor: Descriptor, target: contract.Target) -> t.Iterator[str]:
    """Yield what the driver of ``source``, of which this is the ``descriptor``, is announced to want of the target's name, and is not so."""
    driver = descriptor.self_attributes.get("driver")
    if driver_profile(source.kind, driver).same_uuid is not None and target["id"] != source.id:
        yield (
            f"the announced migration of {driver} wants the target to have the UUID of the source, {source.id}, and it is"
            f" {target['id']}: another device of {target['host']} may have that"
        )
