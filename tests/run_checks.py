# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run the default checks of noxfile.py and, beside them, those on the lab; tell what came of them, and count them in the last line.

What a check prints is shown when it has ended; what failed, and why, once more at the end.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

_LOGS = Path(".nox/checks")
_LAB = ["molecule"]
# The labs need about as much of a machine as one check does; once they have ended, two run at the same time.
_BESIDE_THE_LAB, _AFTER_THE_LAB = 1, 2
# Each group runs one after the other: these write to the same directory, and these install packages, which only one can at a time.
_GROUPS = [re.compile(r"ansible-test-"), re.compile(r"(awx|rulebooks|browser)$")]
# On a busy machine the slowest group takes half as long: what takes longer hangs. Scenarios of the lab have a limit each.
_MOST_MINUTES = 35
# Long enough to stop every host.
_STOP_SECONDS = 120
# How many lines are shown of what did not end.
_LAST = 30
# A failed test of pytest, a scenario, a task, a linter's finding.
_FAILURE = re.compile(r"(FAILED|ERROR|fatal: |\S+:\d+(:\d+)?: )")
_WHY, _WIDTH = 6, 200


@dataclasses.dataclass(frozen=True)
class _Run:
    """A process of nox that runs ``names``; ``report`` is there once it has ended by itself."""

    names: list[str]
    process: subprocess.Popen[bytes]
    log: Path
    report: Path
    begun: float

    @classmethod
    def start(cls, names: list[str]) -> _Run:
        """Start nox, its output in the log."""
        log, report = (_LOGS / f"{names[0]}.{kind}" for kind in ("log", "json"))
        report.unlink(missing_ok=True)
        command = ["nox", "--report", str(report), "--session", *names]
        with log.open("wb") as output:
            # Ctrl-C is for this process alone, which passes it on.
            process = subprocess.Popen(
                command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )
        return cls(names, process, log, report, time.monotonic())

    def ended(self) -> bool:
        return self.process.poll() is not None

    def minutes(self) -> float:
        """Return the time since it has begun."""
        return (time.monotonic() - self.begun) / 60

    def hangs(self) -> bool:
        """Return whether it takes longer than it ever should."""
        return self.names != _LAB and self.minutes() > _MOST_MINUTES

    def show(self) -> None:
        """Show what it has printed."""
        print(self.log.read_text(errors="replace"), flush=True)

    def show_unended(self) -> None:
        """Show what it has printed last, and its processes: where it is."""
        last = self.log.read_text(errors="replace").splitlines()[-_LAST:]
        print(
            f"After {self.minutes():.0f} minutes this has not ended: {', '.join(self.names)}",
            *(line[:_WIDTH] for line in (*last, *_descendants(self.process.pid))),
            sep="\n",
            flush=True,
        )

    def sessions(self) -> list[dict[str, Any]]:
        """Return its sessions, each with why it failed."""
        log = self.log.read_text(errors="replace")
        if not self.report.exists():
            why = _why(log) or ["It printed nothing."]
            return [
                {"name": ", ".join(self.names), "signatures": [], "result": "stopped", "why": why}
            ]
        sessions = json.loads(self.report.read_text())["sessions"]
        return [{**session, "why": _why(_printed(session, log))} for session in sessions]


def main() -> int:
    # So that what is cleaned up on Ctrl-C, the lab above all, is so when a CI system stops us.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    _LOGS.mkdir(parents=True, exist_ok=True)
    left = _default_sessions()
    runs = [_Run.start(_LAB)]
    try:
        _run(left, runs)
    finally:
        _stop([run for run in runs if not run.ended()])
    sessions = [session for run in runs for session in run.sessions()]
    print("", *_lines(sessions), sep="\n")
    return 1 if any(run.process.returncode or not run.report.exists() for run in runs) else 0


def _stop(runs: list[_Run]) -> None:
    """Show where ``runs`` are, and end them: all at the same time, and with force what does not end by itself."""
    for run in runs:
        run.show_unended()
        run.process.terminate()
    end = time.monotonic() + _STOP_SECONDS
    for run in runs:
        try:
            run.process.wait(max(0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            os.killpg(run.process.pid, signal.SIGKILL)
            run.process.wait()
        # Whatever it says: it did not come to its end.
        run.report.unlink(missing_ok=True)
        with run.log.open("a") as log:
            print(f"ERROR: stopped after {run.minutes():.0f} minutes", file=log)


def _descendants(ancestor: int) -> list[str]:
    """Return a line for each process below ``ancestor``: its number, how long it has run, what it waits for in the kernel, its command."""
    if not shutil.which("ps"):
        return []
    columns = "pid=,ppid=,etime=,wchan:20=,args="
    listed = subprocess.run(
        ["ps", "-e", "--forest", "-o", columns], stdout=subprocess.PIPE, text=True, check=True
    )
    found, lines = {ancestor}, []
    for line in listed.stdout.splitlines():
        process, parent = (int(number) for number in line.split()[:2])
        if parent in found:
            found.add(process)
            lines.append(line)
    return lines


def _default_sessions() -> list[list[str]]:
    """Return the sessions that nox runs by default, each group in one list."""
    listed = subprocess.run(
        ["nox", "--list", "--json"], stdout=subprocess.PIPE, text=True, check=True
    )
    jobs: dict[str, list[str]] = {}
    for session in json.loads(listed.stdout):
        name = session["session"]
        group = next((group.pattern for group in _GROUPS if group.match(name)), name)
        jobs.setdefault(group, []).append(name)
    return [*jobs.values()]


def _run(left: list[list[str]], runs: list[_Run]) -> None:
    """Run the sessions that are ``left`` beside the lab, which is the first of ``runs``; show each when it has ended."""
    lab, running = runs[0], [*runs]
    while running:
        time.sleep(1)
        for run in [*running]:
            if run.hangs():
                _stop([run])
            if run.ended():
                run.show()
                running.remove(run)
        at_once = 1 + _BESIDE_THE_LAB if lab in running else _AFTER_THE_LAB
        while left and len(running) < at_once:
            running.append(_Run.start(left.pop(0)))
            runs.append(running[-1])


def _label(session: dict[str, Any]) -> str:
    """Return what nox calls a session, with its parameters."""
    return str((session["signatures"] or [session["name"]])[0])


def _printed(session: dict[str, Any], log: str) -> str:
    """Return the part of a log that is a session's."""
    printed = log.rpartition(f"nox > Running session {_label(session)}\n")[2]
    return printed.partition("nox > Running session ")[0]


def _why(printed: str) -> list[str]:
    """Return the last lines that name a failure, or the last ones."""
    lines = [line[:_WIDTH] for line in printed.splitlines() if line.strip()]
    return ([line for line in lines if _FAILURE.match(line)] or lines)[-_WHY:]


def _lines(sessions: list[dict[str, Any]]) -> list[str]:
    passed = [session for session in sessions if session["result"] == "success"]
    skipped = [session for session in sessions if session["result"] == "skipped"]
    failed = [session for session in sessions if session not in passed + skipped]
    told = [
        line
        for session in failed
        for line in (f"FAILED: {_label(session)}", *(f"    {why}" for why in session["why"]))
    ]
    told += [
        f"SKIPPED, SO NOT CHECKED: {_label(session)}: {session['reason']}" for session in skipped
    ]
    return [
        *(told or ["Every check passed."]),
        f"{len(passed)} passed, {len(failed)} failed, {len(skipped)} skipped",
    ]


if __name__ == "__main__":
    sys.exit(main())
