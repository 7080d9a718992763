# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""What an assignment costs, and what every assignment costs at least."""

from __future__ import annotations

import math
import typing as t
from collections import Counter, defaultdict

from ansible_collections.vfio.migration.plugins.plugin_utils._packing.assignment import (
    Assignment,
    highest_domain_load,
    highest_load,
    load,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.packings import (
    Bin,
    PackingProblem,
    Packings,
    tiers,
)

# Shares of parents are added as floating-point numbers.
_TOLERANCE = 1e-6


class Cost(t.NamedTuple):
    """What a plan is judged by. Costs compare in lexicographic order: the first number that differs decides.

    How many devices are left behind, do not go where a target was made for them, go to bins that are not preferred, and are
    created; how many devices there are in the fullest domain that takes in any, where they are to be spread over domains; how many
    in the fullest such bin, where they are to be spread; how many parents are opened, where they are to be packed; and how many
    devices become ones of another type.
    """

    unplaced: int = 0
    remade: int = 0
    not_preferred: int = 0
    created: int = 0
    domain_load: int = 0
    load: int = 0
    opened: int = 0
    other_type: int = 0


def cost_of(
    assignment: Assignment,
    devices: int,
    spread: bool,
    bins: t.Sequence[Bin] = (),
    domain_loads: t.Mapping[int, int] | None = None,
) -> Cost:
    """Return the cost of an assignment of so many ``devices``. What is remade is the caller's to add.

    Where devices are to be spread, those that are in the ``bins`` already count, and those in their domains, as ``domain_loads``
    has them, if these matter; so does which of the bins are not preferred.
    """
    loads = [load(contents) for contents in assignment.values()]
    total = sum([p.cost for contents in assignment.values() for _item, p in contents])
    created, opened, other_type = tiers(total)
    return Cost(
        unplaced=devices - sum(loads),
        not_preferred=sum(
            [
                load(assignment[n])
                for n, each in enumerate(bins)
                if not each.preferred and n in assignment
            ]
        ),
        created=created,
        domain_load=0
        if domain_loads is None
        else highest_domain_load(assignment, bins, domain_loads),
        load=highest_load(assignment, bins) if spread else 0,
        opened=opened,
        other_type=other_type,
    )


def lower_bound(problem: PackingProblem, packings: Packings, cost: Cost) -> Cost:
    """Return what an assignment costs at least that places every item, and is no worse than one that costs ``cost``.

    Items that no bin takes are left out. Where such assignments must be equal to ``cost`` in one number, the bound of
    the next one is for these alone.
    """
    items = [item for item in problem.items if packings.bin_types_for(item.demands)]
    multisets = Counter([item.demands for item in items])
    demands: Counter[int] = Counter()
    for multiset, count in multisets.items():
        for demand in multiset:
            demands[demand] += count
    alone = 0
    if not packings.incomplete:
        alone = sum([count * packings.least(each) for each, count in multisets.items()])
    created, _opened, other_type = tiers(alone)
    if cost.created != created:
        other_type = _least_other_type(problem, packings, demands)
    sizes = [len(item.demands) for item in items]
    loads = [each.load for each in problem.bins]
    in_domains = problem.domain_loads
    domains = {domain for each in problem.bins for domain in each.domains}
    return Cost(
        not_preferred=_least_not_preferred(problem, packings, demands),
        created=created,
        # A device that is in several domains makes all of them fuller.
        domain_load=0
        if in_domains is None
        else _least_load([in_domains.get(each, 0) for each in domains], sizes),
        load=_least_load(loads, sizes) if problem.spread else 0,
        opened=0 if problem.spread else _least_opened(problem, packings, demands),
        other_type=other_type,
    )


def _least_not_preferred(
    problem: PackingProblem, packings: Packings, demands: t.Mapping[int, int]
) -> int:
    """Return how many devices go to bins that are not preferred, if the others are filled with whatever they take."""
    if all(each.preferred for each in problem.bins):
        return 0
    there = Counter(
        [resource for each in problem.bins if each.preferred for resource in each.state]
    )
    takers = {demand: there.keys() & packings.takers[demand] for demand in demands}
    nowhere = sum([count for demand, count in demands.items() if not takers[demand]])
    used = set[int]().union(*takers.values())
    slots = sum([problem.resources.free_slots(each) * there[each] for each in used])
    return max(nowhere, sum(demands.values()) - slots)


def _least_other_type(
    problem: PackingProblem, packings: Packings, demands: t.Mapping[int, int]
) -> int:
    """Return how many devices become ones of another type, if each keeps its type wherever that can be."""
    return sum(
        count
        * min(
            tiers(transition.cost)[2]
            for resource in packings.takers[demand]
            for transition in problem.resources.transitions(resource, demand)
        )
        for demand, count in demands.items()
    )


def _least_load(there: t.Iterable[int], sizes: t.Sequence[int]) -> int:
    """Return the load of the fullest bin, or domain, that takes in any, if devices could be spread evenly over what is ``there``."""
    loads = sorted(there)
    if not sizes or not loads:
        return 0
    # Fill up the emptiest, one more at a time, until all devices are in them below the next one's load.
    left, level = sum(sizes), loads[0]
    for number, load_there in enumerate(loads):
        below = (load_there - level) * number
        if below >= left:
            break
        left, level = left - below, load_there
    else:
        number = len(loads)
    return max(level - (-left // number), loads[0] + max(sizes))


def _least_opened(problem: PackingProblem, packings: Packings, demands: t.Mapping[int, int]) -> int:
    """Return how many parents are opened, if what must be created fills them without a gap.

    Each such device takes its share of a parent of its component, open already or not yet.
    """
    resources = problem.resources
    needed: dict[int, float] = defaultdict(float)
    open_already = set()
    for demand, count in demands.items():
        takers = packings.takers[demand]
        shares = []
        for resource in takers:
            for transition in resources.transitions(resource, demand):
                created, opened, _other_type = tiers(transition.cost)
                after = transition.successor
                remains = 0 if after is None else resources.residual(after)
                shares.append(resources.residual(resource) - remains if created else 0)
                if created and not opened:
                    open_already.add(resource)
        needed[packings.component(min(takers))] += count * min(shares)
    if open_already:
        there = Counter([resource for each in problem.bins for resource in each.state])
        for resource in open_already:
            needed[packings.component(resource)] -= there[resource] * resources.residual(resource)
    return sum([max(0, math.ceil(share - _TOLERANCE)) for share in needed.values()])
