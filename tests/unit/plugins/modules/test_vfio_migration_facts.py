# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.vfio.migration.plugins.modules import vfio_migration_facts
from ansible_collections.vfio.migration.tests.unit.sysfs_trees import SELF, UUIDS, Tree


@pytest.fixture
def tree(tmp_path):
    tree = Tree(tmp_path / "sys")
    tree.add_gpu()
    tree.add_migration(tree.add_mdev(), SELF.format(type="i915-GVTg_V5_4", aggregator=1))
    return tree


@pytest.mark.parametrize("check", [False, True])
def test_it_returns_facts_and_nothing_else(run_module, tree, check):
    result = run_module(vfio_migration_facts.main, sysfs=str(tree.root), _ansible_check_mode=check)
    assert set(result) - {"invocation"} == {"changed", "ansible_facts"}
    assert result["changed"] is False
    facts = result["ansible_facts"]["vfio_migration"]
    assert set(facts) == {"schema", "gathered", "descriptors", "devices", "parents", "problems"}
    assert [each["id"] for each in facts["devices"]] == [UUIDS[0]]


def test_who_holds_a_device_of_a_copied_tree_is_unknown(run_module, tree):
    result = run_module(vfio_migration_facts.main, sysfs=str(tree.root))
    (device,) = result["ansible_facts"]["vfio_migration"]["devices"]
    assert device["in_use"] == {"pid": None, "name": None}


def test_kinds_narrow_it(run_module, tree):
    result = run_module(vfio_migration_facts.main, sysfs=str(tree.root), kinds=["pci"])
    assert result["ansible_facts"]["vfio_migration"]["devices"] == []


def test_an_unknown_kind_is_refused(run_module, tree):
    result = run_module(vfio_migration_facts.main, sysfs=str(tree.root), kinds=["usb"])
    assert result["failed"]
    assert "mdev, pci" in result["msg"]


def test_a_tree_that_is_not_there_is_refused(run_module, tmp_path):
    result = run_module(vfio_migration_facts.main, sysfs=str(tmp_path / "none"))
    assert result["failed"]
    assert result["msg"] == f"there is no sysfs at {tmp_path}/none"
