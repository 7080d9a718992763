# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is checked of all tests' documents in short time is what jsonschema checks."""

from __future__ import annotations

import pytest
from ansible_collections.vfio.migration.tests.unit import schema_checks
from ansible_collections.vfio.migration.tests.unit.fuzzing import JSON, damaged
from ansible_collections.vfio.migration.tests.unit.plugins.plugin_utils.test_contract import (
    NAMES,
    document,
)
from ansible_collections.vfio.migration.tests.unit.quick_schemas import quick
from hypothesis import given
from hypothesis import strategies as st

jsonschema = pytest.importorskip("jsonschema")


@given(st.data())
def test_of_a_document_with_damage_it_says_what_jsonschema_says(data):
    name = data.draw(st.sampled_from(NAMES))
    damage = data.draw(damaged(document(name)))
    assert schema_checks.conforms(name)(damage) == schema_checks.validator(name).is_valid(damage)


# Each keyword of our schemas.
SCHEMAS = (
    *({"type": name} for name in ("null", "boolean", "string", "array", "object")),
    *({"type": name} for name in ("number", "integer", ["integer", "null"])),
    *({"enum": [1, "x", None]}, {"const": 0}, {"minimum": 1}, {"maxLength": 3}, {"pattern": "^x"}),
    *({"minItems": 1}, {"maxItems": 1}, {"items": {"type": "integer"}}),
    *({"required": ["a"]}, {"propertyNames": {"maxLength": 1}}, {"additionalProperties": False}),
    {"properties": {"a": {"minimum": 1}}, "additionalProperties": {"type": "string"}},
    {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/x"}], "$defs": {"x": {"const": True}}},
)


@given(st.sampled_from(SCHEMAS), JSON | st.dictionaries(st.sampled_from("ab"), JSON))
def test_of_a_value_it_says_what_jsonschema_says(schema, value):
    valid = jsonschema.Draft202012Validator(schema).is_valid(value)
    assert quick(schema)(value) == valid


def test_a_keyword_that_it_does_not_know_is_an_error():
    with pytest.raises(KeyError, match="uniqueItems"):
        quick({"uniqueItems": True})
