# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.plan_arguments import ARGUMENTS
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.reporting import (
    begin,
    look,
    write,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.steps import StepAction


class ActionModule(StepAction):
    """Decides on the control node which hosts the playbook ``report`` asks, notes which answered, and writes the report."""

    playbook = "report"
    first = staticmethod(begin)
    steps: t.ClassVar = {"look": look, "write": write}
    options: t.ClassVar = {
        **{name: each for name, each in ARGUMENTS.items() if name != "earlier"},
        "chosen_by": {"type": "str", "default": "report_hosts"},
        "plan": {"type": "raw"},
        "plan_file": {"type": "path"},
        "record": {"type": "path"},
        "title": {"type": "str", "default": "Migration report"},
        "diff": {"type": "bool", "default": False},
        "gather": {"type": "bool", "default": True},
        "dest": {"type": "path", "default": "migration-report"},
    }
