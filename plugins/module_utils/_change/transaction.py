# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Changes of a host that are made as one, whatever the devices: all of them, or none.

On the first failure, and on a signal that asks to stop, what was done is undone in reverse order. What a call does that
is killed is in its journal, and the next call undoes it.
"""

from __future__ import annotations

import functools
import time

from ansible_collections.vfio.migration.plugins.module_utils._change.errors import ProvisionError
from ansible_collections.vfio.migration.plugins.module_utils._host.processes import why_held
from ansible_collections.vfio.migration.plugins.module_utils._host.reading import HostReadError
from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import words

TYPE_CHECKING = False
if TYPE_CHECKING:  # pragma: no cover
    import typing as t

    from ansible_collections.vfio.migration.plugins.module_utils._change.journal import (
        Change,
        Journal,
    )
    from ansible_collections.vfio.migration.plugins.module_utils._change.plan import Plan

    _Result = t.TypeVar("_Result")

    class Planner(t.Protocol):
        """What compares what is wanted with what there is."""

        def locks(self, *wanted: t.Any) -> t.Iterable[str]:
            """The names of the locks that a plan needs, as far as can be told before it is made."""

        def plan(self, *wanted: t.Any) -> Plan:
            """What is to be done; raises ``ProvisionError`` where it cannot be done."""


_POLL_SECONDS = 0.05


class Irreversible(Exception):
    """A change cannot be undone, for the reason that the message gives."""


class InUse(HostReadError):
    """A device must not be touched, as a process is known to hold it."""


def check_not_held(path: str, holder: t.Mapping[str, t.Any] | None, ours: bool) -> None:
    """Raises ``InUse`` where a process holds the device at ``path``, and ``HostReadError`` where that cannot be told.

    What is ``ours``, as this call has made it, is free unless a holder is known.
    """
    if holder is not None and holder["pid"] is not None:
        raise InUse(path, why_held(holder))
    if holder is not None and not ours:
        raise HostReadError(path, why_held(holder))


class Transaction:
    """One call's changes; ``interrupted`` gives the name of a signal that asks to stop, or ``None``.

    A subclass says how a plan is carried out, and how changes are undone. ``recovered`` are the changes of killed calls that this one undid, ``warnings``
    are for the user.
    """

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
        self._done: list[Change] = []
        # Where it is, for the error.
        self._device: str | None = None
        self._step = ""

    def run(self, planner: Planner, *wanted: t.Any) -> tuple[Plan, dict[str, t.Any]]:
        """Plans and does what there is to do for what is ``wanted``, while no other call is at work on it.

        Returns the plan and what the module returns of each device.
        """
        self._lock(functools.partial(planner.locks, *wanted))
        return self._carry_out(functools.partial(self._plan_and_apply, planner, *wanted))

    def _plan_and_apply(self, planner: Planner, *wanted: t.Any) -> tuple[Plan, dict[str, t.Any]]:
        plan = planner.plan(*wanted)
        return plan, self._apply_plan(plan)

    def _apply_plan(self, plan: Plan) -> dict[str, t.Any]:
        """Does what is planned; what the module returns of each device."""
        raise NotImplementedError

    def _lock(self, find_names: t.Callable[[], t.Iterable[str]]) -> None:
        """Takes the locks that ``find_names`` names, when what killed calls left is undone; raises ``ProvisionError``."""
        self._step = "lock"
        deadline = time.monotonic() + self._timeout
        try:
            self._recover_all(deadline)
            for name in sorted(find_names()):
                self._wait_for_lock(name, deadline)
                # Its last holder may have been killed while this call waited.
                problem = self._recover(name)
                if problem is not None:
                    self._step = "recover"
                    raise self._failure(problem)
        except OSError as error:
            raise self._failure(
                f"cannot keep other calls out through {error.filename}", error
            ) from None
        except ProvisionError as failure:
            failure.details["recovered"] = self.recovered
            raise

    def _recover_all(self, deadline: float) -> None:
        tried: set[str] = set()
        while True:
            for name in self._journal.lock_abandoned():
                problem = None if name in tried else self._recover(name)
                self._journal.unlock(name)
                tried.add(name)
                if problem is not None:
                    self.warnings.append(problem)
            # What a killed call had started, such as mdevctl, has to come to its end first.
            if tried.issuperset(self._journal.orphaned()) or time.monotonic() >= deadline:
                return
            self._check_interrupted()
            time.sleep(_POLL_SECONDS)

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

    def _recover(self, name: str) -> str | None:
        """Undoes what a killed call did under a lock that is held; returns what could not be undone, and why."""
        for change in self._journal.abandoned(name):
            try:
                if self._undo_change(change, recovering=True):
                    self.recovered.append(_shown(change))
            except Irreversible:
                pass
            except InUse as problem:
                self.warnings.append(f"{_left_half_done(change)}, and is left so: {problem}")
            except (OSError, ProvisionError, HostReadError) as error:
                return f"{_left_half_done(change)}, which cannot be undone: {_why(error)}"
        self._journal.settle(name)
        return None

    def _undo_change(self, change: Change, recovering: bool) -> bool:
        """Undoes a change that was made, or was about to be; returns whether there was something to undo.

        Raises ``Irreversible``, ``InUse``, ``OSError``, ``HostReadError`` or ``ProvisionError``. ``recovering``: another call made it.
        """
        raise NotImplementedError

    def _carry_out(self, work: t.Callable[[], _Result]) -> _Result:
        """The result of ``work``, the changes; raises ``ProvisionError`` when all is undone that can be."""
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

    def _do(self, change: Change, act: t.Callable[[], None]) -> None:
        """Notes the change, and makes it with ``act``."""
        try:
            self._journal.note(change)
        except OSError as error:
            raise self._failure("cannot note in the journal what is to be undone", error) from None
        try:
            act()
        except OSError:
            self._journal.withdraw()
            raise
        except BaseException:
            self._done.append(change)
            raise
        self._done.append(change)

    def _undo(self) -> dict[str, list[dict[str, str]]]:
        """Undoes what was done; a signal does not interrupt it, and one failure does not keep the rest from being undone."""
        self._interrupted = _never
        undone, left = [], []
        for change in reversed(self._done):
            try:
                if self._undo_change(change, recovering=False):
                    undone.append(_shown(change))
            except Irreversible as reason:
                left.append(dict(_shown(change), problem=str(reason)))
            except (OSError, ProvisionError, HostReadError) as error:
                left.append(dict(_shown(change), problem=_why(error)))
        return {"undone": undone, "left": left}

    # Steps and time.

    def _enter(self, step: str) -> None:
        self._step = step
        self._check_interrupted()

    def _check_interrupted(self) -> None:
        signal = self._interrupted()
        if signal:
            raise self._failure(f"interrupted by {signal}")

    def _wait_until(self, missing: t.Callable[[], str | None]) -> None:
        """Waits until nothing is ``missing``."""
        deadline = time.monotonic() + self._timeout
        while True:
            what = missing()
            if what is None:
                return
            if time.monotonic() >= deadline:
                raise self._failure(f"{what}; waited {self._timeout} seconds")
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


def _shown(change: Change) -> dict[str, str]:
    return {"device": change.device, "change": change.change}


def _left_half_done(change: Change) -> str:
    return f"a call that was killed left device {change.device} half done ({change.change})"


def _why(error: Exception) -> str:
    return words(error) if isinstance(error, OSError) else str(error)


def _never() -> None:
    return None
