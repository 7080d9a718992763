# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Plans without the limits and the capacity that were asked for: what these leave behind is no proof. Pure."""

from __future__ import annotations

import dataclasses
import typing as t
from collections import Counter

from ansible_collections.vfio.migration.plugins.plugin_utils._packing.assignment import (
    less,
    placed_items,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.bottleneck import (
    find_shortage,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.packings import (
    PackingProblem,
    Packings,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.refutation import (
    FIRST_TRIES,
    refutations,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.search import (
    Budget,
    search,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.problem import (
    Problem,
    resources_in,
)


class WithoutLimits(t.NamedTuple):
    """What there is without limits: plans leave at least so many devices behind, and ``exceeded`` are limits that they do not keep.

    Where ``least`` is ``None``, it is not known whether anything is left behind without limits. Limits are by the number of their
    bin, less what it receives.
    """

    least: int | None
    exceeded: t.Mapping[int, tuple[int, ...]]


def find_without_limits(problem: Problem, reached: t.AbstractSet[int]) -> WithoutLimits | None:
    """Return what plans without limits come to, ``None`` if none of the guests with demands that are ``reached`` could reach one.

    Where each guest by itself is within the limit of a host, several may not be together: only a search shows whether that matters.
    """
    narrow = _narrow(problem, reached)
    if not narrow:
        return None
    items = [dataclasses.replace(each, weights=()) for each in problem.items]
    bins = [dataclasses.replace(each, limits=()) for each in problem.bins]
    packing = PackingProblem(problem.resources, items, bins)
    demands = Counter(demand for each in items for demand in each.demands)
    found = search(
        packing,
        Packings(packing),
        Budget(solver=False),
        lambda: find_shortage(problem.resources, demands, resources_in(problem.bins)),
        find_refutations=lambda left, missing: refutations(packing, left, missing, FIRST_TRIES),
    )
    exceeded = {}
    for number, contents in sorted(found.assignment.items()):
        limits = problem.bins[number].limits
        for item, _packing in contents:
            limits = less(limits, problem.items[item].weights)
        if any(each < 0 for each in limits):
            exceeded[number] = limits
    devices = sum(len(guest.devices) for guest in problem.request.guests)
    left = devices - sum(len(items[item].demands) for item in placed_items(found.assignment))
    stuck = sum(
        len(guest.devices)
        for guest, item in zip(problem.request.guests, items, strict=True)
        if not item.demands
    )
    if left > stuck and not found.optimal:
        return WithoutLimits(None, exceeded or narrow)
    return WithoutLimits(left, exceeded)


def _narrow(problem: Problem, reached: t.AbstractSet[int]) -> dict[int, tuple[int, ...]]:
    """Return the limits that all guests with demands that are ``reached`` would not keep together, less what these take."""
    if not any(each.limits for each in problem.bins):
        return {}
    resources = problem.resources
    going = [item for item in problem.items if not reached.isdisjoint(item.demands)]
    takers: dict[int, frozenset[int]] = {
        resource: frozenset(each for each in reached if resources.could_take(resource, each))
        for resource in resources_in(problem.bins)
    }
    found = {}
    for number, there in enumerate(problem.bins):
        taken = frozenset[int]().union(*(takers[resource] for resource in set(there.state)))
        limits = there.limits
        for item in going if taken else ():
            if not taken.isdisjoint(item.demands):
                limits = less(limits, item.weights)
        if any(each < 0 for each in limits):
            found[number] = limits
    return found
