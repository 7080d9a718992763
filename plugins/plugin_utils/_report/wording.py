# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Numbers in words. Pure."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """Return a number of something, as ``2 hosts``."""
    return f"{number:,} {noun if number == 1 else plural(noun)}"


def plural(noun: str) -> str:
    """Return the plural of a noun, as ``hosts`` or ``classes``."""
    return f"{noun}es" if noun.endswith("s") else f"{noun}s"
