# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs Molecule scenarios on labs of its own, one at a time on each; shows what each printed when it has ended.

Where a scenario fails, the task that failed is shown once more at the end.
"""

from __future__ import annotations

import argparse
import os
import queue
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import typing as t
from pathlib import Path

from processes import stop_group

_ROOT = Path(__file__).resolve().parents[2]
_SCENARIOS = _ROOT / "extensions/molecule"
_LAB = (sys.executable, str(_ROOT / "tests/lab/lab.py"))
# A host is busy half of the time, if that; the other half is for another lab's.
_LABS = 2
# They take the longest, and so are to begin first.
_LONG = (
    "migrate",
    "migrate_fails",
    "migrate_drain",
    "sriov",
    "vdpa",
)
# It takes minutes each time that a playbook is killed on the lab: these are run where they are named, as make faults does.
_NAMED_ALONE = ("interrupted", "interrupted_migration", "maintain")
# On a busy machine the longest takes less than half of it: what takes longer hangs.
_MOST_SECONDS = 25 * 60
# What Molecule needs to end what it has started.
_STOP_SECONDS = 60
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
# How a task begins in what Ansible prints, which Molecule frames, and how its failure does.
_TASK = re.compile(r"^\W*(TASK \[|PLAY RECAP|RUNNING HANDLER)")
_FAILURE = re.compile(r"^\W*(fatal|failed): \[")


class Run:
    """Scenarios that are still to be run, those that were, with the task that failed, and what runs at this moment."""

    def __init__(self, scenarios: list[str]) -> None:
        self.failed: dict[str, list[str]] = {}
        self.passed: list[str] = []
        self._left: queue.SimpleQueue[str] = queue.SimpleQueue()
        for scenario in scenarios:
            self._left.put(scenario)
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._stopped = False

    def on_lab(self, lab: str) -> None:
        """Run scenarios on a lab until none is left."""
        env = {**os.environ, "VFIO_MIGRATION_LAB": lab}
        status, output, _seconds = self._command([*_LAB, "up"], env)
        print(output, end="", flush=True)
        try:
            while status == 0 and (scenario := self._next()):
                command = ["molecule", "test", "--scenario-name", scenario]
                ended, output, seconds = self._command(command, env)
                if ended:
                    self.failed[scenario] = _failed_task(output)
                else:
                    self.passed.append(scenario)
                how = f"failed with status {ended}" if ended else "passed"
                line = f"Scenario {scenario} has {how}, on {lab}, after {seconds:.0f} s"
                print(f"{output}\n=== {line} ===\n", flush=True)
        finally:
            subprocess.run([*_LAB, "down"], env=env, check=False)

    def left(self) -> list[str]:
        """Return, and forget, the scenarios that no lab has run."""
        left = []
        while scenario := self._next():
            left.append(scenario)
        return left

    def stop(self) -> None:
        """End what runs, and begin nothing more."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                os.killpg(process.pid, signal.SIGTERM)

    def _next(self) -> str | None:
        try:
            return None if self._stopped else self._left.get_nowait()
        except queue.Empty:
            return None

    def _command(self, command: list[str], env: dict[str, str]) -> tuple[int, str, float]:
        begin = time.monotonic()
        # Not a pipe: a process that outlives Molecule may hold that open.
        with tempfile.TemporaryFile() as output:
            process = self._start(command, env, output)
            if process is None:
                return 1, "", 0
            status = _ended(process, output)
            with self._lock:
                self._running.discard(process)
            output.seek(0)
            said = output.read().decode(errors="replace")
        return status, said, time.monotonic() - begin

    def _start(
        self, command: list[str], env: dict[str, str], output: t.IO[bytes]
    ) -> subprocess.Popen[bytes] | None:
        with self._lock:
            if self._stopped:
                return None
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=env,
                # With all its children, it can be ended by its group.
                start_new_session=True,
            )
            self._running.add(process)
        return process


def _ended(process: subprocess.Popen[bytes], output: t.IO[bytes]) -> int:
    """Wait until a process ends, or end it with its group where it takes too long, and say so in its output; return its status."""
    try:
        return process.wait(_MOST_SECONDS)
    except subprocess.TimeoutExpired:
        stop_group(process, _STOP_SECONDS)
    output.seek(0, os.SEEK_END)
    output.write(f"\nIt was ended, as it took more than {_MOST_SECONDS} s.\n".encode())
    return process.returncode or 1


def _failed_task(output: str) -> list[str]:
    """Return what the last task that failed printed; where none is found, the last lines of all."""
    lines = _COLOUR.sub("", output).splitlines()
    tasks: list[list[str]] = [[]]
    for line in lines:
        if _TASK.match(line):
            tasks.append([])
        tasks[-1].append(line)
    for task in reversed(tasks):
        ignored = any(line.endswith("...ignoring") for line in task)
        if not ignored and any(_FAILURE.match(line) for line in task):
            return task
    return lines[-20:]


def main() -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    there = sorted(path.parent.name for path in _SCENARIOS.glob("*/molecule.yml"))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "scenario",
        nargs="*",
        help=f"of {', '.join(there)}; default: all but {', '.join(_NAMED_ALONE)}",
    )
    parser.add_argument("--labs", type=int, default=_LABS, help="default: %(default)s")
    arguments = parser.parse_args()
    chosen = arguments.scenario or [name for name in there if name not in _NAMED_ALONE]
    if unknown := set(chosen) - set(there):
        parser.error(f"there is no scenario {', '.join(sorted(unknown))}")
    # Scenarios that Molecule remembers as prepared were prepared on another lab.
    subprocess.run(["molecule", "reset", "--all"], check=True)
    first = [name for name in _LONG if name in chosen]
    run = Run(first + [name for name in chosen if name not in first])
    labs = [f".lab/{number}" for number in range(1, arguments.labs + 1)]
    threads = [threading.Thread(target=run.on_lab, args=[lab]) for lab in labs]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            thread.join()
    except KeyboardInterrupt:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        run.stop()
        for thread in threads:
            thread.join()
        raise
    for name, task in run.failed.items():
        print(f"FAILED: scenario {name}", *task, sep="\n")
    left = run.left()
    for name in left:
        print(f"NOT RUN: scenario {name}")
    print(f"{len(run.passed)} scenarios passed, {len(run.failed)} failed, {len(left)} were not run")
    return 1 if run.failed or left else 0


if __name__ == "__main__":
    sys.exit(main())
