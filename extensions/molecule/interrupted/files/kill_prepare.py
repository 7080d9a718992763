# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Kills ``ansible-playbook vfio.migration.prepare`` (SIGKILL) at some of its tasks or each, and runs the playbook cleanup after it.

What the hosts do at that moment goes on, as it does in reality. The last line says how often it was killed, and how many of the
hosts' devices were then left by cleanup. The arguments are an inventory and a directory for the plan.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from kill import each_kill

# From the first that reads what hosts have answered; before that nothing is decided.
FIRST_TASK = 3
# Each with the seconds after which it is at work.
CHANGES = (
    ("Show the path of the record of created devices", 0.0),
    ("Create, configure and verify", 0.0),
    ("Create, configure and verify", 1.5),
    ("Configure and verify physical devices", 0.0),
    ("Collect what is left", 0.0),
)


def playbook(name: str, inventory: str, **options: str) -> list[str]:
    given = [f"--extra-vars={key}={value}" for key, value in options.items()]
    return ["ansible-playbook", f"--inventory={inventory}", f"vfio.migration.{name}", *given]


def devices(inventory: str) -> list[str]:
    """Return the mediated devices of all hosts."""
    listing = ["ansible", f"--inventory={inventory}", "hypervisors", "--one-line", "-m", "raw"]
    found = subprocess.run(
        [*listing, "-a", "ls /sys/bus/mdev/devices"], capture_output=True, text=True, check=True
    )
    return sorted(found.stdout.split())


def main(inventory: str, directory: str) -> None:
    plan = str(Path(directory) / "interrupted.json")
    prepare = playbook("prepare", inventory, prepare_drain="a", prepare_dest=plan)
    before = devices(inventory)
    points = left = 0
    for task, seconds in each_kill(prepare, CHANGES, FIRST_TASK):
        points += 1
        # Without a plan nothing was begun.
        if Path(plan).with_suffix(".progress.json").exists():
            cleanup = playbook("cleanup", inventory, cleanup_from=plan)
            subprocess.run(cleanup, check=False, stdout=sys.stderr)
        after = devices(inventory)
        if after != before:
            left += 1
            print(f"{seconds} s after task {task}: {before} has become {after}")
            before = after
    print(f"kill points: {points}, leftovers: {left}")


if __name__ == "__main__":
    main(*sys.argv[1:])
