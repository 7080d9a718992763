# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compares the collection's verdicts with what happens when guests really migrate: ``make fidelity``.

Ends with status 1 where a verdict is false that does not say of itself that it is assumed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Any

from migrations import Device, Migration, Place, Traveller
from remote import connect

_HERE = Path(__file__).resolve().parent
_ROOT = _HERE.parents[1]
_STATE = _ROOT / (os.environ.get("VFIO_MIGRATION_LAB") or ".lab")
_INVENTORY = _STATE / "inventory.yml"
_FOUND = _STATE / "fidelity.json"
_QUESTION = _STATE / "fidelity-question.json"
_ANSWER = _STATE / "fidelity-answer.json"
_LAB = (sys.executable, str(_ROOT / "tests/lab/lab.py"))
_LEAST = 30
# How the kinds of virtual functions are named.
_VF = "VF "
_WITHOUT_P2P = "without P2P"

# A lab in which guests also migrate between two versions of the kernel.
_UP = (*_LAB, "up", "--newer-kernel", "c")

# Guests of two devices: the host and the kinds that they have, and those that they go to.
_VGPU, _CARD = "V5_4 x2 of 80865963 0.1.0", "V5_8 x4 of 80865963 0.2.0"
_NIC, _FUNCTION = "sample-nic_vf 1.0.0", "V5_8 x1 of 80865963"
_OF_TWO = (
    (("a", (_VGPU, _NIC)), ("b", (_CARD, _NIC))),
    (("b", (_CARD, _NIC)), ("a", (_VGPU, _NIC))),
    (("a", (_VGPU, f"VF {_FUNCTION} 0.1.0")), ("b", (_CARD, f"VF {_FUNCTION} 0.2.0"))),
    (("a", (_NIC, f"VF {_FUNCTION} 0.1.0")), ("b", (_NIC, f"VF {_FUNCTION} 0.2.0"))),
    (("c", ("V5_2 x1 of 80865963 0.1.7", "mtty-1")), ("a", (_VGPU, "mtty-1"))),
    # Of these, one has no P2P.
    (("a", (f"{_VGPU} without P2P", _NIC)), ("b", (_CARD, _NIC))),
    (("a", (f"{_VGPU} without P2P", _NIC)), ("b", (f"{_CARD} without P2P", _NIC))),
    (("a", (_NIC, f"{_VGPU} without P2P")), ("c", ("sample-nic_vf 1.1.0", "mtty-1"))),
    # And of these the target, which QEMU does not start.
    (("a", (_VGPU, _NIC)), ("b", (f"{_CARD} without P2P", _NIC))),
    # Nothing tells whether mtty has it.
    (("a", (_VGPU, "mtty-1")), ("b", (_CARD, "mtty-1"))),
    (("a", ("mtty-1", "mtty-2")), ("b", ("mtty-1", "mtty-2"))),
    (("b", ("mtty-1", "mtty-2")), ("c", ("mtty-1", "mtty-2"))),
)

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
class Verdict:
    """What is said of a pair of places; ``assumed`` where it says itself that not all is known that decides."""

    compatible: bool
    assumed: bool


@dataclass(frozen=True)
class Result:
    """A verdict, and what really happened."""

    verdict: Verdict
    migration: Migration

    @property
    def true(self) -> bool:
        return self.verdict.compatible == self.migration.succeeded

    def __str__(self) -> str:
        migration = self.migration
        verdict = "compatible" if self.verdict.compatible else "incompatible"
        happened = "migrated" if migration.succeeded else f"failed: {migration.said[0]}"
        false = "" if self.true else " FALSE"
        false = " (assumed)" if self.verdict.assumed else false
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
    by_key = {(device.host, device.id): device for device in devices}

    def place(label: Mapping[str, str]) -> Place:
        return Place((by_key[label["host"], label["id"]],))

    listed = {(place(pair["source"]), place(pair["target"])) for pair in found["compatible"]}
    of_two = list(_of_two(devices))
    planned = dict(zip(of_two, _verdicts_on_guests(found["facts"], of_two), strict=True))
    alone = list(_pairs(devices, listed.__contains__))
    under_libvirt = list(_pairs_under_libvirt(devices))
    judged = list(dict.fromkeys([*alone, *under_libvirt]))
    verdicts = planned | dict(_verdicts(found["facts"], judged, listed))

    def compatible(pair: tuple[Place, Place]) -> bool:
        return verdicts[pair].compatible

    # Those that the guest is not expected to leave its source for come first, as it must start again there.
    tries = (
        ("QEMU", sorted(alone, key=compatible)),
        ("QEMU", sorted(of_two, key=compatible)),
        ("libvirt", sorted(under_libvirt, key=compatible)),
    )
    hosts = connect(_INVENTORY)
    try:
        for way, pairs in tries:
            for migration in Traveller(way, hosts).migrations(pairs):
                result = Result(verdicts[migration.source, migration.target], migration)
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
            if "p2p" not in (device["migration"]["features"] or ["p2p"]):
                words.append(_WITHOUT_P2P)
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


def _of_two(devices: Sequence[Device]) -> Iterator[tuple[Place, Place]]:
    there = {(device.host, device.kind): device for device in devices}
    for ends in _OF_TWO:
        source, target = (Place(tuple(there[host, kind] for kind in kinds)) for host, kinds in ends)
        yield source, target


def _verdicts(
    facts: Mapping[str, Any],
    pairs: Sequence[tuple[Place, Place]],
    listed: Container[tuple[Place, Place]],
) -> Iterator[tuple[tuple[Place, Place], Verdict]]:
    """Yield each pair of places of one device with the verdict: compatible is what ``compatible_pairs`` has ``listed``."""
    labels = [[{"host": place.host, "id": place.devices[0].id} for place in pair] for pair in pairs]
    answers = _asked("verdicts.yml", {"facts": facts, "pairs": labels})
    for pair, explained in zip(pairs, answers, strict=True):
        verdict = explained["verdict"]
        # Equal devices that cannot migrate are in no list, which is a claim.
        agreed = verdict["compatible"] == (pair in listed)
        yield pair, Verdict(pair in listed, agreed and verdict["certainty"] == "assumed")


def _verdicts_on_guests(
    facts: Mapping[str, Any], pairs: Sequence[tuple[Place, Place]]
) -> Iterator[Verdict]:
    """Yield whether a guest can go from devices to others: by a plan for a fleet of these alone, of which it has those on the source."""
    fleets = [_fleet(facts, *pair) for pair in pairs]
    for (source, target), plan in zip(pairs, _asked("plans.yml", fleets), strict=True):
        moves = {each["source"]["id"]: each["target"]["id"] for each in plan["placements"]}
        warnings = [text for each in plan["placements"] for text in each["warnings"]]
        certainties = {each["certainty"] for each in plan["placements"]}
        if not moves:
            yield Verdict(False, plan["status"] != "infeasible")
            continue
        expected = {
            one.id: other.id for one, other in zip(source.devices, target.devices, strict=True)
        }
        if moves != expected:
            raise RuntimeError(f"{source} -> {target} is planned otherwise: {moves}")
        unknown = any("P2P" in text for text in warnings)
        yield Verdict(True, unknown or "assumed" in certainties)


def _asked(playbook: str, question: Any) -> Iterable[Any]:
    """Return what a playbook answers."""
    _QUESTION.write_text(json.dumps(question))
    play = ["ansible-playbook", "--inventory", str(_INVENTORY), str(_HERE / playbook)]
    files = {"question_file": str(_QUESTION), "answer_file": str(_ANSWER)}
    subprocess.run([*play, "--extra-vars", json.dumps(files)], check=True)
    answer: list[Any] = json.loads(_ANSWER.read_text())
    return answer


def _fleet(facts: Mapping[str, Any], source: Place, target: Place) -> dict[str, Any]:
    fleet = {}
    for place, holder in ((source, {"pid": 1, "name": "guest"}), (target, None)):
        ids = [device.id for device in place.devices]
        there = [each for each in facts[place.host]["devices"] if each["id"] in ids]
        held = [{**each, "in_use": holder} for each in there]
        fleet[place.host] = {**facts[place.host], "devices": held, "parents": []}
    return fleet


def _pairs(
    devices: Sequence[Device], compatible: Callable[[tuple[Place, Place]], bool]
) -> Iterator[tuple[Place, Place]]:
    """Yield every ordered pair of one driver's devices on two hosts, and one pair of each two drivers, a compatible one if there is one.

    A device without P2P is tried with such a one, as for a guest of one device that is no matter.
    """
    seen = set()
    for source, target in sorted(_on_two_hosts(devices), key=compatible, reverse=True):
        (one,), (other,) = source.devices, target.devices
        if _is_without_p2p(one) != _is_without_p2p(other):
            continue
        drivers = (one.driver, other.driver)
        if one.driver == other.driver or drivers not in seen:
            seen.add(drivers)
            yield source, target


def _is_without_p2p(device: Device) -> bool:
    return device.kind.endswith(_WITHOUT_P2P)


def _pairs_under_libvirt(devices: Sequence[Device]) -> Iterator[tuple[Place, Place]]:
    pairs: dict[tuple[str, str], tuple[Place, Place]] = {}
    for source, target in _on_two_hosts(devices):
        pairs.setdefault((source.devices[0].kind, target.devices[0].kind), (source, target))
    for kinds in _UNDER_LIBVIRT:
        yield pairs[kinds]


def _on_two_hosts(devices: Sequence[Device]) -> Iterator[tuple[Place, Place]]:
    for source, target in permutations(devices, 2):
        if source.host != target.host:
            yield Place((source,)), Place((target,))


def _report(results: Sequence[Result], kernels: Mapping[str, str]) -> int:
    """Print the confusion matrix; return the status to end with."""
    assumed = [each for each in results if each.verdict.assumed]
    claimed = [each for each in results if not each.verdict.assumed]
    false = [each for each in claimed if not each.true]

    def count(compatible: bool, succeeded: bool) -> int:
        outcome = (compatible, succeeded)
        return [(each.verdict.compatible, each.migration.succeeded) for each in claimed].count(
            outcome
        )

    migrated = [each.migration for each in results if each.migration.succeeded]
    between = [each for each in migrated if kernels[each.source.host] != kernels[each.target.host]]
    print(f"\n{len(results)} migrations were tried; {len(migrated)} guests have migrated,")
    print(f"{len(between)} of them between {' and '.join(sorted(set(kernels.values())))},")
    several = [each.migration for each in results if len(each.migration.source.devices) > 1]
    arrived = [each for each in several if each.succeeded]
    print(f"{len(arrived)} with two devices, of {len(several)} that were tried with two.\n")
    print(f"{'':24}{'migrated':>10}{'failed':>10}")
    for compatible, verdict in ((True, "compatible"), (False, "incompatible")):
        print(f"verdict {verdict:16}{count(compatible, True):10}{count(compatible, False):10}")
    print(f"\nVerdicts that say that they are assumed: {len(assumed)}")
    print("\n".join(f"  {each}" for each in assumed))
    if false:
        print("\nFalse verdicts:")
        print("\n".join(f"  {each}\n    {each.migration.said}" for each in false))
    if len(migrated) < _LEAST:
        print(f"\nOnly {len(migrated)} guests have migrated; expected {_LEAST}")
    if not between:
        print("\nNo guest has migrated between two kernels")
    return 1 if false or len(migrated) < _LEAST or not between else 0


if __name__ == "__main__":
    sys.exit(main())
