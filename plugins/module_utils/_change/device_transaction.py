# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Changes of devices that sysfs shows, whatever their kind, made as one."""

from __future__ import annotations

import errno
import functools

from ansible_collections.vfio.migration.plugins.module_utils._change.attributes import writes
from ansible_collections.vfio.migration.plugins.module_utils._change.transaction import Transaction
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.attributes import shown
from ansible_collections.vfio.migration.plugins.module_utils._host.kernel_log import KernelLog

TYPE_CHECKING = False
if TYPE_CHECKING:  # pragma: no cover
    import typing as t

    from ansible_collections.vfio.migration.plugins.module_utils._change.journal import (
        Change,
        Journal,
    )
    from ansible_collections.vfio.migration.plugins.module_utils._host.device import Device
    from ansible_collections.vfio.migration.plugins.module_utils._host.processes import Holders
    from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import Sysfs

_WRITABLE = 0o222

_ATTRIBUTE_HINTS = {
    errno.EADDRNOTAVAIL: "what the value names is reserved for the host",
    errno.EAGAIN: "the driver is busy; try again",
    errno.EBUSY: "the device, or what the value names, is in use",
    errno.EINVAL: "the driver does not take this value",
    errno.ENODEV: "the value names something that the host does not have",
    errno.ENOENT: "the attribute or the device went away",
    errno.ENOSPC: "the parent has not enough left for this value",
    errno.EOPNOTSUPP: "the driver cannot do this on this host",
    errno.EPERM: "the driver or the kernel's lockdown forbids it",
    errno.ERANGE: "the value is out of the driver's range",
}


def _no_hint(number: int) -> None:
    return None


class DeviceTransaction(Transaction):
    """One call's changes of devices; ``scan_holders`` tells which process holds which."""

    def __init__(
        self,
        sysfs: Sysfs,
        scan_holders: t.Callable[[], Holders],
        journal: Journal,
        timeout: float,
        interrupted: t.Callable[[], str | None],
    ) -> None:
        super().__init__(journal, timeout, interrupted)
        self._sysfs = sysfs
        self._scan_holders = scan_holders

    def _write(
        self,
        device: Device,
        modes: t.Mapping[str, int],
        name: str,
        value: str,
        change: Change | None = None,
    ) -> None:
        path = device.directory.path(name)
        if not modes[name] & _WRITABLE:
            raise self._failure(f"{path} is read-only")
        act = functools.partial(device.directory.write, name, data(value))
        if change is not None:
            act = functools.partial(self._do, change, act)
        self._tell_kernel(f"cannot write {shown(value)} to {path}", act, _ATTRIBUTE_HINTS.get)

    def _tell_kernel(
        self,
        problem: str,
        act: t.Callable[[], None],
        hint: t.Callable[[int], str | None] = _no_hint,
    ) -> None:
        """Does what the kernel may refuse; ``problem`` and, by the errno, ``hint`` are for the error."""
        with KernelLog(self._sysfs.live) as log:
            try:
                act()
            except OSError as error:
                raise self._failure(problem, error, hint(error.errno or 0), log.lines()) from None

    def _check_written(self, device: Device, attributes: t.Iterable[tuple[str, str]]) -> None:
        for write in writes(device, attributes):
            name, value = write.undo
            is_now = f"reads back {shown(value)}" if name == write.name else "does not show it"
            raise self._failure(
                f"{device.directory.path(write.name)} was set to {shown(write.value)} and took it, but {is_now}"
            )


def data(value: str) -> bytes:
    """What is written to an attribute so that it has ``value``."""
    # The kernel does not see a write of nothing.
    return (value or "\n").encode("ascii")
