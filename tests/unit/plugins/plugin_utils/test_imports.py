# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a playbook has no need of is not imported for it: Ansible compiles each file of a collection in each run."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PLUGINS = Path(__file__).parents[4] / "plugins"
PREFIX = "ansible_collections.vfio.migration.plugins."


def file_of(module: str) -> Path:
    return PLUGINS / f"{module.replace('.', '/')}.py"


def imported_by(module: str) -> set[str]:
    """Return the modules that ``module`` imports when it is loaded itself."""
    found = set()
    for node in ast.parse(file_of(module).read_text()).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PREFIX):
            package = (node.module or "").removeprefix(PREFIX)
            named = {f"{package}.{each.name}" for each in node.names}
            found |= {each if file_of(each).is_file() else package for each in named}
    return found


def loaded_with(module: str) -> set[str]:
    """Return all modules that are loaded with ``module``."""
    loaded: set[str] = set()
    left = {module}
    while left:
        loaded |= left
        left = {each for one in left for each in imported_by(one)} - loaded
    return {each.removeprefix("plugin_utils.") for each in loaded}


def test_what_is_loaded_is_found():
    loaded = loaded_with("action.prepare_step")
    assert {"_plugin.preparing", "_planner.planner", "_packing.search", "contract"} <= loaded


@pytest.mark.parametrize(
    ("action", "unneeded"),
    [
        (
            "report_step",
            {
                "_packing.search",
                "_planner.planner",
                "_planner.previous_plan",
                "_planner.solution",
                "_planner.unplaced",
                "_planner.verify",
                "_planner.waves",
                "_report.plan_section",
            },
        ),
        (
            "prepare_step",
            {
                "_libvirt.info",
                "_packing.branch_and_bound",
                "_packing.local_search",
                "_packing.mip_model",
                "_planner.assumptions",
                "_planner.shortages",
                "_planner.unplaced",
                "_plugin.memory_of_now",
                "_report.document",
            },
        ),
    ],
)
def test_what_few_runs_need_is_not_loaded_by_all(action, unneeded):
    assert all(file_of(f"plugin_utils.{each}").is_file() for each in unneeded)
    assert loaded_with(f"action.{action}") & unneeded == set()
