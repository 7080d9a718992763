# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The report's section on classes: devices with equal verdicts, and where they could go. Pure."""

from __future__ import annotations

from ansible_collections.vfio.migration.plugins.plugin_utils import contract
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.make import of_one_make
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.verdict import verdict
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.wording import (
    counted,
    sentence,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.descriptor import Descriptor
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.reason import code_of
from ansible_collections.vfio.migration.plugins.plugin_utils._report.causes import Cause
from ansible_collections.vfio.migration.plugins.plugin_utils._report.reachability import (
    Reachability,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._report.wording import first_reasons

MAX_TARGETS = 5


class ClassSection:
    """The classes of the devices that can migrate.

    ``entries`` are the report's, and ``numbers`` their places in it by the names of the classes.
    """

    def __init__(self, reachability: Reachability, direction: str, hosts: int) -> None:
        self._reachability = reachability
        self._direction = direction
        self._table = reachability.pairs["classes"]
        self._alone = hosts == 1
        self.numbers = {name: number for number, name in enumerate(reachability.classes)}
        obstacles = reachability.obstacles()
        self.entries = [self._entry(name, obstacles.get(name, [])) for name in self.numbers]

    def cause(self, name: str, more: bool) -> Cause:
        """Return why devices of the class ``name`` stay, with the nearest miss as an example."""
        entry = self.entries[self.numbers[name]]
        near = [] if entry["targets"] else entry["misses"]
        example = "; ".join(near[0]["reasons"]) if near else None
        return Cause(*self._why(name), example, more)

    def _entry(self, name: str, obstacles: list[tuple[int, list[str]]]) -> contract.ReportedClass:
        reachability, descriptor = self._reachability, self._table[name]
        targets = sorted(reachability.targets[name], key=lambda each: -each["free_targets"])
        staying = reachability.staying(name)
        return {
            "name": name,
            "origin": descriptor["origin"],
            "self": descriptor["self"],
            "compatible": descriptor["compatible"],
            "hosts": len(reachability.on[name]),
            "devices": reachability.on[name].total(),
            "free": reachability.free[name].total(),
            "staying": staying,
            "why": self._why(name)[1] if staying else None,
            "targets": [self._target(each) for each in targets[:MAX_TARGETS]],
            "targets_not_shown": max(0, len(targets) - MAX_TARGETS),
            "creatable": [self._creatable(each) for each in reachability.creatable.get(name, ())],
            "reach": reachability.reachable_groups(name),
            "obstacles": [
                {"host_group": number, **first_reasons(reasons)} for number, reasons in obstacles
            ],
            "misses": [self._miss(name, each) for each in self._misses(name)],
            "barriers": [
                {"attribute": attribute, "classes": each["classes"], "devices": each["devices"]}
                for attribute, each in reachability.pairs["barriers"].get(name, {}).items()
            ],
        }

    def _misses(self, name: str) -> list[contract.NearMiss]:
        """Return what comes nearest of the same kind of hardware; what another kind differs in is of no use."""
        own = self._table[name]["self"]
        return [
            each
            for each in self._reachability.pairs["misses"].get(name, [])
            if of_one_make(own, self._table[each["target"]]["self"])
        ]

    def _creatable(self, device: contract.CreatableDevice) -> contract.CreatableClass:
        hosts, room = self._reachability.free_slots(device)
        return {
            "type": device["type"],
            "attributes": device["attributes"],
            "set": device["set"],
            "bindings": device["bindings"],
            "warnings": device["warnings"],
            "hosts": hosts,
            "room": room,
        }

    def _target(self, pair: contract.ClassPair) -> contract.TargetClass:
        return {
            "class": self.numbers[pair["target"]],
            "devices": pair["targets"],
            "free": pair["free_targets"],
            "set": pair["set"],
            "bindings": pair["bindings"],
            "certainty": pair["certainty"],
            "direction_conflict": pair["direction_conflict"],
            "warnings": pair["warnings"],
        }

    def _why(self, name: str) -> tuple[contract.ReasonCode, str]:
        """Return what keeps devices of a class where they are, as a code and in a sentence."""
        if self._reachability.targets[name]:
            return (
                "no_capacity",
                "no compatible device on another host is free, and none has capacity for a new one",
            )
        misses = self._misses(name)
        if misses:
            reasons = misses[0]["reasons"]
            attributes = {each["attribute"] or "" for each in reasons}
            differ = ", ".join(sorted(attributes - {""}))
            known = "known to be " if misses[0]["certainty"] == "assumed" else ""
            return code_of(reasons[0]), f"no device on another host is {known}compatible" + (
                f"; the closest device differs in {differ}" if differ else ""
            )
        if self._reachability.pairs["misses"].get(name):
            return "no_hardware", "no other host has hardware of its kind, or capacity for it"
        if self._alone:
            return "no_target_host", "there is no other host"
        return "nothing_usable", "no other host has a usable device or capacity"

    def _miss(self, name: str, miss: contract.NearMiss) -> contract.MissedClass:
        by_source = self._source_decides(name, miss["target"])
        subject = miss["target"] if by_source else name
        where = f"{self._table[subject]['self']['type']} on {self._hosts(subject)}"
        host = self._hosts(miss["target"])
        return {
            "class": self.numbers[miss["target"]],
            "devices": miss["devices"],
            "certainty": miss["certainty"],
            "reasons": [sentence(each, where, host, by_source) for each in miss["reasons"]],
        }

    def _source_decides(self, source: str, target: str) -> bool:
        """Return whether it is the source's list that keeps the two classes apart."""
        if self._direction != "both":
            return self._direction != "target_accepts"
        one, other = (self._descriptor(name) for name in (source, target))
        return not verdict(one, other)["compatible"]

    def _descriptor(self, name: str) -> Descriptor:
        entry = self._table[name]
        configuration = entry.get("configuration", {})
        return Descriptor(entry["self"], entry["compatible"], entry["origin"], name, configuration)

    def _hosts(self, name: str) -> str:
        """Return the first host with devices of a class, and how many others have some."""
        first, *others = self._reachability.on[name]
        if not others:
            return first
        return f"{first} and {counted(len(others), 'other host')}"
