# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Made-up elements, items and bins for the search, and every plan for them, found by trying all."""

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._ways import (
    NEW,
    OPENED,
    OTHER,
    Bin,
    Item,
    Move,
)
from hypothesis import strategies as st

# How much a parent has, and how much of it the demands of each family take.
UNITS = 4
SIZES = (1, 2, 4)
FAMILIES = (0, 1)


class Parent(t.NamedTuple):
    """One that makes devices of its own family; of family 0 of one size only."""

    family: int
    size: int | None
    used: int
    node: int


class Pool(t.NamedTuple):
    """Equal free devices; those of family 0 will do for family 1, at a cost."""

    family: int
    free: int
    node: int


class Elements:
    """Parents and pools by number, as the search wants them; demands are a family and a size, or no size: of a pool."""

    def __init__(self, pack: bool = True, numa_local: bool = False) -> None:
        self.demands = [(family, size) for family in FAMILIES for size in (None, *SIZES)]
        self._pack = pack
        self._numa_local = numa_local
        self._states: list[t.Any] = []

    def number(self, state: t.Any) -> int:
        if state not in self._states:
            self._states.append(state)
        return self._states.index(state)

    def moves(self, element: int, demand: int) -> tuple[Move, ...]:
        state = self._states[element]
        family, size = self.demands[demand]
        if isinstance(state, Pool):
            if size is not None or family < state.family:
                return ()
            left = state._replace(free=state.free - 1)
            cost = OTHER * (family != state.family)
            return (Move(self.number(left) if left.free else None, cost, None),)
        if size is None or family != state.family or state.size not in (None, size):
            return ()
        used = state.used + size
        if used > UNITS:
            return ()
        left = state._replace(used=used, size=None if family else size)
        cost = NEW + OPENED * (self._pack and state.used == 0)
        return (Move(self.number(left) if used < UNITS else None, cost, None),)

    def room(self, element: int) -> int:
        state = self._states[element]
        return state.free if isinstance(state, Pool) else (UNITS - state.used) // (state.size or 1)

    def left(self, element: int) -> float:
        state = self._states[element]
        return state.free if isinstance(state, Pool) else 1 - state.used / UNITS

    def sort(self, element: int) -> int:
        state = self._states[element]
        return state.family + 10 * isinstance(state, Pool)

    def locality(self, element: int) -> int | None:
        return self._states[element].node if self._numa_local else None

    def capacity(self, element: int, demand: int) -> int:
        state = self._states[element]
        if not self.moves(element, demand):
            return 0
        return (
            state.free
            if isinstance(state, Pool)
            else (UNITS - state.used) // (self.demands[demand][1] or 1)
        )


class Problem(t.NamedTuple):
    """What a search is given."""

    elements: Elements
    items: list[Item]
    bins: list[Bin]
    spread: bool


STATES = st.one_of(
    st.builds(Parent, st.sampled_from(FAMILIES), st.none(), st.just(0), st.integers(0, 1)),
    st.builds(Pool, st.sampled_from(FAMILIES), st.integers(1, 3), st.integers(0, 1)),
)
GROUPS = st.frozensets(st.integers(0, 1), max_size=1)


@st.composite
def problems(draw, items: int = 4, bins: int = 3, devices: int = 3) -> Problem:
    """Few items and bins, with limits, groups and homes; of some elements all that an item needs is on one node."""
    spread = draw(st.booleans())
    elements = Elements(not spread, draw(st.booleans()))
    # What goes wrong does so most among bins that are alike.
    states = [
        tuple(sorted(map(elements.number, draw(st.lists(STATES, min_size=1, max_size=2)))))
        for _state in range(2)
    ]
    hosts = [
        Bin(
            draw(st.sampled_from(states)),
            draw(st.none() | st.integers(0, 4)),
            draw(GROUPS),
        )
        for _bin in range(draw(st.integers(0, bins)))
    ]
    demands = st.sampled_from(
        draw(st.lists(st.integers(0, len(elements.demands) - 1), min_size=1, max_size=3))
    )
    guests = [
        Item(
            tuple(draw(st.lists(demands, min_size=1, max_size=devices))),
            draw(st.sampled_from([None, *range(len(hosts))])),
            draw(GROUPS),
        )
        for _item in range(draw(st.integers(1, items)))
    ]
    return Problem(elements, guests, hosts, spread)


class Placements:
    """Every plan for a problem, one after the other: slow, and easy to believe."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._states = [list(each.state) for each in problem.bins]
        self._loads = [0] * len(problem.bins)
        self._groups = [list(each.groups) for each in problem.bins]

    def best(self, start: int = 0, left: int = 0, cost: int = 0) -> tuple[int, ...]:
        """The least rating of all: devices left, the grave tiers of the cost, the highest load, the other tiers."""
        if start == len(self._problem.items):
            load = max(self._loads, default=0) if self._problem.spread else 0
            return (left, cost // NEW, load, cost % NEW)
        item = self._problem.items[start]
        ratings = [self.best(start + 1, left + len(item.shape), cost)]
        for number in range(len(self._states)):
            if self._allowed(number, item):
                for states, more in self._ways(self._states[number], item.shape, None):
                    before, self._states[number] = self._states[number], states
                    self._loads[number] += len(item.shape)
                    self._groups[number] += item.groups
                    ratings.append(self.best(start + 1, left, cost + more))
                    del self._groups[number][len(self._groups[number]) - len(item.groups) :]
                    self._loads[number] -= len(item.shape)
                    self._states[number] = before
        return min(ratings)

    def _allowed(self, number: int, item: Item) -> bool:
        limit = self._problem.bins[number].limit
        return (
            number != item.home
            and (limit is None or self._loads[number] + len(item.shape) <= limit)
            and not item.groups & set(self._groups[number])
        )

    def _ways(
        self, states: list[int], shape: t.Sequence[int], node: int | None
    ) -> t.Iterator[tuple[list[int], int]]:
        if not shape:
            yield states, 0
            return
        elements = self._problem.elements
        for index, element in enumerate(states):
            own = elements.locality(element)
            if node in (None, own):
                for move in elements.moves(element, shape[0]):
                    changed = [] if move.becomes is None else [move.becomes]
                    after = states[:index] + changed + states[index + 1 :]
                    for result, cost in self._ways(after, shape[1:], own):
                        yield result, cost + move.cost
