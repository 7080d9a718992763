# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compares the collection's verdicts with what happens when guests really migrate: ``make fidelity``.

Ends with status 1 where a verdict is false and none of the limits explains it that the verdict guide names.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Any

from migrations import Device, Migration, Traveller
from remote import connect

_HERE = Path(__file__).resolve().parent
_ROOT = _HERE.parents[1]
_STATE = _ROOT / (os.environ.get("VFIO_MIGRATION_LAB") or ".lab")
_INVENTORY = _STATE / "inventory.yml"
_FOUND = _STATE / "fidelity.json"
_LAB = (sys.executable, str(_ROOT / "tests/lab/lab.py"))
_LEAST = 30
# How the kinds of virtual functions are named.
_VF = "VF "

# A lab in which guests also migrate between two versions of the kernel.
_UP = (*_LAB, "up", "--newer-kernel", "c")

# By name: the verdicts that each of the limits in the verdict guide makes false, and the pairs that it is about.
_LIMITS: dict[str, tuple[bool, Callable[[Device, Device], bool]]] = {
    "derived-equal": (False, lambda source, target: source.derived and target.derived),
    "derived-declared": (False, lambda source, target: source.derived and not target.derived),
}

# What is tried with libvirt too, which takes longer: kinds of sources and targets.
_UNDER_LIBVIRT = (
    ("mtty-1", "mtty-1"),
    ("mtty-1", "mtty-2"),
    ("V5_4 x2 of 80865963 0.1.0", "V5_8 x4 of 80865963 0.2.0"),
    ("V5_8 x4 of 80865963 0.2.0", "V5_4 x2 of 80865963 0.1.0"),
    ("VF V5_8 x1 of 80865963 0.1.0", "VF V5_8 x1 of 80865963 0.2.0"),
    ("VF V5_8 x1 of 80865963 0.2.0", "VF V5_8 x1 of 80865963 0.1.0"),
)


@dataclass(frozen=True)
class Result:
    """A verdict, with its certainty where it is "compatible", and what really happened."""

    certainty: str | None
    migration: Migration

    @property
    def compatible(self) -> bool:
        return self.certainty is not None

    @property
    def assumed(self) -> bool:
        """Whether the verdict itself says that not all is known that decides."""
        return self.certainty == "assumed"

    @property
    def true(self) -> bool:
        return self.compatible == self.migration.succeeded

    @property
    def limit(self) -> str | None:
        """Return the name of the limit that explains a false verdict."""
        if self.true:
            return None
        pair = self.migration.source, self.migration.target
        return next(
            (
                name
                for name, (compatible, about) in _LIMITS.items()
                if compatible == self.compatible and about(*pair)
            ),
            None,
        )

    def __str__(self) -> str:
        migration = self.migration
        verdict = "compatible" if self.compatible else "incompatible"
        happened = "migrated" if migration.succeeded else f"failed: {migration.said[0]}"
        false = "" if self.true else f" FALSE ({self.limit or 'no limit explains it'})"
        false = " (assumed)" if self.assumed else false
        return (
            f"{migration.way}, {migration.seconds:.1f} s: {migration.source} -> {migration.target}:"
            f" {verdict}, {happened}{false}"
        )


def main() -> int:
    begin = time.monotonic()
    try:
        subprocess.run(_UP, check=True)
        play = ["ansible-playbook", "--inventory", str(_INVENTORY), str(_HERE / "devices.yml")]
        play += ["--extra-vars", json.dumps({"found_file": str(_FOUND)})]
        subprocess.run(play, check=True)
        found = json.loads(_FOUND.read_text())
        results = list(_results(found))
    finally:
        subprocess.run([*_LAB, "down"], check=True)
    status = _report(results, found["kernels"])
    print(f"\n{time.monotonic() - begin:.0f} s in all")
    return status


def _results(found: dict[str, Any]) -> Iterator[Result]:
    """Try the pairs, with the facts and compatible pairs that the playbook has left."""
    devices = list(_devices(found["facts"], found["kernels"]))
    listed = {
        tuple((pair[side]["host"], pair[side]["id"]) for side in ("source", "target")): pair[
            "certainty"
        ]
        for pair in found["compatible"]
    }

    def certainty(pair: tuple[Device, Device]) -> str | None:
        return listed.get(tuple((each.host, each.id) for each in pair))

    def compatible(pair: tuple[Device, Device]) -> bool:
        return certainty(pair) is not None

    # Those that the guest is not expected to leave its source for come first, as it must start again there.
    ways = {
        "QEMU": sorted(_pairs(devices, compatible), key=compatible),
        "libvirt": sorted(_pairs_under_libvirt(devices), key=compatible),
    }
    hosts = connect(_INVENTORY)
    try:
        for way, pairs in ways.items():
            for migration in Traveller(way, hosts).migrations(pairs):
                result = Result(certainty((migration.source, migration.target)), migration)
                print(result, flush=True)
                yield result
    finally:
        for host in hosts.values():
            host.close()


def _devices(facts: dict[str, Any], kernels: Mapping[str, str]) -> Iterator[Device]:
    for host, gathered in facts.items():
        for device in gathered["devices"]:
            descriptor = gathered["descriptors"][device["descriptor"]]
            own = descriptor["self"]
            words = [own["type"].removeprefix("i915-GVTg_")]
            if "aggregator" in own:
                words += [f"x{own['aggregator']}", "of", own["pci_id"], own["software_version"]]
            elif "pci_id" in own:
                words.append(own["software_version"])
            driver = f"{own['type'].partition('-')[0]} {device['kind']}"
            kind = (_VF if device["parent"] and device["kind"] == "pci" else "") + " ".join(words)
            yield Device(
                host=host,
                kernel=kernels[host],
                bus=device["kind"],
                id=device["id"],
                driver=driver,
                kind=kind,
                origin=descriptor["origin"],
            )


def _pairs(
    devices: Sequence[Device], compatible: Callable[[tuple[Device, Device]], bool]
) -> Iterator[tuple[Device, Device]]:
    """Yield every ordered pair of one driver's devices on two hosts, and one pair of each two drivers, a compatible one if there is one."""
    seen = set()
    for source, target in sorted(_on_two_hosts(devices), key=compatible, reverse=True):
        drivers = (source.driver, target.driver)
        if source.driver == target.driver or drivers not in seen:
            seen.add(drivers)
            yield source, target


def _pairs_under_libvirt(devices: Sequence[Device]) -> Iterator[tuple[Device, Device]]:
    pairs: dict[tuple[str, str], tuple[Device, Device]] = {}
    for source, target in _on_two_hosts(devices):
        pairs.setdefault((source.kind, target.kind), (source, target))
    for kinds in _UNDER_LIBVIRT:
        yield pairs[kinds]


def _on_two_hosts(devices: Sequence[Device]) -> Iterator[tuple[Device, Device]]:
    return (pair for pair in permutations(devices, 2) if pair[0].host != pair[1].host)


def _report(results: Sequence[Result], kernels: Mapping[str, str]) -> int:
    """Print the confusion matrix; return the status to end with."""
    assumed = [each for each in results if each.assumed]
    claimed = [each for each in results if not each.assumed]
    explained = [each for each in claimed if each.limit]
    false = [each for each in claimed if not each.true and not each.limit]
    counted = [each for each in claimed if not each.limit]

    def count(compatible: bool, succeeded: bool) -> int:
        outcome = (compatible, succeeded)
        return [(each.compatible, each.migration.succeeded) for each in counted].count(outcome)

    migrated = [each.migration for each in results if each.migration.succeeded]
    between = [each for each in migrated if kernels[each.source.host] != kernels[each.target.host]]
    print(f"\n{len(results)} migrations were tried; {len(migrated)} guests have migrated,")
    print(f"{len(between)} of them between {' and '.join(sorted(set(kernels.values())))}.\n")
    print(f"{'':24}{'migrated':>10}{'failed':>10}")
    for compatible, verdict in ((True, "compatible"), (False, "incompatible")):
        print(f"verdict {verdict:16}{count(compatible, True):10}{count(compatible, False):10}")
    for name in _LIMITS:
        number = [each.limit for each in explained].count(name)
        print(f"\nLimit {name} of the verdict guide: {number} more went against the verdict")
        print("\n".join(f"  {each}" for each in explained if each.limit == name))
    print(f"\nVerdicts that say that they are assumed: {len(assumed)}")
    print("\n".join(f"  {each}" for each in assumed))
    if false:
        print("\nFalse verdicts that no limit explains:")
        print("\n".join(f"  {each}\n    {each.migration.said}" for each in false))
    if len(migrated) < _LEAST:
        print(f"\nOnly {len(migrated)} guests have migrated; expected {_LEAST}")
    if not between:
        print("\nNo guest has migrated between two kernels")
    return 1 if false or len(migrated) < _LEAST or not between else 0


if __name__ == "__main__":
    sys.exit(main())
