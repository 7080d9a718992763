# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.memory import memory
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.arguments import (
    as_filter,
    text,
)

DOCUMENTATION = r"""
name: libvirt_memory
short_description: Compare the memory that a guest of libvirt needs with what a host has free
version_added: 0.1.0
author:
  - vfio.migration contributors (@vfio-migration)
description:
  - Returns how much memory, or how many huge pages, a domain takes, and how much of that a host has free.
  - The role P(vfio.migration.migrate_libvirt#role) goes by it.
options:
  _input:
    description: The domain's XML, as C(virsh dumpxml) prints it.
    type: str
    required: true
  there:
    description:
      - The host's C(/proc/meminfo), and its files C(/sys/kernel/mm/hugepages/*/free_hugepages), as C(grep . FILES) prints them.
      - A line C(/dev/iommu) where the host has that device.
    type: str
    required: true
positional: _input, there
"""

EXAMPLES = r"""
- name: Look for room for a guest
  hosts: b
  gather_facts: false
  tasks:
    - name: Look at the memory
      ansible.builtin.shell: cat /proc/meminfo; grep . /sys/kernel/mm/hugepages/*/free_hugepages /dev/null; ls /dev/iommu
      register: there
      changed_when: false
      failed_when: false

    - name: Check that it is enough
      ansible.builtin.assert:
        that: memory.needed <= memory.free and not memory.lacks_iommufd
      vars:
        memory: "{{ domain.stdout | vfio.migration.libvirt_memory(there.stdout) }}"
"""

RETURN = r"""
_value:
  description: What is needed and what there is.
  type: dict
  contains:
    source:
      description: Where the memory is taken from, V(memory) or the huge pages of which sizes.
      type: str
    needed:
      description: How much the guest needs of it, in KiB.
      type: int
    free:
      description: How much of it is free on the host, in KiB.
      type: int
    lacks_iommufd:
      description: Whether the guest has its devices through IOMMUFD, C(<driver iommufd='yes'/>), and the host has none.
      type: bool
"""


@as_filter("libvirt_memory")
def libvirt_memory(xml: t.Any, there: t.Any) -> dict[str, t.Any]:
    return dataclasses.asdict(memory(text("the domain's XML", xml), text("there", there)))


class FilterModule:
    """Filters of vfio.migration"""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"libvirt_memory": libvirt_memory}
