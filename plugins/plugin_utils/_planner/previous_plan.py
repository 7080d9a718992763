# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Stable plans: what was planned before is planned again, unless others would have no place for it. Pure.

There are two sources of what was planned before. A plan that is given names the hosts that it relied on, each with a
digest of its facts. Where the facts of both hosts of a guest are still the same, so is what was planned for it, and where
they are not it is as long as its target is there, or can still be made, and matches. The conditions that the plan was
made for go on to hold where no others are given, so that what was approved is what is carried out. And the facts show:
a free device with the name that would be given to a guest's target was made for it. So a plan that was carried out is
found again, in a time that grows with its guests as little as that of the first.

Either pins guests to their targets, and only the others are searched for. Where pins may be in the way of the rest,
``keep_pins`` has everything placed without them as well, and takes what is better.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import json
import typing as t
from collections import Counter, defaultdict

from ansible_collections.vfio.migration.plugins.plugin_utils import contract
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.candidates import (
    Candidates,
    Creatable,
    Existing,
    instances_of,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import (
    Device,
    Fleet,
    Holder,
    Host,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.assignment import (
    Contents,
    Neighbours,
    allows,
    less,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.objective import Cost
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.packings import (
    Packing,
    PackingProblem,
    Packings,
    State,
    Transition,
    tiers,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.admissible import (
    NO_EXCLUSIONS,
    REQUIREMENTS,
    Admission,
    NewDevice,
    StatedTarget,
    asked_of_each,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.backing import (
    Allocation,
    Backing,
    Placement,
    allocate,
    backing_of,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.cards import is_card_parent
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.parent_capacity import (
    capacity_of,
    instances_left,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.placing import (
    newly_made,
    onto,
    placement_of,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.problem import Problem
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import (
    Conditions,
    Guest,
    Request,
    named_id,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.resources import Pool
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import (
    Change,
    StayingDevice,
)

Facts = t.Mapping[str, t.Mapping[str, t.Any]]
Result = t.TypeVar("Result")

# Why a guest is planned again that might have stayed.
_TOGETHER = "moves that wait for each other are planned together"
# What a plan is made of, by part of the facts; the planner does not read the rest, and a problem while gathering is not part of it.
_RELEVANT = {
    "devices": (
        *("kind", "id", "parent", "type", "descriptor", "attributes"),
        *("numa_node", "in_use", "migration", "network"),
    ),
    "parents": (
        *("kind", "id", "driver", "pci_id", "physical_function", "numa_node", "types"),
        *("dev_features_mask", "max_supported_vqs", "self", "configuration"),
    ),
}
_OF_PARTS = {
    "attributes": ("name", "value", "choices", "choice_names"),
    "in_use": ("pid", "name", "uuid"),
    "migration": ("supported", "features"),
    "types": (
        *("id", "name", "device_api", "available_instances"),
        *("max_instance", "framebuffer", "resources"),
    ),
}


def digests(hosts: t.Iterable[str], facts: Facts) -> dict[str, str]:
    """Return a digest of the facts of each host, as far as plans are made of them."""
    return {host: _digest(facts[host]) for host in sorted(hosts)}


def changed_since(relied_on: t.Mapping[str, str], facts: Facts) -> dict[str, bool]:
    """Return for each host that a plan relied on whether its facts are others now, or gone."""
    now = digests(relied_on.keys() & facts.keys(), facts)
    return {host: now.get(host) != digest for host, digest in relied_on.items()}


def conditions_of(earlier: t.Any) -> dict[str, t.Any]:
    """Return the conditions that the plan ``earlier`` was made for, by their names as options; raise ``FleetError``."""
    with _reading():
        return dict(earlier["conditions"]) | {key: earlier[key] for key in ("direction", "policy")}


@dataclasses.dataclass(frozen=True, slots=True)
class PreviousPlan:
    """What of an earlier plan still holds: ``request`` is the rest of a request, with that as ``kept``.

    ``changes`` says for each guest that is to be planned again why it is, ``given_up`` the same where all are, as
    what stays is in the way of the rest. ``afresh`` is for a plan of which all stays, and may stay only together; it has
    the first devices of guests that are planned again for no other reason in ``with_others``.
    """

    request: Request
    changes: list[Change]
    given_up: list[Change]
    afresh: PreviousPlan | None = None
    with_others: frozenset[tuple[str, str]] = frozenset()


def still_holding(earlier: t.Any, request: Request, fleet: Fleet, facts: Facts) -> PreviousPlan:
    """Return what of the plan ``earlier`` still holds for ``request``; raise ``FleetError``.

    Of its placements only the source and the target's host, parent, type and id are taken; all else is found again.
    """
    candidates = Candidates(fleet, request.conditions.direction)
    with _reading():
        placements: dict[tuple[str, str], t.Any] = {
            (each["source"]["host"], each["source"]["id"]): each for each in earlier["placements"]
        }
        # Where moves wait for others, the verifier looks at whether what a guest waits for has gone by then.
        leaving = placements.keys() if _waits(earlier, request) else set[tuple[str, str]]()
        still_there = _StillThere(fleet, request, candidates, leaving)
        others = _other_conditions(earlier, request)
        changed = changed_since(earlier["relied_on"], facts)
        kept: list[t.Any] = []
        rest: list[Guest] = []
        changes: list[Change] = []
        given_up: list[Change] = []
        for guest in request.guests:
            planned = [placements.get(device.key) for device in guest.devices]
            reason = others or _why_without_pins(guest, planned, request)
            reason = reason or still_there.why_not_apart(guest, planned)
            reason = reason or still_there.why_too_little(guest, planned)
            if reason is None:
                targets = [placements[device.key]["target"] for device in guest.devices]
                hosts = [guest.host, *(str(target["host"]) for target in targets)]
                other = next((host for host in hosts if changed[host]), None)
                found: list[contract.Placement] | None
                if other is None:
                    for target in targets:
                        _check(target, facts)
                    found = [
                        _placed_again(guest, device, target, fleet, candidates)
                        for device, target in zip(guest.devices, targets, strict=True)
                    ]
                else:
                    found = still_there.of(guest, targets)
                if found is None:
                    reason = f"the facts of {other} have changed since the earlier plan"
                else:
                    kept += found
                    still_there.note(guest, found)
            if reason is not None:
                rest.append(guest)
                changes.append(_change(guest, reason))
            given_up.append(_change(guest, reason or "others would have no place otherwise"))
        found_again = PreviousPlan(
            dataclasses.replace(request, guests=rest, kept=kept), changes, given_up
        )
        if others is not None or not _waits(earlier, request):
            return found_again
        return _together(found_again, request, earlier)


def _together(found: PreviousPlan, request: Request, earlier: t.Any) -> PreviousPlan:
    """Return a previous plan of which all that it has a place for stays, in its waves, or nothing, as moves may wait for each other."""
    known = {_end_of(each): each for each in found.changes}
    ends = [each.devices[0].key for each in request.guests]
    changes = [
        known.get(end) or _change(each, _TOGETHER)
        for end, each in zip(ends, request.guests, strict=True)
    ]
    afresh = PreviousPlan(request, changes, changes, with_others=frozenset(ends) - known.keys())
    # What had no place then is tried beside them: the verifier looks at whether that is sound.
    if any(each["reason"] != _NO_PLACE_BEFORE for each in found.changes):
        return afresh
    kept = _in_waves(found.request.kept, earlier)
    return dataclasses.replace(
        found, request=dataclasses.replace(found.request, kept=kept), afresh=afresh
    )


def _in_waves(kept: t.Sequence[contract.Placement], earlier: t.Any) -> list[contract.Placement]:
    """Return placements in the waves that the plan ``earlier`` has them in, without those in which nothing moves any more."""
    wave_of = {
        (each["source"]["host"], each["source"]["id"]): int(each.get("wave", 1))
        for each in earlier["placements"]
    }
    waves = [wave_of[each["source"]["host"], each["source"]["id"]] for each in kept]
    numbers = {wave: number for number, wave in enumerate(sorted({*waves}), 1)}
    return [
        t.cast("contract.Placement", {**each, "wave": numbers[wave]})
        for each, wave in zip(kept, waves, strict=True)
    ]


def left_by_moves(earlier: t.Any, fleet: Fleet) -> dict[tuple[str, str], StayingDevice]:
    """Return the mdevs that no process holds, as their guests hold, or may hold, the mdevs that the plan ``earlier`` has as their targets.

    So a drain ends where a guest has moved to a device that has a name of its own, too. Other devices have names that
    are given again.
    """
    with _reading():
        moves = [
            (_end_of(each), each["target"], each["vm"], each.get("vm_uuid"))
            for each in earlier["placements"]
        ]
        # Those of the plans before it are not among its placements any more.
        moves += [
            ((each["host"], each["id"]), each["moved_to"], each["moved_to"]["vm"], None)
            for each in earlier.get("staying", ())
            if "moved_to" in each
        ]
        planned = {
            (target["host"], target["id"]): (end, vm, uuid)
            for end, target, vm, uuid in moves
            if vm is not None
        }
    ends = {end for end, _vm, _uuid in planned.values()}
    hosts = {host for host, _id in planned.keys() | ends} & fleet.hosts.keys()
    there = {each.key: each for name in sorted(hosts) for each in fleet.hosts[name].devices}
    found: dict[tuple[str, str], StayingDevice] = {}
    for target, (end, vm, uuid) in planned.items():
        device, holding = there.get(end), there.get(target)
        if device is None or holding is None or not _may_be_left_for(device, holding):
            continue
        if holding.may_be_held:
            reason = (
                "its guest may have moved: it is unknown whether a process holds the device planned for it on"
                f" {holding.host}; gather the facts as root"
            )
        elif holding.in_use is not None and _is_guest(holding.in_use, vm, uuid):
            reason = f"its guest has moved, and holds the device planned for it on {holding.host}"
        else:
            continue
        found[end] = {**device.label, "reason": reason, "moved_to": {**holding.label, "vm": vm}}
    return found


def _may_be_left_for(device: Device, other: Device) -> bool:
    free = device.in_use is None
    return free and device.kind == other.kind == "mdev" and device.host != other.host


def _is_guest(holder: Holder, name: str, uuid: str | None) -> bool:
    return holder.name == name and uuid in (None, holder.uuid or uuid)


def changed_after_all(
    changes: t.Sequence[Change],
    with_others: t.Container[tuple[str, str]],
    plan: contract.PlanBody,
    earlier: t.Any,
) -> list[Change]:
    """Return ``changes`` without those of guests that were planned again only ``with_others``, and go where they did."""
    with _reading():
        before = {_end_of(each): _target_of(each) for each in earlier["placements"]}
    now = {_end_of(each): _target_of(each) for each in plan["placements"]}
    return [
        each
        for each in changes
        if _end_of(each) not in with_others
        or _end_of(each) not in now
        or now[_end_of(each)] != before.get(_end_of(each))
    ]


def _end_of(entry: t.Any) -> tuple[str, str]:
    return entry["source"]["host"], entry["source"]["id"]


def _target_of(placement: t.Any) -> tuple[t.Any, ...]:
    target = placement["target"]
    return target["host"], target["parent"], target["type"], target["id"]


def _check(target: t.Any, facts: Facts) -> None:
    """Raise ``FleetError`` for a target that the facts, though they are the same, do not have."""
    host, parent, mdev_type = target["host"], target["parent"], target["type"]
    if target["create"]:
        there = any(
            offered["id"] == mdev_type and offered["available_instances"] > 0
            for each in facts[host]["parents"]
            if each["id"] == parent
            for offered in each["types"]
        )
    else:
        there = any(device["id"] == target["id"] for device in facts[host]["devices"])
    if not there:
        what = f"new {mdev_type} under {parent}" if target["create"] else target["id"]
        raise FleetError(f"the earlier plan does not hold: there is no {what} on {host}")


def _placed_again(
    guest: Guest, source: Device, target: t.Any, fleet: Fleet, candidates: Candidates
) -> contract.Placement:
    """Return the placement of ``source`` on a ``target`` that is in the facts; raise ``FleetError``."""
    name, target_id = str(target["host"]), target["id"]
    host = fleet.hosts[name]
    if target["create"]:
        parent = next(each for each in host.parents if each.id == target["parent"])
        offered = next(each for each in parent.types if each.id == target["type"])
        made = candidates.makeable(source, parent, offered)
        if made is not None:
            found = newly_made(made, name, parent, offered.id, str(target_id))
            return placement_of(guest, source, found, 1)
    else:
        device = next(each for each in host.devices if each.id == target_id)
        existing = candidates.compatible(source, device)
        if existing is not None:
            return placement_of(guest, source, onto(existing, device), 1, device)
    raise FleetError(
        f"the earlier plan does not hold: {source.id} on {source.host} to {target_id} on {name}"
        " would not be compatible"
    )


class _StillThere:
    """Finds targets of an earlier plan in facts that have changed since, and keeps the books of what they take."""

    def __init__(
        self,
        fleet: Fleet,
        request: Request,
        candidates: Candidates,
        leaving: t.AbstractSet[tuple[str, str]],
    ) -> None:
        self._fleet = fleet
        self._conditions = request.conditions
        # The devices that guests leave: these are in no other one's way.
        self._leaving = frozenset(
            device.key
            for guest in request.guests
            for device in guest.devices
            if device.key in leaving
        )
        self._admission = Admission(request, candidates, NO_EXCLUSIONS)
        self._taken: set[tuple[str, t.Any]] = set()
        self._made: dict[tuple[str, t.Any], Counter[str]] = defaultdict(Counter)
        # What guests take of a host beside devices.
        self._taken_of_host: dict[str, Counter[str]] = defaultdict(Counter)

    def of(
        self, guest: Guest, targets: t.Sequence[t.Mapping[str, t.Any]]
    ) -> list[contract.Placement] | None:
        """Return the placements of a guest on these targets, ``None`` where one of them would not do any more."""
        placements = []
        before = {key: made.copy() for key, made in self._made.items()}
        for source, target in zip(guest.devices, targets, strict=True):
            placement = self._place(guest, source, target)
            if placement is None:
                self._made = defaultdict(Counter, before)
                return None
            self._note_made(placement)
            placements.append(placement)
        self._made = defaultdict(Counter, before)
        return placements

    def note(self, guest: Guest, placements: t.Sequence[contract.Placement]) -> None:
        """Note what a guest and its placements take."""
        host = placements[0]["target"]["host"]
        self._taken_of_host[host].update(self._conditions.needs_of(guest.name, guest.uuid))
        for each in placements:
            self._taken.add((each["target"]["host"], each["target"]["id"]))
            self._note_made(each)

    def _note_made(self, placement: contract.Placement) -> None:
        target = placement["target"]
        if target["create"]:
            given = [(each["name"], each["value"]) for each in target["attributes"]]
            key = (target["host"], target["parent"])
            self._made[key][target["type"] or ""] += instances_of(given) or 1

    def _place(
        self, guest: Guest, source: Device, target: t.Mapping[str, t.Any]
    ) -> contract.Placement | None:
        host = self._fleet.hosts.get(target["host"])
        if host is None or (host.name, target["id"]) in self._taken:
            return None
        there = next((each for each in host.devices if each.id == target["id"]), None)
        if there is not None:
            return self._onto(guest, source, target, there)
        return self._under(guest, source, target, host) if target["create"] else None

    def _onto(
        self, guest: Guest, source: Device, target: t.Mapping[str, t.Any], there: Device
    ) -> contract.Placement | None:
        """Return the placement on a device that was there then, or that has been made since."""
        alike = there.kind == target["kind"] and there.type == target["type"]
        # What a card without types takes depends on what it has been given since.
        if not alike or there.choices is not None or self._admission.unavailable(there) is not None:
            return None
        existing, _refusal = self._admission.admit(source, there)
        if not isinstance(existing, Existing):
            return None
        return placement_of(guest, source, onto(existing, there), 1, there)

    def _under(
        self, guest: Guest, source: Device, target: t.Mapping[str, t.Any], host: Host
    ) -> contract.Placement | None:
        """Return the placement on a device that has not been made yet, where its parent has capacity for it."""
        parent = next((each for each in host.parents if each.id == target["parent"]), None)
        if parent is None or is_card_parent(parent):
            return None
        offered = next((each for each in parent.types if each.id == target["type"]), None)
        if offered is None:
            return None
        new = NewDevice(parent.kind, offered.id, parent, offered)
        made, _refusal = self._admission.admit(source, new)
        already = self._made[host.name, parent.id]
        left = instances_left(parent, capacity_of(parent), offered, already)
        if not isinstance(made, Creatable) or left < made.instances:
            return None
        found = newly_made(made, host.name, parent, offered.id, str(target["id"]))
        return placement_of(guest, source, found, 1)

    def why_not_apart(self, guest: Guest, planned: t.Iterable[t.Any]) -> str | None:
        """Return why a guest may not go where it was ``planned``, for the others of its groups that are there now."""
        groups = self._conditions.groups_of(guest.name, guest.uuid)
        if not groups:
            return None
        stays = guest.devices[0].key not in self._leaving
        own = self._conditions.zones_of(guest.host) if stays else ()
        for host in {str(each["target"]["host"]) for each in planned}:
            for zone in self._conditions.zones_of(host):
                there = sum(self._groups_in[zone][group] for group in groups)
                if there > (len(guest.devices) * len(groups) if zone in own else 0):
                    return f"another guest of its group is on {host} now, or on a host that fails with it"
        return None

    def why_too_little(self, guest: Guest, planned: t.Sequence[t.Any]) -> str | None:
        """Return of what the host on which a guest was ``planned`` has too little free now, beside those that stay planned there."""
        host = str(planned[0]["target"]["host"])
        free = self._conditions.capacity.get("hosts", {}).get(host, {})
        for name, needed in self._conditions.needs_of(guest.name, guest.uuid).items():
            taken = self._taken_of_host[host][name] + self._conditions.spare_of(name)
            if needed and needed + taken > free.get(name, 0):
                return f"{host} has too little of its {name} free now"
        return None

    @functools.cached_property
    def _groups_in(self) -> dict[t.Hashable, Counter[int]]:
        """How many devices that are not left are held in each failure domain by guests of each group in ``apart``."""
        found: dict[t.Hashable, Counter[int]] = defaultdict(Counter)
        for device in self._fleet.devices():
            if device.in_use is not None and device.key not in self._leaving:
                groups = self._conditions.groups_of(device.in_use.name, device.in_use.uuid)
                for zone in self._conditions.zones_of(device.host) if groups else ():
                    found[zone].update(groups)
        return found


# What is free changes from hour to hour: of these each placement is looked at.
_OF_AMOUNTS = frozenset(("capacity", "spare"))


def _other_conditions(earlier: t.Any, request: Request) -> str | None:
    now = request.conditions.lasting()
    # A plan from before there was a condition was made without it.
    then = Conditions().lasting() | conditions_of(earlier)
    different = sorted(
        name
        for name in now
        if now[name] != then[name]
        and name not in REQUIREMENTS
        and name not in _OF_AMOUNTS | _OF_TURNS
    )
    if different:
        return f"the earlier plan was made with another {', '.join(different)}"
    return None


# Only so many may move at a time, whichever targets they have.
_OF_TURNS = frozenset(("concurrent_moves",))
_NO_PLACE_BEFORE = "the earlier plan has no place for it"


def _waits(earlier: t.Any, request: Request) -> bool:
    """Return whether moves may wait for each other: their order is of all of them, so they stay together or not at all."""
    later = any(each.get("wave", 1) != 1 for each in earlier["placements"])
    return request.conditions.reuse or (bool(request.conditions.apart) and later)


def _why_without_pins(guest: Guest, planned: list[t.Any], request: Request) -> str | None:
    conditions = request.conditions
    asked = asked_of_each(conditions)
    for device, placement in zip(guest.devices, planned, strict=True):
        if placement is None:
            return _NO_PLACE_BEFORE
        target = placement["target"]
        avoided = conditions.why_avoided(target["host"], target["parent"])
        refused = conditions.why_refused(target["host"], guest.name, guest.uuid, guest.host)
        if target["host"] not in request.targets or (avoided or refused) is not None:
            return f"{target['host']} may not receive it any more"
        stated = StatedTarget(target["kind"], target["type"])
        unmet = [each.words(device) for each in asked if not each.holds(device, stated)]
        if unmet:
            return f"its target in the earlier plan is not {' and '.join(unmet)}"
    return None


def keep_pins(
    pinned: Result,
    without_pins: t.Callable[[], Result],
    rank: t.Callable[[Result], t.Any],
    learn: t.Callable[[Result, Result], Result],
) -> Result:
    """Return the result that is better by ``rank``, with pins or ``without_pins``; of equal ones that with pins.

    What was found with pins proves nothing of all plans: it ``learn`` s that from the other result.
    """
    free = without_pins()
    return free if rank(free) < rank(pinned) else learn(pinned, free)


@contextlib.contextmanager
def _reading() -> t.Iterator[None]:
    """Turn what is wrong in a given plan into ``FleetError``."""
    try:
        yield
    except FleetError:
        # Says already what is wrong.
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FleetError(
            f"'earlier' is not a plan of vfio.migration.migration_plan: {error!r} is wrong in it"
        ) from error


def _change(guest: Guest, reason: str) -> Change:
    return {"vm": guest.name, "source": guest.devices[0].label, "reason": reason}


def _digest(facts: t.Mapping[str, t.Any]) -> str:
    descriptors = facts["descriptors"]
    relevant = {
        part: [_relevant(entry, names) for entry in facts[part]]
        for part, names in _RELEVANT.items()
    } | {"descriptors": {name: _written(descriptors[name]) for name in descriptors}}
    return hashlib.sha256(_written(relevant).encode()).hexdigest()[:32]


def _relevant(entry: t.Mapping[str, t.Any], names: t.Iterable[str]) -> dict[str, t.Any]:
    """Return what plans are made of in a part of facts."""
    found = {name: entry[name] for name in names if name in entry}
    for name in found.keys() & _OF_PARTS.keys():
        part = found[name]
        if isinstance(part, t.Mapping):
            found[name] = _relevant(part, _OF_PARTS[name])
        elif part is not None:
            found[name] = [_relevant(each, _OF_PARTS[name]) for each in part]
    return found


def _written(value: t.Any) -> str:
    """Return ``value`` as JSON; null where that cannot be, as of a descriptor that is none."""
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"))
    except (RecursionError, TypeError, ValueError):
        return "null"


# --- targets that were made ------------------------------------------------------------------------------------------

# Where a UUID has its version, it says so for those of names.
_NAME_BASED = "5"


class _MadeTarget(t.NamedTuple):
    """A free device of the bin ``number``; alone it is ``resource``, from which ``transition`` leads on."""

    number: int
    device: Device
    resource: int
    transition: Transition


# The targets of a guest, by the ids of its devices.
Targets = t.Mapping[str, t.Sequence[_MadeTarget]]


class _Filled(t.NamedTuple):
    """A bin with guests in it: how each is placed and what they have, and what is left; ``unfit`` find no place there."""

    packings: list[tuple[int, Packing]]
    allocations: list[Allocation]
    backing: Backing
    state: State
    unfit: list[int]


def find_targets(problem: Problem) -> dict[int, Targets]:
    """Return for each guest the free devices that have the names of targets made for its devices, and match."""
    # Nothing else is ever made with a name of its own, and every host has the same PCI addresses.
    there: dict[str, list[tuple[int, int, Device]]] = defaultdict(list)
    for number, supply in enumerate(problem.supplies):
        for group, devices in supply.pools.items():
            resource = problem.resources.number(Pool(group, 1))
            for device in devices if devices[0].kind == "mdev" else ():
                there[device.id].append((number, resource, device))
    named_too = any(name[14:15] == _NAME_BASED for name in there)
    targets: dict[int, Targets] = {}
    for guest, needed in enumerate(problem.demands if there else ()):
        of_guest = {}
        for demand, source in needed:
            found = there.get(source.id, [])
            if named_too:
                found = found + there.get(named_id(source), [])
            would_do = [
                _MadeTarget(number, device, resource, transitions[0])
                for number, resource, device in found
                if device.host != source.host
                and (transitions := problem.resources.transitions(resource, demand))
            ]
            if would_do:
                of_guest[source.id] = would_do
        if of_guest:
            targets[guest] = of_guest
    return targets


def count_remade(targets: t.Mapping[int, Targets], placed: t.Iterable[Placement]) -> int:
    """Return how many devices go elsewhere though a target was made for them."""
    return sum(
        1
        for each in placed
        if each.guest in targets
        and (made := targets[each.guest].get(each.source.id))
        and all(each.device is not target.device for target in made)
    )


class Pins:
    """The guests that go to the host where the most of their ``targets`` are, as far as all of their devices can.

    ``assignment`` has these guests, and its cost: unlike in a plan, their packings do not follow each other.
    ``placed`` are those of their devices that have targets. ``bins`` are what is left of all bins, and ``domain_loads`` how
    many devices are in each failure domain then, where that matters.
    """

    def __init__(self, problem: Problem, targets: t.Mapping[int, Targets]) -> None:
        self._problem = problem
        self._targets = targets
        self._spread = problem.request.conditions.policy == "spread"
        self._chosen: dict[int, dict[str, _MadeTarget]] = {}
        self.bins = list(problem.bins)
        self.assignment: dict[int, Contents] = {}
        self._filled: dict[int, _Filled] = {}
        self.placed: list[Placement] = []
        neighbours = Neighbours(problem.bins)
        for number, guests in sorted(self._choose().items()):
            self._pin(number, guests, neighbours)
        self.domain_loads: t.Mapping[int, int] | None = None
        if problem.domain_loads is not None:
            self.domain_loads = Counter(problem.domain_loads)
            for number, held in self.assignment.items():
                devices = sum(len(problem.items[guest].demands) for guest, _packing in held)
                self.domain_loads.update(dict.fromkeys(problem.bins[number].domains, devices))

    @functools.cached_property
    def packings(self) -> Packings:
        """Return the packings into all bins as they are."""
        problem = self._problem
        return Packings(PackingProblem(problem.resources, problem.items, problem.bins))

    def left_of(self, number: int) -> tuple[Backing, list[Allocation]]:
        """Return what is behind the rest of a bin, and what these guests have of it apart from their targets."""
        filled = self._filled.get(number)
        if filled is None:
            return backing_of(self._problem, number), []
        backing: Backing = defaultdict(list)
        backing.update({resource: list(found) for resource, found in filled.backing.items()})
        return backing, list(filled.allocations)

    def least(self) -> Cost:
        """Return what these guests cost at least in plans that remake nothing: where a target is the only one, it is used."""
        loads: Counter[int] = Counter()
        in_domains = Counter(self._problem.domain_loads or {})
        used: set[int] = set()
        other = 0
        for number, held in self.assignment.items():
            there = set(self._problem.bins[number].state)
            for guest, _packing in held:
                targets = self._targets[guest]
                only = {source: made[0] for source, made in targets.items() if len(made) == 1}
                needed = self._problem.demands[guest] if only else ()
                if needed and number not in loads:
                    loads[number] = self._problem.bins[number].load
                loads[number] += len(needed)
                domains = self._problem.bins[number].domains if needed else frozenset[int]()
                used |= domains
                in_domains.update(dict.fromkeys(domains, len(needed)))
                for demand, source in needed:
                    target = only.get(source.id)
                    other += self._other([target.resource] if target else there, demand)
        of_domain = 0
        if self._problem.domain_loads is not None:
            of_domain = max([in_domains[each] for each in used], default=0)
        return Cost(domain_load=of_domain, load=max(loads.values(), default=0), other_type=other)

    def _other(self, resources: t.Iterable[int], demand: int) -> bool:
        """Return whether a device becomes one of another type in each of these."""
        return all(
            tiers(each.cost)[2]
            for resource in resources
            for each in self._problem.resources.transitions(resource, demand)
        )

    def _choose(self) -> dict[int, list[int]]:
        """Return the guests that have targets, by bin; no target is for two."""
        by_bin: dict[int, list[int]] = defaultdict(list)
        taken: set[tuple[int, str]] = set()
        for guest, targets in self._targets.items():
            found: dict[int, dict[str, _MadeTarget]] = defaultdict(dict)
            for source, made in targets.items():
                for target in made:
                    if (target.number, target.device.id) not in taken:
                        found[target.number].setdefault(source, target)
            if found:
                number = max(found, key=lambda each: (len(found[each]), -each))
                self._chosen[guest] = found[number]
                taken.update((number, target.device.id) for target in found[number].values())
                by_bin[number].append(guest)
        return by_bin

    def _pin(self, number: int, guests: list[int], neighbours: Neighbours) -> None:
        # Guests that were pinned before may be in a domain of its.
        there = dataclasses.replace(
            self._problem.bins[number], anti_affinity=self.bins[number].anti_affinity
        )
        left, groups = there.limits, there.anti_affinity
        staying = []
        for guest in guests:
            item = self._problem.items[guest]
            if allows(item, number, left, groups, there.refuses):
                staying.append(guest)
                left = less(left, item.weights)
                groups |= item.anti_affinity
        filled = self._fill(number, staying)
        while filled.unfit:
            # What was made for them is free for others.
            staying = [guest for guest in staying if guest not in filled.unfit]
            filled = self._fill(number, staying)
        if not staying:
            return
        items = [self._problem.items[guest] for guest in staying]
        self.assignment[number], self._filled[number] = filled.packings, filled
        self.bins[number] = dataclasses.replace(
            there,
            state=filled.state,
            limits=functools.reduce(less, [item.weights for item in items], there.limits),
            anti_affinity=there.anti_affinity.union(*(item.anti_affinity for item in items)),
            # Where they are to be spread.
            load=there.load + sum(len(item.demands) for item in items) if self._spread else 0,
        )
        pinned = frozenset[int]().union(*(item.anti_affinity for item in items))
        for each in neighbours.in_domains(there.domains) if pinned else ():
            near = self.bins[each]
            self.bins[each] = dataclasses.replace(near, anti_affinity=near.anti_affinity | pinned)
        self.placed += [
            Placement(
                guest,
                source,
                target.device.host,
                target.transition.offer,
                device=target.device,
                parent=None,
            )
            for guest in staying
            for _demand, source in self._problem.demands[guest]
            if (target := self._chosen[guest].get(source.id))
        ]

    def _fill(self, number: int, guests: list[int]) -> _Filled:
        taken = {target.device.id for guest in guests for target in self._chosen[guest].values()}
        backing = backing_of(self._problem, number, taken)
        state = tuple(sorted(resource for resource, found in backing.items() for _each in found))
        filled = _Filled([], [], backing, state, [])
        for guest in guests:
            filled = self._add(filled, guest)
        return filled

    def _add(self, filled: _Filled, guest: int) -> _Filled:
        """Return the bin once the guest is there as well: its devices without a target are near those that have one."""
        chosen = self._chosen[guest]
        needed = self._problem.demands[guest]
        others = [each for each in needed if each[1].id not in chosen]
        numa_node = self._problem.resources.numa_node
        node, *further = {numa_node(target.resource) for target in chosen.values()}
        place_of = self._problem.resources.exclusive_place
        places = [
            place for each in chosen.values() if (place := place_of(each.resource)) is not None
        ]
        near: list[int] = []
        far: list[int] = []
        for each in filled.state:
            usable = numa_node(each) == node and place_of(each) not in places
            (near if usable else far).append(each)
        packing: Packing | None = Packing((), 0, ())
        if others:
            packing = self.packings.best(tuple(near), tuple([demand for demand, source in others]))
        if packing is None or further or len({*places}) < len(places):
            filled.unfit.append(guest)
            return filled
        steps = iter(packing.steps)
        whole = Packing(
            (),
            packing.cost + sum(target.transition.cost for target in chosen.values()),
            tuple(
                (target.resource, target.transition)
                if (target := chosen.get(source.id))
                else next(steps)
                for _demand, source in needed
            ),
        )
        filled.packings.append((guest, whole))
        if not others:
            return filled
        filled.allocations.extend(
            allocate(filled.backing, guest, [source for _demand, source in others], packing)
        )
        return filled._replace(state=tuple(sorted((*packing.after, *far))))
