# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Measures pairs for big fleets: ``make bench``, and with ``--smoke`` only that the results are right.

Every row runs in a process of its own, with the facts of a generated fleet as JSON in memory. L(N, B) is the time that
reading B bytes once and counting N integers takes, measured in the same process: no program that looks at every device
can need less. Seconds are those of the CPU; what counts are the ratios.
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import tempfile
import time
import typing as t
from collections import Counter
from pathlib import Path

from ansible_collections.vfio.migration.plugins.plugin_utils._fleet import read_fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._join import Listing, Subjects
from ansible_collections.vfio.migration.plugins.plugin_utils._pairs import compatible_pairs
from ansible_collections.vfio.migration.plugins.plugin_utils._verdict import (
    Judge,
    read_descriptor,
)
from ansible_collections.vfio.migration.tests.bench import generate
from ansible_collections.vfio.migration.tests.unit import naive_pairs

MIB = 2**20
PLAYBOOK = Path(__file__).with_name("fleet.yml")


class JsonFacts(t.Mapping[str, t.Any]):
    """Facts as JSON in memory: parsed when they are asked for, and not kept."""

    def __init__(self, hosts: int, classes: int) -> None:
        self.texts = {name: text.encode() for name, text in generate.hosts(hosts, classes)}

    def __getitem__(self, host: str) -> t.Any:
        return json.loads(self.texts[host])

    def __contains__(self, host: object) -> bool:
        return host in self.texts

    def __iter__(self) -> t.Iterator[str]:
        return iter(self.texts)

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def size(self) -> int:
        return sum(map(len, self.texts.values()))


def clock(call: t.Callable[[], t.Any]) -> tuple[float, t.Any]:
    """The CPU seconds that ``call`` takes, and its result: everything here is one thread in memory."""
    started = time.process_time()
    result = call()
    return time.process_time() - started, result


def limit(devices: int, size: int) -> float:
    """L(N, B) in seconds: copying memory stands for reading it, counting integers for one step per device."""
    block = bytes(64 * MIB)
    target = bytearray(block)

    def copy() -> None:
        target[:] = block

    integers = [number % 997 for number in range(devices)]
    per_byte = min(clock(copy)[0] for _round in range(5)) / len(block)
    return size * per_byte + min(clock(lambda: Counter(integers))[0] for _round in range(3))


def resident(key: str) -> float:
    """MiB of memory: ``VmRSS`` now, or ``VmHWM`` the most since it was reset."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(key):
            return int(line.split()[1]) / 1024
    raise KeyError(key)


# --- rows: each returns what the table shows of it -------------------------------------------------------------------


def pairs_row(hosts: int, classes: int) -> dict[str, t.Any]:
    """From facts as JSON to pairs with counts and nearest misses, stage by stage."""
    devices = hosts * generate.DEVICES
    facts = JsonFacts(hosts, classes)
    bound = limit(devices, facts.size)
    # What is there before is not to be looked at again and again while documents come and go.
    gc.freeze()
    gc.disable()
    parsing, _nothing = clock(lambda: [None for host in facts if facts[host] is None])
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = resident("VmRSS")
    reading, fleet = clock(lambda: read_fleet(facts))
    pairing, result = clock(lambda: compatible_pairs(fleet, "source_lists"))
    return {
        "devices": devices,
        "total": reading + pairing,
        "parsing": parsing,
        "reading": reading - parsing,
        "pairing": pairing,
        "input": facts.size / MIB,
        "memory": resident("VmHWM") - before,
        "limit": bound,
        "pairs": sum(pair["pairs"] for pair in result["pairs"]),
        "misses": sum(map(len, result["misses"].values())),
    }


def classes_row(classes: int) -> dict[str, t.Any]:
    """Every two classes compared, with what one attribute alone keeps away."""
    table = [read_descriptor(each) for each in generate.descriptors(classes)]
    judge = Judge()
    gc.freeze()
    gc.disable()
    parsing, lists = clock(lambda: [judge.patterns(each, True) for each in table])

    def join() -> tuple[int, int]:
        subjects = Subjects([each.self_attributes for each in table], True)
        matched = alone = 0
        for patterns in lists:
            listing = Listing(patterns, subjects)
            matched += listing.matched.bit_count()
            alone += sum(each.bit_count() for each in listing.but_for.values())
        return matched, alone

    joining, (matched, alone) = clock(join)
    return {"parsing": parsing, "joining": joining, "pairs": matched, "alone": alone}


def naive_row(hosts: int, classes: int) -> dict[str, t.Any]:
    """The same fleet with every device compared with every other."""
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
    """Inside Ansible: the filter beside reading the same facts."""
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
            stdout=subprocess.DEVNULL,
            check=True,
        )
        measured: dict[str, t.Any] = json.loads(output.read_text(encoding="utf-8"))
        return measured | {"devices": hosts * generate.DEVICES}


ROWS: dict[str, t.Callable[..., dict[str, t.Any]]] = {
    "pairs": pairs_row,
    "classes": classes_row,
    "naive": naive_row,
    "ansible": ansible_row,
}


def run(name: str, *numbers: int) -> dict[str, t.Any]:
    """A row, measured in a process of its own."""
    command = [sys.executable, "-m", __spec__.name, name, *map(str, numbers)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    measured: dict[str, t.Any] = json.loads(done.stdout)
    return measured


# --- the table -------------------------------------------------------------------------------------------------------


def against(most: float, value: float) -> str:
    """What ``value`` is beside ``most``, which it should not exceed."""
    return "met" if value <= most else f"missed, {value / most:.2f} times"


def report_pairs() -> None:
    """From JSON to pairs, at three sizes, and beside an engine that compares all devices."""
    print(
        "\nFacts as JSON in memory to pairs with counts and nearest misses, 16 devices a host, 2,000 classes:"
    )
    print(
        "      devices  json.loads   reading     pairs     total        L  total/L"
        "    input    memory"
    )
    rows = [run("pairs", hosts, 2000) for hosts in (625, 10_000, 62_500)]
    for row in rows:
        print(
            f"  {row['devices']:11,} {row['parsing']:9.2f} s {row['reading']:7.2f} s"
            f" {row['pairing']:7.2f} s {row['total']:7.2f} s {1e3 * row['limit']:5.0f} ms"
            f" {row['total'] / row['limit']:7.1f} {row['input']:5.0f} MB {row['memory']:6.0f} MB"
        )
    few, some, many = rows
    growth = many["devices"] / few["devices"]
    print(
        f"  Growth from {few['devices']:,} to {many['devices']:,}, {growth:.0f} times the devices: "
        + ", ".join(
            f"{stage} {many[stage] / few[stage]:.0f} times"
            for stage in ("parsing", "reading", "pairing")
        )
        + "."
    )
    for row, most in ((some, 0.5), (many, 2.5)):
        print(
            f"  The bar for {row['devices']:,} is {most} s: {against(most, row['total'])};"
            f" json.loads alone {against(most, row['parsing'])}."
        )
    print(
        f"  The bar of 400 MB for {many['devices']:,}: {against(400, many['memory'])} beside the input,"
        f" which is {many['input']:.0f} MB of JSON by itself."
    )
    print(
        f"  The bar of 20 times L: {against(20, many['total'] / many['limit'])};"
        f" json.loads alone is {many['parsing'] / many['limit']:.1f} times L."
    )
    naive = run("naive", 20, 60)
    print(
        f"  Comparing all {naive['devices']:,} devices with each other: {naive['naive']:.2f} s,"
        f" {naive['naive'] / naive['ours']:.0f} times as long as this."
    )


def report_classes() -> None:
    """Every two classes."""
    print("\nEvery two classes, with what one attribute alone keeps away:")
    print("      classes        pairs   parsing   joining    compatible  but for one")
    for classes in (1000, 2000, 10_000):
        row = run("classes", classes)
        print(
            f"  {classes:11,} {classes**2:12,} {row['parsing']:7.2f} s {row['joining']:7.2f} s"
            f" {row['pairs']:13,} {row['alone']:12,}"
        )
    print(f"  The bar for 10,000 classes is 1.5 s: {against(1.5, row['joining'])}.")


def report_ansible() -> None:
    """The whole task."""
    row = run("ansible", 5000, 200)
    ratio = row["pairing"] / row["reading"]
    print(
        f"\nInside Ansible, the facts of 5,000 hosts ({row['devices']:,} devices of 200 classes) in hostvars:"
    )
    print(
        f"  reading them with raw_get {row['reading']:.2f} s, compatible_pairs {row['pairing']:.2f} s"
    )
    print(f"  The bar is 1.3 times reading them: {ratio:.2f} times, {against(1.3, ratio)}.")


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
