# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Generated fleets: the facts of many hosts, always the same for the same size.

A GPU is a model with a release of its driver, a class one of its types with an aggregator. Classes list themselves,
others of their model, or some of another; many with a variable. A host has one GPU and devices of a few of its classes;
most are held by a guest.
"""

from __future__ import annotations

import json
import random
import typing as t

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.attributes import digest

DEVICES = 16
_GATHERED = '{"time": "2026-11-26T17:20:00Z", "boot": null}'
_SIZES = (1, 2, 4, 8)
_CLASSES_OF_A_GPU = 20
_CLASSES_OF_A_HOST = 3


def descriptors(count: int) -> list[dict[str, t.Any]]:
    """Return that many distinct descriptors."""
    chance = random.Random(count)
    return [_descriptor_of(number, count, chance) for number in range(count)]


def hosts(count: int, classes: int) -> t.Iterator[tuple[str, str]]:
    """Yield the names of that many hosts and their facts as JSON; the devices are of that many classes."""
    chance = random.Random(count)
    table = descriptors(classes)
    digests = [digest(each["self"], each["compatible"]) for each in table]
    written = {d: json.dumps({d: each})[1:-1] for d, each in zip(digests, table, strict=True)}
    for number in range(count):
        gpu = chance.randrange(0, classes, _CLASSES_OF_A_GPU)
        choices = range(gpu, min(gpu + _CLASSES_OF_A_GPU, classes))
        own = chance.sample(choices, min(_CLASSES_OF_A_HOST, len(choices)))
        # So that no class is without a device.
        own[0] = number % classes
        devices = ", ".join(
            _device(number, index, table[each], digests[each], chance)
            for index in range(DEVICES)
            for each in [own[index % len(own)]]
        )
        parents = ", ".join(_parent(address, table[own[0]], chance) for address in ("3b", "af"))
        facts = (
            f'{{"schema": 1, "gathered": {_GATHERED},'
            f' "descriptors": {{{", ".join(written[digests[each]] for each in own)}}},'
            f' "devices": [{devices}], "parents": [{parents}], "problems": []}}'
        )
        yield f"host{number:06}", facts


def _descriptor_of(number: int, count: int, chance: random.Random) -> dict[str, t.Any]:
    gpu, rest = divmod(number, _CLASSES_OF_A_GPU)
    model, minor = divmod(gpu, 2)
    own = {
        "aggregator": str(rest // len(_SIZES) + 1),
        "device_api": "vfio-pci",
        "pci_id": f"10de{model:04x}",
        "software_version": f"1.{minor}.0",
        "type": f"gpu{model}-{_SIZES[rest % len(_SIZES)]}",
    }
    templated = own | {
        "aggregator": "{size}/2",
        "software_version": f"1.{chance.randrange(2)}.0",
        "type": f"gpu{model}-{{size:int:1,2,4,8}}",
    }
    other = chance.randrange(count) // _CLASSES_OF_A_GPU // 2
    similar = own | {
        "aggregator": str(chance.randrange(1, 6)),
        "type": f"gpu{chance.choice((model, other))}-{chance.choice(_SIZES)}",
    }
    compatible = chance.choice(([own], [similar], [similar, own], [similar, templated]))
    return {"origin": "file", "self": own, "compatible": compatible}


def _device(
    host: int, index: int, descriptor: dict[str, t.Any], digest: str, chance: random.Random
) -> str:
    own = descriptor["self"]
    address = f"0000:{('3b', 'af')[index % 2]}:00.0"
    holder = "null"
    if chance.random() < 0.7:
        holder = f'{{"pid": {4000 + index // 2}, "name": "vm-{host}-{index // 2}"}}'
    return (
        f'{{"kind": "mdev", "id": "{host:08x}-dede-11e7-9180-{index:012x}", "parent": "{address}",'
        f' "type": "{own["type"]}", "descriptor": "{digest}",'
        f' "attributes": [{{"name": "intel_vgpu/aggregator", "value": "{own["aggregator"]}"}}],'
        f' "numa_node": {index % 2}, "iommu_group": {index}, "driver": "nvidia-vgpu-vfio",'
        f' "in_use": {holder}, "migration": {{"supported": true, "evidence": "debugfs",'
        f' "features": ["stop-copy", "p2p"], "state": "RUNNING"}}}}'
    )


def _parent(address: str, descriptor: dict[str, t.Any], chance: random.Random) -> str:
    own = descriptor["self"]
    gpu = own["type"].partition("-")[0]
    left = chance.choice((0, 0, 2, 8))
    types = [
        {
            "id": f"{gpu}-{size}",
            "name": f"GPU {gpu}-{size}",
            "device_api": "vfio-pci",
            "available_instances": left // size,
            "description": None,
        }
        for size in _SIZES
    ]
    return json.dumps(
        {
            "kind": "mdev",
            "id": f"0000:{address}:00.0",
            "driver": "nvidia",
            "pci_id": own["pci_id"],
            "numa_node": int(address == "af"),
            "types": types,
        }
    )
