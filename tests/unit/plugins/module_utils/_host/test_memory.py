# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""How much memory a host is said to have."""

from __future__ import annotations

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._host.memory import memory_facts


@pytest.fixture
def host(tmp_path):
    def make(meminfo, pools=None, reserved=None):
        (tmp_path / "meminfo").write_text(meminfo)
        for name, count in (pools or {}).items():
            (tmp_path / "pools" / name).mkdir(parents=True)
            (tmp_path / "pools" / name / "free_hugepages").write_text(count)
            if reserved is not None:
                (tmp_path / "pools" / name / "resv_hugepages").write_text(reserved)
        return memory_facts(str(tmp_path / "meminfo"), str(tmp_path / "pools"))

    return make


def test_what_can_be_had_is_the_kernels_estimate(host):
    found = host("MemFree:  10 kB\nMemAvailable:  70 kB\nHugepagesize:  2048 kB\n")
    assert found == {"free": 70, "default_huge_page": 2048, "huge_pages": []}


def test_without_an_estimate_shared_memory_is_not_given_back(host):
    meminfo = "MemFree: 10 kB\nBuffers: 1 kB\nCached: 50 kB\nShmem: 20 kB\n"
    assert host(meminfo)["free"] == 41


def test_huge_pages_are_told_by_size(host):
    found = host("", {"hugepages-1048576kB": "3\n", "hugepages-2048kB": "5\n", "other": "7\n"})
    assert found["huge_pages"] == [
        {"size": 2048, "free": 10240},
        {"size": 1048576, "free": 3145728},
    ]


@pytest.mark.parametrize(
    ("reserved", "free"), [("0\n", 10240), ("2\n", 6144), ("5\n", 0), ("7\n", 0), ("x", 10240)]
)
def test_huge_pages_that_are_promised_to_others_are_not_free(host, reserved, free):
    found = host("", {"hugepages-2048kB": "5\n"}, reserved)
    assert found["huge_pages"] == [{"size": 2048, "free": free}]


@pytest.mark.parametrize("meminfo", ["", "MemAvailable: many\n", "\x00\xff"])
def test_what_the_kernel_does_not_say_is_nothing(host, meminfo):
    assert host(meminfo, {"hugepages-2048kB": "x"}) == {
        "free": 0,
        "default_huge_page": 0,
        "huge_pages": [],
    }


def test_this_host_has_memory():
    assert memory_facts()["free"] > 0
