# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Network parity: which network settings a target gets of its source, and which of them the modules do not set. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.network_settings import (
    NO_MAC,
    UNSET,
    described,
)
from ansible_collections.vfio.migration.plugins.plugin_utils import contract
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import Device

Settings = dict[str, t.Any]


def given_to(target: contract.Target) -> list[str]:
    """Return what a target is given, attributes and then network settings, as ``name=value``."""
    attributes = [f"{each['name']}={each['value']}" for each in target["attributes"]]
    return [*attributes, *settings_of(target)]


def settings_of(target: contract.Target) -> list[str]:
    """Return the network settings that a target is given as ``name=value``."""
    settings: Settings = {**target.get("network", {})}
    return [described({name: value}) for name, value in settings.items()]


def carried(source: Device, target: Device) -> tuple[Settings, list[str]]:
    """Return the network settings that ``target``, which is there, is given, and in sentences what a person has to set.

    They are those of ``source``, if a process holds that, as far as the target's host shows what the target has: what it does
    not show could be neither verified nor undone. Nothing of a target is set as long as it is held itself.
    """
    if source.kind != "pci" or target.kind != "pci" or source.in_use is None:
        return {}, []
    if source.network is None:
        unknown = target.network is not None
        return {}, [f"its host does not show {_UNKNOWN_SOURCE}"] if unknown else []
    there = dict(target.network or ()) if target.in_use is None else {}
    wanted = dict(sorted(source.network, key=_place))
    given = {name: value for name, value in wanted.items() if name in there}
    left = {
        name: value for name, value in wanted.items() if name not in given and value != UNSET[name]
    }
    if not left:
        return given, []
    why = _HELD if target.in_use is not None else _NOT_SHOWN
    return given, [f"{why}: set by hand what the source has: {described(left)}"]


def address_of(source: Device) -> str | None:
    """Return the MAC address that goes with ``source``; ``None`` where none does."""
    if source.kind != "pci" or source.in_use is None or source.network is None:
        return None
    mac = str(dict(source.network)["mac"])
    return None if mac == NO_MAC else mac


def takes_address(target: Device) -> bool:
    """Return whether a target that is there is given the MAC address of its source."""
    return target.kind == "pci" and target.in_use is None and target.network is not None


_UNKNOWN_SOURCE = (
    "the network settings of the source, so the target keeps its own: compare them by hand"
)
_HELD = "the target is in use, so its network settings are not set"
_NOT_SHOWN = "the target's host does not show these network settings of it, so they are not set"

_ORDER = [*UNSET]


def _place(setting: tuple[str, t.Any]) -> int:
    return _ORDER.index(setting[0])
