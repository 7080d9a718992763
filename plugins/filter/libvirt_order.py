# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.order import (
    Migrations,
    order_migrations,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.arguments import (
    as_filter,
    expected,
    plain,
    priorities,
)

DOCUMENTATION = r"""
name: libvirt_order
short_description: Order the guests of libvirt that migrate
version_added: 0.1.0
author:
  - vfio.migration contributors (@vfio-migration)
description:
  - Returns the guests of a plan in the order in which they are to begin to migrate. Those of a higher priority go first, and of equal ones
    those with less memory.
  - The role P(vfio.migration.migrate_libvirt#role) goes by it.
options:
  _input:
    description: The guests, C(chosen) of RV(vfio.migration.migrate_libvirt_step#module:checks).
    type: list
    elements: dict
    required: true
  plan:
    description: What P(vfio.migration.migration_plan#filter) returns for their devices.
    type: dict
    required: true
  priority:
    description: Numbers by names or UUIDs of guests, V(0) for the others. Who has the higher one goes first.
    type: dict
positional: _input, plan, priority
seealso:
  - module: vfio.migration.migrate_libvirt_step
  - plugin: vfio.migration.migration_plan
    plugin_type: filter
  - ref: ansible_collections.vfio.migration.docsite.migration_guide
    description: The checks before guests migrate, and how to migrate them.
"""

EXAMPLES = r"""
- name: Show in which order guests go
  hosts: localhost
  gather_facts: false
  tasks:
    # After the steps "check" and "order" of the playbook migrate_libvirt, which leave both variables on localhost.
    - name: Show the names of the guests
      ansible.builtin.debug:
        msg: "{{ (migrate_libvirt_run.checks.chosen | vfio.migration.libvirt_order(prepare_plan)).going | map(attribute='vm') }}"
"""

RETURN = r"""
_value:
  description: The guests that migrate, and the parts of the plan that do not.
  type: dict
  contains:
    going:
      description:
        - The guests, in order. Each has C(vm), C(host), C(uuid) and C(persistent) from the input, the host that it goes to as C(target), and its
          C(placements) in the plan.
      type: list
      elements: dict
    waiting:
      description: The guests of later waves of the plan, in the same form. They can migrate when the guests of the first wave have moved.
      type: list
      elements: dict
    ended:
      description: The placements of guests that have stopped since. No process holds the source, or a guest holds it that is not in the input.
      type: list
      elements: dict
"""


@as_filter("libvirt_order")
def libvirt_order(guests: t.Any, plan: t.Any, priority: t.Any = None) -> Migrations:
    with expected("the plan", "what migration_plan returns"):
        placements = plain(plan)["placements"]
    with expected("the list of guests", "guests as the checks of migrate_libvirt return them"):
        return order_migrations(placements, plain(guests), priorities("priority", plain(priority)))


class FilterModule:
    """Filters of vfio.migration"""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"libvirt_order": libvirt_order}
