# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What the verifier holds of the conditions of a request. Pure."""

from __future__ import annotations

import math
import typing as t
from collections import Counter, defaultdict
from dataclasses import fields
from operator import attrgetter

from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import Conditions
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify_case import (
    WHOLE_PLAN,
    Case,
    Entry,
    Key,
    Move,
    Objection,
    Objections,
    Rule,
    as_known,
    keys_of,
    places_of,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify_turns import (
    MoveTurn,
    turns_amiss,
)

# Conditions that a plan says of itself; the others are of the occasion that it was made for.
_LASTING = tuple(
    each.name
    for each in fields(Conditions)
    if each.name not in ("avoid", "drain", "free_devices", "targets")
)


# What was taken off a plan once it was made.
_GONE = frozenset({"failed", "verifier", "left_out", "facts_changed"})


def the_plan_is_for_what_was_asked(case: Case) -> Objections:
    """Require that the plan says that it was made for what was asked."""
    stated = {**case.plan["conditions"]} if "conditions" in case.plan else None
    for name in _LASTING:
        wanted = getattr(case.asked, name)
        if name in ("direction", "policy"):
            found = case.plan[name]
        elif stated is None:
            continue
        elif name not in stated:
            yield Objection(WHOLE_PLAN, f"the plan does not say its {name}, and {wanted} was asked")
            continue
        else:
            found = stated[name]
        if name == "apart":
            found, wanted = ({frozenset(group) for group in each} for each in (found, wanted))
        if found != wanted:
            yield Objection(WHOLE_PLAN, f"the {name} is {found}, and {wanted} was asked")


def hosts_receive_no_more_than_their_limit(case: Case) -> Objections:
    """Require that no host receives more devices than ``limit`` says, with what it has received by earlier plans."""
    limit = case.asked.limit
    before = Counter(each["host"] for each in case.received)
    for host, count in Counter([move.target["host"] for move in case.moves]).items():
        most = limit.get(host) if isinstance(limit, t.Mapping) else limit
        if most is not None and count + before[host] > most:
            earlier = f" beside {before[host]} by earlier plans" if before[host] else ""
            yield Objection(
                keys_of(each for each in case.moves if each.target_key[0] == host),
                f"{host} receives {count} devices{earlier}, and {most} at most",
            )


def what_was_received_is_held_there(case: Case) -> Objections:
    """Require that guests hold what the plan says that hosts have received by earlier plans, each once, and have left what they held."""
    seen = Counter((each["host"], each["id"]) for each in case.received)
    for each in case.received:
        key, source = (each["host"], each["id"]), (each["source"]["host"], each["source"]["id"])
        if seen[key] > 1 or key[0] == source[0] or not _holds(case.device(key), each):
            yield Objection(
                WHOLE_PLAN, f"{key[1]} on {key[0]} is not what {each['vm']} has come to hold"
            )
        elif _holds(case.device(source), each):
            yield Objection(
                WHOLE_PLAN, f"{each['vm']} still holds {source[1]} on {source[0]}, and has moved"
            )


def _holds(device: Entry | None, guest: Entry) -> bool:
    holder = device["in_use"] if device is not None else None
    if not holder or holder.get("name") != guest["vm"]:
        return False
    return "vm_uuid" not in guest or holder.get("uuid") in (None, guest["vm_uuid"])


def hosts_have_what_their_guests_take(case: Case) -> Objections:
    """Require that of nothing that guests take more goes to a host than that is said to have free, and to ``spare``."""
    free, needs = ({**case.asked.capacity.get(each, {})} for each in ("hosts", "guests"))
    arriving: dict[str, dict[tuple[t.Any, ...], list[Move]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for move in case.moves:
        guest = (move.key[0], move.vm, move.vm_uuid)
        if move.vm_uuid in needs or move.vm in needs:
            arriving[move.target["host"]][guest].append(move)
    for host, guests in arriving.items():
        taken: Counter[str] = Counter()
        for _source, name, uuid in guests:
            taken.update(needs[uuid] if uuid in needs else needs[name])
        for resource, amount in taken.items():
            there = free.get(host, {}).get(resource, 0)
            if amount > there:
                yield Objection(
                    keys_of(each for moves in guests.values() for each in moves),
                    f"what goes to {host} takes {amount} of {resource}, and it has {there} free",
                )
            elif amount and amount > there - case.asked.spare.get(resource, 0):
                spare = case.asked.spare[resource]
                yield Objection(
                    keys_of(each for moves in guests.values() for each in moves),
                    f"what goes to {host} leaves {there - amount} of {resource}, and {spare} is to be spare",
                )


def guests_move_in_the_order_of_priority(case: Case) -> Objections:
    """Require that no device has the place of one like it that has a higher ``priority``, or that a process holds where none holds it.

    Only where one could simply take the other's place: both are the only device of their guests, on one host and alike, and
    no condition names a guest.
    """
    asked = case.asked
    if asked.apart or asked.capacity.get("guests") or any(each.guest for each in asked.avoid):
        return
    together = Counter(_process(*each) for each in case.every_device())
    left: dict[tuple[str, str], int] = {}
    for key, each in zip(case.unplaced, case.plan["unplaced"], strict=True):
        codes = {reason.get("code") for reason in each.get("reasons", ())}
        device = case.device(key)
        if device is not None and together[_process(key, device)] == 1 and codes.isdisjoint(_GONE):
            like = _likeness(key, device)
            left[like] = max(left.get(like, -1), _rank(case, device))
    for move in case.moves if left else ():
        if together[_process(move.key, move.source)] == 1:
            most = left.get(_likeness(move.key, move.source), -1)
            if most > _rank(case, move.source):
                yield move.objection(f"{move} has the place of a guest that comes before it")


def _process(key: Key, device: Entry) -> tuple[t.Any, ...]:
    """Return what the devices of one guest have in common, and no other has."""
    holder = device["in_use"] or {}
    return (key[0], holder["pid"]) if holder.get("pid") is not None else key


def _rank(case: Case, device: Entry) -> int:
    holder = device["in_use"]
    if holder is None:
        return -1
    by_name = case.asked.priority
    found = by_name.get(holder.get("uuid") or "", by_name.get(holder.get("name") or "", 0))
    return found or 0


# What two devices need not have in common for one to do where the other would.
_OF_NO_MATTER = dict.fromkeys(("id", "parent", "in_use", "iommu_group"))


def _likeness(key: Key, device: Entry) -> tuple[str, str]:
    return key[0], as_known({**device, **_OF_NO_MATTER})


def guests_of_a_group_are_apart(case: Case) -> Objections:
    """Require that where a guest of a group goes to, no other guest of that group is, then or at any time later.

    Where it goes to is a host, and each failure domain that the host is in.

    What moves in a wave is on both hosts as long as that lasts. Guests that were together before and stay are none of the
    plan's doing.
    """
    held: dict[str, list[Key]] = defaultdict(list)
    for key, device in case.every_device():
        holder = device["in_use"] or {}
        for each in {holder.get("name"), holder.get("uuid")} - {None, ""}:
            held[str(each)].append(key)
    places = places_of(case)
    for group in case.asked.apart:
        keys = [key for each in sorted(group) for key in held.get(each, ())]
        for place, stays in _stays(case, keys, places).items():
            if len(stays) > 1:
                yield from _meetings(case, place, sorted(stays))


def _stays(
    case: Case,
    keys: t.Sequence[Key],
    places: t.Callable[[str], list[str]],
) -> dict[str, set[_Stay]]:
    """Return by place who is there, from which wave to which one, of the guests that hold these devices.

    Each guest by its process: two hosts may have guests of one name.
    """
    there: dict[str, set[_Stay]] = defaultdict(set)
    for key in keys:
        holder, move = case.devices[key[0]][key[1]]["in_use"], case.move_of(key)
        guest = (str(holder.get("name")), key[0], str(holder.get("pid") or key[1]))
        for place in places(key[0]):
            there[place].add(_Stay(0, move.wave if move else math.inf, guest))
        if move:
            for place in places(move.target["host"]):
                there[place].add(_Stay(move.wave, math.inf, guest))
    return there


class _Stay(t.NamedTuple):
    """From which wave to which one a guest is in a place, and which guest it is."""

    begin: float
    end: float
    guest: tuple[str, str, str]


def _meetings(case: Case, place: str, stays: t.Sequence[_Stay]) -> Objections:
    """Yield that guests of a group meet in ``place``, where one of them goes; ``stays`` are sorted.

    One that moves within a failure domain comes to it and leaves it.
    """
    # Of all before, the one that stays longest, and of the other guests the one that does.
    last = another = _Stay(0, -1, ("", "", ""))
    for each in stays:
        other = last if last.guest != each.guest else another
        if each.begin and each.begin <= other.end:
            names = [each.guest[0], other.guest[0]]
            when = "" if other.end == math.inf else " on the way"
            places = places_of(case)
            yield Objection(
                keys_of(
                    m for m in case.moves if place in places(m.target_key[0]) and m.vm in names
                ),
                f"{' and '.join(sorted(names))} are to be apart and all on {place}{when}",
            )
        if each.end >= last.end:
            last, another = each, (last if last.guest != each.guest else another)
        elif each.end >= another.end and each.guest != last.guest:
            another = each


def no_more_guests_move_at_a_time_than_may(case: Case) -> Objections:
    """Require that each placement has a turn where ``concurrent_moves`` is asked, and that no host or link has more guests in one than that says.

    The devices of a guest have one turn, and the turns of a wave count from 1.
    """
    moves: dict[t.Hashable, list[Move]] = defaultdict(list)
    for move in case.moves:
        moves[_process(move.key, move.source)].append(move)
    turns = {
        guest: [
            MoveTurn(each.wave, each.found.get("turn"), each.key[0], each.target_key[0])
            for each in found
        ]
        for guest, found in moves.items()
    }
    for guests, sentence in turns_amiss(turns, case.asked.concurrent_moves):
        ends = keys_of(move for guest in guests for move in moves[guest])
        yield Objection(ends if guests else WHOLE_PLAN, sentence)


def guests_stay_on_one_numa_node(case: Case) -> Objections:
    """Require that all targets of one process are on one NUMA node."""
    nodes: dict[tuple[str, int], set[int | None]] = defaultdict(set)
    moving: dict[tuple[str, int], list[Move]] = defaultdict(list)
    for move in case.moves:
        holder = move.source["in_use"]
        if holder and holder.get("pid") is not None:
            place = move.parent if move.target["create"] else move.there
            nodes[move.key[0], holder["pid"]].add((place or {}).get("numa_node"))
            moving[move.key[0], holder["pid"]].append(move)
    for (host, pid), found in nodes.items():
        if len(found) > 1:
            yield Objection(
                keys_of(moving[host, pid]),
                f"process {pid} on {host} goes to several NUMA nodes of a host",
            )


def a_guest_gets_one_vgpu_of_a_gpu(case: Case) -> Objections:
    """Require that no two vGPUs of NVIDIA's that one process holds go to one physical GPU."""
    on_gpus: dict[tuple[t.Any, ...], list[Move]] = defaultdict(list)
    for move in case.moves:
        host, under = move.target["host"], move.target["parent"]
        parent = move.parent or {}
        own = {} if move.descriptor is None else move.descriptor.own
        if "nvidia" in (parent.get("driver"), own.get("driver")):
            gpu = parent.get("physical_function") or under or move.target["id"]
            pid = (move.source["in_use"] or {}).get("pid")
            on_gpus[move.key[0], move.key if pid is None else pid, host, gpu].append(move)
    for (_source, _guest, host, gpu), moves in on_gpus.items():
        if len(moves) > 1:
            yield Objection(keys_of(moves), f"a guest gets {len(moves)} vGPUs of {gpu} on {host}")


def devices_keep_their_kind(case: Case) -> Objections:
    """Require that a target is of its source's kind."""
    for move in case.moves:
        if move.target["kind"] != move.source["kind"]:
            yield move.objection(f"{move} does not keep the kind {move.source['kind']}")


def devices_keep_their_type(case: Case) -> Objections:
    """Require that a target is of its source's type."""
    for move in case.moves:
        if move.target["type"] != move.source["type"]:
            yield move.objection(f"{move} does not keep the type {move.source['type']}")


RULES: tuple[Rule, ...] = (
    (attrgetter("plan"), the_plan_is_for_what_was_asked),
    (attrgetter("is_limited"), hosts_receive_no_more_than_their_limit),
    (attrgetter("received"), what_was_received_is_held_there),
    (attrgetter("asked.capacity"), hosts_have_what_their_guests_take),
    (attrgetter("unplaced"), guests_move_in_the_order_of_priority),
    (attrgetter("asked.apart"), guests_of_a_group_are_apart),
    (attrgetter("asked.concurrent_moves"), no_more_guests_move_at_a_time_than_may),
    (attrgetter("asked.numa_local"), guests_stay_on_one_numa_node),
    (attrgetter("asked.distinct_gpus"), a_guest_gets_one_vgpu_of_a_gpu),
    (attrgetter("asked.keep_kind"), devices_keep_their_kind),
    (attrgetter("asked.keep_type"), devices_keep_their_type),
)
