#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_plan
short_description: Plan which device of a fleet goes where
version_added: 0.1.0
description:
  - Does what the filter P(vfio.migration.migration_plan#filter) does, with the facts that M(vfio.migration.vfio_migration_facts) left
    in C(hostvars), for fleets of any size. It runs on the control node, and reads the facts without templating them.
  - With O(dest) the plan is written to a file, and only a summary is returned.
  - With verbosity 1 (C(-v)) it shows its progress.
author:
  - vfio.migration contributors (@vfio-migration)
notes:
  - Run it once, with C(run_once=true), and not on every host.
extends_documentation_fragment:
  - vfio.migration._attributes
  - vfio.migration._plan
  - vfio.migration._plan.conditions
  - vfio.migration._plan.capacity
  - vfio.migration._plan.moves
  - vfio.migration._fleet.left_out
  - vfio.migration._fleet.max_age
attributes:
  check_mode:
    support: full
    details:
      - The plan is made, but not written.
  diff_mode:
    support: full
    details:
      - Shows how O(dest) changes.
  idempotent:
    support: full
    details:
      - A file that has the same plan, made at another time, is left as it is.
  platform:
    platforms: posix
    details:
      - The action runs on the control node and does not contact the managed host.
options:
  hosts:
    description:
      - The hosts to look at. Those without facts, or whose facts cannot be used, are listed in the result under C(unknown).
      - By default all hosts of the inventory.
    type: list
    elements: str
  dest:
    description:
      - A file on the control node to write the plan to, as JSON. Its directory is made if it is not there.
      - Without it, the plan is returned.
    type: path
seealso:
  - plugin: vfio.migration.migration_plan
    plugin_type: filter
  - module: vfio.migration.vfio_migration_facts
  - module: vfio.migration.vfio_mdev
  - name: JSON Schema
    description: The exact structure of plans, for programs.
    link: https://github.com/vfio-migration/vfio.migration/blob/main/docs/schemas/plan.json
  - ref: ansible_collections.vfio.migration.docsite.plan_guide
    description: The assumptions and guarantees of plans.
  - ref: ansible_collections.vfio.migration.docsite.scale_guide
    description: Fact caches, slices and big fleets.
"""

EXAMPLES = r"""
- name: Plan how to drain a rack
  hosts: hypervisors
  gather_facts: false
  become: true
  tasks:
    - name: Gather the descriptors
      vfio.migration.vfio_migration_facts:

    - name: Plan
      vfio.migration.migration_plan:
        hosts: "{{ groups['hypervisors'] }}"
        drain: "{{ groups['hypervisors'][:1] }}"
        limit: 16
        dest: /tmp/plan.json
      become: false
      run_once: true
      register: planned

    - name: Show what the plan comes to
      ansible.builtin.debug:
        var: planned.summary
      run_once: true
"""

RETURN = r"""
summary:
  description: The summary of the plan.
  returned: success
  type: dict
  contains:
    status:
      description: As in the plan.
      type: str
      sample: optimal
    solver:
      description: As in the plan.
      type: str
      sample: search
    cost:
      description: As in the plan.
      type: dict
    bound:
      description: As in the plan.
      type: dict
    placed:
      description: How many devices have a place.
      type: int
    created:
      description: How many of the targets do not exist yet.
      type: int
    unplaced:
      description: How many devices have no place.
      type: int
    waves:
      description: The number of waves.
      type: int
    hosts:
      description: How many devices each target host receives.
      type: dict
    changed:
      description: With O(earlier), how many guests were replanned.
      type: int
    shortage:
      description: The proof of a shortage, where C(need) devices can reach only C(reachable) places. V(null) without such a proof.
      type: dict
    unknown:
      description: How many hosts have no usable facts.
      type: int
plan:
  description: The plan, in the form that the filter P(vfio.migration.migration_plan#filter) returns.
  returned: without O(dest)
  type: dict
dest:
  description: The file with the plan.
  returned: with O(dest)
  type: str
"""
