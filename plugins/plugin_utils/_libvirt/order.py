# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""In which order guests migrate. Pure."""

from __future__ import annotations

import typing as t
from collections import defaultdict

from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.guests import Guest
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import Placement


class Migration(t.TypedDict):
    """A guest that moves with all its devices; ``placements`` are those of the plan, none where it has no devices."""

    vm: str
    host: str
    uuid: str | None
    persistent: bool
    target: str
    placements: list[Placement]


class Migrations(t.TypedDict):
    """The guests that go, the first one first, and those that do not go now.

    ``waiting`` go in a later wave of the plan, when those of the first one have moved. ``ended`` are the placements of guests
    that have ended since they were chosen.
    """

    going: list[Migration]
    waiting: list[Migration]
    ended: list[Placement]


def order_migrations(
    placements: t.Iterable[Placement],
    guests: t.Iterable[Guest],
    priority: t.Mapping[str, int] | None = None,
    placed: t.Mapping[tuple[str, str], str] | None = None,
) -> Migrations:
    """Return who migrates, in the order in which they are to begin.

    Those of a higher ``priority`` go first, by a guest's UUID or name, 0 where it has neither; of equal ones those with
    devices before those without, and then the one with less memory. A placement of a guest that is none of ``guests`` is returned
    as that of one that has ended: its device was released since, or another process holds it. ``placed`` has the targets of
    guests without devices, by host and name; they wait for no wave. Of the others those of the first wave go that there is: who
    goes after it takes what one of its guests leaves, or must not meet it, and so waits for its outcome.
    """
    known = {(guest["host"], guest["vm"]): guest for guest in guests}
    moves: dict[tuple[str, str], list[Placement]] = defaultdict(list)
    ended = []
    for placement in placements:
        host, vm = placement["source"]["host"], placement["vm"]
        if vm is not None and (host, vm) in known:
            moves[host, vm].append(placement)
        else:
            ended.append(placement)
    first = min((_wave(found) for found in moves.values()), default=1)
    targets = {key: found[0]["target"]["host"] for key, found in moves.items()}
    targets.update(placed or {})
    going: list[Migration] = []
    waiting: list[Migration] = []
    for key in sorted(targets, key=lambda key: _rank(known[key], priority or {})):
        found = moves.get(key, [])
        there = waiting if found and _wave(found) > first else going
        there.append(_migration(known[key], targets[key], found))
    return Migrations(going=going, waiting=waiting, ended=ended)


def _rank(guest: Guest, priority: t.Mapping[str, int]) -> tuple[int, bool, int, str, str]:
    own = priority.get(guest["uuid"] or "", priority.get(guest["vm"], 0))
    return -own, not guest["kinds"], guest["memory"], str(guest["host"]), guest["vm"]


def _wave(placements: t.Iterable[Placement]) -> int:
    return max(each.get("wave", 1) for each in placements)


def _migration(guest: Guest, target: str, placements: list[Placement]) -> Migration:
    return Migration(
        vm=guest["vm"],
        host=str(guest["host"]),
        uuid=guest["uuid"],
        persistent=guest["persistent"],
        target=target,
        placements=placements,
    )
