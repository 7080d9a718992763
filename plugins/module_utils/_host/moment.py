# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""When a host was looked at, and in which boot."""

from __future__ import annotations

import time

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.identifiers import UUID
from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import Sysfs

_BOOT_ID = "/proc/sys/kernel/random/boot_id"


def moment(sysfs: Sysfs, boot_id: str = _BOOT_ID) -> dict[str, str | None]:
    """Return ``{time, boot}``: the host's clock in UTC, ISO 8601 to the second, and the id of the boot.

    ``boot`` is ``None`` where ``sysfs`` is not the running kernel's own: a copied tree is of no boot that is known.
    """
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return {"time": now, "boot": _boot(boot_id) if sysfs.live else None}


def _boot(path: str) -> str | None:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            text = file.read(64).strip()
    except OSError:
        return None
    return text if UUID.match(text) else None
