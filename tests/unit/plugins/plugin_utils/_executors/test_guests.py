# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who moves with another executor, what it is called there, and who does not move and why."""

from __future__ import annotations

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._executors.guests import (
    Naming,
    moving_guests,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.tests.unit.executor_plans import (
    SERVER,
    changed,
    function,
    function_fleet,
    mdev_fleet,
    plan_of,
)
from ansible_collections.vfio.migration.tests.unit.fleets import UUIDS, host

FLEET = mdev_fleet()


def naming(guests=None, nodes=None, guest_id=lambda placement: placement["vm"]):
    return Naming("the executor", guests, nodes, guest_id)


def test_a_guest_moves_once_with_all_of_its_devices():
    (guest,), warnings = moving_guests(plan_of(function_fleet()), naming())
    assert (guest.id, guest.source_node, guest.target_node, guest.wave) == ("web", "a", "b", 1)
    assert len(guest.devices) == 2
    assert warnings == []


@pytest.mark.parametrize("known", ["web", SERVER, UUIDS[0]])
def test_a_guest_is_called_what_is_said_of_its_name_its_uuid_or_a_device(known):
    (guest,), _warnings = moving_guests(plan_of(FLEET), naming({known: "101"}))
    assert guest.id == "101"


def test_what_is_said_of_a_device_tells_guests_apart_that_the_plan_calls_alike():
    held = [function(1, "ch"), function(2, "ch")]
    plan = plan_of({"a": host(held), "b": host([function(3), function(4)])})
    called = {"0000:81:00.1": "x", "0000:81:00.2": "y"}
    guests, _warnings = moving_guests(plan, naming(called))
    assert [each.id for each in guests] == ["x", "y"]


def test_a_guest_of_which_nothing_tells_the_name_is_named():
    guests, (warning,) = moving_guests(plan_of(FLEET), naming(guest_id=lambda placement: None))
    assert guests == []
    assert "what the executor calls web is not known; say it with 'guests'" in warning


@pytest.mark.parametrize("odd", ["--help", "a b", "a/../b", "", "a,b", "x\n", ".a"])
def test_what_would_be_more_than_a_name_in_a_command_is_no_name(odd):
    guests, (warning,) = moving_guests(plan_of(FLEET), naming(guest_id=lambda placement: odd))
    assert guests == []
    assert "calls no guest" in warning
    for option in ("guests", "nodes"):
        with pytest.raises(FleetError, match=f"{option} has "):
            naming(**{option: {"web": odd}})


def test_a_host_is_called_what_nodes_say():
    (guest,), _warnings = moving_guests(plan_of(FLEET), naming(nodes={"b": "compute-2"}))
    assert (guest.source_node, guest.target_node) == ("a", "compute-2")


def test_two_hosts_of_one_name_are_refused():
    with pytest.raises(FleetError, match=r"a, b would all be c for the executor; say with 'nodes'"):
        moving_guests(plan_of(FLEET), naming(nodes={"a": "c", "b": "c"}))


def test_a_device_that_nobody_holds_and_one_without_a_place_are_named():
    fleet = {"a": host([function(1, "web"), function(2)]), "b": host([function(3), function(4)])}
    guests, warnings = moving_guests(plan_of(fleet, free_devices="all"), naming())
    assert [each.id for each in guests] == ["web"]
    assert warnings == ["pci 0000:81:00.2 on a is not moved: no guest holds it"]
    guests, warnings = moving_guests(plan_of({**function_fleet(), "b": host()}), naming())
    assert guests == []
    assert len(warnings) == 2
    assert all("the plan has no place for it: " in each for each in warnings)


def test_one_guest_that_would_go_to_two_hosts_is_refused():
    plan = plan_of(
        {
            "a": host([function(1, "x"), function(2, "y")]),
            "b": host([function(3)]),
            "c": host([function(4)]),
        }
    )
    assert {each["target"]["host"] for each in plan["placements"]} == {"b", "c"}
    with pytest.raises(
        FleetError, match=r"devices of what is 101 .* several hosts, b, c; check 'guests'"
    ):
        moving_guests(plan, naming({"x": "101", "y": "101"}))


@pytest.mark.parametrize("odd", ["../../etc", "0000:81:00.1,x=y", "not-a-uuid"])
def test_an_id_that_is_none_of_its_kind_is_refused(odd):
    with pytest.raises(FleetError, match=r"is no id of kind mdev"):
        moving_guests(changed(plan_of(FLEET), id=odd), naming())
