# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""Waves: the order of moves where one needs the device that another leaves. Pure."""

from __future__ import annotations

import typing as t
from collections import defaultdict
from dataclasses import dataclass

from ansible_collections.vfio.migration.plugins.plugin_utils._planner.admissible import (
    NO_EXCLUSIONS,
    Exclusions,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.backing import Placement
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.problem import Problem
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import Guest


class Waves:
    """The waves of a plan: what moves in one can move at once, when all before it have moved.

    ``blocking`` are the devices that are targets and would never be free: those of guests that stay, and of one guest
    in each of the ``cycles``, guests of which each waits for the next, and the last for the first.
    """

    def __init__(self, guests: t.Sequence[Guest], placed: t.Sequence[Placement]) -> None:
        homes = {guest.host for guest in guests}
        taken = [each for each in placed if each.device and each.host in homes]
        moving = {each.guest for each in placed}
        owners = {
            d.key: n for n, guest in enumerate(guests if taken else ()) for d in guest.devices
        }
        self._waits: dict[int, set[int]] = defaultdict(set)
        staying = set()
        for each in taken:
            owner = owners.get((each.host, each.device.id)) if each.device else None
            if owner is not None:
                self._waits[each.guest].add(owner)
                staying |= {owner} - moving
        self._numbers: dict[int, int] = {}
        self.cycles = self._order(moving)
        self.blocking = frozenset(
            device.key
            for guest in staying | {min(cycle) for cycle in self.cycles}
            for device in guests[guest].devices
        )

    def number(self, guest: int) -> int:
        """Return the wave in which ``guest`` moves, from 1."""
        return self._numbers.get(guest, 1)

    def _order(self, moving: set[int]) -> list[list[int]]:
        """Give the waves their numbers, and return the cycles."""
        waiting = {guest: self._waits[guest] & moving for guest in sorted(moving)}
        wave = 0
        while waiting:
            wave += 1
            ready = [guest for guest, others in waiting.items() if not others & waiting.keys()]
            if not ready:
                return self._cycles(waiting)
            for guest in ready:
                self._numbers[guest] = wave
                del waiting[guest]
        return []

    def _cycles(self, waiting: dict[int, set[int]]) -> list[list[int]]:
        """Return cycles of which no two have a guest in common; every guest left waits for one that is left."""
        cycles = []
        seen: set[int] = set()
        for start in waiting:
            path: list[int] = []
            guest = start
            while guest not in seen:
                seen.add(guest)
                path.append(guest)
                guest = min(waiting[guest] & waiting.keys())
            if guest in path:
                cycles.append(path[path.index(guest) :])
        return cycles


@dataclass(frozen=True, slots=True)
class MoveOrder:
    """In which wave each guest moves, ``None`` for all at once, and what ``exclusions`` there must be for such an order.

    ``cycles`` are guests of which each waits for the next, and the last for the first.
    """

    waves: Waves | None = None
    exclusions: Exclusions = NO_EXCLUSIONS
    cycles: t.Sequence[list[int]] = ()


AT_ONCE = MoveOrder()


def order_moves(
    problem: Problem, placed: t.Sequence[Placement], cycles: t.Sequence[list[int]] = ()
) -> MoveOrder:
    """Return the order in which the guests move that are ``placed``; ``cycles`` are those found before."""
    conditions, guests = problem.request.conditions, problem.request.guests
    # Only a device that moves itself is one to wait for.
    waves = Waves(guests, placed) if conditions.reuse else None
    staying = _in_the_way(problem, placed) if conditions.apart else frozenset()
    blocking = waves.blocking if waves else frozenset()
    found = waves.cycles if waves else []
    return MoveOrder(waves, Exclusions(blocking, staying), [*cycles, *found])


def _in_the_way(problem: Problem, placed: t.Sequence[Placement]) -> frozenset[int]:
    """Return the guests that stay, though taken for gone, on a host to which another one of their group is to go."""
    guests, groups_of = problem.request.guests, problem.request.conditions.groups_of
    moving = {each.guest for each in placed}
    arriving: dict[str, set[int]] = defaultdict(set)
    for each in placed:
        guest = guests[each.guest]
        arriving[each.host] |= groups_of(guest.name, guest.uuid)
    return frozenset(
        number
        for number, guest in enumerate(guests)
        if number not in moving
        and number not in problem.exclusions.guests
        and groups_of(guest.name, guest.uuid) & arriving[guest.host]
    )
