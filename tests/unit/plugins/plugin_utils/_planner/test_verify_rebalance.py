# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The verifier of rebalancing finds what is counted wrong."""

from __future__ import annotations

import copy
import typing as t

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify_rebalance import (
    rebalance_objections,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.rebalance_options import (
    rebalance_for,
)
from ansible_collections.vfio.migration.tests.unit.fleets import host, vf

FACTS = {
    "a": host([vf(number, f"vm-{number}") for number in range(4)]),
    "b": host([vf(number) for number in range(4)]),
}
SOUND: t.Any = rebalance_for(FACTS, 2)


def worse(found: t.Any) -> None:
    for each in found["plan"]["placements"]:
        each["target"]["host"] = "a"


FAULTS: dict[str, tuple[t.Callable[[t.Any], t.Any], str]] = {
    "before": (lambda found: found.update(before=17), "before is 17, and it comes to 16"),
    "after": (lambda found: found.update(after=7), "after is 7, and it comes to 8"),
    "moves": (lambda found: found.update(moves=1), "moves is 1, and it comes to 2"),
    "max_moves": (lambda found: found.update(max_moves=1), "2 guests move, and 1 may"),
    "loads": (lambda found: found["loads"].pop(), "the loads are others"),
    "bound": (lambda found: found.update(bound=7), "status is optimal with the bound 7"),
    "status": (lambda found: found.update(status="feasible"), "status is feasible with the bound"),
    "placements": (worse, "guests move, and loads are no more even"),
    "sources": (
        lambda found: found["plan"]["placements"][0]["source"].update(host="b"),
        "is held by nobody",
    ),
}


def test_a_sound_one_breaks_nothing():
    assert rebalance_objections(SOUND, FACTS) == []


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_found(fault):
    damage, message = FAULTS[fault]
    found = copy.deepcopy(SOUND)
    damage(found)
    assert any(message in each for each in rebalance_objections(found, FACTS))
