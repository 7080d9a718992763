# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the descriptions of NVIDIA's vGPU types state of the room that they take."""

from __future__ import annotations

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.vgpu_types import (
    stated_limits,
)


@pytest.mark.parametrize(
    ("description", "limits"),
    [
        (
            "num_heads=4, frl_config=60, framebuffer=8192M, max_resolution=7680x4320, max_instance=6",
            (6, 8192),
        ),
        ("num_heads=1,frl_config=60,framebuffer=4096M,max_instance=7", (7, 4096)),
        ("low_gm_size: 128MB, high_gm_size: 512MB, fence: 4", (None, None)),
        ("max_instance=0, framebuffer=xM", (None, None)),
        (None, (None, None)),
        ("", (None, None)),
    ],
)
def test_a_description_states_how_many_a_card_holds(description, limits):
    assert stated_limits(description) == limits
