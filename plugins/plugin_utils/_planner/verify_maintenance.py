# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The verifier of rolling maintenance: follow every guest through all steps, by the raw facts. Pure.

What one step does, the verifier of plans has checked when the step was made. Here it is whether the steps are of one
piece: it knows nothing but who held what before, what the steps say, and what was stated of what guests take beside devices.
"""

from __future__ import annotations

import typing as t
from collections import Counter, defaultdict

from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import Conditions
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify_case import (
    Entry,
    Facts,
    Key,
    name_of,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify_turns import (
    MoveTurn,
    turns_amiss,
)

_NO_CONDITIONS = Conditions()


def maintenance_objections(
    plan: Entry, facts: Facts, hosts: t.Collection[str], conditions: Conditions = _NO_CONDITIONS
) -> list[str]:
    """Return what is wrong with the steps of ``plan``, with the host and device concerned; empty for a sound one.

    ``facts`` maps each host to its ``vfio_migration`` facts before the first step; ``hosts`` are those to be emptied. Of the
    ``conditions`` that were asked, those are looked at that no step keeps by itself: what hosts have free, and who is to be apart,
    on whichever host.
    """
    replay = _Replay(facts, conditions)
    found = [
        f"step {number}: {sentence}"
        for number, step in enumerate(plan["steps"], 1)
        for sentence in replay.take(step)
    ]
    order = [host for step in plan["steps"] for host in step["hosts"]]
    found += [
        f"{host} is drained {count} times" for host, count in Counter(order).items() if count > 1
    ]
    if plan["order"] != order:
        found.append("the order is another than that of the steps")
    for name in ("moves", "conversions"):
        if plan[name] != sum(step[name] for step in plan["steps"]):
            found.append(f"{plan[name]} {name} are another number than the steps have")
    found += _of_the_whole(plan, {*order}, {*hosts}, replay.count_of(hosts))
    for name in ("capacity", "spare", "prefer", "concurrent_moves"):
        if plan["conditions"][name] != getattr(conditions, name):
            found.append(f"the plan states another {name} than was asked")
    return found


def _of_the_whole(plan: Entry, emptied: set[str], hosts: set[str], guests: int) -> t.Iterator[str]:
    """Yield what the plan says of all steps together that is not so: what is emptied, and that fewer moves are not enough."""
    blocked, bound, moves = plan["blocked"], plan["bound"], plan["moves"]
    yield from (f"{host} is drained, and was not asked for" for host in sorted(emptied - hosts))
    if plan["guests"] != guests:
        yield f"the guests are {plan['guests']}, and the hosts to be drained have {guests}"
    if blocked is None:
        yield from (f"{host} is not drained" for host in sorted(hosts - emptied))
        # Each guest moves once at the least.
        if bound is None or not guests <= bound <= moves:
            yield f"{bound} moves at the least are fewer than the {guests} guests, or more than the {moves} moves"
        best = (moves, plan["conversions"]) == (bound, 0)
        status = "optimal" if best else "feasible"
    else:
        yield from (
            f"{host} cannot be drained, and is drained or was not asked for"
            for host in blocked["hosts"]
            if host in emptied or host not in hosts
        )
        if bound is not None:
            yield f"{bound} moves at the least are claimed where not all hosts are drained"
        status = "infeasible" if blocked["proven"] else "unproven"
    if plan["status"] != status:
        yield f"the status is {plan['status']}, and the steps are {status}"


class _Replay:
    """Which guest holds which device now; ``_origins`` has for each held device the one that its guest held at first."""

    def __init__(self, facts: Facts, conditions: Conditions) -> None:
        self._needs = {**conditions.capacity.get("guests", {})}
        stated = conditions.capacity.get("hosts", {})
        self._free: dict[str, Counter[str]] = defaultdict(Counter)
        self._free |= {host: Counter(amounts) for host, amounts in stated.items()}
        self._spare = conditions.spare
        self._concurrent = conditions.concurrent_moves
        self._names: dict[t.Any, str] = {}
        self._types: dict[Key, t.Any] = {}
        self._guests: dict[Key, t.Any] = {}
        self._there: set[Key] = set()
        # The facts may have a process under several names.
        self._held_as: dict[t.Any, set[t.Any]] = defaultdict(set)
        # By name and UUID.
        self._called: dict[t.Any, set[t.Any]] = defaultdict(set)
        for host, each in facts.items():
            for device in sorted(each["devices"], key=lambda device: str(device["id"])):
                key = (host, device["id"])
                self._there.add(key)
                self._types[key] = device["type"]
                holder = device["in_use"]
                if holder is not None:
                    pid = holder.get("pid")
                    guest = (host, device["id"] if pid is None else pid)
                    self._guests[key] = guest
                    if guest not in self._held_as:
                        self._note_name(guest, holder)
                    self._held_as[guest].add(holder.get("name"))
                    self._called[guest] |= {holder.get("name"), holder.get("uuid")} - {None}
        self._apart = conditions.apart
        self._domains: dict[str, list[str]] = defaultdict(list)
        for domain, hosts in conditions.failure_domains.items():
            for host in hosts:
                self._domains[host].append(f"failure domain {domain}")
        self._origins: dict[Key, Key] = {key: key for key in self._guests}
        self._sizes = Counter(self._guests.values())
        self._came_back: set[str] = set()

    def _note_name(self, guest: t.Any, holder: Entry) -> None:
        """Note under which name of a guest's first device there is something that it takes beside devices."""
        for name in (holder.get("name"), holder.get("uuid")):
            if name in self._needs:
                self._names[guest] = name

    def count_of(self, hosts: t.Collection[str]) -> int:
        """Return how many guests these hosts had at first."""
        return len({guest for guest in self._sizes if guest[0] in hosts})

    def take(self, step: Entry) -> t.Iterator[str]:
        """Yield what is wrong with a step, and take it."""
        batch = {*step["hosts"]}
        sources = [(each["source"]["host"], each["source"]["id"]) for each in step["placements"]]
        targets = [(each["target"]["host"], each["target"]["id"]) for each in step["placements"]]
        held = {key for key in self._origins if key[0] in batch}
        yield from (f"{name_of(key)} is left behind" for key in sorted(held - {*sources}))
        yield from (f"{name_of(key)} is not in use there" for key in {*sources} - held)
        for key, count in Counter(sources + targets).items():
            if count > 1:
                yield f"{name_of(key)} moves, or is a target, {count} times"
        for key, each in zip(targets, step["placements"], strict=True):
            if key in self._origins or key[0] in batch:
                yield f"{name_of(key)} is not a target: it is held, or its host is drained"
            if (key in self._there) == each["target"]["create"]:
                yield f"{name_of(key)} is there already, or is not"
        yield from self._counts(step, sources)
        origins = [self._origins.pop(key, key) for key in sources]
        for key, origin, each in zip(sources, origins, step["placements"], strict=True):
            if each["vm"] not in self._held_as[self._guests.get(origin)]:
                yield f"{name_of(key)} is not held by {each['vm']}"
        for key, origin, each in zip(targets, origins, step["placements"], strict=True):
            self._origins[key] = origin
            self._there.add(key)
            self._types[key] = each["target"]["type"]
        yield from self._torn_apart(zip(targets, origins, strict=True))
        yield from self._turns_amiss(zip(origins, sources, targets, strict=True), step)
        yield from self._met({self._guests.get(origin) for origin in origins})
        if self._needs:
            yield from self._take_of_hosts(zip(sources, targets, origins, strict=True))
        self._came_back |= batch

    def _turns_amiss(self, moved: t.Iterable[tuple[Key, Key, Key]], step: Entry) -> t.Iterator[str]:
        """Yield what is wrong with the turns of a step, where only so many guests may move at a time."""
        moving: dict[t.Any, list[MoveTurn]] = defaultdict(list)
        for (origin, source, target), each in zip(moved, step["placements"], strict=True):
            move = MoveTurn(each["wave"], each.get("turn"), source[0], target[0])
            moving[self._guests.get(origin)].append(move)
        if self._concurrent:
            yield from (words for _guests, words in turns_amiss(moving, self._concurrent))

    def _met(self, moved: t.Collection[t.Any]) -> t.Iterator[str]:
        """Yield the guests that are to be apart, and of which one has ``moved`` to where another one is."""
        held = self._origins.items() if self._apart else ()
        places: dict[t.Any, list[str]] = {
            self._guests[origin]: self._domains.get(host) or [host]
            for (host, _id), origin in held
            if origin in self._guests
        }
        for group in self._apart:
            there: dict[str, set[t.Any]] = defaultdict(set)
            for guest, names in places.items():
                if not self._called[guest].isdisjoint(group):
                    for place in names:
                        there[place].add(guest)
            for place, guests in there.items():
                if len(guests) > 1 and not guests.isdisjoint(moved):
                    names = sorted({str(min(self._called[guest])) for guest in guests})
                    yield f"{' and '.join(names)} are to be apart and all on {place}"

    def _take_of_hosts(self, moved: t.Iterable[tuple[Key, Key, Key]]) -> t.Iterator[str]:
        """Yield the hosts that have less free than what comes to them takes, and take it; what leaves a host is free there after that.

        Of several guests that share a name on a host, what that one takes is free.
        """
        arriving: dict[str, Counter[str]] = defaultdict(Counter)
        leaving = set()
        for guest, source, target in {
            (self._guests[origin], source[0], target[0])
            for source, target, origin in moved
            if self._guests.get(origin) in self._names
        }:
            arriving[target].update(self._needs[self._names[guest]])
            leaving.add((self._names[guest], source))
        for host, taken in arriving.items():
            there = self._free[host]
            for resource, amount in taken.items():
                spare = self._spare.get(resource, 0)
                if amount and amount + spare > there[resource]:
                    beside = f", of which {spare} is to be spare" if spare else ""
                    yield f"what goes to {host} takes {amount} of {resource}, and it has {there[resource]} free then{beside}"
            there.subtract(taken)
        for name, host in leaving:
            self._free[host].update(self._needs[name])

    def _counts(self, step: Entry, sources: t.Sequence[Key]) -> t.Iterator[str]:
        """Yield what the step counts otherwise than its placements do."""
        moving: dict[t.Any, list[Key]] = defaultdict(list)
        for key in sources:
            origin = self._origins.get(key, key)
            moving[self._guests.get(origin)].append(key)
        again = sum(any(self._origins.get(key) != key for key in keys) for keys in moving.values())
        onto = {each["target"]["host"] for each in step["placements"]}
        counted = {
            "moves": len(moving),
            "again": again,
            "conversions": sum(
                self._types.get(key) != each["target"]["type"]
                for key, each in zip(sources, step["placements"], strict=True)
            ),
            "returned": sorted(onto & self._came_back),
        }
        for name, value in counted.items():
            if step[name] != value:
                yield f"{name} is {step[name]}, and the placements have {value}"
        for host in sorted({key[0] for key in sources} & self._came_back):
            yield f"{host} has come back, and guests move away from it"

    def _torn_apart(self, moved: t.Iterable[tuple[Key, Key]]) -> t.Iterator[str]:
        """Yield the guests that have moved, and not with all of their devices to one host."""
        places: dict[t.Any, list[str]] = defaultdict(list)
        for key, origin in moved:
            places[self._guests.get(origin)].append(key[0])
        for guest, hosts in places.items():
            if len({*hosts}) > 1 or len(hosts) != self._sizes.get(guest):
                yield f"the devices of {guest} do not go to one host"
