# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What the playbook ``migrate_libvirt`` is asked for, checked before any host is asked anything."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.migration_options import (
    MigrationOptionError,
    read_options,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import (
    templated,
    variables_of,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.values import (
    count,
    listed,
    names,
    one_of,
    one_or_more,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.encryption import (
    CHOICES,
    Encryption,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.memory import without_memory
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.multifd import (
    MOST_CONNECTIONS,
    Multifd,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.record import (
    request_key,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.previous_plan import (
    conditions_of,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import (
    Conditions,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.arguments import (
    chosen_hosts,
    priorities,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.clock import (
    moment,
    now,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.files import (
    absolute,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.migration_record import (
    check_record,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.plan_file import (
    asked_by,
    given_plan,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.preparing import GATHERED
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.run_variables import stale

# What the tasks of the role register.
LIBVIRT = "migrate_libvirt_answer"
ASKED = "migrate_libvirt_asked"
BEFORE = "migrate_libvirt_before"
MOVES = "migrate_libvirt_moved"
LOGS = "migrate_libvirt_logs"
SENDING = "migrate_libvirt_sending"
TRACED = "migrate_libvirt_traced"
_REGISTERED = (LIBVIRT, ASKED, BEFORE, MOVES, LOGS, SENDING, TRACED)

# The record's file beside the plan.
RECORD_FILE = "migration-record.jsonl"

# The variable of the inventory with the address by which other hosts reach a host.
ADDRESS = "migrate_libvirt_address"
# What is done with guests of drained hosts that have no devices.
NAME, MOVE, FAIL = OTHER_GUESTS = ("name", "move", "fail")
# QEMU's highest limit, in milliseconds.
LONGEST_DOWNTIME = 2_000_000

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
        "stale": stale(hostvars, hosts, GATHERED, *_REGISTERED),
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
    """Return what is stated of capacity, else by the ``earlier`` plan; memory is left out, as the hosts state what is free now."""
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
        **_downtimes(options),
        "bandwidth": None if bandwidth is None else one_or_more("bandwidth", bandwidth),
        "stall": count("stall", options["stall"], "seconds"),
        "timeout": one_or_more("timeout", options["timeout"]),
        "priority": priorities("priority", options.get("priority")),
        "limits": _limits(options),
        **{name: _of_each_host(name, options) for name in ("uri", "transport")},
    }


def _of_each_host(name: str, options: t.Mapping[str, t.Any]) -> str:
    """Return a URI of targets; raise ``FleetError`` where all of them would have the same one."""
    uri = str(options[name])
    if "{host}" not in uri and len(names("targets", options.get("targets")) or ()) != 1:
        raise FleetError(
            f"migrate_libvirt_{name} is {uri!r}, which is one host whatever target the plan chooses: put {{host}} in it, or name"
            " that one with migrate_libvirt_targets"
        )
    return uri


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


def _downtimes(options: t.Mapping[str, t.Any]) -> _Run:
    """Return how long a guest may stand still, at first and at most."""
    first, longest = _downtime("downtime", options["downtime"]), options.get("downtime_max")
    most = first if longest is None else _downtime("downtime_max", longest)
    if most < first:
        raise FleetError(
            f"migrate_libvirt_downtime_max is {most}, and a guest may stand still for {first} at first: set migrate_libvirt_downtime to no more"
        )
    return {"downtime": first, "downtime_max": most}


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
        found = templated(hostvars, host, ADDRESS)
        address = host if found is None else str(found)
        # An IPv6 address is in brackets in a URI.
        addresses[host] = f"[{address}]" if ":" in address else address
    return addresses, refused


def _record_file(options: t.Mapping[str, t.Any]) -> str:
    """Return where the record is written: where the operator wants it, or beside the plan."""
    if options.get("record") is not None:
        return absolute(options["record"])
    return os.path.join(os.path.dirname(absolute(options["dest"])), RECORD_FILE)
