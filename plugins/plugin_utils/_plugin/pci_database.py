# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The control node's database of PCI ids, where it has one."""

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._report.hardware_names import models_in

# Where distributions have it: Debian and Ubuntu; Fedora and its like; SUSE and Arch Linux.
PLACES = ("/usr/share/misc/pci.ids", "/usr/share/hwdata/pci.ids", "/usr/share/pci.ids")


def models_of(wanted: t.Collection[str]) -> dict[str, str]:
    """Return vendor and model of the ``wanted`` PCI ids, as far as the control node knows them."""
    for place in PLACES if wanted else ():
        try:
            with open(place, encoding="utf-8", errors="replace") as database:
                return models_in(database, wanted)
        except OSError:
            continue
    return {}
