# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What the facts state of the PCI functions that devices are, or are made on. Pure."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.identifiers import (
    PCI_ADDRESS,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import Fleet, Host
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import Attribute

_IDS = re.compile("[0-9a-f]{8}")
# The type that a PCI device has where its driver states none: the ids of the device, and those of its board.
_SIGNATURE = re.compile("pci-[0-9a-f]{8}-([0-9a-f]{8})")
_TYPE_NUMBER = re.compile("[1-9][0-9]{0,9}")
_TYPE_OF_FUNCTION = "nvidia/current_vgpu_type"


class Function(t.NamedTuple):
    """A PCI function of a host: its vendor and product, each four hex digits, and its IOMMU group, ``None`` where unknown.

    ``subsystem`` has vendor and device of the board, likewise. ``virtual`` is whether it is a virtual function. ``vgpu_type``
    is the type of vGPU that it has been given, as its driver numbers them.
    """

    address: str
    vendor: str | None
    product: str | None
    iommu_group: int | None = None
    subsystem: str | None = None
    virtual: bool = False
    vgpu_type: str | None = None


class Functions:
    """The PCI functions of a fleet by host and address, and the parents of its mdevs."""

    def __init__(self, fleet: Fleet) -> None:
        self._found: dict[tuple[str, str], Function] = {}
        self._parents: dict[tuple[str, str], str | None] = {}
        for name, host in fleet.hosts.items():
            self._read(name, host)

    def at(self, host: str, address: str | None) -> Function | None:
        """Return the function of ``host`` at ``address``, ``None`` where that is none, as the parent of an mdev may be."""
        if address is None or not PCI_ADDRESS.match(address):
            return None
        nothing = Function(address, None, None)
        return self._found.get((host, address), nothing)

    def parent_of(self, host: str, mdev: str) -> str | None:
        """Return the parent of an mdev that is there, ``None`` where the facts do not have it."""
        return self._parents.get((host, mdev))

    def _read(self, name: str, host: Host) -> None:
        groups = _iommu_groups(host.facts)
        for parent in host.parents:
            if parent.kind == "mdev":
                board = dict(parent.given).get("subsystem_id")
                found = _function(parent.id, parent.pci_id)._replace(
                    subsystem=board if board and _IDS.fullmatch(board) else None,
                    virtual=parent.card is not None,
                )
                self._found[name, parent.id] = found
        for each in host.devices:
            self._parents[name, each.id] = each.parent
            if each.kind == "pci":
                pci_id = each.descriptor.self_attributes.get("pci_id") if each.descriptor else None
                signature = _SIGNATURE.fullmatch(each.type or "")
                self._found[name, each.id] = _function(each.id, pci_id)._replace(
                    iommu_group=groups.get(each.id),
                    subsystem=signature[1] if signature else None,
                    virtual=each.parent is not None,
                    vgpu_type=dict(each.attributes).get(_TYPE_OF_FUNCTION),
                )


def _function(address: str, pci_id: str | None) -> Function:
    known = pci_id is not None and _IDS.fullmatch(pci_id)
    return Function(address, *((pci_id[:4], pci_id[4:]) if pci_id and known else (None, None)))


def vgpu_type_of(function: Function | None, attributes: t.Iterable[Attribute]) -> str | None:
    """Return the type of vGPU that a function is to have by a plan's ``attributes``, else the one that it has; ``None`` for none."""
    given = {each["name"]: each["value"] for each in attributes}
    found = given.get(_TYPE_OF_FUNCTION) or (function.vgpu_type if function else None)
    return found if found and _TYPE_NUMBER.fullmatch(found) else None


def _iommu_groups(facts: t.Mapping[str, t.Any]) -> dict[str, int]:
    """Return the IOMMU groups of a host's PCI functions, which nothing else is decided by; what is odd there has none."""
    return {
        each["id"]: each["iommu_group"]
        for each in facts.get("devices", ())
        if isinstance(each, t.Mapping)
        and isinstance(each.get("id"), str)
        and isinstance(each.get("iommu_group"), int)
        and not isinstance(each["iommu_group"], bool)
        and each["iommu_group"] >= 0
    }
