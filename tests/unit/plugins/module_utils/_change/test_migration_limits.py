# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""When a migration gets a longer downtime, and when it is given up."""

from __future__ import annotations

from ansible_collections.vfio.migration.plugins.module_utils._change.migration_limits import (
    STEP_SECONDS,
    Convergence,
    Decision,
    MigrationLimits,
    changes_per_second,
)

GROWING = MigrationLimits(downtime=300, longest_downtime=2000, timeout=3600, stall=60)


def watched(limits, remaining, seconds, stands_still=lambda now: False):
    """Return the decisions of a watch that looks once a second, with their times."""
    convergence = Convergence(limits, 0.0)
    found = []
    for now in range(1, seconds + 1):
        decision = convergence.decide(float(now), remaining(now), stands_still(now))
        if decision != Decision():
            found.append((now, decision))
            if decision.give_up:
                break
    return found


def test_a_migration_that_comes_nearer_to_its_end_is_left_alone():
    assert watched(GROWING, lambda now: 10_000 - 200 * now, 40) == []


def test_the_downtime_grows_in_steps_up_to_its_maximum_and_then_it_is_given_up():
    found = watched(GROWING, lambda now: 5000, 300)
    assert [decision.downtime for _now, decision in found] == [600, 1200, 2000, None]
    steps = [now for now, _decision in found]
    assert all(later - now >= STEP_SECONDS for now, later in zip(steps, steps[1:]))
    assert "for 60 s it has come no nearer to its end" in found[-1][1].give_up
    assert "a longer downtime than 2000 ms" in found[-1][1].give_up


def test_what_stays_about_the_same_is_no_progress():
    found = watched(GROWING, lambda now: 100_000 - now, 300)
    assert found[-1][1].give_up


def test_progress_after_a_step_starts_the_wait_anew():
    found = watched(GROWING, lambda now: 5000 if now < 12 else 5000 - 100 * (now - 11), 50)
    assert [decision.downtime for _now, decision in found] == [600]


def test_without_room_to_grow_the_downtime_stays():
    limits = MigrationLimits(downtime=500, longest_downtime=500, timeout=3600, stall=30)
    ((now, decision),) = watched(limits, lambda now: 7, 300)
    assert decision.give_up
    assert now == 32


def test_without_a_stall_only_the_timeout_ends_it():
    limits = MigrationLimits(downtime=500, longest_downtime=500, timeout=100, stall=0)
    ((now, decision),) = watched(limits, lambda now: 7, 300)
    assert now == 101
    assert "it took longer than it may, 100 s" in decision.give_up


def test_a_guest_that_stands_still_has_time_as_its_state_goes_over():
    found = watched(GROWING, lambda now: 5000, 300, stands_still=lambda now: now > 5)
    assert found == []


def test_what_nobody_knows_is_no_stall():
    assert watched(GROWING, lambda now: None, 300) == []


def test_changes_are_told_in_bytes():
    assert changes_per_second({"memory_dirty_rate": 10, "memory_page_size": 4096}) == 40960
    assert changes_per_second({"memory_dirty_rate": 10}) is None
