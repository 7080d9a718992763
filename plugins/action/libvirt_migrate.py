# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleActionFail
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.arguments import plain
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.guest_move import (
    GuestAction,
    as_result,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.printing import explained

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
    "attempt": {"type": "str"},
    "wait": {"type": "float"},
}
_Result = dict[str, t.Any]


class ActionModule(GuestAction):
    """Migrates a guest of libvirt: its host reads, sends and watches, the control node chooses its devices by the plan."""

    _supports_check_mode = True

    @explained
    def run(self, tmp: str | None = None, task_vars: _Result | None = None) -> _Result:
        result: _Result = super().run(tmp, task_vars)
        validate: t.Any = self.validate_argument_spec
        given = plain(validate(argument_spec=_OPTIONS)[1])
        try:
            if given["step"] != "all":
                options = {key: each for key, each in given.items() if each is not None}
                return {**result, **self.ask(options)}
            for name in ("plan", "destination"):
                if given[name] is None:
                    raise AnsibleActionFail(f"give the option {name}")
            move = self.move_of(given)
            return {**result, **as_result(move.check() if self._task.check_mode else move.run())}
        finally:
            self.remove_temporary()
