# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plans for random fleets, all conditions included, beside exact ones: no status, cost or bound is ever wrong.

The environment variable ``PLANS`` is how many fleets a run draws.
"""

from __future__ import annotations

import itertools
import os
import random
import typing as t
from collections import Counter

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import read_fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.planner import make_plan
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import (
    Conditions,
    Request,
    requested,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify import violations
from ansible_collections.vfio.migration.tests.unit import exact_plans
from ansible_collections.vfio.migration.tests.unit.exact_plans import ExactPlans
from ansible_collections.vfio.migration.tests.unit.fleets import (
    device,
    gvt,
    host,
    parent,
    vf,
)

PLANS = int(os.environ.get("PLANS", "2000"))
PARENTS = ("0000:00:02.0", "0000:00:03.0")
NUMBERS = ("unplaced", "created", "load", "opened", "other_type")


def drawn(chance: random.Random) -> tuple[dict[str, t.Any], Request]:
    """Draw a tiny fleet with hardly enough room, and a request of any kind."""
    numbers = itertools.count()
    names = itertools.count()
    drain = chance.random() < 0.5
    reuse = not drain and chance.random() < 0.7

    def devices(held: float) -> t.Iterator[dict[str, t.Any]]:
        guests = [(f"vm-{next(names)}", 100 + n) for n in range(chance.randint(1, 3))]
        for index in range(chance.randint(1, 4)):
            vm, pid = chance.choice(guests) if chance.random() < held else (None, None)
            others = {"vm": vm, "pid": pid, "numa_node": chance.randint(0, 1)}
            if chance.random() < 0.6:
                yield vf(index, kind=chance.choice("vvw"), **others)
            else:
                size, aggregator = chance.choice([("4", "2"), ("8", "4"), ("2", "1")])
                yield device(
                    f"{next(numbers):08x}-1111-4222-8333-444444444444",
                    gvt(size, aggregator),
                    parent=chance.choice(PARENTS),
                    **others,
                )

    def parents() -> t.Iterator[dict[str, t.Any]]:
        for name in PARENTS[: chance.randint(0, 2)]:
            whole = chance.randint(0, 2)
            available = {f"i915-GVTg_V5_{size}": size * whole // 2 for size in (2, 4, 8)}
            driver = chance.choice(["i915", "other"])
            pci_id = chance.choice(["80865963", "80865963", "8086591d"])
            made = parent(name, pci_id, available, driver)
            yield {**made, "numa_node": chance.randint(0, 1)}

    full = 0.85 if reuse else 0.4
    facts = {
        name: host([*devices(0.9 if drain and name == "a" else full)], [*parents()])
        for name in "abcd"[: chance.randint(2, 4)]
    }
    fleet = read_fleet(facts)
    held = sorted({d.in_use.name for d in fleet.devices() if d.in_use and d.in_use.name})
    sources = None if drain else chance.sample(held, min(len(held), chance.randint(1, 5)))
    drained = ["a"] if drain else None
    guests = requested(fleet, drained, sources)
    vms = sorted({guest.name for guest in guests if guest.name})
    targets = [name for name in fleet.hosts if name not in (drained or ())]
    conditions = Conditions(
        drain=drained,
        reuse=reuse,
        policy=chance.choice(("pack", "pack", "spread")),
        limit=chance.choice((None, None, None, 2, {"b": 1})),
        apart=chance.choice(((), (), (vms,), (vms[:2], vms[1:]))),
        numa_local=chance.random() < 0.2,
        keep_kind=chance.random() < 0.2,
        keep_type=chance.random() < 0.2,
    )
    return facts, Request(guests, targets, conditions)


def in_order(numbers: t.Mapping[str, int]) -> tuple[int, ...]:
    assert not numbers["remade"]
    return tuple(numbers[name] for name in NUMBERS if name in numbers)


def wrong(facts: dict[str, t.Any], request: Request, least: tuple[int, ...]) -> str | None:
    """Return what is wrong in the plan for a request, of which no plan costs less than ``least``; else its rank."""
    plan = make_plan(read_fleet(facts), request)
    assert violations(plan, facts, request.conditions) == []
    cost, status = in_order(plan["cost"]), plan["status"]
    assert cost >= least, "the exact plan is none"
    if plan["bound"] is not None:
        bound = in_order(plan["bound"])
        assert status != "optimal" or bound == cost
        # Numbers count in their order: the first one that differs decides.
        for known, best, ours in zip(bound, least, cost):
            assert known <= best, f"{status}: bound {bound}, and {least} is to be had"
            if best != ours:
                break
    assert status != "optimal" or cost == least, f"optimal {cost}, and {least} is to be had"
    assert status != "infeasible" or least[0], "infeasible, and everything has a place"
    assert status in ("optimal", "feasible") or cost[0], status
    if cost[0] > least[0]:
        return "more is left than need be"
    return "dearer than need be" if cost > least else None


@pytest.mark.skipif(not exact_plans.POSSIBLE, reason="OR-Tools is not installed")
def test_no_status_cost_or_bound_is_wrong():
    found = Counter()
    for seed in range(PLANS):
        facts, request = drawn(random.Random(seed))
        exact = ExactPlans(read_fleet(facts), request)
        try:
            found[wrong(facts, request, exact.least())] += 1
        except AssertionError as error:
            raise AssertionError(f"fleet {seed}: {error}") from error
    assert found["more is left than need be"] <= PLANS // 200, found
    assert found["dearer than need be"] <= PLANS // 50, found


@pytest.mark.parametrize("seed", range(30))
def test_small_ones_are_as_good_as_the_best_of_all_that_there_are(seed):
    facts, request = drawn(random.Random(10_000 + seed))
    exact = ExactPlans(read_fleet(facts), request)
    if sum(map(len, exact.places)) > 40:
        pytest.skip("too many places to try every combination")
    least = exact.least_by_trying()
    assert wrong(facts, request, least) in (None, "dearer than need be")
