# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""One list of conditions: the fields of ``Conditions``, as filter, action, documentation and roles have them."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
from ansible.module_utils.common.yaml import yaml_load
from ansible_collections.vfio.migration.plugins.doc_fragments import _fleet, _plan
from ansible_collections.vfio.migration.plugins.filter import migration_plan as filter_module
from ansible_collections.vfio.migration.plugins.modules import migration_plan as module
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import (
    OPTIONS,
    Conditions,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.plan_options import (
    ARGUMENTS,
    plan_for,
)
from ansible_collections.vfio.migration.tests.unit.fleets import UUIDS, device, host, parent

ROOT = Path(__file__).parents[5]
FLEET = {"a": host([device(UUIDS[0])]), "b": host(parents=[parent()])}
ROLES = ("prepare", "report")


def options_in(text: str) -> dict:
    return yaml_load(text)["options"]


def specified(options: dict) -> dict:
    """Return the options without their descriptions."""
    return {
        name: {key: value for key, value in option.items() if key != "description"}
        for name, option in options.items()
    }


def test_the_documentation_has_every_argument():
    shared = options_in(_plan.ModuleDocFragment.DOCUMENTATION)
    shared |= options_in(_plan.ModuleDocFragment.CONDITIONS)
    of_filter = options_in(_fleet.ModuleDocFragment.FLEET)
    of_module = options_in(module.DOCUMENTATION)
    shared |= options_in(_fleet.ModuleDocFragment.MAX_AGE)
    assert specified(shared | {"hosts": of_filter["hosts"]}) == ARGUMENTS
    assert specified(shared | {"hosts": of_module["hosts"]}) == ARGUMENTS


def test_the_filter_takes_every_argument_and_those_that_are_positional_in_their_order():
    parameters = inspect.signature(filter_module.migration_plan).parameters
    named = [name for name, each in parameters.items() if each.kind is not each.VAR_KEYWORD]
    positional = yaml_load(filter_module.DOCUMENTATION)["positional"].split(", ")
    assert named[1:] == positional[1:]
    assert set(named[1:]) <= ARGUMENTS.keys()
    rest = dict.fromkeys(ARGUMENTS.keys() - {"drain"})
    assert filter_module.migration_plan(FLEET, drain=["a"], **rest)["status"] == "optimal"


@pytest.mark.parametrize("role", ROLES)
def test_roles_have_every_condition(role):
    specs = yaml_load((ROOT / "roles" / role / "meta/argument_specs.yml").read_text())
    options = specs["argument_specs"]["main"]["options"]
    expected = {f"{role}_{name}": option.spec for name, option in OPTIONS.items()}
    found = {name: specified(options)[name] for name in expected}
    defaults = {
        name.removeprefix(f"{role}_"): option.pop("default", None) for name, option in found.items()
    }
    assert found == expected
    assert Conditions.parse(defaults) == Conditions()


def test_an_option_that_there_is_not_is_refused_by_name():
    with pytest.raises(FleetError, match="there is no option polcy"):
        plan_for(FLEET, ["a"], polcy="pack")


def test_what_is_not_given_is_as_an_earlier_plan_had_it_but_for_what_is_of_one_request():
    earlier = Conditions.parse({"policy": "spread", "limit": "3", "avoid": [{"host": "x"}]})
    again = Conditions.parse({"limit": 4}, earlier.lasting() | {"avoid": [{"host": "x"}]})
    assert again == Conditions(policy="spread", limit=4)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("direction", "upwards"),
        ("policy", "squeeze"),
        ("limit", "many"),
        ("limit", {"a": -1}),
        ("apart", "vm-1"),
        ("numa_local", "perhaps"),
        ("reuse", "perhaps"),
        ("avoid", ["a"]),
        ("drain", {"a": 1}),
        ("targets", 7),
    ],
)
def test_a_condition_that_is_none_is_refused_by_name(option, value):
    with pytest.raises(FleetError, match=option):
        Conditions.parse({option: value})


@pytest.mark.parametrize(
    "named",
    [
        {"guests": "vm-1"},
        {"guests": ["vm-1"]},
        {"devices": [{"host": "a", "id": UUIDS[0]}]},
        {"guests": ["vm-1"], "devices": [{"host": "a", "id": UUIDS[0]}]},
    ],
)
def test_guests_and_devices_are_named_alike_everywhere(named):
    fleet = {"a": host([device(UUIDS[0], vm="vm-1")]), "b": host(parents=[parent()])}
    plan = plan_for(fleet, **named)
    assert [each["vm"] for each in plan["placements"]] == ["vm-1"]
    assert plan["placements"] == plan_for(fleet, sources=["vm-1"])["placements"]
    assert plan_for(fleet, **plan["request"])["request"] == plan["request"]
