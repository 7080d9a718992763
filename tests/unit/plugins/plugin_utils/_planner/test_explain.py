# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Explanations that an operator can act on."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import read_fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.explain import explain
from ansible_collections.vfio.migration.tests.unit.fleets import (
    UUIDS,
    device,
    gvt,
    host,
    parent,
    sets,
)

SOURCE = {"host": "a", "id": UUIDS[0]}


def told(target: object, direction: str = "source_lists", **hosts: dict) -> t.Any:
    fleet = {"a": host([device(UUIDS[0], gvt("4", "2"))])} | hosts
    return explain(read_fleet(fleet), SOURCE, target, direction)


def test_a_host_that_can_make_the_device_says_how():
    result = told("b", b=host(parents=[parent()]))
    assert result["verdict"]["compatible"]
    assert result["verdict"]["certainty"] == "provisional"
    assert result["placement"]["type"] == "i915-GVTg_V5_4"
    assert result["sentences"] == []


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        (
            host([device(UUIDS[1], gvt(software_version="0.0.9"), vm="x")], [parent()]),
            "update the driver on b to 0.1 or newer: a new i915-GVTg_V5_4 under 0000:00:02.0 on b has 0.0.9",
        ),
        (
            host(parents=[parent(pci_id="8086591d", available={"i915-GVTg_V5_4": 4})]),
            "a new i915-GVTg_V5_4 under 0000:00:02.0 on b has pci_id 8086591d; 80865963 is needed",
        ),
        (
            host([device(UUIDS[1], vm="vm-9", pid=7)]),
            f"{UUIDS[1]} on b is compatible, but vm-9 (pid 7) holds it",
        ),
        (
            host(
                [device(UUIDS[n], gvt(pci_id="8086591d"), vm=f"vm-{n}", pid=n) for n in (2, 1)],
                [parent(available={"i915-GVTg_V5_2": 0, "i915-GVTg_V5_4": 0})],
            ),
            "no instance of i915-GVTg_V5_4 left under 0000:00:02.0 on b: 2 in use, by vm-1, vm-2",
        ),
        (
            host(
                [device(UUIDS[1], gvt(pci_id="8086591d"))],
                [parent(available={"i915-GVTg_V5_4": 1})],
            ),
            (
                "2 instances of i915-GVTg_V5_4 needed under 0000:00:02.0 on b, 1 left: 1 in use,"
                f" by no process ({UUIDS[1]})"
            ),
        ),
        (
            host(
                [
                    device(UUIDS[1], gvt(pci_id="8086591d"), in_use={"pid": None, "name": None}),
                    device(UUIDS[2], gvt(pci_id="8086591d"), in_use={"pid": 7, "name": None}),
                ],
                [parent(available={"i915-GVTg_V5_4": 0})],
            ),
            (
                "no instance of i915-GVTg_V5_4 left under 0000:00:02.0 on b: 2 in use,"
                " by process 7, what only facts gathered as root show"
            ),
        ),
        (
            host(parents=[parent(available={"i915-GVTg_V5_4": 0})]),
            (
                "no instance of i915-GVTg_V5_4 left under 0000:00:02.0 on b, although it has no device:"
                " something else takes its capacity"
            ),
        ),
        (
            host(),
            "b has no VFIO device with a usable descriptor, and no parent that can create one",
        ),
        (
            host([device(UUIDS[1]) | {"descriptor": {}}]),
            "b has no VFIO device with a usable descriptor, and no parent that can create one",
        ),
    ],
)
def test_a_host_that_cannot_says_what_stands_in_the_way(facts, sentence):
    result = told("b", b=facts)
    assert not result["verdict"]["compatible"]
    assert result["placement"] is None
    assert sentence in result["sentences"]


@pytest.mark.parametrize(
    ("target", "facts", "codes"),
    [
        ("b", host(parents=[parent()]), []),
        ("b", host([device(UUIDS[1], vm="vm-9", pid=7)]), ["in_use"]),
        ("b", host(), ["nothing_usable"]),
        ({"host": "b", "id": UUIDS[1]}, host([device(UUIDS[1], gvt("4", "2"))]), []),
        (
            {"host": "b", "id": UUIDS[1]},
            host([device(UUIDS[1], gvt(software_version="0.0.9"), vm="x")]),
            ["driver_version", "in_use"],
        ),
        (
            {"host": "b", "id": UUIDS[1]},
            host([device(UUIDS[1]) | {"descriptor": {}}]),
            ["no_descriptor"],
        ),
    ],
)
def test_what_stands_in_the_way_is_also_a_code(target, facts, codes):
    assert told(target, b=facts)["codes"] == codes


def test_a_parent_that_has_room_is_not_said_to_be_full():
    full = parent("0000:00:03.0", available={"i915-GVTg_V5_4": 0})
    result = told("b", b=host(parents=[full, parent(available={"i915-GVTg_V5_4": 2})]))
    assert result["placement"]["parent"] == "0000:00:02.0"
    assert result["sentences"] == []


def test_a_device_is_not_moved_to_where_it_is():
    assert told("a")["sentences"] == [f"{UUIDS[0]} is on a already"]


@pytest.mark.parametrize("target", ["b", {"host": "b", "id": UUIDS[1]}])
def test_what_was_wrong_with_a_descriptor_is_said(target):
    path = f"/sys/bus/mdev/devices/{UUIDS[0]}/migration/self"
    problems = [
        {"path": path, "problem": "'type' is missing"},
        {"path": "/sys/bus/mdev/devices/another", "problem": "vanished"},
    ]
    broken = host([device(UUIDS[0]) | {"descriptor": {}}], problems=problems)
    result = told(target, a=broken, b=host([device(UUIDS[1])]))
    assert result["sentences"] == [
        f"{UUIDS[0]} on a: it has no usable descriptor; see the problems of its host",
        f"{path}: 'type' is missing",
    ]


@pytest.mark.parametrize(
    ("compatible", "sentence"),
    [
        ("", "the source's driver lists no set of attributes that it is compatible with"),
        (
            "device_api=vfio-pci\ntype=x\naggregator={n}",
            (
                "the source's driver states what is void: set 0 of 'compatible', aggregator:"
                " expected a declaration of 'n' somewhere in the set at column 1"
            ),
        ),
        (
            "device_api=vfio-pci\ntype=i915-GVTg_V5_4\naggregator=",
            f"{UUIDS[1]} on b has aggregator 2; it must be absent or empty",
        ),
        (
            "device_api=vfio-pci\ntype=i915-GVTg_V5_4\nremote_url=x",
            f"{UUIDS[1]} on b has no remote_url; x is needed",
        ),
    ],
)
def test_what_a_list_says_is_put_in_words(compatible, sentence):
    source = host([device(UUIDS[0], gvt() | {"compatible": sets(compatible)})])
    result = told({"host": "b", "id": UUIDS[1]}, a=source, b=host([device(UUIDS[1])]))
    assert result["sentences"][0] == sentence


def test_a_host_has_the_verdict_of_the_device_there_that_would_receive():
    narrow = gvt() | {"compatible": sets("device_api=vfio-pci\ntype=other\n")}
    hosts = {"b": host([device(UUIDS[1], narrow)])}
    to_host, to_device = (told(to, **hosts) for to in ("b", {"host": "b", "id": UUIDS[1]}))
    assert to_host["verdict"] == to_device["verdict"]
    assert to_host["verdict"]["direction_conflict"] is True


def test_who_holds_the_target_is_said():
    result = told({"host": "b", "id": UUIDS[1]}, b=host([device(UUIDS[1], vm="vm-9", pid=7)]))
    assert result["verdict"]["compatible"]
    assert result["sentences"] == [f"{UUIDS[1]} on b: vm-9 (pid 7) holds it"]


def test_what_a_target_accepts_needs_one_that_is_there():
    sentences = told("b", "target_accepts", b=host(parents=[parent(available={"x": 1})]))[
        "sentences"
    ]
    assert sentences == [
        "a new x under 0000:00:02.0 on b: a device that exists, as only that shows what it accepts, is needed"
    ]


def test_a_device_as_target_has_its_verdict_in_words():
    other = device(UUIDS[1], gvt("4", "2", software_version="1.0.0"))
    result = told({"host": "b", "id": UUIDS[1]}, b=host([other]))
    assert result["verdict"]["reasons"][0]["rule"] == "version_major"
    assert result["sentences"] == [
        f"{UUIDS[1]} on b has software_version 1.0.0; major version 0 is needed",
        "the target's list has the other device, the source's list has not",
    ]


@pytest.mark.parametrize("direction", ["target_accepts", "both"])
def test_where_the_targets_list_decides_the_target_is_what_must_change(direction):
    newer = gvt("4", "2", software_version="0.1.5")
    newer["compatible"][0]["software_version"] = "0.0.1"
    other = device(UUIDS[1], newer)
    result = told({"host": "b", "id": UUIDS[1]}, direction, b=host([other]))
    assert not result["verdict"]["compatible"]
    assert result["sentences"][0] == "update the driver on b to 0.1 or newer: it accepts 0.0.1"


def test_a_device_without_migration_says_so():
    never = {"supported": False, "features": [], "state": None}
    result = told({"host": "b", "id": UUIDS[1]}, b=host([device(UUIDS[1], migration=never)]))
    assert f"{UUIDS[1]} on b: it cannot migrate" in result["sentences"]


@pytest.mark.parametrize(
    ("source", "target", "words"),
    [
        ({"host": "z", "id": "x"}, "b", "z is unknown"),
        (
            {"host": "a", "id": "x"},
            "b",
            "a has no device 'x'; expected the id of one of its devices",
        ),
        ({"host": "a", "id": 10**5000}, "b", "a has no device too large to show"),
        (SOURCE, {"host": "b", "id": 10**5000}, "b has no device too large to show"),
        ("", "b", "'' names no device"),
        ("vm-1", "b", "names no device"),
        (SOURCE, "z", "the target z is unknown"),
        (SOURCE, {"host": "b"}, "names no device"),
    ],
)
def test_what_is_not_there_is_named(source, target, words):
    fleet = read_fleet({"a": host([device(UUIDS[0])]), "b": host()})
    with pytest.raises(FleetError, match=words):
        explain(fleet, source, target, "source_lists")


@pytest.mark.parametrize(
    ("room", "target", "sentence"),
    [
        ({"i915-GVTg_V5_4": 8}, "b", "yes, vm-1 can go to b, with all of its 2 devices"),
        ({"i915-GVTg_V5_4": 2}, "b", "no, vm-1 cannot go to b: "),
        ({}, "a", "no, vm-1 is on a already"),
    ],
)
def test_a_guest_by_its_name_is_answered_with_yes_or_no(room, target, sentence):
    devices = [device(UUIDS[n], vm="vm-1", pid=7) for n in range(2)]
    fleet = read_fleet({"a": host(devices), "b": host(parents=[parent(available=room)])})
    found = explain(fleet, "vm-1", target, "source_lists")
    assert found["sentences"][0].startswith(sentence)
    assert found["verdict"]["compatible"] == sentence.startswith("yes")
    assert "\n" not in found["sentences"][0]
    with pytest.raises(FleetError, match="'vm' names no device, and no guest"):
        explain(fleet, "vm", target, "source_lists")


def test_a_guest_that_shares_its_name_is_answered_by_its_uuid():
    def held(number, pid):
        holder = {"pid": pid, "name": "vm-1", "uuid": UUIDS[number + 5]}
        return host([device(UUIDS[number], in_use=holder)])

    fleet = read_fleet({"a": held(0, 7), "c": held(1, 8), "b": host(parents=[parent()])})
    with pytest.raises(FleetError, match=f"give the UUID .*UUID {UUIDS[6]}"):
        explain(fleet, "vm-1", "b", "source_lists")
    found = explain(fleet, UUIDS[6], "b", "source_lists")
    assert found["source"]["host"] == "c"
    assert found["sentences"][0] == f"yes, {UUIDS[6]} can go to b"
