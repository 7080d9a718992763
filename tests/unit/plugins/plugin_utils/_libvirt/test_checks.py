# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What keeps guests from migrating, and hosts from receiving them."""

from __future__ import annotations

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import read_fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.checks import (
    MigrationCase,
    check_guests,
    check_migration,
    name_in_plan,
    parents_to_avoid,
    possible_targets,
    shortcomings,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.guests import (
    LibvirtHost,
    RunningGuest,
    read_host,
)
from ansible_collections.vfio.migration.tests.unit.domains import UUID, domain_of, hostdev
from ansible_collections.vfio.migration.tests.unit.fleets import UUIDS, device, host, parent
from ansible_collections.vfio.migration.tests.unit.libvirt_answers import (
    VERSIONS,
    arrival_info,
    guest_info,
    host_info,
    libvirt_info,
)

NEW = {"libvirt": "11.0.0", "QEMU": "10.0.2"}
OLD = {"libvirt": "9.5.0", "QEMU": "8.2.2"}


def guest(vm: str = "vm-17", kinds=("mdev",), **others):
    found = {"vm": vm, "host": "a", "kinds": [*kinds], "reason": None, "uuid": UUID}
    return found | {"persistent": True, "device": None} | others


def answering(*guests, **changes) -> LibvirtHost:
    """Return a host that runs these guests, by default as it should."""
    return read_host(libvirt_info(*guests, **changes))


def case(guests, hosts, asked=None, fleet=None, **others) -> MigrationCase:
    """Return what is to be checked, of which targets were asked about ``guests`` in their order."""
    places = {(each["host"], each["uuid"]): place for place, each in enumerate(guests)}
    asked = hosts if asked is None else asked
    return MigrationCase(fleet or read_fleet({}), guests, hosts, asked, places=places, **others)


def reason_of(info, kinds=("mdev",), versions=None, **others) -> str | None:
    """Return why a guest stays, on a host that runs it as it should but for ``info``."""
    hosts = {"a": answering(guest_info(**info), versions=versions or VERSIONS)}
    (checked,) = check_guests(case([guest(kinds=kinds)], hosts, **others))
    return checked["reason"]


@pytest.mark.parametrize(
    ("kinds", "info", "qemu", "reason"),
    [
        (["mdev", "pci"], {}, "10.0.2", None),
        (["mdev", "vdpa"], {}, "10.0.2", "it has a vDPA device"),
        (["mdev"], {"iommu": "intel"}, "10.0.2", "QEMU 10.0.2 cannot migrate"),
        (["mdev"], {"iommu": "intel"}, "11.0.0", None),
        ([], {"iommu": "intel", "devices": []}, "10.0.2", None),
        (["mdev"], {"state": "crashed"}, "10.0.2", "it has crashed; destroy or restart it"),
        (["mdev"], {"state": "shutdown"}, "10.0.2", "it is being shut down"),
        (["mdev"], {"state": "paused"}, "10.0.2", None),
    ],
)
def test_a_guest_that_cannot_migrate_stays_with_the_reason(kinds, info, qemu, reason):
    found = reason_of(info, kinds, VERSIONS | {"qemu": qemu})
    assert (found or "").startswith(reason or "")
    assert (found is None) == (reason is None)


# --- what QEMU says ---


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ("x: VFIO migration is not supported in kernel", "devices whose driver can migrate them"),
        ("x: VFIO device doesn't support device and IOMMU dirty tracking", "enable-migration=on"),
        (
            "Multiple VFIO devices migration is supported only if all of them support P2P migration",
            "detach all of its VFIO devices but one",
        ),
        ("Migration is currently not supported with vIOMMU enabled", "take <iommu> out"),
        ("x: Migration is disabled for VFIO device", "take enable-migration=off"),
        ("The vhost-user device is busy", "detach what QEMU names"),
    ],
)
def test_a_guest_that_qemu_would_not_migrate_stays_with_its_word_and_what_to_do(said, remedy):
    found = reason_of({"blocked_reasons": [said]})
    assert found is not None
    assert found.startswith(f"QEMU would not migrate it: {said}; ")
    assert remedy in found


@pytest.mark.parametrize(
    ("kind", "name", "words"),
    [
        ("snapshots", "2", "it has 2; delete them"),
        ("hostdev", "scsi", "a <hostdev> of type scsi; detach that"),
        ("shmem", "my", "its <shmem> my"),
        ("transient_disk", "vdb", "a transient disk, which vdb is"),
        ("job", "migration out", "and runs the job migration out for it; wait"),
        ("block_job", "vda", "while its disk vda is copied"),
    ],
)
def test_a_guest_that_libvirt_would_not_migrate_stays_with_what_to_do(kind, name, words):
    found = reason_of({"obstacles": [{"kind": kind, "name": name}]})
    assert found is not None
    assert found.startswith("libvirt does not migrate")
    assert words in found


def test_a_guest_whose_function_libvirt_chooses_stays_with_what_to_do():
    found = reason_of({"obstacles": [{"kind": "network_device", "name": "vfs"}]}, ["pci"])
    assert found == (
        "libvirt chooses a function of its network vfs for it on each host, whichever a plan has; assign it one with"
        " <interface type='hostdev'>, and restart it"
    )


def test_each_of_qemus_reasons_is_told():
    found = reason_of({"blocked_reasons": ["one", "two"]})
    assert (found or "").count("QEMU would not migrate it: ") == 2


def test_a_qemu_that_was_asked_and_does_not_say_keeps_its_guest():
    assert "QEMU was asked whether it can migrate" in (reason_of({"blocked_reasons": None}) or "")
    assert reason_of({"blocked_reasons": None}, asks_qemu=False) is None


def test_what_could_not_be_read_of_a_guest_keeps_it_and_no_other():
    problem = {"guest": "vm-17", "problem": "QEMU does not say whether it can migrate: x"}
    there = answering(
        guest_info(blocked_reasons=None), guest_info("vm-1", UUIDS[5]), problems=[problem]
    )
    one, other = check_guests(case([guest(), guest("vm-1", uuid=UUIDS[5])], {"a": there}))
    assert one["reason"] == problem["problem"]
    assert other["reason"] is None


# --- disks ---


def disk(**changes):
    found = {"target": "vda", "type": "file", "source": "/x.img", "cache": None, "shared": False}
    return {**found, "readonly": False, "shareable": False, "backing": [], **changes}


@pytest.mark.parametrize(
    ("changes", "options", "stays"),
    [
        ({}, [], True),
        ({"shared": True}, [], False),
        ({"shared": None}, [], False),
        ({"readonly": True}, [], False),
        # Of a disk that guests share, libvirt asks that their hosts have it, too, and copies it only where it is named.
        ({"shareable": True}, [], True),
        ({"shareable": True}, ["--copy-storage-all"], True),
        ({"shareable": True}, ["--copy-storage-all", "--migrate-disks=vda"], False),
        ({"shareable": True, "shared": True}, [], False),
        ({"type": "volume", "source": "x.img"}, [], True),
        # A controller of the host, whatever another host has at that address.
        ({"type": "nvme", "source": "x.img", "shared": None}, [], True),
        ({"type": "nvme", "source": "x.img", "shared": None}, ["--unsafe"], False),
        ({}, ["--copy-storage-all"], False),
        ({}, ["--copy-storage-synchronous-writes"], True),
        ({}, ["copy-storage-inc"], False),
        ({}, ["--unsafe"], False),
        ({}, ["--tls"], True),
    ],
)
def test_a_guest_with_a_disk_that_only_its_host_has_stays_unless_it_is_copied(
    changes, options, stays
):
    found = reason_of({"disks": [disk(**changes)]}, options=options)
    assert (found is not None) == stays
    if found:
        source = changes.get("source", "/x.img")
        assert found.startswith(f"only a has its disk vda ({source}); put that on storage which")


@pytest.mark.parametrize(
    ("disks", "options", "remedy"),
    [
        ([{}], [], "--copy-storage-all"),
        ([{"shareable": True}], [], "--copy-storage-all --migrate-disks=vda"),
        ([{"shareable": True}], ["--copy-storage-all"], "--migrate-disks=vda"),
        ([{}, {"target": "vdb"}], [], "--copy-storage-all"),
        # Or the one that the hosts share would be copied, too.
        (
            [{}, {"target": "vdb", "shared": True}],
            [],
            "--copy-storage-all --migrate-disks=vda",
        ),
        (
            [{}, {"target": "vdb", "type": "network", "shared": None}],
            [],
            "--copy-storage-all --migrate-disks=vda",
        ),
        (
            [{}, {"target": "vdb", "type": "block", "shared": None}],
            [],
            "--copy-storage-all --migrate-disks=vda",
        ),
        # What is named stands in place of what was named, or was copied by itself.
        (
            [{}, {"target": "vdb"}],
            ["--copy-storage-all", "--migrate-disks", "vdb"],
            "--migrate-disks=vda,vdb",
        ),
        (
            [{}, {"target": "vdb", "shareable": True}],
            ["--copy-storage-all"],
            "--migrate-disks=vda,vdb",
        ),
        ([{}], ["--migrate-disks=vdb"], "--copy-storage-all --migrate-disks=vda"),
    ],
)
def test_what_would_copy_a_disk_that_only_its_host_has_is_told(disks, options, remedy):
    disks = [disk(**each) for each in disks]
    found = reason_of({"disks": disks}, options=options)
    assert (found or "").endswith(f"share, or add {remedy} to migrate_libvirt_options")
    # With that, it is told no more.
    given = [each for each in options if each != "vdb" and not each.startswith("--migrate-disks")]
    assert reason_of({"disks": disks}, options=[*given, *remedy.split()]) is None


def test_there_is_no_option_to_copy_a_controller_of_one_host():
    found = reason_of({"disks": [disk(type="nvme", shared=None), disk(target="vdb")]})
    assert (found or "").endswith("put that on storage which the hosts share")


@pytest.mark.parametrize("changes", [{"readonly": True}, {"source": None, "shared": None}])
def test_a_guest_with_a_disk_that_is_to_be_copied_and_cannot_be_stays(changes):
    options = ["--copy-storage-all", "--migrate-disks=vda,sda"]
    disks = {"disks": [disk(), disk(target="sda", **changes)]}
    assert "and --migrate-disks names sda; leave that out" in (
        reason_of(disks, options=options) or ""
    )
    assert reason_of(disks, options=options[:1]) is None
    assert reason_of(disks, options=[*options[:1], "--migrate-disks=vda"]) is None


def test_a_guest_without_a_disk_that_is_to_be_copied_stays():
    options = ["--copy-storage-all", "--migrate-disks=vda,vdb"]
    both = [disk(), disk(target="vdb")]
    assert reason_of({"disks": both}, options=options) is None
    assert "has no vdb; migrate it" in (reason_of({"disks": both[:1]}, options=options) or "")
    assert reason_of({"disks": both[:1]}, options=[*options[1:], "--unsafe"]) is None


# --- which guest it is ---


@pytest.mark.parametrize(
    "name", ["../../etc/cron.d/x", "a/b", "/", "vm\n17", "vm\0", "", "x" * 256, "\u00e4" * 128]
)
def test_a_guest_whose_name_cannot_be_libvirts_stays(name):
    hosts = {"a": answering(guest_info(name))}
    (checked,) = check_guests(case([guest(name)], hosts))
    assert checked["reason"].startswith("libvirt has no guest of such a name")


@pytest.mark.parametrize("name", ["..", "vm 17", "-v", "True", "[1, 2]", "x" * 255])
def test_an_odd_name_keeps_no_guest(name):
    hosts = {"a": answering(guest_info(name))}
    (checked,) = check_guests(case([guest(name)], hosts))
    assert checked["reason"] is None


def test_all_that_keeps_a_guest_is_told_at_once():
    hosts = {"a": LibvirtHost(versions=OLD)}
    failed = {"a": LibvirtHost(error="error: no domain")}
    (checked,) = check_guests(case([guest(kinds=["vdpa", "pci"])], hosts, failed))
    version, error, vdpa = checked["reason"].split("; ")[0::2][:3]
    assert version.startswith("a has libvirt 9.5.0")
    assert error == "error: no domain"
    assert vdpa.startswith("take that out of the guest")


@pytest.mark.parametrize("hosts", [{}, {"a": LibvirtHost(versions=NEW)}])
def test_a_guest_of_a_host_that_has_gone_stays(hosts):
    (checked,) = check_guests(case([guest()], hosts, {}))
    assert checked["reason"] == "a does not answer any more"


@pytest.mark.parametrize(
    ("there", "reason"),
    [
        (answering(), "libvirt on a does not run it any more"),
        (answering(guest_info(uuid=UUIDS[5])), "libvirt on a does not run it any more"),
        (answering(others=[{"name": "vm-17", "uuid": UUID}]), "its domain has no assigned device"),
    ],
)
def test_a_guest_that_has_changed_meanwhile_stays(there, reason):
    (checked,) = check_guests(case([guest()], {"a": there}))
    assert checked["reason"].startswith(reason)


def test_a_guest_that_stays_already_keeps_its_reason():
    left = guest(reason="it is on two hosts", host=None)
    (checked,) = check_guests(case([left], {}))
    assert checked == left


def test_what_a_host_lacks_for_a_kind_is_told_of_that_kind_alone():
    lacks = shortcomings("a", LibvirtHost(versions=OLD))
    assert lacks.keys() == {"pci"}
    assert lacks["pci"][0].startswith("a has libvirt 9.5.0; update it to 10.0.0 or newer")
    lacks = shortcomings("a", LibvirtHost(error="no python3-libvirt"))
    assert lacks.keys() == {"all"}
    assert "no python3-libvirt" in lacks["all"][0]


def test_a_version_that_is_not_known_is_told_so_with_the_reason():
    problems = {"": ["QEMU's version is not known: no emulator"]}
    there = LibvirtHost(versions={"libvirt": "11.3.0"}, problems=problems)
    lacks = shortcomings("a", there)
    assert lacks.keys() == {"mdev", "pci"}
    [said] = lacks["mdev"]
    assert said == (
        "libvirt on a does not say which version of QEMU it has (QEMU's version is not known: no emulator),"
        " and mdev devices need 8.1.0 or newer; see its log there, and run this again"
    )


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


# --- where guests fit ---


def fleet_of(*guests, **hosts):
    """Return hosts a, which runs ``guests``, b and c, which may be other than they should."""
    there = {name: {"arriving": [arrival_info(each["uuid"]) for each in guests]} for name in "bc"}
    answers = {name: answering(**{**there[name], **hosts.get(name, {})}) for name in there}
    return {"a": answering(*guests), **answers}


def checked(guests, **hosts):
    entries = [guest(each["name"], uuid=each["uuid"]) for each in guests]
    return check_migration(case(entries, fleet_of(*guests, **hosts), drain=["a"]))


def test_hosts_that_lack_nothing_are_targets():
    checks = checked([guest_info()])
    assert checks["targets"] == ["b", "c"]
    assert checks["capacity"] == {}
    assert checks["notes"] == []


def test_what_a_host_does_not_say_keeps_no_guest_from_it_and_is_noted():
    said = arrival_info(cpu="unknown", unknown=["/srv/a", "/srv/b"])
    checks = checked([guest_info()], b={"arriving": [said]})
    assert [each["vm"] for each in checks["chosen"]] == ["vm-17"]
    assert (checks["targets"], checks["avoid"]) == (["b", "c"], [])
    which = ", which is for vm-17: no answer says it; make sure of it there"
    assert checks["notes"] == [
        f"it is not known whether b has /srv/a, /srv/b{which}",
        f"it is not known whether b can give all of a CPU Skylake-Server{which}",
    ]


@pytest.mark.parametrize(
    ("info", "there", "unknown"),
    [
        (
            {"networks": ["x", "y"]},
            {"host": host_info(networks=None)},
            "has the active network x, y",
        ),
        ({"links": ["br0"]}, {"host": host_info(links=None)}, "has the network device br0"),
        ({"pools": ["x"]}, {"host": host_info(pools=None)}, "has the active storage pool x"),
        ({}, {"host": host_info(machines={})}, "has the machine type pc-q35-10.0"),
        (
            {"cpu": guest_info()["cpu"] | {"mode": "host-passthrough"}},
            {"host": host_info(cpu={"model": None, "vendor": None})},
            "has the CPU that it sees, which is that of its host",
        ),
        (
            {},
            {"defined": None},
            "has its name and UUID free among the guests that are defined there",
        ),
        ({}, {"arriving": []}, "has its files, and can give all of its CPU"),
    ],
)
def test_no_check_is_left_out_without_a_word(info, there, unknown):
    has_all = {"host": host_info(networks=["x", "y"], pools=["x"], links=["br0"])}
    checks = checked([guest_info(**info)], b=there, c=has_all)
    assert (checks["targets"], checks["avoid"]) == (["b", "c"], [])
    assert checks["notes"] == [
        f"it is not known whether b {unknown}, which is for vm-17: no answer says it; make sure of it there"
    ]
    assert checked([guest_info()], b={"host": host_info(networks=None, pools=None)})["notes"] == []


@pytest.mark.parametrize(
    ("kind", "shared", "noted"),
    [
        *(("file", None, True), ("dir", None, True), ("file", True, False)),
        *(("block", None, False), ("volume", None, True), ("volume", True, False)),
    ],
)
def test_a_disk_of_which_nobody_knows_whether_the_hosts_share_it_is_noted(kind, shared, noted):
    disk = {"target": "vda", "type": kind, "source": "/srv/a", "readonly": False}
    disk |= {"shareable": False, "shared": shared, "backing": []}
    notes = checked([guest_info(disks=[disk])])["notes"]
    assert notes == (
        [
            (
                "it is not known whether the hosts share the disk vda (/srv/a) of vm-17 on a: its file system does not show it; make sure"
                " that it is the same file on its target"
            )
        ]
        if noted
        else []
    )
    assert checked([guest_info(disks=[disk | {"readonly": True}])])["notes"] == []


@pytest.mark.parametrize(
    ("changes", "options", "noted"),
    [
        ({"shared": True}, ["--copy-storage-all"], True),
        ({"type": "network", "shared": None}, ["--copy-storage-all"], True),
        ({"type": "block", "shared": None}, ["--copy-storage-all"], True),
        ({"shared": True}, [], False),
        ({"shared": True, "readonly": True}, ["--copy-storage-all"], False),
        ({"shared": True, "shareable": True}, ["--copy-storage-all"], False),
        ({"shared": True}, ["--copy-storage-all", "--migrate-disks=vdb"], False),
        ({"shared": False}, ["--copy-storage-all"], False),
    ],
)
def test_a_disk_that_may_be_copied_onto_itself_is_noted(changes, options, noted):
    info = guest_info(disks=[disk(**changes), disk(target="vdb", type="block", shared=None)])
    entry = guest(info["name"], uuid=info["uuid"])
    found = check_migration(case([entry], fleet_of(info), drain=["a"], options=options))
    assert [each["vm"] for each in found["chosen"]] == ["vm-17"]
    assert any("libvirt copies the disk vda (/x.img)" in each for each in found["notes"]) == noted


def test_guests_on_which_libvirt_may_be_at_work_are_noted_and_move():
    guests = [guest_info(), guest_info("vm-18", UUIDS[5], job_known=False)]
    found = checked(guests)
    assert [each["vm"] for each in found["chosen"]] == ["vm-17", "vm-18"]
    (note,) = found["notes"]
    assert note == (
        "it is not known whether libvirt on a is at work on vm-18, in which case it refuses to migrate: it was not asked, as"
        " another guest there does not answer; make sure of it there (virsh domjobinfo)"
    )


def test_a_host_that_was_asked_about_guests_and_fails_is_noted():
    guests = [guest_info()]
    hosts = fleet_of(*guests)
    asked = {**hosts, "b": LibvirtHost(error="it is too busy")}
    entries = [guest(each["name"], uuid=each["uuid"]) for each in guests]
    checks = check_migration(case(entries, hosts, asked, drain=["a"]))
    assert checks["notes"] == [
        "it is not known whether b has all that the guests need: it is too busy"
    ]


@pytest.mark.parametrize(
    ("info", "lacking", "words"),
    [
        (
            {"iommufd": True},
            {"versions": VERSIONS | {"libvirt": "12.0.0"}},
            "it has libvirt 12.0.0, and vm-17 uses IOMMUFD; update it to 12.1.0 or newer",
        ),
        (
            {"networks": ["tenants", "office"]},
            {"host": host_info(networks=["office"])},
            "it has no active network tenants, and vm-17 is connected to it; start it there (virsh net-start)",
        ),
        (
            {"memory": 11},
            {"host": host_info(memory={"free": 10, "default_huge_page": 0, "huge_pages": []})},
            "it has 10 KiB of memory free, and vm-17 needs 11; free some there",
        ),
    ],
)
def test_a_host_that_lacks_something_for_the_guest_is_no_target(info, lacking, words):
    right = {
        "host": host_info(networks=["office", "tenants"], iommufd=True),
        "versions": VERSIONS | {"libvirt": "12.1.0"},
    }
    checks = checked([guest_info(**info)], b=lacking, c=right)
    assert [each["vm"] for each in checks["chosen"]] == ["vm-17"]
    assert checks["targets"] == ["c"]
    assert checks["notes"] == [f"b is not a target: {words}"]


def test_all_that_a_host_lacks_is_told_once_for_all_guests_it_is_for():
    guests = [guest_info(f"vm-{n}", UUIDS[n], networks=["x"], pools=["y"]) for n in range(2)]
    right = {"host": host_info(networks=["x"], pools=["y"])}
    assert checked(guests, c=right)["notes"] == [
        "b is not a target: it has no active network x, and vm-0, vm-1 is connected to it; start it there (virsh net-start)",
        "b is not a target: it has no active storage pool y, and vm-0, vm-1 has a disk in it; start it there (virsh pool-start)",
    ]


def test_a_guest_that_does_not_fit_one_of_the_targets_goes_to_another_one():
    guests = [guest_info(f"vm-{n}", UUIDS[n], networks=["x"] * (n == 2)) for n in range(3)]
    checks = checked(guests, c={"host": host_info(networks=["x"])})
    assert checks["targets"] == ["b", "c"]
    assert [each["vm"] for each in checks["chosen"]] == ["vm-0", "vm-1", "vm-2"]
    assert checks["avoid"] == [
        {
            "host": "b",
            "guest": "vm-2",
            "guest_host": "a",
            "problem": "it is connected to it, and b has no active network x",
        }
    ]
    assert checks["notes"] == [
        "b is not a target for vm-2: it has no active network x, and vm-2 is connected to it; start it there (virsh net-start)"
    ]


def test_a_guest_that_fits_no_host_stays_with_what_each_lacks_and_the_others_go():
    guests = [guest_info("vm-0", UUIDS[0]), guest_info("vm-1", UUIDS[1], networks=["x"])]
    checks = checked(guests)
    assert [each["vm"] for each in checks["chosen"]] == ["vm-0"]
    (left,) = checks["left"]
    start = "start it there (virsh net-start)"
    assert left["reason"] == (
        f"no host can take it: b has no active network x, and it is connected to it; {start};"
        f" c has no active network x, and it is connected to it; {start}"
    )
    assert checks["avoid"] == []


def test_a_guest_that_may_not_come_takes_no_memory():
    guests = [guest_info(f"vm-{n}", UUIDS[n], memory=4, networks=["x"] * n) for n in range(2)]
    small = host_info(memory={"free": 4, "default_huge_page": 0, "huge_pages": []})
    checks = checked(guests, b={"host": small}, c={"host": host_info(networks=["x"])})
    assert checks["capacity"] == {}


def test_memory_is_planned_for_all_guests_together():
    guests = [guest_info(f"vm-{n}", UUIDS[n], memory=4) for n in range(3)]
    small = host_info(memory={"free": 9, "default_huge_page": 0, "huge_pages": []})
    checks = checked(guests, b={"host": small})
    assert checks["targets"] == ["b", "c"]
    memory = "KiB of memory"
    assert checks["capacity"] == {
        "hosts": {"b": {memory: 9}, "c": {memory: 1 << 20}},
        "guests": {UUIDS[number]: {memory: 4} for number in range(3)},
    }


def test_a_guest_goes_by_its_name_where_the_facts_do_not_tell_its_uuid():
    for told, name in (({"uuid": UUID}, UUID), ({}, "vm-17")):
        held = device(UUIDS[1], vm="vm-17", pid=7)
        fleet = read_fleet({"a": host([{**held, "in_use": held["in_use"] | told}])})
        assert name_in_plan(case([], {}, fleet=fleet), guest()) == name


def test_a_guests_own_host_need_not_fit_it():
    info = guest_info(networks=["x"])
    hosts = {"a": answering(info), "b": answering(host=host_info(networks=["x"]))}
    checks = check_migration(case([guest()], hosts))
    assert checks["targets"] == ["a", "b"]


# --- hosts and devices ---


def test_nothing_is_avoided_on_a_host_whose_facts_are_unknown():
    assert parents_to_avoid(read_fleet({}), {"b": LibvirtHost(versions=OLD)}) == []


def test_a_guest_with_a_device_that_nobody_holds_is_not_said_to_have_none():
    fleet = read_fleet({"a": host(), "b": host()})
    hosts = {"a": answering(guest_info("vm-1")), "b": answering()}
    (note,) = check_migration(case([], hosts, fleet=fleet, drain=["a"]))["notes"]
    assert note.startswith(
        f"vm-1 on a has mdev {UUID} by its domain, no process of this name holds"
    )


def test_whom_a_check_leaves_out_is_noted():
    there = answering(guest_info(), others=[{"name": "vm-1", "uuid": UUIDS[5]}])
    old = LibvirtHost(versions=OLD, info=host_info(), arriving=[arrival_info()])
    hosts = {"a": there, "b": old, "c": LibvirtHost(error="no libvirt")}
    fleet = read_fleet({"a": host([device(UUIDS[0], vm="vm-17")]), "b": host()})
    guests = [guest(), guest("every guest of z", host="z", reason="z is none")]

    def check(kinds: list[str]):
        asked = [guest(kinds=kinds), *guests[1:]]
        return check_migration(
            case(asked, hosts, fleet=fleet, targets=["b", "y"], drain=["a", "z"])
        )

    checks = check(["mdev"])
    assert [each["vm"] for each in checks["chosen"]] == ["vm-17"]
    assert [each["vm"] for each in checks["left"]] == ["every guest of z"]
    assert checks["targets"] == ["b"]
    assert checks["notes"] == [
        "c is excluded: libvirt on c does not answer: no libvirt",
        "y is not a target: it does not answer, or is not a host of the play",
        "vm-1 on a has no VFIO device and was left alone",
        "guests are sent over one connection from or to b, where no QEMU 10.0.0 or newer is known; see migrate_libvirt_multifd",
    ]
    # What b lacks for PCI devices matters to who has one.
    assert check(["pci"])["notes"][0].startswith(
        "b is excluded from migrations of pci devices: b has libvirt 9.5.0"
    )


@pytest.mark.parametrize(
    "facts",
    [host([device(UUIDS[0]) | {"in_use": {"pid": None, "name": None}}]), {"schema": 99}],
)
def test_what_cannot_be_told_of_a_guest_is_not_claimed(facts):
    hosts = {"a": LibvirtHost(versions=NEW, running={"vm-1": RunningGuest(UUID, False, False)})}
    checks = check_migration(case([], hosts, fleet=read_fleet({"a": facts}), drain=["a"]))
    assert checks["notes"] == ["vm-1 on a is not known to have a VFIO device and was left alone"]


# --- what a domain has that cannot be replaced ---

OWN = "<qemu:commandline xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'><qemu:arg value='vfio-pci,host=%s'/></qemu:commandline>"
FUNCTION, OTHER_FUNCTION = "0000:06:00.0", "0000:06:00.1"


def with_own_words(xml, words):
    return xml.replace("</domain>", f"{words}</domain>")


@pytest.mark.parametrize(
    ("active", "persistent", "reason"),
    [
        ([UUIDS[1]], [UUIDS[1]], None),
        ([UUIDS[1]], None, None),
        # Attached since.
        ([UUIDS[1]], [], None),
        ([UUIDS[1]], [UUIDS[1], UUIDS[9]], f"mdev {UUIDS[9]} of vm-17 has no target in the plan"),
        ([UUIDS[1], UUIDS[9]], [UUIDS[1]], f"mdev {UUIDS[9]} of vm-17 has no target in the plan"),
        ([], None, f"moves {UUIDS[1]} of vm-17, which the domain's XML does not name"),
    ],
)
def test_a_device_that_no_plan_knows_is_told_before_anything_is_made(active, persistent, reason):
    xml = [
        ids if ids is None else domain_of(*(hostdev("mdev", each) for each in ids), name="vm-17")
        for ids in (active, persistent)
    ]
    fleet = read_fleet({"a": host([device(UUIDS[1], vm="vm-17")])})
    definitions = {"active": xml[0], "persistent": xml[1]}
    found = reason_of({"definitions": definitions}, fleet=fleet)
    assert (found is None) == (reason is None)
    assert (reason or "") in (found or "")


MOVES = f"names pci {FUNCTION}, which becomes another device"


def own(value):
    return OWN.replace("vfio-pci,host=%s", value)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        # Whatever the other host has there is another device.
        (OWN % FUNCTION, MOVES),
        (own(f"driver,sysfsdev=/sys/bus/pci/devices/{FUNCTION}"), MOVES),
        (own("vfio-pci,host=6:0.0"), MOVES),
        # Of which the facts do not know who holds it.
        (OWN % OTHER_FUNCTION, f"vfio-pci,host={OTHER_FUNCTION}', a device of its host"),
        (own("vfio-pci,host=07:00.0,id=x"), "a device of its host"),
        (own(f"vfio-pci,sysfsdev=/sys/bus/mdev/devices/{UUIDS[7]}"), "a device of its host"),
        (
            own(
                "{&quot;driver&quot;: &quot;vfio-pci&quot;, &quot;host&quot;: &quot;0000:07:00.0&quot;}"
            ),
            "a device of its host",
        ),
        (own("socket,id=x,host=192.0.2.1,port=1"), None),
        (own("socket,id=x,host=2001:db8::1,port=1"), None),
        (own("virtio-rng-pci,addr=0x7.0x1"), None),
    ],
)
@pytest.mark.parametrize("elsewhere", [FUNCTION, OTHER_FUNCTION])
@pytest.mark.parametrize("where", ["active", "persistent"])
def test_what_is_past_libvirt_is_told_whatever_other_hosts_have_of_that_name(
    words, reason, elsewhere, where
):
    def held(address):
        return device(address, kind="pci")

    devices = {
        "a": host([held(FUNCTION) | {"in_use": {"pid": 7, "name": "vm-17"}}]),
        "b": host([held(elsewhere)]),
    }
    xml = domain_of(hostdev("pci", FUNCTION), name="vm-17")
    definitions = {"active": xml, "persistent": xml} | {where: with_own_words(xml, words)}
    found = reason_of({"definitions": definitions}, ["pci"], fleet=read_fleet(devices))
    assert (found is None) == (reason is None), found
    assert (reason or "") in (found or "")
