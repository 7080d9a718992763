# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.rounds import (
    Migrations,
    plan_rounds,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.arguments import (
    as_filter,
    expected,
    one_or_more,
    plain,
)

DOCUMENTATION = r"""
name: libvirt_rounds
short_description: Plan which guests of libvirt migrate at the same time
version_added: 0.1.0
author:
  - vfio.migration contributors (@vfio-migration)
description:
  - Puts the guests of a plan into rounds. In a round no two guests leave one host, and no two come to one.
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
  parallel:
    description: How many guests of a round there may be at most.
    type: int
    default: 2
positional: _input, plan, parallel
seealso:
  - module: vfio.migration.migrate_libvirt_step
  - plugin: vfio.migration.migration_plan
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Show in which order guests go
  hosts: a
  gather_facts: false
  tasks:
    - name: Show it
      ansible.builtin.debug:
        msg: "{{ (checks.chosen | vfio.migration.libvirt_rounds(prepare_plan)).rounds | map('map', attribute='vm') }}"
"""

RETURN = r"""
_value:
  description: The rounds, and what of the plan is in none.
  type: dict
  contains:
    rounds:
      description:
        - Lists of guests that migrate at the same time, each with C(vm), C(host), C(uuid) and C(persistent) as it was given, C(target),
          the host that it goes to, and C(placements), those of the plan.
      type: list
      elements: list
    ended:
      description: The placements of guests that have ended since. Nobody holds the source, or another guest than one that was given.
      type: list
      elements: dict
"""


@as_filter("libvirt_rounds")
def libvirt_rounds(guests: t.Any, plan: t.Any, parallel: t.Any = 2) -> Migrations:
    with expected("the plan", "what migration_plan returns"):
        placements = plain(plan)["placements"]
    with expected("the list of guests", "guests as the checks of migrate_libvirt return them"):
        return plan_rounds(placements, plain(guests), one_or_more("parallel", parallel))


class FilterModule:
    """Filters of vfio.migration"""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"libvirt_rounds": libvirt_rounds}
