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
  - Decides on the control node, between the plays of the playbook C(vfio.migration.report), which hosts are asked, and sees which of them answered.
  - It is a part of that playbook, and of use to nothing else. Its options are those of the role P(vfio.migration.report#role), without C(report_).
author:
  - vfio.migration contributors (@vfio-migration)
extends_documentation_fragment:
  - vfio.migration._attributes
  - vfio.migration._attributes.step
attributes:
  check_mode:
    support: full
options:
  step:
    description: V(begin) reads and checks the other options, V(look) sees who answered.
    type: str
    choices:
      - begin
      - look
    required: true
  hosts:
    description: The hosts to report on, as patterns; each of them must match something.
    type: list
    elements: str
  chosen_by:
    description: The variable that has the patterns, for messages.
    type: str
    default: report_hosts
  drain:
    description: The hosts to drain in the plan, which must be among O(hosts).
    type: list
    elements: str
  targets:
    description: The hosts that may receive, which must be among O(hosts).
    type: list
    elements: str
  moves:
    description: Whether guests or devices are named that are to be moved in the plan.
    type: bool
    default: false
  gather:
    description: Whether the hosts are asked.
    type: bool
    default: true
  dest:
    description: The directory to write to.
    type: path
    default: migration-report
seealso:
  - module: vfio.migration.migration_report
"""

EXAMPLES = r"""
- name: Read the options of a report on draining host a
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
  description: The hosts that are asked.
  returned: always
  type: list
  elements: str
stale:
  description: Those of which an answer from earlier in the run is to be forgotten.
  returned: always
  type: list
  elements: str
known:
  description: The hosts that are reported on.
  returned: after the step C(look)
  type: list
  elements: str
silent:
  description: Those that did not answer, each with the reason.
  returned: after the step C(look)
  type: dict
"""
