# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files that actions write on the control node."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.files import (
    append,
    check_appending,
    content_of,
    read_format,
    read_json,
    replace,
    replace_bytes,
)


def test_a_file_is_made_with_its_directory_and_replaced(tmp_path):
    path = tmp_path / "new" / "directory" / "report.md"
    assert content_of(str(path)) is None
    for text in ("first", "second \u2713"):
        replace(str(path), text)
        assert content_of(str(path)) == text
    assert [each.name for each in path.parent.iterdir()] == ["report.md"]


def test_lines_are_added(tmp_path):
    path = tmp_path / "new" / "record.jsonl"
    for text in ("first\n", "second\n"):
        append(str(path), text)
    assert path.read_text() == "first\nsecond\n"


def test_what_a_writer_that_was_killed_has_left_spoils_no_line_after_it(tmp_path):
    path = tmp_path / "record.jsonl"
    path.write_text("first\nsec")
    append(str(path), "third\n")
    assert path.read_text() == "first\nsec\nthird\n"


def test_of_what_finds_no_room_nothing_is_there(tmp_path):
    path = tmp_path / "record.jsonl"
    path.write_text("first\n")
    there = path.stat().st_size
    # As a full disk does, this takes a part of it.
    program = "import resource, signal, sys; from ansible_collections.vfio.migration.plugins.plugin_utils._plugin import files\n"
    program += "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    program += f"resource.setrlimit(resource.RLIMIT_FSIZE, ({there + 5}, {there + 5}))\n"
    program += "files.append(sys.argv[1], 'second line\\n')"
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "cannot write" in done.stderr, done.stderr
    assert path.read_text() == "first\n"
    append(str(path), "third\n")
    assert path.read_text() == "first\nthird\n"


@pytest.mark.parametrize("umask", [0, 0o002, 0o077])
@pytest.mark.parametrize("write", [replace, append])
def test_nobody_else_may_write_to_what_is_made(tmp_path, umask, write):
    path = tmp_path / "new" / "directory" / "plan.json"
    before = os.umask(umask)
    try:
        write(str(path), "{}")
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
    for call in (replace, append, lambda path, text: content_of(path)):
        with pytest.raises(AnsibleActionFail, match=str(path)):
            call(str(path), "text")
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
        # Without an end; other tests look for who holds /dev/zero, at the same time.
        place.symlink_to("/dev/urandom")
    with pytest.raises(AnsibleActionFail, match=f"cannot read {place}"):
        content_of(str(place))
    with pytest.raises(AnsibleActionFail, match=f"cannot write {place}"):
        append(str(place), "x")
    with pytest.raises(AnsibleActionFail, match=f"cannot read {place}"):
        replace_bytes(str(place), b"x")
    with pytest.raises(FleetError, match=f"there is no file {place}"):
        read_json(str(place))


@pytest.mark.parametrize("text", ["", "\n"])
def test_an_empty_file_is_none_that_is_not_there(tmp_path, text):
    place = tmp_path / "plan.json"
    assert read_format(str(place), 1, "it is not a plan") is None
    place.write_text(text)
    assert content_of(str(place)) == text
    with pytest.raises(FleetError, match=r"^it is not a plan: it is empty$"):
        read_format(str(place), 1, "it is not a plan")
    with pytest.raises(FleetError, match=f"there is no JSON in {place}"):
        read_json(str(place))


@pytest.mark.parametrize("found", ["true", "1.0", "2", '"1"', "null", "[1]", "{}"])
def test_a_format_is_a_number_alone(tmp_path, found):
    place = tmp_path / "plan.json"
    place.write_text(f'{{"format": {found}}}')
    with pytest.raises(FleetError, match=f"{place} has format .*; expected 1; use the version"):
        read_format(str(place), 1, "it is not a plan")
    place.write_text('{"format": 1}')
    assert read_format(str(place), 1, "it is not a plan") == {"format": 1}


def test_what_is_nested_too_deeply_is_no_json(tmp_path):
    place = tmp_path / "plan.json"
    place.write_text("[" * 100_000 + "]" * 100_000)
    with pytest.raises(FleetError, match=f"there is no JSON in {place}: it is nested too deeply"):
        read_json(str(place))


@pytest.mark.parametrize(
    "make",
    [
        os.mkdir,
        lambda path: path.write_bytes(b"\xff\n"),
        os.mkfifo,
        lambda path: os.symlink(path.name, path),
        lambda path: (path.parent.rmdir(), path.parent.write_text("in the way")),
    ],
)
def test_what_takes_no_lines_is_told_before_there_are_any(tmp_path, make):
    path = tmp_path / "records" / "record.jsonl"
    path.parent.mkdir()
    make(path)
    with pytest.raises(AnsibleActionFail, match=f"cannot (read|write) {path}"):
        check_appending(str(path))


@pytest.mark.parametrize("content", [None, "", "first\n"])
def test_what_takes_lines_is_not_changed_by_asking(tmp_path, content):
    path = tmp_path / "records" / "record.jsonl"
    if content is not None:
        path.parent.mkdir()
        path.write_text(content)
    check_appending(str(path))
    assert path.exists() == path.parent.exists() == (content is not None)
    assert content_of(str(path)) == content


def test_a_place_where_nobody_may_write_is_told_before_there_are_lines(tmp_path, monkeypatch):
    # Root may write everywhere, but for a file system that is read-only.
    monkeypatch.setattr(os, "access", lambda place, wanted: place != str(tmp_path))
    with pytest.raises(AnsibleActionFail, match=f"there is no permission to write to {tmp_path}$"):
        check_appending(str(tmp_path / "records" / "record.jsonl"))


@pytest.mark.parametrize("umask", [0o077, 0o000])
def test_only_the_owner_may_read_a_file_unless_others_are_let(tmp_path, umask):
    earlier = os.umask(umask)
    try:
        replace(str(tmp_path / "own"), "")
        replace(str(tmp_path / "shown"), "", 0o644)
    finally:
        os.umask(earlier)
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert modes == {"own": 0o600, "shown": 0o644}
