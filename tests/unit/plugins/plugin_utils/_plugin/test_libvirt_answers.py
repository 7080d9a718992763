# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the module says on hosts is what is read here, and what possible targets are asked is what the module there takes."""

from __future__ import annotations

import json
import typing as t

import pytest
from ansible_collections.vfio.migration.plugins.action.libvirt_guest_info import ActionModule
from ansible_collections.vfio.migration.plugins.module_utils._host.arriving import arriving_guests
from ansible_collections.vfio.migration.plugins.module_utils._host.libvirt_guests import Asking
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.info import (
    LibvirtInfo,
    as_arriving,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.libvirt_answers import (
    said_by_libvirt,
)
from ansible_collections.vfio.migration.tests.unit import libvirt_stand_in
from ansible_collections.vfio.migration.tests.unit.domains import UUID, domain_of, hostdev
from ansible_collections.vfio.migration.tests.unit.libvirt_answers import guest_info, libvirt_info
from ansible_collections.vfio.migration.tests.unit.libvirt_stand_in import (
    Connection,
    Domain,
    libvirtError,
)

CPU = "<cpu mode='custom' check='full'><model>Nehalem</model><feature name='ss' policy='require'/></cpu>"
DISK = "<disk type='file'><source file='/x.img'/><target dev='vda'/></disk>"
INTERFACE = "<interface type='network'><source network='tenants'/></interface>"


@pytest.fixture
def asking(monkeypatch):
    xml = domain_of(hostdev("mdev", UUID), DISK, INTERFACE).replace("<devices>", f"{CPU}<devices>")
    shared = {"state": [1, 1], "isPersistent": 1, "autostart": 0, "UUIDString": UUID}
    domains = [
        Domain(name="vm-17", XMLDesc=xml, **shared),
        Domain(name="vm-18", XMLDesc=domain_of(), **shared),
        Domain(name="vm-19", XMLDesc="<domain/>", **shared),
    ]
    connection = Connection(
        listAllDomains=domains,
        getCapabilities="<capabilities/>",
        getLibVersion=11003000,
        listAllNetworks=libvirtError("denied", 88),
        compareHypervisorCPU=2,
    )
    libvirt_stand_in.install(monkeypatch, connection)
    return Asking("qemu:///system", 30)


def test_the_action_hands_on_all_that_is_read():
    assert t.get_type_hints(LibvirtInfo).keys() == ActionModule.returned


def test_what_the_module_returns_is_read(asking):
    guests, others = asking.guests(asking.running(), None, True)
    arriving = arriving_guests([as_arriving(guest) for guest in guests])
    answer = {
        "guests": guests,
        "others": others,
        "paused": asking.paused(),
        "defined": asking.defined(),
        "arriving": asking.arriving(arriving),
        "versions": asking.versions(),
        "peers": asking.peers([]),
        "host": asking.host(),
        "problems": asking.problems,
    }
    found = said_by_libvirt(json.loads(json.dumps(answer)))
    assert found.error is None
    assert found.versions == {"libvirt": "11.3.0"}
    assert found.running["vm-17"].info == guests[0]
    assert {found.running[name].info for name in ("vm-18", "vm-19")} == {None}
    assert found.arriving[0]["cpu"] == "superset"
    assert found.arriving[0]["missing"] == ["/x.img"]
    assert {"vm-19", ""} <= set(found.problems)


def test_whatever_a_host_says_of_a_guest_the_module_on_another_takes_it():
    cpu = dict.fromkeys(("mode", "match", "check", "model", "vendor"), "x" * 9999)
    feature = {"name": "y" * 9999, "policy": None}
    disk = {"target": None, "type": "file", "source": "/" * 9999, "more": 1, "backing": ["/b"]}
    guest = guest_info(
        machine="z" * 9999,
        emulator=None,
        cpu=cpu | {"features": [feature] * 9999, "more": {"a": 1}},
        disks=[disk] * 9999,
    )
    (found,) = arriving_guests([as_arriving(guest)])
    assert len(found.cpu["features"]) == 512
    assert len(found.paths) == 512


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ({}, "it says nothing"),
        ({"msg": "libvirt's Python binding is missing"}, "libvirt's Python binding is missing"),
        ({"guests": []}, "its answer is none of the module: the key 'others' is expected"),
        (
            libvirt_info(guest_info(memory="much")),
            "its answer is none of the module: at guests[0].memory an integer is expected",
        ),
    ],
)
def test_what_is_no_answer_of_the_module_is_an_error_that_says_where(answer, error):
    assert said_by_libvirt(answer).error == error
