# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tell what came of the checks in a report of nox, and count them in the last line."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    report = Path(sys.argv[1])
    if not report.exists():
        sys.exit("The checks did not come to an end.")
    sessions = json.loads(report.read_text())["sessions"]
    print("", *lines(sessions), sep="\n")


def lines(sessions: list[dict[str, Any]]) -> list[str]:
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
    main()
