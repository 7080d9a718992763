# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.cleaning import (
    begin,
    end,
    find_superfluous,
    settle,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.steps import StepAction


class ActionModule(StepAction):
    """Decides on the control node what the playbook ``cleanup`` does next."""

    playbook = "cleanup"
    first = staticmethod(begin)
    steps: t.ClassVar = {"decide": find_superfluous, "settle": settle, "end": end}
    options: t.ClassVar = {
        "hosts": {"type": "list", "elements": "str"},
        "remove": {"type": "list", "elements": "str", "default": ["prepared"]},
        "plan": {"type": "dict"},
        "from": {"type": "path", "default": "migration-plan.json"},
        "timeout": {"type": "int", "default": 10},
        "kept": {"type": "list", "elements": "list", "default": []},
    }
