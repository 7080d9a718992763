# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A solver makes no plan worse, finds the best of small ones, and proves only what is so; without it all stays."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import random
import sys

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._packing import (
    cp_sat_worker,
    mip_model,
    subproblem,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.objective import Cost
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.packings import (
    CREATED,
    OPENED,
    OTHER_TYPE,
    UNLIMITED,
    Bin,
    Item,
    PackingProblem,
    Packings,
    Transition,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.search import Budget, search
from ansible_collections.vfio.migration.tests.unit.resources import best_rating
from hypothesis import assume, given, settings
from hypothesis import strategies as st

needs_ortools = pytest.mark.skipif(
    importlib.util.find_spec("ortools") is None,
    reason="OR-Tools is not installed: plans are not sharpened here",
)

DEMANDS = range(3)
TYPES = range(2)


class Stock:
    """Resources of random make: free devices ``(group, count)``, and parents ``(kind, type, used)``.

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

    def transitions(self, resource: int, demand: int) -> list[Transition]:
        state = self.states[resource]
        if len(state) == 2:
            group, count = state
            if demand not in self.groups[group]["takes"]:
                return []
            left = self.number(group, count - 1) if count > 1 else None
            return [Transition(left, self.groups[group]["takes"][demand], None)]
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
            cost = CREATED + OPENED * (used == 0) + OTHER_TYPE * (mdev_type != demand)
            becomes = self.number(kind, None if shared else mdev_type, after)
            found.append(Transition(becomes if after < whole else None, cost, None))
        return found

    def free_slots(self, resource: int) -> int:
        state = self.states[resource]
        return state[1] if len(state) == 2 else 12 - state[2]

    def residual(self, resource: int) -> float:
        return self.free_slots(resource)

    def resource_kind(self, resource: int) -> int:
        state = self.states[resource]
        return state[0] if len(state) == 2 else -1 - state[0]

    def exclusive_place(self, resource: int) -> None:
        return None

    def numa_node(self, resource: int) -> int | None:
        state = self.states[resource]
        return (self.groups if len(state) == 2 else self.kinds)[state[0]]["node"]


def problem_of(seed: int, most_items: int = 5, most_bins: int = 3) -> PackingProblem:
    """Draw a problem in which little fits, so that it matters what goes where."""
    chance = random.Random(seed)
    nodes = chance.choice(((None,), (None,), (0, 1)))
    costs = (0, 0, OTHER_TYPE, CREATED)
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
            (chance.choice((UNLIMITED, UNLIMITED, chance.randint(0, 4))), chance.randint(2, 6)),
            chance.choice((frozenset(), frozenset(), chance.choice(members))),
        )
        for number in range(chance.randint(1, most_bins))
    ]
    needed = [
        tuple(sorted(chance.choice(DEMANDS) for each in range(chance.choice((1, 1, 2, 3)))))
        for number in range(chance.randint(1, most_items))
    ]
    items = [
        Item(
            each,
            chance.choice((None, chance.randrange(len(bins)))),
            chance.choice(members),
            (len(each), chance.randint(0, 3)),
        )
        for each in needed
    ]
    return PackingProblem(stock, items, bins, chance.random() < 0.4)


problems = st.integers(0, 2**32).map(problem_of)


def found_for(problem):
    """Return what the search finds at first, and the items that it leaves though each finds a place alone."""
    found = search(problem, Packings(problem), Budget(0, 0), lambda: None)
    return found.assignment, found.unplaced


def improve(problem, assignment, unplaced, effort=4.0):
    return mip_model.improve(problem, assignment, unplaced, effort)


def rating(problem, held) -> tuple:
    """Return the devices left and the cost, which ``search`` minimises in this order."""
    cost = sum(way.cost for each in held.values() for item, way in each)
    loads = [sum(len(way.steps) for item, way in each) for each in held.values()]
    left = sum(len(item.demands) for item in problem.items) - sum(loads)
    highest = max(loads, default=0) if problem.spread else 0
    return (left, cost // CREATED, 0, highest, cost % CREATED)


def check(problem, held) -> None:
    """Check that every item is in one bin at most, where it may be, and that every step starts from what there is."""
    placed = [item for each in held.values() for item, way in each]
    assert len(placed) == len(set(placed))
    for number, each in held.items():
        there = problem.bins[number]
        state = list(there.state)
        groups = [group for item, way in each for group in problem.items[item].anti_affinity]
        assert len(groups) == len(set(groups))
        assert not there.anti_affinity & set(groups)
        for item, way in each:
            assert problem.items[item].home != number
            assert (
                len({problem.resources.numa_node(resource) for resource, transition in way.steps})
                == 1
            )
            assert way.cost == sum(transition.cost for resource, transition in way.steps)
            for demand, (resource, transition) in zip(problem.items[item].demands, way.steps):
                assert transition in problem.resources.transitions(resource, demand)
                state.remove(resource)
                if transition.successor is not None:
                    state.append(transition.successor)
            assert way.after == tuple(sorted(state))
        assert sum(len(way.steps) for item, way in each) <= there.limits[0]
        assert sum(problem.items[item].weights[1] for item, way in each) <= there.limits[1]


def model_of(problem):
    held, left = found_for(problem)
    return held, mip_model._model_of(problem, held, left)


@given(problem=problems)
def test_a_plan_becomes_a_programme_and_a_plan_again(problem):
    held, model = model_of(problem)
    assume(model)
    assert model.programme.is_kept_by(model.programme.start)
    again = model.others | model.assignment(model.programme.start)
    check(problem, again)
    # What is placed together may be had in a cheaper way than the search took it.
    assert rating(problem, again) <= rating(problem, held)


@given(problem=problems)
def test_only_what_keeps_the_constraints_counts(problem):
    model = model_of(problem)[1]
    assume(model)
    programme = model.programme
    assert not programme.is_kept_by([*programme.start, 0])
    for number, most in enumerate(programme.most):
        values = programme.start[:]
        for values[number] in (-1, most + 1):
            assert not programme.is_kept_by(values)


def improved_by(monkeypatch, executable: str):
    """Return the outcome where this program runs in place of Python."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(sys, "executable", executable)
    problem = problem_of(1)
    return improve(problem, *found_for(problem))


@pytest.mark.parametrize(
    "script",
    [
        "exit 1",
        "kill -9 $$",
        "true",
        "echo nonsense",
        "echo '[]'",
        """echo '{"values": [], "proven": 9}'""",
        """echo '{"values": [-1], "proven": 9}'""",
        "sleep 60",
    ],
)
def test_a_solver_that_fails_changes_nothing(monkeypatch, tmp_path, script):
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(mip_model, "_TIMEOUT", 1)
    assert improved_by(monkeypatch, str(program)) is None


@pytest.mark.parametrize("executable", ["", "/nonexistent/python"])
def test_no_python_to_run_it_changes_nothing(monkeypatch, executable):
    assert improved_by(monkeypatch, executable) is None


def test_without_ortools_nothing_is_run(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(mip_model, "_solve", None)
    problem = problem_of(1)
    assert improve(problem, *found_for(problem)) is None


def test_no_solver_is_asked_where_nothing_may_be_gained(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(mip_model, "_solve", None)
    problem = problem_of(1)
    assert improve(problem, *found_for(problem), effort=0.0) is None


@pytest.mark.parametrize(
    ("cost", "bound"),
    [
        (Cost(), Cost()),
        (Cost(created=5, opened=3, other_type=2), Cost(created=5, opened=3, other_type=2)),
        (Cost(unplaced=2, created=5, opened=3), Cost(unplaced=2)),
        (Cost(remade=1, created=5), Cost(created=5)),
    ],
)
def test_what_cannot_be_gained_is_worth_no_effort(cost, bound):
    assert mip_model.effort_for(cost, bound) == 0


def test_the_graver_and_the_greater_the_gain_the_more_effort_it_is_worth():
    whole = Cost(unplaced=4, created=40, opened=20, other_type=20)
    efforts = [
        mip_model.effort_for(cost, bound)
        for cost, bound in [
            (whole, Cost()),
            (whole._replace(unplaced=0), Cost(created=20)),
            (whole._replace(unplaced=0), Cost(created=40, opened=15)),
            (whole._replace(unplaced=0), Cost(created=40, opened=20, other_type=1)),
            (whole._replace(unplaced=0), Cost(created=40, opened=20, other_type=19)),
        ]
    ]
    assert efforts == sorted(set(efforts), reverse=True)
    assert efforts[-1] > 0


def test_of_two_programmes_the_bigger_one_has_less_effort(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    asked = []
    monkeypatch.setattr(mip_model, "_solve", lambda programme, effort: asked.append(effort))
    problem = problem_of(3, 30, 8)
    for size in (10, 1_000_000):
        monkeypatch.setattr(mip_model, "_SOLVED_VARIABLES", size)
        improve(problem, *found_for(problem))
    assert asked[0] < asked[-1] <= 4.0


def with_equal_bins(count: int, items: list) -> PackingProblem:
    stock = Stock([{"node": None, "takes": {0: 0}}], [])
    return PackingProblem(stock, items, [Bin((stock.number(0, 2),))] * count, spread=False)


def test_big_problems_are_cut_only_for_what_is_left():
    problem = with_equal_bins(200, [Item((0, 0))] * 201)
    left = found_for(problem)[1]
    model = model_of(problem)[1]
    assert len(left) == 1
    assert left[0] in model.subproblem.items
    assert not model.subproblem.closed
    assert len(model.subproblem.items) <= subproblem.MAX_ITEMS
    assert model_of(with_equal_bins(200, [Item((0, 0))] * 200))[1] is None


def test_only_as_many_equal_bins_as_items_are_looked_at():
    problem = with_equal_bins(5_000, [Item((0, 0), home=17), Item((0,)), Item((0,))])
    cut = model_of(problem)[1].subproblem
    assert cut.closed
    assert len(cut.bins) == 4


@pytest.fixture
def in_process(monkeypatch):
    """Run the solver without a process for each problem."""

    def solve(programme, effort):
        written = json.dumps(dataclasses.asdict(programme) | {"effort": effort})
        answer = cp_sat_worker.solve(json.loads(written))
        assert programme.is_kept_by(answer["values"])
        return answer["values"], answer["proven"]

    monkeypatch.setattr(mip_model, "_solve", solve)


@needs_ortools
@pytest.mark.usefixtures("in_process")
@given(problem=problems)
def test_small_problems_are_solved(problem):
    held, left = found_for(problem)
    assume(model_of(problem)[1])
    improved = improve(problem, held, left)
    check(problem, improved.assignment)
    found, best = rating(problem, improved.assignment), best_rating(problem)
    assert improved.most
    assert improved.best or left
    assert found[0] == best[0]
    assert found == best if improved.best else found <= rating(problem, held)


bigger = st.integers(0, 2**32).map(lambda seed: problem_of(seed, 30, 8))


@needs_ortools
@pytest.mark.usefixtures("in_process")
@given(problem=bigger, effort=st.sampled_from((0.0001, 0.001, 0.01)))
@settings(max_examples=20)
def test_too_little_effort_makes_no_plan_worse(problem, effort):
    held, left = found_for(problem)
    improved = improve(problem, held, left, effort=effort)
    assume(improved)
    check(problem, improved.assignment)
    assert rating(problem, improved.assignment) <= rating(problem, held)


@needs_ortools
def test_the_same_input_gives_the_same_plan():
    problem = problem_of(3, 30, 8)
    held, left = found_for(problem)
    one, other = (improve(problem, held, left) for each in range(2))
    assert one is not None
    assert one == other
