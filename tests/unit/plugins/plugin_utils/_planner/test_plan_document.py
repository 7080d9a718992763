# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plans, and the verifier that re-checks them."""

from __future__ import annotations

import copy
import itertools
import json
import typing as t
import uuid

import pytest
from ansible_collections.vfio.migration.plugins.filter.migration_plan import migration_plan
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import read_fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.planner import make_plan
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import (
    Avoided,
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
from hypothesis import given
from hypothesis import strategies as st


def plan_of(fleet: dict, drain=("a",), sources=None, targets=None, **options) -> t.Any:
    read = read_fleet(fleet)
    drained = None if sources else list(drain)
    guests = requested(read, drained, sources)
    names = [
        name
        for name in read.hosts
        if name not in (drained or ()) and (targets is None or name in targets)
    ]
    plan = make_plan(read, Request(guests, names, Conditions(**options)))
    conditions = Conditions(drain=drained or (), targets=names, **options)
    assert violations(plan, fleet, conditions) == []
    return plan


def test_the_proposals_example_is_made_where_the_parent_matches():
    fleet = {
        "a": host([device(UUIDS[0], gvt("4", "2"))]),
        "b": host(parents=[parent(available={"i915-GVTg_V5_1": 1, "i915-GVTg_V5_8": 8})]),
        "c": host(parents=[parent(pci_id="8086591d")]),
    }
    plan = plan_of(fleet)
    assert plan["status"] == "optimal"
    (placement,) = plan["placements"]
    assert placement["target"] == {
        "host": "b",
        "kind": "mdev",
        "id": UUIDS[0],
        "parent": "0000:00:02.0",
        "type": "i915-GVTg_V5_8",
        "attributes": [{"name": "intel_vgpu/aggregator", "value": "4"}],
        "create": True,
    }
    assert (placement["bindings"], placement["certainty"]) == ({"val1": 8}, "provisional")
    (made,) = plan["hosts"]["b"]["devices"]
    assert made["uuid"] == UUIDS[0]
    assert made["accept"][0]["aggregator"] == "{val1}/2"
    assert plan["map"] == {"a": {UUIDS[0]: UUIDS[0]}}


def test_it_is_told_how_far_a_plan_is():
    fleet = {"a": host([device(UUIDS[0]), device(UUIDS[1])]), "b": host(parents=[parent()])}
    told: list[str] = []
    plan_for(fleet, drain=["a"], progress=told.append)
    assert told == [
        "reading the facts",
        "placing, 2 of 2 guests have a place",
        "verifying the plan",
    ]


def test_the_sources_own_type_is_kept_where_it_can_be():
    fleet = {"a": host([device(UUIDS[0], gvt("4", "2"))]), "b": host(parents=[parent()])}
    (placement,) = plan_of(fleet)["placements"]
    assert placement["target"]["type"] == "i915-GVTg_V5_4"


def test_a_set_without_a_version_is_verified_against_the_sources_own():
    descriptor = gvt()
    del descriptor["compatible"][0]["software_version"]
    fleet = {"a": host([device(UUIDS[0], descriptor)]), "b": host(parents=[parent()])}
    (made,) = plan_of(fleet)["hosts"]["b"]["devices"]
    assert made["accept"][0]["software_version"] == "0.1.0"


def test_a_mediated_device_goes_to_a_virtual_function_and_the_reverse():
    function = device("0000:01:10.0", kind="pci", parent="0000:01:00.0", attributes=[])
    fleet = {"a": host([device(UUIDS[0])]), "b": host([function])}
    plan = plan_of(fleet)
    assert plan["map"] == {"a": {UUIDS[0]: "0000:01:10.0"}}
    assert plan["hosts"]["b"]["devices"] == []
    (verified,) = plan["hosts"]["b"]["pci_devices"]
    assert (verified["address"], verified["attributes"]) == ("0000:01:10.0", [])
    assert verified["accept"][0]["aggregator"] == "{val1}/2"

    held = {**function, "in_use": {"pid": 4711, "name": "vm"}}
    back = {"a": host([held]), "b": host(parents=[parent()])}
    (made,) = plan_of(back)["hosts"]["b"]["devices"]
    assert (made["type"], made["accept"]) == ("i915-GVTg_V5_4", verified["accept"])


def test_a_kind_that_is_to_be_kept_is():
    function = device("0000:01:10.0", kind="pci", parent="0000:01:00.0", attributes=[])
    fleet = {"a": host([device(UUIDS[0])]), "b": host([function]), "c": host(parents=[parent()])}
    assert plan_of(fleet)["map"] == {"a": {UUIDS[0]: "0000:01:10.0"}}
    assert plan_of(fleet, keep_kind=True)["hosts"].keys() == {"c"}
    del fleet["c"]
    (left,) = plan_of(fleet, keep_kind=True)["unplaced"]
    assert [each["reason"] for each in left["reasons"]] == ["b has nothing compatible of kind mdev"]


def test_a_taken_uuid_is_replaced_by_a_name_based_one():
    other = device(UUIDS[0], gvt(pci_id="8086591d"), parent="0000:00:03.0")
    fleet = {"a": host([device(UUIDS[0])]), "b": host([other], [parent()])}
    plan = plan_of(fleet)
    (placement,) = plan["placements"]
    assert uuid.UUID(placement["target"]["id"]).version == 5
    assert plan["map"] == {"a": {UUIDS[0]: placement["target"]["id"]}}
    assert plan_of(fleet) == plan


@pytest.mark.parametrize("name", ["..", "C9CD7BBF", "0000:01:10.0", UUIDS[0] + "\n"])
def test_a_name_that_is_no_uuid_becomes_one(name):
    plan = plan_of({"a": host([device(name)]), "b": host(parents=[parent()])})
    (made,) = plan["hosts"]["b"]["devices"]
    assert uuid.UUID(made["uuid"]).version == 5
    assert plan["map"] == {"a": {name: made["uuid"]}}


def test_a_free_device_that_is_there_will_do():
    fleet = {"a": host([device(UUIDS[0])]), "b": host([device(UUIDS[1])])}
    (placement,) = plan_of(fleet)["placements"]
    assert (placement["target"]["id"], placement["target"]["create"]) == (UUIDS[1], False)


@pytest.mark.parametrize("taken", [False, True])
def test_what_an_earlier_plan_made_is_found_again(taken):
    fleet = {
        "a": host([device(UUIDS[0], gvt("4", "2"))]),
        "b": host(parents=[parent(available={"i915-GVTg_V5_8": 4})]),
        "c": host(parents=[parent()]),
    }
    if taken:
        fleet["b"]["devices"] = host([device(UUIDS[0])])["devices"]
        fleet["b"]["devices"][0]["descriptor"] = None
    (first,) = plan_of(fleet, targets=["b"])["placements"]
    made = device(first["target"]["id"], gvt("8", "4"))
    fleet["b"] = host([made], [parent("0000:00:03.0")])
    (second,) = plan_of(fleet)["placements"]
    assert (second["target"]["id"], second["target"]["create"]) == (made["id"], False)


@pytest.mark.parametrize(
    ("holder", "words", "status"),
    [
        ({"pid": 7, "name": "vm-9"}, "vm-9 (pid 7) holds it", "infeasible"),
        ({"pid": None, "name": None}, "it is unknown whether a process holds it", "unproven"),
    ],
)
def test_a_device_that_is_held_or_may_be_is_no_target(holder, words, status):
    fleet = {"a": host([device(UUIDS[0])]), "b": host([device(UUIDS[1], in_use=holder)])}
    plan = plan_of(fleet)
    assert plan["status"] == status
    assert words in plan["unplaced"][0]["reasons"][0]["reason"]


def test_all_devices_of_a_guest_go_to_one_host():
    fleet = {
        "a": host([device(UUIDS[n], vm="vm-1") for n in range(3)]),
        "b": host(parents=[parent(available={"i915-GVTg_V5_4": 4})]),
        "c": host(parents=[parent(available={"i915-GVTg_V5_4": 6})]),
    }
    plan = plan_of(fleet)
    assert {placement["target"]["host"] for placement in plan["placements"]} == {"c"}
    assert {placement["vm"] for placement in plan["placements"]} == {"vm-1"}


def test_moving_one_device_of_a_guest_moves_all_of_it():
    fleet = {
        "a": host([device(UUIDS[0], vm="vm-1"), device(UUIDS[1], vm="vm-1"), device(UUIDS[2])]),
        "b": host(parents=[parent(available={"i915-GVTg_V5_4": 8})]),
    }
    for source in ("vm-1", {"host": "a", "id": UUIDS[1]}):
        plan = plan_of(fleet, sources=[source])
        assert [placement["source"]["id"] for placement in plan["placements"]] == UUIDS[:2]


def test_two_guests_of_one_name_on_different_processes_are_two():
    fleet = {
        "a": host([device(UUIDS[0], vm="x", pid=1), device(UUIDS[1], vm="x", pid=2)]),
        "b": host(parents=[parent(available={"i915-GVTg_V5_4": 2})]),
        "c": host(parents=[parent(available={"i915-GVTg_V5_4": 2})]),
    }
    assert plan_of(fleet)["status"] == "optimal"


def test_an_aggregator_takes_the_room_of_as_many_instances():
    fleet = {
        "a": host([device(UUIDS[n], gvt("4", "2")) for n in range(3)]),
        "b": host(parents=[parent(available={"i915-GVTg_V5_4": 4})]),
    }
    plan = plan_of(fleet)
    assert (plan["status"], len(plan["placements"])) == ("infeasible", 2)
    (left,) = plan["unplaced"]
    assert left["reasons"] == [
        {
            "host": None,
            "code": "shortage",
            "detail": "1",
            "reason": "3 devices (i915-GVTg_V5_4) need places of which all targets together have 2"
            " at most: 1 too few",
        },
        {
            "host": "b",
            "code": "capacity_taken",
            "reason": "not enough of i915-GVTg_V5_4 left under 0000:00:02.0 on b: 2 needed,"
            " 0 of 4 available_instances not taken by this plan",
        },
    ]


def test_a_parent_makes_one_type_unless_its_types_are_known_to_share_in_proportion():
    fleet = {
        "a": host([device(UUIDS[n], _fixed(size, "1")) for n, size in enumerate("2488")]),
        "b": host(parents=[parent()]),
    }
    # A half, a quarter and twice an eighth of the parent.
    assert plan_of(fleet)["status"] == "optimal"
    fleet["b"]["parents"][0]["driver"] = "other"
    # That is the planner's own rule, and the driver's may be another one.
    assert plan_of(fleet)["status"] == "unproven"
    fleet["b"]["parents"] += [parent(f"0000:00:0{n}.0", driver="other") for n in (3, 4)]
    assert plan_of(fleet)["status"] == "optimal"


def test_pack_opens_few_parents_and_spread_loads_no_host_much():
    fleet = {
        "a": host([device(UUIDS[n], gvt("4", "1")) for n in range(4)]),
        "b": host(parents=[parent(available={"i915-GVTg_V5_4": 4})]),
        "c": host(parents=[parent(available={"i915-GVTg_V5_4": 4})]),
    }
    for descriptor in fleet["a"]["descriptors"].values():
        descriptor["compatible"] = [_fixed("4", "1")["self"]]
    packed = plan_of(fleet, policy="pack")
    assert len({p["target"]["host"] for p in packed["placements"]}) == 1
    spread = plan_of(fleet, policy="spread")
    loads = [p["target"]["host"] for p in spread["placements"]]
    assert loads.count("b") == loads.count("c") == 2


def test_a_drained_host_is_no_target_even_if_named_one():
    fleet = {name: host([device(UUIDS[n])], [parent()]) for n, name in enumerate("ab")}
    plan = plan_of(fleet, drain=["a", "b"], targets=["a", "b"])
    assert plan["status"] == "infeasible"


def test_avoided_places_are_left_out():
    fleet = {
        "a": host([device(UUIDS[0])]),
        "b": host(parents=[parent(), parent("0000:00:03.0")]),
        "c": host(parents=[parent()]),
    }
    avoid = {Avoided("b", "0000:00:02.0"): "it failed", Avoided("c"): "it is down"}
    (placement,) = plan_of(fleet, avoid=avoid)["placements"]
    assert placement["target"]["parent"] == "0000:00:03.0"
    (left,) = plan_of(fleet, avoid=avoid, targets=["c"])["unplaced"]
    assert left["reasons"] == [
        {
            "host": "c",
            "code": "avoided",
            "reason": "0000:00:02.0 on c is excluded: it is down",
            "detail": "it is down",
        }
    ]


@pytest.mark.parametrize("guest", ["vm-1", UUIDS[9]])
def test_a_guest_that_may_not_go_to_a_host_goes_to_another_one_and_others_may(guest):
    held = [device(UUIDS[n], vm=f"vm-{n}", pid=n) for n in (1, 2)]
    held[0]["in_use"]["uuid"] = UUIDS[9]
    fleet = {"a": host(held), "b": host(parents=[parent()]), "c": host(parents=[parent()])}
    avoid = {Avoided("b", guest=guest): "it has no network tenants"}
    plan = plan_of(fleet, avoid=avoid, policy="spread")
    hosts = {each["vm"]: each["target"]["host"] for each in plan["placements"]}
    assert hosts == {"vm-1": "c", "vm-2": "b"}
    plan = plan_of(fleet, avoid=avoid, targets=["b"])
    assert [each["vm"] for each in plan["placements"]] == ["vm-2"]
    (left,) = plan["unplaced"]
    assert left["reasons"] == [
        {
            "host": "b",
            "code": "avoided",
            "reason": "it may not go there: it has no network tenants",
            "detail": "it has no network tenants",
        }
    ]


def test_what_is_another_kind_of_device_is_not_the_nearest_miss():
    other = parent("mtty", None, {"mtty-1": 24}, driver="mtty")
    fleet = {"a": host([device(UUIDS[0])]), "b": host(parents=[parent(pci_id="8086591d"), other])}
    reasons = plan_of(fleet)["unplaced"][0]["reasons"]
    assert reasons
    assert not [each for each in reasons if "mtty" in each["reason"]]


def test_a_set_may_ask_for_what_the_source_itself_is_not():
    descriptor = gvt("4", "2", flavour="old")
    descriptor["compatible"][0].update(software_version="0.5.0", flavour="new")
    fleet = {"a": host([device(UUIDS[0], descriptor)]), "b": host(parents=[parent()])}
    (placement,) = plan_of(fleet)["placements"]
    assert placement["certainty"] == "provisional"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 3) | st.sampled_from(["", "x", UUIDS[0]]),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["id", "self"]), inner)
    ),
    max_leaves=4,
)


@given(st.data())
def test_no_facts_of_a_host_spoil_the_plan_for_the_others(data):
    hostile = host([device(UUIDS[1]), device(UUIDS[2], vm="x")], [parent()])
    for _change in range(data.draw(st.integers(1, 3))):
        place: t.Any = hostile
        while True:
            items = list(place.items() if isinstance(place, dict) else enumerate(place))
            if not items:
                break
            key, value = data.draw(st.sampled_from(items))
            if not isinstance(value, (dict, list)) or data.draw(st.integers(0, 4)) == 2:
                place[key] = data.draw(JSON)
                break
            place = value
    fleet = {"a": host([device(UUIDS[0])]), "b": hostile, "c": host(parents=[parent()])}
    assert migration_plan(fleet, drain=["a"])["unplaced"] == []


def test_an_older_driver_on_the_target_is_known_before_anything_is_made():
    there = device(UUIDS[1], gvt(software_version="0.0.9", pci_id="80865963"), vm="busy")
    fleet = {"a": host([device(UUIDS[0])]), "b": host([there], [parent()])}
    plan = plan_of(fleet)
    assert plan["status"] == "infeasible"
    reasons = [each["reason"] for each in plan["unplaced"][0]["reasons"]]
    assert any("update the driver on b to 0.1 or newer" in each for each in reasons)


def test_what_the_target_accepts_cannot_be_known_of_a_device_that_is_not_there():
    fleet = {"a": host([device(UUIDS[0])]), "b": host(parents=[parent()])}
    assert plan_of(fleet, direction="target_accepts")["status"] == "infeasible"
    assert plan_of(fleet, direction="either")["status"] == "optimal"


def test_a_device_without_migration_is_left_behind_with_that_reason():
    never = {"supported": False, "features": [], "state": None}
    fleet = {
        "a": host([device(UUIDS[0], migration=never, vm="vm-1")]),
        "b": host(parents=[parent()]),
    }
    (left,) = plan_of(fleet)["unplaced"]
    assert left["reasons"] == [
        {"host": "a", "code": "cannot_migrate", "reason": "it cannot migrate"}
    ]


def test_a_guest_with_such_a_device_is_left_alone_with_that_reason():
    never = {"supported": False, "features": [], "state": None}
    devices = [device(UUIDS[0], vm="vm-1"), device(UUIDS[1], vm="vm-1", migration=never)]
    devices.append(device(UUIDS[2], vm="vm-2", pid=2))
    plan = plan_of({"a": host(devices), "b": host(parents=[parent()])})
    assert [each["vm"] for each in plan["placements"]] == ["vm-2"]
    reason = "it cannot migrate"
    assert [(each["vm"], each["reasons"][0]["reason"]) for each in plan["unplaced"]] == [
        ("vm-1", f"it stays with {UUIDS[1]} of the same guest: {reason}"),
        ("vm-1", reason),
    ]


def test_a_name_that_two_hosts_claim_is_nobodys():
    """A host could steer another's guest by saying that it has it, too."""
    known = {"in_use": {"pid": 7, "name": "vm-1", "uuid": UUIDS[9]}}
    fleet = {
        "a": host([device(UUIDS[0], **known)]),
        "evil": host([device(UUIDS[1], vm="vm-1"), device(UUIDS[2], vm="vm-2")]),
        "b": host([], [parent()]),
    }
    with pytest.raises(
        FleetError, match="2 guests are 'vm-1'; give the UUID or a device"
    ) as caught:
        plan_for(fleet, sources=["vm-1"])
    assert f"{{host: a, id: {UUIDS[0]}}} (UUID {UUIDS[9]})" in str(caught.value)
    assert f"{{host: evil, id: {UUIDS[1]}}}" in str(caught.value)
    for source in ({"host": "a", "id": UUIDS[0]}, UUIDS[9]):
        (placement,) = migration_plan(fleet, sources=[source])["placements"]
        assert (placement["source"]["host"], placement["vm_uuid"]) == ("a", UUIDS[9])


def test_two_guests_of_one_name_on_a_host_are_two():
    fleet = {
        "a": host([device(UUIDS[n], vm="vm-1", pid=10 + n) for n in range(2)]),
        "b": host([], [parent()]),
    }
    with pytest.raises(
        FleetError, match="2 guests are 'vm-1'; give the UUID or a device"
    ) as caught:
        plan_for(fleet, sources=["vm-1"])
    assert all(each in str(caught.value) for each in UUIDS[:2])
    (placement,) = migration_plan(fleet, sources=[{"host": "a", "id": UUIDS[1]}])["placements"]
    assert placement["source"]["id"] == UUIDS[1]


@pytest.mark.parametrize(
    ("drain", "sources", "words"),
    [
        (None, None, "exactly one"),
        (["a"], ["vm-1"], "exactly one"),
        (["z"], None, "cannot drain z: no facts are known"),
        (None, ["vm-9"], "no guest or device in the fleet's facts is 'vm-9'"),
        (None, [{"host": "a", "id": "x"}], "is x on a"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(drain, sources, words):
    fleet = read_fleet({"a": host([device(UUIDS[0])])})
    with pytest.raises(FleetError, match=words):
        requested(fleet, drain, sources)


def _fixed(mdev_type: str, aggregator: str) -> dict:
    descriptor = gvt(mdev_type, aggregator)
    return descriptor | {"compatible": [descriptor["self"]]}


@st.composite
def fleets(draw) -> dict:
    """Draw small fleets: some guests on host a, hosts b to d with parents, some of them with devices already."""
    numbers = itertools.count()

    def devices(most: int, held: bool) -> list:
        chosen = draw(
            st.lists(st.sampled_from([("4", "2"), ("8", "4"), ("2", "1")]), max_size=most)
        )
        return [
            device(
                f"{next(numbers):08d}-1111-4222-8333-444444444444",
                gvt(*each),
                vm=(
                    vm := draw(st.sampled_from(["vm-1", "vm-2", None] if held else [None, "busy"]))
                ),
                pid={"vm-1": 1, "vm-2": 2, "busy": 3}.get(vm or ""),
            )
            for each in chosen
        ]

    fleet = {"a": host(devices(4, True))}
    for name in "bcd"[: draw(st.integers(1, 3))]:
        parents = [
            parent(
                f"0000:00:0{index}.0",
                draw(st.sampled_from(["80865963", "8086591d"])),
                draw(
                    st.dictionaries(
                        st.sampled_from(["i915-GVTg_V5_2", "i915-GVTg_V5_4", "i915-GVTg_V5_8"]),
                        st.integers(0, 4),
                    )
                ),
            )
            for index in range(draw(st.integers(0, 2)))
        ]
        fleet[name] = host(devices(2, False), parents)
    return fleet


@given(fleets(), st.sampled_from(["pack", "spread"]))
def test_every_plan_is_sound_complete_and_the_same_again(fleet, policy):
    plan = plan_of(fleet, policy=policy)
    sources = [each["source"]["id"] for each in (*plan["placements"], *plan["unplaced"])]
    assert sorted(sources) == sorted(each["id"] for each in fleet["a"]["devices"])
    assert all(left["reasons"] for left in plan["unplaced"])
    assert (plan["status"] in ("optimal", "feasible")) == (plan["unplaced"] == [])
    again = plan_of(json.loads(json.dumps(fleet)), policy=policy)
    assert json.dumps(again) == json.dumps(plan)


def carried_out(fleet: dict, plan: dict) -> dict:
    """Return the facts of the fleet once the targets of ``plan`` are made."""
    after = copy.deepcopy(fleet)
    for placement in plan["placements"]:
        target = placement["target"]
        if target["create"]:
            own = after[target["host"]]
            aggregator = target["attributes"][0]["value"]
            made = host(
                [device(target["id"], gvt(target["type"][-1], aggregator), parent=target["parent"])]
            )
            own["descriptors"] |= made["descriptors"]
            own["devices"] += made["devices"]
            for each in own["parents"]:
                for mdev_type in each["types"] if each["id"] == target["parent"] else ():
                    # How a driver lets types share a parent is its own; here they all lose as many.
                    left = mdev_type["available_instances"] - int(aggregator)
                    mdev_type["available_instances"] = max(0, left)
    return after


@given(fleets(), st.sampled_from(["pack", "spread"]))
def test_a_plan_that_was_carried_out_leaves_nothing_to_do(fleet, policy):
    plan = plan_of(fleet, policy=policy)
    if plan["unplaced"]:
        return
    again = plan_of(carried_out(fleet, plan), policy=policy)
    assert again["unplaced"] == []
    assert [each for each in again["placements"] if each["target"]["create"]] == []


def test_a_device_that_was_there_before_the_first_plan_is_kept_by_the_second():
    there = device(UUIDS[5], _fixed("8", "1"), parent="0000:00:03.0")
    small = {"i915-GVTg_V5_4": 3, "i915-GVTg_V5_8": 7}
    fleet = {
        "a": host([device(UUIDS[0], _fixed("8", "1")), device(UUIDS[1], gvt("4", "2"))]),
        "b": host([there], [parent(), parent("0000:00:03.0", available=small)]),
    }
    first = plan_of(fleet)
    assert first["map"]["a"][UUIDS[0]] == UUIDS[5]
    assert plan_of(carried_out(fleet, first))["map"] == first["map"]


DRAIN_A = Conditions(drain=["a"])

DAMAGE = {
    "two sources on one target": lambda p: p["placements"][1].update(
        target=copy.deepcopy(p["placements"][0]["target"])
    ),
    "a guest torn apart": lambda p: p["placements"][0]["target"].update(host="c"),
    "back to its own host": lambda p: p["placements"][0]["target"].update(host="a"),
    "a type that is not there": lambda p: p["placements"][0]["target"].update(type="x"),
    "a parent that is not there": lambda p: p["placements"][0]["target"].update(parent="x"),
    "another aggregator": lambda p: p["placements"][0]["target"].update(
        attributes=[{"name": "intel_vgpu/aggregator", "value": "3"}]
    ),
    "a source twice": lambda p: p["unplaced"].append({"source": p["placements"][0]["source"]}),
    "a source of no host": lambda p: p["placements"][0]["source"].update(id="x"),
    "a lost device": lambda p: p["placements"].pop(),
    "another map": lambda p: p["map"]["a"].update({UUIDS[0]: UUIDS[5]}),
    "another device for the host": lambda p: p["hosts"]["b"]["devices"][0].update(type="x"),
    "a device that is not there": lambda p: p["placements"][0]["target"].update(create=False),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_the_verifier_rejects_a_damaged_plan(damage):
    fleet = {
        "a": host([device(UUIDS[n], vm="vm-1") for n in range(2)]),
        "b": host(parents=[parent(available={"i915-GVTg_V5_4": 4})]),
        "c": host(parents=[parent(available={"i915-GVTg_V5_4": 2})]),
    }
    plan = plan_of(fleet)
    damage(plan)
    assert violations(plan, fleet, DRAIN_A)


def test_the_verifier_rejects_too_many_of_a_parent_and_held_targets():
    fleet = {
        "a": host([device(UUIDS[n]) for n in range(2)]),
        "b": host(parents=[parent(available={"i915-GVTg_V5_4": 4})]),
    }
    plan = plan_of(fleet)
    fleet["b"]["parents"][0]["types"][0]["available_instances"] = 3
    assert any("not to be had" in each for each in violations(plan, fleet, DRAIN_A))

    fleet = {"a": host([device(UUIDS[0])]), "b": host([device(UUIDS[1])])}
    plan = plan_of(fleet)
    fleet["b"]["devices"][0]["in_use"] = {"pid": 1, "name": "x"}
    assert any("is held by a process" in each for each in violations(plan, fleet, DRAIN_A))
