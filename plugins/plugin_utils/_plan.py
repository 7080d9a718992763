# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Plans: which device goes where. Pure.

The planner searches depth first over guests: the first descent is the greedy plan, what follows improves on it or
proves that nothing can. Its room is counted in steps, never in seconds: the same input gives the same plan, byte
for byte.
"""

from __future__ import annotations

import itertools
import typing as t
import uuid
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from ansible_collections.vfio.migration.plugins.plugin_utils._candidates import (
    Candidates,
    Creatable,
    Existing,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet import (
    Device,
    Fleet,
    FleetError,
    Host,
    MdevType,
    Parent,
    obstacle,
    why_unknown,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._sentences import (
    held,
    nearest,
    sentence,
)

POLICIES = ("pack", "spread")
MAX_STEPS = 20_000
# Deeper searches than this are left at the greedy plan.
MAX_GUESTS = 200
# Made for this collection: names the UUIDs of targets whose source's own cannot be kept.
_NAMESPACE = uuid.UUID("6f0c2f4e-3c61-5d0c-9a55-0e4b8d2f7a11")


@dataclass(frozen=True, slots=True)
class Guest:
    """Devices that move together; ``name`` is ``None`` for a device that no process holds."""

    name: str | None
    devices: tuple[Device, ...]

    @property
    def key(self) -> tuple[str, str, str]:
        return (self.devices[0].host, self.name or "", self.devices[0].id)


@dataclass(frozen=True, slots=True)
class Option:
    """One target for one device: ``existing``, or an mdev of ``mdev_type`` to be made under ``parent``."""

    host: str
    existing: Existing | None = None
    parent: Parent | None = None
    mdev_type: MdevType | None = None
    creatable: Creatable | None = None

    def prepared_for(self, source: Device) -> bool:
        """Whether this is the device that an earlier plan had made for ``source``."""
        if self.existing is None:
            return False
        return self.existing.device.id in (source.id, next(_named_ids(source, self.host)))

    @property
    def type(self) -> str | None:
        if self.existing is not None:
            return self.existing.device.type
        return self.mdev_type.id if self.mdev_type else None


@dataclass(slots=True)
class Request:
    """What is to be moved where.

    ``avoid`` has the places where nothing may go, ``(host, parent)`` or ``(host, None)`` for a whole host, and why.
    """

    guests: list[Guest]
    targets: list[str]
    direction: str = "source_lists"
    policy: str = "pack"
    avoid: t.Mapping[tuple[str, str | None], str] = field(default_factory=dict)

    def why_avoided(self, host: str, parent: str | None) -> str | None:
        """Why nothing may go under ``parent`` of ``host``; ``None`` where something may."""
        return self.avoid.get((host, None), self.avoid.get((host, parent)))


def requested(
    fleet: Fleet,
    drain: t.Collection[str] | None,
    sources: t.Sequence[t.Any] | None,
) -> list[Guest]:
    """The guests that ``drain`` (hosts) or ``sources`` (guest names and ``{host, id}``) name; raises ``FleetError``."""
    if (drain is None) == (sources is None):
        raise FleetError("what to move is either 'drain' or 'sources': give exactly one of them")
    guests = _guests(fleet)
    if drain is not None:
        for name in drain:
            if name not in fleet.hosts:
                raise FleetError(f"cannot drain {name}: {why_unknown(fleet, name)}")
        return [guest for guest in guests if guest.devices[0].host in drain]
    chosen: list[Guest] = []
    for source in sources or ():
        found = [guest for guest in guests if _names(source, guest)]
        if not found:
            raise FleetError(f"no guest or device in the fleet's facts is {_shown_source(source)}")
        chosen.extend(guest for guest in found if guest not in chosen)
    return sorted(chosen, key=lambda guest: guest.key)


def nearest_reasons(
    fleet: Fleet, source: Device, host: str, direction: str
) -> list[dict[str, t.Any]]:
    """The reasons of what on ``host`` comes nearest to receiving ``source``, as a verdict has them."""
    misses = _nearest_misses(fleet.hosts[host], Candidates(fleet, direction), source)
    return misses[0][1] if misses else []


def make_plan(fleet: Fleet, request: Request) -> dict[str, t.Any]:
    """The plan of the public contract: ``status``, ``placements``, ``unplaced``, ``hosts`` and ``map``."""
    return _Planner(fleet, request).plan()


def _guests(fleet: Fleet) -> list[Guest]:
    held: dict[tuple[str, t.Any], list[Device]] = defaultdict(list)
    for device in fleet.devices():
        holder = device.in_use
        known = holder is not None and holder.pid is not None
        held[(device.host, holder.pid if known and holder else device.id)].append(device)
    guests = []
    for devices in held.values():
        holder = devices[0].in_use
        guests.append(Guest(holder.name if holder else None, tuple(devices)))
    return sorted(guests, key=lambda guest: guest.key)


def _names(source: t.Any, guest: Guest) -> bool:
    if isinstance(source, t.Mapping):
        return any(
            source.get("host") == device.host and source.get("id") == device.id
            for device in guest.devices
        )
    return guest.name is not None and source == guest.name


def _shown_source(source: t.Any) -> str:
    if isinstance(source, t.Mapping):
        return f"{source.get('id')} on {source.get('host')}"
    return f"'{source}'"


@dataclass(slots=True)
class _Room:
    """What a plan in the making has taken: existing devices, and per parent the one type made there and its instances.

    One type per parent is safe under every way in which drivers share a parent's capacity between its types.
    """

    devices: set[tuple[str, str]] = field(default_factory=set)
    types: dict[tuple[str, str], str] = field(default_factory=dict)
    instances: Counter[tuple[str, str]] = field(default_factory=Counter)
    load: Counter[str] = field(default_factory=Counter)

    def shortage(self, option: Option) -> str | None:
        """Why ``option`` is not to be had any more; ``None`` where it is."""
        if option.existing is not None:
            taken = option.existing.device.id
            return (
                f"{taken} is taken by this plan" if (option.host, taken) in self.devices else None
            )
        if option.parent is None or option.mdev_type is None or option.creatable is None:
            return None
        key = (option.host, option.parent.id)
        if self.types.get(key, option.mdev_type.id) != option.mdev_type.id:
            return f"this plan makes {self.types[key]} under {option.parent.id}"
        left = option.mdev_type.available_instances - self.instances[key]
        if left < option.creatable.instances:
            return (
                f"not enough of {option.mdev_type.id} left under {option.parent.id} on {option.host}:"
                f" {option.creatable.instances} needed, {left} of {option.mdev_type.available_instances}"
                " available_instances not taken by this plan"
            )
        return None

    def take(self, option: Option) -> None:
        self.load[option.host] += 1
        if option.existing is not None:
            self.devices.add((option.host, option.existing.device.id))
        elif option.parent and option.mdev_type and option.creatable:
            key = (option.host, option.parent.id)
            self.types[key] = option.mdev_type.id
            self.instances[key] += option.creatable.instances

    def give_back(self, option: Option) -> None:
        self.load[option.host] -= 1
        if option.existing is not None:
            self.devices.remove((option.host, option.existing.device.id))
        elif option.parent and option.creatable:
            key = (option.host, option.parent.id)
            self.instances[key] -= option.creatable.instances
            if not self.instances[key]:
                del self.instances[key], self.types[key]


_Placed = list[tuple[Guest, tuple[Option, ...]]]
_Cost = tuple[int, int, int, int, int, int]


class _Planner:
    def __init__(self, fleet: Fleet, request: Request) -> None:
        self._fleet = fleet
        self._request = request
        self._candidates = Candidates(fleet, request.direction)
        self._moving = {(d.host, d.id) for guest in request.guests for d in guest.devices}
        self._open = {(d.host, d.parent) for d in fleet.devices() if d.kind == "mdev"}
        self._options: dict[tuple[str, str], dict[str, list[Option]]] = {}
        self._prepared: set[tuple[str, str]] = set()
        self._room = _Room()
        self._steps = 0
        self._placed: _Placed = []
        self._unplaced = 0
        self._best: tuple[_Cost, _Placed] | None = None

    def plan(self) -> dict[str, t.Any]:
        for guest in self._request.guests:
            for device in guest.devices:
                found = self._options[(device.host, device.id)] = {
                    name: options
                    for name in self._request.targets
                    if name != device.host and (options := self._options_on(name, device))
                }
                if any(options[0].prepared_for(device) for options in found.values()):
                    self._prepared.add((device.host, device.id))
        placeable = [guest for guest in self._request.guests if self._hosts_for(guest)]
        placeable.sort(key=lambda g: (len(self._hosts_for(g)), -len(g.devices), g.key))
        proven = self._search(placeable)
        placed = sorted(self._best[1] if self._best else [], key=lambda item: item[0].key)
        placed_keys = {guest.key for guest, chosen in placed}
        left = [guest for guest in self._request.guests if guest.key not in placed_keys]
        if left:
            status = "infeasible" if proven or len(placed) == len(placeable) else "unproven"
        else:
            status = "optimal" if proven else "feasible"
        return self._report(status, placed, left)

    # --- what is possible ---

    def _options_on(self, name: str, source: Device) -> list[Option]:
        if obstacle(source) is not None:
            return []
        host = self._fleet.hosts[name]
        options = []
        for device in host.devices:
            existing = self._candidates.existing(source, device)
            if existing and existing.compatible and self._why_not_free(device) is None:
                options.append(Option(name, existing=existing))
        for parent, mdev_type in self._creatable_on(host):
            made = self._candidates.creatable(source, parent, mdev_type)
            if made and made.compatible:
                options.append(Option(name, None, parent, mdev_type, made))
        return sorted(options, key=lambda option: self._preference(source, option))

    def _creatable_on(self, host: Host) -> t.Iterator[tuple[Parent, MdevType]]:
        for parent in host.parents:
            if self._request.why_avoided(host.name, parent.id) is None:
                for mdev_type in parent.types:
                    yield parent, mdev_type

    def _why_not_free(self, device: Device) -> str | None:
        if (device.host, device.id) in self._moving:
            return "it is to be moved itself"
        if obstacle(device) is not None:
            return obstacle(device)
        avoided = self._request.why_avoided(device.host, device.parent)
        if avoided is not None:
            return f"it is to be avoided: {avoided}"
        return held(device)

    def _preference(self, source: Device, option: Option) -> tuple[t.Any, ...]:
        opens = option.parent is not None and (option.host, option.parent.id) not in self._open
        return (
            not option.prepared_for(source),
            option.existing is None,
            opens if self._request.policy == "pack" else False,
            option.type != source.type,
            option.parent.id if option.parent else "",
            option.type or "",
            option.existing.device.id if option.existing else "",
        )

    def _hosts_for(self, guest: Guest) -> list[str]:
        """The hosts that have an option for each of the guest's devices."""
        possible = [set(self._options[(d.host, d.id)]) for d in guest.devices]
        return [name for name in self._request.targets if all(name in names for names in possible)]

    # --- search ---

    def _search(self, guests: list[Guest]) -> bool:
        """Finds the best plan; true where it is proven to be."""
        if len(guests) > MAX_GUESTS:
            for guest in guests:
                chosen = next(self._choices(guest), None)
                if chosen:
                    self._put(guest, chosen)
            self._best = (self._cost(), self._placed)
            self._room = _Room()
            return False
        self._descend(guests, 0)
        return self._steps < MAX_STEPS

    def _descend(self, guests: list[Guest], index: int) -> None:
        if self._best is not None and (self._cost() >= self._best[0] or self._steps >= MAX_STEPS):
            return
        if index == len(guests):
            self._best = (self._cost(), list(self._placed))
            return
        guest = guests[index]
        for chosen in self._choices(guest):
            self._put(guest, chosen)
            self._descend(guests, index + 1)
            self._take_back(chosen)
            if self._steps >= MAX_STEPS:
                return
        self._unplaced += len(guest.devices)
        self._descend(guests, index + 1)
        self._unplaced -= len(guest.devices)

    def _choices(self, guest: Guest) -> t.Iterator[tuple[Option, ...]]:
        """Every way to place the guest in the room that is left, the most promising first; the room is as it was at each."""
        sign = 1 if self._request.policy == "spread" else -1

        def preference(name: str) -> tuple[int, int]:
            options = (self._options[(d.host, d.id)][name][0] for d in guest.devices)
            prepared = (
                each.prepared_for(d) for d, each in zip(guest.devices, options, strict=True)
            )
            return -sum(prepared), sign * self._room.load[name]

        for name in sorted(self._hosts_for(guest), key=preference):
            yield from self._choices_on(name, guest.devices)

    def _choices_on(
        self, name: str, devices: tuple[Device, ...], chosen: tuple[Option, ...] = ()
    ) -> t.Iterator[tuple[Option, ...]]:
        if len(chosen) == len(devices):
            self._steps += 1
            for option in chosen:
                self._room.give_back(option)
            yield chosen
            for option in chosen:
                self._room.take(option)
            return
        device = devices[len(chosen)]
        for option in self._options[(device.host, device.id)][name]:
            if self._room.shortage(option) is None:
                self._room.take(option)
                yield from self._choices_on(name, devices, (*chosen, option))
                self._room.give_back(option)

    def _put(self, guest: Guest, chosen: tuple[Option, ...]) -> None:
        for option in chosen:
            self._room.take(option)
        self._placed.append((guest, chosen))

    def _take_back(self, chosen: tuple[Option, ...]) -> None:
        self._placed.pop()
        for option in chosen:
            self._room.give_back(option)

    def _cost(self) -> _Cost:
        """What the plan so far costs, tier by tier; adding a guest never lowers it.

        Devices that are there come before new ones, and those made for this source before others: so a plan that
        was carried out is found again, and nothing is left to do.
        """
        if self._request.policy == "pack":
            spread = len([key for key in self._room.types if key not in self._open])
        else:
            spread = max(self._room.load.values(), default=0)
        made_again = new = other_types = other_ids = 0
        for guest, chosen in self._placed:
            for device, option in zip(guest.devices, chosen, strict=True):
                prepared = (device.host, device.id) in self._prepared
                made_again += prepared and not option.prepared_for(device)
                new += option.existing is None
                other_types += option.type != device.type
                other_ids += option.existing is not None and option.existing.device.id != device.id
        return (self._unplaced, made_again, new, spread, other_types, other_ids)

    # --- the plan as the contract has it ---

    def _report(self, status: str, placed: _Placed, left: list[Guest]) -> dict[str, t.Any]:
        taken = {name: {d.id for d in host.devices} for name, host in self._fleet.hosts.items()}
        for option in itertools.chain.from_iterable(chosen for guest, chosen in placed):
            self._room.take(option)
        placements = [
            self._placement(guest, device, option, taken[option.host])
            for guest, chosen in placed
            for device, option in zip(guest.devices, chosen, strict=True)
        ]
        hosts: dict[str, t.Any] = {}
        mapping: dict[str, dict[str, str]] = {}
        for placement in placements:
            source, target = placement["source"], placement["target"]
            mapping.setdefault(source["host"], {})[source["id"]] = target["id"]
            if target["kind"] == "mdev":
                devices = hosts.setdefault(target["host"], {"devices": []})["devices"]
                devices.append(self._for_vfio_mdev(source, target))
        return {
            "status": status,
            "direction": self._request.direction,
            "policy": self._request.policy,
            "placements": placements,
            "unplaced": [
                self._left_behind(guest, device) for guest in left for device in guest.devices
            ],
            "hosts": dict(sorted(hosts.items())),
            "map": mapping,
            "unknown": self._fleet.unknown,
        }

    def _placement(
        self, guest: Guest, source: Device, option: Option, taken: set[str]
    ) -> dict[str, t.Any]:
        if option.existing is not None:
            device, verdict = option.existing.device, option.existing.verdict
            target: dict[str, t.Any] = {
                "host": option.host,
                "kind": device.kind,
                "id": device.id,
                "parent": device.parent,
                "type": device.type,
                "attributes": [],
                "create": False,
            }
            found = {key: verdict[key] for key in ("set", "bindings", "certainty", "warnings")}
        else:
            target = {
                "host": option.host,
                "kind": "mdev",
                "id": _new_id(source, option.host, taken),
            }
            found = {"certainty": "provisional"}
            if option.parent and option.mdev_type and option.creatable:
                made = option.creatable
                target |= {
                    "parent": option.parent.id,
                    "type": option.mdev_type.id,
                    "attributes": [{"name": n, "value": v} for n, v in made.attributes],
                    "create": True,
                }
                found |= {"set": made.set, "bindings": made.bindings, "warnings": made.warnings}
        return {"vm": guest.name, "source": source.label, "target": target} | found

    def _for_vfio_mdev(self, source: dict[str, str], target: dict[str, t.Any]) -> dict[str, t.Any]:
        device = {
            "uuid": target["id"],
            "parent": target["parent"],
            "type": target["type"],
            "attributes": target["attributes"],
        }
        descriptor = next(
            d.descriptor for d in self._fleet.hosts[source["host"]].devices if d.id == source["id"]
        )
        if self._request.direction in ("source_lists", "both") and descriptor is not None:
            # A set that leaves the version out means the source's own; the target's host does not know that.
            version = {"software_version": descriptor.version}
            device["accept"] = [version | attributes for attributes in descriptor.compatible]
        return device

    def _left_behind(self, guest: Guest, device: Device) -> dict[str, t.Any]:
        own = obstacle(device)
        if own is not None:
            reasons = [{"host": device.host, "reason": own}]
        else:
            reasons = [
                {"host": name, "reason": reason}
                for name in self._request.targets
                if name != device.host
                for reason in self.obstacles(name, guest, device)
            ]
        return {"vm": guest.name, "source": device.label, "reasons": reasons}

    def obstacles(self, name: str, guest: Guest, source: Device) -> list[str]:
        """What stands in the way of ``source`` on host ``name``, nearest first, in sentences."""
        options = self._options[(source.host, source.id)].get(name, [])
        if not options:
            return self._no_option(self._fleet.hosts[name], source)
        shortages = [shortage for each in options if (shortage := self._room.shortage(each))]
        if len(shortages) == len(options):
            return list(dict.fromkeys(shortages))
        others = [d.id for d in guest.devices if name not in self._options[(d.host, d.id)]]
        if others:
            return [f"no place there for {', '.join(others)} of the same guest"]
        return ["no place there for all devices of the guest at once"]

    def _no_option(self, host: Host, source: Device) -> list[str]:
        busy = [
            f"{device.id} on {host.name} would do, but {why}"
            for device in host.devices
            if (existing := self._candidates.existing(source, device)) and existing.compatible
            if (why := self._why_not_free(device)) is not None
        ]
        avoided = [
            f"{parent.id} on {host.name} is to be avoided: {why}"
            for parent in host.parents
            if (why := self._request.why_avoided(host.name, parent.id)) is not None
            for mdev_type in parent.types
            if (made := self._candidates.creatable(source, parent, mdev_type)) and made.compatible
        ]
        sentences = [
            sentence(reason, where, host.name)
            for where, reasons in _nearest_misses(host, self._candidates, source)
            for reason in reasons
        ]
        nothing = [
            f"{host.name} has no VFIO device with a usable descriptor, and no parent that could make one"
        ]
        return list(dict.fromkeys(busy + avoided or sentences or nothing))


def _nearest_misses(
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


def _new_id(source: Device, host: str, taken: set[str]) -> str:
    """The UUID for a target made on ``host``: the source's own where that is free there, else a name-based one."""
    own = [source.id] if source.kind == "mdev" else []
    ids = itertools.chain(own, _named_ids(source, host))
    chosen = next(each for each in ids if each not in taken)
    taken.add(chosen)
    return chosen


def _named_ids(source: Device, host: str) -> t.Iterator[str]:
    for count in itertools.count():
        yield str(uuid.uuid5(_NAMESPACE, f"{source.host}/{source.id}/{host}/{count}"))
