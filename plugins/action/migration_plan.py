# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import typing as t
from collections import Counter

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.printable import printable
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.arguments import with_lists
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.fact_cache import read_once
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.own_plans import remember
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.plan_arguments import ARGUMENTS
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.plan_file import (
    stamped,
    write_plan,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.plan_options import plan_for
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.printing import explained


class ActionModule(ActionBase):
    """Plans on the control node, with the facts in ``hostvars``."""

    _supports_check_mode = True
    _supports_diff = True
    _requires_connection = False

    @explained
    def run(
        self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None
    ) -> dict[str, t.Any]:
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        validate: t.Any = self.validate_argument_spec
        spec = {**ARGUMENTS, "dest": {"type": "path"}, "left_out": {"type": "dict"}}
        self._task.args = with_lists(self._task.args, spec)
        options = validate(argument_spec=spec)[1]
        dest = options.pop("dest")
        hostvars = read_once((task_vars or {})["hostvars"])
        plan = plan_for(hostvars, progress=_show, made=remember, **options)
        plan = stamped(plan, hostvars)
        result["summary"] = _summary(plan)
        result["changed"] = False
        if dest is None:
            result["plan"] = plan
        else:
            difference = write_plan(dest, plan, bool(self._task.check_mode))
            result.update(dest=dest, changed=difference is not None)
            if difference is not None and self._task.diff:
                result["diff"] = difference
        return result


def _show(words: str) -> None:
    Display().v(printable(f"migration_plan: {words}"))


def _summary(plan: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    placements, shortage = plan["placements"], plan["shortage"]
    return {
        "status": plan["status"],
        "solver": plan["solver"],
        "cost": plan["cost"],
        "bound": plan["bound"],
        "placed": len(placements),
        "created": sum(each["target"]["create"] for each in placements),
        "unplaced": len(plan["unplaced"]),
        "waves": max((each["wave"] for each in placements), default=0),
        "hosts": dict(sorted(Counter(each["target"]["host"] for each in placements).items())),
        "changed": len(plan["changes"]),
        "shortage": shortage and {key: shortage[key] for key in ("need", "reachable")},
        "unknown": len(plan["unknown"]),
    }
