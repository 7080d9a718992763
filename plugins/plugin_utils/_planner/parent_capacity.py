# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Parents whose types take from common resources, as those of i915 do: which mixes of types one can hold. Pure.

The driver makes one more device of a type where there is enough of every resource, and ``available_instances`` says how
often that is so for each type alone (Linux, drivers/gpu/drm/i915/gvt/vgpu.c). How much is left it does not say. Where the
types state what they take, ``available_instances`` bound that from both sides: what so many devices of a type take is
there, and of some resource there is less than one more would take.

Where they do not state it, each type takes the share of one resource that follows from its ``available_instances``.
"""

from __future__ import annotations

import itertools
import math
import typing as t

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.drivers import (
    driver_profile,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import (
    MdevType,
    Parent,
    ParentFacts,
)

# So much of each resource.
Amounts = tuple[int, ...]

# No driver's numbers are that odd.
_MOST_CAPACITY = 1 << 64
# More mixes are not looked at: then it is not known whether one might be possible.
_MOST_MIXES = 4096


class ParentCapacity(t.NamedTuple):
    """What the types of a parent share: so much of each resource is certainly left; a device of a type takes ``needs``.

    ``available`` has the ``available_instances`` of each type. ``stated`` is whether the types state what they take.
    """

    left: Amounts
    needs: t.Mapping[str, Amounts]
    available: t.Mapping[str, int]
    stated: bool

    @property
    def nothing(self) -> Amounts:
        """What is used where nothing is."""
        return (0,) * len(self.left)

    def used_with(self, used: Amounts, type_id: str, instances: int) -> Amounts:
        """Return what is used once so many ``instances`` of a type are made as well."""
        return tuple(
            before + instances * need
            for before, need in zip(used, self.needs[type_id], strict=True)
        )

    def instances_left(self, used: Amounts, type_id: str) -> int:
        """Return how many of a type can certainly be made where so much is ``used``; below 0 where it is too much."""
        rooms = [
            (left - before) // need
            for left, before, need in zip(self.left, used, self.needs[type_id], strict=True)
            if need
        ]
        return min(rooms, default=0)

    def most_left(self, used: Amounts) -> int:
        """Return how many devices of any types can be made at most: so many as of the type that takes least."""
        return max(self.instances_left(used, each) for each in self.needs)

    def share_left(self, used: Amounts) -> float:
        """Return which part of the scarcest resource is left."""
        shares = [before / left for left, before in zip(self.left, used, strict=True) if left]
        return 1 - max(shares, default=0.0)

    def could_hold(self, made: t.Mapping[str, int]) -> bool:
        """Return whether the parent may have capacity for so many of each type, by all that its types state."""
        wanted = self.nothing
        for type_id, count in made.items():
            wanted = self.used_with(wanted, type_id, count)
        amounts = tuple(map(max, self.left, wanted))
        return all(
            any(
                amount < (self.available[type_id] + 1) * need
                for amount, need in zip(amounts, needs, strict=True)
            )
            for type_id, needs in self.needs.items()
        )

    def is_certain(self, types: t.Collection[str]) -> bool:
        """Return whether every mix of these ``types`` that the parent may have capacity for can certainly be made there."""
        if not self.stated:
            return len(types) < 2
        counts = [range(self.available[each] + 1) for each in types]
        if math.prod(map(len, counts)) > _MOST_MIXES:
            return False
        for numbers in itertools.product(*counts):
            used = self.nothing
            for type_id, number in zip(types, numbers, strict=True):
                used = self.used_with(used, type_id, number)
            fits = all(before <= left for left, before in zip(self.left, used, strict=True))
            if not fits and self.could_hold(dict(zip(types, numbers, strict=True))):
                return False
        return True


def capacity_of(parent: Parent | ParentFacts) -> ParentCapacity | None:
    """Return what the types of a parent share; ``None`` where one plan makes one type only under the parent."""
    if not driver_profile("mdev", parent.driver).proportional:
        return None
    return _stated_capacity(parent.types) or _capacity_in_shares(parent.types)


def _stated_capacity(types: t.Sequence[MdevType]) -> ParentCapacity | None:
    """Return what types share that state what they take; ``None`` where they do not, or contradict themselves.

    Of any two types, one takes no more of anything than the other, as it is of GVT-g's.
    """
    names = sorted({name for each in types for name, _amount in each.resources})
    takes = {each.id: dict(each.resources) for each in types}
    needs = {
        each: tuple([amounts.get(name, 0) for name in names]) for each, amounts in takes.items()
    }
    if not types or not all(map(any, needs.values())) or not _in_order(needs.values()):
        return None
    available = {each.id: each.available_instances for each in types}
    left = tuple(
        [
            max(available[each] * amounts[number] for each, amounts in needs.items())
            for number in range(len(names))
        ]
    )
    capacity = ParentCapacity(left, needs, available, True)
    return capacity if capacity.could_hold({}) else None


def _in_order(needs: t.Iterable[Amounts]) -> bool:
    """Return whether each takes no less of anything than the one before, once they are sorted."""
    ordered = sorted(needs)
    return all(
        less <= more
        for one, other in itertools.pairwise(ordered)
        for less, more in zip(one, other, strict=True)
    )


def _capacity_in_shares(types: t.Sequence[MdevType]) -> ParentCapacity | None:
    whole = math.lcm(*(each.available_instances or 1 for each in types))
    if whole >= _MOST_CAPACITY:
        return None
    available = {each.id: each.available_instances for each in types}
    needs = {each: (whole // (count or 1),) for each, count in available.items()}
    return ParentCapacity((whole,), needs, available, False)


def family_of(parent: Parent | ParentFacts, type_id: str | None) -> str | None:
    """Return what the types have in common of which one plan may make several under a ``parent`` without a capacity; of most, each is alone.

    Of a GPU that is a parent itself, types of one frame buffer take its capacity from each other, device by device.
    """
    found = next((each for each in parent.types if each.id == type_id), None)
    if found is None or parent.driver != "nvidia" or parent.card is not None:
        return type_id
    if not found.framebuffer or not found.max_instance:
        return type_id
    # Of such there are as many left of each.
    left = found.available_instances
    return f"{left} of {found.max_instance}, each of {found.framebuffer} MiB"


def instances_left(
    parent: Parent | ParentFacts,
    capacity: ParentCapacity | None,
    mdev_type: MdevType,
    made: t.Mapping[str, int],
) -> int:
    """Return how many of ``mdev_type`` a ``parent`` of this ``capacity`` has left once so many instances of its types are ``made``."""
    if capacity is None:
        family = family_of(parent, mdev_type.id)
        others = any(count for each, count in made.items() if family_of(parent, each) != family)
        return 0 if others else mdev_type.available_instances - sum(made.values())
    used = capacity.nothing
    for type_id, instances in made.items():
        used = capacity.used_with(used, type_id, instances)
    return capacity.instances_left(used, mdev_type.id)
