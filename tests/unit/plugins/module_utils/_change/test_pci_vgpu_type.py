# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._change.attributes import (
    AttributeWrite,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.pci_vgpu_type import VgpuType
from ansible_collections.vfio.migration.plugins.module_utils._host.device import PciDevice
from ansible_collections.vfio.migration.tests.unit.pci_trees import (
    FIRST,
    VARIANT,
    PciKernel,
    PciTree,
)

TYPE, PARAMETERS = "nvidia/current_vgpu_type", "nvidia/vgpu_params"
UNSET, SET = {TYPE: "0", PARAMETERS: ""}, {TYPE: "1428", PARAMETERS: "disable_vnc=1"}


@pytest.fixture
def opened(tmp_path):
    """Return a function that opens a virtual function of a GPU whose attributes have the values given."""
    devices = []

    def open_device(values, driver="nvidia"):
        tree = PciTree(tmp_path / "sys")
        tree.add_functions(1, driver)
        for name, value in values.items():
            (tree.device(FIRST) / name).write_text(f"{value}\n")
        devices.append(PciDevice(PciKernel(tree), FIRST))
        return devices[-1]

    yield open_device
    for device in devices:
        device.directory.close()


def writes(device, *attributes):
    return [(each.name, each.value) for each in VgpuType(device).needed_writes(attributes)]


@pytest.mark.parametrize(
    ("values", "attributes", "written"),
    [
        (UNSET, [(TYPE, "1428")], [(TYPE, "1428")]),
        (SET, [(TYPE, "1428")], []),
        (SET, [(TYPE, "1429")], [(TYPE, "0"), (TYPE, "1429")]),
        (SET, [(TYPE, "0")], [(TYPE, "0")]),
        (SET, [(PARAMETERS, "disable_vnc=0")], [(PARAMETERS, "disable_vnc=0")]),
        # A reset takes the parameters, so they are written again.
        (
            SET,
            [(TYPE, "1429"), (PARAMETERS, "disable_vnc=1")],
            [(TYPE, "0"), (TYPE, "1429"), (PARAMETERS, "disable_vnc=1")],
        ),
        # Those before the type go with the reset, as the user has it.
        (
            SET,
            [(PARAMETERS, "disable_vnc=0"), ("current_vgpu_type", "1429")],
            [(PARAMETERS, "disable_vnc=0"), (TYPE, "0"), (TYPE, "1429")],
        ),
    ],
)
def test_a_type_is_reset_before_another_is_set(opened, values, attributes, written):
    assert writes(opened(values), *attributes) == written


@pytest.mark.parametrize(
    ("values", "undone"),
    [
        (UNSET, [[(TYPE, "0")], [(PARAMETERS, "")]]),
        (SET, [[(TYPE, "1428"), (PARAMETERS, "disable_vnc=1")], [(TYPE, "0")], []]),
    ],
)
def test_to_undo_a_reset_is_to_set_the_type_and_what_went_with_it(opened, values, undone):
    vgpu_type = VgpuType(opened(values))
    needed = vgpu_type.needed_writes([(TYPE, "1429"), (PARAMETERS, "disable_vnc=0")])
    assert [undo for _write, undo in vgpu_type.with_undo(needed)] == undone
    assert [write for write, _undo in vgpu_type.with_undo(needed)] == needed


@pytest.mark.parametrize(
    ("values", "attributes", "original"),
    [
        # Without a type the parameters mean nothing.
        (UNSET, [(TYPE, "1429"), (PARAMETERS, "disable_vnc=0")], [(TYPE, "0")]),
        (SET, [(TYPE, "1429")], [(TYPE, "1428"), (PARAMETERS, "disable_vnc=1")]),
        (SET, [(PARAMETERS, "disable_vnc=0")], [(PARAMETERS, "disable_vnc=1")]),
        (
            SET,
            [(PARAMETERS, "disable_vnc=0"), (TYPE, "1429")],
            [(TYPE, "1428"), (PARAMETERS, "disable_vnc=1")],
        ),
    ],
)
def test_the_original_values_start_with_the_type(opened, values, attributes, original):
    vgpu_type = VgpuType(opened(values))
    assert vgpu_type.original(vgpu_type.needed_writes(attributes)) == original


def test_what_belongs_to_one_device_alone_is_not_written_back(opened):
    device = opened({**SET, "nvidia/placement_id": "4"})
    vgpu_type = VgpuType(device)
    needed = vgpu_type.needed_writes([(TYPE, "1429")])
    assert [name for name, value in vgpu_type.original(needed)] == [TYPE, PARAMETERS]


def test_a_type_is_set_only_where_it_can_be_had(opened):
    vgpu_type = VgpuType(opened(UNSET))
    missing = vgpu_type.why_not_creatable(AttributeWrite(TYPE, "9999", (TYPE, "0")))
    assert missing.endswith("nvidia/creatable_vgpu_types has 1428, 1429, not '9999'")
    for name, value in ((TYPE, "1428"), (TYPE, "0"), (PARAMETERS, "9999")):
        assert vgpu_type.why_not_creatable(AttributeWrite(name, value, (name, ""))) is None


def test_a_reset_is_over_when_the_type_reads_none(opened):
    device = opened(SET)
    vgpu_type = VgpuType(device)
    assert vgpu_type.resets(AttributeWrite(TYPE, "0", (TYPE, "1428")))
    assert not vgpu_type.resets(AttributeWrite(TYPE, "1429", (TYPE, "0")))
    assert vgpu_type.why_not_reset().endswith(f"{TYPE} still has '1428'")
    device.directory.write(TYPE, b"0\n")
    assert vgpu_type.why_not_reset() is None


def test_attributes_of_other_drivers_are_written_as_any_others(opened):
    device = opened({}, VARIANT)
    vgpu_type = VgpuType(device)
    needed = [AttributeWrite("group/name", "2", ("group/name", "1"))]
    assert list(vgpu_type.with_undo(needed)) == [(needed[0], [("group/name", "1")])]
    assert vgpu_type.original(needed) == [("group/name", "1")]
    assert not vgpu_type.resets(needed[0])
    assert vgpu_type.why_not_creatable(needed[0]) is None
