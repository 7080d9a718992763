# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Solutions: which guest goes where, and what is proven of all other plans. Pure.

Nothing depends on time or chance: the same problem has the same solution.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import operator
import random
import typing as t
from collections import Counter, defaultdict

from ansible_collections.vfio.migration.plugins.plugin_utils import contract
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.assignment import EmptyBins
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.objective import (
    Cost,
    cost_of,
    lower_bound,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.packings import (
    PackingProblem,
    Packings,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.search import (
    Budget,
    SearchResult,
    search,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.admissible import (
    NO_EXCLUSIONS,
    Exclusions,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.backing import (
    Backing,
    Placement,
    allocate,
    backing_of,
    cost_of_placed,
    placed_on,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.first_fit import steady
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.previous_plan import (
    Pins,
    Targets,
    count_remade,
    find_targets,
    keep_pins,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.problem import (
    Problem,
    pose,
    pose_afresh,
    resources_in,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.waves import (
    MoveOrder,
    moves_in_turn,
    order_moves,
)

# Ansible compiles in each run what is imported: what few plans need is imported where these do.
if t.TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.vfio.migration.plugins.plugin_utils._packing.bottleneck import (
        Shortage,
    )
    from ansible_collections.vfio.migration.plugins.plugin_utils._packing.refutation import (
        Refutation,
    )

Progress = t.Callable[[str], None]
# The guests of each rank, by number, the highest rank first.
Ranks = t.Sequence[t.Collection[int]]

# So often all is planned again where some are stuck, without the devices that these would have left.
_MOST_ATTEMPTS = 8
# A plan has so many proofs by cases at most, each with the others that differ only in guests.
_MOST_PROOFS = 20
# So few guests are also tried in turn, in so many orders, where some are left that need not be.
_MOST_IN_TURN = 10
_MOST_ORDERS = 120


class Alone(t.NamedTuple):
    """How many devices find no place even if no other device moves: their guests ``stay``, as they cannot migrate, or fit ``nowhere``."""

    stay: int = 0
    nowhere: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class Solution:
    """Where the devices of a problem go: ``placed``, by guest. ``solver`` is what found that.

    No assignment to the problem's bins costs less than ``least``; ``shortage`` and ``refutations`` are why some devices find no
    place, where that is known, and so is ``alone``. ``left`` is what is behind the bins that something goes to, once it is there;
    ``targets`` are those that were made for guests.
    """

    placed: list[Placement]
    cost: Cost
    least: Cost
    shortage: Shortage | None
    alone: Alone
    refutations: t.Sequence[Refutation] = ()
    solver: str = "search"
    left: t.Mapping[int, Backing] = dataclasses.field(default_factory=dict)
    targets: t.Mapping[int, Targets] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True)
class Proof:
    """What is proven of all plans for a request: none costs less than ``bound``, ``None`` where that is not known.

    Where some devices have no place in any plan, ``by`` are the ways in which it is proven of as many as ``bound`` says, and
    ``refutations`` those by cases, each with others like it.
    ``assumptions`` say in sentences what else took part where it looks as if not everything could have a place.
    """

    status: str
    bound: Cost | None
    shortage: Shortage | None
    by: t.Sequence[contract.ProofKind] = ()
    refutations: t.Sequence[t.Sequence[Refutation]] = ()
    assumptions: t.Sequence[str] = ()


def solve_steadily(problem: Problem, budget: Budget, progress: Progress) -> Solution:
    """Return the best solution found, in a form that does not change while it is carried out."""
    solution = solve(problem, budget, progress)
    if problem.request.conditions.policy != "pack":
        # Where guests go decides what that costs.
        return solution
    fixed = {(guest, source) for guest, of in solution.targets.items() for source in of}
    placed, saved = steady(problem, solution.placed, fixed)
    cost = solution.cost._replace(other_type=solution.cost.other_type - saved)
    return dataclasses.replace(solution, placed=placed, cost=cost)


def solve(problem: Problem, budget: Budget, progress: Progress) -> Solution:
    """Return the best solution found; guests go where an earlier plan has had targets made, if that leaves none behind."""
    targets = find_targets(problem)
    pins = Pins(problem, targets) if targets else None
    if pins is None or not pins.assignment:
        return _attempt(problem, targets, None, budget, progress)
    solution = _attempt(problem, targets, pins, budget, progress)
    if solution.cost.unplaced <= solution.least.unplaced:
        return solution
    return keep_pins(
        solution,
        lambda: _without_pins(pose_afresh(problem), budget, progress),
        rank=operator.attrgetter("cost"),
        learn=_least_unplaced,
    )


def solve_in_order(
    problem: Problem,
    budget: Budget,
    progress: Progress,
    ranks: Ranks = (),
    going: frozenset[int] | None = None,
) -> tuple[Solution, MoveOrder]:
    """Return the best solution found of which the moves can be made one after the other, and their order.

    That moves wait for each other makes nothing possible: what all solutions cost at least, these do. With ``ranks``, which are
    guests, the highest rank first, places are found for those that are ``going`` while the others stay, and what is left goes to
    all by rank.
    """
    part = problem if going is None else restricted(problem, going)
    by_rank = [guest for of_rank in ranks for guest in of_rank]

    def rank(found: tuple[Solution, MoveOrder]) -> tuple[list[int], Cost]:
        return left_by_rank(problem, found[0], ranks), found[0].cost

    def stuck(solution: Solution) -> int:
        return sum(left_by_rank(problem, solution, [going or range(len(problem.items))]))

    first = solve(part, budget, progress)
    best = solution, order = _put_in_order(problem, first, by_rank)
    tried: set[Exclusions] = set()
    for _attempt_again in range(_MOST_ATTEMPTS):
        # What is not left after all is none to wait for.
        exclusions = dataclasses.replace(order.exclusions, guests=_in_the_way(problem, order))
        if stuck(best[0]) <= stuck(first) or exclusions in tried:
            break
        tried.add(exclusions)
        afresh = pose(
            *(problem.fleet, problem.request, problem.admission.candidates, exclusions),
            problem.resources,
        )
        if going is not None:
            afresh = restricted(afresh, going)
        # Some of it may be left after all.
        solution, order = _put_in_order(problem, solve(afresh, budget, progress), by_rank)
        best = min(best, (solution, order), key=rank)
    if going is None and best[0].cost.unplaced > first.least.unplaced:
        best = min([best, *solve_in_turn(problem, first)], key=rank)
    solution, order = best
    least = _least_of(first.least, solution.cost)
    proven = dataclasses.replace(
        solution,
        least=least,
        shortage=first.shortage,
        alone=first.alone,
        refutations=first.refutations,
    )
    return proven, order


def solve_in_turn(
    problem: Problem, solution: Solution, ranks: Ranks = ()
) -> t.Iterator[tuple[Solution, MoveOrder]]:
    """Yield what comes of moving few guests in turn, in many orders, each once more by rank; of the proof, what ``solution`` has."""
    if len(problem.items) <= _MOST_IN_TURN:
        for order in moves_in_turn(problem, _some_orders(len(problem.items), ranks)):
            yield _with_order(problem, solution, order)


def restricted(problem: Problem, going: frozenset[int]) -> Problem:
    """Return ``problem`` with places for those alone that are ``going``, by the same numbers: the others stay where they are."""
    guests = problem.request.guests
    staying = frozenset(range(len(guests))) - going
    devices = frozenset(device.key for guest in staying for device in guests[guest].devices)
    excluded = problem.exclusions
    posed = pose(
        *(problem.fleet, problem.request, problem.admission.candidates),
        Exclusions(excluded.devices | devices, excluded.guests | staying),
        problem.resources,
    )
    items = [
        dataclasses.replace(item, demands=()) if guest in staying else item
        for guest, item in enumerate(posed.items)
    ]
    demands = [[] if guest in staying else each for guest, each in enumerate(posed.demands)]
    return dataclasses.replace(posed, items=items, demands=demands)


def left_by_rank(problem: Problem, solution: Solution, ranks: Ranks) -> list[int]:
    """Return how many devices of each rank a solution leaves behind."""
    placed = {each.guest for each in solution.placed}
    guests = problem.request.guests
    return [
        sum(len(guests[guest].devices) for guest in of_rank if guest not in placed)
        for of_rank in ranks
    ]


def _least_of(least: Cost, cost: Cost) -> Cost:
    """Return what solutions cost at least: where one number is less than in ``cost``, nothing is known of those after it."""
    known = []
    for low, there in zip(least, cost, strict=True):
        known.append(low)
        if low != there:
            break
    return Cost(*known)


def _put_in_order(
    problem: Problem, solution: Solution, by_rank: t.Sequence[int]
) -> tuple[Solution, MoveOrder]:
    fixed = {(guest, source) for guest, of in solution.targets.items() for source in of}
    order = order_moves(problem, solution.placed, solution.left, fixed, by_rank)
    return _with_order(problem, solution, order)


def _some_orders(count: int, ranks: Ranks) -> t.Iterator[list[int]]:
    """Yield orders of so many guests, each once more with those of higher ``ranks`` first, where there are any."""
    rank_of = {guest: rank for rank, guests in enumerate(ranks) for guest in guests}
    for order in _orders(count):
        yield order
        if rank_of:
            yield sorted(order, key=rank_of.__getitem__)


def _orders(count: int) -> t.Iterator[list[int]]:
    """Yield orders of so many guests: all of few, and of more those that a random generator with a fixed seed draws."""
    if math.factorial(count) <= _MOST_ORDERS:
        yield from map(list, itertools.permutations(range(count)))
        return
    chance = random.Random(0)
    for _order in range(_MOST_ORDERS):
        yield chance.sample(range(count), count)


def _with_order(
    problem: Problem, solution: Solution, order: MoveOrder
) -> tuple[Solution, MoveOrder]:
    cost = cost_of_placed(problem, order.placed)
    if solution.targets:
        cost = cost._replace(remade=count_remade(solution.targets, order.placed))
    return dataclasses.replace(solution, placed=[*order.placed], cost=cost), order


def _in_the_way(problem: Problem, order: MoveOrder) -> frozenset[int]:
    """Return the guests that stay and are of a group of which another one moves, as one may be in the other's way."""
    moving = {each.guest for each in order.placed}
    groups = frozenset[int]().union(*(problem.items[guest].anti_affinity for guest in moving))
    return frozenset(
        guest
        for guest in order.exclusions.guests - problem.exclusions.guests
        if not groups.isdisjoint(problem.items[guest].anti_affinity)
    )


def _without_pins(problem: Problem, budget: Budget, progress: Progress) -> Solution:
    return _attempt(problem, find_targets(problem), None, budget, progress)


def _least_unplaced(solution: Solution, other: Solution) -> Solution:
    """Return ``solution`` with what ``other`` has proven to be left behind at least."""
    most = max(solution.least.unplaced, other.least.unplaced)
    return dataclasses.replace(solution, least=solution.least._replace(unplaced=most))


def prove(problem: Problem, solution: Solution) -> Proof:
    """Return what ``solution`` proves of all plans for the request of ``problem``."""
    bound: Cost | None = solution.least
    shortage, alone = solution.shortage, solution.alone
    if problem.request.kept or problem.exclusions != NO_EXCLUSIONS:
        # Not everything may move everywhere: what is found then is no proof of the whole.
        bound = shortage = None
    if not solution.cost.unplaced:
        return Proof("optimal" if solution.cost == bound else "feasible", bound, shortage)
    from ansible_collections.vfio.migration.plugins.plugin_utils._planner.assumptions import (
        assumptions,
    )

    cases: t.Sequence[Refutation] = ()
    counted = _counted(solution)
    if bound is not None:
        cases = _refutations(problem, solution)
        # What counts places does not look at the limits that were asked for. A search keeps to them.
        counted = _counted(dataclasses.replace(solution, refutations=cases))
        bound = bound if bound.unplaced >= counted else Cost(counted)
    status = "infeasible" if bound and bound.unplaced else "unproven"
    assumed = assumptions(problem, {each.guest: each.host for each in solution.placed})
    if assumed.limits and bound is not None:
        bound = Cost(min(bound.unplaced, counted))
    elif assumed.most is not None and bound is not None:
        bound = Cost(min(bound.unplaced, assumed.most))
    unproven = [*assumed.sentences, *assumed.limits]
    in_doubt = assumed.sentences and assumed.least is None
    if unproven and (in_doubt or not (bound and bound.unplaced)):
        return Proof("unproven", None, None, assumptions=unproven)
    if assumed.least is not None and bound is not None:
        # The planner's own rules, for one, leave more behind than is proven.
        shortage, cases = assumed.shortage, ()
        bound = Cost(min(bound.unplaced, assumed.least))
        alone = Alone(nowhere=assumed.least)
    if bound is None or status != "infeasible":
        return Proof(status, bound, shortage)
    return _proven_by(Proof(status, bound, shortage), bound.unplaced, alone, cases)


def _counted(solution: Solution) -> int:
    """Return how many devices have no place in any solution, by what counts places and by cases."""
    alone = solution.alone
    missing = solution.shortage.missing if solution.shortage else 0
    by_cases = alone.nowhere + sum([each.left_out for each in solution.refutations])
    return alone.stay + max(by_cases, missing)


def _refutations(problem: Problem, solution: Solution) -> t.Sequence[Refutation]:
    """Return the proofs by cases of a solution, or of as many of the devices that are left behind as are found."""
    if _counted(solution) >= (solution.least.unplaced or 1):
        return solution.refutations
    placed = {each.guest for each in solution.placed}
    left = [guest for guest in range(len(problem.items)) if guest not in placed]
    return _refuted(problem, left, solution.cost.unplaced - sum(solution.alone))


def _refuted(
    problem: Problem, left: t.Sequence[int], devices: int, first: bool = False
) -> t.Sequence[Refutation]:
    """Return proofs by cases; ``first`` are few, before a search that may find a place for everything."""
    from ansible_collections.vfio.migration.plugins.plugin_utils._packing.refutation import (
        FIRST_TRIES,
        MOST_TRIES,
        refutations,
    )

    packing = PackingProblem(problem.resources, problem.items, problem.bins)
    return refutations(packing, left, devices, FIRST_TRIES if first else MOST_TRIES)


def _proven_by(proof: Proof, unplaced: int, alone: Alone, cases: t.Sequence[Refutation]) -> Proof:
    """Return ``proof`` with the ways in which it is proven that so many devices have no place, those that a person can check first.

    A search is one of them only where the others do not prove it of as many.
    """
    if proof.shortage is not None and alone.stay + proof.shortage.missing >= unplaced:
        by: t.Sequence[contract.ProofKind] = ("no_place", "shortage")
        return dataclasses.replace(proof, by=by if alone.stay else by[1:])
    if sum(alone) >= unplaced:
        return dataclasses.replace(proof, by=("no_place",))
    shown: t.Sequence[t.Sequence[Refutation]] = ()
    if cases:
        from ansible_collections.vfio.migration.plugins.plugin_utils._packing.refutation import (
            by_likeness,
        )

        shown = by_likeness(cases, _MOST_PROOFS)
    of_cases = sum([each.left_out for alike in shown for each in alike])
    ways: tuple[tuple[contract.ProofKind, t.Any], ...] = (
        ("no_place", sum(alone)),
        ("cases", shown),
        ("search", sum(alone) + of_cases < unplaced),
    )
    return dataclasses.replace(proof, by=[kind for kind, holds in ways if holds], refutations=shown)


# --- one attempt, with pins or without ---


@dataclasses.dataclass(frozen=True, slots=True)
class _Attempt:
    """What is left of a problem once the guests with ``pins`` are placed: ``guests``, as items for bins in ``packing``.

    ``packings`` are those into all bins as they are, of which alone a proof can be.
    """

    problem: Problem
    targets: t.Mapping[int, Targets]
    pins: Pins | None
    guests: t.Sequence[int]
    packing: PackingProblem
    packings: Packings


def _attempt(
    problem: Problem,
    targets: t.Mapping[int, Targets],
    pins: Pins | None,
    budget: Budget,
    progress: Progress,
) -> Solution:
    guests: t.Sequence[int] = range(len(problem.items))
    items, bins, in_domains = problem.items, problem.bins, problem.domain_loads
    if pins:
        pinned = {guest for each in pins.assignment.values() for guest, _packing in each}
        guests = [guest for guest in guests if guest not in pinned]
        items, bins = [problem.items[guest] for guest in guests], pins.bins
        in_domains = pins.domain_loads
    there, of_all = len(problem.items) - len(items), len(problem.items)
    spread = problem.request.conditions.policy == "spread"
    packing = PackingProblem(problem.resources, items, bins, spread, in_domains)
    known = None if pins else problem.known
    if known is not None and known.found is not None and known.packings is not None:
        packings, found = known.packings, known.found
    else:
        packings = Packings(packing, effort=budget.shared)
        found = search(
            packing,
            packings,
            budget,
            lambda: _shortage_of(problem),
            lambda stage, placed: progress(
                f"{stage}, {there + placed} of {of_all} guests have a place"
            ),
            lambda left, devices: _refuted(problem, [guests[each] for each in left], devices, True),
        )
        if known is not None and not found.unplaced and not packings.exhausted:
            known.packings, known.found = packings, found
    attempt = _Attempt(problem, targets, pins, guests, packing, pins.packings if pins else packings)
    solution = _settled(attempt, found)
    if solution.cost == solution.least or not budget.solver:
        return solution
    return _sharpened(attempt, found, solution) or solution


def _shortage_of(problem: Problem) -> Shortage | None:
    """Return the proof that some devices find no place whatever is done, if there is one."""
    from ansible_collections.vfio.migration.plugins.plugin_utils._packing.bottleneck import (
        find_shortage,
    )

    demands = Counter(itertools.chain.from_iterable(each.demands for each in problem.items))
    return find_shortage(problem.resources, demands, resources_in(problem.bins))


def _settled(attempt: _Attempt, found: SearchResult) -> Solution:
    """Return what was ``found`` with devices and parents again, what it costs, and what all solutions cost at least."""
    problem, pins = attempt.problem, attempt.pins
    placed = list(pins.placed) if pins else []
    together = dict(found.assignment)
    if pins:
        for number, pinned in pins.assignment.items():
            together[number] = [*pinned, *found.assignment.get(number, ())]
    left: dict[int, Backing] = {}
    going = _first_of_equals(attempt, found)
    for number in sorted(together):
        backing, allocations = pins.left_of(number) if pins else (backing_of(problem, number), [])
        for item, packing in found.assignment.get(number, ()):
            guest = attempt.guests[going.get(item, item)]
            sources = [source for _demand, source in problem.demands[guest]]
            allocations += allocate(backing, guest, sources, packing)
        placed += placed_on(problem.names[number], allocations)
        left[number] = backing
    if pins:
        # Else those of a guest are on one host, in this order.
        placed.sort(key=lambda each: each.source.id)
    placed.sort(key=operator.itemgetter(0))
    devices = sum([len(guest.devices) for guest in problem.request.guests])
    cost = cost_of(together, devices, attempt.packing.spread, problem.bins, problem.domain_loads)
    alone = _alone(attempt) if cost.unplaced else Alone()
    if attempt.targets:
        cost = cost._replace(remade=count_remade(attempt.targets, placed))
    # The search does not know what is remade.
    if found.optimal and not pins and not cost.remade:
        least = cost
    elif cost.unplaced:
        complete = found.optimal and not pins
        counted = _counted(Solution(placed, cost, cost, found.shortage, alone, found.refutations))
        least = Cost(cost.unplaced if complete else counted)
    else:
        least = _least_with(pins, attempt, cost) if pins else found.bound
    return Solution(
        *(placed, cost, least, found.shortage, alone, found.refutations),
        left=left,
        targets=attempt.targets,
    )


def _first_of_equals(attempt: _Attempt, found: SearchResult) -> dict[int, int]:
    """Return for items that have a place in what is ``found`` the equal ones that go there instead.

    Of guests that need the same, and of which not all can go, the first ones do, in whichever order they were searched for. So
    who goes is the same once targets of others are made.
    """
    problem, admission = attempt.problem, attempt.problem.admission
    conditions = problem.request.conditions
    if not found.unplaced or conditions.reuse or conditions.apart:
        # Where others wait for these guests, it matters which of them go.
        return {}
    placed = {item for items in found.assignment.values() for item, _packing in items}
    alike: dict[t.Hashable, list[int]] = defaultdict(list)
    for item, guest in enumerate(attempt.guests):
        of_its_own = guest in attempt.targets or any(
            each.key in admission.addresses or each.key in admission.matrices
            for each in problem.request.guests[guest].devices
        )
        if not of_its_own:
            alike[problem.items[guest]].append(item)
    return {
        before: now
        for equals in alike.values()
        for before, now in zip([each for each in equals if each in placed], equals, strict=False)
    }


def _least_with(pins: Pins, attempt: _Attempt, cost: Cost) -> Cost:
    """Return what solutions that place everything cost at least, if they are no worse than one that costs ``cost``."""
    problem = attempt.problem
    whole = dataclasses.replace(
        attempt.packing, bins=problem.bins, domain_loads=problem.domain_loads
    )
    least = lower_bound(whole, attempt.packings, cost)
    if cost.remade:
        return least
    pinned = pins.least()
    return least._replace(
        domain_load=max(least.domain_load, pinned.domain_load),
        load=max(least.load, pinned.load) if attempt.packing.spread else 0,
        other_type=least.other_type + pinned.other_type,
    )


def _alone(attempt: _Attempt) -> Alone:
    """Return how many devices find no place even if no other device moves."""
    problem, packings = attempt.problem, attempt.packings
    stay = nowhere = 0
    empty = EmptyBins(problem.bins, packings)
    for guest, item in zip(problem.request.guests, problem.items, strict=True):
        if not item.demands:
            stay += len(guest.devices)
        elif not packings.unsure and not empty.take_in(item):
            nowhere += len(guest.devices)
    return Alone(stay, nowhere)


def _sharpened(attempt: _Attempt, found: SearchResult, settled: Solution) -> Solution | None:
    """Return what the optional solver makes of what was ``found``, if it makes anything of it."""
    from ansible_collections.vfio.migration.plugins.plugin_utils._packing.mip_model import (
        effort_for,
        improve,
    )

    effort = effort_for(settled.cost, settled.least)
    improved = improve(attempt.packing, found.assignment, found.unplaced, effort)
    if improved is None:
        return None
    packing = attempt.packing
    cost = cost_of(improved.assignment, 0, packing.spread, packing.bins, packing.domain_loads)
    better = dataclasses.replace(
        found,
        assignment=improved.assignment,
        optimal=improved.best and not found.unplaced,
        bound=lower_bound(attempt.packing, attempt.packings, cost),
    )
    solution = _settled(attempt, better)
    least = solution.least
    if improved.most and not attempt.pins:
        least = least._replace(unplaced=solution.cost.unplaced)
    return dataclasses.replace(solution, least=least, solver="ortools")
