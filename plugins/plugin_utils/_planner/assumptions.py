# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Assumptions: what keeps it from being proven that devices have no place. Pure.

A search that has looked at everything has looked at what the planner allows. That no plan exists is proven only if the
rules of the kernel and of the drivers alone exclude it, and missing facts do not.
"""

from __future__ import annotations

import itertools
import typing as t
from collections import Counter, defaultdict

from ansible_collections.vfio.migration.plugins.plugin_utils._compat.wording import (
    AS_ROOT,
    listed,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import (
    Device,
    obstacle,
    obstacle_in_guest,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.assignment import less
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.bottleneck import (
    Shortage,
    find_shortage,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.network import address_of
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.problem import (
    Problem,
    resources_in,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import (
    perhaps_staying,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.resources import Resources
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.survey import likeness
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.without_limits import (
    find_without_limits,
)

# Of more places that one thing excludes, only the first are named.
_MAX_NAMES = 3
# So many times guests are tried in the states of hosts, each alone.
_MOST_TRIES = 2_000
# So many pairs of different devices are compared.
_MOST_DOUBTS = 20_000
# What is assumed of so many different devices is looked at for each by itself.
_MOST_ALONE = 8


class Assumed(t.NamedTuple):
    """What was assumed in finding no place for all guests, in ``sentences``; none where it is proven that there is none.

    Where something was assumed that only leaves more behind than is proven, ``least`` is how many devices are, and
    ``shortage`` what proves it, if that does. What ``limits`` say keeps nothing from being proven that counts places. Where
    there are limits that say nothing, ``most`` is how many are left behind even without these.
    """

    sentences: t.Sequence[str]
    least: int | None = None
    shortage: Shortage | None = None
    limits: t.Sequence[str] = ()
    most: int | None = None


_NOTHING = Assumed([])


def assumptions(problem: Problem, placed: t.Mapping[int, str]) -> Assumed:
    """Return what was assumed in finding no place for all guests.

    ``placed`` are the guests that have a place, each with its host.
    """
    guests = problem.request.guests
    left = [number for number in range(len(guests)) if number not in placed]
    takers = _takers(problem)
    reached = _connected(problem, left, takers)
    sources = [problem.resources.demands[each] for each in sorted(reached)]
    perhaps_free = _perhaps_free(problem, left, reached)
    sentences = [
        *_unknown_sources(perhaps_free),
        *_hosts_without_facts(problem),
        *_hosts_with_problems(problem),
        *_unknown_holders(problem, sources),
        *_doubts(problem, sources),
        *_addresses_that_leave(problem, sources),
    ]
    of_rules = _own_rules(problem, left, takers, reached)
    limits, most = [*_limits(problem, reached, placed)], None
    if not limits and (without := find_without_limits(problem, reached)) is not None:
        most = without.least
        exceeded = {} if most else without.exceeded
        limits = [*_limiting(problem, {problem.names[n]: left for n, left in exceeded.items()})]
    # No host, rule or limit would help a device that cannot migrate.
    stuck = sum(
        len(guests[number].devices)
        for number in left
        if number not in perhaps_free
        and any(obstacle_in_guest(each, guests[number].devices) for each in guests[number].devices)
    )
    sentences += of_rules.sentences
    if sentences:
        # What is assumed of others does not concern guests that no host takes in.
        certain = [each for each in left if each not in perhaps_free]
        alone = _certainly_nowhere(problem, certain)
        least = stuck + sum(len(guests[number].devices) for number in alone)
        return Assumed(sentences, least or None, limits=limits, most=most)
    if stuck and of_rules != _NOTHING:
        of_rules = of_rules._replace(least=max(stuck, of_rules.least or 0))
    return of_rules._replace(limits=limits, most=most)


def _certainly_nowhere(problem: Problem, left: t.Sequence[int]) -> list[int]:
    """Return the guests that no host takes in, even if no other guest is there, and of whose own devices nothing is assumed.

    That holds whatever the limits and the planner's own rules are.
    """
    if any((*_hosts_without_facts(problem), *_hosts_with_problems(problem))):
        return []
    nowhere = _nowhere(problem, left)
    needs = {
        number: frozenset(demand for demand, _device in problem.demands[number])
        for number in nowhere
    }
    doubtful = _doubtful(problem, frozenset[int]().union(*needs.values()))
    return [number for number in nowhere if needs[number].isdisjoint(doubtful)]


def _doubtful(problem: Problem, demands: t.Collection[int]) -> t.Collection[int]:
    """Return which of these demands something is assumed of."""
    if len(demands) > _MOST_ALONE:
        return demands
    return [
        demand
        for demand in demands
        for sources in [[problem.resources.demands[demand]]]
        if any(
            (
                *_unknown_holders(problem, sources),
                *_doubts(problem, sources),
                *_addresses_that_leave(problem, sources),
            )
        )
    ]


def _perhaps_free(
    problem: Problem, left: t.Sequence[int], reached: t.AbstractSet[int]
) -> dict[int, Device]:
    """Return the guests concerned that may be none, each with its device: if no process holds that, it stays."""
    keys = {each.key for each in perhaps_staying(problem.fleet, problem.request.conditions)}
    without_place = {*left}
    return {
        number: guest.devices[0]
        for number, guest in enumerate(problem.request.guests)
        if guest.devices[0].key in keys
        and (
            number in without_place
            or any(demand in reached for demand, _device in problem.demands[number])
        )
    }


def _unknown_sources(perhaps_free: t.Mapping[int, Device]) -> t.Iterator[str]:
    """Yield the devices that would not have to move if no process holds them."""
    names = [f"{each.id} on {each.host}" for each in perhaps_free.values()]
    if names:
        yield (
            f"it is unknown whether a process holds {_first(names)}: devices that are not in use would stay there; {AS_ROOT}"
        )


def _hosts_without_facts(problem: Problem) -> t.Iterator[str]:
    conditions = problem.request.conditions
    names = set(problem.fleet.unknown).difference(conditions.drain or ())
    if conditions.targets is not None:
        names &= {*conditions.targets}
    if names:
        yield f"there are no usable facts of {_first(sorted(names))}, where there may be a place"


def _hosts_with_problems(problem: Problem) -> t.Iterator[str]:
    """Yield the hosts of which not all could be read that may have been a place."""
    names = _of_part(problem, problem.survey.partly_read)
    if names:
        yield f"not all of {_first(names)} could be read, where there may be a place: see the problems in the facts"


def _of_part(problem: Problem, hosts: t.Sequence[str]) -> list[str]:
    """Return those of these hosts that ``problem`` has, which may be a part."""
    if not hosts:
        return []
    names = {*problem.names}
    return [name for name in hosts if name in names]


def _unknown_holders(problem: Problem, sources: t.Sequence[Device]) -> t.Iterator[str]:
    """Yield the devices that match, and of which it is not known whether a process holds them."""
    fits: dict[t.Hashable, bool] = {}
    found = []
    for name in _of_part(problem, problem.survey.with_perhaps_held):
        for device in problem.fleet.hosts[name].perhaps_held:
            key = likeness(problem.admission, device)
            if key not in fits:
                fits[key] = any(
                    problem.admission.refusal(source, device) is None for source in sources
                )
            if fits[key] and (obstacle(device) is None or device.choices is not None):
                found.append(f"{device.id} on {name}")
    if found:
        yield f"of compatible devices, it is unknown whether a process holds {_first(found)}"


def _doubts(problem: Problem, sources: t.Sequence[Device]) -> t.Iterator[str]:
    """Yield the places that only the care excludes with which descriptors are derived."""
    doubts = problem.admission.doubts
    found: dict[str, list[str]] = {}
    compared = 0
    for places in problem.survey.places(problem.admission, problem.names):
        place = places[0].target
        for source in sources:
            if not _is_derived(source) and not (isinstance(place, Device) and _is_derived(place)):
                continue
            compared += 1
            if compared > _MOST_DOUBTS:
                yield "not all devices were compared, as so many of them are different"
                return
            attributes = doubts(source, place)
            if attributes:
                names = [f"{each.id} on {each.host}" for each in places]
                found.setdefault(listed(attributes), []).extend(names)
                break
    for differing, names in found.items():
        yield (
            f"it is assumed that {_first([*dict.fromkeys(names)])} would refuse a device that differs in {differing}: nothing documents it"
        )


def _addresses_that_leave(problem: Problem, sources: t.Iterable[Device]) -> t.Iterator[str]:
    """Yield the functions that match once another one of their card, which has the MAC address that they would be given, has moved."""
    admission = problem.admission
    found = []
    for source in sources:
        if source.key not in admission.addresses:
            continue
        for there, holders in _cards_with(problem, admission.addresses[source.key].mac):
            if any(
                admission.unavailable(each) is None
                and admission.beside_address(source, each) is not None
                and admission.candidates.compatible(source, each) is not None
                for each in there
            ):
                found += [f"{each.id} on {each.host}" for each in holders]
    if found:
        names = _first([*dict.fromkeys(found)])
        yield (
            f"a MAC address is taken to stay where it is, and the guest that has it at {names} is to move: once it has, another plan may find a place beside"
        )


def _cards_with(problem: Problem, mac: str) -> t.Iterator[tuple[list[Device], list[Device]]]:
    """Yield the functions of each card on which all that have a MAC address are to move, and those."""
    for name in problem.names:
        host = problem.fleet.hosts[name]
        moving = problem.admission.moving.get(name, ())
        for card in host.addresses.get(mac, ()):
            there = [each for each in host.devices if each.parent == card]
            holders = [each for each in there if address_of(each) == mac]
            if all(each.id in moving for each in holders):
                yield there, holders


def _is_derived(device: Device) -> bool:
    return device.descriptor is not None and bool(device.descriptor.derived)


def _limits(
    problem: Problem, reached: t.AbstractSet[int], placed: t.Mapping[int, str]
) -> t.Iterator[str]:
    """Yield the hosts where only the limits that were asked for exclude a guest with demands that are ``reached``."""
    resources = problem.resources
    if not any(each.limits for each in problem.bins):
        return
    left = {name: each.limits for name, each in zip(problem.names, problem.bins, strict=True)}
    for number, host in placed.items():
        left[host] = less(left[host], problem.items[number].weights)
    needs = {
        (item.weights, frozenset(item.demands))
        for item in problem.items
        if not reached.isdisjoint(item.demands)
    }
    exceeded: dict[str, tuple[int, ...]] = {}
    for name, each in zip(problem.names, problem.bins, strict=True):
        for weights, demands in needs:
            lacking = less(left[name], weights)
            if any(amount < 0 for amount in lacking) and all(
                any(resources.could_take(r, demand) for r in each.state) for demand in demands
            ):
                exceeded[name] = lacking
                break
    yield from _limiting(problem, exceeded)


def _limiting(problem: Problem, exceeded: t.Mapping[str, tuple[int, ...]]) -> t.Iterator[str]:
    """Yield that hosts could receive more without the limit and the capacity that were asked for, of which so much would be left."""
    is_limit = {
        name: problem.request.conditions.limit is not None and left[0] < 0
        for name, left in exceeded.items()
    }
    of_limit = [name for name, of in is_limit.items() if of]
    of_capacity = [name for name, of in is_limit.items() if not of]
    if of_limit:
        yield f"the limit that was asked for keeps {_first(of_limit)} from receiving more"
    if of_capacity:
        yield f"the capacity that was stated keeps {_first(of_capacity)} from receiving more"


def _takers(problem: Problem) -> dict[int, set[int]]:
    """Return for each demand the resources that could take it in, whatever the planner's own rules are."""
    there = resources_in(problem.bins)
    return {
        demand: {each for each in there if problem.resources.could_take(each, demand)}
        for demand in {demand for needed in problem.demands for demand, _device in needed}
    }


def _own_rules(
    problem: Problem,
    left: t.Sequence[int],
    takers: t.Mapping[int, set[int]],
    reached: t.Collection[int],
) -> Assumed:
    """Return the planner's own rules, safe but stricter than a driver may be, without which there might be a place.

    Where there is none even so, return what proves it.
    """
    resources = problem.resources
    there = resources_in(problem.bins)
    demands = [[demand for demand, _device in needed] for needed in problem.demands]
    rules = {
        resource: found
        for resource in sorted(there)
        if (of := {demand for demand in reached if resource in takers[demand]})
        and (found := resources.own_rules(resource, of))
    }
    if not rules:
        return _NOTHING
    nowhere = _nowhere(problem, left)
    shortage = _shortage_without_rules(resources, demands, there)
    least = sum(len(demands[number]) for number in nowhere)
    if nowhere or shortage is not None:
        return Assumed([], max(least, shortage.missing if shortage else 0), shortage)
    places: dict[str, str] = {}
    for words, place in itertools.chain.from_iterable(rules.values()):
        places.setdefault(words, place)
    return Assumed([words.format(place) for words, place in places.items()])


def _nowhere(problem: Problem, left: t.Sequence[int]) -> list[int]:
    """Return the guests that no host takes in, even if no other guest is there and whatever the planner's own rules are."""
    resources = problem.resources
    states = list(dict.fromkeys(each.state for each in problem.bins))
    by_needs: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for number in left:
        by_needs[tuple(sorted(demand for demand, _device in problem.demands[number]))].append(
            number
        )
    if len(by_needs) * len(states) > _MOST_TRIES:
        # Only those of which a device fits nowhere are looked for.
        states = [tuple(itertools.chain.from_iterable(states))]
    return [
        number
        for needs, guests in by_needs.items()
        if needs
        and all(_shortage_without_rules(resources, [needs], Counter(each)) for each in states)
        for number in guests
    ]


def _connected(
    problem: Problem, left: t.Sequence[int], takers: t.Mapping[int, set[int]]
) -> set[int]:
    """Return the demands that compete with those of the guests that are ``left``, directly or through others.

    Guests compete that could take the same, or are to be apart: where one may go depends on where the other one is.
    """
    # A guest without demands cannot migrate, and takes no place from others.
    distinct = {
        (frozenset(item.demands), item.anti_affinity) for item in problem.items if item.demands
    }
    reached: set[int] = set()
    groups: set[int] = set()
    found = {
        (frozenset(item.demands), item.anti_affinity)
        for number in left
        if (item := problem.items[number]).demands
    }
    while found:
        distinct -= found
        reached = reached.union(*(demands for demands, _groups in found))
        groups = groups.union(*(of_guest for _demands, of_guest in found))
        resources = set[int]().union(*(takers[demand] for demand in reached))
        sharing = {demand for demand, of in takers.items() if not of.isdisjoint(resources)}
        found = {
            each
            for each in distinct
            if not (each[0].isdisjoint(sharing) and each[1].isdisjoint(groups))
        }
    return reached


class _WithoutRules:
    """How many devices resources take in at most, whatever the planner's own rules are."""

    def __init__(self, resources: Resources, demands: t.Collection[int]) -> None:
        self._resources = resources
        self._demands = demands
        self._most: dict[int, int] = {}

    def capacity(self, resource: int, demand: int) -> int:
        """Return how many devices ``resource`` takes in at most, if any with this demand."""
        if not self._resources.could_take(resource, demand):
            return 0
        if resource not in self._most:
            self._most[resource] = self._resources.most(resource, self._demands)
        return self._most[resource]


def _shortage_without_rules(
    resources: Resources, demands: t.Sequence[t.Sequence[int]], there: t.Mapping[int, int]
) -> Shortage | None:
    """Return the proof that there are too few places even without the planner's own rules, if there is one."""
    needed = Counter(demand for of_guest in demands for demand in of_guest)
    return find_shortage(_WithoutRules(resources, needed), needed, there)


def _first(names: t.Sequence[str]) -> str:
    more = len(names) - _MAX_NAMES
    return f"{listed(names[:_MAX_NAMES])} and {more:,} more" if more > 0 else listed(names)
