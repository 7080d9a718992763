# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Memory: what guests need, what hosts have, and what a plan makes of both."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
from ansible_collections.vfio.migration.plugins.filter.migration_plan import migration_plan
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.memory import (
    ArrivingGuest,
    Need,
    free,
    is_memory,
    need,
    with_memory,
    with_memory_of,
    without_memory,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import Conditions
from ansible_collections.vfio.migration.tests.unit.fleets import UUIDS, host, vf
from ansible_collections.vfio.migration.tests.unit.libvirt_answers import guest_info, host_info
from hypothesis import given
from hypothesis import strategies as st

GIB = 1 << 20
MEMORY = "KiB of memory"


def host_with(kib: int, default: int = 2048, **pages: int):
    """Return a host with so much memory free, and so much of huge pages by their size, ``p2048`` for one."""
    pools = [{"size": int(name[1:]), "free": amount} for name, amount in pages.items()]
    return host_info(memory={"free": kib, "default_huge_page": default, "huge_pages": pools})


def guest_with(kib: int, pages=None, number: int = 0):
    return guest_info(f"vm-{number}", UUIDS[number], memory=kib, huge_pages=pages)


def capacity_of(guests, hosts, stated=None, only_scarce=True, **barred):
    """Return the capacity for ``guests``, amounts or amounts with sizes of pages, and ``hosts``; ``barred`` has hosts by guest."""
    pairs = [each if isinstance(each, tuple) else (each, None) for each in guests]
    coming = [
        ArrivingGuest(guest_with(kib, pages, number), UUIDS[number], barred.get(f"vm_{number}", ()))
        for number, (kib, pages) in enumerate(pairs)
    ]
    conditions = Conditions.parse(stated or {})
    return with_memory(conditions, coming, hosts, only_scarce)


def overcommitted(capacity, placed):
    """Return of what ``placed``, hosts of guests by UUID, takes more than there is."""
    taken = Counter()
    for uuid, target in placed.items():
        for name, kib in capacity["guests"].get(uuid, {}).items():
            taken[target, name] += kib
    return {key for key, kib in taken.items() if kib > capacity["hosts"][key[0]][key[1]]}


@pytest.mark.parametrize(
    ("pages", "needed", "words", "there"),
    [
        (None, Need(GIB, ()), "memory", 7),
        ([], Need(GIB, (2048,)), "huge pages of 2048 KiB", 10),
        ([1048576], Need(GIB, (1048576,)), "huge pages of 1048576 KiB", 20),
        ([2048, 16], Need(GIB, (2048, 16)), "huge pages of 2048 and 16 KiB", 10),
    ],
)
def test_memory_is_needed_and_looked_for_where_the_guest_takes_it(pages, needed, words, there):
    host = host_with(7, p2048=10, p1048576=20)
    found = need(guest_with(GIB, pages=pages), host)
    assert found == needed
    assert found.source == words
    assert free(host, found.sizes) == there


# --- as a condition of a plan ---


def test_what_is_enough_for_all_takes_no_part_in_the_plan():
    assert capacity_of([], {"b": host_with(10)}) == {}
    assert capacity_of([4, 6], {"b": host_with(10)}) == {}
    # Who may not go to a host takes nothing there.
    hosts = {"b": host_with(4), "c": host_with(10)}
    assert capacity_of([4, 6], hosts, vm_1=["b"]) == {}
    assert {*capacity_of([4, 6], hosts)["hosts"]} == {"b", "c"}
    assert {*capacity_of([4, 6], hosts, vm_1=["b"], only_scarce=False)["hosts"]} == {"b", "c"}


def test_scarce_memory_is_stated_of_hosts_and_guests():
    assert capacity_of([4, 7], {"b": host_with(10), "c": host_with(90)}) == {
        "hosts": {"b": {MEMORY: 10}, "c": {MEMORY: 90}},
        "guests": {UUIDS[0]: {MEMORY: 4}, UUIDS[1]: {MEMORY: 7}},
    }


def test_each_kind_of_memory_is_a_resource_of_its_own():
    guests = [4, (5, [2048]), (6, [1048576])]
    found = capacity_of(guests, {"b": host_with(3, p2048=4, p1048576=5)})
    assert found["hosts"] == {
        "b": {MEMORY: 3, "KiB of huge pages of 2048 KiB": 4, "KiB of huge pages of 1048576 KiB": 5}
    }
    assert [{*each.values()} for each in found["guests"].values()] == [{4}, {5}, {6}]


def test_pages_that_guests_share_are_counted_once():
    # The default of b is the size that the other guest names.
    hosts = {"b": host_with(0, p2048=10), "c": host_with(0, 1048576, p2048=10, p1048576=10)}
    found = capacity_of([(10, []), (10, [2048])], hosts)
    assert overcommitted(found, {UUIDS[0]: "b", UUIDS[1]: "b"})
    assert not overcommitted(found, {UUIDS[0]: "c", UUIDS[1]: "c"})
    # One of several sizes takes what the other leaves.
    found = capacity_of(
        [(10, [2048]), (10, [2048, 1048576])], {"b": host_with(0, p2048=10, p1048576=5)}
    )
    assert overcommitted(found, {UUIDS[0]: "b", UUIDS[1]: "b"}) == {
        ("b", "KiB of huge pages of 2048 and 1048576 KiB")
    }


def test_what_was_stated_holds_as_well():
    stated = {
        "capacity": {
            "hosts": {"b": {"cpus": 8, MEMORY: 9}, "d": {"cpus": 1}},
            "guests": {"vm-0": {"cpus": 4, MEMORY: 5}, "other": {"cpus": 2}},
        }
    }
    found = capacity_of([4, 7], {"b": host_with(10), "c": host_with(10)}, stated)
    assert found["hosts"] == {
        "b": {"cpus": 8, MEMORY: 9},
        # It was not stated how much of it there is on c.
        "c": {},
        "d": {"cpus": 1},
    }
    assert found["guests"] == {
        **stated["capacity"]["guests"],
        UUIDS[0]: {"cpus": 4, MEMORY: 5},
        UUIDS[1]: {MEMORY: 7},
    }
    assert without_memory(found)["guests"]["other"] == {"cpus": 2}
    assert MEMORY not in str(without_memory(found))
    # Where there is enough, what was stated is all.
    assert capacity_of([4], {"b": host_with(10)}, stated) == stated["capacity"]


def test_what_is_to_be_spare_makes_memory_scarce():
    assert capacity_of([4], {"b": host_with(10)}) == {}
    found = capacity_of([4], {"b": host_with(10)}, {"spare": {MEMORY: 7}})
    assert found["hosts"] == {"b": {MEMORY: 10}}


def test_of_guests_that_a_plan_cannot_tell_apart_the_greatest_counts():
    coming = [ArrivingGuest(guest_with(kib), "web") for kib in (3, 8, 5)]
    found = with_memory(Conditions(), coming, {"b": host_with(9)})
    assert found["guests"] == {"web": {MEMORY: 8}}


@pytest.mark.parametrize("kib", [-1, 1 << 80])
def test_whatever_hosts_say_is_a_condition(kib):
    found = capacity_of(
        [kib, (kib, [kib, 3, 2048]), (1, [2048])], {"b": host_with(kib, kib, p2048=kib, p3=5)}
    )
    assert Conditions.parse({"capacity": found}).capacity == found
    sizes = [1 << power for power in range(1, 60)]
    pools = {f"p{size}": 1 for size in sizes}
    guests = [(9, [*chosen]) for chosen in itertools.combinations(sizes[5:15], 2)][:9]
    resources = {
        name
        for each in capacity_of(guests, {"b": host_with(1, **pools)})["guests"].values()
        for name in each
    }
    assert len(resources) <= 20


SETS = [None, [], [2048], [1048576], [2048, 1048576], [64], [64, 2048]]


def fit_by_trial(guests, there) -> bool:
    """Return whether all guests get their memory, KiB by KiB, from the pools of one host."""
    if not guests:
        return True
    (kib, pools), *others = guests
    return any(
        fit_by_trial(others, {**there, **{pool: there[pool] - n for pool, n in split}})
        for split in _splits(kib, pools, there)
    )


def _splits(kib, pools, there):
    if not pools:
        return [()] if kib == 0 else []
    first, *others = pools
    return [
        ((first, n), *rest)
        for n in range(min(kib, there[first]) + 1)
        for rest in _splits(kib - n, others, there)
    ]


@given(
    st.lists(st.tuples(st.integers(1, 4), st.sampled_from(SETS)), min_size=1, max_size=4),
    st.tuples(*[st.integers(0, 6)] * 4),
    st.sampled_from([64, 2048, 1048576, 0]),
)
def test_guests_fit_together_where_there_is_a_page_for_all_that_each_needs(
    guests, amounts, default
):
    there = dict(zip(["memory", 64, 2048, 1048576, 0], [*amounts, 0], strict=True))
    pools = {f"p{size}": there[size] for size in (64, 2048, 1048576)}
    found = capacity_of(guests, {"b": host_with(there["memory"], default, **pools)})
    fit = not found or not overcommitted(found, dict.fromkeys(found["guests"], "b"))
    taken = [(kib, ["memory"] if pages is None else pages or [default]) for kib, pages in guests]
    assert fit == fit_by_trial(taken, there)


# --- in a plan ---


def planned(sizes, hosts, **asked):
    """Return a plan that moves guests of these sizes from host s to ``hosts``, each of which has devices for all."""
    moving = [vf(n, f"vm-{n}", pid=n + 1) for n in range(len(sizes))]
    for number, each in enumerate(moving):
        each["in_use"]["uuid"] = UUIDS[number]
    facts = {"s": host(moving)} | {name: host([vf(n) for n in range(len(sizes))]) for name in hosts}
    there = {name: host_with(kib) for name, kib in hosts.items()}
    return migration_plan(facts, drain=["s"], capacity=capacity_of(sizes, there), **asked)


@pytest.mark.parametrize(
    ("sizes", "hosts"),
    [
        ([900_000, *[100_000] * 7], {"b": 1_048_576, "c": 1_048_576}),
        ([512, *[16] * 9], {"b": 600, "c": 16, "d": 48}),
        ([6, 6, 5, 5, 4, 4], {"b": 15, "c": 15}),
    ],
)
def test_guests_that_fit_have_their_places(sizes, hosts):
    assert planned(sizes, hosts)["unplaced"] == []


def test_who_has_no_memory_left_is_told_how_much_there_is():
    plan = planned([6, 6], {"b": 10})
    (left,) = plan["unplaced"]
    (reason,) = [each["reason"] for each in left["reasons"] if each["code"] == "capacity"]
    assert reason == "b has 4 of its KiB of memory left, and 6 is needed"


def fits(sizes, hosts) -> bool:
    return any(
        all(
            sum(kib for kib, there in zip(sizes, chosen, strict=True) if there == name) <= free
            for name, free in hosts.items()
        )
        for chosen in itertools.product(hosts, repeat=len(sizes))
    )


@given(
    st.lists(st.integers(1, 12), min_size=1, max_size=5),
    st.lists(st.integers(0, 24), min_size=1, max_size=3),
)
def test_a_placement_that_there_is_is_found_or_nothing_is_said_to_be_proven(sizes, amounts):
    hosts = dict(zip("bcd", amounts, strict=False))
    plan = planned(sizes, hosts)
    left = Counter(hosts)
    for each in plan["placements"]:
        left[each["target"]["host"]] -= sizes[int(each["vm"][3:])]
    assert all(kib >= 0 for kib in left.values())
    complete = not plan["unplaced"]
    if fits(sizes, hosts):
        assert complete or plan["status"] == "unproven"
    else:
        assert not complete


# --- what is free now ---


def test_of_an_earlier_plan_the_hosts_have_what_is_free_now_and_the_guests_need_what_they_needed():
    guests = [4, (8, [2048]), (16, [2048, 1048576]), (32, [])]
    then = capacity_of(guests, {name: host_with(1, p2048=2, p1048576=3) for name in "bcd"})
    now = {"b": host_with(100, p2048=200, p1048576=300), "e": host_with(5, 1048576, p1048576=6)}
    found = with_memory_of(then, now)
    # As if the plan were made now.
    made_now = capacity_of(guests, now, only_scarce=False)
    assert {name: each for name, each in found["hosts"].items() if each} == made_now["hosts"]
    assert found["guests"] == made_now["guests"]
    assert with_memory_of(then, {})["hosts"] == {name: {} for name in "bcd"}


def test_what_was_stated_of_other_things_stays_whatever_it_is_counted_in():
    disk = "KiB of disk"
    stated = {"hosts": {"b": {disk: 7, MEMORY: 1}}, "guests": {"vm-1": {disk: 3, MEMORY: 2}}}
    assert with_memory_of(stated, {"b": host_with(9)}) == {
        "hosts": {"b": {disk: 7, MEMORY: 9}},
        "guests": {"vm-1": {disk: 3, MEMORY: 2}},
    }
    assert without_memory(stated) == {"hosts": {"b": {disk: 7}}, "guests": {"vm-1": {disk: 3}}}


@pytest.mark.parametrize(
    ("name", "known"),
    [
        (MEMORY, True),
        ("KiB of huge pages of 2048 KiB", True),
        ("KiB of huge pages of 2048 and 1048576 KiB and the default size", True),
        ("KiB of huge pages of the default size", True),
        ("KiB of huge pages of 1048576 and 2048 KiB", False),
        ("KiB of huge pages", False),
        ("KiB of memory of 7", False),
        ("cpus", False),
    ],
)
def test_memory_is_known_by_the_names_that_it_is_given(name, known):
    assert is_memory(name) == known
