# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What devlink reports for network cards: whether their virtual functions may be migrated, which it changes too, and versions.

A card whose switch is in the mode switchdev has a port for each function, and the function behind a port may be
``migratable``: Documentation/networking/devlink/devlink-port.rst. The versions of a card have names: devlink-info.rst
there. Messages are those of include/uapi/linux/devlink.h. No policy; a failed change is the kernel's own ``OSError``.
"""

from __future__ import annotations

import errno
import struct
import sys
from dataclasses import dataclass

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.identifiers import (
    PCI_ADDRESS,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.netlink import (
    Attributes,
    Family,
    broken_answer,
    decoded,
    encoded,
    number,
    text,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.reading import reading
from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import PCI_DEVICES, Sysfs

_FAMILY = "devlink"
_VERSION = 1
_PORT_GET = 5
_PORT_SET = 6
_INFO_GET = 51

_BUS_NAME = 1
_DEV_NAME = 2
_PORT_INDEX = 3
_PORT_FLAVOUR = 77
_VERSION_FIXED = 100
_VERSION_RUNNING = 101
_VERSION_NAME = 103
_VERSION_VALUE = 104
_PORT_PCI_PF_NUMBER = 127
_PORT_PCI_VF_NUMBER = 128
_PORT_FUNCTION = 145
_PORT_EXTERNAL = 149
_NESTED = 0x8000

# No devlink, no such device there, or none that devlink reports on.
_NOT_REPORTED = (errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP)

_FLAVOUR_PCI_VF = 4
_MAX_INDEX = 0xFFFFFFFF
_PCI = "pci"

# Inside a port's function: capabilities, which of them are on and which of them there are.
_CAPABILITIES = 4
_BITFIELD = struct.Struct("=II")
_MIGRATABLE = 1 << 1


@dataclass(frozen=True)
class Port:
    """The port of a virtual function; ``migratable`` is ``None`` where the card has no such switch."""

    device: str
    index: int
    migratable: bool | None

    @property
    def name(self) -> str:
        """The name that the tool ``devlink`` has for it."""
        return f"{_PCI}/{self.device}/{self.index}"


class Devlink:
    """The ports of the kernel whose tree ``sysfs`` is; of a copied tree, there are none."""

    def __init__(self, sysfs: Sysfs) -> None:
        self._sysfs = sysfs

    def port(self, address: str) -> Port | None:
        """Return the port of the virtual function at ``address``, ``None`` where it has none; raise ``HostReadError``."""
        if not self._sysfs.live:
            return None
        with reading(self._sysfs.path(PCI_DEVICES, address)):
            try:
                with Family(_FAMILY, _VERSION) as family:
                    answers = family.dump(_PORT_GET)
            except FileNotFoundError:
                return None
            ports = [answer for answer in answers if self._address(answer) == address]
            return decode_port(ports[0]) if ports else None

    def set_migratable(self, port: Port, migratable: bool) -> None:
        """Let the function behind ``port`` be migratable or not."""
        with Family(_FAMILY, _VERSION) as family:
            family.change(_PORT_SET, migratable_request(port, migratable))

    def versions(self, device: str) -> dict[str, str]:
        """Return a card's fixed and running versions, by name, none where devlink reports none; raise ``HostReadError``."""
        if not self._sysfs.live:
            return {}
        asked = {_BUS_NAME: _PCI.encode("ascii") + b"\0", _DEV_NAME: device.encode("ascii") + b"\0"}
        with reading(self._sysfs.path(PCI_DEVICES, device)):
            try:
                with Family(_FAMILY, _VERSION) as family:
                    return decode_versions(family.ask(_INFO_GET, asked))
            except OSError as problem:
                if problem.errno in _NOT_REPORTED:
                    return {}
                raise

    def _address(self, answer: Attributes) -> str | None:
        """Return the address of the virtual function behind a port; ``None`` where it is no such function of this host."""
        function = decode_function(answer)
        if function is None:
            return None
        device, index = function
        link = self._sysfs.link(PCI_DEVICES, device, f"virtfn{index}")
        return None if link is None else link.rpartition("/")[2]


def decode_function(answer: Attributes) -> tuple[str, int] | None:
    """Return physical function and number of the virtual function that a port is for; ``None`` where it is for another thing."""
    if _PORT_FLAVOUR not in answer or number(answer[_PORT_FLAVOUR]) != _FLAVOUR_PCI_VF:
        return None
    device = text(answer[_DEV_NAME])
    # Others are of hosts that the card is in as well, or of another function's.
    if text(answer[_BUS_NAME]) != _PCI or not PCI_ADDRESS.match(device):
        return None
    if _PORT_EXTERNAL in answer and number(answer[_PORT_EXTERNAL]):
        return None
    if device.rpartition(".")[2] != str(number(answer[_PORT_PCI_PF_NUMBER])):
        return None
    return device, number(answer[_PORT_PCI_VF_NUMBER])


def decode_versions(answer: Attributes) -> dict[str, str]:
    """Return the versions, by name, that one of the kernel's answers has of a card."""
    versions = [
        decoded(each) for kind in (_VERSION_FIXED, _VERSION_RUNNING) for each in answer.all(kind)
    ]
    return {text(each[_VERSION_NAME]): text(each[_VERSION_VALUE]) for each in versions}


def decode_port(answer: Attributes) -> Port:
    """Return the port that one of the kernel's answers is about."""
    capabilities = decoded(answer.get(_PORT_FUNCTION, b"")).get(_CAPABILITIES)
    migratable = None
    if capabilities is not None:
        if len(capabilities) != _BITFIELD.size:
            raise broken_answer(f"{len(capabilities)} bytes are not capabilities")
        on, known = _BITFIELD.unpack(capabilities)
        migratable = bool(on & _MIGRATABLE) if known & _MIGRATABLE else None
    index = number(answer[_PORT_INDEX])
    if index > _MAX_INDEX:
        raise broken_answer(f"{index} is not the number of a port")
    return Port(text(answer[_DEV_NAME]), index, migratable)


def migratable_request(port: Port, migratable: bool) -> dict[int, bytes]:
    """Return the request that makes the function behind ``port`` ``migratable`` or not."""
    capabilities = _BITFIELD.pack(_MIGRATABLE if migratable else 0, _MIGRATABLE)
    return {
        _BUS_NAME: _PCI.encode("ascii") + b"\0",
        _DEV_NAME: port.device.encode("ascii") + b"\0",
        _PORT_INDEX: port.index.to_bytes(4, sys.byteorder),
        _PORT_FUNCTION | _NESTED: encoded({_CAPABILITIES: capabilities}),
    }
