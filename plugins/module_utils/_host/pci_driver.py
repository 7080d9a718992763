# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""How a PCI device is bound to its driver, and how many virtual functions it has, as sysfs shows and changes it.

Files: Documentation/ABI/testing/sysfs-bus-pci. No policy. What reads raises ``HostReadError``, what changes raises the
kernel's own ``OSError``.
"""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.vfio.migration.plugins.module_utils._host.device import PciDevice
from ansible_collections.vfio.migration.plugins.module_utils._host.reading import (
    decimal,
    read_number,
    read_text,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import PCI_DEVICES, Sysfs

PCI_DRIVERS = "bus/pci/drivers"

# What the kernel shows of an override that is not set.
_NO_OVERRIDE = "(null)"


@dataclass(frozen=True)
class Binding:
    """The driver that a device is bound to, and the one that alone may be bound to it; each may be ``None``."""

    driver: str | None
    override: str | None


def read_binding(device: PciDevice) -> Binding:
    """Return how ``device`` is bound now."""
    if "driver_override" not in device.entries:
        return Binding(device.link("driver"), None)
    override = read_text(device.directory, "driver_override").strip()
    return Binding(device.link("driver"), None if override in ("", _NO_OVERRIDE) else override)


def set_override(sysfs: Sysfs, address: str, override: str | None) -> None:
    """Let only the driver ``override`` be bound to the device, or with ``None`` any."""
    with sysfs.open(PCI_DEVICES, address) as directory:
        # A line without text unsets it.
        directory.write("driver_override", ((override or "") + "\n").encode("ascii"))


def unbind(sysfs: Sysfs, address: str) -> None:
    """Take the device from its driver."""
    with sysfs.open(PCI_DEVICES, address, "driver") as directory:
        directory.write("unbind", address.encode("ascii"))


def bind(sysfs: Sysfs, address: str, driver: str) -> None:
    """Give the device to ``driver``. Unlike ``drivers_probe``, this fails with the driver's own error."""
    with sysfs.open(PCI_DRIVERS, driver) as directory:
        directory.write("bind", address.encode("ascii"))


def number_of_functions(device: PciDevice) -> int:
    """Return how many virtual functions a device has now; 0 also where it can have none."""
    return _number(device, "sriov_numvfs")


def most_functions(device: PciDevice) -> int:
    """Return how many virtual functions a device can have."""
    return _number(device, "sriov_totalvfs")


def set_number_of_functions(sysfs: Sysfs, address: str, number: int) -> None:
    """Let the device have ``number`` virtual functions."""
    with sysfs.open(PCI_DEVICES, address) as directory:
        directory.write("sriov_numvfs", str(number).encode("ascii"))


def functions(device: PciDevice) -> list[str]:
    """Return the addresses of a device's virtual functions, in their order."""
    numbers = (decimal(name[6:]) for name in device.entries if name.startswith("virtfn"))
    links = (device.link(f"virtfn{each}") for each in sorted(n for n in numbers if n is not None))
    return [address for address in links if address is not None]


def addresses_of_functions(device: PciDevice, number: int) -> list[str]:
    """Return the addresses that the first ``number`` virtual functions of a device have or would have."""
    domain, bus, slot = device.id.split(":")
    own = int(bus, 16) << 8 | int(slot[:2], 16) << 3 | int(slot[3:])
    offset, stride = _number(device, "sriov_offset"), _number(device, "sriov_stride")
    ids = (own + offset + index * stride for index in range(number))
    return [f"{domain}:{each >> 8:02x}:{each >> 3 & 31:02x}.{each & 7}" for each in ids]


def _number(device: PciDevice, name: str) -> int:
    return read_number(device.directory, name) if name in device.entries else 0
