# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A report does not plan once more what the same run has planned of the same facts, and anything else it does."""

from __future__ import annotations

import copy
import json
import typing as t

import pytest
from ansible import constants
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._planner import shown_plan
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.own_plans import (
    digest_of,
    is_own,
    remember,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.plan_options import plan_for
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.report_options import (
    report_for,
)
from ansible_collections.vfio.migration.tests.unit.fleets import host, vf
from ansible_collections.vfio.migration.tests.unit.report_fleets import fleets, two_of_three
from hypothesis import HealthCheck, given, settings


@pytest.fixture(autouse=True)
def run_directory(monkeypatch, tmp_path):
    """Let each test be a run of its own."""
    monkeypatch.setattr(constants, "DEFAULT_LOCAL_TMP", str(tmp_path))
    return tmp_path


@pytest.fixture
def planned(monkeypatch):
    """Return the list to which each plan is added that a report computes again."""
    found: list[t.Any] = []

    recompute = shown_plan.recomputed

    def recomputed(plan, *rest):
        found.append(plan)
        return recompute(plan, *rest)

    monkeypatch.setattr(shown_plan, "recomputed", recomputed)
    return found


def through_a_file(plan: t.Any) -> t.Any:
    return json.loads(json.dumps(plan)) | {"time": "2026-11-27T06:00:00Z", "collection": "0.1.0"}


def test_a_plan_of_this_run_is_not_computed_once_more_and_says_the_same(planned):
    facts = two_of_three()
    plan = through_a_file(plan_for(facts, drain=["a"], made=remember))
    own = report_for(facts, plan=plan, is_own=is_own)
    assert planned == []
    assert report_for(facts, plan=plan) == own
    assert len(planned) == 1


@given(fleets())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_the_fleet_both_reports_say_the_same(facts):
    for count in range(1, len(facts) + 1):
        plan = through_a_file(plan_for(facts, drain=[*facts][:count], made=remember))
        assert report_for(facts, plan=plan, is_own=is_own) == report_for(facts, plan=plan)


@pytest.mark.parametrize("room", [1, 2])
@pytest.mark.parametrize(
    "asked", [{"drain": ["a", "b"]}, {"guests": ["vm-1", "vm-2"]}, {"drain": ["a"]}]
)
def test_a_host_that_keeps_what_stays_there_receives_no_more_than_when_it_was_planned(room, asked):
    facts = {
        "a": host([vf(0, "vm-1")]),
        "b": host([vf(0, "vm-2"), vf(1)]),
        "c": host([vf(number) for number in range(room)]),
        # It had no part in it.
        "d": host([vf(number) for number in range(2)]),
    }
    plan = through_a_file(plan_for(facts, hosts=["a", "b", "c"], made=remember, **asked))
    own = report_for(facts, plan=plan, is_own=lambda *_made_of: True)
    handed_over = report_for(facts, plan=plan)
    assert handed_over["verdict"] == own["verdict"]
    assert handed_over["plan"] is not None
    assert handed_over["plan"]["status"] == plan["status"]


@pytest.mark.parametrize(
    "change",
    [
        lambda plan: plan.update(status="unproven"),
        lambda plan: plan["unplaced"][0]["reasons"][0].update(reason="made up"),
        lambda plan: plan.update(cost=None),
        lambda plan: plan["unknown"].append("z"),
    ],
)
def test_a_plan_that_was_touched_since_is_computed_once_more(planned, change):
    facts = two_of_three()
    plan = through_a_file(plan_for(facts, drain=["a"], made=remember))
    change(plan)
    try:
        report_for(facts, plan=plan, is_own=is_own)
    except FleetError as error:
        # The verifier was first.
        assert "does not hold" in str(error)
    else:
        assert planned == [plan]


def test_a_move_that_breaks_a_rule_is_refused_even_in_a_plan_of_this_run():
    facts = two_of_three()
    plan: t.Any = plan_for(facts, drain=["a"])
    plan["placements"][0]["certainty"] = "declared"
    with pytest.raises(FleetError, match="does not hold"):
        report_for(facts, plan=plan, is_own=lambda *_made_of: True)


def test_other_facts_of_any_host_or_another_run_are_another_matter(planned, tmp_path, monkeypatch):
    facts = two_of_three()
    plan = through_a_file(plan_for(facts, drain=["a"], made=remember))
    more: t.Any = copy.deepcopy(facts)
    more["b"]["problems"] = [{"path": "/sys", "problem": "odd"}]
    report_for(more, plan=plan, is_own=is_own)
    assert len(planned) == 1
    monkeypatch.setattr(constants, "DEFAULT_LOCAL_TMP", str(tmp_path / "another"))
    report_for(facts, plan=plan, is_own=is_own)
    assert len(planned) == 2


def test_where_nothing_can_be_noted_nothing_is_remembered(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "DEFAULT_LOCAL_TMP", str(tmp_path / "gone"))
    remember(digest_of({"a": 1}, {}, []))
    assert not is_own({"a": 1}, {}, [])
    remember(None)
    assert digest_of({"a": object()}, {}, []) is None
    assert not is_own({"a": object()}, {}, [])


def test_the_same_facts_of_another_host_are_another_matter():
    facts = {"a": {"devices": []}, "b": {"devices": []}}
    renamed = {"a": {"devices": []}, "c": {"devices": []}}
    assert digest_of({}, facts, []) != digest_of({}, renamed, [])
