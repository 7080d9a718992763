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
from hypothesis import given
from hypothesis import strategies as st

GROWING = MigrationLimits(downtime=300, longest_downtime=2000, timeout=3600, stall=60)


MEBIBYTE = 1 << 20
GIBIBYTE = 1 << 30


def watched(limits, remaining, seconds, stands_still=lambda now: False, iteration=lambda now: None):
    """Return the decisions of a watch that looks once a second, with their times."""
    convergence = Convergence(limits, 0.0)
    found = []
    for now in range(1, seconds + 1):
        decision = convergence.decide(float(now), remaining(now), iteration(now), stands_still(now))
        if decision != Decision():
            found.append((now, decision))
            if decision.give_up:
                break
    return found


def sent(limits, memory, bandwidth, dirtied=0, changing=None):
    """Return what was decided of a guest that QEMU sends, at which times, and when it was on its target, if ever.

    Of its memory so many bytes change in a second, of a part of it alone if that is ``changing``.
    """
    convergence, now, found = Convergence(limits, 0.0), 0.0, []
    changing = memory if changing is None else changing
    iteration, left, begun = 1, float(memory), 0.0
    while now < limits.timeout:
        now += 0.5
        left -= bandwidth / 2
        while left <= bandwidth * convergence.downtime / 1000:
            # QEMU looks again what has changed, and switches over where it still is little enough.
            changed = min(changing, dirtied * (now - begun))
            left = max(left, 0.0) + changed
            iteration, begun = iteration + 1, now
            if left <= bandwidth * convergence.downtime / 1000:
                return found, now
            left -= bandwidth / 1000
        decision = convergence.decide(now, int(left), iteration)
        if decision != Decision():
            found.append((now, decision))
            if decision.give_up:
                break
    return found, None


@given(
    memory=st.integers(1, 4096),
    bandwidth=st.integers(10, 12_000),
    share=st.floats(0, 0.75),
    downtime=st.integers(300, 5000),
)
def test_a_guest_whose_passes_grow_shorter_gets_no_longer_downtime_than_it_began_with(
    memory, bandwidth, share, downtime
):
    limits = MigrationLimits(downtime, 64_000, timeout=10**9, stall=300)
    rate = bandwidth * MEBIBYTE
    found, arrived = sent(limits, memory * GIBIBYTE, rate, dirtied=share * rate)
    assert found == []
    assert arrived is not None


@given(
    memory=st.integers(64, 512),
    bandwidth=st.integers(50, 1200),
    seconds=st.floats(0.5, 15),
    downtime=st.integers(300, 800),
)
def test_a_guest_that_changes_all_of_a_part_of_its_memory_gets_the_downtime_that_it_takes(
    memory, bandwidth, seconds, downtime
):
    rate = bandwidth * MEBIBYTE
    changing = rate * seconds
    limits = MigrationLimits(downtime, 64_000, timeout=10**9, stall=300)
    found, arrived = sent(limits, memory * GIBIBYTE, rate, dirtied=10 * rate, changing=changing)
    assert arrived is not None
    assert all(decision.give_up is None for _now, decision in found)
    # Nothing is known before the first pass is over.
    assert all(now >= memory * GIBIBYTE / rate - seconds for now, _decision in found)
    # Each step is of two, and one may come before it is seen what the one before was worth.
    longest = max([decision.downtime for _now, decision in found], default=downtime)
    assert longest <= max(downtime, 8 * 1000 * seconds)


@given(
    memory=st.integers(64, 1024),
    bandwidth=st.integers(100, 1200),
    begins=st.floats(0, 1),
    ends=st.floats(0, 1),
)
def test_a_guest_that_was_busy_for_a_while_in_the_first_pass_is_not_given_up(
    memory, bandwidth, begins, ends
):
    """In the second pass nobody knows that the third one is short: it may be as long as the first."""
    rate, size = bandwidth * MEBIBYTE, memory * GIBIBYTE
    limits = MigrationLimits(2000, 2000, timeout=10**9, stall=300)
    convergence, now = Convergence(limits, 0.0), 0.0
    for iteration, start in ((1, size), (2, size * abs(ends - begins)), (3, 0)):
        left = float(start)
        while left > 0:
            assert convergence.decide(now, int(left), iteration).give_up is None
            now, left = now + 0.5, left - rate / 2


def test_a_guest_that_changes_more_than_the_longest_downtime_allows_is_given_up():
    found, arrived = sent(GROWING, 8 * GIBIBYTE, 1 * GIBIBYTE, dirtied=2 * GIBIBYTE)
    assert arrived is None
    assert [decision.downtime for _now, decision in found] == [600, 1200, 2000, None]
    assert "come no nearer to its end" in found[-1][1].give_up


def test_a_pass_of_which_nothing_is_sent_gets_no_longer_downtime_and_is_given_up():
    ((now, decision),) = watched(
        GROWING, lambda now: max(5000, 10_000 - 500 * now), 300, iteration=lambda now: 1
    )
    assert now == 71
    assert "nothing of it was sent" in decision.give_up


def test_a_state_that_is_not_counted_with_what_is_left_gets_a_longer_downtime():
    """A device's state that is sent at the end keeps QEMU passing over memory of which nothing is left."""
    found = watched(GROWING, lambda now: max(0, 5000 - 1000 * now), 60, iteration=lambda now: now)
    assert [decision.downtime for _now, decision in found] == [600, 1200, 2000]


def test_a_state_that_is_sent_as_fast_as_it_changes_in_the_first_pass_gets_a_longer_downtime():
    convergence = Convergence(GROWING, 0.0)
    found = [
        convergence.decide(float(now), max(0, 5000 - 1000 * now), 1, sent=1000 * now).downtime
        for now in range(1, 40)
    ]
    assert [each for each in found if each] == [600, 1200, 2000]


def test_disks_that_are_copied_first_are_no_pass_of_memory():
    found = watched(
        GROWING,
        lambda now: 3000 - 100 * now if now < 30 else 90_000 - 100 * now,
        300,
        iteration=lambda now: None if now < 30 else 1,
    )
    assert found == []


def test_a_migration_that_comes_nearer_to_its_end_is_left_alone():
    assert watched(GROWING, lambda now: 10_000 - 200 * now, 40) == []


def test_the_downtime_grows_in_steps_up_to_its_maximum_and_then_it_is_given_up():
    found = watched(GROWING, lambda now: 5000, 300)
    assert [decision.downtime for _now, decision in found] == [600, 1200, 2000, None]
    steps = [now for now, _decision in found]
    assert all(later - now >= STEP_SECONDS for now, later in zip(steps, steps[1:]))
    assert "for 60 s it has come no nearer to its end" in found[-1][1].give_up
    assert "a longer downtime than 2000 ms" in found[-1][1].give_up


def refusing(remaining, seconds, accepts):
    """Return the decisions of a watch of which only those steps are taken that ``accepts`` lets pass, with their times and what holds then."""
    convergence = Convergence(GROWING, 0.0)
    found = []
    for now in range(1, seconds + 1):
        decision = convergence.decide(float(now), remaining(now))
        if decision.downtime is not None and not accepts(now):
            convergence.refused("it is busy")
        if decision != Decision():
            found.append((now, decision, convergence.downtime, convergence.refusal))
            if decision.give_up:
                break
    return found


def test_a_step_that_is_refused_holds_nothing_and_is_tried_again():
    found = refusing(lambda now: 5000, 300, lambda now: now > 20)
    assert [decision.downtime for _now, decision, *_rest in found] == [600, 600, 1200, 2000, None]
    assert [rest for _now, _decision, *rest in found[:3]] == [
        [300, "it is busy"],
        [600, None],
        [1200, None],
    ]
    steps = [now for now, *_rest in found]
    assert all(later - now >= STEP_SECONDS for now, later in zip(steps, steps[1:]))


def test_a_migration_whose_steps_are_all_refused_is_given_up_as_one_without_room_to_grow():
    found = refusing(lambda now: 5000, 300, lambda now: False)
    now, decision, *_rest = found[-1]
    assert now == 62
    assert {each for _now, _decision, each, _why in found} == {300}
    assert "it gets no longer downtime than 300 ms: it is busy" in decision.give_up


def test_a_refusal_is_forgotten_when_it_comes_nearer_to_its_end_without_the_step():
    convergence = Convergence(GROWING, 0.0)
    for now in range(1, 12):
        if convergence.decide(float(now), 5000).downtime:
            convergence.refused("it is busy")
    assert convergence.refusal == "it is busy"
    convergence.decide(12.0, 100)
    assert (convergence.downtime, convergence.refusal) == (300, None)


def test_passes_that_stay_about_the_same_are_no_progress():
    found = watched(GROWING, lambda now: 100_000 - 10_000 * (now % 5) - now, 300)
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
