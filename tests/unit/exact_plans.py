# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Exact plans for tiny fleets: every place of every guest is a variable, and nothing is left to a heuristic.

What may become what is asked of ``Admission``, whose verdicts have an oracle of their own. All else, which is capacities,
conditions, the order of moves and costs, is written here once more from the guide to plans. Where OR-Tools is installed its
solver CP-SAT finds the least cost; without it every combination is tried.
"""

from __future__ import annotations

import itertools
import typing as t
from collections import Counter, defaultdict
from math import lcm

from ansible_collections.vfio.migration.plugins.plugin_utils._compat.candidates import Candidates
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import (
    Device,
    Fleet,
    obstacle_in_guest,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.admissible import (
    NO_EXCLUSIONS,
    Admission,
    NewDevice,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import Request

try:
    from ortools.sat.python import cp_model

    POSSIBLE = True
except ImportError:
    POSSIBLE = False

# More than any number in a cost.
BASE = 64
# What a plan costs: devices left, on hosts that are not preferred, made, the loads of a domain and of a host, or opened parents,
# of another type.
Cost = tuple[int, ...]


class Option(t.NamedTuple):
    """What one device can become: a device that is there, or so many instances of a type under a parent."""

    host: str
    id: str
    created: bool
    other_type: bool
    node: int | None
    type: str = ""
    instances: int = 0


class Place(t.NamedTuple):
    """Where a guest can go: what each of its devices becomes there."""

    host: str
    options: tuple[Option, ...]


class ExactPlans:
    """All plans for a request, and the least that one of them costs."""

    def __init__(self, fleet: Fleet, request: Request) -> None:
        self.fleet, self.request = fleet, request
        self.asked = request.conditions
        self.spread = self.asked.policy == "spread"
        self.by_domain = self.spread and bool(self.asked.failure_domains)
        self._admission = Admission(request, Candidates(fleet, self.asked.direction), NO_EXCLUSIONS)
        self.owners = {
            device.key: number
            for number, guest in enumerate(request.guests)
            for device in guest.devices
        }
        self.parents = {
            (name, parent.id): parent
            for name in request.targets
            for parent in fleet.hosts[name].parents
        }
        self._existing = {each.key: each for each in fleet.devices() if each.kind == "pci"}
        self.opened_already = {
            (device.host, device.parent) for device in fleet.devices() if device.kind == "mdev"
        }
        # Devices held by those that stay.
        self.loads = Counter(
            device.host
            for device in fleet.devices()
            if device.in_use is not None and device.key not in self.owners
        )
        self.places = [list(self._places(number)) for number in range(len(request.guests))]
        self.groups = [
            [n for n, guest in enumerate(request.guests) if guest.name in group]
            for group in self.asked.apart
        ]
        # Groups of which a member stays, by host or failure domain.
        self.present: dict[str, set[int]] = defaultdict(set)
        for device in fleet.devices():
            if device.in_use and device.key not in self.owners:
                for number, group in enumerate(self.asked.apart):
                    if device.in_use.name in group:
                        for where in self.where(device.host):
                            self.present[where].add(number)

    def where(self, host: str) -> list[str]:
        """Return what guests of a group that are on ``host`` must not have in common: its failure domains, or itself."""
        domains = self.asked.failure_domains
        return [f"domain {name}" for name, hosts in domains.items() if host in hosts] or [host]

    def meet(self, host: str, other: str) -> bool:
        """Return whether guests on these two hosts are together."""
        return not {*self.where(host)}.isdisjoint(self.where(other))

    def _places(self, number: int) -> t.Iterator[Place]:
        guest = self.request.guests[number]
        if any(obstacle_in_guest(each, guest.devices) for each in guest.devices):
            return
        for name in self.request.targets:
            if name == guest.host:
                continue
            if self.asked.why_refused(name, guest.name, guest.uuid, guest.host) is not None:
                continue
            options = [list(self._options(name, device)) for device in guest.devices]
            for chosen in itertools.product(*options):
                taken = [each.id for each in chosen if not each.created]
                nodes = {each.node for each in chosen}
                if len(set(taken)) == len(taken) and not (self.asked.numa_local and len(nodes) > 1):
                    yield Place(name, chosen)

    def _options(self, name: str, source: Device) -> t.Iterator[Option]:
        host = self.fleet.hosts[name]
        for device in host.devices:
            if self._admission.unavailable(device) is None:
                found, _refusal = self._admission.admit(source, device)
                if found is not None:
                    other = device.type != source.type
                    yield Option(name, device.id, False, other, device.numa_node)
        for parent in host.parents:
            if self.asked.why_avoided(name, parent.id) is None:
                for each in parent.types:
                    made, _refusal = self._admission.admit(
                        source, NewDevice(parent.kind, each.id, parent, each)
                    )
                    if made is not None and each.available_instances:
                        other = each.id != source.type
                        yield Option(
                            *(name, parent.id, True, other, parent.numa_node),
                            *(each.id, made.instances),
                        )

    # --- rules ---

    def waits_for(self, guest: int, place: Place) -> set[int]:
        """Return the guests that must have moved before ``guest`` can go there, as it gets what they leave."""
        found = {
            self.owners[each.host, each.id]
            for each in place.options
            if not each.created and (each.host, each.id) in self.owners
        }
        for members in self.groups:
            if guest in members:
                found |= {
                    other
                    for other in members
                    if other != guest and self.meet(self.request.guests[other].host, place.host)
                }
        return found

    def forbidden(self, guest: int, place: Place) -> bool:
        """Return whether somebody of a group of the guest's stays there."""
        return any(
            guest in members and number in self.present[where]
            for number, members in enumerate(self.groups)
            for where in self.where(place.host)
        )

    def overfull(self, chosen: t.Mapping[int, Place]) -> bool:
        """Return whether the places that guests have are more than there are."""
        options = [each for place in chosen.values() for each in place.options]
        taken = Counter((each.host, each.id) for each in options if not each.created)
        made: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        for each in options:
            if each.created:
                made[each.host, each.id][each.type] += each.instances
        loads = Counter(each.host for each in options)
        return (
            any(count > 1 for count in taken.values())
            or any(self._too_many(key, types) for key, types in made.items())
            or any(
                limit is not None and loads[name] > limit
                for name in loads
                for limit in [self.asked.limit_of(name)]
            )
            or self._too_heavy(chosen)
            or self._two_with_one_address(chosen)
            or any(
                count > 1
                for members in self.groups
                for count in Counter(
                    where for g in members if g in chosen for where in self.where(chosen[g].host)
                ).values()
            )
        )

    def needs(self, guest: int) -> t.Mapping[str, int]:
        """Return what a guest takes of the capacity of its host."""
        found: t.Mapping[str, int] = self.asked.capacity.get("guests", {}).get(
            str(self.request.guests[guest].name), {}
        )
        return found

    def free(self, host: str, resource: str) -> int:
        """Return how much of a resource a host is said to have free for guests, without what is to be spare."""
        there = self.asked.capacity.get("hosts", {}).get(host, {}).get(resource, 0)
        return max(0, there - self.asked.spare.get(resource, 0))

    def _too_heavy(self, chosen: t.Mapping[int, Place]) -> bool:
        taken: Counter[tuple[str, str]] = Counter()
        for guest, place in chosen.items():
            for resource, amount in self.needs(guest).items():
                taken[place.host, resource] += amount
        return any(amount > self.free(*key) for key, amount in taken.items())

    def _two_with_one_address(self, chosen: t.Mapping[int, Place]) -> bool:
        """Return whether two guests are given one MAC address on one card."""
        guests: dict[t.Hashable, set[int]] = defaultdict(set)
        for guest, place in chosen.items():
            for source, each in zip(self.request.guests[guest].devices, place.options):
                target = self._existing.get((each.host, each.id))
                if target is None or target.network is None or source.network is None:
                    continue
                mac = dict(source.network)["mac"]
                if source.in_use and not target.in_use and mac != "00:00:00:00:00:00":
                    guests[target.host, target.parent, mac].add(guest)
        return any(len(each) > 1 for each in guests.values())

    def _too_many(self, key: tuple[str, str], types: Counter[str]) -> bool:
        parent = self.parents[key]
        available = {each.id: each.available_instances for each in parent.types}
        if parent.driver == "i915":
            whole = lcm(*(each or 1 for each in available.values()))
            return sum(n * whole // available[name] for name, n in types.items()) > whole
        return len(types) > 1 or any(n > available[name] for name, n in types.items())

    def in_order(self, chosen: t.Mapping[int, Place]) -> bool:
        """Return whether the guests can move one after the other."""
        waiting = {guest: self.waits_for(guest, place) for guest, place in chosen.items()}
        if any(not others <= chosen.keys() for others in waiting.values()):
            return False
        while waiting:
            ready = [guest for guest, others in waiting.items() if not others & waiting.keys()]
            if not ready:
                return False
            for guest in ready:
                del waiting[guest]
        return True

    def averse(self, host: str) -> bool:
        """Return whether other hosts are to be preferred."""
        return bool(self.asked.prefer) and host not in self.asked.prefer

    def cost(self, chosen: t.Mapping[int, Place]) -> Cost:
        """Return what a plan costs."""
        options = [each for place in chosen.values() for each in place.options]
        devices = sum(len(guest.devices) for guest in self.request.guests)
        opened = {(each.host, each.id) for each in options if each.created} - self.opened_already
        loads = Counter(each.host for each in options)
        load = max([self.loads[name] + count for name, count in loads.items()], default=0)
        come: Counter[str] = Counter()
        for name, count in loads.items():
            come.update(dict.fromkeys(self.where(name), count))
        in_domain = max([self.load_in(each) + count for each, count in come.items()], default=0)
        return (
            devices - len(options),
            sum(self.averse(each.host) for each in options),
            sum(each.created for each in options),
            *([in_domain] if self.by_domain else []),
            load if self.spread else len(opened),
            sum(each.other_type for each in options),
        )

    def load_in(self, where: str) -> int:
        """Return how many devices those that stay hold in a failure domain, or on a host that is in none."""
        return sum(count for name, count in self.loads.items() if where in self.where(name))

    # --- the least cost ---

    def least_by_trying(self) -> Cost:
        """Return the least cost of all combinations."""
        guests = range(len(self.request.guests))
        every: list[list[Place | None]] = [
            [None, *(each for each in self.places[guest] if not self.forbidden(guest, each))]
            for guest in guests
        ]
        best = self.cost({})
        partial: dict[int, Place] = {}

        def try_from(guest: int) -> None:
            nonlocal best
            if guest == len(every):
                if self.in_order(partial):
                    best = min(best, self.cost(partial))
                return
            for place in reversed(every[guest]):
                if place is not None:
                    partial[guest] = place
                if not self.overfull(partial):
                    left = sum(
                        len(self.request.guests[g].devices)
                        for g in range(guest + 1)
                        if g not in partial
                    )
                    if left <= best[0]:
                        try_from(guest + 1)
                partial.pop(guest, None)

        try_from(0)
        return best

    def every(self) -> t.Iterator[dict[int, Place]]:
        """Yield every plan that there is, by guest."""
        partial: dict[int, Place] = {}

        def found_from(guest: int) -> t.Iterator[dict[int, Place]]:
            if guest == len(self.places):
                if self.in_order(partial):
                    yield dict(partial)
                return
            yield from found_from(guest + 1)
            for place in self.places[guest]:
                if not self.forbidden(guest, place):
                    partial[guest] = place
                    if not self.overfull(partial):
                        yield from found_from(guest + 1)
                    del partial[guest]

        return found_from(0)

    def least(self) -> Cost:
        """Return the least cost as CP-SAT finds it."""
        model = cp_model.CpModel()
        chosen = [
            (guest, place, model.new_bool_var(f"{guest}-{number}"))
            for guest, places in enumerate(self.places)
            for number, place in enumerate(places)
        ]
        self._order(model, chosen)
        used: dict[tuple[str, str], list[t.Any]] = defaultdict(list)
        made: dict[tuple[str, str, str], list[t.Any]] = defaultdict(list)
        loads: dict[str, list[t.Any]] = defaultdict(list)
        arriving: dict[tuple[int, str], list[t.Any]] = defaultdict(list)
        for guest, place, variable in chosen:
            for each in place.options:
                if each.created:
                    made[each.host, each.id, each.type].append((variable, each.instances))
                else:
                    used[each.host, each.id].append(variable)
                loads[place.host].append(variable)
            for group, members in enumerate(self.groups):
                for where in self.where(place.host) if guest in members else ():
                    arriving[group, where].append(variable)
        for together in (*used.values(), *arriving.values()):
            model.add(sum(together) <= 1)
        for name, load in loads.items():
            limit = self.asked.limit_of(name)
            if limit is not None:
                model.add(sum(load) <= limit)
        self._weights(model, chosen)
        self._capacities(model, made)
        every = [(each, variable) for _g, place, variable in chosen for each in place.options]
        parts = [
            sum(len(guest.devices) for guest in self.request.guests) - sum(v for _each, v in every),
            sum(self.averse(each.host) * variable for each, variable in every),
            sum(each.created * variable for each, variable in every),
            *([self._domain_load(model, loads)] if self.by_domain else []),
            self._load(model, loads) if self.spread else self._opened(model, made),
            sum(each.other_type * variable for each, variable in every),
        ]
        powers = [BASE ** (len(parts) - 1 - n) for n in range(len(parts))]
        model.minimize(sum(part * power for part, power in zip(parts, powers)))
        solver = cp_model.CpSolver()
        solver.parameters.num_workers = 1
        assert solver.solve(model) == cp_model.OPTIMAL
        # As a floating-point number it would not be exact.
        return tuple(solver.value(part) for part in parts)

    def _order(self, model: t.Any, chosen: t.Sequence[tuple[int, Place, t.Any]]) -> None:
        """Require that guests have one place each, and can move one after the other."""
        moves: dict[int, list[t.Any]] = defaultdict(list)
        for guest, _place, variable in chosen:
            moves[guest].append(variable)
        count = len(self.places)
        when = [model.new_int_var(0, count, f"when-{guest}") for guest in range(count)]
        for of_guest in moves.values():
            model.add(sum(of_guest) <= 1)
        for guest, place, variable in chosen:
            if self.forbidden(guest, place):
                model.add(variable == 0)
            for other in self.waits_for(guest, place):
                model.add(sum(moves[other]) == 1).only_enforce_if(variable)
                model.add(when[guest] >= when[other] + 1).only_enforce_if(variable)

    def _weights(self, model: t.Any, chosen: t.Sequence[tuple[int, Place, t.Any]]) -> None:
        heavy: dict[tuple[str, str], list[t.Any]] = defaultdict(list)
        for guest, place, variable in chosen:
            for resource, amount in self.needs(guest).items():
                heavy[place.host, resource].append(amount * variable)
        for key, weights in heavy.items():
            model.add(sum(weights) <= self.free(*key))

    def _load(self, model: t.Any, loads: t.Mapping[str, list[t.Any]]) -> t.Any:
        highest = model.new_int_var(0, BASE - 1, "load")
        for name, load in loads.items():
            for variable in load:
                model.add(highest >= self.loads[name] + sum(load)).only_enforce_if(variable)
        return highest

    def _domain_load(self, model: t.Any, loads: t.Mapping[str, list[t.Any]]) -> t.Any:
        highest = model.new_int_var(0, BASE - 1, "load of a domain")
        come: dict[str, list[t.Any]] = defaultdict(list)
        for name, load in loads.items():
            for where in self.where(name):
                come[where] += load
        for where, load in come.items():
            for variable in load:
                model.add(highest >= self.load_in(where) + sum(load)).only_enforce_if(variable)
        return highest

    def _opened(self, model: t.Any, made: t.Mapping[tuple[str, str, str], list[t.Any]]) -> t.Any:
        opened: dict[tuple[str, str], t.Any] = {}
        for (host, parent, _type), found in made.items():
            if (host, parent) not in self.opened_already:
                key = host, parent
                opened.setdefault(key, model.new_bool_var(f"opened-{host}-{parent}"))
                for variable, _instances in found:
                    model.add(opened[key] >= variable)
        return sum(opened.values())

    def _capacities(self, model: t.Any, made: t.Mapping[tuple[str, str, str], list[t.Any]]) -> None:
        by_parent: dict[tuple[str, str], dict[str, t.Any]] = defaultdict(dict)
        for (host, parent, type_id), found in made.items():
            by_parent[host, parent][type_id] = sum(n * variable for variable, n in found)
        for key, types in by_parent.items():
            available = {each.id: each.available_instances for each in self.parents[key].types}
            if self.parents[key].driver == "i915":
                whole = lcm(*(each or 1 for each in available.values()))
                model.add(sum(n * (whole // available[name]) for name, n in types.items()) <= whole)
                continue
            chosen = {name: model.new_bool_var(f"{key}-{name}") for name in types}
            model.add(sum(chosen.values()) <= 1)
            for name, number in types.items():
                model.add(number <= available[name] * chosen[name])
