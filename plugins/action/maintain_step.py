# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.maintaining import (
    back,
    begin,
    end,
    look,
    plan_next,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.maintenance_options import (
    CONDITIONS,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.plan_arguments import ARGUMENTS
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.steps import StepAction


class ActionModule(StepAction):
    """Decides on the control node what the playbook ``maintain`` does next."""

    playbook = "maintain"
    takes: t.ClassVar = {"prepare": frozenset(CONDITIONS) - {"targets"}}
    first = staticmethod(begin)
    steps: t.ClassVar = {"plan": plan_next, "look": look, "back": back, "end": end}
    options: t.ClassVar = {
        "hosts": {"type": "list", "elements": "str"},
        "drain": {"type": "list", "elements": "str"},
        "role": {"type": "str"},
        "tasks": {"type": "path"},
        "at_once": {"type": "int", "default": 1},
        "keep_order": {"type": "bool", "default": False},
        "use_returned": {"type": "bool", "default": True},
        "partial": {"type": "bool", "default": False},
        "persistent": {"type": "bool", "default": False},
        "timeout": {"type": "int", "default": 1800},
        "dest": {"type": "path", "default": "maintenance"},
        "limited": {"type": "bool", "default": False},
        **{name: ARGUMENTS[name] for name in CONDITIONS},
    }
