#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: vfio_migration_facts
short_description: Gather what decides whether VFIO and vDPA devices can be live-migrated
version_added: 0.1.0
description:
  - Gathers a host's VFIO devices, that is mediated devices (mdev) and physical PCI devices, and its vDPA devices, with their
    migration descriptors, and the parents that further mediated and vDPA devices can be created on.
  - A device's descriptor says what the device is (C(self)) and which devices it can be migrated to (C(compatible)). It is read from
    the device's C(migration) directory, in either form of the proposal
    "device compatibility interface for live migration with assigned devices". For drivers that do not speak the proposal it is
    derived from what the kernel shows of every device; its C(compatible) then accepts only an equal device with a
    C(software_version) that can serve it. For vfio_ccw it has C(subchannel_type) and C(chpid_type) too, for vfio_ap C(adapters)
    and C(domains), for mediated devices of NVIDIA C(type_name) and C(subsystem_id), for functions of Intel QAT C(cfg_services). The ECC mode,
    which NVIDIA wants to be equal as well, is not in sysfs.
  - The descriptor of a vDPA device is derived from what the kernel shows over netlink, as the tool C(vdpa) does. Its C(self)
    has the features that the device offers, each as an attribute C(feature_<name>) with the value C(offered), and the configuration
    that a guest sees. Its C(compatible) asks for the same configuration, and of the features for those that the guest has accepted,
    or for all if no guest has accepted any yet. Devices with more features, and of other vendors, are compatible too.
  - A physical PCI device is reported if it is bound to a VFIO driver or has a C(migration) directory.
  - Facts never fail because one device is odd. What cannot be read or breaks a rule is listed under C(problems).
author:
  - vfio.migration contributors (@vfio-migration)
notes:
  - Without root rights, devices that only root may read about are incomplete, with an entry under C(problems), and whether a device
    is in use or supports migration is mostly unknown.
  - vDPA devices are those of the running kernel. Of a copied or simulated tree there are none.
  - Only mediated devices show attributes that lie in their own directory. For physical PCI devices, whose own directory belongs to
    the kernel's PCI core, only those in attribute groups (subdirectories such as C(nvidia)) are reported.
extends_documentation_fragment:
  - vfio.migration._attributes
  - vfio.migration._attributes.facts
  - vfio.migration._attributes.facts_module
  - vfio.migration._attributes.actiongroup_vfio
options:
  sysfs:
    description:
      - The sysfs tree to read.
      - In another tree than C(/sys), links are followed as if the tree was C(/sys), so that none leads out of it, and nothing but regular
        files and directories is opened.
      - The playbook C(vfio.migration.capture) makes copies of hosts' trees, with which devices, parents and descriptors are the same
        as the host's, byte for byte. A copied or simulated tree lacks what is not in sysfs, that is, which process holds a device,
        vDPA devices, and whether devlink lets a function migrate.
    type: path
    default: /sys
  timeout:
    description: For how many seconds NVIDIA's library may be asked, on a host that has it. Nothing else waits.
    type: int
    default: 30
  kinds:
    description:
      - The kinds of devices to gather.
      - V(mdev) are mediated devices and their parents, V(pci) are physical PCI devices, V(vdpa) are vDPA devices and their management
        devices.
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
    description: The exact shape of the facts, for programs.
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
  description: The facts, all under one key.
  returned: always
  type: dict
  contains:
    vfio_migration:
      description:
        - The host's VFIO and vDPA devices. Lists are sorted by C(id); the same tree gives the same facts, byte for byte,
          but for RV(ansible_facts.vfio_migration.gathered).
      type: dict
      returned: always
      contains:
        schema:
          description: The version of this structure.
          type: int
          returned: always
          sample: 1
        gathered:
          description: When the facts were gathered, by the host's own clock, and in which of its boots.
          type: dict
          returned: always
          contains:
            time:
              description: The time before the first look, in UTC. Of a copied tree it is the time at which the copy was read.
              type: str
              returned: always
              sample: "2026-11-26T17:20:00Z"
            boot:
              description: The kernel's id of the boot, V(null) for a copied tree, which is of no boot that is known.
              type: str
              returned: always
              sample: 4f6d0c1e-8a7b-4a0e-9c46-2f0f2d3f8f55
        descriptors:
          description:
            - The distinct descriptors of the host, each once. The key is what RV(ansible_facts.vfio_migration.devices[].descriptor)
              refers to, 32 hex digits of the SHA-256 over the canonical JSON of C(self), C(compatible) and C(configuration)
              if there is one.
          type: dict
          returned: always
          contains:
            origin:
              description:
                - Where the descriptor is from. V(directory) and V(file) are the two forms of the proposal, one file per attribute and
                  one file with a line per attribute; V(derived) is made of what the kernel shows of every device.
              type: str
              returned: always
              sample: file
            self:
              description: What the device is, attribute name to value.
              type: dict
              returned: always
              sample:
                aggregator: "2"
                device_api: vfio-pci
                pci_id: "80865963"
                software_version: 0.1.0
                type: i915-GVTg_V5_4
            compatible:
              description: The patterns of attributes of the devices it can be migrated to; matching one of them is enough.
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
                - What a guest sees of the configuration space of a PCI function, as far as QEMU compares it, by name. All but the first 64 bytes
                  of it can only be read by root.
                - What a guest may write is shown of a function that nobody holds.
                - Of a device on an NVIDIA GPU, what RV(ansible_facts.vfio_migration.nvidia) has that decides.
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
              description: The UUID of a mediated device, the address of a PCI device, the name of a vDPA device.
              type: str
              returned: always
              sample: 882cc4da-dede-11e7-9180-078a62063ab1
            parent:
              description:
                - The name of a mediated device's parent, the address of a virtual function's physical function, the name of a vDPA
                  device's management device, V(null) for another physical device.
              type: str
              returned: always
              sample: "0000:00:02.0"
            type:
              description:
                - The type of a mediated device. For a physical device the C(type) of its own descriptor, else a signature of its
                  PCI ids, C(pci-<vendor><device>-<subsystem vendor><subsystem device>). The class of a vDPA device, V(net) or
                  V(block).
              type: str
              returned: always
              sample: i915-GVTg_V5_4
            descriptor:
              description: The key of the device's descriptor, V(null) if that is unreadable or malformed.
              type: str
              returned: always
              sample: 9f86d081884c7d659a2feaa0c55ad015
            attributes:
              description:
                - The attributes that can be configured on the device, and be read, in the order of their names.
                - Of a vDPA device those that it was provisioned with, V(mac), V(mtu), V(max_vqp) and V(device_features), the last one
                  a mask; those that its features leave out are missing.
              type: list
              elements: dict
              returned: always
              contains:
                name:
                  description: The attribute's file, as C(name) or C(group/name), or the name that the tool C(vdpa) has for it.
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
                    - The values that the attribute takes now, where the device is of no use before it has one. That one function of a
                      card is given a value may take it away from the others.
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
              description: The NUMA node of the device, or of its parent; V(null) if there is none.
              type: int
              returned: always
              sample: 0
            iommu_group:
              description: The number of the device's IOMMU group, V(null) if it is in none.
              type: int
              returned: always
              sample: 7
            driver:
              description: The driver that the device is bound to, V(null) if it is bound to none.
              type: str
              returned: always
              sample: intel_vgpu_mdev
            in_use:
              description:
                - The process that holds the device, V(null) if none does. A process holds a device whose node it has open, which is known
                  by the node's device number, not by its path.
                - Where it is unknown, because not every process can be looked at or the tree is a copy, the holder is there and
                  all its values are V(null).
              type: dict
              returned: always
              contains:
                pid:
                  description: The id of the process.
                  type: int
                  returned: always
                  sample: 4711
                name:
                  description: The name of the guest, if the process is QEMU with a named guest, else that of the command.
                  type: str
                  returned: always
                  sample: vm-17
                uuid:
                  description: The UUID of the guest, as QEMU's command line has it. Guests of one name differ by it.
                  type: str
                  returned: if the process has one
                  sample: c7e0ae6a-2f1b-4c54-9f0b-6f2a3c7d1e55
            migration:
              description:
                - What is known about the device's ability to migrate. The kernel shows it to root, from Linux 6.8 on, in debugfs;
                  where it does not, the driver may be known.
              type: dict
              returned: always
              contains:
                supported:
                  description:
                    - Whether the device can migrate as far as the driver is concerned, V(null) if that is unknown, also where
                      the driver needs more than this host shows; then C(evidence) says what.
                    - V(false) also where QEMU migrates no such device, as those of vfio-ccw and vfio-ap,
                      where no guest can have the device, as the host itself uses others of its IOMMU group, and where
                      C(devlink) shows that a virtual function of C(mlx5_vfio_pci) was not made migratable. V(true) where
                      C(devlink) shows that it was.
                  type: bool
                  returned: always
                  sample: true
                evidence:
                  description:
                    - How that is known, for people. V(debugfs) if the kernel says so, V(unknown) if it is unknown, else what is
                      known of the driver or stands in the way. Where the kernel says that the device cannot migrate, what
                      would let it follows after V(debugfs), as far as that is known.
                  type: str
                  returned: always
                  sample: driver hisi_acc_vfio_pci is known to support it
                features:
                  description: The migration features of the driver, which the kernel shows from Linux 6.18 on.
                  type: list
                  elements: str
                  returned: always
                  sample:
                    - stop-copy
                    - p2p
                state:
                  description: The migration state of the device, V(null) if that is unknown.
                  type: str
                  returned: always
                  sample: RUNNING
            network:
              description:
                - What is set of a virtual function of a network card through its physical function, as C(ip link) shows it.
                  What the driver of the physical function does not show is missing.
                - Nothing of this is compared. A plan gives it to the target, as far as that shows what it has.
              type: dict
              returned: for a virtual function whose physical function has a network interface that shows it
              contains:
                mac:
                  description: Its MAC address, zeros where it was given none.
                  type: str
                  returned: always
                  sample: "52:54:00:12:34:56"
                vlan:
                  description: The VLAN that its frames are put into, V(0) for none.
                  type: int
                  returned: where the driver shows it
                  sample: 100
                qos:
                  description: The priority in the VLAN's tag.
                  type: int
                  returned: where the driver shows it
                  sample: 0
                proto:
                  description: The protocol of the VLAN's tag, V(802.1Q) or V(802.1ad).
                  type: str
                  returned: where the driver shows it
                  sample: 802.1Q
                spoofchk:
                  description: Whether frames with another sender's address are dropped.
                  type: bool
                  returned: where the driver shows it
                  sample: true
                trust:
                  description: Whether the guest may do what affects other functions, such as the promiscuous mode.
                  type: bool
                  returned: where the driver shows it
                  sample: false
                min_tx_rate:
                  description: The rate in Mbit/s at which it may always send, V(0) for none.
                  type: int
                  returned: where the driver shows it
                  sample: 0
                max_tx_rate:
                  description: The rate in Mbit/s at which it may send at most, V(0) for no limit.
                  type: int
                  returned: where the driver shows it
                  sample: 1000
                link_state:
                  description: Whether its link is up, V(auto) as the card's, V(enable) always, or V(disable) never.
                  type: str
                  returned: where the driver shows it
                  sample: auto
        parents:
          description: The devices that mediated devices and vDPA devices can be created on.
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
              description: The name of the parent. Of a management device C(bus/device) or C(device), as in C(vdpa mgmtdev show).
              type: str
              returned: always
              sample: "0000:00:02.0"
            driver:
              description:
                - What the kernel calls the parent's driver, as it is in the names of its types. For a parent that is bound to no driver
                  this is its bus or class, for one without a bus V(null).
              type: str
              returned: always
              sample: i915
            pci_id:
              description: The vendor and device id of a PCI device, V(null) for another parent.
              type: str
              returned: always
              sample: "80865963"
            physical_function:
              description: The physical function of the card whose virtual function the parent is, and whose memory it shares with the others.
              type: str
              returned: for a parent that is a virtual function
              sample: "0000:41:00.0"
            self:
              description:
                - The attributes that a device made there has of the parent in its own C(self), as far as the host shows them.
                - For vfio_ap it is from what those follow. C(features) are the driver's, empty before Linux 6.10. Where it can migrate,
                  C(cards) has the upper byte of C(ap_functions), the class and the C(hwtype) of the host's cards, each with the
                  adapters that have these, and C(host_control_domains) has the host's control domains.
              type: dict
              returned: for a parent whose driver is known to give any
              sample: {"subsystem_id": "10de1533"}
            numa_node:
              description: The NUMA node of the parent, V(null) if there is none.
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
                  description: The type's name for people, V(null) if it has none.
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
                    - How many more can be created now. The types of one parent usually share what there is.
                    - V(1) for a management device that has no device yet, else V(0). Some can make more, which the kernel does not show.
                  type: int
                  returned: always
                  sample: 2
                description:
                  description: The type's description, V(null) if it has none.
                  type: str
                  returned: always
                  sample: "fence: 4, resolution: 1920x1200"
                resources:
                  description:
                    - What a device of the type takes of its parent, where the description says so.
                    - Of GVT-g C(low_gm_size) and C(high_gm_size), graphics memory in MiB, and C(fence).
                  type: dict
                  returned: for types of i915 with such a description
                  sample:
                    low_gm_size: 128
                    high_gm_size: 512
                    fence: 4
                max_instance:
                  description: How many of the type one card holds.
                  type: int
                  returned: where the description states it
                  sample: 4
                framebuffer:
                  description: The frame buffer of each in MiB.
                  type: int
                  returned: where the description states it
                  sample: 12288
            supported_classes:
              description: The classes of vDPA devices that can be created.
              type: list
              elements: str
              returned: for management devices
              sample:
                - net
            max_supported_vqs:
              description: How many virtqueues a device can have there, V(null) if the kernel does not show it.
              type: int
              returned: for management devices
              sample: 17
            dev_features:
              description: The virtio features that a device can be provisioned with there, by name, C(bit_<number>) for one without a name.
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
              description: The same features as a mask, V(null) if the kernel does not show it, as before Linux 5.18.
              type: str
              returned: for management devices
              sample: "0x300400028"
        problems:
          description: What could not be read, or breaks a rule of the descriptor's form.
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
              description: What is wrong with it and what would be right.
              type: str
              returned: always
              sample: "line 3 has no '=': 'type'; expected name=value"
        nvidia:
          description:
            - What NVIDIA's management library C(libnvidia-ml.so.1) reports. A separate process calls it, and is ended after O(timeout) seconds.
            - What of this decides where a device may go is in C(configuration) of descriptors and parents, too.
          type: dict
          returned: on a host that has the library and devices of NVIDIA's driver, not of a copied tree
          contains:
            driver:
              description: The version of the host's driver.
              type: str
              returned: always
              sample: 550.90.05
            gpus:
              description:
                - The GPUs, each with its PCI address C(id), C(ecc), C(mig), its C(virtualization) mode, C(host_mode), C(capabilities),
                  the lowest and highest of the C(vgpu_versions) that its host takes, and its C(metadata) for M(vfio.migration.vgpu_compatibility).
                - What the library does not report is V(null).
              type: list
              elements: dict
              returned: always
            vgpus:
              description:
                - The vGPUs at work, each with its mdev's UUID C(id), the address of its C(gpu), the guest's C(vm), the C(guest_driver), the
                  C(vgpu_version) that host and guest have agreed on, and its C(metadata) for M(vfio.migration.vgpu_compatibility).
                - What the library does not report is V(null).
              type: list
              elements: dict
              returned: always
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.printable import printable
from ansible_collections.vfio.migration.plugins.module_utils._host import processes
from ansible_collections.vfio.migration.plugins.module_utils._host.facts import KINDS, gather_facts
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
