# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What keeps two calls on one host apart, and what a killed call leaves to the next one.

In a directory that only root can enter, ``NAME.lock`` stands for something that one call at a time works on, such as a
parent of mediated devices. The kernel drops the lock (flock) when the process ends, whatever ends it. While a call
changes something, the files of its locks name the call, and ``CALL.journal`` says what must be undone if the call does
not end. The journal has a line for each step, written before the step is made. To remove the journal is to
complete the call, all at once; a lock that still names it then means nothing. Of a killed call, the steps that cannot be
undone stay in the journal, which is then replaced by a shorter one.

A line is a JSON object: ``format``, ``lock``, ``device``, ``change`` (for people) and ``undo``. That is ``null`` or
``{"operation": <name>, "arguments": {<name>: <value>}}``.
"""

from __future__ import annotations

import dataclasses
import fcntl
import hashlib
import os
import re
import time
import typing as t

from ansible_collections.vfio.migration.plugins.module_utils._change.private_directory import (
    PrivateDirectory,
    write_whole,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.records import (
    Record,
    RecordError,
    decode,
    encode,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.reading import (
    HostReadError,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import Sysfs

# Count it up when a line, or the arguments of an operation, change their names, types or meaning.
FORMAT = 1

_LOCK = ".lock"
_JOURNAL = ".journal"
_CALL = re.compile(r"[0-9]+-[0-9]+\Z")
_MAX_CALL = 64
_BY_HAND = "undo by hand what the file lists"


def place(sysfs: Sysfs, kind: str) -> str:
    """Return the directory for one kind of devices: in ``/run`` for those in ``/sys``, in the caller's home for a copy's.

    It is not in ``/run/lock``, where every user may write, and never beside a copy, where the user who made that may have put
    something. Raises ``HostReadError`` where there is no home.
    """
    if sysfs.live:
        return f"/run/vfio.migration/{kind}"
    home = os.environ.get("XDG_STATE_HOME", "")
    if not os.path.isabs(home):
        home = os.path.expanduser("~/.local/state")
    if not os.path.isabs(home):
        raise HostReadError(
            home, "there is no home for the locks of a copied tree; set XDG_STATE_HOME to a path"
        )
    root = os.path.realpath(sysfs.path())
    status = os.stat(root)
    # Another copy at the same path is another tree.
    tree = hashlib.sha256(f"{root}\0{status.st_dev}\0{status.st_ino}".encode("utf-8", "replace"))
    return f"{home}/vfio.migration/{tree.hexdigest()[:16]}-{kind}"


@dataclasses.dataclass
class Operation(Record):
    """What undoes a step: its name, ``operation``, and its arguments, which are the fields of the subclass."""

    operation: t.ClassVar[str]

    def by_hand(self, step: Step, path: str) -> str:
        """Return what a person does in place of the operation; ``path`` is the directory of the step's device."""
        raise NotImplementedError


@dataclasses.dataclass
class Step:
    """Something done to a device that belongs to ``lock``.

    ``change`` is for people. ``undo`` is ``None`` where the step cannot be undone.
    """

    lock: str
    device: str
    change: str
    undo: Operation | None = None


@dataclasses.dataclass
class _Undo(Record):
    operation: str
    arguments: dict[str, t.Any]


@dataclasses.dataclass
class _Line(Record):
    lock: str
    device: str
    change: str
    undo: _Undo | None


class Journal:
    """One call's locks and steps. Use it in ``with``: at the end it is complete, and the locks are dropped.

    ``operations`` are those that the journals in the directory may name.
    """

    def __init__(self, directory: str, operations: t.Iterable[type[Operation]] = ()) -> None:
        self._directory = PrivateDirectory(directory)
        self._operations = {each.operation: each for each in operations}
        self._call = f"{os.getpid()}-{time.monotonic_ns()}"
        self._locks: dict[str, int] = {}
        # Open from the first step on, and how long the journal was before the last one.
        self._descriptor: int | None = None
        self._length = 0

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *exception: object) -> None:
        self._complete()
        for descriptor in self._locks.values():
            os.close(descriptor)
        self._locks.clear()

    # Locks.

    @property
    def descriptors(self) -> list[int]:
        """The file descriptors of the locks. A child that inherits them keeps other calls waiting until it has ended."""
        return list(self._locks.values())

    def holds(self, name: str) -> bool:
        """Return whether this call has the lock ``name``."""
        return name in self._locks

    def lock(self, name: str) -> bool:
        """Take the lock ``name`` and return true, or return false while another call has it."""
        descriptor = self._directory.open(name + _LOCK, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._locks[name] = descriptor
        return True

    def locker(self, name: str) -> str | None:
        """Return the process id of the call that is changing something under the lock ``name``, if one is."""
        return self._call_of(name).partition("-")[0] or None

    # What killed calls left.

    def lock_abandoned(self) -> list[str]:
        """Take the locks under which a call was killed while it changed something, and return their names."""
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
        """Return the locks of killed calls, whether or not a child that outlives the call still keeps them."""
        return [
            name
            for name in self._names(_LOCK)
            if self._abandoned(name) and not os.path.exists(f"/proc/{self.locker(name)}")
        ]

    def unlock(self, name: str) -> None:
        """Let go of the lock ``name``."""
        os.close(self._locks.pop(name))

    def abandoned(self, name: str) -> list[Step]:
        """Return the steps of a killed call under the lock ``name``, the last one first. This call must have the lock.

        Raise ``HostReadError`` where a line of the journal is damaged or of another release, whatever its lock.
        """
        file = self._call_of(name) + _JOURNAL
        path = self._directory.path(file)
        try:
            lines = self._directory.read(file).split(b"\n")
        except FileNotFoundError:
            return []
        # The last piece is empty, or a line that was not written in full and so announces nothing that was done.
        steps = [self._parse(path, number, line) for number, line in enumerate(lines[:-1], 1)]
        return [step for step in reversed(steps) if step.lock == name]

    def settle(self, name: str, failed: t.Sequence[Step] = ()) -> None:
        """Forget what was ``abandoned`` under the lock ``name``, and the call's journal when no other lock names it.

        The steps that ``failed``, in the order of ``abandoned``, are kept for a later call.
        """
        call = self._call_of(name)
        if not call:
            return
        if failed:
            self._keep(call + _JOURNAL, name, failed)
            return
        # Another call that has the other lock must not see this one named, while this one sees the other.
        with self._directory.alone():
            others = [other for other in self._names(_LOCK) if other != name]
            if all(self._call_of(other) != call for other in others):
                # In this order, so that a process that is killed in between leaves no journal without a lock that names it.
                self._directory.discard_new(call + _JOURNAL)
                self._directory.remove(call + _JOURNAL)
            os.ftruncate(self._locks[name], 0)

    def _keep(self, file: str, name: str, failed: t.Sequence[Step]) -> None:
        """Let a killed call's journal have no other steps under the lock ``name`` than those that ``failed``."""
        path = self._directory.path(file)
        # Other calls may have the other locks that name this journal, and rewrite it too.
        with self._directory.alone():
            before = self._directory.read(file)
            lines = before.split(b"\n")[:-1]
            kept = [
                line + b"\n"
                for number, line in enumerate(lines, 1)
                if self._parse(path, number, line).lock != name
            ]
            kept += [encode(_line(step).to_json(), FORMAT) for step in reversed(failed)]
            if b"".join(kept) != before:
                self._directory.replace(file, b"".join(kept))

    def _parse(self, path: str, number: int, line: bytes) -> Step:
        try:
            parsed = _Line.from_json(decode(line, FORMAT))
            undo = None if parsed.undo is None else self._operation(parsed.undo)
        except RecordError as error:
            raise HostReadError(path, f"line {number}: {error.advice(_BY_HAND)}") from None
        return Step(parsed.lock, parsed.device, parsed.change, undo)

    def _operation(self, undo: _Undo) -> Operation:
        operation = self._operations.get(undo.operation)
        if operation is None:
            raise RecordError(
                f"it names the operation {undo.operation[:64]!a}, which this release of vfio.migration does not know",
                foreign=True,
            )
        return t.cast(Operation, operation.from_json(undo.arguments))

    # What this call does.

    def note(self, step: Step) -> None:
        """Note a step that is about to be made."""
        if self._descriptor is None:
            # In this order, so that a journal is never without a lock that names it.
            for descriptor in self._locks.values():
                os.ftruncate(descriptor, 0)
                os.lseek(descriptor, 0, os.SEEK_SET)
                write_whole(descriptor, self._call.encode("ascii"))
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
            self._descriptor = self._directory.open(self._call + _JOURNAL, flags)
        self._length = os.fstat(self._descriptor).st_size
        try:
            write_whole(self._descriptor, encode(_line(step).to_json(), FORMAT))
        except OSError:
            # A step without a whole line is not known to the next call.
            self.withdraw()
            raise

    def withdraw(self) -> None:
        """Withdraw the last step, which was not made after all."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, self._length)

    def _complete(self) -> None:
        if self._descriptor is None:
            return
        self._directory.remove(self._call + _JOURNAL)
        os.close(self._descriptor)
        self._descriptor = None
        for descriptor in self._locks.values():
            os.ftruncate(descriptor, 0)

    # Files.

    def _abandoned(self, name: str) -> bool:
        call = self._call_of(name)
        return bool(call) and self._directory.exists(call + _JOURNAL)

    def _call_of(self, name: str) -> str:
        """Return the call that the lock ``name`` names; empty where it names none."""
        try:
            text = self._directory.read(name + _LOCK)[:_MAX_CALL].decode("ascii", "replace")
        except FileNotFoundError:
            return ""
        return text if _CALL.match(text) else ""

    def _names(self, ending: str) -> list[str]:
        return [file[: -len(ending)] for file in self._directory.names() if file.endswith(ending)]


def _line(step: Step) -> _Line:
    undo = None if step.undo is None else _Undo(step.undo.operation, step.undo.to_json())
    return _Line(step.lock, step.device, step.change, undo)
