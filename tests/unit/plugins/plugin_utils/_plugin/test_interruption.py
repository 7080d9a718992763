# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Processes that a signal ends say a last word."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

_PROGRAM = """
import signal, time
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.interruption import interruptible

{before}
with interruptible(lambda: print("the last word", flush=True)):
    print("begun", flush=True)
    # Python sees a signal that comes just before it sleeps only when it wakes.
    for _ in range({steps}):
        time.sleep(0.1)
print("ended", flush=True)
"""


def ended_by(number: int, before: str = "", steps: int = 6000) -> tuple[int, list[str]]:
    program = _PROGRAM.format(before=before, steps=steps)
    command = [sys.executable, "-c", program]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout
        assert process.stdout.readline() == "begun\n"
        process.send_signal(number)
        said = process.stdout.read().splitlines()
    return process.returncode, said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_who_is_ended_by_a_signal_says_a_last_word(number):
    assert ended_by(number, f"signal.signal({int(number)}, signal.SIG_DFL)") == (
        -number,
        ["the last word"],
    )


def test_a_signal_that_is_ignored_ends_nothing():
    ignored = "signal.signal(signal.SIGHUP, signal.SIG_IGN)"
    assert ended_by(signal.SIGHUP, ignored, 5) == (0, ["ended"])
