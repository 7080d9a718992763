# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import os
import typing as t

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.move import MOVED
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.answers import documented
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.arguments import plain
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.guest_move import (
    MODULE,
    STEP_RETURNS,
    GuestMove,
    as_result,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.host_moves import HostMoves
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.move_turns import (
    Route,
    TurnLimits,
    Turns,
)

_OPTIONS: dict[str, dict[str, t.Any]] = {
    "guests": {"type": "list", "elements": "dict", "required": True},
    "turns": {"type": "dict", "required": True},
}
_Result = dict[str, t.Any]


class ActionModule(ActionBase):
    """Migrates all guests that leave a host, each as ``libvirt_migrate`` does, when it is its turn."""

    def run(self, tmp: str | None = None, task_vars: _Result | None = None) -> _Result:
        result: _Result = super().run(tmp, task_vars)
        variables = task_vars or {}
        validate: t.Any = self.validate_argument_spec
        given = plain(validate(argument_spec=_OPTIONS)[1])
        host = variables["inventory_hostname"]
        run_of_ansible = os.getppid()

        def ask(options: _Result) -> _Result:
            answer = self._execute_module(
                module_name=MODULE, module_args=options, task_vars=variables
            )
            return t.cast(_Result, plain(documented(answer, STEP_RETURNS)))

        def goes_on() -> bool:
            # A process whose parent has ended gets another one.
            return os.getppid() == run_of_ansible

        turns = given["turns"]
        ways = [Route(*each) for each in turns["ways"]]
        guests = {
            each["number"]: GuestMove(each, host, ask, Display().display, goes_on)
            for each in given["guests"]
        }
        limits = TurnLimits(**turns["limits"])
        try:
            moves = HostMoves(host, guests, Turns(turns["directory"], ways, limits), goes_on)
            reports = moves.run()
        finally:
            remove: t.Any = self._remove_tmp_path
            remove(self._connection._shell.tmpdir)
        labels = {each["number"]: each["label"] for each in given["guests"]}
        found = {**result, "changed": any(each.tried for each in reports.values())}
        found["moves"] = [
            {**as_result(report), "number": number} for number, report in sorted(reports.items())
        ]
        staying = [labels[number] for number, each in reports.items() if each.outcome != MOVED]
        if staying:
            found |= {"failed": True, "msg": f"not migrated: {', '.join(sorted(staying))}"}
        return found
