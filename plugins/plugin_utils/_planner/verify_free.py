# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What the verifier finds free that is like devices of a guest: on which hosts the guest has a place, as far as is known. Pure.

A free device that is in all but its place like one of a guest, whose list takes in its like, matches. Others may match as well.
"""

from __future__ import annotations

import typing as t
from collections import Counter, defaultdict

from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify_case import (
    Case,
    Entry,
    Key,
    address_held,
    migration_features,
    place_like,
    places_of,
)


class FreeGuest(t.NamedTuple):
    """A guest and what its devices are like, ``None`` where it is not known that their like matches; ``groups`` are numbers of ``apart``."""

    host: str
    name: str | None
    uuid: str | None
    likes: t.Sequence[str] | None
    macs: t.Collection[str]
    devices: int
    groups: frozenset[int]


class FreeGuests:
    """Finds the guests that a plan is about by their devices."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._together = Counter(
            (host, device["in_use"].get("pid"))
            for (host, _id), device in case.every_device()
            if device["kind"] != "vdpa" and device["in_use"]
        )
        self._groups: dict[str | None, set[int]] = defaultdict(set)
        for number, group in enumerate(case.asked.apart):
            for name in group:
                self._groups[name].add(number)

    def of(self, keys: t.Iterable[Key]) -> list[FreeGuest]:
        """Return the guests of these devices, each of which holds some of them; what no process holds is by itself."""
        of_guest: dict[t.Hashable, list[tuple[Key, Entry]]] = defaultdict(list)
        for key in keys:
            device = self._case.device(key)
            if device is not None:
                pid = (device["in_use"] or {}).get("pid")
                of_guest[key[0], key[1] if pid is None else pid].append((key, device))
        return [self._guest(members) for members in of_guest.values()]

    def _guest(self, members: t.Sequence[tuple[Key, Entry]]) -> FreeGuest:
        asked = self._case.asked
        (host, _id), first = members[0]
        holder = first["in_use"] or {}
        name, uuid = holder.get("name"), holder.get("uuid")
        likes = [self._like(key, device) for key, device in members]
        whole = len(likes) == 1 or not (asked.numa_local or asked.distinct_gpus)
        known = [each for each in likes if each is not None]
        return FreeGuest(
            *(host, name, uuid),
            known if whole and len(known) == len(likes) else None,
            {mac for _key, device in members if (mac := address_held(device))},
            len(likes),
            frozenset(self._groups.get(name, set()) | self._groups.get(uuid, set())),
        )

    def _like(self, key: Key, device: Entry) -> str | None:
        """Return what a free device is like that matches a device; ``None`` where that is not known, or it cannot migrate."""
        case = self._case
        descriptor = case.descriptor(key[0], device)
        pid = (device["in_use"] or {}).get("pid")
        several = pid is not None and device["kind"] != "vdpa" and self._together[key[0], pid] > 1
        features = migration_features(device)
        if (
            descriptor is None
            or device["migration"]["supported"] is False
            or (several and features and "p2p" not in features)
            # What has AP queues, and what has to keep its UUID, is like no other.
            or "migratable" in descriptor.own
            or not case.decides(descriptor, descriptor)
        ):
            return None
        return _likeness(case, key[0], device)


def _likeness(case: Case, host: str, device: Entry) -> str:
    descriptor = case.descriptor(host, device)
    return f"{id(descriptor)} {place_like({**device, 'descriptor': None})}"


class FreePlaces:
    """What is free on hosts that may receive, and like one of these devices."""

    def __init__(self, case: Case, likes: t.Collection[str]) -> None:
        self._case = case
        receiving = {*case.facts} if case.asked.targets is None else {*case.asked.targets}
        self._free: dict[str, Counter[str]] = {}
        # By the name or UUID of a guest that stays, the hosts and failure domains where it is.
        self._staying: dict[str, set[str]] = defaultdict(set)
        self._places_of = places_of(case)
        self._note_who_stays()
        # By what they are like, the hosts that have some left.
        self._hosts: dict[str, dict[str, None]] = defaultdict(dict)
        self._like_of: dict[Key, str] = {}
        self._held: set[tuple[str, str]] = set()
        kinds = {device["kind"] for key in case.unplaced if (device := case.device(key))}
        for host in sorted((receiving & case.facts.keys()) - case.drained) if likes else ():
            free: Counter[str] = Counter()
            for device in case.facts[host]["devices"]:
                if (mac := address_held(device)) is not None:
                    self._held.add((host, mac))
                if device["in_use"] is None and device["kind"] in kinds:
                    avoided = case.is_avoided(host, device["parent"])
                    like = _likeness(case, host, device)
                    key = (host, device["id"])
                    if like in likes and not avoided and not case.is_planned(key):
                        free[like] += 1
                        self._like_of[key] = like
                        self._hosts[like][host] = None
            self._free[host] = free
        moving = {*case.placed, *case.unplaced}
        sources = [device for key in moving if (device := case.device(key)) is not None]
        self._owners = Counter(mac for each in sources if (mac := address_held(each)))

    def _note_who_stays(self) -> None:
        for host, facts in self._case.facts.items() if self._case.asked.apart else ():
            for device in facts["devices"]:
                holder = device["in_use"]
                if holder and not self._case.is_planned((host, device["id"])):
                    for each in {holder.get("name"), holder.get("uuid")} - {None, ""}:
                        self._staying[each].update(self._places_of(host))

    def hosts_for(self, guest: FreeGuest) -> t.Iterator[str]:
        """Yield the hosts that have a free device like each of ``guest``, as far as is known, and no guest from which it must be apart."""
        if guest.likes is None or any(self._owners[mac] > 1 for mac in guest.macs):
            return
        needed = Counter(guest.likes)
        rarest = min(needed, key=lambda like: len(self._hosts[like]))
        met = self._met(guest)
        for host in self._hosts[rarest]:
            free = self._free[host]
            if (
                host != guest.host
                and not self._case.is_avoided(host, None, (guest.name, guest.uuid), guest.host)
                and not (guest.macs and any((host, mac) in self._held for mac in guest.macs))
                and not any(free[like] < count for like, count in needed.items())
                and not (met and not met.isdisjoint(self._places_of(host)))
            ):
                yield host

    def _met(self, guest: FreeGuest) -> frozenset[str]:
        """Return the hosts and failure domains where another guest of a group of this one stays."""
        members = {each for number in guest.groups for each in self._case.asked.apart[number]}
        return frozenset(place for each in members for place in self._staying.get(each, ()))

    def likeness(self, guest: FreeGuest) -> t.Hashable:
        """Return what guests have in common of which ``hosts_for`` yields the same."""
        by_name = (guest.name, guest.uuid, guest.host) if self._case.asked.avoid else None
        host = guest.host if guest.host in self._free else None
        likes = None if guest.likes is None else tuple(sorted(guest.likes))
        return likes, tuple(sorted(guest.macs)), self._met(guest), host, by_name

    def has(self, host: str, likes: t.Iterable[str]) -> bool:
        """Return whether ``host`` has so many free devices like these."""
        return all(self._free[host][like] >= count for like, count in Counter(likes).items())

    def place_beside(self, guests: t.Iterable[FreeGuest]) -> int:
        """Return how many devices of ``guests`` have a place beside what the plan places, as far as is known, and take these places.

        Where limits were asked for, or a guest is to be apart from others, nothing is said.
        """
        asked = self._case.asked
        if asked.limit is not None or asked.capacity:
            return 0
        for move in self._case.moves:
            like = self._like_of.pop(move.target_key, None)
            if like is not None:
                self._take(move.target_key[0], like)
        placed = 0
        for guest in guests:
            if guest.likes is None or guest.groups:
                continue
            host = next(self.hosts_for(guest), None)
            if host is not None:
                for like in guest.likes:
                    self._take(host, like)
                placed += guest.devices
        return placed

    def _take(self, host: str, like: str) -> None:
        self._free[host][like] -= 1
        if not self._free[host][like]:
            del self._hosts[like][host]
