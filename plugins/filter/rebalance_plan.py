# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.arguments import as_filter
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.rebalance_options import (
    rebalance_for,
)
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import RebalancePlan

DOCUMENTATION = r"""
name: rebalance_plan
short_description: Plan a few moves that even the loads of hosts, empty cards, or give a larger guest a place
version_added: 0.1.0
author:
  - vfio.migration contributors (@vfio-migration)
description:
  - Plans at most O(max_moves) moves of guests, so that the loads of hosts are as even as possible, as few cards as possible are in use, or the
    largest possible guest with devices of one type has a place.
  - The load of a host is the number of its devices in use. The sum of the squares of the loads measures how uneven they are.
  - A card is the parent of mediated or vDPA devices, or the physical function of virtual ones. It is in use if one of its devices is. An empty card
    can hold the largest types.
  - The largest guest has as many devices of a type as the host with the most places for them has, free devices and those that parents can still make.
    Among guests of equal size, more hosts with a place are better.
  - The moves together decrease this sum or number, give a larger guest a place, or give guests of the same size more places. If no moves do so, all
    guests stay.
  - The result has an ordinary plan, which the playbooks C(vfio.migration.prepare) and C(vfio.migration.migrate_libvirt) carry out. The verifier of plans
    has checked it, and another one has counted the loads again.
  - By default, moves use only places that are free now, not those that another guest leaves. With O(reuse), they use both. A guest moves at most once.
  - The measure says which hosts receive, so there are no hosts to prefer. With O(targets), no other hosts receive.
  - Hosts without usable facts are not counted, and receive nothing. As they may have capacity, nothing is proven where there are any.
extends_documentation_fragment:
  - vfio.migration._fleet.fleet
  - vfio.migration._fleet.max_age
  - vfio.migration._fleet.left_out
  - vfio.migration._plan.conditions
  - vfio.migration._plan.capacity
  - vfio.migration._plan.moves
  - vfio.migration._plan.search
options:
  max_moves:
    description: How many guests can move at most, in all waves together.
    type: int
    required: true
  measure:
    description:
      - The measure to improve.
      - V(even) decreases the sum of the squares of the loads, V(cards) the number of cards in use.
      - V(largest) increases the number of devices of O(device_type) that one host has places for, and then the number of hosts with so many.
    type: str
    choices: [even, cards, largest]
    default: even
  reuse:
    description:
      - Whether a guest can move to a device that another guest of the plan leaves before, or to a host after a guest of the same group in O(apart) has
        left it. C(wave) in every placement then states the order of the moves.
      - A guest can then also move out of the way of others. The measure is never worse than without this option.
      - The playbook C(vfio.migration.prepare) verifies a device that a guest still holds, but does not change it. The playbook
        C(vfio.migration.migrate_libvirt) moves one wave in each run.
    type: bool
    default: false
  device_type:
    description:
      - The type of the devices of the largest guest, as facts name it, such as V(nvidia-558).
      - It is given with O(measure=largest), and with no other measure.
    type: str
positional: _input, max_moves, hosts
seealso:
  - plugin: vfio.migration.migration_plan
    plugin_type: filter
  - plugin: vfio.migration.maintenance_plan
    plugin_type: filter
  - name: JSON Schema
    description: The exact structure of the result, for programs.
    link: https://github.com/vfio-migration/vfio.migration/blob/main/docs/schemas/rebalance.json
  - ref: ansible_collections.vfio.migration.docsite.maintenance_guide.rebalance
    description: How to carry it out.
"""

EXAMPLES = r"""
- name: Gather the descriptors of all hosts
  hosts: hypervisors
  gather_facts: false
  tasks:
    - name: Gather the descriptors
      vfio.migration.vfio_migration_facts:
      become: true

    - name: Even the loads with ten moves at most
      ansible.builtin.set_fact:
        rebalance: "{{ hostvars | vfio.migration.rebalance_plan(10, hosts=groups['hypervisors'], keep_kind=true) }}"
      run_once: true

    - name: Empty cards with ten moves at most, for guests that need whole ones
      ansible.builtin.debug:
        msg: "{{ (hostvars | vfio.migration.rebalance_plan(10, hosts=groups['hypervisors'], measure='cards')).sentences }}"
      run_once: true

    - name: Make place for a guest with as many devices of a type as can be, with four moves at most
      ansible.builtin.debug:
        msg: "{{ (hostvars | vfio.migration.rebalance_plan(4, hosts=groups['hypervisors'], measure='largest', device_type='nvidia-558')).sentences }}"
      run_once: true

    - name: Even the loads of hosts that are nearly full, also with places that guests leave
      ansible.builtin.debug:
        msg: "{{ (hostvars | vfio.migration.rebalance_plan(4, hosts=groups['hypervisors'], reuse=true)).sentences }}"
      run_once: true

    - name: Show the conclusion
      ansible.builtin.debug:
        var: rebalance.sentences
      run_once: true

    - name: Keep the plan for prepare_from
      ansible.builtin.copy:
        content: "{{ rebalance.plan | to_json }}"
        dest: rebalance.json
        mode: "0600"
      delegate_to: localhost
      run_once: true
"""

RETURN = r"""
_value:
  description: The moves and their effect.
  type: dict
  contains:
    schema:
      description: The version of this structure.
      type: int
      sample: 1
    measure:
      description: The measure to improve, as in O(measure).
      type: str
    device_type:
      description: The type of the devices of the largest guest. V(null) with other measures.
      type: str
    status:
      description: V(optimal) if it is proven that no plan with O(max_moves) moves or fewer is better. V(feasible) if this is not proven.
      type: str
    before:
      description: The current value of the measure. With O(measure=largest), the largest number of devices of O(device_type) for which one host has places.
      type: int
    after:
      description: The value of the measure after the plan.
      type: int
    bound:
      description: The best value that a plan with O(max_moves) moves or fewer among the hosts with usable facts could reach, as far as this is proven.
      type: int
    hosts_with_places:
      description: The number of hosts on which the largest guest has a place. V(null) with other measures.
      type: dict
      contains:
        before:
          description: How many hosts currently have places for RV(_value.before) devices.
          type: int
        after:
          description: How many hosts have places for RV(_value.after) devices after the plan.
          type: int
        bound:
          description: The maximum number of hosts that can have places for RV(_value.bound) devices after O(max_moves) moves or fewer.
          type: int
    moves:
      description: The number of guests that move. V(0) if no moves were found that improve the measure.
      type: int
    max_moves:
      description: The maximum number of moves, as in O(max_moves).
      type: int
    loads:
      description: The loads of all hosts with usable facts.
      type: list
      elements: dict
      contains:
        host:
          description: The name of the host.
          type: str
        before:
          description: The current load.
          type: int
        after:
          description: The load after the plan.
          type: int
    sentences:
      description: Sentences on the conclusion.
      type: list
      elements: str
    plan:
      description: The plan, as P(vfio.migration.migration_plan#filter) returns it. It has no placements if no guest moves.
      type: dict
"""


@as_filter("rebalance_plan")
def rebalance_plan(
    fleet: t.Any, max_moves: t.Any = None, hosts: t.Any = None, **options: t.Any
) -> RebalancePlan:
    return rebalance_for(fleet, max_moves, hosts, **options)


class FilterModule:
    """Filters of vfio.migration"""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"rebalance_plan": rebalance_plan}
