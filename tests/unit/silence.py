# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What never answers, beside what always answers in time, however slow this machine is.

A test of a time limit has it short, so that it does not wait for long. What is asked in a thread of its own, and would
answer at once, may then be late as well. With ``install``, to start a thread waits until it has ended or fallen silent.
"""

from __future__ import annotations

import threading


class Silence:
    """What does not answer until ``end``: call it where an answer is expected."""

    def __init__(self):
        self._end = threading.Event()

    def __call__(self, *_given):
        thread = threading.current_thread()
        if isinstance(thread, _InTime):
            thread.silent.set()
        self._end.wait()

    def end(self):
        self._end.set()


class _InTime(threading.Thread):
    """A thread that has ended once it is started, unless it is ``silent``."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.silent = threading.Event()

    def start(self):
        super().start()
        while self.is_alive() and not self.silent.wait(0.001):
            pass


def install(monkeypatch):
    """Let threads answer in time from now on; return a ``Silence`` that is to be ended."""
    monkeypatch.setattr(threading, "Thread", _InTime)
    return Silence()
