#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: report_step
short_description: Decide what the playbook report does next
version_added: 0.1.0
description:
  - Decides on the control node, between the plays of the playbook C(vfio.migration.report), which hosts to contact, and checks which of them
    answered.
  - Then plans, if requested, and writes the report.
  - Use it only in that playbook. Its options are those of the role P(vfio.migration.report#role), without the prefix C(report_).
author:
  - vfio.migration contributors (@vfio-migration)
extends_documentation_fragment:
  - vfio.migration._attributes
  - vfio.migration._attributes.step
  - vfio.migration._plan
  - vfio.migration._plan.conditions
  - vfio.migration._plan.capacity
  - vfio.migration._plan.moves
attributes:
  check_mode:
    support: none
    details:
      - The action writes the files on the control node in check mode, too, because they are the purpose of the playbook.
  diff_mode:
    support: partial
    details:
      - With O(diff), the action shows how the plan changes.
options:
  step:
    description:
      - V(begin) reads and checks the other options. V(look) determines which hosts answered.
      - V(write) does so, too, then plans if requested, and writes the report.
    type: str
    choices:
      - begin
      - look
      - write
    required: true
  hosts:
    description: Patterns of the hosts to report on. Each pattern must match a host.
    type: list
    elements: str
  chosen_by:
    description: The name of the variable with the patterns, for messages.
    type: str
    default: report_hosts
  max_age:
    description:
      - The maximum age in seconds of facts that were not gathered in this run, as in O(vfio.migration.migration_report#module:max_age).
    type: int
  plan:
    description: The plan to report on, as in O(vfio.migration.migration_report#module:plan).
    type: raw
  plan_file:
    description: The file on the control node with the plan, instead of O(plan).
    type: path
  record:
    description: The record of migrations whose last run to report, as in O(vfio.migration.migration_report#module:record).
    type: path
  title:
    description: The title of the report.
    type: str
    default: Migration report
  diff:
    description: Whether to return how the plan changes.
    type: bool
    default: false
  gather:
    description: Whether to contact the hosts.
    type: bool
    default: true
  dest:
    description: The directory for the report.
    type: path
    default: migration-report
seealso:
  - module: vfio.migration.migration_plan
  - module: vfio.migration.migration_report
  - ref: ansible_collections.vfio.migration.docsite.getting_started_guide
    description: From the installation to a migrated guest.
"""

EXAMPLES = r"""
- name: Read the options for a report on draining host a
  vfio.migration.report_step:
    step: begin
    hosts: "{{ groups['hypervisors'] }}"
    drain:
      - a
  delegate_to: localhost
  run_once: true
  register: report_run
"""

RETURN = r"""
asked:
  description: The hosts to contact.
  returned: after the steps C(begin) and C(look)
  type: list
  elements: str
stale:
  description: The hosts whose earlier answers of this run must be discarded.
  returned: after the steps C(begin) and C(look)
  type: list
  elements: str
known:
  description: The hosts to report on.
  returned: after the step C(look)
  type: list
  elements: str
silent:
  description: The hosts that did not answer, each with the reason.
  returned: after the step C(look)
  type: dict
verdict:
  description: The conclusion of the report, as M(vfio.migration.migration_report) returns it.
  returned: after the step C(write)
  type: dict
totals:
  description: The totals of the report, as M(vfio.migration.migration_report) returns them.
  returned: after the step C(write)
  type: dict
plan:
  description: The file with the plan.
  returned: after the step C(write), if it has made one
  type: str
html:
  description: The file with the HTML page.
  returned: after the step C(write)
  type: str
markdown:
  description: The file with the summary in Markdown, for a ticket.
  returned: after the step C(write)
  type: str
json:
  description: The file with the report as JSON, for programs.
  returned: after the step C(write)
  type: str
metrics:
  description: The file with the metrics for Prometheus.
  returned: after the step C(write)
  type: str
"""
