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
  - Runs M(ansible.builtin.command) on the host. Of the answer it takes the program's output and exit status, and no facts. With those,
    a host in the wrong hands could set variables, C(inventory_hostname) among them.
  - The playbooks of this collection ask hosts for what C(mdevctl) and C(virsh) say by it.
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
      - That is up to the program.
options:
  argv:
    description: The program and its arguments. No shell is involved.
    type: list
    elements: str
    required: true
  stdin:
    description: What the program reads from standard input, with a line's end. Nothing by default.
    type: str
seealso:
  - module: ansible.builtin.command
  - ref: ansible_collections.vfio.migration.docsite.architecture_guide
    description: Which part of the collection does what.
"""

EXAMPLES = r"""
- name: List the definitions in mdevctl
  vfio.migration.host_command:
    argv: [mdevctl, list, --defined, --dumpjson]
  changed_when: false
"""

RETURN = r"""
rc:
  description: The exit status.
  returned: if the program was run
  type: int
  sample: 0
stdout:
  description: What it wrote to standard output.
  returned: if the program was run
  type: str
stderr:
  description: What it wrote to standard error.
  returned: if the program was run
  type: str
"""
