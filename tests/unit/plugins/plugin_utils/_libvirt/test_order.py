# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""In which order guests migrate."""

from __future__ import annotations

from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.order import order_migrations
from ansible_collections.vfio.migration.tests.unit.domains import UUID
from hypothesis import given
from hypothesis import strategies as st


def guest(vm: str, host: str, memory: int = 0, kinds=("mdev",)):
    place = {"vm": vm, "host": host, "uuid": UUID, "device": None, "kinds": [*kinds]}
    return place | {"persistent": True, "memory": memory, "reason": None}


def placement(vm: str | None, source: str, target: str, number: int = 1, wave: int = 1):
    ends = {"source": {"host": source, "id": str(number)}, "target": {"host": target}}
    return {"vm": vm, **ends, "wave": wave}


def names(migrations):
    return [each["vm"] for each in migrations]


def test_who_has_the_higher_priority_goes_first_and_of_equal_ones_the_smaller_one():
    sizes = {"large": ("a", 9), "small": ("b", 1), "first": ("a", 8), "last": ("c", 0)}
    guests = [guest(vm, *each) for vm, each in sizes.items()] + [guest("plain", "a", kinds=())]
    placements = [placement(vm, host, "d") for vm, (host, _size) in sizes.items()]
    order = order_migrations(
        placements, guests, {"first": 1, "last": -1, "unknown": 7}, {("a", "plain"): "d"}
    )
    assert names(order["going"]) == ["first", "small", "large", "plain", "last"]
    # The UUID is the surer name.
    for each in guests:
        each["uuid"] = f"uuid of {each['vm']}"
    order = order_migrations(placements, guests, {"large": -1, "uuid of large": 7})
    assert names(order["going"])[0] == "large"


def test_a_migration_is_told_with_all_that_it_takes():
    both = [placement("vm-1", "a", "c", number) for number in (1, 2)]
    assert order_migrations(both, [guest("vm-1", "a")])["going"] == [
        {
            "vm": "vm-1",
            "host": "a",
            "uuid": UUID,
            "persistent": True,
            "target": "c",
            "placements": both,
        }
    ]


def test_a_guest_that_ended_before_it_was_prepared_is_told_and_keeps_no_other():
    # The device of one is free, that of another is a stranger's by now.
    moves = [(None, "a", "b"), ("vm-9", "a", "b"), ("vm-2", "a", "b")]
    placements = [placement(*move, number) for number, move in enumerate(moves)]
    order = order_migrations(placements, [guest("vm-1", "a"), guest("vm-2", "a")])
    assert names(order["going"]) == ["vm-2"]
    assert order["ended"] == placements[:2]


def test_who_goes_in_a_later_wave_waits():
    moves = [("vm-1", "a", "b", 1, 2), ("vm-2", "b", "c", 2, 3), ("vm-3", "d", "e", 3, 2)]
    placements = [placement(*move) for move in moves]
    guests = [guest(*move[:2]) for move in moves]
    order = order_migrations(placements, guests)
    assert (names(order["going"]), names(order["waiting"])) == (["vm-1", "vm-3"], ["vm-2"])
    # A guest whose devices are of two waves goes with the later one.
    both = [placement("vm-1", "a", "b", 1, 1), placement("vm-1", "a", "b", 2, 2)]
    order = order_migrations([*both, placement("vm-3", "d", "e")], guests)
    assert (names(order["going"]), names(order["waiting"])) == (["vm-3"], ["vm-1"])


def test_a_guest_without_devices_waits_for_no_wave():
    moves = [("vm-1", "a", "b", 1, 2), ("vm-2", "b", "c", 2, 3)]
    guests = [guest(*move[:2]) for move in moves] + [guest("vm-9", "d", kinds=())]
    placed = {("d", "vm-9"): "e"}
    order = order_migrations([placement(*move) for move in moves], guests, placed=placed)
    assert (names(order["going"]), names(order["waiting"])) == (["vm-1", "vm-9"], ["vm-2"])


HOSTS = st.sampled_from("abcd")


@given(st.lists(st.tuples(HOSTS, HOSTS, st.integers(1, 3)), max_size=12))
def test_every_guest_goes_or_waits_once(moves):
    placements = [
        placement(f"vm-{number}", source, target, number, wave)
        for number, (source, target, wave) in enumerate(moves)
    ]
    guests = [guest(each["vm"], each["source"]["host"]) for each in placements]
    order = order_migrations(placements, guests)
    told = names(order["going"]) + names(order["waiting"])
    assert sorted(told) == sorted(each["vm"] for each in placements)
    assert bool(order["going"]) == bool(moves)
