# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What hosts have received by the moves of an earlier plan, as the facts show it. Pure.

A limit is of all moves that a request asks for, and they may take several runs: what was received in one counts in the
next. A move was made where its guest holds the target now, and its source no longer. What was received by still earlier
plans, the last one states.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import Device, Fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.free_capacity import (
    once_arrived,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import (
    Conditions,
    Guest,
    guests_of,
)
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import ReceivedDevice

_Key = tuple[str, str]


def received_by(
    earlier: t.Any, fleet: Fleet, drain: t.Collection[str] | None
) -> list[ReceivedDevice]:
    """Return what guests hold on their new hosts by moves of ``earlier``, a plan of the right shape, and of the plans before it.

    With ``drain`` only what has left these hosts: of others another request was made.
    """
    stated = [*earlier.get("received", ()), *map(_as_received, earlier["placements"])]
    found = {(each["host"], each["id"]): each for each in stated if each["vm"] is not None}
    sources = {_source_of(each) for each in found.values()}
    devices = _devices(fleet, {*found, *sources})
    return [
        each
        for key, each in sorted(found.items())
        if drain is None or each["source"]["host"] in drain
        if _is_held(devices.get(key), each) and not _is_held(devices.get(_source_of(each)), each)
    ]


def with_capacity_left(conditions: Conditions, earlier: t.Any, fleet: Fleet) -> Conditions:
    """Return ``conditions`` whose capacity is that of ``earlier`` with what guests take that have moved by it since."""
    if not conditions.capacity:
        return conditions
    moved = received_by({"placements": earlier["placements"]}, fleet, None)
    hosts = {each["host"] for each in moved} & fleet.hosts.keys()
    targets = {(each["host"], each["id"]) for each in moved}
    arrived: list[tuple[Guest, str]] = [
        (guest, host)
        for host in sorted(hosts)
        for guest in guests_of(each for each in fleet.hosts[host].devices if each.in_use)
        if not targets.isdisjoint(device.key for device in guest.devices)
    ]
    capacity = once_arrived(conditions.capacity, arrived)
    return dataclasses.replace(conditions, capacity=capacity)


def _as_received(placement: t.Any) -> t.Any:
    target, source = placement["target"], placement["source"]
    uuid = {"vm_uuid": placement["vm_uuid"]} if placement.get("vm_uuid") else {}
    return {
        **{name: target[name] for name in ("host", "kind", "id")},
        "vm": placement["vm"],
        **uuid,
        "source": {name: source[name] for name in ("host", "kind", "id")},
    }


def _source_of(each: t.Any) -> _Key:
    return each["source"]["host"], each["source"]["id"]


def _devices(fleet: Fleet, keys: t.Collection[_Key]) -> dict[_Key, Device]:
    hosts = {host for host, _id in keys} & fleet.hosts.keys()
    return {each.key: each for host in hosts for each in fleet.hosts[host].devices}


def _is_held(device: Device | None, by: t.Any) -> bool:
    """Return whether the guest that has moved holds ``device``."""
    holder = device.in_use if device is not None else None
    if holder is None or holder.name != by["vm"]:
        return False
    return by.get("vm_uuid") in (None, holder.uuid or by.get("vm_uuid"))
