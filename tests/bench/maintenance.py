# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rolling maintenance of hosts with 16 guests each, in CPU seconds beside plans that drain one of them, and all of them at once."""

from __future__ import annotations

import sys
import time
import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.maintenance_options import (
    maintenance_for,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.plan_options import plan_for
from ansible_collections.vfio.migration.tests.unit.fleets import device, gvt, host, parent, vf

HOSTS = 100
GUESTS = 16
# Times what it takes to plan all moves at once.
TIMES = 10.0
PARENTS = tuple(f"0000:00:0{number}.0" for number in range(2, 6))
SIZES = (1, 2, 4, 8)

Facts = dict[str, t.Any]


def report(smoke: bool) -> bool:
    """Print what rolling maintenance takes, and return whether every row holds; ``smoke``: few hosts, of which times do not matter."""
    hosts = 10 if smoke else HOSTS
    print(f"\nRolling maintenance of {hosts} hosts with {GUESTS} guests each, in CPU seconds:")
    print(
        f"  {'devices':<22} {'moves':>6} {'rolling':>8} {'all at once':>12} {'times':>6} {'bar':>5}"
        f" {'one drain':>10} {'times':>6}  verdict"
    )
    cases = {
        "functions, one spare": (_functions, 1),
        "mdevs, one spare": (_mdevs, 1),
        "functions, four free": (_spread, 0),
    }
    rows = [_report(name, *case, hosts, smoke) for name, case in cases.items()]
    return all(rows)


def _report(
    name: str, make: t.Callable[[int, bool], Facts], spare: int, count: int, smoke: bool
) -> bool:
    full = {f"host{number:03}": make(number, False) for number in range(count)}
    facts = full | {f"spare{number}": make(number, True) for number in range(spare)}
    started = time.process_time()
    plan = maintenance_for(facts, [*full])
    taken = time.process_time() - started
    one = _timed(facts, ["host000"])
    empty = {f"empty{number:03}": make(number, True) for number in range(count)}
    whole = _timed(full | empty, [*full])
    missed = []
    if plan["status"] != "optimal":
        missed.append(f"it is {plan['status']} with {plan['moves']:,} moves")
    if not smoke and taken > TIMES * whole:
        missed.append(f"{taken / whole:.1f} times, over the bar")
    print(
        f"  {name:<22} {plan['moves']:6,} {taken:6.2f} s {whole:10.2f} s {taken / whole:6.1f} {TIMES:5.1f}"
        f" {one:8.3f} s {taken / one:6.1f}  {'MISSED: ' + '; '.join(missed) if missed else 'holds'}",
        flush=True,
    )
    return not missed


def _timed(facts: Facts, drained: list[str]) -> float:
    started = time.process_time()
    plan_for(facts, drained)
    return time.process_time() - started


def _functions(number: int, free: bool) -> Facts:
    vms = [None if free else f"vm-{number}-{index}" for index in range(GUESTS)]
    return host([vf(index, vm, pid=index + 1) for index, vm in enumerate(vms)])


def _spread(number: int, free: bool) -> Facts:
    """Return a host with four free functions beside those of its guests."""
    vms = [None if free else f"vm-{number}-{index}" for index in range(GUESTS)]
    return host([vf(index, vm, pid=index + 1) for index, vm in enumerate([*vms, *[None] * 4])])


def _mdevs(number: int, free: bool) -> Facts:
    available = {f"i915-GVTg_V5_{size}": size * 2 if free else 0 for size in SIZES}
    devices = [
        device(
            f"{number:08x}-{index:04x}-4222-8333-444444444444",
            gvt("4", "2"),
            f"vm-{number}-{index}",
            index + 1,
            parent=PARENTS[index // 4],
        )
        for index in range(0 if free else GUESTS)
    ]
    return host(devices, [parent(each, available=available) for each in PARENTS])


if __name__ == "__main__":
    sys.exit(not report(smoke="--smoke" in sys.argv))
