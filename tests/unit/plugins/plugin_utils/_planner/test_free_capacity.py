# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What hosts have free once guests have moved: followed move by move, and concluded from where guests are."""

from __future__ import annotations

import random
import typing as t

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import read_fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.free_capacity import (
    followed,
    guests_by_host,
    once_moved,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import guests_of
from ansible_collections.vfio.migration.tests.unit.fleets import UUIDS, host, vf
from hypothesis import given
from hypothesis import strategies as st

TAKEN = {"vm-1": {"memory": 4, "cpus": 1}, "vm-2": {"memory": 2}}
STATED = {"hosts": {"a": {"memory": 1}, "b": {"memory": 8, "cpus": 2}}, "guests": TAKEN}


def free(then: t.Any, now: t.Any) -> t.Any:
    return followed(STATED, then, now)["hosts"]


def test_what_a_guest_takes_is_free_on_its_old_host_and_taken_on_its_new_one():
    assert free({"a": ["vm-1"], "b": []}, {"a": [], "b": ["vm-1"]}) == {
        "a": {"memory": 5, "cpus": 1},
        "b": {"memory": 4, "cpus": 1},
    }


def test_where_nobody_has_moved_all_is_as_it_was_stated():
    there = {"a": ["vm-1"], "b": ["vm-2"]}
    assert followed(STATED, there, there) == STATED


@pytest.mark.parametrize(
    ("then", "now", "memory"),
    [
        ({"a": ["vm-1"], "b": []}, {"a": ["vm-1"], "b": ["vm-1"]}, {"a": 1, "b": 4}),
        ({"a": ["vm-1"], "b": []}, {"a": [], "b": []}, {"a": 1, "b": 8}),
        ({"a": ["vm-1"], "b": []}, {"b": []}, {"a": 1, "b": 8}),
        ({"a": ["vm-1"], "b": []}, {"b": ["vm-1"]}, {"a": 1, "b": 4}),
        ({"a": [], "b": []}, {"a": [], "b": ["vm-1"]}, {"a": 1, "b": 4}),
        ({"a": []}, {"a": [], "b": ["vm-1"]}, {"a": 1, "b": 8}),
        ({"a": ["vm-1"]}, {"a": [], "b": ["vm-1"]}, {"a": 5, "b": 4}),
        ({"a": [], "b": []}, {"a": ["vm-1"], "b": []}, {"a": 0, "b": 8}),
    ],
    ids=[
        "while it moves it is on both",
        "one that is nowhere may be shut down or anywhere",
        "its host does not answer",
        "its old host does not answer",
        "it was started since",
        "it was on a host that did not answer",
        "it has moved to a host that did not answer",
        "no less than nothing",
    ],
)
def test_where_it_is_not_clear_less_is_free(then, now, memory):
    assert {name: each["memory"] for name, each in free(then, now).items()} == memory


def test_guests_are_named_by_their_uuid_before_their_name():
    known = vf(0, "vm-1", pid=1)
    known["in_use"]["uuid"] = UUIDS[1]
    fleet = read_fleet({"a": host([known, vf(1, "vm-2", pid=2), vf(2, "vm-3", pid=3), vf(3)])})
    assert guests_by_host({"guests": TAKEN}, fleet) == {"a": ["vm-1", "vm-2"]}
    by_uuid = {"guests": TAKEN | {UUIDS[1]: {"memory": 9}}}
    assert guests_by_host(by_uuid, fleet) == {"a": sorted([UUIDS[1], "vm-2"])}
    guest = next(each for each in guests_of(fleet.devices()) if each.name == "vm-1")
    assert once_moved(by_uuid, [(guest, "b")])["hosts"]["a"] == {"memory": 9}


@given(st.integers(0, 100_000))
def test_what_is_followed_move_by_move_is_what_is_concluded_in_the_end(seed):
    chance = random.Random(seed)
    names = "abcd"
    vms = [f"vm-{number}" for number in range(5)]
    capacity: t.Any = {
        "hosts": {name: {"memory": 100} for name in names},
        "guests": {vm: {"memory": chance.randint(0, 9)} for vm in vms if chance.random() < 0.8},
    }
    where = {vm: chance.choice(names) for vm in vms}

    def fleet() -> t.Any:
        return read_fleet(
            {
                name: host([vf(n, vm, pid=n + 1) for n, vm in enumerate(vms) if where[vm] == name])
                for name in names
            }
        )

    then = guests_by_host(capacity, fleet())
    now = capacity
    for _step in range(chance.randint(1, 4)):
        guests = guests_of(fleet().devices())
        moving = chance.sample(guests, chance.randint(1, len(guests)))
        moves = [
            (guest, chance.choice([each for each in names if each != guest.host]))
            for guest in moving
        ]
        now = once_moved(now, moves)
        where |= {guest.name: target for guest, target in moves}
    assert followed(capacity, then, guests_by_host(capacity, fleet())) == now
