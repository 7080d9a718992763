# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""Shortages: proofs that not everything that is to move can find a place. Pure.

However devices are placed, those of some demands cannot be more than what each resource takes in of these demands
alone, summed over all resources. Demands for which that is less than they are prove that no plan places all. They are
the source's side of a minimum cut between demands and resources.
"""

from __future__ import annotations

import typing as t
from collections import defaultdict, deque
from dataclasses import dataclass


class Capacities(t.Protocol):
    """What resources take in."""

    def capacity(self, resource: int, demand: int) -> int:
        """How many devices with ``demand`` alone ``resource`` takes in at most."""


@dataclass(frozen=True, slots=True)
class Shortage:
    """``need`` devices have one of ``demands``, and whatever they are, no more than ``reachable`` find a place."""

    demands: tuple[int, ...]
    need: int
    reachable: int

    @property
    def missing(self) -> int:
        return self.need - self.reachable


def find_shortage(
    capacities: Capacities, demands: t.Mapping[int, int], resources: t.Mapping[int, int]
) -> Shortage | None:
    """The greatest shortage found; ``demands`` and ``resources`` are their numbers and how many there are of each.

    Some shortages show only among devices of at least some size, as small ones could fill the gaps: so each size is
    tried, a size being how few devices of that demand one resource takes in.
    """
    table = {
        demand: {
            resource: capacity
            for resource in resources
            if (capacity := capacities.capacity(resource, demand))
        }
        for demand in demands
    }
    sizes = {demand: max(reach.values(), default=0) for demand, reach in table.items()}
    found = None
    for size in sorted(set(sizes.values())):
        chosen = {demand for demand in demands if sizes[demand] <= size}
        shortage = _tighten(table, demands, resources, chosen)
        if shortage and (found is None or shortage.missing > found.missing):
            found = shortage
    return found


def reachable(
    capacities: Capacities, demands: t.Iterable[int], resources: t.Mapping[int, int]
) -> int:
    """How many devices with ``demands`` find a place at most."""
    demands = tuple(demands)
    return sum(
        count * max((capacities.capacity(resource, each) for each in demands), default=0)
        for resource, count in resources.items()
    )


_Table = dict[int, dict[int, int]]


def _tighten(
    table: _Table, demands: t.Mapping[int, int], resources: t.Mapping[int, int], chosen: set[int]
) -> Shortage | None:
    """The shortage among ``chosen``: fewer demands leave resources less to take in, until it grows no more."""
    found = None
    while chosen:
        need = {demand: demands[demand] for demand in chosen}
        most: dict[int, int] = defaultdict(int)
        for demand in chosen:
            for resource, capacity in table[demand].items():
                most[resource] = max(most[resource], capacity)
        supply = {resource: capacity * resources[resource] for resource, capacity in most.items()}
        cut = _cut({demand: table[demand] for demand in chosen}, need, supply)
        if not cut:
            return found
        touched = {resource for demand in cut for resource in table[demand]}
        offered = sum(
            resources[resource] * max(table[demand].get(resource, 0) for demand in cut)
            for resource in touched
        )
        shortage = Shortage(tuple(sorted(cut)), sum(need[each] for each in cut), offered)
        if found is None or shortage.missing > found.missing:
            found = shortage
        if cut == chosen:
            return found
        chosen = cut
    return found


def _cut(reach: _Table, need: dict[int, int], supply: dict[int, int]) -> set[int]:
    """The demands on the source's side of a minimum cut; empty where all of ``need`` flows."""
    names = [*reach, *supply]
    nodes = {name: number for number, name in enumerate(reach)}
    places = {name: number for number, name in enumerate(supply, len(reach))}
    source, sink = len(names), len(names) + 1
    network = _Network(len(names) + 2)
    for demand, amount in need.items():
        network.connect(source, nodes[demand], amount)
    for resource, amount in supply.items():
        network.connect(places[resource], sink, amount)
    for demand, resources in reach.items():
        for resource in resources:
            network.connect(nodes[demand], places[resource], need[demand])
    if network.flow(source, sink) == sum(need.values()):
        return set()
    return {demand for demand, node in nodes.items() if network.levels[node] >= 0}


class _Network:
    """A network of nodes by number, and a maximum flow in it, found by blocking flows (Dinic, 1970).

    Edges are numbered; edge ``number ^ 1`` is the same one backwards. ``levels`` are the distances from the source in
    what is left of the network, -1 where a node is out of reach.
    """

    def __init__(self, nodes: int) -> None:
        self._edges: list[list[int]] = [[] for node in range(nodes)]
        self._to: list[int] = []
        self._left: list[int] = []
        self.levels = [-1] * nodes

    def connect(self, node: int, other: int, capacity: int) -> None:
        for start, end, left in ((node, other, capacity), (other, node, 0)):
            self._edges[start].append(len(self._to))
            self._to.append(end)
            self._left.append(left)

    def flow(self, source: int, sink: int) -> int:
        total = 0
        while self._find_levels(source, sink):
            self._untried = [len(edges) for edges in self._edges]
            while amount := self._send(source, sink):
                total += amount
        return total

    def _find_levels(self, source: int, sink: int) -> bool:
        self.levels = [-1] * len(self._edges)
        self.levels[source] = 0
        queue = deque([source])
        while queue:
            node = queue.popleft()
            for edge in self._edges[node]:
                other = self._to[edge]
                if self._left[edge] and self.levels[other] < 0:
                    self.levels[other] = self.levels[node] + 1
                    queue.append(other)
        return self.levels[sink] >= 0

    def _send(self, source: int, sink: int) -> int:
        """Sends what one more shortest path takes; 0 where there is none any more."""
        path: list[int] = []
        node = source
        while node != sink:
            edge = self._next_edge(node)
            if edge is not None:
                path.append(edge)
                node = self._to[edge]
            elif path:
                # A dead end: never this way again.
                node = self._to[path.pop() ^ 1]
                self._untried[node] -= 1
            else:
                return 0
        amount = min(self._left[edge] for edge in path)
        for edge in path:
            self._left[edge] -= amount
            self._left[edge ^ 1] += amount
        return amount

    def _next_edge(self, node: int) -> int | None:
        edges, level = self._edges[node], self.levels[node] + 1
        while self._untried[node]:
            edge = edges[self._untried[node] - 1]
            if self._left[edge] and self.levels[self._to[edge]] == level:
                return edge
            self._untried[node] -= 1
        return None
