# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Cards in use: a few guests move, so that whole cards become empty. Pure.

A card is what devices have in common: the parent of mediated or vDPA devices, or the physical function of which parents or
devices are virtual ones. A function that is none is a card of its own. A card is in use where a process holds a device of it.

The cards with the fewest guests are emptied first, one after another, as long as all guests of those that are chosen have
places on cards in use. Each time this is one plan for all of them, which the verifier checks.
"""

from __future__ import annotations

import dataclasses
import typing as t
from collections import Counter, defaultdict
from fractions import Fraction

from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import Device
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.effort import Effort
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.movable import (
    Movable,
    Moves,
    Value,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import Avoided
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.solution import Progress
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import Placement

# So many plans are made at most.
PLANS = 200

# A host and what identifies the card there.
_Card = tuple[str, str]


class CardsInUse:
    """The cards of a fleet, with the guests on each."""

    def __init__(self, movable: Movable) -> None:
        self._movable = movable
        # The parents that are the card, or functions of it, by the card.
        self._parents: dict[_Card, set[str]] = defaultdict(set)
        self._of_parent: dict[_Card, _Card] = {}
        for name, host in movable.fleet.hosts.items():
            for parent in host.parents:
                card = (name, parent.card or parent.id)
                self._of_parent[name, parent.id] = card
                self._parents[card].add(parent.id)
        # How many devices of each card processes hold, and the guests that may move, by number.
        self._held: Counter[_Card] = Counter()
        self._guests: dict[_Card, set[int]] = defaultdict(set)
        self._fixed: set[_Card] = set()
        for guest in movable.staying:
            cards = [self._card_of(each) for each in guest.devices]
            self._held.update(cards)
            self._fixed.update(cards)
        self._left: dict[tuple[str, str], _Card] = {}
        for number, guest in enumerate(movable.guests):
            for device in guest.devices:
                card = self._left[device.key] = self._card_of(device)
                self._held[card] += 1
                self._guests[card].add(number)
        under = [each for each in movable.fleet.devices() if each.parent is not None]
        there = {*self._parents, *map(self._card_of, under)}
        self._unused = self._avoided(sorted(there - self._held.keys()))

    def before(self) -> Value:
        """Return how many cards are in use."""
        return (len(self._held),)

    def bound(self) -> Value:
        """Return how many cards are in use at least after so few moves, whichever devices fit.

        A guest on several cards counts for each of them in part: no way to empty so many cards moves fewer guests.
        """
        shares = Counter(number for guests in self._guests.values() for number in guests)
        needed = sorted(
            sum((Fraction(1, shares[number]) for number in guests), Fraction(0))
            for card, guests in self._guests.items()
            if card not in self._fixed
        )
        emptied, moves = 0, Fraction(0)
        for each in needed:
            moves += each
            if moves > self._movable.max_moves:
                break
            emptied += 1
        in_use = len(self._held)
        return (max(in_use - emptied, min(in_use, 1)),)

    def search(self, progress: Progress) -> Moves:
        """Return moves that empty one card after another."""
        chosen: list[_Card] = []
        moving: set[int] = set()
        best = Moves([], [], self.before())
        least = self.bound()
        plans = Effort(PLANS)
        for card in sorted(self._guests.keys() - self._fixed, key=self._rank):
            guests = moving | self._guests[card]
            if len(guests) > self._movable.max_moves:
                continue
            if plans.used_up or best.after == least:
                break
            plans.spend(1)
            progress(f"emptying card {len(chosen) + 1}")
            found = self._emptied([*chosen, card], sorted(guests))
            if found is not None and found.after < best.after:
                chosen.append(card)
                moving, best = guests, found
        return best

    def _rank(self, card: _Card) -> tuple[int, int, _Card]:
        return len(self._guests[card]), self._held[card], card

    def _emptied(self, cards: t.Sequence[_Card], numbers: t.Sequence[int]) -> Moves | None:
        """Return how all guests of these cards move to cards that are in use, if a plan says so."""
        guests = [self._movable.guests[each] for each in numbers]
        fleet = self._movable.fleet
        given = self._movable.conditions
        avoid = {**self._unused, **self._avoided(cards), **given.avoid}
        # Of those that were asked for, the ones that are known.
        conditions = dataclasses.replace(given, avoid=avoid, targets=self._movable.targets)
        answer = self._movable.planned(guests, conditions, sorted(fleet.hosts))
        if answer.plan is None:
            return None
        return Moves(guests, [answer.plan], self.after(answer.plan["placements"]))

    def _avoided(self, cards: t.Iterable[_Card]) -> dict[Avoided, str]:
        """Return the places that cards are, by their own names and those of the parents among their functions."""
        return {
            Avoided(host, name): "it is to be empty"
            for host, card in cards
            for name in (card, *sorted(self._parents.get((host, card), ())))
        }

    def after(self, placements: t.Sequence[Placement]) -> Value:
        """Return how many cards are in use once these moves are made."""
        held = self._held.copy()
        sources = [each["source"] for each in placements]
        held.subtract(self._left[each["host"], each["id"]] for each in sources)
        targets = [each["target"] for each in placements]
        held.update(self._card(each["host"], each["parent"], each["id"]) for each in targets)
        return (len(+held),)

    def _card_of(self, device: Device) -> _Card:
        return self._card(device.host, device.parent, device.id)

    def _card(self, host: str, parent: str | None, name: str) -> _Card:
        place = (host, parent or name)
        return self._of_parent.get(place, place)
