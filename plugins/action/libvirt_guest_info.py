# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.answers import DocumentedAction


class ActionModule(DocumentedAction):
    """Runs ``libvirt_guest_info`` on the host, and takes of its answer what that documents."""

    returned = frozenset(
        (
            *("guests", "others", "paused", "defined", "arriving"),
            *("peers", "versions", "host", "problems"),
        )
    )
