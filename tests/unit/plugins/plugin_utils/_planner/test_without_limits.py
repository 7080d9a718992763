# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What limits and capacity leave behind is no proof, however guests depend on each other."""

from __future__ import annotations

import dataclasses
import random
import typing as t

import pytest
from ansible_collections.vfio.migration.plugins.filter.migration_headroom import (
    migration_headroom,
)
from ansible_collections.vfio.migration.plugins.filter.migration_plan import migration_plan
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import read_fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.planner import make_plan
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import (
    Conditions,
    Request,
    requested,
)
from ansible_collections.vfio.migration.tests.unit.exact_plans import ExactPlans
from ansible_collections.vfio.migration.tests.unit.fleets import host, vf

# The one has a place on b or c, the other on c alone: there both would be together.
APART = {
    "a": host([vf(0, "one", kind="w"), vf(1, "other")]),
    "b": host([vf(8, kind="w")]),
    "c": host([vf(8), vf(9, kind="w")]),
}
TAKES = {"one": {"memory": 1}}
LIMIT = "the limit that was asked for keeps b from receiving more"
CAPACITY = "the capacity that was stated keeps b from receiving more"


@pytest.mark.parametrize(
    ("options", "assumed"),
    [
        ({"limit": {"b": 0}}, LIMIT),
        ({"capacity": {"hosts": {"b": {"memory": 0}, "c": {"memory": 9}}}}, CAPACITY),
        ({"capacity": {"hosts": {"c": {"memory": 9}}}}, CAPACITY),
        (
            {
                "capacity": {"hosts": {"b": {"memory": 2}, "c": {"memory": 9}}},
                "spare": {"memory": 2},
            },
            CAPACITY,
        ),
    ],
)
@pytest.mark.parametrize(
    "apart",
    [
        {"apart": [["one", "other"]]},
        {"apart": [["one", "other"]], "failure_domains": {"rack": ["c"]}},
        {
            "apart": [["one", "other"]],
            "sources": ["one", "other"],
            "targets": ["b", "c"],
            "reuse": True,
            "drain": None,
        },
    ],
)
def test_who_is_apart_from_one_that_a_limit_keeps_from_a_host_may_have_a_place_without_it(
    options, assumed, apart
):
    if "capacity" in options:
        options = {**options, "capacity": {**options["capacity"], "guests": TAKES}}
    plan = migration_plan(APART, **{"drain": ["a"], **apart, **options})
    assert (plan["status"], plan["assumptions"]) == ("unproven", [assumed])
    assert not migration_plan(APART, **{"drain": ["a"], **apart})["unplaced"]
    if "sources" not in apart:
        (cause,) = (
            each
            for each in migration_headroom(APART, **apart, **options)["causes"]
            if each["subjects"][0]["name"] == "a"
        )
        assert (cause["status"], cause["assumptions"]) == ("unproven", [assumed])


def test_a_limit_that_only_several_guests_together_exceed_may_be_in_the_way():
    fleet = {
        "a": host([vf(n, name) for n, name in enumerate(("great", "small-1", "small-2"))]),
        "b": host([vf(8), vf(9)]),
        "c": host([vf(8), vf(9)]),
    }
    asked: dict[str, t.Any] = {
        "apart": [["great", "small-1"], ["great", "small-2"]],
        "avoid": [{"host": "c", "guest": "great"}],
    }
    assert not migration_plan(fleet, drain=["a"], **asked)["unplaced"]
    plan = migration_plan(fleet, drain=["a"], limit={"c": 1}, **asked)
    assert plan["status"] == "unproven"
    assert plan["assumptions"] == ["the limit that was asked for keeps c from receiving more"]
    # With nothing for one of them, that one is proven whatever the limit is.
    asked["avoid"].append({"host": "b", "guest": "great"})
    plan = migration_plan(fleet, drain=["a"], limit={"c": 1}, **asked)
    assert (plan["status"], plan["bound"]["unplaced"]) == ("infeasible", 1)


def tight(chance: random.Random):
    """Draw a tiny fleet in which hosts have places that a limit or the capacity keeps empty, and guests that are to be apart."""
    names = [f"vm-{n}" for n in range(chance.randint(2, 4))]
    source = [
        vf(8 * n + k, name, kind=chance.choice("vw"), pid=n + 1)
        for n, name in enumerate(names)
        for k in range(chance.choice((1, 1, 1, 2)))
    ]
    targets = "bcd"[: chance.randint(2, 3)]
    facts = {"a": host(source)}
    facts |= {
        name: host([vf(n, kind=chance.choice("vw")) for n in range(chance.randint(1, 3))])
        for name in targets
    }
    limit = {name: chance.randint(0, 2) for name in targets if chance.random() < 0.7}
    memory = {name: {"memory": chance.randint(0, 3)} for name in targets}
    takes = {name: {"memory": chance.randint(0, 2)} for name in names}
    asked: dict[str, t.Any] = chance.choice(
        [{"limit": limit}, {"capacity": {"hosts": memory, "guests": takes}}]
    )
    avoid = {"host": chance.choice(targets), "guest": chance.choice(names)}
    conditions = Conditions.parse(
        {
            "drain": ["a"],
            "apart": [chance.sample(names, chance.randint(2, len(names))) for _group in range(2)],
            "avoid": [avoid] if chance.random() < 0.5 else [],
            "failure_domains": {"rack": [*targets[:2]]} if chance.random() < 0.2 else {},
            **asked,
        }
    )
    fleet = read_fleet(facts)
    return fleet, Request(requested(fleet, ["a"], None), [*targets], conditions)


@pytest.mark.parametrize(
    "seeds", [range(begin, begin + 50) for begin in range(0, 200, 50)], ids=str
)
def test_nothing_is_proven_that_holds_with_limits_only(seeds):
    for seed in seeds:
        fleet, request = tight(random.Random(seed))
        plan = make_plan(fleet, request)
        if plan["status"] != "infeasible":
            continue
        conditions = dataclasses.replace(request.conditions, limit=None, capacity={}, spare={})
        free = dataclasses.replace(request, conditions=conditions)
        least = ExactPlans(fleet, free).least_by_trying()
        assert plan["bound"]["unplaced"] <= least[0], f"fleet {seed}"
