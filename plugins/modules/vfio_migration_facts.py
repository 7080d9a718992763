#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: vfio_migration_facts
short_description: Gather facts on VFIO and vDPA devices and their migration compatibility
version_added: 0.1.0
description:
  - Gathers the VFIO devices of a host, which are mediated devices (mdev) and physical PCI devices, and its vDPA devices, with their migration
    descriptors.
  - Also gathers the parents on which mediated and vDPA devices can be created.
  - The descriptor of a device states what the device is (C(self)) and which devices it can migrate to (C(compatible)). The module reads it from the
    device's C(migration) directory, in either form of the proposal "device compatibility interface for live migration with assigned devices".
  - For drivers that do not implement the proposal, the module derives the descriptor from what the kernel shows for every device. C(compatible) then
    accepts only an equal device with a C(software_version) that can take over the state.
  - Derived descriptors have further attributes for some drivers. These are C(subchannel_type) and C(chpid_type) for vfio_ccw, C(adapters) and C(domains)
    for vfio_ap, C(type_name) and C(subsystem_id) for NVIDIA mediated devices, and C(cfg_services) for functions of Intel QAT.
  - NVIDIA requires that the ECC mode is the same, too. This mode is not in sysfs, but RV(ansible_facts.vfio_migration.nvidia) has it.
  - For a vDPA device, the module derives the descriptor from what the kernel shows over netlink, as the tool C(vdpa) does. C(self) has an attribute
    C(feature_<name>) with the value C(offered) for each feature that the device offers, and the configuration that a guest sees.
  - C(compatible) of a vDPA device requires the same configuration, and the features that the guest has accepted, or all features if no guest has
    accepted any yet. Devices with more features, and devices of other vendors, are compatible, too.
  - A physical PCI device is reported if it is bound to a VFIO driver or has a C(migration) directory.
  - The module does not fail because of a single device. C(problems) lists what it cannot read, and what breaks a rule of the descriptor's form.
author:
  - vfio.migration contributors (@vfio-migration)
notes:
  - Without root, facts that only root can read are missing, with an entry in C(problems). It is then mostly unknown whether a device is in use, and
    whether it supports migration.
  - vDPA devices are those of the running kernel. For a copied or simulated tree, the module returns none.
  - For mediated devices, the module returns attributes in the device's own directory and in attribute groups (subdirectories such as C(nvidia)). For
    physical PCI devices, it returns only those in attribute groups, because the device's own directory belongs to the kernel's PCI core.
extends_documentation_fragment:
  - vfio.migration._attributes
  - vfio.migration._attributes.facts
  - vfio.migration._attributes.facts_module
  - vfio.migration._attributes.actiongroup_vfio
options:
  sysfs:
    description:
      - The sysfs tree to read.
      - In any other tree than C(/sys), links cannot lead out of the tree, and the module opens only regular files and directories.
      - The playbook C(vfio.migration.capture) makes copies of hosts' trees. Devices, parents and descriptors in a copy are the same as those of the
        host, byte for byte.
      - A copied or simulated tree lacks what is not in sysfs, such as the processes that hold devices, vDPA devices, and whether devlink marks a function
        as migratable.
    type: path
    default: /sys
  timeout:
    description: How many seconds queries to NVIDIA's library can take, on a host that has it. No other query uses this timeout.
    type: int
    default: 30
  kinds:
    description:
      - The kinds of devices to gather.
      - V(mdev) for mediated devices and their parents, V(pci) for physical PCI devices, V(vdpa) for vDPA devices and their management devices.
    type: list
    elements: str
    choices:
      - mdev
      - pci
      - vdpa
    default:
      - mdev
      - pci
      - vdpa
seealso:
  - module: vfio.migration.vdpa_device
  - module: vfio.migration.vfio_capture
  - module: vfio.migration.vfio_mdev
  - name: JSON Schema
    description: The exact structure of the facts, for programs.
    link: https://github.com/vfio-migration/vfio.migration/blob/main/docs/schemas/facts.json
  - ref: ansible_collections.vfio.migration.docsite.verdict_guide
    description: The rules of verdicts, and their limits.
  - ref: ansible_collections.vfio.migration.docsite.scale_guide
    description: Fact caches, slices and big fleets.
"""

EXAMPLES = r"""
- name: Gather the descriptors of all VFIO devices
  vfio.migration.vfio_migration_facts:

- name: Show the types that can be created on each parent
  ansible.builtin.debug:
    msg: "{{ item.id }}: {{ item.types | map(attribute='id') | join(', ') }}"
  loop: "{{ ansible_facts.vfio_migration.parents }}"
  loop_control:
    label: "{{ item.id }}"

- name: Gather from a copy of another machine's sysfs
  vfio.migration.vfio_migration_facts:
    sysfs: /srv/support-case-17/sys
    kinds:
      - mdev
"""

RETURN = r"""
ansible_facts:
  description: The facts.
  returned: always
  type: dict
  contains:
    vfio_migration:
      description:
        - The host's VFIO and vDPA devices.
        - Lists are sorted by C(id). The same tree gives the same facts, byte for byte, except for RV(ansible_facts.vfio_migration.gathered).
      type: dict
      returned: always
      contains:
        schema:
          description: The version of this structure.
          type: int
          returned: always
          sample: 1
        gathered:
          description: When the facts were gathered, by the host's clock, and the boot in which they were gathered.
          type: dict
          returned: always
          contains:
            time:
              description: The time at which gathering began, in UTC. For a copied tree, this is the time at which the module began to read the copy.
              type: str
              returned: always
              sample: "2026-11-26T17:20:00Z"
            boot:
              description: The kernel's id of the boot. V(null) for a copied tree, whose boot is unknown.
              type: str
              returned: always
              sample: 4f6d0c1e-8a7b-4a0e-9c46-2f0f2d3f8f55
        descriptors:
          description:
            - The distinct descriptors of the host, each once, by the key that RV(ansible_facts.vfio_migration.devices[].descriptor) refers to.
            - The key is the first 32 hex digits of the SHA-256 of the canonical JSON of C(self), C(compatible) and, if it exists, C(configuration).
          type: dict
          returned: always
          contains:
            origin:
              description:
                - The source of the descriptor.
                - V(directory) and V(file) are the two forms of the proposal, one file per attribute and one file with a line per attribute.
                - V(derived) if the module derived the descriptor from what the kernel shows for every device.
              type: str
              returned: always
              sample: file
            self:
              description: What the device is, as attribute values by name.
              type: dict
              returned: always
              sample:
                aggregator: "2"
                device_api: vfio-pci
                pci_id: "80865963"
                software_version: 0.1.0
                type: i915-GVTg_V5_4
            compatible:
              description: The patterns for the attributes of the devices that it can migrate to. A target must match one of them.
              type: list
              elements: dict
              returned: always
              sample:
                - aggregator: "{val1}/2"
                  device_api: vfio-pci
                  pci_id: "80865963"
                  software_version: 0.1.0
                  type: i915-GVTg_V5_{val1:int:1,2,4,8}
            configuration:
              description:
                - For a PCI function, the parts of its configuration space that a guest sees and QEMU compares, by name. Only root can read more than
                  the first 64 bytes.
                - Registers that a guest can write are included only if no process holds the function.
                - For a device on an NVIDIA GPU, the values of RV(ansible_facts.vfio_migration.nvidia) that decide where the device can go.
              type: dict
              returned: where the device is a PCI function, or on an NVIDIA GPU whose library was asked
              sample:
                pci.capabilities: 10@60 11@9c
                pci.class: "020000"
                pci.extended: "0001.2@100"
                pci.header: "00"
                pci.id: 15b3:101e
                pci.revision: "00"
                pci.11: 000b 00000002 00002002
        devices:
          description: The devices.
          type: list
          elements: dict
          returned: always
          contains:
            kind:
              description: V(mdev) for a mediated device, V(pci) for a physical PCI device or a virtual function, V(vdpa) for a vDPA device.
              type: str
              returned: always
              sample: mdev
            id:
              description: The UUID of a mediated device, the address of a PCI device, or the name of a vDPA device.
              type: str
              returned: always
              sample: 882cc4da-dede-11e7-9180-078a62063ab1
            parent:
              description:
                - The name of a mediated device's parent, the address of a virtual function's physical function, or the name of a vDPA device's
                  management device. V(null) for a physical device that is not a virtual function.
              type: str
              returned: always
              sample: "0000:00:02.0"
            type:
              description:
                - For a mediated device, its type.
                - For a physical device, the C(type) of its own descriptor, or else a signature of its PCI ids, C(pci-<vendor><device>-<subsystem
                  vendor><subsystem device>).
                - For a vDPA device, its class, V(net) or V(block).
              type: str
              returned: always
              sample: i915-GVTg_V5_4
            descriptor:
              description: The key of the device's descriptor. V(null) if the descriptor is unreadable or malformed.
              type: str
              returned: always
              sample: 9f86d081884c7d659a2feaa0c55ad015
            attributes:
              description:
                - The attributes of the device that can be configured and read, sorted by name.
                - For a vDPA device, the attributes with which it was provisioned, V(mac), V(mtu), V(max_vqp) and V(device_features), a mask. Attributes
                  that its features exclude are missing.
              type: list
              elements: dict
              returned: always
              contains:
                name:
                  description: The attribute's file as C(name) or C(group/name), or for a vDPA device the name that the tool C(vdpa) uses.
                  type: str
                  returned: always
                  sample: intel_vgpu/aggregator
                value:
                  description: The attribute's value.
                  type: str
                  returned: always
                  sample: "2"
                choices:
                  description:
                    - The values that the attribute currently accepts. The device cannot be used until one of them is set.
                    - Setting a value on one function of a card can make it unavailable to the others.
                  type: list
                  elements: str
                  returned: for V(nvidia/current_vgpu_type) of a virtual function of a GPU that has no type yet
                  sample: ["1428", "1429"]
                choice_names:
                  description: The names of these values, in the same order.
                  type: list
                  elements: str
                  returned: for an attribute that has choices
                  sample: ["NVIDIA H200X-141C", "NVIDIA H200X-70C"]
            numa_node:
              description: The NUMA node of the device or of its parent. V(null) if it has none.
              type: int
              returned: always
              sample: 0
            iommu_group:
              description: The number of the device's IOMMU group. V(null) if it is in none.
              type: int
              returned: always
              sample: 7
            driver:
              description: The driver that the device is bound to. V(null) if it is not bound to a driver.
              type: str
              returned: always
              sample: intel_vgpu_mdev
            in_use:
              description:
                - The process that holds the device. V(null) if no process does.
                - A process holds a device if it has the device node open. The module identifies the node by its device number, not by its path.
                - If the holder is unknown, because the module cannot inspect every process or the tree is a copy, all values in this dictionary are
                  V(null).
              type: dict
              returned: always
              contains:
                pid:
                  description: The id of the process.
                  type: int
                  returned: always
                  sample: 4711
                name:
                  description: The name of the guest if the process is QEMU with a named guest, otherwise the name of the command.
                  type: str
                  returned: always
                  sample: vm-17
                uuid:
                  description: The UUID of the guest, from QEMU's command line. It distinguishes guests with the same name.
                  type: str
                  returned: if the process has one
                  sample: c7e0ae6a-2f1b-4c54-9f0b-6f2a3c7d1e55
            migration:
              description:
                - What is known about the device's ability to migrate.
                - From Linux 6.8 on, the kernel shows it to root in debugfs. Otherwise, it depends on what the collection knows of the driver.
              type: dict
              returned: always
              contains:
                supported:
                  description:
                    - Whether the driver supports migration of the device. V(null) if this is unknown, or if the driver has requirements that this host
                      does not show, which C(evidence) then states.
                    - V(false) also for devices that QEMU cannot migrate, such as those of vfio-ccw and vfio-ap.
                    - V(false) also if no guest can use the device because the host itself uses another device of its IOMMU group.
                    - For virtual functions of C(mlx5_vfio_pci), V(true) or V(false) as C(devlink) shows whether the function is migratable.
                  type: bool
                  returned: always
                  sample: true
                evidence:
                  description:
                    - The source of RV(ansible_facts.vfio_migration.devices[].migration.supported), as text for people.
                    - V(debugfs) if the kernel shows it, V(unknown) if it is unknown, otherwise what is known of the driver or what prevents migration.
                    - If the kernel shows that the device cannot migrate, what would make it possible follows after V(debugfs), as far as this is known.
                  type: str
                  returned: always
                  sample: driver hisi_acc_vfio_pci is known to support it
                features:
                  description: The migration features of the driver. The kernel shows them from Linux 6.18 on.
                  type: list
                  elements: str
                  returned: always
                  sample:
                    - stop-copy
                    - p2p
                state:
                  description: The migration state of the device. V(null) if it is unknown.
                  type: str
                  returned: always
                  sample: RUNNING
            network:
              description:
                - The settings of a virtual function of a network card on its physical function, as C(ip link) shows them. Settings that the driver of
                  the physical function does not show are missing.
                - These settings do not affect verdicts. A plan sets them on the target, as far as the target shows such settings.
              type: dict
              returned: for a virtual function whose physical function has a network interface that shows it
              contains:
                mac:
                  description: The MAC address of the function. Zeros if none was set.
                  type: str
                  returned: always
                  sample: "52:54:00:12:34:56"
                vlan:
                  description: The VLAN of the function. V(0) for none.
                  type: int
                  returned: where the driver shows it
                  sample: 100
                qos:
                  description: The priority in the VLAN tag.
                  type: int
                  returned: where the driver shows it
                  sample: 0
                proto:
                  description: The protocol of the VLAN tag, V(802.1Q) or V(802.1ad).
                  type: str
                  returned: where the driver shows it
                  sample: 802.1Q
                spoofchk:
                  description: Whether the card drops frames whose source address is not that of the function.
                  type: bool
                  returned: where the driver shows it
                  sample: true
                trust:
                  description: Whether the card trusts the function, so that a guest can use features that affect other functions, such as promiscuous mode.
                  type: bool
                  returned: where the driver shows it
                  sample: false
                min_tx_rate:
                  description: The guaranteed transmit rate in Mbit/s. V(0) for none.
                  type: int
                  returned: where the driver shows it
                  sample: 0
                max_tx_rate:
                  description: The maximum transmit rate in Mbit/s. V(0) for no limit.
                  type: int
                  returned: where the driver shows it
                  sample: 1000
                link_state:
                  description: The link state of the function, V(auto) to follow the link of the card, V(enable) for always up, V(disable) for always down.
                  type: str
                  returned: where the driver shows it
                  sample: auto
        parents:
          description: The devices on which mediated devices and vDPA devices can be created.
          type: list
          elements: dict
          returned: always
          contains:
            kind:
              description: The kind of the devices that can be created, V(mdev) or V(vdpa).
              type: str
              returned: always
              sample: mdev
            id:
              description: The name of the parent. For a management device, C(bus/device) or C(device) as in C(vdpa mgmtdev show).
              type: str
              returned: always
              sample: "0000:00:02.0"
            driver:
              description:
                - The kernel's name for the parent's driver, with which the names of its types begin.
                - For a parent that is not bound to a driver, its bus or class. V(null) for a parent without a bus.
              type: str
              returned: always
              sample: i915
            pci_id:
              description: The vendor and device id of a PCI device. V(null) for other parents.
              type: str
              returned: always
              sample: "80865963"
            physical_function:
              description: The physical function of the parent. All virtual functions of the card share its memory.
              type: str
              returned: for a parent that is a virtual function
              sample: "0000:41:00.0"
            self:
              description:
                - The attributes that a new device on the parent gets from it in its own C(self), as far as the host shows them.
                - For vfio_ap, the values that determine these attributes. C(features) are those of the driver, empty before Linux 6.10. If the driver
                  supports migration, C(cards) lists the upper byte of C(ap_functions), the class and the C(hwtype) of the host's cards, each with the
                  adapters that have these values, and C(host_control_domains) lists the host's control domains.
              type: dict
              returned: for a parent whose driver is known to give any
              sample: {"subsystem_id": "10de1533"}
            configuration:
              description: The values of RV(ansible_facts.vfio_migration.nvidia) that decide where devices on the parent can go.
              type: dict
              returned: for a parent on an NVIDIA GPU whose library was asked
              sample:
                nvidia.ecc: "on"
                nvidia.mig: "off"
            numa_node:
              description: The NUMA node of the parent. V(null) if it has none.
              type: int
              returned: always
              sample: 0
            types:
              description: The types of mediated devices, or the classes of vDPA devices, that can be created on the parent.
              type: list
              elements: dict
              returned: always
              contains:
                id:
                  description: The id of the type.
                  type: str
                  returned: always
                  sample: i915-GVTg_V5_4
                name:
                  description: The display name of the type. V(null) if it has none.
                  type: str
                  returned: always
                  sample: GVTg_V5_4
                device_api:
                  description: The VFIO API of devices of the type.
                  type: str
                  returned: always
                  sample: vfio-pci
                available_instances:
                  description:
                    - How many more devices of the type can currently be created. The types of a parent usually share its resources.
                    - For a management device, V(1) if it has no device yet, otherwise V(0). Some can have more devices, but the kernel does not show this.
                  type: int
                  returned: always
                  sample: 2
                description:
                  description: The description of the type. V(null) if it has none.
                  type: str
                  returned: always
                  sample: "fence: 4, resolution: 1920x1200"
                resources:
                  description:
                    - The resources of the parent that a device of the type takes, from the description of the type.
                    - For GVT-g, C(low_gm_size) and C(high_gm_size), graphics memory in MiB, and C(fence).
                  type: dict
                  returned: for types of i915 with such a description
                  sample:
                    low_gm_size: 128
                    high_gm_size: 512
                    fence: 4
                max_instance:
                  description: How many devices of the type a card can have.
                  type: int
                  returned: where the description states it
                  sample: 4
                framebuffer:
                  description: The frame buffer of a device of the type, in MiB.
                  type: int
                  returned: where the description states it
                  sample: 12288
            supported_classes:
              description: The classes of vDPA devices that can be created on the management device.
              type: list
              elements: str
              returned: for management devices
              sample:
                - net
            max_supported_vqs:
              description: How many virtqueues a device can have. V(null) if the kernel does not show it.
              type: int
              returned: for management devices
              sample: 17
            dev_features:
              description: The names of the virtio features with which a device can be provisioned. C(bit_<number>) for a feature without a name.
              type: list
              elements: str
              returned: for management devices
              sample:
                - MTU
                - MAC
                - MQ
                - VERSION_1
                - ACCESS_PLATFORM
            dev_features_mask:
              description: The same features as a mask. V(null) if the kernel does not show it. Linux does so from 5.18 on.
              type: str
              returned: for management devices
              sample: "0x300400028"
        problems:
          description: Files and directories that the module could not read, or that break a rule of the descriptor's form.
          type: list
          elements: dict
          returned: always
          contains:
            path:
              description: The file or directory.
              type: str
              returned: always
              sample: /sys/bus/mdev/devices/882cc4da-dede-11e7-9180-078a62063ab1/migration/self
            problem:
              description: What is wrong, and what was expected.
              type: str
              returned: always
              sample: "line 3 has no '=': 'type'; expected name=value"
        nvidia:
          description:
            - What NVIDIA's management library C(libnvidia-ml.so.1) reports. A separate process calls the library, and is terminated after O(timeout)
              seconds.
            - The values that decide where a device can go are also in C(configuration) of descriptors and parents.
          type: dict
          returned: on a host that has the library and devices of NVIDIA's driver, not for a copied tree
          contains:
            driver:
              description: The version of the host's driver.
              type: str
              returned: always
              sample: 550.90.05
            gpus:
              description:
                - The GPUs, each with its PCI address C(id), C(ecc), C(mig), C(virtualization) mode, C(host_mode), C(capabilities), C(vgpu_versions), which
                  are the lowest and highest version that its host accepts, and C(metadata) for M(vfio.migration.vgpu_compatibility).
                - V(null) for values that the library does not report.
              type: list
              elements: dict
              returned: always
            vgpus:
              description:
                - The active vGPUs, each with the UUID of its mdev as C(id), the address of its C(gpu), the guest's C(vm), the C(guest_driver), the
                  C(vgpu_version) that host and guest have negotiated, and C(metadata) for M(vfio.migration.vgpu_compatibility).
                - V(null) for values that the library does not report.
              type: list
              elements: dict
              returned: always
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.identifiers import KINDS
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.printable import printable
from ansible_collections.vfio.migration.plugins.module_utils._host import processes
from ansible_collections.vfio.migration.plugins.module_utils._host.facts import gather_facts
from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import Sysfs


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "sysfs": {"type": "path", "default": "/sys"},
            "timeout": {"type": "int", "default": 30},
            "kinds": {
                "type": "list",
                "elements": "str",
                "choices": list(KINDS),
                "default": list(KINDS),
            },
        },
        supports_check_mode=True,
    )
    sysfs = Sysfs(module.params["sysfs"])
    if not sysfs.exists():
        module.fail_json(msg=printable(f"there is no sysfs at {sysfs.path()}"))
    scan_holders = processes.scan if sysfs.live else processes.unknown
    facts = gather_facts(
        sysfs, scan_holders, module.params["kinds"], seconds=module.params["timeout"]
    )
    module.exit_json(changed=False, ansible_facts={"vfio_migration": facts})


if __name__ == "__main__":
    main()
