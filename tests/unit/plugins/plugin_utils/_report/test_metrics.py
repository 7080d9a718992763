# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report's metrics, read by Prometheus' own parser."""

from __future__ import annotations

import json

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.headroom_options import (
    headroom_for,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.plan_options import plan_for
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.report_options import (
    report_for,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._report.metrics import (
    as_metrics,
)
from ansible_collections.vfio.migration.tests.unit.fleets import UUIDS, device, host, parent

parser = pytest.importorskip("prometheus_client.parser")


def metrics(facts, drain=None, headroom=None, record=None):
    """Return the numbers, by the names of the metrics without their common part, and the values of the labels."""
    plan = plan_for(facts, drain=drain) if drain else None
    text = as_metrics(report_for(facts, plan=plan, headroom=headroom, record=record))
    families = list(parser.text_string_to_metric_families(text))
    assert all(each.type == "gauge" and each.documentation for each in families)
    return {
        (each.name.removeprefix("vfio_migration_"), *each.labels.values()): each.value
        for family in families
        for each in family.samples
    }


def fleet(vm="vm-1", room=2):
    held = [device(UUIDS[1], vm=vm, pid=1), device(UUIDS[2], vm="vm-2", pid=2)]
    return {"a": host(held), "b": host(parents=[parent(available={"i915-GVTg_V5_4": room})])}


def test_hosts_and_devices_are_counted():
    found = metrics({**fleet(), "silent": None})
    assert (found["hosts", "usable"], found["hosts", "unknown"]) == (2, 1)
    assert (found["devices",], found["devices_movable",]) == (2, 2)
    assert (found["devices_in_use", "known"], found["devices_in_use", "unknown"]) == (2, 0)
    assert not any(name.startswith("plan_") for name, *_labels in found)


def test_devices_whose_holder_is_unknown_are_not_said_to_be_held():
    facts = fleet()
    facts["a"]["devices"][0]["in_use"] |= {"pid": None, "name": None}
    found = metrics(facts)
    assert (found["devices_in_use", "known"], found["devices_in_use", "unknown"]) == (1, 1)


def test_the_age_of_facts_is_that_of_the_oldest():
    facts = fleet()
    facts["a"]["gathered"]["time"] = "2026-11-26T17:20:00Z"
    facts["b"]["gathered"]["time"] = "2026-11-26T17:20:01Z"
    assert metrics(facts)["facts_oldest_timestamp_seconds",] == 1795713600


def test_of_a_record_the_last_run_is_counted():
    # Of one guest and run the last one counts.
    outcomes = [
        *((1, "vm-1", "moved"), (2, "vm-1", "moved"), (2, "vm-1", "stayed")),
        *((2, "vm-2", "moved"), (2, "vm-3", "moved"), (2, "vm-4", "not_tried")),
    ]
    lines = [
        {"format": 1, "run": f"2026-11-2{day}T17:20:00Z", "outcome": outcome}
        | {"vm": vm, "vm_uuid": None, "source": "a", "target": "b"}
        for day, vm, outcome in outcomes
    ]
    found = metrics(fleet(), record="\n".join(map(json.dumps, lines)))
    assert found["last_run_timestamp_seconds",] == 1795368000
    assert [found["last_run_guests", each] for each in ("moved", "stayed", "not_tried")] == [
        2,
        1,
        1,
    ]
    # Nobody has moved yet.
    assert not any(name.startswith("last_run") for name, *_labels in metrics(fleet(), record=""))


def test_guests_with_and_without_a_place_are_counted_and_those_without_by_cause():
    found = metrics(fleet(), drain=["a"])
    assert (found["plan_guests", "yes"], found["plan_guests", "no"]) == (1, 1)
    assert found["plan_blocked_guests", "shortage"] == 1
    found = metrics(fleet(room=4), drain=["a"])
    assert (found["plan_guests", "yes"], found["plan_guests", "no"]) == (2, 0)
    assert "plan_blocked_guests" not in {name for name, *_labels in found}


@pytest.mark.parametrize("name", ['vm"} 1\nx 1', "\\", "\\n", "a" * 4096])
def test_what_hosts_say_adds_no_metric_and_is_no_label(name):
    facts = fleet(vm=name, room=0)
    facts["a"]["devices"][0]["driver"] = facts["b"]["parents"][0]["driver"] = name
    found = metrics(facts, drain=["a"])
    assert {each for each, *_labels in found} == {
        each for each, *_labels in metrics(fleet(room=0), ["a"])
    }
    assert not any(name in label for _name, *labels in found for label in labels)


def test_hosts_and_domains_are_counted_by_whether_they_can_be_emptied():
    facts = fleet()
    domains = {"all": ["a", "b"]}
    found = metrics(facts, headroom=headroom_for(facts, failure_domains=domains))
    assert {key: n for key, n in found.items() if key[0].startswith("headroom_")} == {
        ("headroom_hosts", "emptied"): 1,
        ("headroom_hosts", "infeasible"): 1,
        ("headroom_hosts", "unproven"): 0,
        ("headroom_failure_domains", "emptied"): 0,
        ("headroom_failure_domains", "infeasible"): 1,
        ("headroom_failure_domains", "unproven"): 0,
        ("headroom_blocked_guests", "shortage"): 1,
    }
    assert not any(name.startswith("headroom_") for name, *_labels in metrics(facts))
