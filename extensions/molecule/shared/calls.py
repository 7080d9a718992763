# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls of modules on the host that this runs on, each in a process of its own, and the state of its mediated devices.

The state is read by means other than the modules'.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible.module_utils import basic
from ansible_collections.vfio.migration.plugins.modules import vfio_mdev

DEVICES = Path("/sys/bus/mdev/devices")
PARENTS = Path("/sys/class/mdev_bus")
DEFINITIONS = Path("/etc/mdevctl.d")
JOURNALS = Path("/run/vfio.migration/mdev")

# What is looked at of each device that has it.
_ATTRIBUTES = {"aggregator": "intel_vgpu/aggregator", "ap_config": "ap_config"}


class Call:
    """One call of a module, ``main``; ``prepare`` runs in its process before."""

    def __init__(
        self,
        prepare: Callable[[], object] = lambda: None,
        main: Callable[[], None] = vfio_mdev.main,
        **arguments: Any,
    ) -> None:
        self._output = os.memfd_create("output")
        self._main = main
        self._pid = os.fork()
        if not self._pid:
            self._run(prepare, arguments)

    def result(self) -> dict[str, Any] | None:
        """Wait for the result; ``None`` where the call was killed."""
        os.waitpid(self._pid, 0)
        with os.fdopen(self._output, "rb") as output:
            output.seek(0)
            text = output.read()
        return dict(json.loads(text)) if text else None

    def _run(self, prepare: Callable[[], object], arguments: dict[str, Any]) -> None:
        status = 1
        try:
            os.dup2(self._output, 1)
            basic._ANSIBLE_ARGS = json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode()
            # Since ansible-core 2.19.
            basic._ANSIBLE_PROFILE = "legacy"
            prepare()
            self._main()
        except SystemExit:
            status = 0
        finally:
            os._exit(status)


def call(main: Callable[[], None] = vfio_mdev.main, **arguments: Any) -> dict[str, Any]:
    """Return the result of a call that nobody kills."""
    result = Call(main=main, **arguments).result()
    if result is None:
        raise AssertionError("the module gave no result")
    return result


def state() -> dict[str, dict[str, Any]]:
    """Return every device and definition: parent, type and attributes of each, by UUID."""
    found: dict[str, dict[str, Any]] = {}
    for device in DEVICES.iterdir():
        target = device.resolve()
        active = {
            "parent": target.parent.name,
            "type": (target / "mdev_type").resolve().name,
            **{
                name: (target / path).read_text().strip()
                for name, path in _ATTRIBUTES.items()
                if (target / path).exists()
            },
        }
        found.setdefault(device.name, {})["active"] = active
    for definition in DEFINITIONS.glob("*/*"):
        content = {"parent": definition.parent.name, **json.loads(definition.read_text())}
        found.setdefault(definition.name, {})["defined"] = content
    return found


def left_in_run(journals: Path = JOURNALS) -> list[str]:
    """Return the names of journals; a lock that names one which is not there means nothing."""
    return [path.name for path in journals.glob("*.journal")]


def make(device: dict[str, Any]) -> None:
    """Make and define a device, given as to the module."""
    pairs = [(each["name"], each["value"]) for each in device["attributes"]]
    place = PARENTS / device["parent"] / "mdev_supported_types" / device["type"]
    (place / "create").write_text(device["uuid"])
    for name, value in pairs:
        (DEVICES / device["uuid"] / name).write_text(f"{value}\n")
    definition = {
        "mdev_type": device["type"],
        "start": "auto",
        "attrs": [{name: f"{value}\n"} for name, value in pairs],
    }
    file = DEFINITIONS / device["parent"] / device["uuid"]
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(definition))


def clear() -> None:
    """Remove every device, definition and journal."""
    for device in list(DEVICES.iterdir()):
        (device / "remove").write_text("1")
    for file in (*DEFINITIONS.glob("*/*"), *JOURNALS.glob("*")):
        file.unlink()
