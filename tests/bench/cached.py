# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Measure planning jobs on cached facts, as an automation controller runs them: seconds of the CPU of whole runs of Ansible.

Beside them stands a play that only reads the same facts. The facts are in the cache ``jsonfile``.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from ansible_collections.vfio.migration.tests.bench.fleet import HEADER, judged

CLASSES = 60
DEVICES = 8
SIZES = (300, 3000)
ROUNDS = 3
MOST_OF_READING = 1.5
MOST_OF_EACH = 2.0
MOST_KILOBYTES = 4.0
# All of it has a place elsewhere, in each size.
ONE = "host000001"
_YEARS = 10 * 365 * 86400
_CONFIGURATION = """[defaults]
fact_caching = jsonfile
fact_caching_connection = {place}/cache
fact_caching_timeout = 0
inject_facts_as_vars = False
inventory = {place}/hosts.json
local_tmp = {place}/tmp
"""


class Fleet:
    """A fleet whose facts are cached in ``place``."""

    def __init__(self, place: Path, count: int) -> None:
        self._place = place
        place.mkdir()
        fleet: dict[str, dict[str, str]] = {f"host{number:06}": {} for number in range(count)}
        inventory = {"all": {"children": {"fleet": {"hosts": fleet}}}}
        place.joinpath("hosts.json").write_text(json.dumps(inventory))
        place.joinpath("ansible.cfg").write_text(_CONFIGURATION.format(place=place))
        self.run(
            "tests/bench/cached.yml",
            fleet_hosts=count,
            fleet_classes=CLASSES,
            fleet_devices=DEVICES,
        )
        self.size = sum(each.stat().st_size for each in place.joinpath("cache").iterdir())

    def run(self, playbook: str, *arguments: str, **variables: object) -> float:
        """Return the CPU seconds that a run of a playbook takes, with all of its processes."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = ["ansible-playbook", playbook, *arguments, "--extra-vars", json.dumps(variables)]
        env = os.environ | {"ANSIBLE_CONFIG": str(self._place / "ansible.cfg")}
        env |= {"ANSIBLE_COLLECTIONS_PATH": str(Path(".collections").resolve())}
        done = subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            sys.exit(f"{playbook} failed:\n{done.stdout[-4000:]}")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime

    def read(self) -> float:
        return self.run("tests/bench/cached.yml")

    def each(self) -> float:
        return self.run("tests/bench/each.yml")

    def report(self, **variables: object) -> float:
        return self.run(
            "vfio.migration.report",
            report_gather=False,
            report_max_age=_YEARS,
            report_hosts="fleet",
            report_dest=str(self._place / "report"),
            **variables,
        )

    def plan(self) -> float:
        return self.report(report_drain=[ONE])

    def prepare(self) -> float:
        return self.run(
            "vfio.migration.prepare",
            "--check",
            prepare_gather=False,
            prepare_max_age=_YEARS,
            prepare_hosts="fleet",
            prepare_drain=[ONE],
        )


def measure(count: int, rounds: int) -> list[str]:
    """Return the lines of the table for a fleet of that many hosts; of several rounds the least counts."""
    with tempfile.TemporaryDirectory() as place:
        fleet = Fleet(Path(place, "fleet"), count)
        names = ("read", "report", "plan", "prepare", "each")
        taken = [[getattr(fleet, name)() for name in names] for _round in range(rounds)]
    read, report, plan, prepare, each = (min(column) for column in zip(*taken, strict=True))
    kilobytes = fleet.size / count / 1e3
    print(
        f"  {count:6,} hosts: reading {read:.2f} s, report {report:.2f} s, with a plan {plan:.2f} s,"
        f" prepare --check {prepare:.2f} s, a task on each host {each:.2f} s; {kilobytes:.2f} kB a host"
    )
    return [
        judged(f"{count:,} hosts: report, beside reading", MOST_OF_READING, report / read, "times"),
        judged(
            f"{count:,} hosts: with a plan, beside reading", MOST_OF_READING, plan / read, "times"
        ),
        judged(
            f"{count:,} hosts: prepare --check, beside reading",
            MOST_OF_READING,
            prepare / read,
            "times",
        ),
        judged(
            f"{count:,} hosts: report, beside a task on each", MOST_OF_EACH, report / each, "times"
        ),
        judged(f"{count:,} hosts: the cache, a host", MOST_KILOBYTES, kilobytes, "kB"),
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="run small and check the results only")
    smoke = parser.parse_args().smoke
    print(f"\nPlanning jobs on cached facts, {DEVICES} devices a host:")
    lines = [
        line
        for count in ((10,) if smoke else SIZES)
        for line in measure(count, 1 if smoke else ROUNDS)
    ]
    print(HEADER, *lines, sep="\n")


if __name__ == "__main__":
    main()
