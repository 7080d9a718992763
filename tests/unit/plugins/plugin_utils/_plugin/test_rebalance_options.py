# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The arguments of the filter ``rebalance_plan``."""

from __future__ import annotations

import json
import typing as t

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.plan_options import plan_for
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.rebalance_options import (
    rebalance_for,
)
from ansible_collections.vfio.migration.tests.unit.fleets import host, vf


@pytest.fixture
def fleet() -> dict:
    return {
        "a": host([vf(number, f"vm-{number}") for number in range(3)]),
        "b": host([vf(0), vf(1)]),
        "c": host([vf(0), vf(1)]),
    }


def test_options_are_named_as_on_a_command_line(fleet):
    found: t.Any = rebalance_for(fleet, "2", hosts="a, b", limit="1", keep_kind="yes")
    assert [each["host"] for each in found["loads"]] == ["a", "b"]
    assert (found["moves"], found["max_moves"]) == (1, 2)
    assert found["plan"]["conditions"]["keep_kind"] is True


def test_the_plan_holds_as_an_earlier_one_and_keeps_its_targets(fleet):
    plan = json.loads(json.dumps(rebalance_for(fleet, 2)["plan"]))
    again = plan_for(fleet, earlier=plan, sources=plan["request"]["sources"])
    assert again["map"] == plan["map"]
    assert again["changes"] == []


def in_two_waves() -> t.Any:
    """Return hosts of which one takes a guest with two functions only after its own one has moved."""
    staying = [vf(2, "vm-2"), vf(3, "vm-3")]
    for each in staying:
        each["migration"] = {**each["migration"], "supported": False}
    return {
        "a": host([vf(0, "vm-two", pid=1), vf(1, "vm-two", pid=1), *staying]),
        "b": host([vf(0, "vm-b"), vf(1)]),
        "c": host([vf(0)]),
    }


def test_a_plan_in_waves_keeps_its_targets_wave_by_wave():
    facts = in_two_waves()
    plan = json.loads(json.dumps(rebalance_for(facts, 2, reuse="yes")["plan"]))
    again = plan_for(facts, earlier=plan, sources=plan["request"]["sources"])
    assert (again["placements"], again["changes"]) == (plan["placements"], [])
    # The first wave has moved.
    b, c = facts["b"]["devices"][0], facts["c"]["devices"][0]
    b["in_use"], c["in_use"] = None, b["in_use"]
    again = plan_for(facts, earlier=plan, guests=["vm-two"])
    later = [each for each in plan["placements"] if each["wave"] == 2]
    assert again["placements"] == [{**each, "wave": 1} for each in later]
    assert again["changes"] == []


def test_hosts_that_did_not_answer_are_left_out(fleet):
    found = rebalance_for(fleet, 2, left_out={"b": "it is down"})
    assert {each["target"]["host"] for each in found["plan"]["placements"]} == {"c"}
    assert found["plan"]["unknown"] == ["b"]
    assert [each["host"] for each in found["loads"]] == ["a", "c"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "max_moves is not given; expected how many guests may move"),
        ({"max_moves": "some"}, "max_moves is 'some'; expected a number of guests"),
        ({"max_moves": -1}, "max_moves is -1; expected a number of guests"),
        ({"max_moves": 1, "policy": "pack"}, "there is no option policy"),
        ({"max_moves": 1, "reuse": "perhaps"}, "reuse is 'perhaps'"),
        (
            {"max_moves": 1, "measure": "all"},
            "measure is 'all'; expected one of even, cards, largest",
        ),
        ({"max_moves": 1, "measure": "largest"}, "device_type is given with the measure largest"),
        ({"max_moves": 1, "device_type": "v"}, "device_type is given with the measure largest"),
        (
            {"max_moves": 1, "measure": "largest", "device_type": "w"},
            "device_type is 'w', and no host has a device or a parent with it",
        ),
        (
            {"max_moves": 1, "measure": "largest", "device_type": ["v"]},
            r"device_type has \['v'\]; expected names",
        ),
        ({"max_moves": 1, "avoid": [{"host": "x"}]}, "avoid has 'x', and there is no host"),
    ],
)
def test_what_cannot_be_asked_is_an_error(fleet, options, message):
    with pytest.raises(FleetError, match=message):
        rebalance_for(fleet, **options)
