# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What is to be changed so that a host has its PCI devices as the user wants them.

Compares and checks; changes nothing. ``pci_apply`` makes the changes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
import typing as t

from ansible_collections.vfio.migration.plugins.module_utils._change.attributes import (
    check_accepted,
    needed_writes,
    validate_accept,
    validate_attributes,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.boot_units import (
    BootUnits,
    DefinedUnit,
    Definition,
    FunctionsDefinition,
    PciDefinition,
    VdpaDefinition,
    functions_unit,
    pci_unit,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.errors import (
    InvalidRequest,
    Refused,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.original_state import (
    OriginalState,
    OriginalStates,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.pci_definitions import (
    ToDefine,
    definition_word,
    lock_of,
    stated_definition,
    to_define,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.pci_vgpu_type import VgpuType
from ansible_collections.vfio.migration.plugins.module_utils._change.plan import (
    ABSENT,
    CONFIGURED,
    DEFINED,
    PRESENT,
    REDEFINED,
    UNCHANGED,
    DeviceChange,
    HostChanges,
    check_distinct,
)
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.attributes import shown
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.identifiers import (
    PCI_ADDRESS,
    attribute_list,
    attribute_pairs,
)
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.network_settings import (
    NO_MAC,
    needed_changes,
    why_invalid,
)
from ansible_collections.vfio.migration.plugins.module_utils._host import pci_driver
from ansible_collections.vfio.migration.plugins.module_utils._host.device import (
    PciDevice,
    read_descriptor,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.devlink import Devlink, Port
from ansible_collections.vfio.migration.plugins.module_utils._host.pci_driver import (
    PCI_DRIVERS,
    Binding,
    read_binding,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.pci_usage import (
    interface_with,
    why_in_use,
    why_not_assignable,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.processes import Holders
from ansible_collections.vfio.migration.plugins.module_utils._host.reading import (
    HostReadError,
    read_text,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import PCI_DEVICES, Sysfs
from ansible_collections.vfio.migration.plugins.module_utils._host.vf_network import (
    Interface,
    Settings,
    VfNetwork,
)

BOUND = "bound"
RESIZED = "resized"
RESTORED = "restored"

# The class of a PCI device that has disks, as sysfs shows it: PCI Code and ID Assignment Specification, class 01h.
_STORAGE = "0x01"
_DRIVER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}\Z")

_Pairs = t.Sequence[t.Tuple[str, str]]


@dataclasses.dataclass
class PciHost:
    """A host with PCI devices.

    ``can_load`` returns whether a driver that is not there yet can be loaded; ``load`` loads it and raises
    ``ProvisionError`` where that fails. ``units`` are those that make devices again when it starts, ``None`` for a copied
    tree.
    """

    sysfs: Sysfs
    scan_holders: t.Callable[[], Holders]
    is_free_disk: t.Callable[[str], bool]
    can_load: t.Callable[[str], bool]
    load: t.Callable[[str], None]
    original_states: OriginalStates
    devlink: Devlink
    network: VfNetwork
    units: BootUnits | None = None

    def open(self, address: str) -> PciDevice:
        """Open a device."""
        return PciDevice(self.sysfs, address)

    def exists(self, address: str) -> bool:
        """Return whether there is such a device."""
        return self.sysfs.exists(PCI_DEVICES, address)

    def parent(self, address: str) -> str | None:
        """Return the physical function of a virtual one, ``None`` of a device that is none."""
        target = self.sysfs.link(PCI_DEVICES, address, "physfn")
        return None if target is None else target.rpartition("/")[2]

    def lock_name(self, address: str) -> str:
        """Return what keeps two calls on one device apart: its physical function, which makes and removes virtual ones."""
        return self.parent(address) or address

    def defined(self, unit: str) -> DefinedUnit | None:
        """Return what the unit defines, ``None`` where there is none; raise ``HostReadError``."""
        return None if self.units is None else self.units.read(unit)

    def defined_functions(self, device: PciDevice) -> list[DefinedUnit]:
        """Return what is defined of a device's virtual functions, also of those that are not there, and of vDPA devices on them."""
        if self.units is None:
            return []
        names = self.units.names()
        most = pci_driver.most_functions(device)
        addresses = pci_driver.functions(device) + pci_driver.addresses_of_functions(device, most)
        addresses = list(dict.fromkeys(addresses))
        units = (pci_unit(each) for each in addresses)
        functions = (self.defined(each) for each in units if each in names)
        on_them = (each for each in self.units.vdpa() if each.definition.function in addresses)
        # One of a card that had this place before is not of this one.
        return [
            each
            for each in (*functions, *on_them)
            if each is not None and lock_of(each.definition) == device.id
        ]

    def original_state(self, device: PciDevice) -> OriginalState:
        """Return what a device was before it was changed: as noted since the host started, else as its definition has it."""
        state = self.original_states.read(device)
        for unit in (pci_unit(device.id), functions_unit(device.id)):
            found = self.defined(unit)
            if found is not None and isinstance(found.definition, PciDefinition):
                state = state.completed(found.definition.original)
            elif found is not None and isinstance(found.definition, FunctionsDefinition):
                state = state.completed(OriginalState(sriov_numvfs=found.definition.original))
        return state

    def why_in_use(self, device: PciDevice, holders: Holders) -> str | None:
        """Return why the driver must not be taken from a device, ``None`` where nothing uses it."""
        return why_in_use(self.sysfs, device, holders, self.is_free_disk)

    def migratable_port(self, address: str) -> Port:
        """Return the port through which a virtual function is made migratable; raise ``HostReadError`` if there is none."""
        port = self.devlink.port(address)
        if port is None or port.migratable is None:
            raise HostReadError(
                address,
                "devlink shows no port of it that could be migratable; this needs a card that supports it, Linux 6.2 and the"
                " mode switchdev",
            )
        return port

    def needed_migratable(self, address: str, migratable: bool | None) -> bool | None:
        """Return ``migratable`` where a device must be switched to it, ``None`` where it has it or may have either."""
        if migratable is None or self.migratable_port(address).migratable == migratable:
            return None
        return migratable

    def interface(self, address: str) -> Interface:
        """Return the network interface through which a virtual function is set; raise ``HostReadError`` if there is none."""
        parent = self.parent(address)
        found = None if parent is None else self.network.interface(parent)
        if found is None or address not in found.functions:
            raise HostReadError(
                address,
                "no network interface of its physical function shows what is set of it; that takes a virtual function of a"
                " network card, whose driver supports it, and the host's own network namespace",
            )
        return found

    def why_taken(self, address: str, wanted: Settings, holders: Holders) -> str | None:
        """Return who on this host has the MAC address that a function is to be given, ``None`` where it may have it.

        The card's switch would give them each other's frames. Raise ``HostReadError``.
        """
        mac = str(wanted.get("mac", NO_MAC))
        if mac == NO_MAC or self.current_settings(address, ["mac"])["mac"] == mac:
            return None
        name = interface_with(self.sysfs, mac, address)
        if name is not None:
            return f"the host's own network interface {name} has the MAC address {mac}"
        for other, settings in self.interface(address).functions.items():
            if other != address and settings["mac"] == mac and self.exists(other):
                with self.open(other) as device:
                    reason = self.why_in_use(device, holders)
                if reason is not None:
                    return f"{other} of the same card has the MAC address {mac}, and {reason}"
        return None

    def current_settings(self, address: str, names: t.Collection[str]) -> Settings:
        """Return these settings of a virtual function, nothing where none is asked for; raise ``HostReadError``."""
        if not names:
            return {}
        current = self.interface(address).functions[address]
        return {name: current[name] for name in names if name in current}

    def needed_settings(self, address: str, wanted: Settings) -> list[Settings]:
        """Return which settings of a virtual function are to change, each part by itself; raise ``HostReadError``."""
        if not wanted:
            return []
        problem = why_invalid(wanted)
        if problem is not None:
            raise HostReadError(address, problem)
        interface = self.interface(address)
        current = interface.functions[address]
        unknown = [name for name in wanted if name not in current]
        if unknown:
            raise HostReadError(
                address,
                f"the driver of {interface.name} does not show its {unknown[0]}, so that could be neither verified nor undone;"
                " leave it out",
            )
        return needed_changes(current, wanted)


@dataclasses.dataclass
class WantedFunctions:
    """How many virtual functions the user wants of one physical function."""

    address: str
    number: int | None


@dataclasses.dataclass
class WantedPciDevice:
    """A device as the user wants it; ``driver`` and ``migratable`` are ``None`` where it is to keep its own.

    With ``keep_driver`` only its attributes and ``network`` settings are given back. ``parent`` is the physical function that a virtual one is of.
    """

    address: str
    driver: str | None
    migratable: bool | None
    attributes: _Pairs
    accept: list[dict[str, str]] | None
    keep_driver: bool = False
    parent: str | None = None
    network: Settings = dataclasses.field(default_factory=dict)

    def to_give_back(self, state: OriginalState) -> OriginalState:
        """Return what of its original state the device is to be given back."""
        # The number of virtual functions is not the device's to give back.
        kept = ("binding", "migratable") if self.keep_driver else ()
        return state.without("sriov_numvfs", *kept)


@dataclasses.dataclass
class WantedPci:
    """All that the user wants of one host.

    ``force``: virtual functions that the host's own drivers have may go. ``persistent``: it is to be so after a reboot, too.
    """

    functions: list[WantedFunctions]
    devices: list[WantedPciDevice]
    state: str
    force: bool
    persistent: bool = False


@dataclasses.dataclass
class FunctionsChange(DeviceChange):
    """The change of a physical function, ``name``, from ``before`` virtual functions to ``after``.

    ``addresses`` are those of its virtual functions afterwards. ``definition`` is the word for the change of its definition,
    or ``None``, and ``defined`` the former one. ``undefined`` are the definitions of virtual functions beyond ``after`` and
    of vDPA devices on them, which go as well: at the start of the host they would wait for functions that do not come.
    """

    before: int
    after: int
    addresses: list[str]
    definition: str | None = None
    defined: DefinedUnit | None = None
    undefined: list[DefinedUnit] = dataclasses.field(default_factory=list)

    @property
    def changed(self) -> bool:
        return super().changed or self.definition in REDEFINED or bool(self.undefined)

    def predicted(self) -> dict[str, t.Any]:
        return self.result(self.addresses)

    def sides(self) -> tuple[dict[str, t.Any], dict[str, t.Any]]:
        before: dict[str, t.Any] = {"sriov_numvfs": self.before}
        after: dict[str, t.Any] = {"sriov_numvfs": self.after}
        if self.definition in REDEFINED:
            found = self.defined and self.defined.definition
            number = found.sriov_numvfs if isinstance(found, FunctionsDefinition) else None
            before["defined_sriov_numvfs"] = number
            after["defined_sriov_numvfs"] = self.after if self.definition == DEFINED else None
        if self.undefined:
            stated = {each.definition.device: stated_definition(each) for each in self.undefined}
            before["definitions"], after["definitions"] = stated, dict.fromkeys(stated)
        return before, after

    def result(self, addresses: list[str]) -> dict[str, t.Any]:
        """Return what the module returns of the function, which has the virtual functions ``addresses``."""
        return {
            "address": self.name,
            "action": self.action,
            "sriov_numvfs": self.after,
            "virtual_functions": addresses,
            "definition": self.definition,
            "undefined": self._undefined(PciDefinition),
            "undefined_vdpa": self._undefined(VdpaDefinition),
        }

    def _undefined(self, kind: type[Definition]) -> list[str]:
        """Return the names of the devices of a kind whose definitions go."""
        return [
            each.definition.device for each in self.undefined if isinstance(each.definition, kind)
        ]


@dataclasses.dataclass
class PciChange(DeviceChange):
    """The change of one device.

    ``before`` and ``after`` are ``{driver, driver_override, attributes}``, with ``migratable`` and ``network`` if that is asked
    for, or ``None`` where there is no device. ``own`` is its descriptor's ``self`` before. ``definition`` is the word for the change
    of its definition, or ``None``, ``defined`` the former one, and ``to_define`` what is to be defined, ``None`` for nothing.
    """

    wanted: WantedPciDevice
    before: dict[str, t.Any] | None = None
    after: dict[str, t.Any] | None = None
    own: dict[str, str] | None = None
    definition: str | None = None
    defined: DefinedUnit | None = None
    to_define: ToDefine | None = None

    @property
    def acts(self) -> bool:
        """Whether the device itself changes, and not its definition alone."""
        return self.action != UNCHANGED

    @property
    def changed(self) -> bool:
        return self.acts or self.definition in REDEFINED

    def predicted(self) -> dict[str, t.Any]:
        after = self.after or {"driver": None, "attributes": []}
        own = None if self.acts else self.own
        return self.result(after["driver"], after["attributes"], own)

    def sides(self) -> tuple[dict[str, t.Any], dict[str, t.Any]]:
        before, after = dict(self.before or {}), dict(self.after or {})
        if self.definition in REDEFINED:
            before["definition"] = stated_definition(self.defined)
            after["definition"] = None if self.to_define is None else self.to_define.stated()
        return before, after

    def result(
        self,
        driver: str | None,
        attributes: list[dict[str, str]],
        own: dict[str, str] | None,
    ) -> dict[str, t.Any]:
        """Return what the module returns of the device."""
        return {
            "address": self.name,
            "action": self.action,
            "driver": driver,
            "attributes": attributes,
            "definition": self.definition,
            "self": own,
        }


# --- what is wanted --------------------------------------------------------------------------------------------------


def validate(params: t.Mapping[str, t.Any]) -> WantedPci:
    """Return what the user asks for; raise ``InvalidRequest`` where it is not what it must be."""
    state = params["state"]
    functions = [
        WantedFunctions(_address(each), _number(each, state)) for each in params["functions"]
    ]
    devices = [_device(each) for each in params["devices"]]
    check_distinct([each.address for each in functions], "functions")
    check_distinct([each.address for each in devices])
    return WantedPci(functions, devices, state, params["force"], params.get("persistent", False))


def _address(item: t.Mapping[str, t.Any]) -> str:
    address: str = item["address"].lower()
    if not PCI_ADDRESS.match(address):
        raise InvalidRequest(
            f"{shown(item['address'])} is not a PCI address; expected domain:bus:device.function, such as 0000:01:10.0"
        )
    return address


def _number(item: t.Mapping[str, t.Any], state: str) -> int | None:
    number: int | None = item["sriov_numvfs"]
    if number is None and state == PRESENT:
        raise InvalidRequest("'sriov_numvfs' is missing", _address(item))
    if number is not None and number < 0:
        raise InvalidRequest(f"sriov_numvfs is {number}; expected 0 or more", _address(item))
    return number


def _device(item: t.Mapping[str, t.Any]) -> WantedPciDevice:
    address, driver = _address(item), item["driver"]
    if driver is not None and not _DRIVER.match(driver):
        raise InvalidRequest(f"{shown(driver)} is not the name of a driver", address)
    return WantedPciDevice(
        address,
        driver,
        item["migratable"],
        validate_attributes(item, address),
        validate_accept(item["accept"], address),
        item["keep_driver"],
        _parent(item, address),
        _network(item, address),
    )


def _network(item: t.Mapping[str, t.Any], address: str) -> Settings:
    stated = item.get("network") or {}
    settings = {name: value for name, value in stated.items() if value is not None}
    if "mac" in settings:
        settings["mac"] = settings["mac"].lower()
    problem = why_invalid(settings)
    if problem is not None:
        raise InvalidRequest(f"network: {problem}", address)
    return settings


def _parent(item: t.Mapping[str, t.Any], address: str) -> str | None:
    parent = item.get("parent")
    if parent is None:
        return None
    if not PCI_ADDRESS.match(parent.lower()):
        raise InvalidRequest(
            f"its parent {shown(parent)} is not a PCI address; expected that of its physical function, such as 0000:01:00.0",
            address,
        )
    return str(parent.lower())


# --- what there is, and what is to be done ---------------------------------------------------------------------------


class PciPlanner:
    """Compares what is wanted with the host."""

    def __init__(self, host: PciHost) -> None:
        self._host = host

    def locks(self, wanted: WantedPci) -> set[str]:
        """Return the names of what the changes are about."""
        addresses = [each.address for each in wanted.functions]
        addresses += [each.address for each in wanted.devices]
        # One that is not there is made with a function in the list, or refused later.
        names = {self._host.lock_name(each) for each in addresses if self._host.exists(each)}
        if wanted.persistent:
            names.update(each.address for each in wanted.functions)
            for each in wanted.devices:
                found = self._host.defined(pci_unit(each.address))
                if found is not None:
                    names.add(lock_of(found.definition))
        return names

    def plan(self, wanted: WantedPci) -> HostChanges:
        """Return the changes, in order; raise ``ProvisionError`` where they cannot be made."""
        holders = self._host.scan_holders()
        functions = []
        gone: set[str] = set()
        made: dict[str, str] = {}
        for function in wanted.functions:
            with self._inspected(function.address) as device:
                change = self._functions(function, wanted, device)
                if change.action != UNCHANGED:
                    gone.update(self._removable(wanted, device, holders))
                    made.update(dict.fromkeys(change.addresses, function.address))
                functions.append(change)
        leaving = gone.union(each.address for each in wanted.devices)
        devices = []
        for each in wanted.devices:
            self._check_original_state(each.address)
            self._check_parent(each, made.get(each.address))
            if wanted.state == ABSENT and each.address in gone:
                devices.append(self._going(each))
            elif wanted.state == PRESENT and each.address in made:
                devices.append(self._new(each))
            elif each.address in gone:
                raise Refused("it would be none of so few functions", each.address)
            else:
                devices.append(self._existing(each, wanted.state, holders, leaving))
        if wanted.persistent:
            self._plan_definitions(wanted, functions, devices)
        return HostChanges(wanted.state, {"functions": functions, "devices": devices})

    @contextlib.contextmanager
    def _inspected(self, address: str) -> t.Iterator[PciDevice]:
        """Open a device; what is wrong with it is raised as ``Refused``."""
        if not self._host.exists(address):
            raise Refused(
                f"there is no such device in {self._host.sysfs.path(PCI_DEVICES)}", address
            )
        try:
            with self._host.open(address) as device:
                yield device
        except HostReadError as problem:
            raise Refused(str(problem), address) from None

    def _check_parent(self, wanted: WantedPciDevice, maker: str | None) -> None:
        """Raise ``Refused`` where a device is, or with ``maker`` will be, of another parent than is said."""
        if wanted.parent is None or not (maker or self._host.exists(wanted.address)):
            return
        parent = maker or self._host.parent(wanted.address)
        if parent is None:
            raise Refused(
                "it is not a virtual function and has no parent; leave 'parent' out, or name a virtual function of"
                f" {wanted.parent}",
                wanted.address,
            )
        if parent != wanted.parent:
            raise Refused(
                f"it is a virtual function of {parent}, not of its parent {wanted.parent}; it is left as it is",
                wanted.address,
            )

    def _check_original_state(self, address: str) -> None:
        """Raise ``Refused`` where what is kept of a device cannot be read, before anything is touched."""
        try:
            self._host.original_states.check(address)
        except HostReadError as problem:
            raise Refused(str(problem), address) from None

    # Physical functions.

    def _functions(
        self, wanted: WantedFunctions, everything: WantedPci, device: PciDevice
    ) -> FunctionsChange:
        before, most = pci_driver.number_of_functions(device), pci_driver.most_functions(device)
        original = self._host.original_state(device)
        number = original.sriov_numvfs if everything.state == ABSENT else wanted.number
        after = before if number is None else number
        if after > most:
            raise Refused(f"it can have {most} virtual functions, not {after}", device.id)
        if after == before:
            addresses = pci_driver.functions(device)
            return FunctionsChange(device.id, UNCHANGED, before, after, addresses)
        addresses = pci_driver.addresses_of_functions(device, after)
        return FunctionsChange(device.id, RESIZED, before, after, addresses)

    def _removable(self, wanted: WantedPci, device: PciDevice, holders: Holders) -> list[str]:
        """Return the virtual functions of a device; raise ``Refused`` where one of them may not go.

        The kernel knows no other way to change their number than to remove them all.
        """
        addresses = pci_driver.functions(device)
        for address in addresses:
            self._check_original_state(address)
            with self._host.open(address) as function:
                reason = self._host.why_in_use(function, holders)
                driver = function.link("driver")
                bound = driver is not None and not function.is_assignable
            if reason is None and bound and wanted.state == PRESENT and not wanted.force:
                reason = f"it is bound to {driver}; with 'force' it may go all the same"
            if reason is not None:
                raise Refused(
                    f"the number of its virtual functions cannot be changed: {address}: {reason}",
                    device.id,
                )
        return addresses

    # Devices.

    def _new(self, wanted: WantedPciDevice) -> PciChange:
        if wanted.driver is None:
            raise Refused("'driver' is missing; a new virtual function needs one", wanted.address)
        self._check_driver(wanted.address, wanted.driver)
        binding = Binding(wanted.driver, wanted.driver)
        after = _state(binding, wanted.attributes, wanted.migratable, wanted.network)
        return PciChange(wanted.address, BOUND, wanted, after=after)

    def _going(self, wanted: WantedPciDevice) -> PciChange:
        """Return the change of a virtual function that goes, or is made again as it was, with the number of them."""
        with self._inspected(wanted.address) as device:
            before = _state(read_binding(device), attribute_pairs(device.attributes()[0]))
            return PciChange(wanted.address, RESTORED, wanted, before=before)

    def _existing(
        self, wanted: WantedPciDevice, state: str, holders: Holders, leaving: t.Container[str]
    ) -> PciChange:
        if state == ABSENT and not self._host.exists(wanted.address):
            return PciChange(wanted.address, UNCHANGED, wanted)
        with self._inspected(wanted.address) as device:
            if state == ABSENT:
                change = self._given_back(wanted, device)
                reason = None
            else:
                change = self._prepared(wanted, device)
                reason = why_not_assignable(device, leaving)
            if change.acts:
                reason = self._host.why_in_use(device, holders) or reason
            if state == PRESENT and reason is None:
                reason = self._host.why_taken(device.id, wanted.network, holders)
            if reason is not None:
                raise Refused(reason, device.id)
            return change

    def _prepared(self, wanted: WantedPciDevice, device: PciDevice) -> PciChange:
        binding = read_binding(device)
        descriptor, current, problems = read_descriptor(device)
        migratable = self._migratable(wanted)
        settings = self._host.needed_settings(device.id, wanted.network)
        own = None
        if wanted.driver not in (None, binding.driver):
            self._check_driver(device.id, wanted.driver)
            self._check_alone(device)
            action = BOUND
            new = Binding(wanted.driver, wanted.driver)
            after = _state(new, wanted.attributes, wanted.migratable, wanted.network)
        elif not device.is_assignable:
            raise Refused(_not_assignable(binding.driver), device.id)
        elif migratable != wanted.migratable:
            action = BOUND
            after = _state(binding, wanted.attributes, wanted.migratable, wanted.network)
        else:
            needed = VgpuType(device).needed_writes(wanted.attributes)
            action = CONFIGURED if needed or settings else UNCHANGED
            attributes = dict(attribute_pairs(current))
            attributes.update((write.name, write.value) for write in needed)
            after = _state(binding, attributes.items(), wanted.migratable, wanted.network)
            own = descriptor["self"] if descriptor else None
            if not needed:
                check_accepted(device.id, wanted.accept, descriptor, problems)
        before = _state(
            binding,
            attribute_pairs(current),
            migratable,
            self._host.current_settings(device.id, wanted.network),
        )
        return PciChange(device.id, action, wanted, before, after, own)

    def _migratable(self, wanted: WantedPciDevice) -> bool | None:
        """Return whether devlink lets a device migrate now; ``None`` where that is not asked for."""
        if wanted.migratable is None:
            return None
        return self._host.migratable_port(wanted.address).migratable

    def _given_back(self, wanted: WantedPciDevice, device: PciDevice) -> PciChange:
        binding = read_binding(device)
        original = wanted.to_give_back(self._host.original_state(device))
        former = original.former_binding(binding)
        values = original.former_attributes(device)
        descriptor, current, _problems = read_descriptor(device)
        migratable = self._host.needed_migratable(device.id, original.migratable)
        settings = self._host.needed_settings(device.id, original.network)
        changed = (
            former != binding
            or bool(needed_writes(device, values))
            or migratable is not None
            or bool(settings)
        )
        attributes: _Pairs = ()
        if former.driver == binding.driver:
            attributes = list(dict(attribute_pairs(current), **dict(values)).items())
        else:
            self._check_driver(device.id, former.driver)
        return PciChange(
            device.id,
            RESTORED if changed else UNCHANGED,
            wanted,
            before=_state(
                binding,
                attribute_pairs(current),
                network=self._host.current_settings(device.id, original.network),
            ),
            after=_state(former, attributes, migratable, original.network),
            own=descriptor["self"] if descriptor else None,
        )

    # Definitions.

    def _plan_definitions(
        self,
        wanted: WantedPci,
        functions: t.Iterable[FunctionsChange],
        devices: t.Iterable[PciChange],
    ) -> None:
        listed = {pci_unit(each.address) for each in wanted.devices}
        beyond: set[str] = set()
        for function in functions:
            with self._inspected(function.name) as device:
                self._define_functions(function, wanted.state, device)
                defined = self._host.defined_functions(device)
                going = [
                    each for each in defined if each.definition.function not in function.addresses
                ]
                beyond.update(each.definition.device for each in going)
                function.undefined = [each for each in going if each.definition.unit not in listed]
        for change in devices:
            try:
                change.defined = self._host.defined(pci_unit(change.name))
            except HostReadError as problem:
                raise Refused(str(problem), change.name) from None
            found, each = ToDefine.of(change.defined), change.wanted
            asked = ToDefine(each.driver, each.migratable, each.attributes)
            keep_driver = each.keep_driver and each.address not in beyond
            change.to_define = to_define(wanted.state == PRESENT, asked, keep_driver, found)
            is_defined = change.to_define is not None and change.to_define.is_in(found)
            if change.to_define is not None and self._host.exists(change.name):
                with self._inspected(change.name) as device:
                    self._check_no_disks(device)
                    is_defined = is_defined and _same_device(change.defined, device)
            wants = change.to_define is not None
            change.definition = definition_word(change.defined, wants, is_defined)

    def _define_functions(self, change: FunctionsChange, state: str, device: PciDevice) -> None:
        change.defined = self._host.defined(functions_unit(device.id))
        found = change.defined and change.defined.definition
        is_defined = isinstance(found, FunctionsDefinition) and (
            found.sriov_numvfs,
            found.pci_id,
        ) == (change.after, sysfs_id(device))
        wants = state == PRESENT and change.after > 0
        change.definition = definition_word(change.defined, wants, is_defined)

    def _check_no_disks(self, device: PciDevice) -> None:
        if read_text(device.directory, "class").startswith(_STORAGE):
            raise Refused(
                "a controller of disks cannot be persistent, as when the host starts its disks may be in use before it is"
                " taken; keep the host's driver from it with driverctl or the kernel's parameters",
                device.id,
            )

    def _check_driver(self, address: str, driver: str | None) -> None:
        exists = self._host.sysfs.exists
        if driver is None or exists(PCI_DRIVERS, driver) or self._host.can_load(driver):
            return
        raise Refused(
            f"the host has no driver {driver}, in {self._host.sysfs.path(PCI_DRIVERS)} or to be loaded",
            address,
        )

    def _check_alone(self, device: PciDevice) -> None:
        number = pci_driver.number_of_functions(device)
        if number:
            raise Refused(
                f"it has {number} virtual functions, which would go with its driver", device.id
            )


def sysfs_id(device: PciDevice) -> str:
    """Return a device's vendor and device as a unit compares them; raise ``HostReadError``."""
    return ":".join(read_text(device.directory, name).strip() for name in ("vendor", "device"))


def _same_device(defined: DefinedUnit | None, device: PciDevice) -> bool:
    """Return whether a definition is of this device, not of one that had its place."""
    found = defined and defined.definition
    return isinstance(found, PciDefinition) and found.pci_id == sysfs_id(device)


def _not_assignable(driver: str | None) -> str:
    bound = (
        "bound to no driver" if driver is None else f"bound to {driver}, which is not a VFIO driver"
    )
    return f"it is {bound}; name one in 'driver'"


def _state(
    binding: Binding,
    attributes: t.Iterable[tuple[str, str]],
    migratable: bool | None = None,
    network: Settings | None = None,
) -> dict[str, t.Any]:
    state: dict[str, t.Any] = {
        "driver": binding.driver,
        "driver_override": binding.override,
        "attributes": attribute_list(attributes),
    }
    if migratable is not None:
        state["migratable"] = migratable
    if network:
        state["network"] = network
    return state
