# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Why devices cannot move, in one sentence each, and of how many devices it is true. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.vfio.migration.plugins.plugin_utils import contract

MAX_CAUSES = 5


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a device cannot move; ``more`` says whether there are further reasons."""

    reason: str
    example: str | None = None
    more: bool = False


def count_causes(causes: t.Iterable[tuple[Cause, int]]) -> list[contract.Cause]:
    """Return the causes with the most devices, given each cause and how many devices it is true of.

    Causes with the same reason are one. It has the example of the first of them.
    """
    counted: dict[str, contract.Cause] = {}
    for cause, devices in causes:
        entry = counted.setdefault(
            cause.reason,
            {"devices": 0, "reason": cause.reason, "example": cause.example, "more": False},
        )
        entry["devices"] += devices
        entry["more"] |= cause.more
    ordered = sorted(counted.values(), key=lambda each: (-each["devices"], each["reason"]))
    return ordered[:MAX_CAUSES]
