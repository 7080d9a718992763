# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""What libvirt on a host says, from the result of ``libvirt_guest_info`` that its task registered."""

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.answers import read_answer
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.guests import (
    LibvirtHost,
    read_host,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.info import LibvirtInfo
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.handed_over import (
    check_answer,
)


def said_by_libvirt(result: t.Mapping[str, t.Any]) -> LibvirtHost:
    """Return what libvirt on a host says by ``result``, which the host makes: an error where that is not an answer of the module."""
    if "guests" not in result:
        return LibvirtHost(error=read_answer(result).error or "it says nothing")
    try:
        check_answer(result, LibvirtInfo)
    except FleetError as error:
        return LibvirtHost(error=str(error))
    return read_host(t.cast("LibvirtInfo", result))
