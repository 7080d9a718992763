# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The verifier of rebalancing: count loads, cards in use and moves again from raw facts and placements. Pure.

What moves where, the verifier of plans checks. It shares no code with what makes the plan.
"""

from __future__ import annotations

import typing as t
from collections import Counter

from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify_case import (
    Entry,
    Facts,
    Key,
)


def rebalance_objections(found: Entry, facts: Facts, unknown: t.Collection[str] = ()) -> list[str]:
    """Return what ``found``, a plan with what it comes to, counts otherwise than ``facts`` and placements do; empty for a sound one.

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
            wrong.append(f"{key[1]} on {key[0]} is held by nobody")
        guests.add((key[0], holders.get(key)))
        after[key[0]] -= 1
        after[each["target"]["host"]] += 1
    stated = {each["host"]: (each["before"], each["after"]) for each in found["loads"]}
    if stated != {host: (before[host], after[host]) for host in before}:
        wrong.append("the loads are others than those of facts and placements")
    measured = [sum(count**2 for count in loads.values()) for loads in (before, after)]
    if found["measure"] == "cards":
        measured = _cards_in_use(facts, holders, found["plan"]["placements"])
    counted = {"before": measured[0], "after": measured[1], "moves": len(guests)}
    wrong += [
        f"{name} is {found[name]}, and it comes to {value}"
        for name, value in counted.items()
        if found[name] != value
    ]
    if len(guests) > found["max_moves"]:
        wrong.append(f"{len(guests)} guests move, and {found['max_moves']} may")
    if guests and measured[1] >= measured[0]:
        wrong.append("guests move, and that makes nothing less")
    proven = found["bound"] == measured[1] and not unknown
    if found["bound"] > measured[1] or proven != (found["status"] == "optimal"):
        wrong.append(f"status is {found['status']} with the bound {found['bound']}")
    return wrong


def _holders(facts: Facts) -> dict[Key, t.Any]:
    """Return what tells apart who holds a device, for each that somebody holds."""
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
    """Return on how many cards somebody holds a device, before and after these moves."""
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
