# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in for libvirt's Python binding: its names, and answers that a test gives.

``Connection`` and ``Domain`` answer a method with what they were given under its name: a value, an exception to raise, or a
function to call. What they were not given they refuse, as libvirt does what a driver lacks.
"""

from __future__ import annotations

import sys
import types
import typing as t

VIR_ERR_NO_SUPPORT = 3
VIR_ERR_NO_DOMAIN = 42
VIR_ERR_OPERATION_TIMEOUT = 68
VIR_ERR_OPERATION_UNSUPPORTED = 84


class libvirtError(Exception):  # noqa: N801 - the binding's name
    """An error of libvirt, with its number."""

    def __init__(self, message, code=1):
        super().__init__(message)
        self._message, self._code = message, code

    def get_error_message(self):
        return self._message

    def get_error_code(self):
        return self._code


class Answering:
    """Something of libvirt that answers to its methods; ``asked`` are those that were called, with their arguments."""

    def __init__(self, **answers):
        self.answers = answers
        self.asked = []

    def __getattr__(self, name):
        def method(*arguments):
            self.asked.append((name, *arguments))
            if name not in self.answers:
                raise libvirtError(f"this function is not supported: {name}", VIR_ERR_NO_SUPPORT)
            answer = self.answers[name]
            if callable(answer):
                answer = answer(*arguments)
            if isinstance(answer, Exception):
                raise answer
            return answer

        return method


class Connection(Answering):
    """A connection."""


class Domain(Answering):
    """A guest; ``monitor`` is what QEMU answers, or a function of the command that returns it."""

    def __init__(self, monitor="{}", **answers):
        super().__init__(**answers)
        self.monitor = monitor


def install(monkeypatch, connection, constants=None, peers=None):
    """Let ``import libvirt`` and ``import libvirt_qemu`` find stand-ins; ``connection`` is what ``open`` returns or raises.

    ``peers`` are functions that return it for the URIs of other hosts.
    """
    binding: t.Any = types.ModuleType("libvirt")
    for name, value in {**_CONSTANTS, **(constants or {})}.items():
        setattr(binding, name, value)
    binding.libvirtError = libvirtError
    binding.handlers = []
    binding.opened = []
    binding.registerErrorHandler = lambda handler, context: binding.handlers.append(handler)

    def open_connection(uri):
        binding.opened.append(uri)
        if "@" in uri:
            if uri not in (peers or {}):
                raise libvirtError(f"no route to {uri}")
            return peers[uri]()
        if isinstance(connection, Exception):
            raise connection
        return connection() if isinstance(connection, types.FunctionType) else connection

    def monitor_command(domain, command, _flags):
        domain.asked.append(("qemuMonitorCommand", command))
        answer = domain.monitor(command) if callable(domain.monitor) else domain.monitor
        if isinstance(answer, Exception):
            raise answer
        return answer

    binding.open = open_connection
    qemu: t.Any = types.ModuleType("libvirt_qemu")
    qemu.qemuMonitorCommand = monitor_command
    monkeypatch.setitem(sys.modules, "libvirt", binding)
    monkeypatch.setitem(sys.modules, "libvirt_qemu", qemu)
    return binding


# As libvirt's headers have them.
_CONSTANTS = {
    "VIR_ERR_NO_SUPPORT": VIR_ERR_NO_SUPPORT,
    "VIR_ERR_NO_DOMAIN": VIR_ERR_NO_DOMAIN,
    "VIR_ERR_OPERATION_UNSUPPORTED": VIR_ERR_OPERATION_UNSUPPORTED,
    "VIR_CONNECT_LIST_DOMAINS_ACTIVE": 1,
    "VIR_DOMAIN_XML_INACTIVE": 2,
    "VIR_CONNECT_LIST_DOMAINS_INACTIVE": 2,
    "VIR_CONNECT_LIST_DOMAINS_PAUSED": 32,
    "VIR_CONNECT_LIST_NETWORKS_ACTIVE": 2,
    "VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE": 2,
    "VIR_STORAGE_VOL_FILE": 0,
    "VIR_STORAGE_VOL_BLOCK": 1,
    "VIR_STORAGE_VOL_DIR": 2,
    "VIR_STORAGE_VOL_NETWORK": 3,
    "VIR_STORAGE_VOL_NETDIR": 4,
    "VIR_CPU_COMPARE_INCOMPATIBLE": 0,
    "VIR_CPU_COMPARE_IDENTICAL": 1,
    "VIR_CPU_COMPARE_SUPERSET": 2,
    "VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT": 5,
    "VIR_DOMAIN_JOB_OPERATION_BACKUP": 9,
    "VIR_DOMAIN_NOSTATE": 0,
    "VIR_DOMAIN_RUNNING": 1,
    "VIR_DOMAIN_BLOCKED": 2,
    "VIR_DOMAIN_PAUSED": 3,
    "VIR_DOMAIN_PAUSED_USER": 1,
    "VIR_DOMAIN_PAUSED_MIGRATION": 2,
    "VIR_DOMAIN_PAUSED_STARTING_UP": 11,
    "VIR_DOMAIN_SHUTDOWN": 4,
    "VIR_DOMAIN_SHUTOFF": 5,
    "VIR_DOMAIN_CRASHED": 6,
    "VIR_DOMAIN_PMSUSPENDED": 7,
}
