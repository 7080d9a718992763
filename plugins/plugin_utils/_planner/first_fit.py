# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""Steady plans: of plans that cost the same, one that does not change while it is carried out. Pure.

What a plan has made is found again by its name. A device that was there already has no name of its own, so nothing in the
facts shows which guest it is for. Therefore guests that need nothing but such devices go, one after the other, to the first host
that has places for them: first fit, as of D. S. Johnson, "Near-optimal bin packing algorithms", 1973. What is made elsewhere
does not matter to that. Nor does it matter which of them have moved: each still finds the same host the first one, as
only guests that come after it have taken more.
"""

from __future__ import annotations

import typing as t
from collections import defaultdict, deque

from ansible_collections.vfio.migration.plugins.plugin_utils._compat.candidates import Existing
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import Device
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.assignment import (
    allows,
    less,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.packings import (
    Demands,
    Packing,
    PackingProblem,
    Packings,
    State,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.backing import (
    Backing,
    Placement,
    allocate,
    placed_on,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.problem import Problem
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.resources import Pool


def steady(
    problem: Problem, placed: t.Sequence[Placement], fixed: t.Container[tuple[int, str]]
) -> tuple[list[Placement], int]:
    """Return placements that cost no more than those in ``placed``, where guests for which nothing is created are placed by first fit.

    With them, return how many fewer devices change their type. Devices that are ``fixed``, by guest and id, stay where they
    are. All do where first fit finds no place for one.
    """
    others = {each.guest for each in placed if not _is_there(each)}
    by_guest: dict[int, list[Placement]] = defaultdict(list)
    for each in placed:
        if each.guest not in others:
            by_guest[each.guest].append(each)
    free = {
        guest
        for guest, of_guest in by_guest.items()
        if all((guest, each.source.id) not in fixed for each in of_guest)
        # First fit does not know which guest has which MAC address on a card.
        and not any(each.source.key in problem.admission.addresses for each in of_guest)
    }
    if not free:
        return [*placed], 0
    found = _FirstFit(problem, [each for each in placed if each.guest not in free])
    for guest in sorted(free, key=lambda each: (-len(by_guest[each]), each)):
        if not found.place(guest, by_guest[guest]):
            return [*placed], 0
    together = _in_order(problem, found.placed, fixed)
    return sorted(together, key=lambda each: (each.guest, each.source.id)), found.saved


def _is_there(placed: Placement) -> bool:
    """Return whether a target is there already, and needs nothing to be set."""
    if placed.device is None:
        return False
    offer = placed.offer.candidate
    return isinstance(offer, Existing) and not offer.attributes


class _FirstFit:
    """What is free on each host beside what is ``placed``, and where guests have gone so far."""

    def __init__(self, problem: Problem, placed: t.Sequence[Placement]) -> None:
        self.placed = [*placed]
        # How many fewer devices change their type than before.
        self.saved = 0
        self._problem = problem
        self._packings = _packings_of(problem)
        self._taken = {(each.host, each.device.id) for each in placed if each.device}
        self._limits = [each.limits for each in problem.bins]
        self._numbers = {name: number for number, name in enumerate(problem.names)}
        for guest, host in {each.guest: each.host for each in placed}.items():
            self._take(guest, self._numbers[host])
        self._backings: dict[int, Backing] = {}
        self._states: dict[int, State] = {}
        # No host before this one has a place for such an item.
        self._start: dict[tuple[Demands, bool], int] = defaultdict(int)

    def place(self, guest: int, before: t.Sequence[Placement]) -> bool:
        """Place a guest on the first host where it costs no more than ``before``, and return whether there is one."""
        item = self._problem.items[guest]
        most = sum(
            each.device is not None and each.device.type != each.source.type for each in before
        )
        bins, passed = self._problem.bins, True
        preferred = bins[self._numbers[before[0].host]].preferred
        key = (item.demands, preferred)
        for number in range(self._start[key], len(bins)):
            there, packing = bins[number], None
            if there.preferred == preferred:
                packing = self._packings.best(self._state(number), item.demands)
            if packing is None:
                if passed:
                    self._start[key] = number + 1
                continue
            passed = False
            limits = self._limits[number]
            if packing.cost <= most and allows(item, number, limits, frozenset(), there.refuses):
                self._put(guest, number, packing)
                # Nothing is created: such a packing only costs other types.
                self.saved += most - packing.cost
                return True
        return False

    def _put(self, guest: int, number: int, packing: Packing) -> None:
        name = self._problem.names[number]
        sources = [source for _demand, source in self._problem.demands[guest]]
        allocations = [*allocate(self._backings[number], guest, sources, packing)]
        # Which of equal devices it gets is decided at the end.
        self.placed += placed_on(name, allocations)
        self._states[number] = packing.after
        self._take(guest, number)

    def _take(self, guest: int, number: int) -> None:
        self._limits[number] = less(self._limits[number], self._problem.items[guest].weights)

    def _state(self, number: int) -> State:
        state = self._states.get(number)
        if state is None:
            name = self._problem.names[number]
            backing: Backing = defaultdict(list)
            for group, devices in self._problem.supplies[number].pools.items():
                left = [each for each in devices if (name, each.id) not in self._taken]
                if left:
                    backing[self._problem.resources.number(Pool(group, len(left)))].append(left)
            self._backings[number] = backing
            state = tuple(sorted([each for each, found in backing.items() for _one in found]))
            self._states[number] = state
        return state


def _packings_of(problem: Problem) -> Packings:
    """Return the packings of a problem, which others with the same numbers may have worked out."""
    known = problem.known
    found = known.of_first_fit if known is not None else None
    if found is None:
        found = Packings(PackingProblem(problem.resources, problem.items, problem.bins))
        if known is not None:
            known.of_first_fit = found
    return found


def _in_order(
    problem: Problem, placed: t.Sequence[Placement], fixed: t.Container[tuple[int, str]]
) -> t.Iterator[Placement]:
    """Yield the placements where of equal devices the first one goes to the first guest."""
    numbers = {name: number for number, name in enumerate(problem.names)}
    pools: dict[tuple[int, int], list[Device]] = {}
    pool_of: dict[tuple[str, str], tuple[int, int]] = {}
    for number in {numbers[each.host] for each in placed}:
        for group, devices in problem.supplies[number].pools.items():
            pools[number, group] = devices
            pool_of.update(dict.fromkeys([each.key for each in devices], (number, group)))
    given = {
        each.device.key for each in placed if each.device and (each.guest, each.source.id) in fixed
    }
    left = {key: deque([d for d in pools[key] if d.key not in given]) for key in pools}
    for each in sorted(placed, key=lambda each: (each.guest, each.source.id)):
        pool = pool_of.get(each.device.key) if each.device else None
        if pool is not None and (each.guest, each.source.id) not in fixed:
            each = each._replace(device=left[pool].popleft())
        yield each
