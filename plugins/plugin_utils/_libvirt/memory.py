# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""Memory: what guests need, what hosts have free, and how many devices a host may receive for all of them to fit. Pure."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass
from fractions import Fraction

from ansible_collections.vfio.migration.plugins.module_utils._host.memory import (
    available_memory,
    memory_sizes,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.info import (
    GuestInfo,
    HostInfo,
)


class Need(t.NamedTuple):
    """How much memory a guest needs, in KiB: of huge pages of these ``sizes``, or of ordinary memory where there are none."""

    kib: int
    sizes: tuple[int, ...]

    @property
    def source(self) -> str:
        """Where the memory is taken from, in words."""
        if not self.sizes:
            return "memory"
        return f"huge pages of {' and '.join(map(str, self.sizes))} KiB"


def need(guest: GuestInfo, host: HostInfo) -> Need:
    """Return the memory that a guest needs of ``host``, whose default size of huge pages counts where it names none."""
    pages = guest["huge_pages"]
    if pages is None:
        return Need(guest["memory"], ())
    return Need(guest["memory"], tuple(pages or [host["memory"]["default_huge_page"]]))


def free(host: HostInfo, sizes: t.Collection[int]) -> int:
    """Return how much memory a host has free, in KiB: of huge pages of these ``sizes``, or else ordinary one."""
    if not sizes:
        return host["memory"]["free"]
    return sum(each["free"] for each in host["memory"]["huge_pages"] if each["size"] in sizes)


class DeviceLimit(t.NamedTuple):
    """How many devices a host may receive, as it has no more than ``free`` of the ``needed`` KiB of a ``source``."""

    devices: int
    source: str
    free: int
    needed: int


def device_limit(host: HostInfo, guests: t.Sequence[GuestInfo]) -> DeviceLimit | None:
    """Return how many devices ``host`` may receive so that whichever of ``guests`` come with them fit into its memory.

    ``None`` where all of them do. It is the greatest number for which the fractional knapsack of the guests by memory per
    device (Dantzig, 1957) needs no more than what is free: no choice of guests with so many devices needs more.
    """
    found = None
    needs = [(need(guest, host), max(1, len(guest["devices"]))) for guest in guests]
    for sizes in dict.fromkeys(needed.sizes for needed, _devices in needs):
        loads = [(each.kib, devices) for each, devices in needs if each.sizes == sizes]
        there, together = free(host, sizes), sum(kib for kib, _devices in loads)
        if together > there:
            source = Need(0, sizes).source
            here = DeviceLimit(_devices_within(there, loads), source, there, together)
            found = here if found is None or here.devices < found.devices else found
    return found


def _devices_within(free_kib: int, loads: t.Sequence[tuple[int, int]]) -> int:
    """Return with how many devices no choice of guests, each of so much memory and so many devices, needs more than is free."""
    count, used = 0, Fraction(0)
    for kib, devices in sorted(loads, key=lambda load: Fraction(*load), reverse=True):
        per_device = Fraction(kib, devices)
        if used + kib > free_kib:
            return count + int((free_kib - used) / per_device)
        count, used = count + devices, used + kib
    return count


# --- a domain and a host's files ---

IOMMUFD = "/dev/iommu"
_IOMMUFD = re.compile(r"<driver\b[^<>]*\biommufd=(?:'yes'|\"yes\")")
_FREE_PAGES = re.compile(r"hugepages-([0-9]{1,18})kB/free_hugepages:([0-9]{1,18})")
_DOMAIN_MEMORY = re.compile(r"<memory(?: [^>]*)?>([0-9]{1,18})<")
# Libvirt tells in KiB of which pool of huge pages the guest takes its memory, unless that is the default.
_DOMAIN_PAGES = re.compile(r"<page size=.([0-9]{1,18}). unit=.KiB.")


@dataclass(frozen=True, slots=True)
class Memory:
    """How much memory a guest needs of ``source``, and how much of that is free on its target, in KiB.

    ``lacks_iommufd``: the guest has its devices through IOMMUFD, and the target has none.
    """

    source: str
    needed: int
    free: int
    lacks_iommufd: bool = False


def memory(xml: str, there: str) -> Memory:
    """Return what the domain ``xml`` needs of a host's memory, and what is free of it, nothing where that is not said.

    ``there`` has the host's ``/proc/meminfo`` and its files ``free_hugepages``, each after its path and a colon, and a line
    ``/dev/iommu`` where there is such a device.
    """
    lacks_iommufd = _uses_iommufd(xml) and IOMMUFD not in there.splitlines()
    found = _DOMAIN_MEMORY.search(xml)
    needed = int(found[1]) if found else 0
    sizes = memory_sizes(there)
    if "<hugepages" not in xml:
        return Memory("memory", needed, available_memory(sizes), lacks_iommufd)
    pools = {int(size): int(count) for size, count in _FREE_PAGES.findall(there)}
    wanted = [*dict.fromkeys(map(int, _DOMAIN_PAGES.findall(xml)))]
    wanted = wanted or [sizes.get("Hugepagesize", 0)]
    free = sum(size * pools.get(size, 0) for size in wanted)
    pages = f"huge pages of {' and '.join(map(str, wanted))} KiB"
    return Memory(pages, needed, free, lacks_iommufd)


def _uses_iommufd(xml: str) -> bool:
    """Return whether a domain has devices through IOMMUFD, ``<driver iommufd='yes'/>``."""
    return _IOMMUFD.search(xml) is not None
