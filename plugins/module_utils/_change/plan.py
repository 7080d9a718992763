# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What is asked of devices and what is to be done for them, as it is put for all kinds of devices. Pure."""

from __future__ import annotations

from ansible_collections.vfio.migration.plugins.module_utils._change.errors import ProvisionError

TYPE_CHECKING = False
if TYPE_CHECKING:  # pragma: no cover
    import typing as t

PRESENT = "present"
ABSENT = "absent"

CREATED = "created"
CONFIGURED = "configured"
UNCHANGED = "unchanged"
REMOVED = "removed"


class Action:
    """What is to be done for one device, ``name``; ``action`` is the word for it. The subclasses are for its kinds."""

    def __init__(self, name: str, action: str) -> None:
        self.name = name
        self.action = action

    @property
    def changes(self) -> bool:
        return self.action != UNCHANGED

    def predicted(self) -> dict[str, t.Any]:
        """The device as it will be: the result in check mode."""
        raise NotImplementedError

    def sides(self) -> tuple[dict[str, t.Any], dict[str, t.Any]]:
        """The device before and afterwards, for the diff; empty where there is none."""
        raise NotImplementedError


class Plan:
    """What is to be done on one host: the actions for what the user lists, by the name of the option and in order."""

    def __init__(self, state: str, **lists: t.Sequence[t.Any]) -> None:
        self.state = state
        self.lists = lists

    @property
    def changes(self) -> bool:
        return any(action.changes for actions in self.lists.values() for action in actions)

    def predicted(self) -> dict[str, t.Any]:
        """What the module returns in check mode."""
        return {
            name: [action.predicted() for action in actions] for name, actions in self.lists.items()
        }

    def diff(self) -> dict[str, dict[str, t.Any]]:
        """``before`` and ``after`` of the devices that change, by name; empty where there is nothing."""
        before: dict[str, dict[str, t.Any]] = {}
        after: dict[str, dict[str, t.Any]] = {}
        for actions in self.lists.values():
            for action in actions:
                if action.changes:
                    for side, content in zip((before, after), action.sides()):
                        side.setdefault(action.name, {}).update(content)
        return {"before": before, "after": after}


def check_distinct(names: t.Sequence[str], option: str = "devices") -> None:
    """Raises ``ProvisionError`` where one of ``names`` is in the user's list twice."""
    seen = set()
    for name in names:
        if name in seen:
            raise ProvisionError("validate", f"it is in the list of {option} twice", name)
        seen.add(name)
