#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_headroom
short_description: Show whether each host can be drained or can fail
version_added: 0.1.0
description:
  - Does what the filter P(vfio.migration.migration_headroom#filter) does, with the facts that M(vfio.migration.vfio_migration_facts) left
    in C(hostvars). It runs on the control node, and reads the facts without templating them.
  - With O(dest) the answer is written to a file, and only its sentences are returned.
author:
  - vfio.migration contributors (@vfio-migration)
notes:
  - Run it once, with C(run_once=true), and not on every host.
extends_documentation_fragment:
  - vfio.migration._attributes
  - vfio.migration._fleet.left_out
  - vfio.migration._fleet.max_age
  - vfio.migration._plan.conditions
  - vfio.migration._plan.capacity
  - vfio.migration._plan.search
attributes:
  check_mode:
    support: full
    details:
      - The hosts are looked at, but nothing is written.
  diff_mode:
    support: none
  idempotent:
    support: full
  platform:
    platforms: posix
    details:
      - The action runs on the control node and does not contact the managed host.
options:
  failure_domains:
    description:
      - Hosts that are drained, or fail, as a whole, such as those of a rack, as lists of hosts by the names of the domains.
      - Guests of one group in O(apart) are in no domain together.
    type: dict
  exempt:
    description: Hosts and failure domains that do not count for whether the fleet holds.
    type: list
    elements: str
  searches:
    description: The maximum number of classes of equal hosts for which a search is made. By default 400. See the filter
      P(vfio.migration.migration_headroom#filter).
    type: int
  hosts:
    description:
      - The hosts to look at. Those without facts, or whose facts cannot be used, are named in the answer.
      - By default all hosts of the inventory.
    type: list
    elements: str
  dest:
    description:
      - A file on the control node to write the answer to, as JSON. Its directory is made if it is not there.
      - Without it, the answer is returned.
    type: path
seealso:
  - plugin: vfio.migration.migration_headroom
    plugin_type: filter
  - module: vfio.migration.migration_report
  - ref: ansible_collections.vfio.migration.docsite.plan_guide
    description: The assumptions and guarantees of plans.
"""

EXAMPLES = r"""
- name: Check whether each host may fail
  hosts: hypervisors
  gather_facts: false
  become: true
  tasks:
    - name: Gather the descriptors
      vfio.migration.vfio_migration_facts:

    - name: Look at each host
      vfio.migration.migration_headroom:
        hosts: "{{ groups['hypervisors'] }}"
        failure_domains:
          rack1: "{{ groups['rack1'] }}"
      become: false
      run_once: true
      register: found

    - name: Stop if one cannot
      ansible.builtin.assert:
        that: found.headroom.holds
        fail_msg: "{{ found.sentences }}"
        quiet: true
      run_once: true
"""

RETURN = r"""
sentences:
  description: The conclusion and the first causes, each with its guests and what is short for them.
  returned: success
  type: list
  elements: str
headroom:
  description: The headroom, in the form that the filter P(vfio.migration.migration_headroom#filter) returns.
  returned: without O(dest)
  type: dict
dest:
  description: The file with the headroom.
  returned: with O(dest)
  type: str
"""
