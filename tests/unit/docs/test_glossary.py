# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The glossary and the code use the same words."""

from __future__ import annotations

import ast
import builtins
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
GLOSSARY = (ROOT / "docs/docsite/rst/glossary.rst").read_text()
TERMS, WORDS_NOT_USED = GLOSSARY.split("Words that are not used")
ROOMS = sorted((ROOT / "plugins").glob("*_utils"))


def definitions(tree: ast.AST):
    """Yield each class and function of a file that is public, with the classes around it."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from definitions(node)


ROOM_FILES = sorted(path for room in ROOMS for path in room.glob("_*/*.py"))
# Only the names are kept: trees of all files would be most of what Python looks through for garbage.
PUBLIC = {
    (node.name, isinstance(node, ast.ClassDef))
    for path in ROOM_FILES
    for node in definitions(ast.parse(path.read_text()))
}
CLASSES = {name for name, is_class in PUBLIC if is_class}
NAMES = {name for name, _is_class in PUBLIC}


def test_each_class_of_the_rooms_has_its_word():
    missing = sorted(name for name in CLASSES if f"``{name}``" not in TERMS)
    assert not missing, f"not in the glossary: {', '.join(missing)}"


NAMED = [
    name
    for line in re.findall(r"^ +In code: (.*)$", TERMS, re.M)
    for name in re.findall(r"``(\w+)``", line)
]


def test_each_name_in_the_glossary_is_in_the_code():
    assert len(NAMED) > 50
    assert sorted({*NAMED} - NAMES) == []


def test_each_name_in_the_glossary_has_one_word():
    assert sorted({name for name in NAMED if NAMED.count(name) > 1}) == []


def words_not_used() -> list[str]:
    return re.findall(r"^   \* - ``(\w+)``$", WORDS_NOT_USED, re.M)


def test_there_are_words_that_are_not_used():
    assert len(words_not_used()) > 10


@pytest.mark.parametrize("word", words_not_used())
def test_no_public_name_has_a_word_that_is_not_used(word):
    parts = {name: re.findall(r"[A-Z]?[a-z0-9]+", name) for name in NAMES}
    assert sorted(name for name, of in parts.items() if word in [p.lower() for p in of]) == []
    stems = {path.stem for path in ROOM_FILES}
    assert sorted(stem for stem in stems if word in stem.split("_")) == []


def test_each_error_derives_from_the_one_base():
    bases = {
        node.name: [base.id for base in node.bases if isinstance(base, ast.Name)]
        for path in ROOM_FILES
        for node in definitions(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
    }

    def derived(name: str) -> set[str]:
        """Return all that a class derives from, by name."""
        return {name}.union(*map(derived, bases.get(name, ())))

    builtin = {name for name, each in vars(builtins).items() if is_exception(each)}
    errors = {name for name in bases if derived(name) & builtin}
    assert len(errors) > 10
    assert [name for name in sorted(errors) if "VfioMigrationError" not in derived(name)] == []


def is_exception(found: object) -> bool:
    return isinstance(found, type) and issubclass(found, BaseException)
