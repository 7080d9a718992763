# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Groups of hosts that are alike."""

from __future__ import annotations

from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import read_fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.report_options import (
    report_for,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._report.host_groups import (
    MAX_GROUPS,
    group_hosts,
)
from ansible_collections.vfio.migration.tests.unit.fleets import (
    device,
    gvt,
    host,
    parent,
)


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


def test_the_rest_is_one_group_where_there_would_be_too_many():
    facts = {f"host{n:03}": host(parents=[parent(driver=f"driver{n}")]) for n in range(MAX_GROUPS)}
    assert len(group_hosts(read_fleet(facts))) == MAX_GROUPS
    facts |= {f"more{n}": host(parents=[parent(driver=f"other{n}")]) for n in range(2)}
    facts["same"] = facts["host007"]
    groups = group_hosts(read_fleet(facts))
    assert len(groups) == MAX_GROUPS
    assert [each.name for each in groups[0].hosts] == ["host007", "same"]
    assert [len(groups[-1].hosts), groups[-1].mixed] == [3, True]
    assert not any(each.mixed for each in groups[:-1])
