# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Made-up sysfs trees in plain directories, and a kernel that keeps one as a real one would."""

from __future__ import annotations

import errno
import os
import shutil
import typing as t
from pathlib import Path

from ansible_collections.vfio.migration.plugins.module_utils._host.processes import Holders
from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import Directory, Sysfs

GPU = "0000:00:02.0"
UUIDS = [f"882cc4da-dede-11e7-9180-078a6206300{n}" for n in range(8)]

SELF = """\
software_version=0.1.0
device_api=vfio_pci
type={type}
pci_id=80865963
aggregator={aggregator}
"""
# A device's own attributes in normal form, and as its driver may write them.
OWN = {
    "aggregator": "2",
    "device_api": "vfio-pci",
    "pci_id": "80865963",
    "software_version": "0.1.0",
    "type": "i915-GVTg_V5_4",
}
SELF_TEXT = SELF.format(type=OWN["type"], aggregator=2)
COMPATIBLE = """\
software_version=0.1.0
device_api=vfio_pci
type=i915-GVTg_V5_{val1:int:1,2,4,8}
pci_id=80865963
aggregator={val1}/2
"""


class Tree:
    """A directory that looks like ``/sys``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(exist_ok=True)

    def write(self, path: str, text: str | bytes, mode: int = 0o644) -> Path:
        file = self.root / path
        content = text if isinstance(text, bytes) else text.encode()
        try:
            file.write_bytes(content)
        except FileNotFoundError:
            file.parent.mkdir(parents=True)
            file.write_bytes(content)
        file.chmod(mode)
        return file

    def link(self, path: str, target: str) -> None:
        """Make a link from ``path`` to ``target``, both seen from the root."""
        link = self.root / path
        to = os.path.relpath(target, os.path.dirname(path))
        try:
            link.symlink_to(to)
        except FileNotFoundError:
            link.parent.mkdir(parents=True)
            link.symlink_to(to)

    def add_gpu(self, address: str = GPU, units: int = 8) -> None:
        """Add an i915 with types ``i915-GVTg_V5_<N>``, N of which share all of its units."""
        device = f"devices/pci0000:00/{address}"
        for name, text in (("vendor", "0x8086"), ("device", "0x5963"), ("numa_node", "1")):
            self.write(f"{device}/{name}", text + "\n")
        (self.root / "bus/pci/drivers/i915").mkdir(parents=True, exist_ok=True)
        self.link(f"{device}/driver", "bus/pci/drivers/i915")
        for share in (1, 2, 4, 8):
            mdev_type = f"{device}/mdev_supported_types/i915-GVTg_V5_{share}"
            self.write(f"{mdev_type}/create", "", 0o200)
            self.write(f"{mdev_type}/device_api", "vfio-pci\n")
            self.write(f"{mdev_type}/name", f"GVTg_V5_{share}\n")
            self.write(f"{mdev_type}/available_instances", f"{units * share // 8}\n")
        self.link(f"class/mdev_bus/{address}", device)

    def add_mdev(
        self,
        uuid: str = UUIDS[0],
        share: int = 4,
        aggregator: str = "1",
        group: int = 7,
        parent: str = GPU,
    ) -> str:
        """Add a vGPU of an ``add_gpu`` parent, without ``migration``; return its directory, seen from the root."""
        gpu = f"devices/pci0000:00/{parent}"
        device = f"{gpu}/{uuid}"
        self.write(f"{device}/remove", "", 0o200)
        self.write(f"{device}/uevent", "")
        self.write(f"{device}/power/control", "auto\n")
        self.write(f"{device}/intel_vgpu/aggregator", f"{aggregator}\n")
        self.write(f"{device}/intel_vgpu/vgpu_id", "1\n", 0o444)
        (self.root / device / f"vfio-dev/vfio{group}").mkdir(parents=True)
        self.link(f"{device}/mdev_type", f"{gpu}/mdev_supported_types/i915-GVTg_V5_{share}")
        self.link(f"{device}/driver", "bus/mdev/drivers/intel_vgpu_mdev")
        self.link(f"{device}/iommu_group", f"kernel/iommu_groups/{group}")
        self.link(f"bus/mdev/devices/{uuid}", device)
        return device

    def add_migration(self, device: str, own: str, compatible: str = COMPATIBLE) -> None:
        """Add ``migration/`` in the form of proposal 2: a file with a line per attribute."""
        self.write(f"{device}/migration/self", own)
        self.write(f"{device}/migration/compatible", compatible)

    def snapshot(self) -> dict[str, str]:
        """Return every file and link with its content."""
        found = {}
        for directory, _folders, names in os.walk(self.root):
            for path in (Path(directory, name) for name in names):
                found[str(path)] = os.readlink(path) if path.is_symlink() else path.read_text()
        return found


KERNEL_OWN_FILES = frozenset(
    (
        "bind",
        "create",
        "driver_override",
        "remove",
        "sriov_drivers_autoprobe",
        "sriov_numvfs",
        "unbind",
    )
)


class Kernel(Sysfs):
    """Keeps a tree of ``add_gpu`` parents as the kernel does: devices come and go through its files.

    ``faults`` maps the number of a write, from 1, to the errno that it fails with; ``ignored`` are the numbers of
    those that succeed without effect. ``writes`` are all that were made, as ``(file, value)``.
    """

    def __init__(self, tree: Tree) -> None:
        super().__init__(str(tree.root))
        self.tree = tree
        self.faults: dict[int, int] = {}
        self.ignored: set[int] = set()
        self.writes: list[tuple[str, str]] = []
        # Called before and after each write.
        self.beforehand: t.Callable[[], object] = lambda: None
        self.afterwards: t.Callable[[], object] = lambda: None

    def open(self, *names: str) -> Directory:
        return _KernelDirectory.of(self, super().open(*names))

    def write(self, path: str, name: str, value: str) -> None:
        self.beforehand()
        self.writes.append((name, value))
        number = len(self.writes)
        if number in self.faults:
            raise OSError(self.faults[number], os.strerror(self.faults[number]), path)
        if number not in self.ignored:
            self._act(Path(path).resolve(), name, value)
        self.afterwards()

    def _act(self, directory: Path, name: str, value: str) -> None:
        if name == "create":
            share = int(directory.name.rpartition("_")[2])
            available = int((directory / "available_instances").read_text())
            if not available:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self.tree.add_mdev(value, share, parent=directory.parents[1].name)
            self._state_self(directory.parents[1] / value)
            (directory / "available_instances").write_text(f"{available - 1}\n")
        elif name == "remove":
            mdev_type = (directory / "mdev_type").resolve()
            available = int((mdev_type / "available_instances").read_text())
            (mdev_type / "available_instances").write_text(f"{available + 1}\n")
            (self.tree.root / "bus/mdev/devices" / directory.name).unlink()
            shutil.rmtree(directory)
        else:
            (directory / name).write_text(value + "\n")
            if name == "intel_vgpu/aggregator":
                self._state_self(directory)

    def _state_self(self, device: Path) -> None:
        mdev_type = (device / "mdev_type").resolve().name
        aggregator = (device / "intel_vgpu/aggregator").read_text().strip()
        where = str(device.relative_to(self.tree.root))
        self.tree.add_migration(where, SELF.format(type=mdev_type, aggregator=aggregator))


class _KernelDirectory(Directory):
    kernel: Kernel

    @classmethod
    def of(cls, kernel: Kernel, directory: Directory) -> _KernelDirectory:
        wrapped = cls(directory.path(), directory._descriptor)
        wrapped.kernel = kernel
        return wrapped

    def write(self, name: str, data: bytes) -> None:
        # Opened as the real one is, so that what it refuses is refused here.
        os.close(self._open(name, os.O_WRONLY))
        # A driver's attributes keep one byte less than they are given, as NVIDIA's do.
        kept = data if name in KERNEL_OWN_FILES else data[:-1]
        self.kernel.write(self.path(), name, kept.decode())


def wanted_mdev(
    uuid: str, type_id: str, attributes: t.Iterable[tuple[str, str]], **others: t.Any
) -> dict[str, t.Any]:
    """Return a mediated device as the option ``devices`` of vfio_mdev lists it."""
    return {
        "uuid": uuid,
        "parent": GPU,
        "type": type_id,
        "attributes": [{"name": name, "value": value} for name, value in attributes],
        "accept": None,
        **others,
    }


def accept(type_id: str) -> list[dict[str, str]]:
    """Return what a device may have to match."""
    return [{"device_api": "vfio-pci", "type": type_id, "aggregator": "{n:int:1,2}"}]


def nobody() -> Holders:
    """Return the holders where no device is held."""
    return Holders({}, complete=True)
