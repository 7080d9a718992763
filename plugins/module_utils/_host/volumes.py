# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Whether a volume of one of libvirt's storage pools is on one host alone."""

from __future__ import annotations

from ansible_collections.vfio.migration.plugins.module_utils._host.libvirt_binding import Libvirt
from ansible_collections.vfio.migration.plugins.module_utils._host.mounts import is_shared


def is_shared_volume(libvirt: Libvirt, source: str) -> bool | None:
    """Return whether other hosts can have a volume, by its pool and name with a slash between; ``None`` where that is not known.

    Raise what libvirt's binding does.
    """
    binding = libvirt.binding
    pool, _slash, name = source.partition("/")
    volume = libvirt.connection.storagePoolLookupByName(pool).storageVolLookupByName(name)
    kind = volume.info()[0]
    if kind in (binding.VIR_STORAGE_VOL_NETWORK, binding.VIR_STORAGE_VOL_NETDIR):
        return True
    is_file = kind in (binding.VIR_STORAGE_VOL_FILE, binding.VIR_STORAGE_VOL_DIR)
    return is_shared(volume.path()) if is_file else None
