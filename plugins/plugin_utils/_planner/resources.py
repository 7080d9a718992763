# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Resources: what target hosts have, as numbered states with transitions between them. Pure.

A resource is a parent, a group of equal free devices, or a card: parents or devices that are virtual functions of one
physical function and share what that has. Resources in equal states have the same number, whichever host they are on.

Devices that need the same are one *demand*, and have the same number as well.
"""

from __future__ import annotations

import typing as t
from collections import defaultdict
from dataclasses import dataclass, field

from ansible_collections.vfio.migration.plugins.plugin_utils._compat.candidates import (
    Creatable,
    Existing,
    instances_of,
    versions_under,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import (
    Device,
    MdevType,
    Parent,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.packings import (
    CREATED,
    OPENED,
    OTHER_TYPE,
    Transition,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.admissible import (
    Address,
    Admission,
    NewDevice,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.ap_queues import (
    NumberedMatrices,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.cards import (
    MIG,
    CardCapacity,
    Size,
    TypeShare,
    type_given,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.parent_capacity import (
    Amounts,
    ParentCapacity,
    capacity_of,
    family_of,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import Conditions
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import Target

# The planner's own rules: safe, and stricter than a driver may be. In each, a place where it took part.
_ONE_TYPE = "under one parent, such as {}, a plan makes one type only, as facts do not show how its types share it"
_IN_PROPORTION = "the types of one parent, such as {}, share it in proportion in a plan, as facts do not show what it has left"
_AT_LEAST = "what a parent, such as {}, has left is what available_instances say at least, as facts do not show how much it is"
_BY_NAMES = "how many vGPUs a card takes, such as {}, is concluded from the names of types"
_ONE_SIZE = "a card, such as {}, gets one size of frame buffer, as facts do not show whether it is in heterogeneous mode"
_TOGETHER = "how many vGPUs of several types a card takes together, such as {}, is concluded from how many it takes of each alone"
_WHOLE_CARD = (
    "a vGPU of a type that states no max_instance is taken to need a whole card, such as {}"
)


class Pool(t.NamedTuple):
    """So many equal free devices of a host; ``group`` is the number of the group.

    ``addresses`` are those that a plan gives to them, as far as other guests have the same: the card would give each the
    other's frames. A card whose functions are not all equal is several of these, and only the verifier sees them together.
    """

    group: int
    size: int
    addresses: tuple[Address, ...] = ()


class PartlyUsed(t.NamedTuple):
    """A parent of kind ``kind`` of which a plan has ``used`` so much; ``family`` is that of the types that it makes, if it is only one.

    Used are instances of these types, or so much of each resource that the types share. ``matrices`` are those that a plan
    assigns there, as far as others have queues of them: a bit for the number of each.
    """

    kind: int
    family: str | None
    used: Amounts
    matrices: int = 0


class CardState(t.NamedTuple):
    """A card of kind ``kind``, of which so many units are ``used``, by devices of one ``size``.

    ``functions`` are how many functions without a device are left of each of the kind's groups of them.
    """

    kind: int
    size: Size | None
    used: int
    functions: tuple[int, ...]


_State = Pool | PartlyUsed | CardState

# A free function of a card: a device, or a parent and whether it has devices.
Function = Device | tuple[Parent, bool]
# Equal ones.
Functions = list[Device | Parent]


class Choice(t.NamedTuple):
    """What a transition makes of a device: one of equal devices, or a new one of ``mdev_type``.

    On a card, ``group`` is the group of functions of which one is taken.
    """

    candidate: Existing | Creatable | None = None
    mdev_type: MdevType | None = None
    group: int = 0


@dataclass(frozen=True, slots=True)
class _ParentKind:
    """Parents that differ in nothing that matters. They have ``capacity`` where a plan may mix their types."""

    parent: Parent
    has_devices: bool
    capacity: ParentCapacity | None
    gpu: str | None


@dataclass(frozen=True, slots=True)
class _CardKind:
    """Cards that differ in nothing that matters; ``functions`` has one of each group of equal ones."""

    functions: tuple[Device | _ParentKind, ...]
    shares: t.Mapping[str, TypeShare]
    capacity: int
    certain: bool
    gpu: str | None

    @property
    def numa_node(self) -> int | None:
        first = self.functions[0]
        return first.numa_node if isinstance(first, Device) else first.parent.numa_node


@dataclass(slots=True, eq=False)
class Resources:
    """The states of resources, the demands of devices, and the state of a resource that takes a device in.

    Its methods without a docstring are those of ``_packing.packings.Resources``.
    """

    _conditions: Conditions
    _admission: Admission
    # A device of each demand.
    demands: list[Device] = field(default_factory=list)
    _demand_numbers: dict[tuple[t.Any, ...], int] = field(default_factory=dict)
    _states: list[_State] = field(default_factory=list)
    _numbers: dict[_State, int] = field(default_factory=dict)
    _groups: list[Device] = field(default_factory=list)
    _group_gpus: list[str | None] = field(default_factory=list)
    _group_numbers: dict[tuple[t.Any, ...], int] = field(default_factory=dict)
    _kinds: list[_ParentKind | _CardKind] = field(default_factory=list)
    _kind_numbers: dict[tuple[t.Any, ...], int] = field(default_factory=dict)
    _transitions: dict[tuple[int, int], tuple[Transition, ...]] = field(default_factory=dict)
    # What a parent, and a group of functions of a card, may become for a demand, whatever is there already.
    _makeable: dict[tuple[int, int], list[tuple[MdevType, Creatable]]] = field(default_factory=dict)
    _offered: dict[tuple[int, int, int], list[tuple[int, Choice]]] = field(default_factory=dict)
    _free_slots: dict[int, int] = field(default_factory=dict)
    _matrices: NumberedMatrices = field(default_factory=NumberedMatrices)
    # What these have in common with others, once that was asked.
    _identity: t.Hashable = None

    # --- numbers ---

    def sealed(self) -> t.Hashable:
        """Return what these have in common with others in which the same numbers stand for what is equal.

        From then on nothing gets a number of its own but further states of what has one: in others, it would be that of something else.
        """
        if self._identity is None:
            self._identity = (
                tuple(self._group_numbers),
                tuple(self._kind_numbers),
                tuple(self._demand_numbers),
                tuple(self._states),
            )
        return self._identity

    def adopt(self, other: Resources) -> None:
        """Take over what is known of ``other``, with which these have had all in common: its first states are theirs."""
        if self._identity is None or self._identity != other._identity:
            raise RuntimeError("what is known of resources is adopted by equal ones")
        self._states, self._numbers = other._states, other._numbers
        self._transitions, self._free_slots = other._transitions, other._free_slots
        self._makeable, self._offered = other._makeable, other._offered

    def _number_in(self, numbers: dict[tuple[t.Any, ...], int], key: tuple[t.Any, ...]) -> int:
        """Return the number of ``key``, the next one where it has none yet."""
        number = numbers.get(key)
        if number is None:
            if self._identity is not None:
                raise RuntimeError(
                    "nothing gets a number of its own once others have the same ones"
                )
            number = numbers[key] = len(numbers)
        return number

    def number(self, state: _State) -> int:
        """Return the number of the resources in ``state``."""
        number = self._numbers.setdefault(state, len(self._states))
        if number == len(self._states):
            self._states.append(state)
        return number

    def group_of(self, device: Device, gpu: str | None = None) -> int:
        """Return the number of the free devices that are equal to ``device``, which is on this ``gpu`` if that matters."""
        key = (
            device.kind,
            device.descriptor,
            device.type,
            device.numa_node if self._conditions.numa_local else None,
            device.choices,
            device.p2p is False,
            self._admission.card_of(device),
            self._admission.uuid_of(device),
            gpu,
        )
        number = self._number_in(self._group_numbers, key)
        if number == len(self._groups):
            self._groups.append(device)
            self._group_gpus.append(gpu)
        return number

    def unused(self, parent: Parent, has_devices: bool) -> int:
        """Return the number of a parent as it is; ``has_devices``: it costs nothing more to open it."""
        number = self._kind_of(parent, has_devices)
        capacity = t.cast(_ParentKind, self._kinds[number]).capacity
        return self.number(PartlyUsed(number, None, capacity.nothing if capacity else (0,)))

    def _kind_of(self, parent: Parent, has_devices: bool) -> int:
        candidates = self._admission.candidates
        gpu = None
        if self._conditions.distinct_gpus and parent.driver == "nvidia":
            gpu = parent.card or parent.id
        key = (
            parent.driver,
            parent.pci_id,
            parent.types,
            parent.configuration,
            parent.given,
            versions_under(candidates.versions_on(parent.host), parent),
            parent.numa_node if self._conditions.numa_local else None,
            has_devices,
            gpu,
            frozenset(self._admission.matrices_on(parent.host)),
            self._admission.uuids_on(parent.host),
        )
        kind = self._number_in(self._kind_numbers, key)
        if kind == len(self._kinds):
            self._kinds.append(_ParentKind(parent, has_devices, capacity_of(parent), gpu))
        return kind

    def card(
        self, capacity: CardCapacity, functions: t.Sequence[Function], gpu: str | None = None
    ) -> tuple[int, tuple[Functions, ...]]:
        """Return the number of a card with this ``capacity``, and its free ``functions`` by group.

        A parent comes with whether it has devices. ``gpu`` is which card it is, if that matters.
        """
        by_group: dict[tuple[bool, int], Functions] = defaultdict(list)
        for each in functions:
            if isinstance(each, Device):
                by_group[False, self.group_of(each)].append(each)
            else:
                by_group[True, self._kind_of(*each)].append(each[0])
        groups = tuple(sorted(by_group))
        key = ("card", groups, capacity.types, capacity.capacity, capacity.certain, gpu)
        kind = self._number_in(self._kind_numbers, key)
        if kind == len(self._kinds):
            first = [
                t.cast(_ParentKind, self._kinds[number]) if is_parent else self._groups[number]
                for is_parent, number in groups
            ]
            shares = dict(capacity.types)
            card = _CardKind(tuple(first), shares, capacity.capacity, capacity.certain, gpu)
            self._kinds.append(card)
        found = tuple([by_group[group] for group in groups])
        state = CardState(kind, capacity.size, capacity.used, tuple(map(len, found)))
        return self.number(state), found

    def once_made(self, resource: int, target: Target) -> int:
        """Return the number of a parent once ``target`` of an earlier plan is made under it."""
        state = t.cast(PartlyUsed, self._states[resource])
        kind = self._parent_kind(state)
        given = ((each["name"], each["value"]) for each in target["attributes"])
        instances = instances_of(given) or 1
        type_id = target["type"] or ""
        if kind.capacity is None:
            number = state.used[0] + instances
            family = family_of(kind.parent, type_id)
            return self.number(state._replace(family=family, used=(number,)))
        used = kind.capacity.used_with(state.used, type_id, instances)
        return self.number(state._replace(family=None, used=used))

    def demand_of(self, device: Device) -> int:
        """Return the number of what ``device`` needs."""
        admission = self._admission
        key = (
            device.descriptor,
            device.type,
            tuple([name for name, value in device.attributes]) if device.attributes else (),
            admission.is_one_of_several(device),
            admission.addresses.get(device.key) if admission.addresses else None,
            admission.uuid_of(device),
        )
        number = self._demand_numbers.get(key)
        if number is None:
            number = self._number_in(self._demand_numbers, key)
            self.demands.append(device)
        return number

    # --- what a packing asks ---

    def transitions(self, resource: int, demand: int) -> tuple[Transition, ...]:
        found = self._transitions.get((resource, demand))
        if found is None:
            state = self._states[resource]
            if isinstance(state, Pool):
                found = self._taking(state, self.demands[demand])
            elif isinstance(state, CardState):
                found = self._on_card(state, demand)
            else:
                found = self._making(state, demand)
            self._transitions[(resource, demand)] = found
        return found

    def free_slots(self, resource: int) -> int:
        slots = self._free_slots.get(resource)
        if slots is None:
            state = self._states[resource]
            if isinstance(state, Pool):
                slots = state.size
            elif isinstance(state, CardState):
                slots = self._free_functions(state)
            else:
                kind = self._parent_kind(state)
                if kind.capacity is None:
                    (used,) = state.used
                    slots = max(
                        each.available_instances - used
                        for each in kind.parent.types
                        if state.family in (None, family_of(kind.parent, each.id))
                    )
                else:
                    slots = kind.capacity.most_left(state.used)
            self._free_slots[resource] = slots
        return slots

    def residual(self, resource: int) -> float:
        state = self._states[resource]
        if isinstance(state, Pool):
            return state.size
        if isinstance(state, CardState):
            # Each device opens a function of its own.
            return sum(state.functions)
        kind = self._parent_kind(state)
        if kind.capacity is not None:
            return kind.capacity.share_left(state.used)
        if state.family is None:
            return 1.0
        whole = max(
            each.available_instances
            for each in kind.parent.types
            if family_of(kind.parent, each.id) == state.family
        )
        return 1 - state.used[0] / whole

    def resource_kind(self, resource: int) -> int:
        state = self._states[resource]
        return state.group if isinstance(state, Pool) else -1 - state.kind

    # --- what a proof asks ---

    def could_take(self, resource: int, demand: int) -> bool:
        """Return whether ``resource`` could take in a device with ``demand``, leaving out the planner's own rules."""
        state = self._states[resource]
        if isinstance(state, CardState):
            return bool(self._sizes(state, [demand]))
        return bool(self.transitions(resource, demand))

    def own_rules(self, resource: int, demands: t.Iterable[int]) -> list[tuple[str, str]]:
        """Return the rules of the planner's own that may keep ``resource`` from taking in some of ``demands``.

        The second of each is where it may, for the place in the rule's words.
        """
        state = self._states[resource]
        if isinstance(state, Pool):
            return []
        if isinstance(state, CardState):
            return self._own_rules_of_card(state, demands)
        types = {
            each.offer.mdev_type.id
            for demand in demands
            for each in self.transitions(resource, demand)
        }
        kind = self._parent_kind(state)
        families = {family_of(kind.parent, each) for each in types}
        if len(families) < 2 or (kind.capacity is not None and kind.capacity.is_certain(types)):
            return []
        rule = _ONE_SIZE if families - types else _ONE_TYPE
        if kind.capacity is not None:
            rule = _AT_LEAST if kind.capacity.stated else _IN_PROPORTION
        return [(rule, f"{kind.parent.id} on {kind.parent.host}")]

    def _own_rules_of_card(
        self, state: CardState, demands: t.Iterable[int]
    ) -> list[tuple[str, str]]:
        kind = t.cast(_CardKind, self._kinds[state.kind])
        sizes = self._sizes(state, demands)
        first = kind.functions[0]
        function = first if isinstance(first, Device) else first.parent
        where = f"that of {function.id} on {function.host}"
        rules = [_ONE_SIZE] if len(sizes | ({state.size} - {None})) > 1 else []
        if sizes and not kind.certain:
            rules.append(_BY_NAMES if isinstance(first, Device) else _why_uncertain(kind))
        return [(rule, where) for rule in rules]

    def _sizes(self, state: CardState, demands: t.Iterable[int]) -> set[Size | None]:
        """Return of which sizes a card's functions could become devices with ``demands``."""
        kind = t.cast(_CardKind, self._kinds[state.kind])
        return {
            kind.shares[_type_made(offer)].size
            for demand in demands
            for group, function in enumerate(kind.functions)
            for _cost, offer in self._offers(function, group, self.demands[demand])
        }

    def most(self, resource: int, demands: t.Iterable[int]) -> int:
        """Return how many devices with any of ``demands`` there are at most in ``resource``, whatever is planned together."""
        state = self._states[resource]
        if isinstance(state, Pool):
            return state.size
        if isinstance(state, CardState):
            kind = t.cast(_CardKind, self._kinds[state.kind])
            functions = sum(state.functions)
            least = min(each.units for each in kind.shares.values())
            return (
                min(functions, (kind.capacity - state.used) // least) if kind.certain else functions
            )
        available = {
            each.offer.mdev_type.id: each.offer.mdev_type.available_instances
            for demand in demands
            for each in self.transitions(resource, demand)
        }
        # Of types that share, that of which there are most takes least, whatever else is made.
        together = sum if self._parent_kind(state).capacity is None else max
        return together(available.values()) if available else 0

    def numa_node(self, resource: int) -> int | None:
        if not self._conditions.numa_local:
            return None
        state = self._states[resource]
        if isinstance(state, Pool):
            return self._groups[state.group].numa_node
        kind = self._kinds[state.kind]
        return kind.numa_node if isinstance(kind, _CardKind) else kind.parent.numa_node

    def exclusive_place(self, resource: int) -> str | None:
        state = self._states[resource]
        return (
            self._group_gpus[state.group]
            if isinstance(state, Pool)
            else self._kinds[state.kind].gpu
        )

    def capacity(self, resource: int, demand: int) -> int:
        """Return how many devices with ``demand`` a resource takes in at most."""
        found = self.transitions(resource, demand)
        state = self._states[resource]
        if isinstance(state, Pool):
            return state.size if found else 0
        if isinstance(state, CardState):
            card = t.cast(_CardKind, self._kinds[state.kind])
            units = [card.shares[_type_made(each.offer)].units for each in found]
            most = [(card.capacity - state.used) // each for each in units]
            return min(sum(state.functions), max(most, default=0))
        return max(
            (
                each.offer.mdev_type.available_instances // each.offer.candidate.instances
                for each in found
            ),
            default=0,
        )

    def _parent_kind(self, state: PartlyUsed) -> _ParentKind:
        return t.cast(_ParentKind, self._kinds[state.kind])

    def _free_functions(self, state: CardState) -> int:
        kind = t.cast(_CardKind, self._kinds[state.kind])
        units = [each.units for each in kind.shares.values() if state.size in (None, each.size)]
        # There may be more on a card than it is known to hold.
        left = max(0, kind.capacity - state.used)
        return min(sum(state.functions), left // min(units)) if units else 0

    # --- transitions ---

    def _taking(self, pool: Pool, source: Device) -> tuple[Transition, ...]:
        target = self._groups[pool.group]
        existing, _refusal = self._admission.admit(source, target)
        if existing is None:
            return ()
        addresses = pool.addresses
        given = self._admission.address_given(source, target)
        if given is not None:
            if any(each.mac == given.mac and each.guest != given.guest for each in addresses):
                return ()
            addresses = tuple(sorted({*addresses, given}))
        cost = OTHER_TYPE * (target.type != source.type) + CREATED * bool(existing.attributes)
        after = Pool(pool.group, pool.size - 1, addresses)
        rest = self.number(after) if pool.size > 1 else None
        return (Transition(rest, cost, Choice(existing)),)

    def _making(self, state: PartlyUsed, demand: int) -> tuple[Transition, ...]:
        kind, source = self._parent_kind(state), self.demands[demand]
        key = (state.kind, demand)
        if key not in self._makeable:
            self._makeable[key] = [*self._made_under(kind, source)]
        matrix = self._admission.matrices.get(source.key)
        assigned = state.matrices
        if matrix is not None:
            own = self._matrices.number(matrix)
            if self._matrices.is_contested(own, assigned):
                return ()
            assigned |= 1 << own
        found = []
        for mdev_type, made in self._makeable[key]:
            if state.family not in (None, family_of(kind.parent, mdev_type.id)):
                continue
            after = self._once_opened(state, kind, mdev_type, made.instances)
            if after is None:
                continue
            if matrix is not None:
                after = after._replace(matrices=assigned)
            cost = CREATED + OTHER_TYPE * (mdev_type.id != source.type)
            if self._conditions.policy == "pack":
                cost += OPENED * (not any(state.used) and not kind.has_devices)
            number = self.number(after)
            rest = number if self.free_slots(number) > 0 else None
            found.append((cost, mdev_type.id, Transition(rest, cost, Choice(made, mdev_type))))
        # The types of a parent have different ids: nothing else is compared.
        return tuple([each for _cost, _id, each in sorted(found)])

    def _made_under(
        self, kind: _ParentKind, source: Device
    ) -> t.Iterator[tuple[MdevType, Creatable]]:
        """Yield the types that a parent may make for ``source``, whatever else is made under it."""
        for mdev_type in kind.parent.types:
            target = NewDevice(kind.parent.kind, mdev_type.id, kind.parent, mdev_type)
            made, _refusal = self._admission.admit(source, target)
            if isinstance(made, Creatable) and mdev_type.available_instances:
                yield mdev_type, made

    def _once_opened(
        self, state: PartlyUsed, kind: _ParentKind, mdev_type: MdevType, instances: int
    ) -> PartlyUsed | None:
        """Return a parent in ``state`` once so many ``instances`` of a type are made; ``None`` where there is no capacity."""
        if kind.capacity is not None:
            if kind.capacity.instances_left(state.used, mdev_type.id) < instances:
                return None
            used = kind.capacity.used_with(state.used, mdev_type.id, instances)
            return state._replace(family=None, used=used)
        number = state.used[0] + instances
        if number > mdev_type.available_instances:
            return None
        return state._replace(family=family_of(kind.parent, mdev_type.id), used=(number,))

    def _on_card(self, state: CardState, demand: int) -> tuple[Transition, ...]:
        kind = t.cast(_CardKind, self._kinds[state.kind])
        found = []
        for group, function in enumerate(kind.functions):
            if not state.functions[group]:
                continue
            key = (state.kind, group, demand)
            if key not in self._offered:
                source = self.demands[demand]
                self._offered[key] = [*self._offers(function, group, source)]
            for cost, offer in self._offered[key]:
                type_id = _type_made(offer)
                share = kind.shares[type_id]
                used = state.used + share.units
                if state.size not in (None, share.size) or used > kind.capacity:
                    continue
                left = list(state.functions)
                left[group] -= 1
                after = CardState(state.kind, share.size, used, tuple(left))
                rest = self.number(after) if any(left) and used < kind.capacity else None
                found.append((cost, type_id, group, Transition(rest, cost, offer)))
        return tuple([each[-1] for each in sorted(found, key=lambda each: each[:-1])])

    def _offers(
        self, function: Device | _ParentKind, group: int, source: Device
    ) -> t.Iterator[tuple[int, Choice]]:
        """Yield what a function of a card can become to ``source``, and what that costs."""
        if isinstance(function, Device):
            existing, _refusal = self._admission.admit(source, function)
            if isinstance(existing, Existing) and type_given(existing.attributes, function):
                cost = CREATED + OTHER_TYPE * (function.type != source.type)
                yield cost, Choice(existing, None, group)
            return
        opened = self._conditions.policy == "pack" and not function.has_devices
        for mdev_type, made in self._made_under(function, source):
            if made.instances > mdev_type.available_instances:
                continue
            cost = CREATED + OPENED * opened + OTHER_TYPE * (mdev_type.id != source.type)
            yield cost, Choice(made, mdev_type, group)


def _why_uncertain(kind: _CardKind) -> str:
    """Return the rule by which it is concluded how many vGPUs a card of parents takes, which its driver does not state."""
    has_mig = any(each.size == MIG for each in kind.shares.values())
    return _TOGETHER if has_mig else _WHOLE_CARD


def _type_made(offer: Choice) -> str:
    """Return the type that a function of a card becomes."""
    if offer.mdev_type is not None:
        return offer.mdev_type.id
    existing = t.cast(Existing, offer.candidate)
    return type_given(existing.attributes, existing.device) or ""
