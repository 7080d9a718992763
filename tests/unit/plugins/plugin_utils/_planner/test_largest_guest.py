# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Making place for large guests: the few moves after which a larger one fits, beside all that there could be."""

from __future__ import annotations

import itertools
import random
import typing as t
from collections import Counter, defaultdict

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import read_fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.rebalance import (
    rebalance_plan,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import Conditions
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.type_places import TypePlaces
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify import violations
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify_places import (
    places_of_type,
)
from ansible_collections.vfio.migration.tests.unit.cards import (
    CARD,
    OTHER_CARD,
    SIZES,
    function,
    odd_host,
    parents,
    vgpu,
)
from ansible_collections.vfio.migration.tests.unit.drawn_fleets import drawn, of_a_search
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
# A card, by its host and address.
Card = tuple[str, str]
FUNCTIONS = 3


def planned(
    facts: Facts, max_moves: int, device_type: str, conditions: Conditions | None = None
) -> t.Any:
    return rebalance_plan(
        read_fleet(facts),
        max_moves,
        conditions or Conditions(),
        measure="largest",
        device_type=device_type,
    )


def comes_to(found: t.Any) -> list[tuple[int, int]]:
    """Return devices and hosts before, after, and at most."""
    hosts = found["hosts_with_places"]
    return [(found[each], hosts[each]) for each in ("before", "after", "bound")]


def best_of(places: t.Sequence[int]) -> tuple[int, int]:
    most = max(places, default=0)
    return most, places.count(most) if most else 0


# --- beside all that there could be ---


class TinyCard(t.NamedTuple):
    """A card that takes one size at a time: with virtual functions that are parents, or without them."""

    functions: int
    # The size of its devices, and who has each.
    size: int
    guests: tuple[int, ...]

    @property
    def left(self) -> int:
        """How many more devices of its size it takes; of any size where it has none."""
        return self.takes(self.size, len(self.guests))

    def takes(self, size: int, there: int) -> int:
        most = SIZES[size][1]
        return min(most, self.functions or most) - there


PLAIN = TinyCard(0, 48, ())


def tiny(chance: random.Random) -> tuple[Facts, dict[Card, TinyCard]]:
    """Draw hosts with up to two cards and some plain functions; some guests have two devices."""
    numbers, pids = itertools.count(1), itertools.count(1)
    facts, cards = {}, {}
    for name in "abc"[: chance.randint(2, 3)]:
        devices, equipment, own = [], [], []
        for address in (CARD, OTHER_CARD)[: chance.randint(0, 2)]:
            functions, size = chance.choice((0, FUNCTIONS)), chance.choice((12, 24, 48))
            most = min(SIZES[size][1], functions or 4)
            guests = tuple(next(pids) for _each in range(chance.randint(0, most)))
            if own and guests and chance.random() < 0.3:
                guests = (own[-1], *guests[1:])
            own += guests
            card = TinyCard(functions, size, guests)
            cards[name, address] = card
            equipment += shown(address, card)
            devices += [
                vgpu(
                    next(numbers),
                    size,
                    parent=function(address, index) if functions else address,
                    vm=f"vm-{pid}",
                    pid=pid,
                )
                for index, pid in enumerate(guests)
            ]
        plain = [
            None if chance.random() < 0.5 else next(pids) for _e in range(chance.randint(0, 3))
        ]
        devices += [
            vf(number, **({"vm": f"vm-{pid}", "pid": pid} if pid else {}))
            for number, pid in enumerate(plain)
        ]
        facts[name] = host(devices, equipment)
    return facts, cards


def shown(address: str, card: TinyCard) -> list[t.Any]:
    """Return the parents of a card, as its driver has them."""
    made = parents(address, max(1, card.functions))
    for index, each in enumerate(made):
        if not card.functions:
            del each["physical_function"]
            each["id"] = address
        for offered in each["types"]:
            size = next(size for size in SIZES if SIZES[size][0] == offered["id"])
            fits = not card.guests or size == card.size
            left = card.takes(size, len(card.guests)) if fits else 0
            if card.functions:
                left = int(left > 0 and index >= len(card.guests))
            offered["available_instances"] = left
    return made


def ways(facts: Facts, cards: dict[Card, TinyCard], max_moves: int) -> t.Iterator[list[t.Any]]:
    """Yield all ways to move so few guests, as placements."""
    guests: dict[str, list[tuple[str, t.Any]]] = defaultdict(list)
    for name, each in facts.items():
        for found in each["devices"]:
            if found["in_use"]:
                guests[found["in_use"]["name"]].append((name, found))
    free = {
        name: [found for found in each["devices"] if found["kind"] == "pci" and not found["in_use"]]
        for name, each in facts.items()
    }
    for count in range(1, max_moves + 1):
        for chosen in itertools.combinations(sorted(guests), count):
            moving = [each for guest in chosen for each in guests[guest]]
            choices = [[*_places(source, name, cards, free)] for name, source in moving]
            for targets in itertools.product(*choices):
                if _allowed(moving, targets, cards, free):
                    yield _placements(moving, targets, cards, free)


def _places(source: t.Any, own: str, cards: dict[Card, TinyCard], free: t.Any) -> t.Iterator[Card]:
    if source["kind"] == "pci":
        yield from ((name, "") for name in free if name != own and free[name])
        return
    for (name, address), card in cards.items():
        fits = not card.guests or SIZES[card.size][0] == source["type"]
        if name != own and fits:
            yield name, address


def _allowed(moving: t.Any, targets: t.Any, cards: dict[Card, TinyCard], free: t.Any) -> bool:
    hosts: dict[str, set[str]] = defaultdict(set)
    sizes: dict[Card, list[int]] = defaultdict(list)
    for (_name, source), place in zip(moving, targets, strict=True):
        hosts[source["in_use"]["name"]].add(place[0])
        if place[1]:
            sizes[place] += [size for size in SIZES if SIZES[size][0] == source["type"]]
    plain = Counter(name for name, address in targets if not address)
    return (
        all(len(each) == 1 for each in hosts.values())
        and all(count <= len(free[name]) for name, count in plain.items())
        and all(
            len({*each}) == 1 and len(each) <= cards[place].takes(each[0], len(cards[place].guests))
            for place, each in sizes.items()
        )
    )


def _placements(
    moving: t.Any, targets: t.Any, cards: dict[Card, TinyCard], free: t.Any
) -> list[t.Any]:
    unused = {name: iter(each) for name, each in free.items()}
    return [
        {
            "source": {"host": own, "id": source["id"]},
            "target": {
                "host": name,
                "id": f"new {number}" if address else next(unused[name])["id"],
                # Whichever function of a card it is, only what the card has matters.
                "parent": function(address, 0)
                if cards.get((name, address), PLAIN).functions
                else address,
                "create": bool(address),
                "type": source["type"],
                "attributes": [],
            },
        }
        for number, ((own, source), (name, address)) in enumerate(zip(moving, targets, strict=True))
    ]


def really_there(
    facts: Facts, cards: dict[Card, TinyCard], placements: t.Any, device_type: str
) -> list[int]:
    """Return how many devices of a type each host can give in truth, once moves are made and what was left is removed."""
    left = {(each["source"]["host"], each["source"]["id"]) for each in placements}
    taken = {(each["target"]["host"], each["target"]["id"]) for each in placements}
    found = []
    for name, each in facts.items():
        number = sum(
            one["kind"] == "pci"
            and one["type"] == device_type
            and (not one["in_use"] or (name, one["id"]) in left)
            and (name, one["id"]) not in taken
            for one in each["devices"]
        )
        for (there, address), card in cards.items():
            if there == name:
                types = [
                    one["type"]
                    for one in each["devices"]
                    if (one["parent"] or "")[:8] == address[:8]
                    and one["kind"] == "mdev"
                    and (name, one["id"]) not in left
                ]
                types += [
                    one["target"]["type"]
                    for one in placements
                    if one["target"]["create"]
                    and one["target"]["host"] == name
                    and one["target"]["parent"][:8] == address[:8]
                ]
                sizes = [size for size in SIZES if SIZES[size][0] == device_type]
                if sizes and {*types} <= {device_type}:
                    number += card.takes(sizes[0], len(types))
        found.append(number)
    return found


TYPES = st.sampled_from(["v", *(SIZES[size][0] for size in (12, 24, 48))])


@given(st.integers(0, 100_000), st.integers(0, 3), TYPES)
def test_what_is_stated_is_so_beside_all_ways(seed, most, device_type):
    facts, cards = tiny(random.Random(seed))
    try:
        found = planned(facts, most, device_type)
    except FleetError as error:
        assert "no host has a device or a parent with it" in str(error)
        return
    before, after, bound = comes_to(found)
    best = before
    for placements in itertools.islice(ways(facts, cards, most), 3_000):
        best = max(best, best_of(places_of_type(facts, placements, device_type)[1]))
    event(f"{found['status']}, {'best' if after == best else 'not best'}, {after > before}")
    assert before <= after <= bound
    assert best <= bound
    assert (found["status"] == "optimal") == (after == bound)
    assert found["moves"] <= most
    assert bool(found["moves"]) == (after > before)
    assert violations(found["plan"], facts, Conditions()) == []
    # No less is there in truth than is stated.
    there = really_there(facts, cards, found["plan"]["placements"], device_type)
    assert sum(each >= after[0] for each in there) >= after[1]


@given(st.integers(0, 100_000), st.integers(0, 3), st.integers(0, 9))
def test_whatever_the_fleet_a_plan_is_sound(seed, most, chosen):
    facts, request = drawn(random.Random(seed))
    types = {each["type"] for one in facts.values() for each in one["devices"]}
    types |= {
        each["id"] for one in facts.values() for under in one["parents"] for each in under["types"]
    }
    device_type = sorted(types)[chosen % len(types)]
    asked = of_a_search(request.conditions)
    found = planned(facts, most, device_type, asked)
    assert violations(found["plan"], facts, asked) == []
    assert not found["plan"]["unplaced"]
    assert found["moves"] <= most
    before, after, bound = comes_to(found)
    assert before <= after <= bound


@given(st.integers(0, 100_000))
def test_planner_and_verifier_see_the_same_places_on_odd_hosts(seed):
    facts = {"a": odd_host(random.Random(seed)), "b": host([])}
    fleet = read_fleet(facts)
    held = [each for each in fleet.devices() if each.in_use]
    chance = random.Random(seed)
    left = {each.id for each in held if chance.random() < 0.6}
    made: list[t.Any] = [
        {
            "host": "a",
            "id": f"new {number}",
            "parent": each.id,
            "create": True,
            "type": chance.choice(each.types).id,
            "attributes": [],
        }
        for number, each in enumerate(fleet.hosts["a"].parents)
        if each.types and chance.random() < 0.15
    ]
    # In a later wave, somebody comes to what was left.
    made += [
        {"host": "a", "id": each.id, "parent": each.parent, "create": False, "type": each.type}
        for each in held
        if each.id in left and chance.random() < 0.3
    ]
    placements = [
        {"source": {"host": "a", "id": each}, "target": {"host": "b", "id": "x"}} for each in left
    ]
    placements += [{"source": {"host": "b", "id": "x"}, "target": each} for each in made]
    for device_type in sorted(SIZES[size][0] for size in SIZES):
        places = TypePlaces(fleet.hosts["a"], device_type, [])
        before, after = places_of_type(facts, placements, device_type)
        assert (places.count(), places.count(left, made)) == (before[0], after[0])


# --- one by one ---


def functions(held: int, of: int = 8, name: str = "a", **others: t.Any) -> t.Any:
    return host(
        [
            vf(number, f"vm-{name}{number}", pid=number + 1, **others)
            if number < held
            else vf(number)
            for number in range(of)
        ]
    )


def test_guests_leave_one_host_until_the_others_are_full():
    facts = {name: functions(6, name=name) for name in "abc"}
    found = planned(facts, 6, "v")
    assert comes_to(found) == [(2, 3), (6, 1), (6, 1)]
    assert (found["status"], found["moves"]) == ("optimal", 4)
    assert found["sentences"] == [
        "4 guests move; no plan of 6 moves or fewer does better",
        (
            "the most devices of v for which one host has places: 2 devices, on 3 hosts;"
            " after that, and once what guests leave is removed: 6 devices, on 1 host"
        ),
    ]


def test_more_hosts_have_places_where_none_can_have_more_of_them():
    facts = {
        "a": functions(0, 4),
        "b": functions(1, 4, name="b"),
        "c": functions(2, 4, name="c"),
        "d": functions(1, 4, name="d"),
    }
    found = planned(facts, 1, "v")
    assert comes_to(found) == [(4, 1), (4, 2), (4, 2)]
    (placement,) = found["plan"]["placements"]
    # Not to the host that is empty.
    assert (placement["vm"], placement["target"]["host"]) in [
        ("vm-b0", "c"),
        ("vm-b0", "d"),
        ("vm-d0", "b"),
        ("vm-d0", "c"),
    ]


def gpu(guests: t.Sequence[str], size: int, first: int) -> t.Any:
    """Return a host with a GPU that is a parent itself."""
    card = TinyCard(0, size, tuple(range(len(guests))))
    devices = [
        vgpu(first + number, size, parent=CARD, vm=vm, pid=number + 1)
        for number, vm in enumerate(guests)
    ]
    return host(devices, shown(CARD, card))


def test_a_gpu_is_emptied_for_a_type_that_needs_a_whole_one():
    facts = {
        "a": gpu(["vm-1", "vm-2"], 12, 1),
        "b": gpu(["vm-3", "vm-4"], 12, 11),
        "c": gpu(["vm-5"], 24, 21),
    }
    found = planned(facts, 2, "nvidia-560")
    assert comes_to(found) == [(0, 0), (1, 1), (1, 1)]
    # The one of c has no place on a GPU with others of another size.
    assert {each["vm"] for each in found["plan"]["placements"]} < {"vm-1", "vm-2", "vm-3", "vm-4"}
    assert (
        "none; after that, and once what guests leave is removed: 1 device, on 1 host"
        in found["sentences"][1]
    )
    assert planned(facts, 1, "nvidia-560")["moves"] == 0


def test_a_gpu_that_others_come_to_is_not_empty():
    facts = {"a": gpu(["vm-1", "vm-2"], 12, 1), "b": gpu(["vm-3"], 12, 11)}
    host_a = read_fleet(facts).hosts["a"]
    left = {each.id for each in host_a.devices}
    again: t.Any = {
        "host": "a",
        "id": host_a.devices[0].id,
        "parent": CARD,
        "create": False,
        "type": host_a.devices[0].type,
        "attributes": [],
    }
    places = TypePlaces(host_a, "nvidia-560", [])
    assert (places.count(left), places.count(left, [again])) == (1, 0)
    source = {"host": "a", "id": host_a.devices[0].id}
    others: list[t.Any] = [
        {
            "source": {**source, "id": each},
            "target": {"host": "b", "id": each, "parent": CARD, "create": False, "type": None},
        }
        for each in left
    ]
    for placements, after in ((others, 1), ([*others, {"source": source, "target": again}], 0)):
        assert places_of_type(facts, placements, "nvidia-560")[1][0] == after


def test_what_types_take_of_an_i915_is_given_back():
    def shared(*held: str, available: dict[str, int]) -> t.Any:
        made = parent(available=available)
        for each in made["types"]:
            share = 8 // int(each["id"].rpartition("_")[2])
            each["description"] = (
                f"low_gm_size: {share * 64}MB high_gm_size: {share * 192}MB fence: {share}"
            )
        devices = [device(UUIDS[int(vm[-1])], gvt("8", "1"), vm=vm, pid=int(vm[-1])) for vm in held]
        return host(devices, [made])

    sizes = {f"i915-GVTg_V5_{size}": size for size in (1, 2, 4, 8)}
    left = {"i915-GVTg_V5_1": 0, "i915-GVTg_V5_2": 1, "i915-GVTg_V5_4": 3, "i915-GVTg_V5_8": 7}
    facts = {"a": shared("vm-1", available=left), "b": shared("vm-2", available=left)}
    found = planned(facts, 1, "i915-GVTg_V5_1")
    assert comes_to(found) == [(0, 0), (1, 1), (1, 1)]
    facts = {"a": shared("vm-1", available=left), "b": shared(available=sizes)}
    assert planned(facts, 1, "i915-GVTg_V5_1")["moves"] == 0


def test_who_cannot_leave_keeps_a_gpu_from_being_emptied():
    facts = {"a": gpu(["vm-1", "vm-2"], 12, 1), "b": gpu(["vm-3"], 12, 11)}
    facts["a"]["devices"][1]["migration"]["supported"] = False
    facts["b"]["devices"][0]["migration"]["supported"] = False
    found = planned(facts, 2, "nvidia-560")
    assert comes_to(found) == [(0, 0), (0, 0), (0, 0)]
    assert found["status"] == "optimal"


def test_hosts_that_are_no_targets_can_be_left():
    facts = {name: functions(6, name=name) for name in "abc"}
    found = planned(facts, 9, "v", Conditions(targets=["a"]))
    assert comes_to(found)[1] == (4, 1)
    assert {each["target"]["host"] for each in found["plan"]["placements"]} == {"a"}


def test_nothing_is_proven_where_a_host_is_silent():
    facts = {**{name: functions(6, name=name) for name in "abc"}, "d": {}}
    assert planned(facts, 1, "v")["status"] == "feasible"


@pytest.mark.parametrize("plans", [0, 1])
def test_with_few_plans_less_is_proven(monkeypatch, plans):
    from ansible_collections.vfio.migration.plugins.plugin_utils._planner import largest_guest

    monkeypatch.setattr(largest_guest, "PLANS", plans)
    facts = {
        "a": functions(1, 4),
        "b": functions(1, 4, name="b"),
        "c": functions(2, 4, name="c"),
    }
    found = planned(facts, 2, "v")
    assert found["moves"] == plans
    assert found["status"] == "feasible"


def test_a_type_that_nobody_has_is_an_error():
    with pytest.raises(
        FleetError, match="device_type is 'x', and no host has a device or a parent"
    ):
        planned({"a": functions(1)}, 1, "x")
