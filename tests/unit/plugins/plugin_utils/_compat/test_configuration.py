# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a guest sees of two functions decides, in single verdicts, in bulk and in plans."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.vfio.migration.plugins.filter.migration_plan import migration_plan
from ansible_collections.vfio.migration.plugins.module_utils._change.attributes import (
    check_accepted,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.errors import NotAccepted
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.pairs import compatible_pairs
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.verdict import (
    DIRECTIONS,
    verdict,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.wording import sentence
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.descriptor import (
    read_descriptor,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import read_fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._planner import verify
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import Conditions
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import Verdict
from ansible_collections.vfio.migration.tests.unit import naive_pairs
from ansible_collections.vfio.migration.tests.unit.fleets import UUIDS, device, host, parent
from hypothesis import given
from hypothesis import strategies as st

SELF = {
    "software_version": "0.1.0",
    "device_api": "vfio-pci",
    "type": "pci-15b3101e-15b30008",
    "pci_id": "15b3101e",
}
SHOWN = {
    "pci.id": "15b3:101e",
    "pci.class": "020000",
    "pci.header": "00",
    "pci.revision": "01",
    "pci.capabilities": "10@40 11@70",
    "pci.extended": "0001.2@100",
    "pci.11": "003f 00002000 00003000",
    "pci.0001": "00400000 00462030 0000e000 000000a0",
}
DIFFERENCES = {
    "revision": (
        {"pci.revision": "02"},
        "PCI revision is 01 on the source and 02 on the target",
    ),
    "moved": (
        {"pci.capabilities": "10@40 11@80"},
        "PCI capability 0x11 (MSI-X) is at 0x70 on the source and at 0x80 on the target",
    ),
    "missing": (
        {"pci.capabilities": "10@40"},
        "PCI capability 0x11 (MSI-X) is at 0x70 on the source and absent on the target",
    ),
    "order": (
        {"pci.capabilities": "11@70 10@40"},
        "order of the PCI capabilities is 10@40 11@70 on the source and 11@70 10@40 on the target",
    ),
    "content": (
        {"pci.11": "001f 00002000 00003000"},
        "PCI capability 0x11 (MSI-X) is 003f 00002000 00003000 on the source and 001f 00002000 00003000 on the target",
    ),
    "version": (
        {"pci.extended": "0001.1@100"},
        "PCI extended capability 0x0001 (Advanced Error Reporting) is at 0x100 in version 2 on the source and",
    ),
    "errors": (
        {"pci.0001": "00000000 00462030 0000e000 000000a0"},
        "PCI extended capability 0x0001 (Advanced Error Reporting) is 00400000",
    ),
}


def function(shown: dict[str, str] | None = None, **changes: str) -> dict[str, t.Any]:
    """Return the descriptor of a function that a guest sees like this."""
    shown = {**SHOWN, **changes} if shown is None else shown
    own = {"self": SELF, "compatible": [SELF], "origin": "derived"}
    return own | ({"configuration": shown} if shown else {})


def judged(source: dict, target: dict, direction: str = "source_lists") -> Verdict:
    return verdict(read_descriptor(source), read_descriptor(target), direction)


def fleet_of(*descriptors: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return hosts with one function each, of which a guest has the first."""
    return {
        f"h{number}": host(
            [
                device(
                    f"0000:0{number}:00.1",
                    descriptor=each,
                    kind="pci",
                    vm=None if number else "guest",
                )
            ]
        )
        for number, each in enumerate(descriptors)
    }


@pytest.mark.parametrize(("changes", "words"), DIFFERENCES.values(), ids=DIFFERENCES)
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_what_differs_is_named(changes, words, direction):
    found = judged(function(), function(**changes), direction)
    assert not found["compatible"]
    (reason,) = found["reasons"]
    assert (reason["rule"], reason["set"]) == ("configuration", None)
    assert words in sentence(reason, "0000:01:00.1 on b", "b")


def test_equal_functions_are_compatible_without_a_word():
    found = judged(function(), function())
    assert found["compatible"]
    assert found["certainty"] == "derived"
    assert not [each for each in found["warnings"] if "QEMU" in each]


def test_what_a_guest_may_have_written_is_not_held_against_its_function():
    held = {name: value for name, value in SHOWN.items() if name != "pci.0001"}
    found = judged(function(held), function())
    assert found["compatible"]
    assert [each for each in found["warnings"] if "Advanced Error Reporting" in each]


@pytest.mark.parametrize("unread", [("pci.capabilities", "pci.extended"), ("pci.extended",)])
def test_what_could_not_be_read_is_said_as_the_certainty(unread):
    known = {name: value for name, value in SHOWN.items() if name not in unread}
    for pair in ((function(known), function()), (function(), function(known))):
        found = judged(*pair)
        assert (found["compatible"], found["certainty"]) == (True, "assumed")
        assert [each for each in found["warnings"] if "not all" in each]


def test_a_mediated_device_is_known_to_its_guest_by_the_ids_that_it_states():
    mediated = function({})
    found = judged(mediated, function())
    assert (found["compatible"], found["certainty"]) == (True, "assumed")
    found = judged(mediated, function(**{"pci.id": "8086:10ca"}))
    (reason,) = found["reasons"]
    assert (reason["expected"], reason["actual"]) == ("15b3:101e", "8086:10ca")
    assert judged(mediated, function({}))["certainty"] == "derived"


def test_reasons_of_the_descriptor_come_first():
    other = function(**{"pci.revision": "02"})
    other["self"] = {**SELF, "software_version": "1.0.0"}
    rules = [each["rule"] for each in judged(function(), other)["reasons"]]
    assert rules == ["version_major", "configuration"]


@pytest.mark.parametrize("damage", [[], {"pci.id": 7}, {"PCI": "1"}, {"a": "\n"}, {7: "1"}, "text"])
def test_a_configuration_that_is_none_costs_the_device_its_descriptor(damage):
    fleet = read_fleet(fleet_of(function()))
    assert fleet.problems == []
    facts = fleet_of(function())
    (descriptor,) = facts["h0"]["descriptors"].values()
    descriptor["configuration"] = damage
    fleet = read_fleet(facts)
    assert [each.descriptor for each in fleet.devices()] == [None]
    assert "descriptors." in fleet.problems[0]["path"]


def test_a_plan_goes_where_the_guest_sees_the_same():
    facts = fleet_of(function(), function(**DIFFERENCES["moved"][0]), function())
    plan = migration_plan(facts, drain=["h0"])
    assert [each["target"]["host"] for each in plan["placements"]] == ["h2"]
    assert verify.violations(plan, facts) == []
    del facts["h2"]
    plan = migration_plan(facts, drain=["h0"])
    assert plan["status"] == "infeasible"
    (unplaced,) = plan["unplaced"]
    assert "0x11 (MSI-X) is at 0x70" in unplaced["reasons"][0]["reason"]


def test_the_verifier_looks_for_itself():
    facts = fleet_of(function(), function())
    plan = migration_plan(facts, drain=["h0"])
    (descriptor,) = facts["h1"]["descriptors"].values()
    descriptor["configuration"] = SHOWN | {"pci.revision": "02"}
    assert [each for each in verify.violations(plan, facts) if "pci.revision" in each]
    descriptor["configuration"] = {"pci.id": SHOWN["pci.id"]}
    assert [each for each in verify.violations(plan, facts) if "assumed" in each]


CONFIGURATIONS = st.sampled_from(
    [{}, SHOWN, {"pci.id": "8086:10ca"}, {"pci.id": SHOWN["pci.id"]}]
    + [SHOWN | changes for changes, _words in DIFFERENCES.values()]
)


@given(st.lists(st.tuples(CONFIGURATIONS, st.booleans()), min_size=1, max_size=7))
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_in_bulk_it_is_as_for_each_pair(direction, shown):
    descriptors = [function(each) for each, _other in shown]
    for each, (_shown, other) in zip(descriptors, shown, strict=True):
        if other:
            each["self"] = {**SELF, "software_version": "1.0.0"}
    is_as_for_each_pair(fleet_of(*descriptors), direction)


def is_as_for_each_pair(facts: dict[str, t.Any], direction: str) -> None:
    fleet = read_fleet(facts)
    found = compatible_pairs(fleet, direction, expand=True)
    expected = naive_pairs.device_pairs(fleet, direction)
    assert {
        tuple((each[side]["host"], each[side]["id"]) for side in ("source", "target"))
        for each in found["devices"]
    } == set(expected)
    names = sorted(fleet.hosts)
    assert found["misses"] == naive_pairs.misses(found["classes"], names, names, direction)


# --- NVIDIA's GPUs ---------------------------------------------------------------------------------------------------

VGPU_SELF = {
    "software_version": "550.90.05",
    "device_api": "vfio-pci",
    "type": "nvidia-474",
    "pci_id": "10de20b5",
    "driver": "nvidia",
    "type_name": "NVIDIA A100-10C",
}
GPU = {"nvidia.ecc": "on", "nvidia.mig": "off", "nvidia.versions": "0x70001-0x100001"}
VGPU = GPU | {"nvidia.version": "0x100001"}


def vgpu(configuration: dict[str, str], software_version: str = "550.90.05") -> dict[str, t.Any]:
    own = VGPU_SELF | {"software_version": software_version}
    pattern = dict(own)
    return {
        "self": own,
        "compatible": [pattern],
        "origin": "derived",
        "configuration": configuration,
    }


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (GPU | {"nvidia.ecc": "off"}, "ECC of the GPU is on on the source and off on the target"),
        (GPU | {"nvidia.mig": "on"}, "MIG of the GPU is off on the source and on on the target"),
        (
            GPU | {"nvidia.versions": "0x70001-0xf0001"},
            "vGPU version is 0x100001 on the source and one of 0x70001-0xf0001 on the target",
        ),
        (GPU | {"nvidia.versions": "what"}, "one of what"),
    ],
)
def test_gpus_that_do_not_fit_are_named(target, words):
    found = judged(vgpu(VGPU), vgpu(target))
    assert not found["compatible"]
    (reason,) = found["reasons"]
    assert words in sentence(reason, "an mdev on b", "b")


def test_what_the_library_has_answered_is_no_caution_any_more():
    by_hand = judged(vgpu({}), vgpu({}, "550.163.02"))
    assert [each for each in by_hand["warnings"] if "ECC" in each]
    assert [each for each in by_hand["warnings"] if "different host drivers" in each]
    answered = judged(vgpu(VGPU), vgpu(GPU, "550.163.02"))
    assert answered["compatible"]
    assert not [each for each in answered["warnings"] if "ECC" in each or "host drivers" in each]


@pytest.mark.parametrize("release", ["535.161.07", "550.54.15", "570.133.10"])
@pytest.mark.parametrize("source", [VGPU, GPU])
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_gpu_s_host_takes_a_vgpu_by_its_version_whatever_the_release_of_the_driver(
    source, release, direction
):
    taking = GPU | {"nvidia.versions": "0x70001-0x120001"}
    found = judged(vgpu(source), vgpu(taking, release), direction)
    assert found["compatible"], found["reasons"]
    assert found["certainty"] == "derived"
    assert not [each for each in found["warnings"] if "host drivers" in each]


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (VGPU, {}),
        ({}, GPU),
        ({"nvidia.ecc": "on"}, GPU),
        # It may have a version that the target does not take.
        (GPU, GPU | {"nvidia.versions": "0x70002-0x120001"}),
        (GPU, GPU | {"nvidia.versions": "0x70001-0xf0001"}),
    ],
)
def test_releases_are_compared_where_it_is_not_known_that_the_version_is_taken(source, target):
    found = judged(vgpu(source), vgpu(target, "535.161.07"))
    assert (found["compatible"], found["certainty"]) == (False, "assumed")
    (reason,) = found["reasons"]
    assert reason["attribute"] == "software_version"
    # Of the same release both may go.
    assert judged(vgpu(source), vgpu(target))["compatible"]


def test_what_a_driver_declares_of_its_releases_holds_whatever_the_library_says():
    declared = {**vgpu(VGPU), "origin": "directory"}
    assert not judged(declared, vgpu(GPU, "535.161.07"))["compatible"]


NVML = st.sampled_from(
    [{}, GPU, VGPU, VGPU | {"nvidia.version": "0x70001"}]
    + [GPU | {"nvidia.versions": each} for each in ("0x70001-0xf0001", "0x100001-0x120001")]
)


@given(
    st.lists(
        st.tuples(
            NVML,
            st.sampled_from(["535.161.07", "550.90.05", "550.54.15"]),
            st.sampled_from(["nvidia-474", "nvidia-475"]),
        ),
        min_size=1,
        max_size=7,
    ),
    st.sampled_from(["derived", "directory"]),
)
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_of_gpus_it_is_in_bulk_as_for_each_pair(direction, shown, origin):
    descriptors = []
    for configuration, release, number in shown:
        found = vgpu(configuration, release)
        found["self"]["type"] = found["compatible"][0]["type"] = number
        descriptors.append({**found, "origin": origin})
    facts = fleet_of(*descriptors)
    is_as_for_each_pair(facts, direction)
    plan = migration_plan(facts, drain=["h0"], direction=direction)
    assert verify.violations(plan, facts, Conditions(direction=direction)) == []


def test_the_range_of_the_source_s_own_gpu_decides_nothing():
    assert judged(vgpu(VGPU), vgpu(GPU | {"nvidia.versions": "0x100001-0x120001"}))["compatible"]


@pytest.mark.parametrize(
    ("versions", "fits"),
    [
        ("0x70001-0x100001", True),
        ("0x100001-0x120001", True),
        ("0x1-0x70001", True),
        ("0x100002-0x120001", False),
        ("0x1-0x70000", False),
        ("what", False),
    ],
)
def test_a_vgpu_of_unknown_version_has_one_that_its_own_gpu_takes(versions, fits):
    """As of virtual functions without mdev, of which the library does not tell which vGPU each is."""
    target = vgpu(GPU | {"nvidia.versions": versions})
    found = judged(vgpu(GPU), target)
    assert found["compatible"] is fits
    if not fits:
        (reason,) = found["reasons"]
        assert "range of vGPU versions is" in sentence(reason, "a function on b", "b")
    facts = {
        "a": host([device(UUIDS[0], vgpu(GPU), vm="guest")]),
        "b": host([device(UUIDS[1], target)]),
    }
    plan = migration_plan(facts, drain=["a"])
    assert bool(plan["placements"]) is fits
    if not fits:
        fitting = {**facts, "b": host([device(UUIDS[1], vgpu(GPU))])}
        plan = migration_plan(fitting, drain=["a"])
    assert (verify.violations(plan, facts) == []) is fits


def gpu_fleet(**configurations: dict[str, str]) -> dict[str, t.Any]:
    """Return a host with a vGPU of a guest, and hosts that could make one on a GPU with these configurations."""
    source = device("00000000-0000-4000-8000-000000000001", vgpu(VGPU), vm="guest", parent="gpu")
    names = {"nvidia-474": "NVIDIA A100-10C"}
    gpus = {
        name: parent("0000:41:00.4", "10de20b5", {"nvidia-474": 1}, "nvidia", names=names)
        | {"configuration": configuration}
        for name, configuration in configurations.items()
    }
    # What tells the version of the driver there.
    others = {
        name: device(
            f"00000000-0000-4000-8000-00000000001{number}",
            vgpu(configuration),
            vm="another",
            parent="0000:41:00.4",
        )
        for number, (name, configuration) in enumerate(configurations.items())
    }
    return {
        "source": host([source]),
        **{name: host([others[name]], [gpu]) for name, gpu in gpus.items()},
    }


def test_a_new_vgpu_is_planned_where_the_gpu_fits():
    facts = gpu_fleet(off=GPU | {"nvidia.ecc": "off"}, on=GPU)
    plan = migration_plan(facts, drain=["source"])
    assert [each["target"]["host"] for each in plan["placements"]] == ["on"]
    assert verify.violations(plan, facts) == []
    facts["on"]["parents"][0]["configuration"] = GPU | {"nvidia.versions": "0x1-0x2"}
    assert [each for each in verify.violations(plan, facts) if "nvidia.version" in each]
    plan = migration_plan(facts, drain=["source"])
    assert plan["placements"] == []
    said = " ".join(each["reason"] for each in plan["unplaced"][0]["reasons"])
    assert "ECC of the GPU" in said


def test_a_new_vgpu_is_planned_on_a_host_of_another_release_that_takes_its_version():
    facts = gpu_fleet(on=GPU)
    for each in facts["on"]["descriptors"].values():
        each["self"]["software_version"] = each["compatible"][0]["software_version"] = "570.133.10"
    plan = migration_plan(facts, drain=["source"])
    assert [each["target"]["host"] for each in plan["placements"]] == ["on"]
    assert not any("software_version" in each for each in plan["placements"][0]["warnings"])
    assert verify.violations(plan, facts) == []
    # Its host verifies the new device, which is as those that are there.
    (there,) = facts["on"]["descriptors"].values()
    (task,) = plan["hosts"]["on"]["devices"]
    check_accepted(task["uuid"], task["accept"], there, ())
    compared = [{**each, "software_version": "550.90.05"} for each in task["accept"]]
    with pytest.raises(NotAccepted, match="version_major"):
        check_accepted(task["uuid"], compared, there, ())
    task["accept"] = compared
    assert ["is another in 'hosts'" in each for each in verify.violations(plan, facts)] == [True]
    facts["on"]["parents"][0]["configuration"] = {}
    assert verify.violations(plan, facts)
    plan = migration_plan(facts, drain=["source"])
    assert (plan["placements"], plan["status"]) == ([], "unproven")
    assert verify.violations(plan, facts) == []


@pytest.mark.parametrize("release", ["535.90", "550.90.05", "570.133.10"])
@pytest.mark.parametrize("taken", [True, False])
def test_a_host_verifies_no_release_where_the_version_of_the_vgpu_is_taken(release, taken):
    versions = "0x70001-0x100001" if taken else "0x1-0x70000"
    there = vgpu(GPU | {"nvidia.versions": versions}, release)
    source = device(UUIDS[0], vgpu(VGPU), vm="guest")
    facts = {"a": host([source]), "b": host([device(UUIDS[1], there)])}
    plan = migration_plan(facts, drain=["a"])
    assert bool(plan["placements"]) is taken
    for task in plan["hosts"].get("b", {"devices": []})["devices"]:
        check_accepted(task["uuid"], task["accept"], there, ())


def test_a_parent_s_configuration_that_is_none_makes_its_host_unknown():
    facts = gpu_fleet(on=GPU)
    facts["on"]["parents"][0]["configuration"] = {"nvidia.ecc": 1}
    fleet = read_fleet(facts)
    assert fleet.unknown == ["on"]
    assert "parents[0].configuration" in fleet.problems[0]["path"]
