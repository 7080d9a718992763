#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: vdpa_device
short_description: Create and delete vDPA devices
version_added: 0.1.0
description:
  - Creates vDPA devices on management devices, with a given MAC address, MTU, queue pairs and virtio features, and verifies the result, or deletes
    the devices.
  - A guest can be migrated to a device of another host if that one offers the features the guest uses and has the same configuration.
    The filter P(vfio.migration.vdpa_common_features#filter) lists the features that all hosts of a group can offer.
  - A call is a transaction for all devices in its list. The module checks everything before it changes anything.
  - If a device cannot be created, deleted or verified, the module deletes the devices that the call has created, in reverse order. The error names the device
    and the step that failed, the reason, and what could not be undone. The module does the same if a signal stops the call.
  - If the call is killed, the next call of the module on the host first undoes its changes, whatever devices that call is for.
  - The attributes of a device cannot be changed after it was created, and the module never replaces a device. It fails if a device exists with other
    attributes, or on another management device.
author:
  - vfio.migration contributors (@vfio-migration)
requirements:
  - vdpa, of iproute2 6.1 or newer, except in check mode
  - Linux 6.2 or newer, for O(devices[].device_features)
notes:
  - Requires root, except in check mode with O(state=present).
  - The module does not delete a device that a process holds, or whose holder is unknown, as in a container. It does not delete a device that the host itself
    uses as a network or block device with the driver C(virtio_vdpa), either.
  - A guest can use a device only if it is bound to the driver C(vhost_vdpa). The kernel binds new devices to this driver if no other vDPA driver is loaded.
  - Only one call at a time works on the vDPA devices of a host. Others wait for it, at most O(timeout) seconds. The lock, and the steps to undo if
    the call is killed, are in C(/run/vfio.migration/vdpa). A directory where other users can write is refused.
  - If a file there is damaged, or has the format of another release of the collection, every call fails with an error that names the file and the
    remedy, and changes nothing.
  - Without O(persistent=true), vDPA devices are gone after a reboot of the host.
  - A deletion cannot be undone. If one of several devices cannot be deleted, those deleted before are listed under RV(left).
extends_documentation_fragment:
  - vfio.migration._attributes
  - vfio.migration._attributes.actiongroup_vfio
attributes:
  check_mode:
    support: full
    details:
      - The module does not undo what a killed call left unfinished, and gives a warning instead.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  devices:
    description:
      - The vDPA devices, in the order in which they are created.
      - With O(state=absent), a device on another O(devices[].mgmtdev) is an error, and the other suboptions are not used.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - The name of the device.
          - The name V(id) works in all modules that change devices, as facts have it.
        type: str
        required: true
        aliases:
          - id
          - uuid
          - address
      mgmtdev:
        description:
          - The management device, as in C(vdpa mgmtdev show), and under C(parents) in the facts of M(vfio.migration.vfio_migration_facts).
          - Needed with O(state=present).
        type: str
        aliases:
          - parent
      attributes:
        description:
          - What the device is given, as facts and plans have it and the other modules take it. The names are V(mac), V(mtu), V(max_vqp) and
            V(device_features), each as the option of that name; what an option gives must not be given here, too.
        type: list
        elements: dict
        suboptions:
          name:
            description: The name of the attribute.
            type: str
            required: true
          value:
            description: Its value.
            type: str
            required: true
      mac:
        description: The MAC address. If left out, the management device decides, as it does of the following.
        type: str
      mtu:
        description: The MTU that the guest sees, V(68) to V(65535).
        type: int
      max_vqp:
        description: How many pairs of queues the device has at most.
        type: int
      device_features:
        description:
          - The virtio features that the device offers.
          - Each is a name, such as V(MAC) or V(RING_PACKED), V(bit_40) for what has no name, or a mask of several such as V(0x300020028).
        type: list
        elements: str
      accept:
        description:
          - Attribute patterns, as in C(compatible) of a source device. When the device is there its own C(self) must match one of
            them.
          - C(software_version) is compared only with patterns that state it.
          - Not used with O(state=absent).
        type: list
        elements: dict
  state:
    description: Whether the devices should exist.
    type: str
    choices:
      - present
      - absent
    default: present
  persistent:
    description:
      - Whether the devices are also defined as units of systemd, so that they are back after a reboot; with O(state=absent),
        whether their definitions are removed too. Each is a file C(vfio-migration-vdpa-NAME.service) in C(/etc/systemd/system).
      - If V(false), definitions are left as they are.
      - What is defined is what the call asks for, and the driver that the device is bound to.
      - A unit whose device does not come within two minutes, or is another one by now, fails and keeps no other from being
        started; C(systemctl --failed) shows it. It is started before libvirt, and after the
        functions that it may be made on. The management device has to come by itself.
    type: bool
    default: false
  timeout:
    description: How many seconds to wait for other calls that work on vDPA devices of the host.
    type: int
    default: 10
  sysfs:
    description:
      - The sysfs tree, as in the other modules of the action group. Only V(/sys) is possible, as the module makes devices through the running kernel.
      - Another one is an error, so that nothing of the running host is taken for part of a copied tree.
    type: path
    default: /sys
seealso:
  - module: vfio.migration.vfio_migration_facts
  - plugin: vfio.migration.vdpa_common_features
    plugin_type: filter
  - ref: ansible_collections.vfio.migration.docsite.vdpa_guide
    description: vDPA devices.
"""

EXAMPLES = r"""
- name: Create a device that can take the place of one on another host
  vfio.migration.vdpa_device:
    devices:
      - name: vdpa0
        mgmtdev: pci/0000:65:00.2
        mac: "52:54:00:12:34:56"
        mtu: 9000
        max_vqp: 4
        device_features: "{{ (hostvars | vfio.migration.vdpa_common_features(hosts=groups['hypervisors'])).mask }}"

- name: Create a device with the features that are named
  vfio.migration.vdpa_device:
    devices:
      - name: vdpa1
        mgmtdev: pci/0000:65:00.3
        device_features:
          - VERSION_1
          - ACCESS_PLATFORM
          - MAC
          - MTU
          - bit_40

- name: Delete a device
  vfio.migration.vdpa_device:
    devices:
      - name: vdpa0
    state: absent
"""

RETURN = r"""
devices:
  description: The devices, in the order of O(devices). In check mode, the state that they would have.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The name of the device.
      type: str
      returned: success
      sample: vdpa0
    action:
      description: What the module did, V(created), V(unchanged) or V(removed).
      type: str
      returned: success
      sample: created
    mgmtdev:
      description: The management device. V(null) if the device does not exist and O(devices[].mgmtdev) is not set.
      type: str
      returned: success
      sample: pci/0000:65:00.2
    type:
      description: The class of the device. V(null) if the device does not exist. In check mode also V(null) for a new device that can have several classes.
      type: str
      returned: success
      sample: net
    attributes:
      description: The attributes with which the device is provisioned, as far as the kernel shows them.
      type: list
      elements: dict
      returned: success
      contains:
        name:
          description: The name of the attribute, V(mac), V(mtu), V(max_vqp) or V(device_features).
          type: str
          returned: success
          sample: device_features
        value:
          description: The value of the attribute. For V(device_features), a mask.
          type: str
          returned: success
          sample: "0x300020028"
    definition:
      description:
        - What the module did to the definition, V(defined), V(undefined) or V(unchanged).
        - V(null) unless O(persistent=true).
      type: str
      returned: success
      sample: null
    driver:
      description: The driver that the device is bound to. V(null) if it is not bound to a driver or does not exist.
      type: str
      returned: success
      sample: vhost_vdpa
    node:
      description: The device node that a guest can use. V(null) if there is none.
      type: str
      returned: success
      sample: /dev/vhost-vdpa-0
    self:
      description: C(self) of the device's descriptor. V(null) if the device does not exist or has no descriptor.
      type: dict
      returned: success
      sample:
        device_api: vhost-vdpa
        feature_MAC: offered
        feature_VERSION_1: offered
        mac: "52:54:00:12:34:56"
        max_vq_size: "256"
        software_version: "1.0"
        type: net
recovered:
  description: The changes of an earlier call that was killed, which this call has undone, in the order in which it undid them.
  returned: always, except in check mode
  type: list
  elements: dict
  contains:
    device:
      description: The name of the device.
      type: str
      returned: always
      sample: vdpa0
    change:
      description: The change, V(created), V(defined) or V(undefined).
      type: str
      returned: always
      sample: created
step:
  description:
    - The step that failed. One of V(validate), V(recover), V(lock), V(inspect), V(create), V(verify), V(remove)
      and V(define).
    - In the first four steps, the module changes nothing except for what RV(recovered) lists.
  returned: failure
  type: str
  sample: create
device:
  description: The name of the device for which the step failed. V(null) if the error is not about a single device.
  returned: failure
  type: str
  sample: vdpa0
errno:
  description: The name of the kernel's error. V(null) if the kernel did not report one.
  returned: failure
  type: str
  sample: ENOSPC
hint:
  description: The likely cause or the remedy. V(null) if none is known.
  returned: failure
  type: str
  sample: the management device takes no further device
kernel_log:
  description: The last lines that the kernel logged during the step. Empty if there are none, or if the module cannot read the log.
  returned: failure
  type: list
  elements: str
  sample: ["mlx5_core 0000:65:00.2: failed to create the device"]
reasons:
  description: With RV(step=verify), the reasons why the device matches no set of O(devices[].accept). Otherwise empty.
  returned: failure
  type: list
  elements: dict
  contains:
    set:
      description: The index of the set in O(devices[].accept).
      type: int
      returned: failure
      sample: 0
    attribute:
      description: The attribute that does not match.
      type: str
      returned: failure
      sample: max_vq_size
    rule:
      description: The rule that the value breaks.
      type: str
      returned: failure
      sample: equal
    expected:
      description: The expected value.
      type: str
      returned: failure
      sample: "256"
    actual:
      description: The value of the device. V(null) if it has none.
      type: str
      returned: failure
      sample: "128"
undone:
  description: The changes of the call that it has undone, in the order in which it undid them.
  returned: failure
  type: list
  elements: dict
  contains:
    device:
      description: The name of the device.
      type: str
      returned: failure
      sample: vdpa0
    change:
      description: The change, V(created), V(defined) or V(undefined).
      type: str
      returned: failure
      sample: created
left:
  description:
    - The changes that the call could not undo. Empty if the host is in the same state as before.
    - With RV(step=recover), the changes of killed calls under the same lock that this call could not undo. The next call tries again. RV(recovered) lists
      what was undone.
  returned: failure
  type: list
  elements: dict
  contains:
    device:
      description: The name of the device.
      type: str
      returned: failure
      sample: vdpa0
    change:
      description: The change, V(created), V(removed), V(defined) or V(undefined).
      type: str
      returned: failure
      sample: created
    problem:
      description: The reason why it was not undone.
      type: str
      returned: failure
      sample: process 4711 (vm-17) holds it; stop that first
    where:
      description: The directory of the device.
      type: str
      returned: failure, unless the change is V(removed)
      sample: /sys/bus/vdpa/devices/vdpa0
    by_hand:
      description: How to undo the change by hand, as a shell command if possible.
      type: str
      returned: failure, unless the change is V(removed)
      sample: "vdpa dev del vdpa0"
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vfio.migration.plugins.module_utils._change.boot_units import (
    BootUnits,
    vdpa_unit,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.errors import InvalidRequest
from ansible_collections.vfio.migration.plugins.module_utils._change.journal import Journal, place
from ansible_collections.vfio.migration.plugins.module_utils._change.module import (
    apply_or_predict,
    check_persistent,
    notify_systemd,
    run_module,
    tool,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.plan import ABSENT, PRESENT
from ansible_collections.vfio.migration.plugins.module_utils._change.vdpa_apply import (
    VdpaTransaction,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.vdpa_plan import (
    VdpaHost,
    VdpaPlanner,
    validate,
)
from ansible_collections.vfio.migration.plugins.module_utils._host import processes, vdpa
from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import (
    Sysfs,
    why_not_live,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.vdpa_tool import VdpaTool


def run(module: AnsibleModule) -> dict[str, t.Any]:
    """Do what the module is to do, and return its result."""
    params = module.params
    why = why_not_live(params["sysfs"])
    if why is not None:
        raise InvalidRequest(why)
    wanted, state = validate(params["devices"], params["state"]), params["state"]
    check_persistent(module, True, state == PRESENT)
    sysfs = Sysfs("/sys")
    host = VdpaHost(sysfs, vdpa.ask, processes.scan, BootUnits())
    with Journal(place(sysfs, "vdpa"), VdpaTransaction.undoers) as journal:

        def begin(interrupted: t.Callable[[], str | None]) -> VdpaTransaction:
            run_vdpa = tool(module, "vdpa", journal)
            if run_vdpa is None:
                raise InvalidRequest("the tool vdpa of iproute2 is not installed on the host")
            return VdpaTransaction(
                host, VdpaTool(run_vdpa), journal, params["timeout"], interrupted
            )

        planner = VdpaPlanner(host, params["persistent"])
        result = apply_or_predict(module, journal, planner, begin, wanted, state)
    notify_systemd(
        module, [(vdpa_unit(each["name"]), each["definition"]) for each in result["devices"]]
    )
    return result


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "devices": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "name": {"type": "str", "required": True, "aliases": ["id", "uuid", "address"]},
                    "mgmtdev": {"type": "str", "aliases": ["parent"]},
                    "attributes": {
                        "type": "list",
                        "elements": "dict",
                        "options": {
                            "name": {"type": "str", "required": True},
                            "value": {"type": "str", "required": True},
                        },
                    },
                    "mac": {"type": "str"},
                    "mtu": {"type": "int"},
                    "max_vqp": {"type": "int"},
                    "device_features": {"type": "list", "elements": "str"},
                    "accept": {"type": "list", "elements": "dict"},
                },
            },
            "state": {"type": "str", "choices": [PRESENT, ABSENT], "default": PRESENT},
            "persistent": {"type": "bool", "default": False},
            "timeout": {"type": "int", "default": 10},
            "sysfs": {"type": "path", "default": "/sys"},
        },
        supports_check_mode=True,
    )
    run_module(module, run)


if __name__ == "__main__":
    main()
