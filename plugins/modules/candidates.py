#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: candidates
short_description: List the hosts that can take a guest
version_added: 0.1.0
description:
  - Does what the filter P(vfio.migration.candidates#filter) does, with the facts that M(vfio.migration.vfio_migration_facts) left
    in C(hostvars). It runs on the control node, and reads the facts without templating them.
  - With O(dest) the answer is written to a file, and only its lines are returned.
author:
  - vfio.migration contributors (@vfio-migration)
notes:
  - Run it once, with C(run_once=true), and not on every host.
extends_documentation_fragment:
  - vfio.migration._attributes
  - vfio.migration._fleet
  - vfio.migration._fleet.judged
  - vfio.migration._fleet.left_out
  - vfio.migration._fleet.max_age
attributes:
  check_mode:
    support: full
    details:
      - The hosts are judged, but nothing is written.
  diff_mode:
    support: none
  idempotent:
    support: full
  platform:
    platforms: posix
    details:
      - The action runs on the control node and does not contact the managed host.
options:
  source:
    description:
      - The guest's name, or one of its devices as a dictionary with C(host) and C(id).
      - Give either this, or O(drain), or O(guests) and O(devices).
    type: raw
  hosts:
    description:
      - The hosts to look at. Hosts without usable facts are unknown.
      - By default all hosts of the inventory.
    type: list
    elements: str
  dest:
    description:
      - A file on the control node to write the answer to, as JSON. Its directory is made if it is not there.
      - Without it, the answer is returned.
    type: path
seealso:
  - plugin: vfio.migration.candidates
    plugin_type: filter
  - module: vfio.migration.migration_plan
  - ref: ansible_collections.vfio.migration.docsite.verdict_guide
    description: The rules of verdicts, and their limits.
"""

EXAMPLES = r"""
- name: List where a guest can go
  hosts: hypervisors
  gather_facts: false
  become: true
  tasks:
    - name: Gather the descriptors
      vfio.migration.vfio_migration_facts:

    - name: List the hosts that can take the guest vm-1
      vfio.migration.candidates:
        hosts: "{{ groups['hypervisors'] }}"
        source: vm-1
      become: false
      run_once: true
      register: found

    - name: Show a line for each host
      ansible.builtin.debug:
        var: found.sentences
      run_once: true
"""

RETURN = r"""
sentences:
  description: A line for each host, or for each guest and host, as the filter P(vfio.migration.candidates#filter) returns them. 200 lines at most.
  returned: success
  type: list
  elements: str
candidates:
  description: The candidates, in the form that the filter P(vfio.migration.candidates#filter) returns.
  returned: without O(dest)
  type: dict
dest:
  description: The file with the candidates.
  returned: with O(dest)
  type: str
"""
