# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Backing: the devices and parents that stand behind resources, and how a packing allocates them. Pure."""

from __future__ import annotations

import typing as t
from collections import Counter, defaultdict

from ansible_collections.vfio.migration.plugins.plugin_utils._compat.candidates import Existing
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import (
    Device,
    Parent,
    ParentFacts,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.objective import Cost
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.packings import Packing
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.problem import (
    CardSupply,
    Problem,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.resources import (
    Choice,
    Pool,
)


class Placement(t.NamedTuple):
    """Where one device goes: the target that there is, or the ``parent`` under which it is made."""

    guest: int
    source: Device
    host: str
    offer: Choice
    device: Device | None
    parent: Parent | ParentFacts | None


# What is behind a resource: equal devices, a parent, or a card with its functions by group.
Place = list[Device] | ParentFacts | CardSupply


# What one device of a guest has: one of equal devices or functions, whichever of them, or a share of a parent.
# The guest and the id of the device come first, by which these are in order.
Allocation = tuple[int, str, Device, Choice, Place]
# What is behind the resources of a bin.
Backing = dict[int, list[Place]]


def backing_of(problem: Problem, number: int, taken: t.Collection[str] = ()) -> Backing:
    """Return what is behind the resources of a bin once those of its devices that are ``taken`` are gone."""
    pools, parents, cards = problem.supplies[number]
    backing: Backing = defaultdict(list)
    for group, devices in pools.items():
        left = [device for device in devices if device.id not in taken] if taken else devices
        if left:
            backing[problem.resources.number(Pool(group, len(left)))].append(left)
    equipment = problem.fleet.hosts[problem.names[number]].equipment
    for resource, parent in zip(parents, equipment, strict=True):
        if resource is not None:
            backing[resource].append(parent)
    for card in cards.values():
        backing[card.resource].append(card)
    return backing


def allocate(
    backing: Backing, guest: int, sources: t.Iterable[Device], packing: Packing
) -> t.Iterator[Allocation]:
    """Yield what ``packing`` gives to the devices ``sources`` of a guest; ``backing`` is then what comes after it."""
    for source, (resource, step) in zip(sources, packing.steps, strict=True):
        # Equal parents are interchangeable: the first one is taken.
        place = backing[resource].pop(0)
        if step.successor is not None:
            backing[step.successor].append(place)
        yield guest, source.id, source, step.offer, place


def placed_on(host: str, allocations: t.Iterable[Allocation]) -> t.Iterator[Placement]:
    """Yield the placements on one host: of equal devices the first one goes to the first guest, in whichever order."""
    taken: dict[int, int] = {}
    for guest, _id, source, offer, place in sorted(allocations):
        equal = place.functions[offer.group] if isinstance(place, CardSupply) else place
        found: Device | Parent | ParentFacts
        if isinstance(equal, list):
            number = taken.get(id(equal), 0)
            taken[id(equal)] = number + 1
            found = equal[number]
        else:
            found = equal
        if isinstance(found, Device):
            yield Placement(guest, source, host, offer, found, None)
        else:
            yield Placement(guest, source, host, offer, None, found)


def _highest_domain_load(problem: Problem, arrived: t.Mapping[str, int]) -> int:
    """Return how many devices there are in the fullest failure domain that receives any, 0 where that does not matter."""
    if problem.domain_loads is None:
        return 0
    loads: Counter[int] = Counter()
    for name, there in zip(problem.names, problem.bins, strict=True):
        if name in arrived:
            loads.update(dict.fromkeys(there.domains, arrived[name]))
    return max([problem.domain_loads.get(each, 0) + loads[each] for each in loads], default=0)


def cost_of_placed(problem: Problem, placed: t.Sequence[Placement]) -> Cost:
    """Return what these placements cost. What is remade is the caller's to add."""
    spread = problem.request.conditions.policy == "spread"
    devices = sum([len(guest.devices) for guest in problem.request.guests])
    opened: set[tuple[str, str]] = set()
    created = other_type = 0
    for each in placed:
        mdev_type = each.offer.mdev_type
        existing = each.offer.candidate
        given = isinstance(existing, Existing) and existing.attributes
        created += bool(each.parent is not None or given)
        if each.parent is not None:
            opened.add((each.host, each.parent.id))
        becomes = mdev_type.id if mdev_type else each.device and each.device.type
        other_type += becomes != each.source.type
    if opened and not spread:
        # Under these there is something already.
        hosts = {host for host, _parent in opened}
        opened -= {
            (host, device.parent or "")
            for host in hosts
            for device in problem.fleet.hosts[host].devices
            if device.kind == "mdev"
        }
    loads = Counter(each.host for each in placed)
    there = {name: each.load for name, each in zip(problem.names, problem.bins, strict=True)}
    others = {n for n, each in zip(problem.names, problem.bins, strict=True) if not each.preferred}
    return Cost(
        unplaced=devices - len(placed),
        not_preferred=sum([loads[host] for host in loads if host in others]),
        created=created,
        domain_load=_highest_domain_load(problem, loads),
        load=max([there[host] + count for host, count in loads.items()], default=0)
        if spread
        else 0,
        opened=0 if spread else len(opened),
        other_type=other_type,
    )
