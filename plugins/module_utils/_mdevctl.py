# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Persistent definitions of mediated devices, kept by the mdevctl tool."""

from __future__ import annotations

import json

TYPE_CHECKING = False
if TYPE_CHECKING:  # pragma: no cover
    import typing as t

    # Runs mdevctl with arguments and standard input: exit status, standard output and error.
    _Run = t.Callable[[t.List[str], t.Optional[str]], t.Tuple[int, str, str]]


_STANDARD_INPUT = "/proc/self/fd/0"


class MdevctlError(Exception):
    """mdevctl failed; the message is the command and what it said."""


class Mdevctl:
    """The definitions, ``{mdev_type, start, attrs}`` as mdevctl keeps them."""

    def __init__(self, run: _Run) -> None:
        self._run = run

    def definitions(self) -> dict[str, dict[str, dict[str, t.Any]]]:
        """All definitions, by UUID and then by parent."""
        # Asked for one UUID, mdevctl gives another shape, without the parent.
        output = self._call(["list", "--defined", "--dumpjson"])
        try:
            listed = json.loads(output or "[]")
        except ValueError as error:
            raise MdevctlError(f"mdevctl gave no JSON: {error}") from None
        found: dict[str, dict[str, dict[str, t.Any]]] = {}
        for parents in listed:
            for parent, devices in parents.items():
                for device in devices:
                    for uuid, each in device.items():
                        found.setdefault(uuid, {})[parent] = each
        return found

    def define(self, uuid: str, parent: str, content: dict[str, t.Any]) -> None:
        self._call(
            ["define", "--uuid", uuid, "--parent", parent, "--jsonfile", _STANDARD_INPUT],
            json.dumps(content),
        )

    def undefine(self, uuid: str, parent: str) -> None:
        self._call(["undefine", "--uuid", uuid, "--parent", parent])

    def _call(self, arguments: list[str], data: str | None = None) -> str:
        status, output, error = self._run(arguments, data)
        if status != 0:
            said = " ".join(error.split()) or f"exit status {status}"
            raise MdevctlError(f"mdevctl {' '.join(arguments)}: {said}")
        return output


def definition(type_id: str | None, attributes: t.Iterable[tuple[str, str]]) -> dict[str, t.Any]:
    """The definition of a device that mdevctl makes again when its parent appears."""
    return {
        "mdev_type": type_id,
        "start": "auto",
        "attrs": [{name: value} for name, value in attributes],
    }


def is_defined(
    found: t.Mapping[str, t.Any] | None,
    type_id: str | None,
    attributes: t.Sequence[tuple[str, str]],
) -> bool:
    """Whether the definition ``found`` says what is wanted; its attributes are named with their group."""
    if found is None or (found.get("mdev_type"), found.get("start")) != (type_id, "auto"):
        return False
    stated = [pair for each in found.get("attrs") or [] for pair in each.items()]
    return len(stated) == len(attributes) and all(
        value == wanted_value and name in (wanted, name.rpartition("/")[0] + "/" + wanted)
        for (name, value), (wanted, wanted_value) in zip(stated, attributes)
    )
