# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whom the playbook ``report`` asks, and who answered."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from unittest import mock

import pytest
from ansible_collections.vfio.migration.plugins.action import report_step
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.clock import now
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.plan_options import plan_for
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.report_options import (
    report_for,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.reporting import (
    begin,
    look,
    write,
)
from ansible_collections.vfio.migration.tests.unit.fleets import UUIDS, device, host, parent
from ansible_collections.vfio.migration.tests.unit.report_fleets import two_of_three

FACTS = {"ansible_facts": {"vfio_migration": host([device(UUIDS[1])], [parent()])}}
SILENT = {"unreachable": True, "msg": "no route"}


def asked(hostvars, **options):
    given = {
        "hosts": [*hostvars],
        "chosen_by": "report_hosts",
        "gather": True,
        "dest": "report",
        "title": "A",
    }
    return begin({**given, **options}, hostvars, False)


def test_hosts_that_did_not_answer_in_this_run_are_left_out_and_named():
    # A fact cache still has something of it.
    hostvars = {"a": FACTS | {"report_gathered": FACTS}, "b": FACTS | {"report_gathered": SILENT}}
    run = look(asked(hostvars), hostvars)
    assert (run["known"], run["silent"]) == (["a"], {"b": "it did not answer: no route"})
    report = report_for(hostvars, run["known"], left_out=run["silent"], max_age=0)
    (unknown,) = report["unknown"]
    assert unknown["hosts"] == 1
    assert "b" in str(unknown)
    assert "it did not answer: no route" in str(unknown)
    options = {"hosts": run["known"], "left_out": run["silent"], "max_age": 0}
    plan = plan_for(hostvars, ["a"], targets=["b"], **options)
    assert (plan["unknown"], plan["placements"]) == (["b"], [])


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            {"module_stderr": "Warning: x\n/bin/sh: 1: python3.12: not found\n\n"},
            "python3.12: not found",
        ),
        ({"module_stderr": "", "module_stdout": "Killed\r\n"}, "gathered: Killed"),
        (
            {
                "module_stderr": "Shared connection to 192.0.2.7 closed.\r\n",
                "module_stdout": "Traceback\r\nOSError: no space\r\n",
            },
            "gathered: OSError: no space",
        ),
        (
            {
                "msg": "Module result deserialization failed: No start of json char found",
                "module_stderr": "sh: python3.12: not found",
            },
            "gathered: sh: python3.12: not found",
        ),
        ({"module_stderr": None}, "gathered: MODULE FAILURE"),
    ],
)
def test_where_ansible_refers_to_what_a_module_printed_that_is_the_reason(answer, words):
    failure = {"failed": True, "msg": "MODULE FAILURE\nSee stdout/stderr for the exact error"}
    hostvars = {"a": FACTS | {"report_gathered": failure | answer}}
    run = look(asked(hostvars), hostvars)
    assert run["silent"]["a"].startswith("its facts could not be gathered: ")
    assert words in run["silent"]["a"]


def test_a_host_to_drain_that_did_not_answer_is_named_with_the_reason(tmp_path):
    hostvars = {"a": FACTS | {"report_gathered": FACTS}, "b": FACTS | {"report_gathered": SILENT}}
    run = asked(hostvars, drain=["b"], dest=str(tmp_path))
    with pytest.raises(FleetError, match="cannot drain b: it did not answer: no route"):
        write(run, hostvars)


@pytest.mark.parametrize(
    ("shown", "warned"),
    [({}, True), ({"plan_file": "plan.json"}, False), ({"plan": "plan.json"}, False)],
)
def test_a_report_leaves_the_plan_of_an_earlier_one_and_says_so_unless_it_shows_a_plan(
    tmp_path, shown, warned
):
    hostvars = {host: {"vfio_migration": each} for host, each in two_of_three().items()}
    options = {"gather": False, "dest": str(tmp_path)}
    plan = tmp_path / "plan.json"
    made = write(asked(hostvars, drain=["a"], **options), hostvars)
    assert made["plan"] == str(plan)
    assert "warnings" not in made
    before = plan.read_bytes()
    given = {name: str(tmp_path / file) for name, file in shown.items()}
    written = write(asked(hostvars, **options, **given), hostvars)
    assert "plan" not in written
    words = [f"{plan} is of an earlier report; this one has no plan"] if warned else None
    assert written.get("warnings") == words
    assert plan.read_bytes() == before


def test_facts_of_a_host_that_is_left_out_count_for_nothing():
    facts = dict.fromkeys("ab", FACTS["ansible_facts"]["vfio_migration"])
    report = report_for(facts, left_out={"b": "why not"}, max_age=0)
    assert report["totals"]["hosts"] == 1
    with pytest.raises(FleetError, match="left_out is 'b'; expected a mapping"):
        report_for(facts, left_out="b")


def test_a_host_on_which_nothing_ran_is_neither_known_nor_silent():
    hostvars = {"a": {"report_gathered": FACTS}, "b": {}}
    run = look(asked(hostvars), hostvars)
    assert (run["known"], run["silent"]) == (["a"], {})


@pytest.mark.parametrize(
    "answer", [{"changed": False}, {"ansible_facts": 7}, {"ansible_facts": {}}]
)
def test_an_answer_without_facts_is_none(answer):
    hostvars = {"a": {"report_gathered": answer}}
    run = look(asked(hostvars), hostvars)
    assert run["silent"] == {"a": "it answered without facts"}


def test_without_gathering_nobody_is_asked_and_all_are_reported_on():
    # An answer to an earlier playbook of the run is none here, so nobody's variables are read.
    hostvars = {"a": {"report_gathered": SILENT}, "b": {}}
    run = asked(hostvars, gather=False)
    assert (run["asked"], run["stale"]) == ([], [])
    assert look(run, hostvars)["known"] == ["a", "b"]


def test_answers_of_an_earlier_playbook_are_to_be_forgotten():
    assert asked({"a": {"report_gathered": FACTS}, "b": {}})["stale"] == ["a"]


def test_a_name_that_matches_nothing_stops_it():
    with pytest.raises(
        FleetError, match="report_drain has 'gpu12', which is none of the hosts of report"
    ):
        asked({"gpu1": {}}, drain="gpu12")


def test_two_ways_to_name_what_moves_stop_it_before_any_host_is_asked():
    with pytest.raises(FleetError, match=r"set hosts with report_drain .* not both"):
        asked({"gpu1": {}}, drain="gpu1", guests="vm-1")


class Counted(dict):
    """Variables of hosts, which count how often those of each are read."""

    def __init__(self, hostvars):
        super().__init__(hostvars)
        self.read = Counter()

    def raw_get(self, name):
        self.read[name] += 1
        return self[name]


def step(name, so_far, hostvars):
    """Return the result of the action's step."""
    task = mock.Mock(args={"step": name, "so_far": so_far}, async_val=0, check_mode=False)
    others = [mock.Mock() for _part in range(5)]
    return report_step.ActionModule(task, *others).run(task_vars={"hostvars": hostvars})


def test_a_step_reads_the_variables_of_each_host_once(tmp_path):
    hostvars = Counted(
        {"a": FACTS, "b": {"ansible_facts": {"vfio_migration": host([], [parent()])}}}
    )
    run = asked(hostvars, gather=False, max_age=0, drain=["a"], dest=tmp_path)
    hostvars["localhost"] = {}
    hostvars.read.clear()
    written = step("write", run, hostvars)
    assert hostvars.read == {"a": 1, "b": 1, "localhost": 1}
    plan = json.loads((tmp_path / "plan.json").read_text())
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["plan"]["placed"] == len(plan["placements"]) == 1
    assert written["verdict"] == report["verdict"]
    assert {Path(written[name]).suffix for name in ("html", "markdown", "json", "metrics")} == {
        *(".html", ".md", ".json", ".prom"),
    }


def test_how_the_plan_changes_is_shown_where_that_is_asked_for(tmp_path):
    hostvars = {"a": FACTS, "b": {"ansible_facts": {"vfio_migration": host([], [parent()])}}}
    options = {"gather": False, "max_age": 0, "drain": ["a"], "dest": tmp_path}
    shown = write(asked(hostvars, diff=True, **options), hostvars)["diff"]
    assert (shown["before"], json.loads(shown["after"])["request"]["drain"]) == ("", ["a"])
    # The same plan once more is no change.
    assert "diff" not in write(asked(hostvars, diff=True, **options), hostvars)
    (tmp_path / "plan.json").unlink()
    assert "diff" not in write(asked(hostvars, **options), hostvars)


def without_a(**answers):
    """Return hosts of which a has a device by its last facts; ``answers`` are what those have said which were asked now."""
    there = {"ansible_facts": {"vfio_migration": host([], [parent()])}}
    hostvars = {"a": dict(FACTS), "b": dict(there), "localhost": {}}
    for name, answer in answers.items():
        hostvars[name]["report_gathered"] = there if answer is None else answer
    return hostvars


def lost_report(hostvars, tmp_path, **options):
    given = {"hosts": ["a", "b"], "lost": "a", "dest": str(tmp_path), **options}
    written = write(asked(hostvars, **given), hostvars)
    plan = json.loads((tmp_path / "plan.json").read_text())
    return written, plan, json.loads((tmp_path / "report.json").read_text())


@pytest.mark.parametrize("options", [{}, {"gather": False, "max_age": 3600}, {"drain": []}])
def test_a_lost_host_alone_is_a_plan_by_its_last_facts(tmp_path, options):
    hostvars = without_a(a=SILENT, b=None)
    if "max_age" in options:
        # Those of the other one are new.
        facts = hostvars["b"]["ansible_facts"]["vfio_migration"]
        facts["gathered"] = {**facts["gathered"], "time": now()}
    written, plan, report = lost_report(hostvars, tmp_path, **options)
    assert [each["source"]["host"] for each in plan["placements"]] == ["a"]
    assert [*plan["request"]["lost"]] == ["a"]
    assert report["plan"]["placed"] == 1
    assert written["verdict"]["level"] == "all", written["verdict"]
    assert "a is lost, and known as of" in (tmp_path / "report.md").read_text()
    assert report["unknown"] == []
    # The plan is shown alike when it is given.
    again = write(asked(hostvars, hosts=["a", "b"], dest=str(tmp_path), plan=plan), hostvars)
    assert again["verdict"] == written["verdict"]


@pytest.mark.parametrize("answer", [FACTS, {"failed": True, "msg": "no Python"}, {}])
def test_a_host_that_answers_is_not_lost(tmp_path, answer):
    with pytest.raises(FleetError, match="it is not known that a is lost"):
        lost_report(without_a(a=answer, b=None), tmp_path)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"failed": True, "msg": "no Python"}, "its facts could not be gathered: no Python"),
        ({"changed": False}, "it answered without facts"),
    ],
)
def test_a_lost_host_of_a_given_plan_that_answers_without_facts_is_not_lost(
    tmp_path, answer, words
):
    _written, plan, _report = lost_report(without_a(a=SILENT, b=None), tmp_path)
    hostvars = without_a(a=answer, b=None)
    write(asked(hostvars, hosts=["a", "b"], dest=str(tmp_path), plan=plan), hostvars)
    report = json.loads((tmp_path / "report.json").read_text())
    (unknown,) = report["unknown"]
    assert unknown["names"] == ["a"]
    assert unknown["text"].startswith(words)


def test_of_a_lost_host_without_facts_nothing_is_planned(tmp_path):
    hostvars = without_a(a=SILENT, b=None)
    del hostvars["a"]["ansible_facts"]
    with pytest.raises(FleetError, match="cannot drain a"):
        lost_report(hostvars, tmp_path)


def test_a_lost_host_is_one_of_those_that_are_reported_on():
    with pytest.raises(FleetError, match="report_lost has 'gpu12', which is none of the hosts of"):
        asked({"gpu1": {}}, lost="gpu12")
