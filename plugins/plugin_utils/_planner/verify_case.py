# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""A plan with the facts that it is checked against, for the rules of the verifier. Pure."""

from __future__ import annotations

import itertools
import re
import typing as t
from collections import Counter

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
NO_OFFER: tuple[Entry, Entry] = ({}, {})
# What moves of one kind need not have alike of their parents, and of the types that these offer.
_NOT_COMPARED = dict.fromkeys(("id", "types", "numa_node", "physical_function"))
_NOT_COUNTED = {"available_instances": None}
POSITIVE = re.compile("[1-9][0-9]{0,9}")


class Objection(t.NamedTuple):
    """A rule that a plan breaks, in a sentence, and the sources concerned; none where it is the plan as a whole."""

    sources: frozenset[Key]
    sentence: str


Objections = t.Iterator[Objection]


class Move(t.NamedTuple):
    """A placement: ``source`` is what the facts say of the device, ``stated`` and ``target`` what the plan says.

    ``found`` is the placement as the plan has it. Moves of one ``kind`` are alike in all that is compared: in all but the
    names of hosts, devices and guests.
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
    kind: int

    @property
    def place(self) -> tuple[str, t.Any]:
        """The host and parent that the target is or will be under."""
        return self.target_key[0], self.target["parent"]

    def objection(self, sentence: str) -> Objection:
        """Return that this placement breaks a rule."""
        return Objection(frozenset([self.key]), sentence)

    def __str__(self) -> str:
        return f"{name_of(self.key)} to {name_of(self.target_key)}"


class Readings:
    """What descriptors say, by their text, and which of them list what: as it depends on nothing else, several cases may share it."""

    def __init__(self) -> None:
        self.descriptors: dict[str, NaiveDescriptor | None] = {}
        self.answers: dict[tuple[t.Any, ...], bool] = {}


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
        # Where only the plan tells anything, hosts may have come, and what is known of others may have changed, since.
        self.is_of_the_occasion = unknown is not None or asked.drain is not None
        self.has_shortage = plan["shortage"] is not None
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
        hosts = {host for host, _id in self.placed + self.unplaced} | self.drained
        hosts |= {each["target"]["host"] for each in plan["placements"]}
        hosts |= {host for host, _id in self.staying.union(self.moved_onto)}
        # Who stays on other hosts of a failure domain is met there, too, and counts there.
        by_domain = asked.apart or asked.policy == "spread"
        near = [{*domain} for domain in asked.failure_domains.values()] if by_domain else []
        hosts = hosts.union(*(domain for domain in near if not domain.isdisjoint(hosts)))
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
        readings = readings or Readings()
        self._read, self._answers = readings.descriptors, readings.answers
        self._versions: dict[tuple[str, str, bool], list[str]] = {}
        self._kinds: dict[t.Any, int] = {}
        self._places: dict[tuple[str, str, str], int] = {}
        self.moves = [
            Move(
                key,
                each["source"],
                self.devices[key],
                descriptor,
                (each["target"]["host"], each["target"]["id"]),
                each["target"],
                each["wave"],
                each["vm"],
                each.get("vm_uuid"),
                each,
                self._kind(self.devices[key], descriptor, each),
            )
            for key, each in zip(self.placed, plan["placements"], strict=True)
            if key in self.devices
            for descriptor in [self.descriptor(key[0], self.devices[key])]
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
            (move, (move.key[0], move.source["in_use"].get("pid")))
            for move in self.moves
            if move.source["kind"] != "vdpa" and move.source["in_use"]
        ]
        counts = Counter(process for _move, process in held)
        self.several = frozenset(
            move.key for move, process in held if counts[process] > 1 and process[1] is not None
        )
        # Of these the vGPUs of NVIDIA's, where the process has several.
        vgpus = [(move.key, process) for move, process in held if _is_of_nvidia(move)]
        of_process = Counter(process for _key, process in vgpus)
        self.several_vgpus = frozenset(
            key for key, process in vgpus if key in self.several and of_process[process] > 1
        )

    def _kind(self, source: Entry, own: NaiveDescriptor | None, found: Entry) -> int:
        """Return a number that placements share which have a source and a target with the same to compare."""
        target = found["target"]
        host, parent, type_id = target["host"], target["parent"], target["type"]
        there: t.Any
        if target["create"]:
            there = self._place(host, parent, type_id)
        else:
            device = self.devices.get((host, target["id"]))
            descriptor = self.descriptor(host, device) if device else None
            there = (descriptor, "")
            waits = descriptor is not None and "migratable" in descriptor.own
            if device and (target["attributes"] or waits):
                above = (self.parents.get((host, parent)) or {}).get("self")
                same_id = target["id"] == source["id"]
                there = (descriptor, as_known((device["attributes"], above, same_id)))
        alike = (
            own,
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
            parent, offered = self.offers.get(key, NO_OFFER)
            versions = (
                [self.versions(host, parent, derived) for derived in (True, False)]
                if parent
                else None
            )
            alike = as_known(({**parent, **_NOT_COMPARED}, {**offered, **_NOT_COUNTED}, versions))
            self._places[key] = self._kinds.setdefault(alike, len(self._kinds))
        return self._places[key]

    def descriptor(self, host: str, device: Entry) -> NaiveDescriptor | None:
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
        taken: bool = False,
    ) -> bool:
        """Return whether ``owner``, a source or a target, lists a device whose attributes are ``subject``.

        Of a device that is still to be created, ``given`` are the attributes that it is given, all of which the set must
        name; those that ``subject`` lacks may have any value. Whether the version of a vGPU is ``taken``, ``takes_version``
        says.
        """
        key = (owner, is_source, given, taken, *subject.items())
        if key not in self._answers:
            self._answers[key] = any(
                each is not None
                and each.names.issuperset(given or ())
                and set_matches(each, subject, given is None, release(owner, taken), is_source)
                for each in owner.sets
            )
        return self._answers[key]

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

    def versions(self, host: str, parent: Entry, derived: bool) -> list[str]:
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
            of_module = (parent.get("self") or {}).get("software_version")
            known = {of_module} if derived and of_module else set()
            self._versions[key] = sorted(stated[True] or stated[False] or known)
        return self._versions[key]


def _is_of_nvidia(move: Move) -> bool:
    return move.descriptor is not None and move.descriptor.own.get("driver") == "nvidia"


def keys_of(moves: t.Iterable[Move]) -> frozenset[Key]:
    return frozenset(move.key for move in moves)


# No address: what is gone has left its own to others.
# The MAC address of a function that was given none.
NO_MAC = "00:00:00:00:00:00"
_UNWRITTEN = itertools.count()


def as_known(value: object) -> str:
    """Return a text that values have in common only if they are equal: what nobody can write, such as a number of 5,000 digits, has one of its own."""
    try:
        return repr(value)
    except (ValueError, RecursionError):
        return f"number {next(_UNWRITTEN)}"


def place_like(device: Entry) -> str:
    """Return what a device is like as a place for another one: all but what may differ where one is as good as the other."""
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
    """Return what the kernel says that a device supports, nothing where it does not tell."""
    told = device["migration"].get("features")
    return [each for each in told if isinstance(each, str)] if isinstance(told, list) else []


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
    told = own.get("nvidia.version", own.get("nvidia.versions", ""))
    versions = [int(each, 16) for each in re.findall("0x([0-9a-f]+)", told)]
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
