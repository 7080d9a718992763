# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The files of sysfs: bounded reads, listings, links and writes.

No policy: what a file means is for others to say, and every failure is an ``OSError`` with the path, as the kernel's own.
Nothing but regular files and directories is ever opened: to open a device or a FIFO may have effects, or never end. A
tree that is a copy comes from another host and is not trusted, so no link in it is followed out of it.
"""

from __future__ import annotations

import errno
import os
import stat
import typing as t

# Where devices are.
MDEV_DEVICES = "bus/mdev/devices"
MDEV_PARENTS = "class/mdev_bus"
MDEV_TYPES = "mdev_supported_types"
PCI_DEVICES = "bus/pci/devices"

FILE = "file"
DIRECTORY = "directory"
LINK = "symbolic link"
OTHER = "special file"

_READ = os.O_RDONLY | os.O_NONBLOCK
# Names a file without opening it.
_NAME = os.O_PATH | os.O_NOFOLLOW
# As many as the kernel follows (MAXSYMLINKS).
_MAX_LINKS = 40


class Directory:
    """An open directory; what is below it is reached one component at a time and never through a link.

    So a name that comes from another host cannot lead out of a device's directory. Close it, or use it in ``with``.
    """

    def __init__(self, path: str, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor

    def __enter__(self) -> Directory:
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

    def pieces(self, name: str) -> Pieces:
        """Open the file ``name`` to be read here and there. Use it in ``with``."""
        return Pieces(self._open(name, _READ))

    def size(self, name: str) -> int:
        """Return how large the entry ``name`` says that it is."""
        _check_component(name)
        return os.stat(name, dir_fd=self._descriptor, follow_symlinks=False).st_size

    def write(self, name: str, data: bytes) -> None:
        """Write ``data`` to the file ``name`` in one piece, as sysfs wants it."""
        descriptor = self._open(name, os.O_WRONLY)
        try:
            if os.write(descriptor, data) != len(data):
                raise OSError(errno.EIO, "only a part was taken", self.path(name))
        finally:
            os.close(descriptor)

    def inode(self) -> int:
        """Return the inode number, which distinguishes this directory from an earlier one of the same path."""
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
        with _failing_at(self.path(name)):
            return _opened(os.open(first, _NAME, dir_fd=self._descriptor), flags)


class Pieces:
    """An open file of which some pieces are read."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __enter__(self) -> Pieces:
        return self

    def __exit__(self, *exception: object) -> None:
        os.close(self._descriptor)

    def read(self, offset: int, size: int) -> bytes:
        """Return at most ``size`` bytes from ``offset`` on."""
        return os.pread(self._descriptor, size, offset)


def why_not_live(root: str) -> str | None:
    """Return why a module that asks the running kernel, not a tree, cannot work with the tree at ``root``; ``None`` for ``/sys``."""
    if os.path.normpath(root) == "/sys":
        return None
    return f"sysfs is {root!r}, and this module asks the running host itself; expected '/sys', or leave it out"


class Sysfs:
    """A sysfs tree: the running kernel's at ``/sys``, or a copy of one elsewhere.

    Links are followed. In a copy they are followed as if its root were ``/``, one component at a time, so that no link and
    no ``..`` leads out of it.
    """

    def __init__(self, root: str) -> None:
        self._root = root
        self._live = os.path.realpath(root) == "/sys"

    @property
    def live(self) -> bool:
        """Whether this is the running kernel's own tree."""
        return self._live

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
        try:
            os.close(self._named(names))
        except OSError:
            return False
        return True

    def open(self, *names: str) -> Directory:
        """Open the directory at ``names``."""
        return Directory(self.path(*names), self._open(names, os.O_RDONLY | os.O_DIRECTORY))

    def names(self, *names: str) -> list[str]:
        """Return the sorted names in the directory at ``names``; none where there is no such directory."""
        try:
            with self.open(*names) as directory:
                return list(directory.entries())
        except FileNotFoundError:
            return []

    def mode(self, *names: str) -> int:
        """Return type and permission bits of what is at ``names``, be it a link."""
        descriptor = self._named(names, follow=False)
        try:
            return os.fstat(descriptor).st_mode
        finally:
            os.close(descriptor)

    def real(self, *names: str) -> str:
        """Return where ``names`` lead to: a path below the root, without links."""
        path = _path_of(self._named(names))
        return os.path.relpath(path, _path_of(self._named(())))

    def read(self, *names: str, limit: int) -> bytes:
        """Return at most the first ``limit`` bytes of the file at ``names``."""
        descriptor = self._open(names, _READ)
        try:
            return _read(descriptor, limit)
        finally:
            os.close(descriptor)

    def link(self, *names: str) -> str | None:
        """Return what the link at ``names`` points to; ``None`` where there is no link."""
        try:
            descriptor = self._named(names, follow=False)
        except FileNotFoundError:
            return None
        try:
            return _link_target(descriptor)
        finally:
            os.close(descriptor)

    def _open(self, names: t.Iterable[str], flags: int) -> int:
        descriptor = self._named(names)
        with _failing_at(self.path(*names)):
            return _opened(descriptor, flags)

    def _named(self, names: t.Iterable[str], follow: bool = True) -> int:
        """Return a descriptor that names what is at ``names``; where it is a link, what that leads to if ``follow``."""
        path = self.path(*names)
        with _failing_at(path):
            if self.live:
                return os.open(path, os.O_PATH if follow else _NAME)
            return _named_in(self._root, "/".join(names), follow)


class _failing_at:  # noqa: N801 - read as a statement, like contextlib.suppress
    """Context manager that gives an ``OSError`` the path that was asked for."""

    __slots__ = ("_path",)

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            raise OSError(error.errno, error.strerror, self._path) from None


def words(error: OSError) -> str:
    """Return what went wrong, in words an operator can act on."""
    if error.errno in (errno.EACCES, errno.EPERM) and os.geteuid() != 0:
        return "permission denied; run as root"
    if error.errno == errno.ELOOP:
        return "a symbolic link, and links are not followed"
    text = error.strerror or str(error)
    return text[:1].lower() + text[1:]


def _named_in(root: str, path: str, follow: bool) -> int:
    """Return a descriptor that names what is at ``path`` if ``root`` is ``/``, as ``openat2`` does with RESOLVE_IN_ROOT.

    That call is missing before Linux 5.6, and in Python.
    """
    remaining = path.split("/")[::-1]
    # Those that ".." leads back through.
    opened = [os.open(root, os.O_PATH | os.O_DIRECTORY)]
    links = 0
    try:
        while remaining:
            name = remaining.pop()
            if name == "..":
                for descriptor in opened[1:][-1:]:
                    os.close(descriptor)
                    opened.pop()
            elif name not in ("", "."):
                # Fails where the last one is no directory.
                opened.append(os.open(name, _NAME, dir_fd=opened[-1]))
                target = _link_target(opened[-1]) if remaining or follow else None
                if target is not None:
                    links += 1
                    if links > _MAX_LINKS:
                        raise OSError(errno.EMLINK, "symbolic links that lead to no end")
                    kept = 1 if target.startswith("/") else len(opened) - 1
                    while len(opened) > kept:
                        os.close(opened.pop())
                    remaining += target.split("/")[::-1]
        return opened.pop()
    finally:
        for descriptor in opened:
            os.close(descriptor)


def _link_target(descriptor: int) -> str | None:
    """Return what the link that ``descriptor`` names points to; ``None`` where it is no link."""
    if not stat.S_ISLNK(os.fstat(descriptor).st_mode):
        return None
    return os.readlink("", dir_fd=descriptor)


def _opened(descriptor: int, flags: int) -> int:
    """Return a descriptor that opens the file or directory that ``descriptor`` names; closes the latter."""
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISLNK(mode):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise OSError(errno.EINVAL, "a special file, which no sysfs has; none is opened")
        return os.open(f"/proc/self/fd/{descriptor}", flags)
    finally:
        os.close(descriptor)


def _path_of(descriptor: int) -> str:
    """Return the path of what ``descriptor`` names; closes it."""
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


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
