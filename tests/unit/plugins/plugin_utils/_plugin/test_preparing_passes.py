# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The passes of the playbook ``prepare`` over cards of which only trying shows how much room they have."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from ansible.module_utils.common.yaml import yaml_load
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin import preparing
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.plan_options import plan_for
from ansible_collections.vfio.migration.tests.unit.cards import CARD, function, typed, typeless
from ansible_collections.vfio.migration.tests.unit.fleets import host

ROOT = Path(__file__).parents[5]
# The plays that carry out a plan, the first and the further ones.
ATTEMPTS = ("Create the targets", "Carry out a further plan")
SKIPPED = {"changed": False, "skipped": True}


class Gpus(dict[str, dict[str, t.Any]]):
    """``hostvars`` of hosts: a with guests, b with a card that has a type already and room for ``room`` more."""

    def __init__(self, guests: int, room: int, devices_of_first: int = 1) -> None:
        super().__init__()
        self.room = room
        self.given = 0
        first = [typed(each, "1155", vm="vm-0", pid=1) for each in range(devices_of_first)]
        others = [
            typed(devices_of_first + each, "1155", vm=f"vm-{each + 1}", pid=2 + each)
            for each in range(guests - 1)
        ]
        self.guests = host(first + others)
        self.answer()

    def answer(self) -> None:
        choices = ["1155"] if self.given < self.room else []
        there = [typed(31, "1155", vm="there")]
        there += [typed(each, "1155") for each in range(self.given)]
        there += [typeless(each, choices) for each in range(self.given, 31)]
        for name, facts in (("a", self.guests), ("b", host(there))):
            found = {"ansible_facts": {"vfio_migration": facts}}
            self[name] = {**found, "prepare_gathered": found}

    def make(self, run: t.Any) -> None:
        """Have the kernel give the functions their types."""
        for name, tasks in run["tasks"].items():
            changed = [each for each in tasks["pci_devices"] if each["attributes"]]
            if changed:
                assert [each["address"] for each in changed] == [
                    function(CARD, self.given + each) for each in range(len(changed))
                ]
                self.given += len(changed)
                self.answer()
            answered = [
                {
                    "address": each["address"],
                    "action": "configured" if each in changed else "unchanged",
                }
                for each in tasks["pci_devices"]
            ]
            made = {"changed": True, "devices": answered}
            self[name].update(zip(preparing.MADE.values(), (SKIPPED, made, SKIPPED), strict=True))


@pytest.fixture
def prepared(tmp_path):
    def prepared(hosts: Gpus, **options: t.Any) -> t.Any:
        given = {
            "hosts": [*hosts],
            "dest": str(tmp_path / "plan.json"),
            "attempts": 1,
            "timeout": 9,
        }
        run = preparing.begin({**given, "drain": "a", **options}, hosts, False)
        run = preparing.plan_next(run, hosts)
        while run["participants"]:
            hosts.make(run)
            run = preparing.plan_next(run, hosts)
        return run

    return prepared


@pytest.mark.parametrize("guests", [1, 2, 4])
def test_it_goes_on_until_all_have_moved(prepared, guests):
    hosts = Gpus(guests, room=5)
    run = prepared(hosts)
    assert run["failure"] is None
    assert len(run["plan"]["placements"]) == hosts.given == guests
    assert (run["attempt"], run["undo"]) == (guests, {})


def test_each_pass_may_take_the_effort_that_is_asked_for(prepared, monkeypatch):
    efforts = []

    def noting(*given: t.Any, **options: t.Any) -> t.Any:
        efforts.append(options["effort"])
        return plan_for(*given, **options)

    monkeypatch.setattr(preparing, "plan_for", noting)
    run = prepared(Gpus(2, room=5), effort="3")
    assert run["attempt"] == 2
    assert len(efforts) > 1 and {*efforts} == {3}


def test_an_effort_that_is_none_is_refused_before_anything_is_done(prepared):
    with pytest.raises(FleetError, match="effort is 'much'; expected a whole number from 1 to 100"):
        prepared(Gpus(1, room=1), effort="much")


@pytest.mark.parametrize("guests", [1, 3])
def test_the_devices_of_one_guest_are_tried_at_once(prepared, guests):
    hosts = Gpus(guests, room=5, devices_of_first=2)
    run = prepared(hosts)
    assert run["failure"] is None
    assert len(run["plan"]["placements"]) == hosts.given == guests + 1


def test_it_ends_where_nothing_more_can_move(prepared):
    hosts = Gpus(4, room=2)
    run = prepared(hosts, partial=True)
    assert run["failure"] is None
    assert (len(run["plan"]["placements"]), hosts.given) == (2, 2)
    assert "further_pass" not in run["plan"]


def test_all_is_taken_back_where_not_everything_can_move(prepared):
    hosts = Gpus(4, room=2)
    run = prepared(hosts)
    assert "Not everything can move" in run["failure"]
    taken_back = [each["address"] for each in run["undo"]["b"]["pci_devices"]]
    assert taken_back == [function(CARD, each) for each in range(2)]


def test_there_are_as_many_passes_as_plays():
    plays = yaml_load((ROOT / "playbooks/parts/make_targets.yml").read_text())
    attempts = [play for play in plays if play["name"] in ATTEMPTS]
    assert len(attempts) == preparing.MOST_PASSES


def test_passes_go_on_until_a_card_is_full(prepared):
    """A card of 48 GB has room for twelve of 4 GB: one is there, the others get their types one by one."""
    hosts = Gpus(11, room=11)
    run = prepared(hosts)
    assert run["failure"] is None
    assert hosts.given == run["attempt"] == 11 < preparing.MOST_PASSES


def test_where_passes_end_what_was_made_stays_only_if_a_part_will_do(prepared, monkeypatch):
    monkeypatch.setattr(preparing, "MOST_PASSES", 3)
    hosts = Gpus(5, room=5)
    run = prepared(hosts, partial=True)
    assert (run["failure"], run["undo"]) == (None, {})
    assert hosts.given == run["attempt"] == 3
    assert "Not everything can move" in prepared(Gpus(5, room=5))["failure"]
