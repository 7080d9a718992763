# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lab's commands can fail with."""

from __future__ import annotations

from pathlib import Path

_TAIL_LINES = 30


class LabError(Exception):
    """A step that failed, in words for the person who ran the command."""


def with_log(message: str, log: Path) -> LabError:
    """Return an error that ends with the last lines of the log that explains it."""
    text = log.read_text(errors="replace") if log.exists() else ""
    tail = "\n".join(f"  | {line}" for line in text.splitlines()[-_TAIL_LINES:])
    return LabError(f"{message}\n{tail or '  | (empty)'}\nWhole log: {log}")
