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
  - Decides on the control node, between the plays of the playbook C(vfio.migration.migrate_libvirt), which guests move, and when and where to.
  - It is a part of that playbook, and of use to nothing else. Its options are those of the role P(vfio.migration.migrate_libvirt#role), without
    C(migrate_libvirt_).
  - Of what hosts answered, it takes what the tasks of the role registered in this run, as data, and of each host for that host alone.
author:
  - vfio.migration contributors (@vfio-migration)
extends_documentation_fragment:
  - vfio.migration._attributes
  - vfio.migration._attributes.step
attributes:
  check_mode:
    support: full
    details:
      - It orders no migration.
  diff_mode:
    details:
      - It changes nothing.
options:
  step:
    description:
      - V(begin) reads and checks the other options. V(locate) determines which hosts have the guests. V(find) finds the guests there. V(check)
        determines which of them can go, and where to. V(order) puts those with a place in the plan into their order.
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
    description: The hosts that may take part, as patterns; each of them must match something.
    type: list
    elements: str
  guests:
    description: The guests to move, by their names.
    type: list
    elements: str
  devices:
    description: Devices whose guests are to move, each a dictionary with C(host) and C(id).
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
    description: Where nothing may be placed; see the filter P(vfio.migration.migration_plan#filter).
    type: list
    elements: dict
  apart:
    description: Groups of guests of which no two may be on one host; see the filter P(vfio.migration.migration_plan#filter).
    type: list
    elements: list
  capacity:
    description: What beside devices guests take of a host; see the filter P(vfio.migration.migration_plan#filter).
    type: dict
  spare:
    description: How much of that each host is to keep free; see the filter P(vfio.migration.migration_plan#filter).
    type: dict
  ask_qemu:
    description: Whether to ask QEMU why it would not migrate the guests.
    type: bool
    default: true
  other_guests:
    description:
      - What is done with the guests of drained hosts that have no assigned devices. With V(name) they are named, with V(move) they move, too,
        and with V(fail) the step C(find) fails.
    type: str
    choices:
      - name
      - move
      - fail
    default: name
  tls:
    description:
      - Whether QEMU encrypts what it sends. With V(auto) it does between hosts that have certificates, with V(always) guests move between such
        hosts alone, and with V(never) it does not.
    type: str
    choices:
      - auto
      - always
      - never
    default: auto
  multifd:
    description:
      - Whether a guest is sent over several connections at once. With V(auto) it is between hosts whose QEMU is 10.0 or newer, with V(always)
        guests move between such hosts alone, and with V(never) it is not.
    type: str
    choices:
      - auto
      - always
      - never
    default: auto
  connections:
    description: Over how many connections.
    type: int
    default: 2
  earlier:
    description: An earlier plan that is to be carried out, or the file that has it. Without O(guests) and O(drain) those of the plan are moved.
    type: raw
  uri:
    description: By which URI a host's libvirt reaches that of the target.
    type: str
    default: qemu+ssh://root@{host}/system
  transport:
    description: To which URI a host's QEMU sends the guest.
    type: str
    default: tcp://{host}
  options:
    description: Further options of C(virsh migrate).
    type: list
    elements: str
    default: []
  downtime:
    description: How long a guest can be paused at the end of its migration, in milliseconds.
    type: int
    default: 2000
  downtime_max:
    description: How long it may at most, where its migration would not end otherwise, in milliseconds. By default not longer.
    type: int
  bandwidth:
    description: What the network between the hosts carries in a second, in MiB. By default that is not known.
    type: int
  stall:
    description: After how many seconds without progress at the longest downtime a migration is aborted; never with V(0).
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
    description: Numbers by names or UUIDs of guests; who has the higher one goes first.
    type: dict
  max_failures:
    description: After how many guests that failed to move to begin no further migration. By default, all guests are tried.
    type: int
  not_after:
    description: After which time none is begun any more, a time of day or one as ISO 8601 has it.
    type: raw
  record:
    description: The file that the record of each guest is added to. By default C(migration-record.jsonl) beside the plan.
    type: str
seealso:
  - module: vfio.migration.libvirt_guest_info
  - ref: ansible_collections.vfio.migration.docsite.migration_guide
    description: The checks before guests migrate, and how to migrate them.
"""

EXAMPLES = r"""
- name: Read the options of moving two guests to wherever the plan says
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
