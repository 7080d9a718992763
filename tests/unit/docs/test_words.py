# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The words of the user documentation: those of the trade, and not this project's own for the same thing."""

from __future__ import annotations

import ast
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


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_names_of_tasks_say_what_is_done(path):
    bare = re.findall(
        r"^ *- name: (Gather|Begin|End|Plan it|Show it|See .*)$", path.read_text(), re.M
    )
    assert bare == []
