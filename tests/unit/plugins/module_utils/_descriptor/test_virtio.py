# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.virtio import (
    BLOCK,
    NET,
    class_names,
    feature_mask,
    feature_names,
)
from hypothesis import given
from hypothesis import strategies as st

MASKS = st.integers(0, 2**64 - 1)
CLASSES = st.sampled_from([NET, BLOCK, "virtio-26", None])

# What vdpa of iproute2 6.15 printed for the management device vdpasim_net and a device of it, beside the kernel's masks.
SHOWN = {
    0x308830028: "MTU MAC STATUS CTRL_VQ CTRL_MAC_ADDR ANY_LAYOUT VERSION_1 ACCESS_PLATFORM",
    0x300830028: "MTU MAC STATUS CTRL_VQ CTRL_MAC_ADDR VERSION_1 ACCESS_PLATFORM",
}


@pytest.mark.parametrize("mask", SHOWN)
def test_names_are_the_tools(mask):
    assert feature_names(mask, NET) == SHOWN[mask].split()
    assert feature_mask(SHOWN[mask].split(), NET) == mask


@given(MASKS, CLASSES)
def test_no_bit_is_lost_or_made_up(mask, device_class):
    names = feature_names(mask, device_class)
    assert len(set(names)) == len(names) == bin(mask).count("1")
    assert feature_mask(names, device_class) == mask


def test_what_has_no_name_in_its_class_is_a_bit():
    assert feature_names(1 << 3 | 1 << 13 | 1 << 42 | 1 << 60, BLOCK) == [
        "bit_3",
        "DISCARD",
        "bit_42",
        "bit_60",
    ]
    assert feature_names(1 << 3 | 1 << 40, None) == ["bit_3", "RING_RESET"]


def test_a_feature_of_two_classes_is_another_bit_in_each():
    assert (feature_mask(["MQ"], NET), feature_mask(["MQ"], BLOCK)) == (1 << 22, 1 << 12)


def test_names_bits_and_masks_add_up():
    assert feature_mask(["MAC", "bit_40", "0x308", "1", "0X10"], NET) == 0x10000000339
    assert feature_mask([], NET) == 0


@pytest.mark.parametrize(
    "feature",
    ["mac", "VIRTIO_NET_F_MAC", "bit_64", "bit_-1", "-1", "0x1 ", "0x", "", "18446744073709551616"],
)
def test_the_rest_is_refused(feature):
    with pytest.raises(ValueError):
        feature_mask([feature], NET)


def test_classes_are_named_by_their_ids():
    assert class_names(1 << 1 | 1 << 2 | 1 << 26) == [NET, BLOCK, "virtio-26"]
