#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: libvirt_migrate_guests
short_description: Migrate the guests that leave a host, each when it is its turn
version_added: 0.1.0
description:
  - Migrates each guest as M(vfio.migration.libvirt_migrate) does. It is a part of the playbook C(vfio.migration.migrate_libvirt), and of use to
    nothing else.
  - The tasks of several hosts do not wait for each other. They agree by files on the control node on whose turn it is.
author:
  - vfio.migration contributors (@vfio-migration)
extends_documentation_fragment:
  - vfio.migration._attributes
attributes:
  check_mode:
    support: none
    details:
      - In check mode the playbook orders no migration.
  diff_mode:
    support: none
  idempotent:
    support: none
    details:
      - A guest that has moved is not here any more.
options:
  guests:
    description:
      - The guests, each with the options of M(vfio.migration.libvirt_migrate), as C(number) its place in C(ways) of O(turns), and as
        C(migration) what its record says of where it goes.
    type: list
    elements: dict
    required: true
  turns:
    description:
      - As C(ways) the host and the target of every guest of the run, who comes first begins first. As C(directory) a directory on the control
        node that is for nothing else. As C(limits) how many guests migrate at the same time in C(total), from a C(source) and to a C(target),
        and when none begins any more, after so many C(failures), and at the time C(not_after) in seconds since 1970. C(concurrent) is the
        condition C(concurrent_moves) of the plan.
    type: dict
    required: true
  record:
    description:
      - The file on the control node that gets a record of each guest when it begins to move, as soon as it has moved, and where a signal
        ends the run meanwhile.
    type: dict
    required: true
    suboptions:
      path:
        description:
          - The file.
        type: path
        required: true
      run:
        description:
          - When the run began that the records are of.
        type: str
        required: true
      request:
        description:
          - The same for every run that is asked for the same.
        type: str
        required: true
      clean_up:
        description:
          - The command that cleans up after a run which is broken off.
        type: str
        required: true
seealso:
  - module: vfio.migration.libvirt_migrate
  - module: vfio.migration.migrate_libvirt_step
  - ref: ansible_collections.vfio.migration.docsite.migration_guide
    description: The checks before guests migrate, and how to migrate them.
"""

EXAMPLES = r"""
- name: Migrate what leaves this host
  vfio.migration.libvirt_migrate_guests:
    guests: "{{ hostvars.localhost.migrate_libvirt_run.leaving[inventory_hostname] }}"
    turns: "{{ hostvars.localhost.migrate_libvirt_run.turns }}"
    record: "{{ hostvars.localhost.migrate_libvirt_run.recording }}"
"""

RETURN = r"""
moves:
  description: For each guest, the result of M(vfio.migration.libvirt_migrate) with its C(number).
  returned: always
  type: list
  elements: dict
"""
