# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Fleets: the facts of many hosts, checked and interned.

Facts come from other hosts, or from a cache that another version wrote: whatever does not have the shape that
``vfio_migration_facts`` documents makes that host unknown and is listed as a problem; nothing else is lost.

A fleet may have a million devices. Every fact is checked when it is read, in one pass; places in the facts are put into
words only where something is wrong. What is equal on many hosts is kept once, devices are counted by class, and a
``Device`` is made only where one is asked for.
"""

from __future__ import annotations

import contextlib
import copy
import gc
import hashlib
import marshal
import re
import typing as t
from dataclasses import dataclass, field, replace
from operator import attrgetter, itemgetter

from ansible_collections.vfio.migration.plugins.module_utils._descriptor import virtio
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.attributes import (
    DescriptorError,
    parse_version,
)
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.drivers import (
    driver_profile,
)
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.identifiers import (
    KINDS,
    MDEV,
    VDPA,
)
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.vgpu_types import (
    stated_limits,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet import check
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.age import (
    ANY_AGE,
    AgeLimit,
    seconds,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.check import (
    CHOICE_NAMES,
    CHOICES,
    MAX_PID,
    NETWORK,
    FactsError,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.descriptor import (
    Descriptor,
    plain_text,
    read_configuration,
    read_descriptor,
    read_set,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import (
    Choices,
    Device,
    DeviceClass,
    Fleet,
    Holder,
    Host,
    MdevType,
    ParentFacts,
    Stated,
    obstacle,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.values import one_name

FACT = "vfio_migration"
SCHEMA = 1
GATHERED = "gathered"
# Later versions of marshal encode equal texts differently that are, or are not, one object.
_MARSHAL = 2
MASK = re.compile(r"0x[0-9a-f]{1,16}\Z")
# So many objects are to be looked at without a stop.
_MUCH = 100_000

_Entry = t.Mapping[str, t.Any]
_Descriptors = dict[str | None, Descriptor | None]


@contextlib.contextmanager
def uncollected() -> t.Iterator[None]:
    """Without the search for garbage in cycles, of which facts and plans have none: in much memory it takes as long as the work."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            if gc.get_count()[0] > _MUCH and not gc.get_freeze_count():
                # What there is now counts as old: else all of it would be looked at at once. Where it is little, that costs
                # nothing, and garbage that counted as old would stay for long.
                gc.freeze()
                gc.unfreeze()
            gc.enable()


@uncollected()
def read_fleet(
    data: t.Any,
    hosts: t.Iterable[str] | None = None,
    limit: AgeLimit = ANY_AGE,
    left_out: t.Mapping[str, str] | None = None,
    any_age: t.Collection[str] = (),
) -> Fleet:
    """Return the fleet in ``hostvars``, or in a mapping of host to that host's facts; ``hosts`` narrows it.

    Hosts whose facts are older than ``limit`` are unknown, except for those whose facts count at ``any_age``. So are those
    ``left_out``, with the reason, whatever facts there are of them. No facts are held: a host whose ``devices`` are asked for
    is read again.
    """
    _check_fleet(data)
    reader = _Reader(data, limit, frozenset(any_age))
    fleet = reader.fleet
    silent = left_out or {}
    chosen = {one_name("the fleet", host) for host in (data if hosts is None else hosts)}
    for name in sorted(chosen | silent.keys()):
        if name in silent:
            fleet.unknown.append(name)
            fleet.problems.append({"host": name, "path": FACT, "problem": silent[name]})
            continue
        try:
            reader.read(name)
        except FactsError as error:
            fleet.unknown.append(name)
            fleet.problems.append({"host": name, "path": error.path, "problem": str(error)})
    return fleet


class ChangingFleet(t.Mapping[str, Host]):
    """Hosts of a fleet whose ``facts`` change, each read again when it is asked for and only where it has changed since.

    What is equal on any of them is one object all the time.
    """

    def __init__(self, fleet: Fleet, names: t.Iterable[str]) -> None:
        hosts = {name: fleet.hosts[name] for name in sorted(names)}
        self.facts = {name: host.facts for name, host in hosts.items()}
        self._changed: set[str] = set()
        if isinstance(fleet.reader, _Reader):
            self._reader = fleet.reader.branch(self.facts)
            self._reader.fleet.hosts |= hosts
        else:
            self._reader = _Reader(self.facts, ANY_AGE)
            self._changed |= hosts.keys()

    def __getitem__(self, name: str) -> Host:
        if name in self._changed:
            self._reader.read(name)
            self._changed.remove(name)
        return self._reader.fleet.hosts[name]

    def __iter__(self) -> t.Iterator[str]:
        return iter(self.facts)

    def __len__(self) -> int:
        return len(self.facts)

    def change(self, facts: t.Mapping[str, t.Any]) -> None:
        """Take these facts of hosts for those that there were."""
        self.facts.update(facts)
        self._changed.update(facts)


def hold(data: t.Any, hosts: t.Iterable[str] | None = None) -> dict[str, t.Any]:
    """Return the facts of hosts, to be read again and again: ``hostvars`` builds them at each access.

    They are in a shape that ``read_fleet`` takes, and that shows as ``data`` does whether they may come from a cache.
    """
    _check_fleet(data)
    held: dict[str, t.Any] = {}
    for host in data if hosts is None else hosts:
        facts, cached = _found(data, host)
        held[host] = {"ansible_facts": {FACT: facts}} if cached else {FACT: facts}
    return held


class ReadOnce(t.Mapping[str, t.Mapping[str, t.Any]]):
    """The variables of the hosts in ``data``, for several questions: those of each host are read when it is first asked for.

    Ansible puts them together each time that they are read. They are untemplated; see ``templated``. ``cached`` returns all
    facts of a host from the cache that Ansible takes them from, ``None`` where it has none.
    """

    def __init__(
        self, data: t.Any, cached: t.Callable[[str], t.Mapping[str, t.Any] | None] | None = None
    ) -> None:
        _check_fleet(data)
        self.data = data
        self._cached = cached
        self._held: dict[str, t.Mapping[str, t.Any]] = {}
        self._facts: dict[str, tuple[t.Any, bool]] = {}

    def __getitem__(self, host: str) -> t.Mapping[str, t.Any]:
        if host not in self._held:
            if host not in self.data:
                raise KeyError(host)
            self._held[host] = variables_of(self.data, host)
        return self._held[host]

    def facts(self, host: str) -> tuple[t.Any, bool]:
        """Return the facts of ``host``, ``None`` where there are none, and whether they may come from a cache."""
        if host not in self._facts:
            self._facts[host] = self._read(host)
        return self._facts[host]

    def _read(self, host: str) -> tuple[t.Any, bool]:
        if host in self._held:
            return _found_in(self._held[host])
        if host not in self.data:
            # A cache may still have facts of it.
            return None, False
        cached = self._cached(host) if self._cached is not None else None
        if cached is not None and FACT in cached:
            return cached[FACT], True
        return _found_in(variables_of(self.data, host))

    def __iter__(self) -> t.Iterator[str]:
        return iter(self.data)

    def __len__(self) -> int:
        return len(self.data)

    def __contains__(self, host: object) -> bool:
        return host in self.data


def variables_of(data: t.Any, host: str) -> t.Mapping[str, t.Any]:
    """Return the variables of ``host`` as they are, empty where it has none."""
    # Facts are never templates: reading them untemplated gives the same and is several times faster.
    raw_get = getattr(data, "raw_get", None)
    if raw_get is None and host not in data:
        return {}
    found = raw_get(host) if raw_get else data[host]
    return found if isinstance(found, (dict, t.Mapping)) else {}


def templated(data: t.Any, host: str, name: str) -> t.Any:
    """Return a variable of ``host`` as a task there has it, with what its templates stand for, ``None`` where it has none."""
    variables = data.data if isinstance(data, ReadOnce) else data
    return variables[host].get(name) if host in variables else None


def check_hosts(fleet: Fleet, option: str, hosts: t.Iterable[str] | None) -> None:
    """Raise ``FleetError`` where one of the ``hosts`` that an ``option`` names is none of ``fleet``, with usable facts or without."""
    for host in hosts or ():
        if host not in fleet.hosts and host not in fleet.unknown:
            raise FleetError(f"{option} has {host!r}, and there is no host of this name")


def without_guest(fleet: Fleet, data: t.Any, guests: t.Iterable[str]) -> set[str]:
    """Return those of the names and UUIDs ``guests`` that no guest has, by the facts of ``fleet`` or others in its ``data``.

    A host that is excluded, or whose facts are too old, still shows that it has such a guest.
    """
    left = {*guests}
    for name in data if left else ():
        facts = fleet.hosts[name].facts if name in fleet.hosts else _found(data, name)[0]
        left -= _guests_in(facts)
        if not left:
            break
    return left


def held_devices(data: t.Any) -> t.Iterator[tuple[str, t.Any, t.Any]]:
    """Return host, device and holder of each device in ``data`` that is held, whether or not the facts of its host are usable."""
    _check_fleet(data)
    for host in data:
        for device, holder in _held(_found(data, host)[0]):
            yield one_name("the fleet", host), device, holder


def _held(facts: t.Any) -> list[tuple[t.Any, t.Any]]:
    """Return the devices that are held in the facts of a host, which may be wrong in any way, and the holder of each."""
    devices = facts.get("devices") if isinstance(facts, t.Mapping) else None
    return [
        (each, each["in_use"])
        for each in (devices if isinstance(devices, list) else ())
        if isinstance(each, t.Mapping) and isinstance(each.get("in_use"), t.Mapping)
    ]


def _guests_in(facts: t.Any) -> set[str]:
    """Return the names and UUIDs of the guests in the facts of a host, which may be wrong in any way."""
    return {
        name
        for _device_held, holder in _held(facts)
        for name in (holder.get("name"), holder.get("uuid"))
        if isinstance(name, str)
    }


def _check_fleet(data: t.Any) -> None:
    if not isinstance(data, t.Mapping):
        raise FleetError("a fleet is hostvars, or a mapping of host to its vfio_migration facts")


def _found(data: t.Any, host: str) -> tuple[t.Any, bool]:
    """Return the facts of ``host``, ``None`` where there are none, and whether they may come from a cache."""
    if isinstance(data, ReadOnce):
        return data.facts(host)
    return _found_in(variables_of(data, host))


def _found_in(variables: t.Mapping[str, t.Any]) -> tuple[t.Any, bool]:
    facts = variables.get("ansible_facts")
    if facts is not None and isinstance(facts, (dict, t.Mapping)) and FACT in facts:
        return facts[FACT], True
    if FACT in variables:
        # Variables of the inventory, or set in a play.
        return variables[FACT], False
    return (variables if "schema" in variables else None), False


# --- plain devices ---------------------------------------------------------------------------------------------------


_FIELDS = itemgetter(
    *("kind", "id", "parent", "type", "descriptor"),
    *("attributes", "numa_node", "in_use", "migration"),
)
# So many contents of attributes are kept, none of more bytes.
_MOST_CONTENTS, _LONGEST_CONTENT = 2**17, 2**12


class _Classes(dict[tuple[t.Any, ...], DeviceClass]):
    """The classes of a fleet by what their devices have in common; raises ``check.ODD`` for what is no class."""

    def __missing__(self, key: tuple[t.Any, ...]) -> DeviceClass:
        one = DeviceClass(*key)
        one.obstacle = obstacle(one)
        if len(one.configurable) > check.MAX_ATTRIBUTES:
            raise TypeError
        check.plain_texts(one.configurable)
        if one.evidence is not None:
            check.plain_texts([one.evidence], check.MAX_EVIDENCE)
        self[key] = one
        return one


class _Configurable(dict[bytes, tuple[str, ...]]):
    """The names of the attributes of devices, by the bytes that only equal ones have; raises ``check.ODD`` for what are none.

    No value of them is longer than ``longest``.
    """

    def __init__(self, longest: int = check.MAX_NAME) -> None:
        super().__init__()
        self.longest = longest
        self._names: dict[tuple[str, ...], tuple[str, ...]] = {}

    def __missing__(self, content: bytes) -> tuple[str, ...]:
        attributes = marshal.loads(content)
        for each in attributes:
            if CHOICES in each:
                check.plain_choices(each)
        check.plain_texts([each["value"] for each in attributes], self.longest)
        names = tuple([each["name"] for each in attributes])
        names = self._names.setdefault(names, names)
        # On some hosts each device has a value of its own.
        if len(content) <= _LONGEST_CONTENT and len(self) < _MOST_CONTENTS:
            self[content] = names
        return names


# What a mediated device states, ``None`` for any other.
_States = tuple[str | None, bool, str] | None


class _Likenesses(dict[tuple[t.Any, ...], tuple[DeviceClass, _States]]):
    """The class of devices, and what they state, by all that is equal of many; raises ``check.ODD`` for what is none.

    That is kind, parent, type, NUMA node, and what makes the class.
    """

    def __init__(self) -> None:
        super().__init__()
        self._classes = _Classes()
        self._texts: dict[str, str] = {}

    def __missing__(self, key: tuple[t.Any, ...]) -> tuple[DeviceClass, _States]:
        kind, parent, mdev_type, numa_node, *common = key
        check.plain_texts([each for each in (parent, mdev_type) if each is not None])
        if kind not in KINDS or not check.is_node(numa_node):
            raise TypeError
        # Each device is looked up with texts of its own: those in the keys are few, so that they are at hand.
        kept = tuple(
            [self._texts.setdefault(each, each) if each.__class__ is str else each for each in key]
        )
        one = self._classes[tuple(common)]
        states = None
        if one.descriptor is not None:
            if not _is_of_kind(one.descriptor, kind):
                raise TypeError
            if kind == MDEV:
                states = parent, one.descriptor.derived, one.descriptor.version
        self[kept] = one, states
        return self[kept]

    def of(
        self, entries: t.Any, descriptors: _Descriptors, configurable: _Configurable
    ) -> tuple[list[DeviceClass], Stated]:
        """Return the class of each device, and what mediated devices state; raise ``check.ODD``.

        No name of a guest or device is longer than a value in ``configurable`` may be.
        """
        if entries.__class__ is not list or len(entries) > check.MAX_DEVICES:
            raise TypeError
        # Of all that is done for a fleet only this is done for each of its devices.
        likenesses: list[tuple[DeviceClass, _States]] = []
        ids: list[str] = []
        texts: list[str] = []
        held: list[int] = []
        uuids: list[str] = []
        for entry in entries:
            (kind, device_id, parent, mdev_type, name, attributes, numa_node, holder, migration) = (
                _FIELDS(entry)
            )
            pid = None
            if holder is not None:
                pid, guest = holder["pid"], holder["name"]
                if guest is not None:
                    texts.append(guest)
                if pid is not None:
                    held.append(pid)
                if "uuid" in holder:
                    uuids.append(holder["uuid"])
            supported, evidence = migration["supported"], migration.get("evidence")
            if not (
                kind.__class__ is str
                and (parent.__class__ is str or (parent is None and kind == "pci"))
                and mdev_type.__class__ is str
                and attributes.__class__ is list
                and (numa_node is None or numa_node.__class__ is int)
                and (pid is None or (pid.__class__ is int and 0 < pid <= MAX_PID))
                and (supported is None or supported.__class__ is bool)
            ):
                raise TypeError
            own = configurable[marshal.dumps(attributes, _MARSHAL)] if attributes else ()
            common = descriptors[name], supported, evidence, holder is None, own
            likenesses.append(self[(kind, parent, mdev_type, numa_node) + common])
            ids.append(device_id)
        texts += ids
        check.plain_texts(texts, configurable.longest)
        check.guests_uuids(uuids)
        set_up = [each for each in entries if NETWORK in each]
        check.plain_settings(set_up)
        too_many = check.holds_too_many(held) or check.too_common_address(set_up)
        if len({*ids}) != len(ids) or too_many:
            raise TypeError
        stated = dict.fromkeys([states for _one, states in likenesses if states is not None])
        return [one for one, _states in likenesses], tuple(stated)


def _is_of_kind(descriptor: Descriptor, kind: str) -> bool:
    """Return whether a device of ``kind`` can be what ``descriptor`` says: vDPA devices have an API of their own."""
    return (descriptor.self_attributes["device_api"] == virtio.DEVICE_API) == (kind == VDPA)


def _device(
    host: str, entry: _Entry, descriptors: _Descriptors, holders: dict[t.Any, Holder]
) -> Device:
    """Return the device of an entry that has a class; ``holders`` are those of the host so far."""
    kind, device_id, parent, mdev_type, name, attributes, numa_node, in_use, migration = _FIELDS(
        entry
    )
    holder = None
    if in_use is not None:
        key = in_use["pid"], in_use["name"], in_use.get("uuid")
        holder = holders.get(key)
        if holder is None:
            holder = holders[key] = Holder(*key)
    # By place, which takes half as long as by name: a fleet has many of these.
    return Device(
        host,
        kind,
        device_id,
        parent,
        mdev_type,
        descriptors[name],
        tuple([(each["name"], each["value"]) for each in attributes]) if attributes else (),
        numa_node,
        holder,
        migration["supported"],
        migration.get("evidence"),
        _choices(attributes) if attributes else None,
        _p2p(migration.get("features")),
        tuple(entry[NETWORK].items()) if NETWORK in entry else None,
    )


def _choices(attributes: t.Iterable[_Entry]) -> Choices | None:
    """Return which of a device's attributes it must be given before it is of use, with what it takes; ``None`` where that is none."""
    return next(
        (
            Choices(each["name"], tuple(each[CHOICES]), tuple(each.get(CHOICE_NAMES, ())))
            for each in attributes
            if CHOICES in each
        ),
        None,
    )


def _p2p(features: t.Any) -> bool | None:
    """Return whether a device supports P2P by its ``features``; ``None`` where these are not known, as before Linux 6.18."""
    known = check.plain_features(features) if features else None
    return "p2p" in known if known else None


class _Named(t.NamedTuple):
    """A descriptor under the name that a host gives it, or the ``problem`` with it, and the bytes that only equal ones have."""

    name: str
    content: bytes | None
    descriptor: Descriptor | None
    problem: str | None


# --- hosts -----------------------------------------------------------------------------------------------------------


@dataclass(slots=True, eq=False)
class _Reader:
    """Reads the facts of hosts into a fleet; what one host has of another's descriptors and parents is shared with it.

    What is shared is found by its whole content, never by the name that a host gives it. ``_mended`` are the facts, by
    host, of which something is not made use of, and ``_descriptors_of`` the descriptors by name of each host on which a name means
    another one than on those before. Of all other facts nothing is kept.
    """

    _data: t.Any
    _limit: AgeLimit
    _any_age: frozenset[str] = frozenset()
    fleet: Fleet = field(default_factory=Fleet)
    _likenesses: _Likenesses = field(default_factory=_Likenesses)
    _configurable: _Configurable = field(default_factory=_Configurable)
    # What the names of descriptors mean on most hosts, and what of it is made use of.
    _named: dict[str, _Named] = field(default_factory=dict)
    _common: _Descriptors = field(default_factory=lambda: {None: None})
    # Lists of parents are mostly equal as a whole, too.
    _parent_lists: dict[bytes | None, tuple[ParentFacts, ...]] = field(default_factory=dict)
    _descriptors: dict[bytes | None, Descriptor | DescriptorError] = field(default_factory=dict)
    _distinct: dict[tuple[str, str | None], Descriptor] = field(default_factory=dict)
    _parents: dict[bytes, ParentFacts] = field(default_factory=dict)
    _distinct_parents: dict[ParentFacts, ParentFacts] = field(default_factory=dict)
    # By the identity of the parents, each of which is there once.
    _equipment: dict[tuple[int, ...], tuple[ParentFacts, ...]] = field(default_factory=dict)
    _mended: dict[str, _Entry] = field(default_factory=dict)
    _descriptors_of: dict[str, _Descriptors] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.fleet.reader = self

    def branch(self, data: t.Any) -> _Reader:
        """Return a reader of other facts, that shares with this one what is equal in them, and has no host yet."""
        other = copy.copy(self)
        other._data, other._limit, other._any_age = data, ANY_AGE, frozenset()
        other.fleet, other._mended, other._descriptors_of = Fleet(reader=other), {}, {}
        return other

    def read(self, name: str) -> None:
        """Add the host to the fleet, as unknown where it has no facts; raise ``FactsError``."""
        self._mended.pop(name, None)
        self._descriptors_of.pop(name, None)
        facts, cached = _found(self._data, name)
        if facts is None:
            self.fleet.unknown.append(name)
            return
        top = check.mapping(facts, FACT)
        schema = top.get("schema")
        if not isinstance(schema, int) or isinstance(schema, bool) or schema != SCHEMA:
            raise FactsError(f"{FACT}.schema", f"{SCHEMA}, and it is {check.described(schema)}")
        limit = ANY_AGE if name in self._any_age else self._limit
        refusal = limit.refusal(gathered_at(top), cached)
        if refusal is not None:
            self.fleet.unknown.append(name)
            self.fleet.problems.append({"host": name, "path": GATHERED, "problem": refusal})
            return
        problems: list[dict[str, t.Any]] = []
        entries, found, stated = self._entries(name, top, problems)
        equipment = self._all_parents(top)
        problems += check.plain_problems(top.get("problems"))
        classes: dict[DeviceClass, int] = {}
        for each in found:
            classes[each] = classes.get(each, 0) + 1
        excluded = []
        if any(each.obstacle for each in classes):
            excluded = [
                (entry["kind"], entry["id"], each)
                for entry, each in zip(entries, found, strict=True)
                if each.obstacle
            ]
        self.fleet.hosts[name] = Host(
            name, classes, excluded, equipment, stated, self._devices, self._facts
        )
        self.fleet.problems += [{"host": name} | problem for problem in problems]

    def _facts(self, name: str) -> _Entry:
        """Return the facts of a host that has been read, as far as use is made of them."""
        found: _Entry | None = self._mended.get(name)
        return found if found is not None else check.mapping(_found(self._data, name)[0], FACT)

    def _devices(self, name: str) -> list[Device]:
        facts, holders = self._facts(name), dict[t.Any, Holder]()
        descriptors = self._descriptors_of.get(name, self._common)
        return [_device(name, entry, descriptors, holders) for entry in facts["devices"]]

    def _entries(
        self, host: str, facts: _Entry, problems: list[dict[str, t.Any]]
    ) -> tuple[t.Sequence[_Entry], list[DeviceClass], Stated]:
        """Return the entries of the devices, the class of each, and what mediated devices state; add to ``problems``."""
        descriptors, is_common = self._all_descriptors(facts, problems)
        if not is_common:
            self._descriptors_of[host] = descriptors
        entries: t.Any = facts.get("devices")
        try:
            return entries, *self._likenesses.of(entries, descriptors, self._configurable)
        except check.ODD:
            entries = _one_by_one(entries, descriptors, problems)
            self._mended[host] = {**facts, "devices": entries}
            longer = _Configurable(check.MAX_TEXT)
            return entries, *self._likenesses.of(entries, descriptors, longer)

    def _all_descriptors(
        self, facts: _Entry, problems: list[dict[str, t.Any]]
    ) -> tuple[_Descriptors, bool]:
        """Return the descriptors by name, that of a device without one as well, and whether the names mean what they commonly do.

        What is wrong with a descriptor is added to ``problems``.
        """
        descriptors: _Descriptors = {None: None}
        is_common = True
        table = check.mapping(facts.get("descriptors"), "descriptors")
        if len(table) > check.MAX_DESCRIPTORS:
            most = f"{check.MAX_DESCRIPTORS:,} descriptors at most, and there are {len(table):,}"
            raise FactsError("descriptors", most)
        for name, data in table.items():
            content = _content(data)
            known = self._named.get(name)
            if known is None or known.content != content:
                known = self._read_named(check.text(name, "descriptors"), data, content)
                is_common = is_common and self._named.get(known.name) is known
            descriptors[known.name] = known.descriptor
            if known.problem is not None:
                problems.append({"path": f"descriptors.{known.name}", "problem": known.problem})
        return descriptors, is_common

    def _read_named(self, name: str, data: t.Any, content: bytes | None) -> _Named:
        """Return a descriptor with its name, kept where it is the first one of this name."""
        found = self._descriptor(data, content)
        if isinstance(found, Descriptor):
            known = _Named(name, content, found, None)
        else:
            known = _Named(name, content, None, str(found))
        if content is not None and name not in self._named:
            self._named[name] = known
            self._common[name] = known.descriptor
        return known

    def _descriptor(self, data: t.Any, content: bytes | None) -> Descriptor | DescriptorError:
        found = self._descriptors.get(content)
        if found is None:
            try:
                found = read_descriptor(data, with_origin=True)
                found = self._distinct.setdefault((found.digest, found.origin), found)
            except DescriptorError as malformed:
                found = malformed
            if content is not None:
                self._descriptors[content] = found
        return found

    def _all_parents(self, facts: _Entry) -> tuple[ParentFacts, ...]:
        content = _content(facts.get("parents"))
        # A few bytes in place of many.
        key = None if content is None else hashlib.sha256(content).digest()
        found = self._parent_lists.get(key)
        if found is None:
            found = self._read_parents(facts)
            if key is not None:
                self._parent_lists[key] = found
        return found

    def _read_parents(self, facts: _Entry) -> tuple[ParentFacts, ...]:
        parents = []
        entries = check.listing(facts.get("parents"), "parents", check.MAX_PARENTS)
        for index, data in enumerate(entries):
            content = _content(data)
            found = self._parents.get(content) if content is not None else None
            if found is None:
                parent = _parent(data, f"parents[{index}]")
                found = self._distinct_parents.setdefault(parent, parent)
                if content is not None:
                    self._parents[content] = found
            parents.append(found)
        # In which order they are listed makes no difference to what is found.
        parents.sort(key=attrgetter("id"))
        known = self._equipment.get(tuple(map(id, parents)))
        if known is None:
            check.distinct((parent.id for parent in parents), "parents")
            known = self._equipment[tuple(map(id, parents))] = (*parents,)
        return known


def _one_by_one(
    data: t.Any, descriptors: _Descriptors, problems: list[dict[str, t.Any]]
) -> list[_Entry]:
    """Return the entries of devices in plain types, and add to ``problems`` what is wrong with one; raise ``FactsError``."""
    entries: list[_Entry] = []
    for index, each in enumerate(check.listing(data, "devices", check.MAX_DEVICES)):
        path = f"devices[{index}]"
        entry, problem = check.plain_device(each, path, descriptors)
        problems += [problem] if problem else []
        descriptor = descriptors[entry["descriptor"]]
        if descriptor is not None and not _is_of_kind(descriptor, entry["kind"]):
            entry["descriptor"] = None
            api = descriptor.self_attributes["device_api"]
            sentence = (
                f"its descriptor has the device_api {api}, which no {entry['kind']} device has"
            )
            problems.append({"path": path, "problem": sentence})
        entries.append(entry)
    check.distinct((entry["id"] for entry in entries), "devices")
    check.check_held(entries)
    check.check_addresses(entries)
    return entries


def gathered_at(facts: _Entry) -> str | None:
    """Return the time at which facts were gathered, ``None`` where they do not state it; raise ``FactsError``."""
    if GATHERED not in facts:
        return None
    time = check.mapping(facts[GATHERED], GATHERED).get("time")
    if seconds(time) is None:
        raise FactsError(f"{GATHERED}.time", "a time as 2026-11-26T17:20:00Z")
    return plain_text(time)


def gathered_time(data: t.Any, host: str) -> str | None:
    """Return the time at which the facts of a host in ``hostvars`` were gathered, ``None`` where they do not state it; raise ``FactsError``."""
    return gathered_at(check.mapping(_found(data, host)[0], FACT))


def _content(data: t.Any) -> bytes | None:
    """Bytes that only equal data has; ``None`` where the data is not all of plain types."""
    try:
        return marshal.dumps(data, _MARSHAL)
    except ValueError:
        return None


def _parent(data: t.Any, path: str) -> ParentFacts:
    """Return a parent in plain types; raise ``FactsError``."""
    parent = check.mapping(data, path)
    kind = check.one_of(parent.get("kind"), f"{path}.kind", check.MADE_KINDS)
    entries = check.listing(parent.get("types"), f"{path}.types", check.MAX_TYPES)
    driver = check.text_or_null(parent.get("driver"), f"{path}.driver")
    types = [
        _type(each, f"{path}.types[{index}]", kind, driver) for index, each in enumerate(entries)
    ]
    check.distinct((each.id for each in types), f"{path}.types")
    if kind == VDPA:
        types = _provisioned(parent, types, path)
    try:
        configuration = read_configuration(parent.get("configuration"))
    except DescriptorError as error:
        raise FactsError(f"{path}.configuration", f"names with texts ({error})") from error
    try:
        given = read_set(parent.get("self", {}), "self")
    except DescriptorError as error:
        raise FactsError(f"{path}.self", f"names with texts ({error})") from error
    if "software_version" in given and parse_version(given["software_version"]) is None:
        raise FactsError(f"{path}.self.software_version", "major.minor[.bugfix]")
    return ParentFacts(
        kind=kind,
        id=check.text(parent.get("id"), f"{path}.id"),
        driver=driver,
        pci_id=check.text_or_null(parent.get("pci_id", check.MISSING), f"{path}.pci_id"),
        numa_node=check.number_or_null(
            parent.get("numa_node"), f"{path}.numa_node", 0, check.MAX_NODE
        ),
        types=tuple(types),
        configuration=tuple(sorted(configuration.items())),
        card=check.text_or_null(parent.get("physical_function"), f"{path}.physical_function"),
        given=tuple(sorted(given.items())),
    )


def _type(data: t.Any, path: str, kind: str, driver: str | None) -> MdevType:
    offered = check.mapping(data, path)
    device_api = check.text(offered.get("device_api"), f"{path}.device_api")
    if (device_api == virtio.DEVICE_API) != (kind == VDPA):
        expected = virtio.DEVICE_API if kind == VDPA else f"another than {device_api}"
        raise FactsError(f"{path}.device_api", f"{expected}, as the parent is of kind {kind}")
    description = plain_text(offered.get("description"))
    limits = stated_limits(description)._asdict()
    for name in limits.keys() & offered.keys():
        limits[name] = check.number(offered[name], f"{path}.{name}", 1, check.MAX_INSTANCES)
    return MdevType(
        id=check.text(offered.get("id"), f"{path}.id"),
        name=check.text_or_null(offered.get("name"), f"{path}.name", check.MAX_TEXT),
        device_api=device_api,
        available_instances=check.number(
            offered.get("available_instances"),
            f"{path}.available_instances",
            0,
            check.MAX_INSTANCES,
        ),
        resources=_resources(offered, path, kind, driver, description),
        **limits,
    )


def _resources(
    offered: _Entry, path: str, kind: str, driver: str | None, description: str | None
) -> tuple[tuple[str, int], ...]:
    """Return what a device of a type takes of its parent, from the facts or from its ``description``."""
    if "resources" in offered:
        entries = check.mapping(offered["resources"], f"{path}.resources")
        if len(entries) > check.MAX_RESOURCES:
            raise FactsError(f"{path}.resources", f"{check.MAX_RESOURCES} names at most")
        found = {
            check.text(name, f"{path}.resources"): check.number(
                amount, f"{path}.resources.{name}", 0, check.MAX_INSTANCES
            )
            for name, amount in entries.items()
        }
    else:
        read = driver_profile(kind, driver).resources
        found = read(description) if read and description else {}
    return tuple(sorted(found.items()))


def _provisioned(parent: _Entry, types: list[MdevType], path: str) -> list[MdevType]:
    """Return what a management device can make; nothing where its kernel does not show with which features."""
    mask = check.text_or_null(parent.get("dev_features_mask"), f"{path}.dev_features_mask")
    max_vqs = check.number_or_null(
        parent.get("max_supported_vqs"), f"{path}.max_supported_vqs", 0, check.MAX_QUEUES
    )
    if mask is None:
        return []
    if not MASK.match(mask):
        raise FactsError(f"{path}.dev_features_mask", "null or a mask as 0x300000020")
    return [replace(each, features=int(mask, 16), max_vqs=max_vqs) for each in types]
