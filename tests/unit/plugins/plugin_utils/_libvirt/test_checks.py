# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What keeps guests from migrating, and hosts from receiving them."""

from __future__ import annotations

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import read_fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.answers import Answer
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.checks import (
    Memory,
    check_guests,
    check_migration,
    memory,
    parents_to_avoid,
    possible_targets,
    shortcomings,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.guests import (
    LibvirtHost,
    RunningGuest,
)
from ansible_collections.vfio.migration.tests.unit.domains import UUID
from ansible_collections.vfio.migration.tests.unit.fleets import UUIDS, device, host, parent

NEW = {"libvirt": "11.0.0", "QEMU": "10.0.2"}
OLD = {"libvirt": "9.5.0", "QEMU": "8.2.2"}


def guest(vm: str = "vm-17", kinds=("mdev",), **others):
    found = {"vm": vm, "host": "a", "kinds": [*kinds], "reason": None, "uuid": UUID}
    return found | {"persistent": True, "autostart": False, "device": None} | others


def dump(xml: str = "<domain/>", vm: str = "vm-17", **others):
    return {("a", vm): Answer(**{"rc": 0, "stdout": xml} | others)}


@pytest.mark.parametrize(
    ("kinds", "domain", "qemu", "reason"),
    [
        (["mdev", "pci"], "<domain><devices/></domain>", "10.0.2", None),
        (["mdev", "vdpa"], "<domain><devices/></domain>", "10.0.2", "it has a vDPA device"),
        (["mdev"], "<iommu model='intel'/>", "10.0.2", "QEMU 10.0.2 cannot migrate"),
        (["mdev"], "<iommu model='intel'/>", "11.0.0", None),
    ],
)
def test_a_guest_that_cannot_migrate_stays_with_the_reason(kinds, domain, qemu, reason):
    hosts = {"a": LibvirtHost(versions=NEW | {"QEMU": qemu})}
    (checked,) = check_guests([guest(kinds=kinds)], hosts, dump(domain))
    assert checked["vm"] == "vm-17"
    assert (checked["reason"] or "").startswith(reason or "")
    assert (checked["reason"] is None) == (reason is None)


@pytest.mark.parametrize(
    "name", ["../../etc/cron.d/x", "a/b", "/", "vm\n17", "vm\0", "", "x" * 256, "\u00e4" * 128]
)
def test_a_guest_whose_name_cannot_be_libvirts_stays(name):
    hosts = {"a": LibvirtHost(versions=NEW)}
    (checked,) = check_guests([guest(name)], hosts, dump(vm=name))
    assert checked["reason"].startswith("libvirt has no guest of such a name")


@pytest.mark.parametrize("name", ["..", "vm 17", "-v", "True", "[1, 2]", "x" * 255])
def test_an_odd_name_keeps_no_guest(name):
    hosts = {"a": LibvirtHost(versions=NEW)}
    (checked,) = check_guests([guest(name)], hosts, dump(vm=name))
    assert checked["reason"] is None


def test_all_that_keeps_a_guest_is_told_at_once():
    hosts = {"a": LibvirtHost(versions=OLD)}
    failed = dump("", rc=1, stderr="error: no domain")
    (checked,) = check_guests([guest(kinds=["vdpa", "pci"])], hosts, failed)
    version, error, vdpa = checked["reason"].split("; ")[0::2][:3]
    assert version.startswith("a has libvirt 9.5.0")
    assert error == "error: no domain"
    assert vdpa.startswith("take that out of the guest")


@pytest.mark.parametrize("hosts", [{}, {"a": LibvirtHost(versions=NEW)}])
def test_a_guest_of_a_host_that_has_gone_stays(hosts):
    (checked,) = check_guests([guest()], hosts, {})
    assert checked["reason"] == "a does not answer any more"


def test_a_guest_that_stays_already_keeps_its_reason():
    left = guest(reason="it is on two hosts", host=None)
    (checked,) = check_guests([left], {}, {})
    assert checked == left


def test_what_a_host_lacks_for_a_kind_is_told_of_that_kind_alone():
    lacks = shortcomings("a", LibvirtHost(versions=OLD))
    assert lacks.keys() == {"pci"}
    assert lacks["pci"][0].startswith("a has libvirt 9.5.0; update it to 10.0.0 or newer")
    lacks = shortcomings("a", LibvirtHost(error="No such file or directory: b'virsh'"))
    assert lacks.keys() == {"all"}
    assert "No such file or directory" in lacks["all"][0]


@pytest.mark.parametrize(
    ("version", "enough"),
    [("8.1.0", True), ("8.1", False), ("8.10.0", True), ("10..2", True), ("0", False)],
)
def test_versions_are_compared_as_numbers(version, enough):
    there = LibvirtHost(versions={"libvirt": "10.0.0", "QEMU": version})
    assert ("mdev" not in shortcomings("a", there)) == enough


def test_a_host_that_lacks_something_for_a_kind_receives_the_others():
    devices = [
        device(UUIDS[0], kind="pci", parent="0000:01:00.0"),
        device(UUIDS[1], kind="pci", parent=None),
        device(UUIDS[2], kind="mdev", parent="0000:00:02.0"),
    ]
    hosts = {
        "a": LibvirtHost(versions=NEW),
        "b": LibvirtHost(versions=OLD),
        "c": LibvirtHost(error="no libvirt"),
        "d": LibvirtHost(versions=NEW),
    }
    targets = possible_targets(hosts, [*"dabcx"], ["d"])
    # A host that is drained receives nothing, whatever the targets are.
    assert targets == ["a", "b"]
    assert possible_targets(hosts, None, ["d"]) == ["a", "b"]
    facts = host(devices, [parent("0000:00:03.0")])
    fleet = read_fleet(dict.fromkeys(hosts, facts))
    avoid = parents_to_avoid(fleet, {name: hosts[name] for name in targets})
    (place,) = avoid
    assert (place["host"], place["parent"]) == ("b", "0000:01:00.0")
    assert place["problem"].startswith("b has libvirt 9.5.0")


IOMMUFD = "<hostdev type='pci'><driver name='vfio' iommufd='yes'/></hostdev>"


@pytest.mark.parametrize(
    ("devices", "targets"),
    [
        (IOMMUFD, ["c"]),
        (IOMMUFD.replace("'", '"'), ["c"]),
        (IOMMUFD.replace("yes", "no"), ["b", "c"]),
        ("<hostdev/>", ["b", "c"]),
    ],
)
def test_a_host_whose_libvirt_knows_no_iommufd_does_not_receive_a_guest_that_uses_it(
    devices, targets
):
    hosts = {
        "a": LibvirtHost(versions=NEW | {"libvirt": "12.1.0"}),
        "b": LibvirtHost(versions=NEW | {"libvirt": "12.0.0"}),
        "c": LibvirtHost(versions=NEW | {"libvirt": "12.1.0"}),
    }
    checks = check_migration(read_fleet({}), [guest()], hosts, dump(devices), None, ["a"])
    assert checks["targets"] == targets
    noted = [note for note in checks["notes"] if note.startswith("b is no target")]
    told = (
        "b is no target: it has libvirt 12.0.0, and vm-17 uses IOMMUFD;"
        " update it to 12.1.0 or newer"
    )
    assert noted == ([] if "b" in targets else [told])


def test_a_target_needs_iommufd_where_the_guest_uses_it():
    without = "MemAvailable: 1 kB\n"
    there = without + "/dev/iommu\n[    1.5] boot\n"
    assert memory(IOMMUFD, without).lacks_iommufd
    assert not memory(IOMMUFD, there).lacks_iommufd
    assert not memory("<hostdev/>", without).lacks_iommufd


def test_nothing_is_avoided_on_a_host_whose_facts_are_unknown():
    assert parents_to_avoid(read_fleet({}), {"b": LibvirtHost(versions=OLD)}) == []


def test_whom_a_check_leaves_out_is_noted():
    running = dict.fromkeys(("vm-17", "vm-1"), RunningGuest(UUID, False, False))
    hosts = {
        "a": LibvirtHost(versions=NEW, running=running),
        "b": LibvirtHost(versions=OLD),
        "c": LibvirtHost(error="no libvirt"),
    }
    fleet = read_fleet({"a": host([device(UUIDS[0], vm="vm-17")]), "b": host()})
    guests = [guest(), guest("all guests of z", host="z", reason="z is none")]

    def check(kinds: list[str]):
        asked = [guest(kinds=kinds), *guests[1:]]
        return check_migration(fleet, asked, hosts, dump(), ["b", "y"], ["a", "z"])

    checks = check(["mdev"])
    assert [each["vm"] for each in checks["chosen"]] == ["vm-17"]
    assert [each["vm"] for each in checks["left"]] == ["all guests of z"]
    assert checks["targets"] == ["b"]
    assert checks["notes"] == [
        "c takes part in nothing: virsh on c says: no libvirt; install and start libvirt",
        "y is no target: it is none of the hosts of the play that answer",
        "vm-1 on a has no VFIO device and was left alone",
    ]
    # What b lacks for PCI devices matters to who has one.
    assert check(["pci"])["notes"][0].startswith(
        "b takes part in no migration of pci devices: b has libvirt 9.5.0"
    )


@pytest.mark.parametrize(
    "facts",
    [host([device(UUIDS[0]) | {"in_use": {"pid": None, "name": None}}]), {"schema": 99}],
)
def test_what_cannot_be_told_of_a_guest_is_not_claimed(facts):
    hosts = {"a": LibvirtHost(versions=NEW, running={"vm-1": RunningGuest(UUID, False, False)})}
    checks = check_migration(read_fleet({"a": facts}), [], hosts, {}, None, ["a"])
    assert checks["notes"] == ["vm-1 on a is not known to have a VFIO device and was left alone"]


@pytest.mark.parametrize(
    ("backing", "source", "free"),
    [
        ("", "memory", 500),
        ("<hugepages/>", "huge pages of 2048 KiB", 3 * 2048),
        (
            "<hugepages>\n<page size='1048576' unit='KiB'/>\n</hugepages>",
            "huge pages of 1048576 KiB",
            2 << 20,
        ),
        (
            "<hugepages><page size='1048576' unit='KiB'/><page size='16' unit='KiB'/></hugepages>",
            "huge pages of 1048576 and 16 KiB",
            2 << 20,
        ),
    ],
)
def test_the_memory_that_a_guest_needs_is_looked_for_where_it_takes_it(backing, source, free):
    domain = (
        "<domain><memory dumpCore='off' unit='KiB'>1048576</memory>"
        f"<memoryBacking>{backing}</memoryBacking></domain>"
    )
    there = "MemTotal:  900 kB\nMemAvailable:    500 kB\nHugepagesize:    2048 kB\n"
    pools = "/sys/kernel/mm/hugepages/hugepages-{}kB/free_hugepages:{}\n"
    there += pools.format(1048576, 2) + pools.format(2048, 3) + "[    1.5] boot\n"
    assert memory(domain, there) == Memory(source, needed=1048576, free=free)


@pytest.mark.parametrize("there", ["", "MemAvailable: many kB", "MemAvailable: " + "9" * 9999])
def test_memory_that_cannot_be_told_is_none(there):
    assert memory("<domain><hugepages/></domain>", there).free == 0
    assert memory("<memory>1</memory>", there) in (
        Memory("memory", 1, 0),
        Memory("memory", 1, int("9" * 18)),
    )


@pytest.mark.parametrize(
    ("there", "free"),
    [
        ("MemFree: 100 kB\nBuffers: 20 kB\nCached: 50 kB\nShmem: 10 kB\n", 160),
        ("MemFree: 100 kB\n", 100),
        ("MemFree: 100 kB\nCached: 10 kB\nShmem: 50 kB\n", 100),
        ("MemFree: 100 kB\nMemAvailable: 7 kB\nCached: 50 kB\n", 7),
    ],
)
def test_without_the_kernels_estimate_it_is_what_the_page_cache_gives_back(there, free):
    assert memory("<memory>1</memory>", there) == Memory("memory", needed=1, free=free)
