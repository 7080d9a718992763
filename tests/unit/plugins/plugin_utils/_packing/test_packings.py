# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The packings of one item into one bin, beside those that trying every place of every device finds."""

from __future__ import annotations

from ansible_collections.vfio.migration.plugins.plugin_utils._packing.packings import (
    Bin,
    Item,
    PackingProblem,
    Packings,
)
from ansible_collections.vfio.migration.tests.unit.resources import (
    Parent,
    Pool,
    Resources,
    ends,
    problems,
)
from hypothesis import given


@given(problems(items=2, bins=2))
def test_packings_are_all_that_there_are_and_no_others(problem):
    packings = Packings(problem)
    for item in problem.items:
        for each in problem.bins:
            found = packings.all(each.state, item.demands)
            there = ends(problem.resources, each.state, item.demands)
            least = {after: min(cost for end, cost in there if end == after) for after, _c in there}
            assert {packing.after: packing.cost for packing in found}.items() <= least.items()
            assert packings.incomplete or len(found) == len(least)
            best = packings.best(each.state, item.demands)
            assert (best is None) == (not there) or packings.unsure


def test_devices_of_an_item_are_in_different_places_where_that_is_asked():
    resources = Resources(apart=True)
    demands = (resources.demands.index((0, 1)), resources.demands.index((0, None)))
    parents = [resources.number(Parent(0, None, 0, node)) for node in (0, 1)]
    pool = resources.number(Pool(0, 2, 0))
    for state, fits in (([parents[0], pool], False), ([parents[1], pool], True), (parents, False)):
        problem = PackingProblem(resources, [Item(demands)], [Bin(tuple(sorted(state)))])
        assert (Packings(problem).best(problem.bins[0].state, demands) is not None) == fits
