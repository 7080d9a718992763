# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this doc fragment is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

from __future__ import annotations


class ModuleDocFragment:
    # What can be asked of a plan, of the filter as of the action.
    DOCUMENTATION = r"""
options:
  drain:
    description: The hosts to drain. Give either this, or O(guests), O(devices) or O(sources). A drained host is never a target.
    type: list
    elements: str
  lost:
    description:
      - Hosts that are gone, such as after a failure. They are drained as those in O(drain) are, by the last facts there are of them, however old, as
        nobody will gather any again. The plan's C(request) has the time of these.
      - Name no host on which guests may still run. What a plan has made for them is there for whoever starts them anew.
    type: list
    elements: str
  free_devices:
    description:
      - Which devices that nobody holds are to be moved from hosts in O(drain). The others are listed under C(staying).
      - With V(movable), those that can migrate. A virtual function without a type of vGPU, one that is bound to plain C(vfio-pci),
        and whatever else cannot migrate stays as it is.
      - With V(all), all of them, so that one that cannot migrate is left behind. With V(none), guests alone are moved.
      - By default V(movable), also where an O(earlier) plan was made with another one.
    type: str
    choices:
      - movable
      - all
      - none
  sources:
    description:
      - What to move, each the name or UUID of a guest (all its devices move) or a dictionary with C(host) and C(id) of a device.
      - A name that several guests have, as several hosts may say, is an error that names a device of each.
    type: list
    elements: raw
  guests:
    description: The names or UUIDs of guests to move, with all of their devices. They go with what O(devices) and O(sources) name.
    type: list
    elements: str
  devices:
    description: Devices to move, each a dictionary with C(host) and C(id), with all of the guest that holds one.
    type: list
    elements: dict
  targets:
    description: The hosts that may receive. By default every host that is not drained.
    type: list
    elements: str
  direction:
    description: Whose list decides, as in O(vfio.migration.compatibility#filter:direction).
    type: str
    choices:
      - source_lists
      - target_accepts
      - both
      - either
  policy:
    description:
      - With V(pack), as few parents as possible are opened that have no device yet.
      - With V(spread), the largest number of devices on one host that receives any is as small as possible. What guests hold there and stays, counts.
      - With V(spread) and O(failure_domains), before that, the largest number of devices in one failure domain that receives any is as small as
        possible. What guests hold there and stays, counts, on whichever host of it.
    type: str
    choices:
      - pack
      - spread
  prefer:
    description:
      - Hosts that are taken before all others, such as new ones, or those that are to stay. As few devices as possible go elsewhere.
      - Nothing is left behind for it, and nothing that an earlier plan has had made is made anew. It counts before whether devices must be made,
        and before O(policy). Among the hosts that are preferred, and among the others, places are chosen as without it.
    type: list
    elements: str
  apart:
    description:
      - Groups of guests, each a list of names or UUIDs. No two guests of a group are placed on one host, nor one where another stays.
      - A name stands for each guest that has it, whatever its host; where one of several is meant, give its UUID.
        One that no guest in the facts has gives a warning.
      - They do not meet on the way either. Where one goes to a host that another one leaves, it has a later C(wave).
      - Where O(failure_domains) has hosts that fail together, no two of a group are in one domain.
    type: list
    elements: list
  priority:
    description:
      - Which guests come first where not all have a place, a number for each by its name or UUID. Fewer devices of a guest with a higher number
        are left behind, whatever that costs those with a lower one. A guest that is not named has 0; a device that nobody holds comes last.
      - No more than 16 different numbers. A name that no guest in the facts has gives a warning.
    type: dict
  reuse:
    description:
      - Whether a device that is itself to be moved may be a target, for a guest that moves later; needed to rebalance hosts
        or to upgrade them in place. C(wave) in every placement then says in which order to move.
    type: bool
  earlier:
    description:
      - An earlier plan. What it has planned for a guest stays as it is where the facts of both hosts are still the same;
        the rest is planned anew, and C(changes) says why. Where more find a place if all is planned anew, it is.
      - Conditions that are not given are as they were for that plan, but for O(drain), O(targets) and O(avoid).
        Without an earlier plan O(direction) is V(source_lists), O(policy) is V(pack), and all else is as if it were not asked.
    type: dict
"""

    # Where all guests of hosts could go, whatever is planned for them.
    SEARCH = r"""
options:
  targets:
    description: The hosts that may receive. By default all.
    type: list
    elements: str
  direction:
    description: Whose list decides, as in O(vfio.migration.compatibility#filter:direction). By default V(source_lists).
    type: str
    choices:
      - source_lists
      - target_accepts
      - both
      - either
  apart:
    description:
      - Groups of guests of which no two may be on one host, as in O(vfio.migration.migration_plan#filter:apart).
      - A name that no guest in the facts has gives a warning.
    type: list
    elements: list
"""

    # What guests take beside devices, of hosts of which nothing but one plan's guests changes that.
    CAPACITY = r"""
options:
  capacity:
    description:
      - What beside devices guests take of a host, such as memory, huge pages and CPUs. In C(hosts) by the name of each host what it has free, in
        C(guests) by the name or UUID of each guest what it takes, both numbers by the name of a resource, in whichever unit.
      - A guest goes to no host that has less of anything that it takes than is left, nor to one of which that is not stated. A guest that is not
        named takes nothing. Within one plan, what a guest leaves on its host is not counted on.
      - A name in C(guests) that no guest in the facts has gives a warning. Another key beside C(hosts) and C(guests) is an error.
    type: dict
  spare:
    description:
      - How much of what O(capacity) has each host is to keep free, numbers by the name of a resource, in the same units.
      - A guest that takes some of a resource goes to no host that would be left with less of it. One that takes none of it may.
    type: dict
"""

    # What every search for places keeps to, that of a plan as that of headroom.
    CONDITIONS = r"""
options:
  failure_domains:
    description:
      - Hosts that fail together, such as those of a rack or a room; lists of hosts by the names of the domains. A host may be in several.
        One that is in none is a domain of its own.
      - Guests of one group in O(apart) are in no domain together, neither then nor on the way, nor with one that stays in it.
    type: dict
  avoid:
    description:
      - Where nothing may be placed, each a dictionary with C(host), C(parent) where only that parent is meant,
        and if need be C(problem), the reason to be given for it.
      - With C(guest), a guest's name or UUID, in place of C(parent) only that guest may not go to the host. With C(guest_host) too, only if it is on
        that one, as guests on other hosts may have the same name.
      - A guest or parent that no facts have gives a warning. Another key than these is an error.
    type: list
    elements: dict
  limit:
    description: How many devices a host may receive at most, a number for all hosts or a dictionary of numbers by host.
    type: raw
  numa_local:
    description: Whether the devices of a guest must all be on one NUMA node of their new host.
    type: bool
  distinct_gpus:
    description:
      - Whether the NVIDIA vGPUs of one guest must be on different physical GPUs.
      - Older releases of NVIDIA's vGPU software give a guest only one vGPU of a GPU, newer ones give it several (OpenStack Nova, bug 1758086).
      - Without this option several may come to one GPU, with a warning.
    type: bool
  keep_kind:
    description:
      - Whether a device may only go to one of the same kind, an mdev to an mdev and a PCI device to a PCI device.
      - For libvirt, which migrates a guest to no others.
    type: bool
  keep_type:
    description: Whether a device may only go to one of the same type.
    type: bool
  round_trip:
    description:
      - Whether a device may only go where it is known that it could migrate back.
      - That is not known of a device that is to be created and whose driver states a list of its own.
    type: bool
"""
