# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Network settings of virtual functions: which are valid, and which changes lead to those that are wanted. Pure."""

from __future__ import annotations

import re
import shlex
import typing as t

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.attributes import shown

# The protocols of a VLAN's tag, and the states of a link, by the names that ``ip`` has for them.
PROTOCOLS = ("802.1Q", "802.1ad")
LINK_STATES = ("auto", "enable", "disable")

NO_MAC = "00:00:00:00:00:00"
# The settings of a function that has never been configured.
UNSET: t.Mapping[str, str | int | bool] = {
    "mac": NO_MAC,
    "vlan": 0,
    "qos": 0,
    "proto": "802.1Q",
    "min_tx_rate": 0,
    "max_tx_rate": 0,
    "spoofchk": False,
    "trust": False,
    "link_state": "auto",
}

# In the order in which they are changed, each by one request of its own, so that a driver that refuses one names it.
PARTS = (
    ("mac",),
    ("vlan", "qos", "proto"),
    ("min_tx_rate", "max_tx_rate"),
    ("spoofchk",),
    ("trust",),
    ("link_state",),
)

_Settings = t.Dict[str, t.Any]

# The first byte of a multicast address is odd: IEEE 802, and the kernel refuses it.
_MAC = re.compile(r"[0-9a-f][02468ace](:[0-9a-f]{2}){5}\Z")
_MOST = {"vlan": 4094, "qos": 7, "min_tx_rate": 2**31 - 1, "max_tx_rate": 2**31 - 1}
_CHOICES = {"proto": PROTOCOLS, "link_state": LINK_STATES}
_SWITCHES = ("spoofchk", "trust")
# As the tool ``ip`` names and writes it, where that differs.
_IP_NAMES = {"link_state": "state"}
_IP_VALUES = {True: "on", False: "off"}


def why_invalid(settings: t.Mapping[str, t.Any]) -> str | None:
    """Return why these can be no settings of a function, ``None`` where they can."""
    fault = fault_of(settings)
    if fault is None:
        return None
    name, expected = fault
    if expected is None:
        return f"{shown(str(name))} is not a network setting"
    return f"{name} is {shown(str(settings[name]))}; expected {expected}"


def fault_of(settings: t.Mapping[t.Any, t.Any]) -> tuple[t.Any, str | None] | None:
    """Return the name of what is wrong in settings, and what would be right, ``None`` for a name that is none of any setting.

    Return ``None`` where nothing is wrong. Of values, which may be of any type and size, nothing is put into words.
    """
    for name, value in settings.items():
        if name == "mac":
            expected = "one function's address in lower case, such as 52:54:00:12:34:56"
            valid = isinstance(value, str) and _MAC.match(value) is not None
        elif name in _MOST:
            expected = f"a number from 0 to {_MOST[name]}"
            whole = isinstance(value, int) and not isinstance(value, bool)
            valid = whole and 0 <= value <= _MOST[name]
        elif name in _CHOICES:
            expected = f"one of {', '.join(_CHOICES[name])}"
            valid = isinstance(value, str) and value in _CHOICES[name]
        elif name in _SWITCHES:
            expected = "true or false"
            valid = isinstance(value, bool)
        else:
            return name, None
        if not valid:
            return name, expected
    return None


def needed_changes(
    current: t.Mapping[str, t.Any], wanted: t.Mapping[str, t.Any]
) -> list[_Settings]:
    """Return what is to be requested, one after the other, so that a function has what is ``wanted``.

    What of a request is not wanted stays as it is. All that is wanted must be in ``current``.
    """
    needed = []
    for part in PARTS:
        new = {name: wanted.get(name, current[name]) for name in part if name in current}
        if any(current[name] != value for name, value in new.items()):
            needed.append(new)
    return needed


def described(settings: t.Mapping[str, t.Any]) -> str:
    """Return settings as a step's change."""
    return ",".join(f"{name}={ip_value(value)}" for name, value in settings.items())


def by_hand(interface: str, number: int, settings: t.Mapping[str, t.Any]) -> str:
    """Return the command with which a person gives a function its settings."""
    words = ["ip", "link", "set", "dev", interface, "vf", str(number)]
    for name, value in settings.items():
        words += [_IP_NAMES.get(name, name), ip_value(value)]
    return " ".join(map(shlex.quote, words))


def ip_value(value: t.Any) -> str:
    """Return a setting's value as the tool ``ip`` has it."""
    return _IP_VALUES[value] if isinstance(value, bool) else str(value)
