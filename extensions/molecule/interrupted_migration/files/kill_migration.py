# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Kills ``ansible-playbook vfio.migration.migrate_libvirt`` (SIGKILL) in one task after another.

The playbook cleanup runs after each time. What the hosts do at that moment goes on, as it does in reality, and so do workers of
ansible-core, which have sessions of their own. Where a host is still at work, cleanup runs again when it no longer is. Then the
guest must run on one host, with what belongs to it, and nothing else may be there: devices, definitions, domains, journals, files
of the migration. The last line says how often the playbook was killed, and after how many times something was left. The arguments
are an inventory, a directory for the plan, and the guest's name.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from kill import each_kill

# What the scenario interrupted does not change, each with the seconds after which it is at work: a guest is first read, and then sent by a process of its own.
CHANGES = (
    ("Migrate the leaving guests", 6.0),
    ("Define the targets of defined sources", 1.5),
)
HOSTS = "ab"
WAIT_SECONDS = 120
# Each line begins with the host's name and what it is.
SHOW = """
exec 2>/dev/null
{
ls /sys/bus/mdev/devices | sed "s/^/device /"
mdevctl list --defined | sed "s/^/defined /"
ls -d /run/vfio.migration/*/*.journal /run/vfio.migration/migrate/* /root/.ansible_async/* | sed "s/^/file /"
virsh list --all --name | sed "/./s/^/domain /"
virsh list --name --state-running | sed "/./s/^/running /"
pgrep "^(virsh|python3)" >/dev/null && echo "working on something"
} | sed "/./s/^/on $(hostname) /"
"""


class Migration:
    """The playbook by its ``command``, the clean-up after it, and what is on the hosts of an inventory."""

    def __init__(self, inventory: str, directory: str, guest: str) -> None:
        self._inventory = inventory
        self._plan = Path(directory) / "interrupted.json"
        options: dict[str, object] = {
            "migrate_libvirt_hosts": ",".join(HOSTS),
            "migrate_libvirt_guests": [guest],
        }
        self.command = self._playbook(
            "migrate_libvirt", {**options, "prepare_dest": str(self._plan)}
        )

    def _playbook(self, name: str, options: dict[str, object]) -> list[str]:
        given = f"--extra-vars={json.dumps(options)}"
        return [
            "ansible-playbook",
            f"--inventory={self._inventory}",
            f"vfio.migration.{name}",
            given,
        ]

    def clean_up(self) -> None:
        # Without a plan nothing was begun.
        if self._plan.with_suffix(".progress.json").exists():
            options: dict[str, object] = {
                "cleanup_from": str(self._plan),
                "cleanup_remove": ["prepared", "vacated"],
            }
            subprocess.run(self._playbook("cleanup", options), check=False, stdout=sys.stderr)

    def there(self) -> list[str]:
        """Return what is on all hosts, and who is at work."""
        where = ["ansible", f"--inventory={self._inventory}", "hypervisors"]
        found = subprocess.run(
            [*where, "-m", "raw", "-a", SHOW],
            capture_output=True,
            text=True,
            check=True,
            # Molecule wants colours.
            env={**os.environ, "ANSIBLE_FORCE_COLOR": "0"},
        )
        lines = [line.strip() for line in found.stdout.splitlines()]
        return sorted(line.removeprefix("on ") for line in lines if line.startswith("on "))

    def settled(self) -> list[str]:
        """Clean up at once, and again where somebody was still at work; return what is then on all hosts."""
        there = self.there()
        goes_on = at_work(there)
        self.clean_up()
        begin = time.monotonic()
        while at_work(there) and time.monotonic() < begin + WAIT_SECONDS:
            time.sleep(1)
            there = self.there()
        if goes_on:
            self.clean_up()
        return self.there()


def at_work(there: list[str]) -> bool:
    return any(line.endswith(" working on something") for line in there)


def main(inventory: str, directory: str, guest: str) -> None:
    migration = Migration(inventory, directory, guest)
    before = migration.there()
    things = [line.partition(" ")[2] for line in before]
    # All that is on the guest's host, on one of those that it moves between.
    right = [sorted(f"{host} {thing}" for thing in things) for host in HOSTS]
    assert before in right
    assert f"running {guest}" in things
    killed = left = 0
    for task, seconds in each_kill(migration.command, CHANGES):
        killed += 1
        there = migration.settled()
        print(f"killed {seconds} s after {task}: {there}", flush=True)
        left += there not in right
    print(f"kill points: {killed}, leftovers: {left}")


if __name__ == "__main__":
    main(*sys.argv[1:])
