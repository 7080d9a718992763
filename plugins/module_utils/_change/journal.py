# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What keeps two calls on one host apart, and what a killed call leaves to the next one.

In a directory that is root's alone, ``NAME.lock`` stands for something that one call at a time works on, such as a
parent of mediated devices. The kernel drops the lock (flock) when the process ends, whatever ends it. While a call
changes something, its locks' files name it, and ``CALL.journal`` says what must be undone if it does not come to its
end: a line of JSON for each change, written before the change is made. To remove the journal is to complete the call,
all at once; a lock that still names it then means nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:  # pragma: no cover
    import typing as t

    from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import Sysfs

_LOCK = ".lock"
_JOURNAL = ".journal"
_MAX_CALL = 64


def place(sysfs: Sysfs, kind: str) -> str:
    """The directory for one kind of devices, in ``/run`` for those in ``/sys``.

    Not in ``/run/lock``, where every user may write.
    """
    run = os.path.join(os.path.dirname(os.path.realpath(sysfs.path())), "run")
    return os.path.join(run, "vfio.migration", kind)


class Change:
    """Something done to a device that is one of lock ``name``'s.

    ``change`` is for people. ``undo`` is a verb and its arguments, plain data that outlives the process; ``None``: it
    cannot be undone.
    """

    def __init__(
        self, name: str, device: str, change: str, undo: t.Sequence[t.Any] | None = None
    ) -> None:
        self.name = name
        self.device = device
        self.change = change
        self.undo = undo


class Journal:
    """One call's locks and changes. Use it in ``with``: at the end of that it is complete, and the locks are dropped."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._call = f"{os.getpid()}-{time.monotonic_ns()}"
        self._locks: dict[str, int] = {}
        # Open from the first change on, and how long the journal was before the last one.
        self._descriptor: int | None = None
        self._length = 0

    def __enter__(self) -> t.Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._complete()
        for descriptor in self._locks.values():
            os.close(descriptor)
        self._locks.clear()

    # Locks.

    @property
    def descriptors(self) -> list[int]:
        """Of the locks. A child that inherits them keeps other calls waiting until it has ended too."""
        return list(self._locks.values())

    def holds(self, name: str) -> bool:
        return name in self._locks

    def lock(self, name: str) -> bool:
        """Takes the lock ``name`` and returns true, or false while another call has it."""
        os.makedirs(self._directory, 0o700, exist_ok=True)
        descriptor = os.open(self._path(name, _LOCK), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._locks[name] = descriptor
        return True

    def locker(self, name: str) -> str | None:
        """The process id of the call that is changing something under the lock ``name``, if one is."""
        return self._named(name).partition("-")[0] or None

    # What killed calls left.

    def lock_abandoned(self) -> list[str]:
        """Takes the locks under which a call was killed while it changed something, and returns their names."""
        taken = []
        for name in self._names(_LOCK):
            if self._abandoned(name) and self.lock(name):
                # It may have been taken care of before the lock was free.
                if self._abandoned(name):
                    taken.append(name)
                else:
                    self.unlock(name)
        return taken

    def orphaned(self) -> list[str]:
        """The locks of killed calls, whether a child that outlives them still keeps them or not."""
        return [
            name
            for name in self._names(_LOCK)
            if self._abandoned(name) and not os.path.exists(f"/proc/{self.locker(name)}")
        ]

    def unlock(self, name: str) -> None:
        os.close(self._locks.pop(name))

    def abandoned(self, name: str) -> list[Change]:
        """What a killed call did under the lock ``name``, the last change first; this call must have the lock."""
        try:
            with open(self._path(self._named(name), _JOURNAL), "rb") as file:
                lines = file.read().split(b"\n")
        except FileNotFoundError:
            return []
        # The last piece is empty, or a line that was not written in full and so announces nothing that was done.
        changes = [Change(**json.loads(line)) for line in lines[:-1]]
        return [change for change in reversed(changes) if change.name == name]

    def settle(self, name: str) -> None:
        """Forgets what was ``abandoned`` under the lock ``name``, and its call's journal when no other lock names it."""
        call = self._named(name)
        if not call:
            return
        os.ftruncate(self._locks[name], 0)
        if all(self._named(other) != call for other in self._names(_LOCK)):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path(call, _JOURNAL))

    # What this call does.

    def note(self, change: Change) -> None:
        """Notes a change that is about to be made."""
        if self._descriptor is None:
            # In this order, so that a journal is never without a lock that names it.
            for descriptor in self._locks.values():
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, self._call.encode("ascii"), 0)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
            self._descriptor = os.open(self._path(self._call, _JOURNAL), flags, 0o600)
        self._length = os.fstat(self._descriptor).st_size
        os.write(self._descriptor, json.dumps(vars(change)).encode("ascii") + b"\n")

    def withdraw(self) -> None:
        """Withdraws the last change, which was not made after all."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, self._length)

    def _complete(self) -> None:
        if self._descriptor is None:
            return
        os.unlink(self._path(self._call, _JOURNAL))
        os.close(self._descriptor)
        self._descriptor = None
        for descriptor in self._locks.values():
            os.ftruncate(descriptor, 0)

    # Files.

    def _abandoned(self, name: str) -> bool:
        call = self._named(name)
        return bool(call) and os.path.exists(self._path(call, _JOURNAL))

    def _named(self, name: str) -> str:
        """The call that the lock ``name`` names; empty where it names none."""
        try:
            with open(self._path(name, _LOCK), "rb") as file:
                return file.read(_MAX_CALL).decode("ascii")
        except FileNotFoundError:
            return ""

    def _names(self, ending: str) -> list[str]:
        try:
            files = os.listdir(self._directory)
        except FileNotFoundError:
            return []
        return sorted(file[: -len(ending)] for file in files if file.endswith(ending))

    def _path(self, name: str, ending: str) -> str:
        return f"{self._directory}/{name}{ending}"
