# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.fleet_question import (
    FleetQuestion,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.headroom_options import (
    CONDITIONS,
    headroom_for,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.plan_arguments import ARGUMENTS
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import Headroom


class ActionModule(FleetQuestion):
    """Says which hosts and failure domains can be emptied."""

    asked = "headroom"
    shape = Headroom
    answer = staticmethod(headroom_for)
    options: t.ClassVar = {
        **{name: ARGUMENTS[name] for name in CONDITIONS},
        "exempt": {"type": "list", "elements": "str"},
        "searches": {"type": "int"},
    }
