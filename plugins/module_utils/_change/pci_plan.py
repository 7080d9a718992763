# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""PCI devices as a host should have them: what is wanted, what there is, and what is to be done.

Compares and checks; changes nothing. ``_pci_transaction`` carries the plan out.
"""

from __future__ import annotations

import contextlib
import re

from ansible_collections.vfio.migration.plugins.module_utils._change.attributes import (
    Write,
    resolved,
    validated,
    verify,
    writes,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.errors import ProvisionError
from ansible_collections.vfio.migration.plugins.module_utils._change.plan import (
    ABSENT,
    CONFIGURED,
    PRESENT,
    UNCHANGED,
    Action,
    Plan,
    check_distinct,
)
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.attributes import shown
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.identifiers import (
    PCI_ADDRESS,
    attribute_list,
    attribute_pairs,
)
from ansible_collections.vfio.migration.plugins.module_utils._host import pci_driver
from ansible_collections.vfio.migration.plugins.module_utils._host.device import (
    PCI_DEVICES,
    PciDevice,
    read_descriptor,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.pci_driver import (
    PCI_DRIVERS,
    Binding,
    read_binding,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.pci_usage import (
    why_in_use,
    why_not_assignable,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.reading import HostReadError

TYPE_CHECKING = False
if TYPE_CHECKING:  # pragma: no cover
    import typing as t

    from ansible_collections.vfio.migration.plugins.module_utils._change.original_state import (
        Record,
        Records,
    )
    from ansible_collections.vfio.migration.plugins.module_utils._host.devlink import Devlink, Port
    from ansible_collections.vfio.migration.plugins.module_utils._host.processes import Holders
    from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import Sysfs

    _Pairs: t.TypeAlias = "t.Sequence[tuple[str, str]]"

BOUND = "bound"
RESIZED = "resized"
RESTORED = "restored"

_DRIVER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}\Z")


class WantedFunction:
    """A physical function as the user wants it: how many virtual functions it has."""

    def __init__(self, address: str, number: int | None) -> None:
        self.address = address
        self.number = number


class WantedDevice:
    """A device as the user wants it; ``driver`` and ``migratable`` are ``None`` where it is to keep its own.

    With ``keep_driver`` only its attributes are given back.
    """

    def __init__(
        self,
        address: str,
        driver: str | None,
        migratable: bool | None,
        attributes: _Pairs,
        accept: list[dict[str, str]] | None,
        keep_driver: bool = False,
    ) -> None:
        self.address = address
        self.driver = driver
        self.migratable = migratable
        self.attributes = attributes
        self.accept = accept
        self.keep_driver = keep_driver


class Wanted:
    """All that the user wants of one host. ``force``: virtual functions that the host's own drivers have may go."""

    def __init__(
        self,
        functions: list[WantedFunction],
        devices: list[WantedDevice],
        state: str,
        force: bool,
    ) -> None:
        self.functions = functions
        self.devices = devices
        self.state = state
        self.force = force


class FunctionAction(Action):
    """What is to be done for one physical function: from ``before`` virtual functions to ``after``.

    ``addresses`` are those of its virtual functions afterwards.
    """

    def __init__(self, address: str, before: int, after: int, addresses: list[str]) -> None:
        super().__init__(address, UNCHANGED if before == after else RESIZED)
        self.before = before
        self.after = after
        self.addresses = addresses

    def predicted(self) -> dict[str, t.Any]:
        return self.result()

    def sides(self) -> tuple[dict[str, t.Any], dict[str, t.Any]]:
        return {"sriov_numvfs": self.before}, {"sriov_numvfs": self.after}

    def result(self) -> dict[str, t.Any]:
        """What the module returns of the function."""
        return {
            "address": self.name,
            "action": self.action,
            "sriov_numvfs": self.after,
            "virtual_functions": self.addresses,
        }


class DeviceAction(Action):
    """What is to be done for one device.

    ``before`` and ``after`` are ``{driver, driver_override, attributes}``, with ``migratable`` if that is asked for, or
    ``None`` where there is no device. ``own`` is its descriptor's ``self`` before.
    """

    def __init__(self, wanted: WantedDevice, action: str) -> None:
        super().__init__(wanted.address, action)
        self.wanted = wanted
        self.before: dict[str, t.Any] | None = None
        self.after: dict[str, t.Any] | None = None
        self.own: dict[str, str] | None = None

    def predicted(self) -> dict[str, t.Any]:
        after = self.after or {"driver": None, "attributes": []}
        own = None if self.changes else self.own
        return self.result(after["driver"], after["attributes"], own)

    def sides(self) -> tuple[dict[str, t.Any], dict[str, t.Any]]:
        return self.before or {}, self.after or {}

    def result(
        self,
        driver: str | None,
        attributes: list[dict[str, str]],
        own: dict[str, str] | None,
    ) -> dict[str, t.Any]:
        """What the module returns of the device."""
        return {
            "address": self.wanted.address,
            "action": self.action,
            "driver": driver,
            "attributes": attributes,
            "self": own,
        }


# --- what is wanted --------------------------------------------------------------------------------------------------


def validate(params: t.Mapping[str, t.Any]) -> Wanted:
    """What the user asks for; raises ``ProvisionError`` where it is not what it should be."""
    state = params["state"]
    functions = [
        WantedFunction(_address(each), _number(each, state)) for each in params["functions"]
    ]
    devices = [_device(each) for each in params["devices"]]
    check_distinct([each.address for each in functions], "functions")
    check_distinct([each.address for each in devices])
    return Wanted(functions, devices, state, params["force"])


def _address(item: t.Mapping[str, t.Any]) -> str:
    address: str = item["address"].lower()
    if not PCI_ADDRESS.match(address):
        raise ProvisionError(
            "validate",
            f"{shown(item['address'])} is no PCI address; expected domain:bus:device.function, such as 0000:01:10.0",
        )
    return address


def _number(item: t.Mapping[str, t.Any], state: str) -> int | None:
    number: int | None = item["sriov_numvfs"]
    if number is None and state == PRESENT:
        raise ProvisionError("validate", "'sriov_numvfs' is missing", _address(item))
    if number is not None and number < 0:
        raise ProvisionError(
            "validate", f"sriov_numvfs is {number}; expected 0 or more", _address(item)
        )
    return number


def _device(item: t.Mapping[str, t.Any]) -> WantedDevice:
    address, driver = _address(item), item["driver"]
    if driver is not None and not _DRIVER.match(driver):
        raise ProvisionError("validate", f"{shown(driver)} is not the name of a driver", address)
    attributes, accept = validated(item, address)
    return WantedDevice(
        address, driver, item["migratable"], attributes, accept, item["keep_driver"]
    )


# --- what there is, and what is to be done ---------------------------------------------------------------------------


class Planner:
    """Compares what is wanted with what there is; ``can_load`` says whether a driver can be had that is not there yet."""

    def __init__(
        self,
        sysfs: Sysfs,
        scan_holders: t.Callable[[], Holders],
        is_free_disk: t.Callable[[str], bool],
        can_load: t.Callable[[str], bool],
        records: Records,
        devlink: Devlink,
    ) -> None:
        self._sysfs = sysfs
        self._scan_holders = scan_holders
        self._is_free_disk = is_free_disk
        self._can_load = can_load
        self._records = records
        self._devlink = devlink

    def locks(self, wanted: Wanted) -> set[str]:
        """The names of what a plan is about."""
        addresses = [each.address for each in wanted.functions]
        addresses += [each.address for each in wanted.devices]
        # One that is not there is made with a function in the list, or refused later.
        return {
            lock_name(self._sysfs, address)
            for address in addresses
            if self._sysfs.exists(PCI_DEVICES, address)
        }

    def plan(self, wanted: Wanted) -> Plan:
        """What is to be done, in order; raises ``ProvisionError`` where it cannot be done."""
        holders = self._scan_holders()
        functions = []
        gone: set[str] = set()
        made: set[str] = set()
        for function in wanted.functions:
            with _inspected(self._sysfs, function.address) as device:
                action = self._function(function, wanted, device)
                if action.changes:
                    gone.update(self._removable(wanted, device, holders))
                    made.update(action.addresses)
                functions.append(action)
        leaving = gone.union(each.address for each in wanted.devices)
        devices = []
        for each in wanted.devices:
            if wanted.state == ABSENT and each.address in gone:
                devices.append(self._going(each))
            elif wanted.state == PRESENT and each.address in made:
                devices.append(self._new(each))
            elif each.address in gone:
                raise ProvisionError(
                    "inspect", "it would be none of so few functions", each.address
                )
            else:
                devices.append(self._existing(each, wanted.state, holders, leaving))
        return Plan(wanted.state, functions=functions, devices=devices)

    # Physical functions.

    def _function(
        self, wanted: WantedFunction, everything: Wanted, device: PciDevice
    ) -> FunctionAction:
        before, most = pci_driver.number_of_functions(device), pci_driver.most_functions(device)
        number = wanted.number
        if everything.state == ABSENT:
            number = (self._records.of(device) or {}).get("sriov_numvfs")
        after = before if number is None else number
        if after > most:
            raise ProvisionError(
                "inspect",
                f"it can have {most} virtual functions, not {after}",
                device.id,
            )
        if after == before:
            return FunctionAction(device.id, before, after, pci_driver.functions(device))
        return FunctionAction(
            device.id, before, after, pci_driver.addresses_of_functions(device, after)
        )

    def _removable(self, wanted: Wanted, device: PciDevice, holders: Holders) -> list[str]:
        """The virtual functions of a device when all of them may go; the kernel knows no other way to change their number."""
        addresses = pci_driver.functions(device)
        for address in addresses:
            with PciDevice(self._sysfs, address) as function:
                reason = why_in_use(self._sysfs, function, holders, self._is_free_disk)
                driver = function.link("driver")
                bound = driver is not None and not function.is_assignable
            if reason is None and bound and wanted.state == PRESENT and not wanted.force:
                reason = f"it is bound to {driver}; with 'force' it may go all the same"
            if reason is not None:
                raise ProvisionError(
                    "inspect",
                    f"the number of its virtual functions cannot be changed: {address}: {reason}",
                    device.id,
                )
        return addresses

    # Devices.

    def _new(self, wanted: WantedDevice) -> DeviceAction:
        if wanted.driver is None:
            raise ProvisionError(
                "inspect", "'driver' is missing; a new virtual function needs one", wanted.address
            )
        self._check_driver(wanted.address, wanted.driver)
        action = DeviceAction(wanted, BOUND)
        binding = Binding(wanted.driver, wanted.driver)
        action.after = _state(binding, wanted.attributes, wanted.migratable)
        return action

    def _going(self, wanted: WantedDevice) -> DeviceAction:
        """A virtual function that goes, or is made anew as it was, with the number of them."""
        with _inspected(self._sysfs, wanted.address) as device:
            action = DeviceAction(wanted, RESTORED)
            action.before = _state(read_binding(device), attribute_pairs(device.attributes()[0]))
            return action

    def _existing(
        self, wanted: WantedDevice, state: str, holders: Holders, leaving: t.Container[str]
    ) -> DeviceAction:
        if state == ABSENT and not self._sysfs.exists(PCI_DEVICES, wanted.address):
            return DeviceAction(wanted, UNCHANGED)
        with _inspected(self._sysfs, wanted.address) as device:
            if state == ABSENT:
                action = self._given_back(wanted, device)
                reason = None
            else:
                action = self._wanted(wanted, device)
                reason = why_not_assignable(device, leaving)
            if action.changes:
                reason = why_in_use(self._sysfs, device, holders, self._is_free_disk) or reason
            if reason is not None:
                raise ProvisionError("inspect", reason, device.id)
            return action

    def _wanted(self, wanted: WantedDevice, device: PciDevice) -> DeviceAction:
        binding = read_binding(device)
        descriptor, current, problems = read_descriptor(device)
        migratable = self._migratable(wanted)
        if wanted.driver not in (None, binding.driver):
            self._check_driver(device.id, wanted.driver)
            self._check_alone(device)
            action = DeviceAction(wanted, BOUND)
            new = Binding(wanted.driver, wanted.driver)
            action.after = _state(new, wanted.attributes, wanted.migratable)
        elif not device.is_assignable:
            raise ProvisionError("inspect", _not_assignable(binding.driver), device.id)
        elif migratable != wanted.migratable:
            action = DeviceAction(wanted, BOUND)
            action.after = _state(binding, wanted.attributes, wanted.migratable)
        else:
            needed = writes_in_turn(device, wanted.attributes)
            action = DeviceAction(wanted, CONFIGURED if needed else UNCHANGED)
            attributes = dict(attribute_pairs(current))
            attributes.update((write.name, write.value) for write in needed)
            action.after = _state(binding, attributes.items(), wanted.migratable)
            action.own = descriptor["self"] if descriptor else None
            if not needed:
                verify(device.id, wanted.accept, descriptor, problems)
        action.before = _state(binding, attribute_pairs(current), migratable)
        return action

    def _migratable(self, wanted: WantedDevice) -> bool | None:
        """Whether a device may be migrated now as devlink has it; ``None`` where that is not asked for."""
        if wanted.migratable is None:
            return None
        return migratable_port(self._devlink, wanted.address).migratable

    def _given_back(self, wanted: WantedDevice, device: PciDevice) -> DeviceAction:
        binding = read_binding(device)
        record = to_give_back(wanted, self._records.of(device))
        former = former_binding(record, binding)
        values = former_attributes(record, device)
        descriptor, current, _problems = read_descriptor(device)
        migratable = to_switch(self._devlink, device.id, (record or {}).get("migratable"))
        changes = former != binding or bool(writes(device, values)) or migratable is not None
        action = DeviceAction(wanted, RESTORED if changes else UNCHANGED)
        action.before = _state(binding, attribute_pairs(current))
        action.own = descriptor["self"] if descriptor else None
        attributes: _Pairs = ()
        if former.driver == binding.driver:
            attributes = list(dict(attribute_pairs(current), **dict(values)).items())
        else:
            self._check_driver(device.id, former.driver)
        action.after = _state(former, attributes, migratable)
        return action

    def _check_driver(self, address: str, driver: str | None) -> None:
        if driver is None or self._sysfs.exists(PCI_DRIVERS, driver) or self._can_load(driver):
            return
        raise ProvisionError(
            "inspect",
            f"the host has no driver {driver}, in {self._sysfs.path(PCI_DRIVERS)} or to be loaded",
            address,
        )

    def _check_alone(self, device: PciDevice) -> None:
        number = pci_driver.number_of_functions(device)
        if number:
            raise ProvisionError(
                "inspect",
                f"it has {number} virtual functions, which would go with its driver",
                device.id,
            )


@contextlib.contextmanager
def _inspected(sysfs: Sysfs, address: str) -> t.Iterator[PciDevice]:
    """Opens a device; what is wrong with it is a ``ProvisionError``."""
    if not sysfs.exists(PCI_DEVICES, address):
        raise ProvisionError(
            "inspect", f"there is no such device in {sysfs.path(PCI_DEVICES)}", address
        )
    try:
        with PciDevice(sysfs, address) as device:
            yield device
    except HostReadError as problem:
        raise ProvisionError("inspect", str(problem), address) from None


def lock_name(sysfs: Sysfs, address: str) -> str:
    """What keeps two calls on one device apart: its physical function, as that makes and removes the virtual ones."""
    target = sysfs.link(PCI_DEVICES, address, "physfn")
    return address if target is None else target.rpartition("/")[2]


def writes_in_turn(device: PciDevice, attributes: _Pairs) -> list[Write]:
    """What must be written, in order, with resolved names.

    An attribute that must be idle in between is set to that first. As this may reset others, those that follow are
    written anew.
    """
    needed = writes(device, attributes)
    idle, idle_value = device.driver_profile().idle or ("", "")
    values = {write.name: write.value for write in needed}
    if values.get(idle, idle_value) == idle_value:
        return needed
    current = device.attribute(idle)
    turn: list[Write] = []
    reset = False
    for name, value in resolved(device, device.attribute_files(), attributes):
        if name == idle and not reset:
            reset = True
            if current != idle_value:
                turn.append(Write(idle, idle_value, (idle, current)))
            turn.append(Write(idle, value, (idle, idle_value)))
        elif reset or name in values:
            turn.append(Write(name, value, (name, device.attribute(name))))
    return turn


def to_give_back(wanted: WantedDevice, record: Record | None) -> Record | None:
    """What of a record a device is to be given back."""
    if record is None:
        return None
    # The number of virtual functions is not the device's to give back.
    binding = () if wanted.keep_driver else ("driver", "driver_override", "migratable")
    return {name: record[name] for name in (*binding, "attributes") if name in record}


def former_binding(record: Record | None, current: Binding) -> Binding:
    """How a device was bound before it was changed."""
    if record is None or "driver" not in record:
        return current
    return Binding(record["driver"], record["driver_override"])


def to_switch(devlink: Devlink, address: str, migratable: bool | None) -> bool | None:
    """What a device must be made to be ``migratable`` or not; ``None`` where it is so, or may be as it likes."""
    if migratable is None or migratable_port(devlink, address).migratable == migratable:
        return None
    return migratable


def migratable_port(devlink: Devlink, address: str) -> Port:
    """The port through which a virtual function is made migratable; raises ``HostReadError`` where there is none."""
    port = devlink.port(address)
    if port is None or port.migratable is None:
        raise HostReadError(
            address,
            "devlink shows no port of it that could be migratable; that takes a card that knows it, Linux 6.2 and the"
            " mode switchdev",
        )
    return port


def former_attributes(record: Record | None, device: PciDevice) -> list[tuple[str, str]]:
    """The values of a device's attributes before they were changed; those that its driver has no longer are left out."""
    files = device.attribute_files()
    pairs = (record or {}).get("attributes", [])
    return [(name, value) for name, value in pairs if name in files]


def to_remember(device: PciDevice, needed: t.Iterable[Write]) -> list[list[str]]:
    """The values, ``[name, value]``, that undo what is ``needed``, in its order."""
    former: dict[str, str] = {}
    for write in needed:
        former.setdefault(*write.undo)
    idle, idle_value = device.driver_profile().idle or ("", "")
    if former.get(idle) == idle_value:
        # What else there is of an idle device has no meaning, and may not be writable.
        former = {idle: idle_value}
    elif idle in former:
        former = {idle: former[idle], **former, **dict(going_with(device, idle))}
    return [[name, value] for name, value in former.items()]


def going_with(device: PciDevice, idle: str) -> list[tuple[str, str]]:
    """The values that a device loses when the attribute ``idle`` is reset, but for those that belong to no other device."""
    own = device.driver_profile().instance
    return [
        (name, value)
        for name, value in attribute_pairs(device.attributes()[0])
        if name != idle and name.rpartition("/")[2] not in own
    ]


def _not_assignable(driver: str | None) -> str:
    bound = (
        "bound to no driver" if driver is None else f"bound to {driver}, which is no VFIO driver"
    )
    return f"it is {bound}; name one in 'driver'"


def _state(
    binding: Binding,
    attributes: t.Iterable[tuple[str, str]],
    migratable: bool | None = None,
) -> dict[str, t.Any]:
    state = {
        "driver": binding.driver,
        "driver_override": binding.override,
        "attributes": attribute_list(attributes),
    }
    return state if migratable is None else {**state, "migratable": migratable}
