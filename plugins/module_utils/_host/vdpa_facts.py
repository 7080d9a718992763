# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The facts of vDPA devices and of the management devices that they are created on."""

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.virtio import (
    DEVICE_API,
    feature_names,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.device import (
    driver_name,
    numa_node,
    pci_id,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.gathering import (
    Facts,
    Gathering,
    migration_facts,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.reading import reading
from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import Sysfs
from ansible_collections.vfio.migration.plugins.module_utils._host.vdpa import (
    VDPA_DEVICES,
    Bus,
    ManagementDevice,
    VdpaDevice,
    ask,
    device_nodes,
    driver,
    migration_support,
    no_answer,
)


class _Card(t.NamedTuple):
    driver: str | None = None
    pci_id: str | None = None
    numa_node: int | None = None


class VdpaFacts:
    """The facts of what ``ask_vdpa`` returns, by default what the kernel answers if the tree is its own."""

    def __init__(
        self, gathering: Gathering, ask_vdpa: t.Callable[[Sysfs], Bus] | None = None
    ) -> None:
        self._gathering = gathering
        self._sysfs = gathering.sysfs
        self._bus = Bus()
        with gathering.noting_problems():
            self._bus = (ask_vdpa or (ask if self._sysfs.live else no_answer))(self._sysfs)
        gathering.problems += self._bus.problems
        self._cards = {each.name: self._card(each.name) for each in self._bus.management_devices}

    def parents(self) -> list[Facts]:
        """Return the facts of all management devices."""
        used = {each.parent for each in self._bus.devices}
        return [self._parent(each, each.name in used) for each in self._bus.management_devices]

    def devices(self) -> list[Facts]:
        """Return the facts of all vDPA devices."""
        return [self._device(each) for each in self._bus.devices]

    def _parent(self, device: ManagementDevice, used: bool) -> Facts:
        card = self._cards[device.name]
        return {
            "kind": "vdpa",
            "id": device.name,
            "driver": card.driver,
            "pci_id": card.pci_id,
            "numa_node": card.numa_node,
            # A class is to it what a type is to others. Whether it can have several devices, the kernel does not show.
            "types": [
                {
                    "id": each,
                    "name": None,
                    "device_api": DEVICE_API,
                    "available_instances": 0 if used else 1,
                    "description": None,
                }
                for each in device.classes
            ],
            "supported_classes": device.classes,
            "max_supported_vqs": device.max_vqs,
            "dev_features": feature_names(device.features or 0, device.device_class),
            "dev_features_mask": None if device.features is None else hex(device.features),
        }

    def _device(self, device: VdpaDevice) -> Facts:
        card = self._cards.get(device.parent, _Card())
        driver_of, descriptor = None, None
        nodes: list[str] = []
        with self._gathering.noting_problems():
            driver_of = driver(self._sysfs, device.name)
            nodes = device_nodes(self._sysfs, device.name)
            with reading(self._sysfs.path(VDPA_DEVICES, device.name)):
                descriptor = device.descriptor()
        return self._gathering.device_facts(
            kind="vdpa",
            name=device.name,
            parent=device.parent,
            type_id=device.device_class,
            descriptor=descriptor,
            attributes=device.attributes(),
            numa_node=card.numa_node,
            iommu_group=None,
            driver=driver_of,
            nodes=nodes,
            migration=migration_facts(*migration_support(driver_of)),
        )

    def _card(self, management_device: str) -> _Card:
        """Return what sysfs shows of the card behind a management device, as far as it can be read."""
        bus, slash, name = management_device.partition("/")
        driver_of, pci, node = None, None, None
        if slash:
            place = ("bus", bus, "devices", name)
            with self._gathering.noting_problems(), reading(
                self._sysfs.path(*place)
            ), self._sysfs.open(*place) as directory:
                entries = directory.entries()
                driver_of = driver_name(directory, entries)
                pci = pci_id(directory, entries)
                node = numa_node(directory, entries)
        return _Card(driver_of, pci, node)
