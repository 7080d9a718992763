# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import read_fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.values import names
from ansible_collections.vfio.migration.plugins.plugin_utils._planner import (
    explain as explain_module,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.arguments import (
    as_filter,
    direction_of,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.clock import age_limit
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import Explanation

DOCUMENTATION = r"""
name: explain
short_description: Explain why a device can or cannot go to a device or host
version_added: 0.1.0
author:
  - vfio.migration contributors (@vfio-migration)
description:
  - Gives the verdict on a device going to another device, or to a host, and says in sentences what stands in the way.
extends_documentation_fragment:
  - vfio.migration._fleet
  - vfio.migration._fleet.fleet
  - vfio.migration._fleet.max_age
options:
  source:
    description:
      - The device, a dictionary with C(host) and C(id), or the name or the UUID of a guest.
      - Of a guest, the first of the sentences begins with yes or no and says why in one line.
    type: raw
    required: true
  target:
    description: A device, a dictionary with C(host) and C(id), or the name of a host.
    type: raw
    required: true
positional: _input, source, target, direction, hosts
seealso:
  - plugin: vfio.migration.compatibility
    plugin_type: filter
  - name: JSON Schema
    description: The exact structure of the result, for programs.
    link: https://github.com/vfio-migration/vfio.migration/blob/main/docs/schemas/explanation.json
  - ref: ansible_collections.vfio.migration.docsite.verdict_guide
    description: The rules of verdicts, and their limits.
  - ref: ansible_collections.vfio.migration.docsite.troubleshooting_guide
    description: Messages, their causes and what to do.
"""

EXAMPLES = r"""
- name: Gather the descriptors of all hosts
  hosts: hypervisors
  gather_facts: false
  tasks:
    - name: Gather the descriptors
      vfio.migration.vfio_migration_facts:
      become: true

    - name: Explain what keeps the first device of the first host from the last host
      ansible.builtin.debug:
        msg: "{{ (hostvars | vfio.migration.explain(source, groups['hypervisors'] | last)).sentences }}"
      vars:
        host: "{{ groups['hypervisors'] | first }}"
        source:
          host: "{{ host }}"
          id: "{{ hostvars[host].ansible_facts.vfio_migration.devices[0].id }}"
      run_once: true

    - name: Say in one line whether a guest can go to the last host
      ansible.builtin.debug:
        msg: "{{ (hostvars | vfio.migration.explain('vm-17', groups['hypervisors'] | last)).sentences[0] }}"
      run_once: true
"""

RETURN = r"""
_value:
  description: The explanation.
  type: dict
  contains:
    source:
      description: The device, with C(host), C(kind) and C(id).
      type: dict
    target:
      description: The target device, with C(host), C(kind) and C(id), or the name of the target host.
      type: raw
    verdict:
      description:
        - The verdict, as P(vfio.migration.compatibility#filter) returns it.
        - If the target is a host, this is the verdict on the device there that would receive the source, which can be a new device. If there is none, it has
          the reasons of the closest target, with the C(certainty) V(provisional).
      type: dict
    placement:
      description: The target device on the host, as C(target) in a plan. V(null) if the host cannot receive the device, or if O(target) is a device.
      type: dict
    codes:
      description: The codes of all reasons, each once, for programs. The guide to plans lists them. Empty if there is no reason.
      type: list
      elements: str
    sentences:
      description: Sentences on what prevents the migration, and on what the verdict assumes.
      type: list
      elements: str
"""


@as_filter("explain")
def explain(
    fleet: t.Any,
    source: t.Any,
    target: t.Any,
    direction: str = "source_lists",
    hosts: t.Any = None,
    max_age: t.Any = None,
) -> Explanation:
    read = read_fleet(fleet, names("hosts", hosts), age_limit(max_age))
    return explain_module.explain(read, source, target, direction_of(direction))


class FilterModule:
    """Filters of vfio.migration"""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"explain": explain}
