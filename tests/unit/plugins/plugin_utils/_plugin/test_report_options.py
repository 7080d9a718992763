# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reports from arguments as a play gives them."""

from __future__ import annotations

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.plan_options import plan_for
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.report_options import (
    report_for,
)
from ansible_collections.vfio.migration.tests.unit.fleets import (
    parent,
)
from ansible_collections.vfio.migration.tests.unit.report_fleets import two_of_three


def test_a_plan_that_was_made_with_other_facts_is_out_of_date():
    facts = two_of_three()
    plan = plan_for(facts, drain=["a"])
    facts["b"]["parents"] = [parent(available={"i915-GVTg_V5_4": 2})]
    assert report_for(facts, plan=plan)["plan"]["changed_since"] == ["b"]
    assert report_for(facts, hosts=["b"], plan=plan)["plan"]["changed_since"] == ["a", "b"]


@pytest.mark.parametrize("plan", [{}, {"placements": [{}], "unplaced": []}, ["a"], 7])
def test_what_is_no_plan_is_refused(plan):
    with pytest.raises(FleetError, match=r"'plan' is no plan of vfio\.migration\.migration_plan"):
        report_for(two_of_three(), plan=plan)
