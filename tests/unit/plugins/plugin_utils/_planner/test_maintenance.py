# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rolling maintenance: the steps in which hosts are emptied that come back, beside all that there could be."""

from __future__ import annotations

import copy
import dataclasses
import heapq
import itertools
import random
import typing as t

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import read_fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.search import search
from ansible_collections.vfio.migration.plugins.plugin_utils._planner import (
    maintenance as maintenance_module,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner import (
    solution as solution_module,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.known_numbers import (
    KnownNumbers,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.maintenance import (
    Maintenance,
    maintenance_plan,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.planner import make_plan
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import (
    Avoided,
    Conditions,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify_maintenance import (
    maintenance_objections,
)
from ansible_collections.vfio.migration.tests.unit.drawn_fleets import drawn
from ansible_collections.vfio.migration.tests.unit.fleets import (
    UUIDS,
    device,
    gvt,
    host,
    parent,
    vf,
)
from hypothesis import event, given
from hypothesis import strategies as st

Facts = dict[str, t.Any]
NOTHING = Conditions()
# What each kind of function lists: a newer one goes to an older one, too.
LISTS = {"v": ("v",), "w": ("w",), "x": ("x", "v")}


def function(number: int, kind: str, vm: str | None = None, pid: int | None = None) -> t.Any:
    made = vf(number, vm, kind, pid=pid)
    own = made["descriptor"]["self"]
    made["descriptor"] = {
        "self": own,
        "compatible": [vf(0, kind=each)["descriptor"]["self"] for each in LISTS[kind]],
    }
    return made


def planned(
    facts: Facts, hosts: t.Sequence[str], conditions: Conditions = NOTHING, **asked: t.Any
) -> t.Any:
    return maintenance_plan(read_fleet(facts), Maintenance(hosts, **asked), conditions)


@given(st.integers(0, 100_000))
def test_plans_that_have_looked_at_enough_are_still_right(seed):
    chance = random.Random(seed)
    fleet = tiny(chance)
    hosts = sorted(fleet.facts)
    exact = planned(fleet.facts, hosts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(maintenance_module, "EFFORT", 1)
        found = planned(fleet.facts, hosts)
    assert maintenance_objections(found, fleet.facts, hosts) == []
    if "infeasible" in (found["status"], exact["status"]):
        assert found["status"] in ("infeasible", "unproven")
    if found["status"] == "optimal":
        assert found["moves"] == exact["moves"]


def test_once_enough_was_looked_at_what_had_no_place_is_not_tried_before_each_step():
    homeless = {"a": host([vf(0, "vm-1", "w", pid=1)]), "spare": full("spare", 0, 2)}
    facts = homeless | {f"b{number}": full(f"b{number}", 2) for number in range(6)}
    hosts = sorted(facts.keys() - {"spare"})
    tried: list[str] = []

    def noted(part, request, *args, **kwargs):
        tried.extend(request.conditions.drain)
        return make_plan(part, request, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(maintenance_module, "make_plan", noted)
        every_step = planned(facts, hosts)
        patch.setattr(maintenance_module, "EFFORT", 1)
        before = tried.count("a")
        found = planned(facts, hosts)
    assert found["order"] == every_step["order"] == hosts[1:]
    assert found["blocked"]["hosts"] == ["a"]
    assert tried.count("a") - before < before
    assert maintenance_objections(found, facts, hosts) == []


# --- beside all that there could be ---


class Drawn(t.NamedTuple):
    """A tiny fleet of functions: by host the kinds of all, and by guest its host and the kinds that it holds.

    By guest there is what it takes of memory, too, by host what is free of that, and how much is to be spare.
    """

    facts: Facts
    slots: dict[str, list[str]]
    guests: list[tuple[str, tuple[str, ...]]]
    taken: list[int]
    memory: dict[str, int]
    spare: int = 0

    @property
    def conditions(self) -> Conditions:
        if not any(self.taken):
            return NOTHING
        return Conditions(
            capacity={
                "hosts": {name: {"memory": free} for name, free in self.memory.items()},
                "guests": {f"vm-{n}": {"memory": each} for n, each in enumerate(self.taken)},
            },
            spare={"memory": self.spare},
        )

    def free(self, places: t.Any) -> dict[str, int]:
        """Return what each host has free of memory, beside what is to be spare, once guests are in these places."""
        found = {name: self.memory.get(name, 0) - self.spare for name in self.slots}
        for (before, _kinds), (now, _held), taken in zip(
            self.guests, places, self.taken, strict=True
        ):
            found[before] += taken
            found[now] -= taken
        return found


def tiny(chance: random.Random) -> Drawn:
    slots: dict[str, list[str]] = {}
    guests: list[tuple[str, tuple[str, ...]]] = []
    facts = {}
    for name in "abcd"[: chance.randint(2, 4)]:
        devices = []
        kinds: list[str] = []
        for _guest in range(chance.randint(0, 2)):
            held = tuple(chance.choice("vvvwx") for _device in range(chance.choice((1, 1, 2))))
            for kind in held:
                devices.append(function(len(devices), kind, f"vm-{len(guests)}", len(guests) + 1))
            guests.append((name, held))
            kinds += held
        for _free in range(chance.choice((0, 0, 1, 2))):
            kind = chance.choice("vvvwx")
            devices.append(function(len(devices), kind))
            kinds.append(kind)
        slots[name] = kinds
        facts[name] = host(devices)
    if chance.random() < 0.5:
        return Drawn(facts, slots, guests, [0] * len(guests), {})
    taken = [chance.randint(0, 3) for _guest in guests]
    # Of a host of which nothing is stated, what its guests have left is free.
    memory = {name: chance.randint(0, 6) for name in slots if chance.random() < 0.8}
    return Drawn(facts, slots, guests, taken, memory, chance.choice((0, 0, 1)))


def best(fleet: Drawn, hosts: t.Sequence[str], asked: Maintenance) -> tuple[int, int] | None:
    """Return the fewest moves, and conversions with these, of all ways to empty the hosts; ``None`` where there is none."""
    start = (tuple(hosts), tuple((name, tuple(sorted(held))) for name, held in fleet.guests))
    heap = [((0, 0), start)]
    seen = set()
    while heap:
        cost, state = heapq.heappop(heap)
        if state in seen:
            continue
        seen.add(state)
        pending, places = state
        if not pending:
            return cost
        for batch in batches(pending, asked):
            back = set(hosts) - set(pending) if not asked.use_returned else set()
            for after, converted in emptied(fleet, places, batch, back):
                moves = sum(place[0] in batch for place in places)
                left = tuple(name for name in pending if name not in batch)
                heapq.heappush(heap, ((cost[0] + moves, cost[1] + converted), (left, after)))
    return None


def batches(pending: tuple[str, ...], asked: Maintenance) -> t.Iterator[tuple[str, ...]]:
    for size in range(1, min(asked.at_once, len(pending)) + 1):
        if asked.keep_order:
            yield pending[:size]
        else:
            yield from itertools.combinations(pending, size)


def emptied(
    fleet: Drawn, places: t.Any, batch: t.Collection[str], closed: t.Collection[str]
) -> t.Iterator[tuple[t.Any, int]]:
    """Yield all places that guests can have once they have left the batch, and how many functions became others."""
    moving = [number for number, place in enumerate(places) if place[0] in batch]
    free = {
        (name, kind): kinds.count(kind) - sum(p[1].count(kind) for p in places if p[0] == name)
        for name, kinds in fleet.slots.items()
        if name not in batch and name not in closed
        for kind in LISTS
    }
    memory = fleet.free(places)

    def place(rest: list[int], now: list[t.Any], converted: int) -> t.Iterator[t.Any]:
        if not rest:
            yield tuple(now), converted
            return
        number, *others = rest
        held, taken = places[number][1], fleet.taken[number]
        for name in fleet.slots:
            if taken and memory[name] < taken:
                continue
            for kinds in set(itertools.product(*[LISTS[kind] for kind in held])):
                needed = {kind: kinds.count(kind) for kind in kinds}
                if any(free.get((name, kind), 0) < count for kind, count in needed.items()):
                    continue
                memory[name] -= taken
                for kind, count in needed.items():
                    free[name, kind] -= count
                now[number] = (name, tuple(sorted(kinds)))
                more = sum(a != b for a, b in zip(held, kinds, strict=True))
                yield from place(others, now, converted + more)
                memory[name] += taken
                for kind, count in needed.items():
                    free[name, kind] += count
                now[number] = places[number]

    yield from place(moving, list(places), 0)


@given(st.integers(0, 1_000_000))
def test_nothing_is_said_of_the_steps_that_is_not_so(seed):
    chance = random.Random(seed)
    fleet = tiny(chance)
    names = sorted(fleet.slots)
    hosts = chance.sample(names, chance.randint(1, len(names)))
    asked = Maintenance(
        hosts, chance.choice((1, 1, 1, 2)), chance.random() < 0.4, chance.random() < 0.8
    )
    plan = maintenance_plan(read_fleet(fleet.facts), asked, fleet.conditions)
    fewest = best(fleet, hosts, asked)
    event(f"{plan['status']}, {'possible' if fewest else 'not possible'}, {any(fleet.taken)}")
    assert maintenance_objections(plan, fleet.facts, hosts, fleet.conditions) == []
    if plan["status"] in ("optimal", "feasible"):
        assert sorted(plan["order"]) == sorted(hosts)
        assert plan["blocked"] is None
        assert fewest is not None
        found = (plan["moves"], plan["conversions"])
        event(f"{plan['status']}, {'fewest' if found == fewest else 'more'} moves")
        assert found >= fewest
        assert plan["bound"] <= fewest[0]
        assert plan["status"] == "feasible" or found == fewest
    else:
        assert plan["bound"] is None
        assert plan["blocked"]["proven"] == (plan["status"] == "infeasible")
        # All orders of so few hosts are tried.
        assert fewest is None or asked.keep_order
    if asked.keep_order:
        assert plan["order"] == hosts[: len(plan["order"])]
    assert all(len(step["hosts"]) <= asked.at_once for step in plan["steps"])


@given(st.integers(0, 1_000_000))
def test_of_no_host_more_is_taken_than_it_has_free_after_the_steps_before(seed):
    fleet = tiny(random.Random(seed))
    plan = planned(fleet.facts, sorted(fleet.slots), fleet.conditions)
    places = list(fleet.guests)
    for step in plan["steps"]:
        for each in step["placements"]:
            number = int(each["vm"].removeprefix("vm-"))
            places[number] = (each["target"]["host"], places[number][1])
        onto = {places[int(each["vm"].removeprefix("vm-"))][0] for each in step["placements"]}
        free = fleet.free(places)
        took = [name for number, (name, _held) in enumerate(places) if fleet.taken[number]]
        assert all(free[name] >= 0 for name in onto.intersection(took) - {*step["hosts"]})


@given(st.integers(0, 1_000_000))
def test_steps_are_sound_whatever_devices_and_conditions_there_are(seed):
    chance = random.Random(seed)
    facts, request = drawn(chance)
    conditions = dataclasses.replace(request.conditions, reuse=False, drain=None)
    hosts = chance.sample(sorted(facts), chance.randint(1, len(facts)))
    if chance.random() < 0.5:
        # Hosts that neither receive nor are drained have guests, too.
        targets = chance.sample(sorted(facts), chance.randint(1, len(facts)))
        conditions = dataclasses.replace(conditions, targets=targets)
    at_once = chance.choice((1, 2))
    plan = planned(facts, hosts, conditions, at_once=at_once)
    event(plan["status"])
    assert maintenance_objections(plan, facts, hosts, conditions) == []
    assert planned(facts, hosts, conditions, at_once=at_once) == plan


@given(st.integers(0, 1_000_000))
def test_what_steps_before_have_found_changes_no_step(seed):
    chance = random.Random(seed)
    if chance.random() < 0.5:
        facts, hosts, conditions = some_alike(chance), ["a", "b", "c", "d"], NOTHING
    else:
        facts, request = drawn(chance)
        conditions = dataclasses.replace(request.conditions, reuse=False, drain=None)
        hosts = chance.sample(sorted(facts), chance.randint(1, len(facts)))
    plan = planned(facts, hosts, conditions)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(KnownNumbers, "of", lambda known, problem: None)
        assert planned(facts, hosts, conditions) == plan


def some_alike(chance: random.Random) -> Facts:
    """Return four hosts of at most two kinds, each with guests of its own, and an empty one."""
    kinds = [
        [
            (number, kind, vm)
            for number, kind in enumerate(chance.choices("vwx", k=4))
            for vm in [chance.randrange(3)]
        ]
        for _kind in range(2)
    ]
    facts = {
        name: host(
            [function(n, kind, f"{name}-{vm}", vm + 1) for n, kind, vm in chance.choice(kinds)]
        )
        for name in "abcd"
    }
    facts["spare"] = host([function(n, kind) for n, kind in enumerate(chance.choices("vwx", k=8))])
    return facts


def test_steps_that_are_alike_are_searched_once():
    names = [f"h{number}" for number in range(8)]
    facts = {name: full(name, 4) for name in names} | {"spare": full("spare", 0, 4)}
    searched = []

    def noted(*args, **kwargs):
        searched.append(args)
        return search(*args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(solution_module, "search", noted)
        plan = planned(facts, names)
    assert (plan["status"], plan["moves"]) == ("optimal", 32)
    assert len(searched) == 1


@pytest.mark.parametrize("hosts", [["one", "two"], ["two", "one"]])
def test_a_host_whose_guest_no_longer_finds_a_place_is_emptied_first(hosts):
    facts = {
        "one": host([vf(0, "vm-1", "v", pid=1)]),
        "two": host([vf(0, "vm-2", "v", pid=1), vf(1, "vm-2", "w", pid=1)]),
        "spare": host([vf(0, kind="v"), vf(1, kind="w")]),
    }
    plan = planned(facts, hosts)
    assert (plan["status"], plan["order"]) == ("optimal", ["two", "one"])
    given_order = planned(facts, ["one", "two"], keep_order=True)
    assert given_order["order"] == ["one"]


# --- what the steps are ---


def held(number: int, vm: str) -> t.Any:
    return vf(number, vm, pid=number + 1)


def full(name: str, count: int, free: int = 0) -> t.Any:
    guests = [held(number, f"{name}-{number}") for number in range(count)]
    return host([*guests, *[vf(count + number) for number in range(free)]])


def hosts_of(plan: t.Any) -> list[list[str]]:
    return [step["hosts"] for step in plan["steps"]]


def test_with_one_empty_host_each_guest_moves_once_onto_the_host_that_came_back():
    facts = {name: full(name, 4) for name in "abc"} | {"spare": full("spare", 0, 4)}
    plan = planned(facts, "abc")
    assert (plan["status"], plan["moves"], plan["bound"], plan["guests"]) == ("optimal", 12, 12, 12)
    targets = [{each["target"]["host"] for each in step["placements"]} for step in plan["steps"]]
    assert targets == [{"spare"}, {"a"}, {"b"}]
    assert [step["returned"] for step in plan["steps"]] == [[], ["a"], ["b"]]
    assert "present facts" in plan["assumptions"][0]


def test_without_room_beside_the_listed_hosts_the_fewest_guests_move_twice():
    facts = {"a": full("a", 3, 1), "b": full("b", 1, 2), "c": full("c", 3, 1)}
    plan = planned(facts, "abc")
    assert plan["order"][0] == "b"
    assert (plan["status"], plan["moves"], plan["bound"]) == ("optimal", 8, 8)
    assert plan["steps"][0]["again"] == 0
    assert sum(step["again"] for step in plan["steps"]) == 1
    assert "1 of its guests moves again" in plan["steps"][0]["why"]


def test_an_order_that_is_given_is_kept_and_never_made_better():
    facts = {"a": full("a", 3, 1), "b": full("b", 1, 2), "c": full("c", 3, 1)}
    plan = planned(facts, "abc", keep_order=True)
    assert plan["order"] == ["a", "b", "c"]
    assert plan["order_is"] == "given"
    assert plan["moves"] == plan["bound"] == 10


def test_what_cannot_be_emptied_after_a_host_that_takes_nothing_any_more_might_be_before_it():
    chain = {"v": ("v", "w"), "w": ("w", "x"), "x": ("x",)}

    def one(kind: str, vm: str | None = None) -> t.Any:
        made = vf(0, vm, kind, pid=1)
        lists = [vf(0, kind=each)["descriptor"]["self"] for each in chain[kind]]
        return host([{**made, "descriptor": {**made["descriptor"], "compatible": lists}}])

    facts = {"a": one("v", "vm-1"), "b": one("w"), "c": one("x")}
    # First to b, and from there to c, is possible, and what is emptied first otherwise takes nothing any more.
    for hosts in ("ab", "ba"):
        plan = planned(facts, hosts, use_returned=False)
        assert (plan["order"], plan["status"], plan["moves"]) == (["a", "b"], "feasible", 2)
    assert planned(facts, "ba", use_returned=False, keep_order=True)["status"] == "infeasible"


@pytest.mark.parametrize("hosts", ["ab", "ba"])
@pytest.mark.parametrize("why", ["avoid", "mac"])
def test_of_hosts_with_equal_devices_one_may_have_places_where_the_other_has_none(hosts, why):
    macs = {name: f"52:54:00:00:00:0{number}" for number, name in enumerate("abc")}

    def network(mac: str) -> t.Any:
        return {"network": {"mac": mac}} if why == "mac" else {}

    facts = {name: host([vf(0, f"vm-{name}", pid=1, **network(macs[name]))]) for name in ("a", "b")}
    taken = vf(0, "vm-c", pid=1, **network(macs["a"]))
    facts["c"] = host([taken, *[vf(n, **network("00:00:00:00:00:00")) for n in (1, 2)]])
    avoid = {Avoided("c", None, "vm-a"): "as asked for"} if why == "avoid" else {}
    plan = planned(facts, hosts, Conditions(avoid=avoid))
    # The one goes to the other.
    assert (plan["status"], plan["order"]) == ("optimal", ["b", "a"])
    assert (plan["moves"], plan["bound"]) == (2, 2)


def test_a_few_hosts_at_a_time_where_there_is_room_for_them():
    facts = {name: full(name, 2) for name in "abcd"} | {"spare": full("spare", 0, 4)}
    assert hosts_of(planned(facts, "abcd", at_once=2)) == [["a", "b"], ["c", "d"]]
    # To empty three would have guests move twice, and so would two once there is room for one.
    facts["spare"] = full("spare", 0, 2)
    plan = planned(facts, "abcd", at_once=3)
    assert [len(each) for each in hosts_of(plan)] == [1, 1, 1, 1]
    assert plan["moves"] == 8


def test_a_host_whose_guests_have_no_place_is_told_last_with_the_reason():
    facts = {"a": host([vf(0, "vm-1", "w", pid=1)]), "b": full("b", 2), "c": full("c", 0, 2)}
    plan = planned(facts, "ab")
    assert plan["status"] == "infeasible"
    assert (plan["order"], plan["blocked"]["hosts"]) == (["b"], ["a"])
    assert [each["vm"] for each in plan["blocked"]["unplaced"]] == ["vm-1"]
    assert plan["blocked"]["unplaced"][0]["reasons"]
    assert plan["sentences"][1].startswith(
        "a cannot be drained: 1 device of its guests has no place"
    )
    given_order = planned(facts, "ab", keep_order=True)
    assert (given_order["order"], given_order["status"]) == ([], "infeasible")


def test_a_host_without_facts_may_have_a_place():
    facts = {"a": full("a", 1), "b": full("b", 1), "c": {"schema": 1}}
    plan = planned(facts, "ab")
    assert (plan["status"], plan["unknown"]) == ("unproven", ["c"])
    assert planned(facts, "ab", Conditions(targets=["a", "b"]))["status"] == "infeasible"


@pytest.mark.parametrize("also", [[], ["full"]])
def test_where_a_host_is_without_facts_fewer_moves_are_not_ruled_out(also):
    facts = {"a": full("a", 1, 1), "b": full("b", 1, 1), "full": full("full", 1)}
    there = {name: facts[name] for name in ("a", "b", *also)}
    assert planned(there, "ab")["bound"] == 3
    plan = planned(there | {"c": {"schema": 1}}, "ab")
    # One of the guests might go there, and stay.
    assert (plan["status"], plan["moves"], plan["bound"]) == ("feasible", 3, 2)
    assert (
        planned(there | {"c": {"schema": 1}}, "ab", Conditions(targets=["a", "b", *also]))["status"]
        == "optimal"
    )


def test_what_one_host_lacks_as_others_stay_is_not_said_of_hosts_that_are_emptied_together():
    """Of each of two hosts a guest waits for one of the other's, so together they can be emptied, and neither by itself."""
    facts = {
        "a": host([vf(0, "a1", "v", pid=1), vf(1, "a2", "w", pid=2), vf(2, kind="z")]),
        "b": host([vf(0, "b1", "v", pid=1), vf(1, "b2", "y", pid=2)]),
        "c": host([vf(0, "c1", "z", pid=1), vf(1, "c2", "v", pid=2), vf(2, kind="w")]),
        "near-b": host([vf(0, kind="w")]),
        "near-a": host([vf(0, kind="y")]),
        "spare": host([vf(n) for n in range(3)]),
    }
    conditions = Conditions(
        apart=[["a2", "b1"], ["b2", "a1"]],
        failure_domains={"rack-1": ["b", "near-b"], "rack-2": ["a", "near-a"]},
    )
    together = planned(facts, ["a", "b", "c"], conditions, at_once=2)
    assert (together["moves"], hosts_of(together)) == (6, [["a", "b"], ["c"]])
    # Not all batches are looked at: beside this one, c is.
    plan = planned(facts, ["a", "c", "b"], conditions, at_once=2)
    assert plan["bound"] <= 6
    assert plan["status"] == ("optimal" if plan["moves"] == 6 else "feasible")
    assert planned(facts, ["a", "c", "b"], conditions)["bound"] == 7


def version(number: str, pid: int | None, vm: str | None, index: int) -> t.Any:
    own = {"software_version": number, "device_api": "vfio-pci", "type": "v", "pci_id": "15b30001"}
    # Without the version, the rule of versions decides: the minor one may not go down.
    lists = {name: value for name, value in own.items() if name != "software_version"}
    return {**vf(index, vm, pid=pid), "descriptor": {"self": own, "compatible": [lists]}}


def test_guests_go_from_old_drivers_to_new_ones_and_never_back():
    facts = {
        "new": host([version("1.2.0", None, None, 0)]),
        "old-1": host([version("1.1.0", 1, "vm-1", 0)]),
        "old-2": host([version("1.1.0", 1, "vm-2", 0)]),
    }
    plan = planned(facts, ["old-1", "old-2"])
    assert plan["status"] == "optimal"
    assert [each["target"]["host"] for s in plan["steps"] for each in s["placements"]] == [
        "new",
        "old-1",
    ]
    # Whatever it takes once it has come back, nothing is left to chance: then there is no place.
    assert planned(facts, ["old-1", "old-2"], use_returned=False)["status"] != "optimal"
    facts["new"] = host([version("1.0.0", None, None, 0)])
    assert planned(facts, ["old-1", "old-2"])["status"] == "infeasible"


def test_a_limit_and_groups_hold_in_each_step():
    facts = {name: full(name, 2) for name in "ab"} | {"c": full("c", 0, 4)}
    assert planned(facts, "ab", Conditions(limit=1))["status"] != "optimal"
    plan = planned(facts, "ab", Conditions(apart=[["a-0", "b-0"]]))
    assert plan["status"] == "optimal"
    last = {}
    for step in plan["steps"]:
        last |= {each["vm"]: each["target"]["host"] for each in step["placements"]}
    assert last["a-0"] != last["b-0"]


def memory(hosts: dict[str, int], *guests: str, each: int = 4) -> t.Any:
    return {
        "hosts": {name: {"memory": free} for name, free in hosts.items()},
        "guests": {name: {"memory": each} for name in guests},
    }


def test_what_guests_have_left_is_free_for_those_of_the_steps_after():
    facts = {name: full(name, 2) for name in "abc"} | {"spare": full("spare", 0, 6)}
    guests = [f"{name}-{number}" for name in "abc" for number in range(2)]
    # The functions of spare would do for all, and its memory for two.
    capacity = memory({"spare": 8, "a": 0, "b": 0}, *guests)
    plan = planned(facts, "abc", Conditions(capacity=capacity, spare={"memory": 0}))
    assert (plan["status"], plan["moves"]) == ("optimal", 6)
    targets = [{each["target"]["host"] for each in step["placements"]} for step in plan["steps"]]
    assert targets == [{"spare"}, {"a"}, {"b"}]
    assert plan["conditions"]["capacity"] == capacity
    # With some of it to be spare on each host, one guest less has a place there.
    kept = planned(facts, "abc", Conditions(capacity=capacity, spare={"memory": 1}))
    assert (kept["status"], kept["order"]) == ("unproven", [])
    reasons = [r["reason"] for each in kept["blocked"]["unplaced"] for r in each["reasons"]]
    assert any("of its memory left" in each for each in reasons)


def test_what_guests_have_taken_is_not_free_for_those_of_the_steps_after():
    facts = {"a": full("a", 1), "b": full("b", 1), "c": full("c", 0, 2)}
    capacity = memory({"c": 4}, "a-0", "b-0")
    plan = planned(facts, "ab", Conditions(capacity=capacity), use_returned=False)
    assert (plan["status"], plan["order"]) == ("unproven", ["a"])
    both = Conditions(capacity=memory({"c": 8}, "a-0", "b-0"))
    assert planned(facts, "ab", both, use_returned=False)["status"] == "optimal"


def test_where_nothing_else_is_left_a_guest_waits_with_a_device_of_another_type():
    # Functions of two types take the place of each other. Only a, which is emptied as well, has what the guest needs.
    held, free = function(0, "v", "vm-1", pid=1), function(0, "w")
    for one, other in ((held, free), (free, held)):
        one["descriptor"]["compatible"].append(other["descriptor"]["self"])
    facts = {
        "c": host([held, function(1, "v", "vm-1", pid=1)]),
        "a": host([free, function(1, "v")]),
        "b": host([function(0, "v")]),
    }
    found = planned(facts, ["c", "a"], keep_order=True)
    assert found["blocked"] is None
    assert [each["conversions"] for each in found["steps"]] == [1, 1]
    assert found["status"] == "feasible"
    assert maintenance_objections(found, facts, ["c", "a"]) == []
    kept = planned(facts, ["c", "a"], Conditions(keep_type=True), keep_order=True)
    assert kept["blocked"]["hosts"] == ["c"]


def test_with_little_memory_guests_wait_on_hosts_that_are_still_to_be_emptied():
    facts = {"a": full("a", 1), "b": full("b", 1, 1), "c": full("c", 0, 2)}
    # Only b takes the guest of a, and only a what is on b then.
    capacity = memory({"b": 4, "c": 0, "a": 4}, "a-0", "b-0")
    plan = planned(facts, "ab", Conditions(capacity=capacity, targets=["a", "b"]))
    assert plan["order"][0] == "a"
    assert plan["blocked"]["hosts"] == ["b"]
    facts["a"] = full("a", 1, 1)
    plan = planned(facts, "ab", Conditions(capacity=capacity, targets=["a", "b"]))
    assert (plan["status"], plan["moves"], plan["steps"][1]["again"]) == ("optimal", 3, 1)


def test_guests_that_share_a_name_free_what_one_of_them_takes():
    # A device each of which the process is not known: two guests of one name, or one.
    held = [{**vf(n, "vm"), "in_use": {"pid": None, "name": "vm"}} for n in range(2)]
    facts = {"a": host(held), "b": full("b", 1), "c": full("c", 0, 2)}
    taken = {"vm": {"memory": 4}, "b-0": {"memory": 8}}
    for free, status in ((4, "unproven"), (8, "optimal")):
        capacity = {"hosts": {"a": {"memory": free - 4}, "c": {"memory": 8}}, "guests": taken}
        plan = planned(facts, "ab", Conditions(capacity=capacity), keep_order=True)
        assert plan["status"] == status, free


@pytest.mark.parametrize("preferred", ["x", "y"])
def test_hosts_that_are_preferred_receive_first_in_each_step(preferred):
    facts = {name: full(name, 1) for name in "ab"}
    facts |= {name: full(name, 0, 2) for name in "xy"}
    plan = planned(facts, "ab", Conditions(prefer=[preferred]))
    assert (plan["status"], plan["conditions"]["prefer"]) == ("optimal", [preferred])
    targets = [{each["target"]["host"] for each in step["placements"]} for step in plan["steps"]]
    assert targets == [{preferred}, {preferred}]
    # A host that has come back is taken before others only where it is preferred, too.
    after = planned(facts, "ab", Conditions(prefer=[preferred, "a"]))
    assert {each["target"]["host"] for each in after["steps"][1]["placements"]} <= {preferred, "a"}


def test_what_is_made_for_a_guest_takes_of_its_parent_in_the_steps_after():
    def vgpus(name: str) -> t.Any:
        made = [
            device(
                f"{ord(name):08x}-000{n}-4222-8333-444444444444", gvt("4", "2"), f"{name}{n}", n + 1
            )
            for n in range(2)
        ]
        return host(made, [parent(available={"i915-GVTg_V5_4": 0})])

    facts = {
        "a": vgpus("a"),
        "b": vgpus("b"),
        "c": host([], [parent(available={"i915-GVTg_V5_4": 2})]),
    }
    plan = planned(facts, "ab")
    # Each takes one instance of two, as its aggregator is 2; so c has room for one guest, and no other for more.
    assert plan["status"] in ("infeasible", "unproven")
    facts["c"] = host([], [parent(available={"i915-GVTg_V5_4": 4})])
    plan = planned(facts, "ab")
    assert plan["status"] == "optimal"
    assert [{each["target"]["create"] for each in s["placements"]} for s in plan["steps"]] == [
        {True},
        {False},
    ]


def test_guests_that_were_made_devices_on_the_way_move_on_with_these():
    one = device(UUIDS[0], gvt("4", "2"), "vm-0", 1)
    room = parent(available={"i915-GVTg_V5_4": 2})
    facts = {"a": host([one], [room]), "b": host([], [room])}
    plan = planned(facts, "ab", keep_order=True)
    assert (plan["status"], plan["moves"], plan["steps"][1]["again"]) == ("optimal", 2, 1)
    assert [each["target"]["host"] for s in plan["steps"] for each in s["placements"]] == ["b", "a"]
    assert any("state" in each for each in plan["assumptions"])


@pytest.mark.parametrize(
    ("hosts", "at_once", "message"),
    [
        (["x"], 1, "cannot drain x: no facts are known"),
        (["a", "a"], 1, "hosts to be drained are listed twice: a"),
        (["a"], 0, "at_once is 0; expected 1 or more"),
    ],
)
def test_what_cannot_be_asked_is_an_error(hosts, at_once, message):
    with pytest.raises(FleetError, match=message):
        planned({"a": full("a", 1), "b": full("b", 0, 1)}, hosts, at_once=at_once)


# --- the verifier ---


def no_steps(plan: t.Any) -> None:
    plan["steps"][1]["placements"] = []


def twice(plan: t.Any) -> None:
    plan["steps"][1]["hosts"] = ["a"]


def held_target(plan: t.Any) -> None:
    plan["steps"][1]["placements"][0]["target"] |= {"host": "spare", "id": "0000:81:00.0"}


def emptied_target(plan: t.Any) -> None:
    plan["steps"][0]["placements"][0]["target"] |= {"host": "a"}


def torn(plan: t.Any) -> None:
    plan["steps"][0]["placements"][0]["target"] |= {"host": "c", "id": "0000:81:00.7"}


def more_moves(plan: t.Any) -> None:
    plan["moves"] += 1


def fewer_again(plan: t.Any) -> None:
    plan["steps"][1]["again"] += 1


def nothing_assumed(plan: t.Any) -> None:
    plan["steps"][1]["returned"] = []


def swapped(plan: t.Any) -> None:
    plan["steps"].reverse()


def last_step_dropped(plan: t.Any) -> None:
    last = plan["steps"].pop()
    plan["order"] = plan["order"][:-1]
    plan["moves"] -= last["moves"]


def fewer_guests(plan: t.Any) -> None:
    plan["guests"] -= 1


def no_best(plan: t.Any) -> None:
    plan["status"] = "feasible"


def lower_bound(plan: t.Any) -> None:
    plan["bound"] -= 1
    plan["status"] = "feasible"


def renamed(plan: t.Any) -> None:
    plan["steps"][0]["placements"][0]["vm"] = "another"


def proven_otherwise(plan: t.Any) -> None:
    plan["status"] = "infeasible"


@pytest.mark.parametrize(
    "damage",
    [
        *(no_steps, twice, held_target, emptied_target, torn),
        *(more_moves, fewer_again, nothing_assumed, swapped),
        *(last_step_dropped, fewer_guests, no_best, lower_bound, renamed, proven_otherwise),
    ],
)
def test_the_verifier_objects_to_damaged_steps(damage):
    guest = [vf(0, "a-0", pid=1), vf(1, "a-0", pid=1)]
    facts = {"a": host(guest), "b": full("b", 2), "c": full("c", 2), "spare": full("spare", 0, 2)}
    plan = planned(facts, "abc")
    assert plan["order"] == ["a", "b", "c"]
    assert maintenance_objections(plan, facts, "abc") == []
    damaged = copy.deepcopy(plan)
    damage(damaged)
    assert maintenance_objections(damaged, facts, "abc") != []


def more_stated(plan: t.Any) -> None:
    plan["conditions"]["capacity"]["hosts"]["spare"]["memory"] += 4


def less_spare(plan: t.Any) -> None:
    plan["conditions"]["spare"]["memory"] = 0


def others_preferred(plan: t.Any) -> None:
    plan["conditions"]["prefer"] = []


def not_yet_free(plan: t.Any) -> None:
    plan["steps"][1]["placements"][0]["target"] |= {"host": "spare", "id": "0000:81:00.2"}
    plan["steps"][1]["returned"] = []


def not_free_any_more(plan: t.Any) -> None:
    plan["steps"][0]["placements"][0]["target"] |= {"host": "c", "id": "0000:81:00.2"}


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (more_stated, "another capacity than was asked"),
        (less_spare, "another spare than was asked"),
        (others_preferred, "another prefer than was asked"),
        (not_yet_free, "spare takes 4 of memory, and it has 2 free then, of which 2 is to be"),
        (not_free_any_more, "c takes 4 of memory, and it has 5 free then, of which 2 is to be"),
    ],
)
def test_the_verifier_follows_what_is_free_by_itself(damage, words):
    facts = {
        "a": full("a", 1),
        "b": full("b", 1),
        "c": full("c", 2, 1),
        "spare": full("spare", 0, 3),
    }
    capacity = memory({"spare": 6, "a": 2, "c": 5}, "a-0", "b-0")
    conditions = Conditions(capacity=capacity, spare={"memory": 2}, prefer=["spare"])
    plan = planned(facts, "ab", conditions, keep_order=True)
    targets = [each["target"]["host"] for step in plan["steps"] for each in step["placements"]]
    assert targets == ["spare", "a"]
    assert maintenance_objections(plan, facts, "ab", conditions) == []
    damaged = copy.deepcopy(plan)
    damage(damaged)
    assert any(words in each for each in maintenance_objections(damaged, facts, "ab", conditions))


def test_a_guest_goes_to_no_rack_in_which_one_of_its_group_is_on_a_host_that_does_not_receive():
    facts = {
        "a": host([function(0, "v", "vm-1", 1)]),
        "b": host([function(0, "v")]),
        "c": host([function(0, "v", "vm-2", 2)]),
        "d": host([function(0, "v")]),
    }
    conditions = Conditions(
        targets=["b"], apart=[["vm-1", "vm-2"]], failure_domains={"rack": ["b", "c"]}
    )
    plan = planned(facts, "a", conditions)
    assert (plan["status"], plan["steps"]) == ("infeasible", [])
    (reason,) = plan["blocked"]["unplaced"][0]["reasons"]
    assert reason["code"] == "apart"
    assert "vm-2 on c" in reason["reason"]
    moves = planned(facts, "a", dataclasses.replace(conditions, targets=["b", "d"]))["steps"]
    assert [each["target"]["host"] for each in moves[0]["placements"]] == ["d"]


def test_a_guest_goes_to_no_rack_in_which_one_of_its_group_is_still_to_move():
    facts = {
        "a": host([function(0, "v", "vm-1", 1)]),
        "b": host([function(0, "v")]),
        "c": host([function(0, "v", "vm-2", 2)]),
        "d": host([function(0, "v"), function(1, "v")]),
    }
    conditions = Conditions(apart=[["vm-1", "vm-2"]], failure_domains={"rack": ["b", "c"]})
    plan = planned(facts, "ac", conditions, keep_order=True)
    moves = {
        each["vm"]: each["target"]["host"] for step in plan["steps"] for each in step["placements"]
    }
    assert moves["vm-1"] == "d"
    assert plan["blocked"] is None


# --- moves at a time ---


def in_one_turn(plan: t.Any) -> None:
    for each in plan["steps"][0]["placements"]:
        each["turn"] = 1


def without_turn(plan: t.Any) -> None:
    del plan["steps"][0]["placements"][0]["turn"]


def more_at_a_time(plan: t.Any) -> None:
    plan["conditions"]["concurrent_moves"] = {"host": 2}


def test_each_step_has_turns_of_its_own():
    facts = {"a": full("a", 3), "b": full("b", 2), "c": full("c", 0, 5)}
    conditions = Conditions(concurrent_moves={"host": 1})
    plan = planned(facts, "ab", conditions, keep_order=True)
    turns = [sorted(each["turn"] for each in step["placements"]) for step in plan["steps"]]
    assert turns == [[1, 2, 3], [1, 2]]
    why = "as 1 may move from or to"
    assert f"the moves take 3 turns, and no fewer than 3, {why}" in plan["sentences"][1]
    assert f"the moves take 2 turns, and no fewer than 2, {why}" in plan["sentences"][2]
    at_once = planned(facts, "ab", Conditions(concurrent_moves={"host": 5}))
    assert not any("turns" in each for each in at_once["sentences"])


def test_who_moves_again_and_who_does_not_share_the_turns_of_a_step():
    facts = {"a": full("a", 2), "b": full("b", 1, 1), "c": full("c", 0, 1)}
    conditions = Conditions(concurrent_moves={"hosts": {"a": 1}})
    plan = planned(facts, "ab", conditions, keep_order=True)
    moves = {each["target"]["host"]: each["turn"] for each in plan["steps"][0]["placements"]}
    assert moves.keys() == {"b", "c"}
    assert sorted(moves.values()) == [1, 2]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (
            in_one_turn,
            "step 1: 3 guests move from or to a in turn 1 of wave 1, and 1 may at a time",
        ),
        (without_turn, "step 1: guests of wave 1 have no turn"),
        (more_at_a_time, "another concurrent_moves than was asked"),
    ],
)
def test_the_verifier_counts_who_moves_at_a_time(damage, words):
    facts = {"a": full("a", 3), "b": full("b", 0, 3)}
    conditions = Conditions(concurrent_moves={"host": 1})
    plan = planned(facts, "a", conditions)
    assert maintenance_objections(plan, facts, "a", conditions) == []
    damage(plan)
    assert any(words in each for each in maintenance_objections(plan, facts, "a", conditions))
