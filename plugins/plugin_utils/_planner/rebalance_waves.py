# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Rebalancing through waves: guests take what other guests have left, so that a measure becomes better still. Pure.

Each step is a plan of its own on the facts that the steps before leave. First come the moves that need nothing but what is free,
and then further ones on the facts after these, as long as they help. Beside that, one guest after another moves first, helpful
or not: what it leaves may open a way for others, and of them again one may move first. What was found without waves is never
given up for less.
"""

from __future__ import annotations

import dataclasses
import typing as t
from collections import Counter, defaultdict, deque

from ansible_collections.vfio.migration.plugins.plugin_utils._compat.wording import counted
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.effort import Effort
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.movable import (
    Measure,
    Movable,
    Moves,
    Value,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.planner import no_progress
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import (
    Conditions,
    Guest,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.solution import Progress
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import Placement, PlanBody

# So many steps are searched for at most, and so many devices looked at for them.
SEARCHES = 150
DEVICES = 200_000
# So many plans are made at most for guests that move first.
PLANS = 2_000

# Host and id of a device.
_Key = tuple[str, str]


@dataclasses.dataclass(frozen=True, slots=True)
class _Way:
    """Moves one after another: the ``plans`` for them, what the measure is ``after`` them, and what ``movable`` is then."""

    plans: tuple[PlanBody, ...]
    movable: Movable
    after: Value

    @property
    def placements(self) -> list[Placement]:
        return [each for plan in self.plans for each in plan["placements"]]

    @property
    def ends(self) -> frozenset[tuple[_Key, _Key]]:
        """What moves, and onto what."""
        return frozenset(
            [
                (_source(each), (each["target"]["host"], each["target"]["id"]))
                for each in self.placements
            ]
        )

    @property
    def rank(self) -> tuple[Value, int]:
        """What is less of a better way: the measure, and then the guests that move."""
        return self.after, -self.movable.max_moves


class WaveSearch:
    """The search for moves one after another; ``measuring`` makes a measure of what may move, and ``is_sound`` verifies."""

    def __init__(
        self,
        movable: Movable,
        measuring: t.Callable[[Movable], Measure],
        is_sound: t.Callable[[Moves], bool],
    ) -> None:
        self._movable, self._measuring, self._is_sound = movable, measuring, is_sound
        self._measure = measuring(movable)
        self._least = self._measure.bound()
        self._searches, self._plans = Effort(SEARCHES), Effort(PLANS)
        self._devices = Effort(DEVICES)
        self._opened_before: set[frozenset[tuple[_Key, _Key]]] = set()
        self._size = sum(len(host.devices) for host in movable.fleet.hosts.values())

    def search(self, first: Moves, progress: Progress) -> Moves:
        """Return better moves than ``first``, which need no waves, or these."""
        start = _Way((), self._movable, self._measure.before())
        best, found = self._with(start, first.plans), first
        waiting = deque([start])
        after_first = self._better(self._further(best), best)
        if after_first is not None:
            best, found = after_first
        while waiting and not self._is_done(best):
            for opened in self._opened(waiting.popleft()):
                moved = self._movable.max_moves - opened.movable.max_moves
                progress(f"looking for moves after {counted(moved, 'other')}")
                better = self._better(self._further(opened), best)
                if better is not None:
                    best, found = better
                if self._is_done(best):
                    break
                if opened.movable.max_moves:
                    waiting.append(opened)
        # Not all ways through waves were gone through.
        return dataclasses.replace(found, best=False)

    def _is_done(self, best: _Way) -> bool:
        used_up = self._searches.used_up or self._devices.used_up or self._plans.used_up
        return used_up or best.after == self._least

    def _better(self, way: _Way, best: _Way) -> tuple[_Way, Moves] | None:
        """Return ``way`` with its moves in waves, if it is better than the ``best`` one and the verifier has nothing against it."""
        if way.rank >= best.rank:
            return None
        moves = self._moves(way)
        return (way, moves) if self._is_sound(moves) else None

    def _moves(self, way: _Way) -> Moves:
        moving = {_source(each) for each in way.placements}
        guests = [each for each in self._movable.guests if each.devices[0].key in moving]
        plans = in_waves(way.plans, guests, self._movable.conditions)
        return Moves(guests, plans, way.after)

    def _with(self, way: _Way, plans: t.Sequence[PlanBody]) -> _Way:
        """Return ``way`` with these plans after its own."""
        if not plans:
            return way
        self._devices.spend(self._size)
        placements = [each for plan in plans for each in plan["placements"]]
        movable = way.movable.once_moved(placements)
        after = self._measure.after([*way.placements, *placements])
        return _Way((*way.plans, *plans), movable, after)

    def _further(self, way: _Way) -> _Way:
        """Return ``way`` with what makes the measure better after it, as long as something does."""
        while way.movable.max_moves and not self._is_done(way):
            self._searches.spend(1)
            self._devices.spend(self._size)
            found = self._measuring(way.movable).search(no_progress)
            more = self._with(way, found.plans)
            if more.after >= way.after:
                break
            way = more
        return way

    def _opened(self, way: _Way) -> t.Iterator[_Way]:
        """Yield ways in which one guest more has moved, so that others may follow it to what it left.

        Of each guest one target comes first, before another one of any. Of guests that are alike, one is tried.
        """
        ways = deque([self._to_each_host(way, guest) for guest in _in_turn(way.movable)])
        while ways:
            found = next(ways[0], None)
            if found is None:
                ways.popleft()
            else:
                ways.rotate(-1)
                # The same moves in another order have the same result.
                if found.ends not in self._opened_before:
                    self._opened_before.add(found.ends)
                    yield found

    def _to_each_host(self, way: _Way, guest: Guest) -> t.Iterator[_Way]:
        """Yield ways in which ``guest`` has moved to one host or another, those with the least load first."""
        movable = way.movable
        able = [
            name for name in movable.targets if len(guest.devices) <= movable.most_arrivals(name)
        ]
        for host in sorted(able, key=lambda name: (movable.loads[name], name)):
            if host != guest.host and not self._plans.used_up:
                self._plans.spend(1)
                plan = movable.planned_to(host, [guest]).plan
                if plan is not None:
                    yield self._with(way, [plan])


def _in_turn(movable: Movable) -> list[Guest]:
    """Return guests of which none is like another one: one of each host, those first that least is free on, and so on.

    Hosts that may receive come first, as others may follow to these.
    """
    receiving = {*movable.targets}
    free = Counter(each.host for each in movable.fleet.devices() if each.in_use is None)
    unlike: dict[str, dict[t.Hashable, Guest]] = defaultdict(dict)
    for guest in movable.guests:
        like = (movable.likeness(guest), *(each.parent for each in guest.devices))
        unlike[guest.host].setdefault(like, guest)
    ranked = [
        (host not in receiving, number, free[host], host, guest)
        for host, guests in unlike.items()
        for number, guest in enumerate(guests.values())
    ]
    return [each[-1] for each in sorted(ranked, key=lambda each: each[:-1])]


def in_waves(
    plans: t.Sequence[PlanBody], guests: t.Sequence[Guest], conditions: Conditions
) -> list[PlanBody]:
    """Return ``plans``, of which each follows those before, with each of the ``guests`` in the first wave in which it can move.

    It waits for those whose devices it takes, and for those of its groups who leave where it goes.
    """
    owners = {device.key: guest for guest in guests for device in guest.devices}
    waves: dict[_Key, int] = {}
    # By place and group, the wave in which the last of the group leaves.
    gone: dict[tuple[t.Hashable, int], int] = {}

    def places(host: str) -> t.Collection[t.Hashable]:
        return conditions.domains_of(host) or (host,)

    found = []
    for plan in plans:
        by_guest: dict[_Key, list[Placement]] = defaultdict(list)
        for each in sorted(plan["placements"], key=lambda each: each["wave"]):
            by_guest[owners[_source(each)].devices[0].key].append(each)
        for first, of_guest in by_guest.items():
            guest, target = owners[first], of_guest[0]["target"]
            groups = conditions.groups_of(guest.name, guest.uuid)
            needed = [waves.get((target["host"], each["target"]["id"]), 0) for each in of_guest]
            needed += [
                gone.get((place, each), 0) for place in places(target["host"]) for each in groups
            ]
            wave = 1 + max(needed)
            waves |= {each.key: wave for each in guest.devices}
            for place in places(guest.host):
                gone |= {(place, each): max(wave, gone.get((place, each), 0)) for each in groups}
        found.append(_with_waves(plan, waves))
    return found


def _source(placement: Placement) -> _Key:
    return placement["source"]["host"], placement["source"]["id"]


def _with_waves(plan: PlanBody, waves: t.Mapping[_Key, int]) -> PlanBody:
    placements: list[t.Any] = [
        {**each, "wave": waves[_source(each)]} for each in plan["placements"]
    ]
    return t.cast("PlanBody", {**plan, "placements": placements})
