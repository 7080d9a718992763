# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Measures plans for fleets of which it is known that every guest has a place.

Each row is measured in a process of its own: run it as
``python -m ansible_collections.vfio.migration.tests.bench.plans``, with ``--smoke`` to see only that results are right.

Seconds are CPU seconds, which are more where others keep the machine busy: so the least of some rounds, and beside
it what writing the plan as JSON takes in the same run, which is what no planner does without.
"""

from __future__ import annotations

import dataclasses
import functools
import gc
import hashlib
import json
import os
import resource
import subprocess
import sys
import typing as t
from collections import Counter
from fractions import Fraction

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.drivers import (
    driver_profile,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.candidates import Candidates
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import (
    Device,
    Fleet,
    Host,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import (
    read_fleet,
    uncollected,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.search import Budget
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.planner import make_plan
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import (
    Conditions,
    Guest,
    Request,
    requested,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify import violations
from ansible_collections.vfio.migration.tests.bench import (
    damaged,
    growth,
    headroom,
    maintenance,
    rebalance,
    solver,
)
from ansible_collections.vfio.migration.tests.bench.planted import (
    SEED,
    Facts,
    carried_out,
    planted,
)


@dataclasses.dataclass(frozen=True)
class Case:
    """One row: so many guests, at which use of the targets; with ``short`` one VF too few is there.

    ``share`` of the devices must be placed, in at most ``seconds``. ``steps`` are those of the exact search.
    """

    guests: int
    use: float
    share: float = 1.0
    seconds: float | None = None
    short: bool = False
    steps: int | None = None
    rounds: int = 1
    seed: int = SEED


@dataclasses.dataclass
class Result:
    """What was measured: CPU seconds of each part, megabytes, and what the plan says."""

    hosts: int
    devices: int
    placed: int
    status: str
    shortage: tuple[int, int] | None
    cost: dict[str, int]
    bound: dict[str, int] | None
    read: float
    planned: float
    verified: float
    written: float
    memory: float
    digest: str


CASES = (
    Case(10_000, 0.87, seconds=1, rounds=3),
    Case(10_000, 0.93, seconds=4, rounds=3),
    Case(10_000, 0.97, seconds=15, rounds=3),
    Case(100_000, 0.87, share=0.995, seconds=10),
)
SHORT = tuple(
    Case(guests, 0.87, share=0.97, short=True) for guests in (100, 1_000, 10_000, 100_000)
)
SMOKE = (Case(200, 0.85),)
SHORT_SMOKE = (Case(200, 0.85, share=0.97, short=True),)
AGAIN = Case(10_000, 0.93)
SMALL = tuple(Case(guests, 0.8, seed=guests) for guests in range(4, 13))
NAIVE_GUESTS = 1_000
CARRIED_OUT = (100, 1_000, 10_000)
CARRIED_OUT_ROUNDS = 3
# Times what the first plan takes: what it has had made is there to be read as well.
CARRIED_OUT_TIMES = 1.25


def main(smoke: bool = False) -> bool:
    """Print the tables, and return whether every row holds; ``smoke``: small ones, of which times do not matter."""
    holds = [
        _report_cases(SMOKE if smoke else CASES),
        _report_short(SHORT_SMOKE if smoke else SHORT),
        _report_identity(dataclasses.replace(AGAIN, guests=100) if smoke else AGAIN),
        _report_carried_out((200,) if smoke else CARRIED_OUT, smoke),
        growth.report(smoke),
        headroom.report(smoke),
        maintenance.report(smoke),
        rebalance.report(smoke),
        _report_naive(50 if smoke else NAIVE_GUESTS),
        _report_exact(SMALL[:3] if smoke else SMALL),
        solver.report(solver.SMALL[:3] if smoke else (*solver.SMALL, *solver.MIDDLE)),
        damaged.report(200 if smoke else 10_000),
    ]
    return all(holds)


# --- tables ---


def _report_cases(cases: t.Iterable[Case]) -> bool:
    print("\nPlans of fleets with a known place for every guest, in CPU seconds:")
    print(
        f"  {'guests':>7} {'devices':>8} {'hosts':>6} {'use':>4}  {'placed':>8} {'bar':>6}"
        f" {'read':>7} {'plan':>7} {'bar':>5} {'JSON':>7} {'verify':>7} {'memory':>8}  verdict"
    )
    holds = [_report(case) for case in cases]
    return all(holds)


def _report(case: Case) -> bool:
    result = _measure_apart(case)
    share = result.placed / result.devices
    missed = []
    if share < case.share:
        missed.append(f"{case.share - share:.3%} of the devices too few")
    if case.seconds is not None and result.planned > case.seconds:
        over, times = result.planned - case.seconds, result.planned / result.written
        missed.append(f"{over:.2f} s, at {times:.1f} times what its JSON takes")
    most = "" if case.seconds is None else f"{case.seconds:g} s"
    print(
        f"  {case.guests:7} {result.devices:8} {result.hosts:6} {case.use:4.0%}  {share:8.3%} {case.share:6.1%}"
        f" {result.read:5.2f} s {result.planned:5.2f} s {most:>5} {result.written:5.2f} s"
        f" {result.verified:5.2f} s {result.memory:5.0f} MB  {_verdict(missed)}"
    )
    bound = result.bound or {}
    least = ", ".join(
        f"{name} {number} (at least {bound.get(name, 'unknown')})"
        for name, number in result.cost.items()
    )
    print(f"  {'':7} {result.status}: {least}", flush=True)
    return not missed


def _verdict(missed: t.Sequence[str]) -> str:
    return f"MISSED by {'; '.join(missed)}" if missed else "holds"


def _report_short(cases: t.Iterable[Case]) -> bool:
    """Plan with one place less than devices that need one: the plan must prove the shortage to the device."""
    print("\nFleets with one VF too few for one family, in CPU seconds:")
    print(f"  {'guests':>7} {'need':>6} {'reachable':>9}  {'placed':>8} {'plan':>7}  verdict")
    holds = True
    for case in cases:
        result = _measure_apart(case)
        need, reachable = result.shortage or (0, 0)
        missed = []
        if need - reachable != 1:
            missed.append(f"{abs(need - reachable - 1)} in the proof")
        if result.status != "infeasible":
            missed.append(f"its status: {result.status}")
        print(
            f"  {case.guests:7} {need:6} {reachable:9}  {result.placed / result.devices:8.3%}"
            f" {result.planned:5.2f} s  {_verdict(missed)}",
            flush=True,
        )
        holds = holds and not missed
    return holds


def _report_identity(case: Case) -> bool:
    first, second = (_measure_apart(case, hash_seed=seed).digest for seed in ("1", "2"))
    verdict = "the same bytes, it holds" if first == second else "MISSED: DIFFERENT bytes"
    print(f"\nTwo runs with {case.guests} guests, each with its own hash seed: {verdict}.")
    print(f"  {first[:32]}\n  {second[:32]}", flush=True)
    return first == second


def _report_naive(guests: int) -> bool:
    facts, drained = planted(guests, 0.87)
    fleet, request = _asked(facts, drained)
    ours, plan = _timed(lambda: make_plan(fleet, request))
    naive, placed = _timed(lambda: first_fit(fleet, request))
    print(
        f"\nFirst fit, each guest on each host in turn, {guests} guests on {len(request.targets)} hosts:"
        f"\n  {naive:.2f} s, places {placed} of them; the planner {ours:.2f} s,"
        f" {guests - _guests_left(plan)}: {naive / ours:.0f} times as fast",
        flush=True,
    )
    return _guests_left(plan) <= guests - placed


def _report_carried_out(sizes: t.Iterable[int], smoke: bool) -> bool:
    """Plan again once all targets of a plan are made: the same plan, and hardly slower."""
    print("\nPlans of fleets in which the targets of a first plan are made, in CPU seconds:")
    print(f"  {'guests':>7} {'placed':>8} {'first':>7} {'again':>7} {'the same':>8}  verdict")
    holds = True
    for guests in sizes:
        facts, drained = planted(guests, 0.87)
        first, plan = _planned(facts, drained)
        facts = carried_out(facts, plan)
        again, second = _planned(facts, drained)
        broken = violations(second, facts, Conditions(drain=drained))
        if broken:
            sys.exit("\n".join(broken))
        before, after = _ends(plan), _ends(second)
        same = len(before & after)
        missed = []
        if not same == len(before) == len(after):
            missed.append(f"{len(before) - same} devices that go elsewhere")
        if again > CARRIED_OUT_TIMES * first and not smoke:
            missed.append(f"{again / first - CARRIED_OUT_TIMES:.2f} times the first plan")
        print(
            f"  {guests:7} {len(after):8} {first:5.2f} s {again:5.2f} s {same:8}  {_verdict(missed)}",
            flush=True,
        )
        holds = holds and not missed
    return holds


def _planned(facts: Facts, drained: list[str]) -> tuple[float, t.Any]:
    """Return the least CPU seconds that planning takes in some rounds, and the plan."""
    asked = [_asked(facts, drained) for _round in range(CARRIED_OUT_ROUNDS)]
    rounds = [_timed(functools.partial(make_plan, *each)) for each in asked]
    return min(seconds for seconds, plan in rounds), rounds[0][1]


def _ends(plan: dict[str, t.Any]) -> set[tuple[str, ...]]:
    """Return each device and where it goes."""
    return {
        tuple(each[end][name] for end in ("source", "target") for name in ("host", "id"))
        for each in plan["placements"]
    }


def _report_exact(cases: t.Sequence[Case]) -> bool:
    """Compare what the search finds without its exact part with what that proves to be the best."""
    proved = []
    for case in cases:
        best = measure(case)
        if best.status == "optimal":
            proved.append((measure(dataclasses.replace(case, steps=0)), best))
    print(f"\nAgainst the exact search, {len(cases)} fleets of {cases[0].guests} guests and more:")
    without, with_it = (Counter[str](), Counter[str]())
    for one, best in proved:
        without.update(one.cost)
        with_it.update(best.cost)
    for name, number in with_it.items():
        print(f"  {name:12} {without[name]:5} without, {number:5} with it")
    print(f"  {len(proved)} of {len(cases)} are proved to be the best", flush=True)
    return bool(proved) and all(one.placed <= best.placed for one, best in proved)


# --- measuring ---


def _measure_apart(case: Case, hash_seed: str = "0") -> Result:
    """Measure in a process of its own, so that memory is that of this row."""
    command = [sys.executable, __file__, json.dumps(dataclasses.asdict(case))]
    environment = os.environ | {"PYTHONHASHSEED": hash_seed}
    done = subprocess.run(command, stdout=subprocess.PIPE, env=environment, check=True)
    return Result(**json.loads(done.stdout))


def measure(case: Case) -> Result:
    """Plan one fleet, some rounds of it; exits where the verifier finds anything wrong with the plan."""
    facts, drained = planted(case.guests, case.use, case.short, case.seed)
    # What made the fleet is none of the planner's garbage.
    gc.collect()
    gc.freeze()
    budget = Budget() if case.steps is None else Budget(steps=case.steps)
    reading, planning = [], []
    # As the action and the filters do it.
    with uncollected():
        for _round in range(case.rounds):
            read, (fleet, request) = _timed(functools.partial(_asked, facts, drained))
            planned, plan = _timed(functools.partial(make_plan, fleet, request, budget))
            reading.append(read)
            planning.append(planned)
        verified, broken = _timed(lambda: violations(plan, facts, Conditions(drain=drained)))
    if broken:
        sys.exit("\n".join(broken))
    # What writing takes beside is none of the planner's.
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    written, text = _timed(lambda: json.dumps(plan, sort_keys=True))
    shortage, cost, bound = plan["shortage"], plan["cost"], plan["bound"]
    return Result(
        hosts=len(request.targets),
        devices=sum(len(guest.devices) for guest in request.guests),
        placed=len(plan["placements"]),
        status=plan["status"],
        shortage=shortage and (shortage["need"], shortage["reachable"]),
        cost=t.cast(dict[str, int], cost),
        bound=t.cast("dict[str, int] | None", bound),
        read=min(reading),
        planned=min(planning),
        verified=verified,
        written=written,
        memory=memory,
        digest=hashlib.sha256(text.encode()).hexdigest(),
    )


def _asked(facts: Facts, drained: list[str]) -> tuple[Fleet, Request]:
    fleet = read_fleet(facts)
    targets = sorted(fleet.hosts.keys() - drained)
    return fleet, Request(requested(fleet, drained, None), targets)


_T = t.TypeVar("_T")


def _timed(work: t.Callable[[], _T]) -> tuple[float, _T]:
    """Return the CPU seconds of this process and its children: others on the machine matter less to these."""
    before = sum(os.times()[:4])
    result = work()
    return sum(os.times()[:4]) - before, result


def _guests_left(plan: t.Mapping[str, t.Any]) -> int:
    return len({(each["source"]["host"], each["vm"]) for each in plan["unplaced"]})


# --- first fit ---


def first_fit(fleet: Fleet, request: Request) -> int:
    """Return how many guests find a place where each takes the first host that has room; nothing is remembered of hosts."""
    hosts = [_Filled(fleet.hosts[name]) for name in request.targets]
    candidates = Candidates(fleet, request.conditions.direction)
    return sum(any(host.take(guest, candidates) for host in hosts) for guest in request.guests)


class _Filled:
    """A host and what is left of it."""

    def __init__(self, host: Host) -> None:
        self._parents = host.parents
        self._free = [device for device in host.devices if device.in_use is None]
        self._made: dict[tuple[str, str], Fraction] = {}

    def take(self, guest: Guest, candidates: Candidates) -> bool:
        """Take all devices of ``guest`` in, or none."""
        before = self._free[:], self._made.copy()
        if all(self._take_one(device, candidates) for device in guest.devices):
            return True
        self._free, self._made = before
        return False

    def _take_one(self, device: Device, candidates: Candidates) -> bool:
        for free in self._free:
            existing = candidates.existing(device, free)
            if existing is not None and existing.compatible:
                self._free.remove(free)
                return True
        return any(
            self._make(parent.id, parent.driver, mdev_type.id, part)
            for parent in self._parents
            for mdev_type in parent.types
            if (made := candidates.creatable(device, parent, mdev_type)) and made.compatible
            for part in [Fraction(made.instances, mdev_type.available_instances)]
        )

    def _make(self, parent: str, driver: str | None, mdev_type: str, part: Fraction) -> bool:
        types = {name: used for (of, name), used in self._made.items() if of == parent}
        if types.keys() - {mdev_type} and not driver_profile("mdev", driver).proportional:
            return False
        if sum(types.values()) + part > 1:
            return False
        self._made[(parent, mdev_type)] = types.get(mdev_type, Fraction(0)) + part
        return True


if __name__ == "__main__":
    if len(sys.argv) == 2 and sys.argv[1] != "--smoke":
        print(json.dumps(dataclasses.asdict(measure(Case(**json.loads(sys.argv[1]))))))
    else:
        sys.exit(not main(smoke="--smoke" in sys.argv))
