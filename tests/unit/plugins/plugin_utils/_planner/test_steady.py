# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plans that stay: however much of a plan has been carried out, the rest goes where it was to go, and then nothing is left."""

from __future__ import annotations

import copy
import dataclasses
import random
import typing as t
from collections import Counter

import pytest
from ansible_collections.vfio.migration.plugins.filter.migration_plan import migration_plan
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import read_fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.planner import make_plan
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import (
    Conditions,
    requested,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.shown_plan import recomputed
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify import violations
from ansible_collections.vfio.migration.tests.unit.drawn_fleets import drawn
from ansible_collections.vfio.migration.tests.unit.fleets import (
    UUIDS,
    device,
    gvt,
    host,
    parent,
    vf,
)
from hypothesis import example, given, settings
from hypothesis import strategies as st

Facts = dict[str, t.Any]


def prepared(facts: Facts, plan: t.Any) -> Facts:
    """Return the facts once the targets of ``plan`` are made."""
    after = copy.deepcopy(facts)
    for each in plan["placements"]:
        target = each["target"]
        if target["create"]:
            there = after[target["host"]]
            source = find(facts, each["source"])
            there["descriptors"] |= facts[each["source"]["host"]]["descriptors"]
            own = {"id": target["id"], "parent": target["parent"], "in_use": None}
            there["devices"].append({**source, **own})
            for made_under in there["parents"]:
                for offered in made_under["types"] if made_under["id"] == target["parent"] else ():
                    offered["available_instances"] -= 4
    return after


def moved(facts: Facts, plan: t.Any, guests: t.Collection[str]) -> Facts:
    """Return the facts once these guests have moved as ``plan`` says."""
    after = copy.deepcopy(facts)
    for each in plan["placements"]:
        if each["vm"] in guests:
            source, target = find(after, each["source"]), find(after, each["target"])
            target["in_use"], source["in_use"] = source["in_use"], None
    return after


def find(facts: Facts, label: t.Any) -> dict[str, t.Any]:
    devices = facts[label["host"]]["devices"]
    return next(each for each in devices if each["id"] == label["id"])


def targets(plan: t.Any, guests: t.Collection[str]) -> dict[str, tuple[str, str]]:
    return {
        f"{each['vm']} {each['source']['id']}": (each["target"]["host"], each["target"]["id"])
        for each in plan["placements"]
        if each["vm"] in guests
    }


def fleet(seed: int) -> Facts:
    """Return a host to be emptied, and others with functions and parents that have room for all."""
    chance = random.Random(seed)
    devices = [
        vf(n, f"vm-{n}", chance.choice("vw"), pid=50 + n) for n in range(chance.randint(1, 4))
    ]
    devices += [
        device(UUIDS[n], gvt("8", "4"), f"vm-{9 - n}", 90 + n) for n in range(chance.randint(1, 3))
    ]
    return {
        "a": host(devices),
        **{
            name: host(
                [vf(n, kind="vw"[n % 2]) for n in range(chance.randint(2, 6))],
                [parent(available={"i915-GVTg_V5_8": chance.choice([4, 8, 16])})],
            )
            for name in ("b", "c", "d")
        },
        "e": host(
            [vf(n, kind="vw"[n % 2]) for n in range(8)],
            [parent(available={"i915-GVTg_V5_8": 16})],
        ),
    }


@pytest.mark.parametrize("with_earlier", [True, False])
@given(seed=st.integers(0, 10_000), data=st.data())
def test_the_rest_of_a_plan_goes_where_it_was_to_go(with_earlier, seed, data):
    facts = fleet(seed)
    first = migration_plan(facts, drain=["a"])
    assert first["unplaced"] == []
    earlier = {"earlier": first} if with_earlier else {}
    everybody = {each["vm"] for each in first["placements"]}
    gone = set(data.draw(st.lists(st.sampled_from(sorted(everybody)), unique=True)))
    now = prepared(facts, first)
    again = migration_plan(now, drain=["a"], **earlier)
    assert targets(again, everybody) == targets(first, everybody)
    later = migration_plan(moved(now, first, gone), drain=["a"], **earlier)
    assert targets(later, everybody) == targets(first, everybody - gone)
    end = migration_plan(moved(now, first, everybody), drain=["a"], **earlier)
    assert (end["placements"], end["unplaced"]) == ([], [])


def newer(number: int, vm: str | None, kind: str, pid: int | None = None) -> t.Any:
    """Return a function; one of the kind x goes to one of v as well."""
    made = vf(number, vm, kind, pid=pid)
    lists = [vf(0, kind=each)["descriptor"]["self"] for each in {"x": "xv"}.get(kind, kind)]
    return made | {"descriptor": {**made["descriptor"], "compatible": lists}}


@pytest.mark.parametrize("guests", [2, 3, 4])
@pytest.mark.parametrize("others", [1, 2])
def test_who_of_equal_guests_stays_is_the_same_once_targets_of_others_are_made(guests, others):
    held = [
        newer(2 * guest + n, f"vm-{guest}", kind, pid=7 + guest)
        for guest in range(guests)
        for n, kind in enumerate("xw")
    ]
    made = [device(UUIDS[n], gvt("8", "4"), f"other-{n}", pid=90 + n) for n in range(others)]
    free = [newer(n, None, kind) for n, kind in enumerate("vxw" * (guests - 1))]
    facts = {
        "a": host([*held, *made]),
        "b": host(free, [parent(available={"i915-GVTg_V5_8": 4 * others})]),
    }
    first = migration_plan(facts, drain=["a"])
    everybody = {*(f"vm-{n}" for n in range(guests)), *(f"other-{n}" for n in range(others))}
    assert {each["vm"] for each in first["unplaced"]} == {f"vm-{guests - 1}"}
    again = migration_plan(prepared(facts, first), drain=["a"])
    assert targets(again, everybody) == targets(first, everybody)


def named_otherwise(seed: int) -> Facts:
    """Return ``fleet`` with free devices of names of their own for what else would have to be made."""
    facts = fleet(seed)
    for number, name in enumerate("bcde", 4):
        free = device(UUIDS[number], gvt("8", "4"))
        there = facts[name]
        facts[name] = host([*(vf(n, kind="vw"[n % 2]) for n in range(8)), free], there["parents"])
    return facts


@given(seed=st.integers(0, 10_000), data=st.data())
def test_with_an_earlier_plan_a_drain_ends_where_targets_have_names_of_their_own(seed, data):
    facts = named_otherwise(seed)
    first = migration_plan(facts, drain=["a"])
    everybody = {each["vm"] for each in first["placements"]}
    gone = set(data.draw(st.lists(st.sampled_from(sorted(everybody)), unique=True)))
    now = moved(prepared(facts, first), first, gone)
    later = migration_plan(now, drain=["a"], earlier=first)
    assert targets(later, {*everybody, None}) == targets(first, everybody - gone)
    end = moved(now, first, everybody - gone)
    # By the plan for the rest, too.
    for earlier in (first, later):
        last = migration_plan(end, drain=["a"], earlier=earlier)
        assert (last["placements"], last["unplaced"], last["changes"]) == ([], [], [])
        assert violations(last, end, Conditions(drain=["a"])) == []
        assert recomputed(last, read_fleet(end), Conditions()).get("staying") == last["staying"]


def left_on_a() -> tuple[Facts, Facts, t.Any]:
    """Return facts before and after a guest has moved to a device of another name, and the plan for that."""
    facts = {"a": host([device(UUIDS[0], vm="vm-1")]), "b": host([device(UUIDS[1])])}
    facts["c"] = host([], [parent()])
    plan = migration_plan(facts, drain=["a"])
    return facts, moved(facts, plan, {"vm-1"}), plan


def test_what_a_guest_has_left_stays_where_an_earlier_plan_says_what_it_holds_now():
    _before, after, first = left_on_a()
    plan = migration_plan(after, drain=["a"], earlier=first)
    assert (plan["status"], plan["placements"]) == ("optimal", [])
    assert plan["staying"] == [
        {
            "host": "a",
            "kind": "mdev",
            "id": UUIDS[0],
            "reason": "its guest has moved, and holds the device planned for it on b",
            "moved_to": {"host": "b", "kind": "mdev", "id": UUIDS[1], "vm": "vm-1"},
        }
    ]


@pytest.mark.parametrize(
    ("holder", "stays"),
    [
        (None, False),
        ({"pid": 7, "name": "another"}, False),
        ({"pid": 7, "name": "vm-1"}, True),
        ({"pid": 7, "name": "vm-1", "uuid": UUIDS[7]}, True),
        # Another one of its name.
        ({"pid": 7, "name": "vm-1", "uuid": UUIDS[6]}, False),
        ({"pid": None, "name": None}, True),
    ],
)
def test_what_is_left_moves_along_where_its_guest_holds_nothing_else(holder, stays):
    _before, after, first = left_on_a()
    first["placements"][0]["vm_uuid"] = UUIDS[7]
    after["b"]["devices"][0]["in_use"] = holder
    plan = migration_plan(after, drain=["a"], earlier=first)
    assert [each["source"]["id"] for each in plan["placements"]] == ([] if stays else [UUIDS[0]])
    assert ("staying" in plan) == stays


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "pci", "id": "0000:41:00.1"},
        # An earlier plan that somebody has edited.
        {"host": "a"},
    ],
)
def test_what_is_left_for_no_mdev_of_another_host_moves_along(changes):
    _before, after, first = left_on_a()
    target = first["placements"][0]["target"]
    target.update(changes)
    entry = {**after["b"]["devices"].pop(), "kind": target["kind"], "id": target["id"]}
    after[target["host"]]["devices"].append(entry)
    plan = migration_plan(after, drain=["a"], earlier=first)
    assert UUIDS[0] in [each["source"]["id"] for each in plan["placements"]]
    assert "moved_to" not in str(plan.get("staying"))


def free_again(plan: t.Any, facts: Facts) -> None:
    facts["b"]["devices"][0]["in_use"] = None


def on_its_own_host(plan: t.Any, facts: Facts) -> None:
    facts["a"]["devices"].append(facts["b"]["devices"][0])
    plan["staying"][0]["moved_to"]["host"] = "a"


def of_another_kind(plan: t.Any, facts: Facts) -> None:
    facts["b"]["devices"][0]["kind"] = "pci"


def for_two(plan: t.Any, facts: Facts) -> None:
    facts["a"]["devices"].append({**facts["a"]["devices"][0], "id": UUIDS[5]})
    plan["staying"].append({**plan["staying"][0], "id": UUIDS[5]})


def of_another_guest(plan: t.Any, facts: Facts) -> None:
    facts["b"]["devices"][0]["in_use"] = {"pid": 7, "name": "another"}


@pytest.mark.parametrize(
    "damage", [free_again, on_its_own_host, of_another_kind, for_two, of_another_guest]
)
def test_the_verifier_looks_for_what_guests_are_said_to_hold_now(damage):
    _before, after, first = left_on_a()
    plan = migration_plan(after, drain=["a"], earlier=first)
    assert violations(plan, after, Conditions(drain=["a"])) == []
    damage(plan, after)
    found = violations(plan, after, Conditions(drain=["a"]))
    assert any(each.startswith("what stays has nothing to move") for each in found)


def in_another_order(facts: Facts, chance: random.Random) -> Facts:
    """Return the same facts, with all that is listed in them in another order."""
    after = copy.deepcopy(facts)
    for each in after.values():
        for part in ("devices", "parents"):
            chance.shuffle(each[part])
        for made_under in each["parents"]:
            chance.shuffle(made_under["types"])
        each["descriptors"] = dict(
            chance.sample([*each["descriptors"].items()], len(each["descriptors"]))
        )
    return dict(chance.sample([*after.items()], len(after)))


@given(st.integers(0, 10_000), st.randoms(use_true_random=False))
@settings(max_examples=100)
# Of two equal parents the first one is taken.
@example(3330, random.Random(1))
def test_the_order_of_what_the_facts_list_changes_no_placement(seed, chance):
    facts, request = drawn(random.Random(seed))
    drained = request.conditions.drain
    sources = None if drained else sorted({guest.name for guest in request.guests})
    plans = []
    for each in (facts, in_another_order(facts, chance)):
        fleet = read_fleet(each)
        guests = requested(fleet, drained, sources)
        targets = [name for name in fleet.hosts if name in request.targets]
        asked = dataclasses.replace(request, guests=guests, targets=targets)
        plans.append(make_plan(fleet, asked)["placements"])
    assert plans[0] == plans[1]


def test_what_is_taken_since_is_planned_anew_and_the_rest_stays():
    facts = {
        "a": host([vf(0, "vm-0"), vf(1, "vm-1")]),
        "b": host([vf(n) for n in range(3)]),
    }
    first = migration_plan(facts, drain=["a"])
    target = next(each["target"] for each in first["placements"] if each["vm"] == "vm-0")
    find(facts, target)["in_use"] = {"pid": 77, "name": "other"}
    again = migration_plan(facts, drain=["a"], earlier=first)
    assert targets(again, {"vm-1"}) == targets(first, {"vm-1"})
    assert [each["vm"] for each in again["changes"]] == ["vm-0"]


def test_devices_are_spread_over_hosts_by_what_is_there_already():
    facts = {
        "a": host([vf(0, "g0"), vf(1, "g1")]),
        "full": host([*(vf(n, f"x{n}") for n in range(5)), *(vf(n) for n in range(5, 8))]),
        "empty": host([vf(n) for n in range(8)]),
    }
    plan = migration_plan(facts, drain=["a"], policy="spread")
    assert {each["target"]["host"] for each in plan["placements"]} == {"empty"}
    assert (plan["status"], plan["cost"]["load"]) == ("optimal", 2)


# --- types that may become others, in a chain ---


CHAIN = {"p": "pqr", "q": "qr", "r": "r"}


def of_chain(number: int, kind: str, vm: str | None = None) -> t.Any:
    """Return a function that may become one of its own kind, or of one further on."""
    own, *others = [
        {"software_version": "1.0.0", "device_api": "vfio-pci", "type": each, "pci_id": "15b31234"}
        for each in CHAIN[kind]
    ]
    found = vf(number, vm, kind)
    return {**found, "descriptor": {"self": own, "compatible": [own, *others]}}


def test_what_goes_by_first_fit_costs_what_the_plan_says():
    found = Counter()
    for seed in range(8):
        chance = random.Random(seed)
        count = chance.randint(10, 40)
        facts = {"a": host([of_chain(n, chance.choice("ppqr"), f"g{n}") for n in range(count)])}
        kinds: dict[str, list[str]] = {}
        for _place in range(round(count / chance.choice([0.8, 0.95]))):
            kinds.setdefault(f"t{chance.randrange(8)}", []).append(chance.choice("pqrr"))
        for name, of_host in kinds.items():
            facts[name] = host([of_chain(n, kind) for n, kind in enumerate(of_host)])
        plan = migration_plan(facts, drain=["a"])
        codes = {reason["code"] for each in plan["unplaced"] for reason in each["reasons"]}
        assert "verifier" not in codes, f"fleet {seed}"
        found[plan["status"]] += plan["cost"]["other_type"] > 0
    assert found["feasible"]
