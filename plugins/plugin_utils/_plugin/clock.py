# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The time now: nothing else on the control node reads the clock to decide something."""

from __future__ import annotations

import datetime
import re
import time
import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.age import AgeLimit, seconds
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.values import count

_NUMBER = re.compile(r"[0-9]{1,4}\Z")
_TIME_OF_DAY = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])\Z")


def now() -> str:
    """Return the time in UTC, as facts and plans have it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def age_of(when: str | None) -> float | None:
    """Return how many seconds ago ``when`` was, as facts have it; ``None`` where they do not state it, or it is yet to come."""
    known = seconds(when)
    age = -1.0 if known is None else time.time() - known
    return age if age >= 0 else None


def age_limit(max_age: t.Any) -> AgeLimit:
    """Return how old facts may be now by the option ``max_age``, ``None`` where it is not given; raise ``FleetError``."""
    limit = None if max_age is None else count("max_age", max_age, "seconds")
    return AgeLimit(time.time(), limit)


def passed(moment: float) -> bool:
    """Return whether a moment, in seconds since 1970, has passed."""
    return time.time() >= moment


def _unquoted(text: str) -> str:
    """Return what YAML 1.1 may have made this number of: a time of day without quotes, to the base of 60; nothing for other texts."""
    if not _NUMBER.match(text) or int(text) >= 24 * 60:
        return ""
    hour, minute = divmod(int(text), 60)
    return f"; {hour:02}:{minute:02} without quotes is this number to YAML, so put a time of day in quotes"


def moment(name: str, value: t.Any) -> float:
    """Return the moment that the option ``name`` says, in seconds since 1970; raise ``FleetError`` where it is none, or has passed.

    That is a time of day such as ``04:30``, the next such one by the clock of the control node, or a time as ISO 8601 has it.
    """
    text = str(value)
    here = datetime.datetime.now().astimezone()
    if found := _TIME_OF_DAY.match(text):
        hour, minute = int(found[1]), int(found[2])
        then = here.replace(hour=hour, minute=minute, second=0, microsecond=0, tzinfo=None)
        if then <= here.replace(tzinfo=None):
            then += datetime.timedelta(days=1)
        # With the difference to UTC that there is by then.
        return then.timestamp()
    try:
        # Python before 3.11 does not read the Z.
        then = datetime.datetime.fromisoformat(re.sub(r"Z\Z", "+00:00", text))
    except ValueError as error:
        raise FleetError(
            f"{name} is {text!r}; expected a time of day such as 04:30, or a time such as 2026-11-27T04:30:00+01:00{_unquoted(text)}"
        ) from error
    if passed(then.timestamp()):
        raise FleetError(f"{name} is {text}, which has passed")
    return then.timestamp()
