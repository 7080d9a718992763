# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._host import processes
from ansible_collections.vfio.migration.tests.unit.sysfs_trees import Tree

UNKNOWN = {"pid": None, "name": None}
GUEST = ["qemu-system-x86_64", "-name", "guest=vm-17,debug-threads=on", "-m", "64"]


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    """Build a ``/proc`` as root sees it."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    proc = Tree(tmp_path / "proc")
    (proc.root / "self/ns").mkdir(parents=True)
    (proc.root / "self/ns/pid").symlink_to("pid:[4026531836]")
    return proc


def add_process(
    proc: Tree, pid: int, arguments: list[str], *files: str, flags: int = os.O_RDWR
) -> None:
    proc.write(f"{pid}/cmdline", "\0".join([*arguments, ""]))
    proc.write(f"{pid}/comm", arguments[0][:15] + "\n")
    (proc.root / f"{pid}/fd").mkdir()
    for number, file in enumerate(files):
        (proc.root / f"{pid}/fd/{number}").symlink_to(file)
        proc.write(f"{pid}/fdinfo/{number}", f"pos:\t0\nflags:\t{flags:07o}\nmnt_id:\t27\n")


def holder(proc: Tree, *nodes: str) -> object:
    return processes.scan(str(proc.root)).holder_of(nodes)


def test_a_device_is_held_through_its_group_or_its_own_node(proc):
    add_process(proc, 4711, GUEST, "/dev/null", "/dev/vfio/7", "/dev/vfio/devices/vfio3")
    for node in ("/dev/vfio/7", "/dev/vfio/devices/vfio3"):
        assert holder(proc, "/dev/vfio/9", node) == {"pid": 4711, "name": "vm-17"}
    assert holder(proc, "/dev/vfio/70", "/dev/vfio/devices/vfio7") is None


def test_a_device_is_held_through_a_node_that_is_no_longer_there(proc):
    add_process(proc, 4711, GUEST, "/dev/vfio/7 (deleted)")
    assert holder(proc, "/dev/vfio/7") == {"pid": 4711, "name": "vm-17"}


def test_all_nodes_of_a_device_are_looked_at():
    assert processes.nodes(7, ["vfio3"]) == [
        "/dev/vfio/devices/vfio3",
        "/dev/vfio/7",
        "/dev/vfio/noiommu-7",
    ]
    assert processes.nodes(None, []) == []


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["qemu", "-name", "vm-17"], "vm-17"),
        (["qemu", "--name", "vm-17,process=x"], "vm-17"),
        (["qemu", "-name", "debug-threads=on,guest=vm-17"], "vm-17"),
        (["qemu", "-name", "guest=a,,b,debug-threads=on"], "a,b"),
        (["qemu", "-name", "guest=\u00e4"], "\u00e4"),
        (["qemu", "-name", "debug-threads=on"], "qemu"),
        (["qemu", "-name"], "qemu"),
        (["dpdk-testpmd"], "dpdk-testpmd"),
    ],
)
def test_a_holder_has_its_guests_name_or_its_own(proc, arguments, name):
    add_process(proc, 4711, arguments, "/dev/vfio/7")
    assert holder(proc, "/dev/vfio/7") == {"pid": 4711, "name": name}


def test_a_process_that_ends_meanwhile_holds_nothing(proc):
    (proc.root / "4711").mkdir()
    assert holder(proc, "/dev/vfio/7") is None


def test_a_descriptor_that_only_names_a_node_holds_nothing(proc):
    add_process(proc, 300, ["(udev-worker)"], "/dev/vfio/7", flags=os.O_PATH | os.O_CLOEXEC)
    assert holder(proc, "/dev/vfio/7") is None
    add_process(proc, 4711, GUEST, "/dev/vfio/7")
    assert holder(proc, "/dev/vfio/7") == {"pid": 4711, "name": "vm-17"}


def test_the_kernel_tells_which_descriptors_only_name_a_node(tmp_path, monkeypatch):
    node = tmp_path / "7"
    node.touch()
    monkeypatch.setattr(processes, "_NODES", f"{tmp_path}/")
    for flags, held in ((os.O_PATH, False), (os.O_RDONLY, True)):
        descriptor = os.open(node, flags)
        try:
            found = processes.scan().holder_of([str(node)])
        finally:
            os.close(descriptor)
        assert ((found or {}).get("pid") == os.getpid()) is held


def test_a_file_that_is_closed_meanwhile_holds_nothing(proc):
    add_process(proc, 4711, GUEST, "/dev/vfio/7")
    (proc.root / "4711/fdinfo/0").unlink()
    assert holder(proc, "/dev/vfio/7") is None


def test_unknown_is_not_free_for_a_user(proc, monkeypatch):
    add_process(proc, 4711, GUEST, "/dev/vfio/7")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert holder(proc, "/dev/vfio/7") == {"pid": 4711, "name": "vm-17"}
    assert holder(proc, "/dev/vfio/8") == UNKNOWN


def test_unknown_is_not_free_in_a_container(proc):
    (proc.root / "self/ns/pid").unlink()
    (proc.root / "self/ns/pid").symlink_to("pid:[4026532201]")
    assert holder(proc, "/dev/vfio/7") == UNKNOWN


def test_unknown_is_not_free_where_a_process_cannot_be_looked_at(proc, monkeypatch):
    add_process(proc, 4711, GUEST)
    listed = os.listdir

    def listdir(path):
        if path.endswith("4711/fd/"):
            raise PermissionError
        return listed(path)

    monkeypatch.setattr(os, "listdir", listdir)
    assert holder(proc, "/dev/vfio/7") == UNKNOWN


def test_unknown_is_not_free_in_a_copied_tree():
    assert processes.unknown().holder_of(["/dev/vfio/7"]) == UNKNOWN
