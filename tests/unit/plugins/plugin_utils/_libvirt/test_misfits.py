# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a host lacks for a guest, rule by rule."""

from __future__ import annotations

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.disks import DiskCopying
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.guests import (
    LibvirtHost,
    read_host,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.misfits import (
    Arrival,
    misfits,
)
from ansible_collections.vfio.migration.tests.unit.fleets import UUIDS
from ansible_collections.vfio.migration.tests.unit.libvirt_answers import (
    VERSIONS,
    arrival_info,
    guest_info,
    host_info,
    libvirt_info,
)

NEWEST = VERSIONS | {"libvirt": "12.1.0"}
CPU = guest_info()["cpu"]


def lacking(guest=None, host=None, arrival=None, versions=NEWEST, source=None, copies=False):
    """Return what a host lacks that has all but for these changes."""
    here = read_host(libvirt_info(host=host_info(**(source or {}))))
    there = read_host(libvirt_info(host=host_info(**(host or {})), versions=versions))
    said = arrival_info(**(arrival or {}))
    copying = DiskCopying(**copies) if isinstance(copies, dict) else DiskCopying(copies)
    return misfits(Arrival(guest_info(**(guest or {})), here, there, copying, said=said))


def test_a_host_that_the_guests_host_does_not_reach_is_no_target():
    here = read_host(
        libvirt_info(
            peers=[{"uri": "ssh://b", "problem": "no key"}, {"uri": "ssh://c", "problem": None}]
        )
    )
    there = read_host(libvirt_info(arriving=[arrival_info()], versions=NEWEST))
    [found] = misfits(Arrival(guest_info(), here, there, uri="ssh://b"))
    assert found.lacks == "is not reached by libvirt of the guest's host at ssh://b (no key)"
    for uri in ("ssh://c", "ssh://d", None):
        assert misfits(Arrival(guest_info(), here, there, uri=uri)) == []


def test_a_host_that_has_all_lacks_nothing():
    assert lacking() == []


@pytest.mark.parametrize(
    ("changes", "lacks", "needs"),
    [
        (
            {"guest": {"iommufd": True}, "versions": VERSIONS},
            "has libvirt 11.3.0",
            "uses IOMMUFD",
        ),
        ({"guest": {"iommufd": True}}, "has no /dev/iommu", "uses IOMMUFD"),
        (
            {"guest": {"machine": "pc-q35-11.0"}},
            "has no machine type pc-q35-11.0",
            "is such a machine",
        ),
        (
            {"arrival": {"cpu": "incompatible"}},
            "has a hypervisor that cannot give all of a CPU Skylake-Server",
            "has that",
        ),
        (
            {"arrival": {"cpu": None, "cpu_problem": "Unknown CPU model"}},
            "has a libvirt that says: Unknown CPU model",
            "has the CPU Skylake-Server",
        ),
        (
            {
                "guest": {"cpu": CPU | {"mode": "host-passthrough"}},
                "host": {"cpu": {"vendor": "AMD", "model": "EPYC"}},
            },
            "has the CPU AMD EPYC",
            "sees that of its host, Intel Skylake-Server",
        ),
        ({"guest": {"networks": ["x"]}}, "has no active network x", "is connected to it"),
        ({"guest": {"links": ["br0"]}}, "has no network device br0", "is connected to it"),
        ({"guest": {"pools": ["x"]}}, "has no active storage pool x", "has a disk in it"),
        ({"arrival": {"missing": ["/a", "/b"]}}, "has no /a, /b", "needs it"),
        ({"guest": {"memory": 2 << 20}}, "has 1048576 KiB of memory free", "needs 2097152"),
        (
            {"guest": {"huge_pages": []}},
            "has 0 KiB of huge pages of 2048 KiB free",
            "needs 1024",
        ),
    ],
)
def test_what_is_missing_is_told_with_who_needs_it_and_what_to_do(changes, lacks, needs):
    (found,) = lacking(**changes)
    assert (found.lacks, found.needs) == (lacks, needs)
    assert found.remedy


@pytest.mark.parametrize(
    "changes",
    [
        {"guest": {"iommufd": True}, "host": {"iommufd": True}},
        {"guest": {"machine": None}},
        # What a host does not say, it is not said to lack.
        {"host": {"machines": {}}},
        {"guest": {"networks": ["x"], "pools": ["y"]}, "host": {"networks": None, "pools": None}},
        {"guest": {"networks": ["x"]}, "host": {"networks": ["x", "y"]}},
        # Libvirt checks nothing of such a CPU either.
        {"guest": {"cpu": CPU | {"check": "none"}}, "arrival": {"cpu": "incompatible"}},
        {"arrival": {"cpu": "identical"}},
        {"arrival": {"cpu": None}},
        {"guest": {"cpu": CPU | {"mode": "host-passthrough"}}},
        {
            "guest": {"cpu": CPU | {"mode": "host-passthrough"}},
            "host": {"cpu": {"vendor": None, "model": None}},
        },
        {"host": {"cpu": {"vendor": "AMD", "model": "EPYC"}}},
        {"arrival": {"cpu": "unknown", "unknown": ["/a", "/usr/bin/qemu-system-x86_64"]}},
        {"arrival": {"missing": ["/a"]}, "copies": True},
        {"guest": {"memory": 1 << 20}},
    ],
)
def test_what_is_there_or_unknown_is_not_missing(changes):
    assert lacking(**changes) == []


def test_the_emulator_is_not_copied_with_the_disks():
    missing = {"missing": ["/usr/bin/qemu-system-x86_64", "/a"]}
    (found,) = lacking(arrival=missing, copies=True)
    assert found.lacks == "has no /usr/bin/qemu-system-x86_64"


def test_what_a_guest_is_started_from_is_not_copied_with_the_disks():
    guest = {"loader": "/fw", "boot_files": ["/vmlinuz", "/initrd"]}
    (found,) = lacking(guest, arrival={"missing": ["/fw", "/initrd", "/a"]}, copies=True)
    assert found.lacks == "has no /fw, /initrd"


@pytest.mark.parametrize(
    ("copies", "missing"),
    [
        # It makes no block device to copy to.
        ({"copies": True}, ["/b", "/iso", "/shared", "/shared.base"]),
        ({"copies": True, "named": ["vda", "vdb", "sdb"]}, ["/b", "/iso"]),
        ({"copies": True, "named": ["sdb"]}, ["/a", "/a.base", "/b", "/iso"]),
        # Nor a file for that.
        (
            {"copies": True, "above": True},
            ["/a", "/a.base", "/b", "/iso", "/shared", "/shared.base"],
        ),
        ({"copies": False}, ["/a", "/a.base", "/b", "/iso", "/shared", "/shared.base"]),
    ],
)
def test_what_libvirt_does_not_copy_must_be_there(copies, missing):
    def disk(target, source, **changes):
        found = {"target": target, "type": "file", "source": source, "shared": True}
        return {**found, "readonly": False, "shareable": False, "backing": [], **changes}

    disks = [
        disk("vda", "/a", backing=["/a.base"]),
        disk("vdb", "/b", type="block", shared=None),
        disk("sda", "/iso", readonly=True),
        disk("sdb", "/shared", shareable=True, backing=["/shared.base"]),
    ]
    paths = [path for each in disks for path in (each["source"], *each["backing"])]
    (found,) = lacking({"disks": disks}, arrival={"missing": sorted(paths)}, copies=copies)
    assert found.lacks == f"has no {', '.join(missing)}"


def test_of_a_host_that_says_nothing_nothing_is_claimed():
    silent = LibvirtHost(versions={"libvirt": "12.1.0"})
    guest = guest_info(networks=["x"], iommufd=True, memory=9 << 30)
    assert misfits(Arrival(guest, silent, silent)) == []


SAME, ELSE = guest_info()["uuid"], UUIDS[3]


@pytest.mark.parametrize(
    ("there", "lacks"),
    [
        ({"guests": [guest_info(uuid=ELSE)]}, [f"of the name vm-17 running, with the UUID {ELSE}"]),
        ({"others": [{"name": "vm-17", "uuid": ELSE}]}, ["of the name vm-17 running"]),
        ({"others": [{"name": "vm-17", "uuid": SAME}]}, ["runs a half of it already"]),
        ({"defined": [{"name": "vm-17", "uuid": ELSE}]}, ["of the name vm-17 defined"]),
        ({"defined": [{"name": "vm-18", "uuid": SAME}]}, [f"a guest vm-18 with the UUID {SAME}"]),
        ({"others": [{"name": "vm-18", "uuid": SAME}]}, [f"a guest vm-18 with the UUID {SAME}"]),
        # What it starts from, and is replaced.
        ({"defined": [{"name": "vm-17", "uuid": SAME}]}, []),
        ({"others": [{"name": "vm-18", "uuid": ELSE}]}, []),
        ({"defined": None}, []),
    ],
)
def test_a_name_or_uuid_that_another_guest_has_there_is_taken(there, lacks):
    target = read_host(libvirt_info(versions=NEWEST, **there))
    found = misfits(Arrival(guest_info(), read_host(libvirt_info()), target))
    assert len(found) == len(lacks)
    assert all(words in each.lacks for words, each in zip(lacks, found, strict=True))
