# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""A host's VFIO and vDPA devices and the parents that more can be made on: the facts."""

from __future__ import annotations

from ansible_collections.vfio.migration.plugins.module_utils._descriptor import (
    attributes as attributes_module,
)
from ansible_collections.vfio.migration.plugins.module_utils._descriptor import drivers
from ansible_collections.vfio.migration.plugins.module_utils._host.device import (
    MDEV_DEVICES,
    MDEV_PARENTS,
    PCI_DEVICES,
    MediatedDevice,
    Parent,
    PciDevice,
    driver_name,
    is_vfio_driver_name,
    numa_node,
    pci_id,
    read_descriptor,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.pci_usage import (
    why_not_assignable,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.processes import nodes
from ansible_collections.vfio.migration.plugins.module_utils._host.reading import (
    HostReadError,
    displayable,
    reading,
)

TYPE_CHECKING = False
if TYPE_CHECKING:  # pragma: no cover
    import types
    import typing as t

    from ansible_collections.vfio.migration.plugins.module_utils._host.device import Device
    from ansible_collections.vfio.migration.plugins.module_utils._host.devlink import Port
    from ansible_collections.vfio.migration.plugins.module_utils._host.processes import Holders
    from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import Sysfs
    from ansible_collections.vfio.migration.plugins.module_utils._host.vdpa import (
        Bus,
        ManagementDevice,
        VdpaDevice,
    )

SCHEMA = 1
KINDS = ("mdev", "pci", "vdpa")

_VDPA_BUS = "bus/vdpa"
_DEBUGFS = ("kernel", "debug", "vfio")
# What one file of debugfs gives here is a word, or a few lines of one word each.
_MAX_STATE = 256


def _vdpa_module() -> types.ModuleType:
    """The reader of vDPA devices, which few hosts have: for the others it would take longer to load than they to read."""
    from ansible_collections.vfio.migration.plugins.module_utils._host import vdpa as vdpa_module

    return vdpa_module


def _virtio_module() -> types.ModuleType:
    from ansible_collections.vfio.migration.plugins.module_utils._descriptor import (
        virtio as virtio_module,
    )

    return virtio_module


class Inventory:
    """Collects the facts of one host; ``scan_holders`` is asked only where there is a device.

    ``ask_vdpa`` tells of vDPA devices, and ``port`` what devlink knows of a virtual function, by default the running kernel
    where ``sysfs`` is its own.
    """

    def __init__(
        self,
        sysfs: Sysfs,
        scan_holders: t.Callable[[], Holders],
        ask_vdpa: t.Callable[[Sysfs], Bus] | None = None,
        port: t.Callable[[str], Port | None] | None = None,
    ) -> None:
        self._sysfs = sysfs
        self._scan_holders = scan_holders
        self._ask_vdpa = ask_vdpa
        self._port = port or self._devlink_port
        self._holders: Holders | None = None
        self._parents: dict[str, Parent] = {}
        self._descriptors: dict[str, dict[str, t.Any]] = {}
        self._problems: list[HostReadError] = []

    def facts(self, kinds: t.Container[str]) -> dict[str, t.Any]:
        """The facts of all devices of ``kinds``."""
        devices: list[dict[str, t.Any]] = []
        parents: list[dict[str, t.Any]] = []
        if "mdev" in kinds:
            parents = list(self._each(MDEV_PARENTS, self._parent))
            devices += self._each(MDEV_DEVICES, self._mediated)
        if "pci" in kinds:
            devices += self._each(PCI_DEVICES, self._pci)
        if "vdpa" in kinds and self._sysfs.exists(_VDPA_BUS):
            bus = self._vdpa_bus()
            used = {each.parent for each in bus.devices}
            parents += [
                self._management_device(each, each.name in used) for each in bus.management_devices
            ]
            nodes_of = {parent["id"]: parent["numa_node"] for parent in parents}
            devices += [self._vdpa(each, nodes_of.get(each.parent)) for each in bus.devices]
        parents.sort(key=lambda parent: (parent["id"], parent["kind"]))
        devices.sort(key=lambda device: (device["id"], device["kind"]))
        problems = [{"path": each.path, "problem": each.problem} for each in self._problems]
        facts = {
            "schema": SCHEMA,
            "descriptors": dict(sorted(self._descriptors.items())),
            "devices": devices,
            "parents": parents,
            "problems": sorted(problems, key=lambda each: (each["path"], each["problem"])),
        }
        return {name: _displayable(fact) for name, fact in facts.items()}

    def _each(
        self, place: str, read: t.Callable[[str], dict[str, t.Any] | None]
    ) -> t.Iterator[dict[str, t.Any]]:
        """What ``read`` gives for each name at ``place``; a device that goes away meanwhile is left out."""
        try:
            with reading(self._sysfs.path(place)):
                names = self._sysfs.names(place)
        except HostReadError as problem:
            self._problems.append(problem)
            return
        for name in names:
            before = len(self._problems)
            try:
                found = read(name)
            except HostReadError as problem:
                self._problems.append(problem)
                found = None
            if len(self._problems) > before and not self._sysfs.exists(place, name):
                path = self._sysfs.path(place, name)
                self._problems[before:] = [HostReadError(path, "vanished while it was read")]
            elif found is not None:
                yield found

    def _parent(self, name: str) -> dict[str, t.Any]:
        parent = self._parents[name] = Parent(self._sysfs, name)
        types = []
        for type_id in parent.type_ids():
            try:
                types.append(parent.read_type(type_id))
            except HostReadError as problem:
                self._problems.append(problem)
        return {
            "kind": "mdev",
            "id": name,
            "driver": parent.driver,
            "pci_id": parent.pci_id,
            "numa_node": parent.numa_node,
            "types": types,
        }

    def _mediated(self, name: str) -> dict[str, t.Any]:
        with MediatedDevice(self._sysfs, name, self._parents) as device:
            node = None
            try:
                node = device.parent_device().numa_node
            except HostReadError as problem:
                self._problems.append(problem)
            return self._device(device, device.parent, device.type, node)

    def _pci(self, name: str) -> dict[str, t.Any] | None:
        with reading(self._sysfs.path(PCI_DEVICES, name)):
            driver = self._sysfs.link(PCI_DEVICES, name, "driver")
        if not (
            (driver is not None and self._is_vfio_driver(name, driver))
            or self._sysfs.exists(PCI_DEVICES, name, "migration")
        ):
            return None
        with PciDevice(self._sysfs, name) as device:
            node = numa_node(device.directory, device.entries)
            facts = self._device(device, device.physical_function, device.signature, node)
            self._add_choices(device, facts["attributes"])
        own = self._descriptors.get(facts["descriptor"])
        if own:
            facts["type"] = own["self"]["type"]
        return facts

    def _add_choices(self, device: PciDevice, attributes: list[dict[str, t.Any]]) -> None:
        """Adds to the attribute that a device must be given before it is of use the values that it takes now."""
        known = device.driver_profile()
        if known.idle is None or known.choices is None:
            return
        for attribute in attributes:
            if (attribute["name"], attribute["value"]) == known.idle:
                try:
                    table = device.text(known.choices, drivers.MAX_CHOICES)
                    attribute["choices"] = drivers.choices(table)
                except HostReadError as problem:
                    self._problems.append(problem)

    def _is_vfio_driver(self, name: str, driver: str) -> bool:
        return is_vfio_driver_name(driver) or self._sysfs.exists(PCI_DEVICES, name, "vfio-dev")

    def _vdpa_bus(self) -> Bus:
        vdpa = _vdpa_module()
        ask = self._ask_vdpa or (vdpa.ask if self._sysfs.live else vdpa.no_answer)
        bus: Bus = vdpa.Bus()
        try:
            bus = ask(self._sysfs)
        except HostReadError as problem:
            self._problems.append(problem)
        self._problems += bus.problems
        return bus

    def _management_device(self, device: ManagementDevice, used: bool) -> dict[str, t.Any]:
        virtio, features = _virtio_module(), device.features
        facts: dict[str, t.Any] = {
            "kind": "vdpa",
            "id": device.name,
            "driver": None,
            "pci_id": None,
            "numa_node": None,
            # A class is to it what a type is to others. That it can make several devices, it does not tell.
            "types": [
                {
                    "id": each,
                    "name": None,
                    "device_api": virtio.DEVICE_API,
                    "available_instances": 0 if used else 1,
                    "description": None,
                }
                for each in device.classes
            ],
            "supported_classes": device.classes,
            "max_supported_vqs": device.max_vqs,
            "dev_features": virtio.feature_names(features or 0, device.device_class),
            "dev_features_mask": None if features is None else hex(features),
        }
        bus, slash, name = device.name.partition("/")
        if slash:
            place = ("bus", bus, "devices", name)
            try:
                with reading(self._sysfs.path(*place)), self._sysfs.open(*place) as directory:
                    entries = directory.entries()
                    facts["driver"] = driver_name(directory, entries)
                    facts["pci_id"] = pci_id(directory, entries)
                    facts["numa_node"] = numa_node(directory, entries)
            except HostReadError as problem:
                self._problems.append(problem)
        return facts

    def _vdpa(self, device: VdpaDevice, node: int | None) -> dict[str, t.Any]:
        vdpa = _vdpa_module()
        descriptor, driver = None, None
        device_nodes: list[str] = []
        try:
            driver = vdpa.driver(self._sysfs, device.name)
            device_nodes = vdpa.device_nodes(self._sysfs, device.name)
            with reading(self._sysfs.path(vdpa.VDPA_DEVICES, device.name)):
                descriptor = device.descriptor()
        except HostReadError as problem:
            self._problems.append(problem)
        supported, evidence = vdpa.migration(driver)
        return {
            "kind": "vdpa",
            "id": device.name,
            "parent": device.parent,
            "type": device.device_class,
            "descriptor": self._intern(descriptor),
            "attributes": device.attributes(),
            "numa_node": node,
            "iommu_group": None,
            "driver": driver,
            "in_use": self._holder(device_nodes),
            "migration": {
                "supported": supported,
                "evidence": evidence,
                "features": [],
                "state": None,
            },
        }

    def _device(
        self, device: Device, parent: str | None, type_id: str, node: int | None
    ) -> dict[str, t.Any]:
        descriptor, attributes, problems = read_descriptor(device)
        self._problems += problems
        group = device.iommu_group
        return {
            "kind": device.kind,
            "id": device.id,
            "parent": parent,
            "type": type_id,
            "descriptor": self._intern(descriptor),
            "attributes": attributes,
            "numa_node": node,
            "iommu_group": group,
            "driver": device.link("driver"),
            "in_use": self._holder(nodes(group, device.character_devices())),
            "migration": self._migration(device, attributes),
        }

    def _devlink_port(self, address: str) -> Port | None:
        # As with vDPA, few hosts have such devices.
        from ansible_collections.vfio.migration.plugins.module_utils._host import devlink

        return devlink.Devlink(self._sysfs).port(address)

    def _holder(self, device_nodes: list[str]) -> dict[str, t.Any] | None:
        if self._holders is None:
            self._holders = self._scan_holders()
        return self._holders.holder_of(device_nodes)

    def _intern(self, descriptor: dict[str, t.Any] | None) -> str | None:
        if descriptor is None:
            return None
        name = attributes_module.digest(descriptor["self"], descriptor["compatible"])
        self._descriptors.setdefault(name, descriptor)
        return name

    def _migration(self, device: Device, attributes: list[dict[str, str]]) -> dict[str, t.Any]:
        """Whether the device can migrate: debugfs (``debugfs-vfio`` in the kernel's ABI) tells, else what is known of its driver."""
        name = device.id
        state, features = None, None
        # The kernel makes the device's directory with every VFIO device, and migration in it only where the driver can.
        if self._sysfs.exists(*_DEBUGFS, name):
            evidence = "debugfs"
            supported: bool | None = self._sysfs.exists(*_DEBUGFS, name, "migration")
            if supported:
                state = self._debug_text(name, "state")
                features = self._debug_text(name, "features")
        else:
            supported, evidence = drivers.migration_support(
                device.kind, self._driver(device), attributes, self._sysfs.kernel_release
            )
        obstacle = self._obstacle(device) if isinstance(device, PciDevice) else None
        if obstacle is not None:
            supported, evidence = False, obstacle
        return {
            "supported": supported,
            "evidence": evidence,
            "features": features.split() if features else [],
            "state": state,
        }

    def _obstacle(self, device: PciDevice) -> str | None:
        """What keeps a device from migration whatever its driver can; ``None`` where nothing is known to."""
        obstacle = None
        try:
            obstacle = why_not_assignable(device)
            if obstacle is None and device.driver_profile().switched:
                port = self._port(device.id)
                if port is not None and port.migratable is False:
                    obstacle = f"devlink shows that its port {port.name} is not migratable"
        except HostReadError as problem:
            self._problems.append(problem)
        return obstacle

    def _driver(self, device: Device) -> str | None:
        """The driver that has made the device what it is: of a mediated device, its parent's."""
        if isinstance(device, MediatedDevice):
            parent = self._parents.get(device.parent)
            return parent.driver if parent else None
        return device.link("driver")

    def _debug_text(self, name: str, file: str) -> str | None:
        names = (*_DEBUGFS, name, "migration", file)
        try:
            with reading(self._sysfs.path(*names)):
                return attributes_module.decode(self._sysfs.read(*names, limit=_MAX_STATE)).strip()
        except HostReadError as problem:
            # Kernels before 6.18 have no features.
            if not isinstance(problem.__cause__, FileNotFoundError):
                self._problems.append(problem)
            return None


def _displayable(fact: t.Any) -> t.Any:
    if isinstance(fact, str):
        return displayable(fact)
    if isinstance(fact, dict):
        return {name: _displayable(each) for name, each in fact.items()}
    if isinstance(fact, list):
        return [_displayable(each) for each in fact]
    return fact
