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
  - Creates the virtual functions of physical PCI devices, binds PCI devices to VFIO drivers, writes their attributes in the given order, and verifies the
    result. With O(state=absent), restores what the module changed.
  - A call is a transaction for all devices in its lists. The module checks everything before it changes anything.
  - If a device cannot be bound, configured or verified, the module undoes the changes of the call in reverse order. The error names the device and the
    step that failed, the reason, and what could not be undone. The module does the same if a signal stops the call.
  - If the call is killed, the next call of the module on the host first undoes its changes, whatever devices that call is for.
author:
  - vfio.migration contributors (@vfio-migration)
notes:
  - Requires root, except in check mode if nothing would change.
  - Only one call at a time works on a physical function and its virtual functions. Others wait for at most O(timeout) seconds.
  - The module keeps its locks, its journals and the original state of devices in C(/run/vfio.migration/pci). For another tree than C(/sys), it keeps them
    in the user's C(~/.local/state/vfio.migration). It refuses a directory in which other users can write.
  - If a file there is damaged or has the format of another release of the collection, the module fails before it changes anything. The error names the
    file and states what to do.
  - Without O(persistent=true), bindings, virtual functions and attributes are lost at a reboot. Run the module again after the reboot.
  - The module does not bind, reconfigure or remove a device that is in use. A device is in use if a process holds it, or if it has a mediated device, a
    network interface that is up, or a disk in use. The same applies if its holder is unknown, as in a container or with a copied tree.
  - The module does not take a device with virtual functions from its driver, because they would disappear.
  - A guest gets all devices of an IOMMU group or none. The module refuses a device if drivers of the host have other devices of its group, unless these
    are in O(devices), too. Bridges and devices of C(pci-stub) do not count.
  - If a driver is not loaded and its name ends in C(vfio-pci) or C(vfio_pci), the module loads it with C(modprobe). The module does not unload it again.
  - Attributes of physical devices are those in groups, such as C(nvidia/vgpu_params). Files in the device's own directory belong to the kernel. The module
    compares attributes as M(vfio.migration.vfio_mdev) does.
  - To change C(nvidia/current_vgpu_type), the module first sets it to C(0). The new type must then be in C(nvidia/creatable_vgpu_types), from which types
    disappear as other functions of the card take them. The module then writes all attributes that follow in the list again.
extends_documentation_fragment:
  - vfio.migration._attributes
  - vfio.migration._attributes.actiongroup_vfio
attributes:
  check_mode:
    support: full
    details:
      - The module can check O(devices[].accept), and whether the driver accepts a device, only for devices that are bound and need no configuration.
      - The module does not undo what a killed call left unfinished, and gives a warning instead.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  functions:
    description:
      - The physical functions for which to set the number of virtual functions. The module does this before it prepares O(devices).
    type: list
    elements: dict
    default: []
    suboptions:
      address:
        description:
          - The PCI address of the function, with its domain.
          - All modules that change devices accept the name V(id), as in the facts of M(vfio.migration.vfio_migration_facts).
        type: str
        required: true
        aliases:
          - id
          - name
          - uuid
      sriov_numvfs:
        description:
          - How many virtual functions the function must have. To change the number, the module removes all existing virtual functions first, because the
            kernel allows no other way.
          - Required with O(state=present). Not used with O(state=absent), which restores the number from before the module changed it.
        type: int
  devices:
    description:
      - The devices to prepare, physical or virtual functions, in this order.
      - They can include virtual functions that the module creates for O(functions).
    type: list
    elements: dict
    default: []
    suboptions:
      address:
        description:
          - The PCI address of the device, with its domain.
          - All modules that change devices accept the name V(id), as in the facts of M(vfio.migration.vfio_migration_facts).
        type: str
        required: true
        aliases:
          - id
          - name
          - uuid
      parent:
        description:
          - The physical function of the virtual function, as in the facts. The module fails if the device belongs to another one, or is not a virtual
            function.
          - With V(null), as the facts have it for a physical device, or without this option, there is no such check.
        type: str
      driver:
        description:
          - The VFIO driver, V(vfio-pci) or a variant driver that supports migration of the device.
          - By default, the device keeps its driver, which must be a VFIO driver.
          - Not used with O(state=absent), which restores the driver from before the module changed it.
        type: str
      migratable:
        description:
          - Whether the virtual function of a network card is migratable, as C(devlink port function set … migratable) sets it. The card then disables
            features that cannot be migrated.
          - Some cards, such as those of C(mlx5_core), accept a change only while the function has no driver. The module takes the driver from the device
            for the change, even if it is the right one.
          - By default, nothing is changed. Not used with O(state=absent), which restores the value from before the module changed it.
          - The card's switch must be in the mode C(switchdev). This option has been tested with a simulated kernel only, and not with such a card.
        type: bool
      attributes:
        description:
          - The attributes to write to the device, in this order. A name can occur more than once.
          - Not used with O(state=absent), which restores the values from before the module changed them.
        type: list
        elements: dict
        suboptions:
          name:
            description:
              - The name of the attribute as C(group/name), or as C(name) if only one group has it.
              - The module refuses names of the kernel's own files, and names that lead to another directory.
            type: str
            required: true
          value:
            description: The value, one line of text.
            type: str
            required: true
      accept:
        description:
          - Attribute patterns, as in C(compatible) of a source device. C(self) of the configured device must match one of them.
          - C(software_version) is only compared with patterns that have it.
          - Not used with O(state=absent).
        type: list
        elements: dict
      network:
        description:
          - Settings of a virtual function of a network card on its physical function, as C(ip link set … vf) makes them. Settings that you leave out stay
            as they are.
          - The module makes the settings after it has bound the device and written its attributes, and reads them back. It undoes them on failure.
          - The function of the guest on its current host can keep using the same MAC address. As long as both have it, this card delivers frames from its
            own host for the address to the new function, and they do not reach the guest. Set the address right before the guest moves.
          - The physical function needs a network interface whose driver shows these settings. In the mode C(switchdev), some drivers refuse some of them.
          - O(persistent) does not include these settings. Set them again after a reboot.
          - Not used with O(state=absent), which restores the settings from before the module changed them.
        type: dict
        suboptions:
          mac:
            description:
              - The MAC address of the function. Zeros remove it, if the driver supports this.
              - The module refuses an address that a network interface of the host has, or another function of the same card that is in use.
            type: str
          vlan:
            description: The VLAN of the function, from V(1) to V(4094), or V(0) for none.
            type: int
          qos:
            description: The priority in the VLAN tag, from V(0) to V(7).
            type: int
          proto:
            description: The protocol of the VLAN tag.
            type: str
            choices:
              - 802.1Q
              - 802.1ad
          spoofchk:
            description: Whether the card drops frames whose source address is not that of the function.
            type: bool
          trust:
            description: Whether the card trusts the function, so that a guest can use features that affect other functions, such as promiscuous mode.
            type: bool
          min_tx_rate:
            description: The guaranteed transmit rate in Mbit/s. V(0) for none.
            type: int
          max_tx_rate:
            description: The maximum transmit rate in Mbit/s. V(0) for no limit.
            type: int
          link_state:
            description: The link state of the function, V(auto) to follow the link of the card, V(enable) for always up, V(disable) for always down.
            type: str
            choices:
              - auto
              - enable
              - disable
      keep_driver:
        description:
          - With O(state=absent), whether the device keeps its driver and its O(devices[].migratable) setting. The module then restores only its attributes
            and network settings.
          - Not used with O(state=present).
        type: bool
        default: false
  state:
    description:
      - With V(present), the module prepares the devices. With V(absent), it restores them to the state from before it changed them.
      - V(absent) has no effect on what the module did not change, and on what a reboot has undone.
    type: str
    choices:
      - present
      - absent
    default: present
  force:
    description:
      - Whether to change the number of virtual functions even if some of them are bound to drivers of the host. No virtual function can be in use in any
        case.
    type: bool
    default: false
  persistent:
    description:
      - Whether to define the numbers of functions, and the drivers and attributes of devices, as systemd units, too, so that they are back after a reboot.
        With O(state=absent), whether to remove their definitions, too.
      - The units are files C(vfio-migration-functions-ADDRESS.service) and C(vfio-migration-device-ADDRESS.service) in C(/etc/systemd/system).
      - If a function in O(functions) has fewer virtual functions afterwards, the module removes the definitions of those that no longer exist, and of vDPA
        devices on them that M(vfio.migration.vdpa_device) defined.
      - With V(false), definitions stay as they are.
      - The definition has the options of the call. O(devices[].driver) and O(devices[].migratable) keep their values in the definition if you leave them
        out. The module refuses storage controllers, because their disks can be in use before the unit starts.
      - A unit fails if its device does not appear within two minutes, or if another device has its address. Other units start nevertheless. Run
        C(systemctl --failed) to list failed units.
      - Units start before libvirt. The unit for the functions of a device starts before those that bind and configure the functions.
    type: bool
    default: false
  timeout:
    description:
      - How many seconds to wait for other calls, and for the kernel to show a new virtual function, the bound driver, or an attribute that was reset.
    type: int
    default: 10
  sysfs:
    description:
      - The sysfs tree to work in.
      - In any other tree than C(/sys), links cannot lead out of the tree, and the module opens only regular files and directories.
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
- name: Create four virtual functions, and prepare one of them for a guest that comes from another host
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

- name: Set the vGPU type of a virtual function of a GPU
  vfio.migration.vfio_pci:
    devices:
      - address: "0000:41:00.4"
        attributes:
          - name: nvidia/current_vgpu_type
            value: "1428"
          - name: nvidia/vgpu_params
            value: frame_rate_limiter=0,disable_vnc=1

- name: Create virtual functions, and keep one of them for guests even after a reboot
  vfio.migration.vfio_pci:
    functions:
      - address: "0000:01:00.0"
        sriov_numvfs: 4
    devices:
      - address: "0000:01:00.2"
        driver: vfio-pci
    persistent: true

- name: Set the MAC address and VLAN of a virtual function to those of the guest's function on the other host
  vfio.migration.vfio_pci:
    devices:
      - address: "0000:01:00.2"
        network:
          mac: "52:54:00:12:34:56"
          vlan: 100
          spoofchk: true

- name: Restore the driver and the settings that a device had
  vfio.migration.vfio_pci:
    devices:
      - address: "0000:01:00.2"
    state: absent
"""

RETURN = r"""
functions:
  description: The physical functions, in the order of O(functions). In check mode, the state that they would have.
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
      description: What the module did, V(resized) or V(unchanged).
      type: str
      returned: success
      sample: resized
    sriov_numvfs:
      description: How many virtual functions the function has.
      type: int
      returned: success
      sample: 2
    virtual_functions:
      description: The addresses of the virtual functions, in their order on the physical function.
      type: list
      elements: str
      returned: success
      sample: ["0000:01:10.0", "0000:01:10.2"]
    definition:
      description:
        - What the module did to the definition, V(defined), V(undefined) or V(unchanged).
        - V(null) unless O(persistent=true).
      type: str
      returned: success
      sample: null
    undefined:
      description:
        - The addresses of virtual functions that no longer exist and whose definitions the module removed with O(persistent=true). Their units would fail
          when the host boots.
      type: list
      elements: str
      returned: success
      sample: []
    undefined_vdpa:
      description:
        - The names of vDPA devices on such virtual functions whose definitions the module removed, too. M(vfio.migration.vdpa_device) made these
          definitions.
      type: list
      elements: str
      returned: success
      sample: []
devices:
  description: The devices, in the order of O(devices). In check mode, the state that they would have.
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
      description: What the module did, V(bound), V(configured), V(unchanged) or V(restored).
      type: str
      returned: success
      sample: bound
    driver:
      description: The driver that the device is bound to. V(null) if it is not bound to a driver, or no longer exists.
      type: str
      returned: success
      sample: vfio-pci
    attributes:
      description: The attributes of the device that can be configured and read. In check mode, those whose values are known.
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
        - What the module did to the definition, V(defined), V(undefined) or V(unchanged).
        - V(null) unless O(persistent=true).
      type: str
      returned: success
      sample: null
    self:
      description:
        - C(self) of the device's descriptor.
        - V(null) if the device has no valid descriptor. In check mode also V(null) if the descriptor would change.
      type: dict
      returned: success
      sample:
        device_api: vfio-pci
        pci_id: "808610ca"
        software_version: 0.1.0
        type: pci-808610ca-80860000
recovered:
  description: The changes of an earlier call that was killed, which this call has undone, in the order in which it undid them.
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
      description: The change, as in RV(undone[].change).
      type: str
      returned: always
      sample: driver=vfio-pci
step:
  description:
    - The step that failed. One of V(validate), V(recover), V(lock), V(inspect), V(resize), V(bind), V(attribute), V(network), V(verify), V(restore) and
      V(define).
    - In the first four steps, the module changes nothing except for what RV(recovered) lists.
  returned: failure
  type: str
  sample: bind
device:
  description: The address of the device for which the step failed. V(null) if the error is not about a single device.
  returned: failure
  type: str
  sample: "0000:01:10.0"
errno:
  description: The name of the kernel's error. V(null) if the kernel did not report one.
  returned: failure
  type: str
  sample: ENODEV
hint:
  description: The likely cause or the remedy. V(null) if none is known.
  returned: failure
  type: str
  sample: the driver does not know such devices, or the device went away
kernel_log:
  description: The last lines that the kernel logged during the step. Empty if there are none, or if the module cannot read the log.
  returned: failure
  type: list
  elements: str
  sample: ["vfio-pci 0000:01:10.0: probe with driver vfio-pci failed with error -22"]
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
      sample: "808610ca"
    actual:
      description: The value of the device. V(null) if it has none.
      type: str
      returned: failure
      sample: 8086154c
undone:
  description: The changes of the call that it has undone, in the order in which it undid them.
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
        - The change, C(driver=name), C(sriov_numvfs=number), V(defined), V(undefined), a written attribute as C(group/name=value), or network settings,
          such as C(vlan=100,qos=0).
      type: str
      returned: failure
      sample: driver=vfio-pci
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
      description: The address of the device.
      type: str
      returned: failure
      sample: "0000:01:10.0"
    change:
      description: The change, as in RV(undone[].change), or V(original state) for the record of the state before the first change.
      type: str
      returned: failure
      sample: driver=vfio-pci
    problem:
      description: The reason why it was not undone.
      type: str
      returned: failure
      sample: process 4711 (vm-17) holds it; stop that first
    where:
      description: The directory of the device.
      type: str
      returned: failure
      sample: /sys/bus/pci/devices/0000:3b:00.0
    by_hand:
      description: How to undo the change by hand, as a shell command if possible.
      type: str
      returned: failure
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
