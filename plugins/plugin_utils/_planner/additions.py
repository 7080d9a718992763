# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Additions: which free devices more, or what else hosts have too little of, would give guests without a place one. Pure.

A device that is added is always like one that has no place: free, on another host. Nothing is claimed that was not planned
with the addition there, and found to leave no guest behind.
"""

from __future__ import annotations

import dataclasses
import itertools
import operator
import typing as t
from collections import Counter, defaultdict

from ansible_collections.vfio.migration.plugins.plugin_utils import contract
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.candidates import Candidates
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.verdict import Judge
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.wording import listed
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import (
    Device,
    Fleet,
    Host,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.packings import (
    UNLIMITED,
    Bin,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.search import Budget
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.added_parts import (
    Part,
    Parts,
    amounts_short,
    is_conditional,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.planner import no_progress
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.problem import (
    Problem,
    Supply,
    pose,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import Request
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.resources import Pool
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.solution import (
    Solution,
    solve,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.survey import Survey

# A further host, of which the fleet has none of this name: it is no name that a host can have.
_FURTHER = "a further host"
# Additions are looked for, for so many guests without a place.
_MOST_GUESTS = 50
# So often less is tried of what hosts are to have more of beside devices, each time with so many steps.
_MOST_ATTEMPTS = 24
_STEPS = 5_000
# So many parts are one phrase, in which each may have a comma.
_FEW = 3


def addition_for(
    fleet: Fleet, request: Request, budget: Budget, judge: Judge, may_be_smallest: bool
) -> contract.Addition | None:
    """Return the least that is to be added so that all guests of a request have a place; ``None`` where nothing is known, or all have.

    It is not said to be the smallest, unless it ``may_be_smallest``.
    """
    problem = pose(fleet, request, Candidates(fleet, request.conditions.direction, judge))
    solution = solve(problem, budget, no_progress)
    placed = {each.guest for each in solution.placed}
    left = [number for number in range(len(problem.items)) if number not in placed]
    if not left:
        return None
    return smallest_addition(problem, problem, solution, left, budget, may_be_smallest)


def smallest_addition(
    problem: Problem,
    taking: Problem,
    solution: Solution,
    left: t.Sequence[int],
    budget: Budget,
    may_be_smallest: bool = True,
) -> contract.Addition | None:
    """Return the least that is to be added, as far as is known, so that all guests have a place; ``None`` where nothing is known.

    The guests ``left`` have none in ``solution``, which is one of ``taking``: of ``problem`` with the hosts alone that take in
    any device of its guests. It is not said to be the smallest, unless it ``may_be_smallest``.
    """
    if len(left) > _MOST_GUESTS or not all(problem.items[guest].demands for guest in left):
        # A device that cannot migrate gains nothing by more of its kind.
        return None
    if not all(_is_like_itself(problem, each) for n in left for each in _devices(problem, n)):
        return None
    conditional = is_conditional(problem)
    there = problem if conditional else taking
    parts = Parts(there, solution, taking.names, budget.shared).of(left)
    if any(part.devices for part in parts):
        parts = _without_devices(taking, budget) or parts
    if not _suffices(there, taking, parts, budget):
        return None
    if all(not part.devices for part in parts):
        parts, smallest = _least_amounts(there, taking, parts, budget, solution.least.unplaced > 0)
        return _shown(there, parts, smallest and may_be_smallest)
    count = sum(len(part.devices) for part in parts)
    least = solution.least.unplaced
    single = all(len(guest.devices) == 1 for guest in problem.request.guests)
    # Each place that is added takes in one device: of guests with one each, no more of them have a place by it.
    smallest = (count == 1 and least > 0) or (single and solution.cost.unplaced == least == count)
    bare = not any(part.amounts for part in parts)
    return _shown(there, parts, smallest and bare and may_be_smallest)


def _suffices(there: Problem, taking: Problem, parts: t.Sequence[Part], budget: Budget) -> bool:
    """Return whether a search places all guests once ``parts`` are added."""
    return not solve(_with(there, taking, parts), budget, no_progress).cost.unplaced


def _without_devices(taking: Problem, budget: Budget) -> list[Part]:
    """Return what hosts have too little of beside devices, where that is all that is short; nothing where it is not known to be."""
    weighed = len(taking.request.conditions.resources())
    if not weighed:
        return []
    bins = [
        dataclasses.replace(
            each, limits=(*each.limits[: len(each.limits) - weighed], *[UNLIMITED] * weighed)
        )
        for each in taking.bins
    ]
    solution = solve(dataclasses.replace(taking, bins=bins), budget, no_progress)
    return [] if solution.cost.unplaced else amounts_short(taking, solution)


def _least_amounts(
    there: Problem, taking: Problem, parts: list[Part], budget: Budget, proven: bool
) -> tuple[list[Part], bool]:
    """Return ``parts`` of nothing but what guests take beside devices, of one host and resource the least that does, and whether it is that.

    ``proven`` is whether it is that nothing is too little.
    """
    together = _amounts_of(parts)
    if len(together) > 1:
        return parts, False
    ((host, resource), enough), too_little = next(iter(together.items())), 0
    budget = dataclasses.replace(budget, steps=_STEPS)
    # What was found first mostly is the least.
    tried = enough - 1
    for _attempt in range(_MOST_ATTEMPTS):
        if enough - too_little == 1:
            break
        less_of_it = [Part(host, amounts=((resource, tried),))]
        solution = solve(_with(there, taking, less_of_it), budget, no_progress)
        if solution.cost.unplaced:
            too_little, proven = tried, solution.least.unplaced > 0
        else:
            enough = tried
        tried = (too_little + enough) // 2
    smallest = proven and enough - too_little == 1
    return [Part(host, amounts=((resource, enough),))], smallest


def _amounts_of(parts: t.Iterable[Part]) -> Counter[tuple[str, str]]:
    """Return how much more there is to be of what guests take beside devices, by host and resource."""
    found: Counter[tuple[str, str]] = Counter()
    for part in parts:
        for resource, amount in part.amounts:
            found[part.host or "", resource] += amount
    return found


def _devices(problem: Problem, guest: int) -> list[Device]:
    return [device for _demand, device in problem.demands[guest]]


def _is_like_itself(problem: Problem, device: Device) -> bool:
    """Return whether ``device`` could become one that is free and otherwise like it, on another host."""
    return problem.admission.refusal(device, _free(device)) is None


def _free(device: Device) -> Device:
    return dataclasses.replace(device, host=_FURTHER, in_use=None)


def _with(there: Problem, taking: Problem, parts: t.Sequence[Part]) -> Problem:
    """Return ``taking`` with what ``parts`` add: each on its host, and what is for another host on one of its own.

    A host that takes in nothing yet is as ``there`` has it.
    """
    names, supplies, bins = [*taking.names], [*taking.supplies], [*taking.bins]
    numbers = {name: number for number, name in enumerate(names)}
    of_all = {name: number for number, name in enumerate(there.names)}
    hosts = dict(taking.fleet.hosts)
    for count, part in enumerate(parts):
        name = part.host or f"{_FURTHER} {count}"
        if name not in numbers:
            numbers[name] = len(names)
            names.append(name)
            if part.host is None:
                hosts[name] = _bare_host(name)
                supplies.append(Supply({}, ()))
                bins.append(Bin((), _limits_of_further(taking)))
            else:
                supplies.append(there.supplies[of_all[name]])
                bins.append(there.bins[of_all[name]])
        number = numbers[name]
        pools = {group: [*devices] for group, devices in supplies[number].pools.items()}
        state = [*bins[number].state]
        for device in _on_one_node(taking, part):
            _add(taking, device, name, pools, state)
        supplies[number] = supplies[number]._replace(pools=pools)
        bins[number] = dataclasses.replace(bins[number], state=tuple(sorted(state)))
    for (name, resource), amount in _amounts_of(parts).items():
        number = numbers[name]
        bins[number] = _with_more(there, name, bins[number], resource, amount)
    fleet = dataclasses.replace(taking.fleet, hosts=hosts)
    return dataclasses.replace(
        taking,
        fleet=fleet,
        names=names,
        supplies=supplies,
        bins=bins,
        survey=Survey(fleet, names),
    )


def _on_one_node(problem: Problem, part: Part) -> list[Device]:
    """Return the devices of a part, on the NUMA node of the others of their guest, or on one of their own, where that matters."""
    if not problem.request.conditions.numa_local or not part.devices:
        return [*part.devices]
    node = part.devices[0].numa_node if part.whole else part.node
    return [dataclasses.replace(device, numa_node=node) for device in part.devices]


def _with_more(problem: Problem, name: str, there: Bin, resource: str, amount: int) -> Bin:
    """Return a host as a bin that has so much ``more`` of what guests take beside devices."""
    conditions = problem.request.conditions
    weighed = conditions.resources()
    free = conditions.capacity.get("hosts", {}).get(name, {}).get(resource, 0)
    limits = [*there.limits]
    place = len(limits) - len(weighed) + weighed.index(resource)
    limits[place] = max(0, free + amount - conditions.spare_of(resource))
    return dataclasses.replace(there, limits=tuple(limits))


def _limits_of_further(problem: Problem) -> tuple[int, ...]:
    """Return the limits of a further host: what holds of every host holds of it, and it has what else guests take."""
    conditions = problem.request.conditions
    of_resources = [UNLIMITED for _each in conditions.resources()]
    if conditions.limit is None:
        return tuple(of_resources)
    limit = conditions.limit_of(_FURTHER)
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


def _shown(problem: Problem, parts: t.Sequence[Part], smallest: bool) -> contract.Addition:
    """Return an addition as the contract has it: equal devices for one host together."""
    local = problem.request.conditions.numa_local
    together: dict[tuple[t.Any, ...], list[Device]] = defaultdict(list)
    for number, part in enumerate(parts):
        # The devices of one guest must be on one host, and perhaps on one node, but those of different guests need not.
        apart = part.host is not None and not (local and part.whole)
        whole = None if apart or len(part.devices) == 1 else number
        for device in part.devices:
            kind = device.kind, device.type, device.descriptor
            key = whole, part.host, part.node, part.further, *kind
            together[key].append(device)
    devices: list[contract.AddedDevices] = []
    for (whole, host, node, further, kind, type_id, descriptor), alike in together.items():
        devices.append(
            {
                "count": len(alike),
                "kind": kind,
                "type": type_id,
                "version": descriptor.version if descriptor else None,
                "like": alike[0].label,
                "host": host,
                "further": further,
                "numa_node": node,
                "together": None if whole is None else whole + 1,
            }
        )
    amounts: list[contract.AddedAmount] = [
        {"host": host, "resource": resource, "amount": amount}
        for (host, resource), amount in sorted(_amounts_of(parts).items())
    ]
    return {
        "devices": devices,
        "amounts": amounts,
        "smallest": smallest,
        "sentence": _sentence(problem, devices, amounts, smallest),
    }


def _sentence(
    problem: Problem,
    devices: t.Sequence[contract.AddedDevices],
    amounts: t.Sequence[contract.AddedAmount],
    smallest: bool,
) -> str:
    elsewhere = sum(
        1 if each["together"] else each["count"] for each in devices if each["host"] is None
    )
    words = []
    for (_host, whole, _node, further), of_host in itertools.groupby(
        devices, key=operator.itemgetter("host", "together", "numa_node", "further")
    ):
        added = [*of_host]
        where = _where(problem, added[0], elsewhere > 1)
        if whole is not None or added[0]["host"]:
            words.append(f"{' and '.join(map(_added, added))} {where}")
        else:
            words += [f"{_added(each)} {where}" for each in added]
        if further:
            words[-1] += " (no other host may receive it)"
    words += [
        f"{each['amount']:,} more free {each['resource']} on {each['host']}" for each in amounts
    ]
    end = "; fewer are not enough" if devices else "; less is not enough there"
    joined = " and ".join(words) if len(words) <= _FEW else listed(words)
    return f"all have a place with {joined}{end if smallest else ''}"


def _added(devices: contract.AddedDevices) -> str:
    version = f" of version {devices['version']}" if devices["version"] else ""
    like = f"like {devices['like']['id']} on {devices['like']['host']}"
    what = devices["type"] or devices["kind"]
    return f"{devices['count']:,} more free {what}{version} ({like})"


def _where(problem: Problem, added: contract.AddedDevices, several: bool) -> str:
    """Return on which host devices are to be, which are the ``whole`` of what one guest lacks, if they are together."""
    conditions = problem.request.conditions
    whole = added["together"] is not None
    gpus = ", each on a GPU of its own" if whole and conditions.distinct_gpus else ""
    if added["host"]:
        of_node = "" if added["numa_node"] is None else f"NUMA node {added['numa_node']} of "
        return f"on {'one NUMA node of ' if whole else of_node}{added['host']}{gpus}"
    # What two guests may not share, each was planned with one of.
    is_shared = not (conditions.apart or conditions.limit is not None or conditions.resources())
    what = "further" if added["further"] else "other"
    where = f"on {'a' if added['further'] else 'any'} {what} host"
    if whole:
        where = f"together on {'a' if added['further'] else 'one'} {what} host"
    if several and not is_shared:
        one = "a further" if added["further"] else "another"
        where = (
            f"{'together' if whole else 'each'} on {one} host of {'their' if whole else 'its'} own"
        )
    may = " that may receive them" if whole else " that may receive it"
    if added["further"]:
        may = ""
    elif conditions.targets is not None:
        may = ", which is to be one of the targets"
    has = ""
    if conditions.resources():
        has = " and has what its guest takes beside devices"
        if added["further"]:
            has = " that has what its guest takes beside devices"
    node = ", on one NUMA node" if whole and conditions.numa_local else ""
    return f"{where}{may}{has}{node}{gpus}"
