# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A second implementation of the template language, from the written rules alone: naive, slow, and easy to believe.

It parses with Earley grammars and tries every combination of the variables' values. It shares nothing with
``plugins/module_utils/_descriptor/pattern.py``, which is compared with it.
"""

from __future__ import annotations

import itertools
import typing as t
from fractions import Fraction

import lark

TEXT = lark.Lark(
    r"""
    start: part*
    ?part: CHARACTER -> character
         | "{{" -> opening
         | "}}" -> closing
         | "{" _blanks NAME _blanks "}" -> reference
         | "{" _blanks NAME _blanks ":" _blanks "int" _blanks ":" integers "}" -> integer_variable
         | "{" _blanks NAME _blanks ":" _blanks "string" _blanks ":" strings "}" -> string_variable
    integers: _blanks INTEGER _blanks ("," _blanks INTEGER _blanks)*
    strings: _blanks STRING _blanks ("," _blanks STRING _blanks)*
    _blanks: " "*
    CHARACTER: /[^{}]/
    NAME: /[A-Za-z_][A-Za-z0-9_]*/
    INTEGER: /-?[0-9]{1,18}/
    STRING: /"[^"]*"/
    """,
    parser="earley",
    lexer="dynamic_complete",
    ambiguity="resolve",
)

ARITHMETIC = lark.Lark(
    r"""
    ?start: sum
    ?sum: product | sum "+" product -> add | sum "-" product -> subtract
    ?product: signed | product "*" signed -> multiply | product "/" signed -> divide | product "%" signed -> modulo
    ?signed: "-" signed -> negate | atom
    ?atom: NUMBER -> number | "$" NAME "$" -> variable | "(" sum ")"
    NUMBER: /[0-9]{1,18}/
    NAME: /[A-Za-z_][A-Za-z0-9_]*/
    %ignore " "
    """,
    parser="earley",
)

MUSTS = ("device_api", "type")


class Void(Exception):
    """The set breaks a rule."""


def _parse(value: str) -> tuple[list[tuple[str, str]], dict[str, list]]:
    """Return the parts of a value, ``("text" | "variable", …)``, and what it declares."""
    try:
        tree = TEXT.parse(value)
    except lark.exceptions.LarkError:
        raise Void(value) from None
    parts: list[tuple[str, str]] = []
    declared: dict[str, list] = {}
    literal = {"opening": "{", "closing": "}"}
    for part in tree.children:
        if part.data == "character" or part.data in literal:
            text = literal.get(part.data) or str(part.children[0])
            before = parts.pop()[1] if parts and parts[-1][0] == "text" else ""
            parts.append(("text", before + text))
        else:
            name = str(part.children[0])
            parts.append(("variable", name))
            if part.data != "reference":
                _declare(declared, name, _values(part))
    return parts, declared


def _values(part: lark.Tree) -> list:
    items = [str(item) for item in part.children[1].children]
    whole = part.data == "integer_variable"
    values = [int(item) if whole else item[1:-1] for item in items]
    return sorted(set(values), key=values.index)


def _declare(declared: dict[str, list], name: str, values: list) -> None:
    if declared.setdefault(name, values) != values:
        raise Void(f"two declarations of {name}")


def _is_arithmetic(parts: list[tuple[str, str]], domains: dict[str, list]) -> bool:
    text = "".join(part for kind, part in parts if kind == "text")
    variables = [part for kind, part in parts if kind == "variable"]
    return (
        bool(variables)
        and all(isinstance(domains[name][0], int) for name in variables)
        and all(character in "0123456789+-*/%() " for character in text)
        and any(character in "+-*/%" for character in text)
    )


def _evaluate(tree: lark.Tree, binding: dict) -> Fraction:
    if tree.data == "number":
        return Fraction(str(tree.children[0]))
    if tree.data == "variable":
        return Fraction(binding[str(tree.children[0])])
    left, *rest = (_evaluate(child, binding) for child in tree.children)
    if tree.data == "negate":
        return -left
    (right,) = rest
    return {
        "add": lambda: left + right,
        "subtract": lambda: left - right,
        "multiply": lambda: left * right,
        "divide": lambda: left / right,
        "modulo": lambda: left % right,
    }[tree.data]()


def _version(text: str) -> tuple[int, int] | None:
    pieces = text.split(".")
    if len(pieces) not in (2, 3) or not all(p.isascii() and p.isdigit() for p in pieces):
        return None
    return int(pieces[0]), int(pieces[1])


def _serves(source: str, target: str) -> bool:
    old, new = _version(source), _version(target)
    return old is not None and new is not None and old[0] == new[0] and new[1] >= old[1]


def _integer(text: str | None) -> int | None:
    bare = text[1:] if text and text[0] == "-" else text
    return int(text) if text and bare.isascii() and bare.isdigit() else None


def _spell(name: str, text: str) -> str:
    if name == "device_api":
        return text.replace("_", "-")
    return text.lower().replace("0x", "").replace(":", "") if name == "pci_id" else text


def _rendered(name: str, parts: list[tuple[str, str]], binding: dict) -> str:
    return "".join(
        _spell(name, part if kind == "text" else str(binding[part])) for kind, part in parts
    )


class OracleSet:
    """One set of ``compatible``; raises ``Void``."""

    def __init__(
        self, attributes: dict[str, str], owner_version: str, subject_is_target: bool
    ) -> None:
        if any(not attributes.get(name) for name in MUSTS):
            raise Void("a must is missing")
        self._subject_is_target = subject_is_target
        self._owner_version = owner_version
        self.domains: dict[str, list] = {}
        self._parts = {}
        for name, value in attributes.items():
            self._parts[name], declared = _parse(value)
            for variable, values in declared.items():
                _declare(self.domains, variable, values)
        self._trees = {}
        for name, parts in self._parts.items():
            self._check(name, parts)

    def _check(self, name: str, parts: list[tuple[str, str]]) -> None:
        for kind, part in parts:
            if kind == "variable" and part not in self.domains:
                raise Void(f"{part} is not declared")
        text = "".join(part for kind, part in parts)
        plain = all(kind == "text" for kind, part in parts)
        if name == "software_version":
            if plain and text and _version(text) is None:
                raise Void("no version")
        elif _is_arithmetic(parts, self.domains):
            written = "".join(part if kind == "text" else f"${part}$" for kind, part in parts)
            try:
                self._trees[name] = ARITHMETIC.parse(written)
            except lark.exceptions.LarkError:
                raise Void(written) from None

    def bindings(self) -> t.Iterator[dict]:
        """Yield every combination of the variables' values."""
        for values in itertools.product(*self.domains.values()):
            yield dict(zip(self.domains, values))

    def rendered(self, binding: dict) -> dict[str, str]:
        """Return a device that fits under ``binding``, as far as one can."""
        device = {}
        for name, parts in self._parts.items():
            text = _rendered(name, parts, binding)
            if name in self._trees:
                try:
                    text = str(_evaluate(self._trees[name], binding))
                except ZeroDivisionError:
                    text = "0"
            device[name] = text
        return device

    def failing(self, binding: dict, subject: dict[str, str]) -> dict[str, str]:
        """Return the attributes of ``subject`` that do not fit under ``binding``, each with the rule it breaks."""
        failing = {
            name: self._rule(name, binding, subject)
            for name in self._parts
            if not self._fits(name, binding, subject)
        }
        if not self._parts.get("software_version") and not self._version_fits(
            self._owner_version, subject
        ):
            failing["software_version"] = _version_rule(self._owner_version, subject)
        return failing

    def _rule(self, name: str, binding: dict, subject: dict[str, str]) -> str:
        parts = self._parts[name]
        if name not in subject:
            return "present"
        if name == "software_version":
            return _version_rule(_rendered(name, parts, binding), subject)
        if name in self._trees:
            return "expression"
        return "one_of" if any(kind == "variable" for kind, part in parts) else "equal"

    def _fits(self, name: str, binding: dict, subject: dict[str, str]) -> bool:
        parts, actual = self._parts[name], subject.get(name)
        rendered = _rendered(name, parts, binding)
        if name == "software_version":
            return not parts or self._version_fits(rendered, subject)
        if name in self._trees:
            try:
                result = _evaluate(self._trees[name], binding)
            except ZeroDivisionError:
                return False
            return result.denominator == 1 and _integer(actual) == result
        if len(parts) == 1 and parts[0][0] == "variable" and isinstance(binding[parts[0][1]], int):
            return _integer(actual) == binding[parts[0][1]]
        return rendered == _spell(name, actual or "")

    def _version_fits(self, stated: str, subject: dict[str, str]) -> bool:
        actual = subject.get("software_version", "")
        return _serves(stated, actual) if self._subject_is_target else _serves(actual, stated)


def _version_rule(stated: str, subject: dict[str, str]) -> str:
    if "software_version" not in subject:
        return "present"
    one, other = _version(stated), _version(subject["software_version"])
    return "version_minor" if one and other and one[0] == other[0] else "version_major"


def judge(
    attributes: dict[str, str], subject: dict[str, str], owner_version: str, subject_is_target: bool
) -> tuple[list[dict], list[dict[str, str]]] | None:
    """Return ``None`` for a void set; else every binding under which all attributes fit, and the fewest that do not.

    The latter is a list, as several bindings may leave equally few: each is attributes to the rules they break.
    """
    try:
        pattern = OracleSet(attributes, owner_version, subject_is_target)
    except Void:
        return None
    failures = [(pattern.failing(binding, subject), binding) for binding in pattern.bindings()]
    fewest = min(len(failing) for failing, binding in failures)
    return (
        [binding for failing, binding in failures if not failing],
        [failing for failing, binding in failures if len(failing) == fewest],
    )
