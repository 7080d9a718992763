# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Largest guest: a few guests move, so that one with as many devices of a type as can be has a place. Pure.

All devices of a guest are on one host. So the largest guest has as many devices as the host with the most places of the type
has; of equally large ones it counts on how many hosts they fit.

Guests of one host after another leave it, as few as give it so many places, as long as all of them have places elsewhere.
Each time this is one plan for all that moves, which the verifier checks.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
import typing as t
from collections import defaultdict
from fractions import Fraction

from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.effort import Effort
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.movable import (
    Movable,
    Moves,
    Value,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import Guest
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.solution import Progress
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.type_places import (
    Gain,
    TypePlaces,
    has_type,
)
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import Placement

# So many plans are made at most.
PLANS = 200


class _Leaving(t.NamedTuple):
    """How many ``places`` a host has once some ``guests`` have left it."""

    places: int
    guests: tuple[Guest, ...]


class _Found(t.NamedTuple):
    """Moves, and the hosts whose guests move."""

    hosts: dict[str, _Leaving]
    moves: Moves


class LargestGuest:
    """The places of one type on the hosts of a fleet, and the guests that may leave these."""

    def __init__(self, movable: Movable, type_id: str) -> None:
        fleet = movable.fleet
        if not any(has_type(host, type_id) for host in fleet.hosts.values()):
            raise FleetError(
                f"device_type is {type_id!r}, and no host has a device or a parent with it"
            )
        self._movable = movable
        guests: dict[str, list[Guest]] = defaultdict(list)
        for guest in movable.guests:
            guests[guest.host].append(guest)
        arrivals = {name: movable.most_arrivals(name) for name in movable.targets}
        together = sum(arrivals.values())
        self._hosts: dict[str, _Host] = {}
        for name, host in fleet.hosts.items():
            own = arrivals.get(name, 0)
            beside = together if math.isinf(own) else together - own
            places = TypePlaces(host, type_id, guests[name])
            others = 0.0
            if movable.through_waves and name in movable.targets:
                # Others may come to what is of another type, and leave that many more places to its guests.
                others = math.inf if host.equipment else len(host.devices) - places.usable
            self._hosts[name] = _Host(places, guests[name], movable.max_moves, beside, others)
        self._plans = Effort(PLANS)

    def before(self) -> Value:
        """Return the most devices of the type for which a host has places, and how many hosts have, both below 0: less is better."""
        return _value([each.now for each in self._hosts.values()])

    def bound(self) -> Value:
        """Return what the measure is at least after so few moves, as if all that leaves had places elsewhere."""
        most = max((each.most(self._movable.max_moves) for each in self._hosts.values()), default=0)
        if not most:
            return 0, 0
        needed = sorted(each.fewest(most) for each in self._hosts.values())
        sums = itertools.accumulate(needed)
        return -most, -sum(each <= self._movable.max_moves for each in sums)

    def search(self, progress: Progress) -> Moves:
        """Return moves that give one host the most places, and then others as many."""
        least = self.bound()
        nothing = best = _Found({}, Moves([], [], self.before()))
        ranked = sorted(
            (-ways[-1].places, len(ways[-1].guests), name, number)
            for name, host in self._hosts.items()
            for number, ways in enumerate(host.leaving)
        )
        for places, _guests, name, number in ranked:
            if places >= best.moves.after[0] or self._is_done(best, least):
                break
            progress(f"looking for places on {name}")
            best = self._most_on(name, self._hosts[name].leaving[number], best)
        starts = [best, nothing] if best.hosts else [nothing]
        further = [self._on_further_hosts(each, best.moves, least) for each in starts]
        return min([best.moves, *further], key=lambda each: (each.after, len(each.guests)))

    def _is_done(self, found: _Found, least: Value) -> bool:
        return found.moves.after == least or self._plans.used_up

    def _most_on(self, name: str, leaving: t.Sequence[_Leaving], best: _Found) -> _Found:
        """Return the moves that give a host the most places, ``best`` where they are no better; where not all have places, fewer leave."""
        ways = [each for each in leaving if each.places > -best.moves.after[0]]
        low, high = 0, len(ways)
        tried = high - 1
        while low < high and not self._plans.used_up:
            found = self._planned({name: ways[tried]})
            if found is not None and found.moves.after < best.moves.after:
                best, low = found, tried + 1
            else:
                high = tried
            tried = (low + high) // 2
        return best

    def _on_further_hosts(self, start: _Found, best: Moves, least: Value) -> Moves:
        """Return moves that give more hosts as many places as the one with the most has by the ``best`` ones, from ``start`` on."""
        most = -best.after[0]
        ways = []
        for name, host in self._hosts.items():
            if host.now < most and name not in start.hosts:
                enough = [[each for each in way if each.places >= most] for way in host.leaving]
                ways += [(len(each[0].guests), name, each[0]) for each in enough if each]
        found = start
        for _number, name, leaving in sorted(ways, key=lambda each: each[:2]):
            if self._is_done(found, least):
                break
            hosts = {**found.hosts, name: leaving}
            moves = sum(len(each.guests) for each in hosts.values())
            if name in found.hosts or moves > self._movable.max_moves:
                continue
            more = self._planned(hosts)
            if more is not None and more.moves.after < found.moves.after:
                found = more
        return found.moves

    def _planned(self, leaving: dict[str, _Leaving]) -> _Found | None:
        """Return how all these guests leave their hosts, if a plan says so: to hosts with fewer places, or else to any others."""
        guests = [guest for each in leaving.values() for guest in each.guests]
        most = max(each.places for each in leaving.values())
        given, hosts = self._movable.conditions, sorted(self._hosts)
        others = [each for each in self._movable.targets if each not in leaving]
        fewer = [each for each in others if self._hosts[each].now < most]
        for targets in [fewer, others] if len(fewer) < len(others) else [others]:
            if targets and not self._plans.used_up:
                self._plans.spend(1)
                conditions = dataclasses.replace(given, targets=targets)
                plan = self._movable.planned(guests, conditions, hosts).plan
                if plan is not None:
                    return _Found(leaving, Moves(guests, [plan], self.after(plan["placements"])))
        return None

    def after(self, placements: t.Sequence[Placement]) -> Value:
        """Return what the measure is once these moves are made."""
        left, arrivals = defaultdict(set), defaultdict(list)
        for each in placements:
            left[each["source"]["host"]].add(each["source"]["id"])
            arrivals[each["target"]["host"]].append(each["target"])
        return _value(
            [
                host.places.count(left[name], arrivals[name])
                if name in left or name in arrivals
                else host.now
                for name, host in self._hosts.items()
            ]
        )


def _value(places: t.Sequence[int]) -> Value:
    most = max(places, default=0)
    return -most, -places.count(most) if most else 0


class _Host:
    """The ``places`` of a host, and its guests that may move, ``max_moves`` at most, with as many devices as others have places for.

    Where others come to the host meanwhile, so many more devices than are free ``beside`` it may leave without giving places
    away again: as many as are for ``others`` there.
    """

    def __init__(
        self,
        places: TypePlaces,
        guests: t.Sequence[Guest],
        max_moves: int,
        beside: float,
        others: float,
    ) -> None:
        self.places, self._guests = places, guests
        self._max_moves, self._beside = max_moves, beside
        self._most_leaving = beside + others
        self.now = places.count()
        self._gains = places.gains()
        self._sums = self._weigh()

    def _weigh(self) -> list[int]:
        """Return how many places there are at most once none, one, two and so on have left.

        Of what several guests give only together each counts a part.
        """
        weights: dict[int, Fraction] = defaultdict(Fraction)
        for places, guests, _together in self._gains:
            for number in guests:
                weights[number] += places / len(guests)
        begun = self.now + self.places.begun()
        most = [*itertools.accumulate(sorted(weights.values(), reverse=True), initial=begun)]
        if not weights:
            return [self.now]
        ids = frozenset(each.id for guest in self._guests for each in guest.devices)
        limit = min(Fraction(self.places.count(ids)), begun + self._fitting(weights))
        return [math.floor(min(each, limit)) for each in most]

    def _fitting(self, weights: t.Mapping[int, Fraction]) -> Fraction:
        """Return how many more places guests give at most who have together no more devices than there are places elsewhere."""
        free, total = self._most_leaving, Fraction(0)
        sizes = {number: len(self._guests[number].devices) for number in weights}
        for number in sorted(weights, key=lambda each: -weights[each] / sizes[each]):
            part = Fraction(min(sizes[number], free)) / sizes[number]
            total += weights[number] * part
            free -= sizes[number] * part
        return total

    def most(self, moves: int) -> int:
        """Return how many places there are at most once so many guests have left."""
        return self._sums[min(moves, len(self._sums) - 1)]

    def fewest(self, places: int) -> float:
        """Return how many guests leave at least before there are so many places."""
        found = (moves for moves, most in enumerate(self._sums) if most >= places)
        return next(found, math.inf)

    @functools.cached_property
    def leaving(self) -> list[list[_Leaving]]:
        """Ways to leave that give more and more places, those that give the most for each guest first.

        Each list is another beginning: the guest that has nowhere to go may be that of one parent or card, and not of another.
        """
        ranked = sorted(self._gains, key=self._rank)
        one_by_one = [each for each in ranked if not each.together]
        found: list[list[_Leaving]] = []
        for first in [ranked, [], *([each] for each in ranked if each.together)]:
            ways = self._ways_to_leave([*first, *one_by_one])
            if ways and ways not in found:
                found.append(ways)
        return found

    def _ways_to_leave(self, gains: t.Iterable[Gain]) -> list[_Leaving]:
        ways: list[_Leaving] = []
        chosen: set[int] = set()
        for gain in gains:
            more = chosen | {*gain.guests}
            guests = tuple([self._guests[each] for each in sorted(more)])
            ids = frozenset(each.id for guest in guests for each in guest.devices)
            if more != chosen and len(guests) <= self._max_moves and len(ids) <= self._beside:
                chosen = more
                places = self.places.count(ids)
                if places > max([self.now, *(each.places for each in ways[-1:])]):
                    ways.append(_Leaving(places, guests))
        return ways

    def _rank(self, gain: Gain) -> tuple[Fraction, int, tuple[int, ...]]:
        sizes = [len(self._guests[each].devices) for each in gain.guests]
        return -gain.places / len(gain.guests), sum(sizes), gain.guests
