# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kills vfio_mdev with SIGKILL before each thing it does to the host, and holds what the next call makes of it.

Each step is tried twice: the next call is the same one, which must reach what was wanted; or it is about another parent,
and must leave all of the killed call's work or none.
"""

from __future__ import annotations

import fcntl
import functools
import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

sys.path.insert(0, "/tmp/calls.zip")

from calls import Call, call, clear, left_in_run, make, state

GPU = {"parent": "0001:00:02.0", "type": "i915-GVTg_V5_8"}
MATRIX = {"parent": "matrix", "type": "vfio_ap-passthrough"}


def device(number: int, kind: dict[str, str], *attributes: tuple[str, str]) -> dict[str, Any]:
    pairs = [{"name": name, "value": value} for name, value in attributes]
    return {"uuid": f"0000000{number}-1111-4222-8333-444444444444", "attributes": pairs, **kind}


BEFORE = [device(1, GPU, ("intel_vgpu/aggregator", "1"))]
WANTED = [
    device(1, GPU, ("intel_vgpu/aggregator", "2")),
    device(2, MATRIX, ("assign_adapter", "5"), ("assign_domain", "4")),
    device(3, GPU, ("intel_vgpu/aggregator", "3")),
]
# Asks for nothing that is not so already.
ELSEWHERE = {"devices": [device(4, {"parent": "mdpy"})], "state": "absent"}
PRESENT = {"devices": WANTED, "state": "present", "persistent": True}
ABSENT = {"devices": WANTED, "state": "absent", "persistent": True}


class Steps:
    """Ends the process that it is installed in before the ``last`` thing that this does to the host, and names that."""

    def __init__(self, last: int, names: int) -> None:
        self._last = last
        self._names = names
        self._count = 0
        self._write = os.write

    def install(self) -> None:
        python: Any = os
        for name in ("write", "pwrite", "ftruncate", "unlink", "open"):
            setattr(python, name, self._counted(name, getattr(os, name)))
        python = fcntl
        python.flock = self._counted("flock", fcntl.flock)
        python = subprocess
        python.Popen = functools.partial(self._run, subprocess.Popen)

    def _counted(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def counted(file: Any, *arguments: Any, **others: Any) -> Any:
            if name != "open" or arguments[0] & os.O_CREAT:
                self._step(f"{name} {_path(file)}")
            return function(file, *arguments, **others)

        return counted

    def _run(self, popen: Callable[..., Any], command: list[Any], **others: Any) -> Any:
        words = " ".join(os.fsdecode(word) for word in command[:2])
        self._step(f"run {words}")
        process = popen(command, **others)
        self._step(f"wait for {words}")
        return process

    def _step(self, name: str) -> None:
        self._count += 1
        if self._count == self._last:
            self._write(self._names, name.encode())
            os.kill(os.getpid(), signal.SIGKILL)


def _path(file: Any) -> str:
    return os.readlink(f"/proc/self/fd/{file}") if isinstance(file, int) else os.fsdecode(file)


def main() -> int:
    points = leftovers = 0
    for title, start, arguments in (
        ("create, configure and define", BEFORE, PRESENT),
        ("undefine and remove", WANTED, ABSENT),
    ):
        print(f"{title}, killed before")
        before = begin(start)
        call(**arguments)
        goal = state()
        for number in itertools.count(1):
            begin(start)
            step = kill(number, arguments)
            if step is None:
                break
            print(f"  {number}. {step}", flush=True)
            call(**arguments)
            leftovers += check("the same call", before, goal, False)
            begin(start)
            kill(number, arguments)
            call(**ELSEWHERE)
            leftovers += check("another call", before, goal, True)
            points += 1
    clear()
    print(f"kill points: {points}, leftovers: {leftovers}")
    return 1 if leftovers else 0


def begin(devices: list[dict[str, Any]]) -> dict[str, Any]:
    """Bring the host to where the calls start, by other means than they, and return its state."""
    clear()
    for each in devices:
        make(each)
    return state()


def kill(number: int, arguments: dict[str, Any]) -> str | None:
    """Kill a call before its step ``number`` and return that step, or ``None`` where it has no more than it has."""
    reader, writer = os.pipe()
    result = Call(Steps(number, writer).install, **arguments).result()
    os.close(writer)
    with os.fdopen(reader) as names:
        step = names.read()
    if bool(step) == bool(result):
        raise AssertionError(f"step {number}: {step!r}, {result}")
    return step or None


def check(title: str, before: dict[str, Any], goal: dict[str, Any], undone: bool) -> int:
    """Return the number of devices that are not as the goal wants them, nor, where that will do, as they were before.

    A removal is no more undone for a device; a creation only for all.
    """
    now = state()
    wrong = {uuid for uuid in {*now, *before, *goal} if now.get(uuid) != goal.get(uuid)}
    if undone and goal:
        wrong = wrong if now != before else set()
    elif undone:
        wrong = {uuid for uuid in wrong if now.get(uuid) != before.get(uuid)}
    wrong |= set(left_in_run())
    for each in sorted(wrong):
        print(f"     {title} leaves {each}: {now.get(each)}, wanted {goal.get(each)}")
    return len(wrong)


if __name__ == "__main__":
    sys.exit(main())
