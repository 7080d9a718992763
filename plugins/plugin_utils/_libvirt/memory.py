# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""Memory: what guests need, what hosts have free, and how many devices a host may receive for all of them to fit. Pure."""

from __future__ import annotations

import typing as t
from fractions import Fraction

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
