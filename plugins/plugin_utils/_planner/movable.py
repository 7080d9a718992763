# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What may move where a measure is to become less, and how such moves are reported. Pure."""

from __future__ import annotations

import dataclasses
import math
import typing as t
from collections import Counter

from ansible_collections.vfio.migration.plugins.plugin_utils._compat.verdict import Judge
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import (
    Fleet,
    obstacle_in_guest,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import read_fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.effort import Effort
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.packings import EFFORT
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.search import Budget
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.facts_after import facts_after
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.free_capacity import (
    once_arrived,
    part_of,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.planner import make_plan
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import (
    Conditions,
    Guest,
    Request,
    guests_of,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.solution import Progress
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify import objections
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import Placement, PlanBody

# Host and id of a device.
_Key = tuple[str, str]
# The value of a measure: numbers of which less is better, the first one before the others.
Value = tuple[int, ...]


class MovePlan(t.NamedTuple):
    """A verified plan for some guests, ``None`` where none places all; ``proven`` is whether there is none then."""

    plan: PlanBody | None
    proven: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Moves:
    """The guests that move, the plans for them, and what the measure is ``after`` that; ``best``: all ways were gone through."""

    guests: t.Sequence[Guest]
    plans: t.Sequence[PlanBody]
    after: Value
    best: bool = False


class Measure(t.Protocol):
    """What is to become less by a few moves."""

    def before(self) -> Value:
        """Return what it is now."""

    def bound(self) -> Value:
        """Return what it is at least after so few moves."""

    def after(self, placements: t.Sequence[Placement]) -> Value:
        """Return what it is once these moves are made."""

    def search(self, progress: Progress) -> Moves:
        """Return moves that make it less, if any were found."""


class Movable:
    """The guests of a fleet that may move, ``max_moves`` of them at most, those that cannot, and the hosts that may receive.

    Those that hold ``settled`` devices, by host and id, have moved already. With ``through_waves`` moves may follow others
    to what these leave.
    """

    def __init__(
        self,
        fleet: Fleet,
        max_moves: int,
        conditions: Conditions,
        through_waves: bool = False,
        settled: frozenset[_Key] = frozenset(),
        judge: Judge | None = None,
        budget: Budget | None = None,
    ) -> None:
        # This raises an error for a target that there is not.
        self.targets = conditions.hosts(fleet)
        self.fleet, self.conditions, self.max_moves = fleet, conditions, max_moves
        self.through_waves, self._settled = through_waves, settled
        self.guests: list[Guest] = []
        self.staying: list[Guest] = []
        # How many devices of each host processes hold.
        self.loads = Counter(dict.fromkeys(fleet.hosts, 0))
        for guest in guests_of(each for each in fleet.devices() if each.in_use is not None):
            stays = guest.devices[0].key in settled or any(
                obstacle_in_guest(each, guest.devices) for each in guest.devices
            )
            (self.staying if stays else self.guests).append(guest)
            self.loads[guest.host] += len(guest.devices)
        self.budget = budget or Budget(shared=Effort(EFFORT))
        self._judge = judge or Judge(conditions.direction)

    def loads_after(self, placements: t.Iterable[Placement]) -> Counter[str]:
        """Return how many devices of each host processes hold once these moves are made."""
        after = self.loads.copy()
        for each in placements:
            after[each["source"]["host"]] -= 1
            after[each["target"]["host"]] += 1
        return after

    def once_moved(self, placements: t.Sequence[Placement]) -> Movable:
        """Return what may move once these moves are made, by those facts that are known before; no guest moves again."""
        ends = {each[side]["host"] for each in placements for side in ("source", "target")}
        facts = {name: self.fleet.hosts[name].facts for name in ends}
        changed = facts_after(self.fleet.hosts, facts, placements, (), ())
        hosts = {**self.fleet.hosts, **read_fleet(changed).hosts}
        onto = {
            (each["source"]["host"], each["source"]["id"]): each["target"]["host"]
            for each in placements
        }
        moved = [
            (guest, onto[guest.devices[0].key])
            for guest in self.guests
            if guest.devices[0].key in onto
        ]
        return Movable(
            Fleet(hosts, self.fleet.unknown, self.fleet.problems),
            self.max_moves - len(moved),
            self._conditions_after(placements, moved),
            settled=self._settled
            | {(each["target"]["host"], each["target"]["id"]) for each in placements},
            judge=self._judge,
            budget=self.budget,
        )

    def _conditions_after(
        self, placements: t.Sequence[Placement], moved: t.Sequence[tuple[Guest, str]]
    ) -> Conditions:
        """Return the conditions of what moves after these moves: of what hosts may receive, that much less."""
        arrived = Counter(each["target"]["host"] for each in placements)
        limits = {name: self.conditions.limit_of(name) for name in self.fleet.hosts}
        limit = {
            name: max(0, most - arrived[name]) for name, most in limits.items() if most is not None
        }
        return dataclasses.replace(
            self.conditions,
            limit=limit or None,
            capacity=once_arrived(self.conditions.capacity, moved),
        )

    def most_arrivals(self, host: str) -> float:
        """Return how many devices a host may receive at most, as far as is known without a search for places."""
        found, limit = self.fleet.hosts[host], self.conditions.limit_of(host)
        free = sum(count for each, count in found.classes.items() if each.free)
        most = math.inf if found.equipment else free
        return most if limit is None else min(most, limit)

    def planned_to(self, host: str, guests: t.Sequence[Guest]) -> MovePlan:
        """Return a plan for ``guests`` to ``host``."""
        if sum(len(each.devices) for each in guests) > self.most_arrivals(host):
            return MovePlan(None, True)
        capacity = part_of(self.conditions.capacity, guests, [host])
        conditions = dataclasses.replace(self.conditions, targets=[host], capacity=capacity)
        if _too_heavy(host, guests, conditions):
            return MovePlan(None, True)
        # Guests that stay on another host of a failure domain must not be met either.
        by_domain = self.conditions.apart and self.conditions.failure_domains
        hosts = sorted(self.fleet.hosts if by_domain else {host, *(e.host for e in guests)})
        return self.planned(guests, conditions, hosts)

    def likeness(self, guest: Guest) -> t.Hashable:
        """Return what guests of one host have in common of which one has a place where the other has."""
        conditions = self.conditions
        if conditions.apart or conditions.avoid:
            return guest.key
        needs = conditions.needs_of(guest.name, guest.uuid)
        return (
            *sorted(needs.items()),
            *[
                (each.kind, each.type, each.descriptor, each.attributes, each.network, each.p2p)
                for each in guest.devices
            ],
        )

    def planned(
        self, guests: t.Sequence[Guest], conditions: Conditions, hosts: t.Iterable[str]
    ) -> MovePlan:
        """Return a plan for ``guests`` under ``conditions``, which looks at these ``hosts`` alone."""
        part = Fleet({name: self.fleet.hosts[name] for name in hosts})
        request = Request(guests, conditions.hosts(part), conditions)
        plan = make_plan(part, request, self.budget, explaining=Effort(0), judge=self._judge)
        if plan["unplaced"]:
            # Guests that leave the host, and those that were to be apart from them, are not looked at.
            unsure = conditions.apart or plan.get("assumptions")
            proven = plan["status"] == "infeasible" and not unsure
            return MovePlan(None, proven)
        stated: t.Any = {**plan, "conditions": conditions.stated()}
        facts = {name: each.facts for name, each in part.hosts.items()}
        broken = objections(stated, facts, conditions, part.unknown)
        return MovePlan(None if broken else plan, False)


def _too_heavy(host: str, guests: t.Sequence[Guest], conditions: Conditions) -> bool:
    """Return whether guests take more of something together than their host has free beside what is to be spare."""
    resources = conditions.resources()
    taken = [
        conditions.weights_of(each.name, each.uuid, len(each.devices), resources) for each in guests
    ]
    most = conditions.limits_of(host, resources)
    return any(sum(each) > limit for *each, limit in zip(*taken, most, strict=True))
