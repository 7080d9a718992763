# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What the verifier holds of how a target was found compatible, and of what that assumes. Pure."""

from __future__ import annotations

import typing as t
from collections import Counter
from operator import attrgetter

from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify_capacity import (
    given_types,
    shows_no_capacity,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify_case import (
    Case,
    Entry,
    Key,
    Move,
    Objections,
    Rule,
    migration_features,
    of_each_kind,
    release,
    takes_version,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify_drivers import (
    known_of,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify_expected import (
    existing_descriptor,
    expected_target,
    settings_left,
    waits_for_its_matrix,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify_matching import (
    MUSTS,
    Attributes,
    NaiveDescriptor,
    NaiveSet,
    asked_of_target,
    learnt_names,
    set_matches,
    shown_attributes,
)

_ALL_SUPPORT_P2P = "a guest with several VFIO devices migrates only where all of them support P2P"
_SEVERAL_VGPUS = (
    "not every release of NVIDIA's vGPU software gives a guest several vGPUs of one GPU"
)
_ROOM_UNKNOWN = "only trying shows how many vGPUs the card holds"


class _Decision(t.NamedTuple):
    """The list that decides of a move: its ``owner``, and what the device of the other side may be.

    ``other`` is the target as far as it is known. Of a device that is to be made, ``given`` is what it is given. Where the
    version of a vGPU is ``taken``, no releases of its driver are compared.
    """

    owner: NaiveDescriptor
    subjects: list[dict[str, str]]
    owner_is_source: bool
    other: dict[str, str]
    given: frozenset[str] | None
    taken: bool


def _decision(case: Case, move: Move) -> _Decision | None:
    """Return which list decides of a move; ``None`` where other rules object to it as none can."""
    source = move.descriptor
    if move.target["create"]:
        made = expected_target(case, move)
        if source is None or made is None:
            return None
        shown = (move.parent or {}).get("configuration") or {}
        taken = takes_version(source.shown, shown)
        return _Decision(source, made.possible, True, made.certain, frozenset(made.given), taken)
    target = existing_descriptor(case, move)
    if source is None or target is None:
        return None
    taken = takes_version(source.shown, target.shown)
    listed = case.lists(source, target.own, True, taken=taken)
    if listed and case.plan["direction"] != "target_accepts":
        return _Decision(source, [target.own], True, target.own, None, taken)
    return _Decision(target, [source.own], False, target.own, None, taken)


def placements_name_the_set_that_matches(case: Case) -> Objections:
    """Require that the set is the first of the deciding list that matches, and that it does with the values in ``bindings``.

    Of a device that is to be made it need not be the first.
    """

    def reasons(move: Move) -> t.Iterator[str]:
        decision = _decision(case, move)
        if decision is not None:
            yield from _why_another_set(decision, move.found["set"], move.found["bindings"])

    return of_each_kind(case.moves, reasons)


def _why_another_set(decision: _Decision, number: int | None, bindings: Entry) -> t.Iterator[str]:
    """Yield why the set of this ``number`` is not that which matches."""
    sets = decision.owner.sets
    found = sets[number] if number is not None and number in range(len(sets)) else None
    if found is None or not _fits(found, decision, bindings):
        yield f"set {number} does not match with {dict(bindings)}"
        return
    earlier = sets[:number] if decision.given is None else ()
    if any(each is not None and _fits(each, decision) for each in earlier):
        yield f"a set before set {number} matches"


def _fits(found: NaiveSet, decision: _Decision, bindings: Entry | None = None) -> bool:
    """Return whether a set matches what the other side may be, by these ``bindings`` of all its variables or by any."""
    if bindings is not None:
        if bindings.keys() != found.values.keys():
            return False
        if any(value not in found.values[name] for name, value in bindings.items()):
            return False
        found = found._replace(values={name: (value,) for name, value in bindings.items()})
    version = release(decision.owner, decision.taken)
    return found.names.issuperset(decision.given or ()) and any(
        set_matches(found, each, decision.given is None, version, decision.owner_is_source)
        for each in decision.subjects
    )


def placements_warn_of_what_they_assume(case: Case) -> Objections:
    """Require a warning for each thing that a move assumes, and no other but those that a driver is known for."""
    known: dict[int, _Assumed | None] = {}
    judged: dict[t.Any, list[str]] = {}
    tried = _tried_at_once(case)
    moves = case.moves if any(map(_most_of, case.descriptors)) else []
    moving = Counter(end for move in moves if _limit(move) for end in _ends(move))
    for move in case.moves:
        if move.kind not in known:
            known[move.kind] = _assumed(case, move)
        of_kind = known[move.kind]
        if of_kind is None:
            continue
        needed = of_kind.beginnings + _needed_of_itself(move)
        if of_kind.is_derived:
            needed = (*needed, *_support_unknown(case, move), *_too_many(move, moving))
        if move.key in tried:
            needed = (*needed, tried[move.key])
        warnings = move.found["warnings"]
        # As a rule there is one for one, in this order.
        if len(warnings) == len(needed) and all(map(str.startswith, warnings, needed)):
            continue
        of_driver = move.descriptor is not None and move.descriptor.derived
        wording = (needed, tuple(warnings), of_driver)
        if wording not in judged:
            judged[wording] = [*_why_other_warnings(*wording)]
        for reason in judged[wording]:
            yield move.objection(f"{move} {reason}")


def _needed_of_itself(move: Move) -> tuple[str, ...]:
    """Return how the warnings begin that a move needs for what other moves of its kind need not share."""
    needed: tuple[str, ...] = ()
    if move.several:
        needed = _p2p_unknown(move)
    holder = move.source["in_use"]
    if holder is not None and holder.get("pid") is None:
        needed = (*needed, f"it is unknown whether a process holds {move.source['id']}")
    if move.several_vgpus:
        needed = (*needed, _SEVERAL_VGPUS)
    if move.target["create"] and move.parent is not None and shows_no_capacity(move.parent):
        needed = (*needed, _ROOM_UNKNOWN)
    if move.there is not None and ("network" in move.source or "network" in move.there):
        needed = (*needed, *settings_left(move))
    return needed


def _why_other_warnings(
    needed: tuple[str, ...], warnings: tuple[str, ...], of_driver: bool
) -> t.Iterator[str]:
    """Yield which warnings are missing of those ``needed``, and which are unfounded; a descriptor ``of_driver`` may bring some of its own."""
    # A warning begins with what it is needed for.
    for beginning in needed:
        if not any(each.startswith(beginning) for each in warnings):
            yield f"does not warn: {beginning}"
    unfounded = () if of_driver else [each for each in warnings if not each.startswith(needed)]
    if unfounded:
        yield f"warns of what is not so: {'; '.join(unfounded)}"


def _tried_at_once(case: Case) -> dict[Key, str]:
    """Return how the warning begins of devices that a card which has types is given several of, by source."""
    return {
        move.key: f"only trying shows whether {each.card[1]} on {each.card[0]} takes all {len(each.moves)}"
        for each in given_types(case)
        if each.with_type and len(each.moves) > 1
        for move in each.moves
    }


def _support_unknown(case: Case, move: Move) -> t.Iterator[str]:
    """Yield how the warning begins that a side needs of which neither debugfs nor its driver says that it migrates."""
    ends = [("source", move.source, move.descriptor)]
    there = None if move.target["create"] else move.there
    if there is not None:
        ends.append(("target", there, case.descriptor(move.target_key[0], there)))
    for side, device, descriptor in ends:
        if descriptor is None or not descriptor.derived:
            continue
        if device["migration"]["supported"] is None and known_of(descriptor.own).needs_more:
            driver = descriptor.own["driver"]
            yield f"whether the {side} can migrate is not known: driver {driver} "


def _limit(move: Move) -> int:
    """Return how many functions of one physical function the driver of a move migrates at a time, 0 for any number."""
    return _most_of(move.descriptor) if move.source["kind"] == "pci" else 0


def _most_of(descriptor: NaiveDescriptor | None) -> int:
    if descriptor is None or not descriptor.derived:
        return 0
    return known_of(descriptor.own).at_once


def _ends(move: Move) -> t.Iterator[str]:
    """Yield, in words, the physical function that a move leaves and that which it goes to, with its wave."""
    left, found = move.source["parent"], move.target["parent"]
    if left is not None:
        yield f"leave {left} on {move.key[0]} in wave {move.wave}"
    if found is not None and move.target["kind"] == "pci":
        yield f"go to {found} on {move.target_key[0]} in wave {move.wave}"


def _too_many(move: Move, moving: t.Mapping[str, int]) -> t.Iterator[str]:
    """Yield how the warning begins for each physical function that more leave, or go to, in one wave than can at a time."""
    most = _limit(move)
    own = move.descriptor.own if move.descriptor else {}
    for end in _ends(move) if most else ():
        if moving[end] > most:
            yield (
                f"{own['driver']} migrates at most {most} functions of one physical function at a time, and"
                f" {moving[end]} {end},"
            )


def _p2p_unknown(move: Move) -> tuple[str, ...]:
    """Return how the warning begins that one of a guest's several devices needs; the kernel shows nothing of a device to be made."""
    features = migration_features(move.source)
    if move.there is not None:
        return () if features and migration_features(move.there) else (_ALL_SUPPORT_P2P,)
    own = "" if features else f"{move.source['id']} and "
    host = move.target_key[0]
    return (f"{_ALL_SUPPORT_P2P}, which the kernel does not show of {own}the new device on {host}",)


class _Assumed(t.NamedTuple):
    """How the warnings begin that moves of a kind need, and whether one of their ends is derived."""

    beginnings: tuple[str, ...]
    is_derived: bool


def _assumed(case: Case, move: Move) -> _Assumed | None:
    """Return how the warnings begin that are needed for what a move assumes of the devices themselves.

    ``None`` where other rules object to the move, as nothing decides of it.
    """
    decision = _decision(case, move)
    number = move.found["set"]
    if decision is None or number not in range(len(decision.owner.sets)):
        return None
    found = {*_assumptions(case, move, decision, decision.owner.sets[number])}
    there = None if move.there is None else case.descriptor(move.target_key[0], move.there)
    is_derived = any(each is not None and each.derived for each in (move.descriptor, there))
    return _Assumed(tuple(sorted(found)), is_derived)


def _assumptions(
    case: Case, move: Move, decision: _Decision, found: NaiveSet | None
) -> t.Iterator[str]:
    """Yield how the warning begins that is needed for each thing that a move assumes."""
    source = t.cast("NaiveDescriptor", move.descriptor)
    own, other, named = source.own, decision.other, found.names if found else frozenset()
    must = MUSTS.get(decision.subjects[0].get("device_api", ""))
    if must and must not in named:
        yield f"the pattern states no {must}"
    if decision.given is None:
        either = source.derived or decision.owner.derived
        yield from _uncompared(own, other, named, either)
    if own["type"] == other["type"] and own.get("pci_id") != other.get("pci_id"):
        yield f"the type is the same, but the PCI id is {_both(own, other, 'pci_id')}"
    target = None if move.target["create"] else existing_descriptor(case, move)
    derived = [("source", source.derived), ("target", target is not None and target.derived)]
    if sides := [side for side, is_derived in derived if is_derived]:
        yield f"the descriptor {' and '.join(f'of the {side}' for side in sides)} is derived"
    if target is not None:
        taken = decision.taken
        listed = case.lists(source, target.own, True, taken=taken)
        accepted = case.lists(target, own, False, taken=taken)
        if listed != accepted:
            yield f"the {'source' if listed else 'target'}'s list has the other device"
        yield from _not_shown(source.shown, target.shown)
        if waits_for_its_matrix(case, move):
            yield "nothing is assigned to the target yet"


def _uncompared(
    own: Attributes, other: Attributes, named: frozenset[str], derived: bool
) -> t.Iterator[str]:
    """Yield in which attributes two devices differ that no set names, or that one of them does not show."""
    learnt = learnt_names({**other, **own}) if derived else frozenset()
    for name in (own.keys() | other.keys()) - named - learnt - {"software_version", "pci_id"}:
        if own.get(name) != other.get(name):
            yield f"{name} is not compared: it is {_both(own, other, name)}"
    shown, shown_there = shown_attributes(own), shown_attributes(other)
    asked = asked_of_target(own) if derived else set()
    for name in asked - shown_there.keys():
        yield f"{name} is not shown on the target"
    for name in learnt - asked:
        if (name in shown) != (name in shown_there):
            yield f"{name} is {shown.get(name, 'not shown')} on the source and"


def _not_shown(*shown: t.Mapping[str, str]) -> t.Iterator[str]:
    """Yield what is not known of two devices although QEMU compares it."""
    shows_id = ["pci.id" in each for each in shown]
    lists = {"pci.capabilities", "pci.extended"}
    if any(shows_id) and not all(lists <= each.keys() for each in shown):
        yield "not all of what a guest sees of the configuration space is known of both devices"
    if all(shows_id) and len({"pci.0001" in each for each in shown}) > 1:
        yield "the registers of Advanced Error Reporting are not compared"


def _both(own: Attributes, other: Attributes, name: str) -> str:
    return f"{own.get(name, 'absent')} on the source and {other.get(name, 'absent')} on the target"


RULES: tuple[Rule, ...] = (
    (attrgetter("moves"), placements_name_the_set_that_matches),
    (attrgetter("moves"), placements_warn_of_what_they_assume),
)
