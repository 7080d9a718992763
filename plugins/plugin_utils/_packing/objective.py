# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What a plan costs, and what every plan costs at least. Pure."""

from __future__ import annotations

import math
import typing as t
from collections import Counter, defaultdict

from ansible_collections.vfio.migration.plugins.plugin_utils._packing.assignment import Assignment
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.packings import (
    Bin,
    Item,
    Packings,
    Resources,
    tiers,
)

# Parts of parents are added as floating-point numbers.
_EXACTNESS = 1e-6


class Cost(t.NamedTuple):
    """What a plan is judged by: the first number in which two plans differ decides which one is better.

    How many devices are left behind, do not go where a target was made for them, and are made; how many a bin has at most, where they are to be spread;
    how many parents are opened, where they are to be packed; and how many devices are of another type.
    """

    unplaced: int = 0
    remade: int = 0
    created: int = 0
    load: int = 0
    opened: int = 0
    other_type: int = 0


def cost_of(held: Assignment, devices: int, spread: bool) -> Cost:
    """What a plan costs that has so many devices to place, but for what is made again."""
    ways = [way for each in held.values() for item, way in each]
    new, opened, other = tiers(sum(way.cost for way in ways))
    loads = [sum(len(way.steps) for item, way in each) for each in held.values()]
    load = max(loads, default=0) if spread else 0
    return Cost(devices - sum(loads), 0, new, load, opened, other)


def lower_bound(
    resources: Resources,
    ways: Packings,
    items: t.Sequence[Item],
    bins: t.Sequence[Bin],
    cost: Cost,
    spread: bool,
) -> Cost:
    """What a plan that leaves nothing behind costs at least, if it is no worse than one that costs ``cost``.

    Where such plans are known to be equal in a number, the least of the next one is that of such plans alone.
    """
    shapes = Counter(item.demands for item in items)
    demands: Counter[int] = Counter()
    for shape, count in shapes.items():
        demands.update({demand: count * each for demand, each in Counter(shape).items()})
    alone = 0
    if not ways.incomplete:
        alone = sum(count * ways.least(shape) for shape, count in shapes.items())
    new, _opened, other = tiers(alone)
    return Cost(
        unplaced=0,
        created=new,
        load=_least_load(items, bins) if spread else 0,
        opened=0 if spread else _least_opened(resources, ways, demands, bins),
        other_type=other if cost.created == new else _least_other(resources, ways, demands),
    )


def _least_other(resources: Resources, ways: Packings, demands: t.Mapping[int, int]) -> int:
    """How many devices are of another type at least, each one wherever it need not be if there is such a place."""
    return sum(
        count
        * min(
            (
                tiers(move.cost)[2]
                for resource in ways.takers[demand]
                for move in resources.transitions(resource, demand)
            ),
            default=0,
        )
        for demand, count in demands.items()
    )


def _least_load(items: t.Sequence[Item], bins: t.Sequence[Bin]) -> int:
    sizes = [len(item.demands) for item in items]
    return max(-(-sum(sizes) // len(bins)), *sizes) if sizes and bins else 0


def _least_opened(
    resources: Resources, ways: Packings, demands: t.Mapping[int, int], bins: t.Sequence[Bin]
) -> int:
    """How many parents are opened at least: all that is certainly made takes its part of one, open or not yet."""
    there = Counter(resource for each in bins for resource in each.state)
    needed: dict[int, float] = defaultdict(float)
    is_open = set()
    for demand, count in demands.items():
        parts = []
        for resource in ways.takers[demand]:
            for move in resources.transitions(resource, demand):
                new, opened, _other = tiers(move.cost)
                after = 0 if move.successor is None else resources.residual(move.successor)
                parts.append(resources.residual(resource) - after if new else 0)
                if new and not opened:
                    is_open.add(resource)
        if parts:
            needed[ways.component(min(ways.takers[demand]))] += count * min(parts)
    for resource in is_open:
        needed[ways.component(resource)] -= there[resource] * resources.residual(resource)
    return sum(max(0, math.ceil(each - _EXACTNESS)) for each in needed.values())
