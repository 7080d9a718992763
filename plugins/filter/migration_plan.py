# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.arguments import as_filter
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.plan_options import plan_for
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import Plan

DOCUMENTATION = r"""
name: migration_plan
short_description: Plan which device goes where
version_added: 0.1.0
author:
  - vfio.migration contributors (@vfio-migration)
description:
  - Chooses a target for every device that is to move, a device that is there or one to be created, and says why for each that finds none.
  - All devices of a guest go to one host. Of a parent whose driver is not known to share its capacity between its types in proportion,
    as C(i915) does, only one type is made. Never more is made than there are available_instances for.
  - A device that is to be created keeps the UUID, or the name of a vDPA device, of its source where the target host has it free, so that the guest's
    configuration need not change.
  - Every plan is checked by an independent verifier before it is returned. The same input gives the same plan, byte for byte.
  - For big fleets use the action M(vfio.migration.migration_plan), which writes the plan to a file, as big results make Ansible slow.
extends_documentation_fragment:
  - vfio.migration._fleet.fleet
  - vfio.migration._fleet.max_age
  - vfio.migration._plan
  - vfio.migration._plan.conditions
  - vfio.migration._plan.capacity
positional: _input, drain, sources, hosts, targets, direction, policy, avoid
seealso:
  - module: vfio.migration.migration_plan
  - module: vfio.migration.vfio_mdev
  - module: vfio.migration.vfio_pci
  - module: vfio.migration.vdpa_device
  - plugin: vfio.migration.explain
    plugin_type: filter
  - name: JSON Schema
    description: The exact shape of plans, for programs.
    link: https://github.com/vfio-migration/vfio.migration/blob/main/docs/schemas/plan.json
  - ref: ansible_collections.vfio.migration.docsite.plan_guide
    description: What plans take for granted and promise.
"""

EXAMPLES = r"""
- name: Gather the descriptors of all hosts
  hosts: hypervisors
  gather_facts: false
  tasks:
    - name: Gather the descriptors
      vfio.migration.vfio_migration_facts:
      become: true

    - name: Plan how to drain the first host
      ansible.builtin.set_fact:
        plan: "{{ hostvars | vfio.migration.migration_plan(drain=groups['hypervisors'][:1], hosts=groups['hypervisors']) }}"
      run_once: true

    - name: Create the targets
      vfio.migration.vfio_mdev:
        devices: "{{ plan.hosts[inventory_hostname].devices }}"
      when: inventory_hostname in plan.hosts
"""

RETURN = r"""
_value:
  description: The plan.
  type: dict
  contains:
    status:
      description:
        - V(optimal) where everything has a place and it is proven that no plan is better, V(feasible) where everything has a place.
        - V(infeasible) where not everything can have a place and that is proven, V(unproven) where not everything has one and that is not proven.
      type: str
    solver:
      description:
        - V(ortools) where OR-Tools, which is used if Ansible's Python has it, made the plan better than the search had it, or proved that none is;
          V(search) otherwise.
      type: str
    cost:
      description:
        - What the plan is judged by. The first number in which two plans differ decides which one is better.
        - How many devices are left behind (C(unplaced)), go elsewhere though an earlier plan has had a target made for them (C(remade)), go to
          hosts that are not among those to O(prefer) (C(not_preferred)), and are made, or given the type without which they are of no use
          (C(created)); with O(policy=spread) how many are then in the fullest of O(failure_domains) that receives any (C(domain_load)), where these
          are given, and on the fullest such host (C(load)), with O(policy=pack) how many parents are opened (C(opened)); and
          how many devices become ones of another type (C(other_type)).
        - V(null) where O(earlier) is kept in part, or where some are planned beside those with a higher O(priority).
      type: dict
    bound:
      description:
        - What no plan is below, number by number. Where a plan is better than this one, the first number in which it differs is between
          that of C(bound) and that of C(cost). Both are equal in every number where the plan is V(optimal).
        - Of plans that leave something behind only C(unplaced) is bounded, and the others are V(0), unless every plan was looked at.
        - V(null) where nothing is known, which is so with O(earlier), and where C(cost) is.
      type: dict
    direction:
      description: Whose list decided.
      type: str
    policy:
      description: The policy of the plan.
      type: str
    placements:
      description:
        - Each with C(vm) (the guest's name, V(null) where no process holds the device), C(vm_uuid) (its UUID, where its process has one),
          C(source), C(target), C(set), C(bindings), C(certainty), C(warnings) and C(wave).
        - C(source) has C(host), C(kind) and C(id). C(target) also has C(parent), C(type), C(attributes) and C(create). A target with C(attributes)
          that is not to be created is to be given them. So is a virtual function of a network card the C(network) settings of its source, if it
          has that key. An attribute has the full name that the facts have, for example C(intel_vgpu/aggregator).
        - What moves in one C(wave) can move at once, when all in the waves before it have moved. Without O(reuse) and O(apart) there is only wave 1.
      type: list
      elements: dict
    unplaced:
      description:
        - The devices left behind, each with C(vm), C(vm_uuid) (where its process has one), C(source), and C(reasons), a list of
          C(host), C(code) and C(reason), the same in words, perhaps with the C(attribute) that differs, and in C(detail) what the code leaves open.
        - C(host) is V(null) for what is true of all hosts together. Of more than 20 target hosts, each reason is given
          once, of the first host that it is true of, and C(alike) is the number of the others, whichever devices and
          numbers it would name there.
      type: list
      elements: dict
    proof:
      description:
        - Where RV(_value.status) is V(infeasible), the ways in which it is proven of as many devices as RV(_value.bound) says that no plan has places for them.
          V(no_place), devices have none though nobody else moves, for which their reasons say why on each host; V(shortage), there are fewer places
          than devices that need them, as RV(_value.shortage) lists them; V(search), all other plans were looked at. Absent otherwise.
      type: list
      elements: str
    shortage:
      description:
        - The proof that not everything can have a place, where it is of this kind. The C(devices), C(need) of them, have C(reachable) places
          at most, all targets together, however the places are used; V(null) otherwise.
      type: dict
    shortages:
      description: The shortages that C(shortage) is made of, each with the same keys, where there are several that are about different places.
      type: list
      elements: dict
    hosts:
      description:
        - For each target host C(devices), exactly what M(vfio.migration.vfio_mdev) takes on that host, C(pci_devices),
          exactly what M(vfio.migration.vfio_pci) takes, and C(vdpa_devices), exactly what M(vfio.migration.vdpa_device) takes.
      type: dict
    map:
      description: For each source host a dictionary of the source's id to the target's id.
      type: dict
    changes:
      description: With O(earlier), the guests that were planned anew, each with C(vm), C(source) (its first device) and C(reason).
      type: list
      elements: dict
    conditions:
      description: What else was asked for, by which an earlier plan is known to be for the same.
      type: dict
    schema:
      description: The version of the plan's shape. A plan of another one is refused.
      type: int
      sample: 1
    request:
      description:
        - What was to be moved, by the options O(drain), O(sources), O(hosts) and O(free_devices), as far as they were given.
        - What the action M(vfio.migration.migration_plan) and playbooks return and write also has C(time), C(collection), its version, and
          C(requested_by).
      type: dict
    relied_on:
      description: The hosts of the placements, each with a digest of the facts that the plan relied on.
      type: dict
    unknown:
      description: The hosts without usable facts.
      type: list
      elements: str
"""


@as_filter("migration_plan")
def migration_plan(
    fleet: t.Any,
    drain: t.Any = None,
    sources: t.Any = None,
    hosts: t.Any = None,
    targets: t.Any = None,
    direction: str | None = None,
    policy: str | None = None,
    avoid: t.Any = None,
    **options: t.Any,
) -> Plan:
    options |= {"sources": sources, "hosts": hosts, "targets": targets}
    options |= {"direction": direction, "policy": policy, "avoid": avoid}
    return plan_for(fleet, drain, **options)


class FilterModule:
    """Filters of vfio.migration"""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"migration_plan": migration_plan}
