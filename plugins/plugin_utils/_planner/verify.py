# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The verifier: check a finished plan against the raw facts. Pure.

It shares no code with what makes plans. It reads facts, templates, versions and virtio features by itself and in the
most naive way, so that one fault cannot both make a wrong plan and hide it. A rule is a function whose name says what
holds; it yields a sentence with host and device for each case in which that does not hold.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import re
import typing as t
import uuid
from collections import Counter, defaultdict
from dataclasses import fields
from fractions import Fraction
from operator import attrgetter

from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import Conditions
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify_matching import (
    MUSTS,
    Attributes,
    NaiveDescriptor,
    NaiveSet,
    read_naive_descriptor,
    read_naive_set,
    set_matches,
    version_serves,
)

_Entry = t.Mapping[str, t.Any]
Facts = t.Mapping[str, _Entry]
# Host and id of a device or of a parent.
Key = tuple[str, str]


class Objection(t.NamedTuple):
    """A rule that a plan breaks, in a sentence, and the sources concerned; none where it is the plan as a whole."""

    sources: frozenset[Key]
    sentence: str


_Objections = t.Iterator[Objection]
# What concerns the plan as a whole.
_NONE: frozenset[Key] = frozenset()


_NO_CONDITIONS = Conditions()


def violations(plan: _Entry, facts: Facts, conditions: Conditions = _NO_CONDITIONS) -> list[str]:
    """Return the rules that ``plan`` breaks, each with the host and device concerned; empty for a sound plan.

    ``facts`` maps each host to its ``vfio_migration`` facts. Raise ``ValueError`` where ``plan`` is none, with the place in it.
    """
    try:
        return [each.sentence for each in objections(plan, facts, conditions)]
    except _WRONG_SHAPE as error:
        place = _place_of_fault(plan, facts, conditions)
        raise ValueError(
            f"the plan is none; expected what migration_plan returns; see {place}: {error!r:.200}"
        ) from error


def objections(
    plan: _Entry,
    facts: Facts,
    conditions: Conditions = _NO_CONDITIONS,
    unknown: t.Collection[str] | None = None,
) -> list[Objection]:
    """Return the rules that ``plan`` breaks as ``violations`` does, each with the sources that it is about.

    ``unknown`` are the hosts without usable facts, where that is known better than by what the plan says.
    """
    case = _Case(plan, facts, conditions, unknown)
    return [
        Objection(sources, f"{rule.__name__.replace('_', ' ')}: {sentence}")
        for subject, rule in _RULES
        if subject(case)
        for sources, sentence in rule(case)
    ]


# --- a plan that is none ---------------------------------------------------------------------------------------------

_WRONG_SHAPE = (
    *(ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError),
)


def _place_of_fault(plan: t.Any, facts: Facts, conditions: Conditions) -> str:
    """Return what of a ``plan`` that cannot be read to its end was read last."""
    trail = ["the plan"]
    with contextlib.suppress(*_WRONG_SHAPE):
        objections(_watched(plan, "", trail), facts, conditions)
    return trail[-1]


def _watched(value: t.Any, place: str, trail: list[str]) -> t.Any:
    """Return a part of a plan with mappings that put into ``trail`` what is read of them; ``place`` is its own."""
    if isinstance(value, t.Mapping):
        parts = {key: _watched(each, f"{place}.{key}", trail) for key, each in value.items()}
        return _Watched(parts, place, trail)
    if isinstance(value, list):
        return [_watched(each, f"{place}[{index}]", trail) for index, each in enumerate(value)]
    return value


class _Watched(dict[t.Any, t.Any]):
    """A mapping that tells what was read of it."""

    def __init__(self, parts: t.Mapping[t.Any, t.Any], place: str, trail: list[str]) -> None:
        super().__init__(parts)
        self._place, self._trail = place, trail

    def __getitem__(self, key: t.Any) -> t.Any:
        self._trail.append(f"{self._place}.{key}".lstrip("."))
        return super().__getitem__(key)

    def get(self, key: t.Any, default: t.Any = None) -> t.Any:
        try:
            return self[key]
        except KeyError:
            return default


# --- the plan and the facts ------------------------------------------------------------------------------------------


class _Move(t.NamedTuple):
    """A placement: ``source`` is what the facts say of the device, ``stated`` and ``target`` what the plan says.

    ``found`` is the placement as the plan has it. Moves of one ``kind`` are alike in all that is compared: in all but the
    names of hosts, devices and guests.
    """

    key: Key
    stated: _Entry
    source: _Entry
    descriptor: NaiveDescriptor | None
    target_key: Key
    target: _Entry
    wave: int
    vm: str | None
    vm_uuid: str | None
    found: _Entry
    kind: int

    @property
    def place(self) -> tuple[str, t.Any]:
        """The host and parent that the target is or will be under."""
        return self.target_key[0], self.target["parent"]

    def objection(self, sentence: str) -> Objection:
        """Return that this placement breaks a rule."""
        return Objection(frozenset([self.key]), sentence)

    def __str__(self) -> str:
        return f"{_named(self.key)} to {_named(self.target_key)}"


class _Case:
    """A plan, the facts of the hosts that take part in it, and what was asked."""

    def __init__(
        self, plan: _Entry, facts: Facts, asked: Conditions, unknown: t.Collection[str] | None
    ) -> None:
        self.plan, self.facts, self.asked, self.unknown = plan, facts, asked, unknown
        self.placed, self.unplaced = (
            [(each["source"]["host"], each["source"]["id"]) for each in plan[part]]
            for part in ("placements", "unplaced")
        )
        self.drained = frozenset(asked.drain or ())
        self.staying = {(each["host"], each["id"]) for each in plan.get("staying", ())}
        hosts = {host for host, _id in self.placed + self.unplaced} | self.drained
        hosts |= {each["target"]["host"] for each in plan["placements"]}
        hosts |= {host for host, _id in self.staying}
        there = sorted(hosts & facts.keys())
        self.devices, self.parents = (
            {(host, each["id"]): each for host in there for each in facts[host][part]}
            for part in ("devices", "parents")
        )
        self.offers = {
            (*key, each["id"]): (parent, each)
            for key, parent in self.parents.items()
            for each in parent["types"]
        }
        self._descriptors: dict[Key, NaiveDescriptor | None] = {}
        self._read: dict[str, NaiveDescriptor | None] = {}
        self._answers: dict[tuple[t.Any, ...], bool] = {}
        self._versions: dict[tuple[str, str, bool], list[str]] = {}
        self._kinds: dict[t.Any, int] = {}
        self._places: dict[tuple[str, str, str], int] = {}
        self.moves = [
            _Move(
                key,
                each["source"],
                self.devices[key],
                self.descriptor(key[0], self.devices[key]),
                (each["target"]["host"], each["target"]["id"]),
                each["target"],
                each["wave"],
                each["vm"],
                each.get("vm_uuid"),
                each,
                self._kind(key, each),
            )
            for key, each in zip(self.placed, plan["placements"], strict=True)
            if key in self.devices
        ]
        self.new = [move for move in self.moves if move.target["create"]]
        self.existing = [move for move in self.moves if not move.target["create"]]
        # What takes of a parent: new devices, and functions of a card that are given a type.
        self.made = [m for m in self.moves if m.target["create"] or m.target["attributes"]]
        self.new_vdpa = [move for move in self.new if move.target["kind"] == "vdpa"]
        # To receive nothing is a limit as well.
        self.is_limited = asked.limit is not None
        self.waves = {move.key: move.wave for move in self.moves}
        # Sources that are one of several VFIO devices which move with a process.
        held = [
            (move.key, (move.key[0], move.source["in_use"].get("pid")))
            for move in self.moves
            if move.source["kind"] != "vdpa" and move.source["in_use"]
        ]
        counts = Counter(process for _key, process in held)
        self.several = frozenset(
            key for key, process in held if counts[process] > 1 and process[1] is not None
        )

    def _kind(self, key: Key, found: _Entry) -> int:
        """Return a number that placements share which have a source and a target with the same to compare."""
        source, target = self.devices[key], found["target"]
        host, parent, type_id = target["host"], target["parent"], target["type"]
        there: t.Any
        if target["create"]:
            there = self._place(host, parent, type_id)
        else:
            device = self.devices.get((host, target["id"]))
            descriptor = self.descriptor(host, device) if device else None
            there = (
                descriptor,
                repr(device["attributes"]) if device and target["attributes"] else "",
            )
        alike = (
            self.descriptor(key[0], source),
            *[each["name"] for each in source["attributes"]],
            there,
            *[(each["name"], each["value"]) for each in target["attributes"]],
            found["set"],
            *found["bindings"].items(),
        )
        return self._kinds.setdefault(alike, len(self._kinds))

    def _place(self, host: str, parent_id: str, type_id: str) -> int:
        """Return a number that parents share which offer a type and have the same to compare."""
        key = (host, parent_id, type_id)
        if key not in self._places:
            parent, offered = self.offers.get(key, _NOTHING)
            versions = (
                [self.versions(host, parent, derived) for derived in (True, False)]
                if parent
                else None
            )
            alike = repr(({**parent, **_NOT_COMPARED}, {**offered, **_NOT_COUNTED}, versions))
            self._places[key] = self._kinds.setdefault(alike, len(self._kinds))
        return self._places[key]

    def descriptor(self, host: str, device: _Entry) -> NaiveDescriptor | None:
        """Return the descriptor of a device, ``None`` where it has none that is usable; equal ones are one object."""
        name = device["descriptor"]
        if name is None:
            return None
        if (host, name) not in self._descriptors:
            raw = self.facts[host]["descriptors"][name]
            try:
                content = repr(raw)
            except (RecursionError, ValueError):
                # Nobody writes a descriptor that deep, or a number with that many digits.
                content = "null"
            if content not in self._read:
                self._read[content] = None if content == "null" else read_naive_descriptor(raw)
            self._descriptors[host, name] = self._read[content]
        return self._descriptors[host, name]

    def lists(
        self,
        owner: NaiveDescriptor,
        subject: Attributes,
        is_source: bool,
        given: t.Collection[str] | None = None,
    ) -> bool:
        """Return whether ``owner``, a source or a target, lists a device whose attributes are ``subject``.

        Of a device that is still to be created, ``given`` are the attributes that it is given, all of which the set must
        name; those that ``subject`` lacks may have any value.
        """
        key = (owner, is_source, given, *subject.items())
        if key not in self._answers:
            self._answers[key] = any(
                each is not None
                and each.names.issuperset(given or ())
                and set_matches(
                    each, subject, given is None, owner.own["software_version"], is_source
                )
                for each in owner.sets
            )
        return self._answers[key]

    def decides(self, source: NaiveDescriptor, target: NaiveDescriptor) -> bool:
        """Return whether the lists that the plan's direction asks allow a move from ``source`` to ``target``."""
        listed = self.lists(source, target.own, True)
        accepted = self.lists(target, source.own, False)
        return {
            "source_lists": listed,
            "target_accepts": accepted,
            "both": listed and accepted,
            "either": listed or accepted,
        }[self.plan["direction"]]

    def versions(self, host: str, parent: _Entry, derived: bool) -> list[str]:
        """Return the versions that mdevs under a parent state, or else mdevs of its driver on that host."""
        key = (host, parent["id"], derived)
        if key not in self._versions:
            stated: dict[bool, set[str]] = {True: set(), False: set()}
            for device in self.facts[host]["devices"]:
                above = self.parents.get((host, device["parent"]), {})
                if device["kind"] == "mdev" and above.get("driver") == parent.get("driver"):
                    descriptor = self.descriptor(host, device)
                    if descriptor is not None and descriptor.derived == derived:
                        same = device["parent"] == parent["id"]
                        stated[same].add(descriptor.own["software_version"])
            self._versions[key] = sorted(stated[True] or stated[False])
        return self._versions[key]


def _keys(moves: t.Iterable[_Move]) -> frozenset[Key]:
    return frozenset(move.key for move in moves)


def _named(key: Key) -> str:
    return f"{key[1]} on {key[0]}"


def _of_each_kind(
    moves: t.Iterable[_Move], reasons: t.Callable[[_Move], t.Iterator[str]]
) -> _Objections:
    """Yield the ``reasons`` against each move, which are asked once for all moves of a kind."""
    known: dict[int, list[str]] = {}
    for move in moves:
        if move.kind not in known:
            known[move.kind] = [*reasons(move)]
        for reason in known[move.kind]:
            yield move.objection(f"{move}: {reason}")


# --- rules of a plan -------------------------------------------------------------------------------------------------


def every_source_is_known_and_planned_once(case: _Case) -> _Objections:
    """Require that a source is in the facts, and placed or left behind once; so is each device of a drained host.

    But for a function that nobody holds, and that is as good as one elsewhere.
    """
    planned = Counter(case.placed + case.unplaced)
    for key, count in planned.items():
        if count > 1:
            yield Objection(frozenset([key]), f"{_named(key)} is planned {count} times")
        if key not in case.devices:
            yield Objection(frozenset([key]), f"{_named(key)} is in no facts")
    for key in case.devices.keys() - planned.keys():
        if key[0] in case.drained and key not in case.staying and not _is_only_room(case, key):
            yield Objection(frozenset([key]), f"{_named(key)} is neither placed nor left behind")


def what_stays_has_nothing_to_move(case: _Case) -> _Objections:
    """Require that a device stays only if nobody holds it and it is room like any other, cannot migrate, or its guest has moved.

    By ``free_devices``, whatever nobody holds may stay, or nothing may. Where it is not known what was to be emptied, it is
    not known either what was asked of free devices.
    """
    planned = {*case.placed, *case.unplaced}
    for key in case.staying:
        device = case.devices.get(key)
        wanted = "none" if case.asked.drain is None else case.asked.free_devices
        emptied = case.asked.drain is None or key[0] in case.drained
        if device is None or not emptied or key in planned:
            yield Objection(frozenset([key]), f"{_named(key)} is no device that could stay")
        elif device["in_use"] is not None or wanted == "all":
            yield Objection(frozenset([key]), f"{_named(key)} stays and is to be moved")
        elif wanted == "movable" and not _has_nothing_to_move(case, key, device):
            yield Objection(frozenset([key]), f"{_named(key)} stays and can migrate")


def _has_nothing_to_move(case: _Case, key: Key, device: _Entry) -> bool:
    if _is_only_room(case, key) or device["migration"]["supported"] is False:
        return True
    if any(
        "choices" in each or (each["name"], each["value"]) == ("nvidia/current_vgpu_type", "0")
        for each in device["attributes"]
    ):
        return True
    return any(
        host != key[0]
        and (each["kind"], each["type"]) == (device["kind"], device["type"])
        and each["in_use"] is not None
        for host, facts in case.facts.items()
        for each in facts["devices"]
        if each["id"] in (key[1], _name_made_for(key))
    )


def _is_only_room(case: _Case, key: Key) -> bool:
    """Return whether a device is a PCI function that nobody holds, with one of its type on a host that is not drained."""
    device = case.devices[key]
    wanted = case.asked.free_devices == "movable" and device["kind"] == "pci"
    return (
        wanted
        and device["in_use"] is None
        and any(
            (each["kind"], each["type"]) == ("pci", device["type"])
            for host, facts in case.facts.items()
            if host not in case.drained
            for each in facts["devices"]
        )
    )


def _name_made_for(key: Key) -> str:
    """Return the UUID that is made for a target of this source where its own cannot be had."""
    namespace = uuid.UUID("6f0c2f4e-3c61-5d0c-9a55-0e4b8d2f7a11")
    return str(uuid.uuid5(namespace, f"{key[0]}/{key[1]}/0"))


def placements_say_of_sources_what_the_facts_say(case: _Case) -> _Objections:
    """Require that a placement has its source's kind, and the name of a guest whose process holds the source."""
    names: dict[tuple[str, int | None], set[str | None]] = defaultdict(set)
    for (host, _id), device in case.devices.items():
        holder = device["in_use"]
        if holder:
            names[host, holder.get("pid")].add(holder.get("name"))
    for move in case.moves:
        if move.stated["kind"] != move.source["kind"]:
            yield move.objection(f"{_named(move.key)} is no {move.stated['kind']} device")
        holder = move.source["in_use"]
        if move.vm not in (names[move.key[0], holder.get("pid")] if holder else {None}):
            yield move.objection(f"{_named(move.key)} is not held by {move.vm}")
        if move.vm_uuid != (holder or {}).get("uuid"):
            yield move.objection(f"{_named(move.key)} is held by no guest with UUID {move.vm_uuid}")


def placements_are_no_surer_than_they_can_be(case: _Case) -> _Objections:
    """Require the certainty that descriptors and targets give, and one wave where no move may wait for another."""
    known: dict[int, str] = {}
    for move in case.moves:
        if move.kind not in known:
            known[move.kind] = _certainty(case, move)
        if move.found["certainty"] != known[move.kind]:
            yield move.objection(f"{move} is {known[move.kind]}, and not {move.found['certainty']}")
        if move.wave != 1 and not (case.asked.reuse or case.asked.apart):
            yield move.objection(f"{move} waits for nothing, and is in wave {move.wave}")


def _certainty(case: _Case, move: _Move) -> str:
    if move.target["create"] or move.target["attributes"]:
        return "provisional"
    ends = [each for each in (move.descriptor, _existing(case, move)) if each is not None]
    functions = [each for each in ends if "pci.id" in each.shown]
    read = [each for each in functions if {"pci.capabilities", "pci.extended"} <= {*each.shown}]
    if functions and len(read) < len(ends):
        return "assumed"
    return "derived" if any(each.derived for each in ends) else "declared"


def guests_move_as_a_whole(case: _Case) -> _Objections:
    """Require that all devices of one process go to one host in one wave, or all of them stay."""
    ends = {move.key: (move.target["host"], move.wave) for move in case.moves}
    guests: dict[tuple[str, int], set[tuple[str, int] | None]] = defaultdict(set)
    held: dict[tuple[str, int], list[Key]] = defaultdict(list)
    for key, device in case.devices.items():
        holder = device["in_use"]
        if holder and holder.get("pid") is not None:
            guests[key[0], holder["pid"]].add(ends.get(key))
            held[key[0], holder["pid"]].append(key)
    for (host, pid), found in guests.items():
        if len(found) > 1:
            yield Objection(
                frozenset(held[host, pid]),
                f"the devices of process {pid} on {host} do not go to one host",
            )


def a_target_serves_one_source(case: _Case) -> _Objections:
    """Require that no two sources go to one target."""
    for key, count in Counter([move.target_key for move in case.moves]).items():
        if count > 1:
            yield Objection(
                _keys(each for each in case.moves if each.target_key == key),
                f"{_named(key)} serves {count} sources",
            )


def no_parent_is_overcommitted(case: _Case) -> _Objections:
    """Require that no more is created under a parent than its types have instances.

    The types of an i915 share what it has, graphics memory and fences (drivers/gpu/drm/i915/gvt/vgpu.c): what so many
    instances of a type take as are available is there, else each takes its part. Any other parent makes one type in one
    plan.
    """
    made: dict[Key, Counter[str]] = defaultdict(Counter)
    for move in case.made:
        target = move.target
        if target["create"]:
            made[target["host"], target["parent"]][target["type"]] += _instances(target)
    for place, types in made.items():
        parent = case.parents.get(place, {"types": ()})
        available = {each["id"]: each["available_instances"] for each in parent["types"]}
        short = [each for each, count in types.items() if count > available.get(each, 0)]
        for each in short:
            yield Objection(
                _keys(each for each in case.moves if each.place == place),
                f"{types[each]} of {each} are not to be had under {_named(place)}",
            )
        mixed = len(types) > 1 and not short
        if mixed and (parent.get("driver") != "i915" or not _is_there(types, parent["types"])):
            yield Objection(
                _keys(each for each in case.moves if each.place == place),
                f"{', '.join(sorted(types))} do not fit together under {_named(place)}",
            )


def _is_there(made: t.Mapping[str, int], types: t.Sequence[_Entry]) -> bool:
    """Return whether an i915 has what these devices take: by what its types state that they take, or by their shares."""
    available = {each["id"]: each["available_instances"] for each in types}
    takes = {each["id"]: _taken(each) for each in types}
    names = {name for each in takes.values() for name in each}
    left = {
        name: max(available[each] * takes[each].get(name, 0) for each in takes) for name in names
    }
    if not all(any(each.values()) for each in takes.values()) or any(
        all(left[name] >= (available[each] + 1) * takes[each].get(name, 0) for name in names)
        for each in takes
    ):
        # It is not stated what types take, or there would be room for more than are available.
        return sum(Fraction(count, available[each]) for each, count in made.items()) <= 1
    return all(
        sum(count * takes[each].get(name, 0) for each, count in made.items()) <= left[name]
        for name in names
    )


def _taken(mdev_type: _Entry) -> dict[str, int]:
    """Return what a type of GVT-g states that a device takes (drivers/gpu/drm/i915/gvt/kvmgt.c, description_show)."""
    if mdev_type.get("resources"):
        return dict(mdev_type["resources"])
    text = str(mdev_type.get("description"))
    found = re.findall(r"\b(low_gm_size|high_gm_size|fence): (\d{1,9})(?:MB)?(?=[\s,]|$)", text)
    return {name: int(amount) for name, amount in found} if len(found) == 3 else {}


def no_card_holds_more_than_it_can(case: _Case) -> _Objections:
    """Require that the parents of one card get no more devices than it holds of their types, and of one size.

    ``max_instance=N`` and ``framebuffer=M`` in the description of a type are of the whole card, of which each parent is
    a virtual function (OpenStack Nova, doc/source/admin/virtual-gpu.rst).
    """
    on_cards: dict[Key, list[tuple[_Entry, str]]] = defaultdict(list)
    for (host, _id), device in case.devices.items():
        parent = case.parents.get((host, device["parent"]), {})
        if device["kind"] == "mdev" and parent.get("physical_function"):
            on_cards[host, parent["physical_function"]].append((parent, device["type"]))
    new: dict[Key, list[_Move]] = defaultdict(list)
    for move in case.new:
        parent = case.parents.get(move.place, {})
        card = parent.get("physical_function")
        if card and any(_stated("max_instance", each) for each in parent["types"]):
            new[move.target_key[0], card].append(move)
    for card, moves in new.items():
        made = [(case.parents[move.place], move.target["type"]) for move in moves]
        types = [_type_of(*each) for each in made + on_cards[card]]
        most = [_stated("max_instance", each) or 1 for each in types]
        if sum(Fraction(1, each) for each in most) > 1:
            yield Objection(_keys(moves), f"{_named(card)} holds fewer than {len(types)} devices")
        sizes = {_stated("framebuffer", each) or each["id"] for each in types[: len(made)]}
        there = {_stated("framebuffer", each) or each["id"] for each in types[len(made) :]}
        if len(sizes | (there if len(there) == 1 else set())) > 1:
            yield Objection(_keys(moves), f"{_named(card)} takes one size of frame buffer only")
        for place, count in Counter(move.place for move in moves).items():
            if count > 1:
                yield Objection(_keys(moves), f"{count} devices are made under {_named(place)}")


def _type_of(parent: _Entry, type_id: str) -> _Entry:
    return next((each for each in parent["types"] if each["id"] == type_id), {"id": type_id})


def _stated(name: str, mdev_type: _Entry) -> int:
    """Return a number that the description of a type states, 0 where it states none."""
    found = re.search(rf"\b{name}=(\d{{1,9}})", str(mdev_type.get("description")))
    return int(mdev_type.get(name) or (found[1] if found else 0))


def functions_of_a_card_are_given_what_it_holds(case: _Case) -> _Objections:
    """Require that functions of one card are given types of one size, no more than fit beside each other.

    Only names tell how much a type takes, ``L40S-8Q`` or with MIG ``A100-1-5C``: the greatest one that an empty card
    takes is the whole card. Of a card that has devices with a type already, one function is given one at a time.
    """
    given: dict[Key, list[_Move]] = defaultdict(list)
    for move in case.existing:
        if move.target["attributes"] and move.target_key in case.devices:
            given[move.target["host"], move.target["parent"] or move.target["id"]].append(move)
    for card, moves in given.items():
        values = {move.target["attributes"][0]["value"] for move in moves}
        named = moves[0].target["attributes"][0]["name"]
        names: dict[str, str] = {}
        with_type = 0
        for (host, _id), device in case.devices.items():
            if (host, device["parent"]) == card:
                for each in device["attributes"]:
                    names.update(
                        zip(each.get("choices", ()), each.get("choice_names", ()), strict=False)
                    )
                    with_type += each["name"] == named and "choices" not in each
        if with_type and len(moves) > 1:
            yield Objection(
                _keys(moves), f"{len(moves)} functions of {_named(card)} are given a type"
            )
        sizes = {_size(names.get(each, "")) or each for each in values}
        if len(sizes) > 1:
            yield Objection(_keys(moves), f"{_named(card)} takes one size of frame buffer only")
        size = sizes.pop()
        if isinstance(size, tuple) and len(moves) > _fitting(size, names.values()):
            yield Objection(_keys(moves), f"{_named(card)} holds fewer than {len(moves)} devices")


def _size(name: str) -> tuple[int, int] | None:
    """Return slices and GB of a type by its name; a type with media engines, of which there are few, takes the whole card."""
    found = re.fullmatch(r".*?-(?:(\d{1,3})-)?(\d{1,4})([A-Z](ME|GFX)?\d*)", name)
    if found is None or int(found[2]) == 0:
        return None
    return int(found[1] or 0), 10**6 if "ME" in found[3] else int(found[2])


def _fitting(size: tuple[int, int], names: t.Iterable[str]) -> int:
    slices, memory = size
    alike = [each for each in map(_size, names) if each and bool(each[0]) == bool(slices)]
    whole = max(each for each in alike if each[1] < 10**6) if memory < 10**6 else size
    return max(1, min(whole[1] // memory, whole[0] // slices if slices else whole[1]))


def _instances(target: _Entry) -> int:
    """Return how many instances a new device takes: an mdev with ``aggregator`` n is n of its type."""
    if not target["attributes"]:
        return 1
    values = [each["value"] for each in target["attributes"] if _last(each["name"]) == "aggregator"]
    return max([1, *(int(each) for each in values if _NUMBER.fullmatch(each))])


def _last(name: str) -> str:
    """Return the name by which descriptors know an attribute whose full name may have a group before it."""
    return name.rpartition("/")[2]


def status_and_shortage_are_true(case: _Case) -> _Objections:
    """Require that the status says whether all is placed, and that a shortage is one."""
    plan = case.plan
    if (plan["status"] in ("optimal", "feasible")) != (not plan["unplaced"]):
        yield Objection(
            _NONE, f"status is {plan['status']} with {len(plan['unplaced'])} devices left behind"
        )
    bound = plan["bound"]
    if bound is not None and (plan["status"] == "infeasible") != (bound["unplaced"] > 0):
        yield Objection(
            _NONE,
            f"status is {plan['status']}, and the bound leaves {bound['unplaced']} devices behind",
        )
    unknown = {*plan["unknown"]} if case.unknown is None else {*case.unknown}
    if {*plan["unknown"]} != unknown:
        yield Objection(
            _NONE, f"the hosts without facts are {', '.join(sorted(unknown)) or 'none'}"
        )
    silent = unknown - case.drained
    if case.asked.targets is not None:
        silent &= {*case.asked.targets}
    left = [case.devices[key] for key in case.unplaced if key in case.devices]
    movable = all(
        each["descriptor"] is not None and each["migration"]["supported"] is not False
        for each in left
    )
    # Where only the plan tells anything, it is not known which hosts were asked to receive.
    told = any(each is not None for each in (case.unknown, case.asked.drain, case.asked.targets))
    if plan["status"] == "infeasible" and told and silent and movable:
        yield Objection(
            _NONE, f"infeasible is not proven without facts of {', '.join(sorted(silent))}"
        )
    yield from _shortages_are_true(case, plan)


def _shortages_are_true(case: _Case, plan: _Entry) -> _Objections:
    shortage = plan["shortage"]
    parts = plan.get("shortages", ())
    whole, *several = [
        [(label["host"], label["id"]) for label in each["devices"]]
        for each in (shortage or {"devices": ()}, *parts)
    ]
    devices = list(itertools.chain(*several))
    if len(set(devices)) != len(devices) or not set(devices) <= set(whole):
        yield Objection(_NONE, "the shortages are not what the shortage is made of")
    for each in (shortage, *parts) if shortage is not None else ():
        short = {(label["host"], label["id"]) for label in each["devices"]}
        placed = len(short & case.waves.keys())
        if each["need"] != len(short) or not placed <= each["reachable"] < len(short):
            yield Objection(
                _NONE, f"of {len(short)} devices {placed} are placed, which is no such shortage"
            )


def the_cost_is_counted(case: _Case) -> _Objections:
    """Require that the cost counts what the placements do, and that a plan is optimal where its bound is its cost."""
    cost, bound = case.plan["cost"], case.plan["bound"]
    if cost is None:
        if bound is not None:
            yield Objection(_NONE, f"there is the bound {bound} and no cost")
        return
    targets = [move.target for move in case.moves]
    used = {
        (key[0], each["parent"]) for key, each in case.devices.items() if each["kind"] == "mdev"
    }
    opened = {(each["host"], each["parent"]) for each in targets if each["create"]} - used
    counted = {
        "unplaced": len(case.unplaced),
        "created": sum(1 for each in targets if each["create"] or each["attributes"]),
        "load": _highest_load(case),
        "opened": len(opened),
        "other_type": sum(1 for move in case.moves if move.target["type"] != move.source["type"]),
    }
    for name in cost.keys() & counted.keys():
        if cost[name] != counted[name]:
            yield Objection(
                _NONE, f"the cost has {cost[name]} {name}, the placements have {counted[name]}"
            )
    if (bound == cost and not cost["unplaced"]) != (case.plan["status"] == "optimal"):
        yield Objection(_NONE, f"status is {case.plan['status']}, cost {cost} and bound {bound}")
    if bound is not None and any(bound.get(name, 0) > number for name, number in cost.items()):
        yield Objection(_NONE, f"cost {cost} is below the bound {bound}")


def _highest_load(case: _Case) -> int:
    """Return how many devices there are on the fullest host that receives any: those that come, and those held that stay."""
    planned = {*case.placed, *case.unplaced}
    loads = Counter([move.target["host"] for move in case.moves])
    for key, device in case.devices.items():
        if key[0] in loads and device["in_use"] is not None and key not in planned:
            loads[key[0]] += 1
    return max(loads.values(), default=0)


def the_tables_say_what_the_placements_say(case: _Case) -> _Objections:
    """Require that ``map`` and ``hosts`` follow from the placements, with what the source lists for hosts to verify."""
    mapping, hosts = case.plan["map"], case.plan["hosts"]
    listed = {
        (host, each[name]): each
        for host, lists in hosts.items()
        for part, name in _LISTS.values()
        for each in lists[part]
    }
    lengths = [len(lists[part]) for lists in hosts.values() for part, _name in _LISTS.values()]
    if sum(map(len, mapping.values())) != len(case.moves) or sum(lengths) != len(case.moves):
        yield Objection(_NONE, "'map' or 'hosts' has another number of devices than the placements")
    by_source = case.plan["direction"] in ("source_lists", "both")
    for move in case.moves:
        (host, device_id), target = move.key, move.target
        if mapping.get(host, {}).get(device_id) != target["id"]:
            yield move.objection(f"{move} is another in 'map'")
        entry = listed.get(move.target_key, {})
        accept = move.descriptor.written if move.descriptor and by_source else None
        if entry.get("accept") != accept or not _is_listed(target, entry):
            yield move.objection(f"{move} is another in 'hosts'")


def _is_listed(target: _Entry, entry: _Entry) -> bool:
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
            and {name: entry.get(name) for name in values.keys() | _VDPA_VALUES & entry.keys()}
            == values
        )
    return bool(entry["attributes"] == given) and (
        kind == "pci" or (entry["parent"] == target["parent"] and entry["type"] == target["type"])
    )


# --- rules of existing and of new targets ----------------------------------------------------------------------------


def targets_may_receive(case: _Case) -> _Objections:
    """Require that a target is on another host, one that may receive, and at no place that is to be avoided."""
    asked = case.asked
    receiving = case.facts.keys() if asked.targets is None else {*asked.targets} & case.facts.keys()
    receiving -= case.drained
    for move in case.moves:
        host = move.target["host"]
        if host == move.key[0] or host not in receiving:
            yield move.objection(f"{move} must not go to this host")
        if asked.avoid and not {(host, None), (host, move.target["parent"])}.isdisjoint(
            asked.avoid
        ):
            yield move.objection(f"{move} goes to a place that is to be avoided")


def _features(device: _Entry) -> list[str]:
    """Return what the kernel says that a device supports, nothing where it does not tell."""
    told = device["migration"].get("features")
    return [each for each in told if isinstance(each, str)] if isinstance(told, list) else []


def sources_can_migrate(case: _Case) -> _Objections:
    """Require that a source has a usable descriptor, and that the facts do not say that it cannot migrate.

    Nor may they say that one of several VFIO devices of a guest, or its target, does not support P2P.
    """
    for move in case.moves:
        if move.descriptor is None:
            yield move.objection(f"{_named(move.key)} has no usable descriptor")
        if move.source["migration"]["supported"] is False:
            yield move.objection(f"{_named(move.key)} cannot migrate")
        features = _features(move.source)
        if features and "p2p" not in features and move.key in case.several:
            yield move.objection(f"{_named(move.key)} cannot migrate with others without P2P")
        target = case.devices.get(move.target_key)
        features = [] if target is None else _features(target)
        if features and "p2p" not in features and move.key in case.several:
            yield move.objection(f"{_named(move.target_key)} is one of several without P2P")


def existing_targets_are_free(case: _Case) -> _Objections:
    """Require that a target that is not created is in the facts, able to migrate, and free when it is needed."""
    staying = frozenset(case.unplaced)
    for move in case.existing:
        key, target = move.target_key, move.target
        device = case.devices.get(key)
        if device is None:
            yield move.objection(f"{move}: the target is in no facts")
            continue
        if any(target[each] != device[each] for each in ("kind", "parent", "type")):
            yield move.objection(f"{_named(key)} is another device than the plan says")
        vacated = case.waves.get(key)
        if device["in_use"] is not None and vacated is None:
            yield move.objection(f"{_named(key)} is held by a process")
        if vacated is not None and (vacated >= move.wave or not case.asked.reuse):
            yield move.objection(
                f"{_named(key)} moves itself in wave {vacated}, and is a target in {move.wave}"
            )
        if key in staying:
            yield move.objection(f"{_named(key)} is left behind itself")
        # A function without a type cannot migrate until it is given one.
        typeless = any("choices" in each for each in device["attributes"])
        if device["migration"]["supported"] is False and not typeless:
            yield move.objection(f"{_named(key)} cannot migrate")


def existing_targets_are_compatible(case: _Case) -> _Objections:
    """Require that the lists that the direction asks allow the move, and with ``round_trip`` the move back."""

    def reasons(move: _Move) -> t.Iterator[str]:
        device = case.devices.get(move.target_key)
        target = _existing(case, move)
        if device is None or target is None or move.descriptor is None:
            yield "one of them has no usable descriptor"
            return
        if move.target["attributes"]:
            yield from _attributes_are_taken(move, device["attributes"])
        if not case.decides(move.descriptor, target):
            yield "they would not be compatible"
        differing = _differing(move.descriptor, target)
        if differing:
            yield f"they differ in {', '.join(differing)}"
        if case.asked.round_trip and not case.decides(target, move.descriptor):
            yield "it could not migrate back"

    return _of_each_kind(case.existing, reasons)


def _differing(one: NaiveDescriptor, other: NaiveDescriptor) -> list[str]:
    """Return the names of what hosts show of two devices, and what has to be equal, in which they differ."""
    shown = []
    for device, opposite in ((one, other), (other, one)):
        ids = device.own.get("pci_id", "")
        stated = {}
        if ids and device.own["device_api"] == "vfio-pci" and "pci.id" in opposite.shown:
            stated["pci.id"] = ids[:4] + ":" + ids[4:]
        shown.append({**stated, **device.shown})
    return _unequal(*shown)


def _unequal(one: t.Mapping[str, str], other: t.Mapping[str, str]) -> list[str]:
    """Return the names in which two configurations differ, and that of a vGPU's version which the other does not take."""
    version, taken = "nvidia.version", "nvidia.versions"
    names = {*one} & {*other} - {version, taken}
    unequal = sorted(name for name in names if one[name] != other[name])
    # A vGPU of which it is not known has a version that its own GPU's host takes.
    known = version if version in one else taken
    if known in one and taken in other:
        own, bounds = (re.findall("0x([0-9a-f]+)", each) for each in (one[known], other[taken]))
        readable = len(bounds) == 2 and own
        if not readable or not (
            int(bounds[0], 16) <= int(own[-1], 16) and int(own[0], 16) <= int(bounds[1], 16)
        ):
            unequal.append(known)
    return unequal


def _attributes_are_taken(move: _Move, attributes: t.Iterable[_Entry]) -> t.Iterator[str]:
    """Require that a device has the attributes that it is given by these names, the first with that value to choose."""
    choices = {each["name"]: each.get("choices") for each in attributes}
    given = [each["name"] for each in move.target["attributes"]]
    first = move.target["attributes"][0]
    values = choices.get(first["name"])
    if not isinstance(values, list) or first["value"] not in values:
        yield f"the target does not take {first['value']} as {first['name']}"
    if not choices.keys() >= {*given} or len({*given}) < len(given):
        yield f"the target has no such attributes as {', '.join(given)}"


def _configured(target: NaiveDescriptor, given: t.Iterable[_Entry]) -> NaiveDescriptor:
    """Return what a device is once it is given attributes; it lists what is equal to it."""
    own = target.own | {_last(each["name"]): each["value"] for each in given}
    literal = {name: value.replace("{", "{{").replace("}", "}}") for name, value in own.items()}
    return NaiveDescriptor(own, [literal], [read_naive_set(literal, True)], True, target.shown)


def new_devices_can_be_created(case: _Case) -> _Objections:
    """Require that a new device has a free name of its kind, and a parent of that kind that offers its type."""
    for move in case.new:
        target = move.target
        if move.target_key in case.devices:
            yield move.objection(f"{_named(move.target_key)} is to be created and exists")
        name = _NAMES.get(target["kind"])
        if name is None or not name.fullmatch(target["id"]):
            yield move.objection(
                f"{_named(move.target_key)} is no name of a new {target['kind']} device"
            )
        parent, _type = case.offers.get(
            (target["host"], target["parent"], target["type"]), _NOTHING
        )
        if not parent or parent["kind"] != target["kind"]:
            yield move.objection(
                f"there is no {target['type']} under {target['parent']} on {target['host']}"
            )


class _Expected(t.NamedTuple):
    """What a new device will be: all that is ``certain``, what it is ``given``, and the attributes that are ``possible``.

    ``names`` are those of the attributes that it may be given, in full.
    """

    certain: dict[str, str]
    given: dict[str, str]
    possible: list[dict[str, str]]
    names: set[str]


def _expected(case: _Case, move: _Move) -> _Expected | None:
    """Return what a new device will be; ``None`` where its source has no usable descriptor, or it no parent."""
    target, source = move.target, move.descriptor
    parent, offered = case.offers.get((target["host"], target["parent"], target["type"]), _NOTHING)
    if not parent or source is None:
        return None
    names = {each["name"] for each in move.source["attributes"]}
    given = {_last(each["name"]): each["value"] for each in _readable(move)}
    versions: list[str] = []
    if parent["kind"] == "vdpa":
        names |= {"device_features"}
        certain = _vdpa_attributes(source, offered, given.pop("device_features", ""))
    else:
        certain = _mdev_attributes(source, parent, offered)
        versions = case.versions(target["host"], parent, source.derived)
    # What the source lets configure and the plan does not give is taken to be empty.
    known = {
        **{_last(each): "" for each in names if _last(each) not in _NOT_GIVEN},
        **given,
        **certain,
    }
    possible = [{**known, "software_version": each} for each in versions] or [known]
    return _Expected(certain, given, possible, names)


def new_devices_will_match(case: _Case) -> _Objections:
    """Require that a new device matches its source's list by all that is certain of it and all that it is given.

    All else it states itself once it is there, and its host's module verifies that.
    """
    by_source = case.plan["direction"] in ("source_lists", "either")

    def reasons(move: _Move) -> t.Iterator[str]:
        expected = _expected(case, move)
        if expected is None or move.descriptor is None:
            yield "one has no usable descriptor, or the other no parent"
            return
        yield from _matrix_is_assigned(case, move, move.descriptor)
        given = expected.given
        if not _NUMBER.fullmatch(given.get("aggregator") or "1"):
            yield f"an aggregator of {given['aggregator']} is no number"
        fixed = _NOT_GIVEN | expected.certain.keys()
        for each in _readable(move):
            if each["name"] not in expected.names or _last(each["name"]) in fixed:
                yield f"the source does not let configure {each['name']}"
        shown = case.parents[move.place].get("configuration") or {}
        differing = _unequal(move.descriptor.shown, shown)
        if differing:
            yield f"they differ in {', '.join(differing)}"
        if not by_source or not any(
            case.lists(move.descriptor, each, True, frozenset(given)) for each in expected.possible
        ):
            yield "they would not be compatible"

    return _of_each_kind(case.new, reasons)


# What adds a number to an AP matrix, in the driver's order, and what a matrix without ``ap_config`` states of it.
_ASSIGNED = {
    "assign_adapter": "adapters",
    "assign_domain": "domains",
    "assign_control_domain": "control_domains",
}


def _readable(move: _Move) -> list[_Entry]:
    """Return the attributes that a device is given and then shows: all but those that add a number to an AP matrix."""
    return [each for each in move.target["attributes"] if each["name"] not in _ASSIGNED]


def _matrix_is_assigned(case: _Case, move: _Move, source: NaiveDescriptor) -> t.Iterator[str]:
    """Require that a new AP matrix gets the numbers of its source one by one, where one text does not give them."""
    driver = case.parents[move.target_key[0], move.target["parent"]].get("driver")
    by_number = source.derived and driver == "vfio_ap" and "ap_config" not in source.own
    wanted = [
        (name, int(number, 16))
        for name, kept in (_ASSIGNED.items() if by_number else ())
        for number in source.own.get(kept, "").split(",")
        if number
    ]
    written = [
        (each["name"], int(each["value"], 16))
        for each in move.target["attributes"]
        if each["name"] in _ASSIGNED
    ]
    if written != wanted:
        yield "other numbers are assigned than those of the source"


def _mdev_attributes(source: NaiveDescriptor, parent: _Entry, offered: _Entry) -> dict[str, str]:
    """Return what is certain of a new mdev before it is there, as far as its source states the same."""
    certain = {"type": offered["id"], "device_api": offered["device_api"]}
    if parent["pci_id"]:
        certain["pci_id"] = parent["pci_id"]
    if source.derived:
        stated = {"driver": parent.get("driver"), "type_name": offered.get("name")}
        certain |= {name: value for name, value in stated.items() if value and name in source.own}
    return certain


def _vdpa_attributes(source: NaiveDescriptor, offered: _Entry, mask: str) -> dict[str, str]:
    """Return what is certain of a new vDPA device: it has the features that it is given, and no others."""
    asked = {name for each in source.written for name in each if name.startswith("feature_")}
    features = _feature_names(mask, offered["id"])
    return {
        "type": offered["id"],
        "device_api": offered["device_api"],
        "software_version": "1.0",
        **dict.fromkeys(asked, ""),
        **dict.fromkeys(features, "offered"),
    }


def new_vdpa_devices_are_offered(case: _Case) -> _Objections:
    """Require that a new vDPA device has features that its source has and its parent offers, and no more queues."""
    for move in case.new_vdpa:
        parent = case.parents.get((move.target["host"], move.target["parent"]))
        if parent is None or parent["kind"] != "vdpa" or move.descriptor is None:
            continue
        given = {each["name"]: each["value"] for each in move.target["attributes"]}
        mask = given.get("device_features", "")
        surplus = _feature_names(mask, move.target["type"]) - move.descriptor.own.keys()
        if surplus or not _MASK.fullmatch(mask):
            yield move.objection(
                f"{move}: the source has not the features {', '.join(sorted(surplus))}"
            )
        elif int(mask, 16) & ~int(parent["dev_features_mask"] or "0", 16):
            yield move.objection(f"{move}: {parent['id']} does not offer the features {mask}")
        pairs, most = given.get("max_vqp", "0"), parent["max_supported_vqs"]
        if most is not None and (not pairs.isdigit() or 2 * int(pairs) > most):
            yield move.objection(
                f"{move}: {parent['id']} does not offer so many queues as {pairs} pairs"
            )


def new_devices_can_return(case: _Case) -> _Objections:
    """Require that a new device could migrate back: one of vDPA, or one derived as its source and of equal version.

    What a driver will list for a device that is not there is not known, so any other may not be able to.
    """
    for move in case.new:
        parent = case.parents.get((move.target["host"], move.target["parent"]))
        if parent is None or move.descriptor is None or parent["kind"] == "vdpa":
            continue
        own = move.descriptor.own["software_version"]
        versions = case.versions(move.target["host"], parent, True)
        back = any(version_serves(own, each) and version_serves(each, own) for each in versions)
        if not move.descriptor.derived or not back:
            yield move.objection(f"{move} could not migrate back")


# --- rules of how a target was found compatible ----------------------------------------------------------------------


class _Decision(t.NamedTuple):
    """The list that decides of a move: its ``owner``, and what the device of the other side may be.

    ``other`` is the target as far as it is known. Of a device that is to be made, ``given`` is what it is given.
    """

    owner: NaiveDescriptor
    subjects: list[dict[str, str]]
    owner_is_source: bool
    other: dict[str, str]
    given: frozenset[str] | None


def _decision(case: _Case, move: _Move) -> _Decision | None:
    """Return which list decides of a move; ``None`` where other rules object to it as none can."""
    source = move.descriptor
    if move.target["create"]:
        made = _expected(case, move)
        if source is None or made is None:
            return None
        return _Decision(source, made.possible, True, made.certain, frozenset(made.given))
    target = _existing(case, move)
    if source is None or target is None:
        return None
    if case.lists(source, target.own, True) and case.plan["direction"] != "target_accepts":
        return _Decision(source, [target.own], True, target.own, None)
    return _Decision(target, [source.own], False, target.own, None)


def _existing(case: _Case, move: _Move) -> NaiveDescriptor | None:
    """Return what an existing target is once it is given its attributes."""
    device = case.devices.get(move.target_key)
    target = case.descriptor(move.target_key[0], device) if device else None
    given = move.target["attributes"]
    return _configured(target, given) if target is not None and given else target


def placements_name_the_set_that_matches(case: _Case) -> _Objections:
    """Require that the set is the first of the deciding list that matches, and that it does with the values in ``bindings``.

    Of a device that is to be made it need not be the first.
    """

    def reasons(move: _Move) -> t.Iterator[str]:
        decision = _decision(case, move)
        if decision is not None:
            yield from _why_another_set(decision, move.found["set"], move.found["bindings"])

    return _of_each_kind(case.moves, reasons)


def _why_another_set(decision: _Decision, number: int | None, bindings: _Entry) -> t.Iterator[str]:
    """Yield why the set of this ``number`` is not that which matches."""
    sets = decision.owner.sets
    found = sets[number] if number is not None and number in range(len(sets)) else None
    if found is None or not _fits(found, decision, bindings):
        yield f"set {number} does not match with {dict(bindings)}"
        return
    earlier = sets[:number] if decision.given is None else ()
    if any(each is not None and _fits(each, decision) for each in earlier):
        yield f"a set before set {number} matches"


def _fits(found: NaiveSet, decision: _Decision, bindings: _Entry | None = None) -> bool:
    """Return whether a set matches what the other side may be, by these ``bindings`` of all its variables or by any."""
    if bindings is not None:
        if bindings.keys() != found.values.keys():
            return False
        if any(value not in found.values[name] for name, value in bindings.items()):
            return False
        found = found._replace(values={name: (value,) for name, value in bindings.items()})
    version = decision.owner.own["software_version"]
    return found.names.issuperset(decision.given or ()) and any(
        set_matches(found, each, decision.given is None, version, decision.owner_is_source)
        for each in decision.subjects
    )


def placements_warn_of_what_they_assume(case: _Case) -> _Objections:
    """Require a warning for each thing that a move assumes, and no other but those that a driver is known for."""
    known: dict[int, tuple[str, ...] | None] = {}
    for move in case.moves:
        if move.kind not in known:
            known[move.kind] = _assumed(case, move)
        needed = known[move.kind]
        if needed is None:
            continue
        if not _features(move.source) and move.key in case.several:
            needed = (*needed, _ALL_SUPPORT_P2P)
        warnings = move.found["warnings"]
        # A warning begins with what it is needed for.
        for beginning in needed:
            if not any(each.startswith(beginning) for each in warnings):
                yield move.objection(f"{move} does not warn: {beginning}")
        of_driver = move.descriptor is not None and move.descriptor.derived
        unfounded = () if of_driver else [each for each in warnings if not each.startswith(needed)]
        if unfounded:
            yield move.objection(f"{move} warns of what is not so: {'; '.join(unfounded)}")


def _assumed(case: _Case, move: _Move) -> tuple[str, ...] | None:
    """Return how the warnings begin that are needed for what a move assumes of the devices themselves.

    ``None`` where other rules object to the move, as nothing decides of it.
    """
    decision = _decision(case, move)
    number = move.found["set"]
    if decision is None or number not in range(len(decision.owner.sets)):
        return None
    return tuple(sorted({*_assumptions(case, move, decision, decision.owner.sets[number])}))


_ALL_SUPPORT_P2P = "a guest with several VFIO devices migrates only where all of them support P2P"


def _assumptions(
    case: _Case, move: _Move, decision: _Decision, found: NaiveSet | None
) -> t.Iterator[str]:
    """Yield how the warning begins that is needed for each thing that a move assumes."""
    source = t.cast("NaiveDescriptor", move.descriptor)
    own, other, named = source.own, decision.other, found.names if found else frozenset()
    must = MUSTS.get(decision.subjects[0].get("device_api", ""))
    if must and must not in named:
        yield f"the pattern states no {must}"
    if decision.given is None:
        for name in (own.keys() | other.keys()) - named - {"software_version", "pci_id"}:
            if own.get(name) != other.get(name):
                yield f"nobody compares {name}: it is {_both(own, other, name)}"
    if own["type"] == other["type"] and own.get("pci_id") != other.get("pci_id"):
        yield f"the type is the same, but the PCI id is {_both(own, other, 'pci_id')}"
    target = None if move.target["create"] else _existing(case, move)
    derived = [("source", source.derived), ("target", target is not None and target.derived)]
    if sides := [side for side, is_derived in derived if is_derived]:
        yield f"the descriptor {' and '.join(f'of the {side}' for side in sides)} is derived"
    if target is not None:
        listed, accepted = case.lists(source, target.own, True), case.lists(target, own, False)
        if listed != accepted:
            yield f"the {'source' if listed else 'target'}'s list has the other device"
        yield from _not_shown(source.shown, target.shown)


def _not_shown(*shown: t.Mapping[str, str]) -> t.Iterator[str]:
    """Yield what is not known of two devices although QEMU compares it."""
    told = ["pci.id" in each for each in shown]
    lists = {"pci.capabilities", "pci.extended"}
    if any(told) and not all(lists <= each.keys() for each in shown):
        yield "not all of what a guest sees of the configuration space is known of both devices"
    if all(told) and len({"pci.0001" in each for each in shown}) > 1:
        yield "the registers of Advanced Error Reporting are not compared"


def _both(own: Attributes, other: Attributes, name: str) -> str:
    return f"{own.get(name, 'absent')} on the source and {other.get(name, 'absent')} on the target"


# --- rules where they are asked --------------------------------------------------------------------------------------


def the_plan_is_for_what_was_asked(case: _Case) -> _Objections:
    """Require that the plan says that it was made for what was asked."""
    stated = {**case.plan["conditions"]} if "conditions" in case.plan else None
    for name in _LASTING:
        wanted = getattr(case.asked, name)
        if name in ("direction", "policy"):
            found = case.plan[name]
        elif stated is None:
            continue
        elif name not in stated:
            yield Objection(_NONE, f"the plan does not say its {name}, and {wanted} was asked")
            continue
        else:
            found = stated[name]
        if name == "apart":
            found, wanted = ({frozenset(group) for group in each} for each in (found, wanted))
        if found != wanted:
            yield Objection(_NONE, f"the {name} is {found}, and {wanted} was asked")


def hosts_receive_no_more_than_their_limit(case: _Case) -> _Objections:
    """Require that no host receives more devices than ``limit`` says."""
    limit = case.asked.limit
    for host, count in Counter([move.target["host"] for move in case.moves]).items():
        most = limit.get(host) if isinstance(limit, t.Mapping) else limit
        if most is not None and count > most:
            yield Objection(
                _keys(each for each in case.moves if each.target_key[0] == host),
                f"{host} receives {count} devices, and {most} at most",
            )


def guests_of_a_group_are_apart(case: _Case) -> _Objections:
    """Require that where a guest of a group goes to, no other guest of that group is, then or at any time later.

    What moves in a wave is on both hosts as long as that lasts. Guests that were together before and stay are none of the
    plan's doing.
    """
    moves = {move.key: move for move in case.moves}
    held: dict[str, list[Key]] = defaultdict(list)
    for key, device in case.devices.items():
        holder = device["in_use"] or {}
        for each in {holder.get("name"), holder.get("uuid")} - {None, ""}:
            held[str(each)].append(key)
    for group in case.asked.apart:
        # By host: who is there, from which wave and to which one. Each by its process: two hosts may have guests of one name.
        there: dict[str, set[_Stay]] = defaultdict(set)
        for each in sorted(group):
            for key in held.get(each, ()):
                holder, move = case.devices[key]["in_use"], moves.get(key)
                guest = (str(holder.get("name")), key[0], str(holder.get("pid") or key[1]))
                there[key[0]].add(_Stay(0, move.wave if move else math.inf, guest))
                if move:
                    there[move.target["host"]].add(_Stay(move.wave, math.inf, guest))
        for host, stays in there.items():
            if len(stays) > 1:
                yield from _meetings(case, host, sorted(stays))


class _Stay(t.NamedTuple):
    """From which wave to which one a guest is on a host, and which guest it is."""

    begin: float
    end: float
    guest: tuple[str, str, str]


def _meetings(case: _Case, host: str, stays: t.Sequence[_Stay]) -> _Objections:
    """Yield that guests of a group meet on ``host``, where one of them goes; ``stays`` are sorted."""
    last = _Stay(0, -1, ("", "", ""))
    for each in stays:
        if each.begin and each.begin <= last.end and each.guest != last.guest:
            names = [each.guest[0], last.guest[0]]
            when = "" if last.end == math.inf else " on the way"
            yield Objection(
                _keys(m for m in case.moves if m.target_key[0] == host and m.vm in names),
                f"{' and '.join(sorted(names))} are to be apart and all on {host}{when}",
            )
        if each.end >= last.end:
            last = each


def guests_stay_on_one_numa_node(case: _Case) -> _Objections:
    """Require that all targets of one process are on one NUMA node."""
    nodes: dict[tuple[str, int], set[int | None]] = defaultdict(set)
    moving: dict[tuple[str, int], list[_Move]] = defaultdict(list)
    for move in case.moves:
        holder = move.source["in_use"]
        if holder and holder.get("pid") is not None:
            target = move.target
            place = case.devices.get(move.target_key)
            if target["create"]:
                place = case.parents.get((target["host"], target["parent"]))
            nodes[move.key[0], holder["pid"]].add((place or {}).get("numa_node"))
            moving[move.key[0], holder["pid"]].append(move)
    for (host, pid), found in nodes.items():
        if len(found) > 1:
            yield Objection(
                _keys(moving[host, pid]),
                f"process {pid} on {host} goes to several NUMA nodes of a host",
            )


def a_guest_gets_one_vgpu_of_a_gpu(case: _Case) -> _Objections:
    """Require that no two vGPUs of NVIDIA's that one process holds go to one physical GPU."""
    on_gpus: dict[tuple[t.Any, ...], list[_Move]] = defaultdict(list)
    for move in case.moves:
        host, under = move.target["host"], move.target["parent"]
        parent = case.parents.get((host, under), {})
        own = {} if move.descriptor is None else move.descriptor.own
        if "nvidia" in (parent.get("driver"), own.get("driver")):
            gpu = parent.get("physical_function") or under or move.target["id"]
            pid = (move.source["in_use"] or {}).get("pid")
            on_gpus[move.key[0], move.key if pid is None else pid, host, gpu].append(move)
    for (_source, _guest, host, gpu), moves in on_gpus.items():
        if len(moves) > 1:
            yield Objection(_keys(moves), f"a guest gets {len(moves)} vGPUs of {gpu} on {host}")


def devices_keep_their_kind(case: _Case) -> _Objections:
    """Require that a target is of its source's kind."""
    for move in case.moves:
        if move.target["kind"] != move.source["kind"]:
            yield move.objection(f"{move} does not keep the kind {move.source['kind']}")


def devices_keep_their_type(case: _Case) -> _Objections:
    """Require that a target is of its source's type."""
    for move in case.moves:
        if move.target["type"] != move.source["type"]:
            yield move.objection(f"{move} does not keep the type {move.source['type']}")


# Conditions that a plan says of itself; the others are of the occasion that it was made for.
_LASTING = tuple(
    each.name
    for each in fields(Conditions)
    if each.name not in ("avoid", "drain", "free_devices", "targets")
)
# Each rule with what there must be for it to say anything.
_RULES: tuple[tuple[t.Callable[[_Case], t.Any], t.Callable[[_Case], _Objections]], ...] = (
    (attrgetter("plan"), the_plan_is_for_what_was_asked),
    (attrgetter("plan"), every_source_is_known_and_planned_once),
    (attrgetter("staying"), what_stays_has_nothing_to_move),
    (attrgetter("moves"), sources_can_migrate),
    (attrgetter("moves"), placements_say_of_sources_what_the_facts_say),
    (attrgetter("moves"), placements_are_no_surer_than_they_can_be),
    (attrgetter("moves"), guests_move_as_a_whole),
    (attrgetter("moves"), a_target_serves_one_source),
    (attrgetter("moves"), targets_may_receive),
    (attrgetter("existing"), existing_targets_are_free),
    (attrgetter("existing"), existing_targets_are_compatible),
    (attrgetter("moves"), placements_name_the_set_that_matches),
    (attrgetter("moves"), placements_warn_of_what_they_assume),
    (attrgetter("new"), new_devices_can_be_created),
    (attrgetter("new"), new_devices_will_match),
    (attrgetter("new_vdpa"), new_vdpa_devices_are_offered),
    (attrgetter("asked.round_trip"), new_devices_can_return),
    (attrgetter("made"), no_parent_is_overcommitted),
    (attrgetter("new"), no_card_holds_more_than_it_can),
    (attrgetter("made"), functions_of_a_card_are_given_what_it_holds),
    (attrgetter("is_limited"), hosts_receive_no_more_than_their_limit),
    (attrgetter("asked.apart"), guests_of_a_group_are_apart),
    (attrgetter("asked.numa_local"), guests_stay_on_one_numa_node),
    (attrgetter("asked.distinct_gpus"), a_guest_gets_one_vgpu_of_a_gpu),
    (attrgetter("asked.keep_kind"), devices_keep_their_kind),
    (attrgetter("asked.keep_type"), devices_keep_their_type),
    (attrgetter("plan"), status_and_shortage_are_true),
    (attrgetter("plan"), the_cost_is_counted),
    (attrgetter("plan"), the_tables_say_what_the_placements_say),
)


# --- names and numbers of the kernel ---------------------------------------------------------------------------------

# The lists for the modules of a host by the kind of their devices, each with what it calls a device.
_LISTS = {
    "mdev": ("devices", "uuid"),
    "pci": ("pci_devices", "address"),
    "vdpa": ("vdpa_devices", "name"),
}
_VDPA_VALUES = frozenset(("mac", "mtu", "max_vqp"))
_NOTHING: tuple[_Entry, _Entry] = ({}, {})
# What moves of one kind need not have alike of their parents, and of the types that these offer.
_NOT_COMPARED = dict.fromkeys(("id", "types", "numa_node", "physical_function"))
_NOT_COUNTED = {"available_instances": None}
# What new devices of a kind may be called.
_NAMES = {
    "mdev": re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    "vdpa": re.compile("[A-Za-z0-9_][A-Za-z0-9_.:-]{0,99}"),
}
# These come with a device's parent and type, and nobody writes them.
_NOT_GIVEN = frozenset(("software_version", "device_api", "type", "pci_id", "driver"))
_MASK = re.compile("0x[0-9a-f]{1,16}")
_NUMBER = re.compile("[1-9][0-9]{0,9}")
# The bits of virtio features: virtio_config.h and virtio_ring.h, virtio_net.h and virtio_blk.h (include/uapi/linux).
_ALL_FEATURES = """24 NOTIFY_ON_EMPTY 27 ANY_LAYOUT 28 RING_INDIRECT_DESC 29 RING_EVENT_IDX 32 VERSION_1
33 ACCESS_PLATFORM 34 RING_PACKED 35 IN_ORDER 36 ORDER_PLATFORM 37 SR_IOV 38 NOTIFICATION_DATA 39 NOTIF_CONFIG_DATA
40 RING_RESET 41 ADMIN_VQ """
_FEATURES = {
    "net": """0 CSUM 1 GUEST_CSUM 2 CTRL_GUEST_OFFLOADS 3 MTU 5 MAC 6 GSO 7 GUEST_TSO4 8 GUEST_TSO6 9 GUEST_ECN
10 GUEST_UFO 11 HOST_TSO4 12 HOST_TSO6 13 HOST_ECN 14 HOST_UFO 15 MRG_RXBUF 16 STATUS 17 CTRL_VQ 18 CTRL_RX
19 CTRL_VLAN 20 CTRL_RX_EXTRA 21 GUEST_ANNOUNCE 22 MQ 23 CTRL_MAC_ADDR 50 DEVICE_STATS 52 VQ_NOTF_COAL 53 NOTF_COAL
54 GUEST_USO4 55 GUEST_USO6 56 HOST_USO 57 HASH_REPORT 59 GUEST_HDRLEN 60 RSS 61 RSC_EXT 62 STANDBY
63 SPEED_DUPLEX""",
    "block": """0 BARRIER 1 SIZE_MAX 2 SEG_MAX 4 GEOMETRY 5 RO 6 BLK_SIZE 7 SCSI 9 FLUSH 10 TOPOLOGY
11 CONFIG_WCE 12 MQ 13 DISCARD 14 WRITE_ZEROES 16 SECURE_ERASE 17 ZONED""",
}


def _feature_names(mask: str, device_class: str) -> set[str]:
    """Return the attributes of a descriptor for the features in ``mask``, hexadecimal, of a device of this class."""
    words = (_ALL_FEATURES + _FEATURES.get(device_class, "")).split()
    names = dict(zip(words[::2], words[1::2], strict=True))
    features = int(mask, 16) if _MASK.fullmatch(mask) else 0
    bits = [str(bit) for bit in range(64) if features >> bit & 1]
    return {f"feature_{names.get(bit, f'bit_{bit}')}" for bit in bits}
