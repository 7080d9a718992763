# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files that actions write on the control node."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.files import (
    content_of,
    replace,
)


def test_a_file_is_made_with_its_directory_and_replaced(tmp_path):
    path = tmp_path / "new" / "directory" / "report.md"
    assert content_of(str(path)) == ""
    for text in ("first", "second \u2713"):
        replace(str(path), text)
        assert content_of(str(path)) == text
    assert [each.name for each in path.parent.iterdir()] == ["report.md"]


def test_a_text_that_is_no_unicode_is_written_all_the_same(tmp_path):
    path = tmp_path / "report.md"
    replace(str(path), "vm-\udcff")
    assert content_of(str(path)) == "vm-\\udcff"


def test_what_cannot_be_read_or_written_is_named_and_nothing_is_left(tmp_path):
    path = tmp_path / "directory"
    (path / "full").mkdir(parents=True)
    for call in (lambda: content_of(str(path)), lambda: replace(str(path), "text")):
        with pytest.raises(AnsibleActionFail, match=str(path)):
            call()
    assert [each.name for each in tmp_path.iterdir()] == ["directory"]
