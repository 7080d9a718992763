# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Files on the control node that actions write."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import tempfile
import typing as t

from ansible.errors import AnsibleActionFail
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.values import parsed

# What is read of a file, in bytes: some times what a plan of a million placements takes.
_MOST = 1 << 30


def absolute(path: t.Any) -> str:
    """Return a path as an option has it, from the working directory or the home on."""
    return os.path.abspath(os.path.expanduser(str(path)))


def content_of(path: str) -> str | None:
    """Return the text of the file ``path``, ``None`` where there is none; raise ``AnsibleActionFail``.

    An empty file, as a full disk or a lost host leaves it, gives an empty text, and not ``None``: what it had is not known.
    """
    try:
        return _read(path, _MOST).decode("utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise AnsibleActionFail(f"cannot read {path}: {error}") from None


def _read(path: str, most: int) -> bytes:
    """Return what is in a regular file, ``most`` bytes of it; raise ``OSError``.

    What else may stand there, such as a FIFO, would keep the reader waiting, or have no end.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with open(handle, "rb") as file:
        _check_regular(handle)
        return file.read(most)


def _check_regular(handle: int) -> None:
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        raise OSError("it is not a regular file")


def read_json(path: str) -> t.Any:
    """Return what a file has as JSON; raise ``FleetError`` where there is no such file, or no JSON in it."""
    text = content_of(path) if os.path.isfile(path) else None
    if text is None:
        raise FleetError(f"there is no file {path}")
    try:
        return parsed(text)
    except ValueError as error:
        raise FleetError(f"there is no JSON in {path}: {error}") from error


def read_format(path: str, known: int, wrong: str) -> t.Any:
    """Return the mapping that a file of the format ``known`` has as JSON, ``None`` where there is no file.

    Raise ``FleetError`` for anything else, with ``wrong`` where it is no JSON.
    """
    text = content_of(path)
    if text is None:
        return None
    try:
        if not text.strip():
            raise ValueError("it is empty")
        data = parsed(text)
    except ValueError as error:
        raise FleetError(f"{wrong}: {error}") from error
    found = data.get("format") if isinstance(data, dict) else None
    # To Python, True and 1.0 are 1 too.
    if not isinstance(found, int) or isinstance(found, bool) or found != known:
        raise FleetError(
            f"{path} has format {found!r}; expected {known}; use the version of vfio.migration that wrote it"
        )
    return data


def make_directory(path: str) -> None:
    """Make the directory ``path``, and those that it is in, unless they are there; raise ``OSError``.

    Whatever the umask, only the owner may write to one that is made, as a user who may write there can replace plans.
    """
    above = os.path.dirname(path)
    if above not in ("", path) and not os.path.isdir(above):
        make_directory(above)
    if not os.path.isdir(path):
        # Another run may be about the same.
        with contextlib.suppress(FileExistsError):
            os.mkdir(path, 0o755)


def replace(path: str, text: str, mode: int = 0o600) -> None:
    """Put ``text`` into the file ``path`` in one step; raise ``AnsibleActionFail``.

    Directories that are missing are made. Only its owner may read the file, unless ``mode`` lets others.
    """
    _replace(path, text.encode("utf-8", errors="backslashreplace"), mode)


def append(path: str, text: str) -> None:
    """Put ``text``, whole lines, at the end of the file ``path``, all of it or nothing; raise ``AnsibleActionFail``.

    Directories that are missing are made, as is the file. Only its owner may read a new one. What a writer that was
    killed has left of a line stays one of its own.
    """
    content = text.encode("utf-8", errors="backslashreplace")
    try:
        make_directory(os.path.dirname(path) or ".")
        handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK, 0o600)
        try:
            _append(handle, content)
        finally:
            os.close(handle)
    except OSError as error:
        raise AnsibleActionFail(f"cannot write {path}: {error}") from None


def _append(handle: int, content: bytes) -> None:
    _check_regular(handle)
    # Several moves end at once. Not every file system has locks.
    with contextlib.suppress(OSError):
        fcntl.flock(handle, fcntl.LOCK_EX)
    size = os.fstat(handle).st_size
    if size and os.pread(handle, 1, size - 1) != b"\n":
        content = b"\n" + content
    try:
        if os.write(handle, content) != len(content):
            raise OSError("only a part of it was written")
        os.fsync(handle)
    except OSError:
        os.ftruncate(handle, size)
        raise


def check_appending(path: str) -> str:
    """Return the text of a file, empty where there is none; raise ``AnsibleActionFail`` also where nothing could be added.

    Nothing is changed.
    """
    content = content_of(path) or ""
    place = path
    while not os.path.lexists(place):
        place = os.path.dirname(place)
    wanted = os.W_OK if place == path else os.W_OK | os.X_OK
    if place != path and not os.path.isdir(place):
        raise AnsibleActionFail(f"cannot write {path}: {place} is not a directory")
    if not os.access(place, wanted):
        raise AnsibleActionFail(f"cannot write {path}: there is no permission to write to {place}")
    return content


def replace_bytes(path: str, content: bytes) -> bool:
    """Put ``content`` into the file ``path`` in one step, unless it is there already; return whether; raise ``AnsibleActionFail``."""
    try:
        if _read(path, len(content) + 1) == content:
            return False
    except FileNotFoundError:
        pass
    except OSError as error:
        raise AnsibleActionFail(f"cannot read {path}: {error}") from None
    _replace(path, content)
    return True


def _replace(path: str, content: bytes, mode: int = 0o600) -> None:
    place = os.path.dirname(path) or "."
    try:
        make_directory(place)
        handle, name = tempfile.mkstemp(dir=place, prefix=".vfio-")
        try:
            with open(handle, "wb") as file:
                os.fchmod(file.fileno(), mode)
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, path)
        except OSError:
            os.unlink(name)
            raise
    except OSError as error:
        raise AnsibleActionFail(f"cannot write {path}: {error}") from None
