# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a role of the operator's is found."""

from __future__ import annotations

import os
import re
import sys
import types
from pathlib import Path

import ansible.constants
import pytest
from ansible import context
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.operators_role import (
    role_to_include,
)


@pytest.fixture
def places(tmp_path, monkeypatch) -> dict[str, Path]:
    """Return the directories where roles are looked for, in their order."""
    playbook, current, configured = (
        tmp_path / name for name in ("playbook", "current", "configured")
    )
    for place in (playbook, current, configured):
        place.mkdir()
    (playbook / "mine.yml").touch()
    monkeypatch.chdir(current)
    arguments = {"args": ("vfio.migration.maintain", "../playbook/mine.yml")}
    monkeypatch.setattr(context, "CLIARGS", arguments)
    monkeypatch.setattr(ansible.constants, "DEFAULT_ROLES_PATH", [str(configured)])
    return {
        "playbook": playbook / "roles",
        "current": current / "roles",
        "configured": configured,
    }


def found(name: str) -> str:
    return os.path.normpath(role_to_include("maintain_role", name))


@pytest.mark.parametrize("name", ["upgrade", "prepare", "site.upgrade", "site.kvm.upgrade"])
def test_a_role_is_found_beside_the_playbook_in_the_working_directory_and_where_it_is_configured(
    places, name
):
    for place in reversed(places.values()):
        (place / name / "tasks").mkdir(parents=True)
        assert found(name) == str(place / name)


@pytest.mark.parametrize("name", ["roles/upgrade", "../current/roles/upgrade", "./roles/upgrade"])
def test_a_path_is_one_from_the_working_directory_on(places, name):
    role = places["current"] / "upgrade"
    (role / "meta").mkdir(parents=True)
    assert found(name) == found(str(role)) == str(role)


def test_a_path_may_be_one_in_a_directory_of_roles(places):
    (places["configured"] / "site/upgrade/tasks").mkdir(parents=True)
    assert found("site/upgrade") == str(places["configured"] / "site/upgrade")


def test_a_home_is_that_of_the_operator(places, monkeypatch):
    monkeypatch.setenv("HOME", str(places["configured"]))
    (places["configured"] / "upgrade/tasks").mkdir(parents=True)
    assert found("~/upgrade") == str(places["configured"] / "upgrade")


def test_a_role_of_a_collection_keeps_its_name(places, monkeypatch):
    (places["current"] / "site.kvm.upgrade/tasks").mkdir(parents=True)
    parts = ["ansible_collections", "site", "kvm", "roles", "upgrade"]
    for end in range(2, len(parts) + 1):
        name = ".".join(parts[:end])
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    assert role_to_include("maintain_role", "site.kvm.upgrade") == "site.kvm.upgrade"


def test_what_is_nowhere_is_an_error_that_says_where_was_looked(places):
    looked = ", ".join(map(str, places.values()))
    with pytest.raises(
        FleetError, match=r"^maintain_role: there is no role upgrad; looked in "
    ) as raised:
        role_to_include("maintain_role", "upgrad")
    assert str(raised.value).endswith(f"looked in {looked}")
    with pytest.raises(FleetError, match=r"looked in the collection site\.kvm, ") as raised:
        role_to_include("maintain_role", "site.kvm.upgrad")
    assert str(raised.value).endswith(looked)
    here = re.escape(str(places["current"].parent))
    with pytest.raises(FleetError, match=f"no role roles/upgrad; looked in {here}, {looked}$"):
        role_to_include("maintain_role", "roles/upgrad")


@pytest.mark.parametrize("name", ["roles", "..", "/", "upgrade"])
def test_a_directory_that_does_nothing_is_not_a_role(places, name):
    (places["current"] / "upgrade/files").mkdir(parents=True)
    with pytest.raises(FleetError, match="there is no role"):
        role_to_include("maintain_role", name)
