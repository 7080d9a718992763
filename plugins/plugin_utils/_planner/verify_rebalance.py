# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The verifier of rebalancing: count loads, cards in use, places of a type and moves again from raw facts and placements. Pure.

What moves where, the verifier of plans checks; in which order, both do. It shares no code with what makes the plan.
"""

from __future__ import annotations

import typing as t
from collections import Counter, defaultdict

from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify_case import (
    Entry,
    Facts,
    Key,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify_places import (
    places_of_type,
)


def rebalance_objections(found: Entry, facts: Facts, unknown: t.Collection[str] = ()) -> list[str]:
    """Return what ``found``, a plan with its measure, counts otherwise than ``facts`` and placements do; empty for a sound one.

    ``facts`` maps each host to its ``vfio_migration`` facts; nothing is proven where further hosts are ``unknown``.
    """
    holders = _holders(facts)
    before = Counter(dict.fromkeys(facts, 0))
    before.update([host for host, _device in holders])
    after = before.copy()
    guests = set()
    wrong = []
    for each in found["plan"]["placements"]:
        key = (each["source"]["host"], each["source"]["id"])
        if key not in holders:
            wrong.append(f"{key[1]} on {key[0]} is not in use")
        guests.add((key[0], holders.get(key)))
        after[key[0]] -= 1
        after[each["target"]["host"]] += 1
    wrong += _out_of_turn(found["plan"]["placements"], holders)
    stated = {each["host"]: (each["before"], each["after"]) for each in found["loads"]}
    if stated != {host: (before[host], after[host]) for host in before}:
        wrong.append("the loads are others than those of facts and placements")
    if found["moves"] != len(guests):
        wrong.append(f"moves is {found['moves']}, and it comes to {len(guests)}")
    if len(guests) > found["max_moves"]:
        wrong.append(f"{len(guests)} guests move, and {found['max_moves']} may")
    measured = [sum(count**2 for count in loads.values()) for loads in (before, after)]
    if found["measure"] == "cards":
        measured = _cards_in_use(facts, holders, found["plan"]["placements"])
    if found["measure"] == "largest":
        return wrong + _of_the_largest(found, facts, unknown)
    return wrong + _of_the_measure(found, [(each,) for each in measured], unknown)


def _out_of_turn(placements: t.Iterable[Entry], holders: t.Iterable[Key]) -> list[str]:
    """Return which places are not free yet, or not any more, in the wave in which a guest takes them.

    What is left in a wave is free once all of that wave have moved.
    """
    held = {*holders}
    waves: dict[int, list[Entry]] = defaultdict(list)
    for each in placements:
        waves[each["wave"]].append(each)
    wrong = []
    for number, moves in sorted(waves.items()):
        for each in moves:
            place = (each["target"]["host"], each["target"]["id"])
            if place in held:
                wrong.append(f"{place[1]} on {place[0]} is not free in wave {number}")
            held.add(place)
        held -= {(each["source"]["host"], each["source"]["id"]) for each in moves}
    return wrong


def _of_the_largest(found: Entry, facts: Facts, unknown: t.Collection[str]) -> list[str]:
    """Return what is wrong with the places that the largest guest is said to have."""
    most = []
    for places in places_of_type(facts, found["plan"]["placements"], found["device_type"]):
        largest = max(places, default=0)
        most.append((largest, places.count(largest) if largest else 0))
    return _of_the_measure(found, most, unknown)


def _of_the_measure(
    found: Entry, measured: t.Sequence[tuple[int, ...]], unknown: t.Collection[str]
) -> list[str]:
    """Return what is wrong with the stated values of the measure, where it was and will be so much by facts and placements."""
    hosts = found["hosts_with_places"]
    if (hosts is None) != (found["measure"] != "largest"):
        return ["hosts have places by another measure, or by none"]
    wrong, stated = [], {}
    for name in ("before", "after", "bound"):
        stated[name] = (found[name],) if hosts is None else (found[name], hosts[name])
    for name, value in zip(("before", "after"), measured, strict=True):
        if stated[name] != value:
            wrong.append(f"{name} is {_words(stated[name])}, and it comes to {_words(value)}")
    before, after = measured
    bound = stated["bound"]
    better, beyond = (after < before, bound > after)
    if hosts is not None:
        better, beyond = (after > before, bound < after)
    if found["moves"] and not better:
        wrong.append("guests move, and that makes nothing better")
    proven = bound == after and not unknown
    if beyond or proven != (found["status"] == "optimal"):
        wrong.append(f"status is {found['status']} with the bound {_words(bound)}")
    return wrong


def _words(value: tuple[int, ...]) -> str:
    return " on hosts: ".join(map(str, value))


def _holders(facts: Facts) -> dict[Key, t.Any]:
    """Return the pid of each held device's process, or the device's id where that is unknown."""
    found: dict[Key, t.Any] = {}
    for host, each in facts.items():
        for device in each["devices"]:
            if device["in_use"] is not None:
                pid = device["in_use"].get("pid")
                found[host, device["id"]] = device["id"] if pid is None else pid
    return found


def _cards_in_use(
    facts: Facts, holders: t.Collection[Key], placements: t.Iterable[Entry]
) -> list[int]:
    """Return on how many cards a process holds a device, before and after these moves."""
    functions: dict[Key, str] = {
        (host, parent["id"]): parent.get("physical_function") or parent["id"]
        for host, each in facts.items()
        for parent in each["parents"]
    }

    def card(host: str, device: Entry) -> Key:
        under: str = device["parent"] or device["id"]
        return host, functions.get((host, under), under)

    held = {
        (host, device["id"]): card(host, device)
        for host, each in facts.items()
        for device in each["devices"]
        if (host, device["id"]) in holders
    }
    before = {*held.values()}
    arrived = []
    for each in placements:
        held.pop((each["source"]["host"], each["source"]["id"]), None)
        arrived.append(card(each["target"]["host"], each["target"]))
    return [len(before), len({*held.values(), *arrived})]
