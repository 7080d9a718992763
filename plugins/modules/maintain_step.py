#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: maintain_step
short_description: Decide what the playbook maintain does next
version_added: 0.1.0
description:
  - Decides on the control node, between the plays of the playbook C(vfio.migration.maintain), which hosts are drained and maintained next.
  - Use it only in that playbook. Its options are those of the role P(vfio.migration.maintain#role), without the prefix C(maintain_), and the
    options of the role P(vfio.migration.prepare#role) that limit targets, without the prefix C(prepare_).
  - Reads the results that the tasks of the role registered in this run, as data. The result of a host affects only that host.
author:
  - vfio.migration contributors (@vfio-migration)
extends_documentation_fragment:
  - vfio.migration._attributes
  - vfio.migration._attributes.step
  - vfio.migration._plan.conditions
  - vfio.migration._plan.capacity
  - vfio.migration._plan.moves
attributes:
  check_mode:
    support: full
    details:
      - In check mode, the action writes no files.
  diff_mode:
    details:
      - The action writes only its progress.
options:
  step:
    description:
      - V(begin) reads and checks the other options. V(plan) plans all remaining steps and selects the first. V(look) verifies that its hosts are
        empty. V(back) verifies that they have returned. V(end) reports what is left.
    type: str
    choices:
      - begin
      - plan
      - look
      - back
      - end
    required: true
  hosts:
    description: Patterns of the hosts that take part. Each pattern must match a host.
    type: list
    elements: str
  drain:
    description: The hosts to empty and maintain. They must be among O(hosts). By default, all of these. With an empty list, none.
    type: list
    elements: str
  role:
    description: The role to run on each host after it is empty.
    type: str
  tasks:
    description: The file with the tasks to run on each host after it is empty.
    type: path
  at_once:
    description: How many hosts can be away at the same time.
    type: int
    default: 1
  keep_order:
    description: Whether to empty the hosts in the order of O(drain).
    type: bool
    default: false
  use_returned:
    description: Whether hosts that have returned can receive.
    type: bool
    default: true
  partial:
    description: Whether to begin even if some hosts cannot be drained.
    type: bool
    default: false
  persistent:
    description: Whether all devices of a host must be present again after it returns, not only its parents.
    type: bool
    default: false
  timeout:
    description: How many seconds a host can be away.
    type: int
    default: 1800
  dest:
    description: The directory on the control node for the progress and the plans.
    type: path
    default: maintenance
  limited:
    description: Whether the run is limited to some hosts. The action refuses such a run.
    type: bool
    default: false
  targets:
    description: The hosts that can receive. By default, all of O(hosts). With an empty list, none.
    type: list
    elements: str
  direction:
    description: The side whose list decides, as in O(vfio.migration.compatibility#filter:direction).
    type: str
    choices:
      - source_lists
      - target_accepts
      - both
      - either
  policy:
    description: Which of several possible targets to use, as in O(vfio.migration.migration_plan#filter:policy).
    type: str
    choices:
      - pack
      - spread
  prefer:
    description: Hosts to use before all others, as in O(vfio.migration.migration_plan#filter:prefer).
    type: list
    elements: str
  apart:
    description: Groups of guests that must be on different hosts, as in O(vfio.migration.migration_plan#filter:apart).
    type: list
    elements: list
seealso:
  - plugin: vfio.migration.maintenance_plan
    plugin_type: filter
  - ref: ansible_collections.vfio.migration.docsite.maintenance_guide
    description: Drain a host, patch it, and bring its guests back.
"""

EXAMPLES = r"""
- name: Read the options of patching all hosts in turn
  vfio.migration.maintain_step:
    step: begin
    hosts: "{{ groups['hypervisors'] }}"
    role: example.site.patch
  delegate_to: localhost
  run_once: true
  register: maintain_run
"""

RETURN = r"""
asked:
  description: The hosts to gather facts from.
  returned: always
  type: list
  elements: str
stale:
  description: The hosts whose earlier answers of this run must be discarded.
  returned: always
  type: list
  elements: str
done:
  description: The hosts that have come back.
  returned: always
  type: list
  elements: str
now:
  description:
    - The next step, with the C(hosts) to work on, the hosts among them to C(drain), the C(targets), and the file C(dest) for the plan.
    - C(avoid) has the guests that do not go to some of the targets, as in O(vfio.migration.migration_plan#filter:avoid).
      C(keep_type) is whether devices keep their types.
  returned: always
  type: dict
wanted:
  description: The devices and parents that must be present again when each host is back.
  returned: after the step C(look)
  type: dict
failure:
  description: A sentence on what is left to do.
  returned: after the step C(end), if something is left
  type: str
sentences:
  description: Sentences on the next step.
  returned: after the step C(plan)
  type: list
  elements: str
"""
