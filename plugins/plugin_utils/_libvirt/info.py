# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""The shapes of what the module ``libvirt_guest_info`` returns, as far as it is read here."""

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.libvirt_limits import (
    LONGEST,
    MOST,
)


class AssignedInfo(t.TypedDict):
    """A device that a guest has."""

    kind: str
    id: str


class FeatureInfo(t.TypedDict):
    """A feature of a CPU, and whether the guest has it."""

    name: str | None
    policy: str | None


class CpuInfo(t.TypedDict):
    """The CPU that a guest sees."""

    mode: str | None
    match: str | None
    check: str | None
    model: str | None
    vendor: str | None
    features: list[FeatureInfo]


class DiskInfo(t.TypedDict):
    """A disk of a guest; ``shared`` is whether its file is on a file system of several hosts."""

    target: str | None
    type: str | None
    source: str | None
    readonly: bool
    shareable: bool
    shared: bool | None
    backing: list[str]


class ObstacleInfo(t.TypedDict):
    """What libvirt refuses to migrate a guest with."""

    kind: str
    name: str | None


class DefinitionsInfo(t.TypedDict):
    """The XML of what runs, and of what it starts from, if there is that."""

    active: str
    persistent: str | None


class GuestInfo(t.TypedDict):
    """A guest that runs and has assigned devices; memory is in KiB."""

    name: str
    uuid: str
    state: str
    persistent: bool
    autostart: bool
    job_known: bool
    blocked_reasons: list[str] | None
    definitions: DefinitionsInfo | None
    arch: str | None
    machine: str | None
    virt_type: str | None
    emulator: str | None
    loader: str | None
    boot_files: list[str]
    cpu: CpuInfo
    memory: int
    huge_pages: list[int] | None
    devices: list[AssignedInfo]
    iommu: str | None
    iommufd: bool
    disks: list[DiskInfo]
    networks: list[str]
    links: list[str]
    pools: list[str]
    obstacles: list[ObstacleInfo]


class OtherInfo(t.TypedDict):
    """A guest that runs and has no assigned devices, or one that does not run."""

    name: str
    uuid: str


class PausedInfo(t.TypedDict):
    """A guest that is paused, and why, ``None`` where libvirt does not say."""

    name: str
    uuid: str
    reason: str | None


class ArrivalInfo(t.TypedDict):
    """What a host lacks for a guest of another one, and of which files it does not know whether it has them."""

    uuid: str
    cpu: str | None
    cpu_problem: str | None
    missing: list[str]
    unknown: list[str]


class HostCpuInfo(t.TypedDict):
    """The CPU of a host."""

    model: str | None
    vendor: str | None


class HugePagesInfo(t.TypedDict):
    """The huge pages of a size, both in KiB."""

    size: int
    free: int


class MemoryInfo(t.TypedDict):
    """The memory that a host has to give, in KiB."""

    free: int
    default_huge_page: int
    huge_pages: list[HugePagesInfo]


class TlsInfo(t.TypedDict):
    """Whether a host has the certificates with which QEMU sends guests encrypted, and receives them, and where they belong."""

    directory: str
    client: bool
    server: bool


class HostInfo(t.TypedDict):
    """What a host has for guests, ``None`` where libvirt there does not say."""

    arch: str | None
    cpu: HostCpuInfo
    machines: dict[str, list[str]]
    memory: MemoryInfo
    networks: list[str] | None
    pools: list[str] | None
    links: list[str] | None
    iommufd: bool
    tls: TlsInfo


class PeerInfo(t.TypedDict):
    """The libvirt of another host, and why it is not reached, ``None`` where it is."""

    uri: str
    problem: str | None


class VersionsInfo(t.TypedDict):
    """Versions, ``None`` where libvirt does not say."""

    libvirt: str | None
    qemu: str | None


class ProblemInfo(t.TypedDict):
    """What could not be read, and of which guest."""

    guest: str | None
    problem: str


class LibvirtInfo(t.TypedDict):
    """What the module returns."""

    guests: list[GuestInfo]
    others: list[OtherInfo]
    paused: list[PausedInfo] | None
    defined: list[OtherInfo] | None
    arriving: list[ArrivalInfo]
    peers: list[PeerInfo]
    versions: VersionsInfo
    host: HostInfo
    problems: list[ProblemInfo]


_TEXTS = ("name", "uuid", "arch", "machine", "virt_type", "emulator", "loader")


def as_arriving(guest: GuestInfo) -> dict[str, t.Any]:
    """Return of a guest what another host reads of it that is to say what it lacks: no more than the module there takes."""
    cpu = guest["cpu"]
    features = [_texts(each, ("name", "policy")) for each in cpu["features"][:MOST]]
    return {
        **_texts(guest, _TEXTS),
        "boot_files": [each[:LONGEST] for each in guest["boot_files"][:MOST]],
        "cpu": {**_texts(cpu, ("mode", "match", "check", "model", "vendor")), "features": features},
        "disks": [_texts(each, ("type", "source")) for each in _files(guest)[:MOST]],
    }


def _files(guest: GuestInfo) -> list[t.Mapping[str, t.Any]]:
    """Return the disks of a guest, and the files that they are overlays of."""
    backing = dict.fromkeys(path for disk in guest["disks"] for path in disk["backing"])
    return [*guest["disks"], *({"type": "file", "source": path} for path in backing)]


def _texts(entry: t.Mapping[str, t.Any], names: t.Iterable[str]) -> dict[str, str | None]:
    return {name: entry[name] and entry[name][:LONGEST] for name in names}
