# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""How a PCI device is bound to its driver, and how many virtual functions it has, as sysfs shows and changes it.

Files: Documentation/ABI/testing/sysfs-bus-pci. No policy; a failed change is the kernel's own ``OSError``.
"""

from __future__ import annotations

from ansible_collections.vfio.migration.plugins.module_utils._descriptor import attributes
from ansible_collections.vfio.migration.plugins.module_utils._host.device import (
    PCI_DEVICES,
    ProblemsAt,
)

TYPE_CHECKING = False
if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.vfio.migration.plugins.module_utils._host.device import PciDevice
    from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import Sysfs

PCI_DRIVERS = "bus/pci/drivers"

# What the kernel shows of an override that is not set.
_NO_OVERRIDE = "(null)"
_MAX_TEXT = 4096


class Binding:
    """The driver that a device is bound to, and the one that alone may be bound to it; each may be ``None``."""

    def __init__(self, driver: str | None, override: str | None) -> None:
        self.driver = driver
        self.override = override

    @classmethod
    def of(cls, device: PciDevice) -> Binding:
        if "driver_override" not in device.entries:
            return cls(device.link("driver"), None)
        override = _text(device, "driver_override")
        return cls(device.link("driver"), None if override in ("", _NO_OVERRIDE) else override)


def set_override(sysfs: Sysfs, address: str, override: str | None) -> None:
    with sysfs.open(PCI_DEVICES, address) as directory:
        # A line without text unsets it.
        directory.write("driver_override", ((override or "") + "\n").encode("ascii"))


def unbind(sysfs: Sysfs, address: str) -> None:
    with sysfs.open(PCI_DEVICES, address, "driver") as directory:
        directory.write("unbind", address.encode("ascii"))


def bind(sysfs: Sysfs, address: str, driver: str) -> None:
    """Unlike ``drivers_probe``, this tells the error that the driver ends with."""
    with sysfs.open(PCI_DRIVERS, driver) as directory:
        directory.write("bind", address.encode("ascii"))


def number_of_functions(device: PciDevice) -> int:
    """How many virtual functions a device has now; 0 also where it can have none."""
    return _number(device, "sriov_numvfs")


def most_functions(device: PciDevice) -> int:
    """How many virtual functions a device can have."""
    return _number(device, "sriov_totalvfs")


def set_number_of_functions(sysfs: Sysfs, address: str, number: int) -> None:
    with sysfs.open(PCI_DEVICES, address) as directory:
        directory.write("sriov_numvfs", str(number).encode("ascii"))


def functions(device: PciDevice) -> list[str]:
    """The addresses of a device's virtual functions, in their order."""
    numbers = [name[6:] for name in device.entries if name.startswith("virtfn")]
    links = (device.link(f"virtfn{number}") for number in sorted(numbers, key=int))
    return [address for address in links if address is not None]


def addresses_of_functions(device: PciDevice, number: int) -> list[str]:
    """The addresses that the first ``number`` virtual functions of a device have or would have."""
    domain, bus, slot = device.id.split(":")
    own = int(bus, 16) << 8 | int(slot[:2], 16) << 3 | int(slot[3:])
    offset, stride = _number(device, "sriov_offset"), _number(device, "sriov_stride")
    ids = (own + offset + index * stride for index in range(number))
    return [f"{domain}:{each >> 8:02x}:{each >> 3 & 31:02x}.{each & 7}" for each in ids]


def _number(device: PciDevice, name: str) -> int:
    if name not in device.entries:
        return 0
    text = _text(device, name)
    with ProblemsAt(device.directory.path(name)):
        if not text.isdigit():
            raise attributes.DescriptorError(f"{attributes.shown(text)}; expected a number")
        return int(text)


def _text(device: PciDevice, name: str) -> str:
    with ProblemsAt(device.directory.path(name)):
        return attributes.decode(device.directory.read(name, _MAX_TEXT)).strip()
