# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Measures how plans grow with guests where these wait for each other, are to be apart, or find no place."""

from __future__ import annotations

import json
import os
import random
import typing as t

from ansible_collections.vfio.migration.plugins.filter.migration_plan import migration_plan
from ansible_collections.vfio.migration.tests.bench.planted import SEED
from ansible_collections.vfio.migration.tests.unit.fleets import host, vf

_PER_HOST = 8
# What n log n comes to from the least to the greatest number of guests, and what small numbers cost whatever they are.
_MOST_GROWTH = 2.5

Fleet = tuple[dict[str, t.Any], dict[str, t.Any]]


def full(guests: int) -> Fleet:
    """Return full hosts, of which every tenth has one free function, and a request to move everybody elsewhere."""
    chance = random.Random(SEED)
    hosts = guests // _PER_HOST
    holes = {*chance.sample(range(hosts), max(1, hosts // 10))}
    facts = {
        f"h{number:05}": host(
            [vf(n, f"g{number * _PER_HOST + n}") for n in range(_PER_HOST)]
            + [vf(_PER_HOST)] * (number in holes)
        )
        for number in range(hosts)
    }
    return facts, {"sources": [f"g{n}" for n in range(guests)], "reuse": True}


def turning(guests: int) -> Fleet:
    """Return full hosts of guests with one to four functions, which all are to move elsewhere through four free ones."""
    chance = random.Random(SEED)
    facts, count = {}, 0
    for number in range(guests * 5 // 2 // _PER_HOST):
        devices: list[dict[str, t.Any]] = []
        while len(devices) < _PER_HOST:
            for _function in range(min(chance.choice((1, 2, 4)), _PER_HOST - len(devices))):
                devices.append(vf(len(devices), f"g{count}", pid=count + 1))
            count += 1
        facts[f"h{number:05}"] = host(devices)
    facts["h"] = host([vf(n) for n in range(4)])
    return facts, {"sources": [f"g{n}" for n in range(count)], "reuse": True}


def in_groups(guests: int) -> Fleet:
    """Return guests in groups of four that are to be apart, and as many places."""
    facts, drained = _sources(guests, "v")
    for number in range(guests // _PER_HOST + 4):
        facts[f"t{number:05}"] = host([vf(n) for n in range(_PER_HOST)])
    groups = [[f"g{n}" for n in range(first, first + 4)] for first in range(0, guests, 4)]
    return facts, {"drain": drained, "apart": groups}


def in_racks(guests: int) -> Fleet:
    """Return guests in groups of four that are to be in different racks, of which there are six, and as many places."""
    return _apart_in_racks(guests, 6)


def a_rack_too_few(guests: int) -> Fleet:
    """Return guests in groups of four that are to be in different racks, of which there are three: of each group one has no place."""
    return _apart_in_racks(guests, 3)


def _apart_in_racks(guests: int, count: int) -> Fleet:
    facts, drained = _sources(guests, "v")
    targets = [f"t{number:05}" for number in range(guests // _PER_HOST + 4)]
    for name in targets:
        facts[name] = host([vf(n) for n in range(_PER_HOST)])
    groups = [[f"g{n}" for n in range(first, first + 4)] for first in range(0, guests, 4)]
    racks = {f"rack{number}": targets[number::count] for number in range(count)}
    return facts, {"drain": drained, "apart": groups, "failure_domains": racks}


def short(guests: int) -> Fleet:
    """Return guests of which half find a place, on hosts that all differ."""
    chance = random.Random(SEED)
    facts, drained = _sources(guests, "vwxyz")
    for number in range(guests // 2 // 6):
        devices = [vf(n, kind=chance.choice("vwxyz")) for n in range(chance.randint(3, 9))]
        facts[f"t{number:05}"] = host(devices)
    return facts, {"drain": drained}


def _sources(guests: int, kinds: str) -> tuple[dict[str, t.Any], list[str]]:
    facts = {
        f"s{number:05}": host(
            [
                vf(n, f"g{number * _PER_HOST + n}", kinds[(number + n) % len(kinds)])
                for n in range(_PER_HOST)
            ]
        )
        for number in range(guests // _PER_HOST)
    }
    return facts, sorted(facts)


def report(smoke: bool) -> bool:
    """Print seconds and the size of the plan for each kind of fleet, and return whether none grows too fast."""
    print("\nPlans that grow, read and verified, in CPU seconds:")
    print(f"  {'kind':14} {'guests':>7} {'left':>6} {'plan':>7} {'JSON':>8} {'each':>9}  verdict")
    holds = True
    kinds = (
        *((full, True), (turning, True), (in_groups, True), (in_racks, True)),
        *((a_rack_too_few, False), (short, False)),
    )
    for kind, placed in kinds:
        first = None
        for guests in (160, 320) if smoke else (1_000, 2_000, 8_000):
            facts, asked = kind(guests)
            before = os.times()
            plan = migration_plan(facts, **asked)
            seconds = sum(os.times()[:2]) - sum(before[:2])
            each = seconds / guests
            first = first or each
            missed = []
            if each > _MOST_GROWTH * first and not smoke:
                missed.append(f"{each / first:.1f} times what a guest takes of a small fleet")
            if placed and plan["unplaced"]:
                missed.append(f"{len(plan['unplaced'])} left behind")
            size = len(json.dumps(plan)) / 1e6
            print(
                f"  {kind.__name__:14} {guests:7} {len(plan['unplaced']):6} {seconds:5.2f} s"
                f" {size:5.1f} MB {each * 1e6:6.0f} us  {'; '.join(missed) or 'holds'}",
                flush=True,
            )
            holds = holds and not missed
    return holds
