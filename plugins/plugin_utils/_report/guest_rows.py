# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""A plan by guest: who goes where and becomes what, who stays and why, and what would make it possible."""

from __future__ import annotations

import typing as t
from collections import Counter, defaultdict

from ansible_collections.vfio.migration.plugins.plugin_utils import contract
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import Device, Fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.network import settings_of
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.reason import (
    OF_ANOTHER_DEVICE,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import guests_of
from ansible_collections.vfio.migration.plugins.plugin_utils._report.causes import Cause
from ansible_collections.vfio.migration.plugins.plugin_utils._report.hardware_names import (
    HardwareNames,
)

Key = tuple[str, str]
# The least certain first.
_CERTAINTIES = ("provisional", "assumed", "derived", "declared")


class Movers:
    """The devices that a plan is about, and the guests that they belong to, as the facts have them."""

    def __init__(self, plan: contract.Plan, fleet: Fleet, names: HardwareNames) -> None:
        self.names = names
        hosts = {each["source"]["host"] for each in (*plan["placements"], *plan["unplaced"])}
        self._devices: dict[Key, Device] = {}
        self._guest_of: dict[Key, Key] = {}
        for host in sorted(hosts & fleet.hosts.keys()):
            for guest in guests_of(fleet.hosts[host].devices):
                for device in guest.devices:
                    self._devices[device.key] = device
                    self._guest_of[device.key] = guest.devices[0].key

    def guest(self, source: contract.DeviceLabel) -> Key:
        """Return the key of the guest that has a device, which no other guest has; a device that no process holds is its own."""
        key = source["host"], source["id"]
        return self._guest_of.get(key, key)

    def in_use(self, source: contract.DeviceLabel) -> bool:
        """Return whether a process holds a device, or may hold it."""
        device = self._devices.get((source["host"], source["id"]))
        return device is not None and device.in_use is not None

    def what(self, source: contract.DeviceLabel) -> str:
        """Return what a device is, by name."""
        device = self._devices.get((source["host"], source["id"]))
        if device is None:
            return source["kind"]
        for attribute, value in device.attributes:
            # A function that has been given a type is one of that.
            name = self.names.value(device.host, attribute, value)
            if name:
                return name
        return self.names.type(device.type, device.kind)


def guest_rows(
    plan: contract.Plan,
    movers: Movers,
    causes: t.Sequence[Cause],
    warnings: t.Mapping[str, int],
) -> list[contract.GuestMove]:
    """Return the guests and single devices that ``plan`` is about, guests first, and before them those that stay.

    ``causes`` are those of its ``unplaced``.
    """
    staying: dict[Key, list[tuple[contract.Unplaced, Cause]]] = defaultdict(list)
    for each, cause in zip(plan["unplaced"], causes, strict=True):
        staying[movers.guest(each["source"])].append((each, cause))
    moving: dict[Key, list[contract.Placement]] = defaultdict(list)
    for placement in plan["placements"]:
        moving[movers.guest(placement["source"])].append(placement)
    rows = [
        *(_stays(found, movers) for found in staying.values()),
        *(_moves(found, movers, warnings) for found in moving.values()),
    ]
    return sorted(rows, key=lambda each: (each["to"] is not None, not each["in_use"]))


def _stays(
    devices: t.Sequence[tuple[contract.Unplaced, Cause]], movers: Movers
) -> contract.GuestMove:
    first, _first_cause = devices[0]
    # What is wrong with one device keeps the others; that is said first of all.
    own = [
        cause
        for each, cause in devices
        if each["reasons"][0]["host"] in (None, each["source"]["host"])
        and cause.code not in OF_ANOTHER_DEVICE
    ]
    own += [cause for _each, cause in devices if cause.code not in OF_ANOTHER_DEVICE]
    cause = own[0] if own else devices[0][1]
    rest: t.Any = {
        "to": None,
        "wave": None,
        "becomes": [],
        "certainty": None,
        "warnings": [],
        "code": cause.code,
        "why": cause.reason if cause.example is None else f"{cause.reason}: {cause.example}",
        "remedy": cause.remedy,
    }
    return t.cast(
        contract.GuestMove, _who(first, [each for each, _cause in devices], movers) | rest
    )


def _moves(
    placements: t.Sequence[contract.Placement], movers: Movers, warnings: t.Mapping[str, int]
) -> contract.GuestMove:
    first = placements[0]
    rest: t.Any = {
        "to": first["target"]["host"],
        "wave": max(each["wave"] for each in placements),
        "becomes": [becomes(each["target"], movers.names) for each in placements],
        "certainty": min((each["certainty"] for each in placements), key=_CERTAINTIES.index),
        "warnings": sorted({warnings[text] for each in placements for text in each["warnings"]}),
        "code": None,
        "why": None,
        "remedy": None,
    }
    return t.cast(contract.GuestMove, _who(first, placements, movers) | rest)


def _who(
    first: contract.Unplaced | contract.Placement,
    devices: t.Sequence[contract.Unplaced | contract.Placement],
    movers: Movers,
) -> dict[str, t.Any]:
    """Return what is said of a guest whether it moves or not."""
    kinds = Counter(movers.what(each["source"]) for each in devices)
    return {
        "vm": first["vm"],
        "in_use": first["vm"] is not None or movers.in_use(first["source"]),
        "host": first["source"]["host"],
        "devices": [
            {name: each["source"][name] for name in ("host", "kind", "id")} for each in devices
        ],
        "hardware": [f"{count} x {what}" if count > 1 else what for what, count in kinds.items()],
    }


def becomes(target: contract.Target, names: HardwareNames) -> str:
    """Return what a device becomes: the target, whether it is made, and what it is given."""
    values = [
        (each["name"], each["value"], names.value(target["host"], each["name"], each["value"]))
        for each in target["attributes"]
    ]
    given = ", ".join(
        [
            *(
                f"{name}={value} ({named})" if named else f"{name}={value}"
                for name, value, named in values
            ),
            *settings_of(target),
        ]
    )
    what = names.type(target["type"], target["kind"])
    under = f" under {target['parent']}" if target["parent"] else ""
    if target["create"]:
        return f"a new {what}{under}{f', {given}' if given else ''}"
    # An attribute that it is given is written, so it is not left as it is.
    return f"an existing {what}{f', given {given}' if given else ''}"
