# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Emptying cards: the few moves after which fewer are in use, beside all that there could be."""

from __future__ import annotations

import itertools
import random
import typing as t
from collections import Counter

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import read_fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.rebalance import (
    rebalance_plan,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import Conditions
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify import violations
from ansible_collections.vfio.migration.tests.unit.drawn_fleets import drawn, of_a_search
from ansible_collections.vfio.migration.tests.unit.fleets import (
    UUIDS,
    device,
    host,
    parent,
    vf,
)
from hypothesis import event, given
from hypothesis import strategies as st

Facts = dict[str, t.Any]
CARDS = ("0000:81:00.0", "0000:82:00.0")


def planned(facts: Facts, max_moves: int, conditions: Conditions | None = None) -> t.Any:
    return rebalance_plan(read_fleet(facts), max_moves, conditions or Conditions(), measure="cards")


def on_card(number: int, vm: str | None = None, card: int = 0, **others: t.Any) -> t.Any:
    """Return a function of one of two cards of a host."""
    made = vf(number, vm, parent=CARDS[card], **others)
    return {**made, "id": made["id"].replace("0000:81", f"0000:8{card + 1}")}


# --- beside all that there could be ---


def tiny(chance: random.Random) -> Facts:
    """Draw hosts with two cards, whose guests have one to three functions."""
    pids = itertools.count(1)
    facts = {}
    for name in "abc"[: chance.randint(2, 3)]:
        places = [(card, number) for card in range(2) for number in range(chance.randint(0, 3))]
        chance.shuffle(places)
        devices = []
        while places:
            size = min(len(places), chance.choice((1, 1, 1, 2, 3)))
            pid = next(pids) if chance.random() < 0.5 else None
            for card, number in places[:size]:
                held = {"vm": f"vm-{pid}", "pid": pid} if pid else {}
                devices.append(on_card(number, card=card, **held))
            del places[:size]
        facts[name] = host(sorted(devices, key=lambda each: each["id"]))
    return facts


def fewest(facts: Facts, max_moves: int) -> int:
    """Return how many cards are in use at least after so many moves, of all ways to make them."""
    guests: dict[str, list[tuple[str, str]]] = {}
    free: Counter[tuple[str, str]] = Counter()
    for name, each in facts.items():
        for found in each["devices"]:
            card = (name, found["parent"])
            if found["in_use"]:
                guests.setdefault(found["in_use"]["name"], []).append(card)
            else:
                free[card] += 1
    ways = []
    for held in guests.values():
        # A guest stays, or all of its functions go to free ones of one other host.
        elsewhere = [
            [*each]
            for name in facts
            if name != held[0][0]
            for each in itertools.combinations_with_replacement(
                [card for card in sorted(free) if card[0] == name], len(held)
            )
        ]
        ways.append([held, *elsewhere])
    least = 6
    for chosen in itertools.product(*ways):
        moved = [each for each, held in zip(chosen, guests.values()) if each is not held]
        taken = Counter(card for each in moved for card in each)
        if len(moved) <= max_moves and taken <= free:
            least = min(least, len({card for each in chosen for card in each}))
    return least


@given(st.integers(0, 100_000), st.integers(0, 3))
def test_what_is_proven_is_so_beside_all_ways(seed, most):
    facts = tiny(random.Random(seed))
    found = planned(facts, most)
    least = fewest(facts, most)
    event(f"{found['status']}, {'best' if found['after'] == least else 'not best'}")
    assert found["bound"] <= least <= found["after"] <= found["before"]
    assert found["moves"] <= most
    assert bool(found["moves"]) == (found["after"] < found["before"])
    assert violations(found["plan"], facts, Conditions()) == []


@given(st.integers(0, 100_000), st.integers(0, 3))
def test_whatever_the_fleet_a_plan_is_sound(seed, most):
    facts, request = drawn(random.Random(seed))
    asked = of_a_search(request.conditions)
    found = planned(facts, most, asked)
    assert violations(found["plan"], facts, asked) == []
    assert not found["plan"]["unplaced"]
    assert found["moves"] <= most
    assert found["bound"] <= found["after"] <= found["before"]


# --- one by one ---


def test_the_card_with_the_fewest_guests_is_emptied_onto_those_in_use():
    facts = {
        "a": host([on_card(number, f"vm-{number}") for number in range(3)]),
        "b": host([on_card(0, "vm-b"), on_card(0, card=1)]),
        "c": host([on_card(0, "vm-c"), on_card(1)]),
    }
    found = planned(facts, 1)
    assert found["sentences"] == [
        "1 guest moves; no plan of 1 move or fewer empties more cards",
        "3 cards were in use, and 2 are after that",
    ]
    (placement,) = found["plan"]["placements"]
    # Not to the card of b that is empty.
    assert (placement["vm"], placement["target"]["host"]) == ("vm-b", "c")
    assert found["plan"]["conditions"] == Conditions().stated()
    assert "avoid" not in found["plan"]


def test_a_target_without_facts_takes_nothing_and_keeps_nobody_from_moving():
    facts = {
        "a": host([on_card(0, "vm-a")]),
        "b": host([on_card(0, "vm-b"), on_card(1)]),
        "c": {"schema": 1},
    }
    found = planned(facts, 1, Conditions(targets=["b", "c"]))
    assert {each["target"]["host"] for each in found["plan"]["placements"]} == {"b"}
    assert (found["moves"], found["after"], found["status"]) == (1, 1, "feasible")


def test_free_functions_of_a_card_that_nobody_uses_are_not_taken():
    b = [on_card(0), on_card(1), on_card(0, "vm-b", card=1, pid=7), on_card(1, card=1)]
    found = planned({"a": host([on_card(0, "vm-a")]), "b": host(b)}, 1)
    (placement,) = found["plan"]["placements"]
    assert (placement["vm"], placement["target"]["parent"]) == ("vm-a", CARDS[1])


def test_nothing_moves_where_all_would_open_another_card():
    facts = {"a": host([on_card(0, "vm-1")]), "b": host([on_card(0)])}
    found = planned(facts, 3)
    assert (found["moves"], found["before"], found["after"]) == (0, 1, 1)
    assert found["sentences"] == [
        "nothing moves: no move was found that empties a card; no plan of 3 moves or fewer empties more cards"
    ]


def test_a_card_that_somebody_cannot_leave_is_not_begun():
    stays = on_card(1, "vm-stays", pid=7)
    stays["migration"]["supported"] = False
    facts = {
        "a": host([on_card(0, "vm-1"), stays]),
        "b": host([on_card(0, "vm-2"), on_card(1)]),
        "c": host([on_card(number, f"vm-c{number}", pid=number + 11) for number in range(3)]),
    }
    assert planned(facts, 5)["moves"] == 0


def test_vgpus_are_made_on_cards_that_have_some():
    facts = {
        "a": host([device(UUIDS[1], vm="vm-1", pid=1)], [parent()]),
        "b": host(
            [device(UUIDS[2], vm="vm-2", pid=1)],
            [parent(available={"i915-GVTg_V5_4": 3}), parent("0000:00:03.0")],
        ),
    }
    found = planned(facts, 1)
    assert (found["status"], found["before"], found["after"]) == ("optimal", 2, 1)
    (placement,) = found["plan"]["placements"]
    assert placement["target"]["parent"] == "0000:00:02.0"


def test_virtual_functions_that_are_parents_are_one_card():
    def functions(*held: str) -> t.Any:
        parents = [
            {**parent(f"0000:41:00.{number}"), "physical_function": "0000:41:00.0"}
            for number in range(4, 7)
        ]
        made = [
            device(UUIDS[number], vm=vm, pid=number, parent=f"0000:41:00.{number + 3}")
            for number, vm in enumerate(held, start=1)
        ]
        return host(made, parents)

    found = planned({"a": functions("vm-1", "vm-2"), "b": functions("vm-3")}, 2)
    assert (found["before"], found["after"], found["moves"]) == (2, 1, 1)


def test_a_fleet_of_many_cards_is_emptied_as_far_as_moves_go():
    facts = {
        f"h{number:02}": host(
            [on_card(0, f"vm-{number}"), *(on_card(each) for each in range(1, 4))]
        )
        for number in range(20)
    }
    found = planned(facts, 10)
    assert (found["moves"], found["after"], found["status"]) == (10, 10, "optimal")


@pytest.mark.parametrize("plans", [0, 1])
def test_with_few_plans_less_is_proven(monkeypatch, plans):
    from ansible_collections.vfio.migration.plugins.plugin_utils._planner import cards_in_use

    monkeypatch.setattr(cards_in_use, "PLANS", plans)
    facts = {name: host([on_card(0, f"vm-{name}"), on_card(1), on_card(2)]) for name in "abc"}
    found = planned(facts, 2)
    assert (found["moves"], found["status"]) == (plans, "feasible")
