# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.values import one_name
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.preparation import (
    Preparation,
    preparation,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.arguments import (
    as_filter,
    expected,
    plain,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.handed_over import check_tasks

DOCUMENTATION = r"""
name: prepared_devices
short_description: List the target devices of a plan that a host has, and what failed
version_added: 0.1.0
author:
  - vfio.migration contributors (@vfio-migration)
description:
  - Lists, from what the modules did on a host for a plan, what was made there, what of that is left of earlier plans, and what failed.
  - The playbook C(vfio.migration.prepare) goes by the same.
options:
  _input:
    description: What P(vfio.migration.migration_plan#filter) returns.
    type: dict
    required: true
  host:
    description: The host.
    type: str
    required: true
  results:
    description:
      - What M(vfio.migration.vfio_mdev), M(vfio.migration.vfio_pci) and M(vfio.migration.vdpa_device) returned there, in this order, for the devices that
        the plan has for the host. A skipped task's result is one, too.
    type: list
    elements: dict
    required: true
  made:
    description: What was made there for earlier plans, C(made) of what this filter returned then.
    type: dict
    default: {}
positional: _input, host, results, made
seealso:
  - plugin: vfio.migration.migration_plan
    plugin_type: filter
  - ref: ansible_collections.vfio.migration.docsite.plan_guide
    description: The assumptions and guarantees of plans.
"""

EXAMPLES = r"""
- name: Create the targets of a plan, or say what failed
  hosts: b
  gather_facts: false
  tasks:
    - name: Make them
      vfio.migration.vfio_mdev:
        devices: "{{ plan.hosts['b'].devices }}"
      register: result
      ignore_errors: true

    - name: Show what failed
      ansible.builtin.debug:
        msg: "{{ (plan | vfio.migration.prepared_devices('b', [result, {}, {}])).failures }}"
"""

RETURN = r"""
_value:
  description: The progress of the host. Devices are in the form of C(hosts) in the plan.
  type: dict
  contains:
    made:
      description: The devices that were created or configured for this plan and earlier ones, as C(devices), C(pci_devices) and C(vdpa_devices).
      type: dict
    leftover:
      description: The devices in RV(_value.made) that this plan does not need, in the same form.
      type: dict
    failures:
      description: The failure, in the form of O(vfio.migration.migration_plan#filter:avoid). One entry at most. It has C(parent) if the parent is known.
      type: list
      elements: dict
"""


@as_filter("prepared_devices")
def prepared_devices(plan: t.Any, host: str, results: t.Any, made: t.Any = None) -> Preparation:
    check_tasks(plan)
    with expected("the plan", "what migration_plan returns, and the results of its modules"):
        return preparation(plain(plan), one_name("host", host), plain(results), plain(made or {}))


class FilterModule:
    """Filters of vfio.migration"""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"prepared_devices": prepared_devices}
