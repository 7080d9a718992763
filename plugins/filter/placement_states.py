# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import read_fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.values import names
from ansible_collections.vfio.migration.plugins.plugin_utils._planner import progress
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.arguments import as_filter
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.clock import age_limit
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.handed_over import check_moves
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import PlacementState

DOCUMENTATION = r"""
name: placement_states
short_description: Show the progress of each move of a plan
version_added: 0.1.0
author:
  - vfio.migration contributors (@vfio-migration)
description:
  - Says for each placement of a plan, from facts gathered now, whether its target is there, and whether its guest holds the source, the target
    or both.
  - The playbook C(vfio.migration.cleanup) goes by the same.
extends_documentation_fragment:
  - vfio.migration._fleet.fleet
  - vfio.migration._fleet.max_age
options:
  plan:
    description: What P(vfio.migration.migration_plan#filter) returned.
    type: dict
    required: true
positional: _input, plan, hosts
seealso:
  - plugin: vfio.migration.migration_plan
    plugin_type: filter
  - ref: ansible_collections.vfio.migration.docsite.maintenance_guide
    description: Drain a host, patch it, and bring its guests back.
"""

EXAMPLES = r"""
# The playbook vfio.migration.prepare has made the target devices, and has written its plan with prepare_dest=plan.json.
- name: Gather the descriptors of all hosts
  hosts: hypervisors
  gather_facts: false
  tasks:
    - name: Gather the descriptors
      vfio.migration.vfio_migration_facts:
      become: true

    - name: Show which guests have not moved yet
      ansible.builtin.debug:
        msg: >-
          {{ hostvars
          | vfio.migration.placement_states(lookup('ansible.builtin.file', 'plan.json') | from_json)
          | rejectattr('state', 'in', ['moved', 'done'])
          | map(attribute='vm') }}
      delegate_to: localhost
      run_once: true
"""

RETURN = r"""
_value:
  description: The placements, in the order of the plan.
  type: list
  elements: dict
  contains:
    vm:
      description: The name of the guest. V(null) if no process held the device at planning time.
      type: str
    source:
      description: The source, as in the plan.
      type: dict
    target:
      description: The target, as in the plan.
      type: dict
    state:
      description:
        - V(planned) if the target does not exist yet.
        - V(prepared) if the target exists and is free, and the guest holds the source. For a device that no process held at planning time, if none holds it.
        - V(migrating) if the guest holds both.
        - V(moved) if the guest holds the target, and the source exists and is free.
        - V(done) if the guest holds the target, and the source no longer exists.
        - V(unclear) otherwise, such as for a guest that is no longer running.
      type: str
    reason:
      description: The reason why the state is V(unclear). V(null) for all other states.
      type: str
"""


@as_filter("placement_states")
def placement_states(
    fleet: t.Any, plan: t.Any, hosts: t.Any = None, max_age: t.Any = None
) -> list[PlacementState]:
    check_moves(plan)
    read = read_fleet(fleet, names("hosts", hosts), age_limit(max_age))
    return progress.placement_states(read, plan)


class FilterModule:
    """Filters of vfio.migration"""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"placement_states": placement_states}
