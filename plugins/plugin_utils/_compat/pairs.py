# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Pairs: which classes of devices may migrate to which, over a whole fleet. Pure.

Devices are only counted, by class and host. Classes are joined; a verdict is asked for only on what the join has
found: the pairs that are compatible, and the nearest of those that are not.
"""

from __future__ import annotations

import itertools
import typing as t
from collections import Counter, defaultdict
from operator import itemgetter

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.pattern import Pattern
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.template import (
    InvalidPattern,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.bitset import (
    Weights,
    at_most,
    bitset,
    members,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.bulk_match import (
    Listing,
    Subjects,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.candidates import (
    Candidates,
    Creatable,
    Offer,
    offer,
    stated_versions,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.configuration import (
    RULE as CONFIGURATION,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.configuration import (
    Agreeing,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.equivalence import (
    Classes,
    classify,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.verdict import Judge
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.wording import nearest
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.descriptor import Descriptor
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import (
    Device,
    DeviceClass,
    Fleet,
    Host,
    obstacle,
    open_support,
)

MISSES = 3

_Pair = dict[str, t.Any]
_Miss = dict[str, t.Any]
_Barriers = dict[str, dict[str, int]]


def compatible_pairs(
    fleet: Fleet,
    direction: str,
    sources: t.Collection[str] | None = None,
    targets: t.Collection[str] | None = None,
    expand: bool = False,
) -> dict[str, t.Any]:
    """Return the class table, the compatible pairs of classes, and what each class is nearest to.

    ``sources`` and ``targets`` are names of hosts (default: all of the fleet). A pair is of devices on two
    different hosts. See the documentation of the filter for the shape.
    """
    sources, targets = (None if names is None else {*names} for names in (sources, targets))
    classes = classify(
        {
            each.descriptor: None
            for each in _classes_on(fleet.hosts.values())
            if each.descriptor is not None and each.obstacle is None
        }
    )
    from_classes = _counted(fleet, classes, sources)
    to_classes = from_classes if sources == targets else _counted(fleet, classes, targets)
    candidates = Candidates(fleet, direction)
    pairs, misses, barriers = _Comparison(candidates.judge, from_classes, to_classes).results()
    makers = _Makers(fleet, candidates, targets)
    creatable = makers.ways(from_classes)
    named = {host for ways in creatable.values() for way in ways for host in way["room"]}
    for pair in pairs:
        pair["warnings"] += classes.warnings(pair["source"], pair["target"])
    # Of two devices it is known whose support is open, of two classes only whether each one's is known.
    devices = _expanded(fleet, classes, pairs, sources, targets) if expand else None
    open_sources, open_targets = map(_open_supports, (from_classes, to_classes))
    for pair in pairs:
        pair["warnings"] = [
            *pair["warnings"],
            *open_support("every source", open_sources.get(pair["source"]), None),
            *open_support("every target", open_targets.get(pair["target"]), None),
        ]
    result = {
        "direction": direction,
        "classes": _class_table(from_classes, to_classes),
        "uncompared": classes.uncompared,
        "pairs": pairs,
        "misses": misses,
        "barriers": barriers,
        "creatable": creatable,
        "alike": {host: makers.alike[host] for host in sorted(named)},
        "excluded": [
            {"host": host.name, "kind": kind, "id": device_id, "reason": each.obstacle}
            for host in fleet.hosts.values()
            for kind, device_id, each in host.excluded
        ],
        "unknown": fleet.unknown,
        "problems": fleet.problems,
    }
    if devices is not None:
        result["devices"] = devices
    return result


class _Class:
    """The devices of one class on the hosts that are looked at; ``hosts`` has how many there are on each."""

    def __init__(self, descriptor: Descriptor) -> None:
        self.name = descriptor.digest
        self.descriptor = descriptor
        self.self_attributes = descriptor.self_attributes
        self.hosts: dict[str, int] = {}
        self.devices = 0
        self.free = 0
        # Whether all of them are known to migrate.
        self.supported = True
        self.configurable: dict[tuple[str, ...], None] = {}

    def add(self, each: DeviceClass, devices: int) -> None:
        """Count devices of one class of the facts on all hosts."""
        self.devices += devices
        self.free += devices if each.free else 0
        self.supported = self.supported and each.supported is not None
        self.configurable[each.configurable] = None

    @property
    def only_host(self) -> str | None:
        """The host that has all devices of the class, where one has."""
        return next(iter(self.hosts)) if len(self.hosts) == 1 else None

    def pairs_with(self, other: _Class) -> int:
        """Return how many pairs there are of a device of this class and one of ``other`` on another host."""
        pairs = self.devices * other.devices
        if not self.hosts.keys().isdisjoint(other.hosts):
            shared = self.hosts.keys() & other.hosts.keys()
            pairs -= sum([self.hosts[host] * other.hosts[host] for host in shared])
        return pairs


def _classes_on(hosts: t.Iterable[Host]) -> t.Iterable[DeviceClass]:
    """Return the classes of the facts that there are on hosts, in the order in which they are first met."""
    return dict.fromkeys(itertools.chain.from_iterable([host.classes for host in hosts]))


def _counted(fleet: Fleet, classes: Classes, names: t.Collection[str] | None) -> list[_Class]:
    """Return the classes that there are on the hosts with these ``names``, sorted by name."""
    found = {descriptor: _Class(descriptor) for descriptor in classes.of.values()}
    named = [host for host in fleet.hosts.values() if names is None or host.name in names]
    of = {
        each: found[classes.of[each.descriptor]]
        for each in _classes_on(named)
        if each.descriptor is not None and each.obstacle is None
    }
    on_hosts = {each: one.hosts for each, one in of.items()}
    totals = dict.fromkeys(of, 0)
    # This is done for each class of each host, and no more than this.
    for host in named:
        name = host.name
        for each, count in host.classes.items():
            if each in totals:
                totals[each] += count
                there = on_hosts[each]
                there[name] = there.get(name, 0) + count
    for each, total in totals.items():
        of[each].add(each, total)
    return sorted((each for each in found.values() if each.devices), key=lambda each: each.name)


class _Comparison:
    """Compare all source classes with all target classes.

    Sources and targets are numbered; targets so that of those that are equally near the first comes first.
    """

    def __init__(self, judge: Judge, sources: list[_Class], targets: list[_Class]) -> None:
        self._judge = judge
        self._sources = sources
        self._targets = sorted(targets, key=lambda each: (-each.devices, each.name))
        self._compatible: list[list[int]] = [[] for source in sources]
        self._near: list[list[int]] = [[] for source in sources]
        self._barriers: list[dict[str, dict[str, int]]] = [{} for source in sources]

    def results(self) -> tuple[list[_Pair], dict[str, list[_Miss]], dict[str, _Barriers]]:
        """Return the pairs of classes, and by the name of each source class its nearest misses and its barriers."""
        if self._judge.direction == "target_accepts":
            self._compare_lists_of_targets()
        else:
            self._compare_lists_of_sources()
        pairs: list[_Pair] = []
        misses = {}
        for number, source in enumerate(self._sources):
            found, near = self._judged(source, self._compatible[number])
            pairs += sorted(found, key=itemgetter("target"))
            near += [
                self._miss(target, *self._judge.refusal(source.descriptor, target.descriptor))
                for target in map(self._targets.__getitem__, self._near[number])
            ]
            near.sort(key=lambda miss: (len(miss["reasons"]), -miss["devices"], miss["target"]))
            if near:
                misses[source.name] = near[:MISSES]
        names = (source.name for source in self._sources)
        barriers = {name: each for name, each in zip(names, self._barriers, strict=True) if each}
        return pairs, misses, barriers

    def _judged(self, source: _Class, targets: list[int]) -> tuple[list[_Pair], list[_Miss]]:
        pairs, misses = [], []
        for target in map(self._targets.__getitem__, targets):
            verdict = self._judge.verdict(source.descriptor, target.descriptor)
            if not verdict["compatible"]:
                misses.append(self._miss(target, verdict["reasons"], verdict["certainty"]))
                continue
            pairs.append(
                {
                    "source": source.name,
                    "target": target.name,
                    **_compact(verdict),
                    "sources": source.devices,
                    "targets": target.devices,
                    "free_targets": target.free,
                    "pairs": source.pairs_with(target),
                }
            )
        return pairs, misses

    def _miss(self, target: _Class, reasons: list[dict[str, t.Any]], certainty: str) -> _Miss:
        return {
            "target": target.name,
            "devices": target.devices,
            "certainty": certainty,
            "reasons": nearest(reasons),
        }

    def _compare_lists_of_sources(self) -> None:
        subjects = Subjects([each.self_attributes for each in self._targets], True)
        on_other_hosts = _on_other_hosts(self._targets)
        weights = Weights([target.devices for target in self._targets])
        agreeing = Agreeing([target.descriptor for target in self._targets])
        accepted = [0] * len(self._sources)
        if self._judge.direction == "either":
            accepted = self._accepted_targets()
        # Equal lists are one object.
        lists: dict[tuple[int, int], list[int]] = defaultdict(list)
        for number, source in enumerate(self._sources):
            taking = agreeing.taking(source.descriptor)
            lists[id(self._judge.patterns(source.descriptor, True)), taking].append(number)
        for (_list, taking), numbers in lists.items():
            owner = self._sources[numbers[0]].descriptor
            listing = self._listing(owner, True, subjects, taking)
            for number in numbers:
                others = on_other_hosts(self._sources[number])
                agreed = agreeing.with_device(self._sources[number].descriptor)
                fitting = (listing.matched | accepted[number]) & others
                found = fitting & agreed
                self._compatible[number] = [*members(found)]
                self._near[number] = _nearest(listing, others & ~found)
                self._barriers[number] = {
                    name: {"classes": alone.bit_count(), "devices": weights.total(alone)}
                    for name, subjects_alone in sorted(
                        [*listing.but_for.items(), (CONFIGURATION, fitting)]
                    )
                    if (alone := subjects_alone & others & ~found)
                }

    def _accepted_targets(self) -> list[int]:
        """Return for each source the set of targets that accept it."""
        accepted: list[list[int]] = [[] for source in self._sources]
        agreeing = Agreeing([source.descriptor for source in self._sources], are_targets=False)
        for number, listing in self._lists_of_targets(agreeing):
            for source in members(listing.matched):
                accepted[source].append(number)
        return [bitset(each, len(self._targets)) for each in accepted]

    def _lists_of_targets(self, agreeing: Agreeing) -> t.Iterator[tuple[int, Listing]]:
        subjects = Subjects([each.self_attributes for each in self._sources], False)
        for number, target in enumerate(self._targets):
            taken = agreeing.taking(target.descriptor)
            yield number, self._listing(target.descriptor, False, subjects, taken)

    def _listing(
        self, owner: Descriptor, owner_is_source: bool, subjects: Subjects, taken: int
    ) -> Listing:
        """Return what a device's list has of all ``subjects``: of those ``taken`` it does not compare the driver's release."""
        listing = Listing(self._judge.patterns(owner, owner_is_source), subjects)
        if not (taken and owner.derived):
            return listing
        others = self._judge.patterns(owner, owner_is_source, taken=True)
        return listing.with_others(taken, Listing(others, subjects))

    def _compare_lists_of_targets(self) -> None:
        on_other_hosts = _on_other_hosts(self._sources)
        others = [on_other_hosts(target) for target in self._targets]
        agreeing = Agreeing([source.descriptor for source in self._sources], are_targets=False)
        # Sources with fewer misses than are to be named.
        wanting = everything = (1 << len(self._sources)) - 1
        for number, listing in self._lists_of_targets(agreeing):
            agreed = agreeing.with_device(self._targets[number].descriptor)
            self._note(number, listing, others[number], agreed)
            near = listing.within(1) & ~(listing.matched & agreed) & others[number]
            wanting = self._note_near(number, near, wanting)
        if not wanting:
            return
        distances = [listing.distance() for _number, listing in self._lists_of_targets(agreeing)]
        for failures in range(2, 1 << max(map(len, distances), default=0)):
            for number, distance in enumerate(distances):
                closer, near = (at_most(distance, n, everything) for n in (failures - 1, failures))
                wanting = self._note_near(number, near & ~closer & others[number], wanting)
            if not wanting:
                break

    def _note_near(self, number: int, sources: int, wanting: int) -> int:
        """Note a target as the next nearest of some sources, and return which sources still want more."""
        for source in members(sources & wanting):
            self._near[source].append(number)
            if len(self._near[source]) == MISSES:
                wanting ^= 1 << source
        return wanting

    def _note(self, number: int, listing: Listing, others: int, agreed: int) -> None:
        """Note which sources a target accepts, and what keeps others away, of which those ``agreed`` see no other device."""
        for source in members(listing.matched & others & agreed):
            self._compatible[source].append(number)
        devices = self._targets[number].devices
        barriers = [*listing.but_for.items(), (CONFIGURATION, listing.matched & ~agreed)]
        for name, subjects in sorted(barriers):
            for source in members(subjects & others):
                barrier = self._barriers[source].setdefault(name, {"classes": 0, "devices": 0})
                barrier["classes"] += 1
                barrier["devices"] += devices


def _open_supports(classes: list[_Class]) -> dict[str, Descriptor]:
    """Return the classes, by name, that have a device of which it is not known whether it migrates."""
    return {each.name: each.descriptor for each in classes if not each.supported}


def _nearest(listing: Listing, misses: int) -> list[int]:
    """Return the first of ``misses``, those nearest to ``listing``'s patterns before others."""
    found: list[int] = []
    failures = 0
    while misses and len(found) < MISSES:
        failures += 1
        new = listing.within(failures) & misses
        found += itertools.islice(members(new), MISSES - len(found))
        misses &= ~new
    return found


def _on_other_hosts(classes: list[_Class]) -> t.Callable[[_Class], int]:
    """Return what tells which of ``classes`` have a device on another host than one of a class."""
    everything = (1 << len(classes)) - 1
    alone: dict[str, list[int]] = defaultdict(list)
    for number, each in enumerate(classes):
        if each.only_host is not None:
            alone[each.only_host].append(number)
    only_on = {host: bitset(numbers, len(classes)) for host, numbers in alone.items()}

    def on_other_hosts(other: _Class) -> int:
        return everything & ~only_on.get(other.only_host or "", 0)

    return on_other_hosts


def _class_table(*sides: list[_Class]) -> dict[str, t.Any]:
    table: dict[str, t.Any] = {}
    for each in sorted(itertools.chain(*sides), key=lambda each: each.name):
        entry: dict[str, t.Any] = {
            "origin": each.descriptor.origin,
            "self": each.self_attributes,
            "compatible": each.descriptor.compatible,
            "hosts": {},
        }
        if each.descriptor.configuration:
            entry["configuration"] = each.descriptor.configuration
        table.setdefault(each.name, entry)["hosts"].update(each.hosts)
    return table


def _compact(verdict: dict[str, t.Any]) -> dict[str, t.Any]:
    kept = ("set", "bindings", "certainty", "direction_conflict", "warnings")
    return {key: verdict[key] for key in kept}


def _expanded(
    fleet: Fleet,
    classes: Classes,
    pairs: list[_Pair],
    sources: t.Collection[str] | None,
    targets: t.Collection[str] | None,
) -> list[dict[str, t.Any]]:
    """Return every pair of devices in ``pairs`` of classes."""
    members_of: dict[str, list[Device]] = defaultdict(list)
    for device in fleet.devices():
        if device.descriptor is not None and obstacle(device) is None:
            members_of[classes.of[device.descriptor].digest].append(device)
    return [
        {
            "source": source.label,
            "target": target.label,
            "source_class": pair["source"],
            "target_class": pair["target"],
            **_compact(pair),
            "warnings": [
                *pair["warnings"],
                *open_support("the source", source.descriptor, source.supported),
                *open_support("the target", target.descriptor, target.supported),
            ],
        }
        for pair in pairs
        for source in members_of[pair["source"]]
        if sources is None or source.host in sources
        for target in members_of[pair["target"]]
        if (targets is None or target.host in targets) and source.host != target.host
    ]


class _Makers:
    """The hosts that could make devices; ``alike`` has those that could make the same, by the name of the first of them."""

    def __init__(
        self, fleet: Fleet, candidates: Candidates, targets: t.Collection[str] | None
    ) -> None:
        self._candidates = candidates
        # For each offer, the first of the hosts that have it, and the instances that each of their parents has left.
        self._offers: dict[str, dict[Offer, dict[str, list[int]]]] = defaultdict(dict)
        alike: dict[t.Any, list[Host]] = defaultdict(list)
        for host in fleet.hosts.values():
            if host.equipment and (targets is None or host.name in targets):
                alike[id(host.equipment), host.stated].append(host)
        self.alike: dict[str, list[str]] = {}
        for first, *others in alike.values():
            offers = _offered(first)
            if offers:
                self.alike[first.name] = [first.name, *(host.name for host in others)]
            for offered, available in offers.items():
                self._offers[offered.type].setdefault(offered, {})[first.name] = available

    def ways(self, sources: list[_Class]) -> dict[str, list[dict[str, t.Any]]]:
        """Return the mdevs that hosts could make for each class: one entry for each way, with the instances left per host."""
        if not self._candidates.predicts:
            return {}
        return {source.name: ways for source in sources if (ways := self._ways_for(source))}

    def _ways_for(self, source: _Class) -> list[dict[str, t.Any]]:
        made: dict[t.Any, list[tuple[Offer, Creatable]]] = defaultdict(list)
        for configurable in source.configurable:
            for offered in self._fitting(source.descriptor):
                one = self._candidates.offered(source.descriptor, configurable, offered)
                if one is not None:
                    made[offered.type, one.set, one.attributes].append((offered, one))
        ways = []
        for (mdev_type, number, attributes), each in sorted(made.items()):
            room = self._room({(offered, one.instances) for offered, one in each}, source)
            if room:
                ways.append(
                    {
                        "type": mdev_type,
                        "attributes": [{"name": n, "value": v} for n, v in attributes],
                        "set": number,
                        "bindings": each[0][1].bindings,
                        "certainty": "provisional",
                        "warnings": each[0][1].warnings,
                        "room": room,
                    }
                )
        return ways

    def _fitting(self, source: Descriptor) -> t.Iterator[Offer]:
        """Yield the offers that may fit a set of ``source``'s list: those of the types that it names."""
        types = _types(self._candidates.judge.patterns(source, True))
        for mdev_type in self._offers if types is None else types & self._offers.keys():
            yield from self._offers[mdev_type]

    def _room(self, offers: set[tuple[Offer, int]], source: _Class) -> dict[str, int]:
        """Return how many of what takes so many instances of these offers each host has room for.

        The only host that has devices of ``source`` is left out.
        """
        rooms: Counter[str] = Counter()
        for offered, instances in offers:
            for host, available in self._offers[offered.type][offered].items():
                # Types of one parent share its room: the parents of a host add up, its types do not.
                room = sum(each // instances for each in available)
                if room and self.alike[host] != [source.only_host]:
                    rooms[host] += room
        return dict(sorted(rooms.items()))


def _types(patterns: t.Iterable[Pattern | InvalidPattern]) -> set[str] | None:
    """Return the types that a list of patterns names; ``None`` where it does not name them as text."""
    types: set[str] = set()
    for pattern in patterns:
        named = pattern.texts("type") if isinstance(pattern, Pattern) else set()
        if named is None:
            return None
        types |= named
    return types


def _offered(host: Host) -> dict[Offer, list[int]]:
    """Return what the host's parents offer, and how many instances each of them has left of it."""
    versions = stated_versions(host)
    offers: dict[Offer, list[int]] = defaultdict(list)
    for parent in host.equipment:
        for each in parent.types:
            if each.available_instances > 0:
                offers[offer(versions, parent, each)].append(each.available_instances)
    return offers
