# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What the verifier holds of parents and cards: none is given more than it can hold. Pure."""

from __future__ import annotations

import math
import re
import typing as t
from collections import Counter, defaultdict
from fractions import Fraction
from operator import attrgetter

from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify_case import (
    POSITIVE,
    Case,
    Entry,
    Key,
    Move,
    Objection,
    Objections,
    Rule,
    keys_of,
    last_part,
    name_of,
)


def no_parent_is_overcommitted(case: Case) -> Objections:
    """Require that no more is created under a parent than its types have instances.

    The types of an i915 share what it has, graphics memory and fences (drivers/gpu/drm/i915/gvt/vgpu.c): what so many
    instances of a type take as are available is there, else each takes its part. A GPU of NVIDIA's that is no card of virtual
    functions makes types of one frame buffer. Any other parent makes one type in one plan.
    """
    made: dict[Key, dict[str, int]] = {}
    for move in case.new:
        target = move.target
        types = made.get(move.place)
        if types is None:
            types = made[move.place] = {}
        types[target["type"]] = types.get(target["type"], 0) + instances_taken(target)
    for place, types in made.items():
        parent = case.parent(place) or {"types": ()}
        available = {each["id"]: each["available_instances"] for each in parent["types"]}
        short = [each for each, count in types.items() if count > available.get(each, 0)]
        for each in short:
            yield Objection(
                keys_of(each for each in case.moves if each.place == place),
                f"{types[each]} of {each} are not to be had under {name_of(place)}",
            )
        mixed = len(types) > 1 and not short
        if mixed and not _fit_together(types, parent):
            yield Objection(
                keys_of(each for each in case.moves if each.place == place),
                f"{', '.join(sorted(types))} do not fit together under {name_of(place)}",
            )


def _fit_together(made: t.Mapping[str, int], parent: Entry) -> bool:
    """Return whether several types may be made under a parent in one plan, so many of each."""
    if parent.get("driver") == "i915":
        return _is_there(made, parent["types"])
    if parent.get("driver") != "nvidia" or parent.get("physical_function"):
        return False
    types = [each for each in parent["types"] if each["id"] in made]
    sizes = {
        (stated_number("framebuffer", each), stated_number("max_instance", each)) for each in types
    }
    # Each takes one instance of all of them.
    least = min(each["available_instances"] for each in types)
    return len(sizes) == 1 and all(map(all, sizes)) and sum(made.values()) <= least


def _is_there(made: t.Mapping[str, int], types: t.Sequence[Entry]) -> bool:
    """Return whether an i915 has what these devices take: by what its types state that they take, or by their shares."""
    available = {each["id"]: each["available_instances"] for each in types}
    takes = {each["id"]: amounts_taken(each) for each in types}
    names = {name for each in takes.values() for name in each}
    left = {
        name: max(available[each] * takes[each].get(name, 0) for each in takes) for name in names
    }
    if not all(any(each.values()) for each in takes.values()) or any(
        all(left[name] >= (available[each] + 1) * takes[each].get(name, 0) for name in names)
        for each in takes
    ):
        # It is not stated what types take, or there were capacity for more than are available.
        whole = math.lcm(*(available[each] for each in made))
        taken: int = sum(count * (whole // available[each]) for each, count in made.items())
        return taken <= whole
    return all(
        sum(count * takes[each].get(name, 0) for each, count in made.items()) <= left[name]
        for name in names
    )


def amounts_taken(mdev_type: Entry) -> dict[str, int]:
    """Return what a type of GVT-g states that a device takes (drivers/gpu/drm/i915/gvt/kvmgt.c, description_show)."""
    if mdev_type.get("resources"):
        return dict(mdev_type["resources"])
    if mdev_type.get("description") is None:
        return {}
    text = str(mdev_type["description"])
    found = re.findall(r"\b(low_gm_size|high_gm_size|fence): (\d{1,9})(?:MB)?(?=[\s,]|$)", text)
    return {name: int(amount) for name, amount in found} if len(found) == 3 else {}


def no_card_holds_more_than_it_can(case: Case) -> Objections:
    """Require that the parents of one card get no more devices than it holds of their types, and of one size.

    ``max_instance=N`` and ``framebuffer=M`` in the description of a type are of the whole card, of which each parent is
    a virtual function (OpenStack Nova, doc/source/admin/virtual-gpu.rst). With MIG a card takes several sizes.
    """
    new: dict[Key, list[Move]] = defaultdict(list)
    for move in case.new:
        parent = move.parent or {}
        card = parent.get("physical_function")
        if card and any(stated_number("max_instance", each) for each in parent["types"]):
            new[move.target_key[0], card].append(move)
    on_cards = _on_cards(case, {host for host, _card in new})
    for card, moves in new.items():
        made = [(move.parent or {}, move.target["type"]) for move in moves]
        types = [_type_of(*each) for each in made + on_cards[card]]
        most = [stated_number("max_instance", each) or 1 for each in types]
        if sum(Fraction(1, each) for each in most) > 1:
            yield Objection(
                keys_of(moves), f"{name_of(card)} holds fewer than {len(types)} devices"
            )
        sizes = {_frame_buffer(each) for each in types[: len(made)]}
        there = {_frame_buffer(each) for each in types[len(made) :]}
        if len(sizes | (there if len(there) == 1 else set())) > 1:
            yield Objection(keys_of(moves), f"{name_of(card)} takes one size of frame buffer only")
        for place, count in Counter(move.place for move in moves).items():
            if count > 1:
                yield Objection(keys_of(moves), f"{count} devices are made under {name_of(place)}")


def _on_cards(case: Case, hosts: t.Iterable[str]) -> dict[Key, list[tuple[Entry, str]]]:
    """Return the parents and the types of the mdevs that each card of these hosts has."""
    found: dict[Key, list[tuple[Entry, str]]] = defaultdict(list)
    for host in hosts:
        for device in case.devices[host].values():
            parent = case.parents[host].get(device["parent"], {})
            if device["kind"] == "mdev" and parent.get("physical_function"):
                found[host, parent["physical_function"]].append((parent, device["type"]))
    return found


def shows_no_capacity(parent: Entry) -> bool:
    """Return whether a parent is a virtual function of NVIDIA's none of whose types states how many the card holds."""
    return (
        parent.get("driver") == "nvidia"
        and bool(parent.get("physical_function"))
        and not any(stated_number("max_instance", each) for each in parent["types"])
    )


def _type_of(parent: Entry, type_id: str) -> Entry:
    return next((each for each in parent["types"] if each["id"] == type_id), {"id": type_id})


def _frame_buffer(mdev_type: Entry) -> t.Hashable:
    stated = stated_number("framebuffer", mdev_type) or mdev_type["id"]
    return _alike(named_size(str(mdev_type.get("name"))), stated)


def _alike(size: tuple[int, int] | None, otherwise: t.Hashable) -> t.Hashable:
    """Return what is equal of types that one card takes: one value for all with MIG, else what distinguishes their sizes."""
    return "MIG" if size and size[0] else otherwise


def stated_number(name: str, mdev_type: Entry) -> int:
    """Return a number that the description of a type states, 0 where it states none."""
    found = re.search(rf"\b{name}=(\d{{1,9}})", str(mdev_type.get("description")))
    return int(mdev_type.get(name) or (found[1] if found else 0))


def functions_of_a_card_are_given_what_it_holds(case: Case) -> Objections:
    """Require that functions of one card are given types of one size, no more than fit beside each other.

    Only names show how much a type takes, ``L40S-8Q`` or with MIG ``A100-1-5C``: the greatest one that an empty card
    takes is the whole card. Of a card that has devices with a type already, functions are given one for one guest at a time.
    """
    for card, moves, names, with_type in given_types(case):
        values = {move.target["attributes"][0]["value"] for move in moves}
        if with_type and len({_holder(move) for move in moves}) > 1:
            yield Objection(
                keys_of(moves), f"{name_of(card)} is given types for several guests at a time"
            )
        sizes = {each: named_size(names.get(each, "")) for each in values}
        if len({_alike(size, size or each) for each, size in sizes.items()}) > 1:
            yield Objection(keys_of(moves), f"{name_of(card)} takes one size of frame buffer only")
        given_sizes = [sizes[move.target["attributes"][0]["value"]] for move in moves]
        taken = [Fraction(1, _fitting(each, names.values())) for each in given_sizes if each]
        if sum(taken) > 1 and not with_type:
            yield Objection(
                keys_of(moves), f"{name_of(card)} holds fewer than {len(moves)} devices"
            )


class GivenTypes(t.NamedTuple):
    """The ``moves`` that give functions of a card a type, ``names`` of types that are to be had there, and how many have one already."""

    card: Key
    moves: list[Move]
    names: dict[str, str]
    with_type: int


def given_types(case: Case) -> list[GivenTypes]:
    """Return what each card is given whose functions become targets by a type."""
    given: dict[Key, list[Move]] = defaultdict(list)
    for move in case.made:
        if not move.target["create"] and move.there is not None:
            given[move.target["host"], move.target["parent"] or move.target["id"]].append(move)
    attributes: dict[Key, list[Entry]] = defaultdict(list)
    for host in {host: None for host, _card in given}:
        for device in case.devices[host].values():
            if (host, device["parent"]) in given:
                attributes[host, device["parent"]] += device["attributes"]
    found = []
    for card, moves in given.items():
        named = moves[0].target["attributes"][0]["name"]
        names: dict[str, str] = {}
        for each in attributes[card]:
            names.update(zip(each.get("choices", ()), each.get("choice_names", ()), strict=False))
        with_type = sum(
            each["name"] == named and "choices" not in each for each in attributes[card]
        )
        found.append(GivenTypes(card, moves, names, with_type))
    return found


def _holder(move: Move) -> Key:
    pid = (move.source["in_use"] or {}).get("pid")
    return move.key[0], move.key[1] if pid is None else pid


def named_size(name: str) -> tuple[int, int] | None:
    """Return slices and GB of a type by its name; a type with media engines, of which there are few, takes the whole card."""
    found = re.fullmatch(r".*?-(?:(\d{1,3})-)?(\d{1,4})([A-Z](ME|GFX)?\d*)", name)
    if found is None or int(found[2]) == 0:
        return None
    return int(found[1] or 0), 10**6 if "ME" in found[3] else int(found[2])


def _fitting(size: tuple[int, int], names: t.Iterable[str]) -> int:
    slices, memory = size
    alike = [each for each in map(named_size, names) if each and bool(each[0]) == bool(slices)]
    whole = max(each for each in alike if each[1] < 10**6) if memory < 10**6 else size
    return max(1, min(whole[1] // memory, whole[0] // slices if slices else whole[1]))


def instances_taken(target: Entry) -> int:
    """Return how many instances a new device takes: an mdev with ``aggregator`` n is n of its type."""
    if not target["attributes"]:
        return 1
    values = [
        each["value"] for each in target["attributes"] if last_part(each["name"]) == "aggregator"
    ]
    return max([1, *(int(each) for each in values if POSITIVE.fullmatch(each))])


RULES: tuple[Rule, ...] = (
    (attrgetter("made"), no_parent_is_overcommitted),
    (attrgetter("new"), no_card_holds_more_than_it_can),
    (attrgetter("made"), functions_of_a_card_are_given_what_it_holds),
)
