# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""Changes of a host that are made as one, whatever the devices: all of them, or none.

On the first failure, and on a signal that asks to stop, what was done is undone in reverse order. The steps of a call that
is killed are in its journal, and the next call undoes them, each that it can.
"""

from __future__ import annotations

import errno
import functools
import time
import typing as t

from ansible_collections.vfio.migration.plugins.module_utils._change.attributes import (
    as_written,
    needed_writes,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.errors import (
    InUse,
    Irreversible,
    ProvisionError,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.journal import (
    Journal,
    Operation,
    Step,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.plan import (
    HostChanges,
    Planner,
)
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.attributes import shown
from ansible_collections.vfio.migration.plugins.module_utils._host.device import (
    Device,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.kernel_log import KernelLog
from ansible_collections.vfio.migration.plugins.module_utils._host.processes import (
    Holders,
    why_held,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.reading import (
    HostReadError,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import Sysfs, words

_Result = t.TypeVar("_Result")

_POLL_SECONDS = 0.05
_WRITABLE = 0o222

_ATTRIBUTE_HINTS = {
    errno.EADDRNOTAVAIL: "what the value names is reserved for the host",
    errno.EAGAIN: "the driver is busy; try again",
    errno.EBUSY: "the device, or what the value names, is in use",
    errno.EINVAL: "the driver does not take this value",
    errno.ENODEV: "the value names something that the host does not have",
    errno.ENOENT: "the attribute or the device went away",
    errno.ENOSPC: "the parent has not enough left for this value",
    errno.EOPNOTSUPP: "the driver cannot do this on this host",
    errno.EPERM: "the driver or the kernel's lockdown forbids it",
    errno.ERANGE: "the value is out of the driver's range",
}


def check_not_held(path: str, holder: t.Mapping[str, t.Any] | None, ours: bool) -> None:
    """Raise ``InUse`` where a process holds the device at ``path``, and ``HostReadError`` where one may hold it.

    A device that is ``ours``, as this call has made it, is free unless a holder is known.
    """
    if holder is not None and holder["pid"] is not None:
        raise InUse(path, why_held(holder))
    if holder is not None and not ours:
        raise HostReadError(path, why_held(holder))


class Transaction:
    """One call's changes; ``interrupted`` returns the name of a signal that asks to stop, or ``None``.

    A subclass says how the changes are made, and in ``undoers`` how each operation undoes a step. ``recovered`` are the
    steps of killed calls that this one undid, ``warnings`` are for the user.
    """

    # Each undoes a step and returns whether there was something to undo. Arguments: the transaction, the step, its
    # operation, and whether another call made the step, which was killed. May raise Irreversible, InUse, OSError,
    # HostReadError and ProvisionError.
    undoers: t.ClassVar[
        t.Mapping[type[Operation], t.Callable[[t.Any, Step, t.Any, bool], bool]]
    ] = {}

    def __init__(
        self,
        journal: Journal,
        timeout: float,
        interrupted: t.Callable[[], str | None],
    ) -> None:
        self.recovered: list[dict[str, str]] = []
        self.warnings: list[str] = []
        self._journal = journal
        self._timeout = timeout
        self._interrupted = interrupted
        self._done: list[Step] = []
        # Steps of killed calls that could not be undone, by lock, each with what is left of it.
        self._stuck: dict[str, list[tuple[Step, dict[str, str]]]] = {}
        # Where it is, for the error.
        self._device: str | None = None
        self._step = ""

    def run(self, planner: Planner, *wanted: t.Any) -> tuple[HostChanges, dict[str, t.Any]]:
        """Plan and make the changes that lead to what is ``wanted``, while no other call is at work on it.

        Return the changes, and the module's result by the name of its option.
        """
        self._lock(functools.partial(planner.locks, *wanted))
        return self._carry_out(functools.partial(self._plan_and_apply, planner, *wanted))

    def _plan_and_apply(
        self, planner: Planner, *wanted: t.Any
    ) -> tuple[HostChanges, dict[str, t.Any]]:
        changes = planner.plan(*wanted)
        return changes, self._apply(changes)

    def _apply(self, changes: HostChanges) -> dict[str, t.Any]:
        """Make the changes; return the module's result by the name of its option."""
        raise NotImplementedError

    # Locks, and what killed calls left.

    def _lock(self, find_names: t.Callable[[], t.Iterable[str]]) -> None:
        """Undo what killed calls left, and take the locks that ``find_names`` names; raise ``ProvisionError``."""
        self._step = "lock"
        deadline = time.monotonic() + self._timeout
        try:
            self._recover_all(deadline)
            names = sorted(find_names())
            for name in names:
                self._wait_for_lock(name, deadline)
                # Its last holder may have been killed while this call waited.
                self._recover(name, self._abandoned(name))
                if self._stuck[name]:
                    raise self._stuck_failure(names)
        except OSError as error:
            raise self._failure(
                f"cannot keep other calls out through {error.filename}", error
            ) from None
        except HostReadError as problem:
            raise self._failure(str(problem)) from None
        except ProvisionError as failure:
            failure.details["recovered"] = self.recovered
            raise
        finally:
            # Those of this call's own locks are its failure.
            self.warnings += [_half_done(stuck) for stuck in self._stuck.values() if stuck]

    def _recover_all(self, deadline: float) -> None:
        tried: set[str] = set()
        while True:
            # All journals are read before anything is undone, so that one that cannot be read stops the call in time.
            found = {name: self._abandoned(name) for name in self._journal.lock_abandoned()}
            for name, steps in found.items():
                if name not in tried:
                    self._recover(name, steps)
                self._journal.unlock(name)
                tried.add(name)
            # What a killed call had started, such as mdevctl, has to end first.
            if tried.issuperset(self._journal.orphaned()) or time.monotonic() >= deadline:
                return
            self._check_interrupted()
            time.sleep(_POLL_SECONDS)

    def _abandoned(self, name: str) -> list[Step]:
        try:
            return self._journal.abandoned(name)
        except HostReadError as problem:
            self._step = "recover"
            raise self._failure(str(problem)) from None

    def _wait_for_lock(self, name: str, deadline: float) -> None:
        while not self._journal.lock(name):
            if time.monotonic() >= deadline:
                locker = self._journal.locker(name)
                process = f", process {locker}," if locker else ""
                raise self._failure(
                    f"another call{process} is at work on {name}; waited {self._timeout} seconds"
                )
            self._check_interrupted()
            time.sleep(_POLL_SECONDS)

    def _recover(self, name: str, steps: t.Iterable[Step]) -> None:
        """Undo a killed call's steps under a lock that is held; what cannot be undone is kept, and ``_stuck`` has it.

        One step that cannot be undone does not keep the others from it. None is tried twice in one call.
        """
        before = self._stuck.get(name, [])
        stuck = self._stuck[name] = []
        for step in steps:
            known = [left for each, left in before if each == step]
            left = known[0] if known else self._recover_step(step)
            if left is not None:
                stuck.append((step, left))
        try:
            self._journal.settle(name, [step for step, _left in stuck])
        except OSError as error:
            self._step = "recover"
            where = f", at {error.filename}" if error.filename else ""
            raise self._failure(
                f"cannot note in the journal of a killed call what of it is undone{where}", error
            ) from None

    def _recover_step(self, step: Step) -> dict[str, str] | None:
        """Undo a killed call's step; return what is left of it where that is to be tried again."""
        try:
            if self._undo_step(step, recovering=True):
                self.recovered.append(_described(step))
        except Irreversible:
            pass
        except InUse as problem:
            self.warnings.append(
                f"a call that was killed left device {step.device} half done ({step.change}), and is left so: {problem}"
            )
        except Exception as error:  # noqa: BLE001
            # Not even a defect keeps the rest from being undone.
            return self._left(step, error)
        return None

    def _stuck_failure(self, names: t.Iterable[str]) -> ProvisionError:
        """Return the failure of a call whose own locks, ``names``, are those of steps that cannot be undone."""
        stuck = [each for name in names for each in self._stuck.pop(name, [])]
        self._step = "recover"
        failure = self._failure(_half_done(stuck))
        failure.details["left"] = [left for _step, left in stuck]
        return failure

    # Making steps, and undoing them.

    def _carry_out(self, work: t.Callable[[], _Result]) -> _Result:
        """Return the result of ``work``, the changes; raise ``ProvisionError`` when all is undone that can be."""
        try:
            try:
                return work()
            except HostReadError as problem:
                raise self._failure(str(problem)) from None
            except OSError as error:
                raise self._failure(str(error.filename or "it"), error) from None
        except ProvisionError as failure:
            failure.details.update(self._undo(), recovered=self.recovered)
            raise
        except BaseException:
            # A defect must not leave half of a transaction behind either.
            self._undo()
            raise

    def _do(self, step: Step, act: t.Callable[[], None]) -> None:
        """Note the step in the journal, and make it with ``act``."""
        try:
            self._journal.note(step)
        except OSError as error:
            raise self._failure("cannot note in the journal what is to be undone", error) from None
        try:
            act()
        except OSError:
            self._journal.withdraw()
            raise
        except BaseException:
            self._done.append(step)
            raise
        self._done.append(step)

    def _undo(self) -> dict[str, list[dict[str, str]]]:
        """Undo what was done. No signal interrupts it, and one failure does not keep the rest from being undone."""
        self._interrupted = _never
        undone, left = [], []
        for step in reversed(self._done):
            try:
                if self._undo_step(step, recovering=False):
                    undone.append(_described(step))
            except Exception as error:  # noqa: BLE001
                # Not even a defect keeps the rest from being undone.
                left.append(self._left(step, error))
        return {"undone": undone, "left": left}

    def _left(self, step: Step, error: Exception) -> dict[str, str]:
        """Return what is left of a step: why and, unless it is gone for good, where, and what a person does about it."""
        problem = words(error) if isinstance(error, OSError) else str(error) or repr(error)
        left = dict(_described(step), problem=problem)
        if step.undo is not None:
            place = self._place(step.device)
            left.update(where=place, by_hand=step.undo.by_hand(step, place))
        return left

    def _place(self, device: str) -> str:
        """Return the path of a device's directory."""
        raise NotImplementedError

    def _undo_step(self, step: Step, recovering: bool) -> bool:
        if step.undo is None:
            raise Irreversible("it cannot be undone")
        return self.undoers[type(step.undo)](self, step, step.undo, recovering)

    # Place and time.

    def _enter(self, step: str) -> None:
        self._step = step
        self._check_interrupted()

    def _check_interrupted(self) -> None:
        signal = self._interrupted()
        if signal:
            raise self._failure(f"interrupted by {signal}")

    def _wait_until(self, missing: t.Callable[[], str | None]) -> None:
        """Wait until ``missing`` returns ``None`` and no problem any more."""
        deadline = time.monotonic() + self._timeout
        while True:
            problem = missing()
            if problem is None:
                return
            if time.monotonic() >= deadline:
                raise self._failure(f"{problem}; waited {self._timeout} seconds")
            self._check_interrupted()
            time.sleep(_POLL_SECONDS)

    def _failure(
        self,
        message: str,
        error: OSError | None = None,
        hint: str | None = None,
        kernel_log: t.Sequence[str] = (),
    ) -> ProvisionError:
        return ProvisionError(self._step, message, self._device, error, hint, kernel_log=kernel_log)


class SysfsTransaction(Transaction):
    """One call's changes of devices that sysfs shows; ``scan_holders`` finds the process that holds each."""

    def __init__(
        self,
        sysfs: Sysfs,
        scan_holders: t.Callable[[], Holders],
        journal: Journal,
        timeout: float,
        interrupted: t.Callable[[], str | None],
    ) -> None:
        super().__init__(journal, timeout, interrupted)
        self._sysfs = sysfs
        self._scan_holders = scan_holders

    def _write(
        self,
        device: Device,
        modes: t.Mapping[str, int],
        name: str,
        value: str,
        step: Step | None = None,
    ) -> None:
        """Write an attribute, as the ``step`` unless that is ``None``; ``modes`` are those of the device's files."""
        path = device.directory.path(name)
        if not modes[name] & _WRITABLE:
            raise self._failure(f"{path} is read-only")
        act = functools.partial(device.directory.write, name, as_written(name, value))
        if step is not None:
            act = functools.partial(self._do, step, act)
        self._ask_kernel(f"cannot write {shown(value)} to {path}", act, _ATTRIBUTE_HINTS.get)

    def _ask_kernel(
        self,
        problem: str,
        act: t.Callable[[], None],
        hint: t.Callable[[int], str | None] = lambda number: None,
    ) -> None:
        """Do what the kernel may refuse; ``problem`` and, by the errno, ``hint`` are for the error."""
        with KernelLog(self._sysfs.live) as log:
            try:
                act()
            except OSError as error:
                raise self._failure(problem, error, hint(error.errno or 0), log.lines()) from None

    def _check_written(self, device: Device, attributes: t.Iterable[tuple[str, str]]) -> None:
        for write in needed_writes(device, attributes):
            name, value = write.undo
            is_now = f"reads back {shown(value)}" if name == write.name else "does not show it"
            raise self._failure(
                f"{device.directory.path(write.name)} was set to {shown(write.value)} and took it, but {is_now}"
            )


def _described(step: Step) -> dict[str, str]:
    return {"device": step.device, "change": step.change}


def _half_done(stuck: t.Iterable[tuple[Step, t.Mapping[str, str]]]) -> str:
    """Return in words what killed calls left that cannot be undone, and what a person does about it."""
    each = (
        f"device {left['device']} half done ({left['change']}), which cannot be undone: {left['problem']},"
        f" at {left['where']}; to undo it by hand: {left['by_hand']}"
        for _step, left in stuck
    )
    return f"a call that was killed left {'; '.join(each)}"


def _never() -> None:
    return None
