# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.answers import read_answer
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.jobs import job_progress
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.arguments import (
    as_filter,
    plain,
)
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import Sentence

DOCUMENTATION = r"""
name: libvirt_progress
short_description: Show the progress of a migration of libvirt
version_added: 0.1.0
author:
  - vfio.migration contributors (@vfio-migration)
description:
  - Picks out of what C(virsh domjobinfo) prints how long a migration has taken, and how much of the guest has been sent and remains.
  - The playbook C(vfio.migration.migrate_libvirt) shows it.
options:
  _input:
    description: The answer to C(virsh domjobinfo), as M(ansible.builtin.command) registers it.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show how far a migration is
  hosts: a
  gather_facts: false
  tasks:
    - name: Ask libvirt
      ansible.builtin.command: virsh domjobinfo vm-17
      register: job
      changed_when: false

    - name: Show it
      ansible.builtin.debug:
        msg: "{{ job | vfio.migration.libvirt_progress }}"
"""

RETURN = r"""
_value:
  description: What virsh says line by line, such as how much data remains; nothing where no migration is at work.
  type: list
  elements: str
"""


@as_filter("libvirt_progress")
def libvirt_progress(answer: t.Any) -> list[Sentence]:
    return job_progress(read_answer(plain(answer)).stdout)


class FilterModule:
    """Filters of vfio.migration"""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"libvirt_progress": libvirt_progress}
