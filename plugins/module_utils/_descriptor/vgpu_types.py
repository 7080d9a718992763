# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What the types of NVIDIA vGPUs state of the capacity that they take on a card. Pure.

With mdev the ``description`` of a type has it: ``num_heads=4, frl_config=60, framebuffer=8192M,
max_resolution=7680x4320, max_instance=6`` (OpenStack Nova, doc/source/admin/virtual-gpu.rst).
"""

from __future__ import annotations

import re
import typing as t

_STATED = re.compile(r"(?:\A|[\s,])(max_instance|framebuffer)\s*=\s*([0-9]{1,9})M?(?=[\s,]|\Z)")


class Limits(t.NamedTuple):
    """How many vGPUs of a type one card holds, and the frame buffer of each in MiB; ``None`` where that is not stated."""

    max_instance: int | None
    framebuffer: int | None


def stated_limits(description: str | None) -> Limits:
    """Return what the ``description`` of an mdev type states."""
    found = {name: int(value) for name, value in _STATED.findall(description or "")}
    return Limits(found.get("max_instance") or None, found.get("framebuffer") or None)
