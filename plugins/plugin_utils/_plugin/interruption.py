# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What a task does last where a signal ends the run of Ansible that it is of.

Ansible passes SIGINT and SIGTERM on to the processes of its tasks and does not wait for them: it shows nothing any more that they have to
say. A terminal that is closed sends SIGHUP to those that are still of its session, as they are before ansible-core 2.19. Where Ansible is
killed they do not even get the signal.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import types
import typing as t

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.printable import (
    MAX_MESSAGE,
    printable,
)

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _Interrupted(BaseException):
    """A signal has come; whatever is under way ends."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextlib.contextmanager
def interruptible(last: t.Callable[[], None]) -> t.Iterator[None]:
    """Call ``last`` where one of these signals comes meanwhile, once the interrupted block is left, and then let the signal have its usual effect."""
    if threading.current_thread() is not threading.main_thread():
        # No other one may handle signals.
        yield
        return
    # One that is ignored, as by nohup, stays so.
    before: dict[int, t.Any] = {
        number: signal.signal(number, _interrupt)
        for number in _SIGNALS
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield
    except _Interrupted as interrupted:
        last()
        _restore(before)
        os.kill(os.getpid(), interrupted.number)
        raise
    finally:
        _restore(before)


def _interrupt(number: int, frame: types.FrameType | None) -> None:
    # A second one, as from a terminal and from Ansible, changes nothing.
    for each in _SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise _Interrupted(number)


def _restore(handlers: t.Mapping[int, t.Any]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)


class Screen:
    """Where the process ``pid`` shows what goes wrong, as long as this one needs it: a terminal, a file or a pipe."""

    def __init__(self, pid: int) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            self._handle: int | None = os.open(f"/proc/{pid}/fd/2", flags)
        except OSError:
            # It may be a socket, which cannot be opened.
            self._handle = None

    def show(self, text: str) -> None:
        """Show a line; where there is no terminal, the record says it."""
        if self._handle is not None:
            with contextlib.suppress(OSError):
                os.write(self._handle, f"{printable(text, MAX_MESSAGE)}\n".encode())


def still_moving(label: str, host: str, clean_up: str) -> str:
    """Return what an operator must know of a guest of ``host`` that is on its way when the run ends."""
    return (
        f"{label}: the run has ended during its migration from {host}, and libvirt continues it. When it has arrived, or is back"
        " (virsh domjobinfo), run the same command again, which moves the others and takes the rest up, or clean up with"
        f" {clean_up}"
    )
