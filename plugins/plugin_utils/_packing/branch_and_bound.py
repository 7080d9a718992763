# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The exact search: every plan is looked at, or known to be no better than one that was. Pure."""

from __future__ import annotations

import itertools
import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._packing.assignment import (
    Assignment,
    Filling,
    Index,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.packings import (
    CREATED,
    FULL_WIDTH,
    Bin,
    Item,
    Packing,
    Packings,
    Resources,
)


class Exact:
    """Searches depth first over the items in ``order``, and for each over states and ways.

    ``steps`` is how many ways were looked at; ``complete`` says whether no plan is better than the best one known.
    """

    def __init__(
        self,
        resources: Resources,
        items: t.Sequence[Item],
        bins: t.Sequence[Bin],
        spread: bool,
        order: list[int],
    ) -> None:
        self._items = items
        self._spread = spread
        self._order = order
        self._ways = Packings(resources, items, bins, FULL_WIDTH)
        self._filling = Filling(items, bins)
        self._index = Index(self._filling, self._ways, spread)
        self._devices = sum(len(items[item].demands) for item in order)
        self._left = 0
        self._cost = 0
        self._best: tuple[int, ...] = ()
        self._better: Assignment | None = None
        self._bounds: list[int] = []
        self._most = 0
        self.steps = 0
        self.complete = False

    def run(self, known: Assignment, steps: int) -> Assignment | None:
        """A better plan than ``known``, ``None`` where none was found."""
        self._most = steps
        self._best = self._rating_of(known)
        self._bounds = self._lower_bounds()
        self._descend(0, 0)
        self.complete = self.steps < steps and not self._ways.incomplete
        return self._better

    def _rating_of(self, plan: Assignment) -> tuple[int, ...]:
        cost = sum(way.cost for held in plan.values() for item, way in held)
        loads = [sum(len(way.steps) for item, way in held) for held in plan.values()]
        left = self._devices - sum(loads)
        load = max(loads, default=0) if self._spread else 0
        return (left, cost // CREATED, load, cost % CREATED)

    def _lower_bounds(self) -> list[int]:
        """For each depth the least that the items from there on cost, each by itself in a bin of its own.

        An opened parent costs once, whoever opens it, so that tier is left out.
        """
        shapes = (self._items[item].demands for item in reversed(self._order))
        alone = (self._ways.least(shape) for shape in shapes)
        return list(itertools.accumulate(alone, initial=0))[::-1]

    def _descend(self, depth: int, load: int) -> None:
        """Places the items from ``depth`` on; ``load`` is the highest of a bin so far, where that matters."""
        cost = self._cost + self._bounds[depth]
        rating = (self._left, cost // CREATED, load, cost % CREATED)
        # What is left behind costs nothing in the other tiers: the bound holds only for plans that leave no more.
        hopeless = self._left >= self._best[0] and rating >= self._best
        if self.steps >= self._most or hopeless:
            return
        if depth == len(self._order):
            self._best = rating
            self._better = self._filling.plan()
            return
        item = self._order[depth]
        for number, way in self._places(item):
            before = self._filling.held[number][:]
            self._index.put(number, item, way)
            self._cost += way.cost
            highest = max(load, self._filling.load[number]) if self._spread else 0
            self._descend(depth + 1, highest)
            self._cost -= way.cost
            self._index.refill(number, before)
            if self.steps >= self._most:
                return
        self._left += len(self._items[item].demands)
        self._descend(depth + 1, load)
        self._left -= len(self._items[item].demands)

    def _places(self, item: int) -> list[tuple[int, Packing]]:
        wanted = self._items[item]
        places: list[tuple[t.Any, int, Packing]] = []
        for kind in self._ways.bin_types_for(wanted.demands):
            for key in self._index.keys(kind, wanted.demands):
                ways = self._ways.all(key.state, wanted.demands)
                for number in self._index.bins(key, wanted) if ways else ():
                    self.steps += len(ways)
                    places += (
                        (
                            (way.cost // CREATED, key.load, way.cost, key.room, way.after),
                            number,
                            way,
                        )
                        for way in ways
                    )
        return [(number, way) for rank, number, way in sorted(places)]
