# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""How far the moves of a plan have come; what cleanup may remove hangs on it."""

from __future__ import annotations

import itertools
import re
import typing as t

import pytest
from ansible.errors import AnsibleError
from ansible_collections.vfio.migration.plugins.filter.migration_plan import migration_plan
from ansible_collections.vfio.migration.plugins.filter.placement_states import placement_states
from ansible_collections.vfio.migration.tests.unit.fleets import (
    UUIDS,
    device,
    gvt,
    host,
    parent,
)

VM = "vm-17"
# What may be where a device is expected: nothing, one that is free, or one that somebody holds.
ABSENT, FREE, OWN, STRANGER, UNKNOWN = "absent", "free", "own", "stranger", "unknown"
HERE = [ABSENT, FREE, OWN, STRANGER, UNKNOWN]


def plan(vm: str | None):
    fleet = {"a": host([device(UUIDS[0], vm=vm)]), "b": host(parents=[parent()])}
    return migration_plan(fleet, drain=["a"])


def there(what: str) -> dict:
    if what == ABSENT:
        return host()
    made = device(UUIDS[0], gvt(), vm={OWN: VM, STRANGER: "vm-9", UNKNOWN: "?"}.get(what))
    if what == UNKNOWN:
        made["in_use"] = {"pid": None, "name": None}
    return host([made])


def state_of(source: str, target: str, vm: str | None = VM) -> t.Any:
    (found,) = placement_states({"a": there(source), "b": there(target)}, plan(vm))
    assert (found["state"] == "unclear") == (found["reason"] is not None)
    return found


EXPECTED = {
    (OWN, ABSENT): "planned",
    (FREE, ABSENT): "planned",
    (OWN, FREE): "prepared",
    (OWN, OWN): "migrating",
    (FREE, OWN): "moved",
    (ABSENT, OWN): "done",
}


@pytest.mark.parametrize(("source", "target"), [*itertools.product(HERE, HERE)])
def test_the_state_of_a_guests_device(source, target):
    assert state_of(source, target)["state"] == EXPECTED.get((source, target), "unclear")


@pytest.mark.parametrize(("source", "target"), [*itertools.product(HERE, HERE)])
def test_the_state_of_a_device_that_nobody_held(source, target):
    expected = {(FREE, ABSENT): "planned", (FREE, FREE): "prepared"}
    assert state_of(source, target, None)["state"] == expected.get((source, target), "unclear")


@pytest.mark.parametrize(
    ("source", "target", "words"),
    [
        (FREE, FREE, "vm-17 holds neither source nor target; start it on a or b"),
        (STRANGER, FREE, rf"{UUIDS[0]} on a: vm-9 \(pid 4711\) holds it"),
        (OWN, UNKNOWN, "on b: it is unknown whether a process holds it"),
        (ABSENT, ABSENT, "nor its target is there"),
    ],
)
def test_what_is_unclear_is_told(source, target, words):
    assert re.search(words, state_of(source, target)["reason"])


@pytest.mark.parametrize(
    ("before", "now", "state"),
    [
        (UUIDS[1], UUIDS[1], "done"),
        (UUIDS[1], UUIDS[2], "unclear"),
        # Where a process tells no UUID, there is but its name.
        (None, UUIDS[2], "done"),
        (UUIDS[1], None, "done"),
    ],
)
def test_another_guest_of_the_same_name_has_not_moved(before, now, state):
    def held(uuid: str | None) -> dict:
        told = {} if uuid is None else {"uuid": uuid}
        return host([device(UUIDS[0], in_use={"pid": 1, "name": VM, **told})])

    made = migration_plan({"a": held(before), "b": host(parents=[parent()])}, drain=["a"])
    (found,) = placement_states({"a": host(), "b": held(now)}, made)
    assert found["state"] == state
    if state == "unclear":
        assert f"another guest of the name {VM} holds it: its UUID is {now}" in found["reason"]


def test_without_facts_nothing_is_clear():
    (found,) = placement_states({"a": there(OWN)}, plan(VM))
    assert found["reason"] == "b: no facts are known; run vfio_migration_facts there"


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (None, "a mapping is expected"),
        ({}, "the key 'placements' is expected"),
        ({"placements": [{}]}, r"at placements\[0\] the key 'vm' is expected"),
        ({"placements": 7}, "at placements a list is expected"),
    ],
)
def test_what_is_no_plan_is_refused_with_the_place(wrong, words):
    with pytest.raises(
        AnsibleError,
        match=rf"vfio\.migration\.placement_states: the plan is none; expected what migration_plan returns: {words}",
    ):
        placement_states({"a": host()}, wrong)


@pytest.mark.parametrize("end", ["source", "target"])
@pytest.mark.parametrize("key", ["host", "kind", "id"])
@pytest.mark.parametrize("value", [None, 7, [], {}])
def test_a_place_in_a_plan_that_is_wrong_is_named(end, key, value):
    wrong = plan(VM)
    wrong["placements"][0][end][key] = value
    with pytest.raises(AnsibleError, match=rf"at placements\[0\]\.{end}\.{key} a text is expected"):
        placement_states({"a": there(OWN), "b": there(FREE)}, wrong)
