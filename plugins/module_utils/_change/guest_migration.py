# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""One guest of libvirt that leaves its host: read, sent, watched, given up at its limits.

Libvirt of this host does it with that of the target (``VIR_MIGRATE_PEER2PEER``), so the guest arrives whichever process of this
collection is killed. A call of the binding that migrates waits until that has ended; meanwhile another thread watches.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
import typing as t
from dataclasses import dataclass

from ansible_collections.vfio.migration.plugins.module_utils._change.background import (
    OUTCOME,
    Status,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.migration_limits import (
    Convergence,
    MigrationLimits,
    changes_per_second,
)
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.errors import (
    VfioMigrationError,
)
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.migration_options import (
    MigrationOptionError,
    MigrationOptions,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.kernel_log import KernelLog
from ansible_collections.vfio.migration.plugins.module_utils._host.libvirt_binding import (
    DOMAIN_STATE,
    DOMAIN_STATES,
    Libvirt,
    LibvirtError,
    name_of,
    reason_of,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.reading import displayable

# How it ended: the guest is on its target; it is not; it was given up; it can neither end nor be given up.
MOVED, FAILED, ABORTED, STUCK = "moved", "failed", "aborted", "stuck"
# The guest's state where libvirt does not say even whether it is there.
UNKNOWN = "unknown"
_LOOK_SECONDS = 0.5
# How long a migration that is given up may take to end.
_PATIENCE_SECONDS = 300.0
# Libvirt refuses to give up one while it is busy with the guest: it is asked again so often.
_ABORT_SECONDS = 5.0
# A libvirt that restarts is back within this time, and is tried so often meanwhile.
_RETURN_SECONDS = 60.0
_RETRY_SECONDS = 2.0
# How long libvirt may take to report the end, once the migration has ended.
_EVENT_SECONDS = 2.0
_QEMU_LOGS = "/var/log/libvirt/qemu"
_LOG_BYTES = 32768
_LOG_LINES = 100
_WORDS = {"NOSTATE": "no state", "SHUTDOWN": "in shutdown", "SHUTOFF": "shut off"}
_REPORTED = (
    *("time_elapsed", "time_remaining", "data_total", "data_processed", "data_remaining"),
    *("downtime", "setup_time", "memory_iteration", "memory_bps"),
)


class DomainDefinitions(t.TypedDict):
    """A guest's name, and what libvirt has of it: the XML of what runs, and of what it starts from, where there is that."""

    name: str
    active: str
    persistent: str | None


@dataclass(frozen=True)
class MigrationOrder:
    """What is to be done: the guest, the libvirt that takes it, and where QEMU sends it.

    ``active`` is the XML of what is to run there, ``persistent`` of what it is to start from, ``None`` for a guest that has no
    such definition. Both may have passwords in them.
    """

    uri: str
    uuid: str
    destination: str
    transport: str | None
    active: str
    persistent: str | None
    options: MigrationOptions
    limits: MigrationLimits


def read_definitions(libvirt: Libvirt, uuid: str) -> DomainDefinitions:
    """Return what libvirt has of a guest that runs, passwords included; raise ``LibvirtError``."""
    binding, domain = libvirt.binding, _domain(libvirt, uuid)
    what = f"the domain of {uuid} cannot be read"
    secure = binding.VIR_DOMAIN_XML_SECURE
    active = secure | binding.VIR_DOMAIN_XML_MIGRATABLE
    inactive = secure | binding.VIR_DOMAIN_XML_INACTIVE
    persistent = libvirt.ask(what, domain.isPersistent)
    return DomainDefinitions(
        name=libvirt.ask(what, domain.name),
        active=libvirt.ask(what, lambda: domain.XMLDesc(active)),
        persistent=libvirt.ask(what, lambda: domain.XMLDesc(inactive)) if persistent else None,
    )


def _domain(libvirt: Libvirt, uuid: str) -> t.Any:
    return libvirt.ask(
        f"the guest {uuid} is not known to libvirt",
        lambda: libvirt.connection.lookupByUUIDString(uuid),
    )


def flags_and_parameters(binding: t.Any, order: MigrationOrder) -> tuple[int, dict[str, t.Any]]:
    """Return what ``migrateToURI3`` is called with; raise ``MigrationOptionError`` for what this libvirt does not know."""
    names = ["LIVE", "PEER2PEER", *order.options.flags]
    parameters: dict[str, t.Any] = {
        **order.options.parameters,
        binding.VIR_MIGRATE_PARAM_DEST_XML: order.active,
    }
    if order.transport is not None:
        parameters[binding.VIR_MIGRATE_PARAM_URI] = order.transport
    if order.persistent is not None:
        names += ["PERSIST_DEST", "UNDEFINE_SOURCE"]
        parameters[binding.VIR_MIGRATE_PARAM_PERSIST_XML] = order.persistent
    flags = 0
    for name in names:
        value = getattr(binding, f"VIR_MIGRATE_{name}", None)
        if value is None:
            raise MigrationOptionError(
                f"libvirt's Python binding on this host is too old for VIR_MIGRATE_{name}"
            )
        flags |= value
    return flags, parameters


class GuestMigration:
    """A guest that is being sent, and what libvirt, QEMU and the kernel say meanwhile. ``report`` is called with its progress."""

    def __init__(
        self,
        order: MigrationOrder,
        report: t.Callable[[Status], None],
        connect: t.Callable[[str], Libvirt] = Libvirt,
        logs: str = _QEMU_LOGS,
    ) -> None:
        self._order = order
        self._report = report
        self._connect = connect
        self._logs = logs
        self._errors: list[str] = []
        self._gave_up = False
        # Why libvirt would not give it up when it was asked last.
        self._refusal: str | None = None
        self._dirty_rate: int | None = None
        self._last: Status = {}

    def run(self) -> Status:
        """Return how it ended. Nothing is raised that is of libvirt's or of the guest's."""
        began, start = time.time(), time.monotonic()
        with KernelLog(live=True) as kernel:
            try:
                outcome, rest = self._sent()
            except VfioMigrationError as error:
                self._errors.append(str(error))
                outcome, rest = FAILED, {}
            logged = kernel.lines()
        return {
            OUTCOME: outcome,
            "errors": self._errors,
            "began": began,
            "ended": time.time(),
            "duration": int(1000 * (time.monotonic() - start)),
            "dirty_rate": self._dirty_rate,
            "kernel_log": logged if outcome != MOVED else [],
            **rest,
        }

    def _sent(self) -> tuple[str, Status]:
        libvirt = self._connect(self._order.uri)
        domain = _domain(libvirt, self._order.uuid)
        starts = self._order.persistent is not None and libvirt.ask(
            "whether the guest starts with its host cannot be read", domain.autostart
        )
        flags, parameters = flags_and_parameters(libvirt.binding, self._order)
        name = libvirt.ask("the guest has no name", domain.name)
        libvirt.ask(
            "the downtime cannot be limited",
            lambda: domain.migrateSetMaxDowntime(self._order.limits.downtime, 0),
        )
        with _Completed(libvirt, self._order.uuid, self._connect) as completed:
            call = _Call(
                libvirt, lambda: domain.migrateToURI3(self._order.destination, parameters, flags)
            )
            ended = self._watched(libvirt, domain, call)
            final = completed.statistics() if ended and call.error is None else {}
        if call.error is not None:
            self._errors.append(call.error)
        state = self._state()
        outcome = self._outcome(ended, call, state)
        if outcome == MOVED and starts:
            self._start_with_target()
        rest: Status = {
            # While it goes on, this is what libvirt expects.
            "downtime": final.get("downtime"),
            **_totals({**self._last, **final}),
        }
        rest["state"] = state
        rest["qemu_log"] = _tail(self._logs, name) if outcome != MOVED else []
        return outcome, rest

    def _start_with_target(self) -> None:
        """Let the guest start with its new host, as it did with this one: libvirt does not take that along."""
        try:
            there = self._connect(self._order.destination)
            domain = _domain(there, self._order.uuid)
            there.ask("libvirt there refuses it", lambda: domain.setAutostart(1))
        except VfioMigrationError as error:
            self._errors.append(
                f"it does not start with its new host: {error};"
                f" run there: virsh autostart {self._order.uuid}"
            )

    def _outcome(self, ended: bool, call: _Call, state: str | None) -> str:
        if not ended:
            refusal = f" ({self._refusal})" if self._refusal else ""
            self._errors.append(
                f"it neither ends nor can be given up{refusal}; see virsh domjobinfo"
                f" {self._order.uuid} on its host"
            )
            return STUCK
        # A lost connection to libvirt gives an error for a guest that may have moved all the same.
        if call.error is None or (state is None and self._is_there()):
            return MOVED
        return ABORTED if self._gave_up else FAILED

    def _is_there(self) -> bool:
        try:
            there = self._connect(self._order.destination)
            domain = _domain(there, self._order.uuid)
            state, reason = there.ask("its state there", domain.state)[:2]
        except VfioMigrationError:
            return False
        # One that comes in is paused, too, but not at a user's request.
        binding = there.binding
        paused = (state, reason) == (binding.VIR_DOMAIN_PAUSED, binding.VIR_DOMAIN_PAUSED_USER)
        return bool(state == binding.VIR_DOMAIN_RUNNING or paused)

    def _watched(self, libvirt: Libvirt, domain: t.Any, call: _Call) -> bool:
        """Watch the call until it has ended; return ``False`` where it cannot be made to."""
        convergence = Convergence(self._order.limits, time.monotonic())
        given_up_at: float | None = None
        asked_at = 0.0
        while not call.wait(_LOOK_SECONDS):
            now = time.monotonic()
            if given_up_at is not None:
                if now - given_up_at > _PATIENCE_SECONDS:
                    return False
                if now - asked_at >= _ABORT_SECONDS:
                    asked_at = now
                    self._abort(libvirt, domain)
                continue
            sample = self._sample(libvirt, domain)
            decision = convergence.decide(
                now,
                _number(sample, "data_remaining"),
                _number(sample, "memory_iteration"),
                self._stands_still(libvirt, domain),
                _number(sample, "data_processed"),
            )
            if decision.give_up is not None:
                self._errors.append(decision.give_up)
                self._gave_up = True
                given_up_at = asked_at = now
                self._abort(libvirt, domain)
            elif decision.downtime is not None:
                self._lengthen(libvirt, domain, convergence, decision.downtime)
            limit = {
                "downtime_limit": convergence.downtime,
                "downtime_refusal": convergence.refusal,
            }
            self._report({**sample, **limit})
        return True

    def _lengthen(
        self, libvirt: Libvirt, domain: t.Any, convergence: Convergence, downtime: int
    ) -> None:
        """Let the guest stand still for so long, or have it noted that libvirt does not."""
        try:
            libvirt.ask(
                f"libvirt does not set the limit of {downtime} ms",
                lambda: domain.migrateSetMaxDowntime(downtime, 0),
            )
        except LibvirtError as error:
            convergence.refused(str(error))

    def _sample(self, libvirt: Libvirt, domain: t.Any) -> Status:
        """Return libvirt's statistics of the job, none where it is just beginning or ending."""
        found = self._try(libvirt, domain.jobStats)
        if not isinstance(found, dict) or not found.get("data_total"):
            return {}
        self._dirty_rate = changes_per_second(found) or self._dirty_rate
        sample = {key: found[key] for key in _REPORTED if isinstance(found.get(key), int)}
        sample["dirty_rate"] = changes_per_second(found)
        self._last = sample
        return sample

    def _stands_still(self, libvirt: Libvirt, domain: t.Any) -> bool:
        state = self._try(libvirt, domain.state)
        return bool(state) and state[0] == libvirt.binding.VIR_DOMAIN_PAUSED

    def _abort(self, libvirt: Libvirt, domain: t.Any) -> None:
        """Have libvirt give it up, and note why it does not."""
        try:
            libvirt.ask("libvirt does not give it up", domain.abortJob)
        except LibvirtError as error:
            self._refusal = str(error)
        else:
            self._refusal = None

    def _try(self, libvirt: Libvirt, call: t.Callable[[], t.Any]) -> t.Any:
        """Return what ``call`` returns, ``None`` where libvirt refuses it: the job may have ended by now."""
        with contextlib.suppress(LibvirtError):
            return libvirt.ask("the job is not there", call)
        return None

    def _state(self) -> str | None:
        """Return the guest's state on this host with the reason, as virsh has it; ``None`` where it is not here.

        The connection may have been lost, so it is a new one that is asked. It is ``UNKNOWN`` where libvirt does not come back.
        """
        until = time.monotonic() + _RETURN_SECONDS
        while True:
            try:
                libvirt = self._connect(self._order.uri)
                return self._state_by(libvirt)
            except VfioMigrationError as error:
                if time.monotonic() >= until:
                    self._errors.append(f"it is not known whether the guest is here: {error}")
                    return UNKNOWN
            time.sleep(_RETRY_SECONDS)

    def _state_by(self, libvirt: Libvirt) -> str | None:
        """Return the same by this connection; raise ``LibvirtError`` where it does not say."""
        try:
            state, reason = libvirt.ask("its state", _domain(libvirt, self._order.uuid).state)[:2]
        except LibvirtError as error:
            if error.code != libvirt.binding.VIR_ERR_NO_DOMAIN:
                raise
            return None
        return state_words(libvirt.binding, state, reason)


class _Call:
    """A call of the binding in a thread of its own, and its outcome."""

    def __init__(self, libvirt: Libvirt, call: t.Callable[[], t.Any]) -> None:
        self.error: str | None = None
        self._libvirt = libvirt
        self._call = call
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def wait(self, seconds: float) -> bool:
        """Return whether it has ended, at the latest after so many ``seconds``."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            if self._call() == -1:
                self.error = "libvirt says only that it has failed"
        except self._libvirt.binding.libvirtError as error:
            self.error = str(error.get_error_message() or error)
        except Exception as error:  # noqa: BLE001 - reported here or not at all
            self.error = repr(error)


class _Completed:
    """Libvirt's statistics of a migration that has ended: it sends them once, to its listeners, as the guest is gone then."""

    def __init__(self, libvirt: Libvirt, uuid: str, connect: t.Callable[[str], Libvirt]) -> None:
        self._libvirt = libvirt
        self._uuid = uuid
        self._connect = connect
        self._found: Status = {}
        self._there = threading.Event()

    def __enter__(self) -> _Completed:
        binding = self._libvirt.binding
        with contextlib.suppress(VfioMigrationError, binding.libvirtError, AttributeError):
            binding.virEventRegisterDefaultImpl()
            threading.Thread(target=self._listen, args=(binding,), daemon=True).start()
            # Only a connection that is made since has events.
            listener = self._connect(self._libvirt.uri)
            domain = _domain(listener, self._uuid)
            event = binding.VIR_DOMAIN_EVENT_ID_JOB_COMPLETED
            listener.ask(
                "libvirt reports no events",
                lambda: listener.connection.domainEventRegisterAny(domain, event, self._note, None),
            )
        return self

    def __exit__(self, *exception: object) -> None:
        """Leave the connection to the end of the process."""

    def statistics(self) -> Status:
        """Return what libvirt has sent, nothing if it has not."""
        self._there.wait(_EVENT_SECONDS)
        return self._found

    def _listen(self, binding: t.Any) -> None:
        while not self._there.is_set():
            try:
                binding.virEventRunDefaultImpl()
            except binding.libvirtError:
                return

    def _note(self, _connection: t.Any, _domain: t.Any, statistics: t.Any, _opaque: t.Any) -> None:
        if isinstance(statistics, dict):
            self._found = {
                key: statistics[key] for key in _REPORTED if isinstance(statistics.get(key), int)
            }
            self._there.set()


def state_words(binding: t.Any, state: int, reason: int) -> str:
    """Return a state and its reason as ``virsh domstate --reason`` has them, such as ``running (unpaused)``."""
    name = name_of(binding, DOMAIN_STATE, DOMAIN_STATES, state)
    if name is None:
        return f"state {state}"
    words, why = _WORDS.get(name, name.lower()), reason_of(binding, name, reason)
    return words if why is None else f"{words} ({why})"


def _number(sample: t.Mapping[str, t.Any], key: str) -> int | None:
    found = sample.get(key)
    return found if isinstance(found, int) else None


def _totals(last: Status) -> Status:
    return {
        "setup": last.get("setup_time"),
        "bytes": last.get("data_processed"),
        "iterations": last.get("memory_iteration"),
    }


def _tail(directory: str, name: str) -> list[str]:
    """Return the last lines of QEMU's log of a guest, none where there is no such file."""
    if "/" in name or "\0" in name:
        return []
    try:
        with open(f"{directory}/{name}.log", "rb") as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(max(0, size - _LOG_BYTES))
            text = file.read(_LOG_BYTES).decode("utf-8", "replace")
    except OSError:
        return []
    return [displayable(line) for line in text.split("\n") if line][-_LOG_LINES:]
