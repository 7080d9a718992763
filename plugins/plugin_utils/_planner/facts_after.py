# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The facts of hosts once a plan is carried out, as far as they can be known before. Pure.

A guest that has moved holds its targets. What it has left stays where it was, and no process holds it. What a device states
that was made is not known before: it is taken to state what an equal one on its host does, or else what its source does,
and only where it is to move on. Of a card of which it is not known what else it takes once something was made there,
nothing more is offered. So the facts never offer more capacity than there will be.
"""

from __future__ import annotations

import itertools
import typing as t
from collections import Counter, defaultdict

from ansible_collections.vfio.migration.plugins.plugin_utils._compat.candidates import instances_of
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import Host, Parent
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.cards import is_card_parent
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.parent_capacity import (
    capacity_of,
    instances_left,
)
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import Placement

HostFacts = t.Mapping[str, t.Any]
_Entry = dict[str, t.Any]
# A process of a host, or a device where no process is known.
_Holder = tuple[str, t.Any]


def facts_after(
    hosts: t.Mapping[str, Host],
    facts: t.Mapping[str, HostFacts],
    placements: t.Sequence[Placement],
    moving_on: t.Container[str],
    made: t.Container[tuple[str, str]],
) -> dict[str, HostFacts]:
    """Return the facts of those hosts that ``placements`` change; ``facts`` were read as ``hosts``.

    What arrives on hosts in ``moving_on`` is to move again. Devices that were ``made`` before, by host and id, are of no use
    once their guests have left them.
    """
    left: dict[str, set[str]] = defaultdict(set)
    arriving: dict[str, list[Placement]] = defaultdict(list)
    for each in placements:
        left[each["source"]["host"]].add(each["source"]["id"])
        arriving[each["target"]["host"]].append(each)
    after: dict[str, HostFacts] = {}
    for host, ids in left.items():
        devices = [
            _left(each, (host, each["id"]) in made) if each["id"] in ids else each
            for each in facts[host]["devices"]
        ]
        after[host] = {**facts[host], "devices": devices}
    for host, arrivals in arriving.items():
        before = after.get(host, facts[host])
        after[host] = _with_arrivals(hosts, facts, before, arrivals, host in moving_on)
    return after


def _left(device: t.Mapping[str, t.Any], made: bool) -> t.Mapping[str, t.Any]:
    return {**device, "in_use": None} | ({"descriptor": None} if made else {})


def without_holders(facts: HostFacts) -> HostFacts:
    """Return the facts of a host whose guests have all gone."""
    return {**facts, "devices": [{**each, "in_use": None} for each in facts["devices"]]}


def _with_arrivals(
    hosts: t.Mapping[str, Host],
    facts: t.Mapping[str, HostFacts],
    host: HostFacts,
    arrivals: t.Sequence[Placement],
    move_on: bool,
) -> HostFacts:
    """Return the facts of a ``host`` on which guests have arrived, which are to ``move_on`` or to stay."""
    name = arrivals[0]["target"]["host"]
    sources = _sources(facts, arrivals)
    holders = _holders(host, arrivals, sources)
    devices = {each["id"]: each for each in host["devices"]}
    descriptors = dict(host["descriptors"])
    for each, source, holder in zip(arrivals, sources, holders, strict=True):
        target = each["target"]
        there = devices.get(target["id"])
        is_matrix = _is_matrix(facts, each, source)
        if there is not None and not target["attributes"] and not is_matrix:
            devices[target["id"]] = {**there, "in_use": holder, **_network(there, target)}
            continue
        stated = None
        if is_matrix:
            # Its AP queues are those of its source, and no other device's on that host.
            stated = _as_source(facts, descriptors, each, source)
        elif move_on:
            stated = _stated(facts, host, descriptors, each, source)
        devices[target["id"]] = _made(hosts[name].parents, there, each, source) | {
            "descriptor": stated,
            "in_use": holder,
        }
    parents = _parents_after(hosts[name].parents, host["parents"], arrivals)
    cards = {
        each["target"]["parent"] or each["target"]["id"]
        for each in arrivals
        if each["target"]["kind"] == "pci" and each["target"]["attributes"]
    }
    entries = [
        _without_choices(each) if (each["parent"] or each["id"]) in cards else each
        for each in devices.values()
    ]
    return {**host, "devices": entries, "parents": parents, "descriptors": descriptors}


def _sources(
    facts: t.Mapping[str, HostFacts], arrivals: t.Sequence[Placement]
) -> list[t.Mapping[str, t.Any]]:
    by_host: dict[str, dict[str, t.Any]] = {}
    for each in arrivals:
        host = each["source"]["host"]
        if host not in by_host:
            by_host[host] = {device["id"]: device for device in facts[host]["devices"]}
    return [by_host[each["source"]["host"]][each["source"]["id"]] for each in arrivals]


def _holders(
    host: HostFacts, arrivals: t.Sequence[Placement], sources: t.Sequence[t.Mapping[str, t.Any]]
) -> list[_Entry | None]:
    """Return who holds the targets: the same guests, each a process of its own that the host does not have yet."""
    taken = {each["in_use"]["pid"] for each in host["devices"] if each["in_use"] is not None}
    unused = (pid for pid in itertools.count(1) if pid not in taken)
    pids: dict[_Holder, int] = {}
    found: list[_Entry | None] = []
    for each, source in zip(arrivals, sources, strict=True):
        holder = source["in_use"]
        if holder is not None and holder["pid"] is not None:
            process = (each["source"]["host"], holder["pid"])
            if process not in pids:
                pids[process] = next(unused)
            holder = {**holder, "pid": pids[process]}
        found.append(holder)
    return found


def _stated(
    facts: t.Mapping[str, HostFacts],
    host: HostFacts,
    descriptors: dict[str, t.Any],
    placement: Placement,
    source: t.Mapping[str, t.Any],
) -> str | None:
    """Return the name, on its host, of the descriptor that a target is taken to have, which is added if need be."""
    target = placement["target"]
    given = {each["name"]: each["value"] for each in target["attributes"]}
    for each in host["devices"]:
        values = {value["name"]: value["value"] for value in each["attributes"]}
        alike = (each["kind"], each["type"]) == (target["kind"], target["type"])
        if alike and given.items() <= values.items() and each["descriptor"] is not None:
            return t.cast(str, each["descriptor"])
    return _as_source(facts, descriptors, placement, source)


def _is_matrix(
    facts: t.Mapping[str, HostFacts], placement: Placement, source: t.Mapping[str, t.Any]
) -> bool:
    """Return whether what moves is a mediated device of vfio_ap."""
    descriptors = facts[placement["source"]["host"]]["descriptors"]
    found = descriptors.get(source["descriptor"])
    api = found["self"].get("device_api") if found else None
    return bool(source["kind"] == "mdev" and api == "vfio-ap")


def _as_source(
    facts: t.Mapping[str, HostFacts],
    descriptors: dict[str, t.Any],
    placement: Placement,
    source: t.Mapping[str, t.Any],
) -> str | None:
    """Return the name of the source's descriptor among the ``descriptors`` of the target's host, which is added if need be."""
    name = t.cast("str | None", source["descriptor"])
    if name is None:
        return None
    raw = facts[placement["source"]["host"]]["descriptors"][name]
    # Another host's name may be taken here.
    while name in descriptors and descriptors[name] != raw:
        name += "+"
    descriptors[name] = raw
    return name


def _made(
    parents: t.Sequence[Parent],
    there: t.Mapping[str, t.Any] | None,
    placement: Placement,
    source: t.Mapping[str, t.Any],
) -> _Entry:
    """Return a device that was made, or that was there and was given a type, without its descriptor and its holder."""
    target = placement["target"]
    given = [{"name": each["name"], "value": each["value"]} for each in target["attributes"]]
    if there is not None:
        names = {each["name"] for each in given}
        others = [each for each in there["attributes"] if each["name"] not in names]
        changed = {"type": target["type"], "attributes": [*others, *given]}
        return {**there, **changed, **_network(there, target)}
    # As they were read: what facts of another version leave out is not there to be asked for.
    nodes = [each.numa_node for each in parents if each.id == target["parent"]]
    return {
        "kind": target["kind"],
        "id": target["id"],
        "parent": target["parent"],
        "type": target["type"],
        "attributes": given,
        "numa_node": nodes[0] if nodes else None,
        "migration": source["migration"],
    }


def _network(there: t.Mapping[str, t.Any], target: t.Mapping[str, t.Any]) -> _Entry:
    """Return the network settings of a device once it is given those of ``target``, if it is given any."""
    if "network" not in target:
        return {}
    return {"network": {**there.get("network", {}), **target["network"]}}


def _without_choices(device: t.Mapping[str, t.Any]) -> t.Mapping[str, t.Any]:
    attributes = [
        {**each, "choices": []} if "choices" in each else each for each in device["attributes"]
    ]
    return {**device, "attributes": attributes}


def _parents_after(
    parents: t.Sequence[Parent], entries: t.Sequence[t.Any], arrivals: t.Sequence[Placement]
) -> list[t.Any]:
    """Return the ``entries`` of parents once what is new is made under them."""
    made: dict[str, Counter[str]] = defaultdict(Counter)
    for each in arrivals:
        target = each["target"]
        if target["create"]:
            given = [(value["name"], value["value"]) for value in target["attributes"]]
            made[target["parent"] or ""][target["type"] or ""] += instances_of(given) or 1
    full = {each.card for each in parents if each.id in made and is_card_parent(each)}
    found = []
    by_id = {each.id: each for each in parents}
    for entry in entries:
        parent = by_id[entry["id"]]
        if is_card_parent(parent) and parent.card in full:
            left = dict.fromkeys([each.id for each in parent.types], 0)
        elif parent.id in made:
            counts, capacity = made[parent.id], capacity_of(parent)
            left = {
                each.id: max(0, instances_left(parent, capacity, each, counts))
                for each in parent.types
            }
        else:
            found.append(entry)
            continue
        types = [
            {**each, "available_instances": left.get(each["id"], 0)} for each in entry["types"]
        ]
        found.append({**entry, "types": types})
    return found
