# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The verifier: re-checks a finished plan against the raw facts, with none of the planner's code. Pure."""

from __future__ import annotations

import json
import re
import typing as t
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from fractions import Fraction

from ansible_collections.vfio.migration.plugins.module_utils._descriptor import (
    pattern as pattern_module,
)
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.virtio import feature_names
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.verdict import decide
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.descriptor import (
    Descriptor,
    read_descriptor,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import PROPORTIONAL

Facts = t.Mapping[str, t.Mapping[str, t.Any]]
Key = tuple[str, str]
_Entry = t.Mapping[str, t.Any]

# What new devices of a kind may be called.
_NAMES = {
    "mdev": re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    "vdpa": re.compile("[A-Za-z0-9_][A-Za-z0-9_.:-]{0,99}"),
}


@dataclass(frozen=True, slots=True)
class Conditions:
    """What was asked of a plan: the hosts to be emptied, those that may receive, and what else it was to keep to."""

    drain: t.Collection[str] = ()
    targets: t.Collection[str] | None = None
    avoid: t.Collection[tuple[str, str | None]] = ()
    limit: int | t.Mapping[str, int] | None = None
    apart: t.Sequence[t.Collection[str]] = ()
    numa_local: bool = False
    keep_kind: bool = False
    keep_type: bool = False
    round_trip: bool = False


_NO_CONDITIONS = Conditions()


def violations(plan: _Entry, facts: Facts, conditions: Conditions = _NO_CONDITIONS) -> list[str]:
    """The rules that ``plan`` breaks, in sentences; empty for a sound plan.

    ``facts`` maps host to its ``vfio_migration`` facts.
    """
    check = _Check(plan, _Known(facts), conditions)
    check.sources()
    check.guests()
    check.targets()
    check.capacity()
    check.conditions()
    check.status()
    check.cost()
    check.derived_tables()
    return check.broken


@dataclass(slots=True)
class _Known:
    """The raw facts, by the names of what they tell of."""

    facts: Facts
    devices: dict[Key, _Entry] = field(init=False)
    parents: dict[Key, _Entry] = field(init=False)
    _descriptors: dict[str, Descriptor] = field(default_factory=dict)
    _named: dict[Key, Descriptor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.devices, self.parents = (
            {
                (host, entry["id"]): entry
                for host, facts in self.facts.items()
                for entry in facts[of]
            }
            for of in ("devices", "parents")
        )

    def descriptor(self, host: str, name: str | None) -> Descriptor | None:
        """A descriptor by the name it has in its host's facts; equal ones are read once."""
        if name is None:
            return None
        if (host, name) not in self._named:
            raw = self.facts[host]["descriptors"][name]
            key = json.dumps(raw, sort_keys=True, default=str)
            if key not in self._descriptors:
                self._descriptors[key] = read_descriptor(raw)
            self._named[(host, name)] = self._descriptors[key]
        return self._named[(host, name)]

    def descriptor_of(self, key: Key) -> Descriptor | None:
        """The descriptor of a device."""
        return self.descriptor(key[0], self.devices[key]["descriptor"])

    def offered(self, host: str, parent: str, mdev_type: str) -> _Entry | None:
        """A type of a parent."""
        types = self.parents.get((host, parent), {}).get("types", ())
        return next((entry for entry in types if entry["id"] == mdev_type), None)


class _Check:
    def __init__(self, plan: _Entry, known: _Known, conditions: Conditions) -> None:
        self._plan = plan
        self._known = known
        self._conditions = conditions
        self._drained = frozenset(conditions.drain)
        self._receiving = frozenset(
            known.facts if conditions.targets is None else conditions.targets
        )
        self._placements: list[dict[str, t.Any]] = list(plan["placements"])
        self._waves = {_key(each["source"]): each["wave"] for each in self._placements}
        self._left = {_key(each["source"]) for each in plan["unplaced"]}
        self._accepts: dict[tuple[str, str], bool] = {}
        self._completes: dict[tuple[t.Any, ...], bool] = {}
        self.broken: list[str] = []

    def sources(self) -> None:
        """Every source is a device of the facts and is placed, or left behind, once; of a drained host each is."""
        named = Counter(
            _key(each["source"]) for each in (*self._placements, *self._plan["unplaced"])
        )
        for key, count in named.items():
            if count > 1:
                self.broken.append(f"{key} is placed or left behind {count} times")
            if key not in self._known.devices:
                self.broken.append(f"source {key} is in no facts")
        self.broken.extend(
            f"{key} is neither placed nor left behind"
            for key in self._known.devices
            if key[0] in self._drained and key not in named
        )

    def guests(self) -> None:
        """All devices of a guest go to one host, in one wave, and none of a moved guest stays."""
        moves = {
            _key(each["source"]): (each["target"]["host"], each["wave"])
            for each in self._placements
        }
        together: dict[tuple[str, int], set[tuple[str, int] | None]] = defaultdict(set)
        for (host, device_id), device in self._known.devices.items():
            pid = (device["in_use"] or {}).get("pid")
            if pid is not None:
                together[(host, pid)].add(moves.get((host, device_id)))
        for (host, pid), targets in together.items():
            if len(targets) > 1:
                self.broken.append(f"the devices of process {pid} on {host} do not go to one host")

    def targets(self) -> None:
        """Every target may be one, is on another host, serves one source, and is compatible with it."""
        used = Counter(_key(each["target"]) for each in self._placements)
        self.broken.extend(f"target {key} serves {n} sources" for key, n in used.items() if n > 1)
        for placement in self._placements:
            source, target = _key(placement["source"]), placement["target"]
            if source not in self._known.devices:
                continue
            if not self._may_receive(target, source[0]):
                self.broken.append(
                    f"{source} must not go to {target['parent']} on {target['host']}"
                )
            elif target["create"]:
                self._created(source, target)
            else:
                self._existing(source, target, placement["wave"])

    def capacity(self) -> None:
        """Under each parent no more is made than there is room for; of most drivers' parents, of one type only."""
        made: dict[Key, Counter[str]] = defaultdict(Counter)
        for placement in self._placements:
            target = placement["target"]
            if target["create"]:
                made[(target["host"], target["parent"])][target["type"]] += _instances(target)
        given = Counter(
            (each["target"]["host"], each["target"]["parent"])
            for each in self._placements
            if each["target"]["attributes"] and not each["target"]["create"]
        )
        self.broken.extend(
            f"{n} functions of {card} are given a type" for card, n in given.items() if n > 1
        )
        for (host, parent), types in made.items():
            taken = Fraction(0)
            for mdev_type, count in types.items():
                offered = self._known.offered(host, parent, mdev_type)
                available = offered["available_instances"] if offered else 0
                if count > available:
                    self.broken.append(
                        f"{count} of {mdev_type} are not to be had under {parent} on {host}"
                    )
                    break
                taken += Fraction(count, available)
            driver = self._known.parents.get((host, parent), {}).get("driver")
            if len(types) > 1 and (driver not in PROPORTIONAL or taken > 1):
                self.broken.append(f"{sorted(types)} are all made under {parent} on {host}")

    def conditions(self) -> None:
        """What else was asked for holds: limits, guests kept apart, NUMA nodes and types."""
        asked = self._conditions
        for host, count in Counter(each["target"]["host"] for each in self._placements).items():
            limit = asked.limit.get(host) if isinstance(asked.limit, t.Mapping) else asked.limit
            if limit is not None and count > limit:
                self.broken.append(f"{host} receives {count} devices, and {limit} at most")
        for group in asked.apart:
            for host, names in self._members(group).items():
                if len(names) > 1:
                    self.broken.append(f"{sorted(names)} are to be apart and all on {host}")
        if asked.numa_local:
            self._check_nodes()
        for placement in self._placements:
            source = self._known.devices.get(_key(placement["source"]), {})
            if asked.keep_kind and placement["target"]["kind"] != source.get("kind"):
                self.broken.append(f"{_key(placement['source'])} does not keep its kind")
            if asked.keep_type and placement["target"]["type"] != source.get("type"):
                self.broken.append(f"{_key(placement['source'])} does not keep its type")

    def status(self) -> None:
        """``status`` says whether all is placed, and a shortage that it names is one."""
        complete = self._plan["status"] in ("optimal", "feasible")
        if complete != (not self._plan["unplaced"]):
            self.broken.append(f"status is {self._plan['status']}")
        shortage = self._plan["shortage"]
        if shortage is not None:
            short = {_key(device) for device in shortage["devices"]}
            placed = len(short & self._waves.keys())
            if shortage["need"] != len(short) or not placed <= shortage["reachable"] < len(short):
                self.broken.append(f"of {len(short)} devices {placed} are placed: no such shortage")

    def cost(self) -> None:
        """``cost`` counts what the placements do, ``bound`` is not above it, and where both are equal the plan is optimal."""
        cost, bound = self._plan["cost"], self._plan["bound"]
        if cost is None:
            return
        counted = self._counted()
        for name in cost.keys() & counted.keys():
            if cost[name] != counted[name]:
                self.broken.append(
                    f"'cost' has {cost[name]} {name}, and the placements {counted[name]}"
                )
        optimal = bound == cost and not cost["unplaced"]
        if optimal != (self._plan["status"] == "optimal"):
            self.broken.append(f"status is {self._plan['status']}, cost {cost} and bound {bound}")
        if bound is not None and any(bound[name] > number for name, number in cost.items()):
            self.broken.append(f"cost {cost} is below the bound {bound}")

    def derived_tables(self) -> None:
        """``map`` and ``hosts`` say the same as the placements."""
        mapping: dict[str, dict[str, str]] = {}
        listed: list[tuple[t.Any, ...]] = []
        for placement in self._placements:
            source, target = placement["source"], placement["target"]
            mapping.setdefault(source["host"], {})[source["id"]] = target["id"]
            if target["kind"] == "mdev":
                listed.append(
                    (
                        target["host"],
                        target["id"],
                        target["parent"],
                        target["type"],
                        target["attributes"],
                    )
                )
            elif target["kind"] == "pci":
                listed.append((target["host"], target["id"], target["attributes"]))
            else:
                given = {each["name"]: each["value"] for each in target["attributes"]}
                listed.append((target["host"], target["id"], target["parent"], given))
        if mapping != self._plan["map"]:
            self.broken.append("'map' is not what the placements say")
        hosts: list[tuple[t.Any, ...]] = []
        for host, entry in self._plan["hosts"].items():
            hosts += [
                (host, each["uuid"], each["parent"], each["type"], each["attributes"])
                for each in entry["devices"]
            ]
            hosts += [(host, each["address"], each["attributes"]) for each in entry["pci_devices"]]
            hosts += [
                (host, each["name"], each["mgmtdev"], _provisioned(each))
                for each in entry["vdpa_devices"]
            ]
        if sorted(hosts, key=str) != sorted(listed, key=str):
            self.broken.append("'hosts' is not what the placements say")

    def _counted(self) -> dict[str, int]:
        """The numbers by which a plan is judged that the facts tell."""
        targets = [each["target"] for each in self._placements]
        opened = {(target["host"], target["parent"]) for target in targets if target["create"]}
        opened -= {
            (key[0], device["parent"])
            for key, device in self._known.devices.items()
            if device["kind"] == "mdev"
        }
        other = (
            each
            for each in self._placements
            if each["target"]["type"]
            != self._known.devices.get(_key(each["source"]), {}).get("type")
        )
        received = Counter(each["target"]["host"] for each in self._placements)
        return {
            "unplaced": len(self._plan["unplaced"]),
            "created": sum(1 for each in targets if each["create"] or each["attributes"]),
            "load": max(received.values(), default=0),
            "opened": len(opened),
            "other_type": sum(1 for each in other),
        }

    # --- targets ---

    def _may_receive(self, target: _Entry, source_host: str) -> bool:
        host, asked = target["host"], self._conditions
        return (
            host != source_host
            and host in self._known.facts
            and host not in self._drained
            and host in self._receiving
            and (host, None) not in asked.avoid
            and (host, target["parent"]) not in asked.avoid
        )

    def _existing(self, source: Key, entry: _Entry, wave: int) -> None:
        target = _key(entry)
        device = self._known.devices.get(target)
        if device is None:
            self.broken.append(f"target {target} is in no facts")
            return
        if any(entry[k] != device[k] for k in ("kind", "parent", "type")):
            self.broken.append(f"target {target} is another device than the plan says")
        vacated = self._waves.get(target)
        if device["in_use"] is not None and vacated is None:
            self.broken.append(f"target {target} is held by a process")
        if vacated is not None and vacated >= wave:
            self.broken.append(f"target {target} is only left in wave {vacated}")
        if target in self._left:
            self.broken.append(f"target {target} is left behind itself")
        if entry["attributes"]:
            self._given(source, device, entry)
            return
        if not self._compatible(source, target):
            self.broken.append(f"{target} is not compatible with {source}")
        if self._conditions.round_trip and not self._compatible(source=target, target=source):
            self.broken.append(f"{source} could not migrate back from {target}")

    def _given(self, source: Key, device: _Entry, entry: _Entry) -> None:
        """A device that is of no use yet is given what it takes, and is then what its source wants."""
        target, first = _key(entry), entry["attributes"][0]
        takes = {each["name"]: each.get("choices") for each in device["attributes"]}
        if (
            first["value"] not in (takes.get(first["name"]) or ())
            or not {each["name"] for each in entry["attributes"]} <= takes.keys()
        ):
            self.broken.append(f"target {target} does not take its attributes")
        one, other = self._known.descriptor_of(source), self._known.descriptor_of(target)
        if one is None or other is None:
            self.broken.append(f"{target} or {source} has no descriptor")
            return
        given = {each["name"].split("/")[-1]: each["value"] for each in entry["attributes"]}
        subject = other.self_attributes | given
        own = [
            {name: value.replace("{", "{{").replace("}", "}}") for name, value in subject.items()}
        ]
        listed = pattern_module.match(one.compatible, subject, one.version, True)["set"] is not None
        accepted = (
            pattern_module.match(own, one.self_attributes, other.version, False)["set"] is not None
        )
        back = (
            pattern_module.match(own, one.self_attributes, other.version, True)["set"] is not None
        )
        if not decide(self._plan["direction"], listed, accepted):
            self.broken.append(f"{target} would not be compatible with {source}")
        if self._conditions.round_trip and not back:
            self.broken.append(f"{source} could not migrate back from {target}")

    def _created(self, source: Key, target: _Entry) -> None:
        key = _key(target)
        if key in self._known.devices:
            self.broken.append(f"{key} is to be created and exists")
        parent = self._known.parents.get((target["host"], target["parent"]))
        name = _NAMES.get(target["kind"])
        if name is None or not name.fullmatch(target["id"]):
            self.broken.append(f"{key} is to be created and cannot be")
        if parent is not None and parent["kind"] != target["kind"]:
            self.broken.append(f"{key} is of another kind than its parent's devices")
        offered = self._known.offered(target["host"], target["parent"], target["type"])
        descriptor = self._known.descriptor_of(source)
        if parent is None or offered is None or descriptor is None:
            self.broken.append(f"{key} has no such parent or type, or its source no descriptor")
            return
        # What is certain of the new device; the rest it must say itself, which vfio_mdev verifies.
        known = _certain(parent, offered)
        for attribute in target["attributes"]:
            known[attribute["name"].split("/")[-1]] = attribute["value"]
        if target["kind"] == "vdpa":
            known = self._provisioned(key, parent, known, descriptor)
        if not self._would_match(descriptor, known):
            self.broken.append(f"{key} would not be compatible with {source}")

    def _provisioned(
        self, key: Key, parent: _Entry, known: dict[str, str], descriptor: Descriptor
    ) -> dict[str, str]:
        """What a new vDPA device is, of the features it has those and no others."""
        mask = int(known.pop("device_features", "0"), 16)
        if mask & ~int(parent["dev_features_mask"] or "0", 16):
            self.broken.append(f"{key} is to have features that {parent['id']} does not offer")
        most = parent["max_supported_vqs"]
        if most is not None and 2 * int(known.get("max_vqp", "0")) > most:
            self.broken.append(f"{key} is to have more queues than {parent['id']} offers")
        names = {name for each in descriptor.compatible for name in each}
        features = {f"feature_{each}" for each in feature_names(mask, known["type"])}
        absent = dict.fromkeys({n for n in names if n.startswith("feature_")} - features, "")
        given = {name: known.get(name, "") for name in ("mac", "mtu", "max_vqp")}
        return {"software_version": "1.0", **known, **given, **absent}

    def _compatible(self, source: Key, target: Key) -> bool:
        one, other = self._known.descriptor_of(source), self._known.descriptor_of(target)
        if one is None or other is None:
            return False
        key = (one.digest, other.digest)
        if key not in self._accepts:
            listed, accepted = (
                pattern_module.match(
                    owner.compatible, subject.self_attributes, owner.version, is_target
                )["set"]
                is not None
                for owner, subject, is_target in ((one, other, True), (other, one, False))
            )
            self._accepts[key] = decide(self._plan["direction"], listed, accepted)
        return self._accepts[key]

    def _would_match(self, descriptor: Descriptor, known: dict[str, str]) -> bool:
        key = (descriptor.digest, *sorted(known.items()))
        if key not in self._completes:
            self._completes[key] = any(
                _completion(pattern, known) is not None for pattern in descriptor.compatible
            )
        return self._completes[key]

    # --- conditions ---

    def _members(self, group: t.Collection[str]) -> dict[str, set[str]]:
        """Where the guests of a group are once the plan is carried out."""
        moves = {_key(each["source"]): each["target"]["host"] for each in self._placements}
        members: dict[str, set[str]] = defaultdict(set)
        for key, device in self._known.devices.items():
            name = (device["in_use"] or {}).get("name", "")
            if name in group and (key in moves or key[0] not in self._drained):
                members[moves.get(key, key[0])].add(name)
        # Those that were together before and both stay are none of the plan's doing.
        arrived = {each["target"]["host"] for each in self._placements if each["vm"] in group}
        return {host: names for host, names in members.items() if host in arrived}

    def _check_nodes(self) -> None:
        nodes: dict[tuple[str, t.Any, str], set[t.Any]] = defaultdict(set)
        for placement in self._placements:
            source, target = _key(placement["source"]), placement["target"]
            device = self._known.devices.get(source)
            pid = ((device and device["in_use"]) or {}).get("pid")
            if pid is not None:
                entry = (
                    self._known.parents.get((target["host"], target["parent"]))
                    if target["create"]
                    else self._known.devices.get(_key(target))
                )
                nodes[(source[0], pid, target["host"])].add((entry or {}).get("numa_node"))
        for (host, pid, target_host), found in nodes.items():
            if len(found) > 1:
                self.broken.append(
                    f"process {pid} of {host} is on several NUMA nodes of {target_host}"
                )


def _provisioned(device: _Entry) -> dict[str, str]:
    """What a device in the list for its host is to be given."""
    given = {name: device[name] for name in ("mac", "mtu", "max_vqp") if name in device}
    features = ",".join(device.get("device_features", ()))
    return given | ({"device_features": features} if features else {})


def _certain(parent: _Entry, offered: _Entry) -> dict[str, str]:
    """What is known of a device before it is made."""
    known = {"type": offered["id"], "device_api": offered["device_api"]}
    if parent["pci_id"]:
        known["pci_id"] = parent["pci_id"]
    return known


def _completion(attributes: dict[str, str], known: dict[str, str]) -> object | None:
    try:
        return pattern_module.Pattern(attributes).completion(known, {})
    except pattern_module.InvalidPattern:
        return None


def _key(device: _Entry) -> Key:
    return (device["host"], device["id"])


def _instances(target: _Entry) -> int:
    for attribute in target["attributes"]:
        if attribute["name"].split("/")[-1] == "aggregator":
            return int(attribute["value"])
    return 1
