# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.virtio import (
    NET,
    feature_names,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.facts import gather_facts
from ansible_collections.vfio.migration.plugins.module_utils._host.processes import Holders
from ansible_collections.vfio.migration.plugins.module_utils._host.reading import HostReadError
from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import Sysfs
from ansible_collections.vfio.migration.tests.unit.sysfs_trees import Tree, nobody
from ansible_collections.vfio.migration.tests.unit.vdpa_hosts import (
    MAC,
    SIMULATED,
    VdpaKernel,
    management_device,
    vdpa_device,
)


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path / "sys")


@pytest.fixture
def kernel(tree):
    return VdpaKernel(tree)


def gather(tree, ask, scan_holders=nobody):
    return gather_facts(Sysfs(str(tree.root)), scan_holders, ["vdpa"], ask)


def test_a_device_has_all_the_facts_that_others_have(tree, kernel):
    kernel.put(vdpa_device())
    facts = gather(tree, kernel.ask)
    (descriptor,) = facts["descriptors"].values()
    assert descriptor["origin"] == "derived"
    assert facts["devices"] == [
        {
            "kind": "vdpa",
            "id": "vdpa0",
            "parent": "vdpasim_net",
            "type": "net",
            "descriptor": next(iter(facts["descriptors"])),
            "attributes": [
                {"name": "mac", "value": MAC},
                {"name": "mtu", "value": "1500"},
                {"name": "device_features", "value": hex(SIMULATED)},
            ],
            "numa_node": None,
            "iommu_group": None,
            "driver": "vhost_vdpa",
            "in_use": None,
            "migration": {
                "supported": None,
                "evidence": "unknown",
                "features": [],
                "state": None,
            },
        }
    ]


def test_devices_and_management_devices_are_sorted_whatever_the_kernels_order(tree, kernel):
    for name in ("b", "c", "a"):
        kernel.put(vdpa_device(name))
        kernel.management_devices.append(management_device(name))
    facts = gather(tree, kernel.ask)
    assert [device["id"] for device in facts["devices"]] == ["a", "b", "c"]
    assert [parent["id"] for parent in facts["parents"]] == ["a", "b", "c", "vdpasim_net"]


def test_a_management_device_on_a_bus_is_known_there(tree, kernel):
    place = "bus/pci/devices/0000:65:00.2"
    for name, value in (("vendor", "0x15b3"), ("device", "0x101e"), ("numa_node", "1")):
        tree.write(f"{place}/{name}", value + "\n")
    tree.link(f"{place}/driver", "bus/pci/drivers/mlx5_core")
    kernel.management_devices = [management_device("pci/0000:65:00.2", SIMULATED | 1 << 45)]
    kernel.put(vdpa_device(mgmtdev="pci/0000:65:00.2"))
    facts = gather(tree, kernel.ask)
    (parent,) = facts["parents"]
    assert parent == {
        "kind": "vdpa",
        "id": "pci/0000:65:00.2",
        "driver": "mlx5_core",
        "pci_id": "15b3101e",
        "numa_node": 1,
        "types": [
            {
                "id": "net",
                "name": None,
                "device_api": "vhost-vdpa",
                "available_instances": 0,
                "description": None,
            }
        ],
        "supported_classes": ["net"],
        "max_supported_vqs": 5,
        "dev_features": [*feature_names(SIMULATED, NET), "bit_45"],
        "dev_features_mask": hex(SIMULATED | 1 << 45),
    }
    assert facts["devices"][0]["numa_node"] == 1
    assert facts["problems"] == []


def test_a_management_device_that_sysfs_does_not_have_is_a_problem_and_no_more(tree, kernel):
    (tree.root / "bus/vdpa").mkdir(parents=True)
    kernel.management_devices = [management_device("pci/0000:65:00.2", None)]
    facts = gather(tree, kernel.ask)
    (parent,) = facts["parents"]
    assert (parent["dev_features"], parent["dev_features_mask"]) == ([], None)
    assert [each["path"] for each in facts["problems"]] == [
        f"{tree.root}/bus/pci/devices/0000:65:00.2"
    ]


def test_who_holds_a_device_is_a_fact(tree, kernel):
    kernel.put(vdpa_device("vdpa0"))
    kernel.put(vdpa_device("vdpa1"))
    guest = {"pid": 4711, "name": "vm-17"}
    held = Holders({"/dev/vhost-vdpa-1": guest}, complete=True)
    facts = gather(tree, kernel.ask, lambda: held)
    assert [device["in_use"] for device in facts["devices"]] == [None, guest]


def test_a_device_that_the_host_uses_itself_cannot_be_migrated(tree, kernel):
    kernel.put(vdpa_device(), driver="virtio_vdpa")
    (device,) = gather(tree, kernel.ask)["devices"]
    assert device["migration"]["supported"] is False
    assert device["migration"]["evidence"] == "driver virtio_vdpa gives it to the host itself"


def test_a_device_without_a_descriptor_is_there_all_the_same(tree, kernel):
    kernel.put(vdpa_device(features=None))
    facts = gather(tree, kernel.ask)
    assert facts["devices"][0]["descriptor"] is None
    (problem,) = facts["problems"]
    assert problem["path"] == f"{tree.root}/bus/vdpa/devices/vdpa0"


def test_a_kernel_that_does_not_answer_costs_only_its_vdpa_devices(tree):
    def ask(sysfs):
        raise HostReadError(sysfs.path("bus/vdpa"), "timed out")

    (tree.root / "bus/vdpa").mkdir(parents=True)
    assert [each["problem"] for each in gather(tree, ask)["problems"]] == ["timed out"]
