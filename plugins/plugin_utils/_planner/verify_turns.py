# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What the verifiers of plans and of maintenance ask of the turns in which guests move. Pure."""

from __future__ import annotations

import typing as t
from collections import defaultdict

_Way = tuple[str, int]


class MoveTurn(t.NamedTuple):
    """When a device moves, and between which hosts; ``turn`` is as a plan states it."""

    wave: int
    turn: t.Any
    source: str
    target: str


def turns_amiss(
    moves: t.Mapping[t.Hashable, t.Sequence[MoveTurn]], concurrent: t.Mapping[str, t.Any]
) -> t.Iterator[tuple[list[t.Hashable], str]]:
    """Yield what is wrong with the turns of ``moves``, by guest, and the guests concerned, none where it is the whole.

    The devices of a guest have one turn, the turns of a wave count from 1, and no more guests move in one from or to a host, or
    over a link, than the condition ``concurrent_moves`` allows.
    """
    waves: dict[int, dict[t.Hashable, set[t.Any]]] = defaultdict(lambda: defaultdict(set))
    for guest, devices in moves.items():
        for each in devices:
            waves[each.wave][guest].add(each.turn)
    for wave, guests in waves.items():
        if any(len(found) > 1 or None in found for found in guests.values()):
            yield [], f"guests of wave {wave} have no turn, or several"
            continue
        of_guest = {guest: turn for guest, found in guests.items() for turn in found}
        numbers = {*of_guest.values()}
        if numbers != {*range(1, len(numbers) + 1)}:
            yield [], f"the turns of wave {wave} do not count from 1"
        used: dict[tuple[int, str], list[t.Hashable]] = defaultdict(list)
        most: dict[tuple[int, str], int] = {}
        for mover, turn in of_guest.items():
            for way, limit in _ways(concurrent, moves[mover][0]):
                used[turn, way].append(mover)
                most[turn, way] = limit
        for key, found in used.items():
            if len(found) > most[key]:
                yield (
                    found,
                    f"{len(found)} guests move {key[1]} in turn {key[0]} of wave {wave}, and {most[key]} may at a time",
                )


def _ways(concurrent: t.Mapping[str, t.Any], move: MoveTurn) -> t.Iterator[_Way]:
    """Yield in words what a move uses of which only so many guests may move at a time."""
    limits: dict[str, t.Any] = {"host": None, "hosts": {}, "links": {}, **concurrent}
    ends = {move.source, move.target}
    for host in (move.source, move.target):
        most = limits["hosts"].get(host, limits["host"])
        if most is not None:
            yield f"from or to {host}", most
    for name, link in limits["links"].items():
        if len(ends.intersection(link["hosts"])) == 1:
            yield f"over the link {name}", link["moves"]
