# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._host.device import (
    MediatedDevice,
    Parent,
    PciDevice,
    is_attribute_name,
    read_descriptor,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.reading import HostReadError
from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import Sysfs
from ansible_collections.vfio.migration.tests.unit.sysfs_trees import (
    GPU,
    OWN,
    SELF_TEXT,
    UUIDS,
    Tree,
)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    tree = Tree(tmp_path / "sys")
    tree.add_gpu()
    return tree


def read(tree: Tree):
    with MediatedDevice(Sysfs(str(tree.root)), UUIDS[0], {}) as device:
        return read_descriptor(device)


def test_a_driver_that_does_not_speak_the_proposal_gets_a_derived_descriptor(tree):
    device = tree.add_mdev(aggregator="a{b}")
    tree.write("bus/mdev/drivers/intel_vgpu_mdev/module/version", "550.54.15-rc1\n")
    descriptor, attributes, problems = read(tree)
    own = {**OWN, "software_version": "550.54.15", "driver": "i915", "aggregator": "a{b}"}
    assert descriptor == {
        "origin": "derived",
        "self": own,
        "compatible": [{**own, "aggregator": "a{{b}}"}],
    }
    assert attributes == [{"name": "intel_vgpu/aggregator", "value": "a{b}"}]
    assert problems == []
    assert device


@pytest.mark.parametrize(
    ("stated", "version"),
    [
        ("1", "1.0"),
        ("2.3", "2.3"),
        ("1.2.3.4", "1.2.3"),
        ("1.x", "1.0"),
        ("v7", "0.0"),
        ("", "0.0"),
    ],
)
def test_a_modules_version_becomes_major_minor_bugfix(tree, stated, version):
    tree.add_mdev()
    tree.write("bus/pci/drivers/i915/module/version", stated + "\n")
    assert read(tree)[0]["self"]["software_version"] == version


def test_the_version_of_the_generic_driver_says_nothing_of_the_vendors(tree):
    device = tree.add_mdev()
    (tree.root / device / "driver").unlink()
    tree.link(f"{device}/driver", "bus/mdev/drivers/vfio_mdev")
    tree.write("bus/mdev/drivers/vfio_mdev/module/version", "0.1\n")
    assert read(tree)[0]["self"]["software_version"] == "0.0"
    tree.write("bus/pci/drivers/i915/module/version", "470.82.01\n")
    assert read(tree)[0]["self"]["software_version"] == "470.82.01"


def test_a_parent_need_be_no_pci_device(tree):
    tree.write("devices/virtual/mtty/mtty/mdev_supported_types/mtty-1/device_api", "vfio-pci\n")
    tree.write("devices/virtual/mtty/mtty/mdev_supported_types/mtty-1/available_instances", "23\n")
    tree.link("devices/virtual/mtty/mtty/subsystem", "class/mtty")
    tree.link("class/mdev_bus/mtty", "devices/virtual/mtty/mtty")
    device = f"devices/virtual/mtty/mtty/{UUIDS[0]}"
    tree.link(f"{device}/mdev_type", "devices/virtual/mtty/mtty/mdev_supported_types/mtty-1")
    tree.link(f"bus/mdev/devices/{UUIDS[0]}", device)
    assert read(tree)[0]["self"] == {
        "device_api": "vfio-pci",
        "driver": "mtty",
        "software_version": "0.0",
        "type": "mtty-1",
    }


def test_only_a_vendors_configurable_attributes_are_reported(tree):
    device = tree.add_mdev()
    tree.write(f"{device}/zero", "0x0\n")
    tree.write(f"{device}/matrix", "ro\n", 0o444)
    tree.write(f"{device}/assign_adapter", "", 0o200)
    tree.write(f"{device}/net/eth0/mtu", "1500\n")
    tree.write(f"{device}/child/uevent", "\n")
    tree.write(f"{device}/child/value", "1\n")
    tree.write(f"{device}/.hidden", "1\n")
    tree.link(f"{device}/linked", device)
    assert read(tree)[1] == [
        {"name": "intel_vgpu/aggregator", "value": "1"},
        {"name": "zero", "value": "0x0"},
    ]


def test_a_descriptor_is_not_derived_from_a_part(tree):
    device = tree.add_mdev()
    tree.write(f"{device}/zero", "two\nlines\n")
    descriptor, attributes, (problem,) = read(tree)
    assert descriptor is None
    assert [each["name"] for each in attributes] == ["intel_vgpu/aggregator"]
    assert problem.path.endswith(f"{UUIDS[0]}/zero")
    assert (
        problem.problem == "the value of 'zero' is not one line of printable ASCII: 'two\\nlines'"
    )


def test_a_stated_descriptor_does_not_need_the_attributes(tree):
    device = tree.add_mdev()
    tree.write(f"{device}/zero", "two\nlines\n")
    tree.add_migration(device, SELF_TEXT)
    descriptor, _attributes, problems = read(tree)
    assert descriptor["self"] == OWN
    assert len(problems) == 1


def test_a_type_that_cannot_be_read_is_a_problem(tree):
    tree.write(
        f"class/mdev_bus/{GPU}/mdev_supported_types/i915-GVTg_V5_4/available_instances", "many"
    )
    with pytest.raises(HostReadError, match="available_instances is 'many'; expected a number"):
        Parent(Sysfs(str(tree.root)), GPU).read_type("i915-GVTg_V5_4")


def test_a_type_may_describe_itself_in_several_lines(tree):
    tree.write(
        f"class/mdev_bus/{GPU}/mdev_supported_types/i915-GVTg_V5_4/description",
        "fence: 4\nweight: 2 \u00b5\n",
    )
    mdev_type = Parent(Sysfs(str(tree.root)), GPU).read_type("i915-GVTg_V5_4")
    assert mdev_type["description"] == "fence: 4, weight: 2 \u00b5"


def test_a_physical_device_has_a_signature(tree):
    device = "devices/pci0000:00/0000:03:00.1"
    for name, value in (
        ("vendor", "0x8086"),
        ("device", "0x37cd"),
        ("subsystem_vendor", "0x8086"),
        ("subsystem_device", "0x0001"),
    ):
        tree.write(f"{device}/{name}", value + "\n")
    tree.write(f"{device}/msi_bus", "1\n")
    tree.write(f"{device}/nvidia/vgpu_params", "\n")
    tree.write("bus/pci/drivers/qat_vfio_pci/module/version", "0.6.0\n")
    tree.link(f"{device}/driver", "bus/pci/drivers/qat_vfio_pci")
    tree.link("bus/pci/devices/0000:03:00.1", device)
    with PciDevice(Sysfs(str(tree.root)), "0000:03:00.1") as opened:
        descriptor, attributes, problems = read_descriptor(opened)
    assert attributes == [{"name": "nvidia/vgpu_params", "value": ""}]
    assert problems == []
    assert descriptor["self"] == {
        "device_api": "vfio-pci",
        "driver": "qat_vfio_pci",
        "pci_id": "808637cd",
        "software_version": "0.6.0",
        "type": "pci-808637cd-80860001",
        "vgpu_params": "",
    }


@pytest.mark.parametrize(
    "name", ["aggregator", "intel_vgpu/aggregator", "nvidia/vgpu_params", "a-b_c.d"]
)
def test_names_of_attributes(name):
    assert is_attribute_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../remove",
        "/etc/passwd",
        "a/b/c",
        "a//b",
        "a/",
        "/a",
        ".hidden",
        "a/.hidden",
        "a b",
        "a\n",
        "\u00e4",
        "remove",
        "driver_override",
        "uevent",
        "intel_vgpu/uevent",
        "power/control",
        "migration/self",
        "mdev_type/create",
        "driver/unbind",
        "subsystem/drivers_probe",
        "iommu_group/type",
    ],
)
def test_names_that_are_no_attributes(name):
    assert not is_attribute_name(name)
