# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.migrating import (
    check,
    find,
    locate,
    order,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.migration_request import begin
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.move_outcomes import (
    end,
    keep,
    look,
    trace,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.steps import StepAction


class ActionModule(StepAction):
    """Decides on the control node what the playbook ``migrate_libvirt`` does next."""

    playbook = "migrate_libvirt"
    takes: t.ClassVar = {
        "prepare": ("avoid", "apart", "capacity", "spare", "plan_file", "from", "dest")
    }
    first = staticmethod(begin)
    steps: t.ClassVar = {
        "locate": locate,
        "find": find,
        "check": check,
        "order": order,
        "trace": trace,
        "keep": keep,
        "look": look,
        "end": end,
    }
    options: t.ClassVar = {
        "hosts": {"type": "list", "elements": "str"},
        "guests": {"type": "list", "elements": "str"},
        "devices": {"type": "list", "elements": "dict"},
        "drain": {"type": "list", "elements": "str"},
        "targets": {"type": "list", "elements": "str"},
        "avoid": {"type": "list", "elements": "dict"},
        "apart": {"type": "list", "elements": "list"},
        "capacity": {"type": "dict"},
        "spare": {"type": "dict"},
        "ask_qemu": {"type": "bool", "default": True},
        "other_guests": {"type": "str", "default": "name"},
        "tls": {"type": "str", "default": "auto"},
        "multifd": {"type": "str", "default": "auto"},
        "connections": {"type": "int", "default": 2},
        "earlier": {"type": "raw"},
        "uri": {"type": "str", "default": "qemu+ssh://root@{host}/system"},
        "transport": {"type": "str", "default": "tcp://{host}"},
        "options": {"type": "list", "elements": "str", "default": []},
        "downtime": {"type": "int", "default": 2000},
        "downtime_max": {"type": "int"},
        "bandwidth": {"type": "int"},
        "stall": {"type": "int", "default": 300},
        "timeout": {"type": "int", "default": 3600},
        "dest": {"type": "str", "default": "migration-plan.json"},
        "record": {"type": "str"},
        "parallel": {"type": "int", "default": 2},
        "parallel_source": {"type": "int", "default": 1},
        "parallel_target": {"type": "int", "default": 1},
        "priority": {"type": "dict"},
        "max_failures": {"type": "int"},
        "not_after": {"type": "raw"},
    }
