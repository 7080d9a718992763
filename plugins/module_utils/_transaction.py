# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Carries out a plan for mediated devices, or leaves the host as it was.

Device by device, in order; on the first failure, and on a signal, what was done is undone in reverse order.
"""

from __future__ import annotations

import errno
import functools
import time

from ansible_collections.vfio.migration.plugins.module_utils._descriptor import shown
from ansible_collections.vfio.migration.plugins.module_utils._device import (
    MDEV_DEVICES,
    MDEV_PARENTS,
    MDEV_TYPES,
    MediatedDevice,
    Parent,
    Problem,
    read_descriptor,
)
from ansible_collections.vfio.migration.plugins.module_utils._holders import nodes
from ansible_collections.vfio.migration.plugins.module_utils._mdev import (
    CONFIGURED,
    CREATED,
    DEFINED,
    REMOVED,
    UNDEFINED,
    Failure,
    differing,
    held,
    resolved,
    result,
    verify,
)
from ansible_collections.vfio.migration.plugins.module_utils._mdevctl import (
    MdevctlError,
    definition,
)
from ansible_collections.vfio.migration.plugins.module_utils._sysfs import words

TYPE_CHECKING = False
if TYPE_CHECKING:  # pragma: no cover
    import typing as t

    from ansible_collections.vfio.migration.plugins.module_utils._holders import Holders
    from ansible_collections.vfio.migration.plugins.module_utils._mdev import Action, Wanted
    from ansible_collections.vfio.migration.plugins.module_utils._mdevctl import Mdevctl
    from ansible_collections.vfio.migration.plugins.module_utils._sysfs import Sysfs

_POLL_SECONDS = 0.05
_WRITABLE = 0o222

_CREATE_HINTS = {
    errno.EEXIST: "a device of this UUID was made meanwhile",
    errno.EINVAL: "the driver refused; the kernel's log on the host may say why",
    errno.ENODEV: "the parent or its driver is going away",
    errno.ENOSPC: "the driver has nothing left to make it of",
    errno.EROFS: "sysfs is mounted read-only; run on the host itself, not in a container",
    errno.EUSERS: "the driver has no instance left",
}
_ATTRIBUTE_HINTS = {
    errno.EADDRNOTAVAIL: "what the value names is reserved for the host",
    errno.EBUSY: "the device, or what the value names, is in use",
    errno.EINVAL: "the driver does not take this value",
    errno.ENODEV: "the value names something that the host does not have",
    errno.ENOSPC: "the parent has not enough left for this value",
}
_REMOVE_HINTS = {
    errno.EAGAIN: "it is being removed already",
    errno.EBUSY: "it is in use",
}


class Change:
    """Something that was done to a device, and how to undo it; ``None``: it cannot be undone."""

    def __init__(self, device: str, change: str, undo: t.Callable[[], None] | None) -> None:
        self.device = device
        self.change = change
        self.undo = undo


class Transaction:
    """One call's changes; ``interrupted`` gives the name of a signal that asks to stop, or ``None``."""

    def __init__(
        self,
        sysfs: Sysfs,
        scan_holders: t.Callable[[], Holders],
        mdevctl: Mdevctl | None,
        timeout: float,
        interrupted: t.Callable[[], str | None],
    ) -> None:
        self._sysfs = sysfs
        self._scan_holders = scan_holders
        self._mdevctl = mdevctl
        self._timeout = timeout
        self._interrupted = interrupted
        self._done: list[Change] = []
        # Where it is, for the error.
        self._uuid = ""
        self._step = ""

    def apply(self, actions: t.Sequence[Action]) -> list[dict[str, t.Any]]:
        """Does what ``actions`` say; the result of each. Raises ``Failure`` when all is undone that can be."""
        try:
            try:
                results = [self._apply(action) for action in actions]
                if self._mdevctl:
                    for action in actions:
                        self._define(action, self._mdevctl)
            except Problem as problem:
                raise self._failure(str(problem)) from None
        except Failure as failure:
            failure.details.update(self._undo())
            raise
        except BaseException:
            # A defect must not leave half of a transaction behind either.
            self._undo()
            raise
        return results

    def _apply(self, action: Action) -> dict[str, t.Any]:
        wanted = action.wanted
        self._uuid = wanted.uuid
        if action.action == REMOVED:
            self._enter("remove")
            self._remove(wanted.uuid)
            self._done.append(Change(wanted.uuid, REMOVED, None))
            self._wait_until_gone(wanted.uuid)
        if action.after is None:
            return action.predicted()
        if action.action == CREATED:
            self._create(wanted)
        with MediatedDevice(self._sysfs, wanted.uuid, {}) as device:
            self._enter("attribute")
            if action.action == CREATED:
                files = device.attribute_files()
                self._write(device, resolved(device, files, wanted.attributes), restore=False)
            elif action.action == CONFIGURED:
                self._write(device, differing(device, wanted.attributes), restore=True)
            self._check_written(device, wanted)
            self._enter("verify")
            descriptor, attributes, problems = read_descriptor(device)
            verify(wanted, descriptor, problems)
            own = descriptor["self"] if descriptor else None
            return result(action, device.parent, device.type, attributes, own)

    def _create(self, wanted: Wanted) -> None:
        self._enter("create")
        place = (MDEV_PARENTS, wanted.parent or "", MDEV_TYPES, wanted.type or "")
        try:
            with self._sysfs.open(*place) as directory:
                directory.write("create", wanted.uuid.encode("ascii"))
        except OSError as error:
            raise self._failure(
                f"cannot create it through {self._sysfs.path(*place)}/create",
                error,
                self._create_hint(wanted, error),
            ) from None
        self._done.append(
            Change(wanted.uuid, CREATED, functools.partial(self._remove_made, wanted.uuid))
        )
        self._enter("wait")
        self._wait_until(functools.partial(self._missing, wanted))

    def _create_hint(self, wanted: Wanted, error: OSError) -> str | None:
        # Drivers report that nothing is left in many ways, so ask.
        try:
            mdev_type = Parent(self._sysfs, wanted.parent or "").read_type(wanted.type or "")
        except Problem:
            mdev_type = {"available_instances": None}
        if mdev_type["available_instances"] == 0:
            return f"no instance of type {wanted.type} is left under {wanted.parent}; available_instances is 0"
        return _CREATE_HINTS.get(error.errno or 0)

    def _missing(self, wanted: Wanted) -> str | None:
        """What the kernel does not show yet of a new device."""
        try:
            with MediatedDevice(self._sysfs, wanted.uuid, {}) as device:
                resolved(device, device.attribute_files(), wanted.attributes)
        except Problem as problem:
            return str(problem)
        return None

    def _write(
        self, device: MediatedDevice, writes: t.Iterable[tuple[str, str]], restore: bool
    ) -> None:
        modes = device.attribute_files()
        for name, value in writes:
            self._enter("attribute")
            path = device.directory.path(name)
            if not modes[name] & _WRITABLE:
                raise self._failure(f"{path} is read-only")
            before = device.attribute(name) if restore else ""
            try:
                device.directory.write(name, _data(value))
            except OSError as error:
                raise self._failure(
                    f"cannot write {shown(value)} to {path}",
                    error,
                    _ATTRIBUTE_HINTS.get(error.errno or 0),
                ) from None
            if restore:
                undo = functools.partial(self._restore, device.id, name, before)
                self._done.append(Change(device.id, f"{name}={value}", undo))

    def _check_written(self, device: MediatedDevice, wanted: Wanted) -> None:
        for name, value in differing(device, wanted.attributes):
            raise self._failure(
                f"{device.directory.path(name)} was set to {shown(value)} and took it, but reads back"
                f" {shown(device.attribute(name))}"
            )

    def _define(self, action: Action, mdevctl: Mdevctl) -> None:
        wanted = action.wanted
        self._uuid = wanted.uuid
        if action.definition not in (DEFINED, UNDEFINED):
            return
        self._enter("define")
        try:
            for parent, before in sorted(action.definitions.items()):
                mdevctl.undefine(wanted.uuid, parent)
                undo = functools.partial(mdevctl.define, wanted.uuid, parent, before)
                self._done.append(Change(wanted.uuid, UNDEFINED, undo))
            if action.definition == DEFINED:
                with MediatedDevice(self._sysfs, wanted.uuid, {}) as device:
                    attributes = resolved(device, device.attribute_files(), wanted.attributes)
                    parent, now = device.parent, definition(device.type, attributes)
                mdevctl.define(wanted.uuid, parent, now)
                undo = functools.partial(mdevctl.undefine, wanted.uuid, parent)
                self._done.append(Change(wanted.uuid, DEFINED, undo))
        except MdevctlError as error:
            raise self._failure(str(error)) from None

    def _remove(self, uuid: str) -> None:
        try:
            with self._sysfs.open(MDEV_DEVICES, uuid) as directory:
                directory.write("remove", b"1")
        except OSError as error:
            raise self._failure(
                f"cannot remove it through {self._sysfs.path(MDEV_DEVICES, uuid)}/remove",
                error,
                _REMOVE_HINTS.get(error.errno or 0),
            ) from None

    def _wait_until_gone(self, uuid: str) -> None:
        self._wait_until(
            lambda: "it is still there" if self._sysfs.exists(MDEV_DEVICES, uuid) else None
        )

    # Undoing: a signal does not interrupt it, and one failure does not keep the rest from being undone.

    def _undo(self) -> dict[str, list[dict[str, str]]]:
        self._interrupted = _never
        undone, left = [], []
        for each in reversed(self._done):
            shown_change = {"device": each.device, "change": each.change}
            if each.undo is None:
                left.append(dict(shown_change, problem="it cannot be undone"))
                continue
            try:
                each.undo()
                undone.append(shown_change)
            except OSError as error:
                left.append(dict(shown_change, problem=words(error)))
            except (Failure, Problem, MdevctlError) as error:
                left.append(dict(shown_change, problem=str(error)))
        return {"undone": undone, "left": left}

    def _remove_made(self, uuid: str) -> None:
        with MediatedDevice(self._sysfs, uuid, {}) as device:
            device_nodes = nodes(device.iommu_group, device.character_devices())
        holder = self._scan_holders().of(device_nodes)
        # This call made it, so it is free unless a holder is known.
        if holder is not None and holder["pid"] is not None:
            raise Problem(self._sysfs.path(MDEV_DEVICES, uuid), held(holder))
        self._remove(uuid)
        self._wait_until_gone(uuid)

    def _restore(self, uuid: str, name: str, value: str) -> None:
        with MediatedDevice(self._sysfs, uuid, {}) as device:
            device.directory.write(name, _data(value))

    # Steps and time.

    def _enter(self, step: str) -> None:
        self._step = step
        self._check_interrupted()

    def _check_interrupted(self) -> None:
        signal = self._interrupted()
        if signal:
            raise self._failure(f"interrupted by {signal}")

    def _wait_until(self, missing: t.Callable[[], str | None]) -> None:
        """Waits until nothing is ``missing``."""
        deadline = time.monotonic() + self._timeout
        while True:
            what = missing()
            if what is None:
                return
            if time.monotonic() >= deadline:
                raise self._failure(f"{what}; waited {self._timeout} seconds")
            self._check_interrupted()
            time.sleep(_POLL_SECONDS)

    def _failure(
        self, message: str, error: OSError | None = None, hint: str | None = None
    ) -> Failure:
        return Failure(self._step, message, self._uuid, error, hint)


def _never() -> None:
    return None


def _data(value: str) -> bytes:
    # The kernel does not see a write of nothing.
    return (value or "\n").encode("ascii")
