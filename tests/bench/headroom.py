# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Headroom of fleets of full hosts with some, few and no empty ones, in CPU seconds beside one plan that drains one of them."""

from __future__ import annotations

import os
import sys
import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import read_fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.headroom import headroom
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.planner import (
    make_plan,
    no_progress,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import (
    Conditions,
    Request,
    requested,
)
from ansible_collections.vfio.migration.tests.bench.planted import planted

# Guests on full hosts, eight on each, and how many empty hosts there are beside these.
CASES = ((38_000, 250), (38_000, 30), (38_000, 0))
SMOKE = ((400, 20), (400, 3), (400, 0))
BAR = 60.0


def report(smoke: bool) -> bool:
    """Print what headroom takes, and return whether every row holds; ``smoke``: small fleets, of which times do not matter."""
    print("\nHeadroom, every host by itself, in CPU seconds:")
    print(
        f"  {'hosts':>6} {'empty':>5} {'emptied':>7} {'infeasible':>10} {'unproven':>8}"
        f" {'headroom':>8} {'bar':>5} {'one drain':>9}  verdict"
    )
    rows = [_report(*case, smoke) for case in (SMOKE if smoke else CASES)]
    return all(rows)


def _report(guests: int, empty: int, smoke: bool) -> bool:
    facts, drained = planted(guests, 0.9)
    targets = [name for name in facts if name not in {*drained}]
    facts = {name: facts[name] for name in [*drained, *targets[:empty]]}
    started = _seconds()
    fleet = read_fleet(facts)
    found = headroom(fleet, Conditions(), no_progress)
    taken = _seconds() - started
    conditions = Conditions(drain=drained[:1])
    started = _seconds()
    plan = make_plan(
        fleet, Request(requested(fleet, drained[:1], None), conditions.hosts(fleet), conditions)
    )
    one = _seconds() - started
    counts: t.Any = found["hosts"]
    missed = [] if smoke or taken <= BAR else [f"{taken - BAR:.1f} s over the bar"]
    if not plan["unplaced"] and drained[0] in _short(found):
        missed.append(f"{drained[0]} can be drained")
    print(
        f"  {len(facts):6} {empty:5} {counts['emptied']:7} {counts['infeasible']:10} {counts['unproven']:8}"
        f" {taken:6.1f} s {BAR:3.0f} s {one:7.2f} s  {'MISSED: ' + '; '.join(missed) if missed else 'holds'}",
        flush=True,
    )
    return not missed


def _short(found: t.Any) -> set[str]:
    return {each["name"] for cause in found["causes"] for each in cause["subjects"]}


def _seconds() -> float:
    return sum(os.times()[:4])


if __name__ == "__main__":
    sys.exit(not report(smoke="--smoke" in sys.argv))
