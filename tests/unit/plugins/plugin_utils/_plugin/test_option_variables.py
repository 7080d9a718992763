# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The variables that are options, and those with names that are nearly such."""

from __future__ import annotations

from unittest import mock

import pytest
from ansible.errors import AnsibleError, AnsibleUndefinedVariable
from ansible_collections.vfio.migration.plugins.action import (
    maintain_step,
    migrate_libvirt_step,
    report_step,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.option_variables import (
    misspelt,
    naming_variables,
    options_of,
    undefined,
)

PLAYBOOKS = (
    *("audit", "candidates", "capture", "cleanup"),
    *("maintain", "migrate_libvirt", "prepare", "report"),
)


@pytest.mark.parametrize(
    ("playbook", "name", "meant"),
    [
        ("prepare", "prepare_tragets", "prepare_targets"),
        ("prepare", "prepare_target", "prepare_targets"),
        ("report", "report_drian", "report_drain"),
        ("migrate_libvirt", "migrate_libvirt_max_failure", "migrate_libvirt_max_failures"),
        ("maintain", "maintain_at_one", "maintain_at_once"),
        ("cleanup", "cleanup_host", "cleanup_hosts"),
        ("audit", "audit_host", "audit_hosts"),
        ("capture", "capture_host", "capture_hosts"),
        ("candidates", "candidates_directoin", "candidates_direction"),
        ("candidates", "candidate_guest", "candidates_guest"),
    ],
)
def test_a_misspelt_option_is_named_with_the_one_that_there_is(playbook, name, meant):
    [words] = misspelt(playbook, {name: ["hv2"], "inventory_hostname": "localhost"})
    assert words == (
        f"the playbook vfio.migration.{playbook} does not read the variable {name}; did you mean {meant}?"
    )


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_options_and_what_is_nothing_like_one_are_not_named(playbook):
    names = [f"{playbook}_hosts", f"{playbook}_notes", "tragets"]
    names += [f"{other}_hosts" for other in PLAYBOOKS]
    assert [*misspelt(playbook, dict.fromkeys(names, "x"))] == []


def filled_in(value):
    """As Ansible does with a value that uses a variable of this name, or says that it is to be left out."""
    if value == "{{ nowhere }}":
        # As ansible-core before 2.19 says it.
        raise AnsibleUndefinedVariable("'nowhere' is undefined. 'nowhere' is undefined")
    if value == "{{ 1 / 0 }}":
        raise ZeroDivisionError
    if value == "{{ omit }}":
        raise AnsibleError("a value is omitted")
    return value


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_each_option_with_an_undefined_variable_is_named(playbook):
    options = sorted(options_of(playbook))
    assert len(options) > 1
    for option in options:
        variables = dict.fromkeys(options, "{{ omit }}") | {option: "{{ nowhere }}"}
        [words] = undefined(options, variables, filled_in)
        assert words == f"{option} has no value: 'nowhere' is undefined"
        # Where it has been read, Ansible has said so.
        assert [*undefined({*options} - {option}, variables, filled_in)] == []


def test_a_value_that_fails_is_for_the_task_that_reads_it():
    assert [*undefined(["report_drain"], {"report_drain": "{{ 1 / 0 }}"}, filled_in)] == []


@pytest.mark.parametrize(
    ("action", "option", "is_read"),
    [
        (maintain_step, "prepare_avoid", True),
        (maintain_step, "prepare_drain", False),
        (maintain_step, "prepare_targets", False),
        (migrate_libvirt_step, "prepare_from", True),
        (migrate_libvirt_step, "prepare_capacity", True),
        (migrate_libvirt_step, "prepare_guests", False),
        (migrate_libvirt_step, "prepare_targets", False),
        (report_step, "prepare_avoid", False),
    ],
)
def test_of_other_playbooks_only_what_is_read_may_not_be_undefined(action, option, is_read):
    """Group variables for ``prepare`` may use what only its own runs define."""
    task = mock.Mock(args={"step": "begin"}, async_val=0, check_mode=False)
    templar = mock.Mock(template=filled_in)
    parts = [mock.Mock() for _part in range(4)]
    step = action.ActionModule(task, *parts[:3], templar, parts[3])
    result = step.run(task_vars={"hostvars": {}, "groups": {"all": []}, option: "{{ nowhere }}"})
    assert (f"{option} has no value" in result.get("msg", "")) is is_read


@pytest.mark.parametrize(
    ("playbook", "name"),
    [("audit", "auditd_record"), ("report", "reports_dest"), ("prepare", "prepared_host")],
)
def test_variables_of_others_are_not_named(playbook, name):
    assert [*misspelt(playbook, {name: "x"})] == []


def test_what_tasks_have_registered_is_not_named():
    registered = {"changed": False, "msg": "x"}
    for value in (registered, {}):
        assert [*misspelt("report", {"report_gathered": value})] == []
    assert len([*misspelt("report", {"report_gathered": "hv1"})]) == 1


def test_a_name_is_shown_as_it_can_be_printed():
    [words] = misspelt("report", {"report_drain\x1b": "hv1"})
    assert r"report_drain\x1b;" in words


def begun(**changes):
    """Return the result of the first step of ``report`` with other values of its options."""
    arguments = {"step": "begin", "hosts": ["hv1"], "gather": False, "dest": "report", "title": "A"}
    task = mock.Mock(args=arguments | changes, async_val=0, check_mode=False)
    action = report_step.ActionModule(task, *(mock.Mock() for _part in range(5)))
    groups = {"all": ["hv1"], "ungrouped": ["hv1"]}
    return action.run(task_vars={"hostvars": {"hv1": {}}, "groups": groups, "report_drian": "hv1"})


def test_the_first_step_warns_and_goes_on():
    result = begun()
    assert result["hosts"] == ["hv1"]
    [warning] = result["warnings"]
    assert "report_drian" in warning


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_age": "a day"}, "argument 'report_max_age' is of type"),
        ({"policy": "quick"}, "value of report_policy must be one of: pack, spread, got: quick"),
        # This one is none of the playbook's.
        ({"diff": "perhaps"}, "argument 'diff' is of type"),
    ],
)
def test_a_wrong_value_is_named_with_its_variable(options, words):
    result = begun(**options)
    assert result["failed"]
    assert words in result["msg"]


def test_a_value_that_looks_like_an_option_is_left_as_it_is():
    message = "value of policy must be one of: pack, spread, got: 'hosts'"
    assert naming_variables("report", message) == (
        "value of report_policy must be one of: pack, spread, got: 'hosts'"
    )
