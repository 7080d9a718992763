# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._compat.verdict import DIRECTIONS
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.candidate_options import (
    candidates_for,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.fleet_question import (
    FleetQuestion,
)
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import CandidateAnswer


class ActionModule(FleetQuestion):
    """Lists the hosts that can take guests."""

    asked = "candidates"
    shape = CandidateAnswer
    answer = staticmethod(candidates_for)
    options: t.ClassVar = {
        "source": {"type": "raw"},
        "drain": {"type": "list", "elements": "str"},
        "guests": {"type": "list", "elements": "str"},
        "devices": {"type": "list", "elements": "dict"},
        "targets": {"type": "list", "elements": "str"},
        "direction": {"type": "str", "choices": [*DIRECTIONS], "default": DIRECTIONS[0]},
    }
