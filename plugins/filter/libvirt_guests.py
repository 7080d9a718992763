# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import read_fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.values import names
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.answers import read_answer
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.guests import (
    Guest,
    find_guests,
    read_host,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.arguments import (
    as_filter,
    expected,
    plain,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.clock import age_limit

DOCUMENTATION = r"""
name: libvirt_guests
short_description: Find the guests of libvirt to migrate
version_added: 0.1.0
author:
  - vfio.migration contributors (@vfio-migration)
description:
  - Finds where guests are, by who holds VFIO devices and which guests libvirt runs, and which of them must stay and why.
  - The role P(vfio.migration.migrate_libvirt#role) goes by it.
extends_documentation_fragment:
  - vfio.migration._fleet.max_age
options:
  _input:
    description: The facts of the hosts, C(hostvars) itself or a mapping of host to that host's C(vfio_migration) facts.
    type: dict
    required: true
  libvirt:
    description:
      - For each host what it answered to C(virsh) with the four commands C(version --daemon), C(list --uuid --name), C(list --name --persistent)
        and C(list --name --autostart), with a line C(==) between each two, as M(ansible.builtin.command) registers it.
    type: dict
    required: true
  guests:
    description: The guests to find, by their names.
    type: list
    elements: str
  drain:
    description: The hosts whose guests with VFIO devices are all to be found. An unknown holder of a device is found as well.
    type: list
    elements: str
positional: _input, libvirt, guests, drain
seealso:
  - plugin: vfio.migration.libvirt_checks
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Find the guests of a host
  hosts: a
  gather_facts: false
  tasks:
    - name: Gather
      vfio.migration.vfio_migration_facts:

    - name: Ask libvirt
      ansible.builtin.command:
        argv:
          - virsh
          - --connect
          - qemu:///system
          - version --daemon; echo ==; list --uuid --name; echo ==; list --name --persistent; echo ==; list --name --autostart
      environment:
        LC_ALL: C
      register: libvirt
      changed_when: false

    - name: Show who has VFIO devices
      ansible.builtin.debug:
        msg: "{{ hostvars | vfio.migration.libvirt_guests({'a': libvirt}, drain=['a']) | map(attribute='vm') }}"
"""

RETURN = r"""
_value:
  description: The guests, by host and name.
  type: list
  elements: dict
  contains:
    vm:
      description: The guest's name in libvirt, or what stands for unknown guests.
      type: str
    host:
      description: The host that it is on; V(null) where it is nowhere.
      type: str
    uuid:
      description: Its UUID in libvirt; V(null) where libvirt runs no such guest.
      type: str
    persistent:
      description: Whether libvirt has a definition of it.
      type: bool
    autostart:
      description: Whether it starts with its host.
      type: bool
    device:
      description: One of its devices, as C(sources) of a plan has it.
      type: dict
    kinds:
      description: The kinds of its devices.
      type: list
      elements: str
    reason:
      description: Why it must stay; V(null) where it need not.
      type: str
"""


@as_filter("libvirt_guests")
def libvirt_guests(
    fleet: t.Any,
    libvirt: t.Any,
    guests: t.Any = None,
    drain: t.Any = None,
    max_age: t.Any = None,
) -> list[Guest]:
    with expected("libvirt", "a mapping of host to the registered answer of virsh"):
        hosts = {host: read_host(read_answer(answer)) for host, answer in plain(libvirt).items()}
    read = read_fleet(fleet, hosts, age_limit(max_age))
    return find_guests(read, hosts, names("guests", guests), names("drain", drain))


class FilterModule:
    """Filters of vfio.migration"""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"libvirt_guests": libvirt_guests}
