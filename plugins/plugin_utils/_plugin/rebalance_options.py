# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The arguments of ``rebalance_plan``, turned into what is asked and the facts that it is about."""

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import uncollected
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.values import (
    count,
    names,
    one_name,
    one_of,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.planner import no_progress
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.rebalance import (
    MEASURES,
    rebalance_plan,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.solution import Progress
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.headroom_options import (
    CONDITIONS as OF_A_SEARCH,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.plan_options import (
    search_for,
)
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import RebalancePlan

# Through waves guests move to what others leave, and only so many may at a time.
CONDITIONS = (*OF_A_SEARCH, "reuse", "concurrent_moves")


@uncollected()
def rebalance_for(
    fleet: t.Any,
    max_moves: t.Any = None,
    hosts: t.Any = None,
    measure: t.Any = None,
    device_type: t.Any = None,
    max_age: t.Any = None,
    left_out: t.Any = None,
    progress: Progress = no_progress,
    **options: t.Any,
) -> RebalancePlan:
    """Return a plan that moves ``max_moves`` guests of ``fleet``, ``hostvars`` or facts by host, at most; raise ``FleetError``.

    ``measure`` is one of ``MEASURES``; ``device_type`` is that of the devices of the largest guest. ``options`` are the conditions
    in ``CONDITIONS``: those of a search for places in which it does not matter which one is taken, and whether it is one that
    a guest leaves.
    """
    if max_moves is None:
        raise FleetError("max_moves is not given; expected how many guests may move")
    most = count("max_moves", max_moves, "guests")
    asked = "even" if measure is None else one_of("measure", measure, tuple(MEASURES))
    read, given = search_for(fleet, CONDITIONS, options, hosts, max_age, left_out)
    of_type = None if device_type is None else one_name("device_type", device_type)
    return rebalance_plan(read, most, given, names("hosts", hosts), asked, of_type, progress)
