# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.arguments import as_filter
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.candidate_options import (
    candidates_for,
)
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import CandidateAnswer

DOCUMENTATION = r"""
name: candidates
short_description: List the hosts that can take a guest
version_added: 0.1.0
author:
  - vfio.migration contributors (@vfio-migration)
description:
  - Judges each host as the target of one guest with all its VFIO and vDPA devices, or of each of several, and says what stands in the
    way of the others.
  - Each host is judged as if it were the only one and nothing else moved. To move several guests, make a plan.
extends_documentation_fragment:
  - vfio.migration._fleet
  - vfio.migration._fleet.judged
  - vfio.migration._fleet.fleet
  - vfio.migration._fleet.max_age
  - vfio.migration._fleet.left_out
options:
  source:
    description:
      - The guest's name, or one of its devices as a dictionary with C(host) and C(id).
      - Give either this, or what P(vfio.migration.migration_plan#filter) takes as well, O(drain), or O(guests) and O(devices).
    type: raw
positional: _input, source, direction, hosts
seealso:
  - module: vfio.migration.candidates
  - plugin: vfio.migration.explain
    plugin_type: filter
  - plugin: vfio.migration.migration_plan
    plugin_type: filter
  - name: JSON Schema
    description: The exact shape of the result, for programs.
    link: https://github.com/vfio-migration/vfio.migration/blob/main/docs/schemas/candidates.json
  - ref: ansible_collections.vfio.migration.docsite.verdict_guide
    description: The rules of verdicts, and their limits.
  - ref: ansible_collections.vfio.migration.docsite.getting_started_guide
    description: The way from the installation to a migrated guest.
"""

EXAMPLES = r"""
- name: Gather the descriptors of all hosts
  hosts: hypervisors
  gather_facts: false
  tasks:
    - name: Gather the descriptors
      vfio.migration.vfio_migration_facts:
      become: true

    - name: List the hosts that can take the guest vm-1
      ansible.builtin.debug:
        msg: "{{ (hostvars | vfio.migration.candidates('vm-1', hosts=groups['hypervisors'])).sentences }}"
      run_once: true

    - name: List them for each guest of a host
      ansible.builtin.debug:
        msg: "{{ (hostvars | vfio.migration.candidates(drain=groups['hypervisors'][:1], hosts=groups['hypervisors'])).sentences }}"
      run_once: true
"""

RETURN = r"""
_value:
  description: The judgement of each host.
  type: dict
  contains:
    guests:
      description: For each guest what there is with O(source), but for the lines on a host that begin with the guest's name and host.
      type: list
      elements: dict
      returned: with O(drain), O(guests) or O(devices)
    vm:
      description: The name of the guest; V(null) where no process holds the device.
      type: str
      returned: with O(source)
    devices:
      description: The guest's devices, each with C(host), C(kind) and C(id).
      type: list
      elements: dict
      returned: with O(source)
    hosts:
      returned: with O(source)
      description: The hosts but for the guest's own, candidates first, then those that are none, then those of which nothing is known.
      type: list
      elements: dict
      contains:
        host:
          description: The host.
          type: str
        candidate:
          description: Whether it can take all devices of the guest; V(null) where nothing is known of it.
          type: bool
        placements:
          description: What each device becomes there, as in a plan; empty where the host is no candidate.
          type: list
          elements: dict
        reasons:
          description: What stands in the way; empty where the host is a candidate.
          type: list
          elements: str
        codes:
          description: The same as codes for programs, one for each of the reasons; see the guide to plans.
          type: list
          elements: str
    sentences:
      description:
        - A line on each host, in the same order, which begins with C(yes), C(no) or C(unknown). Of more than 40 with one answer, the
          first 40, and how many more there are.
        - With O(drain), O(guests) or O(devices) a line on each guest and host, which begins with the guest's name and its host. Of so
          many guests and hosts that it were more than 400 lines, fewer hosts of each answer.
      type: list
      elements: str
"""


@as_filter("candidates")
def candidates(
    fleet: t.Any,
    source: t.Any = None,
    direction: str = "source_lists",
    hosts: t.Any = None,
    targets: t.Any = None,
    max_age: t.Any = None,
    left_out: t.Any = None,
    drain: t.Any = None,
    guests: t.Any = None,
    devices: t.Any = None,
) -> CandidateAnswer:
    return candidates_for(
        *(fleet, source, direction, hosts, targets, max_age, left_out, drain, guests, devices)
    )


class FilterModule:
    """Filters of vfio.migration"""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"candidates": candidates}
