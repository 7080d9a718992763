# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import (
    DIRECTORY,
    FILE,
    LINK,
    OTHER,
    Sysfs,
    words,
)
from ansible_collections.vfio.migration.tests.unit.sysfs_trees import Tree


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    tree = Tree(tmp_path / "sys")
    tree.write("device/group/value", "1\n")
    tree.write("device/plain", "x" * 10)
    tree.write("outside/secret", "secret")
    tree.link("device/link", "outside/secret")
    tree.link("device/linked", "outside")
    return tree


def test_a_directory_is_listed_with_what_its_entries_are(tree):
    os.mkfifo(tree.root / "device/fifo")
    with Sysfs(str(tree.root)).open("device") as device:
        assert list(device.entries().items()) == [
            ("fifo", OTHER),
            ("group", DIRECTORY),
            ("link", LINK),
            ("linked", LINK),
            ("plain", FILE),
        ]


def test_a_directory_can_be_listed_again_after_it_changed(tree):
    with Sysfs(str(tree.root)).open("device") as device:
        before = device.entries()
        tree.write("device/new", "")
        assert set(device.entries()) - set(before) == {"new"}


def test_reads_end_at_their_limit(tree):
    sysfs = Sysfs(str(tree.root))
    assert sysfs.read("device", "plain", limit=4) == b"xxxx"
    with sysfs.open("device") as device:
        assert device.read("plain", 4) == b"xxxx"
        assert device.read("plain", 100) == b"x" * 10
        assert device.read("group/value", 100) == b"1\n"


@pytest.mark.parametrize("access", ["read", "write", "read in", "open"])
def test_a_fifo_is_not_opened(tree, access):
    os.mkfifo(tree.root / "device/fifo")
    sysfs = Sysfs(str(tree.root))
    with sysfs.open("device") as device, pytest.raises(OSError, match="special file") as raised:
        {
            "read": lambda: sysfs.read("device", "fifo", limit=10),
            "open": lambda: sysfs.open("device", "fifo"),
            "read in": lambda: device.read("fifo", 10),
            "write": lambda: device.write("fifo", b"1"),
        }[access]()
    assert raised.value.filename == f"{tree.root}/device/fifo"


@pytest.fixture
def copy(tree):
    """Return a copied tree that is beside what it must not lead to."""
    outside = tree.root.parent / "outside"
    outside.mkdir()
    (outside / "value").write_text("outside")
    return Sysfs(str(tree.root))


@pytest.mark.parametrize(
    ("target", "value"),
    [
        ("/device/group/value", b"1\n"),
        ("../../device/./group//value", b"1\n"),
        ("/../../../device/group/value", b"1\n"),
        ("../../../../device/group/value", b"1\n"),
        ("again", b"1\n"),
        ("../../outside/value", None),
        ("../../../outside/value", None),
        ("{root}/../outside/value", None),
        ("{root}/device/group/value", None),
        ("link", None),
        ("/a/b/link", None),
        ("missing", None),
    ],
)
def test_a_link_of_a_copy_leads_where_it_would_if_that_was_sys(tree, copy, target, value):
    link = tree.root / "a/b/link"
    link.parent.mkdir(parents=True)
    link.symlink_to(target.format(root=tree.root))
    (tree.root / "a/b/again").symlink_to("/device/linked-group/value")
    (tree.root / "device/linked-group").symlink_to("group")
    before = os.listdir("/proc/self/fd")
    for names in (("a/b/link",), ("a", "b", "link")):
        if value is None:
            with pytest.raises(OSError) as raised:
                copy.read(*names, limit=10)
            assert raised.value.filename == str(link)
            assert not copy.exists(*names)
        else:
            assert copy.read(*names, limit=10) == value
            assert copy.real(*names) == "device/group/value"
            assert copy.exists(*names)
    assert stat.S_ISLNK(copy.mode("a", "b", "link"))
    assert copy.link("a", "b", "link") == os.readlink(link)
    assert os.listdir("/proc/self/fd") == before


def test_the_root_of_a_copy_is_where_dots_end(tree, copy):
    assert copy.names("..", "..") == copy.names()
    assert copy.real("../..") == "."
    assert copy.names("device", "..", "..", "outside") == ["secret"]


@pytest.mark.parametrize(
    "name",
    [
        "link",
        "linked/secret",
        "../outside/secret",
        "..",
        ".",
        "",
        "group/../plain",
        "/etc/passwd",
        "group//value",
    ],
)
@pytest.mark.parametrize("access", ["read", "write"])
def test_no_name_leads_out_of_a_directory(tree, name, access):
    before = tree.snapshot()
    with Sysfs(str(tree.root)).open("device") as device, pytest.raises(OSError):
        if access == "read":
            device.read(name, 10)
        else:
            device.write(name, b"overwritten")
    assert tree.snapshot() == before


def test_what_is_written_arrives(tree):
    with Sysfs(str(tree.root)).open("device") as device:
        device.write("group/value", b"2")
    assert (tree.root / "device/group/value").read_text().startswith("2")


def test_a_place_that_is_not_there_has_no_names(tree):
    sysfs = Sysfs(str(tree.root))
    assert sysfs.names("bus/mdev/devices") == []
    assert sysfs.link("device", "none") is None
    assert sysfs.link("device", "plain") is None


def test_only_sys_is_the_running_kernels(tree):
    assert Sysfs("/sys").live
    assert Sysfs("/sys/../sys/").live
    assert not Sysfs(str(tree.root)).live


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (errno.EACCES, "permission denied; run as root"),
        (errno.EPERM, "permission denied; run as root"),
        (errno.ELOOP, "a symbolic link, and links are not followed"),
        (errno.EINVAL, "invalid argument"),
    ],
)
def test_errors_are_told_in_words(number, text, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert words(OSError(number, os.strerror(number))) == text


def test_root_is_not_told_to_be_root(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert (
        words(PermissionError(errno.EPERM, "Operation not permitted")) == "operation not permitted"
    )
