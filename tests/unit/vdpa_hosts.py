# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Made-up hosts with vDPA devices: what the kernel says of them, and the tool that creates and deletes them."""

from __future__ import annotations

import os
import shutil
import sys
import typing as t

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._change.boot_units import BootUnits
from ansible_collections.vfio.migration.plugins.module_utils._change.errors import ProvisionError
from ansible_collections.vfio.migration.plugins.module_utils._change.journal import Journal
from ansible_collections.vfio.migration.plugins.module_utils._change.plan import PRESENT
from ansible_collections.vfio.migration.plugins.module_utils._change.vdpa_apply import (
    VdpaTransaction,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.vdpa_plan import (
    VdpaHost,
    VdpaPlanner,
    validate,
)
from ansible_collections.vfio.migration.plugins.module_utils._host import vdpa
from ansible_collections.vfio.migration.plugins.module_utils._host.reading import HostReadError
from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import Sysfs
from ansible_collections.vfio.migration.plugins.module_utils._host.vdpa import (
    Bus,
    ManagementDevice,
    VdpaDevice,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.vdpa_tool import VdpaTool
from ansible_collections.vfio.migration.tests.unit.sysfs_trees import Tree, nobody

MAC = "02:00:00:12:34:56"
# What vdpasim_net of Linux 6.12 offers.
SIMULATED = 0x308830028
MAC_BIT, MTU_BIT, MQ_BIT = 1 << 5, 1 << 3, 1 << 22


def encoded(value: int, size: int) -> bytes:
    return value.to_bytes(size, sys.byteorder)


def management_device(
    name: str = "vdpasim_net", features: int | None = SIMULATED, ids: tuple[int, ...] = (1,)
) -> ManagementDevice:
    bus, slash, device = name.rpartition("/")
    answer = {2: device.encode() + b"\0", 3: encoded(sum(1 << each for each in ids), 8)}
    if slash:
        answer[1] = bus.encode() + b"\0"
    if features is not None:
        answer.update({15: encoded(5, 4), 16: encoded(features, 8)})
    return ManagementDevice.from_answer(answer)


def vdpa_device(
    name: str = "vdpa0",
    features: int | None = SIMULATED,
    negotiated: int | None = None,
    mgmtdev: str = "vdpasim_net",
    mac: str = MAC,
    mtu: int = 1500,
    max_vqp: int = 1,
) -> VdpaDevice:
    """Return a network device, of which the kernel shows what its features let it have."""
    answer = {
        2: mgmtdev.encode() + b"\0",
        4: name.encode() + b"\0",
        5: encoded(1, 4),
        8: encoded(256, 2),
    }
    configuration = {}
    if features is not None:
        configuration[20] = encoded(features, 8)
        if features & MAC_BIT:
            configuration[10] = bytes.fromhex(mac.replace(":", ""))
        if features & MTU_BIT:
            configuration[13] = encoded(mtu, 2)
        if features & MQ_BIT:
            configuration[12] = encoded(max_vqp, 2)
    if negotiated is not None:
        configuration[14] = encoded(negotiated, 8)
    return VdpaDevice.from_answers(answer, configuration)


class VdpaKernel:
    """Keeps the devices of a host in ``tree``.

    ``faults`` maps the number of a change, from 1, to what the tool says when it fails; ``odd`` to what a device has
    otherwise than it was asked for. ``calls`` are the arguments of every change.
    """

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.management_devices = [management_device()]
        self.devices: dict[str, VdpaDevice] = {}
        self.calls: list[list[str]] = []
        self.faults: dict[int, str] = {}
        self.odd: dict[int, dict[str, t.Any]] = {}
        self.beforehand: t.Callable[[], None] = lambda: None
        self.afterwards: t.Callable[[], None] = lambda: None
        self.silent = False
        # What the kernel gives no answer about that can be read.
        self.problems: list[HostReadError] = []
        # What the last call said.
        self.recovered: list[dict[str, str]] = []
        self.warnings: list[str] = []

    def put(self, device: VdpaDevice, driver: str = vdpa.USER_SPACE_DRIVER) -> None:
        """Add a device and bind it to ``driver``."""
        place = f"{vdpa.VDPA_DEVICES}/{device.name}"
        self.tree.link(f"{place}/driver", f"bus/vdpa/drivers/{driver}")
        self.tree.write(f"{place}/vhost-vdpa-{len(self.devices)}/dev", "242:0\n")
        self.devices[device.name] = device

    def ask(self, sysfs: object) -> Bus:
        if self.silent:
            raise HostReadError("/sys/bus/vdpa", "no answer")
        bus = Bus()
        bus.management_devices += self.management_devices
        bus.problems += self.problems
        unread = [os.path.basename(each.path) for each in self.problems]
        bus.devices += [each for name, each in self.devices.items() if name not in unread]
        return bus

    def run(self, arguments: list[str]) -> tuple[int, str, str]:
        """Do what the tool does."""
        self.calls.append(arguments)
        change = len(self.calls)
        self.beforehand()
        if change in self.faults:
            return 1, "", self.faults[change]
        verb, rest = arguments[1], arguments[2:]
        if verb == "add":
            self._add(dict(zip(rest[::2], rest[1::2])), self.odd.get(change, {}))
        else:
            shutil.rmtree(self.tree.root / vdpa.VDPA_DEVICES / rest[0])
            del self.devices[rest[0]]
        self.afterwards()
        return 0, "", ""

    def _add(self, asked: dict[str, str], odd: dict[str, t.Any]) -> None:
        features = int(asked.get("device_features", hex(SIMULATED)), 16)
        stated: dict[str, t.Any] = {
            "mac": asked.get("mac", "00:00:00:00:00:00"),
            "mtu": int(asked.get("mtu", 1500)),
            "max_vqp": int(asked.get("max_vqp", 1)),
        }
        self.put(
            vdpa_device(asked["name"], features, mgmtdev=asked["mgmtdev"], **{**stated, **odd})
        )


def wanted_vdpa(name="vdpa0", mgmtdev="vdpasim_net", **stated):
    """Return a device as the option ``devices`` of vdpa_device lists it."""
    blank = dict.fromkeys(("mac", "mtu", "max_vqp", "device_features", "accept"))
    return {"name": name, "mgmtdev": mgmtdev, **blank, **stated}


def vdpa_host(kernel, scan_holders=nobody):
    """Return a kernel's host as the module sees it."""
    root = kernel.tree.root
    units = BootUnits(str(root.parent / "etc/systemd/system"))
    return VdpaHost(Sysfs(str(root)), kernel.ask, scan_holders, units)


def apply_vdpa(
    kernel,
    *devices,
    state=PRESENT,
    scan_holders=nobody,
    interrupted=lambda: None,
    persistent=False,
):
    """Apply ``devices`` as the module does; return what it returns of them."""
    host = vdpa_host(kernel, scan_holders)
    with Journal(str(kernel.tree.root.parent / "run"), VdpaTransaction.undoers) as journal:
        transaction = VdpaTransaction(host, VdpaTool(kernel.run), journal, 0, interrupted)
        _plan, results = transaction.run(
            VdpaPlanner(host, persistent), validate(devices, state), state
        )
        kernel.recovered = transaction.recovered
        kernel.warnings = transaction.warnings
    return results["devices"]


def vdpa_failure(kernel, *devices, **arguments):
    """Return how the module fails."""
    with pytest.raises(ProvisionError) as caught:
        apply_vdpa(kernel, *devices, **arguments)
    return caught.value
