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


def test_without_facts_nothing_is_clear():
    (found,) = placement_states({"a": there(OWN)}, plan(VM))
    assert found["reason"] == "b: there are no facts of it; run vfio_migration_facts on it"


@pytest.mark.parametrize("wrong", [None, {}, {"placements": [{}]}, {"placements": 7}])
def test_what_is_no_plan_is_refused(wrong):
    with pytest.raises(AnsibleError, match=r"vfio\.migration\.placement_states: the plan is none"):
        placement_states({"a": host()}, wrong)
