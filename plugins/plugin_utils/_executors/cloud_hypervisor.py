# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""A plan as Cloud Hypervisor needs it. Pure.

The formats are those of Cloud Hypervisor's documents: ``send-migration`` and ``receive-migration`` of ``ch-remote`` in "Live
Migration", ``--device`` in "Cloud Hypervisor VFIO HOWTO", ``--vdpa`` in "Virtio Data Path Acceleration". Devices of vfio-user
(``--user-device``) are sockets, no devices of the kernel, so no plan has them.
"""

from __future__ import annotations

import re
import typing as t
from collections import Counter

from ansible_collections.vfio.migration.plugins.plugin_utils._executors.guests import (
    Holding,
    MovingGuest,
    Naming,
    label,
    moving_guests,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import (
    CloudHypervisorDevice,
    CloudHypervisorMigration,
    CloudHypervisorMigrations,
    DeviceLabel,
    Plan,
)

_SYSFS = {"mdev": "/sys/bus/mdev/devices/{}/", "pci": "/sys/bus/pci/devices/{}/"}
# What a path must not have where options are separated by commas and lists are in brackets.
_PATH = re.compile(r"/[A-Za-z0-9._/@+:-]*\Z")
# What a virtual machine calls a device; those that it has chosen itself begin with an underscore.
_DEVICE_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\Z")
_LAST_PORT = 65_535
_PLAIN = "without tls_dir the memory of the guests and the state of their devices go over the network in plain"


class Connection(t.NamedTuple):
    """How virtual machines are reached, and how they are sent.

    Each has its socket in ``sockets``. Of those that a target receives, each has a port of its own, from ``port`` on.
    ``tls_dir`` has the certificates on both hosts. ``device_ids`` has what a virtual machine calls a device by the id of
    that; ``vdpa_nodes`` the node of a vDPA device on the target, by the device's name there.
    """

    sockets: str
    port: int
    tls_dir: str | None
    device_ids: t.Mapping[str, str]
    vdpa_nodes: t.Mapping[str, str]

    def check(self) -> None:
        """Raise ``FleetError`` where a value would not be one in a command."""
        paths = [("socket_directory", self.sockets), ("tls_dir", self.tls_dir)]
        for name, path in [*paths, *(("vdpa_nodes", each) for each in self.vdpa_nodes.values())]:
            if path is not None and not _PATH.match(path):
                raise FleetError(
                    f"{name} has {path!r}; expected an absolute path without blanks, commas and brackets"
                )
        for each in self.device_ids.values():
            if not _DEVICE_ID.match(each):
                raise FleetError(f"device_ids has {each!r}; expected the ids of devices")
        if not 1 <= self.port <= _LAST_PORT:
            raise FleetError(f"port is {self.port}; expected one from 1 to {_LAST_PORT}")


def naming_of(guests: t.Any, nodes: t.Any, held: t.Iterable[Holding] = ()) -> Naming:
    """Return what Cloud Hypervisor calls guests and hosts; its processes show no names. Raise ``FleetError``."""
    return Naming("Cloud Hypervisor", guests, nodes, lambda _holding: None, held=held)


def cloud_hypervisor_migrations(
    plan: Plan, naming: Naming, connection: Connection
) -> CloudHypervisorMigrations:
    """Return what Cloud Hypervisor needs to carry out ``plan``; raise ``FleetError``."""
    connection.check()
    guests, warnings = moving_guests(plan, naming)
    migrations = []
    received: Counter[str] = Counter()
    for guest in guests:
        devices, why = _devices(guest, connection)
        if why:
            warnings.append(f"{guest.id} on {guest.source_host} is not moved: {why}")
            continue
        port = connection.port + received[guest.target_host]
        received[guest.target_host] += 1
        if port > _LAST_PORT:
            warnings.append(
                f"{guest.id} on {guest.source_host} is not moved: {guest.target_host} receives more guests than there"
                f" are ports from {connection.port} on"
            )
            continue
        warnings += [
            _about(each["target"], shown)
            for each, shown in zip(guest.devices, devices, strict=True)
            if not shown["same_path"]
        ]
        migrations.append(_migration(guest, devices, port, connection))
    plain = [_PLAIN] if migrations and connection.tls_dir is None else []
    return CloudHypervisorMigrations(migrations=migrations, warnings=plain + warnings)


def _devices(
    guest: MovingGuest, connection: Connection
) -> tuple[list[CloudHypervisorDevice], str | None]:
    """Return the devices of a guest, and why one of them keeps it where it is; ``None`` where none does."""
    found = []
    for each in guest.devices:
        source, target = each["source"], each["target"]
        id_ = connection.device_ids.get(source["id"])
        if target["kind"] == "vdpa":
            node = connection.vdpa_nodes.get(target["id"])
            if node is None:
                return [], (
                    f"{label(target)} has a node by a number of the host's; say it with 'vdpa_nodes', once the device is there"
                )
            found.append(_device("--vdpa", None, f"path={node}", id_))
        else:
            found.append(_device("--device", _path(source), _path(target), id_))
    return found, None


def _about(target: DeviceLabel, device: CloudHypervisorDevice) -> str:
    """Return what is to be done for a device that the target does not find by the path that it has on the source."""
    if device["option"] == "--vdpa":
        return (
            f"{label(target)}: the target opens the node that the guest has on the source, and no option says another one:"
            " they need the same number"
        )
    return (
        f"{label(target)} has another path than the guest's: open its node in /dev/vfio/devices on the target, and give"
        f" receive-migration vfio_fds=[{device['id'] or 'ID'}@FD] and iommufd_fd"
    )


def _device(option: str, source: str | None, target: str, id_: str | None) -> CloudHypervisorDevice:
    return CloudHypervisorDevice(
        option=option, source=source, target=target, id=id_, same_path=source == target
    )


def _path(device: DeviceLabel) -> str:
    return f"path={_SYSFS[device['kind']].format(device['id'])}"


def _migration(
    guest: MovingGuest, devices: list[CloudHypervisorDevice], port: int, connection: Connection
) -> CloudHypervisorMigration:
    socket = f"--api-socket={connection.sockets.rstrip('/')}/{guest.id}.sock"
    tls = f",tls_dir={connection.tls_dir}" if connection.tls_dir is not None else ""
    receiver = f"receiver_url=tcp:0.0.0.0:{port}{tls}"
    destination = f"destination_url=tcp:{guest.target_node}:{port}{tls}"
    return CloudHypervisorMigration(
        vm=guest.id,
        source=guest.source_node,
        target=guest.target_node,
        wave=guest.wave,
        devices=devices,
        receive=["ch-remote", socket, "receive-migration", receiver],
        send=["ch-remote", socket, "send-migration", destination],
    )
