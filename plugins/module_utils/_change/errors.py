# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""How a call that changes a host fails, for people and for programs."""

from __future__ import annotations

import errno
import typing as t

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.errors import (
    VfioMigrationError,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.reading import (
    HostReadError,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import words


class ProvisionError(VfioMigrationError):
    """The call failed at ``step``; ``details`` are the values that the module returns with its message.

    ``device`` is the name of the device that it failed for, ``error`` the kernel's error, ``hint`` the likely cause or
    what to do, and ``kernel_log`` what the kernel logged meanwhile.
    """

    def __init__(
        self,
        step: str,
        message: str,
        device: str | None = None,
        error: OSError | None = None,
        hint: str | None = None,
        reasons: t.Sequence[t.Mapping[str, t.Any]] = (),
        kernel_log: t.Sequence[str] = (),
    ) -> None:
        name = None
        if error is not None:
            name = errno.errorcode.get(error.errno or 0)
            message += f": {words(error)} ({name})"
        if hint is not None:
            message += f". Hint: {hint}"
        if kernel_log:
            message += f". The kernel's log: {' | '.join(kernel_log)}"
        super().__init__(message if device is None else f"device {device}: {message}")
        self.details: dict[str, t.Any] = {
            "step": step,
            "device": device,
            "errno": name,
            "hint": hint,
            "kernel_log": list(kernel_log),
            "reasons": list(reasons),
            "recovered": [],
            "undone": [],
            "left": [],
        }


class InvalidRequest(ProvisionError):
    """The user's arguments are not what they must be."""

    def __init__(self, message: str, device: str | None = None) -> None:
        super().__init__("validate", message, device)


class Refused(ProvisionError):
    """The change cannot be made on this host as it is. Nothing was touched yet."""

    def __init__(self, message: str, device: str | None = None) -> None:
        super().__init__("inspect", message, device)


class NotAccepted(ProvisionError):
    """The device is not one that the user accepts; ``reasons`` are those of the verdict."""

    def __init__(
        self, message: str, device: str, reasons: t.Sequence[t.Mapping[str, t.Any]] = ()
    ) -> None:
        super().__init__("verify", message, device, reasons=reasons)


class Irreversible(VfioMigrationError):
    """A step cannot be undone; the message says why."""


class InUse(HostReadError):
    """A device must not be touched, as a process or the host itself uses it."""
