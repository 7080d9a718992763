# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Actions that decide on the control node what a playbook does next, in a play on localhost.

They touch no host. What was decided so far is handed on from step to step as the result of the task; what hosts
answered is read from ``hostvars``, as data.
"""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.errors import (
    VfioMigrationError,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.arguments import (
    plain,
    with_lists,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.fact_cache import read_once
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.inventory import matching
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.option_variables import (
    misspelt,
    naming_variables,
    options_of,
    undefined,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.printing import (
    bounded,
    failed,
    printed,
)
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import Paragraph, Sentence

BEGIN = "begin"
_Run = dict[str, t.Any]
# What is shown to the operator.
_SHOWN: dict[str, t.Any] = {"sentences": list[Sentence], "failure": Paragraph, "place": Sentence}
# What Ansible adds to the result of a task.
_ADDED = ("changed", "failed", "warnings", "deprecations", "invocation", "exception")


class StepAction(ActionBase):
    """An action with the option ``step``: ``begin`` reads the other options, each further one goes on from ``so_far``.

    Of the options ``hosts`` has patterns; for ``first`` these are the hosts that they choose.
    """

    _supports_check_mode = True
    _requires_connection = False

    playbook: t.ClassVar[str]
    # Options of other playbooks that it takes as well, by these.
    takes: t.ClassVar[t.Mapping[str, t.Collection[str]]] = {}
    options: t.ClassVar[dict[str, dict[str, t.Any]]]
    first: t.ClassVar[t.Any]
    steps: t.ClassVar[dict[str, t.Callable[[_Run, t.Any], _Run]]]

    def run(
        self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None
    ) -> dict[str, t.Any]:
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        chosen_by = self._task.args.get("chosen_by", f"{self.playbook}_hosts")
        playbook = chosen_by.removesuffix("_hosts")
        hostvars = read_once((task_vars or {})["hostvars"])
        spec = {
            **self.options,
            "step": {"type": "str", "choices": [BEGIN, *self.steps], "required": True},
            "so_far": {"type": "dict", "default": {}},
        }
        try:
            self._task.args = with_lists(self._task.args, spec)
            options = plain(self._validated(playbook, spec))
            step, so_far = options.pop("step"), options.pop("so_far")
            for key in _ADDED:
                so_far.pop(key, None)
            if step == BEGIN:
                groups = (task_vars or {})["groups"]
                self._check_defined(playbook, task_vars or {})
                result["warnings"] = [*misspelt(playbook, task_vars or {})]
                options["hosts"] = matching(chosen_by, options.get("hosts"), groups, self._loader)
                run = type(self).first(options, hostvars, bool(self._task.check_mode))
            else:
                run = self.steps[step](so_far, hostvars)
        except (VfioMigrationError, AnsibleActionFail) as error:
            return failed(result, playbook, error)
        for key, shape in _SHOWN.items():
            if run.get(key) is not None:
                run[key] = bounded(printed(run[key], shape))
        return {**result, "changed": False, **run}

    def _check_defined(self, playbook: str, variables: t.Mapping[str, t.Any]) -> None:
        """Raise ``AnsibleActionFail`` where an option that has not been read has an undefined value."""
        options = options_of(playbook)
        # A playbook without a role hands over its own values where an option has none.
        if playbook == self.playbook:
            options.difference_update(f"{playbook}_{name}" for name in self._task.args)
        for other, names in self.takes.items():
            options.update(f"{other}_{name}" for name in names if name not in self._task.args)
        template: t.Any = self._templar.template
        for words in undefined(options, variables, template):
            raise AnsibleActionFail(words)

    def _validated(self, playbook: str, spec: dict[str, dict[str, t.Any]]) -> t.Any:
        validate: t.Any = self.validate_argument_spec
        try:
            return validate(argument_spec=spec)[1]
        except AnsibleActionFail as error:
            raise AnsibleActionFail(naming_variables(playbook, error.message)) from None
