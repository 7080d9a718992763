# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plans as documents: they say themselves what they are, of what request, when and for whom they were made."""

from __future__ import annotations

import copy
import json
import time
import typing as t

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin import (
    cleaning,
    plan_file,
    preparing,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.handed_over import (
    check_moves,
    check_tasks,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.plan_file import (
    as_text,
    asked_by,
    collection_version,
    given_plan,
    is_same,
    plan_or_file,
    stamped,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.plan_options import plan_for
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.report_options import (
    report_for,
)
from ansible_collections.vfio.migration.tests.unit import schema_checks
from ansible_collections.vfio.migration.tests.unit.fleets import UUIDS, device, host, parent

FLEET = {
    "a": host([device(UUIDS[0], vm="vm-1", pid=1), device(UUIDS[1], vm="vm-2", pid=2)]),
    "b": host(parents=[parent()]),
    "c": host(parents=[parent()]),
}
LOCAL: dict[str, dict[str, t.Any]] = {"localhost": {}}
WORDS = "a plan of schema 2, and this version of vfio.migration reads schema 1: use the version that made it, 9.0.0, or plan again"


def plan(**options: t.Any) -> t.Any:
    return stamped(plan_for(FLEET, **(options or {"drain": ["a"]})), LOCAL)


def test_a_plan_says_what_it_is_when_it_was_made_and_for_whom(monkeypatch):
    monkeypatch.setenv("SUDO_USER", "ada")
    monkeypatch.setattr(time, "gmtime", lambda: (2026, 11, 27, 2, 0, 0, 4, 331, 0))
    made = plan()
    assert made["schema"] == 1
    assert made["time"] == "2026-11-27T02:00:00Z"
    assert made["collection"] == collection_version() != "unknown"
    assert made["requested_by"] == "ada"
    assert set(made["relied_on"]) == {"a", "b"}
    if schema_checks.POSSIBLE:
        schema_checks.check("plan", json.loads(as_text(made)))


def test_the_controllers_user_goes_before_the_one_that_runs_it(monkeypatch):
    monkeypatch.setenv("SUDO_USER", "awx")
    told = {"localhost": {"awx_user_name": "grace\x1b[2J"}}
    assert stamped(plan_for(FLEET, ["a"]), told)["requested_by"] == "grace\\x1b[2J"


@pytest.mark.parametrize(
    ("options", "request_"),
    [
        ({"drain": ["a"]}, {"drain": ["a"], "free_devices": "movable"}),
        ({"drain": "a", "hosts": "a,b"}, {"drain": ["a"], "hosts": ["a", "b"]}),
        ({"sources": ["vm-1"]}, {"sources": ["vm-1"], "free_devices": "movable"}),
        (
            {"sources": [{"host": "a", "id": UUIDS[1]}, "vm-1"], "free_devices": "none"},
            {"sources": [{"host": "a", "id": UUIDS[1]}, "vm-1"], "free_devices": "none"},
        ),
    ],
)
def test_a_plan_has_its_request_and_that_makes_it_again(options, request_):
    first = plan(**options)
    assert first["request"] == {"free_devices": "movable", **request_}
    again = plan_for(FLEET, **first["request"])
    assert again == {key: each for key, each in first.items() if key in again}


def test_two_plans_of_one_request_differ_only_in_time(monkeypatch):
    first = plan()
    monkeypatch.setattr(plan_file, "now", lambda: "2031-01-01T00:00:00Z")
    second = plan()
    assert {key for key in first if first[key] != second[key]} == {"time"}
    assert is_same(second, as_text(first))
    assert not is_same(plan(drain=["a"], policy="spread"), as_text(first))
    assert not any(is_same(second, text) for text in ("", "no JSON", "[]"))


@pytest.mark.parametrize("schema", [2, "2.0", 0, None, True])
@pytest.mark.parametrize(
    "reader",
    [
        lambda plan, path: given_plan("prepare_from", plan),
        lambda plan, path: given_plan("prepare_from", path),
        lambda plan, path: report_for(FLEET, plan=plan),
        lambda plan, path: plan_for(FLEET, ["a"], earlier=plan),
        lambda plan, path: check_moves(plan),
        lambda plan, path: check_tasks(plan),
        lambda plan, path: cleaning.begin({"remove": ["prepared"], "plan": plan}, {}, True),
        lambda plan, path: cleaning.begin({"remove": ["prepared"], "from": path}, {}, True),
    ],
)
def test_a_plan_of_another_schema_is_refused_in_words(tmp_path, reader, schema):
    other = {**plan(), "schema": schema, "collection": "9.0.0", "unheard_of": 1}
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(other), encoding="utf-8")
    with pytest.raises(FleetError) as error:
        reader(other, str(path))
    assert WORDS.replace("schema 2,", f"schema {schema!r},") in str(error.value)


def test_a_plan_is_given_as_itself_or_by_its_file(tmp_path):
    made = plan()
    path = tmp_path / "plan.json"
    path.write_text(as_text(made), encoding="utf-8")
    assert given_plan("plan", made) == given_plan("plan", str(path)) == made
    for options in ({"plan": made}, {"plan": str(path)}, {"plan_file": str(path)}):
        assert plan_or_file(options, "plan", "plan_file") == made
    assert plan_or_file({}, "plan", "plan_file") is None
    with pytest.raises(FleetError, match="plan and plan_file are both given; expected one"):
        plan_or_file({"plan": made, "plan_file": str(path)}, "plan", "plan_file")
    path.write_text("[]", encoding="utf-8")
    with pytest.raises(FleetError, match=r"plan\.json' is not a plan .* a mapping is expected"):
        given_plan("plan", str(path))


def begun(tmp_path, earlier, **options):
    given = {"hosts": ["a", "b", "c"], "attempts": 3, "timeout": 10, "earlier": earlier}
    dest = str(tmp_path / "again.json")
    return preparing.begin({**given, "dest": dest, **options}, LOCAL, False)


@pytest.mark.parametrize("as_file", [True, False])
def test_a_plan_alone_is_enough_to_carry_it_out(tmp_path, as_file):
    avoid = [{"host": "b", "parent": None, "problem": "noisy"}]
    first = plan(drain=["a"], hosts=["a", "b", "c"], targets=["b", "c"], avoid=avoid, limit=4)
    path = tmp_path / "plan.json"
    path.write_text(as_text(first), encoding="utf-8")
    run = begun(tmp_path, str(path) if as_file else first)
    answers = {
        name: {"prepare_gathered": {"ansible_facts": {"vfio_migration": facts}}, **facts}
        for name, facts in FLEET.items()
    }
    for name, facts in FLEET.items():
        answers[name]["vfio_migration"] = facts
    again = preparing.plan_next(run, {**LOCAL, **answers})["plan"]
    assert {key for key in again if again[key] != first[key]} <= {
        *("time", "status", "cost", "bound")
    }
    assert again["changes"] == []


def test_what_is_said_beside_a_plan_goes_before_it(tmp_path):
    first = plan(drain=["a"], targets=["b"])
    run = begun(tmp_path, first, targets="c")
    assert run["options"] | {"drain": ["a"], "targets": ["c"]} == run["options"]
    # Another request, with a plan from which only places are taken.
    run = begun(tmp_path, first, sources=["vm-2"])
    assert "drain" not in run["options"]
    assert "targets" not in run["options"]


def test_only_who_took_part_does_so_again():
    first = plan(drain=["a"], hosts=["a", "b"])
    assert asked_by(first, {"hosts": ["a", "b", "c"]}, ("drain",))["hosts"] == ["a", "b"]
    assert "hosts" not in asked_by(plan(), {"hosts": ["a", "b", "c"]}, ("drain",))


def test_a_plan_for_other_hosts_than_those_of_the_run_is_refused_with_its_hosts():
    first = plan(drain=["a"], hosts=["a", "b"])
    with pytest.raises(FleetError, match="this run has none of the hosts of the plan: a, b"):
        asked_by(first, {"hosts": ["c"]}, ("drain",))
    # Of no host at all something else is wrong, and said.
    assert asked_by(first, {"hosts": []}, ("drain",))["hosts"] == []


def test_a_plan_is_not_changed_by_its_stamp():
    made = plan_for(FLEET, ["a"])
    before = copy.deepcopy(made)
    stamped(made, LOCAL)
    assert made == before
