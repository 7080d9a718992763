# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import os
import typing as t

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.answers import documented
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.arguments import plain
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.guest_move import (
    MODULE,
    STEP_RETURNS,
    GuestMove,
    as_result,
)

_OPTIONS: dict[str, dict[str, t.Any]] = {
    "uuid": {"type": "str", "required": True},
    "plan": {"type": "dict"},
    "source": {"type": "str"},
    "label": {"type": "str"},
    "destination": {"type": "str"},
    "transport": {"type": "str"},
    "options": {"type": "list", "elements": "str"},
    "downtime": {"type": "int"},
    "downtime_max": {"type": "int"},
    "stall": {"type": "int"},
    "timeout": {"type": "int"},
    "uri": {"type": "str"},
    "step": {"type": "str", "choices": ["all", "read", "start", "watch"], "default": "all"},
    "active_xml": {"type": "str", "no_log": True},
    "persistent_xml": {"type": "str", "no_log": True},
    "wait": {"type": "float"},
}
_Result = dict[str, t.Any]


class ActionModule(ActionBase):
    """Migrates a guest of libvirt: its host reads, sends and watches, the control node chooses its devices by the plan."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: _Result | None = None) -> _Result:
        result: _Result = super().run(tmp, task_vars)
        variables = task_vars or {}
        validate: t.Any = self.validate_argument_spec
        given = plain(validate(argument_spec=_OPTIONS)[1])

        def ask(options: _Result) -> _Result:
            answer = self._execute_module(
                module_name=MODULE, module_args=options, task_vars=variables
            )
            return t.cast(_Result, plain(documented(answer, STEP_RETURNS)))

        try:
            if given["step"] != "all":
                options = {key: each for key, each in given.items() if each is not None}
                return {**result, **ask(options)}
            for name in ("plan", "destination"):
                if given[name] is None:
                    raise AnsibleActionFail(f"{MODULE}: give the option {name}")
            run_of_ansible = os.getppid()
            move = GuestMove(
                given,
                variables["inventory_hostname"],
                ask,
                Display().display,
                # A process whose parent has ended gets another one.
                lambda: os.getppid() == run_of_ansible,
            )
            return {**result, **as_result(move.check() if self._task.check_mode else move.run())}
        finally:
            remove: t.Any = self._remove_tmp_path
            remove(self._connection._shell.tmpdir)
