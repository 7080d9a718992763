# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Facts of made-up hosts, as ``vfio_migration_facts`` returns them."""

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.attributes import (
    digest,
    normalise,
    parse_sets,
)

# The example of the proposal of 2020-08-19.
COMPATIBLE = """
software_version=0.1.0
device_api=vfio_pci
type=i915-GVTg_V5_{val1:int:1,2,4,8}
pci_id=80865963
aggregator={val1}/2
"""

UUIDS = [f"0000000{n}-1111-4222-8333-444444444444" for n in range(10)]


def sets(text: str) -> list[dict[str, str]]:
    return [normalise(pairs) for pairs in parse_sets(text)]


def gvt_self(mdev_type: str = "4", aggregator: str = "2", **others: str) -> dict[str, str]:
    """Return the ``self`` of an i915 vGPU of type ``i915-GVTg_V5_<mdev_type>``."""
    return {
        "software_version": "0.1.0",
        "device_api": "vfio-pci",
        "type": f"i915-GVTg_V5_{mdev_type}",
        "pci_id": "80865963",
        "aggregator": aggregator,
        **others,
    }


def gvt(mdev_type: str = "4", aggregator: str = "2", **others: str) -> dict[str, t.Any]:
    return {"self": gvt_self(mdev_type, aggregator, **others), "compatible": sets(COMPATIBLE)}


def device(
    device_id: str,
    descriptor: dict[str, t.Any] | None = None,
    vm: str | None = None,
    pid: int | None = None,
    parent: str = "0000:00:02.0",
    **others: t.Any,
) -> dict[str, t.Any]:
    """Return one entry of ``devices``, with its descriptor still inside; ``host`` interns it."""
    descriptor = gvt() if descriptor is None else descriptor
    return {
        "kind": "mdev",
        "id": device_id,
        "parent": parent,
        "type": descriptor["self"].get("type"),
        "descriptor": descriptor,
        "attributes": [
            {"name": f"intel_vgpu/{name}", "value": value}
            for name, value in descriptor["self"].items()
            if name == "aggregator"
        ],
        "numa_node": 0,
        "iommu_group": 1,
        "driver": "intel_vgpu_mdev",
        "in_use": {"pid": pid or 4711, "name": vm} if vm else None,
        "migration": {"supported": None, "evidence": "unknown", "features": [], "state": None},
        **others,
    }


def parent(
    parent_id: str = "0000:00:02.0",
    pci_id: str | None = "80865963",
    available: dict[str, int] | None = None,
    driver: str = "i915",
    device_api: str = "vfio-pci",
    names: t.Mapping[str, str] | None = None,
) -> dict[str, t.Any]:
    """Return one entry of ``parents``; by default an empty i915 with room for eight of its smallest type.

    The names of its types are their ids where ``names`` has no others.
    """
    if available is None:
        available = {f"i915-GVTg_V5_{size}": size for size in (1, 2, 4, 8)}
    return {
        "kind": "mdev",
        "id": parent_id,
        "driver": driver,
        "pci_id": pci_id,
        "numa_node": 0,
        "types": [
            {
                "id": name,
                "name": (names or {}).get(name, name),
                "device_api": device_api,
                "available_instances": count,
                "description": None,
            }
            for name, count in sorted(available.items())
        ],
    }


def host(
    devices: t.Sequence[dict[str, t.Any]] = (),
    parents: t.Sequence[dict[str, t.Any]] = (),
    problems: t.Sequence[dict[str, t.Any]] = (),
) -> dict[str, t.Any]:
    """Return the facts of one host."""
    descriptors = {}
    listed = []
    for each in devices:
        descriptor = each["descriptor"]
        name = None
        if "self" in descriptor:
            name = digest(
                descriptor["self"], descriptor["compatible"], descriptor.get("configuration")
            )
            descriptors[name] = {"origin": "file", **descriptor}
        listed.append({**each, "descriptor": name})
    return {
        "schema": 1,
        "gathered": {"time": "2026-11-26T17:20:00Z", "boot": None},
        "descriptors": descriptors,
        "devices": listed,
        "parents": list(parents),
        "problems": list(problems),
    }


def vf(number: int, vm: str | None = None, kind: str = "v", **others: t.Any) -> dict[str, t.Any]:
    """Return a virtual function; those of one ``kind`` are compatible with each other, and with nothing else."""
    own = {
        "software_version": "1.0.0",
        "device_api": "vfio-pci",
        "type": kind,
        "pci_id": f"15b3{sum(map(ord, kind)):04x}",
    }
    return device(
        f"0000:81:{number // 8:02x}.{number % 8}",
        {"self": own, "compatible": [own]},
        **{
            "kind": "pci",
            "parent": "0000:81:00.0",
            "vm": vm,
            "pid": number + 1,
            "attributes": [],
            "driver": None,
            **others,
        },
    )
