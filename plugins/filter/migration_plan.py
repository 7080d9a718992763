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
  - vfio.migration._plan.moves
positional: _input, drain, sources, hosts, targets, direction, policy, avoid
seealso:
  - module: vfio.migration.migration_plan
  - module: vfio.migration.vfio_mdev
  - module: vfio.migration.vfio_pci
  - module: vfio.migration.vdpa_device
  - plugin: vfio.migration.explain
    plugin_type: filter
  - name: JSON Schema
    description: The exact structure of plans, for programs.
    link: https://github.com/vfio-migration/vfio.migration/blob/main/docs/schemas/plan.json
  - ref: ansible_collections.vfio.migration.docsite.plan_guide
    description: The assumptions and guarantees of plans.
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
        - V(optimal) if every device has a place and it is proven that no plan is better. V(feasible) if every device has a place.
        - V(infeasible) if it is proven that not every device can have a place. V(unproven) if not every device has a place, and this is not proven.
      type: str
    solver:
      description:
        - V(ortools) if OR-Tools improved the plan of the search, or proved that no plan is better. It is used if Ansible's Python has it.
        - V(search) otherwise.
      type: str
    cost:
      description:
        - The numbers that rate the plan, in the order of their importance. The first number in which two plans differ decides which one is better.
        - C(unplaced) is the number of devices that are left behind.
        - C(remade) is the number of devices that go elsewhere although an earlier plan had a target created for them.
        - C(not_preferred) is the number of devices that go to hosts other than those in O(prefer).
        - C(created) is the number of targets to create, including functions that need a type before they can be used.
        - With O(policy=spread), C(domain_load) is the largest number of devices in one of the O(failure_domains) that receives any, if there are domains.
          C(load) is the largest number of devices on one host that receives any.
        - With O(policy=pack), C(opened) is the number of parents that get their first device.
        - C(other_type) is the number of devices that become devices of another type.
        - V(null) if O(earlier) is kept in part, or if the guests were planned in several passes because of O(priority).
      type: dict
    bound:
      description:
        - The lower bounds of the numbers in C(cost). If a plan is better than this one, the first number in which both differ is between that of C(bound) and
          that of C(cost). All numbers are equal if the plan is V(optimal).
        - If the plan leaves devices behind, only C(unplaced) has a bound and the other numbers are V(0), unless the search covered every plan.
        - V(null) if nothing is known. This is always so with O(earlier), and if C(cost) is V(null).
      type: dict
    direction:
      description: Whose list decided.
      type: str
    policy:
      description: The policy of the plan.
      type: str
    placements:
      description:
        - The moves, one for each device that has a place. Each has C(vm), C(vm_uuid), C(source), C(target), C(set), C(bindings), C(certainty), C(warnings) and
          C(wave).
        - C(vm) is the name of the guest, or V(null) if no process holds the device. C(vm_uuid) is its UUID, if its process has one.
        - C(source) has C(host), C(kind) and C(id). C(target) also has C(parent), C(type), C(attributes) and C(create).
        - C(attributes) are also to be written to a target that already exists. Their names are the full names in the facts, such as
          C(intel_vgpu/aggregator).
        - If C(target) is a virtual function of a network card, it can have C(network), which are the settings of its source to apply to it.
        - The moves of one C(wave) can run at the same time, after all moves of earlier waves. Without O(reuse) and O(apart), there is only wave 1.
      type: list
      elements: dict
    unplaced:
      description:
        - The devices that are left behind. Each has C(vm), C(vm_uuid) if its process has one, C(source) and C(reasons).
        - Each of the C(reasons) has C(host), C(code), and C(reason), which is the code as text. Some have the C(attribute) that differs, and further
          information as C(detail).
        - C(host) is V(null) for a reason that applies to all hosts together.
        - With more than 20 target hosts, each reason is listed once, for the first host that it applies to. C(alike) is the number of other hosts that it
          applies to, even if their devices and numbers differ.
      type: list
      elements: dict
    proof:
      description:
        - The proofs that no plan has places for as many devices as C(unplaced) in RV(_value.bound). Only present if RV(_value.status) is V(infeasible).
        - V(no_place) if devices have no place even if nothing else moves. Their reasons state why for each host.
        - V(shortage) if there are fewer places than devices that need them, as in RV(_value.shortage).
        - V(cases) if some guests cannot all have a place, as RV(_value.cases) shows step by step.
        - V(search) if the search covered all other plans. With other proofs, it is what proves the rest of the number.
      type: list
      elements: str
    shortage:
      description:
        - The shortage that proves that not every device can have a place. C(need) is the number of C(devices) in it. C(reachable) is the maximum number of
          places for them on all targets together.
        - V(null) without such a proof.
      type: dict
    shortages:
      description: The parts of C(shortage), each with the same keys, if it consists of several shortages for different places.
      type: list
      elements: dict
    cases:
      description:
        - The proofs by cases. Only present if there are any. No two of them share a guest.
        - C(guests) cannot all have a place, so at least C(left_out) devices have none. Each guest has C(vm), C(host) and C(devices). C(alike), if present, has
          lists of other guests for which the same is true by the same steps.
        - C(steps) count from 1, as C(guests) do, and the proof begins with the first. Each has the number of a C(guest), its C(places), and the step in words
          as C(sentence).
        - The C(places) are all hosts that could receive the guest if they received nothing else. C(hosts) of one entry are alike at this step. Each entry has
          the number of the step that follows (C(then)), or those of the guests C(beside) which the guest has no place there, or that of the guest that it is
          to be C(apart_from).
      type: list
      elements: dict
    hosts:
      description:
        - For each target host, the arguments for the modules that prepare its devices.
        - C(devices) is for O(vfio.migration.vfio_mdev#module:devices), C(pci_devices) for O(vfio.migration.vfio_pci#module:devices), and C(vdpa_devices) for
          O(vfio.migration.vdpa_device#module:devices).
      type: dict
    map:
      description: For each source host, a dictionary that maps the ids of sources to the ids of their targets.
      type: dict
    changes:
      description: With O(earlier), the guests that were replanned. Each has C(vm), C(source), which is its first device, and C(reason).
      type: list
      elements: dict
    conditions:
      description: The other conditions of the plan. With O(earlier), they are compared with those of the new plan.
      type: dict
    schema:
      description: The version of the plan's structure. Plans with another version are refused.
      type: int
      sample: 1
    request:
      description:
        - The request, with the options O(drain), O(sources), O(hosts) and O(free_devices) that were set.
        - In plans of the action M(vfio.migration.migration_plan) and of playbooks, it also has C(time), C(collection), which is the version of the collection,
          and C(requested_by).
      type: dict
    received:
      description:
        - What hosts have received by moves of earlier plans, which counts for O(limit). Absent without O(limit), or if they have received nothing.
        - Each device that a guest holds now has C(host), C(kind), C(id), C(vm) and C(source), the device that the guest has left.
      type: list
      elements: dict
    relied_on:
      description: The hosts of the placements and of C(received), each with a digest of the facts that the plan relies on.
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
