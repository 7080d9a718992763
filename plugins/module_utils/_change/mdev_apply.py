# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""Makes the changes of mediated devices, or leaves the host as it was.

An mdev is created in ``MdevTransaction._create``.
"""

from __future__ import annotations

import dataclasses
import errno
import functools
import json
import shlex
import typing as t

from ansible_collections.vfio.migration.plugins.module_utils._change.attributes import (
    as_written,
    check_accepted,
    echoed,
    needed_writes,
    resolve_names,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.errors import Irreversible
from ansible_collections.vfio.migration.plugins.module_utils._change.journal import (
    Journal,
    Operation,
    Step,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.mdev_plan import (
    MdevChange,
    MdevHost,
    WantedMdev,
    is_live,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.plan import (
    ABSENT,
    CONFIGURED,
    CREATED,
    DEFINED,
    REMOVED,
    UNDEFINED,
    HostChanges,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.transaction import (
    SysfsTransaction,
    check_not_held,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.device import (
    MediatedDevice,
    Parent,
    read_descriptor,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.mdevctl import (
    MdevctlError,
    definition,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.processes import nodes, why_held
from ansible_collections.vfio.migration.plugins.module_utils._host.reading import (
    HostReadError,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import (
    MDEV_DEVICES,
    MDEV_PARENTS,
    MDEV_TYPES,
)

_CREATE_HINTS = {
    errno.EAGAIN: "the parent or its driver is busy; try again",
    errno.EBUSY: "the parent is in use in another way",
    errno.EEXIST: "a device of this UUID was made meanwhile",
    errno.EINVAL: "the driver refused",
    errno.ENODEV: "the parent or its driver is going away",
    errno.ENOMEM: "the host has not enough memory left",
    errno.ENOSPC: "the driver has nothing left to make it of",
    errno.EROFS: "sysfs is mounted read-only; run on the host itself, not in a container",
    errno.EUSERS: "the driver has no instance left",
}
_REMOVE_HINTS = {
    errno.EAGAIN: "it is being removed already",
    errno.EBUSY: "it is in use",
    errno.ENODEV: "it went away meanwhile",
    errno.ENOENT: "it went away meanwhile",
}


@dataclasses.dataclass
class RemoveMdev(Operation):
    """Remove a device that was created with ``type``."""

    operation = "remove_mdev"
    type: str

    def by_hand(self, step: Step, path: str) -> str:
        return f"echo 1 > {path}/remove"


@dataclasses.dataclass
class WriteAttribute(Operation):
    """Write the former ``value`` of the attribute ``name``.

    ``live``: the driver took the new value while a process held the device.
    """

    operation = "write_attribute"
    name: str
    value: str
    live: bool

    def by_hand(self, step: Step, path: str) -> str:
        return echoed(path, self.name, self.value)


@dataclasses.dataclass
class RestoreDefinition(Operation):
    """Give mdevctl the former ``definition``; ``None`` where there was none.

    ``with_device``: the device is removed in the same call, and without it the definition is of no use.
    """

    operation = "restore_definition"
    definition: dict[str, t.Any] | None
    with_device: bool

    def by_hand(self, step: Step, path: str) -> str:
        if self.definition is None:
            return f"mdevctl undefine --uuid {step.device} --parent {shlex.quote(step.lock)}"
        return (
            f"mdevctl define --uuid {step.device} --parent {shlex.quote(step.lock)}, with the definition"
            f" {json.dumps(self.definition)}"
        )


class MdevTransaction(SysfsTransaction):
    """One call's changes of mediated devices; locks are the names of parents."""

    def __init__(
        self,
        host: MdevHost,
        journal: Journal,
        timeout: float,
        interrupted: t.Callable[[], str | None],
    ) -> None:
        super().__init__(host.sysfs, host.scan_holders, journal, timeout, interrupted)
        self._mdevctl = host.mdevctl

    def _place(self, device: str) -> str:
        return self._sysfs.path(MDEV_DEVICES, device)

    def _apply(self, changes: HostChanges) -> dict[str, t.Any]:
        every = changes.lists["devices"]
        for change in every:
            self._check_locked(change)
        if changes.state == ABSENT:
            return {"devices": [self._make_absent(change) for change in every]}
        devices = [self._make_present(change) for change in every]
        for change in every:
            self._define(change)
        return {"devices": devices}

    def _check_locked(self, change: MdevChange) -> None:
        self._begin(change, "inspect")
        for parent in sorted(change.parents):
            if not self._journal.holds(parent):
                raise self._failure(f"it came under the parent {parent} meanwhile; try again")

    def _make_absent(self, change: MdevChange) -> dict[str, t.Any]:
        # The definition goes first, as it can be restored.
        self._undefine(change)
        if change.action == REMOVED:
            self._begin(change, "remove")
            self._check_free(change)
            self._remove(change.name)
            self._done.append(Step("", change.name, REMOVED))
            self._wait_until_gone(change.name)
        return change.predicted()

    def _make_present(self, change: MdevChange) -> dict[str, t.Any]:
        wanted = change.wanted
        if change.action == CREATED:
            self._create(change)
        self._begin(change, "attribute")
        with self._open(wanted.uuid) as device:
            if change.action == CREATED:
                self._configure_new(device, wanted)
            elif change.action == CONFIGURED:
                self._configure(device, change)
            self._check_written(device, wanted.attributes)
            self._enter("verify")
            descriptor, attributes, problems = read_descriptor(device)
            check_accepted(wanted.uuid, wanted.accept, descriptor, problems)
            own = descriptor["self"] if descriptor else None
            return change.result(device.parent, device.type, attributes, own)

    def _create(self, change: MdevChange) -> None:
        self._begin(change, "create")
        wanted = change.wanted
        place = (MDEV_PARENTS, wanted.parent or "", MDEV_TYPES, wanted.type or "")

        def create() -> None:
            with self._sysfs.open(*place) as directory:
                directory.write("create", wanted.uuid.encode("ascii"))

        step = Step(wanted.parent or "", wanted.uuid, CREATED, RemoveMdev(wanted.type or ""))
        self._ask_kernel(
            f"cannot create it through {self._sysfs.path(*place)}/create",
            functools.partial(self._do, step, create),
            functools.partial(self._create_hint, wanted),
        )
        self._enter("wait")
        self._wait_until(functools.partial(self._missing, wanted))

    def _create_hint(self, wanted: WantedMdev, number: int) -> str | None:
        # Drivers report that nothing is left in many ways, so ask.
        try:
            mdev_type = Parent(self._sysfs, wanted.parent or "").read_type(wanted.type or "")
        except HostReadError:
            mdev_type = {"available_instances": None}
        if mdev_type["available_instances"] == 0:
            return f"no instance of type {wanted.type} is left under {wanted.parent}; available_instances is 0"
        return _CREATE_HINTS.get(number)

    def _missing(self, wanted: WantedMdev) -> str | None:
        """Return what the kernel does not show yet of a new device."""
        try:
            with self._open(wanted.uuid) as device:
                resolve_names(device, device.attribute_files(), wanted.attributes)
        except HostReadError as problem:
            return str(problem)
        return None

    def _configure_new(self, device: MediatedDevice, wanted: WantedMdev) -> None:
        # Not noted: what undoes it is that the device goes again.
        modes = device.attribute_files()
        for name, value in resolve_names(device, modes, wanted.attributes):
            self._enter("attribute")
            self._write(device, modes, name, value)

    def _configure(self, device: MediatedDevice, change: MdevChange) -> None:
        modes = device.attribute_files()
        needed = needed_writes(device, change.wanted.attributes)
        live = is_live(device, needed)
        if not live:
            self._check_free(change)
        for write in needed:
            self._enter("attribute")
            undo = WriteAttribute(*write.undo, live=live)
            step = Step(device.parent, device.id, f"{write.name}={write.value}", undo)
            self._write(device, modes, write.name, write.value, step)

    # Definitions.

    def _define(self, change: MdevChange) -> None:
        if change.definition != DEFINED:
            return
        self._undefine(change)
        wanted = change.wanted
        self._begin(change, "define")
        with self._open(wanted.uuid) as device:
            attributes = resolve_names(device, device.attribute_files(), wanted.attributes)
            parent, content = device.parent, definition(device.type, attributes)
        step = Step(parent, wanted.uuid, DEFINED, RestoreDefinition(None, with_device=False))
        self._do(step, self._mdevctl_call("define", wanted.uuid, parent, content))

    def _undefine(self, change: MdevChange) -> None:
        for parent, before in sorted(change.definitions.items()):
            self._begin(change, "define")
            undo = RestoreDefinition(before, with_device=change.action == REMOVED)
            step = Step(parent, change.name, UNDEFINED, undo)
            self._do(step, self._mdevctl_call("undefine", change.name, parent))

    def _mdevctl_call(self, name: str, *arguments: t.Any) -> t.Callable[[], None]:
        def call() -> None:
            try:
                getattr(self._mdevctl, name)(*arguments)
            except MdevctlError as error:
                raise self._failure(str(error)) from None

        return call

    # Removal.

    def _check_free(self, change: MdevChange) -> None:
        """Check once more, right before it counts, that no process holds the device."""
        holder = self._scan_holders().holder_of(change.nodes)
        if holder is not None:
            raise self._failure(why_held(holder))

    def _remove(self, uuid: str) -> None:
        def remove() -> None:
            with self._sysfs.open(MDEV_DEVICES, uuid) as directory:
                directory.write("remove", b"1")

        path = self._sysfs.path(MDEV_DEVICES, uuid)
        self._ask_kernel(f"cannot remove it through {path}/remove", remove, _REMOVE_HINTS.get)

    def _wait_until_gone(self, uuid: str) -> None:
        self._wait_until(
            lambda: "it is still there" if self._sysfs.exists(MDEV_DEVICES, uuid) else None
        )

    # Undoing.

    def _undo_creation(self, step: Step, undo: RemoveMdev, recovering: bool) -> bool:
        if not self._sysfs.exists(MDEV_DEVICES, step.device):
            return False
        with self._open(step.device) as device:
            # What another one has made of the UUID since is not ours.
            if (device.parent, device.type) != (step.lock, undo.type):
                return False
            self._check_not_taken(device, recovering)
        self._remove(step.device)
        self._wait_until_gone(step.device)
        return True

    def _undo_write(self, step: Step, undo: WriteAttribute, recovering: bool) -> bool:
        if not self._sysfs.exists(MDEV_DEVICES, step.device):
            return False
        with self._open(step.device) as device:
            if device.parent != step.lock:
                return False
            # What was just given to a running guest can be taken back at once, but not later.
            if recovering or not undo.live:
                self._check_not_taken(device, recovering)
            device.directory.write(undo.name, as_written(undo.name, undo.value))
            return True

    def _undo_definition(self, step: Step, undo: RestoreDefinition, recovering: bool) -> bool:
        if undo.with_device and not self._sysfs.exists(MDEV_DEVICES, step.device):
            raise Irreversible("the device is gone")
        if self._mdevctl is None:
            raise HostReadError(
                step.device, "mdevctl, which has a definition of it, is not installed"
            )
        try:
            now = self._mdevctl.definitions().get(step.device, {}).get(step.lock)
            if now == undo.definition:
                return False
            if now is not None:
                self._mdevctl.undefine(step.device, step.lock)
            if undo.definition is not None:
                self._mdevctl.define(step.device, step.lock, undo.definition)
        except MdevctlError as error:
            raise self._failure(str(error)) from None
        return True

    undoers: t.ClassVar = {
        RemoveMdev: _undo_creation,
        WriteAttribute: _undo_write,
        RestoreDefinition: _undo_definition,
    }

    def _check_not_taken(self, device: MediatedDevice, recovering: bool) -> None:
        """Raise ``InUse`` where a process holds the device, ``HostReadError`` where one may hold another call's."""
        holder = self._scan_holders().holder_of(
            nodes(device.iommu_group, device.character_devices())
        )
        check_not_held(device.path, holder, ours=not recovering)

    def _open(self, uuid: str) -> MediatedDevice:
        return MediatedDevice(self._sysfs, uuid, {})

    def _begin(self, change: MdevChange, step: str) -> None:
        self._device = change.name
        self._enter(step)
