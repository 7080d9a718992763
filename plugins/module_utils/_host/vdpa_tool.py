# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The tool ``vdpa`` of iproute2, which creates and deletes vDPA devices."""

from __future__ import annotations

import errno
import re
import typing as t

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.errors import (
    VfioMigrationError,
)
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.virtio import feature_names

# Runs the tool with arguments, in the C locale: exit status, standard output and error.
_Run = t.Callable[[t.List[str]], t.Tuple[int, str, str]]

_KERNEL_ANSWERS = "kernel answers: "
_ERROR_OF = {
    "Cannot allocate memory": errno.ENOMEM,
    "Device or resource busy": errno.EBUSY,
    "File exists": errno.EEXIST,
    "Invalid argument": errno.EINVAL,
    "No space left on device": errno.ENOSPC,
    "No such device": errno.ENODEV,
    "Operation not permitted": errno.EPERM,
    "Operation not supported": errno.EOPNOTSUPP,
}
_HINTS = {
    errno.EBUSY: "it, or the management device, is in use",
    errno.EEXIST: "a device of this name was made meanwhile",
    errno.EINVAL: "the management device does not take one of the values",
    errno.ENODEV: "the management device, or the device, is going away",
    errno.ENOSPC: "the management device takes no further device",
    errno.EOPNOTSUPP: "the management device does not take one of the attributes",
    errno.EPERM: "run as root",
}
# How newer kernels say more, drivers/vdpa/vdpa.c; the numbers of attributes are those of include/uapi/linux/vdpa.h.
_NOT_SUPPORTED = re.compile(r"attributes are not supported: 0x([0-9a-f]{1,16})\b")
_MISSING = re.compile(r"Missing features 0x([0-9a-f]{1,16}) for provided attributes")
_ATTRIBUTES = {10: "mac", 12: "max_vqp", 13: "mtu", 20: "device_features"}


class VdpaError(VfioMigrationError, OSError):
    """The tool failed, with the kernel's error or, where ``errno`` is ``None``, its own.

    ``said`` is the command and what the tool said, ``hint`` the likely cause, ``None`` where there is none.
    """

    def __init__(self, command: str, said: str, device_class: str | None) -> None:
        kept = []
        answers = []
        for line in said.splitlines():
            answer = line[len(_KERNEL_ANSWERS) :] if line.startswith(_KERNEL_ANSWERS) else ""
            if answer in _ERROR_OF:
                answers.append(answer)
            elif line.strip():
                kept.append(line.strip().rstrip("."))
        self.said = ": ".join((command, *kept))
        self.hint: str | None = None
        if answers:
            super().__init__(_ERROR_OF[answers[-1]], answers[-1])
            self.hint = _detail(said, device_class) or _HINTS[_ERROR_OF[answers[-1]]]
        else:
            super().__init__(self.said)


class VdpaTool:
    """Creates and deletes vDPA devices with the tool; each method raises ``VdpaError``."""

    def __init__(self, run: _Run) -> None:
        self._run = run

    def add(
        self,
        name: str,
        management_device: str,
        attributes: t.Iterable[tuple[str, str]],
        device_class: str | None,
    ) -> None:
        """Create a device; ``attributes`` are those that the tool takes, ``device_class`` is for the error's words."""
        pairs = [("name", name), ("mgmtdev", management_device), *attributes]
        self._call(["dev", "add", *(word for pair in pairs for word in pair)], device_class)

    def delete(self, name: str) -> None:
        """Delete a device."""
        self._call(["dev", "del", name])

    def _call(self, arguments: list[str], device_class: str | None = None) -> None:
        status, output, error = self._run(arguments)
        if status != 0:
            said = error.strip() or output.strip() or f"exit status {status}"
            raise VdpaError(" ".join(("vdpa", *arguments)), said, device_class)


def _detail(said: str, device_class: str | None) -> str | None:
    unsupported = _NOT_SUPPORTED.search(said)
    if unsupported:
        mask = int(unsupported.group(1), 16)
        names = [name for bit, name in _ATTRIBUTES.items() if mask >> bit & 1]
        return f"the management device does not take {', '.join(names)}"
    missing = _MISSING.search(said)
    if missing:
        names = feature_names(int(missing.group(1), 16), device_class)
        return f"device_features lacks {', '.join(names)}, which another attribute needs"
    return None
