# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import os

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._host.kernel_log import KernelLog


@pytest.fixture
def records():
    """Return the log's content, a list to fill: each item is read as a record, or raised as an error if it is a number."""
    return []


@pytest.fixture
def log(tmp_path, monkeypatch, records):
    path = tmp_path / "kmsg"
    path.touch()

    def read(descriptor, size):
        if not records:
            raise BlockingIOError(errno.EAGAIN, "")
        record = records.pop(0)
        if isinstance(record, int):
            raise OSError(record, "")
        return record

    monkeypatch.setattr(os, "read", read)
    return KernelLog(True, str(path))


def test_what_the_kernel_logs_is_told(log, records):
    records += [
        b"3,100,12345,-;i915 0000:00:02.0: no room\n SUBSYSTEM=pci\n DEVICE=+pci:0000:00:02.0\n",
        b"6,101,12346,-;second\n",
    ]
    with log:
        assert log.lines() == ["i915 0000:00:02.0: no room", "second"]
        assert log.lines() == []


def test_what_is_not_the_kernels_is_left_out(log, records):
    # Facility 1 is of programs, facility 3 of services.
    records += [b"14,1,1,-;from a user\n", b"30,2,1,-;from systemd\n", b"nonsense", b"x,1;y"]
    with log:
        assert log.lines() == []


def test_records_that_were_overwritten_are_passed_over(log, records):
    records += [errno.EPIPE, b"4,9,1,-;later\n"]
    with log:
        assert log.lines() == ["later"]


def test_it_is_not_too_much(log, records):
    records += [b"4,%d,1,-;%s\n" % (number, b"x" * 1000) for number in range(20)]
    with log:
        lines = log.lines()
    assert len(lines) == 8
    assert {len(line) for line in lines} == {300}


def test_what_cannot_be_shown_is_escaped(log, records):
    records.append("4,9,1,-;\x1b[2J\u00e4\n".encode())
    with log:
        assert log.lines() == ["\\x1b[2J\\xe4"]


@pytest.mark.parametrize(("live", "path"), [(True, "/nonexistent"), (False, "/dev/kmsg")])
def test_where_it_cannot_be_read_there_is_nothing(live, path):
    with KernelLog(live, path) as log:
        assert log.lines() == []
