# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What the logs of two hosts say of a migration. Pure."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.answers import Answer
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.guests import QEMU

KERNEL = "the kernel"
# The state of a guest of which its libvirt does not say even whether it is there.
UNKNOWN = "unknown"

_QEMU_LOGS = "/var/log/libvirt/qemu"
# libvirt refuses a longer name, as its files are called after it.
_MAX_NAME = 255
# The kernel's log has a clock of its own.
_STAMP = re.compile(r"^\[ *([0-9]{1,18}[.][0-9]{1,18})\]", re.MULTILINE)
_QEMU_LINE = re.compile(r"[0-9]{4}-")
_QEMU_NOISE = re.compile(r"warning:|is tainted")
_STARTED = ": starting up libvirt"
# Not all that QEMU says has its time.
_LOST_STATE = re.compile(r"failed .*device state|error state", re.IGNORECASE)


def qemu_log(vm: str) -> str:
    """Return the file in which QEMU logs of the guest ``vm``, on every host."""
    return f"{_QEMU_LOGS}/{vm}.log"


def is_guest_name(vm: str) -> bool:
    """Return whether libvirt takes ``vm`` for a name, so that the files that are called after it are where they belong."""
    return 0 < len(vm.encode(errors="replace")) <= _MAX_NAME and not any(
        each in "/\n\0" for each in vm
    )


@dataclass(frozen=True, slots=True)
class HostLog:
    """The lines that ``who``, ``QEMU`` or ``KERNEL``, has written on ``host``; ``None`` where that does not answer."""

    host: str
    who: str
    lines: t.Sequence[str] | None


def state_on(host: str, state: str | None) -> str:
    """Return in words the state of a guest on ``host``, ``None`` where it is not there."""
    if state == UNKNOWN:
        return f"it is not known whether the guest is on {host}"
    return f"the guest on {host} is {'not there' if state is None else state}"


def what_hosts_say(state: str | None, logs: t.Iterable[HostLog]) -> list[str]:
    """Return what the hosts say of a migration that failed; ``state`` is the guest's in words, if its host has said that."""
    said = [] if state is None else [state]
    for log in logs:
        if log.lines is None:
            said.append(f"{log.host} does not answer")
        else:
            said += [f"{log.who} on {log.host}: {line}" for line in log.lines]
    return [line for text in said for line in text.split("\n") if line]


def failure(
    logs: t.Iterable[tuple[t.Mapping[str, str], Answer]],
    state: Answer,
    host: str,
    before: t.Mapping[str, str],
    lines: int,
    exceeded: int | None = None,
) -> list[str]:
    """Return what the hosts say of a migration from ``host`` that failed, by what commands on them answered.

    ``logs`` are answers to reading logs, each with its ``host`` and ``who`` wrote it, ``QEMU`` or ``KERNEL``.
    ``state`` is the guest's state. ``before`` has, for each host, the last line of the kernel's log before the migration,
    after which the new lines begin; of those the last ``lines`` are returned. ``exceeded`` is how many seconds the
    migration was allowed, where it took longer.
    """
    said = []
    if exceeded is not None:
        said.append(
            f"it took longer than migrate_libvirt_timeout allows, {exceeded} s; raise that,"
            " or migrate_libvirt_downtime if its memory changes faster than it is sent"
        )
    found = [
        read_log(item["host"], item["who"], log, before.get(item["host"], ""), lines)
        for item, log in logs
    ]
    return said + what_hosts_say(state_on(host, state.stdout or state.stderr), found)


def read_log(host: str, who: str, log: Answer, before: str, lines: int) -> HostLog:
    """Return what a log says of a migration: of QEMU's what may be a failure, of the kernel's the last ``lines`` since ``before``."""
    if log.unreachable:
        return HostLog(host, who, None)
    if who == QEMU:
        return HostLog(host, who, qemu_lines(log.stdout))
    return HostLog(host, who, _kernel_lines(log.stdout, before)[-lines:])


def lost_states(log: str) -> list[str]:
    """Return the lines of QEMU's log, since it started last, that say that a device cannot use the state that has come.

    QEMU counts such a migration as a success.
    """
    since = log.rpartition(_STARTED)[2]
    return [line for line in since.split("\n") if _LOST_STATE.search(line)]


def qemu_lines(log: str) -> list[str]:
    """Return the lines of QEMU's log that may report a failure."""
    return [
        line for line in log.splitlines() if _QEMU_LINE.match(line) and not _QEMU_NOISE.search(line)
    ]


def _kernel_lines(log: str, before: str) -> list[str]:
    """Return the lines of the kernel's log that are newer than the first line with a time in ``before``."""
    last = _time(before) or 0.0
    return [line for line in log.splitlines() if (time := _time(line)) is not None and time > last]


def _time(text: str) -> float | None:
    """Return the first time in lines of the kernel's log, in seconds."""
    found = _STAMP.search(text)
    return float(found[1]) if found else None
