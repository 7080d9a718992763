# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The configuration spaces of functions in the facts."""

from __future__ import annotations

import json
import tarfile
import typing as t
from io import BytesIO
from pathlib import Path

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._host.capture import captured
from ansible_collections.vfio.migration.plugins.module_utils._host.facts import gather_facts
from ansible_collections.vfio.migration.plugins.module_utils._host.processes import (
    Holders,
    unknown,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import Sysfs
from ansible_collections.vfio.migration.tests.unit.pci_configurations import (
    config_space,
    extended,
    standard,
)
from ansible_collections.vfio.migration.tests.unit.sysfs_trees import Tree, nobody

SPACE = config_space(
    {0x60: standard(0x10, "0200 e18f2c10"), 0x9C: standard(0x11, "0b00 02000000 02200000")},
    {0x100: extended(0x01, "00000000 00004000 30204600 00000000 00e00000 a0000000", 2)},
)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path / "sys")


def add(tree: Tree, address: str, space: bytes) -> Path:
    """Add a function and return the file with its configuration space."""
    function = f"devices/pci0000:00/{address}"
    for name, value in (
        ("vendor", "0x15b3"),
        ("device", "0x101e"),
        ("subsystem_vendor", "0x15b3"),
        ("subsystem_device", "0x0008"),
    ):
        tree.write(f"{function}/{name}", value + "\n")
    tree.link(f"{function}/driver", "bus/pci/drivers/mlx5_vfio_pci")
    tree.link(f"{function}/iommu_group", "kernel/iommu_groups/7")
    tree.link(f"bus/pci/devices/{address}", function)
    path = tree.root / function / "config"
    path.write_bytes(space)
    return path


def gather(tree: Tree, holders: t.Callable[[], Holders] = nobody) -> dict[str, t.Any]:
    return gather_facts(Sysfs(str(tree.root)), holders)


def shown(facts: dict[str, t.Any]) -> dict[str, str]:
    (descriptor,) = facts["descriptors"].values()
    return descriptor["configuration"]


def test_a_function_has_what_a_guest_sees_of_it(tree):
    add(tree, "0000:01:00.1", SPACE)
    facts = gather(tree)
    assert facts["problems"] == []
    assert shown(facts)["pci.id"] == "15b3:101e"
    assert shown(facts)["pci.capabilities"] == "10@60 11@9c"
    assert shown(facts)["pci.0001"] == "00400000 00462030 0000e000 000000a0"


def test_of_a_function_that_is_held_or_may_be_what_a_guest_writes_is_left_out(tree):
    add(tree, "0000:01:00.1", SPACE)
    held = Holders({"/dev/vfio/7": {"pid": 1, "name": "guest"}}, complete=True)
    for holders in (lambda: held, unknown):
        assert "pci.0001" not in shown(gather(tree, holders))


def test_only_what_could_be_read_is_told(tree):
    add(tree, "0000:01:00.1", SPACE).write_bytes(SPACE[:64])
    assert "pci.capabilities" not in shown(gather(tree))


def test_a_function_that_does_not_answer_is_a_problem_and_keeps_its_descriptor(tree):
    add(tree, "0000:01:00.1", b"\xff" * 4096)
    facts = gather(tree)
    (problem,) = facts["problems"]
    assert problem["path"].endswith("0000:01:00.1/config")
    assert "does not answer" in problem["problem"]
    (descriptor,) = facts["descriptors"].values()
    assert "configuration" not in descriptor


def test_functions_of_one_card_share_what_is_told(tree):
    without = Tree(tree.root.parent / "without")
    for number in range(8):
        add(tree, f"0000:01:00.{number}", SPACE)
        add(without, f"0000:01:00.{number}", SPACE).unlink()
    facts = gather(tree)
    assert len(facts["descriptors"]) == 1
    more = len(json.dumps(facts)) - len(json.dumps(gather(without)))
    assert more < 350


def test_what_differs_makes_two_descriptors(tree):
    add(tree, "0000:01:00.1", SPACE)
    add(tree, "0000:01:00.2", config_space({0x60: standard(0x10, "0200 e18f2c10")}))
    assert len(gather(tree)["descriptors"]) == 2


def test_a_captured_tree_has_it(tree, tmp_path):
    add(tree, "0000:01:00.1", SPACE)
    with tarfile.open(fileobj=BytesIO(captured(Sysfs(str(tree.root))))) as archive:
        archive.extractall(tmp_path / "copy", filter="data")
    copied = gather_facts(Sysfs(str(tmp_path / "copy/sys")), nobody)
    assert shown(copied) == shown(gather(tree))
