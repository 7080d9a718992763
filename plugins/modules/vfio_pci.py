#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: vfio_pci
short_description: Prepare PCI devices and virtual functions for guests
version_added: 0.1.0
description:
  - Makes the virtual functions of physical PCI devices, binds PCI devices to VFIO drivers, writes their attributes in order, and
    verifies what came of it; or gives all this back.
  - One call takes a host's whole lists and is a transaction. Everything is checked before anything is changed. If a device then cannot be bound,
    configured or verified, what the call did before is undone again in reverse order, so that devices are bound to their former drivers, and the
    error says which device failed at which step, why, and what could not be undone. The same happens if the call is stopped with a signal.
  - If the call is killed instead, the next call of the module on the host, for any devices, first undoes its steps.
author:
  - vfio.migration contributors (@vfio-migration)
notes:
  - Needs root rights, except in check mode where nothing would have to be changed.
  - One call at a time works on a physical function and its virtual functions; others wait for it, for at most O(timeout) seconds. Locks, what is to
    be undone if the call is killed, and what devices were before they were changed, are in C(/run/vfio.migration/pci), or for another tree than
    C(/sys) in C(~/.local/state/vfio.migration) of the user. A directory where other users can write is refused.
  - A file there that is damaged, or has the format of another release of the collection, stops calls with an error that names
    the file and what to do; nothing is changed then.
  - Without O(persistent=true), nothing of all this outlasts a reboot, neither the binding nor the virtual functions nor their attributes. Run the module again
    then; it finds the devices as they were at first.
  - A device that a process holds, that has a mediated device, a network interface that is up or a disk in use is neither bound to
    another driver nor reconfigured nor removed, nor is one whose holder is unknown, as in a container or with a copied tree.
    Neither is a device that has virtual functions taken from its driver, as they would go with it.
  - A guest gets all devices of an IOMMU group or none. A device is refused while the host's own drivers have others of its group
    that are not in O(devices) as well; bridges, and what C(pci-stub) has, do not matter.
  - A driver that the host does not have is loaded with C(modprobe), if its name ends in C(vfio-pci) or C(vfio_pci), and is not
    unloaded again.
  - Attributes of physical devices are those in groups, such as C(nvidia/vgpu_params); what lies in the device's own directory is the
    kernel's. They are compared as M(vfio.migration.vfio_mdev) compares them.
  - C(nvidia/current_vgpu_type) is set to C(0) before it takes another type, and the type must then be in
    C(nvidia/creatable_vgpu_types), which gets shorter with each one that another function takes. The attributes that follow it in
    the list are written anew.
extends_documentation_fragment:
  - vfio.migration._attributes
  - vfio.migration._attributes.actiongroup_vfio
attributes:
  check_mode:
    support: full
    details:
      - What O(devices[].accept) would find, and whether a driver takes a device, can be predicted only for devices that are bound and
        need no configuration. What a call that was killed left half done is not undone, and a warning says so.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  functions:
    description:
      - The physical functions whose number of virtual functions matters. They are seen to before O(devices).
    type: list
    elements: dict
    default: []
    suboptions:
      address:
        description:
          - The PCI address of the function, with its domain.
          - The name V(id) works in all modules that change devices, as facts have it.
        type: str
        required: true
        aliases:
          - id
          - name
          - uuid
      sriov_numvfs:
        description:
          - How many virtual functions it has. The kernel changes one number to another by way of 0 alone, so all there are go first.
          - Needed with O(state=present). Not used with O(state=absent), which gives the function the number back that it had before
            the module changed it.
        type: int
  devices:
    description:
      - The devices, physical or virtual functions, in the order in which they are prepared.
      - Virtual functions that O(functions) is to make may be among them.
    type: list
    elements: dict
    default: []
    suboptions:
      address:
        description:
          - The PCI address of the device, with its domain.
          - The name V(id) works in all modules that change devices, as facts have it.
        type: str
        required: true
        aliases:
          - id
          - name
          - uuid
      parent:
        description:
          - The physical function that the virtual function is of, as facts have it. If it is of another one, or is no virtual function, that is an error.
          - Where it is left out or V(null), as facts have it of a physical device, it is not looked at.
        type: str
      driver:
        description:
          - The VFIO driver, V(vfio-pci) or the variant that knows the device's state.
          - Where it is left out the device keeps its driver, which must be for VFIO.
          - Not used with O(state=absent), which gives the device the driver back that it had before the module changed it.
        type: str
      migratable:
        description:
          - Whether the virtual function of a network card may be migrated, which some cards, such as those of C(mlx5_core), accept
            only while no driver has the function. The card then does without what cannot be migrated.
          - The driver is taken from the device meanwhile, also where it has the right one already.
          - Where it is left out, nothing is changed. Not used with O(state=absent), which gives the value back that it had before the
            module changed it.
          - This is C(devlink port function set … migratable), so the card's switch has to be in the mode C(switchdev). It has been
            tried against a simulated kernel only, on no such card.
        type: bool
      attributes:
        description:
          - What to write to the device's attributes, in this order. A name may repeat.
          - Not used with O(state=absent), which gives the attributes the values back that they had before the module changed them.
        type: list
        elements: dict
        suboptions:
          name:
            description:
              - The name of the attribute, C(group/name), or C(name) if one group alone has it.
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
      network:
        description:
          - What the host sets of a virtual function of a network card through its physical function, as C(ip link set … vf) does. What
            is left out is left as it is.
          - It is set when the device is bound and its attributes are written, read back, and undone on failure.
          - A function on another host that has the same MAC address may be in use still. From when it is set until the guest has moved,
            this card gives frames for the address that come from its own host to this function, so that they do not reach the guest.
            Set it right before the guest moves.
          - The physical function needs a network interface whose driver shows what is asked for. In the mode C(switchdev) some drivers
            refuse some of it.
          - O(persistent) does not define it; set it again after a reboot.
          - Not used with O(state=absent), which gives the settings back that the function had before the module changed them.
        type: dict
        suboptions:
          mac:
            description:
              - Its MAC address; zeros take it away, where the driver knows that.
              - Refused where a network interface of the host has it, or another function of the same card that is in use.
            type: str
          vlan:
            description: The VLAN that its frames are put into, from V(1) to V(4094), or V(0) for none.
            type: int
          qos:
            description: The priority in the VLAN's tag, from V(0) to V(7).
            type: int
          proto:
            description: The protocol of the VLAN's tag.
            type: str
            choices:
              - 802.1Q
              - 802.1ad
          spoofchk:
            description: Whether frames with another sender's address are dropped.
            type: bool
          trust:
            description: Whether the guest may do what affects other functions, such as the promiscuous mode.
            type: bool
          min_tx_rate:
            description: The rate in Mbit/s at which it may always send, V(0) for none.
            type: int
          max_tx_rate:
            description: The rate in Mbit/s at which it may send at most, V(0) for no limit.
            type: int
          link_state:
            description: Whether its link is up, V(auto) as the card's, V(enable) always, or V(disable) never.
            type: str
            choices:
              - auto
              - enable
              - disable
      keep_driver:
        description:
          - With O(state=absent), whether the device keeps its driver and whether it is migratable, so that only its attributes and
            network settings get the values back that they had before the module changed them.
          - Not used with O(state=present).
        type: bool
        default: false
  state:
    description:
      - Whether the devices should be prepared, or given back to what they were before the module changed them. What the module did
        not change, or what a reboot has undone, is left as it is.
    type: str
    choices:
      - present
      - absent
    default: present
  force:
    description:
      - Whether to change the number of virtual functions also if some of them are bound to drivers of the host's own. They must be free
        all the same.
    type: bool
    default: false
  persistent:
    description:
      - Whether the numbers of functions, and the drivers and attributes of devices, are also defined as units of systemd, so that
        they are back after a reboot; with O(state=absent), whether their definitions are removed too. Each is a file
        C(vfio-migration-functions-ADDRESS.service) or C(vfio-migration-device-ADDRESS.service) in C(/etc/systemd/system).
      - The definitions of virtual functions beyond the number that a function in O(functions) has afterwards are removed with it, and
        those that M(vfio.migration.vdpa_device) has made of vDPA devices on them.
      - If V(false), definitions are left as they are.
      - What is defined is what the call asks for; a driver that it leaves out, or O(devices[].migratable), stays defined as it was. A
        controller of disks is refused, as its disks may be in use before it is taken.
      - A unit whose device does not come within two minutes, or is another one by now, fails and keeps no other from being
        started; C(systemctl --failed) shows it. It is started before libvirt, and the functions of a device before what binds and configures them.
    type: bool
    default: false
  timeout:
    description:
      - How many seconds to wait for other calls, and for the kernel to show new virtual functions, a driver that was bound and an
        attribute that was reset.
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
  - module: vfio.migration.vfio_mdev
  - ref: ansible_collections.vfio.migration.docsite.sriov_guide
    description: Virtual functions of network cards.
  - ref: ansible_collections.vfio.migration.docsite.nvidia_guide
    description: Mediated devices and virtual functions of NVIDIA GPUs.
  - ref: ansible_collections.vfio.migration.docsite.intel_guide
    description: GVT-g, Xe and QAT.
"""

EXAMPLES = r"""
- name: Make four virtual functions, and one of them ready for a guest that comes from another host
  vfio.migration.vfio_pci:
    functions:
      - address: "0000:01:00.0"
        sriov_numvfs: 4
    devices:
      - address: "0000:01:00.2"
        driver: mlx5_vfio_pci
        accept:
          - device_api: vfio-pci
            type: pci-15b3101e-15b30058
            pci_id: 15b3101e

- name: Give a virtual function of a GPU a type of vGPU
  vfio.migration.vfio_pci:
    devices:
      - address: "0000:41:00.4"
        attributes:
          - name: nvidia/current_vgpu_type
            value: "1428"
          - name: nvidia/vgpu_params
            value: frame_rate_limiter=0,disable_vnc=1

- name: Make virtual functions, and have one of them for guests, also after a reboot
  vfio.migration.vfio_pci:
    functions:
      - address: "0000:01:00.0"
        sriov_numvfs: 4
    devices:
      - address: "0000:01:00.2"
        driver: vfio-pci
    persistent: true

- name: Give a virtual function the MAC address and VLAN that the guest's function has on the other host
  vfio.migration.vfio_pci:
    devices:
      - address: "0000:01:00.2"
        network:
          mac: "52:54:00:12:34:56"
          vlan: 100
          spoofchk: true

- name: Give a device back to the driver that it had
  vfio.migration.vfio_pci:
    devices:
      - address: "0000:01:00.2"
    state: absent
"""

RETURN = r"""
functions:
  description: The physical functions, in the order of O(functions). In check mode, as they would be.
  returned: success
  type: list
  elements: dict
  contains:
    address:
      description: The address of the function.
      type: str
      returned: success
      sample: "0000:01:00.0"
    action:
      description: What was done, V(resized) or V(unchanged).
      type: str
      returned: success
      sample: resized
    sriov_numvfs:
      description: How many virtual functions it has.
      type: int
      returned: success
      sample: 2
    virtual_functions:
      description: Their addresses, in their order.
      type: list
      elements: str
      returned: success
      sample: ["0000:01:10.0", "0000:01:10.2"]
    definition:
      description:
        - What was done to its definition, one of V(defined), V(undefined) and V(unchanged); V(null) unless O(persistent=true).
      type: str
      returned: success
      sample: null
    undefined:
      description:
        - The addresses of virtual functions beyond that number whose definitions were removed, as with O(persistent=true) they
          would wait in vain when the host starts.
      type: list
      elements: str
      returned: success
      sample: []
    undefined_vdpa:
      description:
        - The names of vDPA devices on virtual functions beyond that number whose definitions were removed for the same reason. Another
          module has made them, M(vfio.migration.vdpa_device).
      type: list
      elements: str
      returned: success
      sample: []
devices:
  description: The devices, in the order of O(devices). In check mode, as they would be.
  returned: success
  type: list
  elements: dict
  contains:
    address:
      description: The address of the device.
      type: str
      returned: success
      sample: "0000:01:10.0"
    action:
      description: What was done, one of V(bound), V(configured), V(unchanged) and V(restored).
      type: str
      returned: success
      sample: bound
    driver:
      description: The driver that it is bound to, V(null) if it is bound to none or there is no such device any more.
      type: str
      returned: success
      sample: vfio-pci
    attributes:
      description: The attributes that can be configured on it and be read; in check mode, those that are known.
      type: list
      elements: dict
      returned: success
      contains:
        name:
          description: The attribute's file, as C(group/name).
          type: str
          returned: success
          sample: nvidia/current_vgpu_type
        value:
          description: The attribute's value.
          type: str
          returned: success
          sample: "1428"
    definition:
      description:
        - What was done to its definition, one of V(defined), V(undefined) and V(unchanged); V(null) unless O(persistent=true).
      type: str
      returned: success
      sample: null
    self:
      description:
        - The device's own attribute set, as its descriptor states it; V(null) if it has no valid descriptor, or in check mode if it
          would change.
      type: dict
      returned: success
      sample:
        device_api: vfio-pci
        pci_id: "808610ca"
        software_version: 0.1.0
        type: pci-808610ca-80860000
recovered:
  description: What an earlier call that was killed had left half done, and this one undid, in the order of undoing.
  returned: always, except in check mode
  type: list
  elements: dict
  contains:
    device:
      description: The address of the device.
      type: str
      returned: always
      sample: "0000:01:10.0"
    change:
      description: What had been done, as in RV(undone[].change).
      type: str
      returned: always
      sample: driver=vfio-pci
step:
  description:
    - The step that failed, one of V(validate), V(recover), V(lock), V(inspect), V(resize), V(bind), V(attribute),
      V(network), V(verify), V(restore) and V(define).
    - Up to V(inspect), nothing was touched but what is in RV(recovered).
  returned: failure
  type: str
  sample: bind
device:
  description: The address of the device that it failed for, V(null) if it was none in particular.
  returned: failure
  type: str
  sample: "0000:01:10.0"
errno:
  description: The name of the kernel's error, V(null) if it was none.
  returned: failure
  type: str
  sample: ENODEV
hint:
  description: The likely cause or the remedy; V(null) if none is known.
  returned: failure
  type: str
  sample: the driver does not know such devices, or the device went away
kernel_log:
  description: What the kernel logged while it refused, its last lines; empty where nothing was logged or the log may not be read.
  returned: failure
  type: list
  elements: str
  sample: ["vfio-pci 0000:01:10.0: probe with driver vfio-pci failed with error -22"]
reasons:
  description: Why the device matches no set of O(devices[].accept), with RV(step=verify); else empty.
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
      description: The rule that it breaks.
      type: str
      returned: failure
      sample: equal
    expected:
      description: What would match.
      type: str
      returned: failure
      sample: "808610ca"
    actual:
      description: What the device has, V(null) if nothing.
      type: str
      returned: failure
      sample: 8086154c
undone:
  description: What the call had done and undid again, in the order of undoing.
  returned: failure
  type: list
  elements: dict
  contains:
    device:
      description: The address of the device.
      type: str
      returned: failure
      sample: "0000:01:10.0"
    change:
      description:
        - What had been done, C(driver=name), C(sriov_numvfs=number), V(defined), V(undefined), the attribute that was written,
          C(group/name=value), or the network settings, as C(vlan=100,qos=0).
      type: str
      returned: failure
      sample: driver=vfio-pci
left:
  description:
    - What the call had done and could not undo; empty if the host is as it was before.
    - With RV(step=recover), what calls that were killed had done under the same lock, and this one could not undo. The next call
      tries it again, and RV(recovered) has what was undone.
  returned: failure
  type: list
  elements: dict
  contains:
    device:
      description: The address of the device.
      type: str
      returned: failure
      sample: "0000:01:10.0"
    change:
      description: What was done, as in RV(undone[].change), or V(record), what is noted to be given back one day.
      type: str
      returned: failure
      sample: driver=vfio-pci
    problem:
      description: Why it was not undone.
      type: str
      returned: failure
      sample: process 4711 (vm-17) holds it; stop that first
    where:
      description: The directory of the device.
      type: str
      returned: failure, unless the change is V(removed)
      sample: /sys/bus/pci/devices/0000:3b:00.0
    by_hand:
      description: How to undo it by hand, as a shell command if possible.
      type: str
      returned: failure, unless the change is V(removed)
      sample: "echo 0 > /sys/bus/pci/devices/0000:3b:00.0/sriov_numvfs; echo 4 > /sys/bus/pci/devices/0000:3b:00.0/sriov_numvfs"
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vfio.migration.plugins.module_utils._change.boot_units import (
    BootUnits,
    functions_unit,
    pci_unit,
    vdpa_unit,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.errors import (
    InvalidRequest,
    ProvisionError,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.journal import Journal, place
from ansible_collections.vfio.migration.plugins.module_utils._change.module import (
    Tool,
    apply_or_predict,
    check_persistent,
    notify_systemd,
    run_module,
    tool,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.original_state import (
    OriginalStates,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.pci_apply import PciTransaction
from ansible_collections.vfio.migration.plugins.module_utils._change.pci_plan import (
    PciHost,
    PciPlanner,
    validate,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.plan import (
    ABSENT,
    PRESENT,
    UNDEFINED,
)
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.network_settings import (
    LINK_STATES,
    PROTOCOLS,
)
from ansible_collections.vfio.migration.plugins.module_utils._host import processes
from ansible_collections.vfio.migration.plugins.module_utils._host.device import is_vfio_driver_name
from ansible_collections.vfio.migration.plugins.module_utils._host.devlink import Devlink
from ansible_collections.vfio.migration.plugins.module_utils._host.pci_usage import is_free_disk
from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import Sysfs
from ansible_collections.vfio.migration.plugins.module_utils._host.vf_network import VfNetwork


class Modprobe:
    """Loads drivers; ``run`` is ``None`` where there is nothing to load them with."""

    def __init__(self, run: Tool | None) -> None:
        self._run = run

    def can_load(self, driver: str) -> bool:
        """Return whether it is a VFIO driver and there is a module of its name."""
        # The name may come from another host, and other modules are none of our business.
        return is_vfio_driver_name(driver) and self._problem("--dry-run", driver) is None

    def load(self, driver: str) -> None:
        """Load the driver; raise ``ProvisionError`` where that fails."""
        problem = self._problem(driver)
        if problem is not None:
            raise ProvisionError("bind", f"cannot load the driver {driver}: {problem}")

    def _problem(self, *arguments: str) -> str | None:
        if self._run is None:
            return "there is no modprobe"
        status, _output, error = self._run(list(arguments))
        return None if status == 0 else error.strip() or f"exit status {status}"


def run(module: AnsibleModule) -> dict[str, t.Any]:
    """Do what the module is to do, and return its result."""
    params = module.params
    sysfs = Sysfs(params["sysfs"])
    if not sysfs.exists():
        raise InvalidRequest(f"there is no sysfs at {sysfs.path()}")
    check_persistent(module, sysfs.live, params["state"] == PRESENT)
    wanted = validate(params)
    directory = place(sysfs, "pci")
    with Journal(directory, PciTransaction.undoers) as journal:
        # Into the kernel of another tree, no driver can be loaded.
        modprobe = Modprobe(tool(module, "modprobe", journal) if sysfs.live else None)
        host = PciHost(
            sysfs,
            processes.scan if sysfs.live else processes.unknown,
            # The name of a copy's disk says nothing about the host's own.
            lambda disk: sysfs.live and is_free_disk(disk),
            modprobe.can_load,
            modprobe.load,
            OriginalStates(directory),
            Devlink(sysfs),
            VfNetwork(sysfs),
            # The units of the running host say nothing about a copy.
            BootUnits() if sysfs.live else None,
        )

        def begin(interrupted: t.Callable[[], str | None]) -> PciTransaction:
            return PciTransaction(host, journal, params["timeout"], interrupted)

        result = apply_or_predict(module, journal, PciPlanner(host), begin, wanted)
    units = [(functions_unit(each["address"]), each["definition"]) for each in result["functions"]]
    units += [(pci_unit(each["address"]), each["definition"]) for each in result["devices"]]
    for each in result["functions"]:
        units += [(pci_unit(address), UNDEFINED) for address in each["undefined"]]
        units += [(vdpa_unit(name), UNDEFINED) for name in each["undefined_vdpa"]]
    notify_systemd(module, units)
    return result


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "functions": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "address": {"type": "str", "required": True, "aliases": ["id", "name", "uuid"]},
                    "sriov_numvfs": {"type": "int"},
                },
            },
            "devices": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "address": {"type": "str", "required": True, "aliases": ["id", "name", "uuid"]},
                    "parent": {"type": "str"},
                    "driver": {"type": "str"},
                    "migratable": {"type": "bool"},
                    "attributes": {
                        "type": "list",
                        "elements": "dict",
                        "options": {
                            "name": {"type": "str", "required": True},
                            "value": {"type": "str", "required": True},
                        },
                    },
                    "accept": {"type": "list", "elements": "dict"},
                    "network": {
                        "type": "dict",
                        "options": {
                            "mac": {"type": "str"},
                            "vlan": {"type": "int"},
                            "qos": {"type": "int"},
                            "proto": {"type": "str", "choices": [*PROTOCOLS]},
                            "spoofchk": {"type": "bool"},
                            "trust": {"type": "bool"},
                            "min_tx_rate": {"type": "int"},
                            "max_tx_rate": {"type": "int"},
                            "link_state": {"type": "str", "choices": [*LINK_STATES]},
                        },
                    },
                    "keep_driver": {"type": "bool", "default": False},
                },
            },
            "state": {"type": "str", "choices": [PRESENT, ABSENT], "default": PRESENT},
            "force": {"type": "bool", "default": False},
            "persistent": {"type": "bool", "default": False},
            "timeout": {"type": "int", "default": 10},
            "sysfs": {"type": "path", "default": "/sys"},
        },
        supports_check_mode=True,
    )
    run_module(module, run)


if __name__ == "__main__":
    main()
