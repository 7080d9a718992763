# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Cards: how many vGPUs the virtual functions of one physical function can be given together. Pure.

With mdev each function is a parent, and its types state ``max_instance``: so many of the type has the whole card. Without
mdev a function takes its type as an attribute, and only the names of the types show how much memory each takes.

A card takes one size of frame buffer only, unless it is in heterogeneous mode (NVIDIA, Virtual GPU Software User Guide,
"Valid Time-Sliced Virtual GPU Configurations on a Single GPU"). Facts do not state the mode, so a plan makes one size.
With MIG a card takes several in any case ("Valid MIG-Backed Virtual GPU Configurations on a Single GPU").
"""

from __future__ import annotations

import math
import typing as t
from collections import Counter

from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import (
    Device,
    Host,
    MdevType,
    Parent,
    ParentFacts,
    is_vgpu_of_nvidia,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.vgpu_names import (
    fitting,
    named_share,
)

# What one type takes in is not more finely divided.
_MOST_CAPACITY = 1 << 64

# A frame buffer's size, equal for frame buffers of one size alone.
Size = int | str | tuple[int, ...]
# The one size of all types with MIG, which a card takes beside each other.
MIG = "MIG"


class TypeShare(t.NamedTuple):
    """What one device of a type takes of its card, and which size it is of."""

    units: int
    size: Size


class CardCapacity(t.NamedTuple):
    """What a card has: of ``capacity`` units so many are ``used``, by devices of this ``size`` if there is one already.

    ``types`` has the share of each type. ``certain`` is whether the driver itself states how many there can be.
    ``partly_used`` is whether there are types already, so that only a trial shows if there is capacity for more than one device.
    """

    types: tuple[tuple[str, TypeShare], ...]
    capacity: int
    used: int
    size: Size | None
    certain: bool
    partly_used: bool = False

    def share(self, type_id: str) -> TypeShare | None:
        """Return what a device of this type takes; ``None`` where the card has no such type."""
        return dict(self.types).get(type_id)

    def with_more(self, made: t.Mapping[str, int]) -> CardCapacity:
        """Return what the card has once so many of each type are ``made`` as well."""
        used, size = self.used, self.size
        for type_id, count in made.items():
            share = self.share(type_id)
            if share is not None and count:
                used, size = used + count * share.units, share.size
        return self._replace(used=used, size=size)

    def why_full(self, card: str, type_id: str) -> str | None:
        """Return why the card, which is called ``card``, takes no more of a type; ``None`` where it does."""
        share = self.share(type_id)
        if share is None:
            return f"{card} has no type {type_id}"
        if self.size not in (None, share.size):
            return (
                f"{card} has, or is to have, vGPUs of another size of frame buffer than {type_id},"
                " and takes one size only unless it is in heterogeneous mode, which the facts do not show"
            )
        if self.used + share.units > self.capacity:
            most = self.capacity // share.units
            if self.partly_used or (not self.certain and most == 1):
                return (
                    f"one plan gives functions of {card} the type {type_id} for one guest only, as only trying"
                    " shows whether it takes more"
                )
            return (
                f"{card} holds {most} of {type_id} at most, with those that are there and planned"
            )
        return None


def is_card_parent(parent: Parent | ParentFacts) -> bool:
    """Return whether a parent is a virtual function whose types state how many of them the whole card holds."""
    return parent.card is not None and any(each.max_instance for each in parent.types)


def why_capacity_unknown(parent: Parent | ParentFacts) -> list[str]:
    """Return the sentence on a virtual function of NVIDIA's none of whose types states how many of it the card holds."""
    if parent.driver != "nvidia" or parent.card is None or is_card_parent(parent):
        return []
    return [
        f"only trying shows how many vGPUs the card holds, {parent.card}: its types state no max_instance"
    ]


def capacity_of_parents(
    parents: t.Iterable[Parent | ParentFacts], present: t.Iterable[str]
) -> CardCapacity:
    """Return what the card has whose functions are ``parents``, on which there are devices of these types."""
    types: dict[str, MdevType] = {}
    for parent in parents:
        for each in parent.types:
            # Functions of one card state the same of a type; where they do not, the least is sure.
            known = types.setdefault(each.id, each)
            if (each.max_instance or 1) < (known.max_instance or 1):
                types[each.id] = each
    capacity = _common_units({each.max_instance for each in types.values() if each.max_instance})
    shares = {
        each.id: TypeShare(
            max(1, capacity // each.max_instance) if each.max_instance else capacity,
            _size_of(each),
        )
        for each in types.values()
    }
    greatest = TypeShare(max(each.units for each in shares.values()), "")
    present = [*present]
    there = [shares.get(each, greatest) for each in present]
    sizes = {each.size for each in there}
    used = sum(each.units for each in there)
    size = sizes.pop() if len(sizes) == 1 else None
    stated = {each.id for each in types.values() if each.max_instance}
    is_certain = stated.issuperset({*shares, *present}) and all(
        each.size != MIG for each in shares.values()
    )
    return CardCapacity(tuple(sorted(shares.items())), capacity, used, size, is_certain)


def _size_of(mdev_type: MdevType) -> Size:
    share = named_share(mdev_type.name or "")
    return MIG if share and share.slices else mdev_type.framebuffer or mdev_type.id


def capacity_of_functions(
    functions: t.Sequence[Device],
    with_type: int,
    of_one_guest: t.Callable[[t.Collection[str]], int],
) -> CardCapacity:
    """Return what the card of these ``functions`` without a type has, beside which so many have one.

    ``of_one_guest`` returns how many devices of these types are tried at once there: those of one guest.
    """
    named: dict[str, str] = {}
    for device in functions:
        if device.choices is not None:
            names = device.choices.names or ("",) * len(device.choices.values)
            named.update(zip(device.choices.values, names, strict=False))
    if with_type:
        # What these have taken is not shown, only that there is capacity for one more of what is available.
        shares = {each: TypeShare(1, each) for each in named}
        return CardCapacity(
            tuple(sorted(shares.items())), of_one_guest(named), 0, None, False, True
        )
    found = {each: named_share(name) for each, name in named.items()}
    known = [share for share in found.values() if share is not None]
    counts = dict.fromkeys(named, len(functions))
    sizes: dict[str, Size] = {each: each for each in named}
    for each, share in found.items():
        if share is not None:
            alike = [
                other
                for other in known
                if bool(other.slices) == bool(share.slices) and not other.exclusive
            ]
            # Where nothing else is available, no more than one is sure.
            whole = max(alike, key=lambda other: (other.slices, other.memory), default=share)
            counts[each] = fitting(share, whole)
            sizes[each] = MIG if share.slices else share.memory
    capacity = _common_units(counts.values())
    shares = {
        each: TypeShare(max(1, capacity // count), sizes[each]) for each, count in counts.items()
    }
    return CardCapacity(tuple(sorted(shares.items())), capacity, 0, None, False)


def gpus_of_parents(host: Host) -> dict[str, str]:
    """Return the GPU that each of NVIDIA's parents is, or is a virtual function of, by the parent's id."""
    return {
        parent.id: parent.card or parent.id
        for parent in host.equipment
        if parent.driver == "nvidia"
    }


def gpu_of(device: Device, of_parents: t.Mapping[str, str]) -> str | None:
    """Return the GPU that a vGPU of NVIDIA's is on; ``None`` where ``device`` is none."""
    if device.kind == "mdev":
        return of_parents.get(device.parent or "")
    return device.parent or device.id if is_vgpu_of_nvidia(device) else None


def _common_units(counts: t.Collection[int]) -> int:
    """Return into how many units a card is divided of which it holds so many of each type."""
    units = math.lcm(*counts)
    # No driver's numbers are that odd: so few are safe whichever they are.
    return units if units <= _MOST_CAPACITY else min(counts)


def type_given(attributes: t.Iterable[tuple[str, str]], device: Device) -> str | None:
    """Return the type that ``device`` has by these ``attributes``; ``None`` where it is given none."""
    if device.choices is None:
        return None
    return dict(attributes).get(device.choices.attribute)


def count_with_type(devices: t.Iterable[Device], functions: t.Sequence[Device]) -> int:
    """Return how many of a card's ``devices`` have a type, as the ``functions`` have none."""
    named = {each.choices.attribute for each in functions if each.choices is not None}
    return Counter(
        each.choices is None and any(name in named for name, _value in each.attributes)
        for each in devices
    )[True]
