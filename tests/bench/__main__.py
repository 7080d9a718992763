# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Measures what gathering costs on a lab host with 24 mediated devices: ``make bench``.

The CPU time of ``vfio_migration_facts`` on that host stands beside that of ``ansible.builtin.ping``, which does
nothing but be an Ansible module, and of ``mdevctl list`` plus ``mdevctl types``. What counts are the ratios: all
are taken in turn, round by round, on one emulated host.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path

INVENTORY = ".lab/inventory.yml"
HOST = "a"
DEVICES = 24
ROUNDS = 7
BAR = 1.3

MEASURED = "/run/measured-python"
TIMES = "/run/measured-times"
# The shell's own times: the last line is what its children used, user and system.
WRAPPER = f"""#!/bin/sh
/usr/bin/python3 "$@"
status=$?
times | tail -n 1 >>{TIMES}
exit $status
"""


def ansible(module: str, arguments: object, *options: str) -> str:
    """Run one ad hoc command on the host and return what it printed."""
    command = ["ansible", "--inventory", INVENTORY, HOST, "--module-name", module]
    command += ["--args", json.dumps(arguments), "--one-line", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{module} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def seconds(line: str) -> float:
    """User plus system time in a line of the shell's ``times``, as ``0m1.23s 0m0.45s``."""
    total = 0.0
    for part in line.split():
        minutes, rest = part.rstrip("s").split("m")
        total += 60 * int(minutes) + float(rest)
    return total


def measure(module: str, arguments: object) -> float:
    """CPU seconds that one run of a module takes on the host."""
    ansible("ansible.builtin.raw", {"_raw_params": f"rm -f {TIMES}"})
    ansible(module, arguments, "--extra-vars", f"ansible_python_interpreter={MEASURED}")
    return read_times()


def read_times() -> float:
    """CPU seconds in the host's file of times."""
    shown = ansible("ansible.builtin.raw", {"_raw_params": f"cat {TIMES}"})
    return seconds(shown.rpartition("(stdout)")[2].replace("\\r\\n", " ").strip())


def measure_mdevctl() -> float:
    """CPU seconds that ``mdevctl list`` and ``mdevctl types`` take together."""
    script = f"mdevctl list >/dev/null; mdevctl types >/dev/null; times | tail -n 1 >{TIMES}"
    ansible("ansible.builtin.raw", {"_raw_params": f"sh -c '{script}'"})
    return read_times()


def main() -> None:
    """Bring the lab up, make the devices, measure, and leave the lab as it was."""
    started = not Path(INVENTORY).exists()
    subprocess.run([sys.executable, "tests/lab/lab.py", "up"], check=True)
    devices = [
        {
            "uuid": f"{number:08d}-1111-4222-8333-444444444444",
            "parent": "mtty",
            "type": "mtty-1",
        }
        for number in range(DEVICES)
    ]
    try:
        ansible("vfio.migration.vfio_mdev", {"devices": devices})
        ansible("ansible.builtin.copy", {"content": WRAPPER, "dest": MEASURED, "mode": "0755"})
        rounds = [
            (
                measure("ansible.builtin.ping", {}),
                measure("vfio.migration.vfio_migration_facts", {}),
                measure_mdevctl(),
            )
            for _ in range(ROUNDS)
        ]
        ansible("vfio.migration.vfio_mdev", {"devices": devices, "state": "absent"})
    finally:
        if started:
            subprocess.run([sys.executable, "tests/lab/lab.py", "down"], check=True)
    report(rounds)


def report(rounds: list[tuple[float, float, float]]) -> None:
    """Print the table."""
    ping, facts, mdevctl = (statistics.median(column) for column in zip(*rounds, strict=True))
    print(f"\nCPU time on a lab host with {DEVICES} mediated devices, median of {ROUNDS} rounds:")
    for name, value in (
        ("ansible.builtin.ping", ping),
        ("vfio_migration_facts", facts),
        ("mdevctl list + mdevctl types", mdevctl),
    ):
        print(f"  {name:30} {value:6.2f} s   {value / ping:5.2f} times ping")
    verdict = "met" if facts <= BAR * ping else "missed"
    print(f"The bar for vfio_migration_facts is {BAR} times ping: {verdict}.")


if __name__ == "__main__":
    main()
