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
      - Hosts that are gone, such as after a failure. They are drained like those in O(drain), by their last facts of any age, because no newer ones
        can be gathered. C(request) of the plan has the time of these facts.
      - Do not name a host on which guests may still run. The created devices are for the guests when you start them again.
    type: list
    elements: str
  free_devices:
    description:
      - Which free devices are to be moved from hosts in O(drain). The others are listed under C(staying).
      - With V(movable), those that can migrate. A virtual function without a type of vGPU, one that is bound to plain C(vfio-pci),
        and whatever else cannot migrate stays as it is.
      - With V(all), all of them; one that cannot migrate is left behind. With V(none), only guests are moved.
      - By default V(movable), also where an O(earlier) plan was made with another one.
    type: str
    choices:
      - movable
      - all
      - none
  sources:
    description:
      - What to move, each the name or UUID of a guest (all its devices move) or a dictionary with C(host) and C(id) of a device.
      - A name that several guests have is an error that names a device of each.
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
    description: The hosts that can receive devices. By default, every host that is not drained.
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
      - Hosts to use before all others, such as new ones, or those that are to stay. As few devices as possible go elsewhere.
      - This leaves no device behind, and re-creates nothing that was created for an earlier plan. It takes precedence over creating few devices and
        over O(policy). Among the preferred hosts, and among the others, places are chosen as without this option.
    type: list
    elements: str
  apart:
    description:
      - Groups of guests, each a list of names or UUIDs. No two guests of a group are placed on the same host, and none where another one stays.
      - A name stands for every guest with this name, on any host. To select one of several, give its UUID. A name that no guest in the facts has
        gives a warning.
      - They do not meet during the moves either. If one goes to a host that another one leaves, it has a later C(wave).
      - With O(failure_domains), no two of a group are in one domain.
    type: list
    elements: list
  priority:
    description:
      - Which guests come first if not all have a place, a number for each by its name or UUID. As few devices as possible of guests with a higher
        number are left behind, at the cost of those with a lower one. A guest that is not named has 0; a free device comes last.
      - No more than 16 different numbers. A name that no guest in the facts has gives a warning.
    type: dict
  reuse:
    description:
      - Whether a device that is itself to be moved can be a target, for a guest that moves later. Needed to rebalance hosts or to upgrade them in
        place. C(wave) in every placement then states the order of the moves.
    type: bool
  earlier:
    description:
      - An earlier plan. Its moves for a guest stay if the facts of both hosts are still the same. The rest is replanned, and C(changes) has the
        reasons. If more devices find a place when everything is replanned, everything is.
      - Conditions that you do not set are those of that plan, except for O(drain), O(targets) and O(avoid). Without an earlier plan O(direction) is
        V(source_lists), O(policy) is V(pack), and all else is as if it were not asked.
    type: dict
  effort:
    description:
      - How long the plan can try to find a place for all devices, as a multiple of the usual effort, from V(1) to V(100). By default V(1).
      - Try V(10) if a plan is V(unproven) and its hosts are almost full. It can then take ten times as long. A plan that has a place for every device
        does not take longer.
    type: int
"""

    # Where all guests of hosts could go, whatever is planned for them.
    SEARCH = r"""
options:
  targets:
    description: The hosts that can receive guests. By default, all.
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
      - Groups of guests. No two guests of a group may be on one host, as in O(vfio.migration.migration_plan#filter:apart).
      - A name that no guest in the facts has gives a warning.
    type: list
    elements: list
"""

    # What guests take beside devices, of hosts of which nothing but one plan's guests changes that.
    CAPACITY = r"""
options:
  capacity:
    description:
      - Resources other than devices that guests take from a host, such as memory, huge pages and CPUs. C(hosts) has, by the name of each host, what
        it has free. C(guests) has, by the name or UUID of each guest, what it takes. Both are numbers by the name of a resource, in any unit.
      - A guest goes only to a host that has enough left of every resource that it takes. It does not go to a host without a number for one of these.
        A guest that is not named takes nothing. Within one plan, the resources that a guest frees on its host do not count.
      - A name in C(guests) that no guest in the facts has gives a warning. Keys other than C(hosts) and C(guests) are an error.
    type: dict
  spare:
    description:
      - How much of what O(capacity) has each host is to keep free, numbers by the name of a resource, in the same units.
      - A guest that takes a resource goes to no host that would be left with less than this. A guest that takes none of it can go there.
    type: dict
"""

    # What every search for places keeps to, that of a plan as that of headroom.
    CONDITIONS = r"""
options:
  failure_domains:
    description:
      - Hosts that fail together, such as those of a rack, as lists of hosts by the names of the domains. A host can be in several. A host in none is
        its own domain.
      - Guests of one group in O(apart) are never in the same domain, neither after nor during the moves, and not with one that stays in it.
    type: dict
  avoid:
    description:
      - Where nothing can be placed, each a dictionary with C(host), optionally C(parent) for a single parent, and optionally C(problem), the reason
        to show.
      - With C(guest), the name or UUID of a guest, in place of C(parent), only that guest cannot go to the host. With C(guest_host), too, only if it
        is on that host, because guests on other hosts can have the same name.
      - A guest or parent that is not in the facts gives a warning. Other keys are an error.
    type: list
    elements: dict
  limit:
    description:
      - How many devices a host can receive at most, a number for all hosts or a dictionary of numbers by host.
      - With C(earlier), the moves of that plan that have been made count, with C(drain) those from the hosts to drain. Then C(received) has them.
        Without C(earlier), nothing is known of earlier moves.
    type: raw
  numa_local:
    description: Whether the devices of a guest must all be on one NUMA node of their new host.
    type: bool
  distinct_gpus:
    description:
      - Whether the NVIDIA vGPUs of one guest must be on different physical GPUs.
      - Older releases of NVIDIA's vGPU software give a guest only one vGPU of a GPU, newer ones give it several (OpenStack Nova, bug 1758086).
      - Without this option, several can be on one GPU, with a warning.
    type: bool
  keep_kind:
    description:
      - Whether a device can only go to one of the same kind, an mdev to an mdev and a PCI device to a PCI device.
      - Needed for libvirt, which migrates a guest only to devices of the same kind.
    type: bool
  keep_type:
    description: Whether a device can only go to one of the same type.
    type: bool
  round_trip:
    description:
      - Whether a device can only go where it is known that it could migrate back.
      - This is unknown for a new device whose driver states its own list.
    type: bool
"""

    # How guests move, whichever plan it is.
    MOVES = r"""
options:
  concurrent_moves:
    description:
      - How many guests can move at the same time. C(turn) in every placement then states the order of the moves within its C(wave). No guest is left
        behind because of it.
      - C(host) is the number of guests that can leave a host or come to it at the same time, for each host. C(hosts) has other numbers by host.
      - C(links) are network links by name, each with C(hosts), which are all hosts behind the link, and C(moves), the number of guests that can move
        over it at the same time. A guest moves over a link if either its host or its target is behind it, but not both.
      - A guest with several devices counts once. For example, V({"host":2,"links":{"rack1":{"hosts":["a","b"],"moves":4}}}).
    type: dict
"""
