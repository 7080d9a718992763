# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What tests of steps have in common."""

from __future__ import annotations

import pytest


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Let what is written be in a directory of the test's own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
