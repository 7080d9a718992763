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
    description: The exact structure of the result, for programs.
    link: https://github.com/vfio-migration/vfio.migration/blob/main/docs/schemas/candidates.json
  - ref: ansible_collections.vfio.migration.docsite.verdict_guide
    description: The rules of verdicts, and their limits.
  - ref: ansible_collections.vfio.migration.docsite.getting_started_guide
    description: From the installation to a migrated guest.
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
  description: The verdict on each host.
  type: dict
  contains:
    guests:
      description: For each guest, the same values as with O(source). The lines in C(sentences) then begin with the guest's name and host.
      type: list
      elements: dict
      returned: with O(drain), O(guests) or O(devices)
    vm:
      description: The name of the guest. V(null) if no process holds the device.
      type: str
      returned: with O(source)
    devices:
      description: The guest's devices, each with C(host), C(kind) and C(id).
      type: list
      elements: dict
      returned: with O(source)
    hosts:
      returned: with O(source)
      description: The hosts except for the guest's own. First the candidates, then hosts that are not, then hosts for which this is unknown.
      type: list
      elements: dict
      contains:
        host:
          description: The name of the host.
          type: str
        candidate:
          description: Whether the host can receive all devices of the guest. V(null) if this is unknown.
          type: bool
        placements:
          description: The placement of each device on the host, as in a plan. Empty if the host is not a candidate.
          type: list
          elements: dict
        reasons:
          description: The reasons why the host is not a candidate. Empty if it is one.
          type: list
          elements: str
        codes:
          description: The code of each reason, for programs. The guide to plans lists them.
          type: list
          elements: str
    sentences:
      description:
        - A line for each host, in the same order, that begins with C(yes), C(no) or C(unknown). If more than 40 hosts have the same answer, the first 40 of
          them, and the number of the others.
        - With O(drain), O(guests) or O(devices), a line for each guest and host, that begins with the guest's name and its host. If there would be more
          than 400 lines, there are fewer hosts for each answer.
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
