# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Verdicts, pairs and plans for vDPA devices, whose descriptors say all that these need to know."""

from __future__ import annotations

import pytest
from ansible_collections.vfio.migration.plugins.filter.compatible_pairs import compatible_pairs
from ansible_collections.vfio.migration.plugins.filter.explain import explain
from ansible_collections.vfio.migration.plugins.filter.migration_plan import migration_plan
from ansible_collections.vfio.migration.plugins.module_utils._holders import Holders
from ansible_collections.vfio.migration.plugins.module_utils._inventory import Inventory
from ansible_collections.vfio.migration.plugins.module_utils._sysfs import Sysfs
from ansible_collections.vfio.migration.tests.unit.sysfs_trees import Tree, nobody
from ansible_collections.vfio.migration.tests.unit.vdpa_hosts import (
    SIMULATED,
    VdpaKernel,
    vdpa_device,
)

STATUS = 1 << 16
ANY_LAYOUT = 1 << 27
SOURCE = {"host": "a", "id": "vdpa0"}


@pytest.fixture
def fleet(tmp_path):
    """A guest on a has accepted all features but one, which b does not offer; c does not offer another, d has nothing."""

    def facts(host, device=None, scan_holders=nobody):
        tree = Tree(tmp_path / host)
        kernel = VdpaKernel(tree)
        if device is not None:
            kernel.put(device)
        return Inventory(Sysfs(str(tree.root)), scan_holders, kernel.ask).facts(["vdpa"])

    held = Holders({"/dev/vhost-vdpa-0": {"pid": 4711, "name": "vm-17"}}, complete=True)
    return {
        "a": facts("a", vdpa_device(negotiated=SIMULATED & ~ANY_LAYOUT), lambda: held),
        "b": facts("b", vdpa_device(features=SIMULATED & ~ANY_LAYOUT)),
        "c": facts("c", vdpa_device(features=SIMULATED & ~STATUS)),
        "d": facts("d"),
    }


def test_a_guest_goes_where_its_features_are(fleet):
    plan = migration_plan(fleet, drain=["a"])
    (placement,) = plan["placements"]
    assert (plan["status"], placement["vm"]) == ("optimal", "vm-17")
    assert (placement["target"]["host"], placement["target"]["create"]) == ("b", False)
    pairs = compatible_pairs(fleet, sources=["a"])["pairs"]
    assert [pair["pairs"] for pair in pairs] == [1]


def test_it_is_told_what_stands_in_the_way_elsewhere(fleet):
    assert migration_plan(fleet, drain=["a"], targets=["c", "d"])["status"] == "infeasible"
    (sentence,) = explain(fleet, SOURCE, "c")["sentences"]
    assert sentence == "vdpa0 on c has no feature_STATUS; offered is needed"
