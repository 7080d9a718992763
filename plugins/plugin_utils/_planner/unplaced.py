# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""Reasons: what stands between a device that a plan leaves behind and each host. Pure."""

from __future__ import annotations

import typing as t
from collections import Counter, defaultdict

from ansible_collections.vfio.migration.plugins.plugin_utils._compat.candidates import Candidates
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.wording import (
    nearest,
    sentence,
    used_up,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import (
    Device,
    Fleet,
    Host,
    MdevType,
    Parent,
    obstacle,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.problem import (
    Placement,
    Supply,
    makes_one_type,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import Guest, Request

# Of more hosts than these, only one of those that are alike has its reasons told.
MAX_HOSTS = 20


class Reasons:
    """Why devices have no place, given what a plan has taken."""

    def __init__(
        self,
        fleet: Fleet,
        request: Request,
        candidates: Candidates,
        supply: Supply,
        placed: t.Sequence[Placement],
    ) -> None:
        self._fleet = fleet
        self._request = request
        self._candidates = candidates
        self._supply = supply
        self._received = Counter(each.host for each in placed)
        self._devices = {(each.host, each.device.id) for each in placed if each.device}
        self._cards = {
            (each.host, each.device.parent)
            for each in placed
            if each.device and each.device.choices
        }
        self._made: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        for each in placed:
            if each.parent is not None:
                made, mdev_type = each.offer.creation
                self._made[(each.host, each.parent.id)][mdev_type.id] += made.instances
        self._alike = self._hosts_alike()

    def of(self, guest: Guest, device: Device) -> list[dict[str, t.Any]]:
        """``{host, reason}`` for every target host; with ``alike`` the number of further hosts of which it is true as well."""
        own = obstacle(device)
        if own is not None:
            return [{"host": device.host, "reason": own}]
        together = [
            {"host": each.host, "reason": f"it stays with {each.id} of the same guest: {reason}"}
            for each in guest.devices
            if (reason := obstacle(each)) is not None
        ]
        if together:
            return together
        reasons: list[dict[str, t.Any]] = []
        for name, others in self._alike:
            if name != device.host:
                alike = {"alike": others} if others else {}
                reasons += [
                    {"host": name, "reason": reason} | alike
                    for reason in self._on_host(name, guest, device)
                ]
        return reasons or [{"host": None, "reason": "there is no host that it might go to"}]

    def _hosts_alike(self) -> list[tuple[str, int]]:
        names = self._supply.names
        if len(names) <= MAX_HOSTS:
            return [(name, 0) for name in names]
        alike: dict[tuple[int, ...], list[str]] = defaultdict(list)
        for name, target in zip(names, self._supply.bins, strict=True):
            alike[target.state].append(name)
        return [(found[0], len(found) - 1) for found in alike.values()]

    def _on_host(self, name: str, guest: Guest, source: Device) -> list[str]:
        """What stands in the way of ``source`` on host ``name``, nearest first, in sentences."""
        host = self._fleet.hosts[name]
        shortages, possible = self._shortages(host, source)
        if not shortages and not possible:
            return self._no_option(host, source)
        if not possible:
            return list(dict.fromkeys(shortages))
        limit = self._request.conditions.limit_of(name)
        if limit is not None and self._received[name] + len(guest.devices) > limit:
            return [f"{name} receives {self._received[name]} devices already, and {limit} at most"]
        if guest.name is not None and self._request.conditions.groups_of(guest.name):
            return [
                "no place there apart from the other guests of its group, or none for all of its devices"
            ]
        others = [
            device.id
            for device in guest.devices
            if device is not source and not any(self._shortages(host, device))
        ]
        if others:
            return [f"no place there for {', '.join(others)} of the same guest"]
        return ["no place there for all devices of the guest at once"]

    def _shortages(self, host: Host, source: Device) -> tuple[list[str], bool]:
        """What would do on ``host`` but is not to be had, and whether something else is."""
        shortages = []
        possible = False
        for device in host.devices:
            if self._supply.why_not_free(device) is None and self._fits(source, device):
                if (host.name, device.id) in self._devices:
                    shortages.append(f"{device.id} is taken by this plan")
                elif device.choices and (host.name, device.parent) in self._cards:
                    shortages.append(
                        f"one plan gives one function of {device.parent} a type, as that may leave"
                        f" nothing for {device.id}"
                    )
                else:
                    possible = True
        for parent in host.parents:
            if self._request.conditions.why_avoided(host.name, parent.id) is None:
                found = {
                    mdev_type.id: shortage
                    for mdev_type in parent.types
                    if (shortage := self._shortage(source, parent, mdev_type)) is not None
                }
                possible = possible or "" in found.values()
                # The types of a parent share its room: one of them will do, the source's own where it is there.
                shortages += [found.get(source.type or "", min(found.values()))] if found else []
        return shortages, possible

    def _fits(self, source: Device, target: Device) -> bool:
        existing = self._candidates.existing(source, target)
        if existing is None or not existing.compatible:
            return False
        if not self._request.conditions.allows(source, target.kind, target.type):
            return False
        return not self._request.conditions.round_trip or self._candidates.returns(source, target)

    def _shortage(self, source: Device, parent: Parent, mdev_type: MdevType) -> str | None:
        """Why there cannot be one more ``mdev_type``, empty where there can; ``None`` where it would not do anyway."""
        made = self._candidates.creatable(source, parent, mdev_type)
        if made is None or not made.compatible:
            return None
        if not self._request.conditions.allows(source, parent.kind, mdev_type.id):
            return None
        if self._request.conditions.round_trip and not self._candidates.made_returns(
            source, parent
        ):
            return None
        where = f"{parent.id} on {parent.host}"
        if made.instances > mdev_type.available_instances:
            devices = [
                device
                for device in self._fleet.hosts[parent.host].devices
                if device.parent == parent.id
            ]
            left = mdev_type.available_instances
            return used_up(mdev_type.id, where, made.instances, left, devices)
        makes = self._made[(parent.host, parent.id)]
        if makes_one_type(parent) and set(makes) - {mdev_type.id}:
            made_there = ", ".join(sorted(makes))
            return f"this plan makes {made_there} under {where}, and under one parent only one type"
        left = self._supply.instances_left(parent, mdev_type, makes)
        if left < made.instances:
            return (
                f"not enough of {mdev_type.id} left under {where}: {made.instances} needed, {left}"
                f" of {mdev_type.available_instances} available_instances not taken by this plan"
            )
        return ""

    def _no_option(self, host: Host, source: Device) -> list[str]:
        busy = [
            f"{device.id} on {host.name} would do, but {why}"
            for device in host.devices
            if self._fits(source, device)
            if (why := self._supply.why_not_free(device)) is not None
        ]
        avoided = [
            f"{parent.id} on {host.name} is to be avoided: {why}"
            for parent in host.parents
            if (why := self._request.conditions.why_avoided(host.name, parent.id)) is not None
            for mdev_type in parent.types
            if self._shortage(source, parent, mdev_type) is not None
        ]
        conditions = self._conditions(host, source)
        sentences = [
            sentence(reason, where, host.name)
            for where, reasons in nearest_misses(host, self._candidates, source)
            for reason in reasons
        ]
        nothing = [
            f"{host.name} has no VFIO device with a usable descriptor, and no parent that could make one"
        ]
        return list(dict.fromkeys(busy + avoided or conditions or sentences or nothing))

    def _conditions(self, host: Host, source: Device) -> list[str]:
        """The conditions of the request but for which there would be something."""
        compatible = any(
            found is not None and found.compatible
            for found in (
                *(self._candidates.existing(source, device) for device in host.devices),
                *(
                    self._candidates.creatable(source, parent, mdev_type)
                    for parent in host.parents
                    for mdev_type in parent.types
                ),
            )
        )
        if not compatible:
            return []
        asked = []
        if self._request.conditions.keep_kind:
            asked.append(f"of kind {source.kind}")
        if self._request.conditions.keep_type:
            asked.append(f"of type {source.type}")
        if self._request.conditions.round_trip:
            asked.append("from which it is known that the device could migrate back")
        return [f"{host.name} has nothing compatible {' and '.join(asked)}"] if asked else []


def nearest_misses(
    host: Host, candidates: Candidates, source: Device
) -> list[tuple[str, list[dict[str, t.Any]]]]:
    """What on ``host`` comes nearest to receiving ``source``: where, and the reasons why it cannot."""
    misses = []
    for device in host.devices:
        existing = candidates.existing(source, device)
        if existing is not None and not existing.compatible:
            misses.append((f"{device.id} on {host.name}", nearest(existing.reasons)))
    for parent in host.parents:
        for mdev_type in parent.types:
            made = candidates.creatable(source, parent, mdev_type)
            if made is not None and not made.compatible:
                where = f"a new {mdev_type.id} under {parent.id} on {host.name}"
                misses.append((where, nearest(made.reasons)))
    least = min((_distance(reasons) for where, reasons in misses), default=(False, 0))
    return [miss for miss in misses if _distance(miss[1]) == least]


def _distance(reasons: list[dict[str, t.Any]]) -> tuple[bool, int]:
    """How far a miss is from a match: what is another kind of device altogether is farther than anything else."""
    other = any(reason["attribute"] in ("device_api", "type") for reason in reasons)
    return other, len(reasons)
