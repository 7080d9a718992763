# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plans for vGPUs are carried out on simulated cards, whose driver refuses what does not fit, and held against all others."""

from __future__ import annotations

import copy
import random
import typing as t
from dataclasses import dataclass, field

import pytest
from ansible_collections.vfio.migration.plugins.filter.migration_plan import migration_plan
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import Conditions
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify import violations
from ansible_collections.vfio.migration.tests.unit.cards import (
    CARD,
    OTHER_CARD,
    SIZES,
    function,
    parents,
    typed,
    typeless,
    uuid,
    vgpu,
)
from ansible_collections.vfio.migration.tests.unit.fleets import host
from hypothesis import given
from hypothesis import strategies as st

WHOLE = 48
# Without mdev a type has a number and a name.
NUMBERS = {48: "1158", 24: "1157", 12: "1156", 8: "1155"}
NAMES = {size: f"NVIDIA L40S-{size}Q" for size in SIZES}


@dataclass
class Function:
    """A virtual function: the size of the vGPU that it has, and who holds that; what is ``id`` takes in a guest's vGPU."""

    address: str
    id: str
    size: int | None = None
    holder: str = "free"


@dataclass
class Card:
    """A card as its driver keeps it; in heterogeneous mode it takes several sizes."""

    host: str
    address: str
    heterogeneous: bool
    functions: list[Function] = field(default_factory=list)

    def takes(self, size: int) -> bool:
        there = [each.size for each in self.functions if each.size]
        alike = self.heterogeneous or all(each == size for each in there)
        return alike and sum(there) + size <= WHOLE


def drawn_card(
    chance: random.Random, name: str, address: str, heterogeneous: bool, mdev: bool
) -> Card:
    """Draw a card with devices that are free, held, or held by nobody knows whom."""
    card = Card(name, address, heterogeneous)
    for number in range(chance.randint(1, 6)):
        at = function(address, number)
        found = Function(at, at)
        sizes = [size for size in SIZES if card.takes(size)]
        if sizes and chance.random() < 0.3:
            found.size = chance.choice(sizes)
            found.holder = chance.choice(["free", "held", "unknown"])
            found.id = uuid(chance.getrandbits(32)) if mdev else at
        elif not mdev:
            found.holder = chance.choice(["free", "free", "unknown"])
        card.functions.append(found)
    return card


def with_mdev(card: Card) -> tuple[list[t.Any], list[t.Any]]:
    """Return the devices and parents of a card whose functions are parents."""
    devices = []
    for number, each in enumerate(card.functions):
        if each.size:
            device = vgpu(number, each.size, parent=each.address)
            devices.append({**device, "id": each.id, "in_use": holder_of(each)})
    found = parents(card.address, len(card.functions))
    for each, parent in zip(card.functions, found):
        for size, offered in zip(sorted(SIZES), parent["types"]):
            offered["available_instances"] = int(each.size is None and card.takes(size))
    return devices, found


def without_mdev(card: Card) -> tuple[list[t.Any], list[t.Any]]:
    """Return the devices of a card whose functions are given types."""
    choices = {NUMBERS[size]: NAMES[size] for size in SIZES if card.takes(size)}
    devices = []
    for number, each in enumerate(card.functions):
        device = (
            typed(number, NUMBERS[each.size], card=card.address)
            if each.size
            else typeless(number, choices, card=card.address)
        )
        devices.append({**device, "in_use": holder_of(each)})
    return devices, []


def holder_of(each: Function) -> dict[str, t.Any] | None:
    if each.holder == "free":
        return None
    return {"pid": 77, "name": "held"} if each.holder == "held" else {"pid": None, "name": None}


def carry_out(plan: t.Any, cards: list[Card], sizes: t.Mapping[str, int]) -> None:
    """Make what a plan has made, on copies of the cards; their driver refuses what does not fit."""
    cards = copy.deepcopy(cards)
    for placement in plan["placements"]:
        target, size = placement["target"], sizes[placement["source"]["id"]]
        wanted = target["parent"] if target["create"] else target["id"]
        ((card, each),) = [
            (card, each)
            for card in cards
            for each in card.functions
            if card.host == target["host"] and wanted in (each.id, each.address)
            if target["create"] or each.id == wanted
        ]
        assert each.holder == "free"
        if each.size is None:
            assert card.takes(size), "the driver refuses it"
            each.size = size
        assert each.size == size
        each.holder = "taken"


def most_placed(guests: list[list[int]], cards: list[Card], distinct: bool) -> int:
    """Return how many devices find a place at most, if those of unknown holders are free: all is tried."""
    if not guests:
        return 0
    first, *others = guests
    best = most_placed(others, cards, distinct)
    for name in {card.host for card in cards}:
        for _taken in placed(first, [card for card in cards if card.host == name], distinct):
            best = max(best, len(first) + most_placed(others, cards, distinct))
            if best == sum(map(len, guests)):
                return best
    return best


def placed(sizes: list[int], cards: list[Card], distinct: bool) -> t.Iterator[None]:
    """Place the vGPUs of a guest on the cards of one host in each way, and take them away again."""
    if not sizes:
        yield
        return
    size, *others = sizes
    for card in cards:
        tried = set()
        for each in card.functions:
            before = each.size, each.holder
            free = each.holder in ("free", "unknown") and before not in tried
            if free and (each.size == size or (each.size is None and card.takes(size))):
                tried.add(before)
                each.size, each.holder = size, "taken"
                rest = [other for other in cards if other is not card] if distinct else cards
                yield from placed(others, rest, distinct)
                each.size, each.holder = before


@pytest.mark.parametrize("mdev", [True, False])
@given(st.randoms(use_true_random=False))
def test_the_driver_takes_what_is_planned_and_what_is_proven_is_so(mdev, chance):
    heterogeneous = chance.random() < 0.3
    cards = [
        drawn_card(chance, name, address, heterogeneous, mdev)
        for name in "bc"[: chance.randint(1, 2)]
        for address in (CARD, OTHER_CARD)[: chance.randint(1, 2)]
    ]
    guests = [
        [chance.choice([*SIZES])] * chance.choice([1, 1, 2])
        for _guest in range(chance.randint(1, 3))
    ]
    wanted = [(guest, size) for guest, sizes in enumerate(guests) for size in sizes]
    devices = [
        vgpu(number, size, parent=function(CARD, number), vm=f"vm-{guest}", pid=500 + guest)
        if mdev
        else typed(number, NUMBERS[size], vm=f"vm-{guest}", pid=500 + guest)
        for number, (guest, size) in enumerate(wanted)
    ]
    sizes = {device["id"]: size for device, (_guest, size) in zip(devices, wanted)}
    fleet = {"a": host(devices)}
    for name in sorted({card.host for card in cards}):
        there = [(with_mdev if mdev else without_mdev)(card) for card in cards if card.host == name]
        fleet[name] = host(
            [each for found, _parents in there for each in found],
            [each for _found, found in there for each in found],
        )
    distinct = chance.random() < 0.4
    plan = migration_plan(fleet, drain=["a"], distinct_gpus=distinct)
    asked = Conditions(drain=["a"], distinct_gpus=distinct)
    assert violations(plan, fleet, asked) == []
    carry_out(plan, cards, sizes)
    proven = plan["bound"]["unplaced"] if plan["bound"] else 0
    assert (plan["status"] == "infeasible") == bool(proven)
    if proven:
        assert proven <= len(wanted) - most_placed(guests, cards, distinct)
