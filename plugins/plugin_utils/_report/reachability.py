# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Reachability: to which hosts the devices of each class could go, for fleets of any size. Pure.

A set of hosts is an integer with a bit for each member.
"""

from __future__ import annotations

import itertools
import typing as t
from collections import Counter, defaultdict

from ansible_collections.vfio.migration.plugins.plugin_utils import contract
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.bitset import bitset, union
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.candidates import Candidates
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.equivalence import classify
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.pairs import compatible_pairs
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.descriptor import Descriptor
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import (
    Device,
    Fleet,
    Host,
    obstacle,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.effort import Effort
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.problem import pose
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.reason import (
    MAX_COMPARISONS,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import (
    Conditions,
    Guest,
    Request,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._report.host_groups import group_hosts

if t.TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.vfio.migration.plugins.plugin_utils._planner.unplaced import (
        Reasons,
    )

# Up to so many pairs of a class and a group of hosts, the report has what stands between them.
MAX_EXPLAINED = 2000


class Reachability:
    """Where the devices of a fleet could go, each by itself.

    ``pairs`` is what ``compatible_pairs`` returns for the fleet. The rest is by the name of a class: ``on`` and
    ``free`` count its usable devices by host, all and those that no process holds, ``targets`` and ``creatable`` are
    what its devices could become, and ``receiving`` is the set of the hosts that have something for them.
    """

    def __init__(self, fleet: Fleet, direction: str) -> None:
        self.pairs = t.cast(contract.CompatiblePairs, compatible_pairs(fleet, direction))
        self.on: dict[str, Counter[str]] = defaultdict(Counter)
        self.free: dict[str, Counter[str]] = defaultdict(Counter)
        self._fleet = fleet
        self._direction = direction
        self._names = list(fleet.hosts)
        self._numbers = {name: number for number, name in enumerate(self._names)}
        self._class_of = _class_names(fleet)
        for host in fleet.hosts.values():
            for name, free, count in self.usable(host):
                self.on[name][host.name] += count
                if free:
                    self.free[name][host.name] += count
        self.classes = sorted(self.on, key=self._order)
        self.targets: dict[str, list[contract.ClassPair]] = defaultdict(list)
        for pair in self.pairs["pairs"]:
            self.targets[pair["source"]].append(pair)
        self.creatable = self.pairs["creatable"]
        self._alike = {name: self._set_of(alike) for name, alike in self.pairs["alike"].items()}
        self.receiving = self._receiving()
        self.groups = group_hosts(fleet)
        self._members = [self._set_of(host.name for host in group.hosts) for group in self.groups]
        self.group_of = {
            host.name: number for number, group in enumerate(self.groups) for host in group.hosts
        }

    def usable(self, host: Host) -> t.Iterator[tuple[str, bool, int]]:
        """Yield the class of the host's devices that can migrate, whether no process holds them, and how many there are."""
        for each, count in host.classes.items():
            if each.descriptor is not None and each.obstacle is None:
                yield self._class_of[each.descriptor], each.free, count

    def class_of(self, device: Device) -> str | None:
        """Return the name of the device's class; ``None`` where it cannot migrate at all."""
        if device.descriptor is None or obstacle(device) is not None:
            return None
        return self._class_of[device.descriptor]

    def can_receive(self, name: str, host: str) -> bool:
        """Return whether ``host`` has something for a device of the class ``name``."""
        return host in self._numbers and bool(self.receiving[name] >> self._numbers[host] & 1)

    def stays(self, name: str, host: str) -> bool:
        """Return whether no host but ``host`` has something for a device of the class ``name``."""
        return not self.receiving[name] & ~(1 << self._numbers[host])

    def leaving(self, host: Host) -> int:
        """Return how many devices of ``host`` could go to another one."""
        usable = self.usable(host)
        return sum(count for name, _free, count in usable if not self.stays(name, host.name))

    def staying(self, name: str) -> int:
        """Return how many devices of the class ``name`` could go nowhere."""
        receiving = self.receiving[name]
        if receiving.bit_count() > 1:
            return 0
        only = self._names[receiving.bit_length() - 1] if receiving else None
        return self.on[name][only] if only else self.on[name].total()

    def matrix(self) -> list[list[int]]:
        """Return how many devices of each group (row) could go to another host that is in a group (column)."""
        cells = [[0] * len(self.groups) for group in self.groups]
        for name in self.classes:
            devices: Counter[int] = Counter()
            for host, count in self.on[name].items():
                devices[self.group_of[host]] += count
            for column, members in enumerate(self._members):
                receiving = self.receiving[name] & members
                for row, count in devices.items() if receiving else ():
                    cells[row][column] += count
                if receiving.bit_count() == 1:
                    # What is on the only host that could take it does not go there.
                    cells[column][column] -= self.on[name][self._names[receiving.bit_length() - 1]]
        return cells

    def reachable_groups(self, name: str) -> list[contract.ReachableGroup]:
        """Return the groups of hosts that have something for the class ``name``."""
        creatable = [(each["type"], self._hosts_of(each)) for each in self.creatable.get(name, ())]
        free: Counter[int] = Counter()
        for pair in self.targets[name]:
            for host, count in self.free[pair["target"]].items():
                free[self.group_of[host]] += count
        return [
            {
                "host_group": number,
                "hosts": (self.receiving[name] & members).bit_count(),
                "free": free[number],
                "new": sorted({each for each, hosts in creatable if hosts & members}),
            }
            for number, members in enumerate(self._members)
            if self.receiving[name] & members
        ]

    def obstacles(self) -> dict[str, list[tuple[int, list[str]]]]:
        """Return for each class the groups that have nothing for it, and why; nothing at all for a big fleet."""
        if len(self.classes) * len(self.groups) > MAX_EXPLAINED:
            return {}
        found: dict[str, list[tuple[int, list[str]]]] = defaultdict(list)
        obstacles = _Obstacles(self._fleet, self._direction)
        for name in self.classes:
            examples = self._examples(name)
            for number, group in enumerate(self.groups):
                if not self.receiving[name] & self._members[number]:
                    pairs = ((each, host.name) for each in examples for host in group.hosts[:2])
                    elsewhere = next(((e, host) for e, host in pairs if e.host != host), None)
                    if elsewhere is not None:
                        found[name].append((number, obstacles.between(*elsewhere)))
        return found

    def free_slots(self, creatable: contract.CreatableDevice) -> tuple[int, int]:
        """Return how many hosts could create such devices, and how many devices."""
        by_host = [
            (self._alike[first].bit_count(), room) for first, room in creatable["room"].items()
        ]
        return sum(hosts for hosts, room in by_host), sum(hosts * room for hosts, room in by_host)

    def _receiving(self) -> dict[str, int]:
        """Return for each class the set of the hosts with a free target or capacity for a new one."""
        free = {name: self._set_of(hosts) for name, hosts in self.free.items()}
        return {
            name: union(
                [
                    *(free.get(pair["target"], 0) for pair in self.targets[name]),
                    *(self._hosts_of(each) for each in self.creatable.get(name, ())),
                ]
            )
            for name in self.classes
        }

    def _hosts_of(self, creatable: contract.CreatableDevice) -> int:
        """Return the set of the hosts that could create such devices."""
        return union(self._alike[first] for first in creatable["room"])

    def _order(self, name: str) -> tuple[str, ...]:
        """Return what classes are sorted by."""
        own = self.pairs["classes"][name]["self"]
        return own["type"], own["software_version"], name

    def _examples(self, name: str) -> list[Device]:
        """Return a device of the class ``name``, and one of another host if there is one."""
        return [
            next(each for each in self._fleet.hosts[host].devices if self.class_of(each) == name)
            for host in itertools.islice(self.on[name], 2)
        ]

    def _set_of(self, hosts: t.Iterable[str]) -> int:
        return bitset((self._numbers[host] for host in hosts), len(self._names))


class _Obstacles:
    """Finds what keeps a device from a host, as a plan for it alone would."""

    def __init__(self, fleet: Fleet, direction: str) -> None:
        self._fleet = fleet
        self._direction = direction
        self._candidates = Candidates(fleet, direction)
        self._reasons: dict[str, Reasons] = {}
        # What is looked into for all hosts together is limited.
        self._effort = Effort(MAX_COMPARISONS)

    def between(self, device: Device, host: str) -> list[str]:
        """Return why ``device`` has no place on ``host``, in sentences."""
        if host not in self._reasons:
            from ansible_collections.vfio.migration.plugins.plugin_utils._planner.unplaced import (
                Reasons,
            )

            # Nothing is to be moved: every device that is there counts as it is.
            request = Request([], [host], Conditions(self._direction))
            problem = pose(self._fleet, request, self._candidates)
            self._reasons[host] = Reasons(problem, (), self._effort)
        found = self._reasons[host].of(Guest(None, (device,)), device)
        return [each["reason"] for each in found]


def _class_names(fleet: Fleet) -> dict[Descriptor, str]:
    """Return the name of the class of each descriptor, as ``compatible_pairs`` has them."""
    usable = {
        each.descriptor: None
        for host in fleet.hosts.values()
        for each in host.classes
        if each.descriptor is not None and each.obstacle is None
    }
    return {descriptor: each.digest for descriptor, each in classify(usable).of.items()}
