# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Records of guests that were to move, for machines: one for each, and the request that takes guests back. Pure.

A guest has one when its migration begins, and one at once when it has moved by its host's word, so that a run which is killed leaves
them. Once the kernels have been asked, and the run ends, it has another one: of a guest and a run the last one counts. So the next run
with the same request knows which guests the one before has sent where; see ``sent_before``.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import typing as t
from collections import Counter, defaultdict
from types import MappingProxyType

from ansible_collections.vfio.migration.plugins.plugin_utils._compat.wording import listed
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.values import parsed
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.move import MoveReport
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.order import Migration
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.cleanup import (
    guest_of,
    moved_in_part,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.progress import (
    MOVED as ARRIVED,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.summary import first_of
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import (
    LastRun,
    MigrationRecord,
    MovedDevice,
    PlacementState,
)

# Count it up when the shape changes.
FORMAT = 1
MOVED, STAYED, NOT_TRIED = "moved", "stayed", "not_tried"
BEGUN, INTERRUPTED = "begun", "interrupted"
_MOST_ERRORS = 100
_ON_ITS_WAY = "the run ended during the migration: libvirt continues it, and its outcome is unknown"
_UNWATCHED = (
    "it arrived before this run, while no run watched: when, how, and with what downtime is unknown"
)


class RequestBack(t.TypedDict):
    """Options of the playbook ``migrate_libvirt`` that take guests back to the one host that they came from."""

    migrate_libvirt_guests: list[str]
    migrate_libvirt_targets: list[str]


def record(
    run: str,
    migration: Migration,
    report: MoveReport | None,
    moved: bool,
    said: t.Sequence[str],
    request: str | None = None,
    may_be_migrating: bool = False,
) -> MigrationRecord:
    """Return the record of a guest in the run that began at ``run``, which goes on.

    ``report`` is its host's, if that was to try. ``said`` is why it stays, or what has gone wrong after all. ``request`` is as
    ``request_key`` returns it. One that ``may_be_migrating`` is ``interrupted``.
    """
    numbers = {} if report is None else report.numbers
    outcome = STAYED if report is not None and report.tried else NOT_TRIED
    if moved or may_be_migrating:
        outcome = MOVED if moved else INTERRUPTED
    return _record(run, request, migration, outcome, said, numbers)


def begun(run: str, request: str | None, migration: Migration) -> MigrationRecord:
    """Return the record of a guest whose migration is about to begin."""
    return _record(run, request, migration, BEGUN, ())


def interrupted(run: str, request: str | None, migration: Migration) -> MigrationRecord:
    """Return the record of a guest that is on its way when its run is broken off."""
    return _record(run, request, migration, INTERRUPTED, [_ON_ITS_WAY])


def at_the_end(records: t.Iterable[MigrationRecord], complete: bool) -> list[MigrationRecord]:
    """Return the records of a run that has ended; ``complete``: all guests that were asked for have moved."""
    return [{**each, "ended": True, "complete": complete} for each in records]


def _record(
    run: str,
    request: str | None,
    migration: Migration,
    outcome: str,
    said: t.Sequence[str],
    numbers: t.Mapping[str, t.Any] = MappingProxyType({}),
) -> MigrationRecord:
    return MigrationRecord(
        format=FORMAT,
        run=run,
        vm=migration["vm"],
        vm_uuid=migration["uuid"],
        source=migration["host"],
        target=migration["target"],
        devices=[
            MovedDevice(
                kind=each["source"]["kind"],
                source=each["source"]["id"],
                target=each["target"]["id"],
            )
            for each in migration["placements"]
        ],
        begin=_moment(numbers.get("began")),
        end=_moment(numbers.get("ended")),
        duration_ms=_whole(numbers.get("duration")),
        downtime_ms=_whole(numbers.get("downtime")),
        bytes=_whole(numbers.get("bytes")),
        dirty_rate=_whole(numbers.get("dirty_rate")),
        outcome=outcome,
        errors=[*said][:_MOST_ERRORS],
        request=request,
        ended=False,
        complete=False,
    )


def request_key(asked: t.Mapping[str, t.Any]) -> str:
    """Return a digest that identifies what is ``asked`` for, whatever the order of lists."""
    text = json.dumps(_in_order(asked), sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:32]


def _in_order(value: t.Any) -> t.Any:
    if isinstance(value, t.Mapping):
        return {str(key): _in_order(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return sorted(json.dumps(_in_order(each), sort_keys=True) for each in value)
    return value


def sent_before(
    records: t.Iterable[MigrationRecord], request: str, only_broken_off: bool
) -> list[MigrationRecord]:
    """Return the guests that earlier runs with this ``request`` have sent, each as it was sent last.

    The request is not done yet: nothing is taken of runs up to the last one in which all guests had moved that were asked for. With
    ``only_broken_off`` nothing is taken of those up to the last one that has ended, either, but those that were on their way then.
    """
    own = [each for each in records if each.get("request") == request]
    # A guest that was not sent again is where the run before has sent it.
    tried = [each for each in _not_done(own) if each["outcome"] != NOT_TRIED]
    last = {_guest(each): each for each in sorted(tried, key=_run_of)}
    if not only_broken_off:
        return [*last.values()]
    broken_off = {each["run"] for each in _not_done(own, ("complete", "ended"))}
    return [
        each
        for each in last.values()
        if each["run"] in broken_off or each["outcome"] in (BEGUN, INTERRUPTED)
    ]


def _not_done(
    own: t.Sequence[MigrationRecord], ends: t.Collection[str] = ("complete",)
) -> list[MigrationRecord]:
    """Return the records of a request that are of the runs after the last one of which one of ``ends`` is true."""
    done = [each["run"] for each in own if any(each.get(name) for name in ends)]
    after = max(done, default="")
    return [each for each in own if each["run"] > after]


def _run_of(each: MigrationRecord) -> str:
    return each["run"]


def taken_up(run: str, request: str | None, earlier: MigrationRecord) -> MigrationRecord:
    """Return the record in ``run`` of a guest that has come to its target in an ``earlier`` one with the same request."""
    errors = earlier["errors"] if earlier["outcome"] == MOVED else [_UNWATCHED]
    return {
        **earlier,
        "run": run,
        "request": request,
        "outcome": MOVED,
        "errors": errors,
        "ended": False,
        "complete": False,
    }


def unwatched(
    run: str,
    records: t.Iterable[MigrationRecord],
    states: t.Sequence[PlacementState],
    uuids: t.Mapping[tuple[str, str | None], str | None],
    request: str | None = None,
) -> t.Iterator[MigrationRecord]:
    """Yield the records of guests that hold all their targets by ``states``, and are in none of the ``records`` that there are.

    So a run finds those that have arrived when the one before it had been killed. ``uuids`` are theirs, by old host and name.
    Where a guest has been since, its last record says.
    """
    last = {_guest(each): each["target"] for each in records if each["outcome"] == MOVED}
    staying = moved_in_part(states)
    found: dict[tuple[str, str | None], list[PlacementState]] = defaultdict(list)
    for each in states:
        if each["state"] == ARRIVED and guest_of(each) not in staying:
            found[guest_of(each)].append(each)
    for (host, vm), placed in found.items():
        target, uuid = placed[0]["target"]["host"], uuids.get((host, vm))
        if vm is None or last.get(uuid or vm) == target:
            continue
        placements: t.Any = placed
        migration = Migration(
            vm=vm, host=host, uuid=uuid, persistent=False, target=target, placements=placements
        )
        yield record(run, migration, None, True, [_UNWATCHED], request)


def as_lines(records: t.Iterable[MigrationRecord]) -> str:
    """Return records as JSON Lines."""
    return "".join(json.dumps(each, sort_keys=True) + "\n" for each in records)


def not_in(text: str, records: t.Iterable[MigrationRecord]) -> list[MigrationRecord]:
    """Return those of ``records`` that are no line of ``text``."""
    lines = {*text.splitlines(keepends=True)}
    return [each for each in records if as_lines([each]) not in lines]


def read_records(given: t.Any) -> tuple[list[MigrationRecord], list[str]]:
    """Return the records in a list, or in the text of a file of them, which may be empty, and what lines of it are lost.

    A line that is no JSON, as a writer was killed or the file damaged, costs nothing but itself. Of several records of one
    guest and run the last one is there. Raise ``FleetError`` for what is no record of this format.
    """
    lost = []
    if isinstance(given, str):
        lines = [*enumerate(given.split("\n"), 1)]
        given = []
        for number, line in lines:
            try:
                given += [parsed(line)] if line.strip() else []
            except ValueError:
                lost.append(f"line {number} of the record is left out, as it is not JSON")
    if not isinstance(given, list):
        raise FleetError("the record is none; expected its lines, or what set_stats has handed on")
    for each in given:
        _check(each)
    last = {(each["run"], each["source"], _guest(each)): each for each in given}
    return [*last.values()], first_of(lost, "such line")


def last_run(records: t.Sequence[MigrationRecord]) -> LastRun | None:
    """Return the outcome for the guests of the last run; ``None`` where there is no record of one."""
    run = max((each["run"] for each in records), default=None)
    if run is None:
        return None
    outcomes = Counter(each["outcome"] for each in records if each["run"] == run)
    return LastRun(
        run=run,
        moved=outcomes["moved"],
        stayed=outcomes["stayed"],
        not_tried=outcomes["not_tried"],
        unknown=outcomes[BEGUN] + outcomes[INTERRUPTED],
    )


def requests_back(
    records: t.Sequence[MigrationRecord], run: str | None = None
) -> list[RequestBack]:
    """Return requests that take the guests back which have moved in ``run``: one for each host they came from.

    By default it is the last run in which any has moved, with those before it that had the same request, which was not done. Where that
    was one of several requests that this has returned before, or has left guests behind, those of them are returned that still lack guests.

    A guest that has moved on since, by a later record, is where its last record has it; so it is in none of an earlier run.
    Raise ``FleetError`` where there is no record of ``run``.
    """
    runs = {each["run"] for each in records}
    last = _last_moves(records)
    if run is None:
        runs = _of_the_last_request(records, max(map(_run_of, last.values()), default=""))
        asked = _way_back(records, runs)
        lacking = {
            host: guests
            for host, guests in asked.items()
            if any(last[guest]["target"] != host for guest in guests)
        }
        if lacking:
            return _requests(lacking)
    elif run in runs:
        runs = {run}
    else:
        raise FleetError(
            f"the record has nothing of run {run!r}; it has {listed(sorted(runs)) or 'no run'}"
        )
    back: dict[str, set[str]] = defaultdict(set)
    for guest, each in last.items():
        if each["run"] in runs:
            back[each["source"]].add(guest)
    return _requests(back)


def _last_moves(records: t.Iterable[MigrationRecord]) -> dict[str, MigrationRecord]:
    """Return the last move of each guest that has moved."""
    moved = [each for each in records if each["outcome"] == MOVED]
    return {_guest(each): each for each in sorted(moved, key=_run_of)}


def _requests(back: t.Mapping[str, t.Collection[str]]) -> list[RequestBack]:
    return [
        RequestBack(migrate_libvirt_guests=sorted(back[host]), migrate_libvirt_targets=[host])
        for host in sorted(back)
    ]


def request_back_key(back: RequestBack) -> str:
    """Return what ``request_key`` does for such a request, once the playbook has read it."""
    return request_key(
        {
            "guests": back["migrate_libvirt_guests"],
            "targets": back["migrate_libvirt_targets"],
            "drain": None,
            "devices": None,
            "guests_on": {},
        }
    )


def _way_back(records: t.Sequence[MigrationRecord], runs: t.Collection[str]) -> dict[str, set[str]]:
    """Return the guests by the hosts that they were to go back to by the requests of which that of ``runs`` is one; none where it is no way back.

    Whatever moved before, these requests could be made of it then. A drain the other way may look alike, but asks for something else.
    """
    request = next((each.get("request") for each in records if each["run"] in runs), None)
    if request is None:
        return {}
    since = min(runs)
    before = [each for each in records if each["run"] < since]
    first = _first_runs(before)
    # Either all runs of a request were reversed, or one that was given.
    for begins in (first.__getitem__, str):
        found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        for guest, each in _last_moves(before).items():
            found[begins(each["run"])][each["source"]].add(guest)
        for asked in found.values():
            if request in map(request_back_key, _requests(asked)):
                return asked
    return {}


def _first_runs(records: t.Sequence[MigrationRecord]) -> dict[str, str]:
    """Return for each run the first one with its request, since that was done the time before."""
    requests = {each["run"]: each.get("request") for each in records}
    done = {each["run"] for each in records if each.get("complete")}
    going: dict[str, str] = {}
    found = {}
    for run in sorted(requests):
        request = requests[run]
        found[run] = run if request is None else going.setdefault(request, run)
        if request is not None and run in done:
            del going[request]
    return found


def _of_the_last_request(records: t.Sequence[MigrationRecord], last: str) -> set[str]:
    """Return the run ``last`` and those before it with the same request, since that was done the time before."""
    request = next((each.get("request") for each in records if each["run"] == last), None)
    if request is None:
        return {last}
    before = [each for each in records if each.get("request") == request and each["run"] < last]
    return {last, *(each["run"] for each in _not_done(before))}


def _guest(each: MigrationRecord) -> str:
    return each["vm_uuid"] or each["vm"]


def _check(each: t.Any) -> None:
    """Raise ``FleetError`` where something is no record that can be reversed."""
    if not isinstance(each, t.Mapping) or each.get("format") != FORMAT:
        raise FleetError(
            f"a line of the record is none of format {FORMAT}; use the version of vfio.migration that wrote it"
        )
    for name in ("run", "vm", "source", "target", "outcome"):
        if not isinstance(each.get(name), str):
            raise FleetError(f"a line of the record has no text as {name!r}")
    for name, absent in (("vm_uuid", 0), ("request", None)):
        if not isinstance(each.get(name, absent), str | None):
            raise FleetError(f"a line of the record has neither text nor null as {name!r}")
    for name in ("ended", "complete"):
        if not isinstance(each.get(name, False), bool):
            raise FleetError(f"a line of the record has neither true nor false as {name!r}")


def _whole(number: int | float | None) -> int | None:
    return None if number is None else int(number)


def _moment(seconds: int | float | None) -> str | None:
    """Return a time as ISO 8601 has it in UTC; ``None`` where a host says one that no calendar has."""
    if seconds is None:
        return None
    try:
        moment = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    except (OverflowError, OSError, ValueError):
        return None
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
