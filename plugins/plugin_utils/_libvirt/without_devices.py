# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Where the guests go that have no assigned devices, once those that have some have their places. Pure."""

from __future__ import annotations

import typing as t
from collections import Counter, defaultdict
from dataclasses import replace

from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.checks import (
    MigrationCase,
    host_infos,
    missing_on,
    name_in_plan,
    shown_misfits,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.guests import Guest
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.info import GuestInfo
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.memory import (
    ArrivingGuest,
    with_memory,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.summary import first_of

# A guest by its host and name.
Key = tuple[str, str]


class Places(t.NamedTuple):
    """The targets of guests without devices, and why the others have none."""

    targets: dict[Key, str]
    reasons: dict[Key, str]


def place_without_devices(
    case: MigrationCase,
    guests: t.Iterable[Guest],
    targets: t.Sequence[str],
    planned: t.Mapping[Key, str],
) -> Places:
    """Return where ``guests`` go among ``targets``, whose memory, and what else was stated, those that are ``planned`` to come have first.

    The greatest are placed first, each on the first host that lacks nothing for it and has the memory (first fit decreasing,
    Johnson 1973).
    """
    known = {key_of(guest): guest for guest in case.guests}
    guests = [*guests]
    coming = [known[key] for key in planned if key in known]
    room = _Left(case, [*coming, *guests], targets)
    names = {(target, vm) for (_host, vm), target in planned.items()}
    for key, target in planned.items():
        if key in known:
            room.take(target, known[key])
    places = Places({}, {})
    infos = [(case.info(guest), guest) for guest in guests]
    for info, guest in sorted(infos, key=lambda each: (-_kib(each[0]), *key_of(each[1]))):
        free = [host for host in targets if (host, guest["vm"]) not in names]
        host, why = _first_fit(case, guest, info, free, room)
        why += [
            f"{host} gets another guest of this name"
            for host in targets
            if host not in free and host != guest["host"]
        ]
        if host is None or info is None:
            lacking = "; ".join(first_of(why, "reason")) or "there is none but its own"
            places.reasons[key_of(guest)] = f"no host can take it: {lacking}"
        else:
            room.take(host, guest)
            names.add((host, guest["vm"]))
            places.targets[key_of(guest)] = host
    return places


def key_of(guest: Guest) -> Key:
    """Return what a guest of a host is known by."""
    return str(guest["host"]), guest["vm"]


def _kib(info: GuestInfo | None) -> int:
    return info["memory"] if info is not None else 0


def _first_fit(
    case: MigrationCase,
    guest: Guest,
    info: GuestInfo | None,
    targets: t.Iterable[str],
    room: _Left,
) -> tuple[str | None, list[str]]:
    """Return the first of ``targets`` that can take a guest, or ``None`` and what each of them lacks."""
    if info is None:
        return None, ["it does not run any more"]
    lacking: list[str] = []
    for host in targets:
        if host == guest["host"]:
            continue
        missing = shown_misfits(host, missing_on(case, guest, host))
        short = missing or [*room.shortage(host, guest)]
        if not short:
            return host, []
        lacking += short
    return None, lacking


class _Left:
    """What hosts have left of what guests take beside devices."""

    def __init__(
        self, case: MigrationCase, guests: t.Iterable[Guest], targets: t.Iterable[str]
    ) -> None:
        coming = [
            ArrivingGuest(info, name_in_plan(case, each))
            for each in guests
            if (info := case.info(each))
        ]
        capacity = with_memory(case.stated, coming, host_infos(case, targets), only_scarce=False)
        self._conditions = replace(case.stated, capacity=capacity)
        self._taken: dict[str, Counter[str]] = defaultdict(Counter)

    def shortage(self, host: str, guest: Guest) -> t.Iterator[str]:
        """Yield what a host has too little of for a guest, or is not said to have."""
        there = self._conditions.capacity.get("hosts", {}).get(host, {})
        for name, needed in self._needs(guest):
            if needed and name not in there:
                yield f"it is not stated how much {name} {host} has free, and it needs {needed}"
                continue
            left = max(0, there.get(name, 0) - self._taken[host][name])
            spare = self._conditions.spare_of(name)
            if needed and needed + spare > left:
                kept = f" beside {spare} that is to be spare" if spare else ""
                yield f"{host} has {left} {name} left, and it needs {needed}{kept}; free some there"

    def take(self, host: str, guest: Guest) -> None:
        """Let a guest have what it takes of a host."""
        self._taken[host].update(dict(self._needs(guest)))

    def _needs(self, guest: Guest) -> t.Iterable[tuple[str, int]]:
        return sorted(self._conditions.needs_of(guest["vm"], guest["uuid"]).items())
