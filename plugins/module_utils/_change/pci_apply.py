# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Carries out a plan for PCI devices, or leaves the host as it was."""

from __future__ import annotations

import errno
import functools
import stat

from ansible_collections.vfio.migration.plugins.module_utils._change.attributes import verify
from ansible_collections.vfio.migration.plugins.module_utils._change.device_transaction import (
    DeviceTransaction,
    data,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.journal import Change
from ansible_collections.vfio.migration.plugins.module_utils._change.pci_plan import (
    former_attributes,
    former_binding,
    going_with,
    lock_name,
    migratable_port,
    to_give_back,
    to_remember,
    to_switch,
    writes_in_turn,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.plan import ABSENT, PRESENT
from ansible_collections.vfio.migration.plugins.module_utils._change.transaction import InUse
from ansible_collections.vfio.migration.plugins.module_utils._descriptor import drivers
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.attributes import shown
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.identifiers import (
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

TYPE_CHECKING = False
if TYPE_CHECKING:  # pragma: no cover
    import typing as t

    from ansible_collections.vfio.migration.plugins.module_utils._change.attributes import Write
    from ansible_collections.vfio.migration.plugins.module_utils._change.journal import Journal
    from ansible_collections.vfio.migration.plugins.module_utils._change.original_state import (
        Record,
        Records,
    )
    from ansible_collections.vfio.migration.plugins.module_utils._change.pci_plan import (
        DeviceAction,
        FunctionAction,
        WantedDevice,
    )
    from ansible_collections.vfio.migration.plugins.module_utils._change.plan import Plan
    from ansible_collections.vfio.migration.plugins.module_utils._host.devlink import Devlink
    from ansible_collections.vfio.migration.plugins.module_utils._host.processes import Holders
    from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import Sysfs

# Verbs of what undoes a change.
_BIND = "bind"
_RECORD = "record"
_RESIZE = "resize"
_WRITE = "write"

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
_RESIZE_HINTS = {
    errno.EBUSY: "the driver has functions in use that are not known here",
    errno.EINVAL: "the driver refused the number",
    errno.ENOENT: "its driver cannot do this here: there is none, or the vendor has a tool for it, as NVIDIA's sriov-manage",
    errno.ENOMEM: "the host has not enough memory or bus numbers left",
    errno.ENOSPC: "the host has not enough memory or bus numbers left",
}


class PciTransaction(DeviceTransaction):
    """One call's changes of PCI devices; locks are the addresses of those that are no virtual functions.

    ``load`` loads a driver that is not there yet, and raises ``ProvisionError`` where that fails.
    """

    def __init__(
        self,
        sysfs: Sysfs,
        scan_holders: t.Callable[[], Holders],
        is_free_disk: t.Callable[[str], bool],
        load: t.Callable[[str], None],
        records: Records,
        devlink: Devlink,
        journal: Journal,
        timeout: float,
        interrupted: t.Callable[[], str | None],
    ) -> None:
        super().__init__(sysfs, scan_holders, journal, timeout, interrupted)
        self._is_free_disk = is_free_disk
        self._load = load
        self._records = records
        self._devlink = devlink

    def _apply_plan(self, plan: Plan) -> dict[str, t.Any]:
        apply = self._give_back if plan.state == ABSENT else self._apply
        functions = [self._resize(action, plan.state) for action in plan.lists["functions"]]
        devices = [apply(action) for action in plan.lists["devices"]]
        if plan.state == PRESENT:
            for action in plan.lists["devices"]:
                self._check_assignable(action)
        return {"functions": functions, "devices": devices}

    # Physical functions.

    def _resize(self, action: FunctionAction, state: str) -> dict[str, t.Any]:
        if not action.changes:
            return action.result()
        self._device = action.name
        self._enter("resize")
        with self._open(action.name) as device:
            undo = [_RESIZE, action.before, self._states(device)]
            if state == ABSENT:
                self._forget(device, "sriov_numvfs")
            else:
                self._remember(device, {"sriov_numvfs": action.before})
        change = Change(action.name, action.name, f"sriov_numvfs={action.after}", undo)
        self._do(change, functools.partial(self._set_number, action.name, action.after))
        with self._open(action.name) as device:
            action.addresses = pci_driver.functions(device)
        return action.result()

    def _states(self, device: PciDevice) -> list[dict[str, t.Any]]:
        """What the virtual functions of a device are, when none is in use."""
        states = []
        for address in pci_driver.functions(device):
            with self._open(address) as function:
                self._check_unused(function)
                binding = read_binding(function)
                port = self._devlink.port(address)
                states.append(
                    {
                        "address": address,
                        "inode": function.inode,
                        "driver": binding.driver,
                        "override": binding.override,
                        "migratable": port and port.migratable,
                        "attributes": function.attributes()[0],
                        "record": self._records.of(function),
                    }
                )
        return states

    def _set_number(self, address: str, number: int) -> None:
        with self._open(address) as device:
            before = pci_driver.number_of_functions(device)
        path = self._sysfs.path(PCI_DEVICES, address, "sriov_numvfs")
        # The kernel changes one number to another by way of 0 alone.
        for value in [0] * (before > 0) + [number] * (number > 0):
            self._tell_kernel(
                f"cannot write {value} to {path}",
                functools.partial(pci_driver.set_number_of_functions, self._sysfs, address, value),
                _RESIZE_HINTS.get,
            )
        self._wait_until(functools.partial(self._missing_functions, address, number))

    def _missing_functions(self, address: str, number: int) -> str | None:
        with self._open(address) as device:
            found = pci_driver.functions(device)
        if len(found) == number:
            return None
        return f"{len(found)} of {number} virtual functions are there"

    # Devices.

    def _apply(self, action: DeviceAction) -> dict[str, t.Any]:
        wanted = action.wanted
        self._device = wanted.address
        if action.changes:
            self._enter("bind")
            with self._open(wanted.address) as device:
                self._check_unused(device)
                bound = read_binding(device)
            self._rebind(wanted, bound)
            self._configure(wanted.address, wanted.attributes)
        with self._open(wanted.address) as device:
            self._check_written(device, wanted.attributes)
            self._enter("verify")
            descriptor, attributes, problems = read_descriptor(device)
            verify(device.id, wanted.accept, descriptor, problems)
            own = descriptor["self"] if descriptor else None
            return action.result(device.link("driver"), attributes, own)

    def _rebind(self, wanted: WantedDevice, former: Binding) -> None:
        address, binding = wanted.address, former
        noted: Record = {}
        if wanted.driver not in (None, former.driver):
            binding = Binding(wanted.driver, wanted.driver)
            noted.update(driver=former.driver, driver_override=former.override)
        migratable = to_switch(self._devlink, address, wanted.migratable)
        if migratable is not None:
            noted.update(migratable=not migratable)
        if noted:
            with self._open(address) as device:
                self._remember(device, noted)
            self._bind(address, binding, migratable)
            self._wait_until(functools.partial(self._unassignable, address))

    def _unassignable(self, address: str) -> str | None:
        with self._open(address) as device:
            if device.is_assignable:
                return None
            return f"it is bound to {device.link('driver')}, but that is no VFIO driver"

    def _configure(self, address: str, attributes: t.Sequence[tuple[str, str]]) -> None:
        self._enter("attribute")
        with self._open(address) as device:
            needed = writes_in_turn(device, attributes)
            if needed:
                self._remember(device, {"attributes": to_remember(device, needed)})
                self._write_in_turn(device, needed)

    def _write_in_turn(self, device: PciDevice, needed: t.Sequence[Write]) -> None:
        modes = device.attribute_files()
        known = device.driver_profile()
        idle, idle_value = known.idle or ("", "")
        reset = False
        for index, write in enumerate(needed):
            self._enter("attribute")
            undo = [write.undo]
            if write.name == idle and write.undo[1] != idle_value:
                # Undone, it has its value again before the others have theirs.
                others = [later.undo for later in needed[index + 1 :] if later.name != idle]
                undo += dict([*others, *going_with(device, idle)]).items()
                reset = True
            elif write.name != idle and reset:
                undo = []
            if write.name == idle and write.value != idle_value and known.choices:
                self._check_choice(device, known.choices, write.value)
            self._write(device, modes, write.name, write.value, self._writing(device, write, undo))
            if (write.name, write.value) == (idle, idle_value):
                self._wait_until(functools.partial(_not_idle, device, idle, idle_value))

    def _writing(
        self, device: PciDevice, write: Write, undo: t.Sequence[tuple[str, str]]
    ) -> Change:
        name = lock_name(self._sysfs, device.id)
        return Change(name, device.id, f"{write.name}={write.value}", [_WRITE, undo])

    def _check_choice(self, device: PciDevice, name: str, value: str) -> None:
        """Checks a value right before it is written: what others took of what they share is not to be had any more."""
        choices = drivers.choices(device.text(name, drivers.MAX_CHOICES))
        if value not in choices:
            listed = ", ".join(choices) or "nothing"
            raise self._failure(f"{device.directory.path(name)} has {listed}, not {shown(value)}")

    def _give_back(self, action: DeviceAction) -> dict[str, t.Any]:
        address = action.wanted.address
        self._device = address
        self._enter("restore")
        if action.after is None:
            return action.predicted()
        with self._open(address) as device:
            record = to_give_back(action.wanted, self._records.of(device))
            if action.changes:
                self._check_unused(device)
                former_values = former_attributes(record, device)
                self._write_in_turn(device, writes_in_turn(device, former_values))
                former = former_binding(record, read_binding(device))
                migratable = to_switch(self._devlink, address, (record or {}).get("migratable"))
        if action.changes:
            self._bind(address, former, migratable)
        with self._open(address) as device:
            self._forget(device, *(record or ()))
            descriptor, attributes, _problems = read_descriptor(device)
            own = descriptor["self"] if descriptor else None
            return action.result(device.link("driver"), attributes, own)

    def _bind(self, address: str, binding: Binding, migratable: bool | None) -> None:
        with self._open(address) as device:
            current = read_binding(device)
        change = Change(
            lock_name(self._sysfs, address),
            address,
            f"driver={binding.driver or ''}",
            [
                _BIND,
                current.driver,
                current.override,
                None if migratable is None else not migratable,
            ],
        )
        self._do(change, functools.partial(self._set_binding, address, binding, migratable))

    def _set_binding(self, address: str, binding: Binding, migratable: bool | None = None) -> None:
        """Binds a device to its driver, and before that makes it ``migratable`` or not unless that is ``None``."""
        if binding.driver and not self._sysfs.exists(PCI_DRIVERS, binding.driver):
            self._load(binding.driver)
        with self._open(address) as device:
            override = read_binding(device).override
        if override != binding.override:
            self._tell_kernel(
                f"cannot write {binding.override or 'nothing'} to {device.directory.path('driver_override')}",
                functools.partial(pci_driver.set_override, self._sysfs, address, binding.override),
            )
        # Only now, as no other driver can take it any more.
        with self._open(address) as device:
            current = device.link("driver")
        if current is not None and (current != binding.driver or migratable is not None):
            self._tell_kernel(
                f"cannot take it from the driver {current}",
                functools.partial(pci_driver.unbind, self._sysfs, address),
            )
            current = None
        if migratable is not None:
            port = migratable_port(self._devlink, address)
            self._tell_kernel(
                f"cannot set migratable of its port {port.name} to {'enable' if migratable else 'disable'}",
                functools.partial(self._devlink.set_migratable, port, migratable),
                _MIGRATABLE_HINTS.get,
            )
        if binding.driver not in (None, current):
            self._tell_kernel(
                f"cannot bind it to the driver {binding.driver}",
                functools.partial(pci_driver.bind, self._sysfs, address, binding.driver),
                _BIND_HINTS.get,
            )
        self._wait_until(functools.partial(self._unbound, address, binding.driver))

    def _unbound(self, address: str, driver: str | None) -> str | None:
        with self._open(address) as device:
            current = device.link("driver")
        return None if current == driver else f"it is bound to {current}, not {driver}"

    # Records.

    def _remember(self, device: PciDevice, former: Record) -> None:
        """Notes what a device was before the first change of it, and so nothing that is noted already."""
        record = self._records.of(device)
        known = dict(record or {})
        noted = {name for name, value in known.get("attributes", [])}
        attributes = [each for each in former.get("attributes", []) if each[0] not in noted]
        if attributes:
            known["attributes"] = known.get("attributes", []) + attributes
        self._record(device, record, dict(former, **known))

    def _forget(self, device: PciDevice, *names: str) -> None:
        record = self._records.of(device)
        if record is not None:
            left = {name: value for name, value in record.items() if name not in names}
            self._record(device, record, left or None)

    def _record(self, device: PciDevice, before: Record | None, after: Record | None) -> None:
        if after != before:
            change = Change(
                lock_name(self._sysfs, device.id), device.id, "record", [_RECORD, before]
            )
            self._do(change, functools.partial(self._records.write, device, after))

    # The host.

    def _open(self, address: str) -> PciDevice:
        return PciDevice(self._sysfs, address)

    def _check_assignable(self, action: DeviceAction) -> None:
        self._device = action.name
        self._enter("verify")
        with self._open(action.name) as device:
            reason = why_not_assignable(device)
        if reason is not None:
            raise self._failure(reason)

    def _check_unused(self, device: PciDevice) -> None:
        """Checks once more, right before it counts, that nothing uses the device."""
        reason = why_in_use(self._sysfs, device, self._scan_holders(), self._is_free_disk)
        if reason is not None:
            raise InUse(device.path, reason)

    # Undoing.

    def _undo_change(self, change: Change, recovering: bool) -> bool:
        verb, *arguments = change.undo or ()
        if not self._sysfs.exists(PCI_DEVICES, change.device):
            return False
        with self._open(change.device) as device:
            if verb == _RECORD:
                self._records.write(device, *arguments)
                return False
            if verb == _RESIZE:
                return self._restore_functions(device, *arguments)
            self._check_unused(device)
            if verb == _WRITE:
                return _restore_attributes(device, *arguments)
            return self._restore_binding(device, *arguments)

    def _restore_binding(
        self, device: PciDevice, driver: str | None, override: str | None, migratable: bool | None
    ) -> bool:
        binding = Binding(driver, override)
        migratable = to_switch(self._devlink, device.id, migratable)
        if migratable is None and read_binding(device) == binding:
            return False
        self._set_binding(device.id, binding, migratable)
        return True

    def _restore_functions(
        self, device: PciDevice, number: int, states: list[dict[str, t.Any]]
    ) -> bool:
        now = self._states(device)
        if [each["inode"] for each in now] == [each["inode"] for each in states]:
            return False
        self._set_number(device.id, 0)
        self._set_number(device.id, number)
        for state in states:
            migratable = to_switch(self._devlink, state["address"], state["migratable"])
            binding = Binding(state["driver"], state["override"])
            self._set_binding(state["address"], binding, migratable)
            with self._open(state["address"]) as function:
                self._records.write(function, state["record"])
                _restore_attributes(function, attribute_pairs(state["attributes"]))
        return True


def _restore_attributes(device: PciDevice, values: t.Sequence[t.Sequence[str]]) -> bool:
    """Gives attributes their former values; returns whether there was one that had another."""
    files = device.attribute_files()
    changed = False
    for name, value in values:
        if files.get(name, 0) & stat.S_IRUSR and device.attribute(name) == value:
            continue
        device.directory.write(name, data(value))
        changed = True
    return changed


def _not_idle(device: PciDevice, name: str, value: str) -> str | None:
    current = device.attribute(name)
    return None if current == value else f"{device.directory.path(name)} still has {shown(current)}"
