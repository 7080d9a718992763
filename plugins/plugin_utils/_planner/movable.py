# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What may move where a measure is to become less, and how a way to do so is told. Pure."""

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
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.effort import Effort
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.packings import EFFORT
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.search import Budget
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.planner import make_plan
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import (
    Conditions,
    Guest,
    Request,
    guests_of,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.solution import Progress
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify import objections
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import PlanBody

# What a measure comes to: numbers of which less is better, the first one before the others.
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

    def search(self, progress: Progress) -> Moves:
        """Return moves that make it less, if any were found."""


class Movable:
    """The guests of a fleet that may move, ``max_moves`` of them at most, those that cannot, and the hosts that may receive."""

    def __init__(self, fleet: Fleet, max_moves: int, conditions: Conditions) -> None:
        # This raises an error for a target that there is not.
        self.targets = conditions.hosts(fleet)
        self.fleet, self.conditions, self.max_moves = fleet, conditions, max_moves
        self.guests: list[Guest] = []
        self.staying: list[Guest] = []
        # How many devices of each host somebody holds.
        self.loads = Counter(dict.fromkeys(fleet.hosts, 0))
        for guest in guests_of(each for each in fleet.devices() if each.in_use is not None):
            stays = any(obstacle_in_guest(each, guest.devices) for each in guest.devices)
            (self.staying if stays else self.guests).append(guest)
            self.loads[guest.host] += len(guest.devices)
        self.budget = Budget(shared=Effort(EFFORT))
        self._judge = Judge(conditions.direction)

    def most_arrivals(self, host: str) -> float:
        """Return how many devices a host may receive at most, as far as can be told without looking for places."""
        found, limit = self.fleet.hosts[host], self.conditions.limit_of(host)
        free = sum(count for each, count in found.classes.items() if each.free)
        most = math.inf if found.equipment else free
        return most if limit is None else min(most, limit)

    def planned(
        self, guests: t.Sequence[Guest], conditions: Conditions, hosts: t.Iterable[str]
    ) -> MovePlan:
        """Return a plan for ``guests`` under ``conditions``, which looks at these ``hosts`` alone."""
        part = Fleet({name: self.fleet.hosts[name] for name in hosts})
        request = Request(guests, conditions.hosts(part), conditions)
        plan = make_plan(part, request, self.budget, explaining=Effort(0), judge=self._judge)
        if plan["unplaced"]:
            # Who leaves the host, and who was to be apart from them, is not looked at.
            unsure = conditions.apart or plan.get("assumptions")
            proven = plan["status"] == "infeasible" and not unsure
            return MovePlan(None, proven)
        stated: t.Any = {**plan, "conditions": conditions.stated()}
        facts = {name: each.facts for name, each in part.hosts.items()}
        broken = objections(stated, facts, conditions, part.unknown)
        return MovePlan(None if broken else plan, False)
