# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Numbers in words."""

from __future__ import annotations

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.wording import counted


@pytest.mark.parametrize(
    ("number", "noun", "words"),
    [(0, "host", "0 hosts"), (1, "class", "1 class"), (1234, "class", "1,234 classes")],
)
def test_a_number_of_something(number, noun, words):
    assert counted(number, noun) == words
