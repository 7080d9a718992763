# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Makes the changes of PCI devices, or leaves the host as it was."""

from __future__ import annotations

import dataclasses
import errno
import functools
import shlex
import stat
import typing as t

from ansible_collections.vfio.migration.plugins.module_utils._change.attributes import (
    AttributeWrite,
    as_written,
    check_accepted,
    echoed,
    resolve_names,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.boot_units import (
    DefinedUnit,
    Definition,
    FunctionsDefinition,
    PciDefinition,
    RestoreUnit,
    functions_unit,
    pci_unit,
    restore_unit,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.errors import InUse
from ansible_collections.vfio.migration.plugins.module_utils._change.journal import (
    Journal,
    Operation,
    Step,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.original_state import (
    OriginalState,
    StoredBinding,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.pci_definitions import (
    lock_of,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.pci_plan import (
    FunctionsChange,
    PciChange,
    PciHost,
    WantedPciDevice,
    sysfs_id,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.pci_vgpu_type import VgpuType
from ansible_collections.vfio.migration.plugins.module_utils._change.plan import (
    ABSENT,
    DEFINED,
    PRESENT,
    UNCHANGED,
    UNDEFINED,
    HostChanges,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.records import (
    Attribute,
    Record,
    attributes_of,
    pairs_of,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.transaction import (
    SysfsTransaction,
)
from ansible_collections.vfio.migration.plugins.module_utils._descriptor import network_settings
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.identifiers import (
    attribute_pairs,
)
from ansible_collections.vfio.migration.plugins.module_utils._host import pci_driver
from ansible_collections.vfio.migration.plugins.module_utils._host.device import (
    PciDevice,
    read_descriptor,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.pci_driver import (
    PCI_DRIVERS,
    Binding,
    read_binding,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.pci_usage import (
    why_not_assignable,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import PCI_DEVICES
from ansible_collections.vfio.migration.plugins.module_utils._host.vf_network import Settings

_BIND_HINTS = {
    errno.EBUSY: "another driver took it meanwhile, or what it needs is in use",
    errno.EINVAL: "the driver refused; for VFIO drivers the host must have an IOMMU that is switched on",
    errno.ENODEV: "the driver does not know such devices, or the device went away",
    errno.ENOENT: "the driver went away",
    errno.EPERM: "the driver or the kernel's lockdown forbids it",
}
_MIGRATABLE_HINTS = {
    errno.EBUSY: "a driver has the device, or is about to",
    errno.EOPNOTSUPP: "the card or its firmware cannot migrate its functions, or not with another feature that is on",
    errno.EPERM: "run as root, in the host's own network namespace",
}
_NETWORK_HINTS = {
    errno.EAGAIN: "the function is being reset; try again",
    errno.EBUSY: "the function is being reset; try again",
    errno.EINVAL: "the driver refused the value; rates are those of a link that is up",
    errno.EOPNOTSUPP: "the driver of the physical function cannot do this, or not in the mode that the card's switch is in",
    errno.EPERM: "run as root, in the host's own network namespace",
    errno.EPROTONOSUPPORT: "the driver does not know this protocol of VLANs",
}
_RESIZE_HINTS = {
    errno.EBUSY: "the driver has functions in use that are not known here",
    errno.EINVAL: "the driver refused the number",
    errno.ENOENT: "its driver cannot do this here: there is none, or the vendor has a tool for it, as NVIDIA's sriov-manage",
    errno.ENOMEM: "the host has not enough memory or bus numbers left",
    errno.ENOSPC: "the host has not enough memory or bus numbers left",
}


@dataclasses.dataclass
class BindDriver(Operation):
    """Bind a device as it was bound, and before that make it ``migratable`` or not, unless that is ``None``."""

    operation = "bind_driver"
    binding: StoredBinding
    migratable: bool | None

    def by_hand(self, step: Step, path: str) -> str:
        override, driver = self.binding.driver_override or "", self.binding.driver
        commands = [
            f"echo {step.device} > {path}/driver/unbind",
            f"echo {shlex.quote(override)} > {path}/driver_override",
        ]
        if driver is not None:
            commands.append(f"echo {step.device} > /sys/bus/pci/drivers/{shlex.quote(driver)}/bind")
        return "; ".join(commands)


@dataclasses.dataclass
class WriteAttributes(Operation):
    """Write the former values of attributes, in order."""

    operation = "write_attributes"
    attributes: list[Attribute]

    def by_hand(self, step: Step, path: str) -> str:
        return "; ".join(echoed(path, name, value) for name, value in pairs_of(self.attributes))


@dataclasses.dataclass
class SetNetwork(Operation):
    """Give a virtual function its former settings; ``interface`` is its card's, ``number`` its own there."""

    operation = "set_network"
    interface: str
    number: int
    settings: dict[str, t.Any]

    def by_hand(self, step: Step, path: str) -> str:
        return network_settings.by_hand(self.interface, self.number, self.settings)


@dataclasses.dataclass
class KeepOriginalState(Operation):
    """Keep the original state that was kept of a device."""

    operation = "keep_original_state"
    state: OriginalState

    def by_hand(self, step: Step, path: str) -> str:
        return "vfio.migration.vfio_pci with state=absent, which gives it back"


@dataclasses.dataclass
class FunctionState(Record):
    """A virtual function as it is to be when it is made again."""

    address: str
    inode: int
    binding: StoredBinding
    migratable: bool | None
    attributes: list[Attribute]
    network: dict[str, t.Any]
    original_state: OriginalState


@dataclasses.dataclass
class MakeFunctions(Operation):
    """Make the former ``number`` of virtual functions again, each as it was."""

    operation = "make_functions"
    number: int
    functions: list[FunctionState]

    def by_hand(self, step: Step, path: str) -> str:
        return f"echo 0 > {path}/sriov_numvfs; echo {self.number} > {path}/sriov_numvfs"


class PciTransaction(SysfsTransaction):
    """One call's changes of PCI devices; locks are the addresses of those that are no virtual functions."""

    def __init__(
        self,
        host: PciHost,
        journal: Journal,
        timeout: float,
        interrupted: t.Callable[[], str | None],
    ) -> None:
        super().__init__(host.sysfs, host.scan_holders, journal, timeout, interrupted)
        self._host = host
        self._devlink = host.devlink
        self._original_states = host.original_states

    def _place(self, device: str) -> str:
        return self._sysfs.path(PCI_DEVICES, device)

    def _apply(self, changes: HostChanges) -> dict[str, t.Any]:
        apply = self._give_back if changes.state == ABSENT else self._prepare
        functions = [self._resize(each, changes.state) for each in changes.lists["functions"]]
        devices = [apply(each) for each in changes.lists["devices"]]
        if changes.state == PRESENT:
            for each in changes.lists["devices"]:
                self._check_assignable(each)
        for each in changes.lists["functions"]:
            self._redefine(each, functions_unit(each.name), self._functions_definition)
            for found in each.undefined:
                about = found.definition
                self._write_unit(about.function or each.name, about.unit, found, None)
        for each in changes.lists["devices"]:
            self._redefine(each, pci_unit(each.name), self._definition)
        return {"functions": functions, "devices": devices}

    # Definitions.

    def _redefine(
        self,
        change: t.Any,
        unit: str,
        definition: t.Callable[[t.Any, PciDevice], Definition],
    ) -> None:
        """Change what is defined of a device, when it is as it is to be."""
        self._device = change.name
        self._enter("define")
        if change.definition == DEFINED:
            with self._host.open(change.name) as device:
                new = definition(change, device)
            self._write_unit(change.name, unit, change.defined, new)
        elif change.definition == UNDEFINED:
            self._write_unit(change.name, unit, change.defined, None)

    def _write_unit(
        self, address: str, unit: str, former: DefinedUnit | None, new: Definition | None
    ) -> None:
        about = former.definition if new is None and former is not None else new
        if self._host.units is None or about is None:
            return
        if not self._journal.holds(lock_of(about)):
            raise self._failure(f"it came under {lock_of(about)} meanwhile; try again")
        # Definitions of vDPA devices may change under another lock.
        if self._host.defined(unit) != former:
            raise self._failure(f"what {unit} defines has changed meanwhile; try again")
        word = UNDEFINED if new is None else DEFINED
        step = Step(lock_of(about), address, word, RestoreUnit.of(unit, former))
        units, defined = self._host.units, None if new is None else DefinedUnit(new, True)
        self._do(step, functools.partial(units.write, unit, defined))

    def _functions_definition(
        self, change: FunctionsChange, device: PciDevice
    ) -> FunctionsDefinition:
        original = self._host.original_state(device).sriov_numvfs
        return FunctionsDefinition(change.name, sysfs_id(device), change.after, original)

    def _definition(self, change: PciChange, device: PciDevice) -> PciDefinition:
        wanted = change.to_define
        if wanted is None:
            raise self._failure("there is nothing to define of it")
        port = None
        if wanted.migratable is not None:
            port = self._host.migratable_port(device.id).name
        names = resolve_names(device, device.attribute_files(), wanted.attributes)
        # After a reboot the card has its own settings again, and those of before it are no one's.
        original = self._host.original_state(device).without("sriov_numvfs", "network")
        return PciDefinition(
            device.id,
            sysfs_id(device),
            device.physical_function,
            wanted.driver,
            port,
            wanted.migratable,
            attributes_of(names),
            original,
        )

    # Physical functions.

    def _resize(self, change: FunctionsChange, state: str) -> dict[str, t.Any]:
        if change.action == UNCHANGED:
            return change.predicted()
        self._device = change.name
        self._enter("resize")
        with self._host.open(change.name) as device:
            undo = MakeFunctions(change.before, self._function_states(device))
            if state == ABSENT:
                self._forget(device, "sriov_numvfs")
            else:
                self._remember(device, OriginalState(sriov_numvfs=change.before))
        step = Step(change.name, change.name, f"sriov_numvfs={change.after}", undo)
        self._do(step, functools.partial(self._set_number, change.name, change.after))
        with self._host.open(change.name) as device:
            return change.result(pci_driver.functions(device))

    def _function_states(self, device: PciDevice) -> list[FunctionState]:
        """Return what the virtual functions of a device are; raise ``InUse`` where one is in use."""
        states = []
        for address in pci_driver.functions(device):
            with self._host.open(address) as function:
                self._check_unused(function)
                port = self._devlink.port(address)
                original = self._original_states.read(function)
                states.append(
                    FunctionState(
                        address,
                        function.inode,
                        StoredBinding.of(read_binding(function)),
                        None if port is None else port.migratable,
                        attributes_of(attribute_pairs(function.attributes()[0])),
                        self._host.current_settings(address, original.network),
                        original,
                    )
                )
        return states

    def _set_number(self, address: str, number: int) -> None:
        with self._host.open(address) as device:
            before = pci_driver.number_of_functions(device)
        path = device.directory.path("sriov_numvfs")
        # The kernel changes one number to another by way of 0 alone.
        for value in [0] * (before > 0) + [number] * (number > 0):
            self._ask_kernel(
                f"cannot write {value} to {path}",
                functools.partial(pci_driver.set_number_of_functions, self._sysfs, address, value),
                _RESIZE_HINTS.get,
            )
        self._wait_until(functools.partial(self._missing_functions, address, number))

    def _missing_functions(self, address: str, number: int) -> str | None:
        with self._host.open(address) as device:
            found = pci_driver.functions(device)
        if len(found) == number:
            return None
        return f"{len(found)} of {number} virtual functions are there"

    # Devices.

    def _prepare(self, change: PciChange) -> dict[str, t.Any]:
        wanted = change.wanted
        self._device = wanted.address
        if change.acts:
            self._enter("bind")
            with self._host.open(wanted.address) as device:
                self._check_unused(device)
                former = read_binding(device)
            self._rebind(wanted, former)
            self._configure(wanted.address, wanted.attributes)
            # Only now, as a function is reset when a driver gets it.
            self._set_network(wanted.address, wanted.network)
        with self._host.open(wanted.address) as device:
            self._check_written(device, wanted.attributes)
            self._enter("verify")
            self._check_settings(wanted.address, wanted.network)
            descriptor, attributes, problems = read_descriptor(device)
            check_accepted(device.id, wanted.accept, descriptor, problems)
            own = descriptor["self"] if descriptor else None
            return change.result(device.link("driver"), attributes, own)

    def _rebind(self, wanted: WantedPciDevice, former: Binding) -> None:
        address, binding = wanted.address, former
        stored = None
        if wanted.driver not in (None, former.driver):
            binding = Binding(wanted.driver, wanted.driver)
            stored = StoredBinding.of(former)
        migratable = self._host.needed_migratable(address, wanted.migratable)
        original = OriginalState(stored, None if migratable is None else not migratable)
        if original != OriginalState():
            with self._host.open(address) as device:
                self._remember(device, original)
            self._bind(address, binding, migratable)
            self._wait_until(functools.partial(self._unassignable, address))

    def _unassignable(self, address: str) -> str | None:
        with self._host.open(address) as device:
            if device.is_assignable:
                return None
            return f"it is bound to {device.link('driver')}, but that is not a VFIO driver"

    def _check_assignable(self, change: PciChange) -> None:
        self._device = change.name
        self._enter("verify")
        with self._host.open(change.name) as device:
            reason = why_not_assignable(device)
        if reason is not None:
            raise self._failure(reason)

    def _configure(self, address: str, attributes: t.Sequence[tuple[str, str]]) -> None:
        self._enter("attribute")
        with self._host.open(address) as device:
            vgpu_type = VgpuType(device)
            needed = vgpu_type.needed_writes(attributes)
            if needed:
                original = attributes_of(vgpu_type.original(needed))
                self._remember(device, OriginalState(attributes=original))
                self._write_in_turn(device, vgpu_type, needed)

    def _write_in_turn(
        self, device: PciDevice, vgpu_type: VgpuType, needed: t.Sequence[AttributeWrite]
    ) -> None:
        lock, modes = self._host.lock_name(device.id), device.attribute_files()
        for write, undo in vgpu_type.with_undo(needed):
            self._enter("attribute")
            problem = vgpu_type.why_not_creatable(write)
            if problem is not None:
                raise self._failure(problem)
            operation = WriteAttributes(attributes_of(undo))
            step = Step(lock, device.id, f"{write.name}={write.value}", operation)
            self._write(device, modes, write.name, write.value, step)
            if vgpu_type.resets(write):
                self._wait_until(vgpu_type.why_not_reset)

    def _set_network(self, address: str, wanted: Settings) -> None:
        self._enter("network")
        needed = self._host.needed_settings(address, wanted)
        if needed:
            names = [name for each in needed for name in each]
            former = self._host.current_settings(address, names)
            with self._host.open(address) as device:
                self._remember(device, OriginalState(network=former))
            self._change_network(address, needed)

    def _change_network(self, address: str, needed: t.Sequence[Settings]) -> None:
        """Make the changes of a function's settings, each a step."""
        if not needed:
            return
        lock, interface = self._host.lock_name(address), self._host.interface(address)
        number = interface.numbers[address]
        for each in needed:
            self._enter("network")
            former = self._host.current_settings(address, each)
            change = network_settings.described(each)
            step = Step(lock, address, change, SetNetwork(interface.name, number, former))
            act = functools.partial(self._host.network.change, interface, address, each)
            self._ask_kernel(
                f"cannot set {change} of function {number} of {interface.name}",
                functools.partial(self._do, step, act),
                _NETWORK_HINTS.get,
            )

    def _check_settings(self, address: str, wanted: Settings) -> None:
        for each in self._host.needed_settings(address, wanted):
            current = self._host.current_settings(address, each)
            raise self._failure(
                f"{network_settings.described(each)} was set and taken, but it reads back"
                f" {network_settings.described(current)}"
            )

    def _give_back(self, change: PciChange) -> dict[str, t.Any]:
        address = self._device = change.name
        self._enter("restore")
        if change.after is None:
            return change.predicted()
        if change.acts:
            with self._host.open(address) as device:
                original = change.wanted.to_give_back(self._host.original_state(device))
                self._check_unused(device)
                vgpu_type = VgpuType(device)
                values = original.former_attributes(device)
                self._write_in_turn(device, vgpu_type, vgpu_type.needed_writes(values))
                former = original.former_binding(read_binding(device))
                migratable = self._host.needed_migratable(address, original.migratable)
            self._change_network(address, self._host.needed_settings(address, original.network))
            self._enter("restore")
            self._bind(address, former, migratable)
        with self._host.open(address) as device:
            kept = () if change.wanted.keep_driver else ("binding", "migratable")
            self._forget(device, "attributes", "network", *kept)
            descriptor, attributes, _problems = read_descriptor(device)
            own = descriptor["self"] if descriptor else None
            return change.result(device.link("driver"), attributes, own)

    def _bind(self, address: str, binding: Binding, migratable: bool | None) -> None:
        with self._host.open(address) as device:
            current = StoredBinding.of(read_binding(device))
        undo = BindDriver(current, None if migratable is None else not migratable)
        step = Step(self._host.lock_name(address), address, f"driver={binding.driver or ''}", undo)
        self._do(step, functools.partial(self._set_binding, address, binding, migratable))

    def _set_binding(self, address: str, binding: Binding, migratable: bool | None) -> None:
        """Bind a device to its driver, and before that make it ``migratable`` or not, unless that is ``None``."""
        if binding.driver and not self._sysfs.exists(PCI_DRIVERS, binding.driver):
            self._host.load(binding.driver)
        with self._host.open(address) as device:
            override = read_binding(device).override
        if override != binding.override:
            self._ask_kernel(
                f"cannot write {binding.override or 'nothing'} to {device.directory.path('driver_override')}",
                functools.partial(pci_driver.set_override, self._sysfs, address, binding.override),
            )
        # Only now, as no other driver can take it any more.
        with self._host.open(address) as device:
            current = device.link("driver")
        if current is not None and (current != binding.driver or migratable is not None):
            self._release(address)
            current = None
        if migratable is not None:
            port = self._host.migratable_port(address)
            self._ask_kernel(
                f"cannot set migratable of its port {port.name} to {'enable' if migratable else 'disable'}",
                functools.partial(self._devlink.set_migratable, port, migratable),
                _MIGRATABLE_HINTS.get,
            )
        if binding.driver not in (None, current):
            self._ask_kernel(
                f"cannot bind it to the driver {binding.driver}",
                functools.partial(pci_driver.bind, self._sysfs, address, binding.driver),
                _BIND_HINTS.get,
            )
        self._wait_until(functools.partial(self._unbound, address, binding.driver))

    def _release(self, address: str) -> None:
        """Take a device from its driver, unless that has let it go meanwhile."""
        self._wait_until(functools.partial(self._irremovable, address))
        with self._host.open(address) as device:
            current = device.link("driver")
        if current is not None:
            self._ask_kernel(
                f"cannot take it from the driver {current}",
                functools.partial(pci_driver.unbind, self._sysfs, address),
            )

    def _irremovable(self, address: str) -> str | None:
        """Return why a device cannot be taken from its driver yet: one that is being loaded takes devices first (bus_add_driver)."""
        with self._host.open(address) as device:
            current = device.link("driver")
        if current is None or self._sysfs.exists(PCI_DRIVERS, current, "unbind"):
            return None
        return f"the driver {current} has it, and no file unbind"

    def _unbound(self, address: str, driver: str | None) -> str | None:
        with self._host.open(address) as device:
            current = device.link("driver")
        return None if current == driver else f"it is bound to {current}, not {driver}"

    def _check_unused(self, device: PciDevice) -> None:
        """Check once more, right before it counts, that nothing uses the device."""
        reason = self._host.why_in_use(device, self._scan_holders())
        if reason is not None:
            raise InUse(device.path, reason)

    # The original state.

    def _remember(self, device: PciDevice, former: OriginalState) -> None:
        """Keep what a device was before the first change of it, and so nothing that is kept already."""
        state = self._original_states.read(device)
        self._keep(device, state, state.completed(former))

    def _forget(self, device: PciDevice, *fields: str) -> None:
        state = self._original_states.read(device)
        self._keep(device, state, state.without(*fields))

    def _keep(self, device: PciDevice, before: OriginalState, after: OriginalState) -> None:
        if after != before:
            lock = self._host.lock_name(device.id)
            step = Step(lock, device.id, "original state", KeepOriginalState(before))
            self._do(step, functools.partial(self._original_states.write, device, after))

    # Undoing.

    def _undo_step(self, step: Step, recovering: bool) -> bool:
        # A definition is there also without its device.
        there = isinstance(step.undo, RestoreUnit) or self._host.exists(step.device)
        return there and super()._undo_step(step, recovering)

    def _undo_definition(self, step: Step, undo: RestoreUnit, recovering: bool) -> bool:
        return restore_unit(self._host.units, undo, device_exists=True)

    def _undo_keeping(self, step: Step, undo: KeepOriginalState, recovering: bool) -> bool:
        with self._host.open(step.device) as device:
            self._original_states.write(device, undo.state)
        return False

    def _undo_write(self, step: Step, undo: WriteAttributes, recovering: bool) -> bool:
        with self._host.open(step.device) as device:
            self._check_unused(device)
            return _restore_attributes(device, undo.attributes)

    def _undo_network(self, step: Step, undo: SetNetwork, recovering: bool) -> bool:
        with self._host.open(step.device) as device:
            self._check_unused(device)
        return self._restore_network(step.device, undo.settings)

    def _restore_network(self, address: str, settings: Settings) -> bool:
        """Give a function its former settings; return whether one had another value."""
        needed = self._host.needed_settings(address, settings)
        for each in needed:
            self._host.network.change(self._host.interface(address), address, each)
        return bool(needed)

    def _undo_binding(self, step: Step, undo: BindDriver, recovering: bool) -> bool:
        with self._host.open(step.device) as device:
            self._check_unused(device)
            current = StoredBinding.of(read_binding(device))
        migratable = self._host.needed_migratable(step.device, undo.migratable)
        if migratable is None and current == undo.binding:
            return False
        self._set_binding(step.device, undo.binding.binding(), migratable)
        return True

    def _undo_resizing(self, step: Step, undo: MakeFunctions, recovering: bool) -> bool:
        with self._host.open(step.device) as device:
            now = self._function_states(device)
        if [each.inode for each in now] == [each.inode for each in undo.functions]:
            return False
        self._set_number(step.device, 0)
        self._set_number(step.device, undo.number)
        for each in undo.functions:
            migratable = self._host.needed_migratable(each.address, each.migratable)
            self._set_binding(each.address, each.binding.binding(), migratable)
            with self._host.open(each.address) as function:
                self._original_states.write(function, each.original_state)
                _restore_attributes(function, each.attributes)
            self._restore_network(each.address, each.network)
        return True

    undoers: t.ClassVar = {
        BindDriver: _undo_binding,
        KeepOriginalState: _undo_keeping,
        MakeFunctions: _undo_resizing,
        RestoreUnit: _undo_definition,
        SetNetwork: _undo_network,
        WriteAttributes: _undo_write,
    }


def _restore_attributes(device: PciDevice, attributes: t.Iterable[Attribute]) -> bool:
    """Give attributes their former values; return whether one had another value."""
    files = device.attribute_files()
    changed = False
    for name, value in pairs_of(attributes):
        if files.get(name, 0) & stat.S_IRUSR and device.attribute(name) == value:
            continue
        device.directory.write(name, as_written(name, value))
        changed = True
    return changed
