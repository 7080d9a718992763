# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this doc fragment is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

from __future__ import annotations


class ModuleDocFragment:
    # What every module here has in common; support and details are stated by the module.
    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Runs in C(check_mode) and shows what would change, changing nothing.
  diff_mode:
    description: Shows in diff mode what changed, or in check mode what would change.
  idempotent:
    description: A second run with the same arguments changes nothing, unless something else changed the host in between.
  platform:
    description: The operating systems the module works on.
    support: full
    platforms: linux
"""

    FACTS = r"""
options: {}
attributes:
  facts:
    description: The action returns an C(ansible_facts) dictionary that updates the host's facts.
"""

    # For modules that read the host and change nothing.
    FACTS_MODULE = r"""
options: {}
attributes:
  check_mode:
    support: full
    details:
      - The module changes nothing, so check mode makes no difference to it.
  diff_mode:
    support: N/A
    details:
      - The module changes nothing.
  idempotent:
    support: full
    details:
      - The module changes nothing.
  facts:
    support: full
"""

    ACTIONGROUP_VFIO = r"""
options: {}
attributes:
  action_group:
    description: Set arguments common to all modules of the group with C(module_defaults) and C(group/vfio.migration.vfio).
    support: full
    membership:
      - vfio.migration.vfio
"""

    # For actions that decide on the control node what a playbook does next.
    STEP = r"""
options:
  so_far:
    description: The result of the previous step. All other options are only for V(begin).
    type: dict
    default: {}
attributes:
  diff_mode:
    support: none
  idempotent:
    support: N/A
    details:
      - The action changes no hosts. The same results of hosts give the same decision.
  platform:
    platforms: posix
    details:
      - The action runs on the control node and does not contact the managed host.
"""
