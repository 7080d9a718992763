# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The settings that network cards hold for their virtual functions: MAC address, VLAN, rates and so on.

The network interface of a physical function shows and takes them, as for ``ip link show`` and ``ip link set … vf``. Messages are
those of include/uapi/linux/if_link.h. No policy; a failed change is the kernel's own ``OSError``.
"""

from __future__ import annotations

import errno
import struct
import typing as t
from dataclasses import dataclass

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.network_settings import (
    LINK_STATES,
    PROTOCOLS,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.netlink import (
    Attributes,
    Links,
    broken_answer,
    decoded,
    encoded,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.reading import (
    decimal,
    reading,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import PCI_DEVICES, Sysfs

# A setting's name, as ``ip link`` has it, to its value. Those that a driver does not report are missing. ``mac`` may be all
# zeros, ``vlan`` 0 is none, rates are in Mbit/s and 0 without a limit.
Settings = t.Dict[str, t.Union[str, int, bool]]

_PROTOCOLS = dict(zip(PROTOCOLS, (0x8100, 0x88A8)))

_ADDRESS = 1
_VFINFO_LIST = 22
_EXT_MASK = 29
# Functions, but not their counters.
_WITH_FUNCTIONS = struct.pack("=I", 1 << 0 | 1 << 3)

_INFO = 1
_MAC = 1
_VLAN = 2
_SPOOFCHK = 4
_LINK_STATE = 5
_RATE = 6
_TRUST = 9
_VLAN_LIST = 12
_VLAN_INFO = 1

# Each begins with the number of the function. The protocol of a VLAN is in network byte order.
_MAC_FORM = struct.Struct("=I32s")
_VLAN_FORM = struct.Struct("=III")
_VLAN_INFO_FORM = struct.Struct("=III2sxx")
_RATE_FORM = struct.Struct("=III")
_SWITCH_FORM = struct.Struct("=II")
_MAC_SIZE = 6

# An interface that is gone, or none of this network namespace.
_GONE = (errno.ENODEV, errno.ENOENT)


@dataclass(frozen=True)
class Interface:
    """The network interface of a physical function, and the settings of each virtual function by its address."""

    name: str
    index: int
    numbers: dict[str, int]
    functions: dict[str, Settings]


class VfNetwork:
    """The functions of network cards of the kernel whose tree ``sysfs`` is; of a copied tree, nothing is known."""

    def __init__(self, sysfs: Sysfs) -> None:
        self._sysfs = sysfs

    def interface(self, physical_function: str) -> Interface | None:
        """Return the interface that reports a card's virtual functions, ``None`` where none does; raise ``HostReadError``."""
        place = (PCI_DEVICES, physical_function, "net")
        if not self._sysfs.live or not self._sysfs.exists(*place):
            return None
        with reading(self._sysfs.path(*place)):
            # In the mode switchdev, the interfaces of the switch's ports are there as well, and report none.
            for name in self._sysfs.names(*place):
                found = self._ask(physical_function, name)
                if found is not None:
                    return found
        return None

    def change(self, interface: Interface, address: str, settings: Settings) -> None:
        """Give a function ``settings``: what the kernel takes in one go, as ``parts`` has it."""
        with Links() as links:
            links.change(interface.index, request(interface.numbers[address], settings))

    def _ask(self, physical_function: str, name: str) -> Interface | None:
        with self._sysfs.open(PCI_DEVICES, physical_function, "net", name) as directory:
            index = decimal(directory.read("ifindex", 16).decode("ascii", "replace").strip())
        if index is None:
            return None
        try:
            with Links() as links:
                answer = links.ask(index, {_EXT_MASK: _WITH_FUNCTIONS})
        except OSError as problem:
            if problem.errno in _GONE:
                return None
            raise
        settings = decode_functions(answer)
        if not settings:
            return None
        numbers = {}
        for number in settings:
            link = self._sysfs.link(PCI_DEVICES, physical_function, f"virtfn{number}")
            if link is not None:
                numbers[link.rpartition("/")[2]] = number
        functions = {address: settings[number] for address, number in numbers.items()}
        return Interface(name, index, numbers, functions)


def decode_functions(answer: Attributes) -> dict[int, Settings]:
    """Return the settings of virtual functions, by number, that one of the kernel's answers has of an interface."""
    # Others than Ethernet have addresses of another size.
    if len(answer.get(_ADDRESS, b"")) != _MAC_SIZE:
        return {}
    found = {}
    for each in decoded(answer.get(_VFINFO_LIST, b"")).all(_INFO):
        info = decoded(each)
        number, mac = _unpacked(_MAC_FORM, info[_MAC])
        settings: Settings = {"mac": ":".join(f"{byte:02x}" for byte in mac[:_MAC_SIZE])}
        settings.update(_vlan(info))
        if _RATE in info:
            _number, least, most = _unpacked(_RATE_FORM, info[_RATE])
            settings.update(min_tx_rate=least, max_tx_rate=most)
        for kind, name in ((_SPOOFCHK, "spoofchk"), (_TRUST, "trust")):
            # A driver without it has neither.
            if kind in info and _unpacked(_SWITCH_FORM, info[kind])[1] in (0, 1):
                settings[name] = bool(_unpacked(_SWITCH_FORM, info[kind])[1])
        if _LINK_STATE in info:
            state = _unpacked(_SWITCH_FORM, info[_LINK_STATE])[1]
            if state < len(LINK_STATES):
                settings["link_state"] = LINK_STATES[state]
        found[number] = settings
    return found


def _vlan(info: Attributes) -> Settings:
    if _VLAN_LIST not in info:
        _number, vlan, qos = _unpacked(_VLAN_FORM, info[_VLAN])
        return {"vlan": vlan, "qos": qos}
    first = decoded(info[_VLAN_LIST])[_VLAN_INFO]
    _number, vlan, qos, protocol = _unpacked(_VLAN_INFO_FORM, first)
    settings: Settings = {"vlan": vlan, "qos": qos}
    for name, value in _PROTOCOLS.items():
        if int.from_bytes(protocol, "big") == value:
            settings["proto"] = name
    return settings


def _unpacked(form: struct.Struct, value: bytes) -> tuple[t.Any, ...]:
    if len(value) != form.size:
        raise broken_answer(f"{len(value)} bytes are none of {form.size}")
    return form.unpack(value)


def request(number: int, settings: Settings) -> dict[int, bytes]:
    """Return the request that gives the function with this number ``settings``."""
    info: dict[int, bytes] = {}
    if "mac" in settings:
        mac = bytes.fromhex(str(settings["mac"]).replace(":", ""))
        info[_MAC] = _MAC_FORM.pack(number, mac)
    if "vlan" in settings:
        vlan = number, int(settings["vlan"]), int(settings.get("qos", 0))
        if "proto" in settings:
            protocol = _PROTOCOLS[str(settings["proto"])].to_bytes(2, "big")
            info[_VLAN_LIST] = encoded({_VLAN_INFO: _VLAN_INFO_FORM.pack(*vlan, protocol)})
        else:
            info[_VLAN] = _VLAN_FORM.pack(*vlan)
    if "max_tx_rate" in settings:
        rates = int(settings.get("min_tx_rate", 0)), int(settings["max_tx_rate"])
        info[_RATE] = _RATE_FORM.pack(number, *rates)
    for kind, name in ((_SPOOFCHK, "spoofchk"), (_TRUST, "trust")):
        if name in settings:
            info[kind] = _SWITCH_FORM.pack(number, int(settings[name]))
    if "link_state" in settings:
        state = LINK_STATES.index(str(settings["link_state"]))
        info[_LINK_STATE] = _SWITCH_FORM.pack(number, state)
    return {_VFINFO_LIST: encoded({_INFO: encoded(info)})}
