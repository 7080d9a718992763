# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._change.attributes import equal


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("5", "0x5", True),
        ("0x05", "0X5", True),
        ("-1", "-0x1", True),
        ("none", "none", True),
        ("", "", True),
        ("5", "6", False),
        ("0xg", "0xg0", False),
        ("5 ", "5", False),
        ("", "0", False),
        ("a", "0xa", False),
    ],
)
def test_values_are_compared_as_text_or_integers(one, other, same):
    for pair in ((one, other), (other, one)):
        assert equal(*pair) is same
