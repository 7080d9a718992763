# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What must be so that guests can migrate: versions, devices, domains, memory. Pure."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ansible_collections.vfio.migration.plugins.plugin_utils._compat.wording import listed
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import VDPA, Fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.answers import Answer
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.guests import (
    LIBVIRT,
    QEMU,
    Guest,
    LibvirtHost,
    held_by_unknown,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.logs import is_guest_name
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import Sentence

# The first versions that migrate a guest with a VFIO device of a kind. Kernels have the newer protocol from 5.18 on, and
# distributions' older ones have it, too; what a kernel can do, QEMU finds out.
MINIMUM_VERSIONS = {
    "mdev": {LIBVIRT: "8.6.0", QEMU: "8.1.0"},
    "pci": {LIBVIRT: "10.0.0", QEMU: "8.2.2"},
}
# The first QEMU that migrates a VFIO device behind a virtual IOMMU.
MINIMUM_FOR_VIOMMU = "11.0.0"
# The first libvirt that gives a guest its devices through IOMMUFD, and where a host has that.
MINIMUM_FOR_IOMMUFD = "12.1.0"
IOMMUFD = "/dev/iommu"

ALL_KINDS = "all"
_IOMMUFD = re.compile(r"<driver\b[^<>]*\biommufd=(?:'yes'|\"yes\")")
_VIOMMU = re.compile(r"<iommu[ >/]")

_MEMINFO = re.compile(r"^(\w+): +([0-9]{1,18})", re.MULTILINE)
_FREE_PAGES = re.compile(r"hugepages-([0-9]{1,18})kB/free_hugepages:([0-9]{1,18})")
_DOMAIN_MEMORY = re.compile(r"<memory(?: [^>]*)?>([0-9]{1,18})<")
# Libvirt tells in KiB of which pool of huge pages the guest takes its memory, unless that is the default.
_DOMAIN_PAGES = re.compile(r"<page size=.([0-9]{1,18}). unit=.KiB.")


class Place(t.TypedDict):
    """A parent under which nothing may be placed, as the option ``avoid`` of a plan has it."""

    host: str
    parent: str
    problem: Sentence


class Checks(t.TypedDict):
    """Which guests may be planned for and which stay, where the former may go, and what else an operator must know."""

    chosen: list[Guest]
    left: list[Guest]
    targets: list[str]
    avoid: list[Place]
    notes: list[Sentence]


@dataclass(frozen=True, slots=True)
class Memory:
    """How much memory a guest needs of ``source``, and how much of that is free on its target, in KiB.

    ``lacks_iommufd``: the guest has its devices through IOMMUFD, and the target has none.
    """

    source: str
    needed: int
    free: int
    lacks_iommufd: bool = False


def shortcomings(host: str, libvirt: LibvirtHost) -> dict[str, list[str]]:
    """Return what keeps ``host`` from migrating devices, sentences by kind of device, or by ``ALL_KINDS``."""
    if libvirt.error is not None:
        error = f"virsh on {host} says: {libvirt.error}; install and start libvirt"
        return {ALL_KINDS: [error]}
    found = {
        kind: [
            f"{host} has {program} {libvirt.versions[program]};"
            f" update it to {needed} or newer, which migrates {kind} devices"
            for program, needed in programs.items()
            if _is_older(libvirt.versions[program], needed)
        ]
        for kind, programs in MINIMUM_VERSIONS.items()
    }
    return {kind: sentences for kind, sentences in found.items() if sentences}


def check_guests(
    guests: t.Iterable[Guest],
    hosts: t.Mapping[str, LibvirtHost],
    domains: t.Mapping[tuple[str | None, str], Answer],
) -> list[Guest]:
    """Return ``guests`` with what forbids to migrate each of them now.

    ``domains`` are the answers to ``virsh dumpxml`` by host and guest.
    """
    return [
        guest | {"reason": "; ".join(_obstacles(guest, hosts, domains)) or None} for guest in guests
    ]


def check_migration(
    fleet: Fleet,
    guests: t.Sequence[Guest],
    hosts: t.Mapping[str, LibvirtHost],
    domains: t.Mapping[tuple[str | None, str], Answer],
    targets: t.Sequence[str] | None = None,
    drain: t.Collection[str] = (),
) -> Checks:
    """Return which of ``guests`` may be planned for, and where they may go.

    ``targets`` are the hosts that may receive, by default all that are not drained. ``guests`` are as ``find_guests``
    returns them, the rest is as for ``find_guests`` and ``check_guests``.
    """
    checked = check_guests(guests, hosts, domains)
    receiving = possible_targets(hosts, targets, drain)
    chosen = [guest for guest in checked if not guest["reason"]]
    without = _without_iommufd(receiving, chosen, hosts, domains)
    receiving = [host for host in receiving if host not in without]
    notes = [
        *_hosts_left_out(guests, hosts),
        *without.values(),
        *(
            f"{host} is no target: it is none of the hosts of the play that answer"
            for host in targets or ()
            if host not in hosts
        ),
        *_guests_left_alone(fleet, guests, hosts, drain),
    ]
    return Checks(
        chosen=chosen,
        left=[guest for guest in checked if guest["reason"]],
        targets=receiving,
        avoid=parents_to_avoid(fleet, {host: hosts[host] for host in receiving}),
        notes=notes,
    )


def possible_targets(
    hosts: t.Mapping[str, LibvirtHost],
    targets: t.Iterable[str] | None = None,
    drain: t.Collection[str] = (),
) -> list[str]:
    """Return the hosts that may receive: of ``targets``, those that answer, have libvirt and are not drained."""
    return [
        host
        for host in (hosts if targets is None else targets)
        if host in hosts and host not in drain and ALL_KINDS not in shortcomings(host, hosts[host])
    ]


def parents_to_avoid(fleet: Fleet, hosts: t.Mapping[str, LibvirtHost]) -> list[Place]:
    """Return, for each of ``hosts``, the parents of devices of a kind that it cannot migrate."""
    return [
        Place(host=host, parent=parent, problem="; ".join(sentences))
        for host, libvirt in hosts.items()
        if host in fleet.hosts
        for kind, sentences in shortcomings(host, libvirt).items()
        for parent in _parents(fleet, host, kind)
    ]


def memory(xml: str, there: str) -> Memory:
    """Return what the domain ``xml`` needs of a host's memory, and what is free of it, nothing where that is not said.

    ``there`` has the host's ``/proc/meminfo`` and its files ``free_hugepages``, each after its path and a colon, and a line
    ``/dev/iommu`` where there is such a device.
    """
    lacks_iommufd = _uses_iommufd(xml) and IOMMUFD not in there.splitlines()
    found = _DOMAIN_MEMORY.search(xml)
    needed = int(found[1]) if found else 0
    sizes = {name: int(size) for name, size in _MEMINFO.findall(there)}
    if "<hugepages" not in xml:
        return Memory("memory", needed, _available(sizes), lacks_iommufd)
    pools = {int(size): int(count) for size, count in _FREE_PAGES.findall(there)}
    wanted = [*dict.fromkeys(map(int, _DOMAIN_PAGES.findall(xml)))]
    wanted = wanted or [sizes.get("Hugepagesize", 0)]
    free = sum(size * pools.get(size, 0) for size in wanted)
    pages = f"huge pages of {' and '.join(map(str, wanted))} KiB"
    return Memory(pages, needed, free, lacks_iommufd)


def _available(sizes: t.Mapping[str, int]) -> int:
    """Return how much memory of a host can be had without swapping, in KiB.

    Without the kernel's own estimate, as in a container whose ``/proc/meminfo`` has less, it is what is free and what the
    page cache gives back. Shared memory is in the page cache, too, and is not given back.
    """
    if "MemAvailable" in sizes:
        return sizes["MemAvailable"]
    cached = sizes.get("Cached", 0) - sizes.get("Shmem", 0)
    return sizes.get("MemFree", 0) + sizes.get("Buffers", 0) + max(0, cached)


def _uses_iommufd(xml: str) -> bool:
    """Return whether a domain has devices through IOMMUFD, ``<driver iommufd='yes'/>``."""
    return _IOMMUFD.search(xml) is not None


def _without_iommufd(
    receiving: t.Iterable[str],
    guests: t.Iterable[Guest],
    hosts: t.Mapping[str, LibvirtHost],
    domains: t.Mapping[tuple[str | None, str], Answer],
) -> dict[str, Sentence]:
    """Return the hosts whose libvirt is too old for guests that use IOMMUFD, and of each what to do."""
    using = [
        guest["vm"]
        for guest in guests
        if _uses_iommufd(domains.get((guest["host"], guest["vm"]), Answer()).stdout)
    ]
    return {
        host: f"{host} is no target: it has libvirt {version}, and {listed(using)} uses IOMMUFD;"
        f" update it to {MINIMUM_FOR_IOMMUFD} or newer"
        for host in receiving
        if using
        and _is_older(version := hosts[host].versions.get(LIBVIRT, ""), MINIMUM_FOR_IOMMUFD)
    }


def _is_older(version: str, needed: str) -> bool:
    return _numbers(version) < _numbers(needed)


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".") if part]


def _obstacles(
    guest: Guest,
    hosts: t.Mapping[str, LibvirtHost],
    domains: t.Mapping[tuple[str | None, str], Answer],
) -> list[str]:
    host = guest["host"]
    if guest["reason"] or host is None:
        return [guest["reason"] or "no host of the play has it"]
    if not is_guest_name(guest["vm"]):
        return [
            "libvirt has no guest of such a name: it is too long, or has a slash or a line's end"
        ]
    if host not in hosts:
        return [f"{host} does not answer any more"]
    lacking = shortcomings(host, hosts[host])
    found = [each for kind in (ALL_KINDS, *guest["kinds"]) for each in lacking.get(kind, ())]
    domain = domains.get((host, guest["vm"]), Answer())
    if domain.rc != 0:
        found.append(domain.error or f"{host} does not answer any more")
    if VDPA in guest["kinds"]:
        found.append(
            "it has a vDPA device, and libvirt is only known to migrate mediated and PCI devices;"
            " take that out of the guest, or move it with another tool"
        )
    version = hosts[host].versions.get(QEMU, "")
    if _VIOMMU.search(domain.stdout) and _is_older(version, MINIMUM_FOR_VIOMMU):
        found.append(
            f"QEMU {version} cannot migrate a VFIO device behind a virtual IOMMU;"
            f" take <iommu> out of the domain and restart it, or update QEMU to {MINIMUM_FOR_VIOMMU}"
        )
    return found


def _parents(fleet: Fleet, host: str, kind: str) -> list[str]:
    there = fleet.hosts[host]
    used = [device.parent for device in there.devices if device.kind == kind]
    possible = [parent.id for parent in there.parents if parent.kind == kind]
    return [parent for parent in dict.fromkeys([*used, *possible]) if parent]


def _hosts_left_out(
    guests: t.Iterable[Guest], hosts: t.Mapping[str, LibvirtHost]
) -> t.Iterator[str]:
    kinds = {kind for guest in guests if not guest["reason"] for kind in guest["kinds"]}
    for host, libvirt in hosts.items():
        for kind, sentences in shortcomings(host, libvirt).items():
            part = "nothing" if kind == ALL_KINDS else f"no migration of {kind} devices"
            for sentence in sentences if kind in kinds | {ALL_KINDS} else ():
                yield f"{host} takes part in {part}: {sentence}"


def _guests_left_alone(
    fleet: Fleet,
    guests: t.Iterable[Guest],
    hosts: t.Mapping[str, LibvirtHost],
    drain: t.Iterable[str],
) -> t.Iterator[str]:
    found = {guest["vm"] for guest in guests}
    for host in drain:
        known = host in fleet.hosts and not held_by_unknown(fleet, host)
        device = "has no VFIO device" if known else "is not known to have a VFIO device"
        for name in hosts[host].running if host in hosts else ():
            if name not in found:
                yield f"{name} on {host} {device} and was left alone"
