# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What becomes of a plan that the verifier objects to: the rest goes on."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import read_fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._planner import planner
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.plan_document import document
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import Conditions
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify import (
    objections,
    violations,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.plan_options import plan_for
from ansible_collections.vfio.migration.tests.unit.drawn_fleets import drawn
from ansible_collections.vfio.migration.tests.unit.fleets import UUIDS, device, gvt, host, parent

# A guest of two devices between two others.
FLEET = {
    "a": host(
        [
            device(UUIDS[0], gvt("8", "4"), vm="vm-1", pid=1),
            device(UUIDS[1], gvt("8", "4"), vm="vm-2", pid=2),
            device(UUIDS[2], gvt("8", "4"), vm="vm-2", pid=2),
            device(UUIDS[3], gvt("8", "4"), vm="vm-3", pid=3),
        ]
    ),
    "b": host(parents=[parent(available={"i915-GVTg_V5_8": 16})]),
}


def damaging(monkeypatch, damage):
    """Let every plan be made with ``damage``, which gets its placements."""

    def damaged(*args):
        plan = document(*args)
        damage(plan)
        return plan

    monkeypatch.setattr(planner, "document", damaged)


def test_the_guest_that_the_verifier_objects_to_is_left_behind_and_the_rest_goes_on(monkeypatch):
    sound = plan_for(FLEET, ["a"])

    def damage(plan):
        for each in plan["placements"]:
            if each["source"]["id"] == UUIDS[2]:
                each["vm"] = "vm-9"

    damaging(monkeypatch, damage)
    plan = plan_for(FLEET, ["a"])
    assert [each["source"]["id"] for each in plan["unplaced"]] == [UUIDS[1], UUIDS[2]]
    for each in plan["unplaced"]:
        (reason,) = each["reasons"]
        assert reason["reason"].startswith("the verifier objects: placements say of sources")
        assert "vm-9" in reason["reason"]
    assert (plan["status"], plan["bound"], plan["cost"]["unplaced"]) == ("unproven", None, 2)
    others = [each for each in sound["placements"] if each["vm"] != "vm-2"]
    assert [each["vm"] for each in plan["placements"]] == [each["vm"] for each in others]
    facts = {name: each.facts for name, each in read_fleet(FLEET).hosts.items()}
    assert violations(plan, facts, Conditions.parse({"drain": ["a"]})) == []


@pytest.mark.parametrize("damage", [{"policy": "spread"}, {"cost": None}])
def test_where_the_verifier_objects_to_the_whole_plan_nothing_moves(monkeypatch, damage):
    damaging(monkeypatch, lambda plan: plan.update(damage))
    plan = plan_for(FLEET, ["a"])
    assert plan["placements"] == []
    assert [each["source"]["id"] for each in plan["unplaced"]] == UUIDS[:4]
    for each in plan["unplaced"]:
        assert "the verifier objects to the whole plan" in each["reasons"][0]["reason"]


def test_where_the_verifier_objects_to_the_proof_alone_what_moves_is_right(monkeypatch):
    fleet = {**FLEET, "b": host([device(UUIDS[5], gvt("8", "4"))]), "c": {}}
    sound = plan_for(fleet, ["a"])
    assert sound["status"] == "unproven"
    claimed = {"status": "infeasible", "bound": {**sound["cost"], "created": 0}}
    damaging(monkeypatch, lambda plan: plan.update(claimed))
    plan = plan_for(fleet, ["a"])
    assert plan["placements"] == sound["placements"] != []
    assert plan["unplaced"] == sound["unplaced"]
    assert (plan["status"], plan["bound"], plan.get("proof")) == ("unproven", None, None)
    (assumed,) = plan["assumptions"]
    assert assumed.startswith("the verifier objects to the proof: status and shortage are true: ")
    assert assumed.endswith("infeasible is not proven without facts of c")


def test_the_verifier_objects_to_no_plan_whatever_cannot_migrate_or_is_not_known():
    found = Counter()
    for seed in range(200):
        facts, request = drawn(random.Random(seed), unknown=True)
        fleet = read_fleet(facts)
        plan = planner.make_plan(fleet, request)
        read = {name: each.facts for name, each in fleet.hosts.items()}
        broken = objections(plan, read, request.conditions, fleet.unknown)
        assert broken == [], f"fleet {seed}"
        codes = {reason["code"] for each in plan["unplaced"] for reason in each["reasons"]}
        found.update([(plan["status"], bool(fleet.unknown), "no_p2p" in codes)])
    # With a host without facts as well, both are there.
    assert found["infeasible", True, True] > 10
    assert found["unproven", True, False] > 10


def test_what_stays_of_an_earlier_plan_stays_beside_what_is_objected_to(monkeypatch):
    earlier = plan_for(FLEET, sources=["vm-1"])

    def damage(plan):
        for each in plan["placements"]:
            if each["vm"] == "vm-3":
                each["target"] = each["target"] | {"id": "none"}

    damaging(monkeypatch, damage)
    plan = plan_for(FLEET, ["a"], earlier=earlier)
    assert [each["vm"] for each in plan["placements"]] == ["vm-1", "vm-2", "vm-2"]
    assert plan["placements"][0] == earlier["placements"][0]
    assert [each["vm"] for each in plan["unplaced"]] == ["vm-3"]
