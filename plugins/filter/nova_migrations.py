# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._executors import nova
from ansible_collections.vfio.migration.plugins.plugin_utils._executors.functions import Functions
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.arguments import (
    as_filter,
    plain,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.executor_options import (
    facts_of,
    held_in,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.handed_over import check_plan
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import NovaMigrations

DOCUMENTATION = r"""
name: nova_migrations
short_description: Translate a plan for OpenStack Nova
version_added: 0.1.0
author:
  - vfio.migration contributors (@vfio-migration)
description:
  - Returns the commands that live-migrate the servers of a plan to the hosts that the plan chose, and the sections that C(nova.conf) needs on these
    hosts, so that Nova allocates the devices of the plan, C(enabled_mdev_types), C(device_spec) and C(alias).
  - The filter runs nothing. Nova decides again whether a server fits, and chooses the devices on the host itself. The warnings list the parts of the
    plan that Nova cannot be given.
  - The id of a server is the UUID of its domain.
  - Nova takes one type of mdev for each parent, and does not start with two. A server that would bring a second one to a parent is not moved, and the
    warnings name it.
extends_documentation_fragment:
  - vfio.migration._executors
  - vfio.migration._executors.fleet
positional: _input, fleet, guests, nodes
seealso:
  - name: JSON Schema
    description: The exact structure of the result, for programs.
    link: https://github.com/vfio-migration/vfio.migration/blob/main/docs/schemas/nova_migrations.json
"""

EXAMPLES = r"""
- name: Gather the descriptors of all hosts
  hosts: hypervisors
  gather_facts: false
  tasks:
    - name: Gather the descriptors
      vfio.migration.vfio_migration_facts:
      become: true

    - name: Show how Nova empties the first host
      ansible.builtin.debug:
        msg: "{{ plan | vfio.migration.nova_migrations(hostvars, guests={'render-1': '6b1f5e3c-2f6a-4a57-8d3e-0f0c7f6f1c21'}) }}"
      vars:
        plan: "{{ hostvars | vfio.migration.migration_plan(drain=[groups['hypervisors'][0]]) }}"
      run_once: true
"""

RETURN = r"""
_value:
  description: The migrations and the configuration for Nova.
  type: dict
  contains:
    migrations:
      description:
        - The servers, in the order of their migrations. Each has C(server), C(host), C(wave), and the C(command) of the OpenStack client as a list of words.
        - Start a wave only when all earlier waves have finished.
      type: list
      elements: dict
    nova_conf:
      description:
        - For each compute host, the sections of C(nova.conf) that its devices need. Merge them with the existing file.
        - If a host has one type of mdev, its resource class is C(VGPU). If it has several, each type has its own class.
      type: dict
    aliases:
      description: The section of C(nova.conf) that the controllers need as well. Empty if no PCI function moves.
      type: str
    warnings:
      description: Sentences on the parts of the plan that this format cannot express, and on what does not move.
      type: list
      elements: str
"""


@as_filter("nova_migrations")
def nova_migrations(
    plan: t.Any, fleet: t.Any = None, guests: t.Any = None, nodes: t.Any = None
) -> NovaMigrations:
    check_plan("plan", plan)
    naming = nova.naming_of(plain(guests), plain(nodes), held_in(fleet))
    return nova.nova_migrations(plan, Functions(facts_of(fleet, plan)), naming)


class FilterModule:
    """Filters of vfio.migration"""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"nova_migrations": nova_migrations}
