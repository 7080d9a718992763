# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Reach: to which hosts the devices of each class could go, for fleets of any size. Pure.

Hosts are members of a set that is an integer; hosts of a big fleet that are alike make up one group.
"""

from __future__ import annotations

import itertools
import typing as t
from collections import Counter, defaultdict

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
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.problem import pose
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import (
    Conditions,
    Guest,
    Request,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.unplaced import Reasons

# Up to so many hosts, each is a group of its own.
MAX_SINGLE = 24
MAX_GROUPS = 50
# What stands between each class and each group is worked out for so many pairs of them at most.
MAX_EXPLAINED = 2000


class Group:
    """Hosts that are alike, and their numbers as a set; ``mixed`` are the rest where there would be too many groups."""

    def __init__(self, hosts: t.Sequence[Host], members: int) -> None:
        self.hosts = hosts
        self.members = members
        self.hardware = sorted({each for host in hosts for each in hardware(host)})
        self.mixed = len({_ALIKE[-1](host) for host in hosts}) > 1
        self.versions = sorted({each for host in hosts for each in versions(host)})


class Reachability:
    """Where the devices of a fleet could go, each by itself.

    ``pairs`` is what ``compatible_pairs`` tells of the fleet. ``on`` and ``free`` count by the name of each class the
    usable devices of each host, all and those that nobody holds; ``can`` has the hosts with something for it, as a set.
    """

    def __init__(self, fleet: Fleet, direction: str) -> None:
        self.pairs = compatible_pairs(fleet, direction)
        self.on: dict[str, Counter[str]] = defaultdict(Counter)
        self.free: dict[str, Counter[str]] = defaultdict(Counter)
        self._fleet = fleet
        self._direction = direction
        self._names = list(fleet.hosts)
        self._numbers = {name: number for number, name in enumerate(self._names)}
        self._class_of = _classified(fleet)
        for host in fleet.hosts.values():
            for name, free, count in self.usable(host):
                self.on[name][host.name] += count
                if free:
                    self.free[name][host.name] += count
        self.classes = sorted(self.on, key=self._order)
        self.targets: dict[str, list[dict[str, t.Any]]] = defaultdict(list)
        for pair in self.pairs["pairs"]:
            self.targets[pair["source"]].append(pair)
        self.makes: dict[str, list[dict[str, t.Any]]] = self.pairs["creatable"]
        self._alike = {name: self._set_of(alike) for name, alike in self.pairs["alike"].items()}
        free_on = {name: self._set_of(hosts) for name, hosts in self.free.items()}
        self.can = {
            name: union(
                [
                    *(free_on.get(pair["target"], 0) for pair in self.targets[name]),
                    *(self._makers(way) for way in self.makes.get(name, ())),
                ]
            )
            for name in self.classes
        }
        self.groups = [
            Group(hosts, self._set_of(host.name for host in hosts)) for hosts in _grouped(fleet)
        ]
        self.group_of = {
            host.name: number for number, each in enumerate(self.groups) for host in each.hosts
        }

    def usable(self, host: Host) -> t.Iterator[tuple[str, bool, int]]:
        """The class of the host's devices that can migrate, whether nobody holds them, and how many there are."""
        for each, count in host.classes.items():
            if each.descriptor is not None and each.obstacle is None:
                yield self._class_of[each.descriptor], each.free, count

    def class_of(self, device: Device) -> str | None:
        """The name of the device's class; ``None`` where it cannot migrate at all."""
        if device.descriptor is None or obstacle(device) is not None:
            return None
        return self._class_of[device.descriptor]

    def could_go(self, name: str, host: str) -> bool:
        """Whether ``host`` has something for a device of the class ``name``."""
        return host in self._numbers and bool(self.can[name] >> self._numbers[host] & 1)

    def stays(self, name: str, host: str) -> bool:
        """Whether no host but ``host`` has something for a device of the class ``name``."""
        return not self.can[name] & ~(1 << self._numbers[host])

    def leaving(self, host: Host) -> int:
        """How many devices of ``host`` could go to another one."""
        usable = self.usable(host)
        return sum(count for name, _free, count in usable if not self.stays(name, host.name))

    def staying(self, name: str) -> int:
        """How many devices of the class ``name`` could go nowhere."""
        can = self.can[name]
        if can.bit_count() > 1:
            return 0
        only = self._names[can.bit_length() - 1] if can else None
        return self.on[name][only] if only else self.on[name].total()

    def matrix(self) -> list[list[int]]:
        """How many devices of each group (row) could go to another host that is in a group (column)."""
        cells = [[0] * len(self.groups) for group in self.groups]
        for name in self.classes:
            devices: Counter[int] = Counter()
            for host, count in self.on[name].items():
                devices[self.group_of[host]] += count
            for column, group in enumerate(self.groups):
                hits = self.can[name] & group.members
                for row, count in devices.items() if hits else ():
                    cells[row][column] += count
                if hits.bit_count() == 1:
                    # What is on the only host that could take it does not go there.
                    cells[column][column] -= self.on[name][self._names[hits.bit_length() - 1]]
        return cells

    def ways(self, name: str) -> list[dict[str, t.Any]]:
        """``{group, hosts, free, new}`` for each group with something for the class ``name``.

        That is on so many ``hosts``, so many ``free`` devices, and the types of which ``new`` ones can be made.
        """
        makes = [(way["type"], self._makers(way)) for way in self.makes.get(name, ())]
        free: Counter[int] = Counter()
        for pair in self.targets[name]:
            for host, count in self.free[pair["target"]].items():
                free[self.group_of[host]] += count
        return [
            {
                "group": number,
                "hosts": (self.can[name] & group.members).bit_count(),
                "free": free[number],
                "new": sorted({each for each, hosts in makes if hosts & group.members}),
            }
            for number, group in enumerate(self.groups)
            if self.can[name] & group.members
        ]

    def obstacles(self) -> dict[str, list[dict[str, t.Any]]]:
        """For each class ``{group, reasons}`` of the groups without anything for it; nothing for a big fleet."""
        if len(self.classes) * len(self.groups) > MAX_EXPLAINED:
            return {}
        found: dict[str, list[dict[str, t.Any]]] = defaultdict(list)
        asked = _Asked(self._fleet, self._direction)
        for name in self.classes:
            examples = self._examples(name)
            for number, group in enumerate(self.groups):
                if not self.can[name] & group.members:
                    pairs = ((e, host.name) for e in examples for host in group.hosts[:2])
                    elsewhere = next(((e, host) for e, host in pairs if e.host != host), None)
                    if elsewhere is not None:
                        reasons = asked.why_not(*elsewhere)
                        found[name].append({"group": number, "reasons": reasons})
        return found

    def room(self, way: t.Mapping[str, t.Any]) -> tuple[int, int]:
        """How many hosts can make devices in this ``way``, and how many devices they can make."""
        rooms = [(self._alike[first].bit_count(), room) for first, room in way["room"].items()]
        return sum(hosts for hosts, room in rooms), sum(hosts * room for hosts, room in rooms)

    def _makers(self, way: t.Mapping[str, t.Any]) -> int:
        return union(self._alike[first] for first in way["room"])

    def _order(self, name: str) -> tuple[str, ...]:
        own = self.pairs["classes"][name]["self"]
        return own["type"], own["software_version"], name

    def _examples(self, name: str) -> list[Device]:
        """A device of the class ``name``, and one of another host if there is one."""
        return [
            next(each for each in self._fleet.hosts[host].devices if self.class_of(each) == name)
            for host in itertools.islice(self.on[name], 2)
        ]

    def _set_of(self, hosts: t.Iterable[str]) -> int:
        return bitset((self._numbers[host] for host in hosts), len(self._names))


class _Asked:
    """Tells why a device has no place on a host, as a plan for it alone would."""

    def __init__(self, fleet: Fleet, direction: str) -> None:
        self._fleet = fleet
        self._direction = direction
        self._candidates = Candidates(fleet, direction)
        self._reasons: dict[str, Reasons] = {}

    def why_not(self, device: Device, host: str) -> list[str]:
        if host not in self._reasons:
            # Nothing is to be moved: every device that is there counts as it is.
            request = Request([], [host], Conditions(self._direction))
            problem = pose(self._fleet, request, self._candidates)
            self._reasons[host] = Reasons(problem, ())
        reasons = self._reasons[host].of(Guest(None, (device,)), device)
        return [each["reason"] for each in reasons]


def _classified(fleet: Fleet) -> dict[Descriptor, str]:
    """The name of the class of each descriptor, as ``compatible_pairs`` has them."""
    usable = {
        each.descriptor: None
        for host in fleet.hosts.values()
        for each in host.classes
        if each.descriptor is not None and each.obstacle is None
    }
    return {descriptor: each.digest for descriptor, each in classify(usable).of.items()}


# --- what hosts are alike --------------------------------------------------------------------------------------------


def hardware(host: Host) -> set[str]:
    """What the host's devices are of, in a few words each."""
    parents = {f"{parent.driver or parent.kind} {parent.pci_id or ''}" for parent in host.equipment}
    known = {parent.pci_id for parent in host.equipment if parent.pci_id}
    # What has no PCI id comes of a parent.
    others = {each.descriptor for each in host.classes if each.descriptor}
    return {each.strip() for each in parents} | {
        f"{own['device_api']} {own['pci_id']}"
        for own in (each.self_attributes for each in others)
        if own.get("pci_id") and own["pci_id"] not in known
    }


def card(descriptor: Descriptor) -> tuple[str, str]:
    """The ``device_api`` of a device and what it is of: its PCI id, or else its type."""
    own = descriptor.self_attributes
    return own["device_api"], own.get("pci_id") or own["type"]


def versions(host: Host) -> set[str]:
    return {each.descriptor.version for each in host.classes if each.descriptor}


def _grouped(fleet: Fleet) -> list[list[Host]]:
    """The hosts of the fleet, those alike together: as closely alike as gives no more than ``MAX_GROUPS``."""
    hosts = list(fleet.hosts.values())
    if len(hosts) <= MAX_SINGLE:
        return [[host] for host in hosts]
    groups: list[list[Host]] = []
    for alike in _ALIKE:
        found: dict[t.Any, list[Host]] = defaultdict(list)
        for host in hosts:
            found[alike(host)].append(host)
        groups = list(found.values())
        if len(groups) <= MAX_GROUPS:
            return groups
    # Those of which there are most; all others are one group.
    groups.sort(key=len, reverse=True)
    others = itertools.chain.from_iterable(groups[MAX_GROUPS - 1 :])
    return [*groups[: MAX_GROUPS - 1], list(others)]


_ALIKE: tuple[t.Callable[[Host], t.Any], ...] = (
    lambda host: (
        frozenset(
            (parent.driver, parent.pci_id, tuple(each.id for each in parent.types))
            for parent in host.equipment
        ),
        frozenset(each.descriptor for each in host.classes),
    ),
    lambda host: (frozenset(hardware(host)), frozenset(versions(host))),
    lambda host: frozenset(hardware(host)),
    lambda host: frozenset((parent.driver, parent.pci_id) for parent in host.equipment),
)
