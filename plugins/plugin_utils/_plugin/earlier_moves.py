# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What earlier runs of ``migrate_libvirt`` with the same request have sent, and where libvirt of both hosts has it now.

Such a guest has arrived, and counts as done, is on its way still, or may be sent again. The record says who was sent, libvirt where it is.
"""

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.guests import (
    Guest,
    LibvirtHost,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.move import (
    MOVED,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.outcome import (
    Whereabouts,
    half_on,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.record import (
    read_records,
    sent_before,
    unwatched,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.cleanup import guest_of
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.files import (
    content_of,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.printing import printed
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import (
    MigrationRecord,
)

_Run = dict[str, t.Any]


def sent_by_earlier_runs(run: _Run) -> list[MigrationRecord]:
    """Return the guests that earlier runs with the same request have sent, where that is not done yet.

    Guests have names, and were moved by an earlier run whether all of them were or not. A host that is drained once more has others by then.
    """
    records = read_records(content_of(run["record_file"]) or "")[0]
    return sent_before(records, run["request"], only_broken_off=run["drain"] is not None)


def has_arrived(libvirt: t.Mapping[str, LibvirtHost], guest: MigrationRecord) -> bool:
    """Return whether the guest of a record is on its target alone, and whole."""
    return whereabouts(libvirt, guest) is Whereabouts.TARGET


def whereabouts(libvirt: t.Mapping[str, LibvirtHost], guest: MigrationRecord) -> Whereabouts:
    """Return where the guest of a record is, as far as libvirt of both hosts says.

    Unless the record has it that it has moved, libvirt on its target has to say that it goes on there, and that on its source that it is not
    there any more.
    """
    if not _says(libvirt, guest["target"]):
        return Whereabouts.UNKNOWN
    if not _knows(libvirt, guest):
        is_whole = _is_on(libvirt, guest["target"], guest) and guest["vm_uuid"] is not None
        is_whole = is_whole and _on_target(libvirt, guest) is Whereabouts.TARGET
        return Whereabouts.TARGET_AT_LEAST if is_whole else Whereabouts.UNKNOWN
    on = [_is_on(libvirt, guest[end], guest) for end in ("source", "target")]
    if not any(on) and _says(libvirt, guest["source"]):
        return Whereabouts.NOWHERE
    places = {(True, False): Whereabouts.SOURCE, (False, True): _on_target(libvirt, guest)}
    return places.get((on[0], on[1]), Whereabouts.UNKNOWN)


def _on_target(libvirt: t.Mapping[str, LibvirtHost], guest: MigrationRecord) -> Whereabouts:
    """Return what a guest that libvirt has on its target alone is there."""
    there = libvirt.get(guest["target"], LibvirtHost())
    running = there.running.get(guest["vm"])
    if guest["outcome"] == MOVED or running is None:
        return Whereabouts.TARGET
    if there.halves is None:
        return Whereabouts.UNKNOWN
    return Whereabouts.HALF if running.uuid in there.halves else Whereabouts.TARGET


def _is_on(libvirt: t.Mapping[str, LibvirtHost], host: str, guest: MigrationRecord) -> bool:
    """Return whether libvirt on a host runs the guest of a record."""
    there = libvirt.get(host, LibvirtHost()).running.get(guest["vm"])
    return there is not None and guest["vm_uuid"] in (None, there.uuid)


def _knows(libvirt: t.Mapping[str, LibvirtHost], sent: MigrationRecord) -> bool:
    """Return whether it is known if a guest has left its source."""
    return sent["outcome"] == MOVED or _says(libvirt, sent["source"])


def _says(libvirt: t.Mapping[str, LibvirtHost], host: str) -> bool:
    return host in libvirt and libvirt[host].error is None


def without_halves(
    found: t.Iterable[Guest],
    sent: t.Iterable[MigrationRecord],
    libvirt: t.Mapping[str, LibvirtHost],
) -> list[Guest]:
    """Return the guests that were ``found`` with each once that is on two hosts as an earlier run has begun to send it.

    One that is on its target stays there as long as the libvirt of its source does not say that it has none of it any more.
    """
    found = [*found]
    for each in sent:
        halves = {guest["host"]: guest for guest in found if _is_of(guest, each)}
        here, there = halves.get(each["source"]), halves.get(each["target"])
        on_both = all(_is_on(libvirt, each[end], each) for end in ("source", "target"))
        if on_both and here is not None:
            here["reason"] = (
                f"its migration to {each['target']} is running since the run of {each['run']}; wait until it has ended, and run this again"
            )
            if there is not None:
                found.remove(there)
        elif here is None and (why := _why_not_whole(libvirt, each)) is not None:
            if there is not None:
                there["reason"] = why
            elif whereabouts(libvirt, each) is Whereabouts.HALF:
                found.append(_left_half(each, why))
    return found


def _why_not_whole(libvirt: t.Mapping[str, LibvirtHost], sent: MigrationRecord) -> str | None:
    """Return why a guest that is not on its source may not be whole on its target; ``None`` where that is known, or it is not there."""
    source, target = sent["source"], sent["target"]
    if not _knows(libvirt, sent):
        return (
            f"it is unknown whether it has completely left {source}, from where the run of {sent['run']} began to send it:"
            f" libvirt there does not answer; fix that on {source}, and run this again"
        )
    if whereabouts(libvirt, sent) is Whereabouts.HALF:
        return half_on(target, source, sent["vm_uuid"] or sent["vm"])
    if _is_on(libvirt, target, sent) and _on_target(libvirt, sent) is Whereabouts.UNKNOWN:
        return f"it is unknown whether it is complete on {target}: libvirt there does not say who is paused; fix that on {target}, and run this again"
    return None


def _left_half(sent: MigrationRecord, reason: str) -> Guest:
    """Return the entry for a half on a host whose guests were not asked for."""
    return Guest(
        vm=sent["vm"],
        host=sent["target"],
        uuid=sent["vm_uuid"],
        persistent=False,
        device=None,
        kinds=[],
        memory=0,
        reason=reason,
    )


def _is_of(guest: Guest, sent: MigrationRecord) -> bool:
    return guest["vm"] == sent["vm"] and guest["uuid"] == sent["vm_uuid"]


def without_those(run: _Run, arrived: t.Iterable[MigrationRecord]) -> _Run:
    """Return ``run`` as if those that have arrived had not been asked for."""
    guests, devices = run["guests"], run["devices"]
    for each in arrived:
        names = (each["vm"], each["vm_uuid"])
        ids = [device["source"] for device in each["devices"]]
        guests = guests and [name for name in guests if name not in names]
        devices = devices and [
            device
            for device in devices
            if device.get("host") != each["source"] or device.get("id") not in ids
        ]
    return run | {"guests": guests, "devices": devices}


def arrived_unwatched(run: _Run, cleaned: t.Mapping[str, t.Any]) -> list[MigrationRecord]:
    """Return the records of guests that an earlier run was to move, and that have moved since it was broken off.

    Where libvirt was asked for one of them, as a run with this request has sent it, and did not have it on its target, it is none.
    """
    going = {(each["host"], each["vm"]) for each in run["migrations"]["going"]}
    going |= {tuple(each) for each in run["not_arrived"]}
    going |= {(each["source"], each["vm"]) for each in run["arrived"]}
    states = [each for each in run["states"] if guest_of(each) not in going]
    if not states:
        return []
    placements = cleaned.get("placements") or ()
    uuids = {guest_of(each): each.get("vm_uuid") for each in placements}
    there = read_records(content_of(run["record_file"]) or "")[0]
    return [
        printed(each, MigrationRecord)
        for each in unwatched(run["begun"], there, states, uuids, run["request"])
    ]
