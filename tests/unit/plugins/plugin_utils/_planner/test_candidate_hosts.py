# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which hosts can take a guest, in a line for each."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import read_fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.candidate_hosts import (
    MAX_GUESTS,
    candidates,
    candidates_of_each,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.explain import explain
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.summary import MAX_SENTENCES
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.plan_options import plan_for
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.report_options import (
    report_for,
)
from ansible_collections.vfio.migration.tests.unit.fleets import (
    UUIDS,
    device,
    gvt,
    gvt_self,
    host,
    parent,
)

DRIVER = {"software_version": "0.0.9"}
FLEET = {
    "a": host([device(UUIDS[0], gvt("4", "2"), vm="vm-1", pid=7)]),
    "b": host(parents=[parent()]),
    "c": host([device(UUIDS[1], gvt(**DRIVER), vm="vm-2", pid=8)], [parent()]),
    "d": host([device(UUIDS[2], gvt("4", "2"))]),
    "e": None,
}


def judged(source: t.Any = "vm-1", targets: str = "abcde", fleet: t.Any = None) -> t.Any:
    return candidates(read_fleet(fleet or FLEET), source, list(targets), "source_lists")


def test_candidates_come_first_and_the_unknown_last():
    result = judged()
    assert [(each["host"], each["candidate"]) for each in result["hosts"]] == [
        ("b", True),
        ("d", True),
        ("c", False),
        ("e", None),
    ]
    assert [sentence.partition(":")[0] for sentence in result["sentences"]] == [
        "yes, b",
        "yes, d",
        "no, c",
        "unknown, e",
    ]
    assert result["devices"] == [{"host": "a", "kind": "mdev", "id": UUIDS[0]}]


def test_a_line_says_what_the_device_becomes_or_what_stands_in_the_way():
    made, there, refused, unknown = judged()["sentences"]
    assert f"{UUIDS[0]} becomes a new i915-GVTg_V5_4 under 0000:00:02.0 (provisional)" in made
    assert f"{UUIDS[0]} becomes {UUIDS[2]}" in there
    assert "update the driver on c to 0.1 or newer" in refused
    assert "no facts are known" in unknown
    codes = [each["codes"] for each in judged()["hosts"]]
    assert codes == [[], [], ["driver_version", "driver_version"], ["no_facts"]]


def test_a_device_names_its_guest():
    assert judged({"host": "a", "id": UUIDS[0]})["hosts"] == judged()["hosts"]
    with pytest.raises(FleetError, match="vm-9"):
        judged("vm-9")


def test_only_a_host_with_room_for_all_devices_is_a_candidate():
    both = [device(UUIDS[n], gvt("4", "2"), vm="vm-1", pid=7) for n in (0, 1)]
    room = {"i915-GVTg_V5_4": 2}  # what one of them takes, as its aggregator is 2
    fleet = {
        "a": host(both),
        "b": host(parents=[parent(available=room)]),
        "c": host(parents=[parent(available=room), parent("0000:00:03.0", available=room)]),
    }
    found = {each["host"]: each for each in judged(targets="bc", fleet=fleet)["hosts"]}
    assert not found["b"]["candidate"]
    assert found["b"]["reasons"]
    assert found["b"]["placements"] == []
    assert found["c"]["candidate"]
    assert len(found["c"]["placements"]) == 2


def test_what_keeps_a_device_itself_comes_before_what_keeps_it_with_its_guest():
    own = gvt_self(software_version="0.2.0")
    newer = {"self": own, "compatible": [own]}
    both = [device(UUIDS[0], vm="vm-1", pid=7), device(UUIDS[3], newer, vm="vm-1", pid=7)]
    # Nothing is in the way of the first device, but the driver's version in that of the other.
    fleet = {"a": host(both), "c": host([device(UUIDS[1]), device(UUIDS[2])])}
    (found,) = judged(targets="c", fleet=fleet)["hosts"]
    assert [*dict.fromkeys(found["codes"])] == ["driver_version", "guest_device"]
    first, *_others = explain(read_fleet(fleet), "vm-1", "c", "source_lists")["sentences"]
    assert first.startswith(f"no, vm-1 cannot go to c: {found['reasons'][0]}")
    # So in a report, where the first device has no row of its own.
    plan = report_for(fleet, plan=plan_for(fleet, drain=["a"]))["plan"]
    (row,) = plan["guests"]
    assert row["code"] == "driver_version"
    assert [each["reason"].partition(":")[0] for each in plan["causes"]] == [
        "another device of its guest stays",
        row["why"].partition(":")[0],
    ]
    assert {each["remedy"] for each in plan["causes"]} == {row["remedy"]}


def test_a_candidate_is_where_a_plan_with_this_one_target_moves_the_guest():
    for each in judged()["hosts"]:
        if each["candidate"] is not None:
            plan = plan_for(FLEET, sources=["vm-1"], targets=[each["host"]])
            assert each["candidate"] == (not plan["unplaced"])
            assert each["placements"] == (plan["placements"] if each["candidate"] else [])


def test_of_several_guests_each_is_judged_by_itself():
    fleet = read_fleet(FLEET)
    found = candidates_of_each(fleet, None, ["vm-1", "vm-2"], ["b", "d"], "source_lists")
    alone = [candidates(fleet, vm, ["b", "d"], "source_lists") for vm in ("vm-1", "vm-2")]
    assert found["guests"] == alone
    assert [line.partition(":")[0] for line in found["sentences"]] == [
        *["vm-1 on a"] * 2,
        *["vm-2 on c"] * 2,
    ]
    assert candidates_of_each(fleet, ["a"], None, ["b"], "source_lists")["guests"] == [
        candidates(fleet, "vm-1", ["b"], "source_lists")
    ]


def test_of_many_hosts_and_guests_the_lines_have_a_bound_and_say_how_many_are_not_told():
    many = {f"h{number:03}": FLEET["bc"[number % 2]] for number in range(2 * MAX_SENTENCES + 2)}
    guests = [
        device(f"{number:08x}-1111-4222-8333-444444444444", vm=f"vm-{number}", pid=1 + number)
        for number in range(MAX_GUESTS + 2)
    ]
    fleet = {"a": host(guests), **many, "e": None}
    alone = judged("vm-0", targets=fleet, fleet=fleet)
    assert len(alone["hosts"]) == len(many) + 1
    assert [each for each in alone["sentences"] if each.endswith("more host")] == [
        "yes, 1 more host",
        "no, 1 more host",
    ]
    assert [each.partition(",")[0] for each in alone["sentences"]] == [
        *["yes"] * (MAX_SENTENCES + 1),
        *["no"] * (MAX_SENTENCES + 1),
        "unknown",
    ]
    few = [*many][:8]
    several = candidates_of_each(read_fleet(fleet), ["a"], None, few, "source_lists")
    assert len(several["guests"]) == len(guests)
    assert several["sentences"][-1] == "and 2 more: guests"
    assert several["sentences"][:4] == [
        f"vm-0 on a: {line}"
        for line in (
            *(several["guests"][0]["sentences"][0], "yes, 3 more hosts"),
            *(several["guests"][0]["sentences"][4], "no, 3 more hosts"),
        )
    ]
    assert len(several["sentences"]) <= 4 * MAX_GUESTS + 1


def test_where_nothing_is_checked_a_sentence_says_so():
    alone = read_fleet({"a": FLEET["a"], "b": FLEET["b"]})
    (words,) = candidates(alone, "vm-1", ["a"], "source_lists")["sentences"]
    assert words.startswith("no other host was checked: add hosts to 'hosts' or 'targets'")
    (each,) = candidates_of_each(alone, ["a"], None, [], "source_lists")["sentences"]
    assert each == f"vm-1 on a: {words}"
    (none,) = candidates_of_each(alone, ["b"], None, ["a"], "source_lists")["sentences"]
    assert none == "no guest was checked: nothing holds a device on the hosts to drain"
