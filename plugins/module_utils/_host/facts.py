# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The facts of a host: its VFIO and vDPA devices, and the parents that more can be created on."""

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.module_utils._descriptor import drivers
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.identifiers import (
    KINDS,
    MDEV,
    PCI,
    VDPA,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.device import (
    Device,
    MediatedDevice,
    Parent,
    PciDevice,
    is_of_another_api,
    is_vfio_driver_name,
    numa_node,
    pci_id,
    read_descriptor,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.gathering import (
    Facts,
    Gathering,
    migration_facts,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.moment import moment
from ansible_collections.vfio.migration.plugins.module_utils._host.nvidia_facts import (
    AskNvml,
    NvidiaFacts,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.pci_usage import (
    why_not_assignable,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.processes import Holders, nodes
from ansible_collections.vfio.migration.plugins.module_utils._host.reading import (
    HostReadError,
    read_kernel_text,
    reading,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import (
    MDEV_DEVICES,
    MDEV_PARENTS,
    PCI_DEVICES,
    Sysfs,
)

# The readers of vDPA devices, of devlink and of what is set of virtual functions are loaded where there is something to read, as few hosts need them and most
# of what the facts cost is loading.
if t.TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.vfio.migration.plugins.module_utils._host.devlink import Port
    from ansible_collections.vfio.migration.plugins.module_utils._host.vdpa import Bus
    from ansible_collections.vfio.migration.plugins.module_utils._host.vf_network import Settings

SCHEMA = 1

_VDPA_BUS = "bus/vdpa"
_DEBUGFS = ("kernel", "debug", "vfio")


def gather_facts(
    sysfs: Sysfs,
    scan_holders: t.Callable[[], Holders],
    kinds: t.Container[str] = KINDS,
    ask_vdpa: t.Callable[[Sysfs], Bus] | None = None,
    find_port: t.Callable[[str], Port | None] | None = None,
    ask_nvml: AskNvml | None = None,
    seconds: float = 30,
    ask_network: t.Callable[[str], t.Mapping[str, Settings]] | None = None,
) -> Facts:
    """Return the facts of all devices of ``kinds``.

    ``scan_holders`` is called only where there is a device. ``ask_vdpa`` returns the vDPA devices, and ``find_port`` the
    devlink port of the virtual function at an address. ``ask_nvml`` returns the answer of NVIDIA's library, if there is
    one. ``ask_network`` returns what is set of each virtual function of a network card, by address. By default they ask the
    running kernel, or for so many ``seconds`` the host's library, if ``sysfs`` is the running kernel's.
    """
    # The time before the first look: nothing in the facts is older.
    gathered = moment(sysfs)
    gathering = Gathering(sysfs, scan_holders)
    nvidia = NvidiaFacts(gathering, ask_nvml, seconds)
    devices: list[Facts] = []
    parents: list[Facts] = []
    if MDEV in kinds:
        mdev = _MdevFacts(gathering, nvidia)
        parents += mdev.parents()
        devices += mdev.devices()
    if PCI in kinds:
        devices += _PciFacts(
            gathering,
            nvidia,
            find_port or _devlink_port(sysfs),
            ask_network or _network(sysfs),
        ).devices()
    if VDPA in kinds and sysfs.exists(_VDPA_BUS):
        from ansible_collections.vfio.migration.plugins.module_utils._host.vdpa_facts import (
            VdpaFacts,
        )

        vdpa = VdpaFacts(gathering, ask_vdpa)
        parents += vdpa.parents()
        devices += vdpa.devices()
    return gathering.facts(SCHEMA, gathered, devices, parents, nvidia.facts)


class _MdevFacts:
    """The facts of mediated devices and of their parents."""

    def __init__(self, gathering: Gathering, nvidia: NvidiaFacts) -> None:
        self._gathering = gathering
        self._sysfs = gathering.sysfs
        self._nvidia = nvidia
        self._parents: dict[str, Parent] = {}

    def parents(self) -> list[Facts]:
        """Return the facts of all parents."""
        return self._gathering.each(MDEV_PARENTS, self._parent)

    def devices(self) -> list[Facts]:
        """Return the facts of all mediated devices."""
        return self._gathering.each(MDEV_DEVICES, self._device)

    def _parent(self, name: str) -> Facts | None:
        parent = self._parents[name] = Parent(self._sysfs, name)
        types = []
        others = 0
        for type_id in parent.type_ids():
            with self._gathering.noting_problems():
                found = parent.read_type(type_id)
                if is_of_another_api(found["device_api"]):
                    others += 1
                else:
                    types.append(found)
        if others and not types:
            return None
        facts: Facts = {
            "kind": MDEV,
            "id": name,
            "driver": parent.driver,
            "pci_id": parent.pci_id,
            "numa_node": parent.numa_node,
            "types": types,
        }
        if parent.physical_function is not None:
            facts["physical_function"] = parent.physical_function
        if given := self._given(parent):
            facts["self"] = given
        if found := self._nvidia.configuration(parent.driver, name):
            facts["configuration"] = found
        return facts

    @staticmethod
    def _given(parent: Parent) -> dict[str, str]:
        """Return what a new device would have of its parent; nothing where that cannot be read, as the facts of its devices state."""
        try:
            return parent.given()
        except HostReadError:
            return {}

    def _device(self, name: str) -> Facts | None:
        with MediatedDevice(self._sysfs, name, self._parents) as device:
            if self._is_no_vfio_device(device):
                return None
            node = None
            with self._gathering.noting_problems():
                node = device.parent_device().numa_node
            descriptor, attributes, problems = read_descriptor(device)
            self._gathering.problems += problems
            group = device.iommu_group
            return self._gathering.device_facts(
                kind=device.kind,
                name=device.id,
                parent=device.parent,
                type_id=device.type,
                descriptor=self._with_configuration(device, descriptor),
                attributes=attributes,
                numa_node=node,
                iommu_group=group,
                driver=device.link("driver"),
                nodes=nodes(group, device.character_devices()),
                migration=_migration(
                    self._gathering, device, self._parent_driver(device), attributes
                ),
            )

    def _is_no_vfio_device(self, device: MediatedDevice) -> bool:
        """Return whether its type is one of another API than VFIO's, such as that of a network function of mlx5."""
        try:
            return is_of_another_api(device.parent_device().device_api(device.type))
        except HostReadError:
            # The error is reported where the device itself is read.
            return False

    def _with_configuration(self, device: MediatedDevice, descriptor: Facts | None) -> Facts | None:
        """Return ``descriptor`` with what is known of the GPU that the device is on, where it is one."""
        found = self._nvidia.configuration(self._parent_driver(device), device.parent, device.id)
        return {**descriptor, "configuration": found} if descriptor and found else descriptor

    def _parent_driver(self, device: MediatedDevice) -> str | None:
        """Return the driver that has made the device what it is; ``None`` where the parent could not be read."""
        parent = self._parents.get(device.parent)
        return parent.driver if parent else None


class _PciFacts:
    """The facts of physical PCI devices and virtual functions."""

    def __init__(
        self,
        gathering: Gathering,
        nvidia: NvidiaFacts,
        find_port: t.Callable[[str], Port | None],
        ask_network: t.Callable[[str], t.Mapping[str, Settings]],
    ) -> None:
        self._gathering = gathering
        self._sysfs = gathering.sysfs
        self._nvidia = nvidia
        self._find_port = find_port
        self._ask_network = ask_network
        self._networks: dict[str, t.Mapping[str, Settings]] = {}

    def devices(self) -> list[Facts]:
        """Return the facts of all devices that VFIO has or that state a descriptor."""
        return self._gathering.each(PCI_DEVICES, self._device)

    def _device(self, name: str) -> Facts | None:
        if not self._is_vfio(name):
            return None
        with PciDevice(self._sysfs, name) as device:
            node = numa_node(device.directory, device.entries)
            parent, signature = device.physical_function, device.signature
            descriptor, attributes, problems = read_descriptor(device)
            self._gathering.problems += problems
            group = device.iommu_group
            held_by = nodes(group, device.character_devices())
            facts = self._gathering.device_facts(
                kind=device.kind,
                name=device.id,
                parent=parent,
                type_id=descriptor["self"]["type"] if descriptor else signature,
                descriptor=self._with_configuration(device, descriptor, held_by),
                attributes=self._with_choices(device, attributes),
                numa_node=node,
                iommu_group=group,
                driver=device.link("driver"),
                nodes=held_by,
                migration=self._migration(device, attributes),
            )
        if parent is not None:
            with self._gathering.noting_problems():
                network = self._network_of(parent).get(name)
                if network is not None:
                    facts["network"] = _checked(self._sysfs.path(PCI_DEVICES, name), network)
        return facts

    def _network_of(self, physical_function: str) -> t.Mapping[str, Settings]:
        """Return what is set of each function of a card, which is asked once; raise ``HostReadError``."""
        if physical_function not in self._networks:
            # A card that does not answer is one problem, not one of each function.
            self._networks[physical_function] = {}
            self._networks[physical_function] = self._ask_network(physical_function)
        return self._networks[physical_function]

    def _with_configuration(
        self, device: PciDevice, descriptor: Facts | None, held_by: list[str]
    ) -> Facts | None:
        """Return ``descriptor`` with what a guest sees of the function, and with what is known of the GPU that it is of."""
        if descriptor is None:
            return None
        found = self._nvidia.configuration(device.link("driver"), device.id)
        with self._gathering.noting_problems():
            idle = self._gathering.holder_of(held_by) is None
            found = {**found, **device.configuration(idle)}
        return {**descriptor, "configuration": found} if found else descriptor

    def _is_vfio(self, name: str) -> bool:
        with reading(self._sysfs.path(PCI_DEVICES, name)):
            driver = self._sysfs.link(PCI_DEVICES, name, "driver")
        if driver is not None and (
            is_vfio_driver_name(driver) or self._sysfs.exists(PCI_DEVICES, name, "vfio-dev")
        ):
            return True
        return self._sysfs.exists(PCI_DEVICES, name, "migration")

    def _with_choices(self, device: PciDevice, attributes: list[dict[str, str]]) -> list[Facts]:
        """Return ``attributes``; one that the device must be given before it is of use has what it takes now."""
        profile = device.driver_profile()
        return [
            {**each, **self._choices(device, profile.choices)}
            if profile.choices and (each["name"], each["value"]) == profile.idle
            else each
            for each in attributes
        ]

    def _choices(self, device: PciDevice, table: str) -> Facts:
        with self._gathering.noting_problems():
            text = device.text(table, drivers.MAX_CHOICES)
            return {
                "choices": drivers.choices(text),
                "choice_names": drivers.choice_names(text),
            }
        return {}

    def _migration(self, device: PciDevice, attributes: list[dict[str, str]]) -> Facts:
        facts = _migration(self._gathering, device, device.link("driver"), attributes)
        with self._gathering.noting_problems():
            obstacle = why_not_assignable(device)
            if obstacle is not None:
                return {**facts, "supported": False, "evidence": obstacle}
            if device.driver_profile().switched:
                return self._as_switched(device, facts)
        return facts

    def _as_switched(self, device: PciDevice, facts: Facts) -> Facts:
        """Return ``facts`` with what devlink shows of a function's switch: off, it keeps the function from migration."""
        port = self._find_port(device.id)
        if port is None or port.migratable is None:
            return facts
        if port.migratable and facts["supported"] is not None:
            return facts
        verb = "is" if port.migratable else "is not"
        evidence = f"devlink shows that its port {port.name} {verb} migratable"
        return {**facts, "supported": port.migratable, "evidence": evidence}


def _devlink_port(sysfs: Sysfs) -> t.Callable[[str], Port | None]:
    def find_port(address: str) -> Port | None:
        from ansible_collections.vfio.migration.plugins.module_utils._host.devlink import Devlink

        return Devlink(sysfs).port(address)

    return find_port


def _checked(path: str, network: Settings) -> Settings:
    """Return what a card's driver shows of a function, where it is such as could be set; raise ``HostReadError``."""
    from ansible_collections.vfio.migration.plugins.module_utils._descriptor.network_settings import (
        why_invalid,
    )

    problem = why_invalid(network)
    if problem is not None:
        raise HostReadError(path, f"what is set of it is nothing that could be set: {problem}")
    return network


def _network(sysfs: Sysfs) -> t.Callable[[str], t.Mapping[str, Settings]]:
    def ask_network(physical_function: str) -> t.Mapping[str, Settings]:
        # Other cards than those of networks have functions, too.
        if not sysfs.exists(PCI_DEVICES, physical_function, "net"):
            return {}
        from ansible_collections.vfio.migration.plugins.module_utils._host.vf_network import (
            VfNetwork,
        )

        interface = VfNetwork(sysfs).interface(physical_function)
        return {} if interface is None else interface.functions

    return ask_network


def _migration(
    gathering: Gathering, device: Device, driver: str | None, attributes: list[dict[str, str]]
) -> Facts:
    """Return whether the device can migrate: not where it has no state, then as debugfs shows, else as far as its ``driver`` is known.

    Files: Documentation/ABI/testing/debugfs-vfio.
    """
    # Debugfs has a directory for a function without a type, too.
    idle = drivers.why_idle(device.kind, driver, attributes)
    if idle is not None:
        return migration_facts(False, idle)
    with gathering.noting_problems():
        shown = device.shown_support(driver)
        if shown is not None:
            return migration_facts(*shown)
    # The kernel makes the device's directory with every VFIO device, and migration in it only where the driver can.
    if not gathering.sysfs.exists(*_DEBUGFS, device.id):
        release = gathering.sysfs.kernel_release
        return migration_facts(
            *drivers.migration_support(device.kind, driver, attributes, release, *_function(device))
        )
    if not gathering.sysfs.exists(*_DEBUGFS, device.id, "migration"):
        hint = drivers.migration_hint(device.kind, driver, *_function(device))
        return migration_facts(False, f"debugfs; {hint}" if hint else "debugfs")
    state = _debug_text(gathering, device, "state")
    features = _debug_text(gathering, device, "features")
    return migration_facts(True, "debugfs", features.split() if features else (), state)


def _function(device: Device) -> tuple[str | None, bool]:
    """Return the PCI id of a device, ``None`` if it has none, and whether it is a virtual function."""
    return pci_id(device.directory, device.entries), "physfn" in device.entries


def _debug_text(gathering: Gathering, device: Device, name: str) -> str | None:
    # Kernels before 6.18 have no features.
    with gathering.noting_problems():
        return read_kernel_text(gathering.sysfs, *_DEBUGFS, device.id, "migration", name)
    return None
