# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import datetime
import time

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._host.moment import moment
from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import Sysfs

BOOT = "4f6d0c1e-8a7b-4a0e-9c46-2f0f2d3f8f55"


@pytest.fixture
def live(monkeypatch):
    monkeypatch.setattr(Sysfs, "live", True)
    return Sysfs("/sys")


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati"])
def test_the_time_is_utc_to_the_second_wherever_the_host_is(monkeypatch, tmp_path, zone):
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        # The coarse clock of time.gmtime is up to a tick behind.
        before = int(time.time() - 0.1)
        told = moment(Sysfs(str(tmp_path)))["time"]
        after = time.time()
    finally:
        monkeypatch.undo()
        time.tzset()
    assert told.endswith("Z")
    parsed = datetime.datetime.strptime(told, "%Y-%m-%dT%H:%M:%SZ")
    assert before <= parsed.replace(tzinfo=datetime.timezone.utc).timestamp() <= after


def test_the_boot_is_the_kernels_own_id(live, tmp_path):
    (tmp_path / "boot_id").write_text(BOOT + "\n")
    assert moment(live, str(tmp_path / "boot_id"))["boot"] == BOOT


@pytest.mark.parametrize("text", ["", "no id", BOOT.upper(), "\xff" * 5000])
def test_what_is_no_id_is_no_boot(live, tmp_path, text):
    (tmp_path / "boot_id").write_text(text)
    assert moment(live, str(tmp_path / "boot_id"))["boot"] is None


def test_a_boot_that_cannot_be_read_is_unknown(live, tmp_path):
    assert moment(live, str(tmp_path / "none"))["boot"] is None


def test_a_copied_tree_is_of_no_known_boot(tmp_path):
    (tmp_path / "boot_id").write_text(BOOT)
    assert moment(Sysfs(str(tmp_path)), str(tmp_path / "boot_id"))["boot"] is None
