# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""How long guests may stand still for the state of their devices, beside how long they are allowed to. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.migration_options import (
    read_options,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.wording import listed
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import (
    Device,
    Fleet,
    Holder,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.guests import Guest


def bandwidth_of(stated: int | None, options: t.Sequence[str]) -> int | None:
    """Return how many MiB per second a migration sends, ``None`` where that is not known.

    It is what the network carries, as ``stated``, and no more than the ``options`` of ``virsh migrate`` allow.
    """
    # For libvirt 0 is no limit.
    allowed = t.cast("int", read_options(options).parameters.get("bandwidth", 0)) or None
    return min([each for each in (stated, allowed) if each is not None], default=None)


def downtime_notes(
    fleet: Fleet, guests: t.Iterable[Guest], bandwidth: int | None, longest: int
) -> t.Iterator[str]:
    """Yield for which guests the frame buffers of their devices take longer than ``longest`` milliseconds to send.

    ``bandwidth`` is what is sent, in MiB per second, ``None`` where that is not known: then it is said for which guests nothing
    can be. A frame buffer is the most that a vGPU has to send; what a driver sends while the guest still runs
    (pre-copy, Linux' include/uapi/linux/vfio.h) does not count, and is not known before. Of other devices nothing is known.
    """
    sizes = [
        (guest["vm"], sum(_framebuffer(fleet, each) for each in _devices_of(fleet, guest)))
        for guest in guests
    ]
    with_state = [(vm, mib) for vm, mib in sizes if mib]
    if bandwidth is None:
        if with_state:
            named = listed([f"{vm} ({mib} MiB of frame buffer)" for vm, mib in with_state])
            yield (
                f"it is unknown whether the state of their devices can be sent within the downtime of {longest} ms: {named};"
                " state what the network carries with migrate_libvirt_bandwidth"
            )
        return
    for vm, mib in with_state:
        milliseconds = -(-mib * 1000 // bandwidth)
        if milliseconds > longest:
            yield (
                f"{vm} may need a downtime of {milliseconds} ms, and is allowed {longest}: its devices have {mib} MiB of"
                f" frame buffer, of {bandwidth} MiB a second; where its driver sends little of that before, the migration"
                f" does not end unless migrate_libvirt_downtime_max is {milliseconds} or more"
            )


def _devices_of(fleet: Fleet, guest: Guest) -> t.Iterator[Device]:
    there = fleet.hosts.get(guest["host"] or "")
    for each in there.devices if there is not None else ():
        if each.in_use is not None and _is_held_by(each.in_use, guest):
            yield each


def _is_held_by(holder: Holder, guest: Guest) -> bool:
    """Return whether a process is that of a guest: by the UUID where it shows one, as others may have the name."""
    if holder.uuid is not None and guest["uuid"] is not None:
        return holder.uuid == guest["uuid"]
    return holder.name == guest["vm"]


def _framebuffer(fleet: Fleet, device: Device) -> int:
    """Return the frame buffer of a device in MiB, 0 where its type states none."""
    for parent in fleet.hosts[device.host].parents:
        if parent.id == device.parent:
            found = [each.framebuffer for each in parent.types if each.id == device.type]
            return next((each for each in found if each), 0)
    return 0
