# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import typing as t
from pathlib import Path

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._host import device_numbers, processes
from ansible_collections.vfio.migration.tests.unit.sysfs_trees import Tree

UNKNOWN = {"pid": None, "name": None}
# Devices that every host has stand for those of VFIO, which few have.
DEVICES = {
    "/dev/vfio/7": "/dev/zero",
    "/dev/vfio/devices/vfio3": "/dev/full",
    "/dev/vhost-vdpa-0": "/dev/random",
}
NUMBERS = {os.stat(device).st_rdev: node for node, device in DEVICES.items()}
UUID = "c7e0ae6a-2f1b-4c54-9f0b-6f2a3c7d1e55"
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
    proc: Tree,
    pid: int,
    arguments: list[str],
    *files: str,
    flags: int = os.O_RDWR,
    thread: str = "",
) -> None:
    proc.write(f"{pid}/cmdline", "\0".join([*arguments, ""]))
    proc.write(f"{pid}/comm", arguments[0][:15] + "\n")
    (proc.root / f"{pid}/{thread}fd").mkdir(parents=True)
    for number, file in enumerate(files):
        (proc.root / f"{pid}/{thread}fd/{number}").symlink_to(DEVICES.get(file, file))
        proc.write(f"{pid}/{thread}fdinfo/{number}", f"pos:\t0\nflags:\t{flags:07o}\nmnt_id:\t27\n")


def holder(proc: Tree, *nodes: str) -> object:
    return processes.scan(str(proc.root), NUMBERS).holder_of(nodes)


def test_a_device_is_held_through_its_group_or_its_own_node(proc):
    add_process(proc, 4711, GUEST, "/dev/null", "/dev/vfio/7", "/dev/vfio/devices/vfio3")
    for node in ("/dev/vfio/7", "/dev/vfio/devices/vfio3"):
        assert holder(proc, "/dev/vfio/9", node) == {"pid": 4711, "name": "vm-17"}
    assert holder(proc, "/dev/vfio/70", "/dev/vhost-vdpa-0") is None


def real_holder(tmp_path: Path, pid: int) -> dict[str, t.Any] | None:
    """Return the holder in a ``/proc`` of one real process: others have the devices open that stand for those of VFIO."""
    proc = Path(tempfile.mkdtemp(dir=tmp_path))
    for name in ("self", str(pid)):
        (proc / name).symlink_to(f"/proc/{name}")
    return processes.scan(str(proc), NUMBERS).holder_of(["/dev/vfio/7"])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes device nodes")
@pytest.mark.parametrize("removed", [False, True])
def test_a_device_is_held_through_a_node_of_the_holders_own(proc, tmp_path, removed):
    own = tmp_path / "7"
    try:
        os.mknod(own, 0o600 | 0o020000, os.stat("/dev/zero").st_rdev)
        descriptor = os.open(own, os.O_RDWR)
    except PermissionError:
        pytest.skip("no device nodes can be made here")
    try:
        if removed:
            own.unlink()
        found = real_holder(tmp_path, os.getpid())
    finally:
        os.close(descriptor)
    assert found and found["pid"] == os.getpid()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_process_in_a_chroot_holds_a_device_under_any_path(tmp_path):
    code = f"""
import os
os.mknod({str(tmp_path / "disk")!r}, 0o020600, os.stat("/dev/zero").st_rdev)
os.chroot({str(tmp_path)!r})
os.open("/disk", os.O_RDWR)
print(flush=True)
input()
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code, "-name", "guest=vm-17"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        if process.stdout.readline() != b"\n":
            pytest.skip("no device nodes can be made here")
        found = real_holder(tmp_path, process.pid)
    finally:
        process.communicate(b"\n")
    assert found == {"pid": process.pid, "name": "vm-17"}


@pytest.mark.parametrize("kind", ["file", "fifo", "directory", "device"])
def test_a_pretender_with_something_else_under_a_nodes_path_holds_nothing(proc, tmp_path, kind):
    node = tmp_path / "dev/vfio/7"
    node.parent.mkdir(parents=True)
    if kind == "fifo":
        os.mkfifo(node)
    elif kind == "directory":
        node.mkdir()
    elif kind == "file":
        node.touch()
    add_process(proc, 4711, GUEST, "/dev/null" if kind == "device" else str(node))
    assert holder(proc, "/dev/vfio/7") is None


def test_a_name_is_not_believed_of_a_process_that_holds_nothing(proc):
    add_process(proc, 300, ["qemu", "-name", "vm-1"], "/dev/null")
    add_process(proc, 4711, ["qemu", "-name", "vm-17"], "/dev/vfio/7")
    assert holder(proc, "/dev/vfio/7") == {"pid": 4711, "name": "vm-17"}


def test_a_process_whose_first_thread_has_ended_holds_what_the_others_have(proc):
    add_process(proc, 4711, GUEST, thread="")
    add_process(proc, 4711, GUEST, thread="task/4711/")
    add_process(proc, 4711, GUEST, "/dev/vfio/7", thread="task/4712/")
    assert holder(proc, "/dev/vfio/7") == {"pid": 4711, "name": "vm-17"}


def test_a_file_that_nobody_may_look_at_hides_no_other(proc, monkeypatch):
    add_process(proc, 4711, GUEST, "/dev/null", "/dev/vfio/7")

    def number_behind(path):
        if path.endswith("/0"):
            raise PermissionError
        return device_numbers.number_behind(path)

    monkeypatch.setattr(processes, "number_behind", number_behind)
    assert holder(proc, "/dev/vfio/7") == {"pid": 4711, "name": "vm-17"}
    assert holder(proc, "/dev/vfio/8") is None


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
        (["qemu", "-name", "n" * 255], "n" * 255),
        (["qemu", "-name", "n" * 256], "qemu"),
        (["dpdk-testpmd"], "dpdk-testpmd"),
    ],
)
def test_a_holder_has_its_guests_name_or_its_own(proc, arguments, name):
    add_process(proc, 4711, arguments, "/dev/vfio/7")
    assert holder(proc, "/dev/vfio/7") == {"pid": 4711, "name": name}


@pytest.mark.parametrize(
    ("arguments", "uuid"),
    [
        (["qemu", "-name", "vm-17", "-uuid", UUID], {"uuid": UUID}),
        (["qemu", "--uuid", UUID.upper(), "-name", "vm-17"], {"uuid": UUID}),
        (["qemu", "-name", "vm-17", "-uuid", "none"], {}),
        (["qemu", "-name", "vm-17", "-uuid"], {}),
    ],
)
def test_a_holder_has_its_guests_uuid_if_it_tells_one(proc, arguments, uuid):
    add_process(proc, 4711, arguments, "/dev/vfio/7")
    assert holder(proc, "/dev/vfio/7") == {"pid": 4711, "name": "vm-17", **uuid}


def test_a_process_that_ends_meanwhile_holds_nothing(proc):
    (proc.root / "4711").mkdir()
    assert holder(proc, "/dev/vfio/7") is None


def test_a_descriptor_that_only_names_a_node_holds_nothing(proc):
    add_process(proc, 300, ["(udev-worker)"], "/dev/vfio/7", flags=os.O_PATH | os.O_CLOEXEC)
    assert holder(proc, "/dev/vfio/7") is None
    add_process(proc, 4711, GUEST, "/dev/vfio/7")
    assert holder(proc, "/dev/vfio/7") == {"pid": 4711, "name": "vm-17"}


def test_the_kernel_tells_which_descriptors_only_name_a_node(tmp_path):
    for flags, held in ((os.O_PATH, False), (os.O_RDONLY, True)):
        descriptor = os.open("/dev/zero", flags)
        try:
            found = real_holder(tmp_path, os.getpid())
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
        if path.endswith("4711/fd"):
            raise PermissionError
        return listed(path)

    monkeypatch.setattr(os, "listdir", listdir)
    assert holder(proc, "/dev/vfio/7") == UNKNOWN


def test_unknown_is_not_free_where_the_numbers_cannot_be_read(proc, monkeypatch):
    add_process(proc, 4711, GUEST)

    def node_numbers(sysfs):
        raise OSError

    monkeypatch.setattr(processes, "node_numbers", node_numbers)
    assert processes.scan(str(proc.root)).holder_of(["/dev/vfio/7"]) == UNKNOWN


def test_unknown_is_not_free_in_a_copied_tree():
    assert processes.unknown().holder_of(["/dev/vfio/7"]) == UNKNOWN
