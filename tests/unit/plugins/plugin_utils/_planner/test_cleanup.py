# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which devices of a plan cleanup removes."""

from __future__ import annotations

import itertools

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.cleanup import (
    REMOVABLE,
    superfluous,
)

STATES = ("planned", "prepared", "migrating", "moved", "done", "unclear")
HOSTS = ["a", "b"]


def state(how: str, kind: str = "mdev", source_kind: str = "mdev", **others):
    target = {"host": "b", "kind": kind, "id": "new", "create": kind != "pci", "attributes": []}
    return {
        "vm": "vm-17",
        "source": {"host": "a", "kind": source_kind, "id": "old"},
        "target": target | others,
        "state": how,
        "reason": "nobody knows" if how == "unclear" else None,
    }


def removed(*states: dict, remove=REMOVABLE, hosts=None, undefined=()) -> list[str]:
    hosts = HOSTS if hosts is None else hosts
    return [each["id"] for each in superfluous(states, remove, hosts, undefined)["devices"]]


@pytest.mark.parametrize(("how", "remove"), [*itertools.product(STATES, REMOVABLE)])
def test_only_prepared_targets_and_vacated_sources_go_and_only_if_asked_for(how, remove):
    expected = {("prepared", "prepared"): ["new"], ("moved", "vacated"): ["old"]}
    assert removed(state(how), remove=[remove]) == expected.get((how, remove), [])


@pytest.mark.parametrize(
    ("kind", "others", "goes"),
    [
        ("mdev", {"create": False}, False),
        ("vdpa", {}, True),
        ("pci", {}, False),
        ("pci", {"attributes": [{"name": "type", "value": "1"}]}, True),
        ("pci", {"network": {"mac": "52:54:00:12:34:56"}}, True),
        ("mdev", {"create": False, "attributes": [{"name": "type", "value": "1"}]}, False),
    ],
)
def test_a_target_goes_only_if_the_plan_had_it_made_or_configured(kind, others, goes):
    assert removed(state("prepared", kind, **others)) == ["new"] * goes


@pytest.mark.parametrize(("kind", "goes"), [("mdev", True), ("vdpa", True), ("pci", False)])
def test_a_physical_device_that_a_guest_has_left_stays(kind, goes):
    assert removed(state("moved", source_kind=kind)) == ["old"] * goes


def test_a_source_stays_where_its_targets_host_is_silent_or_has_no_definition():
    assert removed(state("moved"), hosts=["a"]) == []
    assert removed(state("moved"), undefined=[("b", "new")]) == []
    # Another host has another device of that id.
    assert removed(state("moved"), undefined=[("c", "new")]) == ["old"]
    # It is one of those whose targets are to be defined all the same.
    found = superfluous([state("moved")], REMOVABLE, HOSTS, [("b", "new")])
    assert len(found["vacated"]) == 1


def test_each_move_is_told_with_what_is_removed_of_it():
    nameless = state("planned") | {"vm": None}
    found = superfluous(
        [state("prepared"), state("moved"), nameless, state("unclear")], REMOVABLE, HOSTS
    )
    assert found["sentences"] == [
        "vm-17: a old -> b new is prepared; the target is removed",
        "vm-17: a old -> b new is moved; the source is removed",
        "a old -> b new is planned",
        "vm-17: a old -> b new is unclear; nobody knows",
    ]
    assert superfluous([], REMOVABLE, HOSTS)["sentences"] == ["the plan moves nothing"]
