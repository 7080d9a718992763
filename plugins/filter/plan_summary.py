# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._planner.summary import (
    Summary,
    summarize,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.arguments import (
    as_filter,
    expected,
    plain,
)

DOCUMENTATION = r"""
name: plan_summary
short_description: Summarize a plan in sentences
version_added: 0.1.0
author:
  - vfio.migration contributors (@vfio-migration)
description:
  - Says what a plan moves where, and what keeps it from moving the rest.
  - The playbook C(vfio.migration.prepare) shows it.
options:
  _input:
    description: What P(vfio.migration.migration_plan#filter) returns.
    type: dict
    required: true
  left_out:
    description: Hosts that are excluded, each with the reason.
    type: dict
    default: {}
positional: _input, left_out
seealso:
  - plugin: vfio.migration.migration_plan
    plugin_type: filter
  - ref: ansible_collections.vfio.migration.docsite.plan_guide
    description: The assumptions and guarantees of plans.
"""

EXAMPLES = r"""
- name: Show what a plan does
  hosts: localhost
  gather_facts: false
  tasks:
    - name: Show the summary
      ansible.builtin.debug:
        msg: "{{ (lookup('ansible.builtin.file', 'plan.json') | from_json | vfio.migration.plan_summary).sentences }}"
"""

RETURN = r"""
_value:
  description: The summary of the plan.
  type: dict
  contains:
    sentences:
      description: Sentences on each move, on what was left out or replanned, and on each device that stays.
      type: list
      elements: str
    obstacles:
      description: A text on all devices that stay, with the reasons for each host. V(null) if all can move.
      type: str
"""


@as_filter("plan_summary")
def plan_summary(plan: t.Any, left_out: t.Any = None) -> Summary:
    with expected("the plan", "what migration_plan returns"):
        return summarize(plain(plan), plain(left_out or {}))


class FilterModule:
    """Filters of vfio.migration"""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"plan_summary": plan_summary}
