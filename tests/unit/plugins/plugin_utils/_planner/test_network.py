# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Network parity: targets get the network settings of their sources, as far as their hosts show them, and no others."""

from __future__ import annotations

import copy
import json
import typing as t

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.network_settings import (
    UNSET,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import read_fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.facts_after import facts_after
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.preparation import changed_by
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import Conditions
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.shown_plan import out_of_date
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.summary import summarize
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify import violations
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.plan_options import plan_for
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
        assert "somebody holds the target" in placed["vm-0"]["warnings"][0]
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
    shown = out_of_date(earlier, read_fleet(facts), ["a"])
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


def test_a_guest_does_not_get_the_address_of_one_that_is_there():
    facts = fleet([GUESTS], [UNSET])
    facts["b"]["devices"] += host([vf(20, "vm-20", network=GUESTS)])["devices"]
    plan = planned(facts)
    assert plan["placements"] == []
    ((reason,),) = [each["reasons"] for each in plan["unplaced"]]
    assert reason["code"] == "verifier"
    assert "is given the MAC address 52:54:00:12:34:56" in reason["reason"]
    # Of another card, it is in nobody's way; nor is one that nobody holds.
    facts["b"]["devices"][1]["parent"] = "0000:82:00.0"
    assert given_to_each(planned(facts)) == [GUESTS]
    facts["b"]["devices"][1] |= {"parent": "0000:81:00.0", "in_use": None}
    assert given_to_each(planned(facts)) == [GUESTS]


def test_two_guests_of_one_address_do_not_come_to_one_card():
    facts = fleet([GUESTS, GUESTS, {**GUESTS, "mac": OTHER_MAC}], [UNSET] * 3)
    plan = planned(facts)
    assert [each["vm"] for each in plan["placements"]] == ["vm-2"]
    assert [each["reasons"][0]["code"] for each in plan["unplaced"]] == ["verifier"] * 2
    # Apart they may move.
    facts["c"] = host([vf(40, network=UNSET)])
    apart = planned(facts, apart=[["vm-0", "vm-1"]])
    assert apart["unplaced"] == []
    assert len({each["target"]["host"] for each in apart["placements"][:2]}) == 2


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
