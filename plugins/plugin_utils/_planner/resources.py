# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Resources: what target hosts have, as numbered states with transitions between them. Pure.

A resource is a parent, or a group of equal free devices. Resources in equal states have the same number, whichever
host they are on. Devices that need the same are one *demand*, and have the same number as well.
"""

from __future__ import annotations

import math
import typing as t
from dataclasses import dataclass, field

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.drivers import (
    driver_profile,
)
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
    Admission,
    NewDevice,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import Conditions
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import Target

# No driver's numbers are that odd.
_MOST_CAPACITY = 1 << 64


class Pool(t.NamedTuple):
    """So many equal free devices of a host; ``group`` is the number of the group."""

    group: int
    size: int


class PartlyUsed(t.NamedTuple):
    """A parent of kind ``kind`` of which a plan has ``used`` so much; ``type`` is the one it makes, if it is only one."""

    kind: int
    type: str | None
    used: int


class Choice(t.NamedTuple):
    """What a transition makes of a device: one of equal devices, or a new one of ``mdev_type``."""

    candidate: Existing | Creatable | None = None
    mdev_type: MdevType | None = None


@dataclass(frozen=True, slots=True)
class _ParentKind:
    """Parents that differ in nothing that matters. A whole one has ``capacity`` where its types share in proportion."""

    parent: Parent
    has_devices: bool
    capacity: int | None


@dataclass(slots=True, eq=False)
class Resources:
    """The states of resources, the demands of devices, and what becomes of a resource that takes a device in.

    Its methods without a docstring are those of ``_packing.packings.Resources``.
    """

    _conditions: Conditions
    _admission: Admission
    # A device of each demand.
    demands: list[Device] = field(default_factory=list)
    _demand_numbers: dict[tuple[t.Any, ...], int] = field(default_factory=dict)
    _states: list[Pool | PartlyUsed] = field(default_factory=list)
    _numbers: dict[Pool | PartlyUsed, int] = field(default_factory=dict)
    _groups: list[Device] = field(default_factory=list)
    _group_numbers: dict[tuple[t.Any, ...], int] = field(default_factory=dict)
    _kinds: list[_ParentKind] = field(default_factory=list)
    _kind_numbers: dict[tuple[t.Any, ...], int] = field(default_factory=dict)
    _transitions: dict[tuple[int, int], tuple[Transition, ...]] = field(default_factory=dict)
    _free_slots: dict[int, int] = field(default_factory=dict)

    # --- numbers ---

    def number(self, state: Pool | PartlyUsed) -> int:
        """Return the number of the resources in ``state``."""
        number = self._numbers.setdefault(state, len(self._states))
        if number == len(self._states):
            self._states.append(state)
        return number

    def group_of(self, device: Device) -> int:
        """Return the number of the free devices that are equal to ``device``."""
        moves_itself = device.id in self._admission.moving.get(device.host, ())
        key = (
            device.kind,
            device.descriptor,
            device.type,
            device.numa_node if self._conditions.numa_local else None,
            device.id if moves_itself else None,
            device.choices,
        )
        number = self._group_numbers.setdefault(key, len(self._groups))
        if number == len(self._groups):
            self._groups.append(device)
        return number

    def unused(self, parent: Parent, has_devices: bool) -> int:
        """Return the number of a parent as it is; ``has_devices``: it costs nothing more to open it."""
        candidates = self._admission.candidates
        key = (
            parent.driver,
            parent.pci_id,
            parent.types,
            parent.configuration,
            versions_under(candidates.versions_on(parent.host), parent),
            parent.numa_node if self._conditions.numa_local else None,
            has_devices,
        )
        kind = self._kind_numbers.setdefault(key, len(self._kinds))
        if kind == len(self._kinds):
            self._kinds.append(_ParentKind(parent, has_devices, capacity_of(parent)))
        return self.number(PartlyUsed(kind, None, 0))

    def once_made(self, resource: int, target: Target) -> int:
        """Return the number of a parent once ``target`` of an earlier plan is made under it."""
        state = t.cast(PartlyUsed, self._states[resource])
        kind = self._kinds[state.kind]
        given = ((each["name"], each["value"]) for each in target["attributes"])
        instances = instances_of(given) or 1
        if kind.capacity is None:
            return self.number(PartlyUsed(state.kind, target["type"], state.used + instances))
        available = {each.id: each.available_instances for each in kind.parent.types}
        used = instances * kind.capacity // available[target["type"] or ""]
        return self.number(PartlyUsed(state.kind, None, state.used + used))

    def demand_of(self, device: Device) -> int:
        """Return the number of what ``device`` needs."""
        configurable = tuple([name for name, value in device.attributes])
        key = (device.descriptor, device.type, configurable)
        number = self._demand_numbers.setdefault(key, len(self.demands))
        if number == len(self.demands):
            self.demands.append(device)
        return number

    # --- what a packing asks ---

    def transitions(self, resource: int, demand: int) -> tuple[Transition, ...]:
        found = self._transitions.get((resource, demand))
        if found is None:
            state = self._states[resource]
            source = self.demands[demand]
            if isinstance(state, Pool):
                found = self._taking(state, source)
            else:
                found = self._making(state, source)
            self._transitions[(resource, demand)] = found
        return found

    def free_slots(self, resource: int) -> int:
        slots = self._free_slots.get(resource)
        if slots is None:
            state = self._states[resource]
            if isinstance(state, Pool):
                slots = state.size
            else:
                kind = self._kinds[state.kind]
                slots = max(
                    [
                        each.available_instances - state.used
                        if kind.capacity is None
                        else (kind.capacity - state.used)
                        * each.available_instances
                        // kind.capacity
                        for each in kind.parent.types
                        if state.type in (None, each.id)
                    ]
                )
            self._free_slots[resource] = slots
        return slots

    def residual(self, resource: int) -> float:
        state = self._states[resource]
        if isinstance(state, Pool):
            return state.size
        kind = self._kinds[state.kind]
        if kind.capacity is not None:
            return 1 - state.used / kind.capacity
        whole = {each.id: each.available_instances for each in kind.parent.types}
        return 1.0 if state.type is None else 1 - state.used / whole[state.type]

    def resource_kind(self, resource: int) -> int:
        state = self._states[resource]
        return state.group if isinstance(state, Pool) else -1 - state.kind

    def numa_node(self, resource: int) -> int | None:
        if not self._conditions.numa_local:
            return None
        state = self._states[resource]
        if isinstance(state, Pool):
            return self._groups[state.group].numa_node
        return self._kinds[state.kind].parent.numa_node

    def capacity(self, resource: int, demand: int) -> int:
        """Return how many devices with ``demand`` a resource takes in at most."""
        found = self.transitions(resource, demand)
        state = self._states[resource]
        if isinstance(state, Pool):
            return state.size if found else 0
        return max(
            (
                each.offer.mdev_type.available_instances // each.offer.candidate.instances
                for each in found
            ),
            default=0,
        )

    # --- transitions ---

    def _taking(self, pool: Pool, source: Device) -> tuple[Transition, ...]:
        target = self._groups[pool.group]
        existing, _refusal = self._admission.admit(source, target)
        if existing is None:
            return ()
        cost = OTHER_TYPE * (target.type != source.type) + CREATED * bool(existing.attributes)
        rest = self.number(Pool(pool.group, pool.size - 1)) if pool.size > 1 else None
        return (Transition(rest, cost, Choice(existing)),)

    def _making(self, state: PartlyUsed, source: Device) -> tuple[Transition, ...]:
        kind = self._kinds[state.kind]
        found = []
        for mdev_type in kind.parent.types:
            if state.type not in (None, mdev_type.id) or not mdev_type.available_instances:
                continue
            target = NewDevice(kind.parent.kind, mdev_type.id, kind.parent, mdev_type)
            made, _refusal = self._admission.admit(source, target)
            if not isinstance(made, Creatable):
                continue
            if kind.capacity is not None:
                used = state.used + made.instances * kind.capacity // mdev_type.available_instances
                full, only = kind.capacity, None
            else:
                used = state.used + made.instances
                full, only = mdev_type.available_instances, mdev_type.id
            if used > full:
                continue
            cost = CREATED + OTHER_TYPE * (mdev_type.id != source.type)
            if self._conditions.policy == "pack":
                cost += OPENED * (state.used == 0 and not kind.has_devices)
            rest = self.number(PartlyUsed(state.kind, only, used)) if used < full else None
            found.append((cost, mdev_type.id, Transition(rest, cost, Choice(made, mdev_type))))
        # The types of a parent have different ids: nothing else is compared.
        return tuple([each for _cost, _id, each in sorted(found)])


def capacity_of(parent: Parent) -> int | None:
    """Return what a parent has to share, in units of which every type takes a whole number.

    It is ``None`` where one plan makes one type only under the parent.
    """
    if not driver_profile("mdev", parent.driver).proportional:
        return None
    capacity = math.lcm(*(each.available_instances or 1 for each in parent.types))
    return capacity if capacity < _MOST_CAPACITY else None
