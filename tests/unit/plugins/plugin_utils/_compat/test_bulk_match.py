# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Joining a list of patterns with many devices says what matching it with each of them would."""

from __future__ import annotations

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.attributes import normalise
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.pattern import (
    compile_patterns,
    first_match,
    mismatch,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.bitset import members
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.bulk_match import (
    Listing,
    Subjects,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.wording import nearest
from ansible_collections.vfio.migration.tests.unit.descriptor_strategies import PATTERNS, SELVES
from hypothesis import given
from hypothesis import strategies as st

ORDERS = st.builds(
    lambda pattern, direction, number: {**pattern, "z": f"{{{direction}:{number}}}"},
    PATTERNS,
    st.sampled_from(["rising", "falling"]),
    st.sampled_from([*range(5), "0,3", "2,2"]),
)
NUMBERED = st.builds(
    lambda own, value: own if value is None else {**own, "z": value},
    SELVES,
    st.sampled_from([None, "", "x", "-1", *map(str, range(5)), "1,3", "2,2"]),
)


def compiled(patterns, are_targets):
    sets = [normalise(each.items()) for each in patterns]
    return compile_patterns(sets, "0.1.0", are_targets, derived=True)


@given(
    st.lists(st.one_of(PATTERNS, ORDERS), max_size=3),
    st.lists(NUMBERED, max_size=8),
    st.booleans(),
)
def test_every_subject_is_as_far_from_a_list_as_matching_it_says(patterns, subjects, are_targets):
    patterns = compiled(patterns, are_targets)
    listing = Listing(patterns, Subjects(subjects, are_targets))
    distances = [
        0 if first_match(patterns, subject) else len(nearest(mismatch(patterns, subject)))
        for subject in subjects
    ]
    for failures in range(8):
        assert [*members(listing.within(failures))] == [
            number for number, distance in enumerate(distances) if distance <= failures
        ]
    assert listing.matched == listing.within(0)


# Values of which one makes any of PATTERNS match, where any value of that attribute does.
VALUES = {
    "device_api": ["vfio-pci", "vfio-ap"],
    "type": ["t1", "t2", "t4", "2", "4", "t11", "t12", "t21", "t22"],
    "software_version": ["0.1.0", "0.2", "0.9"],
    "pci_id": ["80865963", "8086591d"],
    "aggregator": ["", *map(str, range(30)), "-1", "11", "22", "44"],
    "remote_url": ["nvme://h/1", "nvme://h/2"],
}
FEW = PATTERNS.filter(lambda pattern: not any(len(value) > 100 for value in pattern.values()))


@given(st.lists(FEW, max_size=3), st.lists(SELVES, max_size=8))
def test_but_for_one_attribute_means_that_another_value_of_it_would_match(patterns, subjects):
    patterns = compiled(patterns, True)
    listing = Listing(patterns, Subjects(subjects, True))

    def matches(subject):
        return first_match(patterns, subject) is not None

    for name, values in VALUES.items():
        assert [*members(listing.but_for.get(name, 0))] == [
            number
            for number, subject in enumerate(subjects)
            if not matches(subject) and any(matches(subject | {name: value}) for value in values)
        ]
