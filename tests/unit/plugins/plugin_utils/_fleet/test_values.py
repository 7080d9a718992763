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
    one_of,
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
        *((count, each) for each in ("many", -1, None, float("inf"), 1.5, True)),
    ],
)
def test_the_rest_is_refused_by_its_name(read, given):
    with pytest.raises(FleetError, match=r"^option is "):
        read("option", given)


def test_a_choice_is_one_of_those_there_are():
    assert one_of("policy", "pack", ("pack", "spread")) == "pack"
    with pytest.raises(FleetError, match="policy is 'squeeze'; expected one of pack, spread"):
        one_of("policy", "squeeze", ("pack", "spread"))
