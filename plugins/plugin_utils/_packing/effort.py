# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""Effort: how much may still be looked at, counted and never timed, so that the same input gives the same output.

Whatever shares one effort ends together: many searches then cost no more than one.
"""

from __future__ import annotations


class Effort:
    """So many things may be looked at in all; ``used_up`` once they have been."""

    __slots__ = ("_left",)

    def __init__(self, most: int) -> None:
        self._left = most

    @property
    def used_up(self) -> bool:
        return self._left <= 0

    def spend(self, count: int) -> None:
        self._left -= count
