# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is said of a plan that is carried out."""

from __future__ import annotations

import pytest
from ansible_collections.vfio.migration.plugins.filter.migration_plan import migration_plan
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.summary import (
    MAX_LINE,
    MAX_SENTENCES,
    summarize,
)
from ansible_collections.vfio.migration.tests.unit.fleets import UUIDS, device, host, parent, vf

SOURCE = {"host": "a", "kind": "mdev", "id": "old"}
NOTHING = {
    "status": "optimal",
    "placements": [],
    "unplaced": [],
    "changes": [],
    "unknown": [],
    "request": {"free_devices": "movable"},
}


def placement(vm: str | None = "vm-17", **others):
    target = {"host": "b", "id": "new", "type": "t-4", "parent": "0000:00:02.0", "create": True}
    attributes = [
        {"name": "intel_vgpu/aggregator", "value": "2"},
        {"name": "x", "value": "{{ 1 }}"},
    ]
    return {"vm": vm, "source": SOURCE, "target": target | {"attributes": attributes} | others}


def summary(left_out=(), **others):
    return summarize(NOTHING | others, dict(left_out))


def test_a_plan_that_moves_nothing_says_so():
    assert summary() == {"sentences": ["there is nothing to move"], "obstacles": None}


def test_moves_are_told_with_all_that_a_target_is_given():
    existing = placement(vm=None, create=False, parent=None, attributes=[], type="vfio-pci")
    assert summary(placements=[placement(), existing])["sentences"] == [
        "vm-17: a old -> b new, a new t-4 under 0000:00:02.0, intel_vgpu/aggregator=2, x={{ 1 }}",
        "a old -> b new, an existing vfio-pci",
    ]


def test_what_is_left_out_or_planned_anew_is_told():
    changes = [{"vm": vm, "source": SOURCE, "reason": "b has changed"} for vm in ("vm-17", None)]
    said = summary(placements=[placement()], changes=changes, left_out={"c": "no route"})
    assert said["sentences"][1:] == [
        "c is excluded: no route",
        "vm-17 on a was planned again: b has changed",
        "old on a was planned again: b has changed",
    ]


def test_hosts_without_usable_facts_are_named_unless_the_reason_is_known():
    said = summary(placements=[placement()], unknown=["c", "d"], left_out={"c": "no route"})
    assert said["sentences"][1:] == [
        "c is excluded: no route",
        "d was not examined: it has no usable facts",
    ]


def test_what_stays_is_told_with_every_obstacle():
    reasons = [
        {"host": "b", "reason": "it is old", "alike": 2},
        {"host": None, "reason": "too many"},
    ]
    unplaced = [{"vm": vm, "source": SOURCE, "reasons": reasons} for vm in ("vm-17", None)]
    assert summary(status="infeasible", unplaced=unplaced) == {
        "sentences": [
            "vm-17: a old stays: it is old; too many",
            "a old stays: it is old; too many",
        ],
        "obstacles": """\
Not everything can move; the plan is infeasible.
old on a of vm-17 has no place:
  b: it is old (and so on 2 further hosts)
  too many
old on a has no place:
  b: it is old (and so on 2 further hosts)
  too many""",
    }


@pytest.mark.parametrize("hosts", [["b"], ["b", "c"]])
def test_to_gather_as_root_is_said_once_for_the_hosts(hosts):
    hint = "gather the facts as root"
    devices = [device(UUIDS[0], vm="vm-17")]
    unseen = {"pid": None, "name": None}
    free = {name: {**device(UUIDS[at]), "in_use": unseen} for at, name in enumerate(hosts, 1)}
    fleet = {"a": host(devices), **{name: host([each]) for name, each in free.items()}}
    said = summarize(migration_plan(fleet, drain="a"), {})
    for text in (said["obstacles"], "\n".join(said["sentences"])):
        if len(hosts) == 1:
            assert text.count(hint) == 1
        else:
            assert hint not in text
            assert text.endswith(
                "Gather the facts of b, c as root, which shows what processes hold."
            )


def perhaps(number: int, vm: str = "m", kind: str = "v"):
    return {**vf(number, vm, kind), "in_use": {"pid": None, "name": None}}


def test_to_gather_as_root_names_no_hosts_where_some_are_not_told():
    """Of many hosts that are alike one is named, and what is assumed of those that are drained names none."""
    guests = [vf(0, "vm-1"), vf(1, "vm-2", "w")]
    many = {f"t{n:02}": host([perhaps(0), perhaps(1, kind="w")]) for n in range(25)}
    for fleet in ({"a": host(guests), **many}, {"a": host([perhaps(0)]), "t": host([perhaps(1)])}):
        plan = migration_plan(fleet, drain="a")
        said = summarize(plan, {})["obstacles"]
        assert "gather the facts as root" not in said
        assert said.endswith("Gather the facts as root, which shows what processes hold.")


def test_real_plans_can_be_told():
    fleet = {"a": host([device(UUIDS[0], vm="vm-17")]), "b": host(parents=[parent()])}
    (said,) = summarize(migration_plan(fleet, drain=["a"]), {})["sentences"]
    assert said.startswith(f"vm-17: a {UUIDS[0]} -> b ")
    fleet["b"] = host()
    assert f"{UUIDS[0]} on a of vm-17" in summarize(migration_plan(fleet, ["a"]), {})["obstacles"]


@pytest.mark.parametrize("alike", [True, False])
def test_what_is_told_of_a_big_plan_has_a_size(alike):
    reasons = [{"host": f"h{n}", "reason": "x" * 5000} for n in range(300)]
    unplaced = [
        {
            "vm": None,
            "source": SOURCE,
            "reasons": reasons if alike else [{"host": None, "reason": f"reason {n}"}, *reasons],
        }
        for n in range(2000)
    ]
    said = summary(
        placements=[placement()] * 3000,
        unplaced=unplaced,
        left_out={f"h{n}": "no route" for n in range(500)},
        changes=[{"vm": "v", "source": SOURCE, "reason": "b has changed"}] * 900,
    )
    assert len(said["sentences"]) <= 4 * (MAX_SENTENCES + 1)
    told = "\n".join(said["sentences"])
    for words in ("2,960 more: moves", "460 more: hosts are excluded", "1,960 more: devices stay"):
        assert words in told
    assert max(map(len, said["sentences"])) <= MAX_LINE
    assert len(said["obstacles"]) < 30_000
    assert f"No place for {1999 if alike else 1996:,} more devices" in said["obstacles"]
    assert "  and 29" in said["obstacles"]
