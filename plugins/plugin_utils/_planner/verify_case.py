# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""A plan with the facts that it is checked against, for the rules of the verifier. Pure."""

from __future__ import annotations

import itertools
import marshal
import re
import typing as t
from collections import Counter, defaultdict
from dataclasses import dataclass

from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import Conditions
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify_matching import (
    Attributes,
    NaiveDescriptor,
    read_naive_descriptor,
    set_matches,
)

Entry = t.Mapping[str, t.Any]
Facts = t.Mapping[str, Entry]
# Host and id of a device or of a parent.
Key = tuple[str, str]
# What concerns the plan as a whole.
WHOLE_PLAN: frozenset[Key] = frozenset()
# What moves of one kind need not have alike of their parents, and of the types that these offer.
_NOT_COMPARED = dict.fromkeys(("id", "types", "numa_node", "physical_function"))
_NOT_COUNTED = {"available_instances": None}
_NOTHING: Entry = {}
POSITIVE = re.compile("[1-9][0-9]{0,9}")


class Objection(t.NamedTuple):
    """A rule that a plan breaks, in a sentence, and the sources concerned; none where it is the plan as a whole."""

    sources: frozenset[Key]
    sentence: str


Objections = t.Iterator[Objection]


@dataclass(slots=True, eq=False)
class Move:
    """A placement: ``source`` is what the facts say of the device, ``stated`` and ``target`` what the plan says.

    ``found`` is the placement as the plan has it. ``place`` is the host and parent that the target is or will be under;
    ``there`` and ``parent`` are what the facts say of the target and of that parent, ``offered`` what that offers of the type
    of a new device; ``None`` where they say nothing. With ``several`` the source is one of several VFIO devices which move
    with a process, and with ``several_vgpus`` one of several vGPUs of NVIDIA's among these.
    Moves of one ``kind`` are alike in all that is compared: in all but the names of hosts, devices and guests.
    """

    key: Key
    stated: Entry
    source: Entry
    descriptor: NaiveDescriptor | None
    target_key: Key
    target: Entry
    wave: int
    vm: str | None
    vm_uuid: str | None
    found: Entry
    place: tuple[str, t.Any]
    there: Entry | None
    parent: Entry | None
    offered: Entry | None
    kind: int
    several: bool = False
    several_vgpus: bool = False

    def objection(self, sentence: str) -> Objection:
        """Return that this placement breaks a rule."""
        return Objection(frozenset([self.key]), sentence)

    def __str__(self) -> str:
        return f"{name_of(self.key)} to {name_of(self.target_key)}"


_NO_MOVES: t.Mapping[str, Move] = {}


class Readings:
    """What descriptors say, by their text, and which of them list what: as it depends on nothing else, several cases may share it."""

    def __init__(self) -> None:
        self.descriptors: dict[str, NaiveDescriptor | None] = {}
        self.answers: dict[tuple[t.Any, ...], bool] = {}
        self._tables: dict[bytes | str, _Descriptors] = {}

    def of_table(self, facts: Entry) -> _Descriptors:
        """Return the descriptors of a host by name; hosts that have the same have them in common."""
        raw = facts["descriptors"]
        content = _content(raw)
        found = self._tables.get(content)
        if found is None:
            found = self._tables[content] = _Descriptors(self, raw)
        return found

    def descriptor(self, raw: t.Any) -> NaiveDescriptor | None:
        """Return what a descriptor says, ``None`` where it is not usable; equal ones are one object."""
        try:
            content = repr(raw)
        except (RecursionError, ValueError):
            # No driver states a descriptor that deep, or a number with that many digits.
            return None
        if content not in self.descriptors:
            self.descriptors[content] = read_naive_descriptor(raw)
        return self.descriptors[content]


class _Descriptors(dict[str, NaiveDescriptor | None]):
    """The descriptors of a host by name, each read when it is first asked for."""

    def __init__(self, readings: Readings, raw: t.Any) -> None:
        super().__init__()
        self._readings, self._raw = readings, raw

    def __missing__(self, name: str) -> NaiveDescriptor | None:
        found = self[name] = self._readings.descriptor(self._raw[name])
        return found


# What a parent offers by the name of a type, and the number of all types that have the same to compare.
_Types = dict[t.Any, tuple[Entry | None, int]]


class _Place(t.NamedTuple):
    """A parent that something is made under, ``None`` where the facts have none, and its ``types`` that were asked for.

    ``number``, and that of a type, are those of all that have the same to compare. ``stated`` are the versions of mdevs, of
    those that are derived last.
    """

    key: tuple[str, t.Any]
    parent: Entry | None
    number: int
    stated: tuple[tuple[str, ...], tuple[str, ...]]
    types: _Types


class Case:
    """A plan, the facts of the hosts that take part in it, and what was asked."""

    def __init__(
        self,
        plan: Entry,
        facts: Facts,
        asked: Conditions,
        unknown: t.Collection[str] | None,
        readings: Readings | None = None,
    ) -> None:
        self.plan, self.facts, self.asked, self.unknown = plan, facts, asked, unknown
        self.placed, self.unplaced = (
            [(each["source"]["host"], each["source"]["id"]) for each in plan[part]]
            for part in ("placements", "unplaced")
        )
        self.drained = frozenset(asked.drain or ())
        # Where only the plan is known, hosts may have come, and what is known of others may have changed, since.
        self.is_of_the_occasion = unknown is not None or asked.drain is not None
        self.has_shortage = plan["shortage"] is not None
        self.has_proof, self.has_cases = "proof" in plan, "cases" in plan
        self.lost: Entry = (
            plan.get("request", {}).get("lost", {}) if self.is_of_the_occasion else {}
        )
        self.staying = {(each["host"], each["id"]) for each in plan.get("staying", ())}
        # What is held instead of a device, and the guest's name.
        self.moved_to: dict[Key, tuple[Key, str]] = {
            (each["host"], each["id"]): ((to["host"], to["id"]), to["vm"])
            for each in plan.get("staying", ())
            if (to := each.get("moved_to")) is not None
        }
        self.moved_onto = Counter(target for target, _vm in self.moved_to.values())
        # What hosts have received by moves of earlier plans.
        self.received: list[Entry] = [*plan.get("received", ())]
        hosts = {key[0] for keys in (self.placed, self.unplaced) for key in keys} | self.drained
        hosts |= {each["target"]["host"] for each in plan["placements"]}
        hosts |= {host for host, _id in self.staying.union(self.moved_onto)}
        hosts |= {end["host"] for each in self.received for end in (each, each["source"])}
        # Guests that stay on other hosts of a failure domain are met there, too, and count there.
        by_domain = asked.apart or asked.policy == "spread"
        near = [{*domain} for domain in asked.failure_domains.values()] if by_domain else []
        hosts = hosts.union(*(domain for domain in near if not domain.isdisjoint(hosts)))
        there = sorted(hosts & facts.keys())
        # By host and id.
        self.devices, self.parents = (
            {host: {each["id"]: each for each in facts[host][part]} for host in there}
            for part in ("devices", "parents")
        )
        self._descriptors: dict[str, _Descriptors] = {}
        self._readings = readings or Readings()
        self._kinds: dict[t.Any, int] = {}
        self._numbers: dict[str, int] = {}
        self._places: dict[tuple[str, t.Any], _Place] = {}
        self._alike: dict[bytes | str, tuple[int, _Types]] = {}
        self.left = frozenset(self.unplaced)
        self._avoided: dict[str, list[tuple[t.Any, ...]]] = defaultdict(list)
        for place in asked.avoid:
            self._avoided[place[0]].append(place)
        # To receive nothing is a limit as well.
        self.is_limited = asked.limit is not None
        self.moves: list[Move] = []
        # By host and id of the source.
        self.moving: dict[str, dict[str, Move]] = defaultdict(dict)
        self.new: list[Move] = []
        self.existing: list[Move] = []
        # What takes of a parent: new devices, and functions of a card that are given a type.
        self.made: list[Move] = []
        # Those with network settings on either side.
        self.networked: list[Move] = []
        # Those of the sources.
        self.descriptors: set[NaiveDescriptor | None] = set()
        # The moves of the devices that a process holds.
        self.guests: dict[tuple[str, int], list[Move]] = defaultdict(list)
        for key, each in zip(self.placed, plan["placements"], strict=True):
            source = self.device(key)
            if source is not None:
                self._add(self._move(key, source, each))
        self.new_vdpa = [move for move in self.new if move.target["kind"] == "vdpa"]
        self._mark_several()

    def _add(self, move: Move) -> None:
        """Add a move to those that each rule looks at: a pass over all takes long, as there are many and they are large."""
        source, target = move.source, move.target
        host, device_id = move.key
        self.moves.append(move)
        self.moving[host][device_id] = move
        if target["create"]:
            self.new.append(move)
            self.made.append(move)
        else:
            self.existing.append(move)
            if target["attributes"]:
                self.made.append(move)
        if "network" in target or "network" in source:
            self.networked.append(move)
        self.descriptors.add(move.descriptor)
        holder = source["in_use"]
        if holder and holder.get("pid") is not None:
            self.guests[host, holder["pid"]].append(move)

    def _mark_several(self) -> None:
        """Mark the moves of each guest that has several."""
        read = self._readings.descriptors
        nvidia = {each for each in read.values() if each is not None and _is_of_nvidia(each)}
        for moves in self.guests.values():
            vfio = [move for move in moves if move.source["kind"] != "vdpa"]
            vgpus = [move for move in vfio if move.descriptor in nvidia] if nvidia else []
            for move in vfio if len(vfio) > 1 else ():
                move.several = True
            for move in vgpus if len(vgpus) > 1 else ():
                move.several_vgpus = True

    def is_avoided(
        self, host: str, parent: t.Any, guest: t.Collection[t.Any] = (), guest_host: t.Any = None
    ) -> bool:
        """Return whether nothing may go under ``parent`` of ``host``, or no ``guest``, by its name and UUID, that is on ``guest_host``."""
        for _host, under, whose, on_host in self._avoided.get(host, ()):
            if under not in (None, parent) or on_host not in (None, guest_host):
                continue
            if whose is None or whose in guest:
                return True
        return False

    def device(self, key: Key) -> Entry | None:
        """Return what the facts say of a device; ``None`` where they have none, or its host is excluded from the plan."""
        return self.devices.get(key[0], _NOTHING).get(key[1])

    def parent(self, place: tuple[str, t.Any]) -> Entry | None:
        """Return what the facts say of a parent, as ``device`` does."""
        return self.parents.get(place[0], _NOTHING).get(place[1])

    def move_of(self, key: Key) -> Move | None:
        """Return the placement of a device of the facts, ``None`` where the plan has none."""
        return self.moving.get(key[0], _NO_MOVES).get(key[1])

    def is_planned(self, key: Key) -> bool:
        """Return whether the plan places a device of the facts, or leaves it behind."""
        return self.move_of(key) is not None or key in self.left

    def unmoved(self, hosts: t.Container[str]) -> t.Iterator[tuple[Key, Entry]]:
        """Yield the devices of those of these ``hosts`` that take part in the plan which it does not move."""
        for host, devices in self.devices.items():
            moving = self.moving.get(host, _NO_MOVES)
            # As a rule a host that is emptied has no other devices.
            if host in hosts and len(moving) < len(devices):
                for device_id, device in devices.items():
                    if device_id not in moving:
                        yield (host, device_id), device

    def every_device(self) -> t.Iterator[tuple[Key, Entry]]:
        """Yield what the facts say of the devices of all hosts that take part in the plan."""
        for host, devices in self.devices.items():
            for device_id, device in devices.items():
                yield (host, device_id), device

    def devices_of(self, host: str) -> t.Iterator[tuple[Key, Entry]]:
        """Yield what the facts say of the devices of a host that takes part in the plan."""
        for each in self.facts[host]["devices"]:
            yield (host, each["id"]), self.devices[host][each["id"]]

    def _move(self, key: Key, source: Entry, found: Entry) -> Move:
        """Return a placement with what the facts say of both ends, and with its kind."""
        target = found["target"]
        host, given = target["host"], target["attributes"]
        target_key, place = (host, target["id"]), (host, target["parent"])
        there, parent = self.device(target_key), None
        descriptor = self.descriptor(key[0], source)
        offered, alike = None, tuple[t.Any, ...]()
        if target["create"]:
            at = self._place(place)
            place, parent = at.key, at.parent
            offered, of_type = self._type_at(at, target["type"])
            alike = (found["set"], descriptor, at.number, of_type)
        else:
            parent = self.parent(place)
            end = self.descriptor(host, there) if there else None
            alike = (found["set"], descriptor, end)
            if there and (given or (end is not None and "migratable" in end.own)):
                above = (parent or {}).get("self")
                same_id = target["id"] == source["id"]
                alike = (*alike, as_known((there["attributes"], above, same_id)))
        bindings = tuple(found["bindings"].items())
        if source["attributes"] or given or bindings:
            names = tuple(each["name"] for each in source["attributes"])
            values = tuple((each["name"], each["value"]) for each in given)
            alike = (*alike, names, values, bindings)
        kind = self._kinds.setdefault(alike, len(self._kinds))
        return Move(
            key,
            found["source"],
            source,
            descriptor,
            target_key,
            target,
            found["wave"],
            found["vm"],
            found.get("vm_uuid"),
            found,
            place,
            there,
            parent,
            offered,
            kind,
        )

    def _place(self, place: tuple[str, t.Any]) -> _Place:
        """Return what there is of a parent that something is made under."""
        at = self._places.get(place)
        if at is None:
            parent = self.parent(place)
            stated = ((), ()) if parent is None else self._versions(place, parent)
            number, types = self._like(parent, stated)
            at = self._places[place] = _Place(place, parent, number, stated, types)
        return at

    def _like(self, parent: Entry | None, stated: t.Any) -> tuple[int, _Types]:
        """Return the number of all parents that have the same to compare, and the types asked for so far of those with equal facts."""
        content = _content((parent, stated))
        found = self._alike.get(content)
        if found is None:
            known = as_known(({**(parent or {}), **_NOT_COMPARED}, stated, parent is None))
            found = self._alike[content] = (self._number(known), {})
        return found

    def _type_at(self, at: _Place, type_id: t.Any) -> tuple[Entry | None, int]:
        """Return what a parent offers by this name, with a number that such types share which have the same to compare."""
        found = at.types.get(type_id)
        if found is None:
            offered = None
            for each in at.parent["types"] if at.parent is not None else ():
                offered = each if each["id"] == type_id else offered
            known = as_known({**(offered or {}), **_NOT_COUNTED})
            found = at.types[type_id] = (offered, self._number(known))
        return found

    def _number(self, known: str) -> int:
        return self._numbers.setdefault(known, len(self._numbers))

    def descriptor(self, host: str, device: Entry) -> NaiveDescriptor | None:
        """Return the descriptor of a device, ``None`` where it has none that is usable; equal ones are one object."""
        name = device["descriptor"]
        if name is None:
            return None
        found = self._descriptors.get(host)
        if found is None:
            found = self._descriptors[host] = self._readings.of_table(self.facts[host])
        return found[name]

    def lists(
        self,
        owner: NaiveDescriptor,
        subject: Attributes,
        is_source: bool,
        given: t.Collection[str] | None = None,
        taken: bool = False,
    ) -> bool:
        """Return whether ``owner``, a source or a target, lists a device whose attributes are ``subject``.

        Of a device that is still to be created, ``given`` are the attributes that it is given, all of which the set must
        name; those that ``subject`` lacks may have any value. Whether the version of a vGPU is ``taken``, ``takes_version``
        says.
        """
        key = (owner, is_source, given, taken, *subject.items())
        answers = self._readings.answers
        if key not in answers:
            answers[key] = any(
                each is not None
                and each.names.issuperset(given or ())
                and set_matches(each, subject, given is None, release(owner, taken), is_source)
                for each in owner.sets
            )
        return answers[key]

    def decides(self, source: NaiveDescriptor, target: NaiveDescriptor) -> bool:
        """Return whether the lists that the plan's direction asks allow a move from ``source`` to ``target``."""
        taken = takes_version(source.shown, target.shown)
        listed = self.lists(source, target.own, True, taken=taken)
        accepted = self.lists(target, source.own, False, taken=taken)
        return {
            "source_lists": listed,
            "target_accepts": accepted,
            "both": listed and accepted,
            "either": listed or accepted,
        }[self.plan["direction"]]

    def versions(self, place: tuple[str, t.Any], derived: bool) -> tuple[str, ...]:
        """Return the versions that mdevs under a parent state, or else mdevs of its driver on that host."""
        return self._place(place).stated[derived]

    def _versions(
        self, place: tuple[str, t.Any], parent: Entry
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return what ``versions`` does: of mdevs whose descriptors are no derived ones, and of those whose are."""
        host, parent_id = place
        of_module = (parent.get("self") or {}).get("software_version")
        module: tuple[str, ...] = (of_module,) if of_module else ()
        mdevs = [each for each in self.facts[host]["devices"] if each["kind"] == "mdev"]
        if not mdevs:
            return (), module
        under: dict[bool, set[str]] = {False: set(), True: set()}
        beside: dict[bool, set[str]] = {False: set(), True: set()}
        for device in mdevs:
            above = self.parents[host].get(device["parent"], _NOTHING)
            descriptor = self.descriptor(host, device)
            if descriptor is not None and above.get("driver") == parent.get("driver"):
                found = under if device["parent"] == parent_id else beside
                found[descriptor.derived].add(descriptor.own["software_version"])
        return (
            tuple(sorted(under[False] or beside[False])),
            tuple(sorted(under[True] or beside[True] or module)),
        )


def _is_of_nvidia(descriptor: NaiveDescriptor) -> bool:
    return descriptor.own.get("driver") == "nvidia"


def keys_of(moves: t.Iterable[Move]) -> frozenset[Key]:
    return frozenset(move.key for move in moves)


# No address: what is gone has left its own to others.
# The MAC address of a function that was given none.
NO_MAC = "00:00:00:00:00:00"
_UNWRITTEN = itertools.count()


def as_known(value: object) -> str:
    """Return a text that values have in common only if they are equal: what ``repr`` cannot write, such as a number of 5,000 digits, has one of its own."""
    try:
        return repr(value)
    except (ValueError, RecursionError):
        return f"number {next(_UNWRITTEN)}"


def _content(value: t.Any) -> bytes | str:
    """Return what values have in common only if they are equal, as ``as_known`` does, and for plain ones sooner."""
    try:
        # Later versions encode equal texts differently that are, or are not, one object.
        return marshal.dumps(value, 2)
    except ValueError:
        return as_known(value)


def places_of(case: Case) -> t.Callable[[str], list[str]]:
    """Return a function that names where guests meet on a host: each failure domain that it is in, or else itself."""
    domains: dict[str, list[str]] = defaultdict(list)
    for name, hosts in case.asked.failure_domains.items():
        for host in hosts:
            domains[host].append(f"failure domain {name}")
    return lambda host: domains.get(host) or [host]


def place_like(device: Entry) -> str:
    """Return what a device is like as a place for another one: all but what may differ where either can be chosen."""
    migration = {name: device["migration"].get(name) for name in ("supported", "features")}
    return as_known({**device, **_OF_NO_MATTER, "migration": migration})


# What of two devices need not be the same for one to be as good a place as the other.
_OF_NO_MATTER = dict.fromkeys(("id", "parent", "in_use", "numa_node", "iommu_group", "network"))


def address_held(device: Entry) -> str | None:
    """Return the MAC address that the guest has which holds a device; ``None`` where it is known of none."""
    mac: str = device.get("network", {}).get("mac", NO_MAC)
    return None if device["in_use"] is None or mac == NO_MAC else mac


def name_of(key: Key) -> str:
    return f"{key[1]} on {key[0]}"


def of_each_kind(
    moves: t.Iterable[Move], reasons: t.Callable[[Move], t.Iterator[str]]
) -> Objections:
    """Yield the ``reasons`` against each move, which are asked once for all moves of a kind."""
    known: dict[int, list[str]] = {}
    for move in moves:
        if move.kind not in known:
            known[move.kind] = [*reasons(move)]
        for reason in known[move.kind]:
            yield move.objection(f"{move}: {reason}")


def last_part(name: str) -> str:
    """Return the name by which descriptors know an attribute whose full name may have a group before it."""
    return name.rpartition("/")[2]


def migration_features(device: Entry) -> list[str]:
    """Return what the kernel says that a device supports, nothing where it does not say."""
    features = device["migration"].get("features")
    if not features:
        return []
    return (
        [each for each in features if isinstance(each, str)] if isinstance(features, list) else []
    )


def unequal_values(one: t.Mapping[str, str], other: t.Mapping[str, str]) -> list[str]:
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


def takes_version(own: t.Mapping[str, str], other: t.Mapping[str, str]) -> bool:
    """Return whether NVML says on both hosts that the target's takes any version that the source may have."""
    stated = own.get("nvidia.version", own.get("nvidia.versions", ""))
    versions = [int(each, 16) for each in re.findall("0x([0-9a-f]+)", stated)]
    bounds = [
        int(each, 16) for each in re.findall("0x([0-9a-f]+)", other.get("nvidia.versions", ""))
    ]
    return (
        bool(versions)
        and len(bounds) == 2
        and all(bounds[0] <= each <= bounds[1] for each in versions)
    )


def release(owner: NaiveDescriptor, taken: bool) -> str | None:
    """Return the version with which an ``owner``'s list compares that of others, ``None`` where it does not."""
    return None if taken and owner.derived else owner.own["software_version"]


# A rule with what there must be for it to say anything.
Rule = tuple[t.Callable[[Case], t.Any], t.Callable[[Case], Objections]]
