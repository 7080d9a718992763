# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The search for a plan: which item goes to which bin. Pure, and about numbers only.

First every item goes where it fits tightest, the awkward ones first. Items that need the same are placed in one run
over the states that bins are in, so that the work grows with states and shapes, and not with hosts times guests.
Then, for what found no place, a few bins at a time are emptied and filled anew. Where there are few items, a
depth-first search improves on that or proves that nothing can. All room for searching is counted in steps, never in
seconds: the same input gives the same plan.
"""

from __future__ import annotations

import heapq
import itertools
import random
import typing as t
from collections import Counter, defaultdict
from dataclasses import dataclass

from ansible_collections.vfio.migration.plugins.plugin_utils._packing.assignment import (
    Assignment,
    Filling,
    Index,
    Key,
    allows,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.branch_and_bound import Exact
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.packings import (
    CREATED,
    Bin,
    Demands,
    Item,
    Packing,
    Packings,
    Resources,
    State,
)

# Fitting states of each kind looked at before the best of them all is taken.
_LOOK = 12
# Deeper searches than this are left at what repair has made of them.
MAX_EXACT_ITEMS = 200
# Rounds of repair beyond this many for each item find nothing more.
_ROUNDS_FOR_EACH = 100
_PROGRESS_EVERY = 10_000
_SEED = 20200819


@dataclass(frozen=True, slots=True)
class Budget:
    """How long to search: rounds of repair, and ways that the exact search looks at."""

    rounds: int = 20_000
    steps: int = 50_000


@dataclass(slots=True)
class Found:
    """For each bin the items in it, in the order of their placement; ``complete``: every other plan is no better."""

    bins: Assignment
    rounds: int
    steps: int = 0
    complete: bool = False


_BUDGET = Budget()
# How good it is to place an item in bins with this key, and the way to do so.
_Candidate = tuple[tuple[t.Any, ...], Key, Packing]


class Search:
    """Searches the best places for ``items`` in ``bins``.

    ``spread`` prefers the bins with the fewest devices, else the fullest are preferred. ``progress`` is told from time
    to time what is done and how many items have a place.
    """

    def __init__(
        self,
        resources: Resources,
        items: t.Sequence[Item],
        bins: t.Sequence[Bin],
        spread: bool = False,
        budget: Budget = _BUDGET,
        progress: t.Callable[[str, int], None] | None = None,
    ) -> None:
        self.ways = Packings(resources, items, bins)
        self._resources = resources
        self._items = items
        self._bins = bins
        self._spread = spread
        self._budget = budget
        self._progress = progress or (lambda stage, placed: None)
        self._filling = Filling(items, bins)
        self._shares = self._mean_shares()
        self._slacks: dict[tuple[int, State], tuple[float, float]] = {}
        self._sizes: dict[Demands, float] = {}
        self._left: list[int] = []
        self._rounds = 0

    def run(self, count_hopeless: t.Callable[[], int]) -> Found:
        """The best plan found. ``count_hopeless`` is asked, if need be, how many devices certainly find no place."""
        runs = self._runs()
        self._place_all(runs)
        if self._left:
            self._repair(count_hopeless())
        found = Found(self._filling.plan(), self._rounds)
        order = list(itertools.chain.from_iterable(runs))
        if len(order) <= MAX_EXACT_ITEMS:
            exact = Exact(self._resources, self._items, self._bins, self._spread, order)
            found.bins = exact.run(found.bins, self._budget.steps) or found.bins
            found.complete, found.steps = exact.complete, exact.steps
        return found

    # --- what fits best ---

    def _mean_shares(self) -> dict[int, float]:
        """How much room of each sort an item takes on average, of those that might take some."""
        taken: dict[int, float] = defaultdict(float)
        items: Counter[int] = Counter()
        for shape, count in Counter(item.demands for item in self._items).items():
            states = [self.ways.bin_types[kind] for kind in self.ways.bin_types_for(shape)]
            if not states:
                continue
            state = max(states, key=lambda state: len(self.ways.residual_by_kind(state)))
            after = self.ways.residual_by_kind(self._first(state, shape).after)
            for sort, room in self.ways.residual_by_kind(state).items():
                taken[sort] += (room - after.get(sort, 0)) * count
                items[sort] += count
        return {sort: amount / items[sort] for sort, amount in taken.items() if amount}

    def _first(self, state: State, shape: Demands) -> Packing:
        """The best way into a bin that takes ``shape`` while nothing is in it."""
        return t.cast(Packing, self.ways.best(state, shape))

    def _slack(self, kind: int, state: State) -> tuple[float, float]:
        """What a state has room for, in average items: how uneven over its sorts, and how much.

        Room of one sort is worth nothing where that of another sort is used up.
        """
        slack = self._slacks.get((kind, state))
        if slack is None:
            rooms = self.ways.residual_by_kind(state)
            sorts = self.ways.residual_by_kind(self.ways.bin_types[kind])
            left = [
                rooms.get(each, 0) / self._shares[each] for each in sorts if each in self._shares
            ]
            uneven = sum(left) - len(left) * min(left) if left else 0.0
            slack = self._slacks[(kind, state)] = round(uneven, 1), sum(left)
        return slack

    def _size(self, shape: Demands) -> float:
        """The share of a bin's room that ``shape`` takes, of the roomiest bins that it has a place in."""
        size = self._sizes.get(shape)
        if size is None:
            states = [self.ways.bin_types[kind] for kind in self.ways.bin_types_for(shape)]
            state = max(states, key=self.ways.free_slots)
            after = self._first(state, shape).after
            size = self._sizes[shape] = 1 - self.ways.free_slots(after) / self.ways.free_slots(
                state
            )
        return size

    # --- run by run ---

    def _runs(self) -> list[list[int]]:
        """The items that some bin can take, those together that need the same: what has few places first, then big ones."""
        equal: dict[tuple[t.Any, ...], list[int]] = defaultdict(list)
        for number, item in enumerate(self._items):
            equal[(item.demands, item.home, item.anti_affinity)].append(number)
        runs = (run for (shape, *others), run in equal.items() if self.ways.bin_types_for(shape))
        return sorted(runs, key=self._difficulty)

    def _difficulty(self, run: list[int]) -> tuple[t.Any, ...]:
        shape = self._items[run[0]].demands
        return len(self.ways.bin_types_for(shape)), -self._size(shape), shape, run[0]

    def _place_all(self, runs: list[list[int]]) -> None:
        index = Index(self._filling, self.ways, self._spread)
        done = told = 0
        for run in runs:
            self._left += run[self._place_run(index, run) :]
            done += len(run)
            if done - told >= _PROGRESS_EVERY:
                told = done
                self._progress("placing", done - len(self._left))
        self._progress("placing", done - len(self._left))

    def _place_run(self, index: Index, run: list[int]) -> int:
        """Places items that need the same, as many as find a place: returns how many."""
        shape = self._items[run[0]].demands
        waiting = {
            kind: self._candidates(index.keys(kind, shape), shape)
            for kind in self.ways.bin_types_for(shape)
        }
        candidates = [each for found in waiting.values() for each in itertools.islice(found, _LOOK)]
        heapq.heapify(candidates)
        known = {key for score, key, way in candidates}
        for placed, item in enumerate(run):
            after = None
            while after is None:
                if not candidates:
                    return placed
                _score, key, way = candidates[0]
                after = index.take(key, item, way)
                if after is None:
                    heapq.heappop(candidates)
                    known.remove(key)
                    self._add(candidates, known, waiting[key.kind])
            self._add(candidates, known, self._candidates([after], shape))
        return len(run)

    def _candidates(self, keys: t.Iterable[Key], shape: Demands) -> t.Iterator[_Candidate]:
        """What placing ``shape`` in bins with these keys comes to, where it fits."""
        for key in keys:
            way = self.ways.best(key.state, shape)
            if way is not None:
                slack = self._slack(key.kind, way.after)
                yield (way.cost // CREATED, key.load, way.cost, slack, key.room), key, way

    def _add(
        self, candidates: list[_Candidate], known: set[Key], further: t.Iterator[_Candidate]
    ) -> None:
        """Adds the first of ``further`` that is not known yet."""
        for candidate in further:
            if candidate[1] not in known:
                known.add(candidate[1])
                heapq.heappush(candidates, candidate)
                return

    # --- repair ---

    def _repair(self, least_left: int) -> None:
        """Empties a few bins at a time and fills them anew, as long as that may place more of what is left."""
        chance = random.Random(_SEED)
        kinds = {state: number for number, state in enumerate(self.ways.bin_types)}
        members: dict[int, list[int]] = defaultdict(list)
        for number, each in enumerate(self._bins):
            members[kinds[each.state]].append(number)
        most = min(self._budget.rounds, _ROUNDS_FOR_EACH * len(self._items))
        while self._rounds < most and self._devices(self._left) > least_left:
            self._rounds += 1
            if self._rounds % 1000 == 0:
                self._progress("repairing", sum(map(len, self._filling.held)))
            self._refill(chance, members)

    def _refill(self, chance: random.Random, members: dict[int, list[int]]) -> None:
        wanted = self._left[chance.randrange(len(self._left))]
        kinds = self.ways.bin_types_for(self._items[wanted].demands)
        kind = kinds[chance.randrange(len(kinds))]
        pool = members[kind]
        chosen = sorted({pool[chance.randrange(len(pool))] for each in range(chance.randint(2, 6))})
        before = {number: self._filling.empty(number) for number in chosen}
        items = [wanted] + [item for held in before.values() for item, way in held]
        order = {
            item: self._size(self._items[item].demands) * (1 + chance.random()) for item in items
        }
        items.sort(key=lambda item: -order[item])
        left = [item for item in items if not self._place_among(item, kind, chosen, chance)]
        if self._devices(left) > len(self._items[wanted].demands):
            for number, held in before.items():
                self._filling.empty(number)
                for item, way in held:
                    self._filling.put(number, item, way)
            return
        self._left.remove(wanted)
        self._left.extend(left)

    def _place_among(self, item: int, kind: int, chosen: list[int], chance: random.Random) -> bool:
        """Places an item in one of the bins ``chosen``, all of one kind, if one takes it."""
        wanted, filling = self._items[item], self._filling
        places = []
        for number in chosen:
            if allows(wanted, number, filling.left(number), filling.groups[number]):
                way = self.ways.best(filling.state[number], wanted.demands)
                if way is not None:
                    uneven, much = self._slack(kind, way.after)
                    places.append((uneven + much * chance.random(), number, way))
        if not places:
            return False
        filling.put(min(places)[1], item, min(places)[2])
        return True

    def _devices(self, items: t.Iterable[int]) -> int:
        return sum(len(self._items[item].demands) for item in items)
