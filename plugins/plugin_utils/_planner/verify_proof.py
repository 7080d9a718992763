# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What the verifier holds of a proof that some devices have no place, and of the reasons: no free device that is like them is left out. Pure.

A free device that is in all but its place like one of a guest, whose list takes in its like, matches. Others may match as well,
so a proof that nothing here speaks against need not be right; one that something speaks against is wrong.
"""

from __future__ import annotations

import typing as t
from collections import Counter, defaultdict
from operator import attrgetter

from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify_case import (
    WHOLE_PLAN,
    Case,
    Entry,
    Key,
    Objection,
    Objections,
    Rule,
    address_held,
    migration_features,
    name_of,
    place_like,
)

# Reasons that name what a host has, so that there has to be something.
_OF_HARDWARE = frozenset(
    (
        *("driver_version", "major_version", "configuration", "attribute", "target_no_p2p"),
        *(
            "no_list",
            "void_set",
            "unknown_device",
            "taken",
            "capacity_taken",
            "no_capacity",
            "card_full",
        ),
        *("in_use", "holder_unknown", "moves_itself", "mac_address", "queue_assigned"),
        *("other_uuid", "guest_together"),
    )
)
# Reasons that are there only if something was asked for, each with what.
_OF_CONDITIONS = {"limit": "limit", "capacity": "capacity", "apart": "apart"}


class _Guest(t.NamedTuple):
    """A guest that is left behind: what its devices are like, ``None`` where it is not known that their like matches."""

    host: str
    name: str | None
    uuid: str | None
    likes: t.Sequence[str] | None
    macs: t.Collection[str]
    devices: int


def a_proof_leaves_no_place_out(case: Case) -> Objections:
    """Require that no more devices are proven to have no place than those for which nothing is free that is like them.

    Neither for each guest alone, where that is the proof, nor beside all that the plan places.
    """
    bound = case.plan["bound"]
    if case.plan["status"] != "infeasible" or bound is None or not case.is_of_the_occasion:
        return
    proof, shortage = case.plan.get("proof", ()), case.plan["shortage"]
    guests = _left_behind(case)
    places = _Places(case, {like for each in guests for like in each.likes or ()})
    alone = sum(each.devices for each in guests if places.host_for(each) is None)
    missing = shortage["need"] - shortage["reachable"] if shortage and "shortage" in proof else 0
    if "no_place" in proof and bound["unplaced"] > alone + missing:
        yield Objection(
            WHOLE_PLAN,
            f"the bound leaves {bound['unplaced']} devices behind as there is no place for them, and for all but {alone} something is free that is like them",
        )
    beside = places.place_beside(guests)
    if bound["unplaced"] > len(case.unplaced) - beside:
        yield Objection(
            WHOLE_PLAN,
            f"the bound leaves {bound['unplaced']} devices behind, and {beside} of {len(case.unplaced)} have a place beside the rest of the plan",
        )


def _left_behind(case: Case) -> list[_Guest]:
    together = Counter(
        (host, device["in_use"].get("pid"))
        for (host, _id), device in case.every_device()
        if device["kind"] != "vdpa" and device["in_use"]
    )
    of_guest: dict[t.Hashable, list[tuple[Key, Entry, Entry]]] = defaultdict(list)
    for key, stated in zip(case.unplaced, case.plan["unplaced"], strict=True):
        device = case.device(key)
        if device is not None:
            pid = (device["in_use"] or {}).get("pid")
            of_guest[key[0], key[1] if pid is None else pid].append((key, device, stated))
    found = []
    for members in of_guest.values():
        (host, _id), _device, stated = members[0]
        likes = [_like(case, key, device, together) for key, device, _stated in members]
        whole = len(likes) == 1 or not (case.asked.numa_local or case.asked.distinct_gpus)
        known = [each for each in likes if each is not None]
        macs = {mac for _key, device, _stated in members if (mac := address_held(device))}
        found.append(
            _Guest(
                *(host, stated.get("vm"), stated.get("vm_uuid")),
                known if whole and len(known) == len(likes) else None,
                macs,
                len(likes),
            )
        )
    return found


def _like(case: Case, key: Key, device: Entry, together: t.Mapping[t.Any, int]) -> str | None:
    """Return what a free device is like that matches a device; ``None`` where that is not known, or it cannot migrate."""
    descriptor = case.descriptor(key[0], device)
    pid = (device["in_use"] or {}).get("pid")
    several = pid is not None and device["kind"] != "vdpa" and together[key[0], pid] > 1
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


class _Places:
    """What is free on hosts that may receive, and like one of these devices."""

    def __init__(self, case: Case, likes: t.Collection[str]) -> None:
        self._case = case
        receiving = {*case.facts} if case.asked.targets is None else {*case.asked.targets}
        self._free: dict[str, Counter[str]] = {}
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

    def host_for(self, guest: _Guest) -> str | None:
        """Return a host with a free device like each of ``guest``; ``None`` where none is known."""
        if guest.likes is None or any(self._owners[mac] > 1 for mac in guest.macs):
            return None
        needed = Counter(guest.likes)
        rarest = min(needed, key=lambda like: len(self._hosts[like]))
        for host in self._hosts[rarest]:
            if (
                host != guest.host
                and not self._case.is_avoided(host, None, (guest.name, guest.uuid), guest.host)
                and all((host, mac) not in self._held for mac in guest.macs)
                and all(self._free[host][like] >= count for like, count in needed.items())
            ):
                return host
        return None

    def place_beside(self, guests: t.Iterable[_Guest]) -> int:
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
            in_a_group = any(
                each in group for group in asked.apart for each in (guest.name, guest.uuid)
            )
            if guest.likes is None or in_a_group:
                continue
            host = self.host_for(guest)
            if host is not None:
                for like in guest.likes:
                    self._take(host, like)
                placed += guest.devices
        return placed

    def _take(self, host: str, like: str) -> None:
        self._free[host][like] -= 1
        if not self._free[host][like]:
            del self._hosts[like][host]


def reasons_are_of_what_is_there(case: Case) -> Objections:
    """Require that a reason which names devices of a host is of one that has some, and one of a condition of what was asked for."""
    empty: dict[str, bool] = {}
    for key, each in zip(case.unplaced, case.plan["unplaced"], strict=True):
        for reason in each.get("reasons", ()):
            host, code = reason.get("host"), reason.get("code")
            if host in case.facts and host not in empty:
                facts = case.facts[host]
                empty[host] = not facts["devices"] and not facts["parents"]
            if code in _OF_HARDWARE and empty.get(host):
                yield Objection(
                    frozenset([key]),
                    f"{name_of(key)} has the reason {code} on {host}, which has no devices",
                )
            asked = _OF_CONDITIONS.get(code or "")
            if case.is_of_the_occasion and asked and not _was_asked(getattr(case.asked, asked)):
                yield Objection(
                    frozenset([key]),
                    f"{name_of(key)} has the reason {code}, and nothing such was asked for",
                )


def _was_asked(value: t.Any) -> bool:
    """Return whether a condition says something: a limit of 0 does."""
    return value is not None and (isinstance(value, int) or bool(value))


RULES: tuple[Rule, ...] = (
    (attrgetter("unplaced"), a_proof_leaves_no_place_out),
    (attrgetter("unplaced"), reasons_are_of_what_is_there),
)
