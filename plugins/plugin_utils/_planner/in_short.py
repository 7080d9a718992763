# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Who has no place and why, in few words: for messages that have no space for all that a plan says. Pure."""

from __future__ import annotations

import re
import typing as t
from collections import defaultdict

from ansible_collections.vfio.migration.plugins.plugin_utils._compat.wording import counted
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import (
    ReasonCode,
    Unplaced,
    UnplacedReason,
)

# So many guests, devices of one and reasons are named; the others are counted.
MAX_GUESTS = 5
MAX_DEVICES = 4
MAX_REASONS = 3
# What is nearest to being out of the way first: hosts with places, then such with what would be one.
NEAREST_FIRST: tuple[ReasonCode, ...] = (
    *("capacity", "limit", "apart", "guest_together", "guest_device", "avoided"),
    *(
        "taken",
        "capacity_taken",
        "no_capacity",
        "card_full",
        "holder_unknown",
        "in_use",
        "moves_itself",
    ),
    *("mac_address", "queue_assigned", "other_uuid", "condition", "target_no_p2p"),
    *("driver_version", "major_version", "configuration", "attribute", "no_list", "void_set"),
    *("unknown_device", "no_facts", "not_examined", "no_hardware", "nothing_usable"),
)
# Of a host of which this is said nothing else is, and it is of use only where there is no other one.
_NOTHING_THERE = frozenset({"no_hardware", "nothing_usable"})
# What is no part of the name of a host.
_NO_NAME = re.compile(r"[^\w.-]+")
_RANK = {code: rank for rank, code in enumerate(NEAREST_FIRST)}


def capped(words: t.Sequence[str], most: int, noun: str, between: str = ", ") -> str:
    """Return the first of ``words``, and how many more there are."""
    more = [f"and {counted(len(words) - most, f'more {noun}')}"] if len(words) > most else []
    return between.join([*words[:most], *more])


def guests_in(unplaced: t.Iterable[Unplaced]) -> str:
    """Return the guests that devices without a place are of, each with these."""
    guests: dict[tuple[str | None, ...], list[str]] = defaultdict(list)
    for each in unplaced:
        source = each["source"]
        # A device of no known guest is by itself.
        alone = None if each["vm"] or each.get("vm_uuid") else source["id"]
        guests[source["host"], each["vm"] or each.get("vm_uuid"), alone].append(source["id"])
    words = [
        f"{name} ({capped(devices, MAX_DEVICES, 'device')})" if name else devices[0]
        for (_host, name, _alone), devices in guests.items()
    ]
    return capped(words, MAX_GUESTS, "guest")


def why_in(unplaced: t.Iterable[Unplaced]) -> str:
    """Return what is short for devices without a place: of each what is nearest to being out of the way, equal reasons once."""
    found: dict[str, None] = {}
    for each in unplaced:
        found |= dict.fromkeys(_nearest(each["reasons"]))
    return capped([*found], MAX_REASONS, "reason", "; ")


def _nearest(reasons: t.Sequence[UnplacedReason]) -> list[str]:
    """Return the reasons for all hosts together, else of each host the nearest to being out of the way, the nearest host first."""
    everywhere = [each for each in reasons if each["host"] is None and each["code"] != "more"]
    if everywhere:
        return [each["reason"] for each in everywhere]
    by_host: dict[str | None, UnplacedReason] = {}
    for each in sorted(reasons, key=lambda each: _RANK.get(each["code"], -1)):
        by_host.setdefault(each["host"], each)
    of_use = [each for each in by_host.values() if each["code"] not in _NOTHING_THERE]
    return [_on_its_host(each) for each in of_use or by_host.values()]


def _on_its_host(reason: UnplacedReason) -> str:
    """Return a reason with its host, which the words of most have."""
    host, words, alike = reason["host"], reason["reason"], reason.get("alike", 0)
    said = _NO_NAME.split(words)
    # It may be another host that is named, by a guest there.
    is_named = host is None or (host in said and "there" not in said)
    named = words if is_named else f"{host}: {words}"
    return f"{named} (and {counted(alike, 'more host')} alike)" if alike else named
