# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Failure domains: guests of a group are in no rack together, neither then nor on the way."""

from __future__ import annotations

import itertools
import typing as t
from collections import defaultdict

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.vfio.migration.plugins.filter.migration_plan import migration_plan
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import Conditions
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify import violations
from ansible_collections.vfio.migration.tests.unit.fleets import host, vf
from hypothesis import given, settings
from hypothesis import strategies as st

GROUP = ["vm-1", "vm-2"]


def planned(facts: dict[str, t.Any], domains: t.Any, **asked: t.Any) -> t.Any:
    return migration_plan(facts, apart=[GROUP], failure_domains=domains, **asked)


def hosts_of(plan: t.Any) -> dict[str, str]:
    return {each["vm"]: each["target"]["host"] for each in plan["placements"]}


def test_guests_of_a_group_go_to_different_racks():
    facts = {
        "a": host([vf(0, "vm-1", pid=1), vf(1, "vm-2", pid=2)]),
        **{name: host([vf(0)]) for name in "bcd"},
    }
    plan = planned(facts, {"rack1": ["b", "c"], "rack2": ["d"]}, drain=["a"])
    assert plan["status"] == "optimal"
    assert "d" in hosts_of(plan).values()
    plan = planned(facts, {"rack": ["b", "c", "d"]}, drain=["a"])
    assert (plan["status"], plan["cost"]["unplaced"]) == ("infeasible", 1)
    reasons = [each for left in plan["unplaced"] for each in left["reasons"]]
    assert "apart" in {each["code"] for each in reasons}
    assert any("in its failure domain" in each["reason"] for each in reasons)


@pytest.mark.parametrize("targets", [["b"], None])
def test_who_stays_in_a_rack_keeps_others_out_even_on_a_host_that_may_not_receive(targets):
    facts = {
        "a": host([vf(0, "vm-1")]),
        "b": host([vf(0)]),
        "c": host([vf(0, "vm-2")]),
    }
    plan = planned(facts, {"rack": ["b", "c"]}, sources=["vm-1"], targets=targets)
    assert plan["status"] == "infeasible"
    plan = planned(facts, {"rack": ["a", "b"]}, sources=["vm-1"], targets=targets)
    assert hosts_of(plan) == {"vm-1": "b"}


def test_a_host_may_be_in_a_rack_and_in_a_room():
    facts = {
        "a": host([vf(0, "vm-1", pid=1), vf(1, "vm-2", pid=2)]),
        **{name: host([vf(0)]) for name in "bcd"},
    }
    domains = {"rack": ["b", "c"], "room": ["c", "d"]}
    assert set(hosts_of(planned(facts, domains, drain=["a"])).values()) == {"b", "d"}


def test_a_guest_waits_until_the_other_one_has_left_the_rack():
    facts = {
        "a": host([vf(0, "vm-1")]),
        "b": host([vf(0, "vm-2")]),
        "c": host([vf(0)]),
        "d": host([vf(0)]),
    }
    domains = {"rack1": ["a", "d"], "rack2": ["b", "c"]}
    plan = planned(facts, domains, sources=GROUP, targets=["c", "d"])
    # Each moves within its rack, or one of them waits for ever.
    assert hosts_of(plan) == {"vm-1": "d", "vm-2": "c"}
    assert {each["wave"] for each in plan["placements"]} == {1}
    facts["e"] = host([vf(0)])
    plan = planned(facts, domains, sources=GROUP, targets=["c", "e"])
    waves = {each["vm"]: each["wave"] for each in plan["placements"]}
    if hosts_of(plan) == {"vm-1": "c", "vm-2": "e"}:
        assert waves == {"vm-1": 2, "vm-2": 1}
    assert plan["unplaced"] == []


def test_who_has_come_to_the_rack_since_an_earlier_plan_keeps_others_out():
    facts = {
        "a": host([vf(0, "vm-1")]),
        "b": host([vf(0)]),
        "c": host([vf(0)]),
        "d": host([vf(0)]),
    }
    domains = {"rack": ["b", "c"]}
    first = planned(facts, domains, drain=["a"], targets=["b"])
    assert hosts_of(first) == {"vm-1": "b"}
    # Neither host of the plan's has changed.
    facts["c"] = host([vf(0, "vm-2")])
    conditions = Conditions.parse(first["conditions"])
    assert any("are to be apart" in each for each in violations(first, facts, conditions))
    again = planned(facts, domains, drain=["a"], earlier=first)
    assert hosts_of(again) == {"vm-1": "d"}
    assert [each["reason"] for each in again["changes"]] == [
        "another guest of its group is on b now, or on a host that fails with it"
    ]
    assert violations(again, facts, conditions) == []


def test_who_moves_within_a_rack_waits_for_those_that_leave_it():
    facts = {
        "a": host([vf(0, "vm-1", kind="v")]),
        "b": host([vf(0, "vm-2", kind="w")]),
        "c": host([vf(0, kind="v")]),
        "d": host([vf(0, kind="w")]),
    }
    plan = planned(
        facts, {"rack": ["a", "b", "c"]}, sources=GROUP, keep_type=True, targets=["c", "d"]
    )
    assert hosts_of(plan) == {"vm-1": "c", "vm-2": "d"}
    assert {each["vm"]: each["wave"] for each in plan["placements"]} == {"vm-1": 2, "vm-2": 1}


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_groups_never_meet_in_a_rack(data):
    names = [f"h{number}" for number in range(data.draw(st.integers(3, 6)))]
    racks = {
        f"rack{number}": data.draw(st.lists(st.sampled_from(names), min_size=1, unique=True))
        for number in range(data.draw(st.integers(1, 3)))
    }
    guests = itertools.count()
    facts = {
        name: host(
            [vf(n, f"vm-{next(guests)}", pid=100 + n) for n in range(data.draw(st.integers(0, 2)))]
            + [vf(8 + n) for n in range(data.draw(st.integers(0, 2)))]
        )
        for name in names
    }
    vms = [f"vm-{number}" for number in range(next(guests))]
    if not vms:
        return
    group = data.draw(st.lists(st.sampled_from(vms), min_size=1, unique=True))
    plan = migration_plan(
        facts, guests=vms, apart=[group], failure_domains=racks, reuse=data.draw(st.booleans())
    )
    at = {
        device["in_use"]["name"]: name
        for name, each in facts.items()
        for device in each["devices"]
        if device["in_use"]
    }
    by_wave = defaultdict(list)
    for each in plan["placements"]:
        by_wave[each["wave"]].append((each["vm"], each["target"]["host"]))
    for _wave, moves in sorted(by_wave.items()):
        during = [*at.items(), *moves]
        for vm, target in moves:
            for other, there in during if vm in group else ():
                together = target == there or any(
                    target in rack and there in rack for rack in racks.values()
                )
                assert other == vm or other not in group or not together
        at.update(moves)


@pytest.mark.parametrize("wrong", [["a"], {"rack": 5}, "rack"])
def test_what_is_no_failure_domain_is_an_error(wrong):
    with pytest.raises(AnsibleFilterError, match="failure_domains"):
        planned({"a": host([vf(0, "vm-1")])}, wrong, drain=["a"])


def test_a_host_that_there_is_not_is_an_error():
    with pytest.raises(AnsibleFilterError, match="failure_domains has 'x', and there is no host"):
        planned({"a": host([vf(0, "vm-1")])}, {"rack": ["x"]}, drain=["a"])
