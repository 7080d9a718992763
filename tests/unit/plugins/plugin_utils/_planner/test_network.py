# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Network parity: targets get the network settings of their sources, as far as their hosts show them, and no others."""

from __future__ import annotations

import copy
import json
import random
import typing as t

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.network_settings import (
    UNSET,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import read_fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.facts_after import facts_after
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.planner import make_plan
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.preparation import changed_by
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import (
    Conditions,
    Request,
    requested,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.shown_plan import out_of_date
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.summary import summarize
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify import violations
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.plan_options import plan_for
from ansible_collections.vfio.migration.tests.unit.exact_plans import ExactPlans
from ansible_collections.vfio.migration.tests.unit.fleets import host, vf
from hypothesis import given, settings
from hypothesis import strategies as st

VALUES: dict[str, st.SearchStrategy[t.Any]] = {
    "mac": st.builds("52:54:00:12:34:{:02x}".format, st.integers(0, 255)),
    "vlan": st.integers(0, 4094),
    "qos": st.integers(0, 7),
    "proto": st.sampled_from(["802.1Q", "802.1ad"]),
    "min_tx_rate": st.integers(0, 2),
    "max_tx_rate": st.integers(0, 1000),
    "spoofchk": st.booleans(),
    "trust": st.booleans(),
    "link_state": st.sampled_from(["auto", "enable", "disable"]),
}
MAC = {"mac": VALUES["mac"]}
OPTIONAL = {name: value for name, value in VALUES.items() if name != "mac"}
SETTINGS = st.fixed_dictionaries(MAC, optional=OPTIONAL)

GUESTS = {**UNSET, "mac": "52:54:00:12:34:56", "vlan": 100, "trust": True}
OTHER_MAC = "52:54:00:12:34:57"


def fleet(
    sources: t.Sequence[t.Any], targets: t.Sequence[t.Any], **others: t.Any
) -> dict[str, t.Any]:
    """Return hosts whose functions have these network settings; ``None`` is one that shows none."""

    def function(number: int, vm: str | None, shown: t.Any) -> t.Any:
        return vf(number, vm, **({} if shown is None else {"network": shown}), **others)

    return {
        "a": host([function(n, f"vm-{n}", each) for n, each in enumerate(sources)]),
        "b": host([function(n, None, each) for n, each in enumerate(targets, 8)]),
    }


def planned(facts: t.Any, **options: t.Any) -> t.Any:
    return plan_for(facts, drain=["a"], **options)


def given_to_each(plan: t.Any) -> list[t.Any]:
    return [each["target"].get("network") for each in plan["placements"]]


def test_a_target_gets_what_is_set_of_its_source():
    plan = planned(fleet([GUESTS], [UNSET]))
    assert given_to_each(plan) == [GUESTS]
    (placement,) = plan["placements"]
    assert placement["warnings"] == []
    assert plan["hosts"]["b"]["pci_devices"] == [
        {
            "address": placement["target"]["id"],
            "attributes": [],
            "network": GUESTS,
            "accept": plan["hosts"]["b"]["pci_devices"][0]["accept"],
        }
    ]
    # So it is written down before it is made, and cleanup takes it back.
    assert changed_by(plan) == plan["placements"]
    (sentence,) = summarize(plan, {})["sentences"]
    assert "mac=52:54:00:12:34:56, vlan=100" in sentence
    assert "trust=on" in sentence


def test_what_a_target_does_not_show_is_not_given_but_warned_of():
    for shown, left in (
        ({"mac": UNSET["mac"], "trust": False}, "vlan=100"),
        (None, "mac=52:54:00:12:34:56,vlan=100,trust=on"),
    ):
        plan = planned(fleet([GUESTS], [shown]))
        expected = {name: GUESTS[name] for name in shown} if shown else None
        assert given_to_each(plan) == [expected]
        ((warning,),) = [each["warnings"] for each in plan["placements"]]
        assert warning.endswith(f"set by hand what the source has: {left}")
        assert ("network" in plan["hosts"]["b"]["pci_devices"][0]) == (shown is not None)


def test_what_is_not_known_of_a_source_is_warned_of():
    plan = planned(fleet([None], [UNSET]))
    assert given_to_each(plan) == [None]
    assert "compare them by hand" in plan["placements"][0]["warnings"][0]
    assert changed_by(plan) == []


def test_what_nobody_has_set_needs_no_warning():
    assert planned(fleet([UNSET], [None]))["placements"][0]["warnings"] == []


def test_what_nobody_holds_keeps_its_settings():
    facts = fleet([GUESTS], [UNSET])
    facts["a"]["devices"][0]["in_use"] = None
    plan = planned(facts, free_devices="all")
    assert given_to_each(plan) == [None]
    assert plan["placements"][0]["warnings"] == []


def test_nothing_is_set_of_a_target_that_is_held_until_then():
    facts = {
        "a": host([vf(0, "vm-0", network=GUESTS)]),
        "b": host([vf(8, "vm-8", network=UNSET)]),
        "c": host([vf(16, network=UNSET)]),
    }
    plan = plan_for(facts, sources=["vm-0", "vm-8"], targets=["b", "c"], reuse=True)
    placed = {each["vm"]: each for each in plan["placements"]}
    if placed["vm-0"]["target"]["host"] == "b":
        assert "network" not in placed["vm-0"]["target"]
        assert "the target is in use" in placed["vm-0"]["warnings"][0]
    assert placed["vm-8"]["target"] == {**placed["vm-8"]["target"], "host": "c", "network": UNSET}


@settings(max_examples=25)
@given(st.lists(SETTINGS, min_size=1, max_size=3, unique_by=lambda each: each["mac"]), SETTINGS)
def test_settings_survive_a_file_and_being_carried_out(sources, shown):
    shown = {**shown, "mac": "00:00:00:00:00:00"}
    facts = fleet(sources, [shown] * len(sources))
    plan = planned(facts)
    given_now = given_to_each(plan)
    assert given_now == [
        {name: each[name] for name in UNSET if name in each and name in shown} for each in sources
    ]
    earlier = json.loads(json.dumps(plan))
    again = planned(facts, earlier=earlier)
    assert again["placements"] == plan["placements"]
    assert again["hosts"] == plan["hosts"]
    # Once targets have their settings, all stays as it was planned.
    for each in plan["placements"]:
        device = next(d for d in facts["b"]["devices"] if d["id"] == each["target"]["id"])
        device["network"] = {**device["network"], **each["target"]["network"]}
    for options in ({"earlier": earlier}, {}):
        again = planned(facts, **options)
        assert again["placements"] == plan["placements"]
        assert not options or again["changes"] == []


def test_of_a_plan_out_of_a_file_no_settings_are_taken():
    facts = fleet([GUESTS], [UNSET])
    plan = planned(facts)
    forged = json.loads(json.dumps(plan))
    forged["placements"][0]["target"]["network"] = {**GUESTS, "mac": OTHER_MAC, "spoofchk": False}
    forged["hosts"]["b"]["pci_devices"][0]["network"] = {"mac": OTHER_MAC}
    again = planned(facts, earlier=plan)
    assert given_to_each(again) == [GUESTS]
    assert planned(facts, earlier=forged) == again
    del forged["placements"][0]["target"]["network"]
    assert planned(facts, earlier=forged) == again
    forged["placements"][0]["target"]["network"] = {"vlan": 1}
    with pytest.raises(FleetError, match="network"):
        planned(facts, earlier=forged)


def test_facts_that_have_changed_are_planned_with():
    facts = fleet([GUESTS], [UNSET])
    earlier = planned(facts)
    facts["a"]["devices"][0]["network"] = {**GUESTS, "vlan": 101}
    assert given_to_each(planned(facts, earlier=earlier)) == [{**GUESTS, "vlan": 101}]
    shown = out_of_date(earlier, read_fleet(facts), ["a"], Conditions())
    assert given_to_each(shown) == [None]


def test_without_settings_a_plan_is_as_it_was():
    facts = fleet([None, None], [None, None])
    plan = planned(facts)
    assert "network" not in json.dumps(plan)
    for name, devices in (("a", 0), ("b", 1)):
        # What is shown of others is nobody's concern.
        facts[name]["devices"].append({**vf(30 + devices, kind="w"), "network": GUESTS})
        facts[name]["devices"][-1]["descriptor"] = None
    other = planned(facts)
    assert {**other, "relied_on": None, "staying": None} == {
        **plan,
        "relied_on": None,
        "staying": None,
    }


def test_the_verifier_refuses_other_settings_and_the_lack_of_any():
    facts = fleet([GUESTS], [UNSET])
    plan = planned(facts)
    asked = Conditions(drain=("a",))
    assert violations(plan, facts, asked) == []
    for other in (
        None,
        {**GUESTS, "mac": OTHER_MAC},
        {**GUESTS, "trust": 1},
        {name: value for name, value in GUESTS.items() if name != "vlan"},
        {**GUESTS, "more": 1},
    ):
        forged = copy.deepcopy(plan)
        for each in (forged["placements"][0]["target"], forged["hosts"]["b"]["pci_devices"][0]):
            each.update({"network": other})
            if other is None:
                del each["network"]
        told = violations(forged, facts, asked)
        assert "is not given the network settings of its source" in told[0]
    forged = json.loads(json.dumps(plan))
    forged["hosts"]["b"]["pci_devices"][0]["network"]["vlan"] = 101
    assert any("is another in 'hosts'" in each for each in violations(forged, facts, asked))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mac", "53:54:00:12:34:56"),
        ("mac", "52:54:00:12:34:56\n"),
        ("mac", "52:54:00:12:34:5G"),
        ("vlan", 4095),
        ("vlan", "1"),
        ("trust", 1),
        ("link_state", "up"),
        ("max_tx_rate", -1),
    ],
)
def test_the_verifier_knows_by_itself_what_could_be_set(name, value):
    facts = fleet([GUESTS], [UNSET])
    plan = planned(facts)
    for each in (facts["a"]["devices"][0], plan["placements"][0]["target"]):
        each["network"] = {**GUESTS, name: value}
    plan["hosts"]["b"]["pci_devices"][0]["network"] = {**GUESTS, name: value}
    told = violations(plan, facts, Conditions(drain=("a",)))
    assert any(f"is given no such {name}" in each for each in told)


def on_other_card(facts: t.Any, host_name: str, number: int) -> None:
    """Have a host's function be one of its second card."""
    facts[host_name]["devices"][number]["parent"] = "0000:82:00.0"


def reasons(plan: t.Any) -> list[tuple[str, str]]:
    return [(each["code"], each["reason"]) for left in plan["unplaced"] for each in left["reasons"]]


def test_a_guest_does_not_get_the_address_of_one_that_is_there():
    facts = fleet([GUESTS], [UNSET, UNSET])
    held, free = host([vf(20, "vm-20", network=GUESTS)])["devices"], facts["b"]["devices"]
    facts["b"]["devices"] = [*free, *held]
    plan = planned(facts)
    assert plan["placements"] == []
    assert plan["status"] == "infeasible"
    assert [code for code, _words in reasons(plan)] == ["mac_address"] * 2
    assert reasons(plan)[0][1] == (
        f"{free[0]['id']}: {held[0]['id']} of the same card has its MAC address 52:54:00:12:34:56, and another guest has that"
    )
    # Another card of the host will do, and so will another host.
    on_other_card(facts, "b", 1)
    (placement,) = planned(facts)["placements"]
    assert placement["target"]["id"] == free[1]["id"]
    on_other_card(facts, "b", 2)
    (placement,) = planned(facts)["placements"]
    assert placement["target"]["id"] == free[0]["id"]
    on_other_card(facts, "b", 0)
    facts["c"] = host([vf(40, network=UNSET)])
    (placement,) = planned(facts)["placements"]
    assert placement["target"]["host"] == "c"
    # One that nobody holds is in nobody's way.
    facts["b"]["devices"][2]["in_use"] = None
    del facts["c"]
    assert given_to_each(planned(facts)) == [GUESTS]


def test_that_a_function_in_use_is_beside_its_address_is_a_reason_too():
    facts = fleet([GUESTS], [])
    facts["b"] = host([vf(20, "vm-20", network=GUESTS), vf(21, "vm-21", network=UNSET)])
    other, own = facts["b"]["devices"]
    found = reasons(planned(facts))
    assert sorted(code for code, _words in found) == ["in_use", "in_use", "mac_address"]
    # Once that of the address is free, it is beside nobody.
    assert [words.split(": ")[0] for code, words in found if code == "mac_address"] == [own["id"]]
    assert other["id"] in dict(found)["mac_address"]


def test_where_places_are_short_those_beside_an_address_are_none():
    facts = fleet([GUESTS, GUESTS], [UNSET, UNSET])
    facts["b"]["devices"] += host([vf(20, "vm-20", network=GUESTS)])["devices"]
    on_other_card(facts, "b", 1)
    plan = planned(facts)
    assert [each["target"]["id"] for each in plan["placements"]] == [facts["b"]["devices"][1]["id"]]
    assert plan["status"] == "infeasible"
    assert (plan["shortage"]["need"], plan["shortage"]["reachable"]) == (2, 1)
    assert {code for code, _words in reasons(plan)} >= {"mac_address", "shortage"}
    # One that shows no address of its own is given none.
    del facts["b"]["devices"][0]["network"]
    assert planned(facts)["unplaced"] == []


def test_two_guests_of_one_address_do_not_come_to_one_card():
    facts = fleet([GUESTS, GUESTS, {**GUESTS, "mac": OTHER_MAC}], [UNSET] * 4)
    plan = planned(facts)
    assert [each["vm"] for each in plan["placements"]] == ["vm-0", "vm-2"]
    assert plan["status"] == "infeasible"
    assert {code for code, _words in reasons(plan)} == {"taken", "mac_address"}
    assert any("to another guest on the same card" in words for _code, words in reasons(plan))
    # On two cards both find a place, be they of one host or of two.
    on_other_card(facts, "b", 3)
    plan = planned(facts)
    assert plan["status"] == "optimal"
    on_two = {each["target"]["parent"] for each in plan["placements"][:2]}
    assert on_two == {"0000:81:00.0", "0000:82:00.0"}
    facts["b"]["devices"].pop()
    facts["c"] = host([vf(40, network=UNSET)])
    for options in ({}, {"policy": "spread"}, {"apart": [["vm-0", "vm-1"]]}, {"reuse": True}):
        plan = planned(facts, **options)
        assert plan["unplaced"] == [], options
        assert len({each["target"]["host"] for each in plan["placements"][:2]}) == 2


def test_of_functions_of_one_card_that_are_not_equal_the_verifier_sees_both():
    facts = fleet([GUESTS], [UNSET])
    for name, number in (("a", 1), ("b", 9)):
        vm = "vm-1" if name == "a" else None
        other = host([vf(number, vm, kind="w", network=GUESTS if vm else UNSET)])
        facts[name]["devices"] += other["devices"]
        facts[name]["descriptors"] |= other["descriptors"]
    plan = planned(facts)
    assert plan["placements"] == []
    assert plan["status"] != "infeasible"
    assert {code for code, _words in reasons(plan)} == {"verifier"}


def test_what_stays_of_an_earlier_plan_has_its_address_already():
    facts = fleet([GUESTS], [UNSET, UNSET])
    earlier = planned(facts)
    facts["a"] = fleet([GUESTS, GUESTS], [])["a"]
    plan = planned(facts, earlier=earlier)
    assert [each["vm"] for each in plan["placements"]] == ["vm-0"]
    assert [code for code, _words in reasons(plan)] == ["mac_address"] * 2
    # What has come there since keeps a target from it.
    facts = fleet([GUESTS], [UNSET, UNSET])
    facts["c"] = host([vf(40, network=UNSET)])
    facts["b"]["devices"] += host([vf(20, "vm-20", network=GUESTS)])["devices"]
    plan = planned(facts, earlier=earlier)
    assert [each["target"]["host"] for each in plan["placements"]] == ["c"]
    assert [each["vm"] for each in plan["changes"]] == ["vm-0"]


def drawn_with_addresses(chance: random.Random) -> dict[str, t.Any]:
    """Draw guests with few MAC addresses, cards that have some of them, and guests that keep a function."""
    addresses = [f"52:54:00:00:00:{number:02x}" for number in range(3)]

    def functions(host_name: str, held: float, count: int) -> t.Iterator[t.Any]:
        kinds = ["v", chance.choice("vw")]
        for number in range(count):
            card = chance.randrange(2)
            vm = f"{host_name}-{chance.randrange(3)}" if chance.random() < held else None
            own = {"mac": chance.choice(addresses) if vm else UNSET["mac"]}
            network = {} if chance.random() < 0.1 else {"network": own}
            found = vf(number, vm, kind=kinds[card], **network)
            found["parent"] = f"0000:8{card}:00.0"
            found["in_use"] = vm and {"pid": ord(vm[-1]), "name": vm}
            found["migration"]["features"] = ["p2p"]
            yield found

    return {
        "a": host([*functions("a", 0.9, 4)]),
        "b": host([*functions("b", 0.2, chance.randrange(4))]),
        "c": host([*functions("c", 0.2, chance.randrange(4))]),
    }


@pytest.mark.parametrize("seed", range(20))
def test_with_addresses_plans_are_as_good_as_the_best_of_all_that_there_are(seed):
    chance = random.Random(seed)
    facts = drawn_with_addresses(chance)
    reuse = chance.random() < 0.3
    whole = read_fleet(facts)
    moving = ["a", "b"] if reuse else ["a"]
    names = {
        each.in_use.name for name in moving for each in whole.hosts[name].devices if each.in_use
    }
    conditions = Conditions(reuse=reuse)
    guests = requested(whole, None, sorted(map(str, names)))
    request = Request(guests, conditions.hosts(whole), conditions)
    plan = make_plan(read_fleet(facts), request)
    assert violations(plan, facts, conditions) == []
    least = ExactPlans(whole, request).least_by_trying()
    assert plan["cost"]["unplaced"] == least[0]
    if plan["bound"] is not None:
        assert plan["bound"]["unplaced"] <= least[0]
    assert plan["status"] != "infeasible" or least[0]


def test_a_guest_may_have_an_address_twice():
    facts = fleet([GUESTS, GUESTS], [UNSET] * 2)
    for each in facts["a"]["devices"]:
        each["in_use"] = {"pid": 7, "name": "vm"}
        each["migration"]["features"] = ["p2p"]
    assert given_to_each(planned(facts)) == [GUESTS] * 2


def test_addresses_that_nobody_was_given_are_not_compared():
    assert given_to_each(planned(fleet([UNSET, UNSET], [UNSET] * 2))) == [UNSET] * 2


def test_a_host_that_has_come_back_has_the_settings_that_were_given():
    facts = fleet([GUESTS], [{**UNSET, "qos": 0}])
    plan = planned(facts)
    after = facts_after(read_fleet(facts).hosts, facts, plan["placements"], (), ())
    (device,) = after["b"]["devices"]
    assert device["network"] == GUESTS
    assert device["in_use"]["name"] == "vm-0"


@pytest.mark.parametrize("reuse", [True, False])
def test_that_an_address_stays_whose_guest_moves_is_no_proof(reuse):
    network = {**UNSET, "mac": GUESTS["mac"]}
    facts = {
        "a": host([vf(0, "vm-1", network=network)]),
        "b": host([vf(1, network=UNSET), vf(2, "vm-2", kind="w", network=network)]),
        "c": host([vf(3, kind="w", network=UNSET)]),
    }
    both = plan_for(facts, sources=["vm-1", "vm-2"], reuse=reuse)
    assert both["status"] == "unproven"
    (assumed,) = both["assumptions"]
    assert assumed.startswith("a MAC address is taken to stay where it is")
    assert f"{vf(2)['id']} on b" in assumed
    # It stays, so it is proven.
    assert plan_for(facts, sources=["vm-1"], reuse=reuse)["status"] == "infeasible"
