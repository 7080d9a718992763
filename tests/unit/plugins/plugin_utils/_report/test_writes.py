# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the report says is written on each host is what the modules write there."""

from __future__ import annotations

import copy
import typing as t
from pathlib import Path

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._change.mdev_plan import (
    MdevHost,
    MdevPlanner,
    validate,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.pci_plan import PciPlanner
from ansible_collections.vfio.migration.plugins.module_utils._change.pci_plan import (
    validate as validate_pci,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.plan import PRESENT
from ansible_collections.vfio.migration.plugins.module_utils._change.vdpa_plan import (
    VdpaPlanner,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.vdpa_plan import (
    validate as validate_vdpa,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.facts import gather_facts
from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import Sysfs
from ansible_collections.vfio.migration.plugins.module_utils._host.vdpa import VDPA_DEVICES
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.plan_options import plan_for
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.report_options import (
    report_for,
)
from ansible_collections.vfio.migration.tests.unit import cards
from ansible_collections.vfio.migration.tests.unit.fleets import UUIDS, device, host, parent
from ansible_collections.vfio.migration.tests.unit.pci_trees import (
    BRIDGE,
    CARD,
    FIRST,
    PciKernel,
    PciTree,
    pci_host,
)
from ansible_collections.vfio.migration.tests.unit.sysfs_trees import GPU, Tree, nobody
from ansible_collections.vfio.migration.tests.unit.vdpa_hosts import (
    VdpaKernel,
    vdpa_device,
    vdpa_host,
    wanted_vdpa,
)


def report_of(facts: t.Any, **options: t.Any) -> t.Any:
    return report_for(facts, plan=plan_for(facts, **options))["plan"]


def lines(report: t.Any) -> list[tuple[str, ...]]:
    return [
        (each["action"], each["device"], each["attribute"] or each["what"], each["after"])
        for of_host in report["writes"]
        for each in of_host["writes"]
    ]


# What was made for the guest in an earlier run: nothing, or the device with its attribute as it is by default, or as it is
# wanted, spelt in the one way or the other.
@pytest.mark.parametrize("there", [None, "1", "2", "0x2"])
def test_what_is_written_is_what_the_modules_diff_shows(tmp_path: Path, there: str | None) -> None:
    tree = Tree(tmp_path / "sys")
    tree.add_gpu()
    if there:
        tree.add_mdev(UUIDS[0], share=4, aggregator=there)
    sysfs = Sysfs(str(tree.root))
    target = dict(gather_facts(sysfs, nobody))
    own = {
        "software_version": "0.0",
        "device_api": "vfio-pci",
        "type": "i915-GVTg_V5_4",
        "pci_id": "80865963",
    }
    pattern = {**own, "aggregator": "2"}
    del pattern["software_version"]
    source = host(
        [device(UUIDS[0], {"self": {**own, "aggregator": "2"}, "compatible": [pattern]}, vm="vm")]
    )
    plan = plan_for({"a": source, "b": target}, drain=["a"])
    assert plan["unplaced"] == []
    report = report_for({"a": source, "b": target}, plan=plan)["plan"]
    tasks = plan["hosts"]["b"]["devices"]
    planner = MdevPlanner(MdevHost(sysfs, nobody, None), False)
    diff = planner.plan(validate(copy.deepcopy(tasks), PRESENT), PRESENT).diff()
    assert {each[1] for each in lines(report)} == set(diff["after"])
    for name, after in diff["after"].items():
        before = diff["before"].get(name, {})
        written = {
            each[2]: each[3] for each in lines(report) if each[1] == name and each[0] == "set"
        }
        values = {each["name"]: each["value"] for each in after["attributes"]}
        old = {each["name"]: each["value"] for each in before.get("attributes", ())}
        assert written == {key: value for key, value in values.items() if old.get(key) != value}
        created = [each for each in lines(report) if each[1] == name and each[0] == "create"]
        assert bool(created) == (not before)
    writes = [each for of_host in report["writes"] for each in of_host["writes"]]
    assert all(each["where"] in (GPU, None) for each in writes)


def values(entry: t.Any) -> dict[str, str]:
    return {each["name"]: each["value"] for each in entry.get("attributes", ())}


def settings(report: t.Any, device_id: str) -> dict[str, str]:
    return {each[2]: each[3] for each in lines(report) if each[:2] == ("set", device_id)}


def pci_diff(plan: t.Any, kernel: PciKernel) -> t.Any:
    """Return what vfio_pci shows on host b, which is ``kernel``, for what the plan has there."""
    blank: t.Any = {"driver": None, "migratable": None, "keep_driver": False, "parent": None}
    tasks = [{**blank, **each} for each in plan["hosts"]["b"]["pci_devices"]]
    wanted = validate_pci(
        {"functions": [], "devices": copy.deepcopy(tasks), "state": PRESENT, "force": False}
    )
    return PciPlanner(pci_host(kernel)).plan(wanted).diff()


# The parameters of the source and of the target; the type of the target.
@pytest.mark.parametrize(
    ("params", "there", "given"),
    [
        ("", "", "0"),
        ("frame_rate_limiter=0", "", "0"),
        ("frame_rate_limiter=0,disable_vnc=1", "disable_vnc=1,frame_rate_limiter=0", "0"),
        ("frame_rate_limiter=0,disable_vnc=1", "disable_vnc=1,frame_rate_limiter=0", "1429"),
        ("frame_rate_limiter=0", "", "1429"),
    ],
)
def test_the_types_of_functions_are_written_as_the_modules_diff_shows(
    tmp_path: Path, params: str, there: str, given: str
) -> None:
    def facts(kernel: PciKernel) -> dict[str, t.Any]:
        return dict(gather_facts(kernel, nobody, ["pci"], find_port=lambda address: None))

    def set_up(kernel: PciKernel, mdev_type: str, values: str) -> None:
        function = kernel.tree.device(FIRST) / "nvidia"
        (function / "current_vgpu_type").write_text(f"{mdev_type}\n")
        (function / "vgpu_params").write_text(f"{values}\n")

    here, target = (PciKernel(PciTree(tmp_path / name), None) for name in ("a", "b"))
    for kernel in (here, target):
        kernel.tree.add_functions(2, "nvidia")
    set_up(here, "1429", params)
    set_up(target, "0", there)
    source = facts(here)
    source["devices"][0]["in_use"] = {"pid": 7, "name": "vm"}
    plan = plan_for({"a": source, "b": facts(target)}, guests=["vm"])
    assert plan["unplaced"] == []
    # As far as an earlier run has come.
    set_up(target, given, there)
    fleet = {"a": source, "b": facts(target)}
    report = report_for(fleet, plan=plan)["plan"]
    diff = pci_diff(plan, target)
    assert {each[1] for each in lines(report)} == set(diff["after"])
    if not diff["after"]:
        return
    (name,) = list(diff["after"])
    old, new = values(diff["before"][name]), values(diff["after"][name])
    assert new["nvidia/current_vgpu_type"] == "1429"
    assert settings(report, name) == {key: new[key] for key in new if old[key] != new[key]}
    assert {each[1] for each in lines(report)} == {name}
    for side in ("driver", "driver_override"):
        # The plan binds nothing: a function that a vGPU is made of has the vendor's driver already.
        assert diff["before"][name][side] == diff["after"][name][side]


def test_network_settings_are_written_as_the_modules_diff_shows(tmp_path: Path) -> None:
    def facts(kernel: PciKernel) -> dict[str, t.Any]:
        return dict(
            gather_facts(
                kernel,
                nobody,
                ["pci"],
                find_port=lambda address: None,
                ask_network=lambda card: kernel.network.settings,
            )
        )

    here, there = (PciKernel(PciTree(tmp_path / name), None) for name in ("a", "b"))
    for kernel in (here, there):
        kernel.tree.add_functions(1, "nvidia")
        kernel.tree.write(f"{BRIDGE}/{FIRST}/nvidia/current_vgpu_type", "1429\n")
        kernel.network.add(FIRST)
    card = here.network.interface(CARD)
    assert card is not None
    here.network.change(card, FIRST, {"vlan": 100, "mac": "52:54:00:12:34:56", "spoofchk": False})
    source = facts(here)
    source["devices"][0]["in_use"] = {"pid": 7, "name": "vm"}
    fleet = {"a": source, "b": facts(there)}
    plan = plan_for(fleet, guests=["vm"])
    assert plan["unplaced"] == []
    report = report_for(fleet, plan=plan)["plan"]
    # In the order in which the module requests them.
    assert lines(report) == [
        ("set", FIRST, "mac", "52:54:00:12:34:56"),
        ("set", FIRST, "vlan", "100"),
        ("set", FIRST, "spoofchk", "off"),
    ]
    assert [each["before"] for each in report["writes"][0]["writes"]] == [
        "00:00:00:00:00:00",
        "0",
        "on",
    ]
    diff = pci_diff(plan, there)
    old, new = (diff[side][FIRST]["network"] for side in ("before", "after"))
    assert [name for name in new if old[name] != new[name]] == ["mac", "vlan", "spoofchk"]
    (move,) = report["moves"]
    assert "mac=52:54:00:12:34:56, vlan=100" in move["to"]["attributes"]
    (guest,) = report["guests"]
    assert "mac=52:54:00:12:34:56" in guest["becomes"][0]


@pytest.mark.parametrize("stated", [{}, {"mtu": 9000}, {"mtu": 1400, "mac": "02:00:00:00:00:09"}])
def test_vdpa_devices_are_created_as_the_modules_diff_shows(
    tmp_path: Path, stated: dict[str, t.Any]
) -> None:
    def facts(kernel: VdpaKernel) -> dict[str, t.Any]:
        return dict(gather_facts(Sysfs(str(kernel.tree.root)), nobody, ["vdpa"], kernel.ask))

    here, there = (VdpaKernel(Tree(tmp_path / name)) for name in ("a", "b"))
    (there.tree.root / VDPA_DEVICES).mkdir(parents=True)
    here.put(vdpa_device(**stated))
    source = facts(here)
    source["devices"][0]["in_use"] = {"pid": 7, "name": "vm"}
    fleet = {"a": source, "b": facts(there)}
    plan = plan_for(fleet, drain=["a"])
    assert plan["unplaced"] == []
    report = report_for(fleet, plan=plan)["plan"]
    tasks = [
        wanted_vdpa(**{**each, "mtu": each.get("mtu") and int(each["mtu"])})
        for each in plan["hosts"]["b"]["vdpa_devices"]
    ]
    planner = VdpaPlanner(vdpa_host(there))
    diff = planner.plan(validate_vdpa(tasks, PRESENT), PRESENT).diff()
    (write,) = report["writes"][0]["writes"]
    assert diff["before"] == {write["device"]: {}}
    (after,) = list(diff["after"].values())
    assert after["mgmtdev"] == write["where"]
    assert write["after"] == ", ".join(f"{name}={value}" for name, value in values(after).items())


def test_a_type_that_a_function_is_given_is_a_write_with_its_name():
    choices = {"1155": "NVIDIA L40S-8Q", "1160": "NVIDIA L40S-48Q"}
    facts = {
        "a": host([cards.typed(0, "1155", vm="render-1")]),
        "b": host([cards.typeless(number, choices) for number in range(2)]),
    }
    report = report_of(facts, drain=["a"])
    ((_action, device_id, attribute, value),) = lines(report)
    assert (attribute, value) == (cards.CURRENT, "1155")
    (write,) = report["writes"][0]["writes"]
    assert (write["what"], write["before"]) == ("NVIDIA L40S-8Q", "0")
    (guest,) = report["guests"]
    assert guest["hardware"] == ["NVIDIA L40S-8Q"]
    assert "given nvidia/current_vgpu_type=1155 (NVIDIA L40S-8Q)" in guest["becomes"][0]
    assert device_id in {each["id"] for each in facts["b"]["devices"]}


def test_what_is_there_with_all_that_it_needs_is_not_written():
    facts = {"a": host([device(UUIDS[0], vm="vm")]), "b": host([device(UUIDS[1])])}
    assert report_of(facts, drain=["a"])["writes"] == []


def test_a_device_is_created_before_its_attributes_are_set():
    facts = {"a": host([device(UUIDS[0], vm="vm")]), "b": host(parents=[parent()])}
    created, setting = lines(report_of(facts, drain=["a"]))
    assert created == ("create", UUIDS[0], "i915-GVTg_V5_4", None)
    assert setting[:3] == ("set", UUIDS[0], "intel_vgpu/aggregator")
