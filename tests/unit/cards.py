# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Facts of made-up hosts with NVIDIA cards: with mdev, and without it."""

from __future__ import annotations

import typing as t
from random import Random

from ansible_collections.vfio.migration.tests.unit.fleets import device, host

CARD, OTHER_CARD = "0000:41:00.0", "0000:81:00.0"
CURRENT = "nvidia/current_vgpu_type"

# Types of one card by their frame buffer in GiB: the name of the type, and how many the card holds.
SIZES = {48: ("nvidia-560", 1), 24: ("nvidia-559", 2), 12: ("nvidia-557", 4), 8: ("nvidia-556", 6)}


def uuid(number: int) -> str:
    return f"{number:08x}-1111-4222-8333-444444444444"


def function(card: str, number: int) -> str:
    """Return the address of a virtual function."""
    return f"{card[:-4]}{number // 8 + 1:02x}.{number % 8}"


def vgpu(
    number: int, size: int, parent: str = function(CARD, 0), **others: t.Any
) -> dict[str, t.Any]:
    """Return an mdev of a type; with ``vm`` a guest has it, which has the process ``pid`` or its own."""
    own = {
        "software_version": "550.90",
        "device_api": "vfio-pci",
        "type": SIZES[size][0],
        "pci_id": "10de2235",
    }
    others.setdefault("pid", 1000 + number)
    return device(
        uuid(number), {"self": own, "compatible": [own]}, parent=parent, attributes=[], **others
    )


def parents(
    card: str = CARD,
    number: int = 32,
    taken: t.Collection[int] = (),
    sizes: t.Iterable[int] = tuple(SIZES),
) -> list[dict[str, t.Any]]:
    """Return the functions of a card as parents; those that are ``taken`` have no instance left."""
    return [
        {
            "kind": "mdev",
            "id": function(card, each),
            "driver": "nvidia",
            "pci_id": "10de2235",
            "physical_function": card,
            "numa_node": 0,
            "types": [
                {
                    "id": name,
                    "name": f"NVIDIA A40-{size}Q",
                    "device_api": "vfio-pci",
                    "available_instances": int(each not in taken),
                    "description": f"num_heads=4, frl_config=60, framebuffer={size * 1024}M,"
                    f" max_resolution=7680x4320, max_instance={most}",
                }
                for size, (name, most) in sorted(SIZES.items())
                if size in sizes
            ],
        }
        for each in range(number)
    ]


def typed(number: int, vgpu_type: str, card: str = CARD, **others: t.Any) -> dict[str, t.Any]:
    """Return a virtual function without mdev that has a type."""
    return _function(number, card, {"name": CURRENT, "value": vgpu_type}, **others)


def typeless(
    number: int, choices: t.Mapping[str, str] | t.Sequence[str], card: str = CARD, **others: t.Any
) -> dict[str, t.Any]:
    """Return one without a type, that can be given one of ``choices``, whose names are known if it is a mapping."""
    offered: dict[str, t.Any] = {"name": CURRENT, "value": "0", "choices": [*choices]}
    if not isinstance(choices, t.Sequence):
        offered["choice_names"] = [*choices.values()]
    others.setdefault(
        "migration",
        {"supported": False, "evidence": "no type", "features": [], "state": None},
    )
    return _function(number, card, offered, **others)


def _function(
    number: int, card: str, attribute: dict[str, t.Any], **others: t.Any
) -> dict[str, t.Any]:
    own = {
        "software_version": "570.86",
        "device_api": "vfio-pci",
        "type": "pci-10de26b9-10de1851",
        "pci_id": "10de26b9",
        "driver": "nvidia",
        "current_vgpu_type": attribute["value"],
    }
    others.setdefault("pid", 2000 + number)
    return device(
        function(card, number),
        {"self": own, "compatible": [own], "origin": "derived"},
        parent=card,
        kind="pci",
        attributes=[attribute],
        driver="nvidia",
        **others,
    )


def guests(number: int, size: int) -> dict[str, t.Any]:
    """Return the facts of a host with so many guests, each with a vGPU on a function of its own."""
    devices = [
        vgpu(each, size, parent=function(CARD, each), vm=f"vm-{each}") for each in range(number)
    ]
    return host(devices, parents(number=max(number, 1), taken=range(number)))


# Types whose names tell of time slices, of MIG, of media engines that a card has once, and of nothing.
ODD_TYPES = {
    "1155": "NVIDIA L40S-8Q",
    "1157": "NVIDIA L40S-24Q",
    "1158": "NVIDIA L40S-48Q",
    "1160": "NVIDIA L40S-1-6Q",
    "1161": "NVIDIA L40S-8QME",
    "1162": "odd",
}
_ODD_DESCRIPTIONS = (None, "framebuffer=8192M", "max_instance=3", "num_heads=4, max_instance=16")


def odd_host(random: Random) -> dict[str, t.Any]:
    """Return the facts of a host whose two cards are as drivers need not have them, but facts may."""
    devices: dict[str, dict[str, t.Any]] = {}
    equipment: list[dict[str, t.Any]] = []
    for card in (CARD, OTHER_CARD):
        shape = random.choice(["mdev", "functions", "none"])
        if shape == "mdev":
            made, found = _odd_parents(random, card)
            equipment += made
        else:
            found = _odd_functions(random, card) if shape == "functions" else []
        devices |= {each["id"]: each for each in found}
    return host([*devices.values()], equipment)


def _odd_parents(
    random: Random, card: str
) -> tuple[list[dict[str, t.Any]], list[dict[str, t.Any]]]:
    """Return functions that are parents, and devices below them of more, and other, types than fit."""
    number = random.randint(1, 5)
    taken = [each for each in range(number) if random.random() < 0.5]
    sizes = random.sample(sorted(SIZES), random.randint(1, len(SIZES)))
    made = parents(card, number, taken, sizes)
    for each in made:
        if random.random() < 0.15:
            del each["physical_function"]
        for offered in each["types"]:
            if random.random() < 0.2:
                offered["description"] = random.choice(_ODD_DESCRIPTIONS)
            if random.random() < 0.2:
                offered["available_instances"] = random.randint(0, 2)
    found = [
        vgpu(
            random.randint(0, 10**6),
            random.choice(sorted(SIZES)),
            parent=function(card, each),
            **_odd_holder(random, 0.6),
        )
        for each in taken
    ]
    return made, found


def _odd_functions(random: Random, card: str) -> list[dict[str, t.Any]]:
    found = []
    for number in range(random.randint(1, 6)):
        if random.random() < 0.4:
            one = typed(number, random.choice(sorted(ODD_TYPES)), card, **_odd_holder(random, 0.6))
        else:
            chosen = random.sample(sorted(ODD_TYPES), random.randint(0, 4))
            named = {each: ODD_TYPES[each] for each in chosen}
            choices = named if random.random() < 0.7 else chosen
            one = typeless(number, choices, card, **_odd_holder(random, 0.1))
        if random.random() < 0.2:
            one["parent"] = random.choice([None, one["id"], CARD])
        found.append(one)
    return found


def _odd_holder(random: Random, likely: float) -> dict[str, t.Any]:
    number = random.randint(1, 5)
    return {"vm": f"vm-{number}", "pid": number} if random.random() < likely else {}
