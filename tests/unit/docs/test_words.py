# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The words of documentation, messages and code: those of the trade, and not this project's own for the same thing."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
# What to write in their place.
AVOIDED = {
    "tells?": "say, show or report",
    "told": "stated, shown or given",
    "bec[ao]mes? of": "the result of, the outcome for, or the state of",
    "what it comes to": "the conclusion",
    "by other means": "with another tool",
    # Neither the key of pairs and reports, nor a room in a building.
    r"(?<!or a )(?<![`(\"._])room(?![`)\":])": "capacity",
    "(?:no|some|any|every)body": "the process, guest, host or user that is meant",
    "whoever": "the process, guest, host or user that is meant",
    "takes? no part": "is excluded",
    "anew": "again",
}
TEXTS = sorted(
    path
    for pattern in (
        "*.md",
        "docs/docsite/rst/*.rst",
        "roles/*/README.md",
        "roles/*/meta/argument_specs.yml",
        "roles/*/tasks/*.yml",
        "playbooks/**/*.yml",
        "extensions/eda/**/*.yml",
        ".github/**/*.yml",
        "docs/schemas/*.json",
        "plugins/doc_fragments/*.py",
        "plugins/modules/*.py",
        "plugins/filter/*.py",
        "plugins/test/*.py",
    )
    for path in ROOT.glob(pattern)
    # It has the words that are no longer used.
    if path.name != "glossary.rst"
)


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_texts_for_users_have_the_words_of_the_trade(path):
    text = " ".join(path.read_text(encoding="utf-8").split())
    assert avoided_in(text) == {}


# In names this one is public: the key of pairs and reports.
OF_NAMES = {word for word in AVOIDED if "room" not in word}
# To search for each of them in every text takes ten times as long.
ANY_AVOIDED = re.compile("|".join(rf"\b{word}\b" for word in AVOIDED), re.IGNORECASE)


def avoided_in(text: str) -> dict[str, str]:
    if not ANY_AVOIDED.search(text):
        return {}
    found = [word for word in AVOIDED if re.search(rf"\b{word}\b", text, re.IGNORECASE)]
    return {word: AVOIDED[word] for word in found}


@pytest.mark.parametrize(
    "path", sorted(ROOT.glob("docs/docsite/rst/*.rst")), ids=lambda path: path.stem
)
def test_guides_name_the_process_guest_or_host_that_is_meant(path):
    text = path.read_text(encoding="utf-8")
    avoided = r"\b(?:whoever|whom|(?:no|some|any|every)body)\b"
    assert re.findall(avoided, text, re.IGNORECASE) == []


def messages(path: Path) -> list[str]:
    """Return the texts in a module's code but for those that only who maintains it reads: docstrings and the like."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = list(ast.walk(tree))
    unread = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    texts = [node for node in nodes if isinstance(node, ast.Constant) and id(node) not in unread]
    return [node.value for node in texts if isinstance(node.value, str)]


@pytest.mark.parametrize("place", ["module_utils", "plugin_utils", "action"])
def test_messages_have_the_words_of_the_trade(place):
    found = {
        (path.name, text): avoided
        for path in (ROOT / "plugins" / place).rglob("*.py")
        for text in messages(path)
        # A name, and no words.
        if " " in text and (avoided := avoided_in(text))
    }
    assert found == {}


PLUGINS = sorted((ROOT / "plugins").rglob("*.py"))
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


parsed = functools.lru_cache(1)(ast.parse)


def remarks(source: str) -> list[str]:
    """Return what a module says to who maintains it: each docstring, and all comments, which may go on in a next line."""
    nodes = [node for node in ast.walk(parsed(source)) if isinstance(node, DOCUMENTED)]
    texts = [ast.get_docstring(node) or "" for node in nodes]
    texts.append(" ".join(re.findall(r"(?:^|\s)# (.*)$", source, re.MULTILINE)))
    return [" ".join(text.split()) for text in texts]


def names(source: str) -> set[str]:
    """Return the names of functions, classes, arguments, variables and attributes in a module."""
    found: set[str] = set()
    for node in ast.walk(parsed(source)):
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            found.add(node.name)
        elif isinstance(node, ast.arg):
            found.add(node.arg)
        elif isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.Attribute):
            found.add(node.attr)
    return found


def avoided_in_names(given: set[str]) -> dict[str, list[str]]:
    words = {name: re.sub(r"_|(?<=[a-z])(?=[A-Z])", " ", name) for name in given}
    found = {name: sorted(avoided_in(text).keys() & OF_NAMES) for name, text in words.items()}
    return {name: avoided for name, avoided in found.items() if avoided}


@pytest.mark.parametrize("path", PLUGINS, ids=lambda path: str(path.relative_to(ROOT)))
def test_docstrings_comments_and_names_have_the_words_of_the_trade(path):
    source = path.read_text(encoding="utf-8")
    assert {text: avoided for text in remarks(source) if (avoided := avoided_in(text))} == {}
    assert avoided_in_names(names(source)) == {}


@pytest.mark.parametrize(
    ("source", "avoided"),
    [
        ('"""Tell nobody."""', 2),
        ("x = 1  # What becomes\n# of it is told.", 2),
        ("# Whoever asks.", 1),
        ('class A:\n    def b(self):\n        """Return whether there is room."""', 1),
        ("x = 'somebody'  # Of a process.", 0),
    ],
)
def test_words_are_found_in_docstrings_and_comments(source, avoided):
    assert sum(len(avoided_in(text)) for text in remarks(source)) == avoided


def test_words_are_found_in_names_of_all_kinds():
    source = (
        "def _tell(told, *nobody_here):\n    whoever = self.somebody\nclass Everybody_: no_room = 1"
    )
    avoided = {"_tell", "told", "nobody_here", "whoever", "somebody", "Everybody_"}
    assert avoided_in_names(names(source)).keys() == avoided


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_names_of_tasks_say_what_is_done(path):
    bare = re.findall(
        r"^ *- name: (Gather|Begin|End|Plan it|Show it|See .*)$", path.read_text(), re.M
    )
    assert bare == []
