# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rebalancing of hosts that are full by chance, in CPU seconds beside a plan that drains one of them."""

from __future__ import annotations

import random
import sys
import time
import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.plan_options import plan_for
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.rebalance_options import (
    rebalance_for,
)
from ansible_collections.vfio.migration.tests.unit.fleets import host, vf

FUNCTIONS = 16
# Hosts and moves.
CASES = ((10, 5), (100, 20), (1_000, 100))

Facts = dict[str, t.Any]


def report(smoke: bool) -> bool:
    """Print what rebalancing takes, and return whether every row holds; ``smoke``: few hosts."""
    print(f"\nRebalancing hosts with {FUNCTIONS} functions, in CPU seconds:")
    print(
        f"  {'hosts':>6} {'moves':>6} {'rebalance':>10} {'one drain':>10} {'times':>6}  {'sum of squares':<18} verdict"
    )
    rows = [_report(*case) for case in (CASES[:1] if smoke else CASES)]
    return all(rows)


def _report(hosts: int, moves: int) -> bool:
    chance = random.Random(hosts)
    facts = {f"host{number:04}": _host(number, chance) for number in range(hosts)}
    taken, found = _timed(lambda: rebalance_for(facts, moves))
    one, _plan = _timed(lambda: plan_for(facts, ["host0000"]))
    # Loads of one device each can be made as even as the bound has them.
    holds = bool(found["status"] == "optimal")
    print(
        f"  {hosts:6,} {moves:6,} {taken:8.2f} s {one:8.3f} s {taken / one:6.1f}"
        f"  {found['before']:,} to {found['after']:,}  {'holds' if holds else 'MISSED: ' + found['status']}",
        flush=True,
    )
    return holds


def _host(number: int, chance: random.Random) -> Facts:
    guests = chance.randint(0, FUNCTIONS)
    return host(
        [
            vf(index, f"vm-{number}-{index}", pid=index + 1) if index < guests else vf(index)
            for index in range(FUNCTIONS)
        ]
    )


def _timed(call: t.Callable[[], t.Any]) -> tuple[float, t.Any]:
    started = time.process_time()
    found = call()
    return time.process_time() - started, found


if __name__ == "__main__":
    sys.exit(not report(smoke="--smoke" in sys.argv))
