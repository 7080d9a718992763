# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The verifier: re-checks a finished plan against the raw facts, with none of the planner's code. Pure."""

from __future__ import annotations

import typing as t
from collections import Counter

from ansible_collections.vfio.migration.plugins.module_utils import _pattern
from ansible_collections.vfio.migration.plugins.plugin_utils._verdict import (
    Descriptor,
    read_descriptor,
)

Facts = t.Mapping[str, t.Mapping[str, t.Any]]


def violations(
    plan: t.Mapping[str, t.Any], facts: Facts, drain: t.Collection[str] = ()
) -> list[str]:
    """The rules that ``plan`` breaks, in sentences; empty for a sound plan.

    ``facts`` maps host to its ``vfio_migration`` facts, ``drain`` are the hosts that are to be emptied.
    """
    check = _Check(plan, facts, drain)
    check.sources()
    check.guests()
    check.targets()
    check.capacity()
    check.derived_tables()
    return check.broken


class _Check:
    def __init__(self, plan: t.Mapping[str, t.Any], facts: Facts, drain: t.Collection[str]) -> None:
        self._plan = plan
        self._facts = facts
        self._drain = drain
        self._placements: list[dict[str, t.Any]] = list(plan["placements"])
        self.broken: list[str] = []

    def sources(self) -> None:
        """Every source is a device of the facts and is placed, or left behind, once."""
        named = [_key(each["source"]) for each in (*self._placements, *self._plan["unplaced"])]
        for key, count in Counter(named).items():
            if count > 1:
                self.broken.append(f"{key} is placed or left behind {count} times")
            if self._device(*key) is None:
                self.broken.append(f"source {key} is in no facts")

    def guests(self) -> None:
        """All devices of a guest go to one host, and none of a moved guest stays."""
        moves = {_key(each["source"]): each["target"]["host"] for each in self._placements}
        together: dict[tuple[str, int], set[str | None]] = {}
        for host, facts in self._facts.items():
            for device in facts["devices"]:
                pid = (device["in_use"] or {}).get("pid")
                if pid is not None:
                    together.setdefault((host, pid), set()).add(moves.get((host, device["id"])))
        for (host, pid), targets in together.items():
            if len(targets) > 1:
                self.broken.append(f"the devices of process {pid} on {host} do not go to one host")

    def targets(self) -> None:
        """Every target is on another host that is not drained, serves one source, and is compatible with it."""
        used = Counter(_key(each["target"]) for each in self._placements)
        self.broken.extend(f"target {key} serves {n} sources" for key, n in used.items() if n > 1)
        for placement in self._placements:
            source, target = placement["source"], placement["target"]
            if target["host"] in self._drain or target["host"] == source["host"]:
                self.broken.append(f"{_key(source)} must not go to {target['host']}")
            elif target["create"]:
                self._created(placement)
            else:
                self._existing(placement)

    def capacity(self) -> None:
        """Under each parent one type is made, and no more of it than there are instances."""
        made: dict[tuple[str, str], Counter[str]] = {}
        for placement in self._placements:
            target = placement["target"]
            if target["create"]:
                key = (target["host"], target["parent"])
                made.setdefault(key, Counter())[target["type"]] += _instances(target)
        for (host, parent), types in made.items():
            if len(types) > 1:
                self.broken.append(f"{sorted(types)} are all made under {parent} on {host}")
            for mdev_type, count in types.items():
                offered = self._type(host, parent, mdev_type)
                if offered is None or count > offered["available_instances"]:
                    self.broken.append(
                        f"{count} of {mdev_type} are not to be had under {parent} on {host}"
                    )

    def derived_tables(self) -> None:
        """``map`` and ``hosts`` say the same as the placements."""
        mapping: dict[str, dict[str, str]] = {}
        listed = []
        for placement in self._placements:
            source, target = placement["source"], placement["target"]
            mapping.setdefault(source["host"], {})[source["id"]] = target["id"]
            if target["kind"] == "mdev":
                listed.append((target["host"], target["id"], target["parent"], target["type"]))
        if mapping != self._plan["map"]:
            self.broken.append("'map' is not what the placements say")
        hosts = [
            (host, device["uuid"], device["parent"], device["type"])
            for host, entry in self._plan["hosts"].items()
            for device in entry["devices"]
        ]
        if sorted(hosts) != sorted(listed):
            self.broken.append("'hosts' is not what the placements say")

    def _existing(self, placement: dict[str, t.Any]) -> None:
        key = _key(placement["target"])
        target = self._device(*key)
        if target is None:
            self.broken.append(f"target {key} is in no facts")
            return
        if target["in_use"] is not None:
            self.broken.append(f"target {key} is held by a process")
        if key in {_key(each["source"]) for each in self._placements}:
            self.broken.append(f"target {key} is to be moved itself")
        source = self._descriptor(*_key(placement["source"]))
        descriptor = self._descriptor(*key)
        if source is None or descriptor is None:
            self.broken.append(f"{_key(placement['source'])} or {key} has no descriptor")
        elif not self._accepted(source, descriptor):
            self.broken.append(f"{key} is not compatible with {_key(placement['source'])}")

    def _created(self, placement: dict[str, t.Any]) -> None:
        target = placement["target"]
        key = _key(target)
        if self._device(*key) is not None:
            self.broken.append(f"{key} is to be created and exists")
        parent = self._parent(target["host"], target["parent"])
        offered = self._type(target["host"], target["parent"], target["type"])
        source = self._descriptor(*_key(placement["source"]))
        if parent is None or offered is None or source is None:
            self.broken.append(f"{key} has no such parent or type, or its source no descriptor")
            return
        # What is certain of the new device; the rest it must say itself, which vfio_mdev verifies.
        known = {"type": offered["id"], "device_api": offered["device_api"]}
        if parent["pci_id"] is not None:
            known["pci_id"] = parent["pci_id"]
        for attribute in target["attributes"]:
            known[attribute["name"].split("/")[-1]] = attribute["value"]
        if not any(_completes(pattern, known) for pattern in source.compatible):
            self.broken.append(f"{key} would not be compatible with {_key(placement['source'])}")

    def _accepted(self, source: Descriptor, target: Descriptor) -> bool:
        listed, accepted = (
            _pattern.match(owner.compatible, subject.self_attributes, owner.version, is_target)[
                "set"
            ]
            is not None
            for owner, subject, is_target in ((source, target, True), (target, source, False))
        )
        direction = self._plan["direction"]
        if direction == "source_lists":
            return listed
        if direction == "target_accepts":
            return accepted
        return (listed and accepted) if direction == "both" else (listed or accepted)

    def _device(self, host: str, device_id: str) -> t.Mapping[str, t.Any] | None:
        return _named(self._facts.get(host, {}).get("devices", ()), device_id)

    def _parent(self, host: str, parent: str) -> t.Mapping[str, t.Any] | None:
        return _named(self._facts.get(host, {}).get("parents", ()), parent)

    def _type(self, host: str, parent: str, mdev_type: str) -> t.Mapping[str, t.Any] | None:
        return _named((self._parent(host, parent) or {}).get("types", ()), mdev_type)

    def _descriptor(self, host: str, device_id: str) -> Descriptor | None:
        device = self._device(host, device_id)
        if device is None or device["descriptor"] is None:
            return None
        return read_descriptor(self._facts[host]["descriptors"][device["descriptor"]])


def _completes(attributes: dict[str, str], known: dict[str, str]) -> bool:
    try:
        return _pattern.Pattern(attributes).completion(known, {}) is not None
    except _pattern.Void:
        return False


def _key(device: t.Mapping[str, t.Any]) -> tuple[str, str]:
    return (device["host"], device["id"])


def _named(entries: t.Iterable[t.Mapping[str, t.Any]], name: str) -> t.Mapping[str, t.Any] | None:
    return next((entry for entry in entries if entry["id"] == name), None)


def _instances(target: t.Mapping[str, t.Any]) -> int:
    for attribute in target["attributes"]:
        if attribute["name"].split("/")[-1] == "aggregator":
            return int(attribute["value"])
    return 1
