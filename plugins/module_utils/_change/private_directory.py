# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""A directory where one call leaves files to another, and where no other user can write.

Its content is trusted, so before each use it is checked to have no other owner or writer: the directory, the one
that it is in, and each file. All are reached one component at a time and never through a link.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import typing as t

from ansible_collections.vfio.migration.plugins.module_utils._host.reading import HostReadError

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH
_NEW = ".new"


class PrivateDirectory:
    """The directory at ``path``, which is made, with the one that it is in, when the first file is.

    Every method raises the kernel's own ``OSError``, and ``HostReadError`` where others could have written to it.
    """

    def __init__(self, path: str) -> None:
        self._path = path

    def path(self, name: str) -> str:
        """Return the path of a file, for messages."""
        return f"{self._path}/{name}"

    def names(self) -> list[str]:
        """Return the names of the files, sorted."""
        try:
            directory = self._opened(make=False)
        except FileNotFoundError:
            return []
        try:
            return sorted(os.listdir(directory))
        finally:
            os.close(directory)

    def open(self, name: str, flags: int) -> int:
        """Open the file ``name``, or make it if ``flags`` say so, and return its descriptor."""
        if "/" in name:
            raise OSError(errno.EINVAL, "not the name of a file", self.path(name))
        directory = self._opened(make=bool(flags & os.O_CREAT))
        try:
            # A FIFO must not keep the reader waiting.
            flags |= os.O_NOFOLLOW | os.O_NONBLOCK
            descriptor = os.open(name, flags, 0o600, dir_fd=directory)
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise _unsafe(self.path(name), "a symbolic link") from None
            raise OSError(error.errno, error.strerror, self.path(name)) from None
        finally:
            os.close(directory)
        return _checked(descriptor, self.path(name), stat.S_ISREG)

    def read(self, name: str) -> bytes:
        """Return what is in the file ``name``."""
        with os.fdopen(self.open(name, os.O_RDONLY), "rb") as file:
            return file.read()

    def exists(self, name: str) -> bool:
        """Return whether there is a file ``name``."""
        return name in self.names()

    def replace(self, name: str, data: bytes, public: bool = False) -> None:
        """Let the file ``name`` have the content ``data``; a process that is stopped in between, or a loss of power, leaves it as it was.

        One that is ``public`` can be read by all.
        """
        self.remove(name + _NEW)
        descriptor = self.open(name + _NEW, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        try:
            with _naming(self.path(name + _NEW)):
                write_whole(descriptor, data)
                if public:
                    os.fchmod(descriptor, 0o644)
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self._in_directory(
            name,
            lambda directory: os.replace(
                name + _NEW, name, src_dir_fd=directory, dst_dir_fd=directory
            ),
        )

    def discard_new(self, name: str) -> None:
        """Remove what is there of a ``replace`` of the file ``name`` that was stopped in between."""
        self.remove(name + _NEW)

    @contextlib.contextmanager
    def alone(self) -> t.Iterator[None]:
        """Keep others out of what is done in ``with``; they wait as long as that takes, or until this process ends."""
        directory = self._opened(make=False)
        try:
            fcntl.flock(directory, fcntl.LOCK_EX)
            yield
        finally:
            os.close(directory)

    def link(self, name: str, target: str) -> None:
        """Make the symbolic link ``name``, for another program to follow; this class follows none."""
        directory = self._opened(make=True)
        try:
            with _naming(self.path(name)):
                os.symlink(target, name, dir_fd=directory)
        finally:
            os.close(directory)

    def remove(self, name: str) -> None:
        """Remove the file ``name`` if there is one."""
        with contextlib.suppress(FileNotFoundError):
            self._in_directory(name, lambda directory: os.unlink(name, dir_fd=directory))

    def _in_directory(self, name: str, act: t.Callable[[int], None]) -> None:
        """Act on the file ``name`` in the directory."""
        directory = self._opened(make=False)
        try:
            with _naming(self.path(name)):
                act(directory)
        finally:
            os.close(directory)

    def _opened(self, make: bool) -> int:
        """Return a descriptor of the directory, after it and the one that it is in were checked."""
        outer, name = os.path.split(self._path)
        base, outer_name = os.path.split(outer)
        if make:
            _make_all(base)
        descriptor = os.open(base, os.O_RDONLY | os.O_DIRECTORY)
        descriptor = _opened_below(descriptor, outer_name, outer, make, may_be_sticky=True)
        return _opened_below(descriptor, name, self._path, make)


def _make_all(path: str) -> None:
    """Make the directory at ``path`` and those above it that are missing, for their owner alone."""
    # makedirs would give only the last one a mode, and the others what the umask leaves of 0777.
    umask = os.umask(0o077)
    try:
        os.makedirs(path, exist_ok=True)
    finally:
        os.umask(umask)


@contextlib.contextmanager
def _naming(path: str) -> t.Iterator[None]:
    """Let an ``OSError`` have the ``path`` of what it is about: the kernel's own has a name in the directory, or none."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None


def write_whole(descriptor: int, data: bytes) -> None:
    """Write ``data`` in one piece; raise ``OSError`` where only a part was written."""
    if os.write(descriptor, data) != len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _opened_below(
    directory: int, name: str, path: str, make: bool, may_be_sticky: bool = False
) -> int:
    """Return a descriptor of the directory ``name`` in ``directory``; closes the latter.

    Where it ``may_be_sticky``, all may make something in it as in ``/tmp``, but touch nothing of others.
    """
    try:
        if make:
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=directory)
        descriptor = os.open(name, _DIRECTORY, dir_fd=directory)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise _unsafe(path, "a symbolic link, or no directory") from None
        raise OSError(error.errno, error.strerror, path) from None
    finally:
        os.close(directory)
    return _checked(descriptor, path, stat.S_ISDIR, stat.S_ISVTX if may_be_sticky else 0)


def _checked(
    descriptor: int, path: str, is_kind: t.Callable[[int], bool], harmless: int = 0
) -> int:
    """Return ``descriptor``; close it and raise ``HostReadError`` where others could have changed what it opens."""
    status = os.fstat(descriptor)
    problem = None
    if not is_kind(status.st_mode):
        problem = "no directory" if is_kind is stat.S_ISDIR else "no regular file"
    elif status.st_uid not in (0, os.geteuid()):
        problem = f"owned by user {status.st_uid}"
    elif status.st_mode & _OTHERS_MAY_WRITE and not status.st_mode & harmless:
        problem = f"writable by others (mode {stat.S_IMODE(status.st_mode):04o})"
    elif stat.S_ISREG(status.st_mode) and status.st_nlink > 1:
        problem = "a file that has other names too (hard links)"
    if problem is not None:
        os.close(descriptor)
        raise _unsafe(path, problem)
    return descriptor


def _unsafe(path: str, problem: str) -> HostReadError:
    owner = "root" if os.geteuid() == 0 else "yourself or root"
    return HostReadError(
        path,
        f"{problem}, so what it says is not believed and nothing is changed; it must be of {owner} and of mode 0700, or 0600"
        " for a file. See who made it so, and remove it",
    )
