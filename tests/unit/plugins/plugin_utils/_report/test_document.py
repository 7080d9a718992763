# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The whole document."""

from __future__ import annotations

from ansible.parsing.dataloader import DataLoader
from ansible_collections.vfio.migration.plugins.modules import migration_report
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.headroom_options import (
    headroom_for,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.plan_options import plan_for
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.report_options import (
    report_for,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._report.document import (
    MAX_NAMES,
    Finding,
    count_findings,
)
from ansible_collections.vfio.migration.tests.unit.fleets import (
    UUIDS,
    device,
    gvt,
    host,
    parent,
)
from ansible_collections.vfio.migration.tests.unit.report_fleets import two_of_three


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
    moved = {"format": 1, "run": "2026-11-26T17:20:00Z", "outcome": "moved", "vm_uuid": None}
    report = report_for(
        facts,
        plan=plan_for(facts, drain=["a"]),
        headroom=headroom_for(facts),
        record=[{**moved, "vm": "vm", "source": "a", "target": "b"}],
    )
    assert documented.keys() == report.keys()
    assert documented["plan"]["contains"].keys() == report["plan"].keys()
    assert all(documented["classes"]["contains"].keys() == c.keys() for c in report["classes"])


def test_findings_with_one_text_are_one():
    findings = [
        Finding("vanished", "c"),
        Finding("unreadable", "a", "/sys/x"),
        Finding("unreadable", "b", "/sys/y"),
        Finding("unreadable", "a", "/sys/z"),
    ]
    assert count_findings(findings) == [
        {
            "text": "unreadable",
            "count": 3,
            "hosts": 2,
            "names": ["a", "b"],
            "paths": ["/sys/x", "/sys/y", "/sys/z"],
        },
        {"text": "vanished", "count": 1, "hosts": 1, "names": ["c"], "paths": []},
    ]
    many = count_findings(Finding("x", f"host{number}", str(number)) for number in range(30))
    assert [(e["count"], e["hosts"], len(e["names"]), len(e["paths"])) for e in many] == [
        (30, 30, MAX_NAMES, MAX_NAMES)
    ]
