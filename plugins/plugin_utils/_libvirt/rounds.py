# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Which guests migrate at the same time. Pure."""

from __future__ import annotations

import typing as t
from collections import defaultdict
from itertools import chain, zip_longest

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
    """Rounds of migrations that go at the same time, and who does not go now.

    ``waiting`` go in a later wave of the plan, when those of the first one have moved. ``ended`` are the placements of guests
    that have ended since they were chosen.
    """

    rounds: list[list[Migration]]
    waiting: list[Migration]
    ended: list[Placement]


def plan_rounds(
    placements: t.Iterable[Placement],
    guests: t.Iterable[Guest],
    parallel: int,
    placed: t.Mapping[tuple[str, str], str] | None = None,
) -> Migrations:
    """Return who migrates when: in a round one guest leaves a host, one comes to a host, and ``parallel`` go at most.

    Two that come to one host could each find the memory there that is enough for one. A placement of a guest that is none
    of ``guests`` is told as that of one that has ended: its device was released since, or somebody else holds it.
    ``placed`` has the targets of guests without devices, by host and name; of a host they go last, and wait for nobody. The
    rounds are found first fit, the hosts' first guests before their second ones. They are those of the first wave that there
    is: who goes after it takes what one of its guests leaves, or must not meet it, and so waits for what becomes of it.
    """
    known = {(guest["host"], guest["vm"]): guest for guest in guests}
    moves: dict[str, dict[str, list[Placement]]] = defaultdict(lambda: defaultdict(list))
    ended = []
    for placement in placements:
        host, vm = placement["source"]["host"], placement["vm"]
        if vm is not None and (host, vm) in known:
            moves[host][vm].append(placement)
        else:
            ended.append(placement)
    going: dict[str, list[Migration]] = defaultdict(list)
    for host in sorted(moves):
        for vm, found in sorted(moves[host].items()):
            going[host].append(_migration(known[host, vm], found[0]["target"]["host"], found))
    for key, target in sorted((placed or {}).items()):
        going[key[0]].append(_migration(known[key], target, []))
    queues = [going[host] for host in sorted(going)]
    first = min((_wave(each) for each in chain(*queues) if each["placements"]), default=1)
    rounds: list[list[Migration]] = []
    waiting = []
    for turn in zip_longest(*queues):
        for migration in filter(None, turn):
            if _wave(migration) <= first:
                _add(rounds, migration, parallel)
            else:
                waiting.append(migration)
    return Migrations(rounds=rounds, waiting=waiting, ended=ended)


def _wave(migration: Migration) -> int:
    return max((each.get("wave", 1) for each in migration["placements"]), default=1)


def _migration(guest: Guest, target: str, placements: list[Placement]) -> Migration:
    return Migration(
        vm=guest["vm"],
        host=str(guest["host"]),
        uuid=guest["uuid"],
        persistent=guest["persistent"],
        target=target,
        placements=placements,
    )


def _add(rounds: list[list[Migration]], migration: Migration, parallel: int) -> None:
    """Add ``migration`` to the first round that has room for it, or a new one."""
    for each in rounds:
        hosts = {other["host"] for other in each}
        targets = {other["target"] for other in each}
        if (
            len(each) < parallel
            and migration["host"] not in hosts
            and migration["target"] not in targets
        ):
            each.append(migration)
            return
    rounds.append([migration])
