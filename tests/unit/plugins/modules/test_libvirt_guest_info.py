# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is gathered of libvirt's guests, from a stand-in for its binding."""

from __future__ import annotations

import json

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._host import (
    libvirt_guests,
    paths,
    volumes,
)
from ansible_collections.vfio.migration.plugins.modules import libvirt_guest_info
from ansible_collections.vfio.migration.tests.unit import libvirt_stand_in
from ansible_collections.vfio.migration.tests.unit.domains import domain_of, hostdev, interface
from ansible_collections.vfio.migration.tests.unit.libvirt_stand_in import (
    Connection,
    Domain,
    libvirtError,
)

MDEV = "c9cd7bbf-7a3d-4a8d-9bd6-6a2e0f4f1b3c"
CAPABILITIES = "<capabilities><host><cpu><arch>x86_64</arch></cpu></host></capabilities>"
BLOCKED = json.dumps({"return": {"blocked-reasons": ["no dirty tracking"]}, "id": "libvirt-1"})


def guest(name="vm-17", xml=None, number=17, **answers) -> Domain:
    given = {
        "name": name,
        "UUIDString": f"00000000-0000-4000-8000-{number:012}",
        "XMLDesc": domain_of(hostdev("mdev", MDEV), name=name) if xml is None else xml,
        "state": [1, 1],
        "isPersistent": 1,
        "autostart": 1,
    }
    return Domain(**{**given, **answers})


@pytest.fixture
def gather(monkeypatch, run_module):
    def run(*domains, options=None, peers=None, **answers):
        given = {
            "listAllDomains": lambda flags: list(domains) if flags == 1 else [],
            "getCapabilities": CAPABILITIES,
            "getLibVersion": 11003000,
            "getVersion": 10000002,
            "listAllNetworks": [Domain(name="tenants")],
            "listAllStoragePools": [Domain(name="images")],
        }
        libvirt_stand_in.install(monkeypatch, Connection(**{**given, **answers}), peers=peers)
        return run_module(libvirt_guest_info.main, **(options or {}))

    return run


def test_guests_with_devices_are_told_and_others_are_named(gather):
    result = gather(guest(), guest("vm-18", domain_of(name="vm-18"), 18))

    assert not result["changed"]
    assert result["problems"] == []
    assert result["others"] == [{"name": "vm-18", "uuid": "00000000-0000-4000-8000-000000000018"}]
    [found] = result["guests"]
    assert found["devices"] == [{"kind": "mdev", "id": MDEV}]
    assert (found["name"], found["state"]) == ("vm-17", "running")
    assert (found["persistent"], found["autostart"]) == (True, True)
    assert found["log"] == "/var/log/libvirt/qemu/vm-17.log"


def test_a_transient_guest_is_not_asked_whether_it_starts_with_its_host(gather):
    refusing = guest(isPersistent=0, autostart=libvirtError("it is transient", 55))
    [found] = gather(refusing)["guests"]
    assert (found["persistent"], found["autostart"]) == (False, False)


def test_no_domain_is_read_with_its_secrets(gather):
    domain = guest()
    gather(domain)
    assert [each for each in domain.asked if each[0] == "XMLDesc"] == [("XMLDesc", 0)]


@pytest.mark.parametrize("name", ["vm-17", "00000000-0000-4000-8000-000000000017"])
def test_guests_are_chosen_by_name_or_uuid(gather, name):
    result = gather(guest(), guest("vm-18", number=18), options={"guests": [name]})
    assert [each["name"] for each in result["guests"]] == ["vm-17"]


def test_snapshots_are_counted(gather):
    [found] = gather(guest(snapshotNum=2))["guests"]
    assert found["obstacles"] == [{"kind": "snapshots", "name": "2"}]
    [found] = gather(guest(snapshotNum=0))["guests"]
    assert found["obstacles"] == []


@pytest.mark.parametrize(
    ("stats", "name"),
    [
        ({"type": 2, "operation": 5}, "migration out"),
        ({"type": 1, "operation": 9}, "backup"),
        ({"type": 2, "operation": 99}, "unknown"),
        ({"type": 2}, "unknown"),
        ({"type": 0}, None),
        ({}, None),
        (None, None),
        (libvirtError("not supported", libvirt_stand_in.VIR_ERR_NO_SUPPORT), None),
        (libvirtError("Domain not found", libvirt_stand_in.VIR_ERR_NO_DOMAIN), None),
        (
            libvirtError(
                "migration statistics are available only on the source host",
                libvirt_stand_in.VIR_ERR_OPERATION_UNSUPPORTED,
            ),
            "migration in",
        ),
    ],
)
def test_what_libvirt_is_at_with_a_guest_is_told(gather, stats, name):
    result = gather(guest(jobStats=stats))
    [found] = result["guests"]
    assert found["obstacles"] == ([] if name is None else [{"kind": "job", "name": name}])
    assert found["job_known"]
    assert result["problems"] == []


@pytest.mark.parametrize("call", ["jobStats", "snapshotNum"])
def test_what_libvirt_refuses_of_a_guest_is_a_problem_of_that_guest(gather, call):
    held = libvirtError(
        "cannot acquire state change lock", libvirt_stand_in.VIR_ERR_OPERATION_TIMEOUT
    )
    result = gather(guest(**{call: held}), guest("vm-18", number=18))
    assert [each["name"] for each in result["guests"]] == ["vm-17", "vm-18"]
    [problem] = result["problems"]
    assert problem["guest"] == "vm-17"
    assert problem["problem"].endswith("cannot acquire state change lock")


@pytest.fixture
def held(monkeypatch, silent):
    """Return what never answers, where little time is given to what something may hold."""
    monkeypatch.setattr(libvirt_guests, "_HELD_SECONDS", 0.2)
    return silent


def test_guests_that_something_holds_cost_no_other_and_not_the_host(gather, held):
    stuck = [guest(f"vm-{each}", number=each, jobStats=held) for each in range(10, 16)]
    result = gather(*stuck, guest(), options={"timeout": 1})
    assert [each["name"] for each in result["guests"]][-1] == "vm-17"
    assert result["versions"] == {"libvirt": "11.3.0", "qemu": "10.0.2"}
    # Who holds the first one may hold the others: libvirt is not kept busy with more such calls.
    assert [each["guest"] for each in result["problems"]] == ["vm-10"]
    # That of the others nobody knows whether libvirt is at work on them is told of each.
    assert {each["job_known"] for each in result["guests"]} == {False}


def test_guests_that_were_asked_about_before_one_that_something_holds_are_known(gather, held):
    result = gather(
        *(
            guest(f"vm-{n}", number=n, **({"jobStats": held} if n == 18 else {}))
            for n in (17, 18, 19)
        )
    )
    known = {each["name"]: each["job_known"] for each in result["guests"]}
    assert known == {"vm-17": True, "vm-18": False, "vm-19": False}


def test_what_libvirt_does_is_not_asked_of_guests_that_are_not_gathered(gather, held):
    plain = guest("vm-16", domain_of(name="vm-16"), 16, jobStats=held)
    result = gather(plain, guest("vm-18", number=18, jobStats=held), options={"guests": ["vm-16"]})
    assert [each["name"] for each in result["others"]] == ["vm-16", "vm-18"]
    assert result["problems"] == []


def test_a_silent_qemu_takes_no_time_from_that_of_another_guest(gather, held, monkeypatch):
    monkeypatch.setattr(libvirt_guests, "CALL_SECONDS", 0.5)
    stuck = [guest(f"vm-{each}", number=each, monitor=held) for each in (15, 16)]
    result = gather(
        *stuck, guest(monitor=BLOCKED), options={"blocked_reasons": True, "timeout": 20}
    )
    found = {each["name"]: each["blocked_reasons"] for each in result["guests"]}
    assert found == {"vm-15": None, "vm-16": None, "vm-17": ["no dirty tracking"]}
    said = "QEMU does not say whether it can migrate: there is no answer within"
    assert result["problems"] == [
        {"guest": "vm-15", "problem": f"{said} 0.5 s"},
        {"guest": "vm-16", "problem": f"{said} 0.2 s"},
    ]


def listing(*domains, paused):
    """Return a libvirt that has these guests, of which some are paused, or that says why it does not tell which."""
    found = {1: [*domains], 32: paused}
    return lambda flags: found.get(flags, [])


@pytest.mark.parametrize(
    ("state", "reason"),
    [([3, 1], "user"), ([3, 2], "migration"), ([3, 11], "starting up"), ([3, 99], None)],
)
def test_who_is_paused_is_told_with_the_reason(gather, state, reason):
    half = guest(state=state)
    result = gather(
        listAllDomains=listing(half, guest("vm-18", number=18), paused=[half]),
        options={"guests": []},
    )
    uuid = "00000000-0000-4000-8000-000000000017"
    assert result["paused"] == [{"name": "vm-17", "uuid": uuid, "reason": reason}]
    assert [each["name"] for each in result["others"]] == ["vm-17", "vm-18"]


def test_who_goes_on_or_has_ended_meanwhile_is_not_paused(gather):
    ended = libvirtError("Domain not found", libvirt_stand_in.VIR_ERR_NO_DOMAIN)
    paused = [guest(state=[1, 1]), guest("vm-18", number=18, state=ended)]
    result = gather(listAllDomains=listing(paused=paused))
    assert (result["paused"], result["problems"]) == ([], [])


def test_that_libvirt_does_not_say_who_is_paused_is_told(gather):
    denied = libvirtError("access denied", 88)
    result = gather(listAllDomains=listing(paused=denied))
    assert result["paused"] is None
    assert result["problems"] == [
        {"guest": None, "problem": "the paused guests cannot be listed: access denied"}
    ]
    silent = guest(state=denied)
    result = gather(listAllDomains=listing(silent, paused=[silent]), options={"guests": []})
    assert [each["reason"] for each in result["paused"]] == [None]
    assert [each["guest"] for each in result["problems"]] == ["vm-17"]


def test_no_guest_is_gathered_where_none_is_asked_for(gather):
    assert gather(guest(), options={"guests": []})["guests"] == []


def test_a_host_with_many_network_devices_has_all_of_them_or_says_that_it_does_not(
    gather, monkeypatch
):
    monkeypatch.setattr(libvirt_guests, "_names_in", lambda path: [f"v{n}" for n in range(2000)])
    assert len(gather()["host"]["links"]) == 2000
    monkeypatch.setattr(libvirt_guests, "MOST_NAMES", 1999)
    found = gather()
    assert found["host"]["links"] is None
    assert "there are 2000 network devices" in found["problems"][0]["problem"]


def test_versions_and_what_the_host_has_are_told(gather):
    result = gather()
    assert result["versions"] == {"libvirt": "11.3.0", "qemu": "10.0.2"}
    assert result["host"]["arch"] == "x86_64"
    assert result["host"]["networks"] == ["tenants"]
    assert result["host"]["pools"] == ["images"]
    assert "lo" in result["host"]["links"]
    assert result["host"]["memory"]["free"] > 0


def test_a_libvirt_that_did_not_find_qemu_at_first_looks_for_it_again(gather):
    none = libvirtError("could not find capabilities for domaintype=qemu", 8)
    answers = iter([none, 10000002])
    result = gather(getVersion=lambda: next(answers))
    assert result["versions"]["qemu"] == "10.0.2"
    assert result["problems"] == []
    result = gather(getVersion=none)
    assert result["versions"]["qemu"] is None
    assert result["problems"] == [
        {"guest": None, "problem": f"QEMU's version is not known: {none}"}
    ]


def test_which_peers_are_not_reached_is_told_and_none_waits_for_another(
    gather, silent, monkeypatch
):
    uris = [f"qemu+ssh://root@{host}/system" for host in ("b", "c", "d")]
    there = {uris[0]: lambda: Connection(close=0), uris[1]: silent}
    monkeypatch.setattr(libvirt_guests, "_PEER_SECONDS", 0.5)
    result = gather(options={"guests": [], "peers": uris}, peers=there)
    assert result["peers"] == [
        {"uri": uris[0], "problem": None},
        {"uri": uris[1], "problem": "it does not answer within 0.5 s"},
        {"uri": uris[2], "problem": f"no route to {uris[2]}"},
    ]
    assert result["problems"] == []


def test_so_many_peers_are_too_many(gather):
    assert (
        "peers: 64 URIs at most, and there are 65" in gather(options={"peers": ["x"] * 65})["msg"]
    )


def test_a_libvirt_without_networks_and_pools_has_none(gather):
    lacking = libvirtError("no network driver", libvirt_stand_in.VIR_ERR_NO_SUPPORT)
    result = gather(listAllNetworks=lacking, listAllStoragePools=lacking)
    assert (result["host"]["networks"], result["host"]["pools"]) == ([], [])
    assert result["problems"] == []


def test_what_libvirt_refuses_of_the_host_is_a_problem_without_a_guest(gather):
    result = gather(guest(), listAllNetworks=libvirtError("access denied", 88))
    assert result["problems"] == [
        {"guest": None, "problem": "the networks cannot be listed: access denied"}
    ]
    assert result["host"]["networks"] is None
    assert [each["name"] for each in result["guests"]] == ["vm-17"]


# --- QEMU's own word ---


def test_qemu_is_not_asked_unless_that_is_wanted(gather):
    domain = guest()
    [found] = gather(domain)["guests"]
    assert found["blocked_reasons"] is None
    assert "qemuMonitorCommand" not in [each[0] for each in domain.asked]


@pytest.mark.parametrize(
    ("answer", "reasons"), [(BLOCKED, ["no dirty tracking"]), ('{"return": {}}', [])]
)
def test_qemus_reasons_are_told(gather, answer, reasons):
    domain = guest(monitor=answer)
    [found] = gather(domain, options={"blocked_reasons": True})["guests"]
    assert found["blocked_reasons"] == reasons
    assert domain.asked[-1] == ("qemuMonitorCommand", '{"execute": "query-migrate"}')


def test_only_guests_with_devices_are_marked_by_asking_qemu(gather):
    other = guest("vm-18", domain_of(name="vm-18"), 18, monitor=BLOCKED)
    gather(other, options={"blocked_reasons": True})
    assert "qemuMonitorCommand" not in [each[0] for each in other.asked]


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "no JSON",
        "[]",
        "{}",
        '{"return": 1}',
        '{"return": {"blocked-reasons": 5}}',
        '{"error": {"class": "GenericError"}}',
        "[" * 100000,
        '"' + "x" * (1 << 20) + '"',
        libvirtError("cannot acquire state change lock", 68),
    ],
)
def test_a_qemu_that_does_not_say_is_a_problem_of_its_guest(gather, answer):
    result = gather(guest(monitor=answer), options={"blocked_reasons": True})
    assert result["guests"][0]["blocked_reasons"] is None
    [problem] = result["problems"]
    assert problem["guest"] == "vm-17"
    assert problem["problem"].startswith("QEMU does not say whether it can migrate: ")


def test_qemus_reasons_end_somewhere_and_are_printable(gather):
    reasons = json.dumps({"return": {"blocked-reasons": ["\x1b[2J" + "x" * 5000] * 100}})
    [found] = gather(guest(monitor=reasons), options={"blocked_reasons": True})["guests"]
    assert len(found["blocked_reasons"]) == 32
    assert found["blocked_reasons"][0].startswith(r"\x1b[2J")
    assert len(found["blocked_reasons"][0]) < 1100


# --- what goes wrong ---


@pytest.mark.parametrize(
    "xml", ["", "<network/>", "<!DOCTYPE a [<!ENTITY b 'c'>]><domain/>", "<domain/>"]
)
def test_a_domain_that_is_none_is_a_problem_with_its_name_and_costs_no_other(gather, xml):
    result = gather(guest(xml=xml), guest("vm-18", number=18))
    assert [each["name"] for each in result["guests"]] == ["vm-18"]
    assert [each["guest"] for each in result["problems"]] == ["vm-17"]


@pytest.mark.parametrize("call", ["XMLDesc", "state"])
def test_a_guest_that_cannot_be_read_runs_all_the_same(gather, call):
    result = gather(guest(**{call: libvirtError("access denied", 88)}))
    assert result["others"] == [{"name": "vm-17", "uuid": "00000000-0000-4000-8000-000000000017"}]
    assert [each["guest"] for each in result["problems"]] == ["vm-17"]


def test_a_guest_that_has_ended_meanwhile_is_no_problem(gather):
    ended = libvirtError("Domain not found", libvirt_stand_in.VIR_ERR_NO_DOMAIN)
    result = gather(guest(XMLDesc=ended), guest("vm-18", number=18))
    assert [each["name"] for each in result["guests"]] == ["vm-18"]
    assert (result["others"], result["problems"]) == ([], [])


def test_a_silent_guest_costs_the_time_that_is_given_and_no_more(gather, silent):
    ready = [guest(f"vm-{each}", number=each) for each in (16, 18)]
    result = gather(*ready, guest(XMLDesc=silent), options={"timeout": 1})
    assert [each["name"] for each in result["guests"]] == ["vm-16"]
    assert [each["name"] for each in result["others"]] == ["vm-17", "vm-18"]
    # What the host has was asked before.
    assert result["versions"]["qemu"] == "10.0.2"
    silence, later = result["problems"]
    assert (silence["guest"], later["guest"]) == ("vm-17", "vm-18")
    assert "there is no answer within" in silence["problem"]
    assert (
        later["problem"] == "its domain cannot be read: libvirt was asked for 1 s, and that is over"
    )


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ({"listAllDomains": libvirtError("denied", 88)}, "the guests cannot be listed: denied"),
        ({"listAllDomains": [guest()] * 4097}, "4097 guests; expected 4096 at most"),
    ],
)
def test_without_a_list_of_guests_it_fails(gather, answers, words):
    result = gather(**answers)
    assert result["failed"]
    assert words in result["msg"]


def test_without_libvirt_it_fails_with_the_address(monkeypatch, run_module):
    libvirt_stand_in.install(monkeypatch, libvirtError("no such socket", 38))
    result = run_module(libvirt_guest_info.main, uri="qemu:///session")
    assert result["msg"] == "libvirt at qemu:///session cannot be reached: no such socket"


def test_a_time_that_is_none_is_refused(gather):
    assert "timeout is 0" in gather(options={"timeout": 0})["msg"]


# --- guests of other hosts ---


def as_it_is_elsewhere(**changes):
    given = {
        "name": "vm-17",
        "uuid": "00000000-0000-4000-8000-000000000017",
        "state": "running",
        "arch": "x86_64",
        "machine": "pc-q35-10.0",
        "virt_type": "kvm",
        "emulator": "/bin/sh",
        "cpu": {"mode": "custom", "model": "Skylake-Server", "vendor": None, "features": []},
        "disks": [{"type": "file", "source": "/proc/version"}],
    }
    return {**given, **changes}


@pytest.mark.parametrize(
    ("code", "word"), [(0, "incompatible"), (1, "identical"), (2, "superset"), (-1, "unknown")]
)
def test_the_cpu_of_a_guest_is_compared_with_what_can_be_given_here(gather, code, word):
    asked = []

    def compare(*arguments):
        asked.append(arguments)
        return code

    options = {"guests": [], "arriving": [as_it_is_elsewhere()]}
    result = gather(options=options, compareHypervisorCPU=compare)

    assert result["arriving"] == [
        {
            "uuid": "00000000-0000-4000-8000-000000000017",
            "cpu": word,
            "cpu_problem": None,
            "missing": [],
            "unknown": [],
        }
    ]
    [(emulator, arch, machine, virt_type, xml, flags)] = asked
    assert (emulator, arch, machine, virt_type) == ("/bin/sh", "x86_64", "pc-q35-10.0", "kvm")
    assert "Skylake-Server" in xml
    assert flags == 0


def test_an_unknown_cpu_is_told_in_libvirts_words(gather):
    unknown = libvirtError("unsupported configuration: Unknown CPU model Nehalem-X", 67)
    options = {"guests": [], "arriving": [as_it_is_elsewhere()]}
    [found] = gather(options=options, compareHypervisorCPU=unknown)["arriving"]
    assert found["cpu"] is None
    assert found["cpu_problem"].endswith("Unknown CPU model Nehalem-X")


def test_a_libvirt_that_cannot_compare_cpus_says_nothing_of_them(gather):
    unable = libvirtError("not supported", libvirt_stand_in.VIR_ERR_NO_SUPPORT)
    options = {"guests": [], "arriving": [as_it_is_elsewhere()]}
    [found] = gather(options=options, compareHypervisorCPU=unable)["arriving"]
    assert (found["cpu"], found["cpu_problem"]) == (None, None)


@pytest.mark.parametrize("cpu", [None, {}, {"mode": "host-passthrough"}, {"mode": "custom"}])
def test_a_guest_without_a_model_of_its_own_is_not_compared(gather, cpu):
    options = {"guests": [], "arriving": [as_it_is_elsewhere(cpu=cpu)]}
    [found] = gather(options=options)["arriving"]
    assert (found["cpu"], found["cpu_problem"]) == (None, None)


def test_files_that_are_not_here_are_told(gather):
    disks = [
        {"type": "file", "source": "/nowhere/a"},
        {"type": "block", "source": "/nowhere/b"},
        {"type": "network", "source": "pool/c"},
        {"type": "file", "source": None},
        {"type": "file", "source": "/a\x00b"},
    ]
    arriving = as_it_is_elsewhere(
        disks=disks,
        emulator="/nowhere/qemu",
        loader="/nowhere/firmware",
        boot_files=["/nowhere/vmlinuz", "/proc/version"],
        cpu=None,
    )
    [found] = gather(options={"guests": [], "arriving": [arriving]})["arriving"]
    assert found["missing"] == [
        "/nowhere/qemu",
        "/nowhere/firmware",
        "/nowhere/vmlinuz",
        "/nowhere/a",
        "/nowhere/b",
        "/a\x00b",
    ]


@pytest.fixture
def looked(monkeypatch, silent):
    """Let what is below /silent hang as a dead server does; return what was looked for."""
    looked = []

    def is_there(path):
        looked.append(path)
        if path.startswith("/silent"):
            silent()
        return real(path)

    real = paths.is_there
    monkeypatch.setattr(paths, "is_there", is_there)
    return looked


def test_files_of_which_nothing_is_known_are_not_missing(gather, looked, monkeypatch):
    monkeypatch.setattr(paths, "PATH_SECONDS", 0.05)
    disks = [{"type": "file", "source": each} for each in ("/silent/a", "/nowhere/b", "/silent/c")]
    options = {"guests": [], "arriving": [as_it_is_elsewhere(disks=disks, cpu=None)] * 2}
    for found in gather(options=options)["arriving"]:
        assert (found["missing"], found["unknown"]) == (["/nowhere/b"], ["/silent/a", "/silent/c"])
    # Who else needs such a file does not wait for it again.
    assert sorted(looked) == ["/bin/sh", "/nowhere/b", "/silent/a", "/silent/c"]


@pytest.mark.usefixtures("looked")
def test_the_paths_of_a_guest_take_no_time_from_another(gather):
    hanging = [{"type": "file", "source": f"/silent/{number}"} for number in range(512)]
    options = {
        "guests": [],
        "arriving": [
            *[as_it_is_elsewhere(disks=hanging, cpu=None)] * 5,
            as_it_is_elsewhere(disks=[{"type": "file", "source": "/nowhere/b"}]),
        ],
        # A second for each guest, which is enough where nothing hangs.
        "timeout": 6,
    }
    result = gather(options=options, compareHypervisorCPU=1)
    *others, honest = result["arriving"]
    assert (honest["missing"], honest["unknown"]) == (["/nowhere/b"], [])
    assert honest["cpu"] == "identical"
    for each in others:
        assert each["missing"] == []
        assert len(each["unknown"]) == 512
    # What the host itself has is asked before.
    assert (result["problems"], result["versions"]["qemu"]) == ([], "10.0.2")


def test_a_libvirt_that_is_silent_says_nothing_against_a_cpu(gather, silent):
    options = {"guests": [], "arriving": [as_it_is_elsewhere()], "timeout": 1}
    [found] = gather(options=options, compareHypervisorCPU=silent)["arriving"]
    assert (found["cpu"], found["cpu_problem"]) == ("unknown", None)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"uuid": None}, "arriving[0] has no uuid"),
        ({"uuid": 5}, "arriving[0].uuid"),
        ({"machine": ["x"]}, "arriving[0].machine"),
        ({"emulator": "x" * 2000}, "arriving[0].emulator"),
        ({"cpu": "x"}, "arriving[0].cpu is not a mapping"),
        ({"cpu": {"model": {}}}, "arriving[0].cpu.model"),
        ({"cpu": {"features": {}, "model": "x"}}, None),
        ({"cpu": {"features": ["x"]}}, "arriving[0].cpu.features[0] is not a mapping"),
        ({"cpu": {"features": [{}] * 600}}, "arriving[0].cpu.features"),
        ({"boot_files": "/x"}, "arriving[0].boot_files: expected a list"),
        ({"boot_files": [7]}, "arriving[0].boot_files[0]: expected a text"),
        ({"disks": {"a": 1}}, "arriving[0].disks"),
        ({"disks": [{"type": "file", "source": 7}]}, "arriving[0].disks[0].source"),
    ],
)
def test_a_guest_that_is_none_is_refused_with_the_place(gather, changes, words):
    options = {"guests": [], "arriving": [as_it_is_elsewhere(**changes)]}
    result = gather(options=options, compareHypervisorCPU=1)
    assert words is None or words in result["msg"]


def test_so_many_guests_are_refused(gather):
    options = {"guests": [], "arriving": [as_it_is_elsewhere()] * 4097}
    assert "4096 guests at most, and there are 4097" in gather(options=options)["msg"]


def test_the_running_host_is_not_taken_for_a_copied_tree(gather):
    result = gather(options={"sysfs": "/copy/sys"})
    assert result["failed"]
    assert "sysfs is '/copy/sys'" in result["msg"]


def test_guests_without_devices_are_gathered_where_that_is_wanted(gather):
    other = guest("vm-18", domain_of(name="vm-18"), 18, monitor=BLOCKED)
    wanted = {"without_devices": True, "blocked_reasons": True}
    result = gather(guest(monitor=BLOCKED), other, options=wanted)
    assert result["others"] == []
    found = {each["name"]: each for each in result["guests"]}
    assert found["vm-18"]["devices"] == []
    assert found["vm-18"]["memory"] > 0
    assert found["vm-18"]["blocked_reasons"] == ["no dirty tracking"]


def test_guests_without_devices_are_gathered_where_they_are_named(gather):
    others = [guest(f"vm-{each}", domain_of(name=f"vm-{each}"), each) for each in (18, 19)]
    for name in ("vm-18", "00000000-0000-4000-8000-000000000018"):
        result = gather(guest(), *others, options={"named": [name]})
        assert "vm-18" in {each["name"] for each in result["guests"]}
        assert [each["name"] for each in result["others"]] == ["vm-19"]


def test_guests_that_are_defined_alone_are_named(gather):
    def listed(flags):
        return [guest()] if flags == 1 else [guest("vm-19", number=19), guest("vm-18", number=18)]

    result = gather(listAllDomains=listed)
    assert [each["name"] for each in result["guests"]] == ["vm-17"]
    assert result["defined"] == [
        {"name": f"vm-{each}", "uuid": f"00000000-0000-4000-8000-0000000000{each}"}
        for each in (18, 19)
    ]


def test_a_libvirt_that_does_not_say_what_is_defined_says_the_rest(gather):
    def listed(flags):
        return {1: [guest()], 2: libvirtError("denied", 88)}.get(flags, [])

    result = gather(listAllDomains=listed)
    assert result["defined"] is None
    assert [each["name"] for each in result["guests"]] == ["vm-17"]
    assert "the defined guests cannot be listed" in result["problems"][0]["problem"]


def test_definitions_are_returned_where_they_are_wanted_without_passwords(gather):
    def xml(flags):
        return domain_of(name="vm-17", metadata=f"<asked_with>{flags}</asked_with>")

    wanted = {"definitions": True, "without_devices": True}
    transient = guest("vm-18", number=18, isPersistent=0, XMLDesc=xml)
    result = gather(guest(XMLDesc=xml), transient, options=wanted)
    # 2 is VIR_DOMAIN_XML_INACTIVE; 1, VIR_DOMAIN_XML_SECURE, is not asked with.
    assert [each["definitions"] for each in result["guests"]] == [
        {"active": xml(0), "persistent": xml(2)},
        {"active": xml(0), "persistent": None},
    ]
    assert [each["definitions"] for each in gather(guest())["guests"]] == [None]


VOLUME = "<disk type='volume'><source pool='images' volume='a.img'/><target dev='vd%s'/></disk>"


@pytest.mark.parametrize(
    ("kind", "path", "shared"),
    [
        (0, "/proc/version", None),
        (0, "/srv/a.img", False),
        (1, "/dev/vg/a", None),
        (2, "/srv/a", False),
        (3, "images/a", True),
    ],
)
def test_a_volume_is_shared_or_not_as_its_file_is(gather, monkeypatch, kind, path, shared):
    monkeypatch.setattr(
        volumes, "is_shared", lambda path: False if path.startswith("/srv") else None
    )
    asked = []

    def pool(name):
        asked.append(name)
        return Domain(storageVolLookupByName=Domain(info=[kind, 1, 1], path=path))

    one = guest(xml=domain_of(hostdev("mdev", MDEV), VOLUME % "a", name="vm-17"))
    result = gather(one, storagePoolLookupByName=pool)
    assert [each["shared"] for each in result["guests"][0]["disks"]] == [shared]
    assert (asked, result["problems"]) == (["images"], [])


def test_a_volume_that_libvirt_does_not_find_is_not_known_and_costs_nothing_else(gather):
    one = guest(xml=domain_of(hostdev("mdev", MDEV), VOLUME % "a", name="vm-17"))
    result = gather(one, storagePoolLookupByName=libvirtError("no such pool", 49))
    assert [each["shared"] for each in result["guests"][0]["disks"]] == [None]
    assert result["problems"] == []


def test_where_a_pool_is_silent_no_other_volume_is_asked_for(gather, held):
    asked = []

    def pool(name):
        asked.append(name)
        return held(name)

    disks = [VOLUME % each for each in "abc"]
    one = guest(xml=domain_of(hostdev("mdev", MDEV), *disks, name="vm-17"))
    result = gather(one, storagePoolLookupByName=pool)
    assert [each["shared"] for each in result["guests"][0]["disks"]] == [None] * 3
    assert asked == ["images"]


FROM_NETWORK = "<interface type='network'><mac address='%s'/><source network='vfs'/></interface>"


@pytest.mark.parametrize("persistent", [1, 0])
@pytest.mark.parametrize(
    ("made_of", "name"),
    [
        (FROM_NETWORK % "52:54:00:6D:90:02", "vfs"),
        # Another interface, or one that is the operator's to place.
        (FROM_NETWORK % "52:54:00:6d:90:03", None),
        (interface("pci", "0000:06:00.1"), None),
    ],
)
def test_a_function_that_libvirt_has_taken_from_a_network_is_told(
    gather, persistent, made_of, name
):
    def xml(flags):
        devices = made_of if flags == 2 else interface("pci", "0000:06:00.1")
        return domain_of(devices, FROM_NETWORK % "52:54:00:6d:90:04", name="vm-17")

    result = gather(guest(XMLDesc=xml, isPersistent=persistent))
    expected = [{"kind": "network_device", "name": name}] if name else []
    assert (result["guests"][0]["obstacles"], result["problems"]) == (expected, [])


def test_what_a_guest_was_made_of_is_not_read_where_it_has_no_function(gather):
    one = guest()
    gather(one)
    assert [each for each in one.asked if each[0] == "XMLDesc"] == [("XMLDesc", 0)]
