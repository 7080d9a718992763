# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._descriptor import drivers
from ansible_collections.vfio.migration.plugins.module_utils._host.facts import gather_facts
from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import Sysfs
from ansible_collections.vfio.migration.tests.unit.sysfs_trees import Tree, nobody
from ansible_collections.vfio.migration.tests.unit.vendor_trees import (
    SUBCHANNEL,
    TREES,
    VF,
    VendorTree,
    matrix,
)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path / "sys")


def gather(tree: Tree, vendor: VendorTree):
    vendor.build(tree)
    return gather_facts(Sysfs(str(tree.root)), nobody)


@pytest.mark.parametrize("vendor", TREES, ids=str)
def test_the_facts_of_a_device(tree, vendor):
    facts = gather(tree, vendor)
    assert facts["problems"] == []
    (device,) = facts["devices"]
    descriptor = facts["descriptors"][device["descriptor"]]
    assert descriptor["origin"] == "derived"
    assert descriptor["self"] == vendor.own
    assert descriptor["compatible"] == [{**vendor.own, **vendor.listed}]
    assert device["migration"] == {
        "supported": vendor.supported,
        "evidence": vendor.evidence,
        "features": [],
        "state": None,
    }


def test_every_driver_known_has_a_tree():
    assert set(drivers._DRIVERS) <= {
        (vendor.kind, vendor.driver.replace("-", "_")) for vendor in TREES
    }


@pytest.mark.parametrize(
    ("driver", "words"),
    [
        ("nvidia", ["nvidia-smi -q -d ECC"]),
        ("mlx5_vfio_pci", ["devlink port show", "at most 4 ", "devlink dev info"]),
        ("vfio_ccw", ["migrates with QEMU"]),
        ("vfio_ap", ["migrates with QEMU"]),
        ("hisi_acc_vfio_pci", ["number of queue pairs"]),
        ("qat-vfio-pci", ["rate limits"]),
        ("i915", []),
        (None, []),
    ],
)
def test_what_sysfs_does_not_show_is_said_with_its_document(driver, words):
    own = {"driver": driver} if driver else {}
    sentences = drivers.cautions(own, own)
    assert len(sentences) == len(words)
    for sentence, word in zip(sentences, words):
        assert word in sentence
        assert re.search(r" \((KubeVirt|Linux|NVIDIA|QEMU), .*\)$", sentence)


def test_host_drivers_had_better_be_equal_where_that_is_known():
    source, target = (
        {"driver": "nvidia", "software_version": version} for version in ("550.54.14", "550.90.5")
    )
    (difference,) = set(drivers.cautions(source, target)) - set(drivers.cautions(source, source))
    assert difference.startswith("software_version is 550.54.14 on the source and 550.90.5 on the")
    assert "Red Hat" in difference
    assert "NVIDIA" in difference
    assert drivers.cautions(source, {}) == drivers.cautions(source, source)


@pytest.mark.parametrize(
    ("name", "evidence"),
    [
        ("pci-qat_vfio_pci", "debugfs"),
        ("pci-vfio-pci", "debugfs"),
        ("pci-vfio-pci-mlx5", "debugfs; bind it to mlx5_vfio_pci, where this kernel has it"),
        (
            "pci-mlx5_vfio_pci",
            "debugfs; driver mlx5_vfio_pci supports it where its port was made migratable before it was bound",
        ),
        (
            "pci-virtio_vfio_pci",
            "debugfs; driver virtio_vfio_pci supports it where the physical function offers the device's parts",
        ),
    ],
)
def test_what_debugfs_tells_outranks_what_is_known_and_keeps_the_hint(tree, name, evidence):
    (vendor,) = (each for each in TREES if str(each) == name)
    (tree.root / "kernel/debug/vfio" / VF).mkdir(parents=True)
    (device,) = gather(tree, vendor)["devices"]
    assert device["migration"]["supported"] is False
    assert device["migration"]["evidence"] == evidence


def test_mixed_types_of_channel_paths_are_all_named(tree):
    vendor = replace(SUBCHANNEL, parent={**SUBCHANNEL.parent, "../chp0.11/type": "1b"})
    (descriptor,) = gather(tree, vendor)["descriptors"].values()
    assert descriptor["self"]["chpid_type"] == "0x1a,0x1b"


@pytest.mark.parametrize("missing", ["chpids", "pimpampom", "../chp0.11/type"])
def test_a_subchannel_without_known_paths_has_no_type_of_them(tree, missing):
    parent = {path: text for path, text in SUBCHANNEL.parent.items() if path != missing}
    (descriptor,) = gather(tree, replace(SUBCHANNEL, parent=parent))["descriptors"].values()
    assert "chpid_type" not in descriptor["self"]


@pytest.mark.parametrize(
    ("vendor", "words"),
    [
        (replace(SUBCHANNEL, parent={**SUBCHANNEL.parent, "chpids": "../../x"}), "chpids is '../"),
        (matrix("odd", {"matrix": "5.4"}, {}), "matrix has '5.4'; expected adapter.domain"),
        (matrix("odd", {"ap_config": "0x0"}, {}), "ap_config is '0x0'; expected three masks"),
    ],
    ids=["chpids", "matrix", "ap_config"],
)
def test_what_is_malformed_is_a_problem(tree, vendor, words):
    facts = gather(tree, vendor)
    assert facts["devices"][0]["descriptor"] is None
    (problem,) = facts["problems"]
    assert words in problem["problem"]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("5", "0x5", True),
        ("0x05", "0X5", True),
        ("-1", "-0x1", True),
        ("none", "none", True),
        ("", "", True),
        ("5", "6", False),
        ("0xg", "0xg0", False),
        ("5 ", "5", False),
        ("", "0", False),
        ("a", "0xa", False),
    ],
)
def test_values_are_compared_as_text_or_integers(one, other, same):
    for pair in ((one, other), (other, one)):
        assert drivers.Driver().is_same("any", *pair) is same


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("nvidia/vgpu_params", "", " \n"),
        ("vgpu_params", "", " \n"),
        ("nvidia/vgpu_params", "disable_vnc=1", "disable_vnc=1\n"),
        ("intel_vgpu/aggregator", "", "\n"),
        ("other/vgpu_params", "", "\n"),
    ],
)
def test_a_driver_may_want_something_else_than_nothing_to_empty_an_attribute(name, value, line):
    assert drivers.line_for(name, value) == line
