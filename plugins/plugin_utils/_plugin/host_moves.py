# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""All guests that leave one host, each when it is its turn: begun, and watched until it has ended."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.move import (
    MOVED,
    REFUSED,
    MoveReport,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.guest_move import (
    ENDED,
    LONGEST_LOOK,
    GuestMove,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.move_turns import Turns

# How long to wait where it is no guest's turn, in seconds.
_PAUSE_SECONDS = 0.25
# How long to look at a migration at a time while another guest of the host may begin.
_SHORT_LOOK = 2.0


class HostMoves:
    """The guests of ``host`` that are to leave it, by their numbers in ``turns``.

    ``goes_on`` returns whether the run of Ansible does that this is a task of. ``begins`` is called with each before that is begun, and ``ended`` of
    each that was begun how that ended, at once.
    """

    def __init__(
        self,
        host: str,
        guests: t.Mapping[int, GuestMove],
        turns: Turns,
        goes_on: t.Callable[[], bool],
        begins: t.Callable[[int], None],
        ended: t.Callable[[int, MoveReport], None],
        sleep: t.Callable[[float], None] = time.sleep,
    ) -> None:
        self._host = host
        self._guests = guests
        self._turns = turns
        self._goes_on = goes_on
        self._begins = begins
        self._ended = ended
        self._sleep = sleep
        self._waiting = sorted(guests)
        self._moving: list[int] = []
        self._reports: dict[int, MoveReport] = {}

    @property
    def moving(self) -> t.Sequence[int]:
        """Those that were begun and have not ended yet."""
        return self._moving

    def run(self) -> dict[int, MoveReport]:
        """Return how each of them ended."""
        with self._turns.attending(self._host):
            while self._waiting or self._moving:
                self._begin()
                self._stop()
                if self._waiting and not self._moving:
                    self._sleep(_PAUSE_SECONDS)
                for number in [*self._moving]:
                    self._note(number, self._guests[number].look(self._longest()))
        return self._reports

    def _begin(self) -> None:
        """Begin those whose turn it is."""
        while self._goes_on() and (number := self._turns.begin(self._waiting)) is not None:
            self._waiting.remove(number)
            self._moving.append(number)
            self._begins(number)
            self._note(number, self._guests[number].begin(self._turns.stopped))

    def _stop(self) -> None:
        """Give up those that wait where none begins any more."""
        stopped = self._turns.stopped() if self._goes_on() else ENDED
        for number in [*self._waiting]:
            reason = stopped or self._turns.why_never(number)
            if reason is not None:
                self._waiting.remove(number)
                self._reports[number] = MoveReport(REFUSED, errors=[reason])

    def _note(self, number: int, report: MoveReport | None) -> None:
        """Keep the report of a guest that has ended."""
        if report is not None:
            self._moving.remove(number)
            self._reports[number] = report
            # A migration whose end was not seen may go on.
            lost = not report.end_is_known
            self._turns.end(number, report.outcome == MOVED, lost=lost)
            self._ended(number, report)

    def _longest(self) -> float:
        """Return how long to look at one of those that migrate, so that no guest waits long for a look or for a turn."""
        others = self._waiting and len(self._moving) < self._turns.limits.source
        return (_SHORT_LOOK if others else LONGEST_LOOK) / max(1, len(self._moving))
