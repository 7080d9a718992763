# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The arguments of ``maintenance_plan``, turned into what is asked and the facts that it is about."""

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import uncollected
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.values import (
    count,
    flag,
    names,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.maintenance import (
    Maintenance,
    maintenance_plan,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.planner import no_progress
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import (
    OPTIONS,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.solution import Progress
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.plan_options import (
    search_for,
)
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import MaintenancePlan

# Each step says itself which hosts it empties, what no process holds needs no place, and no guest is left behind for another.
_OF_PLANS = frozenset({"reuse", "drain", "free_devices", "priority"})
CONDITIONS = tuple(name for name in OPTIONS if name not in _OF_PLANS)


@uncollected()
def maintenance_for(
    fleet: t.Any,
    emptied: t.Any = None,
    hosts: t.Any = None,
    at_once: t.Any = None,
    keep_order: t.Any = None,
    use_returned: t.Any = None,
    max_age: t.Any = None,
    left_out: t.Any = None,
    progress: Progress = no_progress,
    **options: t.Any,
) -> MaintenancePlan:
    """Return the steps in which the hosts ``emptied`` of ``fleet``, ``hostvars`` or facts by host, are emptied; raise ``FleetError``.

    ``options`` are the conditions in ``CONDITIONS``.
    """
    listed = names("emptied", emptied)
    if listed is None:
        raise FleetError("emptied is not given; expected the hosts to drain")
    read, given = search_for(fleet, CONDITIONS, options, hosts, max_age, left_out)
    asked = Maintenance(
        listed,
        1 if at_once is None else count("at_once", at_once, "hosts"),
        flag("keep_order", keep_order),
        use_returned is None or flag("use_returned", use_returned),
    )
    return maintenance_plan(read, asked, given, progress)
