# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Maximum flow and minimum cut.

Dinic's algorithm with blocking flows: E. A. Dinic, "Algorithm for solution of a problem of maximum flow in networks
with power estimation", 1970. That the nodes still within reach are one side of a minimum cut is of L. R. Ford and
D. R. Fulkerson, "Maximal flow through a network", 1956.
"""

from __future__ import annotations

from collections import deque


class FlowNetwork:
    """A network of nodes by number.

    Edges are numbered as well. Edge ``number ^ 1`` is the same one backwards, and has as much capacity left as there
    flows to undo.
    """

    def __init__(self, nodes: int) -> None:
        self._edges: list[list[int]] = [[] for _node in range(nodes)]
        self._ends: list[int] = []
        self._residual: list[int] = []
        # Distances from the source over edges with capacity left, -1 where a node is out of reach.
        self._levels = [-1] * nodes

    def connect(self, node: int, other: int, capacity: int) -> None:
        """Add an edge."""
        for start, end, residual in ((node, other, capacity), (other, node, 0)):
            self._edges[start].append(len(self._ends))
            self._ends.append(end)
            self._residual.append(residual)

    def maximum_flow(self, source: int, sink: int) -> int:
        """Send as much as can flow from ``source`` to ``sink``, and return how much that is."""
        total = 0
        while self._find_levels(source, sink):
            self._untried = [len(edges) for edges in self._edges]
            while amount := self._send(source, sink):
                total += amount
        return total

    def is_on_source_side(self, node: int) -> bool:
        """Return whether a node is on the source's side of the minimum cut, once the maximum flows."""
        return self._levels[node] >= 0

    def _find_levels(self, source: int, sink: int) -> bool:
        self._levels = [-1] * len(self._edges)
        self._levels[source] = 0
        queue = deque([source])
        while queue:
            node = queue.popleft()
            for edge in self._edges[node]:
                other = self._ends[edge]
                if self._residual[edge] and self._levels[other] < 0:
                    self._levels[other] = self._levels[node] + 1
                    queue.append(other)
        return self._levels[sink] >= 0

    def _send(self, source: int, sink: int) -> int:
        """Send what one more shortest path takes, and return how much; 0 where there is none any more."""
        path: list[int] = []
        node = source
        while node != sink:
            edge = self._next_edge(node)
            if edge is not None:
                path.append(edge)
                node = self._ends[edge]
            elif path:
                # A dead end is not tried a second time.
                node = self._ends[path.pop() ^ 1]
                self._untried[node] -= 1
            else:
                return 0
        amount = min([self._residual[edge] for edge in path])
        for edge in path:
            self._residual[edge] -= amount
            self._residual[edge ^ 1] += amount
        return amount

    def _next_edge(self, node: int) -> int | None:
        edges, level = self._edges[node], self._levels[node] + 1
        while self._untried[node]:
            edge = edges[self._untried[node] - 1]
            if self._residual[edge] and self._levels[self._ends[edge]] == level:
                return edge
            self._untried[node] -= 1
        return None
