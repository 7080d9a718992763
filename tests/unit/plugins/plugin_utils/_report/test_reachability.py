# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where devices could go: the same as the planner finds for each of them alone."""

from __future__ import annotations

from ansible_collections.vfio.migration.plugins.plugin_utils._compat.verdict import DIRECTIONS
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import read_fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.planner import make_plan
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import (
    Conditions,
    Guest,
    Request,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.report_options import (
    report_for,
)
from ansible_collections.vfio.migration.tests.unit.report_fleets import fleets
from hypothesis import given
from hypothesis import strategies as st


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
