# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The arguments of ``migration_plan``, and of what passes them on."""

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import OPTIONS

# What is asked of a plan, as arguments in Ansible's terms.
ARGUMENTS: dict[str, dict[str, t.Any]] = {
    **{name: option.spec for name, option in OPTIONS.items()},
    "sources": {"type": "list", "elements": "raw"},
    "guests": {"type": "list", "elements": "str"},
    "devices": {"type": "list", "elements": "dict"},
    "hosts": {"type": "list", "elements": "str"},
    "lost": {"type": "list", "elements": "str"},
    "earlier": {"type": "dict"},
    "effort": {"type": "int"},
    "max_age": {"type": "int"},
}
