# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who migrates at the same time as whom."""

from __future__ import annotations

import itertools

from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.rounds import plan_rounds
from ansible_collections.vfio.migration.tests.unit.domains import UUID
from hypothesis import given
from hypothesis import strategies as st


def guest(vm: str, host: str):
    place = {"vm": vm, "host": host, "uuid": UUID, "device": None, "kinds": ["mdev"]}
    return place | {"persistent": True, "reason": None}


def placement(vm: str | None, source: str, target: str, number: int = 1, wave: int = 1):
    ends = {"source": {"host": source, "id": str(number)}, "target": {"host": target}}
    return {"vm": vm, **ends, "wave": wave}


def test_in_a_round_one_guest_leaves_a_host_and_one_comes_to_a_host():
    moves = [("vm-1", "a", "c"), ("vm-2", "a", "d"), ("vm-3", "b", "c"), ("vm-4", "e", "d")]
    placements = [placement(*move, number) for move in moves for number in (1, 2)]
    planned = plan_rounds(placements, [guest(*move[:2]) for move in moves], 2)
    there = [[each["vm"] for each in one] for one in planned["rounds"]]
    assert there == [["vm-1", "vm-4"], ["vm-3", "vm-2"]]
    assert all(len(each["placements"]) == 2 for one in planned["rounds"] for each in one)
    assert planned["ended"] == []


def test_a_migration_is_told_with_all_that_it_takes():
    move = placement("vm-1", "a", "c")
    assert plan_rounds([move], [guest("vm-1", "a")], 1)["rounds"] == [
        [
            {
                "vm": "vm-1",
                "host": "a",
                "uuid": UUID,
                "persistent": True,
                "target": "c",
                "placements": [move],
            }
        ]
    ]


def test_a_guest_that_ended_before_it_was_prepared_is_told_and_keeps_no_other():
    # The device of one is free, that of another is a stranger's by now.
    moves = [(None, "a", "b"), ("vm-9", "a", "b"), ("vm-2", "a", "b")]
    placements = [placement(*move, number) for number, move in enumerate(moves)]
    planned = plan_rounds(placements, [guest("vm-1", "a"), guest("vm-2", "a")], 2)
    assert [[each["vm"] for each in one] for one in planned["rounds"]] == [["vm-2"]]
    assert planned["ended"] == placements[:2]


def test_who_goes_in_a_later_wave_waits():
    moves = [("vm-1", "a", "b", 1, 2), ("vm-2", "b", "c", 2, 3), ("vm-3", "d", "e", 3, 2)]
    placements = [placement(*move) for move in moves]
    guests = [guest(*move[:2]) for move in moves]
    planned = plan_rounds(placements, guests, 4)
    assert [[each["vm"] for each in one] for one in planned["rounds"]] == [["vm-1", "vm-3"]]
    assert [each["vm"] for each in planned["waiting"]] == ["vm-2"]
    # A guest whose devices are of two waves goes with the later one.
    both = [placement("vm-1", "a", "b", 1, 1), placement("vm-1", "a", "b", 2, 2)]
    planned = plan_rounds([*both, placement("vm-3", "d", "e")], guests, 4)
    assert [[each["vm"] for each in one] for one in planned["rounds"]] == [["vm-3"]]
    assert [each["vm"] for each in planned["waiting"]] == ["vm-1"]


def test_a_guest_without_devices_waits_for_no_wave():
    moves = [("vm-1", "a", "b", 1, 2), ("vm-2", "b", "c", 2, 3)]
    guests = [guest(*move[:2]) for move in moves] + [guest("vm-9", "d")]
    planned = plan_rounds(
        [placement(*move) for move in moves], guests, 4, placed={("d", "vm-9"): "e"}
    )
    assert [[each["vm"] for each in one] for one in planned["rounds"]] == [["vm-1", "vm-9"]]
    assert [each["vm"] for each in planned["waiting"]] == ["vm-2"]


HOSTS = st.sampled_from("abcd")


@given(st.lists(st.tuples(HOSTS, HOSTS), max_size=12), st.integers(1, 4))
def test_no_round_is_too_full_and_every_guest_goes_once(moves, parallel):
    placements = [placement(f"vm-{n}", *move) for n, move in enumerate(moves)]
    guests = [guest(each["vm"], each["source"]["host"]) for each in placements]
    rounds = plan_rounds(placements, guests, parallel)["rounds"]
    went = [each["vm"] for each in itertools.chain.from_iterable(rounds)]
    assert sorted(went) == sorted(each["vm"] for each in placements)
    for one in rounds:
        assert 1 <= len(one) <= parallel
        for side in ("host", "target"):
            assert len({each[side] for each in one}) == len(one)
