# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reports: what an operator is told of a fleet and a plan."""

from __future__ import annotations

import itertools

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible_collections.vfio.migration.plugins.modules import migration_report
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.verdict import DIRECTIONS
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import read_fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.planner import make_plan
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import (
    Conditions,
    Guest,
    Request,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.plan_options import plan_for
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.report_options import (
    report_for,
)
from ansible_collections.vfio.migration.tests.unit.descriptor_strategies import DESCRIPTORS
from ansible_collections.vfio.migration.tests.unit.fleets import (
    UUIDS,
    device,
    gvt,
    gvt_self,
    host,
    parent,
)
from hypothesis import given
from hypothesis import strategies as st

NEVER = {
    "supported": False,
    "evidence": "driver x never supports it",
    "features": [],
    "state": None,
}


def two_of_three():
    """Host a has three devices of two guests, of which host b could make one guest's two."""
    return {
        "a": host(
            [
                device(UUIDS[0], vm="vm-1", pid=1),
                device(UUIDS[1], vm="vm-1", pid=1),
                device(UUIDS[2], vm="vm-2", pid=2, migration=NEVER),
            ]
        ),
        "b": host(parents=[parent()]),
    }


@st.composite
def fleets(draw):
    """Facts of a few hosts with few kinds of devices and parents that could make some more."""
    kinds = [*draw(st.lists(DESCRIPTORS, min_size=1, max_size=3)), gvt("4", "2"), gvt("8", "1")]
    numbers = itertools.count()
    devices = st.builds(
        lambda descriptor, origin, others: device(
            f"d{next(numbers)}", {"origin": origin, **descriptor}, pid=next(numbers) + 1, **others
        ),
        st.sampled_from(kinds),
        st.sampled_from(["file", "derived"]),
        st.fixed_dictionaries({}, optional={"vm": st.just("vm"), "migration": st.just(NEVER)}),
    )
    rooms = st.dictionaries(
        st.sampled_from(["i915-GVTg_V5_4", "i915-GVTg_V5_8"]), st.integers(0, 4), max_size=2
    )
    hosts = st.builds(
        lambda devices, rooms: host(devices, [parent(available=each) for each in rooms]),
        st.lists(devices, max_size=3),
        st.lists(rooms, max_size=1),
    )
    return dict(zip("abc", draw(st.lists(hosts, min_size=1, max_size=3)), strict=False))


@given(fleets(), st.sampled_from(DIRECTIONS))
def test_the_matrix_is_what_the_planner_finds_for_each_device_alone(facts, direction):
    fleet = read_fleet(facts)

    def goes(source, target):
        request = Request([Guest(None, (source,))], [target], Conditions(direction))
        return bool(make_plan(fleet, request)["placements"])

    report = report_for(facts, direction=direction)
    assert report["matrix"] == [
        [sum(goes(each, to) for each in fleet.hosts[of].devices if of != to) for to in fleet.hosts]
        for of in fleet.hosts
    ]
    assert [each["reachable"] for each in report["hosts"]] == [
        sum(any(goes(each, to) for to in fleet.hosts if to != of) for each in known.devices)
        for of, known in fleet.hosts.items()
    ]
    assert report["totals"]["devices"] - report["totals"]["reachable"] == report["totals"][
        "excluded"
    ] + sum(each["staying"] for each in report["classes"])


@given(fleets())
def test_of_every_other_host_it_is_told_that_it_takes_a_class_or_why_not(facts):
    report = report_for(facts)
    for number, each in enumerate(report["classes"]):
        found = {
            entry["host_group"]: entry.get("reasons", ["there is a place"])
            for entry in (*each["reach"], *each["obstacles"])
        }
        assert all(found.values())
        its_own = {
            host["host_group"]
            for host in report["hosts"]
            if number in [one[0] for one in host["classes"]]
        }
        missing = {*range(len(report["host_groups"]))} - {*found}
        assert missing <= (its_own if each["hosts"] == 1 else set())


@pytest.mark.parametrize(
    ("drain", "level", "sentence"),
    [
        (["a"], "some", "2 of 3 devices can leave a; 1 cannot."),
        (["b"], "nothing", "There is nothing to move."),
        (None, "some", "2 of 3 devices could go to another host now, each by itself; 1 could not."),
    ],
)
def test_the_verdict_comes_first(drain, level, sentence):
    facts = two_of_three()
    plan = None if drain is None else plan_for(facts, drain=drain)
    verdict = report_for(facts, plan=plan)["verdict"]
    assert (verdict["level"], verdict["sentence"]) == (level, sentence)
    if level == "some":
        (cause,) = verdict["because"]
        assert cause["devices"] == 1
        assert cause["reason"] == "it cannot migrate (driver x never supports it)"


def test_all_or_none_is_said_in_words():
    facts = two_of_three()
    facts["a"]["devices"].pop()
    plan = plan_for(facts, drain=["a"])
    assert report_for(facts, plan=plan)["verdict"]["sentence"] == "All 2 devices can leave a."
    facts["b"] = host()
    plan = plan_for(facts, drain=["a"])
    verdict = report_for(facts, plan=plan)["verdict"]
    assert (verdict["level"], verdict["sentence"]) == (
        "none",
        "None of the 2 devices can leave a.",
    )


def test_a_cause_is_what_stands_in_the_way_where_there_would_be_something():
    facts = {
        "a": host([device(UUIDS[0])]),
        "b": host(parents=[parent("0000:00:09.0", pci_id="80861234")]),
        "c": host(parents=[parent()]),
    }
    plan = plan_for(facts, drain=["a"], avoid=[{"host": "c", "problem": "is being repaired"}])
    (cause,) = report_for(facts, plan=plan)["verdict"]["because"]
    assert cause["reason"] == "0000:00:02.0 on c is to be avoided: is being repaired"
    assert cause["more"]


def test_a_device_that_nothing_anywhere_takes_has_what_comes_nearest():
    newer = gvt_self(software_version="0.2.0")
    facts = {
        "a": host([device(UUIDS[0], {"self": newer, "compatible": [newer]})]),
        "b": host([device(UUIDS[1])]),
    }
    (cause,) = report_for(facts, plan=plan_for(facts, drain=["a"]))["verdict"]["because"]
    assert cause["reason"] == (
        "no device on another host is compatible; what comes nearest differs in software_version"
    )
    assert cause["example"].startswith("update the driver on b to 0.2 or newer")


def test_the_plan_is_told_move_by_move_and_with_what_stays():
    facts = two_of_three()
    plan = report_for(facts, plan=plan_for(facts, drain=["a"]))["plan"]
    assert (plan["devices"], plan["placed"], plan["created"], plan["unplaced"]) == (3, 2, 2, 1)
    assert plan["sources"] == ["a"]
    assert plan["targets"] == [{"host": "b", "devices": 2, "created": 2}]
    assert plan["waves"] == [{"wave": 1, "devices": 2, "guests": 1, "sources": 1, "targets": 1}]
    assert [(each["vm"], each["id"], each["to"]["host"]) for each in plan["moves"]] == [
        ("vm-1", UUIDS[0], "b"),
        ("vm-1", UUIDS[1], "b"),
    ]
    (left_behind,) = plan["left_behind"]
    assert [each["id"] for each in left_behind["devices"]] == [UUIDS[2]]
    assert plan["changed_since"] == []


def test_a_plan_that_was_made_with_other_facts_is_out_of_date():
    facts = two_of_three()
    plan = plan_for(facts, drain=["a"])
    facts["b"]["parents"] = [parent(available={"i915-GVTg_V5_4": 2})]
    assert report_for(facts, plan=plan)["plan"]["changed_since"] == ["b"]
    assert report_for(facts, hosts=["b"], plan=plan)["plan"]["changed_since"] == ["a", "b"]


@pytest.mark.parametrize("plan", [{}, {"placements": [{}], "unplaced": []}, ["a"], 7])
def test_what_is_no_plan_is_refused(plan):
    with pytest.raises(FleetError, match=r"'plan' is no plan of vfio\.migration\.migration_plan"):
        report_for(two_of_three(), plan=plan)


def test_hosts_that_are_alike_share_a_group_where_there_are_many():
    facts = {f"new{number:02}": host([device(f"n{number}")], [parent()]) for number in range(20)}
    facts |= {f"old{number:02}": host([device(f"o{number}", gvt("8", "1"))]) for number in range(9)}
    report = report_for(facts)
    assert [(each["name"], each["hosts"]) for each in report["host_groups"]] == [
        ("new00", 20),
        ("old00", 9),
    ]
    # The list has nothing with the aggregator of the old ones.
    assert report["matrix"] == [[20, 0], [9, 0]]
    assert [len(report["hosts"]), len(report["devices"])] == [29, 29]


def test_versions_unknown_hosts_and_problems_are_summed_up():
    facts = {
        "a": host([device(UUIDS[0])], [parent()]),
        "b": host([device(UUIDS[1], gvt(software_version="0.2.0"))]),
        "c": host(problems=[{"path": "/sys/x", "problem": "vanished"}]),
        "d": host(problems=[{"path": "/sys/y", "problem": "vanished"}]),
        "e": {},
        "f": None,
    }
    report = report_for(facts)
    (card,) = report["versions"]
    assert (card["model"], card["drivers"], card["mixed"]) == ("80865963", ["i915"], True)
    assert [(each["version"], each["names"]) for each in card["versions"]] == [
        ("0.1.0", ["a"]),
        ("0.2.0", ["b"]),
    ]
    (problem,) = report["problems"]
    assert (problem["text"], problem["count"], problem["names"]) == ("vanished", 2, ["c", "d"])
    assert sum(each["count"] for each in report["unknown"]) == 2


def test_the_documentation_names_every_field_of_a_report():
    documented = DataLoader().load(migration_report.RETURN)["report"]["contains"]
    facts = two_of_three()
    report = report_for(facts, plan=plan_for(facts, drain=["a"]))
    assert documented.keys() == report.keys()
    assert documented["plan"]["contains"].keys() == report["plan"].keys()
    assert all(documented["classes"]["contains"].keys() == c.keys() for c in report["classes"])
