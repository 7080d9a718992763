# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The age of facts: what a host was like hours ago is no ground for a plan. Pure: the caller passes the time."""

from __future__ import annotations

import functools
import re
import typing as t
from dataclasses import dataclass
from datetime import datetime

# Facts in ``ansible_facts`` may come from a fact cache; older ones are not believed. Seconds.
DEFAULT_MAX_AGE = 3600
# A host's clock may be ahead of the control node's by so much. Seconds.
MAX_SKEW = 300

_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z\Z")
_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


@dataclass(frozen=True, slots=True)
class AgeLimit:
    """How old facts may be at the time ``now``, in seconds since 1970.

    ``max_age`` is in seconds, and 0 for any age. ``None`` is ``DEFAULT_MAX_AGE`` for facts that may come from a cache, and
    any age for all others, which were recorded and chosen by hand.
    """

    now: float
    max_age: int | None = None

    def refusal(self, time: str | None, cached: bool) -> str | None:
        """Return why facts that were gathered at ``time`` are not believed; ``None`` where they are.

        ``time`` is ``None`` where the facts do not state it. ``cached`` is whether they may come from a cache.
        """
        limit = self.max_age
        if limit is None:
            limit = DEFAULT_MAX_AGE if cached else 0
        if not limit:
            return None
        gathered = seconds(time)
        if gathered is None:
            return "the facts do not say when they were gathered; gather again"
        age = self.now - gathered
        if age < -MAX_SKEW:
            return (
                f"the facts are dated {in_words(-age)} in the future, so their age is unknown;"
                " set the host's clock and gather again"
            )
        if age > limit:
            return f"the facts are {in_words(age)} old, and {in_words(limit)} is the limit; gather again"
        return None


ANY_AGE = AgeLimit(0, 0)


def seconds(time: t.Any) -> float | None:
    """Return a time as ``2026-11-26T17:20:00Z`` in seconds since 1970; ``None`` where it is none."""
    # Nothing else is kept: a host can send a text of any length.
    is_time = isinstance(time, str) and _TIME.match(time)
    return _seconds(str.__str__(time)) if is_time else None


# A fleet is mostly gathered within a few seconds.
@functools.lru_cache(maxsize=1024)
def _seconds(time: str) -> float | None:
    try:
        # Python 3.10 does not read the letter for UTC.
        return datetime.fromisoformat(time[:-1] + "+00:00").timestamp()
    except ValueError:
        return None


def in_words(duration: float) -> str:
    """Return a number of seconds in the largest unit that it has, rounded down, as ``3 h``."""
    whole = int(duration)
    size, unit = next((each for each in _UNITS if whole >= each[0]), _UNITS[-1])
    return f"{whole // size:,} {unit}"
