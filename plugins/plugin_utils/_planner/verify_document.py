# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What the verifier holds of the rest of a plan: its status, cost and tables agree with its placements. Pure."""

from __future__ import annotations

import itertools
import typing as t
from collections import Counter, defaultdict
from operator import attrgetter

from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify_case import (
    NO_MAC,
    WHOLE_PLAN,
    Case,
    Entry,
    Key,
    Move,
    Objection,
    Objections,
    Rule,
    address_held,
    migration_features,
    place_like,
    takes_version,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify_expected import (
    VDPA_VALUES,
    waits_for_its_matrix,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify_matching import VERSION
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify_sources import (
    has_nothing_to_move,
)

# The lists for the modules of a host by the kind of their devices, each with what it calls a device.
_LISTS = {
    "mdev": ("devices", "uuid"),
    "pci": ("pci_devices", "address"),
    "vdpa": ("vdpa_devices", "name"),
}


def status_and_shortage_are_true(case: Case) -> Objections:
    """Require that the status says whether all is placed, and that a shortage is one."""
    plan = case.plan
    if (plan["status"] in ("optimal", "feasible")) != (not plan["unplaced"]):
        yield Objection(
            WHOLE_PLAN,
            f"status is {plan['status']} with {len(plan['unplaced'])} devices left behind",
        )
    bound = plan["bound"]
    if bound is not None and (plan["status"] == "infeasible") != (bound["unplaced"] > 0):
        yield Objection(
            WHOLE_PLAN,
            f"status is {plan['status']}, and the bound leaves {bound['unplaced']} devices behind",
        )
    unknown = {*plan["unknown"]} if case.unknown is None else {*case.unknown}
    if {*plan["unknown"]} != unknown:
        yield Objection(
            WHOLE_PLAN, f"the hosts without facts are {', '.join(sorted(unknown)) or 'none'}"
        )
    silent = unknown - case.drained
    if case.asked.targets is not None:
        silent &= {*case.asked.targets}
    # Where only the plan is known, it is not known which hosts were asked to receive.
    is_asked = any(
        each is not None for each in (case.unknown, case.asked.drain, case.asked.targets)
    )
    if plan["status"] == "infeasible" and is_asked and silent and _all_left_may_migrate(case):
        yield Objection(
            WHOLE_PLAN, f"infeasible is not proven without facts of {', '.join(sorted(silent))}"
        )
    if plan["status"] == "infeasible" and bound is not None:
        known = sum(not _may_stay(case, key) for key in case.unplaced)
        if bound["unplaced"] > known:
            yield Objection(
                WHOLE_PLAN,
                f"the bound leaves {bound['unplaced']} devices behind, and only {known} are known to have to move",
            )
    yield from _shortages_are_true(case, plan)
    proof = plan.get("proof", ())
    if proof and plan["status"] != "infeasible":
        yield Objection(WHOLE_PLAN, f"there is a proof, and the status is {plan['status']}")
    missing = plan["shortage"]["need"] - plan["shortage"]["reachable"] if plan["shortage"] else 0
    enough = proof == ["no_place", "shortage"] or bound is None or missing >= bound["unplaced"]
    if "shortage" in proof and not (missing and enough):
        yield Objection(
            WHOLE_PLAN, "the shortage does not prove that as many devices have no place as is said"
        )


def _may_stay(case: Case, key: Key) -> bool:
    """Return whether it is unknown if a process holds a device which else has nothing to move."""
    device, free = case.device(key), case.asked.free_devices
    if device is None or key[0] not in case.drained or free == "all":
        return False
    holder = device["in_use"]
    unknown = holder is not None and holder.get("pid") is None
    return unknown and (free == "none" or has_nothing_to_move(case, key, device))


def _all_left_may_migrate(case: Case) -> bool:
    """Return whether some host might help all devices that are left behind: none helps one that cannot migrate from where it is."""
    together = Counter(
        (host, device["in_use"]["pid"])
        for (host, _id), device in case.every_device()
        if device["kind"] != "vdpa" and device["in_use"]
    )
    for key in case.unplaced:
        device = case.device(key)
        if device is None:
            continue
        pid = (device["in_use"] or {}).get("pid")
        several = pid is not None and device["kind"] != "vdpa" and together[key[0], pid] > 1
        features = migration_features(device)
        if (
            case.descriptor(key[0], device) is None
            or device["migration"]["supported"] is False
            or (several and features and "p2p" not in features)
        ):
            return False
    return True


def _shortages_are_true(case: Case, plan: Entry) -> Objections:
    shortage = plan["shortage"]
    parts = plan.get("shortages", ())
    whole, *several = [
        [(label["host"], label["id"]) for label in each["devices"]]
        for each in (shortage or {"devices": ()}, *parts)
    ]
    devices = list(itertools.chain(*several))
    if len(set(devices)) != len(devices) or not set(devices) <= set(whole):
        yield Objection(WHOLE_PLAN, "the shortages are not what the shortage is made of")
    for each in (shortage, *parts) if shortage is not None else ():
        short = {(label["host"], label["id"]) for label in each["devices"]}
        placed = sum(case.move_of(key) is not None for key in short)
        if each["need"] != len(short) or not placed <= each["reachable"] < len(short):
            yield Objection(
                WHOLE_PLAN,
                f"of {len(short)} devices {placed} are placed, which is not such a shortage",
            )


def a_shortage_counts_every_place(case: Case) -> Objections:
    """Require that the places of a shortage are as many as it says, and that every free device which matches is one of them.

    Where parents are concerned, only what they offer at all is looked at.
    """
    for each in (case.plan["shortage"], *case.plan.get("shortages", ())):
        if each is None or "places" not in each:
            continue
        places = {(place["host"], place["id"]): place["places"] for place in each["places"]}
        if len(places) != len(each["places"]) or sum(places.values()) != each["reachable"]:
            yield Objection(
                WHOLE_PLAN,
                f"the shortage has {sum(places.values())} places, and {each['reachable']} can be reached",
            )
        receiving = {*case.facts} if case.asked.targets is None else {*case.asked.targets}
        receiving -= case.drained
        names = {host: _names_on(case.facts.get(host)) for host in {host for host, _id in places}}
        for host, device_id in places:
            if host not in receiving or device_id not in names[host]:
                yield Objection(WHOLE_PLAN, f"{device_id} on {host} is not a place for anything")
        if case.is_of_the_occasion:
            yield from _places_not_counted(case, each, places.keys(), receiving & case.facts.keys())


def _names_on(facts: Entry | None) -> set[str]:
    """Return the devices and parents of a host, and the physical functions that these are of."""
    found = [each for part in ("devices", "parents") for each in (facts or {}).get(part, ())]
    names = {each.get(name) for each in found for name in ("id", "parent", "physical_function")}
    return {str(name) for name in names if name is not None}


def _places_not_counted(
    case: Case, shortage: Entry, places: t.Collection[Key], receiving: t.Collection[str]
) -> Objections:
    """Yield free devices that are counted nowhere, and are like one which is short of places and takes its like in.

    One is no place for what would bring the MAC address there that a guest has on the same card.
    """
    short: dict[t.Any, t.Any] = {}
    brought: dict[t.Any, set[str]] = defaultdict(set)
    types: set[tuple[str, str | None]] = set()
    for label in shortage["devices"]:
        device = case.device((label["host"], label["id"]))
        descriptor = case.descriptor(label["host"], device) if device else None
        if device and descriptor is not None and case.decides(descriptor, descriptor):
            like = place_like(device)
            short[like] = descriptor
            brought[like].add(address_held(device) or NO_MAC)
            types.add((device["kind"], device["type"]))
    for host in sorted(receiving):
        devices = case.facts[host]["devices"]
        held = {(each["parent"], address_held(each)) for each in devices}
        for device in devices:
            key = (host, device["id"])
            if (
                (device["kind"], device["type"]) not in types
                or key in places
                or case.is_planned(key)
                or device["in_use"] is not None
                or case.is_avoided(host, device["parent"])
            ):
                continue
            like = place_like(device)
            if like not in short or case.descriptor(host, device) is not short[like]:
                continue
            if "network" in device and all(
                (device["parent"], mac) in held for mac in brought[like]
            ):
                continue
            yield Objection(
                WHOLE_PLAN, f"{device['id']} on {host} is a place, and the shortage has it not"
            )


def the_cost_is_counted(case: Case) -> Objections:
    """Require that the cost counts what the placements do, and that a plan is optimal where its bound is its cost."""
    cost, bound = case.plan["cost"], case.plan["bound"]
    if cost is None:
        if bound is not None:
            yield Objection(WHOLE_PLAN, f"there is the bound {bound} and no cost")
        return
    arriving = {move.target_key[0] for move in case.moves}
    receiving = _receiving_domains(case, arriving)
    there = _there_after(case, arriving.union(*receiving))
    preferred = {*case.asked.prefer}
    counted = {
        "unplaced": len(case.unplaced),
        "not_preferred": sum(move.target_key[0] not in preferred for move in case.moves)
        if preferred
        else 0,
        "created": len(case.made),
        "load": max(map(there.__getitem__, arriving), default=0),
        "opened": len(_opened(case)),
        "other_type": sum(1 for move in case.moves if move.target["type"] != move.source["type"]),
    }
    if case.is_of_the_occasion:
        # Hosts that are excluded may have other devices and guests since.
        counted["domain_load"] = max(
            (sum(map(there.__getitem__, each)) for each in receiving), default=0
        )
    for name in cost.keys() & counted.keys():
        if cost[name] != counted[name]:
            yield Objection(
                WHOLE_PLAN, f"the cost has {cost[name]} {name}, the placements have {counted[name]}"
            )
    if (bound == cost and not cost["unplaced"]) != (case.plan["status"] == "optimal"):
        yield Objection(
            WHOLE_PLAN, f"status is {case.plan['status']}, cost {cost} and bound {bound}"
        )
    if bound is not None and any(bound.get(name, 0) > number for name, number in cost.items()):
        yield Objection(WHOLE_PLAN, f"cost {cost} is below the bound {bound}")


def _opened(case: Case) -> set[tuple[str, t.Any]]:
    """Return the parents under which there is nothing before the plan makes something there."""
    opened = {move.place for move in case.new}
    for host in {host for host, _parent in opened}:
        for each in case.devices.get(host, {}).values():
            if each["kind"] == "mdev":
                opened.discard((host, each["parent"]))
    return opened


def _receiving_domains(case: Case, arriving: set[str]) -> list[set[str]]:
    """Return the failure domains of hosts that receive anything; a host that is in none is one by itself."""
    domains = [{*hosts} for hosts in case.asked.failure_domains.values()]
    alone = [{each} for each in arriving.difference(*domains)]
    return [hosts for hosts in [*domains, *alone] if not hosts.isdisjoint(arriving)]


def _there_after(case: Case, hosts: set[str]) -> Counter[str]:
    """Return how many devices there are on each of these hosts in the end: those that come, and those held that stay."""
    there = Counter([move.target_key[0] for move in case.moves])
    for key, device in case.unmoved(hosts):
        if device["in_use"] is not None and key not in case.left:
            there[key[0]] += 1
    return there


def the_tables_say_what_the_placements_say(case: Case) -> Objections:
    """Require that ``map`` and ``hosts`` follow from the placements, with what the source lists for hosts to verify."""
    mapping, hosts = case.plan["map"], case.plan["hosts"]
    listed = {
        host: {each[name]: each for part, name in _LISTS.values() for each in lists[part]}
        for host, lists in hosts.items()
    }
    lengths = [len(lists[part]) for lists in hosts.values() for part, _name in _LISTS.values()]
    if sum(map(len, mapping.values())) != len(case.moves) or sum(lengths) != len(case.moves):
        yield Objection(
            WHOLE_PLAN, "'map' or 'hosts' has another number of devices than the placements"
        )
    by_source = case.plan["direction"] in ("source_lists", "both")
    accepted: dict[int, list[dict[str, str]] | None] = {}
    nothing: dict[str, t.Any] = {}
    for move in case.moves:
        (source_host, source_id), (host, device_id) = move.key, move.target_key
        if mapping.get(source_host, nothing).get(source_id) != device_id:
            yield move.objection(f"{move} is another in 'map'")
        if move.kind not in accepted:
            accepted[move.kind] = _accepted(case, move) if by_source else None
        entry = listed.get(host, nothing).get(device_id, nothing)
        if entry.get("accept") != accepted[move.kind] or not _is_listed(move.target, entry):
            yield move.objection(f"{move} is another in 'hosts'")


def _accepted(case: Case, move: Move) -> list[dict[str, str]] | None:
    """Return what a host is to verify: what the source lists, but for releases that are not compared, as the vGPU's version is taken."""
    source = move.descriptor
    if source is None or (not move.target["create"] and waits_for_its_matrix(case, move)):
        return None
    if move.target["create"]:
        shown = (move.parent or {}).get("configuration") or {}
    else:
        found = case.descriptor(move.target_key[0], move.there) if move.there else None
        shown = found.shown if found is not None else {}
    if not (source.derived and takes_version(source.shown, shown)):
        return source.written
    return [{n: text for n, text in each.items() if n != VERSION} for each in source.written]


def _is_listed(target: Entry, entry: Entry) -> bool:
    """Return whether ``entry``, of the list for a module, says the same of a device as the plan's ``target``."""
    kind, given = target["kind"], target["attributes"]
    if kind not in _LISTS or _LISTS[kind][1] not in entry:
        return False
    if kind == "vdpa":
        features = [each["value"] for each in given if each["name"] == "device_features"]
        values = {
            each["name"]: each["value"] for each in given if each["name"] != "device_features"
        }
        return (
            entry["mgmtdev"] == target["parent"]
            and entry.get("device_features", []) == features
            and {name: entry.get(name) for name in values.keys() | VDPA_VALUES & entry.keys()}
            == values
        )
    if entry.get("network") != target.get("network"):
        return False
    return bool(entry["attributes"] == given) and (
        kind == "pci" or (entry["parent"] == target["parent"] and entry["type"] == target["type"])
    )


RULES: tuple[Rule, ...] = (
    (attrgetter("plan"), status_and_shortage_are_true),
    (attrgetter("has_shortage"), a_shortage_counts_every_place),
    (attrgetter("plan"), the_cost_is_counted),
    (attrgetter("plan"), the_tables_say_what_the_placements_say),
)
