# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""How old facts may be: what is not known to be of now is not believed."""

from __future__ import annotations

import datetime
import time

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.age import (
    DEFAULT_MAX_AGE,
    MAX_SKEW,
    AgeLimit,
    in_words,
    seconds,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import hold, read_fleet
from ansible_collections.vfio.migration.tests.unit.fleets import UUIDS, device, host
from hypothesis import given
from hypothesis import strategies as st

NOW = 1_800_000_000


def written(moment: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))


def facts(age: float | None, **others):
    found = host([device(UUIDS[0])])
    del found["gathered"]
    if age is not None:
        found["gathered"] = {"time": written(NOW - age), "boot": None}
    return found | others


def in_cache(found):
    return {"ansible_facts": {"vfio_migration": found}}


def problem_of(variables, max_age=None):
    """Return why a host is unknown, ``None`` where it is known; however often its facts are asked for."""
    limit = AgeLimit(NOW, max_age)
    fleet = read_fleet({"a": variables}, limit=limit)
    held = read_fleet(hold({"a": variables}), limit=limit)
    assert (fleet.unknown, fleet.problems) == (held.unknown, held.problems)
    if not fleet.unknown:
        assert (list(fleet.hosts), fleet.problems) == (["a"], [])
        return None
    (problem,) = fleet.problems
    assert problem["host"] == "a"
    return problem["problem"]


@given(st.integers(0, 2**33))
def test_a_time_is_that_of_the_clock(moment):
    assert seconds(written(moment)) == moment


@pytest.mark.parametrize(
    "none", ["", "2026-11-26", "2026-11-26T17:20:00", "2026-13-26T17:20:00Z", "2026-W01-1", 7, None]
)
def test_what_is_no_time_is_none(none):
    assert seconds(none) is None


def test_cached_facts_are_believed_for_an_hour():
    assert problem_of(in_cache(facts(DEFAULT_MAX_AGE))) is None
    problem = problem_of(in_cache(facts(3 * 3600)))
    assert problem == "the facts are 3 h old, and 1 h is the limit; gather again"


def test_the_age_is_told_by_the_option():
    assert problem_of(in_cache(facts(3 * 3600)), max_age=4 * 3600) is None
    assert "61 s" not in (problem_of(in_cache(facts(60)), max_age=60) or "")
    assert problem_of(in_cache(facts(61)), max_age=60).startswith("the facts are 1 min old")


def test_facts_that_do_not_tell_are_of_unknown_age():
    assert problem_of(in_cache(facts(None))).startswith("the facts do not say when")
    assert problem_of(in_cache(facts(None)), max_age=0) is None


def test_a_time_to_come_is_named_beyond_what_clocks_differ():
    assert problem_of(in_cache(facts(-MAX_SKEW))) is None
    problem = problem_of(in_cache(facts(-2 * 3600)))
    assert "dated 2 h in the future" in problem
    assert "clock" in problem
    assert problem_of(in_cache(facts(-2 * 3600)), max_age=0) is None


@pytest.mark.parametrize("age", [None, 10 * 365 * 86400, -86400])
def test_recorded_facts_are_believed_unless_a_limit_is_asked_for(age):
    for recorded in (facts(age), {"vfio_migration": facts(age)}):
        assert problem_of(recorded) is None
        assert problem_of(recorded, max_age=3600) is not None


@pytest.mark.parametrize("gathered", [None, [], {}, {"time": 5}, {"time": "now", "boot": None}])
def test_a_time_that_is_none_is_named_with_its_place(gathered):
    assert "gathered" in problem_of(facts(None, gathered=gathered), max_age=0)


@pytest.mark.parametrize(
    ("duration", "words"), [(0.5, "0 s"), (59, "59 s"), (3600, "1 h"), (10**6, "11 d")]
)
def test_durations_are_told_in_the_largest_unit(duration, words):
    assert in_words(duration) == words


def test_the_time_zone_of_the_control_node_is_no_matter(monkeypatch):
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    time.tzset()
    try:
        moment = datetime.datetime(2026, 11, 26, 17, 20, tzinfo=datetime.timezone.utc)
        assert seconds("2026-11-26T17:20:00Z") == moment.timestamp()
    finally:
        monkeypatch.undo()
        time.tzset()
