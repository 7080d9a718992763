# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a host could make for a device."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.candidates import (
    Candidates,
    Creatable,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import read_fleet
from ansible_collections.vfio.migration.tests.unit.fleets import UUIDS, device, gvt, host, parent

VGPU = {
    "software_version": "550.90.5",
    "device_api": "vfio-pci",
    "type": "nvidia-474",
    "type_name": "NVIDIA A100-10C",
    "pci_id": "10de20b5",
    "driver": "nvidia",
}


def vgpu(origin: str, **others: str) -> dict[str, t.Any]:
    own = VGPU | others
    return {"origin": origin, "self": own, "compatible": [own]}


def made(origin: str, **parent_facts: t.Any) -> Creatable:
    """Return what a host with one parent could make for a vGPU whose descriptor is of ``origin``."""
    gpu = parent(pci_id="10de20b5", driver="nvidia", **parent_facts)
    return made_for(device(UUIDS[0], vgpu(origin)), gpu)


def made_for(source: dict[str, t.Any], gpu: dict[str, t.Any]) -> Creatable:
    fleet = read_fleet({"a": host([source]), "b": host(parents=[gpu])})
    (above,) = fleet.hosts["b"].parents
    found = Candidates(fleet, "source_lists").creatable(
        next(fleet.devices()), above, above.types[0]
    )
    assert found is not None
    return found


def test_a_type_of_the_same_id_and_name_will_do():
    names = {"nvidia-474": "NVIDIA A100-10C"}
    assert made("derived", available={"nvidia-474": 1}, names=names).compatible


def test_an_id_that_is_another_types_on_the_target_is_not_taken():
    found = made("derived", available={"nvidia-474": 1}, names={"nvidia-474": "NVIDIA A100-20C"})
    assert not found.compatible
    assert [(reason["attribute"], reason["actual"]) for reason in found.reasons] == [
        ("type_name", "NVIDIA A100-20C")
    ]


def test_a_name_under_another_id_is_named_as_the_miss():
    found = made("derived", available={"nvidia-222": 1}, names={"nvidia-222": "NVIDIA A100-10C"})
    assert [(reason["attribute"], reason["actual"]) for reason in found.reasons] == [
        ("type", "nvidia-222")
    ]


@pytest.mark.parametrize("names", [{"nvidia-474": None}, {"nvidia-474": ""}])
def test_a_type_that_has_no_name_is_verified_once_it_is_made(names):
    assert made("derived", available={"nvidia-474": 1}, names=names).compatible


def test_what_a_driver_states_as_type_name_is_its_own():
    found = made("file", available={"nvidia-474": 1}, names={"nvidia-474": "something else"})
    assert found.compatible


def test_what_a_derived_descriptor_leaves_open_is_said_of_what_could_be_made():
    offered: dict[str, t.Any] = {
        "available": {"nvidia-474": 1},
        "names": {"nvidia-474": "NVIDIA A100-10C"},
    }
    ecc, version, derived = made("derived", **offered).warnings
    assert "ECC" in ecc
    assert version.startswith("software_version is 550.90.5 on the source and not shown")
    assert "derived from sysfs" in derived
    assert made("file", **offered).warnings == []


@pytest.mark.parametrize(
    ("origin", "version", "words"),
    [
        ("derived", "550.90.5", ["ECC", "derived from sysfs"]),
        ("derived", "550.91.1", ["ECC", "Red Hat", "derived from sysfs"]),
        ("derived", "560.0", ["that is assumed", "derived from sysfs"]),
        ("file", "550.91.1", []),
    ],
)
def test_what_a_derived_descriptor_leaves_open_is_said_once_of_a_device(origin, version, words):
    fleet = read_fleet(
        {
            "a": host([device(UUIDS[0], vgpu(origin))]),
            "b": host([device(UUIDS[1], vgpu(origin, software_version=version))]),
        }
    )
    found = Candidates(fleet, "source_lists").existing(*fleet.devices())
    assert found is not None
    warnings = [each for each in found.verdict["warnings"] if "list has" not in each]
    assert len(warnings) == len(words)
    for warning, word in zip(warnings, words, strict=True):
        assert word in warning


@pytest.mark.parametrize(
    ("stated", "written"),
    [
        (["aggregator"], "aggregator"),
        (["intel_vgpu/aggregator"], "intel_vgpu/aggregator"),
        (["intel_vgpu/aggregator", "other/aggregator"], "intel_vgpu/aggregator"),
    ],
)
def test_an_attribute_keeps_the_full_name_that_the_facts_of_its_source_state(stated, written):
    attributes = [{"name": name, "value": "2"} for name in stated]
    found = made_for(
        device(UUIDS[0], gvt("4", "2"), attributes=attributes),
        parent(available={"i915-GVTg_V5_8": 8}),
    )
    assert found.attributes == ((written, "4"),)
    assert found.instances == 4
