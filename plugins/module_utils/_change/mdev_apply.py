# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Carries out a plan for mediated devices, or leaves the host as it was."""

from __future__ import annotations

import errno
import functools

from ansible_collections.vfio.migration.plugins.module_utils._change.attributes import (
    resolved,
    verify,
    writes,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.device_transaction import (
    DeviceTransaction,
    data,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.journal import Change
from ansible_collections.vfio.migration.plugins.module_utils._change.mdev_plan import (
    DEFINED,
    UNDEFINED,
    is_live,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.plan import (
    ABSENT,
    CONFIGURED,
    CREATED,
    REMOVED,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.transaction import (
    Irreversible,
    check_not_held,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.device import (
    MDEV_DEVICES,
    MDEV_PARENTS,
    MDEV_TYPES,
    MediatedDevice,
    Parent,
    read_descriptor,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.mdevctl import (
    MdevctlError,
    definition,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.processes import nodes, why_held
from ansible_collections.vfio.migration.plugins.module_utils._host.reading import HostReadError

TYPE_CHECKING = False
if TYPE_CHECKING:  # pragma: no cover
    import typing as t

    from ansible_collections.vfio.migration.plugins.module_utils._change.journal import Journal
    from ansible_collections.vfio.migration.plugins.module_utils._change.mdev_plan import (
        Action,
        Wanted,
    )
    from ansible_collections.vfio.migration.plugins.module_utils._change.plan import Plan
    from ansible_collections.vfio.migration.plugins.module_utils._host.mdevctl import Mdevctl
    from ansible_collections.vfio.migration.plugins.module_utils._host.processes import Holders
    from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import Sysfs


# Verbs of what undoes a change.
_REMOVE = "remove"
_WRITE = "write"
_DEFINE = "define"

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


class MdevTransaction(DeviceTransaction):
    """One call's changes of mediated devices; locks are the names of parents."""

    def __init__(
        self,
        sysfs: Sysfs,
        scan_holders: t.Callable[[], Holders],
        mdevctl: Mdevctl | None,
        journal: Journal,
        timeout: float,
        interrupted: t.Callable[[], str | None],
    ) -> None:
        super().__init__(sysfs, scan_holders, journal, timeout, interrupted)
        self._mdevctl = mdevctl

    def _apply_plan(self, plan: Plan) -> dict[str, t.Any]:
        actions = plan.lists["devices"]
        for action in actions:
            self._check_locked(action)
        if plan.state == ABSENT:
            return {"devices": [self._take_away(action) for action in actions]}
        devices = [self._apply(action) for action in actions]
        for action in actions:
            self._define(action)
        return {"devices": devices}

    def _check_locked(self, action: Action) -> None:
        self._begin(action, "inspect")
        for parent in sorted(action.parents):
            if not self._journal.holds(parent):
                raise self._failure(f"it came under the parent {parent} meanwhile; try again")

    def _take_away(self, action: Action) -> dict[str, t.Any]:
        # The definition goes first, as it can be restored.
        self._undefine(action)
        if action.action == REMOVED:
            self._begin(action, "remove")
            self._check_free(action)
            self._remove(action.wanted.uuid)
            self._done.append(Change("", action.wanted.uuid, REMOVED))
            self._wait_until_gone(action.wanted.uuid)
        return action.predicted()

    def _apply(self, action: Action) -> dict[str, t.Any]:
        wanted = action.wanted
        if action.action == CREATED:
            self._create(action)
        self._begin(action, "attribute")
        with MediatedDevice(self._sysfs, wanted.uuid, {}) as device:
            if action.action == CREATED:
                self._configure_new(device, wanted)
            elif action.action == CONFIGURED:
                self._configure(device, action)
            self._check_written(device, wanted.attributes)
            self._enter("verify")
            descriptor, attributes, problems = read_descriptor(device)
            verify(wanted.uuid, wanted.accept, descriptor, problems)
            own = descriptor["self"] if descriptor else None
            return action.result(device.parent, device.type, attributes, own)

    def _create(self, action: Action) -> None:
        self._begin(action, "create")
        wanted = action.wanted
        place = (MDEV_PARENTS, wanted.parent or "", MDEV_TYPES, wanted.type or "")

        def create() -> None:
            with self._sysfs.open(*place) as directory:
                directory.write("create", wanted.uuid.encode("ascii"))

        change = Change(wanted.parent or "", wanted.uuid, CREATED, [_REMOVE, wanted.type])
        self._tell_kernel(
            f"cannot create it through {self._sysfs.path(*place)}/create",
            functools.partial(self._do, change, create),
            functools.partial(self._create_hint, wanted),
        )
        self._enter("wait")
        self._wait_until(functools.partial(self._missing, wanted))

    def _create_hint(self, wanted: Wanted, number: int) -> str | None:
        # Drivers report that nothing is left in many ways, so ask.
        try:
            mdev_type = Parent(self._sysfs, wanted.parent or "").read_type(wanted.type or "")
        except HostReadError:
            mdev_type = {"available_instances": None}
        if mdev_type["available_instances"] == 0:
            return f"no instance of type {wanted.type} is left under {wanted.parent}; available_instances is 0"
        return _CREATE_HINTS.get(number)

    def _missing(self, wanted: Wanted) -> str | None:
        """What the kernel does not show yet of a new device."""
        try:
            with MediatedDevice(self._sysfs, wanted.uuid, {}) as device:
                resolved(device, device.attribute_files(), wanted.attributes)
        except HostReadError as problem:
            return str(problem)
        return None

    def _configure_new(self, device: MediatedDevice, wanted: Wanted) -> None:
        # Not noted: what undoes it is that the device goes again.
        modes = device.attribute_files()
        for name, value in resolved(device, modes, wanted.attributes):
            self._enter("attribute")
            self._write(device, modes, name, value)

    def _configure(self, device: MediatedDevice, action: Action) -> None:
        modes = device.attribute_files()
        needed = writes(device, action.wanted.attributes)
        live = is_live(device, needed)
        if not live:
            self._check_free(action)
        for write in needed:
            self._enter("attribute")
            undo = [_WRITE, *write.undo, live]
            change = Change(device.parent, device.id, f"{write.name}={write.value}", undo)
            self._write(device, modes, write.name, write.value, change)

    # Definitions.

    def _define(self, action: Action) -> None:
        if action.definition != DEFINED:
            return
        self._undefine(action)
        wanted = action.wanted
        self._begin(action, "define")
        with MediatedDevice(self._sysfs, wanted.uuid, {}) as device:
            attributes = resolved(device, device.attribute_files(), wanted.attributes)
            parent, content = device.parent, definition(device.type, attributes)
        change = Change(parent, wanted.uuid, DEFINED, [_DEFINE, None, False])
        self._do(change, self._mdevctl_call("define", wanted.uuid, parent, content))

    def _undefine(self, action: Action) -> None:
        for parent, before in sorted(action.definitions.items()):
            self._begin(action, "define")
            undo = [_DEFINE, before, action.action == REMOVED]
            change = Change(parent, action.wanted.uuid, UNDEFINED, undo)
            self._do(change, self._mdevctl_call("undefine", action.wanted.uuid, parent))

    def _mdevctl_call(self, name: str, *arguments: t.Any) -> t.Callable[[], None]:
        def call() -> None:
            try:
                getattr(self._mdevctl, name)(*arguments)
            except MdevctlError as error:
                raise self._failure(str(error)) from None

        return call

    # Removal.

    def _check_free(self, action: Action) -> None:
        """Checks once more, right before it counts, that no process holds the device."""
        holder = self._scan_holders().holder_of(action.nodes)
        if holder is not None:
            raise self._failure(why_held(holder))

    def _remove(self, uuid: str) -> None:
        def remove() -> None:
            with self._sysfs.open(MDEV_DEVICES, uuid) as directory:
                directory.write("remove", b"1")

        path = self._sysfs.path(MDEV_DEVICES, uuid)
        self._tell_kernel(f"cannot remove it through {path}/remove", remove, _REMOVE_HINTS.get)

    def _wait_until_gone(self, uuid: str) -> None:
        self._wait_until(
            lambda: "it is still there" if self._sysfs.exists(MDEV_DEVICES, uuid) else None
        )

    # Undoing.

    def _undo_change(self, change: Change, recovering: bool) -> bool:
        if change.undo is None:
            raise Irreversible("it cannot be undone")
        verb, *arguments = change.undo
        if verb == _DEFINE:
            return self._redefine(change, *arguments)
        if not self._sysfs.exists(MDEV_DEVICES, change.device):
            return False
        with MediatedDevice(self._sysfs, change.device, {}) as device:
            if device.parent != change.name:
                return False
            if verb == _WRITE:
                return self._restore(device, recovering, *arguments)
            if [device.type] != arguments:
                return False
            self._check_not_taken(device, recovering)
        self._remove(change.device)
        self._wait_until_gone(change.device)
        return True

    def _restore(
        self, device: MediatedDevice, recovering: bool, name: str, value: str, live: bool
    ) -> bool:
        # What was just given to a running guest can be taken back at once, but not later.
        if recovering or not live:
            self._check_not_taken(device, recovering)
        device.directory.write(name, data(value))
        return True

    def _redefine(self, change: Change, before: dict[str, t.Any] | None, with_device: bool) -> bool:
        """Makes mdevctl's definition what it was before, unless it went ``with_device`` and that is gone."""
        if with_device and not self._sysfs.exists(MDEV_DEVICES, change.device):
            raise Irreversible("the device is gone")
        if self._mdevctl is None:
            raise HostReadError(
                change.device, "mdevctl, which has a definition of it, is not installed"
            )
        try:
            now = self._mdevctl.definitions().get(change.device, {}).get(change.name)
            if now == before:
                return False
            if now is not None:
                self._mdevctl.undefine(change.device, change.name)
            if before is not None:
                self._mdevctl.define(change.device, change.name, before)
        except MdevctlError as error:
            raise self._failure(str(error)) from None
        return True

    def _check_not_taken(self, device: MediatedDevice, recovering: bool) -> None:
        """Raises ``InUse`` where a process holds the device, and ``HostReadError`` where one may that is not of this call."""
        holder = self._scan_holders().holder_of(
            nodes(device.iommu_group, device.character_devices())
        )
        check_not_held(device.path, holder, ours=not recovering)

    def _begin(self, action: Action, step: str) -> None:
        self._device = action.wanted.uuid
        self._enter(step)
