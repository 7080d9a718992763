# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Damages plans for random fleets in every way there is, of which the verifier must reject each one."""

from __future__ import annotations

import pickle
import random
from collections import Counter

from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import read_fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.planner import make_plan
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import (
    Avoided,
    Conditions,
    Request,
    requested,
)
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import ConcurrentMoves
from ansible_collections.vfio.migration.tests.bench.planted import SEED, planted
from ansible_collections.vfio.migration.tests.unit.damage import DAMAGE, Planned

# Of one kind, to one plan.
_MOST_DAMAGES = 12
# In so many plans each kind finds something to damage, or no plan that is drawn here ever has it.
_MOST_PLANS = 2_000


def report(least: int) -> bool:
    """Print how many damaged plans were rejected, at least so many of all kinds together, and whether all were."""
    chance = random.Random(SEED)
    tried: Counter[str] = Counter({each.__name__: 0 for each in DAMAGE})
    accepted: Counter[str] = Counter()
    plans = 0
    while plans < _MOST_PLANS and (tried.total() < least or not all(tried.values())):
        planned = _planned(chance)
        if not planned.plan["placements"]:
            continue
        plans += 1
        whole = pickle.dumps((planned.facts, planned.plan))
        for kind in DAMAGE:
            changes = list(kind(planned))
            for change in chance.sample(changes, min(len(changes), _MOST_DAMAGES)):
                facts, plan = pickle.loads(whole)
                damaged = Planned(facts, plan, planned.conditions)
                change(damaged)
                tried[kind.__name__] += 1
                accepted[kind.__name__] += not damaged.broken()
    untried = [name for name, count in tried.items() if not count]
    holds = not accepted.total() and not untried
    verdict = "all rejected, it holds" if holds else f"MISSED by {accepted.total()}"
    print(f"\n{tried.total()} damaged plans, made of {plans} sound ones: {verdict}.")
    for name, count in tried.items():
        wrong = f", {accepted[name]} NOT rejected" if accepted[name] else ""
        never = "" if count else ", NEVER tried"
        print(f"  {name.replace('_', ' '):24} {count:6}{wrong}{never}")
    return holds


def _planned(chance: random.Random) -> Planned:
    """Draw a small fleet and a request, and return the sound plan for them, with facts that nothing else shares."""
    shared, drained = planted(
        chance.randint(3, 7), chance.uniform(0.5, 1), seed=chance.getrandbits(32)
    )
    facts = {name: pickle.loads(pickle.dumps(each)) for name, each in shared.items()}
    fleet = read_fleet(facts)
    reuse = chance.random() < 0.4
    names = sorted({d.in_use.name for d in fleet.devices() if d.in_use and d.in_use.name})
    guests = requested(fleet, None if reuse else drained, names if reuse else None)
    targets = sorted(fleet.hosts if reuse else fleet.hosts.keys() - drained)
    at_a_time: tuple[ConcurrentMoves, ...] = ({}, {}, {"host": 1})
    avoid: dict[Avoided, str] = {}
    if chance.random() < 0.2:
        avoid[Avoided(chance.choice(targets))] = "it failed"
    conditions = Conditions(
        drain=() if reuse else drained,
        targets=targets,
        avoid=avoid,
        limit=chance.choice((None, None, 12, {chance.choice(targets): 3})),
        apart=chance.choice(((), (), (chance.sample(names, min(3, len(names))),))),
        keep_kind=chance.random() < 0.2,
        keep_type=chance.random() < 0.2,
        numa_local=chance.random() < 0.2,
        distinct_gpus=chance.random() < 0.2,
        concurrent_moves=chance.choice(at_a_time),
        policy=chance.choice(("pack", "spread")),
        reuse=reuse,
    )
    request = Request(guests, targets, conditions)
    return Planned(facts, make_plan(fleet, request), conditions)
