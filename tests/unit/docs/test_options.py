# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""One thing is asked for with one option, of modules, filters, actions, roles and playbooks alike."""

from __future__ import annotations

import ast
import importlib
import re
import typing as t
from pathlib import Path

import pytest
from ansible.errors import AnsibleFilterError
from ansible.module_utils.common.yaml import yaml_load
from ansible_collections.vfio.migration.plugins.filter.candidates import candidates
from ansible_collections.vfio.migration.plugins.filter.migration_plan import migration_plan
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import OPTIONS
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.headroom_options import (
    CONDITIONS,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.plan_arguments import ARGUMENTS
from ansible_collections.vfio.migration.tests.unit.fleets import UUIDS, device, host, parent

ROOT = Path(__file__).parents[3]
RUNTIME = yaml_load((ROOT / "meta/runtime.yml").read_text())
GROUP = RUNTIME["action_groups"]["vfio"]
WHAT_TO_MOVE = {"drain", "guests", "devices"}
CHANGING = {"vfio_mdev": "uuid", "vfio_pci": "address", "vdpa_device": "name"}
FLEET = {
    "a": host([device(UUIDS[0], vm="vm-1", pid=7)]),
    "b": host(parents=[parent()]),
}


def argument_spec(module: str) -> dict[str, t.Any]:
    """Return the argument spec of a module, with values that are no literals as ``None``."""
    tree = ast.parse((ROOT / f"plugins/modules/{module}.py").read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "argument_spec":
            return t.cast("dict[str, t.Any]", literal(node.value))
    raise AssertionError(f"{module} has no argument spec")


def literal(node: ast.AST) -> t.Any:
    if isinstance(node, ast.Dict):
        return {
            literal(key): literal(value) for key, value in zip(node.keys, node.values, strict=True)
        }
    if isinstance(node, ast.List):
        return [literal(each) for each in node.elts]
    return node.value if isinstance(node, ast.Constant) else None


def role_options(role: str) -> set[str]:
    """Return the options of a role, without the role's name before them."""
    specs = yaml_load((ROOT / f"roles/{role}/meta/argument_specs.yml").read_text())
    names = {name for spec in specs["argument_specs"].values() for name in spec.get("options", ())}
    return {name.removeprefix(f"{role}_") for name in names}


@pytest.mark.parametrize("module", GROUP)
def test_each_module_of_the_group_takes_its_common_options(module):
    spec = argument_spec(module)
    assert {"sysfs", "timeout"} <= spec.keys()
    assert (spec["sysfs"]["type"], spec["timeout"]["type"]) == ("path", "int")


@pytest.mark.parametrize(("module", "name"), CHANGING.items())
def test_each_module_that_changes_devices_takes_them_as_facts_have_them(module, name):
    options = argument_spec(module)["devices"]["options"]
    taken = {each for n, option in options.items() for each in (n, *option.get("aliases", ()))}
    assert {"id", "uuid", "address", "name", "parent", "attributes", "accept"} <= taken
    assert options[name]["required"]


@pytest.mark.parametrize("role", ["prepare", "report"])
def test_a_role_that_plans_has_the_options_of_a_plan(role):
    asked = OPTIONS.keys() | WHAT_TO_MOVE | {"sources"}
    # A place that a guest of the same plan leaves cannot be prepared before that has moved.
    asked -= {"reuse"} if role == "prepare" else set()
    assert asked <= role_options(role)


def test_the_audit_has_the_conditions_of_headroom_and_names_them():
    text = (ROOT / "playbooks/audit.yml").read_text(encoding="utf-8")
    comments = " ".join(line for line in text.splitlines() if line.startswith("#"))
    for name in CONDITIONS:
        assert re.search(rf"\baudit_{name}\b", comments)
        assert f'{name}: "{{{{ audit_{name} | default(omit) }}}}"' in text


def test_the_filter_has_the_options_of_the_action():
    module = importlib.import_module(
        "ansible_collections.vfio.migration.plugins.filter.migration_plan"
    )
    fragment = importlib.import_module(
        "ansible_collections.vfio.migration.plugins.doc_fragments._plan"
    )
    own = yaml_load(module.DOCUMENTATION).get("options") or {}
    shared = yaml_load(fragment.ModuleDocFragment.DOCUMENTATION)["options"]
    shared |= yaml_load(fragment.ModuleDocFragment.CONDITIONS)["options"]
    shared |= yaml_load(fragment.ModuleDocFragment.CAPACITY)["options"]
    shared |= yaml_load(fragment.ModuleDocFragment.MOVES)["options"]
    assert ARGUMENTS.keys() <= own.keys() | shared.keys() | {"hosts", "max_age"}
    plan = migration_plan(FLEET, guests=["vm-1"])
    assert plan["placements"][0]["target"]["host"] == "b"


def test_which_guest_is_judged_is_asked_as_what_is_moved():
    asked = (
        {"drain": ["a"]},
        {"guests": ["vm-1"]},
        {"devices": [{"host": "a", "id": UUIDS[0]}]},
    )
    expected = candidates(FLEET, "vm-1", targets=["b"])
    for each in asked:
        assert candidates(FLEET, targets=["b"], **each).get("guests") == [expected]
    (found,) = candidates(FLEET, drain=["a"]).get("guests", [])
    assert [each["host"] for each in found["hosts"]] == ["b"]
    for wrong in ({}, {"source": "vm-1", "drain": ["a"]}, {"drain": ["a"], "guests": ["vm-1"]}):
        with pytest.raises(AnsibleFilterError, match="give exactly one of them"):
            candidates(FLEET, **wrong)
    playbook = (ROOT / "playbooks/candidates.yml").read_text()
    assert {*re.findall(r"candidates_(\w+)", playbook)} >= WHAT_TO_MOVE


@pytest.mark.parametrize("path", sorted(ROOT.glob("roles/*/meta/main.yml")), ids=str)
def test_a_role_describes_itself_in_one_way(path):
    specs = yaml_load((path.parent / "argument_specs.yml").read_text())
    described = yaml_load(path.read_text())["galaxy_info"]["description"]
    assert described == specs["argument_specs"]["main"]["short_description"]
