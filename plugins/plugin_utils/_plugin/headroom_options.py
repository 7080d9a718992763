# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The arguments of ``migration_headroom``, turned into conditions and the facts that they are about."""

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import uncollected
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.values import (
    count,
    names,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.headroom import (
    SEARCHES,
    headroom,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.planner import no_progress
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import (
    OPTIONS,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.plan_options import (
    search_for,
)
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import Headroom

# Where guests go, and in which order, is none of the answer; and what no process holds needs no place.
_OF_PLANS = frozenset(
    {"policy", "reuse", "drain", "free_devices", "priority", "prefer", "concurrent_moves"}
)
CONDITIONS = tuple(name for name in OPTIONS if name not in _OF_PLANS)


@uncollected()
def headroom_for(
    fleet: t.Any,
    hosts: t.Any = None,
    max_age: t.Any = None,
    left_out: t.Any = None,
    searches: t.Any = None,
    exempt: t.Any = None,
    **options: t.Any,
) -> Headroom:
    """Return the headroom of ``fleet``, ``hostvars`` or facts by host; raise ``FleetError``.

    ``options`` are the conditions in ``CONDITIONS``.
    """
    read, given = search_for(fleet, CONDITIONS, options, hosts, max_age, left_out)
    most = SEARCHES if searches is None else count("searches", searches, "searches")
    return headroom(read, given, no_progress, most, names("exempt", exempt) or ())
