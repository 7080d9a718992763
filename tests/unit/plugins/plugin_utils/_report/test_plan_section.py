# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The section on a plan."""

from __future__ import annotations

import html
import re

from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.plan_options import plan_for
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.report_options import (
    report_for,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._report.html import as_html
from ansible_collections.vfio.migration.plugins.plugin_utils._report.markdown import as_markdown
from ansible_collections.vfio.migration.tests.unit.fleets import (
    UUIDS,
    device,
    host,
    parent,
    vf,
)
from ansible_collections.vfio.migration.tests.unit.report_fleets import two_of_three


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


def test_two_guests_of_one_name_are_two():
    held = [device(UUIDS[n], vm="vm", pid=pid) for n, pid in enumerate((1, 2, 2))]
    rest = [device(UUIDS[3])]
    facts = {"a": host(held + rest), "b": host(parents=[parent(f"0000:0{n}:02.0") for n in (1, 2)])}
    report = report_for(facts, plan=plan_for(facts, drain=["a"], free_devices="all"))
    assert report["verdict"]["sentence"].startswith("All 2 guests")
    (wave,) = report["plan"]["waves"]
    assert (wave["devices"], wave["guests"]) == (4, 2)


def test_a_proof_by_cases_and_the_turns_of_moves_are_in_each_form_of_the_report():
    """Of two guests with two functions each one has a place: the other one would need both that are left, on one host."""
    held = [vf(2 * n + k, f"vm-{n}", pid=n + 1) for n in range(3) for k in range(2)]
    facts = {"a": host(held), "b": host([vf(n) for n in range(4)]), "c": host([vf(0)])}
    facts["d"] = host([vf(0)])
    plan = plan_for(facts, drain=["a"], concurrent_moves={"host": 1})
    report = report_for(facts, plan=plan)
    (proof,) = report["plan"]["cases"]
    assert proof["sentence"] == "vm-0, vm-1 and vm-2 cannot all have a place"
    assert report["plan"]["turns"] == [
        "the moves take 2 turns, and no fewer than 2, as 1 may move from or to a at a time"
    ]
    meaning = report["plan"]["meaning"]
    assert meaning.endswith("some guests cannot all have a place, whichever goes where.")
    for shown in (as_html(report), as_markdown(report)):
        words = re.sub("[`\\\\]|<[^>]*>", "", html.unescape(shown))
        assert "vm-0, vm-1 and vm-2 cannot all have a place:" in words
        assert words.count("can only go to b") == 3
        assert "the moves take 2 turns, and no fewer than 2" in words
