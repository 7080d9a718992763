# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Values that somebody gives: what is meant is taken, the rest is refused by its name."""

from __future__ import annotations

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.values import (
    count,
    flag,
    listed,
    names,
    one_name,
    one_of,
    reasons,
)


@pytest.mark.parametrize(
    ("read", "given", "meant"),
    [
        (names, "a", ["a"]),
        (names, ("a", 1), ["a", "1"]),
        (names, "a, b,", ["a", "b"]),
        (names, True, ["True"]),
        (names, None, None),
        (listed, ("a",), ["a"]),
        (listed, None, None),
        (flag, "yes", True),
        (flag, "false", False),
        (flag, None, False),
        (count, "3", 3),
        (count, 0, 0),
    ],
)
def test_what_is_meant_is_taken(read, given, meant):
    assert read("option", given) == meant


@pytest.mark.parametrize(
    ("read", "given"),
    [
        *((names, each) for each in (7, {"a": 1})),
        *((listed, each) for each in ("a", 7, {"a": 1})),
        *((flag, each) for each in ("perhaps", 7)),
        *((count, each) for each in ("many", -1, None, float("inf"), 1.5, True, "1_0", "٣")),
    ],
)
def test_the_rest_is_refused_by_its_name(read, given):
    with pytest.raises(FleetError, match=r"^option is "):
        read("option", given)


def nested(depth):
    found = []
    for _level in range(depth):
        found = [found]
    return found


HUGE = {
    "number": 10**5000,
    "negative": -(10**5000),
    "among-others": [10**5000],
    "nested": nested(100_000),
    "key": {10**5000: 1},
}


@pytest.mark.parametrize("given", HUGE.values(), ids=HUGE)
@pytest.mark.parametrize("read", [count, flag, names, reasons, one_name])
def test_what_is_too_large_to_show_is_refused_in_words(read, given):
    with pytest.raises(FleetError, match=r"^option (is|has) .{1,100}$"):
        read("option", given)


def test_a_message_shows_the_beginning_of_what_is_long():
    with pytest.raises(
        FleetError, match=r"^option is \['x', .{150,200}\.\.\.; expected one of pack$"
    ):
        one_of("option", ["x"] * 5000, ("pack",))


def test_a_number_is_no_larger_than_64_bits_hold():
    assert count("option", 2**63 - 1) == 2**63 - 1
    with pytest.raises(
        FleetError, match=r"expected a number of devices, 0 or more and less than 2\^63"
    ):
        count("option", 2**63)


def test_a_choice_is_one_of_those_there_are():
    assert one_of("policy", "pack", ("pack", "spread")) == "pack"
    with pytest.raises(FleetError, match="policy is 'squeeze'; expected one of pack, spread"):
        one_of("policy", "squeeze", ("pack", "spread"))
