# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The verifier's own matcher, beside the oracle of the template language."""

from __future__ import annotations

from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify_matching import (
    read_naive_set,
    set_matches,
)
from ansible_collections.vfio.migration.tests.unit import oracle
from ansible_collections.vfio.migration.tests.unit.plugins.module_utils._descriptor.test_pattern_oracle import (
    cases,
)
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st


@settings(suppress_health_check=list(HealthCheck))
@given(cases(), st.booleans())
def test_it_agrees_with_the_oracle(case, subject_is_target):
    pattern, device, version = case
    judgement = oracle.judge(pattern, device, version, subject_is_target)
    own = read_naive_set(pattern, False)
    matching = own is not None and set_matches(own, device, True, version, subject_is_target)
    event("match" if matching else "no match" if judgement else "void")
    assert matching == bool(judgement and judgement[0])
