#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: migrate_libvirt_step
short_description: Decide what the playbook migrate_libvirt does next
version_added: 0.1.0
description:
  - Decides on the control node, between the plays of the playbook C(vfio.migration.migrate_libvirt), which guests move, when, and to which host.
  - Use it only in that playbook. Its options are those of the role P(vfio.migration.migrate_libvirt#role), without the prefix
    C(migrate_libvirt_).
  - Reads the results that the tasks of the role registered in this run, as data. The result of a host affects only that host.
author:
  - vfio.migration contributors (@vfio-migration)
extends_documentation_fragment:
  - vfio.migration._attributes
  - vfio.migration._attributes.step
attributes:
  check_mode:
    support: full
    details:
      - In check mode, the action starts no migrations.
  diff_mode:
    details:
      - The action changes nothing.
options:
  step:
    description:
      - V(begin) reads and checks the other options. V(locate) determines which hosts have the guests. V(find) finds the guests there. V(check)
        determines which of them can move, and where to. V(order) puts the guests with targets in the plan in order.
      - V(trace) determines which guests may not have arrived. V(keep) determines which guests keep their devices on both hosts. V(look) determines which
        guests have moved. V(end) reports the outcome.
    type: str
    choices:
      - begin
      - locate
      - find
      - check
      - order
      - trace
      - keep
      - look
      - end
    required: true
  hosts:
    description: Patterns of the hosts that can take part. Each pattern must match a host.
    type: list
    elements: str
  guests:
    description: The names of the guests to move.
    type: list
    elements: str
  devices:
    description: Devices whose guests to move, each as a dictionary with C(host) and C(id).
    type: list
    elements: dict
  drain:
    description: The hosts to drain.
    type: list
    elements: str
  targets:
    description: The hosts that can receive guests.
    type: list
    elements: str
  avoid:
    description: Places to avoid, as in O(vfio.migration.migration_plan#filter:avoid).
    type: list
    elements: dict
  apart:
    description: Groups of guests that must be on different hosts, as in O(vfio.migration.migration_plan#filter:apart).
    type: list
    elements: list
  capacity:
    description: Which other capacity of hosts the guests need, as in O(vfio.migration.migration_plan#filter:capacity).
    type: dict
  spare:
    description: How much of that capacity each host keeps free, as in O(vfio.migration.migration_plan#filter:spare).
    type: dict
  ask_qemu:
    description: Whether to ask QEMU why it would not migrate the guests.
    type: bool
    default: true
  other_guests:
    description:
      - What to do with guests without assigned devices on drained hosts. With V(name), the report names them. With V(move), they move, too. With
        V(fail), the step C(find) fails.
    type: str
    choices:
      - name
      - move
      - fail
    default: name
  tls:
    description:
      - Whether QEMU encrypts migrations. With V(auto), it does between hosts with certificates. With V(always), guests move only between such
        hosts. With V(never), it does not.
    type: str
    choices:
      - auto
      - always
      - never
    default: auto
  multifd:
    description:
      - Whether QEMU sends a guest over several connections at the same time. With V(auto), it does between hosts with QEMU 10.0 or newer. With
        V(always), guests move only between such hosts. With V(never), it does not.
    type: str
    choices:
      - auto
      - always
      - never
    default: auto
  connections:
    description: How many connections.
    type: int
    default: 2
  earlier:
    description: An earlier plan to carry out, or the file with it. Without O(guests) and O(drain), the guests of the plan move.
    type: raw
  uri:
    description: The URI with which libvirt on a host connects to libvirt on the target.
    type: str
    default: qemu+ssh://root@{host}/system
  transport:
    description: The URI to which QEMU on a host sends the guest.
    type: str
    default: tcp://{host}
  options:
    description: Additional options of C(virsh migrate).
    type: list
    elements: str
    default: []
  downtime:
    description: How long a guest can be paused at the end of its migration, in milliseconds.
    type: int
    default: 2000
  downtime_max:
    description: How long the pause can be at most if the migration would not end otherwise, in milliseconds. By default, as long as O(downtime).
    type: int
  bandwidth:
    description: The bandwidth of the network between the hosts, in MiB per second. By default, it is unknown.
    type: int
  stall:
    description: After how many seconds without progress at the longest downtime to abort a migration. With V(0), never.
    type: int
    default: 300
  timeout:
    description: After how many seconds to abort a migration.
    type: int
    default: 3600
  parallel:
    description: How many guests to migrate at the same time.
    type: int
    default: 2
  parallel_source:
    description: How many of them can leave a host at the same time.
    type: int
    default: 1
  parallel_target:
    description: How many of them can come to a host at the same time.
    type: int
    default: 1
  priority:
    description: A number for each name or UUID of a guest. Guests with higher numbers move first.
    type: dict
  max_failures:
    description: After how many failed guests to start no more migrations. By default, the run tries all guests.
    type: int
  not_after:
    description: The time after which to start no more migrations, as a time of day or in ISO 8601.
    type: raw
  record:
    description: The file to which to add the record of each guest. By default, C(migration-record.jsonl) in the directory of the plan.
    type: str
seealso:
  - module: vfio.migration.libvirt_guest_info
  - ref: ansible_collections.vfio.migration.docsite.migration_guide
    description: The checks before guests migrate, and how to migrate them.
"""

EXAMPLES = r"""
- name: Read the options for moving two guests by a plan
  vfio.migration.migrate_libvirt_step:
    step: begin
    hosts: "{{ groups['hypervisors'] }}"
    guests:
      - vm-17
      - vm-18
  delegate_to: localhost
  run_once: true
  register: migrate_libvirt_run
"""

RETURN = r"""
hosts:
  description: The hosts to contact.
  returned: always
  type: list
  elements: str
stale:
  description: The hosts whose earlier answers of this run must be discarded.
  returned: always
  type: list
  elements: str
other_guests:
  description: What to do with guests without devices on drained hosts, as in O(other_guests).
  returned: always
  type: str
reading:
  description: The UUIDs of the guests for which to query each host.
  returned: after the step C(find)
  type: dict
arriving:
  description: The guests for which to query what possible targets lack, as O(vfio.migration.libvirt_guest_info#module:arriving) takes them.
  returned: after the step C(find)
  type: list
  elements: dict
peers:
  description: The URIs of libvirt on possible targets, to check whether the hosts of the guests can connect to them. Empty if there are too many.
  returned: after the step C(find)
  type: list
  elements: str
receiving:
  description: The hosts that can receive guests.
  returned: after the step C(find)
  type: list
  elements: str
checks:
  description:
    - C(chosen) has the guests that can move. C(left) has the guests that must stay, each with the C(reason).
    - C(targets) has the hosts that can receive guests. C(capacity) has the capacity of hosts and guests, which includes memory if it is scarce. C(avoid)
      has the places to avoid.
    - C(notes) has further sentences, as text for people.
  returned: after the step C(check)
  type: dict
sources:
  description: One device of each guest that can move.
  returned: after the step C(check)
  type: list
  elements: dict
taking_part:
  description: The hosts of these guests, and the hosts that can receive guests.
  returned: after the step C(check)
  type: list
  elements: str
leaving:
  description: The guests that leave each host, as O(vfio.migration.libvirt_migrate_guests#module:guests) takes them.
  returned: after the step C(order)
  type: dict
turns:
  description: The order and the limits of the migrations, as O(vfio.migration.libvirt_migrate_guests#module:turns) takes them.
  returned: after the step C(order)
  type: dict
logs:
  description: The commands to run on each target after the moves, as lists of words. They print the logs of QEMU and the kernel.
  returned: after the step C(order)
  type: dict
participants:
  description: The hosts that guests leave or come to.
  returned: after the step C(order)
  type: list
  elements: str
states:
  description: How far each move has come, as P(vfio.migration.placement_states#filter) returns it.
  returned: after the step C(look)
  type: list
  elements: dict
starting:
  description: The guests that must start with each host from now on.
  returned: after the step C(look)
  type: dict
sentences:
  description: The outcome for each guest, as text for people.
  returned: after the steps C(check) and C(end)
  type: list
  elements: str
stay:
  description: The guests that have not moved, each with the reasons.
  returned: at the end
  type: list
  elements: dict
record:
  description: A record for each requested guest, in the form of C(docs/schemas/migration_record.json).
  returned: at the end
  type: list
  elements: dict
failure:
  description: A sentence on what failed. V(null) if nothing did.
  returned: at the end
  type: str
"""
