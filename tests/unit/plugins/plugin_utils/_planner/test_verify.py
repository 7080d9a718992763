# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plans of all kinds of requests are sound, and the verifier rejects each of them once something in it is wrong."""

from __future__ import annotations

import ast
import copy
import dataclasses
import itertools
import re
import sys
import typing as t
from pathlib import Path

import pytest
from ansible_collections.vfio.migration.plugins.filter.migration_plan import migration_plan
from ansible_collections.vfio.migration.plugins.module_utils._descriptor import drivers
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import read_fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.search import Budget
from ansible_collections.vfio.migration.plugins.plugin_utils._planner import request, verify
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.planner import make_plan
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import (
    Avoided,
    Conditions,
    Request,
    requested,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify_case import (
    Case,
    Readings,
    as_known,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.plan_options import plan_for
from ansible_collections.vfio.migration.tests.unit.damage import DAMAGE, Planned
from ansible_collections.vfio.migration.tests.unit.fleets import (
    UUIDS,
    device,
    gvt,
    host,
    parent,
)
from ansible_collections.vfio.migration.tests.unit.fuzzing import damaged, through
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st

PARENTS = ("0000:00:02.0", "0000:00:03.0")
VM_NAMES = ("vm-1", "vm-2", "vm-3")
SIZES = st.sampled_from([("4", "2"), ("8", "4"), ("2", "1")])


def vf(index: int, **others: t.Any) -> dict[str, t.Any]:
    own = {
        "software_version": "1.0.0",
        "device_api": "vfio-pci",
        "type": "vf",
        "pci_id": "15b3101e",
    }
    return device(
        f"0000:81:00.{index}",
        {"self": own, "compatible": [own]},
        kind="pci",
        parent="0000:81:00.0",
        **others,
    )


@st.composite
def fleets(draw) -> dict[str, t.Any]:
    """Draw hosts with guests, free devices and parents of two drivers, on two NUMA nodes."""
    numbers = itertools.count()

    def devices(name: str) -> t.Iterator[dict[str, t.Any]]:
        for index in range(draw(st.integers(0, 4))):
            holder = draw(st.sampled_from([None, None, *VM_NAMES]))
            vm = None if holder is None else f"{holder}-{name}"
            held = {
                "vm": vm,
                "pid": None if holder is None else 1 + VM_NAMES.index(holder),
                "numa_node": draw(st.integers(0, 1)),
            }
            if draw(st.integers(0, 3)) == 2:
                yield vf(index, **held)
            else:
                yield device(
                    f"{next(numbers):08x}-1111-4222-8333-444444444444",
                    gvt(*draw(SIZES)),
                    parent=draw(st.sampled_from(PARENTS)),
                    **held,
                )

    def parents() -> t.Iterator[dict[str, t.Any]]:
        for name in PARENTS[: draw(st.integers(0, 2))]:
            pci_id = draw(st.sampled_from(["80865963", "80865963", "8086591d"]))
            driver = draw(st.sampled_from(["i915", "other"]))
            whole = draw(st.integers(0, 4))
            available = {f"i915-GVTg_V5_{size}": size * whole // 2 for size in (2, 4, 8)}
            made = parent(name, pci_id, available, driver)
            yield {**made, "numa_node": draw(st.integers(0, 1))}

    return {
        name: host(list(devices(name)), list(parents()))
        for name in "abcd"[: draw(st.integers(2, 4))]
    }


@st.composite
def plans(draw) -> Planned:
    """Draw sound plans for requests of all kinds."""
    facts = draw(fleets())
    fleet = read_fleet(facts)
    drained = draw(st.sampled_from([["a"], ["a", "b"], None]))
    if drained is None:
        held = sorted({d.in_use.name for d in fleet.devices() if d.in_use and d.in_use.name})
        assume(held)
        sources = draw(st.lists(st.sampled_from(held), min_size=1, unique=True))
    else:
        sources = None
    guests = requested(fleet, drained, sources)
    names = [name for name in fleet.hosts if name not in (drained or ())]
    targets = draw(st.sampled_from([names, names[1:]]))
    vms = sorted({guest.name for guest in guests if guest.name})
    asked = {
        "avoid": draw(
            st.sampled_from(
                [
                    {},
                    {Avoided(names[-1] if names else "a", PARENTS[0]): "it failed"},
                    {
                        Avoided(name, guest=vm): "it does not fit"
                        for name in names
                        for vm in vms[:1]
                    },
                ]
            )
        ),
        "limit": draw(st.none() | st.integers(1, 4) | st.just({"c": 1})),
        "apart": draw(st.sampled_from([(), (vms[:2],), (vms, vms[:2])])),
        "numa_local": draw(st.booleans()),
        "distinct_gpus": draw(st.booleans()),
        "keep_kind": draw(st.booleans()),
        "keep_type": draw(st.booleans()),
        "round_trip": draw(st.integers(0, 3)) == 2,
    }
    options = {
        "direction": draw(st.sampled_from(["source_lists", "source_lists", "either", "both"])),
        "policy": draw(st.sampled_from(["pack", "spread"])),
        "reuse": draw(st.booleans()),
        "concurrent_moves": draw(st.sampled_from([{}, {}, {"host": 1}, {"host": 2}])),
    }
    request = Request(guests, targets, Conditions(**options, **asked))
    plan = make_plan(fleet, request, Budget(200, 2_000))
    conditions = Conditions(drain=drained or (), targets=targets, **options, **asked)
    return Planned(facts, plan, conditions)


@settings(suppress_health_check=list(HealthCheck))
@given(plans())
def test_every_plan_is_sound(planned):
    event(planned.plan["status"])
    event(f"waves: {max((each['wave'] for each in planned.plan['placements']), default=0)}")
    assert planned.broken() == []


@settings(suppress_health_check=list(HealthCheck))
@given(plans(), st.data())
def test_the_verifier_rejects_every_damaged_plan(planned, data):
    assume(planned.plan["placements"])
    possible = {each.__name__: list(each(planned)) for each in DAMAGE}
    name = data.draw(st.sampled_from([name for name, found in possible.items() if found]))
    event(name)
    change = data.draw(st.sampled_from(possible[name]))
    planned.plan, planned.facts = copy.deepcopy((planned.plan, planned.facts))
    change(planned)
    assert planned.broken()


@settings(suppress_health_check=list(HealthCheck))
@given(plans(), st.data())
def test_what_is_no_plan_is_refused_with_the_place_in_it(planned, data):
    """No key and no value that is missing or of another type ends in anything else."""
    plan = data.draw(damaged(planned.plan))
    found = through(lambda: verify.violations(plan, planned.facts, planned.conditions), ValueError)
    assert found is None or all(isinstance(each, str) for each in found)


@pytest.mark.parametrize(
    ("damage", "place"),
    [
        (lambda plan: plan.update(placements=7), "placements"),
        (lambda plan: plan["placements"][0].update(target=None), r"placements\[0\]\.target"),
        (
            lambda plan: plan["placements"][0]["target"].pop("host"),
            r"placements\[0\]\.target\.host",
        ),
        (lambda plan: plan.pop("unplaced"), "unplaced"),
        (lambda plan: plan.update(conditions=7), "conditions"),
    ],
)
def test_the_place_is_named(damage, place):
    facts = {"a": host([device(UUIDS[0])]), "b": host(parents=[parent()])}
    plan = plan_for(facts, ["a"])
    assert verify.violations(plan, facts, Conditions(drain=["a"])) == []
    damage(plan)
    with pytest.raises(ValueError, match=f"the plan is none; .* see {place}: "):
        verify.violations(plan, facts, Conditions(drain=["a"]))


VERIFIER = sorted(Path(verify.__file__).parent.glob("verify*.py"))


@pytest.mark.parametrize("room", VERIFIER, ids=lambda room: room.stem)
def test_it_shares_no_code_with_what_makes_plans(room):
    tree = ast.parse(room.read_text(encoding="utf-8"))
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            names = [alias.name for alias in node.names]
            # What was asked is given to both, and the verifier reads it as plain data: see the test below.
            asked = node.module == request.__name__ and names == ["Conditions"]
            own = {f"{node.module}.{name}" for name in names} | {node.module}
            # What is known of drivers as data, see ``test_verify_drivers.py``.
            known = room.stem == "verify_drivers" and node.module == drivers.__name__
            if known:
                assert names == ["entries_of"]
                continue
            if not asked and not any(f"{each}".startswith(verify.__name__) for each in own):
                imported.add((node.module or "").partition(".")[0])
    assert imported <= sys.stdlib_module_names


_FIELDS = {each.name for each in dataclasses.fields(Conditions)}
_METHODS = {name for name in vars(Conditions) if not name.startswith("__")} - _FIELDS


@pytest.mark.parametrize("room", VERIFIER, ids=lambda room: room.stem)
def test_it_reads_conditions_by_their_fields_alone(room):
    """Their methods are how the planner reads them: a fault there would be the verifier's as well."""
    assert {"why_avoided", "why_refused", "groups_of", "limit_of", "_refusals"} <= _METHODS
    source = room.read_text(encoding="utf-8")
    read = {
        (ast.unparse(node.value).rpartition(".")[2], node.attr)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute)
    }
    of_conditions = {
        attribute for owner, attribute in read if owner in ("asked", "conditions", "Conditions")
    }
    assert of_conditions <= _FIELDS
    # Nor under another name. ``stated`` is there what a plan says of a source, and a parent of versions.
    assert {attribute for _owner, attribute in read} & _METHODS <= {"stated"}
    by_name = re.findall(r'attrgetter\("asked\.(\w+)"\)', source)
    assert {*by_name} <= _FIELDS


@pytest.mark.parametrize("priority", [{}, {"vm-2": 1}])
def test_what_nobody_can_write_down_stops_no_plan(priority):
    """A host may answer a number of more digits than Python writes, beside what is asked for."""
    strange = {"x": 10**5000}
    facts = {
        "a": host([device(UUIDS[n], vm=f"vm-{n}", pid=n, **strange) for n in range(3)]),
        "b": host([device(UUIDS[5], **strange)]),
    }
    plan = migration_plan(facts, drain=["a"], priority=priority)
    assert len(plan["placements"]) == 1
    assert len(plan["unplaced"]) == 2


def test_what_nobody_can_write_down_is_equal_to_nothing():
    assert len({as_known({"x": 10**5000 + each}) for each in range(5)}) == 5
    assert as_known({"x": 1}) == as_known({"x": 1})


def test_hosts_with_equal_descriptors_have_them_in_common():
    class Text(str):
        """What Ansible may make of a text."""

    own = vf(0)["descriptor"]["self"]
    tables: list[t.Any] = [
        {"d": {"self": {Text(name): Text(own[name]) for name in own}, "compatible": []}}
    ]
    tables += [{"d": {"self": dict(own), "compatible": []}} for _host in range(2)]
    tables += [{"d": {"self": {**own, "type": 10**5000}, "compatible": []}} for _host in range(2)]
    readings = Readings()
    found = [readings.of_table({"descriptors": each}) for each in tables]
    assert len({id(each) for each in found}) == 3
    assert found[1] is found[2]
    # Whatever kind of text it is, it says the same.
    assert found[0]["d"] is found[1]["d"]
    assert found[0]["d"].own == own
    assert [each["d"] for each in found[3:]] == [None, None]


def test_what_a_plan_does_not_move_is_told_of_the_hosts_that_are_asked_for():
    facts = {
        "a": host([device(UUIDS[0], vm="vm-1"), device(UUIDS[1])]),
        "b": host([device(UUIDS[5]), device(UUIDS[6])]),
    }
    plan = plan_for(facts, ["a"], free_devices="none")
    case = Case(plan, facts, Conditions(drain=["a"]), None)
    found = [[key for key, _device in case.unmoved([name])] for name in "abc"]
    assert found == [[("a", UUIDS[1])], [("b", UUIDS[5]), ("b", UUIDS[6])], []]


def test_a_process_may_have_several_names():
    facts = {
        "a": host([device(UUIDS[n], vm=f"vm-{n}", pid=7) for n in range(2)]),
        "b": host([device(UUIDS[n]) for n in (5, 6)]),
    }
    asked = Conditions(drain=["a"])
    plan = plan_for(facts, ["a"])
    for name, of_another in (("vm-0", False), ("vm-1", False), ("vm-2", True)):
        plan["placements"][0]["vm"] = name
        broken = verify.violations(plan, facts, asked)
        assert [f"is not held by {name}" in each for each in broken] == [True] * of_another


def test_each_warning_that_is_needed_is_there_in_any_order():
    own, other = ({**gvt("4", "2")["self"], "type": each} for each in ("old", "new"))
    source = {"self": own, "compatible": [own, other]}
    target = {"self": other, "compatible": [other]}
    facts = {
        "a": host([device(UUIDS[n], source, vm="vm-1", pid=7) for n in range(2)]),
        "b": host([device(UUIDS[n], target) for n in (5, 6)]),
    }
    asked = Conditions(drain=["a"])
    plan = plan_for(facts, ["a"])
    found = plan["placements"][0]
    one, another = found["warnings"]
    found["warnings"] = [another, one]
    assert verify.violations(plan, facts, asked) == []
    for only in (one, another):
        found["warnings"] = [only, only]
        broken = verify.violations(plan, facts, asked)
        assert [" does not warn: " in each for each in broken] == [True]


def test_a_guest_of_which_a_device_stays_is_refused():
    facts = {
        "a": host([device(UUIDS[n], vm="vm-1", pid=7) for n in range(3)]),
        "b": host([device(UUIDS[n]) for n in (4, 5, 6)]),
    }
    plan = plan_for(facts, ["a"])
    facts["a"]["devices"].append(
        {**facts["a"]["devices"][0], "id": "00000009-1111-4222-8333-444444444444"}
    )
    broken = verify.violations(plan, facts, Conditions(drain=["a"]))
    assert any("the devices of process 7 on a do not go to one host" in each for each in broken)
