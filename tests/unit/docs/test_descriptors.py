# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The descriptors that the guides to hardware show are those that the facts have of such devices."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ansible.module_utils.common.yaml import yaml_load
from ansible_collections.vfio.migration.plugins.module_utils._host.facts import gather_facts
from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import Sysfs
from ansible_collections.vfio.migration.tests.unit.sysfs_trees import Tree, nobody
from ansible_collections.vfio.migration.tests.unit.vdpa_hosts import VdpaKernel, vdpa_device
from ansible_collections.vfio.migration.tests.unit.vendor_trees import MIGRATABLE_MATRIX, TREES

PLACE = Path(__file__).parents[3] / "docs/docsite/rst"
BLOCK = re.compile(r"^[.][.] code-block:: yaml\n\n((?:    .*\n)+)", re.M)
HARDWARE = ("nvidia_guide", "sriov_guide", "intel_guide", "s390x_guide", "vdpa_guide")


def shown(guide: str) -> list[dict[str, str]]:
    """Return each ``self`` that a guide shows."""
    blocks = map(yaml_load, BLOCK.findall((PLACE / f"{guide}.rst").read_text()))
    return [block["self"] for block in blocks if "self" in block]


@pytest.fixture
def vdpa(tmp_path: Path) -> dict[str, str]:
    """Return the ``self`` of a device of the kernel's simulator."""
    tree = Tree(tmp_path / "sys")
    kernel = VdpaKernel(tree)
    kernel.put(vdpa_device())
    facts = gather_facts(Sysfs(str(tree.root)), nobody, ["vdpa"], kernel.ask)
    (descriptor,) = facts["descriptors"].values()
    return descriptor["self"]


@pytest.fixture
def matrix_parent(tmp_path: Path) -> dict[str, str]:
    """Return the ``self`` of the parent of AP matrices, where the driver can migrate."""
    tree = Tree(tmp_path / "ap")
    MIGRATABLE_MATRIX.build(tree)
    (parent,) = gather_facts(Sysfs(str(tree.root)), nobody)["parents"]
    return parent["self"]


@pytest.mark.parametrize("guide", HARDWARE)
def test_a_guide_shows_what_devices_state(guide, vdpa, matrix_parent):
    stated = [tree.own for tree in TREES] + [vdpa, matrix_parent]
    assert shown(guide)
    assert [own for own in shown(guide) if own not in stated] == []
