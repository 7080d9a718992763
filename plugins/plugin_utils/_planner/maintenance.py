# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Rolling maintenance: hosts are emptied one after another, or a few at a time, and each comes back. Pure.

A step empties a batch of hosts. Its guests preferably go to hosts that are not emptied after it: those that are not
listed, and those that have come back. So each guest moves once, which is the fewest there can be. Only where no batch finds
places there, guests go to hosts that are still to be emptied, and move again with these. Each step is a plan as of a drain, made
and verified with the facts as the steps before leave them.

No guest ever moves away from a host that has come back: where that was upgraded, moves are one-way.

What guests take beside devices, ``capacity`` states as it is before the first step. In each step it is as the steps before leave it.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import itertools
import operator
import typing as t
from collections import Counter

from ansible_collections.vfio.migration.plugins.plugin_utils import contract
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.verdict import Judge
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.wording import counted, listed
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import (
    Device,
    Fleet,
    Host,
    why_unknown,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import (
    ChangingFleet,
    read_fleet,
    uncollected,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.effort import Effort
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.packings import EFFORT
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.search import Budget
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.additions import (
    addition_for,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.crowds import moves_of
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.facts_after import (
    HostFacts,
    facts_after,
    without_holders,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.free_capacity import (
    Capacity,
    once_moved,
    part_of,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.known_numbers import (
    KnownNumbers,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.plan_document import (
    in_turns,
    without_places,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.planner import (
    DeviceKey,
    make_plan,
    no_progress,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.reason import (
    MAX_COMPARISONS,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import (
    Conditions,
    Guest,
    Request,
    guests_of,
    requested,
    staying,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.solution import Progress
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.turns import turns_in_words
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify import objections
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify_case import Readings
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify_maintenance import (
    maintenance_objections,
)
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import (
    MaintenanceBlock,
    MaintenancePlan,
    MaintenanceStep,
    Placement,
    PlanBody,
)

SCHEMA = 1
# So many hosts that came back last are tried as the only targets first: what a host held before, it mostly has capacity for.
_LAST = 1
# So many different batches are looked at for one step.
_TRIES = 40
# So often at most the steps are begun again, with a host first that could not be emptied.
_RESTARTS = 8
# Of so many hosts at most all orders are tried, as long as no more steps are looked at, nor devices of hosts that take part.
_ALL_ORDERS = 6
_ORDER_STEPS = 1_000
_ORDER_DEVICES = 100_000

# Why a host is emptied that could not be after others.
_FIRST = "its guests had no place once others were drained before it"
# Why it is, where orders are tried.
_TRIED = "this order was found by trying one after another"
# What of a planning is not the same after a step.
_CHANGED_BY_STEPS = (
    *("_pending", "_lasting", "_guests", "_fewest", "_capacity"),
    *("_arrived", "_made", "_returned", "_steps", "_left"),
)

_Batch = tuple[str, ...]


class _Attempt(t.NamedTuple):
    """A ``batch`` with what of its guests was placed; ``left`` are those without a place, at least so many in any case."""

    batch: _Batch
    placements: list[Placement]
    left: tuple[Guest, ...]
    at_least: int


@dataclasses.dataclass(frozen=True, slots=True)
class Maintenance:
    """What is asked for: ``hosts`` are emptied, so many ``at_once`` at most.

    With ``keep_order`` in the order in which they are listed, else in one that is chosen. With ``use_returned`` hosts that have come
    back take guests, as if they were what their present facts say.
    """

    hosts: t.Sequence[str]
    at_once: int = 1
    keep_order: bool = False
    use_returned: bool = True


@uncollected()
def maintenance_plan(
    fleet: Fleet,
    asked: Maintenance,
    conditions: Conditions,
    progress: Progress = no_progress,
) -> MaintenancePlan:
    """Return the steps in which all hosts that are listed are emptied, verified; raise ``FleetError``.

    ``fleet`` is all that there is. Where a step has no place for a guest, the plan ends before it and states why.
    """
    for name in asked.hosts:
        if name not in fleet.hosts:
            raise FleetError(f"cannot drain {name}: {why_unknown(fleet, name)}")
    if not asked.at_once:
        raise FleetError("at_once is 0; expected 1 or more hosts to be drained at a time")
    repeated = [name for name, count in Counter(asked.hosts).items() if count > 1]
    if repeated:
        raise FleetError(f"hosts to be drained are listed twice: {listed(sorted(repeated))}")
    plan = _planned(fleet, asked, conditions, progress)
    facts = {name: each.facts for name, each in fleet.hosts.items()}
    broken = maintenance_objections(plan, facts, asked.hosts, conditions)
    if broken:
        raise FleetError(f"the verifier objects to the steps: {broken[0]}")
    return plan


def _planned(
    fleet: Fleet, asked: Maintenance, conditions: Conditions, progress: Progress
) -> MaintenancePlan:
    """Return the steps, with guests that wait with devices of other types only where they cannot be taken otherwise."""
    # All plans together look at no more than one does.
    efforts = Effort(EFFORT), Effort(MAX_COMPARISONS // 3)

    def begin(waiting_keep_type: bool, soonest: t.Sequence[str] = ()) -> _Planning:
        return _Planning(fleet, asked, conditions, progress, efforts, soonest, waiting_keep_type)

    plan = _in_some_order(functools.partial(begin, True), asked, efforts[0], progress)
    if plan["blocked"] is None or plan["blocked"]["proven"] or conditions.keep_type:
        return plan
    # A device of another type may not become one of its own again: that comes last.
    progress("steps in which devices become ones of other types on the way are tried")
    other = _in_some_order(functools.partial(begin, False), asked, efforts[0], progress)
    return plan if other["blocked"] else other


def _in_some_order(
    begin: t.Callable[..., _Planning], asked: Maintenance, effort: Effort, progress: Progress
) -> MaintenancePlan:
    """Return the steps in the order that seems best, and where that leaves a host, in any order of a few hosts."""
    plan = _restarted(begin, asked, effort, progress)
    if plan["blocked"] is None or plan["blocked"]["proven"] or asked.keep_order:
        return plan
    if not plan["steps"] or not 1 < len(asked.hosts) <= _ALL_ORDERS:
        return plan
    progress(f"the orders of {len(asked.hosts)} hosts are tried")
    return begin().result_of_any_order() or plan


def _restarted(
    begin: t.Callable[..., _Planning], asked: Maintenance, effort: Effort, progress: Progress
) -> MaintenancePlan:
    """Return the steps, begun again with the host first that could not be emptied, until all can, or that one cannot though it is first.

    Where several could not be, and were first in this order before, other orders of these are tried. What fails decides what is
    looked at first, as with the weights of Boussemart et al., "Boosting systematic search by weighting constraints", 2004.
    """
    soonest: tuple[str, ...] = ()
    tried = {soonest}
    plan = attempt = begin().result()
    for _attempt in range(_RESTARTS):
        blocked = attempt["blocked"]
        if blocked is None:
            return attempt
        if blocked["proven"] or asked.keep_order or effort.used_up or not attempt["steps"]:
            break
        first = tuple(dict.fromkeys([*blocked["hosts"], *soonest]))
        orders = itertools.chain([first], itertools.permutations(first))
        other = next((each for each in orders if each not in tried), None)
        if other is None:
            break
        soonest = other
        tried.add(soonest)
        progress(f"{listed(blocked['hosts'])} cannot be drained; {soonest[0]} is tried first")
        attempt = begin(soonest).result()
    return attempt if attempt["blocked"] is None or attempt["blocked"]["proven"] else plan


class _Planning:
    """The fleet as the steps so far leave it; the ``soonest`` of its hosts are emptied first, one after another, where they can be.

    With ``waiting_keep_type``, guests that wait on hosts that are still to be emptied have devices of their types there.
    """

    def __init__(
        self,
        fleet: Fleet,
        asked: Maintenance,
        conditions: Conditions,
        progress: Progress,
        efforts: tuple[Effort, Effort],
        soonest: t.Sequence[str] = (),
        waiting_keep_type: bool = True,
    ) -> None:
        self._soonest = soonest
        self._waiting_keep_type = waiting_keep_type
        # A device that no process holds need not move.
        conditions = dataclasses.replace(conditions, free_devices="none", reuse=False)
        # This raises an error for a target that there is not.
        targets = dataclasses.replace(conditions, drain=None).hosts(fleet)
        self._first, self._asked, self._conditions = fleet, asked, conditions
        self._capacity: Capacity = conditions.capacity
        self._progress = progress
        # Who stays on a host that neither receives nor is emptied may be in a failure domain of one that does.
        concerned = {*fleet.hosts} if self._looks_at_domains else {*targets, *asked.hosts}
        self._now = ChangingFleet(fleet, concerned)
        self._pending = [*asked.hosts]
        listed_hosts = {*asked.hosts}
        # Those that guests may stay on, the ones that came back last at the end.
        self._lasting = [name for name in targets if name not in listed_hosts]
        self._may_receive = frozenset(targets)
        # What these might take, no plan can prove.
        self._silent = [
            name
            for name in fleet.unknown
            if conditions.targets is None or name in conditions.targets
        ]
        self._guests: dict[str, list[Guest]] = {}
        # How many guests each host has, and which host it is of those that are listed: in this order they are tried.
        self._fewest: dict[str, tuple[int, int]] = {}
        for number, name in enumerate(asked.hosts):
            self._guests[name] = _guests_on(self._now[name])
            self._fewest[name] = len(self._guests[name]), number
        self._count = sum(map(len, self._guests.values()))
        self._arrived: set[DeviceKey] = set()
        self._made: set[DeviceKey] = set()
        self._returned: list[str] = []
        self._steps: list[MaintenanceStep] = []
        self._again_at_least = 0
        # How many guests of a host that is still to be emptied had no place when that was tried last.
        self._left: dict[str, int] = {}
        # The reasons why guests have no place are sought for the last one alone, of one host.
        self._effort, self._explaining = efforts
        self._budget = Budget(shared=self._effort)
        self._judge, self._known = Judge(conditions.direction), KnownNumbers()
        self._readings = Readings()

    def result(self) -> MaintenancePlan:
        """Take all steps that can be taken, and return them with what is proven of all other plans."""
        blocked: MaintenanceBlock | None = None
        while self._pending and blocked is None:
            self._progress(f"step {len(self._steps) + 1}: {len(self._pending)} hosts are left")
            found, why = self._next()
            if found is None or found.left:
                blocked = self._blocked()
            else:
                self._take(found, why)
        moves = sum(each["moves"] for each in self._steps)
        conversions = sum(each["conversions"] for each in self._steps)
        bound = self._count + self._again_at_least
        status: contract.Status
        if blocked is not None:
            status = "infeasible" if blocked["proven"] else "unproven"
        else:
            status = "optimal" if (moves, conversions) == (bound, 0) else "feasible"
        plan: MaintenancePlan = {
            "schema": SCHEMA,
            "status": status,
            "order": [host for each in self._steps for host in each["hosts"]],
            "order_is": "given" if self._asked.keep_order else "chosen",
            "steps": self._steps,
            "guests": self._count,
            "moves": moves,
            "bound": bound if blocked is None else None,
            "conversions": conversions,
            "blocked": blocked,
            "sentences": [],
            "assumptions": self._assumptions(blocked),
            "conditions": self._conditions.stated(),
            "unknown": self._first.unknown,
        }
        plan["sentences"] = _sentences(plan)
        return plan

    # --- any order of a few hosts ---

    def result_of_any_order(self) -> MaintenancePlan | None:
        """Return the steps of the first order that is found in which all hosts are emptied; ``None`` where none is found."""
        self._count_again()
        tries = Effort(_ORDER_STEPS), Effort(_ORDER_DEVICES)
        return self.result() if self._finds_order(tries, set()) else None

    def _finds_order(self, tries: tuple[Effort, Effort], seen: set[t.Hashable]) -> bool:
        """Take steps until all hosts are emptied, if that can be; else return ``False`` with everything as it was."""
        if not self._pending:
            return True
        state = self._state()
        if state in seen:
            return False
        seen.add(state)
        for batch in self._batches_in_any_order():
            if self._effort.used_up or any(each.used_up for each in tries):
                return False
            tries[0].spend(1)
            tries[1].spend(sum(len(each["devices"]) for each in self._now.facts.values()))
            found, why = self._next_of(batch, _TRIED)
            if found is None:
                continue
            before = self._held()
            self._take(found, why)
            if self._finds_order(tries, seen):
                return True
            self._go_back_to(before)
        return False

    def _batches_in_any_order(self) -> list[_Batch]:
        """Return the batches that could be next, all of them, the largest first."""
        most = min(self._asked.at_once, len(self._pending))
        sizes = range(most, 0, -1)
        return [each for size in sizes for each in itertools.combinations(self._pending, size)]

    def _state(self) -> t.Hashable:
        """Return what the same is of orders that leave the same to do."""
        held = [
            (name, each["id"], each["type"], str(each["in_use"]))
            for name, facts in self._now.facts.items()
            for each in facts["devices"]
            if each["in_use"] is not None
        ]
        return frozenset(self._pending), frozenset(held)

    def _held(self) -> dict[str, t.Any]:
        """Return what a step changes, as it is."""
        return {
            **{name: copy.copy(getattr(self, name)) for name in _CHANGED_BY_STEPS},
            "facts": dict(self._now.facts),
        }

    def _go_back_to(self, before: t.Mapping[str, t.Any]) -> None:
        """Make everything as it was before a step."""
        for name in _CHANGED_BY_STEPS:
            setattr(self, name, before[name])
        now = self._now.facts
        self._now.change(
            {name: each for name, each in before["facts"].items() if each is not now[name]}
        )

    def _count_again(self) -> None:
        """Note how many guests move again at the least, whichever host is emptied first."""
        if len(self._pending) <= _TRIES and not self._leave_domains_together:
            self._again_at_least = min(self._to_lasting((name,)).at_least for name in self._pending)

    # --- one step ---

    def _next(self) -> tuple[_Attempt | None, str]:
        """Return the next batch with places for its guests, if there is one, and why it is the next."""
        first = [name for name in self._soonest if name in self._pending]
        if first and not self._steps:
            self._count_again()
        for name in first:
            found, why = self._next_of((name,), _FIRST)
            if found is not None:
                return found, why
        return self._next_of_all()

    def _next_of(self, batch: _Batch, why: str) -> tuple[_Attempt | None, str]:
        """Return this batch with places for its guests, if there are some, and ``why`` it is the next."""
        found = self._to_lasting(batch)
        if not found.left:
            return found, why
        return self._next_again([(batch, found)], why)

    def _next_of_all(self) -> tuple[_Attempt | None, str]:
        attempts: dict[t.Hashable, _Attempt] = {}
        singles: list[tuple[_Batch, _Attempt]] = []
        batches = self._batches()
        # Mostly the first one will do, and nothing has to be like it.
        first = next(batches)
        attempt = self._to_lasting(first)
        if not attempt.left:
            return attempt, self._why(attempt)
        attempts[self._likeness(first)] = attempt
        for batch in itertools.chain([first], batches):
            key = self._likeness(batch)
            if key not in attempts:
                if len(attempts) == _TRIES:
                    break
                attempts[key] = self._to_lasting(batch)
            found = attempts[key]
            if not found.left:
                return found, self._why(found)
            if len(batch) == 1:
                self._left[batch[0]] = len(found.left)
                singles.append((batch, found))
        else:
            if not self._steps and not self._leave_domains_together:
                # Whatever is emptied first, so many of its guests move again.
                self._again_at_least = min(found.at_least for _batch, found in singles)
        return self._next_again(singles)

    def _next_again(
        self, singles: t.Iterable[tuple[_Batch, _Attempt]], why: str | None = None
    ) -> tuple[_Attempt | None, str]:
        """Return the next batch of which some guests move again, and why; ``singles`` has for each what is like it on hosts that last."""
        tried = sorted(singles, key=lambda each: len(each[1].left))[:_TRIES]
        for batch, alike in tried:
            if not self._receiving(batch):
                continue
            anywhere = self._to_anywhere(batch)
            self._left[batch[0]] = len(anywhere.left)
            if anywhere.at_least and (
                self._conditions.keep_type or not self._waiting_keep_type or not alike.placements
            ):
                # No device would become one of another type on a host that lasts either.
                continue
            lasting = alike if alike.batch == batch else self._to_lasting(batch)
            found = self._to_pending(lasting)
            if found.left:
                found = anywhere
            if not found.left:
                return found, self._why_again(len(lasting.left), why)
        return None, ""

    def _batches(self) -> t.Iterator[_Batch]:
        """Yield the batches that could be next, the largest first, and of these those with the fewest guests."""
        order = self._pending
        most = min(self._asked.at_once, len(order))
        if self._asked.keep_order:
            yield from (tuple(order[:size]) for size in range(most, 0, -1))
            return
        # What had no place before, and has used up what may be looked at, is not looked at again before all others.
        left = self._left if self._effort.used_up else {}
        order = sorted(order, key=self._fewest.__getitem__)
        if left:
            order.sort(key=lambda name: left.get(name, 0))
        for size in range(most, 0, -1):
            for start in range(len(order) - size + 1):
                yield tuple(order[start : start + size])

    @property
    def _by_domain(self) -> bool:
        """Whether guests must be apart on different hosts, too."""
        return bool(self._conditions.apart and self._conditions.failure_domains)

    @property
    def _looks_at_domains(self) -> bool:
        """Whether it matters who stays on another host of a failure domain."""
        return self._by_domain or self._conditions.spreads_over_domains

    @property
    def _leave_domains_together(self) -> bool:
        """Whether hosts may be emptied together that leave a failure domain to each other's guests, of which each by itself has no place."""
        return self._asked.at_once > 1 and self._by_domain

    def _likeness(self, batch: _Batch) -> t.Hashable:
        """Return what batches have in common that find the same places."""
        conditions = self._conditions
        if conditions.apart:
            return batch
        guests = [
            (
                tuple(sorted(map(_all_of, guest.devices), key=repr)),
                tuple(sorted(conditions.refusals_of(guest.name, guest.uuid, guest.host))),
                tuple(sorted(conditions.needs_of(guest.name, guest.uuid).items())),
            )
            for name in batch
            for guest in self._guests[name]
        ]
        return tuple(sorted(guests, key=repr))

    def _to_lasting(self, batch: _Batch) -> _Attempt:
        """Place the guests of a batch on hosts that are not to be emptied any more."""
        guests = self._guests_of(batch)
        if not guests:
            return _Attempt(batch, [], (), 0)
        if not self._lasting:
            # A host without facts may have places for them.
            return _Attempt(batch, [], (*guests,), 0 if self._silent else len(guests))
        last = self._lasting[-_LAST:]
        any_is_as_good = self._conditions.policy == "pack" and all(
            map(self._conditions.prefers, last)
        )
        if self._returned and len(last) < len(self._lasting) and any_is_as_good:
            found = self._plan(batch, last)
            if not found.left and not _conversions(found.placements, self._now.facts):
                return found
        return self._plan(batch, self._lasting)

    def _to_pending(self, found: _Attempt) -> _Attempt:
        """Place the guests that are left of a batch on hosts that are still to be emptied."""
        more = self._plan(
            found.batch, self._receiving(found.batch), found.placements, self._waiting_keep_type
        )
        wave = max([each["wave"] for each in found.placements], default=0)
        later: list[t.Any] = [
            {**each, "wave": each["wave"] + wave} if self._conditions.apart else each
            for each in more.placements
        ]
        # What comes later may share a wave with the first ones.
        moves = moves_of([*found.placements, *later], self._now)
        placements = in_turns(moves, self._conditions)
        return _Attempt(found.batch, placements, more.left, 0)

    def _to_anywhere(self, batch: _Batch) -> _Attempt:
        """Place the guests of a batch on hosts that are not to be emptied any more and on such that are, all at once."""
        targets = [*self._lasting, *self._receiving(batch)]
        return self._plan(batch, targets, keep_type=self._waiting_keep_type)

    def _receiving(self, batch: _Batch) -> list[str]:
        """Return the hosts that are still to be emptied after a batch, and take guests until then."""
        return [name for name in self._pending if name not in batch and name in self._may_receive]

    def _plan(
        self,
        batch: _Batch,
        targets: t.Sequence[str],
        after: t.Sequence[Placement] = (),
        keep_type: bool = False,
    ) -> _Attempt:
        """Return a verified plan that empties the hosts of a batch onto ``targets``, once others have moved."""
        # No host that receives here did before, ``after`` or not: what is free there is the same.
        conditions = dataclasses.replace(
            self._of_step(batch, targets, self._capacity),
            keep_type=keep_type or self._conditions.keep_type,
        )
        # Guests that stay on another host of a failure domain must not be met either, or count there.
        names = self._now if self._looks_at_domains else (*batch, *targets)
        hosts = {name: self._now[name] for name in names}
        if after:
            changed = self._after(after)
            hosts |= read_fleet(
                {name: changed.get(name, hosts[name].facts) for name in hosts}
            ).hosts
        part = Fleet(hosts, self._first.unknown, self._first.problems)
        # Some of them have moved only where some are placed ``after`` others.
        known = None if after else sorted(self._guests_of(batch), key=operator.attrgetter("key"))
        request = _request(part, conditions, known)
        plan = make_plan(
            part,
            request,
            self._budget,
            explaining=Effort(0),
            judge=self._judge,
            known=self._known,
        )
        stated: t.Any = {**plan, "conditions": conditions.stated()}
        facts = {name: each.facts for name, each in hosts.items()}
        left = {(each["source"]["host"], each["source"]["id"]) for each in plan["unplaced"]}
        if objections(stated, facts, conditions, part.unknown, self._readings):
            # Nothing of it can be relied on.
            return _Attempt(batch, [], (*request.guests,), 0)
        unplaced = tuple([guest for guest in request.guests if guest.devices[0].key in left])
        return _Attempt(batch, plan["placements"], unplaced, _guests_left(plan, request))

    def _of_step(
        self, batch: t.Sequence[str], targets: t.Sequence[str], capacity: Capacity
    ) -> Conditions:
        """Return the conditions for emptying the hosts of a batch onto ``targets``, which have free what ``capacity`` says."""
        return dataclasses.replace(
            self._conditions,
            drain=batch,
            targets=[*targets, *self._silent],
            capacity=part_of(capacity, self._guests_of(batch), targets) if capacity else capacity,
        )

    def _guests_of(self, batch: t.Iterable[str]) -> list[Guest]:
        """Return the guests of the hosts of a batch, as the steps so far leave them."""
        return [guest for name in batch for guest in self._guests[name]]

    def _after(self, placements: t.Sequence[Placement]) -> dict[str, HostFacts]:
        return facts_after(self._now, self._now.facts, placements, {*self._pending}, self._made)

    def _take(self, found: _Attempt, why: str) -> None:
        """Note a step as taken, and that the hosts of its batch have come back."""
        sources = {(each["source"]["host"], each["source"]["id"]) for each in found.placements}
        guests = self._guests_of(found.batch)
        again = [guest for guest in guests if guest.devices[0].key in self._arrived]
        onto = {each["target"]["host"] for each in found.placements}
        self._steps.append(
            {
                "hosts": [*found.batch],
                "why": why,
                "moves": len(guests),
                "again": len(again),
                "conversions": _conversions(found.placements, self._now.facts),
                "returned": sorted(onto & {*self._returned}),
                "placements": found.placements,
            }
        )
        if self._capacity:
            onto_by_source = {
                (each["source"]["host"], each["source"]["id"]): each["target"]["host"]
                for each in found.placements
            }
            self._capacity = once_moved(
                self._capacity,
                [(guest, onto_by_source[guest.devices[0].key]) for guest in guests],
            )
        changed = self._after(found.placements)
        for each in found.placements:
            target = each["target"]
            self._arrived.add((target["host"], target["id"]))
            if target["create"]:
                self._made.add((target["host"], target["id"]))
        self._arrived -= sources
        self._now.change(changed)
        gone = {*found.batch}
        self._pending = [name for name in self._pending if name not in gone]
        self._returned += found.batch
        if self._asked.use_returned:
            self._lasting += [name for name in found.batch if name in self._may_receive]
        for name in changed.keys() & {*self._pending}:
            self._guests[name] = _guests_on(self._now[name])
            self._fewest[name] = len(self._guests[name]), self._fewest[name][1]
        for name in gone:
            self._guests[name] = []

    # --- the sentences ---

    def _why(self, found: _Attempt) -> str:
        guests = sum(len(self._guests[name]) for name in found.batch)
        if self._asked.keep_order:
            return "the order was given"
        if not guests:
            return "no guest holds a device there"
        if self._effort.used_up:
            return "its guests have places on hosts that are not drained after it"
        return "of the hosts whose guests have places on hosts that are not drained after it, it has the fewest guests"

    def _why_again(self, again: int, why: str | None) -> str:
        moves = "moves" if again == 1 else "move"
        left = f"{again:,} of its guests {moves} again, as hosts that are not drained after it have no place for them"
        if self._asked.keep_order:
            why = "the order was given"
        if why is not None:
            return f"{why}; {left}"
        return f"{left}; no other host was found of which fewer would"

    def _assumptions(self, blocked: MaintenanceBlock | None) -> list[str]:
        found = []
        # A proof that a host cannot be emptied is about those that have come back, too.
        returning = self._may_receive.intersection(
            self._asked.hosts if self._asked.use_returned else ()
        )
        of_proof = blocked is not None and blocked["proven"] and returning - {*blocked["hosts"]}
        if of_proof or any(each["returned"] for each in self._steps):
            found.append(
                "hosts that have come back are taken to be as their present facts say, with the devices that they have now:"
                " gather facts and plan the rest again before each step"
            )
        if any(each["again"] for each in self._steps):
            found.append(
                "what guests hold on the way is taken to state what equal devices there, or their sources, state"
            )
        return found

    def _blocked(self) -> MaintenanceBlock:
        """Return which hosts cannot be emptied next, why, and whether that is proven of every plan."""
        hosts = self._pending[:1] if self._asked.keep_order else self._pending
        # What is proven is found soonest where most are left.
        asked = sorted(hosts, key=lambda name: -self._left.get(name, 0))[:_TRIES]
        closed = frozenset(() if self._asked.use_returned else self._returned)
        # In another order it would be other hosts that receive nothing any more.
        always_closed = closed if self._asked.keep_order else frozenset[str]()
        # Once all other listed hosts are empty, there is the most free capacity for one that there can ever be.
        emptied = ChangingFleet(self._first, self._now)
        initial = {name: emptied.facts[name] for name in self._asked.hosts}
        empty = {name: without_holders(facts) for name, facts in initial.items()}
        emptied.change(empty)
        all_gone = self._once_all_have_gone()
        left = {}
        for name in asked:
            emptied.change({name: initial[name]})
            most = self._alone(name, emptied, always_closed, all_gone)
            if most["status"] == "infeasible":
                return _block(name, most, True, self._addition(name, closed))
            left[name] = len(most["unplaced"])
            emptied.change({name: empty[name]})
        every = len(asked) == len(hosts)
        proven = not self._steps and every and not self._leave_domains_together
        now = {}
        for name in sorted(asked, key=left.__getitem__):
            now[name] = self._alone(name, self._now, closed, self._capacity)
            proven = proven and now[name]["status"] == "infeasible"
            if not proven:
                break
        first = min(now, key=lambda name: len(now[name]["unplaced"]))
        return _block(first, now[first], proven, self._addition(first, closed))

    def _once_all_have_gone(self) -> Capacity:
        """Return what would be free if the guests of all listed hosts had gone, wherever to."""
        capacity = self._conditions.capacity
        guests = (
            guest for name in self._asked.hosts for guest in _guests_on(self._first.hosts[name])
        )
        return once_moved(capacity, ((guest, None) for guest in guests)) if capacity else capacity

    def _alone(
        self,
        name: str,
        hosts: t.Mapping[str, Host],
        closed: t.AbstractSet[str],
        capacity: Capacity,
    ) -> PlanBody:
        """Return a plan that empties one host onto any other one that may receive and is not ``closed``."""
        part, request = self._emptying(name, hosts, closed, capacity)
        return make_plan(
            part, request, self._budget, explaining=self._explaining, judge=self._judge
        )

    def _addition(self, name: str, closed: t.AbstractSet[str]) -> contract.Addition | None:
        """Return what would give all guests of a host that cannot be emptied a place, as the steps so far leave the fleet."""
        part, request = self._emptying(name, self._now, closed, self._capacity)
        # Which hosts may receive is said as it was asked for.
        asked = dataclasses.replace(request.conditions, targets=self._conditions.targets)
        request = dataclasses.replace(request, conditions=asked)
        # After other steps, less might do.
        alone = not self._steps and len(self._pending) == 1
        return addition_for(part, request, self._budget, self._judge, alone)

    def _emptying(
        self,
        name: str,
        hosts: t.Mapping[str, Host],
        closed: t.AbstractSet[str],
        capacity: Capacity,
    ) -> tuple[Fleet, Request]:
        """Return what is asked of emptying one host onto any other one that may receive and is not ``closed``."""
        targets = sorted(self._may_receive - closed - {name})
        conditions = self._of_step([name], targets, capacity)
        there = {
            each: hosts[each] for each in (hosts if self._looks_at_domains else (name, *targets))
        }
        part = Fleet(there, self._first.unknown, self._first.problems)
        return part, _request(part, conditions)


def _block(
    host: str, plan: PlanBody, proven: bool, addition: contract.Addition | None
) -> MaintenanceBlock:
    """Return what keeps a host from being emptied, as ``plan`` has it."""
    whole = [plan["shortage"]] if plan["shortage"] is not None else []
    block: MaintenanceBlock = {
        "hosts": [host],
        "proven": proven,
        "sentence": _blocking(host, plan, proven),
        "unplaced": plan["unplaced"],
        "shortages": [without_places(each) for each in plan.get("shortages") or whole],
        "addition": addition,
    }
    if "cases" in plan:
        block["cases"] = plan["cases"]
    return block


def _guests_on(host: Host) -> list[Guest]:
    return guests_of(device for device in host.devices if device.in_use is not None)


def _all_of(device: Device) -> tuple[t.Any, ...]:
    """Return all of a device that decides where it can go."""
    descriptor = device.descriptor.digest if device.descriptor else None
    return (
        *(device.kind, device.type, descriptor, device.numa_node, device.supported, device.p2p),
        *(device.attributes, device.network),
    )


def _conversions(placements: t.Sequence[Placement], facts: t.Mapping[str, HostFacts]) -> int:
    """Return how many devices become ones of another type."""
    types = {
        (name, each["id"]): each["type"]
        for name in {placement["source"]["host"] for placement in placements}
        for each in facts[name]["devices"]
    }
    return sum(
        each["target"]["type"] != types[each["source"]["host"], each["source"]["id"]]
        for each in placements
    )


def _request(
    part: Fleet, conditions: Conditions, known: t.Sequence[Guest] | None = None
) -> Request:
    """Return the request for a step with the hosts that take part in it, of which the guests to be moved may be ``known``."""
    guests = known if known is not None else requested(part, conditions.drain, None, "none")
    stays = staying(part, conditions)
    return Request(guests, conditions.hosts(part), conditions, staying=stays)


def _guests_left(plan: PlanBody, request: Request) -> int:
    """Return how many guests have no place whatever is done, as far as is proven."""
    if plan["bound"] is None:
        return 0
    most = max([len(guest.devices) for guest in request.guests], default=1)
    return -(-plan["bound"]["unplaced"] // most)


def _blocking(host: str, plan: PlanBody, proven: bool) -> str:
    left = len({(each["source"]["host"], each["source"]["id"]) for each in plan["unplaced"]})
    devices = f"{counted(left, 'device')} of its guests"
    if not left:
        return f"{host} cannot be drained: with what the steps before leave, no batch was found that has places for its guests"
    end = "but whether another order has places is unproven"
    if proven:
        least = plan["bound"]["unplaced"] if plan["bound"] else left
        of_fewer = f" of {counted(least, 'device')}" if least < left else ""
        end = f"and that is proven{of_fewer}, whatever is drained before"
    return f"{host} cannot be drained: {devices} {'has' if left == 1 else 'have'} no place elsewhere, {end}"


def _sentences(plan: MaintenancePlan) -> list[str]:
    """Return the conclusion of the plan, and its steps in the order in which they are taken."""
    blocked = plan["blocked"]
    emptied, moves, guests = len(plan["order"]), plan["moves"], plan["guests"]
    found = [
        f"{counted(emptied, 'host')} in {counted(len(plan['steps']), 'step')}, with {counted(moves, 'move')} of {counted(guests, 'guest')}"
    ]
    if blocked is not None:
        found.append(blocked["sentence"])
    elif plan["status"] == "optimal":
        found[0] += "; this is the minimum"
    for number, each in enumerate(plan["steps"], 1):
        of_step: t.Any = {"placements": each["placements"], "conditions": plan["conditions"]}
        turns = turns_in_words(of_step)
        words = "; ".join([counted(each["moves"], "move"), each["why"], *turns])
        found.append(f"step {number}: {listed(each['hosts'])}: {words}")
    return found
