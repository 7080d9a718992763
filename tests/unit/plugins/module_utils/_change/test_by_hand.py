# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a person is told to do in place of the collection does that, and nothing that a hostile value asks for."""

from __future__ import annotations

import subprocess

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._change.boot_units import RestoreUnit
from ansible_collections.vfio.migration.plugins.module_utils._change.journal import Operation, Step
from ansible_collections.vfio.migration.plugins.module_utils._change.mdev_apply import (
    MdevTransaction,
    RemoveMdev,
    RestoreDefinition,
    WriteAttribute,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.original_state import (
    OriginalState,
    StoredBinding,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.pci_apply import (
    BindDriver,
    KeepOriginalState,
    MakeFunctions,
    PciTransaction,
    SetNetwork,
    WriteAttributes,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.records import Attribute
from ansible_collections.vfio.migration.plugins.module_utils._change.vdpa_apply import (
    DeleteVdpa,
    VdpaTransaction,
)

HOSTILE = "1; touch owned; $(touch owned) `touch owned` ' \" | touch owned"
OPERATIONS: list[tuple[Operation, dict[str, str]]] = [
    (RemoveMdev("mtty-1"), {"remove": "1"}),
    (WriteAttribute("group/name", HOSTILE, live=False), {"group/name": HOSTILE}),
    (RestoreDefinition(None, with_device=False), {}),
    (RestoreDefinition({"mdev_type": "mtty-1"}, with_device=False), {}),
    (BindDriver(StoredBinding("x", HOSTILE), None), {"driver_override": HOSTILE}),
    (BindDriver(StoredBinding(None, None), True), {"driver/unbind": "uuid"}),
    (WriteAttributes([Attribute("a", "1"), Attribute("b", HOSTILE)]), {"a": "1", "b": HOSTILE}),
    (WriteAttribute("nvidia/vgpu_params", "", live=False), {"nvidia/vgpu_params": " "}),
    (WriteAttributes([Attribute("nvidia/vgpu_params", "")]), {"nvidia/vgpu_params": " "}),
    (KeepOriginalState(OriginalState()), {}),
    (MakeFunctions(4, []), {"sriov_numvfs": "4"}),
    (SetNetwork(HOSTILE, 1, {"mac": HOSTILE}), {}),
    (DeleteVdpa("mgmt", []), {}),
    (RestoreUnit("vfio-migration-vdpa-$(touch owned)", None, None, False, False), {}),
    (RestoreUnit("x.service", "functions", {"address": HOSTILE}, True, False), {}),
]


def test_every_operation_tells_what_to_do_by_hand():
    known = {*MdevTransaction.undoers, *PciTransaction.undoers, *VdpaTransaction.undoers}
    assert {type(operation) for operation, _written in OPERATIONS} == known


@pytest.mark.parametrize(("operation", "written"), OPERATIONS)
def test_what_it_tells_is_done_by_a_shell(tmp_path, operation, written):
    device = tmp_path / "device"
    for directory in ("group", "driver", "nvidia"):
        (device / directory).mkdir(parents=True)
    said = operation.by_hand(Step("parent", "uuid", "created", operation), str(device))
    assert said
    if written:
        subprocess.run(["sh", "-c", said], cwd=tmp_path, check=False, stderr=subprocess.DEVNULL)
    assert {name: (device / name).read_text().rstrip("\n") for name in written} == written
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    ("operation", "command"),
    [
        (
            RestoreDefinition(None, with_device=False),
            "mdevctl undefine --uuid uuid --parent '$(x)'",
        ),
        (DeleteVdpa("mgmt", []), "vdpa dev del uuid"),
        (
            SetNetwork("$(x)", 3, {"vlan": 7, "qos": 0, "trust": False, "link_state": "auto"}),
            "ip link set dev '$(x)' vf 3 vlan 7 qos 0 trust off state auto",
        ),
        (
            RestoreUnit("$(x).service", None, None, False, False),
            "rm -f /etc/systemd/system/multi-user.target.wants/'$(x).service' /etc/systemd/system/'$(x).service'",
        ),
    ],
)
def test_a_tool_is_named_with_its_arguments(operation, command):
    assert operation.by_hand(Step("$(x)", "uuid", "created", operation), "/sys/x") == command
