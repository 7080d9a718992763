# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What is to be known before a guest is sent, and what is reported of it meanwhile and afterwards. Pure.

What a host answers is read here: it may be anything.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.attributes import shown
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.printable import (
    MAX_LABEL,
    MAX_MESSAGE,
    printable,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.domain_xml import (
    assigns_device,
    read_domain,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.logs import UNKNOWN
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.retarget import retarget

MOVED = "moved"
# Nothing was begun; the outcome is unknown.
REFUSED, LOST = "refused", "lost"
STUCK = "stuck"
FAILED, ABORTED = "failed", "aborted"
OUTCOMES = frozenset((MOVED, FAILED, ABORTED, STUCK, REFUSED, LOST))
# The states of a guest on its source after a call that has failed which leave open whether its target has it: it is not there, libvirt
# does not say, or had come so far that the target was to go on with it.
_NOT_SEEN_TO_STAY = (None, UNKNOWN, "paused (migration)", "shut off (migrated)")
# How the states begin of a guest whose QEMU has ended. What that leaves open is not whether its migration goes on.
_OFF = ("shut off", "crashed")
# What is read of the lists that a host gives.
_MOST_LINES = 100
_LONGEST_LINE = 1000
# JSON has no greater number that every program reads alike.
_GREATEST = 2**53
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class DomainDefinitions:
    """The XML of a guest that runs, and of what it starts from, ``None`` where it has no such definition."""

    active: str
    persistent: str | None = None


@dataclass(frozen=True, slots=True)
class MoveReport:
    """How a guest's migration ended, as its host says; times in seconds and milliseconds, as the module returns them.

    ``state`` is the guest's on its source, ``None`` where it is not there. With ``looked`` its host has looked for that at the end:
    it does for each guest for which it has called libvirt.
    """

    outcome: str
    errors: t.Sequence[str] = ()
    state: str | None = None
    looked: bool = False
    qemu_log: t.Sequence[str] = ()
    kernel_log: t.Sequence[str] = ()
    numbers: t.Mapping[str, int | float] = field(default_factory=dict)

    @property
    def tried(self) -> bool:
        """Whether it was begun at all."""
        return self.outcome != REFUSED

    @property
    def was_seen_after(self) -> bool:
        """Whether its host has seen the guest go on after the end: on its target, or where it was."""
        if self.outcome in (FAILED, ABORTED):
            is_off = str(self.state).startswith(_OFF)
            return self.looked and self.state not in _NOT_SEEN_TO_STAY and not is_off
        return self.outcome == MOVED

    @property
    def end_is_known(self) -> bool:
        """Whether its host knows how it ended: a call that has failed may have done so on a guest that goes on, or has gone."""
        if self.outcome in (FAILED, ABORTED):
            return not self.looked or self.state not in _NOT_SEEN_TO_STAY
        return self.outcome not in (LOST, STUCK)


NUMBERS = (
    *("began", "ended", "duration", "downtime", "setup", "bytes", "iterations", "dirty_rate"),
)


def read_definitions(answer: t.Any) -> DomainDefinitions:
    """Return the definitions in what a host answered; raise ``FleetError`` where there are none."""
    found = answer.get("definitions") if isinstance(answer, t.Mapping) else None
    found = found if isinstance(found, t.Mapping) else {}
    active, persistent = found.get("active"), found.get("persistent")
    if not isinstance(active, str) or not isinstance(persistent, str | None):
        raise FleetError("its host answered no definition of it")
    return DomainDefinitions(active, persistent)


def retargeted(definitions: DomainDefinitions, plan: t.Any, host: str) -> DomainDefinitions:
    """Return the definitions with the plan's devices for a guest of ``host``; raise ``FleetError`` as ``retarget`` does.

    What runs has all devices that the plan moves. What it starts from may lack those that were attached since.
    """
    retarget(definitions.active, plan, host)
    persistent = definitions.persistent
    return DomainDefinitions(
        retarget(definitions.active, plan, host, partial=True),
        None if persistent is None else retarget(persistent, plan, host, partial=True),
    )


def why_not_retargeted(
    definitions: DomainDefinitions,
    guest: tuple[str, str | None],
    host: str,
    devices: t.Sequence[tuple[str, str]],
) -> str | None:
    """Return why no plan could choose other devices for a guest of ``host``, by name and UUID; ``None`` where one can.

    ``devices`` are those that it holds, kinds and ids. What is past libvirt names them or others of its host for good: where another
    host has something of that name, it is another device.
    """
    name, uuid = guest
    targets = {id_: _stand_in(kind, number) for number, (kind, id_) in enumerate(devices)}
    placements = [
        {
            "vm": name,
            "vm_uuid": uuid,
            "source": {"host": host, "kind": kind, "id": id_},
            "target": {"host": "", "kind": kind, "id": targets[id_]},
        }
        for kind, id_ in devices
    ]
    try:
        retargeted(definitions, {"placements": placements}, host)
    except FleetError as error:
        said = str(error)
        for target in targets.values():
            said = said.replace(target, "another device")
        return said
    return next(_assigned_past_libvirt(definitions), None)


def _assigned_past_libvirt(definitions: DomainDefinitions) -> t.Iterator[str]:
    """Yield the words for each device of its host that a domain has past libvirt, whichever process holds it by the facts."""
    for xml in filter(None, (definitions.active, definitions.persistent)):
        domain = read_domain(xml)
        for line, element, text in domain.own_words:
            if assigns_device(text):
                yield (
                    f"line {line}: <{element}> of {domain.name} has {shown(text)}, a device of its host: libvirt does not read that,"
                    " and on another host it is another device, or none; assign it with <hostdev>, or take it out there"
                )


def _stand_in(kind: str, number: int) -> str:
    """Return an id that no device has."""
    if kind == "mdev":
        return f"ffffffff-ffff-4fff-bfff-{number:012x}"
    return f"{0xFFFF - number:04x}:ff:1f.7"


def read_report(status: t.Any) -> MoveReport:
    """Return the report in what a host states of a migration that has ended; where that is none, a report that it is lost."""
    status = status if isinstance(status, t.Mapping) else {}
    outcome, state = status.get("outcome"), status.get("state")
    if not isinstance(outcome, str) or outcome not in OUTCOMES:
        return MoveReport(LOST, errors=["the result of the migration is lost"])
    return MoveReport(
        outcome=outcome,
        errors=_lines(status.get("errors")),
        state=printable(state, MAX_MESSAGE) if isinstance(state, str) else None,
        looked="state" in status,
        qemu_log=_lines(status.get("qemu_log")),
        kernel_log=_lines(status.get("kernel_log")),
        numbers={
            key: number for key in NUMBERS if (number := _number(status.get(key))) is not None
        },
    )


def _lines(found: t.Any) -> list[str]:
    """Return the texts of a list, a line each."""
    texts = [each for each in found if isinstance(each, str)] if isinstance(found, list) else []
    lines = [line for text in texts[-_MOST_LINES:] for line in text.split("\n") if line]
    return [printable(line, _LONGEST_LINE) for line in lines[-_MOST_LINES:]]


def _number(found: t.Any) -> int | float | None:
    if isinstance(found, bool) or not isinstance(found, int | float):
        return None
    return found if 0 <= found < _GREATEST else None


def progress_line(label: str, status: t.Any) -> str | None:
    """Return how far a guest's migration is, by what its host reports; ``None`` where it has reported nothing yet.

    That is: percent of what is known to be sent by now, bytes, rate, what is left, and how long the guest is expected to
    stand still, with the limit of that, and why libvirt sets no longer one.
    """
    status = status if isinstance(status, t.Mapping) else {}
    total, done, left = (
        _number(status.get(f"data_{each}")) for each in ("total", "processed", "remaining")
    )
    if not total or done is None or left is None:
        return None
    parts = [f"{min(100, int(100 * (1 - min(left, total) / total)))} %"]
    parts.append(f"{_mib(done)} sent, {_mib(left)} left")
    if rate := _number(status.get("memory_bps")):
        parts.append(f"{_mib(rate)}/s")
    if dirty := _number(status.get("dirty_rate")):
        parts.append(f"{_mib(dirty)}/s change meanwhile")
    limit = _number(status.get("downtime_limit"))
    allowed = "" if limit is None else f" of {limit:.0f} ms allowed"
    if (expected := _number(status.get("downtime"))) is not None:
        parts.append(f"expected downtime {expected:.0f} ms{allowed}")
    if isinstance(refusal := status.get("downtime_refusal"), str):
        parts.append(printable(refusal, _LONGEST_LINE))
    return f"{printable(label, MAX_LABEL)}: {', '.join(parts)}"


def _mib(size: float) -> str:
    return f"{size / _MIB:.1f} MiB"
