# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files that are looked for, on servers that answer and on others."""

from __future__ import annotations

import errno
import os
import threading
import time

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._host.paths import Paths, is_there


def soon():
    return time.monotonic() + 5


def test_what_is_there_and_what_is_not(tmp_path):
    (tmp_path / "file").touch()
    assert is_there(str(tmp_path / "file")) is True
    for path in ("none", "file/none", "a\x00b"):
        assert is_there(str(tmp_path / path)) is False


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.EACCES, errno.ETIMEDOUT])
def test_a_file_that_cannot_be_looked_for_is_not_known_to_be_missing(monkeypatch, number):
    def fail(_path):
        raise OSError(number, "no")

    monkeypatch.setattr(os, "stat", fail)
    found = is_there("/x")
    monkeypatch.undo()
    assert found is None


def test_nothing_is_known_of_what_was_not_looked_for():
    paths = Paths()
    paths.look("/", time.monotonic() - 1)
    assert paths.found("/") is None
    # That was no look, so the next one is the first.
    paths.look("/", soon())
    assert paths.found("/") is True


def test_where_no_thread_can_begin_nothing_is_known(monkeypatch):
    def start(_thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    paths = Paths()
    paths.look("/", soon())
    assert paths.found("/") is None
