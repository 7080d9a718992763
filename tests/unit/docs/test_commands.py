# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The commands, tasks and outputs that README and guides show name what the collection has."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path

import pytest
from ansible.module_utils.common.yaml import yaml_load

ROOT = Path(__file__).parents[3]
GUIDES = sorted((ROOT / "docs/docsite/rst").glob("*.rst"))
TEXTS = [ROOT / "README.md", *sorted((ROOT / "roles").glob("*/README.md")), *GUIDES]
PLAYBOOKS = {path.stem: path for path in (ROOT / "playbooks").glob("*.yml")}
PLUGINS = {
    kind: {path.stem: path for path in (ROOT / "plugins" / place).glob("*.py")}
    for kind, place in (("module", "modules"), ("filter", "filter"), ("test", "test"))
}
ROLES = {path.name for path in (ROOT / "roles").iterdir()}
PREFIX = "vfio.migration."
# A console block: of Markdown, or of reStructuredText with what is indented below it.
CONSOLE = re.compile(
    r"^```console\n(.*?)^```$|^[.][.] code-block:: console\n\n((?:    .*\n|\n)+)", re.M | re.S
)


def commands(text: str) -> list[str]:
    """Return the commands of Ansible in console blocks, with continued lines put together."""
    blocks = ("".join(found) for found in CONSOLE.findall(text))
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    lines = [line.strip().removeprefix("$ ") for line in lines]
    return [line for line in lines if re.match(r"(?:[A-Z_]+=\S+ )*ansible", line)]


def role_options() -> set[str]:
    options: set[str] = set()
    for role in ROLES:
        specs = yaml_load((ROOT / "roles" / role / "meta/argument_specs.yml").read_text())
        options |= set(specs["argument_specs"]["main"]["options"])
    return options


def playbook_options() -> set[str]:
    """Return the options of playbooks without a role, which they default."""
    texts = "".join(path.read_text() for path in PLAYBOOKS.values())
    return set(re.findall(r"\b(\w+) \| default\(", texts))


OPTIONS = role_options() | playbook_options()


def module_options(module: str) -> set[str]:
    """Return the options of a module, without those of its fragments."""
    tree = ast.parse(PLUGINS["module"][module].read_text())
    (text,) = [
        node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        and getattr(node.targets[0], "id", None) == "DOCUMENTATION"
        and isinstance(node.value, ast.Constant)
    ]
    return set(yaml_load(text)["options"])


def values(words: list[str], *flags: str) -> list[str]:
    """Return the values of a flag of a command."""
    return [word for flag, word in zip(words, words[1:]) if flag in flags]


def mistakes(command: str) -> list[str]:
    """Return what a command names that the collection does not have."""
    words = shlex.split(command)
    words = words[next(at for at, word in enumerate(words) if word.startswith("ansible")) :]
    found = []
    if words[0] == "ansible-playbook":
        ours = [word for word in words[1:] if word.startswith(PREFIX)]
        found += [word for word in ours if word.removeprefix(PREFIX) not in PLAYBOOKS]
        extra = " ".join(values(words, "-e", "--extra-vars"))
        named = re.findall(r'(?:^|[\s{,"])(\w+)"?\s*[=:]', extra)
        found += [name for name in named if name not in OPTIONS]
    if words[0] == "ansible":
        for name in values(words, "-m", "--module-name"):
            module = name.removeprefix(PREFIX)
            if module not in PLUGINS["module"]:
                found.append(name)
                continue
            given = re.findall(r"(\w+)=", " ".join(values(words, "-a", "--args")))
            found += [option for option in given if option not in module_options(module)]
    if words[0] == "ansible-doc":
        (kind,) = values(words, "-t", "--type") or ["module"]
        there = ROLES if kind == "role" else PLUGINS[kind]
        found += [
            word
            for word in words[1:]
            if word.startswith(PREFIX) and word.removeprefix(PREFIX) not in there
        ]
    return found


def test_the_readme_and_the_first_guide_have_commands():
    for name in ("README.md", "docs/docsite/rst/getting_started_guide.rst"):
        assert len(commands((ROOT / name).read_text())) > 5, name


@pytest.mark.parametrize(
    "wrong",
    [
        "ansible-playbook vfio.migration.repair",
        "ansible-playbook -i hosts vfio.migration.report -e report_hosts=all -e report_drian=a",
        "ansible-playbook vfio.migration.prepare -e '{\"prepare_sauces\": []}'",
        "ansible all -m vfio.migration.vfio_facts",
        "ansible all -m vfio_migration_facts -a 'kind=mdev'",
        "ansible-doc -t role vfio.migration.restore",
    ],
)
def test_a_command_that_names_what_is_not_there_is_found(wrong):
    assert len(mistakes(wrong)) == 1


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_name_what_is_there(path):
    text = path.read_text()
    wrong = {command: mistakes(command) for command in commands(text)}
    assert {command: names for command, names in wrong.items() if names} == {}


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_variables_of_imported_playbooks_are_there(path):
    named = re.findall(
        r"^ *((?:prepare|report|cleanup|migrate_libvirt|capture)_\w+):", path.read_text(), re.M
    )
    assert sorted({name for name in named if name not in OPTIONS}) == []


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_tasks_in_outputs_are_those_of_the_roles(path):
    missing = []
    for role, task in re.findall(r"TASK \[vfio\.migration\.(\w+) : (.*?)\] \*", path.read_text()):
        texts = [each.read_text() for each in (ROOT / "roles" / role / "tasks").glob("*.yml")]
        if not any(f"- name: {task}\n" in text for text in texts):
            missing.append(task)
    assert missing == []


def texts_of_the_code() -> str:
    """Return all texts in plugins, and roles and playbooks as they are.

    A placeholder of an f-string is the text that a constant of this name has, and an end of line where there is none.
    """
    trees = [ast.parse(path.read_text()) for path in (ROOT / "plugins").rglob("*.py")]
    constants = {
        target.id: text
        for tree in trees
        for node in tree.body
        if isinstance(node, ast.Assign) and (text := text_of(node.value)) is not None
        for target in node.targets
        if isinstance(target, ast.Name)
    }

    def filled(node: ast.expr) -> str:
        if isinstance(node, ast.FormattedValue) and isinstance(node.value, ast.Name):
            return constants.get(node.value.id, "\n")
        return text_of(node) or "\n"

    found: list[str] = []
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.JoinedStr):
            found.append("".join(map(filled, node.values)))
        else:
            found.append(text_of(node) or "")
    for place in ("roles", "playbooks"):
        found += [path.read_text() for path in (ROOT / place).rglob("*.yml")]
    return "\n".join(found)


def text_of(node: ast.AST) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return None


def test_messages_in_the_guide_to_trouble_are_those_of_the_code():
    text = (ROOT / "docs/docsite/rst/troubleshooting_guide.rst").read_text()
    blocks = re.findall(r"^[.][.] code-block:: text\n\n((?:    .*\n)+)", text, re.M)
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    assert len(lines) > 40
    code = texts_of_the_code()
    parts = {line: [part for part in line.split("…") if len(part) > 1] for line in lines}
    assert {
        line: missing for line in lines if (missing := [p for p in parts[line] if p not in code])
    } == {}
