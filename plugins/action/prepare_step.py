# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.plan_arguments import ARGUMENTS
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.preparing import (
    begin,
    end,
    plan_next,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.steps import StepAction


class ActionModule(StepAction):
    """Decides on the control node what the playbook ``prepare`` does next."""

    playbook = "prepare"
    first = staticmethod(begin)
    steps: t.ClassVar = {"plan": plan_next, "end": end}
    options: t.ClassVar = {
        **{name: each for name, each in ARGUMENTS.items() if name != "earlier"},
        "gather": {"type": "bool", "default": True},
        # Whether another playbook has had the hosts gather their facts for this one, in this run.
        "answered": {"type": "bool", "default": False},
        "earlier": {"type": "raw"},
        "dest": {"type": "path", "default": "migration-plan.json"},
        "partial": {"type": "bool", "default": False},
        "attempts": {"type": "int", "default": 3},
        "persistent": {"type": "bool", "default": False},
        "timeout": {"type": "int", "default": 10},
    }
