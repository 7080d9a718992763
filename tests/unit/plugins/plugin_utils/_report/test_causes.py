# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Why devices cannot move, and of how many it is true."""

from __future__ import annotations

from ansible_collections.vfio.migration.plugins.plugin_utils._report.causes import (
    MAX_CAUSES,
    Cause,
    count_causes,
)


def test_causes_with_one_reason_are_one():
    causes = [
        (Cause("rare"), 1),
        (Cause("common", "first"), 2),
        (Cause("common", "second", more=True), 3),
    ]
    assert count_causes(causes) == [
        {"devices": 5, "reason": "common", "example": "first", "more": True},
        {"devices": 1, "reason": "rare", "example": None, "more": False},
    ]


def test_only_those_of_most_devices_are_kept():
    counted = count_causes((Cause(str(number)), number) for number in range(1, 9))
    assert [each["devices"] for each in counted] == [8, 7, 6, 5, 4]
    assert len(counted) == MAX_CAUSES
