# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.values import (
    one_name,
    one_or_more,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.answers import (
    read_answer,
    read_loop,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.logs import failure
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.arguments import (
    as_filter,
    expected,
    plain,
)
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import Sentence

DOCUMENTATION = r"""
name: migration_failure
short_description: Collect the reasons for a failed migration from both hosts
version_added: 0.1.0
author:
  - vfio.migration contributors (@vfio-migration)
description:
  - Picks out of the logs of QEMU and of the kernels of both hosts what they say of a migration of a guest of libvirt.
  - The role P(vfio.migration.migrate_libvirt#role) shows it.
options:
  _input:
    description:
      - The results of a loop that reads the logs. Each item has the C(host), and as C(who) either C(QEMU) or C(the kernel).
    type: list
    elements: dict
    required: true
  state:
    description: The answer to C(virsh domstate --reason) for the guest, as M(ansible.builtin.command) registers it.
    type: dict
    required: true
  host:
    description: The host that the guest was to leave.
    type: str
    required: true
  before:
    description: For each host a text with the last line of its kernel's log before the migration. Only later lines are shown.
    type: dict
    required: true
  lines:
    description: How many lines of a kernel's log are shown at most, the last ones.
    type: int
    default: 5
  exceeded:
    description: How many seconds the migration was allowed, where it took longer.
    type: int
positional: _input, state, host, before, lines, exceeded
seealso:
  - ref: ansible_collections.vfio.migration.docsite.troubleshooting_guide
    description: Messages, their causes and what to do.
"""

EXAMPLES = r"""
- name: Show what the kernel said of a migration
  hosts: a
  gather_facts: false
  tasks:
    - name: Read its log
      ansible.builtin.command: dmesg
      loop:
        - {host: a, who: the kernel}
      register: logs
      changed_when: false

    - name: Ask libvirt how the guest is
      ansible.builtin.command: virsh domstate --reason vm-17
      register: state
      changed_when: false

    - name: Show the reasons
      ansible.builtin.debug:
        msg: "{{ logs.results | vfio.migration.migration_failure(state, 'a', {'a': ''}) }}"
"""

RETURN = r"""
_value:
  description: The text, as a list of lines.
  type: list
  elements: str
"""


@as_filter("migration_failure")
def migration_failure(
    logs: t.Any,
    state: t.Any,
    host: str,
    before: t.Any,
    lines: int = 5,
    exceeded: int | None = None,
) -> list[Sentence]:
    with expected("the list of logs", "the results of a loop over logs"):
        return failure(
            read_loop(plain(logs)),
            read_answer(plain(state)),
            one_name("host", host),
            plain(before),
            one_or_more("lines", lines),
            exceeded,
        )


class FilterModule:
    """Filters of vfio.migration"""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"migration_failure": migration_failure}
