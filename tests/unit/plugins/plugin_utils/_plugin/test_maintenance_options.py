# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The arguments of the filter ``maintenance_plan``."""

from __future__ import annotations

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.maintenance_options import (
    maintenance_for,
)
from ansible_collections.vfio.migration.tests.unit.fleets import host, vf


@pytest.fixture
def fleet() -> dict:
    return {
        "a": host([vf(0, "vm-1", pid=1)]),
        "b": host([vf(0, "vm-2", pid=1)]),
        "c": host([vf(0), vf(1)]),
    }


def test_hosts_are_named_as_on_a_command_line(fleet):
    plan = maintenance_for(fleet, "a, b", at_once="2", keep_order="yes")
    assert [each["hosts"] for each in plan["steps"]] == [["a", "b"]]
    assert plan["order_is"] == "given"


def test_hosts_that_have_come_back_receive_nothing_if_so_asked(fleet):
    assert maintenance_for(fleet, ["a", "b"], use_returned=False)["status"] == "optimal"
    fleet["c"] = host([vf(0)])
    assert maintenance_for(fleet, ["a", "b"])["steps"][1]["returned"] == ["a"]
    assert maintenance_for(fleet, ["a", "b"], use_returned="no")["status"] != "optimal"


def test_hosts_that_did_not_answer_are_left_out(fleet):
    plan = maintenance_for(fleet, ["a", "b"], left_out={"c": "it is down"})
    assert (plan["status"], plan["unknown"]) == ("unproven", ["c"])
    with pytest.raises(FleetError, match="cannot drain c: it is down"):
        maintenance_for(fleet, ["c"], left_out={"c": "it is down"})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "emptied is not given; expected the hosts"),
        ({"emptied": ["a"], "reuse": True}, "there is no option reuse"),
        ({"emptied": ["a"], "at_once": "some"}, "at_once is 'some'; expected a number of hosts"),
        ({"emptied": ["a"], "avoid": [{"host": "x"}]}, "avoid has 'x', and there is no host"),
        ({"emptied": ["a"], "targets": ["x"]}, "targets has 'x', and there is no host"),
        ({"emptied": ["a"], "keep_order": "some"}, "keep_order is 'some'; expected true or false"),
    ],
)
def test_what_cannot_be_asked_is_an_error(fleet, options, message):
    with pytest.raises(FleetError, match=message):
        maintenance_for(fleet, **options)
