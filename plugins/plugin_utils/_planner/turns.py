# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Turns: which guests of a wave move at the same time, where only so many may on a host or over a link. Pure.

Moves are the edges of a multigraph of hosts, and turns their colours. They are coloured greedily, those with the busiest ends
first: list scheduling by R. L. Graham ("Bounds on multiprocessing timing anomalies", 1969). A host or link with ``n`` moves, of
which ``k`` may be made at a time, takes ``n / k`` turns at least. As a move is kept off a turn only by a host or a link that is
full in it, there are no more turns than all that one move uses take together.
"""

from __future__ import annotations

import typing as t
from collections import Counter, defaultdict

from ansible_collections.vfio.migration.plugins.plugin_utils import contract
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import Device

# A host or a link, by its kind and name.
Passage = tuple[str, str]
Moves = t.Sequence[tuple[contract.Placement, Device]]


class PassageLimits:
    """How many guests may move at a time from or to a host, and over a link: the condition ``concurrent_moves``."""

    def __init__(self, concurrent: contract.ConcurrentMoves) -> None:
        self._of_any: int | None = concurrent.get("host")
        self._of_host: t.Mapping[str, int] = concurrent.get("hosts", {})
        links = concurrent.get("links", {})
        self._moves = {name: link["moves"] for name, link in links.items()}
        self._links_of: dict[str, set[str]] = defaultdict(set)
        for name, link in links.items():
            for host in link["hosts"]:
                self._links_of[host].add(name)

    def of(self, source: str, target: str) -> dict[Passage, int]:
        """Return what a move between two hosts uses that has a limit, with this limit: a link if one end alone is behind it."""
        found: dict[Passage, int] = {}
        for host in (source, target):
            most = self._of_host.get(host, self._of_any)
            if most is not None:
                found["host", host] = most
        one, other = (self._links_of.get(host, set()) for host in (source, target))
        return found | {("link", name): self._moves[name] for name in sorted(one ^ other)}


def with_turns(moves: Moves, concurrent: contract.ConcurrentMoves) -> list[contract.Placement]:
    """Return the placements, each with its turn in its wave where ``concurrent`` moves are limited; the devices of a guest have one turn."""
    placements = [placement for placement, _source in moves]
    if not concurrent:
        return placements
    limits = PassageLimits(concurrent)
    waves: dict[int, dict[t.Hashable, list[int]]] = defaultdict(lambda: defaultdict(list))
    for number, (placement, source) in enumerate(moves):
        waves[placement["wave"]][_guest_of(source)].append(number)
    turns: dict[int, int] = {}
    for guests in waves.values():
        ends = [placements[numbers[0]] for numbers in guests.values()]
        ways = [limits.of(each["source"]["host"], each["target"]["host"]) for each in ends]
        for numbers, turn in zip(guests.values(), turns_of(ways), strict=True):
            turns.update(dict.fromkeys(numbers, turn))
    return [{**each, "turn": turns[number]} for number, each in enumerate(placements)]


def turns_of(moves: t.Sequence[t.Mapping[Passage, int]]) -> list[int]:
    """Return the turn of each move, from 1, given what each uses, with how many moves may use that at a time."""
    used = Counter(passage for move in moves for passage in move)
    busiest = [
        max((-(-used[passage] // most) for passage, most in move.items()), default=0)
        for move in moves
    ]
    # Moves that use the same take turns with others first.
    rounds: Counter[frozenset[Passage]] = Counter()
    ranks = []
    for number, move in enumerate(moves):
        alike = frozenset(move)
        ranks.append((-busiest[number], rounds[alike], number))
        rounds[alike] += 1
    found = [1] * len(moves)
    taken: Counter[tuple[Passage, int]] = Counter()
    # By passage, where a turn is full, one that may have place after it.
    after: dict[Passage, dict[int, int]] = defaultdict(dict)
    for _busiest, _round, number in sorted(ranks):
        turn, later = 0, 1
        while turn < later:
            turn = later
            later = max(
                (_first_open(after[passage], turn) for passage in moves[number]), default=turn
            )
        found[number] = turn
        for passage, most in moves[number].items():
            taken[passage, turn] += 1
            if taken[passage, turn] == most:
                after[passage][turn] = turn + 1
    return found


def _first_open(after: dict[int, int], turn: int) -> int:
    """Return the first turn that is not full, from ``turn`` on; the way there is shortened, as in disjoint sets."""
    passed = []
    while turn in after:
        passed.append(turn)
        turn = after[turn]
    after.update(dict.fromkeys(passed, turn))
    return turn


def _guest_of(source: Device) -> t.Hashable:
    """Return what the devices of one guest have in common."""
    pid = source.in_use.pid if source.in_use is not None else None
    return source.key if pid is None else (source.host, pid)


def turns_in_words(plan: contract.Plan | contract.PlanBody) -> list[str]:
    """Return how many turns the moves of a plan take, and what makes them as many; nothing where none waits for another one's turn."""
    concurrent: t.Any = t.cast("t.Any", plan).get("conditions", {}).get("concurrent_moves")
    waves: dict[int, dict[t.Hashable, contract.Placement]] = defaultdict(dict)
    for each in plan["placements"] if concurrent else ():
        # Of several guests that nothing distinguishes in one turn, one counts: there are no fewer.
        ends = each["source"]["host"], each["target"]["host"], each.get("turn")
        waves[each["wave"]][ends, each["vm"], each.get("vm_uuid")] = each
    sentences = []
    for wave, guests in sorted(waves.items()):
        turns = max(each.get("turn", 1) for each in guests.values())
        if turns > 1:
            where = f" of wave {wave}" if len(waves) > 1 else ""
            sentences.append(
                f"the moves{where} take {turns:,} turns, {_why(PassageLimits(concurrent), guests.values())}"
            )
    return sentences


def _why(limits: PassageLimits, moves: t.Iterable[contract.Placement]) -> str:
    """Return how many turns moves take at least, and on which host or link."""
    used: Counter[Passage] = Counter()
    most: dict[Passage, int] = {}
    for each in moves:
        of_move = limits.of(each["source"]["host"], each["target"]["host"])
        most |= of_move
        used.update(of_move.keys())
    turns = {passage: -(-count // most[passage]) for passage, count in used.items()}
    least, (kind, name) = max(turns.values()), max(sorted(turns), key=turns.__getitem__)
    where = f"over the link {name}" if kind == "link" else f"from or to {name}"
    return f"and no fewer than {least:,}, as {most[kind, name]:,} may move {where} at a time"
