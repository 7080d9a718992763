# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What hosts have free, of what guests take beside devices, once guests have moved. Pure.

``capacity`` states what is free at one moment. A guest that has moved since takes of its new host what it took of the old
one. Where that is not clear, less is taken to be free: nothing is given back of a guest that may still be where it was, and
of several that share a name it is given back once.
"""

from __future__ import annotations

import typing as t
from collections import Counter, defaultdict

from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import Fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import (
    Guest,
    guests_of,
)
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import Count

Capacity = t.Mapping[str, t.Mapping[str, t.Mapping[str, Count]]]
# A guest, as a capacity names it, and a host.
_Stay = tuple[str, str]


def name_in(capacity: Capacity, guest: Guest) -> str | None:
    """Return by what ``capacity`` names a guest, its UUID or its name; ``None`` where it takes nothing."""
    guests = capacity.get("guests", {})
    return next((each for each in (guest.uuid, guest.name) if each and each in guests), None)


def once_moved(capacity: Capacity, moves: t.Iterable[tuple[Guest, str | None]]) -> Capacity:
    """Return ``capacity`` once guests have moved, each to a host, or to nowhere."""
    left, come = [], []
    for guest, target in moves:
        name = name_in(capacity, guest)
        if name is not None:
            left.append((name, guest.host))
            if target is not None:
                come.append((name, target))
    return _changed(capacity, set(left), come) if left else capacity


def once_arrived(capacity: Capacity, moves: t.Iterable[tuple[Guest, str]]) -> Capacity:
    """Return ``capacity`` once guests have come to hosts, where what they took elsewhere is not known to be free."""
    named = [(name_in(capacity, guest), target) for guest, target in moves]
    come = [(name, target) for name, target in named if name is not None]
    return _changed(capacity, (), come) if come else capacity


def guests_by_host(capacity: Capacity, fleet: Fleet) -> dict[str, list[str]]:
    """Return by each host of ``fleet`` which guests that ``capacity`` names hold devices there."""
    found = {}
    for name, host in fleet.hosts.items():
        held = guests_of(device for device in host.devices if device.in_use is not None)
        found[name] = sorted({name_in(capacity, guest) or "" for guest in held} - {""})
    return found


def followed(
    capacity: Capacity,
    then: t.Mapping[str, t.Collection[str]],
    now: t.Mapping[str, t.Collection[str]],
) -> Capacity:
    """Return ``capacity`` as it is ``now``, where it was stated ``then``: both have the guests by host, as ``guests_by_host`` does.

    Hosts that are missing in them were silent. A guest on one that was, and that was nowhere else, was there already.
    """
    before, after = _stays(then), _stays(now)
    known = {guest for guest, _host in before}
    come = [stay for stay in after - before if stay[1] in then or stay[0] in known]
    left = [stay for stay in before - after if stay[1] in now]
    arrivals, departures = (Counter(guest for guest, _host in each) for each in (come, left))
    # One that is nowhere may be shut down, and may be anywhere.
    moved = [stay for stay in left if departures[stay[0]] <= arrivals[stay[0]]]
    guests = capacity.get("guests", {})
    return _changed(
        capacity, *([stay for stay in each if stay[0] in guests] for each in (moved, come))
    )


def _stays(by_host: t.Mapping[str, t.Collection[str]]) -> set[_Stay]:
    return {(guest, host) for host, guests in by_host.items() for guest in guests}


def _changed(capacity: Capacity, left: t.Iterable[_Stay], come: t.Iterable[_Stay]) -> Capacity:
    guests, hosts = capacity.get("guests", {}), dict(capacity.get("hosts", {}))
    changes: dict[str, Counter[str]] = defaultdict(Counter)
    for guest, host in left:
        changes[host].update(guests[guest])
    for guest, host in come:
        changes[host].subtract(guests[guest])
    for host, change in changes.items():
        free = {**hosts.get(host, {})}
        for resource, amount in change.items():
            free[resource] = max(0, free.get(resource, 0) + amount)
        hosts[host] = free
    return {**capacity, "hosts": hosts}


def part_of(capacity: Capacity, guests: t.Iterable[Guest], hosts: t.Iterable[str]) -> Capacity:
    """Return what ``capacity`` has of these guests and hosts; nothing where none of the guests takes anything."""
    needs, free = capacity.get("guests", {}), capacity.get("hosts", {})
    names = {name_in(capacity, guest) or "" for guest in guests} - {""}
    if not names:
        return {}
    return {
        "hosts": {each: free[each] for each in hosts if each in free},
        "guests": {each: needs[each] for each in sorted(names)},
    }
