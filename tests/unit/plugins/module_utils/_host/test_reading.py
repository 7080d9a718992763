# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.attributes import (
    DescriptorError,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.reading import (
    HostReadError,
    displayable,
    read_kernel_text,
    read_number,
    read_text,
    read_value,
    reading,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import Sysfs


@pytest.fixture
def directory(tmp_path):
    with Sysfs(str(tmp_path)).open() as directory:
        yield directory


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (OSError(errno.EIO, "Input/output error"), "input/output error"),
        (DescriptorError("more than is read"), "more than is read"),
    ],
)
def test_what_goes_wrong_names_the_file(error, problem):
    def fail():
        with reading("/sys/x"):
            raise error

    with pytest.raises(HostReadError) as raised:
        fail()
    assert (raised.value.path, raised.value.problem) == ("/sys/x", problem)
    assert raised.value.__cause__ is error


def test_other_errors_pass():
    with pytest.raises(KeyError), reading("/sys/x"):
        raise KeyError("x")


def test_a_text_is_read_whole_or_not_at_all(tmp_path, directory):
    (tmp_path / "x").write_text("1234")
    assert read_text(directory, "x", 4) == "1234"
    with pytest.raises(HostReadError, match="more than 3 bytes"):
        read_text(directory, "x", 3)


def test_a_value_is_one_line(tmp_path, directory):
    (tmp_path / "x").write_text(" 1\n")
    assert read_value(directory, "x") == "1"
    (tmp_path / "x").write_text("1\n2\n")
    with pytest.raises(HostReadError, match="is not one line"):
        read_value(directory, "x")


def test_a_number_is_of_digits(tmp_path, directory):
    (tmp_path / "x").write_text("16\n")
    assert read_number(directory, "x") == 16
    (tmp_path / "x").write_text("0x10\n")
    with pytest.raises(HostReadError, match="'0x10'; expected a number"):
        read_number(directory, "x")


def test_a_file_of_the_kernel_may_be_missing(tmp_path):
    (tmp_path / "x").write_text("6.12\n")
    sysfs = Sysfs(str(tmp_path))
    assert read_kernel_text(sysfs, "x") == "6.12"
    assert read_kernel_text(sysfs, "y") is None
    (tmp_path / "x").write_bytes(b"\xff")
    with pytest.raises(HostReadError, match="not ASCII"):
        read_kernel_text(sysfs, "x")


def test_what_cannot_be_shown_is_escaped():
    assert displayable("vfio0") == "vfio0"
    assert displayable("a\x1b\udcff") == "a\\x1b\\udcff"
