#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: prepare_step
short_description: Decide what the playbook prepare does next
version_added: 0.1.0
description:
  - Decides on the control node, between the plays of the playbook C(vfio.migration.prepare), which devices each host creates or removes.
  - Use it only in that playbook. Its options are those of the role P(vfio.migration.prepare#role), without the prefix C(prepare_).
  - Reads the results that the tasks of the role registered in this run, as data. The result of a host affects only that host.
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
    support: full
    details:
      - In check mode, the action writes no files.
  diff_mode:
    details:
      - The action writes only the plan and the record of created devices. The tasks on the hosts show what changes.
options:
  step:
    description:
      - V(begin) reads and checks the other options. V(plan) records the devices that were created so far, and plans for the first time or again.
        V(end) reports what was prepared, and what is left.
    type: str
    choices:
      - begin
      - plan
      - end
    required: true
  hosts:
    description: Patterns of the hosts that can take part. Each pattern must match a host.
    type: list
    elements: str
  gather:
    description: Whether the hosts gather facts before the first plan. If not, only the hosts of the plan gather facts, before they create anything.
    type: bool
    default: true
  max_age:
    description: The maximum age in seconds of facts that were not gathered in this run, as in O(vfio.migration.migration_plan#module:max_age).
    type: int
  earlier:
    description: An earlier plan to carry out, or the file with it. Without O(drain) and O(sources), its own request applies.
    type: raw
  dest:
    description: The file for the plan. The record of created devices is in the same directory, as C(plan.progress.json) for C(plan.json).
    type: path
    default: migration-plan.json
  partial:
    description: Whether to prepare the devices that can move even if others cannot.
    type: bool
    default: false
  attempts:
    description: How many plans to try, 5 at most. A plan after which the action gives up a device does not count.
    type: int
    default: 3
  persistent:
    description: Whether to also define the targets, in mdevctl or as units of systemd.
    type: bool
    default: false
  timeout:
    description: How many seconds each module waits.
    type: int
    default: 10
seealso:
  - module: vfio.migration.migration_plan
  - ref: ansible_collections.vfio.migration.docsite.plan_guide
    description: The assumptions and guarantees of plans.
"""

EXAMPLES = r"""
- name: Read the options for draining host a
  vfio.migration.prepare_step:
    step: begin
    hosts: "{{ groups['hypervisors'] }}"
    drain:
      - a
  delegate_to: localhost
  run_once: true
  register: prepare_run
"""

RETURN = r"""
hosts:
  description: The hosts that can take part.
  returned: always
  type: list
  elements: str
asked_hosts:
  description: The hosts among them from which to gather facts.
  returned: always
  type: list
  elements: str
stale:
  description: The hosts whose earlier answers of this run must be discarded.
  returned: always
  type: list
  elements: str
plan:
  description: The plan, as P(vfio.migration.migration_plan#filter) returns it.
  returned: after a plan was made
  type: dict
participants:
  description: The hosts on which to create or configure devices, or from which to gather facts.
  returned: after a plan was made
  type: list
  elements: str
tasks:
  description: The devices to create or configure, by host.
  returned: after a plan was made
  type: dict
failures:
  description: The failures of all attempts, each with C(host), C(problem), C(parent), C(devices) and C(way).
  returned: after a plan was made
  type: list
  elements: dict
given_up:
  description: The devices for which no target works, each as a list of host, device and reason.
  returned: after a plan was made
  type: list
  elements: list
made:
  description: The devices that the run has created, or may have created, by host.
  returned: after a plan was made
  type: dict
undo_hosts:
  description: The hosts on which to remove devices.
  returned: when there is nothing left to create
  type: list
  elements: str
undo:
  description: The devices to remove, by host.
  returned: when there is nothing left to create
  type: dict
failure:
  description: The reason why nothing was prepared, and the devices that are left on which host. V(null) if nothing failed.
  returned: when there is nothing left to create
  type: str
left:
  description: The devices that could not be removed, by host.
  returned: at the end
  type: dict
place:
  description: The path of the record of created devices, and how to clean up with it, as text for people.
  returned: after the record was written
  type: str
sentences:
  description: Sentences on what was prepared, as text for people.
  returned: at the end
  type: list
  elements: str
"""
