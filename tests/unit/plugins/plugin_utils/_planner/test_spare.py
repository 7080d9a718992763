# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What hosts are to keep free of what guests take."""

from __future__ import annotations

import typing as t

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.vfio.migration.plugins.filter.migration_plan import migration_plan
from ansible_collections.vfio.migration.tests.unit.fleets import host, vf
from hypothesis import given
from hypothesis import strategies as st

FACTS = {
    "a": host([vf(0, "vm-1", pid=1), vf(1, "vm-2", pid=2), vf(2, "vm-3", pid=3)]),
    "b": host([vf(0), vf(1), vf(2)]),
}
TAKEN = {"vm-1": {"memory": 4}, "vm-2": {"memory": 4}}


def planned(free: int, spare: t.Any, taken: t.Any = None, **asked: t.Any) -> t.Any:
    capacity = {"hosts": {"b": {"memory": free}}, "guests": TAKEN if taken is None else taken}
    return migration_plan(FACTS, drain=["a"], capacity=capacity, spare=spare, **asked)


def test_a_host_keeps_what_is_to_be_spare():
    assert planned(10, {"memory": 2})["unplaced"] == []
    plan = planned(10, {"memory": 3})
    assert plan["status"] == "unproven"
    (left,) = plan["unplaced"]
    assert left["vm"] in TAKEN
    reasons = [each for each in left["reasons"] if each["code"] == "capacity"]
    assert [each["reason"] for each in reasons] == [
        "b has 6 of its memory left, and 4 is needed, beside 3 that is to be spare"
    ]
    assert plan["conditions"]["spare"] == {"memory": 3}


def test_a_guest_that_takes_nothing_goes_where_less_is_left():
    assert [each["vm"] for each in planned(2, {"memory": 3})["placements"]] == ["vm-3"]


@given(st.integers(0, 12), st.integers(0, 12))
def test_what_is_spare_is_as_if_it_were_not_free(free, spare):
    less = {each["vm"] for each in planned(max(0, free - spare), None)["placements"]}
    assert {each["vm"] for each in planned(free, {"memory": spare})["placements"]} == less


def test_of_an_earlier_plan_with_less_spare_stays_what_leaves_enough():
    earlier = planned(8, {"memory": 0})
    plan = planned(8, {"memory": 1}, earlier=earlier)
    assert [each["vm"] for each in plan["unplaced"]] == ["vm-2"]
    assert plan["placements"] == [each for each in earlier["placements"] if each["vm"] != "vm-2"]
    (change,) = plan["changes"]
    assert (change["vm"], change["reason"]) == ("vm-2", "b has too little of its memory free now")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [(3, "spare is 3"), ({"memory": -1}, "spare"), ({"cpus": 1}, "spare has 'cpus', and no guest")],
)
def test_what_is_no_spare_is_an_error(wrong, words):
    with pytest.raises(AnsibleFilterError, match=words):
        planned(8, wrong)
