# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Persistent definitions of mediated devices, kept by the mdevctl tool."""

from __future__ import annotations

import json
import os
import re
import typing as t

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.drivers import line_for
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.errors import (
    VfioMigrationError,
)

# Runs mdevctl with arguments and standard input: exit status, standard output and error.
_Run = t.Callable[[t.List[str], t.Optional[str]], t.Tuple[int, str, str]]


# More than the definitions of any host.
_MAX_OUTPUT = 16 * 1024 * 1024
_STANDARD_INPUT = "/proc/self/fd/0"
_RULE = "60-mdevctl.rules"
# In the order in which udev looks.
_RULES = ("/etc/udev/rules.d", "/run/udev/rules.d", "/usr/lib/udev/rules.d", "/lib/udev/rules.d")
_PROGRAM = re.compile(r"/[^\s'\"]*/mdevctl(?=\s)")


class MdevctlError(VfioMigrationError):
    """mdevctl failed; the message is the command and what it said."""


class Mdevctl:
    """Reads and changes definitions, ``{mdev_type, start, attrs}`` as mdevctl keeps them; raises ``MdevctlError``."""

    def __init__(self, run: _Run) -> None:
        self._run = run

    def definitions(self) -> dict[str, dict[str, dict[str, t.Any]]]:
        """Return all definitions, by UUID and then by parent."""
        # Asked for one UUID, mdevctl gives another shape, without the parent.
        output = self._call(["list", "--defined", "--dumpjson"])
        if len(output) > _MAX_OUTPUT:
            raise MdevctlError(f"mdevctl lists more than {_MAX_OUTPUT} characters of definitions")
        try:
            listed = json.loads(output or "[]")
        except (ValueError, RecursionError) as error:
            raise MdevctlError(f"mdevctl gave no JSON: {error}") from None
        found: dict[str, dict[str, dict[str, t.Any]]] = {}
        for parents in _list(listed, "the whole"):
            for parent, devices in _object(parents, "the parents").items():
                for device in _list(devices, f"what is below {parent}"):
                    for uuid, each in _object(device, f"a device below {parent}").items():
                        found.setdefault(uuid, {})[parent] = _checked(each, uuid)
        return found

    def define(self, uuid: str, parent: str, content: dict[str, t.Any]) -> None:
        """Add a definition, or replace that of the same device."""
        self._call(
            ["define", "--uuid", uuid, "--parent", parent, "--jsonfile", _STANDARD_INPUT],
            json.dumps(content),
        )

    def undefine(self, uuid: str, parent: str) -> None:
        """Remove a definition."""
        self._call(["undefine", "--uuid", uuid, "--parent", parent])

    def _call(self, arguments: list[str], data: str | None = None) -> str:
        status, output, error = self._run(arguments, data)
        if status != 0:
            said = " ".join(error.split()) or f"exit status {status}"
            raise MdevctlError(f"mdevctl {' '.join(arguments)}: {said}")
        return output


def _list(value: t.Any, what: str) -> list[t.Any]:
    if not isinstance(value, list):
        raise MdevctlError(f"mdevctl gave malformed definitions: {what} is not a list")
    return value


def _object(value: t.Any, what: str) -> dict[str, t.Any]:
    if not isinstance(value, dict):
        raise MdevctlError(f"mdevctl gave malformed definitions: {what} is not an object")
    return value


def _checked(value: t.Any, uuid: str) -> dict[str, t.Any]:
    """Return a definition; raise ``MdevctlError`` where what is read of it has another form than mdevctl's."""
    content = _object(value, f"the definition of {uuid}")
    for name in ("mdev_type", "start"):
        if not isinstance(content.get(name), (str, type(None))):
            raise MdevctlError(
                f"mdevctl gave malformed definitions: {name} of {uuid} is not a text"
            )
    for each in _list(content.get("attrs") or [], f"attrs of {uuid}"):
        for name, text in _object(each, f"an attribute of {uuid}").items():
            if not isinstance(text, str):
                raise MdevctlError(
                    f"mdevctl gave malformed definitions: {name} of {uuid} is not a text"
                )
    return content


def autostart_problem(directories: t.Iterable[str] = _RULES) -> str | None:
    """Return why definitions do not become devices when the host starts; ``None`` if nothing is known to prevent it.

    A rule of udev starts them, and packages of Debian and Ubuntu have one that names a program that is elsewhere
    (mdevctl, https://github.com/mdevctl/mdevctl/issues/82).
    """
    rule = next(
        (path for path in (f"{each}/{_RULE}" for each in directories) if os.path.exists(path)), None
    )
    if rule is None:
        return None
    with open(rule, encoding="utf-8", errors="replace") as file:
        missing = {path for path in _PROGRAM.findall(file.read()) if not os.path.exists(path)}
    if not missing:
        return None
    return f"{rule} runs {', '.join(sorted(missing))}, which is not there; a link to mdevctl would be right"


def definition(type_id: str | None, attributes: t.Iterable[tuple[str, str]]) -> dict[str, t.Any]:
    """Return the definition of a device that mdevctl creates again when its parent appears.

    mdevctl writes a value as it is defined, and some drivers take the last byte for the newline that ``echo`` writes and
    drop it (``write_attr`` in mdevctl's src/mdev.rs; oVirt, vdsm, issue 92). So each value is the line that is written.
    """
    return {
        "mdev_type": type_id,
        "start": "auto",
        "attrs": [{name: line_for(name, value)} for name, value in attributes],
    }


def is_defined(
    found: t.Mapping[str, t.Any] | None,
    type_id: str | None,
    attributes: t.Sequence[tuple[str, str]],
) -> bool:
    """Return whether the definition ``found`` says what is wanted, whose attributes are named with their group.

    One without the newlines of ``definition`` does not: the next start of the host would cut its values.
    """
    if found is None or (found.get("mdev_type"), found.get("start")) != (type_id, "auto"):
        return False
    stated = [pair for each in found.get("attrs") or [] for pair in each.items()]
    return len(stated) == len(attributes) and all(
        value == line_for(name, wanted_value)
        and name in (wanted, name.rpartition("/")[0] + "/" + wanted)
        for (name, value), (wanted, wanted_value) in zip(stated, attributes)
    )
