# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plans that are handed over: big ones are checked soon, and where one is none is told whatever is wrong with it."""

from __future__ import annotations

import json
import typing as t

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.handed_over import (
    check_moves,
    check_plan,
    check_tasks,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.plan_file import stamped
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.plan_options import plan_for
from ansible_collections.vfio.migration.tests.unit.fleets import UUIDS, device, host, parent
from ansible_collections.vfio.migration.tests.unit.fuzzing import damaged, limits, through
from hypothesis import given

FLEET = {
    "a": host([device(UUIDS[0], vm="vm-1", pid=1), device(UUIDS[1], vm="vm-2", pid=2)]),
    "b": host(parents=[parent()]),
}
PLAN: t.Any = json.loads(json.dumps(stamped(plan_for(FLEET, ["a"]), {"localhost": {}})))
MOVES = 20_000


class Text(str):
    """A text as newer versions of Ansible have them: with what it comes from."""

    __slots__ = ()


def as_ansible_has_it(value: t.Any) -> t.Any:
    if isinstance(value, str):
        return Text(value)
    if isinstance(value, dict):
        return {Text(key): as_ansible_has_it(each) for key, each in value.items()}
    return [as_ansible_has_it(each) for each in value] if isinstance(value, list) else value


def test_a_plan_is_one_whatever_its_texts_are_made_of():
    for plan in (PLAN, as_ansible_has_it(PLAN)):
        check_plan("earlier", plan)
        check_moves(plan)
        check_tasks(plan)


@pytest.mark.parametrize("check", [lambda plan: check_plan("earlier", plan), check_moves])
def test_a_plan_of_many_moves_is_checked_in_seconds(check):
    plan = {**PLAN, "placements": PLAN["placements"] * (MOVES // len(PLAN["placements"]))}
    # Only the last is wrong, so that it is found when all are checked.
    plan["placements"][-1] = {**plan["placements"][-1], "target": None}
    with limits(), pytest.raises(FleetError, match=r"at placements\[19999\]\.target a mapping is"):
        check(plan)


@given(damaged(PLAN))
def test_what_is_wrong_with_a_plan_is_told_or_it_is_one_in_texts_of_any_making(plan):
    def told(given_plan: t.Any) -> str | None:
        try:
            check_plan("earlier", given_plan)
        except FleetError as error:
            return str(error)
        return None

    assert told(plan) == told(as_ansible_has_it(plan))
    through(lambda: check_plan("earlier", plan), FleetError)
