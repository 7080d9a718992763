# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import io
import json
import os
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._host import processes
from ansible_collections.vfio.migration.plugins.module_utils._host.capture import Capture, captured
from ansible_collections.vfio.migration.plugins.module_utils._host.facts import gather_facts
from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import Sysfs
from ansible_collections.vfio.migration.tests.unit.sysfs_trees import SELF, UUIDS, Tree
from ansible_collections.vfio.migration.tests.unit.vendor_trees import TREES, UUID


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    (tmp_path / "host").mkdir()
    return Tree(tmp_path / "host/sys")


def capture(tree: Tree) -> Path:
    """Capture the tree, unpack it, and return where it is."""
    archive = tree.root.parent / "archive.tar.gz"
    archive.write_bytes(captured(Sysfs(str(tree.root))))
    place = tree.root.parent.parent / "unpacked"
    place.mkdir()
    subprocess.run(["tar", "--extract", "--file", archive, "--directory", place], check=True)
    with tarfile.open(archive) as opened:
        names = opened.getnames()
    assert len(names) == len(set(names))
    return place / "sys"


def facts(root: Path) -> str:
    """Return the facts, apart from the time at which they were gathered."""
    gathered = gather_facts(Sysfs(str(root)), processes.unknown)
    gathered["gathered"].pop("time")
    return json.dumps(gathered).replace(str(root), "/sys")


@pytest.mark.parametrize("vendor", TREES, ids=str)
def test_a_captured_tree_gives_the_same_facts(tree, vendor):
    vendor.build(tree)
    assert UUID in facts(tree.root) or vendor.kind == "pci"
    assert facts(capture(tree)) == facts(tree.root)


MEDIATED = [vendor for vendor in TREES if vendor.kind == "mdev"]


@pytest.mark.parametrize("vendor", MEDIATED, ids=str)
def test_a_captured_parent_tells_the_same_of_devices_that_are_not_there_yet(tree, vendor):
    vendor.build(tree)
    (tree.root / f"bus/mdev/devices/{UUID}").unlink()
    gathered = facts(tree.root)
    shows = vendor.driver == "vfio_ccw" or vendor.name == "vfio_ap-migratable"
    assert ('"self": ' in gathered) == bool(vendor.version or shows)
    assert facts(capture(tree)) == gathered


@pytest.mark.parametrize("driver", ["xhci_hcd", "vfio-pci", "pcieport", None])
def test_the_other_devices_of_an_iommu_group_are_captured(tree, driver):
    """What has them decides whether a guest can have the device."""
    vendor = next(each for each in TREES if each.driver == "mlx5_vfio_pci")
    vendor.build(tree)
    group = "kernel/iommu_groups/7"
    other = "devices/pci0000:3a/0000:3b:01.0"
    tree.link(f"{vendor.place}/iommu_group", group)
    for device in (vendor.place, other):
        tree.link(f"{group}/devices/{device.rpartition('/')[2]}", device)
    tree.write(f"{other}/vendor", "0x8086\n")
    if driver:
        tree.link(f"{other}/driver", f"bus/pci/drivers/{driver}")
    gathered = facts(tree.root)
    assert ("the host itself has others" in gathered) == (driver == "xhci_hcd")
    assert facts(capture(tree)) == gathered


def test_another_driver_of_an_iommu_group_that_is_vfios_is_captured_as_such(tree):
    vendor = next(each for each in TREES if each.driver == "mlx5_vfio_pci")
    vendor.build(tree)
    other = "devices/platform/x"
    tree.link(f"{vendor.place}/iommu_group", "kernel/iommu_groups/7")
    tree.link("kernel/iommu_groups/7/devices/x", other)
    tree.link(f"{other}/driver", "bus/platform/drivers/nvidia")
    (tree.root / other / "vfio-dev/vfio9").mkdir(parents=True)
    gathered = facts(tree.root)
    assert "the host itself has others" not in gathered
    assert facts(capture(tree)) == gathered


def test_a_tree_without_end_is_captured_all_the_same(tree):
    tree.add_gpu()
    device = tree.root / tree.add_mdev(UUIDS[0])
    here = os.open(device, os.O_RDONLY)
    for _level in range(3000):
        os.mkdir("x", dir_fd=here)
        here, above = os.open("x", os.O_RDONLY, dir_fd=here), here
        os.close(above)
    os.close(here)
    try:
        with tarfile.open(fileobj=io.BytesIO(captured(Sysfs(str(tree.root))))) as archive:
            assert any(name.endswith("/x/x/x") for name in archive.getnames())
    finally:
        subprocess.run(["rm", "-r", device / "x"], check=True)


def test_all_that_facts_tell_of_is_captured(tree):
    tree.add_gpu()
    device = tree.add_mdev(UUIDS[0])
    tree.add_migration(device, SELF.format(type="i915-GVTg_V5_4", aggregator=1))
    device = tree.add_mdev(UUIDS[1], group=8)
    tree.write(f"{device}/migration/self/type", "x\n")
    tree.write(f"{device}/migration/compatible/0001/type", "x\n")
    tree.write(f"kernel/debug/vfio/{UUIDS[0]}/migration/state", "RUNNING\n", 0o400)
    tree.write("bus/pci/drivers/i915/module/version", "1.2.3\n")
    gathered = facts(tree.root)
    assert "RUNNING" in gathered
    assert "missing" in gathered
    assert facts(capture(tree)) == gathered


def test_what_cannot_be_read_holds_what_no_attribute_may(tmp_path):
    # Opened and read, this is an input/output error for root too.
    with tarfile.open(tmp_path / "archive.tar", "w") as archive:
        Capture(Sysfs("/proc"), archive)._files("self", ["mem"])
        assert archive.getnames() == ["sys/self/mem"]
    with tarfile.open(tmp_path / "archive.tar") as archive:
        assert archive.extractfile("sys/self/mem").read() == b"\xff"


def test_modes_are_kept_and_other_files_left_out(tree):
    tree.add_gpu()
    device = tree.add_mdev()
    tree.write(f"{device}/assign_adapter", "", 0o200)
    tree.write("devices/pci0000:00/0000:00:02.0/resource0", "do not read")
    tree.write("devices/pci0000:00/0000:00:1f.0/vendor", "0x8086")
    root = capture(tree)
    assert stat.S_IMODE((root / device / "assign_adapter").stat().st_mode) == 0o200
    assert not (root / "devices/pci0000:00/0000:00:02.0/resource0").exists()
    assert not (root / "devices/pci0000:00/0000:00:1f.0").exists()


def test_the_same_tree_gives_the_same_bytes(tree):
    tree.add_gpu()
    tree.add_mdev()
    archive = captured(Sysfs(str(tree.root)))
    assert archive == captured(Sysfs(str(tree.root)))
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        assert all(name == "sys" or name.startswith("sys/") for name in opened.getnames())


def test_what_one_drivers_descriptor_is_derived_from_is_not_read_of_another(tree):
    for path in ("chpids", "pimpampom", "type"):
        tree.write(f"devices/pci0000:00/0000:00:02.0/{path}", "do not read")
    tree.add_gpu()
    tree.add_mdev()
    root = capture(tree)
    names = {path.name for path in (root / "devices/pci0000:00/0000:00:02.0").iterdir()}
    assert not names & {"chpids", "pimpampom", "type"}
    assert "vendor" in names
