# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.virtio import NET
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.vdpa_features import (
    common_features,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import read_fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.values import names, one_name
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.arguments import as_filter
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.clock import age_limit

DOCUMENTATION = r"""
name: vdpa_common_features
short_description: List the virtio features that the vDPA management devices of all hosts offer
version_added: 0.1.0
author:
  - vfio.migration contributors (@vfio-migration)
description:
  - Returns the features that all management devices of a group of hosts offer. A vDPA device that is provisioned with these alone
    can be made equal on each of the hosts, so that a guest can be migrated between them.
  - If there is no management device to look at, this is an error.
extends_documentation_fragment:
  - vfio.migration._fleet.fleet
  - vfio.migration._fleet.max_age
options:
  device_class:
    description: The class of the devices that are to be made, V(net) or V(block).
    type: str
    default: net
  mgmtdevs:
    description:
      - The names of the management devices to look at. By default all that can make devices of the class.
    type: list
    elements: str
positional: _input, hosts, device_class, mgmtdevs
seealso:
  - module: vfio.migration.vdpa_device
  - module: vfio.migration.vfio_migration_facts
  - ref: ansible_collections.vfio.migration.docsite.vdpa_guide
    description: vDPA devices.
"""

EXAMPLES = r"""
- name: Create equal devices on all hosts
  hosts: hypervisors
  gather_facts: false
  tasks:
    - name: Gather what the management devices offer
      vfio.migration.vfio_migration_facts:

    - name: Create a device
      vfio.migration.vdpa_device:
        devices:
          - name: vdpa0
            mgmtdev: pci/0000:65:00.2
            device_features: "{{ (hostvars | vfio.migration.vdpa_common_features(hosts=ansible_play_hosts)).mask }}"
"""

RETURN = r"""
_value:
  description: The common features, and the management devices that lack further ones.
  type: dict
  contains:
    features:
      description: The names of the features, in the order of their bits. C(bit_<number>) for a feature without a name.
      type: list
      elements: str
    mask:
      description: The same features as a mask, for O(vfio.migration.vdpa_device#module:devices[].device_features), such as V(0x300020028).
      type: str
    lacking:
      description: For each feature that only some management devices offer, those that do not, each with C(host) and C(mgmtdev).
      type: dict
    mgmtdevs:
      description: The management devices that were compared, each with C(host) and C(mgmtdev).
      type: list
      elements: dict
    without:
      description: The hosts without any of the requested management devices.
      type: list
      elements: str
    unknown:
      description: The hosts without usable facts, and hosts whose kernel does not show what their management devices offer.
      type: list
      elements: str
"""


@as_filter("vdpa_common_features")
def vdpa_common_features(
    fleet: t.Any,
    hosts: t.Any = None,
    device_class: str = NET,
    mgmtdevs: t.Any = None,
    max_age: t.Any = None,
) -> dict[str, t.Any]:
    read = read_fleet(fleet, names("hosts", hosts), age_limit(max_age))
    return common_features(
        read, one_name("device_class", device_class), names("mgmtdevs", mgmtdevs)
    )


class FilterModule:
    """Filters of vfio.migration"""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"vdpa_common_features": vdpa_common_features}
