# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The time now: nothing else on the control node reads the clock to decide something."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.age import AgeLimit
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.values import count


def now() -> str:
    """Return the time in UTC, as facts and plans have it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def age_limit(max_age: t.Any) -> AgeLimit:
    """Return how old facts may be now by the option ``max_age``, ``None`` where it is not given; raise ``FleetError``."""
    limit = None if max_age is None else count("max_age", max_age, "seconds")
    return AgeLimit(time.time(), limit)
