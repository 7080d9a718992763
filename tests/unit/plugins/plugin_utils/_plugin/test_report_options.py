# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reports from arguments as a play gives them."""

from __future__ import annotations

import copy
import functools
import json
import typing as t
from unittest.mock import ANY

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.plan_options import plan_for
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.report_options import (
    report_for,
)
from ansible_collections.vfio.migration.tests.unit.fleets import (
    UUIDS,
    device,
    gvt,
    host,
    parent,
    vf,
)
from ansible_collections.vfio.migration.tests.unit.fuzzing import damaged, through
from ansible_collections.vfio.migration.tests.unit.report_fleets import two_of_three
from hypothesis import assume, given
from hypothesis import strategies as st


def test_a_plan_that_was_made_with_other_facts_is_out_of_date():
    facts = two_of_three()
    plan = plan_for(facts, drain=["a"])
    facts["b"]["parents"] = [parent(available={"i915-GVTg_V5_4": 2})]
    report = report_for(facts, plan=plan)
    assert report["plan"]["changed_since"] == ["b"]
    # What can leave now was not looked at.
    assert report["verdict"]["level"] == "unknown"
    assert report["verdict"]["sentence"] == (
        "By a plan that is out of date, as the facts of b have changed since, 1 of 2 guests can leave a; 1 cannot."
    )
    assert report_for(facts, hosts=["b"], plan=plan)["plan"]["changed_since"] == ["a", "b"]


EVIL = "evil words"


def with_one_left_behind():
    """Return facts where one device moves, and another has no place."""
    return {
        "a": host([device(UUIDS[0], vm="vm-1"), device(UUIDS[1], gvt("8", "1"), vm="vm-2", pid=2)]),
        "b": host(parents=[parent(available={"i915-GVTg_V5_4": 2})]),
    }


def reported(facts, plan):
    return report_for(facts, plan=plan)["plan"]


@pytest.mark.parametrize("facts", [two_of_three(), with_one_left_behind()])
def test_what_a_plan_says_of_itself_is_computed_again(facts):
    plan = plan_for(facts, drain=["a"])
    expected = reported(facts, plan)
    assert expected["status"] == plan["status"]
    for each in plan["unplaced"]:
        each["reasons"] = [{"host": "b", "code": "taken", "reason": EVIL, "detail": EVIL}]
    label = plan["placements"][0]["source"]
    plan["changes"] = [{"vm": "vm-1", "source": label, "reason": EVIL}]
    plan["unknown"] = [EVIL]
    found = reported(facts, plan)
    assert EVIL not in json.dumps(report_for(facts, plan=plan))
    assert found["changes"] == [{"vm": "vm-1", **label, "reason": ANY}]
    assert found | {"changes": []} == expected


@pytest.mark.parametrize(
    ("key", "value"),
    [("warnings", [EVIL]), ("certainty", "declared"), ("vm", EVIL), ("set", 7), ("wave", 2)],
)
def test_a_plan_with_a_lie_about_a_move_is_not_shown(key, value):
    facts = two_of_three()
    plan = plan_for(facts, drain=["a"])
    plan["placements"][0].update({key: value})
    with pytest.raises(FleetError, match="the plan does not hold"):
        reported(facts, plan)


def test_a_proof_that_the_planner_does_not_find_is_not_shown():
    """The plan makes a device, though one that is there would do; it says that none is better."""
    facts = {
        "a": host([device(UUIDS[0], vm="vm-1")]),
        "b": host(parents=[parent()]),
        "c": host([device(UUIDS[5])]),
    }
    plan = plan_for({name: facts[name] for name in "ab"}, drain=["a"])
    assert plan["status"] == "optimal"
    found = reported(facts, plan)
    assert found["status"] == "feasible"
    assert found["moves"][0]["to"]["host"] == "b"


def test_what_was_asked_of_a_plan_is_asked_again():
    facts = with_one_left_behind() | {"c": host(parents=[parent()])}
    asked = {"targets": ["b", "c"], "avoid": [{"host": "c", "problem": "is being repaired"}]}
    plan = plan_for(facts, drain=["a"], **asked)
    assert reported(facts, plan)["status"] == plan["status"] == "infeasible"
    assert "is being repaired" in json.dumps(reported(facts, plan)["left_behind"])
    plan["targets"] = ["c"]
    with pytest.raises(FleetError, match="must not go to this host"):
        reported(facts, plan)


def test_what_a_plan_leaves_behind_without_need_is_told():
    facts = {
        "a": host([device(UUIDS[n], vm=f"vm-{n}", pid=10 + n) for n in range(2)]),
        "b": host([device(UUIDS[5])]),
    }
    plan = plan_for(facts, drain=["a"])
    assert plan["status"] == "infeasible"
    facts["c"] = host([device(UUIDS[6])])
    found = reported(facts, plan)
    assert found["status"] == "unproven"
    assert found["shortage"] is None
    (left,) = found["left_behind"]
    assert "though there is a place for it" in str(left["reasons"])


def test_of_a_plan_that_is_out_of_date_only_the_moves_are_shown():
    facts = with_one_left_behind()
    plan = plan_for(facts, drain=["a"])
    plan["relied_on"]["b"] = "0" * 32
    for each in plan["placements"]:
        each |= {"warnings": [EVIL], "vm": EVIL}
        each["target"]["attributes"] = [{"name": EVIL, "value": EVIL}]
    evil: t.Any = {"host": None, "code": "shortage", "reason": EVIL, "detail": EVIL}
    plan["unplaced"][0] |= {"vm": EVIL, "reasons": [evil]}
    plan["status"] = "infeasible"
    assert EVIL not in json.dumps(report_for(facts, plan=plan))
    assert reported(facts, plan)["status"] == "unproven"


def test_what_no_plan_has_is_not_shown():
    facts = with_one_left_behind()
    plan: t.Any = plan_for(facts, sources=[{"host": "a", "id": UUIDS[1]}])
    plan["request"][EVIL] = plan["request"]["sources"][0][EVIL] = plan["conditions"][EVIL] = EVIL
    assert EVIL not in json.dumps(report_for(facts, plan=plan))


def with_one_staying():
    """Return facts where one device moves, and another one stays, which nobody holds."""
    return {"a": host([vf(0, "vm-1", pid=1), vf(1)]), "b": host([vf(7), vf(8)])}


def changed_since(facts):
    """Return facts after a plan for them, which is out of date by them."""
    after: t.Any = copy.deepcopy(facts)
    after["b"]["parents"] = [parent(available={"i915-GVTg_V5_4": 7})]
    return after


FORGED = {
    "assumptions": [EVIL],
    "proof": ["no_place", "search"],
    "shortages": [],
    "further_pass": True,
    "changes": [],
    "map": {},
    "summary": EVIL,
    "sentences": [EVIL],
    "headroom": {"holds": True, "sentences": [EVIL]},
    "warnings": [EVIL],
    "last_run": EVIL,
    EVIL: EVIL,
}


@functools.cache
def planned(make, occasion) -> tuple[t.Any, t.Any, t.Any]:
    """Return a plan for the facts that ``make`` returns, those that a report is made of later, and that report."""
    facts = make()
    plan = plan_for(facts, drain=["a"])
    now = occasion(facts)
    return plan, now, report_for(now, plan=plan)


@pytest.mark.parametrize("forged", FORGED)
@pytest.mark.parametrize("occasion", [lambda facts: facts, changed_since])
@pytest.mark.parametrize("make", [two_of_three, with_one_left_behind, with_one_staying])
def test_what_is_put_into_a_plan_is_not_shown(make, occasion, forged):
    plan, now, expected = planned(make, occasion)
    found = through(lambda: report_for(now, plan={**plan, forged: FORGED[forged]}), FleetError)
    assert found in (None, expected)


@pytest.mark.parametrize("occasion", [lambda facts: facts, changed_since])
def test_why_a_device_stays_is_computed_again(occasion):
    facts = with_one_staying()
    plan: t.Any = plan_for(facts, drain=["a"])
    now = occasion(facts)
    expected = reported(now, plan)
    assert [(each["host"], each["devices"]) for each in expected["staying"]] == [("a", 1)]
    plan["staying"][0]["reason"] = EVIL
    assert reported(now, plan) == expected
    del plan["staying"]
    assert reported(now, plan) == expected


def test_that_a_guest_is_to_stay_is_not_shown_whatever_a_plan_says_that_is_out_of_date():
    facts = with_one_left_behind()
    plan: t.Any = plan_for(facts, sources=["vm-1"])
    expected = reported(changed_since(facts), plan)
    plan["staying"] = [{"host": "a", "kind": "mdev", "id": UUIDS[1], "reason": EVIL}]
    assert reported(changed_since(facts), plan) == expected
    assert "staying" not in expected


@pytest.mark.parametrize(
    "asked", [{"drain": ["a"]}, {"sources": ["vm-1", {"host": "a", "id": UUIDS[1]}]}]
)
def test_what_was_to_move_is_left_behind_though_a_plan_does_not_say_so(asked):
    facts = with_one_left_behind()
    plan: t.Any = plan_for(facts, **asked)
    expected = reported(facts, plan)
    assert expected["unplaced"] == 1
    plan |= {"unplaced": [], "shortage": None, "status": "feasible", "cost": None, "bound": None}
    plan.pop("proof", None)
    assert reported(facts, plan) == expected


def test_of_several_guests_of_one_name_the_one_that_moves_was_meant():
    facts = {"a": host([device(UUIDS[0], vm="vm-1")]), "b": host([device(UUIDS[5])])}
    plan = plan_for(facts, sources=["vm-1"])
    expected = reported(facts, plan)
    facts["c"] = host([device(UUIDS[6], vm="vm-1")])
    assert reported(facts, plan)["guests"] == expected["guests"]


def test_a_plan_is_not_the_best_by_its_own_word():
    facts = {
        "a": host([device(UUIDS[0], vm="vm-1")]),
        "b": host(parents=[parent()]),
        "c": host([device(UUIDS[5])]),
    }
    plan: t.Any = plan_for({name: facts[name] for name in "ab"}, drain=["a"])
    plan |= {"status": "optimal", "cost": None, "bound": None}
    assert reported(facts, plan)["status"] == "feasible"


def test_changes_are_of_guests_as_the_facts_have_them_and_each_once():
    facts = two_of_three()
    plan: t.Any = plan_for(facts, drain=["a"])
    label = plan["placements"][0]["source"]
    plan["changes"] = [{"vm": EVIL, "source": {**label, "kind": "vdpa"}, "reason": EVIL}] * 3
    assert reported(facts, plan)["changes"] == [{"vm": "vm-1", **label, "reason": ANY}]


@pytest.mark.parametrize("occasion", [lambda facts: facts, changed_since])
@pytest.mark.parametrize(
    ("repeat", "words"),
    [
        (lambda moved, _left: ([*moved, *moved], []), "planned 2 times"),
        (lambda moved, left: (moved, [*left, *left]), "planned 2 times"),
        (lambda moved, left: (moved, [{**left[0], "source": moved[0]["source"]}]), "planned 2 "),
        (
            lambda moved, left: ([*moved, {**moved[0], "source": left[0]["source"]}], []),
            "is the target of 2 moves|does not hold",
        ),
    ],
)
def test_what_moves_twice_is_refused(repeat, words, occasion):
    facts = with_one_left_behind()
    plan: t.Any = plan_for(facts, drain=["a"])
    plan["placements"], plan["unplaced"] = repeat(plan["placements"], plan["unplaced"])
    with pytest.raises(FleetError, match=words):
        reported(occasion(facts), plan)


def test_of_a_plan_that_is_out_of_date_nothing_is_written_that_its_source_does_not_have():
    facts = with_one_left_behind()
    attributes = [{"name": "real", "value": "1"}]
    facts["a"]["devices"][0]["attributes"] = attributes
    plan: t.Any = plan_for(facts, drain=["a"])
    made = plan["hosts"]["b"]["devices"][0]
    given = [*attributes, {"name": EVIL, "value": EVIL}, {"name": "real", "value": EVIL}]
    plan["placements"][0]["target"]["attributes"] = made["attributes"] = given
    (found,) = reported(changed_since(facts), plan)["writes"]
    assert [(each["action"], each["attribute"]) for each in found["writes"]] == [
        ("create", None),
        ("set", "real"),
    ]


# What was asked, on which occasion, and which devices an earlier plan had elsewhere.
TAKEN = (
    *("schema", "time", "collection", "requested_by", "request", "conditions", "direction"),
    *("policy", "targets", "avoid", "relied_on", "changes"),
)


def moves_of(plan: t.Any) -> t.Any:
    names = ("host", "kind", "id", "parent", "type", "create")
    try:
        return [
            (
                [each["source"][name] for name in names[:3]],
                [each["target"][name] for name in names],
                each["wave"],
            )
            for each in plan["placements"]
        ]
    except (KeyError, TypeError):
        return None


@given(st.data())
def test_whatever_else_a_plan_says_the_report_is_the_same_or_there_is_none(data):
    facts = data.draw(st.sampled_from([two_of_three, with_one_left_behind, with_one_staying]))()
    plan: t.Any = plan_for(facts, drain=["a"])
    expected = report_for(facts, plan=plan)
    rest = {name: value for name, value in plan.items() if name not in TAKEN}
    forged = data.draw(damaged(rest, 1))
    assume(isinstance(forged, dict) and moves_of(forged) == moves_of(plan))
    asked = {name: value for name, value in plan.items() if name in TAKEN}
    found = through(lambda: report_for(facts, plan={**forged, **asked}), FleetError)
    assert found in (None, expected)


@given(damaged(plan_for(with_one_left_behind(), drain=["a"])))
def test_a_damaged_plan_is_refused_with_a_reason_or_shown(plan):
    through(lambda: report_for(with_one_left_behind(), plan=plan), FleetError)


@pytest.mark.parametrize("plan", [{}, {"placements": [{}], "unplaced": []}, ["a"], 7])
def test_what_is_no_plan_is_refused(plan):
    with pytest.raises(
        FleetError, match=r"'plan' is not a plan of vfio\.migration\.migration_plan"
    ):
        report_for(two_of_three(), plan=plan)
