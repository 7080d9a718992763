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
    "placements": (worse, "guests move, and that makes nothing better"),
    "sources": (
        lambda found: found["plan"]["placements"][0]["source"].update(host="b"),
        "is not in use",
    ),
}
# Who has two functions needs the one that the guest of b leaves.
SPLIT = {
    "a": host(
        [vf(0, "vm-two", pid=1), vf(1, "vm-two", pid=1), *(vf(n, f"vm-{n}") for n in (2, 3))]
    ),
    "b": host([vf(0, "vm-b"), vf(1)]),
    "c": host([vf(0, kind="w"), vf(1)]),
}
for _each in SPLIT["a"]["devices"][2:]:
    _each["migration"] = {**_each["migration"], "supported": False}
IN_WAVES: t.Any = rebalance_for(SPLIT, 2, reuse=True)


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


# Three hosts of eight functions, on each of which two are free.
PARTLY_FREE = {
    name: host([vf(number, f"vm-{name}{number}" if number < 6 else None) for number in range(8)])
    for name in "abc"
}
LARGER: t.Any = rebalance_for(PARTLY_FREE, 3, measure="largest", device_type="v")


def test_places_of_a_type_are_counted_from_facts():
    assert (LARGER["before"], LARGER["after"]) == (2, 5)
    assert LARGER["hosts_with_places"] == {"before": 3, "after": 1, "bound": 1}
    assert rebalance_objections(LARGER, PARTLY_FREE) == []


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ({"before": 1}, "before is 1 on hosts: 3, and it comes to 2 on hosts: 3"),
        ({"after": 6}, "after is 6 on hosts: 1, and it comes to 5 on hosts: 1"),
        ({"bound": 4}, "status is optimal with the bound 4 on hosts: 1"),
        ({"bound": 6}, "status is optimal with the bound 6 on hosts: 1"),
        ({"device_type": "w"}, "before is 2 on hosts: 3, and it comes to 0 on hosts: 0"),
        ({"hosts_with_places": None}, "hosts have places by another measure, or by none"),
        ({"measure": "even"}, "hosts have places by another measure, or by none"),
        (
            {"hosts_with_places": {"before": 3, "after": 2, "bound": 1}},
            "after is 5 on hosts: 2, and it comes to 5 on hosts: 1",
        ),
        (
            {"hosts_with_places": {"before": 3, "after": 1, "bound": 2}},
            "status is optimal with the bound 5 on hosts: 2",
        ),
    ],
)
def test_places_that_are_counted_wrong_are_found(damage, message):
    found = {**copy.deepcopy(LARGER), **damage}
    assert message in rebalance_objections(found, PARTLY_FREE)


def test_a_host_that_is_filled_again_is_found():
    found = copy.deepcopy(LARGER)
    for number, each in enumerate(found["plan"]["placements"]):
        each["source"].update(host="abc"[number], id="0000:81:00.0")
        each["target"].update(host="bca"[number], id="0000:81:00.7")
    broken = rebalance_objections(found, PARTLY_FREE)
    assert "guests move, and that makes nothing better" in broken


def test_the_order_of_moves_is_followed_from_facts():
    waves = {each["vm"]: each["wave"] for each in IN_WAVES["plan"]["placements"]}
    assert waves == {"vm-b": 1, "vm-two": 2}
    assert rebalance_objections(IN_WAVES, SPLIT) == []


@pytest.mark.parametrize(
    ("waves", "wave"),
    [({"vm-b": 1, "vm-two": 1}, 1), ({"vm-b": 2, "vm-two": 1}, 1), ({"vm-b": 3, "vm-two": 3}, 3)],
)
def test_a_place_that_is_taken_before_it_is_left_is_found(waves, wave):
    found = copy.deepcopy(IN_WAVES)
    for each in found["plan"]["placements"]:
        each["wave"] = waves[each["vm"]]
    assert f"0000:81:00.0 on b is not free in wave {wave}" in rebalance_objections(found, SPLIT)


def test_a_place_that_two_take_is_found():
    found = copy.deepcopy(IN_WAVES)
    for each in found["plan"]["placements"]:
        each["target"].update(host="c", id="0000:81:00.1")
    broken = rebalance_objections(found, SPLIT)
    assert "0000:81:00.1 on c is not free in wave 2" in broken
