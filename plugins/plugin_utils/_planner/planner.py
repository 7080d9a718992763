# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Plans: a request becomes a plan that is verified. Pure."""

from __future__ import annotations

import functools
import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._compat.candidates import Candidates
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import Fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import uncollected
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.local_search import Budget
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.plan_document import (
    Document,
    Draft,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.previous_plan import (
    Facts,
    PreviousPlan,
    digests,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.problem import Exclusions
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import Request
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify import violations
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.waves import Waves

Progress = t.Callable[[str], None]


def no_progress(words: str) -> None:
    """Tells nobody."""


@uncollected()
def make_plan(
    fleet: Fleet, request: Request, budget: Budget | None = None, progress: Progress = no_progress
) -> dict[str, t.Any]:
    """The plan of the public contract: ``status``, ``placements``, ``unplaced``, ``hosts`` and ``map``.

    ``progress`` is told from time to time, in words, how far it is.
    """
    candidates = Candidates(fleet, request.conditions.direction)
    blocked = Exclusions()
    cycles: list[list[int]] = []
    while True:
        begin = functools.partial(
            Draft, fleet, request, candidates, blocked, budget or Budget(), progress
        )
        draft = _drafted(begin)
        waves = Waves(request.guests, draft.placed)
        staying = draft.in_the_way()
        if not waves.blocking and not staying:
            return Document(fleet, request, candidates, draft, waves, cycles).plan()
        # Each round fewer devices are taken for ones that will be free, and fewer guests for gone, so this ends.
        blocked = Exclusions(blocked.devices | waves.blocking, blocked.guests | staying)
        cycles += waves.cycles


def _drafted(begin: t.Callable[..., Draft]) -> Draft:
    draft = begin()
    if not draft.may_hold_back:
        return draft
    # What is prepared may be in the way of the rest.
    anew = begin(anew=True)
    draft.learn(anew)
    return min(draft, anew, key=lambda each: each.cost)


def make_verified_plan(
    fleet: Fleet, facts: Facts, request: Request, earlier: t.Any, progress: Progress
) -> dict[str, t.Any]:
    """Return a plan for ``request``, checked against the ``facts`` of the fleet; raise ``FleetError``.

    What still holds of the plan ``earlier`` stays, unless less is left behind without it.
    """
    previous = PreviousPlan(earlier, request, facts) if earlier is not None else None
    changes = previous.changes if previous else []
    plan = make_plan(fleet, previous.request if previous else request, progress=progress)
    if previous and previous.request.kept and plan["unplaced"]:
        without_pins = make_plan(fleet, request, progress=progress)
        if len(without_pins["unplaced"]) < len(plan["unplaced"]):
            # What stays was in the way of the rest.
            plan, changes, previous = without_pins, previous.given_up, None
        else:
            # What is proven of every plan is so of this one.
            plan |= {key: without_pins[key] for key in ("status", "shortage")}
    progress("verifying the plan")
    broken = violations(plan, facts, request.conditions)
    if broken and previous and previous.request.kept:
        raise FleetError(f"the earlier plan does not hold: {'; '.join(broken)}")
    if broken:
        raise RuntimeError(
            f"the plan breaks its own rules, please report this: {'; '.join(broken)}"
        )
    stated = request.conditions.lasting()
    return plan | {
        "changes": changes,
        "conditions": {name: stated[name] for name in stated if name not in plan},
        "relied_on": digests(plan, facts),
    }
