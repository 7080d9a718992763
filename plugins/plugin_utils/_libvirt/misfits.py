# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""What keeps a guest from going to a certain host: what it needs, and that host has not. Pure.

A rule takes a guest and a host and yields a ``Misfit`` for each thing that is missing. Where a host does not say whether it
has something, no rule claims that it lacks it.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.printable import printable
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.wording import listed
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.disks import DiskCopying
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.guests import (
    LIBVIRT,
    LibvirtHost,
    is_older,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.info import (
    ArrivalInfo,
    GuestInfo,
    HostInfo,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.memory import (
    free,
    need,
)

# The first libvirt that gives a guest its devices through IOMMUFD, and where a host has that.
MINIMUM_FOR_IOMMUFD = "12.1.0"
IOMMUFD = "/dev/iommu"
# A guest with one of these sees the CPU of its host, as it is.
_HOST_CPU = ("host-passthrough", "maximum")


class Misfit(t.NamedTuple):
    """A host ``lacks`` what a guest ``needs``, and how that can be mended.

    The first two are predicates: "has no network tenants", "is connected to it".
    """

    lacks: str
    needs: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Arrival:
    """A guest on its way: as its ``source`` has it, to the host ``target``, both by what libvirt there says.

    ``copying``: which disks are copied. ``certificates`` are those that the target would have to have. ``uri`` is that by which
    the source's libvirt is to reach the target's. ``multifd`` is what the target would have to have for several connections.
    ``said`` is what the target says that it lacks for the guest, if it was ``asked``, and answers.
    """

    guest: GuestInfo
    source: LibvirtHost
    target: LibvirtHost
    copying: DiskCopying = field(default_factory=DiskCopying)
    certificates: str | None = None
    uri: str | None = None
    multifd: str | None = None
    said: ArrivalInfo | None = None
    asked: bool = False

    @property
    def there(self) -> HostInfo | None:
        """What the target has for guests."""
        return self.target.info


def misfits(arrival: Arrival) -> list[Misfit]:
    """Return all that keeps a guest from a host."""
    return [each for rule in _RULES for each in rule(arrival)]


def unanswered(arrival: Arrival) -> list[str]:
    """Return of what a guest needs what no answer says whether its target has it, as predicates: "has /srv/a"."""
    return [each for question in _QUESTIONS for each in question(arrival)]


def _name(arrival: Arrival) -> t.Iterator[Misfit]:
    """Yield other guests with the guest's name or UUID there. The guest's own definition, which does not run, is no obstacle."""
    name, uuid = arrival.guest["name"], arrival.guest["uuid"]
    running = arrival.target.running.get(name)
    stopped = arrival.target.stopped or {}
    there = running.uuid if running is not None else stopped.get(name)
    if running is not None and there == uuid:
        yield Misfit(
            "runs a half of it already",
            "is not there as a whole",
            "wait until its migration has ended, or look there at virsh domjobinfo and virsh domstate --reason before you remove that half",
        )
    elif there is not None and there != uuid:
        how = "running" if running is not None else "defined"
        yield Misfit(
            f"has a guest of the name {printable(name)} {how}, with the UUID {there}",
            "has that name",
            "rename or undefine one of them",
        )
    other = arrival.target.names.get(uuid, name)
    if other != name:
        yield Misfit(
            f"has a guest {printable(other)} with the UUID {uuid}",
            "has that UUID",
            "give one of them another UUID",
        )


def _iommufd(arrival: Arrival) -> t.Iterator[Misfit]:
    version = arrival.target.versions.get(LIBVIRT)
    if not arrival.guest["iommufd"]:
        return
    if version is not None and is_older(version, MINIMUM_FOR_IOMMUFD):
        remedy = f"update it to {MINIMUM_FOR_IOMMUFD} or newer"
        yield Misfit(f"has libvirt {version}", "uses IOMMUFD", remedy)
    elif arrival.there and not arrival.there["iommufd"]:
        yield Misfit(f"has no {IOMMUFD}", "uses IOMMUFD", "load the kernel module iommufd there")


def _machine(arrival: Arrival) -> t.Iterator[Misfit]:
    arch, machine = arrival.guest["arch"] or "", arrival.guest["machine"]
    known = arrival.there["machines"].get(arch, []) if arrival.there else []
    if machine and known and machine not in known:
        yield Misfit(
            f"has no machine type {machine}",
            "is such a machine",
            "update QEMU there, or restart the guest with a machine type that both hosts have",
        )


def _cpu(arrival: Arrival) -> t.Iterator[Misfit]:
    cpu, said = arrival.guest["cpu"], arrival.said
    remedy = "restart the guest with a CPU model that both hosts have"
    if said is None:
        return
    if said["cpu_problem"]:
        yield Misfit(
            f"has a libvirt that says: {said['cpu_problem']}", f"has the CPU {cpu['model']}", remedy
        )
    elif said["cpu"] == "incompatible" and cpu["check"] != "none":
        lacks = f"has a hypervisor that cannot give all of a CPU {cpu['model']}"
        yield Misfit(lacks, "has that", remedy)


def _host_cpu(arrival: Arrival) -> t.Iterator[Misfit]:
    if arrival.guest["cpu"]["mode"] not in _HOST_CPU:
        return
    here, there = (_shown_cpu(each.info) for each in (arrival.source, arrival.target))
    if here and there and here != there:
        yield Misfit(
            f"has the CPU {there}",
            f"sees that of its host, {here}",
            "restart the guest with a CPU model that both hosts have",
        )


def _shown_cpu(host: HostInfo | None) -> str:
    """Return the vendor and model of a host's CPU, nothing where libvirt does not know both."""
    cpu = host["cpu"] if host else {"vendor": None, "model": None}
    return f"{cpu['vendor']} {cpu['model']}" if cpu["vendor"] and cpu["model"] else ""


def _connections(arrival: Arrival) -> t.Iterator[Misfit]:
    there = arrival.there
    if there is None:
        return
    for key, words, needs, remedy in _CONNECTIONS:
        known = t.cast("t.Collection[str] | None", there[key])
        wanted = t.cast("t.Sequence[str]", arrival.guest[key])
        missing = [name for name in wanted if known is not None and name not in known]
        if missing:
            yield Misfit(f"has no {words} {listed(missing)}", needs, remedy)


_CONNECTIONS: tuple[tuple[t.Literal["networks", "links", "pools"], str, str, str], ...] = (
    ("networks", "active network", "is connected to it", "start it there (virsh net-start)"),
    ("links", "network device", "is connected to it", "make it there"),
    ("pools", "active storage pool", "has a disk in it", "start it there (virsh pool-start)"),
)


def _files(arrival: Arrival) -> t.Iterator[Misfit]:
    said = arrival.said
    missing = _needed(arrival, said["missing"]) if said else []
    if missing:
        remedy = "make it available there, by the same path"
        yield Misfit(f"has no {listed(missing)}", "needs it", remedy)


def _needed(arrival: Arrival, paths: t.Iterable[str]) -> list[str]:
    """Return those of ``paths`` that the target must have before the guest comes."""
    guest = arrival.guest
    opened = guest["emulator"], guest["loader"], *guest["boot_files"]
    return [p for p in paths if p in opened or arrival.copying.needs(guest["disks"], p)]


def _memory(arrival: Arrival) -> t.Iterator[Misfit]:
    if arrival.there is None:
        return
    needed = need(arrival.guest, arrival.there)
    there = free(arrival.there, needed.sizes)
    if needed.kib > there:
        yield Misfit(
            f"has {there} KiB of {needed.source} free", f"needs {needed.kib}", "free some there"
        )


def _tls(arrival: Arrival) -> t.Iterator[Misfit]:
    if arrival.certificates is not None:
        yield Misfit(
            f"has no {arrival.certificates}",
            "is to be sent encrypted",
            "put them there, or set migrate_libvirt_tls=auto",
        )


def _multifd(arrival: Arrival) -> t.Iterator[Misfit]:
    if arrival.multifd is not None:
        yield Misfit(
            f"has no {arrival.multifd}",
            "is to be sent over several connections",
            "update that, or set migrate_libvirt_multifd=auto",
        )


def _reach(arrival: Arrival) -> t.Iterator[Misfit]:
    problem = arrival.source.unreached.get(arrival.uri or "")
    if problem is not None:
        yield Misfit(
            f"is not reached by libvirt of the guest's host at {arrival.uri} ({problem})",
            "is to be sent there",
            "let that host in, as with a key of ssh, or give migrate_libvirt_uri another value",
        )


_RULES = (
    _name,
    _iommufd,
    _machine,
    _cpu,
    _host_cpu,
    _connections,
    _files,
    _memory,
    _tls,
    _multifd,
    _reach,
)


# --- what is not known ---


def _unknown_files(arrival: Arrival) -> t.Iterator[str]:
    said = arrival.said
    if said is not None and (paths := _needed(arrival, said["unknown"])):
        yield f"has {listed(paths)}"
    elif said is None and arrival.asked:
        yield "has its files, and can give all of its CPU"


def _unknown_cpu(arrival: Arrival) -> t.Iterator[str]:
    if arrival.said is not None and arrival.said["cpu"] == "unknown":
        yield f"can give all of a CPU {arrival.guest['cpu']['model']}"
    sees_host = arrival.guest["cpu"]["mode"] in _HOST_CPU
    if sees_host and not all(_shown_cpu(each.info) for each in (arrival.source, arrival.target)):
        yield "has the CPU that it sees, which is that of its host"


def _unknown_machine(arrival: Arrival) -> t.Iterator[str]:
    arch, machine = arrival.guest["arch"] or "", arrival.guest["machine"]
    if machine and arrival.there and not arrival.there["machines"].get(arch):
        yield f"has the machine type {machine}"


def _unknown_connections(arrival: Arrival) -> t.Iterator[str]:
    for key, words, _needs, _remedy in _CONNECTIONS:
        wanted = t.cast("t.Sequence[str]", arrival.guest[key])
        if wanted and arrival.there is not None and arrival.there[key] is None:
            yield f"has the {words} {listed(wanted)}"


def _unknown_name(arrival: Arrival) -> t.Iterator[str]:
    if arrival.target.stopped is None:
        yield "has its name and UUID free among the guests that are defined there"


def _unknown_iommufd(arrival: Arrival) -> t.Iterator[str]:
    if arrival.guest["iommufd"] and LIBVIRT not in arrival.target.versions:
        yield f"has libvirt {MINIMUM_FOR_IOMMUFD} or newer, for IOMMUFD"


_QUESTIONS = (
    *(_unknown_files, _unknown_cpu, _unknown_machine, _unknown_connections),
    *(_unknown_name, _unknown_iommufd),
)
