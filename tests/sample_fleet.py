# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make the sample fleet that the collection ships in ``playbooks/files/sample``.

Five made-up hosts: for each the tree that ``vfio_capture`` would fetch, and the facts. Drivers, types and files are those
of the documented ABI; hosts and guests are not those of anybody. Run ``make sample`` after a change of the facts. The
unit tests compare the files with what this makes.
"""

from __future__ import annotations

import json
import tempfile
import typing as t
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.vfio.migration.plugins.module_utils._host.capture import captured
from ansible_collections.vfio.migration.plugins.module_utils._host.facts import gather_facts
from ansible_collections.vfio.migration.plugins.module_utils._host.processes import Holders
from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import Sysfs
from ansible_collections.vfio.migration.tests.unit.sysfs_trees import Tree

PLACE = Path(__file__).resolve().parents[1] / "playbooks" / "files" / "sample"

_CARD = "devices/pci0000:3a/0000:3b:00.0"
# A vGPU type of an NVIDIA A100 with 40 GB, as its mdev type describes it.
_TYPE = "nvidia-474"
_DESCRIPTION = (
    "num_heads=1, frl_config=60, framebuffer=10240M, max_resolution=4096x2160, max_instance=4"
)
_VGPUS = 4
_PORTS = 4

# Vendor and device, and those of the subsystem.
Ids = tuple[str, str, str, str]


@dataclass(frozen=True)
class SampleHost:
    """One host: the guests on its vGPUs, under which driver, and those on the functions of its network card."""

    name: str
    driver: str = "550.90.05"
    vgpus: list[str] = field(default_factory=list)
    ports: list[str] = field(default_factory=list)
    has_gpu: bool = True


FLEET = [
    SampleHost("gpu1", vgpus=["render-1", "render-2"], ports=["render-1"]),
    SampleHost("gpu2", vgpus=["render-3", "render-4"], ports=["web-1"]),
    SampleHost("gpu3", driver="535.161.05", vgpus=["render-5"], ports=[]),
    SampleHost("net1", ports=["web-2", "web-3"], has_gpu=False),
    SampleHost("net2", has_gpu=False),
]


def _facts(sysfs: Sysfs, holders: Holders) -> dict[str, t.Any]:
    return dict(gather_facts(sysfs, lambda: holders))


def files() -> dict[str, bytes]:
    """Return the content of each file of the sample fleet, by its name."""
    made = {}
    for host in FLEET:
        with tempfile.TemporaryDirectory() as temporary:
            holders = _build(host, Tree(Path(temporary, "sys")))
            sysfs = Sysfs(str(Path(temporary, "sys")))
            made[f"{host.name}.tar.gz"] = captured(sysfs)
            facts = _facts(sysfs, holders)
            # The sample has no age.
            del facts["gathered"]
            made[f"{host.name}.json"] = (
                json.dumps(facts, indent=1, sort_keys=True) + "\n"
            ).encode()
    return made


def _build(host: SampleHost, tree: Tree) -> Holders:
    """Make a host's tree, and return who holds its devices."""
    held: dict[str, dict[str, t.Any]] = {}
    if host.has_gpu:
        _add_gpu(host, tree, held)
    _add_card(host, tree, held)
    return Holders(held, complete=True)


def _add_gpu(host: SampleHost, tree: Tree, held: dict[str, dict[str, t.Any]]) -> None:
    """Add an A100 whose virtual functions are parents of mediated devices, all of one card."""
    _add_function(tree, _CARD, ("10de", "20f1", "10de", "145f"), "nvidia")
    tree.write("bus/pci/drivers/nvidia/module/version", host.driver + "\n")
    for index in range(_VGPUS):
        ids = ("10de", "20f1", "10de", "145f")
        place = _add_virtual_function(tree, _CARD, index, 4, ids, "nvidia")
        tree.link(f"class/mdev_bus/{Path(place).name}", place)
        mdev_type = f"{place}/mdev_supported_types/{_TYPE}"
        tree.write(f"{mdev_type}/create", "", 0o200)
        taken = index < len(host.vgpus)
        for name, text in (
            ("available_instances", "0" if taken else "1"),
            ("description", _DESCRIPTION),
            ("device_api", "vfio-pci"),
            ("name", "NVIDIA A100-10C"),
        ):
            tree.write(f"{mdev_type}/{name}", text + "\n", 0o444)
        if taken:
            _add_vgpu(tree, place, 20 + index, host.vgpus[index], held)


def _add_vgpu(
    tree: Tree, parent: str, group: int, guest: str, held: dict[str, dict[str, t.Any]]
) -> None:
    name = str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{guest}.example"))
    device = f"{parent}/{name}"
    tree.write(f"{device}/remove", "", 0o200)
    tree.write(f"{device}/nvidia/vgpu_params", "disable_vnc=1\n")
    tree.link(f"{device}/mdev_type", f"{parent}/mdev_supported_types/{_TYPE}")
    tree.link(f"{device}/driver", "bus/mdev/drivers/nvidia-vgpu-vfio")
    tree.link(f"bus/mdev/devices/{name}", device)
    _add_group(tree, device, group, guest, held)


def _add_card(host: SampleHost, tree: Tree, held: dict[str, dict[str, t.Any]]) -> None:
    """Add a ConnectX-7 with virtual functions that can migrate."""
    card = "devices/pci0000:5c/0000:5d:00.0"
    _add_function(tree, card, ("15b3", "1021", "15b3", "0041"), "mlx5_core")
    for name, text in (("fw_ver", "28.39.1002"), ("board_id", "MT_0000000838")):
        tree.write(f"{card}/infiniband/mlx5_0/{name}", text + "\n", 0o444)
    for index in range(_PORTS):
        ids = ("15b3", "101e", "15b3", "0041")
        place = _add_virtual_function(tree, card, index, 2, ids, "mlx5_vfio_pci")
        guest = host.ports[index] if index < len(host.ports) else None
        _add_group(tree, place, 40 + index, guest, held)


def _add_group(
    tree: Tree, device: str, group: int, guest: str | None, held: dict[str, dict[str, t.Any]]
) -> None:
    """Put a device into an IOMMU group of its own, which a guest holds."""
    (tree.root / device / f"vfio-dev/vfio{group}").mkdir(parents=True)
    tree.link(f"{device}/iommu_group", f"kernel/iommu_groups/{group}")
    tree.link(f"kernel/iommu_groups/{group}/devices/{Path(device).name}", device)
    if guest:
        held[f"/dev/vfio/{group}"] = {"pid": 1000 + int(guest.rpartition("-")[2]), "name": guest}


def _add_virtual_function(
    tree: Tree, card: str, index: int, first: int, ids: Ids, driver: str
) -> str:
    """Add the virtual function ``index`` of a ``card``, whose ``first`` has this number; return its directory."""
    place = f"{card.rpartition('.')[0]}.{first + index}"
    _add_function(tree, place, ids, driver)
    tree.link(f"{place}/physfn", card)
    tree.link(f"{card}/virtfn{index}", place)
    return place


def _add_function(tree: Tree, place: str, ids: Ids, driver: str) -> None:
    names = ("vendor", "device", "subsystem_vendor", "subsystem_device")
    for name, text in zip(names, ids, strict=True):
        tree.write(f"{place}/{name}", f"0x{text}\n", 0o444)
    tree.write(f"{place}/revision", "0x00\n", 0o444)
    tree.write(f"{place}/numa_node", "0\n")
    tree.link(f"{place}/driver", f"bus/pci/drivers/{driver}")
    tree.link(f"bus/pci/devices/{Path(place).name}", place)


if __name__ == "__main__":
    PLACE.mkdir(parents=True, exist_ok=True)
    for file_name, content in files().items():
        (PLACE / file_name).write_bytes(content)
