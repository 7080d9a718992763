# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Actions that answer as the filter of their name does, and write the answer down."""

from __future__ import annotations

import importlib
import json
import typing as t
from unittest import mock

import pytest
from ansible_collections.vfio.migration.plugins.filter.candidates import candidates
from ansible_collections.vfio.migration.plugins.filter.migration_headroom import (
    migration_headroom,
)
from ansible_collections.vfio.migration.tests.unit.fleets import host, vf

FLEET: dict[str, t.Any] = {"a": host([vf(0, "vm-1", pid=1)]), "b": host([vf(0)]), "c": host([])}
CASES = (
    ("candidates", "candidates", {"source": "vm-1"}, lambda: candidates(FLEET, "vm-1")),
    ("migration_headroom", "headroom", {}, lambda: migration_headroom(FLEET)),
)
each_action = pytest.mark.parametrize(("name", "asked", "options", "by_filter"), CASES)


def run(name: str, check_mode: bool = False, **options: t.Any) -> dict[str, t.Any]:
    module = importlib.import_module(f"ansible_collections.vfio.migration.plugins.action.{name}")
    task = mock.Mock(
        args=options, async_val=0, check_mode=check_mode, action=f"vfio.migration.{name}"
    )
    action = module.ActionModule(task, *[mock.Mock() for _argument in range(5)])
    result: dict[str, t.Any] = action.run(task_vars={"hostvars": FLEET})
    return result


@each_action
def test_the_answer_is_that_of_the_filter(name, asked, options, by_filter):
    result = run(name, **options)
    assert result[asked] == by_filter()
    assert result["sentences"] == by_filter()["sentences"]
    assert result["changed"] is False


@each_action
def test_the_answer_goes_to_a_file_once(tmp_path, name, asked, options, by_filter):
    dest = tmp_path / "new" / "answer.json"
    assert run(name, check_mode=True, dest=str(dest), **options)["changed"] is True
    assert not dest.exists()
    result = run(name, dest=str(dest), **options)
    assert (result["changed"], result["dest"]) == (True, str(dest))
    assert asked not in result
    assert json.loads(dest.read_text()) == by_filter()
    assert run(name, dest=str(dest), **options)["changed"] is False


def assert_refused(result: dict[str, t.Any], name: str, told: str) -> None:
    """Check that the action ``name`` has failed with a message, and no exception."""
    assert result["failed"] is True
    assert result["msg"].startswith(f"vfio.migration.{name}: ")
    assert told in result["msg"]
    assert "exception" not in result


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("candidates", {"source": "vm-7"}, "no guest or device in the fleet's facts is 'vm-7'"),
        ("candidates", {}, "give exactly one of them"),
        ("migration_headroom", {"failure_domains": {"rack": ["gone"]}}, "gone"),
    ],
)
def test_what_cannot_be_answered_is_a_message_and_no_exception(name, options, told):
    assert_refused(run(name, **options), name, told)


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("candidates", {"source": "vm-1", "direction": "sideways"}, "value of direction must be"),
        ("candidates", {"source": "vm-1", "dest": ["a"]}, "dest is ['a']; expected text"),
        ("migration_headroom", {"failure_domains": "gone"}, "failure_domains"),
        ("migration_plan", {"drain": ["a"], "policy": "none"}, "value of policy must be"),
        (
            "migration_plan",
            {"drain": ["a"], "dest": "/dev/null/plan"},
            "cannot read /dev/null/plan",
        ),
        ("migration_report", {"direction": "sideways"}, "value of direction must be"),
        ("migration_report", {"title": {}}, "title is {}; expected text"),
        ("libvirt_migrate", {"uuid": "u", "step": "sideways"}, "value of step must be"),
        ("libvirt_migrate", {"uuid": "u"}, "give the option plan"),
        ("libvirt_migrate_guests", {}, "missing required arguments"),
        ("vfio_capture", {"dest": "a", "fetch_to": "b"}, "give either dest"),
        ("host_command", {}, "missing required arguments: argv"),
    ],
)
def test_an_argument_that_is_refused_is_a_message_and_no_exception(name, options, told):
    assert_refused(run(name, **options), name, told)
