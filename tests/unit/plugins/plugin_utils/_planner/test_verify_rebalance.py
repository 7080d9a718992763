# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The verifier of rebalancing finds what is counted wrong."""

from __future__ import annotations

import copy
import typing as t

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify_rebalance import (
    rebalance_objections,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.rebalance_options import (
    rebalance_for,
)
from ansible_collections.vfio.migration.tests.unit.fleets import host, vf

FACTS = {
    "a": host([vf(number, f"vm-{number}") for number in range(4)]),
    "b": host([vf(number) for number in range(4)]),
}
SOUND: t.Any = rebalance_for(FACTS, 2)
# Two cards with a guest each, and one with two guests and room.
CARDS = {
    **{name: host([vf(0, f"vm-{name}")]) for name in "ab"},
    "c": host([*(vf(number, f"vm-{number}") for number in range(2)), vf(2), vf(3)]),
}
EMPTIED: t.Any = rebalance_for(CARDS, 2, measure="cards")


def worse(found: t.Any) -> None:
    for each in found["plan"]["placements"]:
        each["target"]["host"] = "a"


FAULTS: dict[str, tuple[t.Callable[[t.Any], t.Any], str]] = {
    "before": (lambda found: found.update(before=17), "before is 17, and it comes to 16"),
    "after": (lambda found: found.update(after=7), "after is 7, and it comes to 8"),
    "moves": (lambda found: found.update(moves=1), "moves is 1, and it comes to 2"),
    "max_moves": (lambda found: found.update(max_moves=1), "2 guests move, and 1 may"),
    "loads": (lambda found: found["loads"].pop(), "the loads are others"),
    "bound": (lambda found: found.update(bound=7), "status is optimal with the bound 7"),
    "status": (lambda found: found.update(status="feasible"), "status is feasible with the bound"),
    "placements": (worse, "guests move, and that makes nothing less"),
    "sources": (
        lambda found: found["plan"]["placements"][0]["source"].update(host="b"),
        "is held by nobody",
    ),
}


def test_a_sound_one_breaks_nothing():
    assert rebalance_objections(SOUND, FACTS) == []


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_found(fault):
    damage, message = FAULTS[fault]
    found = copy.deepcopy(SOUND)
    damage(found)
    assert any(message in each for each in rebalance_objections(found, FACTS))


def test_cards_in_use_are_counted_from_facts():
    assert (EMPTIED["before"], EMPTIED["after"]) == (3, 1)
    assert rebalance_objections(EMPTIED, CARDS) == []


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ({"before": 4}, "before is 4, and it comes to 3"),
        ({"after": 2}, "after is 2, and it comes to 1"),
        ({"bound": 2}, "status is optimal with the bound 2"),
        ({"measure": "even"}, "before is 3, and it comes to 6"),
    ],
)
def test_cards_that_are_counted_wrong_are_found(damage, message):
    found = {**copy.deepcopy(EMPTIED), **damage}
    assert any(message in each for each in rebalance_objections(found, CARDS))


def test_a_card_that_is_opened_instead_is_found():
    found = copy.deepcopy(EMPTIED)
    for number, each in enumerate(found["plan"]["placements"]):
        each["target"]["parent"] = f"0000:82:00.{number}"
    assert "after is 1, and it comes to 3" in rebalance_objections(found, CARDS)
