# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Measures pairs for big fleets: ``make bench``, and with ``--smoke`` only that the results are right.

Every row runs in a process of its own, with the facts of a generated fleet as JSON in memory. Two things stand beside
it, measured in the same process. L(N, B) is the time that reading B bytes once and counting N integers takes: no
program that looks at every device can need less. ``json.loads`` of the same texts alone is what no program can go
below that reads facts in the shape that they have. Seconds are those of the CPU; what counts are the ratios.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
import typing as t
from collections import Counter
from pathlib import Path

from ansible_collections.vfio.migration.plugins.plugin_utils._compat.bulk_match import (
    Listing,
    Subjects,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.pairs import compatible_pairs
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.verdict import Judge
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.descriptor import (
    read_descriptor,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import (
    read_fleet,
    uncollected,
)
from ansible_collections.vfio.migration.tests.bench import generate
from ansible_collections.vfio.migration.tests.unit import naive_pairs

MIB = 2**20
PLAYBOOK = Path(__file__).with_name("fleet.yml")
# The sizes of the table, in hosts, with the seconds that pairs of such a fleet may take.
SIZES = {625: None, 10_000: 0.5, 62_500: 2.5}
CLASSES = 2000
MOST_MEMORY = 400
MOST_LIMITS = 20
MOST_FOR_CLASSES = 1.5
MOST_OF_READING = 1.3
HEADER = f"  {'':44} {'bar':>6} {'':7} {'measured':>8}"
STAGES = ("parsing", "reading", "pairing", "total")

_T = t.TypeVar("_T")


class JsonFacts(t.Mapping[str, t.Any]):
    """Facts as JSON in memory: parsed when they are asked for, and not kept; ``parsing`` is the CPU seconds that took."""

    def __init__(self, hosts: int, classes: int) -> None:
        self.texts = dict(generate.hosts(hosts, classes))
        self.parsing = 0.0

    def __getitem__(self, host: str) -> t.Any:
        text = self.texts[host]
        started = time.process_time()
        facts = json.loads(text)
        self.parsing += time.process_time() - started
        return facts

    def __contains__(self, host: object) -> bool:
        return host in self.texts

    def __iter__(self) -> t.Iterator[str]:
        return iter(self.texts)

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def size(self) -> int:
        return sum(map(len, self.texts.values()))


def clock(call: t.Callable[[], _T]) -> tuple[float, _T]:
    """Return the CPU seconds that ``call`` takes, and its result: everything here is one thread in memory."""
    started = time.process_time()
    result = call()
    return time.process_time() - started, result


def limit(devices: int, size: int) -> float:
    """Return L(N, B) in seconds: looking for a byte that is not there reads all, and counting takes a step per device."""
    block = b"1" * (256 * MIB)
    per_byte = min(clock(lambda: block.find(b"0"))[0] for _round in range(5)) / len(block)
    integers = [number % 997 for number in range(devices)]
    return size * per_byte + min(clock(lambda: Counter(integers))[0] for _round in range(3))


def resident(key: str) -> float:
    """Return MiB of memory: ``VmRSS`` now, or ``VmHWM`` the most since it was reset."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(key):
            return int(line.split()[1]) / 1024
    raise KeyError(key)


# --- rows: each returns what the table shows of it -------------------------------------------------------------------


def pairs_row(hosts: int, classes: int) -> dict[str, t.Any]:
    """Measure the way from facts as JSON to pairs with counts and nearest misses, stage by stage."""
    devices = hosts * generate.DEVICES
    facts = JsonFacts(hosts, classes)
    bound = limit(devices, facts.size)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = resident("VmRSS")
    with uncollected():
        reading, fleet = clock(lambda: read_fleet(facts))
        pairing, result = clock(lambda: compatible_pairs(fleet, "source_lists"))
    return {
        "devices": devices,
        "parsing": facts.parsing,
        "reading": reading - facts.parsing,
        "pairing": pairing,
        "total": reading + pairing,
        "input": facts.size / MIB,
        "memory": resident("VmHWM") - before,
        "limit": bound,
        "pairs": sum(pair["pairs"] for pair in result["pairs"]),
    }


def classes_row(classes: int) -> dict[str, t.Any]:
    """Compare every two classes; count what one attribute alone keeps away."""
    table = [read_descriptor(each) for each in generate.descriptors(classes)]
    judge = Judge()

    def join() -> tuple[int, int]:
        subjects = Subjects([each.self_attributes for each in table], True)
        matched = alone = 0
        for patterns in lists:
            listing = Listing(patterns, subjects)
            matched += listing.matched.bit_count()
            alone += sum(each.bit_count() for each in listing.but_for.values())
        return matched, alone

    with uncollected():
        parsing, lists = clock(lambda: [judge.patterns(each, True) for each in table])
        joining, (matched, alone) = clock(join)
    return {"parsing": parsing, "joining": joining, "pairs": matched, "alone": alone}


def naive_row(hosts: int, classes: int) -> dict[str, t.Any]:
    """Measure the same fleet with every device compared with every other."""
    facts = JsonFacts(hosts, classes)
    ours, result = clock(lambda: compatible_pairs(read_fleet(facts), "source_lists"))
    fleet = read_fleet(facts)
    naive, expected = clock(lambda: naive_pairs.device_pairs(fleet, "source_lists"))
    everyone = set(fleet.hosts)
    near = naive_pairs.misses(result["classes"], everyone, everyone, "source_lists")
    return {
        "devices": hosts * generate.DEVICES,
        "pairs": len(expected),
        "ours": ours,
        "naive": naive,
        "right": sum(pair["pairs"] for pair in result["pairs"]) == len(expected)
        and result["misses"] == near,
    }


def ansible_row(hosts: int, classes: int) -> dict[str, t.Any]:
    """Measure inside Ansible: a task with the filter beside one that only reads the same facts, the least of three."""
    with tempfile.TemporaryDirectory() as place:
        inventory, output = Path(place, "inventory.yml"), Path(place, "output.json")
        inventory.write_text(
            f"all:\n  hosts:\n    host[000000:{hosts - 1:06}]:\n", encoding="utf-8"
        )
        variables = {"fleet_hosts": hosts, "fleet_classes": classes, "fleet_output": str(output)}
        subprocess.run(
            [
                *("ansible-playbook", "--inventory", str(inventory)),
                *("--extra-vars", json.dumps(variables), str(PLAYBOOK)),
            ],
            env=os.environ | {"ANSIBLE_CALLBACKS_ENABLED": "fleet_cost"},
            stdout=subprocess.DEVNULL,
            check=True,
        )
        taken = json.loads(output.read_text(encoding="utf-8"))
        pairs = int(output.with_suffix(".pairs").read_text(encoding="utf-8"))
    least = {task.lower(): min(seconds) for task, seconds in taken.items()}
    return least | {"pairs": pairs, "devices": hosts * generate.DEVICES}


ROWS: dict[str, t.Callable[..., dict[str, t.Any]]] = {
    "pairs": pairs_row,
    "classes": classes_row,
    "naive": naive_row,
    "ansible": ansible_row,
}


def run(name: str, *numbers: int) -> dict[str, t.Any]:
    """Measure a row in a process of its own."""
    command = [sys.executable, "-m", __spec__.name, name, *map(str, numbers)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    measured: dict[str, t.Any] = json.loads(done.stdout)
    return measured


# --- the table -------------------------------------------------------------------------------------------------------


def judged(what: str, most: float, value: float, unit: str, why: str = "") -> str:
    """Return the line of the table that says whether ``value`` holds, and where it does not, by how much and why."""
    verdict = "holds" if value <= most else f"misses, {value / most:.2f} times the bar{why}"
    return f"  {what:44} {most:6,g} {unit:7} {value:8.2f} {unit:7} {verdict}"


def report_pairs() -> None:
    """Measure the way from JSON to pairs, at three sizes, and beside an engine that compares all devices."""
    print(
        f"\nFacts as JSON in memory to pairs with counts and nearest misses, 16 devices a host, {CLASSES:,} classes:\n"
        "      devices  json.loads   reading     pairs     total        L  total/L   json/L    input    memory"
    )
    rows = [run("pairs", hosts, CLASSES) for hosts in SIZES]
    for row in rows:
        print(
            f"  {row['devices']:11,} {row['parsing']:9.2f} s {row['reading']:7.2f} s"
            f" {row['pairing']:7.2f} s {row['total']:7.2f} s {1e3 * row['limit']:5.1f} ms"
            f" {row['total'] / row['limit']:7.1f} {row['parsing'] / row['limit']:8.1f}"
            f" {row['input']:5.0f} MB {row['memory']:6.0f} MB"
        )
    for few, many in itertools.pairwise(rows):
        growth = many["devices"] / few["devices"]
        stages = ", ".join(f"{stage} {many[stage] / few[stage]:.1f}" for stage in STAGES)
        print(
            f"  From {few['devices']:,} to {many['devices']:,}, {growth:.2f} times the devices, grow {stages} times."
        )
    report_bars(rows)
    naive = run("naive", 40, 60)
    print(
        f"  Comparing all {naive['devices']:,} devices with each other: {naive['naive']:.2f} s,"
        f" {naive['naive'] / naive['ours']:.0f} times as long as this."
    )


def report_bars(rows: list[dict[str, t.Any]]) -> None:
    """Print for each bar whether ``rows`` stay below it."""
    print(HEADER)
    for row, most in zip(rows, SIZES.values(), strict=True):
        if most is not None:
            what = f"{row['devices']:,} devices"
            print(judged(what, most, row["total"], "s", _floor(row["parsing"], most, "s")))
    largest = rows[-1]
    what = f"{largest['devices']:,} devices"
    print(judged(f"{what}, beside the input", MOST_MEMORY, largest["memory"], "MB"))
    limits, floor = (largest[stage] / largest["limit"] for stage in ("total", "parsing"))
    why = _floor(floor, MOST_LIMITS, "times L")
    print(judged(what, MOST_LIMITS, limits, "times L", why))


def _floor(floor: float, most: float, unit: str) -> str:
    """Return why a bar is missed: ``json.loads`` alone takes ``floor`` of the measure."""
    return f": json.loads alone takes {floor:.2f} {unit}, {floor / most:.2f} times the bar"


def report_classes() -> None:
    """Compare every two classes."""
    print("\nEvery two classes, with what one attribute alone keeps away:")
    print("      classes        pairs   parsing   joining    compatible  but for one")
    for classes in (1000, 2000, 10_000):
        row = run("classes", classes)
        print(
            f"  {classes:11,} {classes**2:12,} {row['parsing']:7.2f} s {row['joining']:7.2f} s"
            f" {row['pairs']:13,} {row['alone']:12,}"
        )
    print(HEADER)
    print(judged(f"{classes:,} classes", MOST_FOR_CLASSES, row["joining"], "s"))


def report_ansible() -> None:
    """Run the whole task."""
    row = run("ansible", 5000, 200)
    print(
        f"\nInside Ansible, the facts of 5,000 hosts ({row['devices']:,} devices of 200 classes) in hostvars:\n"
        f"  a task that only reads them with raw_get {row['reading']:.2f} s, one with compatible_pairs {row['pairing']:.2f} s,"
        f" one that returns no more of it than a number {row['counting']:.2f} s"
    )
    print(HEADER)
    beyond, returned = row["counting"] - row["reading"], row["pairing"] - row["counting"]
    why = f": finding the pairs takes {beyond:.2f} s, Ansible's handing over of the result {returned:.2f} s"
    ratio = row["pairing"] / row["reading"]
    print(judged("the whole task, beside reading", MOST_OF_READING, ratio, "times", why))


def smoke() -> None:
    """Run every row small, and fail where a result is wrong."""
    run("pairs", 20, 60)
    run("classes", 60)
    measured = run("ansible", 20, 60)
    naive = run("naive", 20, 60)
    if not naive["right"]:
        sys.exit("the pairs or misses of a generated fleet are not those of comparing all devices")
    if measured["pairs"] != naive["pairs"]:
        sys.exit("inside Ansible the pairs of a generated fleet are others")
    print(f"Benchmarks run; {naive['pairs']:,} pairs of {naive['devices']} devices are right.")


def main() -> None:
    """Print the table, or one row as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="run small and check the results only")
    parser.add_argument("row", nargs="?", choices=ROWS)
    parser.add_argument("numbers", nargs="*", type=int)
    arguments = parser.parse_args()
    if arguments.row:
        print(json.dumps(ROWS[arguments.row](*arguments.numbers)))
    elif arguments.smoke:
        smoke()
    else:
        report_pairs()
        report_classes()
        report_ansible()


if __name__ == "__main__":
    main()
