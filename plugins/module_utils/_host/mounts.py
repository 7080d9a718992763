# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""On which file system a file is, and whether other hosts have that as well."""

from __future__ import annotations

import os
import re

_MOUNTS = "/proc/self/mountinfo"
_MOST = 4 << 20
# proc(5): the mount point is the fifth field; the type is the first one behind a dash.
_MOUNT = re.compile(r"^\d+ \d+ \S+ \S+ (\S+) .*? - (\S+) ", re.MULTILINE)
_OCTAL = re.compile(r"\\([0-7]{3})")
# File systems that are on one host alone. All others are shared, or it is unknown.
_LOCAL = frozenset(
    (
        *("bcachefs", "btrfs", "erofs", "ext2", "ext3", "ext4", "f2fs", "iso9660", "jfs", "nilfs2"),
        *("overlay", "ramfs", "reiserfs", "rootfs", "squashfs", "tmpfs", "vfat", "xfs", "zfs"),
    )
)
# Those for which libvirt itself takes a disk to be shared (virFileIsSharedFS).
_SHARED = frozenset(
    (
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "fuse.glusterfs",
        "gfs2",
        "gpfs",
        "nfs",
        "nfs4",
        "ocfs2",
        "smb3",
    )
)


def is_shared(path: str, mounts: str = _MOUNTS) -> bool | None:
    """Return whether other hosts can have the file at ``path`` as well, ``None`` where its file system does not show it."""
    kind = file_system_of(path, mounts)
    if kind in _LOCAL:
        return False
    return True if kind in _SHARED else None


def file_system_of(path: str, mounts: str = _MOUNTS) -> str | None:
    """Return the type of the file system that the file at ``path`` is on, ``None`` where that cannot be found out."""
    try:
        with open(mounts, encoding="utf-8", errors="surrogateescape") as file:
            text = file.read(_MOST)
    except OSError:
        return None
    real = os.path.realpath(path)
    best: tuple[int, str] | None = None
    for escaped, kind in _MOUNT.findall(text):
        point = _OCTAL.sub(lambda found: chr(int(found[1], 8)), escaped)
        below = point == "/" or real == point or real.startswith(f"{point}/")
        # What was mounted last lies over what was mounted there before.
        if below and (best is None or len(point) >= best[0]):
            best = (len(point), kind)
    return best[1] if best else None
