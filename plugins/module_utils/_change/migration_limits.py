# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""When a migration gets a longer downtime, and when it is given up. Pure.

A migration ends once what is left can be sent within the limit of its downtime. QEMU sends the whole memory in a first pass, and in
each pass after it what has changed during the one before. Where memory or the devices' state changes as fast as it is sent, no pass is
shorter than the others, and it never ends. A higher limit helps, as far as the operator allows it; so it is doubled each time
that no progress was made for a while, and the migration is given up where none is made at the highest.

What is left at the beginning of a pass says whether it comes nearer to its end; what is left within a pass only whether
anything is sent. A first pass may take hours: all the while that it sends, it is progress.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

# How long to wait for progress before the limit grows, in seconds.
STEP_SECONDS = 10.0
# A pass is shorter than those before if this much is left at its beginning: what stays about the same is no progress.
_SHORTER = 0.9
# The pass that sends the whole memory, as libvirt counts (``VIR_DOMAIN_JOB_MEMORY_ITERATION``).
_FIRST_PASS = 1


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
        # The last that was not refused, and why the one after it was.
        self.downtime = limits.downtime
        self.refusal: str | None = None
        self._limits = limits
        self._began = began
        self._progress = began
        # When a longer downtime was decided last, and what was so before.
        self._stepped = began
        self._before = (limits.downtime, began, 0)
        self._iteration: int | None = None
        self._last: int | None = None
        self._falls = False
        # How many bytes had been sent when there was progress last.
        self._sent: int | None = None
        # The least that was left at the beginning of a pass, and whether that is so of this pass.
        self._shortest: int | None = None
        self._is_shorter = True
        # How many passes that are not shorter have begun since there was progress, or a longer downtime.
        self._not_shorter = 0

    def decide(
        self,
        now: float,
        remaining: int | None,
        iteration: int | None = None,
        stands_still: bool = False,
        sent: int | None = None,
    ) -> Decision:
        """Return what to do at the time ``now``, with so many bytes left and ``sent``, in this pass, as far as that is known.

        While the guest ``stands_still`` its state is sent, and only the timeout ends its time.
        """
        if now - self._began > self._limits.timeout:
            return Decision(
                give_up=f"it took longer than it may, {self._limits.timeout:g} s; raise the timeout,"
                " or the longest downtime if its memory changes faster than it is sent"
            )
        if stands_still or remaining is None or self._comes_nearer(remaining, iteration):
            self._progress, self._sent, self._not_shorter = now, sent, 0
            self.refusal = None
            return Decision()
        idle = now - self._progress
        # A longer downtime is of no use while a pass that is shorter than the others sends nothing. What is left is memory
        # and disks alone: where all of these are sent, a device's state may go on to change as fast as it is sent.
        flows = sent is not None and self._sent is not None and sent > self._sent
        nothing_sent = self._is_shorter and iteration is not None and not flows
        if self.downtime < self._limits.longest_downtime and not nothing_sent:
            since = min(idle, now - self._stepped)
            if since >= STEP_SECONDS and self._is_judged(1):
                return self._longer(now)
            if self.refusal is None:
                return Decision()
        stalled = self._limits.stall > 0 and idle > self._limits.stall
        due = stalled and self._is_judged(2)
        return Decision(give_up=self._why_stalled(nothing_sent)) if due else Decision()

    def refused(self, why: str) -> None:
        """Take back the longer downtime that was decided last, as it is not in force; it is decided again a step later."""
        self.downtime, self._progress, self._not_shorter = self._before
        self.refusal = why

    def _is_judged(self, passes: int) -> bool:
        """Return whether so many passes have begun that were not shorter; while a long one is being sent, the next is unknown."""
        return not self._falls or self._not_shorter >= passes

    def _comes_nearer(self, remaining: int, iteration: int | None) -> bool:
        """Note what is left, and return whether that is progress."""
        last, self._last = self._last, remaining
        self._falls = last is not None and remaining < last
        if not self._is_new_pass(last, remaining, iteration):
            return self._is_shorter and self._falls
        first = iteration is not None and iteration <= _FIRST_PASS
        shortest = self._shortest
        self._is_shorter = first or shortest is None or remaining < shortest * _SHORTER
        if self._is_shorter:
            self._shortest = remaining
        else:
            self._not_shorter += 1
        return self._is_shorter

    def _is_new_pass(self, last: int | None, remaining: int, iteration: int | None) -> bool:
        before, self._iteration = self._iteration, iteration
        if last is None or (before is None) != (iteration is None):
            return True
        return remaining > last if iteration is None else iteration != before

    def _why_stalled(self, nothing_sent: bool) -> str:
        if nothing_sent:
            return (
                f"for {self._limits.stall:g} s nothing of it was sent;"
                " see whether the two hosts reach each other, and how busy the link and the target are"
            )
        if self.refusal is not None:
            return (
                f"for {self._limits.stall:g} s it has come no nearer to its end, and it gets no longer downtime than {self.downtime} ms:"
                f" {self.refusal}; see to libvirt on its host, or let the guest do less meanwhile"
            )
        return (
            f"for {self._limits.stall:g} s it has come no nearer to its end: its memory or its devices' state changes"
            f" as fast as it is sent; allow a longer downtime than {self.downtime} ms, or let the guest do less meanwhile"
        )

    def _longer(self, now: float) -> Decision:
        self._before = (self.downtime, self._progress, self._not_shorter)
        self._stepped, self.refusal = now, None
        self.downtime = min(2 * self.downtime, self._limits.longest_downtime)
        self._progress, self._not_shorter = now, 0
        return Decision(downtime=self.downtime)


def changes_per_second(sample: t.Mapping[str, t.Any]) -> int | None:
    """Return how many bytes of its memory a guest changes in a second, by libvirt's statistics of the job."""
    pages, size = sample.get("memory_dirty_rate"), sample.get("memory_page_size")
    if not isinstance(pages, int) or not isinstance(size, int):
        return None
    return pages * size
