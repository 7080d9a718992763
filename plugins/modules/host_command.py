#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: host_command
short_description: Run a program on a host and return nothing but its output
version_added: 0.1.0
description:
  - Runs M(ansible.builtin.command) on the host, and returns only the program's output and exit status. It discards facts, with which a compromised host
    could set variables such as C(inventory_hostname).
  - The playbooks of this collection use it to run C(mdevctl) and C(virsh) on hosts.
author:
  - vfio.migration contributors (@vfio-migration)
extends_documentation_fragment:
  - vfio.migration._attributes
attributes:
  check_mode:
    support: none
    details:
      - Nothing is run in check mode, unless the task has C(check_mode=false).
  diff_mode:
    support: none
  idempotent:
    support: N/A
    details:
      - This depends on the program.
options:
  argv:
    description: The program and its arguments. No shell is involved.
    type: list
    elements: str
    required: true
  stdin:
    description: The standard input of the program. A newline is added. By default, it is empty.
    type: str
seealso:
  - module: ansible.builtin.command
  - ref: ansible_collections.vfio.migration.docsite.architecture_guide
    description: The structure of the collection.
"""

EXAMPLES = r"""
- name: List the definitions in mdevctl
  vfio.migration.host_command:
    argv: [mdevctl, list, --defined, --dumpjson]
  changed_when: false
"""

RETURN = r"""
rc:
  description: The exit status of the program.
  returned: if the program was run
  type: int
  sample: 0
stdout:
  description: The standard output of the program.
  returned: if the program was run
  type: str
stderr:
  description: The standard error of the program.
  returned: if the program was run
  type: str
"""
