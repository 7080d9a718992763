# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Libvirt's binding: what is said where it is not there, where libvirt refuses, and where it is silent."""

from __future__ import annotations

import sys

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._host.libvirt_binding import (
    Libvirt,
    LibvirtError,
)
from ansible_collections.vfio.migration.tests.unit import libvirt_stand_in
from ansible_collections.vfio.migration.tests.unit.libvirt_stand_in import (
    Connection,
    Domain,
    libvirtError,
)


def test_a_connection_to_the_system_is_the_default(monkeypatch):
    binding = libvirt_stand_in.install(monkeypatch, Connection(getLibVersion=11003000))

    libvirt = Libvirt()

    assert binding.opened == ["qemu:///system"]
    assert libvirt.ask("no version", libvirt.connection.getLibVersion) == 11003000


@pytest.mark.parametrize("missing", ["libvirt", "libvirt_qemu"])
def test_a_binding_that_is_not_there_is_told_with_its_package_and_the_interpreter(
    monkeypatch, missing
):
    libvirt_stand_in.install(monkeypatch, Connection())
    monkeypatch.setitem(sys.modules, missing, None)

    with pytest.raises(LibvirtError, match="python3-libvirt") as caught:
        Libvirt().monitor_command(Domain(), "{}", "QEMU does not say")

    assert sys.executable in str(caught.value)


def test_a_libvirt_that_cannot_be_reached_is_told_with_its_address(monkeypatch):
    refused = libvirtError("Failed to connect socket: No such file or directory", 38)
    libvirt_stand_in.install(monkeypatch, refused)

    with pytest.raises(LibvirtError) as caught:
        Libvirt("qemu:///session")

    assert str(caught.value) == (
        "libvirt at qemu:///session cannot be reached: Failed to connect socket: No such file or directory"
    )
    assert caught.value.code == 38


def test_what_libvirt_refuses_is_told_in_its_words_made_printable(monkeypatch):
    domain = Domain(XMLDesc=libvirtError("no domain '\x1b[2J'", 42))
    libvirt_stand_in.install(monkeypatch, Connection())

    with pytest.raises(LibvirtError) as caught:
        Libvirt().ask("the domain of vm-17 cannot be read", lambda: domain.XMLDesc(0))

    assert str(caught.value) == r"the domain of vm-17 cannot be read: no domain '\x1b[2J'"
    assert caught.value.code == 42


def test_a_silent_libvirt_is_waited_for_as_long_as_was_said_and_others_go_on(monkeypatch, silent):
    libvirt_stand_in.install(monkeypatch, Connection())
    libvirt = Libvirt(seconds=0.05)

    with pytest.raises(LibvirtError, match=r"^vm-17: there is no answer within 0.05 s$"):
        libvirt.ask("vm-17", Domain(name=silent).name)

    assert libvirt.ask("vm-18", Domain(name="vm-18").name) == "vm-18"


def test_an_error_of_another_kind_stays_what_it_is(monkeypatch):
    libvirt_stand_in.install(monkeypatch, Connection(getInfo=ValueError("a fault")))
    libvirt = Libvirt()

    with pytest.raises(ValueError, match="a fault"):
        libvirt.ask("no information", libvirt.connection.getInfo)


def test_libvirt_prints_nothing_by_itself(monkeypatch, capsys):
    binding = libvirt_stand_in.install(monkeypatch, Connection())
    Libvirt()

    binding.handlers[-1](None, (1, 2, "something"))

    assert capsys.readouterr() == ("", "")


def test_a_command_for_qemu_goes_to_its_monitor(monkeypatch):
    domain = Domain(monitor='{"return": {}}')
    libvirt_stand_in.install(monkeypatch, Connection())

    answer = Libvirt().monitor_command(domain, '{"execute": "query-migrate"}', "QEMU says nothing")

    assert answer == '{"return": {}}'
    assert domain.asked == [("qemuMonitorCommand", '{"execute": "query-migrate"}')]
