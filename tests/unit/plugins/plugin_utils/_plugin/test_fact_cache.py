# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Facts are read from the fact cache where it has them, and are the same as those in the variables of a host."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

import ansible.constants
import pytest
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager
from ansible_collections.vfio.migration.plugins.filter.compatible_pairs import compatible_pairs
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import FACT, read_fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.fact_cache import read_once
from ansible_collections.vfio.migration.tests.unit.fleets import UUIDS, device, host

OTHERS: dict[str, t.Any] = {"ansible_kernel": "6.18"}


class Noted(HostVars):
    """Ansible's ``hostvars``, which notes the hosts whose variables are put together."""

    def __init__(self, *arguments: t.Any) -> None:
        super().__init__(*arguments)
        self.read: list[str] = []

    def raw_get(self, host_name: str) -> t.Any:
        self.read.append(host_name)
        return super().raw_get(host_name)


class Run:
    """A run of Ansible with the hosts a, b, c and d, and the cache that is configured."""

    def __init__(self) -> None:
        loader = DataLoader()
        inventory = InventoryManager(loader, sources=["a,b,c,d,"])
        self.manager = VariableManager(loader, inventory)
        self.hostvars = Noted(inventory, self.manager, loader)

    def gathered(self, name: str, facts: t.Any) -> None:
        self.manager.set_host_facts(name, {FACT: facts, **OTHERS})

    def shown(self, name: str) -> t.Any:
        """Return the facts of a host that its variables have."""
        return self.hostvars.raw_get(name).get("ansible_facts", {}).get(FACT)


@pytest.fixture(params=["jsonfile", "memory"])
def plugin(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Configure a cache, and return which."""
    monkeypatch.setenv("ANSIBLE_CACHE_PLUGIN_CONNECTION", str(tmp_path))
    monkeypatch.setattr(ansible.constants, "CACHE_PLUGIN", request.param, raising=False)
    return str(request.param)


in_files = pytest.mark.parametrize("plugin", ["jsonfile"], indirect=True)


@pytest.fixture
def facts() -> dict[str, t.Any]:
    return host([device(UUIDS[0], vm="vm-17")])


def test_cached_facts_are_read_without_the_other_variables(plugin: str, facts: t.Any) -> None:
    run = Run()
    for name in "ab":
        run.gathered(name, facts)
    shown = run.shown("a")
    expected = compatible_pairs(dict.fromkeys("ab", shown), max_age=0)
    run.hostvars.read.clear()
    assert read_once(run.hostvars).facts("a") == (shown, True)
    assert compatible_pairs(run.hostvars, ["a", "b"], max_age=0) == expected
    assert run.hostvars.read == []


def test_what_the_cache_lacks_is_read_with_the_variables(plugin: str, facts: t.Any) -> None:
    run = Run()
    run.gathered("a", facts)
    run.manager.set_host_facts("b", OTHERS)
    run.manager.set_nonpersistent_facts("b", {FACT: facts})
    run.manager.set_nonpersistent_facts("c", {FACT: facts})
    fleet = read_fleet(read_once(run.hostvars), [*"abcd"])
    assert sorted(fleet.hosts) == ["a", "b", "c"] and fleet.unknown == ["d"]
    assert sorted(run.hostvars.read) == ["b", "c", "d"]


@in_files
def test_hosts_that_left_the_inventory_are_no_part_of_the_fleet(plugin: str, facts: t.Any) -> None:
    run = Run()
    for name in ("a", "gone"):
        run.gathered(name, facts)
    fleet = read_fleet(read_once(run.hostvars), ["a", "gone"])
    assert sorted(fleet.hosts) == ["a"] and fleet.unknown == ["gone"]


def test_a_host_is_asked_for_once(plugin: str, facts: t.Any) -> None:
    run = Run()
    run.manager.set_nonpersistent_facts("a", {FACT: facts})
    once = read_once(run.hostvars)
    assert once.facts("a") == once.facts("a") == (facts, False)
    assert run.hostvars.read == ["a"]


def test_facts_and_variables_of_a_host_are_of_one_reading(plugin: str, facts: t.Any) -> None:
    run = Run()
    run.gathered("a", facts)
    once = read_once(run.hostvars)
    assert once["a"]["ansible_facts"][FACT] == facts
    run.gathered("a", host([]))
    assert once.facts("a") == (facts, True)


@in_files
def test_what_another_run_has_put_there_since_is_not_what_this_one_gathered(
    plugin: str, facts: t.Any
) -> None:
    run, other = Run(), Run()
    run.gathered("a", facts)
    other.gathered("a", host([]))
    assert read_once(run.hostvars).facts("a") == (run.shown("a"), True) == (facts, True)


@in_files
def test_what_could_not_be_written_is_what_this_run_gathered(
    plugin: str, facts: t.Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    Run().gathered("a", host([]))

    def refused(*_paths: t.Any) -> None:
        raise PermissionError("the file is another user's")

    monkeypatch.setattr(os, "rename", refused)
    run = Run()
    run.gathered("a", facts)
    assert read_once(run.hostvars).facts("a") == (run.shown("a"), True) == (facts, True)


@in_files
def test_a_damaged_file_harms_its_own_host(plugin: str, facts: t.Any, tmp_path: Path) -> None:
    for name in "ab":
        Run().gathered(name, facts)
    (damaged,) = (each for each in tmp_path.iterdir() if each.name.endswith("a"))
    damaged.write_text("{")
    fleet = read_fleet(read_once(Run().hostvars), ["a", "b"])
    assert sorted(fleet.hosts) == ["b"] and fleet.unknown == ["a"]


def test_hostvars_that_say_nothing_of_a_cache_are_read_as_they_are(facts: t.Any) -> None:
    once = read_once({"a": {"ansible_facts": {FACT: facts}}})
    assert once.facts("a") == (facts, True)
