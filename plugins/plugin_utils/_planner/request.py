# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Requests: what is to be moved, where to, and on which conditions. Pure."""

from __future__ import annotations

import functools
import operator
import typing as t
import uuid
from collections import Counter, defaultdict
from dataclasses import dataclass, field, fields
from types import MappingProxyType

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.drivers import (
    driver_profile,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.verdict import DIRECTIONS
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.wording import MAX_NAMES
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.descriptor import plain_text
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import (
    Device,
    Fleet,
    why_unknown,
    why_unsupported,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import (
    check_hosts,
    uncollected,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.values import (
    count,
    flag,
    grouped,
    listed,
    names,
    one_name,
    one_of,
    one_or_more,
    quoted,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.packings import UNLIMITED
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import (
    ConcurrentMoves,
    Count,
    GivenDevice,
    NetworkLink,
    Placement,
    PlanBody,
    PlanConditions,
    PlanRequest,
    ReceivedDevice,
    StayingDevice,
)

# Made for this collection: names the UUIDs of targets whose source's own cannot be kept.
_NAMESPACE = uuid.UUID("6f0c2f4e-3c61-5d0c-9a55-0e4b8d2f7a11")
POLICIES = ("pack", "spread")
# Which devices that no process holds leave a host that is emptied: those that can, all, or none.
FREE_DEVICES = ("movable", "all", "none")
_NO_NUMBERS = frozenset[int]()
# Why a device stays on a host that is emptied, where nothing else is to be said.
NOT_HELD = "not held"


# --- checks of conditions ---


def _direction(name: str, value: t.Any) -> str:
    return one_of(name, value, DIRECTIONS)


def _policy(name: str, value: t.Any) -> str:
    return one_of(name, value, POLICIES)


def _free_devices(name: str, value: t.Any) -> str:
    return one_of(name, value, FREE_DEVICES)


def _check_keys(name: str, value: t.Mapping[t.Any, t.Any], known: t.Collection[str]) -> None:
    """Raise ``FleetError`` where ``value`` has a key that says nothing: without it, it would say something else."""
    unknown = sorted(quoted(key) for key in value if key not in known)
    if unknown:
        raise FleetError(
            f"{name} has the key {', '.join(unknown[:MAX_NAMES])}; expected {', '.join(known)}"
        )


# What makes a place narrower than a host.
_NARROWER = ("parent", "guest", "guest_host")
_KEYS_OF_PLACES = ("host", *_NARROWER, "problem")


class Avoided(t.NamedTuple):
    """Where nothing may go: a host, or only what is under a ``parent`` there.

    Where it has a ``guest``, by its name or UUID, only that may not go there; where it has a ``guest_host``, only if it is on that.
    """

    host: str
    parent: str | None = None
    guest: str | None = None
    guest_host: str | None = None


def _places(name: str, value: t.Any) -> dict[Avoided, str]:
    """Return the places in a list of ``{host[, parent][, guest[, guest_host]][, problem]}``, and why each is one; raise ``FleetError``."""
    places = listed(name, value) or []
    for place in places:
        if isinstance(place, t.Mapping):
            _check_keys(name, place, _KEYS_OF_PLACES)
        if not _is_place(place):
            raise FleetError(
                f"{name} has {quoted(place)}; expected {{host: …}}, {{host: …, parent: …}}, {{host: …, guest: …}}"
                " or {host: …, guest: …, guest_host: …}"
            )
    return {
        Avoided(str(place["host"]), *map(plain_text, map(place.get, _NARROWER))): one_name(
            name, place.get("problem", "as asked for")
        )
        for place in places
    }


def _is_place(value: t.Any) -> bool:
    """Return whether ``value`` names a host, and perhaps either a parent or a guest, of which the host may be named."""
    if not isinstance(value, t.Mapping) or not isinstance(value.get("host"), str):
        return False
    parent, guest, guest_host = found = [value.get(each) for each in _NARROWER]
    texts = all(isinstance(each, str | None) for each in found)
    return texts and not (parent and guest) and not (guest_host and not guest)


def _limit(name: str, value: t.Any) -> int | dict[str, int] | None:
    """Return how many devices a host may receive, for all hosts or by name, ``None`` for no limit; raise ``FleetError``."""
    if isinstance(value, t.Mapping):
        return {one_name(name, host): count(name, number) for host, number in value.items()} or None
    return count(name, value)


def _capacity(name: str, value: t.Any) -> dict[str, dict[str, dict[str, int]]]:
    """Return what ``hosts`` have free and what ``guests`` take, each by its name and by that of a resource; raise ``FleetError``."""
    sides = ("hosts", "guests")
    if not isinstance(value, t.Mapping):
        raise FleetError(f"{name} is {quoted(value)}; expected {{hosts: …, guests: …}}")
    _check_keys(name, value, sides)
    found: dict[str, dict[str, dict[str, int]]] = {side: {} for side in sides}
    for side in sides:
        given = value.get(side) or {}
        each_is = isinstance(given, t.Mapping) and all(
            isinstance(amounts, t.Mapping) for amounts in given.values()
        )
        if not each_is:
            raise FleetError(
                f"{name}.{side} is {quoted(given)}; expected a number of each resource by name"
            )
        for owner, amounts in given.items():
            found[side][one_name(f"{name}.{side}", owner)] = {
                one_name(f"{name}.{side}.{owner}", resource): count(
                    f"{name}.{side}.{owner}", number, str(resource)
                )
                for resource, number in amounts.items()
            }
    return found if any(found.values()) else {}


def _spare(name: str, value: t.Any) -> dict[str, int]:
    """Return how much of each resource hosts are to keep free, by its name; raise ``FleetError``."""
    if not isinstance(value, t.Mapping):
        raise FleetError(f"{name} is {quoted(value)}; expected a number of each resource by name")
    return {
        one_name(name, resource): count(name, number, str(resource))
        for resource, number in value.items()
    }


# Each may take a plan of its own.
_MOST_RANKS = 16


def _priority(name: str, value: t.Any) -> dict[str, Count]:
    """Return the numbers of guests by name or UUID; raise ``FleetError``."""
    if not isinstance(value, t.Mapping):
        raise FleetError(
            f"{name} is {quoted(value)}; expected a number for each guest, by its name"
        )
    found = {
        one_name(name, guest): count(f"{name}.{guest}", number, "points")
        for guest, number in value.items()
    }
    different = len({*found.values()})
    if different > _MOST_RANKS:
        raise FleetError(f"{name} has {different} different numbers; {_MOST_RANKS} at most")
    return found


_KEYS_OF_CONCURRENT = ("host", "hosts", "links")
_KEYS_OF_LINKS = ("hosts", "moves")


def _concurrent(name: str, value: t.Any) -> ConcurrentMoves:
    """Return how many guests may move at a time, as ``{[host][, hosts][, links]}``; raise ``FleetError``."""
    if not isinstance(value, t.Mapping):
        raise FleetError(f"{name} is {quoted(value)}; expected {{host: …, hosts: …, links: …}}")
    _check_keys(name, value, _KEYS_OF_CONCURRENT)
    found: ConcurrentMoves = {}
    if value.get("host") is not None:
        found["host"] = one_or_more(f"{name}.host", value["host"])
    hosts, links = (_by_name(f"{name}.{each}", value.get(each)) for each in ("hosts", "links"))
    if hosts:
        found["hosts"] = {
            host: one_or_more(f"{name}.hosts.{host}", number) for host, number in hosts.items()
        }
    if links:
        found["links"] = {
            link: _link(f"{name}.links.{link}", given) for link, given in links.items()
        }
    return found


def _by_name(name: str, value: t.Any) -> dict[str, t.Any]:
    if value is None:
        return {}
    if not isinstance(value, t.Mapping):
        raise FleetError(f"{name} is {quoted(value)}; expected a dictionary by name")
    return {one_name(name, each): given for each, given in value.items()}


def _link(name: str, value: t.Any) -> NetworkLink:
    """Return which hosts are behind a link, and how many guests may move over it at a time; raise ``FleetError``."""
    if not isinstance(value, t.Mapping) or {*value} != {*_KEYS_OF_LINKS}:
        raise FleetError(f"{name} is {quoted(value)}; expected {{hosts: …, moves: …}}")
    hosts = sorted(set(names(f"{name}.hosts", value["hosts"]) or ()))
    return {"hosts": hosts, "moves": one_or_more(f"{name}.moves", value["moves"])}


def _groups(name: str, value: t.Any) -> tuple[frozenset[str], ...]:
    """Return the groups in a list of lists of guests' names; raise ``FleetError``."""
    return tuple([frozenset(group) for group in grouped(name, value)])


def _domains(name: str, value: t.Any) -> dict[str, list[str]]:
    """Return the hosts of each failure domain, by its name; raise ``FleetError``."""
    if not isinstance(value, t.Mapping):
        raise FleetError(
            f"{name} is {quoted(value)}; expected lists of hosts by the names of domains"
        )
    return {
        one_name(name, domain): sorted(set(names(f"{name}.{domain}", hosts) or ()))
        for domain, hosts in value.items()
    }


def _preferred(name: str, value: t.Any) -> list[str]:
    """Return hosts, each once; raise ``FleetError``."""
    return sorted(set(names(name, value) or ()))


def _index_of(groups: t.Iterable[t.Iterable[str]]) -> dict[str, frozenset[int]]:
    """Return the numbers of the groups that each name is in."""
    found: dict[str, set[int]] = defaultdict(set)
    for number, group in enumerate(groups):
        for name in group:
            found[name].add(number)
    return {name: frozenset(numbers) for name, numbers in found.items() if name}


def _names_of_guest(
    name: str | None, uuid: str | None, guest_host: str
) -> t.Iterator[tuple[str, str | None]]:
    """Yield by what a condition may name a guest: its name or UUID, with its host or without."""
    for each in (name, uuid):
        if each:
            yield each, None
            yield each, guest_host


# --- conditions ---


class Option(t.NamedTuple):
    """How a condition is given: ``check`` returns it in plain types, ``spec`` is its argument in Ansible's terms.

    A ``lasting`` one of an earlier plan goes on to hold where no other is given.
    """

    check: t.Callable[[str, t.Any], t.Any]
    spec: dict[str, t.Any]
    lasting: bool


def _option(
    check: t.Callable[[str, t.Any], t.Any],
    lasting: bool = True,
    **spec: t.Any,
) -> dict[str, Option]:
    return {"option": Option(check, spec, lasting)}


@dataclass(frozen=True)
class Conditions:
    """What a plan must keep to. Each field is an option of ``migration_plan``, documented in ``doc_fragments/_plan.py``.

    ``avoid`` has the places where nothing may go, or a certain guest may not, and why.
    ``limit`` is a number for all hosts or numbers by host. ``capacity`` has what ``hosts`` have free and what ``guests``
    take of it, such as memory: numbers by name and resource, in whichever unit. ``spare`` is what each host keeps of that at
    least, by resource. ``priority`` has a number for each guest that
    comes before those with a lower one, or with none, which is 0. ``failure_domains`` are hosts that fail together, by the name
    of each domain; a host may be in several. ``concurrent_moves`` has how many guests may move at a time from or to any ``host``, to
    those of ``hosts``, and over ``links`` with ``hosts`` behind them. ``prefer`` are the hosts to take before all others.
    ``targets`` is ``None`` for all hosts but those of ``drain``.
    """

    direction: str = field(
        default=DIRECTIONS[0], metadata=_option(_direction, type="str", choices=list(DIRECTIONS))
    )
    policy: str = field(
        default=POLICIES[0], metadata=_option(_policy, type="str", choices=list(POLICIES))
    )
    limit: Count | t.Mapping[str, Count] | None = field(
        default=None, metadata=_option(_limit, type="raw")
    )
    capacity: t.Mapping[str, t.Mapping[str, t.Mapping[str, Count]]] = field(
        default_factory=dict, metadata=_option(_capacity, type="dict")
    )
    spare: t.Mapping[str, Count] = field(
        default_factory=dict, metadata=_option(_spare, type="dict")
    )
    apart: t.Sequence[t.Collection[str]] = field(
        default=(), metadata=_option(_groups, type="list", elements="list")
    )
    failure_domains: t.Mapping[str, t.Sequence[str]] = field(
        default_factory=dict, metadata=_option(_domains, type="dict")
    )
    prefer: t.Sequence[str] = field(
        default_factory=list, metadata=_option(_preferred, type="list", elements="str")
    )
    priority: t.Mapping[str, Count] = field(
        default_factory=dict, metadata=_option(_priority, type="dict")
    )
    concurrent_moves: ConcurrentMoves = field(
        default_factory=ConcurrentMoves, metadata=_option(_concurrent, type="dict")
    )
    numa_local: bool = field(default=False, metadata=_option(flag, type="bool"))
    distinct_gpus: bool = field(default=False, metadata=_option(flag, type="bool"))
    keep_kind: bool = field(default=False, metadata=_option(flag, type="bool"))
    keep_type: bool = field(default=False, metadata=_option(flag, type="bool"))
    round_trip: bool = field(default=False, metadata=_option(flag, type="bool"))
    reuse: bool = field(default=False, metadata=_option(flag, type="bool"))
    avoid: t.Mapping[Avoided, str] = field(
        default_factory=dict,
        metadata=_option(_places, lasting=False, type="list", elements="dict"),
    )
    drain: t.Collection[str] | None = field(
        default=None, metadata=_option(names, lasting=False, type="list", elements="str")
    )
    free_devices: str = field(
        default=FREE_DEVICES[0],
        metadata=_option(_free_devices, lasting=False, type="str", choices=list(FREE_DEVICES)),
    )
    targets: t.Collection[str] | None = field(
        default=None, metadata=_option(names, lasting=False, type="list", elements="str")
    )

    @classmethod
    def parse(
        cls, options: t.Mapping[str, t.Any], earlier: t.Mapping[str, t.Any] | None = None
    ) -> Conditions:
        """Return the conditions in ``options``, else those that an ``earlier`` plan was made for; raise ``FleetError``."""
        given = {}
        for name, option in OPTIONS.items():
            value = options.get(name)
            if value is None and earlier and option.lasting:
                value = earlier.get(name)
            if value is not None:
                given[name] = option.check(name, value)
        return cls(**given)

    def lasting(self) -> dict[str, t.Any]:
        """Return those conditions that a plan has in itself, as JSON has them."""
        found = {name: getattr(self, name) for name, option in OPTIONS.items() if option.lasting}
        return found | {"apart": [sorted(group) for group in self.apart]}

    def stated(self) -> PlanConditions:
        """Return what a plan states as asked of it, except for what it states elsewhere."""
        found: t.Any = {
            name: value
            for name, value in self.lasting().items()
            if name not in PlanBody.__annotations__
        }
        return t.cast("PlanConditions", found)

    def hosts(self, fleet: Fleet) -> list[str]:
        """Return the hosts of ``fleet`` that may receive; raise ``FleetError`` where one that is named is no host of it.

        One without usable facts is a host of it, and receives nothing.
        """
        check_hosts(fleet, "targets", self.targets)
        wanted = fleet.hosts if self.targets is None else self.targets
        receiving = set(wanted).difference(self.drain or ())
        return [name for name in fleet.hosts if name in receiving]

    def why_avoided(self, host: str, parent: str | None) -> str | None:
        """Return why nothing may go under ``parent`` of ``host``, ``None`` where something may."""
        # It is asked of every device, and of most fleets nothing is to be avoided.
        if not self.avoid:
            return None
        return self.avoid.get(Avoided(host), self.avoid.get(Avoided(host, parent)))

    def why_refused(
        self, host: str, name: str | None, uuid: str | None, guest_host: str
    ) -> str | None:
        """Return why the guest of this ``name`` or ``uuid`` on ``guest_host`` may not go to ``host``, ``None`` where it may."""
        if not self.avoid:
            return None
        places = (Avoided(host, None, *each) for each in _names_of_guest(name, uuid, guest_host))
        return next((self.avoid[place] for place in places if place in self.avoid), None)

    def limit_of(self, host: str) -> int | None:
        """Return how many devices ``host`` may receive, ``None`` where there is no limit."""
        if self.limit is None or isinstance(self.limit, int):
            return self.limit
        return self.limit.get(host)

    def resources(self) -> tuple[str, ...]:
        """Return what ``capacity`` says that guests take, by name."""
        guests = self.capacity.get("guests", {})
        return tuple(sorted({each for needs in guests.values() for each in needs}))

    def needs_of(self, name: str | None, uuid: str | None) -> t.Mapping[str, Count]:
        """Return what a guest takes of the capacity of its host, by its UUID or by its name."""
        guests = self.capacity.get("guests", {})
        nothing: t.Mapping[str, Count] = {}
        return guests.get(uuid or "", guests.get(name or "", nothing))

    def limits_of(self, host: str, resources: t.Sequence[str]) -> tuple[int, ...]:
        """Return how many devices, and how much of these ``resources``, what goes to ``host`` may have together.

        What is not said of it is unknown, and counts as none. What is to be spare goes to no guest.
        """
        limit = self.limit_of(host)
        devices = () if self.limit is None else (UNLIMITED if limit is None else limit,)
        free = self.capacity.get("hosts", {}).get(host, {}) if resources else {}
        left = [max(0, free.get(each, 0) - self.spare_of(each)) for each in resources]
        return (*devices, *left)

    def spare_of(self, resource: str) -> int:
        """Return how much of a resource each host that receives a guest which takes some of it keeps at least."""
        return self.spare.get(resource, 0)

    def weights_of(
        self, name: str | None, uuid: str | None, devices: int, resources: t.Sequence[str]
    ) -> tuple[int, ...]:
        """Return what a guest with so many devices takes of each of ``limits_of``."""
        counted = () if self.limit is None else (devices,)
        needs = self.needs_of(name, uuid) if resources else {}
        return (*counted, *[needs.get(each, 0) for each in resources])

    def rank_of(self, guest: Guest) -> int:
        """Return how much comes before what has a lower rank: a guest's priority; what no process holds comes last."""
        if not guest.is_held:
            return -1
        return self.priority.get(guest.uuid or "", self.priority.get(guest.name or "", 0))

    def groups_of(self, name: str | None, uuid: str | None) -> frozenset[int]:
        """Return the groups in ``apart`` that a guest is in, each by its name or its UUID."""
        if not self.apart:
            return _NO_NUMBERS
        found = self._numbers_by_guest.get(name or "", _NO_NUMBERS)
        return found | self._numbers_by_guest.get(uuid or "", _NO_NUMBERS)

    def domains_of(self, host: str) -> frozenset[int]:
        """Return the failure domains that ``host`` is in."""
        return self._domains_by_host.get(host, _NO_NUMBERS)

    def zones_of(self, host: str) -> frozenset[t.Hashable]:
        """Return where guests on ``host`` keep others of their groups away: its failure domains, itself where it is in none."""
        return self.domains_of(host) or frozenset([host])

    @property
    def spreads_over_domains(self) -> bool:
        """Whether devices are to be spread over failure domains before hosts."""
        return self.policy == "spread" and bool(self.failure_domains)

    def prefers(self, host: str) -> bool:
        """Return whether no other host is to be taken before ``host``."""
        return not self.prefer or host in self._preferred_hosts

    def refusals_of(self, name: str | None, uuid: str | None, guest_host: str) -> frozenset[int]:
        """Return the numbers by which ``refused_on`` has a guest that is on ``guest_host``."""
        numbers, _there = self._refusals
        if not numbers:
            return _NO_NUMBERS
        return frozenset(
            [numbers[each] for each in _names_of_guest(name, uuid, guest_host) if each in numbers]
        )

    def refused_on(self, host: str) -> frozenset[int]:
        """Return the numbers of the guests that may not go to ``host``."""
        return self._refusals[1].get(host, _NO_NUMBERS)

    # --- what is looked up for each guest and host ---

    @functools.cached_property
    def _numbers_by_guest(self) -> dict[str, frozenset[int]]:
        return _index_of(self.apart)

    @functools.cached_property
    def _domains_by_host(self) -> dict[str, frozenset[int]]:
        return _index_of(self.failure_domains.values())

    @functools.cached_property
    def _preferred_hosts(self) -> frozenset[str]:
        return frozenset(self.prefer)

    @functools.cached_property
    def _refusals(
        self,
    ) -> tuple[dict[tuple[str, str | None], int], dict[str, frozenset[int]]]:
        """A number for each guest that may not go to some host, and by host the numbers of those that may not go there.

        A guest comes with the host that it must be on, if that is said.
        """
        numbers: dict[tuple[str, str | None], int] = {}
        there: dict[str, set[int]] = defaultdict(set)
        for place in self.avoid:
            if place.guest is not None:
                guest = (place.guest, place.guest_host)
                there[place.host].add(numbers.setdefault(guest, len(numbers)))
        return numbers, {host: frozenset(found) for host, found in there.items()}


OPTIONS: dict[str, Option] = {each.name: each.metadata["option"] for each in fields(Conditions)}


# --- guests ---


@dataclass(frozen=True, slots=True)
class Guest:
    """Devices that move together; ``name`` is ``None`` for a device that no process holds, ``uuid`` where it shows none."""

    name: str | None
    devices: tuple[Device, ...]
    uuid: str | None = None

    @property
    def host(self) -> str:
        return self.devices[0].host

    @property
    def key(self) -> tuple[str, str, str]:
        return (self.host, self.name or "", self.devices[0].id)

    @property
    def is_held(self) -> bool:
        """Whether a process holds its devices, or may."""
        return any(device.in_use is not None for device in self.devices)


@dataclass(frozen=True, slots=True)
class Request:
    """Guests to be moved to hosts among ``targets``. ``kept`` are an earlier plan's placements of other guests, that stay.

    ``others`` are guests that are to be moved, too, and are planned by themselves: their devices are no targets.
    ``staying`` are devices of hosts that are emptied which stay as they are, each with the reason. ``asked`` is how the
    guests were asked for, as the plan has it. ``received`` is what counts for the limit of hosts beside what moves.
    """

    guests: t.Sequence[Guest]
    targets: t.Sequence[str]
    conditions: Conditions = Conditions()
    kept: t.Sequence[Placement] = ()
    others: t.Sequence[Guest] = ()
    staying: t.Sequence[StayingDevice] = ()
    asked: PlanRequest | None = None
    received: t.Sequence[ReceivedDevice] = ()

    @property
    def arrived(self) -> Counter[str]:
        """Return how many devices each host has received before."""
        return Counter(each["host"] for each in self.received)


def as_asked(
    conditions: Conditions,
    sources: t.Sequence[t.Any] | None,
    hosts: t.Collection[str] | None,
    lost: t.Mapping[str, str | None] | None = None,
) -> PlanRequest:
    """Return what is to be moved as a plan has it, by the options that name it.

    ``lost`` are those of the hosts that are drained which are gone, each with the time of its last facts.
    """
    asked: PlanRequest = {"free_devices": conditions.free_devices}
    if conditions.drain is not None:
        asked["drain"] = sorted(set(conditions.drain))
    if sources is not None:
        asked["sources"] = [_as_given(each) for each in sources]
    if hosts is not None:
        asked["hosts"] = sorted(set(hosts))
    if lost:
        asked["lost"] = dict(sorted(lost.items()))
    return asked


def _as_given(source: t.Any) -> str | GivenDevice:
    named = _named(source)
    return named if isinstance(named, str) else {"host": named[0], "id": named[1]}


def staying(
    fleet: Fleet,
    conditions: Conditions,
    moved: t.Mapping[tuple[str, str], StayingDevice] = MappingProxyType({}),
) -> list[StayingDevice]:
    """Return the devices of the hosts that are emptied which no process holds and that stay as they are.

    Of some it is known from an earlier plan that their guests have ``moved``.
    """
    known = {key: each["reason"] for key, each in moved.items()}
    left = {**known}
    if conditions.free_devices == FREE_DEVICES[0]:
        left |= _left_alone(fleet, conditions.drain or (), _is_free)
    return [
        moved[device.key]
        if known.get(device.key) == reason
        else {"host": name, "kind": device.kind, "id": device.id, "reason": reason}
        for name in sorted(set(conditions.drain or ()))
        if name in fleet.hosts
        for device in sorted(fleet.hosts[name].devices, key=lambda device: device.id)
        if _is_free(device)
        and (reason := _why_staying(device, conditions.free_devices, left)) is not None
    ]


def perhaps_staying(fleet: Fleet, conditions: Conditions) -> list[Device]:
    """Return the devices of the hosts that are emptied which would stay as they are if no process holds them, where that is not known."""
    drain = {*(conditions.drain or ())}
    perhaps = [
        device
        for name in sorted(drain & fleet.hosts.keys())
        for device in sorted(fleet.hosts[name].perhaps_held, key=lambda device: device.id)
    ]
    # Only of what is movable does it matter what others have, which takes a look at the whole fleet.
    left = {}
    if perhaps and conditions.free_devices == FREE_DEVICES[0]:
        left = _left_alone(fleet, drain, operator.attrgetter("may_be_held"))
    return [
        device
        for device in perhaps
        if _why_staying(device, conditions.free_devices, left) is not None
    ]


def _is_free(device: Device) -> bool:
    return device.in_use is None


def _left_alone(
    fleet: Fleet, drain: t.Collection[str], which: t.Callable[[Device], bool]
) -> dict[tuple[str, str], str]:
    """Return those ``which`` of the devices of these hosts that no guest needs if no process holds them, each with the reason.

    Without that a drain would never end, as each guest that moves leaves such a device.
    """
    free = [
        device
        for host in set(drain)
        if host in fleet.hosts
        for device in fleet.hosts[host].devices
        if which(device)
    ]
    functions = [device for device in free if device.kind == "pci"]
    others = [device for device in free if device.kind != "pci"]
    return {**_room(fleet, drain, functions), **_left_behind(fleet, others)}


def _room(
    fleet: Fleet, drain: t.Collection[str], functions: t.Iterable[Device]
) -> dict[tuple[str, str], str]:
    """Return the free ``functions`` that are only room: nothing was set up in them, or there are such elsewhere, too."""
    found: dict[tuple[str, str], str] = {}
    set_up = []
    for each in functions:
        if each.attributes:
            set_up.append(each)
        else:
            found[each.key] = f"{NOT_HELD}, and nothing was set up"
    elsewhere: dict[str | None, str] = {}
    for name, host in fleet.hosts.items() if set_up else ():
        if name not in drain:
            for device in host.devices:
                if device.kind == "pci":
                    elsewhere.setdefault(device.type, name)
    for each in set_up:
        if each.type in elsewhere:
            found[each.key] = f"it is as good as those of its type on {elsewhere[each.type]}"
    return found


def _left_behind(fleet: Fleet, devices: t.Iterable[Device]) -> dict[tuple[str, str], str]:
    """Return those of free ``devices`` whose guest has moved, or may have.

    A process holds, or may hold, a device of the same name and type elsewhere, which is an mdev or has the same descriptor.
    """
    free = {(each.kind, name): each for each in devices for name in (each.id, named_id(each))}
    found: dict[tuple[str, str], str] = {}
    perhaps: dict[tuple[str, str], str] = {}
    for each in _named_so(fleet, free) if free else ():
        left = None if _is_free(each) else free.get((each.kind, each.id))
        if left is None or left.host == each.host or left.type != each.type:
            continue
        if left.kind != "mdev" and left.descriptor != each.descriptor:
            continue
        if each.may_be_held:
            perhaps[left.key] = (
                f"its guest may have moved: it is unknown whether a process holds the device of its name on {each.host}; gather the"
                " facts as root"
            )
        else:
            found[left.key] = (
                f"its guest has moved, and holds the device of its name on {each.host}"
            )
    return {**perhaps, **found}


def _named_so(fleet: Fleet, names: t.Container[tuple[str, str]]) -> t.Iterator[Device]:
    """Yield the devices of the hosts that have one of these kinds and names; those of all others are never made."""
    for host in fleet.hosts.values():
        if any((each["kind"], each["id"]) in names for each in host.facts["devices"]):
            yield from host.devices


def _why_staying(
    device: Device, free_devices: str, left: t.Mapping[tuple[str, str], str]
) -> str | None:
    """Return why ``device`` stays on a host that is emptied if no process holds it; ``None`` where it is to be moved."""
    if free_devices == "all":
        return None
    if _has_no_type(device):
        return "it has no type, so there is nothing to move"
    unsupported = why_unsupported(device)
    if unsupported is not None or free_devices == "none":
        return unsupported or NOT_HELD
    return left.get(device.key)


def named_id(source: Device, count: int = 0) -> str:
    """Return a name-based UUID for the target of ``source``; with ``count`` another one."""
    return str(uuid.uuid5(_NAMESPACE, f"{source.host}/{source.id}/{count}"))


def _has_no_type(device: Device) -> bool:
    """Return whether ``device`` is of no use before it is given a type, whatever debugfs shows of it."""
    if device.choices is not None or device.kind != "pci" or device.descriptor is None:
        return device.choices is not None
    driver = device.descriptor.self_attributes.get("driver")
    return driver_profile(device.kind, driver).idle in device.attributes


@uncollected()
def requested(
    fleet: Fleet,
    drain: t.Collection[str] | None,
    sources: t.Sequence[t.Any] | None,
    free_devices: str = FREE_DEVICES[0],
    moved: t.Iterable[tuple[str, str]] = (),
) -> list[Guest]:
    """Return the guests that ``drain`` (hosts) or ``sources`` (guests' names or UUIDs, and ``{host, id}``) name; raise ``FleetError``.

    With ``drain``, ``free_devices`` says which of the devices that no process holds are to be moved. Those that guests have left which have
    ``moved`` are not.
    """
    if (drain is None) == (sources is None):
        raise FleetError(
            "what to move is either 'drain', or 'guests' and 'devices': give exactly one of them"
        )
    if drain is not None:
        for name in drain:
            if name not in fleet.hosts:
                raise FleetError(f"cannot drain {name}: {why_unknown(fleet, name)}")
        left = dict.fromkeys(moved, "its guest has moved")
        if free_devices == FREE_DEVICES[0]:
            left = _left_alone(fleet, drain, _is_free) | left
        return guests_of(
            device
            for name in set(drain)
            for device in fleet.hosts[name].devices
            if not _is_free(device) or _why_staying(device, free_devices, left) is None
        )
    by_name: dict[t.Any, list[Guest]] = defaultdict(list)
    for guest in guests_of(fleet.devices()):
        for each in {guest.name, guest.uuid} - {None, ""}:
            by_name[each].append(guest)
        for device in guest.devices:
            by_name[device.key].append(guest)
    chosen = {each.key: each for each in (_the_one(by_name, source) for source in sources or ())}
    return [guest for key, guest in sorted(chosen.items())]


def _the_one(by_name: t.Mapping[t.Any, t.Sequence[Guest]], source: t.Any) -> Guest:
    """Return the guest that a source names; raise ``FleetError`` where there is none, or more than one."""
    found = by_name.get(_named(source), ())
    if not found:
        raise FleetError(
            f"no guest or device in the fleet's facts is {_shown_source(source)}; gather the facts as root, which shows the names of"
            " guests, and name the device of a guest that is shut down by 'host' and 'id'"
        )
    if len(found) > 1:
        raise FleetError(_ambiguous(_shown_source(source), found))
    return found[0]


def guests_of(devices: t.Iterable[Device]) -> list[Guest]:
    """Return the guests that the devices are of: those that one process holds move together."""
    held: dict[tuple[str, t.Any], list[Device]] = defaultdict(list)
    for device in devices:
        holder = device.in_use
        known = holder is not None and holder.pid is not None
        held[(device.host, holder.pid if known and holder else device.id)].append(device)
    guests = []
    for together in held.values():
        together.sort(key=operator.attrgetter("id"))
        holder = together[0].in_use
        name, uuid = (holder.name, holder.uuid) if holder else (None, None)
        guests.append(Guest(name, tuple(together), uuid))
    guests.sort(key=lambda each: (each.devices[0].host, each.name or "", each.devices[0].id))
    return guests


def _named(source: t.Any) -> str | tuple[str, str]:
    """Return the name of a guest, or host and id of a device, that a source is given as; raise ``FleetError``."""
    if not isinstance(source, t.Mapping):
        return one_name("sources", source)
    if any(source.get(name) is None for name in ("host", "id")):
        raise FleetError(f"a device to move is {quoted(source)}; expected {{host: …, id: …}}")
    return one_name("sources", source["host"]), one_name("sources", source["id"])


def _ambiguous(shown_source: str, guests: t.Sequence[Guest]) -> str:
    """Return what is wrong with a source that is the name of these guests, which another host may have made up."""
    places = " or ".join(map(_place, guests[:MAX_NAMES]))
    more = f" or of {len(guests) - MAX_NAMES:,} more" if len(guests) > MAX_NAMES else ""
    return f"{len(guests):,} guests are {shown_source}; give the UUID or a device of the one that is meant, as {places}{more}"


def _place(guest: Guest) -> str:
    """Return how to say that this guest is meant, with its UUID where that is known."""
    uuid = f" (UUID {guest.uuid})" if guest.uuid else ""
    return f"{{host: {guest.host}, id: {guest.devices[0].id}}}{uuid}"


def _shown_source(source: t.Any) -> str:
    if isinstance(source, t.Mapping):
        return f"{source.get('id')} on {source.get('host')}"
    return f"'{source}'"
