# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pairs of classes over a fleet."""

from __future__ import annotations

import cProfile
import functools
import gc
import itertools
import json
import os
import subprocess
import sys

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._descriptor import (
    pattern as pattern_module,
)
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.pattern import MAX_SIZE
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.template import Template
from ansible_collections.vfio.migration.plugins.plugin_utils._compat import (
    verdict as verdict_module,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.pairs import compatible_pairs
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.verdict import DIRECTIONS
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.descriptor import (
    read_descriptor,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import Fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import read_fleet
from ansible_collections.vfio.migration.tests.unit import naive_pairs, worst_patterns
from ansible_collections.vfio.migration.tests.unit.descriptor_strategies import DESCRIPTORS
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
        "a": host([device(UUIDS[0], gvt("4", "2"))], [parent()]),
        "b": host(parents=[parent(), parent("0000:00:03.0")]),
        "c": host(parents=[parent(pci_id="8086591d")]),
        "d": host(parents=[parent(), parent("0000:00:03.0")]),
    }
    result = pairs_of(fleet)
    (ways,) = result["creatable"].values()
    # A class that is only on a needs no room there.
    assert [(way["type"], way["attributes"][0]["value"], way["room"]) for way in ways] == [
        ("i915-GVTg_V5_2", "1", {"b": 4}),
        ("i915-GVTg_V5_4", "2", {"b": 4}),
        ("i915-GVTg_V5_8", "4", {"b": 4}),
    ]
    assert result["alike"]["b"] == ["b", "d"]


def test_devices_without_descriptor_or_migration_are_listed_as_excluded():
    never = {"supported": False, "features": [], "state": None}
    known = never | {"evidence": "driver vfio-pci never supports it"}
    fleet = {
        "a": host([device(UUIDS[0]) | {"descriptor": {}}]),
        "b": host([device(UUIDS[1], migration=never), device(UUIDS[2], migration=known)]),
    }
    assert [(each["host"], each["id"], each["reason"]) for each in pairs_of(fleet)["excluded"]] == [
        ("a", UUIDS[0], "it has no usable descriptor; see the problems of its host"),
        ("b", UUIDS[1], "it cannot migrate"),
        (
            "b",
            UUIDS[2],
            "it cannot migrate (driver vfio-pci never supports it)",
        ),
    ]


def test_hosts_without_facts_are_listed_as_unknown():
    assert pairs_of({"a": {}})["unknown"] == ["a"]


@st.composite
def fleets(draw):
    """Draw facts of a few hosts with few kinds of devices; what names a device, and who holds it, differs."""
    kinds = draw(st.lists(DESCRIPTORS, min_size=1, max_size=4))
    entries = st.builds(
        lambda descriptor, url, origin, others: (
            {**descriptor, "self": {**descriptor["self"], **url}, "origin": origin},
            others,
        ),
        st.sampled_from(kinds),
        st.fixed_dictionaries({}, optional={"remote_url": st.sampled_from("abc")}),
        st.sampled_from(["file", "file", "derived"]),
        st.fixed_dictionaries(
            {},
            optional={
                "vm": st.just("vm"),
                "migration": st.just({"supported": False, "features": [], "state": None}),
            },
        ),
    )
    numbers = itertools.count()
    return {
        name: host([device(f"d{next(numbers)}", each, **others) for each, others in own])
        for name, own in zip("abc", draw(st.lists(st.lists(entries, max_size=4), max_size=3)))
    }


HOSTS = st.none() | st.sampled_from([["a"], ["b", "c"], ["a", "b", "c"]])


@given(fleets(), st.sampled_from(DIRECTIONS), HOSTS, HOSTS)
def test_counts_and_expanded_pairs_are_those_of_comparing_every_device(
    facts, direction, sources, targets
):
    fleet = read_fleet(facts)
    result = compatible_pairs(fleet, direction, sources, targets, expand=True)
    expected = naive_pairs.device_pairs(fleet, direction, sources, targets)
    found = {
        (
            (pair["source"]["host"], pair["source"]["id"]),
            (pair["target"]["host"], pair["target"]["id"]),
        ): pair
        for pair in result["devices"]
    }
    assert found.keys() == expected.keys()
    for key, pair in found.items():
        for each in ("set", "bindings", "direction_conflict"):
            assert pair[each] == expected[key][each]
    assert sum(pair["pairs"] for pair in result["pairs"]) == len(expected)
    free = {(each.host, each.id) for each in fleet.devices() if each.in_use is None}
    for pair in result["pairs"]:
        own = [
            key
            for key, each in found.items()
            if is_of(pair["source"], key[0], facts, result)
            and is_of(pair["target"], key[1], facts, result)
        ]
        assert pair["pairs"] == len(own)
        assert pair["free_targets"] >= len({target for source, target in own} & free)


@given(fleets(), st.sampled_from(DIRECTIONS), HOSTS, HOSTS)
def test_misses_are_those_of_comparing_every_two_classes(facts, direction, sources, targets):
    result = compatible_pairs(read_fleet(facts), direction, sources, targets)
    assert result["misses"] == naive_pairs.misses(
        result["classes"], sources or "abc", targets or "abc", direction
    )


@given(fleets(), st.sampled_from(["source_lists", "target_accepts"]))
def test_what_one_attribute_alone_keeps_away_is_behind_a_barrier(facts, direction):
    result = compatible_pairs(read_fleet(facts), direction)
    for name, near in result["misses"].items():
        for miss in near:
            # What is void, or an expression without a value, another value of the attribute does not help.
            if len(miss["reasons"]) == 1 and miss["reasons"][0]["rule"] in ("equal", "one_of"):
                barrier = result["barriers"][name][miss["reasons"][0]["attribute"]]
                assert barrier["devices"] >= miss["devices"]
                assert barrier["classes"] >= 1


def test_barriers_are_told_with_what_would_be_won():
    other = gvt(pci_id="8086591d")
    fleet = {
        "a": host([device(UUIDS[0])]),
        "b": host([device(UUIDS[1], other), device(UUIDS[2], other)]),
        "c": host([device(UUIDS[3], gvt(software_version="1.0.0"))]),
    }
    expected = {
        "pci_id": {"classes": 1, "devices": 2},
        "software_version": {"classes": 1, "devices": 1},
    }
    (barriers,) = pairs_of(fleet, sources=["a"])["barriers"].values()
    assert barriers == expected
    # The same list, read from the other side.
    result = compatible_pairs(read_fleet(fleet), "target_accepts", targets=["a"])
    found = [item for each in result["barriers"].values() for item in each.items()]
    assert dict(found) == {name: {"classes": 1, "devices": 1} for name in expected}


def test_what_only_names_a_device_makes_no_class_of_it():
    fleet = {
        name: host([device(UUIDS[number], gvt(remote_url=f"nvme://h/{number}"))])
        for number, name in enumerate("abc")
    }
    result = pairs_of(fleet)
    ((name, entry),) = list(result["classes"].items())
    assert result["uncompared"] == ["remote_url"]
    assert "remote_url" not in entry["self"]
    assert entry["hosts"] == {"a": 1, "b": 1, "c": 1}
    (pair,) = result["pairs"]
    assert (pair["source"], pair["pairs"]) == (name, 6)
    assert pair["warnings"] == ["remote_url is not compared: devices of one class differ in it"]


def test_what_a_pattern_names_keeps_classes_apart():
    descriptors = [gvt(remote_url=f"nvme://h/{number}") for number in range(2)]
    descriptors[0]["compatible"][0]["remote_url"] = "nvme://h/0"
    fleet = {
        name: host([device(UUIDS[number], descriptors[number])]) for number, name in enumerate("ab")
    }
    result = pairs_of(fleet)
    assert len(result["classes"]) == 2
    assert result["uncompared"] == []


@functools.cache
def worst_fleet(name: str) -> Fleet:
    return read_fleet(worst_patterns.fleet(name, 6))


@pytest.mark.parametrize("direction", ["source_lists", "target_accepts"])
@pytest.mark.parametrize("name", worst_patterns.IN_FLEETS)
def test_the_worst_sets_are_joined_as_comparing_every_device_would(name, direction):
    fleet = worst_fleet(name)
    result = compatible_pairs(fleet, direction, expand=True)
    found = {
        tuple((pair[side]["host"], pair[side]["id"]) for side in ("source", "target"))
        for pair in result["devices"]
    }
    assert found == naive_pairs.device_pairs(fleet, direction).keys()
    hosts = [*fleet.hosts]
    assert result["misses"] == naive_pairs.misses(result["classes"], hosts, hosts, direction)


@pytest.mark.parametrize("direction", ["source_lists", "target_accepts"])
@pytest.mark.parametrize("name", worst_patterns.IN_FLEETS)
def test_the_worst_sets_take_calls_in_proportion_to_the_size_of_each(name, direction):
    fleet = worst_fleet(name)
    profile = cProfile.Profile()
    # What other tests have had the collector call does not count.
    gc.disable()
    try:
        profile.runcall(compatible_pairs, fleet, direction)
    finally:
        gc.enable()
    calls = sum(each.callcount for each in profile.getstats())
    assert 0 < calls < 6 * 20 * MAX_SIZE


@pytest.mark.parametrize("direction", ["source_lists", "target_accepts"])
def test_equal_lists_of_a_fleet_are_matched_once_with_each_class(monkeypatch, direction):
    matched = []

    def first_match(patterns, subject):
        matched.append(subject)
        return pattern_module.first_match(patterns, subject)

    monkeypatch.setattr(verdict_module, "first_match", first_match)
    fleet = read_fleet(worst_patterns.fleet("8 variables of 8 values", 60))
    result = compatible_pairs(fleet, direction)
    assert len(result["pairs"]) > 1000
    # Two lists, for sources and for targets.
    assert 0 < len(matched) <= 2 * 2 * 60


@pytest.mark.parametrize("direction", ["source_lists", "target_accepts"])
def test_a_component_is_matched_once_with_equal_values(monkeypatch, direction):
    matched = []
    original = Template.fitting

    def fitting(template, actual, table):
        matched.append(template)
        return original(template, actual, table)

    monkeypatch.setattr(Template, "fitting", fitting)
    facts = worst_patterns.fleet("8 variables of 8 values", 60)
    for number, each in enumerate(facts.values()):
        for described in each["descriptors"].values():
            described["compatible"].append({**worst_patterns.BASE, "own": str(number)})
    result = compatible_pairs(read_fleet(facts), direction)
    assert len(result["pairs"]) > 1000
    # 60 lists for sources and for targets, 8 components each, 9 values; those of each pair would be 16.
    assert 0 < len(matched) <= 60 * 2 * 8 * 9
    assert len(matched) < 8 * len(result["pairs"])


def varied_fleet() -> dict:
    """Return hosts with devices of many classes, some of which differ only in what names them, and with room for more."""
    numbers = itertools.count()
    kinds = [
        gvt(size, aggregator, software_version=version, remote_url=f"nvme://h/{size}{aggregator}")
        for size, aggregator, version in itertools.product("248", "124", ("0.1.0", "0.2.0"))
    ]
    return {
        f"host{number}": host(
            [device(f"d{next(numbers)}", each, parent=f"0000:00:0{number}.0") for each in own],
            [parent(f"0000:00:0{number % 3}.0"), parent("0000:00:09.0", driver="other")],
        )
        for number in range(6)
        for own in [kinds[number::3]]
    }


def printed_pairs() -> str:
    """Return the pairs of the varied fleet as JSON."""
    results = [
        compatible_pairs(read_fleet(varied_fleet()), direction, expand=True)
        for direction in DIRECTIONS
    ]
    return json.dumps(results)


def test_every_run_gives_the_same_bytes():
    module = "ansible_collections.vfio.migration.tests.unit.plugins.plugin_utils._compat.test_pairs"
    runs = {
        subprocess.run(
            [sys.executable, "-c", f"from {module} import printed_pairs; print(printed_pairs())"],
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1")
    }
    assert runs == {f"{printed_pairs()}\n"}


def is_of(class_name, key, facts, result) -> bool:
    """Return whether the device with this key is of the class."""
    device_host, device_id = key
    entry = next(each for each in facts[device_host]["devices"] if each["id"] == device_id)
    descriptor = facts[device_host]["descriptors"][entry["descriptor"]]
    own = {n: v for n, v in descriptor["self"].items() if n not in result["uncompared"]}
    found = read_descriptor({**descriptor, "self": own})
    return found.digest == class_name
