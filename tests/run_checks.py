# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run the default checks of noxfile.py and, beside them, those on the lab; tell what came of them, and count them in the last line.

What the checks on the lab print is shown when the rest has ended; what failed, and why, once more at the end.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_NOX = Path(".nox")
_LAB = ("--session", "molecule")
# Long enough to stop every host.
_STOP_SECONDS = 120
# A failed test of pytest, a scenario, a task, a linter's finding.
_FAILURE = re.compile(r"(FAILED|ERROR|fatal: |\S+:\d+(:\d+)?: )")
_WHY, _WIDTH = 6, 200


def main() -> int:
    # So that what is cleaned up on Ctrl-C, the lab above all, is so when a CI system stops us.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    _NOX.mkdir(exist_ok=True)
    reports = {name: _NOX / f"{name}.json" for name in ("rest", "lab")}
    logs = {name: _NOX / f"{name}.log" for name in reports}
    for report in reports.values():
        report.unlink(missing_ok=True)
    command = {name: ["nox", "--report", str(report)] for name, report in reports.items()}
    with (
        _running([*command["lab"], *_LAB], logs["lab"]) as on_lab,
        _running(command["rest"], logs["rest"]) as rest,
    ):
        _show(rest, logs["rest"])
        print("\nThe checks on the lab, which have begun with the others ...\n", flush=True)
        _show(on_lab, logs["lab"])
    if not all(report.exists() for report in reports.values()):
        sys.exit("The checks did not come to an end.")
    sessions = [
        {**session, "why": _why(session, logs[name].read_text(errors="replace"))}
        for name, report in reports.items()
        for session in json.loads(report.read_text())["sessions"]
    ]
    print("", *_lines(sessions), sep="\n")
    return max(on_lab.returncode, rest.returncode)


@contextmanager
def _running(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command while the block runs, its output in the log; end it where the block does not wait for it."""
    with log.open("wb") as output:
        # Ctrl-C is for this process alone, which passes it on.
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(_STOP_SECONDS)


def _show(process: subprocess.Popen[bytes], log: Path) -> None:
    """Show what a process prints to the log, until it ends."""
    with log.open(errors="replace") as printed:
        ended = False
        while not ended:
            ended = process.poll() is not None
            sys.stdout.writelines(printed)
            sys.stdout.flush()
            time.sleep(1)


def _label(session: dict[str, Any]) -> str:
    """Return what nox calls a session, with its parameters."""
    return str((session["signatures"] or [session["name"]])[0])


def _why(session: dict[str, Any], log: str) -> list[str]:
    """Return the last lines of what a session has printed that name a failure, or its last ones."""
    printed = log.rpartition(f"nox > Running session {_label(session)}\n")[2]
    printed = printed.partition("nox > Running session ")[0]
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
