# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""JSON Schemas as functions of Python, each made once: to ask jsonschema about every document takes a sixth of the units' time.

They say yes or no. Why not, jsonschema says. ``test_quick_schemas`` compares the two.
"""

from __future__ import annotations

import re
import typing as t

Conforms = t.Callable[[t.Any], bool]

_TYPES: dict[str, Conforms] = {
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "string": lambda value: isinstance(value, str),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "integer": lambda value: (
        (isinstance(value, int) and not isinstance(value, bool))
        or (isinstance(value, float) and value.is_integer())
    ),
}
# What says nothing of a value.
_NOTES = {"$schema", "$id", "$defs", "title", "description"}


def quick(schema: dict[str, t.Any]) -> Conforms:
    """Return a function that says whether a document conforms to ``schema``; raise ``KeyError`` for a keyword it does not know."""
    return _Maker(schema.get("$defs", {})).conforms(schema)


class _Maker:
    """Makes functions of schemas that refer to ``definitions``."""

    def __init__(self, definitions: dict[str, t.Any]) -> None:
        self._definitions = definitions
        self._made: dict[str, Conforms] = {}

    def conforms(self, schema: t.Any) -> Conforms:
        """Return a function that says whether a value conforms to ``schema``."""
        if isinstance(schema, bool):
            return lambda value: schema
        checks = [
            getattr(self, f"_{keyword.strip('$')}")(schema[keyword])
            for keyword in schema
            if keyword not in _NOTES and keyword not in ("properties", "additionalProperties")
        ]
        if "properties" in schema or "additionalProperties" in schema:
            checks.append(
                self._fields(schema.get("properties", {}), schema.get("additionalProperties", True))
            )
        return _all_of(checks)

    def __getattr__(self, name: str) -> t.Any:
        raise KeyError(f"the keyword {name[1:]}")

    def _ref(self, reference: str) -> Conforms:
        name = reference.rsplit("/", 1)[1]

        def conforms(value: t.Any) -> bool:
            # Only made when it is met: definitions refer to each other.
            if name not in self._made:
                self._made[name] = self.conforms(self._definitions[name])
            return self._made[name](value)

        return conforms

    def _type(self, names: str | list[str]) -> Conforms:
        if isinstance(names, str):
            return _TYPES[names]
        types = [_TYPES[name] for name in names]
        return lambda value: _is_any(types, value)

    def _fields(self, properties: dict[str, t.Any], additional: t.Any) -> Conforms:
        fields = {name: self.conforms(schema) for name, schema in properties.items()}
        others = self.conforms(additional)

        def conforms(value: t.Any) -> bool:
            if isinstance(value, dict):
                for name, each in value.items():
                    if not fields.get(name, others)(each):
                        return False
            return True

        return conforms

    def _required(self, names: list[str]) -> Conforms:
        wanted = frozenset(names)
        return lambda value: not isinstance(value, dict) or wanted <= value.keys()

    def _propertyNames(self, schema: t.Any) -> Conforms:  # noqa: N802
        name = self.conforms(schema)
        return lambda value: not isinstance(value, dict) or all(map(name, value))

    def _items(self, schema: t.Any) -> Conforms:
        item = self.conforms(schema)
        return lambda value: not isinstance(value, list) or all(map(item, value))

    def _minItems(self, least: int) -> Conforms:  # noqa: N802
        return lambda value: not isinstance(value, list) or len(value) >= least

    def _maxItems(self, most: int) -> Conforms:  # noqa: N802
        return lambda value: not isinstance(value, list) or len(value) <= most

    def _maxLength(self, most: int) -> Conforms:  # noqa: N802
        return lambda value: not isinstance(value, str) or len(value) <= most

    def _minimum(self, least: float) -> Conforms:
        return lambda value: not _TYPES["number"](value) or value >= least

    def _pattern(self, pattern: str) -> Conforms:
        found = re.compile(pattern).search
        return lambda value: not isinstance(value, str) or found(value) is not None

    def _enum(self, values: list[t.Any]) -> Conforms:
        texts = frozenset(each for each in values if isinstance(each, str))
        if len(texts) == len(values):
            return lambda value: isinstance(value, str) and value in texts
        return lambda value: any(_equal(value, each) for each in values)

    def _const(self, wanted: t.Any) -> Conforms:
        return lambda value: _equal(value, wanted)

    def _anyOf(self, schemas: list[t.Any]) -> Conforms:  # noqa: N802
        each = [self.conforms(schema) for schema in schemas]
        return lambda value: _is_any(each, value)


def _all_of(checks: list[Conforms]) -> Conforms:
    """Return what says whether a value conforms to all; most are one, two or three, for which a loop takes longer."""
    if len(checks) == 1:
        return checks[0]
    first, second, *others = checks or [lambda value: True] * 2
    if not others:
        return lambda value: first(value) and second(value)
    rest = _all_of(others)
    return lambda value: first(value) and second(value) and rest(value)


def _is_any(checks: list[Conforms], value: t.Any) -> bool:
    for conforms in checks:  # noqa: SIM110 - a generator takes twice as long
        if conforms(value):
            return True
    return False


def _equal(value: t.Any, wanted: t.Any) -> bool:
    """Return whether two values are equal, other than ``True`` and 1 are."""
    return value == wanted and isinstance(value, bool) == isinstance(wanted, bool)
