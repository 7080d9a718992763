# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A guest that is sent, with a stand-in for libvirt's binding; that guests really move is tried on the lab."""

from __future__ import annotations

import threading
import types
import typing as t

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._change import guest_migration
from ansible_collections.vfio.migration.plugins.module_utils._change.guest_migration import (
    GuestMigration,
    MigrationOrder,
    flags_and_parameters,
    read_definitions,
    state_words,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.migration_limits import (
    MigrationLimits,
)
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.errors import (
    VfioMigrationError,
)
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.migration_options import (
    MigrationOptionError,
    MigrationOptions,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.libvirt_binding import (
    LibvirtError,
)

UUID = "4dea22b3-1d52-d8f3-2516-782e98ab3fa0"
STATISTICS = {
    "type": 2,
    "data_total": 1000,
    "data_processed": 400,
    "data_remaining": 600,
    "memory_dirty_rate": 2,
    "memory_page_size": 4096,
    "downtime": 500,
    "memory_bps": 10,
}


class Error(Exception):
    """As the binding's own."""

    def get_error_message(self):
        return str(self)

    code = 1

    def get_error_code(self):
        return self.code


class NoDomainError(Error):
    """A guest is not there."""

    code = 42


class Domain:
    """A guest whose migration ends when ``end`` says so: with an error, or by going."""

    def __init__(self, persistent=True, error=None, samples=()):
        self.persistent = persistent
        self.error = error
        self.samples = list(samples)
        self.end = threading.Event()
        self.aborted = False
        self.calls = []
        self.is_there = True
        self.runs = 1
        self.reason = 5
        self.starts = 0

    def name(self):
        return "vm-17"

    def isPersistent(self):  # noqa: N802 - libvirt's
        return int(self.persistent)

    def autostart(self):
        return self.starts

    def setAutostart(self, starts):  # noqa: N802
        self.calls.append(("starts", starts))

    def XMLDesc(self, flags):  # noqa: N802
        return f"<domain flags='{flags}'/>"

    def migrateSetMaxDowntime(self, downtime, flags):  # noqa: N802
        self.calls.append(("downtime", downtime))

    def migrateToURI3(self, destination, parameters, flags):  # noqa: N802
        self.calls.append(("migrate", destination, parameters, flags))
        if not self.samples:
            self.end.set()
        self.end.wait(20)
        if self.aborted:
            raise Error("operation aborted: migration out job: canceled by client")
        if self.error:
            raise Error(self.error)
        self.is_there = False
        return 0

    def jobStats(self):  # noqa: N802
        if not self.samples:
            self.end.set()
            raise Error("no job")
        return self.samples.pop(0)

    def abortJob(self):  # noqa: N802
        self.aborted = True
        self.end.set()

    def state(self):
        return [self.runs, self.reason]


class Binding(types.SimpleNamespace):
    """The names of libvirt's binding that are used here."""

    def __init__(self):
        super().__init__(
            libvirtError=Error,
            VIR_ERR_NO_DOMAIN=42,
            VIR_DOMAIN_XML_SECURE=1,
            VIR_DOMAIN_XML_INACTIVE=2,
            VIR_DOMAIN_XML_MIGRATABLE=8,
            VIR_MIGRATE_LIVE=1,
            VIR_MIGRATE_PEER2PEER=2,
            VIR_MIGRATE_PERSIST_DEST=8,
            VIR_MIGRATE_UNDEFINE_SOURCE=16,
            VIR_MIGRATE_AUTO_CONVERGE=8192,
            VIR_MIGRATE_PARAM_URI="migrate_uri",
            VIR_MIGRATE_PARAM_DEST_XML="destination_xml",
            VIR_MIGRATE_PARAM_PERSIST_XML="persistent_xml",
            VIR_DOMAIN_RUNNING=1,
            VIR_DOMAIN_RUNNING_UNPAUSED=5,
            VIR_DOMAIN_RUNNING_MIGRATION_CANCELED=6,
            VIR_DOMAIN_PAUSED=3,
            VIR_DOMAIN_PAUSED_USER=1,
            VIR_DOMAIN_SHUTOFF=5,
            VIR_DOMAIN_EVENT_ID_JOB_COMPLETED=22,
        )
        self.listener = None

    def virEventRegisterDefaultImpl(self):  # noqa: N802
        self.registered = True

    def virEventRunDefaultImpl(self):  # noqa: N802
        raise Error("no event")


class Libvirt:
    """A connection, whose calls are answered at once."""

    def __init__(self, domain):
        self.uri = "qemu:///system"
        self.binding = Binding()
        self.connection = self
        self._domain = domain

    def ask(self, what, call, seconds=None):
        try:
            return call()
        except Error as error:
            raise LibvirtError(f"{what}: {error}", error.get_error_code()) from error

    def lookupByUUIDString(self, uuid):  # noqa: N802
        if uuid != UUID or not self._domain.is_there:
            raise NoDomainError("Domain not found")
        return self._domain

    def domainEventRegisterAny(self, domain, event, callback, opaque):  # noqa: N802
        callback(self, domain, {"downtime": 70, "data_processed": 990, "time_elapsed": 8}, opaque)


def order(persistent="<domain/>", options=None, **limits):
    given = {"downtime": 300, "longest_downtime": 300, "timeout": 3600, **limits}
    return MigrationOrder(
        uri="qemu:///system",
        uuid=UUID,
        destination="qemu+ssh://root@b/system",
        transport="tcp://b",
        active="<domain>secret</domain>",
        persistent=persistent,
        options=options or MigrationOptions(),
        limits=MigrationLimits(**given),
    )


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(guest_migration, "_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(guest_migration, "_EVENT_SECONDS", 0.01)
    monkeypatch.setattr(guest_migration, "_ABORT_SECONDS", 0.01)
    monkeypatch.setattr(guest_migration, "_RETURN_SECONDS", 0.05)
    monkeypatch.setattr(guest_migration, "_RETRY_SECONDS", 0.01)


def run(domain, what=None, tmp_path="/nowhere"):
    told = []
    connect = t.cast(t.Any, lambda uri: Libvirt(domain))
    migration = GuestMigration(what or order(), told.append, connect, logs=str(tmp_path))
    return migration.run(), told


def test_the_definitions_have_passwords_and_only_a_persistent_guest_has_two():
    found = read_definitions(Libvirt(Domain()), UUID)
    assert found == {
        "name": "vm-17",
        "active": "<domain flags='9'/>",
        "persistent": "<domain flags='3'/>",
    }
    assert read_definitions(Libvirt(Domain(persistent=False)), UUID)["persistent"] is None


def test_a_guest_that_is_not_here_is_named():
    with pytest.raises(LibvirtError, match="is not known to libvirt: Domain not found"):
        read_definitions(Libvirt(Domain()), UUID.replace("4", "5"))


def test_a_persistent_guest_takes_its_definition_along():
    flags, parameters = flags_and_parameters(Binding(), order())
    assert flags == 1 | 2 | 8 | 16
    assert parameters == {
        "destination_xml": "<domain>secret</domain>",
        "persistent_xml": "<domain/>",
        "migrate_uri": "tcp://b",
    }


def test_another_one_has_none():
    options = MigrationOptions(("AUTO_CONVERGE",), {"bandwidth": 5})
    flags, parameters = flags_and_parameters(Binding(), order(None, options))
    assert flags == 1 | 2 | 8192
    assert parameters.keys() == {"destination_xml", "migrate_uri", "bandwidth"}


def test_what_the_binding_does_not_know_is_named():
    with pytest.raises(MigrationOptionError, match="too old for VIR_MIGRATE_ZEROCOPY"):
        flags_and_parameters(Binding(), order(None, MigrationOptions(("ZEROCOPY",))))


def test_a_guest_moves_with_what_libvirt_counts_in_the_end():
    domain = Domain(samples=[STATISTICS, STATISTICS])
    result, told = run(domain)
    assert domain.calls[0] == ("downtime", 300)
    assert domain.calls[1][:2] == ("migrate", "qemu+ssh://root@b/system")
    assert (result["outcome"], result["errors"], result["state"]) == ("moved", [], None)
    assert (result["downtime"], result["bytes"], result["dirty_rate"]) == (70, 990, 8192)
    assert result["ended"] >= result["began"]
    assert told[0]["data_remaining"] == 600
    assert told[0]["downtime_limit"] == 300
    assert "secret" not in str((result, told))


def sent(domain, there, what=None):
    """Return the result of a migration to a host whose libvirt is ``there``, a connection or an error."""

    def connect(uri):
        if uri == "qemu:///system":
            return Libvirt(domain)
        assert uri == "qemu+ssh://root@b/system"
        if isinstance(there, Exception):
            raise there
        return there

    return GuestMigration(what or order(), lambda status: None, t.cast(t.Any, connect)).run()


@pytest.mark.parametrize(
    ("starts", "persistent", "told"), [(1, True, [("starts", 1)]), (0, True, []), (1, False, [])]
)
def test_a_guest_starts_with_its_new_host_as_with_the_old_one(starts, persistent, told):
    domain, there = Domain(persistent=persistent), Domain()
    domain.starts = starts
    what = order("<domain/>" if persistent else None)
    assert sent(domain, Libvirt(there), what)["errors"] == []
    assert there.calls == told


def test_why_a_guest_that_has_moved_does_not_start_with_its_new_host_is_told():
    domain, there = Domain(), Domain()
    domain.starts = 1
    there.is_there = False
    for libvirt, why in (
        (LibvirtError("libvirt at qemu+ssh://root@b/system cannot be reached: no"), "reached: no"),
        (Libvirt(there), "not known to libvirt: Domain not found"),
    ):
        result = sent(domain, libvirt)
        assert result["outcome"] == "moved"
        (error,) = result["errors"]
        assert error.startswith("it does not start with its new host: ")
        assert error.endswith(f"{why}; run there: virsh autostart {UUID}")
        domain.is_there = True


def test_a_guest_that_stays_changes_nothing_on_its_target():
    domain, there = Domain(error="no"), Domain()
    domain.starts = 1
    assert sent(domain, Libvirt(there))["outcome"] == "failed"
    assert there.calls == []


def test_what_libvirt_says_of_a_failure_is_told_with_the_logs(tmp_path):
    (tmp_path / "vm-17.log").write_text("first\n" * 9000 + "2026-01-01 qemu: no\x1b[2J\n")
    result, _told = run(Domain(error="internal error: QEMU says no"), tmp_path=tmp_path)
    assert (result["outcome"], result["state"]) == ("failed", "running (unpaused)")
    assert result["errors"] == ["internal error: QEMU says no"]
    assert result["qemu_log"][-1] == "2026-01-01 qemu: no\\x1b[2J"
    assert len(result["qemu_log"]) == 100
    assert result["downtime"] is None


def test_a_migration_that_takes_too_long_is_aborted():
    domain = Domain(samples=[STATISTICS] * 10_000)
    result, _told = run(domain, order(timeout=0.05))
    assert domain.aborted
    assert result["outcome"] == "aborted"
    assert result["errors"][0].startswith("it took longer than it may")
    assert result["errors"][1].startswith("operation aborted")


def test_a_longer_downtime_is_set_while_it_goes_on(monkeypatch):
    module = "ansible_collections.vfio.migration.plugins.module_utils._change.migration_limits"
    monkeypatch.setattr(f"{module}.STEP_SECONDS", 0.0)
    domain = Domain(samples=[STATISTICS] * 5)
    result, told = run(domain, order(longest_downtime=1000))
    assert [each[1] for each in domain.calls if each[0] == "downtime"] == [300, 600, 1000]
    assert told[-1]["downtime_limit"] == 1000
    assert result["outcome"] == "moved"


def test_a_longer_downtime_that_libvirt_refuses_is_not_told_as_the_limit(monkeypatch):
    module = "ansible_collections.vfio.migration.plugins.module_utils._change.migration_limits"
    monkeypatch.setattr(f"{module}.STEP_SECONDS", 0.0)
    domain = Domain(samples=[STATISTICS] * 6)
    refusals = [Error("cannot acquire state change lock")] * 2

    def limit(downtime, _flags):
        if downtime > 300 and refusals:
            raise refusals.pop()
        domain.calls.append(("downtime", downtime))

    monkeypatch.setattr(domain, "migrateSetMaxDowntime", limit)
    result, told = run(domain, order(longest_downtime=1000))
    assert [each[1] for each in domain.calls if each[0] == "downtime"] == [300, 600, 1000]
    refused = [each for each in told if each["downtime_refusal"]]
    assert {each["downtime_limit"] for each in refused} == {300}
    assert [each["downtime_refusal"] for each in refused] == [
        "libvirt does not set the limit of 600 ms: cannot acquire state change lock"
    ] * 2
    assert (told[-1]["downtime_limit"], told[-1]["downtime_refusal"]) == (1000, None)
    assert (result["outcome"], result["errors"]) == ("moved", [])


def test_a_migration_that_cannot_be_aborted_is_stuck(monkeypatch):
    monkeypatch.setattr(guest_migration, "_PATIENCE_SECONDS", 0.02)
    domain = Domain(samples=[STATISTICS] * 10_000)
    monkeypatch.setattr(domain, "abortJob", lambda: None)
    result, _told = run(domain, order(timeout=0.02))
    domain.end.set()
    assert result["outcome"] == "stuck"
    assert "it neither ends nor can be given up" in result["errors"][-1]


def test_an_abort_that_libvirt_refuses_is_asked_for_again(monkeypatch):
    domain = Domain(samples=[STATISTICS] * 10_000)
    refusals, abort = [Error("cannot acquire state change lock")] * 2, domain.abortJob

    def refuse():
        if refusals:
            raise refusals.pop()
        abort()

    monkeypatch.setattr(domain, "abortJob", refuse)
    result, _told = run(domain, order(timeout=0.05))
    assert (result["outcome"], refusals) == ("aborted", [])


def test_why_a_migration_cannot_be_aborted_is_said(monkeypatch):
    monkeypatch.setattr(guest_migration, "_PATIENCE_SECONDS", 0.05)
    domain = Domain(samples=[STATISTICS] * 10_000)

    def refuse():
        raise Error("cannot acquire state change lock")

    monkeypatch.setattr(domain, "abortJob", refuse)
    result, _told = run(domain, order(timeout=0.02))
    domain.end.set()
    assert result["outcome"] == "stuck"
    assert "cannot acquire state change lock" in result["errors"][-1]


class Restarting:
    """A libvirt of a host that goes away while it sends a guest, and answers again after so many attempts."""

    def __init__(self, domain, attempts):
        self.domain = domain
        self.attempts = attempts
        domain.error = "Cannot recv data: End of file while reading data"

    def __call__(self, uri):
        if uri != "qemu:///system":
            return Libvirt(Domain())
        if any(each[0] == "migrate" for each in self.domain.calls):
            self.attempts -= 1
            if self.attempts >= 0:
                raise LibvirtError(f"libvirt at {uri} cannot be reached: no such file")
        return Libvirt(self.domain)


def test_a_libvirt_that_restarts_is_asked_for_the_guest_once_it_is_back():
    domain = Domain()
    connect = t.cast(t.Any, Restarting(domain, 2))
    result = GuestMigration(order(), lambda status: None, connect).run()
    assert (result["outcome"], result["state"]) == ("failed", "running (unpaused)")


def test_a_libvirt_that_does_not_come_back_leaves_the_guest_unknown():
    domain = Domain()
    connect = t.cast(t.Any, Restarting(domain, 10_000))
    result = GuestMigration(order(), lambda status: None, connect).run()
    assert (result["outcome"], result["state"]) == ("failed", "unknown")
    assert "it is not known whether the guest is here" in result["errors"][-1]


def test_whatever_keeps_libvirt_from_being_asked_in_the_end_leaves_the_guest_unknown():
    """Only what was never sent has no state in its result."""
    domain = Domain(error="End of file while reading data")

    def connect(uri):
        if ("migrate", "qemu+ssh://root@b/system") in [each[:2] for each in domain.calls]:
            raise VfioMigrationError("the binding is gone")
        return Libvirt(domain)

    result = GuestMigration(order(), lambda status: None, t.cast(t.Any, connect)).run()
    assert (result["outcome"], result["state"]) == ("failed", "unknown")
    domain.is_there = False
    never, _told = run(domain)
    assert (never["outcome"], "state" in never) == ("failed", False)


@pytest.mark.parametrize(
    ("state", "reason", "outcome"), [(1, 5, "moved"), (3, 2, "failed"), (3, 1, "moved")]
)
def test_a_guest_that_is_on_its_target_alone_has_moved_whatever_libvirt_lost(
    state, reason, outcome, monkeypatch
):
    domain = Domain(error="Cannot recv data: End of file while reading data")
    there = Domain()
    there.runs, there.reason = state, reason
    migrate = domain.migrateToURI3

    def gone(*arguments):
        domain.is_there = False
        return migrate(*arguments)

    monkeypatch.setattr(domain, "migrateToURI3", gone)
    result = sent(domain, Libvirt(there))
    assert (result["outcome"], result["state"]) == (outcome, None)


def test_a_guest_that_is_gone_is_a_failure_with_its_reason():
    domain = Domain()
    domain.is_there = False
    result, _told = run(domain)
    assert result["outcome"] == "failed"
    assert "is not known to libvirt" in result["errors"][0]


@pytest.mark.parametrize(
    ("state", "reason", "words"),
    [
        (1, 5, "running (unpaused)"),
        (1, 6, "running (migration canceled)"),
        (5, 0, "shut off"),
        (99, 1, "state 99"),
    ],
)
def test_states_are_told_as_virsh_tells_them(state, reason, words):
    assert state_words(Binding(), state, reason) == words
