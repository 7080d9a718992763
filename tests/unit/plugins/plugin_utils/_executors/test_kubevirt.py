# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A plan for KubeVirt, against the shapes of its objects; the hook is run as its sidecar runs it."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import jsonschema
import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._executors.kubevirt import (
    kubevirt_migrations,
    naming_of,
)
from ansible_collections.vfio.migration.tests.unit.executor_plans import (
    changed,
    function_fleet,
    mdev_fleet,
    plan_of,
)
from ansible_collections.vfio.migration.tests.unit.fleets import UUIDS

LABEL = "^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$"
METADATA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "pattern": LABEL, "maxLength": 253},
        "generateName": {"type": "string", "pattern": "^[a-z0-9]([a-z0-9.-]*)$"},
        "namespace": {"type": "string", "pattern": LABEL, "maxLength": 63},
    },
    "oneOf": [{"required": ["name"]}, {"required": ["generateName"]}],
}
MIGRATION = {
    "type": "object",
    "additionalProperties": False,
    "required": ["apiVersion", "kind", "metadata", "spec"],
    "properties": {
        "apiVersion": {"const": "kubevirt.io/v1"},
        "kind": {"const": "VirtualMachineInstanceMigration"},
        "metadata": METADATA,
        "spec": {
            "type": "object",
            "additionalProperties": False,
            "required": ["vmiName"],
            "properties": {
                "vmiName": {"type": "string", "pattern": LABEL},
                "addedNodeSelector": {
                    "type": "object",
                    "additionalProperties": {"type": "string", "maxLength": 63},
                },
            },
        },
    },
}
SIDECARS = {
    "type": "array",
    "items": {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "args": {"type": "array", "items": {"type": "string"}},
            "configMap": {
                "type": "object",
                "required": ["name", "key", "hookPath"],
                "properties": {
                    "name": {"type": "string"},
                    "key": {"type": "string"},
                    "hookPath": {"enum": ["/usr/bin/onDefineDomain", "/usr/bin/preCloudInitIso"]},
                },
            },
        },
    },
}
TARGET = UUIDS[9]
MDEV = changed(plan_of(mdev_fleet(name="lab_web")), id=TARGET)
FUNCTIONS = plan_of(function_fleet("lab_web"))
DOMAIN = """<domain xmlns:qemu="http://libvirt.org/schemas/domain/qemu/1.0" type="kvm"><devices>{}</devices>
<qemu:commandline><qemu:arg value="-x"/></qemu:commandline></domain>"""
MDEV_XML = '<hostdev mode="subsystem" type="mdev"><source><address uuid="{}"/></source><address type="pci" bus="0x09"/></hostdev>'
PCI_XML = """<{0} type="pci"><source><address type="pci" domain="0x0000" bus="0x81" slot="0x00" function="0x{1}"/></source>
<address type="pci" domain="0x0000" bus="0x81" slot="0x00" function="0x1"/></{0}>"""


def made(plan, guests=None, nodes=None):
    return kubevirt_migrations(plan, naming_of(guests, nodes))


def hooked(tmp_path: Path, plan, domain: str, state: object = None) -> ET.Element:
    """Return the domain that the hook makes, run with the flags of the sidecar's shim."""
    (hook,) = made(plan)["hooks"]
    (sidecar,) = json.loads(hook["annotations"]["hooks.kubevirt.io/hookSidecars"])
    named = sidecar["configMap"]
    assert named["name"] == hook["config_map"]["metadata"]["name"]
    script = tmp_path / Path(named["hookPath"]).name
    script.write_text(hook["config_map"]["data"][named["key"]])
    state = {"targetNode": "b", "sourceNode": "a"} if state is None else state
    vmi = json.dumps({"kind": "VirtualMachineInstance", "status": {"migrationState": state}})
    run = subprocess.run(
        [sys.executable, script, "--vmi", vmi, "--domain", domain],
        check=True,
        capture_output=True,
        text=True,
    )
    return ET.fromstring(run.stdout)


def test_an_instance_is_migrated_to_the_node_of_the_plan():
    (wave,) = made(MDEV, nodes={"b": "worker-2"})["waves"]
    (migration,) = wave["migrations"]
    jsonschema.validate(migration, MIGRATION)
    assert migration["metadata"]["namespace"] == "lab"
    assert migration["spec"]["vmiName"] == "web"
    assert migration["spec"]["addedNodeSelector"] == {"kubernetes.io/hostname": "worker-2"}


def test_the_hook_is_a_config_map_that_the_annotation_names():
    (hook,) = made(MDEV)["hooks"]
    assert (hook["config_map"]["apiVersion"], hook["config_map"]["kind"]) == ("v1", "ConfigMap")
    jsonschema.validate(hook["config_map"]["metadata"], METADATA)
    jsonschema.validate(json.loads(hook["annotations"]["hooks.kubevirt.io/hookSidecars"]), SIDECARS)


def test_the_hook_puts_the_target_s_mdev_into_the_domain_and_changes_no_other(tmp_path):
    other = UUIDS[5]
    domain = DOMAIN.format(MDEV_XML.format(UUIDS[0]) + MDEV_XML.format(other))
    found = hooked(tmp_path, MDEV, domain)
    assert [e.get("uuid") for e in found.iter("address") if e.get("uuid")] == [TARGET, other]
    # What is QEMU's own keeps the namespace that libvirt reads.
    assert found.find("{http://libvirt.org/schemas/domain/qemu/1.0}commandline") is not None


def test_the_hook_replaces_functions_of_hostdevs_and_interfaces_and_not_their_place_in_the_guest(
    tmp_path,
):
    domain = DOMAIN.format(PCI_XML.format("hostdev", 1) + PCI_XML.format("interface", 2))
    found = hooked(tmp_path, FUNCTIONS, domain)
    ids = {each["source"]["id"]: each["target"]["id"] for each in FUNCTIONS["placements"]}
    addresses = [each.get("function") for each in found.findall("devices/*/source/address")]
    wanted = [ids[f"0000:81:00.{number}"][-1] for number in (1, 2)]
    assert addresses == [f"0x{number}" for number in wanted]
    assert {each.get("function") for each in found.findall("devices/*/address")} == {"0x1"}


def test_the_hook_changes_no_device_of_usb_or_scsi_whose_bus_has_the_number_of_a_pci_one(tmp_path):
    usb = '<hostdev mode="subsystem" type="usb"><source><address bus="129" device="2"/></source></hostdev>'
    scsi = """<hostdev mode="subsystem" type="scsi"><source><adapter name="scsi_host0"/>
    <address bus="81" target="0" unit="0"/></source></hostdev>"""
    hex_bus = usb.replace("129", "0x81")
    plan = changed(FUNCTIONS, id="0000:81:00.0")
    plan["placements"][0]["source"]["id"] = "0000:81:00.0"
    found = hooked(tmp_path, plan, DOMAIN.format(usb + hex_bus + scsi))
    assert [each.attrib for each in found.iter("address")] == [
        {"bus": "129", "device": "2"},
        {"bus": "0x81", "device": "2"},
        {"bus": "81", "target": "0", "unit": "0"},
    ]


@pytest.mark.parametrize("state", [{}, {"targetNode": "c"}, {"targetNode": "b", "completed": True}])
def test_the_hook_leaves_an_instance_that_starts_anew_as_it_is(tmp_path, state):
    found = hooked(tmp_path, MDEV, DOMAIN.format(MDEV_XML.format(UUIDS[0])), state)
    assert [e.get("uuid") for e in found.iter("address") if e.get("uuid")] == [UUIDS[0]]


def test_what_kubevirt_decides_itself_is_said():
    warnings = made(MDEV)["warnings"]
    assert any("device plugin of a node gives an instance its device" in each for each in warnings)
    assert any(
        "runs in a sidecar that is in the pod from its start on" in each for each in warnings
    )
    assert any("KubeVirt writes no attributes" in each for each in warnings)


@pytest.mark.parametrize("name", ["web", "Lab.web", "lab.Web", "lab_.x"])
def test_what_is_no_instance_does_not_move(name):
    result = made(MDEV, {"lab_web": name})
    assert result["waves"] == result["hooks"] == []
    assert any("say NAMESPACE.NAME with 'guests'" in each for each in result["warnings"])


def test_a_domain_without_a_namespace_is_named():
    result = made(plan_of(mdev_fleet(name="web")))
    assert result["waves"] == []
    assert any("what KubeVirt calls web is not known" in each for each in result["warnings"])
