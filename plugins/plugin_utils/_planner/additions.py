# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Additions: which free devices more would give guests without a place one. Pure.

What is added is always like a device that has no place: free, on another host. Nothing is claimed that was not planned with
the addition there, and found to leave no guest behind.
"""

from __future__ import annotations

import dataclasses
import itertools
import typing as t
from collections import defaultdict

from ansible_collections.vfio.migration.plugins.plugin_utils import contract
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.wording import listed
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import (
    Device,
    Host,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.assignment import (
    Neighbours,
    allows,
    less,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.effort import Effort
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.packings import (
    UNLIMITED,
    Bin,
    PackingProblem,
    Packings,
    State,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.search import Budget
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.planner import no_progress
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.problem import (
    Problem,
    Supply,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.resources import Pool
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.solution import (
    Solution,
    solve,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.survey import Survey

# A further host, of which the fleet has none of this name: it is no name that a host can have.
_FURTHER = "a further host"
# Additions are looked for, for so many guests without a place, and so many parts of one are tried.
_MOST_GUESTS = 50
_MOST_PARTS = 64


class _Part(t.NamedTuple):
    """Devices of one guest to be added on one host; ``host`` is its number, ``None`` for a further one."""

    host: int | None
    devices: tuple[Device, ...]


def smallest_addition(
    problem: Problem, solution: Solution, left: t.Sequence[int], budget: Budget
) -> contract.Addition | None:
    """Return the fewest free devices more, as far as is known, with which all guests have a place; ``None`` where none is known.

    The guests ``left`` have none in ``solution``.
    """
    if len(left) > _MOST_GUESTS or not all(problem.items[guest].demands for guest in left):
        # A device that cannot migrate gains nothing by more of its kind.
        return None
    if not all(_is_like_itself(problem, each) for n in left for each in _devices(problem, n)):
        return None
    parts = _Parts(problem, solution, budget.shared).of(left)
    if solve(_with(problem, parts), budget, no_progress).cost.unplaced:
        return None
    count = sum(len(part.devices) for part in parts)
    least = solution.least.unplaced
    single = all(len(guest.devices) == 1 for guest in problem.request.guests)
    # Each place that is added takes in one device: of guests with one each, no more of them have a place by it.
    smallest = (count == 1 and least > 0) or (single and solution.cost.unplaced == least == count)
    return _shown(problem, parts, smallest)


def _devices(problem: Problem, guest: int) -> list[Device]:
    return [device for _demand, device in problem.demands[guest]]


def _is_like_itself(problem: Problem, device: Device) -> bool:
    """Return whether ``device`` could become one that is free and otherwise like it, on another host."""
    return problem.admission.refusal(device, _free(device)) is None


def _free(device: Device) -> Device:
    return dataclasses.replace(device, host=_FURTHER, in_use=None)


class _Parts:
    """Finds what is to be added for each guest without a place, beside what a solution has placed."""

    def __init__(self, problem: Problem, solution: Solution, effort: Effort | None) -> None:
        self._problem = problem
        self._packings = Packings(
            PackingProblem(problem.resources, problem.items, problem.bins), effort=effort
        )
        self._states = {
            number: tuple(sorted([each for each, places in backing.items() for _one in places]))
            for number, backing in solution.left.items()
        }
        self._limits = [each.limits for each in problem.bins]
        # What each bin has of the groups of those that are placed in its domains.
        self._groups: dict[int, frozenset[int]] = defaultdict(frozenset)
        self._neighbours = Neighbours(problem.bins)
        numbers = {name: number for number, name in enumerate(problem.names)}
        for guest, host in {each.guest: each.host for each in solution.placed}.items():
            self._take_limits(guest, numbers[host])
            self._add_groups(guest, numbers[host])

    def of(self, left: t.Iterable[int]) -> list[_Part]:
        return [self._of_guest(guest) for guest in left]

    def _of_guest(self, guest: int) -> _Part:
        """Return the fewest devices of a guest that are to be added, on a host that has places for the others."""
        needed = self._problem.demands[guest]
        for count in range(1, len(needed)):
            for chosen in itertools.islice(_choices(needed, count), _MOST_PARTS):
                rest = tuple([needed[n][0] for n in range(len(needed)) if n not in chosen])
                number = self._place(guest, rest)
                if number is not None:
                    return _Part(number, tuple([needed[n][1] for n in sorted(chosen)]))
        return _Part(None, tuple([device for _demand, device in needed]))

    def _take_limits(self, guest: int, number: int) -> None:
        self._limits[number] = less(self._limits[number], self._problem.items[guest].weights)

    def _add_groups(self, guest: int, number: int) -> None:
        groups = self._problem.items[guest].anti_affinity
        for each in self._neighbours.of(number) if groups else ():
            self._groups[each] |= groups

    def _place(self, guest: int, rest: tuple[int, ...]) -> int | None:
        """Return the first host with places for ``rest`` of a guest, which it has then; ``None`` where there is none."""
        problem, seen = self._problem, set()
        for number, there in enumerate(problem.bins):
            state: State = self._states.get(number, there.state)
            key = (
                state,
                self._limits[number],
                there.anti_affinity,
                self._groups[number],
                there.refuses,
                there.domains,
            )
            if key in seen:
                continue
            seen.add(key)
            groups = there.anti_affinity | self._groups[number]
            item, limits = problem.items[guest], self._limits[number]
            if not allows(item, None, limits, groups, there.refuses):
                continue
            packing = self._packings.best(state, rest)
            if packing is not None:
                self._states[number] = packing.after
                self._take_limits(guest, number)
                self._add_groups(guest, number)
                return number
        return None


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


def _with(problem: Problem, parts: t.Sequence[_Part]) -> Problem:
    """Return ``problem`` with what ``parts`` add: each on its host, and what is for a further host on one of its own."""
    names, supplies, bins = [*problem.names], [*problem.supplies], [*problem.bins]
    hosts = dict(problem.fleet.hosts)
    for count, part in enumerate(parts):
        number = part.host
        if number is None:
            number = len(names)
            name = f"{_FURTHER} {count}"
            hosts[name] = _bare_host(name)
            names.append(name)
            supplies.append(Supply({}, ()))
            bins.append(Bin((), _limits_of_further(problem)))
        pools = {group: [*devices] for group, devices in supplies[number].pools.items()}
        state = [*bins[number].state]
        for device in part.devices:
            _add(problem, device, names[number], pools, state)
        supplies[number] = supplies[number]._replace(pools=pools)
        bins[number] = dataclasses.replace(bins[number], state=tuple(sorted(state)))
    fleet = dataclasses.replace(problem.fleet, hosts=hosts)
    return dataclasses.replace(
        problem,
        fleet=fleet,
        names=names,
        supplies=supplies,
        bins=bins,
        survey=Survey(fleet, names),
    )


def _limits_of_further(problem: Problem) -> tuple[int, ...]:
    """Return the limits of a further host: what holds of every host holds of it, and it has what else guests take."""
    conditions = problem.request.conditions
    if conditions.limit is None:
        return ()
    limit = conditions.limit_of(_FURTHER)
    of_resources = [UNLIMITED for _each in conditions.resources()]
    return (UNLIMITED if limit is None else limit, *of_resources)


def _add(
    problem: Problem, device: Device, host: str, pools: dict[int, list[Device]], state: list[int]
) -> None:
    """Add a free device like ``device`` to what a host has."""
    resources = problem.resources
    # Each is on a GPU of its own, if that matters: so it was to be added.
    gpu = f"{device.host} {device.id}" if problem.request.conditions.distinct_gpus else None
    group = resources.group_of(_free(device), gpu)
    there = pools.setdefault(group, [])
    if there:
        state.remove(resources.number(Pool(group, len(there))))
    # Its name is no host's: what would be found by it was made for it.
    there.append(dataclasses.replace(_free(device), host=host, id=f"{_FURTHER} {device.id}"))
    state.append(resources.number(Pool(group, len(there))))


def _bare_host(name: str) -> Host:
    def find_facts(host: str) -> t.Mapping[str, t.Any]:
        return {"devices": []}

    return Host(name, {}, [], (), (), lambda host: [], find_facts)


def _shown(problem: Problem, parts: t.Sequence[_Part], smallest: bool) -> contract.Addition:
    """Return an addition as the contract has it: equal devices for one host together."""
    together: dict[tuple[t.Any, ...], list[Device]] = defaultdict(list)
    for number, part in enumerate(parts):
        # The devices of one guest must be on one host, but those of different guests need not.
        whole = number if part.host is not None or len(part.devices) > 1 else None
        host = None if part.host is None else problem.names[part.host]
        for device in part.devices:
            together[whole, host, device.kind, device.type, device.descriptor].append(device)
    devices: list[contract.AddedDevices] = []
    for (whole, host, kind, type_id, descriptor), alike in together.items():
        devices.append(
            {
                "count": len(alike),
                "kind": kind,
                "type": type_id,
                "version": descriptor.version if descriptor else None,
                "like": alike[0].label,
                "host": host,
                "together": None if host is not None or whole is None else whole + 1,
            }
        )
    return {
        "devices": devices,
        "smallest": smallest,
        "sentence": _sentence(problem, devices, smallest),
    }


def _sentence(problem: Problem, devices: t.Sequence[contract.AddedDevices], smallest: bool) -> str:
    further = sum(
        1 if each["together"] else each["count"] for each in devices if each["host"] is None
    )
    words = []
    for (host, together), of_host in itertools.groupby(
        devices, key=lambda each: (each["host"], each["together"])
    ):
        added = [*of_host]
        whole = together is not None
        where = f"on {host}" if host else _where(problem, whole, further > 1)
        if whole or host:
            words.append(f"{' and '.join(map(_added, added))} {where}")
        else:
            words += [f"{_added(each)} {where}" for each in added]
    end = "; fewer are not enough" if smallest else ""
    return f"all have a place with {listed(words)}{end}"


def _added(devices: contract.AddedDevices) -> str:
    version = f" of version {devices['version']}" if devices["version"] else ""
    like = f"like {devices['like']['id']} on {devices['like']['host']}"
    what = devices["type"] or devices["kind"]
    return f"{devices['count']:,} more free {what}{version} ({like})"


def _where(problem: Problem, whole: bool, several: bool) -> str:
    """Return on which further host devices are to be, the ``whole`` of what one guest lacks on one."""
    conditions = problem.request.conditions
    # What two guests may not share, each was planned with one of.
    own = several and (conditions.apart or conditions.limit is not None)
    where = "together on one other host" if whole else "on any other host"
    if own:
        where = (
            "together on another host of their own" if whole else "each on another host of its own"
        )
    may = " that may receive it" if not whole else " that may receive them"
    if conditions.targets is not None:
        may = ", which is to be one of the targets"
    has = " and has what its guest takes beside devices" if conditions.resources() else ""
    gpus = ", each on a GPU of its own" if whole and conditions.distinct_gpus else ""
    return f"{where}{may}{has}{gpus}"
