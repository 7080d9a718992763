# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files that actions write on the control node."""

from __future__ import annotations

import os
import socket

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.files import (
    content_of,
    read_json,
    replace,
    replace_bytes,
)


def test_a_file_is_made_with_its_directory_and_replaced(tmp_path):
    path = tmp_path / "new" / "directory" / "report.md"
    assert content_of(str(path)) == ""
    for text in ("first", "second \u2713"):
        replace(str(path), text)
        assert content_of(str(path)) == text
    assert [each.name for each in path.parent.iterdir()] == ["report.md"]


@pytest.mark.parametrize("umask", [0, 0o002, 0o077])
def test_nobody_else_may_write_to_what_is_made(tmp_path, umask):
    path = tmp_path / "new" / "directory" / "plan.json"
    before = os.umask(umask)
    try:
        replace(str(path), "{}")
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o077 == 0
    for each in (path.parent, path.parent.parent):
        assert each.stat().st_mode & 0o777 == 0o755 & ~umask


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


@pytest.mark.parametrize("kind", ["a FIFO", "a socket", "a device"])
def test_what_is_no_file_keeps_nobody_waiting(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    place = tmp_path / "plan.json"
    if kind == "a FIFO":
        os.mkfifo(place)
    elif kind == "a socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind("plan.json")
    else:
        place.symlink_to("/dev/zero")
    with pytest.raises(AnsibleActionFail, match=f"cannot read {place}"):
        content_of(str(place))
    with pytest.raises(AnsibleActionFail, match=f"cannot read {place}"):
        replace_bytes(str(place), b"x")
    with pytest.raises(FleetError, match=f"there is no file {place}"):
        read_json(str(place))


def test_what_is_nested_too_deeply_is_no_json(tmp_path):
    place = tmp_path / "plan.json"
    place.write_text("[" * 100_000 + "]" * 100_000)
    with pytest.raises(FleetError, match=f"there is no JSON in {place}: it is nested too deeply"):
        read_json(str(place))
