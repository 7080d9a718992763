# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What of a result is a sentence, its shape says; all else stays as it is."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.printable import (
    MAX_MESSAGE,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.printing import (
    MAX_LINES,
    MAX_SHOWN,
    bounded,
    printed,
)
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import (
    NotRequired,
    Paragraph,
    Plan,
    Sentence,
)
from ansible_collections.vfio.migration.tests.json_schemas import SHAPES, schemas

ESC = "\x1b[2J"


class Said(t.TypedDict):
    """A name, and what is said of it."""

    name: str
    words: Sentence | None
    more: NotRequired[dict[str, list[Sentence]]]


@pytest.mark.parametrize(
    ("shape", "value", "shown"),
    [
        (Sentence, ESC, r"\x1b[2J"),
        (str, ESC, ESC),
        (Sentence, "a\nb", r"a\nb"),
        (Paragraph, f"a\n{ESC}", "a\n\\x1b[2J"),
        (list[Said], [{"name": ESC, "words": ESC}], [{"name": ESC, "words": r"\x1b[2J"}]),
        (Said, {"name": "x", "words": None}, {"name": "x", "words": None}),
        (
            Said,
            {"name": "x", "words": None, "more": {ESC: [ESC]}},
            {"name": "x", "words": None, "more": {ESC: [r"\x1b[2J"]}},
        ),
        (dict[str, t.Any], {"x": ESC}, {"x": ESC}),
        (t.Annotated[list[Sentence], "short"] | None, [ESC], [r"\x1b[2J"]),
    ],
)
def test_sentences_are_printable_and_names_are_as_they_were(shape, value, shown):
    assert printed(value, shape) == shown


def test_a_sentence_has_a_limit():
    assert len(printed("x" * 900_000, Sentence)) == MAX_MESSAGE


@pytest.mark.parametrize("value", [None, 7, ["x"], {"name": "x", "words": None, "more": [7]}])
def test_a_value_of_another_shape_is_an_error(value):
    with pytest.raises(FleetError, match="not what this collection's filters and modules return"):
        printed(value, Said)


def test_what_is_no_text_where_a_sentence_is_to_be_is_shown_as_text():
    assert printed({"name": "x", "words": [ESC]}, Said)["words"] == r"['\x1b[2J']"


def test_a_shape_must_tell_which_of_its_values_are_sentences():
    with pytest.raises(TypeError, match="cannot be distinguished"):
        printed({}, Said | Plan)


def test_the_shapes_of_what_people_read_have_sentences():
    made = schemas()
    assert {name for name in SHAPES if "u202e" in str(made[name])} == set(SHAPES) - {"facts"}


def test_what_an_operator_is_shown_has_a_size():
    lines = [f"line {number}" for number in range(100_000)]
    shown = bounded(lines)
    assert len(shown) == MAX_LINES + 1
    assert (shown[0], shown[-1]) == (lines[0], lines[-1])
    assert "99,800 more" in shown[MAX_LINES // 2]
    assert len(bounded("\n".join(lines)).split("\n")) == MAX_LINES + 1
    assert len(bounded("x" * 10**7)) == MAX_SHOWN
    assert bounded(lines[:3]) == lines[:3]
