# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the verifier knows of drivers: their entries' data, so that a new entry is all that it needs, and rules of its own."""

from __future__ import annotations

import ast
import dataclasses
import marshal
import typing as t
from pathlib import Path

import pytest
from ansible_collections.vfio.migration.plugins.filter.migration_plan import migration_plan
from ansible_collections.vfio.migration.plugins.module_utils._descriptor import drivers
from ansible_collections.vfio.migration.plugins.plugin_utils._planner import verify_drivers
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import Plan
from ansible_collections.vfio.migration.tests.unit.fleets import UUIDS, device, host
from ansible_collections.vfio.migration.tests.unit.vendor_trees import TREES, VendorTree


def derived(own: dict[str, str]) -> dict[str, t.Any]:
    return {"self": own, "compatible": [drivers.derived_set(own)], "origin": "derived"}


def plan_of(vendor: VendorTree, source: dict[str, str], target: dict[str, str]) -> Plan:
    """Return a plan for a guest with a device of a tree, and a free device of the same name, with these attributes."""
    name = UUIDS[0] if vendor.kind == "mdev" else "0000:3b:00.4"
    ends = [
        device(name, derived(own), kind=vendor.kind, **others)
        for own, others in ((source, {"vm": "vm-1"}), (target, {}))
    ]
    # Some say of themselves that they do not migrate.
    for each in ends:
        each["migration"] = {**each["migration"], "supported": True}
    return migration_plan({"a": host(ends[:1]), "b": host(ends[1:])}, drain=["a"])


HIDDEN = [
    pytest.param(vendor, name, id=f"{vendor}-{name}")
    for vendor in TREES
    for each in drivers.entries_of(vendor.driver.replace("-", "_"))
    for name in sorted(each.learnt)
    if name in vendor.own
]


@pytest.mark.parametrize(("vendor", "name"), HIDDEN)
@pytest.mark.parametrize("sides", ["source", "target", "source and target"])
def test_a_plan_stands_where_a_host_does_not_show_what_is_learnt(vendor, name, sides):
    """It is so of each attribute of each entry: the verifier asks for the warning that the engine gives, and for no other."""
    less = {each: value for each, value in vendor.own.items() if each != name}
    ends = [less if side in sides else vendor.own for side in ("source", "target")]
    plan = plan_of(vendor, *ends)
    told = [reason["reason"] for each in plan["unplaced"] for reason in each["reasons"]]
    assert not [each for each in told if "the verifier objects" in each]
    assert len(plan["placements"]) == 1, told


def test_each_learnt_attribute_is_in_a_tree():
    known = {
        (name, attribute)
        for _kind, name in drivers._DRIVERS
        for each in drivers.entries_of(name)
        for attribute in each.learnt
    }
    shown = {(vendor.driver.replace("-", "_"), name) for vendor in TREES for name in vendor.own}
    assert known <= shown


def test_it_reads_plain_data_of_drivers_and_calls_no_function_of_theirs():
    """What an entry's functions do is the engine's; the rest is given to both, like the facts."""
    tree = ast.parse(Path(verify_drivers.__file__).read_text(encoding="utf-8"))
    attributes = {each.attr for each in ast.walk(tree) if isinstance(each, ast.Attribute)}
    read = attributes & {each.name for each in dataclasses.fields(drivers.Driver)}
    assert read == {"learnt", "always_compared", "needs", "switched", "at_once"}
    for _kind, name in drivers._DRIVERS:
        for each in drivers.entries_of(name):
            assert not any(callable(getattr(each, field)) for field in read)
        known = verify_drivers.known_of({"driver": name})
        marshal.dumps(tuple(known))


# What functions of entries, and parents that are not like others, decide otherwise than is generally so, and where the
# verifier has rules of its own for it.
_OWN_RULES = {
    "demanded": {"vfio_ap"},
    "written": {"vfio_ap"},
    "foreseen": {"vfio_ap"},
    "same_uuid": {"vfio_ap"},
    "unconfigured": {"vfio_ap"},
    "settled": {"vfio_ap"},
    "spellings": {"vfio_ap", "nvidia"},
    "idle": {"nvidia"},
    "choices": {"nvidia"},
    "instance": {"nvidia"},
    "numbers": {"vfio_ap"},
    "resources": {"i915"},
    "proportional": {"i915"},
}


@pytest.mark.parametrize("field", _OWN_RULES)
def test_what_a_driver_decides_by_functions_the_verifier_decides_itself(field):
    """A driver with such a field needs a rule in ``verify_*.py``, as those named here have, and its name here."""
    nothing_known = getattr(drivers.Driver(), field)
    with_it = {
        name
        for _kind, name in drivers._DRIVERS
        for each in drivers.entries_of(name)
        if getattr(each, field) != nothing_known
    }
    assert with_it == _OWN_RULES[field]
