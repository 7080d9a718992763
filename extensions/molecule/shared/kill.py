# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Kills a playbook (SIGKILL) in one of its tasks.

What the hosts do at that moment goes on, as it does in reality, and so do workers of ansible-core, which have sessions of their own. As
a program it is given a part of the task's title, the seconds after which the task is at work, and the command; it fails where the
command never came so far, with the end of what that printed.
"""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence

# Whoever sets this has a playbook killed at each of its tasks, which takes hours; by default that is at a few that change what the scenario is about.
EVERY_TASK = "VFIO_MIGRATION_KILL_AT_EVERY_TASK"

_LAST = 60


def each_kill(
    command: Sequence[str], changes: Iterable[tuple[str, float]], first: int = 1
) -> Iterator[tuple[int | str, float]]:
    """Run and kill a playbook again and again; yield each time where: in which task, and how many seconds after it had begun.

    These are the ``changes``, tasks of a role by their names, or, where it is to be every task, the numbers of all from the
    ``first`` on.
    """
    every = ((number, 0.0) for number in itertools.count(first))
    points: Iterable[tuple[int | str, float]] = every if os.environ.get(EVERY_TASK) else changes
    for task, seconds in points:
        if killed_at(command, task if isinstance(task, int) else f" : {task}]", seconds):
            yield task, seconds
        elif isinstance(task, int):
            return
        else:
            sys.exit(f"no task is called {task}")


def killed_at(command: Sequence[str], task: int | str, seconds: float = 0) -> bool:
    """Run it and kill it so many seconds after a task has begun; tell if it came so far.

    The task is given by its number in the run or by a part of its title, as ``maintain : Work``.
    """
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        start_new_session=True,
    )
    assert process.stdout is not None
    count, reached = 0, False
    last: deque[str] = deque(maxlen=_LAST)
    for line in process.stdout:
        last.append(line)
        begins = line.startswith("TASK [")
        count += begins
        title = line.partition("]")[0] + "]" if begins else ""
        reached = begins and (count == task if isinstance(task, int) else task in title)
        if reached:
            break
    if reached:
        time.sleep(seconds)
        os.killpg(process.pid, signal.SIGKILL)
    else:
        print("".join(last), end="", file=sys.stderr)
    process.wait()
    process.stdout.close()
    return reached


if __name__ == "__main__":
    name, after, *given = sys.argv[1:]
    sys.exit(0 if killed_at(given, name, float(after)) else f"no task is called {name}")
