# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Parts of an addition: what each guest without a place lacks, on which host. Pure.

A guest lacks the least where it is short of nothing but what guests take beside devices, such as memory. Next come the
fewest devices on a host with places for the others, all of its devices on any host that may receive it, and what it
lacks of both on one host. Only where no host may receive it whatever is added there, a further host is needed.
"""

from __future__ import annotations

import itertools
import typing as t
from collections import defaultdict

from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import Device
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.assignment import (
    Neighbours,
    allows,
    less,
    more,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.effort import Effort
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.packings import (
    PackingProblem,
    Packings,
    State,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.problem import Problem
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.solution import Solution

# So many choices of devices are tried for one guest, and on so many hosts that differ.
_MOST_CHOICES = 64
_MOST_HOSTS = 200


class Part(t.NamedTuple):
    """What is to be added on one host for one guest.

    ``host`` is ``None`` for any other host, or for a ``further`` one, where no host that is there may receive the guest.
    ``devices`` are ``whole`` if they are all that the guest has; else ``node`` is the NUMA node of the others, where that matters.
    ``amounts`` are of what guests take beside devices, by its name.
    """

    host: str | None
    devices: tuple[Device, ...] = ()
    amounts: tuple[tuple[str, int], ...] = ()
    whole: bool = True
    node: int | None = None
    further: bool = False


class _Found(t.NamedTuple):
    """A host that a guest goes to once it has ``lacking`` more of each limit; ``after`` is its state with the other devices there."""

    number: int
    lacking: tuple[int, ...]
    after: State
    node: int | None


def is_conditional(problem: Problem) -> bool:
    """Return whether it matters on which host there is a place for a guest, beside what it has."""
    return any(each.limits for each in problem.bins) or any(
        item.anti_affinity or item.refused for item in problem.items
    )


def amounts_short(problem: Problem, solution: Solution) -> list[Part]:
    """Return what hosts have too little of for what a solution places there, if it was made as if they had enough."""
    weighed = problem.request.conditions.resources()
    numbers = {name: number for number, name in enumerate(problem.names)}
    limits = [each.limits for each in problem.bins]
    for guest, host in {each.guest: each.host for each in solution.placed}.items():
        number = numbers[host]
        limits[number] = less(limits[number], problem.items[guest].weights)
    found = []
    for number, left in enumerate(limits):
        if any(each < 0 for each in left):
            lacking = tuple([max(0, -each) for each in left])
            amounts = _named(problem, number, weighed, lacking)
            found.append(Part(problem.names[number], amounts=amounts))
    return found


def _named(
    problem: Problem,
    number: int,
    weighed: t.Sequence[str],
    lacking: t.Sequence[int],
    before: t.Collection[str] = (),
) -> tuple[tuple[str, int], ...]:
    """Return how much more of each resource makes up for what is ``lacking`` of the limits of a host; of some it has more ``before``."""
    conditions = problem.request.conditions
    of_resources = lacking[len(lacking) - len(weighed) :]
    free = conditions.capacity.get("hosts", {}).get(problem.names[number], {})
    return tuple(
        [
            # What is to be spare is missing first.
            (
                resource,
                missing
                if resource in before
                else missing + max(0, conditions.spare_of(resource) - free.get(resource, 0)),
            )
            for resource, missing in zip(weighed, of_resources, strict=True)
            if missing
        ]
    )


class Parts:
    """Finds what is to be added for each guest without a place, beside what a ``solution`` for the hosts ``names`` has placed."""

    def __init__(
        self, problem: Problem, solution: Solution, names: t.Sequence[str], effort: Effort | None
    ) -> None:
        self._problem = problem
        self._weighed = problem.request.conditions.resources()
        self._packings = Packings(
            PackingProblem(problem.resources, problem.items, problem.bins), effort=effort
        )
        self._is_conditional = is_conditional(problem)
        numbers = {name: number for number, name in enumerate(problem.names)}
        self._states: dict[int, State] = {
            numbers[names[number]]: tuple(
                sorted([each for each, places in backing.items() for _one in places])
            )
            for number, backing in solution.left.items()
        }
        self._limits = [each.limits for each in problem.bins]
        # Of what each bin has more.
        self._more: dict[int, set[str]] = defaultdict(set)
        # What each bin has of the groups of those that are placed in its domains.
        self._groups: dict[int, frozenset[int]] = defaultdict(frozenset)
        self._neighbours = Neighbours(problem.bins)
        for guest, host in {each.guest: each.host for each in solution.placed}.items():
            self._take_limits(guest, numbers[host])
            self._add_groups(guest, numbers[host])

    def of(self, left: t.Sequence[int]) -> list[Part]:
        anywhere = self._is_conditional and self._may_go_anywhere(left)
        parts = [self._of_guest(guest) for guest in left]
        if anywhere and all(each.host and each.whole and not each.amounts for each in parts):
            return [each._replace(host=None) for each in parts]
        return parts

    def _may_go_anywhere(self, left: t.Sequence[int]) -> bool:
        """Return whether each host may receive each of the guests ``left``, and each of these finds one for itself."""
        problem = self._problem
        domains = problem.request.conditions.failure_domains
        if len(left) > (1 if domains else len(problem.bins)):
            return False
        return all(
            self._allows(guest, number) for guest in left for number in range(len(problem.bins))
        )

    def _allows(self, guest: int, number: int) -> bool:
        return self._may_receive(guest, number) and not any(self._lacking(guest, number))

    def _may_receive(self, guest: int, number: int) -> bool:
        """Return whether a host may receive a guest, whatever that lacks there of what can be added."""
        there = self._problem.bins[number]
        groups = there.anti_affinity | self._groups[number]
        if not allows(self._problem.items[guest], number, (), groups, there.refuses):
            return False
        lacking = self._lacking(guest, number)
        return not any(lacking[: len(lacking) - len(self._weighed)])

    def _lacking(self, guest: int, number: int) -> tuple[int, ...]:
        """Return how much of each limit of a host a guest lacks."""
        left = less(self._limits[number], self._problem.items[guest].weights)
        return tuple([max(0, -each) for each in left])

    def _of_guest(self, guest: int) -> Part:
        """Return the least that is to be added for a guest."""
        hosts = self._hosts(guest)
        enough = [each for each in hosts if not any(each[1])]
        short = [each for each in hosts if any(each[1])]
        everything = tuple([device for _demand, device in self._problem.demands[guest]])
        return (
            self._on_one_of(guest, short, range(1))
            or self._on_one_of(guest, enough, range(1, len(everything)))
            or (None if self._is_conditional else Part(None, everything))
            or self._on_one_of(guest, enough, range(len(everything), len(everything) + 1))
            or self._on_one_of(guest, short, range(1, len(everything) + 1))
            or Part(None, everything, further=True)
        )

    def _hosts(self, guest: int) -> list[tuple[int, tuple[int, ...]]]:
        """Return hosts that may receive a guest, of equal ones one, with what that lacks there; those with the least first."""
        problem, seen = self._problem, set()
        found = []
        for number, there in enumerate(problem.bins):
            key = (
                self._states.get(number, there.state),
                self._limits[number],
                there.anti_affinity,
                self._groups[number],
                there.refuses,
                there.domains,
            )
            if key not in seen:
                seen.add(key)
                if self._may_receive(guest, number):
                    found.append((number, self._lacking(guest, number)))
        found.sort(key=lambda each: (sum(map(bool, each[1])), sum(each[1])))
        return found[:_MOST_HOSTS] if self._is_conditional else found

    def _on_one_of(
        self, guest: int, hosts: t.Sequence[tuple[int, tuple[int, ...]]], counts: t.Iterable[int]
    ) -> Part | None:
        """Return a part on the first host that has places for all of a guest but so many devices; ``None`` where there is none."""
        needed = self._problem.demands[guest]
        for count in counts if hosts else ():
            for chosen in itertools.islice(_choices(needed, count), _MOST_CHOICES):
                rest = tuple([needed[n][0] for n in range(len(needed)) if n not in chosen])
                found = next(filter(None, (self._place(each, rest) for each in hosts)), None)
                if found is not None:
                    added = tuple([needed[n][1] for n in sorted(chosen)])
                    return self._taken(guest, found, added)
        return None

    def _place(self, host: tuple[int, tuple[int, ...]], rest: tuple[int, ...]) -> _Found | None:
        """Return a host with ``rest`` of a guest there, if it has places for that."""
        number, lacking = host
        state = self._states.get(number, self._problem.bins[number].state)
        if not rest:
            return _Found(number, lacking, state, None)
        packing = self._packings.best(state, rest)
        if packing is None:
            return None
        return _Found(
            number, lacking, packing.after, self._problem.resources.numa_node(packing.steps[0][0])
        )

    def _taken(self, guest: int, found: _Found, devices: tuple[Device, ...]) -> Part:
        """Return what is to be added on a host, which the guest then takes what it takes of."""
        number = found.number
        self._states[number] = found.after
        self._limits[number] = more(self._limits[number], found.lacking)
        self._take_limits(guest, number)
        self._add_groups(guest, number)
        before = self._more[number]
        amounts = _named(self._problem, number, self._weighed, found.lacking, before)
        before.update([resource for resource, _amount in amounts])
        whole = len(devices) == len(self._problem.demands[guest])
        return Part(self._problem.names[number], devices, amounts, whole, found.node)

    def _take_limits(self, guest: int, number: int) -> None:
        self._limits[number] = less(self._limits[number], self._problem.items[guest].weights)

    def _add_groups(self, guest: int, number: int) -> None:
        groups = self._problem.items[guest].anti_affinity
        for each in self._neighbours.of(number) if groups else ():
            self._groups[each] |= groups


def _choices(needed: t.Sequence[tuple[int, Device]], count: int) -> t.Iterator[frozenset[int]]:
    """Yield the choices of so many devices of a guest, by their places; of those that need the same, always the first."""
    alike: dict[int, list[int]] = defaultdict(list)
    for place, (demand, _device) in enumerate(needed):
        alike[demand].append(place)

    def choose(groups: t.Sequence[list[int]], more: int) -> t.Iterator[list[int]]:
        if not groups:
            yield []
            return
        first, rest = groups[0], groups[1:]
        there = sum(map(len, rest))
        for taken in range(min(more, len(first)), max(0, more - there) - 1, -1):
            for others in choose(rest, more - taken):
                yield first[:taken] + others

    yield from map(frozenset, choose([*alike.values()], count))
