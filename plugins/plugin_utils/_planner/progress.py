# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""How far each move of a plan has come, as the hosts' facts show: by which guest holds source and target. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._compat.wording import why_in_use
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import (
    Device,
    Fleet,
    why_unknown,
)
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import PlacementState

PLANNED = "planned"
PREPARED = "prepared"
MIGRATING = "migrating"
MOVED = "moved"
DONE = "done"
UNCLEAR = "unclear"


def placement_states(fleet: Fleet, plan: t.Any) -> list[PlacementState]:
    """Return how far each placement in ``plan`` has come."""
    found: list[PlacementState] = []
    for placement in plan["placements"]:
        state, reason = _state(fleet, placement)
        found.append(
            {
                "vm": placement["vm"],
                "source": placement["source"],
                "target": placement["target"],
                "state": state,
                "reason": reason,
            }
        )
    return found


def _state(fleet: Fleet, placement: t.Mapping[str, t.Any]) -> tuple[str, str | None]:
    vm = placement["vm"]
    ends = [placement["source"], placement["target"]]
    for end in ends:
        if end["host"] not in fleet.hosts:
            return UNCLEAR, f"{end['host']}: {why_unknown(fleet, end['host'])}"
    source, target = (_device(fleet, end) for end in ends)
    for device in (source, target):
        if device and (stranger := _stranger(device, vm, placement.get("vm_uuid"))):
            return UNCLEAR, f"{device.id} on {device.host}: {stranger}"
    if target is None:
        gone = f"neither {ends[0]['id']} on {ends[0]['host']} nor its target is there"
        return (PLANNED, None) if source else (UNCLEAR, gone)
    if target.in_use:
        return (MIGRATING if source and source.in_use else MOVED if source else DONE), None
    if source and (source.in_use or vm is None):
        return PREPARED, None
    where = f"{ends[0]['host']} or {target.host}"
    return (
        UNCLEAR,
        f"{vm} holds neither source nor target; start it on {where}, so that this shows",
    )


def _device(fleet: Fleet, end: t.Mapping[str, t.Any]) -> Device | None:
    devices = fleet.hosts[end["host"]].devices
    return next(
        (each for each in devices if (each.kind, each.id) == (end["kind"], end["id"])), None
    )


def _stranger(device: Device, vm: str | None, uuid: str | None) -> str | None:
    """Return who else than ``vm``, with this ``uuid`` if it is known, holds a device, or may."""
    holder = device.in_use
    if holder is None or holder.pid is None or vm is None or holder.name != vm:
        return why_in_use(device)
    if uuid is not None and holder.uuid is not None and holder.uuid != uuid:
        return f"another guest of the name {vm} holds it: its UUID is {holder.uuid}, and not {uuid}"
    return None
