# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import ast
import unicodedata

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.errors import (
    VfioMigrationError,
)
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.printable import (
    MAX_MESSAGE,
    is_printable,
    printable,
)
from hypothesis import given
from hypothesis import strategies as st

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=20)
HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("vm-17", "vm-17"),
        ("Gerät ✓ 装置 éa", "Gerät ✓ 装置 éa"),
        ("C:\\x1b", "C:\\x1b"),
        ("\x1b[2J\x07", "\\x1b[2J\\x07"),
        ("\x9b2J\x7f", "\\x9b2J\\x7f"),
        ("two\r\nlines\tand", "two\\r\\nlines\\tand"),
        ("a\u202eb\u2066c\u200fd\u061ce", "a\\u202eb\\u2066c\\u200fd\\u061ce"),
        ("a\u2028b\u2029c\u0085", "a\\u2028b\\u2029c\\x85"),
        ("zero\u200bwidth\ufeff\u2060\u00ad", "zero\\u200bwidth\\ufeff\\u2060\\xad"),
        ("no\u00a0space\u3000", "no\\xa0space\\u3000"),
        ("half a pair \ud83d", "half a pair \\ud83d"),
        ("private \ue000, none \uffff \U000e0001", "private \\ue000, none \\uffff \\U000e0001"),
        ("filler \u3164\u115f, selector \ufe0f", "filler \\u3164\\u115f, selector \\ufe0f"),
    ],
)
def test_characters_that_steer_hide_or_mislead_are_shown_as_escapes(text, shown):
    assert printable(text) == shown


def test_every_character_of_unicode_is_itself_or_its_escape():
    every = "".join(map(chr, range(0x110000))).replace("'", "").replace("\\", "")
    shown = printable(every)
    assert ast.literal_eval(f"'{shown}'") == every
    assert not {unicodedata.category(each) for each in set(shown)} & HIDDEN


@given(ANY_TEXT)
def test_a_text_is_printable_and_stays_as_it_is_when_it_is_escaped_again(text):
    shown = printable(text)
    assert is_printable(shown)
    assert printable(shown) == shown


@given(ANY_TEXT, st.integers(3, 30))
def test_a_text_for_one_line_has_a_limit(text, limit):
    shown, whole = printable(text, limit), printable(text)
    assert len(shown) <= limit
    assert shown == whole if len(whole) <= limit else shown.endswith("...")
    assert whole.startswith(shown if shown == whole else shown[: -len("...")])


def test_no_escape_is_cut_in_two():
    assert printable("abc\x1bdef", 9) == "abc..."
    assert printable("abc\x1bdef", 10) == "abc\\x1bdef"


def test_the_messages_of_errors_are_printable_and_have_a_limit():
    assert str(VfioMigrationError("vm\x1b[2J")) == "vm\\x1b[2J"
    assert len(str(VfioMigrationError("x" * 900_000))) == MAX_MESSAGE
