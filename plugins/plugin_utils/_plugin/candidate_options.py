# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What the filter and the action ``candidates`` are asked, and their answer."""

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import read_fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.values import names, reasons
from ansible_collections.vfio.migration.plugins.plugin_utils._planner import candidate_hosts
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.arguments import direction_of
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.clock import age_limit
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.plan_options import sources_of
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import CandidateAnswer


def candidates_for(
    fleet: t.Any,
    source: t.Any = None,
    direction: str = "source_lists",
    hosts: t.Any = None,
    targets: t.Any = None,
    max_age: t.Any = None,
    left_out: t.Any = None,
    drain: t.Any = None,
    guests: t.Any = None,
    devices: t.Any = None,
) -> CandidateAnswer:
    """Return which hosts can take a guest, or each of several; raise ``FleetError``."""
    limit = age_limit(max_age)
    read = read_fleet(fleet, names("hosts", hosts), limit, reasons("left_out", left_out))
    emptied, sources = names("drain", drain), sources_of({"guests": guests, "devices": devices})
    given = [each for each in (source, emptied, sources) if each is not None]
    if len(given) != 1:
        raise FleetError(
            "which guests to judge is either 'source', 'drain', or 'guests' and 'devices': give exactly one of them"
        )
    chosen = names("targets", targets)
    if chosen is None:
        chosen = [each for each in (*read.hosts, *read.unknown) if each not in (emptied or ())]
    decides = direction_of(direction)
    if source is not None:
        return t.cast(CandidateAnswer, candidate_hosts.candidates(read, source, chosen, decides))
    return t.cast(
        CandidateAnswer,
        candidate_hosts.candidates_of_each(read, emptied, sources, chosen, decides),
    )
