# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Stable plans: what still holds of an earlier plan stays, and what was made for a guest is found again."""

from __future__ import annotations

import copy
import json
import re

import pytest
from ansible_collections.vfio.migration.plugins.filter.migration_plan import migration_plan
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.admissible import (
    REQUIREMENTS,
    Requirement,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.plan_options import plan_for
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.report_options import (
    report_for,
)
from ansible_collections.vfio.migration.tests.bench.planted import carried_out, planted
from ansible_collections.vfio.migration.tests.unit.fleets import (
    UUIDS,
    device,
    gvt,
    host,
    parent,
    vf,
)
from hypothesis import event, given, settings
from hypothesis import strategies as st

# --- an earlier plan ---


@pytest.fixture
def fleet() -> dict:
    return {
        "a": host(
            [device(UUIDS[0], vm="vm-1", pid=1), device(UUIDS[1], vm="vm-1", pid=1)]
            + [device(UUIDS[2], vm="vm-2", pid=2)]
        ),
        # One of each takes four of eight instances.
        "b": host(parents=[parent(available={"i915-GVTg_V5_8": 8})]),
        "c": host(parents=[parent(available={"i915-GVTg_V5_8": 8})]),
    }


def stored(plan: dict) -> dict:
    return json.loads(json.dumps(plan))


def targets(plan: dict) -> dict:
    return {each["source"]["id"]: each["target"] for each in plan["placements"]}


def test_an_earlier_plan_stays_where_nothing_changed(fleet):
    first = plan_for(fleet, ["a"])
    again = plan_for(fleet, ["a"], earlier=stored(first))
    assert again["changes"] == []
    assert {key: again[key] for key in ("placements", "hosts", "map", "relied_on")} == {
        key: first[key] for key in ("placements", "hosts", "map", "relied_on")
    }


def test_only_what_relied_on_a_changed_host_is_planned_anew(fleet):
    first = plan_for(fleet, ["a"])
    of_guests = {each["vm"]: each["target"]["host"] for each in first["placements"]}
    assert of_guests["vm-1"] != of_guests["vm-2"]
    fleet["d"] = host(parents=[parent(available={"i915-GVTg_V5_8": 8})])
    fleet[of_guests["vm-2"]]["parents"][0]["types"][0]["available_instances"] = 3
    again = plan_for(fleet, ["a"], earlier=stored(first))
    assert again["unplaced"] == []
    assert {n: targets(again)[n] for n in UUIDS[:2]} == {n: targets(first)[n] for n in UUIDS[:2]}
    assert targets(again)[UUIDS[2]]["host"] == "d"
    assert again["changes"] == [
        {
            "vm": "vm-2",
            "source": {"host": "a", "kind": "mdev", "id": UUIDS[2]},
            "reason": f"the facts of {of_guests['vm-2']} have changed since the earlier plan",
        }
    ]


def test_what_is_kept_takes_room_from_what_is_not(fleet):
    del fleet["c"]
    fleet["a"] = host([device(UUIDS[0], vm="vm-1", pid=1)])
    first = plan_for(fleet, ["a"])
    fleet["e"] = host([device(UUIDS[n]) for n in (3, 4)])
    again = plan_for(
        fleet,
        sources=[{"host": "a", "id": UUIDS[0]}, *({"host": "e", "id": UUIDS[n]} for n in (3, 4))],
        targets=["b"],
        earlier=stored(first),
    )
    assert len(again["placements"]) == 2
    assert len(again["unplaced"]) == 1


def test_where_what_is_kept_is_in_the_way_all_is_planned_anew(fleet):
    small = parent(available={"i915-GVTg_V5_8": 4})
    fleet = {
        "a": host([device(UUIDS[2], vm="vm-2", pid=2)]),
        "b": fleet["b"],
        "c": host(parents=[small]),
    }
    first = plan_for(fleet, ["a"], targets=["b"])
    fleet["e"] = host([device(UUIDS[n], vm="vm-1", pid=1) for n in range(2)])
    again = plan_for(fleet, ["a", "e"], earlier=stored(first))
    assert again["unplaced"] == []
    assert targets(again)[UUIDS[2]]["host"] == "c"
    assert {each["vm"]: each["reason"] for each in again["changes"]} == {
        "vm-1": "the earlier plan has no place for it",
        "vm-2": "others would have no place otherwise",
    }


def test_what_finds_no_place_anyway_does_not_move_what_stays(fleet):
    nowhere = gvt() | {"compatible": [{"type": "other"}]}
    other = device(UUIDS[3], nowhere, vm="vm-3", pid=3)
    fleet["a"] = host([device(UUIDS[2], vm="vm-2", pid=2), other])
    first = plan_for(fleet, ["a"])
    # Where it would go now: nothing would have to be made there.
    fleet["d"] = host([device(UUIDS[4])])
    assert targets(plan_for(fleet, ["a"]))[UUIDS[2]]["host"] == "d"
    again = plan_for(fleet, ["a"], earlier=stored(first))
    assert again["placements"] == first["placements"]
    assert [each["vm"] for each in again["changes"]] == ["vm-3"]
    assert again["status"] == "infeasible"
    assert [each["vm"] for each in again["unplaced"]] == ["vm-3"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"policy": "spread"}, "made with another policy"),
        ({"limit": 3}, "made with another limit"),
        ({"round_trip": True}, "made with another round_trip"),
        ({"apart": [["vm-1", "vm-2"]]}, "made with another apart"),
    ],
)
def test_a_plan_for_other_conditions_does_not_stay(fleet, options, words):
    first = plan_for(fleet, ["a"])
    again = plan_for(fleet, ["a"], earlier=stored(first), **options)
    assert [words in each["reason"] for each in again["changes"]] == [True, True]


@pytest.mark.parametrize(
    "conditions",
    [
        {"direction": "either"},
        {"policy": "spread"},
        {"limit": {"b": 2, "c": 1}},
        {"apart": [["vm-1", "vm-2"]]},
        {"numa_local": True, "keep_kind": True},
    ],
)
def test_the_conditions_of_a_plan_hold_until_others_are_given(fleet, conditions):
    first = plan_for(fleet, ["a"], **conditions)
    again = plan_for(fleet, ["a"], earlier=stored(first))
    assert again["changes"] == []
    # Also for what is planned anew.
    assert {key: again[key] for key in ("direction", "policy", "conditions")} == {
        key: first[key] for key in ("direction", "policy", "conditions")
    }


def test_an_earlier_plan_stays_as_long_as_what_is_free_now_is_enough_for_it(fleet):
    def stated(there):
        guests = {"vm-1": {"memory": 4}, "vm-2": {"memory": 4}}
        return {"hosts": {name: {"memory": 99} for name in "bc"} | there, "guests": guests}

    first = plan_for(fleet, ["a"], capacity=stated({}))
    of_guests = {each["vm"]: each["target"]["host"] for each in first["placements"]}
    with_less = stated({"b": {"memory": 8}, "c": {"memory": 8}})
    again = plan_for(fleet, ["a"], earlier=stored(first), capacity=with_less)
    assert (again["changes"], targets(again)) == ([], targets(first))
    full = of_guests["vm-1"]
    too_little = stated({full: {"memory": 3}})
    again = plan_for(fleet, ["a"], earlier=stored(first), capacity=too_little)
    reasons = {each["vm"]: each["reason"] for each in again["changes"]}
    assert reasons["vm-1"] == f"{full} has too little of its memory free now"


def test_a_plan_from_before_there_was_a_condition_was_made_without_it(fleet):
    first = stored(plan_for(fleet, ["a"]))
    del first["conditions"]["round_trip"]
    assert plan_for(fleet, ["a"], earlier=first)["changes"] == []
    again = plan_for(fleet, ["a"], earlier=first, round_trip=True)
    assert "made with another round_trip" in again["changes"][0]["reason"]


@pytest.mark.parametrize("condition", ["keep_kind", "keep_type"])
def test_only_what_was_to_be_of_another_kind_or_type_is_planned_anew(condition):
    function = device("0000:01:10.0", gvt("8", "4"), kind="pci", attributes=[])
    fleet = {
        "a": host([device(UUIDS[n], vm=f"vm-{n}", pid=n) for n in (1, 2)]),
        "b": host([function], [parent(available={"i915-GVTg_V5_4": 2})]),
    }
    first = plan_for(fleet, ["a"])
    (other,) = [vm for vm in first["placements"] if vm["target"]["kind"] == "pci"]
    again = plan_for(fleet, ["a"], earlier=stored(first), **{condition: True})
    assert [each["vm"] for each in again["changes"]] == [other["vm"]]
    source = fleet["a"]["devices"][0]
    wanted = {"keep_kind": f"of kind {source['kind']}", "keep_type": f"of type {source['type']}"}
    assert [each["reason"] for each in again["changes"]] == [
        f"its target in the earlier plan is not {wanted[condition]}"
    ]
    assert len(again["placements"]) == 1
    # What was stricter then is no obstacle now.
    looser = plan_for(fleet, ["a"], earlier=stored(again), **{condition: False})
    assert [each["reason"] for each in looser["changes"]] == [
        "the earlier plan has no place for it"
    ]


def test_a_requirement_needs_its_entry_alone_to_be_held_against_an_earlier_plan(monkeypatch):
    """One that is made up, in the place of a condition that is asked of no target otherwise."""
    function = device("0000:01:10.0", gvt("8", "4"), kind="pci", attributes=[])
    fleet = {
        "a": host([device(UUIDS[n], vm=f"vm-{n}", pid=n) for n in (1, 2)]),
        "b": host([function], [parent(available={"i915-GVTg_V5_4": 2})]),
    }
    first = plan_for(fleet, ["a"])
    (other,) = [vm for vm in first["placements"] if vm["target"]["kind"] == "pci"]
    made_up = Requirement(
        lambda source, target: (target.kind, target.type) == ("mdev", source.type),
        lambda source: f"such as {source.id} wants it",
    )
    monkeypatch.setitem(REQUIREMENTS, "numa_local", made_up)
    again = plan_for(fleet, ["a"], earlier=stored(first), numa_local=True)
    assert [each["reason"] for each in again["changes"]] == [
        f"its target in the earlier plan is not such as {other['source']['id']} wants it"
    ]
    assert {each["target"]["kind"] for each in again["placements"]} == {"mdev"}


def test_what_may_not_receive_any_more_is_left(fleet):
    first = plan_for(fleet, ["a"])
    other = {each["vm"]: each["target"]["host"] for each in first["placements"]}["vm-2"]
    fleet["d"] = copy.deepcopy(fleet["b"])
    again = plan_for(fleet, ["a"], earlier=stored(first), avoid=[{"host": other}])
    assert targets(again)[UUIDS[2]]["host"] == "d"
    assert again["changes"][0]["reason"] == f"{other} may not receive it any more"


@pytest.mark.parametrize("damage", [{}, {"placements": 3}, {"relied_on": {}}])
def test_what_is_no_plan_is_refused(fleet, damage):
    earlier = plan_for(fleet, ["a"]) | damage if damage else {}
    with pytest.raises(FleetError, match="is not a plan of"):
        plan_for(fleet, ["a"], earlier=earlier)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"type": "i915-GVTg_V5_1"}, "there is no new i915-GVTg_V5_1 under 0000:00:02.0"),
        ({"create": False}, "there is no 00000000-1111"),
        ({"parent": "0000:00:09.0"}, "under 0000:00:09.0"),
    ],
)
def test_a_plan_that_was_tampered_with_is_refused(fleet, change, words):
    earlier = stored(plan_for(fleet, ["a"]))
    earlier["placements"][0]["target"].update(change)
    with pytest.raises(FleetError, match=f"^the earlier plan does not hold: .*{words}"):
        plan_for(fleet, ["a"], earlier=earlier)


@pytest.mark.parametrize(
    "change",
    [
        {"vm": "vm-9"},
        {"wave": 7},
        {"certainty": "provisional"},
        {"certainty": "declared"},
        {"warnings": ["all is well"]},
        {"set": 3, "bindings": {"val1": 8}},
        {"attributes": [{"name": "intel_vgpu/aggregator", "value": "3"}]},
        {"attributes": [{"name": "intel_vgpu/other", "value": "1"}]},
        {"kind": "pci"},
    ],
    ids="-".join,
)
def test_of_an_earlier_plan_only_sources_and_targets_are_taken(fleet, change):
    first = plan_for(fleet, ["a"])
    earlier = stored(first)
    for each in earlier["placements"]:
        place = each["target"] if change.keys() & {"attributes", "kind"} else each
        place.update(change)
    again = plan_for(fleet, ["a"], earlier=earlier)
    assert again["changes"] == []
    assert again["placements"] == first["placements"]
    assert again["hosts"] == first["hosts"]


@pytest.mark.parametrize(
    ("damage", "place"),
    [
        ([], " a mapping is expected"),
        ("x", " a mapping is expected"),
        ({"placements": [7]}, " at placements[0] a mapping is expected"),
        ({"placements": [{}]}, " at placements[0] the key "),
        ({"unknown": [None]}, " at unknown[0] a text is expected"),
        ({"status": "sure"}, " at status one of optimal, "),
        ({"relied_on": {1: "x"}}, " at relied_on a text for each key is expected"),
        ({"cost": []}, " at cost "),
    ],
    ids=str,
)
def test_what_is_wrong_in_a_plan_is_named_with_its_place(fleet, damage, place):
    plan = plan_for(fleet, ["a"]) | damage if isinstance(damage, dict) else damage
    for name, call in (
        ("earlier", lambda: plan_for(fleet, ["a"], earlier=plan)),
        ("plan", lambda: report_for(fleet, plan=plan)),
    ):
        words = f"'{name}' is not a plan of vfio.migration.migration_plan:{place}"
        with pytest.raises(FleetError, match=re.escape(words)):
            call()


def test_a_report_shows_no_plan_that_breaks_a_rule(fleet):
    plan = stored(plan_for(fleet, ["a"]))
    assert report_for(fleet, plan=plan)["plan"]["placed"] == len(plan["placements"])
    plan["placements"][0]["vm"] = "vm-9"
    with pytest.raises(FleetError, match=r"the plan does not hold: .*is not held by vm-9"):
        report_for(fleet, plan=plan)


def test_a_host_of_another_device_does_not_matter(fleet):
    first = plan_for(fleet, ["a"])
    fleet["z"] = host([device(UUIDS[9], gvt("8", "4"))])
    assert plan_for(fleet, ["a"], earlier=stored(first))["changes"] == []


# --- targets that were made ---

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
    """Return a fleet where guest vm-0 has a target on host b and vm-1 fits nowhere but there."""
    return {
        "a": host([device(UUIDS[0], vm="vm-0", pid=1)]),
        "b": host([device(UUIDS[0])]),
        "c": host([device(UUIDS[3])]),
    }


def test_what_is_prepared_lower_priority_where_somebody_would_be_left_for_it():
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


# --- an earlier plan whose moves wait for each other ---


def chain(*others):
    """Return two guests of which each has a host of its own, and one free place: one waits for the other."""
    return {
        "a": host([vf(0, "vm-1"), *others]),
        "b": host([vf(1, "vm-2"), *others]),
        "c": host([vf(2), *others]),
    }


IN_TURN = {"sources": ["vm-1", "vm-2"], "reuse": True, "targets": ["a", "b", "c"]}


def test_moves_that_wait_stay_in_their_waves_where_all_of_them_still_hold():
    first = migration_plan(chain(), **IN_TURN)
    assert {each["wave"] for each in first["placements"]} == {1, 2}
    # Something else has changed on each host, and there is another place.
    fleet = {**chain(vf(9, "other", kind="w")), "0": host([vf(3), vf(4)])}
    options = {**IN_TURN, "targets": [*fleet]}
    again = migration_plan(fleet, earlier=stored(first), **options)
    assert again["changes"] == []
    assert again["placements"] == first["placements"]
    # The first one has moved; the rest waits for nobody any more.
    (last,) = [each for each in first["placements"] if each["wave"] == 2]
    (gone,) = [each for each in first["placements"] if each["wave"] == 1]
    held = fleet[gone["source"]["host"]]["devices"][0]
    fleet["c"]["devices"][0]["in_use"], held["in_use"] = held["in_use"], None
    after = migration_plan(fleet, earlier=stored(first), **{**options, "sources": [last["vm"]]})
    assert after["changes"] == []
    assert after["placements"] == [{**last, "wave": 1}]


def test_moves_that_wait_stay_beside_a_guest_that_had_no_place():
    """There are two free places by now, of which none is for that guest: with all moves planned again, another one would be taken."""
    fleet = {**chain(), "d": host([vf(8, "vm-3", kind="x")])}
    options = {**IN_TURN, "sources": ["vm-1", "vm-2", "vm-3"]}
    first = migration_plan(fleet, **options)
    assert {each["vm"] for each in first["unplaced"]} == {"vm-3"}
    fleet |= {"c": host([vf(2), vf(6), vf(7)]), "0": host([vf(3)]), "00": host([vf(4)])}
    options = {**options, "targets": [*fleet]}
    again = migration_plan(fleet, earlier=stored(first), **options)
    assert again["placements"] == first["placements"]
    assert targets(migration_plan(fleet, **options)) != targets(first)
    assert {each["vm"] for each in again["changes"]} == {"vm-3"}
    # With a place of its own, it goes there, and the others where they were to go.
    fleet["1"] = host([vf(5, kind="x")])
    options = {**options, "targets": [*fleet]}
    after = migration_plan(fleet, earlier=stored(first), **options)
    assert targets(after).items() > targets(first).items()


def test_who_waits_for_others_of_its_group_to_leave_stays_where_it_was_to_go():
    fleet = {
        "a": host([vf(0, "vm-1", kind="x"), vf(1)]),
        "b": host([vf(2, "vm-2"), vf(3, kind="w")]),
        "c": host([vf(4, "vm-3", kind="w")]),
        "d": host([vf(5, kind="x")]),
    }
    options = {"sources": ["vm-1", "vm-2", "vm-3"], "apart": [["vm-1", "vm-2"], ["vm-2", "vm-3"]]}
    first = migration_plan(fleet, **options)
    waves = {each["vm"]: each["wave"] for each in first["placements"]}
    assert waves == {"vm-1": 1, "vm-2": 2, "vm-3": 3}
    # There are places that would be taken before those that the guests have.
    fleet["0"] = host([vf(6), vf(7, kind="w"), vf(8, kind="x")])
    again = migration_plan(fleet, earlier=stored(first), **options)
    assert (again["changes"], again["placements"]) == ([], first["placements"])
    fleet["d"]["devices"][0]["in_use"] = fleet["a"]["devices"][0]["in_use"]
    fleet["a"]["devices"][0]["in_use"] = None
    options["sources"] = ["vm-2", "vm-3"]
    after = migration_plan(fleet, earlier=stored(first), **options)
    assert after["changes"] == []
    assert after["placements"] == [
        {**each, "wave": each["wave"] - 1} for each in first["placements"] if each["wave"] > 1
    ]


def test_another_number_of_moves_at_a_time_moves_no_target():
    fleet = {**chain(), "0": host([vf(3), vf(4)])}
    first = migration_plan(fleet, ["a"], concurrent_moves={"host": 1})
    # There is a place that would be taken before the one that the guest has.
    fleet["00"] = host([vf(5)])
    again = migration_plan(fleet, ["a"], earlier=stored(first), concurrent_moves={"host": 2})
    assert again["changes"] == []
    assert again["placements"] == first["placements"]


def test_of_moves_that_wait_those_are_told_that_go_elsewhere():
    fleet = chain()
    first = migration_plan(fleet, **IN_TURN)
    (gone,) = [each for each in first["placements"] if each["wave"] == 1]
    fleet["c"] = host([vf(3)])
    again = migration_plan(fleet, earlier=stored(first), **IN_TURN)
    assert again["unplaced"] == []
    before, now = targets(first), targets(again)
    assert (
        [each["vm"] for each in again["changes"]]
        == [
            each["vm"]
            for each in first["placements"]
            if now[each["source"]["id"]] != before[each["source"]["id"]]
        ]
        == [gone["vm"]]
    )


def test_waves_that_cannot_be_are_made_anew():
    fleet = chain()
    first = migration_plan(fleet, **IN_TURN)
    forged = stored(first)
    for each in forged["placements"]:
        each["wave"] = 1
    again = migration_plan(fleet, earlier=forged, **IN_TURN)
    assert {each["wave"] for each in again["placements"]} == {1, 2}
    assert again["unplaced"] == [] and again["changes"] == []
