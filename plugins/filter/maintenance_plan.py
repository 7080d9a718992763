# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.arguments import as_filter
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.maintenance_options import (
    maintenance_for,
)
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import MaintenancePlan

DOCUMENTATION = r"""
name: maintenance_plan
short_description: Plan rolling maintenance
version_added: 0.1.0
author:
  - vfio.migration contributors (@vfio-migration)
description:
  - Plans the steps in which hosts are drained one after another, or a few at a time, where each comes back before the next step.
  - Guests preferably go to hosts that are not drained after that, those that are not listed and those that have come back. So each guest moves once,
    unless the capacity does not allow it.
  - No guest moves away from a host that has come back. So no guest is stranded by an upgrade after which a driver accepts guests of older drivers,
    but not the other way round.
  - Each step is the plan of a drain with O(vfio.migration.migration_plan#filter:free_devices) V(none), checked by the verifier of plans with the facts
    as the steps before leave them. A second verifier follows each guest through all steps.
  - O(capacity) states the capacity before the first step. What a guest takes is free on its old host, and taken on its new one, in the
    steps after the one in which it moves, also on hosts of which nothing is stated; a host that comes back is taken to have what it had.
  - If a step has no place for a guest, the plan ends before it, and states which host cannot be drained, why, and whether that is proven.
  - The state of hosts after maintenance is not known before. A plan assumes that it equals their present facts. Carry out only its first step, gather
    facts, and plan the rest again.
extends_documentation_fragment:
  - vfio.migration._fleet.fleet
  - vfio.migration._fleet.max_age
  - vfio.migration._fleet.left_out
  - vfio.migration._plan.conditions
  - vfio.migration._plan.capacity
  - vfio.migration._plan.moves
  - vfio.migration._plan.search
options:
  emptied:
    description: The hosts to empty. Leave out those that are done.
    type: list
    elements: str
    required: true
  at_once:
    description: How many hosts can be drained, and be away, at a time. By default 1.
    type: int
  keep_order:
    description:
      - Whether hosts are drained in the order of O(emptied). By default the order is chosen, step by step. Next comes the host with the fewest guests
        of those whose guests have places that they need not leave again, or else one of which the fewest guests need to. A host
        that cannot be drained after others is tried before them.
    type: bool
  use_returned:
    description:
      - Whether hosts that have come back may receive, as if what they take were what they take now. By default V(true).
      - With V(false) a plan holds whether or not they do, but needs capacity for all guests on hosts that are not listed.
    type: bool
  policy:
    description: Which of several targets to take in each step, as in O(vfio.migration.migration_plan#filter:policy). By default V(pack).
    type: str
    choices:
      - pack
      - spread
  prefer:
    description:
      - Hosts that are taken before all others in each step, as in O(vfio.migration.migration_plan#filter:prefer). As few devices as possible go
        elsewhere, but no guest moves again for it.
    type: list
    elements: str
positional: _input, emptied, hosts
seealso:
  - plugin: vfio.migration.migration_plan
    plugin_type: filter
  - plugin: vfio.migration.migration_headroom
    plugin_type: filter
  - name: JSON Schema
    description: The exact structure of the result, for programs.
    link: https://github.com/vfio-migration/vfio.migration/blob/main/docs/schemas/maintenance.json
  - ref: ansible_collections.vfio.migration.docsite.plan_guide.maintenance
    description: What the steps promise.
"""

EXAMPLES = r"""
- name: Gather the descriptors of all hosts
  hosts: hypervisors
  gather_facts: false
  tasks:
    - name: Gather the descriptors
      vfio.migration.vfio_migration_facts:
      become: true

    - name: Show in which steps all hosts can be patched
      ansible.builtin.debug:
        msg: "{{ (hostvars | vfio.migration.maintenance_plan(groups['hypervisors'], hosts=groups['hypervisors'])).sentences }}"
      run_once: true
"""

RETURN = r"""
_value:
  description: The steps, and what is proven about them.
  type: dict
  contains:
    schema:
      description: The version of this structure.
      type: int
      sample: 1
    status:
      description:
        - V(optimal) if the steps empty all hosts, and it is proven that no other steps need fewer moves, or as few moves with fewer conversions.
        - V(feasible) if the steps empty all hosts, and this is not proven.
        - V(infeasible) if the steps do not empty all hosts, and it is proven that none can, in the given order, or in any order if it is chosen.
        - V(unproven) if the steps do not empty all hosts, and this is not proven.
      type: str
    order:
      description: The hosts to empty, in this order.
      type: list
      elements: str
    order_is:
      description: Whether the order was V(chosen) or V(given).
      type: str
    steps:
      description: The steps. Each step begins when the hosts of the previous step have come back.
      type: list
      elements: dict
      contains:
        hosts:
          description: The hosts to empty in this step.
          type: list
          elements: str
        why:
          description: The reason why these hosts are next.
          type: str
        moves:
          description: How many guests move in this step.
          type: int
        again:
          description: How many of these guests have moved in an earlier step.
          type: int
        conversions:
          description: How many devices become devices of another type.
          type: int
        returned:
          description: The targets that have come back after an earlier step. The plan assumes that they accept the same devices as now.
          type: list
          elements: str
        placements:
          description: The placements, as in a plan.
          type: list
          elements: dict
    guests:
      description: The number of guests on the hosts to empty. A device with an unknown holder counts as a guest.
      type: int
    moves:
      description: The number of moves of guests in all steps.
      type: int
    bound:
      description: The proven minimum number of moves. V(null) if not all hosts are drained.
      type: int
    conversions:
      description: How many devices become devices of another type in all steps.
      type: int
    blocked:
      description: The hosts that could not be drained, with the reasons. V(null) if all can be drained.
      type: dict
      contains:
        hosts:
          description: The hosts with guests that have no place.
          type: list
          elements: str
        proven:
          description: Whether it is proven that they cannot be drained.
          type: bool
        sentence:
          description: The conclusion as a sentence.
          type: str
        unplaced:
          description: The devices without a place, with the reasons, as in a plan.
          type: list
          elements: dict
        shortages:
          description: The shortages that prove it, as in a plan.
          type: list
          elements: dict
        cases:
          description: The proofs by cases, as in a plan. Only present if there are any.
          type: list
          elements: dict
        addition:
          description: An addition that gives a place to all guests of these hosts, as C(addition) in
            RV(vfio.migration.migration_headroom#filter:_value.causes). V(null) if no addition is known.
          type: dict
    sentences:
      description: Sentences on the conclusion and on each step.
      type: list
      elements: str
    assumptions:
      description: Assumptions in addition to those of plans.
      type: list
      elements: str
    conditions:
      description: The conditions for the places.
      type: dict
    unknown:
      description: The hosts without usable facts, which receive nothing.
      type: list
      elements: str
"""


@as_filter("maintenance_plan")
def maintenance_plan(
    fleet: t.Any, emptied: t.Any = None, hosts: t.Any = None, **options: t.Any
) -> MaintenancePlan:
    return maintenance_for(fleet, emptied, hosts, **options)


class FilterModule:
    """Filters of vfio.migration"""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"maintenance_plan": maintenance_plan}
