# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Places of one type: how many more devices of it a host can give to a guest, now and once others have moved. Pure.

A place is a free device of the type, or one more that a parent can make. Only what is sure counts:

- A device that its guest has left is free.
- A parent has ``available_instances`` of the type, as its host states. One of i915 whose types state what they take has also
  what devices of other types took that were left. Functions of one card of NVIDIA's have together what it holds.
- A parent or card that was left by all has as many as it holds by ``max_instance``, where the type states that.
- Where something is made under a parent that does not share by stated amounts, nothing of another type is sure any more, and of
  a card nothing at all.

So a guest that comes to a host never gives it places, and one that leaves never takes any.
"""

from __future__ import annotations

import math
import operator
import typing as t
from collections import Counter, defaultdict
from fractions import Fraction

from ansible_collections.vfio.migration.plugins.plugin_utils._compat.candidates import instances_of
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import (
    Device,
    Host,
    MdevType,
    Parent,
    obstacle,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.parent_capacity import (
    Amounts,
    ParentCapacity,
    capacity_of,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import Guest
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.vgpu_names import named_share
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import Target

_Ids = t.AbstractSet[str]
_NONE: frozenset[str] = frozenset()


def has_type(host: Host, type_id: str) -> bool:
    """Return whether a host has a device of a type, or a parent that may make one."""
    return any(each.type == type_id for each in host.devices) or any(
        each.id == type_id for parent in host.equipment for each in parent.types
    )


class Gain(t.NamedTuple):
    """How many more ``places`` there are at most once all of these ``guests``, by number, have left; a part of one counts as such.

    ``together`` is whether it takes all of them, as a parent or card is to be empty.
    """

    places: Fraction
    guests: tuple[int, ...]
    together: bool


class TypePlaces:
    """The places of one type on a host, of whose guests those in ``movable`` may leave."""

    def __init__(self, host: Host, type_id: str, movable: t.Sequence[Guest]) -> None:
        self._usable = {
            each.id
            for each in host.devices
            if each.type == type_id and obstacle(each) is None and each.choices is None
        }
        self._free = {each.id for each in host.devices if each.in_use is None} & self._usable
        under: dict[str | None, list[Device]] = defaultdict(list)
        for device in host.devices:
            under[device.parent].append(device)
        cards: dict[str, list[Parent]] = defaultdict(list)
        for parent in host.parents:
            cards[str(parent.card) if _is_function(parent) else parent.id].append(parent)
        self._makers: list[_Maker] = []
        self._maker_of: dict[str, int] = {}
        for parents in cards.values():
            if any(each.id == type_id for parent in parents for each in parent.types):
                devices = [each for parent in parents for each in under[parent.id]]
                self._maker_of |= {each.id: len(self._makers) for each in parents}
                self._makers.append(_maker(parents, devices, type_id))
        self._movable = movable
        self._leaving = {each.id for guest in movable for each in guest.devices}
        # How many more places each maker has once it is empty.
        free = self._free | (self._usable & self._leaving)
        self._extra = [
            each.instances(self._leaving, free, {}) - each.instances(_NONE, self._free, {})
            if each.is_whole
            else 0
            for each in self._makers
        ]

    def count(self, left: _Ids = _NONE, arrivals: t.Iterable[Target] = ()) -> int:
        """Return how many places there are once devices are ``left``, and targets were made or taken."""
        made: dict[int, Counter[str]] = defaultdict(Counter)
        arrivals = [*arrivals]
        taken = {each["id"] for each in arrivals}
        # What was left and is held again is not empty.
        left = left - taken
        free = (self._free - taken) | (self._usable & left)
        for each in arrivals:
            number = self._maker_of.get(each["parent"] or "")
            if each["create"] and number is not None:
                given = [(value["name"], value["value"]) for value in each["attributes"]]
                made[number][each["type"] or ""] += instances_of(given) or 1
        return len(free) + sum(
            maker.instances(left, free, made[number]) for number, maker in enumerate(self._makers)
        )

    @property
    def usable(self) -> int:
        """How many devices of the host are of the type and can be given to guests, held or not."""
        return len(self._usable)

    def begun(self) -> Fraction:
        """Return which parts of places there are beside whole ones."""
        return sum((each.begun() for each in self._makers), Fraction(0))

    def gains(self) -> list[Gain]:
        """Return what leaving gives: guests give no more places than all gains of which they are the guests, and what is ``begun``."""
        found = []
        for number, guest in enumerate(self._movable):
            of_type = sum(each.id in self._usable for each in guest.devices)
            shared = sum((each.most_of(guest.devices) for each in self._makers), Fraction(0))
            found.append(Gain(of_type + shared, (number,), False))
        for maker, extra in zip(self._makers, self._extra, strict=True):
            found.append(Gain(Fraction(extra), self._guests_of(maker), True))
        return [each for each in found if each.places > 0]

    def _guests_of(self, maker: _Maker) -> tuple[int, ...]:
        return tuple(
            [
                number
                for number, guest in enumerate(self._movable)
                if any(each.id in maker.there for each in guest.devices)
            ]
        )


def _is_function(parent: Parent) -> bool:
    """Return whether a parent is one of several functions of a card, which they share."""
    return parent.driver == "nvidia" and parent.card is not None


def _maker(parents: t.Sequence[Parent], devices: t.Sequence[Device], type_id: str) -> _Maker:
    capacity = None if _is_function(parents[0]) else capacity_of(parents[0])
    if capacity is None:
        return _Whole(parents, devices, type_id)
    return _Shared(capacity, devices, type_id)


class _Maker(t.Protocol):
    """What can make devices of the type: a parent, or the functions of one card together; ``there`` are those under it.

    ``is_whole`` is whether it may have more places only once it is empty.
    """

    there: frozenset[str]
    is_whole: bool

    def instances(self, left: _Ids, free: _Ids, made: t.Mapping[str, int]) -> int:
        """Return how many more can be made, where devices are ``left``, of which those in ``free`` stay, and so many of each type were ``made``."""

    def begun(self) -> Fraction:
        """Return which part of a further one there is place for."""

    def most_of(self, devices: t.Iterable[Device]) -> Fraction:
        """Return how many there is place for at most in what ``devices`` of other types have taken."""


class _Whole:
    """A parent, or a card, of which it is unknown what else it has place for while something is there."""

    is_whole = True

    def __init__(
        self, parents: t.Sequence[Parent], devices: t.Sequence[Device], type_id: str
    ) -> None:
        self.there = frozenset(each.id for each in devices)
        self._others = {each.id for each in devices if each.type != type_id}
        self._type_id, self._is_card = type_id, _is_function(parents[0])
        offered = [each for parent in parents for each in parent.types if each.id == type_id]
        self._available = sum(each.available_instances for each in offered)
        types = {each.id: each for parent in parents for each in parent.types}
        held = min(each.max_instance or 0 for each in offered)
        if self._is_card and self._available:
            most = [_most(types.get(each.type or "")) for each in devices]
            used = sum((Fraction(1, each) for each in most), Fraction(0))
            # The driver offers one at least.
            self._available = max(1, min(self._available, math.floor((1 - used) * held)))
        # Which of its modes a card is in, facts do not show.
        concerned = [type_id, *(each.type or "" for each in devices)]
        if any(_is_with_mig(types.get(each)) for each in concerned):
            held = 0
        self._held = min(held, len(offered)) if self._is_card else held

    def instances(self, left: _Ids, free: _Ids, made: t.Mapping[str, int]) -> int:
        if made:
            alone = not self._is_card and set(made) == {self._type_id}
            return max(0, self._available - made[self._type_id]) if alone else 0
        if self._others & left and self.there <= left | free:
            return max(self._available, self._held - len(self.there & free))
        return self._available

    def begun(self) -> Fraction:
        return Fraction(0)

    def most_of(self, devices: t.Iterable[Device]) -> Fraction:
        return Fraction(0)


class _Shared:
    """A parent whose types take from common resources."""

    is_whole = False

    def __init__(self, capacity: ParentCapacity, devices: t.Sequence[Device], type_id: str) -> None:
        self._capacity, self._type_id = capacity, type_id
        self.there = frozenset(each.id for each in devices)
        # What those of other types take, if that is stated.
        self._taken = {
            each.id: capacity.used_with(
                capacity.nothing, each.type, instances_of(each.attributes) or 1
            )
            for each in devices
            if capacity.stated and each.type != type_id
            if each.type is not None and each.type in capacity.needs
        }

    def instances(self, left: _Ids, free: _Ids, made: t.Mapping[str, int]) -> int:
        capacity, used = self._capacity, self._capacity.nothing
        if not set(made) <= capacity.needs.keys():
            return 0
        for type_id, count in made.items():
            used = capacity.used_with(used, type_id, count)
        for each in self.there & left & self._taken.keys():
            used = tuple(map(operator.sub, used, self._taken[each]))
        most = max(0, capacity.instances_left(used, self._type_id))
        return most if capacity.stated else min(most, capacity.available[self._type_id])

    def begun(self) -> Fraction:
        if not self._capacity.stated:
            return Fraction(0)
        shares = self._shares(self._capacity.left)
        return min(shares) - math.floor(min(shares))

    def most_of(self, devices: t.Iterable[Device]) -> Fraction:
        taken = [self._taken[each.id] for each in devices if each.id in self._taken]
        return sum((max(self._shares(each)) for each in taken), Fraction(0))

    def _shares(self, amounts: Amounts) -> list[Fraction]:
        """Return for each resource that a device of the type takes how many times that is."""
        needs = self._capacity.needs[self._type_id]
        return [Fraction(each, need) for each, need in zip(amounts, needs, strict=True) if need]


def _most(mdev_type: MdevType | None) -> int:
    """Return how many of a type a card holds for sure."""
    return (mdev_type.max_instance if mdev_type else None) or 1


def _is_with_mig(mdev_type: MdevType | None) -> bool:
    share = named_share((mdev_type.name if mdev_type else None) or "")
    return share is not None and bool(share.slices)
