# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Guests for which an earlier plan has had targets made: they go there, and only the others are searched for. Pure.

So a plan that was carried out is found again, in a time that grows with its guests as little as that of the first.
"""

from __future__ import annotations

import functools
import typing as t
from collections import Counter, defaultdict

from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import Device
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.assignment import (
    Assignment,
    allows,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.objective import Cost
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.packings import (
    Bin,
    Packing,
    Packings,
    State,
    Transition,
    tiers,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.problem import (
    Allocation,
    Backing,
    Placement,
    Supply,
    claimed,
    named_id,
)

# Where a UUID has its version, it says so for those of names.
_NAME_BASED = "5"


class _Target(t.NamedTuple):
    """A free device of the bin ``number``; alone it is ``resource``, which ``move`` takes."""

    number: int
    device: Device
    resource: int
    move: Transition


# The targets of a guest, by the ids of its devices.
_Targets = t.Mapping[str, t.Sequence[_Target]]


class _Room(t.NamedTuple):
    """A bin with guests in it: how each is placed and what they have, and what is left; ``unfit`` find no place there."""

    held: list[tuple[int, Packing]]
    claims: list[Allocation]
    behind: Backing
    state: State
    unfit: list[int]


def find_targets(supply: Supply) -> dict[int, _Targets]:
    """For each guest the free devices that have the names of targets made for its devices, and would do."""
    # Nothing else is ever made with a name of its own, and every host has the same PCI addresses.
    there: dict[str, list[tuple[int, int, Device]]] = defaultdict(list)
    for number in range(len(supply.bins)):
        for resource, devices in supply.free(number):
            for device in devices if devices[0].kind == "mdev" else ():
                there[device.id].append((number, resource, device))
    named_too = any(name[14:15] == _NAME_BASED for name in there)
    targets: dict[int, _Targets] = {}
    for guest, shape in enumerate(supply.shapes if there else ()):
        of_guest = {}
        for demand, source in shape:
            found = there.get(source.id, [])
            if named_too:
                found = found + there.get(named_id(source), [])
            would_do = [
                _Target(number, device, resource, moves[0])
                for number, resource, device in found
                if device.host != source.host and (moves := supply.transitions(resource, demand))
            ]
            if would_do:
                of_guest[source.id] = would_do
        if of_guest:
            targets[guest] = of_guest
    return targets


def made_again(targets: t.Mapping[int, _Targets], placed: t.Iterable[Placement]) -> int:
    """How many devices go elsewhere though a target was made for them."""
    return sum(
        1
        for each in placed
        if each.guest in targets
        and (made := targets[each.guest].get(each.source.id))
        and all(each.device is not target.device for target in made)
    )


class Prepared:
    """The guests that go to the host where the most of their ``targets`` are, as far as all of their devices can.

    ``held`` is who they are, and what it costs: unlike in a plan, their ways do not follow each other. ``placed`` are
    those of their devices that have targets. ``bins`` are what is left of all bins.
    """

    def __init__(self, supply: Supply, targets: t.Mapping[int, _Targets]) -> None:
        self._supply = supply
        self._targets = targets
        self._chosen: dict[int, dict[str, _Target]] = {}
        self.bins = list(supply.bins)
        self.held: Assignment = {}
        self._rooms: dict[int, _Room] = {}
        self.placed: list[Placement] = []
        for number, guests in sorted(self._choose().items()):
            self._keep(number, guests)

    @functools.cached_property
    def ways(self) -> Packings:
        """The ways into all bins as they are."""
        return Packings(self._supply, self._supply.items, self._supply.bins)

    def left(self, number: int) -> tuple[Backing, list[Allocation]]:
        """What is behind what is left of a bin, and what these guests have of it apart from their targets."""
        room = self._rooms.get(number)
        if room is None:
            return self._supply.behind(number), []
        behind: Backing = defaultdict(list)
        behind.update({resource: list(found) for resource, found in room.behind.items()})
        return behind, list(room.claims)

    def least(self) -> Cost:
        """What these guests cost at least in plans that make nothing again: where a target is the only one, it is used."""
        loads: Counter[int] = Counter()
        other = 0
        for number, held in self.held.items():
            there = set(self._supply.bins[number].state)
            for guest, _way in held:
                targets = self._targets[guest]
                only = {source: made[0] for source, made in targets.items() if len(made) == 1}
                shape = self._supply.shapes[guest] if only else ()
                loads[number] += len(shape)
                for demand, source in shape:
                    target = only.get(source.id)
                    other += self._other([target.resource] if target else there, demand)
        return Cost(load=max(loads.values(), default=0), other_type=other)

    def _other(self, resources: t.Iterable[int], demand: int) -> bool:
        """Whether a device becomes one of another type in each of these."""
        return all(
            tiers(move.cost)[2]
            for each in resources
            for move in self._supply.transitions(each, demand)
        )

    def _choose(self) -> dict[int, list[int]]:
        """The guests that have targets, by bin; no target is for two."""
        by_bin: dict[int, list[int]] = defaultdict(list)
        taken: set[tuple[int, str]] = set()
        for guest, targets in self._targets.items():
            found: dict[int, dict[str, _Target]] = defaultdict(dict)
            for source, made in targets.items():
                for target in made:
                    if (target.number, target.device.id) not in taken:
                        found[target.number].setdefault(source, target)
            if found:
                number = max(found, key=lambda each: (len(found[each]), -each))
                self._chosen[guest] = found[number]
                taken.update((number, target.device.id) for target in found[number].values())
                by_bin[number].append(guest)
        return by_bin

    def _keep(self, number: int, guests: list[int]) -> None:
        there = self._supply.bins[number]
        left, groups = there.limit, there.anti_affinity
        staying = []
        for guest in guests:
            item = self._supply.items[guest]
            if allows(item, number, left, groups):
                staying.append(guest)
                left = None if left is None else left - len(item.demands)
                groups |= item.anti_affinity
        room = self._room(number, staying)
        while room.unfit:
            # What was made for them is free for others.
            staying = [guest for guest in staying if guest not in room.unfit]
            room = self._room(number, staying)
        if not staying:
            return
        items = [self._supply.items[guest] for guest in staying]
        self.held[number], self._rooms[number] = room.held, room
        self.bins[number] = Bin(
            room.state,
            None if there.limit is None else there.limit - sum(len(item.demands) for item in items),
            there.anti_affinity.union(*(item.anti_affinity for item in items)),
        )
        self.placed += [
            Placement(
                guest,
                source,
                target.device.host,
                target.move.offer,
                device=target.device,
                parent=None,
            )
            for guest in staying
            for _demand, source in self._supply.shapes[guest]
            if (target := self._chosen[guest].get(source.id))
        ]

    def _room(self, number: int, guests: list[int]) -> _Room:
        taken = {target.device.id for guest in guests for target in self._chosen[guest].values()}
        behind = self._supply.behind(number, taken)
        state = tuple(sorted(resource for resource, found in behind.items() for _each in found))
        room = _Room([], [], behind, state, [])
        for guest in guests:
            room = self._with(room, guest)
        return room

    def _with(self, room: _Room, guest: int) -> _Room:
        """The bin once the guest is there as well: its devices without a target are near those that have one."""
        chosen = self._chosen[guest]
        shape = self._supply.shapes[guest]
        others = [each for each in shape if each[1].id not in chosen]
        numa_node = self._supply.numa_node
        node, *further = {numa_node(target.resource) for target in chosen.values()}
        way: Packing | None = Packing((), 0, ())
        if others:
            near = tuple([each for each in room.state if numa_node(each) == node])
            way = self.ways.best(near, tuple([demand for demand, source in others]))
        if way is None or further:
            room.unfit.append(guest)
            return room
        steps = iter(way.steps)
        whole = Packing(
            (),
            way.cost + sum(target.move.cost for target in chosen.values()),
            tuple(
                (target.resource, target.move) if (target := chosen.get(source.id)) else next(steps)
                for _demand, source in shape
            ),
        )
        room.held.append((guest, whole))
        if not others:
            return room
        room.claims.extend(claimed(room.behind, guest, [source for _demand, source in others], way))
        far = [each for each in room.state if numa_node(each) != node]
        return room._replace(state=tuple(sorted((*way.after, *far))))
