# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plans for vGPUs on the virtual functions of one card, which share what it has."""

from __future__ import annotations

import copy
import typing as t
from collections import Counter
from random import Random

import pytest
from ansible_collections.vfio.migration.plugins.filter.migration_plan import migration_plan
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import Conditions
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify import violations
from ansible_collections.vfio.migration.tests.unit.cards import (
    CARD,
    CURRENT,
    OTHER_CARD,
    SIZES,
    function,
    guests,
    odd_host,
    parents,
    typed,
    typeless,
    vgpu,
)
from ansible_collections.vfio.migration.tests.unit.fleets import host
from hypothesis import given
from hypothesis import strategies as st

L40S = {"1155": "NVIDIA L40S-8Q", "1157": "NVIDIA L40S-24Q", "1158": "NVIDIA L40S-48Q"}


def plan_of(fleet: dict[str, t.Any], **options: t.Any) -> t.Any:
    plan = migration_plan(fleet, drain=["a"], **options)
    assert violations(plan, fleet, Conditions(drain=["a"])) == []
    return plan


def on_cards(plan: t.Any, fleet: dict[str, t.Any]) -> Counter[tuple[str, str]]:
    """Return how many devices a plan makes on each card, by host."""
    cards = {
        (name, each["id"]): each["physical_function"]
        for name, facts in fleet.items()
        for each in facts["parents"]
    }
    targets = [each["target"] for each in plan["placements"]]
    return Counter(
        (each["host"], cards.get((each["host"], each["parent"]), each["parent"]))
        for each in targets
    )


def reasons(plan: t.Any) -> set[str]:
    return {each["reason"] for device in plan["unplaced"] for each in device["reasons"]}


def test_a_card_with_32_parents_gets_no_more_than_it_holds():
    fleet = {"a": guests(8, 12), "b": host(parents=parents())}
    plan = plan_of(fleet)
    assert on_cards(plan, fleet) == {("b", CARD): 4}
    assert len(plan["unplaced"]) == 4
    assert (
        f"{CARD} on b holds 4 of nvidia-557 at most, with those that are there and planned"
        in reasons(plan)
    )


def test_eight_guests_are_four_on_each_of_two_cards():
    fleet = {"a": guests(8, 12), "b": host(parents=parents() + parents(OTHER_CARD))}
    plan = plan_of(fleet)
    assert plan["status"] == "optimal"
    assert on_cards(plan, fleet) == {("b", CARD): 4, ("b", OTHER_CARD): 4}
    # Each function has one.
    assert len({each["target"]["parent"] for each in plan["placements"]}) == 8


def test_what_is_on_the_card_counts_whoever_holds_it():
    there = [
        vgpu(100, 12, parent=function(CARD, 0), vm="held"),
        vgpu(101, 12, parent=function(CARD, 1), vm="held too"),
    ]
    fleet = {"a": guests(4, 12), "b": host(there, parents(taken=[0, 1]))}
    assert on_cards(plan_of(fleet), fleet) == {("b", CARD): 2}
    # What is free is taken as it is, and takes no more of the card than it does.
    for each in fleet["b"]["devices"]:
        each["in_use"] = None
    plan = plan_of(fleet)
    assert plan["cost"]["created"] == 2
    assert plan["unplaced"] == []


def test_two_sizes_are_on_two_cards():
    source = host(
        [
            vgpu(0, 12, parent=function(CARD, 0), vm="small"),
            vgpu(1, 24, parent=function(OTHER_CARD, 0), vm="great"),
        ],
        parents(number=1, taken=[0]) + parents(OTHER_CARD, number=1, taken=[0]),
    )
    one = {"a": source, "b": host(parents=parents())}
    plan = plan_of(one)
    assert len(plan["placements"]) == 1
    assert any("another size of frame buffer" in each for each in reasons(plan))
    two = {"a": source, "b": host(parents=parents() + parents(OTHER_CARD))}
    assert on_cards(plan_of(two), two) == {("b", CARD): 1, ("b", OTHER_CARD): 1}


def test_a_card_takes_no_other_size_than_it_has():
    there = [vgpu(100, 24, parent=function(CARD, 0), vm="held")]
    fleet = {"a": guests(1, 12), "b": host(there, parents(taken=[0]))}
    plan = plan_of(fleet)
    assert plan["placements"] == []
    assert any("another size of frame buffer" in each for each in reasons(plan))


def test_two_guests_move_to_one_empty_gpu_without_mdev():
    source = host([typed(0, "1155", vm="vm-0"), typed(1, "1155", vm="vm-1")])
    fleet = {"a": source, "b": host([typeless(each, L40S) for each in range(32)])}
    plan = plan_of(fleet)
    assert plan["status"] == "optimal"
    assert [each["target"]["attributes"] for each in plan["placements"]] == [
        [{"name": CURRENT, "value": "1155"}]
    ] * 2
    # Names may be unknown: then the kernel's word, while they are made, is all there is.
    fleet["b"] = host([typeless(each, ["1155", "1157"]) for each in range(32)])
    assert plan_of(fleet)["unplaced"] == []


def test_each_rule_of_a_card_that_may_have_kept_a_guest_away_is_told():
    source = host([typed(0, "1155", vm="vm-0"), typed(1, "1157", vm="vm-1")])
    plan = plan_of({"a": source, "b": host([typeless(each, L40S) for each in range(32)])})
    assert plan["status"] == "unproven"
    for words in ("gets one size of frame buffer", "is concluded from the names of types"):
        assert len([each for each in plan["assumptions"] if words in each]) == 1


def test_a_function_that_shows_no_card_is_one_by_itself():
    source = host([typed(0, "1155", vm="vm-0"), typed(1, "1155", vm="vm-1")])
    alone = [{**typeless(each, L40S), "parent": None} for each in range(2)]
    plan = plan_of({"a": source, "b": host(alone)})
    assert sorted(each["target"]["id"] for each in plan["placements"]) == [
        each["id"] for each in alone
    ]
    # Beside one of a card that has another size, it takes any.
    other = typeless(2, {"1157": L40S["1157"]})
    fleet = {"a": host([typed(0, "1155", vm="vm")]), "b": host([other, alone[0]])}
    (placement,) = plan_of(fleet)["placements"]
    assert placement["target"]["id"] == alone[0]["id"]


@pytest.mark.parametrize(
    ("names", "vgpu_type", "most"),
    [
        (L40S, "1155", 6),
        (L40S, "1157", 2),
        (L40S, "1158", 1),
        # With MIG the slices count as well.
        ({"1": "NVIDIA A100-1-5C", "7": "NVIDIA A100-7-40C", "4": "NVIDIA A100-4-20C"}, "1", 7),
        ({"1": "NVIDIA A100-1-5C", "7": "NVIDIA A100-7-40C", "4": "NVIDIA A100-4-20C"}, "4", 1),
        # Nothing greater is to be had: no more than one is sure.
        ({"1155": "NVIDIA L40S-8Q"}, "1155", 1),
    ],
)
def test_names_tell_how_many_functions_of_an_empty_card_are_given_a_type(names, vgpu_type, most):
    source = host([typed(each, vgpu_type, vm=f"vm-{each}") for each in range(8)])
    fleet = {"a": source, "b": host([typeless(each, names) for each in range(32)])}
    assert on_cards(plan_of(fleet), fleet) == {("b", CARD): most}


def test_functions_of_one_card_are_given_one_size():
    source = host([typed(0, "1155", vm="vm-0"), typed(1, "1157", vm="vm-1", card=OTHER_CARD)])
    fleet = {"a": source, "b": host([typeless(each, L40S) for each in range(32)])}
    assert len(plan_of(fleet)["placements"]) == 1
    fleet["b"] = host(
        [typeless(each, L40S) for each in range(4)]
        + [typeless(each, L40S, card=OTHER_CARD) for each in range(4)]
    )
    assert on_cards(plan_of(fleet), fleet) == {("b", CARD): 1, ("b", OTHER_CARD): 1}


def test_with_mig_functions_of_one_card_are_given_several_sizes():
    names = {"1": "NVIDIA A100-1-5C", "2": "NVIDIA A100-2-10C", "3": "NVIDIA A100-3-20C"}
    choices = {**names, "7": "NVIDIA A100-7-40C"}
    held = [typed(number, each, vm=f"vm-{each}") for number, each in enumerate(names)]
    fleet = {"a": host(held), "b": host([typeless(each, choices) for each in range(16)])}
    assert on_cards(plan_of(fleet), fleet) == {("b", CARD): 3}
    # Half of the card, and a third of it twice, are more than it has.
    more = [*held, typed(3, "2", vm="vm-more")]
    plan = plan_of({**fleet, "a": host(more)})
    assert (plan["status"], len(plan["placements"])) == ("unproven", 3)


def test_with_mig_parents_of_one_card_get_several_sizes():
    def with_mig(found: list[t.Any]) -> list[t.Any]:
        for each in found:
            for offered, slices in zip(each["types"], (1, 2, 3, 7)):
                offered["name"] = f"GRID A100-{slices}-{5 * slices}C"
        return found

    source = host(
        [
            vgpu(0, 12, parent=function(CARD, 0), vm="small"),
            vgpu(1, 24, parent=function(OTHER_CARD, 0), vm="great"),
        ],
        with_mig(parents(number=1, taken=[0]) + parents(OTHER_CARD, number=1, taken=[0])),
    )
    fleet = {"a": source, "b": host(parents=with_mig(parents()))}
    assert on_cards(plan_of(fleet), fleet) == {("b", CARD): 2}


def test_a_guest_of_two_vgpus_finds_room_on_two_cards():
    devices = [vgpu(each, 24, parent=function(CARD, each), vm="vm", pid=7) for each in range(2)]
    fleet = {
        "a": host(devices, parents(number=2, taken=[0, 1])),
        "b": host(parents=parents(number=2) + parents(OTHER_CARD, number=2)),
    }
    assert plan_of(fleet)["unplaced"] == []


@pytest.mark.parametrize("origin", [{"origin": "derived"}, {}], ids=["derived", "told"])
@pytest.mark.parametrize("number", [1, 2])
def test_several_vgpus_of_one_guest_have_a_caution(number, origin):
    devices = [
        vgpu(each, 24, parent=function(CARD, each), vm="vm", pid=7) for each in range(number)
    ]
    for each in devices:
        each["descriptor"]["self"]["driver"] = "nvidia"
    fleet = {"a": host(devices), "b": host(parents=parents())}
    for each in fleet["a"]["descriptors"].values():
        each.update(origin)
    plan = plan_of(fleet)
    placements = plan["placements"]
    assert len(placements) == number
    for each in placements:
        cautions = [text for text in each["warnings"] if "several vGPUs of one GPU" in text]
        assert len(cautions) == number - 1
        each["warnings"] = [text for text in each["warnings"] if text not in cautions]
    broken = violations(plan, fleet, Conditions(drain=["a"]))
    assert len(broken) == (number if number > 1 else 0)
    assert all("does not warn: not every release of NVIDIA's" in each for each in broken)


def of_two_cards(*free: t.Any) -> dict[str, t.Any]:
    """Return a fleet of a guest with two vGPUs, and of a host with two cards, and perhaps free devices there."""
    devices = [vgpu(each, 24, parent=function(CARD, each), vm="vm", pid=7) for each in range(2)]
    there = parents(number=2) + parents(OTHER_CARD, number=2)
    return {"a": host(devices, parents(number=2, taken=[0, 1])), "b": host(list(free), there)}


def distinct(fleet: dict[str, t.Any], **options: t.Any) -> t.Any:
    plan = migration_plan(fleet, drain=["a"], distinct_gpus=True, **options)
    conditions = Conditions(drain=["a"], distinct_gpus=True)
    assert violations(plan, fleet, conditions) == []
    assert plan["unplaced"] or violations(plan, fleet, Conditions(drain=["a"])) != []
    return plan


def test_vgpus_of_one_guest_are_on_different_gpus_where_that_is_asked():
    fleet = of_two_cards()
    assert on_cards(plan_of(fleet), fleet) in ({("b", CARD): 2}, {("b", OTHER_CARD): 2})
    plan = distinct(fleet)
    assert on_cards(plan, fleet) == {("b", CARD): 1, ("b", OTHER_CARD): 1}
    assert plan["status"] == "optimal"
    # One card alone has room for both, and each guest may have one of it.
    fleet["b"] = host(parents=parents())
    plan = distinct(fleet)
    assert plan["status"] == "infeasible"
    assert any("each of NVIDIA's on a GPU of its own" in each for each in reasons(plan))
    fleet["a"]["devices"][1]["in_use"] = {"pid": 8, "name": "other"}
    assert len(distinct(fleet)["placements"]) == 2


def test_vgpus_that_are_there_count_for_different_gpus_too():
    free = [vgpu(100 + each, 24, parent=function(CARD, each)) for each in range(2)]
    fleet = of_two_cards(*free)
    for each in fleet["b"]["parents"][:2]:
        for offered in each["types"]:
            offered["available_instances"] = 0
    assert plan_of(fleet)["cost"]["created"] == 0
    plan = distinct(fleet)
    assert plan["cost"]["created"] == 1
    parents_of = {each["target"]["parent"] for each in plan["placements"]}
    assert parents_of & {function(CARD, 0), function(CARD, 1)}
    assert parents_of & {function(OTHER_CARD, 0), function(OTHER_CARD, 1)}


def test_functions_without_mdev_are_on_different_gpus_where_that_is_asked():
    source = host([typed(each, "1155", vm="vm", pid=7) for each in range(2)])
    there = [typeless(each, L40S) for each in range(4)]
    there += [typeless(each, L40S, card=OTHER_CARD) for each in range(4)]
    fleet = {"a": source, "b": host(there)}
    assert on_cards(distinct(fleet), fleet) == {("b", CARD): 1, ("b", OTHER_CARD): 1}
    fleet["b"] = host([typeless(each, L40S) for each in range(4)])
    assert distinct(fleet)["placements"] == []
    # Some that have the type already.
    fleet["b"] = host([typed(0, "1155"), typed(1, "1155", card=OTHER_CARD)])
    assert on_cards(distinct(fleet), fleet) == {("b", CARD): 1, ("b", OTHER_CARD): 1}
    fleet["b"] = host([typed(0, "1155"), typed(1, "1155")])
    assert distinct(fleet)["placements"] == []


def test_what_an_earlier_plan_has_made_on_one_gpu_is_not_taken_for_two():
    fleet = of_two_cards()
    together = plan_of(fleet)
    made = [
        vgpu(0, 24, parent=each["target"]["parent"]) | {"id": each["target"]["id"]}
        for each in together["placements"]
    ]
    fleet["b"] = host(made, parents(number=2) + parents(OTHER_CARD, number=2))
    assert plan_of(fleet)["cost"]["created"] == 0
    assert len(distinct(fleet)["placements"]) == 2


# Each host is a list of cards, each with the size of what is there and how many, and how many free functions it has.
CARDS = st.lists(
    st.tuples(st.sampled_from([*SIZES]), st.integers(0, 2), st.integers(0, 5)), max_size=2
)


@given(
    targets=st.lists(CARDS, min_size=1, max_size=2),
    sizes=st.lists(st.sampled_from([*SIZES]), max_size=6),
)
def test_as_many_move_as_one_by_one_trying_finds(targets, sizes):
    fleet = {
        "a": host(
            [
                vgpu(each, size, parent=function(CARD, each), vm=f"vm-{each}")
                for each, size in enumerate(sizes)
            ]
        )
    }
    rooms = []
    for name, cards in zip("bc", targets):
        devices, functions = [], []
        for number, (size, there, free) in enumerate(cards):
            card = (CARD, OTHER_CARD)[number]
            there = min(there, SIZES[size][1])
            functions += parents(card, there + free, taken=range(there))
            devices += [
                vgpu(
                    1000 + 100 * len(rooms) + each,
                    size,
                    parent=function(card, each),
                    vm="there",
                    pid=99,
                )
                for each in range(there)
            ]
            rooms.append((size if there else None, there, free))
        fleet[name] = host(devices, functions)
    plan = plan_of(fleet)
    assert len(plan["placements"]) == most_placed(rooms, Counter(sizes))


def most_placed(rooms: list[tuple[int | None, int, int]], sizes: Counter[int]) -> int:
    """Return how many devices the cards take in at most: each card is tried with each size."""
    if not rooms:
        return 0
    (fixed, there, free), *others = rooms
    best = most_placed(others, sizes)
    for size in [fixed] if fixed else [*sizes]:
        number = min(sizes[size], free, SIZES[size][1] - there)
        if number > 0:
            best = max(best, number + most_placed(others, sizes - Counter({size: number})))
    return best


def test_the_verifier_counts_what_is_on_a_card():
    fleet = {"a": guests(4, 12), "b": host(parents=parents())}
    plan = plan_of(fleet)
    fewer = copy.deepcopy(fleet)
    for each in fewer["b"]["parents"]:
        for offered in each["types"]:
            offered["description"] = offered["description"].replace(
                "max_instance=4", "max_instance=3"
            )
    assert any("holds fewer than 4" in each for each in violations(plan, fewer))
    there = copy.deepcopy(fleet)
    there["b"]["devices"] = [
        {**vgpu(500, 12, parent=function(CARD, 9), vm="there"), "descriptor": None}
    ]
    assert any("holds fewer than 5" in each for each in violations(plan, there))
    there["b"]["devices"][0]["type"] = "nvidia-556"
    assert any("takes one size" in each for each in violations(plan, there))


def test_the_verifier_counts_functions_that_are_given_a_type():
    source = host([typed(each, "1157", vm=f"vm-{each}") for each in range(2)])
    fleet = {"a": source, "b": host([typeless(each, L40S) for each in range(32)])}
    plan = plan_of(fleet)
    assert len(plan["placements"]) == 2
    smaller = copy.deepcopy(fleet)
    for each in smaller["b"]["devices"]:
        each["attributes"][0]["choice_names"][2] = "NVIDIA L40S-24Q"
    assert any("holds fewer than 2" in each for each in violations(plan, smaller))
    partly = copy.deepcopy(fleet)
    partly["b"]["devices"][9]["attributes"] = [{"name": CURRENT, "value": "1157"}]
    assert any("for several guests at a time" in each for each in violations(plan, partly))
    plan["placements"][0]["target"]["attributes"][0]["value"] = "1155"
    assert any("takes one size" in each for each in violations(plan, fleet))


@given(
    st.integers(0, 2**32),
    st.fixed_dictionaries(
        {
            "direction": st.sampled_from(["source_lists", "target_accepts", "both", "either"]),
            "policy": st.sampled_from(["pack", "spread"]),
            "distinct_gpus": st.booleans(),
            "reuse": st.booleans(),
            "free_devices": st.sampled_from(["movable", "all", "none"]),
        }
    ),
)
def test_whatever_cards_are_like_there_is_a_plan_that_keeps_every_rule_and_stays(seed, options):
    random = Random(seed)
    fleet = {name: odd_host(random) for name in ("a", "b", "c")}
    plan = migration_plan(fleet, drain=["a"], **options)
    assert violations(plan, fleet, Conditions(drain=["a"], **options)) == []
    again = migration_plan(fleet, drain=["a"], earlier=plan, **options)
    assert [each["target"] for each in again["placements"]] == [
        each["target"] for each in plan["placements"]
    ]


def test_a_card_that_has_types_with_media_engines_only_gets_one():
    only = {"1161": "NVIDIA A100-1-5CME"}
    source = host([typed(0, "1161", vm="vm-0"), typed(1, "1161", vm="vm-1")])
    plan = plan_of({"a": source, "b": host([typeless(each, only) for each in range(4)])})
    assert len(plan["placements"]) == 1
    assert plan["status"] == "unproven"


def test_a_card_that_has_more_than_it_is_known_to_hold_gets_no_more():
    there = [vgpu(100 + each, 12, parent=function(CARD, each), vm="held") for each in range(6)]
    held = parents(taken=range(6)) + parents(OTHER_CARD, number=2)
    fleet = {"a": guests(2, 12), "b": host(there, held)}
    assert on_cards(plan_of(fleet), fleet) == {("b", OTHER_CARD): 2}


def with_descriptions(sizes: t.Mapping[int, str | None]) -> list[dict[str, t.Any]]:
    """Return the parents of a card, of whose types those of these sizes are described otherwise."""
    found = parents()
    for each in found:
        for mdev_type in each["types"]:
            for size, description in sizes.items():
                if mdev_type["id"] == vgpu(0, size)["type"]:
                    mdev_type["description"] = description
    return found


@pytest.mark.parametrize("description", [None, "num_heads=4, framebuffer=12288M"])
def test_that_a_type_needs_a_whole_card_is_proven_by_nobody(description):
    there = with_descriptions({12: description})
    plan = migration_plan({"a": guests(2, 12), "b": host([], there)}, drain=["a"])
    assert (plan["status"], len(plan["placements"])) == ("unproven", 1)
    assert any("states no max_instance is taken to need" in each for each in plan["assumptions"])
    # That of others in the facts is stated.
    plan = migration_plan({"a": guests(8, 12), "b": host([], parents())}, drain=["a"])
    assert plan["status"] == "infeasible"


def test_of_a_card_whose_types_state_nothing_only_trying_shows_the_room():
    there = parents()
    for each in there:
        for mdev_type in each["types"]:
            mdev_type["description"] = "num_heads=4"
    for found, words in ((there, True), (parents(), False)):
        plan = migration_plan({"a": guests(4, 12), "b": host([], found)}, drain=["a"])
        assert len(plan["placements"]) == 4
        warned = [
            any("only trying shows" in warning for warning in each["warnings"])
            for each in plan["placements"]
        ]
        assert warned == [words] * 4


def test_of_functions_that_state_different_room_the_least_is_sure():
    there = parents()
    for number, each in enumerate(there):
        for mdev_type in each["types"]:
            mdev_type["description"] = mdev_type["description"].replace(
                "max_instance=4", f"max_instance={4 - number % 3}"
            )
    fleet = {"a": guests(8, 12), "b": host(parents=there)}
    plan = plan_of(fleet)
    assert len(plan["placements"]) == 2
    assert not any("the verifier objects" in each for each in reasons(plan))
