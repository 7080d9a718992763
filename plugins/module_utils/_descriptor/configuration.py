# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What a guest sees of a PCI function's configuration space, as far as an emulator compares it. Pure.

QEMU compares what has no write mask of its own (``get_pci_config_device`` in hw/pci/pci.c): identity, class, revision,
header type and capabilities. What VFIO and QEMU leave out of the lists of capabilities is left out here too
(Linux, drivers/vfio/pci/vfio_pci_config.c; QEMU, hw/vfio/pci.c). The links' registers are not compared here: QEMU makes
them up where a guest has the function on its root bus.
"""

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.errors import (
    VfioMigrationError,
)

Configuration = t.Dict[str, str]
# Return this many bytes of the configuration space from an offset on, fewer where no more can be read.
ReadBytes = t.Callable[[int, int], bytes]

ID = "pci.id"
CAPABILITIES = "pci.capabilities"
EXTENDED = "pci.extended"

_STANDARD_SIZE = 256
# The capabilities that VFIO shows: power management, AGP, VPD, slot, MSI, CompactPCI, PCI-X, HyperTransport, vendor's,
# PCI Express, MSI-X, SATA and advanced features.
_SHOWN = frozenset((*range(0x01, 0x0A), 0x10, 0x11, 0x12, 0x13))
# Of the extended ones, those for SR-IOV and ARI are left out by QEMU.
_EXTENDED_SHOWN = frozenset(
    (0x01, 0x02, 0x03, 0x04, 0x08, 0x09, 0x0B, 0x0D, 0x0F, 0x12, 0x13, 0x15, 0x16, 0x17, 0x18, 0x23)
)
_MOST = 96


class Register(t.NamedTuple):
    """A register of a capability: its offset there, its size in bytes, and those of its bits that are compared."""

    offset: int
    size: int
    mask: int


# What no guest writes. Of a vendor's capability QEMU compares the length alone (from machine type 9.1 on).
_FIXED = {
    0x01: (Register(2, 2, 0xFFFF),),
    0x05: (Register(2, 2, 0x018E),),
    0x09: (Register(2, 1, 0xFF),),
    0x10: (Register(2, 2, 0x3FFF), Register(4, 4, 0xFFFFFFFF)),
    0x11: (Register(2, 2, 0x07FF), Register(4, 4, 0xFFFFFFFF), Register(8, 4, 0xFFFFFFFF)),
    0x13: (Register(3, 1, 0xFF),),
}
_EXTENDED_FIXED = {
    0x03: (Register(4, 4, 0xFFFFFFFF), Register(8, 4, 0xFFFFFFFF)),
    0x0B: (Register(4, 4, 0xFFFFFFFF),),
}
# What the kernel sets and a guest may write: the masks and severities of Advanced Error Reporting.
_WRITTEN = {
    0x01: (
        Register(8, 4, 0xFFFFFFFF),
        Register(12, 4, 0xFFFFFFFF),
        Register(20, 4, 0xFFFFFFFF),
        Register(24, 4, 0x000002A0),
    )
}


class ConfigurationError(VfioMigrationError, ValueError):
    """The configuration space breaks a rule of PCI."""


def configuration(identity: str, size: int, read: ReadBytes, idle: bool) -> Configuration:
    """Return what a guest sees of a function, by name; raise ``ConfigurationError``.

    ``identity`` is vendor and device, 8 hex digits: those of a virtual function are not in its configuration space, which
    is ``size`` bytes large. What can only be read by root is left out where it cannot be read, and so is what a guest may
    have written unless the function is ``idle``.
    """
    header = read(0, 64)
    if len(header) < 64:
        return {}
    if header[0x0E] == 0xFF:
        raise ConfigurationError("all ones: the function does not answer")
    found = {
        ID: f"{identity[:4]}:{identity[4:]}",
        "pci.class": header[0x0B:0x08:-1].hex(),
        "pci.header": f"{header[0x0E] & 0x7F:02x}",
        "pci.revision": f"{header[0x08]:02x}",
    }
    if len(read(0x40, 4)) < 4:
        return found
    names: list[str] = []
    for capability, where in _standard(header, read):
        name = _unused(f"pci.{capability:02x}", found)
        _note(found, name, where, _FIXED.get(capability, ()), read)
        names.append(f"{capability:02x}@{where:02x}")
    found[CAPABILITIES] = " ".join(names)
    if size > _STANDARD_SIZE and len(read(_STANDARD_SIZE, 4)) < 4:
        return found
    names = []
    for capability, version, where in _extended(read) if size > _STANDARD_SIZE else ():
        registers = _EXTENDED_FIXED.get(capability, ())
        written = _WRITTEN.get(capability, ()) if idle else ()
        name = _unused(f"pci.{capability:04x}", found)
        _note(found, name, where, registers + written, read)
        names.append(f"{capability:04x}.{version}@{where:03x}")
    found[EXTENDED] = " ".join(names)
    return found


def _standard(header: bytes, read: ReadBytes) -> t.Iterator[tuple[int, int]]:
    """Yield id and offset of the capabilities that a guest sees, in the list's order."""
    where = header[0x34] & 0xFC if header[0x06] & 0x10 else 0
    seen: set[int] = set()
    while where:
        if where < 0x40 or where in seen:
            raise ConfigurationError(f"a list of capabilities that leads to 0x{where:02x}")
        seen.add(where)
        capability, following = _number(read, where, 1), _number(read, where + 1, 1)
        if capability in _SHOWN:
            yield capability, where
        where = following & 0xFC


def _extended(read: ReadBytes) -> t.Iterator[tuple[int, int, int]]:
    """Yield id, version and offset of the extended capabilities that a guest sees, in the list's order."""
    where = _STANDARD_SIZE
    seen: set[int] = set()
    while where:
        if where < _STANDARD_SIZE or where in seen or len(seen) >= _MOST:
            raise ConfigurationError(f"a list of extended capabilities that leads to 0x{where:03x}")
        seen.add(where)
        entry = _number(read, where, 4)
        if entry in (0, 0xFFFFFFFF):
            return
        if entry & 0xFFFF in _EXTENDED_SHOWN:
            yield entry & 0xFFFF, entry >> 16 & 0xF, where
        where = entry >> 20 & 0xFFC


def _number(read: ReadBytes, where: int, size: int) -> int:
    content = read(where, size)
    if len(content) < size:
        raise ConfigurationError(f"{size} bytes at 0x{where:02x} that cannot be read")
    return int.from_bytes(content, "little")


def _unused(name: str, found: Configuration) -> str:
    """Return ``name``, with a number where the function has several capabilities of that id."""
    unused, number = name, 1
    while unused in found:
        number += 1
        unused = f"{name}.{number}"
    return unused


def _note(
    found: Configuration,
    name: str,
    where: int,
    registers: t.Sequence[Register],
    read: ReadBytes,
) -> None:
    values = [
        f"{_number(read, where + each.offset, each.size) & each.mask:0{2 * each.size}x}"
        for each in registers
    ]
    if values:
        found[name] = " ".join(values)
