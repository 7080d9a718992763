# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""How long guests may stand still for the state of their devices, beside how long they are allowed to. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import Device, Fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.guests import Guest


def too_long(
    fleet: Fleet, guests: t.Iterable[Guest], bandwidth: int | None, longest: int
) -> t.Iterator[str]:
    """Yield for which guests the frame buffers of their devices take longer than ``longest`` milliseconds to send.

    ``bandwidth`` is what the network between the hosts carries, in MiB per second, ``None`` where that is not known: then
    nothing can be said. A frame buffer is the most that a vGPU has to send; what a driver sends while the guest still runs
    (pre-copy, Linux' include/uapi/linux/vfio.h) does not count, and is not known before.
    """
    if bandwidth is None:
        return
    for guest in guests:
        mib = sum(_framebuffer(fleet, each) for each in _devices_of(fleet, guest))
        milliseconds = -(-mib * 1000 // bandwidth)
        if milliseconds > longest:
            yield (
                f"{guest['vm']} may stand still for {milliseconds} ms, and is allowed {longest}: its devices have {mib} MiB of"
                f" frame buffer, of {bandwidth} MiB a second; where its driver sends little of that before, the migration"
                f" does not end unless migrate_libvirt_downtime_max is {milliseconds} or more"
            )


def _devices_of(fleet: Fleet, guest: Guest) -> t.Iterator[Device]:
    there = fleet.hosts.get(guest["host"] or "")
    for each in there.devices if there is not None else ():
        if each.in_use is not None and each.in_use.name == guest["vm"]:
            yield each


def _framebuffer(fleet: Fleet, device: Device) -> int:
    """Return the frame buffer of a device in MiB, 0 where its type states none."""
    for parent in fleet.hosts[device.host].parents:
        if parent.id == device.parent:
            found = [each.framebuffer for each in parent.types if each.id == device.type]
            return next((each for each in found if each), 0)
    return 0
