# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rows of the guide's table of drivers, each with a test of its name, from a tree of sysfs to verdict and facts."""

from __future__ import annotations

import typing as t
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._host.facts import gather_facts
from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import Sysfs
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.verdict import verdict
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.descriptor import (
    read_descriptor,
)
from ansible_collections.vfio.migration.tests.unit.sysfs_trees import Tree, nobody
from ansible_collections.vfio.migration.tests.unit.vendor_trees import TREES, VendorTree

GUIDE = Path(__file__).parents[5] / "docs" / "docsite" / "rst" / "verdict_guide.rst"

Gather = t.Callable[[VendorTree], t.Dict[str, t.Any]]


@pytest.fixture
def gather(tmp_path: Path) -> Gather:
    """Return what gathers the facts of a host that has one tree; each is a host of its own."""
    hosts = iter(range(1000))

    def gather_one(vendor: VendorTree) -> dict[str, t.Any]:
        tree = Tree(tmp_path / f"host-{next(hosts)}")
        vendor.build(tree)
        return gather_facts(Sysfs(str(tree.root)), nobody)

    return gather_one


@pytest.fixture
def judge(gather: Gather) -> t.Callable[[VendorTree, VendorTree], dict[str, t.Any]]:
    """Return what gives the verdict on the devices of two trees."""

    def descriptor(vendor: VendorTree) -> t.Any:
        (found,) = gather(vendor)["descriptors"].values()
        return read_descriptor(found, with_origin=True)

    return lambda source, target: verdict(descriptor(source), descriptor(target))


def tree_of(row: str) -> VendorTree:
    """Return the first tree of a row."""
    return next(vendor for vendor in TREES if vendor.row == row)


def with_files(vendor: VendorTree, **files: str) -> VendorTree:
    return replace(vendor, files={**vendor.files, **files})


def with_physical(vendor: VendorTree, **files: str) -> VendorTree:
    """Return a tree with other files of the physical function; ``__`` stands for ``/``."""
    changed = {name.replace("__", "/"): text for name, text in files.items()}
    return replace(vendor, physical={**vendor.physical, **changed})


def what_differs(judged: dict[str, t.Any]) -> list[tuple[str, str]]:
    assert judged["compatible"] is (not judged["reasons"])
    return [(reason["attribute"], reason["rule"]) for reason in judged["reasons"]]


def test_row_xe_vfio_pci(judge):
    small = tree_of("xe_vfio_pci")
    large = with_physical(small, sriov_admin__vf4__profile__vram_quota="8589934592")
    revised = with_files(small, revision="0x00")
    assert judge(small, small)["compatible"]
    assert judge(small, large)["compatible"]
    assert what_differs(judge(large, small)) == [("vram_quota", "order")]
    assert what_differs(judge(large, revised)) == [("revision", "equal"), ("vram_quota", "order")]
    assert any("GGTT" in warning for warning in judge(small, large)["warnings"])


def test_row_xe_vfio_pci_knows_its_own_function_among_others(gather):
    """The number in ``vf<N>`` is none of the address: the link tells which function it is."""
    (found,) = gather(tree_of("xe_vfio_pci"))["descriptors"].values()
    assert found["self"]["vram_quota"] == "4294967296"
    assert found["compatible"] == [{**found["self"], "vram_quota": "{rising:4294967296}"}]
