# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What of a module's answer is let in."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.action import ActionBase
from ansible_collections.vfio.migration.plugins.action import (
    vdpa_device,
    vfio_mdev,
    vfio_migration_facts,
    vfio_pci,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.answers import (
    MAX_DEPTH,
    documented,
)

MODULES = Path(__file__).parents[5] / "plugins/modules"


def test_nothing_but_what_is_documented_is_let_in():
    answer = {
        "changed": True,
        "devices": [],
        "ansible_facts": {
            "vfio_migration": {},
            "inventory_hostname": "b",
            "prepare_dest": "/etc/passwd",
            "discovered_interpreter_python": "/usr/bin/python3",
        },
        "add_host": {"host_name": "b"},
        "ansible_stats": {"data": {}},
        "item": 1,
        "stdout": "",
    }
    assert documented(answer, {"devices"}) == {
        "changed": True,
        "devices": [],
        "ansible_facts": {"discovered_interpreter_python": "/usr/bin/python3"},
    }
    facts = documented(answer, (), {"vfio_migration"})["ansible_facts"]
    assert facts.keys() == {"vfio_migration", "discovered_interpreter_python"}


@pytest.mark.parametrize(
    "key",
    ["changed", "failed", "skipped", "unreachable", "msg", "rc", "diff", "invocation", "warnings"],
)
def test_what_ansible_reads_itself_is_of_its_type(key):
    assert documented({key: object()}, ()) == {}
    assert documented({"ansible_facts": [key]}, {key}) == {}


def test_warnings_are_texts_and_printable():
    found = documented({"warnings": ["a\x1b[2J", {"msg": "x"}, 7, None]}, ())
    assert found == {"warnings": ["a\\x1b[2J"]}


def test_what_ansible_shows_of_a_difference_is_printable():
    differences = [{"before": "a\x1b[2J\n", "after_header": "\u202e"}, {"prepared": "\x9b2J"}]
    for given, shown in (
        (differences[0], {"before": "a\\x1b[2J\n", "after_header": "\\u202e"}),
        (differences[1:], [{"prepared": "\\x9b2J"}]),
    ):
        assert documented({"diff": given}, ()) == {"diff": shown}


@pytest.mark.parametrize("key", ["devices", "ansible_facts", "invocation", "x"])
def test_an_answer_that_nobody_can_follow_is_none(key):
    def answer(depth):
        inner: object = []
        for level in range(depth - 2):
            inner = {"a": inner} if level % 2 else [1, inner]
        return {key: inner}

    assert not documented(answer(MAX_DEPTH), {"devices"}).get("failed")
    found = documented(answer(MAX_DEPTH + 2), {"devices"})
    assert found == {"failed": True, "msg": f"its answer is nested deeper than {MAX_DEPTH} levels"}


@pytest.mark.parametrize("how", ["failed", "unreachable"])
def test_what_ansible_shows_of_an_answer_is_printable(how):
    answer = {"msg": "a\x9b2J\nb", "devices": [{"\u202e": "\x7f", "n": 1}], how: True}
    assert documented(answer, {"devices"}) == {
        "msg": "a\\x9b2J\nb",
        "devices": [{"\\u202e": "\\x7f", "n": 1}],
        how: True,
    }
    # Nobody but programs looks at the others.
    success = {"msg": "a\x9b", how: False}
    assert documented(success, ()) == success


@pytest.mark.parametrize("module", [vfio_migration_facts, vfio_mdev, vfio_pci, vdpa_device])
def test_all_that_a_module_documents_is_let_in(module):
    name = module.__name__.rpartition(".")[2]
    text = re.search(r'RETURN = r"""(.*?)"""', (MODULES / f"{name}.py").read_text(), re.DOTALL)[1]
    keys = DataLoader().load(text).keys() - {"ansible_facts"}
    assert module.ActionModule.returned == keys


def test_every_module_that_runs_on_hosts_has_an_action():
    ours = {path.stem for path in MODULES.glob("*.py") if "AnsibleModule(" in path.read_text()}
    actions = {path.stem for path in (MODULES.parent / "action").glob("*.py")}
    assert len(ours) > 4
    assert ours <= actions


@pytest.mark.parametrize("error", [AttributeError("no keys"), TypeError("no"), RecursionError()])
def test_an_answer_that_ansible_cannot_read_is_a_failure_of_its_host(monkeypatch, error):
    def execute(*_arguments, **_options):
        raise error

    monkeypatch.setattr(ActionBase, "_execute_module", execute)
    action = object.__new__(vfio_migration_facts.ActionModule)
    answer = action._execute_module(module_name="vfio.migration.vfio_migration_facts")
    assert answer == {"failed": True, "msg": f"its answer is not a module's: {error}"}
