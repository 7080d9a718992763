# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Where the guests go that have no assigned devices, once those that have some have their places. Pure."""

from __future__ import annotations

import typing as t
from collections import defaultdict

from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.checks import (
    Case,
    missing_on,
    shown_misfits,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.guests import Guest
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.info import (
    GuestInfo,
    HostInfo,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.memory import free, need
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.summary import first_of

# A guest by its host and name.
Key = tuple[str, str]


class Places(t.NamedTuple):
    """The targets of guests without devices, and why the others have none."""

    targets: dict[Key, str]
    reasons: dict[Key, str]


def place_without_devices(
    case: Case,
    guests: t.Iterable[Guest],
    targets: t.Sequence[str],
    planned: t.Mapping[Key, str],
) -> Places:
    """Return where ``guests`` go among ``targets``, whose memory those that are ``planned`` to come there have first.

    The greatest are placed first, each on the first host that lacks nothing for it and has the memory (first fit decreasing,
    Johnson 1973).
    """
    known = {key_of(guest): guest for guest in case.guests}
    room = _Memory(case)
    names = {(target, vm) for (_host, vm), target in planned.items()}
    for key, target in planned.items():
        info = case.info(known[key]) if key in known else None
        if info is not None:
            room.take(target, info)
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
            room.take(host, info)
            names.add((host, guest["vm"]))
            places.targets[key_of(guest)] = host
    return places


def key_of(guest: Guest) -> Key:
    """Return what a guest of a host is known by."""
    return str(guest["host"]), guest["vm"]


def _kib(info: GuestInfo | None) -> int:
    return info["memory"] if info is not None else 0


def _first_fit(
    case: Case,
    guest: Guest,
    info: GuestInfo | None,
    targets: t.Iterable[str],
    room: _Memory,
) -> tuple[str | None, list[str]]:
    """Return the first of ``targets`` that can take a guest, or ``None`` and what each of them lacks."""
    if info is None:
        return None, ["it does not run any more"]
    lacking: list[str] = []
    for host in targets:
        if host == guest["host"]:
            continue
        missing = shown_misfits(host, missing_on(case, guest, host))
        short = missing or room.shortage(host, info)
        if not short:
            return host, []
        lacking += short
    return None, lacking


class _Memory:
    """The memory that hosts have left, by what it is taken from."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._taken: dict[tuple[str, tuple[int, ...]], int] = defaultdict(int)

    def shortage(self, host: str, guest: GuestInfo) -> list[str]:
        """Return what a host has too little of for a guest, nothing where it has enough, or does not say."""
        there = self._there(host)
        if there is None:
            return []
        needed = need(guest, there)
        left = max(0, free(there, needed.sizes) - self._taken[host, needed.sizes])
        if needed.kib <= left:
            return []
        return [
            f"{host} has {left} KiB of {needed.source} left, and it needs {needed.kib}; free some there"
        ]

    def take(self, host: str, guest: GuestInfo) -> None:
        """Let a guest have its memory on a host."""
        there = self._there(host)
        if there is not None:
            needed = need(guest, there)
            self._taken[host, needed.sizes] += needed.kib

    def _there(self, host: str) -> HostInfo | None:
        return self._case.hosts[host].info if host in self._case.hosts else None
