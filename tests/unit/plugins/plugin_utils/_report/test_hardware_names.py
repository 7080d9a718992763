# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What people call the hardware."""

from __future__ import annotations

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import read_fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin import pci_database
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.report_options import (
    report_for,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._report.hardware_names import (
    HardwareNames,
    models_in,
    pci_ids,
)
from ansible_collections.vfio.migration.tests.unit import cards

# As pci.ids(5) has it.
DATABASE = """# a comment
10de  NVIDIA Corporation
\t2235  GA102GL [A40]
\t\t10de 145a  a subsystem
\t2236  GA102GL [A10]
15b3  Mellanox Technologies
\t101e  ConnectX Family mlx5Gen Virtual Function

C 00  Unclassified device
\t2235  no device
"""
WANTED = {"10de2235", "15b3101e", "80865963"}


def test_models_are_read_from_the_database():
    assert models_in(DATABASE.splitlines(keepends=True), WANTED) == {
        "10de2235": "NVIDIA GA102GL [A40]",
        "15b3101e": "Mellanox ConnectX Family mlx5Gen Virtual Function",
    }


@pytest.mark.parametrize("text", ["", "\x00\xff", "\t2235  orphan\n", "10de\n", "10de  x\n\t22\n"])
def test_a_database_that_is_none_names_nothing(text):
    assert models_in(text.splitlines(keepends=True), WANTED) == {}


def test_the_control_nodes_database_is_used_where_there_is_one(tmp_path, monkeypatch):
    place = tmp_path / "pci.ids"
    place.write_text(DATABASE)
    monkeypatch.setattr(pci_database, "PLACES", (str(tmp_path / "none"), str(place)))
    report = report_for({"a": cards.guests(1, 8)})
    assert report["host_groups"][0]["hardware"] == ["NVIDIA GA102GL [A40] (nvidia 10de2235)"]
    assert report["versions"][0]["name"] == "NVIDIA GA102GL [A40]"


def test_types_have_the_names_that_drivers_give_them():
    fleet = read_fleet({"a": cards.guests(1, 8)})
    assert pci_ids(fleet) == {"10de2235"}
    names = HardwareNames(fleet, {})
    assert names.type("nvidia-556") == "NVIDIA A40-8Q (nvidia-556)"
    assert names.type("unheard-of") == "unheard-of"
    assert names.type(None, "pci") == "pci"
    assert names.type("pci-15b3101e-15b30041") == "Mellanox 15b3101e function"
    assert names.type("pci-ffff0001") == "function ffff0001"
    assert (names.model("10de2235"), names.model("ffff0001")) == ("NVIDIA 10de2235", None)
