# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible.errors import AnsibleError
from ansible_collections.vfio.migration.plugins.filter.vdpa_common_features import (
    vdpa_common_features,
)
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.virtio import (
    feature_mask,
    feature_names,
)
from ansible_collections.vfio.migration.tests.unit.fleets import host
from hypothesis import given
from hypothesis import strategies as st

MASKS = st.dictionaries(st.sampled_from(["a", "b", "c"]), st.integers(0, 2**64 - 1), min_size=1)


def offering(**masks):
    """Return the facts of a host with management devices for network devices, by name."""
    return host(parents=[management_device(name, hex(mask)) for name, mask in masks.items()])


def management_device(name="x", mask="0x20", classes=("net",)):
    return {
        "kind": "vdpa",
        "id": name,
        "types": [],
        "pci_id": None,
        "supported_classes": list(classes),
        "dev_features_mask": mask,
    }


@given(MASKS)
def test_what_is_common_is_offered_everywhere_and_what_is_lacking_is_not(masks):
    result = vdpa_common_features({name: offering(x=mask) for name, mask in masks.items()})
    common = int(result["mask"], 16)
    assert feature_mask(result["features"], "net") == common
    for name, mask in masks.items():
        assert common & ~mask == 0
        lacking = {
            feature
            for feature, places in result["lacking"].items()
            if {"host": name, "mgmtdev": "x"} in places
        }
        # Whatever a host does not offer, but another one does, is told of it; all the rest is common.
        others = [other for other in masks.values() if other != mask]
        assert lacking == {
            feature for other in others for feature in feature_names(other & ~mask, "net")
        }


def test_every_management_device_counts():
    fleet = {"a": offering(x=0x28, y=0x20), "b": offering(x=0x28)}
    result = vdpa_common_features(fleet)
    assert (result["features"], result["mask"]) == (["MAC"], "0x20")
    assert result["lacking"] == {"MTU": [{"host": "a", "mgmtdev": "y"}]}
    narrowed = vdpa_common_features(fleet, mgmtdevs=["x"])
    assert narrowed["mask"] == "0x28"
    assert narrowed["mgmtdevs"] == [{"host": name, "mgmtdev": "x"} for name in "ab"]
    assert vdpa_common_features(fleet, hosts="a")["mask"] == "0x20"


def test_bits_without_a_name_are_kept():
    fleet = {"a": offering(x=1 << 45 | 1), "b": offering(x=1 << 45 | 2)}
    result = vdpa_common_features(fleet)
    assert (result["features"], result["mask"]) == (["bit_45"], hex(1 << 45))


def test_features_are_those_of_the_class():
    fleet = {"a": host(parents=[management_device(mask="0x1000", classes=["block"])])}
    assert vdpa_common_features(fleet, device_class="block")["features"] == ["MQ"]
    with pytest.raises(AnsibleError, match=r"vdpa_common_features: no host has facts of a"):
        vdpa_common_features(fleet)


def test_hosts_that_do_not_count_are_told():
    fleet = {"a": offering(x=0x28), "b": offering(), "c": {}}
    result = vdpa_common_features(fleet, hosts=["a", "b", "c", "d"])
    assert result["mask"] == "0x28"
    assert (result["without"], result["unknown"]) == (["b"], ["c", "d"])


@pytest.mark.parametrize(
    "facts",
    [
        None,
        [],
        {},
        {"schema": 2},
        {"schema": 1},
        {"schema": 1, "parents": "vdpa"},
        {"schema": 1, "parents": ["vdpa"]},
        {"schema": 1, "parents": [management_device(name=None)]},
        {"schema": 1, "parents": [management_device(mask=None)]},
        {"schema": 1, "parents": [management_device(mask=7)]},
        {"schema": 1, "parents": [management_device(mask="0xfg")]},
        {"schema": 1, "parents": [management_device(mask="0x" + "f" * 17)]},
        {"schema": 1, "parents": [management_device() | {"supported_classes": "network"}]},
        {"schema": 1, "parents": [management_device() | {"supported_classes": 7}]},
    ],
)
def test_odd_facts_cost_only_their_host(facts):
    result = vdpa_common_features({"a": offering(x=0x28), "b": facts})
    assert (result["mask"], result["unknown"]) == ("0x28", ["b"])


def test_an_old_kernel_is_unknown_only_where_it_matters():
    block = management_device("y", None, ["block"])
    fleet = {"a": host(parents=[management_device(), block])}
    assert vdpa_common_features(fleet)["unknown"] == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (([],), "a fleet is hostvars"),
        (({}, 7), "hosts is 7"),
        (({}, None, "net", {}), "mgmtdevs is"),
    ],
)
def test_wrong_arguments_are_named(arguments, words):
    with pytest.raises(AnsibleError, match=words):
        vdpa_common_features(*arguments)
