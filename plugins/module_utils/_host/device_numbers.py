# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Device numbers: what a VFIO or vDPA device node is, whatever path it has and wherever it was made.

A path identifies no device. A process in a chroot has nodes of its own, and any user can make a file named as a node
is where a user and mount namespace gives them a ``/dev`` of their own. Only root of the host can make a device node.
"""

from __future__ import annotations

import functools
import os
import re
import stat
import struct
import typing as t

from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import Sysfs

NODES = "/dev/vfio/"
OWN_NODES = "/dev/vfio/devices/"
VDPA_NODE = "vhost-vdpa-"

_GROUPS = "class/vfio"
_DEVICES = "class/vfio-dev"
_VDPA_DEVICES = "bus/vdpa/devices"
_NUMBER = re.compile(rb"([0-9]{1,9}):([0-9]{1,9})\n?\Z")

# statx(2): struct statx, and what it is asked for.
_STATX_SIZE = 256
_MODE = struct.Struct("=28xH")
_RDEV = struct.Struct("=128xII")
_AT_FDCWD = -100
_AT_STATX_DONT_SYNC = 0x4000
_STATX_TYPE = 1


def node_numbers(sysfs: Sysfs, dev: str = "/dev") -> dict[int, str]:
    """Return the path that each VFIO or vDPA device node has in ``/dev``, by its device number.

    The numbers come from sysfs. Those that it lacks are taken from the nodes in ``dev``. Raises ``OSError``.
    """
    paths = dict(_shown(sysfs))
    known = set(paths.values())
    for number, path in _made(dev):
        if path not in known:
            paths.setdefault(number, path)
    return paths


def _shown(sysfs: Sysfs) -> t.Iterator[tuple[int, str]]:
    """Yield number and path of each node that sysfs shows."""
    places: list[tuple[str, tuple[str, ...]]] = []
    places += [(NODES, (_GROUPS, name)) for name in sysfs.names(_GROUPS)]
    places += [(OWN_NODES, (_DEVICES, name)) for name in sysfs.names(_DEVICES)]
    places += [
        ("/dev/", (_VDPA_DEVICES, device, name))
        for device in sysfs.names(_VDPA_DEVICES)
        for name in sysfs.names(_VDPA_DEVICES, device)
        if name.startswith(VDPA_NODE)
    ]
    for directory, place in places:
        try:
            found = _NUMBER.match(sysfs.read(*place, "dev", limit=32))
        except FileNotFoundError:
            # It went away meanwhile.
            continue
        if found:
            yield os.makedev(int(found.group(1)), int(found.group(2))), directory + place[-1]


def _made(dev: str) -> t.Iterator[tuple[int, str]]:
    """Yield number and path of each node in ``dev``."""
    for below, prefix in (("vfio/", ""), ("vfio/devices/", ""), ("", VDPA_NODE)):
        try:
            names = os.listdir(f"{dev}/{below}")
        except (FileNotFoundError, NotADirectoryError):
            continue
        for name in sorted(names):
            if name.startswith(prefix):
                number = _number_of(os.lstat(f"{dev}/{below}{name}"))
                if number is not None:
                    yield number, f"/dev/{below}{name}"


def number_behind(path: str) -> int | None:
    """Return the number of the character device that ``path`` leads to; ``None`` where it is something else.

    Asks no file server (``AT_STATX_DONT_SYNC``): a process may have files open of one that does not answer, such as a
    guest's disk on NFS, and a request to that server never returns.
    """
    statx = _statx()
    if statx is None:
        return _number_of(os.stat(path))
    data = statx(path)
    (mode,) = _MODE.unpack_from(data)
    return os.makedev(*_RDEV.unpack_from(data)) if stat.S_ISCHR(mode) else None


def _number_of(status: os.stat_result) -> int | None:
    return status.st_rdev if stat.S_ISCHR(status.st_mode) else None


@functools.lru_cache(maxsize=None)
def _statx() -> t.Callable[[str], bytes] | None:
    """Return what calls statx(2); ``None`` where there is no such call.

    It is missing in glibc before 2.28, in Python without ctypes, and where an old container's filter of system calls
    refuses what it does not know. There every file would seem to be none, and every device free.
    """
    try:
        import ctypes

        function = ctypes.CDLL(None, use_errno=True).statx
    except (ImportError, OSError, AttributeError):
        return None

    def call(path: str) -> bytes:
        buffer = ctypes.create_string_buffer(_STATX_SIZE)
        name = os.fsencode(path)
        if function(_AT_FDCWD, name, _AT_STATX_DONT_SYNC, _STATX_TYPE, buffer) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), path)
        return buffer.raw

    try:
        call("/")
    except OSError:
        return None
    return call
