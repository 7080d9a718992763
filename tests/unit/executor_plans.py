# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plans for other executors, with guests of each kind of device, and the facts that they were made of."""

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._executors.functions import Functions
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import read_fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.plan_options import plan_for
from ansible_collections.vfio.migration.tests.unit.fleets import (
    UUIDS,
    device,
    host,
    parent,
    vf,
)

SERVER = "5b8a4e1c-7d6f-4c3e-9a21-0f1e2d3c4b5a"
BOARD = "pci-15b3101e-15b30083"


def holder(name: str, uuid: str | None = None) -> dict[str, t.Any]:
    return {"pid": 4711, "name": name, **({"uuid": uuid} if uuid else {})}


def function(number: int, vm: str | None = None, **others: t.Any) -> dict[str, t.Any]:
    """Return a virtual function of a network card, whose board its type tells."""
    own = {
        "software_version": "1.0.0",
        "device_api": "vfio-pci",
        "type": BOARD,
        "pci_id": "15b3101e",
    }
    made = vf(number, vm)
    return {**made, "descriptor": {"self": own, "compatible": [own]}, "type": BOARD, **others}


def mdev_fleet(mdev: str = UUIDS[0], name: str = "web") -> dict[str, t.Any]:
    """Return a host with a guest that has an mdev, and one with room for it."""
    return {
        "a": host([device(mdev, in_use=holder(name, SERVER))], [parent()]),
        "b": host(parents=[parent()]),
    }


def function_fleet(name: str = "web") -> dict[str, t.Any]:
    """Return a host with a guest that has two functions, and one with others that are free."""
    held = {"in_use": holder(name, SERVER)}
    return {
        "a": host([function(1, iommu_group=11, **held), function(2, iommu_group=12, **held)]),
        "b": host([function(number, iommu_group=20 + number) for number in (3, 4)]),
    }


def plan_of(fleet: t.Any, **options: t.Any) -> t.Any:
    return plan_for(fleet, drain=["a"], **options)


def functions_of(fleet: t.Any) -> t.Any:
    return Functions(read_fleet(fleet))


def changed(plan: t.Any, **target: t.Any) -> t.Any:
    """Return ``plan`` with what is given in the target of every placement."""
    placements = [{**each, "target": {**each["target"], **target}} for each in plan["placements"]]
    return {**plan, "placements": placements}
