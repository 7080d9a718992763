# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The steps of the playbook ``migrate_libvirt`` that are taken on the control node: ask, choose, order, tell how it ended.

Each step takes what the one before returned, and returns that with what is new. Between them the playbook's hosts answer
what they are asked, ``prepare`` makes the targets, and the hosts move their guests.
"""

from __future__ import annotations

import os
import tempfile
import typing as t
from collections import Counter

from ansible import constants
from ansible.errors import AnsibleActionFail
from ansible_collections.vfio.migration.plugins.module_utils._change.migration_options import (
    MigrationOptionError,
    read_options,
)
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.printable import (
    MAX_LABEL,
    printable,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.libvirt_guests import (
    MOST_ARRIVING,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import Fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import read_fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.values import (
    count,
    listed,
    names,
    one_of,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.answers import (
    Answer,
    read_answer,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.checks import (
    Case,
    Checks,
    check_migration,
    possible_targets,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.downtime import (
    bandwidth_of,
    downtime_notes,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.encryption import (
    CHOICES,
    Encryption,
    has_option,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.guests import (
    QEMU,
    Asked,
    Guest,
    LibvirtHost,
    find_guests,
    guests_without_devices,
    hosts_to_ask,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.info import as_arriving
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.logs import (
    KERNEL,
    HostLog,
    qemu_lines,
    qemu_log,
    read_log,
    what_hosts_say,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.memory import without_memory
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.move import (
    LOST,
    MOVED,
    REFUSED,
    MoveReport,
    read_report,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.multifd import (
    MOST_CONNECTIONS,
    Multifd,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.order import (
    Migration,
    order_migrations,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.outcome import (
    Attempt,
    Result,
    remains,
    result,
    stays,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.record import (
    at_the_end,
    read_records,
    record,
    request_key,
    sent_before,
    taken_up,
    unwatched,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.without_devices import (
    Key,
    key_of,
    place_without_devices,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.cleanup import guest_of
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.previous_plan import (
    conditions_of,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import (
    Conditions,
    requested,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.summary import first_of
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.arguments import (
    chosen_hosts,
    one_or_more,
    priorities,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.cleaning import (
    DEFINED,
    cleanup_after_moves,
    remaining_addresses,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.clock import (
    age_limit,
    moment,
    now,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.files import (
    absolute,
    content_of,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.libvirt_answers import (
    said_by_libvirt,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.migration_record import (
    check_record,
    note_outcomes,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.plan_file import (
    asked_by,
    given_plan,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.preparing import GATHERED
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.printing import printed
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.progress_file import (
    progress_path,
    read_progress,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.run_variables import (
    gathered,
    has_failed,
    result_of,
    stale,
    variables_of,
)
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import (
    MigrationRecord,
    Placement,
    Sentence,
)

# What the tasks of the roles register.
LIBVIRT = "migrate_libvirt_answer"
ASKED = "migrate_libvirt_asked"
BEFORE = "migrate_libvirt_before"
MOVES = "migrate_libvirt_moved"
LOGS = "migrate_libvirt_logs"
PREPARED = "prepare_run"
CLEANED = "cleanup_run"

# The record's file beside the plan.
RECORD_FILE = "migration-record.jsonl"

# The variable of the inventory with the address by which other hosts reach a host.
ADDRESS = "migrate_libvirt_address"
# What is done with guests of drained hosts that have no devices.
NAME, MOVE, FAIL = OTHER_GUESTS = ("name", "move", "fail")
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
# QEMU's highest limit, in milliseconds.
LONGEST_DOWNTIME = 2_000_000
# How many lines of a log are read, and told where a migration fails.
_LINES = 5
# So many possible targets at most are tried to be reached before anything is made.
_MOST_PEERS = 32
_LOCALHOST = "localhost"

_Run = dict[str, t.Any]


def begin(options: t.Mapping[str, t.Any], hostvars: t.Any, check_mode: bool) -> _Run:
    """Return what is asked for, checked, before any host is asked anything; raise ``FleetError``."""
    earlier = given_plan("prepare_from", options.get("earlier"))
    options = {**options, **_asked_by(earlier, options)}
    hosts = chosen_hosts(options, "migrate_libvirt_hosts", ("drain", "targets"))
    asked = {name: names(name, options.get(name)) for name in ("guests", "drain", "targets")}
    devices = listed("devices", options.get("devices"))
    if (asked["guests"] is None and devices is None) == (asked["drain"] is None):
        raise FleetError(
            "Give either migrate_libvirt_drain, the hosts to drain, or migrate_libvirt_guests, the names of guests,"
            " and migrate_libvirt_devices, what guests hold; or prepare_from alone, a plan that says so."
        )
    record_file = _record_file(options)
    check_record(record_file)
    guests_on = options.get("guests_on") or {}
    addresses, refused = _addresses(hostvars, hosts)
    return {
        **asked,
        "devices": devices,
        "guests_on": guests_on,
        "request": request_key({**asked, "devices": devices, "guests_on": guests_on}),
        **_command(options),
        "hosts": [host for host in hosts if host not in refused],
        "silent": refused,
        "addresses": addresses,
        "avoid": listed("avoid", options.get("avoid")) or [],
        "apart": _apart(options, earlier),
        **_stated(options, earlier),
        "ask_qemu": bool(options["ask_qemu"]),
        "other_guests": one_of("other_guests", str(options["other_guests"]), OTHER_GUESTS),
        "record_file": record_file,
        "begun": now(),
        "check_mode": check_mode,
        # What these answered is of an earlier playbook in this run.
        "stale": stale(hostvars, hosts, GATHERED, LIBVIRT, ASKED, BEFORE, MOVES, LOGS),
    }


def _asked_by(earlier: t.Any, options: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Return the options that the ``earlier`` plan was asked with, where ``options`` do not say which guests to move."""
    asked = asked_by(earlier, options, ("guests", "devices", "drain"))
    if asked.pop("sources", None) is not None:
        asked["guests_on"] = guests_of(earlier)
        asked["guests"] = [*asked["guests_on"]]
    return asked


def _apart(options: t.Mapping[str, t.Any], earlier: t.Any) -> list[t.Any]:
    """Return the groups that are given, or else those of the ``earlier`` plan, which go on to hold."""
    given = listed("apart", options.get("apart"))
    if given is None and earlier is not None:
        return [*conditions_of(earlier).get("apart", ())]
    return given or []


def _stated(options: t.Mapping[str, t.Any], earlier: t.Any) -> _Run:
    """Return what is stated of capacity, else by the ``earlier`` plan; how much memory was free then, the hosts say anew."""
    before = conditions_of(earlier) if earlier is not None else {}
    before = {name: before[name] for name in ("capacity", "spare") if before.get(name)}
    if "capacity" in before:
        before["capacity"] = without_memory(before["capacity"])
    given = {name: options.get(name) for name in ("capacity", "spare")}
    stated = Conditions.parse(given, before)
    return {"capacity": stated.capacity, "spare": stated.spare}


def guests_of(plan: t.Any) -> dict[str, list[str]]:
    """Return the guests that a plan is about, by UUID or name, each with the hosts on which it may be: its own and its target."""
    found: dict[str, set[str]] = {}
    for each in (*plan["placements"], *plan["unplaced"]):
        name = each.get("vm_uuid") or each["vm"]
        if name is not None:
            ends = [each["source"], *([each["target"]] if "target" in each else [])]
            found.setdefault(name, set()).update(end["host"] for end in ends)
    return {name: sorted(hosts) for name, hosts in sorted(found.items())}


def _command(options: t.Mapping[str, t.Any]) -> _Run:
    """Return how a guest is migrated; raise ``FleetError`` for what QEMU does not do."""
    further = names("options", options.get("options")) or []
    try:
        read_options(further)
    except MigrationOptionError as error:
        raise FleetError(str(error)) from error
    downtime = _downtime("downtime", options["downtime"])
    longest = options.get("downtime_max")
    bandwidth = options.get("bandwidth")
    tls, transport = one_of("tls", str(options["tls"]), CHOICES), str(options["transport"])
    Encryption(tls, transport, further).check()
    multifd = one_of("multifd", str(options["multifd"]), CHOICES)
    connections = one_or_more("connections", options["connections"])
    if not 1 < connections <= MOST_CONNECTIONS:
        raise FleetError(f"connections is {connections}; expected 2 to {MOST_CONNECTIONS}")
    Multifd(multifd, connections, transport, further).check()
    return {
        "options": further,
        "tls": tls,
        "multifd": multifd,
        "connections": connections,
        "downtime": downtime,
        "downtime_max": downtime if longest is None else _downtime("downtime_max", longest),
        "bandwidth": None if bandwidth is None else one_or_more("bandwidth", bandwidth),
        "stall": count("stall", options["stall"], "seconds"),
        "timeout": one_or_more("timeout", options["timeout"]),
        "priority": priorities("priority", options.get("priority")),
        "limits": _limits(options),
        "uri": str(options["uri"]),
        "transport": transport,
    }


def _limits(options: t.Mapping[str, t.Any]) -> _Run:
    """Return the limits of turns, as ``TurnLimits`` has them."""
    failures, not_after = options.get("max_failures"), options.get("not_after")
    return {
        "total": one_or_more("parallel", options["parallel"]),
        "source": one_or_more("parallel_source", options["parallel_source"]),
        "target": one_or_more("parallel_target", options["parallel_target"]),
        "failures": None if failures is None else one_or_more("max_failures", failures),
        "not_after": None if not_after is None else moment("not_after", not_after),
    }


def _downtime(name: str, value: t.Any) -> int:
    """Return a limit of the downtime; raise ``FleetError`` for one that QEMU does not take."""
    downtime = one_or_more(name, value)
    if downtime > LONGEST_DOWNTIME:
        raise FleetError(f"{name} is {downtime}; expected milliseconds, {LONGEST_DOWNTIME} at most")
    return downtime


def _addresses(hostvars: t.Any, hosts: t.Iterable[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return by which address each host is reached, and why a host cannot take part.

    The inventory says it. A host whose facts, from a cache, say it as well would send guests where it likes.
    """
    addresses, refused = {}, {}
    for host in hosts:
        facts = variables_of(hostvars, host).get("ansible_facts")
        if isinstance(facts, t.Mapping) and ADDRESS in facts:
            refused[host] = f"it calls itself {ADDRESS} in its cached facts; clear the fact cache"
            continue
        address = str(hostvars[host].get(ADDRESS, host) if host in hostvars else host)
        # An IPv6 address is in brackets in a URI.
        addresses[host] = f"[{address}]" if ":" in address else address
    return addresses, refused


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
    sent = _sent_before(run)
    # Where these are, both of their hosts are to say: by the facts they may hold nothing on the first one any more.
    asked = _guests_asked_for(_without_those(run, sent), fleet)
    there = {*hosts_to_ask(fleet, answered, asked, run["drain"])}
    there |= {each[end] for each in sent for end in ("source", "target")}
    asking = [host for host in answered if host in there]
    return run | {"answered": answered, "silent": silent, "asking_hosts": asking}


def find(run: _Run, hostvars: t.Any) -> _Run:
    """Return ``run`` with the guests that are asked for, and whom to ask about them.

    Libvirt on ``reading_hosts`` is asked: where these guests are, about those that ``reading`` has of each host, and on the
    hosts that are ``receiving``, what these lack for those that are ``arriving``. Raise ``FleetError`` where a guest is nowhere.
    """
    answered, silent = run["answered"], run["silent"]
    libvirt = _libvirt(hostvars, run["asking_hosts"])
    fleet = _fleet(hostvars, answered)
    sent = _sent_before(run)
    arrived = [each for each in sent if _has_arrived(libvirt, each)]
    asked = _guests_asked_for(_without_those(run, arrived), fleet)
    found = find_guests(fleet, libvirt, asked, run["drain"])
    if nowhere := [_with_hosts(guest["vm"], asked) for guest in found if guest["host"] is None]:
        silent_hosts = [f"{host} did not answer: {why}" for host, why in silent.items()]
        unknown = "".join(f"; {each}" for each in first_of(silent_hosts, "host"))
        raise FleetError(
            f"no host has a process of the name {' or '.join(nowhere)} that holds a VFIO device, and no libvirt that answers runs it;"
            f" start the guest, and gather as root{unknown}"
        )
    found = _without_halves([*found, *_other_guests(run, fleet, libvirt)], sent, libvirt)
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

    Who is named by a device is on the host of that, whoever has that name elsewhere.
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


def _sent_before(run: _Run) -> list[MigrationRecord]:
    """Return the guests that earlier runs with the same request have sent, where that is not done yet.

    Guests have names, and were moved by an earlier run whether all of them were or not. A host that is drained once more has others by then.
    """
    records = read_records(content_of(run["record_file"]) or "")[0]
    return sent_before(records, run["request"], only_broken_off=run["drain"] is not None)


def _is_on(libvirt: t.Mapping[str, LibvirtHost], host: str, guest: MigrationRecord) -> bool:
    """Return whether libvirt on a host runs the guest of a record."""
    there = libvirt.get(host, LibvirtHost()).running.get(guest["vm"])
    return there is not None and guest["vm_uuid"] in (None, there.uuid)


def _has_arrived(libvirt: t.Mapping[str, LibvirtHost], guest: MigrationRecord) -> bool:
    """Return whether the guest of a record is on its target alone.

    Unless the record has it so, libvirt on its source has to say that it is not there any more.
    """
    return (
        _knows(libvirt, guest)
        and not _is_on(libvirt, guest["source"], guest)
        and _is_on(libvirt, guest["target"], guest)
    )


def _says(libvirt: t.Mapping[str, LibvirtHost], host: str) -> bool:
    return host in libvirt and libvirt[host].error is None


def _without_halves(
    found: t.Iterable[Guest],
    sent: t.Iterable[MigrationRecord],
    libvirt: t.Mapping[str, LibvirtHost],
) -> list[Guest]:
    """Return the guests that were ``found`` with each once that is on two hosts as an earlier run has begun to send it.

    One that is on its target stays there as long as the libvirt of its source does not say that it has none of it any more.
    """
    found = [*found]
    for each in sent:
        halves = {guest["host"]: guest for guest in found if _is_of(guest, each)}
        here, there = halves.get(each["source"]), halves.get(each["target"])
        on_both = all(_is_on(libvirt, each[end], each) for end in ("source", "target"))
        if on_both and here is not None:
            here["reason"] = (
                f"it is on its way to {each['target']} since the run of {each['run']}; wait until that has ended, and run this again"
            )
            if there is not None:
                found.remove(there)
        elif there is not None and here is None and not _knows(libvirt, each):
            there["reason"] = (
                f"it is unknown whether it has left {each['source']} whole, from where the run of {each['run']} began to send it:"
                f" libvirt there does not answer; see to {each['source']}, and run this again"
            )
    return found


def _knows(libvirt: t.Mapping[str, LibvirtHost], sent: MigrationRecord) -> bool:
    """Return whether it is known if a guest has left its source."""
    return sent["outcome"] == MOVED or _says(libvirt, sent["source"])


def _is_of(guest: Guest, sent: MigrationRecord) -> bool:
    return guest["vm"] == sent["vm"] and guest["uuid"] == sent["vm_uuid"]


def _without_those(run: _Run, arrived: t.Iterable[MigrationRecord]) -> _Run:
    """Return ``run`` as if nobody had asked for those that have arrived."""
    guests, devices = run["guests"], run["devices"]
    for each in arrived:
        names = (each["vm"], each["vm_uuid"])
        ids = [device["source"] for device in each["devices"]]
        guests = guests and [name for name in guests if name not in names]
        devices = devices and [
            device
            for device in devices
            if device.get("host") != each["source"] or device.get("id") not in ids
        ]
    return run | {"guests": guests, "devices": devices}


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
        named = [f"{each['vm']} on {each['host']}" for each in others]
        raise FleetError(
            f"guests without VFIO devices are on hosts that are to be drained: {', '.join(first_of(named, 'guest'))}; move"
            f" them before, or let migrate_libvirt_other_guests be {MOVE}"
        )
    return others


def _keep_back(guests: t.Iterable[Guest]) -> None:
    """Let those guests stay about which targets are not asked, of the hosts with the most: nobody asks about so many at a time."""
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


def _listed(result: t.Mapping[str, t.Any], key: str) -> list[t.Any]:
    """Return a list in what a task registered, an empty one where it is none."""
    found = result.get(key)
    return found if isinstance(found, list) else []


def _libvirt(hostvars: t.Any, hosts: t.Iterable[str]) -> dict[str, LibvirtHost]:
    """Return what libvirt said on ``hosts``: on those of the guests at first, on all others when it was asked about these."""
    return {
        host: said_by_libvirt(
            result_of(hostvars, host, LIBVIRT) or result_of(hostvars, host, ASKED)
        )
        for host in hosts
    }


def _case(run: _Run, hostvars: t.Any) -> Case:
    """Return what is to be checked, by what hosts answered in this run."""
    results = {host: result_of(hostvars, host, ASKED) for host in run["reading_hosts"]}
    asked = {
        host: said_by_libvirt(result)
        for host, result in results.items()
        if result and not result.get("unreachable")
    }
    # Who answered once and not again is no target, either. Who never did is named.
    first, again = {*run["asking_hosts"]}, {*run["reading_hosts"]}
    there = [
        host for host in run["answered"] if host in asked or (host in first) != (host in again)
    ]
    targets = run["targets"]
    if targets is not None and not run["receiving"]:
        # Where no guest can go, no target was asked.
        targets = [host for host in targets if host in there or host not in run["answered"]]
    return Case(
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
    silent = [f"{host} takes no part: {why}" for host, why in run["silent"].items()]
    bandwidth = bandwidth_of(run["bandwidth"], run["options"])
    long = downtime_notes(case.fleet, checks["chosen"], bandwidth, run["downtime_max"])
    checks["notes"] = [*silent, *checks["notes"], *long, *(_not_tried(run) if going else ())]
    if not going:
        # There is an empty plan for no guest, which somebody must make.
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
            "limits": run["limits"],
        },
        "recording": _recording(run, prepared) if going else None,
        "participants": sorted({*leaving, *logs}),
        # Something was prepared: for guests that have ended since, too, or by an earlier run that was broken off.
        "cleaning": not run["check_mode"] and bool(ready or _made_before(prepared)),
        "states": [],
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


def look(run: _Run, hostvars: t.Any) -> _Run:
    """Return ``run`` with how far the moves have come by the kernels' word."""
    return run | {"states": result_of(hostvars, _LOCALHOST, CLEANED)["states"]}


def end(run: _Run, hostvars: t.Any) -> _Run:
    """Return ``run`` with the last word: who has moved, who stays and why, and what else there is to see to.

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
    try:
        if cleaned and not run["check_mode"]:
            records += _unwatched(run, cleaned)
        records = at_the_end(records, complete=not found["stay"])
        if records:
            note_outcomes(run["record_file"], records)
    except (AnsibleActionFail, FleetError) as error:
        failures.append(
            f"the record in {run['record_file']} lacks the outcome for the guests in this run: {error}"
        )
    notes = printed([*remaining_addresses(cleaned, hostvars)] if cleaned else [], list[Sentence])
    return run | {
        "sentences": [*found["sentences"], *notes],
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
        found = record(run["begun"], each, report, moved, said, run["request"])
        yield printed(found, MigrationRecord)


def _unwatched(run: _Run, cleaned: t.Mapping[str, t.Any]) -> list[MigrationRecord]:
    """Return the records of guests that an earlier run was to move, and that have moved since it was broken off."""
    going = {(each["host"], each["vm"]) for each in run["migrations"]["going"]}
    going |= {(each["source"], each["vm"]) for each in run["arrived"]}
    states = [each for each in run["states"] if guest_of(each) not in going]
    if not states:
        return []
    placements = cleaned.get("placements") or ()
    uuids = {guest_of(each): each.get("vm_uuid") for each in placements}
    there = read_records(content_of(run["record_file"]) or "")[0]
    return [
        printed(each, MigrationRecord)
        for each in unwatched(run["begun"], there, states, uuids, run["request"])
    ]


def _record_file(options: t.Mapping[str, t.Any]) -> str:
    """Return where the record is written: where the operator wants it, or beside the plan."""
    if options.get("record") is not None:
        return absolute(options["record"])
    return os.path.join(os.path.dirname(absolute(options["dest"])), RECORD_FILE)


def _remains(cleaned: t.Mapping[str, t.Any], hostvars: t.Any) -> t.Iterator[str]:
    """Yield what is left that was to be removed, and why a definition in mdevctl has stayed where it was."""
    for host in cleaned.get("define_hosts") or ():
        defined = result_of(hostvars, host, DEFINED)
        if has_failed(defined):
            yield f"{host}: {read_answer(defined).error or 'it does not answer any more'}"
    if cleaned.get("failure"):
        yield str(cleaned["failure"])


def _attempts(run: _Run, hostvars: t.Any) -> t.Iterator[Attempt]:
    """Yield what became of each migration that its host was to try."""
    arrived = dict.fromkeys(run["logs"], 0)
    for number, each in enumerate(run["migrations"]["going"]):
        target = each["target"]
        # The first answer is that of what waits, the last one has the kernel's log.
        arrived[target] += 1
        result = result_of(hostvars, each["host"], MOVES)
        if not result:
            continue
        report = _report(result, number)
        there = {
            QEMU: _log(hostvars, target, arrived[target]),
            KERNEL: _log(hostvars, target, len(run["logs"][target]) - 1),
        }
        failed = report.outcome != MOVED
        before = read_answer(result_of(hostvars, target, BEFORE)).stdout
        yield Attempt(
            vm=each["vm"],
            host=each["host"],
            said=[*_told(each, report, there, before)] if failed else report.errors,
            states=run["states"],
            log="" if failed else there[QEMU].stdout,
            report=report,
            devices=bool(each["placements"]),
        )


def _report(result: t.Mapping[str, t.Any], number: int) -> MoveReport:
    """Return what came of the migration with this number in the result of a host's task, which may have failed before."""
    for each in _listed(result, "moves"):
        if isinstance(each, t.Mapping) and each.get("number") == number and "outcome" in each:
            return read_report(each)
    message = result.get("msg")
    return MoveReport(REFUSED, errors=[str(message) if message else "its host does not say why"])


def _told(
    migration: Migration, report: MoveReport, there: t.Mapping[str, Answer], before: str
) -> t.Iterator[str]:
    """Yield why a guest has not moved, with what both hosts have logged if it was tried."""
    host, target = migration["host"], migration["target"]
    libvirt = report.outcome in ("failed", "aborted")
    for number, error in enumerate(report.errors):
        yield f"libvirt: {error}" if libvirt and number == len(report.errors) - 1 else error
    if report.outcome in (REFUSED, LOST):
        return
    logs = [
        HostLog(host, QEMU, qemu_lines("\n".join(report.qemu_log))[-_LINES:]),
        HostLog(host, KERNEL, report.kernel_log[-_LINES:]),
        *(read_log(target, who, there[who], before, _LINES) for who in (QEMU, KERNEL)),
    ]
    yield from what_hosts_say(host, report.state, logs)


def _log(hostvars: t.Any, target: str, index: int) -> Answer:
    """Return what a target answered to the task with this place among those that read its logs."""
    found = _listed(result_of(hostvars, target, LOGS), "results")
    return read_answer(found[index]) if index < len(found) else Answer()
