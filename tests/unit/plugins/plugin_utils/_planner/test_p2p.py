# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A guest with several VFIO devices migrates only where all of them support P2P (QEMU, docs/devel/migration/vfio.rst)."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.vfio.migration.plugins.filter.migration_plan import migration_plan
from ansible_collections.vfio.migration.tests.unit.fleets import (
    UUIDS,
    device,
    host,
    parent,
)

BOTH = ["stop-copy", "p2p"]
ALONE = ["stop-copy"]
UNKNOWN: list[str] = []


def plan(*features: list[str], **others: t.Any) -> t.Any:
    """Plan for one guest whose devices have these features."""
    devices = [
        device(
            UUIDS[n],
            vm="vm-1",
            pid=1,
            migration={"supported": True, "evidence": "debugfs", "features": each, "state": None},
            **others,
        )
        for n, each in enumerate(features)
    ]
    return migration_plan({"a": host(devices), "b": host(parents=[parent()])}, drain=["a"])


def warned(made: t.Any) -> list[str]:
    return [
        each["source"]["id"]
        for each in made["placements"]
        if any("P2P" in warning for warning in each["warnings"])
    ]


@pytest.mark.parametrize("features", [[BOTH], [ALONE], [UNKNOWN], [BOTH, BOTH]])
def test_one_device_needs_none_and_several_that_have_it_move(features):
    made = plan(*features)
    assert len(made["placements"]) == len(features)
    # What is known of devices that are still to be made is nothing.
    assert warned(made) == UUIDS[: len(features)] * (len(features) > 1)


@pytest.mark.parametrize("features", [[BOTH, ALONE], [ALONE, ALONE], [UNKNOWN, ALONE]])
def test_a_guest_of_several_stays_where_one_lacks_it(features):
    made = plan(*features)
    assert made["placements"] == []
    for unplaced, own in zip(made["unplaced"], features, strict=True):
        (reason, *_others) = unplaced["reasons"]
        assert "does not support P2P" in reason["reason"]
        assert reason["reason"].startswith("it stays with") == (own != ALONE)


def plan_onto(sources: int, *features: list[str]) -> t.Any:
    """Plan for one guest with so many devices that have P2P, to a host with free devices that have these features."""

    def of(number: int, told: list[str], **others: t.Any) -> dict[str, t.Any]:
        migration = {"supported": True, "evidence": "debugfs", "features": told, "state": None}
        return device(UUIDS[number], migration=migration, **others)

    source = host([of(n, BOTH, vm="vm-1", pid=1) for n in range(sources)])
    return migration_plan(
        {"a": source, "b": host([of(5 + n, each) for n, each in enumerate(features)])}, drain=["a"]
    )


def test_the_targets_of_several_need_it_too_as_qemu_does_not_start_them_else():
    assert plan_onto(2, BOTH, ALONE)["placements"] == []
    assert len(plan_onto(2, BOTH, ALONE, BOTH)["placements"]) == 2
    assert len(plan_onto(2, BOTH, UNKNOWN)["placements"]) == 2
    # One device alone needs none.
    assert len(plan_onto(1, ALONE)["placements"]) == 1
    without = plan_onto(2, ALONE, ALONE)["unplaced"]
    reasons = [reason["reason"] for each in without for reason in each["reasons"]]
    assert f"{UUIDS[5]}: it does not support P2P (debugfs)" in reasons[0]


def test_what_the_kernel_does_not_tell_is_said():
    """Neither of a source, nor of a target that is still to be made."""
    words = [
        warning.partition("does not show of ")[2].partition(" (")[0]
        for each in plan(UNKNOWN, BOTH)["placements"]
        for warning in each["warnings"]
        if "P2P" in warning
    ]
    assert words == [f"{UUIDS[0]} and the new device on b", "the new device on b"]


def test_what_the_kernel_of_the_target_does_not_tell_is_said_of_the_target():
    made = plan_onto(2, UNKNOWN, BOTH)
    (only,) = warned(made)
    (words,) = (
        warning
        for each in made["placements"]
        for warning in each["warnings"]
        if each["source"]["id"] == only and "P2P" in warning
    )
    assert f"does not show of {UUIDS[5]} on b" in words
    assert warned(plan_onto(2, BOTH, BOTH)) == []
    assert warned(plan_onto(1, UNKNOWN)) == []
