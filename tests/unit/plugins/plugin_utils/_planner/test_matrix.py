# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A new AP matrix is given its adapters and domains: at once, or one number after the other before Linux 6.10."""

from __future__ import annotations

import copy
import typing as t
from pathlib import Path

import pytest
from ansible_collections.vfio.migration.plugins.filter.migration_plan import migration_plan
from ansible_collections.vfio.migration.plugins.module_utils._host.facts import gather_facts
from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import Sysfs
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify import violations
from ansible_collections.vfio.migration.tests.unit.fleets import UUIDS
from ansible_collections.vfio.migration.tests.unit.sysfs_trees import Tree, nobody
from ansible_collections.vfio.migration.tests.unit.vendor_trees import AP_CONFIG, TREES

ASSIGNED = [
    ("assign_adapter", "0x05"),
    ("assign_adapter", "0x06"),
    ("assign_domain", "0x04"),
    ("assign_domain", "0xab"),
    ("assign_control_domain", "0x04"),
]


@pytest.fixture
def fleet(tmp_path: Path) -> t.Callable[[str], dict[str, t.Any]]:
    """Return what makes two hosts of a tree: one whose guest has the device, and one that can make such a device.

    The guest's emulator is taken to migrate it, which QEMU does not do today.
    """

    def make(name: str) -> dict[str, t.Any]:
        tree = Tree(tmp_path / "sys")
        next(vendor for vendor in TREES if vendor.name == name).build(tree)
        source = gather_facts(Sysfs(str(tree.root)), nobody)
        (device,) = source["devices"]
        device["migration"]["supported"] = None
        device["in_use"] = {"pid": 17, "name": "vm-17"}
        target = copy.deepcopy(source)
        target["devices"] = []
        return {"a": source, "b": target}

    return make


@pytest.mark.parametrize(
    ("tree", "attributes"),
    [("vfio_ap-6", ASSIGNED), ("vfio_ap", [("ap_config", AP_CONFIG)]), ("vfio_ap-empty", [])],
)
def test_a_new_matrix_is_given_what_its_source_has(fleet, tree, attributes):
    facts = fleet(tree)
    plan = migration_plan(facts, drain=["a"])
    (placement,) = plan["placements"]
    target = placement["target"]
    assert target["create"]
    assert [(each["name"], each["value"]) for each in target["attributes"]] == attributes
    (device,) = plan["hosts"]["b"]["devices"]
    assert device["attributes"] == target["attributes"]
    assert violations(plan, facts) == []


def test_a_plan_that_leaves_a_number_out_is_objected_to(fleet):
    facts = fleet("vfio_ap-6")
    plan = migration_plan(facts, drain=["a"])
    for number in range(len(ASSIGNED)):
        wrong = copy.deepcopy(plan)
        del wrong["placements"][0]["target"]["attributes"][number]
        assert any("other numbers are assigned" in each for each in violations(wrong, facts))


def test_a_matrix_that_gets_another_uuid_has_a_warning(fleet):
    facts = fleet("vfio_ap")
    (placement,) = migration_plan(facts, drain=["a"])["placements"]
    assert placement["target"]["id"] == placement["source"]["id"]
    assert not any("UUID" in each for each in placement["warnings"])
    (device,) = facts["a"]["devices"]
    facts["b"]["devices"] = [{**device, "id": UUIDS[9], "in_use": None}]
    (placement,) = migration_plan(facts, drain=["a"])["placements"]
    assert any(f"UUID of the source, {device['id']}" in each for each in placement["warnings"])
