# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Groups of hosts that are alike, so that a report of a big fleet stays short. Pure."""

from __future__ import annotations

import itertools
import typing as t
from collections import defaultdict

from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.descriptor import Descriptor
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import Fleet, Host

# Up to so many hosts, each is a group of its own.
MAX_SINGLE = 24
MAX_GROUPS = 50


class HostGroup:
    """Hosts that are alike; ``mixed`` are the rest, which are not, where there would be too many groups."""

    def __init__(self, hosts: t.Sequence[Host]) -> None:
        self.hosts = hosts
        self.hardware = sorted({each for host in hosts for each in hardware(host)})
        self.mixed = len({_LIKENESSES[-1](host) for host in hosts}) > 1
        self.versions = sorted({each for host in hosts for each in versions(host)})


def group_hosts(fleet: Fleet) -> list[HostGroup]:
    """Return the hosts of the fleet in groups: as closely alike as gives no more than ``MAX_GROUPS``."""
    hosts = list(fleet.hosts.values())
    if len(hosts) <= MAX_SINGLE:
        return [HostGroup([host]) for host in hosts]
    groups: list[list[Host]] = []
    for likeness in _LIKENESSES:
        alike: dict[t.Any, list[Host]] = defaultdict(list)
        for host in hosts:
            alike[likeness(host)].append(host)
        groups = list(alike.values())
        if len(groups) <= MAX_GROUPS:
            return [HostGroup(each) for each in groups]
    # The biggest groups; all other hosts are one.
    groups.sort(key=len, reverse=True)
    rest = itertools.chain.from_iterable(groups[MAX_GROUPS - 1 :])
    return [HostGroup(each) for each in (*groups[: MAX_GROUPS - 1], list(rest))]


def hardware(host: Host) -> set[str]:
    """Return what the host's devices are of, in a few words each."""
    parents = {f"{parent.driver or parent.kind} {parent.pci_id or ''}" for parent in host.equipment}
    known = {parent.pci_id for parent in host.equipment if parent.pci_id}
    # What has no PCI id comes of a parent.
    others = {each.descriptor for each in host.classes if each.descriptor}
    return {each.strip() for each in parents} | {
        f"{own['device_api']} {own['pci_id']}"
        for own in (each.self_attributes for each in others)
        if own.get("pci_id") and own["pci_id"] not in known
    }


def versions(host: Host) -> set[str]:
    """Return the ``software_version`` of each of the host's devices."""
    return {each.descriptor.version for each in host.classes if each.descriptor}


def card(descriptor: Descriptor) -> tuple[str, str]:
    """Return the ``device_api`` of a device and what it is of: its PCI id, or else its type."""
    own = descriptor.self_attributes
    return own["device_api"], own.get("pci_id") or own["type"]


# What hosts of a group have in common, the most first.
_LIKENESSES: tuple[t.Callable[[Host], t.Any], ...] = (
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
