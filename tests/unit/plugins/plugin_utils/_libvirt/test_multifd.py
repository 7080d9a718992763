# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.migration_options import (
    read_options,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import read_fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.checks import (
    MigrationCase,
    check_migration,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.encryption import (
    ALWAYS,
    NEVER,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.guests import (
    find_guests,
    read_host,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.multifd import Multifd
from ansible_collections.vfio.migration.tests.unit.fleets import (
    UUIDS,
    device,
    host,
)
from ansible_collections.vfio.migration.tests.unit.libvirt_answers import (
    arrival_info,
    guest_info,
    libvirt_info,
)

OLD, NEW = "9.2.4", "10.0.0"


def a_host(version, *guests):
    answer = libvirt_info(*guests, arriving=[arrival_info(UUIDS[5])])
    answer["versions"] = {"libvirt": "11.3.0", "qemu": version}
    return read_host(answer)


def checked(multifd, source=NEW, target=NEW):
    """Return the checks of a guest that is to leave a for b, whose QEMU is of these versions."""
    fleet = read_fleet({"a": host([device(UUIDS[1], vm="vm-17")]), "b": host()})
    hosts = {"a": a_host(source, guest_info("vm-17", UUIDS[5])), "b": a_host(target)}
    guests = find_guests(fleet, hosts, drain=["a"])
    return check_migration(
        MigrationCase(fleet, guests, hosts, hosts, drain=["a"], asks_qemu=False, multifd=multifd)
    )


def test_what_libvirt_is_given_it_takes():
    options = Multifd(connections=8).options_between(a_host(NEW), a_host(NEW))
    found = read_options(options)
    assert (found.flags, found.parameters) == (("PARALLEL",), {"parallel.connections": 8})


@pytest.mark.parametrize(
    ("source", "target", "named"), [(OLD, NEW, "a"), (NEW, OLD, "b"), (OLD, OLD, "a, b")]
)
def test_whose_qemu_is_older_is_named_and_takes_part(source, target, named):
    checks = checked(Multifd(), source, target)
    assert [each["vm"] for each in checks["chosen"]] == ["vm-17"]
    (note,) = checks["notes"]
    assert note == (
        f"guests are sent over one connection from or to {named}, where no QEMU 10.0.0 or newer is known;"
        " see migrate_libvirt_multifd"
    )
    assert Multifd().options_between(a_host(source), a_host(target)) == []
    assert checked(Multifd(NEVER), source, target)["notes"] == []


def test_nothing_goes_to_or_from_an_older_one_where_all_are_to_have_several():
    assert checked(Multifd(ALWAYS))["left"] == []
    (left,) = checked(Multifd(ALWAYS), target=OLD)["left"]
    assert left["reason"] == (
        "no host can take it: b has no QEMU 10.0.0 or newer, and it is to be sent over several connections; update that, or set"
        " migrate_libvirt_multifd=auto"
    )
    (left,) = checked(Multifd(ALWAYS), source=OLD)["left"]
    assert left["reason"] == (
        "it is to be sent over several connections, and a has no QEMU 10.0.0 or newer; update that, or set"
        " migrate_libvirt_multifd=auto"
    )


@pytest.mark.parametrize(
    "option", ["--parallel", "--tunnelled", "--compressed", "--comp-methods=zstd", "parallel"]
)
def test_an_operators_own_word_is_kept_and_nothing_is_said_of_it(option):
    multifd = Multifd(options=[option])
    assert checked(multifd, OLD, OLD)["notes"] == []
    assert multifd.options_between(a_host(NEW), a_host(NEW)) == []


@pytest.mark.parametrize(
    ("others", "why"),
    [
        ({"transport": "rdma://{host}"}, "several connections go over TCP alone"),
        ({"options": ["--tunnelled"]}, "one connection with --tunnelled of migrate_libvirt_opt"),
    ],
)
def test_what_cannot_be_together_is_refused(others, why):
    Multifd(**others).check()
    with pytest.raises(FleetError, match=why):
        Multifd(ALWAYS, **others).check()
