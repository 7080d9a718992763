# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""How a run of ``migrate_libvirt`` ended: which guests have moved, which stay and why, and the record of both."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleActionFail
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.answers import (
    Answer,
    read_answer,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.guests import (
    QEMU,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.logs import (
    KERNEL,
    HostLog,
    qemu_lines,
    read_log,
    state_on,
    what_hosts_say,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.move import (
    ABORTED,
    FAILED,
    LOST,
    MOVED,
    REFUSED,
    MoveReport,
    read_report,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.order import (
    Migration,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.outcome import (
    Attempt,
    Result,
    Whereabouts,
    remains,
    result,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.record import (
    BEGUN,
    INTERRUPTED,
    at_the_end,
    begun,
    read_records,
    record,
    taken_up,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.cleaning import (
    DEFINED,
    remaining_addresses,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.earlier_moves import (
    arrived_unwatched,
    whereabouts,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.files import (
    content_of,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.libvirt_answers import (
    said_by_libvirt,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.migration_record import (
    note_outcomes,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.migration_request import (
    BEFORE,
    LOGS,
    MOVES,
    SENDING,
    TRACED,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.printing import printed
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.run_variables import (
    has_failed,
    result_of,
)
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import (
    MigrationRecord,
    Sentence,
)

# What the role cleanup registers.
CLEANED = "cleanup_run"
# How many lines of a log are shown where a migration fails.
_LINES = 5
_LOCALHOST = "localhost"

_Run = dict[str, t.Any]


def trace(run: _Run, hostvars: t.Any) -> _Run:
    """Return ``run`` with the guests that libvirt is to be asked about: those that their hosts have not seen go on after the end of their migration.

    Whichever process holds the devices then, libvirt is to say where the guest is. ``tracing_hosts`` are those that they may be on, ``tracing_guests``
    by the hosts that send them the UUIDs of those that have no devices: of others the clean-up asks whether they are still being sent.
    Guests whose turn never came are none of them.
    """
    noted = _noted(run)
    unknown = []
    guests: dict[str, list[str]] = {}
    for each, report in _reports(run, hostvars, noted):
        if report.was_seen_after or not (report.tried or _key(each) in noted):
            continue
        unknown.append(begun(run["begun"], run["request"], each))
        if each["uuid"] and not each["placements"] and not report.end_is_known:
            guests.setdefault(each["host"], []).append(each["uuid"])
    hosts = {each[end] for each in unknown for end in ("source", "target")}
    return run | {"unknown": unknown, "tracing_hosts": sorted(hosts), "tracing_guests": guests}


def keep(run: _Run, hostvars: t.Any) -> _Run:
    """Return ``run`` with the guests, by host and name, of which a clean-up must remove nothing, as ``kept``.

    The kernels have them as moved where they hold their devices on their targets. But libvirt has them there in part, or it is unknown how
    their migrations ended, and where they are.
    """
    now = _now(run, hostvars)
    ended = {
        _key(each) for each, report in _reports(run, hostvars, _noted(run)) if report.end_is_known
    }
    return run | {
        "kept": [
            key
            for key, where in now.items()
            if where is Whereabouts.HALF or (where is Whereabouts.UNKNOWN and key not in ended)
        ]
    }


def _reports(
    run: _Run, hostvars: t.Any, noted: t.Mapping[tuple[str, str], MigrationRecord]
) -> t.Iterator[tuple[Migration, MoveReport]]:
    for number, each in enumerate(run["migrations"]["going"]):
        result = result_of(hostvars, each["host"], MOVES)
        yield each, _report(result, number, noted.get(_key(each)))


def _noted(run: _Run) -> dict[tuple[str, str], MigrationRecord]:
    """Return the records of guests that were begun in this run, by host and name: these count where a host's task says nothing."""
    try:
        records = read_records(content_of(run["record_file"]) or "")[0]
    except (AnsibleActionFail, FleetError):
        return {}
    return {
        (each["source"], each["vm"]): each
        for each in records
        if each["run"] == run["begun"] and each["outcome"] in (BEGUN, INTERRUPTED, MOVED)
    }


def _key(migration: Migration) -> tuple[str, str]:
    return migration["host"], migration["vm"]


def _now(run: _Run, hostvars: t.Any) -> dict[tuple[str, str], Whereabouts]:
    """Return where the guests are that were unknown, by host and name."""
    libvirt = {
        host: said_by_libvirt(result_of(hostvars, host, TRACED)) for host in run["tracing_hosts"]
    }
    return {(each["source"], each["vm"]): whereabouts(libvirt, each) for each in run["unknown"]}


def _sending(run: _Run, hostvars: t.Any) -> t.Iterator[tuple[str, str]]:
    """Yield those of the unknown guests, by host and UUID, that a process there is sending, or of which it does not say whether one is."""
    for host, uuids in run["tracing_guests"].items():
        answers = _listed(result_of(hostvars, host, SENDING), "results")
        for number, uuid in enumerate(uuids):
            answer = answers[number] if number < len(answers) else None
            if not isinstance(answer, t.Mapping) or answer.get("runs") is not False:
                yield host, uuid


def look(run: _Run, hostvars: t.Any) -> _Run:
    """Return ``run`` with how far the moves have come by the kernels' word, which is not known where the clean-up has failed."""
    cleaned = result_of(hostvars, _LOCALHOST, CLEANED)
    if has_failed(cleaned):
        return run
    return run | {"states": cleaned["states"], "at_work": cleaned["at_work"]}


def end(run: _Run, hostvars: t.Any) -> _Run:
    """Return ``run`` with the conclusion: which guests have moved, which stay and why, and what else is to be done.

    Writes the record of those that were to move, as ``record``, too.
    """
    attempts: list[Attempt] = [] if run["check_mode"] else [*_attempts(run, hostvars)]
    cleaned = result_of(hostvars, _LOCALHOST, CLEANED) if run["cleaning"] else {}
    found: Result = printed(
        result(
            run["checks"],
            run["migrations"],
            run["unplaced"],
            attempts,
            [*_remains(cleaned, hostvars)],
            run["check_mode"],
            run["arrived"],
        ),
        Result,
    )
    records = [] if run["check_mode"] else [*_records(run, attempts, found)]
    failures = [found["failure"]]
    ended_well = bool(cleaned) and not has_failed(cleaned)
    try:
        if ended_well and not run["check_mode"]:
            records += arrived_unwatched(run, cleaned)
        records = at_the_end(records, complete=not found["stay"])
        if records:
            note_outcomes(run["record_file"], records)
    except (AnsibleActionFail, FleetError) as error:
        failures.append(
            f"the record in {run['record_file']} lacks the outcome for the guests in this run: {error}"
        )
    notes = [*remaining_addresses(cleaned, hostvars)] if ended_well else []
    return run | {
        "sentences": [*found["sentences"], *printed(notes, list[Sentence])],
        "stay": found["stay"],
        "failure": "; ".join(filter(None, failures)) or None,
        "record": records,
    }


def _records(
    run: _Run, attempts: t.Iterable[Attempt], outcome: Result
) -> t.Iterator[MigrationRecord]:
    for each in run["arrived"]:
        yield taken_up(run["begun"], run["request"], each)
    tried = {(each.host, each.vm): each for each in attempts}
    stay = {(each["host"], each["vm"]): each["said"] for each in outcome["stay"]}
    going = run["migrations"]["going"]
    for each in going:
        key = each["host"], each["vm"]
        attempt = tried.get(key)
        moved = attempt is not None and attempt.moved
        said = [*remains(attempt, going)] if attempt is not None and moved else stay.get(key, [])
        report = None if attempt is None else attempt.report
        may_be = attempt is not None and attempt.may_be_migrating
        found = record(run["begun"], each, report, moved, said, run["request"], may_be)
        yield printed(found, MigrationRecord)


def _remains(cleaned: t.Mapping[str, t.Any], hostvars: t.Any) -> t.Iterator[str]:
    """Yield what is left that was to be removed, and why a definition in mdevctl has stayed where it was."""
    for host in cleaned.get("define_hosts") or ():
        defined = result_of(hostvars, host, DEFINED)
        if has_failed(defined):
            yield f"{host}: {read_answer(defined).error or 'it does not answer any more'}"
    if cleaned.get("failure"):
        yield str(cleaned["failure"])
    if has_failed(cleaned):
        yield f"the clean-up has failed: {cleaned.get('msg') or 'it does not say why'}; run it once that is mended"


def _attempts(run: _Run, hostvars: t.Any) -> t.Iterator[Attempt]:
    """Yield the outcome of each migration that its host was to try."""
    noted, now = _noted(run), _now(run, hostvars)
    at_work = {*map(tuple, run["at_work"]), *_sending(run, hostvars)}
    arrived = dict.fromkeys(run["logs"], 0)
    for number, each in enumerate(run["migrations"]["going"]):
        target = each["target"]
        # The first answer is that of what waits, the last one has the kernel's log.
        arrived[target] += 1
        result = result_of(hostvars, each["host"], MOVES)
        if not result and _key(each) not in noted:
            continue
        report = _report(result, number, noted.get(_key(each)))
        there = {
            QEMU: _log(hostvars, target, arrived[target]),
            KERNEL: _log(hostvars, target, len(run["logs"][target]) - 1),
        }
        failed = report.outcome != MOVED
        before = read_answer(result_of(hostvars, target, BEFORE)).stdout
        yield Attempt(
            vm=each["vm"],
            host=each["host"],
            said=[*_why_it_stays(each, report, there, before, now.get(_key(each)))]
            if failed
            else report.errors,
            states=run["states"],
            log="" if failed else there[QEMU].stdout,
            report=report,
            devices=bool(each["placements"]),
            now=now.get(_key(each)),
            at_work=(each["host"], each["uuid"]) in at_work,
        )


def _report(
    result: t.Mapping[str, t.Any], number: int, noted: MigrationRecord | None
) -> MoveReport:
    """Return what came of the migration with this number in the result of a host's task.

    That may have failed before it came to it, or when it had begun, which is ``noted`` in the record.
    """
    for each in _listed(result, "moves"):
        if isinstance(each, t.Mapping) and each.get("number") == number and "outcome" in each:
            return read_report(each)
    message = result.get("msg")
    errors = [str(message) if message else "its host does not say why"]
    if noted is None:
        return MoveReport(REFUSED, errors=errors)
    return MoveReport(MOVED) if noted["outcome"] == MOVED else MoveReport(LOST, errors=errors)


def _why_it_stays(
    migration: Migration,
    report: MoveReport,
    there: t.Mapping[str, Answer],
    before: str,
    now: Whereabouts | None,
) -> t.Iterator[str]:
    """Yield why a guest has not moved, with what both hosts have logged if it was tried; its state, unless it is known where it is ``now``."""
    host, target = migration["host"], migration["target"]
    libvirt = report.outcome in (FAILED, ABORTED)
    for number, error in enumerate(report.errors):
        yield f"libvirt: {error}" if libvirt and number == len(report.errors) - 1 else error
    if report.outcome in (REFUSED, LOST):
        return
    logs = [
        HostLog(host, QEMU, qemu_lines("\n".join(report.qemu_log))[-_LINES:]),
        HostLog(host, KERNEL, report.kernel_log[-_LINES:]),
        *(read_log(target, who, there[who], before, _LINES) for who in (QEMU, KERNEL)),
    ]
    is_last = report.looked and now not in (Whereabouts.SOURCE, Whereabouts.NOWHERE)
    yield from what_hosts_say(state_on(host, report.state) if is_last else None, logs)


def _log(hostvars: t.Any, target: str, index: int) -> Answer:
    """Return what a target answered to the task with this place among those that read its logs."""
    found = _listed(result_of(hostvars, target, LOGS), "results")
    return read_answer(found[index]) if index < len(found) else Answer()


def _listed(result: t.Mapping[str, t.Any], key: str) -> list[t.Any]:
    """Return a list in what a task registered, an empty one where it is none."""
    found = result.get(key)
    return found if isinstance(found, list) else []
