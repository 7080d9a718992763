# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A verdict "incompatible" claims only what is known: what drivers state, or are documented to compare."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.vfio.migration.plugins.filter.compatibility import compatibility
from ansible_collections.vfio.migration.plugins.filter.migration_plan import migration_plan
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.drivers import (
    derived_set,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.verdict import DIRECTIONS
from ansible_collections.vfio.migration.tests.unit.fleets import UUIDS, device, gvt, host, parent
from hypothesis import given
from hypothesis import strategies as st

INTEL = "80865963"


def derived(**own: str) -> dict[str, t.Any]:
    own = {"software_version": "1.0", "device_api": "vfio-pci", "type": "t", "driver": "d", **own}
    return {"origin": "derived", "self": own, "compatible": [derived_set(own)]}


def declared(*sets: dict[str, str], **own: str) -> dict[str, t.Any]:
    own = {"software_version": "1.0", "device_api": "vfio-pci", "type": "t", "pci_id": INTEL, **own}
    return {"origin": "file", "self": own, "compatible": [*sets] or [own]}


NVIDIA = {"driver": "nvidia", "type": "nvidia-63", "pci_id": "10de1eb8"}
GVT = {"driver": "i915", "type": "i915-GVTg_V5_4", "pci_id": INTEL}
MTTY = {"driver": "mtty", "type": "mtty-1"}
MLX5 = {"driver": "mlx5_vfio_pci", "type": "pci-15b3101e", "pci_id": "15b3101e", "fw_ver": "1"}
AP = {"driver": "vfio_ap", "device_api": "vfio-ap", "type": "vfio_ap-passthrough"}
VDPA = {"device_api": "vhost-vdpa", "type": "net", "mac": "52:54:00:00:00:01"}


@pytest.mark.parametrize(
    ("source", "target", "certainty"),
    [
        # Another interface, driver or vendor's hardware.
        (derived(), derived(device_api="vfio-ap"), "derived"),
        (derived(), derived(driver="e"), "derived"),
        (derived(pci_id=INTEL), derived(pci_id="10de1eb8"), "derived"),
        (declared(pci_id=INTEL), derived(pci_id="10de1eb8"), "derived"),
        # What a driver is documented to compare.
        (derived(**NVIDIA), derived(**{**NVIDIA, "type": "nvidia-64"}), "derived"),
        (derived(**MTTY), derived(**{**MTTY, "type": "mtty-2"}), "derived"),
        (derived(**MLX5), derived(**{**MLX5, "fw_ver": "2"}), "derived"),
        (derived(**AP, adapters="01"), derived(**AP, adapters="02"), "derived"),
        (derived(**NVIDIA), derived(**{**NVIDIA, "type": "nvidia-64", "mode": "1"}), "derived"),
        # What nothing documents.
        (derived(**GVT), derived(**{**GVT, "type": "i915-GVTg_V5_8"}), "assumed"),
        (derived(**GVT, aggregator="1"), derived(**GVT, aggregator="2"), "assumed"),
        (derived(**NVIDIA), derived(**{**NVIDIA, "software_version": "2.0"}), "assumed"),
        (derived(**NVIDIA, vgpu_params="a=1"), derived(**NVIDIA, vgpu_params="a=2"), "assumed"),
        # A driver that states its descriptor, and one that does not.
        (derived(**GVT), declared(type=GVT["type"], pci_id=GVT["pci_id"]), "assumed"),
        (
            declared({**GVT, "device_api": "vfio-pci", "aggregator": "2"}, **GVT),
            derived(**GVT),
            "assumed",
        ),
        (declared(type="t"), derived(type="t", pci_id=INTEL, software_version="9.0"), "assumed"),
        (declared(type="t"), derived(type="u", pci_id=INTEL), "derived"),
        # One of the sets may match.
        (
            declared(
                {"device_api": "x", "type": "t"}, {"device_api": "vfio-pci", "type": "t", "a": "1"}
            ),
            derived(),
            "assumed",
        ),
        (
            declared(
                {"device_api": "x", "type": "t"}, {"device_api": "vfio-pci", "type": "u", "a": "1"}
            ),
            derived(),
            "derived",
        ),
        # A list without sets, and void ones.
        ({**declared(), "compatible": []}, derived(), "derived"),
        (declared({"device_api": "vfio-pci", "type": "{"}), derived(), "derived"),
        (declared(), declared(type="u"), "declared"),
        # What a guest sees of a vDPA device.
        (derived(**VDPA), derived(**{**VDPA, "mac": "52:54:00:00:00:02"}), "derived"),
        (derived(**VDPA, feature_A="offered"), derived(**VDPA), "assumed"),
    ],
)
def test_a_refusal_is_assumed_where_nothing_documents_it(source, target, certainty):
    verdict = compatibility(source, target)
    assert not verdict["compatible"]
    assert verdict["certainty"] == certainty
    assert any("that is assumed" in each for each in verdict["warnings"]) == (
        certainty == "assumed"
    )


def test_features_that_a_guest_has_accepted_are_known_to_be_needed():
    source = derived(**VDPA, feature_A="offered", feature_B="offered")
    del source["compatible"][0]["feature_B"]
    assert compatibility(source, derived(**VDPA))["certainty"] == "derived"


def test_of_two_lists_one_that_is_known_to_refuse_is_enough_unless_either_may_accept():
    # The source's list refuses only by care, the target's by what its driver states.
    source = derived(type="t")
    target = declared({"device_api": "vfio-pci", "type": "v"}, type="t", driver="d")
    for direction, certainty in (("both", "derived"), ("either", "assumed")):
        target["self"]["software_version"] = "2.0"
        verdict = compatibility(source, target, direction)
        assert (verdict["compatible"], verdict["certainty"]) == (False, certainty)


SELF = st.fixed_dictionaries(
    {
        "software_version": st.sampled_from(["1.0", "2.0"]),
        "device_api": st.sampled_from(["vfio-pci", "vfio-ap"]),
        "type": st.sampled_from(["i915-a", "i915-b"]),
        "driver": st.sampled_from(["i915", "other"]),
    },
    optional={"aggregator": st.sampled_from(["1", "2"])},
)


@given(SELF, SELF, st.booleans(), st.sampled_from(DIRECTIONS))
def test_what_is_known_of_a_driver_makes_no_verdict_another_one(
    own, other, one_declared, direction
):
    source = derived(**own)
    target = declared(**other) if one_declared else derived(**other)
    verdict = compatibility(source, target, direction)
    if own["device_api"] != other["device_api"]:
        assert (verdict["compatible"], verdict["certainty"]) == (False, "derived")
    if not one_declared and not verdict["compatible"]:
        known = any(own[name] != other[name] for name in ("device_api", "driver"))
        assert (verdict["certainty"] == "derived") == known


def lone(target: dict[str, t.Any], **request: t.Any) -> t.Any:
    """Return the plan for a vGPU that another host has only another one for, whose descriptor is derived too."""
    source = {"origin": "derived", "self": gvt()["self"] | {"driver": "i915"}}
    source["compatible"] = [derived_set(source["self"])]
    return migration_plan(
        {"a": host([device(UUIDS[0], source, "vm")]), "b": target}, drain=["a"], **request
    )


def other_vgpu(**own: str) -> dict[str, t.Any]:
    own = gvt(**own)["self"] | {"driver": "i915"}
    return {"origin": "derived", "self": own, "compatible": [derived_set(own)]}


def test_a_plan_that_only_care_leaves_without_a_place_proves_nothing():
    plan = lone(host([device(UUIDS[1], other_vgpu(mdev_type="8", aggregator="4"))]))
    assert (plan["status"], plan["bound"]) == ("unproven", None)
    (assumed,) = plan["assumptions"]
    assert f"{UUIDS[1]} on b" in assumed
    assert "aggregator, type" in assumed


def test_a_new_device_may_do_as_well():
    plan = lone(host(parents=[parent(available={"i915-GVTg_V5_8": 2})]))
    assert plan["status"] == "unproven"
    assert any("type" in each for each in plan["assumptions"])


@pytest.mark.parametrize(
    ("request_", "vm"), [({"keep_type": True}, None), ({}, "other")], ids=["keep_type", "held"]
)
def test_a_place_that_would_not_do_anyway_is_no_doubt(request_, vm):
    there = device(UUIDS[1], other_vgpu(mdev_type="8", aggregator="4"), vm)
    assert lone(host([there]), **request_)["status"] == "infeasible"
