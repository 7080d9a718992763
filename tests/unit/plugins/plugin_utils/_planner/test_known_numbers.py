# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Known numbers: which problems are known to have been posed before, and what keeps their numbers the same."""

from __future__ import annotations

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import read_fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._planner import known_numbers
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.known_numbers import (
    KnownNumbers,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.problem import (
    Problem,
    pose,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import (
    Request,
    requested,
)
from ansible_collections.vfio.migration.tests.unit.fleets import host, vf

NAMES = [f"{kind}{guests}{place}" for kind in "vw" for guests in range(1, 7) for place in "ab"]
# Equal descriptors of one fleet are one.
FLEET = read_fleet(
    {
        name: host(
            [vf(n, f"{name}-{n}", name[0], pid=1 + n) for n in range(int(name[1]))],
        )
        for name in NAMES
    }
    | {name: host([vf(n, kind="v") for n in range(4)]) for name in ("target-a", "target-b")}
)


def posed(guests: int, place: str = "a", kind: str = "v") -> Problem:
    """Return the problem to move so many guests away from one of two hosts that have as many."""
    name = f"{kind}{guests}{place}"
    return pose(FLEET, Request(requested(FLEET, [name], None), [f"target-{place}"]))


@pytest.mark.parametrize("in_between", [1, 2, 3])
def test_those_are_known_that_came_last(monkeypatch, in_between):
    monkeypatch.setattr(known_numbers, "_MOST", 3)
    known = KnownNumbers()
    # A fleet may have any number of other hosts first.
    for guests in (4, 5, 6):
        known.of(posed(guests))
    first = known.of(posed(1, "a"))
    for number in range(in_between):
        known.of(posed(4 + number))
    again = known.of(posed(1, "b"))
    assert (again is first) is (in_between < 3)


def test_who_is_come_to_again_is_known_longer(monkeypatch):
    monkeypatch.setattr(known_numbers, "_MOST", 2)
    known = KnownNumbers()
    first = known.of(posed(1))
    for guests in (2, 3, 4):
        known.of(posed(guests))
        assert known.of(posed(1)) is first


def test_nothing_else_gets_a_number_once_problems_go_by_the_same_ones():
    known = KnownNumbers()
    one, other = posed(1, "a"), posed(1, "b")
    of_one = known.of(one)
    assert of_one is not None
    assert known.of(other) is of_one
    for each in (one, other):
        (guest,) = each.request.guests
        assert each.resources.demand_of(guest.devices[0]) == 0
        of_another_kind = FLEET.hosts["w1a"].devices[0]
        with pytest.raises(RuntimeError, match="number of its own"):
            each.resources.demand_of(of_another_kind)
        with pytest.raises(RuntimeError, match="number of its own"):
            each.resources.group_of(of_another_kind)


def test_what_came_to_be_before_problems_are_compared_counts():
    known, asked = KnownNumbers(), posed(1)
    (resource,) = asked.bins[0].state
    assert asked.resources.transitions(resource, 0)
    assert known.of(asked) is not known.of(posed(1))


@pytest.mark.parametrize("is_sealed", [False, True])
def test_what_is_known_is_adopted_by_equal_ones_alone(is_sealed):
    one, other = posed(1), posed(1, kind="v" if not is_sealed else "w")
    one.resources.sealed()
    if is_sealed:
        other.resources.sealed()
    with pytest.raises(RuntimeError, match="equal ones"):
        other.resources.adopt(one.resources)
