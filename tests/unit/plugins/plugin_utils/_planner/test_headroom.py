# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Headroom: which hosts can be emptied, beside plans that drain each of them."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import json
import random
import typing as t

import pytest
from ansible_collections.vfio.migration.plugins.filter.maintenance_plan import maintenance_plan
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import read_fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.effort import Effort
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.packings import Packings
from ansible_collections.vfio.migration.plugins.plugin_utils._planner import (
    headroom as headroom_module,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner import (
    whole_fleet as whole_fleet_module,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.admissible import Admission
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.headroom import headroom
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.planner import make_plan
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import (
    Conditions,
    Request,
    requested,
    staying,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.survey import Survey
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify import violations
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.whole_fleet import WholeFleet
from ansible_collections.vfio.migration.tests import sample_fleet
from ansible_collections.vfio.migration.tests.unit.drawn_fleets import drawn
from ansible_collections.vfio.migration.tests.unit.fleets import (
    UUIDS,
    device,
    gvt,
    host,
    parent,
    vf,
)
from ansible_collections.vfio.migration.tests.unit.worst_fleets import one_guest_without_room
from hypothesis import example, given
from hypothesis import strategies as st

Facts = dict[str, t.Any]
NOTHING = Conditions()


def asked(
    facts: Facts,
    conditions: Conditions = NOTHING,
    domains: t.Mapping[str, t.Sequence[str]] | None = None,
    searches: int = 400,
    exempt: t.Collection[str] = (),
) -> t.Any:
    told: list[str] = []
    if domains is not None:
        conditions = dataclasses.replace(conditions, failure_domains=domains)
    return headroom(read_fleet(facts), conditions, told.append, searches, exempt)


def statuses(found: t.Any, facts: Facts) -> dict[str, str]:
    """Return the status of each host."""
    told = dict.fromkeys(facts, "emptied")
    for cause in found["causes"]:
        for each in cause["subjects"]:
            if not each["failure_domain"]:
                told[each["name"]] = cause["status"]
    return told


def drained(facts: Facts, hosts: t.Sequence[str], conditions: Conditions) -> t.Any:
    """Return a verified plan that moves the guests of these hosts."""
    fleet = read_fleet(facts)
    conditions = dataclasses.replace(conditions, drain=hosts, free_devices="none")
    guests = requested(fleet, hosts, None, "none")
    stays = staying(fleet, conditions)
    plan = make_plan(fleet, Request(guests, conditions.hosts(fleet), conditions, staying=stays))
    known = {name: each.facts for name, each in fleet.hosts.items()}
    assert violations(plan, known, conditions) == []
    return plan


def alone(facts: Facts, name: str, conditions: Conditions) -> set[str]:
    """Return the statuses of plans that move one guest of this host, each by itself."""
    fleet = read_fleet(facts)
    conditions = dataclasses.replace(conditions, drain=[name], free_devices="none")
    hosts = conditions.hosts(fleet)
    return {
        make_plan(fleet, Request([guest], hosts, conditions))["status"]
        for guest in requested(fleet, [name], None, "none")
    }


def some_conditions(request: Request) -> Conditions:
    return dataclasses.replace(request.conditions, reuse=False, policy="pack", drain=None)


def with_added(facts: Facts, devices: t.Sequence[t.Any], apart: bool) -> Facts:
    """Return the facts with free devices like these where they are to be: on one further host, or on one for each guest."""
    after = copy.deepcopy(facts)
    for number, each in enumerate(devices):
        there = facts[each["like"]["host"]]
        like = next(d for d in there["devices"] if d["id"] == each["like"]["id"])
        for count in range(each["count"]):
            of_guest = f"z{each['together']}" if each["together"] else f"z-{number}-{count}"
            name = each["host"] or (of_guest if apart or each["together"] else "z")
            after.setdefault(name, host())
            after[name]["descriptors"] |= there["descriptors"]
            new_id = f"ffffffff-{number:04x}-4222-8333-{count:012x}"
            if like["kind"] == "pci":
                new_id = f"0000:f{number % 16:x}:00.{count}"
            added = {**like, "id": new_id, "in_use": None}
            if each["numa_node"] is not None or each["together"]:
                added["numa_node"] = each["numa_node"] or 0
            after[name]["devices"].append(added)
    return after


def with_room(conditions: Conditions, names: t.Collection[str]) -> Conditions:
    """Return the conditions with more hosts that have enough of all that guests take beside devices."""
    enough = dict.fromkeys(conditions.resources(), 10**9)
    hosts = {**conditions.capacity.get("hosts", {}), **dict.fromkeys(names, enough)}
    return dataclasses.replace(conditions, capacity={**conditions.capacity, "hosts": hosts})


def with_amounts(conditions: Conditions, amounts: t.Sequence[t.Any], less: int = 0) -> Conditions:
    """Return the conditions with so much more of what guests take beside devices, or with a little ``less`` of it."""
    hosts = {name: {**free} for name, free in conditions.capacity.get("hosts", {}).items()}
    for each in amounts:
        free = hosts.setdefault(each["host"], {})
        free[each["resource"]] = free.get(each["resource"], 0) + each["amount"] - less
    return dataclasses.replace(conditions, capacity={**conditions.capacity, "hosts": hosts})


@given(st.integers(0, 100_000))
def test_a_host_can_be_emptied_where_a_plan_drains_it(seed):
    facts, request = drawn(random.Random(seed))
    conditions = some_conditions(request)
    found = asked(facts, conditions)
    told = statuses(found, facts)
    for name in facts:
        plan = drained(facts, [name], conditions)
        complete = plan["status"] in ("optimal", "feasible")
        assert (told[name] == "emptied") == complete, name
        assert complete or told[name] == plan["status"], name
    assert sum(found["hosts"].values()) == len(facts)
    for status, count in found["hosts"].items():
        assert count == list(told.values()).count(status)


def drawn_with_doubts(seed: int) -> t.Any:
    """Return a fleet of which not all is known, in every third one as not all of it could be read."""
    facts, request = drawn(random.Random(seed), unknown=True)
    for each in facts.values():
        if each and seed % 3 == 0:
            each["problems"] = [{"path": "/sys/devices", "problem": "gone"}]
    return facts, request


@given(st.integers(0, 100_000))
def test_what_is_proven_and_assumed_of_a_host_is_what_a_plan_that_drains_it_says(seed):
    facts, request = drawn_with_doubts(seed)
    conditions = some_conditions(request)
    assert_each_is_as_a_plan_says(facts, conditions)


def assert_each_is_as_a_plan_says(facts: Facts, conditions: Conditions) -> None:
    """Check what is told of each host without places for all against a plan that drains it, and with no searches as well."""
    told = {}
    for cause in asked(facts, conditions)["causes"]:
        for subject in cause["subjects"]:
            if subject["failure_domain"] or subject["name"] not in read_fleet(facts).hosts:
                continue
            plan = drained(facts, [subject["name"]], conditions)
            told[subject["name"]] = plan["status"]
            assert cause["status"] == plan["status"], subject["name"]
            assert cause["at_least"] == (plan["bound"] and plan["bound"]["unplaced"])
            # Of guests of which one has to stay, another one may, of whom something else is assumed.
            assert bool(cause["assumptions"]) == bool(plan.get("assumptions"))
    without = statuses(asked(facts, conditions, searches=0), facts)
    for name, status in told.items():
        assert without[name] in (status, "unproven") or without[name] in alone(
            facts, name, conditions
        ), name


def twins_with_unlike_doubts(chance: random.Random) -> tuple[Facts, Conditions]:
    """Return a fleet in which each host has a twin, equal but for what is not known of it, under names in any order."""
    facts, request = drawn(chance, unknown=chance.random() < 0.5)
    drawn_for = some_conditions(request)
    conditions = Conditions(
        limit=drawn_for.limit,
        numa_local=drawn_for.numa_local,
        keep_kind=drawn_for.keep_kind,
        keep_type=drawn_for.keep_type,
    )
    twins: Facts = {}
    names = chance.sample("abcdefgh", 8)
    for each in [found for found in facts.values() if found]:
        for _twin in range(2):
            name = names.pop()
            twins[name] = copy.deepcopy(each)
            for entry in twins[name]["devices"]:
                if entry["in_use"] and entry["in_use"]["name"]:
                    entry["in_use"]["name"] += f"-{name}"
                if entry["in_use"] and chance.random() < 0.3:
                    entry["in_use"] = {"pid": None, "name": None}
            if chance.random() < 0.2:
                twins[name]["problems"] = [{"path": "/sys/devices", "problem": "gone"}]
    return twins, conditions


@given(st.integers(0, 100_000))
def test_of_equal_hosts_each_is_told_by_what_is_not_known_of_itself_and_of_the_others(seed):
    assert_each_is_as_a_plan_says(*twins_with_unlike_doubts(random.Random(seed)))


def unlike(one: Facts, other: Facts, turned: bool) -> Facts:
    return {"a": other, "b": one} if turned else {"a": one, "b": other}


def takes_another_kind(entry: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return a device that those of its own kind do not take."""
    of_another = [vf(0, kind="w")["descriptor"]["self"]]
    return {**entry, "descriptor": {**entry["descriptor"], "compatible": of_another}}


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("searches", [400, 0])
def test_whether_a_device_is_held_is_asked_of_each_of_equal_hosts(turned, searches):
    held = takes_another_kind(vf(0, "x"))
    facts = unlike(host([held]), host([{**held, "in_use": {"pid": None, "name": None}}]), turned)
    found = asked(facts, searches=searches)
    known, perhaps = ("b", "a") if turned else ("a", "b")
    assert statuses(found, facts) == {known: "infeasible", perhaps: "unproven"}
    assert_each_is_as_a_plan_says(facts, NOTHING)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("searches", [400, 0])
def test_a_host_that_was_partly_read_may_be_a_place_of_all_but_its_own_guests(turned, searches):
    guest = [vf(0, "x")]
    problems = [{"path": "/sys/devices", "problem": "gone"}]
    facts = unlike(host(guest), host(guest, problems=problems), turned)
    known, partly = ("b", "a") if turned else ("a", "b")
    assert statuses(asked(facts, searches=searches), facts) == {
        known: "unproven",
        partly: "infeasible",
    }
    assert_each_is_as_a_plan_says(facts, NOTHING)


@pytest.mark.parametrize("turned", [False, True])
def test_a_device_that_may_be_held_is_a_place_of_all_but_the_guests_of_its_own_host(turned):
    perhaps = {"pid": None, "name": None}
    guest, stuck = takes_another_kind(vf(0, "x")), {**vf(1, kind="w"), "in_use": perhaps}
    stuck = {**stuck, "migration": {**stuck["migration"], "supported": False}}
    # The guest takes kind w alone, and so does who may hold such a device: both hosts have one, of which one cannot migrate.
    would_do = {**vf(1, kind="w"), "in_use": perhaps}
    would_do["descriptor"] = {**would_do["descriptor"], "compatible": []}
    facts = unlike(host([guest, would_do]), host([guest, stuck]), turned)
    assert_each_is_as_a_plan_says(facts, NOTHING)


@given(st.integers(0, 100_000))
def test_equal_hosts_with_equal_doubts_are_one_class(seed):
    facts, conditions = twins_with_unlike_doubts(random.Random(seed))
    (name, there), *_others = facts.items()
    other = copy.deepcopy(there)
    for entry in other["devices"]:
        if entry["in_use"] and entry["in_use"]["name"]:
            entry["in_use"]["name"] += "-twin"
    facts = {name: there, "z": other, "y": copy.deepcopy(there)}
    found = asked(facts, dataclasses.replace(conditions, limit=None))
    for cause, after in itertools.pairwise(found["causes"]):
        # Only a host on which there would be an addition is given another one.
        added_on = {each["host"] for each in cause["addition"]["devices"]}
        assert added_on >= {each["name"] for each in after["subjects"]}
        assert cause["sentence"] == after["sentence"]


@given(st.integers(0, 100_000))
def test_what_is_on_hosts_is_found_once_and_is_the_same_for_each(seed):
    facts, request = drawn_with_doubts(seed)
    conditions = some_conditions(request)
    domains = {"rack": [*read_fleet(facts).hosts][:2]}
    found = asked(facts, conditions, domains)
    part_of = WholeFleet._part

    def afresh(*args: t.Any) -> t.Any:
        part = part_of(*args)
        return dataclasses.replace(part, survey=Survey(part.fleet, part.names))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WholeFleet, "_part", afresh)
        assert asked(facts, conditions, domains) == found


@given(st.integers(0, 100_000))
def test_a_failure_domain_can_be_emptied_where_a_plan_drains_all_of_it(seed):
    facts, request = drawn(random.Random(seed))
    conditions = dataclasses.replace(some_conditions(request), failure_domains={"rack": ["a", "b"]})
    found = asked(facts, conditions)
    told = [
        c["status"] for c in found["causes"] for each in c["subjects"] if each["failure_domain"]
    ]
    plan = drained(facts, ["a", "b"], conditions)
    if plan["status"] in ("optimal", "feasible"):
        assert told == []
        assert found["failure_domains"]["emptied"] == 1
    else:
        assert told == [plan["status"]]


@given(st.integers(0, 100_000))
def test_with_an_addition_a_plan_leaves_nobody_behind(seed):
    facts, request = drawn(random.Random(seed))
    assert_additions_suffice(facts, some_conditions(request))


def assert_additions_suffice(facts: Facts, conditions: Conditions) -> int:
    """Check each addition beside a plan with it, and the smallest ones beside plans with less; return how many there are."""
    apart = bool(
        conditions.apart or conditions.limit is not None or conditions.capacity.get("guests")
    )
    seen = 0
    for cause in asked(facts, conditions)["causes"]:
        addition = cause["addition"]
        if addition is None:
            continue
        seen += 1
        after = with_added(facts, addition["devices"], apart)
        more = with_amounts(conditions, addition["amounts"])
        more = with_room(more, after.keys() - facts.keys())
        for subject in cause["subjects"]:
            emptied = [subject["name"]]
            if subject["failure_domain"]:
                emptied = [*conditions.failure_domains[subject["name"]]]
            assert drained(after, emptied, more)["unplaced"] == []
            for fewer, less in smaller(facts, conditions, addition, apart):
                assert drained(fewer, emptied, less)["unplaced"] != []
    return seen


def smaller(
    facts: Facts, conditions: Conditions, addition: t.Any, apart: bool
) -> t.Iterator[tuple[Facts, Conditions]]:
    """Yield facts and conditions with a little less than an addition that is the smallest."""
    if addition["smallest"] and addition["amounts"]:
        assert not addition["devices"]
        yield facts, with_amounts(conditions, addition["amounts"], less=1)
    for each in addition["devices"] if addition["smallest"] else ():
        fewer = [
            {**other, "count": other["count"] - (other is each)} for other in addition["devices"]
        ]
        after = with_added(facts, fewer, apart)
        yield after, with_room(conditions, after.keys() - facts.keys())


@given(st.integers(0, 100_000))
def test_what_is_to_be_added_where_it_matters_on_which_host_gives_all_a_place(seed):
    assert_additions_suffice(*conditional(random.Random(seed)))


def conditional(chance: random.Random) -> tuple[Facts, Conditions]:
    """Return a tiny fleet of which each host is short of something, with conditions for where each guest may go."""
    guests: list[str] = []
    facts: Facts = {}
    for name in "abc"[: chance.choice((2, 3, 3))]:
        devices = []
        for number in range(chance.choice((0, 1, 1, 2))):
            guests.append(f"{name}{number}")
            devices += [(guests[-1], 10 + number)] * chance.choice((1, 1, 2))
        devices += [(None, None)] * chance.choice((0, 1, 2))
        facts[name] = host(
            [
                vf(n, vm, chance.choice("vvw"), pid=pid, numa_node=chance.choice((0, 1)))
                for n, (vm, pid) in enumerate(devices)
            ]
        )
    some: dict[str, t.Any] = {"numa_local": chance.random() < 0.4}
    if chance.random() < 0.6:
        kinds = ["memory", "cpu"][: chance.choice((1, 1, 2))]
        some["capacity"] = {
            "hosts": {
                name: {kind: chance.randrange(5) for kind in kinds}
                for name in facts
                if chance.random() < 0.9
            },
            "guests": {
                name: {kind: chance.randrange(5) for kind in kinds}
                for name in guests
                if chance.random() < 0.9
            },
        }
        if chance.random() < 0.3:
            some["spare"] = {"memory": chance.randrange(4)}
    if chance.random() < 0.4 and len(guests) > 1:
        some["apart"] = [chance.sample(guests, 2)]
    if chance.random() < 0.3:
        some["limit"] = chance.choice((1, 2, {"b": 1}))
    if chance.random() < 0.3 and guests:
        some["avoid"] = [
            {"host": chance.choice([*facts]), "guest": chance.choice(guests)} for _one in range(2)
        ]
    return facts, Conditions.parse(some)


@given(st.integers(0, 100_000))
def test_with_the_addition_of_a_blocked_host_it_can_be_drained(seed):
    facts, conditions = conditional(random.Random(seed))
    names = ("limit", "capacity", "apart", "numa_local", "avoid", "spare")
    stated: t.Any = conditions.stated()
    options = {name: stated[name] for name in names if stated.get(name)}
    options["avoid"] = [{"host": each.host, "guest": each.guest} for each in conditions.avoid]
    weighed = conditions.resources()
    options["spare"] = {name: n for name, n in conditions.spare.items() if name in weighed}
    found = maintenance_plan(facts, [*facts], **options)
    blocked = found["blocked"]
    if found["steps"] or not blocked or not blocked["addition"]:
        return
    after = with_added(facts, blocked["addition"]["devices"], apart=True)
    more = with_amounts(conditions, blocked["addition"]["amounts"])
    if weighed:
        options["capacity"] = with_room(more, after.keys() - facts.keys()).capacity
    assert maintenance_plan(after, blocked["hosts"], **options)["blocked"] is None


def short_of_memory(spare: int = 0) -> tuple[Facts, Conditions]:
    facts = {
        "a": host([vf(0, "db")]),
        "b": host([vf(n) for n in range(3)]),
        "c": host([vf(0)]),
    }
    capacity = {
        "hosts": {"b": {"memory": 32}, "c": {"memory": 16}},
        "guests": {"db": {"memory": 33}},
    }
    return facts, Conditions(capacity=capacity, spare={"memory": spare} if spare else {})


@pytest.mark.parametrize(("spare", "amount"), [(0, 1), (2, 3), (40, 41)])
def test_where_memory_is_short_memory_is_added_and_no_device(spare, amount):
    facts, conditions = short_of_memory(spare)
    (cause,) = asked(facts, conditions)["causes"]
    addition = cause["addition"]
    assert addition["devices"] == []
    assert addition["amounts"] == [{"host": "b", "resource": "memory", "amount": amount}]
    assert addition["sentence"] == (
        f"all have a place with {amount} more free memory on b; less is not enough there"
    )
    assert assert_additions_suffice(facts, conditions) == 1


def test_memory_is_added_where_another_guest_gives_way_for_it():
    """Each of the two goes to the only host for it, and one of these has no memory: neither is short of devices."""
    facts = {
        "a": host([vf(0, "one", "w"), vf(1, "two", "v")]),
        "b": host([vf(0, kind="w")]),
        "c": host([vf(0, kind="v"), vf(1, kind="w")]),
    }
    conditions = Conditions(
        apart=[["one", "two"]],
        capacity={
            "hosts": {"b": {"memory": 0}, "c": {"memory": 9}},
            "guests": {"one": {"memory": 1}},
        },
    )
    (cause,) = asked(facts, conditions)["causes"]
    assert cause["addition"]["amounts"] == [{"host": "b", "resource": "memory", "amount": 1}]
    assert cause["addition"]["devices"] == []


def test_no_more_is_added_than_a_rearrangement_needs():
    """By itself the guest is short of all that another one takes, which might as well go elsewhere."""
    facts = {
        "a": host([vf(0, "one"), vf(1, "two")]),
        "b": host([vf(n) for n in range(2)]),
    }
    conditions = Conditions(
        capacity={
            "hosts": {"b": {"memory": 7}},
            "guests": {n: {"memory": 5} for n in ("one", "two")},
        }
    )
    (cause,) = asked(facts, conditions)["causes"]
    assert cause["addition"]["amounts"] == [{"host": "b", "resource": "memory", "amount": 3}]
    assert cause["addition"]["smallest"]


def test_devices_and_memory_of_one_host_are_added_together():
    facts, conditions = short_of_memory()
    facts["b"], facts["c"] = host(), host()
    (cause,) = asked(facts, conditions)["causes"]
    assert not cause["addition"]["smallest"]
    assert cause["addition"]["sentence"].endswith("on a) on b and 1 more free memory on b")
    assert assert_additions_suffice(facts, conditions) == 1


def test_a_device_is_added_on_a_host_that_has_the_memory():
    facts, conditions = short_of_memory()
    facts["d"] = host()
    hosts = {
        **conditions.capacity["hosts"],
        "b": {"memory": 0},
        "c": {"memory": 0},
        "d": {"memory": 33},
    }
    conditions = dataclasses.replace(conditions, capacity={**conditions.capacity, "hosts": hosts})
    # Memory alone is the smaller addition, but where there is no free device it is none.
    facts["b"], facts["c"] = host(), host()
    (cause,) = asked(facts, conditions)["causes"]
    assert [each["host"] for each in cause["addition"]["devices"]] == ["d"]
    assert cause["addition"]["amounts"] == [] and cause["addition"]["smallest"]


@pytest.mark.parametrize(
    "conditions",
    [
        Conditions(apart=[["db", "x", "y"]]),
        Conditions.parse({"avoid": [{"host": each, "guest": "db"} for each in "bc"]}),
        Conditions(limit=0),
    ],
)
def test_where_no_host_may_receive_a_guest_a_further_one_is_added(conditions):
    facts = {
        "a": host([vf(0, "db")]),
        "b": host([vf(0, "x"), vf(1), vf(2)]),
        "c": host([vf(0, "y"), vf(1)]),
    }
    cause = next(
        each for each in asked(facts, conditions)["causes"] if each["subjects"][0]["name"] == "a"
    )
    if conditions.limit == 0:
        assert cause["addition"] is None
        return
    assert [(each["host"], each["further"]) for each in cause["addition"]["devices"]] == [
        (None, True)
    ]
    assert "on a further host (no other host may receive it)" in cause["addition"]["sentence"]
    assert assert_additions_suffice(facts, conditions)


def test_with_numa_local_the_node_of_what_is_added_is_said():
    pair = [vf(n, "db", pid=1, numa_node=0) for n in range(2)]
    facts = {"a": host(pair), "b": host([vf(0, numa_node=1)])}
    local = Conditions(numa_local=True)
    (cause,) = asked(facts, local)["causes"]
    (added,) = cause["addition"]["devices"]
    assert (added["host"], added["numa_node"], added["count"]) == ("b", 1, 1)
    assert "on a) on NUMA node 1 of b; fewer are not enough" in cause["addition"]["sentence"]
    assert assert_additions_suffice(facts, local) == 1
    facts["b"] = host()
    (cause,) = asked(facts, local)["causes"]
    assert cause["addition"]["sentence"].endswith(
        "together on one other host that may receive them, on one NUMA node"
    )
    assert assert_additions_suffice(facts, local) == 1
    # On a host that has what the guest takes beside devices, it is one node of that.
    stated = dataclasses.replace(
        local, capacity={"hosts": {"b": {"memory": 1}}, "guests": {"x": {"memory": 1}}}
    )
    facts["c"] = host([vf(0, "x")])
    cause = next(
        each for each in asked(facts, stated)["causes"] if each["subjects"][0]["name"] == "a"
    )
    assert "on one NUMA node" in cause["addition"]["sentence"]


def test_what_is_exempt_has_to_be_there():
    fleet = read_fleet(three_of_one_make())
    words = "exempt has 'bb', 'rack2'; there is no host and no failure domain of this name"
    with pytest.raises(FleetError, match=words):
        headroom(fleet, NOTHING, lambda words: None, exempt=["a", "bb", "rack2"])


@pytest.mark.parametrize("searches", [400, 1])
def test_nothing_is_to_be_added_on_a_host_that_is_emptied(searches):
    """Each of equal hosts lacks one device on the other one."""

    def there(name: str) -> dict[str, t.Any]:
        return host([vf(0, name, pid=1), vf(1, name, "w", pid=1), vf(2)])

    facts = {"a": there("vm-1"), "b": there("vm-2"), "d": there("vm-3"), "c": host()}
    found = asked(facts, searches=searches)
    told = {}
    for cause in found["causes"]:
        names = [each["name"] for each in cause["subjects"]]
        told.update(dict.fromkeys(names, cause["status"]))
        (added,) = cause["addition"]["devices"]
        assert added["host"] not in names
        after = with_added(facts, [added], apart=False)
        for name in names:
            assert drained(after, [name], NOTHING)["unplaced"] == []
    assert told == dict.fromkeys("abd", "infeasible")
    assert found["sentences"][0] == "1 of 4 hosts can be drained or can fail"


def test_where_no_more_is_looked_at_a_host_that_an_addition_is_on_has_none(monkeypatch):
    monkeypatch.setattr(headroom_module, "_DETAILED", 1)
    facts = {
        name: host([vf(0, f"vm-{name}", pid=1), vf(1, f"vm-{name}", "w", pid=1), vf(2)])
        for name in "ab"
    }
    first, second = asked(facts)["causes"]
    assert [each["host"] for each in first["addition"]["devices"]] == ["b"]
    assert (second["status"], second["at_least"]) == (first["status"], first["at_least"])
    assert second["addition"] is None and second["unplaced"] == second["shortages"] == []
    assert [each["name"] for each in second["subjects"]] == ["b"]
    assert second["subjects"][0]["guests"][0]["vm"] == "vm-b"


@given(st.integers(0, 100_000))
# All guests together are unproven, as a limit is in the way; one of them has no place anywhere.
@example(274)
def test_without_searches_nothing_else_is_claimed(seed):
    facts, request = drawn(random.Random(seed))
    conditions = some_conditions(request)
    exact = statuses(asked(facts, conditions), facts)
    for name, status in statuses(asked(facts, conditions, searches=0), facts).items():
        assert status in (exact[name], "unproven") or status in alone(facts, name, conditions), name


@given(st.integers(0, 100_000))
def test_searches_that_have_looked_at_enough_end_together(seed):
    facts, request = drawn(random.Random(seed))
    conditions = some_conditions(request)
    exact = statuses(asked(facts, conditions), facts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(whole_fleet_module, "EFFORT", 1)
        found = asked(facts, conditions)
    for name, status in statuses(found, facts).items():
        assert status in (exact[name], "unproven"), name


def test_of_a_guest_with_many_devices_what_is_to_be_added_is_found_soon():
    # All choices of 39 of 64 devices would take for ever; how soon this is found is no matter of a busy machine.
    (cause,) = asked(one_guest_without_room())["causes"]
    # The parents have 39 instances left, of any type, for 64 devices.
    assert sum(each["count"] for each in cause["addition"]["devices"]) == 25


def three_of_one_make() -> Facts:
    """Return two full hosts with two guests each, and one with places for one of them."""
    return {
        "a": host([vf(0, "vm-1", pid=1), vf(1, "vm-2", pid=2)]),
        "b": host([vf(0, "vm-3", pid=1), vf(1, "vm-4", pid=2)]),
        "c": host([vf(0)]),
    }


def test_hosts_with_equal_guests_and_places_are_told_together_each_with_its_own_guests():
    found = asked(three_of_one_make())
    (cause,) = found["causes"]
    assert cause["status"] == "infeasible"
    assert cause["at_least"] == 1
    told = {each["name"]: [guest["vm"] for guest in each["guests"]] for each in cause["subjects"]}
    assert set(told) == {"a", "b"}
    assert len(told["a"]) == len(told["b"]) == 1
    assert told["a"][0] in ("vm-1", "vm-2")
    assert told["b"][0] in ("vm-3", "vm-4")
    assert found["sentences"][0] == "1 of 3 hosts can be drained or can fail"
    assert found["sentences"][1].startswith("a, b: 1 of 2 guests has no place elsewhere, and that")


def test_what_is_short_and_the_smallest_addition_are_told():
    (cause,) = asked(three_of_one_make())["causes"]
    assert cause["shortages"][0]["need"] == 2
    assert cause["shortages"][0]["reachable"] == 1
    assert [each["vm"] for each in cause["unplaced"]] == [cause["subjects"][0]["guests"][0]["vm"]]
    addition = cause["addition"]
    assert addition["smallest"]
    assert [(each["count"], each["type"], each["host"]) for each in addition["devices"]] == [
        (1, "v", None)
    ]
    assert "1 more free v of version 1.0.0" in addition["sentence"]


def test_of_a_guest_with_two_devices_only_the_one_that_is_short_is_added():
    facts = {
        "a": host([vf(0, "vm-1", "v", pid=1), vf(1, "vm-1", "w", pid=1)]),
        "b": host([vf(0, kind="v")]),
    }
    (cause,) = asked(facts)["causes"]
    assert [(each["type"], each["host"]) for each in cause["addition"]["devices"]] == [("w", "b")]
    assert cause["addition"]["smallest"]


def test_an_addition_for_a_guest_of_the_sample_fleet_gives_it_a_place():
    """Its vGPUs have descriptors that are derived, and a new one on a further host has the UUID of the source."""
    facts = {each.stem: json.loads(each.read_text()) for each in sample_fleet.PLACE.glob("*.json")}
    added = [each["addition"] for each in asked(facts)["causes"] if each["addition"]]
    assert added
    for each in added:
        (source,) = {device["like"]["host"] for device in each["devices"]}
        more = with_added(facts, each["devices"], apart=False)
        assert drained(more, [source], NOTHING)["unplaced"] == []


def test_what_is_said_to_be_proven_is_no_more_than_is():
    facts = {
        "a": host([vf(0, vm="vm-1"), vf(1, kind="w", vm="vm-2")]),
        "b": host([vf(2, kind="w")]),
    }
    (cause,) = asked(facts, Conditions(limit=0))["causes"]
    assert (cause["status"], cause["at_least"]) == ("infeasible", 1)
    assert cause["sentence"] == (
        "2 of 2 guests have no place elsewhere, and that is proven of 1 device"
    )
    steps = maintenance_plan(facts, ["a"], limit=0)
    assert steps["blocked"]["sentence"].endswith(
        "2 devices of its guests have no place elsewhere, and that is proven of 1 device, whatever is drained before"
    )


def test_no_addition_is_for_more_than_a_limit_lets_any_host_receive():
    pair = [vf(n, vm="vm-1", pid=1) for n in range(2)]
    facts = {"a": host(pair), "b": host()}
    (cause,) = asked(facts, Conditions(limit=1))["causes"]
    assert cause["addition"] is None
    (cause,) = asked(facts, Conditions(limit=2))["causes"]
    assert cause["addition"]["sentence"].endswith(
        "together on one other host that may receive them"
    )


def test_an_addition_says_what_belongs_on_one_host_and_what_does_not():
    pair = [vf(0, vm="vm-1", pid=1), vf(1, kind="w", vm="vm-1", pid=1)]
    (cause,) = asked({"a": host(pair), "b": host()})["causes"]
    assert [each["together"] for each in cause["addition"]["devices"]] == [1, 1]
    sentence = cause["addition"]["sentence"]
    assert "on a) and 1 more free w" in sentence and sentence.count(" host that may") == 1
    # Two guests with a device each.
    facts = {"a": host([vf(n, vm=f"vm-{n}") for n in range(2)]), "b": host(), "c": host()}
    for conditions, end in (
        (NOTHING, "on any other host that may receive it"),
        (Conditions(limit=1), "each on another host of its own that may receive it"),
        (
            Conditions(apart=[["vm-0", "vm-1"]]),
            "each on another host of its own that may receive it",
        ),
        (Conditions(targets=[]), "on any other host, which is to be one of the targets"),
    ):
        (cause,) = asked(facts, conditions)["causes"]
        assert [each["together"] for each in cause["addition"]["devices"]] == [None]
        assert f"on a) {end}; fewer are not enough" in cause["addition"]["sentence"]


@pytest.mark.parametrize("conditions", [Conditions(limit=1), Conditions(apart=[["vm-0", "vm-1"]])])
def test_where_there_is_a_host_for_one_of_two_guests_a_further_one_is_for_the_other(conditions):
    facts = {"a": host([vf(n, vm=f"vm-{n}") for n in range(2)]), "b": host()}
    (cause,) = asked(facts, conditions)["causes"]
    where = [(each["host"], each["further"]) for each in cause["addition"]["devices"]]
    assert where == [("b", False), (None, True)]
    assert " on a) on b and 1 more free v" in cause["addition"]["sentence"]
    assert "on a further host (no other host may receive it)" in cause["addition"]["sentence"]
    assert assert_additions_suffice(facts, conditions) == 1


def test_the_guests_without_a_place_and_what_is_short_are_named():
    facts, conditions = short_of_memory()
    said = asked(facts, conditions)["sentences"]
    assert said[2] == (
        "a: no place for db: b has 32 of its memory left, and 33 is needed; c has 16 of its memory left, and 33 is needed"
    )
    # Of hosts that are alike, each guest has its host, and what is short is said of the first of them.
    said = asked(three_of_one_make())["sentences"]
    assert said[2].startswith("a, b: no place for vm-")
    assert " on a, vm-" in said[2]
    assert said[2].endswith(
        "on b: 2 devices (v) need places of which all targets together have 1 at most: 1 too few"
    )


def test_of_many_guests_without_a_place_the_first_are_named():
    facts = {"a": host([vf(n, f"vm-{n}", pid=n + 1) for n in range(8)]), "b": host()}
    said = asked(facts)["sentences"]
    assert said[2].startswith("a: no place for vm-")
    assert said[2].count("vm-") == 5
    assert ", and 3 more guests: " in said[2]


def test_a_guest_that_no_process_shows_is_named_by_its_device():
    facts = {"a": host([vf(0, in_use={"pid": 7, "name": None})]), "b": host()}
    said = asked(facts)["sentences"]
    assert said[2].startswith("a: no place for 0000:81:00.0: ")


def test_nothing_is_added_for_a_device_that_cannot_migrate():
    stuck = {"supported": False, "evidence": "vendor", "features": [], "state": None}
    facts = {"a": host([vf(0, "vm-1", migration=stuck)]), "b": host([vf(0)])}
    (cause,) = asked(facts)["causes"]
    assert (cause["status"], cause["addition"]) == ("infeasible", None)


def test_a_host_without_facts_may_have_a_place():
    found = asked({**three_of_one_make(), "d": {"schema": 1}})
    (cause,) = found["causes"]
    assert cause["status"] == "unproven"
    assert "there are no usable facts of d" in cause["assumptions"][0]
    assert found["unknown"] == ["d"]


def test_parents_are_room_as_well():
    facts = {
        "a": host([device(UUIDS[n], gvt("8", "4"), f"vm-{n}", 10 + n) for n in range(3)]),
        "b": host([], [parent(available={"i915-GVTg_V5_8": 12})]),
    }
    assert asked(facts)["causes"] == []
    facts["b"] = host([], [parent(available={"i915-GVTg_V5_8": 8})])
    (cause,) = asked(facts)["causes"]
    assert cause["addition"]["devices"][0]["count"] == 1


def test_a_limit_is_kept_to():
    facts = {"a": host([vf(0, "vm-1", pid=1), vf(1, "vm-2", pid=2)]), "b": host([vf(0), vf(1)])}
    assert asked(facts)["causes"] == []
    (cause,) = asked(facts, Conditions(limit=1))["causes"]
    assert cause["status"] == "unproven"


def test_a_guest_finds_no_place_in_the_rack_of_another_one_of_its_group():
    facts = {
        "a": host([vf(0, "vm-1", pid=1)]),
        "b": host([vf(0)]),
        "c": host([vf(0, "vm-2", pid=2)]),
    }
    apart = Conditions(apart=[["vm-1", "vm-2"]])
    assert statuses(asked(facts, apart), facts) == dict.fromkeys(facts, "emptied")
    found = asked(facts, apart, {"rack": ["b", "c"]})
    # What fails leaves nobody of the group behind in the rack.
    assert statuses(found, facts) == {"a": "infeasible", "b": "emptied", "c": "emptied"}


def test_it_holds_where_only_exempt_hosts_and_domains_cannot_be_emptied():
    fleet = read_fleet(three_of_one_make())
    conditions = Conditions(failure_domains={"rack": ["a", "b"]})
    for exempt, holds in (((), False), (("a", "b"), False), (("a", "b", "rack"), True)):
        found = headroom(fleet, conditions, lambda words: None, exempt=exempt)
        assert found["holds"] == holds


def test_it_does_not_hold_where_nothing_is_known_of_a_host():
    for exempt, holds in (((), False), (("b",), True)):
        fleet = read_fleet({"a": host(), "b": {"schema": 1}})
        found = headroom(fleet, Conditions(), lambda words: None, exempt=exempt)
        assert found["holds"] == holds
        assert found["sentences"][1] == "there are no usable facts of b"


def test_a_failure_domain_with_a_host_that_there_is_not_is_an_error():
    with pytest.raises(FleetError, match="domain 'rack' has 'x', and there is no host of this"):
        asked(three_of_one_make(), domains={"rack": ["a", "x"]})


def test_of_a_failure_domain_with_a_host_of_which_nothing_is_known_nothing_is_told():
    facts = {**three_of_one_make(), "d": {"schema": 1}}
    known = asked(facts)
    found = asked(facts, domains={"rack": ["a", "d"]})
    assert found["failure_domains"] == {"emptied": 0, "infeasible": 0, "unproven": 1}
    assert found["hosts"] == known["hosts"]
    cause = found["causes"][-1]
    assert (cause["status"], [each["name"] for each in cause["subjects"]]) == ("unproven", ["rack"])
    assert cause["sentence"].startswith("it is unknown whether it can be drained: d: ")
    exempt = [*facts]
    assert not asked(facts, exempt=exempt, domains={"rack": ["a", "d"]})["holds"]
    assert asked(facts, exempt=[*exempt, "rack"], domains={"rack": ["a", "d"]})["holds"]


def test_first_fit_works_out_a_guest_of_several_devices_on_no_host_that_it_does_not_come_to(
    monkeypatch,
):
    asked_for = []
    nodes_for = Packings._nodes_for

    def counted(self: Packings, state: t.Any, split: t.Any) -> t.Any:
        asked_for.append(state)
        return nodes_for(self, state, split)

    monkeypatch.setattr(Packings, "_nodes_for", counted)
    pair = [vf(0, "vm-1", pid=1), vf(1, "vm-1", "w", pid=1)]
    # Each has room, and no two have as much.
    roomy = {
        f"h{n:02}": host([vf(0, kind="w"), *[vf(k) for k in range(1, n + 2)]]) for n in range(20)
    }
    assert asked({"a": host(pair), **roomy})["causes"] == []
    assert len(asked_for) == 1


def test_parts_that_look_at_every_device_again_count_for_more(monkeypatch):
    spent = []
    spend = Effort.spend

    def counted(self: Effort, count: int) -> None:
        spent.append(count)
        spend(self, count)

    monkeypatch.setattr(Effort, "spend", counted)
    facts = {name: host([vf(0, f"vm-{name}")]) for name in "ab"}
    facts |= {f"h{n:02}": host() for n in range(30)}
    asked(facts)
    plain = max(spent)
    spent.clear()
    init = Admission.__init__

    def not_plain(self: Admission, *args: t.Any) -> None:
        init(self, *args)
        self.is_plain = False

    monkeypatch.setattr(Admission, "__init__", not_plain)
    asked(facts)
    assert max(spent) > plain
