#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: vfio_mdev
short_description: Create, configure and remove mediated devices
version_added: 0.1.0
description:
  - Creates mediated devices (mdev), writes their attributes in order, and verifies the result, or removes the devices.
  - A call is a transaction for all devices in its list. The module checks everything before it changes anything.
  - If a device cannot be created, configured or verified, the module undoes the changes of the call in reverse order. The error names the device and the step
    that failed, the reason, and what could not be undone. The module does the same if a signal stops the call.
  - If the call is killed, the next call of the module on the host first undoes its changes, whatever devices that call is for.
  - The module never replaces a device. It fails if a device exists with another parent or type, or is defined with another one in mdevctl.
author:
  - vfio.migration contributors (@vfio-migration)
requirements:
  - mdevctl, for O(persistent=true)
notes:
  - Requires root, except in check mode if nothing would be removed or reconfigured.
  - Only one call at a time works on a parent. Others wait for it, at most O(timeout) seconds. Locks, and the steps to undo if the call is killed, are
    in C(/run/vfio.migration/mdev), or for another tree than C(/sys) in C(~/.local/state/vfio.migration) of the user. A directory where other users
    can write is refused.
  - If a file there is damaged, or has the format of another release of the collection, every call fails with an error that names the file and the
    remedy, and changes nothing.
  - A device is neither removed nor reconfigured if a process holds it, or if its holder is unknown, as in a container or with a copied tree. The
    exception is a change that a running guest can follow, which is to assign further adapters, domains and control domains to a device of C(vfio_ap).
  - Attributes are compared as text, as integers if both values are integers, decimal or with C(0x), or as their driver reads them if
    that is known; C(ap_config) of C(vfio_ap) and C(vgpu_params) of C(nvidia) are.
  - C(assign_adapter), C(assign_domain) and C(assign_control_domain) of C(vfio_ap) each add a number to a set. A device that exists
    is brought to the sets that the list would make on a new one, so what the list does not assign is unassigned; of sets that
    the list does not name nothing changes. Other attributes that can only be written cannot be compared; they are written to a new
    device and count as equal on one that exists.
  - A removal cannot be undone. If one of several devices cannot be removed, those removed before are listed under RV(left).
extends_documentation_fragment:
  - vfio.migration._attributes
  - vfio.migration._attributes.actiongroup_vfio
attributes:
  check_mode:
    support: full
    details:
      - What O(devices[].accept) would find can be predicted only for devices that exist and need no configuration. What a call
        that was killed left half done is not undone, and a warning says so.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  devices:
    description:
      - The mediated devices, in the order in which they are created.
    type: list
    elements: dict
    required: true
    suboptions:
      uuid:
        description:
          - The UUID of the device.
          - The name V(id) works in all modules that change devices, as facts have it.
        type: str
        required: true
        aliases:
          - id
          - name
          - address
      parent:
        description:
          - The name of the parent, as in C(/sys/class/mdev_bus).
          - Needed with O(state=present). With O(state=absent), a device with another parent is an error.
        type: str
      type:
        description:
          - The id of the type, as in the parent's C(mdev_supported_types).
          - Needed with O(state=present). With O(state=absent), a device of another type is an error.
        type: str
      attributes:
        description:
          - What to write to the device's attributes, in this order. A name may repeat.
          - Not used with O(state=absent).
        type: list
        elements: dict
        suboptions:
          name:
            description:
              - The name of the attribute, C(name) or C(group/name). A name without group may lie in the device's directory, or in one
                group there.
              - Names of the kernel's own files, and names that lead elsewhere, are refused.
            type: str
            required: true
          value:
            description: The value, one line of text.
            type: str
            required: true
      accept:
        description:
          - Attribute patterns, as in C(compatible) of a source device. When the device is configured its own C(self) must match
            one of them.
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
      - Whether the devices are also defined in mdevctl, to be started automatically, so that they are back after a reboot; with
        O(state=absent), whether their definitions are removed too.
      - If V(false), definitions are left as they are. A device that is defined but not active is created from O(devices) all the
        same, as it was defined with this parent and type.
      - Values are defined with the newline that C(echo) writes, as mdevctl writes none of its own and some drivers drop the last
        byte. What was defined without is defined again, and what mdevctl has started with a cut value is set again.
    type: bool
    default: false
  timeout:
    description:
      - How many seconds to wait for other calls that work on the same parents, for the kernel to show a new device and the
        attributes named in O(devices[].attributes), and for a removed one to go.
    type: int
    default: 10
  sysfs:
    description:
      - The sysfs tree to work in.
      - In another tree than C(/sys), links are followed as if the tree was C(/sys), so that none leads out of it, and nothing but regular
        files and directories is opened.
    type: path
    default: /sys
seealso:
  - module: vfio.migration.vfio_migration_facts
  - ref: ansible_collections.vfio.migration.docsite.nvidia_guide
    description: Mediated devices and virtual functions of NVIDIA GPUs.
  - ref: ansible_collections.vfio.migration.docsite.intel_guide
    description: GVT-g, Xe and QAT.
  - ref: ansible_collections.vfio.migration.docsite.s390x_guide
    description: Channel and crypto devices.
"""

EXAMPLES = r"""
- name: Create a device that can take the place of one on another host
  vfio.migration.vfio_mdev:
    devices:
      - uuid: 882cc4da-dede-11e7-9180-078a62063ab1
        parent: "0000:00:02.0"
        type: i915-GVTg_V5_8
        attributes:
          - name: aggregator
            value: "4"
        accept:
          - software_version: 0.1.0
            device_api: vfio-pci
            type: "i915-GVTg_V5_{val1:int:1,2,4,8}"
            pci_id: "80865963"
            aggregator: "{val1}/2"

- name: Create a cryptographic device that is back after a reboot
  vfio.migration.vfio_mdev:
    devices:
      - uuid: 62177883-f1bb-47f0-914d-32a22e3a8804
        parent: matrix
        type: vfio_ap-passthrough
        attributes:
          - name: assign_adapter
            value: "5"
          - name: assign_domain
            value: "4"
          - name: assign_domain
            value: "0xab"
    persistent: true

- name: Remove a device
  vfio.migration.vfio_mdev:
    devices:
      - uuid: 882cc4da-dede-11e7-9180-078a62063ab1
    state: absent
"""

RETURN = r"""
devices:
  description: The devices, in the order of O(devices). In check mode, the state that they would have.
  returned: success
  type: list
  elements: dict
  contains:
    uuid:
      description: The UUID of the device.
      type: str
      returned: success
      sample: 882cc4da-dede-11e7-9180-078a62063ab1
    parent:
      description: The name of the parent. V(null) if the device does not exist and O(devices[].parent) is not set.
      type: str
      returned: success
      sample: "0000:00:02.0"
    type:
      description: The id of the type. V(null) if the device does not exist and O(devices[].type) is not set.
      type: str
      returned: success
      sample: i915-GVTg_V5_8
    action:
      description: What the module did, V(created), V(configured), V(unchanged) or V(removed).
      type: str
      returned: success
      sample: created
    definition:
      description:
        - What the module did to the definition in mdevctl, V(defined), V(undefined) or V(unchanged).
        - V(null) unless O(persistent=true).
      type: str
      returned: success
      sample: null
    attributes:
      description: The attributes of the device that can be configured and read.
      type: list
      elements: dict
      returned: success
      contains:
        name:
          description: The attribute's file, as C(name) or C(group/name).
          type: str
          returned: success
          sample: intel_vgpu/aggregator
        value:
          description: The attribute's value.
          type: str
          returned: success
          sample: "4"
    self:
      description:
        - C(self) of the device's descriptor.
        - V(null) if the device has no valid descriptor. In check mode also V(null) if the descriptor would change.
      type: dict
      returned: success
      sample:
        aggregator: "4"
        device_api: vfio-pci
        pci_id: "80865963"
        software_version: 0.1.0
        type: i915-GVTg_V5_8
recovered:
  description: The changes of an earlier call that was killed, which this call has undone, in the order in which it undid them.
  returned: always, except in check mode
  type: list
  elements: dict
  contains:
    device:
      description: The UUID of the device.
      type: str
      returned: always
      sample: 882cc4da-dede-11e7-9180-078a62063ab1
    change:
      description: The change, as in RV(undone[].change).
      type: str
      returned: always
      sample: created
step:
  description:
    - The step that failed. One of V(validate), V(recover), V(lock), V(inspect), V(create), V(wait), V(attribute), V(verify),
      V(remove) and V(define).
    - In the first four steps, the module changes nothing except for what RV(recovered) lists.
  returned: failure
  type: str
  sample: attribute
device:
  description: The UUID of the device for which the step failed. V(null) if the error is not about a single device.
  returned: failure
  type: str
  sample: 882cc4da-dede-11e7-9180-078a62063ab1
errno:
  description: The name of the kernel's error. V(null) if the kernel did not report one.
  returned: failure
  type: str
  sample: ENOSPC
hint:
  description: The likely cause or the remedy. V(null) if none is known.
  returned: failure
  type: str
  sample: the parent has not enough left for this value
kernel_log:
  description: The last lines that the kernel logged during the step. Empty if there are none, or if the module cannot read the log.
  returned: failure
  type: list
  elements: str
  sample: ["i915 0000:00:02.0: not enough resources left"]
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
      sample: pci_id
    rule:
      description: The rule that the value breaks.
      type: str
      returned: failure
      sample: equal
    expected:
      description: The expected value.
      type: str
      returned: failure
      sample: "80865963"
    actual:
      description: The value of the device. V(null) if it has none.
      type: str
      returned: failure
      sample: 8086591d
undone:
  description: The changes of the call that it has undone, in the order in which it undid them.
  returned: failure
  type: list
  elements: dict
  contains:
    device:
      description: The UUID of the device.
      type: str
      returned: failure
      sample: 882cc4da-dede-11e7-9180-078a62063ab1
    change:
      description: The change, V(created), V(defined), V(undefined), or a written attribute as C(group/name=value).
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
      description: The UUID of the device.
      type: str
      returned: failure
      sample: 882cc4da-dede-11e7-9180-078a62063ab1
    change:
      description: The change, as in RV(undone[].change), or V(removed).
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
      sample: /sys/bus/mdev/devices/882cc4da-dede-11e7-9180-078a62063ab1
    by_hand:
      description: How to undo the change by hand, as a shell command if possible.
      type: str
      returned: failure, unless the change is V(removed)
      sample: "echo 1 > /sys/bus/mdev/devices/882cc4da-dede-11e7-9180-078a62063ab1/remove"
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vfio.migration.plugins.module_utils._change.errors import InvalidRequest
from ansible_collections.vfio.migration.plugins.module_utils._change.journal import Journal, place
from ansible_collections.vfio.migration.plugins.module_utils._change.mdev_apply import (
    MdevTransaction,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.mdev_plan import (
    MdevHost,
    MdevPlanner,
    validate,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.module import (
    apply_or_predict,
    run_module,
    tool,
    warn,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.plan import ABSENT, PRESENT
from ansible_collections.vfio.migration.plugins.module_utils._host import processes
from ansible_collections.vfio.migration.plugins.module_utils._host.mdevctl import (
    Mdevctl,
    autostart_problem,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import Sysfs


def run(module: AnsibleModule) -> dict[str, t.Any]:
    """Do what the module is to do, and return its result."""
    params = module.params
    sysfs = Sysfs(params["sysfs"])
    if not sysfs.exists():
        raise InvalidRequest(f"there is no sysfs at {sysfs.path()}")
    scan_holders = processes.scan if sysfs.live else processes.unknown
    wanted, state = validate(params["devices"], params["state"]), params["state"]
    with Journal(place(sysfs, "mdev"), MdevTransaction.undoers) as journal:
        host = MdevHost(sysfs, scan_holders, _mdevctl(module, sysfs, journal))
        planner = MdevPlanner(host, params["persistent"])

        def begin(interrupted: t.Callable[[], str | None]) -> MdevTransaction:
            return MdevTransaction(host, journal, params["timeout"], interrupted)

        result = apply_or_predict(module, journal, planner, begin, wanted, state)
    warn(module, planner.warnings)
    problem = autostart_problem() if params["persistent"] and state == PRESENT else None
    if problem is not None:
        module.warn(f"the devices will not be back after a reboot: {problem}")
    return result


def _mdevctl(module: AnsibleModule, sysfs: Sysfs, journal: Journal) -> Mdevctl | None:
    mdevctl = tool(module, "mdevctl", journal)
    if module.params["persistent"]:
        if mdevctl is None:
            raise InvalidRequest("'persistent' needs mdevctl, which is not installed on the host")
        if not sysfs.live:
            raise InvalidRequest("'persistent' works with the running kernel's /sys alone")
    return Mdevctl(mdevctl) if mdevctl is not None and sysfs.live else None


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "devices": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "uuid": {"type": "str", "required": True, "aliases": ["id", "name", "address"]},
                    "parent": {"type": "str"},
                    "type": {"type": "str"},
                    "attributes": {
                        "type": "list",
                        "elements": "dict",
                        "options": {
                            "name": {"type": "str", "required": True},
                            "value": {"type": "str", "required": True},
                        },
                    },
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
