# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Verdicts on two descriptors."""

from __future__ import annotations

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.attributes import (
    DescriptorError,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.verdict import (
    DIRECTIONS,
    verdict,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.descriptor import (
    read_descriptor,
)
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import Verdict
from ansible_collections.vfio.migration.tests.unit.fleets import gvt, gvt_self
from hypothesis import given
from hypothesis import strategies as st


def judge(source: dict, target: dict, direction: str = "source_lists") -> Verdict:
    return verdict(read_descriptor(source), read_descriptor(target), direction)


def test_a_compatible_pair_names_the_set_and_its_bindings():
    assert judge(gvt("4", "2"), gvt("8", "4")) == {
        "compatible": True,
        "direction": "source_lists",
        "direction_conflict": False,
        "certainty": "declared",
        "set": 0,
        "bindings": {"val1": 8},
        "reasons": [],
        "warnings": [],
    }


def test_an_incompatible_pair_says_why():
    result = judge(gvt(), gvt(pci_id="8086591d"))
    assert (result["compatible"], result["set"], result["bindings"]) == (False, None, {})
    assert result["reasons"] == [
        {
            "set": 0,
            "attribute": "pci_id",
            "rule": "equal",
            "expected": "80865963",
            "actual": "8086591d",
        }
    ]


@pytest.mark.parametrize(
    ("direction", "upgrade", "downgrade"),
    [
        ("source_lists", False, True),
        ("target_accepts", True, False),
        ("both", False, False),
        ("either", True, True),
    ],
)
def test_direction_says_whose_list_decides(direction, upgrade, downgrade):
    source = {"self": gvt_self(), "compatible": []}
    target = {"self": gvt_self(software_version="0.2.0"), "compatible": [gvt_self()]}
    there = judge(source, target, direction)
    assert there["compatible"] == upgrade
    lister = {"self": gvt_self(), "compatible": [gvt_self()]}
    silent = {"self": gvt_self(), "compatible": []}
    back = judge(lister, silent, direction)
    assert back["compatible"] == downgrade
    assert there["direction_conflict"] and back["direction_conflict"]


def test_a_direction_conflict_is_told_in_words_too():
    older = {"self": gvt_self(), "compatible": [gvt_self("8", "4")]}
    result = judge({"self": gvt_self(), "compatible": [gvt_self()]}, older)
    assert result["direction_conflict"]
    assert "the source's list has the other device, the target's list has not" in result["warnings"]


def test_the_version_of_the_source_decides_where_a_set_states_none():
    listed = {key: value for key, value in gvt_self().items() if key != "software_version"}
    for source, target, good in (("0.1.0", "0.2.0", True), ("0.2.0", "0.1.0", False)):
        result = judge(
            {"self": gvt_self(software_version=source), "compatible": [listed]},
            {"self": gvt_self(software_version=target), "compatible": [listed]},
        )
        assert result["compatible"] == good
        assert not result["direction_conflict"]


def test_a_derived_descriptor_makes_the_verdict_derived_and_warns():
    derived = gvt() | {"origin": "derived"}
    result = judge(derived, gvt())
    assert result["certainty"] == "derived"
    assert any("derived from sysfs" in warning for warning in result["warnings"])


def test_what_differs_uncompared_is_warned_about():
    listed = {"device_api": "vfio-pci", "type": "i915-GVTg_V5_4"}
    source = {"self": gvt_self(remote_url="x"), "compatible": [listed]}
    target = {"self": gvt_self(pci_id="8086591d", remote_url="y"), "compatible": [listed]}
    result = judge(source, target)
    assert result["compatible"]
    assert result["warnings"] == [
        "the pattern states no pci_id: any is accepted",
        "remote_url is not compared: it is x on the source and y on the target",
        "the type is the same, but the PCI id is 80865963 on the source and 8086591d on the target",
    ]


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_what_has_no_usable_descriptor_is_compatible_with_nothing(direction):
    good = read_descriptor(gvt())
    bad = DescriptorError("'type' is missing", "type")
    for source, target, sides in ((good, None, 1), (None, good, 1), (bad, bad, 2)):
        result = verdict(source, target, direction)
        assert not result["compatible"]
        assert [reason["rule"] for reason in result["reasons"]] == ["no_descriptor"] * sides


@pytest.mark.parametrize(
    "data",
    [None, [], {}, {"self": []}, {"self": {}, "compatible": "x"}, {"self": {"type": ["x"]}}]
    + [{"self": gvt_self(), "compatible": [{}] * 65}, {"self": gvt_self(type=True)}],
)
def test_what_is_no_descriptor_is_malformed(data):
    with pytest.raises(DescriptorError):
        read_descriptor(data)


def test_numbers_are_read_as_text_and_older_names_as_the_new_ones():
    data = {"self": gvt_self() | {"aggregator": 2}, "compatible": [{"mdev_type": "x", "n": None}]}
    descriptor = read_descriptor(data)
    assert descriptor.self_attributes["aggregator"] == "2"
    assert descriptor.compatible == [{"n": "", "type": "x"}]


ATTRIBUTES = st.fixed_dictionaries(
    {
        "aggregator": st.sampled_from(["1", "2", "4"]),
        "pci_id": st.sampled_from(["80865963", "8086591d"]),
        "software_version": st.sampled_from(["0.1.0", "0.2.0", "1.0.0"]),
        "mdev_type": st.sampled_from(["1", "2", "4", "8"]),
    }
).map(lambda drawn: gvt_self(**drawn))
PATTERNS = st.one_of(
    ATTRIBUTES,
    st.just(gvt()["compatible"][0]),
    st.sampled_from(
        [
            {"device_api": "vfio-pci", "type": "i915-GVTg_V5_{n:int:2,4}"},
            {"device_api": "vfio-pci", "type": "i915-GVTg_V5_4", "aggregator": "{n}"},
            {"device_api": "vfio-pci", "type": "i915-GVTg_V5_{n:int:4,8}", "aggregator": "{n} / 4"},
            {"type": "i915-GVTg_V5_4"},
        ]
    ),
)
DESCRIPTORS = st.builds(
    lambda own, sets: {"self": own, "compatible": sets}, ATTRIBUTES, st.lists(PATTERNS, max_size=3)
)


@given(DESCRIPTORS, DESCRIPTORS)
def test_both_is_the_conjunction_and_either_the_disjunction(source, target):
    compatible = {
        direction: judge(source, target, direction)["compatible"] for direction in DIRECTIONS
    }
    one, other = compatible["source_lists"], compatible["target_accepts"]
    assert compatible["both"] == (one and other)
    assert compatible["either"] == (one or other)
    assert judge(source, target)["direction_conflict"] == (one != other)


@given(DESCRIPTORS, DESCRIPTORS, PATTERNS, st.integers(0, 3), st.sampled_from(DIRECTIONS))
def test_adding_a_set_never_removes_a_pair(source, target, extra, place, direction):
    def more(descriptor: dict) -> dict:
        sets = descriptor["compatible"]
        return descriptor | {"compatible": [*sets[:place], extra, *sets[place:]]}

    before = judge(source, target, direction)["compatible"]
    assert before <= judge(more(source), target, direction)["compatible"]
    assert before <= judge(source, more(target), direction)["compatible"]


@given(DESCRIPTORS, DESCRIPTORS, st.sampled_from(DIRECTIONS), st.randoms())
def test_the_order_of_attributes_never_matters(source, target, direction, random):
    def shuffled(attributes: dict) -> dict:
        return dict(random.sample(list(attributes.items()), len(attributes)))

    def reordered(descriptor: dict) -> dict:
        sets = [shuffled(each) for each in descriptor["compatible"]]
        return {"compatible": sets, "self": shuffled(descriptor["self"])}

    assert judge(reordered(source), reordered(target), direction) == judge(
        source, target, direction
    )


@given(DESCRIPTORS, DESCRIPTORS, st.sampled_from(DIRECTIONS), st.randoms())
def test_the_order_of_sets_never_matters(source, target, direction, random):
    def reordered(descriptor: dict) -> dict:
        sets = descriptor["compatible"]
        return descriptor | {"compatible": random.sample(sets, len(sets))}

    def reasons(verdict: dict) -> list[str]:
        return sorted(str(reason | {"set": None}) for reason in verdict["reasons"])

    one, other = (
        judge(source, target, direction),
        judge(reordered(source), reordered(target), direction),
    )
    assert one["compatible"] == other["compatible"]
    assert one["direction_conflict"] == other["direction_conflict"]
    assert reasons(one) == reasons(other)


@given(DESCRIPTORS, DESCRIPTORS)
def test_there_are_reasons_where_and_only_where_a_pair_is_incompatible(source, target):
    for direction in DIRECTIONS:
        result = judge(source, target, direction)
        assert result["compatible"] == (result["reasons"] == []) == (result["set"] is not None)
