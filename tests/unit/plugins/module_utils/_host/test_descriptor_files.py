# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._host.device import (
    MediatedDevice,
    read_descriptor,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import Sysfs
from ansible_collections.vfio.migration.tests.unit.sysfs_trees import (
    COMPATIBLE,
    OWN,
    SELF_TEXT,
    UUIDS,
    Tree,
)

PATTERN = {**OWN, "aggregator": "{val1}/2", "type": "i915-GVTg_V5_{val1:int:1,2,4,8}"}


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    tree = Tree(tmp_path / "sys")
    tree.add_gpu()
    return tree


def read(tree: Tree):
    with MediatedDevice(Sysfs(str(tree.root)), UUIDS[0], {}) as device:
        return read_descriptor(device)


def only_problem(tree: Tree) -> tuple[str, str]:
    """Return the only problem: where below the device, and what."""
    descriptor, _attributes, (problem,) = read(tree)
    assert descriptor is None
    path = tree.root / "bus/mdev/devices" / UUIDS[0]
    return os.path.relpath(problem.path, path), problem.problem


def add_directory(tree: Tree, path: str, attributes: dict[str, str]) -> None:
    for name, value in attributes.items():
        tree.write(f"{path}/{name}", value + "\n")


def test_the_forms_of_the_proposal_read_the_same(tree):
    device = tree.add_mdev()
    tree.add_migration(device, SELF_TEXT)
    by_file, _attributes, problems = read(tree)
    assert by_file == {"origin": "file", "self": OWN, "compatible": [PATTERN]}
    assert problems == []

    (tree.root / device / "migration/self").unlink()
    (tree.root / device / "migration/compatible").unlink()
    add_directory(tree, f"{device}/migration/self", {**OWN, "device_api": "vfio_pci"})
    add_directory(tree, f"{device}/migration/compatible", PATTERN)
    by_directory, _attributes, problems = read(tree)
    assert by_directory == {**by_file, "origin": "directory"}
    assert problems == []


def test_sets_come_in_order(tree):
    migration = tree.add_mdev() + "/migration"
    add_directory(tree, f"{migration}/self", OWN)
    for order, place in enumerate(
        ["compatible", "compatible/a", "compatible/b", "compatible2", "compatible0010"]
    ):
        add_directory(tree, f"{migration}/{place}", {"device_api": "vfio-pci", "type": str(order)})
    descriptor, _attributes, _problems = read(tree)
    assert [each["type"] for each in descriptor["compatible"]] == ["0", "1", "2", "3", "4"]


def test_sets_of_one_file_are_separate(tree):
    device = tree.add_mdev()
    tree.add_migration(
        device, SELF_TEXT, f"COMPATIBLE:\n{COMPATIBLE}COMPATIBLE:\n{COMPATIBLE}\n\ntype=x\n"
    )
    descriptor, _attributes, _problems = read(tree)
    assert descriptor["compatible"] == [PATTERN, PATTERN, {"type": "x"}]


@pytest.mark.parametrize("form", ["file", "directory"])
def test_a_device_may_be_compatible_with_nothing(tree, form):
    migration = tree.add_mdev() + "/migration"
    if form == "file":
        tree.write(f"{migration}/self", SELF_TEXT)
    else:
        add_directory(tree, f"{migration}/self", OWN)
        (tree.root / migration / "compatible").mkdir()
    assert read(tree)[0] == {"origin": form, "self": OWN, "compatible": []}


@pytest.mark.parametrize(
    ("own", "problem"),
    [
        ("", "0 sets of attributes; expected exactly one"),
        (SELF_TEXT + "\n" + SELF_TEXT, "2 sets of attributes; expected exactly one"),
        (SELF_TEXT + "aggregator", "line 6 has no '=': 'aggregator'; expected name=value"),
        (SELF_TEXT + "aggregator=3", "'aggregator' is stated twice in one set"),
        (SELF_TEXT.replace("type=", "kind="), "'type' is missing; it is a must of 'self'"),
        (
            SELF_TEXT + "x=" + "y" * 1025,
            "the value of 'x' has 1025 characters; at most 1024 are read",
        ),
        (SELF_TEXT.encode() + b"x=\xff", "byte 95 is not ASCII (0xff)"),
        ("x" * 6_000_000, "more than 5246976 bytes; at most that are read"),
    ],
)
def test_a_malformed_self_is_a_problem_of_its_file(tree, own, problem):
    device = tree.add_mdev()
    tree.add_migration(device, own)
    assert only_problem(tree) == ("migration/self", problem)


def test_a_malformed_set_is_a_problem_of_its_file(tree):
    device = tree.add_mdev()
    tree.add_migration(device, SELF_TEXT, "type=x\ntype=y")
    assert only_problem(tree) == ("migration/compatible", "'type' is stated twice in one set")


def test_a_malformed_attribute_is_a_problem_of_its_place(tree):
    device = tree.add_mdev()
    add_directory(tree, f"{device}/migration/self", OWN)
    tree.write(f"{device}/migration/compatible/x/type", b"\xff")
    assert only_problem(tree) == ("migration/compatible/x/type", "byte 1 is not ASCII (0xff)")


def test_too_many_sets_are_a_problem(tree):
    device = tree.add_mdev()
    add_directory(tree, f"{device}/migration/self", OWN)
    for number in range(65):
        tree.write(f"{device}/migration/compatible{number}/type", "x")
    assert only_problem(tree) == ("migration", "65 sets; at most 64 are read")


def test_too_many_attributes_are_a_problem(tree):
    device = tree.add_mdev()
    add_directory(tree, f"{device}/migration/self", {f"a{n}": "1" for n in range(65)})
    assert only_problem(tree) == ("migration/self", "more than 64 attributes in one set")


@pytest.mark.parametrize(
    ("arrange", "where", "problem"),
    [
        (lambda d: d.write("migration", ""), "migration", "a file; expected a directory"),
        (lambda d: d.mkdir("migration"), "migration", "'self' is missing"),
        (
            lambda d: d.link("migration", "../elsewhere"),
            "migration",
            "a symbolic link; expected a directory",
        ),
        (
            lambda d: d.link("migration/self", "../../elsewhere"),
            "migration/self",
            "a symbolic link; expected a file",
        ),
        (
            lambda d: (d.good(), d.link("migration/self/x", "type")),
            "migration/self/x",
            "a symbolic link; expected a file",
        ),
        (
            lambda d: (d.good(), d.mkdir("migration/self/x")),
            "migration/self/x",
            "a directory; expected a file",
        ),
        (
            lambda d: (d.good(), d.write("migration/compatible", COMPATIBLE)),
            "migration/compatible",
            "a file; expected a directory",
        ),
        (
            lambda d: (d.write("migration/self", SELF_TEXT), d.mkdir("migration/compatible")),
            "migration/compatible",
            "a directory; expected a file",
        ),
        (
            lambda d: (d.good(), d.mkdir("migration/compatible/a/b")),
            "migration/compatible/a/b",
            "a directory; expected a file",
        ),
    ],
)
def test_what_is_no_descriptor_is_a_problem(tree, arrange, where, problem):
    class Arranged:
        device = tree.root / tree.add_mdev()

        def write(self, path, text):
            (self.device / path).parent.mkdir(exist_ok=True)
            (self.device / path).write_text(text)

        def mkdir(self, path):
            (self.device / path).mkdir(parents=True)

        def link(self, path, target):
            (self.device / path).parent.mkdir(exist_ok=True)
            (self.device / path).symlink_to(target)

        def good(self):
            add_directory(tree, str(self.device / "migration/self"), OWN)

    arrange(Arranged())
    assert only_problem(tree) == (where, problem)
