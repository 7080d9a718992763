# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Problems: a request in numbers, that is which items are to be packed into which bins. Pure."""

from __future__ import annotations

import itertools
import operator
import typing as t
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from types import MappingProxyType

from ansible_collections.vfio.migration.plugins.plugin_utils._compat.candidates import Candidates
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import (
    Device,
    Fleet,
    Host,
    obstacle_in_guest,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.assignment import less
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.packings import (
    Bin,
    Item,
    Packings,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.admissible import (
    NO_EXCLUSIONS,
    Admission,
    Exclusions,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.cards import (
    CardCapacity,
    capacity_of_functions,
    capacity_of_parents,
    count_with_type,
    gpu_of,
    gpus_of_parents,
    is_card_parent,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import (
    Conditions,
    Guest,
    Request,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.resources import (
    Function,
    Functions,
    Pool,
    Resources,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.survey import Survey
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import (
    Placement,
    Target,
)

# A report poses a problem without a search, and Ansible compiles in each run what is imported.
if t.TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.vfio.migration.plugins.plugin_utils._packing.search import (
        SearchResult,
    )

_id = operator.attrgetter("id")


class CardSupply(t.NamedTuple):
    """A card: its resource, its free functions by group, and its ``capacity`` before anything is made there."""

    resource: int
    functions: tuple[Functions, ...]
    capacity: CardCapacity


class Supply(t.NamedTuple):
    """What a host has: equal free devices by group, and for each parent its resource, ``None`` where none is to be used.

    ``cards`` are by the address of the physical function. The parents among their functions are no resources themselves.
    """

    pools: t.Mapping[int, list[Device]]
    parents: t.Sequence[int | None]
    cards: t.Mapping[str, CardSupply] = MappingProxyType({})


@dataclass(slots=True, eq=False)
class Known:
    """What is known of one problem in numbers: its ``resources``, packings into its bins, and what a search ``found``, once it has.

    ``of_first_fit`` are packings into what of the bins is there already.
    """

    resources: Resources
    packings: Packings | None = None
    found: SearchResult | None = None
    of_first_fit: Packings | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """A request in numbers: ``items`` are its guests and ``bins`` its target hosts, of which these are the ``names``.

    ``domain_loads`` are how many devices stay in each failure domain, where devices are to be spread over these.
    ``supplies`` has what each bin's resources are, ``demands`` for each item its devices with the number of what each
    needs, the scarcest first. ``survey`` is of these hosts, or of more. ``known`` is what was found for others with the
    same numbers, if it is looked for.
    """

    fleet: Fleet
    request: Request
    exclusions: Exclusions
    admission: Admission
    resources: Resources
    names: t.Sequence[str]
    supplies: t.Sequence[Supply]
    bins: t.Sequence[Bin]
    items: t.Sequence[Item]
    demands: t.Sequence[list[tuple[int, Device]]]
    survey: Survey
    domain_loads: t.Mapping[int, int] | None = None
    known: Known | None = None


def pose(
    fleet: Fleet,
    request: Request,
    candidates: Candidates | None = None,
    exclusions: Exclusions = NO_EXCLUSIONS,
    resources: Resources | None = None,
) -> Problem:
    """Return the problem that ``request`` is.

    ``candidates`` and ``resources`` are those of an earlier one for the same fleet and conditions, if any.
    """
    conditions = request.conditions
    admission = Admission(
        request, candidates or Candidates(fleet, conditions.direction), exclusions
    )
    resources = resources or Resources(conditions, admission)
    kept: dict[str, list[Placement]] = defaultdict(list)
    for placement in request.kept:
        kept[placement["target"]["host"]].append(placement)
    host_supplies = _Supplies(conditions, admission, resources, request)
    supplies = [
        host_supplies.of(fleet.hosts[name], [each["target"] for each in kept.get(name, ())])
        for name in request.targets
    ]
    anti_affinity = (
        _anti_affinity(fleet, request, admission, exclusions, kept) if conditions.apart else {}
    )
    weighed = conditions.resources()
    is_limited = bool(weighed) or conditions.limit is not None
    arrived = request.arrived if conditions.limit is not None else {}
    domains = _Domains(conditions, request.targets)
    bins = []
    for name, (pools, parents, cards) in zip(request.targets, supplies, strict=True):
        state = [resources.number(Pool(group, len(each))) for group, each in pools.items()]
        state += [resource for resource in parents if resource is not None]
        state += [card.resource for card in cards.values()]
        limits = conditions.limits_of(name, weighed) if is_limited else ()
        if arrived.get(name):
            limits = (max(0, limits[0] - arrived[name]), *limits[1:])
        for arriving, devices in _guests_of(kept.get(name, ())) if is_limited else ():
            taken = conditions.weights_of(*arriving, devices, weighed)
            limits = tuple([max(0, each) for each in less(limits, taken)])
        load = 0
        if conditions.policy == "spread":
            load = _staying_on(fleet.hosts[name], admission) + len(kept.get(name, ()))
        bins.append(
            Bin(
                tuple(sorted(state)),
                limits,
                anti_affinity.get(name, frozenset()),
                load,
                conditions.refused_on(name),
                domains.of(name),
                conditions.prefers(name),
            )
        )
    demands = _demands(request.guests, resources, bins)
    numbers = {name: number for number, name in enumerate(request.targets)}
    items = [
        Item(
            tuple([demand for demand, device in needed]),
            numbers.get(guest.devices[0].host),
            conditions.groups_of(guest.name, guest.uuid),
            conditions.weights_of(guest.name, guest.uuid, len(guest.devices), weighed)
            if is_limited
            else (),
            conditions.refusals_of(guest.name, guest.uuid, guest.host),
        )
        for guest, needed in zip(request.guests, demands, strict=True)
    ]
    return Problem(
        *(fleet, request, exclusions, admission, resources),
        *(request.targets, supplies, bins, items, demands),
        Survey(fleet, request.targets),
        domains.loads(fleet, admission, kept) if conditions.spreads_over_domains else None,
    )


def resources_in(bins: t.Sequence[Bin]) -> Counter[int]:
    """Return how many of each resource there are in bins, of which most are in equal states."""
    found: Counter[int] = Counter()
    for state, count in Counter([each.state for each in bins]).items():
        for resource in state:
            found[resource] += count
    return found


def pose_afresh(problem: Problem, exclusions: Exclusions = NO_EXCLUSIONS) -> Problem:
    """Return ``problem`` with further ``exclusions``, and with numbers that nothing has been solved with yet."""
    together = Exclusions(
        problem.exclusions.devices | exclusions.devices,
        problem.exclusions.guests | exclusions.guests,
    )
    return pose(problem.fleet, problem.request, problem.admission.candidates, together)


@dataclass(slots=True, eq=False)
class _Supplies:
    """Finds what hosts have; that of hosts with equal parents is worked out once."""

    _conditions: Conditions
    _admission: Admission
    _resources: Resources
    _request: Request
    _of_one_guest: dict[tuple[str, frozenset[str]], int] = field(default_factory=dict)
    _equipped: dict[tuple[t.Any, ...], tuple[int | None, ...]] = field(default_factory=dict)

    def of(self, host: Host, kept: t.Sequence[Target]) -> Supply:
        """Return what ``host`` has once the targets ``kept`` are made or taken."""
        taken = {target["id"] for target in kept}
        typeless: dict[str, list[Device]] = defaultdict(list)
        pools: dict[int, list[Device]] = defaultdict(list)
        with_devices = set()
        gpus = gpus_of_parents(host) if self._conditions.distinct_gpus else {}
        # In whichever order the facts have them, plans are the same.
        for device in sorted(host.devices, key=_id):
            if device.kind == "mdev":
                with_devices.add(device.parent)
            # Most devices are held: words for why are for those who ask.
            held = device.in_use is not None and not self._conditions.reuse
            if held or device.id in taken:
                continue
            if self._admission.unavailable(device) is None:
                if device.choices is not None:
                    typeless[device.parent or device.id].append(device)
                    continue
                gpu = gpu_of(device, gpus) if self._conditions.distinct_gpus else None
                pools[self._resources.group_of(device, gpu)].append(device)
        cards = {
            card: self._card(
                card, given_capacity(host, card, functions, kept, self.of_one_guest), functions
            )
            for card, functions in typeless.items()
        }
        if not host.equipment:
            return Supply(pools, (), cards)
        parents = self._parents(host, with_devices, kept)
        if any(map(is_card_parent, host.equipment)):
            cards |= self._mdev_cards(host, with_devices, kept)
            parents = [
                None if is_card_parent(parent) else resource
                for resource, parent in zip(parents, host.equipment, strict=True)
            ]
        return Supply(pools, parents, cards)

    def of_one_guest(self, attribute: str, types: t.Collection[str]) -> int:
        """Return how many devices of these ``types``, which ``attribute`` gives, the one guest has that has any and can move.

        It is 1 where there are several such guests, or an earlier plan gives some to another: guests are not distinguished.
        """
        key = (attribute, frozenset(types))
        if key not in self._of_one_guest:
            given = [
                each
                for placement in self._request.kept
                for each in placement["target"]["attributes"]
                if each["name"] == attribute and each["value"] in key[1]
            ]
            found = [1] if given else []
            found += [
                number
                for guest in self._request.guests
                if (number := sum(_has(device, *key) for device in guest.devices))
                and all(obstacle_in_guest(each, guest.devices) is None for each in guest.devices)
            ]
            self._of_one_guest[key] = found[0] if len(found) == 1 else 1
        return self._of_one_guest[key]

    def _mdev_cards(
        self, host: Host, with_devices: set[str | None], kept: t.Sequence[Target]
    ) -> dict[str, CardSupply]:
        """Return the cards whose functions are parents."""
        used = {target["parent"] for target in kept if target["create"]}
        by_card: dict[str, list[Function]] = defaultdict(list)
        for parent in host.parents:
            free = parent.id not in used and any(each.available_instances for each in parent.types)
            if (
                is_card_parent(parent)
                and parent.card is not None
                and free
                and self._conditions.why_avoided(host.name, parent.id) is None
            ):
                by_card[parent.card].append((parent, parent.id in with_devices))
        return {
            card: self._card(card, made_capacity(host, card, kept), functions)
            for card, functions in by_card.items()
            if self._conditions.why_avoided(host.name, card) is None
        }

    def _card(
        self, card: str, capacity: CardCapacity, functions: t.Sequence[Function]
    ) -> CardSupply:
        gpu = card if self._conditions.distinct_gpus else None
        return CardSupply(*self._resources.card(capacity, functions, gpu), capacity)

    def _parents(
        self, host: Host, with_devices: set[str | None], kept: t.Sequence[Target]
    ) -> t.Sequence[int | None]:
        """Return the resources that the parents of ``host`` are, ``None`` for those under which nothing may go."""
        matrices = frozenset(self._admission.matrices_on(host.name))
        uuids = self._admission.uuids_on(host.name)
        key = (id(host.equipment), host.stated, frozenset(with_devices), matrices, uuids)
        if key not in self._equipped:
            self._equipped[key] = tuple(
                [
                    self._resources.unused(parent, parent.id in with_devices)
                    if parent.types
                    else None
                    for parent in host.parents
                ]
            )
        if not self._conditions.avoid and not kept:
            return self._equipped[key]
        found = []
        for resource, parent in zip(self._equipped[key], host.equipment, strict=True):
            if self._conditions.why_avoided(host.name, parent.id) is not None:
                resource = None
            for target in kept:
                if resource is not None and target["create"] and target["parent"] == parent.id:
                    resource = self._resources.once_made(resource, target)
            found.append(resource)
        return found


def given_capacity(
    host: Host,
    card: str,
    functions: t.Sequence[Device],
    kept: t.Sequence[Target],
    of_one_guest: t.Callable[[str, t.Collection[str]], int],
) -> CardCapacity:
    """Return what a card has of which these ``functions`` have no type, once the targets ``kept`` have theirs.

    ``of_one_guest`` returns by the attribute that is the type, and by types, how many devices of these one guest has that may be
    tried at once.
    """
    under = [device for device in host.devices if (device.parent or device.id) == card]
    attributes = {each.choices.attribute for each in functions if each.choices is not None}
    given = [
        each["attributes"][0]["value"]
        for each in kept
        if each["attributes"] and (each["parent"] or each["id"]) == card
    ]
    capacity = capacity_of_functions(
        [device for device in under if device.choices is not None],
        count_with_type(under, functions),
        lambda types: 1 if given else min(of_one_guest(each, types) for each in attributes),
    )
    return capacity.with_more(Counter(given))


def _has(device: Device, attribute: str, types: t.Container[str]) -> bool:
    """Return whether ``device`` has one of these ``types``, which ``attribute`` gives."""
    return any(name == attribute and value in types for name, value in device.attributes)


def made_capacity(host: Host, card: str, kept: t.Sequence[Target] = ()) -> CardCapacity:
    """Return what a card has whose functions are parents, once the targets ``kept`` are made there."""
    parents = [parent for parent in host.parents if parent.card == card]
    ids = {parent.id for parent in parents}
    present = [device.type or "" for device in host.devices if device.parent in ids]
    made = [each["type"] or "" for each in kept if each["create"] and each["parent"] in ids]
    return capacity_of_parents(parents, present).with_more(Counter(made))


def _guests_of(
    placements: t.Sequence[Placement],
) -> list[tuple[tuple[str | None, str | None], int]]:
    """Return the guests of these placements, each by its name and UUID, with the number of its devices."""
    devices = Counter(
        (each["source"]["host"], each["vm"], each.get("vm_uuid")) for each in placements
    )
    return [((name, uuid), number) for (_host, name, uuid), number in devices.items()]


def _staying_on(host: Host, admission: Admission) -> int:
    """Return how many devices of ``host`` processes hold, leaving out those that are to move."""
    moving = admission.moving.get(host.name, ())
    return sum(
        device.in_use is not None
        and device.id not in moving
        and device.key not in admission.kept_sources
        for device in host.devices
    )


class _Domains:
    """The failure domains that hosts are in, where that matters."""

    def __init__(self, conditions: Conditions, targets: t.Sequence[str]) -> None:
        self._conditions = conditions
        self._targets = targets
        # A host that is in none is a domain of its own.
        own = itertools.count(len(conditions.failure_domains))
        self._own: dict[str, frozenset[int]] = {}
        if conditions.spreads_over_domains:
            self._own = {
                name: frozenset([next(own)]) for name in targets if not conditions.domains_of(name)
            }

    def of(self, name: str) -> frozenset[int]:
        """Return the numbers of the domains that a target host is in; none where no condition asks for these."""
        conditions = self._conditions
        if conditions.spreads_over_domains or conditions.apart:
            return self._own.get(name) or conditions.domains_of(name)
        return frozenset()

    def loads(
        self,
        fleet: Fleet,
        admission: Admission,
        kept: t.Mapping[str, t.Sequence[Placement]],
    ) -> dict[int, int]:
        """Return how many devices are in each domain of a target host, and stay there, on whichever host."""
        within = frozenset[int]().union(*map(self.of, self._targets))
        loads: Counter[int] = Counter()
        for name, host in fleet.hosts.items():
            domains = within & (self._own.get(name) or self._conditions.domains_of(name))
            if domains:
                there = _staying_on(host, admission) + len(kept.get(name, ()))
                loads.update(dict.fromkeys(domains, there))
        return loads


def _anti_affinity(
    fleet: Fleet,
    request: Request,
    admission: Admission,
    exclusions: Exclusions,
    kept: t.Mapping[str, t.Sequence[Placement]],
) -> dict[str, frozenset[int]]:
    """Return for each target host the groups of which a member stays there, or was placed there before, or in a domain of its."""
    conditions = request.conditions
    there: dict[str, frozenset[int]] = {}
    in_domain: dict[int, frozenset[int]] = defaultdict(frozenset)
    domains = {domain for host in request.targets for domain in conditions.domains_of(host)}
    near = [host for host in fleet.hosts if not domains.isdisjoint(conditions.domains_of(host))]
    for host in {*request.targets, *near}:
        moving = admission.moving.get(host, ())
        staying = (
            (device.in_use.name, device.in_use.uuid)
            for device in fleet.hosts[host].devices
            if device.in_use and device.id not in moving
        )
        excluded = (request.guests[guest] for guest in exclusions.guests)
        still_there = ((guest.name, guest.uuid) for guest in excluded if guest.host == host)
        arriving = ((each["vm"], each.get("vm_uuid")) for each in kept.get(host, ()))
        guests = itertools.chain(staying, still_there, arriving)
        there[host] = frozenset[int]().union(*itertools.starmap(conditions.groups_of, guests))
        for domain in conditions.domains_of(host):
            in_domain[domain] |= there[host]
    return {
        host: there[host].union(*(in_domain[domain] for domain in conditions.domains_of(host)))
        for host in request.targets
    }


def _demands(
    guests: t.Sequence[Guest], resources: Resources, bins: t.Sequence[Bin]
) -> list[list[tuple[int, Device]]]:
    """Return the devices of each guest with their demands, the scarcest first; none of one that cannot move."""
    found = [
        [(resources.demand_of(device), device) for device in guest.devices]
        if all(obstacle_in_guest(each, guest.devices) is None for each in guest.devices)
        else []
        for guest in guests
    ]
    if any(len(needed) > 1 for needed in found):
        initial = sorted({resource for each in bins for resource in each.state})
        # How many devices with each demand one resource takes in at most.
        capacities = [
            max([resources.capacity(resource, demand) for resource in initial], default=0)
            for demand in range(len(resources.demands))
        ]
        for needed in found:
            needed.sort(key=lambda each: (capacities[each[0]], each[0], each[1].id))
    return found
