# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What is to be changed on one host, in the form that all kinds of devices share. Pure."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.vfio.migration.plugins.module_utils._change.errors import InvalidRequest

PRESENT = "present"
ABSENT = "absent"

CREATED = "created"
CONFIGURED = "configured"
UNCHANGED = "unchanged"
REMOVED = "removed"

# The change of a device's definition, by which the device is back after a reboot.
DEFINED = "defined"
UNDEFINED = "undefined"
REDEFINED = (DEFINED, UNDEFINED)


@dataclasses.dataclass
class DeviceChange:
    """The change of one device, ``name``; ``action`` is the word that the module returns for it."""

    name: str
    action: str

    @property
    def changed(self) -> bool:
        return self.action != UNCHANGED

    def predicted(self) -> dict[str, t.Any]:
        """Return the device as it will be, which is the result in check mode."""
        raise NotImplementedError

    def sides(self) -> tuple[dict[str, t.Any], dict[str, t.Any]]:
        """Return the device before and after the change, for the diff; empty where there is no device."""
        raise NotImplementedError


@dataclasses.dataclass
class HostChanges:
    """The changes of one host: by the name of the module's option, and in the order of the user's list."""

    state: str
    lists: t.Mapping[str, t.Sequence[t.Any]]

    @property
    def changed(self) -> bool:
        return any(change.changed for changes in self.lists.values() for change in changes)

    def predicted(self) -> dict[str, t.Any]:
        """Return the module's result in check mode."""
        return {
            name: [change.predicted() for change in changes] for name, changes in self.lists.items()
        }

    def diff(self) -> dict[str, dict[str, t.Any]]:
        """Return ``before`` and ``after`` of the devices that change, by name."""
        before: dict[str, dict[str, t.Any]] = {}
        after: dict[str, dict[str, t.Any]] = {}
        for changes in self.lists.values():
            for change in changes:
                if change.changed:
                    for side, content in zip((before, after), change.sides()):
                        side.setdefault(change.name, {}).update(content)
        return {"before": before, "after": after}


class Planner(t.Protocol):
    """Compares what the user wants with the host, and changes nothing."""

    def locks(self, *wanted: t.Any) -> t.Iterable[str]:
        """Return the names of the locks that the changes need, as far as they are known before planning."""

    def plan(self, *wanted: t.Any) -> HostChanges:
        """Return the changes in order; raise ``ProvisionError`` where they cannot be made."""


def check_distinct(names: t.Sequence[str], option: str = "devices") -> None:
    """Raise ``InvalidRequest`` where one of ``names`` stands in the user's list twice."""
    seen = set()
    for name in names:
        if name in seen:
            raise InvalidRequest(f"it is in the list of {option} twice", name)
        seen.add(name)
