# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Turns of moves, beside all that there are, and in plans of all kinds."""

from __future__ import annotations

import itertools
import random
import typing as t
from collections import Counter, defaultdict

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.turns import (
    PassageLimits,
    turns_in_words,
    turns_of,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.plan_options import plan_for
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.rebalance_options import (
    rebalance_for,
)
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import ConcurrentMoves
from ansible_collections.vfio.migration.tests.unit.fleets import host, vf
from hypothesis import event, given
from hypothesis import strategies as st

HOSTS = "abcde"


def drawn(chance: random.Random) -> ConcurrentMoves:
    """Draw how many guests may move at a time."""
    found: ConcurrentMoves = {}
    if chance.random() < 0.7:
        found["host"] = chance.randint(1, 3)
    if chance.random() < 0.4:
        found["hosts"] = {name: chance.randint(1, 3) for name in chance.sample(HOSTS, 2)}
    if chance.random() < 0.6:
        found["links"] = {
            f"link-{n}": {
                "hosts": chance.sample(HOSTS, chance.randint(1, 4)),
                "moves": chance.randint(1, 3),
            }
            for n in range(2)
        }
    return found


def uses(move: tuple[str, str], concurrent: t.Any) -> dict[str, int]:
    """Return what a move uses, read another way than the planner does."""
    found = {}
    for name in move:
        most = concurrent.get("hosts", {}).get(name) or concurrent.get("host")
        if most:
            found[name] = most
    for name, link in concurrent.get("links", {}).items():
        if len({*move} & {*link["hosts"]}) == 1:
            found[name] = link["moves"]
    return found


def fits(turn: t.Iterable[tuple[str, str]], concurrent: t.Any) -> bool:
    """Return whether all of these moves may be made at the same time."""
    used: Counter[str] = Counter()
    most: dict[str, int] = {}
    for move in turn:
        of_move = uses(move, concurrent)
        used.update(of_move.keys())
        most |= of_move
    return all(used[each] <= most[each] for each in used)


def fewest(moves: t.Sequence[tuple[str, str]], concurrent: t.Any) -> int:
    """Return the fewest turns of all ways to give moves turns."""
    for turns in itertools.count(1):
        for chosen in itertools.product(range(turns), repeat=len(moves)):
            parts = defaultdict(list)
            for move, turn in zip(moves, chosen, strict=True):
                parts[turn].append(move)
            if all(fits(part, concurrent) for part in parts.values()):
                return turns
    raise AssertionError


@given(st.integers(0, 1_000_000), st.integers(1, 60))
def test_no_more_move_at_a_time_than_may_and_turns_have_no_gaps(seed, number):
    chance = random.Random(seed)
    concurrent = drawn(chance)
    moves = [tuple(chance.sample(HOSTS, 2)) for _move in range(number)]
    limits = PassageLimits(concurrent)
    turns = turns_of([limits.of(*move) for move in moves])
    assert {*turns} == {*range(1, max(turns) + 1)}
    for turn in {*turns}:
        assert fits([m for m, own in zip(moves, turns, strict=True) if own == turn], concurrent)
    # As the rule has it, a move waits only for those that use what it uses.
    used = Counter(each for move in moves for each in uses(move, concurrent))
    for move, turn in zip(moves, turns, strict=True):
        most = uses(move, concurrent)
        assert turn <= 1 + sum((used[each] - 1) // most[each] for each in most)


@given(st.integers(0, 1_000_000))
def test_few_moves_take_hardly_more_turns_than_they_must(seed):
    chance = random.Random(seed)
    concurrent = drawn(chance)
    moves = [tuple(chance.sample(HOSTS, 2)) for _move in range(chance.randint(1, 6))]
    limits = PassageLimits(concurrent)
    turns = max(turns_of([limits.of(*move) for move in moves]))
    least = fewest(moves, concurrent)
    event(f"{turns - least} more than the fewest")
    assert least <= turns <= least + 1


def fleet(guests: int) -> dict[str, t.Any]:
    """Return a full host with guests of two functions each, and two hosts with enough free functions."""
    held = [vf(2 * n + k, f"vm-{n}", pid=n + 1) for n in range(guests) for k in range(2)]
    return {"a": host(held), **{name: host([vf(n) for n in range(2 * guests)]) for name in "bc"}}


def test_the_devices_of_a_guest_have_one_turn_and_the_plan_says_how_many_there_are():
    plan = plan_for(fleet(5), ["a"], concurrent_moves={"host": 2})
    turns: dict[str | None, set[int]] = defaultdict(set)
    for each in plan["placements"]:
        turns[each["vm"]].add(each["turn"])
    assert Counter(turn for found in turns.values() for turn in found) == {1: 2, 2: 2, 3: 1}
    assert turns_in_words(plan) == [
        "the moves take 3 turns, and no fewer than 3, as 2 may move from or to a at a time"
    ]


@pytest.mark.parametrize("name", [None, "vm"])
def test_no_more_turns_are_claimed_than_must_be_of_guests_that_nothing_distinguishes(name):
    """Three processes with two functions each, all of one name or of none."""
    held = [
        {**vf(2 * n + k), "in_use": {"pid": n + 1, "name": name}}
        for n in range(3)
        for k in range(2)
    ]
    facts = {"a": host(held), "b": host([vf(n) for n in range(6)])}
    (words,) = turns_in_words(plan_for(facts, ["a"], concurrent_moves={"host": 1}))
    assert words.startswith("the moves take 3 turns, and no fewer than 3, ")
    (words,) = turns_in_words(plan_for(facts, ["a"], concurrent_moves={"host": 2}))
    assert words.startswith(
        (
            "the moves take 2 turns, and no fewer than 1",
            "the moves take 2 turns, and no fewer than 2",
        )
    )


def test_over_a_link_move_those_with_one_end_behind_it():
    links = {"rack": {"hosts": ["a", "b"], "moves": 1}}
    facts = {
        "a": host([vf(n, f"vm-{n}", pid=n + 1) for n in range(4)]),
        "b": host([vf(n) for n in range(2)]),
        "c": host([vf(n) for n in range(2)]),
    }
    plan = plan_for(facts, ["a"], concurrent_moves={"links": links})
    assert sorted((each["target"]["host"], each["turn"]) for each in plan["placements"]) == [
        *(("b", 1), ("b", 1)),
        *(("c", 1), ("c", 2)),
    ]
    assert turns_in_words(plan) == [
        "the moves take 2 turns, and no fewer than 2, as 1 may move over the link rack at a time"
    ]


def test_without_the_condition_nothing_has_a_turn():
    plan = plan_for(fleet(3), ["a"])
    assert all("turn" not in each for each in plan["placements"])
    assert turns_in_words(plan) == []


def test_what_stays_of_an_earlier_plan_has_its_turn_and_the_condition_lasts():
    facts = fleet(4)
    first = plan_for(facts, ["a"], concurrent_moves={"host": 1})
    again = plan_for(facts, ["a"], earlier=first)
    assert {**again["conditions"]}["concurrent_moves"] == {"host": 1}
    assert again["placements"] == first["placements"]
    other = plan_for(facts, ["a"], earlier=first, concurrent_moves={"host": 2})
    assert max(each["turn"] for each in other["placements"]) == 2


def test_a_rebalance_has_turns():
    facts = {
        "a": host([vf(n, f"vm-{n}", pid=n + 1) for n in range(6)]),
        **{name: host([vf(n) for n in range(3)]) for name in "bc"},
    }
    found = rebalance_for(facts, 4, concurrent_moves={"host": 1})
    turns = [each["turn"] for each in found["plan"]["placements"]]
    assert sorted(turns) == [*range(1, len(turns) + 1)]
    assert len(turns) > 1


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"host": 0}, "concurrent_moves.host is 0"),
        ({"hosts": {"a": "many"}}, "concurrent_moves.hosts.a is 'many'"),
        ({"source": 1}, "concurrent_moves has the key 'source'; expected host, hosts, links"),
        ({"links": {"x": {"hosts": ["a"]}}}, "concurrent_moves.links.x is"),
        ({"links": ["a"]}, "concurrent_moves.links is \\['a'\\]; expected a dictionary by name"),
        ({"hosts": {"nowhere": 1}}, "concurrent_moves has 'nowhere', and there is no host"),
        ({"links": {"x": {"hosts": ["nowhere"], "moves": 1}}}, "concurrent_moves has 'nowhere'"),
        (3, "concurrent_moves is 3; expected {host"),
    ],
)
def test_a_mistake_in_the_option_is_named(wrong, words):
    with pytest.raises(FleetError, match=words):
        plan_for(fleet(1), ["a"], concurrent_moves=wrong)
