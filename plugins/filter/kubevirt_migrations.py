# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._executors import kubevirt
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.arguments import (
    as_filter,
    plain,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.executor_options import (
    held_in,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.handed_over import check_plan
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import KubevirtMigrations

DOCUMENTATION = r"""
name: kubevirt_migrations
short_description: Translate a plan for KubeVirt
version_added: 0.1.0
author:
  - vfio.migration contributors (@vfio-migration)
description:
  - Returns the objects that migrate the instances of a plan to the nodes that the plan chose, C(VirtualMachineInstanceMigration) with C(addedNodeSelector), and
    for each instance the hook C(onDefineDomain) that puts the plan's devices into its domain.
  - The filter runs nothing. The device plugin of a node decides which device an instance gets. The warnings list the parts of the plan that KubeVirt
    cannot be given.
  - The name of an instance here is NAMESPACE.NAME, from its domain C(NAMESPACE_NAME).
extends_documentation_fragment:
  - vfio.migration._executors
  - vfio.migration._executors.fleet
positional: _input, fleet, guests, nodes
seealso:
  - name: JSON Schema
    description: The exact structure of the result, for programs.
    link: https://github.com/vfio-migration/vfio.migration/blob/main/docs/schemas/kubevirt_migrations.json
"""

EXAMPLES = r"""
- name: Gather the descriptors of all hosts
  hosts: hypervisors
  gather_facts: false
  tasks:
    - name: Gather the descriptors
      vfio.migration.vfio_migration_facts:
      become: true

    - name: Show how KubeVirt empties the first host
      ansible.builtin.debug:
        msg: "{{ plan | vfio.migration.kubevirt_migrations(hostvars, guests={'render-1': 'studio.render-1'}) }}"
      vars:
        plan: "{{ hostvars | vfio.migration.migration_plan(drain=[groups['hypervisors'][0]]) }}"
      run_once: true
"""

RETURN = r"""
_value:
  description: The objects for KubeVirt.
  type: dict
  contains:
    waves:
      description:
        - The waves, in order. Each has its number as C(wave), and the objects for its instances as C(migrations).
        - Start a wave only when all earlier waves have finished.
      type: list
      elements: dict
    hooks:
      description: For each instance, the C(config_map) with the script, and the C(annotations) that the instance must have when it starts.
      type: list
      elements: dict
    warnings:
      description: Sentences on the parts of the plan that this format cannot express, and on what does not move.
      type: list
      elements: str
"""


@as_filter("kubevirt_migrations")
def kubevirt_migrations(
    plan: t.Any, fleet: t.Any = None, guests: t.Any = None, nodes: t.Any = None
) -> KubevirtMigrations:
    check_plan("plan", plan)
    naming = kubevirt.naming_of(plain(guests), plain(nodes), held_in(fleet))
    return kubevirt.kubevirt_migrations(plan, naming)


class FilterModule:
    """Filters of vfio.migration"""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"kubevirt_migrations": kubevirt_migrations}
