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
import gc
import marshal
import re
import typing as t
from dataclasses import dataclass, field, replace
from operator import itemgetter

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.attributes import (
    DescriptorError,
    shown,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.age import (
    ANY_AGE,
    AgeLimit,
    seconds,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.descriptor import (
    Descriptor,
    plain_text,
    read_descriptor,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import (
    GATHER,
    VDPA,
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

FACT = "vfio_migration"
SCHEMA = 1
GATHERED = "gathered"
CHOICES = "choices"
MASK = re.compile(r"0x[0-9a-f]{1,16}\Z")

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
            gc.enable()


def read_fleet(
    data: t.Any, hosts: t.Iterable[str] | None = None, limit: AgeLimit = ANY_AGE
) -> Fleet:
    """Return the fleet in ``hostvars``, or in a mapping of host to that host's facts; ``hosts`` narrows it.

    Hosts whose facts are older than ``limit`` are unknown. No facts are held: a host whose ``devices`` are asked for is
    read again.
    """
    _check_fleet(data)
    reader = _Reader(data, limit)
    fleet = reader.fleet
    for name in sorted({str.__str__(str(host)) for host in (data if hosts is None else hosts)}):
        try:
            reader.read(name)
        except _Shape as error:
            fleet.unknown.append(name)
            fleet.problems.append({"host": name, "path": error.path, "problem": str(error)})
    return fleet


def hold(data: t.Any, hosts: t.Iterable[str] | None = None) -> dict[str, t.Any]:
    """Return the facts of hosts, to be read again and again: ``hostvars`` makes them anew each time.

    They are in a shape that ``read_fleet`` takes, and that tells as ``data`` does whether they may come from a cache.
    """
    _check_fleet(data)
    held: dict[str, t.Any] = {}
    for host in data if hosts is None else hosts:
        facts, cached = _found(data, host)
        held[host] = {"ansible_facts": {FACT: facts}} if cached else {FACT: facts}
    return held


def _check_fleet(data: t.Any) -> None:
    if not isinstance(data, t.Mapping):
        raise FleetError("a fleet is hostvars, or a mapping of host to its vfio_migration facts")


def _found(data: t.Any, host: str) -> tuple[t.Any, bool]:
    """Return the facts of ``host``, ``None`` where there are none, and whether they may come from a cache."""
    # Facts are never templates: reading them untemplated gives the same and is several times faster.
    raw_get = getattr(data, "raw_get", None)
    if raw_get is None and host not in data:
        return None, False
    variables = raw_get(host) if raw_get else data[host]
    if not isinstance(variables, (dict, t.Mapping)):
        return None, False
    facts = variables.get("ansible_facts")
    if isinstance(facts, (dict, t.Mapping)) and FACT in facts:
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


# What reading entries raises that are not plain, or not as documented: they are then read with what says where.
_ODD = (AttributeError, KeyError, TypeError)


class _Classes(dict[tuple[t.Any, ...], DeviceClass]):
    """The classes of a fleet by what their devices have in common; raises ``_ODD`` for what is no class."""

    def __missing__(self, key: tuple[t.Any, ...]) -> DeviceClass:
        one = DeviceClass(*key)
        one.obstacle = obstacle(one)
        if {*map(type, one.configurable), type(one.evidence or "")} != {str}:
            raise TypeError
        self[key] = one
        return one

    def of(self, entries: t.Any, descriptors: _Descriptors) -> tuple[list[DeviceClass], Stated]:
        """Return the class of each device, and what mediated devices state; raise ``_ODD``."""
        if not isinstance(entries, list):
            raise TypeError
        # Of all that is done for a fleet only this is done for each of its devices.
        found = []
        ids = set()
        stated: dict[tuple[str | None, Descriptor], None] = {}
        for entry in entries:
            (kind, device_id, parent, mdev_type, name, attributes, numa_node, holder, migration) = (
                _FIELDS(entry)
            )
            pid = None if holder is None else holder["pid"]
            supported, evidence = migration["supported"], migration.get("evidence")
            if not (
                kind.__class__ is device_id.__class__ is str
                and (parent is None or parent.__class__ is str)
                and (mdev_type is None or mdev_type.__class__ is str)
                and attributes.__class__ is list
                and (numa_node is None or numa_node.__class__ is int)
                and (pid is None or pid.__class__ is int)
                and (supported is None or supported.__class__ is bool)
            ):
                raise TypeError
            configurable = []
            for attribute in attributes:
                configurable.append(attribute["name"])
                if attribute["value"].__class__ is not str:
                    raise TypeError
            descriptor = descriptors[name]
            found.append(self[descriptor, supported, evidence, holder is None, tuple(configurable)])
            ids.add(device_id)
            if kind == "mdev" and descriptor is not None:
                stated[parent, descriptor] = None
        if len(ids) != len(entries):
            raise TypeError
        return found, tuple({(parent, each.derived, each.version): None for parent, each in stated})


def _device(host: str, entry: _Entry, descriptors: _Descriptors) -> Device:
    """Return the device of an entry that has a class."""
    holder, migration = entry["in_use"], entry["migration"]
    return Device(
        host=host,
        kind=entry["kind"],
        id=entry["id"],
        parent=entry["parent"],
        type=entry["type"],
        descriptor=descriptors[entry["descriptor"]],
        attributes=tuple((each["name"], each["value"]) for each in entry["attributes"]),
        numa_node=entry["numa_node"],
        in_use=None if holder is None else Holder(holder["pid"], plain_text(holder.get("name"))),
        supported=migration["supported"],
        evidence=migration.get("evidence"),
        choices=next((_choices(each) for each in entry["attributes"] if CHOICES in each), None),
    )


def _choices(attribute: _Entry) -> Choices:
    # What is none is not chosen.
    found = attribute[CHOICES] if isinstance(attribute[CHOICES], list) else []
    values = [plain_text(value) for value in found]
    return Choices(attribute["name"], tuple(value for value in values if value is not None))


# --- one by one ------------------------------------------------------------------------------------------------------


# What a value is expected to be.
_MAPPING = "a mapping"
_LIST = "a list"
_TEXT = "a text"
_TEXT_OR_NULL = "a text or null"
_INTEGER = "an integer"
_INTEGER_OR_NULL = "an integer or null"
_CONTAINERS = {_MAPPING: (dict, t.Mapping), _LIST: (list, t.Sequence)}
# Stands for a value that is not there, where null would be one.
_MISSING = object()


class _Shape(FleetError):
    """Facts do not have the shape they should; ``path`` is where in them."""

    def __init__(self, path: str, expected: str) -> None:
        super().__init__(f"{path}: expected {expected}; {GATHER} again")
        self.path = path


@dataclass(slots=True, eq=False)
class _Reader:
    """Reads the facts of hosts into a fleet; what one host has of another's descriptors and parents is shared with it.

    What is shared is found by its whole content, never by the name that a host gives it.
    """

    _data: t.Any
    _limit: AgeLimit
    fleet: Fleet = field(default_factory=Fleet)
    _classes: _Classes = field(default_factory=_Classes)
    _descriptors: dict[bytes, Descriptor | DescriptorError] = field(default_factory=dict)
    _distinct: dict[tuple[str, str | None], Descriptor] = field(default_factory=dict)
    _parents: dict[bytes, ParentFacts] = field(default_factory=dict)
    _distinct_parents: dict[ParentFacts, ParentFacts] = field(default_factory=dict)
    # By the identity of the parents, each of which is there once.
    _equipment: dict[tuple[int, ...], tuple[ParentFacts, ...]] = field(default_factory=dict)

    def read(self, name: str) -> None:
        """Add the host to the fleet, as unknown where it has no facts; raise ``_Shape``."""
        facts, cached = _found(self._data, name)
        if facts is None:
            self.fleet.unknown.append(name)
            return
        top = _checked(facts, FACT, _MAPPING)
        if top.get("schema") != SCHEMA:
            raise _Shape(f"{FACT}.schema", f"{SCHEMA}, and it is {top.get('schema')!r}")
        refusal = self._limit.refusal(_gathered(top), cached)
        if refusal is not None:
            self.fleet.unknown.append(name)
            self.fleet.problems.append({"host": name, "path": GATHERED, "problem": refusal})
            return
        descriptors, problems = self._all_descriptors(top)
        entries, found, stated = self._entries(top, descriptors)
        equipment = self._all_parents(top)
        for index, each in enumerate(_checked(top.get("problems"), "problems", _LIST)):
            entry = _checked(each, f"problems[{index}]", _MAPPING)
            problems.append({key: plain_text(entry.get(key)) for key in ("path", "problem")})
        classes: dict[DeviceClass, int] = {}
        excluded = []
        for entry, each in zip(entries, found, strict=True):
            classes[each] = classes.get(each, 0) + 1
            if each.obstacle:
                excluded.append((entry["kind"], entry["id"], each))
        self.fleet.hosts[name] = Host(
            name, classes, excluded, equipment, stated, self._devices, self._facts
        )
        self.fleet.problems += [{"host": name} | problem for problem in problems]

    def _facts(self, name: str) -> _Entry:
        found: _Entry = _checked(_found(self._data, name)[0], FACT, _MAPPING)
        return found

    def _devices(self, name: str) -> list[Device]:
        facts = self._facts(name)
        descriptors, _problems = self._all_descriptors(facts)
        entries, *_classes = self._entries(facts, descriptors)
        return [_device(name, entry, descriptors) for entry in entries]

    def _entries(
        self, facts: _Entry, descriptors: _Descriptors
    ) -> tuple[t.Sequence[_Entry], list[DeviceClass], Stated]:
        """Return the entries of the devices, the class of each, and what mediated devices state."""
        entries: t.Any = facts.get("devices")
        try:
            return entries, *self._classes.of(entries, descriptors)
        except _ODD:
            entries = [
                _plain_entry(entry, f"devices[{index}]", descriptors)
                for index, entry in enumerate(_checked(entries, "devices", _LIST))
            ]
            _distinct((entry["id"] for entry in entries), "devices")
            return entries, *self._classes.of(entries, descriptors)

    def _all_descriptors(self, facts: _Entry) -> tuple[_Descriptors, list[dict[str, t.Any]]]:
        """Return the descriptors by name, that of a device without one as well, and what is wrong with others."""
        descriptors: _Descriptors = {None: None}
        problems: list[dict[str, t.Any]] = []
        for name, data in _checked(facts.get("descriptors"), "descriptors", _MAPPING).items():
            name = str.__str__(str(name))
            found = self._descriptor(data)
            if isinstance(found, DescriptorError):
                problems.append({"path": f"descriptors.{name}", "problem": str(found)})
                descriptors[name] = None
            else:
                descriptors[name] = found
        return descriptors, problems

    def _descriptor(self, data: t.Any) -> Descriptor | DescriptorError:
        content = _content(data)
        found = self._descriptors.get(content) if content is not None else None
        if found is None:
            try:
                found = read_descriptor(data)
                found = self._distinct.setdefault((found.digest, found.origin), found)
            except DescriptorError as malformed:
                found = malformed
            if content is not None:
                self._descriptors[content] = found
        return found

    def _all_parents(self, facts: _Entry) -> tuple[ParentFacts, ...]:
        parents = []
        for index, data in enumerate(_checked(facts.get("parents"), "parents", _LIST)):
            content = _content(data)
            found = self._parents.get(content) if content is not None else None
            if found is None:
                parent = _parent(data, f"parents[{index}]")
                found = self._distinct_parents.setdefault(parent, parent)
                if content is not None:
                    self._parents[content] = found
            parents.append(found)
        known = self._equipment.get((*map(id, parents),))
        if known is None:
            _distinct((parent.id for parent in parents), "parents")
            known = self._equipment[(*map(id, parents),)] = (*parents,)
        return known


def _gathered(facts: _Entry) -> str | None:
    """Return the time at which facts were gathered, ``None`` where they do not tell; raise ``_Shape``."""
    if GATHERED not in facts:
        return None
    time = _checked(facts[GATHERED], GATHERED, _MAPPING).get("time")
    if seconds(time) is None:
        raise _Shape(f"{GATHERED}.time", "a time as 2026-11-26T17:20:00Z")
    return plain_text(time)


def _content(data: t.Any) -> bytes | None:
    """Bytes that only equal data has; ``None`` where the data is not all of plain types."""
    try:
        # Later versions tell equal texts apart that are, or are not, one object.
        return marshal.dumps(data, 2)
    except ValueError:
        return None


def _plain_entry(data: t.Any, path: str, descriptors: _Descriptors) -> _Entry:
    """Return what a device's entry says, in plain types; raise ``_Shape``."""
    device = _checked(data, path, _MAPPING)
    kind, device_id = (
        _checked(device.get("kind"), f"{path}.kind", _TEXT),
        _checked(device.get("id"), f"{path}.id", _TEXT),
    )
    name = plain_text(device.get("descriptor"))
    if device.get("descriptor") is not None and (name is None or name not in descriptors):
        raise _Shape(f"{path}.descriptor", "null or the name of one of 'descriptors'")
    migration = _checked(device.get("migration"), f"{path}.migration", _MAPPING)
    supported = migration.get("supported")
    if supported is not None and not isinstance(supported, bool):
        raise _Shape(f"{path}.migration.supported", "true, false or null")
    if "in_use" not in device:
        raise _Shape(f"{path}.in_use", "a value or null")
    return {
        "kind": kind,
        "id": device_id,
        "parent": _checked(device.get("parent", _MISSING), f"{path}.parent", _TEXT_OR_NULL),
        "type": _checked(device.get("type", _MISSING), f"{path}.type", _TEXT_OR_NULL),
        "descriptor": name,
        "attributes": [
            {
                "name": _checked(_checked(each, path, _MAPPING).get("name"), f"{path}.name", _TEXT),
                "value": _checked(each.get("value"), f"{path}.value", _TEXT),
                **({CHOICES: each[CHOICES]} if CHOICES in each else {}),
            }
            for each in _checked(device.get("attributes"), f"{path}.attributes", _LIST)
        ],
        "numa_node": _checked(device.get("numa_node"), f"{path}.numa_node", _INTEGER_OR_NULL),
        "in_use": _holder(device["in_use"], f"{path}.in_use"),
        "migration": {
            "supported": supported,
            "evidence": plain_text(migration.get("evidence")),
        },
    }


def _holder(data: t.Any, path: str) -> dict[str, t.Any] | None:
    if data is None:
        return None
    holder = _checked(data, path, _MAPPING)
    return {
        "pid": _checked(holder.get("pid"), f"{path}.pid", _INTEGER_OR_NULL),
        "name": plain_text(holder.get("name")),
    }


def _parent(data: t.Any, path: str) -> ParentFacts:
    parent = _checked(data, path, _MAPPING)
    types = []
    for index, each in enumerate(_checked(parent.get("types"), f"{path}.types", _LIST)):
        place = f"{path}.types[{index}]"
        mdev_type = _checked(each, place, _MAPPING)
        types.append(
            MdevType(
                id=_checked(mdev_type.get("id"), f"{place}.id", _TEXT),
                name=plain_text(mdev_type.get("name")),
                device_api=_checked(mdev_type.get("device_api"), f"{place}.device_api", _TEXT),
                available_instances=_checked(
                    mdev_type.get("available_instances"), f"{place}.available_instances", _INTEGER
                ),
            )
        )
    _distinct((each.id for each in types), f"{path}.types")
    kind = _checked(parent.get("kind"), f"{path}.kind", _TEXT)
    if kind == VDPA:
        types = _provisioned(parent, types, path)
    return ParentFacts(
        kind=kind,
        id=_checked(parent.get("id"), f"{path}.id", _TEXT),
        driver=plain_text(parent.get("driver")),
        pci_id=_checked(parent.get("pci_id", _MISSING), f"{path}.pci_id", _TEXT_OR_NULL),
        numa_node=_checked(parent.get("numa_node"), f"{path}.numa_node", _INTEGER_OR_NULL),
        types=tuple(types),
    )


def _provisioned(parent: _Entry, types: list[MdevType], path: str) -> list[MdevType]:
    """Return what a management device can make; nothing where its kernel does not tell with which features."""
    mask = plain_text(parent.get("dev_features_mask"))
    if mask is None:
        return []
    if not MASK.match(mask):
        raise _Shape(f"{path}.dev_features_mask", "null or a mask as 0x300000020")
    max_vqs = _checked(
        parent.get("max_supported_vqs"), f"{path}.max_supported_vqs", _INTEGER_OR_NULL
    )
    return [replace(each, features=int(mask, 16), max_vqs=max_vqs) for each in types]


def _checked(value: t.Any, path: str, expected: str) -> t.Any:
    """Return ``value`` in plain types, if it is what is ``expected``; raise ``_Shape``."""
    if value is None and expected in (_TEXT_OR_NULL, _INTEGER_OR_NULL):
        return None
    if expected in (_TEXT, _TEXT_OR_NULL):
        if isinstance(value, str):
            return str.__str__(value)
    elif expected in (_INTEGER, _INTEGER_OR_NULL):
        if isinstance(value, int) and not isinstance(value, bool):
            return int(value)
    elif isinstance(value, _CONTAINERS[expected]) and not isinstance(value, str):
        return value
    raise _Shape(path, expected)


def _distinct(ids: t.Iterable[str], path: str) -> None:
    seen: set[str] = set()
    for each in ids:
        if each in seen:
            raise _Shape(path, f"every id once, and {shown(each)} is there twice")
        seen.add(each)
