# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What the kernel logs during a change: drivers say there what an errno cannot.

Records are those of Documentation/ABI/testing/dev-kmsg: ``priority,sequence,time,flags;text`` and further lines.
"""

from __future__ import annotations

import collections
import errno
import itertools
import os

from ansible_collections.vfio.migration.plugins.module_utils._host.reading import (
    decimal,
    displayable,
)

_PATH = "/dev/kmsg"
# The longest record that the kernel gives.
_RECORD = 8192
_MAX_LINES = 8
_MAX_RECORDS = 10_000
_MAX_LINE = 300
_FACILITY_SHIFT = 3


class KernelLog:
    """The kernel's log from where the ``with`` block begins; without lines where it may not be read.

    ``live`` says whether the change is one of the running kernel.
    """

    def __init__(self, live: bool, path: str = _PATH) -> None:
        self._live = live
        self._path = path
        self._descriptor: int | None = None

    def __enter__(self) -> KernelLog:
        if self._live:
            try:
                self._descriptor = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK)
                os.lseek(self._descriptor, 0, os.SEEK_END)
            except OSError:
                self.__exit__()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def lines(self) -> list[str]:
        """Return what the kernel itself has logged since, at most the last lines of it."""
        found: collections.deque[str] = collections.deque(maxlen=_MAX_LINES)
        # A process that floods the log must not keep the call waiting.
        for record in itertools.islice(iter(self._read, None), _MAX_RECORDS):
            head, semicolon, text = record.partition(";")
            priority = head.split(",", 1)[0]
            level = decimal(priority) if semicolon else None
            if level is not None and level >> _FACILITY_SHIFT == 0:
                line = displayable(text.split("\n", 1)[0])
                found.append(line if len(line) <= _MAX_LINE else line[: _MAX_LINE - 3] + "...")
        return list(found)

    def _read(self) -> str | None:
        """Return the next record; ``None`` where there is none."""
        while self._descriptor is not None:
            try:
                return os.read(self._descriptor, _RECORD).decode("utf-8", "replace") or None
            except OSError as error:
                # Records that were overwritten before they were read.
                if error.errno != errno.EPIPE:
                    return None
        return None
