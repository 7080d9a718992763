# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: require_hosts
type: aggregate
short_description: Fail where a playbook has run on no lab host
author:
  - vfio.migration contributors (@vfio-migration)
description:
  - Ansible skips a play that matches no hosts and is content, so a scenario without the lab's hosts would pass without testing anything.
  - Plays of the collection's playbooks match none where nothing is to be done; that some play did is what counts.
"""

from ansible.executor.stats import AggregateStats
from ansible.plugins.callback import CallbackBase


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "require_hosts"
    CALLBACK_NEEDS_ENABLED = True

    def v2_playbook_on_stats(self, stats: AggregateStats) -> None:
        if not stats.processed.keys() - {"localhost"}:
            # Any other exception in a callback is a mere warning.
            raise SystemExit("No play has matched hosts; is the lab up?")
