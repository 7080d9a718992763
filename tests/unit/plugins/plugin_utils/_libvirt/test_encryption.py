# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import read_fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.checks import (
    MigrationCase,
    check_migration,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.encryption import (
    ALWAYS,
    NEVER,
    Encryption,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.guests import (
    LibvirtHost,
    find_guests,
    read_host,
)
from ansible_collections.vfio.migration.tests.unit.fleets import (
    UUIDS,
    device,
    host,
)
from ansible_collections.vfio.migration.tests.unit.libvirt_answers import (
    arrival_info,
    certificates,
    guest_info,
    host_info,
    libvirt_info,
)

PLAIN = "what is sent of guests, their memory too, is not encrypted"


def a_host(there: bool, *guests) -> LibvirtHost:
    return read_host(
        libvirt_info(
            *guests,
            host=host_info(tls=certificates(there)),
            arriving=[arrival_info(UUIDS[5])],
        )
    )


def checked(encryption: Encryption, source: bool = True, target: bool = True):
    """Return the checks of a guest that is to leave a for b, of which each has certificates or none."""
    fleet = read_fleet({"a": host([device(UUIDS[1], vm="vm-17")]), "b": host()})
    hosts = {"a": a_host(source, guest_info("vm-17", UUIDS[5])), "b": a_host(target)}
    guests = find_guests(fleet, hosts, drain=["a"])
    return check_migration(
        MigrationCase(
            fleet, guests, hosts, hosts, drain=["a"], asks_qemu=False, encryption=encryption
        )
    )


def test_where_both_hosts_have_certificates_there_is_nothing_to_say():
    assert checked(Encryption())["notes"] == []


@pytest.mark.parametrize(
    ("source", "target", "named"), [(False, True, "a"), (True, False, "b"), (False, False, "a, b")]
)
def test_who_has_no_certificates_is_named_and_takes_part(source, target, named):
    checks = checked(Encryption(), source, target)
    assert [each["vm"] for each in checks["chosen"]] == ["vm-17"]
    assert checks["notes"] == [
        f"{PLAIN} from or to {named}, where no certificates for it are known; see migrate_libvirt_tls"
    ]


def test_a_target_without_certificates_is_none_where_all_is_to_be_encrypted():
    (left,) = checked(Encryption(ALWAYS), target=False)["left"]
    assert left["reason"] == (
        "no host can take it: b has no ca-cert.pem, server-cert.pem and server-key.pem in /etc/pki/qemu, and it is to be sent"
        " encrypted; put them there, or set migrate_libvirt_tls=auto"
    )


def test_a_guest_stays_on_a_host_without_certificates_where_all_is_to_be_encrypted():
    (left,) = checked(Encryption(ALWAYS), source=False)["left"]
    assert left["reason"] == (
        "it is to be sent encrypted, and a has no ca-cert.pem, client-cert.pem and client-key.pem in /etc/pki/qemu; put them"
        " there, or set migrate_libvirt_tls=auto"
    )


@pytest.mark.parametrize(
    ("encryption", "why"),
    [
        (Encryption(NEVER), "migrate_libvirt_tls is never"),
        (
            Encryption(transport="rdma://{host}"),
            "QEMU encrypts only what goes over TCP, and this goes to rdma://{host}",
        ),
        (
            Encryption(options=["--parallel", "--zerocopy"]),
            "QEMU does not encrypt what --zerocopy sends; see migrate_libvirt_options",
        ),
    ],
)
def test_what_is_never_encrypted_is_said_whatever_the_hosts_have(encryption, why):
    assert checked(encryption)["notes"] == [f"{PLAIN}: {why}"]
    hosts = a_host(True), a_host(True)
    assert "--tls" not in encryption.options_between(*hosts)


@pytest.mark.parametrize("option", ["--tls", "tls", "--tunnelled"])
def test_an_operators_own_word_is_kept_and_nothing_is_said_of_it(option):
    encryption = Encryption(options=[option])
    assert checked(encryption, False, False)["notes"] == []
    assert encryption.options_between(a_host(True), a_host(True)) == [option]


def test_zero_copy_is_refused_where_all_is_to_be_encrypted():
    with pytest.raises(FleetError, match="take --zerocopy out of migrate_libvirt_options"):
        Encryption(ALWAYS, options=["zerocopy"]).check()
