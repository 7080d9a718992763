# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Whose turn it is to migrate: list scheduling (Graham 1966) by all workers of a run, within its limits.

Each host whose guests leave it has a task, and each task a process of its own on the control node. What they agree on is in
files of a directory that is theirs alone. A file of a worker is locked by that as long as what it states is so (flock(2)): that
the worker is ``attending``, or that a guest is ``moving``. So whatever ends a worker ends what it states.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import typing as t
from collections import Counter
from dataclasses import dataclass, field

from ansible_collections.vfio.migration.plugins.plugin_utils._compat.wording import counted
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.turns import PassageLimits
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.clock import passed
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import ConcurrentMoves

_LOCK = "lock"
_ATTENDING = "attending."
_MOVING = "moving."
_MOVED = "moved."
_FAILED = "failed."
_LOST = "lost."


@dataclass(frozen=True, slots=True)
class TurnLimits:
    """How many guests may migrate at the same time in all, from a ``source`` and to a ``target``, and when none begins any more.

    ``concurrent`` is the condition ``concurrent_moves`` of the plan, which holds beside these. None begins any more after
    ``failures`` guests that have not moved, and at ``not_after``, seconds since 1970; ``None`` for never.
    """

    total: int
    source: int
    target: int
    failures: int | None = None
    not_after: float | None = None
    concurrent: ConcurrentMoves = field(default_factory=ConcurrentMoves)


# What a guest uses of which only so many may at a time, by the option or the kind of way, and the name of a host or link.
_Use = tuple[str, str]
_IN_ALL: _Use = ("parallel", "")


class Route(t.NamedTuple):
    """From where to where a guest migrates."""

    host: str
    target: str


class Turns:
    """The turns of guests that are known by their place in ``ways``, in which who comes first begins first.

    A guest whose host or target has as many as it may does not keep others from beginning. ``directory`` is there, and no process
    but the workers writes to it.
    """

    def __init__(self, directory: str, ways: t.Sequence[Route], limits: TurnLimits) -> None:
        self.limits = limits
        self._concurrent = PassageLimits(limits.concurrent)
        self._directory = directory
        self._ways = ways
        self._hosts = {host: number for number, host in enumerate(sorted({*_hosts(ways)}))}
        self._held: dict[int, int] = {}

    @contextlib.contextmanager
    def attending(self, host: str) -> t.Iterator[None]:
        """Let the others know meanwhile that this process begins the guests of ``host`` when it is their turn."""
        handle = self._locked(f"{_ATTENDING}{self._hosts[host]}")
        try:
            yield
        finally:
            os.close(handle)

    def begin(self, waiting: t.Collection[int]) -> int | None:
        """Return which of those that are ``waiting`` on a host of this process begins now, if one does; ``end`` it."""
        with self._alone():
            if self.stopped() is not None:
                return None
            number = self._first(waiting)
            if number is not None:
                self._held[number] = self._locked(f"{_MOVING}{number}")
            return number

    def end(self, number: int, moved: bool, lost: bool = False) -> None:
        """Let a guest that was begun have ended; one that is ``lost`` counts as one that migrates, as it may."""
        with self._alone():
            if lost:
                self._note(f"{_LOST}{number}")
            self._note(f"{_MOVED if moved else _FAILED}{number}")
            os.close(self._held.pop(number))

    def stopped(self) -> str | None:
        """Return why no guest begins any more; ``None`` where some may."""
        # Those that it is too late for have not moved either, and are not why others do not begin.
        if self.limits.not_after is not None and passed(self.limits.not_after):
            return "it was not begun: migrate_libvirt_not_after has passed"
        failed = len(self._numbers(_FAILED))
        if self.limits.failures is not None and failed >= self.limits.failures:
            return f"it was not begun: {failed} guests have not moved, and migrate_libvirt_max_failures is {self.limits.failures}"
        return None

    def why_never(self, number: int) -> str | None:
        """Return why it is never the turn of a guest, as those that are lost take its place for good; ``None`` where it may be."""
        taken = self._used_by(self._numbers(_LOST))
        for each, most in self._uses(self._ways[number]).items():
            if taken[each] >= most:
                return (
                    f"it was not begun: {most} may migrate at a time by {self._named(each)}, and the outcome of"
                    f" {counted(taken[each], 'earlier migration')} is unknown"
                )
        return None

    def _first(self, waiting: t.Collection[int]) -> int | None:
        """Return the first of ``waiting`` that may migrate beside those that do, and those before it that can begin."""
        moving = {number for number in self._numbers(_MOVING) if self._is_locked(_MOVING, number)}
        moving |= self._numbers(_LOST)
        ended = self._numbers(_MOVED) | self._numbers(_FAILED)
        attended = {host for host, number in self._hosts.items() if self._is_attended(number)}
        used = self._used_by(moving)
        for number, way in enumerate(self._ways):
            if used[_IN_ALL] >= self.limits.total:
                return None
            if number in moving or number in ended:
                continue
            if way.host not in attended and number not in waiting:
                continue
            uses = self._uses(way)
            if any(used[each] >= most for each, most in uses.items()):
                continue
            if number in waiting:
                return number
            # Its own process begins it in a moment.
            used.update(uses.keys())
        return None

    def _used_by(self, numbers: t.Iterable[int]) -> Counter[_Use]:
        """Return how many of these guests use each thing of which only so many may."""
        return Counter(each for number in numbers for each in self._uses(self._ways[number]))

    def _uses(self, way: Route) -> dict[_Use, int]:
        """Return what a guest uses of which only so many may at a time, each with how many."""
        found: dict[_Use, int] = {
            _IN_ALL: self.limits.total,
            ("parallel_source", way.host): self.limits.source,
            ("parallel_target", way.target): self.limits.target,
        }
        return {**found, **self._concurrent.of(way.host, way.target)}

    def _named(self, use: _Use) -> str:
        """Return the option that limits a use."""
        kind, name = use
        return (
            f"concurrent_moves of the plan, for the {kind} {name}"
            if kind in ("host", "link")
            else f"migrate_libvirt_{kind}"
        )

    def _is_attended(self, number: int) -> bool:
        return self._is_locked(_ATTENDING, number)

    def _numbers(self, prefix: str) -> set[int]:
        """Return the numbers of the files whose names begin so."""
        names = os.listdir(self._directory)
        return {int(name[len(prefix) :]) for name in names if name.startswith(prefix)}

    def _is_locked(self, prefix: str, number: int) -> bool:
        try:
            handle = os.open(f"{self._directory}/{prefix}{number}", os.O_RDONLY)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(handle)
        return False

    def _locked(self, name: str) -> int:
        """Return a descriptor of a file with the lock, which its end frees."""
        handle = os.open(f"{self._directory}/{name}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(handle, fcntl.LOCK_EX)
        return handle

    def _note(self, name: str) -> None:
        os.close(os.open(f"{self._directory}/{name}", os.O_WRONLY | os.O_CREAT, 0o600))

    @contextlib.contextmanager
    def _alone(self) -> t.Iterator[None]:
        """Let no other worker decide meanwhile."""
        handle = self._locked(_LOCK)
        try:
            yield
        finally:
            os.close(handle)


def _hosts(ways: t.Iterable[Route]) -> t.Iterator[str]:
    return (way.host for way in ways)
