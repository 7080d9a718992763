# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""When a migration gets a longer downtime, and when it is given up. Pure.

A migration ends once what is left can be sent within the limit of its downtime. Where the guest's memory or its devices' state
changes as fast as it is sent, it never does. A higher limit helps, as far as the operator allows it; so it is doubled each
time that no progress was made for a while, and the migration is given up where none is made at the highest.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

# How long to wait for progress before the limit grows, in seconds.
STEP_SECONDS = 10.0
# Less is left than before if it is this much less: what stays about the same is no progress.
_PROGRESS = 0.99


@dataclass(frozen=True)
class MigrationLimits:
    """How long a guest may stand still at first and at most, in milliseconds; ``timeout`` and ``stall`` in seconds.

    A migration may take ``timeout`` in all, and ``stall`` without progress at the highest downtime; no limit where that is 0.
    """

    downtime: int
    longest_downtime: int
    timeout: float
    stall: float = 0


@dataclass(frozen=True)
class Decision:
    """A new limit of the downtime, in milliseconds, or why to give up."""

    downtime: int | None = None
    give_up: str | None = None


class Convergence:
    """What is known of a migration that began at ``began``, a time in seconds."""

    def __init__(self, limits: MigrationLimits, began: float) -> None:
        self.downtime = limits.downtime
        self._limits = limits
        self._began = began
        self._progress = began
        self._least: int | None = None

    def decide(self, now: float, remaining: int | None, stands_still: bool = False) -> Decision:
        """Return what to do at the time ``now``, with so many bytes left, as far as that is known.

        While the guest ``stands_still`` its state goes over, and time is not up but for the timeout.
        """
        if now - self._began > self._limits.timeout:
            return Decision(
                give_up=f"it took longer than it may, {self._limits.timeout:g} s; raise the timeout,"
                " or the longest downtime if its memory changes faster than it is sent"
            )
        if stands_still or remaining is None or self._is_less(remaining):
            self._progress = now
            return Decision()
        idle = now - self._progress
        if self.downtime < self._limits.longest_downtime:
            return self._longer(now) if idle >= STEP_SECONDS else Decision()
        if self._limits.stall and idle > self._limits.stall:
            return Decision(
                give_up=f"for {self._limits.stall:g} s it has come no nearer to its end: its memory or its devices' state changes"
                f" as fast as it is sent; allow a longer downtime than {self.downtime} ms, or let the guest do less meanwhile"
            )
        return Decision()

    def _is_less(self, remaining: int) -> bool:
        if self._least is None or remaining < self._least * _PROGRESS:
            self._least = remaining
            return True
        return False

    def _longer(self, now: float) -> Decision:
        self.downtime = min(2 * self.downtime, self._limits.longest_downtime)
        self._progress = now
        return Decision(downtime=self.downtime)


def changes_per_second(sample: t.Mapping[str, t.Any]) -> int | None:
    """Return how many bytes of its memory a guest changes in a second, by libvirt's statistics of the job."""
    pages, size = sample.get("memory_dirty_rate"), sample.get("memory_page_size")
    if not isinstance(pages, int) or not isinstance(size, int):
        return None
    return pages * size
