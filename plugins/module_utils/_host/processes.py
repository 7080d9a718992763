# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Which process holds a VFIO or vDPA device: one look through the open files of all processes."""

from __future__ import annotations

import os
import typing as t

_NODES = "/dev/vfio/"
_VDPA_NODES = "/dev/vhost-vdpa-"
# What the kernel puts after the path of a file that is open and no longer there, as in a guest's own /dev.
_DELETED = " (deleted)"
# The inode of the first PID namespace (PROC_PID_INIT_INO): from within another one not every process can be seen.
_FIRST_PID_NAMESPACE = "pid:[4026531836]"


class Holders:
    """The processes that hold device nodes, by the node's path; ``complete`` says whether every process was looked at."""

    def __init__(self, found: t.Mapping[str, dict[str, t.Any]], complete: bool) -> None:
        self._found = found
        self._complete = complete

    def holder_of(self, nodes: t.Iterable[str]) -> dict[str, t.Any] | None:
        """Return ``{pid, name}`` of the process that holds one of a device's ``nodes``; ``None`` where it is free.

        Both are ``None`` where no holder was found but not every process could be looked at: unknown is not free.
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
    paths = [_NODES + "devices/" + name for name in character_devices]
    if iommu_group is not None:
        paths += [f"{_NODES}{prefix}{iommu_group}" for prefix in ("", "noiommu-")]
    return paths


def scan(proc: str = "/proc") -> Holders:
    """Return the holders of all VFIO and vDPA device nodes; of several processes with one node the first counts.

    A descriptor that only names a node (``O_PATH``, as udev's while it sets the node's permissions) holds no device.
    """
    found: dict[str, dict[str, t.Any]] = {}
    complete = os.geteuid() == 0 and _in_first_pid_namespace(proc)
    for pid in sorted(int(name) for name in os.listdir(proc) if name.isdigit()):
        try:
            open_nodes = [
                path
                for number, path in _open_files(proc, pid)
                if path.startswith((_NODES, _VDPA_NODES)) and not _only_names(proc, pid, number)
            ]
        except PermissionError:
            complete = False
            continue
        if open_nodes:
            holder = {"pid": pid, "name": _name(proc, pid)}
            for path in open_nodes:
                found.setdefault(path, holder)
    return Holders(found, complete)


def _in_first_pid_namespace(proc: str) -> bool:
    try:
        return os.readlink(proc + "/self/ns/pid") == _FIRST_PID_NAMESPACE
    except FileNotFoundError:
        return True


def _open_files(proc: str, pid: int) -> t.Iterator[tuple[str, str]]:
    """Yield each descriptor's number and the path it was opened by."""
    directory = f"{proc}/{pid}/fd/"
    # A process may end, or close a file, at any time.
    try:
        numbers = os.listdir(directory)
    except (FileNotFoundError, ProcessLookupError):
        return
    for number in numbers:
        try:
            path = os.readlink(directory + number)
        except (FileNotFoundError, ProcessLookupError):
            continue
        yield number, path[: -len(_DELETED)] if path.endswith(_DELETED) else path


def _only_names(proc: str, pid: int, number: str) -> bool:
    """Return whether a descriptor was opened with ``O_PATH``, or is closed by now."""
    try:
        lines = _read(proc, pid, "fdinfo/" + number).splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return True
    flags = next((line.split()[1] for line in lines if line.startswith("flags:")), "0")
    return bool(int(flags, 8) & os.O_PATH)


def _name(proc: str, pid: int) -> str | None:
    """Return the guest's name from QEMU's command line, else the command's; ``None`` where the process is gone."""
    try:
        return (
            _guest_name(_read(proc, pid, "cmdline").split("\0")) or _read(proc, pid, "comm").strip()
        )
    except (FileNotFoundError, ProcessLookupError):
        return None


def _guest_name(arguments: list[str]) -> str | None:
    """Return the guest's name from ``-name vm-17,…`` or ``-name guest=vm-17,…``, where ``,,`` stands for a comma."""
    for option, value in zip(arguments, arguments[1:]):
        if option in ("-name", "--name"):
            for field in value.replace(",,", "\0").split(","):
                key, equals, text = field.partition("=")
                if not equals or key == "guest":
                    return (text if equals else key).replace("\0", ",")
    return None


def _read(proc: str, pid: int, name: str) -> str:
    with open(f"{proc}/{pid}/{name}", "rb") as file:
        return file.read().decode("utf-8", "replace")


def why_held(holder: t.Mapping[str, t.Any]) -> str:
    """Return why a device must not be touched that ``holder`` holds, or may hold."""
    if holder["pid"] is None:
        return (
            "it is unknown whether a process holds it; run as root, on the host itself and with"
            " its own /sys"
        )
    return f"process {holder['pid']} ({holder['name']}) holds it; stop that first"
