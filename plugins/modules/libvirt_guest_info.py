#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: libvirt_guest_info
short_description: Gather information on a host's libvirt guests with assigned devices
version_added: 0.1.0
description:
  - Returns the running guests of a host that have VFIO or vDPA devices, with the properties that decide where they can migrate to.
  - Also returns what the host offers to guests of other hosts, such as memory, machine types and networks.
  - Queries libvirt through its Python binding. QEMU itself is queried only with O(blocked_reasons).
  - If something fails for one guest, RV(problems) lists it with the name of the guest, and the results for other guests are not affected. If the module
    cannot read a running guest, RV(others) lists that guest.
  - The module queries the host before the guests, so a guest that hangs does not delay the results for the host.
  - If the query for the job or the blocked reasons of one guest times out, the module no longer queries other guests for jobs, which RV(guests[].job_known)
    shows, and waits at most two seconds for the blocked reasons of each.
author:
  - vfio.migration contributors (@vfio-migration)
requirements:
  - The Python binding of libvirt for the interpreter that runs the module, such as the package C(python3-libvirt) of Debian and Fedora.
notes:
  - The module reads domains without their passwords, and returns only the values that are documented here.
  - With O(definitions), the result has the whole XML of the domains, including C(<qemu:commandline>), where passwords may be.
  - For guests that are not running, the module returns only names and UUIDs, as RV(defined).
  - Access to libvirt requires root or the group C(libvirt).
extends_documentation_fragment:
  - vfio.migration._attributes
  - vfio.migration._attributes.actiongroup_vfio
attributes:
  check_mode:
    support: full
    details:
      - The module does the same in check mode. With O(blocked_reasons), libvirt marks the guest as tainted in check mode, too.
  diff_mode:
    support: N/A
  idempotent:
    support: full
options:
  uri:
    description: The URI of libvirt. RV(host) and RV(arriving) have the memory, files and network devices of the host on which the module runs.
    type: str
    default: qemu:///system
  guests:
    description: The names or UUIDs of the guests to gather. By default, all guests.
    type: list
    elements: str
  blocked_reasons:
    description:
      - Whether to ask QEMU with C(query-migrate) why it would not migrate these guests.
      - The command changes nothing. However, libvirt marks a guest as B(tainted) when it passes a monitor command on to QEMU. It writes a line to its log,
        and C(virsh dominfo) shows C(custom monitor control commands issued).
      - The mark has no effect on the guest, and disappears when the guest stops or migrates. It informs the support for libvirt that a client has sent
        commands to QEMU directly.
      - There is no other source for these reasons before a migration. When a migration begins, libvirt queries QEMU itself without the mark, and the
        migration fails if there are reasons.
    type: bool
    default: false
  without_devices:
    description:
      - Whether to gather guests without assigned devices, too. RV(guests) then lists them instead of RV(others).
      - With O(blocked_reasons), this queries QEMU for these guests as well.
    type: bool
    default: false
  named:
    description: Names or UUIDs of guests to gather even if they have no assigned devices. O(without_devices) gathers all such guests.
    type: list
    elements: str
    default: []
  definitions:
    description: Whether to return the XML of these guests, as C(virsh dumpxml) shows it without C(--security-info).
    type: bool
    default: false
  arriving:
    description:
      - Guests of other hosts, 4096 at most, each as the module returns it in RV(guests) on its host. RV(arriving) lists what this host lacks for them.
      - The module divides the time that is left equally among them. A check that has not finished by then is not a problem. The CPU is then V(unknown),
        and files are in C(unknown) of RV(arriving).
      - C(uuid) is required. The module also reads C(arch), C(machine), C(virt_type), C(emulator), C(loader), C(boot_files), C(cpu), and the C(type)
        and C(source) of C(disks).
      - The module does not check C(backing) of disks. To check these files, add them to C(disks).
    type: list
    elements: dict
    default: []
  peers:
    description: URIs of libvirt on other hosts, 64 at most. RV(peers) shows which of them this host cannot connect to.
    type: list
    elements: str
    default: []
  timeout:
    description: How many seconds the queries to libvirt can take in total. RV(problems) lists queries without an answer by then.
    type: int
    default: 120
  sysfs:
    description:
      - The sysfs tree, as in the other modules of the action group. Only V(/sys) is possible, because the module queries the libvirt of the running host.
      - The module fails with any other tree, so that you do not take data of the running host for data of a copied tree.
    type: path
    default: /sys
seealso:
  - module: vfio.migration.vfio_migration_facts
  - module: community.libvirt.virt
  - ref: ansible_collections.vfio.migration.docsite.migration_guide
    description: The checks before guests migrate, and how to migrate them.
"""

EXAMPLES = r"""
- name: Gather the guests with assigned devices
  vfio.migration.libvirt_guest_info:
  register: libvirt

- name: Show the names of these guests
  ansible.builtin.debug:
    msg: "{{ libvirt.guests | map(attribute='name') }}"

- name: Ask QEMU whether a guest can migrate, which marks the guest as tainted
  vfio.migration.libvirt_guest_info:
    guests: [vm-17]
    blocked_reasons: true
  register: asked

- name: Fail if the guest cannot migrate
  ansible.builtin.assert:
    that: not item.blocked_reasons
    fail_msg: "{{ item.name }}: {{ item.blocked_reasons }}"
  loop: "{{ asked.guests }}"

- name: Check what another host lacks for the guest
  vfio.migration.libvirt_guest_info:
    guests: []
    arriving: "{{ asked.guests }}"
  delegate_to: hv2
  register: there

- name: Check whether this host can connect to libvirt on another host
  vfio.migration.libvirt_guest_info:
    guests: []
    peers: ["qemu+ssh://root@hv2/system"]
  register: reached
"""

RETURN = r"""
guests:
  description: The running guests that have VFIO or vDPA devices, sorted by name.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The name of the guest.
      type: str
      returned: always
      sample: vm-17
    uuid:
      description: The UUID of the guest.
      type: str
      returned: always
      sample: 6c8a2f0e-1f0a-4c63-9f55-0d3c1a8e2b11
    state:
      description: The state of the guest, such as V(running) or V(paused). The values are the names in libvirt's C(virDomainState).
      type: str
      returned: always
      sample: running
    persistent:
      description: Whether the guest is persistent, so that libvirt keeps its definition when it stops.
      type: bool
      returned: always
    autostart:
      description: Whether libvirt starts the guest when the host boots.
      type: bool
      returned: always
    log:
      description: The path of the log that libvirt writes for the guest's QEMU.
      type: str
      returned: always
      sample: /var/log/libvirt/qemu/vm-17.log
    job_known:
      description:
        - Whether it is known if libvirt has a job for the guest. A job is one of RV(guests[].obstacles), of the kind V(job).
        - V(false) if libvirt did not answer, or if it was not queried because another guest did not answer.
      type: bool
      returned: always
    blocked_reasons:
      description:
        - The reasons why QEMU refuses to migrate the guest, as QEMU reports them.
        - V(null) without O(blocked_reasons), or if QEMU did not answer.
      type: list
      elements: str
      returned: always
      sample: ["882cc4da-dede-11e7-9180-078a62063ab1: VFIO device doesn't support device and IOMMU dirty tracking"]
    definitions:
      description:
        - The XML of the guest. C(active) is that of the running guest. C(persistent) is that of its persistent definition, or V(null) if it has none.
        - V(null) without O(definitions).
      type: dict
      returned: always
    virt_type:
      description: The type of the hypervisor, as libvirt's domain XML has it.
      type: str
      returned: always
      sample: kvm
    arch:
      description: The architecture of the guest.
      type: str
      returned: always
      sample: x86_64
    machine:
      description: The machine type of the guest.
      type: str
      returned: always
      sample: pc-q35-10.0
    emulator:
      description: The path of the emulator.
      type: str
      returned: always
      sample: /usr/bin/qemu-system-x86_64
    loader:
      description: The path of the firmware. V(null) if the domain XML has none.
      type: str
      returned: always
      sample: /usr/share/OVMF/OVMF_CODE_4M.fd
    boot_files:
      description: The paths of the kernel, initial RAM disk, device tree and ACPI tables that the guest starts from. Empty if the domain XML has none.
      type: list
      elements: str
      returned: always
      sample: []
    cpu:
      description: The CPU of the guest. C(mode), C(match), C(check), C(model), C(vendor) and C(features) are those of libvirt's domain XML.
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
      description: The maximum memory of the guest, in KiB, as C(<memory>) has it in libvirt's domain XML.
      type: int
      returned: always
      sample: 4194304
    huge_pages:
      description: The sizes of the guest's huge pages, in KiB. An empty list if it uses the host's default size. V(null) if it does not use huge pages.
      type: list
      elements: int
      returned: always
      sample: [1048576]
    devices:
      description:
        - The VFIO and vDPA devices of the guest, with C(kind) and C(id) as M(vfio.migration.vfio_migration_facts) returns them.
        - For a vDPA device, C(id) is the path of its device node.
      type: list
      elements: dict
      returned: always
      sample:
        - kind: mdev
          id: 882cc4da-dede-11e7-9180-078a62063ab1
    iommu:
      description: The model of the virtual IOMMU. V(null) if the guest has none.
      type: str
      returned: always
      sample: intel
    iommufd:
      description: Whether the guest uses devices through IOMMUFD.
      type: bool
      returned: always
    disks:
      description:
        - The disks of the guest. C(target), C(type), C(source), C(readonly), C(shareable) and C(cache) are those of libvirt's domain XML.
        - C(source) is the name of the pool, a slash and the name of the volume for a disk of type V(volume), and the PCI address of the controller for one
          of type V(nvme).
        - C(shared) is V(true) for a file on a shared file system such as NFS, and V(false) for a file on a local file system. V(null) for other file
          systems and for other types of disks. The same applies to the file of a volume. A volume of a network pool is V(true).
        - C(backing) lists the backing files and block devices of an overlay, the nearest first.
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
      description: The libvirt networks that the guest is connected to.
      type: list
      elements: str
      returned: always
      sample: [tenants]
    links:
      description: The host's network devices that the guest is connected to without a libvirt network, such as bridges.
      type: list
      elements: str
      returned: always
      sample: [br0]
    pools:
      description: The libvirt storage pools of the guest's disks.
      type: list
      elements: str
      returned: always
      sample: [images]
    obstacles:
      description:
        - The properties for which libvirt refuses to migrate the guest, or does not migrate it to chosen devices.
        - C(kind) is V(snapshots), V(hostdev), V(shmem), V(transient_disk), V(block_job), V(network_device) or V(job).
        - C(name) is the number of snapshots, the type of the C(<hostdev>), the name of the shared memory, disk or network, or the operation of the job.
        - V(network_device) is a function of the host that libvirt has taken from a network with C(<forward mode='hostdev'>).
        - The operation is V(migration out) for a guest that leaves this host, and V(migration in) for a guest that has not arrived yet.
        - V(block_job) is only listed for a job that copies or commits a disk.
      type: list
      elements: dict
      returned: always
      sample:
        - kind: snapshots
          name: "2"
others:
  description:
    - The names and UUIDs of all other running guests. These are guests that O(guests) does not select, and guests without assigned devices that
      neither O(without_devices) nor O(named) selects.
    - A guest that the module cannot read is listed here and in RV(problems).
  returned: success
  type: list
  elements: dict
  sample:
    - name: vm-18
      uuid: 0b2f6a51-7f0e-4b53-b3a5-6d0e1a7c9f00
paused:
  description:
    - The paused guests of RV(guests) and RV(others). V(null) if libvirt does not list them.
    - C(reason) is the reason, as the constants of libvirt name it, or V(null) if libvirt does not report it. It is V(user) if the owner of the guest paused
      it, and V(starting up) or V(migration) while another host sends the guest.
  returned: success
  type: list
  elements: dict
  sample:
    - name: vm-20
      uuid: 7e0f4f1b-93a1-4b1d-8a3c-9d2f6a1b0c55
      reason: user
defined:
  description: The names and UUIDs of the guests that are defined but not running. V(null) if libvirt does not list them.
  returned: success
  type: list
  elements: dict
  sample:
    - name: vm-19
      uuid: 5d3b1c70-2a84-4a6b-8a55-6a0f1c2d3e44
arriving:
  description: What this host lacks for the guests in O(arriving), in the same order.
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
        - The result of comparing the hypervisor's CPU on this host with that of the guest, as C(virsh hypervisor-cpu-compare) does. V(identical),
          V(superset) or V(incompatible).
        - V(unknown) if libvirt did not answer in time.
        - V(null) if there is no result, for example for a guest whose CPU mode is not V(custom), if libvirt does not support the comparison, and if
          RV(arriving[].cpu_problem) has an error.
      type: str
      returned: always
      sample: superset
    cpu_problem:
      description: The reason why libvirt cannot compare the CPU, such as an unknown model. V(null) if there was no error.
      type: str
      returned: always
    missing:
      description: The files of the guest's disks, emulator and firmware that do not exist on this host.
      type: list
      elements: str
      returned: always
      sample: [/srv/nfs/vm-17.qcow2]
    unknown:
      description: The files for which the check did not finish in time or failed, for example because a file server does not respond.
      type: list
      elements: str
      returned: always
      sample: [/srv/silent/vm-17.qcow2]
peers:
  description: The C(uri) of each of O(peers). C(problem) is the reason why this host cannot connect to it, or V(null) if it can.
  returned: success
  type: list
  elements: dict
  sample:
    - uri: qemu+ssh://root@hv2/system
      problem: "Cannot recv data: Host key verification failed."
versions:
  description: The versions of libvirt and QEMU. Each is V(null) if libvirt does not report it.
  returned: success
  type: dict
  sample:
    libvirt: 11.3.0
    qemu: 10.0.2
host:
  description: What the host offers to guests.
  returned: success
  type: dict
  contains:
    arch:
      description: The architecture of the host.
      type: str
      returned: always
      sample: x86_64
    cpu:
      description: The C(model) and C(vendor) of the host's CPU, as libvirt's capabilities have them.
      type: dict
      returned: always
      sample:
        model: Skylake-Server-IBRS
        vendor: Intel
    machines:
      description: The machine types of the host's emulators, by architecture.
      type: dict
      returned: always
      sample:
        x86_64: [pc, pc-i440fx-10.0, pc-q35-10.0, q35]
    memory:
      description:
        - C(free) is the memory that is available without swapping. C(default_huge_page) is the default size of huge pages. C(huge_pages) has the
          C(free) memory in huge pages of each C(size), without those that the kernel has reserved.
        - All values are in KiB.
      type: dict
      returned: always
      sample:
        free: 201326592
        default_huge_page: 2048
        huge_pages:
          - size: 1048576
            free: 67108864
    networks:
      description: The active libvirt networks. V(null) if libvirt does not list them, or if there are more than 8192.
      type: list
      elements: str
      returned: always
      sample: [default, tenants]
    pools:
      description: The active libvirt storage pools. V(null) if libvirt does not list them, or if there are more than 8192.
      type: list
      elements: str
      returned: always
      sample: [images]
    links:
      description: The network devices of the host. V(null) if there are more than 8192.
      type: list
      elements: str
      returned: always
      sample: [br0, eno1, lo]
    iommufd:
      description: Whether C(/dev/iommu) exists.
      type: bool
      returned: always
    tls:
      description:
        - The certificates with which QEMU encrypts migrations.
        - C(directory) is their directory, which C(/etc/libvirt/qemu.conf) can set. C(client) is whether it has the files to send guests, and C(server)
          whether it has the files to receive them.
      type: dict
      returned: always
      sample:
        directory: /etc/pki/qemu
        client: true
        server: true
problems:
  description: Errors of queries. C(problem) is the error, and C(guest) the name of the guest, or V(null) for the host.
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
            "paused": asking.paused(),
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
