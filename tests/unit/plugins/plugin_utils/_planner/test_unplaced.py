# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a plan tells of a device that it leaves behind: for each host what is nearest to letting it go there."""

from __future__ import annotations

import json
import random
import typing as t
from collections import Counter

import pytest
from ansible_collections.vfio.migration.plugins.filter.migration_plan import migration_plan
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import read_fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._planner import unplaced
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.planner import make_plan
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import (
    Avoided,
    Conditions,
    Request,
    requested,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.unplaced import (
    MAX_HOSTS,
    MAX_REASONS,
)
from ansible_collections.vfio.migration.tests.unit import cards
from ansible_collections.vfio.migration.tests.unit.fleets import (
    UUIDS,
    device,
    gvt,
    host,
    parent,
    vf,
)
from hypothesis import given, settings
from hypothesis import strategies as st

# The parent of another generation that makes the same types.
OTHER = "8086591d"


def left_of(fleet: dict, **options) -> t.Any:
    """Return what a plan that drains host a leaves behind."""
    read = read_fleet(fleet)
    targets = [name for name in read.hosts if name != "a"]
    plan = make_plan(read, Request(requested(read, ["a"], None), targets, Conditions(**options)))
    return plan["unplaced"]


def told(fleet: dict, **options) -> list[tuple[str | None, str]]:
    """Return hosts and reasons of the only device that is left behind, without what is true of all hosts together."""
    (left,) = left_of(fleet, **options)
    return [
        (each["host"], each["reason"])
        for each in left["reasons"]
        if "of which all targets together have" not in each["reason"]
    ]


def only(*sets: dict) -> dict:
    """Return the descriptor of the first of these, which lists just them."""
    return {"self": sets[0]["self"], "compatible": [each["self"] for each in sets]}


def test_a_device_that_the_plan_itself_has_taken_is_named():
    fleet = {"a": host([device(UUIDS[0]), device(UUIDS[1])]), "b": host([device(UUIDS[2])])}
    assert told(fleet) == [("b", f"{UUIDS[2]} is taken by this plan")]


def test_who_holds_what_would_do_is_told_before_what_else_is_wrong():
    held = device(UUIDS[1], in_use={"pid": 7, "name": "vm-9"})
    fleet = {"a": host([device(UUIDS[0])]), "b": host([held], [parent(pci_id=OTHER)])}
    assert told(fleet) == [("b", f"{UUIDS[1]} on b is compatible, but vm-9 (pid 7) holds it")]


def test_a_free_device_that_is_to_be_avoided_is_told_with_the_reason_given():
    fleet = {"a": host([device(UUIDS[0])]), "b": host([device(UUIDS[1])])}
    avoid = {Avoided("b"): "it is down"}
    expected = f"{UUIDS[1]} on b is compatible, but it is excluded: it is down"
    assert told(fleet, avoid=avoid) == [("b", expected)]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"keep_type": True}, "of type i915-GVTg_V5_4"),
        ({"round_trip": True}, "from which it is known that the device could migrate back"),
    ],
)
def test_where_only_a_condition_stands_in_the_way_that_is_told(options, expected):
    one_way = only(gvt("4", "2"), gvt("8", "4"))
    target = device(UUIDS[1], only(gvt("8", "4")))
    fleet = {"a": host([device(UUIDS[0], one_way)]), "b": host([target])}
    assert left_of(fleet) == []
    assert told(fleet, **options) == [("b", f"b has nothing compatible {expected}")]


def test_of_what_is_not_compatible_only_the_nearest_is_told():
    near = device(UUIDS[1], gvt(pci_id=OTHER))
    far = device(UUIDS[2], gvt(pci_id=OTHER, software_version="1.0.0"))
    fleet = {"a": host([device(UUIDS[0])]), "b": host([near, far])}
    assert told(fleet) == [("b", f"{UUIDS[1]} on b has pci_id {OTHER}; 80865963 is needed")]


def test_a_host_with_nothing_to_offer_is_told_as_such():
    fleet = {"a": host([device(UUIDS[0])]), "b": host()}
    assert told(fleet) == [
        (
            "b",
            "b has no VFIO device with a usable descriptor, and no parent that can create one",
        )
    ]


def test_where_there_is_no_other_host_that_is_told():
    assert told({"a": host([device(UUIDS[0])], [parent()])}) == [
        (None, "there is no host that it might go to")
    ]


def test_a_hosts_limit_is_told_with_what_it_receives():
    fleet = {"a": host([device(UUIDS[0]), device(UUIDS[1])]), "b": host(parents=[parent()])}
    assert told(fleet, limit=1) == [("b", "b receives 1 device already, and 1 at most")]


ONE_FITS = {
    "hosts": {"b": {"memory": 3}},
    "guests": {"vm-0": {"memory": 2}, "vm-1": {"memory": 2}},
}


@pytest.mark.parametrize(
    ("code", "options"), [("limit", {"limit": 1}), ("capacity", {"capacity": ONE_FITS})]
)
def test_what_those_take_of_a_limit_that_were_placed_before_is_told(code, options):
    """Those that come before by their priority, and those that an earlier plan has placed."""
    source = host([vf(n, vm=f"vm-{n}") for n in range(2)])
    fleet = {"a": source, "b": host([vf(5), vf(6)])}

    def codes(**more):
        plan = migration_plan(fleet, drain=["a"], **options, **more)
        return plan, [each["code"] for each in plan["unplaced"][0]["reasons"]]

    earlier, alone = codes()
    assert alone == [code]
    for more in ({"priority": {"vm-0": 1}}, {"earlier": earlier}):
        _plan, there = codes(**more)
        assert code in there and "capacity_taken" not in there


def test_that_guests_must_be_apart_is_told():
    guests = [device(UUIDS[n], vm=f"vm-{n}", pid=100 + n) for n in range(2)]
    fleet = {"a": host(guests), "b": host(parents=[parent()])}
    assert told(fleet, apart=[["vm-0", "vm-1"]]) == [
        ("b", "it is to be apart from vm-0 on a, which goes to b")
    ]


def test_nobody_is_to_be_apart_from_one_that_is_elsewhere():
    guest = [vf(n, "vm-0", pid=1) for n in range(2)]
    fleet = {"a": host(guest), "b": host([vf(8), vf(9, "q", kind="w")]), "c": host([vf(8, "mate")])}
    short = [
        "no place there for all devices of the guest at once",
        "2 places for 0000:81:00.0, 0000:81:00.1 are needed there, and 1 is left",
    ]
    for left in left_of(fleet, apart=[["vm-0", "mate"]]):
        assert [each["reason"] for each in left["reasons"] if each["host"] == "b"] == short


def test_what_a_limit_keeps_from_a_host_is_not_said_to_have_no_places_at_once():
    fleet = {"a": host([vf(n, "vm-0", pid=1) for n in range(2)]), "b": host([vf(8), vf(9)])}
    for left in left_of(fleet, limit=1):
        (reason,) = left["reasons"]
        assert reason["reason"] == "b receives 0 devices already, and 1 at most"
    fleet["b"] = host([vf(8), vf(9), vf(10, "mate")])
    for left in left_of(fleet, apart=[["vm-0", "mate"]]):
        (reason,) = left["reasons"]
        assert reason["reason"] == "it is to be apart from mate on b, which stays there"


@pytest.mark.parametrize("uuid", [None, UUIDS[7]])
def test_who_of_a_group_stays_there_is_named_with_its_host(uuid):
    """Whoever says to have such a guest is in the way, and is to be found."""
    fleet = {
        "a": host([device(UUIDS[0], vm="vm-0", pid=100)]),
        "b": host(parents=[parent()]),
        "c": host([device(UUIDS[1], vm="vm-1", pid=101)]),
    }
    if uuid:
        fleet["c"]["devices"][0]["in_use"] = {"pid": 101, "name": None, "uuid": uuid}
    domains = {"rack": ["b", "c"]}
    group = [["vm-0", uuid or "vm-1"]]
    found = dict(told(fleet, apart=group, failure_domains=domains))
    mate = f"{uuid or 'vm-1'} on c"
    assert found["b"] == f"it is to be apart from {mate}, which stays there in its failure domain"


def test_the_devices_that_keep_the_rest_of_their_guest_back_are_named():
    guest = [device(UUIDS[0], vm="vm-1"), device(UUIDS[1], gvt(pci_id=OTHER), vm="vm-1")]
    guest[1]["descriptor"] = only(gvt(pci_id=OTHER))
    fleet = {"a": host(guest), "b": host(parents=[parent()])}
    reasons = {
        left["source"]["id"]: [each["reason"] for each in left["reasons"] if each["host"] == "b"]
        for left in left_of(fleet)
    }
    assert reasons[UUIDS[0]] == [f"no place there for {UUIDS[1]} of the same guest"]
    assert reasons[UUIDS[1]] == [
        f"a new i915-GVTg_V5_4 under 0000:00:02.0 on b has pci_id 80865963; {OTHER} is needed"
    ]


def test_a_guest_whose_devices_fit_one_by_one_but_not_together_is_told_so():
    guest = [device(UUIDS[n], gvt("4", "2"), vm="vm-1") for n in range(2)]
    fleet = {
        "a": host(guest),
        "b": host(parents=[parent(available={"i915-GVTg_V5_4": 2})]),
    }
    for left in left_of(fleet):
        at_once = "no place there for all devices of the guest at once"
        assert {"host": "b", "code": "guest_together", "reason": at_once} in left["reasons"]


def test_the_one_type_that_a_plan_makes_of_a_parent_keeps_others_away():
    sources = [device(UUIDS[n], only(gvt(size, "1"))) for n, size in enumerate("88842")]
    fleet = {"a": host(sources), "b": host(parents=[parent(driver="other")])}
    reasons = {
        left["source"]["id"]: [each["reason"] for each in left["reasons"] if each["host"] == "b"]
        for left in left_of(fleet)
    }
    makes = "this plan makes i915-GVTg_V5_8 under 0000:00:02.0 on b"
    expected = f"{makes}, and under one parent only one type"
    assert reasons == {UUIDS[3]: [expected], UUIDS[4]: [expected]}


@pytest.mark.parametrize(
    ("devices", "expected"),
    [
        ([], "although it has no device: something else takes its capacity"),
        ([device(UUIDS[1], gvt(pci_id=OTHER), vm="vm-9")], "1 in use, by vm-9"),
        ([device(UUIDS[1], gvt(pci_id=OTHER))], f"1 in use, by no process ({UUIDS[1]})"),
    ],
)
def test_what_has_used_a_parent_up_is_told(devices, expected):
    full = parent(available={"i915-GVTg_V5_4": 0})
    fleet = {"a": host([device(UUIDS[0])]), "b": host(devices, [full])}
    ((name, reason),) = told(fleet)
    assert name == "b"
    assert reason.startswith("no instance of i915-GVTg_V5_4 left under 0000:00:02.0 on b")
    assert reason.endswith(expected)


def test_of_many_hosts_that_are_alike_one_is_told_with_the_number_of_the_others():
    fleet = {"a": host([device(UUIDS[0])])} | {
        f"b{number:02}": host(parents=[parent(pci_id=OTHER)]) for number in range(MAX_HOSTS + 1)
    }
    (left,) = left_of(fleet)
    assert {(each["host"], each.get("alike")) for each in left["reasons"]} == {("b00", MAX_HOSTS)}
    few = {name: facts for name, facts in fleet.items() if name != "b00"}
    (left,) = left_of(few)
    assert len({each["host"] for each in left["reasons"]}) == MAX_HOSTS
    assert not any("alike" in each for each in left["reasons"])


def test_of_hosts_that_were_alike_those_that_receive_guests_are_told_apart_from_the_others():
    """Of hosts with a guest of the group each, half of the free devices are taken: more of them would not do."""
    count = MAX_HOSTS + 2
    fleet = {"a": host([vf(n, f"vm-{n}", pid=1 + n) for n in range(count // 2 + 1)])} | {
        f"b{number:02}": host([vf(0, f"stays-{number}", pid=1), vf(1)]) for number in range(count)
    }
    group = ["vm-0", *(f"stays-{number}" for number in range(count))]
    (left,) = left_of(fleet, apart=[group])
    assert left["vm"] == "vm-0"
    told = Counter({each["code"]: 1 + each.get("alike", 0) for each in left["reasons"]})
    assert told == {"taken": count // 2, "apart": count - count // 2}


def test_guests_of_two_hosts_that_share_a_name_take_what_both_of_them_do():
    fleet = {
        "a": host([vf(0, "vm-0"), vf(1, "big")]),
        "b": host([vf(0, "vm-0")]),
        "c": host([vf(n) for n in range(3)]),
    }
    capacity = {
        "hosts": {"c": {"memory": 8}},
        "guests": {"vm-0": {"memory": 4}, "big": {"memory": 3}},
    }
    plan = migration_plan(fleet, drain=["a", "b"], capacity=capacity, priority={"vm-0": 1})
    (left,) = plan["unplaced"]
    (reason,) = [each for each in left["reasons"] if each["code"] == "capacity"]
    assert (left["vm"], reason["reason"]) == ("big", "c has 0 of its memory left, and 3 is needed")


def test_who_holds_what_would_do_is_told_however_many_hosts_have_nothing_of_its_kind():
    fleet = {"a": host([vf(0, "vm-1")])} | {
        f"b{number:02}": host([vf(0, f"other-{number}", "w")]) for number in range(MAX_HOSTS)
    }
    fleet["c"] = host([vf(0, "vm-2")])
    (left,) = left_of(fleet)
    assert ("c", "in_use", 0) in [
        (each["host"], each["code"], each.get("alike", 0)) for each in left["reasons"]
    ]


def full_hosts(chance: random.Random, count: int) -> dict:
    """Return so many hosts of few makes, on which nothing is free."""
    never = {"supported": False, "evidence": "no", "features": [], "state": None}
    makes: list[t.Callable[[int], dict[str, t.Any]]] = [
        lambda number: host(),
        lambda number: host([vf(n, f"v-{number}-{n}", pid=1 + n) for n in range(2)]),
        lambda number: host([vf(0, f"w-{number}", "w"), vf(1)]),
        lambda number: host([vf(0, in_use={"pid": None, "name": None})]),
        lambda number: host([vf(0, migration=never), vf(1, f"v-{number}")]),
        lambda number: host([device(UUIDS[1], gvt(), f"g-{number}")], [full]),
        lambda number: host([device(UUIDS[1], gvt(), f"g-{number}")], [other]),
        lambda number: host([device(UUIDS[1], gvt(software_version="1.0"), f"g-{number}")]),
        lambda number: host([device(UUIDS[1], gvt("8", "4"), f"g-{number}", migration=never)]),
        lambda number: host(
            [cards.vgpu(1, 12, vm=f"m-{number}")], cards.parents(number=4, taken=range(4))
        ),
        lambda number: host([cards.typed(0, "1155", vm=f"n-{number}")]),
        lambda number: host([cards.typeless(0, {})]),
    ]
    full, other = (
        parent(available={"i915-GVTg_V5_4": 0}, pci_id=pci_id) for pci_id in ("80865963", OTHER)
    )
    return {f"b{number:03}": chance.choice(makes)(number) for number in range(count)}


@pytest.mark.hypothesis
@settings(max_examples=20)
@given(st.randoms(use_true_random=False))
def test_what_is_told_of_many_hosts_is_true_of_so_many(chance):
    sources = [
        *(vf(0, "v-1", "v", pid=11), device(UUIDS[0], gvt(), "g-1", 12)),
        *(cards.vgpu(99, 12, vm="m-1", pid=13), cards.typed(0, "1155", vm="n-1", pid=14)),
        *(vf(1, "two", "w", pid=15), device(UUIDS[2], gvt(), "two", 15)),
    ]
    fleet = {"a": host(sources)} | full_hosts(chance, MAX_HOSTS + 5)
    options = {"avoid": {Avoided("b003", "0000:00:02.0"): "it is down"}, "keep_type": True}
    options = {name: each for name, each in options.items() if chance.random() < 0.3}

    def rules(left: t.Any) -> Counter[tuple[str | None, ...]]:
        """Return of how many hosts each reason is told, whichever devices and numbers it names."""
        hosts: Counter[tuple[str | None, ...]] = Counter()
        for rule, _name, alike in {
            (
                (each["code"], each.get("attribute"), each.get("detail")),
                each["host"],
                each.get("alike", 0),
            )
            for each in left["reasons"]
            if each["host"] not in (None, "a")
        }:
            hosts[rule] += 1 + alike
        return hosts

    in_short = left_of(fleet, **options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unplaced, "MAX_HOSTS", len(fleet))
        in_full = left_of(fleet, **options)
    assert [each["source"] for each in in_short] == [each["source"] for each in in_full]
    for short, full in zip(in_short, in_full, strict=True):
        assert rules(short) == rules(full)


def different_hosts(count: int, *devices: dict) -> dict:
    """Return so many hosts, no two in the same state, with these guests on one of them."""
    kinds = ["v", "w", "x", "y"]
    return {
        "a": host([*devices]),
        **{
            f"b{number:03}": host(
                [vf(n, kind=kinds[number >> 2 * n & 3]) for n in range(1 + number % 4)]
            )
            for number in range(count)
        },
    }


def test_of_many_hosts_each_reason_is_told_once_with_the_number_of_hosts():
    fleet = different_hosts(100, vf(0, "vm-1", "z"))
    (left,) = left_of(fleet)
    assert len(left["reasons"]) <= 10
    by_reason = {each["reason"]: each.get("alike", 0) + 1 for each in left["reasons"]}
    assert any("z is needed" in each and count > 20 for each, count in by_reason.items())


def test_a_plan_with_many_left_behind_grows_no_faster_than_they_are():
    sizes = []
    for count in (50, 100):
        guests = [vf(n, f"vm-{n}", pid=1 + n) for n in range(2 * count)]
        plan = migration_plan(different_hosts(count, *guests), drain=["a"])
        sizes.append(len(json.dumps(plan["unplaced"])) / len(plan["unplaced"]))
    assert sizes[1] < 1.5 * sizes[0]


@pytest.mark.parametrize("count", [1, 4, MAX_HOSTS, 2 * MAX_HOSTS])
def test_a_plan_tells_of_equal_devices_on_all_hosts_so_many_and_how_many_more(count):
    held = [vf(n, f"other-{n}") for n in range(MAX_REASONS + 1)]
    fleet = {"a": host([vf(0, "vm-1")])}
    fleet |= {f"b{number:02}": host(held[: MAX_REASONS - 1]) for number in range(count)}
    (left,) = left_of(fleet)
    assert {each["code"] for each in left["reasons"]} == {"in_use"}
    told = [each["reason"] for each in left["reasons"]]
    assert len(told) == {1: MAX_REASONS - 1, 4: MAX_REASONS, MAX_HOSTS: MAX_HOSTS}.get(count, 1)
    more = MAX_REASONS - 1 - (MAX_REASONS // count if count <= MAX_HOSTS else 1)
    assert told[-1].endswith(f"(and {more} more like it there)") == (more > 0)


def test_two_shortages_are_told_apart():
    guests = [vf(n, f"vm-{n}", "vw"[n % 2]) for n in range(8)]
    room = [vf(n, kind="vvvw"[n]) for n in range(4)]
    fleet = {"a": host(guests), "b": host(room)}
    plan = migration_plan(fleet, drain=["a"])
    assert (plan["shortage"]["need"], plan["shortage"]["reachable"]) == (8, 4)
    assert sorted((each["need"], each["reachable"]) for each in plan["shortages"]) == [
        (4, 1),
        (4, 3),
    ]
    reasons = {each["reasons"][0]["reason"] for each in plan["unplaced"]}
    assert len(reasons) == 2
    assert all(each.startswith("4 devices") and each.endswith("too few") for each in reasons)
