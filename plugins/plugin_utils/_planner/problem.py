# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Supply and demand of a plan as the search sees them: classes and numbers instead of devices and names. Pure.

Devices that need the same are one *demand*. What a target host has are *resources*: its parents, and groups of equal
free devices. Resources in equal states have the same number, whichever host they are on.
"""

from __future__ import annotations

import itertools
import math
import typing as t
import uuid
from collections import Counter, defaultdict
from dataclasses import dataclass
from fractions import Fraction

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.drivers import (
    driver_profile,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.candidates import (
    Candidates,
    Creatable,
    Existing,
    instances_of,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.wording import held
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import (
    Device,
    Fleet,
    Host,
    MdevType,
    Parent,
    ParentFacts,
    obstacle,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.packings import (
    CREATED,
    OPENED,
    OTHER_TYPE,
    Bin,
    Item,
    Packing,
    Transition,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import Guest, Request

# Made for this collection: names the UUIDs of targets whose source's own cannot be kept.
_NAMESPACE = uuid.UUID("6f0c2f4e-3c61-5d0c-9a55-0e4b8d2f7a11")

_MOST_CAPACITY = 1 << 64


def named_id(source: Device, count: int = 0) -> str:
    """A name-based UUID for the target of ``source``; with ``count`` another one."""
    return str(uuid.uuid5(_NAMESPACE, f"{source.host}/{source.id}/{count}"))


@dataclass(frozen=True, slots=True)
class Choice:
    """One target for a device: one of a group of equal devices, or a new mdev of ``mdev_type``."""

    existing: Existing | None = None
    mdev_type: MdevType | None = None
    creatable: Creatable | None = None

    @property
    def creation(self) -> tuple[Creatable, MdevType]:
        """What is to be made, and of which type; for an offer that is no existing device."""
        return t.cast(Creatable, self.creatable), t.cast(MdevType, self.mdev_type)


class Placement(t.NamedTuple):
    """Where one device goes: the target that there is, or the ``parent`` under which it is made."""

    guest: int
    source: Device
    host: str
    offer: Choice
    device: Device | None
    parent: ParentFacts | None


class Allocation(t.NamedTuple):
    """One device of a guest has a place: one of equal devices, whichever of them, or under a parent."""

    guest: int
    source: Device
    offer: Choice
    place: list[Device] | ParentFacts


# What is behind the resources that a bin has: for each one of them the parent, or the list of equal devices.
Backing = dict[int, list[list[Device] | ParentFacts]]


class _Pool(t.NamedTuple):
    """So many equal free devices of a host; ``group`` is the number of the group."""

    group: int
    size: int


class _Stock(t.NamedTuple):
    """What a host has: equal free devices by group, and the resources that its parents are, ``None`` where none is used."""

    pools: t.Mapping[int, list[Device]]
    opened: t.Sequence[int | None]


class _Opened(t.NamedTuple):
    """A parent of kind ``kind`` of which a plan has ``used`` so much; ``type`` is the one it makes, if it is only one."""

    kind: int
    type: str | None
    used: int


@dataclass(slots=True)
class _ParentKind:
    """Parents that differ in nothing that matters. A whole one has ``capacity`` where its types share in proportion."""

    parent: Parent
    is_open: bool
    capacity: int | None


@dataclass(frozen=True, slots=True)
class Exclusions:
    """What an earlier search has shown to be in the way: devices that will not be free, and guests that stay."""

    devices: frozenset[tuple[str, str]] = frozenset()
    guests: frozenset[int] = frozenset()


_NOTHING = Exclusions()


class Supply:
    """The resources and demands of one request: ``items`` for its guests and ``bins`` for its targets.

    ``shapes`` has for each item the demands of its shape, each with the device that has it.
    """

    def __init__(
        self,
        fleet: Fleet,
        request: Request,
        candidates: Candidates,
        blocked: Exclusions = _NOTHING,
    ) -> None:
        self._blocked = blocked
        self._fleet = fleet
        self._request = request
        self._candidates = candidates
        self._numbers: dict[_Pool | _Opened, int] = {}
        self._resources: list[_Pool | _Opened] = []
        self._moves: dict[tuple[int, int], tuple[Transition, ...]] = {}
        self._rooms: dict[int, int] = {}
        self._groups: list[Device] = []
        self._group_numbers: dict[tuple[t.Any, ...], int] = {}
        self._kinds: list[_ParentKind] = []
        self._kind_numbers: dict[tuple[t.Any, ...], int] = {}
        self._equipped: dict[tuple[t.Any, ...], tuple[int | None, ...]] = {}
        self._demands: list[Device] = []
        self._demand_numbers: dict[tuple[t.Any, ...], int] = {}
        self._moving: dict[str, set[str]] = defaultdict(set)
        for guest in request.guests:
            self._moving[guest.host].update([device.id for device in guest.devices])
        self._kept: dict[str, list[t.Mapping[str, t.Any]]] = defaultdict(list)
        for placement in request.kept:
            self._kept[placement["target"]["host"]].append(placement)
        self._kept_sources = {
            (each["source"]["host"], each["source"]["id"]) for each in request.kept
        }
        self.names = list(request.targets)
        self._stocks = [self._stock(name) for name in self.names]
        self.bins = [self._bin(number) for number in range(len(self.names))]
        self._initial = sorted({resource for each in self.bins for resource in each.state})
        self._scarcities: dict[int, int] = {}
        self.shapes = [self._shape(guest) for guest in request.guests]
        numbers = {name: number for number, name in enumerate(self.names)}
        self.items = [
            Item(
                tuple([demand for demand, device in shape]),
                numbers.get(guest.host),
                request.conditions.groups_of(guest.name),
            )
            for guest, shape in zip(request.guests, self.shapes, strict=True)
        ]

    # --- what the search asks ---

    def transitions(self, resource: int, demand: int) -> tuple[Transition, ...]:
        moves = self._moves.get((resource, demand))
        if moves is None:
            found = sorted(self._find_moves(self._resources[resource], demand), key=_preference)
            moves = self._moves[(resource, demand)] = tuple(found)
        return moves

    def free_slots(self, resource: int) -> int:
        room = self._rooms.get(resource)
        if room is None:
            state = self._resources[resource]
            room = state.size if isinstance(state, _Pool) else self._room_of_parent(state)
            self._rooms[resource] = room
        return room

    def residual(self, resource: int) -> float:
        state = self._resources[resource]
        if isinstance(state, _Pool):
            return state.size
        kind = self._kinds[state.kind]
        if kind.capacity is not None:
            return 1 - state.used / kind.capacity
        whole = {each.id: each.available_instances for each in kind.parent.types}
        return 1.0 if state.type is None else 1 - state.used / whole[state.type]

    def resource_kind(self, resource: int) -> int:
        state = self._resources[resource]
        return state.group if isinstance(state, _Pool) else -1 - state.kind

    def numa_node(self, resource: int) -> int | None:
        if not self._request.conditions.numa_local:
            return None
        state = self._resources[resource]
        if isinstance(state, _Pool):
            return self._groups[state.group].numa_node
        return self._kinds[state.kind].parent.numa_node

    # --- what others ask ---

    def demand(self, number: int) -> Device:
        """A device that has this demand."""
        return self._demands[number]

    def capacity(self, resource: int, demand: int) -> int:
        """How many devices with ``demand`` a resource takes in at most."""
        state = self._resources[resource]
        if isinstance(state, _Pool):
            return state.size if self.transitions(resource, demand) else 0
        creations = (move.offer.creation for move in self.transitions(resource, demand))
        return max(
            (each.available_instances // made.instances for made, each in creations), default=0
        )

    def why_not_free(self, device: Device) -> str | None:
        """Why a device that is there cannot be a target of this request, whatever moves; ``None`` where it can."""
        moves = self._moves_itself(device)
        moves_later = (
            moves and self._request.conditions.reuse and device.key not in self._blocked.devices
        )
        if (moves and not moves_later) or (self._kept and device.key in self._kept_sources):
            return "it is to be moved itself"
        why = obstacle(device)
        if why is not None and (device.choices is None or device.descriptor is None):
            return why
        avoided = self._request.conditions.why_avoided(device.host, device.parent)
        if avoided is not None:
            return f"it is to be avoided: {avoided}"
        return None if moves_later else held(device)

    def instances_left(self, parent: Parent, mdev_type: MdevType, made: Counter[str]) -> int:
        """How many of ``mdev_type`` a parent has left once so many instances of its types are ``made``."""
        if _capacity(parent) is None:
            return mdev_type.available_instances - made[mdev_type.id]
        taken = sum(
            (
                Fraction(made[each.id], each.available_instances)
                for each in parent.types
                if made[each.id]
            ),
            Fraction(0),
        )
        return math.floor(mdev_type.available_instances * (1 - taken))

    def free(self, number: int) -> t.Iterator[tuple[int, list[Device]]]:
        """The equal free devices of a bin, with the resource that one of them alone is."""
        for group, devices in self._stocks[number].pools.items():
            yield self._number(_Pool(group, 1)), devices

    def behind(self, number: int, taken: t.Collection[str] = ()) -> Backing:
        """The resources of a bin once those of its devices that are ``taken`` are gone."""
        stock = self._stocks[number]
        found: Backing = defaultdict(list)
        for group, devices in stock.pools.items():
            left = [device for device in devices if device.id not in taken]
            if left:
                found[self._number(_Pool(group, len(left)))].append(left)
        for opened, parent in zip(
            stock.opened, self._fleet.hosts[self.names[number]].equipment, strict=True
        ):
            if opened is not None:
                found[opened].append(parent)
        return found

    # --- what hosts have ---

    def _stock(self, name: str) -> _Stock:
        host = self._fleet.hosts[name]
        kept = [placement["target"] for placement in self._kept.get(name, ())]
        taken = {target["id"] for target in kept}
        pools: dict[int, list[Device]] = defaultdict(list)
        opened = set()
        cards = {target["parent"] for target in kept if target["attributes"]}
        for device in host.devices:
            if device.kind == "mdev":
                opened.add(device.parent)
            if self._is_free(device) and device.id not in taken:
                if device.choices is not None:
                    # What one takes may leave nothing for the others of its card, and no one tells how much.
                    if device.parent in cards:
                        continue
                    cards.add(device.parent)
                pools[self._group(device)].append(device)
        return _Stock(pools, self._opened(host, opened, kept))

    def _is_free(self, device: Device) -> bool:
        # Most devices are held: words for why are for those who ask.
        if device.in_use is not None and not self._request.conditions.reuse:
            return False
        return self.why_not_free(device) is None

    def _moves_itself(self, device: Device) -> bool:
        return device.id in self._moving.get(device.host, ())

    def _opened(
        self, host: Host, is_open: set[str | None], kept: list[t.Mapping[str, t.Any]]
    ) -> t.Sequence[int | None]:
        """The resources that the parents of ``host`` are, ``None`` for those under which nothing may go."""
        key = (id(host.equipment), host.stated, frozenset(is_open))
        if key not in self._equipped:
            self._equipped[key] = tuple(
                [
                    self._number(_Opened(self._kind(parent, parent.id in is_open), None, 0))
                    if parent.types
                    else None
                    for parent in host.parents
                ]
            )
        equipped = self._equipped[key]
        if not self._request.conditions.avoid and not kept:
            return equipped
        opened = []
        for resource, parent in zip(equipped, host.equipment, strict=True):
            if self._request.conditions.why_avoided(host.name, parent.id) is not None:
                resource = None
            for target in kept:
                if resource is not None and target["create"] and target["parent"] == parent.id:
                    state = t.cast(_Opened, self._resources[resource])
                    resource = self._number(self._after(state, target))
            opened.append(resource)
        return opened

    def _after(self, opened: _Opened, target: t.Mapping[str, t.Any]) -> _Opened:
        """A parent's state once ``target`` is made."""
        kind = self._kinds[opened.kind]
        instances = instances_of((each["name"], each["value"]) for each in target["attributes"])
        if kind.capacity is None:
            return _Opened(opened.kind, target["type"], opened.used + instances)
        available = {each.id: each.available_instances for each in kind.parent.types}
        used = instances * kind.capacity // available[target["type"]]
        return _Opened(opened.kind, None, opened.used + used)

    def _bin(self, number: int) -> Bin:
        name, stock = self.names[number], self._stocks[number]
        state = [self._number(_Pool(group, len(each))) for group, each in stock.pools.items()]
        state += [resource for resource in stock.opened if resource is not None]
        limit = self._request.conditions.limit_of(name)
        return Bin(
            tuple(sorted(state)),
            None if limit is None else max(0, limit - len(self._kept.get(name, ()))),
            self._groups_on(name) if self._request.conditions.apart else frozenset(),
        )

    def _groups_on(self, name: str) -> frozenset[int]:
        """The groups of which a member stays on a host, or was placed there before."""
        staying = (
            device.in_use.name
            for device in self._fleet.hosts[name].devices
            if device.in_use and not self._moves_itself(device)
        )
        remaining = (self._request.guests[guest] for guest in self._blocked.guests)
        still_there = (guest.name for guest in remaining if guest.host == name)
        arriving = (each["vm"] for each in self._kept.get(name, ()))
        names = itertools.chain(staying, still_there, arriving)
        return frozenset().union(*map(self._request.conditions.groups_of, names))

    def _number(self, state: _Pool | _Opened) -> int:
        number = self._numbers.setdefault(state, len(self._resources))
        if number == len(self._resources):
            self._resources.append(state)
        return number

    def _group(self, device: Device) -> int:
        key = (
            device.kind,
            device.descriptor,
            device.type,
            device.numa_node if self._request.conditions.numa_local else None,
            device.id if self._moves_itself(device) else None,
            device.choices,
        )
        number = self._group_numbers.setdefault(key, len(self._groups))
        if number == len(self._groups):
            self._groups.append(device)
        return number

    def _kind(self, parent: Parent, is_open: bool) -> int:
        key = (
            parent.driver,
            parent.pci_id,
            parent.types,
            self._candidates.versions_under(parent),
            parent.numa_node if self._request.conditions.numa_local else None,
            is_open,
        )
        number = self._kind_numbers.setdefault(key, len(self._kinds))
        if number == len(self._kinds):
            self._kinds.append(_ParentKind(parent, is_open, _capacity(parent)))
        return number

    def _room_of_parent(self, state: _Opened) -> int:
        kind = self._kinds[state.kind]
        if kind.capacity is not None:
            left = kind.capacity - state.used
            return max(
                left * each.available_instances // kind.capacity for each in kind.parent.types
            )
        return max(
            each.available_instances - state.used
            for each in kind.parent.types
            if state.type in (None, each.id)
        )

    # --- what devices need ---

    def _shape(self, guest: Guest) -> list[tuple[int, Device]]:
        """The guest's demands and its devices, the scarcest demand first."""
        for device in guest.devices:
            if obstacle(device) is not None:
                return []
        shape = [(self._demand(device), device) for device in guest.devices]
        if len(shape) > 1:
            shape.sort(key=lambda each: (self._scarcities[each[0]], each[0], each[1].id))
        return shape

    def _demand(self, device: Device) -> int:
        configurable = tuple([name for name, value in device.attributes])
        key = (device.descriptor, device.type, configurable)
        number = self._demand_numbers.get(key)
        if number is None:
            number = self._demand_numbers[key] = len(self._demands)
            self._demands.append(device)
            self._scarcities[number] = self._scarcity(number)
        return number

    def _scarcity(self, demand: int) -> int:
        """How many devices with a demand one resource takes in at most."""
        return max((self.capacity(resource, demand) for resource in self._initial), default=0)

    # --- what goes where ---

    def _find_moves(self, state: _Pool | _Opened, demand: int) -> t.Iterator[Transition]:
        if isinstance(state, _Pool):
            yield from self._taking(state, demand)
        else:
            yield from self._making(state, demand)

    def _taking(self, pool: _Pool, demand: int) -> t.Iterator[Transition]:
        source, target = self._demands[demand], self._groups[pool.group]
        existing = self._candidates.existing(source, target)
        if existing is None or not existing.compatible:
            return
        if not self._request.conditions.allows(source, target.kind, target.type):
            return
        if self._request.conditions.round_trip and not self._candidates.returns(source, target):
            return
        cost = OTHER_TYPE * (target.type != source.type) + CREATED * bool(existing.attributes)
        left = self._number(_Pool(pool.group, pool.size - 1)) if pool.size > 1 else None
        yield Transition(left, cost, Choice(existing=existing))

    def _making(self, opened: _Opened, demand: int) -> t.Iterator[Transition]:
        source = self._demands[demand]
        kind = self._kinds[opened.kind]
        for mdev_type in kind.parent.types:
            if opened.type not in (None, mdev_type.id) or not mdev_type.available_instances:
                continue
            if not self._request.conditions.allows(source, kind.parent.kind, mdev_type.id):
                continue
            made = self._candidates.creatable(source, kind.parent, mdev_type)
            if made is None or not made.compatible:
                continue
            if self._request.conditions.round_trip and not self._candidates.made_returns(
                source, kind.parent
            ):
                continue
            if kind.capacity is not None:
                used = opened.used + made.instances * kind.capacity // mdev_type.available_instances
                full, only = kind.capacity, None
            else:
                used = opened.used + made.instances
                full, only = mdev_type.available_instances, mdev_type.id
            if used > full:
                continue
            cost = CREATED + OTHER_TYPE * (mdev_type.id != source.type)
            if self._request.conditions.policy == "pack":
                cost += OPENED * (opened.used == 0 and not kind.is_open)
            left = self._number(_Opened(opened.kind, only, used)) if used < full else None
            yield Transition(left, cost, Choice(mdev_type=mdev_type, creatable=made))


def claimed(
    behind: Backing, guest: int, sources: t.Iterable[Device], way: Packing
) -> t.Iterator[Allocation]:
    """What a guest has of a bin where its devices ``sources`` go this way; ``behind`` is then what comes after it."""
    for source, (resource, move) in zip(sources, way.steps, strict=True):
        # Equal parents are interchangeable: the first one is taken.
        place = behind[resource].pop(0)
        if move.successor is not None:
            behind[move.successor].append(place)
        yield Allocation(guest, source, move.offer, place)


def assigned(host: str, claims: t.Iterable[Allocation]) -> t.Iterator[Placement]:
    """The places on one host: of equal devices the first one goes to the first guest, in whichever order they came."""
    taken: Counter[int] = Counter()
    for guest, source, offer, place in sorted(claims, key=lambda each: (each[0], each[1].id)):
        if isinstance(place, list):
            yield Placement(guest, source, host, offer, place[taken[id(place)]], None)
            taken[id(place)] += 1
        else:
            yield Placement(guest, source, host, offer, None, place)


def makes_one_type(parent: Parent) -> bool:
    """Whether one plan makes one type only under ``parent``."""
    return _capacity(parent) is None


def _capacity(parent: Parent) -> int | None:
    """What a parent has to share, in units of which every type takes a whole number; ``None`` if it makes one type only."""
    if not driver_profile("mdev", parent.driver).proportional:
        return None
    capacity = math.lcm(*(each.available_instances or 1 for each in parent.types))
    # No driver's numbers are that odd.
    return capacity if capacity < _MOST_CAPACITY else None


def _preference(move: Transition) -> tuple[t.Any, ...]:
    mdev_type = move.offer.mdev_type
    return move.cost, mdev_type.id if mdev_type else ""
