# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Plans: a request becomes a plan that is verified. Pure."""

from __future__ import annotations

import dataclasses
import typing as t
from collections import defaultdict

from ansible_collections.vfio.migration.plugins.plugin_utils._compat.candidates import Candidates
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.verdict import Judge
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import Fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import uncollected
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.effort import Effort
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.packings import EFFORT
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.search import Budget
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.known_numbers import (
    KnownNumbers,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.plan_document import (
    document,
    sources_of,
    with_left_out,
    with_rest,
    without_proof,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.previous_plan import (
    Facts,
    PreviousPlan,
    changed_after_all,
    digests,
    keep_pins,
    still_holding,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.problem import (
    Problem,
    pose,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.reason import (
    MAX_COMPARISONS,
    Reason,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import (
    Guest,
    Request,
    as_asked,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.solution import (
    Progress,
    prove,
    solve_in_order,
    solve_steadily,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.summary import first_of
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify import objections
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify_case import Objection
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.waves import AT_ONCE
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import (
    Change,
    Plan,
    PlanBody,
    Unplaced,
)


def no_progress(words: str) -> None:
    """Report no progress."""


# The version of the shape of plans. Count it up when an older reader would go wrong.
SCHEMA = 1
# Host and id of a device.
DeviceKey = tuple[str, str]
_BUDGET = Budget()
_GIVES_WAY = (
    "it would have a place if all were equal, and more of what comes before it would have none then"
)
_SIDES: tuple[t.Literal["source", "target"], ...] = ("source", "target")


@uncollected()
def make_plan(
    fleet: Fleet,
    request: Request,
    budget: Budget = _BUDGET,
    progress: Progress = no_progress,
    explaining: Effort | None = None,
    judge: Judge | None = None,
    known: KnownNumbers | None = None,
) -> PlanBody:
    """Return the plan of the public contract, not verified yet.

    Of what has a higher rank as little as possible is left behind, before anything of a lower one has a place. ``progress`` is
    called from time to time with its progress, in words. ``explaining`` is what reasons may take. ``judge`` and
    ``known`` have what was asked and found for other plans.
    """
    candidates = Candidates(fleet, request.conditions.direction, judge)

    def plan_of(request: Request) -> PlanBody:
        problem = pose(fleet, request, candidates)
        if known is not None:
            problem = dataclasses.replace(problem, known=known.of(problem))
        if request.conditions.reuse or request.conditions.apart:
            return _in_waves(problem, budget, progress, explaining)
        solution = solve_steadily(problem, budget, progress)
        proof = prove(problem, solution)
        if not solution.cost.unplaced:
            # What a full plan leaves free is not used, and the plan itself takes much memory.
            solution = dataclasses.replace(solution, left={})
        return document(problem, solution, proof, AT_ONCE, explaining)

    plan = plan_of(request)
    if request.conditions.reuse or request.conditions.apart:
        return plan
    best = _in_order_of_rank(request, plan, plan_of)
    return _with_who_gives_way(best, plan, request)


def _in_waves(
    problem: Problem, budget: Budget, progress: Progress, explaining: Effort | None
) -> PlanBody:
    """Return a plan in which moves may wait for each other; of first ranks it leaves as little behind as is found."""
    solution, order = for_all = solve_in_order(problem, budget, progress)
    proof = prove(problem, solution)
    if not solution.cost.unplaced:
        # What a full plan leaves free is not used, and the plan itself takes much memory.
        return document(problem, dataclasses.replace(solution, left={}), proof, order, explaining)
    plan = document(problem, solution, proof, order, explaining)
    numbers = {guest.devices[0].key: n for n, guest in enumerate(problem.request.guests)}
    groups = _by_rank(problem.request)
    if _is_in_order(plan, groups):
        return plan
    from ansible_collections.vfio.migration.plugins.plugin_utils._planner.by_rank import (
        solve_by_rank,
    )

    ranks = [[numbers[guest.devices[0].key] for guest in group] for group in groups]
    solution, order = solve_by_rank(problem, ranks, for_all, budget, progress)
    if solution is for_all[0]:
        return plan
    # What the solution for all proves of every plan, it proves of this one.
    solution = dataclasses.replace(solution, least=for_all[0].least, shortage=for_all[0].shortage)
    best = document(problem, solution, dataclasses.replace(proof, bound=None), order, explaining)
    return _with_who_gives_way(best, plan, problem.request)


def _is_in_order(plan: PlanBody, groups: t.Sequence[t.Sequence[Guest]]) -> bool:
    """Return whether nothing has a place in ``plan`` before something that has none."""
    left = _left_by_rank(plan, groups)
    first_left = next((number for number, count in enumerate(left) if count), len(left))
    return left[first_left + 1 :] == [_devices_of(group) for group in groups[first_left + 1 :]]


def _with_who_gives_way(best: PlanBody, for_all: PlanBody, request: Request) -> PlanBody:
    """Return ``best`` with who gives way: what has a place in the plan ``for_all``, which leaves more behind of what comes before it."""
    if best is for_all:
        return best
    groups = _by_rank(request)
    ours, others = _left_by_rank(best, groups), _left_by_rank(for_all, groups)
    first = next(
        (n for n, (one, other) in enumerate(zip(ours, others, strict=True)) if one < other),
        len(groups),
    )
    later = {device.key for group in groups[first + 1 :] for g in group for device in g.devices}
    giving_way = later & sources_of(for_all["placements"])
    reason = Reason("lower_priority", _GIVES_WAY).on(None)
    unplaced: list[Unplaced] = [
        {**each, "reasons": [reason, *each["reasons"]]}
        if sources_of([each]) <= giving_way
        else each
        for each in best["unplaced"]
    ]
    return t.cast("PlanBody", {**best, "unplaced": unplaced})


def _in_order_of_rank(
    request: Request, plan: PlanBody, plan_of: t.Callable[[Request], PlanBody]
) -> PlanBody:
    """Return a plan for ``request`` by rank; ``plan`` is one in which a device counts as much as any other, as ``plan_of`` makes it.

    As many of the first ranks as find a place together are planned together, the next one as far as it has places beside
    them, and then all others beside these. That is worth it only where less of the first ranks is left behind than in ``plan``.
    """
    if not plan["unplaced"]:
        return plan
    groups = _by_rank(request)
    if _is_in_order(plan, groups):
        return plan

    def part(begin: int, end: int) -> Request:
        guests = [guest for group in groups[begin:end] for guest in group]
        later = [guest for group in groups[end:] for guest in group]
        return dataclasses.replace(request, guests=guests, others=[*request.others, *later])

    # So many ranks have a place together, and no more: ``found`` is a plan with the next one, too.
    whole, together, found = None, 0, plan
    while together < len(groups) - 1:
        found = plan_of(part(0, together + 1))
        if found["unplaced"]:
            break
        whole, together, found = found, together + 1, plan
    if whole is None or not any(_left_by_rank(found, groups[:together])):
        best = found
    else:
        best = _beside(request, whole, part(together, together + 1), plan_of)
    if together + 1 < len(groups):
        best = _beside(request, best, part(together + 1, len(groups)), plan_of)
    # What the plan for all proves of every plan, it proves of this one.
    is_better = _left_by_rank(best, groups) < _left_by_rank(plan, groups)
    return _with_proof_of(best, plan) if is_better else plan


def _by_rank(request: Request) -> list[list[Guest]]:
    """Return the guests of each rank, the highest first."""
    found: dict[int, list[Guest]] = defaultdict(list)
    for guest in request.guests:
        found[request.conditions.rank_of(guest)].append(guest)
    return [found[rank] for rank in sorted(found, reverse=True)]


def _left_by_rank(plan: PlanBody, groups: t.Iterable[t.Iterable[Guest]]) -> list[int]:
    """Return how many devices ``plan`` leaves behind of each of these groups."""
    left = sources_of(plan["unplaced"])
    return [
        sum(device.key in left for guest in group for device in guest.devices) for group in groups
    ]


def _devices_of(guests: t.Iterable[Guest]) -> int:
    return sum(len(guest.devices) for guest in guests)


def _beside(
    request: Request,
    best: PlanBody,
    rest: Request,
    plan_of: t.Callable[[Request], PlanBody],
) -> PlanBody:
    """Return ``best``, a plan for the first guests of ``request``, with what of the ``rest`` has a place beside them, by rank."""
    beside = dataclasses.replace(rest, kept=best["placements"])
    plan = _in_order_of_rank(beside, plan_of(beside), plan_of)
    if best["unplaced"] and len(plan["placements"]) > len(best["placements"]):
        # What goes there now stands in the way of those that had no place before as well.
        left = sources_of(best["unplaced"])
        guests = [guest for guest in request.guests if guest.devices[0].key in left]
        without = dataclasses.replace(rest, guests=guests, kept=plan["placements"])
        best = {**best, "unplaced": plan_of(without)["unplaced"]}
    return with_rest(best, plan, request)


def make_verified_plan(
    fleet: Fleet,
    facts: Facts,
    request: Request,
    earlier: t.Any,
    progress: Progress,
    budget: Budget = _BUDGET,
) -> Plan:
    """Return a plan for ``request``, checked against the ``facts`` of the fleet; raise ``FleetError``.

    What still holds of the plan ``earlier`` stays, unless less is left behind without it. A guest whose move the verifier
    objects to is left behind, with the reason. Where it objects to what the plan proves alone, nothing is proven.
    """
    previous = still_holding(earlier, request, fleet, facts) if earlier is not None else None
    plan, changes = _make_plan_with(fleet, request, previous, progress, budget)
    progress("verifying the plan")
    asked_for = request.asked or as_asked(request.conditions, None, None)
    asked_with = {
        "conditions": request.conditions.stated(),
        "request": asked_for,
        "received": request.received,
    }

    def objected_to(plan: PlanBody) -> list[Objection]:
        stated: t.Any = {**plan, **asked_with}
        return objections(stated, facts, request.conditions, fleet.unknown)

    broken = objected_to(plan)
    if broken and previous is not None and previous.afresh is not None:
        # What may stay only together does not stay.
        previous = previous.afresh
        plan, changes = _make_plan_with(fleet, request, previous, progress, budget)
        broken = objected_to(plan)
    if previous is not None:
        changes = changed_after_all(changes, previous.with_others, plan, earlier)
    kept = previous.request.kept if previous else ()
    ends = sources_of(kept)
    of_earlier = [each.sentence for each in broken if not ends.isdisjoint(each.sources)]
    if of_earlier:
        violations = "; ".join(first_of(of_earlier, "violation"))
        raise FleetError(f"the earlier plan does not hold: {violations}")
    if broken and plan["status"] == "infeasible":
        # Where the verifier objects to the proof alone, what moves is right.
        unproven = _not_proven(plan, broken)
        if not objected_to(unproven):
            plan, broken = unproven, []
    if broken:
        # Only a plan that keeps something has no cost.
        asked = previous.request if previous and plan["cost"] is None else request
        plan = _without_objected(fleet, facts, asked, plan, broken)
    asked_request = dataclasses.replace(request, asked=asked_for)
    return stated_plan(plan, asked_request, changes, facts)


def _not_proven(plan: PlanBody, broken: t.Sequence[Objection]) -> PlanBody:
    """Return ``plan`` without its proof that not everything can have a place, and with what the verifier says against it."""
    sentences = first_of([each.sentence for each in broken], "violation")
    assumed = [f"the verifier objects to the proof: {'; '.join(sentences)}"]
    return t.cast("PlanBody", {**without_proof(plan), "assumptions": assumed})


def stated_plan(plan: PlanBody, request: Request, changes: list[Change], facts: Facts) -> Plan:
    """Return ``plan`` with what it was ``asked`` in ``request``, and the ``facts`` that it relies on."""
    hosts = {each[side]["host"] for each in plan["placements"] for side in _SIDES}
    hosts |= {end["host"] for each in request.received for end in (each, each["source"])}
    made: t.Any = {
        "schema": SCHEMA,
        **plan,
        "request": request.asked,
        "changes": changes,
        "conditions": request.conditions.stated(),
        "relied_on": digests(hosts & facts.keys(), facts),
    }
    if request.received:
        made["received"] = [*request.received]
    if request.conditions.targets is not None:
        made["targets"] = sorted(request.targets)
    if request.conditions.avoid:
        made["avoid"] = [
            {
                "host": place.host,
                "parent": place.parent,
                **({"guest": place.guest} if place.guest is not None else {}),
                **({"guest_host": place.guest_host} if place.guest_host is not None else {}),
                "problem": problem,
            }
            for place, problem in request.conditions.avoid.items()
        ]
    return t.cast(Plan, made)


def _make_plan_with(
    fleet: Fleet,
    request: Request,
    previous: PreviousPlan | None,
    progress: Progress,
    budget: Budget,
) -> tuple[PlanBody, list[Change]]:
    """Return a plan that keeps what holds of a ``previous`` one, if that is no worse, and the guests that are planned again."""
    if previous is None:
        return make_plan(fleet, request, budget, progress), []
    plan = make_plan(fleet, previous.request, budget, progress)
    if not previous.request.kept or not plan["unplaced"]:
        return plan, previous.changes
    plan = keep_pins(
        plan,
        lambda: make_plan(fleet, request, budget, progress),
        rank=lambda plan: _left_by_rank(plan, _by_rank(request)),
        learn=_with_proof_of,
    )
    # A plan that keeps nothing has a cost: what stays was in the way of the rest.
    return plan, previous.changes if plan["cost"] is None else previous.given_up


def _without_objected(
    fleet: Fleet,
    facts: Facts,
    request: Request,
    plan: PlanBody,
    broken: t.Sequence[Objection],
) -> PlanBody:
    """Return a plan that the verifier objects to nothing in: the guests that it objects to are left behind, with the reason."""
    left_out: dict[DeviceKey, str] = {}
    # However many rounds there are, what they look at is less than what one plan does.
    budget = Budget(shared=Effort(EFFORT // 4))
    explaining = Effort(MAX_COMPARISONS // 4)
    while broken:
        # Each round fewer guests are planned, so this ends.
        left_out |= _objected(plan, request, broken, left_out)
        rest = [guest for guest in request.guests if guest.devices[0].key not in left_out]
        reduced = make_plan(
            fleet, dataclasses.replace(request, guests=rest), budget, explaining=explaining
        )
        plan = with_left_out(reduced, request, left_out, "verifier")
        if not left_out:
            # No guest moves, so the reason can stand with none.
            sentences = first_of([each.sentence for each in broken], "violation")
            assumed = [f"the verifier objects: {'; '.join(sentences)}"]
            return t.cast(PlanBody, {**plan, "assumptions": assumed})
        broken = objections(plan, facts, request.conditions, fleet.unknown) if rest else ()
    return plan


def _objected(
    plan: PlanBody,
    request: Request,
    broken: t.Sequence[Objection],
    left_out: t.Collection[DeviceKey],
) -> dict[DeviceKey, str]:
    """Return the guests, by their first device, that the verifier objects to, and why; all that move where it is the plan."""
    placed = sources_of(plan["placements"])
    about: dict[DeviceKey, list[str]] = defaultdict(list)
    for each in broken:
        for key in each.sources:
            about[key].append(each.sentence)
    found: dict[DeviceKey, str] = {}
    for guest in request.guests:
        keys = [device.key for device in guest.devices]
        sentences = [sentence for key in keys for sentence in about[key]]
        if sentences and keys[0] not in left_out:
            found[keys[0]] = (
                f"the verifier objects: {'; '.join(first_of([*dict.fromkeys(sentences)], 'violation'))}"
            )
    if found:
        return found
    # No guest in particular: nothing of the plan can be relied on, least of all what moves.
    moving = [g for g in request.guests if not placed.isdisjoint(d.key for d in g.devices)]
    sentences = [each.sentence for each in broken]
    reason = (
        f"the verifier objects to the whole plan: {'; '.join(first_of(sentences, 'violation'))}"
    )
    rest = moving or [g for g in request.guests if g.devices[0].key not in left_out]
    return {guest.devices[0].key: reason for guest in rest}


def _with_proof_of(plan: PlanBody, other: PlanBody) -> PlanBody:
    """Return ``plan`` with what ``other`` proves of every plan."""
    proof: t.Any = {"status": other["status"], "shortage": other["shortage"]}
    proof |= {
        name: other[name]
        for name in ("shortages", "proof", "cases", "assumptions")
        if name in other
    }
    return t.cast(PlanBody, {**plan, **proof})
