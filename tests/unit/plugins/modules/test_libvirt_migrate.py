# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module that migrates a guest, with a stand-in for libvirt; the process that does the work is a real one."""

from __future__ import annotations

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._change.background import (
    BackgroundWork,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.libvirt_binding import (
    LibvirtError,
)
from ansible_collections.vfio.migration.plugins.modules import libvirt_migrate

UUID = "4dea22b3-1d52-d8f3-2516-782e98ab3fa0"
START = {
    "uuid": UUID,
    "step": "start",
    "destination": "qemu+ssh://root@b/system",
    "active_xml": "<domain>secret</domain>",
}


class Moving:
    """A migration that ends at once, and says with what it was asked for."""

    def __init__(self, order, tell):
        self._order = order
        tell({"data_total": 1})

    def run(self):
        limits = self._order.limits
        return {
            "outcome": "moved",
            "errors": [],
            "asked": [self._order.options.flags, limits.downtime, limits.longest_downtime],
        }


@pytest.fixture(autouse=True)
def place(monkeypatch, tmp_path):
    place = tmp_path / "run" / "migrate"
    monkeypatch.setattr(libvirt_migrate, "_STATUS", str(place))
    monkeypatch.setattr(libvirt_migrate, "GuestMigration", Moving)
    monkeypatch.setattr(libvirt_migrate, "Libvirt", lambda uri: uri)
    return place


def test_a_domain_is_read(run_module, monkeypatch):
    definitions = {"name": "vm-17", "active": "<domain/>", "persistent": None}
    monkeypatch.setattr(libvirt_migrate, "read_definitions", lambda libvirt, uuid: definitions)
    result = run_module(libvirt_migrate.main, uuid=UUID, step="read")
    assert (result["changed"], result["definitions"]) == (False, definitions)


def test_without_a_binding_it_says_what_to_install(run_module, monkeypatch):
    def none(uri):
        raise LibvirtError("install the package python3-libvirt")

    monkeypatch.setattr(libvirt_migrate, "Libvirt", none)
    result = run_module(libvirt_migrate.main, uuid=UUID, step="read")
    assert result["failed"]
    assert result["msg"] == "install the package python3-libvirt"


def test_a_guest_is_sent_and_its_result_stays_as_the_answer_may_be_lost(run_module, place):
    result = run_module(
        libvirt_migrate.main, **START, wait=20, options=["--tls"], downtime=500, downtime_max=900
    )
    assert result["changed"] and not result["runs"]
    assert result["status"]["asked"] == [["TLS"], 500, 900]
    again = run_module(libvirt_migrate.main, uuid=UUID, step="watch")
    assert (again["begun"], again["runs"], again["status"]) == (True, False, result["status"])
    # Nobody sees the domain: not in the result, nor in the log that Ansible keeps of arguments.
    assert "secret" not in str(result) + "".join(each.read_text() for each in place.iterdir())


def test_a_start_that_comes_twice_begins_once_and_no_other_migration_is_taken_for_it(run_module):
    start = {**START, "attempt": "one", "wait": 20}
    assert run_module(libvirt_migrate.main, **start, downtime=500)["status"]["asked"][1] == 500
    again = run_module(libvirt_migrate.main, **start, downtime=700)
    assert (again["begun"], again["status"]["asked"][1]) == (True, 500)
    other = run_module(libvirt_migrate.main, uuid=UUID, step="watch", attempt="other")
    assert (other["begun"], other["runs"], other["status"]) == (False, False, {})


def test_without_a_longest_downtime_it_is_the_first(run_module):
    result = run_module(libvirt_migrate.main, **START, wait=20, downtime=500)
    assert result["status"]["asked"][1:] == [500, 500]


def test_check_mode_sends_nobody(run_module, place):
    result = run_module(libvirt_migrate.main, **START, _ansible_check_mode=True)
    assert result["changed"]
    assert not place.exists()


def test_a_watch_of_nothing_ends_without_a_result(run_module):
    result = run_module(libvirt_migrate.main, uuid=UUID, step="watch", wait=5)
    assert (result["begun"], result["runs"], result["status"]) == (False, False, {})


def test_what_was_certainly_not_begun_is_said_so_and_what_may_have_been_is_not(
    run_module, monkeypatch
):
    def refused(work, begin):
        raise OSError("no space left")

    def unread(work, seconds):
        raise OSError("it cannot be read")

    with monkeypatch.context() as patched:
        patched.setattr(BackgroundWork, "begin", refused)
        result = run_module(libvirt_migrate.main, **START)
    assert (result["failed"], result["begun"], result["msg"]) == (True, False, "no space left")
    monkeypatch.setattr(BackgroundWork, "wait", unread)
    result = run_module(libvirt_migrate.main, **START)
    assert (result["failed"], "begun" in result) == (True, False)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"uuid": "../vm-17", "step": "read"}, "uuid is '../vm-17'; expected a guest's UUID"),
        ({"uuid": UUID}, "use the module as vfio.migration.libvirt_migrate"),
        ({"uuid": UUID, "step": "start"}, "step is start but all of the following are missing"),
        ({**START, "options": ["--postcopy"]}, "post-copy"),
        ({**START, "downtime_max": 1999}, "downtime_max is 1999, and downtime 2000; expected"),
    ],
)
def test_what_cannot_be_is_refused(run_module, place, options, error):
    result = run_module(libvirt_migrate.main, **options)
    assert result["failed"]
    assert error in result["msg"]
    assert not place.exists()
