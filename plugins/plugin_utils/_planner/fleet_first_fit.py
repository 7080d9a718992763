# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""First fit of the guests of a fleet: each host's go to the first hosts that have places, while all others stay. Pure."""

from __future__ import annotations

import functools
import itertools
import typing as t
from collections import defaultdict

from ansible_collections.vfio.migration.plugins.plugin_utils._packing.assignment import (
    allows,
    less,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.packings import (
    Bin,
    Demands,
    Item,
    PackingProblem,
    Packings,
    State,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.problem import Problem

# The groups of which a member is in these failure domains.
GroupsByDomains = t.Mapping[frozenset[int], frozenset[int]]
_NO_GROUPS = frozenset[int]()


class _Left(t.NamedTuple):
    """What is left of the limits of hosts, and the groups of failure domains, where that is not as it was.

    The groups of those ``placed`` are by domain, and of a host that is in none by a number below 0.
    """

    limits: dict[int, tuple[int, ...]]
    groups: GroupsByDomains
    placed: dict[int, set[int]]

    def place(self, item: Item, number: int, there: Bin) -> None:
        """Note that ``item`` goes to a host."""
        self.limits[number] = less(self.limits.get(number, there.limits), item.weights)
        for zone in _zones(number, there) if item.anti_affinity else ():
            self.placed.setdefault(zone, set()).update(item.anti_affinity)

    def meets(self, item: Item, number: int, there: Bin) -> bool:
        """Return whether a member of a group of ``item`` is on a host, or in its domains."""
        wanted = item.anti_affinity
        return not wanted.isdisjoint(self.groups.get(there.domains, there.anti_affinity)) or any(
            not wanted.isdisjoint(self.placed.get(zone, _NO_GROUPS))
            for zone in _zones(number, there)
        )


def _zones(number: int, there: Bin) -> t.Collection[int]:
    return there.domains or (-1 - number,)


class FleetFirstFit:
    """Places the guests of one host after the other, each time in a fleet in which nothing else has moved.

    Each guest goes to the first host that has places, hosts with the least capacity first. Which hosts have places for a guest as
    they are is found once for all guests that need the same, and no farther than it was asked for.
    """

    def __init__(self, problem: Problem, packing: PackingProblem) -> None:
        self._items = problem.items
        self._bins = packing.bins
        self._guests = problem.request.guests
        self._resources = problem.resources
        self._packings = Packings(packing)
        self._order = sorted(
            range(len(packing.bins)),
            key=lambda number: (self._packings.free_slots(packing.bins[number].state), number),
        )
        self._types = [self._packings.type_numbers[each.state] for each in packing.bins]
        self._found: dict[Demands, list[int]] = defaultdict(list)
        self._ahead: dict[Demands, t.Iterator[int]] = {}

    @functools.cached_property
    def _sizes(self) -> dict[int, tuple[int, int]]:
        """How few devices with each demand one resource takes in, and how few kinds of resources do."""
        return {
            demand: (
                max([self._resources.capacity(each, demand) for each in takers], default=0),
                len(takers),
            )
            for demand, takers in self._packings.takers.items()
        }

    def rank(self, number: int) -> tuple[t.Any, ...]:
        """Return the rank of a guest in the order of its host's: what takes the most first; equal ones by their names."""
        guest = self._guests[number]
        demands = self._items[number].demands
        least = min([self._sizes[each] for each in demands], default=(0, 0))
        weights = self._items[number].weights
        return least, -len(demands), demands, weights, guest.devices[0].may_be_held, guest.key

    @functools.cached_property
    def _with(self) -> dict[int, list[int]]:
        """The hosts that have a resource, by resource."""
        found: dict[int, list[int]] = defaultdict(list)
        for number, there in enumerate(self._bins):
            for resource in set(there.state):
                found[resource].append(number)
        return found

    def taking(self, demands: t.Iterable[int]) -> set[int]:
        """Return the hosts that take in a device with one of these demands as they are."""
        takers = {resource for demand in demands for resource in self._packings.takers[demand]}
        return {number for resource in takers for number in self._with[resource]}

    def fits_nowhere(self, guest: int) -> bool:
        """Return whether no host has places for a guest, even as hosts are."""
        return next(self._with_room(self._items[guest].demands), None) is None

    def left(
        self,
        guests: t.Sequence[int],
        gone: t.Container[int],
        groups: GroupsByDomains,
    ) -> tuple[int, ...]:
        """Return the guests without a place, by their places among these; hosts that are ``gone`` have none.

        ``groups`` are those that hosts in these domains have in place of their own.
        """
        states: dict[int, State] = {}
        more = _Left({}, groups, {})
        return tuple(
            [
                place
                for place, guest in enumerate(guests)
                if not self._place(guest, gone, states, more)
            ]
        )

    def _place(
        self,
        guest: int,
        gone: t.Container[int],
        states: dict[int, State],
        more: _Left,
    ) -> bool:
        """Place a guest on the first host that takes it, and return whether there is one.

        ``states`` are what is left of hosts, and ``more`` what is left of their limits, and the groups of their domains.
        """
        item = self._items[guest]
        met: dict[frozenset[int] | int, bool] = {}
        for number in self._with_room(item.demands):
            there: Bin = self._bins[number]
            zones = there.domains or number
            if item.anti_affinity and zones not in met:
                met[zones] = more.meets(item, number, there)
            if number in gone or met.get(zones):
                continue
            limits = more.limits.get(number, there.limits)
            if not allows(item, None, limits, _NO_GROUPS, there.refuses):
                continue
            packing = self._packings.best(states.get(number, there.state), item.demands)
            if packing is not None:
                states[number] = packing.after
                more.place(item, number, there)
                return True
        return False

    def _with_room(self, demands: Demands) -> t.Iterator[int]:
        """Yield the hosts that have places for ``demands`` as they are."""
        if not demands:
            return
        found = self._found[demands]
        ahead = self._ahead.get(demands)
        if ahead is None:
            # A host that takes in all takes in each; which do is checked when the loop reaches them.
            least, *others = self._packings.types_with_takers(demands)
            ahead = self._ahead[demands] = (
                number
                for number in self._order
                if (of_type := self._types[number]) in least
                and all(of_type in each for each in others)
                and self._packings.best(self._bins[number].state, demands) is not None
            )
        for place in itertools.count():
            if place == len(found):
                number = next(ahead, None)
                if number is None:
                    return
                found.append(number)
            yield found[place]
