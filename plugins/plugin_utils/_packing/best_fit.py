# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""Best-fit decreasing: place every item, the most awkward first, in the bin that it leaves in the best shape.

The rule for one resource is of D. S. Johnson, "Near-optimal bin packing algorithms", 1973. For bins with resources of
several kinds, each kind counts in units of what an item takes of it on average, as in R. Panigrahy and others,
"Heuristics for vector bin packing", 2011.

Items that need the same are placed in one run over the different states that bins are in. So the work grows with
states and demand multisets, not with hosts times guests.
"""

from __future__ import annotations

import heapq
import itertools
import typing as t
from collections import Counter, defaultdict
from dataclasses import dataclass

from ansible_collections.vfio.migration.plugins.plugin_utils._packing.assignment import (
    Assignment,
    BinIndex,
    BinKey,
    PartialAssignment,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.packings import (
    CREATED,
    Demands,
    Packing,
    PackingProblem,
    Packings,
    State,
)

# How many fitting states of each bin type are compared before the best is taken.
_LOOK_AHEAD = 12
_PROGRESS_EVERY = 10_000

# Called from time to time with the stage, and the number of items that have a place.
Progress = t.Callable[[str, int], None]
# How good it is to place an item in bins with this key, the best being the least, and how it is packed.
_Candidate = tuple[tuple[t.Any, ...], BinKey, Packing]


class Fit:
    """How big items are, and in which shape a packing leaves a bin."""

    def __init__(self, problem: PackingProblem, packings: Packings) -> None:
        self._packings = packings
        self._mean_shares = self._find_mean_shares(problem)
        self._slacks: dict[tuple[int, State], tuple[float, float]] = {}
        self._sizes: dict[Demands, float] = {}

    def size(self, demands: Demands) -> float:
        """Return the share that ``demands`` take of the free slots of a bin, of the roomiest bins that take them."""
        size = self._sizes.get(demands)
        if size is None:
            free_slots = self._packings.free_slots
            state = max(self._states_for(demands), key=free_slots)
            after = self._first(state, demands).after
            size = self._sizes[demands] = 1 - free_slots(after) / free_slots(state)
        return size

    def slack(self, bin_type: int, state: State) -> tuple[float, float]:
        """Return what a bin of this type has left in average items: how uneven over its kinds of resources, and how much.

        What is left of one kind is worth nothing where another kind is used up.
        """
        slack = self._slacks.get((bin_type, state))
        if slack is None:
            left = self._packings.residuals(state)
            kinds = self._packings.residuals(self._packings.bin_types[bin_type])
            shares = self._mean_shares
            items = [left.get(kind, 0) / shares[kind] for kind in kinds if kind in shares]
            uneven = sum(items) - len(items) * min(items) if items else 0.0
            slack = self._slacks[(bin_type, state)] = round(uneven, 1), sum(items)
        return slack

    def _find_mean_shares(self, problem: PackingProblem) -> dict[int, float]:
        """Return how much of each kind of resource an item takes on average, of those that may take some."""
        residuals = self._packings.residuals
        taken: dict[int, float] = defaultdict(float)
        items: Counter[int] = Counter()
        for demands, count in Counter([item.demands for item in problem.items]).items():
            states = self._states_for(demands)
            if not states:
                continue
            # The richest in kinds of resources.
            state = max(states, key=lambda state: len(residuals(state)))
            after = residuals(self._first(state, demands).after)
            for kind, amount in residuals(state).items():
                taken[kind] += (amount - after.get(kind, 0)) * count
                items[kind] += count
        return {kind: amount / items[kind] for kind, amount in taken.items() if amount}

    def _states_for(self, demands: Demands) -> list[State]:
        bin_types = self._packings.bin_types
        return [bin_types[number] for number in self._packings.bin_types_for(demands)]

    def _first(self, state: State, demands: Demands) -> Packing:
        """Return the best packing into an empty bin that takes ``demands``."""
        return t.cast(Packing, self._packings.best(state, demands))


@dataclass(frozen=True, slots=True)
class BestFit:
    """A first assignment; ``order`` are the items that some bin takes while empty, in the order of their placement."""

    assignment: Assignment
    order: list[int]
    unplaced: list[int]


def best_fit_decreasing(
    problem: PackingProblem, packings: Packings, fit: Fit, progress: Progress
) -> BestFit:
    """Return an assignment in which every item went where it fitted best at its turn."""
    runs = _runs(problem, packings, fit)
    partial = PartialAssignment(problem)
    index = BinIndex(partial, packings, problem.spread)
    order: list[int] = []
    unplaced: list[int] = []
    reported = 0
    for run in runs:
        demands = problem.items[run[0]].demands
        unplaced += _Run(index, packings, fit, demands).place(run)
        order += run
        if len(order) - reported >= _PROGRESS_EVERY:
            reported = len(order)
            progress("placing", reported - len(unplaced))
    progress("placing", len(order) - len(unplaced))
    return BestFit(partial.assignment(), order, unplaced)


def _runs(problem: PackingProblem, packings: Packings, fit: Fit) -> list[list[int]]:
    """Return the items that some bin takes, together those that need the same: what has few places first, then big ones."""
    equal: dict[tuple[t.Any, ...], list[int]] = defaultdict(list)
    for number, item in enumerate(problem.items):
        needs = (item.demands, item.home, item.anti_affinity, item.weights, item.refused)
        equal[needs].append(number)
    runs = []
    for (demands, *_others), run in equal.items():
        places = len(packings.bin_types_for(demands))
        if places:
            heavy = tuple([-each for each in problem.items[run[0]].weights])
            runs.append((places, -fit.size(demands), heavy, demands, run))
    return [run for *_rank, run in sorted(runs)]


class _Run:
    """The placement of items that need the same: a heap of the best candidates, and more of them when one is used up."""

    def __init__(self, index: BinIndex, packings: Packings, fit: Fit, demands: Demands) -> None:
        self._index = index
        self._packings = packings
        self._fit = fit
        self._demands = demands
        # Which domains are the best changes with each item, so there is a heap for each.
        self._heaps: dict[tuple[int, ...], list[_Candidate]] = defaultdict(list)
        self._waiting: dict[tuple[int, tuple[int, ...]], t.Iterator[_Candidate]] = {}
        for bin_type in packings.bin_types_for(demands):
            by_domains: dict[tuple[int, ...], list[BinKey]] = defaultdict(list)
            for key in index.keys(bin_type, demands):
                by_domains[key.domains].append(key)
            for domains, keys in by_domains.items():
                candidates = self._waiting[bin_type, domains] = self._candidates(keys)
                self._heaps[domains] += itertools.islice(candidates, _LOOK_AHEAD)
        for heap in self._heaps.values():
            heapq.heapify(heap)
        self._known = {key for heap in self._heaps.values() for _score, key, _packing in heap}
        # The heaps by the ranks that they had when they were looked at last. What is in domains only grows, so none is better
        # by now except for what was added, and the code that adds something notes the new rank here.
        self._ranks = [(self._rank(heap), domains) for domains, heap in self._heaps.items() if heap]
        heapq.heapify(self._ranks)

    def place(self, run: list[int]) -> list[int]:
        """Place as many items as find a place, and return the others."""
        for placed, item in enumerate(run):
            after = None
            while after is None:
                heap = self._best()
                if not heap:
                    return run[placed:]
                _score, key, packing = heap[0]
                after = self._index.place(key, item, packing)
                if after is None:
                    heapq.heappop(heap)
                    self._known.remove(key)
                    self._add_one(self._waiting[key.bin_type, key.domains])
            self._add_one(self._candidates([after]))
        return []

    def _best(self) -> list[_Candidate] | None:
        """Return the heap with the best candidate, ``None`` where no heap has any."""
        if len(self._heaps) < 2:
            return next(iter(self._heaps.values()), None)
        while self._ranks:
            known, domains = self._ranks[0]
            heap = self._heaps[domains]
            if not heap:
                heapq.heappop(self._ranks)
                continue
            rank = self._rank(heap)
            if rank == known:
                return heap
            heapq.heapreplace(self._ranks, (rank, domains))
        return None

    def _rank(self, heap: t.Sequence[_Candidate]) -> tuple[t.Any, ...]:
        """Return how good the best candidate of a heap is: what is graver than domains, how much is there in these, and the rest."""
        (not_preferred, created, *others), key, _packing = heap[0]
        return not_preferred, created, self._index.domain_load(key), others, key

    def _candidates(self, keys: t.Iterable[BinKey]) -> t.Iterator[_Candidate]:
        for key in keys:
            packing = self._packings.best(key.state, self._demands)
            if packing is not None:
                cost = packing.cost
                slack = self._fit.slack(key.bin_type, packing.after)
                score = (cost // CREATED, key.load, cost, slack, key.free_slots)
                yield (key.not_preferred, *score), key, packing

    def _add_one(self, candidates: t.Iterator[_Candidate]) -> None:
        """Add the first of ``candidates`` that is not in the heap yet."""
        for candidate in candidates:
            if candidate[1] not in self._known:
                self._known.add(candidate[1])
                domains = candidate[1].domains
                heap = self._heaps[domains]
                heapq.heappush(heap, candidate)
                if heap[0] is candidate:
                    heapq.heappush(self._ranks, (self._rank(heap), domains))
                return
