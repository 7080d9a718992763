# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run the default checks of noxfile.py and, beside them, those on the lab; tell what came of them, and count them in the last line.

What the checks on the lab print is shown when the rest has ended.
"""

from __future__ import annotations

import json
import shutil
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


def main() -> int:
    # So that what is cleaned up on Ctrl-C, the lab above all, is so when a CI system stops us.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    _NOX.mkdir(exist_ok=True)
    rest, lab = (_NOX / f"{name}.json" for name in ("rest", "lab"))
    log = _NOX / "lab.log"
    for report in (rest, lab):
        report.unlink(missing_ok=True)
    with _running(["nox", *_LAB, "--report", str(lab)], log) as on_lab:
        ends = [subprocess.run(["nox", "--report", str(rest)], check=False).returncode]
        print("\nThe checks on the lab, which have begun with the others ...\n", flush=True)
        _show(on_lab, log)
        ends.append(on_lab.wait())
    if not (rest.exists() and lab.exists()):
        sys.exit("The checks did not come to an end.")
    sessions = [each for report in (rest, lab) for each in _sessions(report)]
    print("", *_lines(sessions), sep="\n")
    return max(ends)


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
    with log.open() as printed:
        ended = False
        while not ended:
            ended = process.poll() is not None
            shutil.copyfileobj(printed, sys.stdout)
            sys.stdout.flush()
            time.sleep(1)


def _sessions(report: Path) -> list[dict[str, Any]]:
    return list(json.loads(report.read_text())["sessions"])


def _lines(sessions: list[dict[str, Any]]) -> list[str]:
    passed = [session for session in sessions if session["result"] == "success"]
    skipped = [session for session in sessions if session["result"] == "skipped"]
    failed = [session for session in sessions if session not in passed + skipped]
    told = [f"FAILED: {session['name']}" for session in failed]
    told += [
        f"SKIPPED, SO NOT CHECKED: {session['name']}: {session['reason']}" for session in skipped
    ]
    return [
        *(told or ["Every check passed."]),
        f"{len(passed)} passed, {len(failed)} failed, {len(skipped)} skipped",
    ]


if __name__ == "__main__":
    sys.exit(main())
