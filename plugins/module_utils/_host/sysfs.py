# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The files of sysfs: bounded reads, listings, links and writes.

No policy: what a file means is for others to say, and every failure is the kernel's own ``OSError``.
"""

from __future__ import annotations

import errno
import os
import stat
import typing as t

FILE = "file"
DIRECTORY = "directory"
LINK = "symbolic link"
OTHER = "special file"

# A copied tree may hold a FIFO, which must not keep the reader waiting.
_READ = os.O_RDONLY | os.O_NONBLOCK


class Directory:
    """An open directory; what is below it is reached one component at a time and never through a link.

    So a name that comes from another host cannot lead out of a device's directory. Close it, or use it in ``with``.
    """

    def __init__(self, path: str, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor

    def __enter__(self) -> t.Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        os.close(self._descriptor)

    def path(self, name: str = "") -> str:
        """Return the path of ``name`` here, for messages."""
        return f"{self._path}/{name}" if name else self._path

    def entries(self) -> dict[str, str]:
        """Return what is here: name to ``FILE``, ``DIRECTORY``, ``LINK`` or ``OTHER``, sorted by name."""
        with os.scandir(self._descriptor) as found:
            return dict(sorted((entry.name, _kind(entry)) for entry in found))

    def directory(self, name: str) -> Directory:
        """Open the directory ``name``."""
        return Directory(self.path(name), self._open(name, os.O_RDONLY | os.O_DIRECTORY))

    def read(self, name: str, limit: int) -> bytes:
        """Return at most the first ``limit`` bytes of the file ``name``."""
        descriptor = self._open(name, _READ)
        try:
            return _read(descriptor, limit)
        finally:
            os.close(descriptor)

    def write(self, name: str, data: bytes) -> None:
        """Write ``data`` to the file ``name`` in one piece, as sysfs wants it."""
        descriptor = self._open(name, os.O_WRONLY)
        try:
            if os.write(descriptor, data) != len(data):
                raise OSError(errno.EIO, "only a part was taken", self.path(name))
        finally:
            os.close(descriptor)

    def inode(self) -> int:
        """Return what tells this directory from another one that had the same path."""
        return os.fstat(self._descriptor).st_ino

    def mode(self, name: str) -> int:
        """Return the permission bits of the entry ``name``."""
        _check_component(name)
        return stat.S_IMODE(os.stat(name, dir_fd=self._descriptor, follow_symlinks=False).st_mode)

    def target(self, name: str) -> str:
        """Return the last component of what the link ``name`` points to."""
        _check_component(name)
        return os.path.basename(os.readlink(name, dir_fd=self._descriptor))

    def _open(self, name: str, flags: int) -> int:
        first, slash, rest = name.partition("/")
        _check_component(first)
        if slash:
            with self.directory(first) as directory:
                return directory._open(rest, flags)
        return os.open(first, flags | os.O_NOFOLLOW, dir_fd=self._descriptor)


class Sysfs:
    """A sysfs tree: the running kernel's at ``/sys``, or a copy of one elsewhere.

    Paths given here are the kernel's own, so links in them are followed.
    """

    def __init__(self, root: str) -> None:
        self._root = root

    @property
    def live(self) -> bool:
        """Whether this is the running kernel's own tree."""
        return os.path.realpath(self._root) == "/sys"

    def path(self, *names: str) -> str:
        return "/".join((self._root, *names))

    def kernel_release(self) -> str | None:
        """Return the release of the kernel whose tree this is; ``None`` where it is not known.

        A sysfs does not have it. A captured tree has it in ``kernel/osrelease``.
        """
        if self.live:
            return os.uname().release
        try:
            return self.read("kernel", "osrelease", limit=256).decode("ascii", "replace").strip()
        except OSError:
            return None

    def exists(self, *names: str) -> bool:
        return os.path.exists(self.path(*names))

    def open(self, *names: str) -> Directory:
        """Open the directory at ``names``."""
        path = self.path(*names)
        return Directory(path, os.open(path, os.O_RDONLY | os.O_DIRECTORY))

    def names(self, *names: str) -> list[str]:
        """Return the sorted names in the directory at ``names``; none where there is no such directory."""
        try:
            return sorted(os.listdir(self.path(*names)))
        except FileNotFoundError:
            return []

    def read(self, *names: str, limit: int) -> bytes:
        """Return at most the first ``limit`` bytes of the file at ``names``."""
        descriptor = os.open(self.path(*names), _READ)
        try:
            return _read(descriptor, limit)
        finally:
            os.close(descriptor)

    def link(self, *names: str) -> str | None:
        """Return what the link at ``names`` points to; ``None`` where there is no link."""
        try:
            return os.readlink(self.path(*names))
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.EINVAL):
                return None
            raise


def words(error: OSError) -> str:
    """Return what went wrong, in words an operator can act on."""
    if error.errno in (errno.EACCES, errno.EPERM) and os.geteuid() != 0:
        return "permission denied; run as root"
    if error.errno == errno.ELOOP:
        return "a symbolic link, and links are not followed"
    text = error.strerror or str(error)
    return text[:1].lower() + text[1:]


def _check_component(name: str) -> None:
    if name in ("", ".", "..") or "/" in name:
        raise OSError(errno.EINVAL, "not the name of an entry", name)


def _kind(entry: os.DirEntry[str]) -> str:
    if entry.is_symlink():
        return LINK
    if entry.is_dir(follow_symlinks=False):
        return DIRECTORY
    return FILE if entry.is_file(follow_symlinks=False) else OTHER


def _read(descriptor: int, limit: int) -> bytes:
    # A driver may give a file of several lines piece by piece.
    pieces = []
    while limit > 0:
        piece = os.read(descriptor, limit)
        if not piece:
            break
        pieces.append(piece)
        limit -= len(piece)
    return b"".join(pieces)
