# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The steps of the playbook ``migrate_libvirt`` between its options and its outcome, on the control node: ask, choose, order.

Each step takes what the one before returned, and returns that with what is new. Between them the playbook's hosts answer
what they are asked, ``prepare`` makes the targets, and the hosts move their guests.
"""

from __future__ import annotations

import tempfile
import typing as t
from collections import Counter

from ansible import constants
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.libvirt_limits import (
    MOST_ARRIVING,
)
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.printable import (
    MAX_LABEL,
    printable,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import Fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import read_fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.checks import (
    Checks,
    MigrationCase,
    check_migration,
    possible_targets,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.downtime import (
    bandwidth_of,
    downtime_notes,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.encryption import (
    Encryption,
    has_option,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.guests import (
    Asked,
    Guest,
    LibvirtHost,
    find_guests,
    guests_without_devices,
    hosts_to_ask,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.info import as_arriving
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.logs import (
    qemu_log,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.multifd import (
    Multifd,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.order import (
    Migration,
    order_migrations,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.outcome import (
    stays,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.without_devices import (
    Key,
    key_of,
    place_without_devices,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import (
    Conditions,
    requested,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.summary import first_of
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.cleaning import (
    cleanup_after_moves,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.clock import (
    age_limit,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.earlier_moves import (
    has_arrived,
    sent_by_earlier_runs,
    without_halves,
    without_those,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.libvirt_answers import (
    said_by_libvirt,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.migration_request import (
    ASKED,
    FAIL,
    LIBVIRT,
    MOVE,
    NAME,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.preparing import GATHERED
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.printing import printed
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.progress_file import (
    progress_path,
    read_progress,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.run_variables import (
    gathered,
    result_of,
)
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import (
    Placement,
    Sentence,
)

# What the role prepare registers.
PREPARED = "prepare_run"

# How many lines are read of a log.
_READ_LINES = 100
# Waits, no longer than a minute in all, until none of the guests with these UUIDs is half there: one whose migration has failed is
# paused until libvirt has removed it.
_SETTLE = """
for uuid; do
  while [ $SECONDS -lt 60 ] && LC_ALL=C virsh --connect qemu:///system domstate "$uuid" 2>/dev/null | grep --quiet ^paused; do
    sleep 1
  done
done
"""
_KERNEL_LOG = ["bash", "-c", f"dmesg | tail --lines={_READ_LINES}"]
# So many possible targets at most are tried to be reached before anything is made.
_MOST_PEERS = 32
_LOCALHOST = "localhost"

_Run = dict[str, t.Any]


def locate(run: _Run, hostvars: t.Any) -> _Run:
    """Return ``run`` with the hosts that ``answered``, and the ``asking_hosts``: those where the guests are that are asked for.

    The facts and the record of earlier runs with this request say so. Libvirt is asked there first; everywhere else once, when
    it is known for which guests. Raise ``FleetError`` where no host answers.
    """
    answered, silent = gathered(hostvars, run["hosts"], GATHERED)
    silent = {**run["silent"], **silent}
    if not answered:
        silent_hosts = [f"{host}: {reason}" for host, reason in silent.items()]
        why = "; ".join(first_of(silent_hosts, "host"))
        raise FleetError(f"no host has answered: {why or 'the run is limited to none of them'}")
    fleet = _fleet(hostvars, answered)
    sent = sent_by_earlier_runs(run)
    # Where these are, both of their hosts are to say: by the facts they may hold nothing on the first one any more.
    asked = _guests_asked_for(without_those(run, sent), fleet)
    there = {*hosts_to_ask(fleet, answered, asked, run["drain"])}
    there |= {each[end] for each in sent for end in ("source", "target")}
    asking = [host for host in answered if host in there]
    return run | {"answered": answered, "silent": silent, "asking_hosts": asking}


def find(run: _Run, hostvars: t.Any) -> _Run:
    """Return ``run`` with the guests that are asked for, and the hosts to ask about them.

    Libvirt on ``reading_hosts`` is asked: where these guests are, about those that ``reading`` has of each host, and on the
    hosts that are ``receiving``, what these lack for those that are ``arriving``. Raise ``FleetError`` where a guest is nowhere.
    """
    answered, silent = run["answered"], run["silent"]
    libvirt = _libvirt(hostvars, run["asking_hosts"])
    fleet = _fleet(hostvars, answered)
    sent = sent_by_earlier_runs(run)
    arrived = [each for each in sent if has_arrived(libvirt, each)]
    asked = _guests_asked_for(without_those(run, arrived), fleet)
    found = find_guests(fleet, libvirt, asked, run["drain"])
    if nowhere := [_with_hosts(guest["vm"], asked) for guest in found if guest["host"] is None]:
        silent_hosts = [f"{host}: {why}" for host, why in silent.items()]
        unknown = "".join(f"; {each}" for each in first_of(silent_hosts, "host"))
        raise FleetError(
            f"no host has a process of the name {' or '.join(nowhere)} that holds a VFIO device, and no libvirt that answers runs it;"
            f" start the guest, and gather as root{unknown}"
        )
    found = without_halves([*found, *_other_guests(run, fleet, libvirt)], sent, libvirt)
    _keep_back(found)
    going = [guest for guest in found if guest["host"] is not None and not guest["reason"]]
    reading: dict[str, list[str]] = {}
    for guest in going:
        reading.setdefault(str(guest["host"]), []).append(str(guest["uuid"]))
    coming = [*_arriving(going, libvirt)]
    arriving = [info for _host, info in coming]
    # What a host that was not asked yet has of libvirt, it says with the rest.
    known = {host: LibvirtHost() for host in answered} | libvirt
    receiving = possible_targets(known, run["targets"], run["drain"] or ()) if arriving else []
    uris = {host: _uri_of(run, host) for host in receiving}
    return run | {
        "found": found,
        "arrived": arrived,
        "not_arrived": [(each["source"], each["vm"]) for each in sent if each not in arrived],
        "reading": reading,
        "without_devices": any(not guest["kinds"] for guest in going),
        "arriving": arriving,
        "places": [[host, info["uuid"]] for host, info in coming],
        "receiving": receiving,
        # Of more, only trying shows: it would take longer than the migration.
        "peers": [*uris.values()] if len(uris) <= _MOST_PEERS else [],
        "uris": uris,
        "reading_hosts": sorted({*reading, *receiving}),
        # To be asked about arriving guests alone: most hosts, and each look at what the run has so far costs there.
        "only_receiving": sorted({*receiving} - {*reading}),
    }


def _guests_asked_for(run: _Run, fleet: Fleet) -> Asked | None:
    """Return the guests to move, ``None`` where hosts are drained; raise ``FleetError`` for a device that no guest has.

    A guest that is named by a device is on the host of that, even if another one elsewhere has its name.
    """
    if run["guests"] is None and run["devices"] is None:
        return None
    found: dict[str, list[str] | None] = {}
    for guest in requested(fleet, None, run["devices"]) if run["devices"] is not None else ():
        name = guest.uuid or guest.name
        if name is None:
            device = guest.devices[0]
            raise FleetError(
                f"no guest is known to hold {device.id} on {device.host}, so there is none to migrate with it"
            )
        found[name] = [*(found.get(name) or ()), guest.host]
    return found | {name: run["guests_on"].get(name) for name in run["guests"] or ()}


def _with_hosts(name: str, asked: Asked | None) -> str:
    """Return the name of a guest with the hosts on which alone it was looked for, if so."""
    hosts = (asked or {}).get(name)
    return name if hosts is None else f"{name} (on {', '.join(hosts)})"


def _other_guests(run: _Run, fleet: Fleet, libvirt: t.Mapping[str, LibvirtHost]) -> list[Guest]:
    """Return the guests without devices that are to move, too; raise ``FleetError`` where there are to be none."""
    if run["other_guests"] == NAME:
        return []
    others = guests_without_devices(fleet, libvirt, run["drain"] or ())
    if others and run["other_guests"] == FAIL:
        for each in others:
            if each["uuid"] is None:
                raise FleetError(f"{each['vm']}: {each['reason']}")
        named = [f"{each['vm']} on {each['host']}" for each in others]
        raise FleetError(
            f"guests without VFIO devices are on hosts that are to be drained: {', '.join(first_of(named, 'guest'))}; move"
            f" them before, or set migrate_libvirt_other_guests={MOVE}"
        )
    return others


def _keep_back(guests: t.Iterable[Guest]) -> None:
    """Let those guests stay about which targets are not asked, of the hosts with the most: a target is not asked about so many at a time."""
    going: dict[str, list[Guest]] = {}
    for guest in guests:
        if guest["host"] is not None and not guest["reason"]:
            going.setdefault(guest["host"], []).append(guest)
    most = _most_of_each([len(each) for each in going.values()])
    for host, leaving in going.items():
        for guest in leaving[most:]:
            guest["reason"] = (
                f"{len(leaving)} guests of {host} are to move, and targets are asked about {most} of them at a time;"
                " run this again for the others"
            )


def _most_of_each(numbers: t.Sequence[int]) -> int:
    """Return how many each may have at most so that all have no more than are asked about together."""
    left = MOST_ARRIVING
    for place, number in enumerate(sorted(numbers)):
        share = left // (len(numbers) - place)
        if number > share:
            return share
        left -= number
    return MOST_ARRIVING


def _arriving(
    guests: t.Iterable[Guest], libvirt: t.Mapping[str, LibvirtHost]
) -> t.Iterator[tuple[str, dict[str, t.Any]]]:
    """Yield what possible targets are to know of the guests that come, each with its host."""
    for guest in guests:
        host = guest["host"] or ""
        running = libvirt[host].running.get(guest["vm"])
        if running is not None and running.info is not None:
            yield host, as_arriving(running.info)


def _fleet(hostvars: t.Any, hosts: t.Sequence[str]) -> Fleet:
    """Return what ``hosts`` answered in this run."""
    return read_fleet(hostvars, hosts, age_limit(0))


def _libvirt(hostvars: t.Any, hosts: t.Iterable[str]) -> dict[str, LibvirtHost]:
    """Return what libvirt said on ``hosts``: on those of the guests at first, on all others when it was asked about these."""
    return {
        host: said_by_libvirt(
            result_of(hostvars, host, LIBVIRT) or result_of(hostvars, host, ASKED)
        )
        for host in hosts
    }


def _case(run: _Run, hostvars: t.Any) -> MigrationCase:
    """Return what is to be checked, by what hosts answered in this run."""
    results = {host: result_of(hostvars, host, ASKED) for host in run["reading_hosts"]}
    asked = {
        host: said_by_libvirt(result)
        for host, result in results.items()
        if result and not result.get("unreachable")
    }
    # A host that answered once and not again is no target, either. One that never did is named.
    first, again = {*run["asking_hosts"]}, {*run["reading_hosts"]}
    there = [
        host for host in run["answered"] if host in asked or (host in first) != (host in again)
    ]
    targets = run["targets"]
    if targets is not None and not run["receiving"]:
        # Where no guest can go, no target was asked.
        targets = [host for host in targets if host in there or host not in run["answered"]]
    return MigrationCase(
        _fleet(hostvars, run["answered"]),
        run["found"],
        _libvirt(hostvars, there),
        asked,
        targets,
        run["drain"] or (),
        run["options"],
        run["ask_qemu"],
        _encryption(run),
        run["uris"],
        _multifd(run),
        {(host, uuid): place for place, (host, uuid) in enumerate(run["places"])},
        Conditions(capacity=run["capacity"], spare=run["spare"]),
    )


def _uri_of(run: _Run, host: str) -> str:
    """Return by which URI the libvirt of a target is reached."""
    return str(run["uri"].replace("{host}", run["addresses"][host]))


def _encryption(run: _Run) -> Encryption:
    return Encryption(run["tls"], run["transport"], run["options"])


def _multifd(run: _Run) -> Multifd:
    return Multifd(run["multifd"], run["connections"], run["transport"], run["options"])


def check(run: _Run, hostvars: t.Any) -> _Run:
    """Return ``run`` with the guests that can go, and where to; those that cannot are named with the reason."""
    case = _case(run, hostvars)
    checks = check_migration(case)
    going = {guest["host"] for guest in checks["chosen"]}
    silent = [f"{host} is excluded: {why}" for host, why in run["silent"].items()]
    bandwidth = bandwidth_of(run["bandwidth"], run["options"])
    long = downtime_notes(case.fleet, checks["chosen"], bandwidth, run["downtime_max"])
    checks["notes"] = [*silent, *checks["notes"], *long, *(_not_tried(run) if going else ())]
    if not going:
        # Even for no guest there is a plan, an empty one, which needs a host.
        checks["targets"] = run["answered"][:1]
    taking_part = [host for host in run["answered"] if host in going or host in checks["targets"]]
    return run | {
        "checks": checks,
        "sentences": printed([*stays(checks["left"]), *checks["notes"]], list[Sentence]),
        "sources": [guest["device"] for guest in checks["chosen"] if guest["device"]],
        "avoid": [*checks["avoid"], *run["avoid"]],
        "apart": [*run["apart"], *_of_one_name(checks["chosen"])],
        "taking_part": taking_part,
    }


def _not_tried(run: _Run) -> t.Iterator[str]:
    """Yield of which possible targets it was not tried whether their libvirt is reached."""
    targets = len(run["uris"])
    if targets > _MOST_PEERS:
        yield (
            f"it is not known whether the guests' hosts reach libvirt on the {targets} possible targets: that is tried where there are"
            f" {_MOST_PEERS} at most; name so many with migrate_libvirt_targets, or make sure of it there"
        )


def _of_one_name(guests: t.Iterable[Guest]) -> list[list[str]]:
    """Return the names that several guests with devices have, each as a group: libvirt on no host has two guests of one name."""
    names = Counter(guest["vm"] for guest in guests if guest["kinds"])
    return [[name] for name, times in sorted(names.items()) if times > 1]


def order(run: _Run, hostvars: t.Any) -> _Run:
    """Return ``run`` with the guests that go, as far as their targets were prepared: what leaves each host, and what comes to it."""
    prepared = result_of(hostvars, _LOCALHOST, PREPARED)
    plan = prepared.get("plan") or {}
    ready = plan.get("placements", []) if prepared.get("failure") is None else []
    checks, placed = _place_others(run, ready, hostvars)
    migrations = order_migrations(ready, checks["chosen"], run["priority"], placed)
    going = [] if run["check_mode"] else migrations["going"]
    ends = {host for each in going for host in (each["host"], each["target"])}
    libvirt = _libvirt(hostvars, ends)
    leaving, logs = _parts(run, going, plan, libvirt)
    return run | {
        "checks": checks,
        "migrations": migrations,
        "sentences": [*_announced(run, going, libvirt)],
        "unplaced": plan.get("unplaced", []),
        "plan_file": prepared.get("dest"),
        "leaving": leaving,
        "logs": logs,
        "turns": {
            "ways": [(each["host"], each["target"]) for each in going],
            "directory": _own_directory() if going else None,
            "limits": {
                **run["limits"],
                "concurrent": plan.get("conditions", {}).get("concurrent_moves", {}),
            },
        },
        "recording": _recording(run, prepared) if going else None,
        "participants": sorted({*leaving, *logs}),
        # Something was prepared: for guests that have ended since, too, or by an earlier run that was broken off.
        "cleaning": not run["check_mode"] and bool(ready or _made_before(prepared)),
        "states": [],
        "at_work": [],
        "unknown": [],
        "kept": [],
        "tracing_hosts": [],
        "tracing_guests": {},
        "tracing": bool(going),
    }


def _recording(run: _Run, prepared: t.Mapping[str, t.Any]) -> _Run:
    """Return what the records are of, where they are written, and what cleans up after a run that is broken off."""
    return {
        "path": run["record_file"],
        "run": run["begun"],
        "request": run["request"],
        "clean_up": cleanup_after_moves(prepared["dest"]),
    }


def _made_before(prepared: t.Mapping[str, t.Any]) -> list[Placement]:
    """Return what an earlier run with the same plan file has made and not removed."""
    return read_progress(progress_path(prepared["dest"])) if prepared.get("dest") else []


def _place_others(
    run: _Run, ready: t.Sequence[Placement], hostvars: t.Any
) -> tuple[Checks, dict[Key, str]]:
    """Return the checks and the targets of guests without devices; of these, one that has no place stays."""
    checks: Checks = run["checks"]
    others = [guest for guest in checks["chosen"] if not guest["kinds"]]
    if not others:
        return checks, {}
    case = _case(run, hostvars)
    planned = {
        (each["source"]["host"], each["vm"]): each["target"]["host"] for each in ready if each["vm"]
    }
    targets = possible_targets(case.hosts, run["targets"], run["drain"] or ())
    places = place_without_devices(case, others, targets, planned)
    left = [
        guest | {"reason": places.reasons[key_of(guest)]}
        for guest in others
        if key_of(guest) in places.reasons
    ]
    chosen = [
        guest for guest in checks["chosen"] if guest["kinds"] or key_of(guest) not in places.reasons
    ]
    return {**checks, "chosen": chosen, "left": [*checks["left"], *left]}, places.targets


def _parts(
    run: _Run,
    going: t.Sequence[Migration],
    plan: t.Mapping[str, t.Any],
    libvirt: t.Mapping[str, LibvirtHost],
) -> tuple[_Run, _Run]:
    """Return by host the guests that leave it, as ``libvirt_migrate_guests`` takes them, and what is read of those that come."""
    leaving: dict[str, list[_Run]] = {}
    uuids: dict[str, list[str]] = {}
    logs: dict[str, list[list[str]]] = {}
    encryption, multifd = _encryption(run), _multifd(run)
    for number, each in enumerate(going):
        address = run["addresses"][each["target"]]
        ends = libvirt[each["host"]], libvirt[each["target"]]
        guest = {
            "number": number,
            "label": _label(each),
            "migration": each,
            "uuid": each["uuid"],
            "plan": _plan_of(plan, each["host"]),
            "destination": _uri_of(run, each["target"]),
            "transport": run["transport"].replace("{host}", address),
            "options": [
                *encryption.options_between(*ends),
                *multifd.options_between(*ends),
            ],
            **{name: run[name] for name in ("downtime", "downtime_max", "stall", "timeout")},
        }
        leaving.setdefault(each["host"], []).append(guest)
        arriving = uuids.setdefault(each["target"], [])
        if not _stays_paused(libvirt[each["host"]], each, run["options"]):
            arriving.append(str(each["uuid"]))
        logs.setdefault(each["target"], []).append(
            ["tail", f"--lines={_READ_LINES}", qemu_log(each["vm"])]
        )
    for target, arriving in uuids.items():
        settle = ["bash", "-c", _SETTLE, "bash", *arriving]
        logs[target] = [settle, *logs[target], _KERNEL_LOG]
    return leaving, logs


def _stays_paused(source: LibvirtHost, migration: Migration, options: t.Collection[str]) -> bool:
    """Return whether a guest is paused on its target for good: as it was, or as the operator wants it."""
    running = source.running.get(migration["vm"])
    was_paused = bool(running and running.info and running.info["state"] == "paused")
    return was_paused or has_option(options, "suspend")


def _own_directory() -> str:
    """Return a new directory that is for the turns alone, and goes with this run of Ansible."""
    return tempfile.mkdtemp(
        prefix="vfio-turns-", dir=str(t.cast(t.Any, constants).DEFAULT_LOCAL_TMP)
    )


def _plan_of(plan: t.Mapping[str, t.Any], host: str) -> _Run:
    """Return the part of a plan that is needed to move a guest of ``host``, whatever the size of the fleet."""
    return {
        part: [each for each in plan.get(part, ()) if each["source"]["host"] == host]
        for part in ("placements", "unplaced")
    }


def _label(migration: Migration) -> str:
    return f"{printable(migration['vm'], MAX_LABEL)} to {migration['target']}"


def _announced(
    run: _Run, going: t.Iterable[Migration], libvirt: t.Mapping[str, LibvirtHost]
) -> t.Iterator[Sentence]:
    """Yield who goes where, and over how many connections where these are several."""
    multifd = _multifd(run)
    for each in going:
        several = multifd.options_between(libvirt[each["host"]], libvirt[each["target"]])
        over = f", over {multifd.connections} connections" if several else ""
        yield f"{_label(each)}{over}"
