# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What was made for a plan on a host, and what is avoided after a failure."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.preparation import (
    fault_of,
    preparation,
)
from ansible_collections.vfio.migration.tests.unit.fleets import UUIDS

MDEV, PCI, VDPA = {"uuid": "u"}, {"address": "p"}, {"name": "v"}
TARGET = {"host": "b", "kind": "mdev", "parent": "0000:00:02.0"}
TASKS = {"devices": [MDEV], "pci_devices": [PCI], "vdpa_devices": [VDPA]}
NOTHING = {"devices": [], "pci_devices": [], "vdpa_devices": []}
# As a task that is skipped registers it.
SKIPPED = {"changed": False, "skipped": True}


def plan(tasks=None, create: bool = True):
    def placement(target: str, host: str = "b", kind: str = "mdev", **others: t.Any):
        made = {"parent": "0000:00:02.0", "attributes": [], "create": create and kind != "pci"}
        return {"target": {"host": host, "kind": kind, "id": target, **made, **others}}

    given = [{"name": "type", "value": "1"}] if create else []
    placements = [
        *(placement("u", host="c"), placement("u"), placement("v", kind="vdpa")),
        placement("p", kind="pci", parent=None, attributes=given),
    ]
    return {"hosts": {"b": TASKS if tasks is None else tasks}, "placements": placements}


def done(*devices: dict) -> dict:
    return {"changed": True, "devices": [*devices]}


def test_what_was_made_and_configured_is_kept_as_the_plan_has_it():
    results = [
        done({"uuid": "u", "action": "created"}),
        done({"address": "p", "action": "configured"}),
        done({"name": "v", "action": "created"}),
    ]
    found = preparation(plan(), "b", results, {})
    assert (found["made"], found["leftover"], found["failures"]) == (TASKS, NOTHING, [])


def test_what_was_there_before_is_not_made():
    results = [
        done({"uuid": "u", "action": "unchanged"}),
        done({"address": "p", "action": "unchanged"}),
        SKIPPED,
    ]
    assert preparation(plan(), "b", results, {})["made"] == NOTHING


@pytest.mark.parametrize("create", [True, False])
@pytest.mark.parametrize("lost", [{"unreachable": True}, {"failed": True, "msg": "MODULE FAILURE"}])
def test_a_host_that_says_no_more_may_have_made_what_the_plan_makes_and_nothing_else(create, lost):
    """What is there already is somebody's: it is not to be removed later."""
    found = preparation(plan(create=create), "b", [lost] * 3, {})
    assert found["made"] == (TASKS if create else NOTHING)


@pytest.mark.parametrize("create", [True, False])
def test_what_is_left_of_a_device_that_is_there_is_not_the_device(create):
    failed = {"failed": True, "step": "write", "msg": "x", "left": [{"device": "u"}]}
    found = preparation(plan(create=create), "b", [failed, SKIPPED, SKIPPED], {})
    assert found["made"]["devices"] == ([MDEV] if create else [])


def test_what_only_earlier_plans_needed_is_left_over():
    earlier = {"devices": [MDEV, {"uuid": "x"}], "vdpa_devices": [{"name": "y"}]}
    found = preparation(plan(), "b", [SKIPPED] * 3, earlier)
    assert found["made"] == NOTHING | earlier
    assert found["leftover"] == NOTHING | {
        "devices": [{"uuid": "x"}],
        "vdpa_devices": [{"name": "y"}],
    }


def test_a_host_without_tasks_has_made_nothing_and_needs_nothing():
    found = preparation(plan(), "a", [SKIPPED] * 3, {"devices": [MDEV]})
    assert found["made"] == found["leftover"] == NOTHING | {"devices": [MDEV]}
    assert found["failures"] == []


@pytest.mark.parametrize(
    ("result", "failure"),
    [
        ({"failed": True, "msg": "x", "device": "u"}, {"problem": "x", "parent": "0000:00:02.0"}),
        ({"failed": True, "msg": "x", "device": "p"}, {"problem": "x"}),
        ({"failed": True, "msg": "x", "device": "?"}, {"problem": "x"}),
        ({"failed": True, "msg": "x"}, {"problem": "x"}),
        ({"unreachable": True, "msg": "no route"}, {"problem": "no route"}),
        ({"unreachable": True}, {"problem": "unreachable"}),
    ],
)
def test_the_parent_of_what_failed_is_avoided_or_else_the_host(result, failure):
    found = preparation(plan(), "b", [result, SKIPPED, SKIPPED], {})
    assert found["failures"] == [{"host": "b"} | failure]


def test_two_guests_of_one_name_are_not_blamed_for_each_other():
    """A name is of any process that takes it; what moves together has one host, one name and one UUID."""

    def placement(name: str, host: str, uuid: str | None) -> dict:
        known = {} if uuid is None else {"vm_uuid": uuid}
        source = {"host": host, "kind": "mdev", "id": name}
        return {"vm": "vm-1", **known, "source": source, "target": {**TARGET, "id": name}}

    placements = [
        placement("u", "a", UUIDS[0]),
        placement("v", "a", UUIDS[0]),
        placement("w", "a", UUIDS[1]),
        placement("x", "a", None),
        placement("y", "c", UUIDS[0]),
    ]
    failed = {"failed": True, "step": "create", "msg": "x", "device": "u"}
    fault = fault_of(t.cast(t.Any, {"placements": placements}), "b", [failed])
    assert fault
    assert [each["id"] for each in fault["devices"]] == ["u", "v"]


def test_all_that_failed_is_told_and_the_device_that_did_decides():
    results = [{"unreachable": True, "msg": "gone"}, {"failed": True, "msg": "x", "device": "u"}]
    (failure,) = preparation(plan(), "b", [*results, SKIPPED], {})["failures"]
    assert failure == {"host": "b", "problem": "x; gone", "parent": "0000:00:02.0"}
