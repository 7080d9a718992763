# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Even loads: a few guests move, so that hosts have as even loads as can be. Pure.

The load of a host is the number of its devices that processes hold. How uneven a fleet is, is the sum of the squares of
its loads, which is the smaller the more even they are (Chandra and Wong 1975, "Worst-case analysis of a placement algorithm
related to storage allocation").

All ways to move so few guests are gone through where there are few of them. Else it is steepest descent: each time that
move is taken which lets the sum fall the most. The places of all that goes to one host are found together, in a plan of
their own, which the verifier checks.
"""

from __future__ import annotations

import heapq
import itertools
import math
import typing as t
from collections import Counter, defaultdict

from ansible_collections.vfio.migration.plugins.plugin_utils._packing.effort import Effort
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.movable import (
    Movable,
    MovePlan,
    Moves,
    Value,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.solution import Progress
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import Placement

# So many plans for what goes to one host are made at most.
PLANS = 2_000
# Up to so many ways to move guests are all gone through.
WAYS = 5_000

# The targets of the guests that move, by their number.
_Moves = dict[int, str]
# What goes to a host, by number, and the host.
_Arrivals = tuple[str, frozenset[int]]


class EvenLoads:
    """The loads of a fleet, and the guests that may move."""

    def __init__(self, movable: Movable) -> None:
        self._movable = movable
        self._conditions = movable.conditions
        self._targets, self._guests = movable.targets, movable.guests
        self._most = movable.max_moves
        self._loads = movable.loads
        self._fixed: Counter[str] = Counter()
        for guest in movable.staying:
            self._fixed[guest.host] += len(guest.devices)
        self._plans = Effort(PLANS)
        self._answers: dict[_Arrivals, MovePlan] = {}

    def before(self) -> Value:
        """Return the sum of squares of the loads."""
        return (_squares(self._loads),)

    def after(self, placements: t.Sequence[Placement]) -> Value:
        """Return the sum of squares of the loads once these moves are made."""
        return (_squares(self._movable.loads_after(placements)),)

    # --- what can be had ---

    def bound(self) -> Value:
        """Return what the sum of squares is at least, whichever devices fit.

        As if each device moved by itself: from the highest loads, except for what cannot move, to the lowest, except for hosts
        that have no more place. As both sides gain less with each device, one after another is the best there is.
        A guest that follows others to what these leave adds nothing to the load of their host.
        """
        sizes = sorted((len(guest.devices) for guest in self._guests), reverse=True)
        leaving = [(-count, name) for name, count in self._loads.items()]
        arriving = [(self._loads[name], name) for name in self._targets]
        room = {name: self._movable.most_arrivals(name) for name in self._targets}
        heapq.heapify(leaving)
        heapq.heapify(arriving)
        total = _squares(self._loads)
        for _device in range(sum(sizes[: self._most])):
            while leaving and -leaving[0][0] <= self._fixed[leaving[0][1]]:
                heapq.heappop(leaving)
            while arriving and not room[arriving[0][1]]:
                heapq.heappop(arriving)
            if not leaving or not arriving:
                break
            high, low = -leaving[0][0], arriving[0][0]
            if high - low < 2:
                break
            total -= 2 * (high - low - 1)
            heapq.heapreplace(leaving, (1 - high, leaving[0][1]))
            room[arriving[0][1]] -= 1
            heapq.heapreplace(arriving, (low + 1, arriving[0][1]))
        return (total,)

    def _answer(self, host: str, guests: frozenset[int]) -> MovePlan:
        """Return the verified plan for ``guests``, by number, to ``host``."""
        found = self._answers.get((host, guests))
        if found is None:
            found = MovePlan(None, False)
            if not self._plans.used_up:
                self._plans.spend(1)
                chosen = [self._guests[each] for each in sorted(guests)]
                found = self._movable.planned_to(host, chosen)
            self._answers[host, guests] = found
        return found

    # --- the search ---

    def search(self, progress: Progress) -> Moves:
        """Return the best moves found: of all ways where there are few, else those of steepest descent."""
        if self._most == 0 or self.bound() == self.before():
            return self._found({}, False)
        # The plans for its hosts do not show whether guests of a group go to one failure domain.
        if self._ways() <= WAYS and not self._conditions.failure_domains:
            progress("going through all ways to move guests")
            moves = self._go_through()
            if moves is not None:
                return self._found(moves, True)
        return self._found(self._descend(progress), False)

    def _found(self, moves: _Moves, best: bool) -> Moves:
        plans = [self._answer(*each).plan for each in _arrivals(moves)]
        return Moves(
            [self._guests[each] for each in sorted(moves)],
            [each for each in plans if each is not None],
            (_squares(self._after(moves)),),
            best,
        )

    def _ways(self) -> int:
        number, others = len(self._guests), max(1, len(self._targets))
        most = min(self._most, number)
        ways = 0
        for count in range(1, most + 1):
            ways += math.comb(number, count) * others**count
            if ways > WAYS:
                break
        return ways

    def _go_through(self) -> _Moves | None:
        """Return the best moves of all, the fewest of these; ``None`` where one that may be better is not decided."""
        before = _squares(self._loads)
        ways: list[tuple[int, int, _Moves]] = []
        for count in range(1, min(self._most, len(self._guests)) + 1):
            for chosen in itertools.combinations(range(len(self._guests)), count):
                for places in itertools.product(self._targets, repeat=count):
                    moves = dict(zip(chosen, places, strict=True))
                    after = _squares(self._after(moves))
                    if after < before and all(
                        self._guests[each].host != place for each, place in moves.items()
                    ):
                        ways.append((after, count, moves))
        ways.sort(key=lambda each: each[:2])
        for _after, _count, moves in ways:
            answers = [self._answer(*each) for each in _arrivals(moves)]
            if all(each.plan is not None for each in answers):
                return moves
            if not any(each.plan is None and each.proven for each in answers):
                return None
        return {}

    def _descend(self, progress: Progress) -> _Moves:
        """Return the moves of steepest descent."""
        moves: _Moves = {}
        waiting: dict[tuple[str, int], list[int]] = defaultdict(list)
        for number, guest in enumerate(self._guests):
            waiting[guest.host, len(guest.devices)].append(number)
        while len(moves) < self._most and not self._plans.used_up:
            progress(f"move {len(moves) + 1} of {self._most} at most")
            step = self._steepest(moves, waiting)
            if step is None:
                break
            number, host = step
            guest = self._guests[number]
            waiting[guest.host, len(guest.devices)].remove(number)
            moves[number] = host
        return moves

    def _steepest(
        self, moves: _Moves, waiting: t.Mapping[tuple[str, int], t.Sequence[int]]
    ) -> tuple[int, str] | None:
        """Return the move of a guest that has a place and lets the sum of squares fall the most, if there is one."""
        loads = self._after(moves)
        there: dict[str, set[int]] = defaultdict(set)
        for number, host in moves.items():
            there[host].add(number)
        grouped = frozenset[int]().union(*map(self._groups, moves))
        for source, size, target in _pairs(loads, waiting, self._targets):
            tried = set()
            for number in waiting[source, size]:
                if self._conditions.failure_domains and grouped & self._groups(number):
                    continue
                like = self._movable.likeness(self._guests[number])
                if like in tried:
                    continue
                tried.add(like)
                arrivals = frozenset([*there[target], number])
                if self._answer(target, arrivals).plan is not None:
                    return number, target
                if self._plans.used_up:
                    return None
        return None

    def _groups(self, number: int) -> frozenset[int]:
        """Return the groups of which a guest is to be apart from the others."""
        guest = self._guests[number]
        return self._conditions.groups_of(guest.name, guest.uuid)

    def _after(self, moves: _Moves) -> Counter[str]:
        loads = self._loads.copy()
        for number, host in moves.items():
            guest = self._guests[number]
            loads[guest.host] -= len(guest.devices)
            loads[host] += len(guest.devices)
        return loads


def _squares(loads: t.Mapping[str, int]) -> int:
    return sum(each * each for each in loads.values())


def _arrivals(moves: _Moves) -> list[_Arrivals]:
    """Return what goes to each host."""
    there: dict[str, list[int]] = defaultdict(list)
    for number, host in moves.items():
        there[host].append(number)
    return [(host, frozenset(there[host])) for host in sorted(there)]


def _pairs(
    loads: t.Mapping[str, int],
    waiting: t.Mapping[tuple[str, int], t.Sequence[int]],
    targets: t.Sequence[str],
) -> t.Iterator[tuple[str, int, str]]:
    """Yield host, number of devices of a guest, and target of the moves that let the sum of squares fall, the most first."""
    low = sorted(targets, key=lambda name: (loads[name], name))
    heap: list[tuple[int, str, int, int]] = []

    def push(source: str, size: int, index: int) -> None:
        if index < len(low):
            gain = 2 * size * (loads[source] - loads[low[index]] - size)
            if gain > 0:
                heapq.heappush(heap, (-gain, source, size, index))

    for (source, size), guests in waiting.items():
        if guests:
            push(source, size, 0)
    while heap:
        _gain, source, size, index = heapq.heappop(heap)
        if low[index] != source:
            yield source, size, low[index]
        push(source, size, index + 1)
