# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Known numbers: what was found for one problem holds for another with the same numbers. Pure.

Steps of rolling maintenance are alike: hosts with other names, with guests and places that differ in nothing that matters. What
a search finds depends on numbers alone, so it is made once. Which devices these numbers are is looked up for each problem.
"""

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._planner.admissible import (
    NO_EXCLUSIONS,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.problem import (
    Known,
    Problem,
)

# So many problems are known at most; each has its packings.
_MOST = 100


class KnownNumbers:
    """The problems that were posed last, all with the same conditions except for what moves, and where to."""

    def __init__(self) -> None:
        # The least recently used problem is first.
        self._known: dict[t.Hashable, Known] = {}

    def of(self, problem: Problem) -> Known | None:
        """Return what is known of a problem that nothing was solved with yet; ``None`` where more than numbers decides."""
        admission = problem.admission
        if not admission.is_plain or admission.matrices or problem.exclusions != NO_EXCLUSIONS:
            return None
        numbers = (
            admission.asked,
            problem.resources.sealed(),
            tuple(problem.items),
            tuple(problem.bins),
            None if problem.domain_loads is None else tuple(sorted(problem.domain_loads.items())),
        )
        known = self._known.pop(numbers, None)
        if known is None:
            known = Known(problem.resources)
            if len(self._known) >= _MOST:
                del self._known[next(iter(self._known))]
        else:
            problem.resources.adopt(known.resources)
        self._known[numbers] = known
        return known
