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
  - Decides on the control node, between the plays of the playbook C(vfio.migration.maintain), which hosts are emptied and worked on next.
  - It is a part of that playbook, and of use to nothing else. Its options are those of the role P(vfio.migration.maintain#role), without C(maintain_),
    and those of the role P(vfio.migration.prepare#role) on places, without C(prepare_).
  - Of what hosts answered, it takes what the tasks of the role registered in this run, as data, and of each host for that host alone.
author:
  - vfio.migration contributors (@vfio-migration)
extends_documentation_fragment:
  - vfio.migration._attributes
  - vfio.migration._attributes.step
  - vfio.migration._plan.conditions
  - vfio.migration._plan.capacity
attributes:
  check_mode:
    support: full
    details:
      - Nothing is written down.
  diff_mode:
    details:
      - What is written down is how far it has come.
options:
  step:
    description:
      - V(begin) reads and checks the other options. V(plan) plans all steps that are left and chooses the first. V(look) makes sure that its hosts are empty.
        V(back) makes sure that they are back. V(end) reports what is left.
    type: str
    choices:
      - begin
      - plan
      - look
      - back
      - end
    required: true
  hosts:
    description: The hosts that take part, as patterns; each of them must match something.
    type: list
    elements: str
  drain:
    description: The hosts to be emptied and worked on, which must be among O(hosts). By default all of these; with an empty list, none.
    type: list
    elements: str
  role:
    description: The role that is run on each host once it is empty.
    type: str
  tasks:
    description: The file with tasks that are run on each host once it is empty.
    type: path
  at_once:
    description: How many hosts can be away at a time.
    type: int
    default: 1
  keep_order:
    description: Whether hosts are emptied in the order of O(drain).
    type: bool
    default: false
  use_returned:
    description: Whether hosts that have come back may receive.
    type: bool
    default: true
  partial:
    description: Whether to begin where not all hosts can be emptied.
    type: bool
    default: false
  persistent:
    description: Whether all devices of a host must be there again, not only its parents.
    type: bool
    default: false
  timeout:
    description: For how many seconds a host may be away.
    type: int
    default: 1800
  dest:
    description: The directory on the control node for what says how far it has come, and for the plans.
    type: path
    default: maintenance
  limited:
    description: Whether the run is limited to some hosts, which is refused.
    type: bool
    default: false
  targets:
    description: The hosts that may receive. By default all of O(hosts); with an empty list, none.
    type: list
    elements: str
  direction:
    description: Whose list decides, as in O(vfio.migration.compatibility#filter:direction).
    type: str
    choices:
      - source_lists
      - target_accepts
      - both
      - either
  policy:
    description: Which of several targets to take, as in O(vfio.migration.migration_plan#filter:policy).
    type: str
    choices:
      - pack
      - spread
  prefer:
    description: Hosts that are taken before all others, as in O(vfio.migration.migration_plan#filter:prefer).
    type: list
    elements: str
  apart:
    description: Groups of guests of which no two may be on one host, as in O(vfio.migration.migration_plan#filter:apart).
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
