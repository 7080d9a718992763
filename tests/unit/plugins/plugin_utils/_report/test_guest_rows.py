# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A plan guest by guest, and the places that are left."""

from __future__ import annotations

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.plan_options import plan_for
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.report_options import (
    report_for,
)
from ansible_collections.vfio.migration.tests.unit import cards
from ansible_collections.vfio.migration.tests.unit.fleets import UUIDS, device, gvt, host, parent
from ansible_collections.vfio.migration.tests.unit.report_fleets import fleets, two_of_three
from hypothesis import given


def section(facts, **options):
    return report_for(facts, plan=plan_for(facts, **options))["plan"]


def test_who_stays_comes_first_with_why_and_what_would_help():
    stays, moves = section(two_of_three(), drain=["a"])["guests"]
    assert (stays["vm"], stays["to"], stays["wave"], stays["becomes"]) == ("vm-2", None, None, [])
    assert stays["why"] == "it cannot migrate (driver x never supports it)"
    assert "shut the guest down" in stays["remedy"]
    assert (moves["vm"], moves["host"], moves["to"]) == ("vm-1", "a", "b")
    assert [each["id"] for each in moves["devices"]] == UUIDS[:2]
    assert moves["hardware"] == ["2 x i915-GVTg_V5_4"]
    assert (moves["why"], moves["remedy"]) == (None, None)


def test_guests_of_one_name_are_not_one():
    facts = {
        "a": host([device(UUIDS[n], vm="twin", pid=n + 1) for n in range(2)]),
        "b": host(parents=[parent()]),
    }
    assert len(section(facts, drain=["a"])["guests"]) == 2


@given(fleets())
def test_every_device_is_in_one_row(facts):
    plan = plan_for(facts, drain=[next(iter(facts))])
    report = report_for(facts, plan=plan)["plan"]
    rows = [each["id"] for row in report["guests"] for each in row["devices"]]
    assert sorted(rows) == sorted(
        each["source"]["id"] for each in [*plan["placements"], *plan["unplaced"]]
    )
    assert all((row["to"] is None) == bool(row["why"]) for row in report["guests"])


@pytest.mark.parametrize(
    ("guests", "size", "target", "before", "after"),
    [
        (1, 24, cards.guests(0, 24) | {"parents": cards.parents(number=4)}, 2, 1),
        (2, 8, cards.guests(0, 8) | {"parents": cards.parents(number=4)}, 4, 2),
        (1, 12, cards.guests(1, 12) | {"parents": cards.parents(number=4, taken=[0])}, 3, 2),
    ],
)
def test_what_is_left_on_a_card_is_told(guests, size, target, before, after):
    facts = {"a": cards.guests(guests, size), "b": target}
    (left,) = section(facts, drain=["a"])["capacity"]
    assert left == {
        "host": "b",
        "type": f"NVIDIA A40-{size}Q ({cards.SIZES[size][0]})",
        "before": before,
        "after": after,
    }


def test_what_is_left_of_a_parent_that_its_types_share_is_told():
    facts = {"a": host([device(UUIDS[0], vm="vm")]), "b": host(parents=[parent()])}
    (left,) = section(facts, drain=["a"])["capacity"]
    # Of the four instances that there are one takes two, by its aggregator.
    assert left["type"] == "i915-GVTg_V5_4, 2 instances each"
    assert (left["before"], left["after"]) == (2, 1)


def test_an_mdev_that_is_there_takes_nothing_more_of_its_parent():
    """Its type is none of those that the parent still offers."""
    guests = [device(UUIDS[0], gvt("8", "4"), vm="vm-8"), device(UUIDS[1], vm="vm-4", pid=5)]
    facts = {
        "a": host(guests),
        "b": host([device(UUIDS[2], gvt("8", "4"))], [parent(available={"i915-GVTg_V5_4": 4})]),
    }
    left = {each["type"]: each for each in section(facts, drain=["a"])["capacity"]}
    assert left["i915-GVTg_V5_8"]["after"] == 0
    assert left["i915-GVTg_V5_4, 2 instances each"]["before"] == 2


@given(fleets())
def test_no_place_is_left_that_was_not_there(facts):
    for each in section(facts, drain=[next(iter(facts))])["capacity"]:
        assert 0 <= each["after"] < each["before"]
