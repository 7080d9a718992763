# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What libvirt on a host says, and where the guests are that are asked for."""

from __future__ import annotations

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import read_fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.guests import (
    LibvirtHost,
    RunningGuest,
    find_guests,
    guests_without_devices,
    hosts_to_ask,
    read_host,
)
from ansible_collections.vfio.migration.tests.unit.domains import UUID
from ansible_collections.vfio.migration.tests.unit.fleets import UUIDS, device, host
from ansible_collections.vfio.migration.tests.unit.libvirt_answers import (
    arrival_info,
    guest_info,
    host_info,
    libvirt_info,
)

OTHER = UUID.replace("c9cd", "d9cd")
HOSTILE = "{{ lookup('pipe', 'id') }} ; rm -rf"
RUNNING = RunningGuest(UUID, persistent=False)


def libvirt(*names: str) -> LibvirtHost:
    return LibvirtHost(
        versions={"libvirt": "10.0.0", "QEMU": "10.0.2"}, running=dict.fromkeys(names, RUNNING)
    )


def held(number: int, name: str | None, **others) -> dict:
    in_use = {"pid": number if name else None, "name": name}
    return device(UUIDS[number]) | {"in_use": in_use} | others


def of_guest(number: int, name: str, uuid: str) -> dict:
    return held(number, name, in_use={"pid": number, "name": name, "uuid": uuid})


def found(devices: dict, hosts: dict, **asked) -> dict[str, dict]:
    fleet = read_fleet({name: host(each) for name, each in devices.items()})
    guests = find_guests(fleet, hosts, **asked)
    assert len({(guest["host"], guest["vm"]) for guest in guests}) == len(guests)
    return {guest["vm"]: guest for guest in guests}


def test_versions_and_guests_are_read_whatever_the_names_are():
    one = guest_info("vm-17", UUID)
    other = {"name": HOSTILE, "uuid": OTHER}
    problem = {"guest": "vm-9", "problem": "its domain cannot be read"}
    there = read_host(
        libvirt_info(one, others=[other], arriving=[arrival_info(OTHER)], problems=[problem])
    )
    assert there.error is None
    assert there.versions == {"libvirt": "11.3.0", "QEMU": "10.0.2"}
    assert there.running == {
        "vm-17": RunningGuest(UUID, persistent=True, info=one),
        HOSTILE: RunningGuest(OTHER, persistent=False),
    }
    assert there.info == host_info()
    assert there.arriving == [arrival_info(OTHER)]
    assert there.problems == {"vm-9": ["its domain cannot be read"]}


@pytest.mark.parametrize("version", [None, "", "x", "9" * 40, "1.0\n"])
def test_a_version_that_is_none_is_not_known(version):
    there = read_host(libvirt_info(versions={"libvirt": version, "qemu": "10.0.2"}))
    assert there.versions == {"QEMU": "10.0.2"}


def test_what_holds_a_device_of_a_drained_host_and_cannot_be_told_stays():
    devices = {"a": [held(1, "vm-1"), held(2, None), held(3, None)]}
    guests = found(devices, {"a": libvirt("vm-1")}, drain=["a"])
    assert {name: guest["reason"] is None for name, guest in guests.items()} == {
        f"what holds {UUIDS[2]}, {UUIDS[3]}": False,
        "vm-1": True,
    }
    assert "gather as root" in guests[f"what holds {UUIDS[2]}, {UUIDS[3]}"]["reason"]
    # Where a guest is asked for by its name, it is none of its business.
    assert [*found(devices, {"a": libvirt("vm-1")}, asked=dict.fromkeys(["vm-1"]))] == ["vm-1"]


def test_a_guest_is_found_with_a_device_and_the_kinds_of_all():
    one = {"in_use": {"pid": 2, "name": HOSTILE, "uuid": UUID}}
    devices = [held(2, HOSTILE, kind="pci", **one), held(4, "vm-9")]
    devices += [held(number, HOSTILE, **one) for number in (1, 3)]
    guests = found(
        {"a": devices, "b": []},
        {"a": libvirt(HOSTILE), "b": libvirt()},
        asked=dict.fromkeys([HOSTILE]),
    )
    assert guests == {
        HOSTILE: {
            "vm": HOSTILE,
            "host": "a",
            "uuid": UUID,
            "persistent": False,
            "device": {"host": "a", "id": UUIDS[2]},
            "kinds": ["pci", "mdev"],
            "memory": 0,
            "reason": None,
        }
    }


def test_only_guests_of_drained_hosts_are_found_in_the_order_of_their_names():
    devices = {"a": [held(1, "vm-2"), held(2, "vm-1")], "b": [held(3, "vm-3")]}
    hosts = {"a": libvirt("vm-1", "vm-2"), "b": libvirt("vm-3")}
    assert [*found(devices, hosts, drain=["a"])] == ["vm-1", "vm-2"]


def test_a_process_that_is_no_guest_of_libvirt_is_named_with_what_it_holds():
    guests = found({"a": [held(7, "dpdk")]}, {"a": libvirt("vm-1")}, drain=["a"])
    assert guests["dpdk"]["reason"] == (
        f"libvirt on a runs no guest of this name: process 7 holds {UUIDS[7]}"
    )


def test_a_guest_that_is_nowhere_or_on_two_hosts_is_told():
    devices = {"a": [held(1, "vm-1")], "b": [held(2, "vm-1")]}
    hosts = {"a": libvirt("vm-1"), "b": libvirt("vm-1")}
    fleet = read_fleet({name: host(each) for name, each in devices.items()})
    here, there, missing = find_guests(fleet, hosts, asked=dict.fromkeys(["vm-1", "vm-5", "vm-5"]))
    assert here["reason"] == there["reason"]
    assert "there is a guest of this name on each of a, b" in here["reason"]
    assert missing["host"] is None
    assert "no host of the play has a process of this name" in missing["reason"]


def test_a_guest_that_is_asked_for_on_a_host_is_none_of_another_one():
    """Whatever another host says its own is called, by name or by UUID."""
    for name in ("vm-1", UUID):
        devices = {"a": [of_guest(1, "vm-1", UUID)], "b": [of_guest(2, name, UUID)]}
        hosts = {
            "a": libvirt("vm-1"),
            "b": LibvirtHost(running={name: RunningGuest(UUID, persistent=False)}),
        }
        fleet = read_fleet({name: host(each) for name, each in devices.items()})
        for asked in ("vm-1", UUID):
            (guest,) = find_guests(fleet, hosts, asked={asked: ["a"]})
            assert (guest["host"], guest["reason"]) == ("a", None)
    (nowhere,) = find_guests(fleet, hosts, asked={"vm-1": ["c"]})
    assert nowhere["host"] is None


@pytest.mark.parametrize(
    "asked",
    [
        *({"vm-1": None}, {"vm-1": ["a"]}, {"vm-2": ["a"]}, {UUID: None}, {OTHER: ["b", "c"]}, {}),
        *({"plain": None}, {"plain": ["d"]}, {UUIDS[9]: None}, {"plain": None, "vm-2": None}),
    ],
)
def test_where_libvirt_is_not_asked_is_no_guest_that_is_asked_for(asked):
    """Of those who tell no UUID only libvirt knows it."""
    devices = {
        "a": [of_guest(1, "vm-1", UUID), held(2, None)],
        "b": [held(3, "vm-2")],
        "c": [of_guest(4, "vm-1", OTHER)],
        "d": [device(UUIDS[5])],
    }
    runs = {
        "b": {"vm-2": RunningGuest(OTHER)},
        "c": {"vm-1": RunningGuest(OTHER)},
        "d": {"vm-1": RUNNING, "plain": RunningGuest(UUIDS[9])},
    }
    hosts = {name: LibvirtHost(running=runs.get(name, {"vm-1": RUNNING})) for name in devices}
    fleet = read_fleet({name: host(each) for name, each in devices.items()})
    there = {name: hosts[name] for name in hosts_to_ask(fleet, [*hosts], asked)}
    assert find_guests(fleet, there, asked) == find_guests(fleet, hosts, asked)
    assert ("d" in there) == any(name in asked for name in ("plain", UUIDS[9]))


def test_of_guests_of_one_name_the_uuid_tells_which_is_meant():
    devices = {"a": [of_guest(1, "vm-1", UUID)], "b": [of_guest(2, "vm-1", OTHER)]}
    hosts = {
        "a": libvirt("vm-1"),
        "b": LibvirtHost(running={"vm-1": RunningGuest(OTHER, persistent=False)}),
    }
    fleet = read_fleet({name: host(each) for name, each in devices.items()})
    reason = find_guests(fleet, hosts, asked=dict.fromkeys(["vm-1"]))[0]["reason"]
    assert (
        f"that on a has {UUIDS[1]}, UUID {UUID}; that on b has {UUIDS[2]}, UUID {OTHER}" in reason
    )
    for name, uuid in (("a", UUID), ("b", OTHER)):
        (guest,) = find_guests(fleet, hosts, asked=dict.fromkeys([uuid]))
        assert (guest["host"], guest["vm"], guest["reason"]) == (name, "vm-1", None)


@pytest.mark.parametrize("uuids", [(UUID, OTHER), (OTHER, OTHER), (UUID, UUID), (None, None)])
def test_two_processes_of_one_name_on_a_host_are_not_one_guest(uuids):
    """Only one of them is libvirt's guest, and moving that with the other's device would harm both."""
    devices = [
        of_guest(number, "vm-1", uuid) if uuid else held(number, "vm-1")
        for number, uuid in zip((1, 2), uuids, strict=True)
    ]
    for asked in ({"asked": {"vm-1": None}}, {"drain": ["a"]}):
        guest = found({"a": devices}, {"a": libvirt("vm-1")}, **asked)["vm-1"]
        for number in (1, 2):
            assert f"process {number}" in guest["reason"]
            assert f"holds {UUIDS[number]}" in guest["reason"]


def test_a_process_of_a_guests_name_and_another_uuid_is_not_that_guest():
    guest = found({"a": [of_guest(1, "vm-1", OTHER)]}, {"a": libvirt("vm-1")}, drain=["a"])["vm-1"]
    assert UUID in guest["reason"]
    assert f"process 1 (UUID {OTHER}) holds {UUIDS[1]}" in guest["reason"]


def test_a_drained_host_that_does_not_answer_or_has_no_facts_is_told():
    guests = find_guests(read_fleet({"a": {"schema": 99}}), {"a": libvirt()}, drain=["a", "z"])
    assert [guest["vm"] for guest in guests] == ["every guest of a", "every guest of z"]
    assert "vfio_migration.schema" in guests[0]["reason"]
    assert guests[1]["reason"] == "z does not answer, or is not a host of the play"


def test_a_guest_that_is_named_need_not_have_a_device():
    plain = RunningGuest(OTHER, persistent=False)
    hosts = {"a": LibvirtHost(running={"vm-1": RUNNING, "plain": plain}), "b": libvirt("vm-2")}
    devices = {"a": [held(1, "vm-1")], "b": []}
    for name in ("plain", OTHER):
        guests = found(devices, hosts, asked={name: ["a"]})
        assert [*guests] == ["plain"]
        guest = guests["plain"]
        assert (guest["host"], guest["kinds"], guest["reason"]) == ("a", [], None)
    assert found(devices, hosts, asked={}) == {}


def test_whether_a_named_guest_has_a_device_must_be_known():
    hosts = {"a": libvirt("plain")}
    guests = found({"a": [held(1, None)]}, hosts, asked={"plain": None})
    assert "it is unknown whether it has" in guests["plain"]["reason"]
    (guest,) = find_guests(read_fleet({}), hosts, asked={"plain": None})
    assert "it is unknown whether it has a VFIO device" in guest["reason"]


@pytest.mark.parametrize("uuid", [UUID, None])
def test_a_guest_that_cannot_be_read_is_named_with_the_reason_and_stays(uuid):
    problem = {"guest": "vm-1", "problem": "its state cannot be read: denied"}
    there = {
        "a": read_host(libvirt_info(others=[{"name": "vm-1", "uuid": UUID}], problems=[problem]))
    }
    devices = {"a": [of_guest(1, "vm-1", UUID)] if uuid else []}
    guest = found(devices, there, asked={"vm-1": None})["vm-1"]
    assert (guest["host"], guest["uuid"]) == ("a", UUID)
    assert guest["reason"] == (
        "libvirt on a runs it, and does not say more of it: its state cannot be read: denied; fix that there, and run this again"
    )


def test_a_guest_without_devices_of_a_drained_host_that_cannot_be_read_stays():
    problem = {"guest": "vm-1", "problem": "its domain cannot be read: denied"}
    others = [{"name": "vm-1", "uuid": UUID}]
    hosts = {"a": read_host(libvirt_info(others=others, problems=[problem]))}
    (guest,) = guests_without_devices(read_fleet({"a": host([])}), hosts, ["a"])
    assert "its domain cannot be read: denied" in guest["reason"]
