# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Each kind of device is in all that has an entry per kind."""

from __future__ import annotations

import typing as t

import pytest
from ansible.module_utils.common.yaml import yaml_load
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.identifiers import KINDS
from ansible_collections.vfio.migration.plugins.modules import vfio_migration_facts
from ansible_collections.vfio.migration.plugins.plugin_utils import contract
from ansible_collections.vfio.migration.plugins.plugin_utils._executors import guests
from ansible_collections.vfio.migration.plugins.plugin_utils._planner import verify_document
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.preparation import TASKS
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.left_behind import (
    EACH_REMOVED,
    REMOVED,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.preparing import MADE

PER_KIND = {
    "the choices of vfio_migration_facts": yaml_load(vfio_migration_facts.DOCUMENTATION)["options"][
        "kinds"
    ]["choices"],
    "the tasks of a plan": [each.kind for each in TASKS],
    "the tasks that the verifier looks for": verify_document._LISTS,
    "the results of the role prepare": MADE,
    "the results of the role cleanup": REMOVED,
    "its results for single devices": EACH_REMOVED,
    "the names that go to executors": guests._IDS,
}


@pytest.mark.parametrize("name", PER_KIND)
def test_each_kind_has_an_entry(name):
    assert [*PER_KIND[name]] == [*KINDS]


def test_the_lists_of_a_plan_are_those_of_its_kinds():
    lists = t.get_type_hints(contract.HostTasks)
    assert {each.key for each in TASKS} == {*lists}
