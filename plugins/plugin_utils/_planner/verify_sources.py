# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What the verifier holds of the sources of a plan, and of where each goes. Pure."""

from __future__ import annotations

import uuid
from collections import Counter
from operator import attrgetter

from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify_case import (
    WHOLE_PLAN,
    Case,
    Entry,
    Key,
    Move,
    Objection,
    Objections,
    Rule,
    keys_of,
    migration_features,
    name_of,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify_expected import (
    existing_descriptor,
    waits_for_its_matrix,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify_matching import (
    unknown_names,
)


def every_source_is_known_and_planned_once(case: Case) -> Objections:
    """Require that a source is in the facts, and placed or left behind once; so is each device of a drained host.

    Excepted is a function that no process holds, and that was not set up or has an equal one elsewhere.
    """
    # Where each placement is of a source of its own in the facts, there is nothing to count.
    if case.unplaced or sum(map(len, case.moving.values())) < len(case.placed):
        for key, count in Counter(case.placed + case.unplaced).items():
            if count > 1:
                yield Objection(frozenset([key]), f"{name_of(key)} is planned {count} times")
            if case.device(key) is None:
                yield Objection(frozenset([key]), f"{name_of(key)} is in no facts")
    for key, device in case.unmoved(case.drained):
        if key in case.left or key in case.staying:
            continue
        if device["in_use"] is not None or not _is_only_room(case, key):
            yield Objection(frozenset([key]), f"{name_of(key)} is neither placed nor left behind")


def what_stays_has_nothing_to_move(case: Case) -> Objections:
    """Require that a device stays only if no process holds it and it is free capacity like any other, cannot migrate, or its guest has moved.

    By ``free_devices``, whatever no process holds may stay, or nothing may. Where it is not known what was to be emptied, it is
    not known either what was asked of free devices.
    """
    for key in case.staying:
        device = case.device(key)
        wanted = "none" if case.asked.drain is None else case.asked.free_devices
        emptied = case.asked.drain is None or key[0] in case.drained
        if device is None or not emptied or case.is_planned(key):
            yield Objection(frozenset([key]), f"{name_of(key)} is not a device that could stay")
        elif device["in_use"] is not None or wanted == "all":
            yield Objection(frozenset([key]), f"{name_of(key)} stays and is to be moved")
        elif wanted == "movable" and not has_nothing_to_move(case, key, device):
            yield Objection(frozenset([key]), f"{name_of(key)} stays and can migrate")


def lost_hosts_are_known_as_of_their_facts(case: Case) -> Objections:
    """Require that hosts which are gone are drained, and that the time of what is known of them is that of their facts."""
    for host, time in case.lost.items():
        if host not in case.drained:
            yield Objection(WHOLE_PLAN, f"{host} is lost, and is not drained")
        known = case.facts.get(host, {}).get("gathered", {}).get("time")
        if known != time:
            yield Objection(WHOLE_PLAN, f"{host} is lost, and known as of {known}, not of {time}")


def has_nothing_to_move(case: Case, key: Key, device: Entry) -> bool:
    """Return whether a device may stay on a host that is emptied if no process holds it, as free capacity or as what a guest has left."""
    if _is_only_room(case, key) or device["migration"]["supported"] is False:
        return True
    if key in case.moved_to:
        return _has_moved(case, key, device)
    if any(
        "choices" in each or (each["name"], each["value"]) == ("nvidia/current_vgpu_type", "0")
        for each in device["attributes"]
    ):
        return True
    return any(
        host != key[0]
        and (each["kind"], each["type"]) == (device["kind"], device["type"])
        and each["in_use"] is not None
        for host, facts in case.facts.items()
        for each in facts["devices"]
        if each["id"] in (key[1], _name_made_for(key))
    )


def _has_moved(case: Case, key: Key, device: Entry) -> bool:
    """Return whether a guest holds, or may hold, on another host what it is said to hold instead of an mdev, and of no other one as well."""
    target, vm = case.moved_to[key]
    there = case.device(target)
    if there is None or there["in_use"] is None or {device["kind"], there["kind"]} != {"mdev"}:
        return False
    holder = there["in_use"]
    held = holder["pid"] is None or holder["name"] == vm
    return held and target[0] != key[0] and case.moved_onto[target] == 1


def _is_only_room(case: Case, key: Key) -> bool:
    """Return whether a device is a PCI function that no guest needs where no process holds it.

    Nothing can be set up in it, or there is one of its type on a host that is not drained.
    """
    device = case.devices[key[0]][key[1]]
    wanted = case.asked.free_devices == "movable" and device["kind"] == "pci"
    return wanted and (
        not device["attributes"]
        or any(
            (each["kind"], each["type"]) == ("pci", device["type"])
            for host, facts in case.facts.items()
            if host not in case.drained
            for each in facts["devices"]
        )
    )


def _name_made_for(key: Key) -> str:
    """Return the UUID that is made for a target of this source where its own cannot be had."""
    namespace = uuid.UUID("6f0c2f4e-3c61-5d0c-9a55-0e4b8d2f7a11")
    return str(uuid.uuid5(namespace, f"{key[0]}/{key[1]}/0"))


def placements_say_of_sources_what_the_facts_say(case: Case) -> Objections:
    """Require that a placement has its source's kind, and the name of a guest whose process holds the source."""
    for move in case.moves:
        if move.stated["kind"] != move.source["kind"]:
            yield move.objection(f"{name_of(move.key)} is not of kind {move.stated['kind']}")
        holder = move.source["in_use"]
        own = holder.get("name") if holder else None
        if move.vm != own and not (holder and move.vm in _names_of(case, move.key[0], holder)):
            yield move.objection(f"{name_of(move.key)} is not held by {move.vm}")
        if move.vm_uuid != (holder or {}).get("uuid"):
            yield move.objection(
                f"{name_of(move.key)} is held by no guest with UUID {move.vm_uuid}"
            )


def _names_of(case: Case, host: str, holder: Entry) -> list[str | None]:
    """Return the names of the process that holds a device: facts may have several of one."""
    holders = [each["in_use"] for _key, each in case.devices_of(host) if each["in_use"]]
    return [each.get("name") for each in holders if each.get("pid") == holder.get("pid")]


def what_is_left_says_whose_it_is(case: Case) -> Objections:
    """Require that a device that is left behind has the UUID of the guest that holds it.

    Of a plan that is checked later alone it does not matter who holds what did not move.
    """
    for key, each in zip(case.unplaced, case.plan["unplaced"], strict=True):
        holder = (case.device(key) or {}).get("in_use")
        if case.is_of_the_occasion and each.get("vm_uuid") != (holder or {}).get("uuid"):
            yield Objection(
                frozenset([key]),
                f"{name_of(key)} is held by no guest with UUID {each.get('vm_uuid')}",
            )


def placements_are_no_surer_than_they_can_be(case: Case) -> Objections:
    """Require the certainty that descriptors and targets give, and one wave where no move may wait for another."""
    known: dict[int, str] = {}
    for move in case.moves:
        if move.kind not in known:
            known[move.kind] = _certainty(case, move)
        if move.found["certainty"] != known[move.kind]:
            yield move.objection(f"{move} is {known[move.kind]}, and not {move.found['certainty']}")
        if move.wave != 1 and not (case.asked.reuse or case.asked.apart):
            yield move.objection(f"{move} waits for nothing, and is in wave {move.wave}")


def _certainty(case: Case, move: Move) -> str:
    if move.target["create"] or move.target["attributes"] or waits_for_its_matrix(case, move):
        return "provisional"
    ends = [each for each in (move.descriptor, existing_descriptor(case, move)) if each is not None]
    functions = [each for each in ends if "pci.id" in each.shown]
    read = [each for each in functions if {"pci.capabilities", "pci.extended"} <= {*each.shown}]
    if functions and len(read) < len(ends):
        return "assumed"
    if not any(each.derived for each in ends):
        return "declared"
    return (
        "assumed" if len(ends) == 2 and unknown_names(*[each.own for each in ends]) else "derived"
    )


def guests_move_as_a_whole(case: Case) -> Objections:
    """Require that all devices of one process go to one host in one wave, or all of them stay."""
    torn = dict.fromkeys(
        process
        for process, (first, *others) in case.guests.items()
        for each in others
        if each.target_key[0] != first.target_key[0] or each.wave != first.wave
    )
    for key, device in case.unmoved(case.moving):
        holder = device["in_use"]
        if holder and (key[0], holder.get("pid")) in case.guests:
            torn[key[0], holder["pid"]] = None
    for host, pid in torn:
        keys = frozenset(
            key
            for key, device in case.devices_of(host)
            if device["in_use"] and device["in_use"].get("pid") == pid
        )
        yield Objection(keys, f"the devices of process {pid} on {host} do not go to one host")


def a_target_serves_one_source(case: Case) -> Objections:
    """Require that no two sources go to one target."""
    if len({move.target_key for move in case.moves}) == len(case.moves):
        return
    for key, count in Counter(move.target_key for move in case.moves).items():
        if count > 1:
            yield Objection(
                keys_of(each for each in case.moves if each.target_key == key),
                f"{name_of(key)} serves {count} sources",
            )


def targets_may_receive(case: Case) -> Objections:
    """Require that a target is on another host, one that may receive, and at no place that is to be avoided."""
    asked = case.asked
    receiving = case.facts.keys() if asked.targets is None else {*asked.targets} & case.facts.keys()
    receiving -= case.drained
    for move in case.moves:
        host = move.target["host"]
        if host == move.key[0] or host not in receiving:
            yield move.objection(f"{move} must not go to this host")
        if case.is_avoided(host, move.target["parent"], (move.vm, move.vm_uuid), move.key[0]):
            yield move.objection(f"{move} goes to a place that is to be avoided")


def sources_can_migrate(case: Case) -> Objections:
    """Require that a source has a usable descriptor, and that the facts do not say that it cannot migrate.

    Nor may they say that one of several VFIO devices of a guest, or its target, does not support P2P.
    """
    for move in case.moves:
        if move.descriptor is None:
            yield move.objection(f"{name_of(move.key)} has no usable descriptor")
        if move.source["migration"]["supported"] is False:
            yield move.objection(f"{name_of(move.key)} cannot migrate")
        if not move.several:
            continue
        features = migration_features(move.source)
        if features and "p2p" not in features:
            yield move.objection(f"{name_of(move.key)} cannot migrate with others without P2P")
        features = [] if move.there is None else migration_features(move.there)
        if features and "p2p" not in features:
            yield move.objection(f"{name_of(move.target_key)} is one of several without P2P")


RULES: tuple[Rule, ...] = (
    (attrgetter("plan"), every_source_is_known_and_planned_once),
    (attrgetter("lost"), lost_hosts_are_known_as_of_their_facts),
    (attrgetter("staying"), what_stays_has_nothing_to_move),
    (attrgetter("moves"), sources_can_migrate),
    (attrgetter("moves"), placements_say_of_sources_what_the_facts_say),
    (attrgetter("unplaced"), what_is_left_says_whose_it_is),
    (attrgetter("moves"), placements_are_no_surer_than_they_can_be),
    (attrgetter("moves"), guests_move_as_a_whole),
    (attrgetter("moves"), a_target_serves_one_source),
    (attrgetter("moves"), targets_may_receive),
)
