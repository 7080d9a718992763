# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hosts to prefer: as few devices as possible go elsewhere, and nothing is left behind for it."""

from __future__ import annotations

import typing as t

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.vfio.migration.plugins.filter.migration_plan import migration_plan
from ansible_collections.vfio.migration.tests.unit.fleets import (
    UUIDS,
    device,
    gvt,
    host,
    parent,
    vf,
)
from hypothesis import given
from hypothesis import strategies as st


def guests(count: int) -> list[dict[str, t.Any]]:
    return [vf(number, f"vm-{number}", pid=10 + number) for number in range(count)]


def free(count: int) -> dict[str, t.Any]:
    return host([vf(number) for number in range(count)])


def on(plan: t.Any, *names: str) -> int:
    return sum(each["target"]["host"] in names for each in plan["placements"])


@given(
    st.integers(1, 6), st.lists(st.integers(0, 4), min_size=3, max_size=3), st.sampled_from("bcd")
)
def test_as_few_devices_as_possible_go_elsewhere(count, room, wanted):
    facts = {"a": host(guests(count))} | {
        name: free(number) for name, number in zip("bcd", room, strict=True)
    }
    for policy in ("pack", "spread"):
        plan = migration_plan(facts, drain=["a"], prefer=[wanted], policy=policy)
        here = min(count, (facts[wanted]["devices"] and len(facts[wanted]["devices"])) or 0)
        placed = min(count, sum(room))
        assert len(plan["placements"]) == placed
        assert on(plan, wanted) == here
        assert plan["cost"]["not_preferred"] == placed - here
        if placed == count and policy == "pack":
            assert plan["status"] == "optimal"
            assert plan["bound"] == plan["cost"]


def test_among_many_guests_what_must_go_elsewhere_is_counted():
    facts = {"a": host(guests(240)), "b": free(230), "c": free(240)}
    plan = migration_plan(facts, drain=["a"], prefer=["b"])
    assert (on(plan, "b"), on(plan, "c")) == (230, 10)
    assert (plan["status"], plan["bound"]["not_preferred"]) == ("optimal", 10)


def test_it_counts_before_whether_a_device_must_be_made():
    source = [device(UUIDS[0], gvt("8", "4"), "vm-1", 10)]
    facts = {
        "a": host(source),
        "b": host([device(UUIDS[1], gvt("8", "4"))]),
        "c": host([], [parent(available={"i915-GVTg_V5_8": 12})]),
    }
    assert on(migration_plan(facts, drain=["a"]), "b") == 1
    plan = migration_plan(facts, drain=["a"], prefer=["c"])
    assert on(plan, "c") == 1
    assert (plan["status"], plan["cost"]["created"]) == ("optimal", 1)


def test_nothing_is_left_behind_for_it():
    facts = {
        "a": host([vf(0, "vm-1", kind="v", pid=1), vf(1, "vm-2", kind="w", pid=2)]),
        "b": host([vf(0, kind="v")]),
        "c": host([vf(0, kind="w"), vf(1, kind="v")]),
    }
    plan = migration_plan(facts, drain=["a"], prefer=["b"], keep_type=True)
    assert (plan["unplaced"], on(plan, "b")) == ([], 1)


def test_what_is_made_stays_where_it_is():
    source = [device(UUIDS[0], gvt("8", "4"), "vm-1", 10)]
    room = host([], [parent(available={"i915-GVTg_V5_8": 12})])
    facts = {"a": host(source), "b": room, "c": room}
    earlier = migration_plan(facts, drain=["a"], prefer=["b"])
    (target,) = [each["target"] for each in earlier["placements"]]
    assert target["host"] == "b"
    facts["b"] = host([device(target["id"], gvt("8", "4"), parent=target["parent"])])
    plan = migration_plan(facts, drain=["a"], prefer=["c"])
    assert [each["target"]["id"] for each in plan["placements"]] == [target["id"]]
    assert (plan["cost"]["remade"], plan["cost"]["not_preferred"]) == (0, 1)


@pytest.mark.parametrize(
    ("wrong", "words"), [(3, "prefer"), (["x"], "prefer has 'x', and there is no host")]
)
def test_what_is_no_host_to_prefer_is_an_error(wrong, words):
    with pytest.raises(AnsibleFilterError, match=words):
        migration_plan({"a": host(guests(1)), "b": free(1)}, drain=["a"], prefer=wrong)
