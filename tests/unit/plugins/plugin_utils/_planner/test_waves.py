# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The order of moves that wait for each other."""

from __future__ import annotations

from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import read_fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.backing import Placement
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import (
    Guest,
    requested,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.resources import Choice
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.waves import Waves
from ansible_collections.vfio.migration.tests.unit.fleets import device, host
from hypothesis import event, given
from hypothesis import strategies as st


def one_device_each(count: int) -> list[Guest]:
    """Return guests of one device, each on a host of its own."""
    fleet = read_fleet(
        {
            f"host-{n}": host([device(f"{n:08x}-1111-4222-8333-444444444444", vm=f"vm-{n}")])
            for n in range(count)
        }
    )
    return requested(fleet, None, [f"vm-{n}" for n in range(count)])


def waves_of(moves: dict[int, int], count: int) -> tuple[Waves, list[Guest]]:
    """Return the waves where each guest in ``moves`` goes to another's device, which nobody holds from number ``count`` on."""
    guests = one_device_each(max([count, *(each + 1 for each in moves.values())]))
    placed = [
        Placement(
            guest, guests[guest].devices[0], guests[to].host, Choice(), guests[to].devices[0], None
        )
        for guest, to in moves.items()
    ]
    return Waves(guests[:count], placed), guests


def test_a_guest_waits_for_the_one_whose_device_it_gets():
    waves, _guests = waves_of({0: 1, 1: 2, 2: 3}, 3)
    assert [waves.number(guest) for guest in range(3)] == [3, 2, 1]
    assert (waves.cycles, waves.blocking) == ([], frozenset())


def test_a_circle_is_named_and_one_of_its_devices_is_given_up():
    waves, guests = waves_of({0: 1, 1: 2, 2: 0, 3: 0}, 4)
    assert [sorted(cycle) for cycle in waves.cycles] == [[0, 1, 2]]
    assert waves.blocking == {guests[0].devices[0].key}


def test_the_device_of_a_guest_that_stays_is_none_to_wait_for():
    waves, guests = waves_of({0: 1}, 2)
    assert waves.blocking == {guests[1].devices[0].key}


@given(st.integers(2, 8), st.data())
def test_the_order_always_works_and_circles_are_circles(count, data):
    targets = data.draw(st.permutations(range(count + 2)))
    moves = {n: to for n, to in enumerate(targets[:count]) if to != n and data.draw(st.booleans())}
    waves, guests = waves_of(moves, count)
    event(f"{len(waves.cycles)} circles")
    for cycle in waves.cycles:
        assert [moves[guest] for guest in cycle] == [*cycle[1:], cycle[0]]
    blocked = {n for n, guest in enumerate(guests) if guest.devices[0].key in waves.blocking}
    staying = {to for to in moves.values() if to < count and to not in moves}
    assert blocked == staying | {min(cycle) for cycle in waves.cycles}
    if not blocked:
        occupied = set(range(count))
        for wave in range(1, count + 1):
            moving = {guest for guest in moves if waves.number(guest) == wave}
            assert not {moves[guest] for guest in moving} & occupied
            occupied = (occupied - moving) | {moves[guest] for guest in moving}
        assert sorted(occupied) == sorted(moves.get(n, n) for n in range(count))
