# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where guests without devices go, and which guests these are."""

from __future__ import annotations

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import read_fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.checks import (
    MigrationCase,
    check_migration,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.guests import (
    LibvirtHost,
    guests_without_devices,
    read_host,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.without_devices import (
    place_without_devices,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import Conditions
from ansible_collections.vfio.migration.tests.unit.fleets import UUIDS, device, host
from ansible_collections.vfio.migration.tests.unit.libvirt_answers import (
    guest_info,
    host_info,
    libvirt_info,
)
from hypothesis import given
from hypothesis import strategies as st


def receiving(kib, **changes):
    memory = {"free": kib, "default_huge_page": 2048, "huge_pages": [{"size": 2048, "free": kib}]}
    return read_host(libvirt_info(host=host_info(memory=memory, **changes)))


def placed(sizes, rooms, planned=(), stated=None, pages=None, **info):
    """Return the targets of guests of these sizes in KiB on a, and why others have none, where hosts have so much room.

    ``planned`` are sizes of guests with devices that are to come to the first host, with huge ``pages`` of these sizes.
    ``stated`` is what an operator knows of capacity.
    """
    plain = [
        guest_info(
            f"vm-{number}", f"00000000-0000-4000-8000-{number:012}", devices=[], memory=kib, **info
        )
        for number, kib in enumerate(sizes)
    ]
    fixed = [
        guest_info(
            f"gpu-{number}",
            f"00000000-0000-4000-9000-{number:012}",
            memory=kib,
            huge_pages=pages,
        )
        for number, kib in enumerate(planned)
    ]
    hosts = {"a": read_host(libvirt_info(*plain, *fixed))}
    hosts |= {name: receiving(kib) for name, kib in rooms.items()}
    held = [device(UUIDS[n], vm=f"gpu-{n}", pid=n + 1) for n in range(len(fixed))]
    fleet = read_fleet({"a": host(held)})
    guests = guests_without_devices(fleet, hosts, ["a"])
    known = [
        *guests,
        *(
            {
                "vm": each["name"],
                "host": "a",
                "uuid": each["uuid"],
                "kinds": ["mdev"],
                "device": None,
            }
            | {"persistent": True, "reason": None}
            for each in fixed
        ),
    ]
    case = MigrationCase(
        fleet, known, hosts, hosts, drain=["a"], stated=Conditions.parse(stated or {})
    )
    coming = {("a", each["name"]): next(iter(rooms)) for each in fixed}
    return place_without_devices(case, guests, [*rooms], coming)


def test_the_greatest_have_their_places_first():
    places = placed([1, 5, 3], {"b": 5, "c": 4})
    assert places.targets == {("a", "vm-1"): "b", ("a", "vm-2"): "c", ("a", "vm-0"): "c"}
    assert places.reasons == {}


def test_guests_with_devices_have_the_memory_of_their_targets_first():
    places = placed([4], {"b": 6, "c": 4}, planned=[3])
    assert places.targets == {("a", "vm-0"): "c"}


def test_who_fits_nowhere_is_given_what_each_host_lacks():
    places = placed([9], {"b": 5, "c": 4})
    assert places.targets == {}
    why = places.reasons["a", "vm-0"]
    assert "b has 5 KiB of memory free, and it needs 9" in why
    assert "c has 4 KiB of memory free" in why
    # What others have taken of it is not free for this one.
    places = placed([4, 3], {"b": 6})
    assert places.targets == {("a", "vm-0"): "b"}
    assert "b has 2 KiB of memory left, and it needs 3" in places.reasons["a", "vm-1"]
    assert "there is none but its own" in placed([1], {}).reasons["a", "vm-0"]


def test_a_host_that_lacks_something_else_is_passed_over():
    places = placed([1], {"b": 5}, networks=["tenants"])
    assert "b has no active network tenants" in places.reasons["a", "vm-0"]


def test_huge_pages_are_counted_by_themselves():
    places = placed([4, 4], {"b": 6}, huge_pages=[2048])
    assert len(places.targets) == 1
    (why,) = places.reasons.values()
    assert "of huge pages of 2048 KiB left" in why


def test_pages_of_the_default_size_are_those_of_that_size():
    places = placed([4], {"b": 6, "c": 6}, planned=[3], pages=[2048], huge_pages=[])
    assert places.targets == {("a", "vm-0"): "c"}
    places = placed([4], {"b": 6}, planned=[3], pages=[2048], huge_pages=[])
    (why,) = places.reasons.values()
    assert "b has 3 KiB of huge pages of 2048 KiB and the default size left, and it needs 4" in why


def test_what_an_operator_states_holds_for_them_too():
    taken = {"vm-0": {"cpus": 4}, "gpu-0": {"cpus": 3}}
    stated = {"hosts": {"b": {"cpus": 6}, "c": {"cpus": 4}}, "guests": taken}
    places = placed([1], {"b": 9, "c": 9}, planned=[1], stated={"capacity": stated})
    assert places.targets == {("a", "vm-0"): "c"}
    places = placed(
        [1],
        {"b": 9, "c": 9, "d": 9},
        planned=[1],
        stated={"capacity": stated, "spare": {"cpus": 1}},
    )
    why = places.reasons["a", "vm-0"]
    assert "b has 3 cpus left, and it needs 4 beside 1 that is to be spare" in why
    assert "c has 4 cpus left, and it needs 4 beside 1 that is to be spare" in why
    assert "it is not stated how much cpus d has free, and it needs 4" in why


@given(
    st.lists(st.integers(1, 20), max_size=6),
    st.lists(st.integers(0, 40), min_size=1, max_size=3),
    st.lists(st.integers(1, 10), max_size=2),
)
def test_no_host_gets_more_than_it_has_and_nobody_stays_who_would_fit(sizes, rooms, planned):
    names = dict(zip("bcd", rooms, strict=False))
    places = placed(sizes, names, planned)
    assert len(places.targets) + len(places.reasons) == len(sizes)
    # What those with devices leave, which may come whatever there is.
    left = {**names, "b": max(0, names["b"] - sum(planned))}
    for (_host, vm), target in places.targets.items():
        left[target] -= sizes[int(vm[3:])]
    assert all(kib >= 0 for kib in left.values())
    for _host, vm in places.reasons:
        assert all(sizes[int(vm[3:])] > kib for kib in left.values())


def found(fleet, *guests, **changes):
    return guests_without_devices(
        read_fleet(fleet), {"a": read_host(libvirt_info(*guests, **changes))}, ["a"]
    )


def test_who_holds_a_device_is_none_of_them():
    held = {"a": host([device(UUIDS[1], vm="vm-17")])}
    assert found(held, guest_info("vm-17")) == []
    (other,) = found(held, guest_info("vm-17"), others=[{"name": "plain", "uuid": UUIDS[6]}])
    assert (other["vm"], other["device"], other["kinds"], other["reason"]) == (
        "plain",
        None,
        [],
        None,
    )


def test_a_silent_libvirt_may_run_such_guests():
    silent = {"a": LibvirtHost(error="no socket")}
    (unknown,) = guests_without_devices(read_fleet({"a": host([])}), silent, ["a"])
    assert (unknown["vm"], unknown["host"]) == ("every guest without VFIO devices on a", "a")
    assert "libvirt there does not answer: no socket" in unknown["reason"]


def test_where_nobody_knows_who_holds_a_device_none_of_them_moves():
    unknown = device(UUIDS[1]) | {"in_use": {"pid": None, "name": None}}
    (other,) = found({"a": host([unknown])}, guest_info("plain", devices=[]))
    assert UUIDS[1] in other["reason"]
    assert "gather as root" in other["reason"]


def test_a_guest_whose_domain_has_a_device_that_it_does_not_hold_stays():
    (other,) = found({"a": host()}, guest_info("odd"))
    assert other["reason"].startswith("its domain has mdev ")


def test_a_host_without_facts_or_libvirt_has_none():
    assert guests_without_devices(read_fleet({}), {}, ["a"]) == []
    assert found({}, guest_info("plain", devices=[])) == []


@pytest.mark.parametrize(
    ("info", "word"),
    [
        ({"blocked_reasons": ["x"]}, "QEMU would not migrate it"),
        ({"devices": [{"kind": "mdev", "id": UUIDS[1]}]}, "it has assigned devices now"),
        (
            {
                "disks": [
                    {"target": "vda", "type": "file", "source": "/x"}
                    | {"readonly": False, "shareable": False, "shared": False, "backing": []}
                ]
            },
            "only a has its disk",
        ),
    ],
)
def test_the_checks_hold_for_them_too(info, word):
    hosts = {"a": read_host(libvirt_info(guest_info("plain", devices=[]))), "b": receiving(1 << 20)}
    asked = {"a": read_host(libvirt_info(guest_info("plain", **{"devices": [], **info})))}
    fleet = read_fleet({"a": host()})
    guests = guests_without_devices(fleet, hosts, ["a"])
    checks = check_migration(MigrationCase(fleet, guests, hosts, asked, drain=["a"]))
    (left,) = checks["left"]
    assert word in left["reason"]
    checks = check_migration(MigrationCase(fleet, guests, hosts, hosts, drain=["a"]))
    assert [each["vm"] for each in checks["chosen"]] == ["plain"]


def test_two_guests_of_one_name_go_to_hosts_of_their_own():
    twins = {name: guest_info("web", UUIDS[number], devices=[]) for number, name in enumerate("ab")}
    for rooms in ("c", "cd"):
        hosts = {name: read_host(libvirt_info(each)) for name, each in twins.items()}
        hosts |= {name: receiving(1 << 20) for name in rooms}
        fleet = read_fleet({name: host([]) for name in "ab"})
        guests = guests_without_devices(fleet, hosts, ["a", "b"])
        case = MigrationCase(fleet, guests, hosts, hosts, drain=["a", "b"])
        places = place_without_devices(case, guests, [*rooms], {})
        assert sorted(places.targets.values()) == [*rooms]
        if len(rooms) < 2:
            assert "c gets another guest of this name" in places.reasons["b", "web"]
        # One with devices that comes to the host has the name as well.
        places = place_without_devices(case, guests[:1], [*rooms], {("b", "web"): "c"})
        assert places.targets == ({} if rooms == "c" else {("a", "web"): "d"})
