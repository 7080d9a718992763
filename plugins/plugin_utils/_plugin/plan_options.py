# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The arguments of ``migration_plan``, turned into a request and the facts that it is about."""

from __future__ import annotations

import typing as t

from ansible.utils.display import Display
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import Fleet, Host
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import (
    gathered_at,
    hold,
    read_fleet,
    uncollected,
    without_guest,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.values import (
    listed,
    names,
    quoted,
    reasons,
    whole_number,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.search import Budget
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.arrivals import (
    received_by,
    with_capacity_left,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.planner import (
    make_verified_plan,
    no_progress,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.previous_plan import (
    conditions_of,
    left_by_moves,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import (
    Conditions,
    Request,
    as_asked,
    requested,
    staying,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.solution import Progress
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.summary import first_of
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.clock import age_limit
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.own_plans import digest_of
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.plan_arguments import ARGUMENTS
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.printing import printed
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import Plan, ReceivedDevice

# More takes hours for fleets in which there is no place anyway.
MAX_EFFORT = 100


def sources_of(options: t.Mapping[str, t.Any]) -> list[t.Any] | None:
    """Return what is to be moved, by the options that name it, without the hosts that are drained; ``None`` where by none."""
    given = [
        listed("sources", options.get("sources")),
        names("guests", options.get("guests")),
        listed("devices", options.get("devices")),
    ]
    if all(each is None for each in given):
        return None
    return [source for each in given for source in each or ()]


@uncollected()
def plan_for(
    fleet: t.Any,
    drain: t.Any = None,
    progress: Progress = no_progress,
    left_out: t.Any = None,
    fresh: t.Collection[str] = (),
    made: t.Callable[[str | None], None] | None = None,
    read: Fleet | None = None,
    **options: t.Any,
) -> Plan:
    """Return a verified plan for ``fleet``, ``hostvars`` or facts by host; raise ``FleetError``.

    ``options`` are named as in ``ARGUMENTS``. ``progress`` is called from time to time with its progress, in words.
    Hosts ``left_out``, each with the reason, are unknown. The facts of hosts that are ``fresh`` are of this run, whatever time
    their clocks say, and count as those of lost hosts do, which cannot be gathered again. ``made`` is called with the digest of the plan and its facts.
    ``read`` is what ``fleet`` yields with these options, where the caller has read it already.
    """
    _check_known(options, ARGUMENTS)
    lost = names("lost", options.get("lost")) or []
    drained = names("drain", drain)
    options["drain"] = [*(drained or ()), *lost] if lost else drained
    earlier = options.get("earlier")
    if earlier is not None:
        # Ansible compiles in each run what is imported: few runs are given a plan.
        from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.handed_over import (
            check_plan,
        )

        check_plan("earlier", earlier)
    given = Conditions.parse(options)
    conditions = given if not earlier else Conditions.parse(options, conditions_of(earlier))
    _check_hosts(given, fleet)
    _check_spare(conditions)
    progress("reading the facts")
    chosen = names("hosts", options.get("hosts"))
    if read is None:
        read = read_fleet(
            hold(fleet, chosen),
            limit=age_limit(options.get("max_age")),
            left_out=reasons("left_out", left_out),
            any_age={*lost, *fresh},
        )
    if chosen is not None:
        _check_drained(conditions, read)
    _check_lost(lost, read)
    _warn_of_unknown_names(given, read, fleet)
    sources = sources_of(options)
    known = {name: each.facts for name, each in read.hosts.items()}
    moved = left_by_moves(earlier, read) if earlier is not None else {}
    if earlier is not None and options.get("capacity") is None:
        conditions = with_capacity_left(conditions, earlier, read)
    request = Request(
        requested(read, conditions.drain, sources, conditions.free_devices, moved),
        conditions.hosts(read),
        conditions,
        staying=staying(read, conditions, moved),
        asked=as_asked(
            conditions, sources, chosen, {name: gathered_at(known[name]) for name in lost}
        ),
        received=_received(earlier, read, conditions),
    )
    budget = Budget().times(effort_of(options))
    plan = printed(make_verified_plan(read, known, request, earlier, progress, budget), Plan)
    if made is not None:
        made(digest_of(plan, known, read.unknown))
    return plan


def effort_of(options: t.Mapping[str, t.Any]) -> int:
    """Return how many times the usual effort a search may take; raise ``FleetError``."""
    value = options.get("effort")
    wanted = f"a whole number from 1 to {MAX_EFFORT}"
    number = 1 if value is None else whole_number("effort", value, wanted, 1)
    if number > MAX_EFFORT:
        raise FleetError(f"effort is {number:,}; expected {wanted}")
    return number


def _received(earlier: t.Any, read: Fleet, conditions: Conditions) -> list[ReceivedDevice]:
    """Return what hosts have received by moves of an ``earlier`` plan, where that counts."""
    if earlier is None or conditions.limit is None:
        return []
    return received_by(earlier, read, conditions.drain)


def search_for(
    fleet: t.Any,
    allowed: t.Collection[str],
    options: t.Mapping[str, t.Any],
    hosts: t.Any = None,
    max_age: t.Any = None,
    left_out: t.Any = None,
) -> tuple[Fleet, Conditions]:
    """Return the facts and the conditions, of those ``allowed``, that a search for places is about; raise ``FleetError``."""
    _check_known(options, allowed)
    given = Conditions.parse(options)
    _check_spare(given)
    _check_hosts(given, fleet)
    read = read_fleet(
        hold(fleet, names("hosts", hosts)),
        limit=age_limit(max_age),
        left_out=reasons("left_out", left_out),
    )
    _warn_of_unknown_names(given, read, fleet)
    return read, given


def _check_known(options: t.Mapping[str, t.Any], allowed: t.Iterable[str]) -> None:
    """Raise ``FleetError`` for options that there are not."""
    unknown = sorted(options.keys() - {*allowed})
    if unknown:
        raise FleetError(f"there is no option {', '.join(unknown)}")


def _check_spare(conditions: Conditions) -> None:
    """Raise ``FleetError`` where something is to be spare of which no guest is said to take any."""
    for resource in conditions.spare:
        if resource not in conditions.resources():
            raise FleetError(f"spare has {resource!r}, and no guest in capacity takes any of it")


def _check_hosts(given: Conditions, fleet: t.Any) -> None:
    """Raise ``FleetError`` where a condition that is ``given`` is about a host that there is not: it would hold for none.

    What an earlier plan has of hosts that have gone since is no mistake.
    """
    limited = given.limit if isinstance(given.limit, t.Mapping) else {}
    links = given.concurrent_moves.get("links", {}).values()
    named = {
        "avoid": [place.host for place in given.avoid],
        "limit": [*limited],
        "capacity": [*given.capacity.get("hosts", ())],
        "prefer": [*given.prefer],
        "concurrent_moves": [
            *given.concurrent_moves.get("hosts", ()),
            *(host for link in links for host in link["hosts"]),
        ],
        "failure_domains": [host for hosts in given.failure_domains.values() for host in hosts],
    }
    for option, hosts in named.items():
        for host in hosts:
            if isinstance(fleet, t.Mapping) and host not in fleet:
                raise FleetError(f"{option} has {host!r}, and there is no host of this name")


def _check_drained(conditions: Conditions, read: Fleet) -> None:
    """Raise ``FleetError`` where a host to drain is none of those that were to be ``read``, with usable facts or without."""
    for host in conditions.drain or ():
        if host not in read.hosts and host not in read.unknown:
            raise FleetError(
                f"cannot drain {host}: it is none of the hosts to look at; name it among these, too"
            )


def _check_lost(lost: t.Iterable[str], read: Fleet) -> None:
    """Raise ``FleetError`` where there have never been facts of a host that is lost."""
    reasons_known = {each["host"] for each in read.problems}
    for host in lost:
        if host not in read.hosts and host not in reasons_known:
            raise FleetError(
                f"cannot drain {host}: no facts are known, and what a lost host had can only be read from facts gathered earlier"
            )


def _warn_of_unknown_names(given: Conditions, read: Fleet, fleet: t.Any) -> None:
    """Warn where a condition that is ``given`` is about a guest or parent that no facts have, and so holds for none.

    The guest may be shut down, and the parent not be there, at the moment, so it is no error. What an earlier
    plan has is none, either.
    """
    named = {
        "apart": sorted({guest for group in given.apart for guest in group}),
        "avoid": [place.guest for place in given.avoid if place.guest is not None],
        "priority": [*given.priority],
        "capacity.guests": [*given.capacity.get("guests", ())],
    }
    unknown = without_guest(read, fleet, {guest for guests in named.values() for guest in guests})
    sentences = [
        f"{option} has {quoted(guest)}, and no guest in the facts has this name or UUID"
        for option, guests in named.items()
        for guest in dict.fromkeys(guests)
        if guest in unknown
    ]
    sentences += [
        f"avoid has the parent {quoted(place.parent)} of {place.host}, and it has none of this name in its facts"
        for place in given.avoid
        if place.parent is not None and place.host in read.hosts
        if place.parent not in _parents_of(read.hosts[place.host])
    ]
    for each in first_of(sentences, "such name"):
        Display().warning(each)


def _parents_of(host: Host) -> set[str | None]:
    """Return the names of all that a device of ``host`` can be under."""
    parents = {name for each in host.equipment for name in (each.id, each.card)}
    return parents | {each["parent"] for each in host.facts["devices"]}
