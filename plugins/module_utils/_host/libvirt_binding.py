# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Libvirt's own Python binding: loaded when it is needed, asked within a time, with errors that people can read.

A call of the binding waits in C, where no signal of Python's interrupts it, for as long as the daemon or QEMU's monitor
is silent. The binding lets other threads run meanwhile. So each call has a thread of its own, and the time that it may take.
"""

from __future__ import annotations

import importlib
import queue
import sys
import threading
import typing as t

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.errors import (
    VfioMigrationError,
)

DEFAULT_URI = "qemu:///system"
# Libvirt itself waits 30 seconds for a guest that another call is at work with.
CALL_SECONDS = 45
# libvirt's virDomainState, whose names begin with this.
DOMAIN_STATE = "VIR_DOMAIN_"
DOMAIN_STATES = (
    *("NOSTATE", "RUNNING", "BLOCKED", "PAUSED", "SHUTDOWN", "SHUTOFF", "CRASHED", "PMSUSPENDED"),
)
_BINDING = "libvirt"
_QEMU_BINDING = "libvirt_qemu"


class LibvirtError(VfioMigrationError):
    """Libvirt does not do what it is asked for; ``code`` is its number of the error, ``None`` where the error is not its own."""

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code


class Libvirt:
    """A connection to libvirt at ``uri``. Each of its calls may take ``seconds``.

    ``binding`` has libvirt's functions and constants, ``connection`` is what its ``open`` returned.
    """

    def __init__(self, uri: str = DEFAULT_URI, seconds: float = CALL_SECONDS) -> None:
        self.uri = uri
        self.seconds = seconds
        self.binding = _load(_BINDING)
        # It would write every error to the standard error as well.
        self.binding.registerErrorHandler(_say_nothing, None)
        self.connection = self.ask(
            f"libvirt at {uri} cannot be reached", lambda: self.binding.open(uri)
        )

    def ask(self, what: str, call: t.Callable[[], t.Any], seconds: float | None = None) -> t.Any:
        """Return what ``call`` returns; raise ``LibvirtError``, which begins with ``what``, where libvirt refuses or is silent.

        What a silent libvirt does afterwards is not known. Other calls of this connection still are answered.
        """
        seconds = self.seconds if seconds is None else seconds
        answers: queue.SimpleQueue[tuple[t.Any, Exception | None]] = queue.SimpleQueue()
        threading.Thread(target=_answer, args=(call, answers), daemon=True).start()
        try:
            found, error = answers.get(timeout=seconds)
        except queue.Empty:
            raise LibvirtError(f"{what}: there is no answer within {seconds:g} s") from None
        if error is None:
            return found
        if isinstance(error, self.binding.libvirtError):
            raise LibvirtError(f"{what}: {_words(error)}", error.get_error_code()) from error
        raise error

    def monitor_command(
        self, domain: t.Any, command: str, what: str, seconds: float | None = None
    ) -> str:
        """Return what QEMU answers to a ``command`` in JSON on its monitor. From then on libvirt calls the guest tainted."""
        qemu = _load(_QEMU_BINDING)
        return str(self.ask(what, lambda: qemu.qemuMonitorCommand(domain, command, 0), seconds))


def name_of(binding: t.Any, prefix: str, names: t.Iterable[str], code: t.Any) -> str | None:
    """Return which of these names, each after the ``prefix``, the binding has for a number, ``None`` where it has none."""
    found = [name for name in names if getattr(binding, prefix + name, None) == code]
    return found[0] if found else None


def reason_of(binding: t.Any, state: str, code: t.Any) -> str | None:
    """Return what the binding calls the reason of a state with this name, such as ``starting up``; ``None`` where it has none for a number."""
    # A state's name begins those of its reasons.
    prefix = f"{DOMAIN_STATE}{state}_"
    found = [
        each[len(prefix) :]
        for each in dir(binding)
        if each.startswith(prefix) and getattr(binding, each) == code
    ]
    return found[0].lower().replace("_", " ") if found else None


def _load(name: str) -> t.Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise LibvirtError(
            f"libvirt's Python binding is missing for {sys.executable} ({error}): install the package python3-libvirt,"
            " or set ansible_python_interpreter to an interpreter that has it, usually /usr/bin/python3"
        ) from error


def _answer(
    call: t.Callable[[], t.Any], answers: queue.SimpleQueue[tuple[t.Any, Exception | None]]
) -> None:
    try:
        answers.put((call(), None))
    except Exception as error:  # noqa: BLE001 - raised again where the answer is waited for
        answers.put((None, error))


def _words(error: t.Any) -> str:
    """Return what libvirt says of an error, which mostly begins with its kind."""
    return str(error.get_error_message() or error or "it says nothing")


def _say_nothing(_context: t.Any, _error: t.Any) -> None:
    """Take an error that is raised as well."""
