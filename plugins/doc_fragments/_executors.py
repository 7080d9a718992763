# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this doc fragment is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

from __future__ import annotations


class ModuleDocFragment:
    # What the filters that put a plan into the words of an executor have in common.
    DOCUMENTATION = r"""
options:
  _input:
    description: A plan, as P(vfio.migration.migration_plan#filter) returns it.
    type: dict
    required: true
  guests:
    description:
      - The platform's names of guests, by the name or UUID of a guest in the plan, or by the id of one of its devices, alone or as C(HOST/ID).
      - A guest does not move, and C(warnings) names it, if its name on the platform is unknown for any of its devices, or if it would be a single
        guest there that goes to several hosts.
      - The same applies to a guest that another host claims to have, too. C(HOST/ID) decides which host it is on, and so does the id of a device
        alone if nothing on another host has the same one.
    type: dict
  nodes:
    description:
      - The platform's names of hosts, by their inventory names.
      - By default the same.
    type: dict
seealso:
  - plugin: vfio.migration.migration_plan
    plugin_type: filter
  - ref: ansible_collections.vfio.migration.docsite.executors_guide
    description: Plans for Nova, Proxmox VE, KubeVirt and Cloud Hypervisor.
"""

    # What is not in plans: who else has a guest, and the ids of PCI functions.
    FLEET = r"""
options:
  fleet:
    description:
      - The facts of all hosts, as in O(vfio.migration.migration_plan#filter:_input). They show whether another host claims a guest of the plan, too,
        and the ids of PCI functions, which are not in plans.
      - Without them, only the plan is checked for such claims, and C(warnings) lists the data of PCI functions that are missing.
    type: dict
"""
