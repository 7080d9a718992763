# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What killed calls leave on a host, as it should be and spoilt."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

from ansible_collections.vfio.migration.plugins.module_utils._change.journal import Journal, Step

# How a journal may be spoilt whose line has an operation: text, what is there in its place, and what is said of it.
SPOILT = {
    "format": (b'"format": 1', b'"format": 2', "written by a newer release of vfio.migration"),
    "operation": (
        b'"operation": "',
        b'"operation": "un',
        "which this release of vfio.migration does not know",
    ),
    "arguments": (b'"arguments": {', b'"arguments": {"more": 1, ', "'more' is unknown"),
    "cut off": (b'"}}\n', b"\n", "it is damaged or cut off: no JSON"),
}


def leave(directory: str, *steps: Step, locks: t.Iterable[str] = ()) -> None:
    """Leave what a call leaves that noted ``steps`` and then was killed, as far as its files can tell."""
    journal = Journal(directory)
    for lock in {*locks, *(step.lock for step in steps)}:
        assert journal.lock(lock)
    for step in steps:
        journal.note(step)
    for descriptor in journal.descriptors:
        os.close(descriptor)


def spoil(directory: str, kind: str) -> tuple[Path, str]:
    """Spoil the one journal there is; return its path and what must be said of it."""
    (path,) = Path(directory).glob("*.journal")
    old, new, words = SPOILT[kind]
    content = path.read_bytes()
    spoilt = content.replace(old, new)
    assert spoilt != content
    path.write_bytes(spoilt)
    return path, words


def contents(directory: str) -> dict[str, bytes]:
    """Return the files that have something in them."""
    found = {path.name: path.read_bytes() for path in Path(directory).iterdir()}
    return {name: content for name, content in found.items() if content}
