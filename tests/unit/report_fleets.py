# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fleets of which the tests make reports."""

from __future__ import annotations

import itertools
import typing as t

from ansible_collections.vfio.migration.tests.unit import cards
from ansible_collections.vfio.migration.tests.unit.descriptor_strategies import DESCRIPTORS
from ansible_collections.vfio.migration.tests.unit.fleets import (
    UUIDS,
    device,
    gvt,
    host,
    parent,
)
from hypothesis import strategies as st

NEVER = {
    "supported": False,
    "evidence": "driver x never supports it",
    "features": [],
    "state": None,
}


def two_of_three():
    """Return a fleet where host a has three devices of two guests, and host b could make one guest's two."""
    return {
        "a": host(
            [
                device(UUIDS[0], vm="vm-1", pid=1),
                device(UUIDS[1], vm="vm-1", pid=1),
                device(UUIDS[2], vm="vm-2", pid=2, migration=NEVER),
            ]
        ),
        "b": host(parents=[parent()]),
    }


def five_hundred() -> tuple[dict[str, t.Any], list[str]]:
    """Return 500 hosts, of which every tenth has four guests and is to be drained, and the names of those; the rest have room for some."""
    facts = {}
    for number in range(500):
        name = f"gpu{number:03}.a-rather-long-name-of-a-rack-{number // 50}.example.org"
        room = cards.parents(number=8)
        facts[name] = host([], room) if number % 10 else cards.guests(4, 8)
    return facts, [name for number, name in enumerate(facts) if not number % 10]


# Made once: to make and validate a strategy takes longer than to draw from it.
KINDS = st.lists(DESCRIPTORS, min_size=1, max_size=3)
ORIGINS = st.sampled_from(["file", "derived"])
OTHERS = st.fixed_dictionaries({}, optional={"vm": st.just("vm"), "migration": st.just(NEVER)})
AVAILABLE = st.lists(
    st.dictionaries(
        st.sampled_from(["i915-GVTg_V5_4", "i915-GVTg_V5_8"]), st.integers(0, 4), max_size=2
    ),
    max_size=1,
)


@st.composite
def fleets(draw):
    """Draw facts of a few hosts with few kinds of devices and parents that could make some more."""
    kinds = [*draw(KINDS), gvt("4", "2"), gvt("8", "1")]
    numbers = itertools.count()
    devices = st.builds(
        lambda descriptor, origin, others: device(
            f"d{next(numbers)}", {"origin": origin, **descriptor}, pid=next(numbers) + 1, **others
        ),
        st.sampled_from(kinds),
        ORIGINS,
        OTHERS,
    )
    hosts = st.builds(
        lambda devices, rooms: host(devices, [parent(available=each) for each in rooms]),
        st.lists(devices, max_size=3),
        AVAILABLE,
    )
    return dict(zip("abc", draw(st.lists(hosts, min_size=1, max_size=3)), strict=False))
