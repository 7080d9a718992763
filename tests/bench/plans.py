# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Measures plans for fleets of which it is known that every guest has a place.

Full hosts of two parents with eight units each and up to eight free virtual functions (VFs) are cut into guests of
one to four mediated devices and up to four VFs; further hosts that are empty set the use. Parents of three of the
six families make one type at a time, those of the other three (i915) share in proportion, and their guests may go to
the family that follows as well. Each row is measured in a process of its own: run it as
``python -m ansible_collections.vfio.migration.tests.bench.plans``, with ``--smoke`` to see only that results are right.
"""

from __future__ import annotations

import dataclasses
import functools
import gc
import hashlib
import json
import os
import random
import resource
import subprocess
import sys
import typing as t
from collections import Counter, defaultdict
from fractions import Fraction

from ansible_collections.vfio.migration.plugins.plugin_utils._candidates import (
    Candidates,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet import (
    PROPORTIONAL,
    Device,
    Fleet,
    Host,
    read_fleet,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plan import make_plan
from ansible_collections.vfio.migration.plugins.plugin_utils._request import (
    Guest,
    Request,
    requested,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._search import Budget
from ansible_collections.vfio.migration.plugins.plugin_utils._verifier import (
    Conditions,
    violations,
)

FAMILIES = 6
PARENTS = ("0000:02:00.0", "0000:03:00.0")
UNITS = 8
SIZES = (1, 2, 4, 8)
MOST_VFS = 8
GUESTS_PER_SOURCE = 8
_SEED = 20200819

Facts = dict[str, t.Any]


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
    seed: int = _SEED


@dataclasses.dataclass
class Result:
    """What was measured: CPU seconds of each part, megabytes, and what the plan says."""

    hosts: int
    devices: int
    placed: int
    status: str
    shortage: tuple[int, int] | None
    cost: tuple[int, int, int]
    read: float
    planned: float
    verified: float
    memory: float
    digest: str


CASES = (
    Case(10_000, 0.87, seconds=1),
    Case(10_000, 0.93, seconds=4),
    Case(10_000, 0.97, seconds=15),
    Case(100_000, 0.87, share=0.995, seconds=10),
    Case(10_000, 0.87, short=True),
)
SMOKE = (
    Case(200, 0.85),
    Case(200, 0.85, share=0.97, short=True),
)
AGAIN = Case(1_000, 0.93)
SMALL = tuple(Case(guests, 0.8, seed=guests) for guests in range(4, 13))
NAIVE_GUESTS = 1_000


def main(smoke: bool = False) -> bool:
    """Print the tables, and return whether every row holds; ``smoke``: small ones, of which times do not matter."""
    holds = [_report(case) for case in _with_header(SMOKE if smoke else CASES)]
    again = dataclasses.replace(AGAIN, guests=100) if smoke else AGAIN
    holds.append(_report_identity(again))
    holds.append(_report_naive(50 if smoke else NAIVE_GUESTS))
    holds.append(_report_exact(SMALL[:3] if smoke else SMALL))
    return all(holds)


# --- tables ---


def _with_header(cases: t.Iterable[Case]) -> t.Iterator[Case]:
    print(
        "\nPlans of fleets with a known place for every guest; CPU seconds, and the bar in brackets:"
    )
    print(
        f"  {'guests':>7} {'devices':>8} {'hosts':>6} {'use':>4}  {'placed':>8}"
        f" {'read':>7} {'plan':>13} {'verify':>7} {'memory':>8}  status"
    )
    yield from cases


def _report(case: Case) -> bool:
    result = _measure_apart(case)
    share = result.placed / result.devices
    most = "" if case.seconds is None else f" ({case.seconds:g} s)"
    found = ""
    holds = share >= case.share and (case.seconds is None or result.planned <= case.seconds)
    if case.short:
        found = f": need {result.shortage and result.shortage[0]}, reachable"
        found += f" {result.shortage and result.shortage[1]}"
        holds = result.shortage is not None and result.shortage[0] - result.shortage[1] == 1
        holds = holds and result.status == "infeasible"
    print(
        f"  {case.guests:7} {result.devices:8} {result.hosts:6} {case.use:4.0%}  {share:8.3%}"
        f" {result.read:5.2f} s {f'{result.planned:.2f} s{most}':>13} {result.verified:5.2f} s"
        f" {result.memory:5.0f} MB  {result.status}{found}{'' if holds else '  MISSED'}",
        flush=True,
    )
    return holds


def _report_identity(case: Case) -> bool:
    first, second = (_measure_apart(case, hash_seed=seed).digest for seed in ("1", "2"))
    verdict = "the same bytes" if first == second else "DIFFERENT bytes"
    print(f"\nTwo runs with {case.guests} guests, each with its own hash seed: {verdict}.")
    return first == second


def _report_naive(guests: int) -> bool:
    facts, drained = planted(Case(guests, 0.87))
    fleet, request = _asked(facts, drained)
    ours, plan = _timed(lambda: make_plan(fleet, request))
    naive, placed = _timed(lambda: first_fit(fleet, request))
    print(
        f"\nFirst fit, each guest on each host in turn, {guests} guests on {len(request.targets)} hosts:"
        f"\n  {naive:.2f} s, places {placed} of them; the planner {ours:.2f} s,"
        f" {guests - _guests_left(plan)}: {naive / ours:.0f} times as fast"
    )
    return _guests_left(plan) <= guests - placed


def _report_exact(cases: t.Sequence[Case]) -> bool:
    """Compare what the search finds without its exact part with what that proves to be the best."""
    proved = []
    for case in cases:
        best = measure(case)
        if best.status == "optimal":
            proved.append((measure(dataclasses.replace(case, steps=0)), best))
    print(f"\nAgainst the exact search, {len(cases)} fleets of {cases[0].guests} guests and more:")
    for place, name in enumerate(("devices to make", "parents to open", "devices of another type")):
        without, with_it = (sum(pair[n].cost[place] for pair in proved) for n in (0, 1))
        print(f"  {name:24} {without:5} without, {with_it:5} with it")
    print(f"  {len(proved)} of {len(cases)} are proved to be the best")
    return bool(proved) and all(one.placed <= best.placed for one, best in proved)


# --- measuring ---


def _measure_apart(case: Case, hash_seed: str = "0") -> Result:
    """Measure in a process of its own, so that memory is that of this row."""
    command = [sys.executable, __file__, json.dumps(dataclasses.asdict(case))]
    environment = os.environ | {"PYTHONHASHSEED": hash_seed}
    done = subprocess.run(command, stdout=subprocess.PIPE, env=environment, check=True)
    return Result(**json.loads(done.stdout))


def measure(case: Case) -> Result:
    """Plan one fleet; exits where the verifier finds anything wrong with the plan."""
    facts, drained = planted(case)
    # What made the fleet is none of the planner's garbage.
    gc.collect()
    gc.freeze()
    read, (fleet, request) = _timed(lambda: _asked(facts, drained))
    budget = Budget() if case.steps is None else Budget(steps=case.steps)
    planned, plan = _timed(lambda: make_plan(fleet, request, budget))
    verified, broken = _timed(lambda: violations(plan, facts, Conditions(drain=drained)))
    if broken:
        sys.exit("\n".join(broken))
    shortage = plan["shortage"]
    text = json.dumps(plan, sort_keys=True)
    return Result(
        hosts=len(request.targets),
        devices=sum(len(guest.devices) for guest in request.guests),
        placed=len(plan["placements"]),
        status=plan["status"],
        shortage=shortage and (shortage["need"], shortage["reachable"]),
        cost=_cost(plan, fleet),
        read=read,
        planned=planned,
        verified=verified,
        memory=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        digest=hashlib.sha256(text.encode()).hexdigest(),
    )


def _asked(facts: Facts, drained: list[str]) -> tuple[Fleet, Request]:
    fleet = read_fleet(facts)
    drains = set(drained)
    targets = [name for name in fleet.hosts if name not in drains]
    return fleet, Request(requested(fleet, drained, None), targets)


_T = t.TypeVar("_T")


def _timed(work: t.Callable[[], _T]) -> tuple[float, _T]:
    """CPU seconds of this process and its children: others on the machine matter less to these."""
    before = sum(os.times()[:4])
    result = work()
    return sum(os.times()[:4]) - before, result


def _guests_left(plan: dict[str, t.Any]) -> int:
    return len({(each["source"]["host"], each["vm"]) for each in plan["unplaced"]})


def _cost(plan: dict[str, t.Any], fleet: Fleet) -> tuple[int, int, int]:
    """What the plan makes, how many parents it opens, and how many devices change their type."""
    types = {device.key: device.type for device in fleet.devices()}
    made = [each for each in plan["placements"] if each["target"]["create"]]
    opened = {(each["target"]["host"], each["target"]["parent"]) for each in made}
    others = [
        each
        for each in plan["placements"]
        if types[(each["source"]["host"], each["source"]["id"])] != each["target"]["type"]
    ]
    return len(made), len(opened), len(others)


# --- first fit ---


def first_fit(fleet: Fleet, request: Request) -> int:
    """How many guests find a place where each takes the first host that has room; nothing is remembered of hosts."""
    hosts = [_Filled(fleet.hosts[name]) for name in request.targets]
    candidates = Candidates(fleet, request.direction)
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
        if types.keys() - {mdev_type} and driver not in PROPORTIONAL:
            return False
        if sum(types.values()) + part > 1:
            return False
        self._made[(parent, mdev_type)] = types.get(mdev_type, Fraction(0)) + part
        return True


# --- fleets ---


def planted(case: Case) -> tuple[Facts, list[str]]:
    """The facts of a fleet in which every guest has a place, and the hosts to drain."""
    chance = random.Random(case.seed)
    guests: dict[int, list[tuple[list[int], int]]] = defaultdict(list)
    targets: list[tuple[int, int]] = []
    count = 0
    while count < case.guests:
        family, vfs, cut = _full_host(chance)
        for sizes, functions in cut[: case.guests - count]:
            # For the shortage to be of one, no VF of another family may take one away.
            moved = family % 2 == 0 and not case.short and chance.random() < 0.3
            guests[(family - 1) % FAMILIES if moved else family].append((sizes, functions))
        targets.append((family, vfs))
        count += len(cut)
    targets += [
        (chance.randrange(FAMILIES), chance.randint(0, MOST_VFS))
        for _empty in range(round(len(targets) / case.use) - len(targets))
    ]
    if case.short:
        needed = sum(functions for sizes, functions in guests[0])
        targets = _with_vfs(targets, 0, needed - 1)
    chance.shuffle(targets)
    facts: Facts = {f"target{n:05}": _target(*each) for n, each in enumerate(targets)}
    number = 0
    for family, of_family in sorted(guests.items()):
        chance.shuffle(of_family)
        for start in range(0, len(of_family), GUESTS_PER_SOURCE):
            together = of_family[start : start + GUESTS_PER_SOURCE]
            facts[f"source{number:05}"] = _source(family, number, together)
            number += 1
    return facts, [name for name in facts if name.startswith("source")]


def _full_host(chance: random.Random) -> tuple[int, int, list[tuple[list[int], int]]]:
    """A full host's family, its VFs, and its guests: the sizes of their devices and how many VFs they have."""
    family = chance.randrange(FAMILIES)
    sizes: list[int] = []
    for _parent in PARENTS:
        left = UNITS
        size = chance.choice(SIZES)
        while left:
            if family % 2:
                size = chance.choice([each for each in SIZES if each <= left])
            sizes.append(size)
            left -= size
    chance.shuffle(sizes)
    cut = []
    while sizes:
        count = chance.randint(1, 4)
        cut.append(sizes[:count])
        sizes = sizes[count:]
    functions = Counter(chance.choices(range(len(cut)), k=chance.randint(0, MOST_VFS)))
    guests = [(each, min(4, functions[n])) for n, each in enumerate(cut)]
    return family, sum(vfs for each, vfs in guests), guests


def _with_vfs(targets: list[tuple[int, int]], family: int, count: int) -> list[tuple[int, int]]:
    """The same hosts, but of those of one family the last ones without so many VFs that ``count`` are left."""
    result = []
    for of, vfs in targets:
        kept = min(vfs, count) if of == family else vfs
        count -= kept if of == family else 0
        result.append((of, kept))
    return result


def _attributes(family: int, size: int | None) -> dict[str, str]:
    """``self`` of a device of a family: of a size, or a VF."""
    return {
        "software_version": "1.0.0",
        "device_api": "vfio-pci",
        "type": f"vf{family}" if size is None else f"family{family}-{size}",
        "pci_id": f"{'1af4' if size is None else '8086'}{family:04x}",
    }


def _descriptor(family: int, size: int | None) -> dict[str, t.Any]:
    families = [family, (family + 1) % FAMILIES] if family % 2 else [family]
    return {
        "origin": "file",
        "self": _attributes(family, size),
        "compatible": [_attributes(each, size) for each in families],
    }


def _entry(
    family: int, size: int | None, index: int, number: int, holder: dict[str, t.Any] | None
) -> dict[str, t.Any]:
    """One device; ``index`` is its place on the host, and ``number`` the host's."""
    mdev = size is not None
    attributes = _attributes(family, size)
    return {
        "kind": "mdev" if mdev else "pci",
        "id": f"{number:08x}-{index:04x}-4000-8000-000000000000"
        if mdev
        else f"0000:81:{1 + index // 8:02x}.{index % 8}",
        "parent": PARENTS[0] if mdev else "0000:81:00.0",
        "type": attributes["type"],
        "descriptor": attributes["type"],
        "attributes": [],
        "numa_node": 0,
        "iommu_group": index,
        "driver": None,
        "in_use": holder,
        "migration": {"supported": True, "features": [], "state": None},
    }


def _parent(parent_id: str, family: int, used: bool = False) -> dict[str, t.Any]:
    return {
        "kind": "mdev",
        "id": parent_id,
        "driver": "i915" if family % 2 else "nvidia",
        "pci_id": _attributes(family, 1)["pci_id"],
        "numa_node": 0,
        "types": [
            {
                "id": _attributes(family, size)["type"],
                "name": None,
                "device_api": "vfio-pci",
                "available_instances": 0 if used else UNITS // size,
                "description": None,
            }
            for size in SIZES
        ],
    }


def _facts(
    family: int, devices: list[dict[str, t.Any]], parents: list[dict[str, t.Any]]
) -> dict[str, t.Any]:
    there = {device["descriptor"] for device in devices}
    return {
        "schema": 1,
        "descriptors": {
            name: _descriptor(family, size)
            for size in (*SIZES, None)
            if (name := _attributes(family, size)["type"]) in there
        },
        "devices": devices,
        "parents": parents,
        "problems": [],
    }


@functools.cache
def _target(family: int, vfs: int) -> dict[str, t.Any]:
    """A host with nothing in use. Hosts that are alike are one object, as facts name nothing but what they have."""
    devices = [_entry(family, None, index, 0, None) for index in range(vfs)]
    return _facts(family, devices, [_parent(each, family) for each in PARENTS])


def _source(family: int, number: int, guests: list[tuple[list[int], int]]) -> dict[str, t.Any]:
    devices: list[dict[str, t.Any]] = []
    for pid, (sizes, functions) in enumerate(guests, 1000):
        holder = {"pid": pid, "name": f"vm-{number}-{pid}"}
        for size in [*sizes, *[None] * functions]:
            devices.append(_entry(family, size, len(devices), number, holder))
    return _facts(family, devices, [_parent(PARENTS[0], family, used=True)])


if __name__ == "__main__":
    if len(sys.argv) == 2 and sys.argv[1] != "--smoke":
        print(json.dumps(dataclasses.asdict(measure(Case(**json.loads(sys.argv[1]))))))
    else:
        sys.exit(not main(smoke="--smoke" in sys.argv))
