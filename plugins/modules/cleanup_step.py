#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: cleanup_step
short_description: Decide what the playbook cleanup does next
version_added: 0.1.0
description:
  - Decides on the control node, between the plays of the playbook C(vfio.migration.cleanup), which devices each host defines and removes.
  - Use it only in that playbook. Its options are those of the role P(vfio.migration.cleanup#role), without the prefix C(cleanup_).
  - Reads the results that the tasks of the role registered in this run, as data. The result of a host affects only that host.
author:
  - vfio.migration contributors (@vfio-migration)
extends_documentation_fragment:
  - vfio.migration._attributes
  - vfio.migration._attributes.step
attributes:
  check_mode:
    support: full
    details:
      - In check mode, the action writes no files.
  diff_mode:
    details:
      - The tasks on the hosts show what changes.
options:
  step:
    description:
      - V(begin) reads the other options and the files. V(decide) selects the devices to remove. V(settle) keeps the sources whose targets could
        not be defined in mdevctl. V(end) reports the devices that are left, and records them.
    type: str
    choices:
      - begin
      - decide
      - settle
      - end
    required: true
  hosts:
    description: Patterns of the hosts that can take part. Each pattern must match a host. Devices of the plan on other hosts stay.
    type: list
    elements: str
  remove:
    description:
      - What to remove. V(prepared) targets, V(vacated) sources, and the changes of V(interrupted) calls, according to the journals on hosts.
    type: list
    elements: str
    default:
      - prepared
  plan:
    description: The plan. By default, the action reads it from O(from).
    type: dict
  from:
    description: The file with the plan. The record of created devices is in the same directory, as C(plan.progress.json) for C(plan.json).
    type: path
    default: migration-plan.json
  timeout:
    description: How many seconds each module waits.
    type: int
    default: 10
  kept:
    description: The guests whose devices stay, each as a list of its host and its name. The playbook C(migrate_libvirt) sets them.
    type: list
    elements: list
    default: []
seealso:
  - plugin: vfio.migration.placement_states
    plugin_type: filter
  - plugin: vfio.migration.superfluous_devices
    plugin_type: filter
  - ref: ansible_collections.vfio.migration.docsite.maintenance_guide
    description: Drain a host, patch it, and bring its guests back.
"""

EXAMPLES = r"""
- name: Read the record of created devices
  vfio.migration.cleanup_step:
    step: begin
    hosts: "{{ groups['hypervisors'] }}"
    from: migration-plan.json
  delegate_to: localhost
  run_once: true
  register: cleanup_run
"""

RETURN = r"""
hosts:
  description: The hosts to contact.
  returned: always
  type: list
  elements: str
stale:
  description: The hosts whose earlier answers of this run must be discarded.
  returned: always
  type: list
  elements: str
states:
  description: How far each move has come, as P(vfio.migration.placement_states#filter) returns it.
  returned: after the step C(decide)
  type: list
  elements: dict
define_hosts:
  description: The hosts on which to define devices in mdevctl.
  returned: after the step C(decide)
  type: list
  elements: str
define:
  description: The devices to define, by host.
  returned: after the step C(decide)
  type: dict
participants:
  description: The hosts on which to remove devices.
  returned: after the step C(decide)
  type: list
  elements: str
tasks:
  description: The devices to remove, by host.
  returned: after the step C(decide)
  type: dict
sentences:
  description: A sentence for each move, as text for people.
  returned: after the step C(decide)
  type: list
  elements: str
left:
  description: The devices that could not be removed, by host.
  returned: at the end
  type: dict
notes:
  description: Sentences on functions that keep a MAC address that a guest has taken to another host.
  returned: at the end
  type: list
  elements: str
failure:
  description: A sentence on what is left on which host. V(null) if nothing is left.
  returned: at the end
  type: str
"""
