# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Which process holds a VFIO or vDPA device: one look through the open files of all processes."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.identifiers import UUID
from ansible_collections.vfio.migration.plugins.module_utils._host.device_numbers import (
    NODES,
    OWN_NODES,
    node_numbers,
    number_behind,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import Sysfs

# The inode of the first PID namespace (PROC_PID_INIT_INO): from within another one not every process can be seen.
_FIRST_PID_NAMESPACE = "pid:[4026531836]"
# What is read of a command line, in bytes, and how long the name of a guest may be there.
_MAX_ARGUMENTS = 1 << 20
_MAX_NAME = 255


class Holders:
    """The processes that hold device nodes, by the node's path; ``complete`` says whether every process was looked at."""

    def __init__(self, found: t.Mapping[str, dict[str, t.Any]], complete: bool) -> None:
        self._found = found
        self._complete = complete

    def holder_of(self, nodes: t.Iterable[str]) -> dict[str, t.Any] | None:
        """Return ``{pid, name[, uuid]}`` of the process that holds one of a device's ``nodes``; ``None`` where it is free.

        The ``uuid`` is the guest's, where the process shows one. Pid and name are ``None`` where no holder
        was found but not every process could be looked at: unknown is not free.
        """
        for node in nodes:
            if node in self._found:
                return self._found[node]
        return None if self._complete else {"pid": None, "name": None}


def unknown() -> Holders:
    """Return the holders of a copied tree's devices, whose processes are elsewhere."""
    return Holders({}, complete=False)


def nodes(iommu_group: int | None, character_devices: t.Iterable[str]) -> list[str]:
    """Return the device nodes through which a process may hold a device: its IOMMU group's and its own."""
    paths = [OWN_NODES + name for name in character_devices]
    if iommu_group is not None:
        paths += [f"{NODES}{prefix}{iommu_group}" for prefix in ("", "noiommu-")]
    return paths


def scan(proc: str = "/proc", numbers: t.Mapping[int, str] | None = None) -> Holders:
    """Return the holders of all VFIO and vDPA device nodes; of several processes with one node the first counts.

    A process holds a node by its device number, under whatever path it has opened it. ``numbers`` are those of the nodes'
    paths, by default those that the running kernel shows. A descriptor that only names a node (``O_PATH``, as udev's while it
    sets the node's permissions) holds no device. A process without one has no say, whatever it is called.
    """
    found: dict[str, dict[str, t.Any]] = {}
    complete = os.geteuid() == 0 and _in_first_pid_namespace(proc)
    try:
        paths = node_numbers(Sysfs("/sys")) if numbers is None else numbers
    except OSError:
        # Not to know what a node is, is not to know who holds it.
        paths, complete = {}, False
    for pid in sorted(int(name) for name in os.listdir(proc) if name.isdigit()):
        try:
            open_nodes = _open_nodes(proc, pid, paths)
        except PermissionError:
            complete = False
            continue
        if open_nodes:
            holder = {"pid": pid, **_guest(f"{proc}/{pid}")}
            for path in open_nodes:
                found.setdefault(path, holder)
    return Holders(found, complete)


def _in_first_pid_namespace(proc: str) -> bool:
    try:
        return os.readlink(proc + "/self/ns/pid") == _FIRST_PID_NAMESPACE
    except FileNotFoundError:
        return True


def _open_nodes(proc: str, pid: int, paths: t.Mapping[int, str]) -> list[str]:
    """Return the path in ``/dev`` of each device node that a process has open."""
    thread, descriptors = _descriptors(f"{proc}/{pid}")
    found = []
    for descriptor in descriptors:
        try:
            path = paths.get(number_behind(f"{thread}/fd/{descriptor}") or 0)
        except OSError:
            # It is closed by now, or is a file of a user's own (FUSE) that not even root may look at; no device is there.
            continue
        if path is not None and not _only_names(thread, descriptor):
            found.append(path)
    return found


def _descriptors(process: str) -> tuple[str, list[str]]:
    """Return the directory of a thread that has open files, and their numbers; a process may end at any time."""
    descriptors = _listed(f"{process}/fd")
    if not descriptors:
        # The first thread may have ended before the others.
        for number in _listed(f"{process}/task"):
            thread = f"{process}/task/{number}"
            descriptors = _listed(f"{thread}/fd")
            if descriptors:
                return thread, descriptors
    return process, descriptors


def _listed(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except (FileNotFoundError, ProcessLookupError):
        return []


def _only_names(thread: str, number: str) -> bool:
    """Return whether a descriptor was opened with ``O_PATH``, or is closed by now."""
    try:
        lines = _read(f"{thread}/fdinfo/{number}").splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return True
    flags = next((line.split()[1] for line in lines if line.startswith("flags:")), "0")
    return bool(int(flags, 8) & os.O_PATH)


def _guest(process: str) -> dict[str, str | None]:
    """Return the guest's ``name`` from QEMU's command line, else the command's, and the guest's ``uuid`` where it has one.

    The name is ``None`` where the process is gone.
    """
    try:
        arguments = _read(process + "/cmdline", _MAX_ARGUMENTS).split("\0")
        name = _guest_name(arguments) or _read(process + "/comm").strip()
    except (FileNotFoundError, ProcessLookupError):
        return {"name": None}
    uuid = _guest_uuid(arguments)
    return {"name": name} if uuid is None else {"name": name, "uuid": uuid}


def _guest_uuid(arguments: list[str]) -> str | None:
    """Return the guest's UUID from ``-uuid``."""
    for option, value in zip(arguments, arguments[1:]):
        if option in ("-uuid", "--uuid"):
            return value.lower() if UUID.match(value.lower()) else None
    return None


def _guest_name(arguments: list[str]) -> str | None:
    """Return the guest's name from ``-name vm-17,…`` or ``-name guest=vm-17,…``, where ``,,`` stands for a comma."""
    for option, value in zip(arguments, arguments[1:]):
        if option in ("-name", "--name"):
            for field in value.replace(",,", "\0").split(","):
                key, equals, text = field.partition("=")
                if not equals or key == "guest":
                    name = (text if equals else key).replace("\0", ",")
                    return name if len(name) <= _MAX_NAME else None
    return None


def _read(path: str, limit: int = 4096) -> str:
    with open(path, "rb") as file:
        return file.read(limit).decode("utf-8", "replace")


def why_held(holder: t.Mapping[str, t.Any]) -> str:
    """Return why a device must not be touched that ``holder`` holds, or may hold."""
    if holder["pid"] is None:
        return (
            "it is unknown whether a process holds it; run as root, on the host itself and with"
            " its own /sys"
        )
    return f"process {holder['pid']} ({holder['name']}) holds it; stop that first"
