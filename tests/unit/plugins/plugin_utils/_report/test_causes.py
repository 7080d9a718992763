# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Why devices cannot move, and of how many it is true."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.plan_options import plan_for
from ansible_collections.vfio.migration.plugins.plugin_utils._report.causes import (
    MAX_CAUSES,
    Cause,
    cause_in,
    count_causes,
)
from ansible_collections.vfio.migration.tests.unit.report_fleets import fleets
from hypothesis import given


def test_causes_with_one_reason_are_one():
    causes = [
        (Cause("rare", remedy="wait"), 1, None),
        (Cause("common", "first"), 2, "vm-1"),
        (Cause("common", "second", more=True), 3, "vm-1"),
    ]
    common = {"devices": 5, "guests": 1, "reason": "common", "example": "first"}
    rare = {"devices": 1, "guests": 0, "reason": "rare", "example": None}
    assert count_causes(causes) == [
        {**common, "more": True, "remedy": None},
        {**rare, "more": False, "remedy": "wait"},
    ]


def test_only_those_of_most_devices_are_kept():
    counted = count_causes((Cause(str(number)), number, None) for number in range(1, 9))
    assert [each["devices"] for each in counted] == [8, 7, 6, 5, 4]
    assert len(counted) == MAX_CAUSES


ON_A: t.Any = {"host": "a", "kind": "mdev", "id": "d"}
WHAT = "NVIDIA A40-24Q (nvidia-559)"


@pytest.mark.parametrize(
    ("reasons", "reason", "remedy"),
    [
        (
            [("b", "d2 on b has pci_id 1; 2 is needed"), ("c", "d3 is taken by this plan")],
            f"other guests of this plan take what there is for {WHAT}",
            f"one more place for {WHAT}, on one more target host or by freeing one",
        ),
        (
            [("b", "no instance of nvidia-559 left under p on b: 1 in use, by vm-0")],
            f"no host has room for a new {WHAT}",
            f"a target host with room for {WHAT}, or remove what takes the room",
        ),
        (
            [("b", "update the driver on b to 0.2 or newer: x has 0.1.0")],
            "no device on another host is compatible; what comes nearest differs in software_version",
            "update the driver on b to 0.2 or newer",
        ),
        (
            [("b", "d2 on b has aggregator 1; 2 is needed")],
            "no device on another host is compatible; what comes nearest differs in aggregator",
            "a device with aggregator 2",
        ),
        (
            [("net1", "net1 has no device of its kind, and no parent that could make one")],
            "no other host has hardware of its kind",
            f"a target host with {WHAT}",
        ),
        (
            [
                ("b", "b has nothing compatible of the same type"),
                ("c", "c has no device of its kind"),
            ],
            "nothing is compatible of the same type",
            "plan without that condition",
        ),
        (
            [
                (
                    None,
                    "5 devices (x) need places of which all targets together have 2 at most: 3 more are needed",
                )
            ],
            "5 devices (x) need places of which all targets together have 2 at most: 3 more are needed",
            f"3 more places for {WHAT}: on one more target host, or by freeing devices or parents",
        ),
        (
            [("a", "it stays with e of the same guest: it cannot migrate (driver x)")],
            "another device of its guest stays: it cannot migrate (driver x)",
            "move the guest without that device, or shut it down and start it on another host",
        ),
        ([("b", "something new")], "something new", None),
    ],
)
def test_a_cause_is_what_the_plan_says_and_has_what_would_mend_it(reasons, reason, remedy):
    told: t.Any = [{"host": host, "reason": text} for host, text in reasons]
    cause = cause_in({"vm": "vm", "source": ON_A, "reasons": told}, WHAT)
    assert (cause.reason, cause.remedy) == (reason, remedy)


@given(fleets())
def test_whatever_a_plan_says_is_known_and_has_a_remedy(facts):
    plan = plan_for(facts, drain=[next(iter(facts))])
    for each in plan["unplaced"]:
        assert cause_in(each, WHAT).remedy, each["reasons"]


def test_a_name_of_a_device_is_no_pattern():
    told: t.Any = [{"host": "b", "reason": "{what} on b has {name} \\1; {needed} is needed"}]
    cause = cause_in({"vm": None, "source": ON_A, "reasons": told}, "{name}")
    assert "{name}" in cause.reason
