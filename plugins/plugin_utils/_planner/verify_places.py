# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What the verifier finds of places of one type: how many devices of it a host can give, before and after moves. Pure.

It reads raw facts, and shares no code with what makes the plan.
"""

from __future__ import annotations

import itertools
import typing as t
from collections import Counter, defaultdict
from fractions import Fraction

from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify_capacity import (
    amounts_taken,
    instances_taken,
    named_size,
    stated_number,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify_case import (
    Entry,
    Facts,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify_matching import (
    read_naive_descriptor,
)


def places_of_type(
    facts: Facts, placements: t.Iterable[Entry], type_id: str
) -> tuple[list[int], list[int]]:
    """Return for each host how many more devices of a type can be given to a guest, before and after these moves."""
    left: dict[str, set[str]] = defaultdict(set)
    arriving: dict[str, list[Entry]] = defaultdict(list)
    for each in placements:
        left[each["source"]["host"]].add(each["source"]["id"])
        arriving[each["target"]["host"]].append(each["target"])
    before, after = [], []
    for host, each in facts.items():
        before.append(_places(each, type_id, set(), []))
        after.append(_places(each, type_id, left[host], arriving[host]))
    return before, after


def _places(host: Entry, type_id: str, left: set[str], arriving: t.Sequence[Entry]) -> int:
    taken = {each["id"] for each in arriving}
    # What a later guest takes over is not left for long.
    left = left - taken
    free = {
        device["id"]
        for device in host["devices"]
        if _is_usable(host, device, type_id)
        and (device["in_use"] is None or device["id"] in left)
        and device["id"] not in taken
    }
    cards: dict[str, list[Entry]] = defaultdict(list)
    for parent in host["parents"]:
        cards[_card(parent)].append(parent)
    number = len(free)
    for parents in cards.values():
        names = {each["id"] for each in parents}
        number += _further(
            _Card(
                parents,
                [each for parent in parents for each in parent["types"] if each["id"] == type_id],
                [each for each in host["devices"] if each["parent"] in names],
                [each for each in arriving if each["create"] and each["parent"] in names],
            ),
            free,
            left,
        )
    return number


class _Card(t.NamedTuple):
    """A parent, or the ``parents`` that are functions of one card: what they have of the type, the devices under them, and those to be made."""

    parents: list[Entry]
    offered: list[Entry]
    under: list[Entry]
    made: list[Entry]

    @property
    def is_shared(self) -> bool:
        """Whether it is a card of which parents are functions."""
        return bool(_card(self.parents[0]) != self.parents[0]["id"])

    @property
    def types(self) -> dict[str, Entry]:
        """What its parents can make."""
        return {each["id"]: each for parent in self.parents for each in parent["types"]}


def _card(parent: Entry) -> str:
    """Return what parents have in common that share what they can hold."""
    if parent.get("driver") == "nvidia" and parent.get("physical_function") is not None:
        return str(parent["physical_function"])
    return str(parent["id"])


def _is_usable(host: Entry, device: Entry, type_id: str) -> bool:
    """Return whether a device of the type can be given to a guest as it is."""
    name = device["descriptor"]
    return (
        device["type"] == type_id
        and device["migration"]["supported"] is not False
        and not any("choices" in each for each in device["attributes"])
        and name is not None
        and read_naive_descriptor(host["descriptors"].get(name)) is not None
    )


def _further(card: _Card, free: set[str], left: set[str]) -> int:
    """Return how many devices of the type a parent or card can still make, beside those that are ``free``."""
    if not card.offered:
        return 0
    wanted = card.offered[0]
    if card.parents[0].get("driver") == "i915":
        gone = [e for e in card.under if e["id"] in left and e["type"] != wanted["id"]]
        return _of_common_resources(card.parents[0]["types"], wanted, gone, card.made)
    available = _available(card)
    if card.made:
        others = card.is_shared or any(each["type"] != wanted["id"] for each in card.made)
        return 0 if others else max(0, available - sum(map(instances_taken, card.made)))
    another = any(each["type"] != wanted["id"] and each["id"] in left for each in card.under)
    if another and all(each["id"] in left | free for each in card.under):
        return max(available, _holds(card) - sum(each["id"] in free for each in card.under))
    return available


def _available(card: _Card) -> int:
    """Return how many more of the type there can be now."""
    available: int = sum(each["available_instances"] for each in card.offered)
    if not card.is_shared or not available:
        return available
    used = [
        stated_number("max_instance", card.types.get(each["type"], {})) or 1 for each in card.under
    ]
    unused = 1 - sum(Fraction(1, each) for each in used)
    return max(1, min(available, int(max(unused, Fraction(0)) * _stated_most(card))))


def _holds(card: _Card) -> int:
    """Return how many of the type an empty one holds for sure: with MIG, of which facts do not show whether it is on, none."""
    types = {card.offered[0]["id"], *(each["type"] for each in card.under)}
    sizes = [named_size(str(card.types.get(each, {}).get("name"))) for each in types]
    if any(size and size[0] for size in sizes):
        return 0
    most = _stated_most(card)
    return min(most, len(card.offered)) if card.is_shared else most


def _stated_most(card: _Card) -> int:
    return min(stated_number("max_instance", each) for each in card.offered)


def _of_common_resources(
    types: t.Sequence[Entry], wanted: Entry, gone: t.Sequence[Entry], made: t.Sequence[Entry]
) -> int:
    """Return how many devices of the ``wanted`` type an i915 can still make, once some are ``gone`` and others ``made``."""
    available = {each["id"]: each["available_instances"] for each in types}
    counts: Counter[str] = Counter()
    for each in made:
        counts[each["type"]] += instances_taken(each)
    if not counts.keys() <= available.keys():
        return 0
    takes = {each["id"]: amounts_taken(each) for each in types}
    names = {name for each in takes.values() for name in each}
    there = {
        name: max(available[each] * takes[each].get(name, 0) for each in takes) for name in names
    }
    if not _are_stated(takes, available, there):
        used = sum(
            (Fraction(count, available[each]) if available[each] else Fraction(1))
            for each, count in counts.items()
        )
        return max(0, int((1 - used) * available[wanted["id"]])) if used <= 1 else 0
    for each in gone:
        counts[each["type"]] -= instances_taken(each)
    for type_id, count in counts.items():
        for name, amount in takes.get(type_id, {}).items():
            there[name] -= count * amount
    needs = takes[wanted["id"]].items()
    left: int = min(there[name] // amount for name, amount in needs if amount)
    return max(0, left)


def _are_stated(
    takes: t.Mapping[str, t.Mapping[str, int]],
    available: t.Mapping[str, int],
    there: t.Mapping[str, int],
) -> bool:
    """Return whether the types of a parent state what they take, and do not contradict themselves."""
    amounts = sorted(tuple(each.get(name, 0) for name in sorted(there)) for each in takes.values())
    in_order = all(
        less <= more
        for pair in itertools.pairwise(amounts)
        for less, more in zip(*pair, strict=True)
    )
    return (
        in_order
        and all(any(each.values()) for each in takes.values())
        and all(
            any(
                there[name] < (available[each] + 1) * amount for name, amount in takes[each].items()
            )
            for each in takes
        )
    )
