# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import os
import typing as t

from ansible.plugins.action import ActionBase
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.verdict import DIRECTIONS
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.arguments import with_lists
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.fact_cache import read_once
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.files import content_of
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.own_plans import is_own
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.plan_file import plan_or_file
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.printing import explained
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.report_files import (
    FORMS,
    time_of_report,
    write_forms,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.report_options import (
    report_for,
)

_OPTIONS: dict[str, dict[str, t.Any]] = {
    "hosts": {"type": "list", "elements": "str"},
    "direction": {"type": "str", "choices": list(DIRECTIONS)},
    "plan": {"type": "raw"},
    "plan_file": {"type": "path"},
    "max_age": {"type": "int"},
    "left_out": {"type": "dict"},
    "headroom": {"type": "dict"},
    "record": {"type": "path"},
    "title": {"type": "str", "default": "Migration report"},
    "html": {"type": "path"},
    "markdown": {"type": "path"},
    "json": {"type": "path"},
    "metrics": {"type": "path"},
}


class ActionModule(ActionBase):
    """Reports on the control node, with the facts in ``hostvars``."""

    _supports_check_mode = True
    _requires_connection = False

    @explained
    def run(
        self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None
    ) -> dict[str, t.Any]:
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        validate: t.Any = self.validate_argument_spec
        self._task.args = with_lists(self._task.args, _OPTIONS)
        options = validate(argument_spec=_OPTIONS)[1]
        paths = {name: path for name in FORMS if (path := options.pop(name))}
        options["plan"] = plan_or_file(options, "plan", "plan_file")
        del options["plan_file"]
        options["record"] = (content_of(options["record"]) or "") if options["record"] else None
        hostvars = read_once((task_vars or {})["hostvars"])
        report = report_for(hostvars, **options, made=time_of_report(), is_own=is_own)
        if not self._task.check_mode:
            write_forms(report, paths)
        result.update(verdict=report["verdict"], totals=report["totals"], changed=bool(paths))
        result.update({name: os.path.abspath(path) for name, path in paths.items()})
        if "headroom" in report:
            headroom = report["headroom"]
            result["headroom"] = {"holds": headroom["holds"], "sentences": headroom["sentences"]}
        if not paths:
            result["report"] = report
        return result
