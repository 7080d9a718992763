# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""What must be so that guests can migrate: versions, devices, domains, what QEMU says, and what their targets have. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field, replace

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.identifiers import VDPA
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.wording import listed
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import Fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.disks import (
    DiskCopying,
    copying_by,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.encryption import (
    AUTO,
    CLIENT,
    SERVER,
    Encryption,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.guests import (
    LIBVIRT,
    QEMU,
    Guest,
    LibvirtHost,
    assigned_to,
    held_by_unknown,
    is_older,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.info import (
    ArrivalInfo,
    DiskInfo,
    GuestInfo,
    HostInfo,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.logs import is_guest_name
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.memory import (
    ArrivingGuest,
    Capacity,
    with_memory,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.misfits import (
    Arrival,
    Misfit,
    misfits,
    unanswered,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.move import (
    DomainDefinitions,
    why_not_retargeted,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.multifd import Multifd
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import Conditions
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.summary import first_of
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import NotRequired, Sentence

# The first versions that migrate a guest with a VFIO device of a kind. Kernels have the newer protocol from 5.18 on, and
# distributions' older ones have it, too; what a kernel can do, QEMU finds out.
MINIMUM_VERSIONS = {
    "mdev": {LIBVIRT: "8.6.0", QEMU: "8.1.0"},
    "pci": {LIBVIRT: "10.0.0", QEMU: "8.2.2"},
}
# The first QEMU that migrates a VFIO device behind a virtual IOMMU.
MINIMUM_FOR_VIOMMU = "11.0.0"

ALL_KINDS = "all"
# What QEMU says where it would not migrate a guest (hw/vfio/migration.c), and what can be done.
_REMEDIES = (
    ("not supported in kernel", "let it have devices whose driver can migrate them"),
    (
        "dirty tracking",
        "give it its devices through IOMMUFD where the IOMMU tracks dirty pages, or set enable-migration=on of the device",
    ),
    ("P2P", "detach all of its VFIO devices but one, or let it have devices that support P2P"),
    ("vIOMMU", "take <iommu> out of the domain and restart it"),
    ("disabled for VFIO device", "take enable-migration=off of the device out of the domain"),
)
_NO_REMEDY = "detach what QEMU names"


class Place(t.TypedDict):
    """A parent under which nothing may be placed, or a guest that may not go to a host, as the option ``avoid`` of a plan has it."""

    host: str
    parent: NotRequired[str]
    guest: NotRequired[str]
    guest_host: NotRequired[str]
    problem: Sentence


class Checks(t.TypedDict):
    """Which guests may be planned for and which stay, where the former may go, and what else an operator must know.

    ``capacity`` is what beside devices the hosts have and the guests take: what was stated, and memory where it is scarce.
    """

    chosen: list[Guest]
    left: list[Guest]
    targets: list[str]
    capacity: Capacity
    avoid: list[Place]
    notes: list[Sentence]


@dataclass(frozen=True, slots=True)
class MigrationCase:
    """What is checked: ``guests`` as ``find_guests`` returns them, and ``hosts`` as libvirt there answered at first.

    ``asked`` is what libvirt answered when it was asked for these guests alone: on their own hosts with QEMU's word where
    ``asks_qemu``, and on possible targets with what these lack for them. ``targets`` are the hosts that may receive, by default
    all that are not in ``drain``. ``options`` are those of ``virsh migrate``. ``uris`` are those by which targets are reached.
    ``places`` are those of guests, by host and UUID, among the arriving ones that targets were asked about. ``stated`` has the
    ``capacity`` that an operator knows of, and what is to be ``spare``.
    """

    fleet: Fleet
    guests: t.Sequence[Guest]
    hosts: t.Mapping[str, LibvirtHost]
    asked: t.Mapping[str, LibvirtHost]
    targets: t.Sequence[str] | None = None
    drain: t.Collection[str] = ()
    options: t.Sequence[str] = ()
    asks_qemu: bool = True
    encryption: Encryption = field(default_factory=Encryption)
    uris: t.Mapping[str, str] = field(default_factory=dict)
    multifd: Multifd = field(default_factory=Multifd)
    places: t.Mapping[tuple[str, str], int] = field(default_factory=dict)
    stated: Conditions = field(default_factory=Conditions)

    @property
    def copying(self) -> DiskCopying:
        """Which disks libvirt copies."""
        return copying_by((*self.options,))

    def info(self, guest: Guest) -> GuestInfo | None:
        """Return all that is known of a guest, ``None`` where it does not run any more, or lacks the devices that it holds."""
        there = self.asked.get(guest["host"] or "", LibvirtHost()).running.get(guest["vm"])
        if there is None or there.uuid != guest["uuid"] or there.info is None:
            return None
        return there.info if bool(there.info["devices"]) == bool(guest["kinds"]) else None

    def said_of(self, source: str, uuid: str, target: str) -> ArrivalInfo | None:
        """Return what ``target`` says that it lacks for a guest of ``source``, ``None`` where it was not asked, or says nothing.

        Guests of two hosts may have one UUID, or say so: each has the answer in its own place.
        """
        place = self.places.get((source, uuid))
        arriving = self.asked.get(target, LibvirtHost()).arriving
        if place is None or place >= len(arriving) or arriving[place]["uuid"] != uuid:
            return None
        return arriving[place]


def shortcomings(host: str, libvirt: LibvirtHost) -> dict[str, list[str]]:
    """Return what keeps ``host`` from migrating devices, sentences by kind of device, or by ``ALL_KINDS``."""
    if libvirt.error is not None:
        error = f"libvirt on {host} does not answer: {libvirt.error}"
        return {ALL_KINDS: [error]}
    found = {
        kind: [
            sentence
            for program, needed in programs.items()
            if (sentence := _too_old(host, libvirt, program, needed, kind)) is not None
        ]
        for kind, programs in MINIMUM_VERSIONS.items()
    }
    return {kind: sentences for kind, sentences in found.items() if sentences}


def _too_old(
    host: str, libvirt: LibvirtHost, program: str, needed: str, kind: str
) -> Sentence | None:
    """Return why a program's version does not do for a kind of device, ``None`` where it does."""
    version = libvirt.versions.get(program)
    if version is None:
        # Of the host itself, and no guest of it.
        why = "; ".join(libvirt.problems.get("", []))
        return (
            f"libvirt on {host} does not say which version of {program} it has{f' ({why})' if why else ''}, and {kind}"
            f" devices need {needed} or newer; see its log there, and run this again"
        )
    if is_older(version, needed):
        return f"{host} has {program} {version}; update it to {needed} or newer, which migrates {kind} devices"
    return None


def check_migration(case: MigrationCase) -> Checks:
    """Return which guests may be planned for, and where they may go."""
    checked = check_guests(case)
    possible = possible_targets(case.hosts, case.targets, case.drain)
    going = [guest for guest in checked if not guest["reason"]]
    # Those without devices are no part of the plan: each goes wherever it fits.
    fitting = _fit(case, [guest for guest in going if guest["kinds"]], possible)
    planned = [guest for guest in fitting.guests if not guest["reason"]]
    chosen = [*planned, *(guest for guest in going if not guest["kinds"])]
    ends = [guest["host"] or "" for guest in chosen], fitting.targets if chosen else ()
    notes = [
        *_hosts_left_out(case.guests, case.hosts),
        *fitting.notes,
        *_not_known(case, chosen, fitting.targets),
        *_disks_not_known(case, chosen),
        *_jobs_not_known(case, chosen),
        *(
            f"{host} is not a target: it does not answer, or is not a host of the play"
            for host in case.targets or ()
            if host not in case.hosts
        ),
        *_guests_left_alone(case.fleet, case.guests, case.hosts, case.drain),
        *case.encryption.in_plain(case.hosts, *ends),
        *case.multifd.over_one(case.hosts, *ends),
    ]
    stay = {(guest["host"], guest["vm"]): guest for guest in fitting.guests}
    checked = [stay.get((guest["host"], guest["vm"]), guest) for guest in checked]
    return Checks(
        chosen=chosen,
        left=[guest for guest in checked if guest["reason"]],
        targets=fitting.targets,
        capacity=with_memory(case.stated, fitting.coming(case), host_infos(case, fitting.targets)),
        avoid=[
            *parents_to_avoid(case.fleet, {host: case.hosts[host] for host in fitting.targets}),
            *fitting.refusals(),
        ],
        notes=notes,
    )


def host_infos(case: MigrationCase, hosts: t.Iterable[str]) -> dict[str, HostInfo]:
    """Return what libvirt says that these hosts have for guests."""
    return {host: info for host in hosts if (info := case.hosts[host].info) is not None}


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


# --- where guests fit ---


def name_in_plan(case: MigrationCase, guest: Guest) -> str:
    """Return by what a plan knows a guest from all others: its UUID, or its name where the facts have no UUID of it."""
    there = case.fleet.hosts.get(guest["host"] or "")
    held = [each.in_use for each in (there.devices if there is not None else ())]
    unknown = any(each and each.name == guest["vm"] and each.uuid is None for each in held)
    return guest["vm"] if unknown else guest["uuid"] or guest["vm"]


@dataclass(slots=True)
class _Fitting:
    """The hosts that are targets, of the guests those that stay with the reason, and who may not go to which target.

    ``lacking`` has by target what it lacks for which guests, by their numbers. ``notes`` are what there is to be said of it.
    """

    targets: list[str]
    lacking: dict[str, dict[int, list[Misfit]]]
    guests: list[Guest] = field(default_factory=list)
    notes: list[Sentence] = field(default_factory=list)

    def coming(self, case: MigrationCase) -> list[ArrivingGuest]:
        """Return the guests that go, with the targets to which they may not go."""
        return [
            ArrivingGuest(info, name_in_plan(case, guest), barred)
            for number, guest in enumerate(self.guests)
            if not guest["reason"] and (info := case.info(guest)) is not None
            for barred in [
                {str(guest["host"]), *(h for h in self.targets if number in self.lacking[h])}
            ]
        ]

    def refusals(self) -> list[Place]:
        """Return who of those that go may not go to which target, as the option ``avoid`` of a plan has it."""
        return [
            Place(
                host=host,
                guest=guest["vm"],
                # Others may have this name, or say so.
                guest_host=str(guest["host"]),
                problem="; ".join(f"it {each.needs}, and {host} {each.lacks}" for each in missing),
            )
            for host in self.targets
            for number, missing in self.lacking[host].items()
            if not (guest := self.guests[number])["reason"]
        ]


def _fit(case: MigrationCase, guests: t.Sequence[Guest], possible: t.Sequence[str]) -> _Fitting:
    """Return which of the ``possible`` targets fit which of these guests; a guest that none of them fits stays."""
    lacking: dict[str, dict[int, list[Misfit]]] = {
        host: {
            number: missing
            for number, guest in enumerate(guests)
            if host != guest["host"] and (missing := missing_on(case, guest, host))
        }
        for host in possible
    }
    fitting = _Fitting([], lacking)
    for host, found in lacking.items():
        others = [number for number, guest in enumerate(guests) if guest["host"] != host]
        if not found or len(found) < len(others):
            fitting.targets.append(host)
        fitting.notes += _why_no_target(host, guests, found, len(found) == len(others))
    for number, guest in enumerate(guests):
        hosts = [host for host in possible if host != guest["host"]]
        nowhere = bool(hosts) and all(number in lacking[host] for host in hosts)
        reasons = [
            each for host in hosts for each in shown_misfits(host, lacking[host].get(number, ()))
        ]
        reason = (
            "; ".join(["no host can take it: " + reasons[0], *reasons[1:]]) if nowhere else None
        )
        fitting.guests.append(guest | {"reason": reason})
    return fitting


def shown_misfits(host: str, missing: t.Iterable[Misfit]) -> list[str]:
    """Return in words what ``host`` lacks for a guest."""
    return [f"{host} {each.lacks}, and it {each.needs}; {each.remedy}" for each in missing]


def missing_on(case: MigrationCase, guest: Guest, host: str) -> list[Misfit]:
    """Return what ``host`` lacks for a guest."""
    arrival = _arrival(case, guest, host)
    return misfits(arrival) if arrival is not None else []


def _arrival(case: MigrationCase, guest: Guest, host: str) -> Arrival | None:
    """Return a guest on its way to ``host``, ``None`` where nothing is known of it."""
    info = case.info(guest)
    if info is None:
        return None
    here = guest["host"] or ""
    source = replace(case.hosts[here], unreached=case.asked[here].unreached)
    there = case.hosts[host]
    return Arrival(
        info,
        source,
        replace(there, arriving=(), problems={}, unreached={}),
        case.copying,
        certificates=case.encryption.requires(there, SERVER),
        uri=case.uris.get(host),
        multifd=case.multifd.requires(there),
        said=case.said_of(here, info["uuid"], host),
        asked=(here, info["uuid"]) in case.places,
    )


def _why_no_target(
    host: str,
    guests: t.Sequence[Guest],
    lacking: t.Mapping[int, t.Sequence[Misfit]],
    for_all: bool,
) -> t.Iterator[Sentence]:
    """Yield, for each thing that a host lacks, the guests that need it and what to do."""
    guests_by_misfit: dict[Misfit, list[str]] = {}
    for number, missing in lacking.items():
        for each in missing:
            guests_by_misfit.setdefault(each, []).append(guests[number]["vm"])
    for each, names in guests_by_misfit.items():
        named = listed(names)
        why = f"{each.lacks}, and {named} {each.needs}; {each.remedy}"
        yield (
            f"{host} is not a target: it {why}"
            if for_all
            else f"{host} is not a target for {named}: it {why}"
        )


# --- what keeps a guest where it is ---


def check_guests(case: MigrationCase) -> list[Guest]:
    """Return the guests with what forbids to migrate each of them now, wherever to."""
    return [guest | {"reason": "; ".join(_obstacles(case, guest)) or None} for guest in case.guests]


def _obstacles(case: MigrationCase, guest: Guest) -> list[str]:
    host = guest["host"]
    if guest["reason"] or host is None:
        return [guest["reason"] or "no host of the play has it"]
    if not is_guest_name(guest["vm"]):
        return [
            "libvirt has no guest of such a name: it is too long, or has a slash or a line's end"
        ]
    if host not in case.hosts or host not in case.asked:
        return [f"{host} does not answer any more"]
    lacking = shortcomings(host, case.hosts[host])
    found = [each for kind in (ALL_KINDS, *guest["kinds"]) for each in lacking.get(kind, ())]
    asked = case.asked[host]
    found += [asked.error] if asked.error is not None else asked.problems.get(guest["vm"], [])
    if VDPA in guest["kinds"]:
        found.append(
            "it has a vDPA device, and libvirt is only known to migrate mediated and PCI devices;"
            " take that out of the guest, or move it with another tool"
        )
    info = case.info(guest)
    if info is not None:
        found += [each for rule in _RULES for each in rule(case, guest, info)]
    elif not found:
        found.append(_why_unknown(host, guest, asked))
    return found


def _why_unknown(host: str, guest: Guest, asked: LibvirtHost) -> str:
    there = asked.running.get(guest["vm"])
    if there is None or there.uuid != guest["uuid"]:
        return f"libvirt on {host} does not run it any more"
    if not guest["kinds"]:
        return "it has assigned devices now; run this again for it"
    return (
        "its domain has no assigned device, so it has it past libvirt; assign that with <hostdev>, which libvirt can migrate,"
        " and restart the guest"
    )


def _viommu(case: MigrationCase, guest: Guest, info: GuestInfo) -> t.Iterator[str]:
    version = case.hosts[guest["host"] or ""].versions.get(QEMU, "")
    has_viommu = bool(guest["kinds"]) and info["iommu"] is not None
    if has_viommu and is_older(version, MINIMUM_FOR_VIOMMU):
        yield (
            f"QEMU {version} cannot migrate a VFIO device behind a virtual IOMMU;"
            f" take <iommu> out of the domain and restart it, or update QEMU to {MINIMUM_FOR_VIOMMU}"
        )


def _ending(_case: MigrationCase, _guest: Guest, info: GuestInfo) -> t.Iterator[str]:
    if info["state"] == "crashed":
        yield "it has crashed; destroy or restart it"
    elif info["state"] == "shutdown":
        yield "it is being shut down; wait until it is off, or destroy it"


def _unmigratable(_case: MigrationCase, _guest: Guest, info: GuestInfo) -> t.Iterator[str]:
    for each in info["obstacles"]:
        known = _OBSTACLES.get(each["kind"])
        if known is not None:
            yield known.format(name=each["name"])


# What libvirt refuses to migrate a guest with (``qemuMigrationSrcIsAllowed``), and what can be done.
_OBSTACLES = {
    "snapshots": "libvirt does not migrate a guest that has snapshots, and it has {name}; delete them (virsh snapshot-delete)",
    "hostdev": "libvirt does not migrate a guest with a <hostdev> of type {name}; detach that",
    "shmem": "libvirt does not migrate its <shmem> {name}, only one of ivshmem-plain or ivshmem-doorbell with role master; detach that",
    "network_device": "libvirt chooses a function of its network {name} for it on each host, whichever a plan has; assign it one with"
    " <interface type='hostdev'>, and restart it",
    "transient_disk": "libvirt does not migrate a guest with a transient disk, which {name} is; detach that",
    "job": "libvirt does not migrate a guest during another job, and runs the job {name} for it; wait until that has ended (virsh domjobinfo)",
    "block_job": "libvirt does not migrate a guest while its disk {name} is copied or committed; wait, or abort that (virsh blockjob)",
}


def _blocked(case: MigrationCase, guest: Guest, info: GuestInfo) -> t.Iterator[str]:
    reasons = info["blocked_reasons"]
    problems = case.asked[guest["host"] or ""].problems.get(guest["vm"])
    if reasons is None and case.asks_qemu and not problems:
        yield "QEMU was asked whether it can migrate, and does not say; see its log, and restart the guest"
    for reason in reasons or ():
        remedy = next((remedy for part, remedy in _REMEDIES if part in reason), _NO_REMEDY)
        yield f"QEMU would not migrate it: {reason}; {remedy}"


def _disks(case: MigrationCase, guest: Guest, info: GuestInfo) -> t.Iterator[str]:
    """Yield which disks only the host of a guest has, unless they are copied, or libvirt is to take no care."""
    copying = case.copying
    if alone := copying.alone(info["disks"]):
        remedy = copying.remedy(info["disks"])
        copy = f", or add {remedy} to migrate_libvirt_options" if remedy else ""
        yield (
            f"only {guest['host']} has its disk {_shown_disks(alone)}; put that on storage which the hosts share{copy}"
        )
    if unknown := copying.unknown(info["disks"]):
        yield (
            f"libvirt does not migrate a guest that lacks a disk which --migrate-disks names, and it has no {listed(unknown)}; migrate it in a"
            " run of its own"
        )
    if uncopied := copying.uncopied(info["disks"]):
        yield (
            f"libvirt copies no disk that is read-only or empty, and --migrate-disks names {listed(uncopied)}; leave that out of"
            " migrate_libvirt_options"
        )


def _shown_disks(disks: t.Iterable[DiskInfo]) -> str:
    return listed([f"{disk['target']} ({disk['source']})" for disk in disks])


def _certificates(case: MigrationCase, guest: Guest, info: GuestInfo) -> t.Iterator[str]:
    host = guest["host"] or ""
    missing = case.encryption.requires(case.hosts[host], CLIENT)
    if missing is not None:
        yield (
            f"it is to be sent encrypted, and {host} has no {missing}; put them there, or set migrate_libvirt_tls={AUTO}"
        )


def _several_connections(case: MigrationCase, guest: Guest, info: GuestInfo) -> t.Iterator[str]:
    host = guest["host"] or ""
    missing = case.multifd.requires(case.hosts[host])
    if missing is not None:
        yield (
            f"it is to be sent over several connections, and {host} has no {missing}; update that, or set"
            f" migrate_libvirt_multifd={AUTO}"
        )


def _definitions(case: MigrationCase, guest: Guest, info: GuestInfo) -> t.Iterator[str]:
    """Yield what its domain has that cannot be replaced on another host, which would else show when its targets are made."""
    found, host = info["definitions"], guest["host"] or ""
    if found is None or VDPA in guest["kinds"]:
        return
    known = case.fleet.hosts
    devices = known[host].devices if host in known else ()
    held = [
        (each.kind, each.id) for each in devices if each.in_use and each.in_use.name == guest["vm"]
    ]
    definitions = DomainDefinitions(found["active"], found["persistent"])
    why = why_not_retargeted(definitions, (guest["vm"], guest["uuid"]), host, held)
    if why is not None:
        yield f"its domain cannot be moved as it is: {why}; fix it in the running and in the stored definition (virsh edit)"


_RULES: tuple[t.Callable[[MigrationCase, Guest, GuestInfo], t.Iterator[str]], ...] = (
    *(_ending, _unmigratable, _viommu, _blocked, _disks),
    *(_certificates, _several_connections, _definitions),
)


# --- what else is to be known ---


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
            of_which = "" if kind == ALL_KINDS else f" from migrations of {kind} devices"
            for sentence in sentences if kind in kinds | {ALL_KINDS} else ():
                yield f"{host} is excluded{of_which}: {sentence}"


def _not_known(
    case: MigrationCase, guests: t.Sequence[Guest], targets: t.Iterable[str]
) -> t.Iterator[Sentence]:
    """Yield of what the guests need what no answer says whether the targets have it. It keeps no guest from going there."""
    for host in targets:
        coming = [guest for guest in guests if guest["host"] != host]
        error = case.asked.get(host, LibvirtHost()).error
        if error is not None and coming:
            yield f"it is not known whether {host} has all that the guests need: {error}"
            continue
        guests_by_need: dict[str, list[str]] = {}
        for guest in coming:
            arrival = _arrival(case, guest, host)
            for each in unanswered(arrival) if arrival is not None else ():
                guests_by_need.setdefault(each, []).append(guest["vm"])
        sentences = [
            f"it is not known whether {host} {each}, which is for {listed(names)}: no answer says it; make sure of it there"
            for each, names in guests_by_need.items()
        ]
        yield from first_of(sentences, "thing that is not known", "things that are not known")


def _disks_not_known(case: MigrationCase, guests: t.Iterable[Guest]) -> t.Iterator[Sentence]:
    """Yield which files with disks may be on one host alone, or others on each: libvirt itself compares nothing of them."""
    copying = case.copying
    for guest in guests:
        info = case.info(guest)
        disks = info["disks"] if info is not None else []
        if unknown := copying.may_be_alone(disks):
            yield (
                f"it is not known whether the hosts share the disk {_shown_disks(unknown)} of {guest['vm']} on {guest['host']}: its file system"
                " does not show it; make sure that it is the same file on its target"
            )
        if shared := copying.onto_themselves(disks):
            yield (
                f"libvirt copies the disk {_shown_disks(shared)} of {guest['vm']} on {guest['host']}, which other hosts may have: where it is the"
                " same one on its target, it is overwritten while it is in use; name with --migrate-disks in migrate_libvirt_options those"
                " that only its host has"
            )


def _jobs_not_known(case: MigrationCase, guests: t.Iterable[Guest]) -> t.Iterator[Sentence]:
    """Yield on which guests libvirt may be at work: where it is silent on one, it is asked about no other."""
    guests_by_host: dict[str, list[str]] = {}
    for guest in guests:
        info = case.info(guest)
        if info is not None and not info["job_known"]:
            guests_by_host.setdefault(guest["host"] or "", []).append(guest["vm"])
    for host, names in guests_by_host.items():
        yield (
            f"it is not known whether libvirt on {host} is at work on {listed(names)}, in which case it refuses to migrate: it was not asked, as"
            " another guest there does not answer; make sure of it there (virsh domjobinfo)"
        )


def _guests_left_alone(
    fleet: Fleet,
    guests: t.Iterable[Guest],
    hosts: t.Mapping[str, LibvirtHost],
    drain: t.Iterable[str],
) -> t.Iterator[str]:
    found = {(guest["host"], guest["vm"]) for guest in guests}
    for host in drain:
        known = host in fleet.hosts and not held_by_unknown(fleet, host)
        device = "has no VFIO device" if known else "is not known to have a VFIO device"
        for name, running in hosts[host].running.items() if host in hosts else ():
            if (host, name) in found:
                continue
            if named := [f"{each['kind']} {each['id']}" for each in assigned_to(running)]:
                yield (
                    f"{name} on {host} has {listed(named)} by its domain, no process of this name holds that, and it was left alone; resolve that, and"
                    " run this again"
                )
            else:
                yield f"{name} on {host} {device} and was left alone"
