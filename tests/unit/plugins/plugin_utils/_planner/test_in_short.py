# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who has no place and why, in few words."""

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._planner.in_short import (
    NEAREST_FIRST,
    guests_in,
    why_in,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._report import causes


def left(vm: str | None, number: int, *reasons: tuple[str | None, str, str]) -> t.Any:
    return {
        "vm": vm,
        "source": {"host": "a", "kind": "pci", "id": f"0000:81:00.{number}"},
        "reasons": [{"host": host, "code": code, "reason": words} for host, code, words in reasons],
    }


def test_each_reason_that_is_of_one_host_has_its_rank():
    assert sorted(NEAREST_FIRST) == sorted(causes._ON_HOST)


def test_a_guest_is_named_with_its_devices_and_a_device_of_none_by_itself():
    found = [left("db", 0), left("db", 1), left(None, 2), left(None, 3)]
    assert guests_in(found) == "db (0000:81:00.0, 0000:81:00.1), 0000:81:00.2, 0000:81:00.3"
    many = [left("db", n) for n in range(6)]
    assert guests_in(many).endswith("0000:81:00.3, and 2 more devices)")
    assert guests_in(left(f"vm-{n}", n) for n in range(7)).endswith(", and 2 more guests")


def test_what_is_true_of_all_hosts_comes_before_what_is_of_one():
    everywhere = (None, "shortage", "2 devices need places")
    assert why_in([left("db", 0, ("b", "taken", "it is taken"), everywhere)]) == everywhere[2]
    assert why_in([left("db", 0, (None, "more", "and more")), left("x", 1)]) == "and more"


def test_of_each_host_what_is_nearest_to_being_out_of_the_way_is_said_once():
    reasons = (
        ("b", "in_use", "it is held"),
        ("b", "no_list", "it has no list"),
        ("c", "capacity", "c has 1 of its memory left"),
        ("c", "capacity", "c has 1 of its cpu left"),
        ("host-d", "no_hardware", "it has nothing of its kind"),
    )
    found = [left("db", 0, *reasons), left("x", 1, *reasons)]
    assert why_in(found) == "c has 1 of its memory left; b: it is held"
    assert why_in([left("db", 0, reasons[-1])]) == "host-d: it has nothing of its kind"
    found = [left("db", n, ("b", "avoided", f"for {n}")) for n in range(5)]
    assert why_in(found) == "b: for 0; b: for 1; b: for 2; and 2 more reasons"


def test_what_holds_of_more_hosts_says_so():
    found = left("db", 0, ("b", "limit", "b receives 1 device already"))
    found["reasons"][0]["alike"] = 3
    assert why_in([found]) == "b receives 1 device already (and 3 more hosts alike)"
