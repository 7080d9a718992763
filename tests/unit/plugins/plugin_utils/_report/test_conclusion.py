# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a report comes to, in a sentence, and why."""

from __future__ import annotations

import re

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.plan_options import plan_for
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.report_options import (
    report_for,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._report.html import as_html
from ansible_collections.vfio.migration.plugins.plugin_utils._report.markdown import as_markdown
from ansible_collections.vfio.migration.tests.unit.fleets import (
    UUIDS,
    device,
    gvt_self,
    host,
    parent,
)
from ansible_collections.vfio.migration.tests.unit.report_fleets import NEVER, two_of_three


@pytest.mark.parametrize("drain", [["a"], None])
def test_the_verdict_says_how_many_hosts_were_not_examined(drain):
    facts = two_of_three()
    plan = None if drain is None else plan_for(facts, drain=drain)
    known = report_for(facts, plan=plan)["verdict"]
    for count, words in ((1, "1 host"), (3, "3 hosts")):
        more = facts | {f"x{number}": None for number in range(count)}
        plan = None if drain is None else plan_for(more, drain=drain)
        verdict = report_for(more, plan=plan)["verdict"]
        said = f"{known['sentence']} Not examined: {words} without usable facts."
        assert verdict == known | {"sentence": said}


@pytest.mark.parametrize(
    ("drain", "level", "sentence"),
    [
        (["a"], "some", "1 of 2 guests can leave a; 1 cannot."),
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
    assert report_for(facts, plan=plan)["verdict"]["sentence"] == "The only guest can leave a."
    facts["b"] = host()
    plan = plan_for(facts, drain=["a"])
    verdict = report_for(facts, plan=plan)["verdict"]
    assert (verdict["level"], verdict["sentence"]) == (
        "none",
        "The only guest cannot leave a.",
    )


def test_a_cause_is_what_stands_in_the_way_where_there_would_be_something():
    facts = {
        "a": host([device(UUIDS[0])]),
        "b": host(parents=[parent("0000:00:09.0", pci_id="80861234")]),
        "c": host(parents=[parent()]),
    }
    plan = plan_for(facts, drain=["a"], avoid=[{"host": "c", "problem": "is being repaired"}])
    (cause,) = report_for(facts, plan=plan)["verdict"]["because"]
    assert cause["reason"] == "0000:00:02.0 on c is excluded: is being repaired"
    assert cause["more"]


def test_a_device_that_nothing_anywhere_takes_has_what_comes_nearest():
    newer = gvt_self(software_version="0.2.0")
    facts = {
        "a": host([device(UUIDS[0], {"self": newer, "compatible": [newer]})]),
        "b": host([device(UUIDS[1])]),
    }
    (cause,) = report_for(facts, plan=plan_for(facts, drain=["a"]))["verdict"]["because"]
    assert cause["reason"] == (
        "no device on a target host is compatible; the closest device differs in software_version"
    )
    assert cause["example"].startswith("update the driver on b to 0.2 or newer")


@pytest.mark.parametrize(
    ("guests", "free", "movable", "sentence"),
    [
        (2, 0, 1, "1 of 2 guests can leave a; 1 cannot."),
        (3, 0, 0, "None of the 3 guests can leave a."),
        (2, 1, 2, "All 2 guests can leave a; of 1 device not in use, none can."),
        (2, 2, 4, "All 2 guests can leave a, and so can 2 devices not in use."),
        (1, 2, 2, "The only guest can leave a; of 2 devices not in use, 1 can."),
        (0, 2, 1, "1 of 2 devices can leave a; 1 cannot."),
    ],
)
def test_a_plan_is_summed_up_by_guests(guests, free, movable, sentence):
    devices = [device(UUIDS[n], vm=f"vm-{n}", pid=n + 1) for n in range(guests)]
    devices += [device(UUIDS[guests + n]) for n in range(free)]
    targets = [device(UUIDS[n]) for n in range(movable)]
    facts = {"a": host(devices), "b": host(targets)}
    assert report_for(facts, plan=plan_for(facts, drain=["a"]))["verdict"]["sentence"] == sentence


def test_guests_decide_and_not_what_nobody_holds():
    """A device not in use and that can go makes a host no emptier of guests."""
    facts = {
        "a": host([device(UUIDS[0], vm="vm-1", pid=1, migration=NEVER), device(UUIDS[1])]),
        "b": host(parents=[parent()]),
    }
    report = report_for(facts, plan=plan_for(facts, drain=["a"]))
    assert report["plan"]["placed"] == 1
    assert report["verdict"]["level"] == "none"
    sentence = "The only guest cannot leave a; 1 device not in use can."
    assert report["verdict"]["sentence"] == sentence
    figures = dict(re.findall(r"<div><dt>(.*?)</dt><dd>(.*?)</dd></div>", as_html(report)))
    assert {name: figures[name] for name in ("guest", "can move", "stays")} == {
        "guest": "1",
        "can move": "0",
        "stays": "1",
    }


def test_a_vgpu_is_compared_with_no_network_card():
    card = {
        "software_version": "0.0",
        "device_api": "vfio-pci",
        "type": "pci-15b3101e-15b30041",
        "pci_id": "15b3101e",
    }
    port = device("0000:5d:00.2", {"self": card, "compatible": [card]}, kind="pci")
    facts = {"a": host([device(UUIDS[0], vm="vm-1")]), "net1": host([port])}
    report = report_for(facts, plan=plan_for(facts, drain=["a"]))
    (cause,) = report["verdict"]["because"]
    assert cause["reason"] == "no target host is known to have hardware of its kind"
    assert cause["remedy"] == "a target host with i915-GVTg_V5_4"
    assert "15b3" not in str([report["verdict"], report["plan"]["left_behind"]])
    assert report["classes"][0]["misses"] == []
    assert report_for(facts)["verdict"]["because"][0]["example"] is None


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({}, "report_hosts"),
        ({"a": None}, "Gather the facts as root"),
        ({"a": host()}, "sriov_numvfs"),
    ],
)
def test_an_empty_fleet_says_what_to_do(facts, words):
    assert any(words in each for each in report_for(facts)["advice"])
    assert report_for({"a": host([device(UUIDS[0])])})["advice"] == []
