# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Facts are read from the fact cache where it has them, and are the same as those in the variables of a host."""

from __future__ import annotations

import typing as t
from pathlib import Path

import ansible.constants
import pytest
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import cache_loader
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager
from ansible_collections.vfio.migration.plugins.filter.compatible_pairs import compatible_pairs
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import FACT, read_fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.fact_cache import read_once
from ansible_collections.vfio.migration.tests.unit.fleets import UUIDS, device, host


class Variables(dict[str, t.Any]):
    """Stands in for ``hostvars``, and notes whose variables are put together."""

    def __init__(self, *arguments: t.Any) -> None:
        super().__init__(*arguments)
        self.read: list[str] = []

    def raw_get(self, name: str) -> t.Any:
        self.read.append(name)
        return self.get(name)


def variables(facts: t.Any) -> dict[str, t.Any]:
    return {"ansible_facts": {FACT: facts}}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> t.Any:
    """Configure the cache ``jsonfile``, and return one of its own for what a run has put there."""
    monkeypatch.setenv("ANSIBLE_CACHE_PLUGIN_CONNECTION", str(tmp_path))
    monkeypatch.setattr(ansible.constants, "CACHE_PLUGIN", "jsonfile", raising=False)
    return cache_loader.get("jsonfile")


@pytest.fixture
def facts() -> dict[str, t.Any]:
    return host([device(UUIDS[0], vm="vm-17")])


def test_cached_facts_are_read_without_the_other_variables(cache: t.Any, facts: t.Any) -> None:
    cache.set("a", {FACT: facts, "ansible_kernel": "6.18"})
    hostvars = Variables({"a": variables(facts)})
    fleet = read_fleet(read_once(hostvars))
    assert [each.id for each in fleet.hosts["a"].devices] == [UUIDS[0]]
    assert hostvars.read == []


def test_ansible_gives_the_same_facts(
    cache: t.Any, facts: t.Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    loader = DataLoader()
    inventory = InventoryManager(loader, sources=["a,b,"])
    manager = VariableManager(loader, inventory)
    hostvars = HostVars(inventory, manager, loader)
    for name in "ab":
        manager.set_host_facts(name, {FACT: facts})
    shown = hostvars.raw_get("a")["ansible_facts"][FACT]
    assert read_once(hostvars).facts("a") == (shown, True)
    expected = compatible_pairs(dict.fromkeys("ab", shown), max_age=0)

    def unread(_self: t.Any, name: str) -> t.Any:
        raise AssertionError(f"the variables of {name} are not needed")

    monkeypatch.setattr(HostVars, "raw_get", unread)
    assert compatible_pairs(hostvars, max_age=0) == expected


def test_what_the_cache_lacks_is_read_with_the_variables(cache: t.Any, facts: t.Any) -> None:
    cache.set("b", {"ansible_kernel": "6.18"})
    hostvars = Variables(
        {"a": variables(facts), "b": variables(facts), "c": {FACT: facts}, "d": {}}
    )
    fleet = read_fleet(read_once(hostvars))
    assert sorted(fleet.hosts) == ["a", "b", "c"] and fleet.unknown == ["d"]
    assert sorted(hostvars.read) == ["a", "b", "c", "d"]


def test_hosts_that_left_the_inventory_are_no_part_of_the_fleet(cache: t.Any, facts: t.Any) -> None:
    cache.set("gone", {FACT: facts})
    fleet = read_fleet(read_once(Variables({"a": variables(facts)})), ["a", "gone"])
    assert sorted(fleet.hosts) == ["a"] and fleet.unknown == ["gone"]


def test_a_host_is_asked_for_once(cache: t.Any, facts: t.Any) -> None:
    hostvars = Variables({"a": variables(facts)})
    once = read_once(hostvars)
    assert once.facts("a") == once.facts("a") == (facts, True)
    assert hostvars.read == ["a"]


def test_facts_and_variables_of_a_host_are_of_one_reading(cache: t.Any, facts: t.Any) -> None:
    once = read_once(Variables({"a": variables(facts)}))
    assert once["a"] == variables(facts)
    # What another run puts there in the meantime does not mix with it.
    cache.set("a", {FACT: host([])})
    assert once.facts("a") == (facts, True)


def test_a_damaged_file_harms_its_own_host(cache: t.Any, facts: t.Any, tmp_path: Path) -> None:
    cache.set("a", {FACT: facts})
    cache.set("b", {FACT: facts})
    (damaged,) = (each for each in tmp_path.iterdir() if each.name.endswith("a"))
    damaged.write_text("{")
    fleet = read_fleet(read_once(Variables({"a": {}, "b": {}})))
    assert sorted(fleet.hosts) == ["b"] and fleet.unknown == ["a"]


@pytest.mark.parametrize("plugin", ["no_such_plugin", "memory"])
def test_another_cache_is_read_through_the_variables(
    plugin: str, monkeypatch: pytest.MonkeyPatch, facts: t.Any
) -> None:
    monkeypatch.setattr(ansible.constants, "CACHE_PLUGIN", plugin, raising=False)
    hostvars = Variables({"a": variables(facts)})
    assert sorted(read_fleet(read_once(hostvars)).hosts) == ["a"]
    assert hostvars.read == ["a"]
