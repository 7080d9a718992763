# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The outcome for guests that were to move, and what an operator has to do. Pure."""

from __future__ import annotations

import enum
import typing as t
from collections import defaultdict
from dataclasses import dataclass

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.printable import printable
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.checks import Checks
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.guests import Guest
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.logs import lost_states
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.move import (
    MOVED,
    MoveReport,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.order import (
    Migration,
    Migrations,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.cleanup import (
    still_to_move,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.progress import (
    MIGRATING,
    UNCLEAR,
)
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import (
    MigrationRecord,
    Placement,
    PlacementState,
    Sentence,
    Unplaced,
)


class Whereabouts(enum.Enum):
    """Where a guest that was sent is by what libvirt of both hosts says; on both it is on its way, on neither it has ended.

    On its target it is whole: what is paused there until the rest has come, while its source has none of it, is a ``HALF``.
    ``TARGET_AT_LEAST`` is one that is whole there while libvirt on its source is silent.
    """

    SOURCE = "source"
    TARGET = "target"
    TARGET_AT_LEAST = "target at least"
    HALF = "half"
    NOWHERE = "nowhere"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Attempt:
    """A migration that was tried: what went wrong, and how far its devices have come by ``placement_states``.

    ``log`` is QEMU's on the target, empty where the migration failed. ``report`` is what its host said of the migration. ``now`` is where
    libvirt has the guest, if its host has not seen it go on. With ``at_work`` the process that sends it is, or its host does not say that
    it is not.
    """

    vm: str
    host: str
    said: t.Sequence[str]
    states: t.Sequence[PlacementState]
    log: str = ""
    report: MoveReport | None = None
    devices: bool = True
    now: Whereabouts | None = None
    at_work: bool = False

    @property
    def own_states(self) -> list[PlacementState]:
        """How far this guest's devices have come."""
        return [
            each
            for each in self.states
            if (each["source"]["host"], each["vm"]) == (self.host, self.vm)
        ]

    @property
    def moved(self) -> bool:
        """Whether libvirt says that it goes on on its target, and it holds all its devices there, if it has any.

        That it holds them is not enough: what comes in holds them before it is whole, and when its source has crashed. Where libvirt on
        its source is silent, the kernel there says that it holds none of them any more, which a guest without devices has not.
        """
        by_its_host = self.report is not None and self.report.outcome == MOVED
        if not by_its_host and self.now not in (Whereabouts.TARGET, Whereabouts.TARGET_AT_LEAST):
            return False
        if not self.devices:
            return by_its_host or self.now is Whereabouts.TARGET
        return bool(self.own_states) and not still_to_move(self.own_states)

    @property
    def may_be_migrating(self) -> bool:
        """Whether it may be: its host has not said how it ended, or that it has moved, and no other host knows."""
        if self.moved or self.report is None:
            return False
        if self.report.end_is_known and self.report.outcome != MOVED:
            return False
        if not self.devices:
            return self.at_work or self.now not in (Whereabouts.SOURCE, Whereabouts.NOWHERE)
        left = still_to_move(self.own_states)
        # Of one that has ended, no process holds what is unclear.
        going = (MIGRATING,) if self.now is Whereabouts.NOWHERE else (MIGRATING, UNCLEAR)
        return self.at_work or not left or any(each["state"] in going for each in left)


class Staying(t.TypedDict):
    """A guest that has not moved, and why.

    ``target`` is where it may be on its way to. One that ``waits`` has its turn in the next run, when others have moved.
    """

    vm: str
    host: str | None
    said: list[Sentence]
    target: str | None
    waits: bool


class Result(t.TypedDict):
    """The guests that have not moved, sentences for the operator, and the message to fail with if not all went well."""

    stay: list[Staying]
    sentences: list[Sentence]
    failure: Sentence | None


def result(
    checks: Checks,
    migrations: Migrations,
    unplaced: t.Sequence[Unplaced],
    attempts: t.Sequence[Attempt],
    problems: t.Sequence[str] = (),
    only_checked: bool = False,
    arrived: t.Sequence[MigrationRecord] = (),
) -> Result:
    """Return the outcome for the guests of ``checks``.

    ``unplaced`` are the devices of those that were chosen for which the plan has no place. ``attempts`` are the migrations that were tried: one of
    ``migrations`` that is none of them was not, as its host did not answer. ``problems`` are what else went wrong.
    With ``only_checked`` no migration was to be tried. ``arrived`` are guests that an earlier run has sent to where they are now.
    """
    going = migrations["going"]
    tried = {(each.host, each.vm): each for each in attempts}
    stay = [*map(_staying, checks["left"])]
    stay += _unplanned(unplaced, migrations["ended"])
    stay += [
        _stay(
            each["vm"],
            each["host"],
            ["it moves when those of the wave before have moved; run the same command again then"],
            waits=True,
        )
        for each in migrations["waiting"]
    ]
    if not only_checked:
        stay += _not_moved(going, tried)
    left = [each for attempt in attempts for each in remains(attempt, going)] + [*problems]
    sentences = [
        *([] if going or stay or arrived else ["there is no guest to move"]),
        *(
            f"{each['vm']} has moved from {each['source']} to {each['target']} in the run of {each['run']}, which this one takes up"
            for each in arrived
        ),
        *_moves(going, tried, only_checked),
        *_stays(stay),
        *checks["notes"],
    ]
    return Result(stay=stay, sentences=sentences, failure=_failure(stay, left))


def _unplanned(unplaced: t.Iterable[Unplaced], ended: t.Iterable[Placement]) -> t.Iterator[Staying]:
    """Yield the guests that the plan has no place for, those that have ended first."""
    # Guests of several hosts may have one name.
    reasons: dict[tuple[str, str], list[str]] = defaultdict(list)
    sources = []
    for entry in unplaced:
        vm, source = entry["vm"], entry["source"]
        if not vm:
            sources.append(source)
            continue
        for each in entry["reasons"]:
            where = f"{each['host']}: " if each["host"] else ""
            reasons[vm, source["host"]].append(f"{source['id']}: {where}{each['reason']}")
    for source in (*sources, *(each["source"] for each in ended)):
        what = printable(f"the guest that had {source['id']}")
        gone = ["it does not run any more"]
        yield _stay(what, source["host"], gone)
    for vm, host in sorted(reasons):
        yield _stay(vm, host, reasons[vm, host])


def _not_moved(
    going: t.Iterable[Migration], tried: t.Mapping[tuple[str, str], Attempt]
) -> t.Iterator[Staying]:
    for guest in going:
        vm, host = guest["vm"], guest["host"]
        attempt = tried.get((host, vm))
        if attempt is None:
            yield _stay(vm, host, [f"{host} does not answer any more"])
        elif not attempt.moved:
            target = guest["target"] if attempt.may_be_migrating else None
            yield _stay(vm, host, _why(attempt, guest), target)


def half_on(target: str, source: str, name: str) -> Sentence:
    """Return what to do with the half of a guest that ``target`` has, and its ``source`` nothing; ``name`` is its UUID, or what it is called."""
    return (
        f"{source} does not run it any more, and on {target} it is paused and not known to be complete; if virsh domstate --reason {name} there"
        f" goes on to say migration or starting up, remove that half with virsh destroy {name}, start the guest on {source}, and run this again"
    )


def _why(attempt: Attempt, guest: Migration) -> list[str]:
    """Return why a guest has not moved: what the hosts said, or else where its devices are."""
    elsewhere = still_to_move(attempt.own_states)
    unclear = [each["reason"] for each in elsewhere if each["reason"]]
    ended = []
    if attempt.now is Whereabouts.NOWHERE:
        ended = ["it does not run any more"]
    elif attempt.now is Whereabouts.HALF:
        ended = [half_on(guest["target"], guest["host"], guest["uuid"] or guest["vm"])]
    if said := [*ended, *attempt.said, *dict.fromkeys(unclear)]:
        return said
    states = dict.fromkeys(each["state"] for each in elsewhere)
    return [f"its devices are {' and '.join(states) or 'not known to have moved'}"]


def remains(attempt: Attempt, going: t.Iterable[Migration]) -> t.Iterator[str]:
    """Yield what is not as it was before, although the guest has moved."""
    target = next(
        (
            each["target"]
            for each in going
            if (each["host"], each["vm"]) == (attempt.host, attempt.vm)
        ),
        "its target",
    )
    for line in lost_states(attempt.log):
        yield f"{attempt.vm} has moved, but QEMU on {target} says: {line}"
    if attempt.report is not None and attempt.report.outcome == MOVED:
        for line in attempt.said:
            yield f"{attempt.vm} has moved, but {line}"


def _moves(
    going: t.Iterable[Migration],
    tried: t.Mapping[tuple[str, str], Attempt],
    only_checked: bool,
) -> t.Iterator[str]:
    for guest in going:
        way = f"from {guest['host']} to {guest['target']}"
        attempt = tried.get((guest["host"], guest["vm"]))
        if attempt is not None and attempt.moved:
            yield f"{guest['vm']} has moved {way}"
        elif only_checked:
            yield f"{guest['vm']} would move {way}"


def stays(guests: t.Iterable[Guest]) -> list[str]:
    """Return in words which guests stay, and why."""
    return [*_stays(map(_staying, guests))]


def _staying(guest: Guest) -> Staying:
    return _stay(guest["vm"], guest["host"], [str(guest["reason"])])


def _stay(
    vm: str,
    host: str | None,
    said: list[Sentence],
    target: str | None = None,
    waits: bool = False,
) -> Staying:
    return Staying(vm=vm, host=host, said=said, target=target, waits=waits)


def _stays(stay: t.Iterable[Staying]) -> t.Iterator[str]:
    for guest in stay:
        if guest["target"] is not None:
            yield f"{guest['vm']} may be on its way from {guest['host']} to {guest['target']}:"
        else:
            yield f"{guest['vm']} stays{' on ' + guest['host'] if guest['host'] else ''}:"
        for text in guest["said"]:
            yield from (f"  {line}" for line in text.split("\n") if line)


# By whether they may be on their way, and whether they wait.
_STANDS = {
    (
        False,
        False,
    ): "these guests have not moved, for the reasons shown before: {names}; fix that and run this again for them",
    (True, False): (
        "the outcome of the migration of these guests is unknown: {names}; their target devices stay until it is known;"
        " when the guests have arrived, or are back (virsh domjobinfo), run this again"
    ),
    (
        False,
        True,
    ): "these guests move after those that have moved now: {names}; run the same command again",
}


def _failure(stay: t.Sequence[Staying], left: t.Iterable[str]) -> str | None:
    names: dict[str, list[str]] = defaultdict(list)
    for guest in stay:
        names[_STANDS[guest["target"] is not None, guest["waits"]]].append(guest["vm"])
    said = [
        words.format(names=", ".join(names[words])) for words in _STANDS.values() if words in names
    ]
    return "; ".join([*said, *left]) or None
