# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""A plan as KubeVirt needs it. Pure.

The formats are those of KubeVirt: ``VirtualMachineInstanceMigration`` with ``addedNodeSelector``, as "Live Migration" of its
user guide describes it, and the hook ``onDefineDomain`` of a sidecar with the annotation ``hooks.kubevirt.io/hookSidecars``,
as "Hook Sidecar Container" does. Which device an instance gets, the device plugin of the node decides (enhancement 109,
"Implement vGPU Enabled Live Migration").
"""

from __future__ import annotations

import json
import re
import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._executors.guests import (
    Holding,
    MovingGuest,
    Naming,
    label,
    moving_guests,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.network import given_to
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import (
    KubernetesConfigMap,
    KubernetesMetadata,
    KubevirtHook,
    KubevirtMigration,
    KubevirtMigrations,
    KubevirtMigrationSpec,
    KubevirtWave,
    Placement,
    Plan,
)

# Names of namespaces, and of what is called by them in the names of others (RFC 1123).
_NAMESPACE = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\Z")
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,229}[a-z0-9])?\Z")
_HOOK = "onDefineDomain"
_CHOOSES = (
    "the device plugin of a node gives an instance its device, and the pod can open no other: the plan's is taken where the"
    " plugin gives that one, so let it offer no others of its resource meanwhile"
)
_ABOUT_HOOKS = (
    "a hook runs in a sidecar that is in the pod from its start on: an instance that runs without the annotation is not given"
    " one by its migration; with the feature gate TargetSideMigrationHooks KubeVirt itself puts in the mdev that the plugin gave"
)
# Runs in the sidecar, with the flags that its shim documents. It changes the domain that a migration starts on the target
# alone: an instance that starts again keeps the devices that it gets. What is no address of a device that moves stays as it is:
# one of USB or SCSI has a bus, too, but no slot.
_SCRIPT = '''\
#!/usr/bin/env python3
"""Replace the assigned devices of a libvirt domain by those of a plan."""

import argparse
import json
import sys
import xml.etree.ElementTree as ET

TARGET = {target}
DEVICES = {devices}


def pci(address):
    parts = [int(address.get(name, "0"), 16) for name in ("domain", "bus", "slot", "function")]
    return "{{:04x}}:{{:02x}}:{{:02x}}.{{:x}}".format(*parts)


def replace(address):
    if address.get("uuid") in DEVICES:
        address.set("uuid", DEVICES[address.get("uuid")])
    elif address.get("slot") is not None and pci(address) in DEVICES:
        domain, bus, rest = DEVICES[pci(address)].split(":")
        slot, function = rest.split(".")
        for name, value in zip(("domain", "bus", "slot", "function"), (domain, bus, slot, function)):
            address.set(name, "0x" + value)


parser = argparse.ArgumentParser()
parser.add_argument("--vmi", required=True)
parser.add_argument("--domain", required=True)
given = parser.parse_known_args()[0]
migration = json.loads(given.vmi).get("status", {{}}).get("migrationState") or {{}}
if migration.get("targetNode") != TARGET or migration.get("completed"):
    print(given.domain)
    sys.exit()
ET.register_namespace("qemu", "http://libvirt.org/schemas/domain/qemu/1.0")
domain = ET.fromstring(given.domain)
for device in [*domain.iter("hostdev"), *domain.iter("interface")]:
    for address in device.findall("source/address"):
        replace(address)
print(ET.tostring(domain, encoding="unicode"))
'''


def naming_of(guests: t.Any, nodes: t.Any, held: t.Iterable[Holding] = ()) -> Naming:
    """Return what KubeVirt calls guests and hosts: NAMESPACE.NAME here, for its domain NAMESPACE_NAME. Raise ``FleetError``."""
    return Naming("KubeVirt", guests, nodes, _instance_of, held=held)


def _instance_of(holding: Holding) -> str | None:
    """Return the instance of a domain, which has the namespace and the name in its own."""
    namespace, separator, name = (holding["vm"] or "").partition("_")
    return f"{namespace}.{name}" if separator and namespace and name else None


def kubevirt_migrations(plan: Plan, naming: Naming) -> KubevirtMigrations:
    """Return what KubeVirt needs to carry out ``plan``; raise ``FleetError``."""
    guests, warnings = moving_guests(plan, naming)
    waves: dict[int, list[KubevirtMigration]] = {}
    hooks = []
    for guest in guests:
        why = _why_not(guest)
        if why:
            warnings.append(why)
            continue
        for each in guest.devices:
            warnings.extend(_unwritten(each))
        waves.setdefault(guest.wave, []).append(_migration(guest))
        hooks.append(_hook(guest))
    return KubevirtMigrations(
        waves=[KubevirtWave(wave=wave, migrations=each) for wave, each in sorted(waves.items())],
        hooks=hooks,
        warnings=([_CHOOSES, _ABOUT_HOOKS] if hooks else []) + warnings,
    )


def _why_not(guest: MovingGuest) -> str | None:
    namespace, _separator, name = guest.id.partition(".")
    what = f"{guest.id} on {guest.source_host} is not moved"
    if not _NAMESPACE.match(namespace) or not _NAME.match(name):
        return f"{what}: KubeVirt has an instance as namespace and name; say NAMESPACE.NAME with 'guests'"
    vdpa = [each["target"] for each in guest.devices if each["target"]["kind"] == "vdpa"]
    if vdpa:
        return f"{what}: {label(vdpa[0])}: a network binding of KubeVirt's gives vDPA devices, and no hook names them"
    return None


def _unwritten(placement: Placement) -> list[str]:
    lost = given_to(placement["target"])
    if not lost:
        return []
    return [
        (
            f"{label(placement['target'])}: KubeVirt writes no attributes, and the plan has {', '.join(lost)}; make the device"
            " before, with the playbook prepare, where the device plugin finds it"
        )
    ]


def _migration(guest: MovingGuest) -> KubevirtMigration:
    namespace, _separator, name = guest.id.partition(".")
    return KubevirtMigration(
        apiVersion="kubevirt.io/v1",
        kind="VirtualMachineInstanceMigration",
        metadata=KubernetesMetadata(generateName=f"{name}-", namespace=namespace),
        spec=KubevirtMigrationSpec(
            vmiName=name, addedNodeSelector={"kubernetes.io/hostname": guest.target_node}
        ),
    )


def _hook(guest: MovingGuest) -> KubevirtHook:
    namespace, _separator, name = guest.id.partition(".")
    devices = {each["source"]["id"]: each["target"]["id"] for each in guest.devices}
    config_map = f"{name}-vfio-devices"
    sidecar = {
        "args": ["--version", "v1alpha2"],
        "configMap": {"name": config_map, "key": _HOOK, "hookPath": f"/usr/bin/{_HOOK}"},
    }
    script = _SCRIPT.format(
        target=json.dumps(guest.target_node),
        devices=json.dumps(devices, indent=4, sort_keys=True),
    )
    return KubevirtHook(
        config_map=KubernetesConfigMap(
            apiVersion="v1",
            kind="ConfigMap",
            metadata=KubernetesMetadata(name=config_map, namespace=namespace),
            data={_HOOK: script},
        ),
        annotations={"hooks.kubevirt.io/hookSidecars": json.dumps([sidecar])},
    )
