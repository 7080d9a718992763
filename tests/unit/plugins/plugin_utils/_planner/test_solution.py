# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a solution proves, and what it allocates: devices and parents behind the numbers."""

from __future__ import annotations

import random
import typing as t
import uuid
from collections import Counter
from dataclasses import replace

import pytest
from ansible_collections.vfio.migration.plugins.filter.migration_plan import migration_plan
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import read_fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.bottleneck import Shortage
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.objective import Cost
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.search import Budget
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.admissible import Exclusions
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.backing import (
    backing_of,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.planner import make_plan
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.previous_plan import keep_pins
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.problem import (
    Problem,
    pose,
    pose_afresh,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import (
    Request,
    named_id,
    requested,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.solution import (
    Alone,
    Solution,
    prove,
    solve,
)
from ansible_collections.vfio.migration.tests.unit.drawn_fleets import drawn
from ansible_collections.vfio.migration.tests.unit.fleets import UUIDS, device, host, parent, vf
from hypothesis import event, given
from hypothesis import strategies as st


def problem_of(guests: int, free: int) -> Problem:
    fleet = read_fleet(
        {
            "a": host([device(UUIDS[n], vm=f"vm-{n}", pid=n + 1) for n in range(guests)]),
            "b": host([device(UUIDS[5 + n]) for n in range(free)], [parent(available={})]),
        }
    )
    return pose(fleet, Request(requested(fleet, ["a"], None), ["b"]))


def solved(problem: Problem) -> Solution:
    return solve(problem, Budget(), lambda words: None)


def test_equal_devices_go_to_the_guests_in_their_order():
    solution = solved(problem_of(guests=2, free=3))
    ends = [(each.guest, each.device and each.device.id) for each in solution.placed]
    assert ends == [(0, UUIDS[5]), (1, UUIDS[6])]


def test_behind_a_resource_are_the_devices_that_are_not_taken():
    problem = problem_of(guests=1, free=3)
    ((devices,),) = backing_of(problem, 0, taken={UUIDS[6]}).values()
    assert [each.id for each in devices if not isinstance(each, str)] == [UUIDS[5], UUIDS[7]]


LEFT = Cost(unplaced=1)
SHORTAGE = Shortage((0,), 2, 1)


@pytest.mark.parametrize(
    ("cost", "least", "status"),
    [
        (Cost(created=2), Cost(created=2), "optimal"),
        (Cost(created=2), Cost(created=1), "feasible"),
        (LEFT, LEFT, "infeasible"),
        (LEFT, Cost(), "unproven"),
    ],
)
def test_a_status_says_what_is_placed_and_what_is_proven(cost, least, status):
    proof = prove(problem_of(1, 1), Solution([], cost, least, None, Alone()))
    assert (proof.status, proof.bound) == (status, least)


@given(st.integers(0, 1_000_000))
def test_what_is_said_to_prove_it_does(seed):
    facts, request = drawn(random.Random(seed))
    fleet = read_fleet(facts)
    plan = make_plan(fleet, request)
    proof = plan.get("proof")
    event(f"{plan['status']}, {proof}")
    assert (proof is not None) == (plan["status"] == "infeasible")
    # A person can check it at least of one device.
    assert proof != ["search"]
    if proof is None or "search" in proof:
        return
    left = sum(
        each["left_out"] * (1 + len(each.get("alike", ()))) for each in plan.get("cases", ())
    )
    if "no_place" in proof:
        each_alone = [
            make_plan(fleet, replace(request, guests=[guest])) for guest in request.guests
        ]
        left += sum(len(each["unplaced"]) for each in each_alone)
    if "shortage" in proof:
        left += plan["shortage"]["need"] - plan["shortage"]["reachable"]
    # By rank, a plan has the proof that there is for all, and no bound.
    assert left >= (plan["bound"]["unplaced"] if plan["bound"] else 1) > 0


def test_what_can_be_checked_by_hand_is_named_first():
    least = Cost(2)
    too_few = Shortage((0,), 3, 1)
    problem = problem_of(2, 0)
    for alone, shortage, by in (
        (Alone(), too_few, ["shortage"]),
        (Alone(0, 2), too_few, ["shortage"]),
        (Alone(1, 0), Shortage((0,), 2, 1), ["no_place", "shortage"]),
        (Alone(1, 1), None, ["no_place"]),
        (Alone(0, 1), None, ["no_place", "search"]),
        (Alone(), Shortage((0,), 2, 1), ["search"]),
    ):
        proof = prove(problem, Solution([], least, least, shortage, alone))
        assert [*proof.by] == by, (alone, shortage)


@pytest.mark.parametrize("held_back", ["kept", "exclusions"])
def test_where_not_everything_may_move_nothing_is_proven_of_the_whole(held_back):
    problem = problem_of(guests=2, free=1)
    solution = solved(problem)
    assert prove(problem, solution).status == "infeasible"
    if held_back == "exclusions":
        problem = pose_afresh(problem, Exclusions(guests=frozenset([1])))
    else:
        kept: t.Any = [{}]
        problem = replace(problem, request=replace(problem.request, kept=kept))
    proof = prove(problem, replace(solution, shortage=SHORTAGE))
    assert (proof.status, proof.bound, proof.shortage) == ("unproven", None, None)


def test_exclusions_add_up():
    problem = pose_afresh(problem_of(2, 2), Exclusions(devices=frozenset([("a", UUIDS[0])])))
    problem = pose_afresh(problem, Exclusions(guests=frozenset([1])))
    assert problem.exclusions == Exclusions(frozenset([("a", UUIDS[0])]), frozenset([1]))


@pytest.mark.parametrize(
    ("free", "kept"), [(1, "free"), (2, "pinned, and learns"), (3, "pinned, and learns")]
)
def test_of_equal_results_that_with_pins_is_kept(free, kept):
    found = keep_pins(
        ("pinned", 2),
        lambda: ("free", free),
        lambda each: each[1],
        lambda one, other: (f"{one[0]}, and learns", 0),
    )
    assert found[0] == kept


def test_names_made_from_a_source_are_of_version_5_and_differ_by_count():
    source = problem_of(1, 1).request.guests[0].devices[0]
    names = [named_id(source, count) for count in range(3)]
    assert len(set(names)) == 3
    assert all(uuid.UUID(name).version == 5 for name in names)


# --- beside what has no place at all ---


def most_packed(sizes: t.Sequence[int], free: t.Sequence[int]) -> int:
    """Return the most devices of guests with these ``sizes`` that have a place, all of each on one host, by trying all."""
    if not sizes:
        return 0
    most = most_packed(sizes[1:], free)
    for number, places in enumerate(free):
        if places >= sizes[0]:
            left = [*free[:number], places - sizes[0], *free[number + 1 :]]
            most = max(most, sizes[0] + most_packed(sizes[1:], left))
    return most


def test_devices_that_nothing_takes_do_not_count_twice_in_a_bound():
    found = Counter()
    for seed in range(300):
        chance = random.Random(seed)
        sizes = [chance.randint(1, 3) for _guest in range(chance.randint(2, 6))]
        free = [chance.randint(0, 4) for _host in range(chance.randint(1, 3))]
        devices = [f"g{number}" for number, size in enumerate(sizes) for _one in range(size)]
        source = [vf(n, vm, "w", pid=int(vm[1:]) + 1) for n, vm in enumerate(devices)]
        # Of a kind that is nowhere else.
        source += [vf(30 + n, "other", "z", pid=99) for n in range(chance.randint(0, 2))]
        facts = {"a": host(source)}
        facts |= {
            f"t{n}": host([vf(one, kind="w") for one in range(of)]) for n, of in enumerate(free)
        }
        plan = migration_plan(facts, drain=["a"])
        left = len(source) - most_packed(sizes, free)
        assert plan["cost"]["unplaced"] == left, f"fleet {seed}"
        if plan["bound"]:
            assert plan["bound"]["unplaced"] <= left, f"fleet {seed}"
        found[plan["status"], len(source) > len(devices)] += 1
    assert found["infeasible", True] > 50
