# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What PCI devices were before they were changed, kept on the host until they are given back.

A record is ``{driver, driver_override, migratable, attributes, sriov_numvfs}``, each only where it was changed: ``attributes``
are ``[name, value]`` pairs. Records lie below ``/run``, as what they are about does not outlast a reboot either.
"""

from __future__ import annotations

import contextlib
import json
import os

TYPE_CHECKING = False
if TYPE_CHECKING:  # pragma: no cover
    import typing as t

    from ansible_collections.vfio.migration.plugins.module_utils._host.device import PciDevice

    Record: t.TypeAlias = "dict[str, t.Any]"


class Records:
    """The records in ``directory``, by the address of the device."""

    def __init__(self, directory: str) -> None:
        self._directory = directory

    def of(self, device: PciDevice) -> Record | None:
        """The record of a device; ``None`` where there is none, or one of another device that had the address."""
        try:
            with open(self._path(device.id), "rb") as file:
                stored = json.loads(file.read().decode("ascii"))
        except FileNotFoundError:
            return None
        # A virtual function that is made anew has its predecessor's address.
        return stored["record"] if stored["inode"] == device.inode else None

    def write(self, device: PciDevice, record: Record | None) -> None:
        """Replaces the record of a device; ``None`` removes it."""
        path = self._path(device.id)
        if record is None:
            self.remove(device.id)
            return
        os.makedirs(self._directory, mode=0o700, exist_ok=True)
        # Whoever is stopped in between leaves the record as it was.
        with open(path + ".new", "wb") as file:
            stored = {"inode": device.inode, "record": record}
            file.write(json.dumps(stored, sort_keys=True).encode("ascii"))
        os.replace(path + ".new", path)

    def remove(self, address: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path(address))

    def _path(self, address: str) -> str:
        return f"{self._directory}/{address}.json"
