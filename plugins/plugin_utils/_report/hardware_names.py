# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What people call hardware: models by their PCI ids, types by the names that drivers give them. Pure."""

from __future__ import annotations

import re
import typing as t
from collections import defaultdict

from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import Fleet

# What is known of vendors without the database of PCI ids.
_VENDORS = {
    "1002": "AMD",
    "1014": "IBM",
    "10de": "NVIDIA",
    "15b3": "Mellanox",
    "1af4": "Red Hat",
    "8086": "Intel",
}
# What the names of companies end with.
_COMPANY = re.compile(
    r"(?:,?\s+(?:Inc|Corporation|Corp|Technologies|Technology|Ltd|Limited|Co|GmbH|AG)\b\.?)+\Z"
)
# The type that a physical or virtual function has by its PCI ids.
_SIGNATURE = re.compile(r"pci-([0-9a-f]{8})(?:-[0-9a-f]{8})?\Z")
# A line of the database: a vendor, or a device of the last one after a tab (pci.ids(5)).
_ENTRY = re.compile(r"(\t?)([0-9a-f]{4})  +(\S.*)\Z")


class HardwareNames:
    """The names of a fleet's hardware; ``models`` are those of PCI ids."""

    def __init__(self, fleet: Fleet, models: t.Mapping[str, str]) -> None:
        self._models = models
        self._types: dict[str, str] = {}
        for equipment in {host.equipment for host in fleet.hosts.values()}:
            for parent in equipment:
                for each in parent.types:
                    if each.name and each.name != each.id:
                        self._types.setdefault(each.id, each.name)
        # By attribute, as the values of one may be those of another.
        self._values: dict[str, dict[str, str]] = defaultdict(dict)
        self._fleet = fleet
        self._read: set[str] = set()

    def model(self, pci_id: str | None) -> str | None:
        """Return the vendor and model of a PCI id, as far as they are known; ``None`` where neither is."""
        if not pci_id:
            return None
        vendor = _VENDORS.get(pci_id[:4])
        return self._models.get(pci_id) or (vendor and f"{vendor} {pci_id}")

    def type(self, type_id: str | None, kind: str = "") -> str:
        """Return what a type is called, with its id where that is something else."""
        signature = _SIGNATURE.match(type_id or "")
        if signature is not None:
            name = self.model(signature.group(1))
            return f"{name} function" if name else f"function {signature.group(1)}"
        name = self._types.get(type_id or "")
        return f"{name} ({type_id})" if name else type_id or kind

    def value(self, host: str, attribute: str, value: str) -> str | None:
        """Return the name of the value that a device of ``host`` is given, as that of a vGPU type; ``None`` where it has none."""
        if host not in self._read and host in self._fleet.hosts:
            self._read.add(host)
            for device in self._fleet.hosts[host].devices:
                if device.choices is not None:
                    names = zip(device.choices.values, device.choices.names, strict=False)
                    self._values[device.choices.attribute].update(names)
        return self._values[attribute].get(value) or None


def pci_ids(fleet: Fleet) -> set[str]:
    """Return the PCI ids of the fleet's parents and devices."""
    found = {
        parent.pci_id for host in fleet.hosts.values() for parent in host.equipment if parent.pci_id
    }
    descriptors = {each.descriptor for host in fleet.hosts.values() for each in host.classes}
    return found | {
        own for each in descriptors if each and (own := each.self_attributes.get("pci_id", ""))
    }


def models_in(database: t.Iterable[str], wanted: t.Collection[str]) -> dict[str, str]:
    """Return vendor and model of the ``wanted`` PCI ids, from the lines of the ``database`` of PCI ids."""
    found: dict[str, str] = {}
    vendor, vendor_name = "", ""
    for line in database:
        entry = _ENTRY.match(line.rstrip("\n"))
        if entry is None:
            # The classes, at the end, begin with a letter.
            vendor = "" if line[:1].isalpha() else vendor
        elif not entry.group(1):
            vendor, vendor_name = entry.group(2), _COMPANY.sub("", entry.group(3).strip())
        elif (pci_id := vendor + entry.group(2)) in wanted:
            found[pci_id] = f"{vendor_name} {entry.group(3).strip()}"
    return found
