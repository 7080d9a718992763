# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What the names of NVIDIA's vGPU types show of the capacity that they take on a card. Pure.

Without mdev there are only the names, ``NVIDIA L40S-8Q``: the number before the letter of the series is the frame buffer in
GB, and with MIG the number of slices stands before it, ``NVIDIA A100-1-5C`` (NVIDIA, Virtual GPU Software User Guide,
"Virtual GPU Types").
"""

from __future__ import annotations

import re
import typing as t

_NAME = re.compile(r".*?-(?:([0-9]{1,3})-)?([0-9]{1,4})[A-Z](ME|GFX)?[0-9]*\Z")


class Share(t.NamedTuple):
    """What a type takes of a card by its name: ``slices`` with MIG, else 0, and ``memory`` in GB.

    One card has what an ``exclusive`` type needs only once.
    """

    slices: int
    memory: int
    exclusive: bool


def named_share(name: str) -> Share | None:
    """Return what a type takes by its ``name``; ``None`` where the name does not show it."""
    found = _NAME.match(name)
    if found is None or not int(found.group(2)):
        return None
    return Share(int(found.group(1) or 0), int(found.group(2)), found.group(3) == "ME")


def fitting(share: Share, whole: Share) -> int:
    """Return how many types that take ``share`` an empty card holds whose greatest type takes ``whole``."""
    if share.exclusive:
        return 1
    number = whole.memory // share.memory
    if share.slices:
        number = min(number, whole.slices // share.slices)
    return max(1, number)
