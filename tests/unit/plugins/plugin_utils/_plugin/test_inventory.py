# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hosts by patterns: a name that nothing has is an error, whatever it was to do."""

from __future__ import annotations

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.inventory import matching

GROUPS = {
    "all": ["gpu1", "gpu2", "gpu12"],
    "ungrouped": ["gpu12"],
    "pool": ["gpu1", "gpu2"],
    "spares": [],
}


def chosen(patterns, groups=None):
    return matching("report_hosts", patterns, groups or GROUPS, DataLoader())


@pytest.mark.parametrize(
    ("patterns", "hosts"),
    [
        ("all", ["gpu1", "gpu2", "gpu12"]),
        ("pool", ["gpu1", "gpu2"]),
        (["pool", "ungrouped"], ["gpu1", "gpu2", "gpu12"]),
        ("gpu1", ["gpu1"]),
        ("pool:!gpu1", ["gpu2"]),
        (["pool,gpu12", "&pool"], ["gpu1", "gpu2"]),
        ("gpu1 gpu2", ["gpu1", "gpu2"]),
        (["gpu?", "gpu12"], ["gpu1", "gpu2", "gpu12"]),
        ("~gpu.$", ["gpu1", "gpu2"]),
        ("pool[0]", ["gpu1"]),
        ("all:!pool[0]", ["gpu2", "gpu12"]),
        ("all:!~gpu.$", ["gpu12"]),
        ("all:&gpu?", ["gpu1", "gpu2"]),
        ("!gpu1", ["gpu2", "gpu12"]),
        ("all:!spares", ["gpu1", "gpu2", "gpu12"]),
        # It is in the inventory, and may have hosts tomorrow.
        ("spares,gpu1", ["gpu1"]),
        ("spares", []),
        # Of a shell's variable that is not set.
        ("", []),
        ([", ", ""], []),
        (None, []),
    ],
)
def test_patterns_are_those_of_a_play(patterns, hosts):
    assert chosen(patterns) == hosts


@pytest.mark.parametrize(
    ("patterns", "hosts"), [("fe80::1", ["fe80::1"]), (["all,!fe80::1"], ["gpu1"])]
)
def test_a_host_may_be_named_by_its_address(patterns, hosts):
    assert chosen(patterns, {"all": ["gpu1", "fe80::1"]}) == hosts


@pytest.mark.parametrize(
    ("patterns", "wrong"),
    [
        ("gpu", "gpu"),
        ("gpu1,gpu3", "gpu3"),
        (["gpu1", "gpu3"], "gpu3"),
        ("all:!gpu3", "gpu3"),
        ("all:&pol", "pol"),
        ("gpu3*", "gpu3*"),
        ("~x", "~x"),
        ("spares[3]", "spares[3]"),
        # One operator is taken off, as Ansible does: nobody has a name with another one.
        ("pool:!!gpu1", "!gpu1"),
        ("pool:!&gpu1", "&gpu1"),
        ("all:&&pool", "&pool"),
        (["all", "&!pool"], "!pool"),
        # Of a variable that is empty, and of a blank too many.
        ("all:!", "!"),
        ("all:&", "&"),
        (["all", "!"], "!"),
        ("!", "!"),
        ("all:! gpu1", "!"),
        ("! gpu1", "!"),
        (["all,! gpu1"], " gpu1"),
        ("~", "~"),
        ("all:!~", "~"),
        # Between commas a blank or a colon separates nothing.
        (["all,!gpu1 gpu2"], "gpu1 gpu2"),
        (["all,!gpu1:gpu2"], "gpu1:gpu2"),
    ],
)
def test_a_name_that_nothing_has_is_an_error(patterns, wrong):
    with pytest.raises(FleetError) as raised:
        chosen(patterns)
    assert f"matches {wrong!r}, which report_hosts has" in str(raised.value)


@pytest.mark.parametrize("patterns", [{"gpu1": True}, 7])
def test_what_is_no_list_of_patterns_is_an_error(patterns):
    with pytest.raises(FleetError, match=r"report_hosts is .*; expected a list"):
        chosen(patterns)
