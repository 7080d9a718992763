# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which changes lead to the network settings that are wanted."""

from __future__ import annotations

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.network_settings import (
    LINK_STATES,
    PARTS,
    PROTOCOLS,
    UNSET,
    needed_changes,
    why_invalid,
)
from ansible_collections.vfio.migration.plugins.module_utils._host import vf_network
from ansible_collections.vfio.migration.plugins.module_utils._host.netlink import decoded, encoded
from hypothesis import given
from hypothesis import strategies as st

VALUES = {
    "mac": st.sampled_from(["52:54:00:12:34:56", "00:00:00:00:00:00"]),
    "vlan": st.integers(0, 4094),
    "qos": st.integers(0, 7),
    "proto": st.sampled_from(PROTOCOLS),
    "min_tx_rate": st.integers(0, 2),
    "max_tx_rate": st.integers(0, 2**31 - 1),
    "spoofchk": st.booleans(),
    "trust": st.booleans(),
    "link_state": st.sampled_from(LINK_STATES),
}


@given(st.fixed_dictionaries(VALUES), st.fixed_dictionaries({}, optional=VALUES))
def test_changes_lead_to_what_is_wanted_and_leave_the_rest(current, wanted):
    assert why_invalid(wanted) is None
    changes = needed_changes(current, wanted)
    after = dict(current)
    for each in changes:
        # What the kernel is asked for is what it shows afterwards.
        base = {"mac": after["mac"], "vlan": after["vlan"], "qos": after["qos"]}
        told = decoded(encoded(vf_network.request(0, {**base, **each})))[22]
        shown = vf_network.decode_functions(decoded(encoded({1: bytes(6), 22: told})))[0]
        assert {name: shown[name] for name in each} == each
        after.update(each)
    assert after == {**current, **wanted}
    assert needed_changes(after, wanted) == []
    assert [tuple(each) for each in changes] == [
        p for p in PARTS if tuple(p) in map(tuple, changes)
    ]


def test_what_nobody_has_set_is_a_setting_like_any_other():
    assert [*UNSET] == [name for part in PARTS for name in part]
    assert why_invalid(UNSET) is None


@pytest.mark.parametrize(
    "settings",
    [
        {"mac": None},
        {"mac": "52:54:00:12:34"},
        {"mac": "01:00:5e:00:00:01"},
        {"vlan": True},
        {"vlan": "7"},
        {"trust": "on"},
        {"proto": "802.1x"},
        {"link_state": []},
        {"else": 1},
        {1: 1},
    ],
)
def test_what_is_no_setting_is_said_to_be_none(settings):
    assert why_invalid(settings)
