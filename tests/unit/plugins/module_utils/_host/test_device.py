# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
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
    COMPATIBLE,
    GPU,
    SELF,
    UUIDS,
    Tree,
)

OWN = {
    "aggregator": "2",
    "device_api": "vfio-pci",
    "pci_id": "80865963",
    "software_version": "0.1.0",
    "type": "i915-GVTg_V5_4",
}
SELF_TEXT = SELF.format(type=OWN["type"], aggregator=2)
PATTERN = {**OWN, "aggregator": "{val1}/2", "type": "i915-GVTg_V5_{val1:int:1,2,4,8}"}


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    tree = Tree(tmp_path / "sys")
    tree.add_gpu()
    return tree


def read(tree: Tree):
    with MediatedDevice(Sysfs(str(tree.root)), UUIDS[0], {}) as device:
        return read_descriptor(device)


def only_problem(tree: Tree) -> tuple[str, str]:
    """Where below the device, and what."""
    descriptor, _attributes, (problem,) = read(tree)
    assert descriptor is None
    path = tree.root / "bus/mdev/devices" / UUIDS[0]
    return os.path.relpath(problem.path, path), problem.problem


def add_directory(tree: Tree, path: str, attributes: dict[str, str]) -> None:
    for name, value in attributes.items():
        tree.write(f"{path}/{name}", value + "\n")


def test_the_forms_of_the_proposal_read_the_same(tree):
    device = tree.add_mdev()
    tree.add_migration(device, SELF_TEXT)
    by_file, _attributes, problems = read(tree)
    assert by_file == {"origin": "file", "self": OWN, "compatible": [PATTERN]}
    assert problems == []

    (tree.root / device / "migration/self").unlink()
    (tree.root / device / "migration/compatible").unlink()
    add_directory(tree, f"{device}/migration/self", {**OWN, "device_api": "vfio_pci"})
    add_directory(tree, f"{device}/migration/compatible", PATTERN)
    by_directory, _attributes, problems = read(tree)
    assert by_directory == {**by_file, "origin": "directory"}
    assert problems == []


def test_sets_come_in_order(tree):
    migration = tree.add_mdev() + "/migration"
    add_directory(tree, f"{migration}/self", OWN)
    for order, place in enumerate(
        ["compatible", "compatible/a", "compatible/b", "compatible2", "compatible0010"]
    ):
        add_directory(tree, f"{migration}/{place}", {"device_api": "vfio-pci", "type": str(order)})
    descriptor, _attributes, _problems = read(tree)
    assert [each["type"] for each in descriptor["compatible"]] == ["0", "1", "2", "3", "4"]


def test_sets_of_one_file_are_separate(tree):
    device = tree.add_mdev()
    tree.add_migration(
        device, SELF_TEXT, f"COMPATIBLE:\n{COMPATIBLE}COMPATIBLE:\n{COMPATIBLE}\n\ntype=x\n"
    )
    descriptor, _attributes, _problems = read(tree)
    assert descriptor["compatible"] == [PATTERN, PATTERN, {"type": "x"}]


@pytest.mark.parametrize("form", ["file", "directory"])
def test_a_device_may_be_compatible_with_nothing(tree, form):
    migration = tree.add_mdev() + "/migration"
    if form == "file":
        tree.write(f"{migration}/self", SELF_TEXT)
    else:
        add_directory(tree, f"{migration}/self", OWN)
        (tree.root / migration / "compatible").mkdir()
    assert read(tree)[0] == {"origin": form, "self": OWN, "compatible": []}


@pytest.mark.parametrize(
    ("own", "problem"),
    [
        ("", "0 sets of attributes; expected exactly one"),
        (SELF_TEXT + "\n" + SELF_TEXT, "2 sets of attributes; expected exactly one"),
        (SELF_TEXT + "aggregator", "line 6 has no '=': 'aggregator'; expected name=value"),
        (SELF_TEXT + "aggregator=3", "'aggregator' is stated twice in one set"),
        (SELF_TEXT.replace("type=", "kind="), "'type' is missing; it is a must of 'self'"),
        (
            SELF_TEXT + "x=" + "y" * 1025,
            "the value of 'x' has 1025 characters; at most 1024 are read",
        ),
        (SELF_TEXT.encode() + b"x=\xff", "byte 95 is not ASCII (0xff)"),
        ("x" * 6_000_000, "more than 5246976 bytes; at most that are read"),
    ],
)
def test_a_malformed_self_is_a_problem_of_its_file(tree, own, problem):
    device = tree.add_mdev()
    tree.add_migration(device, own)
    assert only_problem(tree) == ("migration/self", problem)


def test_a_malformed_set_is_a_problem_of_its_file(tree):
    device = tree.add_mdev()
    tree.add_migration(device, SELF_TEXT, "type=x\ntype=y")
    assert only_problem(tree) == ("migration/compatible", "'type' is stated twice in one set")


def test_a_malformed_attribute_is_a_problem_of_its_place(tree):
    device = tree.add_mdev()
    add_directory(tree, f"{device}/migration/self", OWN)
    tree.write(f"{device}/migration/compatible/x/type", b"\xff")
    assert only_problem(tree) == ("migration/compatible/x/type", "byte 1 is not ASCII (0xff)")


def test_too_many_sets_are_a_problem(tree):
    device = tree.add_mdev()
    add_directory(tree, f"{device}/migration/self", OWN)
    for number in range(65):
        tree.write(f"{device}/migration/compatible{number}/type", "x")
    assert only_problem(tree) == ("migration", "65 sets; at most 64 are read")


def test_too_many_attributes_are_a_problem(tree):
    device = tree.add_mdev()
    add_directory(tree, f"{device}/migration/self", {f"a{n}": "1" for n in range(65)})
    assert only_problem(tree) == ("migration/self", "more than 64 attributes in one set")


@pytest.mark.parametrize(
    ("arrange", "where", "problem"),
    [
        (lambda d: d.write("migration", ""), "migration", "a file; expected a directory"),
        (lambda d: d.mkdir("migration"), "migration", "'self' is missing"),
        (
            lambda d: d.link("migration", "../elsewhere"),
            "migration",
            "a symbolic link; expected a directory",
        ),
        (
            lambda d: d.link("migration/self", "../../elsewhere"),
            "migration/self",
            "a symbolic link; expected a file",
        ),
        (
            lambda d: (d.good(), d.link("migration/self/x", "type")),
            "migration/self/x",
            "a symbolic link; expected a file",
        ),
        (
            lambda d: (d.good(), d.mkdir("migration/self/x")),
            "migration/self/x",
            "a directory; expected a file",
        ),
        (
            lambda d: (d.good(), d.write("migration/compatible", COMPATIBLE)),
            "migration/compatible",
            "a file; expected a directory",
        ),
        (
            lambda d: (d.write("migration/self", SELF_TEXT), d.mkdir("migration/compatible")),
            "migration/compatible",
            "a directory; expected a file",
        ),
        (
            lambda d: (d.good(), d.mkdir("migration/compatible/a/b")),
            "migration/compatible/a/b",
            "a directory; expected a file",
        ),
    ],
)
def test_what_is_no_descriptor_is_a_problem(tree, arrange, where, problem):
    class Arranged:
        device = tree.root / tree.add_mdev()

        def write(self, path, text):
            (self.device / path).parent.mkdir(exist_ok=True)
            (self.device / path).write_text(text)

        def mkdir(self, path):
            (self.device / path).mkdir(parents=True)

        def link(self, path, target):
            (self.device / path).parent.mkdir(exist_ok=True)
            (self.device / path).symlink_to(target)

        def good(self):
            add_directory(tree, str(self.device / "migration/self"), OWN)

    arrange(Arranged())
    assert only_problem(tree) == (where, problem)


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
