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
  - Compares the devices of all hosts and returns which classes of equal devices can migrate to which, which new devices hosts can create as targets, and
    which classes are closest to compatible.
  - The result is compact, so that you can use it for large fleets.
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
    description: The exact structure of the result, for programs.
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
        - The classes by the name of their descriptor. Each has C(origin), C(self), C(compatible), C(configuration) if the hosts show one, and C(hosts), which
          is the number of devices by host.
        - Devices that differ only in attributes that no pattern of the fleet names are in the same class. C(self) of the class does not have these
          attributes.
      type: dict
    uncompared:
      description: The attributes in which devices of one class differ, because no pattern of the fleet names them.
      type: list
      elements: str
    pairs:
      description:
        - The compatible pairs of classes. Each has the names of the C(source) and C(target) class, and C(set), C(bindings), C(certainty),
          C(direction_conflict) and C(warnings) of the verdict.
        - C(sources), C(targets) and C(free_targets) are numbers of devices. C(pairs) is the number of pairs of devices on two different hosts.
      type: list
      elements: dict
    misses:
      description:
        - For each source class, the three target classes that are closest to compatible. Each has C(target), C(devices), C(certainty) and C(reasons).
        - With the certainty V(assumed), a migration can nevertheless be possible. See P(vfio.migration.compatibility#filter).
      type: dict
    barriers:
      description:
        - For each source class, the attributes that are the only reason against target classes. C(classes) and C(devices) are the numbers of classes and
          devices that would be compatible if this attribute had another value.
        - If the only reason is what a guest sees of the devices, the attribute is V(configuration).
        - With O(direction=both) and O(direction=either), the reasons are those of the source's list.
      type: dict
    creatable:
      description:
        - For each source class, the mdevs and vDPA devices that can be created as targets. Each has C(type), C(attributes), C(set), C(bindings),
          C(certainty), C(warnings) and C(room).
        - C(room) is how many of them a host can create, by the first of the hosts that are C(alike). All entries for a parent share its capacity.
      type: dict
    alike:
      description: Groups of hosts that can create the same devices. The key is the name of the first host, the value the names of all of them.
      type: dict
    excluded:
      description: The devices that can neither migrate nor receive a migration, each with C(host), C(kind), C(id) and C(reason).
      type: list
      elements: dict
    devices:
      description:
        - With O(expand=true), every pair of devices. Each has C(source) and C(target), the names of their classes (C(source_class) and C(target_class)), and
          the short fields of the verdict.
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
