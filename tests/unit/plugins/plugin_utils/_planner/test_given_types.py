# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plans that give virtual functions of a GPU their type; what of it is left for the others no one tells beforehand."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.vfio.migration.plugins.filter.explain import explain
from ansible_collections.vfio.migration.plugins.filter.migration_plan import migration_plan
from ansible_collections.vfio.migration.plugins.module_utils._change.attributes import as_written
from ansible_collections.vfio.migration.plugins.module_utils._change.journal import Journal, place
from ansible_collections.vfio.migration.plugins.module_utils._change.pci_apply import PciTransaction
from ansible_collections.vfio.migration.plugins.module_utils._change.pci_plan import (
    PciPlanner,
    validate,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.facts import gather_facts
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import Conditions
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify import violations
from ansible_collections.vfio.migration.tests.unit.pci_trees import (
    CARD,
    FIRST,
    FUNCTIONS,
    SECOND,
    PciKernel,
    PciTree,
    pci_host,
)
from ansible_collections.vfio.migration.tests.unit.sysfs_trees import nobody

PARAMETERS = "frame_rate_limiter=0,disable_vnc=1"
CURRENT, PARAMS = "nvidia/current_vgpu_type", "nvidia/vgpu_params"


@pytest.fixture
def gpus(tmp_path):
    """Return hosts with two virtual functions of a GPU each; what they have is given by type or, with parameters, a pair."""

    def make(name, *types):
        tree = PciTree(tmp_path / name / "sys")
        tree.add_functions(len(types), "nvidia")
        kernel = PciKernel(tree, default="nvidia")
        for address, vgpu_type in zip(FUNCTIONS, types):
            if vgpu_type != "0":
                kernel.open("bus/pci/devices", address).write(
                    CURRENT, as_written(CURRENT, vgpu_type)
                )
                kernel.open("bus/pci/devices", address).write(
                    PARAMS, as_written(PARAMS, PARAMETERS)
                )
        return kernel

    for name in "abc":
        (tmp_path / name).mkdir()
    return make


def gather(kernel, *guests):
    facts = gather_facts(kernel, nobody)
    for number, each in enumerate(facts["devices"]):
        if number < len(guests):
            each["in_use"] = {"pid": 100 + number, "name": guests[number]}
    return facts


def apply(kernel, devices):
    """Return what the module makes of a plan's list."""
    blank = {"driver": None, "migratable": None, "accept": None, "keep_driver": False}
    wanted = validate(
        {
            "functions": [],
            "devices": [{**blank, **each} for each in devices],
            "state": "present",
            "force": False,
        }
    )
    host = pci_host(kernel)
    with Journal(place(kernel, "pci"), PciTransaction.undoers) as journal:
        transaction = PciTransaction(host, journal, 0.2, lambda: None)
        return transaction.run(PciPlanner(host), wanted)[1]["devices"]


def test_a_function_is_given_the_type_and_then_found_again(gpus):
    source, target = gpus("a", "1428"), gpus("b", "0", "0")
    fleet = {"a": gather(source, "vm-1"), "b": gather(target)}
    plan = migration_plan(fleet, drain=["a"])
    (placement,) = plan["placements"]
    assert (placement["target"]["id"], placement["target"]["create"]) == (FIRST, False)
    assert placement["target"]["attributes"] == [
        {"name": CURRENT, "value": "1428"},
        {"name": PARAMS, "value": PARAMETERS},
    ]
    assert placement["certainty"] == "provisional"
    listed = plan["hosts"]["b"]["pci_devices"]
    assert [each["action"] for each in apply(target, listed)] == ["configured"]
    again = migration_plan({"a": fleet["a"], "b": gather(target)}, drain=["a"])
    assert again["placements"][0]["target"]["attributes"] == []
    assert again["placements"][0]["target"]["id"] == FIRST
    assert [each["action"] for each in apply(target, again["hosts"]["b"]["pci_devices"])] == [
        "unchanged"
    ]


def test_a_card_is_given_as_many_types_as_it_has_memory_for_by_their_names(gpus):
    source, target = gpus("a", "1429", "1429", "1429"), gpus("b", "0", "0", "0")
    fleet = {"a": gather(source, "vm-1", "vm-2", "vm-3"), "b": gather(target)}
    plan = migration_plan(fleet, drain=["a"])
    # A H200X-70C takes half of what the H200X-141C takes.
    assert [each["target"]["id"] for each in plan["placements"]] == [FIRST, SECOND]
    (left,) = plan["unplaced"]
    assert any(
        each["reason"]
        == f"{CARD} on b holds 2 of 1429 at most, with those that are there and planned"
        for each in left["reasons"]
    )
    assert [each["action"] for each in apply(target, plan["hosts"]["b"]["pci_devices"])] == [
        "configured",
        "configured",
    ]


def test_a_card_with_types_is_given_one_at_a_time(gpus):
    source, target = gpus("a", "1428", "1428", "1428"), gpus("b", "1428", "0", "0")
    fleet = {
        "a": gather(source, "vm-1", "vm-2", "vm-3"),
        "b": gather(target, "vm-9"),
    }
    third = FUNCTIONS[2]
    plan = migration_plan(fleet, drain=["a"])
    assert [each["target"]["id"] for each in plan["placements"]] == [SECOND]
    assert any(
        each["reason"]
        == f"one plan gives functions of {CARD} on b the type 1428 for one guest only, as only trying"
        " shows whether it takes more"
        for each in plan["unplaced"][0]["reasons"]
    )
    # Once it is carried out, the facts tell what is left.
    apply(target, plan["hosts"]["b"]["pci_devices"])
    fleet["b"] = gather(target, "vm-9")
    plan = migration_plan(fleet, drain=["a"])
    assert [each["target"]["id"] for each in plan["placements"]] == [SECOND, third]


def test_a_card_with_types_is_given_all_devices_of_one_guest(gpus):
    """Each by itself would never get there, as a guest is placed with all of its devices or not at all."""
    source, target = gpus("a", "1428", "1428"), gpus("b", "1428", "0", "0")
    fleet = {"a": gather(source, "vm-1", "vm-1"), "b": gather(target, "vm-9")}
    for each in fleet["a"]["devices"]:
        each["in_use"]["pid"] = 7
    plan = migration_plan(fleet, drain=["a"])
    assert [each["target"]["id"] for each in plan["placements"]] == [SECOND, FUNCTIONS[2]]
    words = f"only trying shows whether {CARD} on b takes all 2 of the guest"
    assert all(words in each["warnings"] for each in plan["placements"])
    assert "further_pass" not in plan


def test_a_card_with_types_is_given_to_one_guest_whatever_is_asked(gpus):
    """Guests who each want several are not told apart: then each function by itself, and the next pass goes on."""
    fleet = {"a": gather(gpus("a", "1428", "1428", "1428"), "vm-1", "vm-2", "vm-2")}
    for each, pid in zip(fleet["a"]["devices"], (7, 8, 8)):
        each["in_use"]["pid"] = pid
    fleet |= {name: gather(gpus(name, "1428", "0", "0"), "vm-9") for name in "bc"}
    for asked in ({}, {"priority": {"vm-1": 10}}, {"distinct_gpus": True}):
        plan = migration_plan(fleet, drain=["a"], **asked)
        assert {each["vm"] for each in plan["placements"]} == {"vm-1"}
        assert plan["further_pass"]
        again = migration_plan(fleet, drain=["a"], earlier=plan, **asked)
        assert {each["vm"] for each in again["placements"]} == {"vm-1"}
    # Who cannot move at all stands in nobody's way.
    fleet["a"]["devices"][0]["migration"]["supported"] = False
    plan = migration_plan(fleet, drain=["a"])
    assert [each["vm"] for each in plan["placements"]] == ["vm-2", "vm-2"]
    again = migration_plan(fleet, drain=["a"], earlier=plan)
    words = f"only trying shows whether {CARD} on "
    for each in (*plan["placements"], *again["placements"]):
        assert sum(warning.startswith(words) for warning in each["warnings"]) == 1


def test_a_type_that_is_not_to_be_had_is_not_planned(gpus):
    source, target = gpus("a", "1428"), gpus("b", "0", "1429")
    fleet = {"a": gather(source, "vm-1"), "b": gather(target, "vm-9", "vm-8")}
    fleet["b"]["devices"][0]["in_use"] = None
    plan = migration_plan(fleet, drain=["a"])
    assert plan["status"] == "infeasible"
    sentences = explain(fleet, {"host": "a", "id": FIRST}, "b")["sentences"]
    assert f"{SECOND} on b has current_vgpu_type 1429; 1428 is needed" in sentences


def test_a_function_without_type_stays_where_it_is(gpus):
    fleet = {"a": gather(gpus("a", "0"), "vm-1"), "b": gather(gpus("b", "0", "0"))}
    plan = migration_plan(fleet, drain=["a"])
    assert [each["reason"] for each in plan["unplaced"][0]["reasons"]] == [
        f"it cannot migrate ({CURRENT} is 0, so it has no state to migrate yet)"
    ]


@pytest.mark.parametrize("held", [None, 100])
def test_a_function_that_somebody_holds_or_may_hold_is_given_nothing(gpus, held):
    source, target = gpus("a", "1428"), gpus("b", "0")
    fleet = {"a": gather(source, "vm-1"), "b": gather(target, "vm-9")}
    fleet["b"]["devices"][0]["in_use"]["pid"] = held
    assert migration_plan(fleet, drain=["a"])["placements"] == []


@pytest.mark.parametrize("choices", [None, 7, "1428", [7, None], [["1428"]]])
def test_choices_that_are_none_make_no_target(gpus, choices):
    source, target = gpus("a", "1428"), gpus("b", "0")
    fleet = {"a": gather(source, "vm-1"), "b": gather(target)}
    fleet["b"]["devices"][0]["attributes"][0]["choices"] = choices
    assert migration_plan(fleet, drain=["a"])["placements"] == []


@pytest.mark.parametrize("round_trip", [True, False])
@pytest.mark.parametrize("direction", ["source_lists", "target_accepts", "both", "either"])
def test_the_verifier_agrees_and_sees_what_is_wrong(gpus, direction, round_trip):
    source, target = gpus("a", "1428"), gpus("b", "0", "0")
    fleet = {"a": gather(source, "vm-1"), "b": gather(target)}
    plan: t.Any = migration_plan(fleet, drain=["a"], direction=direction, round_trip=round_trip)
    conditions = Conditions(direction, drain=["a"], round_trip=round_trip)
    assert len(plan["placements"]) == 1
    assert violations(plan, fleet, conditions) == []
    attributes = plan["placements"][0]["target"]["attributes"]
    for change in (
        attributes.reverse,
        lambda: attributes[0].update(value="1429"),
        lambda: attributes[0].update(value="9999"),
        lambda: attributes[1].update(value="frame_rate_limiter=1"),
        lambda: attributes[1].update(name="driver_override"),
        lambda: attributes.append({"name": "nvidia/other", "value": "1"}),
    ):
        before = [dict(each) for each in attributes]
        change()
        for each in plan["hosts"]["b"]["pci_devices"]:
            each["attributes"] = attributes
        assert violations(plan, fleet, conditions) != []
        attributes[:] = before
        assert violations(plan, fleet, conditions) == []
