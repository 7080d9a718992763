# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.move import (
    LOST,
    MOVED,
    MoveReport,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.arguments import plain
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.guest_move import (
    ENDED,
    GuestAction,
    as_result,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.host_moves import HostMoves
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.interruption import (
    interruptible,
    still_moving,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.migration_record import (
    note_begin,
    note_interruption,
    note_move,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.move_turns import (
    Route,
    TurnLimits,
    Turns,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.printing import explained

_OPTIONS: dict[str, dict[str, t.Any]] = {
    "guests": {"type": "list", "elements": "dict", "required": True},
    "turns": {"type": "dict", "required": True},
    "record": {
        "type": "dict",
        "required": True,
        "options": {
            "path": {"type": "path", "required": True},
            "run": {"type": "str", "required": True},
            "request": {"type": "str", "required": True},
            "clean_up": {"type": "str", "required": True},
        },
    },
}
_Result = dict[str, t.Any]


class ActionModule(GuestAction):
    """Migrates all guests that leave a host, each as ``libvirt_migrate`` does, when it is its turn."""

    @explained
    def run(self, tmp: str | None = None, task_vars: _Result | None = None) -> _Result:
        result: _Result = super().run(tmp, task_vars)
        validate: t.Any = self.validate_argument_spec
        given = plain(validate(argument_spec=_OPTIONS)[1])
        ways = [Route(*each) for each in given["turns"]["ways"]]
        limits = TurnLimits(**given["turns"]["limits"])
        guests = {each["number"]: self.move_of(each) for each in given["guests"]}
        migrations = {each["number"]: each["migration"] for each in given["guests"]}

        labels = {each["number"]: each["label"] for each in given["guests"]}
        record = {name: given["record"][name] for name in ("path", "run", "request")}

        def begins(number: int) -> None:
            note_begin(**record, migration=migrations[number])

        def ended(number: int, report: MoveReport) -> None:
            if ENDED in report.errors and report.outcome == LOST:
                left([number])
            else:
                note_move(**record, migration=migrations[number], report=report)

        def left(numbers: t.Iterable[int]) -> None:
            for number in numbers:
                note_interruption(**record, migration=migrations[number])
                self.show_at_last(
                    still_moving(labels[number], self.host, given["record"]["clean_up"])
                )

        try:
            turns = Turns(given["turns"]["directory"], ways, limits)
            moves = HostMoves(self.host, guests, turns, self.goes_on, begins, ended)
            with interruptible(lambda: left([*moves.moving])):
                reports = moves.run()
        finally:
            self.remove_temporary()
        found = {**result, "changed": any(each.tried for each in reports.values())}
        found["moves"] = [
            {**as_result(report), "number": number} for number, report in sorted(reports.items())
        ]
        staying = [labels[number] for number, each in reports.items() if each.outcome != MOVED]
        if staying:
            found |= {"failed": True, "msg": f"not migrated: {', '.join(sorted(staying))}"}
        return found
