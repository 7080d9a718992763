# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A made-up card with virtual functions, and a kernel that binds, unbinds, makes and removes them as a real one would."""

from __future__ import annotations

import errno
import json
import os
import typing as t
from pathlib import Path

from ansible_collections.vfio.migration.plugins.module_utils._change.boot_units import BootUnits
from ansible_collections.vfio.migration.plugins.module_utils._change.journal import place
from ansible_collections.vfio.migration.plugins.module_utils._change.original_state import (
    OriginalStates,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.pci_plan import PciHost
from ansible_collections.vfio.migration.plugins.module_utils._host.devlink import Port
from ansible_collections.vfio.migration.plugins.module_utils._host.processes import Holders
from ansible_collections.vfio.migration.plugins.module_utils._host.vf_network import Interface
from ansible_collections.vfio.migration.tests.unit.sysfs_trees import Kernel, Tree, nobody

CARD = "0000:01:00.0"
FIRST = "0000:01:10.0"
SECOND = "0000:01:10.2"
THIRD = "0000:01:10.4"
FUNCTIONS = [FIRST, SECOND, THIRD]

BRIDGE = "devices/pci0000:00/0000:00:1c.0"
GROUP = "kernel/iommu_groups/100"
VARIANT = "sample_vf_vfio_pci"
SELF = """\
software_version=0.1.0
device_api=vfio-pci
type=i915-GVTg_V5_8
pci_id=80865963
"""

# What a function has that nothing was set of.
UNSET = {
    "mac": "00:00:00:00:00:00",
    "vlan": 0,
    "qos": 0,
    "proto": "802.1Q",
    "spoofchk": True,
    "min_tx_rate": 0,
    "max_tx_rate": 0,
    "link_state": "auto",
}

TYPES = {"1428": "H200X-141C", "1429": "H200X-70C"}


class PciTree(Tree):
    """A host with a network card, ``CARD``, that can have 7 virtual functions."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        for driver in ("igb", "igbvf", "nvidia", "vfio-pci", VARIANT):
            for name in ("bind", "unbind"):
                self.write(f"bus/pci/drivers/{driver}/{name}", "", 0o200)
        self._add(CARD, "10c9")
        self.link(f"{BRIDGE}/{CARD}/driver", "bus/pci/drivers/igb")
        for name, value in (
            ("sriov_numvfs", 0),
            ("sriov_totalvfs", 7),
            ("sriov_offset", 128),
            ("sriov_stride", 2),
        ):
            self.write(f"{BRIDGE}/{CARD}/{name}", f"{value}\n")

    def share_group(self, *addresses: str) -> None:
        """Put devices, present and future ones, into one IOMMU group."""
        for address in addresses:
            (self.device(address) / "iommu_group").unlink(missing_ok=True)
            self.link(f"{BRIDGE}/{address}/iommu_group", GROUP)
            self.link(f"{GROUP}/devices/{address}", f"{BRIDGE}/{address}")

    def device(self, address: str) -> Path:
        return self.root / BRIDGE / address

    def driver(self, address: str) -> str | None:
        link = self.device(address) / "driver"
        return link.resolve().name if link.exists() else None

    def override(self, address: str) -> str:
        return (self.device(address) / "driver_override").read_text().strip()

    def add_functions(self, number: int, driver: str | None = "igbvf") -> None:
        """Add virtual functions ``FUNCTIONS[:number]``, bound to ``driver``."""
        for index in range(number):
            address = f"0000:01:1{index // 4}.{index % 4 * 2}"
            self._add(address, "10ca")
            self.link(f"{BRIDGE}/{address}/physfn", f"{BRIDGE}/{CARD}")
            self.link(f"{BRIDGE}/{CARD}/virtfn{index}", f"{BRIDGE}/{address}")
            if driver:
                self.bind(address, driver)
        self.write(f"{BRIDGE}/{CARD}/sriov_numvfs", f"{number}\n")

    def remove_functions(self) -> None:
        for link in sorted(self.device(CARD).glob("virtfn*")):
            address = link.resolve().name
            link.unlink()
            (self.root / "bus/pci/devices" / address).unlink()
            # Kept, so that its inode is not taken again; the kernel's are not either.
            gone = len(list(self.root.parent.glob("gone*")))
            self.device(address).rename(self.root.with_name(f"gone{gone}"))
        self.write(f"{BRIDGE}/{CARD}/sriov_numvfs", "0\n")

    def bind(self, address: str, driver: str) -> None:
        device = f"{BRIDGE}/{address}"
        self.link(f"{device}/driver", f"bus/pci/drivers/{driver}")
        if not driver.startswith("igb"):
            (self.root / device / f"vfio-dev/vfio{ord(address[-1])}").mkdir(parents=True)
        if driver == VARIANT:
            self.add_migration(device, SELF, SELF)
        if driver == "nvidia":
            self.write(f"{device}/nvidia/current_vgpu_type", "0\n")
            self.write(f"{device}/nvidia/vgpu_params", "\n")
            self.write(f"{device}/nvidia/creatable_vgpu_types", "", 0o444)
            self.offer(TYPES)

    def offer(self, types: dict[str, str]) -> None:
        """List the types that virtual functions of a GPU can have now."""
        lines = [f"{each} : NVIDIA {name}" for each, name in types.items()]
        for file in self.root.glob(f"{BRIDGE}/*/nvidia/creatable_vgpu_types"):
            file.chmod(0o644)
            file.write_text("\n".join(["ID    : vGPU Name", *lines, ""]))
            file.chmod(0o444)

    def unbind(self, address: str) -> None:
        device = self.device(address)
        (device / "driver").unlink()
        for name in ("vfio-dev", "migration", "nvidia"):
            for path in sorted((device / name).rglob("*"), reverse=True):
                path.rmdir() if path.is_dir() else path.unlink()
            if (device / name).exists():
                (device / name).rmdir()

    def add_network_interface(
        self, address: str, flags: str, mac: str = "52:54:00:00:00:02"
    ) -> None:
        self.write(f"{BRIDGE}/{address}/net/eth2/flags", f"{flags}\n")
        self.write(f"{BRIDGE}/{address}/net/eth2/address", f"{mac}\n")
        self.link("class/net/eth2", f"{BRIDGE}/{address}/net/eth2")

    def _add(self, address: str, device_id: str) -> None:
        device = f"{BRIDGE}/{address}"
        for name, value in (
            ("vendor", "0x8086"),
            ("device", f"0x{device_id}"),
            ("subsystem_vendor", "0x8086"),
            ("subsystem_device", "0x0000"),
            ("class", "0x020000"),
            ("driver_override", "(null)"),
        ):
            self.write(f"{device}/{name}", f"{value}\n")
        if not (self.root / device / "iommu_group").is_symlink():
            self.link(f"{device}/iommu_group", f"kernel/iommu_groups/{ord(address[-1])}")
        self.link(f"bus/pci/devices/{address}", device)


class PciKernel(Kernel):
    """Keeps a ``PciTree``. ``default`` is the driver that the kernel binds new virtual functions to by itself."""

    tree: PciTree

    def __init__(self, tree: PciTree, default: str | None = "igbvf") -> None:
        super().__init__(tree)
        self.default = default
        self.ports = Ports(self)
        self.network = Network(self)

    def _act(self, directory: Path, name: str, value: str) -> None:
        value = value.strip()
        if name == "sriov_numvfs":
            self._resize(int(value))
        elif name == "driver_override":
            (directory / name).write_text((value or "(null)") + "\n")
        elif name == "unbind":
            if self.tree.driver(value) != directory.name:
                raise _error(errno.ENODEV)
            self.tree.unbind(value)
        elif name == "bind":
            self._bind(value, directory.name)
        elif name == "nvidia/current_vgpu_type":
            self._set_type(directory, value)
        elif directory.name in ("devlink", "network"):
            (directory / name).write_text(value)
        else:
            (directory / name).write_text(value + "\n")

    def _resize(self, number: int) -> None:
        if number and list(self.tree.device(CARD).glob("virtfn*")):
            raise _error(errno.EBUSY)
        if number > 7:
            raise _error(errno.ERANGE)
        if number:
            self.tree.add_functions(number, self.default)
        else:
            self.tree.remove_functions()
            for address in self.network.settings:
                self.network.add(address)

    def _bind(self, address: str, driver: str) -> None:
        if self.tree.driver(address) is not None:
            raise _error(errno.EBUSY)
        override = self.tree.override(address)
        default = "igb" if address == CARD else self.default
        if driver != (default if override == "(null)" else override):
            raise _error(errno.ENODEV)
        self.tree.bind(address, driver)

    def _set_type(self, device: Path, value: str) -> None:
        file = device / "nvidia/current_vgpu_type"
        if value != "0" and file.read_text().strip() != "0":
            raise _error(errno.EPERM)
        file.write_text(value + "\n")
        (device / "nvidia/vgpu_params").write_text("\n")
        used = {
            each.read_text().strip()
            for each in device.parent.glob(f"*/{file.parent.name}/{file.name}")
        }
        # A card is divided in one way only.
        kinds = used - {"0"} or set(TYPES)
        self.tree.offer({each: name for each, name in TYPES.items() if each in kinds})


class Ports:
    """Stands for devlink; the ports of the virtual functions in ``migratable`` can be made so, or not."""

    def __init__(self, kernel: PciKernel) -> None:
        self._kernel = kernel

    @property
    def migratable(self) -> dict[str, bool]:
        files = sorted(self._kernel.tree.root.glob("devlink/*"))
        return {file.name: file.read_text() == "True" for file in files}

    def add(self, address: str, migratable: bool = False) -> None:
        self._kernel.tree.write(f"devlink/{address}", str(migratable))

    def port(self, address: str) -> Port | None:
        migratable = self.migratable.get(address)
        return None if migratable is None else Port(CARD, FUNCTIONS.index(address), migratable)

    def set_migratable(self, port: Port, migratable: bool) -> None:
        address = FUNCTIONS[port.index]
        # What a driver has seen already stays as it is.
        if self._kernel.tree.driver(address) is not None:
            raise AssertionError("a driver has it")
        self._kernel.write(str(self._kernel.tree.root / "devlink"), address, str(migratable))


class Network:
    """Stands for the card's network interface, which shows what is set of the functions that were added."""

    def __init__(self, kernel: PciKernel) -> None:
        self._kernel = kernel

    @property
    def settings(self) -> dict[str, dict[str, t.Any]]:
        files = sorted(self._kernel.tree.root.glob("network/*"))
        return {file.name: json.loads(file.read_text()) for file in files}

    def add(self, address: str) -> None:
        self._kernel.tree.write(f"network/{address}", json.dumps(UNSET))

    def interface(self, physical_function: str) -> Interface | None:
        settings = self.settings
        numbers = {address: FUNCTIONS.index(address) for address in settings}
        return Interface("eth0", 2, numbers, settings) if settings else None

    def change(self, interface: Interface, address: str, settings: dict[str, t.Any]) -> None:
        new = {**self.settings[address], **settings}
        self._kernel.write(str(self._kernel.tree.root / "network"), address, json.dumps(new))


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def pci_host(
    kernel: PciKernel,
    scan_holders: t.Callable[[], Holders] = nobody,
    is_free_disk: t.Callable[[str], bool] = lambda name: True,
) -> PciHost:
    """Return a kernel's host as the module sees it; no driver can be loaded."""
    return PciHost(
        kernel,
        scan_holders,
        is_free_disk,
        lambda driver: False,
        lambda driver: None,
        OriginalStates(place(kernel, "pci")),
        kernel.ports,
        kernel.network,
        BootUnits(str(kernel.tree.root.parent / "etc/systemd/system")),
    )
