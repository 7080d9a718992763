# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What uses a PCI device, or keeps it from guests: a process through VFIO, or the host itself."""

from __future__ import annotations

import os
import re
import typing as t

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.attributes import (
    DescriptorError,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.device import PciDevice
from ansible_collections.vfio.migration.plugins.module_utils._host.processes import (
    Holders,
    nodes,
    why_held,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.reading import reading
from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import MDEV_DEVICES, Sysfs

_NETWORK_INTERFACES = "class/net"
_DISKS = "class/block"
_UP = 1  # IFF_UP
_FLAGS = re.compile(rb"0x[0-9a-fA-F]{1,8}\Z")


def why_in_use(
    sysfs: Sysfs,
    device: PciDevice,
    holders: Holders,
    is_free_disk: t.Callable[[str], bool],
) -> str | None:
    """Return why the driver must not be taken from a device, in words; ``None`` where nothing uses it."""
    holder = holders.holder_of(nodes(device.iommu_group, device.character_devices()))
    if holder is not None:
        return why_held(holder)
    for name in _below(sysfs, MDEV_DEVICES, device.id):
        return f"the mediated device {name} was made on it; remove that first"
    for name in _below(sysfs, _NETWORK_INTERFACES, device.id):
        with reading(sysfs.path(_NETWORK_INTERFACES, name, "flags")):
            flags = sysfs.read(_NETWORK_INTERFACES, name, "flags", limit=32).strip()
            if not _FLAGS.match(flags):
                raise DescriptorError(f"{flags!a}; expected a hexadecimal number")
        if int(flags, 16) & _UP:
            return f"its network interface {name} is up; set that down first"
    for name in _below(sysfs, _DISKS, device.id):
        if not is_free_disk(name):
            return f"the host uses its disk {name}, or that is unknown; release that first"
    return None


def interface_with(sysfs: Sysfs, mac: str, address: str) -> str | None:
    """Return the name of a network interface of the host's own that has a MAC address, except for those of the device at ``address``."""
    own = _below(sysfs, _NETWORK_INTERFACES, address)
    with reading(sysfs.path(_NETWORK_INTERFACES)):
        for name in sysfs.names(_NETWORK_INTERFACES):
            # A file is no interface, such as that of the driver of bonds.
            if name in own or not sysfs.exists(_NETWORK_INTERFACES, name, "address"):
                continue
            found = sysfs.read(_NETWORK_INTERFACES, name, "address", limit=128)
            if found.strip().decode("ascii", "replace").lower() == mac:
                return name
    return None


def why_not_assignable(device: PciDevice, leaving: t.Container[str] = ()) -> str | None:
    """Return why no guest can have a device once the host has let go of those ``leaving``; ``None`` where one can."""
    others = [
        f"{address} with driver {driver}"
        for address, driver in device.host_drivers().items()
        if address not in leaving
    ]
    if not others:
        return None
    return (
        f"no guest can have it, as the host itself has others of its IOMMU group {device.iommu_group}:"
        f" {', '.join(others)}; bind them to VFIO drivers too, or to none"
    )


def is_free_disk(name: str) -> bool:
    """Return whether a disk is neither mounted nor otherwise in use by the host."""
    try:
        # The kernel grants exclusive access only where neither the disk nor a partition of it is claimed.
        os.close(os.open("/dev/" + name.replace("!", "/"), os.O_RDONLY | os.O_EXCL | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def _below(sysfs: Sysfs, place: str, address: str) -> list[str]:
    """Return what of ``place`` belongs to the device at ``address``, or to one behind it."""
    with reading(sysfs.path(place)):
        return [
            name
            for name in sysfs.names(place)
            if address in (sysfs.link(place, name) or "").split("/")
        ]
