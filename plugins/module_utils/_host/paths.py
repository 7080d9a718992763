# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Which files a host has, where a path may be on a server that is silent: to look there waits, and no signal ends that."""

from __future__ import annotations

import os
import threading
import time

# An automount takes a few seconds. What takes longer is answered late, if at all.
PATH_SECONDS = 5.0


def is_there(path: str) -> bool | None:
    """Return whether there is a file, ``None`` where the system does not say."""
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return False
    except OSError:
        return None
    return True


class Paths:
    """Looks for files on behalf of one task: for each once, in a thread of its own, however many callers ask."""

    def __init__(self) -> None:
        self._looks: dict[str, _Look] = {}

    def look(self, path: str, end: float) -> None:
        """Look for a path until ``end`` at most, by the monotonic clock; begin nothing that late."""
        left = end - time.monotonic()
        if path not in self._looks and left > 0:
            try:
                self._looks[path] = _Look(path)
            except RuntimeError:
                # There can be no more threads.
                return
        if path in self._looks:
            self._looks[path].wait(left)

    def found(self, path: str) -> bool | None:
        """Return whether there is a file at a path that was looked for, ``None`` where that is not known so far."""
        return self._looks[path].found if path in self._looks else None


class _Look:
    """A look for one path, and what it has ``found``."""

    def __init__(self, path: str) -> None:
        self.found: bool | None = None
        self._end = time.monotonic() + PATH_SECONDS
        self._ended = threading.Event()
        threading.Thread(target=self._look, args=(path,), daemon=True).start()

    def _look(self, path: str) -> None:
        self.found = is_there(path)
        self._ended.set()

    def wait(self, seconds: float) -> None:
        """Wait for so long, but no longer than any path is waited for in all."""
        self._ended.wait(max(0.0, min(seconds, self._end - time.monotonic())))
