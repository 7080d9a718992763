# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tiny fleets with hardly enough room, and requests of any kind, drawn by chance."""

from __future__ import annotations

import itertools
import random
import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import read_fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import (
    Conditions,
    Request,
    requested,
)
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import ConcurrentMoves
from ansible_collections.vfio.migration.tests.unit.fleets import (
    device,
    gvt,
    host,
    parent,
    vf,
)

# Between the hosts a and b and all others, one guest at a time moves.
LINKS: ConcurrentMoves = {"hosts": {"c": 2}, "links": {"ab": {"hosts": ["a", "b"], "moves": 1}}}
PARENTS = ("0000:00:02.0", "0000:00:03.0")


def capacity(
    chance: random.Random, hosts: t.Sequence[str], guests: t.Sequence[str]
) -> dict[str, t.Any]:
    """Draw what hosts have free and what guests take of it; of some nothing is stated."""
    return {
        "hosts": {
            name: {"memory": chance.randint(0, 8), "cpus": chance.randint(2, 9)}
            for name in hosts
            if chance.random() < 0.9
        },
        "guests": {
            name: {"memory": chance.randint(1, 5), "cpus": chance.randint(0, 4)}
            for name in guests
            if chance.random() < 0.8
        },
    }


def domains(chance: random.Random, hosts: t.Sequence[str]) -> dict[str, list[str]]:
    """Draw failure domains: none, one of some hosts, or two that may have a host in common."""
    count = chance.choice((0, 0, 1, 2))
    return {
        f"rack-{number}": sorted(chance.sample(hosts, chance.randint(1, len(hosts))))
        for number in range(count)
    }


def cloud(chance: random.Random, facts: dict[str, t.Any]) -> None:
    """Draw devices that do not support P2P or cannot migrate at all, those of which nobody knows the holder, and a host without facts."""
    for each in itertools.chain.from_iterable(found["devices"] for found in facts.values()):
        if chance.random() < 0.8:
            each["migration"] = {
                "supported": chance.random() < 0.95,
                "evidence": "debugfs",
                "features": ["stop-copy"] + ["p2p"] * (chance.random() < 0.6),
                "state": None,
            }
        if chance.random() < 0.1:
            each["in_use"] = {"pid": None, "name": None}
    if chance.random() < 0.6:
        facts["z"] = {}


def drawn(chance: random.Random, unknown: bool = False) -> tuple[dict[str, t.Any], Request]:
    """Draw a tiny fleet with hardly enough room, and a request of any kind.

    With what is ``unknown`` not all can migrate either, and of some of it the facts do not tell.
    """
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
    if unknown:
        cloud(chance, facts)
    fleet = read_fleet(facts)
    held = sorted({d.in_use.name for d in fleet.devices() if d.in_use and d.in_use.name})
    sources = None if drain else chance.sample(held, min(len(held), chance.randint(1, 5)))
    drained = ["a"] if drain else None
    guests = requested(fleet, drained, sources)
    vms = sorted({guest.name for guest in guests if guest.name})
    targets = [name for name in fleet.hosts if name not in (drained or ())]
    apart = chance.choice(((), (), (vms,), (vms[:2], vms[1:])))
    policy = chance.choice(("pack", "pack", "spread"))
    taken = chance.choice(({}, {}, capacity(chance, targets, vms)))
    conditions = Conditions(
        drain=drained,
        reuse=reuse,
        policy=policy,
        limit=chance.choice((None, None, None, 2, {"b": 1})),
        capacity=taken,
        spare={"memory": chance.randint(0, 3)} if taken and chance.random() < 0.5 else {},
        apart=apart,
        failure_domains=domains(chance, sorted(facts)) if apart or policy == "spread" else {},
        prefer=chance.sample(targets, chance.randint(0, len(targets) - 1) if targets else 0)
        if chance.random() < 0.3
        else [],
        numa_local=chance.random() < 0.2,
        keep_kind=chance.random() < 0.2,
        keep_type=chance.random() < 0.2,
        concurrent_moves=chance.choice(({}, {}, {}, {"host": 1}, LINKS)),
    )
    return facts, Request(guests, targets, conditions)


def of_a_search(drawn: Conditions) -> Conditions:
    """Return those of the conditions drawn that a search for places has, too, wherever guests are."""
    return Conditions(
        apart=drawn.apart,
        failure_domains=drawn.failure_domains,
        limit=drawn.limit,
        capacity=drawn.capacity,
        spare=drawn.spare,
        numa_local=drawn.numa_local,
        keep_kind=drawn.keep_kind,
        keep_type=drawn.keep_type,
    )
