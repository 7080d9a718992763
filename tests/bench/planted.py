# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fleets of which it is known that every guest has a place.

Full hosts of two parents with eight units each and up to eight free virtual functions (VFs) are cut into guests of
one to four mediated devices and up to four VFs; further hosts that are empty set the use. Parents of three of the
six families make one type at a time, those of the other three (i915) share in proportion, and their guests may go to
the family that follows as well.
"""

from __future__ import annotations

import functools
import random
import typing as t
from collections import Counter, defaultdict

FAMILIES = 6
PARENTS = ("0000:02:00.0", "0000:03:00.0")
UNITS = 8
SIZES = (1, 2, 4, 8)
MOST_VFS = 8
GUESTS_PER_SOURCE = 8
SEED = 20200819

Facts = dict[str, t.Any]


def planted(
    count: int, use: float, short: bool = False, seed: int = SEED
) -> tuple[Facts, list[str]]:
    """Return the facts of a fleet in which each of so many guests has a place, and the hosts to drain.

    ``use`` is the share of the targets that is needed; with ``short`` one VF of family 0 too few is there.
    """
    chance = random.Random(seed)
    guests: dict[int, list[tuple[list[int], int]]] = defaultdict(list)
    targets: list[tuple[int, int]] = []
    made = 0
    while made < count:
        family, vfs, cut = _full_host(chance)
        for sizes, functions in cut[: count - made]:
            # For the shortage to be of one, no VF of another family may take one away.
            moved = family % 2 == 0 and not short and chance.random() < 0.3
            guests[(family - 1) % FAMILIES if moved else family].append((sizes, functions))
        targets.append((family, vfs))
        made += len(cut)
    targets += [
        (chance.randrange(FAMILIES), chance.randint(0, MOST_VFS))
        for _empty in range(round(len(targets) / use) - len(targets))
    ]
    if short:
        needed = sum(functions for sizes, functions in guests[0])
        targets = _with_vfs(targets, 0, needed - 1)
    chance.shuffle(targets)
    facts: Facts = {f"target{n:05}": _target(*each) for n, each in enumerate(targets)}
    number = 0
    for family, of_family in sorted(guests.items()):
        chance.shuffle(of_family)
        for start in range(0, len(of_family), GUESTS_PER_SOURCE):
            together = of_family[start : start + GUESTS_PER_SOURCE]
            facts[f"source{number:05}"] = _source(family, number, together)
            number += 1
    return facts, [name for name in facts if name.startswith("source")]


def carried_out(facts: Facts, plan: t.Mapping[str, t.Any]) -> Facts:
    """Return the same fleet once the targets of ``plan`` are made."""
    after = dict(facts)
    made: dict[str, list[dict[str, t.Any]]] = defaultdict(list)
    for placement in plan["placements"]:
        if placement["target"]["create"]:
            made[placement["target"]["host"]].append(placement["target"])
    for host, targets in made.items():
        before = facts[host]
        devices = list(before["devices"])
        taken: dict[str, dict[str, int]] = defaultdict(dict)
        for target in targets:
            family, size = map(int, target["type"].removeprefix("family").split("-"))
            entry = _entry(family, size, len(devices), 0, None)
            devices.append(entry | {"id": target["id"], "parent": target["parent"]})
            of_parent = taken[target["parent"]]
            of_parent[target["type"]] = of_parent.get(target["type"], 0) + size
        parents = [_left_of(each, taken[each["id"]]) for each in before["parents"]]
        after[host] = _facts(family, devices, parents)
    return after


def _left_of(parent: dict[str, t.Any], taken: dict[str, int]) -> dict[str, t.Any]:
    """Return a parent of which devices of these types take so many units."""
    units = UNITS - sum(taken.values())
    one_type = taken and parent["driver"] != "i915"
    types = []
    for each in parent["types"]:
        left = units // (UNITS // each["available_instances"])
        if one_type and each["id"] not in taken:
            left = 0
        types.append(each | {"available_instances": left})
    return parent | {"types": types}


def _full_host(chance: random.Random) -> tuple[int, int, list[tuple[list[int], int]]]:
    """Draw a full host: its family, its VFs, and its guests as the sizes of their devices and the number of their VFs."""
    family = chance.randrange(FAMILIES)
    sizes: list[int] = []
    for _parent in PARENTS:
        left = UNITS
        size = chance.choice(SIZES)
        while left:
            if family % 2:
                size = chance.choice([each for each in SIZES if each <= left])
            sizes.append(size)
            left -= size
    chance.shuffle(sizes)
    cut = []
    while sizes:
        count = chance.randint(1, 4)
        cut.append(sizes[:count])
        sizes = sizes[count:]
    functions = Counter(chance.choices(range(len(cut)), k=chance.randint(0, MOST_VFS)))
    guests = [(each, min(4, functions[n])) for n, each in enumerate(cut)]
    return family, sum(vfs for each, vfs in guests), guests


def _with_vfs(targets: list[tuple[int, int]], family: int, count: int) -> list[tuple[int, int]]:
    """Return the same hosts, where the last ones of each family have lost so many VFs that ``count`` are left."""
    result = []
    for of, vfs in targets:
        kept = min(vfs, count) if of == family else vfs
        count -= kept if of == family else 0
        result.append((of, kept))
    return result


def _attributes(family: int, size: int | None) -> dict[str, str]:
    """Return ``self`` of a device of a family: of a size, or a VF."""
    return {
        "software_version": "1.0.0",
        "device_api": "vfio-pci",
        "type": f"vf{family}" if size is None else f"family{family}-{size}",
        "pci_id": f"{'1af4' if size is None else '8086'}{family:04x}",
    }


def _descriptor(family: int, size: int | None) -> dict[str, t.Any]:
    families = [family, (family + 1) % FAMILIES] if family % 2 else [family]
    return {
        "origin": "file",
        "self": _attributes(family, size),
        "compatible": [_attributes(each, size) for each in families],
    }


def _entry(
    family: int, size: int | None, index: int, number: int, holder: dict[str, t.Any] | None
) -> dict[str, t.Any]:
    """Return one device; ``index`` is its place on the host, and ``number`` the host's."""
    mdev = size is not None
    attributes = _attributes(family, size)
    return {
        "kind": "mdev" if mdev else "pci",
        "id": f"{number:08x}-{index:04x}-4000-8000-000000000000"
        if mdev
        else f"0000:81:{1 + index // 8:02x}.{index % 8}",
        "parent": PARENTS[0] if mdev else "0000:81:00.0",
        "type": attributes["type"],
        "descriptor": attributes["type"],
        "attributes": [],
        "numa_node": 0,
        "iommu_group": index,
        "driver": None,
        "in_use": holder,
        "migration": {"supported": True, "features": [], "state": None},
    }


def _parent(parent_id: str, family: int, used: bool = False) -> dict[str, t.Any]:
    return {
        "kind": "mdev",
        "id": parent_id,
        "driver": "i915" if family % 2 else "nvidia",
        "pci_id": _attributes(family, 1)["pci_id"],
        "numa_node": 0,
        "types": [
            {
                "id": _attributes(family, size)["type"],
                "name": None,
                "device_api": "vfio-pci",
                "available_instances": 0 if used else UNITS // size,
                "description": None,
            }
            for size in SIZES
        ],
    }


def _facts(
    family: int, devices: list[dict[str, t.Any]], parents: list[dict[str, t.Any]]
) -> dict[str, t.Any]:
    there = {device["descriptor"] for device in devices}
    return {
        "schema": 1,
        "gathered": {"time": "2026-11-26T17:20:00Z", "boot": None},
        "descriptors": {
            name: _descriptor(family, size)
            for size in (*SIZES, None)
            if (name := _attributes(family, size)["type"]) in there
        },
        "devices": devices,
        "parents": parents,
        "problems": [],
    }


@functools.cache
def _target(family: int, vfs: int) -> dict[str, t.Any]:
    """Return a host with nothing in use. Hosts that are alike are one object, as facts name nothing but what they have."""
    devices = [_entry(family, None, index, 0, None) for index in range(vfs)]
    return _facts(family, devices, [_parent(each, family) for each in PARENTS])


def _source(family: int, number: int, guests: list[tuple[list[int], int]]) -> dict[str, t.Any]:
    devices: list[dict[str, t.Any]] = []
    for pid, (sizes, functions) in enumerate(guests, 1000):
        holder = {"pid": pid, "name": f"vm-{number}-{pid}"}
        for size in [*sizes, *[None] * functions]:
            devices.append(_entry(family, size, len(devices), number, holder))
    return _facts(family, devices, [_parent(PARENTS[0], family, used=True)])
