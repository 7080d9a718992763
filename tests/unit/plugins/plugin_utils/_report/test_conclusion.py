# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a report comes to, in a sentence, and why."""

from __future__ import annotations

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.plan_options import plan_for
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.report_options import (
    report_for,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._report.markdown import as_markdown
from ansible_collections.vfio.migration.tests.unit.fleets import (
    UUIDS,
    device,
    gvt_self,
    host,
    parent,
)
from ansible_collections.vfio.migration.tests.unit.report_fleets import two_of_three


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


@pytest.mark.parametrize(
    ("facts", "level", "sentence"),
    [
        ({}, "unknown", "Nothing is known of a fleet without hosts: there are no usable facts."),
        (
            {"a": None, "b": {"schema": 7}},
            "unknown",
            "Nothing is known of 2 hosts: there are no usable facts.",
        ),
        ({"a": host()}, "nothing", "There is no VFIO device on these hosts."),
        (
            {"a": host(), "b": None},
            "nothing",
            "There is no VFIO device on 1 host; nothing is known of 1 host without usable facts.",
        ),
    ],
)
def test_that_there_is_no_device_is_only_said_of_hosts_with_facts(facts, level, sentence):
    report = report_for(facts)
    assert report["verdict"] == {"level": level, "sentence": sentence, "because": []}
    assert sentence in as_markdown(report)


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
