# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.values import names, one_of
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.cleanup import (
    REMOVABLE,
    Superfluous,
    superfluous,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.arguments import (
    as_filter,
    expected,
    plain,
)

DOCUMENTATION = r"""
name: superfluous_devices
short_description: List the devices of a plan that are no longer needed
version_added: 0.1.0
author:
  - vfio.migration contributors (@vfio-migration)
description:
  - Lists which targets can be removed as their guests have not moved, and which sources as their guests have.
  - A target is only removed if the plan had it made, or configured if it is a physical device. A physical device that is a source stays as it is.
  - The playbook C(vfio.migration.cleanup) goes by the same.
options:
  _input:
    description: What P(vfio.migration.placement_states#filter) returns.
    type: list
    elements: dict
    required: true
  remove:
    description: What to remove, V(prepared) targets, V(vacated) sources, or both.
    type: list
    elements: str
    choices:
      - prepared
      - vacated
    required: true
  hosts:
    description: The hosts that answer. A source stays if its target's host does not.
    type: list
    elements: str
    required: true
  undefined:
    description: The targets, as C(HOST/ID), that could not be defined in mdevctl where their sources are. These sources stay.
    type: list
    elements: str
    default: []
positional: _input, remove, hosts, undefined
seealso:
  - plugin: vfio.migration.placement_states
    plugin_type: filter
  - ref: ansible_collections.vfio.migration.docsite.maintenance_guide
    description: Drain a host, patch it, and bring its guests back.
"""

EXAMPLES = r"""
# The playbook vfio.migration.prepare has made the target devices, and has written its plan with prepare_dest=plan.json.
- name: Show what guests have left
  hosts: hypervisors
  gather_facts: false
  tasks:
    - name: Gather the descriptors
      vfio.migration.vfio_migration_facts:
      become: true

    - name: Show what may be removed
      ansible.builtin.debug:
        msg: >-
          {{ (hostvars
          | vfio.migration.placement_states(lookup('ansible.builtin.file', 'plan.json') | from_json)
          | vfio.migration.superfluous_devices(['vacated'], ansible_play_hosts)).devices }}
      run_once: true
"""

RETURN = r"""
_value:
  description: The devices that are no longer needed.
  type: dict
  contains:
    prepared:
      description: The entries of the input whose targets are no longer needed.
      type: list
      elements: dict
    vacated:
      description: The entries of the input whose sources are no longer needed.
      type: list
      elements: dict
    devices:
      description: The devices to remove, as in the plan, without sources that stay for now.
      type: list
      elements: dict
    sentences:
      description: A sentence for each entry of the input.
      type: list
      elements: str
"""


def _place(name: str) -> tuple[str, str]:
    """Return host and id in ``HOST/ID``; raise ``FleetError``."""
    host, slash, device_id = name.rpartition("/")
    if not slash:
        raise FleetError(f"undefined has {name!r}; expected HOST/ID")
    return host, device_id


@as_filter("superfluous_devices")
def superfluous_devices(
    states: t.Any, remove: t.Any, hosts: t.Any, undefined: t.Any = None
) -> Superfluous:
    kinds = [one_of("remove", each, REMOVABLE) for each in names("remove", remove) or ()]
    with expected("the list of states", "what placement_states returns"):
        return superfluous(
            plain(states),
            kinds,
            names("hosts", hosts) or [],
            [_place(each) for each in names("undefined", undefined) or ()],
        )


class FilterModule:
    """Filters of vfio.migration"""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"superfluous_devices": superfluous_devices}
