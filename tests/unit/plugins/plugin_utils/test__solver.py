# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A solver makes no plan worse, finds the best of small ones, and proves only what is so; without it all stays."""

from __future__ import annotations

import importlib.util
import itertools
import json
import random
import sys

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils import _cp_sat, _solver
from ansible_collections.vfio.migration.plugins.plugin_utils._search import (
    AGAIN,
    NEW,
    OPENED,
    OTHER,
    Bin,
    Budget,
    Item,
    Move,
    Search,
    Ways,
)
from hypothesis import given, settings
from hypothesis import strategies as st

needs_ortools = pytest.mark.skipif(
    importlib.util.find_spec("ortools") is None, reason="OR-Tools is not installed"
)

DEMANDS = range(3)
TYPES = range(2)


class Stock:
    """Elements of random make: free devices ``(group, count)``, and parents ``(kind, type, used)``.

    ``groups`` say what it costs to take one for which demand; ``kinds`` how many there are to be had of each type, if
    types share in proportion, and what of which type is made for which demand; each is on a NUMA node.
    """

    def __init__(self, groups: list, kinds: list) -> None:
        self.groups = groups
        self.kinds = kinds
        self.states: list = []

    def number(self, *state) -> int:
        if state not in self.states:
            self.states.append(state)
        return self.states.index(state)

    def moves(self, element: int, demand: int) -> list[Move]:
        state = self.states[element]
        if len(state) == 2:
            group, count = state
            if demand not in self.groups[group]["takes"]:
                return []
            left = self.number(group, count - 1) if count > 1 else None
            return [Move(left, self.groups[group]["takes"][demand], None)]
        kind, only, used = state
        found = []
        for mdev_type, available in enumerate(self.kinds[kind]["types"]):
            instances = self.kinds[kind]["makes"].get((demand, mdev_type))
            if instances is None or only not in (None, mdev_type):
                continue
            shared = self.kinds[kind]["shared"]
            whole = 12 if shared else available
            after = used + (instances * 12 // available if shared else instances)
            if after > whole:
                continue
            cost = NEW + OPENED * (used == 0) + OTHER * (mdev_type != demand)
            becomes = self.number(kind, None if shared else mdev_type, after)
            found.append(Move(becomes if after < whole else None, cost, None))
        return found

    def room(self, element: int) -> int:
        state = self.states[element]
        return state[1] if len(state) == 2 else 12 - state[2]

    def left(self, element: int) -> float:
        return self.room(element)

    def sort(self, element: int) -> int:
        state = self.states[element]
        return state[0] if len(state) == 2 else -1 - state[0]

    def locality(self, element: int) -> int | None:
        state = self.states[element]
        return (self.groups if len(state) == 2 else self.kinds)[state[0]]["node"]


def problem_of(seed: int, most_items: int = 5, most_bins: int = 3):
    """Elements, items, bins and whether to spread; little fits, so that it matters what goes where."""
    chance = random.Random(seed)
    nodes = chance.choice(((None,), (None,), (0, 1)))
    costs = (0, 0, OTHER, AGAIN)
    groups = [
        {
            "node": chance.choice(nodes),
            "takes": {each: chance.choice(costs) for each in DEMANDS if chance.random() < 0.6},
        }
        for group in range(2)
    ]
    kinds = [
        {
            "node": chance.choice(nodes),
            "shared": chance.random() < 0.5,
            "types": [chance.choice((1, 2, 3, 4)) for each in TYPES],
            "makes": {
                (demand, each): chance.choice((1, 1, 2))
                for demand in DEMANDS
                for each in TYPES
                if chance.random() < 0.6
            },
        }
        for kind in range(2)
    ]
    stock = Stock(groups, kinds)

    def some_element() -> int:
        if chance.random() < 0.4:
            return stock.number(chance.randrange(2), chance.randint(1, 2))
        return stock.number(chance.randrange(2), None, 0)

    states = [
        tuple(sorted(some_element() for each in range(chance.randint(1, 3)))) for state in range(2)
    ]
    members = [frozenset(), frozenset(), frozenset({0}), frozenset({0, 1})]
    bins = [
        Bin(
            chance.choice(states),
            chance.choice((None, None, chance.randint(0, 4))),
            chance.choice((frozenset(), frozenset(), chance.choice(members))),
        )
        for number in range(chance.randint(1, most_bins))
    ]
    items = [
        Item(
            tuple(sorted(chance.choice(DEMANDS) for each in range(chance.choice((1, 1, 2, 3))))),
            chance.choice((None, chance.randrange(len(bins)))),
            chance.choice(members),
        )
        for number in range(chance.randint(1, most_items))
    ]
    return stock, items, bins, chance.random() < 0.4


problems = st.integers(0, 2**32).map(problem_of)


def found_for(problem, rounds: int = 0, steps: int = 0):
    """What the search finds, and the items that it leaves though each finds a place alone."""
    stock, items, bins, spread = problem
    search = Search(stock, items, bins, spread, Budget(rounds, steps))
    found = search.run(lambda: 0)
    placed = {item for held in found.bins.values() for item, way in held}
    left = [n for n, item in enumerate(items) if n not in placed and search.kinds_for(item.shape)]
    return found, left


def rating(problem, held) -> tuple:
    """The devices left, and the cost: what ``Search`` makes as small as it can, in this order."""
    stock, items, bins, spread = problem
    ways = [way for each in held.values() for item, way in each]
    cost = sum(way.cost for way in ways)
    loads = [sum(len(way.steps) for item, way in each) for each in held.values()]
    left = sum(len(item.shape) for item in items) - sum(loads)
    return (left, cost // NEW, max(loads, default=0) if spread else 0, cost % NEW)


def check(problem, held) -> None:
    """Every item is in one bin at most, where it may be, and every step starts from what there is."""
    stock, items, bins, spread = problem
    assert all(
        count == 1
        for count in map(
            [item for each in held.values() for item, way in each].count,
            {item for each in held.values() for item, way in each},
        )
    )
    for number, each in held.items():
        there = bins[number]
        state = list(there.state)
        groups = [group for item, way in each for group in items[item].groups]
        assert len(groups) == len(set(groups))
        assert not there.groups & set(groups)
        for item, way in each:
            assert items[item].home != number
            assert len({stock.locality(element) for element, move in way.steps}) == 1
            assert way.cost == sum(move.cost for element, move in way.steps)
            for demand, (element, move) in zip(items[item].shape, way.steps):
                assert move in stock.moves(element, demand)
                state.remove(element)
                if move.becomes is not None:
                    state.append(move.becomes)
            assert way.after == tuple(sorted(state))
        if there.limit is not None:
            assert sum(len(way.steps) for item, way in each) <= there.limit


def best_rating(problem) -> tuple:
    """The rating of the best plan: every place of every device is tried, and nothing else is known."""
    stock, items, bins, spread = problem
    states = [list(each.state) for each in bins]
    groups = [list(each.groups) for each in bins]
    loads = [0] * len(bins)
    best = [(sum(len(item.shape) for item in items) + 1,)]

    def place(number: int, left: int, cost: int) -> None:
        if left > best[0][0]:
            return
        if number == len(items):
            load = max(loads) if spread else 0
            best[0] = min(best[0], (left, cost // NEW, load, cost % NEW))
            return
        item = items[number]
        place(number + 1, left + len(item.shape), cost)
        for host, there in enumerate(bins):
            if host == item.home or set(groups[host]) & item.groups:
                continue
            if there.limit is not None and loads[host] + len(item.shape) > there.limit:
                continue
            before = states[host], groups[host]
            groups[host] = groups[host] + list(item.groups)
            loads[host] += len(item.shape)
            for states[host], more in ends(before[0], item.shape):
                place(number + 1, left, cost + more)
            states[host], groups[host] = before
            loads[host] -= len(item.shape)

    def ends(state: list, shape: tuple) -> set:
        found = set()
        for node in {stock.locality(element) for element in state}:
            layer = {(tuple(state), 0)}
            for demand in shape:
                layer = {
                    (tuple(sorted([*others, *[move.becomes] * (move.becomes is not None)])), more)
                    for each, cost in layer
                    for place, element in enumerate(each)
                    if stock.locality(element) == node
                    for others in [each[:place] + each[place + 1 :]]
                    for move in stock.moves(element, demand)
                    for more in [cost + move.cost]
                }
            found |= layer
        return found

    place(0, 0, 0)
    return best[0]


@pytest.fixture
def in_process(monkeypatch):
    """The solver without a process for each problem."""

    def solve(programme, effort):
        answer = _cp_sat.solve(
            json.loads(json.dumps(_solver.asdict(programme) | {"effort": effort}))
        )
        assert programme.is_kept_by(answer["values"])
        return answer["values"], answer["proven"]

    monkeypatch.setattr(_solver, "_solve", solve)


@needs_ortools
@pytest.mark.usefixtures("in_process")
@given(problem=problems)
@settings(max_examples=200)
def test_small_problems_are_solved(problem):
    stock, items, bins, spread = problem
    found, left = found_for(problem)
    hopeless = len(items) - len(left) - sum(map(len, found.bins.values()))
    improved = _solver.improve(stock, items, bins, found.bins, left, spread)
    if improved is None:
        return
    check(problem, improved.bins)
    assert improved.most
    best = best_rating(problem)
    assert rating(problem, improved.bins)[0] == best[0]
    if improved.best:
        assert rating(problem, improved.bins) == best
