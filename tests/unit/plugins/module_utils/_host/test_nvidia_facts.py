# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What NVIDIA's library tells, in the facts of devices and parents on its GPUs."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._host import nvml
from ansible_collections.vfio.migration.plugins.module_utils._host.facts import gather_facts
from ansible_collections.vfio.migration.plugins.module_utils._host.reading import HostReadError
from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import Sysfs
from ansible_collections.vfio.migration.tests.unit.nvml_libraries import build
from ansible_collections.vfio.migration.tests.unit.sysfs_trees import Tree, nobody

MDEV = "c73f1fa6-489e-4834-9476-d70dabd98c40"
GPU = "0000:41:00.0"
FUNCTION = "0000:41:00.4"
IDS = {
    "vendor": "0x10de",
    "device": "0x20b5",
    "subsystem_vendor": "0x10de",
    "subsystem_device": "0x1533",
}


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """Return the tree of a card with a virtual function, which is an mdev parent with one mdev."""
    tree = Tree(tmp_path / "sys")
    for address in (GPU, FUNCTION):
        place = f"devices/pci0000:40/{address}"
        for name, value in IDS.items():
            tree.write(f"{place}/{name}", value + "\n")
        tree.link(f"{place}/driver", "bus/pci/drivers/nvidia")
        tree.link(f"bus/pci/devices/{address}", place)
    parent = f"devices/pci0000:40/{FUNCTION}"
    tree.link(f"{parent}/physfn", f"devices/pci0000:40/{GPU}")
    supported = f"{parent}/mdev_supported_types/nvidia-474"
    for name, value in (
        ("available_instances", "0"),
        ("device_api", "vfio-pci"),
        ("name", "NVIDIA A100-10C"),
    ):
        tree.write(f"{supported}/{name}", value + "\n")
    tree.link(f"class/mdev_bus/{FUNCTION}", parent)
    tree.link(f"{parent}/{MDEV}/mdev_type", supported)
    tree.link(f"bus/mdev/devices/{MDEV}", f"{parent}/{MDEV}")
    return tree


def gather(tree: Tree, ask: t.Callable[[], t.Any] | None) -> dict[str, t.Any]:
    return gather_facts(Sysfs(str(tree.root)), nobody, ask_nvml=ask)


def test_an_mdev_and_its_parent_have_what_the_library_tells_of_their_gpu(tree, tmp_path):
    library = build(tmp_path)
    facts = gather(tree, lambda: nvml.gather(library))
    of_gpu = {
        "nvidia.ecc": "on",
        "nvidia.mig": "off",
        "nvidia.versions": "0x70001-0x100001",
    }
    (descriptor,) = facts["descriptors"].values()
    assert descriptor["configuration"] == {**of_gpu, "nvidia.version": "0x100001"}
    (parent,) = facts["parents"]
    assert parent["configuration"] == of_gpu
    assert [each["id"] for each in facts["nvidia"]["vgpus"]] == [MDEV]
    assert facts["problems"] == []


def test_the_library_is_asked_once(tree, tmp_path):
    asked = []

    def ask():
        asked.append(1)
        return {"driver": None, "gpus": [], "vgpus": []}

    facts = gather(tree, ask)
    assert asked == [1]
    assert facts["nvidia"]["gpus"] == []
    (descriptor,) = facts["descriptors"].values()
    assert "configuration" not in descriptor


def test_a_host_without_nvidia_s_devices_asks_nobody(tmp_path):
    tree = Tree(tmp_path / "sys")
    tree.add_gpu()
    tree.add_mdev()

    def ask():
        raise AssertionError("nothing is to be asked")

    assert "nvidia" not in gather(tree, ask)


@pytest.mark.parametrize(
    "plant",
    [
        lambda place: place.write_text("no directory"),
        lambda place: place.symlink_to(place.name),
        os.mkfifo,
    ],
)
def test_what_is_in_the_place_of_the_pci_devices_costs_no_other_fact(tree, plant):
    (tree.root / "bus/pci").rename(tree.root / "aside")
    plant(tree.root / "bus/pci")
    facts = gather(tree, None)
    paths = [each["path"] for each in facts["problems"]]
    assert f"{tree.root}/bus/pci/devices/{FUNCTION}/physfn" in paths
    assert [each["id"] for each in facts["parents"]] == [FUNCTION]
    assert [each["id"] for each in facts["devices"]] == [MDEV]


def test_a_library_that_does_not_answer_costs_no_device(tree):
    def ask():
        raise HostReadError("/usr/lib64/libnvidia-ml.so.1", "no answer within 30 seconds")

    facts = gather(tree, ask)
    (problem,) = facts["problems"]
    assert problem["problem"] == "no answer within 30 seconds"
    assert len(facts["devices"]) == len(facts["descriptors"]) == 1
    assert "nvidia" not in facts


def test_of_a_copied_tree_no_library_is_asked(tree, monkeypatch):
    def find_library():
        raise AssertionError("the library of another host")

    monkeypatch.setattr(nvml, "find_library", find_library)
    assert "nvidia" not in gather(tree, None)
