# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The door for facts: what makes a host unknown, what costs one device, and what nobody notices."""

from __future__ import annotations

import copy
import typing as t

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet import check
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import read_fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.plan_options import plan_for
from ansible_collections.vfio.migration.tests.unit.fleets import UUIDS, device, gvt, host, parent
from ansible_collections.vfio.migration.tests.unit.hostile_facts import right

LONG = "x" * (check.MAX_NAME + 1)
LONGER = "x" * (check.MAX_TEXT + 1)
HALF = "vm-\udcff"
DESCRIPTOR = next(iter(right()["descriptors"]))
ATTRIBUTE = {"name": "aggregator", "value": "1"}


def changed(path: str, value: object) -> dict:
    """Return right facts with another value at ``path``."""
    facts = right()
    *above, last = path.split(".")
    place: t.Any = facts
    for key in above:
        place = place[int(key)] if key.isdigit() else place[key]
    place[int(last) if last.isdigit() else last] = value
    return facts


def read(facts):
    """Return the fleet of a host with these facts beside an honest one, which must be as it is alone."""
    honest = host([device(UUIDS[0])], [parent()])
    fleet, alone = read_fleet({"a": honest, "z": facts}), read_fleet({"a": honest})
    assert fleet.hosts["a"].devices[0].label == alone.hosts["a"].devices[0].label
    assert fleet.hosts["a"].parents == alone.hosts["a"].parents
    assert {each["host"] for each in fleet.problems} <= {"z"}
    return fleet


UNKNOWN = [
    # Types and keys.
    *(("devices.0", value) for value in (None, 7, "x", [], b"x")),
    *(("devices.0.id", value) for value in (None, 7, HALF, LONG)),
    *(("devices.0.in_use", value) for value in (7, {}, {"name": "vm"}, {"pid": 1, "name": []})),
    *(("devices.0.attributes", value) for value in ({}, "x", [ATTRIBUTE] * 65, [{1: 2}])),
    ("devices.0.attributes.0.value", 2),
    ("devices.0.attributes.0.value", LONGER),
    ("devices.0.attributes.0.name", LONG),
    *(("devices.3.attributes.0.choices", value) for value in ("12", [1], [LONG], ["1"] * 1025)),
    ("devices.0.migration.evidence", LONGER),
    ("devices.0.migration.evidence", []),
    ("descriptors", {7: {}}),
    ("descriptors", {None: {}}),
    ("schema", True),
    ("schema", 1.0),
    # Kinds.
    *(("devices.0.kind", value) for value in ("foo", "MDEV", "", None)),
    *(("parents.0.kind", value) for value in ("pci", "foo", None)),
    # Ranges.
    *(("devices.0.in_use.pid", value) for value in (0, -1, 2**31, 10**5000, True, 1.0)),
    *(("devices.0.numa_node", value) for value in (-1, 1024, 10**5000, False)),
    *(
        ("parents.0.types.0.available_instances", value)
        for value in (-1, 2**32, 10**4300, True, 1.5, "1")
    ),
    *(("parents.1.max_supported_vqs", value) for value in (-1, 10**5000, "64")),
    *(("parents.1.dev_features_mask", value) for value in ("32", "0x", "0X1", "-0x1", 7)),
    # Network settings.
    *(("devices.3.network", value) for value in (None, [], "x", {}, {"vlan": 1})),
    *(("devices.3.network.mac", value) for value in ("", "01:00:5e:00:00:01", 7, None)),
    *(("devices.3.network.vlan", value) for value in (4095, -1, 10**5000, True, "7")),
    *(("devices.3.network.trust", value) for value in (1, "on", None)),
    ("devices.3.network.more", 1),
    # What does not fit together.
    ("parents.1.types.0.device_api", "vfio-pci"),
    ("parents.0.types.0.device_api", "vhost-vdpa"),
    ("devices.0.descriptor", "0" * 32),
    # Numbers of things.
    ("devices", [right()["devices"][0]] * 4097),
    ("parents", [parent()] * 1025),
    ("parents.0.types", parent()["types"] * 65),
    ("descriptors", {f"{number:032x}": {} for number in range(513)}),
]


@pytest.mark.parametrize(
    ("path", "value"), UNKNOWN, ids=lambda each: repr(each)[:40] if isinstance(each, str) else ""
)
def test_what_the_module_cannot_have_returned_makes_the_host_unknown(path, value):
    fleet = read(changed(path, value))
    assert fleet.unknown == ["z"]
    (problem,) = fleet.problems
    place = path.split(".")[0]
    assert place in problem["path"]
    assert "expected " in problem["problem"]
    assert "run vfio_migration_facts there again" in problem["problem"]
    assert len(problem["problem"]) < 500


def test_what_one_process_holds_is_limited():
    facts = host(
        [device(f"d-{n}", vm="vm", pid=7) for n in range(check.MAX_HELD)]
        + [device(f"e-{n}", vm="vm", pid=None) for n in range(check.MAX_HELD)]
    )
    assert read(facts).unknown == []
    facts["devices"][-1]["in_use"]["pid"] = 7
    fleet = read(facts)
    assert fleet.unknown == ["z"]
    assert "process 7 holds 65" in fleet.problems[0]["problem"]


def test_how_many_functions_have_one_address_is_limited():
    functions = [f"0000:{n // 32:02x}:{n % 32:02x}.1" for n in range(check.MAX_OF_ADDRESS + 1)]

    def with_address(mac):
        settings = {"parent": "0000:81:00.0", "network": {"mac": mac}}
        return host([device(each, kind="pci", **settings) for each in functions])

    # Those that have none yet are alike.
    assert read(with_address("00:00:00:00:00:00")).unknown == []
    facts = with_address("52:54:00:12:34:56")
    fleet = read(facts)
    assert fleet.unknown == ["z"]
    assert "52:54:00:12:34:56" in fleet.problems[0]["problem"]
    facts["devices"][0]["network"] = {"mac": "52:54:00:12:34:57"}
    assert read(facts).unknown == []


@pytest.mark.parametrize("name", [LONG, HALF, "x" * 900_000])
def test_the_name_that_a_guest_gives_itself_costs_no_more_than_the_name(name):
    fleet = read(changed("devices.0.in_use.name", name))
    assert fleet.unknown == []
    first, *others = fleet.hosts["z"].devices
    assert (first.in_use.pid, first.in_use.name) == (4711, None)
    assert [each.id for each in others] == [each["id"] for each in right()["devices"][1:]]
    problem = fleet.problems[0]
    assert problem["path"] == "devices[0].in_use.name"
    assert "taken for unknown" in problem["problem"]
    plan = plan_for(
        {"a": host(parents=[parent()]), "z": changed("devices.0.in_use.name", name)}, ["z"]
    )
    assert plan["placements"][0]["vm"] is None
    assert len(repr(plan)) < 20_000


@pytest.mark.parametrize(
    "damage",
    [
        {"software_version": "one"},
        {"device_api": "vhost-vdpa"},
        {"aggregator": 10**5000},
        {"aggregator": HALF},
        {1.5: "x"},
        {HALF: "x"},
        {"aggregator": ["2"]},
        {f"name{number}": "x" for number in range(65)},
    ],
    ids=lambda each: str([*each][:1]),
)
def test_what_a_driver_states_costs_no_more_than_the_device(damage):
    facts = right()
    facts["descriptors"][DESCRIPTOR]["self"] |= damage
    fleet = read(facts)
    assert fleet.unknown == []
    with_descriptor = [each.id for each in fleet.hosts["z"].devices if each.descriptor]
    assert with_descriptor == [
        each["id"] for each in right()["devices"] if each["descriptor"] != DESCRIPTOR
    ]
    assert len(fleet.problems) == 2


def test_what_nobody_looks_at_may_be_anything():
    facts = changed("devices.0.driver", {1: [HALF]})
    facts["devices"][0]["iommu_group"] = facts["devices"][0]["migration"]["state"] = [[]]
    facts["devices"][0][7] = facts["parents"][0][None] = facts[1.5] = LONGER
    assert read(facts).unknown == []
    plan = plan_for({"a": host(parents=[parent()]), "z": facts}, ["z"])
    plain = plan_for({"a": host(parents=[parent()]), "z": right()}, ["z"])
    assert plan == plain
    assert plan["relied_on"]["z"]


def test_problems_are_listed_up_to_a_number_and_a_length():
    entry = {"path": LONGER, "problem": HALF}
    fleet = read(right() | {"problems": [copy.copy(entry) for _number in range(1500)]})
    assert fleet.unknown == []
    assert len(fleet.problems) == check.MAX_PROBLEMS + 1
    assert fleet.problems[-1]["problem"] == "there are 500 more problems"
    assert len(fleet.problems[0]["path"]) == check.MAX_TEXT
    assert fleet.problems[0]["problem"] == "vm-\\udcff"


@pytest.mark.parametrize("aggregator", ["x", "0x2", "1_0", "-1", "0", "9" * 1000, "", "02"])
def test_what_is_no_number_of_instances_is_made_nowhere(aggregator):
    descriptor = gvt()
    descriptor["compatible"][0]["aggregator"] = aggregator
    fleet = {
        "a": host([device(UUIDS[0], descriptor)]),
        "b": host(parents=[parent()]),
        "c": host([device(UUIDS[1])]),
    }
    plan = plan_for(fleet, ["a", "c"])
    moved = {each["source"]["host"]: each for each in plan["placements"]}
    assert moved["c"]["target"]["host"] == "b"
    if aggregator:
        (left,) = plan["unplaced"]
        assert left["source"]["host"] == "a"
        assert "aggregator" in left["reasons"][0]["reason"]
