# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes that outlive the command that started them, and interruptions meanwhile."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_STOP_SECONDS = 10


@dataclass(frozen=True)
class Process:
    """A process; its start time tells it from a later one with the same id."""

    pid: int
    # Clock ticks since the machine's boot, as in proc(5).
    started: int

    @classmethod
    def of(cls, pid: int) -> Process:
        """Describe a child of this process, which may have ended but is not reaped yet."""
        return cls(pid, int(_stat(pid)[19]))

    def alive(self) -> bool:
        try:
            stat = _stat(self.pid)
        except (FileNotFoundError, ProcessLookupError):
            return False
        return int(stat[19]) == self.started and stat[0] not in "ZX"

    def uptime(self) -> float:
        """Return the seconds since the process started."""
        ticks = os.sysconf("SC_CLK_TCK")
        return time.clock_gettime(time.CLOCK_BOOTTIME) - self.started / ticks

    def stop(self) -> None:
        """End the process and wait until it has ended."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return
        try:
            if self.alive():
                _end(descriptor)
        finally:
            os.close(descriptor)


def stop_group(process: subprocess.Popen[bytes], seconds: float) -> None:
    """End a child that leads a group, with all of that; by force where it has not ended after so many seconds."""
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold an interruption back until the end of the block, so that a new process is on record."""
    received: list[int] = []
    handlers = {
        number: signal.signal(number, lambda number, _: received.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    if received:
        raise KeyboardInterrupt


def _stat(pid: int) -> list[str]:
    """Return the fields of proc(5)'s stat from the third on: the state is 0, the start time 19."""
    # The second field is the command's name, which may hold blanks and parentheses.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _end(descriptor: int) -> None:
    ended = select.poll()
    ended.register(descriptor, select.POLLIN)
    signal.pidfd_send_signal(descriptor, signal.SIGTERM)
    if not ended.poll(_STOP_SECONDS * 1000):
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        ended.poll()
