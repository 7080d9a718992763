# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What a shortage of places is about: its devices, and the shortages that it is made of. Pure."""

from __future__ import annotations

from collections import Counter

from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import Device
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.bottleneck import (
    Shortage,
    independent,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.problem import (
    Problem,
    resources_in,
)


def short_of(problem: Problem, shortage: Shortage) -> list[Device]:
    """Return the devices that ``shortage`` is about."""
    return [
        device
        for needed in problem.demands
        for demand, device in needed
        if demand in shortage.demands
    ]


def shortages_in(problem: Problem, shortage: Shortage) -> list[Shortage]:
    """Return the shortages that ``shortage`` is made of, of which no two are about the same places."""
    demands = Counter(demand for needed in problem.demands for demand, _device in needed)
    there = resources_in(problem.bins)
    return independent(problem.resources, demands, there, shortage)
