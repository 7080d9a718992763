# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""Large neighbourhood search: find places for items that have none, by emptying a few bins and filling them again.

The method is of P. Shaw, "Using constraint programming and local search methods to solve vehicle routing problems",
1998; G. Schrimpf and others, "Record breaking optimization results using the ruin and recreate principle", 2000, call
it ruin and recreate. A change is kept if it leaves no more devices without a place. Its random numbers always start
from the same seed, and effort is counted in rounds and places, never in seconds: the same input gives the same assignment.
"""

from __future__ import annotations

import random
import typing as t
from collections import defaultdict
from dataclasses import dataclass

from ansible_collections.vfio.migration.plugins.plugin_utils._packing.assignment import (
    Assignment,
    PartialAssignment,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.best_fit import Fit, Progress
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.effort import Effort
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.packings import (
    Demands,
    PackingProblem,
    Packings,
)

_SEED = 20200819
# Further rounds find nothing more.
_ROUNDS_PER_ITEM = 100
_ROUNDS_PER_BIN = 1_000
# Nor is more found once so many places were worked out that no state met before has. In most fleets states come again: these are
# some thousands. Where each guest leaves a host in a state of its own, each place costs as much as many that are known.
_MOST_NEW = 40_000
# So many places that are known are looked at in the time in which one is worked out.
_KNOWN_PER_NEW = 16
_FEWEST_BINS, _MOST_BINS = 2, 6
_PROGRESS_EVERY = 1_000


@dataclass(frozen=True, slots=True)
class LocalSearch:
    """An assignment that leaves no more devices without a place than the one before."""

    assignment: Assignment
    rounds: int


def local_search(
    problem: PackingProblem,
    packings: Packings,
    fit: Fit,
    assignment: Assignment,
    unplaced: t.Sequence[int],
    rounds: int,
    least_unplaced: int,
    progress: Progress,
    shared: Effort | None = None,
    effort: int = 1,
) -> LocalSearch:
    """Improve ``assignment``, in which the items ``unplaced`` have no place, for at most so many ``rounds``.

    It ends early once no more than ``least_unplaced`` devices are left. What is looked at counts where the effort is ``shared``
    with other searches, which have as many rounds each. ``effort`` multiplies what may be looked at beside ``rounds``.
    """
    search = _Neighbourhoods(problem, packings, fit, assignment, unplaced)
    before = search.devices_left
    most = min(
        rounds,
        _ROUNDS_PER_ITEM * effort * len(problem.items),
        _ROUNDS_PER_BIN * effort * len(problem.bins),
    )
    done = 0
    begin = known = packings.worked_out
    while (
        done < most
        and known - begin <= _MOST_NEW * effort
        and not packings.exhausted
        and search.devices_left > least_unplaced
    ):
        done += 1
        if done % _PROGRESS_EVERY == 0:
            progress("repairing", sum(map(len, search.partial.contents)))
        looked_at = search.ruin_and_recreate()
        if shared is not None:
            shared.spend(looked_at + _KNOWN_PER_NEW * (packings.worked_out - known))
        known = packings.worked_out
    # Without a gain the guests that best fit has placed keep their places.
    gained = search.devices_left < before
    return LocalSearch(search.partial.assignment() if gained else assignment, done)


class _Neighbourhoods:
    """An assignment, the items that have no place in it, and changes of a few bins at a time."""

    def __init__(
        self,
        problem: PackingProblem,
        packings: Packings,
        fit: Fit,
        assignment: Assignment,
        unplaced: t.Sequence[int],
    ) -> None:
        self.partial = PartialAssignment(problem, assignment)
        self.unplaced = list(unplaced)
        self._items = problem.items
        self.devices_left = self._devices(unplaced)
        self._packings = packings
        self._fit = fit
        self._random = random.Random(_SEED)
        self._bins_of: dict[Demands, list[int]] = {}
        self._of_type: dict[int, list[int]] = defaultdict(list)
        for number, each in enumerate(problem.bins):
            self._of_type[packings.type_numbers[each.state]].append(number)

    def _devices(self, items: t.Iterable[int]) -> int:
        """Return how many devices these items have."""
        return sum([len(self._items[item].demands) for item in items])

    def ruin_and_recreate(self) -> int:
        """Empty some bins, of whichever types, that take one of the items left, and fill them with that item and their own.

        Return how many places were looked at.
        """
        wanted = self._one_of(self.unplaced)
        bins = self._bins_for(self._items[wanted].demands)
        count = self._random.randint(_FEWEST_BINS, _MOST_BINS)
        chosen = sorted({self._one_of(bins) for _bin in range(count)})
        before = {number: self.partial.empty(number) for number in chosen}
        items = [wanted] + [item for contents in before.values() for item, _packing in contents]
        # Big items first, more or less.
        sizes = {
            item: self._fit.size(self._items[item].demands) * (1 + self._random.random())
            for item in items
        }
        items.sort(key=lambda item: -sizes[item])
        left = [item for item in items if not self._place(item, chosen)]
        more = self._devices(left) - len(self._items[wanted].demands)
        if more > 0:
            for number, contents in before.items():
                self.partial.refill(number, contents)
        else:
            self.unplaced.remove(wanted)
            self.unplaced.extend(left)
            self.devices_left += more
        return len(items) * len(chosen)

    def _one_of(self, numbers: list[int]) -> int:
        return numbers[self._random.randrange(len(numbers))]

    def _bins_for(self, demands: Demands) -> list[int]:
        """Return the bins that take ``demands`` while they are empty."""
        if demands not in self._bins_of:
            types = self._packings.bin_types_for(demands)
            self._bins_of[demands] = [number for each in types for number in self._of_type[each]]
        return self._bins_of[demands]

    def _place(self, item: int, chosen: list[int]) -> bool:
        """Place an item where it fits best, more or less, and return whether one of the bins takes it."""
        wanted, partial = self._items[item], self.partial
        places = []
        for number in chosen:
            if partial.allows(wanted, number):
                packing = self._packings.best(partial.state[number], wanted.demands)
                if packing is not None:
                    bin_type = self._packings.type_numbers[partial.bins[number].state]
                    uneven, much = self._fit.slack(bin_type, packing.after)
                    places.append((uneven + much * self._random.random(), number, packing))
        if places:
            _score, number, packing = min(places)
            partial.put(number, item, packing)
        return bool(places)
