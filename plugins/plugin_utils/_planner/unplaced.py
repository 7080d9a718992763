# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""Reasons: what stands between a device that a plan leaves behind and each host. Pure."""

from __future__ import annotations

import itertools
import typing as t
from collections import Counter, defaultdict

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.template import (
    InvalidPattern,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.candidates import (
    Candidates,
    Creatable,
    Existing,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.make import of_one_make
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.wording import (
    counted,
    listed,
    nearest,
    used_up,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import (
    Device,
    Host,
    MdevType,
    Parent,
    obstacle_code,
    obstacle_in_guest,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.effort import Effort
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.admissible import (
    IN_THE_WAY,
    INCOMPATIBLE,
    NO_EXCLUSIONS,
    NewDevice,
    Refusal,
    Target,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.ap_queues import (
    Matrix,
    matrices_on,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.cards import (
    is_card_parent,
    type_given,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.parent_capacity import (
    ParentCapacity,
    capacity_of,
    family_of,
    instances_left,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.problem import (
    Problem,
    pose_afresh,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.reason import (
    MAX_COMPARISONS,
    Reason,
    of_verdict,
    unplaced_of,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import Guest
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import (
    Unplaced,
    UnplacedReason,
)

# A report says what is in the way of devices of which there is no plan: nothing of plans is loaded for it.
if t.TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.vfio.migration.plugins.plugin_utils._packing.bottleneck import (
        Shortage,
    )
    from ansible_collections.vfio.migration.plugins.plugin_utils._planner.backing import (
        Placement,
    )
    from ansible_collections.vfio.migration.plugins.plugin_utils._planner.solution import (
        Proof,
        Solution,
    )
    from ansible_collections.vfio.migration.plugins.plugin_utils._planner.waves import MoveOrder

# Of more hosts than these, each reason is given once, with the number of hosts of which it is true as well.
MAX_HOSTS = 20
# Of more reasons on one host, or of more names in one, only the first are given. So many that differ in devices and numbers
# alone are given for all hosts together, and at least one of each.
MAX_REASONS = 20
# So many different reasons are given for more hosts than that.
_MAX_RULES = 40
# So many comparisons take as long as saying why a type of a parent does not match.
_TO_PUT_TOGETHER = 8
# And so many choices of values for the variables of a set, each with the texts that it gives.
_LIKE_ONE = 256
_EXPLAINS = "the filter explain shows what stands in the way"
_NOT_EXAMINED = Reason("not_examined", f"it has no place; {_EXPLAINS}")
_NOT_EXAMINED_THERE = Reason("not_examined", f"it has no place there; {_EXPLAINS}")
# Something matches, and can be used.
_TO_BE_HAD = Reason("left_out", "")


def left_behind(
    problem: Problem,
    solution: Solution,
    proof: Proof,
    order: MoveOrder,
    effort: Effort | None = None,
) -> list[Unplaced]:
    """Return the devices that have no place, and why; in ``order`` are guests that would wait for each other."""
    guests = problem.request.guests
    placed = {each.guest for each in solution.placed}
    now = pose_afresh(problem, order.exclusions) if order.exclusions != NO_EXCLUSIONS else problem
    reasons = Reasons(now, solution.placed, effort)
    shortage = solution.shortage if proof.assumptions else proof.shortage
    short = _short_reasons(problem, shortage) if shortage else {}
    circular = _cycle_reasons(guests, order.cycles)
    return [
        unplaced_of(
            guest,
            device,
            [
                *circular.get(number, ()),
                *short.get(device.key, ()),
                *reasons.of(guest, device),
            ],
        )
        for number, guest in enumerate(guests)
        if number not in placed
        for device in guest.devices
    ]


def _short_reasons(
    problem: Problem, shortage: Shortage
) -> dict[tuple[str, str], list[UnplacedReason]]:
    from ansible_collections.vfio.migration.plugins.plugin_utils._planner.shortages import (
        short_of,
        shortages_in,
    )

    reasons: dict[tuple[str, str], list[UnplacedReason]] = {}
    for each in shortages_in(problem, shortage):
        devices = short_of(problem, each)
        types = sorted({device.type or device.kind for device in devices})
        known = f"{each.reachable:,} at most: {each.missing:,} too few"
        if each.need == 1:
            words = f"1 device ({listed(types)}) needs a place of which all targets together have {known}"
        else:
            words = f"{each.need:,} devices ({listed(types)}) need places of which all targets together have {known}"
        reason = Reason("shortage", words, detail=str(each.missing))
        for device in devices:
            reasons[device.key] = [reason.on(None)]
    return reasons


def _cycle_reasons(
    guests: t.Sequence[Guest], cycles: t.Sequence[t.Sequence[int]]
) -> dict[int, list[UnplacedReason]]:
    reasons: dict[int, list[UnplacedReason]] = defaultdict(list)
    for cycle in cycles:
        members = [guests[number] for number in cycle]
        names = [guest.name or f"{guest.devices[0].id} on {guest.host}" for guest in members]
        for place, number in enumerate(cycle):
            round_about = [*names[place:], *names[: place + 1]]
            if len(round_about) > MAX_REASONS:
                more = len(round_about) - MAX_REASONS
                round_about[1 : more + 1] = [f"{more:,} others, of which each"]
            order = " waits for ".join(round_about)
            words = (
                f"the guests wait for each other's places in a circle: {order}; one more free place that one of them may take"
                " before the others have moved would open it"
            )
            reasons[number].append(Reason("circle", words).on(None))
    return reasons


class Reasons:
    """Why devices have no place, given what a plan has ``placed``. Comparisons are taken from the ``effort``, which others may share."""

    def __init__(
        self, problem: Problem, placed: t.Sequence[Placement], effort: Effort | None = None
    ) -> None:
        self._effort = effort or Effort(MAX_COMPARISONS)
        self._problem = problem
        self._fleet = problem.fleet
        self._conditions = problem.request.conditions
        self._admission = problem.admission
        self._received = Counter(each.host for each in placed)
        # What hosts have received by earlier plans.
        self._before = problem.request.arrived
        guests = problem.request.guests
        # Guests of two hosts may have one name.
        arriving = {
            (each.host, each.source.host, guests[each.guest].name, guests[each.guest].uuid)
            for each in placed
        }
        # Those that were placed before these are there as well.
        for kept in problem.request.kept:
            self._received[kept["target"]["host"]] += 1
            source_host = kept["source"]["host"]
            arriving.add((kept["target"]["host"], source_host, kept["vm"], kept.get("vm_uuid")))
        # Who is on each host in the end and in a group of ``apart``, and in which.
        self._arriving = arriving
        self._is_by_domain = bool(self._conditions.apart and self._conditions.failure_domains)
        self._members: dict[str, dict[tuple[str, str], frozenset[int]]] | None = None
        # What guests that go there take of the capacity of each host.
        self._taken: dict[str, Counter[str]] = defaultdict(Counter)
        for host, _source_host, name, uuid in arriving:
            self._taken[host].update(self._conditions.needs_of(name, uuid))
        self._devices = {(each.host, each.device.id) for each in placed if each.device}
        # What the plan makes on each card, by type.
        self._on_cards: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        # The guests that are given a MAC address on a card that others have as well.
        self._addresses: dict[tuple[str, str | None, str], set[int]] = defaultdict(set)
        # The AP queues that the plan assigns on each host, as far as others have them too.
        self._matrices: dict[str, list[Matrix]] = defaultdict(list)
        for each in placed:
            self._note_card(each)
            matrix = self._admission.matrices.get(each.source.key)
            if matrix is not None and each.parent is not None:
                self._matrices[each.host].append(matrix)
            given = self._admission.address_given(each.source, each.device)
            if given is not None and each.device is not None:
                self._addresses[each.host, each.device.parent, given.mac].add(given.guest)
        self._made: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        for each in placed:
            made, mdev_type = each.offer.candidate, each.offer.mdev_type
            if each.parent is not None and isinstance(made, Creatable) and mdev_type is not None:
                self._made[(each.host, each.parent.id)][mdev_type.id] += made.instances
        self._numbers = {name: number for number, name in enumerate(problem.names)}
        # Without effort for details, a device has only the reasons that hold on every host.
        self._detailed = not self._effort.used_up
        self._alike = self._hosts_alike() if self._detailed else []
        # Devices that need the same have the same reasons.
        self._shortages_of: dict[tuple[t.Any, ...], tuple[list[Reason], bool] | None] = {}
        self._places_for: dict[tuple[t.Any, ...], int | None] = {}
        self._no_option_of: dict[tuple[t.Any, ...], list[Reason]] = {}
        self._under: dict[str, dict[str | None, list[Device]]] = {}
        self._capacities: dict[tuple[str, str], ParentCapacity | None] = {}
        self._reasons: dict[tuple[t.Any, ...], list[UnplacedReason]] = {}

    def of(self, guest: Guest, device: Device) -> list[UnplacedReason]:
        """Return reasons for all target hosts; ``alike`` is the number of further hosts of which one is true as well."""
        own = _own(device, guest)
        if own is not None:
            return [own.on(device.host)]
        together = [
            Reason(
                "guest_stays",
                f"it stays with {each.id} of the same guest: {reason.words}",
                detail=reason.words,
            )
            for each in guest.devices
            if (reason := _own(each, guest)) is not None
        ]
        if together:
            return [each.on(device.host) for each in together[:MAX_REASONS]]
        if not self._detailed:
            return [_NOT_EXAMINED.on(None)]
        key = (
            device.host if device.host in self._numbers else None,
            self._needs(device),
            tuple([self._needs(each) for each in guest.devices]),
            self._conditions.groups_of(guest.name, guest.uuid),
            # It may be in a failure domain with a host itself, and is not to be apart from itself.
            _labelled(guest.name, guest.uuid, "") if self._is_by_domain else None,
            self._conditions.refusals_of(guest.name, guest.uuid, guest.host),
            tuple(sorted(self._conditions.needs_of(guest.name, guest.uuid).items())),
        )
        if key not in self._reasons:
            few = len(self._problem.names) <= MAX_HOSTS
            find = self._for_each_host if few else self._for_each_rule
            self._reasons[key] = find(guest, device)
        nowhere = Reason("no_target_host", "there is no host that it might go to")
        return self._reasons[key] or [nowhere.on(None)]

    def _needs(self, device: Device) -> tuple[t.Any, ...]:
        """Return all of a device that its reasons depend on."""
        alone = self._admission.addresses.get(device.key), self._admission.uuid_of(device)
        return device.kind, device.type, device.descriptor, device.attributes, alone

    def _key_on(self, host: Host, device: Device) -> tuple[t.Any, ...]:
        """Return all that decides what there is for a device on ``host``."""
        return (host.name, self._admission.is_one_of_several(device), *self._needs(device))

    def _for_each_host(self, guest: Guest, device: Device) -> list[UnplacedReason]:
        names = [name for name in self._problem.names if name != device.host]
        most = max(1, MAX_REASONS // max(1, len(names)))
        return [
            reason.on(name)
            for name in names
            for reason in _first(_of_each_rule(self._on_host(name, guest, device), most))
        ]

    def _for_each_rule(self, guest: Guest, device: Device) -> list[UnplacedReason]:
        """Return each reason once, whichever devices and numbers it names, with the number of hosts of which it is true."""
        given: dict[tuple[str | None, ...], UnplacedReason] = {}
        hosts: Counter[tuple[str | None, ...]] = Counter()
        for name, others in self._alike:
            if name == device.host:
                continue
            reasons = _of_each_rule(self._on_host(name, guest, device), 1)
            for reason in reasons:
                if reason.rule not in given and len(given) < _MAX_RULES:
                    given[reason.rule] = reason.on(name)
            hosts.update(dict.fromkeys([reason.rule for reason in reasons], 1 + others))
        for rule, each in given.items():
            if hosts[rule] > 1:
                each["alike"] = hosts[rule] - 1
        omitted = len(hosts) - len(given)
        more_reasons = Reason("more", f"and {counted(omitted, 'more reason')} on other hosts")
        return [*given.values(), *([more_reasons.on(None)] if omitted else ())]

    def _hosts_alike(self) -> list[tuple[str, int]]:
        names, survey = self._problem.names, self._problem.survey
        alike: dict[t.Hashable, list[str]] = defaultdict(list)
        for name, target in zip(names, self._problem.bins, strict=True):
            taken = tuple(sorted(self._taken[name].items())) if self._taken else ()
            refused = self._conditions.refused_on(name)
            there = survey.contents(self._admission, self._fleet.hosts[name], self._there)
            # Where nothing goes, nothing is taken.
            received = self._received[name]
            if self._conditions.limit is None:
                received = min(received, 1)
            state = target.state, refused, target.limits, received, taken, there
            alike[state, self._groups_near(name)].append(name)
        return [(found[0], len(found) - 1) for found in alike.values()]

    def _near(self, name: str) -> list[str]:
        """Return a host and those that are in a failure domain of its."""
        domains = self._conditions.failure_domains.values()
        others = {host for hosts in domains if name in hosts for host in hosts}
        return sorted({name, *(host for host in others if host in self._fleet.hosts)})

    def _groups_near(self, name: str) -> frozenset[int]:
        """Return the groups of ``apart`` of which a member is on a host or in a failure domain of its in the end."""
        if not self._conditions.apart:
            return frozenset()
        there = [self._members_on(host).values() for host in self._near(name)]
        return frozenset[int]().union(*itertools.chain.from_iterable(there))

    def _there(self, host: Host) -> t.Hashable:
        """Return what is on ``host``, free or not: the reason of a device that is unavailable is part of that."""
        devices = frozenset(
            (*self._needs(each), each.p2p, unavailable and unavailable.code)
            for each in host.devices
            for unavailable in [self._admission.unavailable(each)]
        )
        parents = frozenset(
            (
                *(each.kind, each.driver, each.pci_id, each.configuration, each.given),
                frozenset((mdev_type.id, mdev_type.device_api) for mdev_type in each.types),
                self._conditions.why_avoided(host.name, each.id),
            )
            for each in host.equipment
        )
        return devices, parents, self._admission.uuids_on(host.name)

    def _on_host(self, name: str, guest: Guest, source: Device) -> list[Reason]:
        """Return what stands in the way of ``source`` on host ``name``, nearest first."""
        refused = self._conditions.why_refused(name, guest.name, guest.uuid, guest.host)
        if refused is not None:
            return [Reason("avoided", f"it may not go there: {refused}", detail=refused)]
        host = self._fleet.hosts[name]
        known = self._shortages(host, source)
        if known is None:
            return [_NOT_EXAMINED_THERE]
        shortages, possible = known
        if not shortages and not possible:
            return self._no_option(host, source)
        if not possible:
            return [*dict.fromkeys(shortages)]
        limited = [*self._limited(name, guest)]
        return [*limited, *self._together(host, guest, source, bool(limited))] or [
            Reason(
                "capacity_taken",
                "no place there beside the other guests that this plan places, which share what there is",
            )
        ]

    def _limited(self, name: str, guest: Guest) -> t.Iterator[Reason]:
        """Yield which limit and which groups keep ``guest`` from a host."""
        limit = self._conditions.limit_of(name)
        received = self._received[name] + self._before[name]
        if limit is not None and received + len(guest.devices) > limit:
            words = f"{name} receives {counted(received, 'device')} already, and {limit:,} at most"
            yield Reason("limit", words)
        yield from self._lacking(name, guest)
        mates = self._mates_near(name, guest)
        if mates:
            more = f" and {len(mates) - 1:,} more" if len(mates) > 1 else ""
            yield Reason("apart", f"it is to be apart from {mates[0]}{more}")

    def _mates_near(self, name: str, guest: Guest) -> list[str]:
        """Return the guests of a group of ``guest`` that stay on a host or in a failure domain of its, or go there, in words."""
        mine = self._conditions.groups_of(guest.name, guest.uuid)
        if not mine:
            return []
        own = _labelled(guest.name, guest.uuid, guest.host)
        return [
            words if host == name else f"{words} in its failure domain"
            for host in self._near(name)
            for (label, words), groups in self._members_on(host).items()
            if not mine.isdisjoint(groups) and label != own
        ]

    def _members_on(self, host: str) -> t.Mapping[tuple[str, str], frozenset[int]]:
        """Return the guests that stay on ``host`` or go there and are in a group of ``apart``, each with that in words."""
        if self._members is None:
            self._members = defaultdict(dict)
            going: dict[str, set[str]] = defaultdict(set)
            for there, source_host, name, uuid in sorted(self._arriving, key=str):
                label = _labelled(name, uuid, source_host)
                going[source_host].add(label)
                if groups := self._conditions.groups_of(name, uuid):
                    self._members[there][label, f"{label}, which goes to {there}"] = groups
            for each in self._fleet.devices():
                if each.in_use is not None:
                    held_by = each.in_use.name, each.in_use.uuid
                    label = _labelled(*held_by, each.host)
                    groups = self._conditions.groups_of(*held_by)
                    if groups and label not in going[each.host]:
                        self._members[each.host][label, f"{label}, which stays there"] = groups
        return self._members.get(host, {})

    def _lacking(self, name: str, guest: Guest) -> t.Iterator[Reason]:
        """Yield of what that the guest takes too little is free on a host, or not known to be."""
        free = self._conditions.capacity.get("hosts", {}).get(name, {})
        for resource, needed in sorted(self._conditions.needs_of(guest.name, guest.uuid).items()):
            if resource not in free:
                words = (
                    f"it is not stated how much {resource} {name} has free, and {needed} is needed"
                )
            elif (left := free[resource] - self._taken[name][resource]) < needed + (
                spare := self._conditions.spare_of(resource)
            ):
                kept = f", beside {spare} that is to be spare" if spare else ""
                words = f"{name} has {left} of its {resource} left, and {needed} is needed{kept}"
            else:
                continue
            yield Reason("capacity", words, detail=resource)

    def _together(
        self, host: Host, guest: Guest, source: Device, is_limited: bool
    ) -> t.Iterator[Reason]:
        """Yield what ``host`` has too few places of for all devices of ``guest`` at once; where it ``is_limited``, there may be enough."""
        if len(guest.devices) < 2:
            return
        needed: dict[tuple[t.Any, ...], list[Device]] = defaultdict(list)
        for device in guest.devices:
            needed[self._needs(device)].append(device)
        short = []
        nothing = unknown = False
        for alike in needed.values():
            known = self._shortages(host, alike[0])
            unknown = unknown or known is None
            if known is None or (alike[0] is source and len(alike) == 1):
                continue
            names = listed([device.id for device in alike])
            if known == ([], False):
                nothing = True
                short.append(f"no place there for {names} of the same guest")
                continue
            places = self._places(host, alike[0])
            unknown = unknown or places is None
            if places is not None and places < len(alike):
                are_left = "1 is" if places == 1 else f"{places:,} are"
                short.append(
                    f"{len(alike):,} places for {names} are needed there, and {are_left} left"
                )
        if not nothing and (short or not is_limited):
            apart = (
                ", each of NVIDIA's on a GPU of its own" if self._conditions.distinct_gpus else ""
            )
            words = f"no place there for all devices of the guest at once{apart}"
            yield Reason("guest_together", words)
        if unknown:
            yield _NOT_EXAMINED_THERE
        elif not short and not is_limited:
            node = "of one NUMA node " if self._conditions.numa_local else ""
            short.append(f"each {node}has one by itself, and would take it from another one")
        yield from (Reason("guest_device", each) for each in short)

    def _places(self, host: Host, source: Device) -> int | None:
        """Return for how many devices like ``source`` there are places left, of each kind by itself; ``None`` where that is too much."""
        key = self._key_on(host, source)
        if key not in self._places_for:
            self._effort.spend(_offers_of(host))
            self._places_for[key] = (
                None if self._effort.used_up else self._count_places(host, source)
            )
        return self._places_for[key]

    def _count_places(self, host: Host, source: Device) -> int:
        free = sum(
            (host.name, device.id) not in self._devices and self._fits(source, device)
            for device in self._admission.to_be_had(host)
        )
        made = 0
        for parent in host.parents:
            if self._conditions.why_avoided(host.name, parent.id) is None:
                found = [self._room(source, parent, each) for each in parent.types]
                made += max(found, default=0)
        return free + made

    def _room(self, source: Device, parent: Parent, mdev_type: MdevType) -> int:
        """Return how many devices like ``source`` a parent could still make as ones of this type."""
        if self._shortage(source, parent, mdev_type) is not _TO_BE_HAD:
            return 0
        target = NewDevice(parent.kind, mdev_type.id, parent, mdev_type)
        made, _refusal = self._admission.admit(source, target)
        if is_card_parent(parent) or not isinstance(made, Creatable):
            return 1
        made_there = self._made[(parent.host, parent.id)]
        left = instances_left(parent, self._capacity_of(parent), mdev_type, made_there)
        return left // made.instances

    def _shortages(self, host: Host, source: Device) -> tuple[list[Reason], bool] | None:
        """Return what matches on ``host`` but cannot be used, and whether something else can; ``None`` where that is too much."""
        key = self._key_on(host, source)
        if key not in self._shortages_of:
            sets = len(source.descriptor.compatible) if source.descriptor else 0
            self._effort.spend(_offers_of(host) * (1 + sets))
            self._shortages_of[key] = (
                None if self._effort.used_up else self._look_into(host, source)
            )
        return self._shortages_of[key]

    def _look_into(self, host: Host, source: Device) -> tuple[list[Reason], bool]:
        shortages: list[Reason] = []
        possible = False
        for device in self._admission.to_be_had(host):
            shortage = self._shortage_of(source, device)
            possible = possible or shortage is _TO_BE_HAD
            shortages += [] if shortage in (None, _TO_BE_HAD) else [shortage]
        for parent in host.parents:
            if self._conditions.why_avoided(host.name, parent.id) is None:
                found = {
                    mdev_type.id: shortage
                    for mdev_type in parent.types
                    if (shortage := self._shortage(source, parent, mdev_type)) is not None
                }
                possible = possible or _TO_BE_HAD in found.values()
                # The types of a parent share its capacity: one of them will do, the source's own where it is there.
                if found:
                    first = min(found.values(), key=lambda each: each.words)
                    shortages.append(found.get(source.type or "", first))
        return [*shortages, *self._why_queues_are_elsewhere(host, source)], possible

    def _why_queues_are_elsewhere(self, host: Host, source: Device) -> list[Reason]:
        """Return why the devices of ``host`` that have an AP queue of ``source`` do not become its target themselves."""
        mine = self._admission.matrices.get(source.key)
        if mine is None:
            return []
        found = []
        for matrix, device in matrices_on(host):
            if mine.shared_queue(matrix) is None or device.key == source.key:
                continue
            why = self._admission.unavailable(device)
            if why is not None:
                found.append(_named(device, why))
                continue
            reasons = nearest(self._admission.candidates.refused(source, device))
            where = f"{device.id} on {host.name}"
            found += [of_verdict(reason, where, host.name) for reason in reasons]
        return found

    def _shortage_of(self, source: Device, device: Device) -> Reason | None:
        """Return why ``device`` matches ``source`` but cannot be used, ``_TO_BE_HAD`` where it can; ``None`` where it does not match."""
        refusal = self._admission.refusal(source, device)
        if refusal is not None and refusal.code in IN_THE_WAY:
            return _named(device, refusal)
        if refusal is not None:
            return None
        if device.key in self._devices:
            return Reason("taken", f"{device.id} is taken by this plan")
        given = self._admission.address_given(source, device)
        if given is not None:
            owners = self._addresses[device.host, device.parent, given.mac]
            if owners - {given.guest}:
                words = f"{device.id}: this plan gives its MAC address {given.mac} to another guest on the same card"
                return Reason("mac_address", words, detail=given.mac)
        return self._why_card_full(source, device) or _TO_BE_HAD

    def _note_card(self, placed: Placement) -> None:
        """Note what a placement takes of a card."""
        made, mdev_type = placed.offer.candidate, placed.offer.mdev_type
        card = None
        if placed.parent is not None and is_card_parent(placed.parent) and mdev_type is not None:
            card, type_id = placed.parent.card, mdev_type.id
        elif placed.device is not None and isinstance(made, Existing):
            card = placed.device.parent or placed.device.id
            type_id = type_given(made.attributes, placed.device) or ""
        if card is not None and type_id:
            self._on_cards[placed.host, card][type_id] += 1

    def _why_card_full(self, source: Device, device: Device) -> Reason | None:
        """Return why the card of ``device`` lets it become no target of ``source``; ``None`` where it does."""
        existing, _refusal = self._admission.admit(source, device)
        if not isinstance(existing, Existing):
            return None
        type_id = type_given(existing.attributes, device)
        if type_id is None:
            return None
        card = device.parent or device.id
        return self._why_no_capacity(device.host, card, type_id)

    def _why_no_capacity(self, host: str, card: str, type_id: str) -> Reason | None:
        number = self._numbers.get(host)
        supply = None if number is None else self._problem.supplies[number].cards.get(card)
        if supply is None:
            return None
        capacity = supply.capacity.with_more(self._on_cards[host, card])
        words = capacity.why_full(f"{card} on {host}", type_id)
        return None if words is None else Reason("card_full", words)

    def _fits(self, source: Device, target: Device) -> bool:
        return self._admission.refusal(source, target) is None

    def _shortage(self, source: Device, parent: Parent, mdev_type: MdevType) -> Reason | None:
        """Return why there cannot be one more ``mdev_type``, or that there can; ``None`` where it would not do anyway."""
        target = NewDevice(parent.kind, mdev_type.id, parent, mdev_type)
        made, refusal = self._admission.admit(source, target)
        where = f"{parent.id} on {parent.host}"
        if refusal is not None and refusal.code in IN_THE_WAY:
            return Reason(refusal.code, f"{where}: {refusal.words}", detail=refusal.detail)
        if not isinstance(made, Creatable):
            return None
        if made.instances > mdev_type.available_instances:
            devices = self._devices_under(parent)
            left = mdev_type.available_instances
            words = used_up(mdev_type.id, where, made.instances, left, devices)
            return Reason("no_capacity", words)
        queue = self._queue_assigned(source, parent)
        if queue is not None:
            words = f"{where}: this plan gives its AP queue {queue} to another guest there"
            return Reason("queue_assigned", words, detail=queue)
        makes = self._made[(parent.host, parent.id)]
        if is_card_parent(parent) and parent.card is not None:
            if makes:
                words = f"this plan makes {listed(sorted(makes))} under {where} already"
                return Reason("capacity_taken", words)
            return self._why_no_capacity(parent.host, parent.card, mdev_type.id) or _TO_BE_HAD
        capacity = self._capacity_of(parent)
        family = family_of(parent, mdev_type.id)
        if capacity is None and {family_of(parent, each) for each in makes} - {family}:
            made_there = listed(sorted(makes))
            words = (
                f"this plan makes {made_there} under {where}, and under one parent only one type"
            )
            if family != mdev_type.id:
                words = f"this plan makes {made_there} under {where}, which takes one size of frame buffer only"
            return Reason("capacity_taken", words)
        left = instances_left(parent, capacity, mdev_type, makes)
        if left < made.instances:
            words = (
                f"not enough of {mdev_type.id} left under {where}: {made.instances} needed, {left}"
                f" of {mdev_type.available_instances} available_instances not taken by this plan"
            )
            return Reason("capacity_taken", words)
        return _TO_BE_HAD

    def _queue_assigned(self, source: Device, parent: Parent) -> str | None:
        """Return an AP queue of ``source`` that the plan gives to another guest on the host of ``parent``; ``None`` where it gives none."""
        matrix = self._admission.matrices.get(source.key)
        if matrix is None:
            return None
        queues = map(matrix.shared_queue, self._matrices[parent.host])
        return next(filter(None, queues), None)

    def _capacity_of(self, parent: Parent) -> ParentCapacity | None:
        key = (parent.host, parent.id)
        if key not in self._capacities:
            self._capacities[key] = capacity_of(parent)
        return self._capacities[key]

    def _devices_under(self, parent: Parent) -> list[Device]:
        under = self._under.get(parent.host)
        if under is None:
            under = self._under[parent.host] = defaultdict(list)
            for device in self._fleet.hosts[parent.host].devices:
                under[device.parent].append(device)
        return under[parent.id]

    def _no_option(self, host: Host, source: Device) -> list[Reason]:
        key = (host.name, *self._needs(source))
        if key not in self._no_option_of:
            # It is looked at once more, for what comes nearest: what is still to be made is put together for that.
            types = _offers_of(host) - len(host.devices)
            offers = len(host.devices) + _TO_PUT_TOGETHER * types
            self._effort.spend(offers * self._choices_of(source))
            self._no_option_of[key] = (
                [_NOT_EXAMINED_THERE] if self._effort.used_up else self._why_no_option(host, source)
            )
        return self._no_option_of[key]

    def _choices_of(self, source: Device) -> int:
        """Return how many times as long the search for the nearest set of ``source`` takes as for a list without variables."""
        if source.descriptor is None:
            return 1
        patterns = self._admission.candidates.judge.patterns(source.descriptor, True)
        components = [
            component.size
            for pattern in patterns
            if not isinstance(pattern, InvalidPattern)
            for component in pattern.components
        ]
        return 1 + sum(components) // _LIKE_ONE

    def _why_no_option(self, host: Host, source: Device) -> list[Reason]:
        busy = [
            Reason(
                why.code,
                f"{device.id} on {host.name} is compatible, but {why.words}",
                detail=why.detail,
            )
            for device in host.devices
            if self._fits(source, device)
            if (why := self._admission.unavailable(device)) is not None
        ]
        # Were it free, it would be given the address.
        busy += [
            _named(device, beside)
            for device in host.devices
            if device.network is not None
            if (beside := self._admission.beside_address(source, device)) is not None
            if self._fits(source, device) and self._admission.unavailable(device) is not None
        ]
        avoided = [
            Reason("avoided", f"{parent.id} on {host.name} is excluded: {given}", detail=given)
            for parent in host.parents
            if (given := self._conditions.why_avoided(host.name, parent.id)) is not None
            for mdev_type in parent.types
            if self._shortage(source, parent, mdev_type) is not None
        ]
        unmet = self._unmet(host, source) if self._admission.asked else []
        misses = [
            of_verdict(reason, where, host.name)
            for where, reasons in nearest_misses(host, self._admission.candidates, source, True)
            for reason in reasons
        ]
        usable = any(device.descriptor for device in host.devices) or any(
            parent.types for parent in host.parents
        )
        if usable:
            what = source.type or f"{source.kind} device"
            words = f"{host.name} has no {what} that could receive it, and no parent that can create one"
            nothing = Reason("no_hardware", words)
        else:
            words = f"{host.name} has no VFIO device with a usable descriptor, and no parent that can create one"
            nothing = Reason("nothing_usable", words)
        return _first([*dict.fromkeys(busy + avoided or unmet or misses or [nothing])])

    def _unmet(self, host: Host, source: Device) -> list[Reason]:
        """Return the conditions of the request that alone exclude a target."""
        targets: list[Target] = [*host.devices]
        targets += [
            NewDevice(parent.kind, each.id, parent, each)
            for parent in host.parents
            for each in parent.types
        ]
        if all(self._admission.refusal(source, target) is INCOMPATIBLE for target in targets):
            return []
        asked = " and ".join([each.words(source) for each in self._admission.asked])
        words = f"{host.name} has nothing compatible {asked}"
        return [Reason("condition", words, detail=asked)]


def _labelled(name: str | None, uuid: str | None, host: str) -> str:
    return f"{name or uuid} on {host}"


def _offers_of(host: Host) -> int:
    """Return how many devices and types of parents there are on ``host``."""
    return len(host.devices) + sum(len(each.types) for each in host.equipment)


def _named(device: Device, refusal: Refusal) -> Reason:
    """Return the ``refusal`` as the only obstacle to ``device``."""
    return Reason(refusal.code, f"{device.id}: {refusal.words}", detail=refusal.detail)


def _own(device: Device, guest: Guest) -> Reason | None:
    """Return what keeps ``device`` from migrating with its ``guest``, wherever to; ``None`` where nothing does."""
    why = obstacle_in_guest(device, guest.devices)
    return None if why is None else Reason(obstacle_code(device, guest.devices), why)


def _of_each_rule(reasons: t.Sequence[Reason], most: int) -> list[Reason]:
    """Return ``most`` of the reasons on a host that differ in devices and numbers alone, the last with how many more there are."""
    there = Counter(reason.rule for reason in reasons)
    seen: Counter[tuple[str | None, ...]] = Counter()
    found = []
    for reason in reasons:
        seen[reason.rule] += 1
        more = there[reason.rule] - most
        if seen[reason.rule] == most and more > 0:
            found.append(reason._replace(words=f"{reason.words} (and {more:,} more like it there)"))
        elif seen[reason.rule] <= most:
            found.append(reason)
    return found


def _first(reasons: list[Reason]) -> list[Reason]:
    """Return the first reasons, and how many more there are."""
    if len(reasons) <= MAX_REASONS + 1:
        return reasons
    more = len(reasons) - MAX_REASONS
    return [*reasons[:MAX_REASONS], Reason("more", f"and {counted(more, 'more reason')} there")]


def nearest_misses(
    host: Host, candidates: Candidates, source: Device, of_its_kind: bool = False
) -> list[tuple[str, list[dict[str, t.Any]]]]:
    """Return what on ``host`` comes nearest to receiving ``source``: where, and the reasons why it cannot.

    With ``of_its_kind``, nothing that is another kind of hardware.
    """
    misses = []
    own = source.descriptor.self_attributes if source.descriptor else {}
    for device in host.devices:
        there = device.descriptor.self_attributes if device.descriptor else {}
        if of_its_kind and not of_one_make(own, there):
            continue
        reasons = candidates.refused(source, device)
        if reasons:
            misses.append((f"{device.id} on {host.name}", nearest(reasons)))
    for parent in host.parents:
        for mdev_type in parent.types:
            there = {"device_api": mdev_type.device_api, "pci_id": parent.pci_id or ""}
            if of_its_kind and not of_one_make(own, there | {"type": mdev_type.id}):
                continue
            made = candidates.creatable(source, parent, mdev_type)
            if made is not None and not made.compatible:
                where = f"a new {mdev_type.id} under {parent.id} on {host.name}"
                misses.append((where, nearest(made.reasons)))
    distances = [_distance(reasons) for where, reasons in misses]
    least = min(distances, default=(False, 0))
    return [miss for miss, distance in zip(misses, distances, strict=True) if distance == least]


def _distance(reasons: list[dict[str, t.Any]]) -> tuple[bool, int]:
    """How far a miss is from a match: what is another kind of device altogether is farther than anything else."""
    other = any(reason["attribute"] in ("device_api", "type") for reason in reasons)
    return other, len(reasons)
