# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What the verifier holds of targets: existing ones are free and compatible, new ones can be made and will match. Pure."""

from __future__ import annotations

import re
import typing as t
from operator import attrgetter

from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify_case import (
    NO_MAC,
    POSITIVE,
    Case,
    Entry,
    Move,
    Objections,
    Rule,
    as_known,
    last_part,
    name_of,
    of_each_kind,
    takes_version,
    unequal_values,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify_expected import (
    ASSIGNED,
    HEXADECIMAL,
    NOT_GIVEN,
    carried_settings,
    existing_descriptor,
    expected_target,
    has_no_ap_config,
    has_to_keep_its_uuid,
    readable_attributes,
    virtio_features,
    waits_for_its_matrix,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify_matching import (
    NaiveDescriptor,
    version_serves,
)

# The adapters and the domains of a device of vfio_ap, of which each pair is a queue.
_Queues = tuple[frozenset[str], frozenset[str]]

# What new devices of a kind may be called.
_NAMES = {
    "mdev": re.compile("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"),
    "vdpa": re.compile("[A-Za-z0-9_][A-Za-z0-9_.:-]{0,99}"),
}

# The address of one function, and what other network settings can be: one of these, or a number up to this one.
_MAC = re.compile("[0-9a-f][02468ace](:[0-9a-f]{2}){5}")
_CHOICES = {"proto": ("802.1Q", "802.1ad"), "link_state": ("auto", "enable", "disable")}
_NUMBERS = {"vlan": 4094, "qos": 7, "min_tx_rate": 2**31 - 1, "max_tx_rate": 2**31 - 1}


def existing_targets_are_free(case: Case) -> Objections:
    """Require that a target that is not created is in the facts, able to migrate, and free when it is needed."""
    staying = frozenset(case.unplaced)
    for move in case.existing:
        key, target = move.target_key, move.target
        device = move.there
        if device is None:
            yield move.objection(f"{move}: the target is in no facts")
            continue
        same_parent = target["parent"] == device["parent"]
        if target["kind"] != device["kind"] or target["type"] != device["type"] or not same_parent:
            yield move.objection(f"{name_of(key)} is another device than the plan says")
        leaving = case.move_of(key)
        vacated = leaving.wave if leaving is not None else None
        if device["in_use"] is not None and vacated is None:
            yield move.objection(f"{name_of(key)} is held by a process")
        if vacated is not None and (vacated >= move.wave or not case.asked.reuse):
            yield move.objection(
                f"{name_of(key)} moves itself in wave {vacated}, and is a target in {move.wave}"
            )
        if key in staying:
            yield move.objection(f"{name_of(key)} is left behind itself")
        # A function without a type cannot migrate until it is given one.
        if device["migration"]["supported"] is False and not any(
            "choices" in each for each in device["attributes"]
        ):
            yield move.objection(f"{name_of(key)} cannot migrate")


def existing_targets_are_compatible(case: Case) -> Objections:
    """Require that the lists that the direction asks allow the move, and with ``round_trip`` the move back."""

    def reasons(move: Move) -> t.Iterator[str]:
        device = move.there
        target = existing_descriptor(case, move)
        if device is None or target is None or move.descriptor is None:
            yield "one of them has no usable descriptor"
            return
        if move.target["attributes"]:
            yield from _attributes_are_taken(move, device["attributes"])
        if not case.decides(move.descriptor, target):
            yield "they would not be compatible"
        differing = _differing(move.descriptor, target)
        if differing:
            yield f"they differ in {', '.join(differing)}"
        if case.asked.round_trip and not case.decides(target, move.descriptor):
            yield "it could not migrate back"

    return of_each_kind(case.existing, reasons)


def _differing(one: NaiveDescriptor, other: NaiveDescriptor) -> list[str]:
    """Return the names of what hosts show of two devices, and what has to be equal, in which they differ."""
    shown = []
    for device, opposite in ((one, other), (other, one)):
        ids = device.own.get("pci_id", "")
        stated = {}
        if ids and device.own["device_api"] == "vfio-pci" and "pci.id" in opposite.shown:
            stated["pci.id"] = ids[:4] + ":" + ids[4:]
        shown.append({**stated, **device.shown})
    return unequal_values(*shown)


def _attributes_are_taken(move: Move, attributes: t.Iterable[Entry]) -> t.Iterator[str]:
    """Require that a device has the attributes that it is given by these names, the first with that value to choose."""
    choices = {each["name"]: each.get("choices") for each in attributes}
    given = [each["name"] for each in move.target["attributes"]]
    first = move.target["attributes"][0]
    values = choices.get(first["name"])
    if not isinstance(values, list) or first["value"] not in values:
        yield f"the target does not take {first['value']} as {first['name']}"
    if not choices.keys() >= {*given} or len({*given}) < len(given):
        yield f"the target has no such attributes as {', '.join(given)}"


def new_devices_can_be_created(case: Case) -> Objections:
    """Require that a new device has a free name of its kind, and a parent of that kind that offers its type."""
    for move in case.new:
        target = move.target
        if move.there is not None:
            yield move.objection(f"{name_of(move.target_key)} is to be created and exists")
        name = _NAMES.get(target["kind"])
        if name is None or not name.fullmatch(target["id"]):
            yield move.objection(
                f"{name_of(move.target_key)} is not the name of a new {target['kind']} device"
            )
        parent = move.parent
        if parent is None or move.offered is None or parent["kind"] != target["kind"]:
            yield move.objection(
                f"there is no {target['type']} under {target['parent']} on {target['host']}"
            )


def new_devices_will_match(case: Case) -> Objections:
    """Require that a new device matches its source's list by all that is certain of it and all that it is given.

    All else it states itself once it is there, and its host's module verifies that.
    """
    by_source = case.plan["direction"] in ("source_lists", "either")

    def reasons(move: Move) -> t.Iterator[str]:
        expected = expected_target(case, move)
        if expected is None or move.descriptor is None:
            yield "one has no usable descriptor, or the other no parent"
            return
        yield from _matrix_is_assigned(move, move.descriptor, move.parent or {})
        given = expected.given
        if not POSITIVE.fullmatch(given.get("aggregator") or "1"):
            yield f"an aggregator of {given['aggregator']} is not a number"
        fixed = NOT_GIVEN | expected.certain.keys()
        for each in readable_attributes(move):
            if each["name"] not in expected.names or last_part(each["name"]) in fixed:
                yield f"the source does not let configure {each['name']}"
        shown = (move.parent or {}).get("configuration") or {}
        differing = unequal_values(move.descriptor.shown, shown)
        if differing:
            yield f"they differ in {', '.join(differing)}"
        taken = takes_version(move.descriptor.shown, shown)
        if not by_source or not any(
            case.lists(move.descriptor, each, True, frozenset(given), taken)
            for each in expected.possible
        ):
            yield "they would not be compatible"

    return of_each_kind(case.new, reasons)


def _matrix_is_assigned(move: Move, source: NaiveDescriptor, parent: Entry) -> t.Iterator[str]:
    """Require that a new AP matrix gets the numbers of its source one by one, where one text does not give them."""
    by_number = has_no_ap_config(source, parent)
    wanted = [
        (name, int(number, 16))
        for name, kept in (ASSIGNED.items() if by_number else ())
        for number in source.own.get(kept, "").split(",")
        if number
    ]
    written = [
        (each["name"], int(each["value"], 16))
        for each in move.target["attributes"]
        if each["name"] in ASSIGNED
    ]
    if written != wanted:
        yield "other numbers are assigned than those of the source"
    config = [each["value"] for each in move.target["attributes"] if each["name"] == "ap_config"]
    if by_number and config:
        yield "the target's driver has no ap_config"
    if not by_number and any(each != source.own.get("ap_config") for each in config):
        yield "another ap_config is given than that of the source"


def a_target_has_the_uuid_that_its_source_needs(case: Case) -> Objections:
    """Require that what migrates only to a device of its own UUID goes to one."""
    keeping = {each for each in case.descriptors if has_to_keep_its_uuid(each)}
    for move in case.moves if keeping else ():
        if move.descriptor in keeping and move.target["id"] != move.source["id"]:
            yield move.objection(f"{move}: the target has another UUID than the source")


def an_ap_queue_has_one_device(case: Case) -> Objections:
    """Require that no device of vfio_ap is given a queue that another device on its host has, or is given by the plan."""
    queues = {each: _ap_queues(each) for each in case.descriptors}
    given = [
        (move, mine)
        for move in (case.moves if any(queues.values()) else ())
        if (mine := queues[move.descriptor]) is not None
        and (move.target["create"] or waits_for_its_matrix(case, move))
    ]
    hosts = {move.target["host"] for move, _queues in given}
    taken = {
        host: [
            (device_id, there)
            for device_id, device in case.devices.get(host, {}).items()
            if (there := _ap_queues(case.descriptor(host, device))) is not None
        ]
        for host in hosts
    }
    for move, mine in given:
        others = taken[move.target["host"]]
        beside = [other for other, theirs in others if mine[0] & theirs[0] and mine[1] & theirs[1]]
        if beside:
            yield move.objection(f"{move}: {beside[0]} has one of its AP queues on that host")
        others.append((f"{move}", mine))


def _ap_queues(descriptor: NaiveDescriptor | None) -> _Queues | None:
    """Return the adapters and domains of a device of vfio_ap; ``None`` where it is none, or has no queue."""
    own = descriptor.own if descriptor is not None else {}
    adapters, domains = (
        frozenset(own.get(name, "").split(",")) - {""} for name in ("adapters", "domains")
    )
    is_matrix = own.get("device_api") == "vfio-ap"
    return (adapters, domains) if is_matrix and adapters and domains else None


def new_vdpa_devices_are_offered(case: Case) -> Objections:
    """Require that a new vDPA device has features that its source has and its parent offers, and no more queues."""
    for move in case.new_vdpa:
        parent = move.parent
        if parent is None or parent["kind"] != "vdpa" or move.descriptor is None:
            continue
        given = {each["name"]: each["value"] for each in move.target["attributes"]}
        mask = given.get("device_features", "")
        surplus = virtio_features(mask, move.target["type"]) - move.descriptor.own.keys()
        if surplus or not HEXADECIMAL.fullmatch(mask):
            yield move.objection(
                f"{move}: the source has not the features {', '.join(sorted(surplus))}"
            )
        elif int(mask, 16) & ~int(parent["dev_features_mask"] or "0", 16):
            yield move.objection(f"{move}: {parent['id']} does not offer the features {mask}")
        pairs, most = given.get("max_vqp", "0"), parent["max_supported_vqs"]
        if most is not None and (not pairs.isdigit() or 2 * int(pairs) > most):
            yield move.objection(
                f"{move}: {parent['id']} does not offer so many queues as {pairs} pairs"
            )


def new_devices_can_return(case: Case) -> Objections:
    """Require that a new device could migrate back: one of vDPA, or one derived as its source and of equal version.

    What a driver will list for a device that is not there is not known, so any other may not be able to.
    """
    for move in case.new:
        parent = move.parent
        if parent is None or move.descriptor is None or parent["kind"] == "vdpa":
            continue
        own = move.descriptor.own["software_version"]
        versions = case.versions(move.place, True)
        back = any(version_serves(own, each) and version_serves(each, own) for each in versions)
        if not move.descriptor.derived or not back:
            yield move.objection(f"{move} could not migrate back")


def targets_get_the_network_settings_of_their_sources(case: Case) -> Objections:
    """Require that a function of a network card is given what is set of its source, as far as its own host shows that of it.

    Nothing is set of a target that is held, nor for a source that no process holds.
    """
    for move in case.networked:
        given = move.target.get("network", {})
        if not given and "network" not in move.source:
            continue
        expected = carried_settings(move)
        if as_known(sorted(given.items())) != as_known(sorted(expected.items())):
            yield move.objection(f"{move} is not given the network settings of its source")
        wrong = [name for name, value in given.items() if not _is_setting(name, value)]
        if wrong:
            yield move.objection(f"{move} is given no such {', '.join(map(str, wrong))}")


def _is_setting(name: str, value: t.Any) -> bool:
    """Return whether a value could be that of a network setting; an address is that of one function."""
    if name == "mac":
        return isinstance(value, str) and _MAC.fullmatch(value) is not None
    if name in _NUMBERS:
        whole = isinstance(value, int) and not isinstance(value, bool)
        return whole and 0 <= value <= _NUMBERS[name]
    if name in ("spoofchk", "trust"):
        return isinstance(value, bool)
    return name in _CHOICES and value in _CHOICES[name]


def a_card_has_a_mac_address_once(case: Case) -> Objections:
    """Require that no guest gets the MAC address of another one's function of the same card, which would get its frames.

    The functions of the card are those that are held now, and those that other guests come to. A guest may have two with one
    address, as for a bond.
    """
    coming: dict[tuple[str, t.Any, str], list[Move]] = {}
    for move in case.networked:
        mac = move.target.get("network", {}).get("mac", NO_MAC)
        if mac != NO_MAC:
            coming.setdefault((*move.place, mac), []).append(move)
    there = {
        (host, each["parent"], each["network"]["mac"]): device_id
        for (host, device_id), each in (case.every_device() if coming else ())
        if each["in_use"] is not None and "network" in each
    }
    for place, moves in coming.items():
        for move in moves:
            others = [f"{other}" for other in moves if _guest_of(other) != _guest_of(move)]
            others += [f"{there[place]} on {place[0]}, which is held"] if place in there else []
            if others:
                yield move.objection(
                    f"{move} is given the MAC address {place[2]}, as is {' and '.join(others)};"
                    " let them go to different hosts, as with apart"
                )


def _guest_of(move: Move) -> tuple[str, t.Any]:
    holder = move.source["in_use"] or {}
    return move.key[0], holder.get("pid") or move.key[1]


RULES: tuple[Rule, ...] = (
    (attrgetter("existing"), existing_targets_are_free),
    (attrgetter("existing"), existing_targets_are_compatible),
    (attrgetter("networked"), targets_get_the_network_settings_of_their_sources),
    (attrgetter("networked"), a_card_has_a_mac_address_once),
    (attrgetter("new"), new_devices_can_be_created),
    (attrgetter("new"), new_devices_will_match),
    (attrgetter("moves"), an_ap_queue_has_one_device),
    (attrgetter("moves"), a_target_has_the_uuid_that_its_source_needs),
    (attrgetter("new_vdpa"), new_vdpa_devices_are_offered),
    (attrgetter("asked.round_trip"), new_devices_can_return),
)
