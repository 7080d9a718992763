# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""More functions of one physical function that move in one wave than its driver migrates at a time have a warning.

Four of mlx5: NVIDIA, DOCA SDK, SR-IOV Live Migration.
"""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.vfio.migration.plugins.filter.maintenance_plan import maintenance_plan
from ansible_collections.vfio.migration.plugins.filter.migration_plan import migration_plan
from ansible_collections.vfio.migration.plugins.filter.rebalance_plan import rebalance_plan
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import read_fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.crowds import (
    moves_of,
    with_crowds,
)
from ansible_collections.vfio.migration.tests.unit.fleets import host, vf

OWN = {
    "software_version": "1.0.0",
    "device_api": "vfio-pci",
    "type": "pci-15b3101e",
    "pci_id": "15b3101e",
    "driver": "mlx5_vfio_pci",
}
FUNCTION = "0000:81:00.0"


def function(number: int, vm: str | None = None, **others: t.Any) -> dict[str, t.Any]:
    origin = others.pop("origin", "derived")
    descriptor = {"self": OWN, "compatible": [OWN], "origin": origin}
    made = {**vf(number, vm, **others), "descriptor": descriptor}
    return made if vm is None else {**made, "in_use": {"pid": others.get("pid", 7), "name": vm}}


def one_guest(number: int, **others: t.Any) -> t.Any:
    return host([function(each, "vm-1", **others) for each in range(number)])


def guests(number: int, name: str = "vm", **others: t.Any) -> t.Any:
    return host(
        [function(each, f"{name}-{each}", pid=each + 1, **others) for each in range(number)]
    )


def free(number: int, **others: t.Any) -> t.Any:
    return host([function(each, **others) for each in range(number)])


def crowds(placements: t.Any) -> dict[str, int]:
    """Return the crowds that placements warn of, in words, and how many warn of each."""
    found: dict[str, int] = {}
    for each in placements:
        for warning in each["warnings"]:
            if warning.startswith(
                "mlx5_vfio_pci migrates at most 4 functions of one physical function at a time, and "
            ):
                words = warning.partition(", and ")[2].partition(", which")[0]
                found[words] = found.get(words, 0) + 1
    return found


@pytest.mark.parametrize("held", [one_guest, guests])
def test_one_guest_and_several_have_the_same_warning(held):
    placements = migration_plan({"a": held(5), "b": free(5)}, drain=["a"])["placements"]
    assert crowds(placements) == {
        f"5 leave {FUNCTION} on a in wave 1": 5,
        f"5 go to {FUNCTION} on b in wave 1": 5,
    }
    placements = migration_plan({"a": held(4), "b": free(4)}, drain=["a"])["placements"]
    assert (len(placements), crowds(placements)) == (4, {})


def test_those_that_come_from_several_hosts_or_go_to_several_are_counted_where_they_meet():
    fleet = {"a": guests(3), "b": guests(3, "vn"), "c": free(6)}
    placements = migration_plan(fleet, drain=["a", "b"])["placements"]
    assert crowds(placements) == {f"6 go to {FUNCTION} on c in wave 1": 6}
    placements = migration_plan({"a": guests(6), "b": free(3), "c": free(3)}, drain=["a"])[
        "placements"
    ]
    assert crowds(placements) == {f"6 leave {FUNCTION} on a in wave 1": 6}


def test_two_physical_functions_of_one_host_are_two():
    targets = host([function(n, parent=f"0000:81:00.{n // 4}") for n in range(8)])
    held = host(
        [function(n, f"vm-{n}", pid=n + 1, parent=f"0000:81:00.{n // 4}") for n in range(8)]
    )
    placements = migration_plan({"a": held, "b": targets}, drain=["a"])["placements"]
    assert (len(placements), crowds(placements)) == (8, {})


def test_a_descriptor_of_the_drivers_own_says_all_that_there_is_to_say():
    fleet = {"a": guests(5, origin="file"), "b": free(5, origin="file")}
    placements = migration_plan(fleet, drain=["a"])["placements"]
    assert (len(placements), crowds(placements)) == (5, {})


def test_each_wave_is_counted_by_itself_and_anew():
    facts = {"a": guests(6), "b": free(6)}
    placements = migration_plan(facts, drain=["a"])["placements"]
    assert sum(crowds(placements).values()) == 12
    for number, each in enumerate(placements):
        each["wave"] = 1 + number // 4
    hosts = read_fleet(facts).hosts
    assert crowds(with_crowds(moves_of(placements, hosts))) == {}
    for each in placements:
        each["wave"] = 2
    assert crowds(with_crowds(moves_of(placements, hosts))) == {
        f"6 leave {FUNCTION} on a in wave 2": 6,
        f"6 go to {FUNCTION} on b in wave 2": 6,
    }


def test_what_is_kept_of_an_earlier_plan_is_counted_with_the_rest():
    facts = {"a": guests(3), "b": free(6), "c": guests(3, "vn")}
    earlier = migration_plan(facts, drain=["a"], targets=["b"])
    assert crowds(earlier["placements"]) == {}
    found = migration_plan(facts, drain=["a", "c"], targets=["b"], earlier=earlier)
    assert {each["source"]["host"] for each in found["changes"]} == {"c"}
    assert crowds(found["placements"]) == {f"6 go to {FUNCTION} on b in wave 1": 6}


def test_a_rebalance_counts_what_leaves_a_host_for_several():
    facts = {"a": guests(12), "b": free(4), "c": free(4)}
    found = rebalance_plan(facts, max_moves=6)["plan"]["placements"]
    assert len({each["target"]["host"] for each in found}) == 2
    assert crowds(found) == {f"6 leave {FUNCTION} on a in wave 1": 6}


def test_a_step_of_a_maintenance_counts_all_that_leaves_a_host():
    facts = {"a": guests(6), "b": free(3), "c": free(3)}
    found = maintenance_plan(facts, emptied=["a", "b"], keep_order=True)["steps"]
    targets = {each["target"]["host"] for each in found[0]["placements"]}
    assert targets == {"b", "c"}
    assert crowds(found[0]["placements"]) == {f"6 leave {FUNCTION} on a in wave 1": 6}
