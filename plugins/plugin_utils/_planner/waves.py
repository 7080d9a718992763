# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""Waves: the order of moves where one needs what another leaves. Pure.

A guest may need the device that another one leaves, or has to stay away from a host until another one of its group has
left it and its failure domains. Devices that are equal and of one host are as good as each other, so who gets which of them is decided here: as
soon as one is free, any guest that is to get one there may move. What is stuck then waits in a circle. It was passed by while
there was a free place, or there never was any. For the former, the way out of each bin that leads towards a place which is free in the end
is kept for last, as in an Eulerian trail, and guests that got stuck are looked at first the next time, as D. E. Joslin and
D. P. Clements do in "Squeaky wheel optimization", 1999. For the latter, one of them goes to a place that is free, wherever
that is, which opens the circle.
"""

from __future__ import annotations

import bisect
import heapq
import itertools
import typing as t
from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field

from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import (
    Device,
    ParentFacts,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.assignment import (
    allows,
    less,
    more,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.packings import (
    Bin,
    Demands,
    Packing,
    PackingProblem,
    Packings,
    State,
    cost_in,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.admissible import (
    NO_EXCLUSIONS,
    Address,
    Exclusions,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.backing import (
    Backing,
    Place,
    Placement,
    allocate,
    backing_of,
    placed_on,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.problem import Problem
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.resources import Pool

# So often in a row the moves are ordered again without fewer being stuck.
_MOST_FRUITLESS = 3


@dataclass(frozen=True, slots=True)
class MoveOrder:
    """The moves that are ``placed``, and the wave of each guest, from 1.

    ``cycles`` are guests of which each waits for the next, and the last for the first. ``exclusions`` are the devices
    that are not left after all, and the guests that stay.
    """

    placed: t.Sequence[Placement] = ()
    waves: t.Mapping[int, int] = field(default_factory=dict)
    cycles: t.Sequence[list[int]] = ()
    exclusions: Exclusions = NO_EXCLUSIONS

    def number(self, guest: int) -> int:
        """Return the wave in which ``guest`` moves, from 1."""
        return self.waves.get(guest, 1)


AT_ONCE = MoveOrder()

# The equal devices of a bin, or a group of guests and a bin or failure domain in which none of its members may be.
_Need = tuple[str, int, int]
# Where a guest keeps others of its group away: a failure domain, or a bin.
_Zone = tuple[str, int]
# In place of the number of a guest: one that does not move.
_STAYS = -1
# A place for a guest: its cost, the guest, the bin and the packing into it.
_Elsewhere = tuple[int, int, int, Packing]
_ByDemands = dict[Demands, deque[int]]
# When it becomes free, and which it is.
_Free = tuple[int, int, Device]


def order_moves(
    problem: Problem,
    placed: t.Sequence[Placement],
    left: t.Mapping[int, Backing],
    fixed: t.Container[tuple[int, str]],
    by_rank: t.Sequence[int] = (),
) -> MoveOrder:
    """Return an order of the moves in ``placed``, some of which go elsewhere or are left out where there is none.

    ``left`` is what is behind the bins once all have moved. What was made for a guest is ``fixed``, by guest and id of
    its device: it gets that, and nothing equal. What places are left go to guests ``by_rank``, the highest first, if these
    are given.
    """
    moves = _Moves(problem, placed, left, fixed)
    turn = min(_turns(moves), key=lambda each: len(each.waiting_for))
    cycles = turn.cycles()
    while turn.move_first(by_rank) or turn.reroute():
        turn.run()
    return turn.order(cycles)


def _turns(moves: _Moves) -> t.Iterator[_Turn]:
    """Yield orders of the moves until one leaves no guest stuck, or several in a row are no better than those before."""
    turn = _Turn(moves, {})
    turn.run()
    yield turn
    if not turn.waiting_for:
        return
    # Before this, so are others: few have all devices in one place.
    priority = Counter(dict.fromkeys(moves.last_moves(), -1))
    fewest, fruitless = len(turn.waiting_for), 0
    while fruitless < _MOST_FRUITLESS:
        turn = _Turn(moves, priority)
        turn.run()
        yield turn
        stuck = len(turn.waiting_for)
        if not stuck:
            return
        fruitless = 0 if stuck < fewest else fruitless + 1
        fewest = min(stuck, fewest)
        # Rather than all that go last.
        priority.update(dict.fromkeys(turn.waiting_for, 2))


def moves_in_turn(problem: Problem, orders: t.Iterable[t.Sequence[int]]) -> t.Iterator[MoveOrder]:
    """Yield for each of these orders of guests the moves where the first one that can always moves next."""
    moves = _Moves(problem, (), {}, ())
    for guests in orders:
        turn = _Turn(moves, {})
        while turn.move_first(guests):
            pass
        yield turn.order(())


class _Moves:
    """What is to be ordered: the moves by guest, what each needs and leaves, and what is free at once."""

    def __init__(
        self,
        problem: Problem,
        placed: t.Sequence[Placement],
        left: t.Mapping[int, Backing],
        fixed: t.Container[tuple[int, str]],
    ) -> None:
        self.problem = problem
        self.left = left
        self.numbers = {name: number for number, name in enumerate(problem.names)}
        self.by_guest: dict[int, list[Placement]] = defaultdict(list)
        for each in placed:
            self.by_guest[each.guest].append(each)
        guests = problem.request.guests
        owners = {d.key: number for number, guest in enumerate(guests) for d in guest.devices}
        given = {
            (each.host, each.device.id)
            for each in placed
            if each.device is not None and (each.guest, each.source.id) in fixed
        }
        # The equal devices that each one of a bin is among.
        self.pool_of: dict[tuple[str, str], _Need] = {}
        self.leaves: dict[int, list[Device]] = defaultdict(list)
        self.free: dict[_Need, list[Device]] = defaultdict(list)
        for number, supply in enumerate(problem.supplies):
            for group, devices in supply.pools.items():
                for device in devices:
                    if device.key in given:
                        continue
                    pool = ("devices", number, group)
                    self.pool_of[device.key] = pool
                    owner = owners.get(device.key)
                    if owner is None:
                        self.free[pool].append(device)
                    else:
                        self.leaves[owner].append(device)
        self.needs = {
            guest: Counter([need for each in moves if (need := self.pool(each)) is not None])
            for guest, moves in self.by_guest.items()
        }
        self.packings = Packings(PackingProblem(problem.resources, problem.items, problem.bins))
        self.groups = [item.anti_affinity for item in problem.items]
        self.zones = [_zones(each.domains) or (("bin", n),) for n, each in enumerate(problem.bins)]
        # A host that nothing goes to has none but its failure domains.
        self.home_zones = [
            self._zones_of_host(guest.host) if groups else ()
            for guest, groups in zip(guests, self.groups, strict=True)
        ]

    def pool(self, placed: Placement) -> _Need | None:
        """Return the equal devices of which a move needs one; ``None`` where it needs none, or that one."""
        return self.pool_of.get((placed.host, placed.device.id)) if placed.device else None

    def last_moves(self) -> set[int]:
        """Return the guests that move last of those that go to the same equal devices, so that each free one is of use to all.

        A move fills a place and leaves one, so that a free place walks from bin to bin. Of guests with one device, all move if
        this walk uses every move, as an Eulerian trail does. It does where the last way out of each bin leads towards a bin
        that has a free place in the end (van Aardenne-Ehrenfest and de Bruijn, Circuits and trees in oriented linear graphs,
        1951). Of guests with several devices more move by that, and not always all.
        """
        spare: Counter[_Need] = Counter({pool: len(free) for pool, free in self.free.items()})
        ahead: dict[_Need | None, list[tuple[int, _Need]]] = defaultdict(list)
        for guest, needs in self.needs.items():
            left = [self.pool_of[device.key] for device in self.leaves.get(guest, ())]
            spare.update(left)
            spare.subtract(needs)
            ways = [(guest, need) for need in needs]
            for before in left:
                ahead[before] += ways
            if not left:
                ahead[None] += ways
        # Guests that leave no device here wait for others, and none waits for them.
        reached: set[_Need | None] = {None}
        reached.update(pool for pool, count in spare.items() if count > 0)
        queue, last = deque(sorted(reached, key=str)), set()
        while queue:
            for guest, need in ahead[queue.popleft()]:
                if need not in reached:
                    reached.add(need)
                    queue.append(need)
                    last.add(guest)
        return last

    def _zones_of_host(self, host: str) -> tuple[_Zone, ...]:
        if host in self.numbers:
            return self.zones[self.numbers[host]]
        return _zones(self.problem.request.conditions.domains_of(host))

    def group_needs(self, guest: int, number: int) -> list[_Need]:
        """Return what must be without other members of a guest's groups for it to be in a bin: the bin, and its domains."""
        groups = self.groups[guest]
        zones = dict.fromkeys([("bin", number), *self.zones[number]]) if groups else ()
        return [_need(zone, group) for group in groups for zone in zones]

    def present(self) -> dict[_Need, set[int]]:
        """Return the guests of each group that are in each zone, those that are to move as well; ``_STAYS`` for any that stay."""
        found: dict[_Need, set[int]] = defaultdict(set)
        for number, each in enumerate(self.problem.bins):
            for group in each.anti_affinity:
                found["bin", number, group].add(_STAYS)
        for guest, groups in enumerate(self.groups):
            if guest not in self.problem.exclusions.guests:
                for zone in self.home_zones[guest]:
                    for group in groups:
                        found[_need(zone, group)].add(guest)
        return found


def _need(zone: _Zone, group: int) -> _Need:
    return (*zone, group)


def _zones(domains: t.Iterable[int]) -> tuple[_Zone, ...]:
    return tuple([("domain", each) for each in sorted(domains)])


class _OpenBins:
    """Which bins take demands as they are now, the cheapest first; only bins that have changed are looked at again."""

    def __init__(
        self, bins: t.Sequence[Bin], packings: Packings, state_of: t.Callable[[int], State]
    ) -> None:
        self._bins, self._packings, self._state_of = bins, packings, state_of
        self._states: dict[int, State] = {}
        # The bins in the order in which they changed, and how many of these changes a ranking has.
        self._changes = [*range(len(bins))]
        self._seen: dict[Demands, int] = {}
        # Costs and bins, in order, and the packing into each bin with its cost.
        self._ranked: dict[Demands, list[tuple[int, int]]] = defaultdict(list)
        self._found: dict[Demands, dict[int, tuple[int, Packing]]] = defaultdict(dict)

    def change(self, number: int) -> None:
        """Have a bin looked at again."""
        self._states.pop(number, None)
        self._changes.append(number)

    def taking(self, demands: Demands) -> t.Iterator[tuple[int, int, Packing]]:
        """Yield cost, bin and packing, the cheapest first, until the next change."""
        ranked, found = self._ranked[demands], self._found[demands]
        for number in dict.fromkeys(self._changes[self._seen.get(demands, 0) :]):
            if number in found:
                before = found.pop(number)[0], number
                del ranked[bisect.bisect_left(ranked, before)]
            packing = self._packing(number, demands)
            if packing is not None:
                cost = cost_in(self._bins[number], packing)
                found[number] = cost, packing
                bisect.insort(ranked, (cost, number))
        self._seen[demands] = len(self._changes)
        for cost, number in ranked:
            yield cost, number, found[number][1]

    def _packing(self, number: int, demands: Demands) -> Packing | None:
        state = self._states.get(number)
        if state is None:
            state = self._states[number] = self._state_of(number)
        return self._packings.best(state, demands) if state else None


class _Turn:
    """The moves in one order: where guests are, and what is free, after those made so far."""

    def __init__(self, moves: _Moves, priority: t.Mapping[int, int]) -> None:
        self._moves = moves
        self._priority = priority
        self._problem = moves.problem
        self._serial = itertools.count()
        self._free: dict[_Need, list[_Free]] = defaultdict(list)
        for pool, devices in moves.free.items():
            self._free[pool] = [(0, next(self._serial), device) for device in devices]
        self._present = moves.present()
        self._left_in: dict[_Need, int] = {}
        self._left: dict[int, Backing] = {}
        # What the weights of what each bin may still take in add up to.
        self._limits = [each.limits for each in moves.problem.bins]
        for guest, of_guest in moves.by_guest.items():
            self._take_limits(guest, moves.numbers[of_guest[0].host])
        self._open = _OpenBins(moves.problem.bins, moves.packings, self._state)
        self._left_over: tuple[_ByDemands, _ByDemands] | None = None
        self._placed: dict[int, list[Placement]] = {}
        self._waves: dict[int, int] = {}
        # What each guest that is stuck needs, and who needs it.
        self.waiting_for: dict[int, _Need] = {}
        # By how much of it each needs: who needs two waits on where one is free.
        self._waiting: dict[_Need, dict[int, list[tuple[int, int]]]] = defaultdict(
            lambda: defaultdict(list)
        )
        # Those of the least priority last, and of equal ones those that can move in an early wave first.
        self._ready: list[tuple[int, int, int, _Need | None]] = [
            (-priority.get(guest, 0), 0, guest, None) for guest in moves.by_guest
        ]
        heapq.heapify(self._ready)

    def run(self) -> None:
        """Make every move that can be made, and those that these make possible."""
        while self._ready:
            rank, _wave, guest, woken_by = heapq.heappop(self._ready)
            self.waiting_for.pop(guest, None)
            lacking = self._lacking(guest)
            if lacking is None:
                self._move(guest, self._take(guest))
            else:
                self.waiting_for[guest] = lacking
                count = self._moves.needs[guest][lacking]
                heapq.heappush(self._waiting[lacking][count], (rank, guest))
            if woken_by is not None:
                self._wake(woken_by)

    def _lacking(self, guest: int) -> _Need | None:
        """Return the first thing that ``guest`` needs and that is not available yet."""
        number = self._moves.numbers[self._moves.by_guest[guest][0].host]
        for need in self._moves.group_needs(guest, number):
            # One that moves within a failure domain is there itself.
            if self._present[need] - {guest}:
                return need
        for pool, count in self._moves.needs[guest].items():
            if len(self._free[pool]) < count:
                return pool
        return None

    def _wake(self, need: _Need) -> None:
        """Have the next guest that waits for ``need`` looked at, if there may be some for it."""
        if need[0] != "devices" and self._present[need]:
            self._wake_the_last(need)
            return
        free = self._free[need]
        first: list[tuple[int, int]] | None = None
        for count, waiting in self._waiting.get(need, {}).items():
            # Some wait for something else by now, or for nothing.
            while waiting and self.waiting_for.get(waiting[0][1]) != need:
                heapq.heappop(waiting)
            if waiting and count <= len(free) and (first is None or waiting[0] < first[0]):
                first = waiting
        if first is not None:
            rank, guest = heapq.heappop(first)
            freed = free[0][0] if free else self._left_in.get(need, 0)
            heapq.heappush(self._ready, (rank, freed, guest, need))

    def _wake_the_last(self, need: _Need) -> None:
        """Have the only guest of a group looked at that is in a zone, where it waits for the others to leave."""
        waiting = self._waiting.get(need, {}).get(0, [])
        for place, (rank, guest) in enumerate(waiting):
            if self._present[need] == {guest} and self.waiting_for.get(guest) == need:
                del waiting[place]
                heapq.heapify(waiting)
                heapq.heappush(self._ready, (rank, self._left_in.get(need, 0), guest, need))
                return

    def _take(self, guest: int) -> tuple[list[Placement], int]:
        """Return the moves of a guest's devices, each to one of equal devices that was free first, and when all are."""
        found = []
        last = 0
        for each in self._moves.by_guest[guest]:
            pool = self._moves.pool(each)
            if pool is not None:
                freed, _serial, device = heapq.heappop(self._free[pool])
                last = max(last, freed)
                each = each._replace(device=device)
            found.append(each)
        return found, last

    def _move(self, guest: int, taken: tuple[list[Placement], int]) -> None:
        placed, last = taken
        moves = self._moves
        number = moves.numbers[placed[0].host]
        groups = moves.groups[guest]
        left_in = [self._left_in.get(need, 0) for need in moves.group_needs(guest, number)]
        wave = 1 + max([last, *left_in])
        self._placed[guest], self._waves[guest] = placed, wave
        changed: list[_Need] = []
        self._open.change(number)
        for device in moves.leaves.get(guest, ()):
            pool = moves.pool_of[device.key]
            heapq.heappush(self._free[pool], (wave, next(self._serial), device))
            self._open.change(pool[1])
            changed.append(pool)
        for each in groups:
            for zone in moves.home_zones[guest]:
                need = _need(zone, each)
                self._present[need].discard(guest)
                self._left_in[need] = max(wave, self._left_in.get(need, 0))
                changed.append(need)
            for zone in moves.zones[number]:
                self._present[_need(zone, each)].add(guest)
        for need in changed:
            self._wake(need)

    def _take_limits(self, guest: int, number: int) -> None:
        self._limits[number] = less(self._limits[number], self._problem.items[guest].weights)

    def move_first(self, guests: t.Iterable[int]) -> bool:
        """Move the first of these guests for which there is a place now, and return whether there is one for any."""
        for guest in guests:
            if guest not in self._placed and self._problem.items[guest].demands:
                place = self._place_of(guest)
                if place is not None:
                    self._go_elsewhere(*place[1:])
                    return True
        return False

    # --- circles ---

    def reroute(self) -> bool:
        """Move one of the guests left to where there is a place now, and return whether there is one for any of them."""
        for guests in self._staying():
            found = [self._first_place(*each) for each in guests.items()]
            places = [place for place in found if place is not None]
            if places:
                _cost, guest, number, packing = min(places, key=lambda each: each[:3])
                self._go_elsewhere(guest, number, packing)
                return True
        return False

    def _staying(self) -> tuple[_ByDemands, _ByDemands]:
        """Return the guests that are stuck, and those that have no place, by what they demand; some may have moved since."""
        if self._left_over is None:
            items = self._problem.items
            others = [
                guest
                for guest, item in enumerate(items)
                if item.demands and guest not in self._moves.by_guest and guest not in self._placed
            ]
            stuck: _ByDemands = defaultdict(deque)
            without: _ByDemands = defaultdict(deque)
            for found, guests in ((stuck, sorted(self.waiting_for)), (without, others)):
                for guest in guests:
                    found[items[guest].demands].append(guest)
            self._left_over = stuck, without
        return self._left_over

    def _first_place(self, demands: Demands, guests: deque[int]) -> _Elsewhere | None:
        """Return the cheapest place for one of these ``guests``, and of equally cheap ones that of the first guest."""
        while guests and guests[0] in self._placed:
            guests.popleft()
        least = next(self._open.taking(demands), None)
        best: _Elsewhere | None = None
        for guest in guests if least else ():
            place = self._place_of(guest) if guest not in self._placed else None
            if place is not None and (best is None or place[0] < best[0]):
                best = place
            if least and best and best[0] == least[0]:
                break
        return best

    def _place_of(self, guest: int) -> _Elsewhere | None:
        """Return the cheapest place that ``guest`` may have."""
        item = self._problem.items[guest]
        mine = {self._moves.numbers[each.host] for each in self._moves.by_guest.get(guest, ())}
        met: dict[tuple[_Zone, ...], bool] = {}
        for cost, number, packing in self._open.taking(item.demands):
            limits = self._limits[number]
            if number in mine:
                limits = more(limits, item.weights)
            there, zones = self._problem.bins[number], self._moves.zones[number]
            if allows(item, number, limits, there.anti_affinity, there.refuses):
                if zones not in met:
                    met[zones] = self._meets(guest, zones)
                if not met[zones]:
                    return cost, guest, number, packing
        return None

    def _meets(self, guest: int, zones: tuple[_Zone, ...]) -> bool:
        """Return whether another member of a group of ``guest`` is in one of these zones."""
        return any(
            self._present[_need(zone, group)] - {guest}
            for group in self._moves.groups[guest]
            for zone in zones
        )

    def _backing(self, number: int) -> Backing:
        """Return what is behind a bin now: the free devices, and what is left of its parents when all have moved."""
        found: Backing = defaultdict(list)
        left = self._left.get(number)
        if left is None:
            left = self._moves.left.get(number)
        if left is None:
            left = backing_of(self._problem, number)
        for resource, places in left.items():
            parents: list[Place] = [each for each in places if isinstance(each, ParentFacts)]
            if parents:
                found[resource] = parents
        given = self._addresses_on(self._problem.names[number])
        for group in self._problem.supplies[number].pools:
            free = [
                device for _wave, _serial, device in sorted(self._free["devices", number, group])
            ]
            if free:
                addresses = tuple(sorted(given[free[0].parent])) if given else ()
                pool = Pool(group, len(free), addresses)
                found[self._problem.resources.number(pool)].append(free)
        return found

    def _addresses_on(self, host: str) -> dict[str | None, set[Address]]:
        """Return the MAC addresses that moves give to functions of each card of a host, of those that several guests have."""
        found: dict[str | None, set[Address]] = defaultdict(set)
        admission = self._problem.admission
        going = {address.guest for address in admission.addresses.values()}
        for guest in going:
            for each in self._placed.get(guest, self._moves.by_guest.get(guest, ())):
                given = admission.address_given(each.source, each.device)
                if given is not None and each.device is not None and each.host == host:
                    found[each.device.parent].add(given)
        return found

    def _state(self, number: int) -> State:
        return tuple(
            sorted(
                [resource for resource, places in self._backing(number).items() for _each in places]
            )
        )

    def _go_elsewhere(self, guest: int, number: int, packing: Packing) -> None:
        backing = self._backing(number)
        sources = [source for _demand, source in self._problem.demands[guest]]
        allocations = list(allocate(backing, guest, sources, packing))
        self._left[number] = backing
        name = self._problem.names[number]
        placed = list(placed_on(name, allocations))
        last = 0
        for each in placed:
            pool = self._moves.pool(each)
            if pool is not None:
                free = self._free[pool]
                taken = next(one for one in free if one[2] is each.device)
                free.remove(taken)
                heapq.heapify(free)
                last = max(last, taken[0])
        weights = self._problem.items[guest].weights
        for before in {
            self._moves.numbers[each.host] for each in self._moves.by_guest.get(guest, ())
        }:
            self._limits[before] = more(self._limits[before], weights)
            self._open.change(before)
        self._take_limits(guest, number)
        self.waiting_for.pop(guest, None)
        self._move(guest, (placed, last))

    def cycles(self) -> list[list[int]]:
        """Return circles of guests that are stuck, of which no two have one in common."""
        owners: dict[_Need, list[int]] = defaultdict(list)
        for guest in sorted(self.waiting_for):
            for device in self._moves.leaves.get(guest, ()):
                owners[self._moves.pool_of[device.key]].append(guest)
            for group in self._moves.groups[guest]:
                for zone in self._moves.home_zones[guest]:
                    owners[_need(zone, group)].append(guest)
        cycles = []
        seen: set[int] = set()
        for start in sorted(self.waiting_for):
            path: list[int] = []
            ahead: int | None = start
            while ahead is not None and ahead not in seen:
                seen.add(ahead)
                path.append(ahead)
                others = [each for each in owners[self.waiting_for[ahead]] if each != ahead]
                # One that is not on another way yet, so that circles are found.
                fresh = [each for each in others if each not in seen]
                ahead = min(fresh or others, default=None)
            if ahead in path:
                cycles.append(path[path.index(ahead) :])
        return cycles

    def order(self, cycles: t.Sequence[list[int]]) -> MoveOrder:
        """Return the moves made, and of the ``cycles`` those of which a guest has no place."""
        guests = self._problem.request.guests
        staying = frozenset(range(len(guests))) - self._placed.keys()
        devices = frozenset(device.key for guest in staying for device in guests[guest].devices)
        placed = [each for guest in sorted(self._placed) for each in self._placed[guest]]
        placed.sort(key=lambda each: (each.guest, each.source.id))
        left = [cycle for cycle in cycles if not staying.isdisjoint(cycle)]
        return MoveOrder(placed, self._waves, left, Exclusions(devices, staying))
