# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rebalancing through waves: guests move to what others have left, beside all sequences of moves that there could be."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import random
import typing as t
from collections import Counter

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import read_fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._planner import rebalance_waves
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.rebalance import (
    rebalance_plan,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import Conditions
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify import violations
from ansible_collections.vfio.migration.tests.unit.drawn_fleets import drawn, of_a_search
from ansible_collections.vfio.migration.tests.unit.fleets import (
    UUIDS,
    device,
    host,
    parent,
    vf,
)
from hypothesis import event, given
from hypothesis import strategies as st

Facts = dict[str, t.Any]
MEASURES = ("even", "cards", "largest")
CARDS = ("0000:81:00.0", "0000:82:00.0")
IN_WAVES = Conditions(reuse=True)


def planned(
    facts: Facts, max_moves: int, conditions: Conditions = IN_WAVES, measure: str = "even"
) -> t.Any:
    device_type = "v" if measure == "largest" else None
    return rebalance_plan(
        read_fleet(facts), max_moves, conditions, measure=measure, device_type=device_type
    )


def comes_to(found: t.Any, name: str) -> tuple[int, ...]:
    """Return a value of the measure, of which less is better."""
    hosts = found["hosts_with_places"]
    return (found[name],) if hosts is None else (-found[name], -hosts[name])


def waves(found: t.Any) -> dict[str, int]:
    return {each["vm"]: each["wave"] for each in found["plan"]["placements"]}


def targets(found: t.Any) -> dict[str, str]:
    return {each["vm"]: each["target"]["host"] for each in found["plan"]["placements"]}


# --- beside all that there could be ---


class Place(t.NamedTuple):
    """Equal functions: their host, card, and kind."""

    host: str
    card: int
    kind: str


class Tight(t.NamedTuple):
    """A tiny fleet with few free functions, and the places that each guest has."""

    facts: Facts
    free: Counter[Place]
    guests: list[tuple[Place, ...]]


def add_function(
    chance: random.Random, host: str, devices: list[t.Any], kind: str, **held: t.Any
) -> Place:
    """Add a function of either card of ``host`` to its ``devices``."""
    card = chance.randint(0, 1)
    made = vf(len(devices), kind=kind, parent=CARDS[card], **held)
    devices.append({**made, "id": made["id"].replace("0000:81", f"0000:8{card + 1}")})
    return Place(host, card, kind)


def tight(chance: random.Random) -> Tight:
    free: Counter[Place] = Counter()
    guests: list[tuple[Place, ...]] = []
    facts = {}
    for name in "abc"[: chance.randint(2, 3)]:
        devices: list[t.Any] = []
        add = functools.partial(add_function, chance, name, devices)
        for _guest in range(min(chance.randint(0, 3), 6 - len(guests))):
            pid = len(guests) + 1
            size = chance.choice((1, 1, 1, 2))
            guests.append(
                tuple([add(chance.choice("vvw"), vm=f"vm-{pid}", pid=pid) for _each in range(size)])
            )
        free.update([add(chance.choice("vvw")) for _free in range(chance.randint(0, 2))])
        facts[name] = host(sorted(devices, key=lambda each: each["id"]))
    return Tight(facts, free, guests)


def asked(chance: random.Random, fleet: Tight) -> Conditions:
    """Draw conditions that a sequence of moves can be seen to keep to."""
    names = [f"vm-{number + 1}" for number in range(len(fleet.guests))]
    memory = {
        "hosts": {name: {"memory": chance.randint(0, 4)} for name in fleet.facts},
        "guests": {name: {"memory": chance.randint(0, 3)} for name in names},
    }
    return Conditions(
        reuse=True,
        limit=chance.choice((None, None, 1, 2)),
        capacity=memory if chance.random() < 0.3 else {},
        apart=[frozenset(names[:2])] if chance.random() < 0.3 else (),
    )


_Where = tuple[tuple[Place, ...], ...]


def reachable(fleet: Tight, most: int, conditions: Conditions) -> t.Iterator[_Where]:
    """Yield where all guests are after any so many moves, one after another, of guests that have not moved before."""
    start = tuple(fleet.guests)
    seen, waiting = {start}, [start]
    while waiting:
        where = waiting.pop()
        yield where
        moved = [now is not before for now, before in zip(where, start, strict=True)]
        if sum(moved) == most:
            continue
        for number in [number for number, each in enumerate(moved) if not each]:
            for place in ways(fleet, where, number):
                then = (*where[:number], place, *where[number + 1 :])
                if then not in seen and keeps_to(fleet, then, number, conditions):
                    seen.add(then)
                    waiting.append(then)


def ways(fleet: Tight, where: _Where, number: int) -> t.Iterator[tuple[Place, ...]]:
    """Yield the free places on one other host that a guest may take."""
    free = fleet.free + Counter(itertools.chain(*fleet.guests))
    free.subtract(itertools.chain(*where))
    for name in fleet.facts:
        if name != where[number][0].host:
            for cards in itertools.product(range(2), repeat=len(where[number])):
                places = [
                    Place(name, card, each.kind)
                    for card, each in zip(cards, where[number], strict=True)
                ]
                if Counter(places) <= +free:
                    yield tuple(places)


def keeps_to(fleet: Tight, where: _Where, number: int, conditions: Conditions) -> bool:
    target = where[number][0].host
    arrived = [
        guest
        for guest, (now, before) in enumerate(zip(where, fleet.guests, strict=True))
        if now is not before and now[0].host == target
    ]
    limit = conditions.limit_of(target)
    if limit is not None and sum(len(where[each]) for each in arrived) > limit:
        return False
    if conditions.capacity:
        needs = [conditions.needs_of(f"vm-{each + 1}", None)["memory"] for each in arrived]
        if sum(needs) > conditions.capacity["hosts"][target]["memory"]:
            return False
    others = [each for each, place in enumerate(where) if place[0].host == target]
    return not conditions.apart or not (number < 2 and {*others} >= {0, 1})


def value(fleet: Tight, where: _Where, measure: str) -> tuple[int, ...]:
    held = Counter(itertools.chain(*where))
    if measure == "even":
        loads = Counter(each.host for each in held.elements())
        return (sum(count**2 for count in loads.values()),)
    if measure == "cards":
        return (len({(each.host, each.card) for each in held}),)
    free = fleet.free + Counter(itertools.chain(*fleet.guests))
    free.subtract(held)
    of_type = Counter(dict.fromkeys(fleet.facts, 0))
    for place, count in free.items():
        of_type[place.host] += count if place.kind == "v" else 0
    most = max(of_type.values())
    return -most, -[*of_type.values()].count(most) if most else 0


def holding_after(facts: Facts, placements: t.Sequence[t.Any]) -> None:
    """Move guests wave by wave, and require that what they take is free by then."""
    held = {
        (name, each["id"]) for name in facts for each in facts[name]["devices"] if each["in_use"]
    }
    numbers = sorted({each["wave"] for each in placements})
    assert numbers == [*range(1, len(numbers) + 1)]
    for number in numbers:
        moves = [each for each in placements if each["wave"] == number]
        onto = {(each["target"]["host"], each["target"]["id"]) for each in moves}
        assert len(onto) == len(moves)
        assert held.isdisjoint(onto)
        held |= onto
        held -= {(each["source"]["host"], each["source"]["id"]) for each in moves}


@pytest.mark.parametrize("measure", MEASURES)
@given(st.integers(0, 1_000_000), st.integers(0, 4))
def test_no_sequence_of_moves_is_better_than_what_is_proven(measure, seed, most):
    chance = random.Random(seed)
    fleet = tight(chance)
    if not fleet.guests or not any(
        Place(name, c, "v") in fleet.free for name in "abc" for c in (0, 1)
    ):
        measure = "even"
    conditions = asked(chance, fleet)
    found = planned(fleet.facts, most, conditions, measure)
    best = min(value(fleet, each, measure) for each in reachable(fleet, most, conditions))
    at_once = planned(fleet.facts, most, dataclasses.replace(conditions, reuse=False), measure)
    after, bound = comes_to(found, "after"), comes_to(found, "bound")
    helps = "waves help" if best < comes_to(at_once, "after") else ""
    event(f"{found['status']}, {'best' if after == best else 'not best'} {helps}")
    assert bound <= best <= after <= comes_to(at_once, "after")
    assert found["moves"] <= most
    assert violations(found["plan"], fleet.facts, conditions) == []
    holding_after(fleet.facts, found["plan"]["placements"])


@pytest.mark.parametrize("measure", ["even", "cards"])
@given(st.integers(0, 100_000), st.integers(0, 4))
def test_whatever_the_fleet_a_plan_in_waves_is_sound_and_never_worse(measure, seed, most):
    facts, request = drawn(random.Random(seed))
    at_once = of_a_search(request.conditions)
    conditions = dataclasses.replace(at_once, reuse=True)
    found, first = (planned(facts, most, each, measure) for each in (conditions, at_once))
    event(f"in {max(waves(found).values(), default=0)} waves")
    assert violations(found["plan"], facts, conditions) == []
    assert not found["plan"]["unplaced"]
    assert found["moves"] <= most
    assert found["bound"] <= found["after"] <= first["after"]
    holding_after(facts, found["plan"]["placements"])


# --- one by one ---


CANNOT = {"supported": False, "evidence": "debugfs", "features": [], "state": None}


def hosts_with(**held: t.Sequence[str | None]) -> Facts:
    """Return hosts with functions by the guests that hold them; none does of those that are free, and who "stays" cannot migrate."""
    facts = {}
    for name, guests in held.items():
        devices = []
        for number, vm in enumerate(guests):
            made = vf(number, vm, pid=1 + guests.index(vm))
            if vm and vm.startswith("stays"):
                made["migration"] = CANNOT
            devices.append(made)
        facts[name] = host(devices)
    return facts


# What the guest with two functions needs is on b once the guest there has gone to c.
A: t.Final = ("vm-two", "vm-two", "stays-1", "stays-2", "stays-3")
STUCK = hosts_with(a=A, b=("vm-b", None), c=(None,))


def test_a_guest_moves_out_of_the_way_of_another_one():
    at_once = planned(STUCK, 2, Conditions())
    assert (at_once["moves"], at_once["before"], at_once["after"]) == (0, 26, 26)
    found = planned(STUCK, 2)
    assert (found["moves"], found["before"], found["after"]) == (2, 26, 14)
    assert waves(found) == {"vm-b": 1, "vm-two": 2}
    assert targets(found) == {"vm-b": "c", "vm-two": "b"}
    assert found["plan"]["conditions"]["reuse"] is True
    assert found["sentences"] == [
        "2 guests move in 2 waves; no plan of 2 moves or fewer is more even",
        "loads were 0 to 5 devices on a host, and are 1 to 3 after that",
    ]
    assert planned(STUCK, 1)["moves"] == 0


def test_hosts_that_are_full_take_nothing_of_what_may_be_tried():
    """They have the least load, and so would come first; further guests have nothing to gain."""
    full = {f"full-{number}": (f"stays-{number}",) for number in range(150)}
    others = {
        # They come before the host with the guest that opens something.
        f"0{number}": host(
            [vf(each, f"vm-{number}-{each}", kind=f"kind-{number}") for each in (0, 1)]
        )
        for number in range(15)
    }
    found = planned(STUCK | hosts_with(**full) | others, 2)
    assert targets(found) == {"vm-b": "c", "vm-two": "b"}


@pytest.mark.parametrize(
    "conditions",
    [
        {"limit": {"b": 1}},
        {"targets": ["b"]},
        {"avoid": [{"host": "c"}]},
        # What a guest frees of its host does not count within one plan.
        {
            "capacity": {
                "hosts": {"b": {"memory": 3}, "c": {"memory": 9}},
                "guests": {"vm-two": {"memory": 4}, "vm-b": {"memory": 4}},
            }
        },
        {"apart": [["vm-two", "stays-c"], ["vm-b", "stays-c"]]},
    ],
)
def test_what_is_asked_holds_for_each_move(conditions):
    facts = hosts_with(a=A, b=("vm-b", None), c=(None, "stays-c"))
    assert planned(facts, 2)["moves"] == 2
    assert planned(facts, 2, Conditions.parse({"reuse": True, **conditions}))["moves"] == 0


def test_of_a_group_one_comes_when_the_other_has_left():
    facts = hosts_with(a=A, b=("vm-b", None, None, None), c=(None,))
    apart = {"apart": [["vm-two", "vm-b"]]}
    assert {*waves(planned(facts, 2)).values()} == {1}
    found = planned(facts, 2, Conditions.parse({"reuse": True, **apart}))
    assert waves(found) == {"vm-b": 1, "vm-two": 2}
    by_domain = {**apart, "failure_domains": {"rack": ["b", "c"]}}
    assert planned(facts, 2, Conditions.parse({"reuse": True, **by_domain}))["moves"] == 0


def test_who_needs_nothing_that_others_leave_does_not_wait():
    facts = {
        **STUCK,
        "d": host([vf(number, f"vm-d{number}", "w", pid=90 + number) for number in range(4)]),
        "e": host([vf(number, kind="w") for number in range(2)]),
    }
    found = planned(facts, 4)
    assert found["moves"] == 4
    assert sorted(waves(found).values()) == [1, 1, 1, 2]
    assert waves(found)["vm-two"] == 2


def test_vgpus_are_taken_over_as_they_are_and_made_where_the_first_ones_go():
    kinds = {f"i915-GVTg_V5_{size}": 0 for size in (1, 2, 4, 8)}
    facts = {
        "a": host(
            [
                *(device(UUIDS[number], vm="vm-two", pid=1) for number in (0, 1)),
                *(
                    device(UUIDS[number], vm=f"vm-{number}", pid=number, migration=CANNOT)
                    for number in (2, 3)
                ),
            ],
            [parent(available=kinds)],
        ),
        "b": host(
            [device(UUIDS[4], vm="vm-b", pid=1), device(UUIDS[5])], [parent(available=kinds)]
        ),
        "c": host([], [parent(available={**kinds, "i915-GVTg_V5_4": 2})]),
    }
    assert planned(facts, 2, Conditions())["after"] == 17
    found = planned(facts, 2)
    assert waves(found) == {"vm-b": 1, "vm-two": 2}
    made = {name: len(each["devices"]) for name, each in found["plan"]["hosts"].items()}
    assert made == {"b": 2, "c": 1}
    assert {each["target"]["id"] for each in found["plan"]["placements"]} >= {UUIDS[4], UUIDS[5]}


def test_a_card_is_emptied_onto_what_others_leave():
    facts = hosts_with(a=("vm-a", "vm-a"), b=("vm-b1", "vm-b2", None), c=("vm-c", "vm-c", None))
    assert planned(facts, 2, Conditions(), "cards")["moves"] == 0
    found = planned(facts, 2, measure="cards")
    assert (found["before"], found["after"]) == (3, 2)
    assert sorted(waves(found).values()) == [1, 2]


def test_a_larger_guest_has_a_place_where_another_one_has_left():
    facts = hosts_with(
        a=("vm-a", "vm-a", None, None), b=("vm-b", None), c=("vm-c", "vm-c", "vm-c", None)
    )
    at_once, found = (planned(facts, 2, each, "largest") for each in (Conditions(), IN_WAVES))
    assert comes_to(at_once, "after") == (-2, -2)
    assert comes_to(found, "after") == (-4, -1)
    assert waves(found) == {"vm-b": 1, "vm-a": 2}


def test_a_silent_host_leaves_all_unproven():
    found = planned({**STUCK, "z": {}}, 2)
    assert (found["moves"], found["status"]) == (2, "feasible")


@pytest.mark.parametrize("effort", ["SEARCHES", "DEVICES", "PLANS"])
def test_without_effort_it_is_what_needs_no_waves(monkeypatch, effort):
    monkeypatch.setattr(rebalance_waves, effort, 0)
    found = planned(STUCK, 2)
    assert (found["moves"], found["status"]) == (0, "feasible")
    assert found["bound"] < found["after"]


def test_ways_that_the_verifier_objects_to_are_not_taken(monkeypatch):
    def all_at_once(plans: t.Any, *_others: t.Any) -> t.Any:
        return [*plans]

    monkeypatch.setattr(rebalance_waves, "in_waves", all_at_once)
    assert planned(STUCK, 2)["moves"] == 0
