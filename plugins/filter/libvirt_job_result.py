# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.answers import read_answer
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.jobs import job_result
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.arguments import (
    as_filter,
    plain,
)

DOCUMENTATION = r"""
name: libvirt_job_result
short_description: Read the result of an asynchronous Ansible job
version_added: 0.1.0
author:
  - vfio.migration contributors (@vfio-migration)
description:
  - Reads the file with the result of a command that a host runs in the background, with C(async), once it has ended.
  - The playbook C(vfio.migration.migrate_libvirt) waits for migrations by it, as a host's answer to M(ansible.builtin.async_status) may be more than that.
options:
  _input:
    description: The answer to a command that prints the C(results_file) of the job, as M(ansible.builtin.command) registers it.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Look whether a command in the background has ended
  hosts: a
  gather_facts: false
  tasks:
    - name: Start it
      ansible.builtin.command: sleep 10
      async: 60
      poll: 0
      register: job
      changed_when: true

    - name: Read its result
      ansible.builtin.command: cat {{ job.results_file }}
      register: result
      changed_when: false

    - name: Show it
      ansible.builtin.debug:
        msg: "{{ (result | vfio.migration.libvirt_job_result).rc | default('it is at work') }}"
"""

RETURN = r"""
_value:
  description: The result, empty as long as the job has not ended.
  type: dict
  contains:
    rc:
      description: The exit status; V(null) where the command could not be run.
      type: int
    stdout:
      description: What it wrote to standard output.
      type: str
    stderr:
      description: What it wrote to standard error.
      type: str
    msg:
      description: What Ansible says of it.
      type: str
"""


@as_filter("libvirt_job_result")
def libvirt_job_result(answer: t.Any) -> dict[str, t.Any]:
    return job_result(read_answer(plain(answer)).stdout) or {}


class FilterModule:
    """Filters of vfio.migration"""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"libvirt_job_result": libvirt_job_result}
