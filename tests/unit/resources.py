# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Made-up resources, items and bins for the search, and every plan for them, found by trying all."""

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._packing.packings import (
    CREATED,
    OPENED,
    OTHER_TYPE,
    UNLIMITED,
    Bin,
    Item,
    PackingProblem,
    Transition,
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


class Resources:
    """Parents and pools by number, as the search wants them; demands are a family and a size, or no size: of a pool."""

    def __init__(self, pack: bool = True, numa_local: bool = False, apart: bool = False) -> None:
        self.demands = [(family, size) for family in FAMILIES for size in (None, *SIZES)]
        self._pack = pack
        self._numa_local = numa_local
        self._apart = apart
        self._states: list[t.Any] = []

    def number(self, state: t.Any) -> int:
        if state not in self._states:
            self._states.append(state)
        return self._states.index(state)

    def transitions(self, resource: int, demand: int) -> tuple[Transition, ...]:
        state = self._states[resource]
        family, size = self.demands[demand]
        if isinstance(state, Pool):
            if size is not None or family < state.family:
                return ()
            left = state._replace(free=state.free - 1)
            cost = OTHER_TYPE * (family != state.family)
            return (Transition(self.number(left) if left.free else None, cost, None),)
        if size is None or family != state.family or state.size not in (None, size):
            return ()
        used = state.used + size
        if used > UNITS:
            return ()
        left = state._replace(used=used, size=None if family else size)
        cost = CREATED + OPENED * (self._pack and state.used == 0)
        return (Transition(self.number(left) if used < UNITS else None, cost, None),)

    def free_slots(self, resource: int) -> int:
        state = self._states[resource]
        return state.free if isinstance(state, Pool) else (UNITS - state.used) // (state.size or 1)

    def residual(self, resource: int) -> float:
        state = self._states[resource]
        return state.free if isinstance(state, Pool) else 1 - state.used / UNITS

    def resource_kind(self, resource: int) -> int:
        state = self._states[resource]
        return state.family + 10 * isinstance(state, Pool)

    def exclusive_place(self, resource: int) -> int | None:
        return self._states[resource].node if self._apart else None

    def numa_node(self, resource: int) -> int | None:
        return self._states[resource].node if self._numa_local else None

    def capacity(self, resource: int, demand: int) -> int:
        state = self._states[resource]
        if not self.transitions(resource, demand):
            return 0
        return (
            state.free
            if isinstance(state, Pool)
            else (UNITS - state.used) // (self.demands[demand][1] or 1)
        )


class Chain(Resources):
    """Pools of free devices of so many kinds; a device of each kind takes the place of one of its own or of the next one."""

    def __init__(self, kinds: int) -> None:
        super().__init__()
        self.demands = [(kind, None) for kind in range(kinds)]

    def pool(self, kind: int, free: int) -> int:
        return self.number(Pool(kind, free, 0))

    def transitions(self, resource: int, demand: int) -> tuple[Transition, ...]:
        state = self._states[resource]
        if state.family - demand not in (0, 1):
            return ()
        left = state._replace(free=state.free - 1)
        cost = OTHER_TYPE * (state.family != demand)
        return (Transition(self.number(left) if left.free else None, cost, None),)


STATES = st.one_of(
    st.builds(Parent, st.sampled_from(FAMILIES), st.none(), st.just(0), st.integers(0, 1)),
    st.builds(Pool, st.sampled_from(FAMILIES), st.integers(1, 3), st.integers(0, 1)),
)
GROUPS = st.frozensets(st.integers(0, 1), max_size=1)
# Made once: to make and validate a strategy takes longer than to draw from it.
STATES_OF_A_BIN = st.lists(STATES, min_size=1, max_size=2)
BIN_LIMITS = st.just(UNLIMITED) | st.integers(0, 4)
ONE_DOMAIN_OR_MORE = st.frozensets(st.integers(0, 2), min_size=1)
DOMAINS_IF_ANY = st.just(frozenset()) | st.frozensets(st.integers(0, 1))
OFTEN_TRUE = st.just(True) | st.booleans()
GROUPS_OR_NONE = st.just(frozenset()) | GROUPS
LOADS_OF_DOMAINS = st.dictionaries(st.integers(0, 2), st.integers(0, 3))


@st.composite
def problems(draw, items: int = 4, bins: int = 3, devices: int = 3) -> PackingProblem:
    """Draw few items and bins, with limits, groups, domains and homes; some refuse items, some are not preferred.

    Of some resources all that an item needs is on one node, of others nothing is on the same node as the rest.
    """
    spread = draw(st.booleans())
    by_domain = spread and draw(st.booleans())
    nodes = draw(st.sampled_from(["any", "one", "different"]))
    resources = Resources(not spread, nodes == "one", nodes == "different")
    # What goes wrong does so most among bins that are alike.
    states = [tuple(sorted(map(resources.number, draw(STATES_OF_A_BIN)))) for _state in range(2)]
    hosts = [
        Bin(
            draw(st.sampled_from(states)),
            (draw(BIN_LIMITS), draw(st.integers(2, 6))),
            draw(GROUPS),
            refuses=draw(GROUPS),
            domains=draw(ONE_DOMAIN_OR_MORE if by_domain else DOMAINS_IF_ANY),
            preferred=draw(OFTEN_TRUE),
        )
        for _bin in range(draw(st.integers(0, bins)))
    ]
    demands = st.sampled_from(
        draw(st.lists(st.integers(0, len(resources.demands) - 1), min_size=1, max_size=3))
    )
    needed = [
        tuple(draw(st.lists(demands, min_size=1, max_size=devices)))
        for _item in range(draw(st.integers(1, items)))
    ]
    guests = [
        Item(
            each,
            draw(st.sampled_from([None, *range(len(hosts))])),
            draw(GROUPS),
            (len(each), draw(st.integers(0, 3))),
            draw(GROUPS_OR_NONE),
        )
        for each in needed
    ]
    return PackingProblem(
        resources, guests, hosts, spread, draw(LOADS_OF_DOMAINS) if by_domain else None
    )


def highest_in_domains(problem: PackingProblem, arrived: t.Sequence[int]) -> int:
    """Return how many devices there are in the fullest domain that takes in any, by how many arrive in each bin; 0 where that does not matter."""
    if problem.domain_loads is None:
        return 0
    within = {domain for each in problem.bins for domain in each.domains}
    found = []
    for domain in within:
        bins = zip(problem.bins, arrived, strict=True)
        come = sum(devices for there, devices in bins if domain in there.domains)
        found.append(come and come + problem.domain_loads.get(domain, 0))
    return max(found, default=0)


def best_rating(problem: PackingProblem) -> tuple[int, ...]:
    """Return the least rating of all plans: devices left, the grave tiers of the cost, the highest loads, the other tiers.

    Every place of every device is tried: slow, and easy to believe.
    """
    states = [tuple(each.state) for each in problem.bins]
    groups = [each.anti_affinity for each in problem.bins]
    near = [
        [n for n, each in enumerate(problem.bins) if n == number or each.domains & there.domains]
        for number, there in enumerate(problem.bins)
    ]
    loads = [0] * len(states)
    weights = [[0] * len(each.limits) for each in problem.bins]
    ratings: set[tuple[int, ...]] = set()

    def place(number: int, left: int, cost: int) -> None:
        if number == len(problem.items):
            load = max(loads, default=0) if problem.spread else 0
            in_domains = highest_in_domains(problem, loads)
            ratings.add((left, cost // CREATED, in_domains, load, cost % CREATED))
            return
        item = problem.items[number]
        devices = len(item.demands)
        place(number + 1, left + devices, cost)
        for host, there in enumerate(problem.bins):
            heavy = [sum(each) for each in zip(weights[host], item.weights)]
            full = any(weight > most for weight, most in zip(heavy, there.limits))
            if full or host == item.home or there.refuses & item.refused:
                continue
            if groups[host] & item.anti_affinity:
                continue
            before, met = states[host], groups[:]
            for each in near[host]:
                groups[each] |= item.anti_affinity
            loads[host] += devices
            weights[host], lighter = heavy, weights[host]
            dearer = 0 if there.preferred else devices << 96
            for states[host], more in ends(problem.resources, before, item.demands):
                place(number + 1, left, cost + more + dearer)
            states[host], groups[:] = before, met
            loads[host] -= devices
            weights[host] = lighter

    place(0, 0, 0)
    return min(ratings)


def ends(
    resources: t.Any, state: tuple[int, ...], demands: t.Sequence[int]
) -> set[tuple[tuple[int, ...], int]]:
    """Return the states to which a bin comes with an item with these demands, each with what that costs."""
    found: set[tuple[tuple[int, ...], int]] = set()
    for node in {resources.numa_node(resource) for resource in state}:
        layer: set[tuple[tuple[int, ...], int, frozenset[int]]] = {(state, 0, frozenset())}
        for demand in demands:
            layer = {
                (
                    tuple(sorted(each[:place] + left + each[place + 1 :])),
                    cost + transition.cost,
                    used | ({exclusive} - {None}),
                )
                for each, cost, used in layer
                for place, resource in enumerate(each)
                if resources.numa_node(resource) == node
                for exclusive in [resources.exclusive_place(resource)]
                if exclusive not in used
                for transition in resources.transitions(resource, demand)
                for left in [() if transition.successor is None else (transition.successor,)]
            }
        found |= {(after, cost) for after, cost, _used in layer}
    return found
