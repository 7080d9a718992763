# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Why devices cannot move, and of how many it is true."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils import contract
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.plan_options import plan_for
from ansible_collections.vfio.migration.plugins.plugin_utils._report import causes
from ansible_collections.vfio.migration.plugins.plugin_utils._report.causes import (
    MAX_CAUSES,
    Cause,
    cause_in,
    count_causes,
)
from ansible_collections.vfio.migration.tests.unit.report_fleets import fleets
from hypothesis import given


def test_causes_with_one_reason_are_one():
    found = [
        (Cause("in_use", "rare", remedy="wait"), 1, None),
        (Cause("no_capacity", "common", "first"), 2, "vm-1"),
        (Cause("no_capacity", "common", "second", more=True), 3, "vm-1"),
    ]
    common = {
        "devices": 5,
        "guests": 1,
        "code": "no_capacity",
        "reason": "common",
        "example": "first",
    }
    rare = {"devices": 1, "guests": 0, "code": "in_use", "reason": "rare", "example": None}
    assert count_causes(found) == [
        {**common, "more": True, "remedy": None},
        {**rare, "more": False, "remedy": "wait"},
    ]


def test_only_those_of_most_devices_are_kept():
    counted = count_causes((Cause("no_capacity", str(n)), n, None) for n in range(1, 9))
    assert [each["devices"] for each in counted] == [8, 7, 6, 5, 4]
    assert len(counted) == MAX_CAUSES


ON_A: t.Any = {"host": "a", "kind": "mdev", "id": "d"}
WHAT = "NVIDIA A40-24Q (nvidia-559)"


def why(host: str | None, code: str, words: str = "whatever it says", **rest: t.Any) -> t.Any:
    return {"host": host, "code": code, "reason": words, **rest}


@pytest.mark.parametrize(
    ("reasons", "reason", "remedy"),
    [
        (
            [why("b", "attribute", attribute="pci_id", detail="2"), why("c", "taken")],
            f"other guests of this plan take what there is for {WHAT}",
            f"one more place for {WHAT}, on one more target host or by freeing one",
        ),
        (
            [why("b", "no_capacity")],
            f"no target host has capacity for a new {WHAT}",
            f"a target host with capacity for {WHAT}, or remove what takes it up",
        ),
        (
            [why("b", "driver_version", attribute="software_version", detail="0.2")],
            "no device on a target host is compatible; the closest device differs in software_version",
            "update the driver on b to 0.2 or newer",
        ),
        (
            [why("b", "attribute", attribute="aggregator", detail="2")],
            "no device on a target host is compatible; the closest device differs in aggregator",
            "a device with aggregator 2",
        ),
        (
            [why("net1", "no_hardware")],
            "no target host is known to have hardware of its kind",
            f"a target host with {WHAT}",
        ),
        (
            [why("b", "condition", detail="of the same type"), why("c", "no_hardware")],
            "nothing is compatible of the same type",
            "plan without that condition",
        ),
        (
            [why(None, "shortage", "5 devices need places", detail="3")],
            "5 devices need places",
            f"more places for {WHAT}, 3 at least: on one more target host, or by freeing devices or parents",
        ),
        (
            [why("a", "guest_stays", detail="it cannot migrate (driver x)")],
            "another device of its guest stays: it cannot migrate (driver x)",
            "move the guest without that device, or shut it down and start it on another host",
        ),
        ([why("b", "more", "and 3 more")], "and 3 more", None),
    ],
)
def test_a_cause_is_what_the_plan_says_and_has_what_would_mend_it(reasons, reason, remedy):
    cause = cause_in({"vm": "vm", "source": ON_A, "reasons": reasons}, WHAT)
    assert (cause.reason, cause.remedy) == (reason, remedy)


@given(fleets())
def test_whatever_a_plan_says_is_known_and_has_a_remedy(facts):
    plan = plan_for(facts, drain=[next(iter(facts))])
    for each in plan["unplaced"]:
        assert cause_in(each, WHAT).remedy, each["reasons"]


@given(fleets())
def test_a_cause_does_not_depend_on_the_wording_of_reasons(facts):
    plan = plan_for(facts, drain=[next(iter(facts))])
    for each in plan["unplaced"]:
        reworded: t.Any = [{**reason, "reason": "reworded"} for reason in each["reasons"]]
        cause, other = cause_in(each, WHAT), cause_in({**each, "reasons": reworded}, WHAT)
        assert (cause.code, cause.remedy, cause.more) == (other.code, other.remedy, other.more)


def test_every_code_but_that_there_are_more_has_a_summary():
    (keywords,) = t.get_args(contract.ReasonCode)[1:]
    assert {*dict(keywords)["enum"]} - {"more"} == causes._OWN.keys() | causes._ON_HOST.keys()


def test_a_name_of_a_device_is_no_pattern():
    reason = why("b", "attribute", attribute="{what}", detail="{needed} \\1")
    cause = cause_in({"vm": None, "source": ON_A, "reasons": [reason]}, "{attribute}")
    assert cause.remedy == "a device with {what} {needed} \\1"
