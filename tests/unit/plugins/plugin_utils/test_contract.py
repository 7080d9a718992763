# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The public shapes and the JSON Schemas made of them; ``schema_checks`` has what checks all other tests' documents."""

from __future__ import annotations

import copy
import json
import os
import tempfile
from pathlib import Path

import pytest
from ansible_collections.vfio.migration.plugins.filter.cloud_hypervisor_migrations import (
    cloud_hypervisor_migrations,
)
from ansible_collections.vfio.migration.plugins.filter.kubevirt_migrations import (
    kubevirt_migrations,
)
from ansible_collections.vfio.migration.plugins.filter.nova_migrations import nova_migrations
from ansible_collections.vfio.migration.plugins.filter.proxmox_migrations import (
    proxmox_migrations,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.pairs import compatible_pairs
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.verdict import verdict
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.descriptor import (
    read_descriptor,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import read_fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.record import (
    record as record_of,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.candidate_hosts import (
    candidates,
    candidates_of_each,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.explain import explain
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.headroom_options import (
    headroom_for,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.maintenance_options import (
    maintenance_for,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.plan_options import plan_for
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.progress_file import (
    write_progress,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.rebalance_options import (
    rebalance_for,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.report_options import (
    report_for,
)
from ansible_collections.vfio.migration.tests import json_schemas
from ansible_collections.vfio.migration.tests.unit import schema_checks
from ansible_collections.vfio.migration.tests.unit.fleets import UUIDS, device, gvt, host, parent

CAPTURED = Path(__file__).resolve().parents[2] / "captured"
NAMES = sorted(json_schemas.SHAPES)
needs_jsonschema = pytest.mark.skipif(
    not schema_checks.POSSIBLE, reason="needs jsonschema to check documents"
)


def fleet():
    return {
        "a": host([device(UUIDS[0], vm="vm-1"), device(UUIDS[1], vm="vm-1")]),
        "b": host(parents=[parent(available={"i915-GVTg_V5_4": 1})]),
        "c": host(parents=[parent()]),
    }


def plan():
    return plan_for(fleet(), sources=["vm-1"], targets=["c"])


def record():
    """Return what is written down of a plan that is carried out."""
    with tempfile.TemporaryDirectory() as place:
        path = os.path.join(place, "plan.progress.json")
        write_progress(path, plan()["placements"], "plan.json")
        return json.loads(Path(path).read_text(encoding="utf-8"))


def migration_record():
    """Return the record of a guest whose migration was never begun."""
    migration = {
        "vm": "vm-1",
        "host": "a",
        "uuid": None,
        "persistent": True,
        "target": "c",
        "placements": plan()["placements"],
    }
    return record_of("2026-01-01T00:00:00Z", migration, None, False, ["no room"])


def document(name):
    """Return a document for each schema."""
    facts = fleet()
    return {
        "facts": lambda: facts["a"],
        "verdict": lambda: verdict(read_descriptor(gvt()), read_descriptor(gvt("8", "4"))),
        "pairs": lambda: compatible_pairs(read_fleet(facts), "source_lists", expand=True),
        "plan": plan,
        "explanation": lambda: explain(
            read_fleet(facts), {"host": "a", "id": UUIDS[0]}, "c", "source_lists"
        ),
        "candidates": lambda: candidates(
            read_fleet(facts), {"host": "a", "id": UUIDS[0]}, ["b", "c"], "source_lists"
        ),
        "candidate_lists": lambda: candidates_of_each(
            read_fleet(facts), ["a"], None, ["b", "c"], "source_lists"
        ),
        "headroom": lambda: headroom_for(facts),
        "maintenance": lambda: maintenance_for(facts, ["a", "b"]),
        "rebalance": lambda: rebalance_for(facts, 1),
        "report": lambda: report_for(facts, plan=plan(), headroom=headroom_for(facts)),
        "record": record,
        "migration_record": migration_record,
        "nova_migrations": lambda: nova_migrations(plan(), facts, {"vm-1": UUIDS[9]}),
        "proxmox_migrations": lambda: proxmox_migrations(plan(), facts, {"vm-1": 101}),
        "kubevirt_migrations": lambda: kubevirt_migrations(plan(), {"vm-1": "default.web"}),
        "cloud_hypervisor_migrations": lambda: cloud_hypervisor_migrations(plan(), {"vm-1": "web"}),
    }[name]()


def objects(schema, path="$"):
    """Yield every object's schema in ``schema``, with where it is."""
    if isinstance(schema, dict):
        if "properties" in schema and isinstance(schema.get("required"), list):
            yield path, schema
        for key, each in schema.items():
            yield from objects(each, f"{path}.{key}")
    elif isinstance(schema, list):
        for number, each in enumerate(schema):
            yield from objects(each, f"{path}[{number}]")


@pytest.mark.parametrize("name", NAMES)
def test_the_schema_is_what_the_contract_says(name):
    written = (schema_checks.SCHEMAS / f"{name}.json").read_text(encoding="utf-8")
    assert written == json_schemas.as_text(json_schemas.schemas()[name]), "run make schemas"


def test_there_are_no_other_schemas():
    assert sorted(each.stem for each in schema_checks.SCHEMAS.glob("*.json")) == NAMES


@needs_jsonschema
@pytest.mark.parametrize("name", NAMES)
def test_the_schema_is_one(name):
    validator = schema_checks.validator(name)
    validator.check_schema(validator.schema)


@pytest.mark.parametrize("name", NAMES)
def test_every_object_is_closed_and_every_field_described(name):
    found = dict(objects(json_schemas.schemas()[name]))
    assert found
    for path, each in found.items():
        assert each["additionalProperties"] is False, path
        assert each["description"], path
        for field, schema in each["properties"].items():
            assert schema["description"], f"{path}.{field}"


@needs_jsonschema
@pytest.mark.parametrize("path", sorted(CAPTURED.glob("*.json")), ids=lambda path: path.name)
def test_facts_of_real_hosts_conform(path):
    # They are kept without the time, which no two calls share.
    gathered = {"time": "2026-11-26T17:20:00Z", "boot": UUIDS[0]}
    schema_checks.check(
        "facts", json.loads(path.read_text(encoding="utf-8")) | {"gathered": gathered}
    )


@needs_jsonschema
@pytest.mark.parametrize("name", NAMES)
def test_a_document_conforms_also_as_json_and_with_another_key_it_does_not(name):
    whole = json.loads(json.dumps(document(name)))
    schema_checks.check(name, whole)
    with pytest.raises(AssertionError, match="'another' was unexpected"):
        schema_checks.check(name, whole | {"another": 1})


@needs_jsonschema
@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda plan: plan.update(extra=1), "'extra' was unexpected"),
        (lambda plan: plan.pop("map"), "'map' is a required"),
        (lambda plan: plan.update(status="fine"), r"\$\.status: 'fine' is not one of"),
        (lambda plan: plan["cost"].update(again=0), r"\$\.cost: .*'again' was unexpected"),
        (lambda plan: plan["cost"].update(created=-1), r"\$\.cost\.created: -1 is less than"),
        (lambda plan: plan["cost"].update(created=True), r"\$\.cost\.created: True is not of type"),
        (
            lambda plan: plan["placements"][1]["target"].update(parent=3),
            r"\$\.placements\[1\]\.target\.parent: 3 is not of type 'string', 'null'",
        ),
        (
            lambda plan: plan["hosts"]["c"]["devices"][0].pop("uuid"),
            r"\$\.hosts\.c\.devices\[0\]: 'uuid' is a required property",
        ),
        (lambda plan: plan["relied_on"].update(a="x"), r"\$\.relied_on\.a: 'x' does not match"),
        (lambda plan: plan["unplaced"].append({}), r"\$\.unplaced\[0\]: 'vm' is a required"),
    ],
)
def test_what_is_no_plan_does_not_conform(damage, words):
    damaged = copy.deepcopy(plan())
    damage(damaged)
    with pytest.raises(AssertionError, match=words):
        schema_checks.check("plan", damaged)


@needs_jsonschema
def test_a_schema_of_the_facts_tells_parents_of_the_two_kinds_apart():
    facts = host(parents=[parent()])
    schema_checks.check("facts", facts)
    facts["parents"][0]["dev_features_mask"] = "0x20"
    with pytest.raises(AssertionError, match="'dev_features_mask' was unexpected"):
        schema_checks.check("facts", facts)


@needs_jsonschema
def test_tests_check_the_plans_that_they_make():
    before = schema_checks.checked["plan"]
    plan()
    assert schema_checks.checked["plan"] == before + 1
