# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._executors import proxmox
from ansible_collections.vfio.migration.plugins.plugin_utils._executors.functions import Functions
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.values import flag
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.arguments import (
    as_filter,
    plain,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.executor_options import (
    facts_of,
    held_in,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.handed_over import check_plan
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import ProxmoxMigrations

DOCUMENTATION = r"""
name: proxmox_migrations
short_description: Translate a plan for Proxmox VE
version_added: 0.1.0
author:
  - vfio.migration contributors (@vfio-migration)
description:
  - Returns the commands that live-migrate the virtual machines of a plan, and the resource mappings that make Proxmox VE take the devices that the plan chose,
    as commands and as C(/etc/pve/mapping/pci.cfg) has them.
  - The filter runs nothing. The warnings list the parts of the plan that Proxmox VE cannot be given.
  - Proxmox VE names a virtual machine by its number. The UUID of an mdev that Proxmox VE created contains it. Pass all other numbers with O(guests).
  - By default, the name of a node is the first part of the host's name. Pass others with O(nodes).
extends_documentation_fragment:
  - vfio.migration._executors
  - vfio.migration._executors.fleet
options:
  with_conntrack_state:
    description: Whether the states of connections that the host's firewall tracks go with the virtual machines.
    type: bool
    default: false
positional: _input, fleet, guests, nodes, with_conntrack_state
seealso:
  - name: JSON Schema
    description: The exact structure of the result, for programs.
    link: https://github.com/vfio-migration/vfio.migration/blob/main/docs/schemas/proxmox_migrations.json
"""

EXAMPLES = r"""
- name: Gather the descriptors of all hosts
  hosts: hypervisors
  gather_facts: false
  tasks:
    - name: Gather the descriptors
      vfio.migration.vfio_migration_facts:
      become: true

    - name: Show how Proxmox VE empties the first host
      ansible.builtin.debug:
        msg: "{{ plan | vfio.migration.proxmox_migrations(hostvars, guests={'render-1': 101}) }}"
      vars:
        plan: "{{ hostvars | vfio.migration.migration_plan(drain=[groups['hypervisors'][0]]) }}"
      run_once: true
"""

RETURN = r"""
_value:
  description: The migrations and the resource mappings for Proxmox VE.
  type: dict
  contains:
    migrations:
      description:
        - The virtual machines, in the order of their migrations. Each has C(vmid), C(source), C(target), C(wave), C(hostpci) and C(command).
        - C(hostpci) has the entries that the configuration of the virtual machine needs.
        - C(command) is the command of C(qm) to run on the source, as a list of words.
        - Start a wave only when all earlier waves have finished.
      type: list
      elements: dict
    mappings:
      description: The resource mappings, one for each device. Each has C(id), C(mdev), C(map), and the C(command) of C(pvesh) that creates it.
      type: list
      elements: dict
    pci_cfg:
      description: The same mappings, in the format of the file C(pci.cfg).
      type: str
    warnings:
      description: Sentences on the parts of the plan that this format cannot express, and on what does not move.
      type: list
      elements: str
"""


@as_filter("proxmox_migrations")
def proxmox_migrations(
    plan: t.Any,
    fleet: t.Any = None,
    guests: t.Any = None,
    nodes: t.Any = None,
    with_conntrack_state: t.Any = False,
) -> ProxmoxMigrations:
    check_plan("plan", plan)
    naming = proxmox.naming_of(plain(guests), plain(nodes), held_in(fleet))
    conntrack = flag("with_conntrack_state", with_conntrack_state)
    return proxmox.proxmox_migrations(plan, Functions(facts_of(fleet, plan)), naming, conntrack)


class FilterModule:
    """Filters of vfio.migration"""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"proxmox_migrations": proxmox_migrations}
