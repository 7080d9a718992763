# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plans made again once the targets of the first one are made: what is prepared is used, and nobody is left for it."""

from __future__ import annotations

import json

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.plan_options import plan_for
from ansible_collections.vfio.migration.tests.bench.planted import carried_out, planted
from ansible_collections.vfio.migration.tests.unit.fleets import (
    UUIDS,
    device,
    gvt,
    host,
    parent,
)
from hypothesis import event, given, settings
from hypothesis import strategies as st

SMALL = {"i915-GVTg_V5_8": 4}


def ends(plan: dict) -> dict:
    return {
        (each["source"]["host"], each["source"]["id"]): (
            each["target"]["host"],
            each["target"]["id"],
        )
        for each in plan["placements"]
    }


OPTIONS = st.fixed_dictionaries(
    {"policy": st.sampled_from(["pack", "spread"])},
    optional={
        "limit": st.integers(4, 12),
        "keep_type": st.just(True),
        "numa_local": st.just(True),
        "apart": st.just([["vm-0-1000", "vm-0-1001", "vm-1-1000"]]),
    },
)


@given(st.integers(1, 8), st.integers(0, 1_000), st.sampled_from([0.7, 0.9]), OPTIONS)
@settings(max_examples=20, deadline=None)
def test_what_was_carried_out_is_planned_again_in_the_same_way(guests, seed, use, options):
    facts, drained = planted(guests, use, seed=seed)
    first = plan_for(facts, drained, **options)
    event("all placed" if not first["unplaced"] else "some left")
    facts = carried_out(facts, first)
    second = plan_for(facts, drained, **options)
    assert second["cost"]["remade"] == 0
    assert len(second["unplaced"]) <= len(first["unplaced"])
    if not first["unplaced"]:
        assert ends(second) == ends(first)
        assert second["status"] == "optimal"
        assert [each for each in second["placements"] if each["target"]["create"]] == []
        third = plan_for(facts, drained, **options)
        assert json.dumps(third) == json.dumps(second)


@given(st.integers(2, 8), st.integers(0, 1_000), st.data())
@settings(max_examples=20, deadline=None)
def test_what_was_carried_out_on_some_hosts_goes_on_where_it_was(guests, seed, data):
    facts, drained = planted(guests, 0.8, seed=seed)
    first = plan_for(facts, drained)
    if first["unplaced"]:
        return
    done = data.draw(st.sets(st.sampled_from(sorted(first["hosts"]))))
    made = [each for each in first["placements"] if each["target"]["host"] in done]
    second = plan_for(carried_out(facts, {"placements": made}), drained)
    assert second["unplaced"] == []
    assert second["cost"]["remade"] == 0
    assert ends({"placements": made}).items() <= ends(second).items()


def test_equal_free_devices_go_to_the_same_guests_again():
    pair = [device(UUIDS[n], gvt("4", "2"), vm=f"vm-{n}", pid=n) for n in (1, 2)]
    large = [device(UUIDS[3], gvt("8", "4"), vm="vm-1", pid=1)]
    free = [device(UUIDS[n], gvt("4", "2"), parent="0000:00:09.0") for n in (4, 5)]
    fleet = {"a": host([*pair, *large]), "b": host(free, [parent(available=SMALL)])}
    first = plan_for(fleet, ["a"])
    (made,) = [each for each in first["placements"] if each["target"]["create"]]
    assert made["vm"] == "vm-1"
    there = device(made["target"]["id"], gvt("8", "4"), parent=made["target"]["parent"])
    fleet["b"] = host([there, *free], [parent(available={"i915-GVTg_V5_8": 0})])
    second = plan_for(fleet, ["a"])
    assert second["map"] == first["map"]
    assert second["cost"]["created"] == 0


def prepared_fleet() -> dict:
    """Guest vm-0 has a target on host b; vm-1 fits nowhere but there."""
    return {
        "a": host([device(UUIDS[0], vm="vm-0", pid=1)]),
        "b": host([device(UUIDS[0])]),
        "c": host([device(UUIDS[3])]),
    }


def test_what_is_prepared_gives_way_where_somebody_would_be_left_for_it():
    fleet = prepared_fleet()
    assert ends(plan_for(fleet, ["a"])) == {("a", UUIDS[0]): ("b", UUIDS[0])}
    options = {"apart": [["vm-1", "resident"]]}
    fleet["a"] = host([device(UUIDS[n], vm=f"vm-{n}", pid=n + 1) for n in range(2)])
    fleet["c"] = host([device(UUIDS[3]), device(UUIDS[4], vm="resident", pid=9)])
    plan = plan_for(fleet, ["a"], **options)
    assert ends(plan) == {
        ("a", UUIDS[0]): ("c", UUIDS[3]),
        ("a", UUIDS[1]): ("b", UUIDS[0]),
    }
    assert plan["cost"]["remade"] == 1
    assert plan["bound"]["remade"] <= 1


def test_what_is_prepared_is_used_where_it_makes_no_difference_to_those_left():
    fleet = prepared_fleet()
    fleet["a"] = host([device(UUIDS[n], vm=f"vm-{n}", pid=n + 1) for n in range(3)])
    plan = plan_for(fleet, ["a"])
    assert ends(plan)[("a", UUIDS[0])] == ("b", UUIDS[0])
    assert plan["status"] == "infeasible"
    assert len(plan["unplaced"]) == 1


@pytest.mark.parametrize(
    "options",
    [
        {"avoid": [{"host": "b"}]},
        {"limit": {"b": 0}},
        {"apart": [["vm-0", "resident"]]},
        {"targets": ["c"]},
    ],
    ids=["avoid", "limit", "apart", "targets"],
)
def test_what_is_prepared_where_it_may_not_go_any_more_is_left(options):
    fleet = prepared_fleet()
    fleet["b"] = host([device(UUIDS[0]), device(UUIDS[4], vm="resident", pid=9)])
    assert ends(plan_for(fleet, ["a"])) == {("a", UUIDS[0]): ("b", UUIDS[0])}
    assert ends(plan_for(fleet, ["a"], **options)) == {("a", UUIDS[0]): ("c", UUIDS[3])}


def test_a_guest_goes_where_the_most_of_its_targets_are():
    fleet = {
        "a": host([device(UUIDS[n], vm="vm-0", pid=1) for n in range(3)]),
        "b": host([device(UUIDS[0])], [parent()]),
        "c": host([device(UUIDS[1]), device(UUIDS[2])], [parent()]),
    }
    plan = plan_for(fleet, ["a"])
    assert {each["target"]["host"] for each in plan["placements"]} == {"c"}
    assert plan["cost"]["remade"] == 1
    assert plan["cost"]["created"] == 1


def test_two_guests_with_devices_of_one_name_have_a_target_each():
    fleet = {
        "a": host([device(UUIDS[0], vm="vm-0", pid=1)]),
        "b": host([device(UUIDS[0], vm="vm-1", pid=1)]),
        "c": host([device(UUIDS[0])]),
        "d": host([device(UUIDS[0])]),
    }
    plan = plan_for(fleet, ["a", "b"])
    assert plan["cost"]["remade"] == 0
    assert sorted(ends(plan).values()) == [("c", UUIDS[0]), ("d", UUIDS[0])]
