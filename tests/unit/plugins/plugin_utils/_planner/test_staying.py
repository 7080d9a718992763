# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is to be moved from a host that is emptied: guests, and devices that have something to move."""

from __future__ import annotations

import copy

import pytest
from ansible_collections.vfio.migration.plugins.filter.migration_plan import migration_plan
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import Conditions
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.summary import summarize
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify import violations
from ansible_collections.vfio.migration.tests.unit.cards import CARD, function, typed, typeless
from ansible_collections.vfio.migration.tests.unit.fleets import (
    UUIDS,
    device,
    gvt,
    host,
    parent,
    vf,
)

L40S = {"1155": "NVIDIA L40S-8Q", "1158": "NVIDIA L40S-48Q"}
# Where VFIO debugfs is mounted it has a directory for each function, whether it has a type or not.
SHOWN = {"supported": True, "evidence": "debugfs", "features": [], "state": "RUNNING"}
NEVER = {
    "supported": False,
    "evidence": "driver vfio-pci never supports it",
    "features": [],
    "state": None,
}


def planned(fleet, **options):
    plan = migration_plan(fleet, drain=["a"], **options)
    assert violations(plan, fleet, Conditions(drain=["a"], **options)) == []
    return plan


def l40s(**others):
    """Return a host with an L40S: two guests, and thirty functions without a type."""
    guests = [typed(each, "1155", vm=f"vm-{each}") for each in range(2)]
    return host(guests + [typeless(each, L40S, **others) for each in range(2, 32)])


@pytest.mark.parametrize("others", [{}, {"migration": SHOWN}])
def test_functions_without_a_type_stay_and_guests_move(others):
    fleet = {"a": l40s(**others), "b": host([typeless(each, L40S) for each in range(32)])}
    plan = planned(fleet)
    assert plan["status"] == "optimal"
    assert [each["vm"] for each in plan["placements"]] == ["vm-0", "vm-1"]
    assert len(plan["staying"]) == 30
    assert plan["staying"][0] == {
        "host": "a",
        "kind": "pci",
        "id": function(CARD, 2),
        "reason": "it has no type, so there is nothing to move",
    }


def test_nothing_that_stays_takes_a_place_before_a_guest():
    fleet = {"a": l40s(migration=SHOWN), "b": host([typeless(each, L40S) for each in range(2)])}
    plan = planned(fleet)
    assert [each["vm"] for each in plan["placements"]] == ["vm-0", "vm-1"]
    assert plan["unplaced"] == []


def test_functions_of_which_there_are_none_elsewhere_stay_if_nothing_was_set_up_in_them():
    own = {
        "software_version": "1.0.0",
        "device_api": "vfio-pci",
        "type": "vf",
        "pci_id": "15b3101e",
    }
    card = {
        "kind": "pci",
        "parent": "0000:01:00.0",
        "descriptor": {"self": own, "compatible": [own]},
    }
    devices = [device(f"0000:01:10.{each}", attributes=[], **card) for each in range(8)]
    set_up = device("0000:01:11.0", attributes=[{"name": "mode", "value": "1"}], **card)
    fleet = {"a": host([device(UUIDS[0], vm="vm"), *devices]), "b": host([device(UUIDS[1])])}
    plan = planned(fleet)
    assert (plan["status"], len(plan["staying"])) == ("optimal", 8)
    fleet["a"] = host([device(UUIDS[0], vm="vm"), *devices, set_up])
    assert [each["source"]["id"] for each in planned(fleet)["unplaced"]] == ["0000:01:11.0"]


def test_a_device_that_cannot_migrate_stays_where_nobody_holds_it():
    devices = [
        device(UUIDS[0], vm="vm"),
        device("0000:01:10.0", kind="pci", parent="0000:01:00.0", migration=NEVER),
        device(
            "0000:01:10.2", kind="pci", parent="0000:01:00.0", migration=NEVER, vm="held", pid=8
        ),
    ]
    fleet = {"a": host(devices), "b": host([device(UUIDS[1])])}
    plan = planned(fleet)
    assert [each["id"] for each in plan["staying"]] == ["0000:01:10.0"]
    # What a guest holds is left behind.
    assert [each["vm"] for each in plan["unplaced"]] == ["held"]
    sentences = summarize(plan, {})["sentences"]
    assert sentences[-1] == (
        "a 0000:01:10.0: stays as it is: not held, and it cannot migrate"
        " (driver vfio-pci never supports it)"
    )


def test_who_may_hold_a_device_is_not_nobody():
    fleet = {"a": host([device(UUIDS[0], migration=NEVER)]), "b": host()}
    fleet["a"]["devices"][0]["in_use"] = {"pid": None, "name": None}
    plan = planned(fleet)
    assert "staying" not in plan
    assert len(plan["unplaced"]) == 1


UNKNOWN = {"pid": None, "name": None}


def test_devices_that_may_be_one_guest_s_move_with_a_warning():
    source = host([{**vf(1), "in_use": UNKNOWN}, {**vf(2), "in_use": UNKNOWN}, vf(3, vm="vm")])
    plan = planned({"a": source, **{name: host([vf(1)]) for name in "bcd"}})
    assert plan["status"] == "optimal"
    warning = (
        "it is unknown whether a process holds {}, and all devices of a guest have to go to one host:"
        " gather the facts of a as root"
    )
    assert [each["warnings"] for each in plan["placements"]] == [
        [warning.format("0000:81:00.1")],
        [warning.format("0000:81:00.2")],
        [],
    ]


@pytest.mark.parametrize("known", [False, True])
def test_what_may_be_left_by_a_guest_claims_no_more(known):
    """Where it is known of one host who holds such a device, it is said."""
    perhaps = host([{**device(UUIDS[0]), "in_use": UNKNOWN}])
    there = {"c": host([device(UUIDS[0], vm="vm")])} if known else {}
    (stays,) = planned({"a": host([device(UUIDS[0])]), **there, "d": perhaps})["staying"]
    assert stays["reason"] == (
        "its guest has moved, and holds the device of its name on c"
        if known
        else "its guest may have moved: it is unknown whether a process holds the device of its name on d; gather the facts as root"
    )


@pytest.mark.parametrize(
    ("free_devices", "placed", "left", "stays"),
    [("movable", 2, 0, 1), ("all", 2, 1, 0), ("none", 1, 0, 2)],
)
def test_which_free_devices_are_moved_along(free_devices, placed, left, stays):
    devices = [device(UUIDS[0], vm="vm"), device(UUIDS[1]), device(UUIDS[2], migration=NEVER)]
    fleet = {"a": host(devices), "b": host([device(UUIDS[3]), device(UUIDS[4])])}
    plan = planned(fleet, free_devices=free_devices)
    assert len(plan["placements"]) == placed
    assert len(plan["unplaced"]) == left
    assert len(plan.get("staying", [])) == stays


@pytest.mark.parametrize("held", range(3))
def test_a_free_device_lower_priority_to_a_guest(held):
    """Whichever the order of the devices in the facts."""
    devices = [device(UUIDS[each], vm="vm" if each == held else None) for each in range(3)]
    fleet = {"a": host(devices), "b": host([device(UUIDS[3])])}
    plan = planned(fleet)
    assert [each["vm"] for each in plan["placements"]] == ["vm"]
    assert {each["source"]["id"] for each in plan["unplaced"]} == {*UUIDS[:3]} - {UUIDS[held]}


@pytest.mark.parametrize("policy", ["pack", "spread"])
def test_more_free_devices_give_way_to_one_guest(policy):
    """Of a parent that has room for either."""
    devices = [
        device(UUIDS[0], gvt("8", "4"), vm="vm"),
        *(device(each, gvt("4", "2")) for each in UUIDS[1:3]),
    ]
    room = parent(available={"i915-GVTg_V5_8": 4, "i915-GVTg_V5_4": 4})
    plan = planned({"a": host(devices), "b": host([], [room])}, policy=policy, keep_type=True)
    assert [each["vm"] for each in plan["placements"]] == ["vm"]
    assert [each["reasons"][0]["code"] for each in plan["unplaced"]] == ["lower_priority"] * 2
    assert (plan["status"], plan["bound"]) == ("unproven", None)


def test_a_device_that_is_named_is_planned_though_nobody_holds_it():
    fleet = {"a": host([device(UUIDS[0], migration=NEVER)]), "b": host()}
    plan = migration_plan(fleet, sources=[{"host": "a", "id": UUIDS[0]}])
    assert "staying" not in plan
    assert len(plan["unplaced"]) == 1


def test_the_verifier_sees_what_must_not_stay():
    devices = [device(UUIDS[0], vm="vm"), device(UUIDS[2], migration=NEVER)]
    fleet = {"a": host(devices), "b": host([device(UUIDS[3])])}
    plan = planned(fleet)
    conditions = Conditions(drain=["a"])
    held = copy.deepcopy(fleet)
    held["a"]["devices"][1]["in_use"] = {"pid": 5, "name": "other"}
    movable = copy.deepcopy(fleet)
    movable["a"]["devices"][1]["migration"]["supported"] = None
    for facts, conditions_of in (
        (held, conditions),
        (movable, conditions),
        (fleet, Conditions(drain=["a"], free_devices="all")),
        (fleet, Conditions(drain=["b"])),
    ):
        found = violations(plan, facts, conditions_of)
        assert any(each.startswith("what stays has nothing to move") for each in found)
    del plan["staying"]
    assert any(
        "neither placed nor left behind" in each for each in violations(plan, fleet, conditions)
    )
