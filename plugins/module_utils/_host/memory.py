# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""How much memory of this host can be had, and how many huge pages."""

from __future__ import annotations

import os
import re
import typing as t

_MEMINFO = "/proc/meminfo"
_POOLS = "/sys/kernel/mm/hugepages"
_LINE = re.compile(r"^(\w+): +([0-9]{1,18})", re.MULTILINE)
_POOL = re.compile(r"hugepages-([0-9]{1,18})kB\Z")
_COUNT = re.compile(r"[0-9]{1,18}\Z")
_MOST = 1 << 16


def memory_facts(meminfo: str = _MEMINFO, pools: str = _POOLS) -> dict[str, t.Any]:
    """Return ``{free, default_huge_page, huge_pages: [{size, free}]}`` in KiB, nothing where the kernel does not say.

    Of the huge pages that it calls free, some may be reserved: promised to a process that has not touched them yet, and not available to others.
    """
    sizes = memory_sizes(_text(meminfo))
    found = []
    for name in sorted(os.listdir(pools)) if os.path.isdir(pools) else ():
        size = _POOL.match(name)
        free, reserved = (
            _text(os.path.join(pools, name, each)).strip()
            for each in ("free_hugepages", "resv_hugepages")
        )
        if size and _COUNT.match(free):
            promised = int(reserved) if _COUNT.match(reserved) else 0
            pages = max(0, int(free) - promised)
            found.append({"size": int(size[1]), "free": int(size[1]) * pages})
    return {
        "free": available_memory(sizes),
        "default_huge_page": sizes.get("Hugepagesize", 0),
        "huge_pages": sorted(found, key=lambda each: each["size"]),
    }


def memory_sizes(meminfo: str) -> dict[str, int]:
    """Return what ``/proc/meminfo`` has by name, in KiB."""
    return {name: int(size) for name, size in _LINE.findall(meminfo)}


def available_memory(sizes: t.Mapping[str, int]) -> int:
    """Return how much memory can be had without swapping, in KiB.

    Without the kernel's own estimate, as in a container whose ``/proc/meminfo`` has less, it is what is free and what the
    page cache gives back. Shared memory is in the page cache, too, and is not given back.
    """
    if "MemAvailable" in sizes:
        return sizes["MemAvailable"]
    cached = sizes.get("Cached", 0) - sizes.get("Shmem", 0)
    return sizes.get("MemFree", 0) + sizes.get("Buffers", 0) + max(0, cached)


def _text(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read(_MOST)
    except OSError:
        return ""
