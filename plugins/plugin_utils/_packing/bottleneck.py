# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Bottlenecks: the proof that some devices find no place, whatever is done.

This is Hall's condition (P. Hall, "On representatives of subsets", 1935) with capacities. However devices are placed,
those of some demands cannot be more than what each resource takes in of these demands alone, summed over all resources.
If they are more, no assignment places all. Such demands are the source's side of a minimum cut between demands and
resources.
"""

from __future__ import annotations

import typing as t
from collections import defaultdict
from dataclasses import dataclass

from ansible_collections.vfio.migration.plugins.plugin_utils._packing.max_flow import FlowNetwork


class Capacities(t.Protocol):
    """What resources take in."""

    def capacity(self, resource: int, demand: int) -> int:
        """Return how many devices with ``demand`` alone ``resource`` takes in at most."""


@dataclass(frozen=True, slots=True)
class Shortage:
    """``need`` devices have one of ``demands``, and no more than ``reachable`` of them find a place."""

    demands: tuple[int, ...]
    need: int
    reachable: int

    @property
    def missing(self) -> int:
        """How many devices find no place."""
        return self.need - self.reachable


# For each demand the resources that take it in, and how many of it alone.
_Table = dict[int, dict[int, int]]


def find_shortage(
    capacities: Capacities, demands: t.Mapping[int, int], resources: t.Mapping[int, int]
) -> Shortage | None:
    """Return the greatest shortage found, ``None`` if none was.

    ``demands`` and ``resources`` are how many there are of each. Some shortages show only among devices of at least
    some size, as small ones could fill the gaps: so each size is tried, a size being how few devices with that demand
    one resource takes in.
    """
    table = {
        demand: {
            resource: capacity
            for resource in resources
            if (capacity := capacities.capacity(resource, demand))
        }
        for demand in demands
    }
    sizes = {demand: max(takers.values(), default=0) for demand, takers in table.items()}
    found = None
    for size in sorted(set(sizes.values())):
        chosen = {demand for demand in demands if sizes[demand] <= size}
        found = _greater(found, _tighten(table, demands, resources, chosen))
    return found


def reachable(
    capacities: Capacities, demands: t.Iterable[int], resources: t.Mapping[int, int]
) -> int:
    """Return how many devices with ``demands`` find a place at most."""
    demands = tuple(demands)
    return sum(
        count * max((capacities.capacity(resource, each) for each in demands), default=0)
        for resource, count in resources.items()
    )


def independent(
    capacities: Capacities,
    demands: t.Mapping[int, int],
    resources: t.Mapping[int, int],
    shortage: Shortage,
) -> list[Shortage]:
    """Return the shortages that ``shortage`` is made of, of which no two have a resource in common; itself if that is one.

    Each is one of the connected components of the graph of its demands and the resources that take them in.
    """
    parts: list[tuple[set[int], set[int]]] = []
    for demand in shortage.demands:
        takers = {each for each in resources if capacities.capacity(each, demand)}
        joined = [part for part in parts if not part[1].isdisjoint(takers)]
        parts = [part for part in parts if part not in joined]
        of_part = {demand}.union(*(part[0] for part in joined))
        parts.append((of_part, takers.union(*(part[1] for part in joined))))
    found = [
        Shortage(
            tuple(sorted(of_part)),
            sum([demands[each] for each in of_part]),
            reachable(capacities, of_part, resources),
        )
        for of_part, _takers in parts
    ]
    # It may have been found with other capacities.
    if sum([each.reachable for each in found]) != shortage.reachable:
        return [shortage]
    return sorted([each for each in found if each.missing > 0], key=lambda each: each.demands)


def _greater(one: Shortage | None, other: Shortage | None) -> Shortage | None:
    """Return the shortage of which more devices are missing, the first one of two that are equal."""
    if one is None or (other is not None and other.missing > one.missing):
        return other
    return one


def _tighten(
    table: _Table, demands: t.Mapping[int, int], resources: t.Mapping[int, int], chosen: set[int]
) -> Shortage | None:
    """Return the shortage among ``chosen``: fewer demands leave resources less to take in, until it grows no more."""
    found = None
    while chosen:
        takers = {demand: table[demand] for demand in chosen}
        need = {demand: demands[demand] for demand in chosen}
        cut = _cut(takers, need, _supply(takers, resources))
        if not cut:
            return found
        offered = sum(_supply({demand: table[demand] for demand in cut}, resources).values())
        shortage = Shortage(tuple(sorted(cut)), sum([need[each] for each in cut]), offered)
        found = _greater(found, shortage)
        if cut == chosen:
            return found
        chosen = cut
    return found


def _supply(takers: _Table, resources: t.Mapping[int, int]) -> dict[int, int]:
    """Return how many devices all resources of each number take in, of the one demand that most find a place of."""
    most: dict[int, int] = defaultdict(int)
    for capacities in takers.values():
        for resource, capacity in capacities.items():
            most[resource] = max(most[resource], capacity)
    return {resource: capacity * resources[resource] for resource, capacity in most.items()}


def _cut(takers: _Table, need: dict[int, int], supply: dict[int, int]) -> set[int]:
    """Return the demands on the source's side of a minimum cut; none where all of ``need`` flows."""
    demand_nodes = {demand: number for number, demand in enumerate(takers)}
    resource_nodes = {resource: number for number, resource in enumerate(supply, len(takers))}
    source = len(takers) + len(supply)
    sink = source + 1
    network = FlowNetwork(sink + 1)
    for demand, amount in need.items():
        network.connect(source, demand_nodes[demand], amount)
    for resource, amount in supply.items():
        network.connect(resource_nodes[resource], sink, amount)
    for demand, of_demand in takers.items():
        for resource in of_demand:
            network.connect(demand_nodes[demand], resource_nodes[resource], need[demand])
    if network.maximum_flow(source, sink) == sum(need.values()):
        return set()
    return {demand for demand, node in demand_nodes.items() if network.is_on_source_side(node)}
