# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: require_hosts
type: aggregate
short_description: Fail where a play matches no hosts
author:
  - vfio.migration contributors (@vfio-migration)
description:
  - Ansible skips a play that matches no hosts and is content, so a scenario without the lab's hosts would pass without testing anything.
"""

from ansible.plugins.callback import CallbackBase


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "require_hosts"
    CALLBACK_NEEDS_ENABLED = True

    def v2_playbook_on_no_hosts_matched(self) -> None:
        # Any other exception in a callback is a mere warning.
        raise SystemExit("A play matches no hosts; is the lab up?")
