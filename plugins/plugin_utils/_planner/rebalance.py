# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Rebalancing: a few guests move, so that loads are more even, fewer cards are in use, or a larger guest has a place. Pure.

A plan takes only places that are free now, or with ``reuse`` those that its own moves leave, too. The value of the measure at
best after so few moves is reported beside what it is.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._compat.wording import counted, listed
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import Fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import uncollected
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.cards_in_use import CardsInUse
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.even_loads import EvenLoads
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.largest_guest import (
    LargestGuest,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.movable import (
    Measure,
    Movable,
    Moves,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.plan_document import (
    combined,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.planner import (
    make_plan,
    no_progress,
    stated_plan,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.rebalance_waves import (
    WaveSearch,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import (
    Conditions,
    Request,
    as_asked,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.solution import Progress
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify import objections
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify_rebalance import (
    rebalance_objections,
)
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import (
    HostLoad,
    HostsWithPlaces,
    Plan,
    RebalancePlan,
)

SCHEMA = 1
MEASURES = ("even", "cards", "largest")


@uncollected()
def rebalance_plan(
    fleet: Fleet,
    max_moves: int,
    conditions: Conditions,
    hosts: t.Collection[str] | None = None,
    measure: str = "even",
    device_type: str | None = None,
    progress: Progress = no_progress,
) -> RebalancePlan:
    """Return a verified plan that moves ``max_moves`` guests at most, and betters the ``measure``; raise ``FleetError``.

    ``fleet`` is all that there is; ``hosts`` are those that were asked for by name. The largest guest is one with devices of
    the type ``device_type``, which no other measure has.
    """
    # A device that no process holds need not move.
    conditions = dataclasses.replace(conditions, drain=None, free_devices="none")
    # Each step takes what is free on the facts that the steps before leave.
    of_step = dataclasses.replace(conditions, reuse=False)
    movable = Movable(fleet, max_moves, of_step, through_waves=conditions.reuse)
    found = _document(movable, conditions, measure, device_type, hosts, progress)
    facts = {name: each.facts for name, each in fleet.hosts.items()}
    broken = objections(found["plan"], facts, conditions, fleet.unknown)
    sentences = [each.sentence for each in broken] or rebalance_objections(
        found, facts, fleet.unknown
    )
    if sentences:
        raise FleetError(f"the verifier objects to the plan: {sentences[0]}")
    return found


def _measure(movable: Movable, name: str, device_type: str | None) -> Measure:
    if (device_type is None) == (name == "largest"):
        raise FleetError("device_type is given with the measure largest, and with no other")
    if device_type is not None:
        return LargestGuest(movable, device_type)
    return EvenLoads(movable) if name == "even" else CardsInUse(movable)


class _Making:
    """Makes the whole plan for moves that were found."""

    def __init__(
        self, movable: Movable, conditions: Conditions, hosts: t.Collection[str] | None
    ) -> None:
        self._fleet, self._targets = movable.fleet, movable.targets
        self._conditions, self._hosts = conditions, hosts
        self._facts = {name: each.facts for name, each in movable.fleet.hosts.items()}
        self._nothing = make_plan(
            movable.fleet, Request([], movable.targets, conditions), movable.budget
        )

    def plan(self, moves: Moves) -> Plan:
        sources = [{"host": each.host, "id": each.devices[0].id} for each in moves.guests]
        asked = as_asked(self._conditions, sources, self._hosts)
        request = Request(moves.guests, self._targets, self._conditions, asked=asked)
        plan = combined(self._fleet, self._nothing, moves.plans, self._conditions)
        return stated_plan(plan, request, [], self._facts)

    def is_sound(self, moves: Moves) -> bool:
        """Return whether the verifier has nothing against the plan for ``moves``."""
        unknown = self._fleet.unknown
        return not objections(self.plan(moves), self._facts, self._conditions, unknown)


def _document(
    movable: Movable,
    conditions: Conditions,
    name: str,
    device_type: str | None,
    hosts: t.Collection[str] | None,
    progress: Progress,
) -> RebalancePlan:
    """Return the whole document, not verified yet."""
    measure = _measure(movable, name, device_type)
    moves = measure.search(progress)
    fleet, making = movable.fleet, _Making(movable, conditions, hosts)
    if movable.through_waves:
        further = WaveSearch(
            movable, lambda then: _measure(then, name, device_type), making.is_sound
        )
        moves = further.search(moves, progress)
    bound = moves.after if moves.best else measure.bound()
    values = (measure.before(), moves.after, bound)
    # Of the largest guest, its measure has what is to be more below 0.
    before, after, best = ([abs(number) for number in each] for each in values)
    found: RebalancePlan = {
        "schema": SCHEMA,
        "measure": name,
        "device_type": device_type,
        # A host without facts may have places, too.
        "status": "optimal" if moves.after == bound and not fleet.unknown else "feasible",
        "before": before[0],
        "after": after[0],
        "bound": best[0],
        "hosts_with_places": None
        if device_type is None
        else {"before": before[1], "after": after[1], "bound": best[1]},
        "moves": len(moves.guests),
        "max_moves": movable.max_moves,
        "loads": _loads(movable, moves),
        "sentences": [],
        "plan": making.plan(moves),
    }
    found["sentences"] = _sentences(found, fleet.unknown)
    return found


def _loads(movable: Movable, moves: Moves) -> list[HostLoad]:
    after = movable.loads_after([each for plan in moves.plans for each in plan["placements"]])
    return [
        {"host": name, "before": before, "after": after[name]}
        for name, before in movable.loads.items()
    ]


# For each measure what a move does, and what a plan of the least would be.
_WORDS = {
    "even": ("makes loads more even", "is more even"),
    "cards": ("empties a card", "empties more cards"),
    "largest": ("gives a larger guest a place, or as large ones more", "does better"),
}


def _sentences(found: RebalancePlan, unknown: t.Sequence[str]) -> list[str]:
    """Return the conclusion of the plan; hosts that are ``unknown`` may have places that it does not take."""
    moves, most = found["moves"], found["max_moves"]
    does, better_is = _WORDS[found["measure"]]
    better = (
        f"no plan of {counted(most, 'move')} or fewer {better_is}"
        if found["status"] == "optimal"
        else f"that no other plan {better_is} is not proven"
    )
    without = [f"there are no usable facts of {listed(unknown)}"] if unknown else []
    if not moves:
        if not most:
            return ["nothing may move, as max_moves is 0", *without]
        return [f"nothing moves: no move was found that {does}; {better}", *without]
    waves = max(each["wave"] for each in found["plan"]["placements"])
    in_waves = f" in {counted(waves, 'wave')}" if waves > 1 else ""
    return [
        f"{counted(moves, 'guest')} {'moves' if moves == 1 else 'move'}{in_waves}; {better}",
        _comes_to(found),
        *without,
    ]


def _comes_to(found: RebalancePlan) -> str:
    if found["hosts_with_places"] is not None:
        return _largest(found, found["hosts_with_places"])
    if found["measure"] == "cards":
        in_use = f"{counted(found['before'], 'card')} {'was' if found['before'] == 1 else 'were'}"
        return f"{in_use} in use, and {found['after']:,} {'is' if found['after'] == 1 else 'are'} after that"
    before = [each["before"] for each in found["loads"]]
    after = [each["after"] for each in found["loads"]]
    return f"loads were {min(before):,} to {max(before):,} devices on a host, and are {min(after):,} to {max(after):,} after that"


def _largest(found: RebalancePlan, hosts: HostsWithPlaces) -> str:
    def words(devices: int, on: int) -> str:
        return f"{counted(devices, 'device')}, on {counted(on, 'host')}" if on else "none"

    before, after = words(found["before"], hosts["before"]), words(found["after"], hosts["after"])
    return (
        f"the most devices of {found['device_type']} for which one host has places: {before};"
        f" after that, and once what guests leave is removed: {after}"
    )
