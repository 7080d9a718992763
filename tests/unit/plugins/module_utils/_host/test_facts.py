# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.identifiers import KINDS
from ansible_collections.vfio.migration.plugins.module_utils._host import processes
from ansible_collections.vfio.migration.plugins.module_utils._host.devlink import Port
from ansible_collections.vfio.migration.plugins.module_utils._host.facts import gather_facts
from ansible_collections.vfio.migration.plugins.module_utils._host.processes import Holders
from ansible_collections.vfio.migration.plugins.module_utils._host.reading import HostReadError
from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import Sysfs
from ansible_collections.vfio.migration.tests.unit.sysfs_trees import (
    GPU,
    SELF,
    UUIDS,
    Tree,
    nobody,
)
from ansible_collections.vfio.migration.tests.unit.vendor_trees import TREES

SELF_TEXT = SELF.format(type="i915-GVTg_V5_4", aggregator=2)
VF = "0000:01:00.2"
UNKNOWN: dict[str, object] = {
    "supported": None,
    "evidence": "unknown",
    "features": [],
    "state": None,
}


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path / "sys")


def gather(tree: Tree, kinds=KINDS, scan_holders=nobody):
    return gather_facts(Sysfs(str(tree.root)), scan_holders, kinds)


def only_device(tree: Tree):
    facts = gather(tree)
    assert facts["problems"] == []
    (device,) = facts["devices"]
    return device


def add_pci(tree: Tree, address: str, driver: str | None, **ids: str) -> str:
    device = f"devices/pci0000:00/{address}"
    ids = {
        "vendor": "0x15b3",
        "device": "0x101e",
        "subsystem_vendor": "0x15b3",
        "subsystem_device": "0x0008",
        **ids,
    }
    for name, value in ids.items():
        tree.write(f"{device}/{name}", value + "\n")
    tree.write(f"{device}/numa_node", "-1\n")
    if driver:
        tree.link(f"{device}/driver", f"bus/pci/drivers/{driver}")
    tree.link(f"bus/pci/devices/{address}", device)
    return device


def test_a_host_without_vfio_has_empty_lists(tree):
    def scan_holders():
        raise AssertionError("there is nothing to be held")

    facts = gather(tree, scan_holders=scan_holders)
    assert facts.pop("gathered")["boot"] is None
    assert facts == {
        "schema": 1,
        "descriptors": {},
        "devices": [],
        "parents": [],
        "problems": [],
    }


def test_a_mediated_device(tree):
    tree.add_gpu()
    tree.add_migration(tree.add_mdev(aggregator="2"), SELF_TEXT)
    holder = {"pid": 4711, "name": "vm-17"}
    facts = gather(tree, scan_holders=lambda: Holders({"/dev/vfio/7": holder}, complete=True))
    (digest,) = facts["descriptors"]
    assert facts["devices"] == [
        {
            "kind": "mdev",
            "id": UUIDS[0],
            "parent": GPU,
            "type": "i915-GVTg_V5_4",
            "descriptor": digest,
            "attributes": [{"name": "intel_vgpu/aggregator", "value": "2"}],
            "numa_node": 1,
            "iommu_group": 7,
            "driver": "intel_vgpu_mdev",
            "in_use": holder,
            "migration": UNKNOWN,
        }
    ]
    assert facts["problems"] == []


def test_a_parent_and_its_types(tree):
    tree.add_gpu()
    (parent,) = gather(tree)["parents"]
    types = parent.pop("types")
    assert parent == {
        "kind": "mdev",
        "id": GPU,
        "driver": "i915",
        "pci_id": "80865963",
        "numa_node": 1,
    }
    assert types[2] == {
        "id": "i915-GVTg_V5_4",
        "name": "GVTg_V5_4",
        "device_api": "vfio-pci",
        "available_instances": 4,
        "description": None,
    }
    assert [each["id"][-1] for each in types] == ["1", "2", "4", "8"]


def test_a_parent_that_is_a_virtual_function_and_the_limits_of_its_types(tree):
    tree.add_gpu()
    device = f"devices/pci0000:00/{GPU}"
    tree.link(f"{device}/physfn", "devices/pci0000:00/0000:00:01.0")
    description = "num_heads=4, frl_config=60, framebuffer=8192M, max_instance=6"
    tree.write(f"{device}/mdev_supported_types/i915-GVTg_V5_1/description", f"{description}\n")
    (parent,) = gather(tree)["parents"]
    assert parent["physical_function"] == "0000:00:01.0"
    first, second, *_others = parent["types"]
    assert (first["max_instance"], first["framebuffer"]) == (6, 8192)
    assert not {"max_instance", "framebuffer"} & second.keys()


def test_equal_descriptors_are_sent_once(tree):
    tree.add_gpu()
    for number, uuid in enumerate(UUIDS[:3]):
        tree.add_migration(tree.add_mdev(uuid, group=number), SELF_TEXT)
    facts = gather(tree)
    assert len(facts["descriptors"]) == 1
    assert {each["descriptor"] for each in facts["devices"]} == set(facts["descriptors"])


def test_the_same_tree_gives_the_same_bytes_at_any_time(tmp_path):
    def build(name: str, uuids: list[str]) -> str:
        tree = Tree(tmp_path / name)
        tree.add_gpu()
        for uuid in uuids:
            tree.add_mdev(uuid)
        add_pci(tree, "0000:03:00.1", "mlx5_vfio_pci")
        facts = gather(tree)
        del facts["gathered"]
        return json.dumps(facts)

    assert build("one", UUIDS) == build("other", UUIDS[::-1])


def test_only_the_kinds_asked_for_are_gathered(tree):
    tree.add_gpu()
    tree.add_mdev()
    add_pci(tree, "0000:03:00.1", "mlx5_vfio_pci")
    assert [each["kind"] for each in gather(tree, ["mdev"])["devices"]] == ["mdev"]
    facts = gather(tree, ["pci"])
    assert [each["kind"] for each in facts["devices"]] == ["pci"]
    assert facts["parents"] == []


def test_a_virtual_function(tree):
    device = add_pci(tree, "0000:03:00.1", "mlx5_vfio_pci")
    tree.link(f"{device}/physfn", "devices/pci0000:00/0000:03:00.0")
    tree.link(f"{device}/iommu_group", "kernel/iommu_groups/12")
    facts = only_device(tree)
    assert facts.pop("descriptor") is not None
    assert facts == {
        "kind": "pci",
        "id": "0000:03:00.1",
        "parent": "0000:03:00.0",
        "type": "pci-15b3101e-15b30008",
        "attributes": [],
        "numa_node": None,
        "iommu_group": 12,
        "driver": "mlx5_vfio_pci",
        "in_use": None,
        "migration": {
            **UNKNOWN,
            "evidence": "driver mlx5_vfio_pci supports it where its port was made migratable before it was bound,"
            " which is not shown here",
        },
    }


@pytest.mark.parametrize(
    ("driver", "reported"),
    [
        ("vfio-pci", True),
        ("pds-vfio-pci", True),
        ("hisi_acc_vfio_pci", True),
        ("mlx5_core", False),
        (None, False),
    ],
)
def test_pci_devices_are_reported_by_their_driver(tree, driver, reported):
    add_pci(tree, "0000:03:00.1", driver)
    assert bool(gather(tree)["devices"]) == reported


def test_pci_devices_are_reported_if_the_driver_registers_them_with_vfio(tree):
    device = add_pci(tree, "0000:03:00.1", "nvidia")
    (tree.root / device / "vfio-dev/vfio3").mkdir(parents=True)
    holder = {"pid": 1, "name": "x"}
    facts = gather(
        tree, scan_holders=lambda: Holders({"/dev/vfio/devices/vfio3": holder}, complete=True)
    )
    assert facts["devices"][0]["in_use"] == holder


def test_pci_devices_are_reported_if_they_state_a_descriptor(tree):
    device = add_pci(tree, "0000:03:00.1", "ice")
    tree.add_migration(device, SELF.format(type="ice-vf", aggregator=1))
    assert only_device(tree)["type"] == "ice-vf"


def test_a_stated_descriptor_that_is_malformed_leaves_the_signature(tree):
    device = add_pci(tree, "0000:03:00.1", "ice")
    tree.add_migration(device, "type")
    facts = gather(tree)
    assert facts["devices"][0]["type"] == "pci-15b3101e-15b30008"
    assert facts["devices"][0]["descriptor"] is None
    assert facts["descriptors"] == {}
    assert facts["problems"] == [
        {
            "path": f"{tree.root}/bus/pci/devices/0000:03:00.1/migration/self",
            "problem": "line 1 has no '=': 'type'; expected name=value",
        }
    ]


def test_one_odd_device_does_not_hide_the_others(tree):
    tree.add_gpu()
    odd = tree.add_mdev(UUIDS[0])
    tree.add_mdev(UUIDS[1])
    (tree.root / odd / "mdev_type").unlink()
    facts = gather(tree)
    assert [each["id"] for each in facts["devices"]] == [UUIDS[1]]
    assert facts["problems"] == [
        {
            "path": f"{tree.root}/bus/mdev/devices/{UUIDS[0]}/mdev_type",
            "problem": "no such file or directory",
        }
    ]


def test_what_is_no_device_among_the_pci_devices_is_a_problem(tree):
    address = add_pci(tree, "0000:01:00.0", "vfio-pci")
    tree.write("bus/pci/devices/0000:02:00.0", "")
    facts = gather(tree)
    assert [each["id"] for each in facts["devices"]] == [address.rpartition("/")[2]]
    (problem,) = facts["problems"]
    assert problem["path"].endswith("bus/pci/devices/0000:02:00.0")


def test_a_device_whose_group_the_host_uses_as_well_cannot_migrate(tree):
    group = "kernel/iommu_groups/9"
    for address, driver in (("0000:01:00.0", "mlx5_vfio_pci"), ("0000:01:00.1", "e1000")):
        device = add_pci(tree, address, driver)
        tree.link(f"{device}/iommu_group", group)
        tree.link(f"{group}/devices/{address}", device)
    migration = only_device(tree)["migration"]
    assert migration["supported"] is False
    assert "group 9: 0000:01:00.1 with driver e1000" in migration["evidence"]


@pytest.mark.parametrize(
    ("driver", "migratable", "supported"),
    [
        ("mlx5_vfio_pci", True, True),
        ("mlx5_vfio_pci", False, False),
        ("mlx5_vfio_pci", None, None),
        ("hisi_acc_vfio_pci", False, True),
    ],
)
def test_devlink_tells_what_was_made_migratable_and_what_was_not(
    tree, driver, migratable, supported
):
    add_pci(tree, "0000:01:00.2", driver)
    facts = gather_facts(
        Sysfs(str(tree.root)), nobody, find_port=lambda address: Port("0000:01:00.0", 1, migratable)
    )
    migration = facts["devices"][0]["migration"]
    assert migration["supported"] is supported
    if driver == "mlx5_vfio_pci" and migratable is not None:
        verb = "is" if supported else "is not"
        assert migration["evidence"] == (
            f"devlink shows that its port pci/0000:01:00.0/1 {verb} migratable"
        )


def test_a_switch_that_is_on_does_not_outrank_debugfs(tree):
    add_pci(tree, "0000:01:00.2", "mlx5_vfio_pci")
    (tree.root / "kernel/debug/vfio/0000:01:00.2").mkdir(parents=True)
    facts = gather_facts(
        Sysfs(str(tree.root)), nobody, find_port=lambda address: Port("0000:01:00.0", 1, True)
    )
    assert facts["devices"][0]["migration"]["supported"] is False


def test_what_a_card_is_told_of_its_functions_is_shown(tree):
    asked = []

    def ask_network(address):
        asked.append(address)
        return {VF: {"mac": "52:54:00:12:34:56", "vlan": 100}}

    add_pci(tree, "0000:01:00.0", "mlx5_core")
    for address in (VF, "0000:01:00.3"):
        device = add_pci(tree, address, "vfio-pci")
        tree.link(f"{device}/physfn", "devices/pci0000:00/0000:01:00.0")
    for scan_holders in (nobody, processes.unknown):
        facts = gather_facts(Sysfs(str(tree.root)), scan_holders, ask_network=ask_network)
        assert [each.get("network") for each in facts["devices"]] == [
            {"mac": "52:54:00:12:34:56", "vlan": 100},
            None,
        ]
    # Once for both of them.
    assert asked == ["0000:01:00.0"] * 2


def test_what_could_not_be_set_of_a_function_is_a_problem(tree):
    def ask_network(address):
        return {VF: {"mac": "01:00:5e:00:00:01"}}

    add_pci(tree, "0000:01:00.0", "mlx5_core")
    device = add_pci(tree, VF, "vfio-pci")
    tree.link(f"{device}/physfn", "devices/pci0000:00/0000:01:00.0")
    facts = gather_facts(Sysfs(str(tree.root)), nobody, ask_network=ask_network)
    assert "network" not in facts["devices"][0]
    assert [each["path"].rpartition("/")[2] for each in facts["problems"]] == [VF]
    assert "mac is '01:00:5e:00:00:01'" in facts["problems"][0]["problem"]


def test_a_card_that_does_not_answer_is_one_problem(tree):
    def ask_network(address):
        raise HostReadError("/sys/net", "odd")

    add_pci(tree, "0000:01:00.0", "mlx5_core")
    for address in (VF, "0000:01:00.3"):
        device = add_pci(tree, address, "vfio-pci")
        tree.link(f"{device}/physfn", "devices/pci0000:00/0000:01:00.0")
    facts = gather_facts(Sysfs(str(tree.root)), processes.unknown, ask_network=ask_network)
    assert [each["problem"] for each in facts["problems"]] == ["odd"]
    assert len(facts["devices"]) == 2
    assert not any("network" in each for each in facts["devices"])


@pytest.mark.parametrize(("current", "supported"), [("0", False), ("1428", True)])
def test_a_function_without_a_type_has_no_state_whatever_debugfs_shows(tree, current, supported):
    next(each for each in TREES if str(each) == f"pci-nvidia-{current}").build(tree)
    (device,) = gather(tree)["devices"]
    tree.write(f"kernel/debug/vfio/{device['id']}/migration/state", "RUNNING\n")
    (shown,) = gather(tree)["devices"]
    assert shown["migration"]["supported"] is supported
    # Debugfs tells more of one that has a type, and nothing of one that has none.
    assert (shown["migration"] == device["migration"]) is not supported


def test_one_odd_type_does_not_hide_the_others(tree):
    tree.add_gpu()
    odd = f"class/mdev_bus/{GPU}/mdev_supported_types/i915-GVTg_V5_2"
    (tree.root / odd / "device_api").unlink()
    facts = gather(tree)
    assert [each["id"][-1] for each in facts["parents"][0]["types"]] == ["1", "4", "8"]
    assert facts["problems"] == [
        {"path": f"{tree.root}/{odd}/device_api", "problem": "no such file or directory"}
    ]


def test_a_device_that_vanishes_while_it_is_read_is_left_out(tree):
    tree.add_gpu()
    for uuid in UUIDS[:3]:
        tree.add_mdev(uuid)

    class Vanishing(Sysfs):
        def link(self, *names):
            if names[-1] == UUIDS[1]:
                (tree.root / "bus/mdev/devices" / UUIDS[1]).unlink()
                shutil.rmtree(tree.root / f"devices/pci0000:00/{GPU}/{UUIDS[1]}")
            return super().link(*names)

    facts = gather_facts(Vanishing(str(tree.root)), nobody, ["mdev"])
    assert [each["id"] for each in facts["devices"]] == [UUIDS[0], UUIDS[2]]
    assert facts["problems"] == [
        {
            "path": f"{tree.root}/bus/mdev/devices/{UUIDS[1]}",
            "problem": "vanished while it was read",
        }
    ]


def test_a_device_whose_parent_is_not_listed_is_reported_as_far_as_it_goes(tree):
    tree.add_gpu()
    tree.add_migration(tree.add_mdev(), SELF_TEXT)
    (tree.root / "class/mdev_bus" / GPU).unlink()
    facts = gather(tree)
    (device,) = facts["devices"]
    assert (device["parent"], device["numa_node"]) == (GPU, None)
    assert device["descriptor"] in facts["descriptors"]
    assert facts["problems"] == [
        {
            "path": f"{tree.root}/class/mdev_bus/{GPU}",
            "problem": "no such file or directory",
        }
    ]


def test_a_place_that_cannot_be_listed_is_a_problem(tree):
    tree.write("bus/mdev/devices", "")
    add_pci(tree, "0000:03:00.1", "vfio-pci")
    facts = gather(tree)
    assert [each["kind"] for each in facts["devices"]] == ["pci"]
    assert facts["problems"] == [
        {"path": f"{tree.root}/bus/mdev/devices", "problem": "not a directory"}
    ]


def test_names_that_cannot_be_shown_are_escaped(tree):
    tree.add_gpu()
    device = tree.add_mdev(UUIDS[0])
    tree.write(f"{device}/migration/self/\udcff\x1b", "1")
    device = tree.add_mdev(UUIDS[1])
    tree.link(f"{device}/migration/self/\udcff\x1b", device)
    tree.add_mdev("\udcff")
    facts = gather(tree)
    json.dumps(facts, ensure_ascii=False).encode()
    assert [each["id"] for each in facts["devices"]] == [*UUIDS[:2], "\\udcff"]
    assert [each["problem"] for each in facts["problems"]] == [
        "'\\udcff\\x1b' is not an attribute name; expected at most 255 letters, digits, '_', '.' and '-'",
        "a symbolic link; expected a file",
    ]
    assert facts["problems"][1]["path"].endswith(f"{UUIDS[1]}/migration/self/\\udcff\\x1b")


def test_what_a_user_may_not_read_is_a_problem(tree, monkeypatch):
    tree.add_gpu()
    tree.add_migration(tree.add_mdev(), SELF_TEXT)
    opened = os.open

    def open_as_user(path, *arguments, **others):
        if path == "self":
            raise PermissionError(errno.EACCES, "Permission denied")
        return opened(path, *arguments, **others)

    monkeypatch.setattr(os, "open", open_as_user)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    facts = gather(tree)
    assert facts["devices"][0]["descriptor"] is None
    assert facts["problems"] == [
        {
            "path": f"{tree.root}/bus/mdev/devices/{UUIDS[0]}/migration/self",
            "problem": "permission denied; run as root",
        }
    ]


def test_in_a_copied_tree_it_is_unknown_who_holds_a_device(tree):
    tree.add_gpu()
    tree.add_mdev()
    facts = gather(tree, scan_holders=processes.unknown)
    assert facts["devices"][0]["in_use"] == {"pid": None, "name": None}


def test_a_device_whose_driver_can_migrate(tree):
    tree.add_gpu()
    tree.add_mdev()
    tree.write(f"kernel/debug/vfio/{UUIDS[0]}/migration/state", "RUNNING\n")
    assert only_device(tree)["migration"] == {
        "supported": True,
        "evidence": "debugfs",
        "features": [],
        "state": "RUNNING",
    }
    tree.write(f"kernel/debug/vfio/{UUIDS[0]}/migration/features", "stop-copy\np2p\n")
    assert only_device(tree)["migration"]["features"] == ["stop-copy", "p2p"]


def test_a_device_whose_driver_cannot_migrate(tree):
    tree.add_gpu()
    tree.add_mdev()
    (tree.root / f"kernel/debug/vfio/{UUIDS[0]}").mkdir(parents=True)
    assert only_device(tree)["migration"]["supported"] is False
