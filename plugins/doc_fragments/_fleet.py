# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this doc fragment is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

from __future__ import annotations


class ModuleDocFragment:
    # What the plugins that judge devices have in common.
    DOCUMENTATION = r"""
options:
  direction:
    description:
      - Whose list decides.
      - With V(source_lists), the target's C(self) must match a set of the source's C(compatible).
        This also works for a target that does not exist yet.
      - With V(target_accepts), the source's C(self) must match a set of the target's C(compatible).
      - With V(both), both must hold; with V(either), one is enough.
    type: str
    choices:
      - source_lists
      - target_accepts
      - both
      - either
    default: source_lists
"""

    # What the plugins that look at many hosts have in common.
    FLEET = r"""
options:
  _input:
    description:
      - The facts of the fleet. Either C(hostvars) itself, or a mapping of host to that host's C(vfio_migration) facts,
        as M(vfio.migration.vfio_migration_facts) returns them.
    type: dict
    required: true
  hosts:
    description:
      - The hosts to look at. Hosts without usable facts are unknown.
      - By default all hosts of the input.
    type: list
    elements: str
"""

    # How old facts may be.
    MAX_AGE = r"""
options:
  max_age:
    description:
      - The maximum age of facts in seconds. A host is unknown if its facts are older, have no time of gathering, or have a time more than 300 seconds
        in the future. A problem then names it with the age. V(0) means no limit.
      - By default, 3600 (one hour) for the facts that M(vfio.migration.vfio_migration_facts) left in C(ansible_facts), because they can come from a
        fact cache. Facts that you pass directly, or in the inventory, have no limit by default.
      - The time of the facts is that of the host's clock.
    type: int
"""

    # Which hosts did not answer.
    LEFT_OUT = r"""
options:
  left_out:
    description: Hosts that are unknown whatever facts exist, such as those that did not answer, each with the reason.
    type: dict
"""

    # Whose candidates are looked for, and among which hosts.
    JUDGED = r"""
options:
  drain:
    description: The hosts whose guests, and devices that can migrate, are each judged. By default, these hosts are not candidates.
    type: list
    elements: str
  guests:
    description: The names of guests to judge, each by itself. They go with what O(devices) names.
    type: list
    elements: str
  devices:
    description: Devices, each a dictionary with C(host) and C(id), whose guests are judged.
    type: list
    elements: dict
  targets:
    description:
      - The hosts to judge.
      - By default all of O(hosts) but those in O(drain).
    type: list
    elements: str
"""
