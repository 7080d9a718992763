# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is proven of all plans, and what a plan says that it assumed where nothing is."""

from __future__ import annotations

import pytest
from ansible_collections.vfio.migration.plugins.filter.migration_plan import migration_plan
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.summary import summarize
from ansible_collections.vfio.migration.tests.unit.cards import (
    CARD,
    OTHER_CARD,
    function,
    guests,
    parents,
    typed,
    typeless,
    vgpu,
)
from ansible_collections.vfio.migration.tests.unit.fleets import (
    UUIDS,
    device,
    gvt,
    host,
    parent,
    vf,
)
from ansible_collections.vfio.migration.tests.unit.plugins.plugin_utils._planner.test_staying import (
    NEVER,
)

ONE = {"i915-GVTg_V5_4": 1}


def two_guests(**others):
    return host([device(UUIDS[n], vm=f"vm-{n}", pid=n + 1, **others) for n in range(2)])


def plan_of(fleet, **options):
    plan = migration_plan(fleet, drain=["a"], **options)
    assert ("assumptions" in plan) == (plan["status"] == "unproven")
    if plan["status"] == "unproven":
        assert plan["bound"] is None
        assert plan["assumptions"][0] in summarize(plan, {})["obstacles"]
    return plan


def test_too_few_devices_that_would_do_are_a_proof():
    fleet = {"a": two_guests(), "b": host([device(UUIDS[5])])}
    assert plan_of(fleet)["status"] == "infeasible"


def test_a_host_without_facts_might_have_a_place():
    fleet = {"a": two_guests(), "b": host([device(UUIDS[5])]), "c": {}}
    plan = plan_of(fleet)
    assert plan["assumptions"] == ["there are no usable facts of c, where there may be a place"]
    # It may not receive: then it does not matter.
    assert plan_of(fleet, targets=["b"])["status"] == "infeasible"
    # No host helps a device that cannot migrate.
    fleet["a"] = two_guests(migration=NEVER)
    assert plan_of(fleet)["status"] == "infeasible"


def test_what_could_not_be_read_might_have_been_a_place():
    problem = {"path": "/sys/bus/pci/devices/0000:81:00.1/subsystem_device", "problem": "gone"}
    fleet = {"a": two_guests(), "b": host([device(UUIDS[5])], problems=[problem])}
    plan = plan_of(fleet)
    assert plan["assumptions"] == [
        "not all of b could be read, where there may be a place: see the problems in the facts"
    ]
    # What could not be read of the host that is emptied is no place.
    fleet = {**fleet, "a": {**fleet["a"], "problems": [problem]}, "b": host([device(UUIDS[5])])}
    assert plan_of(fleet)["status"] == "infeasible"


def test_a_driver_s_version_is_assumed_to_matter_to_a_function_without_a_type_too():
    choices = {"1155": "NVIDIA L40S-8Q"}

    def of_version(facts, version):
        for each in facts["descriptors"].values():
            each["origin"] = "derived"
            for attributes in (each["self"], *each["compatible"]):
                attributes["software_version"] = version
        return facts

    source = of_version(host([typed(0, "1155", vm="vm-0")]), "570.133")
    for version in ("580.65", "570.86"):
        target = of_version(host([typeless(0, choices)]), version)
        plan = plan_of({"a": source, "b": target})
        assert plan["status"] == "unproven"
        assert any(
            " differs in software_version: nothing documents it" in each
            for each in plan["assumptions"]
        )


def test_a_parent_whose_types_all_differ_is_named_once():
    gvt_of_another_type = gvt("8")
    gvt_of_another_type["self"]["type"] = "other"
    gvt_of_another_type["compatible"] = [dict(gvt_of_another_type["self"])]
    source = host([device(UUIDS[1], gvt_of_another_type, vm="vm-1")])
    source["descriptors"] = {
        name: {**each, "origin": "derived"} for name, each in source["descriptors"].items()
    }
    parents = [parent(), parent("0000:00:03.0")]
    (assumed,) = plan_of({"a": source, "b": host(parents=parents)})["assumptions"]
    assert assumed.startswith(
        "it is assumed that 0000:00:02.0 on b, 0000:00:03.0 on b would refuse"
    )


def test_what_a_limit_leaves_behind_is_no_bound_where_another_guest_cannot_migrate():
    fleet = {"a": two_guests(), "b": host([device(UUIDS[5]), device(UUIDS[6])])}
    fleet["a"]["devices"].append({**fleet["a"]["devices"][0], "id": UUIDS[2], "migration": NEVER})
    fleet["a"]["devices"][2]["in_use"] = {"pid": 9, "name": "vm-9"}
    plan = plan_of(fleet, limit=1)
    assert plan["status"] == "infeasible"
    assert (plan["cost"]["unplaced"], plan["bound"]["unplaced"]) == (2, 1)


def test_a_device_with_an_unknown_holder_might_be_free():
    fleet = {"a": two_guests(), "b": host([device(UUIDS[5]), device(UUIDS[6])])}
    fleet["b"]["devices"][1]["in_use"] = {"pid": None, "name": None}
    (assumed,) = plan_of(fleet)["assumptions"]
    assert assumed == (
        f"of compatible devices, it is unknown whether a process holds {UUIDS[6]} on b"
    )
    # One that would not do is no matter.
    fleet["b"]["devices"][1]["type"] = "other"
    fleet["b"]["devices"][1]["descriptor"] = None
    assert plan_of(fleet)["status"] == "infeasible"


def test_a_function_without_a_type_and_with_an_unknown_holder_might_be_given_one():
    source = host([typed(each, "1158", vm=f"vm-{each}") for each in range(2)])
    there = [typeless(0, {"1158": "NVIDIA L40S-48Q"}), typeless(0, ["1158"], card=OTHER_CARD)]
    there[1]["in_use"] = {"pid": None, "name": None}
    plan = plan_of({"a": source, "b": host(there)})
    assert plan["assumptions"][0] == (
        f"of compatible devices, it is unknown whether a process holds {function(OTHER_CARD, 0)} on b"
    )


UNKNOWN = {"pid": None, "name": None}
L40S = {"1155": "NVIDIA L40S-8Q", "1158": "NVIDIA L40S-48Q"}
PERHAPS_FREE = "it is unknown whether a process holds {}: devices that are not in use would stay there; gather the facts as root"


def test_what_would_stay_if_nobody_holds_it_proves_nothing():
    functions = [typed(each, "1155") for each in range(2)] + [typeless(2, L40S)]
    source = host([{**each, "in_use": UNKNOWN} for each in functions])
    fleet = {"a": source, "b": host([typeless(each, L40S) for each in range(32)])}
    plan = plan_of(fleet)
    assert plan["status"] == "unproven"
    assert [each["source"]["id"] for each in plan["unplaced"]] == [function(CARD, 2)]
    assert plan["assumptions"] == [PERHAPS_FREE.format(f"{function(CARD, 2)} on a")]
    # Whoever holds it, it is to be moved.
    assert plan_of(fleet, free_devices="all")["status"] == "infeasible"
    named = migration_plan(fleet, devices=[{"host": "a", "id": function(CARD, 2)}])
    assert named["status"] == "infeasible"


def test_what_takes_a_place_and_would_stay_if_nobody_holds_it_proves_nothing():
    held = vf(0, vm="vm-1")
    fleet = {"a": host([held, {**vf(1), "in_use": UNKNOWN}]), "b": host([vf(2)])}
    plan = plan_of(fleet)
    assert plan["assumptions"] == [PERHAPS_FREE.format("0000:81:00.1 on a")]
    # One that would not do for either takes no part.
    fleet["a"] = host([held, vf(2, vm="vm-2"), {**vf(1, kind="w"), "in_use": UNKNOWN}])
    fleet["b"] = host([vf(2), vf(3, kind="w")])
    assert plan_of(fleet)["status"] == "infeasible"


def test_what_cannot_migrate_and_is_held_is_proven_beside_what_may_be_free():
    functions = [
        typed(0, "1155", vm="vm-1", migration=NEVER),
        {**typeless(1, L40S), "in_use": UNKNOWN},
    ]
    plan = plan_of({"a": host(functions), "b": host([typeless(0, L40S)])})
    assert plan["status"] == "infeasible"
    assert (plan["cost"]["unplaced"], plan["bound"]["unplaced"]) == (2, 1)


def test_what_a_silent_host_may_have_is_no_bound_where_another_guest_cannot_migrate():
    """Whatever the planner's own rules leave behind on the others."""
    source = guests(5, 24)
    source["devices"][0]["migration"] = NEVER
    fleet = {"a": source, "b": host(parents=parents())}
    assert plan_of(fleet)["bound"]["unplaced"] == 3
    plan = plan_of(fleet | {"c": {}})
    assert plan["status"] == "infeasible"
    assert (plan["cost"]["unplaced"], plan["bound"]["unplaced"]) == (3, 1)


def test_a_limit_can_be_raised():
    fleet = {"a": two_guests(), "b": host([device(UUIDS[5]), device(UUIDS[6])])}
    (assumed,) = plan_of(fleet, limit=1)["assumptions"]
    assert assumed == "the limit that was asked for keeps b from receiving more"
    fleet["b"] = host([device(UUIDS[5])])
    assert plan_of(fleet, limit=2)["status"] == "infeasible"


def one_of_each(*targets):
    """Return two guests whose devices differ, and a host with these devices."""
    return {"a": host([vf(0, vm="vm-1"), vf(1, kind="w", vm="vm-2")]), "b": host([*targets])}


MEMORY = {"hosts": {"b": {"memory": 1}}, "guests": {"vm-2": {"memory": 2}}}


@pytest.mark.parametrize("options", [{"limit": 0}, {"limit": {"b": 0}}, {"capacity": MEMORY}])
def test_what_has_no_place_without_a_limit_is_proven_beside_what_a_limit_leaves_behind(options):
    plan = plan_of(one_of_each(vf(2, kind="w")), **options)
    assert plan["status"] == "infeasible"
    assert (plan["cost"]["unplaced"], plan["bound"]["unplaced"]) == (2, 1)
    # With a place for it, only the limit is in the way.
    plan = plan_of(one_of_each(vf(2, kind="w"), vf(3)), **options)
    assert plan["status"] == "unproven"


def test_a_shortage_is_one_whatever_a_limit_leaves_behind():
    fleet = {"a": host([vf(n, vm=f"vm-{n}") for n in range(4)]), "b": host([vf(5), vf(6), vf(7)])}
    plan = plan_of(fleet, limit=2)
    assert (plan["status"], plan["proof"]) == ("infeasible", ["shortage"])
    assert (plan["cost"]["unplaced"], plan["bound"]["unplaced"]) == (2, 1)


def test_who_has_no_place_anywhere_is_proven_beside_one_that_a_device_might_take():
    held = {**vf(2, kind="w"), "in_use": UNKNOWN}
    plan = plan_of(one_of_each(held))
    assert plan["status"] == "infeasible"
    assert (plan["cost"]["unplaced"], plan["bound"]["unplaced"]) == (2, 1)
    # What might be a place for it as well proves nothing.
    for fleet in (one_of_each(held) | {"c": {}}, one_of_each(held, {**vf(3), "in_use": UNKNOWN})):
        assert plan_of(fleet)["status"] == "unproven"


def test_what_is_to_be_avoided_is_part_of_what_was_asked():
    fleet = {"a": two_guests(), "b": host([device(UUIDS[5])], [parent("0000:00:03.0")])}
    avoid = [{"host": "b", "parent": "0000:00:03.0"}]
    assert plan_of(fleet, avoid=avoid)["status"] == "infeasible"


@pytest.mark.parametrize(
    ("driver", "words"),
    [("other", "makes one type only"), ("i915", "share it in proportion")],
)
def test_the_rules_for_types_of_one_parent_are_the_planners_own(driver, words):
    def of(size):
        own = {
            "software_version": "1.0",
            "device_api": "vfio-pci",
            "type": f"t{size}",
            "pci_id": "80865963",
        }
        return {"self": own, "compatible": [own]}

    def source(*sizes):
        return host(
            [device(UUIDS[n], of(size), vm=f"vm-{n}", pid=n + 1) for n, size in enumerate(sizes)]
        )

    there = parent(available={"t1": 3, "t2": 2}, driver=driver)
    (assumed,) = plan_of({"a": source(1, 1, 2), "b": host(parents=[there])})["assumptions"]
    assert words in assumed
    # With one type alone the rule does not take part, and of many there are too few places without it.
    for sizes in ((2, 2, 2), (1, 1, 1, 2, 2, 2)):
        assert plan_of({"a": source(*sizes), "b": host(parents=[there])})["status"] == "infeasible"
    # What is proven is only what is left behind without the rule.
    plan = plan_of({"a": source(1, 1, 1, 2, 2, 2), "b": host(parents=[there])})
    most = {"other": 5, "i915": 3}[driver]
    assert plan["bound"]["unplaced"] == plan["shortage"]["need"] - plan["shortage"]["reachable"]
    assert plan["bound"]["unplaced"] == 6 - most


def test_what_types_state_of_a_card_is_a_proof():
    fleet = {"a": guests(8, 12), "b": host(parents=parents())}
    assert plan_of(fleet)["status"] == "infeasible"


def test_one_size_of_a_card_is_assumed():
    source = host(
        [
            vgpu(0, 12, parent=function(CARD, 0), vm="small"),
            vgpu(1, 24, parent=function(OTHER_CARD, 0), vm="great"),
        ]
    )
    (assumed,) = plan_of({"a": source, "b": host(parents=parents())})["assumptions"]
    assert "heterogeneous mode" in assumed


def test_a_card_of_another_size_might_be_in_heterogeneous_mode():
    there = [vgpu(100, 24, parent=function(CARD, 0), vm="held")]
    fleet = {"a": guests(1, 12), "b": host(there, parents(taken=[0]))}
    (assumed,) = plan_of(fleet)["assumptions"]
    assert "heterogeneous mode" in assumed


def test_names_of_types_are_no_proof():
    source = host([typed(each, "1158", vm=f"vm-{each}") for each in range(2)])
    choices = {"1158": "NVIDIA L40S-48Q"}
    fleet = {"a": source, "b": host([typeless(each, choices) for each in range(4)])}
    (assumed,) = plan_of(fleet)["assumptions"]
    assert "concluded from the names" in assumed
    # There are too few functions, however many the card takes.
    fleet["b"] = host([typeless(0, choices)])
    assert plan_of(fleet)["status"] == "infeasible"
