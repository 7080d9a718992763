# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Work on a host that goes on after its caller has left, and records its progress.

Each piece of work has a file in a private directory of ``/run``, with how far it has come, and at its end what came out, as
one JSON object. Who does the work holds the lock on the file (flock(2)) until the end. So a file without a lock is that of
work that has ended, or whose process was killed. The kernel frees the lock, and a boot takes the file away.

The caller may not learn that the work has begun: an answer is lost, or a connection begins the same thing once more. So a piece
of work may have an ``attempt``, a unique name. By that it is begun once, and known from what was done before under
the same name.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import time
import typing as t
from dataclasses import dataclass

from ansible_collections.vfio.migration.plugins.module_utils._change.private_directory import (
    PrivateDirectory,
)
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.errors import (
    VfioMigrationError,
)

Status = t.Dict[str, t.Any]
# What only a result has.
OUTCOME = "outcome"
_ATTEMPT = "attempt"
_SUFFIX = ".json"
_PAUSE_SECONDS = 0.5
# What is being written is read again after this long, so often.
_TORN_SECONDS = 0.02
_TORN_READS = 50
# More descriptors than a module has open.
_DESCRIPTORS = 1024


class AtWork(VfioMigrationError):
    """The work goes on already."""


@dataclass(frozen=True)
class WorkStatus:
    """What is known of a piece of work: whether it ``runs``, the last ``status`` that it recorded, and whether it was ``begun`` at all."""

    runs: bool
    status: Status
    begun: bool = True

    @property
    def ended(self) -> bool:
        """Whether there is a result, or no process that could still produce one."""
        return OUTCOME in self.status or not self.runs


_NOT_BEGUN = WorkStatus(False, {}, begun=False)


class BackgroundWork:
    """The work called ``name`` whose file is in ``directory``; the one of this ``attempt`` alone, if one is given."""

    def __init__(self, directory: PrivateDirectory, name: str, attempt: str | None = None) -> None:
        self._directory = directory
        self._file = name + _SUFFIX
        self._attempt = attempt

    def begin(self, work: t.Callable[[t.Callable[[Status], None]], Status]) -> None:
        """Run ``work`` in a process of its own. It is called with a function that records its status, and returns its result.

        Where this attempt was begun before, nothing is. Raise ``AtWork`` where another one goes on, ``OSError`` and ``HostReadError``
        as ``PrivateDirectory`` does.
        """
        descriptor = self._locked()
        if descriptor is None:
            if self._is_begun():
                return
            raise AtWork("another run is already migrating it; wait until it ends")
        try:
            if self._attempt is not None and _status_in(descriptor).get(_ATTEMPT) == self._attempt:
                # It has ended by now.
                return
            self._record(descriptor, {})
            child = os.fork()
            if child == 0:

                def record(status: Status) -> None:
                    # The work goes on even if its status cannot be written.
                    with contextlib.suppress(OSError):
                        self._record(descriptor, status)

                _detach_and_work(descriptor, lambda: work(record), self._record)
            # Where SIGCHLD is ignored, as by who began this process, the kernel has taken the child away.
            with contextlib.suppress(ChildProcessError):
                os.waitpid(child, 0)
        finally:
            os.close(descriptor)

    def _is_begun(self) -> bool:
        """Return whether it is this attempt that goes on: the process that has the lock may be just about to write that down."""
        if self._attempt is None:
            return False
        for look in range(_TORN_READS):
            if look:
                time.sleep(_TORN_SECONDS)
            if self.look().begun:
                return True
        return False

    def _record(self, descriptor: int, status: Status) -> None:
        _write(descriptor, status if self._attempt is None else {**status, _ATTEMPT: self._attempt})

    def look(self) -> WorkStatus:
        """Return what is known of the work at this moment."""
        try:
            descriptor = self._directory.open(self._file, os.O_RDONLY)
        except FileNotFoundError:
            return _NOT_BEGUN
        try:
            # In this order: work that ends in between has recorded its result before.
            runs = not _lock(descriptor, fcntl.LOCK_SH)
            status = _status_in(descriptor)
        finally:
            os.close(descriptor)
        attempt = status.pop(_ATTEMPT, None)
        return WorkStatus(runs, status) if self._attempt in (None, attempt) else _NOT_BEGUN

    def wait(self, seconds: float) -> WorkStatus:
        """Return what is known of the work when it has ended, at the latest after so many ``seconds``."""
        end = time.monotonic() + seconds
        while True:
            found = self.look()
            if found.ended or time.monotonic() >= end:
                return found
            time.sleep(_PAUSE_SECONDS)

    def _locked(self) -> int | None:
        """Return a descriptor of the file with the lock; ``None`` where another has it."""
        while True:
            descriptor = self._directory.open(self._file, os.O_RDWR | os.O_CREAT)
            if not _lock(descriptor, fcntl.LOCK_EX):
                os.close(descriptor)
                return None
            if self._is_there(descriptor):
                return descriptor
            # It was removed between the two.
            os.close(descriptor)

    def _is_there(self, descriptor: int) -> bool:
        try:
            other = self._directory.open(self._file, os.O_RDONLY)
        except FileNotFoundError:
            return False
        try:
            return os.path.sameopenfile(descriptor, other)
        finally:
            os.close(other)


def _lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _write(descriptor: int, status: Status) -> None:
    """Write a status in place of the one before, which stays where the new one finds no place; raise ``OSError``."""
    data = json.dumps(status).encode()
    before = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
    try:
        if os.pwrite(descriptor, data, 0) != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError:
        os.pwrite(descriptor, before, 0)
        os.ftruncate(descriptor, len(before))
        raise
    os.ftruncate(descriptor, len(data))


def _status_in(descriptor: int) -> Status:
    """Return the status in a file, which may be being written."""
    for _attempt in range(_TORN_READS):
        with contextlib.suppress(ValueError):
            status = json.loads(os.pread(descriptor, os.fstat(descriptor).st_size, 0) or b"{}")
            return status if isinstance(status, dict) else {}
        time.sleep(_TORN_SECONDS)
    return {}


def _detach_and_work(
    descriptor: int, work: t.Callable[[], Status], record: t.Callable[[int, Status], None]
) -> t.NoReturn:
    """Work in a session of its own, with nothing open but the file: the process that began it need not wait, and may die."""
    status = 1
    try:
        os.setsid()
        if os.fork():
            os._exit(0)
        null = os.open(os.devnull, os.O_RDWR)
        for standard in range(3):
            os.dup2(null, standard)
        os.closerange(3, descriptor)
        os.closerange(descriptor + 1, _DESCRIPTORS)
        result = work()
        try:
            record(descriptor, result)
        except OSError:
            # Only the nested values are long. Without the others its outcome would stay unknown.
            record(descriptor, {k: v for k, v in result.items() if not isinstance(v, (dict, list))})
        status = 0
    finally:
        # Nothing of the module's own end: that is its parent's.
        os._exit(status)
