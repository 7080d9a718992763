# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Guests of libvirt: what runs on a host by the module ``libvirt_guest_info``, and where the guests are that are to move. Pure."""

from __future__ import annotations

import re
import typing as t
from collections import defaultdict
from dataclasses import dataclass, field

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.identifiers import UUID
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.printable import printable
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.wording import listed
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import (
    Device,
    Fleet,
    Holder,
    why_unknown,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.info import (
    ArrivalInfo,
    AssignedInfo,
    GuestInfo,
    HostInfo,
    LibvirtInfo,
)
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import Sentence

LIBVIRT = "libvirt"
QEMU = "QEMU"

# Why a guest is paused that is whole where it is: its owner has paused it, or it has run there until then. Any other reason may be that of
# one that still comes in, or never will.
_WHOLE = frozenset(("user", "ioerror", "watchdog", "crashed"))
_VERSION = re.compile(r"[0-9.]{1,32}\Z")


# Devices by the process that holds them.
_Held = t.Mapping[Holder, t.Sequence[Device]]


@dataclass(frozen=True, slots=True)
class RunningGuest:
    """A guest that runs; ``persistent`` where libvirt has a definition of it.

    ``info`` is all that is known of it, ``None`` where it could not be read, or has by its domain no assigned device, and that was not
    asked for.
    """

    uuid: str
    persistent: bool = False
    info: GuestInfo | None = None


@dataclass(frozen=True, slots=True)
class LibvirtHost:
    """What libvirt on a host says: why it says nothing, if so; versions by program, as far as it says them; guests that run, by name.

    ``halves`` are the UUIDs of those that are paused and not known to be whole there, ``None`` where it does not say which are paused.
    ``stopped`` are the UUIDs of those that are defined and do not run, by name, ``None`` where it does not say which, and ``names`` the
    names of all by UUID.
    ``info`` is what the host has for guests, ``arriving`` what it lacks for those of others, in the order in which it was asked,
    ``problems`` what could not be read of guests, by their names, and ``unreached`` why it does not reach the libvirt of another
    host, by URI.
    """

    error: str | None = None
    versions: t.Mapping[str, str] = field(default_factory=dict)
    running: t.Mapping[str, RunningGuest] = field(default_factory=dict)
    halves: t.Collection[str] | None = ()
    stopped: t.Mapping[str, str] | None = field(default_factory=dict)
    names: t.Mapping[str, str] = field(default_factory=dict)
    info: HostInfo | None = None
    arriving: t.Sequence[ArrivalInfo] = ()
    problems: t.Mapping[str, list[str]] = field(default_factory=dict)
    unreached: t.Mapping[str, str] = field(default_factory=dict)


# Guests by names or UUIDs, each with the hosts on which it may be; ``None`` for any.
Asked = t.Mapping[str, "t.Collection[str] | None"]


class DeviceKey(t.TypedDict):
    """A device of the fleet."""

    host: str
    id: str


class Guest(t.TypedDict):
    """A guest that is to move, or what stands for unknown guests; ``reason`` is why it must stay.

    ``kinds`` are those of its devices; one that has none has no ``device``, either. ``memory`` is in KiB, 0 where it is not known.
    """

    vm: str
    host: str | None
    uuid: str | None
    persistent: bool
    device: DeviceKey | None
    kinds: list[str]
    memory: int
    reason: Sentence | None


def read_host(answer: LibvirtInfo) -> LibvirtHost:
    """Return what libvirt on a host says, from what the module returned there."""
    versions = {LIBVIRT: answer["versions"]["libvirt"], QEMU: answer["versions"]["qemu"]}
    running = {each["name"]: RunningGuest(each["uuid"]) for each in answer["others"]}
    for each in answer["guests"]:
        running[each["name"]] = RunningGuest(each["uuid"], each["persistent"], each)
    defined, paused = answer["defined"], answer["paused"]
    stopped = None if defined is None else {each["name"]: each["uuid"] for each in defined}
    names = {uuid: name for name, uuid in (stopped or {}).items()}
    names.update({each.uuid: name for name, each in running.items()})
    problems: dict[str, list[str]] = defaultdict(list)
    for problem in answer["problems"]:
        problems[problem["guest"] or ""].append(problem["problem"])
    return LibvirtHost(
        versions={
            program: version
            for program, version in versions.items()
            if version and _VERSION.match(version)
        },
        running=running,
        halves=None
        if paused is None
        else [each["uuid"] for each in paused if each["reason"] not in _WHOLE],
        stopped=stopped,
        names=names,
        info=answer["host"],
        arriving=answer["arriving"],
        problems=problems,
        unreached={
            each["uri"]: each["problem"] for each in answer["peers"] if each["problem"] is not None
        },
    )


def is_older(version: str, needed: str) -> bool:
    """Return whether ``version`` comes before the one that is ``needed``."""
    return _numbers(version) < _numbers(needed)


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".") if part]


def find_guests(
    fleet: Fleet,
    hosts: t.Mapping[str, LibvirtHost],
    asked: Asked | None = None,
    drain: t.Collection[str] | None = None,
) -> list[Guest]:
    """Return the guests that are asked for, where they are, a device of each, and why it must stay where it must.

    A guest that is named need not have a device; where one of the name has, others of it that have none are not meant. ``hosts`` are
    those that answer. ``drain`` are the hosts whose guests with VFIO devices are all asked for. An unknown holder of a device of
    a drained host is an entry with a reason, too.
    """
    found = [
        guest
        for host, libvirt in hosts.items()
        if drain is None or host in drain
        for guest in _guests_on(fleet, host, libvirt, asked, drain is not None)
    ]
    wanted: Asked = asked or {}
    for name in wanted:
        same = [guest for guest in found if _is_asked(wanted, guest, name)]
        if any(guest["kinds"] for guest in same):
            found = [guest for guest in found if guest["kinds"] or guest not in same]
            same = [guest for guest in same if guest["kinds"]]
        if not same:
            reason = (
                "no host of the play has a process of this name that holds a VFIO device, and no libvirt that answers runs it;"
                " start the guest, and gather as root"
            )
            found.append(_stand_in(name, None, reason))
        elif len(same) > 1:
            places = ", ".join(str(guest["host"]) for guest in same)
            which = "; ".join(map(_which, same))
            for guest in same:
                guest["reason"] = (
                    f"there is a guest of this name on each of {places}; libvirt needs different names,"
                    f" and here the UUID of the one that is meant: {which}"
                )
    for host in drain or ():
        if host not in hosts:
            reason = f"{host} does not answer, or is not a host of the play"
            found.append(_stand_in(printable(f"every guest of {host}"), host, reason))
    return found


def hosts_to_ask(
    fleet: Fleet,
    hosts: t.Collection[str],
    asked: Asked | None,
    drain: t.Collection[str] | None = None,
) -> list[str]:
    """Return those of ``hosts`` that may have guests that are asked for, as ``find_guests`` finds them: libvirt there is to say.

    By the facts these are the hosts where they hold devices; all hosts that are left for one of which the facts know nothing.
    """
    if asked is None:
        return [host for host in hosts if host in (drain or ())]
    there: set[str] = set()
    for name, only in asked.items():
        possible = {host for host in hosts if only is None or host in only}
        named = {host for host in possible if _holds(fleet, host, name)}
        # A process that does not show a UUID may have any, and libvirt knows which.
        is_uuid = UUID.match(name) is not None
        unsaid = {host for host in possible if is_uuid and _holds(fleet, host, None)}
        there |= named | unsaid if named else possible
    return [host for host in hosts if host in there]


def _holds(fleet: Fleet, host: str, name: str | None) -> bool:
    """Return whether a guest of this name or UUID holds a device of ``host``; with ``None``, a guest of unknown UUID."""
    return any(
        each.uuid is None if name is None else name in (each.name, each.uuid)
        for each in {device.in_use for device in _devices(fleet, host) if device.in_use}
        if each.name
    )


def guests_without_devices(
    fleet: Fleet, hosts: t.Mapping[str, LibvirtHost], drain: t.Iterable[str]
) -> list[Guest]:
    """Return the guests of hosts that are drained which hold no VFIO device, with why that is not certain where it is not.

    Where libvirt does not answer, one entry stands for those that there may be.
    """
    found = []
    for host in drain:
        error = hosts[host].error if host in hosts else None
        if error is not None:
            who = printable(f"every guest without VFIO devices on {host}")
            reason = f"it is unknown whether there are any: libvirt there does not answer: {error}"
            found.append(_stand_in(who, host, reason))
            continue
        if host in hosts and host in fleet.hosts:
            holders = {each.in_use.name for each in _devices(fleet, host) if each.in_use}
            found += [
                _without_device(fleet, host, name, hosts[host])
                for name in sorted(hosts[host].running)
                if name not in holders
            ]
    return found


def _without_device(fleet: Fleet, host: str, name: str, libvirt: LibvirtHost) -> Guest:
    running = libvirt.running[name]
    unknown = held_by_unknown(fleet, host)
    assigned = assigned_to(running)
    reason = None
    if host not in fleet.hosts:
        reason = f"it is unknown whether it has a VFIO device: {why_unknown(fleet, host)}"
    elif unknown:
        reason = (
            f"it is unknown whether it has {listed(unknown)}, as its holder is unknown; gather as root,"
            " with become"
        )
    elif assigned:
        named = listed([f"{each['kind']} {each['id']}" for each in assigned])
        reason = f"its domain has {named}, which no process of this name holds; resolve that first"
    else:
        reason = _unread(host, name, libvirt)
    return _found(name, host, running, reason)


def assigned_to(running: RunningGuest) -> list[AssignedInfo]:
    """Return the devices that a guest has by its domain, none where that is not known."""
    return running.info["devices"] if running.info else []


def _unread(host: str, name: str, libvirt: LibvirtHost) -> str | None:
    """Return why a guest that runs could not be read, ``None`` where it could, or was not to be."""
    running, problems = libvirt.running.get(name), libvirt.problems.get(name)
    if running is None or running.info is not None or not problems:
        return None
    return f"libvirt on {host} runs it, and does not say more of it: {'; '.join(problems)}; fix that there, and run this again"


def _which(guest: Guest) -> str:
    """Return what distinguishes a guest from others of its name."""
    device = f" has {guest['device']['id']}" if guest["device"] else ""
    uuid = f", UUID {guest['uuid']}" if guest["uuid"] else ", which libvirt does not know"
    return f"that on {guest['host']}{device}{uuid}"


def held_by_unknown(fleet: Fleet, host: str) -> list[str]:
    """Return the ids of the devices of ``host`` whose holder, if they have one, has an unknown name."""
    return [each.id for each in _devices(fleet, host) if each.in_use and not each.in_use.name]


def _guests_on(
    fleet: Fleet,
    host: str,
    libvirt: LibvirtHost,
    asked: Asked | None,
    drained: bool,
) -> t.Iterator[Guest]:
    if drained and host not in fleet.hosts:
        yield _stand_in(printable(f"every guest of {host}"), host, why_unknown(fleet, host))
    if drained and (unknown := held_by_unknown(fleet, host)):
        reason = "it is unknown who that is; gather as root, with become"
        yield _stand_in(printable(f"what holds {', '.join(unknown)}"), host, reason)
    held: dict[str, dict[Holder, list[Device]]] = defaultdict(lambda: defaultdict(list))
    for device in _devices(fleet, host):
        if device.in_use and device.in_use.name:
            held[device.in_use.name][device.in_use].append(device)
    for name in sorted(held):
        guest = _guest(name, host, libvirt, held[name])
        if asked is None or any(_is_asked(asked, guest, each) for each in (name, guest["uuid"])):
            yield guest
    for name, running in sorted(libvirt.running.items()) if asked is not None else ():
        if name not in held and asked and {name, running.uuid} & asked.keys():
            guest = _without_device(fleet, host, name, libvirt)
            if any(_is_asked(asked, guest, each) for each in (name, running.uuid)):
                yield guest


def _is_asked(asked: Asked, guest: Guest, name: str | None) -> bool:
    """Return whether a guest is the one that is asked for by its ``name`` or UUID: others may have that on other hosts."""
    if name is None or name not in asked or name not in (guest["vm"], guest["uuid"]):
        return False
    hosts = asked[name]
    return hosts is None or guest["host"] in hosts


def _why_not(host: str, running: RunningGuest | None, held: _Held) -> str | None:
    """Return why the processes of one name are not the guest of that name that libvirt runs; ``None`` where there is but one, and is."""
    if running is not None and all(each.uuid in (None, running.uuid) for each in held):
        if len(held) == 1:
            return None
        why = f"several processes on {host} have this name"
    elif running is None:
        why = f"libvirt on {host} runs no guest of this name"
    else:
        why = f"libvirt on {host} runs the guest of this name and UUID {running.uuid}, and another one has it, too"
    holders = (
        f"process {holder.pid}{f' (UUID {holder.uuid})' if holder.uuid else ''} holds {devices[0].id}"
        for holder, devices in held.items()
    )
    return f"{why}: {', '.join(holders)}"


def _guest(name: str, host: str, libvirt: LibvirtHost, held: _Held) -> Guest:
    running = libvirt.running.get(name)
    devices = [device for each in held.values() for device in each]
    reason = _why_not(host, running, held) or _unread(host, name, libvirt)
    return _found(name, host, running, reason, devices)


def _found(
    name: str,
    host: str,
    running: RunningGuest | None,
    reason: str | None,
    devices: t.Sequence[Device] = (),
) -> Guest:
    return Guest(
        vm=name,
        host=host,
        uuid=running.uuid if running else None,
        persistent=running is not None and running.persistent,
        device=DeviceKey(host=host, id=devices[0].id) if devices else None,
        kinds=list(dict.fromkeys(device.kind for device in devices)),
        memory=running.info["memory"] if running is not None and running.info is not None else 0,
        reason=reason,
    )


def _stand_in(what: str, host: str | None, reason: str) -> Guest:
    """Return the entry for what is no known guest."""
    return Guest(
        vm=what,
        host=host,
        uuid=None,
        persistent=False,
        device=None,
        kinds=[],
        memory=0,
        reason=reason,
    )


def _devices(fleet: Fleet, host: str) -> list[Device]:
    return fleet.hosts[host].devices if host in fleet.hosts else []
