# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._executors import cloud_hypervisor
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.values import count
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.arguments import (
    as_filter,
    plain,
    text,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.executor_options import (
    held_in,
    texts_of,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.handed_over import check_plan
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import (
    CloudHypervisorMigrations,
)

DOCUMENTATION = r"""
name: cloud_hypervisor_migrations
short_description: Translate a plan for Cloud Hypervisor
version_added: 0.1.0
author:
  - vfio.migration contributors (@vfio-migration)
description:
  - Returns for each virtual machine of a plan its devices on the source and the target, as C(--device) and C(--vdpa) have them, and the commands
    C(receive-migration) and C(send-migration).
  - The filter runs nothing. The warnings state what to do for devices with another path on the target, and what does not move.
  - A process of Cloud Hypervisor shows no name, so pass with O(guests) which virtual machine holds which device.
extends_documentation_fragment:
  - vfio.migration._executors
  - vfio.migration._executors.fleet
options:
  socket_directory:
    description: The directory with a socket of the API for each virtual machine, called by the machine's name with C(.sock), on both hosts.
    type: str
    default: /run/cloud-hypervisor
  port:
    description: The port on a target for the first virtual machine that it receives. The next one has the next port.
    type: int
    default: 49152
  tls_dir:
    description: The directory with the certificates on both hosts. Without it nothing is encrypted, and the warnings say so.
    type: str
  device_ids:
    description: The ids of devices in the virtual machines, by the id of a device in the plan.
    type: dict
  vdpa_nodes:
    description: The nodes of vDPA devices on the targets, such as C(/dev/vhost-vdpa-3), by the names that the devices have there in the plan.
    type: dict
positional: _input, fleet, guests, nodes, socket_directory, port, tls_dir, device_ids, vdpa_nodes
seealso:
  - name: JSON Schema
    description: The exact structure of the result, for programs.
    link: https://github.com/vfio-migration/vfio.migration/blob/main/docs/schemas/cloud_hypervisor_migrations.json
"""

EXAMPLES = r"""
- name: Gather the descriptors of all hosts
  hosts: hypervisors
  gather_facts: false
  tasks:
    - name: Gather the descriptors
      vfio.migration.vfio_migration_facts:
      become: true

    - name: Show how Cloud Hypervisor empties the first host
      ansible.builtin.debug:
        msg: "{{ plan | vfio.migration.cloud_hypervisor_migrations(hostvars, guests=machines, tls_dir='/etc/pki/cloud-hypervisor') }}"
      vars:
        plan: "{{ hostvars | vfio.migration.migration_plan(drain=[groups['hypervisors'][0]]) }}"
        machines:
          882cc4da-dede-11e7-9180-078a62063ab1: web
      run_once: true
"""

RETURN = r"""
_value:
  description: The migrations for Cloud Hypervisor.
  type: dict
  contains:
    migrations:
      description:
        - The virtual machines, in the order of their migrations. Each has C(vm), C(source), C(target), C(wave), C(devices), C(receive) and C(send).
        - C(receive) and C(send) are commands of C(ch-remote), as lists of words. Run C(receive) on the target first, then C(send) on the source.
        - Each device has the C(option), its values on the C(source) and the C(target), C(id), and C(same_path), which is whether both paths are the same.
        - Start a wave only when all earlier waves have finished.
      type: list
      elements: dict
    warnings:
      description: Sentences on the parts of the plan that this format cannot express, and on what does not move.
      type: list
      elements: str
"""


@as_filter("cloud_hypervisor_migrations")
def cloud_hypervisor_migrations(
    plan: t.Any,
    fleet: t.Any = None,
    guests: t.Any = None,
    nodes: t.Any = None,
    socket_directory: t.Any = "/run/cloud-hypervisor",
    port: t.Any = 49152,
    tls_dir: t.Any = None,
    device_ids: t.Any = None,
    vdpa_nodes: t.Any = None,
) -> CloudHypervisorMigrations:
    check_plan("plan", plan)
    connection = cloud_hypervisor.Connection(
        sockets=text("socket_directory", socket_directory),
        port=count("port", port, "a port"),
        tls_dir=None if tls_dir is None else text("tls_dir", tls_dir),
        device_ids=texts_of("device_ids", device_ids),
        vdpa_nodes=texts_of("vdpa_nodes", vdpa_nodes),
    )
    naming = cloud_hypervisor.naming_of(plain(guests), plain(nodes), held_in(fleet))
    return cloud_hypervisor.cloud_hypervisor_migrations(plan, naming, connection)


class FilterModule:
    """Filters of vfio.migration"""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"cloud_hypervisor_migrations": cloud_hypervisor_migrations}
