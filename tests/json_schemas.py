# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make the JSON Schemas in ``docs/schemas`` from the shapes in ``plugins/plugin_utils/contract.py``.

The conditions of a plan are made from the fields of ``Conditions`` and the documentation of its options.
Run ``make schemas`` after a change there. The unit tests compare the files with what this makes, and the
collection's own output with the files.
"""

from __future__ import annotations

import ast
import collections.abc
import inspect
import json
import re
import types
import typing as t
from pathlib import Path

from ansible.module_utils.common.yaml import yaml_load
from ansible_collections.vfio.migration.plugins.doc_fragments import _plan
from ansible_collections.vfio.migration.plugins.plugin_utils import contract
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import (
    OPTIONS,
    Conditions,
)

Schema = dict[str, t.Any]

DRAFT = "https://json-schema.org/draft/2020-12/schema"
BASE = "https://raw.githubusercontent.com/vfio-migration/vfio.migration/main/docs/schemas/"
PLACE = Path(__file__).resolve().parents[1] / "docs" / "schemas"
SHAPES: dict[str, type] = {
    "facts": contract.Facts,
    "verdict": contract.Verdict,
    "pairs": contract.CompatiblePairs,
    "plan": contract.Plan,
    "explanation": contract.Explanation,
    "candidates": contract.CandidateList,
    "candidate_lists": contract.CandidateLists,
    "headroom": contract.Headroom,
    "maintenance": contract.MaintenancePlan,
    "rebalance": contract.RebalancePlan,
    "report": contract.Report,
    "record": contract.Record,
    "migration_record": contract.MigrationRecord,
    "nova_migrations": contract.NovaMigrations,
    "proxmox_migrations": contract.ProxmoxMigrations,
    "kubevirt_migrations": contract.KubevirtMigrations,
    "cloud_hypervisor_migrations": contract.CloudHypervisorMigrations,
}

_PLAIN: dict[t.Any, str] = {
    bool: "boolean",
    int: "integer",
    str: "string",
    types.NoneType: "null",
}
_ARRAYS = (list, collections.abc.Sequence, collections.abc.Collection)
_OBJECTS = (dict, collections.abc.Mapping)
# What documentation of Ansible's has around names and values.
_MARKUP = re.compile(r"\b[CMOV]\(([^)]*)\)")


def schemas() -> dict[str, Schema]:
    """Return the schema of each public shape, by the name of its file without ``.json``."""
    return {name: _Maker().schema(name, shape) for name, shape in SHAPES.items()}


def as_text(schema: Schema) -> str:
    """Return ``schema`` as its file has it."""
    return json.dumps(schema, indent=2) + "\n"


class _Maker:
    """Makes one schema, with the shapes that it is made of under ``$defs``."""

    def __init__(self) -> None:
        self._defs: dict[str, Schema] = {}

    def schema(self, name: str, shape: type) -> Schema:
        """Return the schema of ``shape``, which is published under ``name``."""
        whole = self._closed(shape)
        head = {"$schema": DRAFT, "$id": f"{BASE}{name}.json", "title": shape.__name__}
        return {**head, **whole, "$defs": dict(sorted(self._defs.items()))}

    def _closed(self, shape: type) -> Schema:
        """Return the schema of a ``TypedDict``: an object with these keys and no others."""
        if shape is contract.PlanConditions:
            hints, described = _conditions()
        else:
            hints, described = t.get_type_hints(shape, include_extras=True), _FIELDS[shape.__name__]
        optional = {name for name, hint in hints.items() if contract.may_be_absent(hint)}
        return {
            "description": _prose(inspect.getdoc(shape) or ""),
            "type": "object",
            "properties": {
                name: {"description": described.get(name), **self._of(hint)}
                for name, hint in hints.items()
            },
            "required": [name for name in hints if name not in optional],
            "additionalProperties": False,
        }

    def _of(self, hint: t.Any) -> Schema:
        """Return the schema of an annotation."""
        if hint in _PLAIN:
            return {"type": _PLAIN[hint]}
        if t.is_typeddict(hint):
            return self._reference(hint)
        origin, arguments = t.get_origin(hint), t.get_args(hint)
        if origin is contract.NotRequired:
            return self._of(arguments[0])
        if origin is t.Annotated:
            schema = self._of(arguments[0])
            for keywords in arguments[1:]:
                schema.update(keywords)
            return schema
        if origin in _ARRAYS:
            return {"type": "array", "items": self._of(arguments[0])}
        if origin in _OBJECTS:
            return self._mapping(*arguments)
        if origin in (t.Union, types.UnionType):
            return _any_of([self._of(each) for each in arguments])
        raise TypeError(f"no JSON Schema for {hint!r}")

    def _reference(self, shape: type) -> Schema:
        name = shape.__name__
        if name not in self._defs:
            self._defs[name] = {}
            self._defs[name] = self._closed(shape)
        return {"$ref": f"#/$defs/{name}"}

    def _mapping(self, key: t.Any, value: t.Any) -> Schema:
        names = self._of(key)
        del names["type"]
        return {
            "type": "object",
            **({"propertyNames": names} if names else {}),
            "additionalProperties": self._of(value),
        }


# Of every other keyword a schema may have one beside several types: it is for the values of one of them.
_FOR_ANY_TYPE = {"$ref", "anyOf", "const", "enum"}


def _any_of(choices: list[Schema]) -> Schema:
    """Return the schema of a union, as one with several types where that says the same."""
    keywords = [each.keys() - {"type"} for each in choices]
    if sum(map(bool, keywords)) > 1 or not _FOR_ANY_TYPE.isdisjoint(set().union(*keywords)):
        return {"anyOf": choices}
    merged: Schema = {"type": None}
    for each in choices:
        merged.update(each)
    return {**merged, "type": [each["type"] for each in choices]}


def _prose(text: str) -> str:
    """Return documentation of this code as text for a schema."""
    return " ".join(text.replace("``", "`").split())


def _fields() -> dict[str, dict[str, str]]:
    """Return the descriptions of the fields of each shape, from the strings below them in its source."""
    tree = ast.parse(inspect.getsource(contract))
    found: dict[str, dict[str, str]] = {}
    for shape in tree.body:
        if isinstance(shape, ast.ClassDef):
            own: dict[str, str] = {}
            for base in shape.bases:
                own |= found.get(base.id, {}) if isinstance(base, ast.Name) else {}
            for field, text in zip(shape.body, shape.body[1:], strict=False):
                if (
                    isinstance(field, ast.AnnAssign)
                    and isinstance(field.target, ast.Name)
                    and isinstance(text, ast.Expr)
                    and isinstance(text.value, ast.Constant)
                ):
                    own[field.target.id] = _prose(str(text.value.value))
            found[shape.name] = own
    return found


_FIELDS = _fields()


def _conditions() -> tuple[dict[str, t.Any], dict[str, str]]:
    """Return the types and the descriptions of the conditions that are in a plan, apart from those beside them."""
    hints = t.get_type_hints(Conditions, include_extras=True)
    beside = t.get_type_hints(contract.PlanBody)
    lasting = [name for name, each in OPTIONS.items() if each.lasting and name not in beside]
    fragment = _plan.ModuleDocFragment
    documented = {
        name: option
        for part in (
            fragment.DOCUMENTATION,
            fragment.CONDITIONS,
            fragment.CAPACITY,
            fragment.MOVES,
        )
        for name, option in yaml_load(part)["options"].items()
    }
    described = {}
    for name in lasting:
        text = documented[name]["description"]
        whole = text if isinstance(text, str) else " ".join(text)
        described[name] = _prose(_MARKUP.sub(r"`\1`", whole))
    return {name: hints[name] for name in lasting}, described


def main() -> None:
    """Write the files."""
    for name, schema in schemas().items():
        (PLACE / f"{name}.json").write_text(as_text(schema), encoding="utf-8")


if __name__ == "__main__":
    main()
