# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Copy what sysfs shows of VFIO devices into a tar archive, so that the facts of the copy are those of the host.

The files of a sysfs claim a size of 4096 whatever they hold, and reading some has effects, so this is not left to tar.
"""

from __future__ import annotations

import fnmatch
import gzip
import io
import os
import stat
import tarfile
import typing as t

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.drivers import (
    driver_profile,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.device import is_vfio_driver_name
from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import (
    MDEV_DEVICES,
    MDEV_PARENTS,
    MDEV_TYPES,
    PCI_DEVICES,
    Sysfs,
)

# What is read in the directory of every parent and every PCI device. What else a driver's descriptor is derived from
# stands in the driver's entry.
_FILES = ("device", "numa_node", "subsystem_device", "subsystem_vendor", "vendor")
_LINKS = ("driver", "iommu_group", "physfn", "subsystem")
# What the kernel has in every device's directory and says nothing about VFIO.
_KERNEL_OWN = ("driver_override", "link", "msi_irqs", "power", "uevent")
# More than the longest list of attribute sets that is read, in bytes.
_LIMIT = 8 * 1024 * 1024
# How many directories are in each other where a descriptor is; a copied tree may have any number.
_MAX_DEPTH = 16
# Stands for what could not be read: no attribute may hold it, so no reader takes it for a value.
_UNREADABLE = b"\xff"


def captured(sysfs: Sysfs) -> bytes:
    """Return a gzipped tar archive of the copy, whose root is ``sys``. The same tree gives the same bytes."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        Capture(sysfs, archive).everything()
    # Without the time.
    return gzip.compress(content.getvalue(), mtime=0)


class Capture:
    """Copies from ``sysfs`` into ``archive``; paths are those below the root of ``sysfs``.

    What cannot be seen is left out; a file that cannot be read holds what no attribute may.
    """

    def __init__(self, sysfs: Sysfs, archive: tarfile.TarFile) -> None:
        self._sysfs = sysfs
        self._archive = archive
        self._added: set[str] = set()

    def everything(self) -> None:
        """Copy all parents and devices, and what the kernel knows of their migration."""
        for parent in self._devices(MDEV_PARENTS):
            self._files(parent, _FILES)
            self._driver(parent)
            self._directory(f"{parent}/{MDEV_TYPES}")
            self._files_of_parent(parent)
        for device in self._devices(MDEV_DEVICES):
            self._driver(device)
            self._directory(device)
            self._known_files("mdev", device, os.path.dirname(device))
        for device in self._devices(PCI_DEVICES, self._is_vfio):
            self._pci(device)
        self._directory("kernel/debug/vfio")
        # A sysfs does not have the kernel's release, and what a driver can do depends on it.
        release = self._sysfs.kernel_release()
        if release is not None:
            self._add("kernel/osrelease", 0o444, release.encode() + b"\n")

    def _devices(
        self, place: str, wanted: t.Callable[[str], bool] = lambda link: True
    ) -> t.Iterator[str]:
        """Add the links in ``place`` that are ``wanted``, and yield the directories they lead to."""
        for name in self._names(place):
            link = f"{place}/{name}"
            if wanted(link):
                self._link(link)
                yield self._real(link)

    def _is_vfio(self, link: str) -> bool:
        return is_vfio_driver_name(self._driver_name(link)) or any(
            self._sysfs.exists(link, name) for name in ("vfio-dev", "migration")
        )

    def _pci(self, device: str) -> None:
        self._files(device, (*_FILES, "config"))
        self._driver(device)
        self._group_members(f"{device}/iommu_group")
        for name in self._names(device):
            path = f"{device}/{name}"
            if self._is_group(path):
                self._directory(path)
        self._known_files("pci", device, device)

    def _group_members(self, link: str) -> None:
        """Add the other devices of an IOMMU group, as far as they decide whether a guest can have the group."""
        members = f"{self._real(link)}/devices"
        for name in self._names(members):
            self._link(f"{members}/{name}")
            member = self._real(f"{members}/{name}")
            self._link(f"{member}/driver")
            self._directory(f"{member}/vfio-dev")

    def _known_files(self, kind: str, device: str, driven: str) -> None:
        """Add the further files and links that a device's descriptor is derived from; ``driven`` has the driver that has it so."""
        profile = driver_profile(kind, self._driver_name(driven))
        self._known(device, profile.files, profile.links)

    def _files_of_parent(self, parent: str) -> None:
        """Add what a new device's descriptor would be derived from that is not the device's own."""
        profile = driver_profile("mdev", self._driver_name(parent))
        above = "../"
        files, links = (
            [each[len(above) :] for each in paths if each.startswith(above)]
            for paths in (profile.files, profile.links)
        )
        self._known(parent, files, links)

    def _known(self, directory: str, files: t.Iterable[str], links: t.Iterable[str]) -> None:
        for paths, add in ((files, self._file), (links, self._link)):
            for pattern in paths:
                for path in self._matching(directory, pattern):
                    above, name = os.path.split(path)
                    add(f"{self._real(above)}/{name}")

    def _file(self, path: str) -> None:
        directory, name = os.path.split(path)
        self._files(directory, (name,))

    def _matching(self, directory: str, pattern: str) -> list[str]:
        """Return the paths below ``directory`` that match ``pattern``, whose ``*`` stand for what is in one directory."""
        paths = [directory]
        for part in pattern.split("/"):
            if "*" not in part:
                paths = [f"{path}/{part}" for path in paths]
            else:
                paths = [
                    f"{path}/{name}"
                    for path in paths
                    for name in fnmatch.filter(self._names(path), part)
                ]
        return paths

    def _driver(self, device: str) -> None:
        """Add the links of a device, and the version of its driver's module."""
        for name in _LINKS:
            self._link(f"{device}/{name}")
        driver = self._real(f"{device}/driver")
        self._link(f"{driver}/module")
        self._files(self._real(f"{driver}/module"), ("version",))

    def _driver_name(self, device: str) -> str:
        return os.path.basename(self._link_target(f"{device}/driver") or "")

    def _is_group(self, path: str) -> bool:
        """Return whether a directory belongs to the device that it is in; one with a uevent is a device of its own."""
        return (
            stat.S_ISDIR(self._mode(path))
            and os.path.basename(path) not in _KERNEL_OWN
            and "uevent" not in self._names(path)
        )

    def _directory(self, directory: str, depth: int = 0) -> None:
        """Add a directory and all below it but other devices; of VFIO's own devices the names."""
        if depth > _MAX_DEPTH or not stat.S_ISDIR(self._mode(directory)):
            return
        self._add(directory, 0o755, kind=tarfile.DIRTYPE)
        for name in self._names(directory):
            path = f"{directory}/{name}"
            if self._is_group(path):
                self._directory(path, depth + 1)
            elif os.path.basename(directory) == "vfio-dev":
                self._add(path, 0o755, kind=tarfile.DIRTYPE)
            elif name not in _KERNEL_OWN:
                self._link(path)
                self._files(directory, (name,))

    def _files(self, directory: str, names: t.Iterable[str]) -> None:
        for name in names:
            path = f"{directory}/{name}"
            mode = self._mode(path)
            if stat.S_ISREG(mode):
                self._add(path, stat.S_IMODE(mode), self._read(path) if mode & 0o444 else b"")

    def _link(self, path: str) -> None:
        target = self._link_target(path)
        if target is not None:
            self._add(path, 0o777, kind=tarfile.SYMTYPE, target=target)

    def _add(
        self,
        path: str,
        mode: int,
        content: bytes = b"",
        kind: bytes = tarfile.REGTYPE,
        target: str = "",
    ) -> None:
        if path in self._added:
            return
        self._added.add(path)
        member = tarfile.TarInfo(f"sys/{path}")
        member.mode, member.type, member.linkname, member.size = mode, kind, target, len(content)
        self._archive.addfile(member, io.BytesIO(content))

    def _real(self, path: str) -> str:
        """Return where ``path`` leads to; itself where that is nowhere."""
        try:
            return self._sysfs.real(path)
        except OSError:
            return os.path.normpath(path)

    def _link_target(self, path: str) -> str | None:
        try:
            return self._sysfs.link(path)
        except OSError:
            return None

    def _names(self, path: str) -> list[str]:
        try:
            return self._sysfs.names(path)
        except OSError:
            return []

    def _mode(self, path: str) -> int:
        """Return type and permission bits of what is at ``path``; 0 where nothing is, or nothing may be seen."""
        try:
            return self._sysfs.mode(path)
        except OSError:
            return 0

    def _read(self, path: str) -> bytes:
        try:
            return self._sysfs.read(path, limit=_LIMIT)
        except OSError:
            return _UNREADABLE
