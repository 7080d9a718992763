# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compares plans that were made with OR-Tools with those made without it, where it is installed."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import typing as t
from collections import Counter
from unittest import mock

from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import read_fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._planner import solution
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.planner import make_plan
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import (
    Request,
    requested,
)
from ansible_collections.vfio.migration.tests.bench.planted import planted

# Small fleets as a whole, and of bigger ones what is left behind.
SMALL = tuple((guests, False) for guests in (*range(4, 24), 30))
MIDDLE = ((60, False), (200, True))


def report(fleets: t.Sequence[tuple[int, bool]]) -> bool:
    """Print what OR-Tools adds, and whether it is never more than the plans without it say it may be."""
    if importlib.util.find_spec("ortools") is None:
        print(
            "\nWith and without OR-Tools: it is not installed here, so there is nothing to compare."
        )
        return True
    print(
        f"\nWith and without OR-Tools, {len(fleets)} fleets of {fleets[0][0]} to {fleets[-1][0]} guests:"
    )
    without_it: Counter[str] = Counter()
    with_it: Counter[str] = Counter()
    results: Counter[str] = Counter()
    seconds = [0.0, 0.0]
    for number, (guests, short) in enumerate(fleets):
        (before, one), (after, other) = (
            _plan_of(guests, short, number, solver) for solver in (False, True)
        )
        seconds[0] += before
        seconds[1] += after
        without_it.update(one["cost"])
        with_it.update(other["cost"])
        results[_compared(one, other)] += 1
    for name, number in without_it.items():
        print(f"  {name:12} {number:6} without, {with_it[name]:6} with it")
    print(f"  {'CPU seconds':12} {seconds[0]:6.1f} without, {seconds[1]:6.1f} with it")
    print("  " + ", ".join(f"{count} {name}" for name, count in sorted(results.items())))
    missed = results["MISSED"]
    print(
        f"  {'MISSED by ' + str(missed) if missed else 'no plan is better by more than the other one said: it holds'}"
    )
    return not missed


def _plan_of(guests: int, short: bool, seed: int, solver: bool) -> tuple[float, t.Any]:
    """Return the CPU seconds that a plan takes, those of the solver's processes included, and the plan."""
    facts, drained = planted(guests, 0.8, short, seed)
    fleet = read_fleet(facts)
    request = Request(requested(fleet, drained, None), sorted(fleet.hosts.keys() - drained))
    without_it = mock.patch.object(solution, "improve", return_value=None)
    before = sum(os.times()[:4])
    with contextlib.nullcontext() if solver else without_it:
        plan = make_plan(fleet, request)
    return sum(os.times()[:4]) - before, plan


def _compared(one: dict[str, t.Any], other: dict[str, t.Any]) -> str:
    """Return how plan ``other`` compares with plan ``one``, and whether the bound of ``one`` holds."""
    cost, better, bound = one["cost"], other["cost"], one["bound"]
    name = next((name for name in cost if cost[name] != better[name]), None)
    if name is None:
        return f"as good and {other['status']}"
    return f"better and {other['status']}" if bound[name] <= better[name] < cost[name] else "MISSED"
