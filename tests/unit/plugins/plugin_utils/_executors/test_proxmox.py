# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A plan for Proxmox VE, against the formats of its mappings, of a machine's configuration and of its commands."""

from __future__ import annotations

import re

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._executors.functions import Functions
from ansible_collections.vfio.migration.plugins.plugin_utils._executors.proxmox import (
    naming_of,
    proxmox_migrations,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import Fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.plan_options import plan_for
from ansible_collections.vfio.migration.tests.unit.executor_plans import (
    changed,
    function,
    function_fleet,
    functions_of,
    mdev_fleet,
    plan_of,
)
from ansible_collections.vfio.migration.tests.unit.fleets import device, host, parent

# The properties of an entry of a mapping, and of hostpci, with what each takes.
ADDRESS = "[a-f0-9]{4,}:[a-f0-9]{2}:[a-f0-9]{2}(?:\\.[a-f0-9])?"
PCI_IDS = "[0-9A-Fa-f]{4}:[0-9A-Fa-f]{4}"
ENTRY = {
    "node": "[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?",
    "id": PCI_IDS,
    "subsystem-id": PCI_IDS,
    "path": f"(?:{ADDRESS};)*{ADDRESS}",
    "iommugroup": "[0-9]+",
}
CONFIG_ID = "[A-Za-z][A-Za-z0-9_-]+"
HOSTPCI = {"mapping": CONFIG_ID, "mdev": "[^/.:]+"}
MDEV = "00000001-0000-0000-0000-000000000117"


def properties(text: str, known: dict[str, str]) -> dict[str, str]:
    """Return what a property string has, as Proxmox VE reads it."""
    found = {}
    for part in text.split(","):
        name, separator, value = part.partition("=")
        assert separator
        assert name not in found
        assert re.fullmatch(known[name], value), part
        found[name] = value
    return found


def read_mappings(text: str) -> dict[str, dict[str, list[str]]]:
    """Return the sections of pci.cfg: a line with the id, lines that begin with a tab, an empty line between two."""
    found: dict[str, dict[str, list[str]]] = {}
    for section in text.split("\n\n"):
        head, *lines = section.rstrip("\n").split("\n")
        assert re.fullmatch(CONFIG_ID, head)
        assert head not in found
        found[head] = {}
        for line in lines:
            name, value = re.fullmatch(r"\t(\S+) (.+)", line).groups()
            assert name in ("map", "mdev", "live-migration-capable", "description")
            found[head].setdefault(name, []).append(value)
    return found


def made(fleet, guests=None, plan=None, **others):
    plan = plan or plan_of(fleet)
    naming = naming_of({"web": "101"} if guests is None else guests, others.pop("nodes", None))
    return proxmox_migrations(plan, functions_of(fleet), naming, **others)


def test_a_running_machine_is_migrated_online():
    (migration,) = made(function_fleet())["migrations"]
    assert migration["command"] == ["qm", "migrate", "101", "b", "--online", "1"]
    (migration,) = made(function_fleet(), with_conntrack_state=True)["migrations"]
    assert migration["command"][-2:] == ["--with-conntrack-state", "1"]


def test_each_device_has_a_mapping_with_the_functions_of_the_plan_alone():
    result = made(function_fleet())
    found = read_mappings(result["pci_cfg"])
    assert [*found] == [each["id"] for each in result["mappings"]] == ["vfio-101-0", "vfio-101-1"]
    pairs = set()
    for section in found.values():
        assert section["live-migration-capable"] == ["1"]
        assert "mdev" not in section
        entries = {each["node"]: each for each in (properties(m, ENTRY) for m in section["map"])}
        assert {*entries} == {"a", "b"}
        pairs.add((entries["a"]["path"], entries["b"]["path"]))
        # All that Proxmox VE compares with what is there.
        assert entries["b"].keys() == {"node", "id", "path", "iommugroup", "subsystem-id"}
        assert (entries["b"]["id"], entries["b"]["subsystem-id"]) == ("15b3:101e", "15b3:0083")
        assert entries["b"]["iommugroup"] == "2" + entries["b"]["path"][-1]
    plan = plan_of(function_fleet())
    assert pairs == {(each["source"]["id"], each["target"]["id"]) for each in plan["placements"]}


def test_the_commands_say_the_same_as_the_file():
    result = made(function_fleet())
    found = read_mappings(result["pci_cfg"])
    for each in result["mappings"]:
        command = each["command"]
        assert command[:3] == ["pvesh", "create", "/cluster/mapping/pci"]
        options: dict[str, list[str]] = {}
        for name, value in zip(command[3::2], command[4::2], strict=True):
            options.setdefault(name.removeprefix("--"), []).append(value)
        assert options.pop("id") == [each["id"]]
        assert options == found[each["id"]]


def test_the_configuration_names_each_mapping():
    (migration,) = made(function_fleet())["migrations"]
    for name, value in migration["hostpci"].items():
        assert re.fullmatch("hostpci(1[0-5]|[0-9])", name)
        properties(value, HOSTPCI)
    assert [*migration["hostpci"]] == ["hostpci0", "hostpci1"]


def test_the_machine_of_an_mdev_and_its_place_are_told_by_the_mdev():
    fleet = mdev_fleet(MDEV)
    result = made(fleet, {})
    (migration,) = result["migrations"]
    assert migration["vmid"] == 117
    assert properties(migration["hostpci"]["hostpci1"], HOSTPCI)["mdev"] == "i915-GVTg_V5_4"
    section = read_mappings(result["pci_cfg"])["vfio-117-1"]
    assert section["mdev"] == ["1"]
    entries = [properties(each, ENTRY) for each in section["map"]]
    assert {each["path"] for each in entries} == {"0000:00:02.0"}


def test_devices_have_different_places_whatever_their_uuids_state():
    held = [device(MDEV, in_use={"pid": 1, "name": "web"}), function(1, "web", pid=1)]
    held[1]["in_use"] = held[0]["in_use"]
    fleet = {"a": host(held, [parent()]), "b": host([function(3)], [parent()])}
    (migration,) = made(fleet)["migrations"]
    assert sorted(migration["hostpci"]) == ["hostpci0", "hostpci1"]
    assert "mdev=" in migration["hostpci"]["hostpci1"]


def test_a_function_with_a_type_of_vgpu_is_given_by_its_type():
    fleet = function_fleet()
    given = [{"name": "nvidia/current_vgpu_type", "value": "1428"}]
    result = made(fleet, plan=changed(plan_of(fleet), attributes=given))
    (migration,) = result["migrations"]
    assert properties(migration["hostpci"]["hostpci0"], HOSTPCI)["mdev"] == "nvidia-1428"
    assert all(each["mdev"] for each in result["mappings"])
    assert not any("current_vgpu_type" in each for each in result["warnings"])


def test_what_a_mapping_cannot_say_is_said():
    warnings = made(mdev_fleet())["warnings"]
    assert any(
        "a mapping has no attributes" in each and "aggregator=2" in each for each in warnings
    )
    assert any("Proxmox VE makes the mdev itself" in each for each in warnings)
    assert any("lacks iommugroup and subsystem-id for b" in each for each in warnings)
    result = proxmox_migrations(
        plan_of(function_fleet()), Functions(Fleet()), naming_of({"web": "101"}, None)
    )
    assert any("lacks id and iommugroup and subsystem-id for a" in w for w in result["warnings"])


def test_a_node_is_called_by_the_first_part_of_the_name_of_its_host():
    fleet = {f"{name}.example.org": facts for name, facts in function_fleet().items()}
    plan = plan_for(fleet, drain=["a.example.org"])
    (migration,) = made(fleet, plan=plan)["migrations"]
    assert (migration["source"], migration["target"]) == ("a", "b")
    other = {"a.example.org": fleet["a.example.org"], "a.other": fleet["b.example.org"]}
    with pytest.raises(FleetError, match="would all be a for Proxmox VE"):
        made(other, plan=plan_for(other, drain=["a.example.org"]))


@pytest.mark.parametrize("name", ["web", "99", "1000000000", "0101"])
def test_what_is_no_number_of_a_machine_does_not_move(name):
    result = made(function_fleet(), {"web": name})
    assert result["migrations"] == result["mappings"] == []
    assert any("is called by its number" in each for each in result["warnings"])


@pytest.mark.parametrize("odd", ["x,rombar=0", "a/b", None])
def test_a_type_that_hostpci_does_not_take_keeps_the_machine(odd):
    fleet = mdev_fleet()
    result = made(fleet, plan=changed(plan_of(fleet), type=odd))
    assert result["migrations"] == []
    assert any("which Proxmox VE does not name" in each for each in result["warnings"])
