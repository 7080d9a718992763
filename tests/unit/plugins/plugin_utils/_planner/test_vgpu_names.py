# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the names of NVIDIA's vGPU types tell of the room that they take."""

from __future__ import annotations

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.vgpu_names import (
    Share,
    fitting,
    named_share,
)


@pytest.mark.parametrize(
    ("name", "share"),
    [
        ("NVIDIA L40S-8Q", (0, 8, False)),
        ("GRID RTX6000-4Q", (0, 4, False)),
        ("NVIDIA RTX-A5000-24A", (0, 24, False)),
        ("NVIDIA A100-1-5C", (1, 5, False)),
        ("NVIDIA A100-1-5CME", (1, 5, True)),
        ("GRID M60-2B4", (0, 2, False)),
        ("NVIDIA L40S", None),
        ("L40S-0Q", None),
        ("", None),
    ],
)
def test_a_name_tells_what_its_type_takes(name, share):
    assert named_share(name) == share


# The vendor's own tables have these numbers.
@pytest.mark.parametrize(
    ("share", "whole", "number"),
    [
        ((0, 8), (0, 48), 6),
        ((0, 48), (0, 48), 1),
        ((0, 70), (0, 141), 2),
        ((1, 5), (7, 40), 7),
        ((2, 10), (7, 40), 3),
        ((3, 20), (7, 40), 2),
        ((4, 20), (7, 40), 1),
    ],
)
def test_so_many_fit_on_an_empty_card(share, whole, number):
    assert fitting(Share(share[0], share[1], False), Share(whole[0], whole[1], False)) == number


def test_there_is_one_of_what_a_card_has_only_once():
    assert fitting(Share(1, 5, True), Share(7, 40, False)) == 1
