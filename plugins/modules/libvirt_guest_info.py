#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: libvirt_guest_info
short_description: Gather what libvirt knows of a host's guests with assigned devices
version_added: 0.1.0
description:
  - Gathers the running guests of a host that have VFIO or vDPA devices, with what decides where they can migrate to,
    and what the host has for guests of other hosts.
  - Asks libvirt through its own Python binding. QEMU itself is asked only with O(blocked_reasons).
  - What goes wrong with one guest is listed under RV(problems), with its name, and costs no other. A guest that cannot be read runs all the same, and is
    among RV(others).
  - What the host has is asked before its guests. Where a guest hangs, libvirt may be silent on what it does with it, and QEMU on what blocks it. Then no
    other guest is asked about for the former, and each has two seconds for the latter.
author:
  - vfio.migration contributors (@vfio-migration)
requirements:
  - The Python binding of libvirt, the package C(python3-libvirt) of Debian, Fedora and their kin, for the interpreter that runs the module.
notes:
  - There are no secrets in the result. Libvirt is asked for domains without their passwords, and of a domain only what is listed here is returned.
    With O(definitions) that is all of it, with what C(<qemu:commandline>) has.
  - Of guests that do not run no more is listed than RV(defined).
  - Libvirt needs root rights, or those of the group C(libvirt).
extends_documentation_fragment:
  - vfio.migration._attributes
  - vfio.migration._attributes.actiongroup_vfio
attributes:
  check_mode:
    support: full
    details:
      - The module does the same in check mode. O(blocked_reasons) marks the guest then, too.
  diff_mode:
    support: N/A
  idempotent:
    support: full
options:
  uri:
    description: Where libvirt is. The host's memory, files and network devices are those of the host on which the module runs.
    type: str
    default: qemu:///system
  guests:
    description: The names or UUIDs of the guests to gather. All of them, if this is left out.
    type: list
    elements: str
  blocked_reasons:
    description:
      - Whether to ask QEMU why it would not migrate these guests, with C(query-migrate).
      - This command changes nothing, but libvirt passes it on as it is, and from then on calls the guest B(tainted), with a line in its log and the message
        C(custom monitor control commands issued) in C(virsh dominfo). The mark has no effect on the guest, and ends when the guest ends or migrates.
        It shows those who support libvirt that somebody has spoken with QEMU past it.
      - Nothing else gives these reasons beforehand. Without the mark, libvirt itself asks for them when a migration begins, and fails it if there are some.
    type: bool
    default: false
  without_devices:
    description:
      - Whether to gather guests without assigned devices like those that have some. They are then among RV(guests), and not among RV(others).
      - With O(blocked_reasons), QEMU of these is asked as well.
    type: bool
    default: false
  named:
    description: Names or UUIDs of guests that are gathered so though they have no assigned devices. O(without_devices) does that to all of them.
    type: list
    elements: str
    default: []
  definitions:
    description: Whether to return the XML of these guests, too, as C(virsh dumpxml) shows it, without passwords.
    type: bool
    default: false
  arriving:
    description:
      - Guests of other hosts, 4096 at most, each as RV(guests) has it on its host. This host is then to say whether it lacks something for them.
      - Each of them has its share of the time. What has not shown by then is no problem, and V(unknown) or under C(unknown) in RV(arriving).
      - C(name) and C(uuid) are needed. Of what else there is, C(arch), C(machine), C(virt_type), C(emulator), C(loader), C(cpu) and
        C(disks) are read.
    type: list
    elements: dict
    default: []
  peers:
    description: URIs of the libvirt of other hosts, 64 at most. This host is to say which of them it does not reach, as for a migration.
    type: list
    elements: str
    default: []
  timeout:
    description: For how long to ask libvirt, in seconds. What has not been answered by then is listed under RV(problems).
    type: int
    default: 120
  sysfs:
    description:
      - The sysfs tree, as in the other modules of the action group. Only V(/sys) is possible, as the module asks the host's libvirt.
      - Another one is an error, so that nothing of the running host is taken for part of a copied tree.
    type: path
    default: /sys
seealso:
  - module: vfio.migration.vfio_migration_facts
  - module: community.libvirt.virt
  - ref: ansible_collections.vfio.migration.docsite.migration_guide
    description: What is checked with this before guests migrate.
"""

EXAMPLES = r"""
- name: Gather the guests with assigned devices
  vfio.migration.libvirt_guest_info:
  register: libvirt

- name: Show those that could be moved without a restart of libvirt's guests
  ansible.builtin.debug:
    msg: "{{ libvirt.guests | map(attribute='name') }}"

- name: Ask QEMU whether a guest could migrate, and let libvirt mark the guest as tainted
  vfio.migration.libvirt_guest_info:
    guests: [vm-17]
    blocked_reasons: true
  register: asked

- name: Fail if it could not
  ansible.builtin.assert:
    that: not item.blocked_reasons
    fail_msg: "{{ item.name }}: {{ item.blocked_reasons }}"
  loop: "{{ asked.guests }}"

- name: Ask another host whether it lacks something for the guest
  vfio.migration.libvirt_guest_info:
    guests: []
    arriving: "{{ asked.guests }}"
  delegate_to: hv2
  register: there

- name: Find out whether this host reaches the libvirt of another one
  vfio.migration.libvirt_guest_info:
    guests: []
    peers: ["qemu+ssh://root@hv2/system"]
  register: reached
"""

RETURN = r"""
guests:
  description: The running guests that have VFIO or vDPA devices, by name.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The name.
      type: str
      returned: always
      sample: vm-17
    uuid:
      description: The UUID.
      type: str
      returned: always
      sample: 6c8a2f0e-1f0a-4c63-9f55-0d3c1a8e2b11
    state:
      description: The state, V(running) or V(paused) for instance, as the constants of libvirt have it.
      type: str
      returned: always
      sample: running
    persistent:
      description: Whether libvirt has a definition of it, which outlives the guest.
      type: bool
      returned: always
    autostart:
      description: Whether it starts with its host.
      type: bool
      returned: always
    log:
      description: Where libvirt puts what QEMU says.
      type: str
      returned: always
      sample: /var/log/libvirt/qemu/vm-17.log
    blocked_reasons:
      description: Why QEMU would not migrate it, in QEMU's words, V(null) where QEMU was not asked or did not say.
      type: list
      elements: str
      returned: always
      sample: ["882cc4da-dede-11e7-9180-078a62063ab1: VFIO device doesn't support device and IOMMU dirty tracking"]
    definitions:
      description: The XML of what runs as C(active), and of what it starts from as C(persistent), if there is that. V(null) without O(definitions).
      type: dict
      returned: always
    virt_type:
      description: How it is run.
      type: str
      returned: always
      sample: kvm
    arch:
      description: The architecture.
      type: str
      returned: always
      sample: x86_64
    machine:
      description: The machine type.
      type: str
      returned: always
      sample: pc-q35-10.0
    emulator:
      description: The path of the emulator.
      type: str
      returned: always
      sample: /usr/bin/qemu-system-x86_64
    loader:
      description: The path of its firmware, V(null) where it has none of its own.
      type: str
      returned: always
      sample: /usr/share/OVMF/OVMF_CODE_4M.fd
    cpu:
      description: The CPU that it sees, C(mode), C(match), C(check), C(model), C(vendor) and C(features) as libvirt's domain XML has them.
      type: dict
      returned: always
      sample:
        mode: custom
        match: exact
        check: full
        model: Skylake-Server-IBRS
        vendor: Intel
        features:
          - name: ss
            policy: require
    memory:
      description: The memory that it may have, in KiB.
      type: int
      returned: always
      sample: 4194304
    huge_pages:
      description: The sizes of its huge pages in KiB, an empty list for those that are the host's default, V(null) where it has none.
      type: list
      elements: int
      returned: always
      sample: [1048576]
    devices:
      description: The devices, C(kind) and C(id) as in the facts of M(vfio.migration.vfio_migration_facts); of a vDPA device C(id) is the path of its node.
      type: list
      elements: dict
      returned: always
      sample:
        - kind: mdev
          id: 882cc4da-dede-11e7-9180-078a62063ab1
    iommu:
      description: The model of its virtual IOMMU, V(null) where it has none.
      type: str
      returned: always
      sample: intel
    iommufd:
      description: Whether it has devices through IOMMUFD.
      type: bool
      returned: always
    disks:
      description:
        - The disks, C(target), C(type), C(source), C(readonly), C(shareable) and C(cache) as libvirt's domain XML has them.
        - C(shared) is V(false) for a file on a file system that is on one host alone, V(true) for one on a shared one, V(null) where that cannot be said.
        - C(backing) are the files that it is an overlay of, the nearest first.
      type: list
      elements: dict
      returned: always
      sample:
        - target: vda
          type: file
          source: /srv/nfs/vm-17.qcow2
          readonly: false
          shareable: false
          cache: none
          shared: true
          backing: [/srv/nfs/debian.qcow2]
    networks:
      description: The networks of libvirt that it is connected to.
      type: list
      elements: str
      returned: always
      sample: [tenants]
    links:
      description: The host's own network devices that it is connected to, bridges and those of direct attachment.
      type: list
      elements: str
      returned: always
      sample: [br0]
    pools:
      description: The storage pools of libvirt that its disks are in.
      type: list
      elements: str
      returned: always
      sample: [images]
    obstacles:
      description:
        - What libvirt refuses to migrate it with. C(kind) is V(snapshots), V(hostdev), V(shmem), V(transient_disk), V(block_job) or
          V(job). C(name) is their number, the type of the C(<hostdev>), the name of the device, or what libvirt does with the guest already, such as
          V(migration out), or V(migration in) for one that is not here yet.
        - A block job shows where it copies or commits a disk.
      type: list
      elements: dict
      returned: always
      sample:
        - kind: snapshots
          name: "2"
others:
  description: Names and UUIDs of the other guests that run. Of those with such devices they are what O(guests) leaves out, of those without what O(guests),
    O(without_devices) and O(named) leave out. One that cannot be read is here as well, and among RV(problems).
  returned: success
  type: list
  elements: dict
  sample:
    - name: vm-18
      uuid: 0b2f6a51-7f0e-4b53-b3a5-6d0e1a7c9f00
defined:
  description: Names and UUIDs of the guests that are defined and do not run, V(null) where libvirt does not say.
  returned: success
  type: list
  elements: dict
  sample:
    - name: vm-19
      uuid: 5d3b1c70-2a84-4a6b-8a55-6a0f1c2d3e44
arriving:
  description: What this host lacks for the guests of O(arriving), in their order.
  returned: success
  type: list
  elements: dict
  contains:
    uuid:
      description: The UUID of the guest.
      type: str
      returned: always
      sample: 6c8a2f0e-1f0a-4c63-9f55-0d3c1a8e2b11
    cpu:
      description:
        - How the CPU that the hypervisor can give compares with that of the guest, V(identical), V(superset) or V(incompatible), as
          C(virsh hypervisor-cpu-compare) says.
        - V(unknown) where libvirt does not say, or did not in time.
        - V(null) where that cannot be said, as for a guest that sees the CPU of its host.
      type: str
      returned: always
      sample: superset
    cpu_problem:
      description: Why libvirt cannot compare the CPU, such as an unknown model; V(null) where it could, or need not.
      type: str
      returned: always
    missing:
      description: The files of its disks and of what these are overlays of, its emulator and its firmware, as far as they are not here.
      type: list
      elements: str
      returned: always
      sample: [/srv/nfs/vm-17.qcow2]
    unknown:
      description: Those of which it is not known whether they are here, as a server is silent, or the time was over.
      type: list
      elements: str
      returned: always
      sample: [/srv/silent/vm-17.qcow2]
peers:
  description: The C(uri) of each of O(peers), and the C(problem), why this host does not reach it; V(null) where it does.
  returned: success
  type: list
  elements: dict
  sample:
    - uri: qemu+ssh://root@hv2/system
      problem: "Cannot recv data: Host key verification failed."
versions:
  description: The versions of libvirt and QEMU, each V(null) where libvirt does not say.
  returned: success
  type: dict
  sample:
    libvirt: 11.3.0
    qemu: 10.0.2
host:
  description: What the host has for guests.
  returned: success
  type: dict
  contains:
    arch:
      description: The architecture of the host.
      type: str
      returned: always
      sample: x86_64
    cpu:
      description: The CPU of the host, C(model) and C(vendor), as libvirt knows it.
      type: dict
      returned: always
      sample:
        model: Skylake-Server-IBRS
        vendor: Intel
    machines:
      description: The machine types that its emulators have, by architecture.
      type: dict
      returned: always
      sample:
        x86_64: [pc, pc-i440fx-10.0, pc-q35-10.0, q35]
    memory:
      description:
        - The memory that can be had without swapping as C(free), the default size of huge pages as C(default_huge_page), and for each C(size) of
          C(huge_pages) how much is C(free). All in KiB.
      type: dict
      returned: always
      sample:
        free: 201326592
        default_huge_page: 2048
        huge_pages:
          - size: 1048576
            free: 67108864
    networks:
      description: The networks of libvirt that are active, V(null) where libvirt does not say.
      type: list
      elements: str
      returned: always
      sample: [default, tenants]
    pools:
      description: The storage pools of libvirt that are active, V(null) where libvirt does not say.
      type: list
      elements: str
      returned: always
      sample: [images]
    links:
      description: The network devices, V(null) where there are more than 8192 of them.
      type: list
      elements: str
      returned: always
      sample: [br0, eno1, lo]
    iommufd:
      description: Whether there is C(/dev/iommu).
      type: bool
      returned: always
    tls:
      description:
        - The C(directory) of the certificates with which QEMU encrypts migrations, by C(/etc/libvirt/qemu.conf), and whether there is what a
          C(client) needs that sends guests, and a C(server) that receives them.
      type: dict
      returned: always
      sample:
        directory: /etc/pki/qemu
        client: true
        server: true
problems:
  description: What could not be read, C(problem), and of which guest, C(guest), V(null) for the host itself.
  returned: success
  type: list
  elements: dict
  sample:
    - guest: vm-19
      problem: "its domain cannot be read: there is no answer within 45 s"
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.printable import printable
from ansible_collections.vfio.migration.plugins.module_utils._host.arriving import arriving_guests
from ansible_collections.vfio.migration.plugins.module_utils._host.libvirt_binding import (
    DEFAULT_URI,
    LibvirtError,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.libvirt_guests import (
    MOST_PEERS,
    Asking,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import why_not_live


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "uri": {"type": "str", "default": DEFAULT_URI},
            "guests": {"type": "list", "elements": "str"},
            "blocked_reasons": {"type": "bool", "default": False},
            "without_devices": {"type": "bool", "default": False},
            "named": {"type": "list", "elements": "str", "default": []},
            "definitions": {"type": "bool", "default": False},
            "arriving": {"type": "list", "elements": "dict", "default": []},
            "peers": {"type": "list", "elements": "str", "default": []},
            "timeout": {"type": "int", "default": 120},
            "sysfs": {"type": "path", "default": "/sys"},
        },
        supports_check_mode=True,
    )
    options = module.params
    why = why_not_live(options["sysfs"])
    if why is not None:
        module.fail_json(msg=printable(why))
    if options["timeout"] < 1:
        module.fail_json(msg=f"timeout is {options['timeout']}; expected seconds, 1 at least")
    try:
        arriving = arriving_guests(options["arriving"])
        if len(options["peers"]) > MOST_PEERS:
            raise LibvirtError(
                f"peers: {MOST_PEERS} URIs at most, and there are {len(options['peers'])}"
            )
        asking = Asking(options["uri"], options["timeout"])
        # A guest that hangs takes no time from what is asked of the host.
        running = asking.running()
        about = {
            "defined": asking.defined(),
            "versions": asking.versions(),
            "host": asking.host(),
        }
        guests, others = asking.guests(
            running,
            options["guests"],
            options["blocked_reasons"],
            options["without_devices"],
            frozenset(options["named"]),
            options["definitions"],
        )
        module.exit_json(
            changed=False,
            guests=guests,
            others=others,
            peers=asking.peers(options["peers"]),
            # Nor does what others have named to look for.
            arriving=asking.arriving(arriving),
            problems=asking.problems,
            **about,
        )
    except LibvirtError as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
