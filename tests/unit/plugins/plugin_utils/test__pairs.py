# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pairs of classes over a fleet."""

from __future__ import annotations

import itertools

from ansible_collections.vfio.migration.plugins.plugin_utils._fleet import read_fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._pairs import compatible_pairs
from ansible_collections.vfio.migration.tests.unit.fleets import (
    UUIDS,
    device,
    gvt,
    host,
    parent,
)
from hypothesis import given
from hypothesis import strategies as st


def pairs_of(fleet: dict, **options) -> dict:
    return compatible_pairs(read_fleet(fleet), "source_lists", **options)


def test_equal_devices_are_one_class_and_pairs_are_counted_between_hosts():
    fleet = {
        "a": host([device(UUIDS[0]), device(UUIDS[1])]),
        "b": host([device(UUIDS[2]), device(UUIDS[3], vm="vm-1")]),
    }
    result = pairs_of(fleet)
    (digest,) = list(result["classes"])
    assert result["classes"][digest]["hosts"] == {"a": 2, "b": 2}
    (pair,) = result["pairs"]
    assert (pair["source"], pair["target"], pair["set"]) == (digest, digest, 0)
    assert (pair["sources"], pair["targets"], pair["free_targets"], pair["pairs"]) == (4, 4, 3, 8)


def test_a_class_with_no_pair_has_its_nearest_misses():
    fleet = {
        "a": host([device(UUIDS[0], gvt())]),
        "b": host([device(UUIDS[1], gvt(pci_id="8086591d", software_version="1.0.0"))]),
        "c": host([device(UUIDS[2], gvt(pci_id="8086591d"))]),
    }
    result = pairs_of(fleet, sources=["a"])
    assert result["pairs"] == []
    (misses,) = list(result["misses"].values())
    assert [[reason["attribute"] for reason in miss["reasons"]] for miss in misses] == [
        ["pci_id"],
        ["pci_id", "software_version"],
    ]


def test_what_hosts_could_make_is_said_with_the_room_they_have():
    fleet = {
        "a": host([device(UUIDS[0], gvt("4", "2"))]),
        "b": host(parents=[parent(), parent("0000:00:03.0")]),
        "c": host(parents=[parent(pci_id="8086591d")]),
    }
    (ways,) = pairs_of(fleet)["creatable"].values()
    assert [(way["type"], way["attributes"][0]["value"], way["hosts"]) for way in ways] == [
        ("i915-GVTg_V5_2", "1", {"b": 4}),
        ("i915-GVTg_V5_4", "2", {"b": 4}),
        ("i915-GVTg_V5_8", "4", {"b": 4}),
    ]


def test_devices_without_descriptor_or_migration_are_listed_as_excluded():
    never = {"supported": False, "features": [], "state": None}
    known = never | {"evidence": "driver vfio-pci never supports it"}
    fleet = {
        "a": host([device(UUIDS[0]) | {"descriptor": {}}]),
        "b": host([device(UUIDS[1], migration=never), device(UUIDS[2], migration=known)]),
    }
    assert [(each["host"], each["id"], each["reason"]) for each in pairs_of(fleet)["excluded"]] == [
        ("a", UUIDS[0], "it has no usable descriptor; see the problems of its host"),
        ("b", UUIDS[1], "its driver does not support migration"),
        (
            "b",
            UUIDS[2],
            "its driver does not support migration (driver vfio-pci never supports it)",
        ),
    ]


def test_hosts_without_facts_are_listed_as_unknown():
    assert pairs_of({"a": {}})["unknown"] == ["a"]


DEVICES = st.builds(
    gvt,
    st.sampled_from(["2", "4", "8"]),
    st.sampled_from(["1", "2", "4"]),
    pci_id=st.sampled_from(["80865963", "8086591d"]),
    software_version=st.sampled_from(["0.1.0", "0.2.0"]),
)


@given(st.lists(st.lists(DEVICES, max_size=3), min_size=2, max_size=4))
def test_counts_and_expanded_pairs_agree_with_comparing_every_device(devices):
    numbers = itertools.count()
    fleet = {
        f"h{index}": host([device(f"d{next(numbers)}", each) for each in own])
        for index, own in enumerate(devices)
    }
    result = pairs_of(fleet, expand=True)
    expected = set()
    for one, other in itertools.permutations(read_fleet(fleet).devices(), 2):
        alone = compatible_pairs(
            read_fleet(
                {
                    "s": host([device("s", _raw(one))]),
                    "t": host([device("t", _raw(other))]),
                }
            ),
            "source_lists",
            sources=["s"],
            targets=["t"],
        )
        if alone["pairs"] and one.host != other.host:
            expected.add((one.id, other.id))
    assert {(p["source"]["id"], p["target"]["id"]) for p in result["devices"]} == expected
    assert sum(pair["pairs"] for pair in result["pairs"]) == len(expected)


def _raw(device) -> dict:
    return {"self": device.descriptor.self_attributes, "compatible": device.descriptor.compatible}
