# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What one host says makes no difference to the plan of others, and stops nobody.

``make fuzz`` tries 100,000 facts of the hostile host, five to an example, and prints the number.
"""

from __future__ import annotations

import contextlib
import json

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.pairs import compatible_pairs
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import read_fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.candidate_options import (
    candidates_for,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.handed_over import check_plan
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.headroom_options import (
    headroom_for,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.maintenance_options import (
    maintenance_for,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.plan_options import plan_for
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.rebalance_options import (
    rebalance_for,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.report_options import (
    report_for,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._report.html import as_html
from ansible_collections.vfio.migration.plugins.plugin_utils._report.markdown import as_markdown
from ansible_collections.vfio.migration.tests.unit.filter_calls import filter_of
from ansible_collections.vfio.migration.tests.unit.fleets import UUIDS, device, gvt, host, parent
from ansible_collections.vfio.migration.tests.unit.fuzzing import limits
from ansible_collections.vfio.migration.tests.unit.hostile_facts import (
    each_left_out,
    hostile,
    right,
)
from hypothesis import given
from hypothesis import strategies as st

HONEST = {
    "a": host(
        [
            device(UUIDS[5], gvt(), vm="vm-1", pid=4711),
            device(UUIDS[6], gvt("8", "4"), vm="vm-1", pid=4711),
            device(UUIDS[7], gvt("8", "4")),
        ],
        [parent()],
    ),
    "b": host([device(UUIDS[8], gvt("8", "4"))], [parent(available={"i915-GVTg_V5_4": 1})]),
    "c": host(parents=[parent()]),
}
HOSTS = [*HONEST]
FACTS_OF_AN_EXAMPLE = 5
SEEDS = st.integers(0, 2**64).map(lambda seed: [seed + n for n in range(FACTS_OF_AN_EXAMPLE)])
CONDITIONS = st.fixed_dictionaries(
    {},
    optional={
        "direction": st.sampled_from(["target_accepts", "both", "either"]),
        "policy": st.just("spread"),
        "limit": st.just(2),
        "apart": st.just([["vm-1", "vm-2"]]),
        **{
            name: st.just(True)
            for name in ("numa_local", "distinct_gpus", "keep_kind", "keep_type")
        },
        **{name: st.just(True) for name in ("round_trip", "reuse")},
    },
)


def written(plan) -> str:
    """Return a plan as bytes, without the names of the hosts that nothing is known of."""
    return json.dumps({name: value for name, value in plan.items() if name != "unknown"})


@given(SEEDS, CONDITIONS)
def test_the_plan_of_honest_hosts_is_the_same_with_and_without_a_hostile_one(
    hostile_facts, seeds, conditions
):
    alone = written(plan_for(HONEST, ["a"], targets=HOSTS, **conditions))
    for seed in seeds:
        facts = HONEST | {"z": hostile(seed)}
        with limits():
            beside = plan_for(facts, ["a"], targets=HOSTS, **conditions)
        assert written(beside) == alone
        assert beside["unknown"] in ([], ["z"])
        hostile_facts["planned"] += 1
        hostile_facts["left out"] += bool(beside["unknown"])


@given(SEEDS, CONDITIONS)
def test_a_hostile_host_has_a_plan_or_a_problem(seeds, conditions):
    """It may receive, and be emptied; whatever it says, no rule is broken and the others are there."""
    for seed in seeds:
        fleet = HONEST | {"z": hostile(seed)}
        plan = plan_for(fleet, ["a"], **conditions)
        if plan["unknown"]:
            assert [each["host"] for each in read_fleet(fleet).problems] in ([], ["z"])
            continue
        # An empty name names nothing.
        with contextlib.suppress(FleetError):
            plan_for(fleet, sources=[{"host": "z", "id": UUIDS[0]}], **conditions)
        plan_for(fleet, ["z"], **conditions)


EXECUTORS = {
    "nova_migrations": {},
    "proxmox_migrations": {"guests": {"vm-1": "101"}},
    "kubevirt_migrations": {"guests": {"vm-1": "default.vm-1"}},
    "cloud_hypervisor_migrations": {"guests": {"vm-1": "vm-1"}},
}


@given(st.integers(0, 2**64), st.sampled_from([["a"], ["z"], ["a", "z"]]))
def test_whatever_a_plan_has_of_a_hostile_host_can_be_carried_out(seed, drain):
    """A plan that this collection made is one to it, and to other executors."""
    fleet = HONEST | {"z": hostile(seed)}
    plan = plan_for(fleet, ["a"] if read_fleet(fleet).unknown else drain)
    check_plan("plan", plan)
    report_for(fleet, plan=plan)
    for name, options in EXECUTORS.items():
        filter_of(name)(plan, fleet=fleet, **options)


@given(
    st.integers(0, 2**64),
    st.sampled_from(["source_lists", "target_accepts", "both", "either"]),
)
def test_a_report_has_every_honest_host(seed, direction):
    fleet = HONEST | {"z": hostile(seed)}
    report = report_for(fleet, direction=direction)
    assert [each["name"] for each in report["hosts"] if each["name"] != "z"] == HOSTS
    assert as_html(report)
    assert as_markdown(report)
    compatible_pairs(read_fleet(fleet), direction, expand=True)


def ask_everything_else(fleet):
    """Ask what else is asked of a whole fleet, the hostile host taking what it can of what is placed."""
    with limits():
        # Who is emptied first moves on with the second step, so its facts are those of after the first.
        for emptied in (["a", "c"], ["a", "z"]):
            with contextlib.suppress(FleetError):
                maintenance_for(fleet, emptied, use_returned=True)
        with contextlib.suppress(FleetError):
            maintenance_for(fleet, ["a"], targets=["z"])
        rebalance_for(fleet, max_moves=3)
        headroom_for(fleet)
        candidates_for(fleet, drain=["a"])


@given(st.integers(0, 2**64))
def test_whatever_else_is_asked_of_a_fleet_has_an_answer_with_a_hostile_host(seed):
    aside = [maintenance_for(HONEST, ["a"], targets=HOSTS), candidates_for(HONEST, drain=["a"])]
    fleet = HONEST | {"z": hostile(seed)}
    ask_everything_else(fleet)
    beside = [
        maintenance_for(fleet, ["a"], targets=HOSTS),
        candidates_for(fleet, drain=["a"], targets=HOSTS[1:]),
    ]
    assert [*map(written, beside)] == [*map(written, aside)]


@pytest.mark.parametrize(
    "facts", [pytest.param(facts, id="-".join(map(str, path))) for path, facts in each_left_out()]
)
def test_whatever_one_thing_a_host_leaves_out_everything_has_an_answer(facts):
    fleet = HONEST | {"z": facts}
    if read_fleet(fleet).unknown:
        # What is asked is asked of the others; the property above asks everything beside such hosts.
        plan_for(fleet, ["a"])
    else:
        ask_everything_else(fleet)


def test_hostile_facts_are_of_both_kinds():
    """Most mutations make a host unknown, and many do not: both are tried."""
    unknown = sum(bool(read_fleet({"z": hostile(seed)}).unknown) for seed in range(300))
    assert 100 < unknown < 280
    assert read_fleet({"z": right()}).problems == [
        {"host": "z", "path": "/sys/x", "problem": "odd"}
    ]
