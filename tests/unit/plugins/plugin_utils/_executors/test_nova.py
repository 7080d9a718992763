# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A plan for Nova, against the formats that its configuration and its client take."""

from __future__ import annotations

import configparser
import json
import re

import jsonschema
import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._executors.functions import Functions
from ansible_collections.vfio.migration.plugins.plugin_utils._executors.nova import (
    naming_of,
    nova_migrations,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import Fleet
from ansible_collections.vfio.migration.tests.unit.executor_plans import (
    SERVER,
    changed,
    function,
    function_fleet,
    functions_of,
    holder,
    mdev_fleet,
    plan_of,
)
from ansible_collections.vfio.migration.tests.unit.fleets import UUIDS, device, gvt, host, parent

# What Nova takes as an alias, and as a specification of devices: no other keys, and ids of four hex digits.
IDS = {"type": "string", "pattern": "^[0-9a-fA-F]{4}$"}
TEXT = {"type": "string"}
ALIAS = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name", "vendor_id", "product_id"],
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 256},
        "vendor_id": IDS,
        "product_id": IDS,
        "device_type": {"enum": ["type-PCI", "type-PF", "type-VF"]},
        "resource_class": TEXT,
        "live_migratable": {"enum": ["yes", "no"]},
    },
}
SPEC = {
    "type": "object",
    "additionalProperties": False,
    "required": ["address"],
    "properties": {
        "address": {"type": "string", "pattern": r"^[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$"},
        "vendor_id": IDS,
        "product_id": IDS,
        "resource_class": TEXT,
        "managed": {"enum": ["yes", "no"]},
        "live_migratable": {"enum": ["yes", "no"]},
    },
}
RESOURCE_CLASS = re.compile("(VGPU|CUSTOM_[A-Z0-9_]+)\\Z")


class Several(dict):
    """Keeps every value of an option that is there several times, as oslo.config does of such options."""

    def __setitem__(self, key, value):
        if isinstance(value, list) and isinstance(self.get(key), list):
            self[key].extend(value)
        else:
            super().__setitem__(key, value)


class Options(configparser.RawConfigParser):
    """Keeps the case of names."""

    def optionxform(self, optionstr: str) -> str:
        return optionstr


def read(text: str) -> dict[str, dict[str, list[str]]]:
    parser = Options(dict_type=Several, strict=False)
    parser.read_string(text)
    return {
        name: {option: value.split("\n") for option, value in parser.items(name)}
        for name in parser.sections()
    }


def made(fleet, plan=None, **names):
    plan = plan or plan_of(fleet)
    return nova_migrations(plan, functions_of(fleet), naming_of(None, names.get("nodes")))


def test_a_server_is_migrated_live_to_the_host_of_the_plan():
    (migration,) = made(mdev_fleet(), nodes={"b": "compute-2"})["migrations"]
    assert (migration["server"], migration["host"]) == (SERVER, "compute-2")
    command = migration["command"]
    assert command[0] == "openstack"
    assert command[3:5] == ["server", "migrate"]
    # A host can be named for a live migration from this version on.
    assert tuple(map(int, command[2].split("."))) >= (2, 30)
    assert command[command.index("--host") + 1] == "compute-2"
    assert "--live-migration" in command
    assert command[-1] == SERVER


def test_one_type_on_a_host_is_enabled_on_all_of_its_parents():
    conf = made(mdev_fleet())["nova_conf"]
    assert {*conf} == {"a", "b"}
    for text in conf.values():
        assert read(text) == {"devices": {"enabled_mdev_types": ["i915-GVTg_V5_4"]}}


def test_several_types_on_a_host_have_their_parents_and_a_resource_class_each():
    own = {"compatible": [gvt("8", "4")["self"]]}
    small = {**gvt("8", "4"), **own}
    fleet = {
        "a": host(
            [
                device(UUIDS[0], in_use=holder("web", SERVER)),
                device(
                    UUIDS[1],
                    small,
                    in_use=holder("db", SERVER[:-1] + "b") | {"pid": 2},
                    parent="0000:00:03.0",
                ),
            ],
            [parent(), parent("0000:00:03.0")],
        ),
        "b": host(parents=[parent(), parent("0000:00:03.0")]),
    }
    plan = plan_of(fleet)
    assert len(plan["placements"]) == 2
    for each, its_parent in zip(plan["placements"], ("0000:00:02.0", "0000:00:03.0"), strict=True):
        each["target"]["parent"] = its_parent
    conf = read(made(fleet, plan)["nova_conf"]["a"])
    enabled = conf["devices"]["enabled_mdev_types"][0].split(", ")
    assert len(enabled) == 2
    for name in enabled:
        assert RESOURCE_CLASS.match(conf[f"mdev_{name}"]["mdev_class"][0])
        assert conf[f"mdev_{name}"]["device_addresses"][0] in ("0000:00:02.0", "0000:00:03.0")
    classes = {conf[f"mdev_{name}"]["mdev_class"][0] for name in enabled}
    assert len(classes) == 2


def test_a_guest_that_would_bring_a_second_type_to_a_device_stays():
    """Nova does not start with one address in two sections."""
    own = {"compatible": [gvt("8", "4")["self"]]}
    other = holder("db", SERVER[:-1] + "b") | {"pid": 2}
    small = device(UUIDS[1], {**gvt("8", "4"), **own}, in_use=other, parent="0000:00:03.0")
    fleet = {
        "a": host(
            [device(UUIDS[0], in_use=holder("web", SERVER)), small],
            [parent(), parent("0000:00:03.0")],
        ),
        "b": host(parents=[parent(), parent("0000:00:03.0")]),
    }
    plan = changed(plan_of(fleet), parent="0000:00:02.0")
    found = made(fleet, plan)
    assert len(plan["placements"]) == 2
    assert len(found["migrations"]) == 1
    (why,) = [each for each in found["warnings"] if "is not moved" in each]
    assert "0000:00:02.0 on b has the type " in why
    for text in found["nova_conf"].values():
        addresses = [
            each
            for section, options in read(text).items()
            if section.startswith("mdev_")
            for each in options["device_addresses"]
        ]
        assert len({*addresses}) == len(addresses)


def test_functions_are_handed_out_by_an_alias_that_asks_for_devices_that_migrate():
    result = made(function_fleet())
    for node, numbers in (("a", "12"), ("b", "34")):
        pci = read(result["nova_conf"][node])["pci"]
        specs, (alias,) = [*map(json.loads, pci["device_spec"])], map(json.loads, pci["alias"])
        assert [each["address"] for each in specs] == [f"0000:81:00.{n}" for n in numbers]
        for each in specs:
            jsonschema.validate(each, SPEC)
            assert each["resource_class"] == alias["resource_class"]
            # The variant driver is bound already, so libvirt is to leave it.
            assert (each["managed"], each["live_migratable"]) == ("no", "yes")
        jsonschema.validate(alias, ALIAS)
        assert RESOURCE_CLASS.match(alias["resource_class"])
        assert alias["live_migratable"] == "yes"
        assert alias["device_type"] == "type-VF"
    assert read(result["aliases"])["pci"]["alias"] == pci["alias"]


def test_functions_with_a_type_of_vgpu_have_a_class_of_their_type():
    given = [{"name": "nvidia/current_vgpu_type", "value": "1428"}]
    fleet = function_fleet()
    plan = changed(plan_of(fleet), attributes=given)
    result = made(fleet, plan)
    alias = json.loads(read(result["aliases"])["pci"]["alias"][0])
    assert alias["resource_class"] == "CUSTOM_VFIO_15B3_101E_1428"
    assert sum("Nova writes no attributes" in each for each in result["warnings"]) == 2


def test_what_nova_cannot_be_told_is_said():
    warnings = made(mdev_fleet())["warnings"]
    assert any("Nova chooses the devices on the host itself" in each for each in warnings)
    assert any("intel_vgpu/aggregator=2" in each for each in warnings)


def test_without_facts_functions_are_handed_out_and_no_alias_asks_for_them():
    result = nova_migrations(plan_of(function_fleet()), Functions(Fleet()), naming_of(None, None))
    (spec, _other) = read(result["nova_conf"]["b"])["pci"]["device_spec"]
    jsonschema.validate(json.loads(spec), SPEC)
    assert result["aliases"] == ""
    assert sum("not known without the host's facts" in each for each in result["warnings"]) == 4


def test_a_vdpa_device_is_a_port():
    fleet = function_fleet()
    plan = plan_of(fleet)
    for each in plan["placements"]:
        for end, number in (("source", 0), ("target", 1)):
            each[end] = {**each[end], "kind": "vdpa", "id": f"vdpa{number}"}
    result = made(fleet, plan)
    assert any("as ports of Neutron alone" in each for each in result["warnings"])
    assert result["nova_conf"] == {}


def test_a_server_without_a_uuid_does_not_move():
    fleet = {"a": host([function(1, "web")]), "b": host([function(3)])}
    result = made(fleet)
    assert result["migrations"] == []
    assert any("what Nova calls web is not known" in each for each in result["warnings"])


@pytest.mark.parametrize("odd", ["x]\n[DEFAULT", "a b", None, ""])
def test_a_guest_whose_type_would_be_more_than_a_name_in_the_file_stays(odd):
    result = made(mdev_fleet(), changed(plan_of(mdev_fleet()), type=odd))
    assert result["migrations"] == []
    assert result["nova_conf"] == {}
    assert [each for each in result["warnings"] if "has a type that is none" in each]


def test_all_aliases_of_one_name_are_of_one_type():
    """Nova refuses the list of all else, and some hosts have a function as one of its own."""
    fleet = {
        "a": host([function(1, "x"), function(2, "y")]),
        "b": host([function(3)]),
        "c": host([function(4)]),
    }
    for each in fleet["c"]["devices"]:
        each["parent"] = None
    for number, each in enumerate(fleet["a"]["devices"]):
        each["in_use"]["uuid"] = UUIDS[number]
    aliases = [
        json.loads(line.partition(" = ")[2])
        for line in made(fleet)["aliases"].splitlines()
        if line.startswith("alias = ")
    ]
    types = {(each["name"], each["device_type"]) for each in aliases}
    assert len(types) == len(dict(types)) == 2
