# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._compat import pairs
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import (
    check_hosts,
    read_fleet,
    uncollected,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.values import names
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.arguments import (
    as_filter,
    direction_of,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.clock import age_limit
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import CompatiblePairs

DOCUMENTATION = r"""
name: compatible_pairs
short_description: List which devices of a fleet can migrate to which
version_added: 0.1.0
author:
  - vfio.migration contributors (@vfio-migration)
description:
  - Compares the devices of all hosts and returns which classes of equal devices may migrate to which, which new devices
    hosts could make for them, and what comes nearest where nothing fits.
  - The answer is compact, so that it stays usable for large fleets.
extends_documentation_fragment:
  - vfio.migration._fleet
  - vfio.migration._fleet.fleet
  - vfio.migration._fleet.max_age
options:
  sources:
    description: The hosts whose devices are sources. By default all.
    type: list
    elements: str
  targets:
    description: The hosts whose devices are targets. By default all.
    type: list
    elements: str
  expand:
    description: Also list every pair of devices under C(devices). That is long for a large fleet.
    type: bool
    default: false
positional: _input, hosts, direction, sources, targets, expand
seealso:
  - module: vfio.migration.vfio_migration_facts
  - plugin: vfio.migration.migration_plan
    plugin_type: filter
  - name: JSON Schema
    description: The exact shape of the result, for programs.
    link: https://github.com/vfio-migration/vfio.migration/blob/main/docs/schemas/pairs.json
  - ref: ansible_collections.vfio.migration.docsite.verdict_guide
    description: The rules of verdicts, and their limits.
"""

EXAMPLES = r"""
- name: Gather the descriptors of all hosts
  hosts: hypervisors
  gather_facts: false
  tasks:
    - name: Gather the descriptors
      vfio.migration.vfio_migration_facts:
      become: true

- name: Show which classes of devices may go where
  hosts: localhost
  gather_facts: false
  tasks:
    - name: Show the pairs
      ansible.builtin.debug:
        msg: "{{ (hostvars | vfio.migration.compatible_pairs(hosts=groups['hypervisors'])).pairs }}"
"""

RETURN = r"""
_value:
  description: The classes and their pairs.
  type: dict
  contains:
    direction:
      description: Whose list decided.
      type: str
    classes:
      description:
        - The classes by the name of their descriptor, each with C(origin), C(self), C(compatible),
          C(configuration) where the hosts show one, and C(hosts), the number of devices on each host.
        - Devices that differ only in attributes that no pattern of the fleet names are of one class, which is without these attributes.
      type: dict
    uncompared:
      description: The attributes in which devices of one class differ, as no pattern of the fleet names them.
      type: list
      elements: str
    pairs:
      description:
        - The compatible pairs of classes, each with the names of the C(source) and C(target) class, the verdict's C(set), C(bindings),
          C(certainty), C(direction_conflict) and C(warnings),
          the number of devices (C(sources), C(targets), C(free_targets)), and of C(pairs) of devices on two different hosts.
      type: list
      elements: dict
    misses:
      description:
        - For each source class the three target classes that come nearest to being compatible, each with C(target), C(devices), C(certainty) and
          C(reasons). With the certainty V(assumed) it may do after all, see P(vfio.migration.compatibility#filter).
      type: dict
    barriers:
      description:
        - For each source class the attributes that alone keep target classes away. Each has C(classes) and C(devices), how many would be compatible if
          this attribute had another value. Of those that only what a guest sees of the devices keeps away the attribute is V(configuration).
        - With O(direction=both) and O(direction=either) this is about the list of the source.
      type: dict
    creatable:
      description:
        - For each source class the mdevs and vDPA devices that hosts could make for it, each with C(type), C(attributes), C(set), C(bindings),
          C(certainty), C(warnings), and C(room), how many of them a host has capacity for, by the first of the hosts that are C(alike). Ways under one
          parent share that capacity.
      type: dict
    alike:
      description: The hosts that could make the same devices, all names by the first of them.
      type: dict
    excluded:
      description: The devices that can neither migrate nor receive a migration, each with C(host), C(kind), C(id) and C(reason).
      type: list
      elements: dict
    devices:
      description:
        - With O(expand=true), every pair of devices, each with C(source) and C(target), the names of their classes (C(source_class) and
          C(target_class)), and the verdict's compact fields.
      type: list
      elements: dict
      returned: with O(expand=true)
    unknown:
      description: The hosts without usable facts.
      type: list
      elements: str
    problems:
      description: The problems of all hosts, each with C(host), C(path) and C(problem).
      type: list
      elements: dict
"""


@as_filter("compatible_pairs")
def compatible_pairs(
    fleet: t.Any,
    hosts: t.Any = None,
    direction: str = "source_lists",
    sources: t.Any = None,
    targets: t.Any = None,
    expand: bool = False,
    max_age: t.Any = None,
) -> CompatiblePairs:
    with uncollected():
        read = read_fleet(fleet, names("hosts", hosts), age_limit(max_age))
        from_hosts, to_hosts = names("sources", sources), names("targets", targets)
        check_hosts(read, "sources", from_hosts)
        check_hosts(read, "targets", to_hosts)
        found: t.Any = pairs.compatible_pairs(
            read, direction_of(direction), from_hosts, to_hosts, expand
        )
    return t.cast(CompatiblePairs, found)


class FilterModule:
    """Filters of vfio.migration"""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"compatible_pairs": compatible_pairs}
