# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.values import names, one_name
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.retarget import retarget
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.arguments import as_filter
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.handed_over import check_moves

DOCUMENTATION = r"""
name: retarget_domain
short_description: Put the target devices of a plan into a libvirt domain
version_added: 0.1.0
author:
  - vfio.migration contributors (@vfio-migration)
description:
  - Returns the XML of a libvirt domain with every assigned device, C(<hostdev type='mdev'>), C(<hostdev type='pci'>) and
    C(<interface type='hostdev'>), replaced by the one that the plan has as its target. C(virsh migrate --xml) takes it.
  - Nothing but these addresses is changed, not a byte. XML that names the targets already stays as it is, unless the
    targets have the same ids as the sources, in another order.
  - A device that the plan has no target for is an error that names it and says why, as is a device that the plan moves with the guest and
    that the XML does not name, unless O(partial).
  - So is a target of another kind, to which libvirt does not migrate, and a vDPA device, which libvirt names by a number of the host's own, unless it is one of
    O(vdpa_nodes).
  - So is C(<qemu:commandline>) that names a device which moves, as libvirt does not read it; also one that names a device which is source and target at once,
    unless the XML names the targets already.
  - The guest in the plan is the one with the name of the domain, and with its UUID where the plan has one.
  - What no process held when the facts were gathered is found by its id alone.
options:
  _input:
    description: The domain's XML, as C(virsh dumpxml --security-info --migratable) prints it.
    type: str
    required: true
  plan:
    description: What P(vfio.migration.migration_plan#filter) returns.
    type: dict
    required: true
  host:
    description:
      - The host that the domain is on.
      - By default that of the guest in the plan.
    type: str
  partial:
    description:
      - Whether the XML may lack devices that the plan moves with the guest, as the definition for its next start does where they were attached
        while it runs.
    type: bool
    default: false
  vdpa_nodes:
    description:
      - The nodes of vDPA devices on the target that the XML names already, as it was changed by hand, such as C(/dev/vhost-vdpa-3).
      - A vDPA device with another node is an error.
    type: list
    elements: str
    default: []
positional: _input, plan, host, partial, vdpa_nodes
seealso:
  - plugin: vfio.migration.migration_plan
    plugin_type: filter
  - ref: ansible_collections.vfio.migration.docsite.maintenance_guide
    description: Drain a host, patch it, and bring its guests back.
"""

EXAMPLES = r"""
# The playbook vfio.migration.prepare has made the target devices, and has written its plan with prepare_dest=plan.json.
- name: Migrate a guest to its target devices
  hosts: a
  gather_facts: false
  become: true
  tasks:
    - name: Read the domain
      ansible.builtin.command: virsh dumpxml --security-info --migratable vm-17
      register: domain
      changed_when: false

    - name: Write that with the target's devices
      ansible.builtin.copy:
        content: "{{ domain.stdout | vfio.migration.retarget_domain(lookup('ansible.builtin.file', 'plan.json') | from_json) }}"
        dest: /run/vm-17.xml
        mode: "0600"

    - name: Migrate
      ansible.builtin.command: virsh migrate --live --xml /run/vm-17.xml vm-17 qemu+ssh://b/system
      changed_when: true
"""

RETURN = r"""
_value:
  description: The XML of the domain with the addresses of the target devices.
  type: str
"""


@as_filter("retarget_domain")
def retarget_domain(
    xml: t.Any,
    plan: t.Any,
    host: str | None = None,
    partial: bool = False,
    vdpa_nodes: t.Any = (),
) -> str:
    check_moves(plan)
    source = None if host is None else one_name("host", host)
    return retarget(xml, plan, source, partial, names("vdpa_nodes", vdpa_nodes) or ())


class FilterModule:
    """Filters of vfio.migration"""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"retarget_domain": retarget_domain}
