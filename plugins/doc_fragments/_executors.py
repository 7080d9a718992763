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
      - What the executor calls guests, by the name or the UUID that a guest has in the plan, or by the id of one of its devices, alone or as C(HOST/ID).
      - A guest whose name there is not known, or of which one device is not, does not move, and is named among the C(warnings). So is
        what would be one guest there and would go to several hosts.
      - The same is true of one that another host has, too, by what that says.
        C(HOST/ID) decides which host it is on, and so does the id of a device alone, where nothing on
        another host is called like it.
    type: dict
  nodes:
    description:
      - What the executor calls hosts, by their names in the inventory.
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
      - The facts of all hosts, as O(vfio.migration.migration_plan#filter:_input) has them. They show whether another host has a guest of the plan, too, and the
        ids of PCI functions, which plans have not.
      - Without them only what the plan has of other hosts is looked at. What would be needed of PCI functions, and is not known without the facts of their
        host, is named among the C(warnings).
    type: dict
"""
