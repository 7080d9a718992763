# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Memory: what guests need, what hosts have, and how many devices fit."""

from __future__ import annotations

import itertools

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.memory import (
    DeviceLimit,
    Need,
    device_limit,
    free,
    need,
)
from ansible_collections.vfio.migration.tests.unit.fleets import UUIDS
from ansible_collections.vfio.migration.tests.unit.libvirt_answers import guest_info, host_info
from hypothesis import given
from hypothesis import strategies as st

GIB = 1 << 20


def host_with(kib: int, **pages: int):
    """Return a host with so much memory free, and so much of huge pages by their size, ``p2048`` for one."""
    pools = [{"size": int(name[1:]), "free": amount} for name, amount in pages.items()]
    return host_info(memory={"free": kib, "default_huge_page": 2048, "huge_pages": pools})


def guest_with(kib: int, devices: int = 1, pages=None):
    return guest_info(
        memory=kib,
        huge_pages=pages,
        devices=[{"kind": "mdev", "id": uuid} for uuid in UUIDS[:devices]],
    )


@pytest.mark.parametrize(
    ("pages", "needed", "words", "there"),
    [
        (None, Need(GIB, ()), "memory", 7),
        ([], Need(GIB, (2048,)), "huge pages of 2048 KiB", 10),
        ([1048576], Need(GIB, (1048576,)), "huge pages of 1048576 KiB", 20),
        ([2048, 16], Need(GIB, (2048, 16)), "huge pages of 2048 and 16 KiB", 10),
    ],
)
def test_memory_is_needed_and_looked_for_where_the_guest_takes_it(pages, needed, words, there):
    host = host_with(7, p2048=10, p1048576=20)
    found = need(guest_with(GIB, pages=pages), host)
    assert found == needed
    assert found.source == words
    assert free(host, found.sizes) == there


def test_where_all_guests_fit_there_is_no_limit():
    assert device_limit(host_with(10), []) is None
    assert device_limit(host_with(10), [guest_with(4), guest_with(6)]) is None


def test_guests_that_fit_one_by_one_and_not_together_limit_the_devices():
    guests = [guest_with(4)] * 5
    assert device_limit(host_with(11), guests) == DeviceLimit(
        devices=2, source="memory", free=11, needed=20
    )


def test_each_kind_of_memory_counts_for_itself_and_the_tightest_decides():
    guests = [guest_with(4)] * 3 + [guest_with(4, pages=[])] * 3
    assert device_limit(host_with(12, p2048=12), guests) is None
    found = device_limit(host_with(8, p2048=4), guests)
    assert found == DeviceLimit(devices=1, source="huge pages of 2048 KiB", free=4, needed=12)


def test_a_guest_counts_with_all_its_devices():
    found = device_limit(host_with(10), [guest_with(8, devices=4), guest_with(6, devices=2)])
    # Any two devices bring at most the one of 6; three could bring it and a part of the other.
    assert found is not None
    assert found.devices == 4


@given(
    st.integers(0, 40),
    st.lists(st.tuples(st.integers(1, 20), st.integers(1, 4)), max_size=6),
)
def test_whichever_guests_come_with_so_many_devices_fit(kib, loads):
    guests = [guest_with(each, devices) for each, devices in loads]
    found = device_limit(host_with(kib), guests)
    most = sum(devices for _kib, devices in loads) if found is None else found.devices
    for count in range(len(loads) + 1):
        for some in itertools.combinations(loads, count):
            if sum(devices for _kib, devices in some) <= most:
                assert sum(each for each, _devices in some) <= kib


@given(st.integers(0, 60), st.integers(1, 20), st.integers(1, 6))
def test_of_equal_guests_as_many_come_as_fit(kib, each, count):
    found = device_limit(host_with(kib), [guest_with(each)] * count)
    assert (count if found is None else found.devices) == min(count, kib // each)
