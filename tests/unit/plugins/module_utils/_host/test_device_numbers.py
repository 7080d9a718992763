# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import ctypes
import errno
import os
import stat
from pathlib import Path

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._host import device_numbers
from ansible_collections.vfio.migration.plugins.module_utils._host.device_numbers import (
    node_numbers,
    number_behind,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import Sysfs
from ansible_collections.vfio.migration.tests.unit.sysfs_trees import Tree


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """Build a ``/sys`` as Linux shows a group, a device of its own and a vDPA device."""
    tree = Tree(tmp_path / "sys")
    tree.write("class/vfio/7/dev", "243:0\n")
    tree.write("class/vfio/noiommu-0/dev", "243:1\n")
    tree.write("class/vfio-dev/vfio3/dev", "511:3\n")
    tree.write("bus/vdpa/devices/vdpa0/vhost-vdpa-1/dev", "510:1048575\n")
    return tree


def numbers(tree: Tree) -> dict[int, str]:
    return node_numbers(Sysfs(str(tree.root)), str(tree.root.parent / "dev"))


def test_sysfs_tells_the_numbers(tree):
    assert numbers(tree) == {
        os.makedev(243, 0): "/dev/vfio/7",
        os.makedev(243, 1): "/dev/vfio/noiommu-0",
        os.makedev(511, 3): "/dev/vfio/devices/vfio3",
        os.makedev(510, 1048575): "/dev/vhost-vdpa-1",
    }


def test_a_host_without_vfio_has_none(tmp_path):
    assert numbers(Tree(tmp_path / "sys")) == {}


@pytest.mark.parametrize("text", ["", "243", "243:0:1", "-1:2", "a:b", "9" * 30 + ":1"])
def test_what_is_no_number_is_none(tree, text):
    tree.write("class/vfio/7/dev", text)
    assert "/dev/vfio/7" not in numbers(tree).values()


def test_a_device_that_vanishes_meanwhile_costs_no_other(tree):
    (tree.root / "class/vfio/8").mkdir()
    assert len(numbers(tree)) == 4


def test_the_nodes_tell_what_sysfs_does_not(tree, monkeypatch):
    dev = tree.root.parent / "dev"
    (dev / "vfio/devices").mkdir(parents=True)
    for path in ("vfio/7", "vfio/9", "vfio/devices/vfio4", "vhost-vdpa-2", "zero", "vfio/file"):
        (dev / path).touch()
    made = {"7": (1, 5), "9": (243, 9), "vfio4": (511, 4), "vhost-vdpa-2": (510, 2), "zero": (1, 5)}

    def lstat(path):
        # Only root makes device nodes.
        pair = made.get(Path(path).name)
        mode = stat.S_IFCHR if pair else stat.S_IFREG
        return os.stat_result(
            (mode | 0o600, *[0] * 9), {"st_rdev": os.makedev(*pair) if pair else 0}
        )

    monkeypatch.setattr(os, "lstat", lstat)
    found = numbers(tree)
    assert found[os.makedev(243, 9)] == "/dev/vfio/9"
    assert found[os.makedev(511, 4)] == "/dev/vfio/devices/vfio4"
    assert found[os.makedev(510, 2)] == "/dev/vhost-vdpa-2"
    # A node is not believed where sysfs says otherwise.
    assert os.makedev(1, 5) not in found
    assert len(found) == 7


@pytest.mark.parametrize("call", [True, False])
def test_only_a_character_device_has_a_number(tmp_path, monkeypatch, call):
    if not call:
        monkeypatch.setattr(device_numbers, "_statx", lambda: None)
    os.mkfifo(tmp_path / "fifo")
    assert number_behind("/dev/zero") == os.makedev(1, 5)
    for path in (tmp_path, tmp_path / "fifo", __file__):
        assert number_behind(str(path)) is None
    with pytest.raises(FileNotFoundError):
        number_behind(str(tmp_path / "none"))


def test_where_the_call_is_refused_another_one_tells(monkeypatch):
    class Refusing:
        """A C library in a container whose filter does not know the call."""

        def __init__(self, *_arguments, **_named):
            pass

        @staticmethod
        def statx(*_arguments):
            ctypes.set_errno(errno.EPERM)
            return -1

    monkeypatch.setattr(ctypes, "CDLL", Refusing)
    device_numbers._statx.cache_clear()
    try:
        assert number_behind("/dev/zero") == os.makedev(1, 5)
    finally:
        device_numbers._statx.cache_clear()


def test_a_name_of_any_bytes_can_be_looked_at(tmp_path):
    name = os.fsdecode(b"\xff\n")
    (tmp_path / name).touch()
    assert number_behind(f"{tmp_path}/{name}") is None
