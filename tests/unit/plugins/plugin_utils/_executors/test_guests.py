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
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.executor_options import (
    held_in,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.plan_options import plan_for
from ansible_collections.vfio.migration.tests.unit.executor_plans import (
    SERVER,
    function,
    function_fleet,
    holder,
    mdev_fleet,
    plan_of,
)
from ansible_collections.vfio.migration.tests.unit.filter_calls import filter_of
from ansible_collections.vfio.migration.tests.unit.fleets import UUIDS, device, host, parent

FLEET = mdev_fleet()


OWN, LIED = UUIDS[0], UUIDS[1]


def naming(guests=None, nodes=None, guest_id=lambda placement: placement["vm"], fleet=None):
    return Naming("the executor", guests, nodes, guest_id, held=held_in(fleet))


def by_uuid(holding):
    return holding.get("vm_uuid")


def lying_fleet(name="web", uuid=SERVER, lied=LIED):
    """Return a fleet in which ``evil`` says to have the guest of ``a``, by its name, its UUID or both."""
    return {
        **mdev_fleet(OWN),
        "evil": host([device(lied, in_use=holder(name, uuid))], [parent()]),
    }


def moved_of(fleet, drain, guests=None, facts=True, **others):
    """Return the source hosts of what moves, and the warnings."""
    plan = plan_for(fleet, drain=drain, targets=["b"])
    moving, warnings = moving_guests(plan, naming(guests, fleet=fleet if facts else None, **others))
    assert len({each.id for each in moving}) == len(moving)
    return [each.source_host for each in moving], warnings


def test_a_guest_moves_once_with_all_of_its_devices():
    (guest,), warnings = moving_guests(plan_of(function_fleet()), naming())
    assert (guest.id, guest.source_node, guest.target_node, guest.wave) == ("web", "a", "b", 1)
    assert len(guest.devices) == 2
    assert warnings == []


def test_each_turn_of_a_wave_is_a_wave():
    facts = {
        "a": host(
            [
                device(each, in_use=holder(f"vm-{n}", None) | {"pid": n + 1})
                for n, each in enumerate(UUIDS[:3])
            ],
            [parent()],
        ),
        "b": host([device(each) for each in UUIDS[3:6]], [parent()]),
    }
    plan = plan_for(facts, drain=["a"], concurrent_moves={"host": 2})
    moving, _warnings = moving_guests(plan, naming())
    assert [each.wave for each in moving] == [1, 1, 2]


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


def test_one_guest_that_would_go_to_two_hosts_stays():
    plan = plan_of(
        {
            "a": host([function(1, "x"), function(2, "y"), function(5, "z")]),
            "b": host([function(3), function(6)]),
            "c": host([function(4)]),
        }
    )
    targets = {each["vm"]: each["target"]["host"] for each in plan["placements"]}
    alone = next(vm for vm in targets if [*targets.values()].count(targets[vm]) == 1)
    with_it, other = sorted(targets.keys() - {alone})
    names = {alone: "101", with_it: "101", other: "103"}
    guests, warnings = moving_guests(plan, naming(names))
    assert [each.id for each in guests] == ["103"]
    assert len(warnings) == 2
    for each in warnings:
        assert "what is 101 for the executor would go to several hosts, b, c; say with" in each


@pytest.mark.parametrize("end", ["source", "target"])
@pytest.mark.parametrize("odd", ["../../etc", "0000:81:00.1,x=y", "not-a-uuid"])
def test_a_guest_with_an_id_that_is_none_of_its_kind_stays(odd, end):
    plan = plan_of(FLEET)
    first, *rest = plan["placements"]
    first[end]["id"] = odd
    guests, warnings = moving_guests(plan, naming())
    assert [each.devices for each in guests] == [(each,) for each in rest]
    assert [
        each for each in warnings if f"{odd!r} on " in each and "not an id of kind mdev" in each
    ]


def test_a_guest_does_not_move_with_some_of_its_devices():
    fleet = {
        "a": host([function(1, "web"), function(2, "web"), function(5, "other")]),
        "b": host([function(3), function(4), function(6)]),
    }
    for each in fleet["a"]["devices"][:2]:
        each["in_use"] |= {"pid": 7, "uuid": UUIDS[8]}
    plan = plan_of(fleet)
    assert len(plan["placements"]) == 3
    nobody = naming({"0000:81:00.1": "101", "0000:81:00.5": "105"}, guest_id=lambda _: None)
    guests, warnings = moving_guests(plan, nobody)
    assert [each.id for each in guests] == ["105"]
    assert "0000:81:00.2 of the same guest is not moved either" in " ".join(warnings)


@pytest.mark.parametrize("uuids", [UUIDS[7:9], [UUIDS[7]] * 2, [UUIDS[7], None]])
def test_a_guest_of_the_name_of_one_without_a_place_moves_where_uuids_tell_them_apart(uuids):
    fleet = {"a": host([function(1, "x"), function(2, "x")]), "b": host([function(3)])}
    for number, (each, uuid) in enumerate(zip(fleet["a"]["devices"], uuids, strict=True)):
        each["in_use"] = {"pid": 11 + number, "name": "x"} | ({"uuid": uuid} if uuid else {})
    plan = plan_of(fleet)
    (left,) = plan["unplaced"]
    assert left.get("vm_uuid") == uuids[1]
    guests, warnings = moving_guests(plan, naming(guest_id=by_uuid))
    assert [each.id for each in guests] == (uuids[:1] if uuids[1] == UUIDS[8] else [])
    assert ("another device of x has no place" in " ".join(warnings)) == (guests == [])


def test_another_guest_of_the_same_name_keeps_none_from_moving():
    """All processes of Cloud Hypervisor have one name, and say no UUID."""
    fleet = {
        "a": host([function(1, "cloud-hypervisor"), function(2, "cloud-hypervisor")]),
        "b": host([function(3), function(4)]),
    }
    for number, each in enumerate(fleet["a"]["devices"]):
        each["in_use"]["pid"] = 11 + number
    named = naming({"a/0000:81:00.1": "x"}, guest_id=lambda _: None)
    guests, warnings = moving_guests(plan_of(fleet), named)
    assert [each.id for each in guests] == ["x"]
    assert len(warnings) == 1


@pytest.mark.parametrize("drain", [["evil"], ["a"], ["a", "evil"]])
@pytest.mark.parametrize(
    ("fleet", "guest_id", "guests"),
    [
        (lying_fleet("other"), by_uuid, None),
        (lying_fleet(uuid=UUIDS[5]), lambda holding: holding["vm"], None),
        (lying_fleet(uuid=UUIDS[5]), by_uuid, {"web": "101"}),
        (lying_fleet("other"), by_uuid, {SERVER: "101"}),
        # What is meant for a device may be the name or the UUID of a guest on another host, and the other way round.
        (lying_fleet("other", UUIDS[5], OWN), by_uuid, {OWN: "101"}),
        (lying_fleet(OWN, UUIDS[5]), by_uuid, {OWN: "101"}),
        (lying_fleet("other", UUIDS[5], SERVER), by_uuid, {SERVER: "101"}),
    ],
)
def test_a_guest_that_two_hosts_have_moves_from_neither(fleet, guest_id, guests, drain):
    # The facts of a host that no plan can have count, too.
    fleet = fleet if "evil" in drain else {**fleet, "evil": {**fleet["evil"], "schema": None}}
    moved, warnings = moved_of(fleet, drain, guests, guest_id=guest_id)
    assert moved == []
    for own, warning in zip(drain, warnings, strict=True):
        other = "a" if own == "evil" else "evil"
        assert f" on {own} is not moved: " in warning
        assert f" is a guest on {other} for the executor, too; see which host it is on" in warning
        assert f"say so with 'guests' by a device there, such as {own}/" in warning


def test_without_facts_the_guests_of_the_plan_are_compared():
    moved, warnings = moved_of(lying_fleet(), ["a", "evil"], facts=False, guest_id=by_uuid)
    assert moved == []
    assert len(warnings) == 2
    # One without a place has the name, too.
    held = {"a": host([function(1, "web")]), "evil": host([function(2, "web")])}
    plan = plan_for({**held, "b": host([function(3)])}, drain=["a", "evil"], targets=["b"])
    assert len(plan["placements"]) == len(plan["unplaced"]) == 1
    assert moving_guests(plan, naming())[0] == []


@pytest.mark.parametrize("key", [OWN, f"a/{OWN}"])
def test_a_guest_that_two_hosts_have_moves_from_where_its_device_is_said_to_be(key):
    moved, (warning,) = moved_of(
        lying_fleet(), ["a", "evil"], {key: SERVER.upper()}, guest_id=by_uuid
    )
    assert moved == ["a"]
    assert warning == (
        f"mdev {LIED} on evil is not moved: by 'guests' {SERVER} is a guest on a for the executor;"
        f" if this is another one, say with 'guests' what evil/{LIED} is"
    )


def test_a_device_of_one_id_on_two_hosts_is_told_apart_by_the_host():
    fleet = lying_fleet("other", UUIDS[5], OWN)
    moved, warnings = moved_of(fleet, ["a", "evil"], {f"a/{OWN}": "101"}, guest_id=by_uuid)
    assert (moved, warnings) == (["a", "evil"], [])


def test_one_guest_said_of_devices_on_two_hosts_moves_from_neither():
    given = {f"a/{OWN}": "101", f"evil/{LIED}": "101"}
    moved, warnings = moved_of(lying_fleet(), ["a", "evil"], given)
    assert moved == []
    assert warnings[0] == (
        f"mdev {OWN} on a is not moved: by 'guests' 101 is a guest on evil for the executor, too;"
        " keep there the one host that it is on"
    )


def test_no_name_that_a_host_says_is_one_of_host_and_device():
    fleet = {**lying_fleet(f"a/{OWN}", UUIDS[5]), "a": host()}
    moved, (warning,) = moved_of(fleet, ["evil"], {f"a/{OWN}": "101"}, guest_id=lambda _each: None)
    assert moved == []
    assert "is not known; say it with 'guests'" in warning


def test_a_uuid_in_capitals_is_the_same():
    moved, (warning,) = moved_of(lying_fleet("x", SERVER.upper()), ["a"], guest_id=by_uuid)
    assert moved == []
    assert f"{SERVER} is a guest on evil" in warning


def test_many_hosts_are_named_in_part():
    fleet = mdev_fleet(OWN)
    fleet |= {f"e{n:02}": host([device(UUIDS[2], in_use=holder("web"))]) for n in range(11)}
    _moved, (warning,) = moved_of(fleet, ["a"])
    assert "e00, e01, e02, e03, e04, e05, e06, e07 and 3 more" in warning


@pytest.mark.parametrize(
    ("name", "lied", "others"),
    [
        ("nova_migrations", LIED, {}),
        ("kubevirt_migrations", LIED, {}),
        ("proxmox_migrations", "00000001-0000-0000-0000-000000000101", {}),
        ("cloud_hypervisor_migrations", LIED, {"guests": {"lab_web": "web"}}),
    ],
)
def test_every_filter_looks_at_all_hosts(name, lied, others):
    fleet = lying_fleet("lab_web", SERVER, lied)
    own = "00000000-0000-0000-0000-000000000101"
    fleet["a"] = host([device(own, in_use=holder("lab_web", SERVER))], [parent()])
    plan = plan_for(fleet, drain=["evil"], targets=["b"])

    def moved(**facts):
        found = filter_of(name)(plan, **facts, **others)
        return found["waves"] if "waves" in found else found["migrations"]

    assert len(moved()) == 1
    assert moved(fleet=fleet) == []
