# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Copy what of a sysfs tells about VFIO devices into a tar archive: ``capture.py SYSFS ARCHIVE``.

Runs on managed hosts, so Python 3.8 and the standard library must do. The files of a sysfs claim a size of 4096
whatever they hold, and some are not to be read at all, so they are not left to tar.
"""

from __future__ import annotations

import gzip
import io
import os
import stat
import sys
import tarfile

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing as t

# What is read in the directory of a PCI device or of a mediated device's parent; reading others may have effects.
FILES = (
    "chpids",
    "device",
    "numa_node",
    "pimpampom",
    "subsystem_device",
    "subsystem_vendor",
    "type",
    "vendor",
)
LINKS = ("driver", "iommu_group", "physfn", "subsystem")
# What the kernel has in every device's directory and says nothing about VFIO.
KERNEL_OWN = ("driver_override", "link", "msi_irqs", "power", "uevent")
# More than the longest list of attribute sets that is read.
LIMIT = 8 * 1024 * 1024
# Stands for what could not be read: no attribute may hold it, so that it is taken for no value.
UNREADABLE = b"\xff"


class Capture:
    """Copies from the sysfs at ``root`` into ``archive``; paths are those below ``root``."""

    def __init__(self, root: str, archive: tarfile.TarFile) -> None:
        self._root = os.path.realpath(root)
        self._archive = archive
        self._added: set[str] = set()

    def everything(self) -> None:
        for device in self._devices("class/mdev_bus"):
            self._parent(device)
        for device in self._devices("bus/mdev/devices"):
            self._driver(device)
            self._directory(device)
        for device in self._devices("bus/pci/devices", self._is_vfio):
            self._pci(device)
        self._directory("kernel/debug/vfio")
        if self._root == "/sys":
            # A sysfs does not tell the kernel's release, and what a driver can do depends on it.
            self._add("kernel/osrelease", 0o444, os.uname().release.encode() + b"\n")
        else:
            self._files("kernel", ("osrelease",))

    def _devices(
        self, place: str, wanted: t.Callable[[str], bool] = lambda link: True
    ) -> t.Iterator[str]:
        """The directories that the links in ``place`` lead to; the links are added."""
        for name in self._names(place):
            link = f"{place}/{name}"
            if wanted(link):
                self._link(link)
                yield self._real(link)

    def _is_vfio(self, link: str) -> bool:
        driver = os.path.basename(self._real(f"{link}/driver"))
        return driver.endswith(("vfio-pci", "vfio_pci")) or any(
            os.path.exists(self._path(f"{link}/{name}")) for name in ("vfio-dev", "migration")
        )

    def _parent(self, device: str) -> None:
        self._files(device, FILES)
        self._driver(device)
        self._directory(f"{device}/mdev_supported_types")
        # The channel paths of a subchannel.
        css = os.path.dirname(device)
        for name in self._names(css):
            if name.startswith("chp"):
                self._files(f"{css}/{name}", ("type",))

    def _pci(self, device: str) -> None:
        self._files(device, FILES)
        self._driver(device)
        for name in self._names(device):
            path = f"{device}/{name}"
            if self._is_group(path):
                self._directory(path)
        # What a virtual function of Intel's QAT is for.
        self._files(f"{self._real(f'{device}/physfn')}/qat", ("cfg_services",))

    def _driver(self, device: str) -> None:
        """The links of a device, and the version of its driver's module."""
        for name in LINKS:
            self._link(f"{device}/{name}")
        driver = self._real(f"{device}/driver")
        self._link(f"{driver}/module")
        self._files(self._real(f"{driver}/module"), ("version",))

    def _is_group(self, path: str) -> bool:
        """Whether a directory belongs to the device that it is in; one with a uevent is a device of its own."""
        return (
            stat.S_ISDIR(self._mode(path))
            and os.path.basename(path) not in KERNEL_OWN
            and "uevent" not in self._names(path)
        )

    def _directory(self, directory: str) -> None:
        """A directory and all below it but other devices; of VFIO's own devices the names."""
        if not stat.S_ISDIR(self._mode(directory)):
            return
        self._add(directory, 0o755, kind=tarfile.DIRTYPE)
        for name in self._names(directory):
            path = f"{directory}/{name}"
            if self._is_group(path):
                self._directory(path)
            elif os.path.basename(directory) == "vfio-dev":
                self._add(path, 0o755, kind=tarfile.DIRTYPE)
            elif name not in KERNEL_OWN:
                self._link(path)
                self._files(directory, (name,))

    def _files(self, directory: str, names: t.Iterable[str]) -> None:
        for name in names:
            path = f"{directory}/{name}"
            mode = self._mode(path)
            if stat.S_ISREG(mode):
                self._add(path, stat.S_IMODE(mode), self._read(path) if mode & 0o444 else b"")

    def _link(self, path: str) -> None:
        if stat.S_ISLNK(self._mode(path)):
            target = os.readlink(self._path(path))
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

    def _path(self, path: str) -> str:
        return f"{self._root}/{path}"

    def _real(self, path: str) -> str:
        return os.path.relpath(os.path.realpath(self._path(path)), self._root)

    def _names(self, path: str) -> list[str]:
        try:
            return sorted(os.listdir(self._path(path)))
        except OSError:
            return []

    def _mode(self, path: str) -> int:
        """Type and permission bits of what is at ``path``; 0 where nothing is, or nothing may be seen."""
        try:
            return os.lstat(self._path(path)).st_mode
        except OSError:
            return 0

    def _read(self, path: str) -> bytes:
        content = b""
        try:
            with open(self._path(path), "rb", buffering=0) as file:
                # A driver may give a file piece by piece.
                while len(content) < LIMIT:
                    piece = file.read(LIMIT - len(content))
                    if not piece:
                        break
                    content += piece
        except OSError:
            return UNREADABLE
        return content


def main() -> None:
    sysfs, destination = sys.argv[1:]
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        Capture(sysfs, archive).everything()
    with open(destination, "wb") as file:
        # Without the time, the same tree gives the same bytes.
        file.write(gzip.compress(content.getvalue(), mtime=0))


if __name__ == "__main__":
    main()
