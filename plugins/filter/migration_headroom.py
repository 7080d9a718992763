# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.arguments import as_filter
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.headroom_options import (
    headroom_for,
)
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import Headroom

DOCUMENTATION = r"""
name: migration_headroom
short_description: Show whether each host can be drained or can fail
version_added: 0.1.0
author:
  - vfio.migration contributors (@vfio-migration)
description:
  - Determines for each host, and for each named failure domain, whether it can be drained, or can fail, with the devices of all its guests placed on
    other hosts, while nothing else moves.
  - For each that cannot, returns the guests without a place, the resources that are short, and the smallest known addition that is enough.
  - Free devices need no place. Every process that holds a device counts as a guest.
  - Hosts with equal guests, equal places and equally complete facts are examined once. If first fit places all guests, a host can be drained.
    Otherwise a search is made as for a plan, for at most O(searches) classes of equal hosts. Further hosts are unproven, unless one of their guests
    has no place on any host.
  - An addition is only given if a search with it places everything.
extends_documentation_fragment:
  - vfio.migration._fleet.fleet
  - vfio.migration._fleet.max_age
  - vfio.migration._fleet.left_out
  - vfio.migration._plan.conditions
  - vfio.migration._plan.capacity
  - vfio.migration._plan.search
options:
  failure_domains:
    description:
      - Hosts that are drained, or fail, as a whole, such as those of a rack, as lists of hosts by the names of the domains.
      - Guests of one group in O(apart) are in no domain together.
      - A domain with a host without usable facts is unproven.
    type: dict
  exempt:
    description: Hosts and failure domains that do not count for RV(_value.holds).
    type: list
    elements: str
  searches:
    description:
      - The maximum number of classes of equal hosts for which a search is made. By default 400.
      - More take longer, and prove more when many hosts are full. All searches together share the effort of one search for a plan, so that no facts
        make them endless. Hosts that are not examined then are unproven, too.
    type: int
positional: _input, failure_domains, hosts
seealso:
  - module: vfio.migration.migration_headroom
  - plugin: vfio.migration.migration_plan
    plugin_type: filter
  - module: vfio.migration.migration_report
  - name: JSON Schema
    description: The exact structure of the result, for programs.
    link: https://github.com/vfio-migration/vfio.migration/blob/main/docs/schemas/headroom.json
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

    - name: Stop if a host or a rack cannot fail
      ansible.builtin.assert:
        that: headroom.holds
        fail_msg: "{{ headroom.sentences }}"
        quiet: true
      vars:
        headroom: >-
          {{ hostvars | vfio.migration.migration_headroom({'rack1': groups['rack1'], 'rack2': groups['rack2']}, hosts=groups['hypervisors']) }}
      run_once: true
"""

RETURN = r"""
_value:
  description: The hosts and failure domains that can be drained or can fail, and the reasons why others cannot.
  type: dict
  contains:
    schema:
      description: The version of this structure.
      type: int
      sample: 1
    hosts:
      description:
        - C(emptied) is the number of hosts that can be drained, each by itself. C(infeasible) is the number of hosts that provably cannot be drained.
        - C(unproven) is the number of hosts with guests for which no place was found, without a proof that there is none.
      type: dict
    failure_domains:
      description: The same numbers for failure domains.
      type: dict
    holds:
      description: Whether all hosts and failure domains can be drained and all hosts have usable facts, except for those in O(exempt).
      type: bool
    sentences:
      description: The conclusion and the first 20 causes. Of each cause, one sentence states what is proven and the addition, and another one names the first
        guests without a place, and what is short for them.
      type: list
      elements: str
    causes:
      description: The causes why hosts and failure domains cannot be drained. Those with equal guests and places share a cause.
      type: list
      elements: dict
      contains:
        status:
          description: V(infeasible) or V(unproven), as in a plan.
          type: str
        sentence:
          description: The cause as a sentence.
          type: str
        subjects:
          description:
            - The hosts and failure domains. Each has C(name), C(failure_domain), which is whether it is one, and the C(guests) that have no place when all
              others have theirs.
            - Each guest has C(vm), C(host) and the ids of its C(devices).
          type: list
          elements: dict
        at_least:
          description: The proven minimum number of devices without a place. V(null) if nothing is proven.
          type: int
        assumptions:
          description:
            - The assumptions that contributed to finding no place for the first host or failure domain, in addition to the rules of the kernel and drivers.
          type: list
          elements: str
        unplaced:
          description: C(unplaced) of a plan for the first host or failure domain. Empty after the first 40 causes.
          type: list
          elements: dict
        shortages:
          description: C(shortages) of a plan for the first host or failure domain. Empty after the first 40 causes.
          type: list
          elements: dict
        cases:
          description: C(cases) of a plan for the first host or failure domain. Only present if there are any, and in the first 40 causes.
          type: list
          elements: dict
        addition:
          description:
            - An addition that gives a place to all guests of any of these hosts or failure domains when it is drained by itself. A host that gets the addition
              has its own cause.
            - V(null) if no addition is known, and after the first 40 causes.
            - C(devices) are the free devices to add. Each entry has C(count), C(kind), C(type), C(version), C(like), which is an equal device, and the C(host)
              for them, or V(null) for any other host. If C(further) is V(true), no known host may receive the guest, so they are for a host to add.
              C(numa_node) is the NUMA node of the host for them if O(numa_local) makes it matter.
            - Entries with the same number in C(together) must be on one host, because one guest needs them. With O(apart), O(limit) or O(capacity), the devices
              for each guest must be on a host of their own.
            - C(amounts) are what hosts must have more of, such as memory. Each has C(host), C(resource) and C(amount), in the unit of O(capacity). If nothing
              else is short, there are no devices.
            - C(smallest) is whether it is proven that fewer devices are not enough, or, without devices, that less on this host is not. C(sentence) has the
              addition as text.
          type: dict
    conditions:
      description: The conditions for the places.
      type: dict
    unknown:
      description: The hosts without usable facts, which the other values do not cover.
      type: list
      elements: str
"""


@as_filter("migration_headroom")
def migration_headroom(
    fleet: t.Any, failure_domains: t.Any = None, hosts: t.Any = None, **options: t.Any
) -> Headroom:
    return headroom_for(fleet, hosts=hosts, failure_domains=failure_domains, **options)


class FilterModule:
    """Filters of vfio.migration"""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"migration_headroom": migration_headroom}
