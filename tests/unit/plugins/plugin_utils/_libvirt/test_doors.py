# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fuzzers of what hosts say of their guests: results of modules and programs, the XML of domains, and logs."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import read_fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.answers import (
    Answer,
    read_answer,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.checks import (
    MigrationCase,
    check_migration,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.domain_xml import (
    is_id,
    read_domain,
    retargeted,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.guests import (
    LibvirtHost,
    RunningGuest,
    find_guests,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.logs import (
    failure,
    lost_states,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.libvirt_answers import (
    said_by_libvirt,
)
from ansible_collections.vfio.migration.tests.unit.domains import (
    domain_of,
    hostdev,
    interface,
)
from ansible_collections.vfio.migration.tests.unit.fleets import UUIDS, device, host
from ansible_collections.vfio.migration.tests.unit.fuzzing import (
    ANY_TEXT,
    JSON,
    damaged,
    limits,
    spliced,
    through,
)
from ansible_collections.vfio.migration.tests.unit.libvirt_answers import (
    arrival_info,
    guest_info,
    libvirt_info,
)
from hypothesis import example, given
from hypothesis import strategies as st

# --- the XML of domains ----------------------------------------------------------------------------------------------

DOMAIN = domain_of(
    hostdev("mdev", UUIDS[0]),
    interface("pci", "0000:01:10.0"),
    hostdev("pci", "0000:01:10.2", quote='"'),
)
BOMB = "<!DOCTYPE d [<!ENTITY a 'aaaaaaaaaa'>" + "".join(
    f"<!ENTITY {new} '{f'&{old};' * 10}'>" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
PIECES = (
    *("<!DOCTYPE domain SYSTEM 'file:///etc/passwd'>", f"{BOMB}]>", "&a;", "&lt;", "&#x202e;"),
    *("<?xml version='1.1'?>", "<?xml version='1.0' encoding='utf-16'?>", "<![CDATA[", "]]>"),
    *("<!--", "-->", "<a>" * 300, "</a>" * 300, "<source>", "</source>", "<hostdev type='mdev'>"),
    *("<address uuid='x'/>", "uuid='", "type='hostdev'", "'", '"', "xmlns:a='b' a:uuid='c'"),
    *("<name>", "</name>", "</devices>", "</domain>", "<domain>", "\ufeff", "\r", "slot=''"),
)
XML = st.one_of(
    spliced(DOMAIN, PIECES),
    st.lists(st.sampled_from(PIECES), max_size=8).map(
        lambda parts: DOMAIN.replace("<", "".join(parts) + "<", 1)
    ),
    st.lists(st.sampled_from(PIECES), max_size=8).map("".join),
    ANY_TEXT,
)
LARGE = (
    "<a>" * 1_000_000,
    "<domain " + 'a="b" ' * 500_000 + "/>",
    "<domain " + " ".join(f"a{number}='b'" for number in range(200_000)) + "/>",
    "x" * (5 << 20),
    "<domain>" + "<a/>" * 900_000,
    BOMB + "]><d>&i;</d>",
)


@given(XML)
@example(DOMAIN)
def test_xml_is_a_domain_or_an_error_and_nothing_but_ids_is_ever_changed(xml):
    domain = through(lambda: read_domain(xml), FleetError)
    if domain is None:
        return
    assert all(is_id(each.kind, each.id) for each in domain.assigned)
    with limits():
        assert retargeted(domain, {each.id: each.id for each in domain.assigned}) == xml
        new = {"mdev": UUIDS[9], "pci": "0000:02:00.0"}
        changed = retargeted(domain, {each.id: new[each.kind] for each in domain.assigned})
        again = read_domain(changed)
    assert [each.id for each in again.assigned] == [new[each.kind] for each in domain.assigned]
    assert again.name == domain.name


@pytest.mark.parametrize("xml", LARGE, ids=lambda xml: xml[:12])
def test_xml_that_is_large_or_grows_is_soon_an_error_or_read(xml):
    through(lambda: read_domain(xml), FleetError)


# --- results of programs ---------------------------------------------------------------------------------------------

RESULT = {"rc": 0, "stdout": "running", "stderr": "", "msg": "", "changed": False}


@given(st.one_of(damaged(RESULT), JSON))
def test_what_a_program_answers_is_an_answer_and_never_an_error(result):
    with limits():
        answer = read_answer(result)
    assert [type(each) for each in (answer.stdout, answer.stderr, answer.message)] == [str] * 3
    assert {type(answer.rc)} <= {int, type(None)}


# --- what libvirt says -----------------------------------------------------------------------------------------------

FULL = guest_info(
    "vm-1",
    UUIDS[5],
    blocked_reasons=["P2P"],
    huge_pages=[2048],
    iommu="intel",
    iommufd=True,
    disks=[
        {
            **dict.fromkeys(("target", "source"), "/x"),
            **dict.fromkeys(("readonly", "shareable", "shared"), False),
            "type": "file",
            "backing": ["/base"],
        }
    ],
    networks=["n"],
    links=["br0"],
    pools=["p"],
    obstacles=[{"kind": "snapshots", "name": "1"}],
)
INFO = libvirt_info(
    FULL,
    others=[{"name": "vm-2", "uuid": UUIDS[6]}],
    arriving=[arrival_info(UUIDS[5], missing=["/x"], cpu="incompatible")],
    problems=[{"guest": "vm-1", "problem": "it is silent"}],
)
FLEET = read_fleet({"a": host([device(UUIDS[1], vm="vm-1")]), "b": host()})


@given(st.one_of(damaged(INFO), JSON), st.one_of(damaged(INFO), st.just(INFO)))
@example(INFO, INFO)
@example(libvirt_info(*[FULL] * 3000), INFO)
def test_what_libvirt_says_is_a_host_and_checks_come_to_an_end(here, there):
    with limits():
        hosts = {
            name: said_by_libvirt(answer if isinstance(answer, dict) else {})
            for name, answer in (("a", here), ("b", there))
        }
        guests = find_guests(FLEET, hosts, drain=["a"])
        checks = check_migration(MigrationCase(FLEET, guests, hosts, hosts, drain=["a"]))
    for each in hosts.values():
        assert isinstance(each, LibvirtHost)
        assert set(each.versions) <= {"libvirt", "QEMU"}
        assert all(
            isinstance(name, str) and isinstance(guest, RunningGuest)
            for name, guest in each.running.items()
        )
    assert set(checks["targets"]) <= {"b"}
    assert all(isinstance(each, str) for each in checks["notes"])


# --- logs ------------------------------------------------------------------------------------------------------------

LOG = "2026-11-26 17:20:00.123+0000: starting up libvirt\n2026-11-26T17:20:01Z qemu: failed to load device state\n"
DMESG = "[    1.000000] Linux version 6.12\n[   17.250000] vfio-pci 0000:01:10.0: error state\n"


def logged(sound: str) -> st.SearchStrategy[t.Any]:
    answer = st.builds(
        Answer,
        rc=st.sampled_from([0, 1, None]),
        stdout=spliced(sound, ("[", "9" * 400, "]", "\x85")),
    )
    return st.one_of(answer, st.just(Answer(unreachable=True)))


@given(
    logged(LOG),
    logged(DMESG),
    spliced(DMESG, ("[", "]", "1.0")),
    st.integers(1, 9),
    st.none() | st.integers(0, 9),
)
def test_logs_are_lines(of_qemu, of_the_kernel, before, lines, exceeded):
    logs = [
        ({"host": "a", "who": "QEMU"}, of_qemu),
        ({"host": "b", "who": "the kernel"}, of_the_kernel),
    ]
    with limits():
        found = failure(logs, of_qemu, "a", {"b": before}, lines, exceeded)
        lost = lost_states(of_qemu.stdout)
    assert all(isinstance(line, str) and "\n" not in line for line in [*found, *lost])
