# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the search is told of hosts and guests, and moves within a set of hosts."""

from __future__ import annotations

import random
import typing as t
from fractions import Fraction

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import read_fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.planner import make_plan
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.problem import pose
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import (
    Conditions,
    Request,
    requested,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify import violations
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.plan_options import plan_for
from ansible_collections.vfio.migration.tests.unit.fleets import (
    UUIDS,
    device,
    gvt,
    host,
    parent,
)

VF = {"self": gvt(type="vf", pci_id="15b3101e")["self"], "compatible": []}
VF["compatible"] = [VF["self"]]


def test_equal_pci_addresses_on_many_hosts_do_not_tell_devices_apart():
    function = device("0000:81:00.1", VF, kind="pci", parent="0000:81:00.0")
    facts = {
        **{
            f"a{n}": host([{**function, "in_use": {"pid": 1, "name": f"vm-{n}"}}]) for n in range(3)
        },
        **{f"b{n}": host([function]) for n in range(3)},
    }
    fleet = read_fleet(facts)
    request = Request(requested(fleet, ["a0", "a1", "a2"], None), ["b0", "b1", "b2"])
    problem = pose(fleet, request)
    assert len({item.demands for item in problem.items}) == 1
    assert len({each.state for each in problem.bins}) == 1


def moved(facts: dict, names: list[str]) -> t.Any:
    fleet = read_fleet(facts)
    conditions = Conditions(reuse=True)
    plan = make_plan(fleet, Request(requested(fleet, None, names), list(fleet.hosts), conditions))
    assert violations(plan, facts, conditions) == []
    return plan


def test_two_full_hosts_cannot_swap_and_with_one_more_they_can_in_waves():
    facts = {
        "a": host([device(UUIDS[0], gvt(flavour="x"), vm="vm-1")]),
        "b": host([device(UUIDS[1], gvt(flavour="x"), vm="vm-2")]),
    }
    plan = moved(facts, ["vm-1", "vm-2"])
    assert plan["placements"] == []
    reasons = [each["reason"] for left in plan["unplaced"] for each in left["reasons"]]
    assert any("vm-1 waits for vm-2 waits for vm-1" in each for each in reasons)

    facts["c"] = host([device(UUIDS[2], gvt(flavour="x"))])
    plan = moved(facts, ["vm-1", "vm-2"])
    assert plan["unplaced"] == []
    assert sorted(each["wave"] for each in plan["placements"]) == [1, 2]


@pytest.mark.parametrize("seed", range(20))
def test_a_proportional_parent_is_never_overfull_whatever_its_types_take(seed):
    """Types take from apertures and fences, as those of i915 do; ``available_instances`` is all that is told."""
    chance = random.Random(seed)
    whole = [chance.randint(8, 64) for _resource in range(3)]
    takes = {
        f"i915-GVTg_V5_{n}": [chance.randint(1, 12) for _resource in whole] for n in (1, 2, 4, 8)
    }
    available = {
        name: min(have // need for have, need in zip(whole, needs, strict=True))
        for name, needs in takes.items()
    }
    devices = []
    for number in range(10):
        own = {"self": gvt(chance.choice("1248"), "1")["self"]}
        devices.append(device(UUIDS[number], {**own, "compatible": [own["self"]]}))
    facts = {"a": host(devices), "b": host(parents=[parent(available=available)])}
    fleet = read_fleet(facts)
    plan = make_plan(fleet, Request(requested(fleet, ["a"], None), ["b"]))
    assert violations(plan, facts) == []
    made = [each["target"]["type"] for each in plan["placements"]]
    taken = [sum(takes[name][n] for name in made) for n in range(len(whole))]
    assert all(used <= have for used, have in zip(taken, whole, strict=True))
    left = 1 - sum(Fraction(1, available[name]) for name in made)
    unplaced = [fleet_type(each, devices) for each in plan["unplaced"]]
    # Nothing is left behind for which there is room.
    assert all(not available[name] or Fraction(1, available[name]) > left for name in unplaced)


def fleet_type(left: dict, devices: list) -> str:
    return next(each["type"] for each in devices if each["id"] == left["source"]["id"])


def held(device_id: str, vm: str, uuid: str, pid: int) -> dict:
    return device(device_id, in_use={"pid": pid, "name": vm, "uuid": uuid})


@pytest.mark.parametrize(
    ("apart", "left"),
    [
        # A name stands for each guest that has it: of the three one can go.
        ([["vm-1", "vm-2"]], 2),
        ([["vm-1"]], 1),
        # A UUID stands for one.
        ([[UUIDS[5], "vm-2"]], 1),
        ([[UUIDS[5], UUIDS[6]]], 1),
        ([[UUIDS[5], "vm-1"]], 1),
        ([[UUIDS[5]]], 0),
        ([[UUIDS[5], UUIDS[8]], ["vm-2", UUIDS[8]]], 0),
    ],
)
def test_two_guests_of_one_name_are_two_guests_of_a_group(apart, left):
    facts = {
        "a": host([held(UUIDS[0], "vm-1", UUIDS[5], 1), held(UUIDS[1], "vm-2", UUIDS[7], 2)]),
        "b": host([held(UUIDS[2], "vm-1", UUIDS[6], 1)]),
        "c": host(parents=[parent(available={"i915-GVTg_V5_4": 8})]),
    }
    plan = plan_for(facts, ["a", "b"], apart=apart)
    assert len(plan["unplaced"]) == left
    everybody = plan_for(facts, ["a", "b"])
    assert everybody["unplaced"] == []
    broken = violations(everybody, facts, Conditions(drain=["a", "b"], apart=apart))
    assert any("are to be apart and all on c" in each for each in broken) == bool(left)


def test_a_guest_that_stays_is_told_from_another_one_of_its_name():
    facts = {
        "a": host([held(UUIDS[0], "vm-1", UUIDS[5], 1)]),
        "b": host([held(UUIDS[2], "vm-1", UUIDS[6], 1)], [parent()]),
    }
    assert plan_for(facts, ["a"], apart=[["vm-1"]])["unplaced"]
    assert plan_for(facts, ["a"], apart=[[UUIDS[5], UUIDS[6]]])["unplaced"]
    assert not plan_for(facts, ["a"], apart=[[UUIDS[5], UUIDS[7]]])["unplaced"]
