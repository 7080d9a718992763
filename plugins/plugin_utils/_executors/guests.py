# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The guests that a plan moves, as another executor than this collection knows them. Pure."""

from __future__ import annotations

import re
import typing as t
from collections import defaultdict
from dataclasses import dataclass, replace

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.identifiers import (
    PCI_ADDRESS,
    UUID,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.values import one_name, quoted
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import (
    DeviceLabel,
    NotRequired,
    Placement,
    Plan,
)

# What a guest, a node or a type may be called in a command or a file of an executor: no option, no path, no separator.
NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?\Z")
_IDS = {"mdev": UUID, "pci": PCI_ADDRESS, "vdpa": re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")}
# A warning names no more hosts than these.
_MAX_HOSTS = 8


class Holding(t.TypedDict):
    """A device of a host and the guest that holds it, as that host says; a placement is one."""

    vm: str | None
    vm_uuid: NotRequired[str]
    source: DeviceLabel


# Returns what an executor calls the guest that holds a device, by what is known of it; ``None`` where that does not show it.
GuestId = t.Callable[[Holding], "str | None"]


@dataclass(frozen=True, slots=True)
class MovingGuest:
    """A guest that an executor is to move: ``id`` and the nodes are the executor's names, ``devices`` what the plan has for it."""

    id: str
    source_host: str
    target_host: str
    source_node: str
    target_node: str
    wave: int
    devices: tuple[Placement, ...]


class Naming:
    """What an executor calls guests and hosts.

    ``guests`` has the executor's id by a guest's name, its UUID, or the id of one of its devices, alone or as HOST/ID, in reverse
    order of weight. ``nodes`` has the executor's name of a host by that of the inventory. ``held`` is what guests hold on any
    host, in the plan or not, where facts show it.
    """

    def __init__(
        self,
        executor: str,
        guests: t.Any,
        nodes: t.Any,
        guest_id: GuestId,
        node_of: t.Callable[[str], str] = lambda host: host,
        held: t.Iterable[Holding] = (),
    ) -> None:
        """Raise ``FleetError`` where ``guests`` or ``nodes`` is no mapping of names."""
        self.executor = executor
        self.held = [*held]
        self._guests = _names("guests", guests)
        self._nodes = _names("nodes", nodes)
        self._guest_id = guest_id
        self._node_of = node_of

    def guest(self, holding: Holding) -> str | None:
        """Return the executor's id of the guest that holds a device, ``None`` where nothing shows it."""
        given = (self._guests[each] for each in _keys_of(holding) if each in self._guests)
        found = next(given, None) or self._guest_id(holding)
        # A UUID is the same one in capitals.
        return found.lower() if found and UUID.match(found.lower()) else found

    def device_key(self, holding: Holding) -> str | None:
        """Return the key by which ``guests`` names the device itself, ``None`` where none does."""
        return next((key for key in _device_keys(holding["source"]) if key in self._guests), None)

    def nodes(self, hosts: t.Iterable[str]) -> dict[str, str]:
        """Return the executor's name of each host; raise ``FleetError`` where one has none, or two have the same."""
        found = {host: self._nodes.get(host) or self._node_of(host) for host in sorted(hosts)}
        for host, node in found.items():
            if not NAME.match(node):
                raise FleetError(
                    f"{host!r} is not the name of a node of {self.executor}; say with 'nodes' what it calls that host"
                )
            same = [other for other in found if found[other] == node]
            if len(same) > 1:
                raise FleetError(
                    f"{', '.join(same)} would all be {node} for {self.executor}; say with 'nodes' what it calls them"
                )
        return found


def moving_guests(plan: Plan, naming: Naming) -> tuple[list[MovingGuest], list[str]]:
    """Return the guests that ``plan`` moves, in the order in which they are to go, and why others do not.

    No guest moves that another host has, too, by what that says, that has a device without an id of its kind, or that is one for
    the executor and would go to several hosts.
    """
    warnings = [_stays(each) for each in plan["unplaced"]]
    staying: dict[tuple[str, str], set[str | None]] = defaultdict(set)
    for entry in plan["unplaced"]:
        if entry["vm"]:
            staying[entry["source"]["host"], entry["vm"]].add(entry.get("vm_uuid"))
    placements = plan["placements"]
    nodes = naming.nodes({each[end]["host"] for each in placements for end in ("source", "target")})
    guests: dict[tuple[str, str], list[Placement]] = {}
    claims = _Claims(naming, [*placements, *plan["unplaced"], *naming.held])
    known = [_guest_of(each, naming, staying) for each in placements]
    # A guest does not move with some of its devices. Two processes may have one name, but no UUID.
    unknown = {
        (each["source"]["host"], each["vm_uuid"]): each["source"]
        for each, (found, _why) in zip(placements, known, strict=True)
        if found is None and "vm_uuid" in each
    }
    for each, (found, why) in zip(placements, known, strict=True):
        if found is not None and (why := claims.against(each["source"], found)):
            found = None
        other = unknown.get((each["source"]["host"], each.get("vm_uuid", "")))
        if found is not None and other is not None:
            found, why = None, f"{other['id']} of the same guest is not moved either"
        if found is None:
            warnings.append(f"{label(each['source'])} is not moved: {why}")
        else:
            guests.setdefault((each["source"]["host"], found), []).append(each)
    moving = []
    for (host, id_), devices in guests.items():
        if why := _why_not_one(id_, devices, naming):
            warnings += [f"{label(each['source'])} is not moved: {why}" for each in devices]
        else:
            moving.append(_moving(id_, host, devices, nodes))
    moving = _in_waves(moving)
    return sorted(moving, key=lambda each: (each.wave, each.source_host, each.id)), warnings


class _Claims:
    """Which hosts have the guest that an executor calls by an id: what one host says of its guests may be another's."""

    def __init__(self, naming: Naming, holdings: t.Sequence[Holding]) -> None:
        self._executor = naming.executor
        self._saying: dict[str, set[str]] = defaultdict(set)
        # The hosts of which ``guests`` names a device for it, by what nothing on another host is called.
        self._given: dict[str, set[str]] = defaultdict(set)
        called: dict[str, set[str]] = defaultdict(set)
        for each in holdings:
            for name in _keys_of(each):
                called[name].add(each["source"]["host"])
        for each in holdings:
            found, key = naming.guest(each), naming.device_key(each)
            if found is not None:
                self._saying[found].add(each["source"]["host"])
                if key is not None and len(called[key]) == 1:
                    self._given[found].add(each["source"]["host"])

    def against(self, device: DeviceLabel, id_: str) -> str:
        """Return why the guest ``id_`` is not to move with a device of this host, nothing where no other host has it."""
        host, given = device["host"], self._given[id_]
        others = (given or self._saying[id_]) - {host}
        if not others:
            return ""
        key = f"{host}/{device['id']}"
        what = f"a guest on {_hosts(others)} for {self._executor}"
        if host in given:
            return f"by 'guests' {id_} is {what}, too; keep there the one host that it is on"
        if given:
            return f"by 'guests' {id_} is {what}; if this is another one, say with 'guests' what {key} is"
        return f"{id_} is {what}, too; see which host it is on, and say so with 'guests' by a device there, such as {key}"


def _hosts(names: t.Collection[str]) -> str:
    found = sorted(names)
    more = len(found) - _MAX_HOSTS
    return ", ".join(found[:_MAX_HOSTS]) + (f" and {more:,} more" if more > 0 else "")


def _device_keys(device: DeviceLabel) -> tuple[str, str]:
    """Return what ``guests`` may call a device: HOST/ID, which nothing on another host is called, and its id."""
    return f"{device['host']}/{device['id']}", device["id"]


def _keys_of(holding: Holding) -> list[str]:
    """Return what ``guests`` may call a guest that holds a device; no name that its host says is taken for HOST/ID."""
    device, id_ = _device_keys(holding["source"])
    names = (id_, holding.get("vm_uuid"), holding["vm"])
    return [device, *(each for each in names if each and "/" not in each)]


def _guest_of(
    placement: Placement,
    naming: Naming,
    staying: t.Mapping[tuple[str, str], t.Collection[str | None]],
) -> tuple[str | None, str]:
    """Return the executor's id of the guest that is to move with a device, or why there is none."""
    vm = placement["vm"]
    if vm is None and naming.guest(placement) is None:
        return None, "no guest holds it"
    if vm is not None and _is_of_one_of(
        placement, staying.get((placement["source"]["host"], vm), ())
    ):
        return None, f"another device of {vm} has no place"
    found = naming.guest(placement)
    if found is None:
        return None, f"what {naming.executor} calls {vm} is not known; say it with 'guests'"
    if not NAME.match(found):
        return (
            None,
            f"{naming.executor} calls no guest {found!r}; say with 'guests' what it calls it",
        )
    return found, ""


def _is_of_one_of(placement: Placement, uuids: t.Collection[str | None]) -> bool:
    """Return whether a placement may be of a guest with one of these UUIDs and its name; ``None`` is of one that states none."""
    own = placement.get("vm_uuid")
    return bool(uuids) and (own is None or None in uuids or own in uuids)


def _why_not_one(id_: str, devices: t.Sequence[Placement], naming: Naming) -> str:
    """Return why the devices of what is one guest for the executor are not to move, nothing where they are."""
    targets = {each["target"]["host"] for each in devices}
    if len(targets) > 1:
        return (
            f"what is {id_} for {naming.executor} would go to several hosts, {_hosts(targets)};"
            " say with 'guests' which devices are whose"
        )
    for device in (each[end] for each in devices for end in ("source", "target")):
        if not _IDS[device["kind"]].match(device["id"]):
            return f"{device['id']!r} on {device['host']} is not an id of kind {device['kind']}"
    return ""


def _moving(
    id_: str, host: str, devices: list[Placement], nodes: t.Mapping[str, str]
) -> MovingGuest:
    target = devices[0]["target"]["host"]
    return MovingGuest(
        id=id_,
        source_host=host,
        target_host=target,
        source_node=nodes[host],
        target_node=nodes[target],
        wave=max(each["wave"] for each in devices),
        devices=tuple(devices),
    )


def _in_waves(guests: t.Sequence[MovingGuest]) -> list[MovingGuest]:
    """Return ``guests`` with a wave for each turn of the plan's waves, where it has turns: an executor knows waves alone."""
    turns = [max(each.get("turn", 0) for each in guest.devices) for guest in guests]
    if not any(turns):
        return [*guests]
    moments = [(guest.wave, turn) for guest, turn in zip(guests, turns, strict=True)]
    waves = {moment: number for number, moment in enumerate(sorted({*moments}), 1)}
    return [
        replace(guest, wave=waves[moment]) for guest, moment in zip(guests, moments, strict=True)
    ]


def label(device: DeviceLabel) -> str:
    """Return a device as sentences have it."""
    return f"{device['kind']} {device['id']} on {device['host']}"


def _stays(unplaced: t.Any) -> str:
    why = unplaced["reasons"][0]["reason"]
    return f"{label(unplaced['source'])} is not moved: the plan has no place for it: {why}"


def _names(option: str, value: t.Any) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, t.Mapping):
        raise FleetError(f"{option} is {quoted(value)}; expected a mapping of names")
    found = {one_name(option, key): one_name(option, each) for key, each in value.items()}
    for key, each in found.items():
        if not NAME.match(each):
            raise FleetError(
                f"{option} has {each!r} for {key!r}; expected letters, digits, '.', '_' and '-'"
            )
    return found
