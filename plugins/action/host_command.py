# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.answers import (
    HostAction,
    documented,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.printing import explained

_OPTIONS = {
    "argv": {"type": "list", "elements": "str", "required": True},
    "stdin": {"type": "str"},
}


class ActionModule(HostAction):
    """Runs a program on the host, and takes of the answer what ``ansible.builtin.command`` documents."""

    _supports_check_mode = True
    _supports_async = True

    @explained
    def run(
        self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None
    ) -> dict[str, t.Any]:
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        validate: t.Any = self.validate_argument_spec
        options = validate(argument_spec=_OPTIONS)[1]
        wrap_async = bool(self._task.async_val) and not self._connection.has_native_async
        answer = self._execute_module(
            module_name="ansible.builtin.command",
            module_args={**options, "_uses_shell": False},
            task_vars=task_vars,
            wrap_async=wrap_async,
        )
        if not wrap_async:
            self.remove_temporary()
        texts: dict[str, t.Any] = {
            key: str(answer[key]) for key in ("stdout", "stderr") if key in answer
        }
        return {**result, **documented({**answer, **texts}, {"stdout", "stderr"})}
