# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whose turn it is to migrate."""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
import time
from collections import Counter

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.move_turns import (
    Route,
    TurnLimits,
    Turns,
)
from hypothesis import given, settings
from hypothesis import strategies as st

AC, AD, BC, BD = (Route(*each) for each in ("ac", "ad", "bc", "bd"))


def limits(total=9, source=9, target=9, **others):
    return TurnLimits(total, source, target, **others)


def turns(place, *ways, **given):
    return Turns(str(place), ways, limits(**given))


@pytest.mark.parametrize(
    ("ways", "given", "begun"),
    [
        ([AC, AD, AC], {}, [0, 1, 2]),
        ([AC, AD, AC], {"total": 2}, [0, 1]),
        ([AC, AD, AC], {"source": 1}, [0]),
        ([AC, AC, AD], {"target": 1}, [0, 2]),
    ],
)
def test_within_the_limits_all_begin_and_who_waits_keeps_nobody(tmp_path, ways, given, begun):
    here = turns(tmp_path, *ways, **given)
    waiting = [*range(len(ways))]
    with here.attending("a"):
        found = []
        while (number := here.begin(waiting)) is not None:
            found.append(number)
            waiting.remove(number)
    assert found == begun


RACK = {"links": {"rack": {"hosts": ["a", "d"], "moves": 1}}}


@pytest.mark.parametrize(
    ("ways", "concurrent", "begun"),
    [
        # Both hosts of a move count, with those that leave it and those that come.
        ([AC, AD], {"host": 1}, [0]),
        ([AC, AD], {"host": 1, "hosts": {"a": 2}}, [0, 1]),
        ([AC, AC, AD], {"hosts": {"c": 1}}, [0, 2]),
        # From a to d nothing moves over the link that both are behind.
        ([AC, AC, AD], RACK, [0, 2]),
    ],
)
def test_within_what_the_plan_allows_all_begin(tmp_path, ways, concurrent, begun):
    here = turns(tmp_path, *ways, concurrent=concurrent)
    waiting = [*range(len(ways))]
    found = []
    with here.attending("a"):
        while (number := here.begin(waiting)) is not None:
            found.append(number)
            waiting.remove(number)
        assert found == begun
        for each in begun:
            here.end(each, moved=True)
        assert (here.begin(waiting) is None) == (not waiting)


def test_a_guest_that_is_lost_has_its_place_on_a_link_for_good(tmp_path):
    here = turns(tmp_path, AC, AC, concurrent=RACK)
    with here.attending("a"):
        assert here.begin([0, 1]) == 0
        here.end(0, moved=False, lost=True)
        assert here.begin([1]) is None
    assert here.why_never(1) == (
        "it was not begun: 1 may migrate at a time by concurrent_moves of the plan, for the link rack, and the outcome of 1 earlier migration is unknown"
    )


def test_who_comes_first_begins_first_on_whichever_host(tmp_path):
    ways = [AC, BD, AD]
    one, other = (turns(tmp_path, *ways, total=1) for _each in range(2))
    with one.attending("a"):
        with other.attending("b"):
            # The first one is another host's, which begins it in a moment.
            assert other.begin([1]) is None
            assert one.begin([0, 2]) == 0
            one.end(0, moved=True)
            assert one.begin([2]) is None
            assert other.begin([1]) == 1
            other.end(1, moved=True)
        assert one.begin([2]) == 2


def test_a_host_that_is_not_there_yet_is_not_waited_for(tmp_path):
    here = turns(tmp_path, AC, BD, total=1)
    with here.attending("b"):
        assert here.begin([1]) == 1


def test_a_place_that_is_left_is_taken_again(tmp_path):
    one, other = (turns(tmp_path, AC, BC, target=1) for _each in range(2))
    with one.attending("a"), other.attending("b"):
        assert one.begin([0]) == 0
        assert other.begin([1]) is None
        one.end(0, moved=False)
        assert other.begin([1]) == 1


def test_what_a_process_has_ends_with_it_however_that_ends(tmp_path):
    here = turns(tmp_path, AC, BC, total=1)
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException), here.attending("a"):
            here.begin([0])
            os.write(tell, b"x")
            time.sleep(60)
        os._exit(1)
    assert os.read(told, 1) == b"x"
    with here.attending("b"):
        assert here.begin([1]) is None
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        assert here.begin([1]) == 1


def test_after_too_many_failures_none_begins_and_that_is_said(tmp_path):
    one, other = (turns(tmp_path, AC, AD, BC, BD, failures=2) for _each in range(2))
    with one.attending("a"), other.attending("b"):
        for number, moved in enumerate((False, True)):
            assert one.begin([number]) == number
            one.end(number, moved)
        assert other.stopped() is None
        assert other.begin([2, 3]) == 2
        other.end(2, moved=False)
        assert other.begin([3]) is None
    assert other.stopped() == (
        "it was not begun: 2 guests have not moved, and migrate_libvirt_max_failures is 2"
    )


def test_after_the_time_none_begins_and_that_is_said(tmp_path):
    late = turns(tmp_path, AC, not_after=time.time() - 1)
    with late.attending("a"):
        assert late.begin([0]) is None
    assert late.stopped() == "it was not begun: migrate_libvirt_not_after has passed"
    assert turns(tmp_path, AC, not_after=time.time() + 60).stopped() is None


WAYS = st.lists(st.builds(Route, st.sampled_from("abc"), st.sampled_from("xyz")), max_size=6)
# Which host asks, and whether a guest ends before.
STEPS = st.lists(st.tuples(st.integers(0, 2), st.booleans()), max_size=20)


@settings(max_examples=20)
@given(WAYS, st.integers(1, 4), st.integers(1, 3), st.integers(1, 3), STEPS)
def test_whoever_asks_when_all_begin_once_and_never_too_many_at_a_time(
    ways, total, source, target, steps
):
    hosts = sorted({way.host for way in ways})
    with tempfile.TemporaryDirectory() as place, contextlib.ExitStack() as stack:
        there = {
            host: turns(place, *ways, total=total, source=source, target=target) for host in hosts
        }
        for host, each in there.items():
            stack.enter_context(each.attending(host))
        waiting = {host: [n for n, way in enumerate(ways) if way.host == host] for host in hosts}
        moving: list[int] = []
        # In the end each host asks in turn, and each time one ends: nobody waits forever.
        last = [(number, True) for number in range(4 * len(hosts) * len(ways))]
        for number, ends in [*steps, *last] if hosts else ():
            if moving and ends:
                ended = moving.pop(0)
                there[ways[ended].host].end(ended, moved=True)
            host = hosts[number % len(hosts)]
            found = there[host].begin(waiting[host])
            if found is not None:
                waiting[host].remove(found)
                moving.append(found)
                assert len(moving) <= total
                assert max(Counter(ways[n].host for n in moving).values()) <= source
                assert max(Counter(ways[n].target for n in moving).values()) <= target
        assert not any(waiting.values())
