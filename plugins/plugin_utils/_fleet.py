# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Fleets: the facts of many hosts, checked and interned.

Facts come from other hosts, or from a cache that another version wrote: whatever does not have the shape that
``vfio_migration_facts`` documents makes that host unknown and is listed as a problem; nothing else is lost.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.vfio.migration.plugins.module_utils._descriptor import (
    Malformed,
    shown,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._verdict import (
    Descriptor,
    plain_text,
    read_descriptor,
)

FACT = "vfio_migration"
SCHEMA = 1
GATHER = "run vfio_migration_facts on it"

# Drivers whose types take from common resources in proportion: i915 works out the available_instances of every type
# from what is left of apertures and fences (drivers/gpu/drm/i915/gvt/vgpu.c). Of any other driver's parent one plan
# makes one type only, which is safe however its types share the parent.
PROPORTIONAL = frozenset({"i915"})


class FleetError(ValueError):
    """What was asked for cannot be: the message names what is wrong and what would be right."""


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that holds a device; ``pid`` is ``None`` where it cannot be told whether one does."""

    pid: int | None
    name: str | None


@dataclass(frozen=True, slots=True)
class Device:
    host: str
    kind: str
    id: str
    parent: str | None
    type: str | None
    descriptor: Descriptor | None
    attributes: tuple[tuple[str, str], ...]
    numa_node: int | None
    in_use: Holder | None
    supported: bool | None
    evidence: str | None

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from every other device of the fleet."""
        return self.host, self.id

    @property
    def label(self) -> dict[str, str]:
        return {"host": self.host, "kind": self.kind, "id": self.id}


@dataclass(frozen=True, slots=True)
class MdevType:
    id: str
    name: str | None
    device_api: str
    available_instances: int


@dataclass(frozen=True, slots=True)
class Parent:
    host: str
    kind: str
    id: str
    driver: str | None
    pci_id: str | None
    numa_node: int | None
    types: tuple[MdevType, ...]


@dataclass(slots=True)
class Host:
    name: str
    devices: list[Device]
    parents: list[Parent]


@dataclass(slots=True)
class Fleet:
    """``hosts`` by name; the names of those without usable facts; ``{host, path, problem}`` of all."""

    hosts: dict[str, Host] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    problems: list[dict[str, t.Any]] = field(default_factory=list)

    def devices(self) -> t.Iterator[Device]:
        for host in self.hosts.values():
            yield from host.devices


def read_fleet(data: t.Any, hosts: t.Iterable[str] | None = None) -> Fleet:
    """The fleet in ``hostvars``, or in a mapping of host to that host's facts; ``hosts`` narrows it."""
    if not isinstance(data, t.Mapping):
        raise FleetError("a fleet is hostvars, or a mapping of host to its vfio_migration facts")
    interned: dict[tuple[str, str | None], Descriptor] = {}
    fleet = Fleet()
    for name in sorted({str.__str__(str(host)) for host in (data if hosts is None else hosts)}):
        facts = facts_of(data, name)
        if facts is None:
            fleet.unknown.append(name)
            continue
        try:
            host = _HostReader(name, interned)
            fleet.hosts[name] = host.read(facts)
            fleet.problems.extend(host.problems)
        except _Shape as error:
            fleet.unknown.append(name)
            fleet.problems.append({"host": name, "path": error.path, "problem": str(error)})
    return fleet


def why_unknown(fleet: Fleet, host: str) -> str:
    """Why ``host`` is not among the fleet's hosts."""
    problems = [each["problem"] for each in fleet.problems if each["host"] == host]
    return problems[0] if problems else f"there are no facts of it; {GATHER}"


def facts_of(data: t.Any, host: str) -> t.Any:
    """The facts of ``host`` as they are, ``None`` where there are none; ``data`` as for ``read_fleet``."""
    # Facts are never templates: reading them untemplated gives the same and is several times faster.
    raw_get = getattr(data, "raw_get", None)
    if raw_get is None and host not in data:
        return None
    variables = raw_get(host) if raw_get else data[host]
    if not isinstance(variables, t.Mapping) or "schema" in variables:
        return variables if isinstance(variables, t.Mapping) else None
    facts = variables.get("ansible_facts")
    if isinstance(facts, t.Mapping) and FACT in facts:
        return facts[FACT]
    # Variables of the inventory, or set in a play.
    return variables.get(FACT)


class _Shape(ValueError):
    """Facts do not have the shape they should; ``path`` is where in them."""

    def __init__(self, path: str, expected: str) -> None:
        super().__init__(f"{path}: expected {expected}; {GATHER} again")
        self.path = path


class _HostReader:
    """Reads one host's facts; descriptors that other hosts had already are shared with them."""

    def __init__(self, host: str, interned: dict[tuple[str, str | None], Descriptor]) -> None:
        self._host = host
        self._interned = interned
        self.problems: list[dict[str, t.Any]] = []

    def read(self, facts: t.Any) -> Host:
        top = _mapping(facts, FACT)
        if top.get("schema") != SCHEMA:
            raise _Shape(f"{FACT}.schema", f"{SCHEMA}, and it is {top.get('schema')!r}")
        descriptors = {
            str(digest): self._descriptor(str(digest), descriptor)
            for digest, descriptor in _mapping(top.get("descriptors"), "descriptors").items()
        }
        devices = [
            self._device(device, f"devices[{index}]", descriptors)
            for index, device in enumerate(_list(top.get("devices"), "devices"))
        ]
        parents = [
            self._parent(parent, f"parents[{index}]")
            for index, parent in enumerate(_list(top.get("parents"), "parents"))
        ]
        for index, problem in enumerate(_list(top.get("problems"), "problems")):
            entry = _mapping(problem, f"problems[{index}]")
            self.problems.append(
                {"host": self._host}
                | {key: plain_text(entry.get(key)) for key in ("path", "problem")}
            )
        _distinct((device.id for device in devices), "devices")
        _distinct((parent.id for parent in parents), "parents")
        return Host(self._host, devices, parents)

    def _descriptor(self, digest: str, data: t.Any) -> Descriptor | None:
        try:
            descriptor = read_descriptor(data)
        except Malformed as malformed:
            self.problems.append(
                {"host": self._host, "path": f"descriptors.{digest}", "problem": str(malformed)}
            )
            return None
        return self._interned.setdefault((descriptor.digest, descriptor.origin), descriptor)

    def _device(self, data: t.Any, path: str, descriptors: dict[str, Descriptor | None]) -> Device:
        device = _mapping(data, path)
        digest = plain_text(device.get("descriptor"))
        if device.get("descriptor") is not None and digest not in descriptors:
            raise _Shape(f"{path}.descriptor", "null or the name of one of 'descriptors'")
        return Device(
            host=self._host,
            kind=_text(device, "kind", path),
            id=_text(device, "id", path),
            parent=plain_text(device.get("parent")),
            type=plain_text(device.get("type")),
            descriptor=None if digest is None else descriptors[digest],
            attributes=tuple(
                (_text(_mapping(each, path), "name", path), _text(each, "value", path))
                for each in _list(device.get("attributes"), f"{path}.attributes")
            ),
            numa_node=_integer_or_none(device.get("numa_node"), f"{path}.numa_node"),
            in_use=self._holder(_present(device, "in_use", path), f"{path}.in_use"),
            supported=self._supported(device.get("migration"), f"{path}.migration"),
            evidence=plain_text(_mapping(device.get("migration"), path).get("evidence")),
        )

    def _holder(self, data: t.Any, path: str) -> Holder | None:
        if data is None:
            return None
        holder = _mapping(data, path)
        return Holder(
            _integer_or_none(holder.get("pid"), f"{path}.pid"), plain_text(holder.get("name"))
        )

    def _supported(self, data: t.Any, path: str) -> bool | None:
        supported = _mapping(data, path).get("supported")
        if supported is not None and not isinstance(supported, bool):
            raise _Shape(f"{path}.supported", "true, false or null")
        return supported

    def _parent(self, data: t.Any, path: str) -> Parent:
        parent = _mapping(data, path)
        types = [
            self._type(each, f"{path}.types[{index}]")
            for index, each in enumerate(_list(parent.get("types"), f"{path}.types"))
        ]
        _distinct((each.id for each in types), f"{path}.types")
        pci_id = _present(parent, "pci_id", path)
        return Parent(
            host=self._host,
            kind=_text(parent, "kind", path),
            id=_text(parent, "id", path),
            driver=plain_text(parent.get("driver")),
            pci_id=None if pci_id is None else _text(parent, "pci_id", path),
            numa_node=_integer_or_none(parent.get("numa_node"), f"{path}.numa_node"),
            types=tuple(types),
        )

    def _type(self, data: t.Any, path: str) -> MdevType:
        mdev_type = _mapping(data, path)
        place = f"{path}.available_instances"
        available = _integer_or_none(mdev_type.get("available_instances"), place)
        if available is None:
            raise _Shape(place, "an integer")
        return MdevType(
            id=_text(mdev_type, "id", path),
            name=plain_text(mdev_type.get("name")),
            device_api=_text(mdev_type, "device_api", path),
            available_instances=available,
        )


def _distinct(ids: t.Iterable[str], path: str) -> None:
    seen: set[str] = set()
    for each in ids:
        if each in seen:
            raise _Shape(path, f"every id once, and {shown(each)} is there twice")
        seen.add(each)


def _present(mapping: t.Mapping[str, t.Any], key: str, path: str) -> t.Any:
    if key not in mapping:
        raise _Shape(f"{path}.{key}", "a value or null")
    return mapping[key]


def _mapping(value: t.Any, path: str) -> t.Mapping[str, t.Any]:
    if not isinstance(value, t.Mapping):
        raise _Shape(path, "a mapping")
    return value


def _list(value: t.Any, path: str) -> t.Sequence[t.Any]:
    if not isinstance(value, t.Sequence) or isinstance(value, str):
        raise _Shape(path, "a list")
    return value


def _text(mapping: t.Mapping[str, t.Any], key: str, path: str) -> str:
    value = plain_text(mapping.get(key))
    if value is None:
        raise _Shape(f"{path}.{key}", "a text")
    return value


def _integer_or_none(value: t.Any, path: str) -> int | None:
    if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
        raise _Shape(path, "an integer or null")
    return None if value is None else int(value)
