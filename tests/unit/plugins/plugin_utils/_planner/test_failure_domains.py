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


# --- spread over domains ---


def spread(facts: dict[str, t.Any], domains: t.Any, **asked: t.Any) -> t.Any:
    return migration_plan(
        facts, failure_domains=domains, policy="spread", **{"drain": ["a"]} | asked
    )


def arrivals(plan: t.Any, domains: t.Mapping[str, t.Sequence[str]]) -> dict[str, int]:
    targets = [each["target"]["host"] for each in plan["placements"]]
    return {name: sum(each in hosts for each in targets) for name, hosts in domains.items()}


def test_devices_are_spread_over_racks_before_hosts():
    facts = {
        "a": host([vf(number, f"vm-{number}", pid=number + 1) for number in range(4)]),
        **{name: host([vf(number) for number in range(4)]) for name in "bcde"},
    }
    racks = {"big": ["b", "c", "d"], "small": ["e"]}
    by_host = spread(facts, None)
    assert by_host["cost"]["load"] == 1
    assert "domain_load" not in by_host["cost"]
    plan = spread(facts, racks)
    assert (plan["status"], arrivals(plan, racks)) == ("optimal", {"big": 2, "small": 2})
    assert (plan["cost"]["domain_load"], plan["cost"]["load"]) == (2, 2)
    # In each rack they are spread over its hosts.
    assert len({each["target"]["host"] for each in plan["placements"]}) == 3


@pytest.mark.parametrize("targets", [["b", "c"], None])
def test_what_is_held_on_any_host_of_a_rack_counts_there(targets):
    facts = {
        "a": host([vf(0, "vm-1", pid=1), vf(1, "vm-2", pid=2)]),
        "b": host([vf(0), vf(1)]),
        "c": host([vf(0), vf(1)]),
        "d": host([vf(0, "vm-3", pid=3), vf(1, "vm-4", pid=4)]),
    }
    plan = spread(facts, {"rack1": ["b", "d"], "rack2": ["c"]}, targets=targets)
    assert {each["target"]["host"] for each in plan["placements"]} == {"c"}
    assert (plan["status"], plan["cost"]["domain_load"]) == ("optimal", 2)
    # One that is in no rack is one by itself.
    plan = spread(facts, {"rack1": ["b", "d"]}, targets=targets)
    assert {each["target"]["host"] for each in plan["placements"]} == {"c"}


def test_a_plan_that_was_carried_out_in_part_stays_spread_over_racks():
    facts = {
        "a": host([vf(number, f"vm-{number}", pid=number + 1) for number in range(4)]),
        **{name: host([vf(number) for number in range(4)]) for name in "bcde"},
    }
    racks = {"big": ["b", "c", "d"], "small": ["e"]}
    first = spread(facts, racks)
    assert hosts_of(spread(facts, racks, earlier=first)) == hosts_of(first)
    conditions = Conditions.parse({"failure_domains": racks, "policy": "spread", "drain": ["a"]})
    assert violations(first, facts, conditions) == []
    first["cost"]["domain_load"] += 1
    assert any(
        "2 domain_load" in each or "3 domain_load" in each
        for each in violations(first, facts, conditions)
    )


def test_many_guests_are_spread_evenly_over_racks_and_hosts():
    racks = {f"rack{r}": [f"h{r}-{n}" for n in range(2 + 2 * (r % 3))] for r in range(6)}
    facts = {name: host([vf(n) for n in range(40)]) for hosts in racks.values() for name in hosts}
    facts["a"] = host([vf(n, f"vm-{n}", pid=n + 1) for n in range(240)])
    plan = spread(facts, racks)
    assert plan["status"] == "feasible"
    assert {*arrivals(plan, racks).values()} == {40}
    assert (plan["cost"]["domain_load"], plan["bound"]["domain_load"]) == (40, 40)
    assert plan["cost"]["load"] == 20


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
