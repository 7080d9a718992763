# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Verdicts, pairs and plans for vDPA devices, whose descriptors say all that these need to know."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.vfio.migration.plugins.filter.compatible_pairs import compatible_pairs
from ansible_collections.vfio.migration.plugins.filter.explain import explain
from ansible_collections.vfio.migration.plugins.filter.migration_plan import migration_plan
from ansible_collections.vfio.migration.plugins.module_utils._host.facts import gather_facts
from ansible_collections.vfio.migration.plugins.module_utils._host.processes import Holders
from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import Sysfs
from ansible_collections.vfio.migration.plugins.module_utils._host.vdpa import VDPA_DEVICES
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import Conditions
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify import violations
from ansible_collections.vfio.migration.tests.unit.sysfs_trees import Tree, nobody
from ansible_collections.vfio.migration.tests.unit.vdpa_hosts import (
    MAC,
    MQ_BIT,
    SIMULATED,
    VdpaKernel,
    apply_vdpa,
    management_device,
    vdpa_device,
)

STATUS = 1 << 16
ANY_LAYOUT = 1 << 27
SOURCE = {"host": "a", "id": "vdpa0"}


@pytest.fixture
def fleet(tmp_path):
    """Build a guest on a that accepted all features but one, which b lacks; c lacks another, d has nothing."""

    def facts(host, device=None, scan_holders=nobody):
        tree = Tree(tmp_path / host)
        kernel = VdpaKernel(tree)
        if device is not None:
            kernel.put(device)
        return gather_facts(Sysfs(str(tree.root)), scan_holders, ["vdpa"], kernel.ask)

    held = Holders({"/dev/vhost-vdpa-0": {"pid": 4711, "name": "vm-17"}}, complete=True)
    return {
        "a": facts("a", vdpa_device(negotiated=SIMULATED & ~ANY_LAYOUT), lambda: held),
        "b": facts("b", vdpa_device(features=SIMULATED & ~ANY_LAYOUT)),
        "c": facts("c", vdpa_device(features=SIMULATED & ~STATUS)),
        "d": facts("d"),
    }


def test_a_guest_goes_where_its_features_are(fleet):
    plan = migration_plan(fleet, drain=["a"])
    (placement,) = plan["placements"]
    assert (plan["status"], placement["vm"]) == ("optimal", "vm-17")
    assert (placement["target"]["host"], placement["target"]["create"]) == ("b", False)
    pairs = compatible_pairs(fleet, sources=["a"])["pairs"]
    assert [pair["pairs"] for pair in pairs] == [1]


def test_it_is_told_what_stands_in_the_way_elsewhere(fleet):
    plan = migration_plan(fleet, drain=["a"], targets=["c"])
    assert plan["status"] == "infeasible"
    reasons = [each["reason"] for each in plan["unplaced"][0]["reasons"]]
    assert (
        "no instance of net left under vdpasim_net on c: 1 in use, by no process (vdpa0)" in reasons
    )
    assert explain(fleet, SOURCE, "c")["sentences"] == reasons


# --- new devices -----------------------------------------------------------------------------------------------------


def target(tmp_path, *management_devices, devices=()):
    """Build a host with these management devices, and what its kernel does."""
    tree = Tree(tmp_path / f"target{len(list(tmp_path.iterdir()))}")
    kernel = VdpaKernel(tree)
    (tree.root / VDPA_DEVICES).mkdir(parents=True)
    kernel.management_devices = list(management_devices)
    for each in devices:
        kernel.put(each)
    return kernel, gather_facts(Sysfs(str(tree.root)), nobody, ["vdpa"], kernel.ask)


def source(tmp_path, *devices):
    _kernel, facts = target(tmp_path, management_device(), devices=devices)
    for number, each in enumerate(facts["devices"]):
        each["in_use"] = {"pid": 100 + number, "name": f"vm-{number}"}
    return facts


def make(kernel, devices):
    """Apply a plan's list as the module does; return what that returns."""
    blank = dict.fromkeys(("mac", "mtu", "max_vqp", "device_features", "accept"))
    # As Ansible does, by the module's argument specification.
    listed = [{**blank, **each, "mtu": each.get("mtu") and int(each["mtu"])} for each in devices]
    return apply_vdpa(kernel, *listed)


def test_a_device_is_made_with_what_its_source_offers(tmp_path):
    device = vdpa_device(features=SIMULATED & ~MQ_BIT, mtu=9000, negotiated=SIMULATED & ~ANY_LAYOUT)
    kernel, facts = target(tmp_path, management_device("pci/0000:65:00.2", SIMULATED | 1 << 45))
    plan = migration_plan({"a": source(tmp_path, device), "b": facts}, drain=["a"])
    (placement,) = plan["placements"]
    assert placement["target"] == {
        "host": "b",
        "kind": "vdpa",
        "id": "vdpa0",
        "parent": "pci/0000:65:00.2",
        "type": "net",
        "attributes": [
            {"name": "mac", "value": MAC},
            {"name": "mtu", "value": "9000"},
            {"name": "device_features", "value": hex(SIMULATED & ~MQ_BIT)},
        ],
        "create": True,
    }
    assert placement["certainty"] == "provisional"
    (warning,) = placement["warnings"]
    assert "derived from what the kernel says of a vDPA device" in warning
    (made,) = make(kernel, plan["hosts"]["b"]["vdpa_devices"])
    assert (made["action"], made["mgmtdev"]) == ("created", "pci/0000:65:00.2")
    # Once it is made, it is what the guest is planned to go to.
    facts = gather_facts(Sysfs(str(kernel.tree.root)), nobody, ["vdpa"], kernel.ask)
    again = migration_plan({"a": source(tmp_path, device), "b": facts}, drain=["a"])
    assert again["placements"][0]["target"]["create"] is False
    assert make(kernel, again["hosts"]["b"]["vdpa_devices"])[0]["action"] == "unchanged"


def test_a_device_is_made_without_what_the_target_lacks_and_the_guest_does_not_use(tmp_path):
    device = vdpa_device(negotiated=SIMULATED & ~ANY_LAYOUT)
    kernel, facts = target(tmp_path, management_device(features=SIMULATED & ~ANY_LAYOUT))
    plan = migration_plan({"a": source(tmp_path, device), "b": facts}, drain=["a"])
    (listed,) = plan["hosts"]["b"]["vdpa_devices"]
    assert listed["device_features"] == [hex(SIMULATED & ~ANY_LAYOUT)]
    assert make(kernel, [listed])[0]["action"] == "created"


@pytest.mark.parametrize(
    ("offered", "sentence"),
    [
        (
            management_device(features=SIMULATED & ~STATUS),
            "a new net under vdpasim_net on b has no feature_STATUS; offered is needed",
        ),
        (management_device(ids=(2,)), "a new block under vdpasim_net on b has type block"),
        (management_device(features=None), "b has no VFIO device with a usable descriptor"),
    ],
)
def test_where_no_such_device_can_be_made_it_is_told_why(tmp_path, offered, sentence):
    _kernel, facts = target(tmp_path, offered)
    device = vdpa_device(negotiated=SIMULATED & ~ANY_LAYOUT)
    plan = migration_plan({"a": source(tmp_path, device), "b": facts}, drain=["a"])
    assert plan["status"] == "infeasible"
    assert any(sentence in each["reason"] for each in plan["unplaced"][0]["reasons"])


def test_features_that_a_guest_has_not_accepted_yet_prove_nothing(tmp_path):
    _kernel, facts = target(tmp_path, management_device(features=SIMULATED & ~STATUS))
    plan = migration_plan({"a": source(tmp_path, vdpa_device()), "b": facts}, drain=["a"])
    assert plan["status"] == "unproven"
    assert any("feature_STATUS" in each for each in plan["assumptions"])


def test_queues_that_the_target_has_not_are_not_planned(tmp_path):
    device = vdpa_device(features=SIMULATED | MQ_BIT, max_vqp=4)
    facts = {}
    for name, max_vqs in (("b", 7), ("c", 8)):
        offered = replace(management_device(features=SIMULATED | MQ_BIT), max_vqs=max_vqs)
        facts[name] = target(tmp_path, offered)[1]
    facts["a"] = source(tmp_path, device)
    assert migration_plan(facts, drain=["a"], targets=["b"])["status"] == "infeasible"
    plan = migration_plan(facts, drain=["a"])
    assert plan["placements"][0]["target"]["host"] == "c"
    assert {"name": "max_vqp", "value": "4"} in plan["placements"][0]["target"]["attributes"]


def test_a_management_device_makes_one_device(tmp_path):
    devices = [vdpa_device(f"vdpa{n}", mac=f"02:00:00:00:00:0{n}") for n in range(3)]
    _kernel, facts = target(
        tmp_path,
        *(management_device(f"pci/0000:65:00.{n}") for n in range(3)),
        devices=[vdpa_device("vdpa9", mgmtdev="pci/0000:65:00.0")],
    )
    plan = migration_plan({"a": source(tmp_path, *devices), "b": facts}, drain=["a"])
    assert [each["mgmtdev"] for each in plan["hosts"]["b"]["vdpa_devices"]] == [
        "pci/0000:65:00.1",
        "pci/0000:65:00.2",
    ]
    assert len(plan["unplaced"]) == 1


@pytest.mark.parametrize("name", ["vdpa9", "-j", "a/b", "x" * 101])
def test_a_name_that_is_taken_or_is_none_becomes_another(tmp_path, name):
    facts = source(tmp_path, vdpa_device())
    facts["devices"][0]["id"] = name
    kernel, target_facts = target(
        tmp_path,
        management_device("pci/0000:65:00.1"),
        management_device("pci/0000:65:00.2"),
        devices=[vdpa_device("vdpa9", mgmtdev="pci/0000:65:00.2", mac="02:00:00:00:00:01")],
    )
    plan = migration_plan({"a": facts, "b": target_facts}, drain=["a"])
    (listed,) = plan["hosts"]["b"]["vdpa_devices"]
    assert listed["name"] != name
    assert make(kernel, [listed])[0]["action"] == "created"


@pytest.mark.parametrize(
    "damage",
    [
        {"id": "-j"},
        {"kind": "mdev"},
        {"parent": "pci/0000:65:00.7"},
        {"type": "block"},
        {"attributes": [{"name": "device_features", "value": hex(1 << 40)}]},
        {"attributes": [{"name": "mac", "value": MAC}]},
    ],
)
def test_a_plan_for_another_device_is_no_plan(tmp_path, damage):
    _kernel, facts = target(tmp_path, management_device())
    fleet = {"a": source(tmp_path, vdpa_device()), "b": facts}
    plan = migration_plan(fleet, drain=["a"])
    conditions = Conditions(drain=["a"])
    assert violations(plan, fleet, conditions) == []
    plan["placements"][0]["target"].update(damage)
    assert violations(plan, fleet, conditions) != []
