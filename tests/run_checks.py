# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run the checks that noxfile.py names, leave no lab behind, and end with a line that counts them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
REPORT = ROOT / ".nox" / "report.json"


def main() -> int:
    REPORT.unlink(missing_ok=True)
    result = subprocess.run(["nox", "--report", REPORT, *sys.argv[1:]], cwd=ROOT, check=False)
    if not REPORT.exists():
        print("The checks did not come to an end.", file=sys.stderr)
        return result.returncode or 1
    sessions = json.loads(REPORT.read_text())["sessions"]
    print(summary(sessions))
    return result.returncode


def summary(sessions: list[dict[str, Any]]) -> str:
    """Return what there is to say about the sessions of nox's report, the count on the last line."""
    passed = [session for session in sessions if session["result"] == "success"]
    skipped = [session for session in sessions if session["result"] == "skipped"]
    failed = [session for session in sessions if session not in passed + skipped]
    lines = [""]
    lines += [f"FAILED: {session['name']}" for session in failed]
    lines += [
        f"SKIPPED, SO NOT CHECKED: {session['name']}: {session['reason']}" for session in skipped
    ]
    if not failed and not skipped:
        lines += ["Every check passed."]
    lines += [f"{len(passed)} passed, {len(failed)} failed, {len(skipped)} skipped"]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
